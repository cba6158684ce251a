#include "tests/lib/sim_check.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

/* D1: also over older, unsynced writes to the same bytes, and truncations. */
TEST(sim_disk_keeps_a_completed_durable_queue_write_over_every_crash)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
        unsigned char old[3 * BLOCK + 100];
        memset(old, 'o', sizeof(old));
        EXPECT_INT(io_file_write(file, old, sizeof(old), 50), ST_OK);
        EXPECT_INT(io_file_truncate(file, 700), ST_OK);
        struct burst burst;
        burst_write(&burst, disk, file, true);
        EXPECT_INT(io_queue_reap(burst.queue), 4);
        sim_disk_crash(disk);
        EXPECT_INT(sim_disk_size_raw(disk, "a"), 4 * BLOCK);
        for (unsigned i = 0; i < 4; i++) {
            EXPECT_INT(burst.landing.statuses[i], ST_OK);
            EXPECT_INT(sim_count_raw(disk, "a", (unsigned char)('a' + i)), BLOCK);
        }
        burst_end(&burst, file);
    }
}

/* D2: in flight, durable or not, is not completed. */
TEST(sim_disk_may_keep_or_lose_writes_in_flight)
{
    unsigned kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = sim_file_make(disk, "a", 'x', 4 * BLOCK);
        struct burst burst;
        burst_write(&burst, disk, file, true);
        sim_disk_crash(disk);
        kept += sim_count_raw(disk, "a", 'b') == BLOCK;
        lost += sim_count_raw(disk, "a", 'b') == 0;
        EXPECT_INT(io_queue_reap(burst.queue), 4);
        EXPECT_INT(burst.landing.statuses[0], ST_IO);
        EXPECT_INT(io_queue_reap(burst.queue), 0);
        burst_end(&burst, file);
    }
    EXPECT(kept > 5 && lost > 5);
}

TEST(sim_disk_reaps_in_order_reversed_shuffled_or_in_part)
{
    struct sim_disk *disk = sim_disk_new(5);
    struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
    struct burst burst;
    burst_write(&burst, disk, file, true);
    EXPECT_INT(io_queue_write(burst.queue, &burst.requests[0]), ST_LIMIT);
    EXPECT_INT(burst.landing.count, 0);
    EXPECT_INT(sim_count_raw(disk, "a", 'b'), 0);
    EXPECT_INT(io_queue_reap(burst.queue), 4);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_INT(burst.landing.order[i], i);
    }
    io_queue_close(burst.queue);
    sim_disk_set_reap(disk, SIM_REAP_REVERSED);
    burst_write(&burst, disk, file, true);
    EXPECT_INT(io_queue_reap(burst.queue), 4);
    EXPECT_INT(burst.landing.order[0], 3);
    EXPECT_INT(burst.landing.order[3], 0);
    io_queue_close(burst.queue);
    unsigned firsts = 0, parts = 0;
    for (unsigned round = 0; round < 50; round++) {
        sim_disk_set_reap(disk, round % 2 == 0 ? SIM_REAP_SHUFFLED : SIM_REAP_SOME);
        burst_write(&burst, disk, file, true);
        unsigned reaped = io_queue_reap(burst.queue);
        EXPECT(round % 2 == 0 ? reaped == 4 : reaped >= 1);
        parts += reaped < 4;
        firsts |= 1u << burst.landing.order[0];
        io_queue_close(burst.queue);
        EXPECT_INT(burst.landing.count, reaped); /* A close calls nobody. */
    }
    EXPECT_INT(firsts, 15);
    EXPECT(parts > 5);
    io_file_close(file);
    sim_disk_free(disk);
}

TEST(sim_disk_held_completes_only_what_is_released)
{
    struct sim_disk *disk = sim_disk_new(5);
    struct io_file *file = sim_file_make(disk, "a", 'x', BLOCK);
    struct burst burst;
    sim_disk_hold(disk, true);
    burst_write(&burst, disk, file, true);
    EXPECT_INT(io_queue_reap(burst.queue), 0);
    EXPECT_INT(sim_disk_in_flight(disk), 4);
    EXPECT(sim_disk_release(disk, 2, ST_OK));
    EXPECT(sim_disk_release(disk, 2, ST_IO)); /* Now block 3. */
    EXPECT(!sim_disk_release(disk, 2, ST_OK));
    EXPECT_INT(io_queue_reap(burst.queue), 2);
    EXPECT_INT(burst.landing.order[0], 2);
    EXPECT_INT(burst.landing.statuses[0], ST_OK);
    EXPECT_INT(burst.landing.statuses[1], ST_IO);
    EXPECT_INT(sim_count_raw(disk, "a", 'c'), BLOCK);
    EXPECT_INT(sim_count_raw(disk, "a", 'a'), 0);
    sim_disk_hold(disk, false);
    EXPECT_INT(io_queue_reap(burst.queue), 2);
    burst_end(&burst, file);
}

