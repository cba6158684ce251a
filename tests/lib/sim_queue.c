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

enum status sim_queue_write(struct io_queue *io_queue, struct io_write *write)
{
    struct sim_queue *queue = queue_of(io_queue);
    struct sim_disk *disk = queue->disk;
    struct sim_file *file = sim_file_of(write->file);
    sim_write_check(file, write->data, write->size, write->offset);
    if (queue->in_flight == queue->depth) {
        return ST_LIMIT;
    }
    struct sim_flight **at = &disk->flights;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    struct sim_flight *flight = sim_allocate(sizeof(*flight));
    flight->write = write;
    flight->queue = queue;
    flight->fate = sim_call_begin(disk, true);
    flight->checksum = hash_checksum(bytes_of(write->data, write->size));
    if (queue->stale || file->stale) {
        flight->lost = true;
        flight->fate = ST_IO;
    }
    queue->in_flight++;
    *at = flight;
    return ST_OK;
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
    struct io_write *write = flight->write;
    enum status status = flight->fate;
    if (!flight->lost) {
        struct bytes bytes = bytes_of(write->data, write->size);
        CHECK(hash_checksum(bytes) == flight->checksum);
        status = sim_write_settle(sim_file_of(write->file), bytes, write->offset, write->durable,
                                  status);
    }
    free(flight);
    return status;
}

static size_t flights_ready(struct sim_queue *queue, struct sim_flight **ready)
{
    struct sim_disk *disk = queue->disk;
    size_t count = 0;
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        if (flight->queue == queue && (!disk->hold || flight->released || flight->lost)) {
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
        struct io_write *write = ready[i]->write;
        enum status status = flight_land(disk, ready[i]);
        write->done(write, status);
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

bool sim_disk_release(struct sim_disk *disk, unsigned index, enum status status)
{
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        if (flight->released || flight->lost) {
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
        count += !flight->released && !flight->lost;
    }
    return count;
}

void sim_queue_crash(struct sim_disk *disk)
{
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        struct io_write *write = flight->write;
        if (!flight->lost) {
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
