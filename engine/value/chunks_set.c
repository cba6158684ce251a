#include "engine/value/chunks_set.h"

#include "engine/base/check.h"
#include "engine/value/parts_disk.h"

/* Figures. Grown by half at a load of 0.8, a slot of 8 bytes costs 10 to 15 bytes an entry. An
 * entry added moves 16 slots, so a table of n slots is moved within n/16 additions, which raise the
 * load of what is still to be moved to at most 0.87, while the new table is at 0.58. Rejected:
 * doubling at once (a table of ten million stops its shard for a fifth of a second) and a directory
 * of pages that split (digests that somebody has ground to agree in their first bits double the
 * directory each time; here they only make one run longer).
 */

#define SLOT_SIZE 8
#define PAGE_SLOTS 512
#define PAGE_SIZE ((size_t)SLOT_SIZE * PAGE_SLOTS)
#define HOMES_MIN 400 /* A first table: one page, with some room behind the last home. */
#define MOVES_PER_ADDITION 16

static uint64_t table_end(const struct chunks_table *table)
{
    return (uint64_t)table->pages.end * PAGE_SLOTS;
}

static uint64_t table_home(const struct chunks_table *table, uint32_t bits)
{
    return (table->homes * bits) >> 32;
}

static bool growing(const struct chunks_set *set)
{
    return set->old.homes != 0;
}

static uint32_t page_of(uint64_t slot)
{
    return (uint32_t)(slot / PAGE_SLOTS);
}

static unsigned char *slot_in(struct part *page, uint64_t slot)
{
    return page->data + (slot % PAGE_SLOTS) * SLOT_SIZE;
}

void chunks_set_init(struct chunks_set *set)
{
    memset(set, 0, sizeof(*set));
    parts_init(&set->now.pages);
    parts_init(&set->old.pages);
}

void chunks_set_deinit(struct chunks_set *set)
{
    parts_deinit(&set->now.pages);
    parts_deinit(&set->old.pages);
    chunks_set_init(set);
}

bool chunks_set_free_some(struct chunks_set *set, size_t parts)
{
    return parts_free_some(&set->old.pages, parts) && parts_free_some(&set->now.pages, parts);
}

enum status chunks_set_copy(const struct chunks_set *set, struct chunks_set *copy_out)
{
    chunks_set_init(copy_out);
    enum status status = parts_present(&set->now.pages, 0, set->now.pages.end);
    enum status old = growing(set)
                          ? parts_present(&set->old.pages, page_of(set->moved), set->old.pages.end)
                          : ST_OK;
    status = old == ST_OK ? status : old;
    if (status == ST_OK) {
        status = parts_copy(&set->now.pages, &copy_out->now.pages);
    }
    if (status == ST_OK) {
        status = parts_copy(&set->old.pages, &copy_out->old.pages);
    }
    if (status != ST_OK) {
        chunks_set_deinit(copy_out);
        return status;
    }
    copy_out->now.homes = set->now.homes;
    copy_out->old.homes = set->old.homes;
    copy_out->moved = set->moved;
    copy_out->count = set->count;
    return ST_OK;
}

uint64_t chunks_set_memory(const struct chunks_set *set)
{
    return parts_memory(&set->now.pages) + parts_memory(&set->old.pages);
}

/* Allocates empty pages up to the one that holds this slot. */
static enum status table_extend(struct chunks_table *table, uint64_t slot)
{
    while (slot >= table_end(table)) {
        enum status status = parts_reserve(&table->pages, 1);
        if (status != ST_OK) {
            return status;
        }
        struct part *page = part_new(PAGE_SIZE);
        if (page == NULL) {
            return ST_NOMEM;
        }
        memset(page->data, 0, PAGE_SIZE);
        page->size = PAGE_SIZE;
        uint32_t number = parts_add(&table->pages, page);
        CHECK(number == table->pages.end - 1);
    }
    return ST_OK;
}

