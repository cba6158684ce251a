/* Frames on their way to the disk, and how far the log is durable.
 *
 *     queue → seal, checksum, submit → in flight, any order → completed → prefix → durable
 *
 * Under the mutex a buffer leaves the queue, gets its place in the active segment and joins the
 * flight, a list in LSN order. The checksum and the submission happen without the mutex, so several
 * threads may submit at once and writes may start in any order: the place is already given.
 *
 * Completions come in any order. What counts is the completed beginning of the flight: its end is
 * `written`. With durable writes (always) that is the durable LSN too. A write that was not durable
 * by itself (everysec, no) holds the durable LSN back until a sync that began after its completion
 * has returned; `volatile_end` is the end of the last such frame, so that a change of policy in
 * full flight is only another case of the same rule (W1).
 *
 * A failed write or sync kills the log (W4): the completed prefix is not looked at any more, so
 * every flush in flight has failed, whatever its own completion says (W3).
 */
#include "engine/wlog/wlog_private.h"

#include "engine/base/check.h"

static void flush_done(struct io_request *write, enum status status);

/* Up to this size a flush's time is the device's answer, not that of its bytes. */
#define LEARN_SIZE_MAX (32 * 1024)

/* Without `always`: what a write should carry. */
#define LAZY_SIZE (64 * 1024)

/* Whether what is buffered had better wait: for a flush in flight to end, or for company. A full
 * buffer only waits for flushes_max: then bytes are what counts. Without `always` nobody waits for
 * a flush, so one is enough, and only `all` asks for it before there is enough to write. */
static bool flight_full(const struct wlog *log, bool all)
{
    unsigned in_flight = atomic_load_explicit(&log->in_flight, memory_order_relaxed);
    if (atomic_load_explicit(&log->queued_count, memory_order_relaxed) > 1) {
        return in_flight >= log->flushes_max;
    }
    if (atomic_load_explicit(&log->sync, memory_order_relaxed) == WLOG_SYNC_ALWAYS) {
        return in_flight >= wlog_depth_now(&log->depth) || wlog_held_us(log) > 0;
    }
    uint64_t gathered = atomic_load_explicit(&log->end, memory_order_relaxed) -
                        atomic_load_explicit(&log->submitted, memory_order_relaxed);
    return in_flight >= 1 || (log->background && !all && gathered < LAZY_SIZE);
}

uint64_t wlog_held_us(const struct wlog *log)
{
    if (atomic_load_explicit(&log->hold.until_us, memory_order_relaxed) == 0 ||
        atomic_load_explicit(&log->in_flight, memory_order_relaxed) > 0 ||
        atomic_load_explicit(&log->queued_count, memory_order_relaxed) != 1) {
        return 0;
    }
    return wlog_hold_left(&log->hold, atomic_load_explicit(&log->appends, memory_order_relaxed),
                          io_now_us(log->io));
}

/* Takes the next buffer off the queue and gives it its place; NULL: nothing to submit now. With
 * mutex. */
static struct wlog_buffer *flight_take(struct wlog *log, bool all)
{
    struct wlog_buffer *buffer = log->queue_first;
    if (buffer == NULL || buffer->writers > 0 || buffer->size == 0 || atomic_load(&log->dead) ||
        flight_full(log, all)) {
        return NULL;
    }
    wlog_hold_end(&log->hold, atomic_load(&log->appends));
    log->queue_first = buffer->next;
    if (log->queue_first == NULL) {
        log->queue_last = NULL;
    }
    if (log->open == buffer) {
        log->open = NULL;
    }
    uint64_t cost = frame_cost(log, buffer->size);
    uint64_t capacity = wlog_capacity(log);
    if (log->active->offset + cost > log->active->size) {
        wlog_rotate(log);
    }
    struct wlog_segment *segment = log->active;
    buffer->frame = (struct wlog_frame){
        .generation = log->generation,
        .size = buffer->size,
        .total = (uint32_t)cost,
        .start_lsn = buffer->start_lsn,
        .durable_lsn = atomic_load(&log->durable),
        .salt = log->salt,
        .store_id = log->store_id,
        .offset = segment->offset,
    };
    if (segment->offset == 0) {
        segment->first_lsn = buffer->start_lsn;
        segment->first_frame_us = io_now_us(log->io);
    }
    CHECK(segment->offset == 0 || segment->end_lsn == buffer->start_lsn);
    segment->offset += cost;
    segment->end_lsn = buffer->start_lsn + buffer->size;
    atomic_store_explicit(&log->submitted, segment->end_lsn, memory_order_relaxed);
    segment->pins++;
    /* What was promised to the buffer's bytes is now used up. */
    uint64_t lost = capacity - wlog_capacity(log);
    CHECK(lost <= cost);
    atomic_fetch_add(&log->room, (int64_t)(cost - lost));

    buffer->next = NULL;
    buffer->segment = segment;
    buffer->completed = false;
    buffer->write = (struct io_request){
        .file = segment->file,
        .data = buffer->data,
        .size = cost,
        .offset = buffer->frame.offset,
        .durable = atomic_load(&log->sync) == WLOG_SYNC_ALWAYS,
        .done = flush_done,
        .ctx = buffer,
    };
    if (log->flight_last != NULL) {
        log->flight_last->next = buffer;
    } else {
        log->flight_first = buffer;
    }
    log->flight_last = buffer;
    atomic_fetch_sub(&log->queued_count, 1);
    buffer->beside = atomic_fetch_add(&log->in_flight, 1) > 0;
    return buffer;
}

