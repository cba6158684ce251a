/* sim_private: what the parts of the simulated disk know of each other.
 *
 *     sim_disk.c   calls on files, power cuts, raw access
 *     sim_dir.c    calls on names
 *     sim_queue.c  asynchronous requests, and what holds them back
 *     sim_fault.c  which call fails, and the fault loop
 *     sim_store.c, sim_names.c   contents and names below them (sim_store.h, sim_names.h)
 */
#ifndef BASIN_TESTS_LIB_SIM_PRIVATE_H
#define BASIN_TESTS_LIB_SIM_PRIVATE_H

#include "tests/lib/sim_store.h"

struct sim_file {
    struct io_file file; /* First. */
    struct sim_disk *disk;
    struct sim_node *node;
    enum io_open_mode mode;
    bool stale;   /* A crash came since; node is gone. */
    bool watched; /* Its path holds disk->where. */
    struct sim_file *next;
};

struct sim_queue {
    struct io_queue queue; /* First. */
    struct sim_disk *disk;
    unsigned depth;
    unsigned in_flight;
    bool stale;
    struct sim_queue *next;
};

/* A request that was submitted and not reaped. */
struct sim_flight {
    struct io_request *request;
    struct sim_queue *queue;
    enum status fate;
    bool started;      /* Not a read that only was prepared. */
    bool released;     /* Completes although the disk holds. */
    bool lost;         /* A crash has dealt with its bytes. */
    uint64_t checksum; /* The queue keeps the data: nobody may change it in flight. */
    struct sim_flight *next;
};

struct sim_fault {
    unsigned calls_left; /* Until it fires; 0: no fault. */
    unsigned then;       /* See sim_disk_fail_again; 0: nothing. */
    bool stays;
    enum status status;
    unsigned met;
};

struct sim_disk {
    struct io io; /* First. */
    struct sim_store store;
    struct sim_file *files;
    struct sim_queue *queues;
    struct sim_flight *flights; /* In the order of submission. */
    struct sim_fault fault;
    enum sim_crash crash_mode;
    enum sim_reap reap_mode;
    const char *where; /* See sim_disk_set_meanwhile. */
    void (*meanwhile)(void *ctx);
    void *meanwhile_ctx;
    bool in_meanwhile;
    bool hold;
    bool poor; /* Knows no links and no holes. */
    bool off;
    uint64_t space;
    size_t alignment;
    uint64_t now_us;
    uint64_t wall_ms;
    uint64_t seed;
    unsigned loop_pass; /* Of FOR_EACH_FAULT. */
    unsigned loop_call;
};

static inline struct sim_disk *sim_disk_of(struct io *io)
{
    return (struct sim_disk *)io;
}

static inline struct sim_file *sim_file_of(struct io_file *file)
{
    return (struct sim_file *)file;
}

/* Counts a call and says whether it fails. */
enum status sim_call_begin(struct sim_disk *disk, bool needs_space);

/* The loop's disk of the round under way is gone. */
void sim_fault_forget(const struct sim_disk *disk);

/* CHECKs what io.h asks of the requests of a queue. */
void sim_request_check(const struct io_request *request);

/* Gives the size read. */
size_t sim_read_settle(struct sim_file *file, void *data, size_t size, uint64_t offset);

/* What fits of a write to there; growth alone needs space. */
uint64_t sim_size_that_fits(struct sim_disk *disk, struct sim_node *node, uint64_t offset,
                            uint64_t size);

/* Carries out a write whose fate is known but for the space. */
enum status sim_write_settle(struct sim_file *file, struct bytes bytes, uint64_t offset,
                             bool durable, enum status fate);

enum status sim_rename(struct io *io, const char *from, const char *to);
enum status sim_link(struct io *io, const char *from, const char *to, bool *linked_out);
enum status sim_unlink(struct io *io, const char *path);
enum status sim_dir_make(struct io *io, const char *path);
enum status sim_dir_remove(struct io *io, const char *path);
enum status sim_dir_sync(struct io *io, const char *path);
enum status sim_dir_list(struct io *io, const char *path, struct io_name **names_out,
                         size_t *count_out);

enum status sim_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out);
void sim_queue_close(struct io_queue *queue);
enum status sim_queue_write(struct io_queue *queue, struct io_request *write);
enum status sim_queue_read(struct io_queue *queue, struct io_request *read);
void sim_queue_start(struct io_queue *queue);
unsigned sim_queue_reap(struct io_queue *queue);
int sim_queue_fd(struct io_queue *queue);

/* The bytes of what is in flight become pending ones, and the writes will end with ST_IO. */
void sim_queue_crash(struct sim_disk *disk);
void sim_queue_free_all(struct sim_disk *disk);

#endif
