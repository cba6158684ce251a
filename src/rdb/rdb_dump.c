/* Encoded form → payload. Each type is looked over once, to choose its form, and then written. */
#include "src/rdb/rdb_private.h"

#include "engine/base/check.h"
#include "src/rdb/crc64.h"

#include <stdio.h>
#include <stdlib.h>

/* Beyond this no value is one block, whatever the limits say. */
#define BLOCK_MAX 65536
/* Of a quicklist: what Redis fills a node to by default. */
#define NODE_SIZE_MAX 8192
/* A listpack's header and end; what an element costs beyond its bytes. */
#define NODE_OVERHEAD (LISTPACK_HEADER_SIZE + 1)
#define ELEMENT_OVERHEAD 10

static bool within(uint64_t number, int64_t limit)
{
    return limit >= 0 && number <= (uint64_t)limit;
}

/* The finished block as a string. */
static enum status put_block(struct buf *out, const struct buf *block)
{
    enum status status = rdb_put_length(out, block->size);
    return status == ST_OK ? buf_append(out, buf_bytes(block)) : status;
}

/* -- Lists ----------------------------------------------------------------------------------- */

/* How many of the elements in front make a node; one that is too large for any stands alone. */
static uint64_t node_elements(struct bytes in, uint64_t count)
{
    uint64_t size = NODE_OVERHEAD;
    uint64_t taken = 0;
    while (taken < count) {
        size += encoded_sized(&in).size + ELEMENT_OVERHEAD;
        if (size > NODE_SIZE_MAX) {
            break;
        }
        taken++;
    }
    return taken > 0 ? taken : 1;
}

static enum status put_node(struct buf *out, struct bytes *in, uint64_t elements, struct buf *block)
{
    struct bytes look = *in;
    if (elements == 1 &&
        encoded_sized(&look).size + ELEMENT_OVERHEAD + NODE_OVERHEAD > NODE_SIZE_MAX) {
        enum status status = rdb_put_length(out, RDB_NODE_PLAIN);
        return status == ST_OK ? rdb_put_string(out, encoded_sized(in)) : status;
    }
    struct listpack listpack;
    block->size = 0;
    enum status status = listpack_begin(&listpack, block);
    for (uint64_t i = 0; i < elements && status == ST_OK; i++) {
        status = listpack_add(&listpack, encoded_sized(in));
    }
    if (status == ST_OK) {
        status = listpack_end(&listpack);
    }
    if (status == ST_OK) {
        status = rdb_put_length(out, RDB_NODE_PACKED);
    }
    return status == ST_OK ? put_block(out, block) : status;
}

static enum status dump_list(struct bytes body, struct buf *out)
{
    struct buf block = BUF_EMPTY;
    uint64_t count = encoded_varint(&body);
    uint64_t nodes = 0;
    struct bytes look = body;
    for (uint64_t left = count; left > 0; nodes++) {
        uint64_t elements = node_elements(look, left);
        left -= elements;
        for (; elements > 0; elements--) {
            encoded_sized(&look);
        }
    }
    enum status status = rdb_put_byte(out, RDB_LIST_QUICKLIST_2);
    if (status == ST_OK) {
        status = rdb_put_length(out, nodes);
    }
    while (count > 0 && status == ST_OK) {
        uint64_t elements = node_elements(body, count);
        count -= elements;
        status = put_node(out, &body, elements, &block);
    }
    buf_deinit(&block);
    return status;
}

/* -- Sets ------------------------------------------------------------------------------------ */

static int int64_compare(const void *a, const void *b)
{
    int64_t first;
    int64_t second;
    memcpy(&first, a, sizeof(first));
    memcpy(&second, b, sizeof(second));
    return (first > second) - (first < second);
}

static bool all_integers(struct bytes members, uint64_t count)
{
    bool all = true;
    for (uint64_t i = 0; i < count && all; i++) {
        int64_t value;
        all = bytes_to_int64(encoded_sized(&members), &value);
    }
    return all;
}

static enum status intset_gather(struct bytes members, uint64_t count, struct buf *values)
{
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        int64_t value = 0;
        bool integer = bytes_to_int64(encoded_sized(&members), &value);
        CHECK(integer);
        status = rdb_put_u64(values, (uint64_t)value);
    }
    if (count > 1 && status == ST_OK) {
        qsort(values->data, (size_t)count, sizeof(int64_t), int64_compare);
    }
    return status;
}

