#include "bench/histogram.h"

/* Below STEPS a bucket a nanosecond; above, each octave in STEPS buckets. */
void histogram_add(struct histogram *histogram, uint64_t ns)
{
    unsigned index = (unsigned)ns;
    if (ns >= HISTOGRAM_STEPS) {
        unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEPS_BITS;
        index = (shift + 1) * HISTOGRAM_STEPS + (unsigned)(ns >> shift) - HISTOGRAM_STEPS;
    }
    histogram->buckets[index]++;
    histogram->count++;
    histogram->sum_ns += ns;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
}

/* The middle of the bucket that holds the share's value. */
double histogram_us(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted) {
            unsigned shift = i < HISTOGRAM_STEPS ? 0 : i / HISTOGRAM_STEPS - 1;
            uint64_t low = i < HISTOGRAM_STEPS
                               ? i
                               : (uint64_t)(i % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
            uint64_t middle = low + ((1ull << shift) >> 1);
            return (double)(middle < histogram->max_ns ? middle : histogram->max_ns) / 1e3;
        }
    }
    return (double)histogram->max_ns / 1e3;
}

double histogram_mean_us(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : (double)histogram->sum_ns / 1e3 / (double)histogram->count;
}