static void submit(struct wlog *log, bool all)
{
    while (atomic_load(&log->queued_count) > 0 && !atomic_load(&log->dead) &&
           !flight_full(log, all)) {
        pthread_mutex_lock(&log->mutex);
        struct wlog_buffer *buffer = flight_take(log, all);
        pthread_mutex_unlock(&log->mutex);
        if (buffer == NULL) {
            return;
        }
        wlog_frame_seal(buffer->data, &buffer->frame);
        buffer->submitted_us = io_now_us(log->io);
        enum status status = io_queue_write(log->queue, &buffer->write);
        if (status != ST_OK) {
            flush_done(&buffer->write, status);
            return;
        }
    }
}

void wlog_submit(struct wlog *log)
{
    submit(log, false);
}

void wlog_submit_all(struct wlog *log)
{
    submit(log, true);
}

/* Advances over the completed beginning of the flight. With mutex. */
static void prefix_advance(struct wlog *log)
{
    uint64_t written = atomic_load(&log->written);
    while (log->flight_first != NULL && log->flight_first->completed) {
        struct wlog_buffer *buffer = log->flight_first;
        CHECK(buffer->start_lsn == written);
        written += buffer->size;
        if (!buffer->write.durable) {
            log->volatile_end = written;
        }
        log->flight_first = buffer->next;
        if (log->flight_first == NULL) {
            log->flight_last = NULL;
        }
        wlog_buffer_release(log, buffer);
    }
    atomic_store_explicit(&log->written, written, memory_order_release);
    uint64_t durable = atomic_load(&log->durable);
    if (log->volatile_end <= durable && written > durable) {
        atomic_store(&log->durable, written);
    }
}

static void flush_done(struct io_request *write, enum status status)
{
    struct wlog_buffer *buffer = write->ctx;
    struct wlog *log = buffer->log;
    uint64_t now_us = io_now_us(log->io);
    uint64_t took_us = now_us - buffer->submitted_us;
    if (status != ST_OK) {
        wlog_die(log, status, "a flush failed");
    }
    pthread_mutex_lock(&log->mutex);
    bool last = atomic_fetch_sub(&log->in_flight, 1) == 1;
    buffer->segment->pins--;
    buffer->completed = true;
    if (!atomic_load(&log->dead)) {
        log->stats.flushes++;
        log->stats.flushed_bytes += buffer->write.size;
        log->stats.flush_us_total += took_us;
        log->stats.flush_us_last = took_us;
        if (buffer->write.durable && buffer->write.size <= LEARN_SIZE_MAX) {
            wlog_depth_learn(&log->depth, buffer->beside, took_us);
        }
        /* Without the clock thread nobody would be sure to end a hold. */
        if (log->background && buffer->write.durable && last && wlog_depth_now(&log->depth) == 1) {
            wlog_hold_begin(&log->hold, atomic_load(&log->appends), buffer->appends, took_us,
                            now_us);
        }
        if (took_us > log->stats.flush_us_max) {
            log->stats.flush_us_max = took_us;
        }
        if (buffer->appends > log->stats.batch_max) {
            log->stats.batch_max = buffer->appends;
        }
        if (!buffer->write.durable) {
            buffer->segment->unsynced = true;
        }
        prefix_advance(log);
    }
    pthread_mutex_unlock(&log->mutex);
}

void wlog_flush(struct wlog *log)
{
    if (atomic_load_explicit(&log->queued_count, memory_order_relaxed) == 0) {
        return;
    }
    if (flight_full(log, false)) {
        wlog_reap(log); /* A busy worker does not wait for another to see the completion. */
        return;
    }
    wlog_submit(log);
}

void wlog_reap(struct wlog *log)
{
    if (log->queue != NULL && io_queue_reap(log->queue) > 0) {
        wlog_submit(log);
        wlog_tell(log);
    }
}

/* -- Sync ------------------------------------------------------------------------------------ */

/* Collects a segment that holds completed, volatile writes. What completes from now on sets the
 * flag again and waits for the next sync. With mutex. */
static void sync_collect(struct wlog_segment *segment, struct wlog_segment **first)
{
    if (segment->unsynced) {
        segment->unsynced = false;
        segment->pins++;
        segment->sync_next = *first;
        *first = segment;
    }
}

enum status wlog_sync_written(struct wlog *log, bool all)
{
    pthread_mutex_lock(&log->sync_mutex);
    struct wlog_segment *segments = NULL;
    pthread_mutex_lock(&log->mutex);
    uint64_t target = atomic_load(&log->written);
    if (!all && log->active->offset > 0 && log->active->first_lsn < target) {
        target = log->active->first_lsn;
    }
    for (struct wlog_segment *s = log->reading.first; s != NULL; s = s->next) {
        sync_collect(s, &segments);
    }
    if (all) {
        sync_collect(log->active, &segments);
    }
    log->synced_us = io_now_us(log->io);
    pthread_mutex_unlock(&log->mutex);

    enum status status = atomic_load(&log->dead) ? ST_IO : ST_OK;
    for (struct wlog_segment *s = segments; s != NULL && status == ST_OK; s = s->sync_next) {
        status = io_file_sync(s->file);
        if (status != ST_OK) {
            wlog_die(log, status, "a sync failed");
        }
    }
    pthread_mutex_lock(&log->mutex);
    for (struct wlog_segment *s = segments; s != NULL; s = s->sync_next) {
        s->pins--;
    }
    if (status == ST_OK && !atomic_load(&log->dead) && target > atomic_load(&log->durable)) {
        /* Past volatile_end only durable frames follow. */
        uint64_t durable = log->volatile_end <= target ? atomic_load(&log->written) : target;
        atomic_store(&log->durable, durable);
    }
    pthread_mutex_unlock(&log->mutex);
    pthread_mutex_unlock(&log->sync_mutex);
    return status;
}
