/* store: struct basin, as txn, replay and basin.c see it. Nobody else includes it.
 *
 * Lock order: shards ascending → waiting_mutex → nothing; the log has its own locks below all.
 */
#ifndef BASIN_ENGINE_TXN_STORE_H
#define BASIN_ENGINE_TXN_STORE_H

#include "engine/basin.h"
#include "engine/manifest/manifest.h"
#include "engine/shard/shard.h"

struct loader;

struct basin {
    struct io *io;
    bool owns_io;
    bool memory_only;
    char *dir;
    struct io_file *lock_file;
    struct manifest manifest;
    struct wlog *log; /* NULL: memory only */
    _Atomic enum wlog_sync sync;

    struct shard *shards;
    unsigned shard_count;
    struct memtable tables[PARTITION_COUNT]; /* Each guarded by its partition's shard. */
    uint16_t partition_shard[PARTITION_COUNT];

    /* Databases → namespaces. Changed under all shard locks, read under any; the copy in `epoch`
     * tells who planned without a lock that the map has moved. */
    _Atomic uint32_t namespaces[BASIN_DATABASES];
    uint64_t namespace_lsn[BASIN_DATABASES]; /* Of the effect that emptied or swapped it (W1). */
    uint32_t next_namespace;
    _Atomic uint64_t namespace_epoch;

    struct value_limits limits; /* Read racily: one word. */

    /* Txns that wait for log space (W5, ST_FULL healing). */
    pthread_mutex_t waiting_mutex;
    struct txn *waiting_first;

    struct loader *loader; /* NULL: nothing is ever absent from memory. */

    uint64_t replayed_records, replay_us;
    _Atomic uint64_t simulated_misses;
};

static inline struct shard *store_shard(struct basin *basin, uint64_t hash)
{
    return &basin->shards[basin->partition_shard[hash_partition(hash)]];
}

static inline struct memtable *store_table(struct basin *basin, uint64_t hash)
{
    return &basin->tables[hash_partition(hash)];
}

/* The database that has this namespace now; BASIN_DATABASES: it was dropped. */
unsigned store_database_of(const struct basin *basin, uint32_t namespace_id);

/* Gives the databases these namespaces, and marks the entries of those that vanish as dead. Under
 * all shard locks, or in replay's barrier. */
void store_set_namespaces(struct basin *basin, const uint32_t namespaces[BASIN_DATABASES],
                          uint32_t next_namespace, uint64_t lsn);

#endif
