/* Strings: a key's value as bytes. GET and SET are the hottest commands of all, so their common
 * forms leave before any option is looked at. */
#include "src/commands/strings_private.h"

/* ------------------------------------------------------------------------------------------
 * Reading.
 */

static enum status get(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (__builtin_expect(status != ST_OK, 0)) {
        return status;
    }
    if (__builtin_expect(value.type == VALUE_STRING, 1)) {
        return reply_text(call, &value);
    }
    if (value.type == VALUE_NONE) {
        resp_null(call->out);
    } else {
        reply_wrong_type(call);
    }
    return ST_OK;
}

static enum status mget(struct call *call)
{
    enum status wait = ST_OK;
    resp_array(call->out, call->key_count);
    for (unsigned i = 0; i < call->key_count; i++) {
        struct value value;
        enum status status = txn_read(call->txn, i, &value);
        if (status == ST_WAIT) {
            wait = ST_WAIT; /* Goes on, so that all that must be loaded is noted at once. */
            continue;
        }
        if (status == ST_OK && value.type == VALUE_STRING) {
            status = reply_text(call, &value);
        } else if (status == ST_OK) {
            resp_null(call->out);
        }
        if (status != ST_OK) {
            return status;
        }
    }
    return wait;
}

static enum status string_length(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status == ST_OK && strings_fits(call, &value)) {
        resp_integer(call->out, value.type == VALUE_NONE ? 0 : (int64_t)text_size(&value));
    }
    return status;
}

/* Reads the key and replies its string, or null where it is absent. *read_out false: it is no
 * string, the error is written. */
