/* Root and entries. Each change of entries is one change of the clast, which happens or does not,
 * and then the counts of the root; only a trimming that takes whole nodes and a piece of the next
 * one needs two. It keeps a snapshot of the clast (a reference every 256 parts) and puts it back if
 * the second fails. */
#include "engine/value/stream_private.h"

#include "engine/base/check.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

struct stream *stream_new(void)
{
    struct stream *stream = part_alloc(sizeof(*stream));
    if (stream != NULL) {
        *stream = (struct stream){.head.changed = true};
        clast_init(&stream->entries, &clast_sorted, 0);
    }
    return stream;
}

void stream_drop(struct stream *stream)
{
    clast_deinit(&stream->entries);
    while (!groups_free_some(stream, SIZE_MAX)) {
    }
    free(stream->groups);
    free(stream->dropped);
    free(stream);
}

struct stream *stream_root(const struct value *value)
{
    CHECK(value->type == VALUE_STREAM);
    return value->shape == VALUE_CLAST ? value->root : NULL;
}

struct value stream_empty(void)
{
    return (struct value){.type = VALUE_STREAM, .shape = VALUE_PACKED};
}

struct stream_summary stream_summary(const struct value *value)
{
    const struct stream *stream = stream_root(value);
    if (stream == NULL) {
        return (struct stream_summary){.count = 0};
    }
    return (struct stream_summary){.last = stream->last,
                                   .max_deleted = stream->max_deleted,
                                   .count = stream->count,
                                   .added = stream->added,
                                   .nodes = stream->entries.count,
                                   .groups = stream->group_count};
}

/* -- Reads ----------------------------------------------------------------------------------------
 */

/* The node in which this ID lies, if it is there: the last one that begins at or before it, or else
 * the first. At the end only if there are no nodes. */
static enum status node_seek(const struct stream *stream, struct stream_id id,
                             struct clast_path *path)
{
    unsigned char key[STREAM_ID_SIZE];
    stream_id_store(key, id);
    enum status status = clast_seek_key(&stream->entries, bytes_of(key, sizeof(key)), path);
    if (status != ST_OK) {
        return status;
    }
    if (!clast_path_end(path)) {
        struct value_piece piece;
        status = clast_path_element(&stream->entries, path, &piece);
        if (status != ST_OK || stream_id_compare(node_first(piece.data), id) == 0) {
            return status;
        }
    }
    bool moved;
    return clast_path_previous(&stream->entries, path, &moved);
}

struct walk {
    struct stream_id from, to;
    uint64_t left;
    stream_entry_fn fn;
    void *ctx;
};

static bool walk_wants(const struct walk *walk, struct stream_id id)
{
    return stream_id_compare(id, walk->from) >= 0 && stream_id_compare(id, walk->to) <= 0;
}

static enum status walk_node(struct walk *walk, struct value_piece piece)
{
    struct node_reader reader;
    struct stream_entry entry;
    node_read(&reader, piece.data, piece.part);
    enum status status = ST_OK;
    while (status == ST_OK && walk->left > 0 && node_next(&reader, &entry)) {
        if (stream_id_compare(entry.id, walk->to) > 0) {
            break;
        }
        if (walk_wants(walk, entry.id)) {
            walk->left--;
            status = walk->fn(walk->ctx, &entry);
        }
    }
    return status;
}

/* Entries are found from the front alone: notes where those that are wanted begin, then visits them
 * from the last on. */
static enum status walk_node_back(struct walk *walk, struct value_piece piece)
{
    struct {
        struct stream_id before;
        size_t offset;
    } places[NODE_ENTRIES_MAX];
    size_t count = 0;
    struct node_reader reader;
    struct stream_entry entry;
    node_read(&reader, piece.data, piece.part);
    struct stream_id before = reader.id;
    size_t offset = reader.offset;
    while (node_next(&reader, &entry)) {
        if (walk_wants(walk, entry.id)) {
            CHECK(count < NODE_ENTRIES_MAX);
            places[count].before = before;
            places[count++].offset = offset;
        }
        before = reader.id;
        offset = reader.offset;
    }
    enum status status = ST_OK;
    while (status == ST_OK && walk->left > 0 && count > 0) {
        walk->left--;
        count--;
        reader.id = places[count].before;
        reader.offset = places[count].offset;
        node_next(&reader, &entry);
        status = walk->fn(walk->ctx, &entry);
    }
    return status;
}

