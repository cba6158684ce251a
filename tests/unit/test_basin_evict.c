/* A store that must not grow beyond its limit: what goes, what stays, and who says so. */
#include "engine/txn/store.h"
#include "tests/lib/session.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT 10000
#define START_MS 1000000

static struct basin *basin;
static struct session session;
static struct basin_memory memory;
static uint64_t now_ms;

static void open_store(bool memory_only, enum evict_policy policy)
{
    struct basin_options options = basin_options_default();
    options.dir = test_dir();
    options.memory_only = memory_only;
    options.memory.policy = policy;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    session_open(&session, basin);
    memory = options.memory;
    session.now_ms = now_ms = START_MS;
}

static void close_store(void)
{
    session_close(&session);
    basin_close(basin);
}

static uint64_t used(void)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats.memory_used;
}

static uint64_t keys(void)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats.keys;
}

/* So many thousandths of what is used now. */
static void limit_to(unsigned thousandths)
{
    memory.max = used() * thousandths / 1000;
    basin_set_memory(basin, &memory);
}

static enum status evict_all(void)
{
    return basin_evict(basin, session.txn, now_ms, UINT64_MAX);
}

static const char *name_of(int number)
{
    static char name[16];
    snprintf(name, sizeof(name), "k%d", number);
    return name;
}

static void set(int number, size_t size)
{
    static char value[1 << 20];
    EXPECT_INT(session_set(&session, name_of(number), bytes_of(value, size)), ST_OK);
}

static void touch(int number)
{
    struct buf value = BUF_EMPTY;
    EXPECT_INT(session_get(&session, name_of(number), &value), ST_OK);
    buf_deinit(&value);
}

static enum status peek(struct txn *txn, void *ctx)
{
    struct value value;
    enum status status = txn_peek(txn, 0, &value);
    *(bool *)ctx = value.type != VALUE_NONE;
    return status;
}

static bool is_there(int number)
{
    bool there = false;
    struct bytes name = bytes_of_text(name_of(number));
    EXPECT_INT(session_run(&session, 0, &name, 1, false, 0, peek, &there), ST_OK);
    return there;
}

static enum status expire(struct txn *txn, void *ctx)
{
    return txn_expire(txn, 0, *(int64_t *)ctx);
}

static void set_expiry(int number, int64_t expiry_ms)
{
    struct bytes name = bytes_of_text(name_of(number));
    EXPECT_INT(session_run(&session, 0, &name, 1, false, 256, expire, &expiry_ms), ST_OK);
}

static enum status frequency_of(struct txn *txn, void *ctx)
{
    *(unsigned *)ctx = txn_counts_uses(txn) ? txn_frequency(txn, 0) : 1000;
    return ST_OK;
}

static unsigned frequency(int number)
{
    unsigned found = 0;
    struct bytes name = bytes_of_text(name_of(number));
    EXPECT_INT(session_run(&session, 0, &name, 1, false, 0, frequency_of, &found), ST_OK);
    return found;
}

/* -- The total ----------------------------------------------------------------------------------
 */

static enum status hash_set(struct txn *txn, void *ctx)
{
    struct value value;
    char text[2][32];
    uint64_t *random = ctx;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK || (value.type != VALUE_NONE && value.type != VALUE_HASH)) {
        return status;
    }
    struct bytes pair[2];
    for (int i = 0; i < 2; i++) {
        pair[i] = bytes_of(text[i], (size_t)snprintf(text[i], sizeof(text[i]), "%d",
                                                     (int)test_random_below(random, 5000)));
    }
    return txn_hash_set(txn, 0, pair, 1, BASIN_KEEP_EXPIRY, NULL);
}

/* What the shards' own books say, slot by slot and page by page. */
static uint64_t recount(void)
{
    uint64_t sum = basin->memory_fixed;
    for (unsigned i = 0; i < basin->shard_count; i++) {
        const struct shard *shard = &basin->shards[i];
        sum += slab_used(shard->slab) + shard->expiry.capacity * sizeof(struct expiry_row);
    }
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        const struct memtable *table = &basin->tables[p];
        sum += memtable_memory(table);
        for (const struct slot *slot = memtable_seek(table, 0); slot != NULL;
             slot = memtable_next(table, slot)) {
            struct value value = entry_value(slot->entry);
            sum += value_memory(&value);
        }
    }
    return sum;
}

