#include "src/net/gates.h"
#include "src/net/queue_heap.h"
#include "tests/lib/test.h"

#include <stdlib.h>

TEST(gates_let_out_at_once_what_waits_for_nothing)
{
    struct gates gates = {0};
    gates_pass(&gates, 10);
    EXPECT_INT(gates.free, 10);
    EXPECT_INT(gates_lsn(&gates), 0);
}

/* W1: a later reply that waits for nothing still leaves after the one before it. */
TEST(gates_keep_the_order_of_replies)
{
    struct gates gates = {0};
    gates_hold(&gates, 10, 100, 1);
    gates_pass(&gates, 20);
    EXPECT_INT(gates.free, 0);
    gates_open(&gates, 99);
    EXPECT_INT(gates.free, 0);
    gates_open(&gates, 100);
    EXPECT_INT(gates.free, 20);
    EXPECT_INT(gates.count, 0);
}

TEST(gates_of_one_turn_are_one)
{
    struct gates gates = {0};
    for (uint64_t i = 1; i <= 100; i++) {
        gates_hold(&gates, 10 * i, 100 + i, 7);
    }
    EXPECT_INT(gates.count, 1);
    EXPECT_INT(gates_lsn(&gates), 200);
    gates_hold(&gates, 2000, 150, 8); /* Covered by the one before. */
    EXPECT_INT(gates.count, 1);
    gates_hold(&gates, 3000, 300, 8);
    EXPECT_INT(gates.count, 2);
    gates_open(&gates, 200);
    EXPECT_INT(gates.free, 2000);
    EXPECT_INT(gates_lsn(&gates), 300);
}

/* W1: whatever is merged, nothing leaves before the LSN it was held for, and all leaves after. */
TEST(gates_never_open_early_and_never_stay_shut)
{
    uint64_t random = test_seed();
    for (int round = 0; round < 200; round++) {
        struct gates gates = {0};
        uint64_t lsns[300];
        uint64_t durable = 0;
        uint64_t lsn = 0;
        for (unsigned i = 0; i < 300; i++) {
            lsn += test_random_below(&random, 4);
            lsns[i] = test_random_below(&random, 5) == 0 ? 0 : lsn;
            if (lsns[i] <= durable) {
                gates_pass(&gates, i + 1);
            } else {
                gates_hold(&gates, i + 1, lsns[i], i / 3);
            }
            if (test_random_below(&random, 20) == 0) {
                durable += test_random_below(&random, lsn - durable + 1);
                gates_open(&gates, durable);
            }
            for (uint64_t left = 0; left < gates.free; left++) {
                EXPECT(lsns[left] <= durable);
            }
        }
        gates_open(&gates, lsn);
        EXPECT_INT(gates.free, 300);
    }
}

static void heap_expect_order(struct queue_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        EXPECT_INT(heap->nodes[i]->place, i + 1);
        EXPECT(i == 0 || heap->nodes[(i - 1) / 2]->key <= heap->nodes[i]->key);
    }
}

TEST(queue_heap_gives_the_smallest_after_any_additions_and_removals)
{
    static struct heap_node nodes[500];
    struct queue_heap heap = {0};
    uint64_t random = test_seed();
    EXPECT_INT(queue_heap_key(&heap), -1);
    EXPECT(queue_heap_first(&heap) == NULL);
    EXPECT(queue_heap_reserve(&heap, 500) == ST_OK);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[test_random_below(&random, 500)];
        if (heap_node_waits(node)) {
            queue_heap_remove(&heap, node);
            EXPECT(!heap_node_waits(node));
        } else {
            queue_heap_add(&heap, node, test_random_below(&random, 1000));
        }
        if (step % 100 == 0) {
            heap_expect_order(&heap);
        }
    }
    uint64_t last = 0;
    while (heap.count > 0) {
        struct heap_node *node = queue_heap_first(&heap);
        EXPECT(node->key >= last);
        last = node->key;
        queue_heap_remove(&heap, node);
    }
    queue_heap_remove(&heap, &nodes[0]); /* In no heap: nothing happens. */
    queue_heap_deinit(&heap);
}
