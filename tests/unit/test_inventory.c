/* What a store says of its strata, on a disk without threads: basin_reap does what is asked for. */
#include "engine/basin.h"
#include "tests/lib/cellar.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 200
#define VALUE_SIZE 100
#define BLOCK 4096

static void keys_write(char letter)
{
    char value[VALUE_SIZE];
    memset(value, letter, sizeof(value));
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key:%d", i);
        EXPECT_INT(session_set(&session, key, bytes_of(value, sizeof(value))), ST_OK);
    }
}

static struct basin_storage storage(void)
{
    struct basin_stats stats;
    basin_get_stats(basin, &stats);
    return stats.storage;
}

/* Sums and list say the same, and of each file that it is made of what is listed. */
static void expect_agreement(void)
{
    struct basin_stratum *strata = NULL;
    size_t count = 0;
    struct basin_storage all = storage();
    EXPECT_INT(basin_get_strata(basin, &strata, &count), ST_OK);
    uint64_t grains = 0;
    uint64_t live = 0;
    for (size_t i = 0; i < count; i++) {
        const struct basin_stratum *stratum = &strata[i];
        uint64_t made_of = stratum->grain_bytes + stratum->index_bytes + 2 * BLOCK;
        bool bare = stratum->bare;
        grains += stratum->grain_bytes;
        live += stratum->live_bytes;
        bool sized = bare ? stratum->file_bytes > made_of : stratum->file_bytes == made_of;
        bool ascends = i == 0 || strata[i - 1].id < stratum->id;
        if (!sized || !ascends || bare != (stratum->partitions == 0)) {
            test_fail(__FILE__, __LINE__, "stratum %08x does not add up", stratum->id);
        }
    }
    free(strata);
    EXPECT_INT(all.strata, count);
    EXPECT_INT(all.live_bytes, live);
    EXPECT_INT(all.live_bytes + all.dead_bytes, grains);
    EXPECT_INT(all.disk_bytes, grains + all.index_bytes + count * 2 * BLOCK);
}

TEST(what_was_asked_for_is_done_by_the_next_reap)
{
    cellar_begin();
    keys_write('a');
    uint64_t asked = basin_settle_ask(basin);
    EXPECT_INT(basin_settle_asked(basin, asked), ST_WAIT);
    basin_reap(basin);
    EXPECT_INT(basin_settle_asked(basin, asked), ST_OK);
    EXPECT_INT(storage().settled_grains, KEYS);
    uint64_t pass = basin_compact_ask(basin);
    EXPECT_INT(basin_compact_asked(basin, pass), ST_WAIT);
    basin_reap(basin);
    EXPECT_INT(basin_compact_asked(basin, pass), ST_OK);
    EXPECT_INT(storage().merge_passes, 1);
    EXPECT_INT(storage().merged_rows, KEYS);
    basin_reap(basin);
    EXPECT_INT(storage().merge_passes, 1); /* Nobody has asked again. */
    cellar_end();
}

TEST(a_pass_that_has_begun_already_is_not_the_one_asked_for)
{
    cellar_begin();
    keys_write('a');
    EXPECT_INT(basin_settle(basin), ST_OK);
    uint64_t first = basin_compact_ask(basin);
    EXPECT_INT(basin_compact(basin), ST_OK); /* It began after the question. */
    EXPECT_INT(basin_compact_asked(basin, first), ST_OK);
    uint64_t second = basin_compact_ask(basin);
    EXPECT_INT(basin_compact_asked(basin, second), ST_WAIT);
    basin_reap(basin);
    EXPECT_INT(basin_compact_asked(basin, second), ST_OK);
    cellar_end();
}

TEST(the_list_and_the_sums_agree_after_every_change_of_the_manifest)
{
    cellar_begin();
    expect_agreement();
    for (int i = 0; i < 4; i++) {
        keys_write((char)('a' + i));
        EXPECT_INT(basin_settle(basin), ST_OK);
        expect_agreement();
        if (i % 2 == 1) {
            EXPECT_INT(basin_compact(basin), ST_OK);
            expect_agreement();
        }
    }
    struct basin_storage before = storage();
    EXPECT(before.live_bytes >= (uint64_t)KEYS * VALUE_SIZE);
    cellar_reopen();
    expect_agreement();
    EXPECT_INT(storage().strata, before.strata);
    EXPECT_INT(storage().live_bytes, before.live_bytes);
    EXPECT_INT(storage().disk_bytes, before.disk_bytes);
    cellar_end();
}

TEST(what_settling_cannot_do_is_told_to_who_asked)
{
    cellar_begin();
    keys_write('a');
    sim_disk_set_space(disk, sim_disk_used(disk));
    uint64_t asked = basin_settle_ask(basin);
    basin_reap(basin);
    EXPECT_INT(basin_settle_asked(basin, asked), ST_FULL);
    EXPECT_INT(storage().settle_status, ST_FULL);
    EXPECT(storage().settle_ended);
    sim_disk_set_space(disk, UINT64_MAX);
    cellar_end();
}

TEST(shards_share_partitions_and_keys_among_them)
{
    cellar_begin();
    keys_write('a');
    unsigned partitions = 0;
    uint64_t keys = 0;
    for (unsigned i = 0; i < 4; i++) {
        struct basin_shard shard;
        basin_get_shard(basin, i, &shard);
        partitions += shard.partitions;
        keys += shard.keys;
        EXPECT(shard.last_lsn > 0 && shard.last_lsn <= basin_end(basin));
        EXPECT(shard.memory > 0);
    }
    EXPECT_INT(partitions, BASIN_PARTITIONS);
    EXPECT_INT(keys, KEYS);
    cellar_end();
}

TEST(a_store_in_memory_has_nothing_to_settle)
{
    struct basin_options options = basin_options_default();
    options.memory_only = true;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    EXPECT_INT(basin_settle_asked(basin, basin_settle_ask(basin)), ST_OK);
    EXPECT_INT(basin_compact_asked(basin, basin_compact_ask(basin)), ST_OK);
    struct basin_stratum *strata = NULL;
    size_t count = 1;
    EXPECT_INT(basin_get_strata(basin, &strata, &count), ST_OK);
    EXPECT(strata == NULL && count == 0);
    basin_close(basin);
}
