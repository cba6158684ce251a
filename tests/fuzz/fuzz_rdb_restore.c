/* Any bytes with a right footer: rdb_restore refuses them or gives an encoded form that can be
 * written; value_decode refuses that or gives a value whose own payload is taken. */
#include "engine/base/check.h"
#include "src/rdb/crc64.h"
#include "src/rdb/rdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct value_limits limits = {
    .list_max_listpack_size = -2,
    .hash_max_listpack_entries = 8,
    .hash_max_listpack_value = 64,
    .set_max_intset_entries = 8,
    .set_max_listpack_entries = 8,
    .set_max_listpack_value = 64,
    .zset_max_listpack_entries = 8,
    .zset_max_listpack_value = 64,
    .stream_node_max_bytes = 4096,
    .stream_node_max_entries = 4,
    .hash_seed = 7,
};

static void seal(struct buf *payload, struct bytes content)
{
    unsigned char footer[2] = {RDB_VERSION, 0};
    unsigned char crc[8];
    payload->size = 0;
    CHECK(buf_append(payload, content) == ST_OK);
    CHECK(buf_append(payload, bytes_of(footer, sizeof(footer))) == ST_OK);
    store_u64(crc, crc64(0, buf_bytes(payload)));
    CHECK(buf_append(payload, bytes_of(crc, sizeof(crc))) == ST_OK);
}

/* Decodes and gives the value's own encoding; false: refused. */
static bool normalize(struct bytes encoded, struct buf *out)
{
    struct buf scratch = BUF_EMPTY;
    struct value value;
    enum status status = value_decode(encoded, &limits, &scratch, &value);
    CHECK(status == ST_OK || status == ST_CORRUPT || status == ST_LIMIT);
    if (status == ST_OK) {
        CHECK(value_encode(&value, out) == ST_OK);
        value_free(&value);
    }
    buf_deinit(&scratch);
    return status == ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf payload = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct buf value = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct bytes encoded;
    seal(&payload, bytes_of(data, size));
    enum status status = rdb_restore(buf_bytes(&payload), &room, &encoded);
    CHECK(status == ST_OK || status == ST_CORRUPT);
    if (status == ST_OK) {
        payload.size = 0;
        CHECK(rdb_dump(encoded, &limits, &payload) == ST_OK);
        if (normalize(encoded, &value)) {
            payload.size = 0;
            CHECK(rdb_dump(buf_bytes(&value), &limits, &payload) == ST_OK);
            CHECK(rdb_restore(buf_bytes(&payload), &room, &encoded) == ST_OK);
            CHECK(normalize(encoded, &again));
        }
    }
    buf_deinit(&payload);
    buf_deinit(&room);
    buf_deinit(&value);
    buf_deinit(&again);
    return 0;
}
