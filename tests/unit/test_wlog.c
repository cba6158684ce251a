#include "engine/wlog/wlog.h"

#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"
#include "tests/lib/wlog_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct bench {
    struct sim_disk *disk;
    struct world world;
};

static struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->disk = sim_disk_new(test_seed());
    EXPECT(io_dir_make(sim_disk_io(bench->disk), "/store") == ST_OK);
    EXPECT(io_dir_sync(sim_disk_io(bench->disk), "/") == ST_OK);
    world_init(&bench->world, sim_disk_io(bench->disk), "/store", test_seed());
    return bench;
}

static void bench_free(struct bench *bench)
{
    world_deinit(&bench->world);
    sim_disk_free(bench->disk);
    free(bench);
}

/* Cuts the power, and comes back up to the replayed log. */
static void bench_cut(struct bench *bench)
{
    sim_disk_crash(bench->disk);
    world_close(&bench->world, false);
    EXPECT_INT(world_recover(&bench->world), ST_OK);
}

static struct wlog_stats stats_of(struct bench *bench)
{
    struct wlog_stats stats;
    wlog_get_stats(bench->world.log, &stats);
    return stats;
}

static unsigned files_in(struct bench *bench, const char *path)
{
    struct io_name *names;
    size_t count;
    EXPECT_INT(io_dir_list(sim_disk_io(bench->disk), path, &names, &count), ST_OK);
    free(names);
    return (unsigned)count;
}

TEST(wlog_of_a_new_store_is_empty_and_ends_at_the_first_lsn)
{
    struct bench *b = bench_new();
    EXPECT_INT(world_recover(&b->world), ST_OK);
    EXPECT_INT(b->world.pieces, 0);
    EXPECT_INT(wlog_end(b->world.log), WLOG_LSN_FIRST);
    EXPECT_INT(world_start(&b->world), ST_OK);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    EXPECT(!wlog_dead(b->world.log));
    bench_free(b);
}

/* W1 */
TEST(wlog_gives_lsns_as_positions_and_calls_nothing_durable_before_its_flush_completed)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    EXPECT_INT(world_append(&b->world, 135), ST_OK);
    EXPECT_INT(world_append(&b->world, 1), ST_OK);
    EXPECT_INT(wlog_end(b->world.log), WLOG_LSN_FIRST + 136);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    wlog_reap(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    wlog_flush(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    wlog_reap(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST + 136);
    EXPECT_INT(stats_of(b).flushes, 1); /* One frame for both. */
    EXPECT_INT(stats_of(b).batch_max, 2);
    bench_free(b);
}

/* W2: one append is one contiguous piece of the stream, whatever frames and segments it crosses. */
TEST(wlog_replays_groups_that_span_frames_and_segments)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    static const uint64_t sizes[] = {1,     15,    135,    2048,  2049,   16000, 16320,
                                     16321, 40000, 100000, 65536, 300000, 7,     1000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        world_write(&b->world, sizes[i]);
        world_settle(&b->world);
    }
    EXPECT_INT(wlog_durable(b->world.log), wlog_end(b->world.log));
    EXPECT(stats_of(b).rotations > 20);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, b->world.promised);
    bench_free(b);
}

/* W3: the durable LSN waits for the gap before it. */
TEST(wlog_advances_only_over_a_gap_free_prefix_when_flushes_complete_out_of_order)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    sim_disk_hold(b->disk, true);
    uint64_t ends[4];
    for (int i = 0; i < 4; i++) {
        EXPECT_INT(world_append(&b->world, 100), ST_OK);
        wlog_flush(b->world.log);
        ends[i] = wlog_end(b->world.log);
    }
    EXPECT_INT(sim_disk_in_flight(b->disk), 4);
    EXPECT_INT(world_append(&b->world, 100), ST_OK); /* A fifth waits: flushes_max is four. */
    wlog_flush(b->world.log);
    EXPECT_INT(sim_disk_in_flight(b->disk), 4);

    EXPECT(sim_disk_release(b->disk, 3, ST_OK)); /* The last. */
    wlog_reap(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    EXPECT_INT(stats_of(b).in_flight, 4);        /* Its completion took the fifth along. */
    EXPECT(sim_disk_release(b->disk, 1, ST_OK)); /* The second. */
    wlog_reap(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    EXPECT(sim_disk_release(b->disk, 0, ST_OK)); /* The first: two are durable. */
    wlog_reap(b->world.log);
    EXPECT_INT(world_look(&b->world), ends[1]);
    EXPECT(sim_disk_release(b->disk, 0, ST_OK)); /* The third: four are. */
    wlog_reap(b->world.log);
    EXPECT_INT(world_look(&b->world), ends[3]);

    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b); /* The fifth never completed. */
    EXPECT_INT(b->world.replay_lsn, ends[3]);
    bench_free(b);
}

