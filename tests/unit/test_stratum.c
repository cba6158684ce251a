/* Strata on the simulated disk and on a real one. Which call fails: test_stratum_faults.c. */
#include "engine/strata/stratum.h"

#include "engine/base/log.h"
#include "engine/index/page.h"
#include "tests/lib/batch.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_ONE BATCH_DIR "/strata/00000001.stratum"
#define BLOCK 4096

/* Every byte where time allows; one thread's work tells the thread sanitizer nothing. */
#ifdef __SANITIZE_THREAD__
#define BYTE_STEP 31
#else
#define BYTE_STEP 1
#endif

/* A disk with a batch, which has id 1, as a finished stratum. */
struct scene {
    struct batch *batch;
    struct sim_disk *disk;
};

/* Takes the batch. */
static struct scene scene_begin(struct batch *batch)
{
    struct scene scene = {batch, sim_disk_new(test_seed())};
    EXPECT_INT(batch_make_dirs(sim_disk_io(scene.disk)), ST_OK);
    EXPECT_INT(batch_write(batch, sim_disk_io(scene.disk), BATCH_DIR), ST_OK);
    return scene;
}

static void scene_end(struct scene *scene)
{
    sim_disk_free(scene->disk);
    batch_free(scene->batch);
}

static enum status open_one(struct sim_disk *disk, bool with_run, struct stratum **stratum_out)
{
    return stratum_open(sim_disk_io(disk), BATCH_DIR, BATCH_STORE, 1, with_run, stratum_out);
}

static enum status open_and_check(struct sim_disk *disk, const struct batch *batch)
{
    struct stratum *stratum;
    enum status status = open_one(disk, true, &stratum);
    if (status == ST_OK) {
        status = batch_check(batch, stratum);
        stratum_unref(stratum);
    }
    return status;
}

static bool name_is_there(struct io *io, const char *name)
{
    struct io_name *names;
    size_t count;
    bool there = false;
    EXPECT_INT(io_dir_list(io, BATCH_DIR "/strata", &names, &count), ST_OK);
    for (size_t i = 0; i < count; i++) {
        there |= strcmp(names[i].text, name) == 0;
    }
    free(names);
    return there;
}

/* -- What was written is there ----------------------------------------------------------------- */

TEST(stratum_gives_every_row_and_grain_after_a_power_cut)
{
    static const unsigned counts[] = {0, 1, 2, 120, 1000, 20000};
    for (unsigned i = 0; i < 6; i++) {
        struct scene scene = scene_begin(batch_new(test_seed() + i, 1, counts[i], 0, 3 * i));
        sim_disk_set_crash(scene.disk, SIM_CRASH_LOSE_ALL);
        sim_disk_crash(scene.disk);
        scene.batch->find_every = 1 + counts[i] / 1500;
        EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_OK);
        scene_end(&scene);
    }
}

TEST(stratum_finds_rows_whose_place_runs_over_many_pages)
{
    static const unsigned places[] = {1, 2, 5, 40};
    for (unsigned i = 0; i < 4; i++) {
        struct scene scene = scene_begin(batch_new(test_seed() + i, 1, 2000, places[i], 10));
        scene.batch->find_every = 3;
        EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_OK);
        scene_end(&scene);
    }
}

TEST(stratum_with_grains_larger_than_the_buffer_gives_them_back)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 7, 0, (5u << 20) / 2 + 13));
    EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_OK);
    scene_end(&scene);
}

TEST(stratum_on_a_real_disk_gives_every_row_and_grain)
{
    static const enum io_road roads[] = {IO_ROAD_AUTO, IO_ROAD_PLAIN};
    char path[256];
    snprintf(path, sizeof(path), "%s/strata", test_dir());
    for (uint32_t i = 0; i < 2; i++) {
        struct io *io;
        struct stratum *stratum;
        struct batch *batch = batch_new(test_seed(), 1 + i, 20000, 0, 200);
        batch->find_every = 10;
        EXPECT_INT(io_new(roads[i], &io), ST_OK);
        EXPECT_INT(io_dir_make(io, path), ST_OK);
        EXPECT_INT(batch_write(batch, io, test_dir()), ST_OK);
        EXPECT_INT(stratum_open(io, test_dir(), BATCH_STORE, 1 + i, true, &stratum), ST_OK);
        EXPECT_INT(batch_check(batch, stratum), ST_OK);
        stratum_unref(stratum);
        io_free(io);
        batch_free(batch);
    }
}

