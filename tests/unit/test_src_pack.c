#include "src/rdb/pack.h"

#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define ELEMENTS_MAX 64

/* Integers and sizes at which a listpack changes how it writes them. */
static const int64_t integers[] = {0,
                                   1,
                                   127,
                                   128,
                                   -1,
                                   4095,
                                   4096,
                                   -4096,
                                   -4097,
                                   32767,
                                   32768,
                                   -32768,
                                   -32769,
                                   8388607,
                                   8388608,
                                   -8388608,
                                   -8388609,
                                   INT32_MAX,
                                   INT32_MAX + 1ll,
                                   INT32_MIN,
                                   INT32_MIN - 1ll,
                                   INT64_MAX,
                                   INT64_MIN};
static const size_t sizes[] = {0,     1,     62,      63,      64,      125,    126,
                               127,   4094,  4095,    4096,    16376,   16377,  16378,
                               16379, 65536, 2097144, 2097145, 2097146, 2097147};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct bytes filler(size_t size)
{
    static unsigned char bytes[1 << 22];
    memset(bytes, 'x', size);
    return bytes_of(bytes, size);
}

/* Writes it alone, reads it back, and then once more with every byte of its frame changed. */
static void expect_alone(struct bytes element)
{
    struct buf block = BUF_EMPTY;
    struct listpack listpack;
    struct pack pack;
    struct bytes read;
    bool found;
    EXPECT(listpack_begin(&listpack, &block) == ST_OK);
    EXPECT(listpack_add(&listpack, element) == ST_OK);
    EXPECT_INT(listpack_size(&listpack), block.size + 1);
    EXPECT(listpack_end(&listpack) == ST_OK);
    EXPECT(pack_open(&pack, PACK_LISTPACK, buf_bytes(&block)) == ST_OK);
    EXPECT_INT(pack.count, 1);
    EXPECT(pack_next(&pack, &read, &found) == ST_OK && found);
    EXPECT(bytes_equal(read, element));
    EXPECT(pack_next(&pack, &read, &found) == ST_OK && !found);
    buf_deinit(&block);
}

TEST(a_listpack_gives_back_every_integer_and_text_that_was_added)
{
    for (size_t i = 0; i < COUNT_OF(integers); i++) {
        char text[INT64_TEXT_MAX];
        expect_alone(bytes_of(text, int64_to_text(integers[i], text)));
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        expect_alone(filler(sizes[i]));
    }
    expect_alone(bytes_of_text("-0"));
    expect_alone(bytes_of_text("007"));
    expect_alone(bytes_of_text("9223372036854775808"));
}

/* What redis-server 7.0.15 writes behind elements whose length needs a byte more. */
TEST(lengths_behind_elements_are_those_that_redis_writes)
{
    static const struct {
        size_t size;
        const char *end;
        size_t end_size;
    } rows[] = {{122, "x\174\377", 3},
                {16377, "x\177\376\377", 4},
                {16378, "x\0\377\377\377", 5},
                {16379, "x\001\200\200\377", 5},
                {2097145, "x\177\377\376\377", 5},
                {2097146, "x\0\377\377\377\377", 6},
                {2097147, "x\001\200\200\200\377", 6}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf block = BUF_EMPTY;
        struct listpack listpack;
        EXPECT(listpack_begin(&listpack, &block) == ST_OK);
        EXPECT(listpack_add(&listpack, filler(rows[i].size)) == ST_OK);
        EXPECT(listpack_end(&listpack) == ST_OK);
        struct bytes end = bytes_slice(buf_bytes(&block), block.size - rows[i].end_size, SIZE_MAX);
        EXPECT(bytes_equal(end, bytes_of(rows[i].end, rows[i].end_size)));
        buf_deinit(&block);
    }
}

TEST(a_listpack_of_more_elements_than_its_header_counts_is_read_to_its_end)
{
    struct buf block = BUF_EMPTY;
    struct listpack listpack;
    struct pack pack;
    EXPECT(listpack_begin(&listpack, &block) == ST_OK);
    for (int64_t i = 0; i < 70000; i++) {
        EXPECT(listpack_add_int64(&listpack, i) == ST_OK);
    }
    EXPECT(listpack_end(&listpack) == ST_OK);
    EXPECT(pack_open(&pack, PACK_LISTPACK, buf_bytes(&block)) == ST_OK);
    for (int64_t i = 0; i < 70000; i++) {
        int64_t value;
        EXPECT(pack_take_int64(&pack, &value) == ST_OK);
        EXPECT_INT(value, i);
    }
    struct bytes none;
    EXPECT(pack_take(&pack, &none) == ST_CORRUPT);
    buf_deinit(&block);
}

