/* Commands about the server as a whole: CONFIG, INFO, DEBUG, SHUTDOWN, TIME, ROLE. */
#include "src/config/config.h"
#include "src/dispatch/call.h"
#include "src/server.h"
#include "src/stats/stats.h"

#include "engine/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ------------------------------------------------------------------------------------------
 * CONFIG.
 */

static void count_one(void *ctx, const char *name, const char *value)
{
    (void)name;
    (void)value;
    (*(uint64_t *)ctx)++;
}

static void show_one(void *ctx, const char *name, const char *value)
{
    struct call *call = ctx;
    resp_bulk_text(call->out, name);
    resp_bulk_text(call->out, value);
}

static enum status config_get_command(struct call *call)
{
    struct config *config = call->server->config;
    uint64_t count = 0;
    config_match(config, call->argv + 2, call->argc - 2, count_one, &count);
    resp_map(call->out, count);
    config_match(config, call->argv + 2, call->argc - 2, show_one, call);
    return ST_OK;
}

static enum status config_set_command(struct call *call)
{
    char error[CONFIG_ERROR_MAX];
    if (call->argc % 2 != 0) {
        resp_error(call->out, "ERR wrong number of arguments for 'config|set' command");
        return ST_OK;
    }
    if (config_set(call->server->config, call->server, call->argv + 2, (call->argc - 2) / 2,
                   error)) {
        reply_ok(call);
    } else {
        resp_error_format(call->out, "ERR %s", error);
    }
    return ST_OK;
}

static enum status config_rewrite_command(struct call *call)
{
    char error[CONFIG_ERROR_MAX];
    if (config_rewrite(call->server->config, error)) {
        log_line(LOG_NOTICE, "CONFIG REWRITE: %s was written anew", call->server->config->file);
        reply_ok(call);
    } else {
        resp_error_format(call->out, "ERR %s", error);
    }
    return ST_OK;
}

static enum status config_resetstat_command(struct call *call)
{
    stats_reset(call->server);
    reply_ok(call);
    return ST_OK;
}

static enum status config_help(struct call *call)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    Tells directives whose name matches a pattern, with their values.",
        "RESETSTAT",
        "    Starts the counters that INFO shows anew.",
        "REWRITE",
        "    Writes the values of now to the configuration file.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Changes directives, all of them or none.",
        NULL,
    };
    reply_help(call, lines);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * INFO.
 */

static enum status info(struct call *call)
{
    struct buf text = BUF_EMPTY;
    enum status status = info_write(call->server, call->argv + 1, call->argc - 1, &text);
    if (status == ST_OK) {
        resp_verbatim(call->out, "txt", text.data, text.size);
    }
    buf_deinit(&text);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * DEBUG. SLEEP holds up its own client and nobody else.
 */

static bool is_local(const struct client *client)
{
    const char *address = client->address;
    return client->unix_socket || strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "[::1]:", 6) == 0 || strncmp(address, "::1:", 4) == 0 ||
           strncmp(address, "[::ffff:127.", 12) == 0;
}

static bool debug_allowed(const struct call *call)
{
    int64_t mode = config_get(&call->server->config->enable_debug_command);
    return mode == CONFIG_DEBUG_YES || (mode == CONFIG_DEBUG_LOCAL && is_local(call->client));
}

static enum status debug_sleep(struct call *call)
{
    char text[64];
    size_t size = call->argv[2].size;
    size = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, call->argv[2].data, size);
    text[size] = '\0';
    double seconds = strtod(text, NULL);
    if (call->park_over || !(seconds > 0)) {
        reply_ok(call);
        return ST_OK;
    }
    double ms = seconds * 1000 + 0.999;
    call_park(call, UINT64_MAX, call->now_ms + (ms < 1e15 ? (uint64_t)ms : (uint64_t)1e15));
    return ST_WAIT;
}

