#include "engine/io/io.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096

static const enum io_road roads[] = {IO_ROAD_URING, IO_ROAD_PLAIN};

/* Runs its body on each road that this system grants. */
#define FOR_EACH_ROAD(io)                                                                          \
    for (unsigned road_ = 0; road_ < 2; road_++)                                                   \
        for (struct io *io = road_open(roads[road_]); io != NULL; io_free(io), io = NULL)

static struct io *road_open(enum io_road road)
{
    struct io *io = NULL;
    enum status status = io_new(road, &io);
    EXPECT(status == ST_OK || road == IO_ROAD_URING);
    return status == ST_OK ? io : NULL;
}

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", test_dir(), name);
    return path;
}

static struct io_file *open_file(struct io *io, const char *path, enum io_open_mode mode)
{
    struct io_file *file = NULL;
    EXPECT_INT(io_file_open(io, path, mode, &file), ST_OK);
    return file;
}

static void *aligned(size_t size, int byte)
{
    void *data = NULL;
    EXPECT(posix_memalign(&data, IO_ALIGNMENT_MAX, size) == 0);
    memset(data, byte, size);
    return data;
}

static bool file_holds(struct io_file *file, uint64_t offset, size_t size, int byte)
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

/* -- Files and names --------------------------------------------------------------------------- */

TEST(io_reads_at_any_alignment_what_was_written_in_every_mode)
{
    FOR_EACH_ROAD(io)
    {
        for (enum io_open_mode mode = IO_WRITE; mode <= IO_WRITE_DIRECT; mode++) {
            const char *path = path_of("a");
            struct io_file *file = open_file(io, path, mode);
            char *data = aligned(2 * BLOCK, 'x');
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
            EXPECT(file_holds(file, 0, 1000, 'x'));
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
        struct io_file *file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
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
        char *data = aligned(BLOCK, 'y');
        EXPECT_INT(io_file_write(file, data, BLOCK, BLOCK), ST_OK);
        EXPECT(file_holds(file, BLOCK, BLOCK, 'y'));
        EXPECT(file_holds(file, 2 * BLOCK, BLOCK + 100, 0));
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
        EXPECT_INT(io_file_open(io, path_of("a"), IO_READ, &file), ST_ABSENT);
        EXPECT_INT(io_file_open(io, path_of("d/a"), IO_WRITE, &file), ST_ABSENT);
        EXPECT_INT(io_rename(io, path_of("a"), path_of("b")), ST_ABSENT);
        EXPECT_INT(io_unlink(io, path_of("a")), ST_ABSENT);
        EXPECT_INT(io_dir_make(io, path_of("d/e")), ST_ABSENT);
        EXPECT_INT(io_dir_sync(io, path_of("d")), ST_ABSENT);
        EXPECT_INT(io_dir_list(io, path_of("d"), &names, &count), ST_ABSENT);
    }
}

TEST(io_makes_lists_renames_and_unlinks_names)
{
    FOR_EACH_ROAD(io)
    {
        EXPECT_INT(io_dir_make(io, path_of("d")), ST_OK);
        EXPECT_INT(io_dir_make(io, path_of("d")), ST_OK);
        struct io_name *names;
        size_t count;
        EXPECT_INT(io_dir_list(io, path_of("d"), &names, &count), ST_OK);
        EXPECT_INT(count, 0);
        free(names);
        for (int i = 0; i < 40; i++) {
            char name[32];
            snprintf(name, sizeof(name), "d/file-%02d", i);
            io_file_close(open_file(io, path_of(name), IO_WRITE));
        }
        EXPECT_INT(io_rename(io, path_of("d/file-00"), path_of("d/file-01")), ST_OK);
        EXPECT_INT(io_dir_sync(io, path_of("d")), ST_OK);
        EXPECT_INT(io_dir_list(io, path_of("d"), &names, &count), ST_OK);
        EXPECT_INT(count, 39);
        for (size_t i = 0; i < count; i++) {
            char name[IO_NAME_MAX + 8];
            EXPECT(strncmp(names[i].text, "file-", 5) == 0);
            snprintf(name, sizeof(name), "d/%s", names[i].text);
            EXPECT_INT(io_unlink(io, path_of(name)), ST_OK);
        }
        free(names);
        io_file_close(open_file(io, path_of("plain"), IO_WRITE));
        EXPECT_INT(io_dir_make(io, path_of("plain")), ST_IO);
    }
}

TEST(io_prepares_a_file_of_written_zeros)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
        char *data = aligned(BLOCK, 'x');
        EXPECT_INT(io_file_write(file, data, BLOCK, 0), ST_OK);
        uint64_t wanted = 5 * 1024 * 1024 + 700;
        EXPECT_INT(io_file_prepare(file, wanted), ST_OK);
        uint64_t size;
        EXPECT_INT(io_file_size(file, &size), ST_OK);
        EXPECT_INT(size, wanted);
        EXPECT(file_holds(file, 0, wanted, 0));
        struct stat found;
        EXPECT(stat(path_of("a"), &found) == 0);
        EXPECT((uint64_t)found.st_blocks * 512 >= wanted);
        free(data);
        io_file_close(file);
    }
}

