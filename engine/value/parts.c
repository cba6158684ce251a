/* A slot holds a part, or is absent, or, if its number is free, holds that of the next free one.
 * The links of the free list thus lie in pages like everything else: two tables that share a page
 * share its links, and each of them copies the page before it changes one.
 *
 * A page is as large as PARTS_PAGE_COUNT but for the first, which starts small and doubles, since
 * most values have a handful of parts.
 *
 * Sharing: a page with further references stands for a reference of every part in it. So a part is
 * private only if its page is; parts_page_own gives each part a reference of its own before it lets
 * go of the shared page. Two tables under two locks may do that at the same time: whoever drops the
 * last reference of the page drops its parts' references too.
 *
 * Marks lie in the slots. A copy of a table is not tracked, and so has no use for those that it
 * finds in the pages that it shares; its first capture makes all of its pages private and sets
 * their marks anew.
 *
 * Notes of dirty numbers begin only where a table is larger than a walk is worth, and end where
 * they would cost more than one. They are never taken back: a number that is noted and found clean,
 * or at or beyond `end`, is passed over.
 */
#include "engine/value/parts.h"

#include "engine/value/parts_private.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FIRST_PAGE_MIN 4
/* A capture walks tables up to this size. */
#define WALK_MAX 64
/* Of the numbers of a table, one in so many is noted before the capture walks instead. */
#define NOTES_SHARE 8

/* -- Misses ------------------------------------------------------------------------------------ */

/* Bounded: who takes them asks again for what did not fit. */
#define MISSES_MAX 64
static _Thread_local struct parts_miss misses[MISSES_MAX];
static _Thread_local size_t miss_count;

static void note_miss(const struct parts *parts, uint32_t number)
{
    if (miss_count < MISSES_MAX) {
        misses[miss_count++] = (struct parts_miss){parts, parts->clast, parts->table, number};
    }
}

size_t parts_take_misses(struct parts_miss *misses_out, size_t max)
{
    size_t count = miss_count < max ? miss_count : max;
    if (count > 0) {
        memcpy(misses_out, misses, count * sizeof(misses[0]));
    }
    miss_count = 0;
    return count;
}

size_t parts_missed(void)
{
    return miss_count;
}

bool parts_misses_full(void)
{
    return miss_count == MISSES_MAX;
}

/* -- Vectors of numbers ------------------------------------------------------------------------ */

#define NUMBERS_MIN 14

static size_t numbers_size(uint32_t capacity)
{
    return sizeof(struct parts_numbers) + capacity * sizeof(uint32_t);
}

enum status parts_numbers_reserve(struct parts_numbers **numbers)
{
    struct parts_numbers *old = *numbers;
    if (old != NULL && old->count < old->capacity) {
        return ST_OK;
    }
    uint32_t capacity = old == NULL ? NUMBERS_MIN : old->capacity * 2;
    struct parts_numbers *larger = part_alloc(numbers_size(capacity));
    if (larger == NULL) {
        return ST_NOMEM;
    }
    larger->count = 0;
    if (old != NULL) {
        memcpy(larger, old, numbers_size(old->count));
        free(old);
    }
    larger->capacity = capacity;
    *numbers = larger;
    return ST_OK;
}

void parts_numbers_add(struct parts_numbers *numbers, uint32_t number)
{
    CHECK(numbers->count < numbers->capacity);
    numbers->numbers[numbers->count++] = number;
}

uint64_t parts_numbers_memory(const struct parts_numbers *numbers)
{
    return numbers == NULL ? 0 : part_heap_size(numbers_size(numbers->capacity));
}

/* P1. */
static void note_dirty(struct parts *parts, uint32_t number)
{
    if (parts->walk) {
        return;
    }
    uint32_t noted = parts->dirty == NULL ? 0 : parts->dirty->count;
    if (parts->end <= WALK_MAX || noted > parts->end / NOTES_SHARE ||
        parts_numbers_reserve(&parts->dirty) != ST_OK) {
        parts->walk = true;
        return;
    }
    parts_numbers_add(parts->dirty, number);
}

static void mark_dirty(struct parts *parts, uintptr_t *slot, uint32_t number)
{
    if (parts->tracked && (*slot & SLOT_DIRTY) == 0) {
        *slot |= SLOT_DIRTY;
        note_dirty(parts, number);
    }
}

/* -- Pages ------------------------------------------------------------------------------------- */

