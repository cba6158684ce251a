/* queue_heap: a binary heap of nodes embedded in what waits, smallest key first.
 *
 * A worker has three: connections by the LSN of their first gate, parked calls by the LSN they wait
 * for, parked calls by their time. So an advance touches only what it frees.
 * Thread: a worker's. Memory: an array of pointers, grown by doubling.
 */
#ifndef BASIN_SRC_NET_QUEUE_HEAP_H
#define BASIN_SRC_NET_QUEUE_HEAP_H

#include "engine/base/bytes.h"

struct heap_node {
    uint64_t key;
    size_t place; /* 1 … count; 0: in no heap. */
};

struct queue_heap {
    struct heap_node **nodes; /* nodes[0] is the smallest. */
    size_t count, capacity;
};

void queue_heap_deinit(struct queue_heap *heap);

/* Room for count nodes in all, so that adding cannot fail. ST_NOMEM. */
enum status queue_heap_reserve(struct queue_heap *heap, size_t count);

/* Keeps the node, which is in no heap, until it is removed. Room has been reserved. */
void queue_heap_add(struct queue_heap *heap, struct heap_node *node, uint64_t key);

/* Nothing happens to a node that is in no heap. */
void queue_heap_remove(struct queue_heap *heap, struct heap_node *node);

static inline bool heap_node_waits(const struct heap_node *node)
{
    return node->place != 0;
}

/* The smallest; NULL: empty. */
static inline struct heap_node *queue_heap_first(const struct queue_heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

/* Key of the smallest; UINT64_MAX: empty. */
static inline uint64_t queue_heap_key(const struct queue_heap *heap)
{
    return heap->count == 0 ? UINT64_MAX : heap->nodes[0]->key;
}

#endif
