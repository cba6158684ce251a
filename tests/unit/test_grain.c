#include "engine/strata/grain.h"

#include "tests/lib/test.h"

#include <stdlib.h>

static bool grains_equal(const struct grain *a, const struct grain *b)
{
    return a->kind == b->kind && a->type == b->type && a->flags == b->flags && a->lsn == b->lsn &&
           a->namespace_id == b->namespace_id && bytes_equal(a->key, b->key) &&
           a->expiry_ms == b->expiry_ms && a->part.clast == b->part.clast &&
           a->part.table == b->part.table && a->part.number == b->part.number &&
           bytes_equal(a->data, b->data);
}

/* room lends key and data: 600 bytes. */
static struct grain any_grain(uint64_t *chance, unsigned char *room)
{
    for (unsigned i = 0; i < 600; i++) {
        room[i] = (unsigned char)test_random(chance);
    }
    struct grain grain = {.kind = GRAIN_PART,
                          .data = bytes_of(room + 300, test_random_below(chance, 300))};
    if (test_random_below(chance, 3) == 0) {
        grain.part = (struct part_name){test_random(chance), (uint32_t)test_random(chance),
                                        (uint32_t)test_random(chance)};
        return grain;
    }
    grain.kind = GRAIN_KEY;
    grain.type = (unsigned)test_random_below(chance, 256);
    grain.flags = (unsigned)test_random_below(chance, GRAIN_FLAGS + 1);
    grain.lsn = test_random(chance);
    grain.namespace_id = (uint32_t)test_random(chance);
    grain.key = bytes_of(room, test_random_below(chance, 300));
    if ((grain.flags & GRAIN_EXPIRES) != 0) {
        grain.expiry_ms = (int64_t)test_random(chance);
    }
    return grain;
}

TEST(grain_is_parsed_as_it_was_stored_one_after_the_other)
{
    uint64_t chance = test_seed();
    unsigned char room[2][600];
    for (unsigned i = 0; i < 5000; i++) {
        struct buf out = BUF_EMPTY;
        struct grain grains[2] = {any_grain(&chance, room[0]), any_grain(&chance, room[1])};
        struct grain parsed;
        EXPECT_INT(grain_store(&grains[0], &out), ST_OK);
        size_t second = out.size;
        EXPECT_INT(second, (grain_size(&grains[0]) + 7) / 8 * 8);
        EXPECT_INT(grain_store(&grains[1], &out), ST_OK);
        EXPECT_INT(grain_peek_size(buf_bytes(&out)), grain_size(&grains[0]));
        EXPECT_INT(grain_parse(buf_bytes(&out), &parsed), ST_OK);
        EXPECT(grains_equal(&parsed, &grains[0]));
        struct bytes rest = bytes_slice(buf_bytes(&out), second, out.size);
        EXPECT_INT(grain_peek_size(rest), grain_size(&grains[1]));
        EXPECT_INT(grain_parse(rest, &parsed), ST_OK);
        EXPECT(grains_equal(&parsed, &grains[1]));
        buf_deinit(&out);
    }
}

TEST(grain_of_a_key_has_the_bytes_that_the_header_promises)
{
    static const unsigned char expected[] = {
        49,   0,    0,    0,    1,    4,    5,    0,    /* size, kind, type, flags, codec */
        1,    2,    0,    0,    0,    0,    0,    0,    /* lsn */
        9,    0,    0,    0,    3,    0,    0,    0,    /* namespace, key size */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* expiry -1 */
        'k',  'e',  'y',  'd',  'a',  't',  'a',  '!',  '!', 0, 0, 0, 0, 0, 0, 0,
    };
    struct grain grain = {.kind = GRAIN_KEY,
                          .type = 4,
                          .flags = GRAIN_EXPIRES | GRAIN_WAKES,
                          .lsn = 0x201,
                          .namespace_id = 9,
                          .key = bytes_of_text("key"),
                          .expiry_ms = -1,
                          .data = bytes_of_text("data!!")};
    struct buf out = BUF_EMPTY;
    EXPECT_INT(grain_store(&grain, &out), ST_OK);
    EXPECT_INT(out.size, 56);
    EXPECT(memcmp(out.data + 8, expected, 48) == 0);
    EXPECT(load_u64(out.data) == hash_checksum(bytes_of(expected, 41)));
    buf_deinit(&out);
}

