#include "engine/wlog/record.h"

#include "tests/lib/test.h"

static size_t add(struct buf *buf, enum record_op op, uint32_t namespace_id, const char *key,
                  const char *payload)
{
    size_t offset;
    EXPECT_INT(record_begin(buf, op, namespace_id, bytes_of_text(key), strlen(payload), &offset),
               ST_OK);
    EXPECT_INT(buf_append(buf, bytes_of_text(payload)), ST_OK);
    EXPECT_INT(record_end(buf, offset), ST_OK);
    return offset;
}

TEST(record_comes_back_as_it_was_written)
{
    struct buf buf = BUF_EMPTY;
    add(&buf, RECORD_PUT, 7, "key", "payload");
    add(&buf, RECORD_DELETE, UINT32_MAX, "", "");
    struct bytes in = buf_bytes(&buf);
    struct record record;
    size_t size;
    EXPECT_INT(record_take(&in, &record, &size), ST_OK);
    EXPECT_INT(size, RECORD_HEADER_SIZE + 10);
    EXPECT_INT(record.op, RECORD_PUT);
    EXPECT_INT(record.flags, 0);
    EXPECT_INT(record.namespace_id, 7);
    EXPECT(bytes_equal(record.key, bytes_of_text("key")));
    EXPECT(bytes_equal(record.payload, bytes_of_text("payload")));
    EXPECT_INT(record_take(&in, &record, &size), ST_OK);
    EXPECT_INT(record.op, RECORD_DELETE);
    EXPECT_INT(record.namespace_id, UINT32_MAX);
    EXPECT_INT(record.key.size + record.payload.size, 0);
    EXPECT_INT(in.size, 0);
    buf_deinit(&buf);
}

TEST(record_layout_is_the_one_in_the_header)
{
    struct buf buf = BUF_EMPTY;
    size_t offset = add(&buf, RECORD_EXPIRE, 0x01020304, "k\1", "pp");
    record_mark_group(&buf, offset);
    static const unsigned char expected[] = {20, 0, 0, 0, 3, 3, 0,   0, 4,   3,
                                             2,  1, 2, 0, 0, 0, 'k', 1, 'p', 'p'};
    EXPECT_INT(buf.size, sizeof(expected));
    EXPECT(memcmp(buf.data, expected, sizeof(expected)) == 0);
    buf_deinit(&buf);
}

/* W2: a group is marked at its first and its last record, and one record may be both. */
TEST(record_groups_are_marked_first_and_last)
{
    struct buf buf = BUF_EMPTY;
    add(&buf, RECORD_PUT, 0, "before", "x");
    size_t group = add(&buf, RECORD_PUT, 0, "a", "1");
    add(&buf, RECORD_LIST_PUSH, 0, "b", "22");
    add(&buf, RECORD_DELETE, 0, "c", "");
    record_mark_group(&buf, group);
    size_t single = add(&buf, RECORD_PUT, 0, "d", "4");
    record_mark_group(&buf, single);
    static const unsigned expected[] = {0, RECORD_FIRST, 0, RECORD_LAST,
                                        RECORD_FIRST | RECORD_LAST};
    struct bytes in = buf_bytes(&buf);
    for (size_t i = 0; i < 5; i++) {
        struct record record;
        size_t size;
        EXPECT_INT(record_take(&in, &record, &size), ST_OK);
        EXPECT_INT(record.flags, expected[i]);
    }
    buf_deinit(&buf);
}

TEST(record_take_says_how_many_bytes_it_needs_and_moves_nothing)
{
    struct buf buf = BUF_EMPTY;
    add(&buf, RECORD_PUT, 1, "a key", "and a payload");
    for (size_t cut = 0; cut < buf.size; cut++) {
        struct bytes in = bytes_of(buf.data, cut);
        struct record record;
        size_t size;
        EXPECT_INT(record_take(&in, &record, &size), ST_WAIT);
        EXPECT_INT(size, cut < RECORD_HEADER_SIZE ? RECORD_HEADER_SIZE : buf.size);
        EXPECT(in.data == buf.data && in.size == cut);
    }
    buf_deinit(&buf);
}

TEST(record_take_refuses_what_no_record_says)
{
    static const struct {
        size_t offset;
        unsigned char value;
    } wrong[] = {
        {0, 15},             /* Shorter than a header. */
        {0, 0},    {4, 0},   /* No operation. */
        {4, 200},  {5, 4},   /* An unknown flag. */
        {6, 1},              /* What must be zero. */
        {7, 1},    {12, 13}, /* A key longer than the record. */
        {15, 255},
    };
    struct buf buf = BUF_EMPTY;
    add(&buf, RECORD_PUT, 1, "key", "payload!!");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        unsigned char before = buf.data[wrong[i].offset];
        buf.data[wrong[i].offset] = wrong[i].value;
        struct bytes in = buf_bytes(&buf);
        struct record record;
        size_t size;
        EXPECT_INT(record_take(&in, &record, &size), ST_CORRUPT);
        EXPECT(in.data == buf.data && in.size == buf.size);
        buf.data[wrong[i].offset] = before;
    }
    buf_deinit(&buf);
}

/* Bytes by chance never make it read beyond them; the asan build watches. */
TEST(record_take_stays_within_any_bytes)
{
    uint64_t chance = test_seed();
    for (int i = 0; i < 100000; i++) {
        size_t size = test_random_below(&chance, 64);
        struct buf buf = BUF_EMPTY;
        unsigned char *data = buf_extend(&buf, size + 1);
        for (size_t j = 0; j < size; j++) {
            data[j] = (unsigned char)(test_random_below(&chance, 4) == 0
                                          ? test_random(&chance)
                                          : test_random_below(&chance, 24) * (j % 4 == 0));
        }
        struct bytes in = bytes_of(data, size);
        struct record record;
        size_t needed;
        enum status status = record_take(&in, &record, &needed);
        if (status == ST_OK) {
            EXPECT(needed <= size && in.size == size - needed);
            EXPECT(record.key.size + record.payload.size + RECORD_HEADER_SIZE == needed);
        } else {
            EXPECT(status == ST_WAIT ? needed > size : status == ST_CORRUPT);
        }
        buf_deinit(&buf);
    }
}
