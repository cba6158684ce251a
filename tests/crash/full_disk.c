/* full_disk: a real file system that fills up, fails, turns read-only, or loses its power.
 *
 * Needs root (loop devices). A device that fails single writes would need the device mapper, which
 * not every kernel has; failed writes and syncs one by one are in tests/fault/ on the simulated
 * disk. Here ext4 itself stops all I/O, which is how a dying disk ends.
 */
#include "tests/crash/ledger.h"
#include "tests/crash/loop_disk.h"
#include "tests/lib/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DISK_MB 96
#define BALLAST_MB 40
#define VALUE 30000
#define TWICE 600
#define MOST 5000 /* Values of which no disk here holds so many. */
#define OUTPUT_MAX 16384
#define HEALS_MS 10000

static struct process *serving;
static char dir[128];
#define ROAD 3
#define SETTLES 4
static const char *arguments[16] = {"--log-segment-size", "4mb", "--log-road"};

/* How the server writes. One that settles keeps little in memory too. */
static const struct way {
    const char *road;
    bool settles;
} ways[] = {{"io_uring", false}, {"plain", false}, {"auto", true}};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void serve_end(void)
{
    process_free(serving);
    serving = NULL;
}

/* Kills what runs, and starts on the disk. */
static redisContext *serve(void)
{
    serve_end();
    struct process_options options = {.dir = dir, .arguments = arguments};
    serving = process_start(&options);
    EXPECT(serving != NULL);
    return ledger_connect(serving);
}

/* A fresh disk with a directory for the store; ends what an earlier test left. */
static void disk_use(const char *mount, struct way way)
{
    EXPECT(mount != NULL);
    snprintf(dir, sizeof(dir), "%s/store", mount);
    shell("mkdir '%s'", dir);
    static const char *const settling[] = {"--settle-log-size", "1mb", "--maxmemory", "8mb"};
    arguments[ROAD] = way.road;
    for (unsigned i = 0; i < 4; i++) {
        arguments[SETTLES + i] = way.settles ? settling[i] : NULL;
    }
}

static void disk_drop(void)
{
    serve_end();
    loop_disk_end();
}

static void ballast_put(unsigned megabytes)
{
    shell("dd if=/dev/zero of='%s/../ballast' bs=1M count=%u status=none", dir, megabytes);
}

