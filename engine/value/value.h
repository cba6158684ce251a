/* value: what a key holds, in one of two shapes.
 *
 *   packed  one block of bytes that lives inside the memtable's entry
 *   clast   a root on the heap and numbered parts of about 4 KiB under it
 *
 * A struct value is a view that travels by value: packed bytes are lent by the entry (until it
 * changes) or by the scratch buffer of the call that made them; a root is owned by whoever holds
 * the view that will be stored. Functions that change a value take `struct value *` and a scratch
 * buffer: on ST_OK the view holds the new state (packed bytes then lie in scratch, or in the
 * arguments given), which the caller stores in the entry; on failure nothing has changed.
 * A scratch buffer is appended to, never cleared; a view whose bytes lie in it may be changed again
 * with the same buffer, but other views into it are stale once it has grown: two values that are
 * changed at a time need two buffers. Bytes given to a change must not lie in a part of the same
 * value, unless the caller holds a reference of that part.
 * A read that meets a part that is not in memory answers ST_WAIT. (All parts are resident today.)
 *
 * Thread: the holder of the key's shard.
 */
#ifndef BASIN_ENGINE_VALUE_VALUE_H
#define BASIN_ENGINE_VALUE_VALUE_H

#include "engine/base/bytes.h"
#include "engine/value/part.h"

/* Numbers are on disk. */
enum value_type { VALUE_NONE = 0, VALUE_STRING = 1, VALUE_LIST = 2, VALUE_CHUNKS = 3 };
enum value_shape { VALUE_PACKED = 0, VALUE_CLAST = 1 };

struct value {
    enum value_type type;
    enum value_shape shape;
    struct bytes packed; /* VALUE_PACKED */
    void *root;          /* VALUE_CLAST: struct text, list or chunks, by type */
};

/* From configuration; read at each change, so CONFIG SET acts on the next one. */
struct value_limits {
    int64_t list_max_listpack_size; /* As Redis: positive entries, negative -1..-5 = 4..64 KiB. */
};

/* A piece of a value. part NULL: data is lent as the value's packed bytes are. Otherwise the
 * receiver may part_ref it and keep data beyond the lock. */
struct value_piece {
    struct bytes data;
    struct part *part;
};
/* A status other than ST_OK ends the walk and is returned. */
typedef enum status (*value_piece_fn)(void *ctx, struct value_piece piece);

/* Appends the whole content, self-contained: for RECORD_PUT and COPY. Starts with u8 type. */
enum status value_encode(const struct value *value, struct buf *out);
/* The other way; a root is given, packed bytes lie in scratch or in `bytes`. ST_CORRUPT: not
 * written by value_encode. */
enum status value_decode(struct bytes bytes, const struct value_limits *limits, struct buf *scratch,
                         struct value *value_out);
/* An upper bound of what value_encode appends, O(1). */
uint64_t value_encoded_max(const struct value *value);

/* A second value with the same content; a clast may share parts until one side changes them. */
enum status value_copy(const struct value *value, struct buf *scratch, struct value *copy_out);

/* Frees a clast's root and parts; packed: nothing. */
void value_free(struct value *value);
/* Frees at most about `parts` parts of it; true: all is gone. For huge values, in slices. */
bool value_free_some(struct value *value, size_t parts);

/* Heap bytes under the root, O(1); packed: 0 (the entry counts it). */
uint64_t value_memory(const struct value *value);

#endif
