/* Commands about whole databases. All of them run with every shard locked (CMD_WHOLE). */
#include "engine/base/glob.h"
#include "src/commands/keys_private.h"

#include "src/config/config.h"
#include "src/server.h"

#define SCAN_COUNT_DEFAULT 10

/* ------------------------------------------------------------------------------------------
 * Walking.
 */

/* What a walk keeps. Names are lent by the store while its shards are locked. */
struct gathering {
    struct bytes pattern;
    bool everything; /* The pattern matches all. */
    bool typed;
    enum value_type type; /* VALUE_NONE: a type that no key has. */
    struct buf names;     /* struct bytes */
    size_t count;
    enum status status;
};

static bool gather(void *ctx, const struct txn_scan_key *key)
{
    struct gathering *gathering = ctx;
    if (gathering->typed && gathering->type != key->type) {
        return true;
    }
    if (!gathering->everything && !glob_match(gathering->pattern, key->name, false)) {
        return true;
    }
    gathering->status = buf_append(&gathering->names, bytes_of(&key->name, sizeof(key->name)));
    gathering->count += gathering->status == ST_OK;
    return gathering->status == ST_OK;
}

static struct gathering gathering_of(struct bytes pattern)
{
    return (struct gathering){
        .pattern = pattern,
        .everything = bytes_equal(pattern, bytes_of("*", 1)),
        .names = BUF_EMPTY,
    };
}

static void reply_names(struct call *call, const struct gathering *gathering)
{
    resp_array(call->out, gathering->count);
    const struct bytes *names = (const struct bytes *)(const void *)gathering->names.data;
    for (size_t i = 0; i < gathering->count; i++) {
        resp_bulk(call->out, names[i].data, names[i].size);
    }
}

enum status keys_keys(struct call *call)
{
    struct gathering gathering = gathering_of(call->argv[1]);
    uint64_t cursor;
    enum status status =
        txn_scan(call->txn, call->database, 0, UINT64_MAX, gather, &gathering, &cursor);
    status = status == ST_OK ? gathering.status : status;
    if (status == ST_OK) {
        reply_names(call, &gathering);
    }
    buf_deinit(&gathering.names);
    return status;
}

static enum value_type type_read(struct bytes name)
{
    for (enum value_type type = VALUE_NONE + 1; type < VALUE_TYPES; type++) {
        if (argument_is(name, value_type_name(type))) {
            return type;
        }
    }
    return VALUE_NONE;
}

/* False: the error is written. */
static bool scan_options_read(struct call *call, struct gathering *gathering, int64_t *count)
{
    *gathering = gathering_of(bytes_of("*", 1));
    *count = SCAN_COUNT_DEFAULT;
    for (size_t i = 2; i < call->argc; i += 2) {
        struct bytes word = call->argv[i];
        struct bytes option = i + 1 < call->argc ? call->argv[i + 1] : BYTES_NONE;
        if (i + 1 < call->argc && argument_is(word, "count")) {
            if (!argument_int64_range(call, option, 1, INT64_MAX, "ERR syntax error", count)) {
                return false;
            }
        } else if (i + 1 < call->argc && argument_is(word, "match")) {
            gathering->pattern = option;
            gathering->everything = bytes_equal(option, bytes_of("*", 1));
        } else if (i + 1 < call->argc && argument_is(word, "type")) {
            gathering->typed = true;
            gathering->type = type_read(option);
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

enum status keys_scan(struct call *call)
{
    uint64_t cursor;
    struct gathering gathering;
    int64_t count;
    if (!argument_cursor(call, call->argv[1], &cursor) ||
        !scan_options_read(call, &gathering, &count)) {
        return ST_OK;
    }
    uint64_t next;
    enum status status =
        txn_scan(call->txn, call->database, cursor, (uint64_t)count, gather, &gathering, &next);
    status = status == ST_OK ? gathering.status : status;
    if (status == ST_OK) {
        resp_array(call->out, 2);
        resp_bulk_integer(call->out, (int64_t)next); /* Below 2^48. */
        reply_names(call, &gathering);
    }
    buf_deinit(&gathering.names);
    return status;
}

enum status keys_randomkey(struct call *call)
{
    struct bytes name;
    bool found;
    enum status status = txn_random_key(call->txn, call->database, &name, &found);
    if (status != ST_OK) {
        return status;
    }
    if (found) {
        resp_bulk(call->out, name.data, name.size);
    } else {
        resp_null(call->out);
    }
    return ST_OK;
}

enum status keys_dbsize(struct call *call)
{
    uint64_t size = 0;
    enum status status = txn_database_size(call->txn, call->database, &size);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)size);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Changing.
 */

static bool database_number(struct call *call, struct bytes argument, const char *error,
                            int64_t *number_out)
{
    if (!bytes_to_int64(argument, number_out) || *number_out < INT32_MIN ||
        *number_out > INT32_MAX) {
        resp_error(call->out, error);
        return false;
    }
    return true;
}

enum status keys_swapdb(struct call *call)
{
    int64_t a;
    int64_t b;
    if (!database_number(call, call->argv[1], "ERR invalid first DB index", &a) ||
        !database_number(call, call->argv[2], "ERR invalid second DB index", &b)) {
        return ST_OK;
    }
    int64_t databases = config_get(&call->server->config->databases);
    if (a < 0 || a >= databases || b < 0 || b >= databases) {
        resp_error(call->out, "ERR DB index is out of range");
        return ST_OK;
    }
    enum status status = txn_swap_databases(call->txn, (unsigned)a, (unsigned)b);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

/* Memory is always given back later, so SYNC and ASYNC mean the same. False: the error is
 * written. */
static bool flush_option_read(struct call *call)
{
    if (call->argc == 1 || (call->argc == 2 && (argument_is(call->argv[1], "sync") ||
                                                argument_is(call->argv[1], "async")))) {
        return true;
    }
    reply_syntax_error(call);
    return false;
}

enum status keys_flushdb(struct call *call)
{
    if (!flush_option_read(call)) {
        return ST_OK;
    }
    enum status status = txn_flush_database(call->txn, call->database);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

enum status keys_flushall(struct call *call)
{
    if (!flush_option_read(call)) {
        return ST_OK;
    }
    enum status status = txn_flush_all(call->txn);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}
