/* The listpack's size is computed, never built: each integer and string of the listpack that Redis
 * would have made takes what listpack_* below say. It decides only where a node is full, so that
 * approximate trimming and XINFO show the same nodes. */
#include "engine/value/stream_node.h"

#include "engine/base/check.h"

enum entry_flag { ENTRY_OWN_NAMES = 1, ENTRY_MS = 2, ENTRY_SEQ = 4 };

#define AT_LAST 16
#define AT_LIVE 32
#define AT_DELETED 36
#define AT_ENCODED 40
#define AT_NAMES_SIZE 48
#define AT_LISTPACK 52

/* Header and end mark of a listpack. */
#define LISTPACK_FRAME_SIZE 7
/* Redis takes this for no limit. */
#define LISTPACK_SIZE_MAX (1u << 30)

static const unsigned char *at(struct bytes bytes, size_t offset)
{
    return (const unsigned char *)bytes.data + offset;
}

/* -- IDs ----------------------------------------------------------------------------------------
 */

void stream_id_store(unsigned char *p, struct stream_id id)
{
    store_u64(p, __builtin_bswap64(id.ms));
    store_u64(p + 8, __builtin_bswap64(id.seq));
}

struct stream_id stream_id_load(const unsigned char *p)
{
    return (struct stream_id){__builtin_bswap64(load_u64(p)), __builtin_bswap64(load_u64(p + 8))};
}

struct stream_id node_first(struct bytes node)
{
    return stream_id_load(node.data);
}

struct stream_id node_last(struct bytes node)
{
    return stream_id_load(at(node, AT_LAST));
}

uint32_t node_live(struct bytes node)
{
    return load_u32(at(node, AT_LIVE));
}

uint64_t node_encoded(struct bytes node)
{
    return load_u64(at(node, AT_ENCODED));
}

/* -- Sizes in a listpack --------------------------------------------------------------------------
 */

static size_t listpack_framed(uint64_t size)
{
    return size + (size < 128         ? 1
                   : size < 16383     ? 2
                   : size < 2097151   ? 3
                   : size < 268435455 ? 4
                                      : 5);
}

static uint64_t listpack_integer(int64_t value)
{
    uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    return listpack_framed(value >= 0 && value < 128 ? 1
                           : magnitude < 1u << 12    ? 2
                           : magnitude < 1u << 15    ? 3
                           : magnitude < 1u << 23    ? 4
                           : magnitude < 1ull << 31  ? 5
                                                     : 9);
}

static uint64_t listpack_text(struct bytes text)
{
    int64_t value;
    if (text.size < INT64_TEXT_MAX && bytes_to_int64(text, &value)) {
        return listpack_integer(value);
    }
    return listpack_framed(text.size + (text.size < 64 ? 1 : text.size < 4096 ? 2 : 5));
}

static uint32_t listpack_sum(uint64_t a, uint64_t b)
{
    return a + b < UINT32_MAX ? (uint32_t)(a + b) : UINT32_MAX;
}

/* -- Items and fields -----------------------------------------------------------------------------
 */

/* For what has been looked through before. */
static struct bytes field_take(struct bytes *in)
{
    struct bytes field = BYTES_NONE;
    bool taken = bytes_take_sized(in, &field);
    CHECK(taken);
    return field;
}

bool node_full(struct bytes node, struct bytes fields, const struct value_limits *limits)
{
    uint64_t fields_size = 0;
    while (fields.size > 0) {
        fields_size += field_take(&fields).size;
    }
    uint64_t live = node_live(node);
    uint64_t deleted = load_u32(at(node, AT_DELETED));
    uint64_t size_max = (uint64_t)limits->stream_node_max_bytes;
    if (size_max == 0 || size_max > LISTPACK_SIZE_MAX) {
        size_max = LISTPACK_SIZE_MAX;
    }
    uint64_t entries_max = (uint64_t)limits->stream_node_max_entries;
    if (entries_max == 0 || entries_max > NODE_ENTRIES_MAX) {
        entries_max = NODE_ENTRIES_MAX;
    }
    uint64_t size = load_u32(at(node, AT_LISTPACK)) + listpack_integer((int64_t)live) +
                    listpack_integer((int64_t)deleted);
    return size + fields_size >= size_max || live + deleted >= entries_max ||
           node.size + fields_size > NODE_SIZE_MAX;
}

static uint64_t number_take(struct bytes *in)
{
    uint64_t value = 0;
    bool taken = varint_take(in, &value);
    CHECK(taken);
    return value;
}

