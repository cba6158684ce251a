/* Keys, whatever they hold. */
#include "src/commands/keys_private.h"

#include "src/config/config.h"
#include "src/server.h"

/* Whether keys are there must be known of all of them before the first goes. */
static enum status look_at_all(struct call *call)
{
    enum status wait = ST_OK;
    for (unsigned i = 0; i < call->key_count; i++) {
        struct key_facts facts;
        enum status status = txn_look(call->txn, i, &facts);
        if (status != ST_OK && status != ST_WAIT) {
            return status;
        }
        wait = status == ST_WAIT ? ST_WAIT : wait;
    }
    return wait;
}

/* Also UNLINK: what is large is always freed later. */
static enum status remove_keys(struct call *call)
{
    int64_t count = 0;
    enum status status = look_at_all(call);
    for (unsigned i = 0; i < call->key_count && status == ST_OK; i++) {
        bool existed = false;
        status = txn_delete(call->txn, i, &existed);
        count += existed;
    }
    if (status == ST_OK) {
        resp_integer(call->out, count);
    }
    return status;
}

/* Counts the keys that are there, marking them read or not. */
static enum status count_present(struct call *call, bool touch)
{
    int64_t count = 0;
    enum status wait = ST_OK;
    for (unsigned i = 0; i < call->key_count; i++) {
        struct value value;
        struct key_facts facts;
        enum status status =
            touch ? txn_read(call->txn, i, &value) : txn_look(call->txn, i, &facts);
        if (status == ST_WAIT) {
            wait = ST_WAIT; /* Goes on, so that all that must be loaded is noted at once. */
        } else if (status != ST_OK) {
            return status;
        } else {
            count += (touch ? value.type : facts.type) != VALUE_NONE;
        }
    }
    if (wait == ST_OK) {
        resp_integer(call->out, count);
    }
    return wait;
}

static enum status exists(struct call *call)
{
    return count_present(call, false);
}

static enum status touch(struct call *call)
{
    return count_present(call, true);
}

