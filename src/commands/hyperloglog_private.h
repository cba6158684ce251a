/* hyperloglog_private: what the files of the HyperLogLog commands share.
 *
 *     hyperloglog.c        PFADD, PFCOUNT, PFMERGE; the rows of the family
 *     hyperloglog_debug.c  PFDEBUG
 */
#ifndef BASIN_SRC_COMMANDS_HYPERLOGLOG_PRIVATE_H
#define BASIN_SRC_COMMANDS_HYPERLOGLOG_PRIVATE_H

#include "src/dispatch/call.h"
#include "src/hll/hll.h"

/* A key that was looked at. */
struct sketch {
    bool present, fits; /* fits: absent or a sketch. */
    struct bytes bytes; /* Lent until the key's next write. */
};

/* Judges a value that was read; where it does not fit the error is written. */
enum status hyperloglog_sketch(struct call *call, const struct value *value, struct sketch *sketch);

/* The sketch of key 0 for changing, in memory that lives until txn_end; a new one where it is
 * absent. ST_CORRUPT: it is far too long. */
enum status hyperloglog_edit(struct call *call, const struct sketch *sketch, struct hll *hll);
/* Writes what it has become; a time to live stays. */
enum status hyperloglog_store(struct call *call, const struct sketch *sketch,
                              const struct hll *hll);

void hyperloglog_reply_corrupt(struct call *call);

/* Handlers, as command_handler. */
enum status hyperloglog_pfdebug(struct call *call);

#endif
