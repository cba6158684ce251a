/* Where a connection's bytes are while its call waits: the arguments point into the input buffer,
 * so buffer and argument array simply stay with the connection, and the worker takes others from
 * its pool. Nothing is read meanwhile. A hang-up is noticed all the same: what becomes readable is
 * only peeked at, and if it is data, the socket is watched for its end alone.
 *
 * The arena works the other way round: a worker lends its one arena, by value, to the client that
 * runs, so that ten thousand idle clients do not hold a block each. A waiting call keeps it.
 */
#include "src/net/conn.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "src/net/net.h"
#include "src/net/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONN_PIECES 64
#define ADDRESS_SIZE 160

static void conn_on_read(evutil_socket_t fd, short what, void *ctx);
static void conn_on_write(evutil_socket_t fd, short what, void *ctx);

/* -- What the session asks of the connection ------------------------------------------------- */

static struct conn *conn_of(const struct client *client)
{
    return (struct conn *)(uintptr_t)client;
}

static void conn_close_soon(struct client *client)
{
    struct conn *conn = conn_of(client);
    client->close_after_reply = true;
    worker_touch(conn->worker, conn);
}

static void kill_deliver(struct letter *letter)
{
    struct conn *conn = (struct conn *)((char *)letter - offsetof(struct conn, kill_letter));
    conn->killed = true;
    conn_close(conn);
}

static void conn_kill(struct client *client)
{
    struct conn *conn = conn_of(client);
    if (!atomic_exchange(&conn->kill_posted, true)) {
        conn->kill_letter.deliver = kill_deliver;
        mailbox_post(&conn->worker->mailbox, &conn->kill_letter);
    }
}

static uint64_t conn_output_memory(const struct client *client)
{
    return atomic_load_explicit(&conn_of(client)->output_shown, memory_order_relaxed);
}

static uint64_t conn_query_size(const struct client *client)
{
    return atomic_load_explicit(&conn_of(client)->query_shown, memory_order_relaxed);
}

static unsigned conn_fd(const struct client *client)
{
    return (unsigned)conn_of(client)->fd;
}

const struct client_ops conn_ops = {
    .close_soon = conn_close_soon,
    .kill = conn_kill,
    .output_memory = conn_output_memory,
    .query_size = conn_query_size,
    .fd = conn_fd,
};

/* -- Life ------------------------------------------------------------------------------------ */

static void address_text(const struct sockaddr_storage *address, const char *path, char *text)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (path != NULL) {
        snprintf(text, ADDRESS_SIZE, "%s:0", path);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, ADDRESS_SIZE, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, ADDRESS_SIZE, "%s:%u", host, ntohs(in->sin_port));
    }
}

static void conn_set_interest(struct conn *conn, enum conn_interest interest)
{
    if (conn->interest == interest) {
        return;
    }
    if (conn->interest != CONN_INTEREST_NONE) {
        event_del(&conn->read_event);
    }
    conn->interest = (unsigned char)interest;
    if (interest == CONN_INTEREST_NONE) {
        return;
    }
    short what = interest == CONN_INTEREST_READ ? EV_READ : EV_CLOSED;
    event_assign(&conn->read_event, conn->worker->base, conn->fd, (short)(what | EV_PERSIST),
                 conn_on_read, conn);
    if (event_add(&conn->read_event, NULL) != 0) {
        conn->interest = CONN_INTEREST_NONE;
        conn_close(conn);
    }
}

/* Reading goes with the connection's state. Looked at once a turn, after the sending, so that what
 * comes and goes within a turn costs no system call. */
static void conn_update_interest(struct conn *conn)
{
    if (conn->closed) {
        return;
    }
    if (conn->ended || conn->client.close_after_reply || conn->worker->stopping) {
        conn_set_interest(conn, CONN_INTEREST_NONE);
    } else if (conn->slot != NULL) {
        return; /* conn_peek decides. */
    } else {
        conn_set_interest(conn, conn->choked ? CONN_INTEREST_NONE : CONN_INTEREST_READ);
    }
}

