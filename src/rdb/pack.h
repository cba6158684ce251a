/* pack: the blocks in which Redis keeps small values, read element by element.
 *
 *   listpack  u32 size, u16 count (65535: not known), then elements, 0xff. An element: its first
 *             bits say what it is (7-bit integer; text up to 63 bytes; 13-bit integer; text up to
 *             4095; text with u32 size; integers of 16, 24, 32, 64 bits), its bytes, and the length
 *             of the two in 1 to 5 bytes that can be read from behind.
 *   ziplist   u32 size, u32 offset of the last element, u16 count (65535: not known), then
 *             elements, 0xff. An element: the size of the one before (u8, or 0xfe and u32), what it
 *             is, its bytes.
 *   zipmap    u8 count (254 and more: not known), then keys and values by turns, 0xff. Each: its
 *             size (u8, or 0xfe and u32); of a value the count of unused bytes behind it; its
 * bytes. intset    u32 width (2, 4, 8), u32 count, then ascending integers.
 *
 * All little-endian, but for the sizes in a ziplist's headers and in a listpack's 12-bit text.
 * Integers are given as decimal text. Everything a block says about itself is verified, so that
 * what was read to its end is what a writer would have written.
 * Thread: none of this is shared. Memory: none; elements are lent by the block, or by the pack
 * until the next element.
 */
#ifndef BASIN_SRC_RDB_PACK_H
#define BASIN_SRC_RDB_PACK_H

#include "engine/base/bytes.h"

enum pack_kind { PACK_LISTPACK, PACK_ZIPLIST, PACK_ZIPMAP, PACK_INTSET };

struct pack {
    enum pack_kind kind;
    struct bytes block;
    size_t offset;      /* Of the next element. */
    uint64_t count;     /* As the header says; UINT64_MAX: not known. */
    uint64_t taken;     /* Elements so far. */
    size_t previous;    /* Ziplist: bytes of the element before. */
    uint32_t last;      /* Ziplist: offset of the last element, by the header. */
    uint32_t width;     /* Intset. */
    int64_t last_value; /* Intset: of the element before. */
    char text[INT64_TEXT_MAX];
};

/* Borrows the block until the last pack_next. ST_CORRUPT: its header makes no sense. */
enum status pack_open(struct pack *pack, enum pack_kind kind, struct bytes block);
/* *found_out false: that was all, and header and end agree. ST_CORRUPT: broken. */
enum status pack_next(struct pack *pack, struct bytes *element_out, bool *found_out);
/* The next element, which must be there. */
enum status pack_take(struct pack *pack, struct bytes *element_out);
/* … and must be an integer. */
enum status pack_take_int64(struct pack *pack, int64_t *value_out);

/* -- Writing listpacks ----------------------------------------------------------------------- */

/* Appends to out; nothing else may be appended until listpack_end, which ends the element count
 * and the size. */
struct listpack {
    struct buf *out;
    size_t start;
    uint64_t count;
};

#define LISTPACK_HEADER_SIZE 6
/* No element or block comes near the 4 GiB that its header can say. */
#define LISTPACK_ELEMENT_MAX (1u << 30)

enum status listpack_begin(struct listpack *listpack, struct buf *out);
/* Text that reads as an integer becomes one. ST_LIMIT: over LISTPACK_ELEMENT_MAX. */
enum status listpack_add(struct listpack *listpack, struct bytes element);
enum status listpack_add_int64(struct listpack *listpack, int64_t value);
/* Appends all elements of another that has not been ended and has a buffer of its own. */
enum status listpack_join(struct listpack *listpack, const struct listpack *other);
size_t listpack_size(const struct listpack *listpack); /* So far. */
/* ST_LIMIT: the block has passed 4 GiB. */
enum status listpack_end(struct listpack *listpack);

#endif
