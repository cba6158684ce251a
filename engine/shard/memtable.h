/* memtable: the keys of one partition, found by hash.
 *
 * Robin Hood open addressing over slots {hash, entry}; the home of a hash is its rank, capacity ×
 * (hash within the partition) / 2^54, and slots stand in exact order of their hash, so that table
 * order is hash order and a scan needs nothing but a hash to go on. Spare slots at the end instead
 * of wrap-around. Deletion shifts back. Full at 90 % it grows by about a quarter, a quarter full it
 * shrinks; a partition is 1/1024 of the store, so a growth step is short and needs no second table
 * for long. (The design had one table a shard, grown bit by bit; a table a partition moves whole
 * when shards are rebuilt, and lets every lookup see one table only.) Initial capacities differ a
 * little by partition so that not all grow at the same moment.
 *
 * A hash may occur more than once (other keys or namespaces); find compares namespace and key.
 * version moves with every insert, replace, remove and change of size: who holds an entry pointer
 * and sees the same version may still use it. Source: P. Celis, "Robin Hood Hashing", 1986; ordered
 * variant after O. Amble, D. Knuth, "Ordered hash tables", 1974. Thread: the holder of the shard.
 * Memory: 16 bytes a slot.
 */
#ifndef BASIN_ENGINE_SHARD_MEMTABLE_H
#define BASIN_ENGINE_SHARD_MEMTABLE_H

#include "engine/base/hash.h"
#include "engine/shard/doubts.h"
#include "engine/shard/entry.h"

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL: empty */
};

struct memtable {
    struct slot *slots; /* capacity + spare of them; NULL while never used */
    uint32_t capacity;
    uint32_t spare;
    uint32_t count;
    uint16_t partition;
    bool tight; /* The last slot that may be used is: an insert could run over the end. */
    uint64_t version;
    struct doubts doubts; /* The shard's: which of these entries are in doubt. */
};

void memtable_init(struct memtable *table, uint32_t partition);
void memtable_deinit(struct memtable *table); /* Frees slots and doubts, not the entries. */

/* The entry, lent until the version moves; NULL: not there. */
struct entry *memtable_find(const struct memtable *table, uint64_t hash, uint32_t namespace_id,
                            struct bytes key);
/* Brings the slots near a hash closer, for commands of many keys: prefetch all, then find all.
 * Among 2 M keys a find after it takes 0.12 instead of 0.16 µs. */
static inline void memtable_prefetch(const struct memtable *table, uint64_t hash)
{
    unsigned __int128 place = (unsigned __int128)(hash << PARTITION_BITS) * table->capacity;
    const struct slot *slot = table->slots + (size_t)(place >> 64);
    __builtin_prefetch(slot);
    __builtin_prefetch(slot + 4);
}

/* Room for one insert more, so that a change can be prepared before it is made. */
enum status memtable_reserve(struct memtable *table);
/* Inserts an entry whose key is not there. Needs a memtable_reserve since the last insert. */
void memtable_insert(struct memtable *table, uint64_t hash, struct entry *entry);
void memtable_replace(struct memtable *table, uint64_t hash, const struct entry *old,
                      struct entry *entry);
void memtable_remove(struct memtable *table, uint64_t hash, const struct entry *entry);

/* The first slot with hash ≥ from, at or after it in table order; NULL: none. The next slot of a
 * slot. Lent until the version moves. */
const struct slot *memtable_seek(const struct memtable *table, uint64_t from);
const struct slot *memtable_next(const struct memtable *table, const struct slot *slot);

uint64_t memtable_memory(const struct memtable *table); /* Of slots and doubts. */
/* Order, homes, counts; for tests and CHECK_SLOW. */
bool memtable_check(const struct memtable *table);

#endif
