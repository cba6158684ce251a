/* wlog_private: what the files of wlog/ share. Nobody else includes it.
 *
 *     wlog.c          life, reservation, policy, threads
 *     wlog_buffer.c   buffers, LSN allotment, copying
 *     wlog_depth.c    how many flushes at a time
 *     wlog_hold.c     how long a batch waits for its company
 *     wlog_flush.c    frames on their way to the disk, the durable prefix, sync
 *     wlog_segment.c  segment files: prepare, rotate, name, recycle
 *     wlog_frame.c    the frame on disk
 *     wlog_replay.c   reading it all back
 *     wlog_copy.c     a part of it in another directory too
 *
 * Lock order: files_mutex → sync_mutex → mutex. `mutex` is held for nanoseconds, never over a
 * system call or a copy of more than COPY_LOCKED_MAX bytes; the other two are held over I/O and are
 * never taken on the road of a write.
 */
#ifndef BASIN_ENGINE_WLOG_WLOG_PRIVATE_H
#define BASIN_ENGINE_WLOG_WLOG_PRIVATE_H

#include "engine/wlog/wlog.h"
#include "engine/wlog/wlog_depth.h"
#include "engine/wlog/wlog_hold.h"

#include <pthread.h>
#include <stdatomic.h>

/* -- wlog_frame.c ---------------------------------------------------------------------------- */

#define FRAME_HEADER_SIZE 64
#define FRAME_STEP 512             /* Every frame starts at a multiple of it. */
#define FRAME_TOTAL_MAX (1u << 20) /* Of the format; ours are at most WLOG_BUFFER_SIZE. */

/* A frame's header in memory. */
struct wlog_frame {
    uint32_t generation;
    uint32_t size;  /* Of the payload. */
    uint32_t total; /* Header, payload and padding; the next frame begins there. */
    uint32_t store_id;
    uint64_t start_lsn;
    uint64_t durable_lsn;
    uint64_t salt;
    uint64_t offset; /* Where in its file. */
};

/* Fills the header in front of the payload at data + FRAME_HEADER_SIZE, and the padding. */
void wlog_frame_seal(unsigned char *data, const struct wlog_frame *frame);

/* True: at least a header lies there, it claims to be a frame of ours at this offset, and its
 * numbers are possible. Nothing is proven before wlog_frame_proven. */
bool wlog_frame_parse(struct bytes bytes, uint64_t offset, struct wlog_frame *frame_out);

/* True: the checksum over header and payload fits. `bytes` begins with the frame that parsed. */
bool wlog_frame_proven(struct bytes bytes, const struct wlog_frame *frame);

static inline uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) & ~(step - 1);
}

/* -- Shared shapes --------------------------------------------------------------------------- */

enum wlog_place { WLOG_PREPARED, WLOG_WRITING, WLOG_READING };
#define WLOG_PLACE_COUNT 3

/* One segment file. Guarded by mutex but for place, name, name_durable (files_mutex) and what
 * wlog_open found. */
struct wlog_segment {
    struct wlog_segment *next;
    struct wlog_segment *sync_next; /* In the list of one sync. */
    enum wlog_place place;
    char name[IO_NAME_MAX];
    bool name_durable;
    bool ours;            /* Its name is one that we give; only then do we move or remove it. */
    struct io_file *file; /* NULL: closed. */
    uint64_t size;
    uint64_t first_lsn, end_lsn; /* Of its frames, as far as they count. */
    uint64_t offset;             /* Where the next frame goes. */
    uint64_t first_frame_us;
    unsigned pins; /* Writes and syncs that use the file now. */
    bool unsynced; /* Holds completed writes that were not durable by themselves. */
    /* Found by wlog_open: */
    bool foreign; /* A good frame of another store lies at offset 0. */
    bool headed;  /* A good frame of ours does: */
    struct wlog_frame head;
    bool used; /* Replay took records from it. */
};

/* The payload of one frame, with room for the header in front. Open or queued (guarded by mutex),
 * then in flight (its flusher's, then the io queue's), then in the pool. */
struct wlog_buffer {
    struct wlog_buffer *next;
    struct wlog *log;
    unsigned char *data; /* Aligned to IO_ALIGNMENT_MAX, buffer_size bytes. */
    uint64_t start_lsn;
    uint32_t size;    /* Payload allotted. */
    unsigned writers; /* Copies into it that are not finished. */
    uint64_t appends; /* That ended in it. */
    /* In flight: */
    struct wlog_segment *segment;
    struct wlog_frame frame;
    struct io_request write;
    uint64_t submitted_us;
    bool beside; /* Others were in flight when it was submitted. */
    bool completed;
};

struct wlog_segment_list {
    struct wlog_segment *first;
    struct wlog_segment **end;
    size_t count;
};

struct wlog {
    struct io *io;
    char *path[WLOG_PLACE_COUNT];
    _Atomic enum wlog_sync sync;
    uint64_t segment_size;
    uint64_t rotate_ms;
    unsigned flushes_max;
    uint64_t unflushed_max;
    bool background;
    size_t alignment;
    size_t buffer_size;

    struct wlog_generation *generations;
    size_t generation_count;
    uint32_t store_id;
    uint64_t trim_lsn;
    uint64_t known_durable_lsn; /* The manifest's. */
    bool replayed;
    bool started;
    uint32_t generation; /* This life's. */
    uint64_t salt;

    _Atomic uint64_t end;       /* Where the next append goes. Written under mutex. */
    _Atomic uint64_t submitted; /* Where the queue begins. Written under mutex. */
    _Atomic uint64_t written;   /* Gap-free prefix of completed flushes. Written under mutex. */
    _Atomic uint64_t durable;   /* W1, W3. Written under mutex. */
    _Atomic bool dead;
    _Atomic int64_t room; /* Disk bytes promised to nobody; never negative once started. */

