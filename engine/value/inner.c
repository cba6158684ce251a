#include "engine/value/inner.h"

#include "engine/base/check.h"

#define COUNTS_OFFSET 12
#define HIGHS_OFFSET (COUNTS_OFFSET + INNER_COUNT_MAX * sizeof(uint64_t))
#define LOWS_OFFSET (HIGHS_OFFSET + INNER_COUNT_MAX * sizeof(uint64_t))
#define CHILDREN_OFFSET (LOWS_OFFSET + INNER_COUNT_MAX * sizeof(uint64_t))
/* Counts are added up this many at a time. */
#define STRIDE 8

static_assert((offsetof(struct part, data) + COUNTS_OFFSET) % 8 == 0, "counts are aligned");
static_assert(CHILDREN_OFFSET + INNER_COUNT_MAX * sizeof(uint32_t) <= LEAF_CAPACITY,
              "a full inner node fits a part");

static uint64_t *counts(const struct part *inner)
{
    return (uint64_t *)(uintptr_t)(inner->data + COUNTS_OFFSET);
}

static uint64_t *highs(const struct part *inner)
{
    return (uint64_t *)(uintptr_t)(inner->data + HIGHS_OFFSET);
}

static uint64_t *lows(const struct part *inner)
{
    return (uint64_t *)(uintptr_t)(inner->data + LOWS_OFFSET);
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

struct mark inner_mark(const struct part *inner, size_t index)
{
    CHECK(index < inner_count(inner));
    return (struct mark){highs(inner)[index], lows(inner)[index]};
}

uint64_t inner_sum(const struct part *inner, size_t count)
{
    CHECK(count <= inner_count(inner));
    const uint64_t *below = counts(inner);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += below[i];
    }
    return sum;
}

uint64_t inner_total(const struct part *inner)
{
    return inner_sum(inner, inner_count(inner));
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

size_t inner_count_below(const struct part *inner, struct mark mark, bool equal)
{
    const uint64_t *high = highs(inner);
    size_t first = 0;
    size_t rest = inner_count(inner);
    while (rest > 0) {
        size_t middle = first + rest / 2;
        bool before = high[middle] < mark.high;
        if (high[middle] == mark.high) {
            uint64_t low = lows(inner)[middle];
            before = low < mark.low || (equal && low == mark.low);
        }
        if (before) {
            first = middle + 1;
            rest -= rest / 2 + 1;
        } else {
            rest /= 2;
        }
    }
    return first;
}

void inner_set_below(struct part *inner, size_t index, uint64_t below)
{
    CHECK(index < inner_count(inner));
    counts(inner)[index] = below;
}

void inner_set_mark(struct part *inner, size_t index, struct mark mark)
{
    CHECK(index < inner_count(inner));
    highs(inner)[index] = mark.high;
    lows(inner)[index] = mark.low;
}

/* Copies children [index, index + count) to another place, of the same or of another node. */
static void copy_children(const struct part *from, size_t index, size_t count, struct part *to,
                          size_t to_index)
{
    memmove(counts(to) + to_index, counts(from) + index, count * sizeof(uint64_t));
    memmove(highs(to) + to_index, highs(from) + index, count * sizeof(uint64_t));
    memmove(lows(to) + to_index, lows(from) + index, count * sizeof(uint64_t));
    memmove(children(to) + to_index, children(from) + index, count * sizeof(uint32_t));
}

static void open_gap(struct part *inner, size_t index, size_t count)
{
    size_t old = inner_count(inner);
    CHECK(index <= old && old + count <= INNER_COUNT_MAX);
    copy_children(inner, index, old - index, inner, index + count);
    set_count(inner, old + count);
}

void inner_insert(struct part *inner, size_t index, struct inner_slot child)
{
    open_gap(inner, index, 1);
    counts(inner)[index] = child.below;
    children(inner)[index] = child.number;
    inner_set_mark(inner, index, child.mark);
}

void inner_remove(struct part *inner, size_t index, size_t count)
{
    size_t old = inner_count(inner);
    CHECK(index <= old && count <= old - index);
    copy_children(inner, index + count, old - index - count, inner, index);
    set_count(inner, old - count);
}

void inner_move(struct part *from, size_t index, size_t count, struct part *to, size_t to_index)
{
    CHECK(from != to && index + count <= inner_count(from));
    open_gap(to, to_index, count);
    copy_children(from, index, count, to, to_index);
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
        if (counts(inner)[i] == 0 ||
            (i > 0 && mark_compare(inner_mark(inner, i - 1), inner_mark(inner, i)) > 0)) {
            return false;
        }
    }
    return true;
}
