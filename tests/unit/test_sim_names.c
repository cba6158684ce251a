#include "tests/lib/sim_check.h"
#include "tests/lib/test.h"

TEST(sim_disk_answers_absent_for_names_that_are_not_there)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    struct io_file *file;
    struct io_name *names;
    size_t count;
    bool linked;
    EXPECT_INT(io_file_open(io, "a", IO_READ, &file), ST_ABSENT);
    EXPECT_INT(io_file_open(io, "a", IO_READ_DIRECT, &file), ST_ABSENT);
    EXPECT_INT(io_link(io, "a", "b", &linked), ST_ABSENT);
    EXPECT_INT(io_file_open(io, "d/a", IO_WRITE, &file), ST_ABSENT);
    EXPECT_INT(io_rename(io, "a", "b"), ST_ABSENT);
    EXPECT_INT(io_unlink(io, "a"), ST_ABSENT);
    EXPECT_INT(io_dir_make(io, "d/e"), ST_ABSENT);
    EXPECT_INT(io_dir_sync(io, "d"), ST_ABSENT);
    EXPECT_INT(io_dir_list(io, "d", &names, &count), ST_ABSENT);
    EXPECT_INT(io_dir_make(io, "d/"), ST_OK);
    EXPECT_INT(io_dir_make(io, "./d"), ST_OK);
    EXPECT_INT(io_file_open(io, "d//a", IO_WRITE, &file), ST_OK);
    EXPECT(sim_has_name(disk, "d", "a"));
    EXPECT(!sim_has_name(disk, ".", "a"));
    io_file_close(file);
    sim_disk_free(disk);
}

/* D1, D2 */
TEST(sim_disk_keeps_each_unsynced_name_or_not_and_synced_names_always)
{
    unsigned created = 0, renamed = 0, unlinked = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        io_file_close(sim_file_make(disk, "from", 'f', 10));
        io_file_close(sim_file_make(disk, "to", 't', 10));
        io_file_close(sim_file_make(disk, "gone", 'g', 10));
        struct io_file *file = sim_file_open(disk, "new");
        EXPECT_INT(io_file_write(file, "n", 1, 0), ST_OK);
        EXPECT_INT(io_file_sync(file), ST_OK);
        io_file_close(file);
        EXPECT_INT(io_rename(io, "from", "to"), ST_OK);
        EXPECT_INT(io_unlink(io, "gone"), ST_OK);
        bool sync = seed % 4 == 0;
        EXPECT(!sync || io_dir_sync(io, ".") == ST_OK);
        sim_disk_crash(disk);
        bool is_renamed = !sim_has_name(disk, ".", "from");
        EXPECT(sim_has_name(disk, ".", "to"));
        EXPECT_INT(sim_count_raw(disk, "to", is_renamed ? 'f' : 't'), 10);
        EXPECT(!sync ||
               (is_renamed && sim_has_name(disk, ".", "new") && !sim_has_name(disk, ".", "gone")));
        created += !sync && sim_has_name(disk, ".", "new");
        renamed += !sync && is_renamed;
        unlinked += !sync && !sim_has_name(disk, ".", "gone");
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
        io_file_close(sim_file_open(disk, "/p/a"));
        EXPECT_INT(io_dir_sync(io, "/p"), ST_OK);
        EXPECT_INT(io_rename(io, "/p/a", "/q/b"), ST_OK);
        EXPECT_INT(io_dir_sync(io, "/q"), ST_OK);
        bool both = seed % 2 == 0;
        EXPECT(!both || io_dir_sync(io, "/p") == ST_OK);
        sim_disk_crash(disk);
        EXPECT(sim_has_name(disk, "/p", "a") != sim_has_name(disk, "/q", "b"));
        EXPECT(!both || sim_has_name(disk, "/q", "b"));
        early += !both && sim_has_name(disk, "/q", "b");
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
    io_file_close(sim_file_open(disk, "/p/a"));
    EXPECT_INT(io_dir_sync(io, "/p"), ST_OK);
    sim_disk_crash(disk);
    struct io_file *file;
    EXPECT_INT(io_file_open(io, "/p/a", IO_READ, &file), ST_ABSENT);
    EXPECT_INT(io_dir_make(io, "/p"), ST_OK);
    EXPECT(!sim_has_name(disk, "/p", "a"));
    sim_disk_free(disk);
}

