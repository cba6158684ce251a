/* Any payloads: value_apply refuses them, or leaves a value that stands its check, and whose like,
 * read back from its encoding as replay may find it, takes the same payloads to the same content.
 *
 * Input: u8 which type, whether it begins empty or grown, and whether it is read back after each
 * operation; u8 limits; then for each operation u8 which of the type's, u8 size and that many bytes
 * of a form in which chance finds payloads: see token_put. */
#include "engine/base/check.h"
#include "tests/lib/value_check.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    enum value_type type;
    unsigned first, count;
} types[] = {
    {VALUE_HASH, FIELDS_PUT, 3},
    {VALUE_SET, SET_OP_ADD, 2},
    {VALUE_ZSET, ZSET_ADD, 3},
    {VALUE_STREAM, STREAM_ADD, 13},
};

/* -- Payloads ---------------------------------------------------------------------------------- */

static void put(struct buf *out, const void *data, size_t size)
{
    CHECK(buf_append(out, bytes_of(data, size)) == ST_OK);
}

static void put_varint(struct buf *out, uint64_t value)
{
    unsigned char varint[VARINT_MAX];
    put(out, varint, varint_store(varint, value));
}

static void put_u64(struct buf *out, uint64_t value)
{
    put(out, &value, sizeof(value));
}

static void put_id(struct buf *out, uint64_t ms)
{
    put_u64(out, ms);
    put_u64(out, 1);
}

static size_t name_of(unsigned i, char *room, size_t room_size)
{
    static const char *const forms[] = {"%u", "-%u", "n%u", "%080u"};
    return (size_t)snprintf(room, room_size, forms[i % 4], i / 4);
}

static void put_name(struct buf *out, unsigned i)
{
    char name[100];
    size_t size = name_of(i, name, sizeof(name));
    put_varint(out, size);
    put(out, name, size);
}

/* A field of FIELDS_PUT, with its value. */
static void put_field(struct buf *out, unsigned i, bool timed)
{
    char name[100];
    size_t size = name_of(i, name, sizeof(name));
    put_varint(out, size << 2 | (timed ? FIELDS_TIMED : FIELDS_FOREVER));
    if (timed) {
        put_u64(out, 1000 + i);
    }
    put_varint(out, i % 20);
    put(out, name, size);
    put(out, "twenty bytes of value", i % 20);
}

static void put_score(struct buf *out, double score)
{
    put(out, &score, sizeof(score));
}

/* One byte says much that is well-formed; 255 gives the next as it is. */
static void token_put(struct buf *out, unsigned token, struct bytes *rest)
{
    if (token < 48) {
        put_name(out, token);
    } else if (token < 96) {
        put_varint(out, token - 48);
    } else if (token < 112) {
        put_u64(out, (token - 96) * 100 - 100);
    } else if (token < 128) {
        put_score(out, (token - 112.0) / 2 - 4);
    } else if (token < 192) {
        put_id(out, token - 128);
    } else if (token < 224) {
        put_field(out, token - 192, token % 2 == 0);
    } else if (token == 224) {
        put_id(out, UINT64_MAX);
    } else if (token == 225) {
        put_u64(out, 1ull << 63);
    } else if (token == 226) {
        put_varint(out, UINT64_MAX);
    } else if (token < 255) {
        unsigned char byte = (unsigned char)(token - 227);
        put(out, &byte, 1);
    } else if (rest->size > 0) {
        put(out, rest->data, 1);
        *rest = bytes_slice(*rest, 1, SIZE_MAX);
    }
}

/* -- What two values hold ------------------------------------------------------------------------
 */

struct other {
    const struct value *value;
    bool same;
};

static enum status compare_field(void *ctx, const struct field_item *item)
{
    struct other *other = ctx;
    struct field_item found_item;
    bool found;
    enum status status = fields_find(other->value, item->field.data, 0, &found_item, &found);
    other->same = other->same && found && bytes_equal(found_item.value.data, item->value.data) &&
                  found_item.expiry_ms == item->expiry_ms;
    return status;
}

static enum status compare_member(void *ctx, struct value_piece piece)
{
    struct other *other = ctx;
    struct set_probe probe = set_probe_of(piece.data);
    bool has;
    enum status status = set_has(other->value, &probe, &has);
    other->same = other->same && has;
    return status;
}

/* A zero has a sign in one shape and none in the other. */
static enum status put_member(void *ctx, struct value_piece member, double score)
{
    put_score(ctx, score + 0.0);
    put(ctx, member.data.data, member.data.size);
    return ST_OK;
}

