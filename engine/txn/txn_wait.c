#include "engine/txn/txn_private.h"

#include "engine/base/check.h"

/* -- Waiting for the log ---------------------------------------------------------------------- */

/* How much more than settle_log may wait to be settled before writers wait for it. */
#define UNSETTLED_TIMES 4
/* With memory a sixteenth past its limit so much may; less is not worth a round. */
#define UNSETTLED_MIN (1u << 20)

/* Of these bounds: where slowing begins. */
#define SLOW_TIMES 2
#define SLOW_MEMORY 64 /* One in so many above the limit. */

/* How far memory has run away from its limit with what only a settle round can make leave. */
static double memory_excess(const struct basin *basin, uint64_t unsettled)
{
    uint64_t max = atomic_load_explicit(&basin->memory_max, memory_order_relaxed);
    if (max == UINT64_MAX || unsettled <= UNSETTLED_MIN) {
        return 0;
    }
    double used = (double)(atomic_load_explicit(&basin->memory_used, memory_order_relaxed) +
                           atomic_load_explicit(&basin->strata.memory, memory_order_relaxed));
    double slow = (double)max * (1 + 1.0 / SLOW_MEMORY);
    return (used - slow) / ((double)max * (1.0 / 16 - 1.0 / SLOW_MEMORY));
}

static double log_excess(uint64_t unsettled, uint64_t settle_log)
{
    double slow = (double)settle_log * SLOW_TIMES;
    double bound = (double)settle_log * UNSETTLED_TIMES + UNSETTLED_MIN;
    return ((double)unsettled - slow) / (bound - slow);
}

static uint64_t unsettled_of(const struct basin *basin)
{
    return wlog_end(basin->log) - atomic_load_explicit(&basin->settled_lsn, memory_order_relaxed);
}

double store_excess(const struct basin *basin)
{
    uint64_t unsettled = unsettled_of(basin);
    double memory = memory_excess(basin, unsettled);
    double log = log_excess(unsettled, store_settle_log(basin));
    return memory > log ? memory : log;
}

enum status store_reserve(struct basin *basin, uint64_t size)
{
    if (!basin->settles) {
        return wlog_reserve(basin->log, size);
    }
    uint64_t unsettled = unsettled_of(basin);
    uint64_t settle_log = store_settle_log(basin);
    if (__builtin_expect(unsettled > settle_log, 0) &&
        !atomic_load_explicit(&basin->settle_asked, memory_order_relaxed) &&
        !atomic_exchange(&basin->settle_asked, true)) {
        store_ask_settler(basin);
    }
    double memory = memory_excess(basin, unsettled);
    if (__builtin_expect(memory > 0, 0) && !atomic_exchange(&basin->settle_forced, true)) {
        store_ask_settler(basin);
    }
    if (__builtin_expect(memory > 0 || unsettled > SLOW_TIMES * settle_log, 0)) {
        if (memory >= 1 || log_excess(unsettled, settle_log) >= 1) {
            enum status settling = atomic_load(&basin->settle_status);
            return settling == ST_OK || settling == ST_NOMEM ? ST_WAIT : settling;
        }
        pace_wake(basin);
    }
    return wlog_reserve(basin->log, size);
}

void store_wake_waiting(struct basin *basin)
{
    pthread_mutex_lock(&basin->waiting_mutex);
    while (basin->waiting_first != NULL) {
        struct txn *txn = basin->waiting_first;
        txn_waiting_remove(txn);
        txn->wake(txn->ctx);
    }
    pthread_mutex_unlock(&basin->waiting_mutex);
}

/* Once a txn: who was let in is not stopped on the way, nor who has changed something. */
static bool admitted(struct txn *txn, uint64_t size)
{
    txn->granted = txn->granted || txn->changed || pace_admit(txn->basin, size);
    return txn->granted;
}

