/* model_check: the store is compared with the state. Whoever finds a difference calls world_fail.
 *
 * check_recovered is for a store that was just opened: it is read from end to end, and must be as
 * the state was after one of the operations that were not acknowledged, or before all of them; that
 * state is taken for the truth from then on. */
#ifndef BASIN_TESTS_MODEL_CHECK_H
#define BASIN_TESTS_MODEL_CHECK_H

#include "tests/model/model_world.h"

/* found is what the store gave for the key. */
void check_cell(struct world *world, const char *where, unsigned database, size_t key,
                const struct cell *found);
/* Reads a key of another store (the shadow), which never refuses. */
void check_read_from(struct world *world, struct session *session, unsigned database, size_t key,
                     struct cell *cell_out);

/* How many keys there are, as of a moment between question and answer: those whose time has come
 * may or may not be among them. It needs no room on the disk. */
void check_size(struct world *world, unsigned database);
/* After an operation in the midst of another: the size that is being asked for may be of now. */
void check_moment(struct world *world);
/* A scan from its beginning to its end, with operations between its steps or not: every key that
 * was there throughout is given, and none that is not. */
void check_scan(struct world *world, unsigned database, bool with_operations);
void check_random_key(struct world *world, unsigned database);
/* Each key, once. */
void check_all(struct world *world);

/* exact: nothing may be lost, since the store was closed in peace. */
void check_recovered(struct world *world, bool exact);

#endif
