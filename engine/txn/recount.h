/* recount: how many keys a database has, exactly, by reading alone: what DBSIZE asks for when the
 * counters are not sure.
 *
 * The counters of the shards are too low by one for each key that was written, or deleted, without
 * a look whether it was there, and was not: in memory an entry in doubt, on disk a row that is
 * ROW_UNRESOLVED. What lies right beneath says whether it was: for an entry the newest row of its
 * key in the partition's stack, for a row the next older one. So
 *
 *     keys = counters + entries in doubt and unresolved rows with nothing alive beneath
 *
 *     take    under one shard's lock after the other: names of entries in doubt     (most of them)
 *     moment  under all locks: those that have come since, counters, views of stacks (few)
 *     look    without locks: what lies beneath, in the views
 *
 * The answer is that of the moment, whatever is written during the reading. A stack that has
 * changed between take and moment (a round has ended) has its partition's names taken anew. What a
 * stack's rows add is remembered until the stack changes, and only entries are looked up then.
 *
 * Nothing is written, so it goes on while the disk is full and after settling has failed.
 * Thread: any that may wait for the device; one counts at a time, and those that wait for it
 * meanwhile share what the next one finds. Memory: 32 KiB, and 16 bytes for each database in each
 * partition that unresolved rows add to; while counting, some 80 KiB, and the names of all entries
 * in doubt with 32 bytes each.
 */
#ifndef BASIN_ENGINE_TXN_RECOUNT_H
#define BASIN_ENGINE_TXN_RECOUNT_H

#include "engine/txn/store.h"

enum status recount_new(struct recount **recount_out);
/* A count under way ends soon, and any later one at once, with ST_IO: the store is to be closed.
 * NULL is fine, as with the next. */
void recount_stop(struct recount *recount);
void recount_free(struct recount *recount);
/* As of a moment between the last store_resolve's begin and its end. Any thread, without waiting.
 */
uint64_t recount_keys(const struct recount *recount, unsigned database);

#endif
