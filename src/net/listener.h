/* listener: a socket that takes connections in: TCP over v4 or v6, or a unix socket.
 * Thread: worker 0's. */
#ifndef BASIN_SRC_NET_LISTENER_H
#define BASIN_SRC_NET_LISTENER_H

#include "src/config/config.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct net;

struct listener {
    struct net *net;
    int fd;           /* -1: none */
    const char *path; /* Of a unix socket; lent by config. NULL: TCP. */
    struct event event;
    bool listening, paused;
};

/* All addresses, `port`, and the unix socket: bound, not yet listening. Gives the array and its
 * count; close them also after a failure. ST_BUSY, ST_INVALID: the reason is logged. */
enum status listeners_bind(struct net *net, const struct config *config,
                           struct listener **listeners_out, size_t *count_out);
/* From now on connections are dealt by net_deal. */
enum status listener_start(struct listener *listener, struct event_base *base, int backlog);
/* After a shortage of descriptors: accept again. */
void listener_retry(struct listener *listener);
/* Closes, and removes the unix socket's name. */
void listener_close(struct listener *listener);

#endif
