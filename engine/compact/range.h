/* range: the merge of one range of partitions: all their runs become one, and live grains leave the
 * strata that are to go. For compact.c.
 *
 * Of each name the newest row stays. What the others say is settled here for good:
 *   - The grains of superseded rows are dead; the manifest's live bytes learn it.
 *   - A row that did not know whether the key was there (ROW_UNRESOLVED) learns it from the next
 *     older one, and the count of keys with it.
 *   - A clast that no newest row names any more is dead, with all rows of its parts. Rows of keys
 *     come before those of parts, so this is known in time.
 *   - Rows of namespaces that the manifest does not know any more are dropped, and so are
 *     tombstones, unless replay may still meet effects from before them (S4).
 *
 * Inputs are all runs of the partitions as of the beginning; runs that come meanwhile stay on top.
 * Moved grains keep LSN and checksum. A grain that is damaged is not moved: its stratum stays.
 * Thread: the compactor's.
 */
#ifndef BASIN_ENGINE_COMPACT_RANGE_H
#define BASIN_ENGINE_COMPACT_RANGE_H

#include "engine/strata/merge.h"
#include "engine/txn/store.h"

/* Strata that are to be emptied, by id. */
struct victims {
    uint32_t *ids; /* Ascending; owned. */
    size_t count;
};
bool victims_have(const struct victims *victims, uint32_t id);

struct range_result {
    uint64_t rows_in, rows_out, moved_bytes;
};

/* Merges partitions first … last. ST_OK: it is current. Anything else: nothing has changed.
 * stop: gives up soon (ST_WAIT). */
enum status range_merge(struct basin *basin, uint16_t first, uint16_t last,
                        const struct victims *victims, const _Atomic bool *stop,
                        struct range_result *result_out);

#endif
