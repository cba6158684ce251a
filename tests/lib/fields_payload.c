#include "tests/lib/fields_payload.h"

#include "tests/lib/test.h"

void payload_varint(struct buf *out, uint64_t number)
{
    unsigned char bytes[VARINT_MAX];
    EXPECT(buf_append(out, bytes_of(bytes, varint_store(bytes, number))) == ST_OK);
}

static void payload_time(struct buf *out, int64_t expiry_ms)
{
    EXPECT(buf_append(out, bytes_of(&expiry_ms, sizeof(expiry_ms))) == ST_OK);
}

void payload_field(struct buf *out, struct bytes field, struct bytes value, int64_t expiry_ms)
{
    unsigned how = expiry_ms == FIELDS_KEEP_EXPIRY ? FIELDS_KEEPING
                   : expiry_ms >= 0                ? FIELDS_TIMED
                                                   : FIELDS_FOREVER;
    payload_varint(out, (uint64_t)field.size << 2 | how);
    if (how == FIELDS_TIMED) {
        payload_time(out, expiry_ms);
    }
    payload_varint(out, value.size);
    EXPECT(buf_append(out, field) == ST_OK && buf_append(out, value) == ST_OK);
}

void payload_expire(struct buf *out, struct bytes field, int64_t expiry_ms)
{
    payload_varint(out, (uint64_t)field.size << 1 | (expiry_ms >= 0));
    if (expiry_ms >= 0) {
        payload_time(out, expiry_ms);
    }
    EXPECT(buf_append(out, field) == ST_OK);
}

void payload_name(struct buf *out, struct bytes field)
{
    payload_varint(out, field.size);
    EXPECT(buf_append(out, field) == ST_OK);
}
