/* Payloads → changes. A payload may come from disk, so each is read to its end before anything
 * changes; what breaks its form, or what no live command would have done to this stream, is
 * ST_CORRUPT. Sequences of IDs change one after the other, and stop where memory runs out. */
#include "engine/value/stream_private.h"

#include "engine/base/check.h"

struct applying {
    struct stream *stream;
    const struct value_limits *limits;
    struct buf *scratch;
    struct value_change *change;
    size_t size; /* Of the whole payload. */
};

/* -- Reading payloads -------------------------------------------------------------------------- */

static bool u64_take(struct bytes *in, uint64_t *value_out)
{
    if (in->size < 8) {
        return false;
    }
    *value_out = load_u64(in->data);
    *in = bytes_slice(*in, 8, SIZE_MAX);
    return true;
}

static bool i64_take(struct bytes *in, int64_t *value_out)
{
    uint64_t value;
    bool taken = u64_take(in, &value);
    if (taken) {
        *value_out = (int64_t)value;
    }
    return taken;
}

static bool byte_take(struct bytes *in, unsigned *value_out)
{
    if (in->size < 1) {
        return false;
    }
    *value_out = *(const unsigned char *)in->data;
    *in = bytes_slice(*in, 1, SIZE_MAX);
    return true;
}

static bool id_take(struct bytes *in, struct stream_id *id_out)
{
    return u64_take(in, &id_out->ms) && u64_take(in, &id_out->seq);
}

/* Marks how much of the payload stands. */
static void consumed(struct applying *applying, struct bytes rest)
{
    applying->change->changed = true;
    applying->change->consumed = applying->size - rest.size;
}

/* -- Entries ----------------------------------------------------------------------------------- */

static enum status apply_add(struct applying *applying, struct bytes payload)
{
    struct stream_id id;
    uint64_t count;
    if (!id_take(&payload, &id) || !varint_take_shortest(&payload, &count) || count == 0 ||
        stream_id_compare(id, applying->stream->last) <= 0) {
        return ST_CORRUPT;
    }
    struct bytes rest = payload;
    uint64_t found = 0;
    for (struct bytes field; rest.size > 0; found++) {
        if (!bytes_take_sized(&rest, &field)) {
            return ST_CORRUPT;
        }
    }
    if (found % 2 != 0 || found / 2 != count) {
        return ST_CORRUPT;
    }
    enum status status =
        stream_add(applying->stream, id, count, payload, applying->limits, applying->scratch);
    applying->change->changed = status == ST_OK;
    return status;
}

static enum status delete_all(struct applying *applying, struct bytes payload)
{
    struct stream_id id;
    enum status status = ST_OK;
    while (status == ST_OK && id_take(&payload, &id)) {
        bool deleted;
        status = stream_delete(applying->stream, id, applying->scratch, &deleted);
        if (status == ST_OK && deleted) {
            applying->change->count++;
            consumed(applying, payload);
        }
    }
    return status;
}

/* A part may turn out to be absent after the first entry is gone: then the nodes are put back. */
static enum status apply_delete(struct applying *applying, struct bytes payload)
{
    struct stream *stream = applying->stream;
    if (payload.size % 16 != 0) {
        return ST_CORRUPT;
    }
    if (stream->entries.parts.absent == 0 || payload.size == 16) {
        return delete_all(applying, payload);
    }
    struct clast before;
    struct stream_id max_deleted = stream->max_deleted;
    uint64_t count = stream->count;
    uint64_t encoded = stream->encoded;
    enum status status = clast_snapshot(&stream->entries, &before);
    if (status != ST_OK) {
        return status;
    }
    status = delete_all(applying, payload);
    if (status == ST_WAIT) {
        clast_restore(&stream->entries, &before);
        stream->max_deleted = max_deleted;
        stream->count = count;
        stream->encoded = encoded;
    } else {
        clast_deinit(&before);
    }
    return status;
}

static enum status apply_trim(struct applying *applying, struct bytes payload)
{
    uint64_t count;
    unsigned keep;
    if (!varint_take_shortest(&payload, &count) || !byte_take(&payload, &keep) || keep > 1 ||
        payload.size > 0 || count == 0 || count > applying->stream->count) {
        return ST_CORRUPT;
    }
    enum status status = stream_trim(applying->stream, count, keep == 1, applying->scratch);
    applying->change->changed = status == ST_OK;
    applying->change->count = status == ST_OK ? count : 0;
    return status;
}

