/* The log on a disk that fails, loses power and rots. The unit test is test_wlog.c. */
#include "engine/wlog/wlog.h"

#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"
#include "tests/lib/wlog_world.h"

#include <stdio.h>
#include <stdlib.h>

/* Seeds of the power cut loops; WLOG_SEEDS=n in the environment runs more. */
static unsigned seeds(unsigned usual)
{
    const char *given = getenv("WLOG_SEEDS");
    return given != NULL ? (unsigned)strtoul(given, NULL, 10) : usual;
}

static struct world *world_new(struct sim_disk *disk, uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    world_init(world, sim_disk_io(disk), "/store", seed);
    return world;
}

static void world_free(struct world *world)
{
    world_deinit(world);
    free(world);
}

static void store_make(struct sim_disk *disk)
{
    EXPECT_INT(io_dir_make(sim_disk_io(disk), "/store"), ST_OK);
    EXPECT_INT(io_dir_sync(sim_disk_io(disk), "/"), ST_OK);
}

/* Some of everything; goes on whatever the log answers. */
static void some_work(struct world *world, struct sim_disk *disk, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        enum status status;
        uint64_t size = test_random_below(&world->chance, 3) == 0 ? 30000 : 300;
        switch (test_random_below(&world->chance, 8)) {
        case 0:
            wlog_tick(world->log);
            break;
        case 1:
            wlog_reap(world->log);
            break;
        case 2:
            sim_disk_advance(disk, 300000);
            wlog_tick(world->log);
            break;
        case 3:
            status = wlog_sync_now(world->log);
            EXPECT(status == ST_OK || status == ST_IO);
            EXPECT((status == ST_OK) == (wlog_durable(world->log) == wlog_end(world->log)) ||
                   status == ST_IO);
            break;
        case 4:
            if (test_random_below(&world->chance, 4) == 0) {
                world_trim(world);
            }
            break;
        default:
            status = world_append(world, 1 + test_random_below(&world->chance, size));
            EXPECT(status == ST_OK || status == ST_WAIT || status == ST_FULL || status == ST_IO);
            EXPECT(!wlog_dead(world->log) || status == ST_IO);
            if (test_random_below(&world->chance, 3) == 0) {
                wlog_flush(world->log);
            }
        }
        world_look(world);
    }
}

/* -- One call after the other fails ---------------------------------------------------------- */

/* W1, W3, W4: whichever I/O call fails, every effect called durable is replayed after the power
 * cut. Covers open, replay, start, append, rotate, sync, trim and recycle. */
static void survive_fault(struct sim_disk *disk, enum wlog_sync sync, bool cut)
{
    struct world *world = world_new(disk, test_seed());
    world->options.sync = sync;
    world->options.rotate_ms = 1000;
    enum status status = io_dir_make(world->options.io, "/store");
    if (status == ST_OK) {
        status = io_dir_sync(world->options.io, "/");
    }
    for (int life = 0; life < 2 && status == ST_OK; life++) {
        status = world_recover(world);
        status = status == ST_OK ? world_start(world) : status;
        if (status == ST_OK) {
            some_work(world, disk, 60);
        }
        EXPECT(status != ST_CORRUPT);
        wlog_close(world->log);
        world->log = NULL;
    }
    wlog_close(world->log);
    world->log = NULL;
    if (cut) {
        sim_disk_crash(disk);
    } else {
        sim_disk_fail_from(disk, 0, ST_IO);
    }
    store_make(disk);
    world_go(world); /* Whatever it was: the next start succeeds and finds all. */
    for (int i = 0; i < 5; i++) {
        world_write(world, 5000);
        world_settle(world);
    }
    sim_disk_crash(disk);
    world_close(world, false);
    EXPECT_INT(world_recover(world), ST_OK);
    world_free(world);
}

TEST(wlog_replays_every_durable_effect_whichever_io_call_fails)
{
    FOR_EACH_FAULT(disk)
    {
        survive_fault(disk, WLOG_SYNC_ALWAYS, true);
    }
}

