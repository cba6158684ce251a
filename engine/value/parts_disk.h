/* parts_disk: a part table between memory and disk: parts that come and go, captures of what has
 * changed, the table's stored form. What the marks mean, and the invariants, are in parts.h.
 * Thread: as parts.h.
 */
#ifndef BASIN_ENGINE_VALUE_PARTS_DISK_H
#define BASIN_ENGINE_VALUE_PARTS_DISK_H

#include "engine/value/parts.h"

/* -- Coming and going -------------------------------------------------------------------------- */

/* Whether the number is below `end` and its part absent (or was not in use when it was loaded). */
bool parts_absent(const struct parts *parts, uint32_t number);
/* Puts an absent part in its place, clean. Takes the reference. ST_NOMEM: it did not. */
enum status parts_install(struct parts *parts, uint32_t number, struct part *part);
/* A clean part leaves memory, but for references to it. False: it is dirty, or free, or absent, or
 * lies in a page shared with another table; nothing was done. */
bool parts_evict(struct parts *parts, uint32_t number);
/* Evicts up to `count` parts that were not asked for since they were last passed; passes at most
 * some times as many, from where the last call ended. Gives what `memory` fell by: a part that is
 * referenced lives on. */
uint64_t parts_evict_some(struct parts *parts, size_t count, size_t *evicted_out);

/* -- What is on disk --------------------------------------------------------------------------- */

struct parts_row {
    uint32_t table, number;
    struct part *part; /* Given. NULL: the number was freed, its grain is dead. */
};

/* Whether anything in the table changed since the last capture (or might have). O(1). */
bool parts_dirty(const struct parts *parts);
/* Does all of a capture that can fail. Gives how many rows it will have at most. ST_NOMEM. */
enum status parts_capture_begin(struct parts *parts, size_t *rows_out);
/* Then, without a change in between: writes a row for all that has changed; afterwards the table is
 * this clast's, and clean. `table` was set, and the grains of `former` are dead. Gives the rows. */
size_t parts_capture(struct parts *parts, uint64_t clast, struct parts_row *rows);
/* Free numbers that the stored form carries; a loaded table reuses those alone. */
#define PARTS_SPARE_MAX 128

/* Appends the table without its parts: v number, end, live, count of free numbers, those ascending.
 * Right for what a capture has left, or is about to. */
enum status parts_store(const struct parts *parts, struct buf *out);
/* The other way, into an empty table: all parts are absent. ST_CORRUPT: not what parts_store
 * writes. */
enum status parts_load(struct parts *parts, struct bytes *in, uint64_t clast);

#endif
