#include "tests/lib/sim_private.h"

#include "engine/base/check.h"
#include "engine/base/hash.h"

#include <stdlib.h>

/* -- Queue ------------------------------------------------------------------------------------- */

static struct sim_queue *queue_of(struct io_queue *queue)
{
    return (struct sim_queue *)queue;
}

enum status sim_queue_open(struct io *io, unsigned depth, struct io_queue **queue_out)
{
    struct sim_disk *disk = sim_disk_of(io);
    CHECK(depth > 0);
    enum status status = sim_call_begin(disk, false);
    if (status != ST_OK) {
        return status;
    }
    struct sim_queue *queue = sim_allocate(sizeof(*queue));
    queue->queue.io = io;
    queue->disk = disk;
    queue->depth = depth;
    queue->next = disk->queues;
    disk->queues = queue;
    *queue_out = &queue->queue;
    return ST_OK;
}

/* What a buffer holds while a read is in flight, and after a failed one: who looks too early, or
 * at what is not there, shall notice. */
#define RUBBISH 0xDB

static struct bytes written_bytes(const struct io_request *write)
{
    return bytes_of(write->data, write->size);
}

static enum status submit(struct sim_queue *queue, struct io_request *request)
{
    struct sim_disk *disk = queue->disk;
    struct sim_file *file = sim_file_of(request->file);
    sim_request_check(request);
    if (queue->in_flight == queue->depth) {
        return ST_LIMIT;
    }
    struct sim_flight **at = &disk->flights;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    struct sim_flight *flight = sim_allocate(sizeof(*flight));
    flight->request = request;
    flight->queue = queue;
    flight->started = !request->reads;
    flight->fate = sim_call_begin(disk, !request->reads);
    if (request->reads) {
        memset(request->data, RUBBISH, request->size);
    } else {
        flight->checksum = hash_checksum(written_bytes(request));
    }
    if (queue->stale || file->stale) {
        flight->lost = true;
        flight->fate = ST_IO;
    }
    request->size_done = 0;
    queue->in_flight++;
    *at = flight;
    return ST_OK;
}

enum status sim_queue_write(struct io_queue *queue, struct io_request *write)
{
    write->reads = false;
    return submit(queue_of(queue), write);
}

enum status sim_queue_read(struct io_queue *queue, struct io_request *read)
{
    read->reads = true;
    return submit(queue_of(queue), read);
}

/* Not before, although io.h allows it: code that forgets to start shall wait for ever here. */
void sim_queue_start(struct io_queue *io_queue)
{
    struct sim_queue *queue = queue_of(io_queue);
    for (struct sim_flight *flight = queue->disk->flights; flight != NULL; flight = flight->next) {
        flight->started |= flight->queue == queue;
    }
}

static enum status read_land(struct io_request *read, enum status fate)
{
    if (fate == ST_OK) {
        read->size_done =
            sim_read_settle(sim_file_of(read->file), read->data, read->size, read->offset);
    }
    return fate;
}

static enum status write_land(struct io_request *write, const struct sim_flight *flight)
{
    struct bytes bytes = written_bytes(write);
    CHECK(hash_checksum(bytes) == flight->checksum);
    write->size_done = write->size;
    return sim_write_settle(sim_file_of(write->file), bytes, write->offset, write->durable,
                            flight->fate);
}

/* Takes the flight out of the disk, carries it out, and gives the status it ends with. */
static enum status flight_land(struct sim_disk *disk, struct sim_flight *flight)
{
    for (struct sim_flight **at = &disk->flights; *at != NULL; at = &(*at)->next) {
        if (*at == flight) {
            *at = flight->next;
            break;
        }
    }
    flight->queue->in_flight--;
    struct io_request *request = flight->request;
    enum status status = flight->fate;
    if (!flight->lost) {
        status = request->reads ? read_land(request, status) : write_land(request, flight);
    }
    free(flight);
    return status;
}

