/* A slot holds a part; or, with its second bit set, the handle of an absent part; or, with its
 * lowest bit set, the number of the next free slot. The links of
 * the free list thus lie in pages like everything else: two tables that share a page share its
 * links, and each of them copies the page before it changes one.
 *
 * A page is as large as PARTS_PAGE_COUNT but for the first, which starts small and doubles, since
 * most values have a handful of parts.
 *
 * Sharing: a page with further references stands for a reference of every part in it. So a part is
 * private only if its page is; page_own gives each part a reference of its own before it lets go of
 * the shared page. Two tables under two locks may do that at the same time: whoever drops the last
 * reference of the page drops its parts' references too.
 */
#include "engine/value/parts.h"

#include "engine/base/check.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FIRST_PAGE_MIN 4

struct parts_page {
    _Atomic uint32_t refs;
    uint32_t capacity;
    uintptr_t slots[];
};

static uintptr_t slot_of_free(uint32_t next)
{
    return ((uintptr_t)next << 1) | 1;
}

static bool slot_is_free(uintptr_t slot)
{
    return (slot & 1) != 0;
}

static bool slot_is_absent(uintptr_t slot)
{
    return (slot & 3) == 2;
}

static struct part *slot_part(uintptr_t slot)
{
    /* Free, lost and absent slots hold no part. */
    return (slot & 3) != 0 ? NULL : (struct part *)slot;
}

/* Bounded: who takes them asks again for what did not fit. */
#define MISSES_MAX 64
static _Thread_local struct parts_miss misses[MISSES_MAX];
static _Thread_local size_t miss_count;

static void note_miss(const struct parts *parts, uint32_t number)
{
    if (miss_count < MISSES_MAX) {
        misses[miss_count++] = (struct parts_miss){parts, number};
    }
}

size_t parts_take_misses(struct parts_miss *misses_out, size_t max)
{
    size_t count = miss_count < max ? miss_count : max;
    memcpy(misses_out, misses, count * sizeof(misses[0]));
    miss_count = 0;
    return count;
}

static size_t page_memory(uint32_t capacity)
{
    return part_heap_size(sizeof(struct parts_page) + capacity * sizeof(uintptr_t));
}

static struct parts_page *page_new(uint32_t capacity)
{
    struct parts_page *page = part_alloc(sizeof(struct parts_page) + capacity * sizeof(uintptr_t));
    if (page != NULL) {
        atomic_init(&page->refs, 1);
        page->capacity = capacity;
        memset(page->slots, 0, capacity * sizeof(uintptr_t));
    }
    return page;
}

static bool page_shared(const struct parts_page *page)
{
    return atomic_load_explicit(&page->refs, memory_order_acquire) > 1;
}

static void page_unref(struct parts_page *page)
{
    if (atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) == 1) {
        for (uint32_t i = 0; i < page->capacity; i++) {
            part_unref(slot_part(page->slots[i]));
        }
        free(page);
    }
}

static uint32_t page_count(const struct parts *parts)
{
    return (parts->end + PARTS_PAGE_COUNT - 1) / PARTS_PAGE_COUNT;
}

static uintptr_t *slot_at(const struct parts *parts, uint32_t number)
{
    CHECK(number < parts->end);
    return &parts->pages[number / PARTS_PAGE_COUNT]->slots[number % PARTS_PAGE_COUNT];
}

/* Makes the page private and at least this large; the content stays. */
static enum status page_own(struct parts *parts, uint32_t index, uint32_t capacity)
{
    struct parts_page *page = parts->pages[index];
    bool shared = page_shared(page);
    if (!shared && page->capacity >= capacity) {
        return ST_OK;
    }
    capacity = capacity < page->capacity ? page->capacity : capacity;
    struct parts_page *copy = page_new(capacity);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    memcpy(copy->slots, page->slots, page->capacity * sizeof(uintptr_t));
    parts->memory += page_memory(capacity) - page_memory(page->capacity);
    parts->pages[index] = copy;
    if (!shared) {
        free(page);
        return ST_OK;
    }
    for (uint32_t i = 0; i < page->capacity; i++) {
        struct part *part = slot_part(copy->slots[i]);
        if (part != NULL) {
            part_ref(part);
        }
    }
    page_unref(page);
    return ST_OK;
}

