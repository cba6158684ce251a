/* Streams: entries are added at the end, read by range, deleted and trimmed. */
#include "src/commands/streams_private.h"

#include "src/config/config.h"
#include "src/server.h"

/* ------------------------------------------------------------------------------------------
 * XADD and XTRIM: one grammar.
 *
 *     [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|ID field value …
 */

struct trimming {
    bool given;
    bool limited;
    struct stream_trim trim;
};

struct adding {
    bool only_present; /* NOMKSTREAM */
    bool any_id;       /* "*" */
    bool any_seq;      /* "ms-*" */
    struct stream_id id;
    size_t fields; /* Index of the first. */
    struct trimming trimming;
};

static bool same(struct bytes argument, const char *text)
{
    return bytes_equal(argument, bytes_of_text(text));
}

/* MAXLEN and MINID at argv[*index]; moves it to the last argument taken. */
static bool threshold_read(struct call *call, size_t *index, struct trimming *trimming)
{
    if (trimming->given) {
        resp_error(
            call->out,
            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    struct stream_trim *trim = &trimming->trim;
    trimming->given = true;
    trim->by_id = argument_is(call->argv[*index], "minid");
    struct bytes next = call->argv[*index + 1];
    if (*index + 2 < call->argc && (same(next, "~") || same(next, "="))) {
        trim->whole = same(next, "~");
        next = call->argv[++*index + 1];
    }
    ++*index;
    if (trim->by_id) {
        return streams_id(call, next, false, 0, &trim->id);
    }
    int64_t length;
    if (!argument_int64(call, next, &length)) {
        return false;
    }
    if (length < 0) {
        resp_error(call->out, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    trim->length = (uint64_t)length;
    return true;
}

static bool limit_read(struct call *call, struct bytes argument, struct trimming *trimming)
{
    int64_t limit;
    if (!argument_int64(call, argument, &limit)) {
        return false;
    }
    if (limit < 0) {
        resp_error(call->out, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    trimming->limited = true;
    trimming->trim.limit = (uint64_t)limit;
    return true;
}

/* An argument that MAXLEN, MINID or LIMIT begins. *taken_out: it was one. */
static bool trimming_read(struct call *call, size_t *index, struct trimming *trimming,
                          bool *taken_out)
{
    struct bytes argument = call->argv[*index];
    bool more = *index + 1 < call->argc;
    *taken_out = true;
    if (more && (argument_is(argument, "maxlen") || argument_is(argument, "minid"))) {
        return threshold_read(call, index, trimming);
    }
    if (more && argument_is(argument, "limit")) {
        return limit_read(call, call->argv[++*index], trimming);
    }
    *taken_out = false;
    return true;
}

/* Redis takes no more than this much at once unless told otherwise. */
#define LIMIT_NODES 100
#define LIMIT_UNBOUNDED 10000
#define LIMIT_MAX 1000000

static bool trimming_finish(struct call *call, struct trimming *trimming, bool needed)
{
    struct stream_trim *trim = &trimming->trim;
    if (trim->limit > 0 && !trimming->given) {
        resp_error(call->out, "ERR syntax error, LIMIT cannot be used without specifying a "
                              "trimming strategy");
        return false;
    }
    if (needed && !trimming->given) {
        resp_error(call->out, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    if (trimming->limited && !trim->whole) {
        resp_error(call->out,
                   "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    if (trim->whole && !trimming->limited) {
        struct value_limits limits = config_value_limits(call->server->config);
        int64_t entries = limits.stream_node_max_entries;
        trim->limit = entries <= 0                        ? LIMIT_UNBOUNDED
                      : entries > LIMIT_MAX / LIMIT_NODES ? LIMIT_MAX
                                                          : (uint64_t)entries * LIMIT_NODES;
    }
    return true;
}

/* The ID of XADD. */
static bool new_id_read(struct call *call, struct bytes argument, struct adding *adding)
{
    if (same(argument, "*")) {
        adding->any_id = true;
        return true;
    }
    const char *text = argument.data;
    size_t size = argument.size;
    if (size > 2 && text[size - 1] == '*' && text[size - 2] == '-' &&
        memchr(text, '-', size - 2) == NULL) {
        adding->any_seq = true;
        argument.size -= 2;
    }
    return streams_id(call, argument, false, 0, &adding->id);
}

static bool adding_read(struct call *call, struct adding *adding)
{
    size_t i = 2;
    for (; i < call->argc; i++) {
        bool taken = false;
        if (!same(call->argv[i], "*") && !trimming_read(call, &i, &adding->trimming, &taken)) {
            return false;
        }
        if (!taken && argument_is(call->argv[i], "nomkstream")) {
            adding->only_present = true;
        } else if (!taken) {
            if (!new_id_read(call, call->argv[i], adding)) {
                return false;
            }
            break;
        }
    }
    adding->fields = i + 1;
    if (!trimming_finish(call, &adding->trimming, false)) {
        return false;
    }
    if (call->argc < adding->fields + 2 || (call->argc - adding->fields) % 2 != 0) {
        resp_error(call->out, "ERR wrong number of arguments for 'xadd' command");
        return false;
    }
    if (!adding->any_id && !adding->any_seq && adding->id.ms == 0 && adding->id.seq == 0) {
        resp_error(call->out, "ERR The ID specified in XADD must be greater than 0-0");
        return false;
    }
    return true;
}

static bool id_make(struct call *call, const struct adding *adding, struct stream_id last,
                    struct stream_id *id_out)
{
    struct stream_id next = last;
    if (!streams_id_after(&next)) {
        resp_error(call->out, "ERR The stream has exhausted the last possible ID, unable to add "
                              "more items");
        return false;
    }
    *id_out = adding->id;
    if (adding->any_id) {
        *id_out = call->now_ms > last.ms ? (struct stream_id){call->now_ms, 0} : next;
    } else if (adding->any_seq && adding->id.ms == last.ms && next.ms == last.ms) {
        *id_out = next;
    }
    if (stream_id_compare(*id_out, last) <= 0) {
        resp_error(call->out, "ERR The ID specified in XADD is equal or smaller than the target "
                              "stream top item");
        return false;
    }
    return true;
}

/* Redis's limit. */
#define FIELDS_SIZE_MAX (1ull << 30)

static bool fields_fit(struct call *call, const struct bytes *fields, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += fields[i].size;
    }
    if (size > FIELDS_SIZE_MAX) {
        resp_error(call->out, "ERR Elements are too large to be stored");
        return false;
    }
    return true;
}

/* The first entries go, as the options say. */
static enum status trim(struct call *call, const struct stream_trim *how, uint64_t *count_out)
{
    struct value value;
    bool keep = false;
    *count_out = 0;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status == ST_OK && value.type == VALUE_STREAM) {
        status = stream_trim_count(&value, how, count_out, &keep);
    }
    if (status == ST_OK && *count_out > 0) {
        status = txn_stream_trim(call->txn, 0, *count_out, keep);
    }
    return status;
}

/* Reads before the entry is added what the trimming will look at then. */
static enum status trim_ahead(const struct value *value, const struct trimming *trimming)
{
    if (!trimming->given || value->type == VALUE_NONE) {
        return ST_OK;
    }
    uint64_t count;
    bool keep;
    struct stream_trim more = trimming->trim;
    more.length -= more.length > 0;
    return stream_trim_count(value, &more, &count, &keep);
}

static enum status xadd(struct call *call)
{
    struct adding adding = {.only_present = false};
    struct value value;
    struct stream_id id;
    if (!adding_read(call, &adding)) {
        return ST_OK;
    }
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !streams_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE && adding.only_present) {
        resp_null(call->out);
        return ST_OK;
    }
    struct stream_id last = value.type == VALUE_NONE ? STREAM_ID_MIN : stream_summary(&value).last;
    const struct bytes *fields = call->argv + adding.fields;
    size_t count = call->argc - adding.fields;
    if (!id_make(call, &adding, last, &id) || !fields_fit(call, fields, count)) {
        return ST_OK;
    }
    uint64_t trimmed;
    status = trim_ahead(&value, &adding.trimming);
    if (status != ST_OK) {
        return status;
    }
    status = txn_stream_add(call->txn, 0, id, fields, count / 2);
    if (status == ST_OK && adding.trimming.given) {
        status = trim(call, &adding.trimming.trim, &trimmed);
    }
    if (status == ST_OK) {
        streams_reply_id(call, id);
    }
    return status;
}

static enum status xtrim(struct call *call)
{
    struct trimming trimming = {.given = false};
    for (size_t i = 2; i < call->argc; i++) {
        bool taken;
        if (!trimming_read(call, &i, &trimming, &taken)) {
            return ST_OK;
        }
        if (!taken) {
            reply_syntax_error(call);
            return ST_OK;
        }
    }
    if (!trimming_finish(call, &trimming, true)) {
        return ST_OK;
    }
    struct value value;
    uint64_t count = 0;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !streams_fits(call, &value)) {
        return status;
    }
    status = trim(call, &trimming.trim, &count);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)count);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Length, ranges.
 */

static enum status xlen(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status == ST_OK && streams_fits(call, &value)) {
        resp_integer(call->out,
                     value.type == VALUE_NONE ? 0 : (int64_t)stream_summary(&value).count);
    }
    return status;
}

static enum status range(struct call *call, bool backwards)
{
    struct stream_id from;
    struct stream_id to;
    int64_t count = -1;
    if (!streams_start(call, call->argv[backwards ? 3 : 2], &from) ||
        !streams_end(call, call->argv[backwards ? 2 : 3], &to)) {
        return ST_OK;
    }
    for (size_t i = 4; i < call->argc; i += 2) {
        if (i + 1 >= call->argc || !argument_is(call->argv[i], "count")) {
            reply_syntax_error(call);
            return ST_OK;
        }
        if (!argument_int64(call, call->argv[i + 1], &count)) {
            return ST_OK;
        }
        count = count < 0 ? 0 : count;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !streams_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_array(call->out, 0);
        return ST_OK;
    }
    if (count == 0) {
        resp_null_array(call->out);
        return ST_OK;
    }
    return streams_reply_range(call, &value, from, to, count < 0 ? UINT64_MAX : (uint64_t)count,
                               backwards);
}

static enum status xrange(struct call *call)
{
    return range(call, false);
}

static enum status xrevrange(struct call *call)
{
    return range(call, true);
}

/* ------------------------------------------------------------------------------------------
 * Delete, set the ID.
 */

static enum status xdel(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !streams_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    size_t count = call->argc - 2;
    struct stream_id *ids = arena_alloc(call->arena, count * sizeof(*ids));
    if (ids == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (!streams_id(call, call->argv[2 + i], false, 0, &ids[i])) {
            return ST_OK;
        }
    }
    uint64_t deleted;
    status = txn_stream_delete(call->txn, 0, ids, count, &deleted);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)deleted);
    }
    return status;
}

