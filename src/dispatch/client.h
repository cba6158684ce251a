/* client: a session as the commands see it: who speaks, in which protocol, on which database.
 *
 * src/net embeds one in each connection and owns the socket; commands read and change the fields
 * below and never see a socket. The registry knows all clients of all workers, for CLIENT LIST,
 * INFO and KILL.
 * Thread: a client's fields belong to its worker, but those marked atomic, which anybody may read;
 * strings read by others (name, addresses, library) are guarded by the registry's mutex.
 */
#ifndef BASIN_SRC_DISPATCH_CLIENT_H
#define BASIN_SRC_DISPATCH_CLIENT_H

#include "engine/base/arena.h"
#include "engine/basin.h"
#include "resp/resp_writer.h"

#include <stdatomic.h>

struct command;
struct server;
struct client;

/* What src/net does for a client on request. */
struct client_ops {
    void (*close_soon)(struct client *client); /* After what is written has been sent. */
    /* From any thread: the worker closes that client as soon as it can. */
    void (*kill)(struct client *client);
    uint64_t (*output_memory)(const struct client *client);
    uint64_t (*query_size)(const struct client *client); /* Bytes received, not yet run. */
    unsigned (*fd)(const struct client *client);
};

enum client_reply { CLIENT_REPLY_ON, CLIENT_REPLY_OFF, CLIENT_REPLY_SKIP, CLIENT_REPLY_SKIP_NEXT };

#define CLIENT_NAME_MAX 512

struct client {
    struct server *server;
    const struct client_ops *ops;
    struct client *previous, *next; /* Registry. */
    uint64_t id;
    struct resp_out out; /* Replies; out.version is HELLO's. */
    struct arena arena;  /* Scratch of the running command. */
    struct txn *txn;     /* Lent by the worker while a call runs or waits; NULL between. */
    unsigned worker;     /* Index. */

    _Atomic unsigned database;
    bool authenticated;
    bool unix_socket;
    bool close_after_reply;
    _Atomic bool no_evict, no_touch;
    _Atomic enum client_reply reply;
    char *name, *library_name, *library_version; /* NULL: none. */
    char *address, *local_address;               /* "127.0.0.1:4711"; "path:0" for unix sockets. */
    int64_t created_ms;
    _Atomic int64_t last_ms;                      /* Last request. */
    _Atomic(const struct command *) last_command; /* NULL: none yet. */
    _Atomic uint64_t argument_memory;
    _Atomic uint64_t total_received, total_sent, total_commands;
    _Atomic int version;     /* Copy of out.version for CLIENT LIST. */
    uint64_t last_write_lsn; /* For WAITAOF. */

    /* The running or waiting call, see call.h. */
    struct call *call;
};

/* Fills a client in the caller's memory with a new id and enters it in the registry. Addresses are
 * copied. */
void client_init(struct client *client, struct server *server, const struct client_ops *ops,
                 unsigned worker, const char *address, const char *local_address);
void client_deinit(struct client *client); /* Leaves the registry, frees strings, arena, output. */

/* Walks all clients with the registry locked; false of fn ends it. */
void client_walk(struct server *server, bool (*fn)(void *ctx, struct client *client), void *ctx);
unsigned client_count(struct server *server);
/* Sets one of the strings under the registry's mutex; text NULL clears. */
void client_set_string(struct client *client, char **field, const char *text);
/* What CLIENT RESET does to a session: RESP2, database 0, no name, reply on, authenticated only
 * where no password is set. */
void client_reset(struct client *client);

#endif
