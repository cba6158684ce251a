/* txn_private: what the files of txn/ share.
 *
 *     txn.c         plan, lock, effects, end
 *     txn_wait.c    room in the log, and waiting for it
 *     txn_miss.c    what a run has missed: joins fetches, takes what they brought
 *     txn_keys.c    find, read, put, delete, expire, rename, copy
 *     txn_change.c  what all typed changes have in common
 *     txn_values.c  typed changes: text, list, chunks
 *     txn_hash.c    typed changes: hashes, and the expiry of their fields
 *     txn_set.c     … of sets
 *     txn_scan.c    the whole keyspace
 *     txn_window.c  what of it is on disk
 *     txn_evict.c   deletes keys when memory in use passes its limit
 *
 * and beside them, from what a txn misses to memory: fetch.c, reader.c, loader.c, txn_load.c.
 */
#ifndef BASIN_ENGINE_TXN_PRIVATE_H
#define BASIN_ENGINE_TXN_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/txn/fetch.h"
#include "engine/txn/store.h"
#include "engine/txn/txn_window.h"
#include "engine/wlog/record.h"

#define TXN_KEYS_INLINE 4
#define TXN_NO_KEY UINT32_MAX
/* Values up to this many encoded bytes are logged as they are after the change: they replay without
 * what was there before. */
#define TXN_BLIND_MAX 256

/* All that the index says of a key. */
struct txn_row {
    bool found, wakes;
    unsigned type;
    int64_t expiry_ms;
};

struct txn_key {
    struct shard_key place;
    struct shard *shard;
    struct entry *entry;  /* Valid while place.table->version == version. */
    uint64_t version;     /* 0: never looked up. */
    bool missed;          /* Is not in memory and perhaps on disk: noted, to be fetched: */
    bool value_wanted;    /* with its value, not its row alone. */
    bool row_known;       /* The row has been fetched: */
    uint32_t row_version; /* it counts while the stack is this one and there is no entry. */
    struct txn_row row;
    bool counted;       /* As a hit or a miss. */
    bool touched;       /* Marked as used by this run. */
    bool loaded;        /* It, or parts of its value, were brought from disk for this txn. */
    enum status failed; /* What became of loading it, unless ST_OK. */
};

/* An effect made by this txn: where its record ends, and what must learn its LSN. */
struct txn_effect {
    uint64_t end; /* Bytes from the group's start. */
    uint64_t hash;
    struct shard *shard;
    uint32_t key; /* TXN_NO_KEY: only the shard's removed-key LSN. */
};

/* A large payload that is not copied into the record buffer: it follows at this offset of it. */
struct txn_outside {
    size_t offset;
    struct bytes bytes;
};

enum txn_waiting { TXN_RUNNING, TXN_WAITS_SHARD, TXN_WAITS_LOG, TXN_WAITS_LOAD };

struct txn {
    struct basin *basin;
    void (*wake)(void *ctx);
    void *ctx;
    uint64_t now_ms, seed, random_state;

    struct txn_key *keys; /* inline_keys or heap */
    size_t key_count, key_capacity;
    size_t planned_count;    /* Those that were planned before the lock. */
    struct arena late_names; /* Of late keys that must be waited for. */
    struct txn_key inline_keys[TXN_KEYS_INLINE];
    bool whole;
    bool leaves_ages; /* txn_leave_ages */
    bool peeks_touch; /* txn_mark_peeks */
    uint64_t namespace_epoch;

    uint16_t shards[BASIN_SHARDS_MAX]; /* Ascending, to be locked. */
    unsigned shard_count, locked_count;
    bool locked;

    uint64_t base_reserved; /* Asked for before the first lock: asked for again at each retry. */
    uint64_t reserved;      /* Held in the log. */
    uint64_t last_shortage; /* What it asked for when it had to wait. */
    bool granted;           /* Need not wait for the pace (any more). */

    struct buf records;
    struct txn_outside *outside;
    size_t outside_count, outside_capacity;
    uint64_t outside_size;
    struct txn_effect *effects;
    size_t effect_count, effect_capacity;
    size_t last_record;   /* Offset in records of the last effect's header. */
    size_t record_before; /* Of the one before an open record. */
    bool changed;

    struct reader *reader;    /* NULL: a loader's threads read for it. */
    struct fetch_wait *waits; /* What it misses. */
    size_t wait_count, wait_capacity;
    _Atomic unsigned fetching; /* How many of them, and its errand, are not done. */
    struct txn_errand *errand; /* Under waiting_mutex. */
    bool errand_sent;
    struct window *window; /* What a walk over the keyspace asked for. */
    bool window_wanted;    /* And did not have: from window_first on, so many rows. */
    unsigned window_database;
    uint64_t window_first, window_rows;
    bool resolve_wanted;     /* The number of keys must be known exactly: store_resolve. */
    bool resolved;           /* That has been done. */
    enum status load_status; /* What became of these two, and of what no key can answer for. */

