/* crash_load: many pipelined connections at once, until the server dies under them.
 * Thread: one, and one that kills. Memory: the caller's. */
#ifndef BASIN_TESTS_CRASH_CRASH_LOAD_H
#define BASIN_TESTS_CRASH_CRASH_LOAD_H

#include "tests/crash/crash_cold.h"
#include "tests/crash/crash_ops.h"

#include <sys/types.h>

#define READER_COUNT 4

/* What a store should hold, over all its lives. */
struct world {
    struct lane lanes[LANE_COUNT];
    struct shared shared;
    struct cold *cold;
    uint64_t tick, random;
};
/* large: what lies in crash_cold is. */
void world_init(struct world *world, uint64_t seed, bool large);
void world_deinit(struct world *world);

struct load_options {
    int port;
    pid_t pid;
    int signal;       /* SIGKILL, or SIGTERM for an orderly stop. */
    unsigned kill_us; /* After so long. */
    bool power_cut;   /* The file system (loop_disk.h) stops once the process is dead. */
};

struct load_counts {
    uint64_t sent, acked, read;
    struct cold_counts cold;
};

/* Makes the keys that are there from the beginning. */
bool load_prepare(struct world *world, int port, char *why);

/* Writes and reads until the signal has ended the server and every reply that it sent has been
 * taken note of. False: a reply that cannot be, or the server did not end; why (WHY_SIZE) says. */
bool load_run(struct world *world, const struct load_options *options, struct load_counts *counts,
              char *why);

/* Connected, blocking; a failure ends the program, for the server has just answered. */
redisContext *load_connect(int port);

#endif