TEST(io_locks_a_file_against_other_handles_and_processes)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *a = open_file(io, path_of("lock"), IO_WRITE);
        struct io_file *b = open_file(io, path_of("lock"), IO_WRITE);
        EXPECT_INT(io_file_lock(a), ST_OK);
        EXPECT_INT(io_file_lock(a), ST_OK);
        EXPECT_INT(io_file_lock(b), ST_BUSY);
        pid_t child = fork();
        if (child == 0) {
            struct io_file *c = NULL;
            bool busy = io_file_open(io, path_of("lock"), IO_WRITE, &c) == ST_OK &&
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

/* -- Queue ------------------------------------------------------------------------------------- */

struct count {
    _Atomic unsigned done;
    _Atomic unsigned failed;
    _Atomic int status; /* The last failure. */
};

static void counted(struct io_request *write, enum status status)
{
    struct count *count = write->ctx;
    if (status != ST_OK) {
        atomic_store(&count->status, (int)status);
        atomic_fetch_add(&count->failed, 1);
    }
    atomic_fetch_add(&count->done, 1);
}

static struct io_request write_of(struct io_file *file, void *data, size_t size, uint64_t offset,
                                  struct count *count)
{
    return (struct io_request){.file = file,
                               .data = data,
                               .size = size,
                               .offset = offset,
                               .durable = true,
                               .done = counted,
                               .ctx = count};
}

/* Waits by poll alone, so that a missing signal shows as a time-out. */
static void reap_until(struct io_queue *queue, struct count *count, unsigned wanted)
{
    while (atomic_load(&count->done) < wanted) {
        struct pollfd poll_fd = {.fd = io_queue_fd(queue), .events = POLLIN};
        EXPECT_INT(poll(&poll_fd, 1, 10000), 1);
        uint64_t ticks;
        EXPECT(read(poll_fd.fd, &ticks, sizeof(ticks)) == sizeof(ticks) || errno == EAGAIN);
        io_queue_reap(queue);
    }
}

TEST(io_queue_carries_overlapping_writes_up_to_its_depth)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(file, 16 * BLOCK), ST_OK);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 4, &queue), ST_OK);
        struct count count = {0};
        struct io_request writes[5];
        void *data[5];
        for (unsigned i = 0; i < 5; i++) {
            data[i] = aligned(BLOCK, 'a' + (int)i);
            writes[i] = write_of(file, data[i], BLOCK, i * BLOCK, &count);
            EXPECT_INT(io_queue_write(queue, &writes[i]), i < 4 ? ST_OK : ST_LIMIT);
        }
        EXPECT_INT(count.done, 0); /* Nothing is called before a reap. */
        reap_until(queue, &count, 4);
        EXPECT_INT(count.failed, 0);
        EXPECT_INT(io_queue_reap(queue), 0);
        EXPECT_INT(io_queue_write(queue, &writes[4]), ST_OK);
        reap_until(queue, &count, 5);
        for (unsigned i = 0; i < 5; i++) {
            EXPECT(file_holds(file, i * BLOCK, BLOCK, 'a' + (int)i));
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
        struct io_file *file = open_file(io, path_of("a"), IO_WRITE);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        struct count count = {0};
        void *data = aligned(size, 'l');
        struct io_request write = write_of(file, (char *)data + 1, size - 1, 3, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 1);
        write.durable = false;
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 0);
        EXPECT(file_holds(file, 3, size - 1, 'l'));
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
        struct io_file *file = open_file(io, "/dev/full", IO_WRITE);
        EXPECT_INT(io_file_write(file, "x", 1, 0), ST_FULL);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        struct count count = {0};
        char byte = 'x';
        struct io_request write = write_of(file, &byte, 1, 0, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 1);
        EXPECT_INT(count.failed, 1);
        EXPECT_INT(count.status, ST_FULL);
        io_file_close(file);
        file = open_file(io, path_of("a"), IO_WRITE);
        write = write_of(file, &byte, 1, (uint64_t)1 << 63, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 2);
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
        struct io_file *file = open_file(io, path_of("limited"), IO_WRITE);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        struct rlimit limit = {10000, old_limit.rlim_max};
        EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        struct count count = {0};
        void *data = aligned(16384, 's');
        struct io_request write = write_of(file, data, 16384, 0, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 1);
        enum status prepared = io_file_prepare(file, 20000);
        EXPECT(setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
        EXPECT_INT(count.status, ST_FULL);
        EXPECT_INT(prepared, ST_FULL);
        EXPECT(file_holds(file, 0, 10000, 's'));
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 1);
        free(data);
        io_queue_close(queue);
        io_file_close(file);
        EXPECT_INT(io_unlink(io, path_of("limited")), ST_OK);
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
        struct io_file *file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
        struct io_file *other = open_file(io, path_of("b"), IO_WRITE_DIRECT);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 2, &queue), ST_OK);
        EXPECT_INT(io_file_prepare(file, 2 << 20), ST_FULL);
        EXPECT_INT(io_file_truncate(file, 0), ST_OK);
        EXPECT_INT(io_file_prepare(file, 1 << 20), ST_OK);
        struct count count = {0};
        void *data = aligned(BLOCK, 'f');
        struct io_request write = write_of(other, data, BLOCK, 0, &count);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 1);
        EXPECT_INT(count.status, ST_FULL);
        EXPECT_INT(io_file_write(other, data, BLOCK, 0), ST_FULL);
        EXPECT_INT(io_file_truncate(file, 0), ST_OK);
        EXPECT_INT(io_queue_write(queue, &write), ST_OK);
        reap_until(queue, &count, 2);
        EXPECT_INT(count.failed, 1);
        free(data);
        io_queue_close(queue);
        io_file_close(file);
        io_file_close(other);
        EXPECT_INT(io_unlink(io, path_of("a")), ST_OK);
        EXPECT_INT(io_unlink(io, path_of("b")), ST_OK);
    }
    EXPECT(umount(test_dir()) == 0);
}

