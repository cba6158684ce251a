/* deed: one change of a value of any type, drawn by chance from what the value holds, to be done to
 * several values that shall stay equal. Values of all types have large elements, many equal
 * beginnings and a bound on their size, and most are large.
 *
 *     deed_draw(&deed, &one, …) → deed_do(&deed, &one, …), deed_do(&deed, &other, …) → deed_deinit
 *
 * Thread: none.
 */
#ifndef BASIN_TESTS_LIB_DEED_H
#define BASIN_TESTS_LIB_DEED_H

#include "engine/value/value.h"

#define DEED_ELEMENTS 24

struct deed {
    enum value_type type;
    unsigned op; /* Of value_apply, or as deed.c numbers them. */
    uint64_t at, count;
    bool left;
    struct buf bytes;                     /* The payload, or all elements. */
    struct bytes elements[DEED_ELEMENTS]; /* In `bytes`. */
    size_t element_count;
    uint64_t indexes[DEED_ELEMENTS];
};

/* From what `value` holds, all of which is in memory. single: of one element, so that it happens or
 * does not. grows: more is added than taken away. */
void deed_draw(struct deed *deed, const struct value *value, bool single, bool grows,
               uint64_t *state);
/* Statuses of the functions that it calls; ST_WAIT and other failures of a single deed have changed
 * nothing. *count_out: what value_apply has counted, or 0. */
enum status deed_do(const struct deed *deed, struct value *value, const struct value_limits *limits,
                    struct buf *scratch, uint64_t *count_out);
void deed_deinit(struct deed *deed);

/* Limits under which nearly everything is large. */
struct value_limits deed_limits(void);

#endif
