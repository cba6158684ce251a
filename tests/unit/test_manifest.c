#include "engine/manifest/manifest.h"

#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define DIR_NAME "/store"

static void expect_same(const struct manifest *a, const struct manifest *b)
{
    EXPECT_INT(a->trim_lsn, b->trim_lsn);
    EXPECT_INT(a->generation_count, b->generation_count);
    EXPECT_INT(a->next_stratum, b->next_stratum);
    EXPECT_INT(a->next_clast, b->next_clast);
    EXPECT_INT(a->stratum_count, b->stratum_count);
    for (size_t i = 0; i < a->stratum_count; i++) {
        EXPECT_INT(a->strata[i].id, b->strata[i].id);
        EXPECT_INT(a->strata[i].grains_end, b->strata[i].grains_end);
        EXPECT_INT(a->strata[i].live, b->strata[i].live);
        EXPECT_INT(a->strata[i].bare, b->strata[i].bare);
    }
    EXPECT_INT(a->run_count, b->run_count);
    for (size_t i = 0; i < a->run_count; i++) {
        EXPECT_INT(a->runs[i].stratum, b->runs[i].stratum);
        EXPECT_INT(a->runs[i].first, b->runs[i].first);
        EXPECT_INT(a->runs[i].last, b->runs[i].last);
    }
    EXPECT_INT(a->counts_count, b->counts_count);
    for (size_t i = 0; i < a->counts_count; i++) {
        EXPECT_INT(memcmp(a->counts[i], b->counts[i], sizeof(*a->counts[i])), 0);
    }
}

/* A store with strata, runs over some partitions, and counts. */
static void fill(struct manifest *manifest, struct sim_disk *disk, uint64_t *chance)
{
    EXPECT_INT(manifest_init(manifest, sim_disk_io(disk), 8), ST_OK);
    for (uint32_t id = 1; id <= 20; id++) {
        uint64_t live = test_random_below(chance, 1 << 20);
        EXPECT_INT(manifest_add_stratum(manifest, id, 4096 + live * 2, live), ST_OK);
        uint16_t first = (uint16_t)test_random_below(chance, PARTITION_COUNT);
        uint16_t width = (uint16_t)test_random_below(chance, PARTITION_COUNT - first);
        struct manifest_run run = {id, first, (uint16_t)(first + width)};
        EXPECT_INT(manifest_add_run(manifest, 0, run), ST_OK);
    }
    EXPECT_INT(manifest_add_generation(manifest, 1), ST_OK);
    EXPECT_INT(manifest_add_generation(manifest, 500), ST_OK);
    manifest->next_clast = 77;
    for (uint32_t id = 0; id < 3; id++) {
        struct manifest_counts *counts = manifest_counts(manifest, id * 5);
        for (unsigned p = 0; p < PARTITION_COUNT; p++) {
            counts->partitions[p].keys = (int64_t)test_random_below(chance, 1000) - 10;
        }
    }
}

TEST(what_is_saved_is_loaded)
{
    uint64_t chance = test_seed();
    struct sim_disk *disk = sim_disk_new(chance);
    struct io *io = sim_disk_io(disk);
    struct manifest manifest;
    struct manifest loaded;
    EXPECT_INT(io_dir_make(io, DIR_NAME), ST_OK);
    fill(&manifest, disk, &chance);
    EXPECT_INT(manifest_save(&manifest, io, DIR_NAME), ST_OK);
    EXPECT_INT(manifest_load(&loaded, io, DIR_NAME), ST_OK);
    expect_same(&manifest, &loaded);
    manifest_deinit(&loaded);
    EXPECT_INT(manifest_copy(&manifest, &loaded), ST_OK);
    expect_same(&manifest, &loaded);
    manifest_deinit(&loaded);
    manifest_deinit(&manifest);
    sim_disk_free(disk);
}

