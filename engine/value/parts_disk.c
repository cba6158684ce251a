/* Between memory and disk: absent parts come and go, captures, and the table's stored form:
 *
 *   v number, v end, v live, v count of free numbers ≤ PARTS_SPARE_MAX, and those, ascending: v
 *
 * (v: varint, in its shortest form.) Of more free numbers than fit, those that were freed last are
 * stored; the others are never used again, once the table was loaded. At 2^31 numbers that is no
 * loss: a queue would have to lose a thousand numbers in each of a million rounds of leaving memory
 * and coming back.
 *
 * A capture has two halves, so that either everything happens or nothing: the first makes private
 * the pages whose marks will change, the second writes rows and sets marks.
 */
#include "engine/value/parts_disk.h"

#include "engine/value/parts_private.h"

#include <stdlib.h>

/* -- Coming and going -------------------------------------------------------------------------- */

bool parts_absent(const struct parts *parts, uint32_t number)
{
    return number < parts->end && slot_is_absent(parts_slot(parts, number));
}

enum status parts_install(struct parts *parts, uint32_t number, struct part *part)
{
    CHECK(parts->absent > 0 && slot_is_absent(parts_slot(parts, number)));
    CHECK(((uintptr_t)part & SLOT_MARKS) == 0);
    enum status status = parts_page_own(parts, number / PARTS_PAGE_COUNT, 0);
    if (status != ST_OK) {
        return status;
    }
    *parts_slot_at(parts, number) = (uintptr_t)part | SLOT_SETTLED;
    parts->pages[number / PARTS_PAGE_COUNT]->held++;
    parts->memory += part_memory(part);
    parts->absent--;
    return ST_OK;
}

/* P2, P4: the slot's part is clean, its page private. */
static void slot_evict(struct parts *parts, struct parts_page *page, uint32_t number)
{
    uintptr_t *slot = &page->slots[number % PARTS_PAGE_COUNT];
    struct part *part = slot_part(*slot);
    parts->memory -= part_memory(part);
    parts->absent++;
    *slot = SLOT_ELSEWHERE;
    part_unref(part);
    page->held--;
    if (page->held == 0) {
        parts->memory -= parts_page_memory(page->capacity);
        parts->pages[number / PARTS_PAGE_COUNT] = NULL;
        free(page);
    }
}

static bool slot_evictable(uintptr_t slot)
{
    return slot_part(slot) != NULL && (slot & SLOT_DIRTY) == 0;
}

bool parts_evict(struct parts *parts, uint32_t number)
{
    struct parts_page *page = parts_page(parts, number / PARTS_PAGE_COUNT);
    if (!parts->tracked || page == NULL || parts_page_shared(page) ||
        !slot_evictable(parts_slot(parts, number))) {
        return false;
    }
    slot_evict(parts, page, number);
    return true;
}

/* Resident parts that are looked at for each that may be evicted; free numbers, dirty and absent
 * ones cost a word each and are looked at a page at a time. */
#define PASSED_PER_PART 4
#define PASSED_MIN 16

struct sweep {
    size_t wanted, evicted, passed, passed_max;
    uint32_t left; /* Numbers, of once around. */
};

/* Goes on at the hand, to the end of its page at most; false: enough. What is left of the page then
 * counts as passed, which matters to nobody. */
static bool sweep_page(struct parts *parts, struct sweep *sweep)
{
    uint32_t index = parts->hand / PARTS_PAGE_COUNT;
    uint32_t end = (index + 1) * PARTS_PAGE_COUNT;
    end = end < parts->end ? end : parts->end;
    end = end - parts->hand < sweep->left ? end : parts->hand + sweep->left;
    sweep->left -= end - parts->hand;
    for (; parts->hand < end; parts->hand++) {
        struct parts_page *page = parts_page(parts, index);
        if (page == NULL || parts_page_shared(page)) {
            parts->hand = end;
            break;
        }
        uintptr_t slot = page->slots[parts->hand % PARTS_PAGE_COUNT];
        if (!slot_evictable(slot)) {
            continue;
        }
        if (sweep->evicted == sweep->wanted || sweep->passed == sweep->passed_max) {
            return false;
        }
        sweep->passed++;
        if (!part_use_end(slot_part(slot))) {
            slot_evict(parts, page, parts->hand);
            sweep->evicted++;
        }
    }
    return true;
}

