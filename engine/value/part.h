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

struct part {
    _Atomic uint32_t refs;
    uint32_t size;          /* Bytes in use. */
    uint32_t capacity : 31; /* Bytes allocated behind the header. */
    uint32_t dirty : 1;     /* Changed since it was read, or new: see parts.h. */
    unsigned char data[];
};

#define PART_CAPACITY_MAX ((1u << 31) - 1)

/* Given, dirty, with one reference and size 0. NULL: no memory, or over PART_CAPACITY_MAX. */
struct part *part_new(size_t capacity);
void part_ref(struct part *part);
void part_unref(struct part *part); /* Frees with the last; NULL is fine. */
bool part_shared(const struct part *part);
/* A private part with these bytes and at least this capacity. NULL: no memory. */
struct part *part_clone(const struct part *part, size_t capacity);

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
