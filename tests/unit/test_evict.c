/* The choice of keys in one shard, and the marks of use it goes by. */
#include "engine/shard/evict.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS (1000000ull * 1000)
#define KEYS_MAX 10000

struct world {
    struct shard shard;
    struct memtable tables[PARTITION_COUNT];
    uint16_t partition_shard[PARTITION_COUNT];
    struct evict_rule rule;
    struct evict_keys keys;
    struct evict_pool pool;
    uint64_t random;
    uint64_t hashes[KEYS_MAX];
    struct entry *entries[KEYS_MAX]; /* NULL: gone. */
    size_t count;
};

static struct world *world_new(enum evict_policy policy)
{
    struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
    memset(world, 0, sizeof(*world));
    world->random = test_seed();
    EXPECT_INT(shard_init(&world->shard, 0), ST_OK);
    EXPECT(shard_try_lock(&world->shard));
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        memtable_init(&world->tables[p], p);
    }
    world->rule.policy = policy;
    world->rule.samples = 5;
    world->rule.lfu_log_factor = 10;
    world->rule.lfu_decay_minutes = 1;
    world->keys = (struct evict_keys){
        .shard = &world->shard, .tables = world->tables, .partition_shard = world->partition_shard};
    evict_pool_init(&world->pool, test_random(&world->random));
    return world;
}

static void world_free(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->entries[i] != NULL) {
            entry_free(world->shard.slab, world->entries[i]);
        }
    }
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        memtable_deinit(&world->tables[p]);
    }
    shard_unlock(&world->shard);
    shard_deinit(&world->shard);
    free(world);
}

static struct shard_key key_of(struct world *world, size_t number, char name[16])
{
    uint64_t hash = world->hashes[number];
    return (struct shard_key){
        .name = bytes_of(name, (size_t)snprintf(name, 16, "k%zu", number)),
        .hash = hash,
        .namespace_id = 1,
        .table = &world->tables[hash_partition(hash)],
    };
}

static void store(struct world *world, size_t number, int64_t expiry_ms)
{
    char name[16];
    struct shard_key key = key_of(world, number, name);
    struct value value = {.type = VALUE_STRING, .shape = VALUE_PACKED, .packed = bytes_of("v", 1)};
    EXPECT_INT(shard_store(&world->shard, &key, world->entries[number], &value, expiry_ms,
                           &world->entries[number]),
               ST_OK);
}

static size_t add(struct world *world, uint32_t access, int64_t expiry_ms)
{
    EXPECT(world->count < KEYS_MAX);
    size_t number = world->count++;
    world->hashes[number] = test_random(&world->random);
    store(world, number, expiry_ms);
    world->entries[number]->access = access & ENTRY_ACCESS_MASK;
    return number;
}

/* One key less; its number. */
static size_t evict_one(struct world *world, unsigned samples)
{
    struct entry *entry = NULL;
    while (entry == NULL) {
        uint64_t from = evict_chance(&world->pool.chance);
        struct evict_pick pick;
        evict_sample(&world->rule, &world->keys, from, samples, NOW_MS, &world->pool);
        EXPECT(evict_take(&world->pool, &pick));
        entry = evict_find(&world->rule, &world->keys, &pick, NOW_MS);
    }
    struct bytes name = entry_key(entry);
    size_t number = (size_t)atoi((const char *)name.data + 1);
    EXPECT(world->entries[number] == entry);
    uint64_t hash = world->hashes[number];
    shard_remove(&world->shard, &world->tables[hash_partition(hash)], 0, hash, entry);
    world->entries[number] = NULL;
    return number;
}

/* -- Marks of use ------------------------------------------------------------------------------ */

TEST(idle_time_is_that_since_the_last_touch_also_when_the_clock_wraps)
{
    struct world *world = world_new(EVICT_LRU);
    uint64_t wrap_ms = ((uint64_t)ENTRY_ACCESS_MASK + 1) * 1000;
    size_t key = add(world, 0, EXPIRY_NONE);
    evict_touch(&world->rule, &world->shard, world->entries[key], wrap_ms - 3000);
    EXPECT_INT(evict_idle_s(world->entries[key], wrap_ms - 3000), 0);
    EXPECT_INT(evict_idle_s(world->entries[key], wrap_ms + 4000), 7);
    world_free(world);
}

TEST(a_counter_rises_with_every_use_without_a_log_factor_and_ends_at_255)
{
    struct world *world = world_new(EVICT_LFU);
    world->rule.lfu_log_factor = 0;
    size_t key = add(world, evict_counter(EVICT_LFU_NEW, NOW_MS), EXPIRY_NONE);
    struct entry *entry = world->entries[key];
    for (unsigned i = EVICT_LFU_NEW; i < 300; i++) {
        EXPECT_INT(evict_frequency(&world->rule, entry->access, NOW_MS), i < 255 ? i : 255);
        evict_touch(&world->rule, &world->shard, entry, NOW_MS);
    }
    world_free(world);
}

