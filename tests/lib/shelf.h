/* shelf: the disk that the parts of one large value lie on, for tests: a map {table, number} →
 * bytes, and the root form of the last capture.
 *
 *     shelf_capture → … changes … → shelf_write        a capture, written some time later
 *     ST_WAIT → shelf_serve → again                    what was asked for
 *     shelf_reload                                     the value leaves memory and comes back
 *
 * It expects what root.h promises: R1 (what dies is what lay there, and nothing else), R2.
 * Thread: that of its value.
 */
#ifndef BASIN_TESTS_LIB_SHELF_H
#define BASIN_TESTS_LIB_SHELF_H

#include "engine/value/root.h"

struct shelf_row {
    uint32_t table, number;
    struct part *part;
};

struct shelf {
    uint64_t clast;         /* 0: nothing lies there. */
    struct shelf_row *rows; /* By table and number. */
    size_t count, capacity;
    struct buf root;
    bool writing; /* A capture is not written yet. */
    struct value_capture capture;
    uint64_t *sums; /* Of the capture's rows. */
    uint64_t loads, row_count;
    bool leaky; /* Numbers were lost for lack of memory: more may lie there than is in use. */
};

void shelf_init(struct shelf *shelf);
/* Empties it. */
void shelf_deinit(struct shelf *shelf);
/* Takes a capture of what has changed, not writing it yet. fail_from: as part_test_fail_from, 0:
 * none; false: ST_NOMEM, nothing was done. */
bool shelf_capture(struct shelf *shelf, struct value *value, uint64_t fail_from);
/* Writes the capture, if there is one, and expects the shelf to hold what is in use. */
void shelf_write(struct shelf *shelf, struct value *value);
/* Installs what was asked for since the last call, at least one part. */
void shelf_serve(struct shelf *shelf, struct value *value);
/* The value is clean and written: it is freed, and made anew of its root form. */
void shelf_reload(struct shelf *shelf, struct value *value, const struct value_limits *limits);
/* The value's encoded form, the items of hashes and sets in order, so that equal values give equal
 * bytes. Brings what that needs. */
void shelf_encode(struct shelf *shelf, struct value *value, struct buf *out);
/* After each change: a value that became packed, or has another root, leaves nothing behind. */
void shelf_follow(struct shelf *shelf, const struct value *value);

#endif
