/* basin: the embeddable store. All that others may include of the engine.
 *
 * A store is a directory, a common write log and shards of keys in memory. Work on it is done in
 * transactions, from any thread, each with its own struct txn:
 *
 *     txn_begin → txn_plan (each key) → txn_reserve → txn_lock → reads, then writes → txn_end
 *
 *   - txn_lock takes the shards of the planned keys in ascending order. What it cannot get at once
 *     it waits for without holding up the thread: ST_WAIT, and the txn's wake function is called,
 *     from any thread, when it should be called again.
 *   - All reads come before the first write ("execute until miss, then retry"): a read of what is
 *     not in memory answers ST_WAIT. The caller notes further independent misses if it has any,
 * then calls txn_retry, waits to be woken, and runs again from txn_lock on. Nothing has changed
 * then.
 *   - txn_reserve holds room in the log before the first write, best before any lock is taken (W5).
 *     ST_WAIT: as above (call txn_retry). A retry asks for it again by itself.
 *   - Every write is one effect, logged as it is made. txn_end appends all of them as one group
 *     (W2), unlocks, and tells the LSN that the answer must wait for (W1): that of its own effects
 *     and of everything it read. basin_durable says how far the log is.
 *
 * Databases are namespaces 0 … BASIN_DATABASES - 1. Times are Unix milliseconds. A key that has
 * expired at the txn's now is absent to reads and writes.
 * Ownership: bytes given are borrowed until the call returns, but keys until txn_end; values and
 * pieces handed out are lent until txn_end or the next write to that key, except that a piece's
 * part may be part_ref'ed.
 */
#ifndef BASIN_ENGINE_BASIN_H
#define BASIN_ENGINE_BASIN_H

#include "engine/base/bytes.h"
#include "engine/io/io.h"
#include "engine/shard/evict_policy.h"
#include "engine/value/chunks.h" /* Of these, callers use what takes a const value. */
#include "engine/value/fields.h"
#include "engine/value/list.h"
#include "engine/value/set_algebra.h"
#include "engine/value/stream.h"
#include "engine/value/text.h"
#include "engine/value/zset.h"
#include "engine/wlog/wlog.h"

#define BASIN_DATABASES 16
#define BASIN_SHARDS_MAX 256
#define BASIN_PARTITIONS 1024 /* Of the hash space. */
#define BASIN_NO_EXPIRY (-1)
#define BASIN_KEEP_EXPIRY (-2)

struct basin; /* opaque */
struct txn;
struct reader; /* opaque */

/* -- The store ----------------------------------------------------------------------------- */

struct basin_options {
    const char *dir;         /* Made if absent. */
    unsigned shards;         /* A power of two, at most BASIN_SHARDS_MAX. */
    unsigned replay_threads; /* Committers at start; 0: one a core. */
    bool memory_only;        /* appendonly no: nothing is read or written. */
    enum wlog_sync sync;
    uint64_t segment_size, rotate_ms, unflushed_max; /* See wlog_options. */
    unsigned flushes_max;
    /* Bytes of log after which dirty values are settled into strata. 0: never, all stays in memory
     * and in the log; but a store that has strata goes on with them. */
    uint64_t settle_log;
    enum io_road road;
    /* Another seam instead of road's (tests); kept until close. The log then has no thread of its
     * own: basin_reap does its background work. */
    struct io *io;
    bool simulate_misses; /* Tests: what can leave memory does so at once. */
    bool replay_looks;    /* Replay looks up on disk what it replaces or deletes too: for a log that
                             was    cut below what strata hold (check/rebuild.h). */
    struct value_limits limits;
    struct basin_memory {
        uint64_t max; /* Bytes; 0: no limit. */
        /* Keys are deleted past it, in a store without a log only. Also how uses are marked. */
        enum evict_policy policy;
        unsigned samples;        /* Keys looked at for each that goes. */
        unsigned lfu_log_factor; /* See evict.h. */
        unsigned lfu_decay_minutes;
    } memory;
};

