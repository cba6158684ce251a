/* leaf: the parts at the bottom of a clast, a few hundred elements in order.
 *
 *   0 u8 PART_KIND_LEAF, u8 0, u16 count, u16 low, u16 used, u16 payload, u16 overflows
 *   12 slots, u16 each: offset of the entry, its highest bit set if it is an overflow
 *   …  free
 *   low … LEAF_CAPACITY entries, in any order: varint size and bytes; or u32 number of a part
 *
 * Slots are in order, entries need not be: so an insertion at either end moves slots only, and
 * removed entries leave holes until the leaf is packed anew. A slot gives any element at once, by
 * position, and later by bisection in trees that are ordered otherwise.
 * Nothing here touches the part table: numbers of overflow parts pass through.
 * Thread: none; the caller holds the part's only reference when it changes it.
 */
#ifndef BASIN_ENGINE_VALUE_LEAF_H
#define BASIN_ENGINE_VALUE_LEAF_H

#include "engine/value/part.h"

/* First byte of a part of a tree. Numbers are on disk later. */
enum part_kind { PART_KIND_LEAF = 1, PART_KIND_INNER = 2 };

/* With the part's header and the allocator's, exactly 4 KiB. */
#define LEAF_CAPACITY (4096 - 8 - sizeof(struct part))
#define LEAF_HEADER_SIZE 12
/* What slots and entries may take together. */
#define LEAF_ROOM (LEAF_CAPACITY - LEAF_HEADER_SIZE)

#define LEAF_NO_OVERFLOW UINT32_MAX

struct leaf_entry {
    struct bytes element; /* Inline bytes, if overflow is LEAF_NO_OVERFLOW. */
    uint32_t overflow;    /* Or the number of the overflow part. */
};

/* Given, empty. NULL: no memory. */
struct part *leaf_new(void);
size_t leaf_count(const struct part *leaf);
/* How many of its entries are overflows. */
size_t leaf_overflows(const struct part *leaf);
/* Bytes taken of LEAF_ROOM, holes not counted. */
size_t leaf_used(const struct part *leaf);
/* Sum of the inline elements' sizes. */
size_t leaf_payload(const struct part *leaf);

/* Bytes of LEAF_ROOM that the entry takes, its slot included. */
size_t leaf_cost(struct leaf_entry entry);
/* The same of one that lies there. */
size_t leaf_cost_at(const struct part *leaf, size_t slot);

/* slot < count. Inline bytes are lent until the leaf changes. */
struct leaf_entry leaf_at(const struct part *leaf, size_t slot);
/* slot ≤ count; leaf_used + leaf_cost ≤ LEAF_ROOM. The entry does not lie in this leaf. */
void leaf_insert(struct part *leaf, size_t slot, struct leaf_entry entry);
void leaf_remove(struct part *leaf, size_t slot, size_t count);
/* Moves entries [slot, slot + count) of one leaf to to_slot of another, where there is room. */
void leaf_move(struct part *from, size_t slot, size_t count, struct part *to, size_t to_slot);

/* Whether everything lies where it may. Also fit for bytes that were not written here. */
bool leaf_verify(const struct part *leaf);

#endif
