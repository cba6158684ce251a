/* bloom: says of a place "certainly not in this run", without I/O.
 *
 * A split block Bloom filter: a place, mixed, names one block of 32 bytes and one bit in each of
 * its eight words. One absent place in 1,400 is called "perhaps there" (measured: 0.07 % at 18 bits
 * a row, 0.13 % at 16, 0.54 % at 12). Source: F. Putze, P. Sanders, J. Singler, "Cache-, Hash-
 * and Space-Efficient Bloom Filters", 2007; the block form is that of the Apache Parquet format.
 * Invariant B1: what was added is never called absent.
 * Thread: one adds; then any asks. Memory: 32 bytes a block; on disk as in memory, little-endian.
 */
#ifndef BASIN_ENGINE_INDEX_BLOOM_H
#define BASIN_ENGINE_INDEX_BLOOM_H

#include "engine/base/bytes.h"

#define BLOOM_BLOCK_SIZE 32
#define BLOOM_ROWS_A_BLOCK 14 /* 18.3 bits a row. */

/* For this many rows; at least 1. */
uint32_t bloom_blocks(uint64_t rows);
/* blocks: zeroed before the first add; aligned to 4. */
void bloom_add(unsigned char *blocks, uint32_t count, uint64_t place);
bool bloom_ask(const unsigned char *blocks, uint32_t count, uint64_t place);

#endif
