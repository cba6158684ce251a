/* merge: the rows of several runs in one order, and for each name all that the runs say of it.
 *
 *     run 0 (newest)  a₀    c₀ d₀
 *     run 1              b₁ c₁       →  {a₀} {b₁} {c₀ c₁ c₂} {d₀}
 *     run 2                 c₂
 *
 * What the newest row means for the older ones is the caller's to say: no policy lives here.
 * Rows come in the order of places; names that share one, in the order of row_compare.
 * Invariants, cited by number in tests:
 *   M1  Every row of the inputs within the range is given exactly once.
 *   M2  Rows are given together exactly when they are of one name (row_same), newest input first.
 * Thread: one. Memory: 256 KiB an input, and all rows that share one place.
 */
#ifndef BASIN_ENGINE_STRATA_MERGE_H
#define BASIN_ENGINE_STRATA_MERGE_H

#include "engine/strata/stratum.h"

struct merge; /* opaque */

struct merge_row {
    struct row row;
    unsigned input;    /* Index of the run it is from. */
    unsigned order;    /* For the merge. */
    size_t key_offset; /* For the merge. */
};

/* What the runs say of one name. */
struct merged {
    const struct merge_row *rows; /* The newest, then those that it supersedes, newest first. */
    unsigned count;               /* At least 1. */
};

/* Over the runs of these strata, newest first, each open with its run and referenced until
 * merge_free. Places first … last, both included. Given. */
enum status merge_new(struct stratum *const *strata, unsigned count, uint64_t first, uint64_t last,
                      struct merge **merge_out);
void merge_free(struct merge *merge); /* NULL is fine. */
/* The next name, lent until the call after it; *found_out false: the end. After ST_IO or ST_NOMEM
 * the same call may be made again. */
enum status merge_next(struct merge *merge, struct merged *merged_out, bool *found_out);

#endif
