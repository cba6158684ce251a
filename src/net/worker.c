/* Why the log's eventfd is not enough to wake a worker (N1). A completion makes it readable in the
 * loop of every worker. Two of them wake; one takes the log's queue and reaps, the other finds it
 * taken, reads the durable LSN before the first has moved it, and would sleep on, its edge spent.
 * So each says in waits_lsn what it waits for before it looks at the durable LSN for the last time,
 * and whoever finds it moved looks at the others' waits_lsn afterwards:
 *
 *     sleeper:  waits_lsn = x;  durable ≥ x? → open
 *     mover:    durable = y;    waits_lsn ≤ y? → signal
 *
 * all in one total order, so one of them sees the other. A worker at work is not signalled: it
 * looks again after it has said that it may be asleep (waits_are_over). The mover is another worker
 * (settle_log) or a thread of the log (basin_set_watcher).
 *
 * Tried and rejected: sched_yield before the wait, so that clients on the same core fill a larger
 * batch. Two workers on two cores then spend 8.5 us a GET instead of 10.0 (50 clients), but beside
 * two busy processes one client gets 2.7 k/s instead of 12 k/s, and even alone p50 rises by a
 * fifth.
 */
#include "src/net/worker.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "src/net/net.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 100
#define TICK_US 1000
#define TICK_MORE_US 500
#define STOP_MS 3000
#define HOLD_AWAKE_US 100
#define FLUSH_COMMANDS 32
#define SLOTS_SPARE_MAX 64
#define ARGV_KEEP_MAX 4096
/* Every connection is looked at about once a second. */
#define CHECK_PARTS 10
#define CHECK_MIN 16

#define OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void worker_begin(struct worker *worker)
{
    if (!worker->clocked) {
        worker->clocked = true;
        stats_clock(worker->stats);
        worker->turn_start_ns = worker->stats->now_ns;
    }
}

void worker_ran_one(struct worker *worker)
{
    if (++worker->ran % FLUSH_COMMANDS == 0) {
        basin_flush(worker->basin);
    }
}

/* -- Slots ------------------------------------------------------------------------------------ */

static void slot_deliver(struct letter *letter)
{
    struct slot *slot = OWNER(letter, struct slot, letter);
    atomic_store(&slot->posted, false);
    if (slot->conn != NULL) {
        /* The call may wait for something else by now (a time): then this wake was meant for a
         * wait that has ended otherwise. */
        if (slot->conn->slot == slot && !slot->conn->call.parked) {
            conn_resume(slot->conn);
        }
    } else if (slot != slot->worker->tick_slot && slot != slot->worker->slot) {
        worker_give_slot(slot->worker, slot);
    }
}

/* From any thread: the txn may be tried again. */
static void slot_wake(void *ctx)
{
    struct slot *slot = ctx;
    if (!atomic_exchange(&slot->posted, true)) {
        mailbox_post(&slot->worker->mailbox, &slot->letter);
    }
}

static struct slot *slot_new(struct worker *worker)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (slot == NULL) {
        return NULL;
    }
    slot->worker = worker;
    slot->letter.deliver = slot_deliver;
    if (txn_new(worker->basin, slot_wake, slot, &slot->txn) != ST_OK) {
        free(slot);
        return NULL;
    }
    txn_set_reader(slot->txn, worker->reader);
    worker->slot_count++;
    return slot;
}

static void slot_free(struct worker *worker, struct slot *slot)
{
    if (slot != NULL) {
        txn_free(slot->txn);
        free(slot);
        worker->slot_count--;
    }
}

bool worker_need_slot(struct worker *worker)
{
    if (worker->slot != NULL &&
        !atomic_load_explicit(&worker->slot->posted, memory_order_relaxed)) {
        return true;
    }
    /* A wake is under way to a slot that nobody waits in: it comes back to the pool with it. */
    worker->slot = worker->slots;
    if (worker->slot != NULL) {
        worker->slots = worker->slot->next;
        worker->slots_spare--;
    } else {
        worker->slot = slot_new(worker);
    }
    return worker->slot != NULL;
}

void worker_give_slot(struct worker *worker, struct slot *slot)
{
    slot->conn = NULL;
    if (atomic_load(&slot->posted)) {
        return; /* slot_deliver gives it. */
    }
    if (worker->slots_spare >= SLOTS_SPARE_MAX) {
        slot_free(worker, slot);
        return;
    }
    slot->next = worker->slots;
    worker->slots = slot;
    worker->slots_spare++;
}

