/* set_ints: sorted integers in one block, the smallest shape of a set.
 *
 *   block   0 u32: bit 31 set, bits 29 … 30 the width (0: 2, 1: 4, 2: 8 bytes), below them the
 * count 4 the integers, ascending, each once, little-endian, in that width
 *
 * All have the width that the widest needs when it comes; a block does not become narrower. Bit 31
 * tells it from a packed block (packed.h), whose count never reaches that far.
 * Thread: none of this is shared.
 */
#ifndef BASIN_ENGINE_VALUE_SET_INTS_H
#define BASIN_ENGINE_VALUE_SET_INTS_H

#include "engine/base/bytes.h"

#define SET_INTS_MARK (1u << 31)
#define SET_INTS_HEADER_SIZE 4
#define SET_INTS_COUNT_MAX ((1u << 29) - 1)

/* The block without integers, two bytes wide; lent forever. */
struct bytes set_ints_empty(void);
/* Whether a block of a set is one of these; block.size ≥ 4. */
static inline bool set_ints_is(struct bytes block)
{
    return (load_u32(block.data) & SET_INTS_MARK) != 0;
}
uint32_t set_ints_count(struct bytes block);
/* index < count. */
int64_t set_ints_at(struct bytes block, uint32_t index);
/* Where it is; if it is not there, where it belongs. By bisection. */
bool set_ints_find(struct bytes block, int64_t value, uint32_t *index_out);

/* Size of the block once it holds this one too. */
size_t set_ints_size_with(struct bytes block, int64_t value);
/* Puts a value that is not there where set_ints_find said; behind the block is room for what
 * set_ints_size_with says. */
void set_ints_insert(unsigned char *block, size_t size, uint32_t index, int64_t value);
/* Takes out the value at index < count; gives the new size. */
size_t set_ints_remove(unsigned char *block, size_t size, uint32_t index);

/* Header, size and order; for tests and CHECK_SLOW. */
bool set_ints_check(struct bytes block);

#endif
