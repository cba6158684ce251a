/* XGROUP, XACK, XPENDING. */
#include "src/commands/streams_private.h"

/* ------------------------------------------------------------------------------------------
 * XGROUP.
 */

/* Reads key 0, which must be there (unless absent_fits). False: an error is written, or the status
 * is not ST_OK. */
static bool xgroup_stream(struct call *call, bool absent_fits, struct value *value_out,
                          enum status *status)
{
    *status = txn_peek(call->txn, 0, value_out);
    if (*status != ST_OK || !streams_fits(call, value_out)) {
        return false;
    }
    if (value_out->type == VALUE_NONE && !absent_fits) {
        resp_error(call->out,
                   "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you "
                   "may want to use the MKSTREAM option to create an empty stream automatically.");
        return false;
    }
    return true;
}

/* The group argv[3] too. */
static bool xgroup_group(struct call *call, struct value *value_out, enum status *status)
{
    if (!xgroup_stream(call, false, value_out, status)) {
        return false;
    }
    if (stream_group(value_out, call->argv[3]) == NULL) {
        struct bytes group = bytes_slice(call->argv[3], 0, ERROR_WORD_MAX);
        struct bytes key = bytes_slice(call->argv[2], 0, ERROR_WORD_MAX);
        resp_error_format(call->out, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                          (int)group.size, (const char *)group.data, (int)key.size,
                          (const char *)key.data);
        return false;
    }
    return true;
}

static bool entries_read_read(struct call *call, struct bytes argument, int64_t *value_out)
{
    if (!argument_int64(call, argument, value_out)) {
        return false;
    }
    if (*value_out < -1) {
        resp_error(call->out, "ERR value for ENTRIESREAD must be positive or -1");
        return false;
    }
    return true;
}

static bool xgroup_options(struct call *call, bool *make_stream_out, int64_t *entries_read_out)
{
    bool create = make_stream_out != NULL;
    *entries_read_out = -1;
    for (size_t i = 5; i < call->argc; i++) {
        if (create && argument_is(call->argv[i], "mkstream")) {
            *make_stream_out = true;
        } else if (argument_is(call->argv[i], "entriesread") && i + 1 < call->argc) {
            if (!entries_read_read(call, call->argv[++i], entries_read_out)) {
                return false;
            }
        } else {
            streams_reply_wrong_options(call);
            return false;
        }
    }
    return true;
}

/* "$" or an ID; edges: also "-" and "+". */
static bool xgroup_id(struct call *call, const struct value *value, bool edges,
                      struct stream_id *id_out)
{
    if (bytes_equal(call->argv[4], bytes_of_text("$"))) {
        *id_out = value->type == VALUE_NONE ? STREAM_ID_MIN : stream_summary(value).last;
        return true;
    }
    return streams_id(call, call->argv[4], edges, 0, id_out);
}

/* Each option once: no more are taken, even if they make sense. */
#define CREATE_ARGUMENTS_MAX 8
#define SETID_ARGUMENTS_MAX 7

static enum status xgroup_create(struct call *call)
{
    bool make_stream = false;
    int64_t entries_read;
    struct value value;
    struct stream_id id;
    enum status status = ST_OK;
    if (!xgroup_options(call, &make_stream, &entries_read) ||
        !xgroup_stream(call, make_stream, &value, &status)) {
        return status;
    }
    if (call->argc > CREATE_ARGUMENTS_MAX) {
        streams_reply_wrong_options(call);
        return ST_OK;
    }
    if (!xgroup_id(call, &value, false, &id)) {
        return ST_OK;
    }
    if (value.type != VALUE_NONE && stream_group(&value, call->argv[3]) != NULL) {
        resp_error(call->out, "BUSYGROUP Consumer Group name already exists");
        return ST_OK;
    }
    status = txn_stream_group_set(call->txn, 0, true, call->argv[3], id, entries_read);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

static enum status xgroup_setid(struct call *call)
{
    int64_t entries_read;
    struct value value;
    struct stream_id id;
    enum status status = ST_OK;
    if (!xgroup_options(call, NULL, &entries_read) || !xgroup_group(call, &value, &status)) {
        return status;
    }
    if (call->argc > SETID_ARGUMENTS_MAX) {
        streams_reply_wrong_options(call);
        return ST_OK;
    }
    if (!xgroup_id(call, &value, true, &id)) {
        return ST_OK;
    }
    status = txn_stream_group_set(call->txn, 0, false, call->argv[3], id, entries_read);
    if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

static enum status xgroup_destroy(struct call *call)
{
    struct value value;
    uint64_t destroyed = 0;
    enum status status = ST_OK;
    if (!xgroup_stream(call, false, &value, &status)) {
        return status;
    }
    status = txn_stream_group_destroy(call->txn, 0, call->argv[3], &destroyed);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)destroyed);
    }
    return status;
}

