/* The encoded form, see stream.h. It is read once, from its beginning to its end, into a new root;
 * counts are believed only as far as there are bytes for them. */
#include "engine/value/stream_private.h"

#include "engine/base/check.h"

#define HEAD_SIZE_MAX (2 * VARINT_MAX + 16 + 16 + 8)

uint64_t stream_encoded_max(const struct value *value)
{
    const struct stream *stream = stream_root(value);
    return HEAD_SIZE_MAX + (stream == NULL ? 0 : stream->encoded + stream->groups_encoded);
}

/* -- Writing: room for all of it was made before -------------------------------------------------
 */

static void put_u64(struct buf *out, uint64_t value)
{
    CHECK(out->capacity - out->size >= 8);
    store_u64(out->data + out->size, value);
    out->size += 8;
}

static void put_varint(struct buf *out, uint64_t value)
{
    CHECK(out->capacity - out->size >= varint_size(value));
    out->size += varint_store(out->data + out->size, value);
}

static void put_id(struct buf *out, struct stream_id id)
{
    put_u64(out, id.ms);
    put_u64(out, id.seq);
}

static void put_sized(struct buf *out, struct bytes bytes)
{
    put_varint(out, bytes.size);
    CHECK(out->capacity - out->size >= bytes.size);
    if (bytes.size > 0) {
        memcpy(out->data + out->size, bytes.data, bytes.size);
    }
    out->size += bytes.size;
}

static enum status put_entry(void *ctx, struct stream_entry *entry)
{
    struct buf *out = ctx;
    struct bytes name;
    struct bytes value;
    put_id(out, entry->id);
    put_varint(out, entry->field_count);
    while (stream_entry_next(entry, &name, &value)) {
        put_sized(out, name);
        put_sized(out, value);
    }
    return ST_OK;
}

struct pending_out {
    struct buf *out;
    const struct stream_group *group;
};

static enum status put_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    struct pending_out *to = ctx;
    struct bytes name = bytes_of(pending->consumer->name, pending->consumer->name_size);
    size_t index;
    const struct stream_consumer *consumer = consumer_find(to->group, name, &index);
    CHECK(consumer == pending->consumer);
    put_id(to->out, pending->id);
    put_varint(to->out, index);
    put_u64(to->out, (uint64_t)pending->delivered_ms);
    put_u64(to->out, pending->deliveries);
    return ST_OK;
}

static enum status put_group(const struct stream_group *group, struct buf *out)
{
    put_sized(out, bytes_of(group->name, group->name_size));
    put_id(out, group->last);
    put_u64(out, (uint64_t)group->entries_read);
    put_varint(out, group->consumer_count);
    for (size_t i = 0; i < group->consumer_count; i++) {
        const struct stream_consumer *consumer = group->consumers[i];
        put_sized(out, bytes_of(consumer->name, consumer->name_size));
        put_u64(out, (uint64_t)consumer->seen_ms);
        put_u64(out, (uint64_t)consumer->active_ms);
    }
    put_varint(out, group->pending.count);
    struct pending_out to = {out, group};
    return stream_pending_walk(group, NULL, STREAM_ID_MIN, STREAM_ID_MAX, put_pending, &to);
}

enum status stream_encode(const struct value *value, struct buf *out)
{
    const struct stream *stream = stream_root(value);
    size_t before = out->size;
    enum status status = buf_reserve(out, stream_encoded_max(value));
    if (status != ST_OK) {
        return status;
    }
    struct stream_summary summary = stream_summary(value);
    put_varint(out, summary.count);
    put_id(out, summary.last);
    put_id(out, summary.max_deleted);
    put_u64(out, summary.added);
    status = stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, UINT64_MAX, false, put_entry, out);
    put_varint(out, summary.groups);
    for (size_t i = 0; i < summary.groups && status == ST_OK; i++) {
        status = put_group(stream->groups[i], out);
    }
    if (status != ST_OK) {
        out->size = before;
    }
    return status;
}

/* -- Reading ----------------------------------------------------------------------------------- */

struct decoding {
    struct bytes in;
    struct stream *stream;
    const struct value_limits *limits;
    struct buf node; /* The one that is being filled. */
};

static bool take_u64(struct bytes *in, uint64_t *value_out)
{
    if (in->size < 8) {
        return false;
    }
    *value_out = load_u64(in->data);
    *in = bytes_slice(*in, 8, SIZE_MAX);
    return true;
}

static bool take_id(struct bytes *in, struct stream_id *id_out)
{
    return take_u64(in, &id_out->ms) && take_u64(in, &id_out->seq);
}

static enum status node_close(struct decoding *decoding)
{
    struct clast *entries = &decoding->stream->entries;
    struct clast_path path;
    if (decoding->node.size == 0) {
        return ST_OK;
    }
    enum status status = clast_seek_rank(entries, entries->count, &path);
    if (status == ST_OK) {
        status = clast_insert_at(entries, &path, buf_bytes(&decoding->node));
    }
    decoding->node.size = 0;
    return status;
}

