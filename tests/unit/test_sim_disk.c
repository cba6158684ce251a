#include "tests/lib/sim_check.h"
#include "tests/lib/test.h"

#include <stdlib.h>

TEST(sim_disk_reads_back_what_was_written_at_any_offset)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = sim_file_open(disk, "a");
    EXPECT_INT(io_file_write(file, "hello", 5, 1000), ST_OK);
    uint64_t size;
    EXPECT_INT(io_file_size(file, &size), ST_OK);
    EXPECT_INT(size, 1005);
    char data[10];
    size_t got;
    EXPECT_INT(io_file_read(file, data, 10, 998, &got), ST_OK);
    EXPECT_INT(got, 7);
    EXPECT(memcmp(data, "\0\0hello", 7) == 0);
    EXPECT_INT(io_file_read(file, data, 10, 5000, &got), ST_OK);
    EXPECT_INT(got, 0);
    EXPECT_INT(io_file_truncate(file, 1002), ST_OK);
    EXPECT_INT(io_file_truncate(file, 1005), ST_OK);
    EXPECT_INT(io_file_read(file, data, 10, 1000, &got), ST_OK);
    EXPECT(got == 5 && memcmp(data, "he\0\0\0", 5) == 0);
    io_file_close(file);
    sim_disk_free(disk);
}

/* D1 */
TEST(sim_disk_keeps_what_was_synced_over_every_crash)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        io_file_close(sim_file_make(disk, "a", 'x', 3 * BLOCK));
        sim_disk_crash(disk);
        EXPECT_INT(sim_disk_size_raw(disk, "a"), 3 * BLOCK);
        EXPECT_INT(sim_count_raw(disk, "a", 'x'), 3 * BLOCK);
        sim_disk_free(disk);
    }
}

/* D2: over the seeds, an unsynced write is seen whole, absent, in part, and torn in a sector. */
TEST(sim_disk_loses_keeps_and_tears_unsynced_writes)
{
    unsigned whole = 0, absent = 0, part = 0, torn = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
        unsigned char data[BLOCK];
        memset(data, 'y', BLOCK);
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_OK);
        sim_disk_crash(disk);
        size_t count = sim_count_raw(disk, "a", 'y');
        EXPECT_INT(count + sim_count_raw(disk, "a", 'x'), BLOCK);
        whole += count == BLOCK;
        absent += count == 0;
        part += count > 0 && count < BLOCK && count % SIM_SECTOR_SIZE == 0;
        torn += count % SIM_SECTOR_SIZE != 0;
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(whole > 5 && absent > 5 && part > 5 && torn > 5);
}

/* D2: where a crash lost nothing, the earlier of two unsynced writes is on top all the same. */
TEST(sim_disk_reorders_unsynced_writes)
{
    unsigned first_on_top = 0, second_on_top = 0, second_alone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', 2 * SIM_SECTOR_SIZE);
        char data[SIM_SECTOR_SIZE];
        memset(data, '1', sizeof(data));
        EXPECT_INT(io_file_write(file, data, sizeof(data), 0), ST_OK);
        EXPECT_INT(io_file_write(file, data, sizeof(data), SIM_SECTOR_SIZE), ST_OK);
        memset(data, '2', sizeof(data));
        EXPECT_INT(io_file_write(file, data, sizeof(data), SIM_SECTOR_SIZE), ST_OK);
        sim_disk_crash(disk);
        struct sim_disk_stats stats;
        sim_disk_get_stats(disk, &stats);
        bool whole = stats.sectors_lost + stats.sectors_torn == 0;
        size_t ones = sim_count_raw(disk, "a", '1');
        size_t twos = sim_count_raw(disk, "a", '2');
        first_on_top += whole && ones == 2 * SIM_SECTOR_SIZE;
        second_on_top += whole && twos == SIM_SECTOR_SIZE;
        second_alone += twos == SIM_SECTOR_SIZE && ones == 0;
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(first_on_top > 5 && second_on_top > 5 && second_alone > 0);
}

TEST(sim_disk_crash_modes_lose_all_or_keep_all)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        sim_disk_set_crash(disk, SIM_CRASH_LOSE_ALL);
        struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
        EXPECT_INT(io_file_write(file, "yyyy", 4, 100), ST_OK);
        sim_disk_crash(disk);
        EXPECT_INT(sim_count_raw(disk, "a", 'x'), BLOCK);
        io_file_close(file);
        sim_disk_set_crash(disk, SIM_CRASH_KEEP_ALL);
        file = sim_file_open(disk, "a");
        EXPECT_INT(io_file_write(file, "yyyy", 4, 100), ST_OK);
        EXPECT_INT(io_file_write(file, "zz", 2, 101), ST_OK);
        sim_disk_crash(disk);
        EXPECT_INT(sim_count_raw(disk, "a", 'z'), 2);
        EXPECT_INT(sim_count_raw(disk, "a", 'y'), 2);
        io_file_close(file);
        sim_disk_free(disk);
    }
}