enum status stream_walk(const struct value *value, struct stream_id from, struct stream_id to,
                        uint64_t count, bool backwards, stream_entry_fn fn, void *ctx)
{
    const struct stream *stream = stream_root(value);
    if (stream == NULL || stream_id_compare(from, to) > 0) {
        return ST_OK;
    }
    struct walk walk = {from, to, count, fn, ctx};
    struct clast_path path;
    bool more = true;
    enum status status = node_seek(stream, backwards ? to : from, &path);
    while (status == ST_OK && more && walk.left > 0 && !clast_path_end(&path)) {
        struct value_piece piece;
        status = clast_path_element(&stream->entries, &path, &piece);
        if (status != ST_OK) {
            break;
        }
        if (backwards) {
            more = stream_id_compare(node_first(piece.data), from) > 0;
            status = walk_node_back(&walk, piece);
            if (status == ST_OK && more) {
                status = clast_path_previous(&stream->entries, &path, &more);
            }
        } else {
            more = stream_id_compare(node_last(piece.data), to) < 0;
            status = walk_node(&walk, piece);
            if (status == ST_OK && more) {
                status = clast_path_next(&stream->entries, &path);
            }
        }
    }
    return status;
}

static enum status count_entry(void *ctx, struct stream_entry *entry)
{
    ++*(uint64_t *)ctx;
    return ST_OK;
}

enum status stream_count(const struct value *value, struct stream_id from, struct stream_id to,
                         uint64_t count, uint64_t *count_out)
{
    *count_out = 0;
    const struct stream *stream = stream_root(value);
    if (stream == NULL || stream_id_compare(from, to) > 0) {
        return ST_OK;
    }
    struct clast_path path;
    enum status status = node_seek(stream, from, &path);
    while (status == ST_OK && *count_out < count && !clast_path_end(&path)) {
        struct value_piece piece;
        status = clast_path_element(&stream->entries, &path, &piece);
        if (status != ST_OK || stream_id_compare(node_first(piece.data), to) > 0) {
            break;
        }
        if (stream_id_compare(node_first(piece.data), from) >= 0 &&
            stream_id_compare(node_last(piece.data), to) <= 0) {
            *count_out += node_live(piece.data);
        } else {
            struct walk walk = {from, to, UINT64_MAX, count_entry, count_out};
            status = walk_node(&walk, piece);
        }
        if (status == ST_OK) {
            status = clast_path_next(&stream->entries, &path);
        }
    }
    *count_out = *count_out < count ? *count_out : count;
    return status;
}

static enum status take_id(void *ctx, struct stream_entry *entry)
{
    *(struct stream_id *)ctx = entry->id;
    return ST_OK;
}

enum status stream_first(const struct value *value, struct stream_id *id_out)
{
    *id_out = STREAM_ID_MIN;
    return stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, 1, false, take_id, id_out);
}

enum status stream_edge(struct stream *stream, bool last, struct stream_id *id_out)
{
    struct value value = {VALUE_STREAM, VALUE_CLAST, BYTES_NONE, stream};
    *id_out = STREAM_ID_MIN;
    return stream_walk(&value, STREAM_ID_MIN, STREAM_ID_MAX, 1, last, take_id, id_out);
}

/* What a trimming takes of the node that does not go as a whole. */
static uint64_t trim_piece(const struct stream_trim *trim, struct bytes node, uint64_t over)
{
    if (!trim->by_id) {
        return over;
    }
    struct node_reader reader;
    struct stream_entry entry;
    uint64_t count = 0;
    node_read(&reader, node, NULL);
    while (node_next(&reader, &entry) && stream_id_compare(entry.id, trim->id) < 0) {
        count++;
    }
    return count;
}

