/* Reads: through io_file_read and through queues, of all sizes, short and interrupted ones. */
#include "tests/lib/road.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define BLOCK 4096

/* What a read of that range finds in a file of file_size bytes. */
static size_t size_there(uint64_t file_size, size_t size, uint64_t offset)
{
    uint64_t rest = offset < file_size ? file_size - offset : 0;
    return size < rest ? size : (size_t)rest;
}

static bool reads_pattern(struct io_file *file, uint64_t file_size, size_t size, uint64_t offset)
{
    void *data = road_buffer(size, 0);
    size_t got = 0;
    bool right = io_file_read(file, data, size, offset, &got) == ST_OK &&
                 got == size_there(file_size, size, offset) &&
                 road_pattern_holds(data, got, offset);
    free(data);
    return right;
}

TEST(io_reads_directly_all_sizes_and_past_the_end)
{
    static const size_t file_sizes[] = {1, 511, 512, 700, BLOCK, 5 * BLOCK + 512, 9 * BLOCK + 777};
    FOR_EACH_ROAD(io)
    {
        for (unsigned i = 0; i < sizeof(file_sizes) / sizeof(file_sizes[0]); i++) {
            struct io_file *file = road_pattern_open(io, file_sizes[i], IO_READ_DIRECT);
            uint64_t size;
            EXPECT_INT(io_file_size(file, &size), ST_OK);
            EXPECT_INT(size, file_sizes[i]);
            for (unsigned from = 0; from < 12; from += 1 + from / 4) {
                for (unsigned count = 1; count < 20; count += 1 + count / 3) {
                    EXPECT(reads_pattern(file, size, count * BLOCK, from * BLOCK));
                }
            }
            io_file_close(file);
            EXPECT_INT(io_unlink(io, road_path("a")), ST_OK);
        }
    }
}

/* How many pages of the file the page cache has. */
static unsigned pages_cached(const char *path, size_t size)
{
    unsigned char pages[256];
    EXPECT(size <= sizeof(pages) * BLOCK);
    int fd = open(path, O_RDONLY);
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT(fd >= 0 && map != MAP_FAILED && mincore(map, size, pages) == 0);
    unsigned count = 0;
    for (size_t i = 0; i < (size + BLOCK - 1) / BLOCK; i++) {
        count += pages[i] & 1;
    }
    munmap(map, size);
    close(fd);
    return count;
}

/* NULL: nobody promises direct access here. */
static struct io *direct_road(void)
{
    struct statfs found;
    struct io *io = road_open(IO_ROAD_URING);
    if (statfs(test_dir(), &found) != 0 || found.f_type != EXT4_SUPER_MAGIC) {
        io_free(io);
        return NULL;
    }
    return io;
}

TEST(io_reads_past_the_page_cache_where_that_is_granted)
{
    struct io *io = direct_road();
    if (io == NULL || sysconf(_SC_PAGESIZE) != BLOCK) {
        io_free(io);
        return;
    }
    size_t size = 100 * BLOCK;
    road_pattern_file(io, road_path("a"), size);
    EXPECT_INT(pages_cached(road_path("a"), size), 0);
    struct io_file *file = road_file(io, road_path("a"), IO_READ_DIRECT);
    struct io_queue *queue = road_queue(io, 1);
    void *data = road_buffer(size, 0);
    struct road_count count = {0};
    struct io_request read = road_request(file, data, size, 0, &count);
    EXPECT(reads_pattern(file, size, size, 0));
    EXPECT_INT(io_queue_read(queue, &read), ST_OK);
    io_queue_start(queue);
    road_reap_until(queue, &count, 1);
    EXPECT(read.size_done == size && road_pattern_holds(data, size, 0));
    EXPECT_INT(pages_cached(road_path("a"), size), 0);
    io_file_close(file);
    file = road_file(io, road_path("a"), IO_READ);
    EXPECT(reads_pattern(file, size, size, 0));
    EXPECT(pages_cached(road_path("a"), size) > 0);
    road_close(file, queue);
    free(data);
    io_free(io);
}

/* A read that begins `shift` bytes behind an aligned place of memory. */
struct shifted {
    struct io_file *file;
    struct io_queue *queue; /* NULL: without one. */
    size_t shift, size;
    uint64_t offset;
};

static void read_shifted(void *ctx)
{
    const struct shifted *shifted = ctx;
    char *data = road_buffer(2 * BLOCK, 0);
    struct road_count count = {0};
    struct io_request read =
        road_request(shifted->file, data + shifted->shift, shifted->size, shifted->offset, &count);
    size_t got;
    (void)(shifted->queue != NULL
               ? io_queue_read(shifted->queue, &read)
               : io_file_read(read.file, read.data, read.size, read.offset, &got));
}