/* -- What a call works with ------------------------------------------------------------------- */

void worker_take_arena(struct worker *worker, struct arena *arena)
{
    if (worker->arena.first == NULL) {
        worker->arena = *arena;
        arena_init(arena);
    } else {
        arena_deinit(arena);
    }
}

bool worker_need_argv(struct worker *worker, size_t count)
{
    bool large = worker->argv_capacity > ARGV_KEEP_MAX && count <= ARGV_KEEP_MAX;
    if (count <= worker->argv_capacity && !large) {
        return true;
    }
    size_t capacity = count < 64 ? 64 : count;
    free(worker->argv);
    worker->argv = malloc(capacity * sizeof(struct bytes));
    worker->argv_capacity = worker->argv == NULL ? 0 : capacity;
    return worker->argv != NULL;
}

/* -- Lists of connections --------------------------------------------------------------------- */

void worker_touch(struct worker *worker, struct conn *conn)
{
    if (conn->touched) {
        return;
    }
    conn->touched = true;
    conn->touched_next = NULL;
    if (worker->touched == NULL) {
        worker->touched = conn;
    } else {
        worker->touched_last->touched_next = conn;
    }
    worker->touched_last = conn;
}

void worker_ready(struct worker *worker, struct conn *conn)
{
    if (conn->ready) {
        return;
    }
    conn->ready = true;
    conn->ready_next = NULL;
    if (worker->ready == NULL) {
        worker->ready = conn;
    } else {
        worker->ready_last->ready_next = conn;
    }
    worker->ready_last = conn;
}

void worker_add_conn(struct worker *worker, struct conn *conn)
{
    conn->previous = NULL;
    conn->next = worker->conns;
    if (conn->next != NULL) {
        conn->next->previous = conn;
    }
    worker->conns = conn;
    worker->conn_count++;
}

void worker_remove_conn(struct worker *worker, struct conn *conn)
{
    if (worker->check_next == conn) {
        worker->check_next = conn->next;
    }
    if (conn->previous != NULL) {
        conn->previous->next = conn->next;
    } else {
        worker->conns = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->previous = conn->previous;
    }
    worker->conn_count--;
}

/* What a letter or a list still names stays for a later turn. */
static void free_closed(struct worker *worker)
{
    struct conn **link = &worker->closed;
    while (*link != NULL) {
        struct conn *conn = *link;
        if (conn->touched || conn->ready || (atomic_load(&conn->kill_posted) && !conn->killed)) {
            link = &conn->closed_next;
        } else {
            *link = conn->closed_next;
            conn_free(conn);
        }
    }
}

/* -- Parked calls ----------------------------------------------------------------------------- */

void worker_park(struct worker *worker, struct conn *conn)
{
    if (!conn->call.parked) {
        return; /* The txn's wake will come. */
    }
    if (conn->call.park_lsn != UINT64_MAX) {
        queue_heap_add(&worker->parked, &conn->park_node, conn->call.park_lsn);
    }
    if (conn->call.park_until_ms != 0) {
        queue_heap_add(&worker->timed, &conn->time_node, conn->call.park_until_ms);
    }
}

void worker_unpark(struct worker *worker, struct conn *conn)
{
    queue_heap_remove(&worker->parked, &conn->park_node);
    queue_heap_remove(&worker->timed, &conn->time_node);
}

static void unpark_first(struct worker *worker, struct conn *conn)
{
    worker_unpark(worker, conn);
    conn->call.park_over = true;
    conn_resume(conn);
}

/* Resumes the calls whose LSN is synced or whose time has come. Each at most once a turn. */
static void resume_parked(struct worker *worker)
{
    if (worker->parked.count > 0) {
        uint64_t synced = worker->dead_told ? UINT64_MAX : basin_synced(worker->basin);
        for (size_t left = worker->parked.count;
             left > 0 && queue_heap_key(&worker->parked) <= synced && worker->parked.count > 0;
             left--) {
            unpark_first(worker, OWNER(queue_heap_first(&worker->parked), struct conn, park_node));
        }
    }
    worker->dead_told = false;
    for (size_t left = worker->timed.count; left > 0 && worker->timed.count > 0 &&
                                            queue_heap_key(&worker->timed) <= worker->stats->now_ms;
         left--) {
        unpark_first(worker, OWNER(queue_heap_first(&worker->timed), struct conn, time_node));
    }
}