size_t parts_page_memory(uint32_t capacity)
{
    return part_heap_size(sizeof(struct parts_page) + capacity * sizeof(uintptr_t));
}

static struct parts_page *page_new(uint32_t capacity)
{
    struct parts_page *page = part_alloc(sizeof(struct parts_page) + capacity * sizeof(uintptr_t));
    if (page != NULL) {
        atomic_init(&page->refs, 1);
        page->capacity = (uint16_t)capacity;
        page->held = 0;
        memset(page->slots, 0, capacity * sizeof(uintptr_t));
    }
    return page;
}

bool parts_page_shared(const struct parts_page *page)
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

/* What a page must hold for the numbers below end. */
static uint32_t page_capacity_for(uint32_t index, uint32_t end)
{
    uint32_t capacity = FIRST_PAGE_MIN;
    if (index > 0 || end >= PARTS_PAGE_COUNT) {
        return PARTS_PAGE_COUNT;
    }
    while (capacity < end) {
        capacity *= 2;
    }
    return capacity;
}

/* A page of which all that lies below `end` is absent. */
static enum status page_make(struct parts *parts, uint32_t index, uint32_t capacity)
{
    if (index >= parts->page_capacity) {
        uint32_t count = parts_page_count(parts);
        enum status status = array_grow(parts, index < count ? count : index + 1);
        if (status != ST_OK) {
            return status;
        }
    }
    uint32_t least = page_capacity_for(index, parts->end);
    struct parts_page *page = page_new(capacity < least ? least : capacity);
    if (page == NULL) {
        return ST_NOMEM;
    }
    uint32_t first = index * PARTS_PAGE_COUNT;
    for (uint32_t i = 0; i < page->capacity && first + i < parts->end; i++) {
        page->slots[i] = SLOT_ELSEWHERE;
    }
    parts->pages[index] = page;
    parts->memory += parts_page_memory(page->capacity);
    return ST_OK;
}

