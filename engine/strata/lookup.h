/* lookup: one look-up in the index, as the reads that it takes one after the other.
 *
 *     begin → wants? ─ yes: read these bytes → take ─┐
 *               ↑     └ no: the answer               │
 *               └────────────────────────────────────┘
 *
 * The runs of a view are asked from the newest on; the first row with the name says all. A filter
 * spares the reading of nearly every page that does not have it. A row found, its grain is read,
 * unless the row is all that is wanted. Nothing here waits: who drives it reads as it likes.
 *
 * Invariant S3: no byte of a page or grain is believed before its checksum held.
 * Thread: one at a time. Memory: none of its own.
 */
#ifndef BASIN_ENGINE_STRATA_LOOKUP_H
#define BASIN_ENGINE_STRATA_LOOKUP_H

#include "engine/strata/strata.h"

struct lookup {
    /* While lookup_wants: the bytes to be read, a piece of whole blocks of IO_ALIGNMENT_MAX. */
    struct io_file *file;
    uint64_t offset;
    size_t size;

    /* The answer. Row and grain lend from what was taken last; of a row whose grain was read, only
     * what is no bytes is left. */
    enum status status; /* ST_ABSENT: what the row points to has moved; look again. */
    bool found;         /* A tombstone is found too. */
    struct row row;
    struct grain grain;

    /* Inside. */
    struct strata *strata;
    const struct stack *view;
    struct row wanted;
    bool row_only, over;
    uint32_t run, page;
    struct stratum *stratum; /* Of the grain; referenced. NULL: a page is wanted. */
};

/* Keeps the view until lookup_end, and the bytes that `wanted` lends. */
void lookup_begin(struct lookup *lookup, struct strata *strata, const struct stack *view,
                  const struct row *wanted, bool row_only);
/* False: it is over, the answer stands. */
static inline bool lookup_wants(const struct lookup *lookup)
{
    return !lookup->over;
}
/* What reading has brought: `size` bytes at data, aligned to IO_ALIGNMENT_MAX, less only at the end
 * of the file; or its failure. */
void lookup_take(struct lookup *lookup, enum status status, const unsigned char *data, size_t size);
/* Gives back what it holds of the strata; the answer's bytes are not its own. */
void lookup_end(struct lookup *lookup);

/* All of it, waiting for the device. room: what was taken last; starts with a block at least. */
struct lookup_room {
    unsigned char *data; /* Aligned to IO_ALIGNMENT_MAX; free() it. */
    size_t capacity;
};
/* ST_NOMEM: the room stays as it was. */
enum status lookup_room_reserve(struct lookup_room *room, size_t size);
void lookup_run(struct lookup *lookup, struct lookup_room *room);

#endif
