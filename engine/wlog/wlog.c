/* The write log: life, reservation, policy. The other files of wlog/ do the work.
 *
 * Picture of the stream and of a file:
 *
 *     stream   …│record│record│   huge record   │record│…          LSN = position, gap-free
 *                └──────┬──────┴──┬──────┴──┬────────┘
 *     file       [hdr│payload│pad][hdr│payload│pad][hdr│pay…]       a frame a flush
 *
 * The frame, little-endian, at a multiple of the file's alignment (at least 512):
 *
 *      0 u64 checksum     XXH3-64 of all that follows up to the end of the payload
 *      8 u32 magic        "BWLG"
 *     12 u16 version      1
 *     14 u16 zero
 *     16 u32 generation   which life of the store wrote it
 *     20 u32 size         of the payload
 *     24 u32 total        header, payload and padding: where the next frame begins, whatever the
 *                         alignment was then
 *     28 u32 store        drawn from the store's secret: files copied from another store are told
 *                         apart from ours
 *     32 u64 start LSN    of the payload
 *     40 u64 durable LSN  known when it was written: evidence against a damaged beginning (W3)
 *     48 u64 salt         drawn at each start: bytes that a client stores are never a frame
 *     56 u64 offset       in its file: a frame copied or written to another place is none
 *     64     payload, then zeros up to total
 *
 * A frame never crosses a file, a record may. Generation and start LSN name a frame: in recycled
 * files older frames lie behind the last new one, with another of both.
 *
 * Reservation. Until a record is buffered nobody knows how many frames it will become, so
 * wlog_reserve charges the worst case: a header and a rounding for each buffer that it may touch.
 * wlog_append exchanges the charge for the exact cost of the buffers so far, the flush exchanges
 * that for space in the segment. `room` is what is left: capacity − buffered − reserved, one
 * atomic, so a reservation is one compare-and-swap. It is never negative, which is why an append
 * needs no answer.
 *
 * Group commit. While enough flushes are in flight, appends gather; each completion takes along
 * what has gathered. How many are enough is learned from the device, up to flushes_max, see
 * wlog_depth.h. Where one is enough, a completion may wait a little for the clients that it has
 * freed, see wlog_hold.h; nothing else waits for time to pass.
 *
 * Policies. always: each flush is durable by itself. everysec, no: flushes are not, and as nobody
 * waits for them, appends gather up to LAZY_SIZE or until the clock thread's next round, in at most
 * a tenth of a second; it syncs once a second, or when a segment is full. W5 counts what is not yet
 * written, because that is what takes memory; under everysec and no the durable LSN may lag behind
 * by more.
 */
#include "engine/wlog/wlog_private.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SEGMENT_SIZE_MIN (16u * IO_ALIGNMENT_MAX)
#define SYNC_PERIOD_US 1000000
#define PREPARE_ASK_US 100000
/* How late the clock thread sees a completion when every worker is busy. */
#define BUSY_PERIOD_MS 5
#define IDLE_PERIOD_MS 100
#define FILES_PERIOD_MS 1000

/* -- Opening and closing --------------------------------------------------------------------- */