TEST(the_total_of_memory_follows_every_change_to_a_few_kib_a_shard)
{
    open_store(true, EVICT_LRU);
    uint64_t random = test_seed();
    for (int i = 0; i < 30000; i++) {
        int number = (int)test_random_below(&random, 4000);
        struct bytes name = bytes_of_text(name_of(number % 10 == 0 ? number % 50 : number));
        switch (test_random_below(&random, 4)) {
        case 0:
            EXPECT_INT(session_delete(&session, name_of(number)), ST_OK);
            break;
        case 1:
            EXPECT_INT(session_run(&session, 0, &name, 1, false, 256, hash_set, &random), ST_OK);
            break;
        case 2:
            set_expiry(number, START_MS + 100000);
            break;
        default:
            set(number, test_random_below(&random, 100) == 0 ? 100000 : i % 300);
        }
        if (i % 1000 == 0) {
            uint64_t true_sum = recount();
            uint64_t total = atomic_load(&basin->memory_used);
            uint64_t off = total > true_sum ? total - true_sum : true_sum - total;
            EXPECT(off <= (uint64_t)basin->shard_count * METER_SLACK);
            EXPECT_INT(used(), true_sum);
        }
    }
    for (int i = 0; i < 4000; i++) {
        EXPECT_INT(session_delete(&session, name_of(i)), ST_OK);
    }
    EXPECT_INT(used(), recount());
    basin_set_memory_beside(basin, 1234567);
    EXPECT_INT(used(), recount() + 1234567);
    basin_set_memory_beside(basin, 0);
    EXPECT_INT(used(), recount());
    close_store();
}

/* -- Policies -----------------------------------------------------------------------------------
 */

TEST(under_lru_the_half_just_read_survives_the_loss_of_the_first_third)
{
    open_store(true, EVICT_LRU);
    for (int i = 0; i < COUNT; i++) {
        set(i, 100);
    }
    session.now_ms = now_ms = START_MS + 60000;
    for (int i = 0; i < COUNT; i += 2) {
        touch(i);
    }
    limit_to(800);
    EXPECT(basin_memory_over(basin));
    EXPECT_INT(evict_all(), ST_OK);
    EXPECT(!basin_memory_over(basin));
    EXPECT(used() <= memory.max);
    unsigned lost_hot = 0;
    unsigned lost = 0;
    for (int i = 0; i < COUNT; i++) {
        bool there = is_there(i);
        lost += !there;
        lost_hot += !there && i % 2 == 0;
    }
    EXPECT(lost > COUNT / 5 && lost < COUNT * 2 / 5);
    EXPECT(lost_hot < lost / 20);
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    EXPECT_INT(stats.evicted_keys, lost);
    close_store();
}

TEST(under_lfu_what_is_read_often_survives_and_a_command_counts_as_one_use)
{
    open_store(true, EVICT_LFU);
    memory.lfu_log_factor = 0;
    basin_set_memory(basin, &memory);
    for (int i = 0; i < COUNT; i++) {
        set(i, 100);
        EXPECT_INT(frequency(i), EVICT_LFU_NEW);
        for (int use = 0; i % 10 == 0 && use < 20; use++) {
            touch(i);
        }
    }
    set(0, 50);
    EXPECT_INT(frequency(0), EVICT_LFU_NEW + 21);
    struct bytes name = bytes_of_text("h");
    uint64_t random = test_seed();
    unsigned found = 0;
    for (int use = 0; use < 5; use++) { /* Each reads, and then writes. */
        EXPECT_INT(session_run(&session, 0, &name, 1, false, 256, hash_set, &random), ST_OK);
        EXPECT_INT(session_run(&session, 0, &name, 1, false, 0, frequency_of, &found), ST_OK);
        EXPECT_INT(found, EVICT_LFU_NEW + use);
    }
    session.now_ms = now_ms = START_MS + 600000;
    EXPECT_INT(frequency(0), EVICT_LFU_NEW + 11);
    limit_to(500);
    EXPECT_INT(evict_all(), ST_OK);
    unsigned lost_hot = 0;
    for (int i = 0; i < COUNT; i += 10) {
        lost_hot += !is_there(i);
    }
    EXPECT(lost_hot < COUNT / 10 / 20);
    close_store();
}

