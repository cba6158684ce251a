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

#define MANIFEST_VERSION 2
#define MANIFEST_DATABASES 16
/* While a directory holds a file of this name it is no store, whatever else is in it: somebody was
 * making one there and did not come to the end (engine/backup/backup_copy.h). */
#define MANIFEST_UNFINISHED "UNFINISHED"

/* A file of the store (engine/strata/stratum.h). */
struct manifest_stratum {
    uint32_t id;
    uint64_t grains_end; /* Where its grains end in the file. */
    uint64_t live;       /* Bytes of grains that rows point to, as far as merges have found out. */
    bool bare;           /* Its run is merged elsewhere: the place of its pages is given back. */
};

/* The run of a stratum serves some partitions. In the array newer runs come first: what a
 * partition's stack is made of, in this order, are the rows that hold it. */
struct manifest_run {
    uint32_t stratum;
    uint16_t first, last; /* Partitions. */
};

/* What rows on disk say of the keys of one namespace, by partition. */
struct manifest_count {
    int64_t keys;       /* Too low by at most `unresolved`. */
    int64_t unresolved; /* Rows that may or may not stand for a new key. */
    int64_t expiring;   /* Rows of keys with an expiry; superseded ones go when they are merged. */
};
struct manifest_counts {
    uint32_t namespace_id;
    struct manifest_count partitions[PARTITION_COUNT];
};

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
    uint32_t next_stratum;           /* Ids are never used twice. */
    uint64_t next_clast;             /* The counter in clast ids. */
    struct manifest_stratum *strata; /* Ascending by id; owned, as are the next two. */
    size_t stratum_count;
    struct manifest_run *runs;
    size_t run_count;
    struct manifest_counts **counts; /* Each owned; ascending by namespace. */
    size_t counts_count;
};

/* A new store's: secret from io's chance, partitions in even runs over the shards. */
enum status manifest_init(struct manifest *manifest, struct io *io, uint32_t shard_count);
void manifest_deinit(struct manifest *manifest);
/* A second one that owns all it has: who changes what a manifest says changes a copy, saves it, and
 * puts it in the place of the first only then. ST_NOMEM: copy_out is empty. */
enum status manifest_copy(const struct manifest *manifest, struct manifest *copy_out);

/* ST_ABSENT: no store there yet. ST_CORRUPT: logged with path and remedy; so is a directory that is
 * unfinished. */
enum status manifest_load(struct manifest *manifest, struct io *io, const char *dir);
/* Durable when it returns ST_OK. */
enum status manifest_save(const struct manifest *manifest, struct io *io, const char *dir);
/* The same. *doubt_out: it failed, and yet this may be what the next start finds (the name was
 * given, but perhaps not durably): no file that it or the one before it names may go until another
 * save has answered ST_OK. */
enum status manifest_save_or_doubt(const struct manifest *manifest, struct io *io, const char *dir,
                                   bool *doubt_out);

enum status manifest_add_generation(struct manifest *manifest, uint64_t start_lsn);
/* Forgets the generations that end at or below trim_lsn. */
void manifest_trim(struct manifest *manifest, uint64_t trim_lsn);

/* -- Strata ------------------------------------------------------------------------------------ */

/* NULL: there is none with this id. Lent until strata come or go. */
struct manifest_stratum *manifest_find(const struct manifest *manifest, uint32_t id);
enum status manifest_add_stratum(struct manifest *manifest, uint32_t id, uint64_t grains_end,
                                 uint64_t live);
void manifest_remove_stratum(struct manifest *manifest, uint32_t id);
/* Puts a run before the one at `index` (run_count: behind all). */
enum status manifest_add_run(struct manifest *manifest, size_t index, struct manifest_run run);
/* Takes partitions first … last away from every run at `index` or behind it; runs that have none
 * left go, one that has some left on both sides becomes two. ST_NOMEM: half done; drop the copy. */
enum status manifest_cut_runs(struct manifest *manifest, size_t index, uint16_t first,
                              uint16_t last);
bool manifest_uses_run(const struct manifest *manifest, uint32_t stratum);
/* Made of zeros when it is not there yet; lent until manifest_drop_counts. NULL: no memory. */
struct manifest_counts *manifest_counts(struct manifest *manifest, uint32_t namespace_id);
/* Adds the counts of `added` to those of the manifest. ST_NOMEM: some may be added. */
enum status manifest_add_counts(struct manifest *manifest, const struct manifest *added);
/* Whether a namespace was there and no database has it any more, as of trim_lsn. One that came
 * later is not known yet: rows of it may be on disk all the same. */
bool manifest_dropped(const struct manifest *manifest, uint32_t namespace_id);
/* Forgets those. */
void manifest_drop_counts(struct manifest *manifest);

/* Deals the partitions anew in even runs. */
void manifest_set_shards(struct manifest *manifest, uint32_t shard_count);

#endif
