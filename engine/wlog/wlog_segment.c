/* Segment files: how they come to be, what they are called, where they go.
 *
 *     prepared/tx-{n}.tmp → prepared/tx-{n}.log → writing/tx.log → reading/tx-{lsn}.log ─┐
 *                                 ↑  recycled: stale by LSN and generation               │
 *                                 └──────────────────── trimmed ─────────────────────────┘
 *
 * Rotation is a step in memory: the next prepared file simply takes the next frame. Names follow
 * later, in the background, because recovery goes by what files hold. Two rules keep a power cut
 * from taking a file away together with its name: a rename that replaces (prepared over writing)
 * happens only after the old file's new name is durable; and the directory that a name goes to is
 * synced before the one that it left.
 *
 * A file is never used before it is written from end to end, synced, and its name is durable; so a
 * full disk shows here, where nobody has changed anything yet. A file that lost its preparation to
 * a crash is called *.tmp and is removed at the next start.
 *
 * Space: a frame never spans two segments, so the end of a segment that the next frame does not fit
 * is wasted, less than one buffer. wlog_capacity counts each segment without that end; what it
 * gives is certain to fit, in whatever sizes the frames come.
 */
#include "engine/wlog/wlog_private.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREPARED_MIN 1
#define PREPARED_KEEP 3
#define PREPARE_RETRY_US 1000000
#define ACTIVE_NAME "tx.log"

/* -- Lists ----------------------------------------------------------------------------------- */

void wlog_list_init(struct wlog_segment_list *list)
{
    list->first = NULL;
    list->end = &list->first;
    list->count = 0;
}

void wlog_list_push(struct wlog_segment_list *list, struct wlog_segment *segment)
{
    segment->next = NULL;
    *list->end = segment;
    list->end = &segment->next;
    list->count++;
}

struct wlog_segment *wlog_list_pop(struct wlog_segment_list *list)
{
    struct wlog_segment *segment = list->first;
    if (segment != NULL) {
        list->first = segment->next;
        if (list->first == NULL) {
            list->end = &list->first;
        }
        segment->next = NULL;
        list->count--;
    }
    return segment;
}

static void segment_free(struct wlog_segment *segment)
{
    if (segment != NULL) {
        io_file_close(segment->file);
        free(segment);
    }
}

void wlog_list_free(struct wlog_segment_list *list)
{
    struct wlog_segment *segment;
    while ((segment = wlog_list_pop(list)) != NULL) {
        segment_free(segment);
    }
}

/* -- Finding --------------------------------------------------------------------------------- */

void wlog_segment_path(const struct wlog *log, const struct wlog_segment *segment, char *path_out,
                       size_t path_size)
{
    snprintf(path_out, path_size, "%s/%s", log->path[segment->place], segment->name);
}

enum status wlog_segment_open(struct wlog *log, struct wlog_segment *segment,
                              enum io_open_mode mode)
{
    char path[WLOG_PATH_MAX];
    io_file_close(segment->file);
    segment->file = NULL;
    wlog_segment_path(log, segment, path, sizeof(path));
    return io_file_open(log->io, path, mode, &segment->file);
}

/* "tx-…" + suffix? Gives the number of a prepared file. */
static bool name_numbered(const char *name, const char *suffix, uint64_t *number_out)
{
    char *end;
    if (strncmp(name, "tx-", 3) != 0 || name[3] < '0' || name[3] > '9') {
        return false;
    }
    *number_out = strtoull(name + 3, &end, 10);
    return strcmp(end, suffix) == 0;
}

static bool name_ours(enum wlog_place place, const char *name)
{
    uint64_t number;
    switch (place) {
    case WLOG_PREPARED:
        return name_numbered(name, ".log", &number) || name_numbered(name, ".tmp", &number);
    case WLOG_WRITING:
        return strcmp(name, ACTIVE_NAME) == 0;
    case WLOG_READING:
        return strlen(name) == strlen("tx-0123456789abcdef.log") && strncmp(name, "tx-", 3) == 0 &&
               strcmp(name + 19, ".log") == 0 && strspn(name + 3, "0123456789abcdef") == 16;
    }
    return false;
}