static enum status xgroup_createconsumer(struct call *call)
{
    struct value value;
    uint64_t created = 0;
    enum status status = ST_OK;
    if (!xgroup_group(call, &value, &status)) {
        return status;
    }
    struct stream_member member = {call->argv[3], call->argv[4]};
    status = txn_stream_consumer_create(call->txn, 0, member, &created);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)created);
    }
    return status;
}

static enum status xgroup_delconsumer(struct call *call)
{
    struct value value;
    uint64_t pending = 0;
    enum status status = ST_OK;
    if (!xgroup_group(call, &value, &status)) {
        return status;
    }
    struct stream_member member = {call->argv[3], call->argv[4]};
    status = txn_stream_consumer_delete(call->txn, 0, member, &pending);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)pending);
    }
    return status;
}

static enum status xgroup_help(struct call *call)
{
    static const char *const lines[] = {
        "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <entries-read>]",
        "    Make a consumer group that begins behind <id>. With MKSTREAM the stream is",
        "    made too, if it is not there; ENTRIESREAD says how much of it has been read.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer in the group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the consumer with all that is pending for it.",
        "DESTROY <key> <groupname>",
        "    Remove the group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD <entries-read>]",
        "    Set the last ID that the group has been given.",
        NULL,
    };
    reply_help(call, lines);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * XACK.
 */

enum status streams_xack(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !streams_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE || stream_group(&value, call->argv[2]) == NULL) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    size_t count = call->argc - 3;
    struct stream_id *ids = arena_alloc(call->arena, count * sizeof(*ids));
    if (ids == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (!streams_id(call, call->argv[3 + i], false, 0, &ids[i])) {
            return ST_OK;
        }
    }
    uint64_t acked = 0;
    status = txn_stream_ack(call->txn, 0, call->argv[2], ids, count, &acked);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)acked);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * XPENDING.
 */

struct asking {
    bool ranged;
    int64_t idle_ms;
    uint64_t count;
    struct stream_id from, to;
    struct bytes consumer; /* data NULL: all */
};

static bool asking_read(struct call *call, struct asking *asking)
{
    *asking = (struct asking){.consumer = BYTES_NONE};
    size_t at = 3;
    asking->ranged = call->argc > 3;
    if (!asking->ranged) {
        return true;
    }
    if (call->argc < 6 || call->argc > 9) {
        reply_syntax_error(call);
        return false;
    }
    if (argument_is(call->argv[3], "idle")) {
        if (!argument_int64(call, call->argv[4], &asking->idle_ms)) {
            return false;
        }
        if (call->argc < 8) {
            reply_syntax_error(call);
            return false;
        }
        at = 5;
    }
    int64_t count;
    if (!argument_int64(call, call->argv[at + 2], &count) ||
        !streams_start(call, call->argv[at], &asking->from) ||
        !streams_end(call, call->argv[at + 1], &asking->to)) {
        return false;
    }
    asking->count = count < 0 ? 0 : (uint64_t)count;
    if (at + 3 < call->argc) {
        asking->consumer = call->argv[at + 3];
    }
    return true;
}

struct finding {
    struct call *call;
    const struct asking *asking;
    struct streams_array found;
};

static enum status find(void *ctx, const struct stream_pending *pending, bool *more)
{
    struct finding *finding = ctx;
    const struct asking *asking = finding->asking;
    if (asking->idle_ms > 0 &&
        streams_since(finding->call, pending->delivered_ms) < asking->idle_ms) {
        return ST_OK;
    }
    struct stream_pending *place =
        streams_array_add(finding->call, &finding->found, sizeof(*place));
    if (place == NULL) {
        return ST_NOMEM;
    }
    *place = *pending;
    *more = finding->found.count < asking->count;
    return ST_OK;
}