    /* Hints that let wlog_flush and wlog_reap return without the mutex. */
    _Atomic unsigned queued_count; /* Buffers with bytes, not submitted. */
    _Atomic unsigned in_flight;
    _Atomic uint64_t appends;     /* Of all, since the start. Written under mutex. */
    _Atomic bool waiting_flush;   /* Somebody was told ST_WAIT because of W5. */
    _Atomic bool waiting_room;    /* Somebody was told ST_WAIT because of space. */
    _Atomic uint64_t wanted_room; /* What the largest of them needs. Written under mutex. */
    _Atomic bool death_untold;

    pthread_mutex_t mutex;
    struct wlog_buffer *queue_first; /* In LSN order. The last may be open. */
    struct wlog_buffer *queue_last;
    struct wlog_buffer *open; /* Takes further appends; NULL or queue_last. */
    struct wlog_buffer *flight_first;
    struct wlog_buffer *flight_last;
    struct wlog_buffer *pool;
    unsigned pool_count;
    struct wlog_depth depth;
    struct wlog_hold hold;
    uint64_t volatile_end; /* End of the last written frame that was not durable by itself. */
    struct wlog_segment *active;
    struct wlog_segment_list reading, prepared, retired;
    uint64_t trim_asked; /* The log below it is not needed, but by who keeps it: */
    uint64_t kept_lsn;   /* see wlog_keep; UINT64_MAX: nobody does. */
    enum status prepare_status;
    uint64_t prepare_tried_us;
    bool prepare_again; /* A reservation asks for a try now. */
    struct wlog_stats stats;
    void (*wake)(void *ctx);
    void *wake_ctx;
    void (*moved)(void *ctx, uint64_t durable);
    void *moved_ctx;
    _Atomic uint64_t moved_told; /* The durable LSN that was last told. */
    bool stopping;

    struct io_queue *queue;

    pthread_mutex_t sync_mutex;
    uint64_t synced_us; /* When the last sync began. */

    pthread_mutex_t files_mutex;
    struct wlog_segment_list found;  /* By wlog_open, until wlog_start. */
    struct wlog_segment_list strays; /* Files that we leave alone; their names are taken. */
    uint64_t file_number;            /* Of the last prepared file. */

    /* Threads: one for the clock (sync, age, reaping), one for files, which may be slow. */
    pthread_t clock_thread, files_thread;
    bool threads_run;
    pthread_cond_t clock_wake, files_wake; /* With mutex. */
    bool clock_due, files_due;
};

/* -- wlog.c ---------------------------------------------------------------------------------- */

/* W4: the first error decides. */
void wlog_die(struct wlog *log, enum status status, const char *what);
void wlog_die_locked(struct wlog *log, enum status status, const char *what); /* With mutex. */

/* Calls the waker if somebody waits and the cause is gone. Called without locks. */
void wlog_tell(struct wlog *log);

/* Has the background threads look now. Called with mutex. */
void wlog_kick_clock(struct wlog *log);
void wlog_kick_files(struct wlog *log);

/* -- wlog_buffer.c --------------------------------------------------------------------------- */

/* Disk bytes that a frame of this payload takes. */
static inline uint64_t frame_cost(const struct wlog *log, uint64_t size)
{
    return round_up(FRAME_HEADER_SIZE + size, log->alignment);
}

/* The most that an append of this size may add to the cost of the buffers: in each buffer that it
 * touches a header and a rounding. */
uint64_t wlog_charge(const struct wlog *log, uint64_t size);

/* With mutex. */
void wlog_buffer_release(struct wlog *log, struct wlog_buffer *buffer);
enum status wlog_buffers_prepare(struct wlog *log, unsigned count);
void wlog_buffers_free(struct wlog_buffer *first);

/* -- wlog_flush.c ---------------------------------------------------------------------------- */

/* Submits what is ready and better submitted now. */
void wlog_submit(struct wlog *log);

/* Also what could gather for longer, because nobody waits for it. */
void wlog_submit_all(struct wlog *log);

/* Makes durable what is written: of all segments, or only of those already rotated. */
enum status wlog_sync_written(struct wlog *log, bool all);

/* -- wlog_segment.c -------------------------------------------------------------------------- */

void wlog_list_init(struct wlog_segment_list *list);
void wlog_list_push(struct wlog_segment_list *list, struct wlog_segment *segment);
struct wlog_segment *wlog_list_pop(struct wlog_segment_list *list);
void wlog_list_free(struct wlog_segment_list *list); /* Closes the files. */

/* Lists the three directories. Nothing on disk changes. */
enum status wlog_segments_find(struct wlog *log);
enum status wlog_segment_open(struct wlog *log, struct wlog_segment *segment,
                              enum io_open_mode mode);
void wlog_segment_path(const struct wlog *log, const struct wlog_segment *segment, char *path_out,
                       size_t path_size);
#define WLOG_PATH_MAX 4096

/* After replay: sorts what was found into reading, retired, strays and prepared. */
void wlog_segments_adopt(struct wlog *log);

/* Makes sure that a segment is active and the log's alignment is known. */
enum status wlog_segments_start(struct wlog *log);

/* Disk bytes that frames are certain to find: in the active segment and in the prepared ones. With
 * mutex. */
uint64_t wlog_capacity(const struct wlog *log);

/* The next prepared segment becomes active. With mutex; room is the caller's business. */
void wlog_rotate(struct wlog *log);

/* Rotates if the active segment is old enough. With mutex. */
void wlog_rotate_by_age(struct wlog *log, uint64_t now_us);

/* Names, recycles, removes and prepares whatever is due. Slow. */
void wlog_files_work(struct wlog *log);

#endif