enum status stream_trim_count(const struct value *value, const struct stream_trim *trim,
                              uint64_t *count_out, bool *keep_out)
{
    *count_out = 0;
    *keep_out = false;
    const struct stream *stream = stream_root(value);
    if (stream == NULL) {
        return ST_OK;
    }
    struct clast_path path;
    enum status status = clast_seek_rank(&stream->entries, 0, &path);
    while (status == ST_OK && !clast_path_end(&path)) {
        struct value_piece piece;
        status = clast_path_element(&stream->entries, &path, &piece);
        uint64_t left = stream->count - *count_out;
        if (status != ST_OK || (!trim->by_id && left <= trim->length)) {
            break;
        }
        uint64_t live = node_live(piece.data);
        if (trim->limit > 0 && *count_out + live > trim->limit) {
            break;
        }
        bool whole = trim->by_id ? stream_id_compare(node_last(piece.data), trim->id) < 0
                                 : left - trim->length >= live;
        if (!whole) {
            uint64_t some = trim->whole ? 0 : trim_piece(trim, piece.data, left - trim->length);
            *keep_out = some > 0 && some == live;
            *count_out += some;
            break;
        }
        *count_out += live;
        status = clast_path_next(&stream->entries, &path);
    }
    return status;
}

/* -- Changes --------------------------------------------------------------------------------------
 */

static enum status add_node(struct stream *stream, struct clast_path *path, struct stream_id id,
                            uint64_t count, struct bytes fields, struct buf *scratch)
{
    size_t start = scratch->size;
    enum status status = node_begin(scratch, id, count, fields);
    if (status == ST_OK) {
        status = clast_insert_at(&stream->entries, path,
                                 bytes_slice(buf_bytes(scratch), start, SIZE_MAX));
    }
    return status;
}

enum status stream_add(struct stream *stream, struct stream_id id, uint64_t count,
                       struct bytes fields, const struct value_limits *limits, struct buf *scratch)
{
    CHECK(stream_id_compare(id, stream->last) > 0);
    size_t start = scratch->size;
    struct clast_path path;
    bool moved = false;
    enum status status = clast_seek_rank(&stream->entries, stream->entries.count, &path);
    struct clast_path last = path;
    if (status == ST_OK) {
        status = clast_path_previous(&stream->entries, &last, &moved);
    }
    struct value_piece piece = {BYTES_NONE, NULL};
    if (status == ST_OK && moved) {
        status = clast_path_element(&stream->entries, &last, &piece);
    }
    if (status != ST_OK) {
        return status;
    }
    if (!moved || node_full(piece.data, fields, limits)) {
        status = add_node(stream, &path, id, count, fields, scratch);
    } else {
        status = buf_append(scratch, piece.data);
        if (status == ST_OK) {
            status = node_add(scratch, start, id, count, fields);
        }
        if (status == ST_OK) {
            status = clast_replace_at(&stream->entries, &last,
                                      bytes_slice(buf_bytes(scratch), start, SIZE_MAX));
        }
    }
    scratch->size = start;
    if (status == ST_OK) {
        stream->last = id;
        stream->added++;
        stream->count++;
        stream->encoded += entry_encoded_size(count, fields);
    }
    return status;
}

/* Cuts `count` entries from `index` on out of the node, or takes it out where none would be left
 * (unless keep). */