/* Sensible values for everything but dir. */
struct basin_options basin_options_default(void);

/* Opens: lock, manifest, replay, new log generation. ST_BUSY: another process has the directory.
 * ST_CORRUPT: see the log line. ST_FULL, ST_IO. The store is given. */
enum status basin_open(const struct basin_options *options, struct basin **basin_out);
/* Flushes, records a clean stop, closes. No txn may be open. */
void basin_close(struct basin *basin);

/* A reply may leave once its wait LSN is at most this: the durable LSN with appendfsync always,
 * UINT64_MAX where replies never wait. */
uint64_t basin_durable(const struct basin *basin);
uint64_t basin_synced(const struct basin *basin); /* The durable LSN, whatever the policy. */
uint64_t basin_end(const struct basin *basin);    /* The LSN of the next append. */
void basin_flush(struct basin *basin);            /* Submit what is buffered; never waits. */
/* How long the log holds back what is buffered, in µs: flush again by then. 0: it does not. */
uint64_t basin_held_us(const struct basin *basin);
void basin_reap(struct basin *basin); /* Take note of what has completed. */
/* `moved` is called, from any thread and without locks, when another than the callers of basin_reap
 * has moved the durable LSN. Until basin_close. */
void basin_set_watcher(struct basin *basin, void (*moved)(void *ctx, uint64_t durable), void *ctx);
int basin_fd(const struct basin *basin);     /* Readable when basin_reap has work; -1: none. */
bool basin_dead(const struct basin *basin);  /* W4: reads only. */
enum status basin_sync(struct basin *basin); /* Blocks until all is on disk. */
/* Blocks until all that was written before is in strata. ST_IO: settling has ended, see the log. */
enum status basin_settle(struct basin *basin);
/* Blocks until all runs are merged and what is dead is gone from disk, as far as it is worth it. */
enum status basin_compact(struct basin *basin);
/* The same for threads that may not block. Asks, and gives what to wait for; the other says whether
 * it is there: ST_WAIT: not yet. ST_FULL, ST_IO, …: it failed, or waits for a disk that has no room
 * (then it goes on by itself). A store in memory only has nothing to do: ST_OK. */
uint64_t basin_settle_ask(struct basin *basin);
enum status basin_settle_asked(const struct basin *basin, uint64_t asked);
uint64_t basin_compact_ask(struct basin *basin);
enum status basin_compact_asked(const struct basin *basin, uint64_t asked);
/* Makes a copy of the store in `dir`, which is empty or made (the one above is there), while others
 * work on it: as it is at one moment during the call. All that had been appended before is in it,
 * of each group all or nothing, and the copy is durable when the call returns ST_OK: basin_open
 * takes it. Blocks. What fails leaves nothing behind, or a directory that basin_open refuses;
 * *fault_out (may be NULL) then says what failed, lent forever. ST_BUSY: another is under way.
 * ST_INVALID: a store in memory only, or the directory cannot serve. See engine/backup/backup.h. */
enum status basin_backup(struct basin *basin, const char *dir, const char **fault_out);
/* The same for threads that may not block, as above. dir is borrowed. */
enum status basin_backup_ask(struct basin *basin, const char *dir, uint64_t *asked_out,
                             const char **fault_out);
enum status basin_backup_asked(const struct basin *basin, uint64_t asked, const char **fault_out);
/* Clean entries leave memory: each with a chance of one in `odds` (1: all that can). Gives how many
 * did. Locks each shard for a while: for tests, and for whoever knows that memory is needed. */
uint64_t basin_forget(struct basin *basin, uint64_t odds, uint64_t seed);
enum status basin_wait(struct basin *basin, uint64_t lsn); /* Blocks until lsn is durable. */
void basin_set_sync(struct basin *basin, enum wlog_sync sync);
void basin_set_limits(struct basin *basin, const struct value_limits *limits);

