/* chores: commands on values of every type, drawn by chance, for tests of the whole engine.
 *
 * There are CHORES_PER_TYPE keys of each type, "text:0", "text:1", "list:0" … A chore is one txn: a
 * change of one key, a group of changes of two keys (of any types), DEL, RENAME, COPY or an expiry
 * far ahead. What it does follows from its seed and from what the keys hold, so it may run again
 * after a miss. A key that RENAME or COPY has given another type is used as that type until it
 * goes. Sizes vary so that with chores_limits values cross from packed to clast all the time. What
 * is drawn follows from what the keys hold, not from the shapes it is held in: two stores that hold
 * the same go the same way.
 */
#ifndef BASIN_TESTS_LIB_CHORES_H
#define BASIN_TESTS_LIB_CHORES_H

#include "tests/lib/session.h"

#include <limits.h>

#define CHORES_PER_TYPE 2
#define CHORES_KEYS (7 * CHORES_PER_TYPE)
/* The log room that a chore asks for. */
#define CHORE_RESERVE (96 * 1024)

/* All keys, lent forever. */
void chores_keys(struct bytes keys[CHORES_KEYS]);
/* Limits by chance: small ones mostly, which everything outgrows, or the defaults given. */
struct value_limits chores_limits(uint64_t *chance, struct value_limits defaults);
/* Limits under which the chores of CHORES_PACKED make no clast. */
struct value_limits chores_limits_packed(struct value_limits defaults);
/* As a growth: as 0, but nothing that is a clast by its size or its type. */
#define CHORES_PACKED UINT_MAX
/* Draws one and runs it. growth: how much more is added than taken away, and of how
 * many names; 0: even, few. */
enum status chore_issue(struct session *session, uint64_t *chance, unsigned growth);

#endif