TEST(a_listpack_can_take_over_the_elements_of_another)
{
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct listpack to;
    struct listpack from;
    struct pack pack;
    int64_t value;
    EXPECT(listpack_begin(&to, &first) == ST_OK && listpack_begin(&from, &second) == ST_OK);
    EXPECT(listpack_add_int64(&to, 1) == ST_OK && listpack_add_int64(&from, 2) == ST_OK);
    EXPECT(listpack_join(&to, &from) == ST_OK && listpack_end(&to) == ST_OK);
    EXPECT(pack_open(&pack, PACK_LISTPACK, buf_bytes(&first)) == ST_OK);
    EXPECT_INT(pack.count, 2);
    EXPECT(pack_take_int64(&pack, &value) == ST_OK && value == 1);
    EXPECT(pack_take_int64(&pack, &value) == ST_OK && value == 2);
    buf_deinit(&first);
    buf_deinit(&second);
}

/* Counts the elements, -1: the block is broken. */
static int walk(enum pack_kind kind, const char *bytes, size_t size)
{
    /* A copy of exactly this size, so that the sanitizer sees a step too far. */
    unsigned char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    struct pack pack;
    struct bytes element;
    bool found = true;
    int count = -1;
    enum status status = pack_open(&pack, kind, bytes_of(copy, size));
    while (status == ST_OK && found) {
        count++;
        status = pack_next(&pack, &element, &found);
    }
    free(copy);
    return status == ST_OK ? count : -1;
}

#define WALK(kind, literal) walk(kind, literal, sizeof(literal) - 1)

TEST(blocks_that_contradict_themselves_are_refused)
{
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\1\1\377"), 1);
    EXPECT_INT(WALK(PACK_LISTPACK, "\012\0\0\0\1\0\1\1\377"), -1); /* Size. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\2\0\1\1\377"), -1); /* Count. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\0\0\1\1\377"), -1); /* Count. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\1\2\377"), -1); /* Length from behind. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\1\1\376"), -1); /* End. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\201\1\377"),
               -1); /* Text takes its own length. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\364\1\377"), -1); /* Integer beyond the end. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\370\1\377"), -1); /* No such head. */
    EXPECT_INT(WALK(PACK_LISTPACK, "\011\0\0\0\1\0\1"), -1);
    EXPECT_INT(WALK(PACK_LISTPACK, ""), -1);
    EXPECT_INT(WALK(PACK_ZIPLIST, "\015\0\0\0\012\0\0\0\1\0\0\361\377"), 1);
    EXPECT_INT(WALK(PACK_ZIPLIST, "\013\0\0\0\012\0\0\0\0\0\377"), 0);
    EXPECT_INT(WALK(PACK_ZIPLIST, "\013\0\0\0\013\0\0\0\0\0\377"), -1);       /* Last. */
    EXPECT_INT(WALK(PACK_ZIPLIST, "\015\0\0\0\013\0\0\0\1\0\0\361\377"), -1); /* Last. */
    EXPECT_INT(WALK(PACK_ZIPLIST, "\015\0\0\0\012\0\0\0\1\0\1\361\377"), -1); /* The one before. */
    EXPECT_INT(WALK(PACK_ZIPLIST, "\015\0\0\0\012\0\0\0\1\0\0\200\377"), -1); /* Size cut off. */
    EXPECT_INT(WALK(PACK_ZIPLIST, "\015\0\0\0\012\0\0\0\1\0\0\220\377"), -1); /* No such head. */
    EXPECT_INT(WALK(PACK_ZIPLIST, "\015\0\0\0\012\0\0\0\1\0\376\0\377"), -1); /* Front cut off. */
    EXPECT_INT(WALK(PACK_ZIPMAP, "\1\1f\1\0v\377"), 2);
    EXPECT_INT(WALK(PACK_ZIPMAP, "\376\1f\1\2v..\377"), 2);
    EXPECT_INT(WALK(PACK_ZIPMAP, "\2\1f\1\0v\377"), -1);  /* Count. */
    EXPECT_INT(WALK(PACK_ZIPMAP, "\1\1f\1\1v\377"), -1);  /* Unused bytes to the end. */
    EXPECT_INT(WALK(PACK_ZIPMAP, "\1\1f\4\0v\377"), -1);  /* Value beyond the end. */
    EXPECT_INT(WALK(PACK_ZIPMAP, "\1\1f\376\0\377"), -1); /* Size cut off. */
    EXPECT_INT(WALK(PACK_INTSET, "\2\0\0\0\2\0\0\0\1\0\2\0"), 2);
    EXPECT_INT(WALK(PACK_INTSET, "\2\0\0\0\2\0\0\0\2\0\1\0"), -1); /* Order. */
    EXPECT_INT(WALK(PACK_INTSET, "\2\0\0\0\2\0\0\0\1\0\1\0"), -1); /* Twice. */
    EXPECT_INT(WALK(PACK_INTSET, "\3\0\0\0\1\0\0\0\1\0\2"), -1);   /* Width. */
    EXPECT_INT(WALK(PACK_INTSET, "\2\0\0\0\377\377\377\377\1\0"), -1);
}
