/* What is safe by now, and waiting for it.
 *
 * There is no RDB file to save: every write is in the log. So SAVE means "all that was written
 * before is on disk": it parks until the log is synced to where it ended when SAVE came. With
 * appendfsync always that happens by itself; otherwise a thread of its own syncs the log, one at a
 * time, since a worker may not block. */
#include "src/config/config.h"
#include "src/dispatch/call.h"
#include "src/server.h"

#include <time.h>

/* A parked call looks this often whether the log has died. */
#define LOOK_MS 1000

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------------------
 * The thread.
 */

static void *sync_run(void *ctx)
{
    struct server *server = ctx;
    if (basin_sync(server->basin) == ST_OK) {
        atomic_store(&server->last_save_ms, (int64_t)wall_ms());
    }
    atomic_fetch_sub(&server->syncs, 1);
    return NULL;
}

/* Has the log synced in the background. A sync that runs already may have begun too early, so up to
 * two run at once: the second begins after this call. */
static bool sync_begin(struct server *server)
{
    unsigned running = atomic_load(&server->syncs);
    do {
        if (running >= 2) {
            return true;
        }
    } while (!atomic_compare_exchange_weak(&server->syncs, &running, running + 1));
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, sync_run, server);
    pthread_attr_destroy(&attributes);
    if (failed != 0) {
        atomic_fetch_sub(&server->syncs, 1);
    }
    return failed == 0;
}

static bool is_memory_only(const struct call *call)
{
    return config_get(&call->server->config->appendonly) == 0;
}

static bool syncs_by_itself(const struct call *call)
{
    return config_get(&call->server->config->appendfsync) == WLOG_SYNC_ALWAYS;
}

/* ------------------------------------------------------------------------------------------
 * SAVE, BGSAVE, LASTSAVE.
 */

static void reply_memory_only(struct call *call)
{
    resp_error(call->out, "ERR nothing is kept on disk: the server runs with appendonly no");
}

static enum status save(struct call *call)
{
    struct basin *basin = call->server->basin;
    if (is_memory_only(call)) {
        reply_memory_only(call);
        return ST_OK;
    }
    if (basin_dead(basin)) {
        return ST_IO;
    }
    bool first = call->retries == 0;
    uint64_t lsn = first ? basin_end(basin) : call->park_lsn;
    if (basin_synced(basin) >= lsn) {
        atomic_store(&call->server->last_save_ms, (int64_t)wall_ms());
        reply_ok(call);
        return ST_OK;
    }
    if (syncs_by_itself(call)) {
        basin_flush(basin);
    } else if (!sync_begin(call->server)) {
        return ST_NOMEM;
    }
    call_park(call, lsn, wall_ms() + LOOK_MS);
    return ST_WAIT;
}

static enum status bgsave(struct call *call)
{
    if (call->argc > 2 || (call->argc == 2 && !argument_is(call->argv[1], "schedule"))) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (is_memory_only(call)) {
        reply_memory_only(call);
        return ST_OK;
    }
    if (basin_dead(call->server->basin)) {
        return ST_IO;
    }
    if (!sync_begin(call->server)) {
        return ST_NOMEM;
    }
    resp_simple(call->out, "Background saving started");
    return ST_OK;
}

static enum status lastsave(struct call *call)
{
    resp_integer(call->out, atomic_load(&call->server->last_save_ms) / 1000);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * WAIT, WAITAOF. There are no replicas yet, so whoever waits for one waits for the timeout.
 */

/* The earlier of the timeout and the next look; a parked call comes back then. */
static void park_until(struct call *call, uint64_t lsn, uint64_t until_ms)
{
    uint64_t look_ms = wall_ms() + LOOK_MS;
    call_park(call, lsn, until_ms != 0 && until_ms < look_ms ? until_ms : look_ms);
}

static bool is_over(const struct call *call, uint64_t until_ms)
{
    return call->retries > 0 && until_ms != 0 && wall_ms() >= until_ms;
}

static enum status wait_command(struct call *call)
{
    int64_t replicas;
    uint64_t until_ms;
    if (!argument_int64(call, call->argv[1], &replicas) ||
        !argument_timeout_ms(call, call->argv[2], &until_ms)) {
        return ST_OK;
    }
    if (replicas <= 0 || is_over(call, until_ms)) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    call_park(call, UINT64_MAX, until_ms);
    return ST_WAIT;
}

static enum status waitaof(struct call *call)
{
    int64_t local;
    int64_t replicas;
    uint64_t until_ms;
    if (!argument_int64_range(call, call->argv[1], 0, 1,
                              "ERR value is out of range, value must between 0 and 1", &local) ||
        !argument_int64_range(call, call->argv[2], 0, INT64_MAX,
                              "ERR value is out of range, must be positive", &replicas) ||
        !argument_timeout_ms(call, call->argv[3], &until_ms)) {
        return ST_OK;
    }
    if (local > 0 && is_memory_only(call)) {
        resp_error(call->out,
                   "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
        return ST_OK;
    }
    struct basin *basin = call->server->basin;
    uint64_t lsn = call->client->last_write_lsn;
    bool synced = !is_memory_only(call) && basin_synced(basin) >= lsn;
    if ((local == 0 || synced) && replicas == 0) {
        goto reply;
    }
    if (is_over(call, until_ms)) {
        goto reply;
    }
    if (local > 0 && !synced) {
        if (basin_dead(basin)) {
            return ST_IO;
        }
        if (!syncs_by_itself(call) && !sync_begin(call->server)) {
            return ST_NOMEM;
        }
        park_until(call, lsn, until_ms);
    } else {
        call_park(call, UINT64_MAX, until_ms);
    }
    return ST_WAIT;

reply:
    resp_array(call->out, 2);
    resp_integer(call->out, synced ? 1 : 0);
    resp_integer(call->out, 0);
    return ST_OK;
}

static const char *const lastsave_tips[] = {"nondeterministic_output", NULL};
static const char *const wait_tips[] = {"request_policy:all_shards", "response_policy:agg_min",
                                        NULL};

const struct command durability_commands[] = {
    {.name = "bgsave",
     .handler = bgsave,
     .arity = -1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING,
     .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Has all that was written synced to disk, and does not wait.",
     .arguments = "[SCHEDULE]"},
    {.name = "lastsave",
     .handler = lastsave,
     .arity = 1,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CAT_ADMIN | CAT_FAST | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Tells when SAVE or BGSAVE last succeeded, as Unix time.",
     .tips = lastsave_tips},
    {.name = "save",
     .handler = save,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
     .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Waits until all that was written is on disk."},
    {.name = "wait",
     .handler = wait_command,
     .arity = 3,
     .flags = CMD_NOSCRIPT,
     .categories = CAT_SLOW | CAT_CONNECTION,
     .group = "generic",
     .since = "3.0.0",
     .complexity = "O(1)",
     .summary = "Waits until replicas have this connection's writes, and tells how many do.",
     .arguments = "numreplicas timeout",
     .tips = wait_tips},
    {.name = "waitaof",
     .handler = waitaof,
     .arity = 4,
     .flags = CMD_NOSCRIPT,
     .categories = CAT_SLOW | CAT_CONNECTION,
     .group = "generic",
     .since = "7.2.0",
     .complexity = "O(1)",
     .summary = "Waits until this connection's writes are on disk, here and at replicas.",
     .arguments = "numlocal numreplicas timeout",
     .tips = wait_tips},
    {.name = NULL},
};