static bool read_aborts(struct io_file *file, struct io_queue *queue, size_t shift, size_t size,
                        uint64_t offset)
{
    struct shifted shifted = {file, queue, shift, size, offset};
    return test_aborts(read_shifted, &shifted);
}

TEST(io_checks_that_direct_reads_are_aligned)
{
    struct io *io = direct_road();
    if (io == NULL) {
        return;
    }
    struct io_file *file = road_pattern_open(io, BLOCK, IO_READ_DIRECT);
    struct io_queue *queues[2] = {NULL};
    EXPECT_INT(io_queue_open(io, 1, &queues[1]), ST_OK);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(!read_aborts(file, queues[i], 0, BLOCK, 0));
        EXPECT(read_aborts(file, queues[i], 8, BLOCK, 0));
        EXPECT(read_aborts(file, queues[i], 0, 100, 0));
        EXPECT(read_aborts(file, queues[i], 0, BLOCK, 100));
    }
    io_queue_close(queues[1]);
    io_file_close(file);
    io_free(io);
}

/* -- Very large, short and interrupted --------------------------------------------------------- */

/* One call of the kernel moves 2 GiB less a page at most. The buffer is a small piece of memory,
 * mapped again and again, and behind it memory of its own for what lies around that point. */
#define LARGE ((size_t)1 << 31)
#define PIECE ((size_t)1 << 20)

static char *large_buffer(void)
{
    char *data = mmap(NULL, LARGE + PIECE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = memfd_create("basin-test", MFD_CLOEXEC);
    EXPECT(data != MAP_FAILED && fd >= 0 && ftruncate(fd, PIECE) == 0);
    for (size_t at = 0; at < LARGE - PIECE; at += PIECE) {
        EXPECT(mmap(data + at, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
               data + at);
    }
    close(fd);
    return data;
}

static void large_file(struct io *io)
{
    struct io_file *file = road_file(io, road_path("large"), IO_WRITE);
    void *data = road_buffer(2 * PIECE, 0);
    road_pattern_fill(data, 2 * PIECE, LARGE - PIECE);
    EXPECT_INT(io_file_write(file, data, 2 * PIECE, LARGE - PIECE), ST_OK);
    EXPECT_INT(io_file_sync(file), ST_OK);
    io_file_close(file);
    free(data);
}

TEST(io_reads_more_than_two_gibibytes_at_once)
{
#ifdef __SANITIZE_THREAD__
    return; /* It would remember every byte. */
#endif
    struct io *io = road_open(IO_ROAD_URING);
    if (io == NULL) {
        EXPECT_INT(io_new(IO_ROAD_PLAIN, &io), ST_OK);
    }
    large_file(io);
    char *data = large_buffer();
    struct io_file *file = road_file(io, road_path("large"), IO_READ_DIRECT);
    size_t got = 0;
    EXPECT_INT(io_file_read(file, data, LARGE + PIECE, 0, &got), ST_OK);
    EXPECT(got == LARGE + PIECE);
    EXPECT(road_pattern_holds(data + LARGE - PIECE, 2 * PIECE, LARGE - PIECE));
    memset(data + LARGE - PIECE, 0, 2 * PIECE);
    struct io_queue *queue = road_queue(io, 1);
    struct road_count count = {0};
    struct io_request read = road_request(file, data, LARGE + PIECE, 0, &count);
    EXPECT_INT(io_queue_read(queue, &read), ST_OK);
    io_queue_start(queue);
    road_reap_until(queue, &count, 1);
    EXPECT(count.failed == 0 && read.size_done == LARGE + PIECE);
    EXPECT(road_pattern_holds(data + LARGE - PIECE, 2 * PIECE, LARGE - PIECE));
    road_close(file, queue);
    munmap(data, LARGE + PIECE);
    io_free(io);
}

#ifdef __x86_64__
static unsigned calls;
static size_t least; /* What a short call still moves. */

/* Stands in for the pread that the kernel refused: interrupted, or short, also within a sector, or
 * whole. */
static void pread_badly(int number, siginfo_t *info, void *context)
{
    static const size_t more[] = {0, 1, 904, 0, 8192, 512}; /* 0 and 3: interrupted. */
    (void)number;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct iovec part = {(void *)registers[REG_RSI], (size_t)registers[REG_RDX]};
    unsigned turn = calls++;
    if (turn % 3 == 0) {
        registers[REG_RAX] = -EINTR;
        return;
    }
    ssize_t got = syscall(SYS_preadv, registers[REG_RDI], &part, 1, registers[REG_R10], 0);
    size_t limit = least + more[turn % 6];
    registers[REG_RAX] = got < 0 ? -errno : (size_t)got < limit ? got : (ssize_t)limit;
}

/* In a child: gives what went wrong, 0 nothing. */
static int read_badly(struct io_file *direct, struct io_file *cached, uint64_t file_size)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pread64, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, rules};
    struct sigaction action = {.sa_sigaction = pread_badly, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 0; /* No way to do it here. */
    }
    for (unsigned from = 0; from < 12; from++) {
        for (unsigned count = 1; count < 14; count++) {
            least = IO_ALIGNMENT_MAX;
            if (!reads_pattern(direct, file_size, count * BLOCK, from * BLOCK)) {
                return 1;
            }
            least = 0;
            if (!reads_pattern(cached, file_size, count * 3001, from * 4001)) {
                return 2;
            }
        }
    }
    return calls > 100 ? 0 : 3;
}

