/* txn_private: what the files of txn/ share.
 *
 *     txn.c         plan, lock, reserve, end
 *     txn_keys.c    find, read, put, delete, expire, rename, copy
 *     txn_change.c  what all typed changes have in common
 *     txn_values.c  typed changes: text, list, chunks
 *     txn_hash.c    typed changes: hashes, and the expiry of their fields
 *     txn_set.c     … of sets
 *     txn_scan.c    the whole keyspace
 *     loader.c      simulated misses: brings "cold" entries back a moment later
 */
#ifndef BASIN_ENGINE_TXN_PRIVATE_H
#define BASIN_ENGINE_TXN_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/txn/store.h"
#include "engine/wlog/record.h"

#define TXN_KEYS_INLINE 4
#define TXN_NO_KEY UINT32_MAX
/* Values up to this many encoded bytes are logged as they are after the change: they replay without
 * what was there before. */
#define TXN_BLIND_MAX 256

struct txn_key {
    struct shard_key place;
    struct shard *shard;
    struct entry *entry; /* Valid while place.table->version == version. */
    uint64_t version;    /* 0: never looked up. */
    bool pinned;         /* Was loaded for this request: in memory, whatever the flag says. */
    bool missed;         /* Noted as absent from memory. */
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
    uint64_t namespace_epoch;

    uint16_t shards[BASIN_SHARDS_MAX]; /* Ascending, to be locked. */
    unsigned shard_count, locked_count;
    bool locked;

    uint64_t base_reserved; /* Asked for before the first lock: asked for again at each retry. */
    uint64_t reserved;      /* Held in the log. */
    uint64_t last_shortage; /* What the log had no room for when it answered ST_WAIT. */

    struct buf records;
    struct txn_outside *outside;
    size_t outside_count, outside_capacity;
    uint64_t outside_size;
    struct txn_effect *effects;
    size_t effect_count, effect_capacity;
    size_t last_record;   /* Offset in records of the last effect's header. */
    size_t record_before; /* Of the one before an open record. */
    bool changed;

    uint64_t read_lsn; /* Highest LSN of what was read. */
    bool misses;
    struct buf scratch;
    struct buf late_name; /* Of the key that txn_hash_expire_due plans. */

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
enum status txn_add_key(struct txn *txn, unsigned database, struct bytes name);
void txn_unlock(struct txn *txn);

/* W1: the reply shows what this LSN did, and waits for it. */
static inline void txn_saw(struct txn *txn, uint64_t lsn)
{
    if (lsn > txn->read_lsn) {
        txn->read_lsn = lsn;
    }
}

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

/* -- loader.c --------------------------------------------------------------------------------- */

enum status loader_new(struct basin *basin, uint64_t seed, struct loader **loader_out);
void loader_free(struct loader *loader);
void loader_submit(struct loader *loader, struct txn *txn);
/* Takes the txn back, waiting if it is being served. */
void loader_cancel(struct loader *loader, struct txn *txn);
/* A fair coin, for making keys cold. Thread: any. */
bool loader_coin(struct loader *loader);

#endif
