/* How much memory the store uses, how much it may use, and by which rule what is in it goes. */
#include "engine/txn/store.h"

static void rule_fill(struct evict_rule *rule, enum evict_policy policy,
                      const struct basin_memory *memory)
{
    atomic_store(&rule->policy, policy);
    atomic_store(&rule->samples, memory->samples);
    atomic_store(&rule->lfu_log_factor, memory->lfu_log_factor);
    atomic_store(&rule->lfu_decay_minutes, memory->lfu_decay_minutes);
}

static void rule_set(struct basin *basin, const struct basin_memory *memory)
{
    rule_fill(&basin->rule, memory->policy, memory);
    /* What is on disk may leave memory whatever the policy; only the marks of use are the same. */
    bool counts = (memory->policy & EVICT_ORDER_MASK) == EVICT_LFU;
    rule_fill(&basin->disk_rule, counts ? EVICT_LFU : EVICT_LRU, memory);
}

void store_sample(struct basin *basin, struct shard *shard)
{
    if (shard_try_lock(shard)) {
        shard_meter(shard, &basin->memory_used, 0);
        atomic_store_explicit(&shard->memory_held, shard_memory_held(shard), memory_order_relaxed);
        atomic_store_explicit(&shard->memory_seen, shard_memory(shard), memory_order_relaxed);
        atomic_store_explicit(&shard->lsn_seen, shard->last_lsn, memory_order_relaxed);
        shard_unlock(shard);
    }
}

void basin_set_memory(struct basin *basin, const struct basin_memory *memory)
{
    rule_set(basin, memory);
    for (unsigned i = 0; i < basin->shard_count; i++) {
        store_sample(basin, &basin->shards[i]);
    }
    atomic_store(&basin->memory_max, memory->max == 0 ? UINT64_MAX : memory->max);
}

void basin_set_memory_beside(struct basin *basin, uint64_t bytes)
{
    uint64_t before = atomic_exchange(&basin->memory_beside, bytes);
    atomic_fetch_add(&basin->memory_used, bytes - before);
}

bool basin_memory_over(const struct basin *basin)
{
    return atomic_load_explicit(&basin->memory_used, memory_order_relaxed) +
               atomic_load_explicit(&basin->strata.memory, memory_order_relaxed) >
           atomic_load_explicit(&basin->memory_max, memory_order_relaxed);
}

static uint64_t evict_table(struct shard *shard, struct memtable *table, uint64_t odds,
                            uint64_t *state)
{
    uint64_t count = 0;
    const struct slot *slot = memtable_seek(table, 0);
    while (slot != NULL) {
        uint64_t hash = slot->hash;
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        if (entry_clean(slot->entry) && (*state >> 33) % odds == 0) {
            shard_evict(shard, table, hash, slot->entry);
            count++;
            slot = memtable_seek(table, hash); /* The table has moved. */
        } else {
            slot = memtable_next(table, slot);
        }
    }
    return count;
}

uint64_t basin_forget(struct basin *basin, uint64_t odds, uint64_t seed)
{
    uint64_t count = 0;
    for (unsigned p = 0; p < PARTITION_COUNT && basin->settles; p++) {
        struct shard *shard = &basin->shards[basin->partition_shard[p]];
        shard_lock_blocking(shard);
        if (atomic_load(&basin->windows) == 0) {
            count += evict_table(shard, &basin->tables[p], odds, &seed);
        }
        shard_unlock(shard);
    }
    return count;
}