TEST(stratum_without_its_run_gives_grains)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 10, 0, 50));
    struct stratum *stratum;
    EXPECT_INT(open_one(scene.disk, false, &stratum), ST_OK);
    unsigned char data[GRAIN_HEADER_SIZE];
    EXPECT_INT(stratum_facts(stratum)->memory, 0);
    EXPECT_INT(stratum_facts(stratum)->row_count, 10);
    EXPECT_INT(stratum_read(stratum, STRATUM_GRAINS_START, data, sizeof(data)), ST_OK);
    EXPECT(memcmp(data, scene.batch->grains.data, sizeof(data)) == 0);
    stratum_unref(stratum);
    scene_end(&scene);
}

TEST(stratum_is_absent_until_it_was_finished)
{
    struct batch *batch = batch_new(test_seed(), 1, 10, 0, 50);
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    struct stratum_writer *writer;
    struct stratum *stratum;
    bool dead;
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    EXPECT_INT(stratum_writer_new(io, BATCH_DIR, BATCH_STORE, 1, &writer), ST_OK);
    EXPECT_INT(open_one(disk, true, &stratum), ST_ABSENT);
    EXPECT(name_is_there(io, "00000001.tmp"));
    stratum_writer_free(writer);
    EXPECT(!name_is_there(io, "00000001.tmp"));
    EXPECT_INT(stratum_writer_new(io, BATCH_DIR, BATCH_STORE, 1, &writer), ST_OK);
    EXPECT_INT(stratum_writer_finish(writer, &dead), ST_OK);
    stratum_writer_free(writer);
    EXPECT_INT(open_one(disk, true, &stratum), ST_OK);
    stratum_unref(stratum);
    stratum_writer_free(NULL);
    stratum_unref(NULL);
    stratum_cursor_free(NULL);
    sim_disk_free(disk);
    batch_free(batch);
}

TEST(stratum_writer_replaces_what_a_crash_left_under_its_name)
{
    struct batch *batch = batch_new(test_seed(), 1, 10, 0, 50);
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    struct io_file *file;
    char junk[300] = "junk";
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    EXPECT_INT(io_file_open(io, BATCH_DIR "/strata/00000001.tmp", IO_WRITE, &file), ST_OK);
    EXPECT_INT(io_file_write(file, junk, sizeof(junk), 1 << 20), ST_OK);
    io_file_close(file);
    EXPECT_INT(batch_write(batch, io, BATCH_DIR), ST_OK);
    EXPECT_INT(open_and_check(disk, batch), ST_OK);
    sim_disk_free(disk);
    batch_free(batch);
}

TEST(stratum_refuses_grains_that_a_row_cannot_point_to)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    struct stratum_writer *writer;
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    EXPECT_INT(stratum_writer_new(io, BATCH_DIR, BATCH_STORE, 1, &writer), ST_OK);
    struct bytes large = {NULL, STRATUM_GRAINS_END_MAX - STRATUM_GRAINS_START + 8};
    EXPECT_INT(stratum_add_grains(writer, large, 1, 1, 1), ST_LIMIT);
    EXPECT_INT(stratum_writer_offset(writer), STRATUM_GRAINS_START);
    stratum_writer_free(writer);
    sim_disk_free(disk);
}

/* -- A full disk --------------------------------------------------------------------------------
 */

/* The first of several writes of one call goes well, the next finds the disk full: what had been
 * added before stays as it was, in the middle of a block that is written again. */
