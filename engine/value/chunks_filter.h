/* chunks_filter: says of a digest "certainly new" or "perhaps there", the former without a look at
 * anything but one cache line or two.
 *
 * A blocked Bloom filter: a digest names one block of 512 bits and seven bits in it. Ten to twenty
 * bits a chunk; about one new digest in a hundred is called "perhaps there" at ten.
 *
 * Full, it is rebuilt at double the size from the digests, in order, a few with each chunk added;
 * meanwhile the full one answers and takes the additions. The pages of a fresh filter are all one
 * shared page of zeros, so beginning one costs no memory.
 *
 * Invariant F1: a digest that was added is never called certainly new. (A digest whose addition was
 * given up may be called "perhaps there".)
 * Thread: the holder of the key's shard. Filters may share pages (parts.h), copied on write.
 */
#ifndef BASIN_ENGINE_VALUE_CHUNKS_FILTER_H
#define BASIN_ENGINE_VALUE_CHUNKS_FILTER_H

#include "engine/value/chunks.h"
#include "engine/value/parts.h"
#include "engine/value/value_class.h"

struct chunks_bloom {
    struct parts pages;
    uint64_t blocks; /* 0: there is none. */
};

struct chunks_filter {
    struct chunks_bloom now;
    struct chunks_bloom next; /* Being built, or none. */
    uint64_t next_count;      /* The digests before this one are in next. */
};

/* An empty filter holds no memory. */
void chunks_filter_init(struct chunks_filter *filter);
void chunks_filter_deinit(struct chunks_filter *filter);
/* Frees at most about `parts` pages; true: none are left. Only this and deinit may follow. */
bool chunks_filter_free_some(struct chunks_filter *filter, size_t parts);
/* Shares the pages. ST_NOMEM, ST_WAIT: copy_out is empty. */
enum status chunks_filter_copy(const struct chunks_filter *filter, struct chunks_filter *copy_out);
uint64_t chunks_filter_memory(const struct chunks_filter *filter);

/* The digest at index, lent until the next change. */
typedef enum status (*chunks_filter_source_fn)(void *ctx, uint64_t index,
                                               const struct chunk_digest **digest_out);
/* Adds digests to a collection that has `count`, which fn knows. On failure some may be in it. */
enum status chunks_filter_add(struct chunks_filter *filter, uint64_t count,
                              const struct chunk_digest *digests, size_t added,
                              chunks_filter_source_fn fn, void *ctx);

/* Calls fn for both tables; see value_class.h. */
enum status chunks_filter_tables(struct chunks_filter *filter, value_table_fn fn, void *ctx);
/* Root form: v blocks of now, v blocks of next, v next_count, both tables. */
enum status chunks_filter_store(const struct chunks_filter *filter, struct buf *out);
/* count: of the collection. */
enum status chunks_filter_load(struct chunks_filter *filter, uint64_t count, struct bytes *in,
                               uint64_t clast);

/* False: certainly new. ST_WAIT as parts_get. */
enum status chunks_filter_ask(const struct chunks_filter *filter, const struct chunk_digest *digest,
                              bool *perhaps_out);

#endif
