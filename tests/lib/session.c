#include "tests/lib/session.h"

#include "engine/base/check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static void wake(void *ctx)
{
    struct session *session = ctx;
    pthread_mutex_lock(&session->mutex);
    session->woken = true;
    pthread_cond_signal(&session->changed);
    pthread_mutex_unlock(&session->mutex);
}

/* The turn of an event loop. */
static void read_on(struct session *session)
{
    reader_start(session->reader);
    struct pollfd poll_fd = {.fd = reader_fd(session->reader), .events = POLLIN};
    if (poll_fd.fd >= 0) {
        uint64_t count;
        poll(&poll_fd, 1, 1); /* A bound only: others may wake the txn as well. */
        if (read(poll_fd.fd, &count, sizeof(count)) < 0) {
            CHECK(errno == EAGAIN);
        }
    }
    reader_turn(session->reader);
}

static bool is_woken(struct session *session)
{
    pthread_mutex_lock(&session->mutex);
    bool woken = session->woken;
    pthread_mutex_unlock(&session->mutex);
    return woken;
}

/* False: patience has ended. */
static bool wait_for_wake(struct session *session)
{
    /* At least once: who is woken at once, again and again, must not keep the store from its work.
     */
    for (bool first = true; session->pump && (first || !session->woken); first = false) {
        if (session->patience != NULL && !session->patience(session->patience_ctx)) {
            return false;
        }
        basin_reap(session->basin);
        read_on(session);
    }
    while (session->reader != NULL && !is_woken(session)) {
        read_on(session);
    }
    pthread_mutex_lock(&session->mutex);
    while (!session->woken) {
        pthread_cond_wait(&session->changed, &session->mutex);
    }
    session->woken = false;
    pthread_mutex_unlock(&session->mutex);
    return true;
}

void session_open(struct session *session, struct basin *basin)
{
    *session = (struct session){.basin = basin, .now_ms = 1000};
    pthread_mutex_init(&session->mutex, NULL);
    pthread_cond_init(&session->changed, NULL);
    CHECK(txn_new(basin, wake, session, &session->txn) == ST_OK);
}

void session_use_reader(struct session *session, struct reader *reader)
{
    session->reader = reader;
    txn_set_reader(session->txn, reader);
}

void session_close(struct session *session)
{
    txn_free(session->txn);
    pthread_mutex_destroy(&session->mutex);
    pthread_cond_destroy(&session->changed);
}

static enum status give_up(struct session *session)
{
    txn_cancel(session->txn);
    session->torn = false;
    session->woken = false; /* Perhaps it was woken meanwhile. */
    return ST_WAIT;
}

static enum status run(struct session *session, uint64_t reserve, session_fn fn, void *ctx)
{
    struct txn *txn = session->txn;
    for (;;) {
        enum status status = txn_lock(txn);
        if (status == ST_WAIT) {
            /* Holding what it has; txn_lock goes on. */
            if (!wait_for_wake(session)) {
                return give_up(session);
            }
            continue;
        }
        if (status == ST_OK && reserve > 0) {
            status = txn_reserve(txn, reserve);
        }
        if (status == ST_OK) {
            status = fn(txn, ctx);
        }
        if (status != ST_WAIT) {
            session->torn = status != ST_OK && txn_changed(txn);
            txn_end(txn, &session->wait_lsn);
            return status;
        }
        txn_retry(txn);
        if (!wait_for_wake(session)) {
            return give_up(session);
        }
    }
}

enum status session_run(struct session *session, unsigned database, const struct bytes *keys,
                        size_t key_count, bool whole, uint64_t reserve, session_fn fn, void *ctx)
{
    session_begin(session);
    for (size_t i = 0; i < key_count; i++) {
        enum status status = txn_plan(session->txn, database, keys[i]);
        if (status != ST_OK) {
            return status;
        }
    }
    if (whole) {
        txn_plan_all(session->txn);
    }
    return session_end(session, reserve, fn, ctx);
}

void session_begin(struct session *session)
{
    txn_begin(session->txn, session->now_ms, 1);
}

enum status session_end(struct session *session, uint64_t reserve, session_fn fn, void *ctx)
{
    enum status status = run(session, reserve, fn, ctx);
    if (status == ST_OK && session->wait_durable && session->wait_lsn > 0) {
        status = basin_wait(session->basin, session->wait_lsn);
    }
    return status;
}

/* -- The common cases ------------------------------------------------------------------------ */

static enum status set(struct txn *txn, void *ctx)
{
    return txn_text_set(txn, 0, *(struct bytes *)ctx, BASIN_NO_EXPIRY);
}

enum status session_set(struct session *session, const char *key, struct bytes value)
{
    struct bytes name = bytes_of_text(key);
    return session_run(session, 0, &name, 1, false, name.size + value.size + 128, set, &value);
}

static enum status get(struct txn *txn, void *ctx)
{
    struct buf *out = ctx;
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        return ST_ABSENT;
    }
    if (value.type != VALUE_STRING) {
        return ST_TYPE;
    }
    out->size = 0;
    return text_read(&value, 0, text_size(&value), out);
}

enum status session_get(struct session *session, const char *key, struct buf *value_out)
{
    struct bytes name = bytes_of_text(key);
    return session_run(session, 0, &name, 1, false, 0, get, value_out);
}

static enum status push(struct txn *txn, void *ctx)
{
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status == ST_OK && value.type != VALUE_NONE && value.type != VALUE_LIST) {
        status = ST_TYPE;
    }
    return status == ST_OK ? txn_list_push(txn, 0, LIST_RIGHT, ctx, 1) : status;
}

enum status session_push(struct session *session, const char *key, struct bytes element)
{
    struct bytes name = bytes_of_text(key);
    return session_run(session, 0, &name, 1, false, 2 * name.size + element.size + 1024, push,
                       &element);
}

static enum status element_append(void *ctx, struct value_piece piece)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%zu:", piece.data.size);
    enum status status = buf_append(ctx, bytes_of(text, (size_t)size));
    return status == ST_OK ? buf_append(ctx, piece.data) : status;
}

static enum status list(struct txn *txn, void *ctx)
{
    struct buf *out = ctx;
    struct value value;
    enum status status = txn_read(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    out->size = 0;
    if (value.type == VALUE_NONE) {
        return ST_ABSENT;
    }
    return list_walk(&value, 0, list_count(&value), false, element_append, out);
}

enum status session_list(struct session *session, const char *key, struct buf *out)
{
    struct bytes name = bytes_of_text(key);
    return session_run(session, 0, &name, 1, false, 0, list, out);
}

static enum status delete_key(struct txn *txn, void *ctx)
{
    return txn_delete(txn, 0, ctx);
}

enum status session_delete(struct session *session, const char *key)
{
    struct bytes name = bytes_of_text(key);
    return session_run(session, 0, &name, 1, false, name.size + 128, delete_key, NULL);
}
