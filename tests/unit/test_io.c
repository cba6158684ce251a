#include "tests/lib/road.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096

/* -- Files and names --------------------------------------------------------------------------- */

TEST(io_reads_at_any_alignment_what_was_written_in_every_mode)
{
    FOR_EACH_ROAD(io)
    {
        for (enum io_open_mode mode = IO_WRITE; mode <= IO_WRITE_DIRECT; mode++) {
            const char *path = road_path("a");
            struct io_file *file = road_file(io, path, mode);
            char *data = road_buffer(2 * BLOCK, 'x');
            for (unsigned round = 0; round < 3; round++) {
                data[BLOCK - 1] = (char)('1' + round);
                EXPECT_INT(io_file_write(file, data, 2 * BLOCK, 0), ST_OK);
                char seen[3];
                size_t got;
                EXPECT_INT(io_file_read(file, seen, 3, BLOCK - 2, &got), ST_OK);
                EXPECT(got == 3 && seen[0] == 'x' && seen[1] == '1' + (char)round);
                EXPECT_INT(io_file_read(file, seen, 3, 2 * BLOCK - 1, &got), ST_OK);
                EXPECT_INT(got, 1);
                EXPECT_INT(io_file_read(file, seen, 3, 3 * BLOCK, &got), ST_OK);
                EXPECT_INT(got, 0);
            }
            EXPECT_INT(io_file_sync(file), ST_OK);
            uint64_t size;
            EXPECT_INT(io_file_truncate(file, 1000), ST_OK);
            EXPECT_INT(io_file_size(file, &size), ST_OK);
            EXPECT_INT(size, 1000);
            EXPECT(road_holds(file, 0, 1000, 'x'));
            free(data);
            io_file_close(file);
            EXPECT_INT(io_unlink(io, path), ST_OK);
        }
    }
}

TEST(io_alignment_is_a_power_of_two_within_its_bounds)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        size_t alignment = io_file_alignment(file);
        EXPECT(alignment >= 512 && alignment <= IO_ALIGNMENT_MAX);
        EXPECT((alignment & (alignment - 1)) == 0);
        io_file_close(file);
    }
}

TEST(io_direct_files_work_where_direct_writes_may_be_refused)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file;
        if (io_file_open(io, "/dev/shm/basin-test-io", IO_WRITE_DIRECT, &file) != ST_OK) {
            continue;
        }
        EXPECT_INT(io_file_prepare(file, 3 * BLOCK + 100), ST_OK);
        char *data = road_buffer(BLOCK, 'y');
        EXPECT_INT(io_file_write(file, data, BLOCK, BLOCK), ST_OK);
        EXPECT(road_holds(file, BLOCK, BLOCK, 'y'));
        EXPECT(road_holds(file, 2 * BLOCK, BLOCK + 100, 0));
        free(data);
        io_file_close(file);
        EXPECT_INT(io_unlink(io, "/dev/shm/basin-test-io"), ST_OK);
    }
}

TEST(io_answers_absent_for_what_is_not_there)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file;
        struct io_name *names;
        size_t count;
        EXPECT_INT(io_file_open(io, road_path("a"), IO_READ, &file), ST_ABSENT);
        EXPECT_INT(io_file_open(io, road_path("a"), IO_READ_DIRECT, &file), ST_ABSENT);
        EXPECT_INT(io_file_open(io, road_path("d/a"), IO_WRITE, &file), ST_ABSENT);
        EXPECT_INT(io_rename(io, road_path("a"), road_path("b")), ST_ABSENT);
        bool linked;
        EXPECT_INT(io_link(io, road_path("a"), road_path("b"), &linked), ST_ABSENT);
        EXPECT_INT(io_unlink(io, road_path("a")), ST_ABSENT);
        EXPECT_INT(io_dir_make(io, road_path("d/e")), ST_ABSENT);
        EXPECT_INT(io_dir_sync(io, road_path("d")), ST_ABSENT);
        EXPECT_INT(io_dir_list(io, road_path("d"), &names, &count), ST_ABSENT);
    }
}

