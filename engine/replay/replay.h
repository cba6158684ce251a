/* replay: the log's stream → the shards, at start.
 *
 * One reader takes records from the stream, puts groups together (a group that the log cuts off is
 * dropped whole, W2) and deals each effect to the committer of its shard; committers apply in the
 * order of the log. Effects on the map of databases are a barrier: all before them are applied
 * first. Source: the user's write-log document (dispatcher and key committers). Thread: replay_run
 * returns when all committers have ended; nobody else uses the store meanwhile.
 */
#ifndef BASIN_ENGINE_REPLAY_REPLAY_H
#define BASIN_ENGINE_REPLAY_REPLAY_H

#include "engine/txn/store.h"

/* Replays basin->log from its start. end_lsn_out: where the last whole group ended. ST_CORRUPT: a
 * sound frame holds what no version of this server wrote, or the log is damaged; logged. */
enum status replay_run(struct basin *basin, unsigned committers, uint64_t *end_lsn_out);

#endif