/* -- Memory. What counts against the limit: entries, tables and values as asked of the allocator,
 * the store's own structures, and what the caller says lies beside them. Dead values that are freed
 * in slices do not. The sum is kept up to date as keys change, to a few KiB a shard. ------------
 */

void basin_set_memory(struct basin *basin, const struct basin_memory *memory);
void basin_set_memory_beside(struct basin *basin, uint64_t bytes);
bool basin_memory_over(const struct basin *basin); /* More is in use than may be. */
/* Deletes keys by the policy until no more is in use than may be, for about budget_us (UINT64_MAX:
 * no bound), holding one shard at a time. txn is one that has not begun. ST_BUSY: not done yet;
 * basin_tick goes on. ST_LIMIT: there is no key that the policy lets go. With a log no key is
 * deleted: values that are on disk leave memory. ST_WAIT: all others must be settled first, which
 * has been begun. */
enum status basin_evict(struct basin *basin, struct txn *txn, uint64_t now_ms, uint64_t budget_us);

/* Background work of about budget_us: active expiry (logged as deletions), eviction and freeing of
 * large dead values, over the shards with index ≡ turn (mod turns). Each worker calls it with its
 * own turn some ten times a second; true: there is more to do at once. */
bool basin_tick(struct basin *basin, struct txn *txn, unsigned turn, unsigned turns,
                uint64_t now_ms, uint64_t budget_us);

/* Adds up over the databases, without locks; exact when nobody writes. */
struct basin_database_stats {
    uint64_t keys, volatile_keys;
    double volatile_ttl_ms; /* Average time left, estimated. */
};
void basin_database_stats(struct basin *basin, unsigned database, uint64_t now_ms,
                          struct basin_database_stats *stats_out);
/* What lies on disk in strata, and what settling and merging have done since the start. */
struct basin_storage {
    uint64_t strata, runs;           /* Files, and their runs of index rows in use. */
    uint64_t live_bytes, dead_bytes; /* Of grains, as far as merges have found out. */
    uint64_t index_bytes;            /* Pages, directories, filters on disk. */
    uint64_t disk_bytes;             /* All of it, with headers and footers. */
    uint64_t index_memory;           /* Directories and filters in memory. */
    /* Written: all bytes of the files, rows too. */
    uint64_t settle_rounds, settled_grains, settled_bytes, settle_written;
    uint64_t merge_passes, merged_rows, moved_bytes, merge_written;
    uint64_t page_reads, grain_reads, read_bytes; /* Of look-ups. */
    uint64_t unsettled_bytes;                     /* Of log: not in strata yet. */
    uint64_t slowed_writes;                       /* That had to wait for settling's pace. */
    unsigned settle_partition, merge_partition; /* How far, of BASIN_PARTITIONS; that: none runs. */
    enum status settle_status; /* ST_OK, or why settling waits or, if settle_ended, has ended. */
    bool settle_ended;
    uint64_t purged_keys; /* Expired ones that merging threw away where they lay. */
    uint64_t unresolved;  /* Keys of which it is not known yet whether they were there before. */
    uint64_t hits_loaded; /* Of basin_stats.hits, those for which something was loaded. */
};
/* The backup under way, or else the last one; and how the last one ended. */
struct basin_backup {
    bool running;
    uint64_t lsn;                        /* The moment that it shows; 0: there was none yet. */
    uint64_t strata, strata_done;        /* How many belong to it, and how many it has. */
    uint64_t linked_bytes, copied_bytes; /* Of strata that got a second name; of all others and of
                                            the log. */
    uint64_t made, failed;               /* Since the start. */
    enum status status;                  /* Of the last that has ended; ST_OK too if none has. */
};
struct basin_stats {
    uint64_t keys, volatile_keys, expired_keys, hits, misses, evicted_keys;
    /* See basin_set_memory; held: as the system gave it; fixed, beside: their parts in it. */
    uint64_t memory_used, memory_held, memory_fixed, memory_beside;
    uint64_t replayed_records, replay_us, lock_waits;
    uint64_t loads, part_loads, load_failures; /* Keys and parts brought from disk. */
    uint64_t loads_shared;                     /* Misses of what was being read already. */
    unsigned shards;
    uint64_t shard_keys_min, shard_keys_max;
    uint64_t start_lsn, durable_lsn, end_lsn;
    uint32_t generation;
    bool memory_only, dead;
    const char *road; /* "io_uring", "plain"; lent forever. */
    struct wlog_stats log;
    struct basin_storage storage;
    struct basin_backup backup;
};
void basin_get_stats(struct basin *basin, struct basin_stats *stats_out);
void basin_reset_stats(struct basin *basin);

