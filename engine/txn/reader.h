/* reader: one thread's ring for what its txns miss. See basin.h for what others call.
 *
 *     txn_retry → add → line → slot → read prepared … start → device
 *                                      ↑ the look-up wants more ─┤
 *     wake ← finish ←──────────────────┴─ the look-up is over ── turn
 *
 * All that one turn of the thread has missed is started by one call. A txn that misses much waits
 * in a line of its own for most of it, so that it does not hold up those that miss a key or two.
 *
 * Thread: its own. Memory: READER_DEPTH blocks, larger where grains are.
 */
#ifndef BASIN_ENGINE_TXN_READER_H
#define BASIN_ENGINE_TXN_READER_H

#include "engine/txn/fetch.h"

#define READER_DEPTH 128

/* Runs the fetch; takes it. bulk: one of many that the same txn misses. Nothing is read before
 * reader_start. */
void reader_add(struct reader *reader, struct fetch *fetch, bool bulk);

#endif
