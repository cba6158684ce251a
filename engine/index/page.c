#include "engine/index/page.h"

#include "engine/base/check.h"

static uint64_t checksum(const unsigned char *page, uint32_t stratum, uint32_t number)
{
    return hash_checksum_seeded(bytes_of(page + 8, PAGE_SIZE_BYTES - 8),
                                (uint64_t)stratum << 32 | number);
}

void page_seal(unsigned char *page, uint32_t stratum, uint32_t number, unsigned rows,
               size_t rows_size)
{
    CHECK(rows_size <= PAGE_ROOM && rows <= UINT16_MAX);
    memset(page + PAGE_HEADER_SIZE + rows_size, 0, PAGE_ROOM - rows_size);
    store_u32(page + 8, number);
    store_u16(page + 12, (uint16_t)rows);
    store_u16(page + 14, (uint16_t)rows_size);
    store_u64(page, checksum(page, stratum, number));
}

enum status page_open(const unsigned char *page, uint32_t stratum, uint32_t number,
                      struct bytes *rows_out)
{
    size_t size = load_u16(page + 14);
    if (load_u64(page) != checksum(page, stratum, number) || load_u32(page + 8) != number ||
        size > PAGE_ROOM) {
        return ST_CORRUPT;
    }
    *rows_out = bytes_of(page + PAGE_HEADER_SIZE, size);
    return ST_OK;
}

/* Moves to the first row with a place that is not below. False: a row is malformed. */
static bool skip_below(struct bytes *rows, uint64_t place)
{
    while (rows->size >= sizeof(place) && load_u64(rows->data) < place) {
        if (!row_skip(rows)) {
            return false;
        }
    }
    return true;
}

enum status page_find(struct bytes rows, const struct row *wanted, struct row *row_out,
                      bool *found_out, bool *more_out)
{
    struct row row;
    *found_out = false;
    *more_out = false;
    if (!skip_below(&rows, wanted->place)) {
        return ST_CORRUPT;
    }
    while (rows.size > 0) {
        if (!row_take(&rows, &row)) {
            return ST_CORRUPT;
        }
        if (row.place > wanted->place) {
            return ST_OK;
        }
        if (row_same(&row, wanted)) {
            *row_out = row;
            *found_out = true;
            return ST_OK;
        }
        *more_out = rows.size == 0 && row.place == wanted->place;
    }
    return ST_OK;
}
