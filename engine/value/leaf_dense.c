/* Leaves by position: a code for each element, and the elements without gaps.
 *
 * Where an entry lies follows from the sum of the codes before it. They are added up eight at a
 * time (a word holds the sums of 128 rounds before a lane could overflow), which for the some
 * hundred codes of a leaf takes about as long as one read of memory; leaves that hold long elements
 * go code by code.
 */
#include "engine/base/check.h"
#include "engine/value/leaf_private.h"

#define CODE_LONG 254u
#define CODE_OVERFLOW 255u
#define OVERFLOW_SIZE 4
#define LONG_HEAD 2

static uint8_t *codes(const struct part *leaf)
{
    return (uint8_t *)(uintptr_t)(leaf->data + LEAF_HEADER_SIZE);
}

static unsigned code_of(struct leaf_entry entry)
{
    return entry.overflow != LEAF_NO_OVERFLOW ? CODE_OVERFLOW
           : entry.element.size < CODE_LONG   ? (unsigned)entry.element.size
                                              : CODE_LONG;
}

/* Bytes of the entry's place among the entries. */
static size_t extent_of(struct leaf_entry entry)
{
    unsigned code = code_of(entry);
    return code == CODE_OVERFLOW ? OVERFLOW_SIZE
           : code == CODE_LONG   ? LONG_HEAD + entry.element.size
                                 : code;
}

size_t leaf_dense_cost(struct leaf_entry entry)
{
    return 1 + extent_of(entry);
}

/* How many codes are no sizes. */
static size_t escapes(const struct part *leaf)
{
    const struct leaf_header *head = leaf_header_of(leaf);
    size_t rest =
        LEAF_CAPACITY - head->low - head->payload - (size_t)head->overflows * OVERFLOW_SIZE;
    return head->overflows + rest / LONG_HEAD;
}

static size_t sum_of(const uint8_t *p, size_t count)
{
    static const uint64_t lanes = 0x00ff00ff00ff00ffull;
    size_t sum = 0;
    while (count >= 8) {
        size_t rounds = count / 8 < 128 ? count / 8 : 128;
        uint64_t words = 0;
        for (size_t i = 0; i < rounds; i++) {
            uint64_t word = load_u64(p + 8 * i);
            words += (word & lanes) + (word >> 8 & lanes);
        }
        sum += (words & 0xffff) + (words >> 16 & 0xffff) + (words >> 32 & 0xffff) + (words >> 48);
        p += 8 * rounds;
        count -= 8 * rounds;
    }
    for (; count > 0; count--) {
        sum += *p++;
    }
    return sum;
}

/* The extent of the entry whose code is given and that ends at `end`: its beginning must be known,
 * so entries of other kinds are found from the side of the first. */
static size_t start_after(const struct part *leaf, size_t end, unsigned code)
{
    if (code < CODE_LONG) {
        return end - code;
    }
    /* Of a long one the size stands at its end, next to the entry before. */
    return code == CODE_OVERFLOW ? end - OVERFLOW_SIZE
                                 : end - LONG_HEAD - load_u16(leaf->data + end - LONG_HEAD);
}

/* Where the entry at `slot` ends: that before it begins there. slot ≤ count. */
static size_t end_of(const struct part *leaf, size_t slot)
{
    const uint8_t *code = codes(leaf);
    if (escapes(leaf) == 0) {
        return LEAF_CAPACITY - sum_of(code, slot);
    }
    size_t end = LEAF_CAPACITY;
    for (size_t i = 0; i < slot; i++) {
        end = start_after(leaf, end, code[i]);
    }
    return end;
}

static struct leaf_entry entry_ending(const struct part *leaf, size_t slot, size_t end)
{
    unsigned code = codes(leaf)[slot];
    size_t start = start_after(leaf, end, code);
    struct leaf_entry entry = {.overflow = LEAF_NO_OVERFLOW};
    if (code == CODE_OVERFLOW) {
        entry.overflow = load_u32(leaf->data + start);
        entry.element = bytes_of(leaf->data + start, 0); /* Where it lies, for the neighbours. */
        return entry;
    }
    size_t head = code == CODE_LONG ? LONG_HEAD : 0;
    entry.element = bytes_of(leaf->data + start, end - start - head);
    return entry;
}

