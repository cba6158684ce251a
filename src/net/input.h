/* input: the bytes that a connection has received and not yet run.
 *
 * Workers read into buffers of INPUT_SIZE that they lend to a connection while it has bytes to run
 * and take back when it has none, so that idle connections hold no memory. The short beginning of a
 * request that has not wholly arrived is kept in a buffer of its own size; a long request gets a
 * buffer that grows by doubling, up to what the parser says it needs, as its bytes arrive:
 *
 *     data                start              size                  capacity
 *      |   requests run    |  not yet run     |  room to read into  |
 * Thread: a worker's.
 */
#ifndef BASIN_SRC_NET_INPUT_H
#define BASIN_SRC_NET_INPUT_H

#include "engine/base/bytes.h"

#define INPUT_SIZE ((size_t)65536)
/* Beginnings shorter than this are copied away, so that the buffer can be lent to others. */
#define INPUT_KEEP_MAX ((size_t)8192)
#define INPUT_SPARES 16

struct input {
    char *data; /* NULL: none. */
    size_t start, size, capacity;
};

/* A worker's store of empty buffers of INPUT_SIZE. */
struct input_pool {
    char *spares[INPUT_SPARES];
    unsigned count;
};

static inline size_t input_pending(const struct input *input)
{
    return input->size - input->start;
}

void input_pool_deinit(struct input_pool *pool);

/* Makes room to read into, when a request of at least `needed` bytes begins at start. What is
 * pending may move. Never more than INPUT_SIZE or four times what has arrived. ST_NOMEM. */
enum status input_room(struct input *input, struct input_pool *pool, size_t needed);

/* After all that could be run has been run: gives the buffer back, or keeps the beginning of a
 * request in as little as it needs. */
void input_settle(struct input *input, struct input_pool *pool);

/* Drops everything. */
void input_clear(struct input *input, struct input_pool *pool);

#endif
