/* evictor: a disk for the parts of one clast: takes parts out of memory at random and brings back
 * what was asked for, so that tests meet absent parts everywhere. What is on the disk is what
 * captures have written, so it also shows that they miss nothing.
 *
 *     evictor_init → (evictor_evict → operation → while ST_WAIT: evictor_load → operation) → deinit
 *
 * Thread: none.
 */
#ifndef BASIN_TESTS_LIB_EVICTOR_H
#define BASIN_TESTS_LIB_EVICTOR_H

#include "engine/value/clast.h"

struct evictor {
    struct part **kept; /* By number: what a capture has written. */
    size_t capacity;
    uint64_t loads;
};

void evictor_init(struct evictor *evictor);
void evictor_deinit(struct evictor *evictor);
/* Captures the clast's table, then evicts each part that can be with a chance of one in `odds`. */
void evictor_evict(struct evictor *evictor, struct clast *clast, uint64_t odds, uint64_t *state);
/* Brings the parts that were asked for since the last call; fails the test if there were none. */
void evictor_load(struct evictor *evictor, struct clast *clast);
/* Brings everything back. */
void evictor_load_all(struct evictor *evictor, struct clast *clast);

#endif
