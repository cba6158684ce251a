/* XINFO. The figures of Redis's radix tree are those of nodes here: as many keys as nodes, and one
 * node of a tree more than that. */
#include "src/commands/streams_private.h"

#define COUNT_DEFAULT 10

static void reply_field_id(struct call *call, const char *name, struct stream_id id)
{
    resp_bulk_text(call->out, name);
    streams_reply_id(call, id);
}

static void reply_field_integer(struct call *call, const char *name, int64_t value)
{
    resp_bulk_text(call->out, name);
    resp_integer(call->out, value);
}

static void reply_field_bytes(struct call *call, const char *name, struct bytes value)
{
    resp_bulk_text(call->out, name);
    resp_bulk(call->out, value.data, value.size);
}

/* False: an error is written, or the status is not ST_OK. */
static bool xinfo_stream(struct call *call, struct value *value_out, enum status *status)
{
    *status = txn_read(call->txn, 0, value_out);
    if (*status != ST_OK) {
        return false;
    }
    if (value_out->type == VALUE_NONE) {
        resp_error(call->out, "ERR no such key");
        return false;
    }
    return streams_fits(call, value_out);
}

/* ------------------------------------------------------------------------------------------
 * Groups and consumers.
 */

/* entries-read and lag. */
static enum status reply_progress(struct call *call, const struct value *value,
                                  const struct stream_group *group)
{
    int64_t lag;
    bool known;
    int64_t entries_read = stream_group_view(group).entries_read;
    enum status status = stream_group_lag(value, group, &lag, &known);
    if (status != ST_OK) {
        return status;
    }
    resp_bulk_text(call->out, "entries-read");
    if (entries_read == -1) {
        resp_null(call->out);
    } else {
        resp_integer(call->out, entries_read);
    }
    resp_bulk_text(call->out, "lag");
    if (known) {
        resp_integer(call->out, lag);
    } else {
        resp_null(call->out);
    }
    return ST_OK;
}

static enum status xinfo_groups(struct call *call)
{
    struct value value;
    enum status status;
    if (!xinfo_stream(call, &value, &status)) {
        return status;
    }
    size_t count = stream_summary(&value).groups;
    resp_array(call->out, count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        const struct stream_group *group = stream_group_at(&value, i);
        struct stream_group_view view = stream_group_view(group);
        resp_map(call->out, 6);
        reply_field_bytes(call, "name", view.name);
        reply_field_integer(call, "consumers", (int64_t)view.consumers);
        reply_field_integer(call, "pending", (int64_t)view.pending);
        reply_field_id(call, "last-delivered-id", view.last);
        status = reply_progress(call, &value, group);
    }
    return status;
}

static enum status xinfo_consumers(struct call *call)
{
    struct value value;
    enum status status;
    if (!xinfo_stream(call, &value, &status)) {
        return status;
    }
    const struct stream_group *group = stream_group(&value, call->argv[3]);
    if (group == NULL) {
        struct bytes name = bytes_slice(call->argv[3], 0, ERROR_WORD_MAX);
        struct bytes key = bytes_slice(call->argv[2], 0, ERROR_WORD_MAX);
        resp_error_format(call->out, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                          (int)name.size, (const char *)name.data, (int)key.size,
                          (const char *)key.data);
        return ST_OK;
    }
    size_t count = stream_group_view(group).consumers;
    resp_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        struct stream_consumer_view view = stream_consumer_view(stream_consumer_at(group, i));
        resp_map(call->out, 4);
        reply_field_bytes(call, "name", view.name);
        reply_field_integer(call, "pending", (int64_t)view.pending);
        reply_field_integer(call, "idle", streams_since(call, view.seen_ms));
        reply_field_integer(call, "inactive",
                            view.active_ms == -1 ? -1 : streams_since(call, view.active_ms));
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Streams.
 */

static enum status reply_summary(struct call *call, const struct value *value)
{
    struct stream_summary summary = stream_summary(value);
    struct stream_id first;
    enum status status = stream_first(value, &first);
    reply_field_integer(call, "length", (int64_t)summary.count);
    reply_field_integer(call, "radix-tree-keys", (int64_t)summary.nodes);
    reply_field_integer(call, "radix-tree-nodes", (int64_t)summary.nodes + 1);
    reply_field_id(call, "last-generated-id", summary.last);
    reply_field_id(call, "max-deleted-entry-id", summary.max_deleted);
    reply_field_integer(call, "entries-added", (int64_t)summary.added);
    reply_field_id(call, "recorded-first-entry-id", first);
    return status;
}

/* The first entry, or the last one. */
static enum status reply_edge(struct call *call, const struct value *value, bool last)
{
    resp_bulk_text(call->out, last ? "last-entry" : "first-entry");
    if (stream_summary(value).count == 0) {
        resp_null(call->out);
        return ST_OK;
    }
    return stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, 1, last, streams_reply_entry, call);
}

struct listing {
    struct call *call;
    uint64_t left;
    bool names; /* Of the consumers too. */
};

