/* Merges against a model: all rows of all runs, sorted by place, name and age. */
#include "engine/strata/merge.h"

#include "engine/base/log.h"
#include "tests/lib/batch.h"
#include "tests/lib/rows.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define RUNS_MAX 9
#define NAMES 40 /* Few, so that runs speak of the same. */

struct model_row {
    struct row row; /* Keys are lent from static text. */
    unsigned input;
};

struct world {
    struct sim_disk *disk;
    struct stratum *strata[RUNS_MAX]; /* Newest first. */
    unsigned runs;
    struct model_row *rows;
    unsigned count;
};

/* Names of all kinds; every third shares its place with many others. */
static struct row any_row(uint64_t *chance, uint64_t places)
{
    static const char *const keys[] = {"", "a", "b", "key", "another key", "0123456789abcdef"};
    unsigned name = (unsigned)test_random_below(chance, NAMES);
    /* The same name has the same place everywhere. */
    uint64_t mixed = (name + 1) * 0x9E3779B97F4A7C15ull;
    struct row row = {.place = places == 0 ? mixed : (1 + mixed % places) << 32};
    bool gone = test_random_below(chance, 3) == 0;
    if (!gone) {
        row.at = (struct location){1 + (uint32_t)test_random_below(chance, 9),
                                   (uint32_t)test_random(chance), 30};
    }
    switch (name % 5) {
    case 0:
    case 1:
    case 2:
        row.kind = gone ? ROW_KEY_GONE : ROW_KEY;
        row.namespace_id = name / 15;
        row.key = bytes_of_text(keys[name % 6]);
        break;
    case 3:
        row.kind = gone ? ROW_PART_GONE : ROW_PART;
        row.part = (struct part_name){1 + name / 20, name / 10 % 2, name};
        break;
    default:
        row.kind = ROW_CLAST_GONE;
        row.at = (struct location){0, 0, 0};
        row.part = (struct part_name){name, ROW_TABLE_ALL, 0};
    }
    return row;
}

static int by_place(const void *a, const void *b)
{
    const struct model_row *x = a;
    const struct model_row *y = b;
    return (x->row.place > y->row.place) - (x->row.place < y->row.place);
}

static int by_name_and_age(const void *a, const void *b)
{
    const struct model_row *x = a;
    const struct model_row *y = b;
    int order = row_compare(&x->row, &y->row);
    return order != 0 ? order : (x->input > y->input) - (x->input < y->input);
}

/* Each name once in a run, as in every run of the engine. */
static unsigned run_draw(struct model_row *rows, unsigned input, uint64_t *chance, uint64_t places)
{
    unsigned wanted = (unsigned)test_random_below(chance, NAMES);
    unsigned count = 0;
    for (unsigned i = 0; i < wanted; i++) {
        struct row row = any_row(chance, places);
        bool known = false;
        for (unsigned j = 0; j < count; j++) {
            known |= row_same(&rows[j].row, &row);
        }
        if (!known) {
            rows[count++] = (struct model_row){row, input};
        }
    }
    qsort(rows, count, sizeof(*rows), by_place);
    return count;
}

static void run_write(struct world *world, const struct model_row *rows, unsigned count,
                      unsigned input)
{
    struct io *io = sim_disk_io(world->disk);
    struct stratum_writer *writer;
    bool dead;
    EXPECT_INT(stratum_writer_new(io, BATCH_DIR, BATCH_STORE, input + 1, &writer), ST_OK);
    for (unsigned i = 0; i < count; i++) {
        EXPECT_INT(stratum_add_row(writer, &rows[i].row), ST_OK);
    }
    EXPECT_INT(stratum_writer_finish(writer, &dead), ST_OK);
    stratum_writer_free(writer);
    EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE, input + 1, true, &world->strata[input]),
               ST_OK);
}

static void world_init(struct world *world, uint64_t seed, unsigned runs, uint64_t places)
{
    uint64_t chance = seed;
    *world = (struct world){.disk = sim_disk_new(seed), .runs = runs};
    world->rows = calloc(RUNS_MAX * NAMES, sizeof(*world->rows));
    EXPECT(world->rows != NULL);
    EXPECT_INT(batch_make_dirs(sim_disk_io(world->disk)), ST_OK);
    for (unsigned input = 0; input < runs; input++) {
        struct model_row *rows = world->rows + world->count;
        unsigned count = run_draw(rows, input, &chance, places);
        run_write(world, rows, count, input);
        world->count += count;
    }
    qsort(world->rows, world->count, sizeof(*world->rows), by_name_and_age);
}

static void world_deinit(struct world *world)
{
    for (unsigned i = 0; i < world->runs; i++) {
        stratum_unref(world->strata[i]);
    }
    free(world->rows);
    sim_disk_free(world->disk);
}

