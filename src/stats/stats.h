/* stats: what the server counts, and INFO.
 *
 * Every worker counts for itself in its own cache lines, with a plain load and store (it is the
 * only writer); INFO adds up. Per-command counters live with the command table in the same way.
 *
 * The worker's clock: src/net calls stats_clock once at the start of each batch of work (an event
 * loop turn, a wake-up); each command then reads the clock once, at its end, and that is the start
 * of the next. Request times (now_ms) come from it too, so a loop turn must not begin without it.
 * Thread: struct stats_worker by its worker; stats_* that take a server by any.
 */
#ifndef BASIN_SRC_STATS_STATS_H
#define BASIN_SRC_STATS_STATS_H

#include "engine/base/bytes.h"
#include "src/config/config.h"
#include "src/stats/memory.h"

#include <stdatomic.h>

struct server;
struct call;
struct command;

typedef _Atomic uint64_t stats_counter;

struct stats_worker {
    alignas(64) uint64_t now_ns; /* Monotonic; set by stats_clock and at each command's end. */
    uint64_t now_ms;             /* Unix time of the same moment. */
    uint64_t wall_ns;            /* Unix time less monotonic, as of the last stats_clock. */
    stats_counter commands;      /* Counted by dispatch, as are the next three. */
    stats_counter errors;        /* Error replies. */
    stats_counter waits;         /* Times a call answered CALL_WAIT. */
    stats_counter calls_waiting; /* Now. */
    uint64_t seed;               /* Of the next request's chance. */
    /* Counted by src/net. */
    stats_counter connections_received, connections_rejected;
    stats_counter bytes_in, bytes_out, reads, writes; /* Of sockets. */
    stats_counter query_limit_closed, output_limit_closed, timeout_closed;
    stats_counter loops, loop_us;                  /* Event loop turns and their time. */
    stats_counter replies_gated;                   /* Replies that had to wait for the log. */
    stats_counter pending_output, pending_queries; /* Bytes now; for INFO memory. */
};

/* By the only writer: no locked instruction. */
static inline void stats_add(stats_counter *counter, uint64_t value)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
                          memory_order_relaxed);
}
static inline void stats_sub(stats_counter *counter, uint64_t value)
{
    stats_add(counter, (uint64_t)0 - value);
}
static inline uint64_t stats_read(const stats_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What a worker counts of one command. The histogram is logarithmic: STATS_LATENCY_STEPS buckets a
 * doubling, so that a percentile is known to 9 %. */
#define STATS_LATENCY_STEPS 8
#define STATS_LATENCY_BUCKETS (38 * STATS_LATENCY_STEPS)
struct command_stats {
    stats_counter calls, ns, rejected, failed;
    _Atomic uint32_t latency[STATS_LATENCY_BUCKETS];
};

/* Counts one finished call of that time. */
void stats_call(struct command_stats *stats, uint64_t ns, bool failed);

#define STATS_SAMPLES 16

struct stats {
    struct stats_worker workers[CONFIG_WORKERS_MAX];
    pthread_mutex_t mutex; /* Guards what follows. */
    struct stats_rate {
        uint64_t last_value, samples[STATS_SAMPLES]; /* A second's worth each. */
    } rates[3];                                      /* enum stats_rate_index */
    uint64_t last_sample_ns;
    unsigned sample_next;
    uint64_t memory_peak;
    struct memory_stats memory;
    struct stats_error *errors; /* By code, ordered by name. */
    size_t error_count;
    struct stats_base *base; /* Counters as of CONFIG RESETSTAT. */
};

/* Given. NULL: no memory. */
struct stats *stats_new(void);
void stats_free(struct stats *stats);

/* Reads the clocks for this worker's next batch. */
void stats_clock(struct stats_worker *worker);

/* Samples rates and memory; one worker calls it some ten times a second. */
void stats_sample(struct server *server);

/* Counts an error reply by its code, the first word of text ("ERR", "WRONGTYPE"). */
void stats_error(struct server *server, struct bytes text);

/* CONFIG RESETSTAT. */
void stats_reset(struct server *server);

/* Appends the text of INFO for these sections (none: the default ones) to out. */
enum status info_write(struct server *server, const struct bytes *sections, size_t count,
                       struct buf *out);

#endif