TEST(wlog_everysec_replays_every_durable_effect_whichever_io_call_fails)
{
    FOR_EACH_FAULT(disk)
    {
        survive_fault(disk, WLOG_SYNC_EVERYSEC, true);
    }
}

TEST(wlog_restarts_without_a_power_cut_after_any_failed_call)
{
    FOR_EACH_FAULT(disk)
    {
        survive_fault(disk, WLOG_SYNC_EVERYSEC, false);
    }
    FOR_EACH_FAULT(disk)
    {
        survive_fault(disk, WLOG_SYNC_NO, false);
    }
}

/* A read error is no end of the log: replay says so and never cuts the log short. */
TEST(wlog_replay_fails_and_forgets_nothing_whichever_read_fails)
{
    struct sim_disk *disk = sim_disk_new(test_seed());
    store_make(disk);
    struct world *world = world_new(disk, test_seed());
    world_go(world);
    for (int i = 0; i < 40; i++) {
        world_write(world, 7000);
        world_settle(world);
    }
    sim_disk_crash(disk);
    world_close(world, false);
    uint64_t end = world->promised;
    unsigned failures = 0;
    for (unsigned n = 1;; n++) {
        unsigned met = sim_disk_faults_met(disk);
        sim_disk_fail_after(disk, n, ST_IO);
        enum status status = world_recover(world);
        sim_disk_fail_after(disk, 0, ST_IO);
        if (sim_disk_faults_met(disk) == met) {
            EXPECT_INT(status, ST_OK);
            break;
        }
        failures++;
        EXPECT_INT(status, ST_IO);
    }
    EXPECT(failures > 30);
    EXPECT_INT(world->replay_lsn, end);
    world_free(world);
    sim_disk_free(disk);
}

/* -- Power cuts ------------------------------------------------------------------------------ */

static void options_by_chance(struct world *world, struct sim_disk *disk)
{
    uint64_t *chance = &world->chance;
    world->options.sync = (enum wlog_sync)(test_random_below(chance, 5) % 3);
    world->options.segment_size = (64 + test_random_below(chance, 3) * 32) << 10;
    world->options.flushes_max = 1 + (unsigned)test_random_below(chance, 8);
    world->options.rotate_ms = test_random_below(chance, 2) * 500;
    world->options.unflushed_max = 1000 + test_random_below(chance, 300000);
    sim_disk_set_alignment(disk, test_random_below(chance, 2) == 0 ? 512 : 4096);
    sim_disk_set_reap(disk, (enum sim_reap)test_random_below(chance, 4));
}

/* Comes back after a cut, but is cut again, up to twice, somewhere in open, replay and start. */
static void recover_between_cuts(struct world *world, struct sim_disk *disk)
{
    for (int attempt = 0;; attempt++) {
        bool cut = attempt < 2 && test_random_below(&world->chance, 2) == 0;
        if (cut) {
            sim_disk_fail_from(disk, 1 + (unsigned)test_random_below(&world->chance, 40), ST_IO);
        }
        enum status status = world_recover(world);
        if (status == ST_OK) {
            status = world_start(world);
        }
        if (!cut) {
            EXPECT_INT(status, ST_OK);
            return;
        }
        if (status == ST_OK) { /* The device goes soon. */
            some_work(world, disk, 10);
        }
        EXPECT(status == ST_OK || status == ST_IO);
        sim_disk_crash(disk);
        wlog_close(world->log);
        world->log = NULL;
    }
}

/* W1, W2, W3: bytes lost, torn and reordered, names lost, cuts in recovery itself: what was called
 * durable is replayed, in order, gap-free, and nothing that was never written. */
