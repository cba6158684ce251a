#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define SEEDS 200
#define BLOCK 4096

static struct io_file *open_file(struct sim_disk *disk, const char *path)
{
    struct io_file *file = NULL;
    EXPECT_INT(io_file_open(sim_disk_io(disk), path, IO_WRITE, &file), ST_OK);
    return file;
}

/* A file of count blocks of `byte`, durable with its name, open. */
static struct io_file *make_file(struct sim_disk *disk, const char *path, unsigned char byte,
                                 size_t size)
{
    struct io_file *file = open_file(disk, path);
    unsigned char *data = malloc(size);
    memset(data, byte, size);
    EXPECT_INT(io_file_write(file, data, size, 0), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    EXPECT_INT(io_dir_sync(sim_disk_io(disk), "."), ST_OK);
    free(data);
    return file;
}

/* Counts the bytes of that value in what is durable. */
static size_t count_raw(struct sim_disk *disk, const char *path, unsigned char byte)
{
    unsigned char data[4 * BLOCK];
    size_t size = sim_disk_read_raw(disk, path, data, sizeof(data), 0);
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += data[i] == byte;
    }
    return count;
}

static bool has_name(struct sim_disk *disk, const char *dir, const char *name)
{
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_INT(io_dir_list(sim_disk_io(disk), dir, &names, &count), ST_OK);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found |= strcmp(names[i].text, name) == 0;
    }
    free(names);
    return found;
}

struct landing {
    unsigned order[8];
    enum status statuses[8];
    unsigned count;
};

static void landed(struct io_request *write, enum status status)
{
    struct landing *landing = write->ctx;
    landing->statuses[landing->count] = status;
    landing->order[landing->count++] = (unsigned)(write->offset / BLOCK);
}

/* Writes of one block each, block i full of 'a' + i. */
struct burst {
    struct io_queue *queue;
    struct landing landing;
    struct io_request writes[4];
    unsigned char data[4][BLOCK];
};

static void burst_submit(struct burst *burst, struct sim_disk *disk, struct io_file *file,
                         bool durable)
{
    memset(burst, 0, sizeof(*burst));
    EXPECT_INT(io_queue_open(sim_disk_io(disk), 4, &burst->queue), ST_OK);
    for (unsigned i = 0; i < 4; i++) {
        memset(burst->data[i], 'a' + (int)i, BLOCK);
        burst->writes[i] = (struct io_request){.file = file,
                                               .data = burst->data[i],
                                               .size = BLOCK,
                                               .offset = i * BLOCK,
                                               .durable = durable,
                                               .done = landed,
                                               .ctx = &burst->landing};
        EXPECT_INT(io_queue_write(burst->queue, &burst->writes[i]), ST_OK);
    }
}

TEST(sim_disk_reads_back_what_was_written_at_any_offset)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = open_file(disk, "a");
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

TEST(sim_disk_answers_absent_for_names_that_are_not_there)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    struct io_file *file;
    struct io_name *names;
    size_t count;
    EXPECT_INT(io_file_open(io, "a", IO_READ, &file), ST_ABSENT);
    EXPECT_INT(io_file_open(io, "d/a", IO_WRITE, &file), ST_ABSENT);
    EXPECT_INT(io_rename(io, "a", "b"), ST_ABSENT);
    EXPECT_INT(io_unlink(io, "a"), ST_ABSENT);
    EXPECT_INT(io_dir_make(io, "d/e"), ST_ABSENT);
    EXPECT_INT(io_dir_sync(io, "d"), ST_ABSENT);
    EXPECT_INT(io_dir_list(io, "d", &names, &count), ST_ABSENT);
    EXPECT_INT(io_dir_make(io, "d/"), ST_OK);
    EXPECT_INT(io_dir_make(io, "./d"), ST_OK);
    EXPECT_INT(io_file_open(io, "d//a", IO_WRITE, &file), ST_OK);
    EXPECT(has_name(disk, "d", "a"));
    EXPECT(!has_name(disk, ".", "a"));
    io_file_close(file);
    sim_disk_free(disk);
}

/* D1 */
TEST(sim_disk_keeps_what_was_synced_over_every_crash)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        io_file_close(make_file(disk, "a", 'x', 3 * BLOCK));
        sim_disk_crash(disk);
        EXPECT_INT(sim_disk_size_raw(disk, "a"), 3 * BLOCK);
        EXPECT_INT(count_raw(disk, "a", 'x'), 3 * BLOCK);
        sim_disk_free(disk);
    }
}

