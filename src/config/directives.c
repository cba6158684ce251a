#include "src/config/directives.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define KIBI ((int64_t)1024)
#define MEBI (KIBI * 1024)
#define GIBI (MEBI * 1024)
#define BIND_MAX 16

static const struct directive_word sync_words[] = {
    {"everysec", WLOG_SYNC_EVERYSEC},
    {"always", WLOG_SYNC_ALWAYS},
    {"no", WLOG_SYNC_NO},
    {NULL, 0},
};
/* In Redis's order, which the error text shows. */
static const struct directive_word policy_words[] = {
    {"volatile-lru", EVICT_VOLATILE_LRU},
    {"volatile-lfu", EVICT_VOLATILE_LFU},
    {"volatile-random", EVICT_VOLATILE_RANDOM},
    {"volatile-ttl", EVICT_VOLATILE_TTL},
    {"allkeys-lru", EVICT_LRU},
    {"allkeys-lfu", EVICT_LFU},
    {"allkeys-random", EVICT_RANDOM},
    {"noeviction", EVICT_NOTHING},
    {NULL, 0},
};
static const struct directive_word level_words[] = {
    {"debug", LOG_DEBUG},
    {"verbose", LOG_VERBOSE},
    {"notice", LOG_NOTICE},
    {"warning", LOG_WARNING},
    {NULL, 0},
};
static const struct directive_word road_words[] = {
    {"auto", IO_ROAD_AUTO},
    {"io_uring", IO_ROAD_URING},
    {"plain", IO_ROAD_PLAIN},
    {NULL, 0},
};
static const struct directive_word debug_words[] = {
    {"no", CONFIG_DEBUG_NO},
    {"yes", CONFIG_DEBUG_YES},
    {"local", CONFIG_DEBUG_LOCAL},
    {NULL, 0},
};

#define NUMBER(field) .offset = offsetof(struct config, field)
#define INTEGER(text, field, default_text, low, high)                                              \
    .name = (text), .kind = KIND_INTEGER, NUMBER(field), .standard = (default_text), .min = (low), \
    .max = (high)
#define MEMORY(text, field, default_text, low, high)                                               \
    .name = (text), .kind = KIND_MEMORY, NUMBER(field), .standard = (default_text), .min = (low),  \
    .max = (high)
#define BOOLEAN(text, field, default_text)                                                         \
    .name = (text), .kind = KIND_BOOLEAN, NUMBER(field), .standard = (default_text)
#define WORD(text, field, default_text, list)                                                      \
    .name = (text), .kind = KIND_WORD, NUMBER(field), .standard = (default_text), .words = (list)
#define TEXT(text, field, default_text)                                                            \
    .name = (text), .kind = KIND_TEXT, .offset = offsetof(struct config, field),                   \
    .standard = (default_text)