TEST(sim_disk_answers_io_on_files_and_queues_from_before_a_crash)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
    EXPECT_INT(io_file_lock(file), ST_OK);
    struct burst burst;
    burst_write(&burst, disk, file, true);
    sim_disk_hold(disk, true);
    sim_disk_crash(disk);
    uint64_t size;
    size_t got;
    char byte = 0;
    EXPECT_INT(io_file_size(file, &size), ST_IO);
    EXPECT_INT(io_file_read(file, &byte, 1, 0, &got), ST_IO);
    EXPECT_INT(io_file_write(file, &byte, 1, 0), ST_IO);
    EXPECT_INT(io_file_sync(file), ST_IO);
    EXPECT_INT(io_file_prepare(file, 10), ST_IO);
    EXPECT_INT(io_file_truncate(file, 10), ST_IO);
    EXPECT_INT(io_file_punch(file, 0, 10), ST_IO);
    EXPECT_INT(io_file_lock(file), ST_IO);
    EXPECT_INT(io_queue_reap(burst.queue), 4);
    EXPECT_INT(io_queue_write(burst.queue, &burst.requests[0]), ST_OK);
    EXPECT_INT(io_queue_reap(burst.queue), 1);
    EXPECT_INT(burst.landing.statuses[4], ST_IO);
    struct io_file *again = sim_file_open(disk, "a");
    EXPECT_INT(io_file_lock(again), ST_OK);
    io_file_close(file);
    io_file_close(again);
    io_queue_close(burst.queue);
    sim_disk_free(disk);
}

TEST(sim_disk_that_is_off_answers_io_and_stays_as_it_is)
{
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct io *io = sim_disk_io(disk);
    struct io_file *file = NULL;
    EXPECT_INT(io_file_open(io, "a", IO_WRITE, &file), ST_OK);
    EXPECT_INT(io_file_write(file, "one", 3, 0), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    EXPECT_INT(io_dir_sync(io, "."), ST_OK);
    sim_disk_crash(disk);
    sim_disk_set_off(disk, true);
    struct io_file *other = NULL;
    EXPECT_INT(io_file_write(file, "two", 3, 0), ST_IO);
    EXPECT_INT(io_file_open(io, "b", IO_WRITE, &other), ST_IO);
    EXPECT_INT(io_rename(io, "a", "b"), ST_IO);
    EXPECT_INT(io_unlink(io, "a"), ST_IO);
    EXPECT_INT(io_dir_sync(io, "."), ST_IO);
    io_file_close(file);
    sim_disk_set_off(disk, false);
    EXPECT_INT(sim_disk_faults_met(disk), 0);
    char text[4] = "";
    EXPECT_INT(sim_disk_read_raw(disk, "a", text, 3, 0), 3);
    EXPECT_TEXT(text, "one");
    EXPECT_INT(io_file_open(io, "b", IO_READ, &other), ST_ABSENT);
    sim_disk_free(disk);
}

/* D3 */
TEST(sim_disk_drops_dirty_data_for_good_when_a_sync_fails)
{
    unsigned dropped = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', 10);
        EXPECT_INT(io_file_write(file, "yyyyyyyyyy", 10, 0), ST_OK);
        sim_disk_fail_after(disk, 1, ST_IO);
        EXPECT_INT(io_file_sync(file), ST_IO);
        char data[10];
        size_t got;
        EXPECT_INT(io_file_read(file, data, 10, 0, &got), ST_OK);
        EXPECT(memcmp(data, "yyyyyyyyyy", 10) == 0);
        EXPECT_INT(io_file_sync(file), ST_OK);
        dropped += sim_count_raw(disk, "a", 'x') == 10;
        EXPECT_INT(io_file_write(file, "zz", 2, 0), ST_OK);
        EXPECT_INT(io_file_sync(file), ST_OK);
        EXPECT_INT(sim_count_raw(disk, "a", 'z'), 2);
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(dropped > 30 && dropped < 120);
}

static uint64_t checksum_of_a_life(uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    struct io_file *file = sim_file_make(disk, "a", 'x', 4 * BLOCK);
    struct burst burst;
    sim_disk_set_reap(disk, SIM_REAP_SOME);
    burst_write(&burst, disk, file, false);
    unsigned reaped = io_queue_reap(burst.queue);
    sim_disk_crash(disk);
    uint64_t sum = reaped;
    unsigned char data[4 * BLOCK];
    size_t size = sim_disk_read_raw(disk, "a", data, sizeof(data), 0);
    for (size_t i = 0; i < size; i++) {
        sum = sum * 31 + data[i];
    }
    io_file_close(file);
    io_queue_close(burst.queue);
    sim_disk_free(disk);
    return sum;
}

/* D4 */
TEST(sim_disk_does_the_same_for_the_same_seed)
{
    unsigned different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        EXPECT(checksum_of_a_life(seed) == checksum_of_a_life(seed));
        different += checksum_of_a_life(seed) != checksum_of_a_life(seed + 1);
    }
    EXPECT(different > 10);
}

