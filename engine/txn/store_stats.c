/* What INFO, BASIN.SHARDS and BASIN.STRATA ask for: counters, added up without waiting for any
 * shard. */
#include "engine/base/check.h"
#include "engine/txn/store.h"

void basin_database_stats(struct basin *basin, unsigned database, uint64_t now_ms,
                          struct basin_database_stats *stats_out)
{
    *stats_out = (struct basin_database_stats){0};
    double ttl_sum = 0;
    uint64_t ttl_count = 0;
    for (unsigned i = 0; i < basin->shard_count; i++) {
        struct shard *shard = &basin->shards[i];
        stats_out->keys += atomic_load(&shard->databases[database].keys);
        stats_out->volatile_keys += atomic_load(&shard->databases[database].volatile_keys);
    }
    if (stats_out->volatile_keys == 0) {
        return;
    }
    /* A sample of a few rows a shard: what INFO's avg_ttl promises is an estimate. */
    for (unsigned i = 0; i < basin->shard_count; i++) {
        struct shard *shard = &basin->shards[i];
        if (!shard_try_lock(shard)) {
            continue;
        }
        size_t step = shard->expiry.count / 16 + 1;
        for (size_t row = 0; row < shard->expiry.count; row += step) {
            int64_t left = shard->expiry.rows[row].at_ms - (int64_t)now_ms;
            ttl_sum += left > 0 ? (double)left : 0;
            ttl_count++;
        }
        shard_unlock(shard);
    }
    stats_out->volatile_ttl_ms = ttl_count == 0 ? 0 : ttl_sum / (double)ttl_count;
}

static void shard_stats_add(struct shard *shard, struct basin_stats *stats)
{
    uint64_t keys = 0;
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        keys += atomic_load(&shard->databases[i].keys);
        stats->volatile_keys += atomic_load(&shard->databases[i].volatile_keys);
        stats->storage.unresolved += atomic_load(&shard->databases[i].unresolved);
    }
    stats->keys += keys;
    stats->shard_keys_min = keys < stats->shard_keys_min ? keys : stats->shard_keys_min;
    stats->shard_keys_max = keys > stats->shard_keys_max ? keys : stats->shard_keys_max;
    stats->hits += atomic_load(&shard->hits);
    stats->misses += atomic_load(&shard->misses);
    stats->expired_keys += atomic_load(&shard->expired);
    stats->evicted_keys += atomic_load(&shard->evicted);
    stats->lock_waits += atomic_load(&shard->lock_waits);
    stats->storage.hits_loaded += atomic_load(&shard->hits_loaded);
    stats->memory_held += atomic_load_explicit(&shard->memory_held, memory_order_relaxed);
}

/* What counters say; the inventory says the rest. */
static void storage_stats(const struct basin *basin, struct basin_storage *storage)
{
    const struct strata *strata = &basin->strata;
    storage->index_memory = atomic_load(&strata->memory);
    storage->settle_rounds = atomic_load(&basin->settle_rounds);
    storage->settled_grains = atomic_load(&basin->settled_grains);
    storage->settled_bytes = atomic_load(&basin->settled_bytes);
    storage->settle_written = atomic_load(&basin->settle_written);
    storage->merge_passes = atomic_load(&basin->merge_passes);
    storage->merged_rows = atomic_load(&basin->merged_rows);
    storage->moved_bytes = atomic_load(&basin->moved_bytes);
    storage->merge_written = atomic_load(&basin->merge_written);
    storage->purged_keys = atomic_load(&basin->purged_keys);
    storage->page_reads = atomic_load(&strata->page_reads);
    storage->grain_reads = atomic_load(&strata->grain_reads);
    storage->read_bytes = storage->page_reads * PAGE_SIZE_BYTES + atomic_load(&strata->grain_bytes);
    storage->settle_partition = atomic_load(&basin->settle_at);
    storage->merge_partition = atomic_load(&basin->merge_at);
    storage->settle_status = atomic_load(&basin->settle_status);
    storage->settle_ended =
        storage->settle_status != ST_OK && storage->settle_partition == PARTITION_COUNT;
    storage->slowed_writes = atomic_load(&basin->pace.slowed);
    uint64_t settled = atomic_load(&basin->settled_lsn); /* First: the log only grows. */
    storage->unsettled_bytes = wlog_end(basin->log) - settled;
}

void basin_get_stats(struct basin *basin, struct basin_stats *stats_out)
{
    *stats_out = (struct basin_stats){
        .shards = basin->shard_count,
        .shard_keys_min = UINT64_MAX,
        .replayed_records = basin->replayed_records,
        .replay_us = basin->replay_us,
        .loads = atomic_load(&basin->loads),
        .part_loads = atomic_load(&basin->part_loads),
        .loads_shared = atomic_load(&basin->loads_shared),
        .load_failures = atomic_load(&basin->load_failures),
        .memory_only = basin->memory_only,
        .dead = basin_dead(basin),
        .road = basin->owns_io ? io_road_name(basin->io) : "simulated",
    };
    for (unsigned i = 0; i < basin->shard_count; i++) {
        struct shard *shard = &basin->shards[i];
        store_sample(basin, shard);
        shard_stats_add(shard, stats_out);
    }
    stats_out->memory_used = atomic_load(&basin->memory_used) + atomic_load(&basin->strata.memory);
    stats_out->memory_fixed = basin->memory_fixed;
    stats_out->memory_beside = atomic_load(&basin->memory_beside);
    stats_out->memory_held += stats_out->memory_fixed + stats_out->memory_beside;
    if (basin->log != NULL) {
        wlog_get_stats(basin->log, &stats_out->log);
        stats_out->durable_lsn = wlog_durable(basin->log);
        stats_out->end_lsn = wlog_end(basin->log);
        inventory_read(basin, stats_out);
        storage_stats(basin, &stats_out->storage);
        store_read_backup(basin, &stats_out->backup);
    }
}

void basin_get_shard(struct basin *basin, unsigned index, struct basin_shard *shard_out)
{
    CHECK(index < basin->shard_count);
    struct shard *shard = &basin->shards[index];
    store_sample(basin, shard);
    *shard_out = (struct basin_shard){
        .memory = atomic_load_explicit(&shard->memory_seen, memory_order_relaxed),
        .last_lsn = atomic_load_explicit(&shard->lsn_seen, memory_order_relaxed),
        .lock_waits = atomic_load(&shard->lock_waits),
    };
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        shard_out->keys += atomic_load(&shard->databases[i].keys);
    }
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        shard_out->partitions += basin->partition_shard[p] == index;
    }
}

enum status basin_get_strata(struct basin *basin, struct basin_stratum **strata_out,
                             size_t *count_out)
{
    return inventory_list(basin, strata_out, count_out);
}

void basin_reset_stats(struct basin *basin)
{
    for (unsigned i = 0; i < basin->shard_count; i++) {
        struct shard *shard = &basin->shards[i];
        atomic_store(&shard->hits, 0);
        atomic_store(&shard->hits_loaded, 0);
        atomic_store(&shard->misses, 0);
        atomic_store(&shard->expired, 0);
        atomic_store(&shard->evicted, 0);
        atomic_store(&shard->lock_waits, 0);
    }
}
