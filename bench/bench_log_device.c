/* bench_log_device: how a device takes the writes of a log, by road, size and writes in flight.
 *
 *     bench_log_device DIRECTORY [SECONDS_EACH]      prints a Markdown table
 *
 * Ways: a file that grows, then fdatasync (the classic); O_DIRECT into blocks written before, then
 * fdatasync; the same with RWF_DSYNC, through io_uring and through threads; and the plain road of
 * engine/io (page cache and RWF_DSYNC in threads). One write follows the next around a prepared
 * file. CPU is that of this process, user and system. */
#include "engine/io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_SIZE ((uint64_t)64 << 20)
#define IN_FLIGHT_MAX 8
#define SAMPLES_MAX 1000000u

/* One row of the table under way. */
struct run {
    struct io *io;
    struct io_file *file;
    struct io_queue *queue;
    int fd;
    size_t size;
    void *data;
    uint64_t end_us;
    _Atomic uint64_t slot; /* The next piece of the file. */
    _Atomic unsigned count;
    unsigned in_flight;
    uint32_t *latencies; /* In microseconds. */
};

struct piece {
    struct io_request write;
    struct run *run;
    uint64_t start_us;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static void require(enum status status, const char *what)
{
    if (status != ST_OK) {
        fprintf(stderr, "cannot %s: %s\n", what, status_name(status));
        exit(1);
    }
}

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void sample(struct run *run, uint64_t start_us)
{
    unsigned index = atomic_fetch_add(&run->count, 1);
    if (index < SAMPLES_MAX) {
        run->latencies[index] = (uint32_t)(io_now_us(run->io) - start_us);
    }
}

static uint64_t next_offset(struct run *run)
{
    return atomic_fetch_add(&run->slot, 1) * run->size % FILE_SIZE;
}

/* -- Ways to write ----------------------------------------------------------------------------- */

static void write_and_sync(struct run *run, bool grows)
{
    while (io_now_us(run->io) < run->end_us) {
        uint64_t start_us = io_now_us(run->io);
        uint64_t offset = grows ? run->slot++ * run->size : next_offset(run);
        if (pwrite(run->fd, run->data, run->size, (off_t)offset) != (ssize_t)run->size ||
            fdatasync(run->fd) != 0) {
            fail("write");
        }
        sample(run, start_us);
    }
}

static void *thread_run(void *ctx)
{
    struct run *run = ctx;
    while (io_now_us(run->io) < run->end_us) {
        uint64_t start_us = io_now_us(run->io);
        struct iovec part = {run->data, run->size};
        if (pwritev2(run->fd, &part, 1, (off_t)next_offset(run), RWF_DSYNC) != (ssize_t)run->size) {
            fail("write");
        }
        sample(run, start_us);
    }
    return NULL;
}

static void write_in_threads(struct run *run, unsigned count)
{
    pthread_t threads[IN_FLIGHT_MAX];
    for (unsigned i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, thread_run, run) != 0) {
            fail("start a thread");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void piece_start(struct piece *piece)
{
    piece->write.offset = next_offset(piece->run);
    piece->start_us = io_now_us(piece->run->io);
    piece->run->in_flight++;
    require(io_queue_write(piece->run->queue, &piece->write), "write");
}

static void piece_done(struct io_request *write, enum status status)
{
    struct piece *piece = (struct piece *)write;
    struct run *run = piece->run;
    require(status, "write");
    sample(run, piece->start_us);
    run->in_flight--;
    if (io_now_us(run->io) < run->end_us) {
        piece_start(piece);
    }
}

static void write_through_queue(struct run *run, unsigned count)
{
    struct piece pieces[IN_FLIGHT_MAX];
    require(io_queue_open(run->io, count, &run->queue), "open a queue");
    for (unsigned i = 0; i < count; i++) {
        pieces[i] = (struct piece){.run = run,
                                   .write = {.file = run->file,
                                             .data = run->data,
                                             .size = run->size,
                                             .durable = true,
                                             .done = piece_done}};
        piece_start(&pieces[i]);
    }
    while (run->in_flight > 0) {
        struct pollfd poll_fd = {.fd = io_queue_fd(run->queue), .events = POLLIN};
        uint64_t ticks;
        if (poll(&poll_fd, 1, 1000) > 0 && read(poll_fd.fd, &ticks, sizeof(ticks)) < 0) {
            fail("read the eventfd");
        }
        io_queue_reap(run->queue);
    }
    io_queue_close(run->queue);
}

/* -- The table --------------------------------------------------------------------------------- */

enum way { WAY_APPEND, WAY_DIRECT_FDATASYNC, WAY_URING, WAY_THREADS, WAY_PLAIN };

static const char *const way_names[] = {
    "append + fdatasync", "O_DIRECT + fdatasync", "O_DIRECT + RWF_DSYNC, io_uring",
    "O_DIRECT + RWF_DSYNC, threads", "page cache + RWF_DSYNC, plain road"};

static int latency_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void row_print(struct run *run, enum way way, unsigned in_flight, uint64_t us, uint64_t cpu)
{
    unsigned count = run->count < SAMPLES_MAX ? run->count : SAMPLES_MAX;
    double sum = 0;
    if (count == 0) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        sum += run->latencies[i];
    }
    qsort(run->latencies, count, sizeof(run->latencies[0]), latency_order);
    printf("| %zu | %s | %u | %.0f | %.0f | %u | %.1f |\n", run->size, way_names[way], in_flight,
           (double)run->count * 1e6 / (double)us, sum / count,
           run->latencies[count - 1 - count / 100], (double)cpu / run->count);
    fflush(stdout);
}

static void measure(enum way way, unsigned in_flight, const char *path, size_t size, double seconds,
                    uint32_t *latencies)
{
    struct run run = {.size = size, .latencies = latencies};
    if (io_new(way == WAY_PLAIN ? IO_ROAD_PLAIN : IO_ROAD_URING, &run.io) != ST_OK) {
        return;
    }
    require(io_file_open(run.io, path, IO_WRITE_DIRECT, &run.file), "open the file");
    if (way != WAY_APPEND) {
        require(io_file_prepare(run.file, FILE_SIZE), "prepare the file");
    }
    run.fd = open(path, O_RDWR | O_CLOEXEC | (way == WAY_APPEND ? 0 : O_DIRECT));
    if (run.fd < 0 || posix_memalign(&run.data, IO_ALIGNMENT_MAX, size) != 0) {
        fail("open the file directly");
    }
    memset(run.data, 'x', size);
    if (way == WAY_APPEND || size % io_file_alignment(run.file) == 0) {
        uint64_t start_us = io_now_us(run.io);
        uint64_t cpu = cpu_us();
        run.end_us = start_us + (uint64_t)(seconds * 1e6);
        if (way == WAY_APPEND || way == WAY_DIRECT_FDATASYNC) {
            write_and_sync(&run, way == WAY_APPEND);
        } else if (way == WAY_THREADS) {
            write_in_threads(&run, in_flight);
        } else {
            write_through_queue(&run, in_flight);
        }
        row_print(&run, way, in_flight, io_now_us(run.io) - start_us, cpu_us() - cpu);
    }
    free(run.data);
    close(run.fd);
    io_file_close(run.file);
    require(io_unlink(run.io, path), "remove the file");
    io_free(run.io);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {512, 4096, 65536};
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [SECONDS_EACH]\n", argv[0]);
        return 2;
    }
    double seconds = argc > 2 ? atof(argv[2]) : 1;
    char path[4096];
    snprintf(path, sizeof(path), "%s/bench-log-device-%d", argv[1], (int)getpid());
    uint32_t *latencies = malloc(SAMPLES_MAX * sizeof(*latencies));
    if (latencies == NULL) {
        fail("allocate");
    }
    printf("| bytes | way | in flight | writes/s | mean µs | p99 µs | CPU µs/write |\n"
           "|---:|---|---:|---:|---:|---:|---:|\n");
    for (unsigned i = 0; i < 3; i++) {
        measure(WAY_APPEND, 1, path, sizes[i], seconds, latencies);
        measure(WAY_DIRECT_FDATASYNC, 1, path, sizes[i], seconds, latencies);
        for (enum way way = WAY_URING; way <= WAY_PLAIN; way++) {
            for (unsigned in_flight = 1; in_flight <= IN_FLIGHT_MAX; in_flight *= 2) {
                measure(way, in_flight, path, sizes[i], seconds, latencies);
            }
        }
    }
    free(latencies);
    return 0;
}
