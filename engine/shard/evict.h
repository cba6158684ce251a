/* evict: how keys are marked as used, and which of a shard's keys should leave memory first.
 *
 *     evict_touch at each use → evict_sample some keys of some shards into a pool
 *         → evict_take the best of the pool → evict_find it again, still unused → the caller's turn
 *
 * Exact orders would cost a list node a key and a write to it at each use. Instead, a few keys are
 * looked at and the best EVICT_POOL seen so far are remembered, over all shards, so that a pool
 * filled bit by bit comes close to the true order while only one shard is locked at a time. A pick
 * is a memory of a key, not a hold on it: it counts only if the key, looked up again, has not
 * become a worse one. Keys lie in order of their hash, so neighbours in a table are keys by chance,
 * and a sample is a run of slots, found once instead of key by key.
 *
 * The 28 bits of an entry's access field: under LRU and all policies that need neither, seconds;
 * under LFU, 16 bits of minutes above an 8-bit counter. The counter rises by chance, ever more
 * seldom (1 in counter × lfu_log_factor), so that 255 stand for a million uses, and falls by one
 * every lfu_decay_minutes in which the key is not used; new keys begin at EVICT_LFU_NEW so that
 * they do not go before they had a chance. After a change of policy the field means little until
 * the key is next used. Source: S. Sanfilippo, "Random notes on improving the Redis LRU algorithm",
 * 2016; R. Morris, "Counting large numbers of events in small registers", 1978.
 *
 * Who may be picked beyond the policy is the caller's to say: keys to delete, or entries that are
 * clean and may be forgotten. Thread: the holder of the shard; a pool has one owner.
 */
#ifndef BASIN_ENGINE_SHARD_EVICT_H
#define BASIN_ENGINE_SHARD_EVICT_H

#include "engine/shard/evict_policy.h"
#include "engine/shard/shard.h"

#define EVICT_POOL 16
#define EVICT_SAMPLES_MAX 1024 /* More are not looked at in one go, whatever the rule says. */
#define EVICT_LFU_NEW 5
#define EVICT_LFU_MAX 255

/* As set; each word is read by itself, without a lock. */
struct evict_rule {
    _Atomic uint32_t policy; /* enum evict_policy */
    _Atomic uint32_t samples, lfu_log_factor, lfu_decay_minutes;
};

static inline uint32_t evict_policy_of(const struct evict_rule *rule)
{
    return atomic_load_explicit(&rule->policy, memory_order_relaxed);
}

static inline bool evict_counts_uses(const struct evict_rule *rule)
{
    return (evict_policy_of(rule) & EVICT_ORDER_MASK) == EVICT_LFU;
}

/* -- Marks of use: the caller holds the shard -------------------------------------------------- */

static inline uint32_t evict_clock(uint64_t now_ms)
{
    return (uint32_t)(now_ms / 1000) & ENTRY_ACCESS_MASK;
}

/* Under LFU: the field of a key with that counter as of now. */
uint32_t evict_counter(unsigned frequency, uint64_t now_ms);
/* Under LFU: the field after one more use. */
uint32_t evict_counted(const struct evict_rule *rule, uint32_t access, uint64_t now_ms,
                       uint64_t *chance);

/* The field of a key that has just come. */
static inline uint32_t evict_fresh(const struct evict_rule *rule, uint64_t now_ms)
{
    return evict_counts_uses(rule) ? evict_counter(EVICT_LFU_NEW, now_ms) : evict_clock(now_ms);
}

static inline void evict_touch(const struct evict_rule *rule, struct shard *shard,
                               struct entry *entry, uint64_t now_ms)
{
    entry->access = __builtin_expect(evict_counts_uses(rule), 0)
                        ? evict_counted(rule, entry->access, now_ms, &shard->chance)
                        : evict_clock(now_ms);
}

/* Seconds since the last use; not under LFU. */
static inline uint64_t evict_idle_s(const struct entry *entry, uint64_t now_ms)
{
    return (evict_clock(now_ms) - entry->access) & ENTRY_ACCESS_MASK;
}

/* The counter as of now; under LFU. */
unsigned evict_frequency(const struct evict_rule *rule, uint32_t access, uint64_t now_ms);

/* -- Choosing ---------------------------------------------------------------------------------- */

/* The keys of a locked shard. */
struct evict_keys {
    struct shard *shard;
    struct memtable *tables;                           /* Of all partitions; */
    const uint16_t *partition_shard;                   /* whose they are. */
    bool (*may)(void *ctx, const struct entry *entry); /* NULL: any may be picked. */
    void *ctx;
};

struct evict_pick {
    uint64_t score; /* The higher, the sooner it should go. */
    uint64_t hash;
    uint32_t namespace_id;
};

struct evict_pool {
    uint64_t chance;
    uint32_t policy; /* Which the picks were scored by. */
    unsigned count;
    struct evict_pick picks[EVICT_POOL]; /* Ascending by score. */
};

void evict_pool_init(struct evict_pool *pool, uint64_t seed);
uint64_t evict_chance(uint64_t *state); /* The next number by chance. */

/* Looks at up to `wanted` keys that the policy allows, from the hash `from` on, which need not lie
 * in the shard, and remembers the good ones. How many were looked at. */
unsigned evict_sample(const struct evict_rule *rule, const struct evict_keys *keys, uint64_t from,
                      unsigned wanted, uint64_t now_ms, struct evict_pool *pool);
/* Takes the best pick out of the pool. */
bool evict_take(struct evict_pool *pool, struct evict_pick *pick_out);
/* The entry that a pick of this shard stands for. NULL: it has gone, or has been used since. */
struct entry *evict_find(const struct evict_rule *rule, const struct evict_keys *keys,
                         const struct evict_pick *pick, uint64_t now_ms);

#endif
