#include "engine/value/inner.h"

#include "engine/base/check.h"

#define COUNTS_OFFSET 12
#define CHILDREN_OFFSET (COUNTS_OFFSET + INNER_COUNT_MAX * sizeof(uint64_t))
/* Counts are added up this many at a time. */
#define STRIDE 8

static_assert((offsetof(struct part, data) + COUNTS_OFFSET) % 8 == 0, "counts are aligned");
static_assert(CHILDREN_OFFSET + INNER_COUNT_MAX * sizeof(uint32_t) <= LEAF_CAPACITY,
              "a full inner node fits a part");

static uint64_t *counts(const struct part *inner)
{
    return (uint64_t *)(uintptr_t)(inner->data + COUNTS_OFFSET);
}

static uint32_t *children(const struct part *inner)
{
    return (uint32_t *)(uintptr_t)(inner->data + CHILDREN_OFFSET);
}

static void set_count(struct part *inner, size_t count)
{
    store_u16(inner->data + 2, (uint16_t)count);
}

struct part *inner_new(void)
{
    struct part *inner = part_new(LEAF_CAPACITY);
    if (inner != NULL) {
        inner->size = LEAF_CAPACITY;
        memset(inner->data, 0, COUNTS_OFFSET);
        inner->data[0] = PART_KIND_INNER;
    }
    return inner;
}

size_t inner_count(const struct part *inner)
{
    return load_u16(inner->data + 2);
}

uint32_t inner_child(const struct part *inner, size_t index)
{
    CHECK(index < inner_count(inner));
    return children(inner)[index];
}

uint64_t inner_below(const struct part *inner, size_t index)
{
    CHECK(index < inner_count(inner));
    return counts(inner)[index];
}

uint64_t inner_total(const struct part *inner)
{
    uint64_t total = 0;
    for (size_t i = 0; i < inner_count(inner); i++) {
        total += counts(inner)[i];
    }
    return total;
}

size_t inner_find(const struct part *inner, uint64_t *position)
{
    const uint64_t *below = counts(inner);
    size_t count = inner_count(inner);
    size_t index = 0;
    uint64_t rest = *position;
    while (index + STRIDE <= count) {
        uint64_t sum = 0;
        for (size_t i = 0; i < STRIDE; i++) {
            sum += below[index + i];
        }
        if (rest < sum) {
            break;
        }
        rest -= sum;
        index += STRIDE;
    }
    while (index < count && rest >= below[index]) {
        rest -= below[index];
        index++;
    }
    CHECK(index < count);
    *position = rest;
    return index;
}

void inner_set_below(struct part *inner, size_t index, uint64_t below)
{
    CHECK(index < inner_count(inner));
    counts(inner)[index] = below;
}

static void open_gap(struct part *inner, size_t index, size_t count)
{
    size_t old = inner_count(inner);
    CHECK(index <= old && old + count <= INNER_COUNT_MAX);
    memmove(counts(inner) + index + count, counts(inner) + index, (old - index) * sizeof(uint64_t));
    memmove(children(inner) + index + count, children(inner) + index,
            (old - index) * sizeof(uint32_t));
    set_count(inner, old + count);
}

void inner_insert(struct part *inner, size_t index, uint32_t child, uint64_t below)
{
    open_gap(inner, index, 1);
    counts(inner)[index] = below;
    children(inner)[index] = child;
}

void inner_remove(struct part *inner, size_t index, size_t count)
{
    size_t old = inner_count(inner);
    CHECK(index <= old && count <= old - index);
    size_t rest = old - index - count;
    memmove(counts(inner) + index, counts(inner) + index + count, rest * sizeof(uint64_t));
    memmove(children(inner) + index, children(inner) + index + count, rest * sizeof(uint32_t));
    set_count(inner, old - count);
}

void inner_move(struct part *from, size_t index, size_t count, struct part *to, size_t to_index)
{
    CHECK(from != to && index + count <= inner_count(from));
    open_gap(to, to_index, count);
    memcpy(counts(to) + to_index, counts(from) + index, count * sizeof(uint64_t));
    memcpy(children(to) + to_index, children(from) + index, count * sizeof(uint32_t));
    inner_remove(from, index, count);
}

bool inner_verify(const struct part *inner)
{
    if (inner->size != LEAF_CAPACITY || inner->data[0] != PART_KIND_INNER || inner->data[1] != 0 ||
        load_u64(inner->data + 4) != 0 || inner_count(inner) == 0 ||
        inner_count(inner) > INNER_COUNT_MAX) {
        return false;
    }
    for (size_t i = 0; i < inner_count(inner); i++) {
        if (counts(inner)[i] == 0) {
            return false;
        }
    }
    return true;
}