void parts_init(struct parts *parts)
{
    *parts = (struct parts){.free_first = PARTS_NONE};
}

void parts_deinit(struct parts *parts)
{
    (void)parts_free_some(parts, SIZE_MAX);
    /* Pages that were reserved but never reached by `end`: they stand behind those that went. */
    for (uint32_t i = 0; i < parts->page_capacity; i++) {
        if (parts->pages[i] != NULL) {
            page_unref(parts->pages[i]);
        }
    }
    free(parts->pages);
    parts_init(parts);
}

bool parts_free_some(struct parts *parts, size_t count)
{
    while (parts->end > 0) {
        uint32_t index = (parts->end - 1) / PARTS_PAGE_COUNT;
        struct parts_page *page = parts->pages[index];
        if (page_shared(page)) {
            /* Other tables keep its parts; or they have just let go, and it ends here. */
            if (count == 0) {
                return false;
            }
            count--;
            page_unref(page);
            parts->pages[index] = NULL;
            parts->end = index * PARTS_PAGE_COUNT;
            continue;
        }
        while (parts->end > index * PARTS_PAGE_COUNT) {
            if (count == 0) {
                return false;
            }
            count--;
            uintptr_t *slot = slot_at(parts, parts->end - 1);
            part_unref(slot_part(*slot));
            *slot = 0;
            parts->end--;
        }
        free(page);
        parts->pages[index] = NULL;
    }
    return true;
}

static enum status array_grow(struct parts *parts, uint32_t page_capacity)
{
    uint32_t capacity = parts->page_capacity + parts->page_capacity / 4;
    capacity = capacity < page_capacity ? page_capacity : capacity;
    struct parts_page **pages = part_alloc(capacity * sizeof(struct parts_page *));
    if (pages == NULL) {
        return ST_NOMEM;
    }
    size_t used = parts->page_capacity * sizeof(struct parts_page *);
    if (used > 0) {
        memcpy(pages, parts->pages, used);
        parts->memory -= part_heap_size(used);
    }
    memset(pages + parts->page_capacity, 0, capacity * sizeof(struct parts_page *) - used);
    free(parts->pages);
    parts->pages = pages;
    parts->page_capacity = capacity;
    parts->memory += part_heap_size(capacity * sizeof(struct parts_page *));
    return ST_OK;
}

enum status parts_copy(const struct parts *parts, struct parts *copy_out)
{
    parts_init(copy_out);
    if (parts->end == 0) {
        return ST_OK;
    }
    uint32_t count = page_count(parts);
    enum status status = array_grow(copy_out, count);
    if (status != ST_OK) {
        return status;
    }
    uint64_t array_memory = part_heap_size(parts->page_capacity * sizeof(struct parts_page *));
    copy_out->memory += parts->memory - array_memory;
    for (uint32_t i = 0; i < count; i++) {
        atomic_fetch_add_explicit(&parts->pages[i]->refs, 1, memory_order_relaxed);
        copy_out->pages[i] = parts->pages[i];
    }
    for (uint32_t i = count; i < parts->page_capacity && parts->pages[i] != NULL; i++) {
        copy_out->memory -= page_memory(parts->pages[i]->capacity); /* Reserved, not shared. */
    }
    copy_out->end = parts->end;
    copy_out->free_first = parts->free_first;
    copy_out->live = parts->live;
    copy_out->absent = parts->absent;
    copy_out->lost = parts->lost;
    return ST_OK;
}

