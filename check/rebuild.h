/* rebuild: a new index for a store, of what can be believed, and a log that ends where it can be
 * read.
 *
 *     rows that can be read ─────────→ newest of each name, if its grain is sound ─┐
 *     grains where rows are missing ─→ newest LSN of each key ─────────────────────┤
 *                                                                                  ↓
 *     grains of strata that are set aside ─ copied ─→ one new stratum: grains, run for all
 *                                                                                  ↓
 *     MANIFEST → MANIFEST.before-rebuild, files set aside → damaged/, then the new MANIFEST
 *
 * Where all rows can be read they alone say what is alive: a grain that no row names was deleted,
 * and its tombstone merged away. Where rows are missing such grains come back, and that is said.
 * from_grains trusts no row but tombstones, for indexes that are believed to be wrong.
 *
 * Parts of large values come from rows only: which of two grains of a part is newer, no grain says.
 * A large key goes if its row cannot be read, if a part is missing, and where rows of parts are
 * missing while older runs may have stale ones.
 *
 * Keys that go leave tombstones that are newer than the log, so that effects in the log which build
 * on what is lost make no half values. (Where a grain and its row are both lost nobody knows of the
 * key, and such effects begin it anew.)
 *
 * The log. Effects from the cut on are lost, but strata may hold some of them, with LSNs beyond it:
 * new effects must not get these LSNs once more (S4). Then what can be read of the log is settled
 * first, and the next generation starts behind all LSNs on disk.
 *
 * Never destroys: no file is removed but by the server's later merges; what is set aside is moved.
 * Whatever ends it, the store is as before or as after.
 * Thread: one. Memory: holdings' and the rows once more.
 */
#ifndef BASIN_CHECK_REBUILD_H
#define BASIN_CHECK_REBUILD_H

#include "check/log_walk.h"
#include "check/verdict.h"

struct rebuild {
    struct holdings *holdings;
    const struct verdicts *verdicts;
    bool from_grains; /* Rows are not believed but for tombstones. */
    uint64_t end_lsn; /* Of the log that can be read. */
    bool set_aside;   /* Also strata that open and have damaged grains. */
    /* By rebuild_plan: */
    bool *aside;       /* By index of the stratum. */
    struct buf rows;   /* struct row, in order. */
    uint64_t returned; /* Keys that only grains know. */
    uint64_t lost;     /* Keys and parts that go. */
};

/* Decides, and prints what a write would do. */
enum status rebuild_plan(struct rebuild *rebuild);
/* io: that of the store, for writing. */
enum status rebuild_write(struct rebuild *rebuild, struct io *io);
void rebuild_deinit(struct rebuild *rebuild);

/* Prints what a cut would do. greatest_lsn: of all that is on disk. */
void log_cut_plan(const struct report *report, const struct log_facts *facts,
                  uint64_t greatest_lsn);
/* The store must not be locked: where something is settled it is opened. */
enum status log_cut_write(struct io *io, const char *dir, const struct log_facts *facts,
                          uint64_t greatest_lsn);

#endif
