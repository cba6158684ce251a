/* Values that travel between servers: DUMP gives one as Redis serializes it, RESTORE stores it. */
#include "src/dispatch/call.h"

#include "src/config/config.h"
#include "src/rdb/rdb.h"
#include "src/server.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------------
 * DUMP.
 */

/* The payload goes out as it is; the reply takes it. */
static void reply_payload(struct call *call, struct buf *payload)
{
    resp_bulk_header(call->out, payload->size);
    resp_reference(call->out, payload->data, payload->size, free, payload->data);
    resp_bulk_end(call->out);
    *payload = BUF_EMPTY;
}

static enum status dump(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    struct value_limits limits = config_value_limits(call->server->config);
    struct buf encoded = BUF_EMPTY;
    struct buf payload = BUF_EMPTY;
    status = value_encode(&value, &encoded);
    if (status == ST_OK) {
        status = rdb_dump(buf_bytes(&encoded), &limits, &payload);
    }
    buf_deinit(&encoded);
    if (status == ST_OK) {
        reply_payload(call, &payload);
    } else if (status == ST_TYPE) {
        resp_error(call->out, "ERR a chunk collection has no form that Redis knows");
        status = ST_OK;
    }
    buf_deinit(&payload);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * RESTORE.
 */

struct restore_options {
    bool replace, absolute;
    int64_t idle_s;    /* -1: not given. Means nothing under LFU policies; */
    int64_t frequency; /* this under others. */
};

/* False: the error is written. */
static bool options_read(struct call *call, struct restore_options *options)
{
    *options = (struct restore_options){.idle_s = -1, .frequency = -1};
    for (size_t i = 4; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        bool more = i + 1 < call->argc;
        if (argument_is(word, "replace")) {
            options->replace = true;
        } else if (argument_is(word, "absttl")) {
            options->absolute = true;
        } else if (argument_is(word, "idletime") && more && options->frequency == -1) {
            if (!argument_int64_range(call, call->argv[++i], 0, INT64_MAX,
                                      "ERR Invalid IDLETIME value, must be >= 0",
                                      &options->idle_s)) {
                return false;
            }
        } else if (argument_is(word, "freq") && more && options->idle_s == -1) {
            if (!argument_int64_range(call, call->argv[++i], 0, 255,
                                      "ERR Invalid FREQ value, must be >= 0 and <= 255",
                                      &options->frequency)) {
                return false;
            }
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* A relative time that goes beyond the end of time comes out before its beginning, and so is over,
 * as in Redis. False: the error is written. */
static bool expiry_read(struct call *call, bool absolute, int64_t *expiry_ms_out)
{
    int64_t ttl_ms;
    if (!argument_int64_range(call, call->argv[2], 0, INT64_MAX,
                              "ERR Invalid TTL value, must be >= 0", &ttl_ms)) {
        return false;
    }
    if (ttl_ms == 0) {
        *expiry_ms_out = BASIN_NO_EXPIRY;
    } else if (absolute) {
        *expiry_ms_out = ttl_ms;
    } else {
        *expiry_ms_out =
            ttl_ms > INT64_MAX - (int64_t)call->now_ms ? 0 : ttl_ms + (int64_t)call->now_ms;
    }
    return true;
}

/* Stores the payload. Errors of the payload are written and ST_OK. */
static enum status payload_store(struct call *call, const struct restore_options *options,
                                 int64_t expiry_ms)
{
    struct buf room = BUF_EMPTY;
    struct bytes encoded;
    enum status status = rdb_restore(call->argv[3], &room, &encoded);
    if (status == ST_OK) {
        status = txn_put_encoded(call->txn, 0, encoded, expiry_ms);
    }
    buf_deinit(&room);
    switch (status) {
    case ST_OK:
        if (options->idle_s >= 0) {
            txn_age(call->txn, 0, (uint64_t)options->idle_s);
        }
        if (options->frequency >= 0) {
            txn_set_frequency(call->txn, 0, (unsigned)options->frequency);
        }
        reply_ok(call);
        return ST_OK;
    case ST_PROTO:
        resp_error(call->out, "ERR DUMP payload version or checksum are wrong");
        return ST_OK;
    case ST_CORRUPT:
        resp_error(call->out, "ERR Bad data format");
        return ST_OK;
    default:
        return status;
    }
}

static enum status restore(struct call *call)
{
    struct restore_options options;
    if (!options_read(call, &options)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type != VALUE_NONE && !options.replace) {
        resp_error(call->out, "BUSYKEY Target key name already exists.");
        return ST_OK;
    }
    int64_t expiry_ms;
    if (!expiry_read(call, options.absolute, &expiry_ms)) {
        return ST_OK;
    }
    return payload_store(call, &options, expiry_ms);
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

static const char *const tips_varying[] = {"nondeterministic_output", NULL};

#define RESTORE_ARGUMENTS                                                                          \
    "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"

const struct command dump_commands[] = {
    {.name = "dump",
     .handler = dump,
     .arity = 2,
     .flags = CMD_READONLY,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "generic",
     .since = "2.6.0",
     .complexity = "O(N) where N is the size of the value.",
     .summary = "Gives a value in Redis's serialized form.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = "restore",
     .handler = restore,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW | CAT_DANGEROUS,
     .keys = KEYS_ONE(KEY_OW | KEY_UPDATE),
     .group = "generic",
     .since = "2.6.0",
     .complexity = "O(N) where N is the size of the value; O(N*log(N)) for sorted sets.",
     .summary = "Stores a value given in Redis's serialized form.",
     .arguments = RESTORE_ARGUMENTS},
    {.name = "restore-asking",
     .handler = restore,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_ASKING,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW | CAT_DANGEROUS,
     .keys = KEYS_ONE(KEY_OW | KEY_UPDATE),
     .group = "server",
     .since = "3.0.0",
     .complexity = "O(N) where N is the size of the value; O(N*log(N)) for sorted sets.",
     .summary = "RESTORE under the name by which nodes of a Redis cluster move keys.",
     .arguments = RESTORE_ARGUMENTS},
    {.name = NULL},
};
