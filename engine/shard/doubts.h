/* doubts: which keys of a partition were written without a look whether they are on disk, by hash,
 * so that whoever must know how many keys there are need not walk all that is in memory.
 *
 * A hash is added with the entry, and stays until shard_sift finds that nothing is in doubt any
 * more. What the sweep of a dropped namespace frees leaves its hash behind until then.
 * Thread: the holder of the shard. Memory: 8 bytes a hash, up to half as much again to spare.
 */
#ifndef BASIN_ENGINE_SHARD_DOUBTS_H
#define BASIN_ENGINE_SHARD_DOUBTS_H

#include "engine/base/status.h"

#include <stdint.h>

struct doubts {       /* All zeros: none. */
    uint64_t *hashes; /* In the order in which they came. */
    uint32_t count, capacity;
};

void doubts_deinit(struct doubts *doubts);
/* Room for one more, so that a change can be prepared before it is made. */
enum status doubts_reserve(struct doubts *doubts);
/* Needs a doubts_reserve since the last one. */
void doubts_add(struct doubts *doubts, uint64_t hash);
/* Keeps the first `count`; gives memory back where much is free. */
void doubts_cut(struct doubts *doubts, uint32_t count);

#endif