/* memory, last_lsn: when the shard was last found free. */
struct basin_shard {
    unsigned partitions;
    uint64_t keys, memory, last_lsn, lock_waits;
};
void basin_get_shard(struct basin *basin, unsigned index, struct basin_shard *shard_out);

/* A file of the store, as of the last change of the manifest. */
struct basin_stratum {
    uint32_t id;
    bool bare;           /* Its index was merged elsewhere, and its place given back. */
    uint64_t file_bytes; /* The file's size; a bare one has a hole of its index's. */
    uint64_t grain_bytes, live_bytes; /* All grains, and those that rows point to. */
    uint64_t index_bytes;             /* Pages, directory and filter; 0: bare. */
    uint64_t grains, rows;
    unsigned partitions, first_partition, last_partition; /* That its run serves. */
    uint64_t least_lsn, greatest_lsn; /* Of its keys; UINT64_MAX and 0 without any. */
};
/* Ascending by id; given (free it), NULL where there is none. */
enum status basin_get_strata(struct basin *basin, struct basin_stratum **strata_out,
                             size_t *count_out);

/* -- Readers: rings for what is not in memory ------------------------------------------------- */

/* One for each thread that runs txns in an event loop; used by that thread alone. Given; NULL where
 * nothing is ever on disk alone, which all others take. ST_IO, ST_NOMEM. */
enum status reader_new(struct basin *basin, struct reader **reader_out);
/* Its txns have been freed or cancelled. What others wait for is read again by them. */
void reader_free(struct reader *reader);
/* Readable, edge by edge, when reader_turn has work; -1: none, turn it now and then. */
int reader_fd(const struct reader *reader);
/* Takes note of what has been read, wakes who waited for it. Before the loop's other work. */
void reader_turn(struct reader *reader);
/* Begins all reads that txn_retry has asked for since. After the loop's other work. */
void reader_start(struct reader *reader);

/* -- Transactions -------------------------------------------------------------------------- */

/* wake(ctx) is called from any thread after an answer of ST_WAIT, once. */
enum status txn_new(struct basin *basin, void (*wake)(void *ctx), void *ctx, struct txn **txn_out);
void txn_free(struct txn *txn);
/* What the txn misses is read through this ring of its thread's from now on; keeps it. Without one,
 * threads of the store read. */
void txn_set_reader(struct txn *txn, struct reader *reader);

/* Clock and seed stay the same over retries of one request. */
void txn_begin(struct txn *txn, uint64_t now_ms, uint64_t seed);
/* After txn_begin: reads of this txn do not mark keys as used (CLIENT NO-TOUCH); txn_touch does. */
void txn_leave_ages(struct txn *txn);
/* After txn_begin: whatever this txn only peeks at counts as used too, as with commands that write,
 * whether they find something to change or not. */
void txn_mark_peeks(struct txn *txn);
uint64_t txn_now_ms(const struct txn *txn);
/* For those who build whole values; lent until basin_close. */
const struct value_limits *txn_limits(const struct txn *txn);
uint64_t txn_random(struct txn *txn); /* From the seed; the same sequence at each retry. */

/* Plans keys, numbered 0, 1, … in this order; the same key may come twice. */
enum status txn_plan(struct txn *txn, unsigned database, struct bytes key);
/* Plans the whole keyspace: all shards, in addition to keys. */
void txn_plan_all(struct txn *txn);
/* A key that was found only while running, in the shards already locked (whole keyspace). Gives
 * its number. */