static void encode(const struct value *value, struct buf *out)
{
    out->size = 0;
    CHECK(value_encode(value, out) == ST_OK);
    CHECK(out->size <= value_encoded_max(value));
}

/* Order, where it is hashed, follows from the shape, and that from the past. */
static void expect_same(const struct value *a, const struct value *b)
{
    struct other other = {b, true};
    enum status status = ST_OK;
    CHECK(a->type == b->type);
    if (a->type == VALUE_HASH) {
        CHECK(fields_count(a) == fields_count(b) && fields_earliest(a) == fields_earliest(b));
        status = fields_walk(a, 0, compare_field, &other);
    } else if (a->type == VALUE_SET) {
        CHECK(set_count(a) == set_count(b));
        status = set_walk(a, 0, set_count(a), compare_member, &other);
    } else {
        struct buf texts[2] = {BUF_EMPTY, BUF_EMPTY};
        for (unsigned i = 0; i < 2 && status == ST_OK; i++) {
            const struct value *value = i == 0 ? a : b;
            if (a->type == VALUE_STREAM) {
                encode(value, &texts[i]);
            } else {
                status = zset_walk(value, 0, zset_count(value), false, put_member, &texts[i]);
            }
        }
        other.same = bytes_equal(buf_bytes(&texts[0]), buf_bytes(&texts[1]));
        buf_deinit(&texts[0]);
        buf_deinit(&texts[1]);
    }
    CHECK(status == ST_OK && other.same);
}

/* -- Values -------------------------------------------------------------------------------------
 */

struct subject {
    struct value value;
    struct buf scratch;
};

static void subject_deinit(struct subject *subject)
{
    value_free(&subject->value);
    buf_deinit(&subject->scratch);
}

/* What replay of a PUT would make of it; a value that vanishes begins anew. */
static void subject_reload(const struct subject *from, const struct value_limits *limits,
                           struct subject *to)
{
    struct buf encoded = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    *to = (struct subject){value_empty(from->value.type), BUF_EMPTY};
    bool absent = from->value.type == VALUE_STREAM && from->value.shape == VALUE_PACKED;
    if (!value_vanishes(&from->value) && !absent) {
        encode(&from->value, &encoded);
        CHECK(value_decode(buf_bytes(&encoded), limits, &to->scratch, &to->value) == ST_OK);
        CHECK(value_check(&to->value));
        expect_same(&from->value, &to->value);
        /* Packed bytes may lie in what was decoded. */
        if (to->value.shape == VALUE_PACKED) {
            struct buf kept = BUF_EMPTY;
            put(&kept, to->value.packed.data, to->value.packed.size);
            buf_deinit(&to->scratch);
            to->scratch = kept;
            to->value.packed = buf_bytes(&to->scratch);
        }
        encode(&to->value, &again);
        CHECK(again.size <= encoded.size);
    }
    buf_deinit(&encoded);
    buf_deinit(&again);
}

static enum status subject_apply(struct subject *subject, unsigned op, struct bytes payload,
                                 const struct value_limits *limits, struct value_change *change)
{
    enum status status =
        value_apply(&subject->value, op, payload, limits, &subject->scratch, change);
    CHECK(status == ST_OK || status == ST_CORRUPT);
    CHECK(status != ST_OK || value_check(&subject->value));
    return status;
}

static void grow_stream(struct subject *subject, const struct value_limits *limits)
{
    struct buf payload = BUF_EMPTY;
    struct value_change change;
    for (unsigned i = 0; i < 40; i++) {
        payload.size = 0;
        put_id(&payload, i + 2);
        put_varint(&payload, 1 + i % 2);
        for (unsigned field = 0; field < 2 * (1 + i % 2); field++) {
            put_name(&payload, i % 7 + field);
        }
        CHECK(subject_apply(subject, STREAM_ADD, buf_bytes(&payload), limits, &change) == ST_OK);
    }
    for (unsigned group = 0; group < 2; group++) {
        payload.size = 0;
        put_name(&payload, group);
        put_id(&payload, 0);
        put_u64(&payload, 0);
        CHECK(subject_apply(subject, STREAM_GROUP_CREATE, buf_bytes(&payload), limits, &change) ==
              ST_OK);
        for (unsigned consumer = 0; consumer < 3; consumer++) {
            payload.size = 0;
            put_name(&payload, group);
            put_name(&payload, consumer);
            put_u64(&payload, 100);
            put(&payload, "", 1);
            for (unsigned i = 0; i < 10; i++) {
                put_id(&payload, 2 + consumer * 10 + i);
            }
            CHECK(subject_apply(subject, STREAM_DELIVER, buf_bytes(&payload), limits, &change) ==
                  ST_OK);
        }
    }
    buf_deinit(&payload);
}