void conn_open(struct worker *worker, int fd, const char *path)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL || queue_heap_reserve(&worker->gated, worker->conn_count + 1) != ST_OK ||
        queue_heap_reserve(&worker->parked, worker->conn_count + 1) != ST_OK ||
        queue_heap_reserve(&worker->timed, worker->conn_count + 1) != ST_OK) {
        log_line(LOG_WARNING, "no memory for a connection");
        free(conn);
        close(fd);
        net_forget(worker->net, worker->index);
        return;
    }
    struct sockaddr_storage address = {0};
    char remote[ADDRESS_SIZE];
    char local[ADDRESS_SIZE];
    socklen_t size = sizeof(address);
    if (path == NULL) {
        getpeername(fd, (struct sockaddr *)&address, &size);
    }
    address_text(&address, path, remote);
    size = sizeof(address);
    if (path == NULL) {
        getsockname(fd, (struct sockaddr *)&address, &size);
    }
    address_text(&address, path, local);
    conn->worker = worker;
    conn->fd = fd;
    resp_parser_init(&conn->parser);
    client_init(&conn->client, worker->server, &conn_ops, worker->index, remote, local);
    conn->client.unix_socket = path != NULL;
    event_assign(&conn->write_event, worker->base, fd, EV_WRITE | EV_PERSIST, conn_on_write, conn);
    worker_add_conn(worker, conn);
    log_line(LOG_VERBOSE, "Accepted %s", remote);
    conn_update_interest(conn);
}

static void conn_end_wait(struct conn *conn)
{
    struct worker *worker = conn->worker;
    worker_unpark(worker, conn);
    conn->client.txn = NULL;
    worker_give_slot(worker, conn->slot);
    conn->slot = NULL;
    if (worker->argv == NULL) {
        worker->argv = conn->argv;
        worker->argv_capacity = conn->argv_capacity;
    } else {
        free(conn->argv);
    }
    conn->argv = NULL;
}

void conn_close(struct conn *conn)
{
    if (conn->closed) {
        return;
    }
    struct worker *worker = conn->worker;
    conn->closed = true;
    if (conn->slot != NULL) {
        call_cancel(&conn->call);
        conn_end_wait(conn);
    }
    queue_heap_remove(&worker->gated, &conn->gate_node);
    conn_set_interest(conn, CONN_INTEREST_NONE);
    if (conn->write_pending) {
        event_del(&conn->write_event);
    }
    close(conn->fd);
    worker->pending_output -= conn->output_shown;
    worker->pending_queries -= conn->query_shown;
    worker_remove_conn(worker, conn);
    input_clear(&conn->input, &worker->inputs);
    client_deinit(&conn->client);
    conn->closed_next = worker->closed;
    worker->closed = conn;
    net_forget(worker->net, worker->index);
}

void conn_free(struct conn *conn)
{
    resp_parser_deinit(&conn->parser);
    free(conn);
}

/* -- Running requests ------------------------------------------------------------------------ */

/* The reply of a finished call takes its place behind its gate. */
static void conn_gate(struct conn *conn)
{
    struct call *call = &conn->call;
    struct resp_out *out = &conn->client.out;
    if (out->written == call->reply_start) {
        return; /* CLIENT REPLY OFF: nothing that could leave. */
    }
    uint64_t lsn = call->wait_lsn;
    if (lsn == 0 || lsn <= basin_durable(conn->worker->basin)) {
        gates_pass(&conn->gates, out->written);
    } else {
        gates_hold(&conn->gates, out->written, lsn, conn->worker->turn);
        stats_add(&conn->worker->stats->replies_gated, 1);
    }
}

/* The call waits: what it works with stays with the connection. */
static void conn_wait(struct conn *conn)
{
    struct worker *worker = conn->worker;
    conn->slot = worker->slot;
    worker->slot = NULL;
    conn->argv = worker->argv;
    conn->argv_capacity = worker->argv_capacity;
    worker->argv = NULL;
    worker->argv_capacity = 0;
    worker_park(worker, conn);
}

/* A protocol error: the rest of the input has no meaning any more. */
static void conn_refuse(struct conn *conn)
{
    log_line(LOG_VERBOSE, "Protocol error from client %llu (%s): %s",
             (unsigned long long)conn->client.id, conn->client.address, conn->parser.error);
    if (atomic_load(&conn->client.reply) == CLIENT_REPLY_ON) {
        resp_raw(&conn->client.out, conn->parser.error, strlen(conn->parser.error));
        resp_raw(&conn->client.out, "\r\n", 2);
    }
    gates_pass(&conn->gates, conn->client.out.written);
    conn->client.close_after_reply = true;
}

