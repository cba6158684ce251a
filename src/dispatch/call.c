/* The road of one request:
 *
 *     call_start: find → gate → plan → reserve → run
 *     run: lock → handler → end → finish      CALL_DONE
 *             ↘      ↙
 *               wait: everything unlocked, the reply taken back      CALL_WAIT
 *     call_resume: run
 *
 * The plan and the arguments outlive a wait; all else is made anew. A handler that has changed
 * something never waits (CHECK), so that a wait is as if the request had not begun. What fails is
 * worded in one place, call_reply_status, after the reply so far was taken back.
 *
 * A command without keys that needs no whole keyspace has no txn at all.
 */
#include "src/dispatch/call.h"

#include "engine/base/check.h"
#include "src/config/config.h"
#include "src/server.h"
#include "src/stats/stats.h"

#include <stdio.h>
#include <time.h>

/* Log room that a write command gets for each key beyond the request's bytes: an effect's header,
 * a small resulting value (up to 256 bytes, see the write log), and the deletion of a key. */
#define RESERVE_PER_KEY (64 + 600)
#define RESERVE_PER_ARGUMENT 8 /* A length before each element. */

/* How long one command may evict: this at the default tenacity and in proportion below, twice as
 * long with every TENACITY_DOUBLES steps above, without end at the highest. A large request may
 * take longer, so that as much goes as it brings: a small key takes about a microsecond. */
#define EVICT_US 500
#define EVICT_BYTES_EACH_US 64
#define TENACITY_STANDARD 10
#define TENACITY_DOUBLES 5
#define TENACITY_MAX 100

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct stats_worker *worker_of(const struct call *call)
{
    return &call->server->stats->workers[call->client->worker];
}

/* ------------------------------------------------------------------------------------------
 * Gate.
 */

#define ARGUMENTS_SHOWN_MAX 128

static void reply_unknown(struct call *call)
{
    char shown[ARGUMENTS_SHOWN_MAX * 2];
    size_t used = 0;
    for (size_t i = 1; i < call->argc && used < ARGUMENTS_SHOWN_MAX; i++) {
        int left = (int)(ARGUMENTS_SHOWN_MAX - used);
        int size = (int)(call->argv[i].size < (size_t)left ? call->argv[i].size : (size_t)left);
        used += (size_t)snprintf(shown + used, sizeof(shown) - used, "'%.*s' ", size,
                                 (const char *)call->argv[i].data);
    }
    shown[used] = '\0';
    int size = (int)(call->argv[0].size < 128 ? call->argv[0].size : 128);
    resp_error_format(call->out, "ERR unknown command '%.*s', with args beginning with: %s", size,
                      (const char *)call->argv[0].data, shown);
}