static enum status cut_node(struct stream *stream, struct clast_path *path, uint32_t index,
                            uint32_t count, bool keep, struct buf *scratch)
{
    struct value_piece piece;
    enum status status = clast_path_element(&stream->entries, path, &piece);
    if (status != ST_OK) {
        return status;
    }
    size_t start = scratch->size;
    uint64_t encoded = node_encoded(piece.data);
    uint64_t left = 0;
    if (count == node_live(piece.data) && !keep) {
        status = clast_remove_at(&stream->entries, path);
    } else {
        status = node_cut(piece.data, index, count, scratch);
        if (status == ST_OK) {
            struct bytes node = bytes_slice(buf_bytes(scratch), start, SIZE_MAX);
            left = node_encoded(node);
            status = clast_replace_at(&stream->entries, path, node);
        }
    }
    scratch->size = start;
    if (status == ST_OK) {
        stream->count -= count;
        stream->encoded -= encoded - left;
    }
    return status;
}

enum status stream_delete(struct stream *stream, struct stream_id id, struct buf *scratch,
                          bool *deleted_out)
{
    *deleted_out = false;
    struct clast_path path;
    enum status status = node_seek(stream, id, &path);
    if (status != ST_OK || clast_path_end(&path)) {
        return status;
    }
    struct value_piece piece;
    status = clast_path_element(&stream->entries, &path, &piece);
    if (status != ST_OK) {
        return status;
    }
    struct node_reader reader;
    struct stream_entry entry;
    node_read(&reader, piece.data, NULL);
    for (uint32_t index = 0; node_next(&reader, &entry); index++) {
        if (stream_id_compare(entry.id, id) == 0) {
            status = cut_node(stream, &path, index, 1, false, scratch);
            *deleted_out = status == ST_OK;
            break;
        }
    }
    if (*deleted_out && stream_id_compare(id, stream->max_deleted) > 0) {
        stream->max_deleted = id;
    }
    return status;
}

/* The first nodes that go as a whole, and what else goes of the next. */
struct front {
    uint64_t nodes;
    uint64_t encoded;
    uint64_t rest;
};

static enum status front_find(const struct stream *stream, uint64_t count, bool keep,
                              struct front *front, struct clast_path *path)
{
    *front = (struct front){.rest = count};
    enum status status = clast_seek_rank(&stream->entries, 0, path);
    while (status == ST_OK && front->rest > 0) {
        struct value_piece piece;
        status = clast_path_element(&stream->entries, path, &piece);
        if (status != ST_OK) {
            break;
        }
        uint64_t live = node_live(piece.data);
        if (front->rest < live || (keep && front->rest == live)) {
            break;
        }
        front->rest -= live;
        front->nodes++;
        front->encoded += node_encoded(piece.data);
        status = clast_path_next(&stream->entries, path);
    }
    return status;
}

enum status stream_trim(struct stream *stream, uint64_t count, bool keep, struct buf *scratch)
{
    CHECK(count <= stream->count);
    struct front front;
    struct clast_path path;
    enum status status = front_find(stream, count, keep, &front, &path);
    if (status != ST_OK || front.nodes == 0) {
        return status != ST_OK || front.rest == 0
                   ? status
                   : cut_node(stream, &path, 0, (uint32_t)front.rest, keep, scratch);
    }
    if (front.rest == 0) {
        status = clast_remove(&stream->entries, 0, front.nodes);
    } else {
        struct clast before;
        uint64_t encoded = stream->encoded;
        uint64_t all = stream->count;
        status = clast_snapshot(&stream->entries, &before);
        if (status != ST_OK) {
            return status;
        }
        status = cut_node(stream, &path, 0, (uint32_t)front.rest, keep, scratch);
        if (status == ST_OK) {
            status = clast_remove(&stream->entries, 0, front.nodes);
        }
        if (status != ST_OK) {
            clast_restore(&stream->entries, &before);
            stream->encoded = encoded;
            stream->count = all;
        } else {
            clast_deinit(&before);
        }
    }
    if (status == ST_OK) {
        stream->count -= count - front.rest;
        stream->encoded -= front.encoded;
    }
    return status;
}

/* -- Class ----------------------------------------------------------------------------------------
 */

static bool stream_vanishes(const struct value *value)
{
    return value->shape == VALUE_PACKED;
}