/* W3: what completed behind a gap is void once the log has gone on from the gap. */
TEST(wlog_ends_at_a_lost_frame_and_never_brings_back_what_lay_behind_it)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    sim_disk_hold(b->disk, true);
    for (int i = 0; i < 4; i++) {
        EXPECT_INT(world_append(&b->world, 3000), ST_OK);
        wlog_flush(b->world.log);
    }
    uint64_t start = WLOG_LSN_FIRST;
    for (int i = 0; i < 3; i++) {
        EXPECT(sim_disk_release(b->disk, 1, ST_OK)); /* All but the first. */
    }
    wlog_reap(b->world.log);
    EXPECT_INT(world_look(&b->world), start);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, start);
    /* The next life writes the same sizes, so its frames would line up with the old ones. */
    for (int round = 0; round < 3; round++) {
        EXPECT_INT(world_start(&b->world), ST_OK);
        world_write(&b->world, 3000);
        world_settle(&b->world);
        bench_cut(b);
        EXPECT_INT(b->world.replay_lsn, start + 3000 * (uint64_t)(round + 1));
    }
    bench_free(b);
}

/* W2: half of a group was replayed, so the next life begins in the middle of a frame, before it;
 * the rest of that frame is void. */
TEST(wlog_voids_the_rest_of_a_frame_behind_which_a_generation_began)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    wlog_tick(b->world.log);
    sim_disk_hold(b->disk, true);
    EXPECT_INT(world_append(&b->world, 1000), ST_OK);
    EXPECT_INT(world_append(&b->world, 30000), ST_OK); /* Two frames; the first holds both. */
    wlog_flush(b->world.log);
    EXPECT_INT(sim_disk_in_flight(b->disk), 2);
    EXPECT(sim_disk_release(b->disk, 0, ST_OK));
    wlog_reap(b->world.log);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT(b->world.replay_lsn > WLOG_LSN_FIRST + 1000);
    for (int round = 1; round <= 3; round++) {
        EXPECT_INT(world_start(&b->world), ST_OK);
        world_write(&b->world, 20000); /* Beyond what is void, so a mix-up would show. */
        world_settle(&b->world);
        bench_cut(b);
        EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 1000 + 20000 * (uint64_t)round);
    }
    bench_free(b);
}

TEST(wlog_rotates_by_size_and_by_age_and_recycles_what_is_trimmed)
{
    struct bench *b = bench_new();
    b->world.options.rotate_ms = 500;
    world_go(&b->world);
    wlog_tick(b->world.log);
    EXPECT_INT(files_in(b, "/store/txlogs/writing"), 1);
    EXPECT_INT(files_in(b, "/store/txlogs/prepared"), 1);
    world_write(&b->world, 100);
    world_settle(&b->world);
    wlog_tick(b->world.log);
    EXPECT_INT(stats_of(b).rotations, 0);
    sim_disk_advance(b->disk, 600000);
    wlog_tick(b->world.log);
    EXPECT_INT(stats_of(b).rotations, 1);
    EXPECT_INT(files_in(b, "/store/txlogs/reading"), 1);
    sim_disk_advance(b->disk, 600000);
    wlog_tick(b->world.log);
    EXPECT_INT(stats_of(b).rotations, 1); /* An empty segment does not age. */
    for (int i = 0; i < 100; i++) {
        world_write(&b->world, 5000);
        world_settle(&b->world);
    }
    wlog_tick(b->world.log);
    EXPECT(stats_of(b).rotations >= 8);
    unsigned reading = files_in(b, "/store/txlogs/reading");
    EXPECT(reading >= 8);
    uint64_t size;
    struct io_file *file;
    EXPECT_INT(io_file_open(sim_disk_io(b->disk), "/store/txlogs/reading/tx-0000000000000001.log",
                            IO_READ, &file),
               ST_OK);
    EXPECT_INT(io_file_size(file, &size), ST_OK);
    EXPECT_INT(size, 64 << 10);
    io_file_close(file);

    b->world.trim_lsn = wlog_durable(b->world.log);
    wlog_trim(b->world.log, b->world.trim_lsn);
    wlog_tick(b->world.log);
    EXPECT_INT(files_in(b, "/store/txlogs/reading"), 0);
    EXPECT(stats_of(b).segments_recycled >= 2);
    EXPECT(stats_of(b).segments <= 4);
    uint64_t prepared = stats_of(b).segments_prepared;
    for (int i = 0; i < 20; i++) {
        world_write(&b->world, 5000);
        world_settle(&b->world);
    }
    EXPECT_INT(stats_of(b).segments_prepared, prepared); /* Recycled ones took the frames. */
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, b->world.promised);
    bench_free(b);
}