static enum status decode_entry(struct decoding *decoding, struct stream_id *last)
{
    struct stream *stream = decoding->stream;
    struct stream_id id;
    uint64_t count;
    if (!take_id(&decoding->in, &id) || !varint_take_shortest(&decoding->in, &count) ||
        count == 0 || count > decoding->in.size || stream_id_compare(id, *last) <= 0 ||
        stream_id_compare(id, stream->last) > 0) {
        return ST_CORRUPT;
    }
    struct bytes fields = decoding->in;
    for (uint64_t i = 0; i < 2 * count; i++) {
        struct bytes field;
        if (!bytes_take_sized(&decoding->in, &field)) {
            return ST_CORRUPT;
        }
    }
    fields.size -= decoding->in.size;
    enum status status = ST_OK;
    if (decoding->node.size > 0 &&
        node_full(buf_bytes(&decoding->node), fields, decoding->limits)) {
        status = node_close(decoding);
    }
    if (status == ST_OK) {
        status = decoding->node.size == 0 ? node_begin(&decoding->node, id, count, fields)
                                          : node_add(&decoding->node, 0, id, count, fields);
    }
    *last = id;
    stream->count++;
    stream->encoded += entry_encoded_size(count, fields);
    return status;
}

static enum status decode_consumer(struct decoding *decoding, struct stream_group *group,
                                   struct bytes *before)
{
    struct bytes name;
    uint64_t seen;
    uint64_t active;
    if (!bytes_take_sized(&decoding->in, &name) || !take_u64(&decoding->in, &seen) ||
        !take_u64(&decoding->in, &active) ||
        (before->data != NULL && bytes_compare(name, *before) <= 0)) {
        return ST_CORRUPT;
    }
    *before = name;
    struct stream_consumer *consumer;
    enum status status = consumer_create(group, name, (int64_t)seen, &consumer);
    if (status == ST_OK) {
        consumer->active_ms = (int64_t)active;
    }
    return status;
}

static enum status decode_pending(struct decoding *decoding, struct stream_group *group,
                                  struct stream_id *before, bool first)
{
    struct stream_id id;
    uint64_t index;
    uint64_t time;
    uint64_t deliveries;
    if (!take_id(&decoding->in, &id) || !varint_take_shortest(&decoding->in, &index) ||
        index >= group->consumer_count || !take_u64(&decoding->in, &time) ||
        !take_u64(&decoding->in, &deliveries) || (!first && stream_id_compare(id, *before) <= 0)) {
        return ST_CORRUPT;
    }
    *before = id;
    return pending_put(group, id, group->consumers[index], (int64_t)time, deliveries);
}

static enum status decode_group_content(struct decoding *decoding, struct stream_group *group)
{
    uint64_t count;
    if (!varint_take_shortest(&decoding->in, &count)) {
        return ST_CORRUPT;
    }
    struct bytes before = BYTES_NONE;
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = decode_consumer(decoding, group, &before);
    }
    if (status == ST_OK && !varint_take_shortest(&decoding->in, &count)) {
        status = ST_CORRUPT;
    }
    struct stream_id last = STREAM_ID_MIN;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = decode_pending(decoding, group, &last, i == 0);
    }
    return status;
}

static enum status decode_group(struct decoding *decoding, struct bytes *before)
{
    struct stream *stream = decoding->stream;
    struct bytes name;
    struct stream_id last;
    uint64_t entries_read;
    if (!bytes_take_sized(&decoding->in, &name) || !take_id(&decoding->in, &last) ||
        !take_u64(&decoding->in, &entries_read) ||
        (before->data != NULL && bytes_compare(name, *before) <= 0)) {
        return ST_CORRUPT;
    }
    *before = name;
    struct stream_group *group;
    enum status status = group_create(stream, name, last, (int64_t)entries_read, &group);
    if (status != ST_OK) {
        return status;
    }
    stream->groups_memory -= group_memory(group);
    stream->groups_encoded -= group_encoded_max(group);
    status = decode_group_content(decoding, group);
    stream->groups_memory += group_memory(group);
    stream->groups_encoded += group_encoded_max(group);
    return status;
}

static enum status decode_all(struct decoding *decoding)
{
    struct stream *stream = decoding->stream;
    uint64_t count;
    if (!varint_take_shortest(&decoding->in, &count) || !take_id(&decoding->in, &stream->last) ||
        !take_id(&decoding->in, &stream->max_deleted) || !take_u64(&decoding->in, &stream->added)) {
        return ST_CORRUPT;
    }
    struct stream_id last = STREAM_ID_MIN;
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = decode_entry(decoding, &last);
    }
    if (status == ST_OK) {
        status = node_close(decoding);
    }
    if (status == ST_OK && !varint_take_shortest(&decoding->in, &count)) {
        status = ST_CORRUPT;
    }
    struct bytes before = BYTES_NONE;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = decode_group(decoding, &before);
    }
    return status == ST_OK && decoding->in.size > 0 ? ST_CORRUPT : status;
}

enum status stream_decode(struct bytes body, const struct value_limits *limits, struct buf *scratch,
                          struct value *value_out)
{
    struct decoding decoding = {.in = body, .limits = limits, .stream = stream_new()};
    if (decoding.stream == NULL) {
        return ST_NOMEM;
    }
    enum status status = decode_all(&decoding);
    buf_deinit(&decoding.node);
    if (status != ST_OK) {
        stream_drop(decoding.stream);
        return status;
    }
    *value_out = (struct value){VALUE_STREAM, VALUE_CLAST, BYTES_NONE, decoding.stream};
    return ST_OK;
}
