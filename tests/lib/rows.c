#include "tests/lib/rows.h"

#include "tests/lib/test.h"

/* Small and large numbers alike, so that varints have all their lengths. */
static uint32_t any_u32(uint64_t *chance)
{
    return (uint32_t)test_random(chance) >> test_random_below(chance, 32);
}

static void key_any(uint64_t *chance, unsigned char *room, struct row *row)
{
    size_t size = test_random_below(chance, test_random_below(chance, 2) == 0 ? 24 : 257);
    row->flags = (unsigned)test_random_below(chance, ROW_FLAGS + 1);
    row->type = (unsigned)test_random_below(chance, 256);
    row->namespace_id = any_u32(chance);
    row->expiry_ms = (row->flags & ROW_EXPIRES) != 0 ? (int64_t)test_random(chance) : 0;
    row->clast = (row->flags & ROW_CLAST) != 0 ? test_random(chance) : 0;
    if ((row->flags & ROW_LONG) != 0) {
        size = ROW_KEY_HASH_SIZE;
    }
    for (size_t i = 0; i < size; i++) {
        room[i] = (unsigned char)test_random(chance);
    }
    row->key = bytes_of(room, size);
}

struct row rows_any(uint64_t *chance, unsigned char *room)
{
    struct row row = {.place = test_random(chance),
                      .kind = (enum row_kind)(1 + test_random_below(chance, 5))};
    if (row.kind == ROW_KEY || row.kind == ROW_PART) {
        row.at =
            (struct location){1 + any_u32(chance) / 2, any_u32(chance), 1 + any_u32(chance) / 2};
    }
    if (row.kind == ROW_KEY || row.kind == ROW_KEY_GONE) {
        key_any(chance, room, &row);
        return row;
    }
    row.part = (struct part_name){test_random(chance), any_u32(chance), any_u32(chance)};
    if (row.kind == ROW_CLAST_GONE) {
        row.part.number = 0;
    }
    return row;
}

bool rows_equal(const struct row *a, const struct row *b)
{
    return a->place == b->place && a->at.stratum == b->at.stratum && a->at.unit == b->at.unit &&
           a->at.size == b->at.size && a->kind == b->kind && a->flags == b->flags &&
           a->type == b->type && a->namespace_id == b->namespace_id &&
           a->expiry_ms == b->expiry_ms && a->clast == b->clast && bytes_equal(a->key, b->key) &&
           a->part.clast == b->part.clast && a->part.table == b->part.table &&
           a->part.number == b->part.number;
}