static struct resp_limits conn_limits(const struct conn *conn)
{
    if (conn->client.authenticated) {
        int64_t bulk_max = config_get(&conn->worker->server->config->bulk_max);
        return (struct resp_limits){RESP_ARGUMENTS_MAX, bulk_max, false};
    }
    return (struct resp_limits){10, 16384, true};
}

/* Runs one request. False: there is no whole one, or the connection must stop here. */
static bool conn_run_one(struct conn *conn)
{
    struct worker *worker = conn->worker;
    struct input *input = &conn->input;
    struct resp_parser *parser = &conn->parser;
    struct resp_limits limits = conn_limits(conn);
    char *data = input->data + input->start;
    enum resp_result result = resp_parse(parser, &limits, data, input_pending(input));
    if (result != RESP_REQUEST) {
        if (result == RESP_ERROR) {
            conn_refuse(conn);
        }
        return false;
    }
    if (parser->argument_count == 0) {
        input->start += parser->consumed;
        return true;
    }
    if (!worker_need_argv(worker, parser->argument_count)) {
        conn_close(conn);
        return false;
    }
    for (size_t i = 0; i < parser->argument_count; i++) {
        worker->argv[i] = bytes_of(data + parser->arguments[i].offset, parser->arguments[i].size);
    }
    conn->client.txn = worker->slot->txn;
    worker->slot->conn = conn;
    if (call_start(&conn->call, &conn->client, worker->argv, parser->argument_count) == CALL_WAIT) {
        conn_wait(conn);
        return false;
    }
    conn->client.txn = NULL;
    worker->slot->conn = NULL;
    input->start += parser->consumed;
    conn_gate(conn);
    worker_ran_one(worker);
    return !conn->client.close_after_reply;
}

/* Runs what is there, within the connection's share. */
static void conn_run(struct conn *conn)
{
    struct worker *worker = conn->worker;
    struct input *input = &conn->input;
    struct resp_out *out = &conn->client.out;
    uint64_t end_ns = worker->stats->now_ns + CONN_RUN_NS;
    unsigned left = CONN_REQUESTS_MAX;
    bool more = false;
    worker_touch(worker, conn);
    conn->client.arena = worker->arena;
    arena_init(&worker->arena);
    while (input->start < input->size) {
        if (left-- == 0 || worker->stats->now_ns > end_ns || !worker_need_slot(worker)) {
            more = true;
            break;
        }
        if (!conn_run_one(conn)) {
            break;
        }
        if (out->written - out->consumed > CONN_OUTPUT_MARK) {
            conn->choked = true;
            break;
        }
    }
    if (conn->closed || conn->slot != NULL) {
        return;
    }
    worker_take_arena(worker, &conn->client.arena);
    if (conn->client.close_after_reply) {
        input_clear(input, &worker->inputs);
    } else if (more) {
        worker_ready(worker, conn);
    } else {
        input_settle(input, &worker->inputs);
    }
}

void conn_continue(struct conn *conn)
{
    if (!conn->closed && conn->slot == NULL && !conn->choked && !conn->worker->stopping) {
        conn_run(conn);
    }
}

void conn_resume(struct conn *conn)
{
    CHECK(conn->slot != NULL && !conn->closed);
    struct worker *worker = conn->worker;
    worker_unpark(worker, conn);
    if (call_resume(&conn->call) == CALL_WAIT) {
        worker_park(worker, conn);
        return;
    }
    conn->input.start += conn->parser.consumed;
    conn_gate(conn);
    conn_end_wait(conn);
    worker_take_arena(worker, &conn->client.arena);
    worker_touch(worker, conn);
    if (conn->client.close_after_reply || worker->stopping) {
        input_clear(&conn->input, &worker->inputs);
    } else if (!conn->choked) {
        conn_run(conn);
    }
}

/* -- Receiving ------------------------------------------------------------------------------- */