static enum status dump_intset(struct bytes members, uint64_t count, struct buf *out)
{
    struct buf values = BUF_EMPTY;
    struct buf block = BUF_EMPTY;
    unsigned char header[8];
    enum status status = intset_gather(members, count, &values);
    if (status != ST_OK) {
        goto done;
    }
    int64_t least = (int64_t)load_u64(values.data);
    int64_t most = (int64_t)load_u64(values.data + (count - 1) * sizeof(int64_t));
    uint32_t width = least >= INT16_MIN && most <= INT16_MAX   ? 2
                     : least >= INT32_MIN && most <= INT32_MAX ? 4
                                                               : 8;
    store_u32(header, width);
    store_u32(header + 4, (uint32_t)count);
    status = buf_append(&block, bytes_of(header, sizeof(header)));
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = buf_append(&block, bytes_of(values.data + i * sizeof(int64_t), width));
    }
    if (status == ST_OK) {
        status = rdb_put_byte(out, RDB_SET_INTSET);
    }
    if (status == ST_OK) {
        status = put_block(out, &block);
    }
done:
    buf_deinit(&values);
    buf_deinit(&block);
    return status;
}

static enum status dump_set(struct bytes body, const struct value_limits *limits, struct buf *out)
{
    uint64_t count = encoded_varint(&body);
    if (count > 0 && count <= UINT32_MAX && within(count, limits->set_max_intset_entries) &&
        all_integers(body, count)) {
        return dump_intset(body, count, out);
    }
    enum status status = rdb_put_byte(out, RDB_SET);
    if (status == ST_OK) {
        status = rdb_put_length(out, count);
    }
    for (; count > 0 && status == ST_OK; count--) {
        status = rdb_put_string(out, encoded_sized(&body));
    }
    return status;
}

/* -- Sorted sets ----------------------------------------------------------------------------- */

static bool zset_fits(struct bytes members, uint64_t count, const struct value_limits *limits)
{
    bool fits = within(count, limits->zset_max_listpack_entries) && members.size <= BLOCK_MAX;
    for (uint64_t i = 0; i < count && fits; i++) {
        encoded_u64(&members);
        fits = within(encoded_sized(&members).size, limits->zset_max_listpack_value);
    }
    return fits;
}

static enum status add_score(struct listpack *listpack, uint64_t bits)
{
    double score;
    char text[40];
    memcpy(&score, &bits, sizeof(score));
    int size = snprintf(text, sizeof(text), "%.17g", score);
    return listpack_add(listpack, bytes_of(text, (size_t)size));
}

static enum status dump_zset_packed(struct bytes members, uint64_t count, struct buf *out)
{
    struct buf block = BUF_EMPTY;
    struct listpack listpack;
    enum status status = listpack_begin(&listpack, &block);
    for (; count > 0 && status == ST_OK; count--) {
        uint64_t bits = encoded_u64(&members);
        status = listpack_add(&listpack, encoded_sized(&members));
        if (status == ST_OK) {
            status = add_score(&listpack, bits);
        }
    }
    if (status == ST_OK) {
        status = listpack_end(&listpack);
    }
    if (status == ST_OK) {
        status = rdb_put_byte(out, RDB_ZSET_LISTPACK);
    }
    if (status == ST_OK) {
        status = put_block(out, &block);
    }
    buf_deinit(&block);
    return status;
}

static enum status dump_zset(struct bytes body, const struct value_limits *limits, struct buf *out)
{
    uint64_t count = encoded_varint(&body);
    if (zset_fits(body, count, limits)) {
        return dump_zset_packed(body, count, out);
    }
    enum status status = rdb_put_byte(out, RDB_ZSET_2);
    if (status == ST_OK) {
        status = rdb_put_length(out, count);
    }
    for (; count > 0 && status == ST_OK; count--) {
        uint64_t bits = encoded_u64(&body);
        status = rdb_put_string(out, encoded_sized(&body));
        if (status == ST_OK) {
            status = rdb_put_u64(out, bits);
        }
    }
    return status;
}

/* -- Hashes ---------------------------------------------------------------------------------- */

struct hash_look {
    bool fits;         /* One listpack can hold it. */
    uint64_t first_ms; /* The earliest time to live; UINT64_MAX: there is none. */
};

static struct hash_look hash_look(struct bytes pairs, uint64_t count, bool timed,
                                  const struct value_limits *limits)
{
    struct hash_look look = {
        .fits = within(count, limits->hash_max_listpack_entries) && pairs.size <= BLOCK_MAX,
        .first_ms = UINT64_MAX,
    };
    for (uint64_t i = 0; i < count && (look.fits || timed); i++) {
        look.fits &= within(encoded_sized(&pairs).size, limits->hash_max_listpack_value);
        look.fits &= within(encoded_sized(&pairs).size, limits->hash_max_listpack_value);
        uint64_t time_ms = timed ? encoded_u64(&pairs) : UINT64_MAX;
        look.first_ms = time_ms < look.first_ms ? time_ms : look.first_ms;
    }
    return look;
}