/* The first empty slot from `slot` on, or the table's end. */
static enum status table_probe(const struct chunks_table *table, uint64_t slot, uint64_t *slot_out)
{
    struct part *page = NULL;
    uint64_t end = table_end(table);
    for (; slot < end; slot++) {
        if (page == NULL || slot % PAGE_SLOTS == 0) {
            enum status status = parts_get(&table->pages, page_of(slot), &page);
            if (status != ST_OK) {
                return status;
            }
        }
        if (load_u32(slot_in(page, slot) + 4) == 0) {
            break;
        }
    }
    *slot_out = slot;
    return ST_OK;
}

static enum status table_write(struct chunks_table *table, uint64_t slot, uint32_t bits,
                               uint32_t mark)
{
    struct part *page;
    enum status status = parts_own(&table->pages, page_of(slot), &page);
    if (status == ST_OK) {
        store_u32(slot_in(page, slot), bits);
        store_u32(slot_in(page, slot) + 4, mark);
    }
    return status;
}

static enum status table_add(struct chunks_table *table, uint32_t bits, uint32_t mark)
{
    uint64_t slot = table_home(table, bits);
    enum status status = table_extend(table, slot);
    if (status == ST_OK) {
        status = table_probe(table, slot, &slot);
    }
    if (status == ST_OK) {
        status = table_extend(table, slot);
    }
    return status == ST_OK ? table_write(table, slot, bits, mark) : status;
}

/* Moves the next slots of old into now; at its end there is no old any more. */
static enum status move_some(struct chunks_set *set, uint64_t slots)
{
    struct part *page = NULL;
    uint64_t end = table_end(&set->old);
    for (; set->moved < end && slots > 0; slots--) {
        if (page == NULL) {
            enum status status = parts_get(&set->old.pages, page_of(set->moved), &page);
            if (status != ST_OK) {
                return status;
            }
        }
        const unsigned char *slot = slot_in(page, set->moved);
        if (load_u32(slot + 4) != 0) {
            enum status status = table_add(&set->now, load_u32(slot), load_u32(slot + 4));
            if (status != ST_OK) {
                return status;
            }
        }
        set->moved++;
        if (set->moved % PAGE_SLOTS == 0 && set->moved < end) {
            parts_remove(&set->old.pages, page_of(set->moved) - 1);
            page = NULL;
        }
    }
    if (set->moved == end) {
        parts_clear(&set->old.pages);
        set->old.homes = 0;
        set->moved = 0;
    }
    return ST_OK;
}

static bool crowded(const struct chunks_set *set, uint64_t count)
{
    return (set->count + count) * 5 > set->now.homes * 4;
}

enum status chunks_set_reserve(struct chunks_set *set, uint64_t count)
{
    if (growing(set)) {
        uint64_t slots = count < table_end(&set->old) ? count * MOVES_PER_ADDITION : UINT64_MAX;
        enum status status = move_some(set, crowded(set, count) ? UINT64_MAX : slots);
        if (status != ST_OK) {
            return status;
        }
    }
    if (!crowded(set, count)) {
        return ST_OK;
    }
    CHECK(!growing(set));
    uint64_t homes = set->now.homes + set->now.homes / 2;
    uint64_t wanted = (set->count + count) / 2 * 3;
    homes = homes < wanted ? wanted : homes;
    homes = homes < HOMES_MIN ? HOMES_MIN : homes;
    bool first = set->count == 0;
    if (first) {
        parts_clear(&set->now.pages);
    } else {
        /* They change places: an empty table, too, may have what was captured of it to report. */
        struct chunks_table emptied = set->old;
        set->old = set->now;
        set->now = emptied;
        set->moved = 0;
    }
    set->now.homes = homes;
    return first ? ST_OK
                 : move_some(set, count < table_end(&set->old) ? count * MOVES_PER_ADDITION
                                                               : UINT64_MAX);
}

