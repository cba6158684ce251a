/* stats_private: what stats.c and info.c share. */
#ifndef BASIN_SRC_STATS_PRIVATE_H
#define BASIN_SRC_STATS_PRIVATE_H

#include "src/stats/stats.h"

#define STATS_CODE_SIZE 32

struct stats_error {
    char code[STATS_CODE_SIZE];
    uint64_t count;
};

/* The counters of struct stats_worker, added up. */
struct stats_base {
    uint64_t commands, errors, waits, calls_waiting;
    uint64_t connections_received, connections_rejected;
    uint64_t bytes_in, bytes_out, reads, writes;
    uint64_t query_limit_closed, output_limit_closed, timeout_closed;
    uint64_t loops, loop_us, replies_gated, pending_output, pending_queries;
};

/* Since the last reset; what is a state (calls_waiting, pending_*) as of now. */
void stats_sum(struct stats *stats, struct stats_base *sum_out);

enum stats_rate_index { STATS_RATE_COMMANDS, STATS_RATE_IN, STATS_RATE_OUT, STATS_RATE_COUNT };
/* A second's worth, averaged over the samples. */
uint64_t stats_rate(struct stats *stats, enum stats_rate_index which);

struct command_sum {
    uint64_t calls, ns, rejected, failed;
    uint64_t latency[STATS_LATENCY_BUCKETS];
};
/* Over the workers, since the last reset. */
void stats_command_sum(const struct command *command, struct command_sum *sum_out);
/* 0 where there was no call. */
double stats_percentile_us(const struct command_sum *sum, double percent);

#endif
