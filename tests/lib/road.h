/* road: what the tests of the two real roads share. Failures end the test that runs. */
#ifndef BASIN_TESTS_LIB_ROAD_H
#define BASIN_TESTS_LIB_ROAD_H

#include "engine/io/io.h"

#include <stdatomic.h>

/* Runs its body on each road that this system grants. */
#define FOR_EACH_ROAD(io)                                                                          \
    for (unsigned road_ = 0; road_ < 2; road_++)                                                   \
        for (struct io *io = road_open(road_ == 0 ? IO_ROAD_URING : IO_ROAD_PLAIN); io != NULL;    \
             io_free(io), io = NULL)

/* NULL: io_uring is refused. */
struct io *road_open(enum io_road road);

/* A path in test_dir(); lent until the fourth call after it. */
const char *road_path(const char *name);

/* Given. */
struct io_file *road_file(struct io *io, const char *path, enum io_open_mode mode);

/* Aligned for direct access, full of that byte; free it. */
void *road_buffer(size_t size, int byte);

bool road_holds(struct io_file *file, uint64_t offset, size_t size, int byte);

/* Bytes that tell where they stand: what a file holds at that offset, and whether it does. */
unsigned char road_pattern_at(uint64_t offset);
void road_pattern_fill(void *data, size_t size, uint64_t offset);
bool road_pattern_holds(const void *data, size_t size, uint64_t offset);

/* Makes a file of `size` bytes of the pattern, synced and not in the page cache. */
void road_pattern_file(struct io *io, const char *path, size_t size);

/* Makes it under road_path("a"), and opens it. Given. */
struct io_file *road_pattern_open(struct io *io, size_t size, enum io_open_mode mode);

/* Given. */
struct io_queue *road_queue(struct io *io, unsigned depth);
void road_close(struct io_file *file, struct io_queue *queue);

struct road_count {
    _Atomic unsigned done;
    _Atomic unsigned failed;
    _Atomic int status; /* The last failure. */
};

/* The done of road_request: counts in its ctx. */
void road_counted(struct io_request *request, enum status status);

/* A durable write, or a read. */
struct io_request road_request(struct io_file *file, void *data, size_t size, uint64_t offset,
                               struct road_count *count);

/* Waits by poll alone, so that a missing signal shows as a time-out. */
void road_reap_until(struct io_queue *queue, struct road_count *count, unsigned wanted);

#endif
