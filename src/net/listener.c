#include "src/net/listener.h"

#include "engine/base/log.h"
#include "src/net/net.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections taken in before the rest of the loop has its turn. */
#define ACCEPT_MAX 256

static int socket_bind(const struct addrinfo *info)
{
    int one = 1;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    info->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        (info->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0) ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Whether the system just has no such address or family: no error where the user said so. */
static bool is_unavailable(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT || error == EPROTONOSUPPORT ||
           error == EPFNOSUPPORT || error == ENOPROTOOPT || error == ESOCKTNOSUPPORT;
}

/* ST_OK with fd -1: the address is optional and not available. */
static enum status tcp_bind(const char *written, int64_t port, int *fd_out)
{
    bool optional = written[0] == '-';
    const char *address = optional ? written + 1 : written;
    bool v6 = strchr(address, ':') != NULL;
    const char *host = strcmp(address, "*") == 0     ? "0.0.0.0"
                       : strcmp(address, "::*") == 0 ? "::"
                                                     : address;
    char port_text[16];
    snprintf(port_text, sizeof(port_text), "%d", (int)port);
    struct addrinfo hints = {
        .ai_family = v6 ? AF_INET6 : AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *infos = NULL;
    *fd_out = -1;
    int failure = getaddrinfo(host, port_text, &hints, &infos);
    if (failure != 0) {
        log_line(LOG_WARNING, "bind %s: %s", written, gai_strerror(failure));
        return optional ? ST_OK : ST_INVALID;
    }
    int error = 0;
    for (struct addrinfo *info = infos; info != NULL && *fd_out < 0; info = info->ai_next) {
        *fd_out = socket_bind(info);
        error = errno;
    }
    freeaddrinfo(infos);
    if (*fd_out >= 0 || (optional && is_unavailable(error))) {
        return ST_OK;
    }
    log_line(LOG_WARNING, "Could not create server TCP listening socket %s:%d: bind: %s", address,
             (int)port, strerror(error));
    return error == EADDRINUSE ? ST_BUSY : ST_INVALID;
}

/* A name left behind by a process that is gone is removed; one that answers is not ours. */
static bool unix_name_taken(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool taken = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(fd);
    struct stat stat;
    if (!taken && lstat(address->sun_path, &stat) == 0 && S_ISSOCK(stat.st_mode)) {
        unlink(address->sun_path);
    }
    return taken;
}

static enum status unix_bind(const struct config *config, int *fd_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = config->unixsocket;
    if (strlen(path) >= sizeof(address.sun_path)) {
        log_line(LOG_WARNING, "unixsocket %s: the path is longer than %zu bytes", path,
                 sizeof(address.sun_path) - 1);
        return ST_INVALID;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (unix_name_taken(&address)) {
        log_line(LOG_WARNING, "unixsocket %s: another server is listening there", path);
        return ST_BUSY;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        log_line(LOG_WARNING, "Could not create Unix socket %s: bind: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return ST_INVALID;
    }
    int64_t mode = config_get(&config->unixsocketperm);
    if (mode != 0 && chmod(path, (mode_t)mode) != 0) {
        log_line(LOG_WARNING, "unixsocketperm %o: %s: %s", (unsigned)mode, path, strerror(errno));
    }
    *fd_out = fd;
    return ST_OK;
}

enum status listeners_bind(struct net *net, const struct config *config,
                           struct listener **listeners_out, size_t *count_out)
{
    int64_t port = config_get(&config->port);
    bool local = config->unixsocket != NULL && config->unixsocket[0] != 0;
    *count_out = 0;
    *listeners_out = calloc(config->address_count + 1, sizeof(**listeners_out));
    if (*listeners_out == NULL) {
        return ST_NOMEM;
    }
    struct listener *listener = *listeners_out;
    for (size_t i = 0; port != 0 && i < config->address_count; i++) {
        listener->net = net;
        enum status status = tcp_bind(config->addresses[i], port, &listener->fd);
        if (status != ST_OK) {
            return status;
        }
        if (listener->fd >= 0) {
            listener++;
            (*count_out)++;
        }
    }
    if (local) {
        listener->net = net;
        enum status status = unix_bind(config, &listener->fd);
        if (status != ST_OK) {
            return status;
        }
        listener->path = config->unixsocket;
        (*count_out)++;
    }
    if (*count_out == 0) {
        log_line(LOG_WARNING, "Configured to not listen anywhere, exiting.");
        return ST_INVALID;
    }
    return ST_OK;
}

static void on_connection(evutil_socket_t fd, short what, void *ctx)
{
    struct listener *listener = ctx;
    for (unsigned left = ACCEPT_MAX; left > 0; left--) {
        int socket_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket_fd >= 0) {
            net_deal(listener->net, socket_fd, listener->path);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* It stays readable: look away until the next tick, or the loop would spin. */
            log_line(LOG_WARNING, "cannot accept a connection: %s", strerror(errno));
            event_del(&listener->event);
            listener->paused = true;
            return;
        }
        if (errno == EAGAIN) {
            return;
        }
        /* ECONNABORTED and its like concern that connection only. */
    }
}

enum status listener_start(struct listener *listener, struct event_base *base, int backlog)
{
    if (listen(listener->fd, backlog) != 0) {
        log_line(LOG_WARNING, "listen: %s", strerror(errno));
        return errno == EADDRINUSE ? ST_BUSY : ST_INVALID;
    }
    event_assign(&listener->event, base, listener->fd, EV_READ | EV_PERSIST, on_connection,
                 listener);
    if (event_add(&listener->event, NULL) != 0) {
        return ST_NOMEM;
    }
    listener->listening = true;
    return ST_OK;
}

void listener_retry(struct listener *listener)
{
    if (listener->listening && listener->paused) {
        listener->paused = event_add(&listener->event, NULL) != 0;
    }
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0) {
        return;
    }
    if (listener->listening && !listener->paused) {
        event_del(&listener->event);
    }
    close(listener->fd);
    listener->fd = -1;
    listener->listening = false;
    if (listener->path != NULL) {
        unlink(listener->path);
    }
}
