/* histogram: latencies, each figure true to 0.8 % (128 steps an octave), in fixed memory.
 * Thread: one. */
#ifndef BASIN_BENCH_HISTOGRAM_H
#define BASIN_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS_BITS 7
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEPS_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_STEPS_BITS + 1) * HISTOGRAM_STEPS)

/* Zeroed: empty. max_ns is exact. */
struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);

/* The latency that this share of all (0 to 1) does not pass, in microseconds; 0 if there is none.
 */
double histogram_us(const struct histogram *histogram, double share);

double histogram_mean_us(const struct histogram *histogram);

#endif