TEST(grain_of_a_part_has_the_bytes_that_the_header_promises)
{
    static const unsigned char expected[] = {
        43, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0, 7, 0, 0, 0,
        0,  0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c', 0, 0, 0, 0, 0,
    };
    struct grain grain = {
        .kind = GRAIN_PART, .part = {0x0100000000000007, 2, 3}, .data = bytes_of_text("abc")};
    struct buf out = BUF_EMPTY;
    EXPECT_INT(grain_store(&grain, &out), ST_OK);
    EXPECT_INT(out.size, 48);
    EXPECT(memcmp(out.data + 8, expected, 40) == 0);
    buf_deinit(&out);
}

/* S3 */
TEST(grain_with_any_byte_changed_or_cut_is_corrupt)
{
    uint64_t chance = test_seed();
    unsigned char room[600];
    for (unsigned i = 0; i < 30; i++) {
        struct buf out = BUF_EMPTY;
        struct grain grain = any_grain(&chance, room);
        struct grain parsed;
        EXPECT_INT(grain_store(&grain, &out), ST_OK);
        for (size_t at = 0; at < grain_size(&grain); at++) {
            unsigned char was = out.data[at];
            out.data[at] ^= (unsigned char)(1 + test_random_below(&chance, 255));
            EXPECT_INT(grain_parse(buf_bytes(&out), &parsed), ST_CORRUPT);
            out.data[at] = was;
            /* A copy of that size alone, so that a read past it is seen. */
            unsigned char *cut = malloc(at == 0 ? 1 : at);
            memcpy(cut, out.data, at);
            EXPECT_INT(grain_parse(bytes_of(cut, at), &parsed), ST_CORRUPT);
            free(cut);
        }
        EXPECT_INT(grain_parse(buf_bytes(&out), &parsed), ST_OK);
        buf_deinit(&out);
    }
}

/* Even with a right checksum. */
TEST(grain_that_no_version_writes_is_corrupt)
{
    uint64_t chance = test_seed();
    unsigned char room[600];
    unsigned corrupt = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct buf out = BUF_EMPTY;
        struct buf again = BUF_EMPTY;
        struct grain grain = any_grain(&chance, room);
        struct grain parsed;
        EXPECT_INT(grain_store(&grain, &out), ST_OK);
        out.data[8 + test_random_below(&chance, 32)] = (unsigned char)test_random(&chance);
        uint32_t size = load_u32(out.data + 8);
        if (size >= 16 && size <= out.size) {
            store_u64(out.data, hash_checksum(bytes_of(out.data + 8, size - 8)));
        }
        if (grain_parse(buf_bytes(&out), &parsed) == ST_OK) {
            /* What was parsed is what would be written. */
            EXPECT_INT(grain_store(&parsed, &again), ST_OK);
            EXPECT(memcmp(again.data, out.data, size) == 0);
        } else {
            corrupt++;
        }
        buf_deinit(&out);
        buf_deinit(&again);
    }
    EXPECT(corrupt > 0);
}

TEST(grain_peek_finds_no_grain_in_zeros)
{
    unsigned char zeros[GRAIN_HEADER_SIZE] = {0};
    EXPECT_INT(grain_peek_size(bytes_of(zeros, sizeof(zeros))), 0);
    zeros[12] = GRAIN_KEY;
    EXPECT_INT(grain_peek_size(bytes_of(zeros, sizeof(zeros))), 0);
    store_u32(zeros + 8, UINT32_MAX);
    EXPECT_INT(grain_peek_size(bytes_of(zeros, sizeof(zeros))), 0);
}

TEST(grain_too_large_is_said_by_its_size)
{
    struct grain grain = {.kind = GRAIN_KEY, .data = {NULL, GRAIN_SIZE_MAX}};
    EXPECT(grain_size(&grain) > GRAIN_SIZE_MAX);
    grain.data.size = GRAIN_SIZE_MAX - 32;
    EXPECT(grain_size(&grain) == GRAIN_SIZE_MAX);
}
