/* slab: memory for entries, by size class, without a header an allocation.
 *
 * Classes are 8 bytes apart up to SLAB_STEP_MAX and then about 1/16 of their size (1/8 near the
 * end), up to SLAB_SIZE_MAX; beyond it malloc. Slabs of SLAB_PAGE_SIZE are aligned, so a pointer
 * finds its slab, and an empty slab goes back to the system (but for two that are kept warm). Why
 * not malloc: 16-byte steps and an 8-byte header cost about 16 bytes an entry, a third of what
 * Basin spends on a key. Source: J. Bonwick, "The slab allocator", USENIX 1994. Thread: the holder
 * of the shard. Memory: `used` is what was asked for, rounded to its class, `held` what the system
 * gave and has not got back.
 */
#ifndef BASIN_ENGINE_SHARD_SLAB_H
#define BASIN_ENGINE_SHARD_SLAB_H

#include "engine/base/bytes.h"

#define SLAB_PAGE_SIZE 65536
#define SLAB_STEP_MAX 512
#define SLAB_SIZE_MAX 8192

struct slab; /* opaque */

enum status slab_new(struct slab **slab_out);
/* Frees every page, whatever is still in it (larger allocations must have been freed). */
void slab_free(struct slab *slab);

/* Given, aligned to 8. NULL: no memory. size > 0. */
void *slab_take(struct slab *slab, size_t size);
/* size is the one it was taken with, or another of its class. */
void slab_give(struct slab *slab, void *memory, size_t size);
/* True if both sizes would occupy the same room, so that a change needs no move. */
bool slab_same_class(size_t a, size_t b);

uint64_t slab_used(const struct slab *slab);
uint64_t slab_held(const struct slab *slab);

#endif