enum status txn_plan_late(struct txn *txn, unsigned database, struct bytes key,
                          unsigned *number_out);

/* txn_read of such a key, which has no number afterwards; the value is lent as ever. The key is
 * borrowed until the call returns. */
enum status txn_read_late(struct txn *txn, unsigned database, struct bytes key,
                          struct value *value_out);

enum status txn_lock(struct txn *txn);
/* More than once adds up; only before the first write. */
enum status txn_reserve(struct txn *txn, uint64_t size);
/* After a read or reserve that answered ST_WAIT: unlocks, has what is missing loaded, and wakes. */
void txn_retry(struct txn *txn);
/* Whoever parked it has gone: forgets the wait; wake will not be called any more. */
void txn_cancel(struct txn *txn);
/* Appends the effects, unlocks. 0: nothing to wait for. Also of a txn that was refused its log room
 * or its locks: that just lets go. */
void txn_end(struct txn *txn, uint64_t *wait_lsn_out);
/* For those who have changed something and then read on, and cannot be told to come back (ST_WAIT):
 * what they have just missed of the value of that key is brought now, waiting for the device under
 * the locks. Few commands need it, and seldom. */
enum status txn_bring(struct txn *txn, unsigned number);
/* True once an effect has been made. */
bool txn_changed(const struct txn *txn);

/* -- Keys: number is the order of planning --------------------------------------------------- */

/* type VALUE_NONE: absent. Counts a hit or miss and touches the key; peek does neither, but see
 * txn_mark_peeks. */
enum status txn_read(struct txn *txn, unsigned number, struct value *value_out);
enum status txn_peek(struct txn *txn, unsigned number, struct value *value_out);
/* What there is to know of a key without its value: of one that is only on disk the index alone is
 * read. As txn_peek otherwise. */
struct key_facts {
    enum value_type type; /* VALUE_NONE: absent. */
    int64_t expiry_ms;    /* BASIN_NO_EXPIRY: none. */
};
enum status txn_look(struct txn *txn, unsigned number, struct key_facts *facts_out);
/* BASIN_NO_EXPIRY: none. After a successful read of a present key. */
int64_t txn_expiry(struct txn *txn, unsigned number);
/* Marks it read at the txn's now (TOUCH), or tells how long ago that was. */
void txn_touch(struct txn *txn, unsigned number);
/* Whether uses are counted (an LFU policy) instead of their time being noted. What is asked or said
 * in the other terms means nothing then. */
bool txn_counts_uses(const struct txn *txn);
/* After a write: as if it had been read so many seconds ago; beyond eight years as eight years. */
void txn_age(struct txn *txn, unsigned number, uint64_t seconds);
uint64_t txn_idle_ms(struct txn *txn, unsigned number);
/* The counter of uses, 0 to 255; see evict.h. */
void txn_set_frequency(struct txn *txn, unsigned number, unsigned frequency);
unsigned txn_frequency(struct txn *txn, unsigned number);
uint64_t txn_memory(struct txn *txn, unsigned number); /* Bytes of the key with all it has. */

/* Writes. Each may answer ST_NOMEM, ST_LIMIT (an effect over 4 GiB), and, when it is the first and
 * needs more log than was reserved, ST_WAIT, ST_FULL or ST_IO; nothing has changed then. */

/* Stores a whole value in place of what was there. Takes the root of a clast, also when it fails;
 * packed bytes are borrowed. expiry_ms: Unix ms, BASIN_NO_EXPIRY, or BASIN_KEEP_EXPIRY. */
enum status txn_put(struct txn *txn, unsigned number, struct value *value, int64_t expiry_ms);
/* The same with a value that value_encode wrote, here or elsewhere; bytes borrowed. ST_CORRUPT: it
 * did not. A time not after now deletes what was there. */
enum status txn_put_encoded(struct txn *txn, unsigned number, struct bytes encoded,
                            int64_t expiry_ms);