TEST(stratum_takes_large_grains_whole_or_not_at_all)
{
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    struct stratum_writer *writer;
    size_t large_size = (7u << 20) / 2;
    unsigned char *data = malloc(large_size);
    struct buf small = BUF_EMPTY;
    struct buf large = BUF_EMPTY;
    bool dead;
    EXPECT(data != NULL);
    memset(data, 'x', large_size);
    struct grain grain = {.kind = GRAIN_PART, .part = {1, 2, 3}, .data = bytes_of(data, 9000)};
    EXPECT_INT(grain_store(&grain, &small), ST_OK);
    memset(data, 'y', large_size);
    grain.data.size = large_size;
    EXPECT_INT(grain_store(&grain, &large), ST_OK);
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    log_set_file("/dev/null");
    EXPECT_INT(stratum_writer_new(io, BATCH_DIR, BATCH_STORE, 1, &writer), ST_OK);
    struct buf expected = BUF_EMPTY;
    for (unsigned buffers = 0; buffers < 4; buffers++) {
        EXPECT_INT(stratum_add_grains(writer, buf_bytes(&small), 1, UINT64_MAX, 0), ST_OK);
        EXPECT_INT(buf_append(&expected, buf_bytes(&small)), ST_OK);
        uint64_t offset = stratum_writer_offset(writer);
        EXPECT(offset % BLOCK != 0);
        sim_disk_set_space(disk, offset + buffers * (1u << 20));
        EXPECT_INT(stratum_add_grains(writer, buf_bytes(&large), 1, UINT64_MAX, 0), ST_FULL);
        EXPECT_INT(stratum_writer_offset(writer), offset);
        EXPECT_INT(stratum_add_grains(writer, buf_bytes(&small), 1, UINT64_MAX, 0), ST_OK);
        EXPECT_INT(buf_append(&expected, buf_bytes(&small)), ST_OK);
        sim_disk_set_space(disk, UINT64_MAX);
        EXPECT_INT(stratum_add_grains(writer, buf_bytes(&large), 1, UINT64_MAX, 0), ST_OK);
        EXPECT_INT(buf_append(&expected, buf_bytes(&large)), ST_OK);
    }
    log_set_file(NULL);
    EXPECT_INT(stratum_writer_finish(writer, &dead), ST_OK);
    stratum_writer_free(writer);
    unsigned char *found = malloc(expected.size);
    EXPECT(found != NULL);
    EXPECT_INT(sim_disk_read_raw(disk, FILE_ONE, found, expected.size, BLOCK), expected.size);
    EXPECT(memcmp(found, expected.data, expected.size) == 0);
    free(found);
    free(data);
    buf_deinit(&small);
    buf_deinit(&large);
    buf_deinit(&expected);
    sim_disk_free(disk);
}

/* Space comes a little at a time: calls fail again and again, at every stage. */
TEST(stratum_is_whole_when_space_came_a_little_at_a_time)
{
    struct batch *batch = batch_new(test_seed(), 1, 40, 0, 150000);
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    struct stratum_writer *writer = NULL;
    uint64_t chance = test_seed();
    uint64_t space = 0;
    unsigned refused = 0;
    enum status status;
    bool dead;
    log_set_file("/dev/null");
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    sim_disk_set_space(disk, space);
#define WITH_MORE_SPACE(call)                                                                      \
    while ((status = (call)) != ST_OK) {                                                           \
        EXPECT_INT(status, ST_FULL);                                                               \
        refused++;                                                                                 \
        sim_disk_set_space(disk, space += test_random_below(&chance, 300000));                     \
    }
    WITH_MORE_SPACE(stratum_writer_new(io, BATCH_DIR, BATCH_STORE, 1, &writer))
    for (unsigned i = 0; i < batch->count;) {
        /* One to ten grains together, so that some calls write several buffers. */
        uint64_t count = 0;
        unsigned next = i;
        unsigned together = 1 + (unsigned)test_random_below(&chance, 10);
        uint64_t offset = stratum_writer_offset(writer);
        uint64_t size = 0;
        for (; next < batch->count && next - i < together; next++) {
            count += batch->rows[next].kind == ROW_KEY;
            size += (batch->rows[next].at.size + 7ull) / 8 * 8;
        }
        struct bytes grains = buf_bytes(&batch->grains);
        grains = bytes_slice(grains, offset - STRATUM_GRAINS_START, size);
        uint64_t least = UINT64_MAX;
        uint64_t greatest = 0;
        for (unsigned j = i; j < next; j++) {
            if (batch->rows[j].kind == ROW_KEY) {
                least = least == UINT64_MAX ? batch->lsn_offset + j : least;
                greatest = batch->lsn_offset + j;
            }
        }
        WITH_MORE_SPACE(stratum_add_grains(writer, grains, count, least, greatest))
        EXPECT_INT(stratum_writer_offset(writer), offset + size);
        for (; i < next; i++) {
            EXPECT_INT(stratum_add_row(writer, &batch->rows[i]), ST_OK);
        }
    }
    WITH_MORE_SPACE(stratum_writer_finish(writer, &dead))
    EXPECT(refused > 10);
    log_set_file(NULL);
    stratum_writer_free(writer);
    sim_disk_set_crash(disk, SIM_CRASH_LOSE_ALL);
    sim_disk_crash(disk);
    EXPECT_INT(open_and_check(disk, batch), ST_OK);
    sim_disk_free(disk);
    batch_free(batch);
}

/* -- What is not as it was written ---------------------------------------------------------------
 */

