/* stratum_private: what writing, reading and walking a stratum know of each other.
 *
 *     stratum_format.c  header, footer, where the sections lie, names
 *     stratum_writer.c  a new file
 *     stratum.c         an open file: references, pages
 *     stratum_cursor.c  a walk over its rows
 *     stratum_copy.c    the file in another directory too
 */
#ifndef BASIN_ENGINE_STRATA_STRATUM_PRIVATE_H
#define BASIN_ENGINE_STRATA_STRATUM_PRIVATE_H

#include "engine/index/page.h"
#include "engine/strata/stratum.h"

#include <stdatomic.h>

#define STRATUM_BLOCK 4096 /* Header, footer, and what sections are multiples of. */
#define STRATUM_PATH_MAX 4096

static_assert(STRATUM_BLOCK >= IO_ALIGNMENT_MAX, "sections can be written and read directly");
static_assert(STRATUM_BLOCK == PAGE_SIZE_BYTES, "a page is a block");

/* The footer's content. */
struct stratum_footer {
    uint32_t id, store;
    uint64_t grains_end, grain_count;
    uint32_t page_count, filter_blocks;
    uint64_t row_count;
    uint64_t directory_checksum, filter_checksum;
    uint64_t least_lsn, greatest_lsn, first_place, last_place;
};

/* Where the sections begin: all follows from the footer's counts. */
struct stratum_layout {
    uint64_t pages, directory, filter, footer, file_size;
};

static inline uint64_t stratum_round_up(uint64_t size)
{
    return (size + STRATUM_BLOCK - 1) / STRATUM_BLOCK * STRATUM_BLOCK;
}

struct stratum_layout stratum_layout_of(const struct stratum_footer *footer);

/* Each fills or judges one block; a judgement gives what is wrong, or NULL. */
void stratum_header_store(unsigned char *block, uint32_t store, uint32_t id);
const char *stratum_header_fault(const unsigned char *block, uint32_t store, uint32_t id);
void stratum_footer_store(unsigned char *block, const struct stratum_footer *footer);
const char *stratum_footer_load(const unsigned char *block, uint32_t store, uint32_t id,
                                uint64_t file_size, struct stratum_footer *footer_out);

/* path holds STRATUM_PATH_MAX. ST_LIMIT: dir is longer than that. */
enum status stratum_path(char *path, const char *dir, uint32_t id, bool finished);

/* Aligned to STRATUM_BLOCK, a multiple of it and at least one; what lies behind size is zeroed.
 * free() it. NULL: no memory. */
unsigned char *stratum_allocate(uint64_t size);

struct stratum {
    struct io *io;
    struct io_file *file;
    struct stratum_facts facts;
    struct stratum_layout layout;
    uint32_t filter_blocks;
    bool has_run;
    uint64_t *directory; /* Last place of each page. */
    unsigned char *filter;
    atomic_uint references;
    atomic_bool doomed, run_doomed;
    struct stratum *successor; /* See stratum_succeed. */
    char path[];
};

/* Logs it and gives ST_CORRUPT. */
enum status stratum_corrupt(const struct stratum *stratum, uint64_t offset, const char *what);
/* Reads all of it; a file that is too short is corrupt. data, size and offset are multiples of
 * STRATUM_BLOCK but for grains. */
enum status stratum_read_exactly(const struct stratum *stratum, uint64_t offset, void *data,
                                 size_t size);
/* The first page whose last place is not below this one; page_count: none. */
uint32_t stratum_page_at(const struct stratum *stratum, uint64_t place);
/* Whether so many bytes can be grains. ST_CORRUPT is logged. */
enum status stratum_check_range(const struct stratum *stratum, uint64_t offset, size_t size);
/* Verifies a page that was read. */
enum status stratum_page_open(const struct stratum *stratum, uint32_t page,
                              const unsigned char *data, struct bytes *rows_out);

#endif