static void ballast_remove(void)
{
    shell("rm '%s/../ballast'", dir);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void expect_quick_ping(redisContext *context)
{
    int64_t start = now_ms();
    redisReply *reply = redisCommand(context, "PING");
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    EXPECT(now_ms() - start < 500);
}

/* Fills the disk; gives how many keys were acknowledged. The first are written twice: by then they
 * are on disk alone, if the server settles, and it does not look whether they were there. */
static uint64_t fill(redisContext *context)
{
    char error[128] = "";
    ledger_write(context, 0, TWICE, VALUE, NULL);
    uint64_t count = ledger_write(context, 0, MOST, VALUE, error);
    EXPECT(count > 0 && count < MOST);
    if (strstr(error, "disk full") == NULL) {
        test_fail(__FILE__, __LINE__, "the error does not name the full disk: %s", error);
    }
    return count;
}

/* Writes again and again until one succeeds; gives how long that took. */
static int64_t heal(redisContext *context, uint64_t next)
{
    char error[128];
    int64_t start = now_ms();
    while (ledger_write(context, next, 1, VALUE, error) == 0) {
        EXPECT(now_ms() - start < HEALS_MS);
        usleep(50000);
    }
    return now_ms() - start;
}

/* -- Full ----------------------------------------------------------------------------------------
 */

static void full_and_healed(const char *mount, struct way way)
{
    disk_use(mount, way);
    ballast_put(BALLAST_MB);
    redisContext *context = serve();
    uint64_t count = fill(context);
    char error[128];
    for (unsigned i = 0; i < 20; i++) { /* It stays so, without harm. */
        EXPECT_INT(ledger_write(context, count, 1, VALUE, error), 0);
        expect_quick_ping(context);
    }
    EXPECT_INT(ledger_reach(context, count + 1), count);
    ballast_remove();
    int64_t took_ms = heal(context, count);
    printf("  %s%s on %s: full after %" PRIu64 " values, healed in %" PRId64 " ms\n", way.road,
           way.settles ? ", settling," : "", mount, count, took_ms);
    EXPECT(took_ms < 5000);
    ledger_write(context, count + 1, 100, VALUE, NULL);
    redisFree(context);
    context = serve();
    EXPECT_INT(ledger_reach(context, MOST), count + 101);
    redisFree(context);
    disk_drop();
}

TEST(a_full_disk_refuses_writes_and_heals_when_there_is_space)
{
    for (size_t i = 0; i < WAYS && loop_disk_possible(); i++) {
        full_and_healed(loop_disk_make(DISK_MB, ""), ways[i]);
    }
}

/* No direct writes there on older kernels, and no journal. */
TEST(a_full_tmpfs_refuses_writes_and_heals_when_there_is_space)
{
    for (size_t i = 0; i < WAYS && loop_disk_possible(); i++) {
        full_and_healed(loop_disk_make_tmpfs(DISK_MB), ways[i]);
    }
}

/* Either it starts on the full disk, or it says why not; never is anything lost. */
static void restart_while_full(uint64_t count)
{
    char output[OUTPUT_MAX];
    int code = ledger_refusal(dir, "timeout 4", arguments, output, sizeof(output));
    if (code != 124) {
        EXPECT_INT(code, 1);
        EXPECT(strstr(output, "disk is full") != NULL);
    }
    printf("  on the full disk it %s\n", code == 124 ? "starts" : "refuses to start, saying why");
    if (code == 124) {
        redisContext *context = serve();
        EXPECT_INT(ledger_reach(context, MOST), count);
        redisFree(context);
        serve_end();
    }
    ballast_remove();
    redisContext *context = serve();
    EXPECT_INT(ledger_reach(context, MOST), count);
    ledger_write(context, count, 50, VALUE, NULL);
    EXPECT_INT(ledger_reach(context, MOST), count + 50);
    redisFree(context);
}

/* Ends the server on a disk without a free byte, one way or the other, and starts it again. */
static void ended_while_full(struct way way, bool killed)
{
    disk_use(loop_disk_make(DISK_MB, ""), way);
    ballast_put(BALLAST_MB);
    redisContext *context = serve();
    uint64_t count = fill(context);
    redisFree(context);
    if (killed) {
        process_kill(serving);
    }
    shell("dd if=/dev/zero of='%s/../more' bs=4k status=none 2> /dev/null || true", dir);
    if (!killed) {
        process_stop(serving);
    }
    restart_while_full(count);
    disk_drop();
}

TEST(a_kill_while_the_disk_is_full_loses_nothing)
{
    for (size_t i = 0; i < WAYS && loop_disk_possible(); i++) {
        ended_while_full(ways[i], true);
    }
}

TEST(an_orderly_stop_while_the_disk_is_full_loses_nothing)
{
    for (size_t i = 0; i < WAYS && loop_disk_possible(); i++) {
        ended_while_full(ways[i], false);
    }
}

/* -- Full, with most of the data in strata -------------------------------------------------------
 */

#define STRATA_VALUE 3000
#define STRATA_MOST 40000
#define STRATA_BALLAST_MB 64
#define BATCH 500

/* Rounds and merges come many times a second, and nearly all values have left memory. */
static void strata_use(const char *settle, const char *maxmemory)
{
    static const char *words[] = {"--settle-log-size", NULL, "--maxmemory", NULL, "--workers", "2"};
    words[1] = settle;
    words[3] = maxmemory;
    arguments[1] = "1mb";
    memcpy(arguments + 4, words, sizeof(words));
}

static void strata_drop(void)
{
    disk_drop();
    arguments[1] = "4mb";
    arguments[4] = NULL;
}

static long long figure(redisContext *context, const char *name)
{
    char pattern[64];
    snprintf(pattern, sizeof(pattern), "\n%s:", name);
    redisReply *reply = redisCommand(context, "INFO storage");
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_STRING);
    const char *at = strstr(reply->str, pattern);
    EXPECT(at != NULL);
    long long value = strtoll(at + strlen(pattern), NULL, 10);
    freeReplyObject(reply);
    return value;
}

/* Writes until the disk is full, each batch of keys and then some of the last ones again, so that
 * much of what is settled is dead and merged away. Gives how many keys there are. */
static uint64_t strata_fill(redisContext *context)
{
    char error[128] = "";
    uint64_t count = 0;
    bool full = false;
    while (!full && count < STRATA_MOST) {
        uint64_t done = ledger_write(context, count, BATCH, STRATA_VALUE, error);
        count += done;
        full = done < BATCH;
        for (unsigned again = 0; again < 2 && !full; again++) {
            uint64_t first = count < 4 * BATCH ? 0 : count - 4 * BATCH;
            full = ledger_write(context, first, BATCH, STRATA_VALUE, error) < BATCH;
        }
    }
    EXPECT(count > 0 && full);
    if (strstr(error, "disk full") == NULL) {
        test_fail(__FILE__, __LINE__, "the error does not name the full disk: %s", error);
    }
    return count;
}