TEST(wlog_trims_only_whole_segments_that_are_durable)
{
    struct bench *b = bench_new();
    b->world.options.sync = WLOG_SYNC_EVERYSEC;
    world_go(&b->world);
    for (int i = 0; i < 40; i++) {
        world_write(&b->world, 5000);
        world_settle(&b->world);
    }
    wlog_tick(b->world.log);
    uint64_t segments = stats_of(b).segments;
    wlog_trim(b->world.log, wlog_end(b->world.log)); /* Nothing is durable yet. */
    wlog_tick(b->world.log);
    EXPECT_INT(stats_of(b).segments, segments);
    EXPECT_INT(wlog_sync_now(b->world.log), ST_OK);
    wlog_trim(b->world.log, WLOG_LSN_FIRST + 4999);
    wlog_tick(b->world.log);
    EXPECT_INT(stats_of(b).segments, segments);
    world_look(&b->world);
    bench_cut(b);
    EXPECT_INT(b->world.pieces, 40);
    bench_free(b);
}

/* W1 under everysec: durable once a second, and a power cut keeps what was called so. */
TEST(wlog_everysec_is_durable_after_the_sync_of_the_second)
{
    struct bench *b = bench_new();
    b->world.options.sync = WLOG_SYNC_EVERYSEC;
    world_go(&b->world);
    sim_disk_advance(b->disk, 400000);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    wlog_tick(b->world.log);
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST);
    sim_disk_advance(b->disk, 700000);
    wlog_tick(b->world.log);
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST + 1000);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST + 1000);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 1000);
    bench_free(b);
}

TEST(wlog_without_sync_is_durable_after_a_rotation_or_when_asked)
{
    struct bench *b = bench_new();
    b->world.options.sync = WLOG_SYNC_NO;
    world_go(&b->world);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    sim_disk_advance(b->disk, 5000000);
    wlog_tick(b->world.log);
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST);
    while (stats_of(b).rotations == 0) {
        world_write(&b->world, 5000);
        world_settle(&b->world);
    }
    uint64_t last = wlog_end(b->world.log) - 5000;
    wlog_tick(b->world.log);
    EXPECT_INT(world_look(&b->world), last);
    EXPECT_INT(wlog_sync_now(b->world.log), ST_OK);
    EXPECT_INT(world_look(&b->world), wlog_end(b->world.log));
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    bench_free(b);
}

/* W1: a durable flush says nothing about a volatile one before it. */
TEST(wlog_changes_policy_in_full_flight)
{
    struct bench *b = bench_new();
    b->world.options.sync = WLOG_SYNC_NO;
    world_go(&b->world);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    wlog_set_sync(b->world.log, WLOG_SYNC_ALWAYS);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST);
    wlog_tick(b->world.log); /* The clock thread is woken by the change. */
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST + 2000);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    EXPECT_INT(world_look(&b->world), WLOG_LSN_FIRST + 3000);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    bench_free(b);
}