TEST(io_file_read_goes_on_after_short_and_interrupted_calls)
{
    FOR_EACH_ROAD(io)
    {
        uint64_t file_size = 11 * BLOCK + 900;
        road_pattern_file(io, road_path("a"), file_size);
        struct io_file *direct = road_file(io, road_path("a"), IO_READ_DIRECT);
        struct io_file *cached = road_file(io, road_path("a"), IO_READ);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            _exit(read_badly(direct, cached, file_size));
        }
        int how = -1;
        EXPECT(waitpid(child, &how, 0) == child);
        EXPECT_INT(how, 0);
        io_file_close(direct);
        io_file_close(cached);
    }
}
#endif

/* -- Queue ------------------------------------------------------------------------------------- */

#define BATCH 48

/* Reads of one batch, at random places, and what they found. */
struct batch {
    struct io_request reads[BATCH];
    struct road_count count;
};

static void batch_prepare(struct batch *batch, struct io_queue *queue, struct io_file *file,
                          uint64_t file_size, size_t step, uint64_t *chance)
{
    memset(batch, 0, sizeof(*batch));
    for (unsigned i = 0; i < BATCH; i++) {
        size_t size = (1 + test_random_below(chance, i % 4 == 0 ? 16 : 4)) * step;
        uint64_t offset = test_random_below(chance, (file_size + 8 * step) / step) * step;
        batch->reads[i] = road_request(file, road_buffer(size, 0), size, offset, &batch->count);
        EXPECT_INT(io_queue_read(queue, &batch->reads[i]), ST_OK);
    }
}

static void batch_expect(struct batch *batch, uint64_t file_size)
{
    EXPECT_INT(batch->count.failed, 0);
    for (unsigned i = 0; i < BATCH; i++) {
        struct io_request *read = &batch->reads[i];
        EXPECT_INT(read->size_done, size_there(file_size, read->size, read->offset));
        EXPECT(road_pattern_holds(read->data, read->size_done, read->offset));
        free(read->data);
    }
}

TEST(io_queue_reads_any_range_also_past_the_end_in_every_mode)
{
    uint64_t chance = test_seed() | 1;
    FOR_EACH_ROAD(io)
    {
        for (enum io_open_mode mode = IO_READ; mode <= IO_WRITE_DIRECT; mode++) {
            uint64_t file_size = 40 * BLOCK + test_random_below(&chance, BLOCK);
            struct io_file *file = road_pattern_open(io, file_size, mode);
            struct io_queue *queue = road_queue(io, BATCH);
            size_t step = mode == IO_READ || mode == IO_WRITE ? 601 : io_file_alignment(file);
            for (unsigned round = 0; round < 10; round++) {
                struct batch batch;
                batch_prepare(&batch, queue, file, file_size, step, &chance);
                io_queue_start(queue);
                EXPECT_INT(batch.count.done, 0); /* Nothing is called before a reap. */
                road_reap_until(queue, &batch.count, BATCH);
                batch_expect(&batch, file_size);
            }
            road_close(file, queue);
            EXPECT_INT(io_unlink(io, road_path("a")), ST_OK);
        }
    }
}

