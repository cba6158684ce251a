/* batch: grains and rows by chance, written into a stratum and looked for again. Thread: one.
 *
 *     batch_new → batch_write → stratum_open → batch_check
 */
#ifndef BASIN_TESTS_LIB_BATCH_H
#define BASIN_TESTS_LIB_BATCH_H

#include "engine/strata/stratum.h"

#define BATCH_DIR "/store"
#define BATCH_STORE 77

struct batch {
    struct row *rows; /* In the order of places; keys are lent from names. */
    char (*names)[16];
    unsigned count;
    uint32_t id;         /* Of the stratum that the rows point to. */
    struct buf grains;   /* One a row that is no tombstone, in the order of rows. */
    uint64_t lsn_offset; /* Row i has the lsn lsn_offset + i. */
    unsigned find_every; /* Of so many rows batch_check looks for one by its place; at first 1. */
};

/* So many rows, all of distinct keys (names "0", "1", …), a tenth of them tombstones. places: how
 * many distinct ones at most; 0: no bound. Each grain has data_size bytes of data. */
struct batch *batch_new(uint64_t seed, uint32_t id, unsigned count, uint64_t places,
                        size_t data_size);
void batch_free(struct batch *batch);

/* Makes BATCH_DIR and its strata durably. */
enum status batch_make_dirs(struct io *io);
/* Writes a whole stratum; each call that fails is made a second time before that is the answer.
 * dir: as of stratum_writer_new. */
enum status batch_write(const struct batch *batch, struct io *io, const char *dir);
/* Looks for every row and its grain, for absent ones and walks over all. ST_OK: all is as it was
 * written; else what a reading answered. Expects that nothing else is ever seen. */
enum status batch_check(const struct batch *batch, struct stratum *stratum);

#endif