/* -- Reads ------------------------------------------------------------------------------------- */

/* A file of four blocks, block i full of 'A' + i. */
static struct io_file *lettered(struct sim_disk *disk)
{
    struct io_file *file = sim_file_make(disk, "a", 'A', 4 * BLOCK);
    unsigned char data[BLOCK];
    for (int i = 1; i < 4; i++) {
        memset(data, 'A' + i, BLOCK);
        EXPECT_INT(io_file_write(file, data, BLOCK, (uint64_t)i * BLOCK), ST_OK);
    }
    EXPECT_INT(io_file_sync(file), ST_OK);
    return file;
}

static bool is_all(const unsigned char *data, size_t size, unsigned char byte)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != byte) {
            return false;
        }
    }
    return true;
}

TEST(sim_disk_reads_begin_with_a_start_and_complete_at_a_reap_in_every_order)
{
    struct sim_disk *disk = sim_disk_new(5);
    struct io_file *file = lettered(disk);
    struct burst burst;
    unsigned firsts = 0;
    for (unsigned round = 0; round < 60; round++) {
        enum sim_reap mode = (enum sim_reap)(round % 4);
        sim_disk_set_reap(disk, mode);
        burst_read(&burst, disk, file);
        EXPECT_INT(io_queue_read(burst.queue, &burst.requests[0]), ST_LIMIT);
        EXPECT_INT(io_queue_reap(burst.queue), 0);
        EXPECT_INT(sim_disk_in_flight(disk), 0);
        io_queue_start(burst.queue);
        EXPECT_INT(sim_disk_in_flight(disk), 4);
        EXPECT_INT(burst.landing.count, 0);
        EXPECT(burst.data[0][0] != 'A' && burst.data[0][0] != 'a'); /* Rubbish. */
        unsigned reaped = io_queue_reap(burst.queue);
        EXPECT(mode == SIM_REAP_SOME ? reaped >= 1 : reaped == 4);
        while (reaped < 4) {
            reaped += io_queue_reap(burst.queue);
        }
        EXPECT(mode != SIM_REAP_IN_ORDER || burst.landing.order[0] == 0);
        EXPECT(mode != SIM_REAP_REVERSED || burst.landing.order[0] == 3);
        firsts |= mode == SIM_REAP_SHUFFLED ? 1u << burst.landing.order[0] : 0;
        for (unsigned i = 0; i < 4; i++) {
            EXPECT_INT(burst.landing.statuses[i], ST_OK);
            EXPECT_INT(burst.requests[i].size_done, BLOCK);
            EXPECT(is_all(burst.data[i], BLOCK, (unsigned char)('A' + i)));
        }
        io_queue_close(burst.queue);
    }
    EXPECT_INT(firsts, 15);
    io_file_close(file);
    sim_disk_free(disk);
}

TEST(sim_disk_reads_past_the_end_tell_what_there_was)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = lettered(disk);
    EXPECT_INT(io_file_truncate(file, 2 * BLOCK + 100), ST_OK);
    struct burst burst;
    burst_read(&burst, disk, file);
    burst_complete(&burst);
    EXPECT_INT(burst.requests[1].size_done, BLOCK);
    EXPECT_INT(burst.requests[2].size_done, 100);
    EXPECT(is_all(burst.data[2], 100, 'C'));
    EXPECT_INT(burst.requests[3].size_done, 0);
    EXPECT_INT(burst.landing.statuses[3], ST_OK);
    burst_end(&burst, file);
}

TEST(sim_disk_reads_see_what_landed_before_them)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = lettered(disk);
    struct burst reads, writes;
    burst_read(&reads, disk, file);
    io_queue_start(reads.queue);
    burst_write(&writes, disk, file, false);
    EXPECT_INT(io_queue_reap(writes.queue), 4);
    EXPECT_INT(io_queue_reap(reads.queue), 4);
    EXPECT(is_all(reads.data[3], BLOCK, 'd'));
    io_queue_close(reads.queue);
    io_queue_close(writes.queue);
    io_file_close(file);
    sim_disk_free(disk);
}

TEST(sim_disk_reads_fail_with_rubbish_when_their_turn_comes)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = lettered(disk);
    struct burst burst;
    sim_disk_fail_after(disk, 4, ST_IO); /* The queue's opening is the first call. */
    burst_read(&burst, disk, file);
    EXPECT_INT(sim_disk_faults_met(disk), 1);
    burst_complete(&burst);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_INT(burst.landing.statuses[i], i == 2 ? ST_IO : ST_OK);
        EXPECT(is_all(burst.data[i], BLOCK, (unsigned char)('A' + i)) == (i != 2));
    }
    io_queue_close(burst.queue);
    sim_disk_fail_from(disk, 1, ST_FULL); /* Reads need no space. */
    burst_read(&burst, disk, file);
    burst_complete(&burst);
    EXPECT_INT(burst.landing.statuses[0], ST_OK);
    EXPECT_INT(sim_disk_faults_met(disk), 1);
    burst_end(&burst, file);
}

