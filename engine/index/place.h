/* place: where a grain stands in every sorted sequence on disk.
 *
 *     bit 63 … 54   partition       the upper ten bits of the key's hash
 *     bit 53        0 key, 1 part   so that within a partition all keys come before all parts
 *     bit 52 … 0    keys: the rest of the hash but its lowest bit
 *                   parts: hash of (clast, table, number / 64), and number % 64 in the low six bits
 *
 * For keys the order of places is the order of hashes, so a walk over memory and disk side by side
 * needs no second order. Sixty-four parts with consecutive numbers stand together: a range of a
 * large list asks for one page of the index, not for sixty-four. Keys come first because a merge
 * learns from them which clasts are dead before it meets their parts.
 * A place is no identity: rows carry the key, or clast, table and number.
 */
#ifndef BASIN_ENGINE_INDEX_PLACE_H
#define BASIN_ENGINE_INDEX_PLACE_H

#include "engine/base/hash.h"

#define PLACE_PART (1ull << 53)
#define PLACE_LOW ((1ull << 53) - 1)

/* A part of a value on disk. The upper PARTITION_BITS of a clast id are its partition's number; the
 * rest is a counter of the store's. 0 is no clast. */
struct part_name {
    uint64_t clast;
    uint32_t table; /* One of the value's part tables. */
    uint32_t number;
};

static inline uint64_t place_of_key(uint64_t hash)
{
    uint64_t partition = hash >> (64 - PARTITION_BITS) << (64 - PARTITION_BITS);
    return partition | (hash >> 1 & PLACE_LOW);
}

/* The least hash of a key that has this place. */
static inline uint64_t place_hash(uint64_t place)
{
    uint64_t partition = place >> (64 - PARTITION_BITS) << (64 - PARTITION_BITS);
    return partition | (place & PLACE_LOW) << 1;
}

static inline unsigned place_partition(uint64_t place)
{
    return (unsigned)(place >> (64 - PARTITION_BITS));
}

/* Of a row that says that a clast or a table of it is dead: before all parts of the partition. */
static inline uint64_t place_of_end(uint64_t clast)
{
    return clast >> (64 - PARTITION_BITS) << (64 - PARTITION_BITS) | PLACE_PART;
}

static inline uint64_t place_of_part(struct part_name name)
{
    uint64_t group[2] = {name.clast, (uint64_t)name.table << 32 | name.number / 64};
    uint64_t hash = hash_checksum(bytes_of(group, sizeof(group)));
    uint64_t partition = name.clast >> (64 - PARTITION_BITS) << (64 - PARTITION_BITS);
    return partition | PLACE_PART | (hash & PLACE_LOW & ~63ull) | name.number % 64;
}

#endif