/* D1: also over older, unsynced writes to the same bytes, and truncations. */
TEST(sim_disk_keeps_a_completed_durable_queue_write_over_every_crash)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = make_file(disk, "a", 'x', BLOCK);
        unsigned char old[3 * BLOCK + 100];
        memset(old, 'o', sizeof(old));
        EXPECT_INT(io_file_write(file, old, sizeof(old), 50), ST_OK);
        EXPECT_INT(io_file_truncate(file, 700), ST_OK);
        struct burst burst;
        burst_submit(&burst, disk, file, true);
        EXPECT_INT(io_queue_reap(burst.queue), 4);
        sim_disk_crash(disk);
        EXPECT_INT(sim_disk_size_raw(disk, "a"), 4 * BLOCK);
        for (unsigned i = 0; i < 4; i++) {
            EXPECT_INT(burst.landing.statuses[i], ST_OK);
            EXPECT_INT(count_raw(disk, "a", (unsigned char)('a' + i)), BLOCK);
        }
        io_file_close(file);
        io_queue_close(burst.queue);
        sim_disk_free(disk);
    }
}

/* D2: over the seeds, an unsynced write is seen whole, absent, in part, and torn in a sector. */
TEST(sim_disk_loses_keeps_and_tears_unsynced_writes)
{
    unsigned whole = 0, absent = 0, part = 0, torn = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = make_file(disk, "a", 'x', BLOCK);
        unsigned char data[BLOCK];
        memset(data, 'y', BLOCK);
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_OK);
        sim_disk_crash(disk);
        size_t count = count_raw(disk, "a", 'y');
        EXPECT_INT(count + count_raw(disk, "a", 'x'), BLOCK);
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
        struct io_file *file = make_file(disk, "a", 'x', 2 * SIM_SECTOR_SIZE);
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
        size_t ones = count_raw(disk, "a", '1');
        size_t twos = count_raw(disk, "a", '2');
        first_on_top += whole && ones == 2 * SIM_SECTOR_SIZE;
        second_on_top += whole && twos == SIM_SECTOR_SIZE;
        second_alone += twos == SIM_SECTOR_SIZE && ones == 0;
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(first_on_top > 5 && second_on_top > 5 && second_alone > 0);
}

/* D2: in flight, durable or not, is not completed. */
TEST(sim_disk_may_keep_or_lose_writes_in_flight)
{
    unsigned kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = make_file(disk, "a", 'x', 4 * BLOCK);
        struct burst burst;
        burst_submit(&burst, disk, file, true);
        sim_disk_crash(disk);
        kept += count_raw(disk, "a", 'b') == BLOCK;
        lost += count_raw(disk, "a", 'b') == 0;
        EXPECT_INT(io_queue_reap(burst.queue), 4);
        EXPECT_INT(burst.landing.statuses[0], ST_IO);
        EXPECT_INT(io_queue_reap(burst.queue), 0);
        io_file_close(file);
        io_queue_close(burst.queue);
        sim_disk_free(disk);
    }
    EXPECT(kept > 5 && lost > 5);
}

/* D1, D2 */
TEST(sim_disk_keeps_each_unsynced_name_or_not_and_synced_names_always)
{
    unsigned created = 0, renamed = 0, unlinked = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        io_file_close(make_file(disk, "from", 'f', 10));
        io_file_close(make_file(disk, "to", 't', 10));
        io_file_close(make_file(disk, "gone", 'g', 10));
        struct io_file *file = open_file(disk, "new");
        EXPECT_INT(io_file_write(file, "n", 1, 0), ST_OK);
        EXPECT_INT(io_file_sync(file), ST_OK);
        io_file_close(file);
        EXPECT_INT(io_rename(io, "from", "to"), ST_OK);
        EXPECT_INT(io_unlink(io, "gone"), ST_OK);
        bool sync = seed % 4 == 0;
        EXPECT(!sync || io_dir_sync(io, ".") == ST_OK);
        sim_disk_crash(disk);
        bool is_renamed = !has_name(disk, ".", "from");
        EXPECT(has_name(disk, ".", "to"));
        EXPECT_INT(count_raw(disk, "to", is_renamed ? 'f' : 't'), 10);
        EXPECT(!sync || (is_renamed && has_name(disk, ".", "new") && !has_name(disk, ".", "gone")));
        created += !sync && has_name(disk, ".", "new");
        renamed += !sync && is_renamed;
        unlinked += !sync && !has_name(disk, ".", "gone");
        sim_disk_free(disk);
    }
    EXPECT(created > 20 && created < 130);
    EXPECT(renamed > 20 && renamed < 130);
    EXPECT(unlinked > 20 && unlinked < 130);
}

