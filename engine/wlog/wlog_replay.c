/* Replay: from the files to the stream, and where the stream ends.
 *
 *     found files ─ first frame of each ─→ chain by generation and LSN ─→ pieces
 *                                              │ no good frame at X
 *                                              ↓
 *              is X below what was durable? ── yes → ST_CORRUPT, nothing is changed
 *                                              │ no
 *                                              ↓
 *                        the log ends at X; the tail is made durable
 *
 * Names say nothing here. A file is known by its first frame; the chain goes on in a file as long
 * as each frame is good and continues generation, salt and LSN, and then in the file whose first
 * frame does. Frames of a generation count from its start to the start of the next, so what an
 * earlier life wrote beyond the end that recovery then found is void for ever.
 *
 * W3: at X the evidence against an innocent end is a start of a later generation beyond X, the
 * manifest's durable LSN, and any later good frame that names a durable LSN beyond X. To find those
 * frames, the rest of the file and all other files are searched sector by sector. Good frames are
 * stepped over whole, and a frame counts only with its generation's salt, so that bytes which a
 * client put into a value never pass for a frame.
 *
 * A read error is never taken for a bad frame: it ends the replay with its status, because a log
 * that is cut short by a loose cable would lose acknowledged writes.
 *
 * The tail: frames beyond the last durable LSN that a frame names may be in the page cache or the
 * device's cache alone (the process died, the power did not fail; or an fdatasync failed, after
 * which the kernel calls dirty pages clean). Readers are about to see them and the next generation
 * starts behind them, so they are written once more where they lie, synced, and then the
 * directories too. Only what a power cut keeps is handed out as replayed (W1).
 */
#include "engine/wlog/wlog_private.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_SIZE (2u << 20)
static_assert(WINDOW_SIZE >= FRAME_TOTAL_MAX, "a frame fits the window");

#define REMEDY                                                                                     \
    "Restore the files under txlogs from a backup, or move the store's directory aside and start " \
    "without it; nothing was changed"

/* A window that slides over one file. */
struct reader {
    struct wlog_segment *segment;
    unsigned char *window;
    uint64_t start; /* In the file. */
    size_t size;
    bool ended; /* The window reaches the end of the file. */
};

struct replay {
    struct wlog *log;
    struct reader reader;
    size_t index;    /* Of the generation that lsn lies in. */
    uint64_t lsn;    /* Where the stream has come to. */
    uint64_t named;  /* The highest durable LSN that somebody names. */
    uint64_t *salts; /* By generation; valid where salt_known. */
    bool *salt_known;
    struct wlog_segment *last; /* Where the chain broke, */
    uint64_t last_offset;      /* and at which offset. */
    wlog_replay_fn fn;
    void *ctx;
};

/* -- Reading --------------------------------------------------------------------------------- */

static void reader_start(struct reader *reader, struct wlog_segment *segment)
{
    reader->segment = segment;
    reader->start = 0;
    reader->size = 0;
    reader->ended = false;
}

/* Lends what lies from offset on, at least `need` bytes unless the file ends before, until the next
 * call. Reads forward only, in windows. */
static enum status reader_at(struct reader *reader, uint64_t offset, size_t need,
                             struct bytes *bytes_out)
{
    CHECK(need <= WINDOW_SIZE);
    if (offset < reader->start || offset > reader->start + reader->size) {
        reader->start = offset;
        reader->size = 0;
        reader->ended = false;
    }
    size_t skip = (size_t)(offset - reader->start);
    if (reader->size - skip < need && !reader->ended) {
        reader->size -= skip;
        memmove(reader->window, reader->window + skip, reader->size);
        reader->start = offset;
        skip = 0;
        size_t got = 0;
        size_t room = WINDOW_SIZE - reader->size;
        enum status status = io_file_read(reader->segment->file, reader->window + reader->size,
                                          room, reader->start + reader->size, &got);
        if (status != ST_OK) {
            log_line(LOG_WARNING, "wlog: %s cannot be read at offset %" PRIu64 ": %s",
                     reader->segment->name, reader->start + reader->size, status_name(status));
            return status;
        }
        reader->ended = got < room;
        reader->size += got;
    }
    *bytes_out = bytes_of(reader->window + skip, reader->size - skip);
    return ST_OK;
}

