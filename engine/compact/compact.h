/* compact: keeps look-ups short and the disk small: merges the runs of all partitions, range by
 * range, and empties strata of which much is dead.
 *
 *     pass    a sample of the partitions is merged; what it finds dead says, since hashes spread
 *             keys evenly, how much of each stratum is
 *          →  victims: the deadest strata, until little enough garbage is left
 *          →  all other ranges, and the sample once more, moving live grains out of the victims,
 *             which then hold nothing and go
 *
 * When: a partition has more than RUNS_MAX runs, or what was settled since the last pass is more
 * than a part of what is live, or the garbage that is known is. The disk holds at most about 1.5
 * times the live grains and their index, at rest and in work (measured: docs/MEASUREMENTS.md).
 *
 * A full disk: the range under way is given up, its file removed, and tried again later.
 *
 * Thread: one of its own, or (a simulated disk) that of basin_reap. Memory: one range's rows, some
 * 20 MB, beside 256 KiB a run.
 */
#ifndef BASIN_ENGINE_COMPACT_COMPACT_H
#define BASIN_ENGINE_COMPACT_COMPACT_H

#include "engine/txn/store.h"

enum status compactor_new(struct basin *basin, bool background, struct compactor **compactor_out);
/* Gives up what is under way. NULL is fine. */
void compactor_free(struct compactor *compactor);
/* A whole pass, now, after one that is under way. Blocks. */
enum status compact_now(struct basin *basin);
/* Asks the thread for a pass and does not wait. Gives the number of one that has not begun yet. */
uint64_t compact_ask(struct basin *basin);
/* ST_WAIT: the pass of this number has not ended. Otherwise what became of the last that has. */
enum status compact_asked(const struct basin *basin, uint64_t number);
/* The thread's work, once, for stores without it. */
void compact_tick(struct basin *basin);

#endif
