/* Any bytes: value_decode refuses them, or gives a value that stands its check, can be read and
 * changed, and encodes to the very bytes it came from. */
#include "engine/base/check.h"
#include "engine/value/chunks.h"
#include "engine/value/fields.h"
#include "engine/value/list.h"
#include "engine/value/packed.h"
#include "engine/value/stream.h"
#include "engine/value/text.h"
#include "engine/value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void change(struct value *value, const struct value_limits *limits, struct buf *scratch)
{
    struct bytes bytes = bytes_of_text("change");
    enum status status = ST_OK;
    if (value->type == VALUE_STRING) {
        status = text_write(value, text_size(value) / 2, bytes, scratch);
    } else if (value->type == VALUE_LIST) {
        status = list_insert(value, list_count(value) / 2, bytes, limits, scratch);
        CHECK(status == ST_OK && list_check(value));
        status = list_pop(value, LIST_LEFT, list_count(value) / 3, scratch);
        CHECK(list_check(value));
    } else if (value->type == VALUE_HASH) {
        /* Sets "ch" to "ange" until the time 1, and removes it. */
        struct value_change done;
        status = value_apply(value, FIELDS_PUT, bytes_of("\12\1\0\0\0\0\0\0\0\4change", 16), limits,
                             scratch, &done);
        CHECK(status == ST_OK && fields_check(value));
        status = value_apply(value, FIELDS_REMOVE, bytes_of("\2ch", 3), limits, scratch, &done);
        CHECK(status == ST_OK && done.count == 1 && fields_check(value));
    } else if (value->type == VALUE_STREAM) {
        /* Adds the group "g", and trims away the first half. */
        struct value_change done;
        unsigned char create[26] = {1, 'g'};
        unsigned char trim[VARINT_MAX + 1];
        uint64_t count = stream_summary(value).count / 2;
        status = value_apply(value, STREAM_GROUP_CREATE, bytes_of(create, sizeof(create)), limits,
                             scratch, &done);
        CHECK(status == ST_OK && stream_check(value));
        if (count > 0) {
            size_t size = varint_store(trim, count);
            trim[size++] = 0;
            status = value_apply(value, STREAM_TRIM, bytes_of(trim, size), limits, scratch, &done);
            CHECK(status == ST_OK && done.count == count && stream_check(value));
        }
    }
    CHECK(status == ST_OK);
}

/* Its elements have left the order in which they came. */
static bool orders_itself(const struct value *value)
{
    return value->type == VALUE_HASH && value->shape == VALUE_CLAST;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf scratch = BUF_EMPTY;
    struct buf encoded = BUF_EMPTY;
    struct value value;
    struct value_limits limits = {.list_max_listpack_size = size % 2 == 0 ? -2 : 3,
                                  .hash_max_listpack_entries = size % 2 == 0 ? 128 : 2,
                                  .hash_max_listpack_value = 64};
    (void)packed_verify(bytes_of(data, size));
    enum status status = value_decode(bytes_of(data, size), &limits, &scratch, &value);
    CHECK(status == ST_OK || status == ST_CORRUPT);
    if (status == ST_OK) {
        CHECK(value.type != VALUE_LIST || list_check(&value));
        CHECK(value.type != VALUE_CHUNKS || chunks_check(&value));
        CHECK(value.type != VALUE_HASH || fields_check(&value));
        CHECK(value.type != VALUE_STREAM || stream_check(&value));
        status = value_encode(&value, &encoded);
        CHECK(status == ST_OK &&
              (bytes_equal(buf_bytes(&encoded), bytes_of(data, size)) || orders_itself(&value)));
        change(&value, &limits, &scratch);
        value_free(&value);
    }
    buf_deinit(&scratch);
    buf_deinit(&encoded);
    return 0;
}
