/* What lies on disk and in the shards, having it settled and merged, and copied: for operators and
 * tests.
 *
 * BASIN.SETTLE, BASIN.COMPACT and BASIN.BACKUP only ask: the engine's own threads do the work. The
 * call parks and looks, again and again, whether it is done, so that a client that goes away leaves
 * nobody waiting. */
#include "src/dispatch/call.h"
#include "src/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A parked call looks this often whether its round or pass has ended. */
#define LOOK_MS 5

static void put_count(struct call *call, const char *name, uint64_t value)
{
    resp_bulk_text(call->out, name);
    resp_integer(call->out, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

/* ------------------------------------------------------------------------------------------
 * BASIN.SHARDS, BASIN.STRATA: an array of maps, which RESP2 shows as flat arrays.
 */

#define SHARD_FIELDS 6

static enum status shards(struct call *call)
{
    struct basin *basin = call->server->basin;
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    resp_array(call->out, stats.shards);
    for (unsigned i = 0; i < stats.shards; i++) {
        struct basin_shard shard;
        basin_get_shard(basin, i, &shard);
        resp_map(call->out, SHARD_FIELDS);
        put_count(call, "index", i);
        put_count(call, "partitions", shard.partitions);
        put_count(call, "keys", shard.keys);
        put_count(call, "memory", shard.memory);
        put_count(call, "last-lsn", shard.last_lsn);
        put_count(call, "lock-waits", shard.lock_waits);
    }
    return ST_OK;
}

#define STRATUM_FIELDS 14

static void put_stratum(struct call *call, const struct basin_stratum *stratum)
{
    char id[9];
    uint64_t dead = stratum->grain_bytes - stratum->live_bytes;
    bool keys = stratum->greatest_lsn >= stratum->least_lsn;
    bool serves = stratum->partitions > 0;
    snprintf(id, sizeof(id), "%08x", stratum->id);
    resp_map(call->out, STRATUM_FIELDS);
    resp_bulk_text(call->out, "id"); /* As its file is called. */
    resp_bulk_text(call->out, id);
    put_count(call, "file-bytes", stratum->file_bytes);
    put_count(call, "grain-bytes", stratum->grain_bytes);
    put_count(call, "live-bytes", stratum->live_bytes);
    put_count(call, "dead-percent",
              stratum->grain_bytes == 0 ? 0 : dead * 100 / stratum->grain_bytes);
    put_count(call, "index-bytes", stratum->index_bytes);
    put_count(call, "grains", stratum->grains);
    put_count(call, "rows", stratum->rows);
    put_count(call, "partitions", stratum->partitions);
    put_count(call, "first-partition", serves ? stratum->first_partition : 0);
    put_count(call, "last-partition", serves ? stratum->last_partition : 0);
    put_count(call, "least-lsn", keys ? stratum->least_lsn : 0);
    put_count(call, "greatest-lsn", stratum->greatest_lsn);
    put_count(call, "bare", stratum->bare);
}

static enum status strata(struct call *call)
{
    struct basin_stratum *list = NULL;
    size_t count = 0;
    enum status status = basin_get_strata(call->server->basin, &list, &count);
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        put_stratum(call, &list[i]);
    }
    free(list);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * BASIN.SETTLE, BASIN.COMPACT.
 */

/* The reply, or another look later. */
static enum status answer(struct call *call, enum status status)
{
    if (status == ST_WAIT) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        call_park(call, UINT64_MAX, now_ms + LOOK_MS);
    } else if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

static enum status settle(struct call *call)
{
    struct basin *basin = call->server->basin;
    if (call->retries == 0) {
        call->awaited = basin_settle_ask(basin);
    }
    return answer(call, basin_settle_asked(basin, call->awaited));
}

static enum status compact(struct call *call)
{
    struct basin *basin = call->server->basin;
    if (call->retries == 0) {
        call->awaited = basin_compact_ask(basin);
    }
    return answer(call, basin_compact_asked(basin, call->awaited));
}

/* ------------------------------------------------------------------------------------------
 * BASIN.BACKUP.
 */

#define PATH_SIZE 4096

static enum status backup_failed(struct call *call, enum status status, const char *fault)
{
    const char *more = "";
    if (status == ST_FULL) {
        more = ": disk full";
    } else if (status == ST_IO || status == ST_CORRUPT) {
        more = "; the server's log tells more";
    }
    resp_error_format(call->out, "ERR no backup was made: %s%s", fault, more);
    return ST_OK;
}

static enum status backup(struct call *call)
{
    struct basin *basin = call->server->basin;
    const char *fault = NULL;
    enum status status = ST_OK;
    if (call->retries == 0) {
        char path[PATH_SIZE];
        struct bytes dir = call->argv[1];
        if (dir.size >= sizeof(path) || memchr(dir.data, 0, dir.size) != NULL) {
            return backup_failed(call, ST_INVALID, "no directory can be called so");
        }
        memcpy(path, dir.data, dir.size);
        path[dir.size] = '\0';
        status = basin_backup_ask(basin, path, &call->awaited, &fault);
    }
    if (status == ST_OK) {
        status = basin_backup_asked(basin, call->awaited, &fault);
    }
    bool ended = status != ST_OK && status != ST_WAIT;
    return ended ? backup_failed(call, status, fault) : answer(call, status);
}

static const char *const figures_tips[] = {"nondeterministic_output", NULL};

const struct command storage_commands[] = {
    {.name = "basin.backup",
     .handler = backup,
     .arity = 2,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
     .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "0.1.0",
     .complexity = "O(N) with N files on disk; with their bytes, on another file system",
     .summary = "Copies the store as it is now to a directory, and waits until that is durable.",
     .arguments = "directory"},
    {.name = "basin.compact",
     .handler = compact,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
     .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "0.1.0",
     .complexity = "O(N) with N rows on disk",
     .summary = "Merges all that lies on disk and frees what is dead, and waits until it is done."},
    {.name = "basin.settle",
     .handler = settle,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
     .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "0.1.0",
     .complexity = "O(N) with N keys in memory",
     .summary = "Moves all that was written from the log into strata, and waits until it is done."},
    {.name = "basin.shards",
     .handler = shards,
     .arity = 1,
     .flags = CMD_READONLY | CMD_ADMIN | CMD_LOADING | CMD_STALE,
     .categories = CAT_READ | CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "0.1.0",
     .complexity = "O(N) with N shards",
     .summary = "Tells of each shard its keys, its memory and how often it was waited for.",
     .tips = figures_tips},
    {.name = "basin.strata",
     .handler = strata,
     .arity = 1,
     .flags = CMD_READONLY | CMD_ADMIN | CMD_LOADING | CMD_STALE,
     .categories = CAT_READ | CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "0.1.0",
     .complexity = "O(N) with N files",
     .summary = "Tells of each file on disk what it holds and how much of that is dead.",
     .tips = figures_tips},
    {.name = NULL},
};
