/* round: one settle round, from the walk over memory to the stratum in every stack. For settle.c.
 *
 * Thread: the settler's.
 */
#ifndef BASIN_ENGINE_SETTLE_ROUND_H
#define BASIN_ENGINE_SETTLE_ROUND_H

#include "engine/settle/settle.h"

/* An entry as it was under the lock; its key lies in round->names, its grain in round->grains. */
struct captured {
    uint64_t hash, lsn;
    uint32_t namespace_id;
    unsigned type, flags; /* Of the row. */
    bool gone;
    int64_t expiry_ms;
    uint64_t clast; /* With ROW_CLAST. */
    size_t key_offset, key_size;
    size_t grain_offset;
    uint32_t grain_size;
};

/* What is to be said of a part, or of a table that has ended (`ended`), as of an LSN. */
struct captured_part {
    uint64_t place;
    struct part_name name;
    bool ended;
    struct part *part; /* One reference; NULL: gone. */
    uint64_t lsn;
};

/* What a round wrote, and what it means for the count of keys. */
struct round {
    struct basin *basin;
    struct stratum_writer *writer;
    uint32_t id;
    uint64_t start_lsn;
    uint32_t namespaces[BASIN_DATABASES]; /* As of start_lsn. */
    uint32_t next_namespace;
    uint64_t namespace_epoch; /* As of start_lsn, too. */
    bool advances;            /* The log up to start_lsn may go: see round_write. */
    uint64_t greatest_lsn;    /* Of what was captured (S1). */
    struct buf grains;        /* Of the slice: grains, */
    struct buf names;         /* keys, */
    struct buf captured;      /* and struct captured. */
    struct buf parts;         /* struct captured_part: of the partition. */
    struct buf root;          /* Of one value. */
    struct buf hashes;        /* u64 of each entry captured, in order: of the whole round. */
    struct manifest counts;   /* Only its counts: what the rows add. */
    bool voids;               /* Every row of before is of a database that was dropped. */
    uint64_t grain_count, grain_bytes;
    const _Atomic bool *stop; /* Set: give up where it would wait. */
};

/* Captures what is dirty in a table of the shard from a hash on, all entries of one hash in one
 * slice. *done_out: to the end of the partition; else *from says where to go on. Under the shard's
 * lock. In round_capture.c. */
enum status round_capture(struct round *round, struct shard *shard, struct memtable *table,
                          uint64_t *from, bool *done_out);

/* ST_OK: done, or nothing was dirty. Anything else: nothing has become current; what was captured
 * stays marked as settling, so that it does not leave memory, and no further round may be run. */
enum status round_run(struct round *round, struct basin *basin, const _Atomic bool *stop);

#endif
