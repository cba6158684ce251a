#include "engine/index/place.h"

#include "tests/lib/test.h"

#define ROUNDS 20000

TEST(place_of_keys_keeps_the_order_of_hashes_and_the_partition)
{
    uint64_t chance = test_seed();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t a = test_random(&chance);
        uint64_t near = a + test_random_below(&chance, 4);
        uint64_t b = i % 2 == 0 ? test_random(&chance) : near;
        EXPECT(a < b ? place_of_key(a) <= place_of_key(b) : place_of_key(a) >= place_of_key(b));
        EXPECT_INT(place_partition(place_of_key(a)), hash_partition(a));
        EXPECT((place_of_key(a) & PLACE_PART) == 0);
        EXPECT((a ^ b) <= 1 || place_of_key(a) != place_of_key(b));
    }
}

TEST(place_gives_the_least_hash_that_has_it)
{
    uint64_t chance = test_seed();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t hash = test_random(&chance);
        EXPECT(place_hash(place_of_key(hash)) == (hash & ~1ull));
        EXPECT(place_of_key(place_hash(place_of_key(hash))) == place_of_key(hash));
    }
}

TEST(place_of_parts_comes_after_all_keys_of_the_same_partition)
{
    uint64_t chance = test_seed();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t partition = test_random_below(&chance, PARTITION_COUNT);
        uint64_t top = partition << (64 - PARTITION_BITS);
        struct part_name name = {top | test_random_below(&chance, 1000),
                                 (uint32_t)test_random_below(&chance, 3),
                                 (uint32_t)test_random(&chance)};
        uint64_t place = place_of_part(name);
        EXPECT_INT(place_partition(place), partition);
        EXPECT(place > place_of_key(top | (UINT64_MAX >> PARTITION_BITS)));
    }
}

TEST(place_of_sixty_four_parts_in_a_row_is_in_a_row)
{
    uint64_t chance = test_seed();
    for (unsigned i = 0; i < 200; i++) {
        struct part_name name = {test_random(&chance), (uint32_t)test_random_below(&chance, 3),
                                 (uint32_t)test_random(&chance) & ~63u};
        uint64_t first = place_of_part(name);
        for (unsigned j = 1; j < 64; j++) {
            name.number++;
            EXPECT(place_of_part(name) == first + j);
        }
        name.number++;
        EXPECT(place_of_part(name) != first + 64);
    }
}