TEST(volatile_policies_spare_keys_without_expiry_and_say_when_nothing_else_is_left)
{
    static const enum evict_policy policies[] = {EVICT_VOLATILE_LRU, EVICT_VOLATILE_LFU,
                                                 EVICT_VOLATILE_RANDOM, EVICT_VOLATILE_TTL};
    for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
        open_store(true, policies[p]);
        for (int i = 0; i < 3000; i++) {
            set(i, 100);
            if (i % 3 == 0) {
                set_expiry(i, START_MS + 1000000 + i);
            }
        }
        limit_to(900);
        EXPECT_INT(evict_all(), ST_OK);
        EXPECT(keys() > 2000 && keys() < 3000);
        limit_to(10);
        EXPECT_INT(evict_all(), ST_LIMIT);
        EXPECT_INT(keys(), 2000);
        for (int i = 0; i < 3000; i++) {
            EXPECT_INT(is_there(i), i % 3 != 0);
        }
        close_store();
    }
}

TEST(under_ttl_the_nearest_expiries_go_first)
{
    open_store(true, EVICT_VOLATILE_TTL);
    for (int i = 0; i < COUNT; i++) {
        set(i, 100);
        set_expiry(i, START_MS + 1000000 + i);
    }
    limit_to(700);
    EXPECT_INT(evict_all(), ST_OK);
    int gone = COUNT - (int)keys();
    EXPECT(gone > COUNT / 5);
    /* One shard may be ahead of the others by as many keys as a pool holds. */
    int spread = gone + (int)basin->shard_count * EVICT_POOL;
    for (int i = spread; i < COUNT; i++) {
        EXPECT(is_there(i));
    }
    close_store();
}

static enum status hash_with_expiry(struct txn *txn, void *ctx)
{
    struct value value;
    struct bytes pair[2] = {bytes_of_text("field"), bytes_of_text("value")};
    enum status status = txn_read(txn, 0, &value);
    return status == ST_OK ? txn_hash_set(txn, 0, pair, 1, *(int64_t *)ctx, NULL) : status;
}

TEST(hashes_whose_fields_expire_sooner_do_not_hide_the_keys_that_do)
{
    static const enum evict_policy policies[] = {EVICT_VOLATILE_TTL, EVICT_VOLATILE_LRU};
    for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
        open_store(true, policies[p]);
        for (int i = 0; i < 2000; i++) {
            struct bytes name = bytes_of_text(name_of(i));
            int64_t expiry_ms = START_MS + 1000 + i;
            EXPECT_INT(session_run(&session, 0, &name, 1, false, 256, hash_with_expiry, &expiry_ms),
                       ST_OK);
        }
        for (int i = 2000; i < 2100; i++) {
            set(i, 100);
            set_expiry(i, START_MS + 1000000);
        }
        limit_to(10);
        EXPECT_INT(evict_all(), ST_LIMIT);
        EXPECT_INT(keys(), 2000);
        close_store();
    }
}

TEST(everything_goes_at_random_if_it_must_from_all_databases_and_then_nothing_is_left_to_go)
{
    open_store(true, EVICT_RANDOM);
    for (int i = 0; i < 2000; i++) {
        struct bytes name = bytes_of_text(name_of(i));
        uint64_t random = (uint64_t)i;
        EXPECT_INT(session_run(&session, (unsigned)i % 16, &name, 1, false, 256, hash_set, &random),
                   ST_OK);
    }
    memory.max = 1;
    basin_set_memory(basin, &memory);
    EXPECT_INT(evict_all(), ST_LIMIT);
    EXPECT_INT(keys(), 0);
    close_store();
}

/* -- When and how much ----------------------------------------------------------------------------
 */

TEST(without_a_policy_and_with_a_log_no_key_goes)
{
    for (int logs = 0; logs < 2; logs++) {
        open_store(logs == 0, logs == 0 ? EVICT_NOTHING : EVICT_LRU);
        for (int i = 0; i < 1000; i++) {
            set(i, 100);
        }
        EXPECT_INT(evict_all(), ST_OK);
        limit_to(500);
        EXPECT_INT(evict_all(), logs == 0 ? ST_LIMIT : ST_WAIT);
        while (basin_tick(basin, session.txn, 0, 1, now_ms, 1000)) {
        }
        EXPECT_INT(keys(), 1000);
        close_store();
    }
}

