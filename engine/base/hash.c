#include "engine/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static_assert(HASH_SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "XXH3 asks for a longer secret");

uint64_t hash_key(const struct hash_secret *secret, uint32_t namespace_id, struct bytes key)
{
    uint64_t hash = XXH3_64bits_withSecret(key.data, key.size, secret->bytes, HASH_SECRET_SIZE);
    /* The namespace is stirred in afterwards: hashing it with the key would need a copy. The
     * multiplier is odd, so distinct namespaces of one key never meet. */
    hash ^= (uint64_t)namespace_id * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93ull;
    hash ^= hash >> 32;
    return hash;
}

uint64_t hash_element(struct bytes element, uint64_t seed)
{
    return XXH3_64bits_withSeed(element.data, element.size, seed);
}

uint64_t hash_checksum(struct bytes bytes)
{
    return XXH3_64bits(bytes.data, bytes.size);
}

uint64_t hash_checksum_seeded(struct bytes bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

void hash_name(struct bytes bytes, uint64_t seed, unsigned char *name_out)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.size, seed);
    store_u64(name_out, hash.low64);
    store_u64(name_out + 8, hash.high64);
}
