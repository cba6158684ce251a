/* server: the process: what all workers and commands share. One a process.
 * Thread: set up before the workers start; what changes later is atomic or has its own lock. */
#ifndef BASIN_SRC_SERVER_H
#define BASIN_SRC_SERVER_H

#include "engine/basin.h"

#include <pthread.h>
#include <stdatomic.h>

struct client;
struct config;
struct stats;
struct net;

#define BASIN_VERSION "0.1.0"
/* What clients are told of the Redis whose commands we answer. */
#define BASIN_REDIS_VERSION "7.2.0"

struct server {
    struct basin *basin;
    struct config *config; /* src/config/config.h */
    struct stats *stats;   /* src/stats/stats.h */
    struct net *net;       /* src/net/net.h; commands never touch it */
    char run_id[41];
    int64_t started_ms;
    unsigned workers;
    pthread_mutex_t clients_mutex; /* Guards the registry, see client.h. */
    struct client *clients;
    unsigned clients_count;
    _Atomic uint64_t next_client_id;
    _Atomic int64_t last_save_ms;
    /* Threads that sync the store for SAVE and its kin; basin_close comes once there are none. */
    _Atomic unsigned syncs;
    /* Set by SHUTDOWN and signals through server_stop. */
    _Atomic bool stopping;
    void (*stop)(struct server *server); /* From any thread: begin an orderly stop; net fills it. */
    /* CONFIG SET of something net must act on (maxclients, timeout …); net fills it. */
    void (*config_changed)(struct server *server);
};

/* Fills a server of this configuration, which it keeps: counters, run id, registry; no store and no
 * network yet. ST_NOMEM. */
enum status server_init(struct server *server, struct config *config);
void server_deinit(struct server *server); /* Neither config nor basin nor net. */

/* Opens the store that the configuration names and says in the log what it found. The reason of a
 * failure is logged. */
enum status server_open_store(struct server *server);

#endif
