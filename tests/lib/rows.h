/* rows: rows by chance, for tests of pages, strata and merges. Thread: one. */
#ifndef BASIN_TESTS_LIB_ROWS_H
#define BASIN_TESTS_LIB_ROWS_H

#include "engine/index/row.h"

/* A row of any kind that a writer may store, with every field by chance. room lends its key:
 * ROW_KEY_MAX bytes. place is not derived from the name. */
struct row rows_any(uint64_t *chance, unsigned char *room);

/* All fields are equal, keys by their bytes. */
bool rows_equal(const struct row *a, const struct row *b);

#endif
