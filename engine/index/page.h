/* page: 4 KiB of rows in ascending order of place, the unit in which the index is read.
 *
 * Page, little-endian:
 *      0 u64 checksum   XXH3-64 of bytes 8 … 4096, seeded by stratum and number, so that no page
 *                       passes for another
 *      8 u32 number     in its run
 *     12 u16 rows       14 u16 size of the rows in bytes
 *     16 rows, then zeros
 *
 * Rows with equal places may run over into the next pages.
 * Thread: any.
 */
#ifndef BASIN_ENGINE_INDEX_PAGE_H
#define BASIN_ENGINE_INDEX_PAGE_H

#include "engine/index/row.h"

#define PAGE_SIZE_BYTES 4096
#define PAGE_HEADER_SIZE 16
#define PAGE_ROOM (PAGE_SIZE_BYTES - PAGE_HEADER_SIZE)

/* Writes the header and zeroes the rest; rows_size bytes of rows stand at PAGE_HEADER_SIZE. */
void page_seal(unsigned char *page, uint32_t stratum, uint32_t number, unsigned rows,
               size_t rows_size);
/* Verifies, and lends the rows. ST_CORRUPT: not this page of this stratum as it was written. */
enum status page_open(const unsigned char *page, uint32_t stratum, uint32_t number,
                      struct bytes *rows_out);
/* The first row with this place that `wanted` is about (row_same); rows as page_open gave them.
 * *more_out: none here, and the place may go on in the next page. ST_CORRUPT: a row is malformed.
 */
enum status page_find(struct bytes rows, const struct row *wanted, struct row *row_out,
                      bool *found_out, bool *more_out);

#endif