TEST(wlog_keeps_its_promises_over_thousands_of_power_cuts)
{
    unsigned count = seeds(1500);
    for (unsigned i = 0; i < count; i++) {
        uint64_t seed = test_seed() + i;
        struct sim_disk *disk = sim_disk_new(seed);
        struct world *world = world_new(disk, seed);
        store_make(disk);
        unsigned lives = 1 + (unsigned)test_random_below(&world->chance, 4);
        for (unsigned life = 0; life < lives; life++) {
            options_by_chance(world, disk);
            recover_between_cuts(world, disk);
            some_work(world, disk, (unsigned)test_random_below(&world->chance, 120));
            if (test_random_below(&world->chance, 4) == 0) {
                world_close(world, true);
                continue;
            }
            world_look(world);
            if (test_random_below(&world->chance, 3) > 0) {
                sim_disk_crash(disk);
            } else { /* The process dies, the power stays. */
                sim_disk_fail_from(disk, 1, ST_IO);
            }
            world_close(world, false);
            sim_disk_fail_from(disk, 0, ST_IO);
        }
        recover_between_cuts(world, disk);
        world_free(world);
        sim_disk_free(disk);
    }
}

/* -- What lies where no frame should --------------------------------------------------------- */

struct shelf {
    struct sim_disk *disk;
    struct world *world;
};

/* A log of several segments and frames, cut off after everything was durable. */
static struct shelf shelf_new(uint64_t seed, unsigned frames, uint64_t size)
{
    struct shelf shelf = {.disk = sim_disk_new(seed)};
    store_make(shelf.disk);
    shelf.world = world_new(shelf.disk, seed);
    world_go(shelf.world);
    wlog_tick(shelf.world->log);
    for (unsigned i = 0; i < frames; i++) {
        world_write(shelf.world, size);
        world_settle(shelf.world);
        wlog_tick(shelf.world->log);
    }
    sim_disk_crash(shelf.disk);
    world_close(shelf.world, false);
    return shelf;
}

static void shelf_free(struct shelf shelf)
{
    world_free(shelf.world);
    sim_disk_free(shelf.disk);
}

static const char *reading_file(uint64_t lsn)
{
    static char path[128];
    snprintf(path, sizeof(path), "/store/txlogs/reading/tx-%016llx.log", (unsigned long long)lsn);
    return path;
}

#define ACTIVE "/store/txlogs/writing/tx.log"

/* W3 */
TEST(wlog_ends_before_zeros_and_old_bytes_and_goes_on_from_there)
{
    uint64_t chance = test_seed();
    for (int kind = 0; kind < 3; kind++) {
        struct shelf shelf = shelf_new(test_seed(), 3, 3000);
        unsigned char *bytes = calloc(1, 65536);
        if (kind == 1) {
            for (size_t i = 0; i < 65536; i++) {
                bytes[i] = (unsigned char)test_random(&chance);
            }
        } else if (kind == 2) { /* The same frames once more: as if the file had been recycled. */
            EXPECT_INT(sim_disk_read_raw(shelf.disk, ACTIVE, bytes, 65536, 0), 65536);
        }
        uint64_t end = 3 * 3072;
        sim_disk_fill(shelf.disk, ACTIVE, end, bytes_of(bytes, 65536 - end));
        free(bytes);
        EXPECT_INT(world_recover(shelf.world), ST_OK);
        EXPECT_INT(shelf.world->replay_lsn, WLOG_LSN_FIRST + 9000);
        EXPECT_INT(world_start(shelf.world), ST_OK);
        world_write(shelf.world, 3000);
        world_settle(shelf.world);
        sim_disk_crash(shelf.disk);
        world_close(shelf.world, false);
        EXPECT_INT(world_recover(shelf.world), ST_OK);
        EXPECT_INT(shelf.world->replay_lsn, WLOG_LSN_FIRST + 12000);
        shelf_free(shelf);
    }
}

/* W3: the last frame is torn, and nothing later says that it was durable. */
TEST(wlog_recovers_from_a_torn_tail_at_every_sector)
{
    for (uint64_t sector = 0; sector < 3072 / 512; sector++) {
        struct shelf shelf = shelf_new(test_seed(), 3, 3000);
        sim_disk_corrupt(shelf.disk, ACTIVE, 2 * 3072 + sector * 512, 1);
        shelf.world->promised = WLOG_LSN_FIRST + 6000; /* We have broken the promise ourselves. */
        EXPECT_INT(world_recover(shelf.world), ST_OK);
        EXPECT_INT(shelf.world->replay_lsn, WLOG_LSN_FIRST + 6000);
        EXPECT_INT(world_start(shelf.world), ST_OK);
        shelf_free(shelf);
    }
}

