#include "engine/base/hash.h"

#include "tests/lib/test.h"

/* Published values: what is on disk must be found again by every later build. */
TEST(hash_of_nothing_is_what_xxh3_says)
{
    unsigned char name[HASH_NAME_SIZE];
    hash_name(BYTES_NONE, 0, name);
    EXPECT(hash_checksum(BYTES_NONE) == 0x2d06800538d394c2ull);
    EXPECT(load_u64(name) == 0x6001c324468d497full);
    EXPECT(load_u64(name + 8) == 0x99aa06d3014798d8ull);
}

TEST(hash_checksum_depends_on_bytes_and_seed)
{
    unsigned char data[4088] = {0};
    uint64_t chance = test_seed();
    for (unsigned i = 0; i < 500; i++) {
        size_t size = 1 + test_random_below(&chance, sizeof(data));
        struct bytes bytes = bytes_of(data, size);
        uint64_t seed = test_random(&chance);
        uint64_t plain = hash_checksum(bytes);
        uint64_t seeded = hash_checksum_seeded(bytes, seed);
        EXPECT(hash_checksum_seeded(bytes, 0) == plain);
        EXPECT(seeded != hash_checksum_seeded(bytes, seed + 1) && (seed == 0 || seeded != plain));
        data[test_random_below(&chance, size)] ^= 1;
        EXPECT(hash_checksum(bytes) != plain && hash_checksum_seeded(bytes, seed) != seeded);
    }
}