static enum status apply_set_id(struct applying *applying, struct bytes payload)
{
    struct stream_id last;
    struct stream_id max_deleted;
    uint64_t added;
    struct stream_id top = STREAM_ID_MIN;
    struct stream *stream = applying->stream;
    enum status status = stream_edge(stream, true, &top);
    if (status != ST_OK) {
        return status;
    }
    if (!id_take(&payload, &last) || !u64_take(&payload, &added) ||
        !id_take(&payload, &max_deleted) || payload.size > 0 || stream_id_compare(last, top) < 0) {
        return ST_CORRUPT;
    }
    stream->last = last;
    stream->added = added;
    stream->max_deleted = max_deleted;
    applying->change->changed = true;
    return ST_OK;
}

/* -- Groups ------------------------------------------------------------------------------------ */

static enum status apply_group_create(struct applying *applying, struct bytes payload)
{
    struct bytes name;
    struct stream_id id;
    int64_t entries_read;
    size_t index;
    if (!bytes_take_sized(&payload, &name) || !id_take(&payload, &id) ||
        !i64_take(&payload, &entries_read) || payload.size > 0) {
        return ST_CORRUPT;
    }
    if (group_find(applying->stream, name, &index) != NULL) {
        return ST_OK;
    }
    struct stream_group *group;
    enum status status = group_create(applying->stream, name, id, entries_read, &group);
    applying->change->changed = status == ST_OK;
    applying->change->count = status == ST_OK;
    return status;
}

static enum status apply_group_set_id(struct applying *applying, struct stream_group *group,
                                      struct bytes payload)
{
    struct stream_id id;
    int64_t entries_read;
    if (!id_take(&payload, &id) || !i64_take(&payload, &entries_read) || payload.size > 0) {
        return ST_CORRUPT;
    }
    group->last = id;
    group->entries_read = entries_read;
    applying->change->changed = true;
    return ST_OK;
}

static enum status apply_consumer_create(struct applying *applying, struct stream_group *group,
                                         struct bytes payload)
{
    struct bytes name;
    int64_t now;
    size_t index;
    if (!bytes_take_sized(&payload, &name) || !i64_take(&payload, &now) || payload.size > 0) {
        return ST_CORRUPT;
    }
    if (consumer_find(group, name, &index) != NULL) {
        return ST_OK;
    }
    struct stream_consumer *consumer = NULL;
    enum status status = consumer_create(group, name, now, &consumer);
    applying->change->changed = status == ST_OK;
    applying->change->count = status == ST_OK;
    return status;
}

static enum status apply_consumer_delete(struct applying *applying, struct stream_group *group,
                                         struct bytes payload)
{
    struct bytes name;
    size_t index;
    if (!bytes_take_sized(&payload, &name) || payload.size > 0) {
        return ST_CORRUPT;
    }
    const struct stream_consumer *consumer = consumer_find(group, name, &index);
    if (consumer == NULL) {
        return ST_OK;
    }
    uint64_t pending = consumer->pending;
    enum status status = consumer_delete(group, index);
    applying->change->changed = status == ST_OK;
    applying->change->count = status == ST_OK ? pending : 0;
    return status;
}

/* Takes a consumer's name and the time it is seen at; makes it if it is not there. */
static enum status consumer_take(struct applying *applying, struct stream_group *group,
                                 struct bytes name, int64_t now,
                                 struct stream_consumer **consumer_out)
{
    size_t index;
    *consumer_out = consumer_find(group, name, &index);
    if (*consumer_out != NULL) {
        applying->change->changed = applying->change->changed || (*consumer_out)->seen_ms != now;
        (*consumer_out)->seen_ms = now;
        return ST_OK;
    }
    enum status status = consumer_create(group, name, now, consumer_out);
    applying->change->changed = applying->change->changed || status == ST_OK;
    return status;
}

/* -- Pending entries --------------------------------------------------------------------------- */

