/* census: what a store holds of some keys, as text by which two states are compared.
 *
 * A line a key: name, type, expiry and all that a client could know of the value, in an order of
 * its own where the value's is hashed. Shapes and encodings are not in it, since they follow from
 * limits that may change. Every value must stand its check meanwhile. */
#ifndef BASIN_TESTS_LIB_CENSUS_H
#define BASIN_TESTS_LIB_CENSUS_H

#include "tests/lib/session.h"

/* In place of what out held. All keys are read in one txn. ST_CORRUPT: a value fails its check. */
enum status census_take(struct session *session, const struct bytes *keys, size_t count,
                        struct buf *out);
/* Appends all that a client could know of the value; no name, no expiry. */
enum status census_value(const struct value *value, struct buf *out);
/* Prints the lines in which they differ, shortened. */
void census_differ(struct bytes expected, struct bytes actual);

#endif