static enum status dirs_make(struct wlog *log, const char *dir)
{
    static const char *const names[WLOG_PLACE_COUNT] = {"prepared", "writing", "reading"};
    char path[WLOG_PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s/txlogs", dir);
    if (size < 0 || (size_t)size + IO_NAME_MAX + 16 >= sizeof(path)) {
        return ST_INVALID;
    }
    enum status status = io_dir_make(log->io, path);
    for (int place = 0; place < WLOG_PLACE_COUNT && status == ST_OK; place++) {
        if (asprintf(&log->path[place], "%s/%s", path, names[place]) < 0) {
            log->path[place] = NULL;
            return ST_NOMEM;
        }
        status = io_dir_make(log->io, log->path[place]);
    }
    if (status == ST_OK) {
        status = io_dir_sync(log->io, path);
    }
    return status == ST_OK ? io_dir_sync(log->io, dir) : status;
}

static enum status history_copy(struct wlog *log, const struct wlog_history *history)
{
    log->trim_lsn = history->trim_lsn > WLOG_LSN_FIRST ? history->trim_lsn : WLOG_LSN_FIRST;
    log->store_id = history->store_id;
    log->known_durable_lsn = history->durable_lsn;
    log->generation_count = history->generation_count;
    log->generations = calloc(history->generation_count + 1, sizeof(*log->generations));
    if (log->generations == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < history->generation_count; i++) {
        log->generations[i] = history->generations[i];
        CHECK(i == 0 || (log->generations[i - 1].number < log->generations[i].number &&
                         log->generations[i - 1].start_lsn <= log->generations[i].start_lsn));
    }
    return ST_OK;
}

static void locks_init(struct wlog *log)
{
    pthread_mutexattr_t adaptive;
    pthread_mutexattr_init(&adaptive);
    pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&log->mutex, &adaptive);
    pthread_mutexattr_destroy(&adaptive);
    pthread_mutex_init(&log->sync_mutex, NULL);
    pthread_mutex_init(&log->files_mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->clock_wake, &monotonic);
    pthread_cond_init(&log->files_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void log_free(struct wlog *log)
{
    io_queue_close(log->queue);
    wlog_buffers_free(log->queue_first);
    wlog_buffers_free(log->flight_first);
    wlog_buffers_free(log->pool);
    if (log->active != NULL) {
        io_file_close(log->active->file);
        free(log->active);
    }
    wlog_list_free(&log->reading);
    wlog_list_free(&log->prepared);
    wlog_list_free(&log->retired);
    wlog_list_free(&log->found);
    wlog_list_free(&log->strays);
    pthread_mutex_destroy(&log->mutex);
    pthread_mutex_destroy(&log->sync_mutex);
    pthread_mutex_destroy(&log->files_mutex);
    pthread_cond_destroy(&log->clock_wake);
    pthread_cond_destroy(&log->files_wake);
    for (int place = 0; place < WLOG_PLACE_COUNT; place++) {
        free(log->path[place]);
    }
    free(log->generations);
    free(log);
}

enum status wlog_open(const struct wlog_options *options, const struct wlog_history *history,
                      struct wlog **log_out)
{
    struct wlog *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return ST_NOMEM;
    }
    log->io = options->io;
    atomic_store(&log->sync, options->sync);
    log->segment_size = round_up(options->segment_size, IO_ALIGNMENT_MAX);
    if (log->segment_size < SEGMENT_SIZE_MIN) {
        log->segment_size = SEGMENT_SIZE_MIN;
    }
    log->rotate_ms = options->rotate_ms;
    log->flushes_max = options->flushes_max > 0 ? options->flushes_max : 1;
    wlog_depth_init(&log->depth, log->flushes_max);
    log->unflushed_max = options->unflushed_max;
    log->kept_lsn = UINT64_MAX;
    log->background = options->background;
    /* A quarter of a small segment, so that not too much of its end is wasted. */
    uint64_t quarter = log->segment_size / 4 & ~(uint64_t)(IO_ALIGNMENT_MAX - 1);
    log->buffer_size = quarter < WLOG_BUFFER_SIZE ? quarter : WLOG_BUFFER_SIZE;
    wlog_list_init(&log->reading);
    wlog_list_init(&log->prepared);
    wlog_list_init(&log->retired);
    wlog_list_init(&log->found);
    wlog_list_init(&log->strays);
    locks_init(log);
    enum status status = history_copy(log, history);
    if (status == ST_OK) {
        status = dirs_make(log, options->dir);
    }
    if (status == ST_OK) {
        status = wlog_segments_find(log);
    }
    if (status != ST_OK) {
        log_free(log);
        return status;
    }
    atomic_store(&log->end, log->trim_lsn);
    atomic_store(&log->written, log->trim_lsn);
    atomic_store(&log->durable, log->trim_lsn);
    *log_out = log;
    return ST_OK;
}

static void threads_stop(struct wlog *log)
{
    pthread_mutex_lock(&log->mutex);
    log->stopping = true;
    wlog_kick_clock(log);
    wlog_kick_files(log);
    pthread_mutex_unlock(&log->mutex);
    if (log->threads_run) {
        pthread_join(log->clock_thread, NULL);
        pthread_join(log->files_thread, NULL);
        log->threads_run = false;
    }
}

void wlog_close(struct wlog *log)
{
    if (log == NULL) {
        return;
    }
    if (log->started) {
        enum status status = wlog_sync_now(log);
        if (status != ST_OK) {
            log_line(LOG_WARNING,
                     "wlog: closed with %" PRIu64 " bytes after LSN %" PRIu64 " not durable: %s",
                     wlog_end(log) - wlog_durable(log), wlog_durable(log), status_name(status));
        }
        threads_stop(log);
    }
    log_free(log);
}

/* -- Starting -------------------------------------------------------------------------------- */

static void *clock_run(void *arg);
static void *files_run(void *arg);

static enum status threads_start(struct wlog *log)
{
    if (!log->background) {
        return ST_OK;
    }
    if (pthread_create(&log->clock_thread, NULL, clock_run, log) != 0) {
        return ST_NOMEM;
    }
    if (pthread_create(&log->files_thread, NULL, files_run, log) != 0) {
        pthread_mutex_lock(&log->mutex);
        log->stopping = true;
        wlog_kick_clock(log);
        pthread_mutex_unlock(&log->mutex);
        pthread_join(log->clock_thread, NULL);
        log->stopping = false;
        return ST_NOMEM;
    }
    log->threads_run = true;
    return ST_OK;
}

enum status wlog_start(struct wlog *log, uint32_t number, uint64_t start_lsn)
{
    CHECK(!log->started);
    enum status status = ST_OK;
    if (!log->replayed) {
        status = wlog_replay(log, NULL, NULL);
    }
    if (status != ST_OK) {
        return status;
    }
    CHECK(start_lsn >= WLOG_LSN_FIRST && start_lsn <= wlog_end(log));
    CHECK(log->generation_count == 0 ||
          number > log->generations[log->generation_count - 1].number);
    wlog_segments_adopt(log);
    if (log->active == NULL) {
        status = wlog_segments_start(log);
    }
    if (status == ST_OK) {
        status = io_random(log->io, &log->salt, sizeof(log->salt));
    }
    if (status == ST_OK && log->queue == NULL) {
        status = io_queue_open(log->io, log->flushes_max * 2, &log->queue);
    }
    if (status == ST_OK) {
        status = wlog_buffers_prepare(log, log->flushes_max + 2);
    }
    if (status != ST_OK) {
        return status;
    }
    log->generation = number;
    log->synced_us = io_now_us(log->io);
    atomic_store(&log->end, start_lsn);
    atomic_store(&log->submitted, start_lsn);
    atomic_store(&log->written, start_lsn);
    atomic_store(&log->durable, start_lsn);
    log->volatile_end = start_lsn;
    log->started = true;
    status = threads_start(log);
    log->started = status == ST_OK;
    return status;
}

/* -- Reservation ----------------------------------------------------------------------------- */

static bool unflushed_full(const struct wlog *log)
{
    uint64_t written = atomic_load_explicit(&log->written, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&log->end, memory_order_acquire);
    return end > written && end - written >= log->unflushed_max;
}

static bool room_take(struct wlog *log, uint64_t charge)
{
    int64_t room = atomic_load_explicit(&log->room, memory_order_relaxed);
    while (room >= 0 && (uint64_t)room >= charge) {
        if (atomic_compare_exchange_weak_explicit(&log->room, &room, room - (int64_t)charge,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* W5: parks the caller; the flag goes up before the last look, so no completion is missed. */
static bool flush_wait(struct wlog *log)
{
    wlog_submit_all(log);
    atomic_store(&log->waiting_flush, true);
    return unflushed_full(log);
}

static enum status room_wait(struct wlog *log, uint64_t charge)
{
    uint64_t now_us = io_now_us(log->io);
    enum status status = ST_WAIT;
    pthread_mutex_lock(&log->mutex);
    atomic_store(&log->waiting_room, true);
    if (room_take(log, charge)) {
        status = ST_OK;
    } else if (log->prepare_status != ST_OK && now_us - log->prepare_tried_us < PREPARE_ASK_US) {
        status = log->prepare_status == ST_FULL ? ST_FULL : ST_IO;
    } else {
        if (log->prepare_status != ST_OK) { /* Perhaps it has healed; ask, but do not wait. */
            log->prepare_again = true;
            status = log->prepare_status == ST_FULL ? ST_FULL : ST_IO;
        }
        log->wanted_room = charge > log->wanted_room ? charge : log->wanted_room;
        wlog_kick_files(log);
    }
    pthread_mutex_unlock(&log->mutex);
    return status;
}

enum status wlog_reserve(struct wlog *log, uint64_t size)
{
    CHECK(log->started);
    if (size > INT64_MAX / 4) {
        return ST_FULL; /* No disk holds it. */
    }
    if (unflushed_full(log) && flush_wait(log)) {
        return atomic_load(&log->dead) ? ST_IO : ST_WAIT;
    }
    if (atomic_load_explicit(&log->dead, memory_order_acquire)) {
        return ST_IO;
    }
    uint64_t charge = wlog_charge(log, size);
    return room_take(log, charge) ? ST_OK : room_wait(log, charge);
}

void wlog_unreserve(struct wlog *log, uint64_t size)
{
    atomic_fetch_add(&log->room, (int64_t)wlog_charge(log, size));
    wlog_tell(log);
}

/* -- Death and waking ------------------------------------------------------------------------ */

void wlog_die_locked(struct wlog *log, enum status status, const char *what)
{
    if (!atomic_load(&log->dead)) {
        log_line(LOG_WARNING,
                 "wlog: %s (%s): the log is dead; nothing after LSN %" PRIu64
                 " is acknowledged. Mend the disk and restart",
                 what, status_name(status), wlog_durable(log));
        atomic_store(&log->dead, true);
        atomic_store(&log->death_untold, true);
    }
}

void wlog_die(struct wlog *log, enum status status, const char *what)
{
    pthread_mutex_lock(&log->mutex);
    wlog_die_locked(log, status, what);
    pthread_mutex_unlock(&log->mutex);
}

void wlog_tell(struct wlog *log)
{
    bool tell = atomic_load(&log->death_untold) && atomic_exchange(&log->death_untold, false);
    if (atomic_load(&log->waiting_flush) && !unflushed_full(log)) {
        tell = atomic_exchange(&log->waiting_flush, false) || tell;
    }
    if (atomic_load(&log->waiting_room) &&
        atomic_load(&log->room) >= (int64_t)atomic_load(&log->wanted_room)) {
        tell = atomic_exchange(&log->waiting_room, false) || tell;
    }
    if (tell) {
        pthread_mutex_lock(&log->mutex);
        void (*wake)(void *) = log->wake;
        void *ctx = log->wake_ctx;
        pthread_mutex_unlock(&log->mutex);
        if (wake != NULL) {
            wake(ctx);
        }
    }
}

void wlog_set_waker(struct wlog *log, void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&log->mutex);
    log->wake = wake;
    log->wake_ctx = ctx;
    pthread_mutex_unlock(&log->mutex);
}

void wlog_set_watcher(struct wlog *log, void (*moved)(void *ctx, uint64_t durable), void *ctx)
{
    pthread_mutex_lock(&log->mutex);
    log->moved = moved;
    log->moved_ctx = ctx;
    pthread_mutex_unlock(&log->mutex);
}

static void tell_moved(struct wlog *log)
{
    uint64_t durable = wlog_durable(log);
    if (atomic_exchange(&log->moved_told, durable) == durable) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    void (*moved)(void *, uint64_t) = log->moved;
    void *ctx = log->moved_ctx;
    pthread_mutex_unlock(&log->mutex);
    if (moved != NULL) {
        moved(ctx, durable);
    }
}

/* -- Looking --------------------------------------------------------------------------------- */

int wlog_fd(struct wlog *log)
{
    return log->queue == NULL ? -1 : io_queue_fd(log->queue);
}

uint64_t wlog_durable(const struct wlog *log)
{
    return atomic_load(&log->durable); /* In one order with what its watchers publish. */
}

uint64_t wlog_end(const struct wlog *log)
{
    return atomic_load_explicit(&log->end, memory_order_acquire);
}

bool wlog_dead(const struct wlog *log)
{
    return atomic_load_explicit(&log->dead, memory_order_acquire);
}

void wlog_get_stats(struct wlog *log, struct wlog_stats *stats_out)
{
    pthread_mutex_lock(&log->mutex);
    *stats_out = log->stats;
    stats_out->appends = atomic_load(&log->appends);
    stats_out->unflushed = atomic_load(&log->end) - atomic_load(&log->durable);
    stats_out->in_flight = atomic_load(&log->in_flight);
    const struct wlog_segment_list *lists[] = {&log->reading, &log->prepared, &log->retired};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (const struct wlog_segment *s = lists[i]->first; s != NULL; s = s->next) {
            stats_out->segments++;
            stats_out->disk_bytes += s->size;
        }
    }
    if (log->active != NULL) {
        stats_out->segments++;
        stats_out->disk_bytes += log->active->size;
    }
    pthread_mutex_unlock(&log->mutex);
}

/* -- Policy and clock ------------------------------------------------------------------------ */

void wlog_set_sync(struct wlog *log, enum wlog_sync sync)
{
    pthread_mutex_lock(&log->mutex);
    atomic_store(&log->sync, sync);
    wlog_kick_clock(log); /* What is volatile and now awaited is synced at once. */
    pthread_mutex_unlock(&log->mutex);
}

enum status wlog_sync_now(struct wlog *log)
{
    uint64_t target = wlog_end(log);
    for (;;) {
        if (wlog_dead(log)) {
            return ST_IO;
        }
        if (wlog_durable(log) >= target) {
            tell_moved(log);
            return ST_OK;
        }
        wlog_submit_all(log);
        wlog_reap(log);
        uint64_t written = atomic_load(&log->written);
        if (written >= target && wlog_durable(log) < target) {
            status_ignore(wlog_sync_written(log, true), "a failure has killed the log");
            wlog_tell(log);
        } else if (written < target && wlog_fd(log) >= 0) {
            /* Workers own the fd's events; a rare caller looks again soon instead. */
            struct timespec pause = {0, 50000};
            nanosleep(&pause, NULL);
        }
    }
}

/* Is a sync due by policy? With `all_out` false, only rotated segments. With mutex. */
static bool sync_due(struct wlog *log, uint64_t now_us, bool *all_out)
{
    uint64_t durable = atomic_load(&log->durable);
    uint64_t written = atomic_load(&log->written);
    *all_out = true;
    if (atomic_load(&log->dead) || written <= durable) {
        return false;
    }
    switch (atomic_load(&log->sync)) {
    case WLOG_SYNC_ALWAYS: /* Left over from another policy. */
        return log->volatile_end > durable;
    case WLOG_SYNC_EVERYSEC:
        return now_us - log->synced_us >= SYNC_PERIOD_US;
    case WLOG_SYNC_NO:
        *all_out = false;
        return log->active->offset == 0 ||
               (log->active->first_lsn > durable && written >= log->active->first_lsn);
    }
    return false;
}

static void clock_work(struct wlog *log)
{
    wlog_reap(log);
    wlog_submit_all(log); /* What gathers, and what a hold kept while every worker fell asleep. */
    uint64_t now_us = io_now_us(log->io);
    bool all;
    pthread_mutex_lock(&log->mutex);
    wlog_rotate_by_age(log, now_us);
    bool due = sync_due(log, now_us, &all);
    pthread_mutex_unlock(&log->mutex);
    if (due) {
        status_ignore(wlog_sync_written(log, all), "a failure has killed the log");
    }
    wlog_tell(log);
    tell_moved(log);
}

void wlog_tick(struct wlog *log)
{
    CHECK(log->started);
    clock_work(log);
    wlog_files_work(log);
}

void wlog_kick_clock(struct wlog *log)
{
    log->clock_due = true;
    pthread_cond_signal(&log->clock_wake);
}

void wlog_kick_files(struct wlog *log)
{
    log->files_due = true;
    pthread_cond_signal(&log->files_wake);
}

/* Sleeps until kicked, stopped, or the period is over. With mutex. */
static void thread_pause(struct wlog *log, pthread_cond_t *wake, const bool *due, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int result = 0;
    while (!*due && !log->stopping && result == 0) {
        result = pthread_cond_timedwait(wake, &log->mutex, &until);
    }
}

static void *clock_run(void *arg)
{
    struct wlog *log = arg;
    pthread_mutex_lock(&log->mutex);
    while (!log->stopping) {
        bool busy = atomic_load(&log->in_flight) > 0;
        thread_pause(log, &log->clock_wake, &log->clock_due,
                     busy ? BUSY_PERIOD_MS : IDLE_PERIOD_MS);
        log->clock_due = false;
        pthread_mutex_unlock(&log->mutex);
        clock_work(log);
        pthread_mutex_lock(&log->mutex);
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}

static void *files_run(void *arg)
{
    struct wlog *log = arg;
    pthread_mutex_lock(&log->mutex);
    log->files_due = true; /* The first segment ahead. */
    while (!log->stopping) {
        thread_pause(log, &log->files_wake, &log->files_due, FILES_PERIOD_MS);
        log->files_due = false;
        pthread_mutex_unlock(&log->mutex);
        wlog_files_work(log);
        pthread_mutex_lock(&log->mutex);
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}
