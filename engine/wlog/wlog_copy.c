#include "engine/wlog/wlog_copy.h"

#include "engine/base/log.h"
#include "engine/wlog/wlog_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_SIZE (2u << 20)
static_assert(WINDOW_SIZE >= FRAME_TOTAL_MAX + IO_ALIGNMENT_MAX, "a frame fits, wherever it is");

/* A segment that is read, as it was when it was opened: its name may change meanwhile. */
struct source {
    struct io_file *file;
    char path[WLOG_PATH_MAX];
    uint64_t first_lsn, end_lsn;
};

struct copier {
    struct wlog *log;
    const char *dir;
    unsigned char *window; /* Of the source. */
    uint64_t to;
    wlog_copy_fn fn;
    void *ctx;
    /* In the segment under way: */
    struct source source;
    struct io_file *file;
    uint32_t generation; /* Of its first frame; valid once offset > 0. */
    uint64_t offset;     /* Of the next frame, */
    uint64_t lsn;        /* and where that begins. */
};

void wlog_keep(struct wlog *log, uint64_t lsn)
{
    pthread_mutex_lock(&log->mutex);
    log->kept_lsn = lsn;
    pthread_mutex_unlock(&log->mutex);
    wlog_trim(log, 0); /* What was asked for before. */
}

/* -- Where it lies ----------------------------------------------------------------------------- */

/* The segment that holds the byte; NULL: none does. With mutex. */
static const struct wlog_segment *segment_with(const struct wlog *log, uint64_t lsn)
{
    for (const struct wlog_segment *s = log->reading.first; s != NULL; s = s->next) {
        if (s->end_lsn > lsn) {
            return s;
        }
    }
    const struct wlog_segment *active = log->active;
    return active->offset > 0 && active->end_lsn > lsn ? active : NULL;
}

/* Opened under files_mutex, so that it is not renamed in between. It is not recycled: it is kept.
 */
static enum status source_open(struct wlog *log, uint64_t lsn, struct source *source)
{
    pthread_mutex_lock(&log->files_mutex);
    pthread_mutex_lock(&log->mutex);
    const struct wlog_segment *segment = segment_with(log, lsn);
    bool found = segment != NULL && segment->first_lsn <= lsn;
    if (found) {
        wlog_segment_path(log, segment, source->path, sizeof(source->path));
        source->first_lsn = segment->first_lsn;
        source->end_lsn = segment->end_lsn;
    }
    pthread_mutex_unlock(&log->mutex);
    enum status status = ST_CORRUPT;
    if (found) {
        status = io_file_open(log->io, source->path, IO_READ_DIRECT, &source->file);
    } else {
        log_line(LOG_WARNING, "wlog: no segment holds LSN %" PRIu64, lsn);
    }
    pthread_mutex_unlock(&log->files_mutex);
    return status;
}

/* -- Frame by frame ---------------------------------------------------------------------------- */

/* The frame at the beginning of `bytes` goes on where the last one ended. */
static bool frame_fits(const struct copier *copier, struct bytes bytes,
                       const struct wlog_frame *frame)
{
    return frame->start_lsn == copier->lsn && frame->store_id == copier->log->store_id &&
           (copier->offset == 0 || frame->generation == copier->generation) &&
           wlog_frame_proven(bytes, frame);
}

/* How much of `bytes`, which begin with the next frame, are whole sound frames that are wanted.
 * *damaged_out: what follows them is none, though it lies in there. */
static size_t frames_take(struct copier *copier, struct bytes bytes, uint64_t until,
                          bool *damaged_out)
{
    size_t taken = 0;
    *damaged_out = false;
    while (copier->lsn < until && bytes.size - taken >= FRAME_HEADER_SIZE) {
        struct bytes rest = bytes_slice(bytes, taken, bytes.size);
        struct wlog_frame frame;
        bool ours = wlog_frame_parse(rest, copier->offset, &frame);
        if (ours && frame.total > rest.size) {
            break;
        }
        if (!ours || !frame_fits(copier, rest, &frame)) {
            *damaged_out = true;
            break;
        }
        copier->generation = frame.generation;
        copier->lsn += frame.size;
        copier->offset += frame.total;
        taken += frame.total;
    }
    return taken;
}

/* One window: frames from copier->offset on. */
static enum status window_copy(struct copier *copier, uint64_t until)
{
    uint64_t offset = copier->offset;
    uint64_t base = offset & ~(uint64_t)(IO_ALIGNMENT_MAX - 1);
    size_t got = 0;
    enum status status = io_file_read(copier->source.file, copier->window, WINDOW_SIZE, base, &got);
    if (status != ST_OK) {
        return status;
    }
    bool damaged = false;
    struct bytes bytes = bytes_slice(bytes_of(copier->window, got), (size_t)(offset - base), got);
    size_t taken = frames_take(copier, bytes, until, &damaged);
    if (damaged || taken == 0) {
        log_line(LOG_WARNING,
                 "wlog: damaged: no good frame for LSN %" PRIu64 " at offset %" PRIu64 " of %s",
                 copier->lsn, copier->offset, copier->source.path);
        return ST_CORRUPT;
    }
    status = io_file_write(copier->file, bytes.data, taken, offset);
    return status == ST_OK ? copier->fn(copier->ctx, taken) : status;
}

static enum status segment_copy(struct copier *copier)
{
    char path[WLOG_PATH_MAX];
    const struct source *source = &copier->source;
    uint64_t until = source->end_lsn < copier->to ? source->end_lsn : copier->to;
    int size = snprintf(path, sizeof(path), "%s/txlogs/reading/tx-%016" PRIx64 ".log", copier->dir,
                        source->first_lsn);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        return ST_INVALID;
    }
    enum status status = io_file_open(copier->log->io, path, IO_WRITE, &copier->file);
    copier->offset = 0;
    copier->lsn = source->first_lsn;
    while (status == ST_OK && copier->lsn < until) {
        status = window_copy(copier, until);
    }
    return status == ST_OK ? io_file_sync(copier->file) : status;
}

enum status wlog_copy(struct wlog *log, uint64_t from, uint64_t to, const char *dir,
                      wlog_copy_fn fn, void *ctx)
{
    struct copier *copier = calloc(1, sizeof(*copier));
    void *window = NULL;
    enum status status = ST_OK;
    if (copier == NULL || posix_memalign(&window, IO_ALIGNMENT_MAX, WINDOW_SIZE) != 0) {
        status = ST_NOMEM;
    } else {
        *copier = (struct copier){
            .log = log, .dir = dir, .window = window, .to = to, .fn = fn, .ctx = ctx};
    }
    for (uint64_t lsn = from; status == ST_OK && lsn < to; lsn = copier->source.end_lsn) {
        status = source_open(log, lsn, &copier->source);
        if (status == ST_OK) {
            status = segment_copy(copier);
        }
        io_file_close(copier->file);
        io_file_close(copier->source.file);
        copier->file = copier->source.file = NULL;
    }
    free(window);
    free(copier);
    return status;
}