/* The frame at an offset. *good_out: it is one, proven by its checksum. Lends its bytes. */
static enum status frame_at(struct reader *reader, uint64_t offset, bool *good_out,
                            struct wlog_frame *frame_out, struct bytes *bytes_out)
{
    *good_out = false;
    enum status status = reader_at(reader, offset, FRAME_HEADER_SIZE, bytes_out);
    if (status != ST_OK || !wlog_frame_parse(*bytes_out, offset, frame_out)) {
        return status;
    }
    status = reader_at(reader, offset, frame_out->total, bytes_out);
    if (status == ST_OK) {
        *good_out = wlog_frame_proven(*bytes_out, frame_out);
    }
    return status;
}

/* Opens every file and looks at its first frame. A file that is not called like ours and cannot be
 * read is left alone; one of ours that cannot be read is an error. */
static enum status heads_read(struct replay *replay)
{
    for (struct wlog_segment *s = replay->log->found.first; s != NULL; s = s->next) {
        struct bytes bytes;
        enum status status = wlog_segment_open(replay->log, s, IO_READ);
        if (status == ST_OK) {
            status = io_file_size(s->file, &s->size);
        }
        if (status == ST_OK) {
            reader_start(&replay->reader, s);
            bool good;
            status = frame_at(&replay->reader, 0, &good, &s->head, &bytes);
            s->headed = good && s->head.store_id == replay->log->store_id;
            s->foreign = good && !s->headed;
        }
        if (status != ST_OK && s->ours) {
            return status;
        }
        if (status != ST_OK) {
            io_file_close(s->file);
            s->file = NULL;
        }
        s->used = false;
    }
    return ST_OK;
}

/* -- The chain ------------------------------------------------------------------------------- */

static uint64_t generation_end(const struct wlog *log, size_t index)
{
    return index + 1 < log->generation_count ? log->generations[index + 1].start_lsn : UINT64_MAX;
}

/* Moves on to the last generation that has begun at lsn. */
static void generation_settle(struct replay *replay)
{
    while (replay->lsn >= generation_end(replay->log, replay->index)) {
        replay->index++;
    }
}

/* The index of a generation's number, or generation_count. */
static size_t generation_find(const struct wlog *log, uint32_t number)
{
    size_t index = 0;
    while (index < log->generation_count && log->generations[index].number != number) {
        index++;
    }
    return index;
}

/* The file that goes on at lsn; at the beginning, the one that holds it. */
static struct wlog_segment *chain_next(struct replay *replay, bool beginning)
{
    struct wlog_segment *best = NULL;
    for (struct wlog_segment *s = replay->log->found.first; s != NULL; s = s->next) {
        if (s->used || !s->headed ||
            s->head.generation != replay->log->generations[replay->index].number) {
            continue;
        }
        if (s->head.start_lsn == replay->lsn) {
            return s;
        }
        if (beginning && s->head.start_lsn < replay->lsn &&
            (best == NULL || s->head.start_lsn > best->head.start_lsn)) {
            best = s;
        }
    }
    return best;
}

static bool salt_fits(struct replay *replay, size_t index, uint64_t salt)
{
    return !replay->salt_known[index] || replay->salts[index] == salt;
}

/* Hands out the part of a frame that is due. */
static enum status frame_deliver(struct replay *replay, const struct wlog_frame *frame,
                                 struct bytes bytes, uint64_t end)
{
    uint64_t last = frame->start_lsn + frame->size;
    uint64_t until = last < end ? last : end;
    if (until <= replay->lsn) {
        return ST_OK;
    }
    struct bytes payload = bytes_of((const char *)bytes.data + FRAME_HEADER_SIZE, frame->size);
    uint64_t skip = replay->lsn - frame->start_lsn;
    struct bytes piece = bytes_slice(payload, (size_t)skip, (size_t)(until - replay->lsn));
    uint64_t lsn = replay->lsn;
    replay->lsn = until;
    return replay->fn == NULL ? ST_OK : replay->fn(replay->ctx, lsn, piece);
}

