/* session: a txn that simply waits, for tests that use the engine as a program would.
 *
 *     session_open(&s, basin);
 *     SESSION(&s, 1, key) { status = txn_text_set(s.txn, 0, value, BASIN_NO_EXPIRY); }
 *
 * Thread: one a session. */
#ifndef BASIN_TESTS_LIB_SESSION_H
#define BASIN_TESTS_LIB_SESSION_H

#include "engine/basin.h"

#include <pthread.h>

struct session {
    struct basin *basin;
    struct txn *txn;
    struct reader *reader; /* NULL: threads of the store read. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool woken;
    uint64_t now_ms;   /* Handed to every txn. */
    uint64_t wait_lsn; /* Of the last one. */
    bool torn;         /* The last one failed after it had changed something. */
    bool pump;         /* Nobody else calls basin_reap: do it while waiting (simulated disk). */
    bool wait_durable; /* session_run then waits until that LSN is durable. */
    /* With pump, if set: called before each basin_reap; false: the wait is given up, and what runs
     * answers ST_WAIT. */
    bool (*patience)(void *ctx);
    void *patience_ctx;
};

void session_open(struct session *session, struct basin *basin);
void session_close(struct session *session);
/* What it misses is read through this ring of its thread's from now on; keeps it. */
void session_use_reader(struct session *session, struct reader *reader);

/* session_run in two halves, for keys of several databases:
 *
 *     session_begin(&s); txn_plan(s.txn, …) …; status = session_end(&s, reserve, fn, ctx); */
void session_begin(struct session *session);

/* Plans the keys (or all), locks, reserves, and runs fn again and again until it does not answer
 * ST_WAIT; ends the txn. Gives the status of fn or of what refused it. */
typedef enum status (*session_fn)(struct txn *txn, void *ctx);
enum status session_run(struct session *session, unsigned database, const struct bytes *keys,
                        size_t key_count, bool whole, uint64_t reserve, session_fn fn, void *ctx);
enum status session_end(struct session *session, uint64_t reserve, session_fn fn, void *ctx);

/* The common cases. */
enum status session_set(struct session *session, const char *key, struct bytes value);
/* Gives the text; ST_ABSENT: no such key. */
enum status session_get(struct session *session, const char *key, struct buf *value_out);
enum status session_push(struct session *session, const char *key, struct bytes element);
/* All elements, each as decimal size, ':', bytes. */
enum status session_list(struct session *session, const char *key, struct buf *out);
enum status session_delete(struct session *session, const char *key);

#endif
