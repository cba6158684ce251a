#include "tests/lib/batch.h"

#include "engine/index/page.h"
#include "tests/lib/rows.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return (x->place > y->place) - (x->place < y->place);
}

static void rows_draw(struct batch *batch, uint64_t seed, uint64_t places)
{
    uint64_t chance = seed;
    for (unsigned i = 0; i < batch->count; i++) {
        uint64_t place = test_random(&chance);
        if (places > 0) {
            place = (1 + place % places) * (UINT64_MAX / (places + 2));
        }
        bool gone = test_random_below(&chance, 10) == 0;
        snprintf(batch->names[i], sizeof(batch->names[i]), "%u", i);
        batch->rows[i] = (struct row){.place = place,
                                      .kind = gone ? ROW_KEY_GONE : ROW_KEY,
                                      .key = bytes_of_text(batch->names[i])};
    }
    qsort(batch->rows, batch->count, sizeof(*batch->rows), by_place);
}

struct batch *batch_new(uint64_t seed, uint32_t id, unsigned count, uint64_t places,
                        size_t data_size)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    unsigned char *data = calloc(1, data_size + 1);
    EXPECT(batch != NULL && data != NULL);
    batch->rows = calloc(count + 1, sizeof(*batch->rows));
    batch->names = calloc(count + 1, sizeof(*batch->names));
    EXPECT(batch->rows != NULL && batch->names != NULL);
    batch->count = count;
    batch->id = id;
    batch->find_every = 1;
    batch->lsn_offset = seed % 1000000;
    rows_draw(batch, seed, places);
    for (unsigned i = 0; i < count; i++) {
        struct row *row = &batch->rows[i];
        if (row->kind == ROW_KEY_GONE) {
            continue;
        }
        memset(data, (int)i, data_size);
        struct grain grain = {.kind = GRAIN_KEY,
                              .lsn = batch->lsn_offset + i,
                              .key = row->key,
                              .data = bytes_of(data, data_size)};
        uint64_t offset = STRATUM_GRAINS_START + batch->grains.size;
        row->at = (struct location){id, (uint32_t)(offset / GRAIN_ALIGNMENT),
                                    (uint32_t)grain_size(&grain)};
        EXPECT_INT(grain_store(&grain, &batch->grains), ST_OK);
    }
    free(data);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch != NULL) {
        free(batch->rows);
        free(batch->names);
        buf_deinit(&batch->grains);
        free(batch);
    }
}

enum status batch_make_dirs(struct io *io)
{
    enum status status = io_dir_make(io, BATCH_DIR);
    if (status == ST_OK) {
        status = io_dir_make(io, BATCH_DIR "/strata");
    }
    if (status == ST_OK) {
        status = io_dir_sync(io, "/");
    }
    return status == ST_OK ? io_dir_sync(io, BATCH_DIR) : status;
}

/* -- Writing ----------------------------------------------------------------------------------- */

static enum status write_grain(struct stratum_writer *writer, const struct batch *batch,
                               unsigned index)
{
    const struct row *row = &batch->rows[index];
    uint64_t lsn = batch->lsn_offset + index;
    uint64_t offset = stratum_writer_offset(writer);
    if (row->kind == ROW_KEY_GONE) {
        return ST_OK;
    }
    EXPECT_INT(offset, (uint64_t)row->at.unit * GRAIN_ALIGNMENT);
    size_t size = (row->at.size + GRAIN_ALIGNMENT - 1) / GRAIN_ALIGNMENT * GRAIN_ALIGNMENT;
    struct bytes grain =
        bytes_slice(buf_bytes(&batch->grains), offset - STRATUM_GRAINS_START, size);
    enum status status = stratum_add_grains(writer, grain, 1, lsn, lsn);
    if (status == ST_FULL || status == ST_IO) {
        EXPECT_INT(stratum_writer_offset(writer), offset);
        status = stratum_add_grains(writer, grain, 1, lsn, lsn);
    }
    return status;
}

static enum status write_all(struct stratum_writer *writer, const struct batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        enum status status = write_grain(writer, batch, i);
        if (status != ST_OK) {
            return status;
        }
        EXPECT_INT(stratum_add_row(writer, &batch->rows[i]), ST_OK);
    }
    EXPECT_INT(stratum_writer_rows(writer), batch->count);
    bool dead;
    enum status status = stratum_writer_finish(writer, &dead);
    EXPECT(!dead || status == ST_IO);
    if (status != ST_OK) {
        bool was_dead = dead;
        status = stratum_writer_finish(writer, &dead);
        EXPECT(!was_dead || (dead && status == ST_IO));
    }
    return status;
}

enum status batch_write(const struct batch *batch, struct io *io, const char *dir)
{
    struct stratum_writer *writer = NULL;
    enum status status = stratum_writer_new(io, dir, BATCH_STORE, batch->id, &writer);
    if (status != ST_OK) {
        status = stratum_writer_new(io, dir, BATCH_STORE, batch->id, &writer);
    }
    if (status == ST_OK) {
        status = write_all(writer, batch);
        stratum_writer_free(writer);
    }
    return status;
}

