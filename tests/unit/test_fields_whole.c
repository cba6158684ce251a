/* Hashes as a whole: when they change their shape, what is on disk, walks, size. */
#include "engine/value/fields.h"

#include "tests/lib/fields_payload.h"
#include "tests/lib/test.h"

#include <stdio.h>

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

static const struct value_limits usual = {
    .hash_max_listpack_entries = 128, .hash_max_listpack_value = 64, .hash_seed = 77};

/* -- Small helpers of the tests below ------------------------------------------------------------
 */

struct hash {
    struct value value;
    struct value_limits limits;
    struct buf scratch, payload;
    struct value_change change;
};

static enum status hash_apply(struct hash *hash, unsigned op)
{
    enum status status = value_apply(&hash->value, op, buf_bytes(&hash->payload), &hash->limits,
                                     &hash->scratch, &hash->change);
    hash->payload.size = 0;
    return status;
}

static void hash_put(struct hash *hash, const char *field, const char *value, int64_t expiry_ms)
{
    payload_field(&hash->payload, bytes_of_text(field), bytes_of_text(value), expiry_ms);
    EXPECT(hash_apply(hash, FIELDS_PUT) == ST_OK);
}

static void hash_free(struct hash *hash)
{
    value_free(&hash->value);
    buf_deinit(&hash->scratch);
    buf_deinit(&hash->payload);
}

/* What OBJECT ENCODING says. */
static void expect_encoding(const struct hash *hash, const char *name)
{
    EXPECT_TEXT(value_encoding(&hash->value, &hash->limits), name);
}

/* -- Thresholds ----------------------------------------------------------------------------------
 */

TEST(a_hash_becomes_a_table_at_the_field_after_the_last_that_fits)
{
    struct hash hash = {.value = fields_empty(), .limits = usual};
    hash.limits.hash_max_listpack_entries = 3;
    hash_put(&hash, "a", "1", FIELDS_NO_EXPIRY);
    hash_put(&hash, "b", "1", FIELDS_NO_EXPIRY);
    hash_put(&hash, "c", "1", FIELDS_NO_EXPIRY);
    hash_put(&hash, "c", "2", FIELDS_NO_EXPIRY);
    expect_encoding(&hash, "listpack");
    hash_put(&hash, "d", "1", FIELDS_NO_EXPIRY);
    expect_encoding(&hash, "hashtable");
    payload_name(&hash.payload, bytes_of_text("d"));
    payload_name(&hash.payload, bytes_of_text("a"));
    EXPECT(hash_apply(&hash, FIELDS_REMOVE) == ST_OK);
    EXPECT_INT(hash.change.count, 2);
    expect_encoding(&hash, "hashtable"); /* Never back. */
    hash_free(&hash);
}

TEST(a_hash_becomes_a_table_with_a_long_field_or_value)
{
    char just[65], long_text[66];
    memset(just, 'x', 64), just[64] = '\0';
    memset(long_text, 'x', 65), long_text[65] = '\0';
    for (int i = 0; i < 2; i++) {
        struct hash hash = {.value = fields_empty(), .limits = usual};
        hash_put(&hash, just, just, FIELDS_NO_EXPIRY);
        expect_encoding(&hash, "listpack");
        hash_put(&hash, i == 0 ? long_text : "a", i == 0 ? "1" : long_text, FIELDS_NO_EXPIRY);
        expect_encoding(&hash, "hashtable");
        EXPECT(fields_check(&hash.value));
        hash_free(&hash);
    }
}

TEST(a_hash_too_large_for_a_block_keeps_the_name_that_redis_gives_it)
{
    struct hash hash = {.value = fields_empty(), .limits = usual};
    hash.limits.hash_max_listpack_entries = 5000;
    for (int i = 0; i < 4000; i++) {
        char field[32];
        snprintf(field, sizeof(field), "a field, the %dth", i);
        hash_put(&hash, field, "a value", FIELDS_NO_EXPIRY);
        hash.scratch.size = hash.value.shape == VALUE_CLAST ? 0 : hash.scratch.size;
    }
    EXPECT(hash.value.shape == VALUE_CLAST);
    expect_encoding(&hash, "listpack");
    struct buf encoded = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;
    struct value loaded;
    EXPECT(value_encode(&hash.value, &encoded) == ST_OK);
    EXPECT(value_decode(buf_bytes(&encoded), &hash.limits, &scratch, &loaded) == ST_OK);
    EXPECT_TEXT(value_encoding(&loaded, &hash.limits), "listpack");
    value_free(&loaded);
    hash_put(&hash, "a field, the 1th", "a value", 5000);
    expect_encoding(&hash, "listpackex");
    hash.limits.hash_max_listpack_entries = 4000;
    hash_put(&hash, "one more", "", FIELDS_NO_EXPIRY);
    expect_encoding(&hash, "hashtable");
    EXPECT(fields_check(&hash.value));
    buf_deinit(&encoded);
    buf_deinit(&scratch);
    hash_free(&hash);
}

