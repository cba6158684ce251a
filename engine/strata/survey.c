#include "engine/strata/survey.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/index/bloom.h"
#include "engine/strata/stratum_private.h"

#include <stdlib.h>

#define WINDOW_SIZE (1u << 20)

struct survey {
    struct io_file *file;
    struct survey_listener listener;
    uint32_t store, id;
    bool opens;      /* Header, footer and size are sound. */
    bool has_footer; /* The footer is. */
    struct stratum_footer footer;
    struct stratum_layout layout;
    struct stratum_facts facts;
    struct buf window; /* What lies from window_offset on. */
    uint64_t window_offset;
    unsigned char *page; /* Room for one. */
    /* Of the walk over rows: */
    uint64_t *directory; /* NULL: not sound. */
    unsigned char *filter;
    uint64_t row_count, last_place;
    bool in_gap;
};

static void fault(const struct survey *survey, uint64_t offset, uint64_t size, const char *what)
{
    survey->listener.fault(survey->listener.ctx, offset, size, what);
}

/* Lends `need` bytes from offset on, fewer where the file ends. */
static enum status window_at(struct survey *survey, uint64_t offset, size_t need,
                             struct bytes *bytes_out)
{
    struct buf *window = &survey->window;
    bool inside =
        offset >= survey->window_offset && offset + need <= survey->window_offset + window->size;
    if (!inside) {
        size_t size = need < WINDOW_SIZE ? WINDOW_SIZE : need;
        size_t got = 0;
        window->size = 0;
        enum status status = buf_reserve(window, size);
        if (status == ST_OK) {
            status = io_file_read(survey->file, window->data, size, offset, &got);
        }
        if (status != ST_OK) {
            return status;
        }
        window->size = got;
        survey->window_offset = offset;
    }
    size_t skip = (size_t)(offset - survey->window_offset);
    size_t left = window->size - skip;
    *bytes_out = bytes_of(window->data + skip, left < need ? left : need);
    return ST_OK;
}

/* -- Header and footer ------------------------------------------------------------------------- */

static bool block_newer(struct bytes block, const char *fault_text)
{
    const unsigned char *p = block.data;
    return fault_text != NULL && block.size == STRATUM_BLOCK &&
           load_u64(p) == hash_checksum(bytes_of(p + 8, STRATUM_BLOCK - 8)) &&
           load_u32(p + 16) > STRATUM_VERSION && memcmp(p + 8, "BASIN", 5) == 0;
}

static enum status judge_header(struct survey *survey, bool *newer_out)
{
    struct bytes block;
    enum status status = window_at(survey, 0, STRATUM_BLOCK, &block);
    if (status != ST_OK) {
        return status;
    }
    const char *text = block.size < STRATUM_BLOCK
                           ? "the file ends too early"
                           : stratum_header_fault(block.data, survey->store, survey->id);
    *newer_out = block_newer(block, text);
    if (text != NULL) {
        survey->opens = false;
        fault(survey, 0, 0, text);
    }
    return ST_OK;
}

static enum status judge_footer(struct survey *survey, bool *newer_out)
{
    uint64_t size = survey->facts.file_size;
    uint64_t end =
        size < STRATUM_BLOCK ? 0 : (size - STRATUM_BLOCK) / STRATUM_BLOCK * STRATUM_BLOCK;
    struct bytes block;
    enum status status = window_at(survey, end, STRATUM_BLOCK, &block);
    if (status != ST_OK) {
        return status;
    }
    const char *text = "the file ends too early";
    if (block.size == STRATUM_BLOCK && size % STRATUM_BLOCK == 0 && end >= STRATUM_GRAINS_START) {
        text = stratum_footer_load(block.data, survey->store, survey->id, size, &survey->footer);
    }
    *newer_out = *newer_out || block_newer(block, text);
    survey->has_footer = text == NULL;
    if (text != NULL) {
        survey->opens = false;
        fault(survey, end, 0, text);
    }
    return ST_OK;
}

