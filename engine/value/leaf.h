/* leaf: the parts at the bottom of a clast, a few hundred elements, in one of three forms.
 *
 *   0 u8 PART_KIND_LEAF, u8 form, u16 count, u16 low, u16 used, u16 payload, u16 overflows
 *
 *   slotted, tagged
 *   12 tags, u8 each, only in a tagged leaf; one more if their count is odd
 *   …  slots, u16 each: offset of the entry, its highest bit set if it is an overflow
 *   …  free
 *   low … LEAF_CAPACITY entries, in any order: varint size and bytes;
 *      or u32 number of a part, u64 and u64 the mark of the element there
 *
 *   dense
 *   12 codes, u8 each: the element's size; 254: a size of 16 bits begins the entry; 255: an
 * overflow …  free low … LEAF_CAPACITY entries without gaps, the first at the end: bytes; u16 size
 * and bytes; or u32 number of a part
 *
 * Slots are in order, entries need not be: removed entries leave holes until the leaf is packed
 * anew. A slot gives any element at once, by bisection. In a tagged leaf a byte of each element's
 * hash lies before the slots: a search looks through them first and meets one element in 256 that
 * it did not look for. They lie next to the header, so that it waits for memory once.
 *
 * A dense leaf is for order by position, where nothing is bisected: a byte an element instead of
 * three, and who looks for an element reads the codes of all, and only those of its size.
 *
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
/* What slots, tags, codes and entries may take together. */
#define LEAF_ROOM (LEAF_CAPACITY - LEAF_HEADER_SIZE - 1)
/* The smallest entry is an empty element: the bound for all forms, and for tagged leaves. */
#define LEAF_COUNT_MAX LEAF_ROOM
#define LEAF_TAGGED_COUNT_MAX (LEAF_ROOM / 4)

/* Numbers are on disk later. */
enum leaf_form { LEAF_SLOTTED = 0, LEAF_TAGGED = 1, LEAF_DENSE = 2 };

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
struct part *leaf_new(enum leaf_form form);
size_t leaf_count(const struct part *leaf);
/* How many of its entries are overflows. */
size_t leaf_overflows(const struct part *leaf);
/* Bytes taken of LEAF_ROOM, holes not counted. */
size_t leaf_used(const struct part *leaf);
/* Sum of the inline elements' sizes. */
size_t leaf_payload(const struct part *leaf);

/* Bytes of LEAF_ROOM that the entry takes in a leaf of this form, with all that belongs to it. */
size_t leaf_cost(enum leaf_form form, struct leaf_entry entry);
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
/* The same of the neighbour of one that leaf_at or this gave for `slot`: cheaper where the form
 * asks for adding up. The neighbour is there. */
struct leaf_entry leaf_after(const struct part *leaf, size_t slot, struct leaf_entry entry);
struct leaf_entry leaf_before(const struct part *leaf, size_t slot, struct leaf_entry entry);
/* Of a dense leaf: the first slot from `slot` on, or the last up to it if backwards, whose element
 * may equal one of this size: it has the size, or is an overflow. count: none. */
size_t leaf_find_size(const struct part *leaf, size_t slot, bool backwards, size_t size);
/* The first slot from `slot` on with this tag, or count. */
size_t leaf_find_tag(const struct part *leaf, size_t slot, uint8_t tag);
/* slot ≤ count; leaf_used + leaf_cost ≤ LEAF_ROOM. The entry does not lie in this leaf. */
void leaf_insert(struct part *leaf, size_t slot, struct leaf_entry entry);
/* Fills an empty leaf: first the count of entries to come, then each of them, slot after slot. They
 * fit. */
void leaf_open(struct part *leaf, size_t count);
void leaf_fill(struct part *leaf, size_t slot, struct leaf_entry entry);
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
