#include "engine/wlog/record.h"

#include "engine/base/check.h"

enum status record_begin(struct buf *buf, enum record_op op, uint32_t namespace_id,
                         struct bytes key, size_t payload_size, size_t *offset_out)
{
    if (key.size > UINT32_MAX) {
        return ST_LIMIT;
    }
    if (buf_reserve(buf, RECORD_HEADER_SIZE + key.size + payload_size) != ST_OK) {
        return ST_NOMEM;
    }
    *offset_out = buf->size;
    unsigned char *header = buf_extend(buf, RECORD_HEADER_SIZE + key.size);
    store_u32(header, 0);
    header[4] = (unsigned char)op;
    header[5] = 0;
    store_u16(header + 6, 0);
    store_u32(header + 8, namespace_id);
    store_u32(header + 12, (uint32_t)key.size);
    if (key.size > 0) {
        memcpy(header + RECORD_HEADER_SIZE, key.data, key.size);
    }
    return ST_OK;
}

enum status record_end(struct buf *buf, size_t offset)
{
    CHECK(offset + RECORD_HEADER_SIZE <= buf->size);
    size_t size = buf->size - offset;
    if (size > RECORD_SIZE_MAX) {
        buf->size = offset;
        return ST_LIMIT;
    }
    store_u32(buf->data + offset, (uint32_t)size);
    return ST_OK;
}

void record_mark_group(struct buf *buf, size_t offset)
{
    CHECK(offset < buf->size);
    buf->data[offset + 5] |= RECORD_FIRST;
    size_t last = offset;
    while (offset < buf->size) {
        last = offset;
        offset += load_u32(buf->data + offset);
    }
    CHECK(offset == buf->size);
    buf->data[last + 5] |= RECORD_LAST;
}

static bool op_known(unsigned op)
{
    return (op >= RECORD_PUT && op <= RECORD_CHUNK_APPEND) ||
           (op >= RECORD_VALUE_FIRST && op <= RECORD_VALUE_LAST);
}

enum status record_take(struct bytes *in, struct record *record_out, size_t *size_out)
{
    const unsigned char *p = in->data;
    *size_out = RECORD_HEADER_SIZE;
    if (in->size < RECORD_HEADER_SIZE) {
        return ST_WAIT;
    }
    uint32_t size = load_u32(p);
    uint32_t key_size = load_u32(p + 12);
    if (size < RECORD_HEADER_SIZE || key_size > size - RECORD_HEADER_SIZE || !op_known(p[4]) ||
        (p[5] & ~(RECORD_FIRST | RECORD_LAST)) != 0 || load_u16(p + 6) != 0) {
        return ST_CORRUPT;
    }
    *size_out = size;
    if (in->size < size) {
        return ST_WAIT;
    }
    *record_out = (struct record){
        .op = (enum record_op)p[4],
        .flags = p[5],
        .namespace_id = load_u32(p + 8),
        .key = bytes_of(p + RECORD_HEADER_SIZE, key_size),
        .payload =
            bytes_of(p + RECORD_HEADER_SIZE + key_size, size - RECORD_HEADER_SIZE - key_size),
    };
    *in = bytes_of(p + size, in->size - size);
    return ST_OK;
}
