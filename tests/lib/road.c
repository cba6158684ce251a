#include "tests/lib/road.h"

#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct io *road_open(enum io_road road)
{
    struct io *io = NULL;
    enum status status = io_new(road, &io);
    EXPECT(status == ST_OK || road == IO_ROAD_URING);
    return status == ST_OK ? io : NULL;
}

const char *road_path(const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", test_dir(), name);
    return path;
}

struct io_file *road_file(struct io *io, const char *path, enum io_open_mode mode)
{
    struct io_file *file = NULL;
    EXPECT_INT(io_file_open(io, path, mode, &file), ST_OK);
    return file;
}

void *road_buffer(size_t size, int byte)
{
    void *data = NULL;
    EXPECT(posix_memalign(&data, IO_ALIGNMENT_MAX, size) == 0);
    memset(data, byte, size);
    return data;
}

bool road_holds(struct io_file *file, uint64_t offset, size_t size, int byte)
{
    unsigned char *data = malloc(size);
    size_t got = 0;
    EXPECT_INT(io_file_read(file, data, size, offset, &got), ST_OK);
    bool same = got == size;
    for (size_t i = 0; i < got; i++) {
        same &= data[i] == byte;
    }
    free(data);
    return same;
}

unsigned char road_pattern_at(uint64_t offset)
{
    return (unsigned char)((offset * 0x9E3779B97F4A7C15ull) >> 56);
}

void road_pattern_fill(void *data, size_t size, uint64_t offset)
{
    for (size_t i = 0; i < size; i++) {
        ((unsigned char *)data)[i] = road_pattern_at(offset + i);
    }
}

bool road_pattern_holds(const void *data, size_t size, uint64_t offset)
{
    for (size_t i = 0; i < size; i++) {
        if (((const unsigned char *)data)[i] != road_pattern_at(offset + i)) {
            return false;
        }
    }
    return true;
}

void road_pattern_file(struct io *io, const char *path, size_t size)
{
    struct io_file *file = road_file(io, path, IO_WRITE);
    void *data = road_buffer(size, 0);
    road_pattern_fill(data, size, 0);
    EXPECT_INT(io_file_write(file, data, size, 0), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    io_file_close(file);
    free(data);
    int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    close(fd);
}

struct io_file *road_pattern_open(struct io *io, size_t size, enum io_open_mode mode)
{
    road_pattern_file(io, road_path("a"), size);
    return road_file(io, road_path("a"), mode);
}

struct io_queue *road_queue(struct io *io, unsigned depth)
{
    struct io_queue *queue = NULL;
    EXPECT_INT(io_queue_open(io, depth, &queue), ST_OK);
    return queue;
}

void road_close(struct io_file *file, struct io_queue *queue)
{
    io_queue_close(queue);
    io_file_close(file);
}

void road_counted(struct io_request *request, enum status status)
{
    struct road_count *count = request->ctx;
    if (status != ST_OK) {
        atomic_store(&count->status, (int)status);
        atomic_fetch_add(&count->failed, 1);
    }
    atomic_fetch_add(&count->done, 1);
}

struct io_request road_request(struct io_file *file, void *data, size_t size, uint64_t offset,
                               struct road_count *count)
{
    return (struct io_request){.file = file,
                               .data = data,
                               .size = size,
                               .offset = offset,
                               .durable = true,
                               .done = road_counted,
                               .ctx = count};
}

void road_reap_until(struct io_queue *queue, struct road_count *count, unsigned wanted)
{
    while (atomic_load(&count->done) < wanted) {
        struct pollfd poll_fd = {.fd = io_queue_fd(queue), .events = POLLIN};
        EXPECT_INT(poll(&poll_fd, 1, 10000), 1);
        uint64_t ticks;
        EXPECT(read(poll_fd.fd, &ticks, sizeof(ticks)) == sizeof(ticks) || errno == EAGAIN);
        io_queue_reap(queue);
    }
}
