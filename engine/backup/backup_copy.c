#include "engine/backup/backup_copy.h"

#include "engine/base/log.h"
#include "engine/wlog/wlog_copy.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_SIZE 4096
/* What comes behind the directory's own path, at most. */
#define PATH_BEHIND_MAX 64

static const char unfinished_text[] =
    "A backup that is being made, or was not finished. No server starts on it: remove it.\n";

/* Below the directory, each after the one that it is in. */
static const char *const places[] = {"strata", "txlogs", "txlogs/prepared", "txlogs/writing",
                                     "txlogs/reading"};
#define PLACES (sizeof(places) / sizeof(places[0]))

struct copy {
    struct basin *basin;
    struct io *io;
    const char *dir;
    struct backup_progress *progress;
    const _Atomic bool *stop;
    const char *fault;
    struct manifest manifest; /* The copy's. */
    struct stratum **strata;  /* Referenced until they are in the copy; in the manifest's order. */
    uint64_t from_lsn, lsn;   /* Of the log. */
    bool kept;                /* The log is. */
    bool dir_made, marked;    /* The directory is ours; the mark is in it, */
    struct io_file *mark;     /* and locked. */
};

/* Gives the status; the first fault is told. */
static enum status failed(struct copy *copy, enum status status, const char *fault)
{
    if (status != ST_OK && copy->fault == NULL) {
        copy->fault = fault;
    }
    return status;
}

static void path_of(const struct copy *copy, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%.*s/%s", PATH_SIZE - PATH_BEHIND_MAX, copy->dir, name);
}

/* -- The moment (B1) --------------------------------------------------------------------------- */

/* Under manifest_mutex: for as long as copying the manifest takes. */
static enum status pin_all(struct copy *copy)
{
    struct basin *basin = copy->basin;
    enum status status = manifest_copy(&basin->manifest, &copy->manifest);
    if (status == ST_OK) {
        copy->strata = calloc(copy->manifest.stratum_count + 1, sizeof(struct stratum *));
        status = copy->strata == NULL ? ST_NOMEM : ST_OK;
    }
    for (size_t i = 0; i < copy->manifest.stratum_count && status == ST_OK; i++) {
        copy->strata[i] = strata_get(&basin->strata, copy->manifest.strata[i].id);
        status = copy->strata[i] == NULL ? ST_ABSENT : ST_OK;
    }
    if (status == ST_OK) {
        copy->from_lsn = copy->manifest.trim_lsn;
        wlog_keep(basin->log, copy->from_lsn);
        copy->kept = true;
        copy->lsn = wlog_end(basin->log);
    }
    return status;
}

static enum status pin(struct copy *copy)
{
    pthread_mutex_lock(&copy->basin->manifest_mutex);
    enum status status = pin_all(copy);
    pthread_mutex_unlock(&copy->basin->manifest_mutex);
    if (status == ST_OK) {
        copy->manifest.durable_lsn = copy->lsn;
        status = manifest_add_generation(&copy->manifest, copy->lsn);
    }
    atomic_store(&copy->progress->lsn, copy->lsn);
    atomic_store(&copy->progress->strata, copy->manifest.stratum_count);
    return failed(copy, status, "the moment cannot be fixed");
}

static void unpin_log(struct copy *copy)
{
    if (copy->kept) {
        wlog_keep(copy->basin->log, UINT64_MAX);
        copy->kept = false;
    }
}

static void unpin(struct copy *copy)
{
    unpin_log(copy);
    for (size_t i = 0; copy->strata != NULL && i < copy->manifest.stratum_count; i++) {
        stratum_unref(copy->strata[i]);
    }
    free(copy->strata);
    copy->strata = NULL;
    manifest_deinit(&copy->manifest);
}

/* -- The directory (B3) ------------------------------------------------------------------------ */

/* Whether there is nothing in it but `expected` names. ST_ABSENT: it is not there. */
static enum status dir_look(struct copy *copy, size_t expected)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum status status = io_dir_list(copy->io, copy->dir, &names, &count);
    if (status == ST_OK && count > expected) {
        bool unfinished = false;
        for (size_t i = 0; i < count && expected == 0; i++) {
            unfinished |= strcmp(names[i].text, MANIFEST_UNFINISHED) == 0;
        }
        status = failed(copy, ST_INVALID,
                        unfinished ? "the directory holds a backup that was not finished: remove it"
                                   : "the directory is not empty");
    }
    free(names);
    return status == ST_ABSENT ? status : failed(copy, status, "the directory cannot be read");
}