static enum status place_find(struct wlog *log, enum wlog_place place)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum status status = io_dir_list(log->io, log->path[place], &names, &count);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        struct wlog_segment *segment = calloc(1, sizeof(*segment));
        if (segment == NULL) {
            status = ST_NOMEM;
            break;
        }
        segment->place = place;
        memcpy(segment->name, names[i].text, sizeof(segment->name));
        segment->ours = name_ours(place, segment->name);
        uint64_t number;
        if (place == WLOG_PREPARED && (name_numbered(segment->name, ".log", &number) ||
                                       name_numbered(segment->name, ".tmp", &number))) {
            log->file_number = number > log->file_number ? number : log->file_number;
        }
        wlog_list_push(&log->found, segment);
    }
    free(names);
    return status;
}

enum status wlog_segments_find(struct wlog *log)
{
    for (int place = 0; place < WLOG_PLACE_COUNT; place++) {
        enum status status = place_find(log, (enum wlog_place)place);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static bool name_unfinished(const struct wlog_segment *segment)
{
    uint64_t number;
    return segment->place == WLOG_PREPARED && name_numbered(segment->name, ".tmp", &number);
}

static void reading_insert(struct wlog *log, struct wlog_segment *segment)
{
    struct wlog_segment **at = &log->reading.first;
    while (*at != NULL && (*at)->first_lsn <= segment->first_lsn) {
        at = &(*at)->next;
    }
    segment->next = *at;
    *at = segment;
    if (segment->next == NULL) {
        log->reading.end = &segment->next;
    }
    log->reading.count++;
}

void wlog_segments_adopt(struct wlog *log)
{
    struct wlog_segment *segment;
    while ((segment = wlog_list_pop(&log->found)) != NULL) {
        io_file_close(segment->file);
        segment->file = NULL;
        segment->name_durable = true; /* Replay synced the directories. */
        if (segment->used) {
            reading_insert(log, segment);
        } else if (segment->ours && (segment->headed || segment->place != WLOG_READING)) {
            /* Zeros, or frames that are void: to be used again. */
            wlog_list_push(&log->retired, segment);
        } else {
            char path[WLOG_PATH_MAX];
            wlog_segment_path(log, segment, path, sizeof(path));
            log_line(LOG_WARNING, "wlog: %s is no part of the log and is left alone", path);
            wlog_list_push(&log->strays, segment);
        }
    }
}

/* -- Space ----------------------------------------------------------------------------------- */

static uint64_t certain(const struct wlog *log, uint64_t size)
{
    uint64_t end = log->buffer_size - log->alignment;
    return size > end ? size - end : 0;
}

uint64_t wlog_capacity(const struct wlog *log)
{
    uint64_t capacity = log->prepared.count * certain(log, log->segment_size);
    if (log->active != NULL) {
        capacity += certain(log, log->active->size - log->active->offset);
    }
    return capacity;
}

void wlog_rotate(struct wlog *log)
{
    struct wlog_segment *next = wlog_list_pop(&log->prepared);
    CHECK(next != NULL && next->offset == 0); /* A reservation stands for every byte. */
    wlog_list_push(&log->reading, log->active);
    log->active = next;
    log->stats.rotations++;
    wlog_kick_files(log);
    wlog_kick_clock(log);
}

/* Takes bytes out of what may be promised; false: they are promised already. */
static bool room_take(struct wlog *log, uint64_t size)
{
    int64_t room = atomic_load(&log->room);
    while (room >= (int64_t)size) {
        if (atomic_compare_exchange_weak(&log->room, &room, room - (int64_t)size)) {
            return true;
        }
    }
    return false;
}

void wlog_rotate_by_age(struct wlog *log, uint64_t now_us)
{
    struct wlog_segment *active = log->active;
    if (log->rotate_ms == 0 || active->offset == 0 ||
        now_us - active->first_frame_us < log->rotate_ms * 1000) {
        return;
    }
    uint64_t lost = certain(log, active->size - active->offset);
    if (log->prepared.count == 0 || !room_take(log, lost)) {
        if (log->wanted_room < lost) { /* Later, when there is enough behind it. */
            log->wanted_room = lost;
        }
        wlog_kick_files(log);
        return;
    }
    wlog_rotate(log);
}

/* -- Names (files_mutex) --------------------------------------------------------------------- */

static bool list_has_name(const struct wlog_segment_list *list, enum wlog_place place,
                          const char *name)
{
    for (const struct wlog_segment *s = list->first; s != NULL; s = s->next) {
        if (s->place == place && strcmp(s->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool name_taken(struct wlog *log, enum wlog_place place, const char *name)
{
    pthread_mutex_lock(&log->mutex);
    bool taken =
        list_has_name(&log->reading, place, name) || list_has_name(&log->prepared, place, name) ||
        list_has_name(&log->retired, place, name) || list_has_name(&log->strays, place, name) ||
        (log->active != NULL && log->active->place == place &&
         strcmp(log->active->name, name) == 0);
    pthread_mutex_unlock(&log->mutex);
    return taken;
}

/* Gives the file another name, durably. What fails is tried again at the next occasion: nothing
 * but the order of files in a listing depends on it. */
static enum status segment_rename(struct wlog *log, struct wlog_segment *segment,
                                  enum wlog_place place, const char *name)
{
    enum wlog_place left = segment->place;
    if (segment->place != place || strcmp(segment->name, name) != 0) {
        char from[WLOG_PATH_MAX];
        char to[WLOG_PATH_MAX];
        wlog_segment_path(log, segment, from, sizeof(from));
        snprintf(to, sizeof(to), "%s/%s", log->path[place], name);
        enum status status = io_rename(log->io, from, to);
        if (status != ST_OK) {
            return status;
        }
        segment->place = place;
        snprintf(segment->name, sizeof(segment->name), "%s", name);
        segment->name_durable = false;
    }
    if (!segment->name_durable) {
        enum status status = io_dir_sync(log->io, log->path[place]);
        if (status == ST_OK && left != place) {
            status = io_dir_sync(log->io, log->path[left]);
        }
        if (status != ST_OK) {
            return status;
        }
        segment->name_durable = true;
    }
    return ST_OK;
}

/* Renames in the order of the log and stops at the first failure, so that the active file's name is
 * free before the next one takes it. */
static void names_work(struct wlog *log)
{
    for (;;) {
        struct wlog_segment *due = NULL;
        char name[IO_NAME_MAX];
        enum wlog_place place = WLOG_READING;
        pthread_mutex_lock(&log->mutex);
        for (struct wlog_segment *s = log->reading.first; s != NULL && due == NULL; s = s->next) {
            if (s->place != WLOG_READING || !s->name_durable) {
                due = s;
                snprintf(name, sizeof(name), "tx-%016" PRIx64 ".log", s->first_lsn);
            }
        }
        if (due == NULL && (log->active->place != WLOG_WRITING || !log->active->name_durable)) {
            due = log->active;
            place = WLOG_WRITING;
            snprintf(name, sizeof(name), ACTIVE_NAME);
        }
        pthread_mutex_unlock(&log->mutex);
        if (due == NULL) {
            return;
        }
        /* Only this thread moves segments out of reading and renames, so `due` stays. */
        bool there = due->place == place && strcmp(due->name, name) == 0;
        if ((!there && name_taken(log, place, name)) ||
            segment_rename(log, due, place, name) != ST_OK) {
            return;
        }
    }
}

/* -- Preparing and recycling (files_mutex) --------------------------------------------------- */

static void prepared_push(struct wlog *log, struct wlog_segment *segment)
{
    segment->offset = 0;
    segment->first_lsn = segment->end_lsn = 0;
    segment->unsynced = false;
    pthread_mutex_lock(&log->mutex);
    uint64_t capacity = wlog_capacity(log);
    wlog_list_push(&log->prepared, segment);
    atomic_fetch_add(&log->room, (int64_t)(wlog_capacity(log) - capacity));
    log->prepare_status = ST_OK;
    if ((uint64_t)atomic_load(&log->room) >= log->wanted_room) {
        log->wanted_room = 0;
    }
    pthread_mutex_unlock(&log->mutex);
}

/* Opens it for frames. The first segment decides the alignment of all. */
static enum status segment_open_direct(struct wlog *log, struct wlog_segment *segment)
{
    enum status status = wlog_segment_open(log, segment, IO_WRITE_DIRECT);
    if (status != ST_OK) {
        return status;
    }
    size_t alignment = io_file_alignment(segment->file);
    if (log->alignment == 0) {
        log->alignment = alignment;
    }
    if (alignment > log->alignment) {
        log_line(LOG_WARNING, "wlog: %s asks for an alignment of %zu after %zu", segment->name,
                 alignment, log->alignment);
        return ST_IO;
    }
    return ST_OK;
}

static void segment_remove(struct wlog *log, struct wlog_segment *segment)
{
    char path[WLOG_PATH_MAX];
    wlog_segment_path(log, segment, path, sizeof(path));
    segment_free(segment);
    status_ignore(io_unlink(log->io, path), "what stays is void and goes at the next start");
}

static enum status segment_prepare(struct wlog *log)
{
    struct wlog_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL) {
        return ST_NOMEM;
    }
    char name[IO_NAME_MAX];
    uint64_t number = ++log->file_number;
    segment->place = WLOG_PREPARED;
    segment->ours = true;
    segment->size = log->segment_size;
    snprintf(segment->name, sizeof(segment->name), "tx-%" PRIu64 ".tmp", number);
    snprintf(name, sizeof(name), "tx-%" PRIu64 ".log", number);
    enum status status = segment_open_direct(log, segment);
    if (status == ST_OK) {
        status = io_file_prepare(segment->file, log->segment_size);
    }
    if (status == ST_OK) {
        status = segment_rename(log, segment, WLOG_PREPARED, name);
    }
    if (status != ST_OK) {
        segment_remove(log, segment);
        return status;
    }
    prepared_push(log, segment);
    pthread_mutex_lock(&log->mutex);
    log->stats.segments_prepared++;
    pthread_mutex_unlock(&log->mutex);
    return ST_OK;
}

/* Makes a prepared segment of one that is void; false: it could not be used and is gone. */
static bool segment_recycle(struct wlog *log, struct wlog_segment *segment)
{
    uint64_t size = 0;
    enum status status = name_unfinished(segment) ? ST_INVALID : ST_OK;
    if (status == ST_OK) {
        status = segment_open_direct(log, segment);
    }
    if (status == ST_OK) {
        status = io_file_size(segment->file, &size);
    }
    if (status == ST_OK && size != log->segment_size) {
        status = ST_INVALID;
    }
    if (status == ST_OK && segment->place != WLOG_PREPARED) {
        char name[IO_NAME_MAX];
        snprintf(name, sizeof(name), "tx-%" PRIu64 ".log", ++log->file_number);
        status = segment_rename(log, segment, WLOG_PREPARED, name);
    }
    if (status != ST_OK) {
        segment_remove(log, segment);
        return false;
    }
    segment->size = size;
    segment->headed = segment->used = false;
    prepared_push(log, segment);
    return true;
}

/* One that nobody uses any more; NULL: none. */
static struct wlog_segment *retired_take(struct wlog *log)
{
    struct wlog_segment *segment = NULL;
    pthread_mutex_lock(&log->mutex);
    for (size_t i = log->retired.count; i > 0 && segment == NULL; i--) {
        segment = wlog_list_pop(&log->retired);
        if (segment->pins > 0) {
            wlog_list_push(&log->retired, segment);
            segment = NULL;
        }
    }
    pthread_mutex_unlock(&log->mutex);
    return segment;
}

static void recycle_work(struct wlog *log)
{
    struct wlog_segment *segment;
    while ((segment = retired_take(log)) != NULL) {
        pthread_mutex_lock(&log->mutex);
        bool enough = log->prepared.count >= PREPARED_KEEP && log->wanted_room == 0;
        pthread_mutex_unlock(&log->mutex);
        if (enough) {
            segment_remove(log, segment);
        } else if (segment_recycle(log, segment)) {
            pthread_mutex_lock(&log->mutex);
            log->stats.segments_recycled++;
            pthread_mutex_unlock(&log->mutex);
        }
    }
}

/* A reservation that the disk cannot hold leaves no more behind than we keep anyway. */
static void surplus_remove(struct wlog *log)
{
    for (;;) {
        pthread_mutex_lock(&log->mutex);
        struct wlog_segment *segment = NULL;
        if (log->prepared.count > PREPARED_KEEP &&
            room_take(log, certain(log, log->segment_size))) {
            segment = wlog_list_pop(&log->prepared);
        }
        pthread_mutex_unlock(&log->mutex);
        if (segment == NULL) {
            return;
        }
        segment_remove(log, segment);
    }
}

/* Is a further segment to be prepared now? With mutex. */
static bool prepare_due(struct wlog *log, uint64_t now_us)
{
    bool wanted = log->prepared.count < PREPARED_MIN ||
                  (log->wanted_room > 0 && atomic_load(&log->room) < (int64_t)log->wanted_room);
    bool patient = log->prepare_status != ST_OK && !log->prepare_again &&
                   now_us - log->prepare_tried_us < PREPARE_RETRY_US;
    return wanted && !patient && !log->stopping && !atomic_load(&log->dead);
}

/* Prepares one segment if it is due; true: there may be more to do. */
static bool prepare_step(struct wlog *log)
{
    uint64_t now_us = io_now_us(log->io);
    pthread_mutex_lock(&log->mutex);
    bool due = prepare_due(log, now_us);
    bool failed_before = log->prepare_status != ST_OK;
    log->prepare_again = false;
    if (due) {
        log->prepare_tried_us = now_us;
    }
    pthread_mutex_unlock(&log->mutex);
    if (!due) {
        return false;
    }
    enum status status = segment_prepare(log);
    if (status == ST_OK) {
        if (failed_before) {
            log_line(LOG_NOTICE, "wlog: segments can be prepared again");
        }
        return true;
    }
    if (!failed_before) {
        log_line(LOG_WARNING, "wlog: the next segment cannot be prepared in %s: %s",
                 log->path[WLOG_PREPARED], status_name(status));
    }
    pthread_mutex_lock(&log->mutex);
    log->prepare_status = status;
    log->wanted_room = 0; /* Whoever still wants it asks again. */
    log->stats.prepare_failures++;
    pthread_mutex_unlock(&log->mutex);
    surplus_remove(log);
    return false;
}

void wlog_files_work(struct wlog *log)
{
    pthread_mutex_lock(&log->files_mutex);
    recycle_work(log);
    pthread_mutex_unlock(&log->files_mutex);
    bool more = true;
    while (more) {
        pthread_mutex_lock(&log->files_mutex);
        more = prepare_step(log);
        pthread_mutex_unlock(&log->files_mutex);
        wlog_tell(log);
    }
    pthread_mutex_lock(&log->files_mutex);
    names_work(log);
    pthread_mutex_unlock(&log->files_mutex);
}

enum status wlog_segments_start(struct wlog *log)
{
    pthread_mutex_lock(&log->files_mutex);
    enum status status = ST_OK;
    recycle_work(log);
    if (log->prepared.count == 0) {
        status = segment_prepare(log);
    }
    if (status == ST_OK) {
        pthread_mutex_lock(&log->mutex);
        log->active = wlog_list_pop(&log->prepared);
        pthread_mutex_unlock(&log->mutex);
    }
    pthread_mutex_unlock(&log->files_mutex);
    return status;
}

void wlog_trim(struct wlog *log, uint64_t lsn)
{
    uint64_t durable = wlog_durable(log);
    lsn = lsn < durable ? lsn : durable;
    pthread_mutex_lock(&log->mutex);
    bool any = false;
    log->trim_asked = lsn > log->trim_asked ? lsn : log->trim_asked;
    lsn = log->trim_asked < log->kept_lsn ? log->trim_asked : log->kept_lsn;
    while (log->reading.first != NULL && log->reading.first->end_lsn <= lsn) {
        wlog_list_push(&log->retired, wlog_list_pop(&log->reading));
        any = true;
    }
    if (any) {
        wlog_kick_files(log);
    }
    pthread_mutex_unlock(&log->mutex);
}