enum status parts_page_own(struct parts *parts, uint32_t index, uint32_t capacity)
{
    struct parts_page *page = parts_page(parts, index);
    if (page == NULL) {
        return page_make(parts, index, capacity);
    }
    bool shared = parts_page_shared(page);
    if (!shared && page->capacity >= capacity) {
        return ST_OK;
    }
    capacity = capacity < page->capacity ? page->capacity : capacity;
    struct parts_page *copy = page_new(capacity);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    memcpy(copy->slots, page->slots, page->capacity * sizeof(uintptr_t));
    copy->held = page->held;
    parts->memory += parts_page_memory(capacity) - parts_page_memory(page->capacity);
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

/* -- Whole tables ------------------------------------------------------------------------------ */

void parts_init(struct parts *parts)
{
    *parts = (struct parts){.free_first = PARTS_NONE};
}

static void content_free(struct parts *parts)
{
    (void)parts_free_some(parts, SIZE_MAX);
    /* Pages that were reserved but never reached by `end`. */
    for (uint32_t i = 0; i < parts->page_capacity; i++) {
        if (parts->pages[i] != NULL) {
            page_unref(parts->pages[i]);
        }
    }
    free(parts->pages);
    free(parts->dirty);
    free(parts->spare);
}

void parts_deinit(struct parts *parts)
{
    content_free(parts);
    parts_init(parts);
}

uint32_t parts_grave(const struct parts *parts)
{
    return parts->tracked ? parts->table : parts->former;
}

void parts_clear(struct parts *parts)
{
    uint32_t former = parts_grave(parts);
    uint64_t clast = parts->clast;
    parts_deinit(parts);
    parts->clast = clast;
    parts->former = former;
    /* Nothing is tracked; but a snapshot that is returned to has lost its notes. */
    parts->walk = true;
}

void parts_take(struct parts *parts, struct parts *fresh)
{
    CHECK(!fresh->tracked && fresh->former == 0);
    uint32_t former = parts_grave(parts);
    uint64_t clast = parts->clast;
    content_free(parts);
    *parts = *fresh;
    parts->clast = clast;
    parts->former = former;
    parts->walk = true;
    parts_init(fresh);
}

/* One page that lies below end. */
static bool page_free_some(struct parts *parts, uint32_t index, size_t *count)
{
    struct parts_page *page = parts_page(parts, index);
    uint32_t first = index * PARTS_PAGE_COUNT;
    if (page == NULL || parts_page_shared(page)) {
        /* Other tables keep its parts; or they have just let go, and it ends here. */
        if (*count == 0) {
            return false;
        }
        --*count;
        if (page != NULL) {
            page_unref(page);
            parts->pages[index] = NULL;
        }
        parts->end = first;
        return true;
    }
    while (parts->end > first) {
        if (*count == 0) {
            return false;
        }
        --*count;
        uintptr_t *slot = parts_slot_at(parts, parts->end - 1);
        part_unref(slot_part(*slot));
        *slot = 0;
        parts->end--;
    }
    free(page);
    parts->pages[index] = NULL;
    return true;
}

bool parts_free_some(struct parts *parts, size_t count)
{
    while (parts->end > 0) {
        if (!page_free_some(parts, (parts->end - 1) / PARTS_PAGE_COUNT, &count)) {
            return false;
        }
    }
    return true;
}

/* Another table of the same pages. Those beyond `end` are reserved, not shared. */
static enum status pages_share(const struct parts *parts, struct parts *copy)
{
    uint32_t count = parts_page_count(parts);
    uint64_t memory = parts->memory;
    count = count < parts->page_capacity ? count : parts->page_capacity;
    if (parts->page_capacity > 0) {
        memory -= part_heap_size(parts->page_capacity * sizeof(struct parts_page *));
    }
    for (uint32_t i = count; i < parts->page_capacity; i++) {
        if (parts->pages[i] != NULL) {
            memory -= parts_page_memory(parts->pages[i]->capacity);
        }
    }
    if (count > 0) {
        enum status status = array_grow(copy, count);
        if (status != ST_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (parts->pages[i] != NULL) {
            atomic_fetch_add_explicit(&parts->pages[i]->refs, 1, memory_order_relaxed);
            copy->pages[i] = parts->pages[i];
        }
    }
    copy->memory += memory;
    copy->end = parts->end;
    copy->free_first = parts->free_first;
    copy->live = parts->live;
    copy->absent = parts->absent;
    copy->lost = parts->lost;
    return ST_OK;
}

enum status parts_copy(const struct parts *parts, struct parts *copy_out)
{
    parts_init(copy_out);
    return pages_share(parts, copy_out);
}

enum status parts_snapshot(const struct parts *parts, struct parts *snapshot_out)
{
    parts_init(snapshot_out);
    enum status status = pages_share(parts, snapshot_out);
    if (status == ST_OK) {
        snapshot_out->clast = parts->clast;
        snapshot_out->table = parts->table;
        snapshot_out->former = parts->former;
        snapshot_out->tracked = parts->tracked;
        snapshot_out->walk = parts->walk;
    }
    return status;
}

void parts_restore(struct parts *parts, struct parts *snapshot)
{
    /* What was noted before is among what is noted now. Spare numbers that were used are in use no
     * more, and not free either: that is all they cost. */
    snapshot->dirty = parts->dirty;
    snapshot->spare = parts->spare;
    snapshot->walk = snapshot->walk || parts->walk;
    snapshot->hand = parts->hand;
    parts->dirty = NULL;
    parts->spare = NULL;
    parts_deinit(parts);
    *parts = *snapshot;
    parts_init(snapshot);
}

uint64_t parts_memory(const struct parts *parts)
{
    return parts->memory + parts_numbers_memory(parts->dirty) + parts_numbers_memory(parts->spare);
}

/* -- Numbers ----------------------------------------------------------------------------------- */

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
        enum status status = parts_page_own(parts, i, page_capacity_for(i, end));
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

enum status parts_reserve(struct parts *parts, uint32_t count)
{
    enum status status = ST_OK;
    uint32_t free_next = parts->free_first;
    for (; count > 0 && free_next != PARTS_NONE && status == ST_OK; count--) {
        status = parts_page_own(parts, free_next / PARTS_PAGE_COUNT, 0);
        free_next = slot_next(parts_slot(parts, free_next));
    }
    uint32_t spare = parts->spare == NULL ? 0 : parts->spare->count;
    for (; count > 0 && spare > 0 && status == ST_OK; count--) {
        status = parts_page_own(parts, parts->spare->numbers[--spare] / PARTS_PAGE_COUNT, 0);
    }
    if (count == 0 || status != ST_OK) {
        return status;
    }
    if (count > PARTS_NUMBER_MAX - parts->end) {
        return ST_LIMIT;
    }
    return reserve_end(parts, parts->end + count);
}

/* Gives a free number out, with the marks that it keeps. */
static uint32_t number_take(struct parts *parts, uintptr_t *marks_out)
{
    *marks_out = 0;
    uint32_t number = parts->free_first;
    if (number != PARTS_NONE) {
        uintptr_t slot = *parts_slot_at(parts, number);
        parts->free_first = slot_next(slot);
        *marks_out = parts->tracked ? slot & (SLOT_SETTLED | SLOT_DIRTY) : 0;
        return number;
    }
    if (parts->spare != NULL && parts->spare->count > 0) {
        number = parts->spare->numbers[--parts->spare->count];
    } else {
        number = parts->end++;
    }
    struct parts_page *page = parts_page(parts, number / PARTS_PAGE_COUNT);
    CHECK(page != NULL);
    page->held++;
    return number;
}

uint32_t parts_add(struct parts *parts, struct part *part)
{
    uintptr_t marks;
    uint32_t number = number_take(parts, &marks);
    uintptr_t *slot = parts_slot_at(parts, number);
    CHECK(!parts_page_shared(parts->pages[number / PARTS_PAGE_COUNT]));
    CHECK(((uintptr_t)part & SLOT_MARKS) == 0);
    *slot = (uintptr_t)part | marks;
    mark_dirty(parts, slot, number);
    parts->live++;
    parts->memory += part_memory(part);
    return number;
}

enum status parts_get(const struct parts *parts, uint32_t number, struct part **part_out)
{
    uintptr_t slot = parts_slot(parts, number);
    if (__builtin_expect(slot_is_absent(slot), 0)) {
        note_miss(parts, number);
        return ST_WAIT;
    }
    struct part *part = slot_part(slot);
    CHECK(part != NULL);
    part_use(part);
    *part_out = part;
    return ST_OK;
}

enum status parts_present(const struct parts *parts, uint32_t first, uint32_t end)
{
    enum status status = ST_OK;
    for (uint32_t number = first; number < end && parts->absent > 0; number++) {
        if (status != ST_OK && parts_misses_full()) {
            break;
        }
        if (slot_is_absent(parts_slot(parts, number))) {
            note_miss(parts, number);
            status = ST_WAIT;
        }
    }
    return status;
}

bool parts_owned(const struct parts *parts, uint32_t number)
{
    struct part *part = slot_part(parts_slot(parts, number));
    return part != NULL && !parts_page_shared(parts->pages[number / PARTS_PAGE_COUNT]) &&
           !part_shared(part);
}

enum status parts_own(struct parts *parts, uint32_t number, struct part **part_out)
{
    return parts_own_sized(parts, number, 0, part_out);
}

/* Whatever the page and the part are. */
static enum status own_slowly(struct parts *parts, uint32_t number, size_t capacity,
                              struct part **part_out)
{
    struct part *part;
    enum status status = parts_get(parts, number, &part);
    if (status == ST_OK) {
        status = parts_page_own(parts, number / PARTS_PAGE_COUNT, 0);
    }
    if (status != ST_OK) {
        return status;
    }
    uintptr_t *slot = parts_slot_at(parts, number);
    if (part_shared(part) || part->capacity < capacity) {
        struct part *clone =
            part_clone(part, capacity < part->capacity ? part->capacity : capacity);
        if (clone == NULL) {
            return ST_NOMEM;
        }
        parts->memory += part_memory(clone) - part_memory(part);
        *slot = (uintptr_t)clone | (*slot & SLOT_MARKS);
        part_unref(part);
        part = clone;
    }
    mark_dirty(parts, slot, number);
    *part_out = part;
    return ST_OK;
}

enum status parts_own_sized(struct parts *parts, uint32_t number, size_t capacity,
                            struct part **part_out)
{
    CHECK(number < parts->end);
    struct parts_page *page = parts_page(parts, number / PARTS_PAGE_COUNT);
    if (page == NULL || parts_page_shared(page)) {
        return own_slowly(parts, number, capacity, part_out);
    }
    uintptr_t *slot = &page->slots[number % PARTS_PAGE_COUNT];
    struct part *part = slot_part(*slot);
    if (part == NULL || part_shared(part) || part->capacity < capacity) {
        return own_slowly(parts, number, capacity, part_out);
    }
    part_use(part);
    mark_dirty(parts, slot, number);
    *part_out = part;
    return ST_OK;
}

void parts_remove(struct parts *parts, uint32_t number)
{
    struct part *part = slot_part(parts_slot(parts, number));
    CHECK(part != NULL);
    parts->live--;
    if (parts_page_own(parts, number / PARTS_PAGE_COUNT, 0) != ST_OK) {
        /* The shared page cannot be changed and not be copied. The number stays taken, and the
         * part alive, until the table ends; nobody names it any more. */
        parts->lost++;
        return;
    }
    uintptr_t *slot = parts_slot_at(parts, number);
    uintptr_t marks = parts->tracked ? *slot & (SLOT_SETTLED | SLOT_DIRTY) : 0;
    parts->memory -= part_memory(part);
    part_unref(part);
    if (number == parts->end - 1 && (marks & SLOT_SETTLED) == 0) {
        *slot = 0;
        parts->pages[number / PARTS_PAGE_COUNT]->held--;
        parts->end--;
        return;
    }
    *slot = slot_of_free(parts->free_first) | marks; /* P3 */
    parts->free_first = number;
    if ((marks & SLOT_SETTLED) != 0) {
        mark_dirty(parts, slot, number);
    }
}

/* -- Checks ------------------------------------------------------------------------------------ */

struct counted {
    uint64_t memory;
    uint32_t resident, absent, free, dirty;
    bool sound;
};

static void count_page(const struct parts *parts, uint32_t index, struct counted *counted)
{
    const struct parts_page *page = parts->pages[index];
    uint32_t held = 0;
    counted->memory += parts_page_memory(page->capacity);
    for (uint32_t i = 0; i < page->capacity; i++) {
        uintptr_t slot = page->slots[i];
        const struct part *part = slot_part(slot);
        bool below = index * PARTS_PAGE_COUNT + i < parts->end;
        counted->sound &= below ? slot != 0 : slot == 0;
        counted->sound &= !slot_is_absent(slot) || slot == SLOT_ELSEWHERE; /* P2 */
        counted->free += slot_is_free(slot);
        counted->absent += slot_is_absent(slot);
        counted->resident += part != NULL;
        counted->memory += part != NULL ? part_memory(part) : 0;
        counted->dirty += (slot & SLOT_DIRTY) != 0;
        held += part != NULL || slot_is_free(slot);
    }
    counted->sound &= held == page->held;
}

/* P1: as many different ones as there are dirty slots. */
static bool notes_check(const struct parts *parts, uint32_t dirty)
{
    if (!parts->tracked || parts->walk || dirty == 0) {
        return true;
    }
    uint32_t noted = 0;
    unsigned char *seen = calloc(parts->end / 8 + 1, 1);
    for (uint32_t i = 0; seen != NULL && parts->dirty != NULL && i < parts->dirty->count; i++) {
        uint32_t number = parts->dirty->numbers[i];
        if (number < parts->end && (parts_slot(parts, number) & SLOT_DIRTY) != 0 &&
            (seen[number / 8] >> number % 8 & 1) == 0) {
            seen[number / 8] |= (unsigned char)(1u << number % 8);
            noted++;
        }
    }
    free(seen);
    return noted == dirty;
}

bool parts_check(const struct parts *parts)
{
    struct counted counted = {.sound = true};
    if (parts->page_capacity > 0) {
        counted.memory += part_heap_size(parts->page_capacity * sizeof(struct parts_page *));
    }
    for (uint32_t i = 0; i < parts->page_capacity; i++) {
        if (parts->pages[i] != NULL) {
            count_page(parts, i, &counted);
        }
    }
    for (uint32_t i = 0; i < parts_page_count(parts); i++) {
        uint32_t first = i * PARTS_PAGE_COUNT;
        if (parts_page(parts, i) == NULL) { /* P4 */
            uint32_t rest = parts->end - first;
            counted.absent += rest < PARTS_PAGE_COUNT ? rest : PARTS_PAGE_COUNT;
        }
    }
    uint32_t listed = 0;
    for (uint32_t number = parts->free_first; number != PARTS_NONE && listed <= counted.free;) {
        if (number >= parts->end || !slot_is_free(parts_slot(parts, number))) {
            return false;
        }
        number = slot_next(parts_slot(parts, number));
        listed++;
    }
    return counted.sound && counted.memory == parts->memory &&
           counted.resident == parts->live + parts->lost - parts->absent &&
           counted.absent >= parts->absent && listed == counted.free &&
           notes_check(parts, counted.dirty);
}
