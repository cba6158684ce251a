/* Commands about the connection itself: who speaks, in which protocol, on which database. */
#include "src/config/config.h"
#include "src/dispatch/call.h"
#include "src/server.h"

/* ------------------------------------------------------------------------------------------
 * AUTH, HELLO.
 */

/* False: the error is written. There is one user, "default". */
static bool authenticate(struct call *call, struct bytes user, struct bytes password)
{
    struct config *config = call->server->config;
    bool open = config_get(&config->password_set) == 0;
    if (!bytes_equal(user, bytes_of_text("default")) ||
        (!open && !config_password_matches(config, password))) {
        resp_error(call->out, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    call->client->authenticated = true;
    return true;
}

static enum status auth(struct call *call)
{
    if (call->argc > 3) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (call->argc == 2 && config_get(&call->server->config->password_set) == 0) {
        resp_error(call->out, "ERR AUTH <password> called without any password configured for the "
                              "default user. Are you sure your configuration is correct?");
        return ST_OK;
    }
    struct bytes user = call->argc == 3 ? call->argv[1] : bytes_of_text("default");
    if (authenticate(call, user, call->argv[call->argc - 1])) {
        reply_ok(call);
    }
    return ST_OK;
}

static void reply_hello(struct call *call)
{
    resp_map(call->out, 7);
    resp_bulk_text(call->out, "server");
    resp_bulk_text(call->out, "redis");
    resp_bulk_text(call->out, "version");
    resp_bulk_text(call->out, BASIN_REDIS_VERSION);
    resp_bulk_text(call->out, "proto");
    resp_integer(call->out, call->out->version);
    resp_bulk_text(call->out, "id");
    resp_integer(call->out, (int64_t)call->client->id);
    resp_bulk_text(call->out, "mode");
    resp_bulk_text(call->out, "standalone");
    resp_bulk_text(call->out, "role");
    resp_bulk_text(call->out, "master");
    resp_bulk_text(call->out, "modules");
    resp_array(call->out, 0);
}

struct hello {
    int version;
    struct bytes name; /* data NULL: none given. */
};

/* Obeys AUTH as it reads, and notes the rest. False: the error is written. */
static bool hello_options(struct call *call, struct hello *hello)
{
    for (size_t i = 2; i < call->argc; i++) {
        size_t left = call->argc - 1 - i;
        if (argument_is(call->argv[i], "auth") && left >= 2) {
            if (!authenticate(call, call->argv[i + 1], call->argv[i + 2])) {
                return false;
            }
            i += 2;
        } else if (argument_is(call->argv[i], "setname") && left >= 1) {
            hello->name = call->argv[i + 1];
            if (!argument_is_visible(hello->name) || hello->name.size > CLIENT_NAME_MAX) {
                resp_error(call->out, "ERR Client names cannot contain spaces, newlines or "
                                      "special characters.");
                return false;
            }
            i++;
        } else {
            resp_error_format(
                call->out, "ERR Syntax error in HELLO option '%.*s'",
                (int)(call->argv[i].size < ERROR_WORD_MAX ? call->argv[i].size : ERROR_WORD_MAX),
                (const char *)call->argv[i].data);
            return false;
        }
    }
    return true;
}

static void set_name(struct client *client, struct bytes name)
{
    char text[CLIENT_NAME_MAX + 1];
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    client_set_string(client, &client->name, name.size == 0 ? NULL : text);
}

static enum status hello_command(struct call *call)
{
    struct client *client = call->client;
    struct hello hello = {.version = call->out->version};
    if (call->argc > 1) {
        int64_t version;
        if (!bytes_to_int64(call->argv[1], &version)) {
            resp_error(call->out, "ERR Protocol version is not an integer or out of range");
            return ST_OK;
        }
        if (version != 2 && version != 3) {
            resp_error(call->out, "NOPROTO unsupported protocol version");
            return ST_OK;
        }
        hello.version = (int)version;
    }
    if (!hello_options(call, &hello)) {
        return ST_OK;
    }
    if (!client->authenticated && config_get(&call->server->config->password_set) != 0) {
        resp_error(call->out,
                   "NOAUTH HELLO must be called with the client already authenticated, otherwise "
                   "the HELLO AUTH <user> <pass> option can be used to authenticate the client "
                   "and select the RESP protocol version at the same time");
        return ST_OK;
    }
    if (hello.name.data != NULL) {
        set_name(client, hello.name);
    }
    call->out->version = hello.version;
    atomic_store(&client->version, hello.version);
    reply_hello(call);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * The rest.
 */

static enum status ping(struct call *call)
{
    if (call->argc > 2) {
        resp_error(call->out, "ERR wrong number of arguments for 'ping' command");
    } else if (call->argc == 2) {
        resp_bulk(call->out, call->argv[1].data, call->argv[1].size);
    } else {
        resp_raw(call->out, "+PONG\r\n", 7);
    }
    return ST_OK;
}

static enum status echo(struct call *call)
{
    resp_bulk(call->out, call->argv[1].data, call->argv[1].size);
    return ST_OK;
}

static enum status quit(struct call *call)
{
    reply_ok(call);
    call->client->close_after_reply = true;
    return ST_OK;
}

static enum status reset(struct call *call)
{
    client_reset(call->client);
    resp_simple(call->out, "RESET");
    return ST_OK;
}

static enum status select_command(struct call *call)
{
    int64_t database;
    if (!argument_int64(call, call->argv[1], &database)) {
        return ST_OK;
    }
    if (database < INT32_MIN || database > INT32_MAX) {
        resp_error_format(call->out, "ERR value is out of range, value must between %d and %d",
                          INT32_MIN, INT32_MAX);
        return ST_OK;
    }
    if (database < 0 || database >= BASIN_DATABASES) {
        resp_error(call->out, "ERR DB index is out of range");
        return ST_OK;
    }
    atomic_store(&call->client->database, (unsigned)database);
    reply_ok(call);
    return ST_OK;
}

static const char *const ping_tips[] = {"request_policy:all_shards",
                                        "response_policy:all_succeeded", NULL};

#define SESSION_FLAGS                                                                              \
    (CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY)

const struct command connection_commands[] = {
    {.name = "auth",
     .handler = auth,
     .arity = -2,
     .flags = SESSION_FLAGS,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Proves who the client is.",
     .arguments = "[username] password"},
    {.name = "echo",
     .handler = echo,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Answers with its argument.",
     .arguments = "message"},
    {.name = "hello",
     .handler = hello_command,
     .arity = -1,
     .flags = SESSION_FLAGS,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "6.0.0",
     .complexity = "O(1)",
     .summary = "Agrees on the protocol version, and may authenticate and name the client.",
     .arguments = "[protover [AUTH username password] [SETNAME clientname]]"},
    {.name = "ping",
     .handler = ping,
     .arity = -1,
     .flags = CMD_FAST,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Answers PONG, or its argument.",
     .arguments = "[message]",
     .tips = ping_tips},
    {.name = "quit",
     .handler = quit,
     .arity = -1,
     .flags = SESSION_FLAGS,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Closes the connection once all replies are sent."},
    {.name = "reset",
     .handler = reset,
     .arity = 1,
     .flags = SESSION_FLAGS,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Brings the session back to how a connection begins."},
    {.name = "select",
     .handler = select_command,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CAT_FAST | CAT_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Changes the database that the connection works on.",
     .arguments = "index"},
    {.name = NULL},
};
