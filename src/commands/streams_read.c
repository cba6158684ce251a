/* XREAD and XREADGROUP.
 *
 * XREADGROUP changes what it reads. It runs in two passes. The first reads the arguments and every
 * stream, finds which entries each will be given, and reserves room in the log. The second writes
 * the reply and delivers, one stream after the other, so that a key named twice is served as if two
 * commands had come; all that it reads was read before.
 *
 * Blocking is not built: what would have to wait is refused.
 */
#include "src/commands/streams_private.h"

#include <stdlib.h>

#define BLOCK_REFUSED "ERR BLOCK is not supported yet: blocking reads are not built"
/* Log for one stream of XREADGROUP, besides names and IDs. */
#define DELIVER_RESERVE 160

struct reading {
    bool group_given, unheld, block;
    struct stream_member member;
    uint64_t count;
    size_t first; /* Index of the first key. */
    size_t streams;
};

/* What one stream of XREADGROUP or XREAD is asked for. */
struct source {
    struct bytes key;
    struct bytes id_text;
    struct stream_id after; /* Entries behind this ID … */
    bool edge;              /* … or ("+") the last one. */
    bool fresh;             /* ">": those that the group has not been given. */
    struct streams_array ids;
    struct source *before; /* The one before it with the same key; NULL: none. */
    struct stream_id last; /* The last that the group will have been given after its turn. */
};

static bool reading_group(const struct call *call)
{
    return call->command->handler == streams_xreadgroup;
}

/* The word STREAMS; 0: there is none. Looks at options only as far as to pass their values. */
static size_t find_streams(const struct call *call)
{
    for (size_t i = 1; i < call->argc; i++) {
        if (argument_is(call->argv[i], "streams")) {
            return i;
        }
        if (argument_is(call->argv[i], "count") || argument_is(call->argv[i], "block")) {
            i++;
        } else if (argument_is(call->argv[i], "group")) {
            i += 2;
        }
    }
    return 0;
}