static void reply_unknown_subcommand(struct call *call, const struct command *container)
{
    char name[64];
    size_t i = 0;
    for (; i < sizeof(name) - 1 && container->name[i] != '\0'; i++) {
        char c = container->name[i];
        name[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    name[i] = '\0';
    struct bytes word = call->argv[1];
    resp_error_format(call->out, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                      (int)(word.size < 128 ? word.size : 128), (const char *)word.data, name);
}

/* Finds the command, or the subcommand of a container. False: the error is written. */
static bool find(struct call *call)
{
    const struct command *command = command_find(call->argv[0]);
    if (command == NULL) {
        reply_unknown(call);
        return false;
    }
    call->command = command;
    if (__builtin_expect(command->subcommands != NULL && call->argc > 1, 0)) {
        const struct command *sub = command_find_sub(command, call->argv[1]);
        if (sub == NULL) {
            reply_unknown_subcommand(call, command);
            return false;
        }
        call->command = sub;
    }
    if (!command_arity_fits(call->command, call->argc) || call->command->handler == NULL) {
        resp_error_format(call->out, "ERR wrong number of arguments for '%s' command",
                          call->command->full_name);
        return false;
    }
    return true;
}

static uint64_t argument_size(const struct call *call)
{
    uint64_t size = 0;
    for (size_t i = 0; i < call->argc; i++) {
        size += call->argv[i].size;
    }
    return size;
}

static uint64_t evict_budget_us(const struct config *config)
{
    uint64_t tenacity = (uint64_t)config_get(&config->maxmemory_tenacity);
    if (tenacity >= TENACITY_MAX) {
        return UINT64_MAX;
    }
    return tenacity <= TENACITY_STANDARD
               ? EVICT_US * tenacity / TENACITY_STANDARD
               : (uint64_t)EVICT_US << (tenacity - TENACITY_STANDARD) / TENACITY_DOUBLES;
}

/* Makes room where maxmemory has been passed. False: no key may go. While keys go but too slowly,
 * the command may run; the worker's background turn goes on. */
static bool memory_made(struct call *call)
{
    struct server *server = call->server;
    memory_refresh(server);
    uint64_t budget_us = evict_budget_us(server->config);
    uint64_t more_us = argument_size(call) / EVICT_BYTES_EACH_US;
    budget_us = budget_us > UINT64_MAX - more_us ? UINT64_MAX : budget_us + more_us;
    return basin_evict(server->basin, call->client->txn, call->now_ms, budget_us) != ST_LIMIT;
}

/* False: refused, the error is written. */
static bool gate(struct call *call)
{
    if (!find(call)) {
        return false;
    }
    struct config *config = call->server->config;
    unsigned flags = call->command->flags;
    if (__builtin_expect(!call->client->authenticated, 0) && (flags & CMD_NO_AUTH) == 0 &&
        config_get(&config->password_set) != 0) {
        resp_error(call->out, "NOAUTH Authentication required.");
        return false;
    }
    if ((flags & CMD_DENYOOM) != 0 && __builtin_expect(basin_memory_over(call->server->basin), 0) &&
        !memory_made(call)) {
        resp_error(call->out, "OOM command not allowed when used memory > 'maxmemory'.");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------
 * Plan.
 */

enum status call_plan_key(struct call *call, unsigned database, struct bytes key)
{
    enum status status = txn_plan(call->txn, database, key);
    if (status == ST_OK) {
        call->key_count++;
        call->key_size += key.size;
    }
    return status;
}

static enum status plan_keys(struct call *call)
{
    struct command_key *keys = arena_alloc(call->arena, call->argc * sizeof(*keys));
    if (keys == NULL) {
        return ST_NOMEM;
    }
    size_t count;
    enum status status = command_keys(call->command, call->argv, call->argc, keys, &count);
    if (status != ST_OK) {
        /* The numbers make no sense: the handler says so in its own words. */
        return ST_OK;
    }
    for (size_t i = 0; i < count; i++) {
        status = call_plan_key(call, call->database, call->argv[keys[i].index]);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static enum status plan(struct call *call)
{
    const struct command *command = call->command;
    bool whole = (command->flags & CMD_WHOLE) != 0;
    if (command->keys[0].find == KEY_FIND_NONE && !whole) {
        return ST_OK;
    }
    struct stats_worker *worker = worker_of(call);
    /* Not the step of txn_random: requests would draw the numbers of those before them again. */
    worker->seed += 0xd1342543de82ef95u;
    call->txn = call->client->txn;
    txn_begin(call->txn, call->now_ms, worker->seed);
    call->begun = true;
    if (__builtin_expect(atomic_load_explicit(&call->client->no_touch, memory_order_relaxed), 0)) {
        txn_leave_ages(call->txn);
    }
    if ((command->flags & CMD_WRITE) != 0) {
        txn_mark_peeks(call->txn);
    }
    if (whole) {
        txn_plan_all(call->txn);
    }
    if (command->one_key) {
        return call_plan_key(call, call->database, call->argv[command->keys[0].begin]);
    }
    if (command->plan != NULL) {
        return command->plan(call);
    }
    return command->keys[0].find == KEY_FIND_NONE ? ST_OK : plan_keys(call);
}

/* ------------------------------------------------------------------------------------------
 * Run.
 */

static void count_call(struct call *call, struct stats_worker *worker, uint64_t now_ns)
{
    bool failed = call->out->errors != call->errors_before;
    if (__builtin_expect(failed, 0)) {
        stats_add(&worker->errors, 1);
        stats_error(call->server, bytes_of_text(call->out->error_code));
    }
    if (call->command == NULL) {
        return;
    }
    struct command_stats *stats = &call->command->stats[call->client->worker];
    if (__builtin_expect(call->rejected, 0)) {
        stats_add(&stats->rejected, 1);
        return;
    }
    stats_add(&worker->commands, 1);
    stats_call(stats, call->busy_ns + (now_ns - call->started_ns), failed);
}

/* What CLIENT REPLY does to this reply and the next. */
static void obey_reply_mode(struct call *call)
{
    struct client *client = call->client;
    enum client_reply mode = atomic_load_explicit(&client->reply, memory_order_relaxed);
    if (mode == CLIENT_REPLY_ON && !call->no_reply) {
        return;
    }
    if (mode == CLIENT_REPLY_OFF || mode == CLIENT_REPLY_SKIP || call->no_reply) {
        resp_out_rollback(call->out, call->reply_start);
    }
    if (mode == CLIENT_REPLY_SKIP) {
        atomic_store_explicit(&client->reply, CLIENT_REPLY_ON, memory_order_relaxed);
    } else if (mode == CLIENT_REPLY_SKIP_NEXT) {
        atomic_store_explicit(&client->reply, CLIENT_REPLY_SKIP, memory_order_relaxed);
    }
}

static enum call_result finish(struct call *call)
{
    struct client *client = call->client;
    struct stats_worker *worker = worker_of(call);
    uint64_t now_ns = clock_ns();
    count_call(call, worker, now_ns);
    worker->now_ns = now_ns;
    obey_reply_mode(call);
    arena_reset(call->arena);
    atomic_store_explicit(&client->last_ms, (int64_t)call->now_ms, memory_order_relaxed);
    if (call->command != NULL) {
        atomic_store_explicit(&client->last_command, call->command, memory_order_relaxed);
    }
    stats_add(&client->total_commands, 1);
    client->call = NULL;
    return CALL_DONE;
}

/* Whatever the reply held is taken back. */
static enum call_result wait(struct call *call)
{
    struct stats_worker *worker = worker_of(call);
    resp_out_rollback(call->out, call->reply_start);
    arena_reset(call->arena);
    uint64_t now_ns = clock_ns();
    call->busy_ns += now_ns - call->started_ns;
    worker->now_ns = now_ns;
    call->retries++;
    stats_add(&worker->waits, 1);
    stats_add(&worker->calls_waiting, 1);
    return CALL_WAIT;
}

static void end(struct call *call)
{
    bool changed = txn_changed(call->txn);
    txn_end(call->txn, &call->wait_lsn);
    if (changed) {
        call->client->last_write_lsn = call->wait_lsn;
    }
}

static enum call_result fail(struct call *call, enum status status)
{
    resp_out_rollback(call->out, call->reply_start);
    call_reply_status(call, status);
    if (call->begun) {
        end(call);
    }
    return finish(call);
}

/* The handler, or txn_reserve before it, said ST_WAIT. Nothing has changed. */
static enum call_result retry_later(struct call *call)
{
    if (call->begun) {
        CHECK(!call->parked);
        CHECK(!txn_changed(call->txn));
        txn_retry(call->txn);
    } else {
        CHECK(call->parked); /* Nothing else would wake it. */
    }
    return wait(call);
}

static enum call_result run(struct call *call)
{
    enum status status;
    if (call->begun) {
        status = txn_lock(call->txn);
        if (status == ST_WAIT) {
            return wait(call);
        }
        if (status != ST_OK) {
            return fail(call, status);
        }
    }
    status = call->command->handler(call);
    if (status == ST_OK) {
        if (call->begun) {
            end(call);
        }
        return finish(call);
    }
    return status == ST_WAIT ? retry_later(call) : fail(call, status);
}

/* W5: a write command waits for the log before it takes locks. */
static enum call_result reserve_and_run(struct call *call)
{
    if (call->begun && (call->command->flags & CMD_WRITE) != 0) {
        uint64_t size = argument_size(call) + RESERVE_PER_ARGUMENT * call->argc +
                        2 * call->key_size + RESERVE_PER_KEY * (call->key_count + 1);
        enum status status = txn_reserve(call->txn, size);
        if (status == ST_WAIT) {
            return retry_later(call);
        }
        if (status != ST_OK) {
            return fail(call, status);
        }
    }
    return run(call);
}

enum call_result call_start(struct call *call, struct client *client, const struct bytes *argv,
                            size_t argc)
{
    CHECK(argc > 0 && client->call == NULL);
    struct server *server = client->server;
    struct stats_worker *worker = &server->stats->workers[client->worker];
    *call = (struct call){
        .client = client,
        .server = server,
        .out = &client->out,
        .arena = &client->arena,
        .argv = argv,
        .argc = argc,
        .now_ms = (worker->wall_ns + worker->now_ns) / 1000000,
        .database = atomic_load_explicit(&client->database, memory_order_relaxed),
        .reply_start = client->out.written,
        .started_ns = worker->now_ns,
        .errors_before = client->out.errors,
    };
    client->call = call;
    if (!gate(call)) {
        call->rejected = true;
        return finish(call);
    }
    enum status status = plan(call);
    if (status != ST_OK) {
        return fail(call, status);
    }
    return reserve_and_run(call);
}

enum call_result call_resume(struct call *call)
{
    struct stats_worker *worker = worker_of(call);
    CHECK(call->client->call == call);
    stats_sub(&worker->calls_waiting, 1);
    call->started_ns = worker->now_ns = clock_ns();
    call->parked = false;
    return run(call);
}

void call_cancel(struct call *call)
{
    struct client *client = call->client;
    CHECK(client->call == call);
    stats_sub(&worker_of(call)->calls_waiting, 1);
    if (call->begun) {
        txn_cancel(call->txn);
    }
    arena_reset(call->arena);
    client->call = NULL;
}

void call_park(struct call *call, uint64_t lsn, uint64_t until_ms)
{
    CHECK(!call->begun);
    call->parked = true;
    call->park_over = false;
    call->park_lsn = lsn;
    call->park_until_ms = until_ms;
}

void call_reply_status(struct call *call, enum status status)
{
    switch (status) {
    case ST_NOMEM:
        resp_error(call->out, "OOM out of memory: not all of the request was done");
        break;
    case ST_LIMIT:
        resp_error(call->out, "ERR the request passes a limit of this server");
        break;
    case ST_FULL:
        resp_error(call->out, "ERR disk full: the write was refused and nothing has changed");
        break;
    case ST_IO:
        resp_error(call->out, "IOERR the write log failed: writes are refused");
        break;
    case ST_CORRUPT:
        resp_error(call->out, "IOERR data is damaged: the server's log tells where");
        break;
    case ST_TYPE:
        reply_wrong_type(call);
        break;
    case ST_INVALID:
    case ST_PROTO:
        resp_error(call->out, "ERR value is out of range");
        break;
    case ST_ABSENT:
        resp_error(call->out, "ERR no such key");
        break;
    case ST_BUSY:
        resp_error(call->out, "ERR in use by somebody else");
        break;
    case ST_OK:
    case ST_WAIT:
        CHECK(status != ST_OK && status != ST_WAIT); /* No failures. */
    }
}
