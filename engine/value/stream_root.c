/* The root form of a stream, without the parts of its trees:
 *
 *   ID last, ID greatest deleted, u64 entries ever added, v count, v size of the entries' encoded
 *   form, the clast of nodes, v count of groups, and for each, names ascending:
 *       v size, name, ID last delivered, i64 entries read, both clasts (pending, owned)
 *       v count of consumers, and for each, names ascending:
 *           v size, name, v number, v pending entries, i64 seen, i64 active
 *
 * (v: varint in its shortest form, ID: u64 ms, u64 seq.) It is read as any bytes from outside are:
 * counts are believed only as far as there are bytes for them.
 */
#include "engine/value/stream_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* -- Writing ----------------------------------------------------------------------------------- */

static void put_u64(struct buf *out, uint64_t value)
{
    CHECK(out->capacity - out->size >= 8);
    store_u64(out->data + out->size, value);
    out->size += 8;
}

static void put_varint(struct buf *out, uint64_t value)
{
    CHECK(out->capacity - out->size >= VARINT_MAX);
    out->size += varint_store(out->data + out->size, value);
}

static void put_id(struct buf *out, struct stream_id id)
{
    put_u64(out, id.ms);
    put_u64(out, id.seq);
}

static enum status put_name(struct buf *out, const char *name, size_t size, size_t more)
{
    enum status status = buf_reserve(out, VARINT_MAX + size + more);
    if (status == ST_OK) {
        put_varint(out, size);
        status = buf_append(out, bytes_of(name, size));
    }
    return status;
}

static enum status consumer_store(const struct stream_consumer *consumer, struct buf *out)
{
    enum status status =
        put_name(out, consumer->name, consumer->name_size, 2 * VARINT_MAX + 2 * 8 + VARINT_MAX);
    if (status == ST_OK) {
        put_varint(out, consumer->number);
        put_varint(out, consumer->pending);
        put_u64(out, (uint64_t)consumer->seen_ms);
        put_u64(out, (uint64_t)consumer->active_ms);
    }
    return status;
}

static enum status group_store(const struct stream_group *group, struct buf *out)
{
    enum status status = put_name(out, group->name, group->name_size, 16 + 8);
    if (status != ST_OK) {
        return status;
    }
    put_id(out, group->last);
    put_u64(out, (uint64_t)group->entries_read);
    status = clast_store(&group->pending, out);
    if (status == ST_OK) {
        status = clast_store(&group->owned, out);
    }
    if (status == ST_OK) {
        status = buf_reserve(out, VARINT_MAX);
    }
    if (status == ST_OK) {
        put_varint(out, group->consumer_count);
    }
    for (size_t i = 0; i < group->consumer_count && status == ST_OK; i++) {
        status = consumer_store(group->consumers[i], out);
    }
    return status;
}

enum status stream_root_store(const struct value *value, struct buf *out)
{
    const struct stream *stream = value->root;
    enum status status = buf_reserve(out, 2 * 16 + 8 + 2 * VARINT_MAX);
    if (status != ST_OK) {
        return status;
    }
    put_id(out, stream->last);
    put_id(out, stream->max_deleted);
    put_u64(out, stream->added);
    put_varint(out, stream->count);
    put_varint(out, stream->encoded);
    status = clast_store(&stream->entries, out);
    if (status == ST_OK) {
        status = buf_reserve(out, VARINT_MAX);
    }
    if (status == ST_OK) {
        put_varint(out, stream->group_count);
    }
    for (size_t i = 0; i < stream->group_count && status == ST_OK; i++) {
        status = group_store(stream->groups[i], out);
    }
    return status;
}

/* -- Reading ----------------------------------------------------------------------------------- */

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

/* A name behind the one before, in the order of names. */
static bool take_name(struct bytes *in, struct bytes *before)
{
    struct bytes name;
    if (!bytes_take_sized(in, &name) ||
        (before->data != NULL && bytes_compare(name, *before) <= 0)) {
        return false;
    }
    *before = name;
    return true;
}

static enum status consumer_load(struct bytes *in, struct stream_group *group, struct bytes *before)
{
    uint64_t number;
    uint64_t pending;
    uint64_t seen;
    uint64_t active;
    if (!take_name(in, before) || !varint_take_shortest(in, &number) ||
        number >= STREAM_CONSUMERS_MAX || !varint_take_shortest(in, &pending) ||
        !take_u64(in, &seen) || !take_u64(in, &active)) {
        return ST_CORRUPT;
    }
    struct stream_consumer *consumer;
    enum status status = consumer_place(group, *before, (uint32_t)number, &consumer);
    if (status == ST_OK) {
        consumer->pending = pending;
        consumer->seen_ms = (int64_t)seen;
        consumer->active_ms = (int64_t)active;
    }
    return status;
}

static enum status consumers_load(struct bytes *in, struct stream_group *group)
{
    uint64_t count;
    uint64_t pending = 0;
    struct bytes before = BYTES_NONE;
    if (!varint_take_shortest(in, &count)) {
        return ST_CORRUPT;
    }
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = consumer_load(in, group, &before);
    }
    for (size_t i = 0; i < group->consumer_count; i++) {
        pending += group->consumers[i]->pending;
    }
    bool fits = pending == group->pending.count && group->owned.count >= group->pending.count;
    return status == ST_OK && !fits ? ST_CORRUPT : status;
}

static enum status group_load(struct bytes *in, struct stream *stream, uint64_t clast,
                              struct bytes *before)
{
    struct stream_id last;
    uint64_t entries_read;
    if (!take_name(in, before) || !take_id(in, &last) || !take_u64(in, &entries_read)) {
        return ST_CORRUPT;
    }
    struct stream_group *group;
    enum status status = group_create(stream, *before, last, (int64_t)entries_read, &group);
    if (status != ST_OK) {
        return status;
    }
    stream->groups_memory -= group_memory(group);
    stream->groups_encoded -= group_encoded_max(group);
    status = clast_load(&group->pending, in, clast);
    if (status == ST_OK) {
        status = clast_load(&group->owned, in, clast);
    }
    if (status == ST_OK) {
        status = consumers_load(in, group);
    }
    stream->groups_memory += group_memory(group);
    stream->groups_encoded += group_encoded_max(group);
    return status;
}

static enum status stream_load(struct bytes *in, struct stream *stream, uint64_t clast)
{
    uint64_t count;
    struct bytes before = BYTES_NONE;
    if (!take_id(in, &stream->last) || !take_id(in, &stream->max_deleted) ||
        !take_u64(in, &stream->added) || !varint_take_shortest(in, &stream->count) ||
        !varint_take_shortest(in, &stream->encoded)) {
        return ST_CORRUPT;
    }
    enum status status = clast_load(&stream->entries, in, clast);
    if (status == ST_OK && !varint_take_shortest(in, &count)) {
        status = ST_CORRUPT;
    }
    for (uint64_t i = 0; status == ST_OK && i < count; i++) {
        status = group_load(in, stream, clast, &before);
    }
    return status;
}

enum status stream_root_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out)
{
    struct stream *stream = stream_new();
    if (stream == NULL) {
        return ST_NOMEM;
    }
    enum status status = stream_load(in, stream, clast);
    if (status != ST_OK) {
        stream_drop(stream);
        return status;
    }
    stream->head.changed = false;
    *root_out = stream;
    return ST_OK;
}
