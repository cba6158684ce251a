/* Payload → encoded form.
 *
 * The count of elements stands first in the encoded form but is often known last (a quicklist tells
 * its nodes, not its elements), so the elements go behind a gap of RDB_FRONT_MAX bytes, and type
 * and count are then laid directly before them. Nothing is allocated by a count that a payload
 * claims: all grows with the elements that are really there.
 */
#include "src/rdb/rdb_private.h"

#include "src/rdb/crc64.h"

#include <math.h>
#include <stdlib.h>

/* Takes a string that is a whole block. */
static enum status take_pack(struct rdb_reader *reader, enum pack_kind kind, struct pack *pack)
{
    struct bytes block;
    enum status status = rdb_take_string(reader, &block);
    return status == ST_OK ? pack_open(pack, kind, block) : status;
}

/* Gives all elements of the next block; adds their count. */
static enum status give_pack(struct rdb_reader *reader, enum pack_kind kind, uint64_t *count)
{
    struct pack pack;
    enum status status = take_pack(reader, kind, &pack);
    while (status == ST_OK) {
        struct bytes element;
        bool found;
        status = pack_next(&pack, &element, &found);
        if (status != ST_OK || !found) {
            break;
        }
        status = rdb_give_sized(reader, element);
        *count += 1;
    }
    return status;
}

/* A count of strings, each of them `parts` strings. */
static enum status give_strings(struct rdb_reader *reader, unsigned parts, uint64_t *count)
{
    enum status status = rdb_take_length(reader, count);
    for (uint64_t i = 0; i < *count && status == ST_OK; i++) {
        for (unsigned part = 0; part < parts && status == ST_OK; part++) {
            struct bytes string;
            status = rdb_take_string(reader, &string);
            if (status == ST_OK) {
                status = rdb_give_sized(reader, string);
            }
        }
    }
    return status;
}

/* -- Lists ----------------------------------------------------------------------------------- */

static enum status give_plain_node(struct rdb_reader *reader, uint64_t *count)
{
    struct bytes element;
    enum status status = rdb_take_string(reader, &element);
    *count += 1;
    return status == ST_OK ? rdb_give_sized(reader, element) : status;
}

static enum status give_nodes(struct rdb_reader *reader, enum rdb_type type, uint64_t *count)
{
    uint64_t nodes = 0;
    enum status status = rdb_take_length(reader, &nodes);
    for (uint64_t i = 0; i < nodes && status == ST_OK; i++) {
        uint64_t container = RDB_NODE_PACKED;
        if (type == RDB_LIST_QUICKLIST_2) {
            status = rdb_take_length(reader, &container);
        }
        if (status != ST_OK) {
            break;
        }
        if (container == RDB_NODE_PLAIN) {
            status = give_plain_node(reader, count);
        } else if (container == RDB_NODE_PACKED) {
            enum pack_kind kind = type == RDB_LIST_QUICKLIST ? PACK_ZIPLIST : PACK_LISTPACK;
            status = give_pack(reader, kind, count);
        } else {
            status = ST_CORRUPT;
        }
    }
    return status;
}

/* -- Sorted sets ----------------------------------------------------------------------------- */

struct member {
    double score;
    size_t offset, size; /* In members.bytes. */
};

struct members {
    struct buf rows; /* struct member */
    struct buf bytes;
};

static enum status members_add(struct rdb_reader *reader, struct members *members, double score,
                               struct bytes name)
{
    if (isnan(score) || members->rows.size > reader->size_max ||
        name.size > reader->size_max - members->bytes.size) {
        return ST_CORRUPT;
    }
    struct member member = {.score = score, .offset = members->bytes.size, .size = name.size};
    enum status status = buf_append(&members->rows, bytes_of(&member, sizeof(member)));
    return status == ST_OK ? buf_append(&members->bytes, name) : status;
}

static enum status take_score(struct rdb_reader *reader, enum rdb_type type, double *score_out)
{
    if (type == RDB_ZSET_2) {
        uint64_t bits;
        enum status status = rdb_take_u64(reader, &bits);
        if (status == ST_OK) {
            memcpy(score_out, &bits, sizeof(bits));
        }
        return status;
    }
    /* Text with its size in a byte, of which three values have a meaning of their own. */
    unsigned size;
    struct bytes text;
    enum status status = rdb_take_byte(reader, &size);
    if (status != ST_OK) {
        return status;
    }
    if (size >= 253) {
        *score_out = size == 253 ? NAN : size == 254 ? INFINITY : -INFINITY;
        return ST_OK;
    }
    status = rdb_take_bytes(reader, size, &text);
    return status == ST_OK ? rdb_read_double(text, score_out) : status;
}

