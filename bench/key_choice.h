/* key_choice: which key a request is for: the next one, any one evenly, or a few ones mostly.
 *
 * Zipfian, exponent theta: the key of rank r (from 1) comes with a share of r^-theta / zeta, drawn
 * by the method of Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD
 * 1994), as in YCSB: exact for the first two ranks, a power of the uniform variate for the rest, no
 * table. Ranks are scattered over the keys by a multiplication, so that the keys asked for most do
 * not lie side by side in the order in which they were filled in; each rank has a key of its own.
 *
 * Thread: one. */
#ifndef BASIN_BENCH_KEY_CHOICE_H
#define BASIN_BENCH_KEY_CHOICE_H

#include <stdint.h>

struct key_choice {
    uint64_t first; /* Keys are first … first + count - 1. */
    uint64_t count;
    double theta; /* 0: evenly; below 1. */
    uint64_t random;
    double zeta;      /* Sum of r^-theta over all ranks. */
    double zeta_two;  /* The same over the first two. */
    double eta;       /* Of Gray et al. */
    uint64_t scatter; /* Has no factor in common with count. */
};

/* Everything but first, count, theta and random is computed; random 0 becomes 1. */
void key_choice_init(struct key_choice *choice);

/* The index-th key in sequence; after the last comes the first again. */
uint64_t key_choice_at(const struct key_choice *choice, uint64_t index);

/* By chance, evenly or by theta. */
uint64_t key_choice_random(struct key_choice *choice);

#endif
