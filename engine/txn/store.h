/* store: struct basin, as txn, replay, settle, compact and basin.c see it. Nobody else includes it.
 * store_memory.c and store_stats.c are the functions of basin.h that need no txn.
 *
 * Lock order: manifest_mutex, or recount's → shards ascending → waiting_mutex, or a bucket of
 * fetches → nothing; the log has its own locks below all. A worker never waits for manifest_mutex
 * or recount's: a parked txn of its own may hold a shard that the mutex's holder waits for. It
 * reads the inventory.
 */
#ifndef BASIN_ENGINE_TXN_STORE_H
#define BASIN_ENGINE_TXN_STORE_H

#include "engine/basin.h"
#include "engine/manifest/manifest.h"
#include "engine/shard/evict.h"
#include "engine/shard/shard.h"
#include "engine/strata/strata.h"
#include "engine/txn/inventory.h"
#include "engine/txn/pace.h"

struct fetch;
struct loader;
struct settler;
struct compactor;
struct backup;
struct recount;

/* Merges throw expired keys away where they lie only so long after their time: a clock that was set
 * back must not bring them to life again. */
#define STORE_PURGE_AFTER_MS 60000

/* Bytes by which a shard's memory may change before the total learns of it. */
#define METER_SLACK 4096

/* Fetches under way, by hash. In fetch.c. */
#define FETCH_BUCKETS 4096 /* A command may miss a million keys. */
struct fetch_bucket {
    pthread_mutex_t mutex;
    struct fetch *first;
};

struct basin {
    struct io *io;
    bool owns_io;
    bool memory_only;
    char *dir;
    struct io_file *lock_file;
    struct manifest manifest;  /* See manifest_mutex. */
    struct hash_secret secret; /* The manifest's, which never changes: read without a lock. */
    struct wlog *log;          /* NULL: memory only */
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
    struct evict_rule rule;
    struct evict_rule disk_rule; /* With a log: which clean entries leave memory first. */
    uint64_t opened_ms;          /* Unix time: keys that were replayed count as used then. */

    /* What the shards have metered, the store's own part, and what lies beside it: see
     * basin_set_memory_beside. Off by at most METER_SLACK a shard. */
    _Atomic uint64_t memory_used;
    _Atomic uint64_t memory_max; /* UINT64_MAX: no limit. */
    _Atomic uint64_t memory_beside;
    uint64_t memory_fixed;
    _Atomic uint64_t evict_seed; /* For the next pool. */

    /* Txns that wait for log space (W5, ST_FULL healing). */
    pthread_mutex_t waiting_mutex;
    struct txn *waiting_first, *waiting_last; /* In the order in which they came. */
    _Atomic unsigned waiting_count;
    struct pace pace;

    struct strata strata;
    struct stack stacks[PARTITION_COUNT]; /* Each guarded by its partition's shard. */
    struct fetch_bucket *fetches;         /* FETCH_BUCKETS; NULL: nothing settles; */
    struct loader *loader;                /* so are these. */
    struct settler *settler;
    struct compactor *compactor;
    struct recount *recount;
    struct backup *backup;             /* NULL: memory only. */
    bool settles;                      /* There is a disk below memory. */
    uint64_t settle_log;               /* Bytes of log that a settle round lets come together. */
    _Atomic bool settle_forced;        /* Memory needs a round, however short the log is. */
    _Atomic uint64_t forget_again_us;  /* Until then nothing more can leave memory. */
    _Atomic bool settle_asked;         /* The settler knows that a round is due. */
    _Atomic uint64_t next_clast;       /* The counter in clast ids. */
    _Atomic uint64_t settled_lsn;      /* The log below it is in strata. */
    _Atomic enum status settle_status; /* Of the last round; ST_OK: all is well. */
    uint64_t void_epoch;          /* Under manifest_mutex: how often all strata were dropped. */
    _Atomic bool compact_wanted;  /* A database was dropped: there is much to throw away. */
    _Atomic uint64_t merged_ms;   /* When the last pass ended; wall clock. */
    _Atomic uint64_t purged_keys; /* Expired ones, thrown away where they lay. */
    /* Since the start. Written: all bytes of the files, with rows, directories and filters. */
    _Atomic uint64_t merge_passes, merged_rows, moved_bytes, merge_written;
    _Atomic uint64_t settle_rounds, settled_grains, settled_bytes, settle_written;
    /* Which partition the round or pass under way has come to; PARTITION_COUNT: none is. */
    _Atomic unsigned settle_at, merge_at;
    _Atomic uint64_t windows;       /* Open ones: while there are any nothing is evicted. */
    bool forgets;                   /* Tests: what a txn used leaves memory at its end if it can. */
    bool replay_looks;              /* See basin_options. */
    pthread_mutex_t manifest_mutex; /* Of `manifest`, once the store is open, and of this: */
    struct buf doubtful; /* u32: strata whose files may go once a manifest was saved for certain. */
    struct inventory inventory; /* What it says, for workers. */

