/* wlog: the common write log. The one place where a write becomes durable.
 *
 *     wlog_reserve → wlog_append → buffered → wlog_flush → in flight → wlog_reap → durable
 *                                                                        → the reply may leave
 *
 * All shards append to one sequential stream of records. The LSN is the byte position in that
 * stream (frame headers and padding do not count); an append gives the stream position after its
 * last byte. LSN 0 is before everything; the stream of a new store starts at WLOG_LSN_FIRST.
 *
 * Invariants, cited by number in checks and tests:
 *   W1  Nothing leaves before the log durably covers what it reveals. The log's part: the LSN from
 *       wlog_durable never runs ahead of what a power cut keeps. (The rest is in txn and src/net.)
 *   W2  A group is replayed whole or not at all. The log's part: one append is one contiguous
 *       piece of the stream; replay hands out a gap-free stream and no byte beyond its end.
 *   W3  The durable LSN advances only over a gap-free prefix of completed flushes; a failed flush
 *       fails every flush in flight. A bad frame at X is corruption only if X lies below the
 *       durable LSN that a later good frame or the manifest names; otherwise the log ends at X.
 *   W4  After an error on a prepared block or its flush the log is dead: no retry, every later
 *       reserve and append answers ST_IO, the durable LSN never moves again. (Linux may drop dirty
 *       pages on a failed fsync, so a retry could lie.)
 *   W5  The unflushed log is bounded: past unflushed_max, wlog_reserve answers ST_WAIT. (Unflushed
 *       is what no completed write holds yet and so takes memory; under everysec and no the
 *       durable LSN may lag behind by more.)
 *
 * Files under DIR/txlogs/: writing/tx.log is active; reading/tx-{lsn}.log were rotated, named by
 * their first LSN in 16 hex digits; prepared/tx-{n}.log is the next one, allocated, zeroed and
 * synced before it is needed, so that a full disk shows there and not at a write. Renames need
 * no sync: recovery goes by what the files hold, not by what they are called.
 *
 * Frame, little-endian, one a flush, at a multiple of the file's alignment; see wlog.c.
 *
 * Thread: wlog_reserve, append, flush, reap, durable by any. Two background threads of the log: one
 * for the clock (sync once a second, rotation by age, reaping when all workers are busy), one for
 * files (preparing, naming, recycling), which may be slow.
 * Memory: buffers of WLOG_BUFFER_SIZE, as many as the unflushed log needs (W5).
 */
#ifndef BASIN_ENGINE_WLOG_WLOG_H
#define BASIN_ENGINE_WLOG_WLOG_H

#include "engine/io/io.h"

#define WLOG_LSN_FIRST 1
#define WLOG_BUFFER_SIZE (256u << 10) /* A quarter of a segment, where that is less. */

enum wlog_sync { WLOG_SYNC_ALWAYS, WLOG_SYNC_EVERYSEC, WLOG_SYNC_NO };

/* One life of the store: from its start LSN on, frames carry its number. */
struct wlog_generation {
    uint32_t number;
    uint64_t start_lsn;
};

/* What the manifest knows of the log. */
struct wlog_history {
    const struct wlog_generation *generations; /* Ascending in both fields. */
    size_t generation_count;
    uint32_t store_id;    /* In every frame, so that another store's are told apart. */
    uint64_t trim_lsn;    /* Nothing below it is needed or expected. */
    uint64_t durable_lsn; /* Everything below it was durable (a clean stop says so); 0: unknown. */
};

struct wlog_options {
    struct io *io;   /* Kept until wlog_close. */
    const char *dir; /* The store's directory, borrowed. txlogs/ is made in it. */
    enum wlog_sync sync;
    uint64_t segment_size;  /* Bytes of a segment file; rounded up to the alignment. */
    uint64_t rotate_ms;     /* Rotate a segment that has frames at this age; 0: by size only. */
    unsigned flushes_max;   /* Flushes in flight at most; see wlog_depth.h. */
    uint64_t unflushed_max; /* Bytes appended and not yet written at most (W5). */
    bool background;        /* False: no thread; the caller calls wlog_tick (tests). */
};

struct wlog; /* opaque */

/* Opens the files and looks at what they hold; nothing is changed yet. Given. */
enum status wlog_open(const struct wlog_options *options, const struct wlog_history *history,
                      struct wlog **log_out);

/* Flushes what is buffered, waits for it, and closes. ST_IO: what was not durable may be lost
 * (whoever waited for it was never told otherwise). NULL is fine. After it the log is gone. */
void wlog_close(struct wlog *log);

/* Hands out the stream from trim_lsn to its end, in pieces, in order, gap-free. A piece is lent
 * during the call. ST_CORRUPT: damage that W3 calls corruption; logged with file, offset and
 * remedy; nothing is changed then. ST_IO: a file cannot be read; never taken for the log's end. A
 * status of the callback ends the replay and is returned. After ST_OK all that was handed out is
 * durable, and wlog_end says where it ended. */