TEST(sim_disk_held_completes_reads_as_they_are_released)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = lettered(disk);
    struct burst burst;
    sim_disk_hold(disk, true);
    burst_read(&burst, disk, file);
    EXPECT(!sim_disk_release(disk, 0, ST_OK)); /* Not begun. */
    io_queue_start(burst.queue);
    EXPECT(sim_disk_release(disk, 3, ST_OK));
    EXPECT(sim_disk_release(disk, 0, ST_IO));
    EXPECT_INT(io_queue_reap(burst.queue), 2);
    EXPECT_INT(burst.landing.order[0], 0);
    EXPECT_INT(burst.landing.statuses[0], ST_IO);
    EXPECT_INT(burst.landing.order[1], 3);
    EXPECT(is_all(burst.data[3], BLOCK, 'D'));
    EXPECT_INT(sim_disk_in_flight(disk), 2);
    io_queue_close(burst.queue);
    EXPECT_INT(burst.landing.count, 2);
    io_file_close(file);
    sim_disk_free(disk);
}

/* A read that begins `shift` bytes behind an aligned place of memory. */
struct shifted {
    struct burst *burst;
    bool queued;
    size_t shift, size;
    uint64_t offset;
};

static void read_shifted(void *ctx)
{
    const struct shifted *shifted = ctx;
    char *data = aligned_alloc(BLOCK, (size_t)2 * BLOCK);
    struct io_request read = shifted->burst->requests[0];
    read.data = data + shifted->shift;
    read.size = shifted->size;
    read.offset = shifted->offset;
    size_t got;
    (void)(shifted->queued ? io_queue_read(shifted->burst->queue, &read)
                           : io_file_read(read.file, read.data, read.size, read.offset, &got));
}

static bool read_aborts(struct burst *burst, bool queued, size_t shift, size_t size,
                        uint64_t offset)
{
    struct shifted shifted = {burst, queued, shift, size, offset};
    return test_aborts(read_shifted, &shifted);
}

TEST(sim_disk_checks_that_direct_reads_are_aligned)
{
    struct sim_disk *disk = sim_disk_new(1);
    io_file_close(lettered(disk));
    sim_disk_set_alignment(disk, 1024);
    struct io_file *file = NULL;
    EXPECT_INT(io_file_open(sim_disk_io(disk), "a", IO_READ_DIRECT, &file), ST_OK);
    struct burst burst = {.disk = disk, .requests[0] = {.file = file, .done = burst_landed}};
    EXPECT_INT(io_queue_open(sim_disk_io(disk), 4, &burst.queue), ST_OK);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(!read_aborts(&burst, i == 1, 1024, 1024, 1024));
        EXPECT(read_aborts(&burst, i == 1, 512, 1024, 0));
        EXPECT(read_aborts(&burst, i == 1, 0, 512, 0));
        EXPECT(read_aborts(&burst, i == 1, 0, 1024, 512));
    }
    burst_end(&burst, file);
}

TEST(sim_disk_reads_give_what_was_corrupted)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = lettered(disk);
    struct burst burst;
    sim_disk_corrupt(disk, "a", BLOCK + 17, 1);
    burst_read(&burst, disk, file);
    burst_complete(&burst);
    EXPECT_INT(burst.landing.statuses[1], ST_OK);
    EXPECT(burst.data[1][17] != 'B');
    EXPECT(is_all(burst.data[1], 17, 'B') && is_all(burst.data[1] + 18, BLOCK - 18, 'B'));
    EXPECT(is_all(burst.data[2], BLOCK, 'C'));
    burst_end(&burst, file);
}

TEST(sim_disk_reads_from_before_a_crash_end_with_io_begun_or_not)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = lettered(disk);
    struct burst begun, prepared;
    burst_read(&begun, disk, file);
    io_queue_start(begun.queue);
    burst_read(&prepared, disk, file);
    sim_disk_crash(disk);
    EXPECT_INT(sim_count_raw(disk, "a", 'B'), BLOCK);
    EXPECT_INT(io_queue_reap(begun.queue), 4);
    EXPECT_INT(io_queue_reap(prepared.queue), 4);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_INT(begun.landing.statuses[i], ST_IO);
        EXPECT_INT(prepared.landing.statuses[i], ST_IO);
    }
    io_queue_close(begun.queue);
    io_queue_close(prepared.queue);
    io_file_close(file);
    sim_disk_free(disk);
}
