#include "src/net/input.h"
#include "tests/lib/test.h"

#include <stdlib.h>

/* Puts size bytes of the running count behind what is there, as a read does. */
static void receive(struct input *input, size_t size, unsigned char *count)
{
    for (size_t i = 0; i < size; i++) {
        input->data[input->size++] = (char)(*count)++;
    }
}

TEST(input_lends_its_buffer_and_takes_it_back_when_nothing_is_pending)
{
    struct input_pool pool = {0};
    struct input input = {0};
    EXPECT(input_room(&input, &pool, 0) == ST_OK);
    EXPECT_INT(input.capacity, INPUT_SIZE);
    input.size = input.start = 100;
    input_settle(&input, &pool);
    EXPECT(input.data == NULL);
    EXPECT_INT(pool.count, 1);
    input_pool_deinit(&pool);
}

TEST(input_keeps_the_beginning_of_a_request_in_as_little_as_it_needs)
{
    struct input_pool pool = {0};
    struct input input = {0};
    unsigned char count = 0;
    EXPECT(input_room(&input, &pool, 0) == ST_OK);
    receive(&input, 130, &count);
    input.start = 100;
    input_settle(&input, &pool);
    EXPECT_INT(input.capacity, 30);
    EXPECT_INT(input_pending(&input), 30);
    EXPECT_INT((unsigned char)input.data[input.start], 100);
    EXPECT(input_room(&input, &pool, 500) == ST_OK);
    EXPECT_INT(input_pending(&input), 30);
    EXPECT_INT((unsigned char)input.data[input.start], 100);
    EXPECT_INT(input.capacity, INPUT_SIZE);
    input_clear(&input, &pool);
    input_pool_deinit(&pool);
}

/* A client that announces half a gigabyte costs what it sends, and at most four times that. */
TEST(input_grows_only_with_what_has_arrived)
{
    struct input_pool pool = {0};
    struct input input = {0};
    size_t needed = (size_t)64 << 20;
    size_t grown = 0;
    while (input.size < needed) {
        size_t before = input.capacity;
        EXPECT(input_room(&input, &pool, needed) == ST_OK);
        EXPECT(input.capacity > input.size);
        EXPECT(input.capacity <= INPUT_SIZE || input.capacity <= 4 * input.size);
        EXPECT(input.capacity <= needed);
        grown += input.capacity != before;
        size_t room = input.capacity - input.size;
        input.size += room < 50000 ? room : 50000;
        input_settle(&input, &pool);
    }
    EXPECT_INT(input.capacity, needed); /* Exactly: the next request starts afresh. */
    EXPECT(grown < 16);
    input.start = input.size;
    input_settle(&input, &pool);
    EXPECT(input.data == NULL);
    input_pool_deinit(&pool);
}

TEST(input_holds_the_bytes_that_arrived_whatever_is_run_in_between)
{
    uint64_t random = test_seed();
    struct input_pool pool = {0};
    struct input input = {0};
    unsigned char arrived = 0;
    unsigned char run = 0;
    for (int step = 0; step < 20000; step++) {
        size_t needed = test_random_below(&random, 8) == 0 ? 300000 : 0;
        EXPECT(input_room(&input, &pool, needed) == ST_OK);
        EXPECT(input.size < input.capacity);
        size_t room = input.capacity - input.size;
        receive(&input, 1 + test_random_below(&random, room < 9000 ? room : 9000), &arrived);
        size_t take = test_random_below(&random, input_pending(&input) + 1);
        take = test_random_below(&random, 4) == 0 ? input_pending(&input) : take;
        for (size_t i = 0; i < take; i++) {
            EXPECT_INT((unsigned char)input.data[input.start], run);
            input.start++;
            run++;
        }
        input_settle(&input, &pool);
    }
    input_clear(&input, &pool);
    input_pool_deinit(&pool);
}
