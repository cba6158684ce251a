#include "tests/lib/road.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BLOCK 4096

#define SUBMITTERS 4
#define REAPERS 3
#define ROUNDS 400

struct crowd {
    struct io_file *file;
    struct io_queue *queue;
    struct road_count count;
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
    road_counted(write, status);
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
    void *data = road_buffer(BLOCK, (int)('0' + slot));
    for (unsigned round = 0; round < ROUNDS && !atomic_load(&crowd->lost); round++) {
        own->write = road_request(crowd->file, data, BLOCK, slot * BLOCK, &crowd->count);
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
        crowd.file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
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
            EXPECT(road_holds(crowd.file, i * BLOCK, BLOCK, '0' + (int)i));
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
        crowd.file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(crowd.file, 8 * BLOCK), ST_OK);
        EXPECT_INT(io_queue_open(io, 8, &crowd.queue), ST_OK);
        void *data = road_buffer(BLOCK, 'e');
        for (unsigned round = 0; round < 20; round++) {
            struct crowd_write writes[8];
            for (unsigned i = 0; i < 8; i++) {
                pthread_t thread;
                writes[i].write = road_request(crowd.file, data, BLOCK, i * BLOCK, &crowd.count);
                writes[i].crowd = &crowd;
                EXPECT(pthread_create(&thread, NULL, submit_and_leave, &writes[i]) == 0);
                EXPECT(pthread_join(thread, NULL) == 0);
            }
            road_reap_until(crowd.queue, &crowd.count, 8 * (round + 1));
            EXPECT_INT(crowd.count.failed, 0);
        }
        free(data);
        io_queue_close(crowd.queue);
        io_file_close(crowd.file);
    }
}

/* -- Reads in batches, and writes, of many threads --------------------------------------------- */

#define READERS 4
#define READS 12
#define READ_ROUNDS 150

struct reader {
    struct crowd *crowd;
    struct io_file *pattern; /* Lent. */
    unsigned slot;
    _Atomic bool wrong;
    unsigned pending; /* Guarded by the crowd's mutex. */
    struct io_request reads[READS];
    struct io_request write;
};

static void reader_expect(struct reader *reader, bool right)
{
    if (!right) {
        atomic_store(&reader->wrong, true);
    }
}

static void reader_done(struct io_request *request, enum status status)
{
    struct reader *reader = request->ctx;
    struct crowd *crowd = reader->crowd;
    pthread_mutex_lock(&crowd->mutex);
    reader_expect(reader, status == ST_OK && request->size_done == BLOCK);
    reader->pending--;
    pthread_cond_broadcast(&crowd->landed);
    pthread_mutex_unlock(&crowd->mutex);
}

static void reader_round(struct reader *reader, char *data, uint64_t *chance, unsigned round)
{
    struct crowd *crowd = reader->crowd;
    memset(data, (int)('a' + round % 26), BLOCK);
    reader->write = road_request(crowd->file, data, BLOCK, reader->slot * BLOCK, NULL);
    reader->write.durable = round % 16 == 0;
    reader->write.done = reader_done;
    reader->write.ctx = reader;
    reader->pending = READS + 1;
    for (unsigned i = 0; i < READS; i++) {
        uint64_t offset = test_random_below(chance, 64) * BLOCK;
        struct io_request *read = &reader->reads[i];
        *read = road_request(reader->pattern, data + (i + 1) * BLOCK, BLOCK, offset, NULL);
        read->done = reader_done;
        read->ctx = reader;
        reader_expect(reader, io_queue_read(crowd->queue, read) == ST_OK);
        if (i == READS / 2) {
            reader_expect(reader, io_queue_write(crowd->queue, &reader->write) == ST_OK);
        }
    }
    io_queue_start(crowd->queue);
    pthread_mutex_lock(&crowd->mutex);
    while (reader->pending > 0) {
        pthread_cond_wait(&crowd->landed, &crowd->mutex);
    }
    pthread_mutex_unlock(&crowd->mutex);
    for (unsigned i = 0; i < READS; i++) {
        reader_expect(reader,
                      road_pattern_holds(reader->reads[i].data, BLOCK, reader->reads[i].offset));
    }
}

static void *reader_run(void *ctx)
{
    struct reader *reader = ctx;
    uint64_t chance = test_seed() + reader->slot + 1;
    char *data = road_buffer((READS + 1) * BLOCK, 0);
    for (unsigned round = 0; round < READ_ROUNDS && !atomic_load(&reader->wrong); round++) {
        reader_round(reader, data, &chance, round);
    }
    free(data);
    return NULL;
}

TEST(io_queue_carries_batches_of_reads_and_writes_of_many_threads)
{
    FOR_EACH_ROAD(io)
    {
        static struct crowd crowd;
        static struct reader readers[READERS];
        memset(&crowd, 0, sizeof(crowd));
        memset(readers, 0, sizeof(readers));
        pthread_mutex_init(&crowd.mutex, NULL);
        pthread_cond_init(&crowd.landed, NULL);
        road_pattern_file(io, road_path("pattern"), 64 * BLOCK);
        struct io_file *pattern = road_file(io, road_path("pattern"), IO_READ_DIRECT);
        crowd.file = road_file(io, road_path("a"), IO_WRITE_DIRECT);
        EXPECT_INT(io_file_prepare(crowd.file, READERS * BLOCK), ST_OK);
        EXPECT_INT(io_queue_open(io, READERS * (READS + 1), &crowd.queue), ST_OK);
        pthread_t threads[READERS];
        pthread_t reapers[REAPERS];
        for (unsigned i = 0; i < REAPERS; i++) {
            EXPECT(pthread_create(&reapers[i], NULL, crowd_reap, &crowd) == 0);
        }
        for (unsigned i = 0; i < READERS; i++) {
            readers[i] = (struct reader){.crowd = &crowd, .pattern = pattern, .slot = i};
            EXPECT(pthread_create(&threads[i], NULL, reader_run, &readers[i]) == 0);
        }
        for (unsigned i = 0; i < READERS; i++) {
            pthread_join(threads[i], NULL);
        }
        atomic_store(&crowd.over, true);
        for (unsigned i = 0; i < REAPERS; i++) {
            pthread_join(reapers[i], NULL);
        }
        for (unsigned i = 0; i < READERS; i++) {
            EXPECT(!readers[i].wrong);
            EXPECT(road_holds(crowd.file, i * BLOCK, BLOCK, 'a' + (READ_ROUNDS - 1) % 26));
        }
        io_queue_close(crowd.queue);
        io_file_close(crowd.file);
        io_file_close(pattern);
    }
}