TEST(io_queue_close_waits_for_what_is_in_flight_and_calls_nobody)
{
    FOR_EACH_ROAD(io)
    {
        struct io_file *file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(file, 64 * BLOCK), ST_OK);
        struct io_queue *queue;
        EXPECT_INT(io_queue_open(io, 64, &queue), ST_OK);
        struct count count = {0};
        struct io_request writes[64];
        void *data = aligned(BLOCK, 'c');
        for (unsigned i = 0; i < 64; i++) {
            writes[i] = write_of(file, data, BLOCK, i * BLOCK, &count);
            EXPECT_INT(io_queue_write(queue, &writes[i]), ST_OK);
        }
        io_queue_close(queue);
        EXPECT_INT(count.done, 0);
        EXPECT(file_holds(file, 0, 64 * BLOCK, 'c'));
        free(data);
        io_file_close(file);
    }
}

/* -- Threads ----------------------------------------------------------------------------------- */

#define SUBMITTERS 4
#define REAPERS 3
#define ROUNDS 400

struct crowd {
    struct io_file *file;
    struct io_queue *queue;
    struct count count;
    _Atomic bool over;
    _Atomic bool lost; /* A wake-up was missed. */
    _Atomic unsigned inside;
    _Atomic bool doubled; /* Two threads called done at once. */
    pthread_mutex_t mutex;
    pthread_cond_t landed;
};

struct crowd_write {
    struct io_request write;
    struct crowd *crowd;
    bool done; /* Guarded by the crowd's mutex. */
};

static void crowd_done(struct io_request *write, enum status status)
{
    struct crowd_write *own = (struct crowd_write *)write;
    struct crowd *crowd = own->crowd;
    if (atomic_fetch_add(&crowd->inside, 1) != 0) {
        atomic_store(&crowd->doubled, true);
    }
    counted(write, status);
    pthread_mutex_lock(&crowd->mutex);
    own->done = true;
    pthread_cond_broadcast(&crowd->landed);
    pthread_mutex_unlock(&crowd->mutex);
    atomic_fetch_sub(&crowd->inside, 1);
}

