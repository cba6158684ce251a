/* shard: one lock, the keys of its partitions, and what must be known of keys that are gone.
 *
 * The lock never makes a thread sleep: shard_try_lock spins briefly; a waiter enters the shard's
 * queue and is woken, one at each unlock, to try again. A parked waiter may hold shards of lower
 * numbers, never of higher ones, so there is no circle to wait in.
 *
 * Absent keys (W1): who reads that a key is absent must wait for the effect that removed it.
 * Instead of a tombstone entry a shard keeps SHARD_GONE_SLOTS LSNs, indexed by hash: the latest
 * removal of any key that maps there. A collision makes a reader of an absent key wait for one
 * flush it need not have waited for, once in thousands; nothing is ever collected.
 *
 * Thread: everything but the lock and its queue belongs to who holds the lock. Counters are atomic
 * so that statistics may read them without it.
 */
#ifndef BASIN_ENGINE_SHARD_SHARD_H
#define BASIN_ENGINE_SHARD_SHARD_H

#include "engine/shard/expiry.h"
#include "engine/shard/memtable.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHARD_GONE_SLOTS 2048
#define SHARD_DATABASES 16

/* Lives in whoever waits; one shard at a time. */
struct shard_waiter {
    struct shard_waiter *next;
    void (*wake)(
        struct shard_waiter *waiter); /* Called under the queue's mutex: post and return. */
    bool queued;
};

struct shard_counters {
    /* On disk and in memory. Too low by one for each of `unresolved` beneath which nothing is
     * alive: recount.h. */
    _Atomic uint64_t keys;
    _Atomic uint64_t volatile_keys;
    /* Entries in doubt (doubts.h) and ROW_UNRESOLVED on disk: keys that were written or deleted
     * without a look whether they were there. */
    _Atomic uint64_t unresolved;
};

struct shard {
    alignas(64) _Atomic uint32_t state; /* SHARD_LOCKED, SHARD_WAITED */
    unsigned index;
    bool settles;  /* Changes are noted (ENTRY_DIRTY), deletions may leave tombstones. */
    bool in_round; /* A settle round is under way: every deletion leaves one, see round.c. */
    struct slab *slab;
    struct expiry expiry;
    uint64_t waking_count;   /* Entries with ENTRY_WAKES, */
    uint64_t expiring_count; /* and with ENTRY_EXPIRES. */
    uint64_t last_lsn;       /* Of the last effect on any of its keys. */
    struct shard_counters databases[SHARD_DATABASES];
    _Atomic bool sweeping; /* Entries of dropped namespaces may be left. */
    _Atomic uint64_t hits, misses, expired, evicted, lock_waits;
    _Atomic uint64_t hits_loaded; /* Of the hits: what was read had to be loaded first. */
    uint64_t chance;              /* See evict_chance. */
    uint64_t values_memory;       /* Heap bytes of clasts, about. */
    uint64_t tables_memory;       /* Slots of its partitions. */
    uint64_t memory_metered;      /* What shard_meter has added to the total. */
    bool memory_moved;            /* It may have changed since shard_meter looked. */
    /* When the shard was last found free: see basin_get_stats, basin_get_shard. */
    _Atomic uint64_t memory_held, memory_seen, lsn_seen;
    struct value *dead; /* Roots to free in slices. */
    size_t dead_count, dead_capacity;
    uint32_t sweep_partition; /* Where the sweep of dropped namespaces stands, */
    uint64_t sweep_hash;      /* and at which hash in there. */
    uint64_t gone_lsn[SHARD_GONE_SLOTS];

    alignas(64) pthread_mutex_t queue_mutex;
    struct shard_waiter *first_waiter, *last_waiter;
};

enum status shard_init(struct shard *shard, unsigned index);
void shard_deinit(struct shard *shard); /* Not the tables; free dead values and the slab. */

/* -- The lock -------------------------------------------------------------------------------- */

bool shard_try_lock(struct shard *shard);
/* True: locked. False: the waiter is queued and will be woken once to try again. */
bool shard_lock_or_wait(struct shard *shard, struct shard_waiter *waiter);
/* Leaves the queue; a wake-up already given is passed on to the next. No wake after it returns. */
void shard_forget(struct shard *shard, struct shard_waiter *waiter);
void shard_unlock(struct shard *shard);
/* For threads that may sleep (replay, loading, tests): yields until it has the lock. */
void shard_lock_blocking(struct shard *shard);

/* -- Changes: the caller holds the lock ------------------------------------------------------ */

/* A key and its place. */
struct shard_key {
    struct bytes name;
    uint64_t hash;
    uint32_t namespace_id;
    unsigned database;
    struct memtable *table;
    /* If there is no entry: what is on disk, bits of ENTRY_ORIGIN. */
    unsigned origin;
};

/* Stores value and expiry under the key; entry is what memtable_find gave, or NULL. A root that is
 * replaced is freed, at once or in slices. On failure nothing has changed, and value's root is
 * still the caller's. Gives the entry, valid while the table's version stands. */
enum status shard_store(struct shard *shard, const struct shard_key *key, struct entry *entry,
                        const struct value *value, int64_t expiry_ms, struct entry **entry_out);
/* Removes the entry and frees its value; where something may be on disk under it a tombstone stays,
 * dirty. */
void shard_remove(struct shard *shard, struct memtable *table, unsigned database, uint64_t hash,
                  struct entry *entry);
/* A key that is not in memory and on disk, or perhaps (key->origin), is deleted: leaves a
 * tombstone. is_volatile: it was counted as such. */
enum status shard_bury(struct shard *shard, const struct shard_key *key, bool is_volatile,
                       struct entry **entry_out);
/* What was read from disk, clean and pinned. Takes value's root. The key has no entry. flags:
 * ENTRY_ORIGIN. VALUE_NONE: a clean tombstone, which says that nothing is on disk. */
enum status shard_install(struct shard *shard, const struct shard_key *key,
                          const struct value *value, int64_t expiry_ms, uint64_t lsn,
                          uint32_t access);
/* An entry with ENTRY_ON_DISK: nobody knows any more whether that is there. ST_NOMEM: it is as it
 * was. */
enum status shard_doubt(struct shard *shard, struct memtable *table, unsigned database,
                        uint64_t hash, struct entry *entry);
/* Drops the doubts that entries of the table have not got any more. */
void shard_sift(struct shard *shard, struct memtable *table);
/* A clean entry leaves memory, with all parts of its value. */
void shard_evict(struct shard *shard, struct memtable *table, uint64_t hash, struct entry *entry);
/* Bytes of its keys: as counted, and as the system gave them. Values that are freed in slices do
 * not count any more. */
uint64_t shard_memory(const struct shard *shard);
uint64_t shard_memory_held(const struct shard *shard);
/* Brings a total that all shards share up to date, if this shard's part in it is off by more than
 * slack. */
void shard_meter(struct shard *shard, _Atomic uint64_t *total, uint64_t slack);

/* Keeps the count of value memory true after a clast grew or shrank in place. */
void shard_note_memory(struct shard *shard, uint64_t before, uint64_t after);

/* The change of a clast left its root behind and freed it (a list that became packed): the entry
 * forgets it before the new value is stored. memory is what value_memory said of it before. */
void shard_root_gone(struct shard *shard, struct entry *entry, uint64_t memory);

static inline uint64_t *shard_gone(struct shard *shard, uint64_t hash)
{
    return &shard->gone_lsn[hash % SHARD_GONE_SLOTS];
}

/* Frees about `parts` parts of dead values; true: more is left. */
bool shard_free_some(struct shard *shard, size_t parts);

#endif