/* S3: every byte of a small file, one after the other. */
TEST(stratum_with_any_byte_changed_is_corrupt_or_gives_the_same)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 150, 0, 5));
    uint64_t size = sim_disk_size_raw(scene.disk, FILE_ONE);
    unsigned char *whole = malloc(size);
    uint64_t corrupt = 0;
    EXPECT(whole != NULL);
    scene.batch->find_every = 50;
    EXPECT_INT(sim_disk_read_raw(scene.disk, FILE_ONE, whole, size, 0), size);
    log_set_file("/dev/null");
    for (uint64_t at = 0; at < size; at += BYTE_STEP) {
        sim_disk_corrupt(scene.disk, FILE_ONE, at, 1);
        enum status status = open_and_check(scene.disk, scene.batch);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        bool in_page = at >= 3 * BLOCK && at < 5 * BLOCK;
        EXPECT(status == ST_CORRUPT || (at >= BLOCK && at < size - BLOCK && !in_page));
        corrupt += status == ST_CORRUPT;
        sim_disk_fill(scene.disk, FILE_ONE, at, bytes_of(whole + at, 1));
    }
    log_set_file(NULL);
    EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_OK);
    EXPECT(corrupt * BYTE_STEP > 4 * BLOCK && corrupt * BYTE_STEP < size);
    free(whole);
    scene_end(&scene);
}

TEST(stratum_cut_or_grown_is_corrupt)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 150, 0, 5));
    struct io_file *file;
    uint64_t whole = sim_disk_size_raw(scene.disk, FILE_ONE);
    EXPECT_INT(io_file_open(sim_disk_io(scene.disk), FILE_ONE, IO_WRITE, &file), ST_OK);
    log_set_file("/dev/null");
    EXPECT_INT(io_file_truncate(file, whole + BLOCK), ST_OK);
    EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_CORRUPT);
    EXPECT_INT(io_file_truncate(file, whole), ST_OK);
    EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_OK);
    for (uint64_t size = whole - 1;; size -= size < 512 ? size : 512) {
        EXPECT_INT(io_file_truncate(file, size), ST_OK);
        EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_CORRUPT);
        if (size == 0) {
            break;
        }
    }
    log_set_file(NULL);
    io_file_close(file);
    scene_end(&scene);
}

static void fill_checksummed(struct sim_disk *disk, uint64_t offset, unsigned char *block)
{
    store_u64(block, hash_checksum(bytes_of(block + 8, BLOCK - 8)));
    sim_disk_fill(disk, FILE_ONE, offset, bytes_of(block, BLOCK));
}

/* A footer that lies with a right checksum leads nobody outside of the file or of memory. */
TEST(stratum_with_a_footer_that_lies_is_refused_or_read_within_bounds)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 150, 0, 5));
    uint64_t end = sim_disk_size_raw(scene.disk, FILE_ONE) - BLOCK;
    uint64_t chance = test_seed();
    unsigned char footer[BLOCK];
    unsigned char changed[BLOCK];
    unsigned refused = 0;
    EXPECT_INT(sim_disk_read_raw(scene.disk, FILE_ONE, footer, BLOCK, end), BLOCK);
    log_set_file("/dev/null");
    for (unsigned i = 0; i < 3000; i++) {
        memcpy(changed, footer, BLOCK);
        unsigned at = 8 + 4 * (unsigned)test_random_below(&chance, 30);
        uint32_t value = (uint32_t)test_random(&chance) >> test_random_below(&chance, 32);
        uint32_t was = load_u32(changed + at);
        uint32_t near = was + (uint32_t)test_random_below(&chance, 5) - 2;
        store_u32(changed + at, i % 2 == 0 ? value : near);
        fill_checksummed(scene.disk, end, changed);
        struct stratum *stratum;
        struct stratum_cursor *cursor;
        enum status status = open_one(scene.disk, true, &stratum);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        if (status == ST_CORRUPT) {
            refused++;
            continue;
        }
        EXPECT_INT(stratum_cursor_new(stratum, 0, &cursor), ST_OK);
        struct row row;
        bool found = true;
        for (unsigned j = 0; status == ST_OK && found; j++) {
            EXPECT(j <= scene.batch->count);
            status = stratum_cursor_next(cursor, &row, &found);
        }
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        stratum_cursor_free(cursor);
        stratum_unref(stratum);
    }
    log_set_file(NULL);
    EXPECT(refused > 1000);
    scene_end(&scene);
}

