/* holdings: what a stopped store has on disk, as far as it can be read: every grain by its place
 * and digest, every row, and where rows could not be read.
 *
 *     manifest → each stratum surveyed → grains, rows, gaps → verdict.h says what it means
 *
 * What is damaged is printed when it is met (report.h), and the reading goes on.
 * Thread: one. Memory: 64 bytes a grain, 200 bytes a row.
 */
#ifndef BASIN_CHECK_HOLDINGS_H
#define BASIN_CHECK_HOLDINGS_H

#include "check/report.h"
#include "engine/base/arena.h"
#include "engine/manifest/manifest.h"
#include "engine/strata/survey.h"

/* A sound grain. */
struct held_grain {
    uint64_t lsn;
    uint64_t name;   /* Digest of what it is of: row_name. */
    uint64_t digest; /* Of all that a row repeats: row_digest. */
    uint64_t place;
    uint32_t unit, size;
    bool key;
    bool named; /* The newest row of its name points here. */
};

struct held_stratum {
    struct manifest_stratum listed;
    struct stratum_facts facts;
    bool absent;
    bool opens;           /* A server can open it, its run aside. */
    bool run_sound;       /* And the run: directory and filter. */
    bool serves;          /* Runs of the manifest are in it. */
    uint64_t faults;      /* In this file, */
    uint64_t file_faults; /* and of these outside of its run. */
    uint64_t lost_bytes;
    uint64_t greatest_lsn;     /* Of all that can be read of it, tombstones too. */
    struct held_grain *grains; /* In order of units. */
    size_t grain_count, grain_capacity;
    uint64_t live_count, live_bytes; /* That newest rows point to. */
    uint64_t named_bytes;            /* That any row points to. */
};

struct held_row {
    struct row row;   /* Its key lies in the arena. */
    uint32_t rank;    /* Of its run in the partition's stack: 0 is the newest. */
    uint32_t stratum; /* That the run is in. */
    bool newest;
};

/* Places at which rows may have stood that cannot be read; both included. */
struct held_gap {
    uint64_t first, last;
};

struct holdings {
    struct io *io;
    const char *dir;
    struct report *report;
    struct manifest manifest;
    uint32_t store;
    uint64_t long_key_seed;
    struct held_stratum *strata; /* As in the manifest. */
    struct held_row *rows;       /* In order of row_compare, newest first. */
    size_t row_count, row_capacity;
    struct held_gap *gaps; /* Ascending, apart from each other. */
    size_t gap_count, gap_capacity;
    struct arena keys;
    bool newer; /* A newer version wrote a file: nothing can be said. */
};

/* Reads all that the manifest names. ST_ABSENT: there is no store; ST_CORRUPT: the manifest is
 * damaged, and that was printed; ST_PROTO: a newer version wrote some of it, and that was printed;
 * anything else: it could not be read. */
enum status holdings_read(struct holdings *holdings, struct io *io, const char *dir,
                          struct report *report);
void holdings_deinit(struct holdings *holdings);

struct held_stratum *holdings_stratum(const struct holdings *holdings, uint32_t id);
/* NULL: no sound grain stands there. */
struct held_grain *holdings_grain(const struct holdings *holdings, struct location at);
bool holdings_in_gap(const struct holdings *holdings, uint64_t place);
bool holdings_knows_namespace(const struct holdings *holdings, uint32_t namespace_id);

/* What a row and a grain of one name have in common, and what a grain's row must repeat. */
uint64_t row_name(const struct row *row);
uint64_t row_digest(const struct row *row);
/* The row that a settle round writes for a grain. room: ROW_KEY_HASH_SIZE. */
struct row grain_row(const struct holdings *holdings, const struct grain *grain, struct location at,
                     unsigned char *room);
/* Opens the file once more, silently, to read grains that are known. */
enum status holdings_survey(const struct holdings *holdings, uint32_t id,
                            struct survey **survey_out);

#endif
