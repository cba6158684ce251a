/* verdict: whether what a store holds fits together: rows and grains both ways, large values and
 * their parts, and what the manifest promises of live bytes and of counts.
 *
 *     newest row of a name → a sound grain of the same name, type, expiry and size
 *     sound grain of a key → no newer than what the index says of its key
 *     part → of a clast that a key has, or dead
 *     large value → all parts that it needs (large.h)
 *     live bytes of the manifest: never less than the newest rows point to; as many as all rows do
 *     counts of the manifest: too low by the unresolved rows with nothing beneath, and no more
 *
 * Where rows cannot be read (gaps), counts, live bytes and dead grains are not judged.
 * Thread: one.
 */
#ifndef BASIN_CHECK_VERDICT_H
#define BASIN_CHECK_VERDICT_H

#include "check/holdings.h"

/* What became of one name; row_name finds it. */
struct verdict {
    uint64_t name;
    uint64_t lsn; /* Of the effect that the newest row stands for; UINT64_MAX: it cannot be read. */
    bool alive;   /* A key or part, and not dropped with its database. */
    bool readable;  /* Its grain is sound and is what the row says; tombstones always. */
    bool broken;    /* A large value of which parts are missing or wrong. */
    size_t newest;  /* Index of the newest row. */
    unsigned count; /* Of rows: from `newest` on. */
};

struct verdicts {
    struct verdict *all; /* By name. */
    size_t count;
    uint64_t greatest_lsn; /* Of all grains and tombstones on disk. */
    uint64_t lost_keys;    /* Alive and not readable. */
};

/* Marks newest rows and live grains in the holdings; prints what does not fit. */
enum status verdicts_judge(struct holdings *holdings, struct verdicts *verdicts_out);
void verdicts_deinit(struct verdicts *verdicts);
/* NULL: no row speaks of it. */
const struct verdict *verdicts_find(const struct verdicts *verdicts, uint64_t name);

/* Prints what the store holds, a line a fact. After verdicts_judge. */
enum status verdicts_facts(const struct holdings *holdings, const struct verdicts *verdicts);

/* "key "k" of database 3", or "part 7 of table 1 of clast 00400000000000a"; lent until the second
 * call after it. */
const char *row_label(const struct holdings *holdings, const struct row *row);

#endif