/* The call waits and the socket has something: more requests, or its end? */
static void conn_peek(struct conn *conn, short what)
{
    char byte;
    ssize_t size = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    bool over = size == 0 || (what & EV_CLOSED) != 0;
    if (size < 0 || (over && conn->call.parked)) {
        conn_close(conn);
    } else if (over) {
        /* It waits for a lock or for memory, and may have a reply coming: see after it. */
        conn_set_interest(conn, CONN_INTEREST_NONE);
    } else {
        conn_set_interest(conn, CONN_INTEREST_HANGUP);
    }
}

static bool query_too_long(struct conn *conn)
{
    int64_t limit = config_get(&conn->worker->server->config->query_buffer_limit);
    if (limit <= 0 || input_pending(&conn->input) <= (uint64_t)limit) {
        return false;
    }
    log_line(LOG_WARNING, "Closing client %llu (%s): its request passed client-query-buffer-limit",
             (unsigned long long)conn->client.id, conn->client.address);
    stats_add(&conn->worker->stats->query_limit_closed, 1);
    return true;
}

static void conn_receive(struct conn *conn)
{
    struct worker *worker = conn->worker;
    struct input *input = &conn->input;
    size_t needed = input_pending(input) > 0 ? conn->parser.needed : 0;
    if (input_room(input, &worker->inputs, needed) != ST_OK) {
        log_line(LOG_WARNING, "Closing client %llu: no memory for its request",
                 (unsigned long long)conn->client.id);
        conn_close(conn);
        return;
    }
    ssize_t size = recv(conn->fd, input->data + input->size, input->capacity - input->size, 0);
    if (size <= 0) {
        bool again = size < 0 && (errno == EAGAIN || errno == EINTR);
        input_settle(input, &worker->inputs);
        if (size < 0 && !again) {
            conn_close(conn);
        } else if (size == 0) {
            conn->ended = true;
            worker_touch(worker, conn);
        }
        return;
    }
    input->size += (size_t)size;
    stats_add(&worker->stats->reads, 1);
    stats_add(&worker->stats->bytes_in, (uint64_t)size);
    stats_add(&conn->client.total_received, (uint64_t)size);
    atomic_store_explicit(&conn->client.last_ms, (int64_t)worker->stats->now_ms,
                          memory_order_relaxed);
    if (query_too_long(conn)) {
        conn_close(conn);
        return;
    }
    conn_run(conn);
}

static void conn_on_read(evutil_socket_t fd, short what, void *ctx)
{
    struct conn *conn = ctx;
    worker_begin(conn->worker);
    if (conn->slot != NULL) {
        conn_peek(conn, what);
    } else if (!conn->ready) {
        conn_receive(conn);
    }
}

/* -- Sending --------------------------------------------------------------------------------- */

static void conn_on_write(evutil_socket_t fd, short what, void *ctx)
{
    struct conn *conn = ctx;
    worker_begin(conn->worker);
    conn->blocked = false;
    worker_touch(conn->worker, conn);
}

/* One write of what may leave. False: the socket is broken. */
static bool conn_write(struct conn *conn)
{
    struct resp_out *out = &conn->client.out;
    struct iovec pieces[CONN_PIECES];
    int count = resp_out_peek(out, conn->gates.free, pieces, CONN_PIECES);
    size_t wanted = 0;
    for (int i = 0; i < count; i++) {
        wanted += pieces[i].iov_len;
    }
    /* send, not write: it is the shorter way into the kernel. */
    ssize_t size = count == 1 ? send(conn->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                              : writev(conn->fd, pieces, count);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            return false;
        }
        size = 0;
    }
    resp_out_consume(out, (size_t)size);
    stats_add(&conn->worker->stats->writes, 1);
    stats_add(&conn->worker->stats->bytes_out, (uint64_t)size);
    stats_add(&conn->client.total_sent, (uint64_t)size);
    if ((size_t)size < wanted) {
        conn->blocked = true;
        if (!conn->write_pending) {
            conn->write_pending = true;
            return event_add(&conn->write_event, NULL) == 0;
        }
    } else if (conn->write_pending) {
        conn->write_pending = false;
        event_del(&conn->write_event);
    }
    if (!conn->blocked && conn->gates.free > out->consumed) {
        worker_touch(conn->worker, conn); /* There were more pieces: next turn. */
    }
    return true;
}

