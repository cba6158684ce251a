#include "engine/index/row.h"

#include "tests/lib/rows.h"
#include "tests/lib/test.h"

#define ROUNDS 20000

TEST(row_of_every_kind_is_taken_as_it_was_stored)
{
    uint64_t chance = test_seed();
    unsigned char room[ROW_KEY_MAX];
    unsigned char bytes[2 * ROW_SIZE_MAX];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct row row = rows_any(&chance, room);
        struct row taken;
        size_t size = row_store(&row, bytes);
        EXPECT(size <= ROW_SIZE_MAX);
        struct bytes in = bytes_of(bytes, size + 7);
        EXPECT(row_take(&in, &taken));
        EXPECT(rows_equal(&row, &taken));
        EXPECT_INT(in.size, 7);
        EXPECT(row_same(&row, &taken));
        in = bytes_of(bytes, size + 7);
        EXPECT(row_skip(&in));
        EXPECT_INT(in.size, 7);
    }
}

TEST(row_of_a_key_has_the_bytes_that_the_header_promises)
{
    static const unsigned char expected[] = {
        8,    7,    6,    5,    4,    3,    2,    1,    /* place */
        0x44, 0x33, 0x22, 0x11,                         /* stratum */
        0x88, 0x77, 0x66, 0x55,                         /* unit */
        0x99, 0,    0,    0,                            /* size */
        1,    3,    5,                                  /* kind, flags, type */
        0x80, 1,                                        /* namespace 128 */
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* expiry -2 */
        9,    0,    0,    0,    0,    0,    0,    0x80, /* clast */
        3,    'k',  'e',  'y',
    };
    struct row row = {.place = 0x0102030405060708,
                      .at = {0x11223344, 0x55667788, 0x99},
                      .kind = ROW_KEY,
                      .flags = ROW_EXPIRES | ROW_CLAST,
                      .type = 5,
                      .namespace_id = 128,
                      .expiry_ms = -2,
                      .clast = 0x8000000000000009,
                      .key = bytes_of_text("key")};
    unsigned char bytes[ROW_SIZE_MAX];
    size_t size = row_store(&row, bytes);
    EXPECT(bytes_equal(bytes_of(bytes, size), bytes_of(expected, sizeof(expected))));
}

TEST(row_of_a_key_of_sixteen_bytes_takes_forty_one)
{
    unsigned char bytes[ROW_SIZE_MAX];
    struct row row = {.at = {1, 1, 1}, .kind = ROW_KEY, .key = bytes_of_text("0123456789abcdef")};
    EXPECT_INT(row_store(&row, bytes), 41);
}

TEST(row_of_a_part_and_of_a_dead_clast_have_the_bytes_that_the_header_promises)
{
    static const unsigned char expected[] = {7, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0xff, 0xff, 3};
    struct row row = {.at = {1, 2, 3}, .kind = ROW_PART, .part = {7, 2, 0xffff}};
    unsigned char bytes[ROW_SIZE_MAX];
    EXPECT_INT(row_store(&row, bytes), 22 + 8 + 1 + 3);
    EXPECT(memcmp(bytes + 22, expected, 9) == 0);
    EXPECT(bytes[31] == 0xff && bytes[32] == 0xff && bytes[33] == 3);
    row = (struct row){.kind = ROW_CLAST_GONE, .part = {7, ROW_TABLE_ALL, 0}};
    EXPECT_INT(row_store(&row, bytes), 22 + 8 + 5);
    EXPECT(memcmp(bytes + 22, expected, 8) == 0);
    EXPECT_INT(bytes[34], 0x0f);
}

TEST(row_of_a_long_key_has_its_hash)
{
    unsigned char key[ROW_KEY_MAX + 1] = {1};
    unsigned char room[ROW_KEY_HASH_SIZE];
    unsigned char other[ROW_KEY_HASH_SIZE];
    unsigned flags = ROW_EXPIRES;
    struct bytes name = row_key(bytes_of(key, ROW_KEY_MAX), 5, room, &flags);
    EXPECT(name.data == key && name.size == ROW_KEY_MAX);
    EXPECT_INT(flags, ROW_EXPIRES);
    name = row_key(bytes_of(key, ROW_KEY_MAX + 1), 5, room, &flags);
    EXPECT(name.data == room && name.size == ROW_KEY_HASH_SIZE);
    EXPECT_INT(flags, ROW_EXPIRES | ROW_LONG);
    EXPECT(!bytes_equal(name, row_key(bytes_of(key, ROW_KEY_MAX + 1), 6, other, &flags)));
    key[ROW_KEY_MAX] = 1;
    EXPECT(!bytes_equal(name, row_key(bytes_of(key, ROW_KEY_MAX + 1), 5, other, &flags)));
}

TEST(row_cut_short_anywhere_is_not_taken)
{
    uint64_t chance = test_seed();
    unsigned char room[ROW_KEY_MAX];
    unsigned char bytes[ROW_SIZE_MAX];
    for (unsigned i = 0; i < 300; i++) {
        struct row row = rows_any(&chance, room);
        size_t size = row_store(&row, bytes);
        for (size_t cut = 0; cut < size; cut++) {
            struct row taken;
            struct bytes in = bytes_of(bytes, cut);
            EXPECT(!row_take(&in, &taken));
            EXPECT(!row_skip(&in));
            EXPECT(in.data == bytes && in.size == cut);
        }
    }
}

