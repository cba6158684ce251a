/* part: one refcounted block of bytes, the unit of which large values are made.
 *
 * Whoever changes a part holds its shard's lock and its only reference; a part with further
 * references (a reply on its way, a freeze) is copied first. So a reply sends a large value
 * without a copy while writers go on.
 * Thread: ref and unref from any; bytes are constant while refs > 1.
 */
#ifndef BASIN_ENGINE_VALUE_PART_H
#define BASIN_ENGINE_VALUE_PART_H

#include "engine/base/bytes.h"

#include <stdatomic.h>

struct part {
    _Atomic uint32_t refs; /* References, and PART_USED. */
    uint32_t size;         /* Bytes in use. */
    uint32_t capacity;     /* Bytes allocated behind the header. */
    unsigned char data[];
};

/* The part was asked for since somebody who looks for parts to evict last came by. It lies in
 * `refs` since two tables under two locks may set it at a time. */
#define PART_USED 0x80000000u

/* So the low bits of a part's address are free for whoever keeps it. */
#define PART_ALIGNMENT 16
#define PART_CAPACITY_MAX ((1u << 31) - 1)

/* Given, used, with one reference and size 0. NULL: no memory, or over PART_CAPACITY_MAX. */
struct part *part_new(size_t capacity);
void part_ref(struct part *part);
void part_unref(struct part *part); /* Frees with the last; NULL is fine. */
bool part_shared(const struct part *part);
/* Takes the mark away; gives whether it was there. */
bool part_use_end(struct part *part);
/* A private part with these bytes and at least this capacity. NULL: no memory. */
struct part *part_clone(const struct part *part, size_t capacity);

static inline void part_use(struct part *part)
{
    uint32_t refs = atomic_load_explicit(&part->refs, memory_order_relaxed);
    if (__builtin_expect((refs & PART_USED) == 0, 0)) {
        atomic_fetch_or_explicit(&part->refs, PART_USED, memory_order_relaxed);
    }
}

/* What the allocator takes for a request of this size, its own header included. */
size_t part_heap_size(size_t request);
/* The same for a whole part. */
size_t part_memory(const struct part *part);

/* All memory of values other than `struct buf` comes from here, so that tests can refuse it.
 * NULL: no memory. */
void *part_alloc(size_t size);

/* For tests: the nth part_alloc (part_new, part_clone) of this thread from now on fails, and all
 * after it; 0 ends that. part_test_failed tells whether one did. */
void part_test_fail_from(uint64_t nth);
bool part_test_failed(void);

#endif
