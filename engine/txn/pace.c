#include "engine/txn/pace.h"

#include "engine/txn/txn_private.h"

#include <time.h>

#define TICK_US 1000
/* Room that nobody wanted is kept for so long. */
#define KEEP_US 5000
/* Before the first round has ended. */
#define DRAIN_START ((uint64_t)32 << 20)
/* However far behind settling is, so much goes on. */
#define DRAIN_LEAST ((uint64_t)1 << 20)

void pace_init(struct pace *pace)
{
    *pace = (struct pace){.drain = DRAIN_START};
    pthread_mutex_init(&pace->mutex, NULL);
    pthread_cond_init(&pace->changed, NULL);
}

uint64_t pace_rate(double excess, uint64_t drain)
{
    double share = excess < 0 ? 2 : 2 * (1 - excess);
    double rate = (double)drain * (share < 1.0 / 16 ? 1.0 / 16 : share);
    return rate < (double)DRAIN_LEAST ? DRAIN_LEAST : (uint64_t)rate;
}

void pace_learn(struct pace *pace, uint64_t bytes, uint64_t us)
{
    uint64_t now = bytes * 1000000 / (us + 1);
    uint64_t drain = atomic_load(&pace->drain);
    atomic_store(&pace->drain, drain / 2 + now / 2);
}

bool pace_admit(struct basin *basin, uint64_t size)
{
    struct pace *pace = &basin->pace;
    if (__builtin_expect(!atomic_load_explicit(&pace->on, memory_order_relaxed), 1)) {
        return true;
    }
    if (atomic_load(&basin->waiting_count) == 0 && atomic_load(&pace->room) > 0) {
        atomic_fetch_sub(&pace->room, (int64_t)size);
        return true;
    }
    atomic_fetch_add_explicit(&pace->slowed, 1, memory_order_relaxed);
    return false;
}

void pace_wake(struct basin *basin)
{
    struct pace *pace = &basin->pace;
    if (pace->runs && !atomic_load_explicit(&pace->on, memory_order_relaxed)) {
        pthread_mutex_lock(&pace->mutex);
        atomic_store(&pace->on, true);
        pthread_cond_signal(&pace->changed);
        pthread_mutex_unlock(&pace->mutex);
    }
}

/* -- The thread -------------------------------------------------------------------------------- */

/* Those who have waited longest go on, as far as there is room. */
static void grant(struct basin *basin)
{
    struct pace *pace = &basin->pace;
    pthread_mutex_lock(&basin->waiting_mutex);
    while (basin->waiting_first != NULL && atomic_load(&pace->room) > 0) {
        struct txn *txn = basin->waiting_first;
        atomic_fetch_sub(&pace->room, (int64_t)txn->last_shortage);
        txn->granted = true;
        txn_waiting_remove(txn);
        txn->wake(txn->ctx);
    }
    pthread_mutex_unlock(&basin->waiting_mutex);
}

static void give(struct basin *basin, double excess, uint64_t us)
{
    struct pace *pace = &basin->pace;
    uint64_t rate = pace_rate(excess, atomic_load(&pace->drain));
    int64_t most = (int64_t)(rate * KEEP_US / 1000000);
    int64_t room = atomic_fetch_add(&pace->room, (int64_t)(rate * us / 1000000));
    if (room > most) {
        atomic_fetch_sub(&pace->room, room - most);
    }
}

static void end(struct basin *basin)
{
    atomic_store(&basin->pace.on, false);
    atomic_store(&basin->pace.room, 0);
    store_wake_waiting(basin);
}

static void *run(void *arg)
{
    static const struct timespec tick = {0, TICK_US * 1000};
    struct basin *basin = arg;
    struct pace *pace = &basin->pace;
    uint64_t before_us = io_now_us(basin->io);
    pthread_mutex_lock(&pace->mutex);
    while (!pace->stop) {
        if (!atomic_load(&pace->on)) {
            pthread_cond_wait(&pace->changed, &pace->mutex);
            before_us = io_now_us(basin->io);
            continue;
        }
        pthread_mutex_unlock(&pace->mutex);
        uint64_t now_us = io_now_us(basin->io);
        double excess = store_excess(basin);
        if (excess <= 0) {
            end(basin);
        } else {
            give(basin, excess, now_us - before_us);
            grant(basin);
            before_us = now_us;
            nanosleep(&tick, NULL);
        }
        pthread_mutex_lock(&pace->mutex);
    }
    pthread_mutex_unlock(&pace->mutex);
    return NULL;
}

enum status pace_start(struct basin *basin)
{
    struct pace *pace = &basin->pace;
    pace->runs = pthread_create(&pace->thread, NULL, run, basin) == 0;
    return pace->runs ? ST_OK : ST_NOMEM;
}

void pace_deinit(struct pace *pace)
{
    pthread_mutex_lock(&pace->mutex);
    pace->stop = true;
    pthread_cond_signal(&pace->changed);
    pthread_mutex_unlock(&pace->mutex);
    if (pace->runs) {
        pthread_join(pace->thread, NULL);
    }
    pthread_mutex_destroy(&pace->mutex);
    pthread_cond_destroy(&pace->changed);
}