/* Elements of `stride` bytes that begin with an ID: asks for all that their changes need. */
static enum status touch_all(const struct stream_group *group, struct bytes consumer,
                             struct bytes elements, size_t stride)
{
    enum status status = ST_OK;
    size_t index;
    const struct stream_consumer *getting =
        consumer.data == NULL ? NULL : consumer_find(group, consumer, &index);
    if (group->pending.parts.absent + group->owned.parts.absent == 0) {
        return ST_OK;
    }
    while (elements.size >= stride) {
        struct bytes element = elements;
        struct stream_id id = STREAM_ID_MIN;
        bool taken = id_take(&element, &id);
        CHECK(taken);
        enum status one = pending_touch(group, id, getting);
        status = one == ST_OK ? status : one;
        elements = bytes_slice(elements, stride, SIZE_MAX);
    }
    return status;
}

static void position_move(const struct stream *stream, struct stream_group *group,
                          struct stream_id id, struct stream_id first)
{
    if (group->entries_read != -1 && !stream_holes_after(stream, id, first)) {
        /* As far as it goes: a client may have set it to the greatest number. */
        group->entries_read = (int64_t)((uint64_t)group->entries_read + 1);
    } else if (stream->added > 0) {
        group->entries_read = stream_position(stream, id, first);
    }
    group->last = id;
}

static enum status apply_deliver(struct applying *applying, struct stream_group *group,
                                 struct bytes payload)
{
    struct bytes name;
    int64_t now;
    unsigned unheld;
    if (!bytes_take_sized(&payload, &name) || !i64_take(&payload, &now) ||
        !byte_take(&payload, &unheld) || unheld > 1 || payload.size % 16 != 0) {
        return ST_CORRUPT;
    }
    struct stream_id last = group->last;
    struct stream_id id;
    for (struct bytes rest = payload; id_take(&rest, &id); last = id) {
        if (stream_id_compare(id, last) <= 0) {
            return ST_CORRUPT;
        }
    }
    struct stream_id first;
    struct stream_consumer *consumer = NULL;
    enum status status = stream_edge(applying->stream, false, &first);
    if (status == ST_OK) {
        status = touch_all(group, name, payload, 16);
    }
    if (status == ST_OK) {
        status = consumer_take(applying, group, name, now, &consumer);
    }
    if (status == ST_OK) {
        applying->change->consumed = applying->size - payload.size;
    }
    while (status == ST_OK && id_take(&payload, &id)) {
        status = unheld ? ST_OK : pending_put(group, id, consumer, now, 1);
        if (status == ST_OK) {
            consumer->active_ms = unheld ? consumer->active_ms : now;
            position_move(applying->stream, group, id, first);
            applying->change->count++;
            consumed(applying, payload);
        }
    }
    return status;
}

static enum status apply_redeliver(struct applying *applying, struct stream_group *group,
                                   struct bytes payload)
{
    struct bytes name;
    int64_t now;
    if (!bytes_take_sized(&payload, &name) || !i64_take(&payload, &now) || payload.size % 16 != 0) {
        return ST_CORRUPT;
    }
    struct stream_consumer *consumer = NULL;
    enum status status = touch_all(group, BYTES_NONE, payload, 16);
    if (status == ST_OK) {
        status = consumer_take(applying, group, name, now, &consumer);
    }
    if (status == ST_OK) {
        applying->change->consumed = applying->size - payload.size;
    }
    struct stream_id id;
    while (status == ST_OK && id_take(&payload, &id)) {
        bool found;
        status = pending_redeliver(group, id, consumer, now, &found);
        if (status == ST_OK) {
            applying->change->count += found;
            consumed(applying, payload);
        }
    }
    return status;
}

static enum status apply_ack(struct applying *applying, struct stream_group *group,
                             struct bytes payload)
{
    if (payload.size % 16 != 0) {
        return ST_CORRUPT;
    }
    struct stream_id id;
    enum status status = touch_all(group, BYTES_NONE, payload, 16);
    while (status == ST_OK && id_take(&payload, &id)) {
        bool removed;
        status = pending_remove(group, id, &removed);
        if (removed) {
            applying->change->count++;
            consumed(applying, payload);
        }
    }
    return status;
}