/* p has room for one byte more than (v size, bytes) would take. */
static size_t item_store(unsigned char *p, struct bytes text)
{
    int64_t value;
    if (text.size >= INT64_TEXT_MAX || !bytes_to_int64(text, &value)) {
        size_t size = varint_store(p, (uint64_t)text.size << 1);
        if (text.size > 0) {
            memcpy(p + size, text.data, text.size);
        }
        return size + text.size;
    }
    uint64_t zigzag = (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
    size_t size = 0;
    unsigned char bytes[8];
    store_u64(bytes, zigzag);
    while (size < 8 && zigzag >> 8 * size != 0) {
        size++;
    }
    p[0] = (unsigned char)(size << 1 | 1);
    memcpy(p + 1, bytes, size);
    return 1 + size;
}

/* room: INT64_TEXT_MAX bytes for the text of an integer. */
static struct bytes item_take(struct bytes *in, char *room)
{
    uint64_t head = number_take(in);
    size_t size = (size_t)(head >> 1);
    CHECK(size <= in->size);
    struct bytes item = bytes_slice(*in, 0, size);
    *in = bytes_slice(*in, size, SIZE_MAX);
    if ((head & 1) == 0) {
        return item;
    }
    CHECK(size <= 8);
    uint64_t zigzag = 0;
    memcpy(&zigzag, item.data, size);
    int64_t value = (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1)));
    return bytes_of(room, int64_to_text(value, room));
}

uint64_t entry_encoded_size(uint64_t count, struct bytes fields)
{
    return STREAM_ID_SIZE + varint_size(count) + fields.size;
}

/* Whether these are the names that the node began with. */
static bool names_match(struct bytes names, uint64_t count, struct bytes fields)
{
    for (uint64_t i = 0; i < count; i++) {
        char room[INT64_TEXT_MAX];
        if (names.size == 0) {
            return false;
        }
        struct bytes name = item_take(&names, room);
        if (!bytes_equal(name, field_take(&fields))) {
            return false;
        }
        field_take(&fields);
    }
    return names.size == 0;
}

/* -- Writing --------------------------------------------------------------------------------------
 */

/* What comes before the fields; p has room for ENTRY_HEAD_MAX. */
#define ENTRY_HEAD_MAX (1 + 2 * VARINT_MAX)
static size_t entry_head_store(unsigned char *p, struct stream_id before, struct stream_id id,
                               bool own_names)
{
    bool same = id.ms == before.ms;
    bool implied = same ? id.seq == before.seq + 1 && id.seq != 0 : id.seq == 0;
    p[0] = (unsigned char)((own_names ? ENTRY_OWN_NAMES : 0) | (same ? 0 : ENTRY_MS) |
                           (implied ? 0 : ENTRY_SEQ));
    size_t size = 1;
    if (!same) {
        size += varint_store(p + size, id.ms - before.ms);
    }
    if (!implied) {
        size += varint_store(p + size, same ? id.seq - before.seq : id.seq);
    }
    return size;
}

enum status node_begin(struct buf *out, struct stream_id id, uint64_t count, struct bytes fields)
{
    size_t start = out->size;
    enum status status = buf_reserve(out, NODE_HEADER_SIZE + fields.size + count);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *p = out->data + start;
    memset(p, 0, NODE_HEADER_SIZE);
    stream_id_store(p, id);
    stream_id_store(p + AT_LAST, id);
    size_t size = NODE_HEADER_SIZE;
    uint64_t listpack =
        LISTPACK_FRAME_SIZE + listpack_integer((int64_t)count) + listpack_integer(0);
    struct bytes rest = fields;
    for (uint64_t i = 0; i < count; i++) {
        struct bytes name = field_take(&rest);
        field_take(&rest);
        size += item_store(p + size, name);
        listpack += listpack_text(name);
    }
    store_u32(p + AT_NAMES_SIZE, (uint32_t)(size - NODE_HEADER_SIZE));
    store_u32(p + AT_LISTPACK, listpack_sum(listpack, 0));
    out->size += size;
    status = node_add(out, start, id, count, fields);
    if (status != ST_OK) {
        out->size = start;
    }
    return status;
}

enum status node_add(struct buf *out, size_t start, struct stream_id id, uint64_t count,
                     struct bytes fields)
{
    enum status status = buf_reserve(out, ENTRY_HEAD_MAX + VARINT_MAX + fields.size + 2 * count);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *node = out->data + start;
    struct bytes names = bytes_of(node + NODE_HEADER_SIZE, load_u32(node + AT_NAMES_SIZE));
    bool own = !names_match(names, count, fields);
    struct stream_id first = stream_id_load(node);
    /* After the last live one: where that was deleted, `last` is not it. */
    struct stream_id before = first;
    struct node_reader reader;
    node_read(&reader, bytes_of(node, out->size - start), NULL);
    if (load_u32(node + AT_DELETED) == 0) {
        before = load_u32(node + AT_LIVE) == 0 ? first : stream_id_load(node + AT_LAST);
    } else {
        struct stream_entry entry;
        while (node_next(&reader, &entry)) {
            before = entry.id;
        }
    }
    unsigned char *p = out->data + out->size;
    size_t size = entry_head_store(p, before, id, own);
    uint64_t listpack = listpack_integer(own ? 0 : 2) +
                        listpack_integer((int64_t)(id.ms - first.ms)) +
                        listpack_integer((int64_t)(id.seq - first.seq)) +
                        listpack_integer((int64_t)(own ? count * 2 + 4 : count + 3));
    if (own) {
        size += varint_store(p + size, count);
        listpack += listpack_integer((int64_t)count);
    }
    struct bytes rest = fields;
    for (uint64_t i = 0; i < count; i++) {
        struct bytes name = field_take(&rest);
        struct bytes value = field_take(&rest);
        if (own) {
            size += item_store(p + size, name);
            listpack += listpack_text(name);
        }
        size += item_store(p + size, value);
        listpack += listpack_text(value);
    }
    out->size += size;
    stream_id_store(node + AT_LAST, id);
    store_u32(node + AT_LIVE, load_u32(node + AT_LIVE) + 1);
    store_u64(node + AT_ENCODED, load_u64(node + AT_ENCODED) + entry_encoded_size(count, fields));
    store_u32(node + AT_LISTPACK, listpack_sum(load_u32(node + AT_LISTPACK), listpack));
    return ST_OK;
}

