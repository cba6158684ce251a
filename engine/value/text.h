/* text: string values. Packed up to TEXT_PACKED_MAX bytes, then a clast of byte segments of
 * TEXT_SEGMENT_SIZE, of which all but the last are full, so that SETRANGE in the middle of a large
 * string touches one segment and GET sends segments without a copy. (A packed text is its bytes.)
 */
#ifndef BASIN_ENGINE_VALUE_TEXT_H
#define BASIN_ENGINE_VALUE_TEXT_H

#include "engine/value/value.h"

#define TEXT_PACKED_MAX 4096
#define TEXT_SEGMENT_SIZE 16384

/* A new value with these bytes. Packed: borrows them, they must live until it is stored. */
enum status text_make(struct bytes bytes, struct value *value_out);
uint64_t text_size(const struct value *value);
/* Appends [offset, offset + size) to out; the range lies within the text. */
enum status text_read(const struct value *value, uint64_t offset, uint64_t size, struct buf *out);
/* The same, piece by piece, without a copy. */
enum status text_pieces(const struct value *value, uint64_t offset, uint64_t size,
                        value_piece_fn fn, void *ctx);
/* Overwrites from offset on, growing with zeros as needed; offset == size appends. Without bytes
 * nothing changes, wherever offset lies. ST_LIMIT: the end would lie beyond 1 TiB. */
enum status text_write(struct value *value, uint64_t offset, struct bytes bytes,
                       struct buf *scratch);

#endif