static void arm_time(struct worker *worker)
{
    uint64_t first_ms = queue_heap_key(&worker->timed);
    if (worker->timed.count == 0 || first_ms == worker->time_armed_ms) {
        return;
    }
    uint64_t now_ms = worker->stats->now_ms;
    uint64_t left_ms = first_ms > now_ms ? first_ms - now_ms : 0;
    struct timeval left = {(time_t)(left_ms / 1000), (suseconds_t)(left_ms % 1000 * 1000 + 500)};
    worker->time_armed_ms = first_ms;
    event_add(&worker->time_event, &left);
}

/* -- Gates ------------------------------------------------------------------------------------- */

/* Opens all that the durable LSN covers. */
static void open_gates(struct worker *worker, uint64_t durable)
{
    while (worker->gated.count > 0 && queue_heap_key(&worker->gated) <= durable) {
        struct conn *conn = OWNER(queue_heap_first(&worker->gated), struct conn, gate_node);
        queue_heap_remove(&worker->gated, &conn->gate_node);
        gates_open(&conn->gates, durable);
        if (conn->gates.count > 0) {
            queue_heap_add(&worker->gated, &conn->gate_node, gates_lsn(&conn->gates));
        }
        worker_touch(worker, conn);
    }
}

/* W4: what still waits will never be durable. */
static void fail_gates(struct worker *worker)
{
    while (worker->gated.count > 0) {
        struct conn *conn = OWNER(queue_heap_first(&worker->gated), struct conn, gate_node);
        queue_heap_remove(&worker->gated, &conn->gate_node);
        conn_fail_gates(conn);
    }
    if (!worker->dead_seen) {
        worker->dead_seen = true;
        worker->dead_told = true; /* Parked calls look for themselves, once. */
        log_line(LOG_WARNING, "worker %u: the write log is dead; writes are refused",
                 worker->index);
        net_notify(worker->net, worker->index, UINT64_MAX);
    }
}

/* Flushes what the turn has appended, parks its replies, and opens what is durable. */
static void settle_log(struct worker *worker)
{
    struct basin *basin = worker->basin;
    basin_flush(basin);
    for (struct conn *conn = worker->touched; conn != NULL; conn = conn->touched_next) {
        if (!conn->closed && conn->gates.count > 0 && !heap_node_waits(&conn->gate_node)) {
            queue_heap_add(&worker->gated, &conn->gate_node, gates_lsn(&conn->gates));
        }
    }
    basin_reap(basin);
    uint64_t synced = basin_synced(basin);
    if (synced != worker->durable_seen) {
        worker->durable_seen = synced;
        net_notify(worker->net, worker->index, synced);
    }
    if (worker->gated.count == 0 && worker->parked.count == 0) {
        if (atomic_load_explicit(&worker->waits_lsn, memory_order_relaxed) != UINT64_MAX) {
            atomic_store_explicit(&worker->waits_lsn, UINT64_MAX, memory_order_relaxed);
        }
        return;
    }
    uint64_t durable = basin_durable(basin);
    for (;;) {
        open_gates(worker, durable);
        uint64_t gated = queue_heap_key(&worker->gated);
        uint64_t parked = queue_heap_key(&worker->parked);
        atomic_store(&worker->waits_lsn, gated < parked ? gated : parked);
        uint64_t again = basin_durable(basin); /* W1, N1: look again after parking. */
        if (again == durable) {
            break;
        }
        durable = again;
    }
    if (basin_dead(basin) && (worker->gated.count > 0 || !worker->dead_seen)) {
        fail_gates(worker);
    }
}

/* -- The turn -----------------------------------------------------------------------------------
 */

/* There is something to do without waiting for any event. */
static bool worker_busy(const struct worker *worker)
{
    return worker->ready != NULL || worker->touched != NULL || worker->tick_more ||
           worker->dead_told ||
           (worker->parked.count > 0 &&
            queue_heap_key(&worker->parked) <= basin_synced(worker->basin));
}

static void deliver_letters(struct worker *worker)
{
    struct letter *letter = mailbox_take(&worker->mailbox);
    while (letter != NULL) {
        struct letter *next = letter->next;
        letter->deliver(letter);
        letter = next;
    }
}

static void run_ready(struct worker *worker)
{
    struct conn *conn = worker->ready;
    worker->ready = NULL;
    while (conn != NULL) {
        struct conn *next = conn->ready_next;
        conn->ready = false;
        conn_continue(conn);
        conn = next;
    }
}