/* -- Expiries ------------------------------------------------------------------------------------
 */

static void expiries_of(struct hash *hash)
{
    hash_put(hash, "a", "1", 100);
    hash_put(hash, "b", "2", 50);
    hash_put(hash, "c", "3", FIELDS_NO_EXPIRY);
    EXPECT_INT(fields_earliest(&hash->value), 50);
    hash_put(hash, "b", "4", FIELDS_KEEP_EXPIRY);
    EXPECT_INT(fields_earliest(&hash->value), 50);
    hash_put(hash, "b", "5", FIELDS_NO_EXPIRY);
    EXPECT_INT(fields_earliest(&hash->value), 100);
    payload_expire(&hash->payload, bytes_of_text("c"), 70);
    payload_expire(&hash->payload, bytes_of_text("none"), 10);
    EXPECT(hash_apply(hash, FIELDS_EXPIRE) == ST_OK);
    EXPECT_INT(hash->change.count, 1);
    EXPECT_INT(fields_earliest(&hash->value), 70);
    payload_expire(&hash->payload, bytes_of_text("c"), 70);
    EXPECT(hash_apply(hash, FIELDS_EXPIRE) == ST_OK && !hash->change.changed);
    payload_expire(&hash->payload, bytes_of_text("c"), FIELDS_NO_EXPIRY);
    EXPECT(hash_apply(hash, FIELDS_EXPIRE) == ST_OK && hash->change.changed);
    EXPECT_INT(fields_earliest(&hash->value), 100);
    payload_name(&hash->payload, bytes_of_text("a"));
    EXPECT(hash_apply(hash, FIELDS_REMOVE) == ST_OK);
    EXPECT_INT(fields_earliest(&hash->value), FIELDS_NEVER);
    EXPECT(fields_check(&hash->value));
}

/* H2 */
TEST(the_earliest_expiry_is_known_packed_or_not)
{
    struct hash packed = {.value = fields_empty(), .limits = usual};
    expiries_of(&packed);
    expect_encoding(&packed, "listpackex");
    struct hash table = {.value = fields_empty(), .limits = usual};
    table.limits.hash_max_listpack_entries = 0;
    expiries_of(&table);
    expect_encoding(&table, "hashtable");
    hash_free(&packed);
    hash_free(&table);
}

static void gone_of(struct hash *hash)
{
    hash_put(hash, "a", "1", 100);
    hash_put(hash, "b", "2", 50);
    EXPECT(!fields_gone(&hash->value, 99));
    EXPECT(fields_gone(&hash->value, 100));
    hash_put(hash, "c", "3", FIELDS_NO_EXPIRY);
    EXPECT(!fields_gone(&hash->value, 1000000));
    struct field_item item;
    bool found;
    EXPECT(fields_find(&hash->value, bytes_of_text("b"), 49, &item, &found) == ST_OK && found);
    EXPECT(fields_find(&hash->value, bytes_of_text("b"), 50, &item, &found) == ST_OK && !found);
    EXPECT_INT(fields_count(&hash->value), 3);
}

TEST(a_hash_is_gone_when_the_time_of_its_last_field_has_come)
{
    struct hash packed = {.value = fields_empty(), .limits = usual};
    gone_of(&packed);
    struct hash table = {.value = fields_empty(), .limits = usual};
    table.limits.hash_max_listpack_entries = 0;
    gone_of(&table);
    hash_free(&packed);
    hash_free(&table);
}

/* -- Bytes from outside --------------------------------------------------------------------------
 */

