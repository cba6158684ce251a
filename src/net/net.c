#include "src/net/net.h"

#include "engine/base/log.h"
#include "src/net/listener.h"
#include "src/net/worker.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors that are not clients': the log's files, rings, epoll, eventfds, listeners, logs. */
#define DESCRIPTORS_RESERVE 128

struct net {
    struct server *server;
    struct listener *listeners;
    size_t listener_count;
    struct worker *workers;
    unsigned worker_count; /* Initialised. */
    unsigned thread_count; /* Running besides worker 0. */
    _Atomic bool stopping;
};

static const char maxclients_text[] = "-ERR max number of clients reached\r\n";
static const char denied_text[] =
    "-DENIED Basin is running in protected mode because protected mode is enabled and no password "
    "is set for the default user. In this mode connections are only accepted from the loopback "
    "interface. If you want to connect from external computers, adopt one of the following "
    "solutions: 1) Disable protected mode by sending the command 'CONFIG SET protected-mode no' "
    "from the host the server is running on, after making sure that the server is not publicly "
    "accessible from the internet. 2) Set 'protected-mode no' in the configuration file and "
    "restart "
    "the server. 3) If you started the server by hand just for testing, restart it with "
    "'--protected-mode no'. 4) Set a password for the default user (requirepass).\r\n";

/* -- Signals ---------------------------------------------------------------------------------- */

static _Atomic int signal_seen;
static _Atomic int signal_fd = -1;

/* Only what is allowed in a handler: the loop of worker 0 does the rest. */
static void on_signal(int number)
{
    int error = errno;
    int before = atomic_exchange(&signal_seen, number);
    if (number == SIGINT && before != 0) {
        _exit(1);
    }
    int fd = atomic_load(&signal_fd);
    if (fd >= 0) {
        (void)!eventfd_write(fd, 1);
    }
    errno = error;
}

static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

void net_check_signals(struct net *net)
{
    int number = atomic_load_explicit(&signal_seen, memory_order_relaxed);
    if (number != 0 && !atomic_load(&net->stopping)) {
        log_line(LOG_NOTICE, "Received %s, stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
        net_stop(net);
    }
}

/* -- Limits ----------------------------------------------------------------------------------- */

/* Room for maxclients and the reserve; where the system refuses, fewer clients. */
static void descriptors_raise(struct config *config)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)config_get(&config->maxclients) + DESCRIPTORS_RESERVE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    struct rlimit raised = {wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        return;
    }
    raised = (struct rlimit){limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        limit.rlim_cur = limit.rlim_max;
    }
    if (limit.rlim_cur >= wanted) {
        return;
    }
    int64_t clients = (int64_t)limit.rlim_cur - DESCRIPTORS_RESERVE;
    clients = clients < 1 ? 1 : clients;
    log_line(
        LOG_WARNING,
        "maxclients %lld needs %llu open files, the system grants %llu: maxclients is now %lld",
        (long long)config_get(&config->maxclients), (unsigned long long)wanted,
        (unsigned long long)limit.rlim_cur, (long long)clients);
    atomic_store(&config->maxclients, clients);
}

static void config_changed(struct server *server)
{
    descriptors_raise(server->config); /* The rest is read where it is used. */
}

/* -- New connections ----------------------------------------------------------------------------
 */

/* A connection on its way to its worker. */
struct deal {
    struct letter letter;
    struct worker *worker;
    const char *path;
    int fd;
};

static void deal_deliver(struct letter *letter)
{
    struct deal *deal = (struct deal *)letter;
    if (deal->worker->stopping) {
        close(deal->fd);
        net_forget(deal->worker->net, deal->worker->index);
    } else {
        conn_open(deal->worker, deal->fd, deal->path);
    }
    free(deal);
}

static bool is_loopback(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    if (getpeername(fd, (struct sockaddr *)&address, &size) != 0) {
        return false;
    }
    if (address.ss_family == AF_INET) {
        return ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == 127;
    }
    const struct in6_addr *in6 = &((struct sockaddr_in6 *)&address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

static void refuse(struct net *net, int fd, const char *text, size_t size)
{
    (void)!send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT); /* As far as it goes. */
    close(fd);
    stats_add(&net->workers[0].stats->connections_rejected, 1);
}

static void socket_prepare(int fd, int64_t keepalive_s)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (keepalive_s <= 0) {
        return;
    }
    int idle = (int)keepalive_s;
    int interval = idle / 3 < 1 ? 1 : idle / 3;
    int probes = 3;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void net_deal(struct net *net, int fd, const char *path)
{
    const struct config *config = net->server->config;
    struct worker *least = &net->workers[0];
    uint64_t total = 0;
    for (unsigned i = 0; i < net->worker_count; i++) {
        struct worker *worker = &net->workers[i];
        unsigned load = atomic_load(&worker->load);
        least = load < atomic_load(&least->load) ? worker : least;
        total += load;
    }
    if (total >= (uint64_t)config_get(&config->maxclients)) {
        refuse(net, fd, maxclients_text, sizeof(maxclients_text) - 1);
        return;
    }
    if (path == NULL && config_get(&config->protected_mode) != 0 &&
        config_get(&config->password_set) == 0 && !is_loopback(fd)) {
        refuse(net, fd, denied_text, sizeof(denied_text) - 1);
        return;
    }
    if (path == NULL) {
        socket_prepare(fd, config_get(&config->tcp_keepalive_s));
    }
    stats_add(&net->workers[0].stats->connections_received, 1);
    atomic_fetch_add(&least->load, 1);
    if (least->index == 0) {
        worker_begin(least);
        conn_open(least, fd, path);
        return;
    }
    struct deal *deal = malloc(sizeof(*deal));
    if (deal == NULL) {
        close(fd);
        net_forget(net, least->index);
        return;
    }
    *deal = (struct deal){{NULL, deal_deliver}, least, path, fd};
    mailbox_post(&least->mailbox, &deal->letter);
}

void net_forget(struct net *net, unsigned worker)
{
    atomic_fetch_sub(&net->workers[worker].load, 1);
}

void net_notify(struct net *net, unsigned self, uint64_t durable)
{
    for (unsigned i = 0; i < net->worker_count; i++) {
        struct worker *worker = &net->workers[i];
        if (i != self && atomic_load(&worker->waits_lsn) <= durable) {
            mailbox_signal(&worker->mailbox);
        }
    }
}

void net_tick(struct net *net)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        listener_retry(&net->listeners[i]);
    }
}