enum status chunks_set_add(struct chunks_set *set, uint32_t bits, uint64_t index)
{
    CHECK(index <= CHUNKS_SET_INDEX_MAX && set->now.homes > 0);
    uint32_t mark = (uint32_t)index + 1;
    enum status status;
    uint64_t slot = 0;
    bool fits_old = growing(set) && table_home(&set->old, bits) >= set->moved;
    if (fits_old || (growing(set) && set->old.pages.absent > 0)) {
        /* Also where it does not fit: to take it back is to look there first, and cannot wait. */
        uint64_t home = table_home(&set->old, bits);
        status = table_probe(&set->old, home > set->moved ? home : set->moved, &slot);
        if (status != ST_OK) {
            return status;
        }
    }
    if (fits_old) {
        /* No page is added to old: it would take a number that moving has freed. A run that
         * reaches its end goes on in now, where a search looks as well. */
        fits_old = slot < table_end(&set->old);
    }
    status = fits_old ? table_write(&set->old, slot, bits, mark) : table_add(&set->now, bits, mark);
    set->count += status == ST_OK;
    return status;
}

struct search {
    uint32_t bits;
    chunks_set_same_fn fn;
    void *ctx;
    uint64_t slot;
    uint64_t index;
    bool found;
};

static enum status table_search(const struct chunks_table *table, uint64_t from,
                                struct search *search)
{
    struct part *page = NULL;
    uint64_t end = table_end(table);
    for (uint64_t slot = from; slot < end; slot++) {
        if (page == NULL || slot % PAGE_SLOTS == 0) {
            enum status status = parts_get(&table->pages, page_of(slot), &page);
            if (status != ST_OK) {
                return status;
            }
        }
        uint32_t mark = load_u32(slot_in(page, slot) + 4);
        if (mark == 0) {
            break;
        }
        if (load_u32(slot_in(page, slot)) == search->bits) {
            search->slot = slot;
            search->index = mark - 1;
            enum status status = search->fn(search->ctx, mark - 1, &search->found);
            if (status != ST_OK || search->found) {
                return status;
            }
        }
    }
    return ST_OK;
}

/* Looks in old, then in now; in_old says where it was found. */
static enum status set_search(const struct chunks_set *set, struct search *search, bool *in_old)
{
    *in_old = false;
    if (growing(set)) {
        /* A run that begins left of `moved` may end right of it. */
        uint64_t home = table_home(&set->old, search->bits);
        enum status status = table_search(&set->old, home > set->moved ? home : set->moved, search);
        if (status != ST_OK || search->found) {
            *in_old = search->found;
            return status;
        }
    }
    return table_search(&set->now, table_home(&set->now, search->bits), search);
}

enum status chunks_set_find(const struct chunks_set *set, uint32_t bits, chunks_set_same_fn fn,
                            void *ctx, uint64_t *index_out, bool *found_out)
{
    struct search search = {.bits = bits, .fn = fn, .ctx = ctx};
    bool in_old;
    enum status status = set_search(set, &search, &in_old);
    if (status == ST_OK) {
        *found_out = search.found;
        *index_out = search.index;
    }
    return status;
}

enum status chunks_set_bring(const struct chunks_set *set, uint32_t bits)
{
    uint64_t slot = table_home(&set->now, bits);
    enum status status = ST_OK;
    if (slot < table_end(&set->now)) {
        status = parts_present(&set->now.pages, page_of(slot), page_of(slot) + 1);
    }
    slot = growing(set) ? table_home(&set->old, bits) : UINT64_MAX;
    slot = slot > set->moved ? slot : set->moved;
    if (growing(set) && slot < table_end(&set->old)) {
        enum status old = parts_present(&set->old.pages, page_of(slot), page_of(slot) + 1);
        status = old == ST_OK ? status : old;
    }
    return status;
}

