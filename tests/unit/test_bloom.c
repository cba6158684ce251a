#include "engine/index/bloom.h"

#include "engine/index/place.h"
#include "tests/lib/test.h"

#include <stdlib.h>

static unsigned char *filter_new(uint32_t count)
{
    unsigned char *blocks = calloc(count, BLOOM_BLOCK_SIZE);
    EXPECT(blocks != NULL);
    return blocks;
}

TEST(bloom_has_at_least_one_block_and_enough_bits_a_row)
{
    EXPECT_INT(bloom_blocks(0), 1);
    EXPECT_INT(bloom_blocks(1), 1);
    EXPECT_INT(bloom_blocks(14), 1);
    EXPECT_INT(bloom_blocks(15), 2);
    EXPECT_INT(bloom_blocks(1400000), 100000);
    EXPECT_INT(bloom_blocks(UINT64_MAX), UINT32_MAX);
}

/* B1 */
TEST(bloom_never_calls_absent_what_was_added)
{
    uint64_t chance = test_seed();
    for (unsigned round = 0; round < 200; round++) {
        uint64_t rows = 1 + test_random_below(&chance, 2000);
        /* Too small a filter makes no difference to this. */
        uint32_t count = bloom_blocks(round % 2 == 0 ? rows : rows / 10);
        unsigned char *blocks = filter_new(count);
        uint64_t first = test_random(&chance);
        uint64_t step = round % 3 == 0 ? 1 : test_random(&chance) | 1;
        for (uint64_t i = 0; i < rows; i++) {
            bloom_add(blocks, count, first + i * step);
        }
        for (uint64_t i = 0; i < rows; i++) {
            EXPECT(bloom_ask(blocks, count, first + i * step));
        }
        free(blocks);
    }
}

/* Absent ones of a million that are called "perhaps there" while a million others were added. */
static unsigned false_positives(uint32_t count, uint64_t (*place)(uint64_t *chance))
{
    uint64_t chance = test_seed();
    unsigned char *blocks = filter_new(count);
    for (unsigned i = 0; i < 1000000; i++) {
        bloom_add(blocks, count, place(&chance));
    }
    unsigned positives = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        positives += bloom_ask(blocks, count, place(&chance));
    }
    free(blocks);
    return positives;
}

static uint64_t place_of_any_key(uint64_t *chance)
{
    return place_of_key(test_random(chance));
}

/* All in one partition, as in a merged run; consecutive parts of many tables. */
static uint64_t place_of_any_part(uint64_t *chance)
{
    struct part_name name = {1 + test_random(chance) % 1000000000, 0,
                             (uint32_t)test_random_below(chance, 64)};
    return place_of_part(name);
}

/* Measured 0.07 % at 18 bits a row, 0.13 % at 16, 0.54 % at 12. */
TEST(bloom_calls_few_absent_places_perhaps_there)
{
    uint32_t usual = bloom_blocks(1000000);
    EXPECT(false_positives(usual, place_of_any_key) <= 1500);
    EXPECT(false_positives(usual, place_of_any_part) <= 1500);
    EXPECT(false_positives(usual / 3 * 2, place_of_any_key) <= 8000);
}

TEST(bloom_without_rows_calls_all_absent)
{
    unsigned char *blocks = filter_new(1);
    uint64_t chance = test_seed();
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT(!bloom_ask(blocks, 1, test_random(&chance)));
    }
    free(blocks);
}