enum status streams_plan_read(struct call *call)
{
    size_t at = find_streams(call);
    size_t count = at == 0 ? 0 : call->argc - at - 1;
    enum status status = ST_OK;
    for (size_t i = 0; i < count / 2 && count % 2 == 0 && status == ST_OK; i++) {
        status = call_plan_key(call, call->database, call->argv[at + 1 + i]);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Arguments.
 */

static bool streams_read(struct call *call, struct reading *reading, size_t index)
{
    size_t count = call->argc - index - 1;
    if (count % 2 != 0) {
        resp_error(call->out, "ERR Unbalanced XREAD list of streams: for each stream key an ID or "
                              "'$' must be specified.");
        return false;
    }
    reading->first = index + 1;
    reading->streams = count / 2;
    return true;
}

/* The option at *index, which moves to its last argument. False: the error is written. */
static bool option_read(struct call *call, struct reading *reading, size_t *index)
{
    struct bytes option = call->argv[*index];
    size_t more = call->argc - *index - 1;
    bool group = reading_group(call);
    if (argument_is(option, "block") && more > 0) {
        uint64_t until_ms;
        reading->block = true;
        return argument_timeout_ms(call, call->argv[++*index], &until_ms);
    }
    if (argument_is(option, "count") && more > 0) {
        int64_t count;
        if (!argument_int64(call, call->argv[++*index], &count)) {
            return false;
        }
        reading->count = count <= 0 ? UINT64_MAX : (uint64_t)count;
        return true;
    }
    if (argument_is(option, "group") && more >= 2) {
        if (!group) {
            resp_error(call->out, "ERR The GROUP option is only supported by XREADGROUP. You "
                                  "called XREAD instead.");
            return false;
        }
        reading->group_given = true;
        reading->member = (struct stream_member){call->argv[*index + 1], call->argv[*index + 2]};
        *index += 2;
        return true;
    }
    if (argument_is(option, "noack")) {
        if (!group) {
            resp_error(call->out, "ERR The NOACK option is only supported by XREADGROUP. You "
                                  "called XREAD instead.");
            return false;
        }
        reading->unheld = true;
        return true;
    }
    reply_syntax_error(call);
    return false;
}

static bool reading_read(struct call *call, struct reading *reading)
{
    *reading = (struct reading){.count = UINT64_MAX};
    for (size_t i = 1; i < call->argc && reading->streams == 0; i++) {
        bool streams = argument_is(call->argv[i], "streams") && i + 1 < call->argc;
        if (!(streams ? streams_read(call, reading, i) : option_read(call, reading, &i))) {
            return false;
        }
    }
    if (reading->streams == 0) {
        reply_syntax_error(call);
        return false;
    }
    if (reading_group(call) && !reading->group_given) {
        resp_error(call->out, "ERR Missing GROUP option for XREADGROUP");
        return false;
    }
    return true;
}

static int compare_sources(const void *a, const void *b)
{
    const struct source *one = *(struct source *const *)a;
    const struct source *other = *(struct source *const *)b;
    int order = bytes_compare(one->key, other->key);
    return order != 0 ? order : (one > other) - (one < other);
}

/* Finds those that name the same key. False: no memory. */
static bool sources_link(struct call *call, struct source *sources, size_t count)
{
    struct source **ordered = arena_alloc(call->arena, count * sizeof(struct source *));
    if (ordered == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ordered[i] = &sources[i];
    }
    qsort(ordered, count, sizeof(struct source *), compare_sources);
    for (size_t i = 1; i < count; i++) {
        bool same = bytes_equal(ordered[i - 1]->key, ordered[i]->key);
        ordered[i]->before = same ? ordered[i - 1] : NULL;
    }
    return true;
}

static struct source *sources_make(struct call *call, const struct reading *reading)
{
    struct source *sources = arena_alloc(call->arena, reading->streams * sizeof(*sources));
    for (size_t i = 0; sources != NULL && i < reading->streams; i++) {
        sources[i] = (struct source){.key = call->argv[reading->first + i],
                                     .id_text = call->argv[reading->first + reading->streams + i]};
    }
    return sources;
}

static bool is(struct bytes argument, const char *text)
{
    return bytes_equal(argument, bytes_of_text(text));
}

/* ------------------------------------------------------------------------------------------
 * Replies.
 */

/* Begins the reply for some of the streams: one key and its entries each. */
static void reply_streams(struct call *call, uint64_t count)
{
    if (call->out->version >= 3) {
        resp_map(call->out, count);
    } else {
        resp_array(call->out, count);
    }
}

static void reply_key(struct call *call, struct bytes key)
{
    if (call->out->version < 3) {
        resp_array(call->out, 2);
    }
    resp_bulk(call->out, key.data, key.size);
}

static void reply_nothing(struct call *call, const struct reading *reading)
{
    if (reading->block) {
        resp_error(call->out, BLOCK_REFUSED);
    } else {
        resp_null_array(call->out);
    }
}

/* ------------------------------------------------------------------------------------------
 * XREAD.
 */

/* False: the error is written. */
static bool xread_id(struct call *call, struct source *source, const struct value *value)
{
    source->edge = is(source->id_text, "+");
    if (source->edge) {
        return true;
    }
    if (is(source->id_text, "$")) {
        source->after = value->type == VALUE_NONE ? STREAM_ID_MIN : stream_summary(value).last;
        return true;
    }
    if (is(source->id_text, ">")) {
        resp_error(call->out, "ERR The > ID can be specified only when calling XREADGROUP using "
                              "the GROUP <group> <consumer> option.");
        return false;
    }
    return streams_id(call, source->id_text, false, 0, &source->after);
}

static enum status take_id(void *ctx, struct stream_entry *entry)
{
    *(struct stream_id *)ctx = entry->id;
    return ST_OK;
}

/* How many entries the stream gives, and from which ID on. */
static enum status xread_count(const struct value *value, struct source *source, uint64_t count,
                               uint64_t *count_out)
{
    *count_out = 0;
    if (value->type == VALUE_NONE) {
        return ST_OK;
    }
    if (source->edge) {
        *count_out = stream_summary(value).count > 0;
        return stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, 1, true, take_id, &source->after);
    }
    if (!streams_id_after(&source->after)) {
        return ST_OK;
    }
    return stream_count(value, source->after, STREAM_ID_MAX, count, count_out);
}

enum status streams_xread(struct call *call)
{
    struct reading reading;
    if (!reading_read(call, &reading)) {
        return ST_OK;
    }
    struct source *sources = sources_make(call, &reading);
    uint64_t *counts = arena_alloc(call->arena, reading.streams * sizeof(*counts));
    if (sources == NULL || counts == NULL) {
        return ST_NOMEM;
    }
    uint64_t served = 0;
    struct value value;
    for (size_t i = 0; i < reading.streams; i++) {
        enum status status = txn_read(call->txn, (unsigned)i, &value);
        if (status != ST_OK || !streams_fits(call, &value) ||
            !xread_id(call, &sources[i], &value)) {
            return status;
        }
        status = xread_count(&value, &sources[i], reading.count, &counts[i]);
        if (status != ST_OK) {
            return status;
        }
        served += counts[i] > 0;
    }
    if (served == 0) {
        reply_nothing(call, &reading);
        return ST_OK;
    }
    reply_streams(call, served);
    enum status status = ST_OK;
    for (size_t i = 0; i < reading.streams && status == ST_OK; i++) {
        if (counts[i] > 0) {
            reply_key(call, sources[i].key);
            status = txn_peek(call->txn, (unsigned)i, &value);
            if (status == ST_OK) {
                status = streams_reply_range(call, &value, sources[i].after, STREAM_ID_MAX,
                                             counts[i], false);
            }
        }
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * XREADGROUP: the first pass.
 */

struct collecting {
    struct call *call;
    struct streams_array *ids;
    uint64_t left;
};

static enum status collect_id(struct collecting *collecting, struct stream_id id)
{
    struct stream_id *place =
        streams_array_add(collecting->call, collecting->ids, sizeof(struct stream_id));
    if (place == NULL) {
        return ST_NOMEM;
    }
    *place = id;
    return ST_OK;
}

static enum status collect_entry(void *ctx, struct stream_entry *entry)
{
    return collect_id(ctx, entry->id);
}

static enum status collect_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    struct collecting *collecting = ctx;
    *more = --collecting->left > 0;
    return collect_id(collecting, pending->id);
}

static bool group_id(struct call *call, struct source *source)
{
    source->fresh = is(source->id_text, ">");
    if (source->fresh) {
        return true;
    }
    if (is(source->id_text, "$")) {
        resp_error(call->out, "ERR The $ ID is meaningless in the context of XREADGROUP: you want "
                              "to read the history of this consumer by specifying a proper ID, or "
                              "use the > ID to get new messages. The $ ID would just return an "
                              "empty result set.");
        return false;
    }
    return streams_id(call, source->id_text, false, 0, &source->after);
}

static void reply_no_group(struct call *call, struct bytes key, struct bytes group)
{
    key = bytes_slice(key, 0, ERROR_WORD_MAX);
    group = bytes_slice(group, 0, ERROR_WORD_MAX);
    resp_error_format(call->out,
                      "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with "
                      "GROUP option",
                      (int)key.size, (const char *)key.data, (int)group.size,
                      (const char *)group.data);
}

/* Which entries a ">" gives; of others, which are pending now (to have them read). */
static enum status source_collect(struct call *call, const struct reading *reading,
                                  const struct value *value, struct source *source)
{
    const struct stream_group *group = stream_group(value, reading->member.group);
    struct collecting collecting = {call, &source->ids, reading->count};
    struct stream_id from = source->fresh ? source->last : source->after;
    source->ids.count = 0;
    if (!streams_id_after(&from)) {
        return ST_OK;
    }
    if (source->fresh) {
        return stream_walk(value, from, STREAM_ID_MAX, reading->count, false, collect_entry,
                           &collecting);
    }
    const struct stream_consumer *consumer = stream_consumer(group, reading->member.consumer);
    return consumer == NULL ? ST_OK
                            : stream_pending_walk(group, consumer, from, STREAM_ID_MAX,
                                                  collect_pending, &collecting);
}

/* The same, and how far the group will be then. */
static enum status source_plan(struct call *call, const struct reading *reading,
                               const struct value *value, struct source *source)
{
    const struct stream_group *group = stream_group(value, reading->member.group);
    source->last = source->before != NULL ? source->before->last : stream_group_view(group).last;
    enum status status = source_collect(call, reading, value, source);
    if (status == ST_OK && source->fresh && source->ids.count > 0) {
        source->last = ((const struct stream_id *)source->ids.items)[source->ids.count - 1];
    }
    return status;
}

/* *served_out: streams that the reply will have. ok_out false: an error is written. */
static enum status sources_read(struct call *call, const struct reading *reading,
                                struct source *sources, uint64_t *served_out, bool *ok_out)
{
    uint64_t reserve = 0;
    *served_out = 0;
    *ok_out = false;
    for (size_t i = 0; i < reading->streams; i++) {
        struct value value;
        enum status status = txn_read(call->txn, (unsigned)i, &value);
        if (status != ST_OK || !streams_fits(call, &value)) {
            return status;
        }
        if (value.type == VALUE_NONE || stream_group(&value, reading->member.group) == NULL) {
            reply_no_group(call, sources[i].key, reading->member.group);
            return ST_OK;
        }
        if (!group_id(call, &sources[i])) {
            return ST_OK;
        }
        status = source_plan(call, reading, &value, &sources[i]);
        if (status != ST_OK) {
            return status;
        }
        *served_out += !sources[i].fresh || sources[i].ids.count > 0;
        reserve += DELIVER_RESERVE + sources[i].key.size + reading->member.group.size +
                   reading->member.consumer.size + sources[i].ids.count * sizeof(struct stream_id);
    }
    *ok_out = true;
    return txn_reserve(call->txn, reserve);
}

/* ------------------------------------------------------------------------------------------
 * XREADGROUP: the second pass.
 */

/* How old a consumer's seen-time may become while it asks in vain. */
#define SEEN_STALE_MS 1000

/* Who polls and gets nothing has only been seen. That is written down once a second: each time, it
 * would fill the log and make every poll wait for the disk. */
static bool seen_lately(const struct call *call, const struct reading *reading,
                        const struct value *value)
{
    const struct stream_group *group = stream_group(value, reading->member.group);
    const struct stream_consumer *consumer =
        group == NULL ? NULL : stream_consumer(group, reading->member.consumer);
    if (consumer == NULL) {
        return false;
    }
    int64_t since = (int64_t)call->now_ms - stream_consumer_view(consumer).seen_ms;
    return since >= 0 && since < SEEN_STALE_MS;
}

static enum status deliver(struct call *call, const struct reading *reading, unsigned number,
                           const struct source *source)
{
    const struct stream_id *ids = source->ids.items;
    size_t count = source->ids.count;
    struct value value;
    enum status status = txn_peek(call->txn, number, &value);
    if (status != ST_OK) {
        return status;
    }
    if (count == 0 && seen_lately(call, reading, &value)) {
        return ST_OK;
    }
    if (count > 0) {
        reply_key(call, source->key);
        status = streams_reply_range(call, &value, ids[0], ids[count - 1], count, false);
        if (status != ST_OK) {
            return status;
        }
    }
    return txn_stream_deliver(call->txn, number, reading->member, reading->unheld, ids, count);
}

/* An entry that is pending, or only its ID if it was deleted; those that are there are kept. */
static enum status reply_pending(struct call *call, const struct value *value, struct stream_id id,
                                 struct stream_id *kept, size_t *kept_count)
{
    uint64_t found;
    enum status status = stream_count(value, id, id, 1, &found);
    if (status != ST_OK) {
        return status;
    }
    if (found > 0) {
        kept[(*kept_count)++] = id;
        return stream_walk(value, id, id, 1, false, streams_reply_entry, call);
    }
    resp_array(call->out, 2);
    streams_reply_id(call, id);
    resp_null_array(call->out);
    return ST_OK;
}

static enum status redeliver(struct call *call, const struct reading *reading, unsigned number,
                             struct source *source)
{
    struct value value;
    enum status status = txn_peek(call->txn, number, &value);
    if (status == ST_OK) {
        /* Again: a ">" for the same key may have come before. */
        status = source_collect(call, reading, &value, source);
    }
    struct stream_id *ids = source->ids.items;
    size_t kept = 0;
    if (status == ST_OK) {
        reply_key(call, source->key);
        resp_array(call->out, source->ids.count);
    }
    for (size_t i = 0; i < source->ids.count && status == ST_OK; i++) {
        status = reply_pending(call, &value, ids[i], ids, &kept);
    }
    return status == ST_OK ? txn_stream_redeliver(call->txn, number, reading->member, ids, kept)
                           : status;
}

/* What the first pass has not read of a stream, such as entries that are pending, may be missing
 * once another stream has changed: then it is too late to wait for it. */
static enum status serve(struct call *call, const struct reading *reading, unsigned number,
                         struct source *source)
{
    uint64_t start = call->out->written;
    for (;;) {
        enum status status = source->fresh ? deliver(call, reading, number, source)
                                           : redeliver(call, reading, number, source);
        if (status != ST_WAIT || !txn_changed(call->txn)) {
            return status;
        }
        resp_out_rollback(call->out, start);
        status = txn_bring(call->txn, number);
        if (status != ST_OK) {
            return status;
        }
    }
}

enum status streams_xreadgroup(struct call *call)
{
    struct reading reading;
    uint64_t served;
    bool ok;
    if (!reading_read(call, &reading)) {
        return ST_OK;
    }
    struct source *sources = sources_make(call, &reading);
    if (sources == NULL || !sources_link(call, sources, reading.streams)) {
        return ST_NOMEM;
    }
    enum status status = sources_read(call, &reading, sources, &served, &ok);
    if (status != ST_OK || !ok) {
        return status;
    }
    if (served == 0 && reading.block) {
        resp_error(call->out, BLOCK_REFUSED);
        return ST_OK;
    }
    if (served == 0) {
        resp_null_array(call->out);
    } else {
        reply_streams(call, served);
    }
    for (size_t i = 0; i < reading.streams && status == ST_OK; i++) {
        status = serve(call, &reading, (unsigned)i, &sources[i]);
    }
    return status;
}