/* -- Reading ----------------------------------------------------------------------------------- */

/* As the engine looks for a key. */
static enum status find(struct stratum *stratum, const struct row *wanted, struct row *row_out,
                        bool *found_out)
{
    static alignas(IO_ALIGNMENT_MAX) unsigned char data[PAGE_SIZE_BYTES];
    uint32_t page;
    *found_out = false;
    if (!stratum_page_of(stratum, wanted->place, &page)) {
        return ST_OK;
    }
    bool more = true;
    for (; more && page < stratum_facts(stratum)->page_count; page++) {
        struct bytes rows;
        enum status status = stratum_read_page(stratum, page, data, &rows);
        if (status == ST_OK) {
            status = page_find(rows, wanted, row_out, found_out, &more);
        }
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

static enum status check_grain(const struct batch *batch, unsigned index, struct stratum *stratum)
{
    const struct row *row = &batch->rows[index];
    struct grain grain;
    if (row->kind == ROW_KEY_GONE) {
        return ST_OK;
    }
    unsigned char *data = malloc(row->at.size);
    EXPECT(data != NULL);
    enum status status =
        stratum_read(stratum, (uint64_t)row->at.unit * GRAIN_ALIGNMENT, data, row->at.size);
    if (status == ST_OK) {
        status = grain_parse(bytes_of(data, row->at.size), &grain);
    }
    if (status == ST_OK) {
        EXPECT(bytes_equal(grain.key, row->key) && grain.lsn == batch->lsn_offset + index);
        EXPECT(grain.data.size == 0 || *(const unsigned char *)grain.data.data == (index & 0xff));
    }
    free(data);
    return status;
}

static enum status check_row(const struct batch *batch, unsigned index, struct stratum *stratum)
{
    struct row found;
    bool is_found;
    enum status status = find(stratum, &batch->rows[index], &found, &is_found);
    if (status != ST_OK) {
        return status;
    }
    EXPECT(is_found && rows_equal(&found, &batch->rows[index]));
    struct row absent = batch->rows[index];
    absent.namespace_id = 1;
    absent.place += index % 2;
    status = find(stratum, &absent, &found, &is_found);
    EXPECT(status != ST_OK || !is_found);
    return status;
}

static enum status check_walk(const struct batch *batch, struct stratum *stratum, unsigned from)
{
    struct stratum_cursor *cursor;
    uint64_t place = from < batch->count ? batch->rows[from].place : UINT64_MAX;
    while (from > 0 && batch->rows[from - 1].place == place) {
        from--;
    }
    enum status status = stratum_cursor_new(stratum, place, &cursor);
    EXPECT_INT(status, ST_OK);
    for (unsigned i = from; status == ST_OK; i++) {
        struct row row;
        bool found;
        status = stratum_cursor_next(cursor, &row, &found);
        if (status == ST_OK && !found) {
            EXPECT_INT(i, batch->count);
            break;
        }
        EXPECT(status != ST_OK || (i < batch->count && rows_equal(&row, &batch->rows[i])));
    }
    stratum_cursor_free(cursor);
    return status;
}

static void check_facts(const struct batch *batch, const struct stratum_facts *facts)
{
    unsigned count = batch->count;
    EXPECT_INT(facts->id, batch->id);
    EXPECT_INT(facts->row_count, count);
    EXPECT_INT(facts->grains_end, STRATUM_GRAINS_START + batch->grains.size);
    EXPECT(facts->first_place == (count == 0 ? UINT64_MAX : batch->rows[0].place));
    EXPECT(facts->last_place == (count == 0 ? 0 : batch->rows[count - 1].place));
    uint64_t least = UINT64_MAX;
    uint64_t greatest = 0;
    uint64_t grains = 0;
    for (unsigned i = 0; i < count; i++) {
        if (batch->rows[i].kind == ROW_KEY) {
            least = least == UINT64_MAX ? batch->lsn_offset + i : least;
            greatest = batch->lsn_offset + i;
            grains++;
        }
    }
    EXPECT_INT(facts->grain_count, grains);
    EXPECT(facts->least_lsn == least && facts->greatest_lsn == greatest);
}

enum status batch_check(const struct batch *batch, struct stratum *stratum)
{
    check_facts(batch, stratum_facts(stratum));
    enum status status = check_walk(batch, stratum, 0);
    for (unsigned i = 0; i < batch->count && status == ST_OK; i++) {
        status = check_grain(batch, i, stratum);
        if (status == ST_OK && i % batch->find_every == 0) {
            status = check_row(batch, i, stratum);
        }
    }
    for (unsigned i = 0; i < batch->count && status == ST_OK; i += 1 + batch->count / 5) {
        status = check_walk(batch, stratum, i);
    }
    return status;
}