static void check_conns(struct worker *worker)
{
    int64_t now_ms = (int64_t)worker->stats->now_ms;
    unsigned count = worker->conn_count / CHECK_PARTS + 1;
    count = count < CHECK_MIN ? CHECK_MIN : count;
    for (count = count > worker->conn_count ? worker->conn_count : count; count > 0; count--) {
        struct conn *conn = worker->check_next != NULL ? worker->check_next : worker->conns;
        if (conn == NULL) {
            break;
        }
        worker->check_next = conn->next;
        conn_check(conn, now_ms);
    }
}

static void worker_tick(struct worker *worker)
{
    if (worker->stopping || (!worker->tick_due && !worker->tick_more)) {
        return;
    }
    uint64_t budget_us = worker->tick_due ? TICK_US : TICK_MORE_US;
    worker->tick_more = basin_tick(worker->basin, worker->tick_slot->txn, worker->index,
                                   worker->server->workers, worker->stats->now_ms, budget_us);
    if (!worker->tick_due) {
        return;
    }
    worker->tick_due = false;
    check_conns(worker);
    if (worker->index == 0) {
        stats_sample(worker->server);
        net_tick(worker->net);
    }
}

static void send_touched(struct worker *worker)
{
    struct conn *conn = worker->touched;
    worker->touched = NULL;
    while (conn != NULL) {
        struct conn *next = conn->touched_next;
        conn->touched = false;
        conn_send(conn);
        conn = next;
    }
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void stop_deliver(struct letter *letter)
{
    struct worker *worker = OWNER(letter, struct worker, stop_letter);
    worker->stopping = true;
    worker->tick_more = false;
    worker->stop_until_ns = monotonic_ns() + STOP_MS * 1000000ull;
    if (worker->index == 0) {
        net_stop_listening(worker->net);
    }
    struct conn *next;
    for (struct conn *conn = worker->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->slot != NULL && conn->call.parked) {
            conn_close(conn);
        } else {
            worker_touch(worker, conn); /* Stops reading it. */
        }
    }
}

/* Ends when nobody waits for the log or for a lock any more, or when that takes too long. */
static void try_finish(struct worker *worker)
{
    bool waits = worker->gated.count > 0;
    for (struct conn *conn = worker->conns; conn != NULL && !waits; conn = conn->next) {
        waits = conn->slot != NULL || conn->gates.count > 0;
    }
    if (waits && monotonic_ns() < worker->stop_until_ns) {
        return;
    }
    while (worker->conns != NULL) {
        conn_close(worker->conns);
    }
    worker->finished = true;
}

static void worker_turn(struct worker *worker)
{
    worker_begin(worker);
    reader_turn(worker->reader);
    deliver_letters(worker);
    if (worker->index == 0) {
        net_check_signals(worker->net);
    }
    resume_parked(worker);
    run_ready(worker);
    worker_tick(worker);
    reader_start(worker->reader);
    settle_log(worker);
    send_touched(worker);
    free_closed(worker);
    arm_time(worker);
    if (worker->stopping) {
        try_finish(worker);
    }
    atomic_store_explicit(&worker->stats->pending_output, worker->pending_output,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->stats->pending_queries, worker->pending_queries,
                          memory_order_relaxed);
    stats_add(&worker->stats->loops, 1);
    stats_add(&worker->stats->loop_us, (monotonic_ns() - worker->turn_start_ns) / 1000);
    worker->turn++;
    worker->clocked = false;
}

/* The log holds a batch back for company (wlog_hold.h). Short holds are sat out awake, as going to
 * sleep takes about as long; for longer ones a timer wakes, set once a hold: one that is left from
 * the hold before is too early, not too late. True: do not sleep. */
static bool sit_out_hold(struct worker *worker)
{
    uint64_t held_us = basin_held_us(worker->basin);
    if (held_us == 0) {
        basin_flush(worker->basin); /* A hold that ended since the turn's flush. */
        return false;
    }
    if (held_us <= HOLD_AWAKE_US) {
        return true;
    }
    uint64_t now_ns = monotonic_ns();
    if (worker->hold_armed_ns > now_ns) {
        return false;
    }
    worker->hold_armed_ns = now_ns + held_us * 1000;
    struct itimerspec left = {.it_value.tv_sec = (time_t)(held_us / 1000000),
                              .it_value.tv_nsec = (long)(held_us % 1000000 * 1000)};
    return timerfd_settime(worker->hold_fd, 0, &left, NULL) != 0;
}

/* N1: what became durable after the turn's last look, by a thread that found us at work. Called
 * after mailbox_may_sleep: whoever moves the durable LSN from now on signals. */