/* W5 */
TEST(wlog_parks_reservations_past_unflushed_max_and_wakes_them)
{
    struct bench *b = bench_new();
    b->world.options.unflushed_max = 10000;
    world_go(&b->world);
    wlog_tick(b->world.log);
    sim_disk_hold(b->disk, true);
    EXPECT_INT(world_append(&b->world, 20000), ST_OK); /* Nothing is unflushed before it. */
    EXPECT_INT(world_append(&b->world, 1), ST_WAIT);
    unsigned wakes = b->world.wakes;
    wlog_flush(b->world.log);
    wlog_reap(b->world.log);
    EXPECT_INT(b->world.wakes, wakes);
    sim_disk_hold(b->disk, false);
    wlog_reap(b->world.log);
    wlog_reap(b->world.log);
    EXPECT_INT(b->world.wakes, wakes + 1);
    EXPECT_INT(world_append(&b->world, 1), ST_OK);
    bench_free(b);
}

TEST(wlog_prepares_as_many_segments_as_a_huge_record_needs_and_wakes_its_writer)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    wlog_tick(b->world.log);
    EXPECT_INT(world_append(&b->world, 5000000), ST_WAIT);
    EXPECT_INT(b->world.wakes, 0);
    wlog_tick(b->world.log);
    EXPECT_INT(b->world.wakes, 1);
    EXPECT_INT(world_append(&b->world, 5000000), ST_OK);
    EXPECT_INT(wlog_sync_now(b->world.log), ST_OK);
    world_look(&b->world);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 5000000);
    bench_free(b);
}

TEST(wlog_gives_back_the_room_of_a_reservation_that_was_not_used)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    wlog_tick(b->world.log);
    unsigned held = 0;
    while (wlog_reserve(b->world.log, 4000) == ST_OK) {
        held++;
    }
    EXPECT(held > 5);
    for (unsigned i = 0; i < held; i++) {
        wlog_unreserve(b->world.log, 4000);
    }
    for (unsigned i = 0; i < held; i++) {
        EXPECT_INT(world_append(&b->world, 4000), ST_OK);
        wlog_flush(b->world.log);
    }
    bench_free(b);
}

TEST(wlog_answers_full_while_the_disk_is_full_changes_nothing_and_heals)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    wlog_tick(b->world.log);
    sim_disk_set_space(b->disk, sim_disk_used(b->disk) + 100);
    enum status status = ST_OK;
    unsigned count = 0;
    for (; count < 1000; count++) {
        status = world_append(&b->world, 5000);
        if (status == ST_WAIT) {
            wlog_tick(b->world.log);
            status = world_append(&b->world, 5000);
        }
        if (status != ST_OK) {
            break;
        }
        world_settle(&b->world);
    }
    EXPECT_INT(status, ST_FULL);
    EXPECT(count > 5);
    EXPECT_INT(wlog_durable(b->world.log), wlog_end(b->world.log));
    EXPECT(!wlog_dead(b->world.log));
    EXPECT(stats_of(b).prepare_failures > 0);
    EXPECT_INT(world_append(&b->world, 5000), ST_FULL);
    sim_disk_set_space(b->disk, UINT64_MAX);
    sim_disk_advance(b->disk, 200000);
    EXPECT_INT(world_append(&b->world, 5000), ST_FULL); /* But it asks for a try. */
    wlog_tick(b->world.log);
    EXPECT_INT(world_append(&b->world, 5000), ST_OK);
    world_settle(&b->world);
    sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 5000 * (uint64_t)(count + 1));
    bench_free(b);
}

/* A reservation beyond what the disk holds leaves the disk as it was. */
TEST(wlog_gives_space_back_after_a_reservation_that_no_disk_holds)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    wlog_tick(b->world.log);
    sim_disk_set_space(b->disk, sim_disk_used(b->disk) + (20 * 64 << 10));
    EXPECT_INT(wlog_reserve(b->world.log, 1 << 30), ST_WAIT);
    wlog_tick(b->world.log);
    EXPECT_INT(wlog_reserve(b->world.log, 1 << 30), ST_FULL);
    EXPECT(stats_of(b).segments <= 5);
    EXPECT_INT(world_append(&b->world, 100), ST_OK);
    EXPECT_INT(wlog_reserve(b->world.log, UINT64_MAX), ST_FULL);
    bench_free(b);
}