/* Redis's documentation: a thousand hits make 18 with a log factor of 10, and 8 … 10 of hundred. */
TEST(a_counter_rises_ever_more_slowly_with_a_log_factor)
{
    struct world *world = world_new(EVICT_VOLATILE_LFU);
    uint64_t sums[2] = {0};
    for (int i = 0; i < 200; i++) {
        size_t key = add(world, evict_counter(EVICT_LFU_NEW, NOW_MS), EXPIRY_NONE);
        struct entry *entry = world->entries[key];
        for (int use = 1; use <= 1000; use++) {
            evict_touch(&world->rule, &world->shard, entry, NOW_MS);
            if (use == 100) {
                sums[0] += evict_frequency(&world->rule, entry->access, NOW_MS);
            }
        }
        sums[1] += evict_frequency(&world->rule, entry->access, NOW_MS);
    }
    EXPECT(sums[0] > 200 * 8 && sums[0] < 200 * 12);
    EXPECT(sums[1] > 200 * 15 && sums[1] < 200 * 22);
    world_free(world);
}

TEST(a_counter_falls_with_the_minutes_of_the_decay_time_and_not_below_nothing)
{
    struct world *world = world_new(EVICT_LFU);
    uint32_t access = evict_counter(20, NOW_MS);
    const struct evict_rule *rule = &world->rule;
    EXPECT_INT(evict_frequency(rule, access, NOW_MS), 20);
    EXPECT_INT(evict_frequency(rule, access, NOW_MS + 7 * 60000), 13);
    EXPECT_INT(evict_frequency(rule, access, NOW_MS + 50 * 60000), 0);
    world->rule.lfu_decay_minutes = 3;
    EXPECT_INT(evict_frequency(rule, access, NOW_MS + 7 * 60000), 18);
    world->rule.lfu_decay_minutes = 0;
    EXPECT_INT(evict_frequency(rule, access, NOW_MS + 7 * 60000), 20);
    /* 16 bits of minutes wrap. */
    world->rule.lfu_decay_minutes = 1;
    access = evict_counter(20, 65534ull * 60000);
    EXPECT_INT(evict_frequency(rule, access, 65539ull * 60000), 15);
    world_free(world);
}

/* -- Choosing ---------------------------------------------------------------------------------- */

TEST(of_all_keys_that_were_looked_at_the_longest_unused_come_first)
{
    struct world *world = world_new(EVICT_LRU);
    enum { COUNT = 500 };
    for (uint32_t i = 0; i < COUNT; i++) {
        add(world, evict_clock(NOW_MS) - i, EXPIRY_NONE); /* The later ones are idle for longer. */
    }
    EXPECT_INT(evict_sample(&world->rule, &world->keys, test_random(&world->random), COUNT, NOW_MS,
                            &world->pool),
               COUNT);
    struct evict_pick pick;
    for (int i = 0; i < EVICT_POOL; i++) {
        EXPECT(evict_take(&world->pool, &pick));
        EXPECT_INT(pick.hash, world->hashes[COUNT - 1 - i]);
    }
    EXPECT(!evict_take(&world->pool, &pick));
    world_free(world);
}

TEST(a_pick_does_not_count_once_its_key_has_been_used_or_has_gone)
{
    struct world *world = world_new(EVICT_LRU);
    for (int i = 0; i < 3; i++) {
        add(world, evict_clock(NOW_MS) - 10, EXPIRY_NONE);
    }
    struct evict_pick picks[3];
    evict_sample(&world->rule, &world->keys, 0, 3, NOW_MS, &world->pool);
    for (int i = 0; i < 3; i++) {
        EXPECT(evict_take(&world->pool, &picks[i]));
    }
    for (int i = 0; i < 3; i++) {
        struct entry *entry = evict_find(&world->rule, &world->keys, &picks[i], NOW_MS + 5000);
        EXPECT(entry != NULL);
        if (i == 0) {
            evict_touch(&world->rule, &world->shard, entry, NOW_MS);
            EXPECT(evict_find(&world->rule, &world->keys, &picks[i], NOW_MS) == NULL);
        }
    }
    struct evict_pick elsewhere = picks[1];
    elsewhere.namespace_id++;
    EXPECT(evict_find(&world->rule, &world->keys, &elsewhere, NOW_MS) == NULL);
    world_free(world);
}

TEST(a_pick_does_not_count_once_its_key_does_not_expire_any_more)
{
    struct world *world = world_new(EVICT_VOLATILE_LRU);
    struct evict_pick pick;
    size_t key = add(world, 0, (int64_t)NOW_MS + 1000);
    EXPECT_INT(evict_sample(&world->rule, &world->keys, 0, 1, NOW_MS, &world->pool), 1);
    EXPECT(evict_take(&world->pool, &pick));
    EXPECT(evict_find(&world->rule, &world->keys, &pick, NOW_MS) == world->entries[key]);
    store(world, key, EXPIRY_NONE);
    EXPECT(evict_find(&world->rule, &world->keys, &pick, NOW_MS) == NULL);
    world_free(world);
}