static void grow(struct subject *subject, const struct value_limits *limits)
{
    struct buf payload = BUF_EMPTY;
    struct value_change change;
    enum value_type type = subject->value.type;
    if (type == VALUE_STREAM) {
        grow_stream(subject, limits);
        return;
    }
    if (type == VALUE_ZSET) {
        put(&payload, "", 1);
    }
    for (unsigned i = 0; i < 160; i++) {
        if (type == VALUE_HASH) {
            put_field(&payload, i, i % 3 == 0);
        } else {
            if (type == VALUE_ZSET) {
                put_score(&payload, i % 50);
            }
            put_name(&payload, i);
        }
    }
    unsigned op = type == VALUE_HASH ? FIELDS_PUT : type == VALUE_SET ? SET_OP_ADD : ZSET_ADD;
    CHECK(subject_apply(subject, op, buf_bytes(&payload), limits, &change) == ST_OK);
    buf_deinit(&payload);
}

/* -- Operations ---------------------------------------------------------------------------------
 */

/* On the value, on its like, and with a copy that must stay as it is. False: refused. */
static bool operate(struct subject *subject, unsigned op, struct bytes payload, bool reload,
                    const struct value_limits *limits)
{
    struct subject twin;
    struct subject copy = {.scratch = BUF_EMPTY};
    struct value_change change;
    struct value_change twin_change;
    subject_reload(subject, limits, &twin);
    CHECK(value_copy(&subject->value, &copy.scratch, &copy.value) == ST_OK);
    enum status status = subject_apply(subject, op, payload, limits, &change);
    if (status == ST_OK) {
        expect_same(&copy.value, &twin.value);
        CHECK(change.changed || change.count == 0);
        if (!change.changed) {
            expect_same(&copy.value, &subject->value);
        }
    }
    CHECK(subject_apply(&twin, op, payload, limits, &twin_change) == status);
    if (status == ST_OK) {
        /* A set may change its encoding alone, the twin has another. */
        CHECK(twin_change.changed == change.changed || subject->value.type == VALUE_SET);
        CHECK(twin_change.count == change.count);
        expect_same(&subject->value, &twin.value);
    }
    if (reload && status == ST_OK) {
        struct subject old = *subject;
        *subject = twin;
        twin = old;
    }
    subject_deinit(&copy);
    subject_deinit(&twin);
    return status == ST_OK;
}

static struct value_limits limits_of(unsigned choice)
{
    int64_t entries = (int64_t[]){2, 8, 128, 1000}[choice % 4];
    int64_t size = choice / 4 % 2 == 0 ? 64 : 4;
    return (struct value_limits){.hash_max_listpack_entries = entries,
                                 .hash_max_listpack_value = size,
                                 .set_max_intset_entries = choice / 8 % 2 == 0 ? entries / 2 : 512,
                                 .set_max_listpack_entries = entries,
                                 .set_max_listpack_value = size,
                                 .zset_max_listpack_entries = entries,
                                 .zset_max_listpack_value = size,
                                 .stream_node_max_bytes = size * 10,
                                 .stream_node_max_entries = entries,
                                 .hash_seed = choice / 16};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    unsigned type = data[0] % 4;
    bool reload = (data[0] & 8) != 0;
    struct value_limits limits = limits_of(data[1]);
    struct subject subject = {value_empty(types[type].type), BUF_EMPTY};
    if ((data[0] & 4) != 0) {
        grow(&subject, &limits);
    }
    struct buf payload = BUF_EMPTY;
    struct bytes rest = bytes_of(data + 2, size - 2);
    bool good = true;
    while (good && rest.size >= 2) {
        unsigned op = types[type].first + ((const uint8_t *)rest.data)[0] % types[type].count;
        struct bytes tokens = bytes_slice(rest, 2, ((const uint8_t *)rest.data)[1]);
        rest = bytes_slice(rest, 2 + tokens.size, SIZE_MAX);
        payload.size = 0;
        while (tokens.size > 0) {
            unsigned token = ((const uint8_t *)tokens.data)[0];
            tokens = bytes_slice(tokens, 1, SIZE_MAX);
            token_put(&payload, token, &tokens);
        }
        good = operate(&subject, op, buf_bytes(&payload), reload, &limits);
    }
    buf_deinit(&payload);
    subject_deinit(&subject);
    return 0;
}
