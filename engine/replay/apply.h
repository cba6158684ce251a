/* apply: one effect onto its shard, at replay. The twin of the writes in txn: same value functions,
 * same store, no log. Idempotent by LSN (S4): an entry that has seen the effect is left alone.
 * Thread: the committer of the shard. */
#ifndef BASIN_ENGINE_REPLAY_APPLY_H
#define BASIN_ENGINE_REPLAY_APPLY_H

#include "engine/txn/txn_private.h"
#include "engine/wlog/record.h"

/* hash: of the record's key. scratch and room are the committer's. What the effect builds on is
 * brought from disk if it must be. ST_CORRUPT: the payload makes no sense for what is there. */
enum status apply_record(struct basin *basin, const struct record *record, uint64_t hash,
                         uint64_t lsn, struct buf *scratch, struct load_room *room);
/* All effects of a group of several were applied: the key, if it is in memory, gets its LSN. */
void apply_seal(struct basin *basin, uint32_t namespace_id, struct bytes key, uint64_t hash,
                uint64_t lsn);
/* RECORD_NAMESPACES, in the barrier. */
enum status apply_namespaces(struct basin *basin, const struct record *record, uint64_t lsn);

#endif
