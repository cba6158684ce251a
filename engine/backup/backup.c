#include "engine/backup/backup.h"

#include "engine/backup/backup_copy.h"
#include "engine/base/log.h"

#include <stdlib.h>

/* Who asked looks soon after the end; meanwhile others may have begun and ended. */
#define OUTCOMES 64

struct outcome {
    uint64_t number;
    enum status status;
    const char *fault;
};

struct backup {
    struct basin *basin;
    bool background;
    pthread_mutex_t mutex; /* Of all below but the atomic. */
    pthread_cond_t ended;
    pthread_t thread;
    bool joinable; /* The thread of the last one was not joined yet. */
    bool running;
    uint64_t number;                   /* Of the last that began; from 1. */
    char *dir;                         /* Of that one. */
    struct outcome outcomes[OUTCOMES]; /* By number. */
    uint64_t made, failed;
    _Atomic bool stop;
    struct backup_progress progress;
};

static const char memory_fault[] = "there is no memory for it";

/* -- The work, on whatever thread -------------------------------------------------------------- */

static void work(struct backup *backup)
{
    const char *fault = NULL;
    enum status status =
        backup_copy_run(backup->basin, backup->dir, &backup->progress, &backup->stop, &fault);
    if (status == ST_OK) {
        log_line(LOG_NOTICE, "backup: %s is the store as of LSN %llu", backup->dir,
                 (unsigned long long)atomic_load(&backup->progress.lsn));
    } else {
        log_line(LOG_WARNING, "backup: %s was given up: %s (%s)", backup->dir, fault,
                 status_name(status));
    }
    pthread_mutex_lock(&backup->mutex);
    backup->outcomes[backup->number % OUTCOMES] = (struct outcome){backup->number, status, fault};
    backup->made += status == ST_OK;
    backup->failed += status != ST_OK;
    backup->running = false;
    pthread_cond_broadcast(&backup->ended);
    pthread_mutex_unlock(&backup->mutex);
}

static void *run(void *arg)
{
    work(arg);
    return NULL;
}

/* -- Beginning --------------------------------------------------------------------------------- */

static void progress_clear(struct backup_progress *progress)
{
    atomic_store(&progress->strata, 0);
    atomic_store(&progress->strata_done, 0);
    atomic_store(&progress->linked_bytes, 0);
    atomic_store(&progress->copied_bytes, 0);
}

/* With mutex; nothing runs. */
static enum status thread_start(struct backup *backup)
{
    if (backup->joinable) { /* It has ended but for its return. */
        pthread_join(backup->thread, NULL);
        backup->joinable = false;
    }
    backup->joinable = pthread_create(&backup->thread, NULL, run, backup) == 0;
    return backup->joinable ? ST_OK : ST_NOMEM;
}

/* With mutex. */
static enum status begin(struct backup *backup, const char *dir, const char **fault_out)
{
    if (backup->running) {
        *fault_out = "another one is under way";
        return ST_BUSY;
    }
    char *copy = strdup(dir);
    if (copy == NULL) {
        *fault_out = memory_fault;
        return ST_NOMEM;
    }
    free(backup->dir);
    backup->dir = copy;
    backup->number++;
    progress_clear(&backup->progress);
    enum status status = backup->background ? thread_start(backup) : ST_OK;
    backup->running = status == ST_OK;
    if (status != ST_OK) {
        backup->outcomes[backup->number % OUTCOMES] =
            (struct outcome){backup->number, status, memory_fault};
        backup->failed++;
    }
    *fault_out = status == ST_OK ? NULL : "its thread cannot be started";
    return status;
}

enum status basin_backup_ask(struct basin *basin, const char *dir, uint64_t *asked_out,
                             const char **fault_out)
{
    struct backup *backup = basin->backup;
    if (backup == NULL) {
        *fault_out = "nothing is kept on disk";
        return ST_INVALID;
    }
    pthread_mutex_lock(&backup->mutex);
    enum status status = begin(backup, dir, fault_out);
    *asked_out = backup->number;
    pthread_mutex_unlock(&backup->mutex);
    if (status == ST_OK && !backup->background) {
        work(backup);
    }
    return status;
}

/* -- Looking ----------------------------------------------------------------------------------- */

/* With mutex. */
static enum status outcome_of(const struct backup *backup, uint64_t number, const char **fault_out)
{
    const struct outcome *outcome = &backup->outcomes[number % OUTCOMES];
    *fault_out = NULL;
    if (backup->running && backup->number == number) {
        return ST_WAIT;
    }
    if (outcome->number != number) {
        *fault_out = "how it ended is in the server's log";
        return ST_LIMIT;
    }
    *fault_out = outcome->fault;
    return outcome->status;
}

enum status basin_backup_asked(const struct basin *basin, uint64_t asked, const char **fault_out)
{
    struct backup *backup = basin->backup;
    pthread_mutex_lock(&backup->mutex);
    enum status status = outcome_of(backup, asked, fault_out);
    pthread_mutex_unlock(&backup->mutex);
    return status;
}

enum status basin_backup(struct basin *basin, const char *dir, const char **fault_out)
{
    const char *fault = NULL;
    uint64_t number = 0;
    enum status status = basin_backup_ask(basin, dir, &number, &fault);
    if (status == ST_OK) {
        struct backup *backup = basin->backup;
        pthread_mutex_lock(&backup->mutex);
        while ((status = outcome_of(backup, number, &fault)) == ST_WAIT) {
            pthread_cond_wait(&backup->ended, &backup->mutex);
        }
        pthread_mutex_unlock(&backup->mutex);
    }
    if (fault_out != NULL) {
        *fault_out = fault;
    }
    return status;
}

void store_read_backup(struct basin *basin, struct basin_backup *backup_out)
{
    struct backup *backup = basin->backup;
    const struct backup_progress *progress = &backup->progress;
    *backup_out = (struct basin_backup){
        .lsn = atomic_load(&progress->lsn),
        .strata = atomic_load(&progress->strata),
        .strata_done = atomic_load(&progress->strata_done),
        .linked_bytes = atomic_load(&progress->linked_bytes),
        .copied_bytes = atomic_load(&progress->copied_bytes),
    };
    pthread_mutex_lock(&backup->mutex);
    uint64_t last = backup->number - backup->running;
    backup_out->running = backup->running;
    backup_out->made = backup->made;
    backup_out->failed = backup->failed;
    backup_out->status = last == 0 ? ST_OK : backup->outcomes[last % OUTCOMES].status;
    pthread_mutex_unlock(&backup->mutex);
}

/* -- Life -------------------------------------------------------------------------------------- */

enum status backup_new(struct basin *basin, bool background, struct backup **backup_out)
{
    struct backup *backup = calloc(1, sizeof(*backup));
    if (backup == NULL) {
        return ST_NOMEM;
    }
    backup->basin = basin;
    backup->background = background;
    pthread_mutex_init(&backup->mutex, NULL);
    pthread_cond_init(&backup->ended, NULL);
    *backup_out = backup;
    return ST_OK;
}

void backup_free(struct backup *backup)
{
    if (backup == NULL) {
        return;
    }
    atomic_store(&backup->stop, true);
    if (backup->joinable) {
        pthread_join(backup->thread, NULL);
    }
    pthread_mutex_destroy(&backup->mutex);
    pthread_cond_destroy(&backup->ended);
    free(backup->dir);
    free(backup);
}