/* Follows one file for as long as its frames go on. */
static enum status segment_replay(struct replay *replay, struct wlog_segment *segment)
{
    uint64_t end = generation_end(replay->log, replay->index);
    uint32_t generation = replay->log->generations[replay->index].number;
    uint64_t offset = 0;
    uint64_t expected = segment->head.start_lsn;
    uint64_t before = replay->lsn;
    enum status status = ST_OK;
    segment->first_lsn = expected;
    reader_start(&replay->reader, segment);
    while (status == ST_OK && expected < end) {
        bool good;
        struct wlog_frame frame;
        struct bytes bytes;
        status = frame_at(&replay->reader, offset, &good, &frame, &bytes);
        if (status != ST_OK || !good || frame.store_id != replay->log->store_id ||
            frame.generation != generation || frame.start_lsn != expected ||
            !salt_fits(replay, replay->index, frame.salt)) {
            break;
        }
        replay->salts[replay->index] = frame.salt;
        replay->salt_known[replay->index] = true;
        replay->named = frame.durable_lsn > replay->named ? frame.durable_lsn : replay->named;
        status = frame_deliver(replay, &frame, bytes, end);
        offset += frame.total;
        expected += frame.size;
    }
    segment->end_lsn = replay->lsn;
    segment->used = replay->lsn > before;
    replay->last = segment;
    replay->last_offset = offset;
    return status;
}

static enum status chain_follow(struct replay *replay)
{
    bool beginning = true;
    for (;;) {
        generation_settle(replay);
        struct wlog_segment *segment = chain_next(replay, beginning);
        if (segment == NULL) {
            return ST_OK;
        }
        beginning = false;
        uint64_t before = replay->lsn;
        enum status status = segment_replay(replay, segment);
        if (status != ST_OK) {
            return status;
        }
        if (replay->lsn == before) {
            return ST_OK; /* It does not reach lsn, and nothing else begins there. */
        }
    }
}

/* -- The verdict (W3) ------------------------------------------------------------------------ */

struct evidence {
    bool found;
    uint64_t durable_lsn;
    char source[WLOG_PATH_MAX + 64];
};

/* Does a good frame prove that the log was durable beyond where the chain ended? */
static bool frame_proves(struct replay *replay, const struct wlog_frame *frame)
{
    struct wlog *log = replay->log;
    size_t index = generation_find(log, frame->generation);
    return frame->store_id == log->store_id && index < log->generation_count &&
           index >= replay->index && frame->start_lsn >= log->generations[index].start_lsn &&
           frame->start_lsn < generation_end(log, index) && frame->durable_lsn > replay->lsn &&
           salt_fits(replay, index, frame->salt);
}

/* Looks at every sector from offset on, stepping over good frames. */
static enum status segment_search(struct replay *replay, struct wlog_segment *segment,
                                  uint64_t offset, struct evidence *evidence)
{
    reader_start(&replay->reader, segment);
    for (;;) {
        struct bytes bytes;
        enum status status = reader_at(&replay->reader, offset, FRAME_HEADER_SIZE, &bytes);
        if (status != ST_OK || bytes.size < FRAME_HEADER_SIZE) {
            return status;
        }
        bool good;
        struct wlog_frame frame;
        status = frame_at(&replay->reader, offset, &good, &frame, &bytes);
        if (status != ST_OK) {
            return status;
        }
        if (good && frame_proves(replay, &frame)) {
            char path[WLOG_PATH_MAX];
            wlog_segment_path(replay->log, segment, path, sizeof(path));
            snprintf(evidence->source, sizeof(evidence->source),
                     "the frame at offset %" PRIu64 " of %s", offset, path);
            evidence->found = true;
            evidence->durable_lsn = frame.durable_lsn;
            return ST_OK;
        }
        offset += good ? frame.total : FRAME_STEP;
    }
}