static int member_compare(const void *a, const void *b, void *ctx)
{
    const struct member *first = a;
    const struct member *second = b;
    const unsigned char *bytes = ctx;
    if (first->score != second->score) {
        return first->score < second->score ? -1 : 1;
    }
    return bytes_compare(bytes_of(bytes + first->offset, first->size),
                         bytes_of(bytes + second->offset, second->size));
}

/* Whether the last member belongs behind the one before it. */
static bool members_ascend(const struct members *members)
{
    size_t count = members->rows.size / sizeof(struct member);
    const struct member *rows = (const struct member *)members->rows.data;
    return count < 2 || member_compare(&rows[count - 2], &rows[count - 1], members->bytes.data) < 0;
}

static enum status gather_plain(struct rdb_reader *reader, enum rdb_type type,
                                struct members *members)
{
    uint64_t count = 0;
    enum status status = rdb_take_length(reader, &count);
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        struct bytes name;
        double score = 0;
        status = rdb_take_string(reader, &name);
        if (status == ST_OK) {
            status = take_score(reader, type, &score);
        }
        if (status == ST_OK) {
            status = members_add(reader, members, score, name);
        }
    }
    return status;
}

static enum status gather_pack(struct rdb_reader *reader, enum pack_kind kind,
                               struct members *members)
{
    struct pack pack;
    enum status status = take_pack(reader, kind, &pack);
    while (status == ST_OK) {
        struct bytes name;
        struct bytes text;
        double score;
        bool found;
        char digits[INT64_TEXT_MAX];
        status = pack_next(&pack, &name, &found);
        if (status != ST_OK || !found) {
            break;
        }
        if (name.data == pack.text) { /* Kept from the score, which may be an integer too. */
            memcpy(digits, pack.text, name.size);
            name.data = digits;
        }
        status = pack_take(&pack, &text);
        if (status == ST_OK) {
            status = rdb_read_double(text, &score);
        }
        if (status == ST_OK) {
            status = members_add(reader, members, score, name);
        }
        if (status == ST_OK && !members_ascend(members)) {
            status = ST_CORRUPT;
        }
    }
    return status;
}

/* Redis writes plain sorted sets from their end, and takes them in any order; packed ones are in
 * order. The encoded form is ascending. */
static enum status give_members(struct rdb_reader *reader, struct members *members, uint64_t count)
{
    struct member *rows = (struct member *)members->rows.data;
    if (count > 1) {
        qsort_r(rows, (size_t)count, sizeof(*rows), member_compare, members->bytes.data);
    }
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        uint64_t bits;
        memcpy(&bits, &rows[i].score, sizeof(bits));
        bool twice = i > 0 && member_compare(&rows[i - 1], &rows[i], members->bytes.data) == 0;
        status = twice ? ST_CORRUPT : rdb_give_u64(reader, bits);
        if (status == ST_OK) {
            struct bytes name =
                bytes_slice(buf_bytes(&members->bytes), rows[i].offset, rows[i].size);
            status = rdb_give_sized(reader, name);
        }
    }
    return status;
}

static enum status give_zset(struct rdb_reader *reader, enum rdb_type type, uint64_t *count)
{
    struct members members = {.rows = BUF_EMPTY, .bytes = BUF_EMPTY};
    enum status status;
    if (type == RDB_ZSET_ZIPLIST) {
        status = gather_pack(reader, PACK_ZIPLIST, &members);
    } else if (type == RDB_ZSET_LISTPACK) {
        status = gather_pack(reader, PACK_LISTPACK, &members);
    } else {
        status = gather_plain(reader, type, &members);
    }
    *count = members.rows.size / sizeof(struct member);
    if (status == ST_OK) {
        status = give_members(reader, &members, *count);
    }
    buf_deinit(&members.rows);
    buf_deinit(&members.bytes);
    return status;
}

/* -- Hashes ---------------------------------------------------------------------------------- */

/* Field, value, field, value … of one block. */
static enum status give_pairs(struct rdb_reader *reader, enum pack_kind kind, uint64_t *count)
{
    enum status status = give_pack(reader, kind, count);
    if (status == ST_OK && *count % 2 != 0) {
        status = ST_CORRUPT;
    }
    *count /= 2;
    return status;
}

