#include "engine/settle/settle.h"

#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "engine/settle/round.h"

#include <stdlib.h>
#include <time.h>

/* The thread looks this often whether a round is due, unless it is asked. */
#define LOOK_S 1

struct settler {
    struct basin *basin;
    bool background;
    pthread_t thread;
    pthread_mutex_t mutex; /* Of `running`, and for the conditions. */
    pthread_cond_t kicked, ended;
    bool running;      /* A round is under way. */
    _Atomic bool dead; /* A round has failed for good. */
    _Atomic bool stop;
    _Atomic uint64_t asked_lsn; /* By settle_ask: a round is due until so much is settled. */
};

static bool due(const struct basin *basin)
{
    return wlog_end(basin->log) - atomic_load(&basin->settled_lsn) > store_settle_log(basin) ||
           atomic_load(&basin->settle_forced) ||
           atomic_load(&basin->settler->asked_lsn) > atomic_load(&basin->settled_lsn);
}

/* Runs one round; the caller has set `running`. */
static enum status run_round(struct settler *settler)
{
    struct basin *basin = settler->basin;
    struct round round;
    atomic_store(&basin->settle_forced, false);
    atomic_store(&basin->settle_at, 0);
    uint64_t start_us = io_now_us(basin->io);
    uint64_t start_lsn = atomic_load(&basin->settled_lsn);
    enum status status = round_run(&round, basin, &settler->stop);
    pace_learn(&basin->pace, atomic_load(&basin->settled_lsn) - start_lsn,
               io_now_us(basin->io) - start_us);
    atomic_store(&basin->settle_at, PARTITION_COUNT);
    if (status != ST_OK) {
        log_line(LOG_WARNING,
                 "settling has ended: %s. Nothing is lost, the write log keeps all; start the "
                 "server again when the disk is well.",
                 status_name(status));
    }
    pthread_mutex_lock(&settler->mutex);
    settler->running = false;
    if (status != ST_OK) {
        atomic_store(&settler->dead, true);
    }
    pthread_cond_broadcast(&settler->ended);
    pthread_mutex_unlock(&settler->mutex);
    store_wake_waiting(basin);
    return status;
}

/* False: another has it, or there is no more settling. */
static bool take(struct settler *settler, bool wait)
{
    pthread_mutex_lock(&settler->mutex);
    while (wait && settler->running) {
        pthread_cond_wait(&settler->ended, &settler->mutex);
    }
    bool taken = !settler->running && !atomic_load(&settler->dead);
    settler->running |= taken;
    pthread_mutex_unlock(&settler->mutex);
    return taken;
}

enum status settle_now(struct basin *basin)
{
    struct settler *settler = basin->settler;
    if (!take(settler, true)) {
        return ST_IO;
    }
    return run_round(settler);
}

void settle_tick(struct basin *basin)
{
    if (due(basin) && take(basin->settler, false)) {
        status_ignore(run_round(basin->settler), "it is logged, and settling has ended");
    }
}

void store_ask_settler(struct basin *basin)
{
    struct settler *settler = basin->settler;
    if (settler != NULL && settler->background) {
        pthread_mutex_lock(&settler->mutex);
        pthread_cond_signal(&settler->kicked);
        pthread_mutex_unlock(&settler->mutex);
    }
}

uint64_t settle_ask(struct basin *basin)
{
    uint64_t lsn = wlog_end(basin->log);
    uint64_t before = atomic_load(&basin->settler->asked_lsn);
    while (before < lsn &&
           !atomic_compare_exchange_weak(&basin->settler->asked_lsn, &before, lsn)) {
    }
    store_ask_settler(basin);
    return lsn;
}

static void *run(void *arg)
{
    struct settler *settler = arg;
    thread_background();
    while (!atomic_load(&settler->stop) && !atomic_load(&settler->dead)) {
        settle_tick(settler->basin);
        pthread_mutex_lock(&settler->mutex);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_S;
        /* Whoever asked during the round was heard by nobody; who finds a round due from now on
         * asks again. */
        atomic_store(&settler->basin->settle_asked, false);
        if (!atomic_load(&settler->stop) && !due(settler->basin)) {
            pthread_cond_timedwait(&settler->kicked, &settler->mutex, &until);
        }
        pthread_mutex_unlock(&settler->mutex);
    }
    return NULL;
}

enum status settler_new(struct basin *basin, bool background, struct settler **settler_out)
{
    struct settler *settler = calloc(1, sizeof(*settler));
    if (settler == NULL) {
        return ST_NOMEM;
    }
    settler->basin = basin;
    atomic_store(&basin->settle_at, PARTITION_COUNT);
    pthread_mutex_init(&settler->mutex, NULL);
    pthread_cond_init(&settler->kicked, NULL);
    pthread_cond_init(&settler->ended, NULL);
    *settler_out = settler;
    if (background) {
        settler->background = pthread_create(&settler->thread, NULL, run, settler) == 0;
        return settler->background ? ST_OK : ST_NOMEM;
    }
    return ST_OK;
}

void settler_free(struct settler *settler)
{
    if (settler == NULL) {
        return;
    }
    pthread_mutex_lock(&settler->mutex);
    atomic_store(&settler->stop, true);
    pthread_cond_signal(&settler->kicked);
    pthread_mutex_unlock(&settler->mutex);
    if (settler->background) {
        pthread_join(settler->thread, NULL);
    }
    pthread_mutex_destroy(&settler->mutex);
    pthread_cond_destroy(&settler->kicked);
    pthread_cond_destroy(&settler->ended);
    free(settler);
}
