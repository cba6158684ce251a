/* leaf: the parts at the bottom of a clast, a few hundred elements.
 *
 *   0 u8 PART_KIND_LEAF, u8 tagged, u16 count, u16 low, u16 used, u16 payload, u16 overflows
 *   12 tags, u8 each, only in a tagged leaf; one more if their count is odd
 *   …  slots, u16 each: offset of the entry, its highest bit set if it is an overflow
 *   …  free
 *   low … LEAF_CAPACITY entries, in any order: varint size and bytes;
 *      or u32 number of a part, u64 and u64 the mark of the element there
 *
 * Slots are in order, entries need not be: so an insertion at either end moves slots only, and
 * removed entries leave holes until the leaf is packed anew. A slot gives any element at once, by
 * position or by bisection. In a tagged leaf a byte of each element's hash lies before the slots:
 * a search looks through them first and meets one element in 256 that it did not look for. They lie
 * next to the header, so that it waits for memory once.
 * Nothing here touches the part table: numbers of overflow parts pass through, and their marks make
 * the order of the leaf known without them.
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
/* What slots, tags and entries may take together. */
#define LEAF_ROOM (LEAF_CAPACITY - LEAF_HEADER_SIZE - 1)
/* The smallest entry is an empty element. */
#define LEAF_COUNT_MAX (LEAF_ROOM / 3)

#define LEAF_NO_OVERFLOW UINT32_MAX

/* Where an element lies in its tree's order; see clast.h. */
struct mark {
    uint64_t high, low;
};

static inline int mark_compare(struct mark a, struct mark b)
{
    return a.high != b.high ? (a.high > b.high) - (a.high < b.high)
                            : (a.low > b.low) - (a.low < b.low);
}

struct leaf_entry {
    struct bytes element; /* Inline bytes, if overflow is LEAF_NO_OVERFLOW. */
    uint32_t overflow;    /* Or the number of the overflow part … */
    struct mark mark;     /* … and the element's mark. */
    uint8_t tag;          /* In a tagged leaf. */
};

/* Given, empty. NULL: no memory. */
struct part *leaf_new(bool tagged);
size_t leaf_count(const struct part *leaf);
/* How many of its entries are overflows. */
size_t leaf_overflows(const struct part *leaf);
/* Bytes taken of LEAF_ROOM, holes not counted. */
size_t leaf_used(const struct part *leaf);
/* Sum of the inline elements' sizes. */
size_t leaf_payload(const struct part *leaf);

/* Bytes of LEAF_ROOM that the entry takes, with its slot and, in a tagged leaf, its tag. */
size_t leaf_cost(bool tagged, struct leaf_entry entry);
/* The same of one that lies there. */
size_t leaf_cost_at(const struct part *leaf, size_t slot);

/* slot < count. Inline bytes are lent until the leaf changes. */
struct leaf_entry leaf_at(const struct part *leaf, size_t slot);
/* Asks for the memory of a leaf's first bytes: header, slots, tags. As much as those of elements of
 * some 30 bytes take (sorted), or of some 12 (tagged). */
#define LEAF_SORTED_FETCH 256
#define LEAF_TAGGED_FETCH 512
static inline void leaf_prefetch_slots(const struct part *leaf, size_t size)
{
    for (size_t offset = 0; offset < size; offset += 64) {
        __builtin_prefetch(leaf->data + offset);
    }
}
/* Asks for the memory of an entry that will be looked at soon. */
void leaf_prefetch(const struct part *leaf, size_t slot);
/* The first slot from `slot` on with this tag, or count. */
size_t leaf_find_tag(const struct part *leaf, size_t slot, uint8_t tag);
/* slot ≤ count; leaf_used + leaf_cost ≤ LEAF_ROOM. The entry does not lie in this leaf. */
void leaf_insert(struct part *leaf, size_t slot, struct leaf_entry entry);
/* Puts an inline element of the same size in the place of another. */
void leaf_overwrite(struct part *leaf, size_t slot, struct bytes element);
void leaf_remove(struct part *leaf, size_t slot, size_t count);
/* Takes all entries out. */
void leaf_clear(struct part *leaf);
/* Moves entries [slot, slot + count) of one leaf to to_slot of another, where there is room. */
void leaf_move(struct part *from, size_t slot, size_t count, struct part *to, size_t to_slot);

/* Whether everything lies where it may. Also fit for bytes that were not written here. */
bool leaf_verify(const struct part *leaf);

#endif