/* W4 */
TEST(wlog_is_dead_after_a_failed_flush_and_calls_nothing_durable_any_more)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    sim_disk_hold(b->disk, true);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(world_append(&b->world, 100), ST_OK);
        wlog_flush(b->world.log);
    }
    EXPECT(sim_disk_release(b->disk, 1, ST_IO));
    wlog_reap(b->world.log);
    EXPECT(wlog_dead(b->world.log));
    EXPECT_INT(b->world.wakes, 1);               /* Whoever waits hears of it. */
    EXPECT(sim_disk_release(b->disk, 0, ST_OK)); /* Before the failed one, but in flight with it. */
    EXPECT(sim_disk_release(b->disk, 0, ST_OK));
    wlog_reap(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    EXPECT_INT(wlog_reserve(b->world.log, 1), ST_IO);
    EXPECT_INT(wlog_sync_now(b->world.log), ST_IO);
    uint64_t end = wlog_end(b->world.log);
    struct bytes part = bytes_of_text("lost");
    EXPECT_INT(wlog_append(b->world.log, 4, &part, 1), end); /* Reserved before the death. */
    EXPECT_INT(wlog_end(b->world.log), end + 4);
    wlog_flush(b->world.log);
    wlog_tick(b->world.log);
    EXPECT_INT(stats_of(b).in_flight, 0);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    bench_free(b);
}

/* W4: a failed sync is never tried again. */
TEST(wlog_is_dead_after_a_failed_sync)
{
    struct bench *b = bench_new();
    b->world.options.sync = WLOG_SYNC_EVERYSEC;
    world_go(&b->world);
    wlog_tick(b->world.log);
    world_write(&b->world, 1000);
    world_settle(&b->world);
    sim_disk_advance(b->disk, 1100000);
    sim_disk_fail_after(b->disk, 1, ST_IO);
    wlog_tick(b->world.log);
    EXPECT(wlog_dead(b->world.log));
    wlog_tick(b->world.log);
    EXPECT_INT(wlog_durable(b->world.log), WLOG_LSN_FIRST);
    bench_free(b);
}

/* W1: the process dies, the power does not fail; what replay hands out must survive a later cut,
 * also when an fdatasync had failed and reads still see what the disk has not. */
TEST(wlog_makes_durable_what_it_replays)
{
    for (int failed_sync = 0; failed_sync < 2; failed_sync++) {
        struct bench *b = bench_new();
        b->world.options.sync = WLOG_SYNC_EVERYSEC;
        world_go(&b->world);
        wlog_tick(b->world.log);
        for (int i = 0; i < 10; i++) {
            world_write(&b->world, 3000);
            world_settle(&b->world);
        }
        if (failed_sync) {
            sim_disk_advance(b->disk, 1100000);
            sim_disk_fail_after(b->disk, 1, ST_IO);
            wlog_tick(b->world.log);
            EXPECT(wlog_dead(b->world.log));
        } else {
            sim_disk_fail_from(b->disk, 1, ST_IO); /* So that close cannot sync. */
        }
        world_close(&b->world, false);
        sim_disk_fail_from(b->disk, 0, ST_IO);
        EXPECT_INT(world_recover(&b->world), ST_OK);
        EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 30000);
        b->world.promised = b->world.replay_lsn; /* Readers have seen it. */
        EXPECT_INT(world_start(&b->world), ST_OK);
        sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
        bench_cut(b);
        EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 30000);
        bench_free(b);
    }
}

TEST(wlog_replays_from_the_trim_lsn_in_the_middle_of_a_frame)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    for (int i = 0; i < 30; i++) {
        world_write(&b->world, 5000);
        world_write(&b->world, 3000);
        world_settle(&b->world);
    }
    world_close(&b->world, true);
    uint64_t end = b->world.durable_lsn;
    for (uint64_t lsn = WLOG_LSN_FIRST; lsn <= end; lsn += 1777) {
        b->world.trim_lsn = lsn;
        EXPECT_INT(world_recover(&b->world), ST_OK);
        EXPECT_INT(b->world.replay_lsn, end);
        wlog_close(b->world.log);
        b->world.log = NULL;
    }
    b->world.trim_lsn = end;
    world_go(&b->world);
    EXPECT_INT(b->world.pieces, 0);
    bench_free(b);
}

static enum status stop_at_second(void *ctx, uint64_t lsn, struct bytes piece)
{
    unsigned *count = ctx;
    (void)lsn;
    (void)piece;
    return ++*count == 2 ? ST_LIMIT : ST_OK;
}