/* What is taken from any bytes is what would be written: there is one form only. */
TEST(row_from_changed_bytes_is_refused_or_stored_as_these_bytes)
{
    uint64_t chance = test_seed();
    unsigned char room[ROW_KEY_MAX];
    unsigned char bytes[ROW_SIZE_MAX + 16];
    unsigned char again[ROW_SIZE_MAX];
    unsigned refused = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct row row = rows_any(&chance, room);
        size_t size = row_store(&row, bytes);
        size_t at = test_random_below(&chance, 2) == 0 ? 20 + test_random_below(&chance, size - 20)
                                                       : test_random_below(&chance, size);
        bytes[at] = (unsigned char)test_random(&chance);
        struct row taken;
        struct bytes in = bytes_of(bytes, sizeof(bytes));
        if (!row_take(&in, &taken)) {
            refused++;
            continue;
        }
        size_t took = sizeof(bytes) - in.size;
        EXPECT_INT(row_store(&taken, again), took);
        EXPECT(memcmp(again, bytes, took) == 0);
    }
    EXPECT(refused > 0);
}

static bool taken(const unsigned char *bytes, size_t size)
{
    struct row row;
    struct bytes in = bytes_of(bytes, size);
    return row_take(&in, &row);
}

TEST(row_that_no_version_writes_is_refused)
{
    unsigned char bytes[ROW_SIZE_MAX];
    struct row key = {.at = {1, 1, 1}, .kind = ROW_KEY, .key = bytes_of_text("a")};
    size_t size = row_store(&key, bytes);
    EXPECT(taken(bytes, size));
    bytes[20] = 0;
    EXPECT(!taken(bytes, size)); /* No kind. */
    bytes[20] = 6;
    EXPECT(!taken(bytes, size));
    bytes[20] = ROW_KEY_GONE;
    EXPECT(!taken(bytes, size)); /* A tombstone with a place of its own. */
    bytes[20] = ROW_KEY;
    bytes[8] = 0;
    EXPECT(!taken(bytes, size)); /* A key that is nowhere. */
    bytes[8] = 1;
    bytes[21] = ROW_FLAGS + 1;
    EXPECT(!taken(bytes, size));
    bytes[21] = ROW_LONG;
    EXPECT(!taken(bytes, size)); /* A hash of one byte. */
    struct row part = {.at = {1, 1, 1}, .kind = ROW_PART, .part = {1, 1, 1}};
    size = row_store(&part, bytes);
    EXPECT(taken(bytes, size));
    bytes[21] = ROW_EXPIRES;
    EXPECT(!taken(bytes, size)); /* Parts have no flags. */
}

TEST(row_speaks_of_the_same_as_its_tombstone_and_of_nothing_else)
{
    struct row key = {.place = 9, .at = {1, 1, 1}, .kind = ROW_KEY, .key = bytes_of_text("a")};
    struct row gone = {.place = 9, .kind = ROW_KEY_GONE, .key = bytes_of_text("a")};
    struct row other = gone;
    EXPECT(row_same(&key, &gone));
    other.key = bytes_of_text("b");
    EXPECT(!row_same(&key, &other));
    other = gone;
    other.namespace_id = 1;
    EXPECT(!row_same(&key, &other));
    other = gone;
    other.place = 8;
    EXPECT(!row_same(&key, &other));
    other = gone;
    other.flags = ROW_UNRESOLVED | ROW_WAKES;
    EXPECT(row_same(&key, &other));
    other.key = bytes_of_text("0123456789abcdef");
    key.key = other.key;
    other.flags = ROW_LONG;
    EXPECT(!row_same(&key, &other)); /* The hash of a long key may be the bytes of a short one. */
    struct row part = {.place = 9, .at = {1, 1, 1}, .kind = ROW_PART, .part = {7, 1, 2}};
    struct row dead = {.place = 9, .kind = ROW_PART_GONE, .part = {7, 1, 2}};
    EXPECT(row_same(&part, &dead) && !row_same(&part, &gone));
    dead.part.number = 3;
    EXPECT(!row_same(&part, &dead));
    struct row clast = {.place = 9, .kind = ROW_CLAST_GONE, .part = {7, 1, 0}};
    part.part.number = 0;
    EXPECT(!row_same(&part, &clast) && row_same(&clast, &clast));
    dead = clast;
    dead.part.table = ROW_TABLE_ALL;
    EXPECT(!row_same(&clast, &dead));
}

/* The order is total, and 0 exactly where row_same says so. */
TEST(row_order_is_a_total_order_by_place_and_name)
{
    uint64_t chance = test_seed();
    unsigned char room[3][ROW_KEY_MAX];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct row rows[3];
        for (unsigned j = 0; j < 3; j++) {
            rows[j] = rows_any(&chance, room[j]);
            rows[j].place = test_random_below(&chance, 2);
            rows[j].namespace_id = 0;
            rows[j].key.size = rows[j].key.size > 1 ? 1 : rows[j].key.size;
            if (rows[j].key.size > 0) {
                room[j][0] &= 1;
            }
            rows[j].part = (struct part_name){test_random_below(&chance, 2), 0, 0};
        }
        int ab = row_compare(&rows[0], &rows[1]);
        int bc = row_compare(&rows[1], &rows[2]);
        int ac = row_compare(&rows[0], &rows[2]);
        EXPECT_INT(row_compare(&rows[1], &rows[0]) > 0, ab < 0);
        EXPECT((ab == 0) == row_same(&rows[0], &rows[1]));
        EXPECT(!(ab <= 0 && bc <= 0) || ac <= 0);
        EXPECT(!(ab < 0 && bc < 0) || ac < 0);
        EXPECT(rows[0].place >= rows[1].place || ab < 0);
    }
}