TEST(half_of_the_keys_just_used_hardly_any_of_them_goes_with_the_first_third)
{
    struct world *world = world_new(EVICT_LRU);
    enum { COUNT = 10000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        add(world, evict_clock(NOW_MS) - (i % 2 == 0 ? 1 : 100), EXPIRY_NONE);
    }
    unsigned lost = 0;
    for (int i = 0; i < COUNT * 3 / 10; i++) {
        lost += evict_one(world, 5) % 2 == 0;
    }
    EXPECT(lost < COUNT * 3 / 10 / 20);
    world_free(world);
}

TEST(keys_in_frequent_use_stay_under_lfu_however_long_ago_their_last_use_was)
{
    struct world *world = world_new(EVICT_LFU);
    enum { COUNT = 10000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        bool hot = i % 10 == 0;
        add(world, evict_counter(hot ? 60 : 6, NOW_MS - (hot ? 600000 : 0)), EXPIRY_NONE);
    }
    unsigned lost = 0;
    for (int i = 0; i < COUNT / 2; i++) {
        lost += evict_one(world, 5) % 10 == 0;
    }
    EXPECT(lost < COUNT / 2 / 100);
    world_free(world);
}

TEST(volatile_policies_find_the_few_keys_that_expire_among_many_that_do_not)
{
    static const enum evict_policy policies[] = {EVICT_VOLATILE_LRU, EVICT_VOLATILE_LFU,
                                                 EVICT_VOLATILE_RANDOM, EVICT_VOLATILE_TTL};
    for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
        struct world *world = world_new(policies[p]);
        for (int i = 0; i < 5000; i++) {
            add(world, 0, i % 100 == 7 ? (int64_t)NOW_MS + i : EXPIRY_NONE);
        }
        /* Some do not expire any more, and some others at another time: their rows stay. */
        for (size_t i = 7; i < 5000; i += 500) {
            store(world, i, EXPIRY_NONE);
            store(world, i + 100, (int64_t)NOW_MS + 100000);
        }
        for (int i = 0; i < 40; i++) {
            size_t number = evict_one(world, 5);
            EXPECT(number % 100 == 7 && number % 500 != 7);
        }
        EXPECT_INT(evict_sample(&world->rule, &world->keys, 0, 5, NOW_MS, &world->pool), 0);
        world_free(world);
    }
}

TEST(under_ttl_the_key_that_expires_next_goes_next)
{
    struct world *world = world_new(EVICT_VOLATILE_TTL);
    enum { COUNT = 2000 };
    for (int i = 0; i < COUNT; i++) {
        add(world, 0, (int64_t)NOW_MS + 10 * (i * 7 % COUNT));
    }
    /* What expires later than it once did has a row too early. */
    for (size_t i = 0; i < COUNT; i += 3) {
        store(world, i, (int64_t)NOW_MS + 20000 + (int64_t)i);
    }
    int64_t last_ms = 0;
    for (int i = 0; i < COUNT; i++) {
        int64_t expiry_ms[COUNT];
        for (int j = 0; i == 0 && j < COUNT; j++) {
            expiry_ms[j] = entry_expiry(world->entries[j]);
        }
        static int64_t known_ms[COUNT];
        if (i == 0) {
            memcpy(known_ms, expiry_ms, sizeof(known_ms));
        }
        int64_t gone_ms = known_ms[evict_one(world, 5)];
        EXPECT(gone_ms >= last_ms);
        last_ms = gone_ms;
    }
    world_free(world);
}

static bool odd_only(void *ctx, const struct entry *entry)
{
    ++*(int *)ctx;
    return atoi((const char *)entry_key(entry).data + 1) % 2 == 1;
}

TEST(whom_the_caller_spares_is_not_picked)
{
    struct world *world = world_new(EVICT_RANDOM);
    int asked = 0;
    world->keys.may = odd_only;
    world->keys.ctx = &asked;
    for (int i = 0; i < 1000; i++) {
        add(world, 0, EXPIRY_NONE);
    }
    for (int i = 0; i < 400; i++) {
        EXPECT_INT(evict_one(world, 5) % 2, 1);
    }
    EXPECT(asked >= 400);
    world_free(world);
}

TEST(a_change_of_policy_forgets_what_was_picked_by_the_one_before)
{
    struct world *world = world_new(EVICT_LRU);
    for (int i = 0; i < 100; i++) {
        add(world, 0, i < 50 ? (int64_t)NOW_MS + 1000 : EXPIRY_NONE);
    }
    evict_sample(&world->rule, &world->keys, 0, 50, NOW_MS, &world->pool);
    world->rule.policy = EVICT_NOTHING;
    EXPECT_INT(evict_sample(&world->rule, &world->keys, 0, 50, NOW_MS, &world->pool), 0);
    struct evict_pick pick;
    EXPECT(!evict_take(&world->pool, &pick));
    world->rule.policy = EVICT_VOLATILE_LRU;
    for (int i = 0; i < 50; i++) {
        EXPECT(evict_one(world, 5) < 50);
    }
    world_free(world);
}