struct setting {
    struct stream_id last, max_deleted;
    int64_t added; /* -1: not given */
};

static bool setting_read(struct call *call, struct setting *setting)
{
    *setting = (struct setting){.added = -1};
    if (!streams_id(call, call->argv[2], false, 0, &setting->last)) {
        return false;
    }
    for (size_t i = 3; i < call->argc; i += 2) {
        struct bytes option = call->argv[i];
        bool more = i + 1 < call->argc;
        if (more && argument_is(option, "entriesadded")) {
            if (!argument_int64(call, call->argv[i + 1], &setting->added)) {
                return false;
            }
            if (setting->added < 0) {
                resp_error(call->out, "ERR entries_added must be positive");
                return false;
            }
        } else if (more && argument_is(option, "maxdeletedid")) {
            if (!streams_id(call, call->argv[i + 1], false, 0, &setting->max_deleted)) {
                return false;
            }
            if (stream_id_compare(setting->last, setting->max_deleted) < 0) {
                resp_error(call->out, "ERR The ID specified in XSETID is smaller than the provided "
                                      "max_deleted_entry_id");
                return false;
            }
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

static enum status entry_id(void *ctx, struct stream_entry *entry)
{
    *(struct stream_id *)ctx = entry->id;
    return ST_OK;
}

static enum status xsetid(struct call *call)
{
    struct setting setting;
    struct value value;
    if (!setting_read(call, &setting)) {
        return ST_OK;
    }
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type == VALUE_NONE) {
        resp_error(call->out, "ERR no such key");
        return ST_OK;
    }
    if (!streams_fits(call, &value)) {
        return ST_OK;
    }
    struct stream_summary summary = stream_summary(&value);
    struct stream_id top = STREAM_ID_MIN;
    status = stream_walk(&value, STREAM_ID_MIN, STREAM_ID_MAX, 1, true, entry_id, &top);
    if (status != ST_OK) {
        return status;
    }
    if (stream_id_compare(setting.last, summary.max_deleted) < 0) {
        resp_error(call->out, "ERR The ID specified in XSETID is smaller than current "
                              "max_deleted_entry_id");
        return ST_OK;
    }
    if (stream_id_compare(setting.last, top) < 0) {
        resp_error(call->out,
                   "ERR The ID specified in XSETID is smaller than the target stream top item");
        return ST_OK;
    }
    if (setting.added != -1 && (uint64_t)setting.added < summary.count) {
        resp_error(call->out, "ERR The entries_added specified in XSETID is smaller than the "
                              "target stream length");
        return ST_OK;
    }
    bool given = stream_id_compare(setting.max_deleted, STREAM_ID_MIN) > 0;
    status = txn_stream_set_id(call->txn, 0, setting.last,
                               setting.added == -1 ? summary.added : (uint64_t)setting.added,
                               given ? setting.max_deleted : summary.max_deleted);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

/* Keys between the word STREAMS and as many IDs. */
#define KEYS_READ(at)                                                                              \
    {                                                                                              \
        {.flags = KEY_RO | KEY_ACCESS,                                                             \
         .keyword = "STREAMS",                                                                     \
         .start_from = (at),                                                                       \
         .find = KEY_FIND_RANGE,                                                                   \
         .last = -1,                                                                               \
         .step = 1,                                                                                \
         .limit = 2},                                                                              \
    }

const struct command streams_commands[] = {
    {.name = "xack",
     .handler = streams_xack,
     .arity = -4,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N) for each ID, where N is the number of pending entries.",
     .summary = "Takes entries from what is pending in a consumer group.",
     .arguments = "key group id [id ...]"},
    {.name = "xadd",
     .handler = xadd,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N) to add, and O(M) for M entries that are trimmed.",
     .summary = "Adds an entry to a stream, and trims it if asked to.",
     .arguments = "key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id "
                  "field value [field value ...]",
     .tips = streams_tips},
    {.name = "xautoclaim",
     .handler = streams_xautoclaim,
     .arity = -6,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "stream",
     .since = "6.2.0",
     .complexity = "O(log N) for each of at most ten times COUNT pending entries looked at.",
     .summary = "Makes idle pending entries those of another consumer, going through all of them.",
     .arguments = "key group consumer min-idle-time start [COUNT count] [JUSTID]",
     .tips = streams_tips},
    {.name = "xclaim",
     .handler = streams_xclaim,
     .arity = -6,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N) for each ID, where N is the number of pending entries.",
     .summary = "Makes pending entries those of another consumer.",
     .arguments = "key group consumer min-idle-time id [id ...] [IDLE ms] "
                  "[TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] "
                  "[LASTID lastid]",
     .tips = streams_tips},
    {.name = "xdel",
     .handler = xdel,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CAT_WRITE | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N) for each ID.",
     .summary = "Deletes entries by their IDs.",
     .arguments = "key id [id ...]"},
    {.name = "xgroup",
     .arity = -2,
     .categories = CAT_SLOW,
     .group = "stream",
     .since = "5.0.0",
     .summary = "Makes, changes and removes consumer groups.",
     .subcommands = streams_xgroup_subcommands},
    {.name = "xinfo",
     .arity = -2,
     .categories = CAT_SLOW,
     .group = "stream",
     .since = "5.0.0",
     .summary = "Tells about streams, their groups and consumers.",
     .subcommands = streams_xinfo_subcommands},
    {.name = "xlen",
     .handler = xlen,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Gives the number of entries of a stream.",
     .arguments = "key"},
    {.name = "xpending",
     .handler = streams_xpending,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N + M) for M entries looked at; O(C) for C consumers without a range.",
     .summary = "Tells what is pending in a consumer group.",
     .arguments = "key group [[IDLE min-idle-time] start end count [consumer]]",
     .tips = streams_tips},
    {.name = "xrange",
     .handler = xrange,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N + M) where M is the number of entries returned.",
     .summary = "Gives the entries between two IDs.",
     .arguments = "key start end [COUNT count]"},
    {.name = "xread",
     .handler = streams_xread,
     .arity = -4,
     .flags = CMD_READONLY | CMD_BLOCKING | CMD_MOVABLEKEYS,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW | CAT_BLOCKING,
     .keys = KEYS_READ(1),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N + M) for each stream, where M is the number of entries returned.",
     .summary = "Gives the entries of several streams behind given IDs.",
     .arguments = "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
     .plan = streams_plan_read},
    {.name = "xreadgroup",
     .handler = streams_xreadgroup,
     .arity = -7,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLEKEYS,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW | CAT_BLOCKING,
     .keys = KEYS_READ(4),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(M log N) for each stream, where M is the number of entries returned.",
     .summary = "Gives a consumer new entries of several streams, or those pending for it.",
     .arguments = "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key "
                  "[key ...] id [id ...]",
     .plan = streams_plan_read},
    {.name = "xrevrange",
     .handler = xrevrange,
     .arity = -4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N + M) where M is the number of entries returned.",
     .summary = "Gives the entries between two IDs, the last first.",
     .arguments = "key end start [COUNT count]"},
    {.name = "xsetid",
     .handler = xsetid,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .categories = CAT_WRITE | CAT_STREAM | CAT_FAST,
     .keys = KEYS_ONE(KEY_RW | KEY_UPDATE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(log N)",
     .summary = "Sets the last ID of a stream, and what was ever added or deleted.",
     .arguments = "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]"},
    {.name = "xtrim",
     .handler = xtrim,
     .arity = -4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_DELETE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(N) where N is the number of entries that go.",
     .summary = "Removes the first entries of a stream.",
     .arguments = "key MAXLEN | MINID [= | ~] threshold [LIMIT count]",
     .tips = streams_tips},
    {.name = NULL},
};