TEST(io_makes_lists_renames_and_unlinks_names)
{
    FOR_EACH_ROAD(io)
    {
        EXPECT_INT(io_dir_make(io, road_path("d")), ST_OK);
        EXPECT_INT(io_dir_make(io, road_path("d")), ST_OK);
        struct io_name *names;
        size_t count;
        EXPECT_INT(io_dir_list(io, road_path("d"), &names, &count), ST_OK);
        EXPECT_INT(count, 0);
        free(names);
        for (int i = 0; i < 40; i++) {
            char name[32];
            snprintf(name, sizeof(name), "d/file-%02d", i);
            io_file_close(road_file(io, road_path(name), IO_WRITE));
        }
        EXPECT_INT(io_rename(io, road_path("d/file-00"), road_path("d/file-01")), ST_OK);
        EXPECT_INT(io_dir_sync(io, road_path("d")), ST_OK);
        EXPECT_INT(io_dir_list(io, road_path("d"), &names, &count), ST_OK);
        EXPECT_INT(count, 39);
        for (size_t i = 0; i < count; i++) {
            char name[IO_NAME_MAX + 8];
            EXPECT(strncmp(names[i].text, "file-", 5) == 0);
            snprintf(name, sizeof(name), "d/%s", names[i].text);
            EXPECT_INT(io_unlink(io, road_path(name)), ST_OK);
        }
        free(names);
        io_file_close(road_file(io, road_path("plain"), IO_WRITE));
        EXPECT_INT(io_dir_make(io, road_path("plain")), ST_IO);
    }
}

TEST(io_prepares_a_file_of_written_zeros)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        char *data = road_buffer(BLOCK, 'x');
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_OK);
        uint64_t wanted = 5 * 1024 * 1024 + 700;
        EXPECT_INT(io_file_prepare(file, wanted), ST_OK);
        uint64_t size;
        EXPECT_INT(io_file_size(file, &size), ST_OK);
        EXPECT_INT(size, wanted);
        EXPECT(road_holds(file, 0, wanted, 0));
        struct stat found;
        EXPECT(stat(road_path("a"), &found) == 0);
        EXPECT((uint64_t)found.st_blocks * 512 >= wanted);
        free(data);
        io_file_close(file);
    }
}

TEST(io_punches_holes_that_read_as_zeros_and_take_no_space)
{
    FOR_EACH_ROAD(io)
    {
        for (enum io_open_mode mode = IO_WRITE; mode <= IO_WRITE_DIRECT; mode++) {
            struct io_file *file = road_file(io, road_path("a"), mode);
            void *data = road_buffer(64 * BLOCK, 'x');
            EXPECT_INT(io_file_write(file, data, 64 * BLOCK, 0), ST_OK);
            EXPECT_INT(io_file_sync(file), ST_OK);
            struct stat before, after;
            EXPECT(stat(road_path("a"), &before) == 0);
            EXPECT_INT(io_file_punch(file, 8 * BLOCK - 100, 32 * BLOCK + 300), ST_OK);
            EXPECT_INT(io_file_punch(file, 63 * BLOCK, 1000 * BLOCK), ST_OK);
            EXPECT_INT(io_file_sync(file), ST_OK);
            EXPECT(road_holds(file, 0, 8 * BLOCK - 100, 'x'));
            EXPECT(road_holds(file, 8 * BLOCK - 100, 32 * BLOCK + 300, 0));
            EXPECT(road_holds(file, 40 * BLOCK + 200, 23 * BLOCK - 200, 'x'));
            EXPECT(road_holds(file, 63 * BLOCK, BLOCK, 0));
            EXPECT(stat(road_path("a"), &after) == 0);
            EXPECT_INT(after.st_size, 64 * BLOCK);
            EXPECT((before.st_blocks - after.st_blocks) * 512 >= 33 * BLOCK);
            EXPECT_INT(io_file_write(file, data, BLOCK, 20 * BLOCK), ST_OK);
            EXPECT(road_holds(file, 20 * BLOCK, BLOCK, 'x'));
            free(data);
            io_file_close(file);
            EXPECT_INT(io_unlink(io, road_path("a")), ST_OK);
        }
    }
}

