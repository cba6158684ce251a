/* leaf_private: what leaf.c and leaf_dense.c share. Functions named leaf_dense_… are those of
 * leaf.h for leaves of that form. */
#ifndef BASIN_ENGINE_VALUE_LEAF_PRIVATE_H
#define BASIN_ENGINE_VALUE_LEAF_PRIVATE_H

#include "engine/value/leaf.h"

struct leaf_header {
    uint8_t kind;
    uint8_t form;
    uint16_t count;
    uint16_t low;
    uint16_t used;
    uint16_t payload;
    uint16_t overflows;
};
static_assert(sizeof(struct leaf_header) == LEAF_HEADER_SIZE, "the header has no holes");

static inline struct leaf_header *leaf_header_of(const struct part *leaf)
{
    return (struct leaf_header *)(uintptr_t)leaf->data;
}

size_t leaf_dense_cost(struct leaf_entry entry);
size_t leaf_dense_cost_at(const struct part *leaf, size_t slot);
struct leaf_entry leaf_dense_at(const struct part *leaf, size_t slot);
struct leaf_entry leaf_dense_after(const struct part *leaf, size_t slot, struct leaf_entry entry);
struct leaf_entry leaf_dense_before(const struct part *leaf, size_t slot, struct leaf_entry entry);
void leaf_dense_insert(struct part *leaf, size_t slot, struct leaf_entry entry);
void leaf_dense_remove(struct part *leaf, size_t slot, size_t count);
void leaf_dense_move(struct part *from, size_t slot, size_t count, struct part *to, size_t to_slot);
bool leaf_dense_verify(const struct part *leaf);

#endif