static size_t flights_ready(struct sim_queue *queue, struct sim_flight **ready)
{
    struct sim_disk *disk = queue->disk;
    size_t count = 0;
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        bool free_to_land = flight->started && (!disk->hold || flight->released);
        if (flight->queue == queue && (free_to_land || flight->lost)) {
            ready[count++] = flight;
        }
    }
    return count;
}

static void flights_swap(struct sim_flight **ready, size_t a, size_t b)
{
    struct sim_flight *flight = ready[a];
    ready[a] = ready[b];
    ready[b] = flight;
}

unsigned sim_queue_reap(struct io_queue *io_queue)
{
    struct sim_queue *queue = queue_of(io_queue);
    struct sim_disk *disk = queue->disk;
    struct sim_flight **ready = sim_allocate(queue->in_flight * sizeof(*ready));
    size_t count = flights_ready(queue, ready);
    if (disk->reap_mode == SIM_REAP_REVERSED) {
        for (size_t i = 0; i < count / 2; i++) {
            flights_swap(ready, i, count - 1 - i);
        }
    } else if (disk->reap_mode != SIM_REAP_IN_ORDER) {
        for (size_t i = count; i > 1; i--) {
            flights_swap(ready, i - 1, sim_store_below(&disk->store, i));
        }
    }
    if (disk->reap_mode == SIM_REAP_SOME && count > 1) {
        count = 1 + sim_store_below(&disk->store, count);
    }
    for (size_t i = 0; i < count; i++) {
        struct io_request *request = ready[i]->request;
        enum status status = flight_land(disk, ready[i]);
        request->done(request, status);
    }
    free(ready);
    return (unsigned)count;
}

/* Waiting means that they land, held or not. */
void sim_queue_close(struct io_queue *io_queue)
{
    struct sim_queue *queue = queue_of(io_queue);
    struct sim_disk *disk = queue->disk;
    for (struct sim_flight *flight = disk->flights; flight != NULL;) {
        struct sim_flight *next = flight->next;
        if (flight->queue == queue) {
            status_ignore(flight_land(disk, flight), "nobody waits for it any more");
        }
        flight = next;
    }
    for (struct sim_queue **at = &disk->queues; *at != NULL; at = &(*at)->next) {
        if (*at == queue) {
            *at = queue->next;
            break;
        }
    }
    free(queue);
}

int sim_queue_fd(struct io_queue *queue)
{
    (void)queue;
    return -1;
}

void sim_disk_set_reap(struct sim_disk *disk, enum sim_reap mode)
{
    disk->reap_mode = mode;
}

void sim_disk_hold(struct sim_disk *disk, bool hold)
{
    disk->hold = hold;
}

static bool is_held(const struct sim_flight *flight)
{
    return flight->started && !flight->released && !flight->lost;
}

bool sim_disk_release(struct sim_disk *disk, unsigned index, enum status status)
{
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        if (!is_held(flight)) {
            continue;
        }
        if (index == 0) {
            flight->released = true;
            flight->fate = status;
            return true;
        }
        index--;
    }
    return false;
}

unsigned sim_disk_in_flight(const struct sim_disk *disk)
{
    unsigned count = 0;
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        count += is_held(flight);
    }
    return count;
}

void sim_queue_crash(struct sim_disk *disk)
{
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        struct io_request *write = flight->request;
        if (!flight->lost && !write->reads) {
            struct sim_node *node = sim_file_of(write->file)->node;
            uint64_t fits = sim_size_that_fits(disk, node, write->offset, write->size);
            sim_store_write(&disk->store, node, write->offset, bytes_of(write->data, fits));
        }
        flight->lost = true;
        flight->fate = ST_IO;
    }
    for (struct sim_queue *queue = disk->queues; queue != NULL; queue = queue->next) {
        queue->stale = true;
    }
}

void sim_queue_free_all(struct sim_disk *disk)
{
    while (disk->flights != NULL) {
        struct sim_flight *flight = disk->flights;
        disk->flights = flight->next;
        free(flight);
    }
    while (disk->queues != NULL) {
        struct sim_queue *queue = disk->queues;
        disk->queues = queue->next;
        free(queue);
    }
}