TEST(any_changed_byte_is_found)
{
    uint64_t chance = test_seed();
    struct sim_disk *disk = sim_disk_new(chance);
    struct io *io = sim_disk_io(disk);
    struct manifest manifest;
    EXPECT_INT(io_dir_make(io, DIR_NAME), ST_OK);
    fill(&manifest, disk, &chance);
    EXPECT_INT(manifest_save(&manifest, io, DIR_NAME), ST_OK);
    uint64_t size = sim_disk_size_raw(disk, DIR_NAME "/MANIFEST");
    for (uint64_t at = 0; at < size; at += 1 + test_random_below(&chance, 40)) {
        struct manifest loaded;
        sim_disk_corrupt(disk, DIR_NAME "/MANIFEST", at, 1);
        EXPECT_INT(manifest_load(&loaded, io, DIR_NAME), ST_CORRUPT);
        sim_disk_corrupt(disk, DIR_NAME "/MANIFEST", at, 1); /* Back again. */
    }
    manifest_deinit(&manifest);
    sim_disk_free(disk);
}

/* By partition, which strata serve it, newest first. */
static size_t stack_of(const struct manifest *manifest, unsigned p, uint32_t *ids)
{
    size_t count = 0;
    for (size_t i = 0; i < manifest->run_count; i++) {
        if (manifest->runs[i].first <= p && p <= manifest->runs[i].last) {
            ids[count++] = manifest->runs[i].stratum;
        }
    }
    return count;
}

TEST(runs_are_cut_where_they_were_merged_and_nowhere_else)
{
    uint64_t chance = test_seed();
    struct sim_disk *disk = sim_disk_new(chance);
    for (unsigned round = 0; round < 50; round++) {
        struct manifest manifest;
        struct manifest before;
        fill(&manifest, disk, &chance);
        EXPECT_INT(manifest_copy(&manifest, &before), ST_OK);
        uint16_t first = (uint16_t)test_random_below(&chance, PARTITION_COUNT);
        uint16_t last = (uint16_t)(first + test_random_below(&chance, PARTITION_COUNT - first));
        EXPECT_INT(manifest_cut_runs(&manifest, 0, first, last), ST_OK);
        for (unsigned p = 0; p < PARTITION_COUNT; p++) {
            uint32_t now[64];
            uint32_t then[64];
            size_t count = stack_of(&manifest, p, now);
            bool cut = first <= p && p <= last;
            EXPECT_INT(count, cut ? 0 : stack_of(&before, p, then));
            EXPECT(count == 0 || memcmp(now, then, count * sizeof(now[0])) == 0);
        }
        manifest_deinit(&before);
        manifest_deinit(&manifest);
    }
    sim_disk_free(disk);
}

TEST(generations_that_ended_below_the_trim_are_forgotten)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct manifest manifest;
    EXPECT_INT(manifest_init(&manifest, sim_disk_io(disk), 4), ST_OK);
    for (uint64_t lsn = 1; lsn < 1000; lsn += 100) {
        EXPECT_INT(manifest_add_generation(&manifest, lsn), ST_OK);
    }
    manifest_trim(&manifest, 450);
    EXPECT_INT(manifest.generations[0].start_lsn, 401);
    EXPECT_INT(manifest.generation_count, 6);
    manifest_trim(&manifest, 5000);
    EXPECT_INT(manifest.generation_count, 1);
    EXPECT_INT(manifest.generations[0].start_lsn, 901);
    manifest_deinit(&manifest);
    sim_disk_free(disk);
}

TEST(counts_of_a_namespace_newer_than_the_map_are_kept_until_it_is_dropped)
{
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct manifest manifest;
    EXPECT_INT(manifest_init(&manifest, sim_disk_io(disk), 1), ST_OK);
    uint32_t newer = manifest.next_namespace;
    EXPECT(manifest_counts(&manifest, 0) != NULL && manifest_counts(&manifest, newer) != NULL);
    manifest.namespaces[0] = newer + 1; /* A database was emptied twice; the round knows of once. */
    manifest_drop_counts(&manifest);
    EXPECT_INT(manifest.counts_count, 1);
    EXPECT_INT(manifest.counts[0]->namespace_id, newer);
    EXPECT(!manifest_dropped(&manifest, newer) && manifest_dropped(&manifest, 0));
    manifest.next_namespace = newer + 2;
    manifest_drop_counts(&manifest);
    EXPECT_INT(manifest.counts_count, 0);
    manifest_deinit(&manifest);
    sim_disk_free(disk);
}