TEST(io_punches_nothing_out_of_a_file_that_has_several_names)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE);
        void *data = road_buffer(8 * BLOCK, 'x');
        bool linked = false;
        EXPECT_INT(io_file_write(file, data, 8 * BLOCK, 0), ST_OK);
        EXPECT_INT(io_link(io, road_path("a"), road_path("b"), &linked), ST_OK);
        EXPECT(linked);
        EXPECT_INT(io_file_punch(file, 0, 4 * BLOCK), ST_OK);
        EXPECT(road_holds(file, 0, 8 * BLOCK, 'x'));
        EXPECT_INT(io_unlink(io, road_path("b")), ST_OK);
        EXPECT_INT(io_file_punch(file, 0, 4 * BLOCK), ST_OK);
        EXPECT(road_holds(file, 0, 4 * BLOCK, 0));
        free(data);
        io_file_close(file);
        EXPECT_INT(io_unlink(io, road_path("a")), ST_OK);
    }
}

TEST(io_removes_directories_that_are_empty)
{
    FOR_EACH_ROAD(io)
    {
        EXPECT_INT(io_dir_remove(io, road_path("d")), ST_ABSENT);
        EXPECT_INT(io_dir_make(io, road_path("d")), ST_OK);
        EXPECT_INT(io_parent_sync(io, road_path("d")), ST_OK);
        io_file_close(road_file(io, road_path("d/a"), IO_WRITE));
        EXPECT_INT(io_dir_remove(io, road_path("d")), ST_IO);
        EXPECT_INT(io_dir_remove(io, road_path("d/a")), ST_IO);
        EXPECT_INT(io_unlink(io, road_path("d/a")), ST_OK);
        EXPECT_INT(io_dir_remove(io, road_path("d")), ST_OK);
        EXPECT_INT(io_dir_sync(io, road_path("d")), ST_ABSENT);
        EXPECT_INT(io_parent_sync(io, road_path("d/x")), ST_ABSENT);
    }
}

TEST(io_punches_nothing_where_the_file_system_knows_no_holes)
{
    if (mount("none", test_dir(), "ramfs", 0, NULL) != 0) {
        return; /* Only root may. */
    }
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE);
        void *data = road_buffer(BLOCK, 'x');
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_OK);
        EXPECT_INT(io_file_punch(file, 0, BLOCK), ST_OK);
        EXPECT(road_holds(file, 0, BLOCK, 'x'));
        free(data);
        io_file_close(file);
    }
    EXPECT(umount(test_dir()) == 0);
}

static bool path_holds(struct io *io, const char *path, const char *text)
{
    struct io_file *file = road_file(io, path, IO_READ);
    char data[16];
    size_t size = 0;
    EXPECT_INT(io_file_read(file, data, sizeof(data), 0, &size), ST_OK);
    io_file_close(file);
    return size == strlen(text) && memcmp(data, text, size) == 0;
}

TEST(io_links_give_a_file_a_second_name_that_lives_by_itself)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE);
        EXPECT_INT(io_file_write(file, "one", 3, 0), ST_OK);
        bool linked = false;
        EXPECT_INT(io_link(io, road_path("a"), road_path("b"), &linked), ST_OK);
        EXPECT(linked);
        EXPECT_INT(io_link(io, road_path("a"), road_path("b"), &linked), ST_IO);
        EXPECT(!linked);
        EXPECT_INT(io_link(io, road_path("a"), road_path("d/b"), &linked), ST_ABSENT);
        EXPECT_INT(io_rename(io, road_path("a"), road_path("b")), ST_OK);
        EXPECT(path_holds(io, road_path("a"), "one")); /* Nothing happened. */
        EXPECT_INT(io_rename(io, road_path("a"), road_path("c")), ST_OK);
        EXPECT_INT(io_file_write(file, "two!", 4, 0), ST_OK);
        EXPECT(path_holds(io, road_path("b"), "two!"));
        EXPECT_INT(io_unlink(io, road_path("c")), ST_OK);
        EXPECT(path_holds(io, road_path("b"), "two!"));
        EXPECT_INT(io_dir_sync(io, test_dir()), ST_OK);
        EXPECT_INT(io_unlink(io, road_path("b")), ST_OK);
        io_file_close(file);
    }
}

