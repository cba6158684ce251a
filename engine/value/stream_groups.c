/* Groups, consumers and what is pending.
 *
 * Two trees must agree, and a change of either may find no memory. So one of them decides: an entry
 * is pending for the consumer that the pending tree names. `owned` is only the order in which one
 * consumer's entries are found; an element there that the pending tree does not confirm is skipped.
 * To put an entry, `owned` comes first; to remove it, `owned` comes last and may fail. What is left
 * over then is found again, and removed, when its consumer goes, or counts again if the entry comes
 * back to it. No step ever needs to be undone.
 */
#include "engine/value/stream_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* -- Groups ------------------------------------------------------------------------------------ */

struct stream_group *group_find(const struct stream *stream, struct bytes name, size_t *index_out)
{
    size_t low = 0;
    size_t high = stream->group_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct stream_group *group = stream->groups[middle];
        int order = bytes_compare(bytes_of(group->name, group->name_size), name);
        if (order == 0) {
            *index_out = middle;
            return group;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *index_out = low;
    return NULL;
}

static struct stream_group *group_new(struct bytes name)
{
    struct stream_group *group = part_alloc(sizeof(*group) + name.size);
    if (group == NULL) {
        return NULL;
    }
    *group = (struct stream_group){.name_size = name.size};
    clast_init(&group->pending, &clast_sorted, 0);
    clast_init(&group->owned, &clast_sorted, 0);
    if (name.size > 0) {
        memcpy(group->name, name.data, name.size);
    }
    return group;
}

static void group_drop(struct stream_group *group)
{
    clast_deinit(&group->pending);
    clast_deinit(&group->owned);
    for (size_t i = 0; i < group->consumer_count; i++) {
        free(group->consumers[i]);
    }
    free(group->consumers);
    free(group->numbered);
    free(group);
}

uint64_t group_memory(const struct stream_group *group)
{
    return part_heap_size(sizeof(*group) + group->name_size) +
           stream_array_memory(group->consumer_capacity) +
           stream_array_memory(group->numbered_capacity) + group->consumer_memory +
           clast_memory(&group->pending) + clast_memory(&group->owned);
}

uint64_t group_encoded_max(const struct stream_group *group)
{
    return 3 * VARINT_MAX + group->name_size + 24 + group->consumer_encoded +
           group->pending.count * (32 + VARINT_MAX);
}

enum status group_create(struct stream *stream, struct bytes name, struct stream_id last,
                         int64_t entries_read, struct stream_group **group_out)
{
    size_t index;
    struct stream_group *there = group_find(stream, name, &index);
    CHECK(there == NULL);
    enum status status =
        stream_array_grow((void ***)&stream->groups, stream->group_count, &stream->group_capacity);
    struct stream_group *group = status == ST_OK ? group_new(name) : NULL;
    if (group == NULL) {
        return ST_NOMEM;
    }
    group->last = last;
    group->entries_read = entries_read;
    stream_array_insert((void **)stream->groups, stream->group_count++, index, group);
    stream->groups_memory += group_memory(group);
    stream->groups_encoded += group_encoded_max(group);
    *group_out = group;
    return ST_OK;
}

/* The number of a table that goes, if there is anything of it on disk. */
static enum status table_bury(struct stream *stream, const struct parts *parts)
{
    uint32_t table = parts_grave(parts);
    enum status status = table == 0 ? ST_OK : parts_numbers_reserve(&stream->dropped);
    if (status == ST_OK && table != 0) {
        parts_numbers_add(stream->dropped, table);
    }
    return status;
}

enum status group_destroy(struct stream *stream, size_t index)
{
    struct stream_group *group = stream->groups[index];
    uint32_t before = stream->dropped == NULL ? 0 : stream->dropped->count;
    enum status status = table_bury(stream, &group->pending.parts);
    if (status == ST_OK) {
        status = table_bury(stream, &group->owned.parts);
    }
    if (status != ST_OK) {
        if (stream->dropped != NULL) {
            stream->dropped->count = before;
        }
        return status;
    }
    stream->groups_memory -= group_memory(group);
    stream->groups_encoded -= group_encoded_max(group);
    stream_array_remove((void **)stream->groups, stream->group_count--, index);
    group_drop(group);
    return ST_OK;
}

void groups_recount(struct stream *stream)
{
    stream->groups_memory = 0;
    for (size_t i = 0; i < stream->group_count; i++) {
        stream->groups_memory += group_memory(stream->groups[i]);
    }
}

enum status groups_tables(struct stream *stream, value_table_fn fn, void *ctx)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < stream->group_count && status == ST_OK; i++) {
        status = fn(ctx, &stream->groups[i]->pending.parts);
        if (status == ST_OK) {
            status = fn(ctx, &stream->groups[i]->owned.parts);
        }
    }
    return status;
}