/* What the footer says, or as much as follows from the manifest. */
static void facts_fill(struct survey *survey, uint64_t grains_end)
{
    if (!survey->has_footer) {
        uint64_t size = survey->facts.file_size;
        grains_end = grains_end < STRATUM_GRAINS_START ? STRATUM_GRAINS_START : grains_end;
        survey->facts.grains_end = grains_end < size ? grains_end : size;
        survey->layout.pages = stratum_round_up(survey->facts.grains_end);
        survey->layout.footer = size / STRATUM_BLOCK * STRATUM_BLOCK;
        return;
    }
    const struct stratum_footer *footer = &survey->footer;
    survey->layout = stratum_layout_of(footer);
    survey->facts.grains_end = footer->grains_end;
    survey->facts.grain_count = footer->grain_count;
    survey->facts.row_count = footer->row_count;
    survey->facts.page_count = footer->page_count;
    survey->facts.least_lsn = footer->least_lsn;
    survey->facts.greatest_lsn = footer->greatest_lsn;
    survey->facts.first_place = footer->first_place;
    survey->facts.last_place = footer->last_place;
    if (footer->grains_end != grains_end) {
        fault(survey, survey->layout.footer, 0,
              "footer and manifest differ on where the grains end");
    }
}

enum status survey_open(struct io *io, const char *dir, uint32_t store, uint32_t id,
                        uint64_t grains_end, const struct survey_listener *listener,
                        struct survey **survey_out, bool *newer_out)
{
    char path[STRATUM_PATH_MAX];
    *newer_out = false;
    struct survey *survey = calloc(1, sizeof(*survey));
    if (survey == NULL) {
        return ST_NOMEM;
    }
    survey->listener = *listener;
    survey->store = store;
    survey->id = id;
    survey->facts.id = id;
    survey->opens = true;
    survey->page = stratum_allocate(STRATUM_BLOCK);
    enum status status = survey->page == NULL ? ST_NOMEM : stratum_path(path, dir, id, true);
    if (status == ST_OK) {
        status = io_file_open(io, path, IO_READ, &survey->file);
    }
    if (status == ST_OK) {
        status = io_file_size(survey->file, &survey->facts.file_size);
    }
    if (status == ST_OK) {
        status = judge_header(survey, newer_out);
    }
    if (status == ST_OK) {
        status = judge_footer(survey, newer_out);
    }
    if (status != ST_OK) {
        survey_close(survey);
        return status;
    }
    facts_fill(survey, grains_end);
    *survey_out = survey;
    return ST_OK;
}

void survey_close(struct survey *survey)
{
    if (survey == NULL) {
        return;
    }
    io_file_close(survey->file);
    buf_deinit(&survey->window);
    free(survey->page);
    free(survey->directory);
    free(survey->filter);
    free(survey);
}

bool survey_opens(const struct survey *survey)
{
    return survey->opens;
}

const struct stratum_facts *survey_facts(const struct survey *survey)
{
    return &survey->facts;
}

/* -- Grains ------------------------------------------------------------------------------------ */

/* The grain at an offset; *size_out 0: none that is sound. *claim_out: what its header says. */
static enum status grain_at(struct survey *survey, uint64_t offset, struct grain *grain_out,
                            uint32_t *size_out, uint32_t *claim_out, struct bytes *bytes_out)
{
    uint64_t left = survey->facts.grains_end - offset;
    *size_out = *claim_out = 0;
    if (left < GRAIN_HEADER_SIZE) {
        return ST_OK;
    }
    enum status status = window_at(survey, offset, GRAIN_HEADER_SIZE, bytes_out);
    if (status != ST_OK || bytes_out->size < GRAIN_HEADER_SIZE) {
        return status;
    }
    uint32_t claim = grain_peek_size(*bytes_out);
    if (claim == 0 || grain_padded(claim) > left) {
        return ST_OK;
    }
    *claim_out = claim;
    status = window_at(survey, offset, (size_t)grain_padded(claim), bytes_out);
    if (status == ST_OK && grain_parse(*bytes_out, grain_out) == ST_OK) {
        *size_out = claim;
    }
    return status;
}

