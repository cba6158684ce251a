#include "tests/lib/evictor.h"

#include "engine/value/parts_disk.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define MISSES_MAX 64
#define CLAST 1
#define TABLE 1

void evictor_init(struct evictor *evictor)
{
    *evictor = (struct evictor){.kept = NULL};
}

static void forget_all(struct evictor *evictor)
{
    for (size_t i = 0; i < evictor->capacity; i++) {
        part_unref(evictor->kept[i]);
        evictor->kept[i] = NULL;
    }
}

void evictor_deinit(struct evictor *evictor)
{
    forget_all(evictor);
    free(evictor->kept);
    evictor_init(evictor);
}

/* A disk would keep the bytes; here a second copy does. */
static void keep(struct evictor *evictor, const struct parts_row *row)
{
    EXPECT(row->number < evictor->capacity && row->table == TABLE);
    struct part **kept = &evictor->kept[row->number];
    EXPECT(row->part != NULL || *kept != NULL); /* Only what is on disk can die. */
    part_unref(*kept);
    *kept = row->part == NULL ? NULL : part_clone(row->part, row->part->size);
    EXPECT(row->part == NULL || *kept != NULL);
}

static void capture(struct evictor *evictor, struct parts *parts)
{
    size_t max;
    EXPECT(parts_capture_begin(parts, &max) == ST_OK);
    struct parts_row *rows = calloc(max + 1, sizeof(*rows));
    EXPECT(rows != NULL);
    if (parts->end > evictor->capacity) {
        size_t capacity = 2 * (size_t)parts->end;
        evictor->kept = realloc(evictor->kept, capacity * sizeof(struct part *));
        EXPECT(evictor->kept != NULL);
        memset(evictor->kept + evictor->capacity, 0,
               (capacity - evictor->capacity) * sizeof(struct part *));
        evictor->capacity = capacity;
    }
    if (!parts->tracked) {
        forget_all(evictor);
    }
    parts->table = TABLE;
    size_t count = parts_capture(parts, CLAST, rows);
    EXPECT(count <= max && !parts_dirty(parts));
    for (size_t i = 0; i < count; i++) {
        keep(evictor, &rows[i]);
        part_unref(rows[i].part);
    }
    free(rows);
}

void evictor_evict(struct evictor *evictor, struct clast *clast, uint64_t odds, uint64_t *state)
{
    struct parts *parts = &clast->parts;
    capture(evictor, parts);
    for (uint32_t number = 0; number < parts->end; number++) {
        if (test_random_below(state, odds) == 0) {
            (void)parts_evict(parts, number); /* Shared pages stay. */
        }
    }
}

static void load(struct evictor *evictor, struct parts *parts, uint32_t number)
{
    if (!parts_absent(parts, number)) {
        return;
    }
    EXPECT(number < evictor->capacity && evictor->kept[number] != NULL);
    const struct part *kept = evictor->kept[number];
    struct part *part = part_clone(kept, kept->size);
    EXPECT(part != NULL);
    EXPECT(parts_install(parts, number, part) == ST_OK);
    evictor->loads++;
}

void evictor_load(struct evictor *evictor, struct clast *clast)
{
    struct parts_miss misses[MISSES_MAX];
    size_t count = parts_take_misses(misses, MISSES_MAX);
    EXPECT(count > 0);
    for (size_t i = 0; i < count; i++) {
        EXPECT(misses[i].parts == &clast->parts && misses[i].clast == CLAST &&
               misses[i].table == TABLE);
        load(evictor, &clast->parts, misses[i].number);
    }
}

void evictor_load_all(struct evictor *evictor, struct clast *clast)
{
    struct parts_miss misses[MISSES_MAX];
    (void)parts_take_misses(misses, MISSES_MAX);
    for (uint32_t number = 0; number < clast->parts.end; number++) {
        load(evictor, &clast->parts, number);
    }
}