typedef enum status (*wlog_replay_fn)(void *ctx, uint64_t lsn, struct bytes piece);
enum status wlog_replay(struct wlog *log, wlog_replay_fn fn, void *ctx);

/* Starts generation `number` at start_lsn (where the last whole group ended; bytes found beyond
 * it are void from now on). The caller has made both durable in the manifest. Waits for the first
 * segment to be prepared. Replays unheard if that was not done. ST_FULL: no space for the segment;
 * may be tried again. */
enum status wlog_start(struct wlog *log, uint32_t number, uint64_t start_lsn);

/* Holds room on disk for one append of at most size bytes, before anything is changed.
 * ST_WAIT: the next segment is being prepared or too much is unflushed (W5): park, and call again
 * once woken (wlog_set_waker). ST_FULL: the disk is full; it is tried again about once a second,
 * and when a reservation asks. ST_IO: the log is dead (W4), or (wlog_dead is false) the next
 * segment cannot be prepared for another reason, which heals likewise. */
enum status wlog_reserve(struct wlog *log, uint64_t size);

/* Gives back a reservation that no append used. */
void wlog_unreserve(struct wlog *log, uint64_t size);

/* Appends one group of records: `parts` are concatenated. Uses up the reservation of `reserved`
 * bytes; their sum is at most that. Never waits and never fails: what was reserved fits, and after
 * the log's death the bytes are dropped and the LSN still grows. Gives the LSN of its first byte;
 * it ends at that plus the size. Call wlog_flush soon. */
uint64_t wlog_append(struct wlog *log, uint64_t reserved, const struct bytes *parts,
                     size_t part_count);

/* Submits what is buffered, unless it had better wait for a flush in flight (wlog_depth.h), for its
 * company (wlog_hold.h) or, without `always`, for more; a completion or the clock submits the rest.
 * Never waits for the device. Cheap when there is nothing to do. */
void wlog_flush(struct wlog *log);

/* How long what is buffered still waits for its company (wlog_hold.h), in µs; 0: it does not, or
 * not any more: wlog_flush then submits it. Who has appended does so by then; the clock thread is
 * late.
 */
uint64_t wlog_held_us(const struct wlog *log);

/* Takes note of completed flushes and submits what waited for them. Any thread that polled
 * wlog_fd, or wants to know early. */
void wlog_reap(struct wlog *log);
int wlog_fd(struct wlog *log); /* See io_queue_fd. Lent. */

/* Everything up to here survives a power cut. With WLOG_SYNC_EVERYSEC and _NO it lags. One atomic
 * load, sequentially consistent: who says what it waits for and then looks is not overlooked by who
 * moves it and then asks who waits. */
uint64_t wlog_durable(const struct wlog *log);
uint64_t wlog_end(const struct wlog *log); /* Where the next append goes. */
bool wlog_dead(const struct wlog *log);

/* Changes the policy from now on (CONFIG SET appendfsync). */
void wlog_set_sync(struct wlog *log, enum wlog_sync sync);

/* Blocks until all that was appended is durable, whatever the policy. ST_IO: the log is dead. */
enum status wlog_sync_now(struct wlog *log);

/* Called, from any thread and without the log's locks, when the answer of wlog_reserve may have
 * changed from ST_WAIT, or the log has died. */
void wlog_set_waker(struct wlog *log, void (*wake)(void *ctx), void *ctx);

/* Called likewise when a thread that is not a worker's (the clock's, wlog_sync_now) has moved the
 * durable LSN. */
void wlog_set_watcher(struct wlog *log, void (*moved)(void *ctx, uint64_t durable), void *ctx);

/* Segments wholly below lsn, and durable, are no longer needed: recycled as prepared ones, or
 * removed, in the background, unless they are kept (wlog_copy.h). The manifest must name a trim_lsn
 * of at least lsn durably before. */
void wlog_trim(struct wlog *log, uint64_t lsn);

/* The background thread's work, once, for tests without it. */
void wlog_tick(struct wlog *log);

struct wlog_stats {
    uint64_t flushes, flushed_bytes, appends, appended_bytes; /* Since the start. */
    uint64_t rotations, segments_prepared, segments_recycled, prepare_failures;
    uint64_t flush_us_total, flush_us_max, flush_us_last; /* From submit to completion. */
    uint64_t batch_max;                                   /* Most appends that one flush carried. */
    uint64_t unflushed;                                   /* Bytes appended and not durable now. */
    unsigned in_flight;
    uint64_t segments, disk_bytes; /* Files now. */
};
void wlog_get_stats(struct wlog *log, struct wlog_stats *stats_out);

#endif