/* Redis's rule: at once above hard, after soft_seconds without pause above soft. */
static bool output_too_long(struct conn *conn)
{
    struct config *config = conn->worker->server->config;
    const struct config_output_limit *limit = &config->output_limits[CLIENT_CLASS_NORMAL];
    uint64_t hard = (uint64_t)config_get(&limit->hard);
    uint64_t soft = (uint64_t)config_get(&limit->soft);
    uint64_t memory = conn->client.out.memory;
    int64_t now_ms = (int64_t)conn->worker->stats->now_ms;
    if (soft == 0 || memory < soft) {
        conn->over_soft_ms = 0;
    } else if (conn->over_soft_ms == 0) {
        conn->over_soft_ms = now_ms;
    }
    bool over = hard != 0 && memory >= hard;
    if (conn->over_soft_ms != 0) {
        over = over || now_ms - conn->over_soft_ms > 1000 * config_get(&limit->soft_seconds);
    }
    if (over) {
        log_line(LOG_WARNING,
                 "Client %llu (%s) closed for overcoming of output buffer limits: %llu bytes",
                 (unsigned long long)conn->client.id, conn->client.address,
                 (unsigned long long)memory);
        stats_add(&conn->worker->stats->output_limit_closed, 1);
    }
    return over;
}

/* Tells other threads, and the worker's sums, how much is held. */
static void conn_show(struct conn *conn)
{
    struct worker *worker = conn->worker;
    uint64_t output = conn->client.out.memory;
    uint64_t query = input_pending(&conn->input);
    if (output != conn->output_shown) {
        worker->pending_output += output - conn->output_shown;
        atomic_store_explicit(&conn->output_shown, output, memory_order_relaxed);
    }
    if (query != conn->query_shown) {
        worker->pending_queries += query - conn->query_shown;
        atomic_store_explicit(&conn->query_shown, query, memory_order_relaxed);
    }
}

/* All that was owed has been sent, and nothing more will come. */
static bool conn_over(const struct conn *conn)
{
    if (!conn->client.close_after_reply && !conn->ended) {
        return false;
    }
    if (conn->slot != NULL || conn->gates.count > 0 ||
        conn->client.out.consumed < conn->gates.free) {
        return false;
    }
    return conn->client.close_after_reply || (!conn->ready && !conn->choked);
}

void conn_send(struct conn *conn)
{
    struct resp_out *out = &conn->client.out;
    if (conn->closed) {
        return;
    }
    if (out->failed || (out->memory > 0 && output_too_long(conn))) {
        conn_close(conn);
        return;
    }
    if (!conn->blocked && conn->gates.free > out->consumed && !conn_write(conn)) {
        conn_close(conn);
        return;
    }
    uint64_t unsent = out->written - out->consumed;
    if (conn->choked && unsent <= CONN_OUTPUT_MARK / 2) {
        conn->choked = false;
        if (input_pending(&conn->input) > 0 && conn->slot == NULL) {
            worker_ready(conn->worker, conn);
        }
    }
    conn_show(conn);
    if (conn_over(conn)) {
        conn_close(conn);
        return;
    }
    conn_update_interest(conn);
}

void conn_fail_gates(struct conn *conn)
{
    struct resp_out *out = &conn->client.out;
    if (conn->slot != NULL) {
        call_cancel(&conn->call);
        conn_end_wait(conn);
    }
    gates_drop(&conn->gates);
    resp_out_rollback(out, conn->gates.free);
    resp_error(out, "IOERR the write log failed; this write is not durable");
    gates_pass(&conn->gates, out->written);
    input_clear(&conn->input, &conn->worker->inputs);
    conn->client.close_after_reply = true;
    worker_touch(conn->worker, conn);
}

void conn_check(struct conn *conn, int64_t now_ms)
{
    int64_t timeout_s = config_get(&conn->worker->server->config->timeout_s);
    int64_t last_ms = atomic_load_explicit(&conn->client.last_ms, memory_order_relaxed);
    if (timeout_s > 0 && conn->slot == NULL && now_ms - last_ms > timeout_s * 1000) {
        log_line(LOG_VERBOSE, "Closing idle client");
        stats_add(&conn->worker->stats->timeout_closed, 1);
        conn_close(conn);
    } else if (conn->client.out.memory > 0 && output_too_long(conn)) {
        conn_close(conn);
    }
}
