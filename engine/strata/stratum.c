#include "engine/strata/stratum_private.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/index/bloom.h"

#include <stdlib.h>

enum status stratum_corrupt(const struct stratum *stratum, uint64_t offset, const char *what)
{
    log_line(LOG_WARNING, "%s: corrupt stratum at offset %llu: %s", stratum->path,
             (unsigned long long)offset, what);
    return ST_CORRUPT;
}

enum status stratum_read_exactly(const struct stratum *stratum, uint64_t offset, void *data,
                                 size_t size)
{
    size_t got;
    enum status status = io_file_read(stratum->file, data, size, offset, &got);
    if (status != ST_OK) {
        return status;
    }
    return got == size ? ST_OK : stratum_corrupt(stratum, offset + got, "the file ends too early");
}

/* -- Opening ----------------------------------------------------------------------------------- */

static void facts_fill(struct stratum *stratum, const struct stratum_footer *footer)
{
    stratum->layout = stratum_layout_of(footer);
    stratum->filter_blocks = footer->filter_blocks;
    stratum->facts = (struct stratum_facts){
        .id = footer->id,
        .file_size = stratum->layout.file_size,
        .grains_end = footer->grains_end,
        .grain_count = footer->grain_count,
        .row_count = footer->row_count,
        .page_count = footer->page_count,
        .least_lsn = footer->least_lsn,
        .greatest_lsn = footer->greatest_lsn,
        .first_place = footer->first_place,
        .last_place = footer->last_place,
    };
}

/* Header and footer. block: room for one. */
static enum status read_ends(struct stratum *stratum, uint32_t store, uint32_t id,
                             unsigned char *block, struct stratum_footer *footer_out)
{
    uint64_t size;
    enum status status = io_file_size(stratum->file, &size);
    if (status != ST_OK) {
        return status;
    }
    if (size < STRATUM_GRAINS_START + STRATUM_BLOCK || size % STRATUM_BLOCK != 0) {
        return stratum_corrupt(stratum, size, "the file ends too early");
    }
    status = stratum_read_exactly(stratum, 0, block, STRATUM_BLOCK);
    if (status != ST_OK) {
        return status;
    }
    const char *fault = stratum_header_fault(block, store, id);
    if (fault != NULL) {
        return stratum_corrupt(stratum, 0, fault);
    }
    uint64_t end = size - STRATUM_BLOCK;
    status = stratum_read_exactly(stratum, end, block, STRATUM_BLOCK);
    if (status != ST_OK) {
        return status;
    }
    fault = stratum_footer_load(block, store, id, size, footer_out);
    if (fault != NULL) {
        return stratum_corrupt(stratum, end, fault);
    }
    facts_fill(stratum, footer_out);
    return ST_OK;
}

/* Reads a section of so many bytes and believes it once its checksum held (S3). */
static enum status read_section(const struct stratum *stratum, uint64_t offset, size_t size,
                                uint64_t checksum, unsigned char **section_out)
{
    unsigned char *section = stratum_allocate(size);
    if (section == NULL) {
        return ST_NOMEM;
    }
    enum status status = stratum_read_exactly(stratum, offset, section, stratum_round_up(size));
    if (status == ST_OK && hash_checksum(bytes_of(section, size)) != checksum) {
        status = stratum_corrupt(stratum, offset, "the checksum of a section does not match");
    }
    if (status != ST_OK) {
        free(section);
        return status;
    }
    *section_out = section;
    return ST_OK;
}

static bool directory_ascends(const struct stratum *stratum)
{
    const struct stratum_facts *facts = &stratum->facts;
    for (uint32_t i = 1; i < facts->page_count; i++) {
        if (stratum->directory[i] < stratum->directory[i - 1]) {
            return false;
        }
    }
    return facts->page_count == 0 ||
           (stratum->directory[0] >= facts->first_place &&
            stratum->directory[facts->page_count - 1] == facts->last_place);
}

static enum status read_run(struct stratum *stratum, const struct stratum_footer *footer)
{
    size_t directory_size = (size_t)footer->page_count * 8;
    size_t filter_size = (size_t)footer->filter_blocks * BLOOM_BLOCK_SIZE;
    unsigned char *directory;
    enum status status = read_section(stratum, stratum->layout.directory, directory_size,
                                      footer->directory_checksum, &directory);
    if (status != ST_OK) {
        return status;
    }
    stratum->directory = (uint64_t *)directory;
    if (!directory_ascends(stratum)) {
        return stratum_corrupt(stratum, stratum->layout.directory, "the directory descends");
    }
    status = read_section(stratum, stratum->layout.filter, filter_size, footer->filter_checksum,
                          &stratum->filter);
    stratum->facts.memory = stratum_round_up(directory_size) + stratum_round_up(filter_size);
    stratum->has_run = status == ST_OK;
    return status;
}

static void release(struct stratum *stratum)
{
    io_file_close(stratum->file);
    free(stratum->directory);
    free(stratum->filter);
    free(stratum);
}

