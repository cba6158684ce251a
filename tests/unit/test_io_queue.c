#include "tests/lib/road.h"
#include "tests/lib/test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>

#define BLOCK 4096

/* -- Writes ------------------------------------------------------------------------------------ */

TEST(io_queue_carries_overlapping_writes_up_to_its_depth)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(file, 16 * BLOCK), ST_OK);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 4, &queue), ST_OK);
        struct road_count count = {0};
        struct io_request writes[5];
        void *data[5];
        for (unsigned i = 0; i < 5; i++) {
            data[i] = road_buffer(BLOCK, 'a' + (int)i);
            writes[i] = road_request(file, data[i], BLOCK, i * BLOCK, &count);
            EXPECT_INT(io_queue_write(queue, &writes[i]), i < 4 ? ST_OK : ST_LIMIT);
        }
        EXPECT_INT(count.done, 0); /* Nothing is called before a reap. */
        road_reap_until(queue, &count, 4);
        EXPECT_INT(count.failed, 0);
        EXPECT_INT(io_queue_reap(queue), 0);
        EXPECT_INT(io_queue_write(queue, &writes[4]), ST_OK);
        road_reap_until(queue, &count, 5);
        for (unsigned i = 0; i < 5; i++) {
            EXPECT(road_holds(file, i * BLOCK, BLOCK, 'a' + (int)i));
            free(data[i]);
        }
        io_queue_close(queue);
        io_file_close(file);
    }
}

TEST(io_queue_writes_large_pieces_whole_with_and_without_durability)
{
    FOR_EACH_ROAD(io)
    {
        size_t size = 3 * 1024 * 1024;
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        struct road_count count = {0};
        void *data = road_buffer(size, 'l');
        struct io_request write = road_request(file, (char *)data + 1, size - 1, 3, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 1);
        write.durable = false;
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 0);
        EXPECT(road_holds(file, 3, size - 1, 'l'));
        free(data);
        io_queue_close(queue);
        io_file_close(file);
    }
}

/* A full device, and an offset that no file has. */
TEST(io_failures_become_full_or_io)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, "/dev/full", IO_WRITE);
        EXPECT_INT(io_file_write(file, "x", 1, 0), ST_FULL);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        struct road_count count = {0};
        char byte = 'x';
        struct io_request write = road_request(file, &byte, 1, 0, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 1);
        EXPECT_INT(count.failed, 1);
        EXPECT_INT(count.status, ST_FULL);
        io_file_close(file);
        file = road_file(io, road_path("a"), IO_WRITE);
        write = road_request(file, &byte, 1, (uint64_t)1 << 63, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 2);
        EXPECT_INT(count.status, ST_IO);
        io_queue_close(queue);
        io_file_close(file);
    }
}

/* The limit cuts the write short first; what is left of it then finds no room. */
TEST(io_queue_finishes_short_writes_and_says_full_at_a_limit)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old_action;
    struct rlimit old_limit;
    EXPECT(sigaction(SIGXFSZ, &ignore, &old_action) == 0);
    EXPECT(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("limited"), IO_WRITE);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        struct rlimit limit = {10000, old_limit.rlim_max};
        EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        struct road_count count = {0};
        void *data = road_buffer(16384, 's');
        struct io_request write = road_request(file, data, 16384, 0, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 1);
        enum status prepared = io_file_prepare(file, 20000);
        EXPECT(setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
        EXPECT_INT(count.status, ST_FULL);
        EXPECT_INT(prepared, ST_FULL);
        EXPECT(road_holds(file, 0, 10000, 's'));
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 1);
        free(data);
        io_queue_close(queue);
        io_file_close(file);
        EXPECT_INT(io_unlink(io, road_path("limited")), ST_OK);
    }
    EXPECT(sigaction(SIGXFSZ, &old_action, NULL) == 0);
}

TEST(io_says_full_on_a_full_file_system_and_heals_when_space_returns)
{
    if (mount("none", test_dir(), "tmpfs", 0, "size=1m") != 0) {
        return; /* Only root may; /dev/full stands in above. */
    }
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        struct io_file *other = road_file(io, road_path("b"), IO_WRITE_DIRECT);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        EXPECT_INT(io_file_prepare(file, 2 << 20), ST_FULL);
        EXPECT_INT(io_file_truncate(file, 0), ST_OK);
        EXPECT_INT(io_file_prepare(file, 1 << 20), ST_OK);
        struct road_count count = {0};
        void *data = road_buffer(BLOCK, 'f');
        struct io_request write = road_request(other, data, BLOCK, 0, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 1);
        EXPECT_INT(count.status, ST_FULL);
        EXPECT_INT(io_file_write(other, data, BLOCK, 0), ST_FULL);
        EXPECT_INT(io_file_truncate(file, 0), ST_OK);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        road_reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 1);
        free(data);
        io_queue_close(queue);
        io_file_close(file);
        io_file_close(other);
        EXPECT_INT(io_unlink(io, road_path("a")), ST_OK);
        EXPECT_INT(io_unlink(io, road_path("b")), ST_OK);
    }
    EXPECT(umount(test_dir()) == 0);
}

TEST(io_queue_close_waits_for_what_is_in_flight_and_calls_nobody)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(file, 64 * BLOCK), ST_OK);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 64, &queue), ST_OK);
        struct road_count count = {0};
        struct io_request writes[64];
        void *data = road_buffer(BLOCK, 'c');
        for (unsigned i = 0; i < 64; i++) {
            writes[i] = road_request(file, data, BLOCK, i * BLOCK, &count);
            EXPECT_INT(io_queue_write(queue, &writes[i]), ST_OK);
        }
        io_queue_close(queue);
        EXPECT_INT(count.done, 0);
        EXPECT(road_holds(file, 0, 64 * BLOCK, 'c'));
        free(data);
        io_file_close(file);
    }
}