/* Pages for the numbers below `end`, the one that holds the present end private. */
static enum status reserve_end(struct parts *parts, uint32_t end)
{
    uint32_t count = (end + PARTS_PAGE_COUNT - 1) / PARTS_PAGE_COUNT;
    if (count > parts->page_capacity) {
        enum status status = array_grow(parts, count);
        if (status != ST_OK) {
            return status;
        }
    }
    for (uint32_t i = parts->end / PARTS_PAGE_COUNT; i < count; i++) {
        uint32_t capacity = PARTS_PAGE_COUNT;
        if (i == 0 && end < PARTS_PAGE_COUNT) {
            capacity = FIRST_PAGE_MIN;
            while (capacity < end) {
                capacity *= 2;
            }
        }
        if (parts->pages[i] != NULL) {
            enum status status = page_own(parts, i, capacity);
            if (status != ST_OK) {
                return status;
            }
            continue;
        }
        parts->pages[i] = page_new(capacity);
        if (parts->pages[i] == NULL) {
            return ST_NOMEM;
        }
        parts->memory += page_memory(capacity);
    }
    return ST_OK;
}

enum status parts_reserve(struct parts *parts, uint32_t count)
{
    uint32_t free_next = parts->free_first;
    while (count > 0 && free_next != PARTS_NONE) {
        enum status status = page_own(parts, free_next / PARTS_PAGE_COUNT, 0);
        if (status != ST_OK) {
            return status;
        }
        free_next = (uint32_t)(*slot_at(parts, free_next) >> 1);
        count--;
    }
    if (count == 0) {
        return ST_OK;
    }
    if (count > PARTS_NUMBER_MAX - parts->end) {
        return ST_LIMIT;
    }
    return reserve_end(parts, parts->end + count);
}

uint32_t parts_add(struct parts *parts, struct part *part)
{
    uint32_t number = parts->free_first;
    if (number != PARTS_NONE) {
        parts->free_first = (uint32_t)(*slot_at(parts, number) >> 1);
    } else {
        number = parts->end++;
        CHECK(number / PARTS_PAGE_COUNT < parts->page_capacity);
        CHECK(parts->pages[number / PARTS_PAGE_COUNT] != NULL);
    }
    CHECK(number % PARTS_PAGE_COUNT < parts->pages[number / PARTS_PAGE_COUNT]->capacity);
    CHECK(!page_shared(parts->pages[number / PARTS_PAGE_COUNT]));
    *slot_at(parts, number) = (uintptr_t)part;
    parts->live++;
    parts->memory += part_memory(part);
    return number;
}

enum status parts_get(const struct parts *parts, uint32_t number, struct part **part_out)
{
    uintptr_t slot = *slot_at(parts, number);
    if (__builtin_expect(slot_is_absent(slot), 0)) {
        note_miss(parts, number);
        return ST_WAIT;
    }
    *part_out = slot_part(slot);
    CHECK(*part_out != NULL);
    return ST_OK;
}

bool parts_used(const struct parts *parts, uint32_t number)
{
    uintptr_t slot = *slot_at(parts, number);
    return slot_is_absent(slot) || slot_part(slot) != NULL;
}

void parts_clean(struct parts *parts, uint32_t number)
{
    struct part *part = slot_part(*slot_at(parts, number));
    CHECK(part != NULL);
    part->dirty = 0;
}

bool parts_evict(struct parts *parts, uint32_t number, uint64_t handle)
{
    CHECK(handle <= PARTS_HANDLE_MAX);
    struct part *part = slot_part(*slot_at(parts, number));
    if (part == NULL || part->dirty || page_shared(parts->pages[number / PARTS_PAGE_COUNT])) {
        return false;
    }
    parts->memory -= part_memory(part);
    parts->absent++;
    *slot_at(parts, number) = (uintptr_t)(handle << 2 | 2);
    part_unref(part);
    return true;
}

