/* config: the directives of the server, from file, command line and CONFIG SET.
 *
 *     defaults → file (with includes) → --name value … → running ⇄ CONFIG GET / SET → CONFIG
 * REWRITE
 *
 * One table in directives.c says name, type, default, bounds and whether a directive may change
 * while the server runs. An unknown or malformed directive ends the start with file, line and
 * reason. File syntax is Redis's: a directive a line, quotes, # comments, include.
 *
 * Thread: loaded before the workers start. Numbers are atomic and may be read by anybody at any
 * time (config_get). Strings never change once loaded, but those below the line in struct config,
 * which are guarded by its mutex: requirepass and save. CONFIG SET, GET and REWRITE by any worker.
 */
#ifndef BASIN_SRC_CONFIG_CONFIG_H
#define BASIN_SRC_CONFIG_CONFIG_H

#include "engine/basin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct server;

#define CONFIG_WORKERS_MAX 64
#define CONFIG_ERROR_MAX 512

enum config_debug { CONFIG_DEBUG_NO, CONFIG_DEBUG_YES, CONFIG_DEBUG_LOCAL };

enum config_client_class { CLIENT_CLASS_NORMAL, CLIENT_CLASS_REPLICA, CLIENT_CLASS_PUBSUB };
#define CLIENT_CLASS_COUNT 3

/* 0: no limit. A client is closed when its pending output passes hard, or stays above soft for
 * soft_seconds. */
struct config_output_limit {
    _Atomic int64_t hard, soft, soft_seconds;
};

typedef _Atomic int64_t config_number;

struct config {
    /* -- Numbers: booleans are 0 or 1, times and sizes in the unit named. -- */
    config_number port;           /* 0: no TCP */
    config_number unixsocketperm; /* Octal mode; 0: the umask decides */
    config_number protected_mode;
    config_number tcp_backlog;
    config_number tcp_keepalive_s;
    config_number timeout_s; /* 0: idle clients stay */
    config_number maxclients;
    config_number appendonly;
    config_number appendfsync;      /* enum wlog_sync */
    config_number maxmemory;        /* Bytes; 0: no limit */
    config_number maxmemory_policy; /* enum evict_policy */
    config_number maxmemory_samples, maxmemory_tenacity;
    config_number lfu_log_factor, lfu_decay_time;
    config_number databases;
    config_number loglevel; /* enum log_level */
    config_number daemonize;
    config_number bulk_max;           /* proto-max-bulk-len, bytes */
    config_number query_buffer_limit; /* Bytes */
    config_number list_max_listpack_size;
    config_number hash_max_listpack_entries, hash_max_listpack_value;
    config_number set_max_intset_entries, set_max_listpack_entries, set_max_listpack_value;
    config_number zset_max_listpack_entries, zset_max_listpack_value;
    config_number stream_node_max_bytes, stream_node_max_entries;
    config_number hll_sparse_max_bytes;
    config_number hz;
    config_number workers; /* 0 until loaded, then at least 1 and at most CONFIG_WORKERS_MAX */
    config_number shards;  /* Likewise: a power of two */
    config_number log_segment_size, log_rotate_ms, log_flushes, log_unflushed_max, settle_log_size;
    config_number log_road;             /* enum io_road */
    config_number enable_debug_command; /* enum config_debug */
    config_number simulate_misses;
    config_number password_set; /* Whether requirepass is not empty */
    struct config_output_limit output_limits[CLIENT_CLASS_COUNT];

    /* -- Strings, constant once loaded; "" where none. -- */
    char *bind;       /* As written: "* -::*" */
    char **addresses; /* The same in pieces; a leading "-" means that failing to bind is no error */
    size_t address_count;
    char *unixsocket;
    char *dir; /* Absolute once loaded */
    char *logfile;
    char *pidfile;
    char *file;       /* Absolute path of the file read; NULL: none */
    char *executable; /* Absolute path */

    /* -- Guarded by the mutex. -- */
    pthread_mutex_t mutex;
    char *requirepass;
    char *save;
    char **accepted; /* Values of directives without meaning here, by their row; NULL: as shipped */
    bool save_read;  /* A save directive was read, so that the next one adds to it */
};

static inline int64_t config_get(const config_number *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

/* Given, with all defaults. NULL: no memory. */
struct config *config_new(void);
void config_free(struct config *config);

enum config_outcome {
    CONFIG_RUN,   /* Go on */
    CONFIG_DONE,  /* --help or --version were printed to standard output: exit with 0 */
    CONFIG_ERROR, /* The reason was printed to standard error: exit with 1 */
};

/* Reads [file] [--name value …] as of main(); "-" reads standard input. Afterwards workers and
 * shards have their number, dir and file are absolute. */
enum config_outcome config_load(struct config *config, int argc, char **argv);

/* The same without printing; for tests. error holds CONFIG_ERROR_MAX bytes. */
bool config_read_file(struct config *config, const char *path, char *error);
bool config_read_text(struct config *config, const char *name, const char *text, char *error);
/* What follows once all was read: defaults that depend on the machine, checks across directives. */
bool config_complete(struct config *config, char *error);

/* The thresholds between encodings, as of now. */
struct value_limits config_value_limits(const struct config *config);
/* Limit and policy of memory, as of now. */
struct basin_memory config_memory(const struct config *config);
const char *config_policy_name(const struct config *config); /* As CONFIG GET shows it. */
/* What of it concerns the engine. The strings are lent by config. */
struct basin_options config_basin_options(const struct config *config);

/* -- While running --------------------------------------------------------------------------- */

/* Calls fn for each directive whose name matches one of the glob patterns, in alphabetical order.
 * The value is lent during the call. */
typedef void (*config_show_fn)(void *ctx, const char *name, const char *value);
void config_match(struct config *config, const struct bytes *patterns, size_t count,
                  config_show_fn fn, void *ctx);

/* Sets name-value pairs, all or none; then tells engine, log and net (server->config_changed).
 * False: error says why in Redis's words, without "ERR". server NULL: nobody is told (tests). */
bool config_set(struct config *config, struct server *server, const struct bytes *pairs,
                size_t pair_count, char *error);

/* Writes the file anew: comments and order stay, changed values are replaced in place, new ones
 * go to the end. By a synced temporary file and a rename. */
bool config_rewrite(struct config *config, char *error);

/* Compares in time that does not depend on where they differ. */
bool config_password_matches(struct config *config, struct bytes password);

#endif