TEST(stratum_of_another_store_id_or_version_is_refused)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 3, 0, 5));
    struct io *io = sim_disk_io(scene.disk);
    struct stratum *stratum;
    unsigned char header[BLOCK];
    log_set_file("/dev/null");
    EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE + 1, 1, true, &stratum), ST_CORRUPT);
    EXPECT_INT(sim_disk_read_raw(scene.disk, FILE_ONE, header, BLOCK, 0), BLOCK);
    store_u32(header + 16, STRATUM_VERSION + 1);
    fill_checksummed(scene.disk, 0, header);
    EXPECT_INT(open_one(scene.disk, true, &stratum), ST_CORRUPT);
    store_u32(header + 16, STRATUM_VERSION);
    fill_checksummed(scene.disk, 0, header);
    EXPECT_INT(open_and_check(scene.disk, scene.batch), ST_OK);
    EXPECT_INT(io_rename(io, FILE_ONE, BATCH_DIR "/strata/00000002.stratum"), ST_OK);
    EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE, 2, true, &stratum), ST_CORRUPT);
    log_set_file(NULL);
    scene_end(&scene);
}

/* Pages are sealed by our own code, and still nobody is led astray by rows that are not in order.
 */
TEST(stratum_cursor_refuses_rows_that_descend_or_are_malformed)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 2, 0, 5));
    struct stratum *stratum;
    struct stratum_cursor *cursor;
    alignas(IO_ALIGNMENT_MAX) unsigned char page[BLOCK];
    struct row row;
    struct bytes rows;
    bool found;
    log_set_file("/dev/null");
    EXPECT_INT(open_one(scene.disk, true, &stratum), ST_OK);
    EXPECT_INT(stratum_facts(stratum)->page_count, 1);
    EXPECT_INT(stratum_read_page(stratum, 0, page, &rows), ST_OK);
    struct bytes rest = rows;
    EXPECT(row_take(&rest, &row));
    size_t first_size = rows.size - rest.size;
    store_u64(page + PAGE_HEADER_SIZE + first_size, 0); /* The second row's place. */
    page_seal(page, 1, 0, 2, rows.size);
    sim_disk_fill(scene.disk, FILE_ONE, stratum_page_offset(stratum, 0), bytes_of(page, BLOCK));
    EXPECT_INT(stratum_cursor_new(stratum, 0, &cursor), ST_OK);
    EXPECT_INT(stratum_cursor_next(cursor, &row, &found), ST_OK);
    EXPECT(found);
    EXPECT_INT(stratum_cursor_next(cursor, &row, &found), ST_CORRUPT);
    EXPECT(!found);
    stratum_cursor_free(cursor);
    page[PAGE_HEADER_SIZE + 20] = 99; /* The first row's kind. */
    page_seal(page, 1, 0, 2, rows.size);
    sim_disk_fill(scene.disk, FILE_ONE, stratum_page_offset(stratum, 0), bytes_of(page, BLOCK));
    EXPECT_INT(stratum_cursor_new(stratum, 0, &cursor), ST_OK);
    EXPECT_INT(stratum_cursor_next(cursor, &row, &found), ST_CORRUPT);
    stratum_cursor_free(cursor);
    stratum_unref(stratum);
    log_set_file(NULL);
    scene_end(&scene);
}

TEST(stratum_read_outside_of_the_grains_is_corrupt)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 3, 0, 5));
    struct stratum *stratum;
    unsigned char data[16];
    EXPECT_INT(open_one(scene.disk, false, &stratum), ST_OK);
    uint64_t end = stratum_facts(stratum)->grains_end;
    log_set_file("/dev/null");
    EXPECT_INT(stratum_read(stratum, end - 16, data, 16), ST_OK);
    EXPECT_INT(stratum_read(stratum, end - 15, data, 16), ST_CORRUPT);
    EXPECT_INT(stratum_read(stratum, STRATUM_GRAINS_START - 1, data, 16), ST_CORRUPT);
    EXPECT_INT(stratum_read(stratum, end + 1, data, 16), ST_CORRUPT);
    EXPECT_INT(stratum_read(stratum, UINT64_MAX, data, 16), ST_CORRUPT);
    log_set_file(NULL);
    stratum_unref(stratum);
    scene_end(&scene);
}

/* -- References ---------------------------------------------------------------------------------
 */