TEST(payloads_that_our_code_does_not_write_are_refused)
{
    static const struct {
        unsigned op;
        struct bytes payload;
    } cases[] = {
        {FIELDS_PUT, {"", 0}},
        {FIELDS_PUT, {"\4", 1}},                      /* no value size */
        {FIELDS_PUT, {"\4\1a", 3}},                   /* no value */
        {FIELDS_PUT, {"\7\0a", 3}},                   /* a way that is none */
        {FIELDS_PUT, {"\6\0\0\0\0", 5}},              /* a time cut short */
        {FIELDS_PUT, {"\6\0\0\0\0\0\0\0\0\1ab", 12}}, /* a time before 1970's first ms */
        {FIELDS_PUT, {"\6\xff\xff\xff\xff\xff\xff\xff\xff\1ab", 12}},
        {FIELDS_PUT, {"\6\xff\xff\xff\xff\xff\xff\xff\x7f\1ab", 12}},
        {FIELDS_PUT, {"\xfc\xff\xff\xff\xff\xff\xff\xff\xff\1\1a", 12}},
        {FIELDS_REMOVE, {"\2a", 2}},
        {FIELDS_EXPIRE, {"\3\1", 2}},
        {FIELDS_EXPIRE + 1, {"\1a", 2}},
        {47, {"\1a", 2}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct value value = fields_empty();
        struct buf scratch = BUF_EMPTY;
        struct value_change change;
        EXPECT(value_apply(&value, cases[i].op, cases[i].payload, &usual, &scratch, &change) ==
               ST_CORRUPT);
        buf_deinit(&scratch);
    }
}

/* The format is a promise to the disk: byte by byte. */
TEST(a_hash_encodes_byte_by_byte_as_documented)
{
    struct hash hash = {.value = fields_empty(), .limits = usual};
    struct buf out = BUF_EMPTY;
    hash_put(&hash, "silt", "1", FIELDS_NO_EXPIRY);
    hash_put(&hash, "", "loam", FIELDS_NO_EXPIRY);
    EXPECT(value_encode(&hash.value, &out) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&out), bytes_of("\4\0\2\4silt\1"
                                                 "1\0\4loam",
                                                 16)));
    out.size = 0;
    hash_put(&hash, "", "x", 0x123456);
    EXPECT(value_encode(&hash.value, &out) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&out), bytes_of("\4\1\2\4silt\1"
                                                 "1\xff\xff\xff\xff\xff\xff\xff\xff\0\1x"
                                                 "\x56\x34\x12\0\0\0\0\0",
                                                 29)));
    buf_deinit(&out);
    hash_free(&hash);
}