static enum status evidence_search(struct replay *replay, struct evidence *evidence)
{
    struct wlog *log = replay->log;
    uint64_t next = generation_end(log, replay->index);
    if (next != UINT64_MAX) {
        evidence->found = true;
        evidence->durable_lsn = next;
        snprintf(evidence->source, sizeof(evidence->source), "the start of generation %" PRIu32,
                 log->generations[replay->index + 1].number);
        return ST_OK;
    }
    if (log->known_durable_lsn > replay->lsn) {
        evidence->found = true;
        evidence->durable_lsn = log->known_durable_lsn;
        snprintf(evidence->source, sizeof(evidence->source), "the manifest");
        return ST_OK;
    }
    for (struct wlog_segment *s = log->found.first; s != NULL && !evidence->found; s = s->next) {
        if (s->file == NULL || (s->used && s != replay->last)) {
            continue;
        }
        uint64_t from = s == replay->last ? replay->last_offset : 0;
        enum status status = segment_search(replay, s, from, evidence);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static enum status verdict(struct replay *replay)
{
    struct evidence *evidence = calloc(1, sizeof(*evidence));
    if (evidence == NULL) {
        return ST_NOMEM;
    }
    enum status status = evidence_search(replay, evidence);
    if (status == ST_OK && evidence->found) {
        char path[WLOG_PATH_MAX] = "txlogs (no file holds it)";
        if (replay->last != NULL) {
            wlog_segment_path(replay->log, replay->last, path, sizeof(path));
        }
        log_line(LOG_WARNING,
                 "wlog: the log is damaged: no good frame for LSN %" PRIu64 " after offset %" PRIu64
                 " of %s, but %s says that it was durable to LSN %" PRIu64 ". %s.",
                 replay->lsn, replay->last == NULL ? 0 : replay->last_offset, path,
                 evidence->source, evidence->durable_lsn, REMEDY);
        status = ST_CORRUPT;
    }
    free(evidence);
    return status;
}

/* Files of another store that pass for ours, or are all that there is: somebody has mixed two
 * directories up, or the manifest was lost and made anew. */
static enum status stores_check(struct wlog *log)
{
    bool ours = false;
    for (const struct wlog_segment *s = log->found.first; s != NULL; s = s->next) {
        ours = ours || s->headed;
    }
    for (struct wlog_segment *s = log->found.first; s != NULL; s = s->next) {
        if (s->foreign && (s->ours || !ours)) {
            char path[WLOG_PATH_MAX];
            wlog_segment_path(log, s, path, sizeof(path));
            log_line(LOG_WARNING,
                     "wlog: the frame at offset 0 of %s was written by another store than the one "
                     "that the manifest names. %s.",
                     path, REMEDY);
            return ST_CORRUPT;
        }
    }
    return ST_OK;
}

/* A generation is recorded before its first frame, so frames of one that the manifest does not know
 * mean that the manifest is lost or older than the log. */
static enum status generations_check(struct wlog *log)
{
    uint32_t last =
        log->generation_count == 0 ? 0 : log->generations[log->generation_count - 1].number;
    for (struct wlog_segment *s = log->found.first; s != NULL; s = s->next) {
        if (s->headed && (log->generation_count == 0 || s->head.generation > last)) {
            char path[WLOG_PATH_MAX];
            wlog_segment_path(log, s, path, sizeof(path));
            log_line(LOG_WARNING,
                     "wlog: %s holds frames of generation %" PRIu32 " at offset 0, but the "
                     "manifest knows none after %" PRIu32 ": it is lost or older than the log. %s.",
                     path, s->head.generation, last, REMEDY);
            return ST_CORRUPT;
        }
    }
    return ST_OK;
}

/* -- The tail -------------------------------------------------------------------------------- */

/* Writes once more the frames of a file that nobody vouches for. */
static enum status segment_settle(struct replay *replay, struct wlog_segment *segment)
{
    enum status status = wlog_segment_open(replay->log, segment, IO_WRITE);
    uint64_t offset = 0;
    uint64_t lsn = segment->first_lsn;
    reader_start(&replay->reader, segment);
    while (status == ST_OK && lsn < segment->end_lsn) {
        bool good = true;
        struct wlog_frame frame;
        struct bytes bytes;
        status = reader_at(&replay->reader, offset, FRAME_HEADER_SIZE, &bytes);
        if (status != ST_OK || !wlog_frame_parse(bytes, offset, &frame)) {
            break;
        }
        if (frame.start_lsn + frame.size > replay->named) {
            status = frame_at(&replay->reader, offset, &good, &frame, &bytes);
            size_t total = bytes.size < frame.total ? bytes.size : frame.total;
            if (status == ST_OK && good) {
                status = io_file_write(segment->file, bytes.data, total, offset);
            }
        }
        offset += frame.total;
        lsn += frame.size;
    }
    if (status == ST_OK && lsn < segment->end_lsn) {
        log_line(LOG_WARNING, "wlog: %s changed while it was read", segment->name);
        status = ST_IO;
    }
    return status == ST_OK ? io_file_sync(segment->file) : status;
}

static enum status tail_settle(struct replay *replay)
{
    struct wlog *log = replay->log;
    for (struct wlog_segment *s = log->found.first; s != NULL; s = s->next) {
        if (s->used && s->end_lsn > replay->named) {
            enum status status = segment_settle(replay, s);
            if (status != ST_OK) {
                return status;
            }
        }
    }
    /* Where names go to comes before where they came from. */
    static const enum wlog_place order[] = {WLOG_READING, WLOG_WRITING, WLOG_PREPARED};
    for (size_t i = 0; i < WLOG_PLACE_COUNT; i++) {
        enum status status = io_dir_sync(log->io, log->path[order[i]]);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

/* -- All of it ------------------------------------------------------------------------------- */

static enum status replay_run(struct replay *replay)
{
    struct wlog *log = replay->log;
    enum status status = heads_read(replay);
    if (status == ST_OK) {
        status = stores_check(log);
    }
    if (status == ST_OK) {
        status = generations_check(log);
    }
    if (status == ST_OK && log->generation_count > 0) {
        status = chain_follow(replay);
        if (status == ST_OK) {
            status = verdict(replay);
        }
    }
    if (status == ST_OK) {
        status = tail_settle(replay);
    }
    return status;
}

enum status wlog_replay(struct wlog *log, wlog_replay_fn fn, void *ctx)
{
    CHECK(!log->started);
    struct replay replay = {.log = log, .lsn = log->trim_lsn, .fn = fn, .ctx = ctx};
    replay.named = log->known_durable_lsn;
    if (log->generation_count > 0 && log->generations[0].start_lsn > replay.lsn) {
        replay.lsn = log->generations[0].start_lsn;
    }
    if (log->generation_count > 0) {
        uint64_t start = log->generations[log->generation_count - 1].start_lsn;
        replay.named = start > replay.named ? start : replay.named;
    }
    replay.reader.window = malloc(WINDOW_SIZE);
    replay.salts = calloc(log->generation_count + 1, sizeof(*replay.salts));
    replay.salt_known = calloc(log->generation_count + 1, sizeof(*replay.salt_known));
    enum status status = ST_NOMEM;
    if (replay.reader.window != NULL && replay.salts != NULL && replay.salt_known != NULL) {
        status = replay_run(&replay);
    }
    free(replay.reader.window);
    free(replay.salts);
    free(replay.salt_known);
    if (status == ST_OK) {
        log->replayed = true;
        atomic_store(&log->end, replay.lsn);
        atomic_store(&log->written, replay.lsn);
        atomic_store(&log->durable, replay.lsn);
    }
    return status;
}