/* Times to live, from the earliest of them on: 0 is none, else what is added to it and one more. */
static enum status give_timed_plain(struct rdb_reader *reader, uint64_t *count)
{
    uint64_t first_ms;
    enum status status = rdb_take_u64(reader, &first_ms);
    if (status == ST_OK) {
        status = rdb_take_length(reader, count);
    }
    for (uint64_t i = 0; i < *count && status == ST_OK; i++) {
        uint64_t after;
        status = rdb_take_length(reader, &after);
        for (unsigned part = 0; part < 2 && status == ST_OK; part++) {
            struct bytes string;
            status = rdb_take_string(reader, &string);
            if (status == ST_OK) {
                status = rdb_give_sized(reader, string);
            }
        }
        if (status == ST_OK && after > 0 && first_ms + (after - 1) > INT64_MAX) {
            status = ST_CORRUPT;
        }
        if (status == ST_OK) {
            status = rdb_give_u64(reader, after == 0 ? UINT64_MAX : first_ms + (after - 1));
        }
    }
    return status;
}

/* Field, value, Unix time in milliseconds or 0, by turns. */
static enum status give_timed_pack(struct rdb_reader *reader, uint64_t *count)
{
    uint64_t first_ms; /* Says nothing that the elements do not say. */
    struct pack pack;
    enum status status = rdb_take_u64(reader, &first_ms);
    if (status == ST_OK) {
        status = take_pack(reader, PACK_LISTPACK, &pack);
    }
    while (status == ST_OK) {
        struct bytes string;
        int64_t time_ms = 0;
        bool found;
        status = pack_next(&pack, &string, &found);
        if (status != ST_OK || !found) {
            break;
        }
        status = rdb_give_sized(reader, string);
        if (status == ST_OK) {
            status = pack_take(&pack, &string);
        }
        if (status == ST_OK) {
            status = rdb_give_sized(reader, string);
        }
        if (status == ST_OK) {
            status = pack_take_int64(&pack, &time_ms);
        }
        if (status == ST_OK && time_ms < 0) {
            status = ST_CORRUPT;
        }
        if (status == ST_OK) {
            status = rdb_give_u64(reader, time_ms == 0 ? UINT64_MAX : (uint64_t)time_ms);
        }
        *count += 1;
    }
    return status;
}

/* -- All types ------------------------------------------------------------------------------- */

static bool hash_is_timed(enum rdb_type type)
{
    return type == RDB_HASH_METADATA || type == RDB_HASH_LISTPACK_EX;
}

static enum status give_hash(struct rdb_reader *reader, enum rdb_type type, uint64_t *count)
{
    switch (type) {
    case RDB_HASH_ZIPMAP:
        return give_pairs(reader, PACK_ZIPMAP, count);
    case RDB_HASH_ZIPLIST:
        return give_pairs(reader, PACK_ZIPLIST, count);
    case RDB_HASH_LISTPACK:
        return give_pairs(reader, PACK_LISTPACK, count);
    case RDB_HASH_METADATA:
        return give_timed_plain(reader, count);
    case RDB_HASH_LISTPACK_EX:
        return give_timed_pack(reader, count);
    default:
        return give_strings(reader, 2, count);
    }
}

/* Gives the elements and their count; front gets the type and what else comes before a count. */
static enum status give_elements(struct rdb_reader *reader, enum rdb_type type, uint64_t *count,
                                 struct buf *front)
{
    static const unsigned char value_types[] = {
        [RDB_LIST] = VALUE_LIST,
        [RDB_SET] = VALUE_SET,
        [RDB_ZSET] = VALUE_ZSET,
        [RDB_HASH] = VALUE_HASH,
        [RDB_ZSET_2] = VALUE_ZSET,
        [RDB_HASH_ZIPMAP] = VALUE_HASH,
        [RDB_LIST_ZIPLIST] = VALUE_LIST,
        [RDB_SET_INTSET] = VALUE_SET,
        [RDB_ZSET_ZIPLIST] = VALUE_ZSET,
        [RDB_HASH_ZIPLIST] = VALUE_HASH,
        [RDB_LIST_QUICKLIST] = VALUE_LIST,
        [RDB_HASH_LISTPACK] = VALUE_HASH,
        [RDB_ZSET_LISTPACK] = VALUE_ZSET,
        [RDB_LIST_QUICKLIST_2] = VALUE_LIST,
        [RDB_SET_LISTPACK] = VALUE_SET,
        [RDB_HASH_METADATA] = VALUE_HASH,
        [RDB_HASH_LISTPACK_EX] = VALUE_HASH,
    };
    unsigned value_type = type < sizeof(value_types) ? value_types[type] : VALUE_NONE;
    enum status status = rdb_put_byte(front, value_type);
    if (status == ST_OK && value_type == VALUE_HASH) {
        status = rdb_put_byte(front, hash_is_timed(type) ? 1 : 0);
    }
    if (status != ST_OK) {
        return status;
    }
    switch (type) {
    case RDB_LIST:
    case RDB_SET:
        return give_strings(reader, 1, count);
    case RDB_LIST_ZIPLIST:
        return give_pack(reader, PACK_ZIPLIST, count);
    case RDB_LIST_QUICKLIST:
    case RDB_LIST_QUICKLIST_2:
        return give_nodes(reader, type, count);
    case RDB_SET_INTSET:
        return give_pack(reader, PACK_INTSET, count);
    case RDB_SET_LISTPACK:
        return give_pack(reader, PACK_LISTPACK, count);
    default:
        return value_type == VALUE_ZSET   ? give_zset(reader, type, count)
               : value_type == VALUE_HASH ? give_hash(reader, type, count)
                                          : ST_CORRUPT;
    }
}

