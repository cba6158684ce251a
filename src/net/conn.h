/* conn: a client's socket, what it has sent, what it is owed.
 *
 *     readable → input → resp_parse → call_start ┬ DONE → gates → sent at the end of the turn
 *                  ↑ rest stays, if …            └ WAIT → … conn_resume → goes on with the rest
 *
 * A connection stops running its pipeline, and the worker stops reading it, while its call waits
 * (the arguments must stay where they are), while too much of its output is unsent, and, for the
 * rest of the turn, once it has had its share. So one client costs bounded memory and time.
 *
 * An end of input is not the end of output: what was read is run and what is owed is sent, gated
 * replies too; only then is the socket closed. A broken socket is closed at once.
 * Life: conn_close takes it off its worker, socket and registry at once; the memory goes at the end
 * of the turn, or when a letter about it has come home.
 * Thread: its worker's, but conn_ops.kill. Memory: about 1.5 KiB when idle.
 */
#ifndef BASIN_SRC_NET_CONN_H
#define BASIN_SRC_NET_CONN_H

#include "resp/resp_parser.h"
#include "src/dispatch/call.h"
#include "src/net/gates.h"
#include "src/net/input.h"
#include "src/net/mailbox.h"
#include "src/net/queue_heap.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct worker;
struct slot;

/* Unsent output above the mark stops a connection; at half of it, it goes on. */
#define CONN_OUTPUT_MARK ((uint64_t)1 << 20)
/* A connection's share of a turn. */
#define CONN_REQUESTS_MAX 512
#define CONN_RUN_NS 1000000

enum conn_interest { CONN_INTEREST_NONE, CONN_INTEREST_READ, CONN_INTEREST_HANGUP };

struct conn {
    struct client client; /* First: a client of ours is a conn. */
    struct call call;
    struct worker *worker;
    int fd;
    struct event read_event, write_event;
    struct resp_parser parser;
    struct input input;
    struct gates gates;
    struct slot *slot;  /* The txn of the waiting call; NULL: none waits. */
    struct bytes *argv; /* Of the waiting call. */
    size_t argv_capacity;
    struct conn *previous, *next; /* All of the worker. */
    struct conn *touched_next, *ready_next, *closed_next;
    struct heap_node gate_node, park_node, time_node;
    struct letter kill_letter;
    _Atomic bool kill_posted;
    int64_t over_soft_ms;   /* Since when the output is above the soft limit; 0: it is not. */
    unsigned char interest; /* enum conn_interest */
    bool touched; /* In the worker's list of those to be looked at after the turn's work. */
    bool ready;   /* In the list of those that have more to run. */
    bool blocked; /* The socket took no more; write_event is pending. */
    bool write_pending;
    bool choked; /* Too much output: nothing is run or read. */
    bool ended;  /* The client has ended its input. */
    bool closed;
    bool killed;                                /* The kill letter has been delivered. */
    _Atomic uint64_t output_shown, query_shown; /* For other threads: CLIENT LIST. */
};

extern const struct client_ops conn_ops;

/* Takes a connected, non-blocking socket and serves it on the worker. The socket is closed when
 * there is no memory. path: the unix socket it came by; NULL: TCP. */
void conn_open(struct worker *worker, int fd, const char *path);

/* Goes on with a call whose wait is over; then with the rest of the input. */
void conn_resume(struct conn *conn);

/* Runs what was left of the input when the turn's share was used up. */
void conn_continue(struct conn *conn);

/* Sends what may leave; closes the connection if that was the last; applies limits. */
void conn_send(struct conn *conn);

/* The log has died (W4): what is gated becomes an error, and the connection will be closed. */
void conn_fail_gates(struct conn *conn);

/* The log's clients' cron: timeout and limits that time makes due. */
void conn_check(struct conn *conn, int64_t now_ms);

void conn_close(struct conn *conn);

/* Frees a closed connection's memory unless a letter about it is under way. */
void conn_free(struct conn *conn);

#endif
