/* hash: where a key lives. XXH3-64 with the store's secret over namespace and key.
 *
 * The secret is drawn once when a store is made, so that nobody outside can aim keys at one
 * slot. The top ten bits of a hash name its partition; the rest orders keys within it.
 * Source: XXH3, https://xxhash.com. Thread: any; a hash_secret is constant once made.
 */
#ifndef BASIN_ENGINE_BASE_HASH_H
#define BASIN_ENGINE_BASE_HASH_H

#include "engine/base/bytes.h"

#define HASH_SECRET_SIZE 192
#define PARTITION_BITS 10
#define PARTITION_COUNT (1u << PARTITION_BITS)

struct hash_secret {
    unsigned char bytes[HASH_SECRET_SIZE];
};

uint64_t hash_key(const struct hash_secret *secret, uint32_t namespace_id, struct bytes key);

static inline unsigned hash_partition(uint64_t hash)
{
    return (unsigned)(hash >> (64 - PARTITION_BITS));
}

/* XXH3-64 of an element of a value, with a seed drawn from the store's secret. */
uint64_t hash_element(struct bytes element, uint64_t seed);

/* Plain XXH3-64, for checksums. */
uint64_t hash_checksum(struct bytes bytes);
/* The same with a seed: equal bytes in another place then fail. */
uint64_t hash_checksum_seeded(struct bytes bytes, uint64_t seed);

/* XXH3-128 with a seed, low half first, little-endian: a short name for long bytes. */
#define HASH_NAME_SIZE 16
void hash_name(struct bytes bytes, uint64_t seed, unsigned char *name_out);

#endif