TEST(io_queue_counts_prepared_reads_and_begins_them_together)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_pattern_open(io, 4 * BLOCK, IO_READ_DIRECT);
        struct io_queue *queue = road_queue(io, 4);
        io_queue_start(queue); /* Of nothing. */
        struct road_count count = {0};
        struct io_request reads[5];
        char *data = road_buffer(5 * BLOCK, 0);
        for (unsigned i = 0; i < 5; i++) {
            reads[i] = road_request(file, data + i * BLOCK, BLOCK, i % 4 * BLOCK, &count);
            EXPECT_INT(io_queue_read(queue, &reads[i]), i < 4 ? ST_OK : ST_LIMIT);
        }
        io_queue_start(queue);
        road_reap_until(queue, &count, 4);
        EXPECT_INT(io_queue_read(queue, &reads[4]), ST_OK);
        io_queue_start(queue);
        road_reap_until(queue, &count, 5);
        EXPECT_INT(count.failed, 0);
        EXPECT(road_pattern_holds(data, 4 * BLOCK, 0));
        EXPECT(road_pattern_holds(data + 4 * BLOCK, BLOCK, 0));
        road_close(file, queue);
        free(data);
    }
}

TEST(io_queue_close_waits_for_reads_that_were_only_prepared)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_pattern_open(io, 8 * BLOCK, IO_READ_DIRECT);
        struct io_queue *queue = road_queue(io, 8);
        struct road_count count = {0};
        struct io_request reads[8];
        char *data = road_buffer(8 * BLOCK, 0);
        for (unsigned i = 0; i < 8; i++) {
            reads[i] = road_request(file, data + i * BLOCK, BLOCK, i * BLOCK, &count);
            EXPECT_INT(io_queue_read(queue, &reads[i]), ST_OK);
            if (i == 3) {
                io_queue_start(queue);
            }
        }
        io_queue_close(queue);
        EXPECT_INT(count.done, 0);
        EXPECT(road_pattern_holds(data, 4 * BLOCK, 0));
        io_file_close(file);
        free(data);
    }
}

TEST(io_queue_mixes_reads_and_writes)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = road_pattern_open(io, 32 * BLOCK, IO_WRITE_DIRECT);
        struct io_queue *queue = road_queue(io, 32);
        struct road_count count = {0};
        struct io_request requests[32];
        char *data = road_buffer(32 * BLOCK, 0);
        for (unsigned round = 0; round < 20; round++) {
            for (unsigned i = 0; i < 32; i++) {
                char *at = data + i * BLOCK;
                bool reads = i % 3 != 0;
                memset(at, (int)('a' + round), BLOCK);
                requests[i] = road_request(file, at, BLOCK, i * BLOCK, &count);
                requests[i].durable = i % 2 == 0;
                EXPECT_INT(reads ? io_queue_read(queue, &requests[i])
                                 : io_queue_write(queue, &requests[i]),
                           ST_OK);
            }
            io_queue_start(queue);
            road_reap_until(queue, &count, 32 * (round + 1));
            EXPECT_INT(count.failed, 0);
            for (unsigned i = 0; i < 32; i++) {
                EXPECT_INT(requests[i].size_done, BLOCK);
                EXPECT(i % 3 == 0 ? road_holds(file, i * BLOCK, BLOCK, (int)('a' + round))
                                  : road_pattern_holds(data + i * BLOCK, BLOCK, i * BLOCK));
            }
        }
        road_close(file, queue);
        free(data);
        EXPECT_INT(io_unlink(io, road_path("a")), ST_OK);
    }
}

/* A directory opens for reading but has no bytes; no file has that offset. */
TEST(io_queue_reads_that_fail_end_with_io)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *dir = road_file(io, test_dir(), IO_READ);
        char byte;
        size_t got;
        EXPECT_INT(io_file_read(dir, &byte, 1, 0, &got), ST_IO);
        struct io_queue *queue = road_queue(io, 2);
        struct road_count count = {0};
        struct io_request read = road_request(dir, &byte, 1, 0, &count);
        EXPECT_INT(io_queue_read(queue, &read), ST_OK);
        io_queue_start(queue);
        road_reap_until(queue, &count, 1);
        EXPECT_INT(count.failed, 1);
        EXPECT_INT(count.status, ST_IO);
        struct io_file *file = road_pattern_open(io, BLOCK, IO_READ);
        read = road_request(file, &byte, 1, (uint64_t)1 << 63, &count);
        EXPECT_INT(io_queue_read(queue, &read), ST_OK);
        io_queue_start(queue);
        road_reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 2);
        EXPECT_INT(count.status, ST_IO);
        io_queue_close(queue);
        io_file_close(dir);
        io_file_close(file);
    }
}