static enum status apply_claim(struct applying *applying, struct stream_group *group,
                               struct bytes payload)
{
    struct bytes name;
    int64_t now;
    struct stream_id last;
    if (!bytes_take_sized(&payload, &name) || !i64_take(&payload, &now) ||
        !id_take(&payload, &last) || payload.size % 32 != 0) {
        return ST_CORRUPT;
    }
    struct stream_consumer *consumer = NULL;
    enum status status = touch_all(group, name, payload, 32);
    if (status == ST_OK) {
        status = consumer_take(applying, group, name, now, &consumer);
    }
    if (status != ST_OK) {
        return status;
    }
    if (stream_id_compare(last, group->last) > 0) {
        group->last = last;
        applying->change->changed = true;
    }
    applying->change->consumed = applying->size - payload.size;
    struct stream_id id;
    int64_t time;
    uint64_t deliveries;
    while (status == ST_OK && id_take(&payload, &id) && i64_take(&payload, &time) &&
           u64_take(&payload, &deliveries)) {
        status = pending_put(group, id, consumer, time, deliveries);
        if (status == ST_OK) {
            consumer->active_ms = now;
            applying->change->count++;
            consumed(applying, payload);
        }
    }
    return status;
}

/* -- All together ------------------------------------------------------------------------------ */

/* Operations on one group, which is there. The sums of the root follow it. */
static enum status apply_group(struct applying *applying, unsigned op, struct bytes payload)
{
    struct bytes name;
    size_t index;
    struct stream *stream = applying->stream;
    if (!bytes_take_sized(&payload, &name)) {
        return ST_CORRUPT;
    }
    struct stream_group *group = group_find(stream, name, &index);
    if (op == STREAM_GROUP_DESTROY) {
        if (payload.size > 0) {
            return ST_CORRUPT;
        }
        enum status status = group == NULL ? ST_OK : group_destroy(stream, index);
        if (group != NULL && status == ST_OK) {
            applying->change->changed = true;
            applying->change->count = 1;
        }
        return status;
    }
    if (group == NULL) {
        return ST_CORRUPT;
    }
    static enum status (*const operations[])(struct applying *, struct stream_group *,
                                             struct bytes) = {
        [STREAM_GROUP_SETID - STREAM_ADD] = apply_group_set_id,
        [STREAM_CONSUMER_CREATE - STREAM_ADD] = apply_consumer_create,
        [STREAM_CONSUMER_DELETE - STREAM_ADD] = apply_consumer_delete,
        [STREAM_DELIVER - STREAM_ADD] = apply_deliver,
        [STREAM_REDELIVER - STREAM_ADD] = apply_redeliver,
        [STREAM_ACK - STREAM_ADD] = apply_ack,
        [STREAM_CLAIM - STREAM_ADD] = apply_claim,
    };
    struct group_fallback fallback;
    enum status status = group_keep(group, &fallback);
    if (status != ST_OK) {
        return status;
    }
    stream->groups_memory -= group_memory(group);
    stream->groups_encoded -= group_encoded_max(group);
    status = operations[op - STREAM_ADD](applying, group, payload);
    group_keep_end(group, &fallback, status == ST_WAIT);
    stream->groups_memory += group_memory(group);
    stream->groups_encoded += group_encoded_max(group);
    return status;
}

static enum status apply_one(struct applying *applying, unsigned op, struct bytes payload)
{
    switch (op) {
    case STREAM_ADD:
        return apply_add(applying, payload);
    case STREAM_DELETE:
        return apply_delete(applying, payload);
    case STREAM_TRIM:
        return apply_trim(applying, payload);
    case STREAM_SETID:
        return apply_set_id(applying, payload);
    case STREAM_GROUP_CREATE:
        return apply_group_create(applying, payload);
    default:
        return op <= STREAM_CLAIM ? apply_group(applying, op, payload) : ST_CORRUPT;
    }
}

enum status stream_apply(struct value *value, unsigned op, struct bytes payload,
                         const struct value_limits *limits, struct buf *scratch,
                         struct value_change *change_out)
{
    struct stream *stream = stream_root(value);
    bool fresh = stream == NULL;
    if (fresh && op != STREAM_ADD && op != STREAM_GROUP_CREATE) {
        return ST_CORRUPT;
    }
    stream = fresh ? stream_new() : stream;
    if (stream == NULL) {
        return ST_NOMEM;
    }
    struct applying applying = {stream, limits, scratch, change_out, payload.size};
    enum status status = apply_one(&applying, op, payload);
    if (status == ST_WAIT) {
        *change_out = (struct value_change){.count = 0};
    }
    if (fresh && status != ST_OK) {
        stream_drop(stream);
    } else if (fresh) {
        *value = (struct value){VALUE_STREAM, VALUE_CLAST, BYTES_NONE, stream};
    }
    return status;
}