enum status txn_reservation_grow(struct txn *txn, uint64_t more)
{
    uint64_t total = txn->reserved + more;
    txn->last_shortage = total;
    if (!admitted(txn, total)) {
        return ST_WAIT;
    }
    enum status status = store_reserve(txn->basin, total);
    if (status == ST_WAIT && txn->reserved > 0 && txn->effect_count == 0) {
        /* What it holds may be the very room that the larger one lacks: there may never be both. */
        wlog_unreserve(txn->basin->log, txn->reserved);
        txn->reserved = 0;
        status = store_reserve(txn->basin, total);
    }
    if (status == ST_OK) {
        if (txn->reserved > 0) {
            wlog_unreserve(txn->basin->log, txn->reserved);
        }
        txn->reserved = total;
    }
    return status;
}

enum status txn_reserve(struct txn *txn, uint64_t size)
{
    CHECK(!txn->locked || !txn->changed);
    if (txn->basin->log == NULL) {
        return ST_OK;
    }
    enum status status = txn_reservation_grow(txn, size);
    if (!txn->locked) {
        txn->base_reserved += size;
    }
    return status;
}

void txn_reservation_drop(struct txn *txn)
{
    if (txn->reserved > 0) {
        wlog_unreserve(txn->basin->log, txn->reserved);
        txn->reserved = 0;
    }
}

static void waiting_add(struct txn *txn)
{
    struct basin *basin = txn->basin;
    txn->waiting_next = NULL;
    if (basin->waiting_first == NULL) {
        basin->waiting_first = txn;
    } else {
        basin->waiting_last->waiting_next = txn;
    }
    basin->waiting_last = txn;
    atomic_fetch_add(&basin->waiting_count, 1);
}

bool txn_waiting_remove(struct txn *txn)
{
    struct basin *basin = txn->basin;
    struct txn *before = NULL;
    struct txn *other = basin->waiting_first;
    while (other != NULL && other != txn) {
        before = other;
        other = other->waiting_next;
    }
    if (other == NULL) {
        return false;
    }
    if (before == NULL) {
        basin->waiting_first = txn->waiting_next;
    } else {
        before->waiting_next = txn->waiting_next;
    }
    if (basin->waiting_last == txn) {
        basin->waiting_last = before;
    }
    atomic_fetch_sub(&basin->waiting_count, 1);
    return true;
}

void txn_wait_for_log(struct txn *txn)
{
    struct basin *basin = txn->basin;
    pthread_mutex_lock(&basin->waiting_mutex);
    txn->waiting = TXN_WAITS_LOG;
    waiting_add(txn);
    pthread_mutex_unlock(&basin->waiting_mutex);
    if (atomic_load(&basin->pace.on)) {
        return; /* Its thread looks at the list again before it rests. */
    }
    /* Room may have come between the refusal and the list: then nobody would wake us. */
    enum status status = store_reserve(basin, txn->last_shortage);
    if (status == ST_OK) {
        wlog_unreserve(basin->log, txn->last_shortage);
    }
    if (status != ST_WAIT) {
        pthread_mutex_lock(&basin->waiting_mutex);
        if (txn_waiting_remove(txn)) {
            txn->wake(txn->ctx);
        }
        pthread_mutex_unlock(&basin->waiting_mutex);
    }
}

void txn_retry(struct txn *txn)
{
    CHECK(!txn->changed || !txn->locked);
    struct fetch *fresh = NULL;
    bool missed = txn->locked && txn_misses_join(txn, &fresh);
    txn_unlock(txn);
    if (txn->basin->log != NULL) {
        txn_reservation_drop(txn);
    }
    if (missed) {
        txn_misses_start(txn, fresh);
    } else {
        txn_wait_for_log(txn);
    }
}

void txn_cancel(struct txn *txn)
{
    struct basin *basin = txn->basin;
    if (txn->waiting == TXN_WAITS_SHARD) {
        shard_forget(&basin->shards[txn->shards[txn->locked_count]], &txn->waiter);
    } else if (txn->waiting == TXN_WAITS_LOG) {
        pthread_mutex_lock(&basin->waiting_mutex);
        txn_waiting_remove(txn);
        pthread_mutex_unlock(&basin->waiting_mutex);
    }
    txn_misses_leave(txn);
    txn->waiting = TXN_RUNNING;
    CHECK(!txn->locked || !txn->changed);
    txn_unlock(txn);
    if (basin->log != NULL) {
        txn_reservation_drop(txn);
    }
    txn_arrays_shrink(txn);
}