TEST(a_budget_ends_the_work_and_the_background_goes_on_with_it)
{
    open_store(true, EVICT_LRU);
    for (int i = 0; i < COUNT; i++) {
        set(i, 100);
    }
    limit_to(500);
    EXPECT_INT(basin_evict(basin, session.txn, now_ms, 0), ST_BUSY);
    EXPECT_INT(keys(), COUNT - 1);
    for (int i = 0; i < 1000000 && basin_memory_over(basin); i++) {
        basin_tick(basin, session.txn, 0, 1, now_ms, 100);
    }
    EXPECT(used() <= memory.max);
    EXPECT(keys() > COUNT / 3);
    close_store();
}

static enum status flush_all(struct txn *txn, void *ctx)
{
    (void)ctx;
    return txn_flush_all(txn);
}

TEST(what_a_flush_left_behind_goes_before_any_key_that_lives_whatever_the_policy)
{
    for (int p = 0; p < 2; p++) {
        open_store(true, p == 0 ? EVICT_LRU : EVICT_NOTHING);
        for (int i = 0; i < COUNT; i++) {
            set(i, 100);
        }
        limit_to(500);
        EXPECT_INT(session_run(&session, 0, NULL, 0, true, 256, flush_all, NULL), ST_OK);
        for (int i = 0; i < 1000; i++) {
            set(i, 100);
        }
        EXPECT(basin_memory_over(basin));
        EXPECT_INT(evict_all(), ST_OK);
        EXPECT_INT(keys(), 1000);
        close_store();
    }
}

TEST(large_values_go_too_and_are_given_back_in_slices)
{
    open_store(true, EVICT_LRU);
    for (int i = 0; i < 64; i++) {
        set(i, 1 << 20);
        session.now_ms = now_ms += 1000;
    }
    limit_to(250);
    EXPECT_INT(evict_all(), ST_OK);
    EXPECT(keys() > 8 && keys() <= 16);
    EXPECT(is_there(63));
    size_t dead = 0;
    while (basin_tick(basin, session.txn, 0, 1, now_ms, 1000)) {
    }
    for (unsigned i = 0; i < basin->shard_count; i++) {
        dead += basin->shards[i].dead_count;
    }
    EXPECT_INT(dead, 0);
    close_store();
}

/* A shard that another holds, maybe a command that only this thread can wake, is not waited for. */
TEST(busy_shards_are_passed_over)
{
    open_store(true, EVICT_LRU);
    for (int i = 0; i < 1000; i++) {
        set(i, 100);
    }
    limit_to(800);
    for (unsigned i = 0; i < basin->shard_count; i++) {
        EXPECT(shard_try_lock(&basin->shards[i]));
    }
    EXPECT_INT(evict_all(), ST_BUSY);
    shard_unlock(&basin->shards[0]);
    EXPECT_INT(evict_all(), ST_BUSY);
    for (unsigned i = 1; i < basin->shard_count; i++) {
        shard_unlock(&basin->shards[i]);
    }
    EXPECT_INT(evict_all(), ST_OK);
    close_store();
}

/* -- Threads ------------------------------------------------------------------------------------
 */

#define THREADS 4

struct lane {
    struct session session;
    pthread_t thread;
    uint64_t random;
    uint64_t refused;
};

static void *lane_run(void *arg)
{
    static char value[2000];
    struct lane *lane = arg;
    char name[16];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "k%d", (int)test_random_below(&lane->random, 100000));
        if (basin_memory_over(basin)) {
            lane->refused +=
                basin_evict(basin, lane->session.txn, START_MS, UINT64_MAX) == ST_LIMIT;
        }
        struct bytes bytes = bytes_of(value, test_random_below(&lane->random, sizeof(value)));
        EXPECT_INT(session_set(&lane->session, name, bytes), ST_OK);
    }
    return NULL;
}

TEST(threads_that_write_and_evict_side_by_side_stay_within_the_limit)
{
    open_store(true, EVICT_LRU);
    memory.max = used() + (4 << 20);
    basin_set_memory(basin, &memory);
    static struct lane lanes[THREADS];
    for (int i = 0; i < THREADS; i++) {
        lanes[i] = (struct lane){.random = test_seed() + (uint64_t)i};
        session_open(&lanes[i].session, basin);
        EXPECT_INT(pthread_create(&lanes[i].thread, NULL, lane_run, &lanes[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(lanes[i].thread, NULL);
        session_close(&lanes[i].session);
        EXPECT_INT(lanes[i].refused, 0);
    }
    EXPECT(used() < memory.max + memory.max / 20);
    EXPECT(keys() > 1000);
    EXPECT_INT(used(), recount());
    close_store();
}
