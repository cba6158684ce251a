/* CLIENT: the sessions of all workers, seen and changed through the registry. */
#include "src/dispatch/call.h"
#include "src/server.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_SIZE 4096

static enum status client_id(struct call *call)
{
    resp_integer(call->out, (int64_t)call->client->id);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Names.
 */

/* Sets a string of this client to a word from outside, or clears it where that is empty. */
static void set_word(struct call *call, char **field, struct bytes word, const char *what)
{
    if (!argument_is_visible(word)) {
        resp_error_format(call->out,
                          "ERR %s cannot contain spaces, newlines or special characters.", what);
        return;
    }
    if (word.size > CLIENT_NAME_MAX) {
        resp_error_format(call->out, "ERR %s cannot be longer than %d bytes.", what,
                          CLIENT_NAME_MAX);
        return;
    }
    char text[CLIENT_NAME_MAX + 1];
    memcpy(text, word.data, word.size);
    text[word.size] = '\0';
    client_set_string(call->client, field, word.size == 0 ? NULL : text);
    reply_ok(call);
}

static enum status client_setname(struct call *call)
{
    set_word(call, &call->client->name, call->argv[2], "Client names");
    return ST_OK;
}

static enum status client_getname(struct call *call)
{
    const char *name = call->client->name; /* Only its own worker writes it. */
    if (name == NULL) {
        resp_null(call->out);
    } else {
        resp_bulk_text(call->out, name);
    }
    return ST_OK;
}

static enum status client_setinfo(struct call *call)
{
    struct client *client = call->client;
    if (argument_is(call->argv[2], "lib-name")) {
        set_word(call, &client->library_name, call->argv[3], "lib-name");
    } else if (argument_is(call->argv[2], "lib-ver")) {
        set_word(call, &client->library_version, call->argv[3], "lib-ver");
    } else {
        resp_error_format(call->out, "ERR Unrecognized option '%.*s'",
                          (int)(call->argv[2].size < 128 ? call->argv[2].size : 128),
                          (const char *)call->argv[2].data);
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * LIST and INFO.
 */

static void flags_write(const struct client *client, char *text)
{
    size_t used = 0;
    /* By the address, which ends in port 0, since unix_socket belongs to the client's worker. */
    size_t size = strlen(client->address);
    if (size > 2 && strcmp(client->address + size - 2, ":0") == 0) {
        text[used++] = 'U';
    }
    if (atomic_load(&client->no_evict)) {
        text[used++] = 'e';
    }
    if (atomic_load(&client->no_touch)) {
        text[used++] = 'T';
    }
    if (used == 0) {
        text[used++] = 'N';
    }
    text[used] = '\0';
}

/* One line about a client; the registry is locked. Gives its length. */
static size_t line_write(const struct client *client, uint64_t now_ms, char *text)
{
    const struct client_ops *ops = client->ops;
    unsigned long long output = ops->output_memory(client);
    unsigned long long query = ops->query_size(client);
    unsigned long long arguments = atomic_load(&client->argument_memory);
    const struct command *command = atomic_load(&client->last_command);
    char flags[8];
    flags_write(client, flags);
    int64_t last_ms = atomic_load(&client->last_ms);
    long long idle_s =
        (long long)((int64_t)now_ms > last_ms ? (int64_t)now_ms - last_ms : 0) / 1000;
    int size = snprintf(
        text, LINE_MAX_SIZE,
        "id=%llu addr=%s laddr=%s fd=%u name=%s age=%lld idle=%lld flags=%s db=%u sub=0 psub=0 "
        "ssub=0 multi=-1 qbuf=%llu qbuf-free=0 argv-mem=%llu multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 "
        "omem=%llu tot-mem=%llu events=r cmd=%s user=default redir=-1 resp=%d lib-name=%s "
        "lib-ver=%s tot-net-in=%llu tot-net-out=%llu tot-cmds=%llu\n",
        (unsigned long long)client->id, client->address, client->local_address, ops->fd(client),
        client->name == NULL ? "" : client->name,
        (long long)((int64_t)now_ms - client->created_ms) / 1000, idle_s, flags,
        atomic_load(&client->database), query, arguments, output,
        output + query + arguments + (unsigned long long)sizeof(*client),
        command == NULL ? "NULL" : command->full_name, atomic_load(&client->version),
        client->library_name == NULL ? "" : client->library_name,
        client->library_version == NULL ? "" : client->library_version,
        (unsigned long long)atomic_load(&client->total_received),
        (unsigned long long)atomic_load(&client->total_sent),
        (unsigned long long)atomic_load(&client->total_commands));
    return size < 0 ? 0 : size < LINE_MAX_SIZE ? (size_t)size : LINE_MAX_SIZE - 1;
}

struct listing {
    struct call *call;
    const uint64_t *ids; /* NULL: all */
    size_t id_count;
    struct buf text;
    enum status status;
};

static bool list_one(void *ctx, struct client *client)
{
    struct listing *listing = ctx;
    bool wanted = listing->ids == NULL;
    for (size_t i = 0; !wanted && i < listing->id_count; i++) {
        wanted = listing->ids[i] == client->id;
    }
    if (wanted) {
        char line[LINE_MAX_SIZE];
        size_t size = line_write(client, listing->call->now_ms, line);
        listing->status = buf_append(&listing->text, bytes_of(line, size));
    }
    return listing->status == ST_OK;
}

static enum status reply_listing(struct call *call, const uint64_t *ids, size_t id_count)
{
    struct listing listing = {.call = call, .ids = ids, .id_count = id_count};
    /* What the running command has not finished counting yet. */
    atomic_store(&call->client->last_ms, (int64_t)call->now_ms);
    atomic_store(&call->client->last_command, call->command);
    client_walk(call->server, list_one, &listing);
    if (listing.status == ST_OK) {
        resp_verbatim(call->out, "txt", listing.text.data, listing.text.size);
    }
    buf_deinit(&listing.text);
    return listing.status;
}

static enum status client_info(struct call *call)
{
    return reply_listing(call, &call->client->id, 1);
}

enum client_type { TYPE_NORMAL, TYPE_OTHER, TYPE_UNKNOWN };

static enum client_type type_of(struct bytes word)
{
    if (argument_is(word, "normal")) {
        return TYPE_NORMAL;
    }
    if (argument_is(word, "master") || argument_is(word, "slave") || argument_is(word, "replica") ||
        argument_is(word, "pubsub")) {
        return TYPE_OTHER; /* There are none of these yet. */
    }
    return TYPE_UNKNOWN;
}

static void reply_unknown_type(struct call *call, struct bytes word)
{
    resp_error_format(call->out, "ERR Unknown client type '%.*s'",
                      (int)(word.size < ERROR_WORD_MAX ? word.size : ERROR_WORD_MAX),
                      (const char *)word.data);
}

static enum status list_ids(struct call *call)
{
    size_t count = call->argc - 3;
    uint64_t *ids = arena_alloc(call->arena, count * sizeof(*ids));
    if (ids == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t id;
        if (!bytes_to_int64(call->argv[3 + i], &id)) {
            resp_error(call->out, "ERR Invalid client ID");
            return ST_OK;
        }
        ids[i] = id < 0 ? 0 : (uint64_t)id; /* Nobody's. */
    }
    return reply_listing(call, ids, count);
}

static enum status client_list(struct call *call)
{
    if (call->argc == 2) {
        return reply_listing(call, NULL, 0);
    }
    if (call->argc == 4 && argument_is(call->argv[2], "type")) {
        enum client_type type = type_of(call->argv[3]);
        if (type == TYPE_UNKNOWN) {
            reply_unknown_type(call, call->argv[3]);
            return ST_OK;
        }
        uint64_t nobody = 0;
        return reply_listing(call, type == TYPE_NORMAL ? NULL : &nobody, 0);
    }
    if (call->argc > 3 && argument_is(call->argv[2], "id")) {
        return list_ids(call);
    }
    reply_syntax_error(call);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * KILL.
 */

struct kill {
    struct client *self;
    struct bytes address, local_address; /* data NULL: any */
    uint64_t id;                         /* 0: any */
    bool nobody;                         /* A type or user that no client has. */
    bool skip_self;
    uint64_t killed;
};

static bool kill_one(void *ctx, struct client *client)
{
    struct kill *kill = ctx;
    bool spared = kill->nobody || (kill->id != 0 && client->id != kill->id) ||
                  (kill->address.data != NULL &&
                   !bytes_equal(kill->address, bytes_of_text(client->address))) ||
                  (kill->local_address.data != NULL &&
                   !bytes_equal(kill->local_address, bytes_of_text(client->local_address))) ||
                  (kill->skip_self && client == kill->self);
    if (spared) {
        return true;
    }
    kill->killed++;
    if (client == kill->self) {
        client->close_after_reply = true; /* So that it learns of its success. */
    } else {
        client->ops->kill(client);
    }
    return true;
}

/* One filter and its value. False: the error is written. */
static bool kill_filter(struct call *call, struct bytes name, struct bytes value, struct kill *kill)
{
    if (argument_is(name, "id")) {
        int64_t id;
        if (!bytes_to_int64(value, &id) || id < 1) {
            resp_error(call->out, "ERR client-id should be greater than 0");
            return false;
        }
        kill->id = (uint64_t)id;
    } else if (argument_is(name, "type")) {
        enum client_type type = type_of(value);
        if (type == TYPE_UNKNOWN) {
            reply_unknown_type(call, value);
            return false;
        }
        kill->nobody = kill->nobody || type != TYPE_NORMAL;
    } else if (argument_is(name, "addr")) {
        kill->address = value;
    } else if (argument_is(name, "laddr")) {
        kill->local_address = value;
    } else if (argument_is(name, "user")) {
        if (!bytes_equal(value, bytes_of_text("default"))) {
            resp_error_format(call->out, "ERR No such user '%.*s'",
                              (int)(value.size < 128 ? value.size : 128), (const char *)value.data);
            return false;
        }
    } else if (argument_is(name, "skipme") && argument_is(value, "yes")) {
        kill->skip_self = true;
    } else if (argument_is(name, "skipme") && argument_is(value, "no")) {
        kill->skip_self = false;
    } else {
        reply_syntax_error(call);
        return false;
    }
    return true;
}

static enum status client_kill(struct call *call)
{
    struct kill kill = {.self = call->client};
    if (call->argc == 3) { /* The old form. */
        kill.address = call->argv[2];
        client_walk(call->server, kill_one, &kill);
        if (kill.killed == 0) {
            resp_error(call->out, "ERR No such client");
        } else {
            reply_ok(call);
        }
        return ST_OK;
    }
    kill.skip_self = true;
    if (call->argc % 2 != 0) {
        reply_syntax_error(call);
        return ST_OK;
    }
    for (size_t i = 2; i < call->argc; i += 2) {
        if (!kill_filter(call, call->argv[i], call->argv[i + 1], &kill)) {
            return ST_OK;
        }
    }
    client_walk(call->server, kill_one, &kill);
    resp_integer(call->out, (int64_t)kill.killed);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Switches.
 */

static enum status client_reply(struct call *call)
{
    struct client *client = call->client;
    if (argument_is(call->argv[2], "on")) {
        atomic_store(&client->reply, CLIENT_REPLY_ON);
        reply_ok(call);
    } else if (argument_is(call->argv[2], "off")) {
        atomic_store(&client->reply, CLIENT_REPLY_OFF);
        call->no_reply = true;
    } else if (argument_is(call->argv[2], "skip")) {
        if (atomic_load(&client->reply) != CLIENT_REPLY_OFF) {
            atomic_store(&client->reply, CLIENT_REPLY_SKIP_NEXT);
        }
        call->no_reply = true;
    } else {
        reply_syntax_error(call);
    }
    return ST_OK;
}

static void set_switch(struct call *call, _Atomic bool *field)
{
    if (argument_is(call->argv[2], "on")) {
        atomic_store(field, true);
    } else if (argument_is(call->argv[2], "off")) {
        atomic_store(field, false);
    } else {
        reply_syntax_error(call);
        return;
    }
    reply_ok(call);
}

static enum status client_no_evict(struct call *call)
{
    set_switch(call, &call->client->no_evict);
    return ST_OK;
}

static enum status client_no_touch(struct call *call)
{
    set_switch(call, &call->client->no_touch);
    return ST_OK;
}

static enum status client_help(struct call *call)
{
    static const char *const lines[] = {
        "GETNAME",
        "    Tells the name of this connection.",
        "ID",
        "    Tells the number of this connection.",
        "INFO",
        "    Tells what LIST tells, of this connection alone.",
        "KILL <ip:port>",
        "    Closes the connection from that address.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Closes all connections that every option fits. Options:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      The client's address.",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      The server's address.",
        "    * ID <client-id>",
        "      The number of the connection.",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      The kind of connection.",
        "    * USER <username>",
        "      Who authenticated on it.",
        "    * SKIPME (YES|NO)",
        "      Whether this connection is spared (default: yes).",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
        "    Tells about connections, a line each.",
        "NO-EVICT (ON|OFF)",
        "    Keeps this connection when clients are evicted.",
        "NO-TOUCH (ON|OFF)",
        "    Lets reads on this connection leave the age of keys alone.",
        "REPLY (ON|OFF|SKIP)",
        "    Says whether this connection gets replies.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Says which library speaks.",
        "SETNAME <name>",
        "    Names this connection.",
        NULL,
    };
    reply_help(call, lines);
    return ST_OK;
}

static const char *const nondeterministic[] = {"nondeterministic_output", NULL};

#define OWN_FLAGS (CMD_NOSCRIPT | CMD_LOADING | CMD_STALE)
#define OWN_CATEGORIES (CAT_SLOW | CAT_CONNECTION)
#define ADMIN_FLAGS (OWN_FLAGS | CMD_ADMIN)
#define ADMIN_CATEGORIES (OWN_CATEGORIES | CAT_ADMIN | CAT_DANGEROUS)

#define OWN(text, function, count, version)                                                        \
    .name = (text), .handler = (function), .arity = (count), .flags = OWN_FLAGS,                   \
    .categories = OWN_CATEGORIES, .group = "connection", .since = (version), .complexity = "O(1)"
#define ADMIN(text, function, count, version)                                                      \
    .name = (text), .handler = (function), .arity = (count), .flags = ADMIN_FLAGS,                 \
    .categories = ADMIN_CATEGORIES, .group = "connection", .since = (version)

static const struct command client_subcommands[] = {
    {OWN("getname", client_getname, 2, "2.6.9"), .summary = "Tells the connection's name."},
    {.name = "help",
     .handler = client_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = OWN_CATEGORIES,
     .group = "connection",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Tells what CLIENT can do."},
    {OWN("id", client_id, 2, "5.0.0"), .summary = "Tells the connection's number."},
    {OWN("info", client_info, 2, "6.2.0"), .summary = "Tells about this connection.",
     .tips = nondeterministic},
    {ADMIN("kill", client_kill, -3, "2.4.0"), .complexity = "O(N) with N connections",
     .summary = "Closes connections.",
     .arguments =
         "<ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] "
         "| [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME yes/no] ...>>"},
    {ADMIN("list", client_list, -2, "2.4.0"), .complexity = "O(N) with N connections",
     .summary = "Tells about connections, a line each.",
     .arguments = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
     .tips = nondeterministic},
    {ADMIN("no-evict", client_no_evict, 3, "7.0.0"), .complexity = "O(1)",
     .summary = "Keeps this connection when clients are evicted.", .arguments = "<ON | OFF>"},
    {OWN("no-touch", client_no_touch, 3, "7.2.0"),
     .summary = "Lets this connection's reads leave the age of keys alone.",
     .arguments = "<ON | OFF>"},
    {OWN("reply", client_reply, 3, "3.2.0"), .summary = "Says whether the client gets replies.",
     .arguments = "<ON | OFF | SKIP>"},
    {OWN("setinfo", client_setinfo, 4, "7.2.0"), .summary = "Says which library speaks.",
     .arguments = "<LIB-NAME libname | LIB-VER libver>"},
    {OWN("setname", client_setname, 3, "2.6.9"), .summary = "Names the connection.",
     .arguments = "connection-name"},
    {.name = NULL},
};

const struct command clients_commands[] = {
    {.name = "client",
     .arity = -2,
     .categories = CAT_SLOW,
     .group = "connection",
     .since = "2.4.0",
     .complexity = "Depends on the subcommand.",
     .summary = "Holds commands about connections.",
     .subcommands = client_subcommands},
    {.name = NULL},
};