/* existed_out may be NULL. */
enum status txn_delete(struct txn *txn, unsigned number, bool *existed_out);
/* Of a present key. A time not after now deletes it. */
enum status txn_expire(struct txn *txn, unsigned number, int64_t expiry_ms);
/* The value and expiry of a present key go to another, in place of what is there. */
enum status txn_rename(struct txn *txn, unsigned from, unsigned to);
enum status txn_copy(struct txn *txn, unsigned from, unsigned to);

/* -- Typed changes: an absent key becomes a value of that type; a list or set that becomes empty
 * goes. The caller has read the key and knows that it is absent or of the type. -----------------
 */

/* Unlike other arguments, text stays where it is until txn_end: large ones are not copied. */
enum status txn_text_set(struct txn *txn, unsigned number, struct bytes text, int64_t expiry_ms);
enum status txn_text_write(struct txn *txn, unsigned number, uint64_t offset, struct bytes text);

enum status txn_list_push(struct txn *txn, unsigned number, unsigned side,
                          const struct bytes *elements, size_t count);
enum status txn_list_pop(struct txn *txn, unsigned number, unsigned side, uint64_t count);
enum status txn_list_set(struct txn *txn, unsigned number, uint64_t index, struct bytes element);
enum status txn_list_insert(struct txn *txn, unsigned number, uint64_t index, struct bytes element);
enum status txn_list_remove(struct txn *txn, unsigned number, const uint64_t *indexes,
                            size_t count);
enum status txn_list_trim(struct txn *txn, unsigned number, uint64_t first, uint64_t count);

/* Hashes. Fields whose time has come at the txn's now are taken out first: those that are named,
 * and some others. pairs: count fields, each followed by its value; expiry_ms: of all of them, or
 * BASIN_NO_EXPIRY, BASIN_KEEP_EXPIRY. *new_out (may be NULL): how many were not there. */
enum status txn_hash_set(struct txn *txn, unsigned number, const struct bytes *pairs, size_t count,
                         int64_t expiry_ms, uint64_t *new_out);
/* Of a present key. *removed_out (may be NULL): how many were there. */
enum status txn_hash_remove(struct txn *txn, unsigned number, const struct bytes *fields,
                            size_t count, uint64_t *removed_out);
/* Fields of a present key get this expiry, later than now, or BASIN_NO_EXPIRY; absent ones are
 * passed over. */
enum status txn_hash_expire(struct txn *txn, unsigned number, const struct bytes *fields,
                            size_t count, int64_t expiry_ms);
/* How many of the members were new, or were there. ST_NOMEM, ST_LIMIT: the members up to some point
 * have been added or removed, as that many say. */
enum status txn_set_add(struct txn *txn, unsigned number, const struct bytes *members, size_t count,
                        uint64_t *added_out);
enum status txn_set_remove(struct txn *txn, unsigned number, const struct bytes *members,
                           size_t count, uint64_t *removed_out);
/* Adds members or sets their scores (no NaN), one after the other, where `when` (bits of enum
 * zset_when) allows it. Counts those that were new and those whose score changed. ST_NOMEM,
 * ST_LIMIT: the first added_out + updated_out changes, from the front, stand. */
enum status txn_zset_add(struct txn *txn, unsigned number, unsigned when,
                         const struct zset_member *members, size_t count, uint64_t *added_out,
                         uint64_t *updated_out);
/* removed_out may be NULL. */
enum status txn_zset_remove(struct txn *txn, unsigned number, const struct bytes *members,
                            size_t count, uint64_t *removed_out);
/* Removes the members with the ranks [rank, rank + count), which are there. */
enum status txn_zset_cut(struct txn *txn, unsigned number, uint64_t rank, uint64_t count);
/* A whole set, of members that are all different, in place of whatever was there; without members
 * the key is deleted. Sorts the array. No expiry. Names may lie in other values that are read. */