/* D5 */
TEST(sim_disk_may_write_some_of_a_failed_write)
{
    unsigned some = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
        unsigned char data[BLOCK];
        memset(data, 'y', BLOCK);
        sim_disk_fail_after(disk, 2, ST_IO);
        EXPECT_INT(io_file_write(file, "x", 1, 0), ST_OK);
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_IO);
        EXPECT_INT(sim_disk_faults_met(disk), 1);
        EXPECT_INT(io_file_sync(file), ST_OK);
        size_t count = sim_count_raw(disk, "a", 'y');
        some += count > 0 && count < BLOCK;
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(some > 30);
}

TEST(sim_disk_full_refuses_growth_and_allows_overwrites)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    sim_disk_set_space(disk, 10000);
    struct io_file *a = sim_file_open(disk, "a");
    struct io_file *b = sim_file_open(disk, "b");
    unsigned char data[BLOCK] = {1};
    EXPECT_INT(io_file_prepare(a, 8000), ST_OK);
    EXPECT_INT(sim_disk_used(disk), 8000);
    EXPECT_INT(io_file_write(b, data, BLOCK, 0), ST_FULL);
    EXPECT_INT(io_file_prepare(b, BLOCK), ST_FULL);
    EXPECT(sim_disk_used(disk) <= 10000);
    EXPECT_INT(io_file_truncate(b, BLOCK), ST_FULL);
    EXPECT_INT(io_file_write(a, data, BLOCK, 1000), ST_OK);
    EXPECT_INT(io_unlink(io, "a"), ST_OK);
    EXPECT_INT(io_file_truncate(b, 0), ST_OK);
    EXPECT_INT(io_file_write(b, data, BLOCK, 0), ST_FULL); /* Still open. */
    io_file_close(a);
    EXPECT_INT(io_file_write(b, data, BLOCK, 0), ST_OK);
    sim_disk_set_space(disk, 0);
    EXPECT_INT(io_file_write(b, data, BLOCK, 0), ST_OK);
    EXPECT_INT(io_file_write(b, data, BLOCK, BLOCK), ST_FULL);
    io_file_close(b);
    sim_disk_free(disk);
}

TEST(sim_disk_prepares_zeros_durably)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = sim_file_make(disk, "a", 'x', 100);
    EXPECT_INT(io_file_prepare(file, BLOCK), ST_OK);
    sim_disk_crash(disk);
    EXPECT_INT(sim_disk_size_raw(disk, "a"), BLOCK);
    EXPECT_INT(sim_count_raw(disk, "a", 0), BLOCK);
    io_file_close(file);
    sim_disk_free(disk);
}

static bool holds(struct io_file *file, uint64_t offset, size_t size, unsigned char byte)
{
    unsigned char data[4 * BLOCK];
    size_t got = 0;
    EXPECT_INT(io_file_read(file, data, size, offset, &got), ST_OK);
    bool same = got == size;
    for (size_t i = 0; i < got; i++) {
        same &= data[i] == byte;
    }
    return same;
}