static const struct directive meaningful[] = {
    {BOOLEAN("appendonly", appendonly, "yes"), .fixed = true},
    {WORD("appendfsync", appendfsync, "always", sync_words), .effect = EFFECT_LOG_SYNC},
    {.name = "bind",
     .kind = KIND_BIND,
     .offset = offsetof(struct config, bind),
     .standard = "* -::*",
     .fixed = true},
    {.name = "client-output-buffer-limit",
     .kind = KIND_LIMITS,
     .standard = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"},
    {MEMORY("client-query-buffer-limit", query_buffer_limit, "1gb", MEBI, INT64_MAX)},
    {BOOLEAN("daemonize", daemonize, "no"), .fixed = true},
    {INTEGER("databases", databases, "16", BASIN_DATABASES, BASIN_DATABASES), .fixed = true,
     .refusal = "there are 16 databases, neither more nor fewer"},
    {TEXT("dir", dir, "./"), .fixed = true},
    {WORD("enable-debug-command", enable_debug_command, "no", debug_words), .fixed = true},
    {INTEGER("hash-max-listpack-entries", hash_max_listpack_entries, "512", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("hash-max-listpack-value", hash_max_listpack_value, "64", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("hash-max-ziplist-entries", hash_max_listpack_entries, "512", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS, .alias = true},
    {INTEGER("hash-max-ziplist-value", hash_max_listpack_value, "64", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS, .alias = true},
    {MEMORY("hll-sparse-max-bytes", hll_sparse_max_bytes, "3000", 0, INT64_MAX)},
    {INTEGER("hz", hz, "10", 1, 500)},
    {INTEGER("lfu-decay-time", lfu_decay_time, "1", 0, INT32_MAX), .effect = EFFECT_MEMORY},
    {INTEGER("lfu-log-factor", lfu_log_factor, "10", 0, INT32_MAX), .effect = EFFECT_MEMORY},
    {INTEGER("list-max-listpack-size", list_max_listpack_size, "-2", INT32_MIN, INT32_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("list-max-ziplist-size", list_max_listpack_size, "-2", INT32_MIN, INT32_MAX),
     .effect = EFFECT_VALUE_LIMITS, .alias = true},
    {INTEGER("log-flushes", log_flushes, "4", 1, 64), .fixed = true},
    {WORD("log-road", log_road, "auto", road_words), .fixed = true},
    {INTEGER("log-rotate-ms", log_rotate_ms, "0", 0, INT32_MAX), .fixed = true},
    {MEMORY("log-segment-size", log_segment_size, "64mb", MEBI, 4 * GIBI), .fixed = true},
    {MEMORY("log-unflushed-max", log_unflushed_max, "64mb", MEBI, 16 * GIBI), .fixed = true},
    {MEMORY("settle-log-size", settle_log_size, "64mb", 0, 16 * GIBI), .fixed = true},
    {TEXT("logfile", logfile, ""), .fixed = true},
    {WORD("loglevel", loglevel, "notice", level_words), .effect = EFFECT_LOG_LEVEL},
    {INTEGER("maxclients", maxclients, "10000", 1, UINT32_MAX)},
    {MEMORY("maxmemory", maxmemory, "0", 0, INT64_MAX), .effect = EFFECT_MEMORY},
    {INTEGER("maxmemory-eviction-tenacity", maxmemory_tenacity, "10", 0, 100)},
    {WORD("maxmemory-policy", maxmemory_policy, "noeviction", policy_words),
     .effect = EFFECT_MEMORY},
    {INTEGER("maxmemory-samples", maxmemory_samples, "5", 1, INT32_MAX), .effect = EFFECT_MEMORY},
    {TEXT("pidfile", pidfile, ""), .fixed = true},
    {INTEGER("port", port, "6379", 0, 65535), .fixed = true},
    {BOOLEAN("protected-mode", protected_mode, "yes")},
    {MEMORY("proto-max-bulk-len", bulk_max, "512mb", MEBI, INT64_MAX)},
    {TEXT("requirepass", requirepass, ""), .effect = EFFECT_PASSWORD},
    {.name = "save",
     .kind = KIND_SAVE,
     .offset = offsetof(struct config, save),
     .standard = "3600 1 300 100 60 10000"},
    {INTEGER("set-max-intset-entries", set_max_intset_entries, "512", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("set-max-listpack-entries", set_max_listpack_entries, "128", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("set-max-listpack-value", set_max_listpack_value, "64", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("shards", shards, "0", 0, BASIN_SHARDS_MAX), .fixed = true},
    {BOOLEAN("simulate-misses", simulate_misses, "no"), .fixed = true},
    {MEMORY("stream-node-max-bytes", stream_node_max_bytes, "4096", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("stream-node-max-entries", stream_node_max_entries, "100", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("tcp-backlog", tcp_backlog, "511", 0, INT32_MAX), .fixed = true},
    {INTEGER("tcp-keepalive", tcp_keepalive_s, "300", 0, INT32_MAX)},
    {INTEGER("timeout", timeout_s, "0", 0, INT32_MAX)},
    {TEXT("unixsocket", unixsocket, ""), .fixed = true},
    {.name = "unixsocketperm",
     .kind = KIND_OCTAL,
     NUMBER(unixsocketperm),
     .standard = "0",
     .min = 0,
     .max = 0777,
     .fixed = true},
    {INTEGER("workers", workers, "0", 0, CONFIG_WORKERS_MAX), .fixed = true},
    {INTEGER("zset-max-listpack-entries", zset_max_listpack_entries, "128", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("zset-max-listpack-value", zset_max_listpack_value, "64", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS},
    {INTEGER("zset-max-ziplist-entries", zset_max_listpack_entries, "128", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS, .alias = true},
    {INTEGER("zset-max-ziplist-value", zset_max_listpack_value, "64", 0, INT64_MAX),
     .effect = EFFECT_VALUE_LIMITS, .alias = true},
};

#define ACCEPT(text, default_text, why)                                                            \
    {                                                                                              \
        .name = (text), .kind = KIND_ACCEPTED, .standard = (default_text), .reason = (why)         \
    }
/* Only its default, since another value would ask for what Basin does not do. */
#define ACCEPT_ONLY(text, value, why)                                                              \
    {                                                                                              \
        .name = (text), .kind = KIND_ACCEPTED, .standard = (value), .only = (value),               \
        .reason = (why)                                                                            \
    }

#define NO_FILES "no RDB or AOF file is ever written: every write is in the log"
#define NO_FORK "nothing forks"
#define NO_REPLICA "there are no replicas yet"
#define LOOKS_ONLY "it changes what an operator sees at start, nothing else"
#define NO_LUA "there are no scripts yet"
#define NOT_BUILT "what it switches on is not built"
#define ALLOCATOR "it tunes an allocator that is not used here"

static const struct directive accepted[] = {
    ACCEPT("acllog-max-len", "128", NOT_BUILT),
    ACCEPT_ONLY("activedefrag", "no", ALLOCATOR),
    ACCEPT("activerehashing", "yes", "tables always grow in small steps"),
    ACCEPT("always-show-logo", "no", LOOKS_ONLY),
    ACCEPT("aof-load-truncated", "yes", NO_FILES),
    ACCEPT("aof-rewrite-incremental-fsync", "yes", NO_FILES),
    ACCEPT("aof-timestamp-enabled", "no", NO_FILES),
    ACCEPT("aof-use-rdb-preamble", "yes", NO_FILES),
    ACCEPT("appenddirname", "appendonlydir", NO_FILES),
    ACCEPT("appendfilename", "appendonly.aof", NO_FILES),
    ACCEPT("auto-aof-rewrite-min-size", "67108864", NO_FILES),
    ACCEPT("auto-aof-rewrite-percentage", "100", NO_FILES),
    ACCEPT("busy-reply-threshold", "5000", NO_LUA),
    ACCEPT_ONLY("cluster-enabled", "no", "there is no cluster yet"),
    ACCEPT("crash-log-enabled", "yes", LOOKS_ONLY),
    ACCEPT("crash-memcheck-enabled", "yes", LOOKS_ONLY),
    ACCEPT("dbfilename", "dump.rdb", NO_FILES),
    ACCEPT("disable-thp", "yes", NO_FORK),
    ACCEPT("dynamic-hz", "yes", "background work adapts by itself"),
    ACCEPT_ONLY("enable-module-command", "no", NOT_BUILT),
    ACCEPT("io-threads", "1", "the directive workers says how many threads serve clients"),
    ACCEPT("io-threads-do-reads", "no", "every worker reads and writes for its clients"),
    ACCEPT("jemalloc-bg-thread", "yes", ALLOCATOR),
    ACCEPT("latency-monitor-threshold", "0", NOT_BUILT),
    ACCEPT_ONLY("latency-tracking", "yes", "latencies are always tracked"),
    ACCEPT_ONLY("latency-tracking-info-percentiles", "50 99 99.9", "these are always shown"),
    ACCEPT("lazyfree-lazy-eviction", "no", "large values are always freed in slices"),
    ACCEPT("lazyfree-lazy-expire", "no", "large values are always freed in slices"),
    ACCEPT("lazyfree-lazy-server-del", "no", "large values are always freed in slices"),
    ACCEPT("lazyfree-lazy-user-del", "no", "large values are always freed in slices"),
    ACCEPT("lazyfree-lazy-user-flush", "no", "large values are always freed in slices"),
    ACCEPT("list-compress-depth", "0", "lists are not compressed; answers do not depend on it"),
    ACCEPT("lua-time-limit", "5000", NO_LUA),
    ACCEPT_ONLY("maxmemory-clients", "0", NOT_BUILT),
    ACCEPT("no-appendfsync-on-rewrite", "no", NO_FILES),
    ACCEPT_ONLY("notify-keyspace-events", "", "there is no publish and subscribe yet"),
    ACCEPT_ONLY("oom-score-adj", "no", NO_FORK),
    ACCEPT("proc-title-template", "{title} {listen-addr} {server-mode}", LOOKS_ONLY),
    ACCEPT("rdb-del-sync-files", "no", NO_FILES),
    ACCEPT("rdb-save-incremental-fsync", "yes", NO_FILES),
    ACCEPT("rdbchecksum", "yes", NO_FILES),
    ACCEPT("rdbcompression", "yes", NO_FILES),
    ACCEPT("repl-backlog-size", "1048576", NO_REPLICA),
    ACCEPT("repl-disable-tcp-nodelay", "no", NO_REPLICA),
    ACCEPT("repl-diskless-load", "disabled", NO_REPLICA),
    ACCEPT("repl-diskless-sync", "yes", NO_REPLICA),
    ACCEPT("repl-diskless-sync-delay", "5", NO_REPLICA),
    ACCEPT("replica-lazy-flush", "no", NO_REPLICA),
    ACCEPT("replica-priority", "100", NO_REPLICA),
    ACCEPT("replica-read-only", "yes", NO_REPLICA),
    ACCEPT("replica-serve-stale-data", "yes", NO_REPLICA),
    ACCEPT("set-proc-title", "yes", LOOKS_ONLY),
    ACCEPT("slowlog-log-slower-than", "10000", NOT_BUILT),
    ACCEPT("slowlog-max-len", "128", NOT_BUILT),
    ACCEPT("stop-writes-on-bgsave-error", "yes", NO_FILES),
    ACCEPT_ONLY("supervised", "no", NOT_BUILT),
    ACCEPT_ONLY("syslog-enabled", "no", NOT_BUILT),
    ACCEPT_ONLY("tls-port", "0", "there is no TLS yet"),
    ACCEPT("tracking-table-max-keys", "1000000", NOT_BUILT),
};

#define MEANINGFUL_COUNT (sizeof(meaningful) / sizeof(meaningful[0]))
#define ACCEPTED_COUNT (sizeof(accepted) / sizeof(accepted[0]))

/* Both tables in one, by name; accepted rows know their index. */
static struct directive rows[MEANINGFUL_COUNT + ACCEPTED_COUNT];
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

static int row_order(const void *a, const void *b)
{
    return strcmp(((const struct directive *)a)->name, ((const struct directive *)b)->name);
}

static void rows_build(void)
{
    memcpy(rows, meaningful, sizeof(meaningful));
    for (size_t i = 0; i < ACCEPTED_COUNT; i++) {
        rows[MEANINGFUL_COUNT + i] = accepted[i];
        rows[MEANINGFUL_COUNT + i].offset = i;
    }
    qsort(rows, directive_count(), sizeof(rows[0]), row_order);
    for (size_t i = 1; i < directive_count(); i++) {
        CHECK(strcmp(rows[i - 1].name, rows[i].name) != 0);
    }
}

size_t directive_count(void)
{
    return MEANINGFUL_COUNT + ACCEPTED_COUNT;
}

size_t directive_accepted_count(void)
{
    return ACCEPTED_COUNT;
}

const struct directive *directive_at(size_t index)
{
    pthread_once(&rows_once, rows_build);
    CHECK(index < directive_count());
    return &rows[index];
}

const struct directive *directive_find(struct bytes name)
{
    for (size_t i = 0; i < directive_count(); i++) {
        const struct directive *row = directive_at(i);
        if (strlen(row->name) == name.size && strncasecmp(row->name, name.data, name.size) == 0) {
            return row;
        }
    }
    return NULL;
}