TEST(sim_disk_removes_empty_directories_durably_after_a_sync)
{
    unsigned back = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        EXPECT_INT(io_dir_remove(io, "/p"), ST_ABSENT);
        EXPECT_INT(io_dir_make(io, "/p"), ST_OK);
        io_file_close(sim_file_open(disk, "/p/a"));
        EXPECT_INT(io_dir_sync(io, "/p"), ST_OK);
        EXPECT_INT(io_dir_sync(io, "/"), ST_OK);
        EXPECT_INT(io_dir_remove(io, "/p"), ST_IO);
        EXPECT_INT(io_dir_remove(io, "/p/a"), ST_IO);
        EXPECT_INT(io_unlink(io, "/p/a"), ST_OK);
        EXPECT_INT(io_dir_remove(io, "/p"), ST_OK);
        EXPECT(!sim_has_name(disk, "/", "p"));
        bool synced = seed % 2 == 0;
        EXPECT(!synced || io_dir_sync(io, "/") == ST_OK);
        sim_disk_crash(disk);
        EXPECT(!synced || !sim_has_name(disk, "/", "p"));
        back += sim_has_name(disk, "/", "p");
        sim_disk_free(disk);
    }
    EXPECT(back > 10 && back < 90);
}

/* -- Two names of one file --------------------------------------------------------------------- */

static void link_names(struct sim_disk *disk, const char *from, const char *to)
{
    bool linked = false;
    EXPECT_INT(io_link(sim_disk_io(disk), from, to, &linked), ST_OK);
    EXPECT(linked);
}

TEST(sim_disk_links_share_one_content_and_live_by_themselves)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io *io = sim_disk_io(disk);
    struct io_file *file = sim_file_make(disk, "a", 'x', 100);
    EXPECT_INT(io_dir_make(io, "d"), ST_OK);
    link_names(disk, "a", "d/b");
    bool linked = true;
    EXPECT_INT(io_link(io, "a", "d/b", &linked), ST_IO);
    EXPECT(!linked);
    EXPECT_INT(io_link(io, "d", "e", &linked), ST_IO);
    EXPECT_INT(io_link(io, "a", "e/b", &linked), ST_ABSENT);
    EXPECT_INT(sim_disk_used(disk), 100);
    EXPECT_INT(io_file_write(file, "yy", 2, 0), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    io_file_close(file);
    EXPECT_INT(sim_count_raw(disk, "d/b", 'y'), 2);
    EXPECT_INT(io_rename(io, "a", "d/b"), ST_OK); /* Nothing happens. */
    EXPECT(sim_has_name(disk, ".", "a") && sim_has_name(disk, "d", "b"));
    EXPECT_INT(io_rename(io, "d/b", "c"), ST_OK);
    EXPECT(sim_has_name(disk, ".", "a") && !sim_has_name(disk, "d", "b"));
    EXPECT_INT(io_unlink(io, "a"), ST_OK);
    EXPECT_INT(sim_count_raw(disk, "c", 'y'), 2);
    EXPECT_INT(sim_disk_used(disk), 100);
    EXPECT_INT(io_unlink(io, "c"), ST_OK);
    EXPECT_INT(sim_disk_used(disk), 0);
    sim_disk_free(disk);
}