TEST(sim_disk_renames_across_directories_durably_after_both_syncs)
{
    unsigned early = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        EXPECT_INT(io_dir_make(io, "/p"), ST_OK);
        EXPECT_INT(io_dir_make(io, "/q"), ST_OK);
        EXPECT_INT(io_dir_sync(io, "/"), ST_OK);
        io_file_close(open_file(disk, "/p/a"));
        EXPECT_INT(io_dir_sync(io, "/p"), ST_OK);
        EXPECT_INT(io_rename(io, "/p/a", "/q/b"), ST_OK);
        EXPECT_INT(io_dir_sync(io, "/q"), ST_OK);
        bool both = seed % 2 == 0;
        EXPECT(!both || io_dir_sync(io, "/p") == ST_OK);
        sim_disk_crash(disk);
        EXPECT(has_name(disk, "/p", "a") != has_name(disk, "/q", "b"));
        EXPECT(!both || has_name(disk, "/q", "b"));
        early += !both && has_name(disk, "/q", "b");
        sim_disk_free(disk);
    }
    EXPECT(early > 10 && early < 90);
}

TEST(sim_disk_loses_a_directory_that_was_not_synced_with_all_in_it)
{
    struct sim_disk *disk = sim_disk_new(3);
    struct io *io = sim_disk_io(disk);
    sim_disk_set_crash(disk, SIM_CRASH_LOSE_ALL);
    EXPECT_INT(io_dir_make(io, "/p"), ST_OK);
    io_file_close(open_file(disk, "/p/a"));
    EXPECT_INT(io_dir_sync(io, "/p"), ST_OK);
    sim_disk_crash(disk);
    struct io_file *file;
    EXPECT_INT(io_file_open(io, "/p/a", IO_READ, &file), ST_ABSENT);
    EXPECT_INT(io_dir_make(io, "/p"), ST_OK);
    EXPECT(!has_name(disk, "/p", "a"));
    sim_disk_free(disk);
}

TEST(sim_disk_crash_modes_lose_all_or_keep_all)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        sim_disk_set_crash(disk, SIM_CRASH_LOSE_ALL);
        struct io_file *file = make_file(disk, "a", 'x', BLOCK);
        EXPECT_INT(io_file_write(file, "yyyy", 4, 100), ST_OK);
        sim_disk_crash(disk);
        EXPECT_INT(count_raw(disk, "a", 'x'), BLOCK);
        io_file_close(file);
        sim_disk_set_crash(disk, SIM_CRASH_KEEP_ALL);
        file = open_file(disk, "a");
        EXPECT_INT(io_file_write(file, "yyyy", 4, 100), ST_OK);
        EXPECT_INT(io_file_write(file, "zz", 2, 101), ST_OK);
        sim_disk_crash(disk);
        EXPECT_INT(count_raw(disk, "a", 'z'), 2);
        EXPECT_INT(count_raw(disk, "a", 'y'), 2);
        io_file_close(file);
        sim_disk_free(disk);
    }
}

TEST(sim_disk_answers_io_on_files_and_queues_from_before_a_crash)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = make_file(disk, "a", 'x', BLOCK);
    EXPECT_INT(io_file_lock(file), ST_OK);
    struct burst burst;
    burst_submit(&burst, disk, file, true);
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
    EXPECT_INT(io_file_lock(file), ST_IO);
    EXPECT_INT(io_queue_reap(burst.queue), 4);
    EXPECT_INT(io_queue_write(burst.queue, &burst.writes[0]), ST_OK);
    EXPECT_INT(io_queue_reap(burst.queue), 1);
    EXPECT_INT(burst.landing.statuses[4], ST_IO);
    struct io_file *again = open_file(disk, "a");
    EXPECT_INT(io_file_lock(again), ST_OK);
    io_file_close(file);
    io_file_close(again);
    io_queue_close(burst.queue);
    sim_disk_free(disk);
}

/* D3 */
TEST(sim_disk_drops_dirty_data_for_good_when_a_sync_fails)
{
    unsigned dropped = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io_file *file = make_file(disk, "a", 'x', 10);
        EXPECT_INT(io_file_write(file, "yyyyyyyyyy", 10, 0), ST_OK);
        sim_disk_fail_after(disk, 1, ST_IO);
        EXPECT_INT(io_file_sync(file), ST_IO);
        char data[10];
        size_t got;
        EXPECT_INT(io_file_read(file, data, 10, 0, &got), ST_OK);
        EXPECT(memcmp(data, "yyyyyyyyyy", 10) == 0);
        EXPECT_INT(io_file_sync(file), ST_OK);
        dropped += count_raw(disk, "a", 'x') == 10;
        EXPECT_INT(io_file_write(file, "zz", 2, 0), ST_OK);
        EXPECT_INT(io_file_sync(file), ST_OK);
        EXPECT_INT(count_raw(disk, "a", 'z'), 2);
        io_file_close(file);
        sim_disk_free(disk);
    }
    EXPECT(dropped > 30 && dropped < 120);
}