TEST(encodings_that_are_no_hash_are_refused)
{
    static const struct bytes cases[] = {
        {"\4", 1},                  /* no flags */
        {"\4\0", 2},                /* no count */
        {"\4\2\0", 3},              /* a flag that is none */
        {"\4\0\1", 3},              /* no field */
        {"\4\0\1\1a", 5},           /* no value */
        {"\4\0\1\1a\1b\1c", 9},     /* one too many */
        {"\4\0\2\1a\1b", 7},        /* one short */
        {"\4\0\2\1a\1b\1a\1c", 11}, /* two that are equal */
        {"\4\0\1\x81\0a\1b", 8},    /* a longer form of 1 */
        {"\4\1\1\1a\1b", 7},        /* no expiry */
        {"\4\1\1\1a\1b\0\0\0\0\0\0\0\0", 15},
        {"\4\1\1\1a\1b\xfe\xff\xff\xff\xff\xff\xff\xff", 15},
        {"\4\1\1\1a\1b\xff\xff\xff\xff\xff\xff\xff\x7f", 15},
        {"\4\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12},
        {"\4\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 13},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        struct value_limits limits = usual;
        EXPECT(value_decode(cases[i], &limits, &scratch, &value) == ST_CORRUPT);
        limits.hash_max_listpack_entries = 0;
        EXPECT(value_decode(cases[i], &limits, &scratch, &value) == ST_CORRUPT);
        buf_deinit(&scratch);
    }
}

/* Equal fields are found among many too, where each with each would take too long. */
TEST(an_encoding_of_many_fields_with_two_equal_ones_is_refused)
{
    for (size_t count = 100; count <= 101; count++) {
        struct buf encoded = BUF_EMPTY;
        struct buf scratch = BUF_EMPTY;
        struct value value;
        EXPECT(buf_append(&encoded, bytes_of("\4\0", 2)) == ST_OK);
        payload_varint(&encoded, count);
        for (size_t i = 0; i < count; i++) {
            char field[16];
            int size = snprintf(field, sizeof(field), "%zu", i % 100);
            payload_varint(&encoded, (uint64_t)size);
            EXPECT(buf_append(&encoded, bytes_of(field, (size_t)size)) == ST_OK);
            payload_varint(&encoded, 0);
        }
        EXPECT(value_decode(buf_bytes(&encoded), &usual, &scratch, &value) ==
               (count == 100 ? ST_OK : ST_CORRUPT));
        if (count == 100) {
            EXPECT(value.shape == VALUE_PACKED && fields_check(&value));
        }
        buf_deinit(&encoded);
        buf_deinit(&scratch);
    }
}

/* -- Failing allocations of whole values ---------------------------------------------------------
 */

TEST(decoding_and_copying_a_hash_survive_every_failing_allocation)
{
    struct hash hash = {.value = fields_empty(), .limits = usual};
    for (int i = 0; i < 600; i++) {
        char field[32];
        snprintf(field, sizeof(field), "field %d", i);
        hash_put(&hash, field, "some value", i % 3 == 0 ? 1000 + i : FIELDS_NO_EXPIRY);
    }
    struct buf encoded = BUF_EMPTY;
    EXPECT(value_encode(&hash.value, &encoded) == ST_OK);
    size_t failures = 0;
    for (uint64_t nth = 1; nth < 10000; nth++) {
        struct value decoded;
        struct value copy;
        struct buf scratch = BUF_EMPTY;
        part_test_fail_from(nth);
        enum status status = value_decode(buf_bytes(&encoded), &usual, &scratch, &decoded);
        enum status copied = status == ST_OK ? value_copy(&decoded, &scratch, &copy) : ST_NOMEM;
        bool failed = part_test_failed();
        part_test_fail_from(0);
        EXPECT(copied == (failed ? ST_NOMEM : ST_OK));
        failures += failed;
        if (status == ST_OK) {
            EXPECT(fields_check(&decoded));
            value_free(&decoded);
        }
        if (copied == ST_OK) {
            EXPECT(fields_check(&copy));
            value_free(&copy);
        }
        buf_deinit(&scratch);
        if (!failed) {
            break;
        }
    }
    EXPECT(failures > 10 && failures < 9000);
    buf_deinit(&encoded);
    hash_free(&hash);
}

/* -- Walks and size ------------------------------------------------------------------------------
 */

#define STAYING 6000

struct scanning {
    bool seen[STAYING];
    size_t count;
};

static enum status scan_item(void *ctx, const struct field_item *item)
{
    struct scanning *scanning = ctx;
    int i;
    char text[32] = {0};
    memcpy(text, item->field.data.data, item->field.data.size);
    if (sscanf(text, "stay %d", &i) == 1) {
        scanning->seen[i] = true;
    }
    scanning->count++;
    return ST_OK;
}

TEST(a_scan_gives_every_field_that_is_there_throughout_while_thousands_come_and_go)
{
    struct hash hash = {.value = fields_empty(), .limits = usual};
    struct scanning scanning = {.count = 0};
    uint64_t state = test_seed();
    char field[32];
    for (int i = 0; i < STAYING; i++) {
        snprintf(field, sizeof(field), "stay %d", i);
        hash_put(&hash, field, "value", FIELDS_NO_EXPIRY);
    }
    uint64_t cursor = 0;
    size_t steps = 0;
    int next = 0;
    int first = 0;
    do {
        EXPECT(fields_scan(&hash.value, 0, cursor, 1, scan_item, &scanning, &cursor) == ST_OK);
        EXPECT(cursor < 1ull << 48);
        steps++;
        bool grow = test_random_below(&state, 8) < (steps % 60 < 30 ? 7 : 1);
        for (uint64_t n = test_random_below(&state, 300); n > 0; n--) {
            if (grow) {
                snprintf(field, sizeof(field), "come %d", next++);
                payload_field(&hash.payload, bytes_of_text(field), BYTES_NONE, FIELDS_NO_EXPIRY);
            } else if (first < next) {
                snprintf(field, sizeof(field), "come %d", first++);
                payload_name(&hash.payload, bytes_of_text(field));
            }
        }
        if (hash.payload.size > 0) {
            EXPECT(hash_apply(&hash, grow ? FIELDS_PUT : FIELDS_REMOVE) == ST_OK);
        }
    } while (cursor != 0);
    for (int i = 0; i < STAYING; i++) {
        EXPECT(scanning.seen[i]);
    }
    EXPECT(steps > 20 && next > 1000 && first > 100);
    EXPECT(fields_check(&hash.value));
    hash_free(&hash);
}

TEST(a_field_of_a_large_hash_costs_its_bytes_and_little_more)
{
    struct hash hash = {.value = fields_empty(), .limits = usual};
    const int count = STEPS(200000, 20000);
    for (int i = 0; i < count; i++) {
        char field[32];
        snprintf(field, sizeof(field), "field %010d", i);
        hash_put(&hash, field, "0123456789abcdef", FIELDS_NO_EXPIRY);
    }
    /* 32 bytes of field and value; one for their size, 3 or 4 for the slot, at some 79 % fill. */
    double each = (double)value_memory(&hash.value) / count;
    if (each > 50) {
        test_fail(__FILE__, __LINE__, "%.1f bytes a field", each);
    }
    hash_free(&hash);
}