enum status txn_zset_put(struct txn *txn, unsigned number, struct zset_member *members,
                         size_t count);

/* How many of the chunks were new. */
enum status txn_chunk_append(struct txn *txn, unsigned number, const struct bytes *chunks,
                             size_t count, uint64_t *new_out);

/* Streams: see the operations in stream.h. Those on a group or a consumer need the group to be
 * there; those from deliver on make the consumer, and draw times from the txn's now. */
struct stream_member {
    struct bytes group, consumer;
};
/* count pairs of name and value; the ID is above the last one. */
enum status txn_stream_add(struct txn *txn, unsigned number, struct stream_id id,
                           const struct bytes *fields, size_t count);
enum status txn_stream_delete(struct txn *txn, unsigned number, const struct stream_id *ids,
                              size_t count, uint64_t *deleted_out);
/* 0 < count ≤ entries; keep: see stream_trim_count. */
enum status txn_stream_trim(struct txn *txn, unsigned number, uint64_t count, bool keep);
/* last is not below any entry. */
enum status txn_stream_set_id(struct txn *txn, unsigned number, struct stream_id last,
                              uint64_t added, struct stream_id max_deleted);
/* create: a group that is not there, also in a stream that is not there; else one that is. */
enum status txn_stream_group_set(struct txn *txn, unsigned number, bool create, struct bytes group,
                                 struct stream_id last, int64_t entries_read);
enum status txn_stream_group_destroy(struct txn *txn, unsigned number, struct bytes group,
                                     uint64_t *destroyed_out);
enum status txn_stream_consumer_create(struct txn *txn, unsigned number,
                                       struct stream_member member, uint64_t *created_out);
enum status txn_stream_consumer_delete(struct txn *txn, unsigned number,
                                       struct stream_member member, uint64_t *pending_out);
/* IDs ascend, from above the group's last delivered; unheld: they do not become pending. */
enum status txn_stream_deliver(struct txn *txn, unsigned number, struct stream_member member,
                               bool unheld, const struct stream_id *ids, size_t count);
enum status txn_stream_redeliver(struct txn *txn, unsigned number, struct stream_member member,
                                 const struct stream_id *ids, size_t count);
enum status txn_stream_ack(struct txn *txn, unsigned number, struct bytes group,
                           const struct stream_id *ids, size_t count, uint64_t *acked_out);
struct stream_claim {
    struct stream_id id;
    int64_t time_ms;
    uint64_t deliveries;
};
enum status txn_stream_claim(struct txn *txn, unsigned number, struct stream_member member,
                             struct stream_id last, const struct stream_claim *claims,
                             size_t count);

/* -- The whole keyspace: after txn_plan_all ---------------------------------------------------- */

struct txn_scan_key {
    struct bytes name;
    enum value_type type;
    int64_t expiry_ms;
};
/* Calls fn for at least count keys of the database (all that share the last hash range), from the
 * cursor on; a false of fn ends the walk early. 0 begins and ends; cursors stay below 2^48 and need
 * no state: a key present throughout is always given, however the store grows meanwhile. */
typedef bool (*txn_scan_fn)(void *ctx, const struct txn_scan_key *key);
enum status txn_scan(struct txn *txn, unsigned database, uint64_t cursor, uint64_t count,
                     txn_scan_fn fn, void *ctx, uint64_t *cursor_out);
/* Exact, as of a moment since it was first asked; ST_WAIT while it is not known. ST_IO, ST_CORRUPT:
 * what it depends on cannot be read. */
enum status txn_database_size(struct txn *txn, unsigned database, uint64_t *size_out);
/* A key at random, fairly even; lent until txn_end. found_out false: the database is empty. */
enum status txn_random_key(struct txn *txn, unsigned database, struct bytes *name_out,
                           bool *found_out);
enum status txn_flush_database(struct txn *txn, unsigned database);
enum status txn_flush_all(struct txn *txn);
enum status txn_swap_databases(struct txn *txn, unsigned a, unsigned b);

#endif