uint64_t parts_evict_some(struct parts *parts, size_t count, size_t *evicted_out)
{
    uint64_t before = parts->memory;
    struct sweep sweep = {
        .wanted = count, .passed_max = count * PASSED_PER_PART + PASSED_MIN, .left = parts->end};
    bool more = parts->tracked && count > 0;
    while (more && sweep.left > 0) {
        parts->hand = parts->hand < parts->end ? parts->hand : 0;
        more = sweep_page(parts, &sweep);
    }
    *evicted_out = sweep.evicted;
    return before - parts->memory;
}

/* -- Captures ---------------------------------------------------------------------------------- */

bool parts_dirty(const struct parts *parts)
{
    return parts->tracked ? parts->walk || (parts->dirty != NULL && parts->dirty->count > 0)
                          : parts->live > 0 || parts->former != 0;
}

/* Whether a capture writes a row for the slot, or else only takes its marks away. */
static bool slot_has_row(const struct parts *parts, uintptr_t slot)
{
    if (!parts->tracked) {
        return slot_part(slot) != NULL;
    }
    return (slot & SLOT_DIRTY) != 0 && (slot_part(slot) != NULL || (slot & SLOT_SETTLED) != 0);
}

static bool slot_changes(const struct parts *parts, uintptr_t slot)
{
    return !parts->tracked || (slot & SLOT_DIRTY) != 0;
}

static bool capture_walks(const struct parts *parts)
{
    return !parts->tracked || parts->walk;
}

static enum status page_begin(struct parts *parts, uint32_t index, size_t *rows)
{
    const struct parts_page *page = parts->pages[index];
    bool changes = false;
    for (uint32_t i = 0; i < page->capacity; i++) {
        changes |= slot_changes(parts, page->slots[i]);
        *rows += slot_has_row(parts, page->slots[i]);
    }
    return changes ? parts_page_own(parts, index, 0) : ST_OK;
}

enum status parts_capture_begin(struct parts *parts, size_t *rows_out)
{
    enum status status = ST_OK;
    *rows_out = 0;
    if (capture_walks(parts)) {
        for (uint32_t i = 0; i < parts->page_capacity && status == ST_OK; i++) {
            status = parts->pages[i] == NULL ? ST_OK : page_begin(parts, i, rows_out);
        }
        return status;
    }
    uint32_t noted = parts->dirty == NULL ? 0 : parts->dirty->count;
    for (uint32_t i = 0; i < noted && status == ST_OK; i++) {
        uint32_t number = parts->dirty->numbers[i];
        if (number < parts->end && (parts_slot(parts, number) & SLOT_DIRTY) != 0) {
            *rows_out += 1;
            status = parts_page_own(parts, number / PARTS_PAGE_COUNT, 0);
        }
    }
    return status;
}

static void slot_capture(const struct parts *parts, uintptr_t *slot, uint32_t number,
                         struct parts_row **row)
{
    if (!slot_changes(parts, *slot)) {
        return;
    }
    struct part *part = slot_part(*slot);
    if (slot_has_row(parts, *slot)) {
        if (part != NULL) {
            part_ref(part);
        }
        *(*row)++ = (struct parts_row){parts->table, number, part};
    }
    if (part != NULL) {
        *slot = (uintptr_t)part | SLOT_SETTLED;
    } else if (!slot_is_absent(*slot)) {
        *slot &= ~(uintptr_t)(SLOT_SETTLED | SLOT_DIRTY);
    }
}