static bool all_zeros(struct bytes bytes, size_t from)
{
    const unsigned char *p = bytes.data;
    for (size_t i = from; i < bytes.size; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Where the next sound grain stands; the end of the grains if none does. */
static enum status grain_search(struct survey *survey, uint64_t offset, uint32_t claim,
                                uint64_t *next_out)
{
    struct grain grain;
    struct bytes bytes;
    uint32_t size;
    uint32_t ignored;
    uint64_t end = survey->facts.grains_end;
    uint64_t next = offset + grain_padded(claim);
    enum status status = ST_OK;
    if (claim > 0) {
        *next_out = next;
        if (next == end) {
            return ST_OK;
        }
        status = grain_at(survey, next, &grain, &size, &ignored, &bytes);
        if (status != ST_OK || size > 0) {
            return status;
        }
    }
    for (next = offset + GRAIN_ALIGNMENT; next < end; next += GRAIN_ALIGNMENT) {
        status = grain_at(survey, next, &grain, &size, &ignored, &bytes);
        if (status != ST_OK || size > 0) {
            break;
        }
    }
    *next_out = next < end ? next : end;
    return status;
}

static enum status judge_grain_totals(const struct survey *survey, uint64_t count, uint64_t least,
                                      uint64_t greatest)
{
    const struct stratum_footer *footer = &survey->footer;
    if (survey->has_footer && (footer->grain_count != count || footer->least_lsn != least ||
                               footer->greatest_lsn != greatest)) {
        fault(survey, survey->layout.footer, 0, "the footer counts other grains than there are");
    }
    return ST_OK;
}

/* Between the last grain and the first page there are zeros. */
static enum status judge_grain_end(struct survey *survey)
{
    uint64_t end = survey->facts.grains_end;
    size_t size = (size_t)(survey->layout.pages - end);
    struct bytes bytes;
    enum status status = window_at(survey, end, size, &bytes);
    if (status == ST_OK && survey->has_footer && !all_zeros(bytes, 0)) {
        fault(survey, end, 0, "the padding behind the grains is not zero");
    }
    return status;
}

enum status survey_grains(struct survey *survey)
{
    uint64_t offset = STRATUM_GRAINS_START;
    uint64_t end = survey->facts.grains_end;
    uint64_t count = 0;
    uint64_t least = UINT64_MAX;
    uint64_t greatest = 0;
    bool whole = true;
    enum status status = ST_OK;
    while (offset < end && status == ST_OK) {
        struct grain grain;
        struct bytes bytes;
        uint32_t size;
        uint32_t claim;
        status = grain_at(survey, offset, &grain, &size, &claim, &bytes);
        if (status != ST_OK) {
            break;
        }
        if (size == 0) {
            uint64_t next;
            whole = false;
            status = grain_search(survey, offset, claim, &next);
            fault(survey, offset, next - offset, "no sound grain stands here");
            offset = next;
            continue;
        }
        if (!all_zeros(bytes, size)) {
            fault(survey, offset + size, 0, "the padding behind a grain is not zero");
        }
        count++;
        if (grain.kind == GRAIN_KEY) {
            least = grain.lsn < least ? grain.lsn : least;
            greatest = grain.lsn > greatest ? grain.lsn : greatest;
        }
        status = survey->listener.grain(survey->listener.ctx, offset, &grain, size);
        offset += grain_padded(size);
    }
    if (status == ST_OK && whole) {
        status = judge_grain_totals(survey, count, least, greatest);
    }
    return status == ST_OK ? judge_grain_end(survey) : status;
}

enum status survey_grain(struct survey *survey, uint64_t offset, uint32_t size,
                         struct bytes *bytes_out)
{
    enum status status = window_at(survey, offset, size, bytes_out);
    return status == ST_OK && bytes_out->size < size ? ST_CORRUPT : status;
}

/* -- Rows -------------------------------------------------------------------------------------- */

static enum status read_section(struct survey *survey, uint64_t offset, size_t size,
                                uint64_t checksum, const char *what, unsigned char **section_out)
{
    struct bytes bytes;
    size_t whole = (size_t)stratum_round_up(size);
    enum status status = window_at(survey, offset, whole, &bytes);
    if (status != ST_OK) {
        return status;
    }
    if (bytes.size < whole || hash_checksum(bytes_slice(bytes, 0, size)) != checksum) {
        fault(survey, offset, 0, what);
        return ST_OK;
    }
    if (!all_zeros(bytes, size)) {
        fault(survey, offset + size, 0, "the padding behind a section is not zero");
    }
    *section_out = stratum_allocate(size);
    if (*section_out == NULL) {
        return ST_NOMEM;
    }
    memcpy(*section_out, bytes.data, size);
    return ST_OK;
}

static enum status read_sections(struct survey *survey)
{
    unsigned char *directory = NULL;
    if (!survey->has_footer) {
        return ST_OK;
    }
    const struct stratum_footer *footer = &survey->footer;
    enum status status = read_section(survey, survey->layout.directory,
                                      (size_t)footer->page_count * 8, footer->directory_checksum,
                                      "the directory's checksum does not match", &directory);
    survey->directory = (uint64_t *)(void *)directory;
    if (status == ST_OK) {
        status = read_section(
            survey, survey->layout.filter, (size_t)footer->filter_blocks * BLOOM_BLOCK_SIZE,
            footer->filter_checksum, "the filter's checksum does not match", &survey->filter);
    }
    return status;
}

static enum status take_row(struct survey *survey, uint64_t offset, const struct row *row)
{
    if (row->place < survey->last_place) {
        fault(survey, offset, 0, "rows descend");
    }
    if (survey->filter != NULL &&
        !bloom_ask(survey->filter, survey->footer.filter_blocks, row->place)) {
        fault(survey, offset, 0, "the filter calls a row absent that is there");
    }
    if (survey->row_count == 0 && survey->has_footer && !survey->in_gap &&
        row->place != survey->footer.first_place) {
        fault(survey, offset, 0, "the first row has not the place that the footer says");
    }
    enum status status = ST_OK;
    if (survey->in_gap) {
        status = survey->listener.gap(survey->listener.ctx, survey->last_place, row->place);
        survey->in_gap = false;
    }
    survey->last_place = row->place;
    survey->row_count++;
    return status == ST_OK ? survey->listener.row(survey->listener.ctx, row) : status;
}

/* One page's rows; a bad page begins a gap that ends with the next row. */
static enum status take_page(struct survey *survey, uint32_t number, uint64_t offset)
{
    struct bytes rows;
    enum status status = ST_OK;
    if (page_open(survey->page, survey->id, number, &rows) != ST_OK) {
        survey->in_gap = true;
        if (survey->has_footer) {
            fault(survey, offset, PAGE_SIZE_BYTES, "a page's checksum does not match");
        }
        return ST_OK;
    }
    unsigned count = 0;
    while (rows.size > 0 && status == ST_OK) {
        struct row row;
        if (!row_take(&rows, &row)) {
            fault(survey, offset, rows.size, "a row is malformed");
            survey->in_gap = true;
            return ST_OK;
        }
        count++;
        status = take_row(survey, offset, &row);
    }
    if (count != load_u16(survey->page + 12)) {
        fault(survey, offset, 0, "a page counts other rows than it has");
    }
    if (survey->directory != NULL && survey->directory[number] != survey->last_place) {
        fault(survey, offset, 0, "the directory names another last place than the page has");
    }
    return status;
}

static enum status take_pages(struct survey *survey)
{
    uint64_t offset = survey->layout.pages;
    uint64_t end = survey->has_footer ? survey->layout.directory : survey->layout.footer;
    enum status status = ST_OK;
    for (uint32_t number = 0; offset < end && status == ST_OK; number++) {
        struct bytes bytes;
        status = window_at(survey, offset, PAGE_SIZE_BYTES, &bytes);
        if (status == ST_OK) {
            memset(survey->page, 0, PAGE_SIZE_BYTES);
            memcpy(survey->page, bytes.data, bytes.size);
            status = take_page(survey, number, offset);
        }
        offset += PAGE_SIZE_BYTES;
    }
    return status;
}

enum status survey_rows(struct survey *survey)
{
    survey->row_count = survey->last_place = 0;
    survey->in_gap = false;
    enum status status = read_sections(survey);
    if (status == ST_OK) {
        status = take_pages(survey);
    }
    if (status != ST_OK) {
        return status;
    }
    if (survey->in_gap || !survey->has_footer) {
        return survey->listener.gap(survey->listener.ctx, survey->last_place, UINT64_MAX);
    }
    const struct stratum_footer *footer = &survey->footer;
    uint64_t last_place = footer->row_count == 0 ? 0 : footer->last_place;
    if (survey->row_count != footer->row_count || survey->last_place != last_place) {
        fault(survey, survey->layout.footer, 0, "the footer counts other rows than there are");
    }
    return ST_OK;
}
