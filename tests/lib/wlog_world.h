/* wlog_world: a log, the manifest that it lives by, and a model of its stream.
 *
 *     world_append → model (every byte that was asked for) + log
 *     power cut, world_recover → replayed bytes must be a beginning of the model, and reach at
 *                                least to the LSN that was called durable
 *
 * The manifest is a few variables and never fails, so what is tested is the log alone. A failed
 * expectation ends the test (see test.h). Thread: one. */
#ifndef BASIN_TESTS_LIB_WLOG_WORLD_H
#define BASIN_TESTS_LIB_WLOG_WORLD_H

#include "engine/wlog/wlog.h"
#include "tests/lib/test.h"

#define WORLD_GENERATIONS_MAX 256

struct world {
    struct wlog_options options;
    struct wlog *log; /* NULL while closed. */
    uint64_t chance;  /* For test_random. */

    /* The manifest. */
    struct wlog_generation generations[WORLD_GENERATIONS_MAX];
    size_t generation_count;
    uint64_t trim_lsn;
    uint64_t durable_lsn; /* Of a clean stop; 0: unknown. */

    /* The model. */
    struct buf stream;   /* The byte at LSN n is stream.data[n - WLOG_LSN_FIRST]. */
    struct buf ends;     /* uint64_t each: where an append ended. */
    uint64_t promised;   /* The highest durable LSN ever seen. */
    uint64_t replay_lsn; /* Where the last replay has come to. */
    uint64_t pieces;     /* That it handed out. */
    unsigned wakes;      /* Calls of the waker. */
};

/* On a simulated or a real disk. Sets options that suit tests: small segments, no thread. */
void world_init(struct world *world, struct io *io, const char *dir, uint64_t seed);
void world_deinit(struct world *world); /* Closes too. */

/* Opens and replays, and expects the stream: a beginning of the model, gap-free, to promised at
 * least. Then cuts the model after its last whole append. What is not ST_OK is a status of the log;
 * the log is then closed again. */
enum status world_recover(struct world *world);

/* Records the next generation in the manifest and starts it. The log stays open either way. */
enum status world_start(struct world *world);

/* world_recover and world_start, both expected to succeed. */
void world_go(struct world *world);

/* Takes note of the durable LSN; it never goes back. */
uint64_t world_look(struct world *world);

/* Reserves and appends size bytes of chance as one record group. */
enum status world_append(struct world *world, uint64_t size);

/* The same, ticking and reaping for as long as the answer is ST_WAIT. */
void world_write(struct world *world, uint64_t size);

/* Trims up to the last whole append that is durable, as a settle does: the manifest first. */
void world_trim(struct world *world);

/* Flushes, and reaps until all is written. */
void world_settle(struct world *world);

/* Closes. Clean: all must be durable, and the manifest says so. */
void world_close(struct world *world, bool clean);

#endif