size_t parts_capture(struct parts *parts, uint64_t clast, struct parts_row *rows)
{
    struct parts_row *row = rows;
    if (capture_walks(parts)) {
        for (uint32_t i = 0; i < parts->page_capacity; i++) {
            struct parts_page *page = parts->pages[i];
            for (uint32_t at = 0; page != NULL && at < page->capacity; at++) {
                slot_capture(parts, &page->slots[at], i * PARTS_PAGE_COUNT + at, &row);
            }
        }
    } else if (parts->dirty != NULL) {
        for (uint32_t i = 0; i < parts->dirty->count; i++) {
            uint32_t number = parts->dirty->numbers[i];
            if (number < parts->end && (parts_slot(parts, number) & SLOT_DIRTY) != 0) {
                slot_capture(parts, parts_slot_at(parts, number), number, &row);
            }
        }
    }
    free(parts->dirty);
    parts->dirty = NULL;
    parts->walk = false;
    parts->tracked = true;
    parts->former = 0;
    parts->clast = clast;
    return (size_t)(row - rows);
}

/* -- Stored form ------------------------------------------------------------------------------- */

static int number_compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static size_t free_numbers(const struct parts *parts, uint32_t numbers[PARTS_SPARE_MAX])
{
    size_t count = 0;
    for (uint32_t number = parts->free_first; number != PARTS_NONE && count < PARTS_SPARE_MAX;) {
        numbers[count++] = number;
        number = slot_next(parts_slot(parts, number));
    }
    for (uint32_t i = parts->spare == NULL ? 0 : parts->spare->count;
         i > 0 && count < PARTS_SPARE_MAX; i--) {
        numbers[count++] = parts->spare->numbers[i - 1];
    }
    qsort(numbers, count, sizeof(numbers[0]), number_compare);
    return count;
}

enum status parts_store(const struct parts *parts, struct buf *out)
{
    uint32_t numbers[PARTS_SPARE_MAX];
    size_t count = free_numbers(parts, numbers);
    enum status status = buf_reserve(out, (4 + count) * VARINT_MAX);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *p = out->data + out->size;
    unsigned char *start = p;
    p += varint_store(p, parts->table);
    p += varint_store(p, parts->end);
    p += varint_store(p, parts->live);
    p += varint_store(p, count);
    for (size_t i = 0; i < count; i++) {
        p += varint_store(p, numbers[i]);
    }
    out->size += (size_t)(p - start);
    return ST_OK;
}

static bool take_number(struct bytes *in, uint64_t max, uint32_t *number_out)
{
    uint64_t number;
    if (!varint_take_shortest(in, &number) || number > max) {
        return false;
    }
    *number_out = (uint32_t)number;
    return true;
}

enum status parts_load(struct parts *parts, struct bytes *in, uint64_t clast)
{
    CHECK(parts->end == 0 && parts->page_capacity == 0);
    struct parts loaded = {.free_first = PARTS_NONE, .clast = clast, .tracked = true};
    uint32_t count;
    if (!take_number(in, UINT32_MAX, &loaded.table) || loaded.table == 0 ||
        !take_number(in, PARTS_NUMBER_MAX, &loaded.end) ||
        !take_number(in, loaded.end, &loaded.live) || !take_number(in, PARTS_SPARE_MAX, &count) ||
        count > loaded.end - loaded.live) {
        return ST_CORRUPT;
    }
    loaded.absent = loaded.live;
    enum status status = ST_OK;
    for (uint32_t i = 0, before = 0; i < count && status == ST_OK; i++) {
        uint32_t number;
        if (!take_number(in, loaded.end - 1, &number) || (i > 0 && number <= before)) {
            status = ST_CORRUPT;
            break;
        }
        before = number;
        status = parts_numbers_reserve(&loaded.spare);
        if (status == ST_OK) {
            parts_numbers_add(loaded.spare, number);
        }
    }
    if (status != ST_OK) {
        free(loaded.spare);
        return status;
    }
    *parts = loaded;
    return ST_OK;
}