/* The entry's size in the encoded form. */
static uint64_t entry_weight(struct stream_entry entry)
{
    uint64_t size = STREAM_ID_SIZE + varint_size(entry.field_count);
    struct bytes name;
    struct bytes value;
    while (stream_entry_next(&entry, &name, &value)) {
        size += varint_size(name.size) + name.size + varint_size(value.size) + value.size;
    }
    return size;
}

enum status node_cut(struct bytes node, uint32_t index, uint32_t count, struct buf *out)
{
    CHECK(index + count <= node_live(node));
    enum status status = buf_reserve(out, node.size + ENTRY_HEAD_MAX);
    if (status != ST_OK) {
        return status;
    }
    struct node_reader reader;
    struct stream_entry entry;
    node_read(&reader, node, NULL);
    for (uint32_t i = 0; i < index; i++) {
        node_next(&reader, &entry);
    }
    struct stream_id before = reader.id;
    size_t begin = reader.offset;
    uint64_t gone = 0;
    for (uint32_t i = 0; i < count; i++) {
        node_next(&reader, &entry);
        gone += entry_weight(entry);
    }
    unsigned char *p = out->data + out->size;
    memcpy(p, node.data, begin);
    size_t size = begin;
    if (node_next(&reader, &entry)) {
        /* The next one counts from another now. */
        size += entry_head_store(p + size, before, entry.id, entry.names.data == NULL);
        size_t rest = (size_t)((const unsigned char *)entry.fields.data - at(node, 0));
        if (entry.names.data == NULL) {
            size += varint_store(p + size, entry.field_count);
        }
        memcpy(p + size, at(node, rest), node.size - rest);
        size += node.size - rest;
    }
    store_u32(p + AT_LIVE, node_live(node) - count);
    store_u32(p + AT_DELETED, load_u32(at(node, AT_DELETED)) + count);
    store_u64(p + AT_ENCODED, node_encoded(node) - gone);
    out->size += size;
    return ST_OK;
}

/* -- Reading --------------------------------------------------------------------------------------
 */

void node_read(struct node_reader *reader, struct bytes node, struct part *part)
{
    size_t names_size = load_u32(at(node, AT_NAMES_SIZE));
    *reader = (struct node_reader){.node = node,
                                   .names = bytes_slice(node, NODE_HEADER_SIZE, names_size),
                                   .id = node_first(node),
                                   .offset = NODE_HEADER_SIZE + names_size,
                                   .part = part};
    for (struct bytes rest = reader->names; rest.size > 0; reader->names_count++) {
        uint64_t size = number_take(&rest) >> 1;
        rest = bytes_slice(rest, (size_t)size, SIZE_MAX);
    }
}

bool node_next(struct node_reader *reader, struct stream_entry *entry_out)
{
    struct bytes rest = bytes_slice(reader->node, reader->offset, SIZE_MAX);
    if (rest.size == 0) {
        return false;
    }
    unsigned flags = *(const unsigned char *)rest.data;
    rest = bytes_slice(rest, 1, SIZE_MAX);
    bool moved = (flags & ENTRY_MS) != 0;
    if (moved) {
        reader->id.ms += number_take(&rest);
    }
    uint64_t base = moved ? 0 : reader->id.seq;
    reader->id.seq = (flags & ENTRY_SEQ) != 0 ? base + number_take(&rest) : base + !moved;
    bool own = (flags & ENTRY_OWN_NAMES) != 0;
    uint64_t count = own ? number_take(&rest) : reader->names_count;
    *entry_out = (struct stream_entry){.id = reader->id,
                                       .field_count = count,
                                       .names = own ? BYTES_NONE : reader->names,
                                       .fields = rest,
                                       .left = count,
                                       .part = reader->part};
    for (uint64_t i = 0; i < (own ? 2 * count : count); i++) {
        uint64_t size = number_take(&rest) >> 1;
        CHECK(size <= rest.size);
        rest = bytes_slice(rest, (size_t)size, SIZE_MAX);
    }
    reader->offset = reader->node.size - rest.size;
    return true;
}

bool stream_entry_next(struct stream_entry *entry, struct bytes *name_out, struct bytes *value_out)
{
    if (entry->left == 0) {
        return false;
    }
    entry->left--;
    struct bytes *names = entry->names.data != NULL ? &entry->names : &entry->fields;
    *name_out = item_take(names, entry->rooms[0]);
    *value_out = item_take(&entry->fields, entry->rooms[1]);
    return true;
}
