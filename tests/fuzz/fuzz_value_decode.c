/* Any bytes: value_decode refuses them, or gives a value that stands its check, can be copied and
 * changed, and encodes to the very bytes it came from, or, where its elements have an order of
 * their own, to as many bytes that from then on stay the same. */
#include "engine/base/check.h"
#include "engine/value/packed.h"
#include "engine/value/text.h"
#include "tests/lib/value_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- A change of each type --------------------------------------------------------------------- */

static uint64_t apply(struct value *value, unsigned op, struct bytes payload,
                      const struct value_limits *limits, struct buf *scratch)
{
    struct value_change done;
    enum status status = value_apply(value, op, payload, limits, scratch, &done);
    CHECK(status == ST_OK && value_check(value));
    return done.count;
}

static void change_stream(struct value *value, const struct value_limits *limits,
                          struct buf *scratch)
{
    /* Adds the group "g", and trims away the first half. */
    unsigned char create[26] = {1, 'g'};
    unsigned char trim[VARINT_MAX + 1];
    uint64_t count = stream_summary(value).count / 2;
    (void)apply(value, STREAM_GROUP_CREATE, bytes_of(create, sizeof(create)), limits, scratch);
    if (count > 0) {
        size_t size = varint_store(trim, count);
        trim[size++] = 0;
        uint64_t trimmed = apply(value, STREAM_TRIM, bytes_of(trim, size), limits, scratch);
        CHECK(trimmed == count);
    }
}

static void change(struct value *value, const struct value_limits *limits, struct buf *scratch)
{
    struct bytes bytes = bytes_of_text("change");
    uint64_t removed = 1;
    switch (value->type) {
    case VALUE_STRING:
        CHECK(text_write(value, text_size(value) / 2, bytes, scratch) == ST_OK);
        break;
    case VALUE_LIST:
        CHECK(list_insert(value, list_count(value) / 2, bytes, limits, scratch) == ST_OK);
        CHECK(list_check(value));
        CHECK(list_pop(value, LIST_LEFT, list_count(value) / 3, scratch) == ST_OK);
        break;
    case VALUE_HASH:
        /* Sets "ch" to "ange" until the time 1, and removes it. */
        (void)apply(value, FIELDS_PUT, bytes_of("\12\1\0\0\0\0\0\0\0\4change", 16), limits,
                    scratch);
        removed = apply(value, FIELDS_REMOVE, bytes_of("\2ch", 3), limits, scratch);
        break;
    case VALUE_SET:
        (void)apply(value, SET_OP_ADD, bytes_of("\2ch\0015", 5), limits, scratch);
        removed = apply(value, SET_OP_REMOVE, bytes_of("\2ch", 3), limits, scratch);
        break;
    case VALUE_ZSET:
        (void)apply(value, ZSET_ADD, bytes_of("\0\0\0\0\0\0\0\x10\x40\2ch", 12), limits, scratch);
        removed = apply(value, ZSET_REMOVE, bytes_of("\2ch", 3), limits, scratch);
        break;
    case VALUE_STREAM:
        change_stream(value, limits, scratch);
        break;
    default:
        break;
    }
    CHECK(removed == 1 && value_check(value));
}

/* -- Encoding ---------------------------------------------------------------------------------- */

/* A packed sorted set keeps no sign of a zero. */
static bool has_zero(const struct value *value)
{
    uint64_t ranks[2];
    CHECK(zset_rank_of_score(value, 0, false, &ranks[0]) == ST_OK);
    CHECK(zset_rank_of_score(value, 0, true, &ranks[1]) == ST_OK);
    return ranks[0] != ranks[1];
}

/* Its elements have left the order in which they came, or their form. */
static bool rewrites(const struct value *value)
{
    if (value->shape == VALUE_CLAST) {
        return value->type == VALUE_HASH || value->type == VALUE_SET;
    }
    return (value->type == VALUE_SET && set_encoding(value) == SET_INTSET) ||
           (value->type == VALUE_ZSET && has_zero(value));
}

static void encode(const struct value *value, struct buf *out)
{
    out->size = 0;
    CHECK(value_encode(value, out) == ST_OK);
    CHECK(out->size <= value_encoded_max(value));
}

/* Decoded from its own encoding, and copied, it encodes to the same. */
static void expect_stable(const struct value *value, const struct buf *encoded,
                          const struct value_limits *limits)
{
    struct buf scratch = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct value second;
    CHECK(value_decode(buf_bytes(encoded), limits, &scratch, &second) == ST_OK);
    CHECK(second.shape == value->shape && value_check(&second));
    encode(&second, &again);
    CHECK(bytes_equal(buf_bytes(&again), buf_bytes(encoded)));
    value_free(&second);
    scratch.size = 0;
    CHECK(value_copy(value, &scratch, &second) == ST_OK);
    encode(&second, &again);
    CHECK(bytes_equal(buf_bytes(&again), buf_bytes(encoded)));
    value_free(&second);
    buf_deinit(&scratch);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf scratch = BUF_EMPTY;
    struct buf encoded = BUF_EMPTY;
    struct value value;
    bool wide = size % 2 == 0;
    struct value_limits limits = {.list_max_listpack_size = wide ? -2 : 3,
                                  .hash_max_listpack_entries = wide ? 128 : 2,
                                  .hash_max_listpack_value = 64,
                                  .set_max_intset_entries = wide ? 512 : 3,
                                  .set_max_listpack_entries = wide ? 128 : 2,
                                  .set_max_listpack_value = 64,
                                  .zset_max_listpack_entries = wide ? 128 : 2,
                                  .zset_max_listpack_value = 64,
                                  .stream_node_max_bytes = wide ? 4096 : 30,
                                  .stream_node_max_entries = wide ? 100 : 2};
    (void)packed_verify(bytes_of(data, size));
    enum status status = value_decode(bytes_of(data, size), &limits, &scratch, &value);
    CHECK(status == ST_OK || status == ST_CORRUPT);
    if (status == ST_OK) {
        CHECK(value_check(&value) && value_encoding(&value, &limits) != NULL);
        CHECK(!value_vanishes(&value)); /* A key without a value is none. */
        encode(&value, &encoded);
        CHECK(encoded.size == size);
        CHECK(rewrites(&value) || bytes_equal(buf_bytes(&encoded), bytes_of(data, size)));
        expect_stable(&value, &encoded, &limits);
        change(&value, &limits, &scratch);
        value_free(&value);
    }
    buf_deinit(&scratch);
    buf_deinit(&encoded);
    return 0;
}