bool parts_absent(const struct parts *parts, uint32_t number, uint64_t *handle_out)
{
    uintptr_t slot = *slot_at(parts, number);
    if (slot_is_absent(slot)) {
        *handle_out = slot >> 2;
    }
    return slot_is_absent(slot);
}

enum status parts_install(struct parts *parts, uint32_t number, struct part *part)
{
    CHECK(slot_is_absent(*slot_at(parts, number)));
    enum status status = page_own(parts, number / PARTS_PAGE_COUNT, 0);
    if (status != ST_OK) {
        return status;
    }
    part->dirty = 0;
    *slot_at(parts, number) = (uintptr_t)part;
    parts->memory += part_memory(part);
    parts->absent--;
    return ST_OK;
}

bool parts_owned(const struct parts *parts, uint32_t number)
{
    struct part *part = slot_part(*slot_at(parts, number));
    return !page_shared(parts->pages[number / PARTS_PAGE_COUNT]) && !part_shared(part);
}

enum status parts_own(struct parts *parts, uint32_t number, struct part **part_out)
{
    return parts_own_sized(parts, number, 0, part_out);
}

enum status parts_own_sized(struct parts *parts, uint32_t number, size_t capacity,
                            struct part **part_out)
{
    struct part *part;
    enum status status = parts_get(parts, number, &part);
    if (status == ST_OK) {
        status = page_own(parts, number / PARTS_PAGE_COUNT, 0);
    }
    if (status != ST_OK) {
        return status;
    }
    if (part_shared(part) || part->capacity < capacity) {
        struct part *clone =
            part_clone(part, capacity < part->capacity ? part->capacity : capacity);
        if (clone == NULL) {
            return ST_NOMEM;
        }
        parts->memory += part_memory(clone) - part_memory(part);
        *slot_at(parts, number) = (uintptr_t)clone;
        part_unref(part);
        part = clone;
    }
    part->dirty = 1;
    *part_out = part;
    return ST_OK;
}

void parts_remove(struct parts *parts, uint32_t number)
{
    struct part *part = slot_part(*slot_at(parts, number));
    CHECK(part != NULL);
    parts->live--;
    if (page_own(parts, number / PARTS_PAGE_COUNT, 0) != ST_OK) {
        /* The shared page cannot be changed and not be copied. The number stays taken, and the
         * part alive, until the table ends; nobody names it any more. */
        parts->lost++;
        return;
    }
    parts->memory -= part_memory(part);
    part_unref(part);
    if (number == parts->end - 1) {
        *slot_at(parts, number) = 0;
        parts->end--;
        return;
    }
    *slot_at(parts, number) = slot_of_free(parts->free_first);
    parts->free_first = number;
}

bool parts_check(const struct parts *parts)
{
    uint64_t memory = 0;
    uint32_t live = 0;
    uint32_t absent = 0;
    uint32_t free_count = 0;
    if (parts->page_capacity > 0) {
        memory += part_heap_size(parts->page_capacity * sizeof(struct parts_page *));
    }
    for (uint32_t i = 0; i < parts->page_capacity && parts->pages[i] != NULL; i++) {
        memory += page_memory(parts->pages[i]->capacity);
    }
    for (uint32_t number = 0; number < parts->end; number++) {
        uintptr_t slot = *slot_at(parts, number);
        struct part *part = slot_part(slot);
        free_count += slot_is_free(slot);
        live += part != NULL || slot_is_absent(slot);
        absent += slot_is_absent(slot);
        memory += part != NULL ? part_memory(part) : 0;
    }
    uint32_t listed = 0;
    for (uint32_t number = parts->free_first; number != PARTS_NONE && listed <= free_count;) {
        if (number >= parts->end || !slot_is_free(*slot_at(parts, number))) {
            return false;
        }
        number = (uint32_t)(*slot_at(parts, number) >> 1);
        listed++;
    }
    return memory == parts->memory && live == parts->live + parts->lost &&
           absent == parts->absent && listed == free_count && live + free_count == parts->end;
}