void net_stop_listening(struct net *net)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        listener_close(&net->listeners[i]);
    }
}

/* -- Life ------------------------------------------------------------------------------------- */

void net_stop(struct net *net)
{
    if (atomic_exchange(&net->stopping, true)) {
        return;
    }
    atomic_store(&net->server->stopping, true);
    for (unsigned i = 0; i < net->worker_count; i++) {
        mailbox_post(&net->workers[i].mailbox, &net->workers[i].stop_letter);
    }
}

static void stop(struct server *server)
{
    net_stop(server->net);
}

enum status net_open(struct server *server, struct net **net_out)
{
    struct net *net = calloc(1, sizeof(*net));
    *net_out = net;
    if (net == NULL) {
        return ST_NOMEM;
    }
    net->server = server;
    server->net = net;
    server->stop = stop;
    server->config_changed = config_changed;
    signal(SIGPIPE, SIG_IGN);
    descriptors_raise(server->config);
    return listeners_bind(net, server->config, &net->listeners, &net->listener_count);
}

static void *thread_main(void *ctx)
{
    worker_run(ctx);
    return NULL;
}

/* Signals go to the main thread alone: the others inherit a mask of all. */
static enum status threads_start(struct net *net)
{
    sigset_t all;
    sigset_t before;
    enum status status = ST_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (unsigned i = 1; i < net->worker_count && status == ST_OK; i++) {
        struct worker *worker = &net->workers[i];
        if (pthread_create(&worker->thread, NULL, thread_main, worker) != 0) {
            log_line(LOG_WARNING, "cannot start worker %u", i);
            status = ST_LIMIT;
        } else {
            net->thread_count++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* From a thread of the log. The mailboxes outlive the store. */
static void durable_moved(void *ctx, uint64_t durable)
{
    net_notify(ctx, UINT_MAX, durable);
}

enum status net_start(struct net *net)
{
    struct server *server = net->server;
    int backlog = (int)config_get(&server->config->tcp_backlog);
    net->workers =
        aligned_alloc(64, ((server->workers * sizeof(struct worker)) + 63) & ~(size_t)63);
    if (net->workers == NULL) {
        return ST_NOMEM;
    }
    for (unsigned i = 0; i < server->workers; i++) {
        net->worker_count++;
        enum status status = worker_init(&net->workers[i], net, server, i);
        if (status != ST_OK) {
            log_line(LOG_WARNING, "cannot prepare worker %u: %s", i, status_name(status));
            return status;
        }
    }
    for (size_t i = 0; i < net->listener_count; i++) {
        enum status status = listener_start(&net->listeners[i], net->workers[0].base, backlog);
        if (status != ST_OK) {
            return status;
        }
    }
    basin_set_watcher(server->basin, durable_moved, net);
    atomic_store(&signal_fd, net->workers[0].mailbox.fd);
    signals_catch();
    return threads_start(net);
}

void net_run(struct net *net)
{
    worker_run(&net->workers[0]);
    for (unsigned i = 1; i <= net->thread_count; i++) {
        pthread_join(net->workers[i].thread, NULL);
    }
    net->thread_count = 0;
}

void net_close(struct net *net)
{
    if (net == NULL) {
        return;
    }
    if (net->thread_count > 0) { /* A start that failed half-way. */
        net_stop(net);
        for (unsigned i = 1; i <= net->thread_count; i++) {
            pthread_join(net->workers[i].thread, NULL);
        }
    }
    atomic_store(&signal_fd, -1);
    net_stop_listening(net);
    for (unsigned i = 0; i < net->worker_count; i++) {
        worker_deinit(&net->workers[i]);
    }
}

void net_free(struct net *net)
{
    if (net == NULL) {
        return;
    }
    for (unsigned i = 0; i < net->worker_count; i++) {
        mailbox_deinit(&net->workers[i].mailbox);
    }
    free(net->workers);
    free(net->listeners);
    free(net);
}
