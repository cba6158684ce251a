#include "engine/value/part.h"

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdlib.h>

#define REFS_MAX (PART_USED - 1)

static_assert(alignof(max_align_t) >= PART_ALIGNMENT, "malloc leaves the low bits of parts free");

static _Thread_local uint64_t fail_from;
static _Thread_local bool failed;

void part_test_fail_from(uint64_t nth)
{
    fail_from = nth;
    failed = false;
}

bool part_test_failed(void)
{
    return failed;
}

void *part_alloc(size_t size)
{
    if (__builtin_expect(fail_from != 0, 0)) {
        if (fail_from == 1) {
            failed = true;
            return NULL;
        }
        fail_from--;
    }
    return malloc(size);
}

size_t part_heap_size(size_t request)
{
    /* glibc: a size word before each block, sizes in steps of 16, at least 32. */
    size_t size = (request + sizeof(size_t) + 15) & ~(size_t)15;
    return size < 32 ? 32 : size;
}

size_t part_memory(const struct part *part)
{
    return part_heap_size(sizeof(*part) + part->capacity);
}

struct part *part_new(size_t capacity)
{
    if (capacity > PART_CAPACITY_MAX) {
        return NULL;
    }
    struct part *part = part_alloc(sizeof(*part) + capacity);
    if (part == NULL) {
        return NULL;
    }
    CHECK((uintptr_t)part % PART_ALIGNMENT == 0);
    atomic_init(&part->refs, 1 | PART_USED);
    part->size = 0;
    part->capacity = (uint32_t)capacity;
    return part;
}

void part_ref(struct part *part)
{
    uint32_t before = atomic_fetch_add_explicit(&part->refs, 1, memory_order_relaxed);
    CHECK((before & ~PART_USED) != 0 && (before & ~PART_USED) != REFS_MAX);
}

void part_unref(struct part *part)
{
    if (part == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&part->refs, 1, memory_order_acq_rel);
    CHECK((before & ~PART_USED) != 0);
    if ((before & ~PART_USED) == 1) {
        free(part);
    }
}

bool part_shared(const struct part *part)
{
    /* Acquire: what the former holder read has been read before we write. */
    return (atomic_load_explicit(&part->refs, memory_order_acquire) & ~PART_USED) > 1;
}

bool part_use_end(struct part *part)
{
    return (atomic_fetch_and_explicit(&part->refs, ~PART_USED, memory_order_relaxed) & PART_USED) !=
           0;
}

struct part *part_clone(const struct part *part, size_t capacity)
{
    struct part *clone = part_new(capacity < part->size ? part->size : capacity);
    if (clone != NULL) {
        memcpy(clone->data, part->data, part->size);
        clone->size = part->size;
    }
    return clone;
}