/* D1, D2 */
TEST(sim_disk_punches_zeros_that_last_after_a_sync)
{
    unsigned kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', 3 * BLOCK);
        EXPECT_INT(io_file_punch(file, BLOCK - 10, 20), ST_OK);
        EXPECT_INT(io_file_sync(file), ST_OK);
        EXPECT_INT(io_file_punch(file, 2 * BLOCK, 100 * BLOCK), ST_OK);
        EXPECT_INT(io_file_punch(file, 50 * BLOCK, BLOCK), ST_OK);
        uint64_t size;
        EXPECT_INT(io_file_size(file, &size), ST_OK);
        EXPECT_INT(size, 3 * BLOCK);
        EXPECT(holds(file, 0, BLOCK - 10, 'x') && holds(file, BLOCK - 10, 20, 0));
        EXPECT(holds(file, BLOCK + 10, BLOCK - 10, 'x') && holds(file, 2 * BLOCK, BLOCK, 0));
        sim_disk_crash(disk);
        io_file_close(file);
        size_t zeros = sim_count_raw(disk, "a", 0);
        EXPECT_INT(zeros + sim_count_raw(disk, "a", 'x'), 3 * BLOCK);
        EXPECT(zeros >= 20);
        kept += zeros == BLOCK + 20;
        lost += zeros == 20;
        sim_disk_free(disk);
    }
    EXPECT(kept > 5 && lost > 5);
}

/* D5 */
TEST(sim_disk_may_punch_some_of_a_failed_punch)
{
    unsigned some = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
        sim_disk_fail_after(disk, 1, ST_IO);
        EXPECT_INT(io_file_punch(file, 0, BLOCK), ST_IO);
        EXPECT_INT(io_file_sync(file), ST_OK);
        size_t zeros = sim_count_raw(disk, "a", 0);
        some += zeros > 0 && zeros < BLOCK;
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(some > 30);
}

TEST(sim_disk_that_is_poor_knows_no_holes_and_no_links)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    sim_disk_set_poor(disk, true);
    struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
    EXPECT_INT(io_file_punch(file, 0, BLOCK), ST_OK);
    EXPECT(holds(file, 0, BLOCK, 'x'));
    bool linked = true;
    EXPECT_INT(io_link(io, "a", "b", &linked), ST_OK);
    EXPECT(!linked && !sim_has_name(disk, ".", "b"));
    EXPECT_INT(io_link(io, "c", "b", &linked), ST_ABSENT);
    io_file_close(file);
    sim_disk_free(disk);
}

TEST(sim_disk_corrupts_every_byte_and_fills_beyond_the_end)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = sim_file_make(disk, "a", 'x', 100);
    sim_disk_corrupt(disk, "a", 10, 20);
    EXPECT_INT(sim_count_raw(disk, "a", 'x'), 80);
    sim_disk_corrupt(disk, "a", 99, 20);
    EXPECT_INT(sim_disk_size_raw(disk, "a"), 100);
    sim_disk_fill(disk, "a", 200, bytes_of("old", 3));
    char data[3];
    size_t got;
    EXPECT_INT(io_file_read(file, data, 3, 200, &got), ST_OK);
    EXPECT(got == 3 && memcmp(data, "old", 3) == 0);
    sim_disk_crash(disk);
    EXPECT_INT(sim_disk_size_raw(disk, "a"), 203);
    io_file_close(file);
    sim_disk_free(disk);
}

TEST(sim_disk_locks_a_file_for_one_handle)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *a = sim_file_open(disk, "a");
    struct io_file *b = sim_file_open(disk, "a");
    EXPECT_INT(io_file_lock(a), ST_OK);
    EXPECT_INT(io_file_lock(b), ST_BUSY);
    io_file_close(a);
    EXPECT_INT(io_file_lock(b), ST_OK);
    io_file_close(b);
    sim_disk_free(disk);
}

TEST(sim_disk_clocks_move_only_when_told)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    EXPECT_INT(io_now_us(io), 1000000);
    EXPECT_INT(io_wall_ms(io), 1700000000000ll);
    sim_disk_advance(disk, 2500);
    EXPECT_INT(io_now_us(io), 1002500);
    EXPECT_INT(io_wall_ms(io), 1700000000002ll);
    sim_disk_free(disk);
}

static unsigned steps_of_three(struct io *io)
{
    struct io_file *file;
    if (io_file_open(io, "a", IO_WRITE, &file) != ST_OK) {
        return 0;
    }
    unsigned done = 1;
    if (io_file_write(file, "x", 1, 0) == ST_OK) {
        done++;
        done += io_file_sync(file) == ST_OK;
    }
    io_file_close(file);
    return done;
}

TEST(sim_disk_fault_loop_fails_each_call_in_turn_and_ends_without_a_fault)
{
    unsigned rounds = 0;
    unsigned expected[] = {0, 1, 2, 3, 0, 1, 3, 0, 1, 2, 3};
    FOR_EACH_FAULT(disk)
    {
        EXPECT(rounds < 11);
        EXPECT_INT(steps_of_three(sim_disk_io(disk)), expected[rounds]);
        rounds++;
    }
    EXPECT_INT(rounds, 11);
}
