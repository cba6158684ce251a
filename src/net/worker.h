/* worker: a thread with one event loop, its connections and its turn of the background work.
 *
 * A turn of the loop:
 *     wait → sockets: read, run → what has been read from disk → letters → waits that are over →
 * rests of pipelines → tick → flush the log → gates in a heap → reap → open gates, notify others →
 * send → free
 *
 * so that all that one turn has run shares one flush, and each connection one write.
 *
 * Invariants:
 *   W1  Output leaves only through gates; after parking, the durable LSN is looked at again.
 *   N1  No wake-up is lost: whoever moves the durable LSN looks at what the others wait for after
 *       it, and each says what it waits for before it looks at the durable LSN for the last time.
 *       (A reap that finds the log's queue taken returns at once, so the event alone is no
 * promise.) N2  A worker never blocks but in its event loop. Thread: struct worker is its thread's
 * own, but what is marked atomic, and the mailbox.
 */
#ifndef BASIN_SRC_NET_WORKER_H
#define BASIN_SRC_NET_WORKER_H

#include "src/net/conn.h"
#include "src/server.h"
#include "src/stats/stats.h"

struct net;

/* A txn with the way back to the connection that it serves. */
struct slot {
    struct letter letter; /* The wake. */
    struct txn *txn;
    struct worker *worker;
    struct conn *conn; /* Whose call uses the txn; NULL: none, a wake is stale. */
    struct slot *next; /* In the worker's pool. */
    _Atomic bool posted;
};

struct worker {
    struct net *net;
    struct server *server;
    struct basin *basin;
    struct stats_worker *stats;
    unsigned index;
    pthread_t thread;
    struct event_base *base;
    struct event mail_event, log_event, read_event, tick_event, time_event, hold_event;
    int hold_fd;            /* A timer for the log's holds: libevent's know milliseconds only. */
    uint64_t hold_armed_ns; /* What it is set to. */
    struct reader *reader;  /* For what its txns miss. */
    struct mailbox mailbox;
    struct letter stop_letter;
    uint64_t turn;
    unsigned ran;           /* Commands. */
    bool clocked;           /* stats_clock was called in this turn … */
    uint64_t turn_start_ns; /* … and said this. */

    struct slot *slot;  /* For the next call. */
    struct slot *slots; /* Spare ones. */
    struct slot *tick_slot;
    unsigned slot_count, slots_spare;
    struct arena arena; /* Lent to the client that runs. */
    struct input_pool inputs;
    struct bytes *argv; /* For the next call. */
    size_t argv_capacity;

    struct conn *conns, *check_next; /* All; where the next round of checks goes on. */
    unsigned conn_count;
    _Atomic unsigned load; /* Connections dealt to this worker. */
    struct conn *touched, *touched_last, *ready, *ready_last, *closed;
    struct queue_heap gated, parked, timed;
    uint64_t time_armed_ms;     /* What time_event is set to; 0: not set. */
    _Atomic uint64_t waits_lsn; /* The smallest LSN that somebody here waits for. */
    uint64_t durable_seen;
    uint64_t pending_output, pending_queries;
    bool tick_due, tick_more;
    bool dead_seen; /* The log's death has been noticed here … */
    bool dead_told; /* … and parked calls are to be resumed once for it. */
    bool stopping;
    uint64_t stop_until_ns;
    bool finished;
};

/* Prepares everything but the thread. ST_NOMEM, ST_LIMIT. After a failure deinit it. */
enum status worker_init(struct worker *worker, struct net *net, struct server *server,
                        unsigned index);
/* Everything but the mailbox, which others may be signalling still. */
void worker_deinit(struct worker *worker);

/* The thread: turns until the stop letter has come and what was owed is sent. */
void worker_run(struct worker *worker);

/* At the start of every callback of the loop. */
void worker_begin(struct worker *worker);

/* -- For conn.c ----------------------------------------------------------------------------- */

/* After each command: the log is looked after in long turns too. */
void worker_ran_one(struct worker *worker);
/* To be looked at, and sent, at the end of the turn. */
void worker_touch(struct worker *worker, struct conn *conn);
/* To be continued in the next turn. */
void worker_ready(struct worker *worker, struct conn *conn);
/* Makes sure that there is a slot for a call. False: no memory now. */
bool worker_need_slot(struct worker *worker);
/* Ends a slot's use; the txn is idle. */
void worker_give_slot(struct worker *worker, struct slot *slot);
/* Takes the arena back from a client whose call is done. */
void worker_take_arena(struct worker *worker, struct arena *arena);
/* Makes room for count arguments. False: no memory. */
bool worker_need_argv(struct worker *worker, size_t count);
/* Enters a waiting, parked call in the heaps, or takes it out. */
void worker_park(struct worker *worker, struct conn *conn);
void worker_unpark(struct worker *worker, struct conn *conn);
void worker_add_conn(struct worker *worker, struct conn *conn);
void worker_remove_conn(struct worker *worker, struct conn *conn);

#endif