static enum status read_and_reply(struct call *call, struct value *value_out, bool *read_out)
{
    *read_out = false;
    enum status status = txn_read(call->txn, 0, value_out);
    if (status != ST_OK || !strings_fits(call, value_out)) {
        return status;
    }
    *read_out = true;
    if (value_out->type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    return reply_text(call, value_out);
}

/* ------------------------------------------------------------------------------------------
 * Expiry options: EX seconds, PX milliseconds, EXAT and PXAT Unix times.
 */

struct expiry_option {
    bool given, absolute, seconds;
    struct bytes amount;
};

/* Takes argv[*index] and the amount behind it, if this is one of the four words. The same word may
 * come twice, the last one counts; two of them contradict each other. */
static bool expiry_option_take(const struct call *call, size_t *index, struct expiry_option *option)
{
    static const struct {
        const char *word;
        bool absolute, seconds;
    } kinds[] = {
        {"ex", false, true},
        {"px", false, false},
        {"exat", true, true},
        {"pxat", true, false},
    };
    if (*index + 1 >= call->argc) {
        return false;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (argument_is(call->argv[*index], kinds[i].word)) {
            if (option->given &&
                (option->absolute != kinds[i].absolute || option->seconds != kinds[i].seconds)) {
                return false;
            }
            *option = (struct expiry_option){true, kinds[i].absolute, kinds[i].seconds,
                                             call->argv[*index + 1]};
            (*index)++;
            return true;
        }
    }
    return false;
}

/* The point in time, Unix milliseconds, above 0. False: the error is written. */
static bool expiry_option_resolve(struct call *call, const struct expiry_option *option,
                                  int64_t *expiry_ms_out)
{
    int64_t amount;
    if (!argument_int64(call, option->amount, &amount)) {
        return false;
    }
    if (amount > 0 && (!option->seconds || !__builtin_mul_overflow(amount, 1000, &amount)) &&
        (option->absolute || !__builtin_add_overflow(amount, (int64_t)call->now_ms, &amount))) {
        *expiry_ms_out = amount;
        return true;
    }
    resp_error_format(call->out, "ERR invalid expire time in '%s' command",
                      call->command->full_name);
    return false;
}

/* ------------------------------------------------------------------------------------------
 * SET and its older forms.
 */

struct set_options {
    bool only_new, only_present, get, keep_expiry;
    struct expiry_option expiry;
};

static bool set_options_read(struct call *call, struct set_options *options)
{
    *options = (struct set_options){0};
    for (size_t i = 3; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        if (argument_is(word, "nx") && !options->only_present) {
            options->only_new = true;
        } else if (argument_is(word, "xx") && !options->only_new) {
            options->only_present = true;
        } else if (argument_is(word, "get")) {
            options->get = true;
        } else if (argument_is(word, "keepttl") && !options->expiry.given) {
            options->keep_expiry = true;
        } else if (options->keep_expiry || !expiry_option_take(call, &i, &options->expiry)) {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Stores, unless that point in time has passed: then what was there goes. */
static enum status store(struct call *call, struct bytes text, int64_t expiry_ms)
{
    if (expiry_ms >= 0 && (uint64_t)expiry_ms <= call->now_ms) {
        return txn_delete(call->txn, 0, NULL);
    }
    return txn_text_set(call->txn, 0, text, expiry_ms);
}

static enum status set_with_options(struct call *call)
{
    struct set_options options;
    int64_t expiry_ms = BASIN_NO_EXPIRY;
    if (!set_options_read(call, &options) ||
        (options.expiry.given && !expiry_option_resolve(call, &options.expiry, &expiry_ms))) {
        return ST_OK;
    }
    if (options.keep_expiry) {
        expiry_ms = BASIN_KEEP_EXPIRY;
    }
    if (options.get || options.only_new || options.only_present) {
        struct value old;
        struct key_facts facts;
        bool go_on = true;
        enum status status =
            options.get ? read_and_reply(call, &old, &go_on) : txn_look(call->txn, 0, &facts);
        if (status != ST_OK || !go_on) {
            return status;
        }
        bool present = (options.get ? old.type : facts.type) != VALUE_NONE;
        if (present ? options.only_new : options.only_present) {
            if (!options.get) {
                resp_null(call->out);
            }
            return ST_OK;
        }
    }
    enum status status = store(call, call->argv[2], expiry_ms);
    if (status == ST_OK && !options.get) {
        reply_ok(call);
    }
    return status;
}

static enum status set(struct call *call)
{
    if (__builtin_expect(call->argc > 3, 0)) {
        return set_with_options(call);
    }
    enum status status = txn_text_set(call->txn, 0, call->argv[2], BASIN_NO_EXPIRY);
    if (__builtin_expect(status == ST_OK, 1)) {
        reply_ok(call);
    }
    return status;
}

/* SET only reads what was there with GET. */
static unsigned set_key_flags(const struct bytes *argv, size_t argc)
{
    for (size_t i = 3; i < argc; i++) {
        if (argument_is(argv[i], "get")) {
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
        }
    }
    return KEY_OW | KEY_UPDATE;
}

static enum status set_if_absent(struct call *call)
{
    struct key_facts old;
    enum status status = txn_look(call->txn, 0, &old);
    if (status != ST_OK) {
        return status;
    }
    if (old.type == VALUE_NONE) {
        status = txn_text_set(call->txn, 0, call->argv[2], BASIN_NO_EXPIRY);
    }
    if (status == ST_OK) {
        resp_integer(call->out, old.type == VALUE_NONE);
    }
    return status;
}

static enum status set_expiring(struct call *call, bool seconds)
{
    struct expiry_option expiry = {true, false, seconds, call->argv[2]};
    int64_t expiry_ms;
    if (!expiry_option_resolve(call, &expiry, &expiry_ms)) {
        return ST_OK;
    }
    enum status status = txn_text_set(call->txn, 0, call->argv[3], expiry_ms);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

static enum status setex(struct call *call)
{
    return set_expiring(call, true);
}

static enum status psetex(struct call *call)
{
    return set_expiring(call, false);
}

static enum status getset(struct call *call)
{
    struct value old;
    bool read;
    enum status status = read_and_reply(call, &old, &read);
    if (status != ST_OK || !read) {
        return status;
    }
    return txn_text_set(call->txn, 0, call->argv[2], BASIN_NO_EXPIRY);
}

static enum status getdel(struct call *call)
{
    struct value old;
    bool read;
    enum status status = read_and_reply(call, &old, &read);
    if (status != ST_OK || !read || old.type == VALUE_NONE) {
        return status;
    }
    return txn_delete(call->txn, 0, NULL);
}

static enum status getex(struct call *call)
{
    bool persist = false;
    struct expiry_option expiry = {0};
    for (size_t i = 2; i < call->argc; i++) {
        if (argument_is(call->argv[i], "persist") && !expiry.given) {
            persist = true;
        } else if (persist || !expiry_option_take(call, &i, &expiry)) {
            reply_syntax_error(call);
            return ST_OK;
        }
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !strings_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_null(call->out);
        return ST_OK;
    }
    int64_t expiry_ms = BASIN_NO_EXPIRY;
    if (expiry.given && !expiry_option_resolve(call, &expiry, &expiry_ms)) {
        return ST_OK;
    }
    status = reply_text(call, &value);
    if (status != ST_OK) {
        return status;
    }
    if (expiry.given || (persist && txn_expiry(call->txn, 0) != BASIN_NO_EXPIRY)) {
        return txn_expire(call->txn, 0, expiry_ms);
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Several at once.
 */

static bool pairs_complete(struct call *call)
{
    if (call->argc % 2 == 0) {
        resp_error_format(call->out, "ERR wrong number of arguments for '%s' command",
                          call->command->full_name);
        return false;
    }
    return true;
}

static enum status set_pairs(struct call *call)
{
    for (unsigned i = 0; i < call->key_count; i++) {
        enum status status =
            txn_text_set(call->txn, i, call->argv[2 * (size_t)i + 2], BASIN_NO_EXPIRY);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static enum status mset(struct call *call)
{
    if (!pairs_complete(call)) {
        return ST_OK;
    }
    enum status status = set_pairs(call);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

static enum status msetnx(struct call *call)
{
    if (!pairs_complete(call)) {
        return ST_OK;
    }
    enum status wait = ST_OK;
    for (unsigned i = 0; i < call->key_count; i++) {
        struct key_facts facts;
        enum status status = txn_look(call->txn, i, &facts);
        if (status == ST_OK && facts.type != VALUE_NONE) {
            resp_integer(call->out, 0);
            return ST_OK;
        }
        if (status != ST_OK && status != ST_WAIT) {
            return status;
        }
        wait = status == ST_WAIT ? ST_WAIT : wait;
    }
    if (wait != ST_OK) {
        return wait;
    }
    enum status status = set_pairs(call);
    if (status == ST_OK) {
        resp_integer(call->out, 1);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

#define KEYS_PAIRS(key_flags)                                                                      \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 1, .find = KEY_FIND_RANGE, .last = -1, .step = 2        \
        }                                                                                          \
    }
#define KEYS_TWO(key_flags)                                                                        \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 1, .find = KEY_FIND_RANGE, .last = 1, .step = 1         \
        }                                                                                          \
    }

static const char *const tips_mget[] = {"request_policy:multi_shard", NULL};
static const char *const tips_mset[] = {"request_policy:multi_shard",
                                        "response_policy:all_succeeded", NULL};
static const char *const tips_msetnx[] = {"request_policy:multi_shard", "response_policy:agg_min",
                                          NULL};

const struct command strings_commands[] = {
    {.name = "append",
     .handler = strings_append,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "string",
     .since = "2.0.0",
     .complexity = "O(N) where N is the size of what is appended, whatever is there already.",
     .summary = "Appends bytes to a string; an absent key counts as empty.",
     .arguments = "key value"},
    {.name = "decr",
     .handler = strings_decr,
     .arity = 2,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Takes one from an integer; an absent key counts as 0.",
     .arguments = "key"},
    {.name = "decrby",
     .handler = strings_decrby,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Takes a number from an integer; an absent key counts as 0.",
     .arguments = "key decrement"},
    {.name = "get",
     .handler = get,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives a string.",
     .arguments = "key"},
    {.name = "getdel",
     .handler = getdel,
     .arity = 2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_DELETE),
     .group = "string",
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Gives a string and deletes its key.",
     .arguments = "key"},
    {.name = "getex",
     .handler = getex,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Gives a string and sets or takes away its time to live.",
     .arguments = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
                  "PXAT unix-time-milliseconds | PERSIST]"},
    {.name = "getrange",
     .handler = strings_getrange,
     .arity = 4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STRING | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "string",
     .since = "2.4.0",
     .complexity = "O(N) where N is the size of what is returned.",
     .summary = "Gives the bytes of a string from one position to another.",
     .arguments = "key start end"},
    {.name = "getset",
     .handler = getset,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Gives a string and puts another in its place.",
     .arguments = "key value"},
    {.name = "incr",
     .handler = strings_incr,
     .arity = 2,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Adds one to an integer; an absent key counts as 0.",
     .arguments = "key"},
    {.name = "incrby",
     .handler = strings_incrby,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Adds a number to an integer; an absent key counts as 0.",
     .arguments = "key increment"},
    {.name = "incrbyfloat",
     .handler = strings_incrbyfloat,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "string",
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Adds a floating point number to another; an absent key counts as 0.",
     .arguments = "key increment"},
    {.name = "lcs",
     .handler = strings_lcs,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STRING | CAT_SLOW,
     .keys = KEYS_TWO(KEY_RO | KEY_ACCESS),
     .group = "string",
     .since = "7.0.0",
     .complexity = "O(N*M) where N and M are the sizes of the two strings.",
     .summary = "Finds the longest common subsequence of two strings.",
     .arguments = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]"},
    {.name = "mget",
     .handler = mget,
     .arity = -2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_STRING | CAT_FAST,
     .keys = KEYS_REST(KEY_RO | KEY_ACCESS),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(N) where N is the number of keys.",
     .summary = "Gives the strings of several keys as of one moment.",
     .arguments = "key [key ...]",
     .tips = tips_mget},
    {.name = "mset",
     .handler = mset,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STRING | CAT_SLOW,
     .keys = KEYS_PAIRS(KEY_OW | KEY_UPDATE),
     .group = "string",
     .since = "1.0.1",
     .complexity = "O(N) where N is the number of keys.",
     .summary = "Sets several keys at once.",
     .arguments = "key value [key value ...]",
     .tips = tips_mset},
    {.name = "msetnx",
     .handler = msetnx,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STRING | CAT_SLOW,
     .keys = KEYS_PAIRS(KEY_OW | KEY_INSERT),
     .group = "string",
     .since = "1.0.1",
     .complexity = "O(N) where N is the number of keys.",
     .summary = "Sets several keys at once, but only if none of them is there.",
     .arguments = "key value [key value ...]",
     .tips = tips_msetnx},
    {.name = "psetex",
     .handler = psetex,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STRING | CAT_SLOW,
     .keys = KEYS_ONE(KEY_OW | KEY_UPDATE),
     .group = "string",
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Sets a string that lives so many milliseconds.",
     .arguments = "key milliseconds value"},
    {.name = "set",
     .handler = set,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STRING | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Sets a string, whatever the key held before.",
     .arguments = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | "
                  "EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
     .key_flags = set_key_flags},
    {.name = "setex",
     .handler = setex,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STRING | CAT_SLOW,
     .keys = KEYS_ONE(KEY_OW | KEY_UPDATE),
     .group = "string",
     .since = "2.0.0",
     .complexity = "O(1)",
     .summary = "Sets a string that lives so many seconds.",
     .arguments = "key seconds value"},
    {.name = "setnx",
     .handler = set_if_absent,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_OW | KEY_INSERT),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Sets a string, but only if the key is absent.",
     .arguments = "key value"},
    {.name = "setrange",
     .handler = strings_setrange,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STRING | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "string",
     .since = "2.2.0",
     .complexity = "O(N) where N is the size of what is written, and of the gap before it.",
     .summary = "Overwrites bytes of a string from a position on; gaps become zeros.",
     .arguments = "key offset value"},
    {.name = "strlen",
     .handler = string_length,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_STRING | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "string",
     .since = "2.2.0",
     .complexity = "O(1)",
     .summary = "Gives the size of a string in bytes.",
     .arguments = "key"},
    {.name = "substr",
     .handler = strings_getrange,
     .arity = 4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STRING | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "string",
     .since = "1.0.0",
     .complexity = "O(N) where N is the size of what is returned.",
     .summary = "The older name of GETRANGE.",
     .arguments = "key start end"},
    {.name = NULL},
};