static enum status restore_collection(struct rdb_reader *reader, enum rdb_type type,
                                      struct buf *front)
{
    uint64_t count = 0;
    enum status status = give_elements(reader, type, &count, front);
    if (status == ST_OK && count == 0) {
        status = ST_CORRUPT; /* Collections that are empty are not there. */
    }
    if (status == ST_OK) {
        unsigned char bytes[VARINT_MAX];
        status = buf_append(front, bytes_of(bytes, varint_store(bytes, count)));
    }
    return status;
}

static enum status restore_string(struct rdb_reader *reader, struct buf *front)
{
    struct bytes string = BYTES_NONE;
    enum status status = rdb_put_byte(front, VALUE_STRING);
    if (status == ST_OK) {
        status = rdb_take_string(reader, &string);
    }
    return status == ST_OK ? rdb_give_bytes(reader, string) : status;
}

static enum status restore_value(struct rdb_reader *reader, struct buf *front)
{
    unsigned type;
    enum status status = rdb_take_byte(reader, &type);
    if (status != ST_OK) {
        return status;
    }
    switch (type) {
    case RDB_STRING:
        return restore_string(reader, front);
    case RDB_STREAM_LISTPACKS:
    case RDB_STREAM_LISTPACKS_2:
    case RDB_STREAM_LISTPACKS_3:
        return rdb_restore_stream(reader, (enum rdb_type)type, front);
    default:
        return restore_collection(reader, (enum rdb_type)type, front);
    }
}

static bool footer_is_right(struct bytes payload)
{
    if (payload.size < RDB_FOOTER_SIZE) {
        return false;
    }
    const unsigned char *end = (const unsigned char *)payload.data + payload.size;
    return load_u16(end - RDB_FOOTER_SIZE) <= RDB_VERSION_MAX &&
           load_u64(end - 8) == crc64(0, bytes_slice(payload, 0, payload.size - 8));
}

static uint64_t growth_limit(size_t payload_size)
{
    /* A value must fit one record of the log. */
    return payload_size > UINT32_MAX / RDB_GROWTH_MAX
               ? (uint64_t)UINT32_MAX + RDB_GROWTH_FREE
               : (uint64_t)payload_size * RDB_GROWTH_MAX + RDB_GROWTH_FREE;
}

enum status rdb_restore(struct bytes payload, struct buf *room, struct bytes *encoded_out)
{
    if (!footer_is_right(payload)) {
        return ST_PROTO;
    }
    struct rdb_reader reader = {
        .rest = bytes_slice(payload, 0, payload.size - RDB_FOOTER_SIZE),
        .text = BUF_EMPTY,
        .out = room,
        .size_max = growth_limit(payload.size),
    };
    struct buf front = BUF_EMPTY;
    room->size = 0;
    enum status status = buf_extend(room, RDB_FRONT_MAX) != NULL ? ST_OK : ST_NOMEM;
    if (status == ST_OK) {
        status = restore_value(&reader, &front);
    }
    if (status == ST_OK) {
        size_t start = RDB_FRONT_MAX - front.size;
        memcpy(room->data + start, front.data, front.size);
        *encoded_out = bytes_slice(buf_bytes(room), start, room->size);
    }
    buf_deinit(&front);
    buf_deinit(&reader.text);
    return status;
}