    uint64_t replayed_records, replay_us;
    _Atomic uint64_t loads, part_loads, load_failures;
    _Atomic uint64_t loads_shared; /* Misses that were for what was being read already. */
};

/* How much log may come together before a round is due: as set, but no more than a sixteenth of the
 * memory that may be used, since what it stands for cannot leave memory before. */
static inline uint64_t store_settle_log(const struct basin *basin)
{
    if (!basin->settles) {
        return UINT64_MAX;
    }
    uint64_t share = atomic_load_explicit(&basin->memory_max, memory_order_relaxed) / 16;
    return share < basin->settle_log ? share : basin->settle_log;
}

static inline struct shard *store_shard(struct basin *basin, uint64_t hash)
{
    return &basin->shards[basin->partition_shard[hash_partition(hash)]];
}

/* In the name of this store in its files, so that another's are told apart. */
static inline uint32_t store_id(const struct basin *basin)
{
    return (uint32_t)hash_checksum(bytes_of(&basin->secret, sizeof(basin->secret)));
}

static inline struct memtable *store_table(struct basin *basin, uint64_t hash)
{
    return &basin->tables[hash_partition(hash)];
}

/* An id that no stratum has had. This one and the next two are in inventory.c. */
uint32_t store_new_stratum(struct basin *basin);
/* What was saved becomes the store's manifest; takes it. Under manifest_mutex. */
void store_take_manifest(struct basin *basin, const struct manifest *saved);
/* A manifest that names this stratum could not be saved, or perhaps it was
 * (manifest_save_or_doubt): its file stays until the next one was. Under manifest_mutex. */
void store_doubt_stratum(struct basin *basin, uint32_t id);

/* Wakes the txns that wait for room in the log. */
void store_wake_waiting(struct basin *basin);
/* Room for `size` bytes of effects, as wlog_reserve grants it; ST_WAIT too while too much of the
 * log waits to be settled, and then ST_FULL or ST_IO if settling cannot go on. */
enum status store_reserve(struct basin *basin, uint64_t size);
/* How far settling is behind: below 0 nobody is slowed, at 1 all must wait. See pace.h. */
double store_excess(const struct basin *basin);

/* Lets what is on disk leave memory until there is little enough of it, for about budget_us.
 * ST_BUSY: there still is too much. */
enum status store_forget(struct basin *basin, struct evict_pool *pool, uint64_t now_ms,
                         uint64_t budget_us);

/* Brings the total of memory up to date with a shard if nobody has it. It must not be waited for: a
 * parked command may hold it that only the caller's own worker can wake. In store_memory.c. */
void store_sample(struct basin *basin, struct shard *shard);

/* Has the settler look whether a round is due. Never waits. In settle.c. */
void store_ask_settler(struct basin *basin);
/* How a backup is going. In backup.c. */
void store_read_backup(struct basin *basin, struct basin_backup *backup_out);

/* Finds out how many keys there are, for recount_keys. Waits for the device. In recount.c. */
enum status store_resolve(struct basin *basin);

/* The database that has this namespace now; BASIN_DATABASES: it was dropped. */
unsigned store_database_of(const struct basin *basin, uint32_t namespace_id);

/* Whether its namespace was dropped: then it is the sweep's, nobody else's. */
bool store_dropped(const struct basin *basin, const struct entry *entry);
/* Frees some entries of dropped namespaces; true: more is left. Under the shard's lock. */
bool store_sweep(struct basin *basin, struct shard *shard);

/* At start: adds what the manifest says of the keys on disk to the counters of a database. */
void store_count_keys(struct basin *basin, unsigned database);

/* Gives the databases these namespaces, and marks the entries of those that vanish as dead. Under
 * all shard locks, or in replay's barrier. */
void store_set_namespaces(struct basin *basin, const uint32_t namespaces[BASIN_DATABASES],
                          uint32_t next_namespace, uint64_t lsn);

#endif