static enum status list_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    struct listing *listing = ctx;
    struct call *call = listing->call;
    resp_array(call->out, listing->names ? 4 : 3);
    streams_reply_id(call, pending->id);
    if (listing->names) {
        struct bytes name = stream_consumer_view(pending->consumer).name;
        resp_bulk(call->out, name.data, name.size);
    }
    resp_integer(call->out, pending->delivered_ms);
    resp_integer(call->out, (int64_t)pending->deliveries);
    *more = --listing->left > 0;
    return ST_OK;
}

static enum status reply_pending(struct call *call, const struct stream_group *group,
                                 const struct stream_consumer *consumer, uint64_t pending,
                                 uint64_t count)
{
    reply_field_integer(call, "pel-count", (int64_t)pending);
    resp_bulk_text(call->out, "pending");
    count = pending < count ? pending : count;
    resp_array(call->out, count);
    struct listing listing = {call, count, consumer == NULL};
    return count == 0 ? ST_OK
                      : stream_pending_walk(group, consumer, STREAM_ID_MIN, STREAM_ID_MAX,
                                            list_pending, &listing);
}

static enum status reply_group(struct call *call, const struct value *value,
                               const struct stream_group *group, uint64_t count)
{
    struct stream_group_view view = stream_group_view(group);
    resp_map(call->out, 7);
    reply_field_bytes(call, "name", view.name);
    reply_field_id(call, "last-delivered-id", view.last);
    enum status status = reply_progress(call, value, group);
    if (status == ST_OK) {
        status = reply_pending(call, group, NULL, view.pending, count);
    }
    resp_bulk_text(call->out, "consumers");
    resp_array(call->out, view.consumers);
    for (size_t i = 0; i < view.consumers && status == ST_OK; i++) {
        const struct stream_consumer *consumer = stream_consumer_at(group, i);
        struct stream_consumer_view one = stream_consumer_view(consumer);
        resp_map(call->out, 5);
        reply_field_bytes(call, "name", one.name);
        reply_field_integer(call, "seen-time", one.seen_ms);
        reply_field_integer(call, "active-time", one.active_ms);
        status = reply_pending(call, group, consumer, one.pending, count);
    }
    return status;
}

static enum status reply_full(struct call *call, const struct value *value, uint64_t count)
{
    size_t groups = stream_summary(value).groups;
    resp_map(call->out, 9);
    enum status status = reply_summary(call, value);
    if (status != ST_OK) {
        return status;
    }
    resp_bulk_text(call->out, "entries");
    status = streams_reply_range(call, value, STREAM_ID_MIN, STREAM_ID_MAX, count, false);
    resp_bulk_text(call->out, "groups");
    resp_array(call->out, groups);
    for (size_t i = 0; i < groups && status == ST_OK; i++) {
        status = reply_group(call, value, stream_group_at(value, i), count);
    }
    return status;
}

static enum status xinfo_stream_command(struct call *call)
{
    struct value value;
    enum status status;
    if (!xinfo_stream(call, &value, &status)) {
        return status;
    }
    if (call->argc == 3) {
        resp_map(call->out, 10);
        status = reply_summary(call, &value);
        reply_field_integer(call, "groups", (int64_t)stream_summary(&value).groups);
        status = status == ST_OK ? reply_edge(call, &value, false) : status;
        return status == ST_OK ? reply_edge(call, &value, true) : status;
    }
    bool counted = call->argc == 6;
    if (!argument_is(call->argv[3], "full") || (call->argc != 4 && !counted) ||
        (counted && !argument_is(call->argv[4], "count"))) {
        streams_reply_wrong_options(call);
        return ST_OK;
    }
    int64_t count = COUNT_DEFAULT;
    if (counted && !argument_int64(call, call->argv[5], &count)) {
        return ST_OK;
    }
    count = count < 0 ? COUNT_DEFAULT : count;
    return reply_full(call, &value, count == 0 ? UINT64_MAX : (uint64_t)count);
}

static enum status xinfo_help(struct call *call)
{
    static const char *const lines[] = {
        "CONSUMERS <key> <groupname>",
        "    Tell about the consumers of a group.",
        "GROUPS <key>",
        "    Tell about the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Tell about a stream; with FULL also its entries, groups and consumers.",
        NULL,
    };
    reply_help(call, lines);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

const struct command streams_xinfo_subcommands[] = {
    {.name = "consumers",
     .handler = xinfo_consumers,
     .arity = 4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RO | KEY_ACCESS),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(N) where N is the number of consumers.",
     .summary = "Tells about the consumers of a group.",
     .arguments = "key group",
     .tips = streams_tips},
    {.name = "groups",
     .handler = xinfo_groups,
     .arity = 3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RO | KEY_ACCESS),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(N) where N is the number of groups.",
     .summary = "Tells about the groups of a stream.",
     .arguments = "key"},
    {.name = "help",
     .handler = xinfo_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CAT_STREAM | CAT_SLOW,
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Tells about the subcommands."},
    {.name = "stream",
     .handler = xinfo_stream_command,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RO | KEY_ACCESS),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(N) for N entries, groups and consumers told about with FULL, else O(log N).",
     .summary = "Tells about a stream.",
     .arguments = "key [FULL [COUNT count]]"},
    {.name = NULL},
};
