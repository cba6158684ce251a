#include "src/net/queue_heap.h"

#include "engine/base/check.h"

#include <stdlib.h>

static void heap_set(struct queue_heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

/* Moves the node towards the front while its parent is larger. LSNs mostly come in order, so this
 * usually ends at once. */
static void heap_rise(struct queue_heap *heap, size_t index, struct heap_node *node)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->nodes[parent]->key <= node->key) {
            break;
        }
        heap_set(heap, index, heap->nodes[parent]);
        index = parent;
    }
    heap_set(heap, index, node);
}

static void heap_sink(struct queue_heap *heap, size_t index, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key) {
            child++;
        }
        if (node->key <= heap->nodes[child]->key) {
            break;
        }
        heap_set(heap, index, heap->nodes[child]);
        index = child;
    }
    heap_set(heap, index, node);
}

void queue_heap_deinit(struct queue_heap *heap)
{
    free(heap->nodes);
    *heap = (struct queue_heap){0};
}

enum status queue_heap_reserve(struct queue_heap *heap, size_t count)
{
    if (count <= heap->capacity) {
        return ST_OK;
    }
    size_t capacity = heap->capacity == 0 ? 64 : 2 * heap->capacity;
    capacity = capacity < count ? count : capacity;
    struct heap_node **nodes = realloc(heap->nodes, capacity * sizeof(struct heap_node *));
    if (nodes == NULL) {
        return ST_NOMEM;
    }
    heap->nodes = nodes;
    heap->capacity = capacity;
    return ST_OK;
}

void queue_heap_add(struct queue_heap *heap, struct heap_node *node, uint64_t key)
{
    CHECK(node->place == 0 && heap->count < heap->capacity);
    node->key = key;
    heap->count++;
    heap_rise(heap, heap->count - 1, node);
}

void queue_heap_remove(struct queue_heap *heap, struct heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    size_t index = node->place - 1;
    CHECK(index < heap->count && heap->nodes[index] == node);
    node->place = 0;
    heap->count--;
    struct heap_node *last = heap->nodes[heap->count];
    if (last == node) {
        return;
    }
    if (index > 0 && last->key < heap->nodes[(index - 1) / 2]->key) {
        heap_rise(heap, index, last);
    } else {
        heap_sink(heap, index, last);
    }
}
