/* chunks_root: the large shape of a chunk collection. For chunks.c alone.
 *
 *     list      the chunks, in order                 (clast.h)
 *     digests   128 of them a part, in order
 *     set       32 bits of a digest → index          (chunks_set.h)
 *     filter    "certainly new"                      (chunks_filter.h)
 *
 * A search asks the filter, then the set, and reads a digest only to verify a candidate; so of
 * chunks that are new, all but one in a hundred are known to be new without a digest being read.
 * All four are made of parts and share them with copies until one side changes them.
 * Thread: the holder of the key's shard.
 */
#ifndef BASIN_ENGINE_VALUE_CHUNKS_ROOT_H
#define BASIN_ENGINE_VALUE_CHUNKS_ROOT_H

#include "engine/value/chunks.h"
#include "engine/value/chunks_filter.h"
#include "engine/value/chunks_set.h"
#include "engine/value/clast.h"

struct chunks {
    struct value_root head;
    struct clast list;
    struct parts digests;
    struct chunks_set set;
    struct chunks_filter filter;
};

static inline bool chunk_digest_equal(const struct chunk_digest *a, const struct chunk_digest *b)
{
    return memcmp(a->bytes, b->bytes, CHUNK_DIGEST_SIZE) == 0;
}

/* Given, empty. NULL: no memory. */
struct chunks *chunks_root_new(void);
void chunks_root_free(struct chunks *chunks);
/* Frees at most about `parts` of each kind; true: only the root itself is left, to be freed. */
bool chunks_root_free_some(struct chunks *chunks, size_t parts);
/* ST_NOMEM, ST_WAIT: nothing was made. */
enum status chunks_root_copy(const struct chunks *chunks, struct chunks **copy_out);
uint64_t chunks_root_memory(const struct chunks *chunks);

/* Appends chunks that are not there yet, with their digests. ST_NOMEM, ST_LIMIT, ST_WAIT: the
 * collection is what it was. */
enum status chunks_root_append(struct chunks *chunks, const struct bytes *data,
                               const struct chunk_digest *digests, size_t count);
enum status chunks_root_find(const struct chunks *chunks, const struct chunk_digest *digest,
                             uint64_t *index_out, bool *found_out);
/* The digest at index < count, lent as its part is. */
enum status chunks_root_digest(const struct chunks *chunks, uint64_t index,
                               const struct chunk_digest **digest_out, struct part **part_out);

/* Of the class. Root form: the list's clast, the table of digests, the set, the filter. */
enum status chunks_root_tables(void *root, value_table_fn fn, void *ctx);
enum status chunks_root_store(const struct value *value, struct buf *out);
enum status chunks_root_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out);

/* The form of everything, but not what it says of the chunks. */
bool chunks_root_check(const struct chunks *chunks);

#endif
