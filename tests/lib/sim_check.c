#include "tests/lib/sim_check.h"

#include "tests/lib/test.h"

#include <stdlib.h>

struct io_file *sim_file_open(struct sim_disk *disk, const char *path)
{
    struct io_file *file = NULL;
    EXPECT_INT(io_file_open(sim_disk_io(disk), path, IO_WRITE, &file), ST_OK);
    return file;
}

struct io_file *sim_file_make(struct sim_disk *disk, const char *path, unsigned char byte,
                              size_t size)
{
    struct io_file *file = sim_file_open(disk, path);
    unsigned char *data = malloc(size);
    memset(data, byte, size);
    EXPECT_INT(io_file_write(file, data, size, 0), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    EXPECT_INT(io_dir_sync(sim_disk_io(disk), "."), ST_OK);
    free(data);
    return file;
}

size_t sim_count_raw(struct sim_disk *disk, const char *path, unsigned char byte)
{
    unsigned char data[4 * BLOCK];
    size_t size = sim_disk_read_raw(disk, path, data, sizeof(data), 0);
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += data[i] == byte;
    }
    return count;
}

bool sim_has_name(struct sim_disk *disk, const char *dir, const char *name)
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

void burst_landed(struct io_request *request, enum status status)
{
    struct landing *landing = request->ctx;
    landing->statuses[landing->count] = status;
    landing->order[landing->count++] = (unsigned)(request->offset / BLOCK);
}

static void burst_open(struct burst *burst, struct sim_disk *disk, struct io_file *file)
{
    memset(burst, 0, sizeof(*burst));
    burst->disk = disk;
    EXPECT_INT(io_queue_open(sim_disk_io(disk), 4, &burst->queue), ST_OK);
    for (unsigned i = 0; i < 4; i++) {
        memset(burst->data[i], 'a' + (int)i, BLOCK);
        burst->requests[i] = (struct io_request){.file = file,
                                                 .data = burst->data[i],
                                                 .size = BLOCK,
                                                 .offset = i * BLOCK,
                                                 .done = burst_landed,
                                                 .ctx = &burst->landing};
    }
}

void burst_write(struct burst *burst, struct sim_disk *disk, struct io_file *file, bool durable)
{
    burst_open(burst, disk, file);
    for (unsigned i = 0; i < 4; i++) {
        burst->requests[i].durable = durable;
        EXPECT_INT(io_queue_write(burst->queue, &burst->requests[i]), ST_OK);
    }
}

void burst_read(struct burst *burst, struct sim_disk *disk, struct io_file *file)
{
    burst_open(burst, disk, file);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_INT(io_queue_read(burst->queue, &burst->requests[i]), ST_OK);
    }
}

void burst_complete(struct burst *burst)
{
    io_queue_start(burst->queue);
    EXPECT_INT(io_queue_reap(burst->queue), 4);
}

void burst_end(struct burst *burst, struct io_file *file)
{
    io_queue_close(burst->queue);
    io_file_close(file);
    sim_disk_free(burst->disk);
}
