#include "engine/index/bloom.h"

#include "engine/base/check.h"

#define WORDS (BLOOM_BLOCK_SIZE / 4)

/* Odd numbers; each picks one bit of its word from the same 32 bits. From the Apache Parquet
 * format. */
static const uint32_t salts[WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                      0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

uint32_t bloom_blocks(uint64_t rows)
{
    uint64_t blocks = rows / BLOOM_ROWS_A_BLOCK + (rows % BLOOM_ROWS_A_BLOCK != 0);
    blocks = blocks == 0 ? 1 : blocks;
    return blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
}

/* A run may hold few partitions, and parts stand close together: without mixing, the upper bits,
 * which choose the block, would be the same for many. */
static uint64_t mix(uint64_t place)
{
    place ^= place >> 33;
    place *= 0xff51afd7ed558ccdull;
    place ^= place >> 33;
    place *= 0xc4ceb9fe1a85ec53ull;
    return place ^ place >> 33;
}

static size_t block_offset(uint64_t mixed, uint32_t count)
{
    return (size_t)((mixed >> 32) * count >> 32) * BLOOM_BLOCK_SIZE;
}

static uint32_t word_bit(uint64_t mixed, unsigned word)
{
    return 1u << ((uint32_t)mixed * salts[word] >> 27);
}

void bloom_add(unsigned char *blocks, uint32_t count, uint64_t place)
{
    CHECK(count > 0);
    uint64_t mixed = mix(place);
    unsigned char *block = blocks + block_offset(mixed, count);
    for (unsigned i = 0; i < WORDS; i++) {
        store_u32(block + 4 * i, load_u32(block + 4 * i) | word_bit(mixed, i));
    }
}

bool bloom_ask(const unsigned char *blocks, uint32_t count, uint64_t place)
{
    CHECK(count > 0);
    uint64_t mixed = mix(place);
    const unsigned char *block = blocks + block_offset(mixed, count);
    uint32_t missing = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        missing |= word_bit(mixed, i) & ~load_u32(block + 4 * i);
    }
    return missing == 0;
}