static enum status dir_take(struct copy *copy)
{
    enum status status = dir_look(copy, 0);
    if (status == ST_ABSENT) {
        status = io_dir_make(copy->io, copy->dir);
        copy->dir_made = status == ST_OK;
        return failed(copy, status,
                      status == ST_ABSENT ? "the directory above it is not there"
                                          : "the directory cannot be made");
    }
    return status;
}

/* The lock and the second look are for another server that makes a backup in the same place. */
static enum status mark_make(struct copy *copy)
{
    char path[PATH_SIZE];
    path_of(copy, MANIFEST_UNFINISHED, path);
    enum status status = io_file_open(copy->io, path, IO_WRITE, &copy->mark);
    copy->marked = status == ST_OK;
    if (status == ST_OK) {
        status = io_file_lock(copy->mark);
    }
    if (status == ST_BUSY) {
        copy->marked = false;
        return failed(copy, status, "somebody else makes a backup there");
    }
    if (status == ST_OK) {
        status = dir_look(copy, 1);
    }
    if (status == ST_INVALID) { /* A whole backup of somebody else's: only the mark is ours. */
        copy->marked = false;
        status_ignore(io_unlink(copy->io, path), "then that backup is refused, and says why");
        return status;
    }
    if (status == ST_OK) {
        status = io_file_write(copy->mark, unfinished_text, sizeof(unfinished_text) - 1, 0);
    }
    if (status == ST_OK) {
        status = io_file_sync(copy->mark);
    }
    if (status == ST_OK) {
        status = io_dir_sync(copy->io, copy->dir);
    }
    return status == ST_OK ? io_parent_sync(copy->io, copy->dir) : status;
}

static enum status dir_begin(struct copy *copy)
{
    enum status status = dir_take(copy);
    if (status == ST_OK) {
        status = mark_make(copy);
    }
    for (size_t i = 0; i < PLACES && status == ST_OK; i++) {
        char path[PATH_SIZE];
        path_of(copy, places[i], path);
        status = io_dir_make(copy->io, path);
    }
    return failed(copy, status, "the directory cannot be written to");
}

/* Each after what is in it. */
static enum status names_sync(struct copy *copy)
{
    enum status status = ST_OK;
    for (size_t i = PLACES; i > 0 && status == ST_OK; i--) {
        char path[PATH_SIZE];
        path_of(copy, places[i - 1], path);
        status = io_dir_sync(copy->io, path);
    }
    return status == ST_OK ? io_dir_sync(copy->io, copy->dir) : status;
}

static enum status publish(struct copy *copy)
{
    char path[PATH_SIZE];
    path_of(copy, MANIFEST_UNFINISHED, path);
    enum status status = failed(copy, names_sync(copy), "the directory cannot be synced");
    if (status == ST_OK) {
        status = manifest_save(&copy->manifest, copy->io, copy->dir);
    }
    if (status == ST_OK) {
        status = io_unlink(copy->io, path);
    }
    if (status == ST_OK) {
        status = io_dir_sync(copy->io, copy->dir);
    }
    return failed(copy, status, "the manifest cannot be written");
}

/* -- Taking it back ---------------------------------------------------------------------------- */

static bool files_remove(struct copy *copy, const char *dir)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum status status = io_dir_list(copy->io, dir, &names, &count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        char path[PATH_SIZE + IO_NAME_MAX];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i].text);
        status = io_unlink(copy->io, path);
    }
    free(names);
    return status == ST_OK || status == ST_ABSENT;
}

static bool file_remove(struct copy *copy, const char *name)
{
    char path[PATH_SIZE];
    path_of(copy, name, path);
    enum status status = io_unlink(copy->io, path);
    return status == ST_OK || status == ST_ABSENT;
}