/* W3: one changed byte anywhere in what a later frame vouches for, and the server does not start;
 * nothing on disk is changed by the refusal. */
TEST(wlog_refuses_damage_in_the_middle_whichever_byte_it_is)
{
    struct shelf shelf = shelf_new(test_seed(), 60, 3000);
    uint64_t chance = test_seed() + 5;
    for (int i = 0; i < 100; i++) {
        unsigned char before[1];
        /* Of 19 frames in the first file, each but the padding. */
        uint64_t offset = test_random_below(&chance, 16) * 3072 + test_random_below(&chance, 3064);
        const char *path = reading_file(WLOG_LSN_FIRST);
        EXPECT_INT(sim_disk_read_raw(shelf.disk, path, before, 1, offset), 1);
        sim_disk_corrupt(shelf.disk, path, offset, 1);
        EXPECT_INT(world_recover(shelf.world), ST_CORRUPT);
        sim_disk_fill(shelf.disk, path, offset, bytes_of(before, 1));
    }
    EXPECT_INT(world_recover(shelf.world), ST_OK); /* Mended, it is whole again. */
    EXPECT_INT(shelf.world->replay_lsn, shelf.world->promised);
    shelf_free(shelf);
}

/* W3: the frame before the last is damaged; only the last one, in the same file, says that it was
 * durable. */
TEST(wlog_refuses_a_bad_frame_below_the_durable_lsn_that_the_next_frame_names)
{
    struct shelf shelf = shelf_new(test_seed(), 3, 3000);
    sim_disk_corrupt(shelf.disk, ACTIVE, 3072 + 100, 1);
    EXPECT_INT(world_recover(shelf.world), ST_CORRUPT);
    shelf_free(shelf);
}

/* W3: the last frame is damaged, but the manifest says that all was durable. */
TEST(wlog_refuses_a_bad_frame_below_the_durable_lsn_of_the_manifest)
{
    struct shelf shelf = shelf_new(test_seed(), 3, 3000);
    shelf.world->durable_lsn = WLOG_LSN_FIRST + 9000;
    sim_disk_corrupt(shelf.disk, ACTIVE, 2 * 3072 + 100, 1);
    EXPECT_INT(world_recover(shelf.world), ST_CORRUPT);
    shelf_free(shelf);
}

/* W3: the last frame of a generation is damaged, but the next generation began behind it. */
TEST(wlog_refuses_a_bad_frame_below_the_start_of_the_next_generation)
{
    struct shelf shelf = shelf_new(test_seed(), 3, 3000);
    world_go(shelf.world);
    wlog_tick(shelf.world->log);
    sim_disk_crash(shelf.disk);
    world_close(shelf.world, false);
    const char *path = reading_file(WLOG_LSN_FIRST);
    sim_disk_corrupt(shelf.disk, path, 2 * 3072 + 100, 1);
    EXPECT_INT(world_recover(shelf.world), ST_CORRUPT);
    shelf_free(shelf);
}

TEST(wlog_refuses_when_a_segment_is_missing_and_finds_it_under_any_name)
{
    struct shelf shelf = shelf_new(test_seed(), 60, 3000);
    struct io *io = sim_disk_io(shelf.disk);
    const char *path = reading_file(WLOG_LSN_FIRST + 21 * 3000);
    EXPECT_INT(io_rename(io, path, "/store/elsewhere"), ST_OK);
    EXPECT_INT(world_recover(shelf.world), ST_CORRUPT);
    EXPECT_INT(io_rename(io, "/store/elsewhere", "/store/txlogs/prepared/saved from backup"),
               ST_OK);
    EXPECT_INT(world_recover(shelf.world), ST_OK);
    EXPECT_INT(shelf.world->replay_lsn, shelf.world->promised);
    shelf_free(shelf);
}