TEST(wlog_replay_returns_the_status_of_its_callback_and_may_run_again)
{
    struct bench *b = bench_new();
    world_go(&b->world);
    for (int i = 0; i < 3; i++) {
        world_write(&b->world, 500);
        world_settle(&b->world);
    }
    world_close(&b->world, true);
    EXPECT_INT(world_recover(&b->world), ST_OK);
    unsigned count = 0;
    EXPECT_INT(wlog_replay(b->world.log, stop_at_second, &count), ST_LIMIT);
    EXPECT_INT(count, 2);
    count = 10;
    EXPECT_INT(wlog_replay(b->world.log, stop_at_second, &count), ST_OK);
    EXPECT_INT(count, 13);
    bench_free(b);
}

TEST(wlog_start_answers_full_and_may_be_tried_again)
{
    struct bench *b = bench_new();
    EXPECT_INT(world_recover(&b->world), ST_OK);
    sim_disk_set_space(b->disk, 1000);
    EXPECT_INT(world_start(&b->world), ST_FULL);
    sim_disk_set_space(b->disk, UINT64_MAX);
    EXPECT_INT(wlog_start(b->world.log, 1, WLOG_LSN_FIRST), ST_OK);
    world_write(&b->world, 100);
    world_settle(&b->world);
    bench_cut(b);
    EXPECT_INT(b->world.replay_lsn, WLOG_LSN_FIRST + 100);
    bench_free(b);
}

TEST(wlog_writes_frames_at_whatever_alignment_the_file_asks_for)
{
    for (size_t alignment = 512; alignment <= 4096; alignment *= 2) {
        struct bench *b = bench_new();
        sim_disk_set_alignment(b->disk, alignment);
        world_go(&b->world);
        for (int i = 0; i < 200; i++) {
            world_write(&b->world, 1 + test_random_below(&b->world.chance, 6000));
            world_settle(&b->world);
        }
        EXPECT_INT(stats_of(b).flushed_bytes % alignment, 0);
        sim_disk_set_alignment(b->disk, 512); /* The next machine has another disk. */
        bench_cut(b);
        EXPECT_INT(b->world.replay_lsn, b->world.promised);
        bench_free(b);
    }
}

/* The room that reservations are promised always suffices, in whatever sizes the appends come and
 * however flushes cut them; wlog_rotate CHECKs it. */
TEST(wlog_never_runs_out_of_promised_room)
{
    uint64_t chance = test_seed() + 77;
    for (int round = 0; round < 200; round++) {
        struct bench *b = bench_new();
        b->world.chance = chance + (uint64_t)round;
        b->world.options.segment_size = (uint64_t)(64 + test_random_below(&chance, 100)) << 10;
        b->world.options.flushes_max = 1 + (unsigned)test_random_below(&chance, 8);
        b->world.options.rotate_ms = test_random_below(&chance, 2) * 3;
        sim_disk_set_reap(b->disk, SIM_REAP_SOME);
        sim_disk_set_alignment(b->disk, (size_t)512 << test_random_below(&chance, 4));
        world_go(&b->world);
        uint64_t held[8] = {0};
        unsigned count = 0;
        for (int step = 0; step < 300; step++) {
            switch (test_random_below(&chance, 6)) {
            case 0: /* Reserved now, appended later, or never. */
                held[count] = 1 + test_random_below(&chance, 9000);
                if (count < 7 && wlog_reserve(b->world.log, held[count]) == ST_OK) {
                    count++;
                }
                break;
            case 1:
                if (count > 0) {
                    count--;
                    wlog_unreserve(b->world.log, held[count]);
                }
                break;
            case 2:
                world_write(&b->world, 1 + test_random_below(&chance, 300));
                break;
            case 3:
                world_write(&b->world, 1 + test_random_below(&chance, 50000));
                break;
            case 4:
                sim_disk_advance(b->disk, 1000);
                wlog_tick(b->world.log);
                break;
            default:
                wlog_flush(b->world.log);
                wlog_reap(b->world.log);
            }
        }
        EXPECT_INT(wlog_sync_now(b->world.log), ST_OK);
        world_look(&b->world);
        sim_disk_set_crash(b->disk, SIM_CRASH_LOSE_ALL);
        bench_cut(b);
        bench_free(b);
    }
}
