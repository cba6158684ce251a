/* chunks_private: what value.c gets of chunk collections through chunks_class, and tests. Statuses,
 * ownership and meaning are those of the value_ functions of the same name. */
#ifndef BASIN_ENGINE_VALUE_CHUNKS_PRIVATE_H
#define BASIN_ENGINE_VALUE_CHUNKS_PRIVATE_H

#include "engine/value/value.h"

/* Appends the body; value_encode has already appended the type. */
enum status chunks_encode(const struct value *value, struct buf *out);
/* `body` is what chunks_encode appended; ST_CORRUPT if it was not. A root is given; packed bytes,
 * if any, lie in scratch or in body. */
enum status chunks_decode(struct bytes body, struct buf *scratch, struct value *value_out);
/* An upper bound of what chunks_encode appends, O(1). */
uint64_t chunks_encoded_max(const struct value *value);
enum status chunks_copy(const struct value *value, struct buf *scratch, struct value *copy_out);
/* Only called with VALUE_CLAST: frees the root and all under it. */
void chunks_free(struct value *value);
/* Only called with VALUE_CLAST. true: all is gone, the root too, and value->root is NULL. */
bool chunks_free_some(struct value *value, size_t parts);
/* Heap bytes under the root, O(1); packed: 0. */
uint64_t chunks_memory(const struct value *value);

#endif