static const char *stream_encoding(const struct value *value, const struct value_limits *limits)
{
    return "stream";
}

static enum status stream_copy(const struct value *value, struct buf *scratch,
                               struct value *copy_out)
{
    const struct stream *stream = stream_root(value);
    if (stream == NULL) {
        *copy_out = *value;
        return ST_OK;
    }
    struct stream *copy = stream_new();
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_copy(&stream->entries, &copy->entries);
    if (status == ST_OK) {
        status = groups_copy(stream, copy);
    }
    if (status != ST_OK) {
        stream_drop(copy);
        return status;
    }
    copy->last = stream->last;
    copy->max_deleted = stream->max_deleted;
    copy->added = stream->added;
    copy->count = stream->count;
    copy->encoded = stream->encoded;
    *copy_out = (struct value){VALUE_STREAM, VALUE_CLAST, BYTES_NONE, copy};
    return ST_OK;
}

static void stream_free(struct value *value)
{
    stream_drop(value->root);
    value->root = NULL;
}

static bool stream_free_some(struct value *value, size_t parts)
{
    struct stream *stream = value->root;
    if (!clast_free_some(&stream->entries, parts) || !groups_free_some(stream, parts)) {
        return false;
    }
    stream_free(value);
    return true;
}

static uint64_t stream_memory(const struct value *value)
{
    const struct stream *stream = value->root;
    return part_heap_size(sizeof(*stream)) + clast_memory(&stream->entries) +
           (stream->group_capacity > 0
                ? part_heap_size(stream->group_capacity * sizeof(stream->groups[0]))
                : 0) +
           parts_numbers_memory(stream->dropped) + stream->groups_memory;
}

bool stream_check(const struct value *value)
{
    const struct stream *stream = stream_root(value);
    if (stream == NULL) {
        return value->packed.size == 0;
    }
    if (!clast_check(&stream->entries)) {
        return false;
    }
    uint64_t count = 0;
    uint64_t encoded = 0;
    struct stream_id before = STREAM_ID_MIN;
    for (uint64_t i = 0; i < stream->entries.count; i++) {
        struct value_piece piece;
        if (clast_at(&stream->entries, i, &piece) != ST_OK) {
            return false;
        }
        struct node_reader reader;
        struct stream_entry entry;
        uint32_t live = 0;
        node_read(&reader, piece.data, piece.part);
        while (node_next(&reader, &entry)) {
            bool fine = stream_id_compare(entry.id, before) > 0 &&
                        stream_id_compare(entry.id, node_first(piece.data)) >= 0 &&
                        stream_id_compare(entry.id, node_last(piece.data)) <= 0;
            if (!fine) {
                return false;
            }
            before = entry.id;
            live++;
        }
        if (live != node_live(piece.data)) {
            return false;
        }
        count += live;
        encoded += node_encoded(piece.data);
    }
    return count == stream->count && encoded == stream->encoded &&
           stream_id_compare(before, stream->last) <= 0 && groups_check(stream);
}

static enum status stream_tables(void *root, value_table_fn fn, void *ctx)
{
    struct stream *stream = root;
    enum status status = fn(ctx, &stream->entries.parts);
    return status == ST_OK ? groups_tables(stream, fn, ctx) : status;
}

static void stream_recount(void *root)
{
    groups_recount(root);
}

static struct parts_numbers **stream_dropped(void *root)
{
    return &((struct stream *)root)->dropped;
}

const struct value_class stream_class = {
    .name = "stream",
    .empty = stream_empty,
    .vanishes = stream_vanishes,
    .encoding = stream_encoding,
    .encode = stream_encode,
    .decode = stream_decode,
    .encoded_max = stream_encoded_max,
    .copy = stream_copy,
    .free = stream_free,
    .free_some = stream_free_some,
    .memory = stream_memory,
    .apply = stream_apply,
    .tables = stream_tables,
    .store = stream_root_store,
    .load = stream_root_load,
    .dropped = stream_dropped,
    .recount = stream_recount,
};
