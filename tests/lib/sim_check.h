/* sim_check: what the tests of the simulated disk share. Failures end the test that runs. */
#ifndef BASIN_TESTS_LIB_SIM_CHECK_H
#define BASIN_TESTS_LIB_SIM_CHECK_H

#include "tests/lib/sim_disk.h"

#define SEEDS 200
#define BLOCK 4096

/* Opens to read and write. Given. */
struct io_file *sim_file_open(struct sim_disk *disk, const char *path);

/* A file of `size` bytes of that value, durable with its name, open. Given. */
struct io_file *sim_file_make(struct sim_disk *disk, const char *path, unsigned char byte,
                              size_t size);

/* Counts the bytes of that value in what is durable, of the first four blocks. */
size_t sim_count_raw(struct sim_disk *disk, const char *path, unsigned char byte);

bool sim_has_name(struct sim_disk *disk, const char *dir, const char *name);

/* What a queue completed, in order. */
struct landing {
    unsigned order[8];
    enum status statuses[8];
    unsigned count;
};

/* Four requests of one block each, in ascending order; a write's block i is full of 'a' + i. */
struct burst {
    struct sim_disk *disk;
    struct io_queue *queue;
    struct landing landing;
    struct io_request requests[4];
    unsigned char data[4][BLOCK];
};

/* Their done: notes the landing that is its ctx. */
void burst_landed(struct io_request *request, enum status status);

/* Opens the queue and submits four writes to it, or prepares four reads. */
void burst_write(struct burst *burst, struct sim_disk *disk, struct io_file *file, bool durable);
void burst_read(struct burst *burst, struct sim_disk *disk, struct io_file *file);
/* Starts what was prepared, and reaps all four. */
void burst_complete(struct burst *burst);
/* Closes queue and file, and frees the disk. */
void burst_end(struct burst *burst, struct io_file *file);

#endif