enum status stratum_open(struct io *io, const char *dir, uint32_t store, uint32_t id, bool with_run,
                         struct stratum **stratum_out)
{
    struct stratum_footer footer;
    unsigned char *block = stratum_allocate(STRATUM_BLOCK);
    struct stratum *stratum = calloc(1, sizeof(*stratum) + STRATUM_PATH_MAX);
    enum status status = block == NULL || stratum == NULL ? ST_NOMEM : ST_OK;
    if (status != ST_OK) {
        goto done;
    }
    stratum->io = io;
    atomic_init(&stratum->references, 1);
    status = stratum_path(stratum->path, dir, id, true);
    if (status == ST_OK) {
        status = io_file_open(io, stratum->path, IO_READ, &stratum->file);
    }
    if (status == ST_OK) {
        status = read_ends(stratum, store, id, block, &footer);
    }
    if (status == ST_OK && with_run) {
        status = read_run(stratum, &footer);
    }
    if (status == ST_OK) {
        *stratum_out = stratum;
        stratum = NULL;
    }
done:
    if (stratum != NULL) {
        release(stratum);
    }
    free(block);
    return status;
}

/* -- References -------------------------------------------------------------------------------- */

void stratum_ref(struct stratum *stratum)
{
    unsigned before = atomic_fetch_add_explicit(&stratum->references, 1, memory_order_relaxed);
    CHECK(before > 0);
}

/* The file is opened anew: for reading it was opened so that nobody writes by mistake. */
static void run_punch(struct stratum *stratum)
{
    struct io_file *file;
    if (io_file_open(stratum->io, stratum->path, IO_WRITE, &file) != ST_OK) {
        return; /* Logged; only space is lost. */
    }
    status_ignore(
        io_file_punch(file, stratum->layout.pages, stratum->layout.footer - stratum->layout.pages),
        "only space is lost");
    io_file_close(file);
}

/* S2: here the last reader has gone. */
static void last_unref(struct stratum *stratum)
{
    if (atomic_load_explicit(&stratum->doomed, memory_order_relaxed)) {
        status_ignore(io_unlink(stratum->io, stratum->path),
                      "no manifest names it: it is removed at the next start");
    } else if (atomic_load_explicit(&stratum->run_doomed, memory_order_relaxed)) {
        run_punch(stratum);
    }
    stratum_unref(stratum->successor);
    release(stratum);
}

void stratum_unref(struct stratum *stratum)
{
    if (stratum == NULL) {
        return;
    }
    /* What others did before their unref is seen by whoever closes. */
    unsigned before = atomic_fetch_sub_explicit(&stratum->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        last_unref(stratum);
    }
}

void stratum_succeed(struct stratum *stratum, struct stratum *bare)
{
    CHECK(stratum->successor == NULL && bare != stratum);
    stratum_ref(bare);
    stratum->successor = bare;
}

void stratum_doom(struct stratum *stratum)
{
    atomic_store_explicit(&stratum->doomed, true, memory_order_relaxed);
}

enum status stratum_unlink(struct io *io, const char *dir, uint32_t id)
{
    char path[STRATUM_PATH_MAX];
    enum status status = stratum_path(path, dir, id, true);
    return status == ST_OK ? io_unlink(io, path) : status;
}

void stratum_doom_run(struct stratum *stratum)
{
    atomic_store_explicit(&stratum->run_doomed, true, memory_order_relaxed);
}

const struct stratum_facts *stratum_facts(const struct stratum *stratum)
{
    return &stratum->facts;
}

struct io_file *stratum_file(const struct stratum *stratum)
{
    return stratum->file;
}

/* -- Reading ----------------------------------------------------------------------------------- */

uint32_t stratum_page_at(const struct stratum *stratum, uint64_t place)
{
    uint32_t low = 0;
    uint32_t high = stratum->facts.page_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (stratum->directory[middle] < place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool stratum_page_of(const struct stratum *stratum, uint64_t place, uint32_t *page_out)
{
    CHECK(stratum->has_run);
    if (place < stratum->facts.first_place || place > stratum->facts.last_place ||
        !bloom_ask(stratum->filter, stratum->filter_blocks, place)) {
        return false;
    }
    *page_out = stratum_page_at(stratum, place);
    return true;
}

uint64_t stratum_page_offset(const struct stratum *stratum, uint32_t page)
{
    CHECK(page < stratum->facts.page_count);
    return stratum->layout.pages + (uint64_t)page * PAGE_SIZE_BYTES;
}

enum status stratum_page_open(const struct stratum *stratum, uint32_t page,
                              const unsigned char *data, struct bytes *rows_out)
{
    enum status status = page_open(data, stratum->facts.id, page, rows_out);
    if (status == ST_CORRUPT) {
        return stratum_corrupt(stratum, stratum_page_offset(stratum, page),
                               "the checksum of a page does not match");
    }
    return status;
}

enum status stratum_read_page(struct stratum *stratum, uint32_t page, unsigned char *data,
                              struct bytes *rows_out)
{
    uint64_t offset = stratum_page_offset(stratum, page);
    CHECK(stratum->has_run && (uintptr_t)data % IO_ALIGNMENT_MAX == 0);
    enum status status = stratum_read_exactly(stratum, offset, data, PAGE_SIZE_BYTES);
    return status == ST_OK ? stratum_page_open(stratum, page, data, rows_out) : status;
}

enum status stratum_check_range(const struct stratum *stratum, uint64_t offset, size_t size)
{
    uint64_t end = stratum->facts.grains_end;
    if (offset < STRATUM_GRAINS_START || offset > end || size > end - offset) {
        return stratum_corrupt(stratum, offset, "a row points outside of the grains");
    }
    return ST_OK;
}

enum status stratum_read(struct stratum *stratum, uint64_t offset, void *data, size_t size)
{
    enum status status = stratum_check_range(stratum, offset, size);
    return status == ST_OK ? stratum_read_exactly(stratum, offset, data, size) : status;
}
