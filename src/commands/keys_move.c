/* Keys that get another name or another database: RENAME, COPY, MOVE.
 *
 * The dispatcher plans keys in the client's database; the second key of COPY and MOVE may lie in
 * another, so these two plan their keys themselves. A plan reads the arguments silently and leaves
 * complaints to the handler, which reads them again.
 *
 * Each makes one effect that carries the content, so the engine makes room in the log by itself.
 */
#include "src/commands/keys_private.h"

#include "src/config/config.h"
#include "src/server.h"

/* Reads keys 0 and 1; both misses are noted at once. */
static enum status peek_both(struct call *call, struct value *from, struct value *to)
{
    enum status first = txn_peek(call->txn, 0, from);
    enum status second = txn_peek(call->txn, 1, to);
    return first != ST_OK ? first : second;
}

static enum status rename_key(struct call *call, bool only_new)
{
    struct value from;
    struct value to = {.type = VALUE_NONE};
    enum status status = only_new ? peek_both(call, &from, &to) : txn_peek(call->txn, 0, &from);
    if (status != ST_OK) {
        return status;
    }
    if (from.type == VALUE_NONE) {
        resp_error(call->out, "ERR no such key");
        return ST_OK;
    }
    bool same = bytes_equal(call->argv[1], call->argv[2]);
    bool taken = only_new && to.type != VALUE_NONE;
    if (!same && !taken) {
        status = txn_rename(call->txn, 0, 1);
    }
    if (status != ST_OK) {
        return status;
    }
    if (only_new) {
        resp_integer(call->out, !taken);
    } else {
        reply_ok(call);
    }
    return ST_OK;
}

enum status keys_rename(struct call *call)
{
    return rename_key(call, false);
}

enum status keys_renamenx(struct call *call)
{
    return rename_key(call, true);
}

/* ------------------------------------------------------------------------------------------
 * Across databases.
 */

/* NULL: a database of that number is there; else the error. */
static const char *database_argument(const struct call *call, struct bytes argument,
                                     unsigned *database_out)
{
    int64_t number;
    if (!bytes_to_int64(argument, &number)) {
        return "ERR value is not an integer or out of range";
    }
    if (number < INT32_MIN || number > INT32_MAX) {
        return "ERR value is out of range, value must between -2147483648 and 2147483647";
    }
    if (number < 0 || number >= config_get(&call->server->config->databases)) {
        return "ERR DB index is out of range";
    }
    *database_out = (unsigned)number;
    return NULL;
}

struct copy_options {
    unsigned database;
    bool replace;
};

/* NULL, or the error. */
static const char *copy_options_read(const struct call *call, struct copy_options *options)
{
    *options = (struct copy_options){.database = call->database};
    for (size_t i = 3; i < call->argc; i++) {
        if (argument_is(call->argv[i], "replace")) {
            options->replace = true;
        } else if (argument_is(call->argv[i], "db") && i + 1 < call->argc) {
            const char *error = database_argument(call, call->argv[++i], &options->database);
            if (error != NULL) {
                return error;
            }
        } else {
            return "ERR syntax error";
        }
    }
    if (options->database == call->database && bytes_equal(call->argv[1], call->argv[2])) {
        return "ERR source and destination objects are the same";
    }
    return NULL;
}

static enum status plan_two(struct call *call, struct bytes from, unsigned database,
                            struct bytes to)
{
    enum status status = call_plan_key(call, call->database, from);
    return status == ST_OK ? call_plan_key(call, database, to) : status;
}

enum status keys_copy_plan(struct call *call)
{
    struct copy_options options;
    if (copy_options_read(call, &options) != NULL) {
        return ST_OK;
    }
    return plan_two(call, call->argv[1], options.database, call->argv[2]);
}

enum status keys_copy(struct call *call)
{
    struct copy_options options;
    const char *error = copy_options_read(call, &options);
    if (error != NULL) {
        resp_error(call->out, error);
        return ST_OK;
    }
    struct value from;
    struct value to;
    enum status status = peek_both(call, &from, &to);
    if (status != ST_OK) {
        return status;
    }
    bool copies = from.type != VALUE_NONE && (to.type == VALUE_NONE || options.replace);
    if (copies) {
        status = txn_copy(call->txn, 0, 1);
    }
    if (status == ST_OK) {
        resp_integer(call->out, copies);
    }
    return status;
}

/* NULL, or the error. */
static const char *move_target(const struct call *call, unsigned *database_out)
{
    const char *error = database_argument(call, call->argv[2], database_out);
    if (error == NULL && *database_out == call->database) {
        error = "ERR source and destination objects are the same";
    }
    return error;
}

enum status keys_move_plan(struct call *call)
{
    unsigned database;
    if (move_target(call, &database) != NULL) {
        return ST_OK;
    }
    return plan_two(call, call->argv[1], database, call->argv[1]);
}

enum status keys_move(struct call *call)
{
    unsigned database;
    const char *error = move_target(call, &database);
    if (error != NULL) {
        resp_error(call->out, error);
        return ST_OK;
    }
    struct value from;
    struct value to;
    enum status status = peek_both(call, &from, &to);
    if (status != ST_OK) {
        return status;
    }
    bool moves = from.type != VALUE_NONE && to.type == VALUE_NONE;
    if (moves) {
        status = txn_rename(call->txn, 0, 1);
    }
    if (status == ST_OK) {
        resp_integer(call->out, moves);
    }
    return status;
}