static enum status debug(struct call *call)
{
    static const char *const lines[] = {
        "SLEEP <seconds>",
        "    Answers after that time, a decimal fraction if need be; other clients go on.",
        NULL,
    };
    if (!debug_allowed(call)) {
        resp_error(call->out,
                   "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
                   "\"local\", you can run it from a local connection, otherwise you need to set "
                   "this option in the configuration file, and then restart the server.");
        return ST_OK;
    }
    if (call->argc == 3 && argument_is(call->argv[1], "sleep")) {
        return debug_sleep(call);
    }
    if (call->argc == 2 && argument_is(call->argv[1], "help")) {
        reply_help(call, lines);
        return ST_OK;
    }
    resp_error_format(call->out,
                      "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG "
                      "HELP.",
                      (int)(call->argv[1].size < 128 ? call->argv[1].size : 128),
                      (const char *)call->argv[1].data);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * SHUTDOWN. All that was acknowledged is on disk or will be once the store closes, so saving or not
 * makes no difference; the words are read and judged all the same.
 */

struct shutdown {
    bool nosave, save, now, force, abort;
};

static bool shutdown_parse(struct call *call, struct shutdown *shutdown)
{
    for (size_t i = 1; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        if (argument_is(word, "nosave")) {
            shutdown->nosave = true;
        } else if (argument_is(word, "save")) {
            shutdown->save = true;
        } else if (argument_is(word, "now")) {
            shutdown->now = true;
        } else if (argument_is(word, "force")) {
            shutdown->force = true;
        } else if (argument_is(word, "abort")) {
            shutdown->abort = true;
        } else {
            return false;
        }
    }
    return !(shutdown->save && shutdown->nosave) && !(shutdown->abort && call->argc > 2);
}

static enum status shutdown_command(struct call *call)
{
    struct shutdown shutdown = {0};
    if (!shutdown_parse(call, &shutdown)) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (shutdown.abort) { /* A stop that has begun ends in milliseconds and is not taken back. */
        resp_error(call->out, "ERR No shutdown in progress.");
        return ST_OK;
    }
    log_line(LOG_NOTICE, "SHUTDOWN asked for by client %llu (%s)",
             (unsigned long long)call->client->id, call->client->address);
    call->no_reply = true;
    call->server->stop(call->server);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * TIME, ROLE.
 */

static enum status time_command(struct call *call)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    resp_array(call->out, 2);
    resp_bulk_integer(call->out, now.tv_sec);
    resp_bulk_integer(call->out, now.tv_nsec / 1000);
    return ST_OK;
}

static enum status role(struct call *call)
{
    resp_array(call->out, 3);
    resp_bulk_text(call->out, "master");
    resp_integer(call->out, 0);
    resp_array(call->out, 0);
    return ST_OK;
}

static const char *const nondeterministic[] = {"nondeterministic_output", NULL};
static const char *const info_tips[] = {"nondeterministic_output", "request_policy:all_shards",
                                        "response_policy:special", NULL};
static const char *const config_set_tips[] = {"request_policy:all_nodes",
                                              "response_policy:all_succeeded", NULL};

#define ADMIN(text, function, count, version)                                                      \
    .name = (text), .handler = (function), .arity = (count),                                       \
    .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,                                   \
    .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS, .group = "server", .since = (version)

static const struct command config_subcommands[] = {
    {ADMIN("get", config_get_command, -3, "2.0.0"),
     .complexity = "O(N*M) with N directives and M patterns",
     .summary = "Tells directives and their values.", .arguments = "parameter [parameter ...]"},
    {.name = "help",
     .handler = config_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CAT_SLOW,
     .group = "server",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Tells what CONFIG can do."},
    {ADMIN("resetstat", config_resetstat_command, 2, "2.0.0"), .complexity = "O(1)",
     .summary = "Starts the counters of INFO anew."},
    {ADMIN("rewrite", config_rewrite_command, 2, "2.8.0"), .complexity = "O(1)",
     .summary = "Writes the values of now to the configuration file."},
    {ADMIN("set", config_set_command, -4, "2.0.0"), .complexity = "O(N) with N directives given",
     .summary = "Changes directives, all of them or none.",
     .arguments = "parameter value [parameter value ...]", .tips = config_set_tips},
    {.name = NULL},
};

const struct command administration_commands[] = {
    {.name = "config",
     .arity = -2,
     .categories = CAT_SLOW,
     .group = "server",
     .since = "2.0.0",
     .complexity = "Depends on the subcommand.",
     .summary = "Holds commands about directives.",
     .subcommands = config_subcommands},
    {ADMIN("debug", debug, -2, "1.0.0"), .complexity = "Depends on the subcommand.",
     .summary = "Helps with tests of the server.", .arguments = "SLEEP seconds"},
    {.name = "info",
     .handler = info,
     .arity = -1,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Tells how the server is, in sections.",
     .arguments = "[section [section ...]]",
     .tips = info_tips},
    {.name = "role",
     .handler = role,
     .arity = 1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CAT_ADMIN | CAT_FAST | CAT_DANGEROUS,
     .group = "server",
     .since = "2.8.12",
     .complexity = "O(1)",
     .summary = "Tells the server's part in replication."},
    {.name = "shutdown",
     .handler = shutdown_command,
     .arity = -1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_NO_MULTI | CMD_ALLOW_BUSY,
     .categories = CAT_ADMIN | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Ends the server once all is on disk.",
     .arguments = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"},
    {.name = "time",
     .handler = time_command,
     .arity = 1,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CAT_FAST,
     .group = "server",
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Tells the server's time, in seconds and microseconds.",
     .tips = nondeterministic},
    {.name = NULL},
};
