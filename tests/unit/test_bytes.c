#include "engine/base/bytes.h"

#include "tests/lib/test.h"

TEST(a_buffer_lends_room_for_nothing_also_while_it_has_no_memory)
{
    struct buf buf = BUF_EMPTY;
    EXPECT(buf_extend(&buf, 0) != NULL);
    EXPECT_INT(buf.size, 0);
    unsigned char *room = buf_extend(&buf, 3);
    EXPECT(room == buf.data && buf.size == 3);
    EXPECT(buf_extend(&buf, 0) == buf.data + 3);
    buf_deinit(&buf);
}

TEST(a_buffer_keeps_its_bytes_while_it_grows_and_refuses_more_than_there_is)
{
    struct buf buf = BUF_EMPTY;
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT_INT(buf_append(&buf, bytes_of(&i, sizeof(i))), ST_OK);
    }
    EXPECT(buf_extend(&buf, SIZE_MAX - 10) == NULL);
    EXPECT_INT(buf.size, 1000 * sizeof(unsigned));
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT_INT(load_u32(buf.data + i * sizeof(i)), i);
    }
    buf_deinit(&buf);
}
