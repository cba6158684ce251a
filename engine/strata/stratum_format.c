#include "engine/strata/stratum_private.h"

#include "engine/index/bloom.h"

#include <stdio.h>
#include <stdlib.h>

#define MAGIC_SIZE 8
static const char header_magic[MAGIC_SIZE] = "BASINSTR";
static const char footer_magic[MAGIC_SIZE] = "BASINEND";

/* No row is shorter. */
#define ROW_SIZE_MIN 24

enum status stratum_path(char *path, const char *dir, uint32_t id, bool finished)
{
    int size = snprintf(path, STRATUM_PATH_MAX, "%s/strata/%08x.%s", dir, id,
                        finished ? "stratum" : "tmp");
    return size > 0 && size < STRATUM_PATH_MAX ? ST_OK : ST_LIMIT;
}

unsigned char *stratum_allocate(uint64_t size)
{
    uint64_t whole = size == 0 ? STRATUM_BLOCK : stratum_round_up(size);
    unsigned char *memory = aligned_alloc(STRATUM_BLOCK, whole);
    if (memory != NULL) {
        memset(memory + size, 0, whole - size);
    }
    return memory;
}

struct stratum_layout stratum_layout_of(const struct stratum_footer *footer)
{
    struct stratum_layout layout;
    layout.pages = stratum_round_up(footer->grains_end);
    layout.directory = layout.pages + (uint64_t)footer->page_count * PAGE_SIZE_BYTES;
    layout.filter = layout.directory + stratum_round_up((uint64_t)footer->page_count * 8);
    layout.footer =
        layout.filter + stratum_round_up((uint64_t)footer->filter_blocks * BLOOM_BLOCK_SIZE);
    layout.file_size = layout.footer + STRATUM_BLOCK;
    return layout;
}

/* -- What header and footer have in common ----------------------------------------------------- */

static void block_begin(unsigned char *block, const char *magic, uint32_t store, uint32_t id)
{
    memset(block, 0, STRATUM_BLOCK);
    memcpy(block + 8, magic, MAGIC_SIZE);
    store_u32(block + 16, STRATUM_VERSION);
    store_u32(block + 20, id);
    store_u32(block + 24, store);
}

static void block_end(unsigned char *block)
{
    store_u64(block, hash_checksum(bytes_of(block + 8, STRATUM_BLOCK - 8)));
}

static const char *block_fault(const unsigned char *block, const char *magic, uint32_t store,
                               uint32_t id)
{
    if (memcmp(block + 8, magic, MAGIC_SIZE) != 0) {
        return "no stratum's header or footer stands here";
    }
    if (load_u64(block) != hash_checksum(bytes_of(block + 8, STRATUM_BLOCK - 8))) {
        return "the checksum of the header or footer does not match";
    }
    if (load_u32(block + 16) != STRATUM_VERSION) {
        return "its version is not known to this server; use the one that wrote it";
    }
    if (load_u32(block + 20) != id) {
        return "it is another stratum of this store";
    }
    return load_u32(block + 24) == store ? NULL : "it belongs to another store";
}

void stratum_header_store(unsigned char *block, uint32_t store, uint32_t id)
{
    block_begin(block, header_magic, store, id);
    block_end(block);
}

const char *stratum_header_fault(const unsigned char *block, uint32_t store, uint32_t id)
{
    return block_fault(block, header_magic, store, id);
}

/* -- Footer ------------------------------------------------------------------------------------ */

void stratum_footer_store(unsigned char *block, const struct stratum_footer *footer)
{
    struct stratum_layout layout = stratum_layout_of(footer);
    block_begin(block, footer_magic, footer->store, footer->id);
    store_u64(block + 32, footer->grains_end);
    store_u64(block + 40, footer->grain_count);
    store_u64(block + 48, layout.pages);
    store_u32(block + 56, footer->page_count);
    store_u32(block + 60, footer->filter_blocks);
    store_u64(block + 64, layout.directory);
    store_u64(block + 72, footer->row_count);
    store_u64(block + 80, footer->directory_checksum);
    store_u64(block + 88, footer->filter_checksum);
    store_u64(block + 96, footer->least_lsn);
    store_u64(block + 104, footer->greatest_lsn);
    store_u64(block + 112, footer->first_place);
    store_u64(block + 120, footer->last_place);
    block_end(block);
}

static bool counts_fit(const struct stratum_footer *footer, uint64_t file_size)
{
    uint64_t grains = footer->grains_end - STRATUM_GRAINS_START;
    uint64_t rows_max = (uint64_t)footer->page_count * (PAGE_ROOM / ROW_SIZE_MIN);
    return footer->grains_end >= STRATUM_GRAINS_START && footer->grains_end <= file_size &&
           footer->grains_end % GRAIN_ALIGNMENT == 0 &&
           footer->grain_count <= grains / GRAIN_HEADER_SIZE && footer->filter_blocks > 0 &&
           footer->row_count >= footer->page_count && footer->row_count <= rows_max;
}

const char *stratum_footer_load(const unsigned char *block, uint32_t store, uint32_t id,
                                uint64_t file_size, struct stratum_footer *footer_out)
{
    const char *fault = block_fault(block, footer_magic, store, id);
    if (fault != NULL) {
        return fault;
    }
    *footer_out = (struct stratum_footer){
        .id = id,
        .store = store,
        .grains_end = load_u64(block + 32),
        .grain_count = load_u64(block + 40),
        .page_count = load_u32(block + 56),
        .filter_blocks = load_u32(block + 60),
        .row_count = load_u64(block + 72),
        .directory_checksum = load_u64(block + 80),
        .filter_checksum = load_u64(block + 88),
        .least_lsn = load_u64(block + 96),
        .greatest_lsn = load_u64(block + 104),
        .first_place = load_u64(block + 112),
        .last_place = load_u64(block + 120),
    };
    if (!counts_fit(footer_out, file_size)) {
        return "the footer's counts contradict each other";
    }
    struct stratum_layout layout = stratum_layout_of(footer_out);
    bool fits = layout.file_size == file_size && layout.pages == load_u64(block + 48) &&
                layout.directory == load_u64(block + 64);
    return fits ? NULL : "the footer's sections do not fit the file";
}