static enum status dump_hash_packed(struct bytes pairs, uint64_t count, bool timed, struct buf *out)
{
    struct buf block = BUF_EMPTY;
    struct listpack listpack;
    enum status status = listpack_begin(&listpack, &block);
    for (; count > 0 && status == ST_OK; count--) {
        status = listpack_add(&listpack, encoded_sized(&pairs));
        if (status == ST_OK) {
            status = listpack_add(&listpack, encoded_sized(&pairs));
        }
        if (timed) {
            encoded_u64(&pairs);
        }
    }
    if (status == ST_OK) {
        status = listpack_end(&listpack);
    }
    if (status == ST_OK) {
        status = rdb_put_byte(out, RDB_HASH_LISTPACK);
    }
    if (status == ST_OK) {
        status = put_block(out, &block);
    }
    buf_deinit(&block);
    return status;
}

/* first_ms UINT64_MAX: no field has a time to live. */
static enum status dump_hash_plain(struct bytes pairs, uint64_t count, bool timed,
                                   uint64_t first_ms, struct buf *out)
{
    bool puts_times = first_ms != UINT64_MAX;
    enum status status = rdb_put_byte(out, puts_times ? RDB_HASH_METADATA : RDB_HASH);
    if (status == ST_OK && puts_times) {
        status = rdb_put_u64(out, first_ms);
    }
    if (status == ST_OK) {
        status = rdb_put_length(out, count);
    }
    for (; count > 0 && status == ST_OK; count--) {
        struct bytes field = encoded_sized(&pairs);
        struct bytes value = encoded_sized(&pairs);
        uint64_t time_ms = timed ? encoded_u64(&pairs) : UINT64_MAX;
        if (puts_times) {
            status = rdb_put_length(out, time_ms == UINT64_MAX ? 0 : time_ms - first_ms + 1);
        }
        if (status == ST_OK) {
            status = rdb_put_string(out, field);
        }
        if (status == ST_OK) {
            status = rdb_put_string(out, value);
        }
    }
    return status;
}

static enum status dump_hash(struct bytes body, const struct value_limits *limits, struct buf *out,
                             unsigned *version)
{
    bool timed = (encoded_byte(&body) & 1) != 0;
    uint64_t count = encoded_varint(&body);
    struct hash_look look = hash_look(body, count, timed, limits);
    if (look.first_ms != UINT64_MAX) {
        *version = RDB_VERSION_FIELD_TIMES;
    } else if (look.fits) {
        return dump_hash_packed(body, count, timed, out);
    }
    return dump_hash_plain(body, count, timed, look.first_ms, out);
}

/* -- All types ------------------------------------------------------------------------------- */

static enum status dump_string(struct bytes body, struct buf *out)
{
    enum status status = rdb_put_byte(out, RDB_STRING);
    return status == ST_OK ? rdb_put_string(out, body) : status;
}

static enum status dump_value(struct bytes encoded, const struct value_limits *limits,
                              struct buf *out, unsigned *version)
{
    unsigned type = encoded_byte(&encoded);
    switch (type) {
    case VALUE_STRING:
        return dump_string(encoded, out);
    case VALUE_LIST:
        return dump_list(encoded, out);
    case VALUE_HASH:
        return dump_hash(encoded, limits, out, version);
    case VALUE_SET:
        return dump_set(encoded, limits, out);
    case VALUE_ZSET:
        return dump_zset(encoded, limits, out);
    case VALUE_STREAM:
        return rdb_dump_stream(encoded, limits, out);
    default:
        CHECK(type == VALUE_CHUNKS);
        return ST_TYPE;
    }
}

enum status rdb_dump(struct bytes encoded, const struct value_limits *limits, struct buf *out)
{
    size_t start = out->size;
    unsigned version = RDB_VERSION;
    unsigned char footer[2];
    enum status status = dump_value(encoded, limits, out, &version);
    if (status == ST_OK) {
        store_u16(footer, (uint16_t)version);
        status = buf_append(out, bytes_of(footer, sizeof(footer)));
    }
    if (status == ST_OK) {
        status = rdb_put_u64(out, crc64(0, bytes_slice(buf_bytes(out), start, out->size)));
    }
    if (status != ST_OK) {
        out->size = start;
    }
    return status;
}
