/* The write log on the real disk, with its threads and those of many callers. */
#include "engine/wlog/wlog.h"

#include "tests/lib/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CROWD 4
#define CROWD_APPENDS 3000

struct crowd {
    struct wlog *log;
    _Atomic unsigned turn;    /* The next seed. */
    _Atomic unsigned working; /* Threads that still append. */
    _Atomic unsigned wakes;
};

static void crowd_wake(void *ctx)
{
    struct crowd *crowd = ctx;
    atomic_fetch_add(&crowd->wakes, 1);
}

/* A self-describing record: u64 size, u64 seed, then bytes that follow from the seed. */
static void crowd_record(unsigned char *data, uint64_t size, uint64_t seed)
{
    store_u64(data, size);
    store_u64(data + 8, seed);
    for (uint64_t i = 16; i < size; i++) {
        data[i] = (unsigned char)(seed * 31 + i * 7);
    }
}

static void *crowd_append(void *arg)
{
    struct crowd *crowd = arg;
    unsigned char *data = malloc(400000);
    uint64_t chance = 1 + atomic_fetch_add(&crowd->turn, 1000000);
    for (int i = 0; i < CROWD_APPENDS; i++) {
        uint64_t kind = test_random_below(&chance, 100);
        uint64_t size = 16 + test_random_below(&chance, kind == 0   ? 390000
                                                        : kind < 10 ? 9000
                                                                    : 200);
        crowd_record(data, size, test_random(&chance));
        enum status status;
        while ((status = wlog_reserve(crowd->log, size)) == ST_WAIT) {
            wlog_flush(crowd->log);
            wlog_reap(crowd->log);
            usleep(50);
        }
        if (status != ST_OK) {
            abort();
        }
        struct bytes parts[] = {bytes_of(data, 16), bytes_of(data + 16, size - 16)};
        uint64_t lsn = wlog_append(crowd->log, size, parts, 2);
        wlog_flush(crowd->log);
        if (i % 64 == 0) { /* A client that waits for its reply. */
            while (wlog_durable(crowd->log) < lsn + size && !wlog_dead(crowd->log)) {
                wlog_reap(crowd->log);
            }
        }
    }
    free(data);
    atomic_fetch_sub(&crowd->working, 1);
    return NULL;
}

static void *crowd_disturb(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; atomic_load(&crowd->working) > 0; i++) {
        usleep(2000);
        if (i % 16 == 5 && wlog_sync_now(crowd->log) != ST_OK) {
            abort();
        }
        wlog_set_sync(crowd->log, (enum wlog_sync)(i % 3));
        struct wlog_stats stats;
        wlog_get_stats(crowd->log, &stats);
    }
    wlog_set_sync(crowd->log, WLOG_SYNC_ALWAYS);
    return NULL;
}

struct reading {
    struct buf rest;
    uint64_t records;
};

static enum status crowd_read(void *ctx, uint64_t lsn, struct bytes piece)
{
    struct reading *reading = ctx;
    (void)lsn;
    EXPECT(buf_append(&reading->rest, piece) == ST_OK);
    unsigned char *expected = malloc(400000);
    size_t offset = 0;
    while (reading->rest.size - offset >= 16) {
        uint64_t size = load_u64(reading->rest.data + offset);
        EXPECT(size >= 16 && size < 400000);
        if (reading->rest.size - offset < size) {
            break;
        }
        crowd_record(expected, size, load_u64(reading->rest.data + offset + 8));
        EXPECT(memcmp(expected, reading->rest.data + offset, size) == 0);
        offset += size;
        reading->records++;
    }
    free(expected);
    memmove(reading->rest.data, reading->rest.data + offset, reading->rest.size - offset);
    reading->rest.size -= offset;
    return ST_OK;
}