bool groups_free_some(struct stream *stream, size_t parts)
{
    if (stream->group_count == 0) {
        return true;
    }
    struct stream_group *group = stream->groups[stream->group_count - 1];
    if (clast_free_some(&group->pending, parts) && clast_free_some(&group->owned, parts)) {
        stream->group_count--;
        group_drop(group);
    }
    return stream->group_count == 0;
}

/* -- Copies ------------------------------------------------------------------------------------ */

static enum status group_copy(const struct stream_group *group, struct stream_group *copy)
{
    size_t size = group->consumer_count * sizeof(void *);
    if (size > 0) {
        copy->consumers = part_alloc(size);
        copy->numbered = part_alloc(size);
        if (copy->consumers == NULL || copy->numbered == NULL) {
            return ST_NOMEM;
        }
        copy->consumer_capacity = copy->numbered_capacity = group->consumer_count;
    }
    enum status status = ST_OK;
    for (size_t i = 0; i < group->consumer_count && status == ST_OK; i++) {
        status = consumer_copy(copy, group->consumers[i]);
    }
    if (status == ST_OK) {
        status = clast_copy(&group->pending, &copy->pending);
    }
    return status == ST_OK ? clast_copy(&group->owned, &copy->owned) : status;
}

enum status groups_copy(const struct stream *stream, struct stream *copy)
{
    for (size_t i = 0; i < stream->group_count; i++) {
        const struct stream_group *group = stream->groups[i];
        struct stream_group *other;
        enum status status = group_create(copy, bytes_of(group->name, group->name_size),
                                          group->last, group->entries_read, &other);
        if (status != ST_OK) {
            return status;
        }
        copy->groups_memory -= group_memory(other);
        copy->groups_encoded -= group_encoded_max(other);
        status = group_copy(group, other);
        copy->groups_memory += group_memory(other);
        copy->groups_encoded += group_encoded_max(other);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

/* -- Pending entries --------------------------------------------------------------------------- */

struct pending {
    struct stream_id id;
    uint32_t number;
    int64_t time_ms;
    uint64_t deliveries;
};

static void pending_store(unsigned char *p, const struct pending *pending)
{
    stream_id_store(p, pending->id);
    store_u32(p + 16, pending->number);
    store_u64(p + 20, (uint64_t)pending->time_ms);
    store_u64(p + 28, pending->deliveries);
}

static struct pending pending_load(struct bytes element)
{
    const unsigned char *p = element.data;
    CHECK(element.size == PENDING_SIZE);
    return (struct pending){stream_id_load(p), load_u32(p + 16), (int64_t)load_u64(p + 20),
                            load_u64(p + 28)};
}

static void owned_store(unsigned char *p, uint32_t number, struct stream_id id)
{
    store_u32(p, __builtin_bswap32(number));
    stream_id_store(p + 4, id);
}

/* Where the ID is in the pending tree, or belongs. */
static enum status pending_seek(const struct stream_group *group, struct stream_id id,
                                struct clast_path *path, struct pending *pending_out,
                                bool *found_out)
{
    unsigned char key[STREAM_ID_SIZE];
    stream_id_store(key, id);
    *found_out = false;
    enum status status = clast_seek_key(&group->pending, bytes_of(key, sizeof(key)), path);
    if (status != ST_OK || clast_path_end(path)) {
        return status;
    }
    struct value_piece piece;
    status = clast_path_element(&group->pending, path, &piece);
    if (status == ST_OK) {
        *pending_out = pending_load(piece.data);
        *found_out = stream_id_compare(pending_out->id, id) == 0;
    }
    return status;
}

static enum status owned_seek(const struct stream_group *group, uint32_t number,
                              struct stream_id id, struct clast_path *path, bool *found_out)
{
    unsigned char key[OWNED_SIZE];
    owned_store(key, number, id);
    *found_out = false;
    enum status status = clast_seek_key(&group->owned, bytes_of(key, sizeof(key)), path);
    if (status == ST_OK && !clast_path_end(path)) {
        struct value_piece piece;
        status = clast_path_element(&group->owned, path, &piece);
        *found_out = status == ST_OK && bytes_equal(piece.data, bytes_of(key, sizeof(key)));
    }
    return status;
}

static enum status owned_put(struct stream_group *group, uint32_t number, struct stream_id id)
{
    struct clast_path path;
    bool found;
    enum status status = owned_seek(group, number, id, &path, &found);
    if (status == ST_OK && !found) {
        unsigned char key[OWNED_SIZE];
        owned_store(key, number, id);
        status = clast_insert_at(&group->owned, &path, bytes_of(key, sizeof(key)));
    }
    return status;
}

static void owned_remove(struct stream_group *group, uint32_t number, struct stream_id id)
{
    struct clast_path path;
    bool found;
    enum status status = owned_seek(group, number, id, &path, &found);
    if (status == ST_OK && found) {
        status = clast_remove_at(&group->owned, &path);
    }
    status_ignore(status, "an element that pending does not confirm is skipped");
}

enum status pending_touch(const struct stream_group *group, struct stream_id id,
                          const struct stream_consumer *consumer)
{
    struct clast_path path;
    struct pending pending;
    bool found;
    enum status status = pending_seek(group, id, &path, &pending, &found);
    if (status == ST_OK && found) {
        status = owned_seek(group, pending.number, id, &path, &found);
    }
    if (consumer != NULL) {
        enum status own = owned_seek(group, consumer->number, id, &path, &found);
        status = own == ST_OK ? status : own;
    }
    return status;
}

enum status pending_put(struct stream_group *group, struct stream_id id,
                        struct stream_consumer *consumer, int64_t time_ms, uint64_t deliveries)
{
    struct clast_path path;
    struct pending before;
    bool found;
    enum status status = owned_put(group, consumer->number, id);
    if (status == ST_OK) {
        status = pending_seek(group, id, &path, &before, &found);
    }
    if (status != ST_OK) {
        return status;
    }
    unsigned char element[PENDING_SIZE];
    pending_store(element, &(struct pending){id, consumer->number, time_ms, deliveries});
    struct bytes bytes = bytes_of(element, sizeof(element));
    status = found ? clast_replace_at(&group->pending, &path, bytes)
                   : clast_insert_at(&group->pending, &path, bytes);
    if (status != ST_OK) {
        return status;
    }
    consumer->pending++;
    if (found) {
        consumer_numbered(group, before.number)->pending--;
        if (before.number != consumer->number) {
            owned_remove(group, before.number, id);
        }
    }
    return ST_OK;
}

enum status pending_remove(struct stream_group *group, struct stream_id id, bool *removed_out)
{
    struct clast_path path;
    struct pending before;
    enum status status = pending_seek(group, id, &path, &before, removed_out);
    if (status == ST_OK && *removed_out) {
        status = clast_remove_at(&group->pending, &path);
        *removed_out = status == ST_OK;
    }
    if (*removed_out) {
        consumer_numbered(group, before.number)->pending--;
        owned_remove(group, before.number, id);
    }
    return status;
}

enum status pending_redeliver(struct stream_group *group, struct stream_id id,
                              const struct stream_consumer *consumer, int64_t time_ms,
                              bool *found_out)
{
    struct clast_path path;
    struct pending pending;
    enum status status = pending_seek(group, id, &path, &pending, found_out);
    *found_out = *found_out && pending.number == consumer->number;
    if (status != ST_OK || !*found_out) {
        return status;
    }
    unsigned char element[PENDING_SIZE];
    pending.time_ms = time_ms;
    pending.deliveries++;
    pending_store(element, &pending);
    return clast_replace_at(&group->pending, &path, bytes_of(element, sizeof(element)));
}

/* Removes from the pending tree what is the consumer's. */
static enum status consumer_forget(struct stream_group *group, uint32_t number)
{
    struct clast_path place;
    bool found;
    enum status status = owned_seek(group, number, STREAM_ID_MIN, &place, &found);
    while (status == ST_OK && !clast_path_end(&place)) {
        struct value_piece piece;
        status = clast_path_element(&group->owned, &place, &piece);
        if (status != ST_OK || __builtin_bswap32(load_u32(piece.data.data)) != number) {
            break;
        }
        struct stream_id id = stream_id_load((const unsigned char *)piece.data.data + 4);
        struct clast_path path;
        struct pending pending;
        status = pending_seek(group, id, &path, &pending, &found);
        if (status == ST_OK && found && pending.number == number) {
            status = clast_remove_at(&group->pending, &path);
        }
        if (status == ST_OK) {
            status = clast_path_next(&group->owned, &place);
        }
    }
    return status;
}

static void owned_forget(struct stream_group *group, uint32_t number)
{
    struct clast_path from;
    struct clast_path to;
    bool found;
    enum status status = owned_seek(group, number, STREAM_ID_MIN, &from, &found);
    if (status == ST_OK) {
        status = number == UINT32_MAX ? clast_seek_rank(&group->owned, group->owned.count, &to)
                                      : owned_seek(group, number + 1, STREAM_ID_MIN, &to, &found);
    }
    if (status == ST_OK) {
        uint64_t first = clast_path_rank(&from);
        uint64_t end = clast_path_rank(&to);
        status = end > first ? clast_remove(&group->owned, first, end - first) : ST_OK;
    }
    status_ignore(status, "an element that pending does not confirm is skipped");
}

enum status consumer_delete(struct stream_group *group, size_t index)
{
    struct stream_consumer *consumer = group->consumers[index];
    if (consumer->pending > 0) {
        struct clast before;
        enum status status = clast_snapshot(&group->pending, &before);
        if (status != ST_OK) {
            return status;
        }
        status = consumer_forget(group, consumer->number);
        if (status != ST_OK) {
            clast_restore(&group->pending, &before);
            return status;
        }
        clast_deinit(&before);
    }
    owned_forget(group, consumer->number);
    consumer_drop(group, index);
    return ST_OK;
}

/* -- Reads ------------------------------------------------------------------------------------- */

const struct stream_group *stream_group(const struct value *value, struct bytes name)
{
    const struct stream *stream = stream_root(value);
    size_t index;
    return stream == NULL ? NULL : group_find(stream, name, &index);
}

const struct stream_group *stream_group_at(const struct value *value, size_t index)
{
    const struct stream *stream = stream_root(value);
    CHECK(stream != NULL && index < stream->group_count);
    return stream->groups[index];
}

struct stream_group_view stream_group_view(const struct stream_group *group)
{
    return (struct stream_group_view){.name = bytes_of(group->name, group->name_size),
                                      .last = group->last,
                                      .entries_read = group->entries_read,
                                      .pending = group->pending.count,
                                      .consumers = group->consumer_count};
}

const struct stream_consumer *stream_consumer(const struct stream_group *group, struct bytes name)
{
    size_t index;
    return consumer_find(group, name, &index);
}

const struct stream_consumer *stream_consumer_at(const struct stream_group *group, size_t index)
{
    CHECK(index < group->consumer_count);
    return group->consumers[index];
}

struct stream_consumer_view stream_consumer_view(const struct stream_consumer *consumer)
{
    return (struct stream_consumer_view){.name = bytes_of(consumer->name, consumer->name_size),
                                         .seen_ms = consumer->seen_ms,
                                         .active_ms = consumer->active_ms,
                                         .pending = consumer->pending};
}

static struct stream_pending pending_view(const struct stream_group *group,
                                          const struct pending *pending)
{
    const struct stream_consumer *consumer = consumer_numbered(group, pending->number);
    CHECK(consumer != NULL);
    return (struct stream_pending){pending->id, consumer, pending->time_ms, pending->deliveries};
}

static enum status walk_all(const struct stream_group *group, struct stream_id from,
                            struct stream_id to, stream_pending_fn fn, void *ctx)
{
    struct clast_path path;
    struct pending pending;
    bool found;
    bool more = true;
    enum status status = pending_seek(group, from, &path, &pending, &found);
    while (status == ST_OK && more && !clast_path_end(&path)) {
        struct value_piece piece;
        status = clast_path_element(&group->pending, &path, &piece);
        if (status != ST_OK) {
            break;
        }
        pending = pending_load(piece.data);
        if (stream_id_compare(pending.id, to) > 0) {
            break;
        }
        struct stream_pending view = pending_view(group, &pending);
        status = fn(ctx, &view, &more);
        if (status == ST_OK && more) {
            status = clast_path_next(&group->pending, &path);
        }
    }
    return status;
}

enum status stream_pending_walk(const struct stream_group *group,
                                const struct stream_consumer *consumer, struct stream_id from,
                                struct stream_id to, stream_pending_fn fn, void *ctx)
{
    if (consumer == NULL) {
        return walk_all(group, from, to, fn, ctx);
    }
    struct clast_path path;
    bool found;
    bool more = true;
    enum status status = owned_seek(group, consumer->number, from, &path, &found);
    while (status == ST_OK && more && !clast_path_end(&path)) {
        struct value_piece piece;
        status = clast_path_element(&group->owned, &path, &piece);
        if (status != ST_OK || __builtin_bswap32(load_u32(piece.data.data)) != consumer->number) {
            break;
        }
        struct stream_id id = stream_id_load((const unsigned char *)piece.data.data + 4);
        if (stream_id_compare(id, to) > 0) {
            break;
        }
        struct stream_pending pending;
        status = stream_pending_find(group, id, &pending, &found);
        if (status == ST_OK && found && pending.consumer == consumer) {
            status = fn(ctx, &pending, &more);
        }
        if (status == ST_OK && more) {
            status = clast_path_next(&group->owned, &path);
        }
    }
    return status;
}

enum status stream_pending_find(const struct stream_group *group, struct stream_id id,
                                struct stream_pending *pending_out, bool *found_out)
{
    struct clast_path path;
    struct pending pending;
    enum status status = pending_seek(group, id, &path, &pending, found_out);
    if (status == ST_OK && *found_out) {
        *pending_out = pending_view(group, &pending);
    }
    return status;
}

enum status stream_pending_last(const struct stream_group *group, struct stream_id *id_out)
{
    *id_out = STREAM_ID_MIN;
    if (group->pending.count == 0) {
        return ST_OK;
    }
    struct value_piece piece;
    enum status status = clast_at(&group->pending, group->pending.count - 1, &piece);
    if (status == ST_OK) {
        *id_out = pending_load(piece.data).id;
    }
    return status;
}

/* -- How far a group has read -------------------------------------------------------------------
 */

bool stream_holes_after(const struct stream *stream, struct stream_id id, struct stream_id first)
{
    return stream->count > 0 && stream_id_compare(first, stream->max_deleted) <= 0 &&
           stream_id_compare(id, stream->max_deleted) <= 0;
}

int64_t stream_position(const struct stream *stream, struct stream_id id, struct stream_id first)
{
    if (stream->added == 0) {
        return 0;
    }
    int order = stream_id_compare(id, stream->last);
    if (order == 0 || (stream->count == 0 && order < 0)) {
        return (int64_t)stream->added;
    }
    if (order > 0) {
        return -1;
    }
    bool deleted = stream_id_compare(stream->max_deleted, STREAM_ID_MIN) > 0;
    if (deleted && stream_id_compare(stream->max_deleted, first) >= 0) {
        return -1;
    }
    order = stream_id_compare(id, first);
    return order > 0 ? -1 : (int64_t)(stream->added - stream->count + (order == 0));
}

enum status stream_group_lag(const struct value *value, const struct stream_group *group,
                             int64_t *lag_out, bool *known_out)
{
    const struct stream *stream = stream_root(value);
    CHECK(stream != NULL);
    struct stream_id first;
    enum status status = stream_first(value, &first);
    if (status != ST_OK) {
        return status;
    }
    int64_t position = group->entries_read;
    *lag_out = 0;
    *known_out = true;
    if (stream->added == 0) {
        return ST_OK;
    }
    if (position == -1 || stream_holes_after(stream, group->last, first)) {
        position = stream_position(stream, group->last, first);
    }
    *known_out = position != -1;
    *lag_out = (int64_t)(stream->added - (uint64_t)position);
    return ST_OK;
}

/* -- Check ------------------------------------------------------------------------------------- */

static bool group_check(const struct stream_group *group)
{
    if (!clast_check(&group->pending) || !clast_check(&group->owned)) {
        return false;
    }
    uint64_t pending = 0;
    for (size_t i = 0; i < group->consumer_count; i++) {
        const struct stream_consumer *consumer = group->consumers[i];
        if (consumer_numbered(group, consumer->number) != consumer) {
            return false;
        }
        pending += consumer->pending;
    }
    for (uint64_t i = 0; i < group->pending.count; i++) {
        struct value_piece piece;
        struct clast_path path;
        bool found = false;
        if (clast_at(&group->pending, i, &piece) != ST_OK) {
            return false;
        }
        struct pending entry = pending_load(piece.data);
        if (consumer_numbered(group, entry.number) == NULL ||
            owned_seek(group, entry.number, entry.id, &path, &found) != ST_OK || !found) {
            return false;
        }
    }
    return pending == group->pending.count;
}

bool groups_check(const struct stream *stream)
{
    uint64_t memory = 0;
    uint64_t encoded = 0;
    for (size_t i = 0; i < stream->group_count; i++) {
        if (!group_check(stream->groups[i])) {
            return false;
        }
        memory += group_memory(stream->groups[i]);
        encoded += group_encoded_max(stream->groups[i]);
    }
    return memory == stream->groups_memory && encoded == stream->groups_encoded;
}