/* All but the mark. */
static bool content_remove(struct copy *copy)
{
    bool gone = file_remove(copy, "MANIFEST") && file_remove(copy, "MANIFEST.new");
    for (size_t i = PLACES; i > 0 && gone; i--) {
        char path[PATH_SIZE];
        path_of(copy, places[i - 1], path);
        gone = files_remove(copy, path);
        enum status status = gone ? io_dir_remove(copy->io, path) : ST_OK;
        gone = gone && (status == ST_OK || status == ST_ABSENT);
    }
    return gone && io_dir_sync(copy->io, copy->dir) == ST_OK;
}

/* The mark may have gone already, if the last sync failed. */
static bool mark_again(struct copy *copy)
{
    char path[PATH_SIZE];
    struct io_file *file = NULL;
    path_of(copy, MANIFEST_UNFINISHED, path);
    bool there = io_file_open(copy->io, path, IO_WRITE, &file) == ST_OK;
    io_file_close(file);
    return there && io_dir_sync(copy->io, copy->dir) == ST_OK;
}

/* B3: the mark goes only once the rest has gone durably. */
static void undo(struct copy *copy)
{
    bool gone = true;
    if (copy->marked) {
        gone = mark_again(copy) && content_remove(copy) && file_remove(copy, MANIFEST_UNFINISHED) &&
               io_dir_sync(copy->io, copy->dir) == ST_OK;
    }
    if (gone && copy->dir_made) {
        gone = io_dir_remove(copy->io, copy->dir) == ST_OK &&
               io_parent_sync(copy->io, copy->dir) == ST_OK;
    }
    if (!gone) {
        log_line(LOG_WARNING, "backup: what was made of %s cannot be removed: remove it by hand",
                 copy->dir);
    }
}

/* -- The content ------------------------------------------------------------------------------- */

static enum status go_on(struct copy *copy)
{
    return atomic_load(copy->stop) ? failed(copy, ST_BUSY, "the server stops") : ST_OK;
}

static enum status copied(void *ctx, uint64_t size)
{
    struct copy *copy = ctx;
    atomic_fetch_add(&copy->progress->copied_bytes, size);
    return go_on(copy);
}

static enum status log_copy(struct copy *copy)
{
    struct wlog *log = copy->basin->log;
    enum status status = wlog_durable(log) >= copy->lsn
                             ? ST_OK
                             : failed(copy, wlog_sync_now(log), "the log is dead");
    if (status == ST_OK) {
        status = wlog_copy(log, copy->from_lsn, copy->lsn, copy->dir, copied, copy);
    }
    unpin_log(copy);
    return failed(copy, status, "the write log cannot be copied");
}

static enum status strata_copy(struct copy *copy)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < copy->manifest.stratum_count && status == ST_OK; i++) {
        struct stratum *stratum = copy->strata[i];
        bool linked = false;
        status = go_on(copy);
        if (status == ST_OK) {
            status = stratum_copy(stratum, copy->dir, copy->manifest.strata[i].bare, copied, copy,
                                  &linked);
        }
        if (linked) {
            atomic_fetch_add(&copy->progress->linked_bytes, stratum_facts(stratum)->file_size);
        }
        atomic_fetch_add(&copy->progress->strata_done, status == ST_OK);
        stratum_unref(stratum); /* A merge may have waited to give its space back. */
        copy->strata[i] = NULL;
    }
    return failed(copy, status, "the strata cannot be linked or copied");
}

enum status backup_copy_run(struct basin *basin, const char *dir, struct backup_progress *progress,
                            const _Atomic bool *stop, const char **fault_out)
{
    struct copy copy = {
        .basin = basin, .io = basin->io, .dir = dir, .progress = progress, .stop = stop};
    enum status status = ST_OK;
    if (dir[0] == '\0' || strlen(dir) > PATH_SIZE - PATH_BEHIND_MAX - IO_NAME_MAX) {
        status = failed(&copy, ST_INVALID, "the directory's path is empty or too long");
    }
    if (status == ST_OK) {
        status = pin(&copy);
    }
    if (status == ST_OK) {
        status = dir_begin(&copy);
    }
    if (status == ST_OK) {
        status = log_copy(&copy);
    }
    if (status == ST_OK) {
        status = strata_copy(&copy);
    }
    if (status == ST_OK) {
        status = publish(&copy);
    }
    unpin(&copy);
    if (status != ST_OK) {
        undo(&copy);
    }
    io_file_close(copy.mark); /* Its lock goes last. */
    *fault_out = copy.fault;
    return status;
}