/* S2 */
TEST(stratum_that_is_doomed_is_read_until_the_last_reference_goes)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 500, 0, 5));
    struct stratum *stratum;
    struct stratum_cursor *cursor;
    EXPECT_INT(open_one(scene.disk, true, &stratum), ST_OK);
    stratum_ref(stratum);
    stratum_doom_run(stratum);
    stratum_doom(stratum);
    EXPECT_INT(batch_check(scene.batch, stratum), ST_OK);
    stratum_unref(stratum);
    EXPECT_INT(batch_check(scene.batch, stratum), ST_OK);
    EXPECT_INT(stratum_cursor_new(stratum, 0, &cursor), ST_OK);
    stratum_unref(stratum);
    EXPECT(name_is_there(sim_disk_io(scene.disk), "00000001.stratum"));
    stratum_cursor_free(cursor); /* It had the last one. */
    EXPECT(!name_is_there(sim_disk_io(scene.disk), "00000001.stratum"));
    scene_end(&scene);
}

/* S2 */
TEST(stratum_whose_run_is_doomed_keeps_its_grains)
{
    struct scene scene = scene_begin(batch_new(test_seed(), 1, 500, 0, 100));
    struct stratum *with_run;
    struct stratum *grains;
    EXPECT_INT(open_one(scene.disk, true, &with_run), ST_OK);
    stratum_doom_run(with_run);
    EXPECT_INT(open_one(scene.disk, false, &grains), ST_OK);
    EXPECT_INT(batch_check(scene.batch, with_run), ST_OK);
    uint64_t pages = stratum_page_offset(with_run, 0);
    stratum_unref(with_run);
    unsigned char *data = malloc(scene.batch->grains.size);
    EXPECT(data != NULL);
    EXPECT_INT(stratum_read(grains, STRATUM_GRAINS_START, data, scene.batch->grains.size), ST_OK);
    EXPECT(memcmp(data, scene.batch->grains.data, scene.batch->grains.size) == 0);
    uint64_t end = stratum_facts(grains)->file_size - BLOCK;
    unsigned char block[BLOCK];
    size_t got;
    for (uint64_t at = pages; at < end; at += BLOCK) {
        EXPECT_INT(io_file_read(stratum_file(grains), block, BLOCK, at, &got), ST_OK);
        EXPECT(got == BLOCK && block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0);
    }
    stratum_doom_run(grains); /* Once more does no harm. */
    stratum_unref(grains);
    log_set_file("/dev/null");
    EXPECT_INT(open_one(scene.disk, true, &with_run), ST_CORRUPT);
    log_set_file(NULL);
    EXPECT_INT(open_one(scene.disk, false, &grains), ST_OK);
    stratum_unref(grains);
    free(data);
    scene_end(&scene);
}

struct reader {
    struct stratum *stratum;
    const struct batch *batch;
};

static void *walk(void *ctx)
{
    struct reader *reader = ctx;
    struct stratum_cursor *cursor;
    struct row row;
    bool found = true;
    unsigned count = 0;
    EXPECT_INT(stratum_cursor_new(reader->stratum, 0, &cursor), ST_OK);
    stratum_unref(reader->stratum);
    while (found) {
        EXPECT_INT(stratum_cursor_next(cursor, &row, &found), ST_OK);
        count += found;
    }
    EXPECT_INT(count, reader->batch->count);
    stratum_cursor_free(cursor);
    return NULL;
}

/* S2 */
TEST(stratum_is_read_by_many_threads_while_it_is_doomed)
{
    struct io *io;
    char path[256];
    struct stratum *stratum;
    struct batch *batch = batch_new(test_seed(), 1, 5000, 0, 10);
    pthread_t threads[4];
    snprintf(path, sizeof(path), "%s/strata", test_dir());
    EXPECT_INT(io_new(IO_ROAD_AUTO, &io), ST_OK);
    EXPECT_INT(io_dir_make(io, path), ST_OK);
    EXPECT_INT(batch_write(batch, io, test_dir()), ST_OK);
    EXPECT_INT(stratum_open(io, test_dir(), BATCH_STORE, 1, true, &stratum), ST_OK);
    struct reader reader = {stratum, batch};
    for (unsigned i = 0; i < 4; i++) {
        stratum_ref(stratum);
        EXPECT_INT(pthread_create(&threads[i], NULL, walk, &reader), 0);
    }
    stratum_doom(stratum);
    stratum_unref(stratum);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_INT(pthread_join(threads[i], NULL), 0);
    }
    EXPECT_INT(stratum_open(io, test_dir(), BATCH_STORE, 1, true, &stratum), ST_ABSENT);
    io_free(io);
    batch_free(batch);
}