static uint64_t checksum_of_a_life(uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    struct io_file *file = make_file(disk, "a", 'x', 4 * BLOCK);
    struct burst burst;
    sim_disk_set_reap(disk, SIM_REAP_SOME);
    burst_submit(&burst, disk, file, false);
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
        struct io_file *file = make_file(disk, "a", 'x', BLOCK);
        unsigned char data[BLOCK];
        memset(data, 'y', BLOCK);
        sim_disk_fail_after(disk, 2, ST_IO);
        EXPECT_INT(io_file_write(file, "x", 1, 0), ST_OK);
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_IO);
        EXPECT_INT(sim_disk_faults_met(disk), 1);
        EXPECT_INT(io_file_sync(file), ST_OK);
        size_t count = count_raw(disk, "a", 'y');
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
    struct io_file *a = open_file(disk, "a");
    struct io_file *b = open_file(disk, "b");
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
    struct io_file *file = make_file(disk, "a", 'x', 100);
    EXPECT_INT(io_file_prepare(file, BLOCK), ST_OK);
    sim_disk_crash(disk);
    EXPECT_INT(sim_disk_size_raw(disk, "a"), BLOCK);
    EXPECT_INT(count_raw(disk, "a", 0), BLOCK);
    io_file_close(file);
    sim_disk_free(disk);
}

TEST(sim_disk_reaps_in_order_reversed_shuffled_or_in_part)
{
    struct sim_disk *disk = sim_disk_new(5);
    struct io_file *file = make_file(disk, "a", 'x', BLOCK);
    struct burst burst;
    burst_submit(&burst, disk, file, true);
    EXPECT_INT(io_queue_write(burst.queue, &burst.writes[0]), ST_LIMIT);
    EXPECT_INT(burst.landing.count, 0);
    EXPECT_INT(count_raw(disk, "a", 'b'), 0);
    EXPECT_INT(io_queue_reap(burst.queue), 4);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_INT(burst.landing.order[i], i);
    }
    io_queue_close(burst.queue);
    sim_disk_set_reap(disk, SIM_REAP_REVERSED);
    burst_submit(&burst, disk, file, true);
    EXPECT_INT(io_queue_reap(burst.queue), 4);
    EXPECT_INT(burst.landing.order[0], 3);
    EXPECT_INT(burst.landing.order[3], 0);
    io_queue_close(burst.queue);
    unsigned firsts = 0, parts = 0;
    for (unsigned round = 0; round < 50; round++) {
        sim_disk_set_reap(disk, round % 2 == 0 ? SIM_REAP_SHUFFLED : SIM_REAP_SOME);
        burst_submit(&burst, disk, file, true);
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
    struct io_file *file = make_file(disk, "a", 'x', BLOCK);
    struct burst burst;
    sim_disk_hold(disk, true);
    burst_submit(&burst, disk, file, true);
    EXPECT_INT(io_queue_reap(burst.queue), 0);
    EXPECT_INT(sim_disk_in_flight(disk), 4);
    EXPECT(sim_disk_release(disk, 2, ST_OK));
    EXPECT(sim_disk_release(disk, 2, ST_IO)); /* Now block 3. */
    EXPECT(!sim_disk_release(disk, 2, ST_OK));
    EXPECT_INT(io_queue_reap(burst.queue), 2);
    EXPECT_INT(burst.landing.order[0], 2);
    EXPECT_INT(burst.landing.statuses[0], ST_OK);
    EXPECT_INT(burst.landing.statuses[1], ST_IO);
    EXPECT_INT(count_raw(disk, "a", 'c'), BLOCK);
    EXPECT_INT(count_raw(disk, "a", 'a'), 0);
    sim_disk_hold(disk, false);
    EXPECT_INT(io_queue_reap(burst.queue), 2);
    io_file_close(file);
    io_queue_close(burst.queue);
    sim_disk_free(disk);
}

TEST(sim_disk_corrupts_every_byte_and_fills_beyond_the_end)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = make_file(disk, "a", 'x', 100);
    sim_disk_corrupt(disk, "a", 10, 20);
    EXPECT_INT(count_raw(disk, "a", 'x'), 80);
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
    struct io_file *a = open_file(disk, "a");
    struct io_file *b = open_file(disk, "a");
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