static void *crowd_submit(void *ctx)
{
    struct crowd *crowd = ctx;
    static _Atomic unsigned next;
    uint64_t slot = atomic_fetch_add(&next, 1) % SUBMITTERS;
    struct crowd_write *own = calloc(1, sizeof(*own));
    void *data = aligned(BLOCK, (int)('0' + slot));
    for (unsigned round = 0; round < ROUNDS && !atomic_load(&crowd->lost); round++) {
        own->write = write_of(crowd->file, data, BLOCK, slot * BLOCK, &crowd->count);
        own->write.done = crowd_done;
        own->write.durable = round % 8 == 0;
        own->crowd = crowd;
        own->done = false;
        if (io_queue_write(crowd->queue, &own->write) != ST_OK) {
            atomic_fetch_add(&crowd->count.failed, 1);
            break;
        }
        struct timespec deadline;
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += 10;
        pthread_mutex_lock(&crowd->mutex);
        while (!own->done) {
            if (pthread_cond_timedwait(&crowd->landed, &crowd->mutex, &deadline) == ETIMEDOUT) {
                atomic_store(&crowd->lost, true);
                break;
            }
        }
        pthread_mutex_unlock(&crowd->mutex);
    }
    if (!atomic_load(&crowd->lost)) {
        free(own);
        free(data);
    }
    return NULL;
}

/* Edge-triggered, and never reads the eventfd. */
static void *crowd_reap(void *ctx)
{
    struct crowd *crowd = ctx;
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(epoll, EPOLL_CTL_ADD, io_queue_fd(crowd->queue), &event);
    while (!atomic_load(&crowd->over)) {
        struct epoll_event found;
        if (epoll_wait(epoll, &found, 1, 100) == 1) {
            io_queue_reap(crowd->queue);
        }
    }
    close(epoll);
    return NULL;
}

TEST(io_queue_loses_no_wake_up_among_many_submitters_and_edge_triggered_reapers)
{
    FOR_EACH_ROAD(io)
    {
        static struct crowd crowd;
        memset(&crowd, 0, sizeof(crowd));
        pthread_mutex_init(&crowd.mutex, NULL);
        pthread_cond_init(&crowd.landed, NULL);
        crowd.file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(crowd.file, SUBMITTERS * BLOCK), ST_OK);
        EXPECT_INT(io_queue_open(io, SUBMITTERS, &crowd.queue), ST_OK);
        pthread_t submitters[SUBMITTERS];
        pthread_t reapers[REAPERS];
        for (unsigned i = 0; i < REAPERS; i++) {
            EXPECT(pthread_create(&reapers[i], NULL, crowd_reap, &crowd) == 0);
        }
        for (unsigned i = 0; i < SUBMITTERS; i++) {
            EXPECT(pthread_create(&submitters[i], NULL, crowd_submit, &crowd) == 0);
        }
        for (unsigned i = 0; i < SUBMITTERS; i++) {
            pthread_join(submitters[i], NULL);
        }
        atomic_store(&crowd.over, true);
        for (unsigned i = 0; i < REAPERS; i++) {
            pthread_join(reapers[i], NULL);
        }
        EXPECT(!crowd.lost && !crowd.doubled);
        EXPECT_INT(crowd.count.failed, 0);
        EXPECT_INT(crowd.count.done, SUBMITTERS * ROUNDS);
        for (unsigned i = 0; i < SUBMITTERS; i++) {
            EXPECT(file_holds(crowd.file, i * BLOCK, BLOCK, '0' + (int)i));
        }
        io_queue_close(crowd.queue);
        io_file_close(crowd.file);
    }
}

static void *submit_and_leave(void *ctx)
{
    struct crowd_write *own = ctx;
    status_ignore(io_queue_write(own->crowd->queue, &own->write), "the count shows it");
    return NULL;
}

TEST(io_queue_completes_the_writes_of_threads_that_have_ended)
{
    FOR_EACH_ROAD(io)
    {
        struct crowd crowd = {0};
        crowd.file = open_file(io, path_of("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(crowd.file, 8 * BLOCK), ST_OK);
        EXPECT_INT(io_queue_open(io, 8, &crowd.queue), ST_OK);
        void *data = aligned(BLOCK, 'e');
        for (unsigned round = 0; round < 20; round++) {
            struct crowd_write writes[8];
            for (unsigned i = 0; i < 8; i++) {
                pthread_t thread;
                writes[i].write = write_of(crowd.file, data, BLOCK, i * BLOCK, &crowd.count);
                writes[i].crowd = &crowd;
                EXPECT(pthread_create(&thread, NULL, submit_and_leave, &writes[i]) == 0);
                EXPECT(pthread_join(thread, NULL) == 0);
            }
            reap_until(crowd.queue, &crowd.count, 8 * (round + 1));
            EXPECT_INT(crowd.count.failed, 0);
        }
        free(data);
        io_queue_close(crowd.queue);
        io_file_close(crowd.file);
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
