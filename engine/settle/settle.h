/* settle: dirty values → grains in a stratum; then the log up to there may go.
 *
 *     round   start LSN, map of databases ─ under a shard's lock
 *             each partition in order: slices of dirty entries → grains, rows   (capture)
 *             log durable past all that was captured                            (S1)
 *             stratum written, synced, named; manifest says so; log trimmed
 *             every stack gets the run; what was captured and has not changed since is clean
 *
 * A round captures every entry that was dirty at its start LSN, in whatever state it meets it: with
 * effects beyond that LSN perhaps, which replay then makes again on top of what they made (S4).
 * An entry that changes after its capture is dirty once more, for the next round.
 *
 * How many keys there are. The manifest counts, by namespace and partition, what the rows on disk
 * say; a round adds what its rows change. Whoever writes or deletes a key without a look whether it
 * is there is believed to have found it (the filter said "perhaps", and is seldom wrong); its row
 * is unresolved, and the merge that finds nothing alive beneath it adds one (compact/range.h). From
 * the capture of such an entry to the run on the stack its doubt is neither entry's nor row's, and
 * after a round that failed for good: ENTRY_DOUBTED. Who must know before: txn/recount.h.
 *
 * When: the log since the last round is longer than store_settle_log, or somebody asks. Writers
 * wait (ST_WAIT) once it is four times that. A full disk: the round stands where it is and is tried
 * again every second; after a failed sync the store settles no more until it is opened again, and
 * the log keeps all.
 *
 * Thread: one of its own, or (a simulated disk) that of basin_reap.
 */
#ifndef BASIN_ENGINE_SETTLE_SETTLE_H
#define BASIN_ENGINE_SETTLE_SETTLE_H

#include "engine/txn/store.h"

/* background: with a thread. */
enum status settler_new(struct basin *basin, bool background, struct settler **settler_out);
/* Waits for a round under way to end or give up. NULL is fine. */
void settler_free(struct settler *settler);
/* A whole round, now; waits for one under way first. Blocks. ST_OK too when nothing was dirty. */
enum status settle_now(struct basin *basin);
/* Asks the thread for a round, unless all is settled, and does not wait. Gives the LSN that
 * settled_lsn will have reached at its end; if a database is dropped meanwhile, at that of another.
 */
uint64_t settle_ask(struct basin *basin);
/* The thread's work, once, for stores without it. */
void settle_tick(struct basin *basin);

#endif
