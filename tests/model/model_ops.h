/* model_ops: operations drawn by chance, done to the store and, once it has done them, to the
 * state.
 *
 * A group is one txn of up to GROUP_MAX actions on different keys of any databases: blind SETs and
 * deletions of keys that may be cold, and actions that read first: append, overwrite, expire,
 * rename, copy, plain reads. What is read is compared with the state, and the reply's LSN with that
 * of what it shows (W1). An operation that is refused must have changed nothing.
 *
 * Whole-keyspace operations: sizes, scans with other operations between their steps, a random key,
 * FLUSHDB, FLUSHALL, SWAPDB. Chores: tests/lib/chores.h, in database 0.
 */
#ifndef BASIN_TESTS_MODEL_OPS_H
#define BASIN_TESTS_MODEL_OPS_H

#include "tests/model/model_world.h"

/* Draws one and does it. */
void operation_do(struct world *world);
/* Only actions that change no more than texts: fit between the steps of a scan. */
void operation_group(struct world *world);
void operation_chore(struct world *world);
/* In the midst of a settle round or a merge. */
void operation_meanwhile(struct world *world);
/* After damage: reads and blind writes. */
void operation_simple(struct world *world);

#endif
