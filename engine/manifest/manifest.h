/* manifest: the small file that says what a store consists of.
 *
 * Rewritten whole and renamed into place, synced before and after, so that one state or the other
 * is there after a power cut. Format, little-endian, see manifest.c. A newer version is refused.
 * Thread: one at a time. Memory: the caller's.
 */
#ifndef BASIN_ENGINE_MANIFEST_MANIFEST_H
#define BASIN_ENGINE_MANIFEST_MANIFEST_H

#include "engine/base/hash.h"
#include "engine/io/io.h"
#include "engine/wlog/wlog.h"

#define MANIFEST_VERSION 1
#define MANIFEST_DATABASES 16

struct manifest {
    struct hash_secret secret; /* Drawn when the store was made. */
    uint32_t shard_count;
    uint16_t partition_shard[PARTITION_COUNT]; /* Which shard has the partition. */
    uint64_t trim_lsn;                         /* The log below it is not needed. */
    uint64_t durable_lsn;                    /* All below it was durable at the last clean stop. */
    uint32_t namespaces[MANIFEST_DATABASES]; /* As of trim_lsn. */
    uint32_t next_namespace;
    struct wlog_generation *generations; /* Ascending; owned. */
    size_t generation_count;
};

/* A new store's: secret from io's chance, partitions in even runs over the shards. */
enum status manifest_init(struct manifest *manifest, struct io *io, uint32_t shard_count);
void manifest_deinit(struct manifest *manifest);

/* ST_ABSENT: no store there yet. ST_CORRUPT: logged with path and remedy. */
enum status manifest_load(struct manifest *manifest, struct io *io, const char *dir);
/* Durable when it returns ST_OK. */
enum status manifest_save(const struct manifest *manifest, struct io *io, const char *dir);

enum status manifest_add_generation(struct manifest *manifest, uint64_t start_lsn);
/* Deals the partitions anew in even runs. */
void manifest_set_shards(struct manifest *manifest, uint32_t shard_count);

#endif