    uint64_t read_lsn; /* Highest LSN of what was read. */
    bool misses;       /* Keys, or a window, or a number. */
    struct buf scratch;
    struct buf late_name;    /* Of the key that txn_hash_expire_due plans. */
    struct evict_pool *pool; /* NULL until it first evicts. */

    /* Under waiting_mutex, or the shard's queue mutex for TXN_WAITS_SHARD. */
    enum txn_waiting waiting;
    struct txn *waiting_next;
    struct shard_waiter waiter;
};

/* -- txn.c ------------------------------------------------------------------------------------ */

/* Makes sure that size more bytes of effects may be logged and buffered; see txn writes in basin.h.
 */
enum status txn_room(struct txn *txn, uint64_t size);
/* Room in the effect array for one more. */
enum status txn_effect_reserve(struct txn *txn);
/* Opens a record; its payload is appended to txn->records, and txn_effect_close ends it. After
 * txn_room nothing here fails but for lack of memory. */
enum status txn_effect_open(struct txn *txn, enum record_op op, uint32_t namespace_id,
                            struct bytes key, uint64_t payload_size);
/* Adds payload that stays where it is until txn_end. */
enum status txn_effect_outside(struct txn *txn, struct bytes bytes);
/* Ends the open record as an effect on the key (TXN_NO_KEY: on shard and hash alone). */
void txn_effect_close(struct txn *txn, uint32_t key, struct shard *shard, uint64_t hash);
/* Drops the open record. */
void txn_effect_drop(struct txn *txn);
static inline bool txn_logs(const struct txn *txn)
{
    return txn->basin->log != NULL;
}
enum status txn_add_shard(struct txn *txn, unsigned index);
/* Locks one shard of a txn that has planned nothing, if it is free now. */
bool txn_try_lock(struct txn *txn, unsigned index);
enum status txn_add_key(struct txn *txn, unsigned database, struct bytes name);
void txn_unlock(struct txn *txn);
/* A command with a million keys is no reason to keep their memory. */
void txn_arrays_shrink(struct txn *txn);

/* W1: the reply shows what this LSN did, and waits for it. */
static inline void txn_saw(struct txn *txn, uint64_t lsn)
{
    if (lsn > txn->read_lsn) {
        txn->read_lsn = lsn;
    }
}

/* -- txn_wait.c ------------------------------------------------------------------------------- */

/* The log accounts whole reservations, so a larger one takes the place of the one that is held. */
enum status txn_reservation_grow(struct txn *txn, uint64_t more);
void txn_reservation_drop(struct txn *txn);
/* Has it woken when there may be room for what it was refused. */
void txn_wait_for_log(struct txn *txn);
/* Takes the txn off the list of those that wait; false: it was not there. Under waiting_mutex. */
bool txn_waiting_remove(struct txn *txn);

/* -- txn_miss.c ------------------------------------------------------------------------------- */

/* Joins the fetches of all that this run has missed, of keys and of parts of their values. Under
 * the shards' locks. False: nothing. Otherwise it waits for them; fresh_out: txn_misses_start. */
bool txn_misses_join(struct txn *txn, struct fetch **fresh_out);
/* Has them read. Without locks. */
void txn_misses_start(struct txn *txn, struct fetch *fresh);
/* All shards are locked again, and all that it waited for has finished: puts it into memory. Gives
 * what became of what no key can answer for. */
enum status txn_misses_take(struct txn *txn);
/* Waits for nothing any more. */
void txn_misses_leave(struct txn *txn);
/* One less to wait for. Any thread, under what keeps the txn from leaving. */
void txn_fetched(struct txn *txn);

/* -- txn_keys.c ------------------------------------------------------------------------------- */

/* Whether its time, or that of all that it holds, has come: it is absent to everybody. */
bool txn_expired(const struct txn *txn, const struct entry *entry);
/* The entry as it stands in the table, expired or not; NULL: none. */
struct entry *txn_entry(struct txn *txn, struct txn_key *key);
/* The same, but NULL when expired. */
struct entry *txn_live_entry(struct txn *txn, struct txn_key *key);
/* Before a change that builds on what is there: an expired entry goes, logged as a deletion. Gives
 * the live entry or NULL. */
enum status txn_prepare(struct txn *txn, unsigned number, struct entry **entry_out);
/* Stores and remembers the entry. */
enum status txn_store(struct txn *txn, struct txn_key *key, const struct value *value,
                      int64_t expiry_ms);
/* Logs the value as it is. */
enum status txn_log_put(struct txn *txn, unsigned number, const struct value *value,
                        int64_t expiry_ms);
/* Deletes an entry that may have no planned key: expiry. */
enum status txn_delete_entry(struct txn *txn, uint32_t number, struct shard *shard,
                             struct memtable *table, uint64_t hash, struct entry *entry);

/* -- txn_hash.c ------------------------------------------------------------------------------- */

/* Background expiry: removes some fields whose time has come from a hash that stays. The txn has no
 * other key; the shard of the hash is locked. *more_out: others are due. */
enum status txn_hash_expire_due(struct txn *txn, struct shard *shard, struct memtable *table,
                                uint64_t hash, struct entry *entry, bool *more_out);

#endif