TEST(io_links_nothing_to_another_file_system_and_says_so)
{
    struct stat here, there;
    if (stat(test_dir(), &here) != 0 || stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev) {
        return; /* There is one file system only. */
    }
    FOR_EACH_ROAD(io)
    {
        struct io_file *file;
        io_file_close(road_file(io, road_path("a"), IO_WRITE));
        bool linked = true;
        EXPECT_INT(io_link(io, road_path("a"), "/dev/shm/basin-test-link", &linked), ST_OK);
        EXPECT(!linked);
        EXPECT_INT(io_file_open(io, "/dev/shm/basin-test-link", IO_READ, &file), ST_ABSENT);
    }
}

TEST(io_locks_a_file_against_other_handles_and_processes)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *a = road_file(io, road_path("lock"), IO_WRITE);
        struct io_file *b = road_file(io, road_path("lock"), IO_WRITE);
        EXPECT_INT(io_file_lock(a), ST_OK);
        EXPECT_INT(io_file_lock(a), ST_OK);
        EXPECT_INT(io_file_lock(b), ST_BUSY);
        pid_t child = fork();
        if (child == 0) {
            struct io_file *c = NULL;
            bool busy = io_file_open(io, road_path("lock"), IO_WRITE, &c) == ST_OK &&
                        io_file_lock(c) == ST_BUSY;
            _exit(busy ? 0 : 1);
        }
        int how = -1;
        EXPECT(waitpid(child, &how, 0) == child && how == 0);
        io_file_close(a);
        EXPECT_INT(io_file_lock(b), ST_OK);
        io_file_close(b);
    }
}

TEST(io_clocks_run_forward_and_random_bytes_differ)
{
    FOR_EACH_ROAD(io)
    {
        uint64_t before = io_now_us(io);
        EXPECT(io_wall_ms(io) > 1600000000000ull);
        usleep(2000);
        EXPECT(io_now_us(io) >= before + 2000);
        unsigned char a[64] = {0}, b[64] = {0};
        EXPECT_INT(io_random(io, a, sizeof(a)), ST_OK);
        EXPECT_INT(io_random(io, b, sizeof(b)), ST_OK);
        EXPECT(memcmp(a, b, sizeof(a)) != 0);
    }
}

/* -- Roads ------------------------------------------------------------------------------------- */

/* In a child where the kernel refuses io_uring: gives what went wrong, 0 nothing. */
static int without_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 0; /* No way to refuse it here. */
    }
    struct io *io;
    if (io_new(IO_ROAD_URING, &io) != ST_IO) {
        return 1;
    }
    if (io_new(IO_ROAD_AUTO, &io) != ST_OK || strcmp(io_road_name(io), "plain") != 0) {
        return 2;
    }
    struct io_queue *queue;
    if (io_queue_open(io, 4, &queue) != ST_OK) {
        return 3;
    }
    io_queue_close(queue);
    io_free(io);
    return 0;
}

TEST(io_takes_the_plain_road_where_io_uring_is_refused)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit(without_uring());
    }
    int how = -1;
    EXPECT(waitpid(child, &how, 0) == child);
    EXPECT_INT(how, 0);
}

TEST(io_roads_have_names)
{
    struct io *io;
    EXPECT_INT(io_new(IO_ROAD_PLAIN, &io), ST_OK);
    EXPECT_TEXT(io_road_name(io), "plain");
    io_free(io);
    EXPECT_INT(io_new(IO_ROAD_AUTO, &io), ST_OK);
    EXPECT(strcmp(io_road_name(io), "plain") == 0 || strcmp(io_road_name(io), "io_uring") == 0);
    io_free(io);
}