TEST(wlog_refuses_when_the_manifest_is_lost_or_older_than_the_log)
{
    struct shelf shelf = shelf_new(test_seed(), 3, 3000);
    shelf.world->generation_count = 0;
    EXPECT_INT(world_recover(shelf.world), ST_CORRUPT);
    shelf.world->generation_count = 1;
    EXPECT_INT(world_recover(shelf.world), ST_OK);
    shelf_free(shelf);
}

TEST(wlog_ignores_strange_files_and_never_removes_them)
{
    struct shelf shelf = shelf_new(test_seed(), 30, 3000);
    static const char *const strange[] = {
        "/store/txlogs/reading/notes.txt",   "/store/txlogs/reading/tx-00000000deadbeef.log",
        "/store/txlogs/prepared/tx-abc.log", "/store/txlogs/writing/tx.log.old",
        "/store/txlogs/writing/empty",
    };
    for (size_t i = 0; i < 5; i++) {
        struct io_file *file;
        EXPECT_INT(io_file_open(sim_disk_io(shelf.disk), strange[i], IO_WRITE, &file), ST_OK);
        EXPECT_INT(io_file_write(file, "garbage, shorter than a frame", i == 4 ? 0 : 29, 0), ST_OK);
        io_file_close(file);
    }
    world_go(shelf.world);
    EXPECT_INT(shelf.world->replay_lsn, WLOG_LSN_FIRST + 90000);
    for (int i = 0; i < 40; i++) {
        world_write(shelf.world, 3000);
        world_settle(shelf.world);
    }
    world_trim(shelf.world);
    wlog_tick(shelf.world->log);
    for (size_t i = 0; i < 5; i++) {
        struct io_file *file;
        EXPECT_INT(io_file_open(sim_disk_io(shelf.disk), strange[i], IO_READ, &file), ST_OK);
        io_file_close(file);
    }
    shelf_free(shelf);
}

/* A client stores the bytes of a frame that would prove the log damaged; it lies at the start of a
 * sector of the last, torn frame, and is no evidence. */
TEST(wlog_never_takes_the_bytes_of_a_client_for_a_frame)
{
    struct shelf shelf = shelf_new(test_seed(), 4, 3000);
    unsigned char forged[3072];
    /* The best that a client may know: a true frame of another store at the same place. */
    struct shelf other = shelf_new(test_seed() + 1, 12, 3000);
    EXPECT_INT(sim_disk_read_raw(other.disk, ACTIVE, forged, 3072, 9 * 3072), 3072);
    sim_disk_fill(shelf.disk, ACTIVE, 9 * 3072, bytes_of(forged, 3072));
    EXPECT_INT(world_recover(shelf.world), ST_OK);
    EXPECT_INT(shelf.world->replay_lsn, WLOG_LSN_FIRST + 12000);
    shelf_free(other);
    shelf_free(shelf);
}

/* Bytes by chance over whole files: replay answers, and never anything but the truth. */
TEST(wlog_replay_survives_any_bytes)
{
    for (unsigned i = 0; i < seeds(300); i++) {
        struct shelf shelf = shelf_new(test_seed() + i, 25, 3000);
        uint64_t chance = test_seed() + i;
        for (int j = 0; j < 3; j++) {
            uint64_t lsn = test_random_below(&chance, 2) * 16 * 3000;
            const char *path = lsn == 0 ? reading_file(WLOG_LSN_FIRST) : ACTIVE;
            uint64_t offset = test_random_below(&chance, 65536);
            uint64_t size = 1 + test_random_below(&chance, 1 << test_random_below(&chance, 16));
            if (offset + size <= 65536) {
                sim_disk_corrupt(shelf.disk, path, offset, size);
            }
        }
        shelf.world->promised = 0; /* Whether it is too short is W3's business, not this test's. */
        enum status status = world_recover(shelf.world);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        shelf_free(shelf);
    }
}
