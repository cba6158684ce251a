/* Spreading the entries of a few leaves evenly: one way for splitting (1 → 2 and 2 → 3), for
 * sharing a load with a neighbour and for balancing after removals (2 → 2).
 *
 * The entries, put into one row, are cut where the bytes before come nearest to an even share. In a
 * hashed leaf the order is open, so the row is first sorted by hash; and it is never cut between
 * equal hashes, so that each leaf has a range of its own. Where no cut fits, the plan fails.
 */
#include "engine/value/clast_private.h"

#define ITEM_FRESH UINT16_MAX
#define ITEM_SLOT_BITS 12
static_assert(LEAF_COUNT_MAX <= 1u << ITEM_SLOT_BITS, "a slot fits an item");
static_assert(SPREAD_IN_MAX << ITEM_SLOT_BITS <= ITEM_FRESH, "and is told from the fresh one");

/* What each item of a row takes, and their marks, these only for hashed leaves. */
struct row {
    size_t total;
    uint16_t costs[SPREAD_IN_MAX * LEAF_COUNT_MAX + 1];
    uint64_t marks[SPREAD_IN_MAX * LEAF_TAGGED_COUNT_MAX + 1];
};

static struct leaf_entry entry_of(const struct spread *spread, struct part *const *leaves,
                                  size_t index)
{
    uint16_t item = spread->items[index];
    if (item == ITEM_FRESH) {
        return spread->fresh->entry;
    }
    return leaf_at(leaves[item >> ITEM_SLOT_BITS], item & ((1u << ITEM_SLOT_BITS) - 1));
}

static struct mark mark_of(const struct spread *spread, size_t index)
{
    return spread->items[index] == ITEM_FRESH
               ? spread->fresh->mark
               : clast_entry_mark(spread->clast, entry_of(spread, spread->leaves, index));
}

/* Shell sort (gaps of M. Ciura, 2001) of some hundred items by their marks. */
static void sort_by_mark(uint16_t *items, uint16_t *costs, uint64_t *marks, size_t count)
{
    static const size_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        size_t gap = gaps[g];
        for (size_t i = gap; i < count; i++) {
            uint16_t item = items[i];
            uint16_t cost = costs[i];
            uint64_t mark = marks[i];
            size_t j = i;
            for (; j >= gap && marks[j - gap] > mark; j -= gap) {
                items[j] = items[j - gap];
                costs[j] = costs[j - gap];
                marks[j] = marks[j - gap];
            }
            items[j] = item;
            costs[j] = cost;
            marks[j] = mark;
        }
    }
}

static void row_add(struct spread *spread, struct row *row, uint16_t item, struct leaf_entry entry)
{
    size_t index = spread->item_count++;
    size_t cost = leaf_cost(clast_form(spread->clast), entry);
    spread->items[index] = item;
    row->costs[index] = (uint16_t)cost;
    row->total += cost;
    if (clast_tagged(spread->clast)) {
        row->marks[index] = item == ITEM_FRESH ? spread->fresh->mark.high
                                               : clast_entry_mark(spread->clast, entry).high;
    }
}

static void row_build(struct spread *spread, struct row *row)
{
    const struct spread_fresh *fresh = spread->fresh;
    spread->item_count = 0;
    row->total = 0;
    for (size_t i = 0; i < spread->in; i++) {
        const struct part *leaf = spread->leaves[i];
        size_t start = spread->item_count;
        size_t count = leaf_count(leaf);
        struct leaf_entry entry = {.overflow = LEAF_NO_OVERFLOW};
        for (size_t slot = 0; slot <= count; slot++) {
            bool here = fresh != NULL && fresh->leaf == i && fresh->slot == slot;
            if (here) {
                row_add(spread, row, ITEM_FRESH, fresh->entry);
            }
            if (slot < count) {
                entry = slot == 0 ? leaf_at(leaf, 0) : leaf_after(leaf, slot - 1, entry);
                if (!(here && fresh->replace)) {
                    row_add(spread, row, (uint16_t)(i << ITEM_SLOT_BITS | slot), entry);
                }
            }
        }
        if (clast_tagged(spread->clast)) {
            sort_by_mark(spread->items + start, row->costs + start, row->marks + start,
                         spread->item_count - start);
        }
    }
}

/* Where the row is cut next: behind cuts[number - 1], before is what lies left of that. False: no
 * cut fits. *before_inout becomes what lies left of the new one. */
static bool cut_next(struct spread *spread, const struct row *row, size_t number,
                     size_t *before_inout)
{
    bool hashed = clast_tagged(spread->clast);
    size_t total = row->total;
    size_t target = total * number / spread->out;
    size_t room_after = (spread->out - number) * LEAF_ROOM;
    size_t start = *before_inout;
    size_t before = start;
    size_t best_distance = SIZE_MAX;
    for (size_t i = spread->cuts[number - 1] + 1; i < spread->item_count; i++) {
        before += row->costs[i - 1];
        if (before - start > LEAF_ROOM) {
            break;
        }
        size_t distance = before > target ? before - target : target - before;
        if (distance > best_distance) {
            break;
        }
        if (total - before <= room_after && (!hashed || row->marks[i - 1] != row->marks[i])) {
            best_distance = distance;
            spread->cuts[number] = i;
            *before_inout = before;
        }
    }
    return best_distance != SIZE_MAX;
}

bool clast_spread_plan(struct spread *spread)
{
    struct row row;
    CHECK(spread->in >= 1 && spread->in <= SPREAD_IN_MAX && spread->out >= spread->in &&
          spread->out <= SPREAD_OUT_MAX);
    row_build(spread, &row);
    size_t before = 0;
    spread->cuts[0] = 0;
    for (size_t i = 1; i < spread->out; i++) {
        if (!cut_next(spread, &row, i, &before)) {
            return false;
        }
    }
    spread->cuts[spread->out] = spread->item_count;
    if (row.total - before > LEAF_ROOM) {
        return false;
    }
    for (size_t i = 0; i < spread->out; i++) {
        spread->first[i] = mark_of(spread, spread->cuts[i]);
    }
    return true;
}

void clast_spread(struct spread *spread)
{
    alignas(struct part) unsigned char memory[SPREAD_IN_MAX][sizeof(struct part) + LEAF_CAPACITY];
    struct part *copies[SPREAD_IN_MAX];
    for (size_t i = 0; i < spread->in; i++) {
        CHECK(!part_shared(spread->leaves[i]));
        memcpy(memory[i], spread->leaves[i], sizeof(memory[i]));
        copies[i] = (struct part *)memory[i];
        leaf_clear(spread->leaves[i]);
    }
    for (size_t i = 0; i < spread->out; i++) {
        CHECK(leaf_count(spread->leaves[i]) == 0);
        leaf_open(spread->leaves[i], spread->cuts[i + 1] - spread->cuts[i]);
        for (size_t k = spread->cuts[i]; k < spread->cuts[i + 1]; k++) {
            leaf_fill(spread->leaves[i], k - spread->cuts[i], entry_of(spread, copies, k));
        }
    }
}