TEST(sim_disk_punches_nothing_out_of_a_file_that_has_several_names)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file = sim_file_make(disk, "a", 'x', 100);
    link_names(disk, "a", "b");
    EXPECT_INT(io_file_punch(file, 0, 50), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    EXPECT_INT(sim_count_raw(disk, "a", 'x'), 100);
    EXPECT_INT(io_unlink(sim_disk_io(disk), "b"), ST_OK);
    EXPECT_INT(io_file_punch(file, 0, 50), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    EXPECT_INT(sim_count_raw(disk, "a", 'x'), 50);
    io_file_close(file);
    sim_disk_free(disk);
}

/* D1, D2: an unsynced link, and an unsynced unlink of the first name, are each kept or lost. */
TEST(sim_disk_keeps_each_of_two_names_by_itself)
{
    unsigned met[4] = {0};
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        io_file_close(sim_file_make(disk, "a", 'x', 100));
        link_names(disk, "a", "b");
        bool sync = seed % 4 == 0;
        EXPECT(!sync || io_dir_sync(io, ".") == ST_OK);
        EXPECT_INT(io_unlink(io, "a"), ST_OK);
        sim_disk_crash(disk);
        bool a = sim_has_name(disk, ".", "a");
        bool b = sim_has_name(disk, ".", "b");
        EXPECT(!sync || b);
        EXPECT(!a || sim_count_raw(disk, "a", 'x') == 100);
        EXPECT(!b || sim_count_raw(disk, "b", 'x') == 100);
        met[a + 2 * b] += !sync;
        sim_disk_free(disk);
    }
    EXPECT(met[0] > 5 && met[1] > 5 && met[2] > 5 && met[3] > 5);
}

/* D1 */
TEST(sim_disk_keeps_both_names_after_a_sync_and_their_content_when_one_goes)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        EXPECT_INT(io_dir_make(io, "d"), ST_OK);
        io_file_close(sim_file_make(disk, "a", 'x', 100));
        link_names(disk, "a", "d/b");
        EXPECT_INT(io_dir_sync(io, "d"), ST_OK);
        sim_disk_crash(disk);
        EXPECT(sim_has_name(disk, ".", "a") && sim_has_name(disk, "d", "b"));
        EXPECT_INT(io_unlink(io, "a"), ST_OK);
        EXPECT_INT(io_dir_sync(io, "."), ST_OK);
        struct io_file *file = sim_file_open(disk, "d/b");
        EXPECT_INT(io_file_write(file, "y", 1, 0), ST_OK);
        EXPECT_INT(io_file_sync(file), ST_OK);
        io_file_close(file);
        sim_disk_crash(disk);
        EXPECT(!sim_has_name(disk, ".", "a"));
        EXPECT_INT(sim_count_raw(disk, "d/b", 'y'), 1);
        EXPECT_INT(sim_count_raw(disk, "d/b", 'x'), 99);
        sim_disk_free(disk);
    }
}

/* D1: what waits in another directory does not take a durable name back, nor one that went. */
TEST(sim_disk_keeps_synced_names_whatever_older_renames_wait_elsewhere)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct io *io = sim_disk_io(disk);
        static const char *const dirs[] = {"/p", "/q", "/r"};
        for (unsigned i = 0; i < 3; i++) {
            EXPECT_INT(io_dir_make(io, dirs[i]), ST_OK);
        }
        EXPECT_INT(io_dir_sync(io, "/"), ST_OK);
        io_file_close(sim_file_make(disk, "/p/old", 'o', 10));
        io_file_close(sim_file_make(disk, "/r/new", 'n', 10));
        for (unsigned i = 0; i < 3; i++) {
            EXPECT_INT(io_dir_sync(io, dirs[i]), ST_OK);
        }
        EXPECT_INT(io_rename(io, "/p/old", "/q/name"), ST_OK);
        EXPECT_INT(io_rename(io, "/r/new", "/q/name"), ST_OK);
        bool stays = seed % 2 == 0;
        EXPECT_INT(stays ? io_dir_sync(io, "/r") : io_rename(io, "/q/name", "/q/other"), ST_OK);
        EXPECT_INT(io_dir_sync(io, "/q"), ST_OK);
        sim_disk_crash(disk);
        EXPECT(sim_has_name(disk, "/q", "name") == stays);
        EXPECT_INT(sim_count_raw(disk, stays ? "/q/name" : "/q/other", 'n'), 10);
        sim_disk_free(disk);
    }
}