static enum status type(struct call *call)
{
    struct key_facts facts;
    enum status status = txn_look(call->txn, 0, &facts);
    if (status == ST_OK) {
        resp_simple(call->out, value_type_name(facts.type));
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * OBJECT.
 */

/* Reads the key without touching it. *present_out false: the reply, null, is written. */
static enum status object_read(struct call *call, struct value *value_out, bool *present_out)
{
    *present_out = false;
    enum status status = txn_peek(call->txn, 0, value_out);
    if (status == ST_OK) {
        *present_out = value_out->type != VALUE_NONE;
        if (!*present_out) {
            resp_null(call->out);
        }
    }
    return status;
}

static enum status object_encoding(struct call *call)
{
    struct value value;
    bool present;
    enum status status = object_read(call, &value, &present);
    if (!present) {
        return status;
    }
    struct value_limits limits = config_value_limits(call->server->config);
    resp_bulk_text(call->out, value_encoding(&value, &limits));
    return ST_OK;
}

static enum status object_freq(struct call *call)
{
    struct value value;
    bool present;
    enum status status = object_read(call, &value, &present);
    if (present && txn_counts_uses(call->txn)) {
        resp_integer(call->out, txn_frequency(call->txn, 0));
    } else if (present) {
        resp_error(call->out,
                   "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                   "Please note that when switching between policies at runtime LRU and LFU data "
                   "will take some time to adjust.");
    }
    return status;
}

static enum status object_idletime(struct call *call)
{
    struct value value;
    bool present;
    enum status status = object_read(call, &value, &present);
    if (present && txn_counts_uses(call->txn)) {
        resp_error(call->out,
                   "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note "
                   "that when switching between policies at runtime LRU and LFU data will take "
                   "some time to adjust.");
    } else if (present) {
        resp_integer(call->out, (int64_t)(txn_idle_ms(call->txn, 0) / 1000));
    }
    return status;
}

/* A value belongs to one key. */
static enum status object_refcount(struct call *call)
{
    struct value value;
    bool present;
    enum status status = object_read(call, &value, &present);
    if (present) {
        resp_integer(call->out, 1);
    }
    return status;
}

static enum status object_help(struct call *call)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How the value of <key> is represented.",
        "FREQ <key>",
        "    How often <key> is used; only with an LFU maxmemory policy.",
        "IDLETIME <key>",
        "    Seconds since <key> was last read or written.",
        "REFCOUNT <key>",
        "    How many references the value of <key> has: 1.",
        "HELP",
        "    Print this help.",
    };
    const size_t count = sizeof(lines) / sizeof(lines[0]);
    resp_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        resp_simple(call->out, lines[i]);
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

#define KEYS_OBJECT                                                                                \
    {                                                                                              \
        {                                                                                          \
            .flags = KEY_RO, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1              \
        }                                                                                          \
    }
#define KEYS_FROM_TO(from_flags, to_flags)                                                         \
    {                                                                                              \
        {.flags = (from_flags), .begin = 1, .find = KEY_FIND_RANGE, .last = 0, .step = 1},         \
        {                                                                                          \
            .flags = (to_flags), .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1          \
        }                                                                                          \
    }

static const char *const tips_varying[] = {"nondeterministic_output", NULL};
static const char *const tips_sum[] = {"request_policy:multi_shard", "response_policy:agg_sum",
                                       NULL};
static const char *const tips_all_sum[] = {"request_policy:all_shards", "response_policy:agg_sum",
                                           NULL};
static const char *const tips_all_succeeded[] = {"request_policy:all_shards",
                                                 "response_policy:all_succeeded", NULL};
static const char *const tips_keys[] = {"request_policy:all_shards",
                                        "nondeterministic_output_order", NULL};
static const char *const tips_scan[] = {"nondeterministic_output", "request_policy:special",
                                        "response_policy:special", NULL};
static const char *const tips_randomkey[] = {"request_policy:all_shards", "response_policy:special",
                                             "nondeterministic_output", NULL};

static const struct command object_subcommands[] = {
    {.name = "encoding",
     .handler = object_encoding,
     .arity = 3,
     .flags = CMD_READONLY,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .keys = KEYS_OBJECT,
     .group = "generic",
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Tells how a value is represented.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = "freq",
     .handler = object_freq,
     .arity = 3,
     .flags = CMD_READONLY,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .keys = KEYS_OBJECT,
     .group = "generic",
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Tells how often a key is used, under an LFU policy.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = "help",
     .handler = object_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CAT_KEYSPACE | CAT_SLOW,
     .group = "generic",
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Lists the subcommands."},
    {.name = "idletime",
     .handler = object_idletime,
     .arity = 3,
     .flags = CMD_READONLY,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .keys = KEYS_OBJECT,
     .group = "generic",
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Tells the seconds since a key was last used.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = "refcount",
     .handler = object_refcount,
     .arity = 3,
     .flags = CMD_READONLY,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .keys = KEYS_OBJECT,
     .group = "generic",
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Tells how many references a value has.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = NULL},
};

const struct command keys_commands[] = {
    {.name = "copy",
     .handler = keys_copy,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW,
     .keys = KEYS_FROM_TO(KEY_RO | KEY_ACCESS, KEY_OW | KEY_UPDATE),
     .group = "generic",
     .since = "6.2.0",
     .complexity = "O(N) where N is the size of the value.",
     .summary = "Copies a value with its time to live to another key.",
     .arguments = "source destination [DB destination-db] [REPLACE]",
     .plan = keys_copy_plan},
    {.name = "dbsize",
     .handler = keys_dbsize,
     .arity = 1,
     .flags = CMD_READONLY | CMD_FAST | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives the number of keys in the database.",
     .tips = tips_all_sum},
    {.name = "del",
     .handler = remove_keys,
     .arity = -2,
     .flags = CMD_WRITE,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW,
     .keys = KEYS_REST(KEY_RM | KEY_DELETE),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of keys; large values are freed later.",
     .summary = "Deletes keys; gives how many were there.",
     .arguments = "key [key ...]",
     .tips = tips_sum},
    {.name = "exists",
     .handler = exists,
     .arity = -2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_REST(KEY_RO),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of keys.",
     .summary = "Counts the keys that are there; one that is named twice counts twice.",
     .arguments = "key [key ...]",
     .tips = tips_sum},
    {.name = "expire",
     .handler = keys_expire,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives a key so many seconds to live.",
     .arguments = "key seconds [NX | XX | GT | LT]"},
    {.name = "expireat",
     .handler = keys_expireat,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "generic",
     .since = "1.2.0",
     .complexity = "O(1)",
     .summary = "Lets a key live until a Unix time in seconds.",
     .arguments = "key unix-time-seconds [NX | XX | GT | LT]"},
    {.name = "expiretime",
     .handler = keys_expiretime,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "generic",
     .since = "7.0.0",
     .complexity = "O(1)",
     .summary = "Tells the Unix time in seconds at which a key expires.",
     .arguments = "key"},
    {.name = "flushall",
     .handler = keys_flushall,
     .arity = -1,
     .flags = CMD_WRITE | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1); memory is given back later.",
     .summary = "Empties all databases.",
     .arguments = "[ASYNC | SYNC]",
     .tips = tips_all_succeeded},
    {.name = "flushdb",
     .handler = keys_flushdb,
     .arity = -1,
     .flags = CMD_WRITE | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW | CAT_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .complexity = "O(1); memory is given back later.",
     .summary = "Empties the database.",
     .arguments = "[ASYNC | SYNC]",
     .tips = tips_all_succeeded},
    {.name = "keys",
     .handler = keys_keys,
     .arity = 2,
     .flags = CMD_READONLY | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW | CAT_DANGEROUS,
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of keys of all databases.",
     .summary = "Gives all keys that match a glob pattern.",
     .arguments = "pattern",
     .tips = tips_keys},
    {.name = "move",
     .handler = keys_move,
     .arity = 3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N) where N is the size of the value.",
     .summary = "Moves a key to another database.",
     .arguments = "key db",
     .plan = keys_move_plan},
    {.name = "object",
     .arity = -2,
     .categories = CAT_SLOW,
     .group = "generic",
     .since = "2.2.3",
     .complexity = "Depends on the subcommand.",
     .summary = "Looks into the value of a key.",
     .subcommands = object_subcommands},
    {.name = "persist",
     .handler = keys_persist,
     .arity = 2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "generic",
     .since = "2.2.0",
     .complexity = "O(1)",
     .summary = "Takes the time to live from a key.",
     .arguments = "key"},
    {.name = "pexpire",
     .handler = keys_pexpire,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "generic",
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Gives a key so many milliseconds to live.",
     .arguments = "key milliseconds [NX | XX | GT | LT]"},
    {.name = "pexpireat",
     .handler = keys_pexpireat,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "generic",
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Lets a key live until a Unix time in milliseconds.",
     .arguments = "key unix-time-milliseconds [NX | XX | GT | LT]"},
    {.name = "pexpiretime",
     .handler = keys_pexpiretime,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "generic",
     .since = "7.0.0",
     .complexity = "O(1)",
     .summary = "Tells the Unix time in milliseconds at which a key expires.",
     .arguments = "key"},
    {.name = "pttl",
     .handler = keys_pttl,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "generic",
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Tells the milliseconds a key has left to live.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = "randomkey",
     .handler = keys_randomkey,
     .arity = 1,
     .flags = CMD_READONLY | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives a key at random.",
     .tips = tips_randomkey},
    {.name = "rename",
     .handler = keys_rename,
     .arity = 3,
     .flags = CMD_WRITE,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_SLOW,
     .keys = KEYS_FROM_TO(KEY_RW | KEY_ACCESS | KEY_DELETE, KEY_OW | KEY_UPDATE),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N) where N is the size of the value.",
     .summary = "Gives a key another name, in place of what has it.",
     .arguments = "key newkey"},
    {.name = "renamenx",
     .handler = keys_renamenx,
     .arity = 3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_FROM_TO(KEY_RW | KEY_ACCESS | KEY_DELETE, KEY_OW | KEY_INSERT),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(N) where N is the size of the value.",
     .summary = "Gives a key another name, but only if nothing has it.",
     .arguments = "key newkey"},
    {.name = "scan",
     .handler = keys_scan,
     .arity = -2,
     .flags = CMD_READONLY | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_SLOW,
     .group = "generic",
     .since = "2.8.0",
     .complexity = "O(1) a call, O(N) for all calls until the cursor is 0 again, where N is the "
                   "number of keys.",
     .summary = "Walks over the keys of the database, step by step.",
     .arguments = "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     .tips = tips_scan},
    {.name = "swapdb",
     .handler = keys_swapdb,
     .arity = 3,
     .flags = CMD_WRITE | CMD_FAST | CMD_WHOLE,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST | CAT_DANGEROUS,
     .group = "server",
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Swaps the content of two databases.",
     .arguments = "index1 index2"},
    {.name = "touch",
     .handler = touch,
     .arity = -2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_REST(KEY_RO),
     .group = "generic",
     .since = "3.2.1",
     .complexity = "O(N) where N is the number of keys.",
     .summary = "Marks keys as just used; gives how many are there.",
     .arguments = "key [key ...]",
     .tips = tips_sum},
    {.name = "ttl",
     .handler = keys_ttl,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Tells the seconds a key has left to live.",
     .arguments = "key",
     .tips = tips_varying},
    {.name = "type",
     .handler = type,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_READ | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "generic",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Tells what kind of value a key holds.",
     .arguments = "key"},
    {.name = "unlink",
     .handler = remove_keys,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_KEYSPACE | CAT_WRITE | CAT_FAST,
     .keys = KEYS_REST(KEY_RM | KEY_DELETE),
     .group = "generic",
     .since = "4.0.0",
     .complexity = "O(N) where N is the number of keys.",
     .summary = "Deletes keys; gives how many were there.",
     .arguments = "key [key ...]",
     .tips = tips_sum},
    {.name = NULL},
};
