/* chunks: ordered collections of content chunks; duplicates are thrown away by content.
 *
 * A chunk's digest is BLAKE3-256 of its bytes. A collection is a list of chunks in arrival order, a
 * set of digests (digest → index) and a filter in the root that answers "certainly new" first,
 * since duplicates are rare. Nothing is ever removed but the whole.
 */
#ifndef BASIN_ENGINE_VALUE_CHUNKS_H
#define BASIN_ENGINE_VALUE_CHUNKS_H

#include "engine/value/value.h"

#define CHUNK_DIGEST_SIZE 32

struct chunk_digest {
    unsigned char bytes[CHUNK_DIGEST_SIZE];
};

struct chunk_digest chunk_digest_of(struct bytes chunk);

struct value chunks_empty(void);
uint64_t chunks_count(const struct value *value);

/* Marks in is_new which of the chunks are neither in the collection nor earlier among these, and
 * gives all digests. Changes nothing. ST_WAIT: a digest page must be read. */
enum status chunks_select(const struct value *value, const struct bytes *chunks, size_t count,
                          struct chunk_digest *digests_out, bool *is_new_out);
/* Appends chunks that chunks_select called new, with their digests. */
enum status chunks_append(struct value *value, const struct bytes *chunks,
                          const struct chunk_digest *digests, size_t count, struct buf *scratch);

/* Index of the chunk with this digest; found_out false: not there. */
enum status chunks_find(const struct value *value, const struct chunk_digest *digest,
                        uint64_t *index_out, bool *found_out);
enum status chunks_at(const struct value *value, uint64_t index, struct value_piece *chunk_out);
/* As list_walk. */
enum status chunks_walk(const struct value *value, uint64_t index, uint64_t count,
                        value_piece_fn fn, void *ctx);
/* Calls fn with CHUNK_DIGEST_SIZE bytes for each of the range. */
enum status chunks_walk_digests(const struct value *value, uint64_t index, uint64_t count,
                                value_piece_fn fn, void *ctx);
bool chunks_check(const struct value *value);

#endif
