/* parts_private: what giving out and changing (parts.c) and what disk and memory know of each other
 * (parts_disk.c) have in common. */
#ifndef BASIN_ENGINE_VALUE_PARTS_PRIVATE_H
#define BASIN_ENGINE_VALUE_PARTS_PRIVATE_H

#include "engine/base/check.h"
#include "engine/value/parts.h"

/* A slot is 0 from `end` on, or a part's address, or the next free number, or nothing (absent),
 * with marks. In a table that is not tracked, settled and dirty mean nothing. */
#define SLOT_FREE 1u
#define SLOT_ABSENT 2u
#define SLOT_SETTLED 4u
#define SLOT_DIRTY 8u
#define SLOT_MARKS ((uintptr_t)15)
#define SLOT_SHIFT 4
static_assert(PART_ALIGNMENT > SLOT_MARKS, "marks fit below a part's address");

/* What is not in memory is settled and clean (P2). */
#define SLOT_ELSEWHERE ((uintptr_t)(SLOT_ABSENT | SLOT_SETTLED))

struct parts_page {
    _Atomic uint32_t refs;
    uint16_t capacity;
    uint16_t held; /* Slots with a part or a free number: P4. */
    uintptr_t slots[];
};
static_assert(PARTS_PAGE_COUNT <= UINT16_MAX, "counts of slots fit their fields");

/* Pages that hold the numbers below end. */
static inline uint32_t parts_page_count(const struct parts *parts)
{
    return (parts->end + PARTS_PAGE_COUNT - 1) / PARTS_PAGE_COUNT;
}

/* NULL: see P4. */
static inline struct parts_page *parts_page(const struct parts *parts, uint32_t index)
{
    return index < parts->page_capacity ? parts->pages[index] : NULL;
}

static inline uintptr_t parts_slot(const struct parts *parts, uint32_t number)
{
    CHECK(number < parts->end);
    const struct parts_page *page = parts_page(parts, number / PARTS_PAGE_COUNT);
    return page == NULL ? SLOT_ELSEWHERE : page->slots[number % PARTS_PAGE_COUNT];
}

/* The slot of a number whose page is there. */
static inline uintptr_t *parts_slot_at(const struct parts *parts, uint32_t number)
{
    struct parts_page *page = parts_page(parts, number / PARTS_PAGE_COUNT);
    CHECK(page != NULL && number % PARTS_PAGE_COUNT < page->capacity);
    return &page->slots[number % PARTS_PAGE_COUNT];
}

static inline bool slot_is_free(uintptr_t slot)
{
    return (slot & SLOT_FREE) != 0;
}

static inline bool slot_is_absent(uintptr_t slot)
{
    return (slot & SLOT_ABSENT) != 0;
}

/* NULL: it holds none. */
static inline struct part *slot_part(uintptr_t slot)
{
    return (slot & (SLOT_FREE | SLOT_ABSENT)) != 0 ? NULL : (struct part *)(slot & ~SLOT_MARKS);
}

static inline uintptr_t slot_of_free(uint32_t next)
{
    return (uintptr_t)next << SLOT_SHIFT | SLOT_FREE;
}

static inline uint32_t slot_next(uintptr_t slot)
{
    return (uint32_t)(slot >> SLOT_SHIFT);
}

size_t parts_page_memory(uint32_t capacity);
bool parts_page_shared(const struct parts_page *page);
/* Makes the page private, at least this large and, if need be, at all; the content stays. */
enum status parts_page_own(struct parts *parts, uint32_t index, uint32_t capacity);

#endif