enum status chunks_set_tables(struct chunks_set *set, value_table_fn fn, void *ctx)
{
    enum status status = fn(ctx, &set->now.pages);
    return status == ST_OK ? fn(ctx, &set->old.pages) : status;
}

enum status chunks_set_store(const struct chunks_set *set, struct buf *out)
{
    unsigned char head[4 * VARINT_MAX];
    unsigned char *p = head;
    p += varint_store(p, set->now.homes);
    p += varint_store(p, set->old.homes);
    p += varint_store(p, set->moved);
    p += varint_store(p, set->count);
    enum status status = buf_append(out, bytes_of(head, (size_t)(p - head)));
    if (status == ST_OK) {
        status = parts_store(&set->now.pages, out);
    }
    return status == ST_OK ? parts_store(&set->old.pages, out) : status;
}

/* Whether what the root says of the tables can be: pages of `now` all are in use, those of `old`
 * that have been moved are not. */
static bool set_fits(const struct chunks_set *set)
{
    const struct parts *now = &set->now.pages;
    const struct parts *old = &set->old.pages;
    return set->now.homes <= UINT32_MAX * 2ull && set->old.homes <= UINT32_MAX * 2ull &&
           now->live == now->end && set->count <= CHUNKS_SET_INDEX_MAX + 1ull &&
           (set->now.homes > 0 || (now->end == 0 && set->count == 0)) &&
           (growing(set)
                ? set->moved < table_end(&set->old) && old->live == old->end - page_of(set->moved)
                : set->moved == 0 && old->end == 0);
}

enum status chunks_set_load(struct chunks_set *set, struct bytes *in, uint64_t clast)
{
    enum status status = ST_OK;
    if (!varint_take_shortest(in, &set->now.homes) || !varint_take_shortest(in, &set->old.homes) ||
        !varint_take_shortest(in, &set->moved) || !varint_take_shortest(in, &set->count)) {
        status = ST_CORRUPT;
    }
    if (status == ST_OK) {
        status = parts_load(&set->now.pages, in, clast);
    }
    if (status == ST_OK) {
        status = parts_load(&set->old.pages, in, clast);
    }
    return status == ST_OK && !set_fits(set) ? ST_CORRUPT : status;
}

static enum status same_index(void *ctx, uint64_t index, bool *same_out)
{
    *same_out = index == *(const uint64_t *)ctx;
    return ST_OK;
}

/* Nothing was placed after it, so that no run leads over its slot. */
void chunks_set_take_back(struct chunks_set *set, uint32_t bits, uint64_t index)
{
    struct search search = {.bits = bits, .fn = same_index, .ctx = &index};
    bool in_old;
    enum status status = set_search(set, &search, &in_old);
    CHECK(status == ST_OK && search.found);
    status = table_write(in_old ? &set->old : &set->now, search.slot, 0, 0);
    CHECK(status == ST_OK); /* Its page was made private when it was added. */
    set->count--;
}

/* Counts the entries at or right of `from`, each of them reached from its home. */
static bool table_check(const struct chunks_table *table, uint64_t from, uint64_t *count)
{
    uint64_t run = from; /* The first slot of the present run of full slots. */
    for (uint64_t slot = from; slot < table_end(table); slot++) {
        struct part *page;
        if (parts_get(&table->pages, page_of(slot), &page) != ST_OK || page->size != PAGE_SIZE) {
            return false;
        }
        if (load_u32(slot_in(page, slot) + 4) == 0) {
            run = slot + 1;
            continue;
        }
        uint64_t home = table_home(table, load_u32(slot_in(page, slot)));
        if (home > slot || (home < run && run != from)) {
            return false;
        }
        ++*count;
    }
    return parts_check(&table->pages);
}

bool chunks_set_check(const struct chunks_set *set)
{
    uint64_t count = 0;
    if (growing(set) && !table_check(&set->old, set->moved, &count)) {
        return false;
    }
    return table_check(&set->now, 0, &count) && count == set->count;
}