/* M1, M2. retry: how often a call may fail with ST_IO. */
static void expect_merge(struct world *world, uint64_t first, uint64_t last, unsigned retry)
{
    struct merge *merge;
    struct merged merged;
    bool found = true;
    unsigned at = 0;
    enum status status;
    while ((status = merge_new(world->strata, world->runs, first, last, &merge)) != ST_OK) {
        EXPECT(status == ST_IO && retry-- > 0);
    }
    while (at < world->count && world->rows[at].row.place < first) {
        at++;
    }
    while (found) {
        while ((status = merge_next(merge, &merged, &found)) != ST_OK) {
            EXPECT(status == ST_IO && retry-- > 0);
        }
        for (unsigned i = 0; found && i < merged.count; i++, at++) {
            EXPECT(at < world->count && world->rows[at].row.place <= last);
            EXPECT(rows_equal(&merged.rows[i].row, &world->rows[at].row));
            EXPECT_INT(merged.rows[i].input, world->rows[at].input);
        }
        /* The next row in the model is of another name. */
        EXPECT(!found || at == world->count ||
               !row_same(&world->rows[at].row, &world->rows[at - 1].row));
    }
    EXPECT(at == world->count || world->rows[at].row.place > last);
    EXPECT_INT(merge_next(merge, &merged, &found), ST_OK);
    EXPECT(!found);
    merge_free(merge);
}

TEST(merge_gives_every_name_once_with_all_rows_newest_first)
{
    for (unsigned round = 0; round < 150; round++) {
        struct world world;
        world_init(&world, test_seed() + round, round % (RUNS_MAX + 1), round % 4);
        expect_merge(&world, 0, UINT64_MAX, 0);
        world_deinit(&world);
    }
}

TEST(merge_keeps_to_its_range)
{
    uint64_t chance = test_seed();
    for (unsigned round = 0; round < 50; round++) {
        struct world world;
        world_init(&world, test_seed() + round, 1 + round % RUNS_MAX, round % 2 * 10);
        for (unsigned i = 0; i < 5; i++) {
            uint64_t a = i < 3 && world.count > 0
                             ? world.rows[test_random_below(&chance, world.count)].row.place
                             : test_random(&chance);
            uint64_t b = i % 2 == 0 && world.count > 0
                             ? world.rows[test_random_below(&chance, world.count)].row.place
                             : test_random(&chance);
            expect_merge(&world, a < b ? a : b, a < b ? b : a, 0);
        }
        world_deinit(&world);
    }
}

TEST(merge_goes_on_where_a_read_failed)
{
    log_set_file("/dev/null");
    for (unsigned call = 1; call < 40; call++) {
        struct world world;
        world_init(&world, test_seed() + call, RUNS_MAX, call % 3);
        sim_disk_fail_after(world.disk, call, ST_IO);
        expect_merge(&world, 0, UINT64_MAX, 1);
        world_deinit(&world);
    }
    log_set_file(NULL);
}

/* Runs of many pages: reads come in the middle of a place's rows, and each may fail. */
TEST(merge_of_long_runs_gives_all_rows_whichever_read_fails)
{
    struct batch *batches[3];
    struct stratum *strata[3];
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    log_set_file("/dev/null");
    EXPECT_INT(batch_make_dirs(io), ST_OK);
    for (unsigned i = 0; i < 3; i++) {
        /* Of the same seed, so the same names at the same places; one is cut shorter. */
        batches[i] = batch_new(test_seed(), i + 1, i == 1 ? 9000 : 18000, 300, 0);
        EXPECT_INT(batch_write(batches[i], io, BATCH_DIR), ST_OK);
        EXPECT_INT(stratum_open(io, BATCH_DIR, BATCH_STORE, i + 1, true, &strata[i]), ST_OK);
    }
    unsigned names = 0;
    unsigned rows = 0;
    for (unsigned call = 0; call < 12; call++) {
        struct merge *merge;
        struct merged merged;
        bool found = true;
        names = 0;
        rows = 0;
        sim_disk_fail_after(disk, 0, ST_IO); /* The round before may have met none. */
        EXPECT_INT(merge_new(strata, 3, 0, UINT64_MAX, &merge), ST_OK);
        sim_disk_fail_after(disk, call, ST_IO); /* 0: none. */
        while (found) {
            enum status status = merge_next(merge, &merged, &found);
            if (status != ST_OK) {
                EXPECT_INT(status, ST_IO);
                EXPECT_INT(merge_next(merge, &merged, &found), ST_OK);
            }
            names += found;
            for (unsigned i = 0; found && i < merged.count; i++) {
                rows++;
                EXPECT(i == 0 || merged.rows[i].input > merged.rows[i - 1].input);
                EXPECT(row_same(&merged.rows[i].row, &merged.rows[0].row));
            }
        }
        merge_free(merge);
        EXPECT_INT(names, 18000);
        EXPECT_INT(rows, 45000);
    }
    for (unsigned i = 0; i < 3; i++) {
        stratum_unref(strata[i]);
        batch_free(batches[i]);
    }
    log_set_file(NULL);
    sim_disk_free(disk);
}

TEST(merge_holds_its_strata_until_it_is_freed)
{
    struct world world;
    struct merge *merge;
    struct merged merged;
    bool found = true;
    world_init(&world, test_seed(), 3, 0);
    EXPECT_INT(merge_new(world.strata, 3, 0, UINT64_MAX, &merge), ST_OK);
    for (unsigned i = 0; i < 3; i++) {
        stratum_doom(world.strata[i]);
        stratum_unref(world.strata[i]);
    }
    world.runs = 0;
    while (found) {
        EXPECT_INT(merge_next(merge, &merged, &found), ST_OK);
    }
    merge_free(merge);
    merge_free(NULL);
    struct stratum *stratum;
    EXPECT_INT(stratum_open(sim_disk_io(world.disk), BATCH_DIR, BATCH_STORE, 1, true, &stratum),
               ST_ABSENT);
    world_deinit(&world);
}