/* Writes are refused, reads of what has left memory go on. */
static void expect_full(redisContext *context, uint64_t count)
{
    char error[128];
    for (unsigned i = 0; i < 20; i++) {
        uint64_t taken = ledger_write(context, 0, 1, STRATA_VALUE, error);
        EXPECT(taken == 1 || strstr(error, "disk full") != NULL);
        expect_quick_ping(context);
    }
    EXPECT_INT(ledger_below(context, count + BATCH), count);
    redisReply *reply = redisCommand(context, "BASIN.SETTLE");
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

static void strata_full_and_healed(const char *road, const char *settle, const char *maxmemory)
{
    disk_use(loop_disk_make(DISK_MB, ""), (struct way){road, false});
    strata_use(settle, maxmemory);
    ballast_put(STRATA_BALLAST_MB);
    redisContext *context = serve();
    uint64_t count = strata_fill(context);
    expect_full(context, count);
    long long rounds = figure(context, "storage_settle_rounds");
    long long passes = figure(context, "storage_merge_passes");
    ballast_remove();
    char error[128];
    int64_t start = now_ms();
    while (ledger_write(context, count, 1, STRATA_VALUE, error) == 0) {
        EXPECT(now_ms() - start < HEALS_MS);
        usleep(50000);
    }
    printf("  %s, %s: full after %" PRIu64
           " values, %lld rounds and %lld merges, healed in %" PRId64 " ms\n",
           road, settle, count, rounds, passes, now_ms() - start);
    EXPECT(rounds > 0);
    /* The first that is taken may be followed by some that are not, until a round has ended. */
    for (uint64_t done = 0; done < 3 * BATCH;) {
        done += ledger_write(context, count + 1 + done, 3 * BATCH - done, STRATA_VALUE, error);
        EXPECT(now_ms() - start < 2 * HEALS_MS);
    }
    EXPECT_INT(ledger_reach(context, STRATA_MOST), count + 1 + 3 * BATCH);
    redisFree(context);
    context = serve();
    EXPECT_INT(ledger_reach(context, STRATA_MOST), count + 1 + 3 * BATCH);
    redisFree(context);
    strata_drop();
}

TEST(a_disk_that_fills_up_while_settling_and_merging_refuses_writes_and_heals)
{
    if (loop_disk_possible()) {
        strata_full_and_healed("io_uring", "256kb", "4mb");
        strata_full_and_healed("plain", "1mb", "16mb");
    }
}

TEST(a_kill_while_settling_finds_the_disk_full_loses_nothing)
{
    for (unsigned orderly = 0; orderly < 2 && loop_disk_possible(); orderly++) {
        disk_use(loop_disk_make(DISK_MB, ""), (struct way){"auto", false});
        strata_use("256kb", "4mb");
        ballast_put(STRATA_BALLAST_MB);
        redisContext *context = serve();
        uint64_t count = strata_fill(context);
        redisFree(context);
        if (orderly) {
            process_stop(serving);
        } else {
            process_kill(serving);
        }
        shell("dd if=/dev/zero of='%s/../more' bs=4k status=none 2> /dev/null || true", dir);
        char output[OUTPUT_MAX];
        int code = ledger_refusal(dir, "timeout 4", arguments, output, sizeof(output));
        if (code != 124) {
            EXPECT_INT(code, 1);
            EXPECT(strstr(output, "disk is full") != NULL);
        }
        shell("rm -f '%s/../more' '%s/../ballast'", dir, dir);
        context = serve();
        EXPECT_INT(ledger_reach(context, STRATA_MOST), count);
        ledger_write(context, count, 50, STRATA_VALUE, NULL);
        EXPECT_INT(ledger_reach(context, STRATA_MOST), count + 50);
        redisFree(context);
        strata_drop();
    }
}

/* Merging needs room before it gives any back: on a disk that holds three times what is live
 * writers are never refused, however often it is all written anew. */
TEST(garbage_does_not_fill_the_disk)
{
    if (!loop_disk_possible()) {
        return;
    }
    disk_use(loop_disk_make(DISK_MB, ""), (struct way){"auto", false});
    strata_use("256kb", "4mb");
    ballast_put(STRATA_BALLAST_MB);
    redisContext *context = serve();
    const unsigned count = 3000;
    for (unsigned pass = 0; pass < 8; pass++) {
        for (uint64_t first = 0; first < count; first += BATCH) {
            EXPECT_INT(ledger_write(context, first, BATCH, STRATA_VALUE, NULL), BATCH);
        }
    }
    EXPECT_INT(ledger_reach(context, count + BATCH), count);
    redisReply *reply = redisCommand(context, "BASIN.COMPACT");
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    printf("  %lld KB on disk for %u KB\n", figure(context, "storage_disk_bytes") >> 10,
           count * STRATA_VALUE >> 10);
    EXPECT(figure(context, "storage_disk_bytes") < count * STRATA_VALUE * 3 / 2);
    redisFree(context);
    strata_drop();
}

/* -- Failing
 * --------------------------------------------------------------------------------------- */

/* After the disk failed: reads of what is durable go on, writes are refused, nobody crashes. The
 * connection whose write failed has been told so and closed, so another one asks. */
static void expect_dead_but_reading(uint64_t count)
{
    char error[128] = "";
    redisContext *context = ledger_connect(serving);
    EXPECT_INT(ledger_below(context, count), count);
    EXPECT_INT(ledger_write(context, count, 1, VALUE, error), 0);
    EXPECT(strstr(error, "write log failed") != NULL);
    expect_quick_ping(context);
    redisFree(context);
    /* W4: the write that failed has changed memory, but nobody is shown it. */
    context = ledger_connect(serving);
    redisReply *reply = redisCommand(context, "GET k:%llu", (unsigned long long)count);
    EXPECT(reply == NULL || reply->type == REDIS_REPLY_ERROR);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    redisFree(context);
    EXPECT(!process_ended(serving));
}

TEST(a_failing_disk_refuses_writes_and_reads_go_on)
{
    for (size_t i = 0; i < WAYS && loop_disk_possible(); i++) {
        disk_use(loop_disk_make(DISK_MB, ""), ways[i]);
        redisContext *context = serve();
        uint64_t count = 300;
        ledger_write(context, 0, count, 1000, NULL);
        EXPECT(loop_disk_cut());
        char error[128] = "";
        EXPECT_INT(ledger_write(context, count, 1, 1000, error), 0);
        EXPECT(strstr(error, "write log failed") != NULL);
        redisFree(context);
        expect_dead_but_reading(count);
        EXPECT(process_stop(serving) != 0); /* It says that the stop was not clean. */
        serve_end();
        EXPECT(loop_disk_remount());
        context = serve();
        EXPECT_INT(ledger_reach(context, MOST), count);
        ledger_write(context, count, 10, 1000, NULL);
        redisFree(context);
        disk_drop();
    }
}

TEST(a_disk_that_turns_read_only_refuses_writes_and_reads_go_on)
{
    if (!loop_disk_possible()) {
        return;
    }
    disk_use(loop_disk_make(DISK_MB, "errors=remount-ro"), ways[0]);
    redisContext *context = serve();
    ledger_write(context, 0, 300, 1000, NULL);
    EXPECT(loop_disk_break());
    char error[128] = "";
    uint64_t count = 300 + ledger_write(context, 300, 2000, VALUE, error);
    EXPECT(count < 2300 && strstr(error, "write log failed") != NULL);
    redisFree(context);
    expect_dead_but_reading(count);
    serve_end();
    EXPECT(loop_disk_remount());
    context = serve();
    EXPECT(ledger_reach(context, MOST) >= count);
    redisFree(context);
    disk_drop();
}

TEST(a_read_only_disk_is_refused_at_the_start_and_heals)
{
    if (!loop_disk_possible()) {
        return;
    }
    char output[OUTPUT_MAX];
    disk_use(loop_disk_make(DISK_MB, ""), ways[0]);
    redisContext *context = serve();
    ledger_write(context, 0, 100, 1000, NULL);
    redisFree(context);
    serve_end();
    shell("mount -o remount,ro '%s/..'", dir);
    EXPECT_INT(ledger_refusal(dir, "", arguments, output, sizeof(output)), 1);
    EXPECT(strstr(output, "Read-only") != NULL && strstr(output, dir) != NULL);
    shell("mount -o remount,rw '%s/..'", dir);
    context = serve();
    EXPECT_INT(ledger_reach(context, MOST), 100);
    redisFree(context);
    disk_drop();
}
