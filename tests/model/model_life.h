/* model_life: one life of the store, from its start to its end, and the weather in it.
 *
 *     start    perhaps cut off by power cuts of its own, until one gets through → check_recovered
 *     steps    operations; between them flushes, reaps, time, expiry, settle rounds, merges,
 *              evictions; perhaps at some step a fault is laid, or the disk gets full for a while
 *     end      a power cut, a clean stop, or the program just ends: all that was written is there,
 *              but not synced
 *
 * A read that fails in the midst of a group of large values leaves half of it done: the state is
 * not known any more, and the trial ends. After damage nothing is learnt any more of what is lost;
 * such a life is the last of a trial. */
#ifndef BASIN_TESTS_MODEL_LIFE_H
#define BASIN_TESTS_MODEL_LIFE_H

#include "tests/model/model_world.h"

/* A whole trial: some lives on one disk. */
void life_trial(uint64_t seed, bool tells);
/* The same short life again and again: at its n-th call on the disk the device is gone (or the call
 * fails once, by I/O or for want of space), for every n until one is not reached. stride: every
 * so manieth only, the first by the seed. */
void life_sweep(uint64_t seed, unsigned stride, bool tells);

#endif