static enum status reply_found(struct call *call, const struct stream_group *group,
                               const struct asking *asking)
{
    struct finding finding = {.call = call, .asking = asking};
    const struct stream_consumer *consumer =
        asking->consumer.data == NULL ? NULL : stream_consumer(group, asking->consumer);
    if (asking->count > 0 && (asking->consumer.data == NULL || consumer != NULL)) {
        enum status status =
            stream_pending_walk(group, consumer, asking->from, asking->to, find, &finding);
        if (status != ST_OK) {
            return status;
        }
    }
    const struct stream_pending *found = finding.found.items;
    resp_array(call->out, finding.found.count);
    for (size_t i = 0; i < finding.found.count; i++) {
        struct bytes name = stream_consumer_view(found[i].consumer).name;
        resp_array(call->out, 4);
        streams_reply_id(call, found[i].id);
        resp_bulk(call->out, name.data, name.size);
        resp_integer(call->out, streams_since(call, found[i].delivered_ms));
        resp_integer(call->out, (int64_t)found[i].deliveries);
    }
    return ST_OK;
}

static enum status take_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    *(struct stream_id *)ctx = pending->id;
    *more = false;
    return ST_OK;
}

static enum status reply_summary(struct call *call, const struct stream_group *group)
{
    struct stream_group_view view = stream_group_view(group);
    struct stream_id first = STREAM_ID_MIN;
    struct stream_id last;
    enum status status =
        stream_pending_walk(group, NULL, STREAM_ID_MIN, STREAM_ID_MAX, take_pending, &first);
    if (status == ST_OK) {
        status = stream_pending_last(group, &last);
    }
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, 4);
    resp_integer(call->out, (int64_t)view.pending);
    if (view.pending == 0) {
        resp_null(call->out);
        resp_null(call->out);
        resp_null_array(call->out);
        return ST_OK;
    }
    streams_reply_id(call, first);
    streams_reply_id(call, last);
    uint64_t busy = 0;
    for (size_t i = 0; i < view.consumers; i++) {
        busy += stream_consumer_view(stream_consumer_at(group, i)).pending > 0;
    }
    resp_array(call->out, busy);
    for (size_t i = 0; i < view.consumers; i++) {
        struct stream_consumer_view consumer = stream_consumer_view(stream_consumer_at(group, i));
        if (consumer.pending > 0) {
            resp_array(call->out, 2);
            resp_bulk(call->out, consumer.name.data, consumer.name.size);
            resp_bulk_integer(call->out, (int64_t)consumer.pending);
        }
    }
    return ST_OK;
}

enum status streams_xpending(struct call *call)
{
    struct asking asking;
    struct value value;
    const struct stream_group *group;
    if (!asking_read(call, &asking)) {
        return ST_OK;
    }
    enum status status = streams_read_group(call, call->argv[2], &value, &group);
    if (group == NULL) {
        return status;
    }
    return asking.ranged ? reply_found(call, group, &asking) : reply_summary(call, group);
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

const struct command streams_xgroup_subcommands[] = {
    {.name = "create",
     .handler = xgroup_create,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RW | KEY_INSERT),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Makes a consumer group.",
     .arguments = "key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]"},
    {.name = "createconsumer",
     .handler = xgroup_createconsumer,
     .arity = 5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RW | KEY_INSERT),
     .group = "stream",
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Makes a consumer in a group.",
     .arguments = "key group consumer"},
    {.name = "delconsumer",
     .handler = xgroup_delconsumer,
     .arity = 5,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RW | KEY_DELETE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(N log M) for N entries pending for the consumer and M in the group.",
     .summary = "Removes a consumer with all that is pending for it.",
     .arguments = "key group consumer"},
    {.name = "destroy",
     .handler = xgroup_destroy,
     .arity = 4,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RW | KEY_DELETE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(N) where N is the number of pending entries.",
     .summary = "Removes a consumer group.",
     .arguments = "key group"},
    {.name = "help",
     .handler = xgroup_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CAT_STREAM | CAT_SLOW,
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Tells about the subcommands."},
    {.name = "setid",
     .handler = xgroup_setid,
     .arity = -5,
     .flags = CMD_WRITE,
     .categories = CAT_WRITE | CAT_STREAM | CAT_SLOW,
     .keys = KEYS_STREAM_SUBCOMMAND(KEY_RW | KEY_UPDATE),
     .group = "stream",
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Sets the last ID that a group has been given.",
     .arguments = "key group id | $ [ENTRIESREAD entries-read]"},
    {.name = NULL},
};