struct leaf_entry leaf_dense_at(const struct part *leaf, size_t slot)
{
    CHECK(slot < leaf_header_of(leaf)->count);
    return entry_ending(leaf, slot, end_of(leaf, slot));
}

struct leaf_entry leaf_dense_after(const struct part *leaf, size_t slot, struct leaf_entry entry)
{
    CHECK(slot + 1 < leaf_header_of(leaf)->count);
    size_t start = (size_t)((const unsigned char *)entry.element.data - leaf->data);
    return entry_ending(leaf, slot + 1, start);
}

struct leaf_entry leaf_dense_before(const struct part *leaf, size_t slot, struct leaf_entry entry)
{
    CHECK(slot > 0);
    unsigned code = codes(leaf)[slot - 1];
    if (code >= CODE_LONG) {
        return leaf_dense_at(leaf, slot - 1);
    }
    size_t end =
        (size_t)((const unsigned char *)entry.element.data - leaf->data) + extent_of(entry);
    return entry_ending(leaf, slot - 1, end + code);
}

size_t leaf_dense_cost_at(const struct part *leaf, size_t slot)
{
    unsigned code = codes(leaf)[slot];
    return code < CODE_LONG        ? 1 + code
           : code == CODE_OVERFLOW ? 1 + OVERFLOW_SIZE
                                   : leaf_dense_cost(leaf_dense_at(leaf, slot));
}

size_t leaf_find_size(const struct part *leaf, size_t slot, bool backwards, size_t size)
{
    const struct leaf_header *head = leaf_header_of(leaf);
    CHECK(head->form == LEAF_DENSE && slot < head->count);
    const uint8_t *code = codes(leaf);
    unsigned wanted = size < CODE_LONG ? (unsigned)size : CODE_LONG;
    /* An overflow is longer than any that lies here. */
    bool overflows = size >= CODE_LONG && head->overflows > 0;
    if (!backwards && !overflows) {
        const uint8_t *found = memchr(code + slot, (int)wanted, head->count - slot);
        return found == NULL ? head->count : (size_t)(found - code);
    }
    if (backwards && !overflows) {
        const uint8_t *found = memrchr(code, (int)wanted, slot + 1);
        return found == NULL ? head->count : (size_t)(found - code);
    }
    while (slot < head->count && code[slot] < CODE_LONG) {
        slot += backwards ? SIZE_MAX : 1;
    }
    return slot < head->count ? slot : head->count;
}

static void write_entry(unsigned char *p, struct leaf_entry entry)
{
    if (entry.overflow != LEAF_NO_OVERFLOW) {
        store_u32(p, entry.overflow);
        return;
    }
    if (entry.element.size > 0) {
        memcpy(p, entry.element.data, entry.element.size);
    }
    if (entry.element.size >= CODE_LONG) {
        store_u16(p + entry.element.size, (uint16_t)entry.element.size);
    }
}

/* Opens a gap of this extent and so many codes before the slot; gives the end of the gap. */
static size_t open_gap(struct part *leaf, size_t slot, size_t count, size_t extent)
{
    struct leaf_header *head = leaf_header_of(leaf);
    CHECK(slot <= head->count && head->used + count + extent <= LEAF_ROOM);
    size_t end = slot == head->count ? head->low : end_of(leaf, slot);
    memmove(leaf->data + head->low - extent, leaf->data + head->low, end - head->low);
    memmove(codes(leaf) + slot + count, codes(leaf) + slot, head->count - slot);
    head->low = (uint16_t)(head->low - extent);
    head->count = (uint16_t)(head->count + count);
    head->used = (uint16_t)(head->used + count + extent);
    return end;
}

