#include "engine/value/set_ints.h"

#include "tests/lib/test.h"

#include <string.h>

TEST(set_ints_find_insert_and_remove_in_every_width)
{
    uint64_t state = test_seed();
    for (unsigned bits = 8; bits <= 64; bits += 8) {
        unsigned char block[4 + 8 * 200];
        int64_t sorted[200];
        size_t size = SET_INTS_HEADER_SIZE;
        uint32_t count = 0;
        memcpy(block, set_ints_empty().data, size);
        for (int i = 0; i < 2000; i++) {
            int64_t value = (int64_t)test_random(&state) >> (64 - bits);
            uint32_t index;
            bool found = set_ints_find(bytes_of(block, size), value, &index);
            EXPECT(found == (index < count && sorted[index] == value));
            EXPECT((index == 0 || sorted[index - 1] < value) &&
                   (index == count || sorted[index] >= value));
            if (!found && count < 200 && test_random_below(&state, 3) != 0) {
                size_t with = set_ints_size_with(bytes_of(block, size), value);
                set_ints_insert(block, size, index, value);
                size = with;
                memmove(sorted + index + 1, sorted + index, (count - index) * sizeof(sorted[0]));
                sorted[index] = value;
                count++;
            } else if (index < count) {
                size = set_ints_remove(block, size, index);
                count--;
                memmove(sorted + index, sorted + index + 1, (count - index) * sizeof(sorted[0]));
            }
            EXPECT(set_ints_check(bytes_of(block, size)));
            EXPECT_INT(set_ints_count(bytes_of(block, size)), count);
        }
        for (uint32_t i = 0; i < count; i++) {
            EXPECT(set_ints_at(bytes_of(block, size), i) == sorted[i]);
        }
    }
}

TEST(set_ints_check_refuses_what_is_no_such_block)
{
    unsigned char block[4 + 2 * 3];
    size_t size = SET_INTS_HEADER_SIZE;
    memcpy(block, set_ints_empty().data, size);
    for (int64_t value = 3; value > 0; value--) {
        set_ints_insert(block, size, 0, value);
        size += 2;
    }
    EXPECT(set_ints_check(bytes_of(block, sizeof(block))));
    EXPECT(!set_ints_check(bytes_of(block, sizeof(block) - 1)));
    EXPECT(!set_ints_check(bytes_of(block, 3)));
    block[4] = 2; /* The same twice. */
    EXPECT(!set_ints_check(bytes_of(block, sizeof(block))));
    block[4] = 9; /* Out of order. */
    EXPECT(!set_ints_check(bytes_of(block, sizeof(block))));
    block[4] = 1;
    block[3] |= 0x60; /* A width that is none. */
    EXPECT(!set_ints_check(bytes_of(block, sizeof(block))));
    block[3] = 0; /* No mark. */
    EXPECT(!set_ints_check(bytes_of(block, sizeof(block))));
}