static void crowd_run(enum io_road road)
{
    struct io *io;
    EXPECT_INT(io_new(road, &io), ST_OK);
    struct wlog_options options = {
        .io = io,
        .dir = test_dir(),
        .segment_size = 2 << 20,
        .rotate_ms = 20,
        .flushes_max = 4,
        .unflushed_max = 4 << 20,
        .background = true,
    };
    struct wlog_history history = {.trim_lsn = WLOG_LSN_FIRST};
    struct crowd crowd = {.working = CROWD};
    EXPECT_INT(wlog_open(&options, &history, &crowd.log), ST_OK);
    EXPECT_INT(wlog_start(crowd.log, 1, WLOG_LSN_FIRST), ST_OK);
    wlog_set_waker(crowd.log, crowd_wake, &crowd);
    pthread_t threads[CROWD + 1];
    for (int i = 0; i < CROWD; i++) {
        pthread_create(&threads[i], NULL, crowd_append, &crowd);
    }
    pthread_create(&threads[CROWD], NULL, crowd_disturb, &crowd);
    for (int i = 0; i <= CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_INT(wlog_sync_now(crowd.log), ST_OK);
    uint64_t end = wlog_end(crowd.log);
    EXPECT_INT(wlog_durable(crowd.log), end);
    wlog_close(crowd.log);

    struct wlog_generation generation = {1, WLOG_LSN_FIRST};
    history = (struct wlog_history){.generations = &generation,
                                    .generation_count = 1,
                                    .trim_lsn = WLOG_LSN_FIRST,
                                    .durable_lsn = end};
    EXPECT_INT(wlog_open(&options, &history, &crowd.log), ST_OK);
    struct reading reading = {.rest = BUF_EMPTY};
    EXPECT_INT(wlog_replay(crowd.log, crowd_read, &reading), ST_OK);
    EXPECT_INT(wlog_end(crowd.log), end);
    EXPECT_INT(reading.rest.size, 0);
    EXPECT_INT(reading.records, CROWD * CROWD_APPENDS);
    buf_deinit(&reading.rest);
    wlog_close(crowd.log);
    io_free(io);
}

TEST(wlog_takes_appends_of_many_threads_through_io_uring)
{
    struct io *io;
    if (io_new(IO_ROAD_URING, &io) != ST_OK) {
        printf("skipped: no io_uring here\n");
        return;
    }
    io_free(io);
    crowd_run(IO_ROAD_URING);
}

TEST(wlog_takes_appends_of_many_threads_through_plain_files)
{
    crowd_run(IO_ROAD_PLAIN);
}

/* A log with its threads, on the real disk. */
static struct wlog *threaded_open(struct io *io, enum wlog_sync sync)
{
    struct wlog_options options = {
        .io = io,
        .dir = test_dir(),
        .sync = sync,
        .segment_size = 1 << 20,
        .flushes_max = 1, /* So that holds come at once. */
        .unflushed_max = 4 << 20,
        .background = true,
    };
    struct wlog_history history = {.trim_lsn = WLOG_LSN_FIRST};
    struct wlog *log;
    EXPECT_INT(wlog_open(&options, &history, &log), ST_OK);
    EXPECT_INT(wlog_start(log, 1, WLOG_LSN_FIRST), ST_OK);
    return log;
}

static void record_append(struct wlog *log)
{
    struct bytes record = bytes_of_text("a record of some forty bytes, more or less");
    while (wlog_reserve(log, record.size) == ST_WAIT) {
        usleep(1000);
    }
    wlog_append(log, record.size, &record, 1);
}

/* Waits without touching the log: what is to be done, its own threads do. Awake, so that the caller
 * goes on in the very moment. */
static bool becomes_durable(struct wlog *log, time_t seconds)
{
    uint64_t end = wlog_end(log);
    time_t until = time(NULL) + seconds;
    while (wlog_durable(log) < end && time(NULL) <= until) {
        sched_yield();
    }
    return wlog_durable(log) >= end;
}

TEST(wlog_everysec_gathers_appends_and_is_durable_by_itself)
{
    struct io *io;
    EXPECT_INT(io_new(IO_ROAD_AUTO, &io), ST_OK);
    struct wlog *log = threaded_open(io, WLOG_SYNC_EVERYSEC);
    for (unsigned i = 0; i < 1000; i++) {
        record_append(log);
        wlog_flush(log);
    }
    EXPECT(becomes_durable(log, 5));
    struct wlog_stats stats;
    wlog_get_stats(log, &stats);
    EXPECT_INT(stats.appends, 1000);
    EXPECT(stats.flushes > 0 && stats.flushes < 300);
    wlog_close(log);
    io_free(io);
}

/* Appends that a hold keeps back, or that nobody flushed, are the clock thread's at last. */
TEST(wlog_makes_durable_what_its_callers_forget_to_flush)
{
    struct io *io;
    EXPECT_INT(io_new(IO_ROAD_AUTO, &io), ST_OK);
    struct wlog *log = threaded_open(io, WLOG_SYNC_ALWAYS);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 10; i++) {
            record_append(log);
        }
        wlog_flush(log);
        EXPECT(becomes_durable(log, 5));
        record_append(log);
        wlog_flush(log); /* Ten were carried, one is back: held, and nobody flushes again. */
        EXPECT(becomes_durable(log, 5));
    }
    wlog_close(log);
    io_free(io);
}
