/* inventory: what the manifest says of storage, for threads that may not wait for manifest_mutex.
 *
 *     manifest_mutex held:  a new manifest is current  →  inventory_take  →  ┌ inventory ┐
 *     any worker:           INFO, BASIN.STRATA, samples  ───────────────────→ └  copies   ┘
 *
 * Who holds manifest_mutex writes files, and waits for shards. A worker that waited for the mutex
 * might be the one whose parked txn holds such a shard: neither would go on. So workers read what
 * was counted when the manifest became current.
 * Thread: inventory_take under manifest_mutex, or while the store is opened; the others any. Its
 * mutex is held for copying alone. Memory: a row for each stratum.
 */
#ifndef BASIN_ENGINE_TXN_INVENTORY_H
#define BASIN_ENGINE_TXN_INVENTORY_H

#include "engine/basin.h"

#include <pthread.h>

struct inventory {
    pthread_mutex_t mutex; /* Of all below. */
    struct basin_stratum *strata;
    size_t count, capacity;
    uint64_t runs, live_bytes, dead_bytes, index_bytes,
        disk_bytes; /* As in struct basin_storage. */
    uint64_t start_lsn;
    uint32_t generation;
};

void inventory_init(struct inventory *inventory);
void inventory_deinit(struct inventory *inventory);
/* Counts what basin->manifest says. Where there is no memory for a longer list, the list and the
 * sums stay as they were until the next time. */
void inventory_take(struct basin *basin);
/* The sums, and start_lsn and generation. */
void inventory_read(struct basin *basin, struct basin_stats *stats_out);
/* A copy of the list, given (free it); NULL where it is empty. */
enum status inventory_list(struct basin *basin, struct basin_stratum **strata_out,
                           size_t *count_out);

#endif