void leaf_dense_insert(struct part *leaf, size_t slot, struct leaf_entry entry)
{
    struct leaf_header *head = leaf_header_of(leaf);
    size_t extent = extent_of(entry);
    size_t end = open_gap(leaf, slot, 1, extent);
    codes(leaf)[slot] = (uint8_t)code_of(entry);
    write_entry(leaf->data + end - extent, entry);
    if (entry.overflow != LEAF_NO_OVERFLOW) {
        head->overflows++;
    } else {
        head->payload = (uint16_t)(head->payload + entry.element.size);
    }
}

/* What a range holds, for the sums. */
struct range {
    size_t start, end, payload, overflows;
};

static struct range range_of(const struct part *leaf, size_t slot, size_t count)
{
    struct range range = {.end = end_of(leaf, slot)};
    range.start = range.end;
    for (size_t i = slot; i < slot + count; i++) {
        unsigned code = codes(leaf)[i];
        size_t start = start_after(leaf, range.start, code);
        size_t head = code == CODE_LONG ? LONG_HEAD : 0;
        range.overflows += code == CODE_OVERFLOW;
        range.payload += code == CODE_OVERFLOW ? 0 : range.start - start - head;
        range.start = start;
    }
    return range;
}

void leaf_dense_remove(struct part *leaf, size_t slot, size_t count)
{
    struct leaf_header *head = leaf_header_of(leaf);
    CHECK(slot <= head->count && count <= head->count - slot);
    struct range range = range_of(leaf, slot, count);
    size_t extent = range.end - range.start;
    memmove(leaf->data + head->low + extent, leaf->data + head->low, range.start - head->low);
    memmove(codes(leaf) + slot, codes(leaf) + slot + count, head->count - slot - count);
    head->low = (uint16_t)(head->low + extent);
    head->count = (uint16_t)(head->count - count);
    head->used = (uint16_t)(head->used - count - extent);
    head->payload = (uint16_t)(head->payload - range.payload);
    head->overflows = (uint16_t)(head->overflows - range.overflows);
}

void leaf_dense_move(struct part *from, size_t slot, size_t count, struct part *to, size_t to_slot)
{
    struct leaf_header *head = leaf_header_of(to);
    struct range range = range_of(from, slot, count);
    size_t extent = range.end - range.start;
    size_t end = open_gap(to, to_slot, count, extent);
    memcpy(to->data + end - extent, from->data + range.start, extent);
    memcpy(codes(to) + to_slot, codes(from) + slot, count);
    head->payload = (uint16_t)(head->payload + range.payload);
    head->overflows = (uint16_t)(head->overflows + range.overflows);
    leaf_dense_remove(from, slot, count);
}

bool leaf_dense_verify(const struct part *leaf)
{
    const struct leaf_header *head = leaf_header_of(leaf);
    if ((size_t)LEAF_HEADER_SIZE + head->count > head->low || head->low > LEAF_CAPACITY) {
        return false;
    }
    size_t end = LEAF_CAPACITY;
    size_t payload = 0;
    size_t overflows = 0;
    for (size_t i = 0; i < head->count; i++) {
        unsigned code = codes(leaf)[i];
        size_t extent = code == CODE_OVERFLOW ? OVERFLOW_SIZE : code;
        if (code == CODE_LONG) {
            if (end - head->low < LONG_HEAD) {
                return false;
            }
            size_t size = load_u16(leaf->data + end - LONG_HEAD);
            extent = LONG_HEAD + size;
            payload += size;
            if (size < CODE_LONG) {
                return false;
            }
        } else if (code == CODE_OVERFLOW) {
            overflows++;
        } else {
            payload += code;
        }
        if (extent > end - head->low) {
            return false;
        }
        end -= extent;
    }
    return end == head->low && payload == head->payload && overflows == head->overflows &&
           head->used == head->count + (LEAF_CAPACITY - head->low) && head->used <= LEAF_ROOM;
}