static bool waits_are_over(struct worker *worker)
{
    return (worker->gated.count > 0 &&
            queue_heap_key(&worker->gated) <= basin_durable(worker->basin)) ||
           (worker->parked.count > 0 &&
            queue_heap_key(&worker->parked) <= basin_synced(worker->basin));
}

void worker_run(struct worker *worker)
{
    while (!worker->finished) {
        int flags = EVLOOP_ONCE;
        if (worker_busy(worker) || sit_out_hold(worker) || !mailbox_may_sleep(&worker->mailbox) ||
            waits_are_over(worker)) {
            flags |= EVLOOP_NONBLOCK;
        }
        if (event_base_loop(worker->base, flags) < 0) {
            log_line(LOG_WARNING, "worker %u: the event loop failed", worker->index);
        }
        mailbox_awake(&worker->mailbox);
        worker_turn(worker);
    }
}

/* -- Life ------------------------------------------------------------------------------------- */

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    worker_begin(ctx); /* What there is to do, the turn does. */
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *worker = ctx;
    worker_begin(worker);
    worker->tick_due = true;
}

static void on_time(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *worker = ctx;
    worker_begin(worker);
    worker->time_armed_ms = 0;
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1 | EV_FEATURE_EARLY_CLOSE);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum status worker_init(struct worker *worker, struct net *net, struct server *server,
                        unsigned index)
{
    static const struct timeval tick = {0, TICK_MS * 1000};
    *worker = (struct worker){
        .net = net, .server = server, .basin = server->basin, .index = index, .hold_fd = -1};
    worker->stats = &server->stats->workers[index];
    worker->stop_letter.deliver = stop_deliver;
    atomic_store(&worker->waits_lsn, UINT64_MAX);
    enum status status = mailbox_init(&worker->mailbox);
    if (status != ST_OK) {
        return status;
    }
    status = reader_new(worker->basin, &worker->reader);
    if (status != ST_OK) {
        return status;
    }
    worker->base = base_new();
    worker->hold_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    worker->tick_slot = slot_new(worker);
    if (worker->base == NULL || worker->hold_fd < 0 || worker->tick_slot == NULL ||
        !worker_need_slot(worker)) {
        return ST_NOMEM;
    }
    short edge = EV_READ | EV_ET | EV_PERSIST;
    event_assign(&worker->mail_event, worker->base, worker->mailbox.fd, edge, on_wake, worker);
    event_assign(&worker->hold_event, worker->base, worker->hold_fd, edge, on_wake, worker);
    event_assign(&worker->tick_event, worker->base, -1, EV_PERSIST, on_tick, worker);
    event_assign(&worker->time_event, worker->base, -1, 0, on_time, worker);
    bool added = event_add(&worker->mail_event, NULL) == 0 &&
                 event_add(&worker->hold_event, NULL) == 0 &&
                 event_add(&worker->tick_event, &tick) == 0;
    int log_fd = basin_fd(worker->basin);
    if (log_fd >= 0) {
        event_assign(&worker->log_event, worker->base, log_fd, edge, on_wake, worker);
        added = added && event_add(&worker->log_event, NULL) == 0;
    }
    int reader = reader_fd(worker->reader);
    if (reader >= 0) {
        event_assign(&worker->read_event, worker->base, reader, edge, on_wake, worker);
        added = added && event_add(&worker->read_event, NULL) == 0;
    }
    return added ? ST_OK : ST_NOMEM;
}

void worker_deinit(struct worker *worker)
{
    worker->stopping = true;
    deliver_letters(worker); /* Kills and new connections that came too late. */
    while (worker->conns != NULL) {
        conn_close(worker->conns);
    }
    worker->ready = NULL;
    worker->touched = NULL;
    for (struct conn *conn = worker->closed; conn != NULL; conn = conn->closed_next) {
        conn->ready = false;
        conn->touched = false;
    }
    free_closed(worker);
    slot_free(worker, worker->tick_slot);
    slot_free(worker, worker->slot);
    while (worker->slots != NULL) {
        struct slot *next = worker->slots->next;
        slot_free(worker, worker->slots);
        worker->slots = next;
    }
    reader_free(worker->reader);
    if (worker->base != NULL) {
        event_base_free(worker->base);
    }
    if (worker->hold_fd >= 0) {
        close(worker->hold_fd);
    }
    queue_heap_deinit(&worker->gated);
    queue_heap_deinit(&worker->parked);
    queue_heap_deinit(&worker->timed);
    input_pool_deinit(&worker->inputs);
    arena_deinit(&worker->arena);
    free(worker->argv);
}
