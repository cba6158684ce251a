#include "tests/lib/evictor.h"

#include "tests/lib/test.h"

#include <stdlib.h>

#define MISSES_MAX 64

void evictor_init(struct evictor *evictor)
{
    *evictor = (struct evictor){.kept = NULL};
}

void evictor_deinit(struct evictor *evictor)
{
    for (size_t i = 0; i < evictor->count; i++) {
        part_unref(evictor->kept[i]);
    }
    free(evictor->kept);
    evictor_init(evictor);
}

/* A disk would keep the bytes; here a second copy does. */
static uint64_t keep(struct evictor *evictor, const struct part *part)
{
    if (evictor->count == evictor->capacity) {
        evictor->capacity = evictor->capacity == 0 ? 64 : evictor->capacity * 2;
        evictor->kept = realloc(evictor->kept, evictor->capacity * sizeof(struct part *));
        EXPECT(evictor->kept != NULL);
    }
    struct part *copy = part_clone(part, part->size);
    EXPECT(copy != NULL);
    evictor->kept[evictor->count] = copy;
    return evictor->count++;
}

void evictor_evict(struct evictor *evictor, struct clast *clast, uint64_t odds, uint64_t *state)
{
    struct parts *parts = &clast->parts;
    for (uint32_t number = 0; number < parts->end; number++) {
        struct part *part;
        if (test_random_below(state, odds) != 0 || !parts_used(parts, number)) {
            continue;
        }
        uint64_t handle;
        if (parts_absent(parts, number, &handle)) {
            continue;
        }
        EXPECT(parts_get(parts, number, &part) == ST_OK);
        parts_clean(parts, number);
        (void)parts_evict(parts, number, keep(evictor, part)); /* Shared pages stay. */
    }
}

static void load(struct evictor *evictor, struct parts *parts, uint32_t number)
{
    uint64_t handle;
    if (!parts_absent(parts, number, &handle)) {
        return;
    }
    EXPECT(handle < evictor->count && evictor->kept[handle] != NULL);
    const struct part *kept = evictor->kept[handle];
    /* As large as it was: leaves and inner nodes change in place. */
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
        EXPECT(misses[i].parts == &clast->parts);
        load(evictor, &clast->parts, misses[i].number);
    }
}

void evictor_load_all(struct evictor *evictor, struct clast *clast)
{
    struct parts_miss misses[MISSES_MAX];
    (void)parts_take_misses(misses, MISSES_MAX);
    for (uint32_t number = 0; number < clast->parts.end; number++) {
        if (parts_used(&clast->parts, number)) {
            load(evictor, &clast->parts, number);
        }
    }
}
