#include "engine/txn/txn_private.h"

#include "engine/base/check.h"

/* -- Waiting for the log ---------------------------------------------------------------------- */

/* How much more than settle_log may wait to be settled before writers wait for it. */
#define UNSETTLED_TIMES 4
/* With memory a sixteenth past its limit so much may; less is not worth a round. */
#define UNSETTLED_MIN (1u << 20)

/* Memory has run away from its limit with what only a settle round can make leave. */
static bool memory_waits(const struct basin *basin, uint64_t unsettled)
{
    uint64_t max = atomic_load_explicit(&basin->memory_max, memory_order_relaxed);
    return unsettled > UNSETTLED_MIN &&
           atomic_load_explicit(&basin->memory_used, memory_order_relaxed) +
                   atomic_load_explicit(&basin->strata.memory, memory_order_relaxed) >
               max + max / 16 &&
           max != UINT64_MAX;
}

enum status store_reserve(struct basin *basin, uint64_t size)
{
    if (!basin->settles) {
        return wlog_reserve(basin->log, size);
    }
    uint64_t unsettled =
        wlog_end(basin->log) - atomic_load_explicit(&basin->settled_lsn, memory_order_relaxed);
    uint64_t settle_log = store_settle_log(basin);
    if (__builtin_expect(unsettled > settle_log, 0) &&
        !atomic_exchange(&basin->settle_asked, true)) {
        store_ask_settler(basin);
    }
    bool hungry = memory_waits(basin, unsettled);
    if (__builtin_expect(hungry, 0) && !atomic_exchange(&basin->settle_forced, true)) {
        store_ask_settler(basin);
    }
    if (__builtin_expect(hungry || unsettled > UNSETTLED_TIMES * settle_log + UNSETTLED_MIN, 0)) {
        enum status settling = atomic_load(&basin->settle_status);
        return settling == ST_OK || settling == ST_NOMEM ? ST_WAIT : settling;
    }
    return wlog_reserve(basin->log, size);
}

void store_wake_waiting(struct basin *basin)
{
    pthread_mutex_lock(&basin->waiting_mutex);
    struct txn *txn = basin->waiting_first;
    basin->waiting_first = NULL;
    while (txn != NULL) {
        struct txn *next = txn->waiting_next;
        txn->wake(txn->ctx);
        txn = next;
    }
    pthread_mutex_unlock(&basin->waiting_mutex);
}

enum status txn_reservation_grow(struct txn *txn, uint64_t more)
{
    uint64_t total = txn->reserved + more;
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
    } else {
        txn->last_shortage = total;
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

/* Takes the txn off the list; false: it was not there. Under waiting_mutex. */
static bool waiting_remove(struct txn *txn)
{
    for (struct txn **link = &txn->basin->waiting_first; *link != NULL;
         link = &(*link)->waiting_next) {
        if (*link == txn) {
            *link = txn->waiting_next;
            return true;
        }
    }
    return false;
}

void txn_wait_for_log(struct txn *txn)
{
    struct basin *basin = txn->basin;
    pthread_mutex_lock(&basin->waiting_mutex);
    txn->waiting = TXN_WAITS_LOG;
    txn->waiting_next = basin->waiting_first;
    basin->waiting_first = txn;
    pthread_mutex_unlock(&basin->waiting_mutex);
    /* Room may have come between the refusal and the list: then nobody would wake us. */
    enum status status = store_reserve(basin, txn->last_shortage);
    if (status == ST_OK) {
        wlog_unreserve(basin->log, txn->last_shortage);
    }
    if (status != ST_WAIT) {
        pthread_mutex_lock(&basin->waiting_mutex);
        if (waiting_remove(txn)) {
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
        waiting_remove(txn);
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
