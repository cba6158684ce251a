/* net: the network side of the server: listeners, workers and all their connections.
 *
 *     net_open (bind) → net_start (listen, threads) → net_run … net_stop (any thread)
 *              → net_close → net_free
 *
 * Addresses are bound before the store is opened, so that a taken port ends the start at once, and
 * listened to only after it, so that nobody is accepted who cannot be answered.
 * Signals: SIGTERM and SIGINT stop in order; a second SIGINT ends the process at once with 1.
 * Thread: net_open to net_run by the main thread, which becomes worker 0.
 */
#ifndef BASIN_SRC_NET_NET_H
#define BASIN_SRC_NET_NET_H

#include "src/server.h"

/* Raises the limit of open files to what maxclients needs (or lowers maxclients), and binds. The
 * reason of a failure is logged. Given; server->net, ->stop and ->config_changed are set. */
enum status net_open(struct server *server, struct net **net_out);

/* Listens, and starts workers 1 and up. server->basin is open. */
enum status net_start(struct net *net);

/* Serves until stopped; what was acknowledged has been sent then, and no call is open. */
void net_run(struct net *net);

/* Begins an orderly stop. Any thread. */
void net_stop(struct net *net);

/* Closes all connections and gives back all txns, so that the store may be closed. NULL is fine. */
void net_close(struct net *net);

/* After the store is closed: a thread of it may have been signalling a mailbox until then. */
void net_free(struct net *net);

/* -- For the files of this folder -------------------------------------------------------------- */

/* Deals a connected socket to the worker with the fewest connections, or refuses it. Called on
 * worker 0. path: the unix socket's; NULL: TCP. */
void net_deal(struct net *net, int fd, const char *path);

/* A connection has gone. */
void net_forget(struct net *net, unsigned worker);

/* The durable LSN has moved: wakes the workers (but `self`) that wait for less. */
void net_notify(struct net *net, unsigned self, uint64_t durable);

/* A signal has come: worker 0 asks in each turn. */
void net_check_signals(struct net *net);

/* Worker 0, some ten times a second: listeners that ran out of descriptors try again. */
void net_tick(struct net *net);
/* No more connections; on worker 0. */
void net_stop_listening(struct net *net);

#endif
