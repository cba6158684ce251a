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
 * A large value may lie on disk part by part (root.h). A read that meets a part that is not in
 * memory answers ST_WAIT; what it needs is noted (parts_take_misses), and it is called again once
 * that is there.
 *
 * Thread: the holder of the key's shard.
 */
#ifndef BASIN_ENGINE_VALUE_VALUE_H
#define BASIN_ENGINE_VALUE_VALUE_H

#include "engine/base/bytes.h"
#include "engine/value/part.h"

/* Numbers are on disk. */
enum value_type {
    VALUE_NONE = 0,
    VALUE_STRING = 1,
    VALUE_LIST = 2,
    VALUE_CHUNKS = 3,
    VALUE_HASH = 4,
    VALUE_SET = 5,
    VALUE_ZSET = 6,
    VALUE_STREAM = 7,
};
#define VALUE_TYPES 8
enum value_shape { VALUE_PACKED = 0, VALUE_CLAST = 1 };

struct value {
    enum value_type type;
    enum value_shape shape;
    struct bytes packed; /* VALUE_PACKED */
    void *root;          /* VALUE_CLAST: struct text, list, hash …, by type */
};

/* From configuration; read at each change, so CONFIG SET acts on the next one. */
struct value_limits {
    int64_t list_max_listpack_size; /* As Redis: positive entries, negative -1..-5 = 4..64 KiB. */
    /* Up to so many entries (fields, members), none longer than so many bytes, a value is packed.
     */
    int64_t hash_max_listpack_entries, hash_max_listpack_value;
    int64_t set_max_intset_entries, set_max_listpack_entries, set_max_listpack_value;
    int64_t zset_max_listpack_entries, zset_max_listpack_value;
    int64_t stream_node_max_bytes, stream_node_max_entries; /* Of a node; 0: no limit. */
    uint64_t hash_seed; /* Of hashed clasts; the store's own, the same for its whole life. */
};

/* A piece of a value. part NULL: data is lent as the value's packed bytes are. Otherwise the
 * receiver may part_ref it and keep data beyond the lock. */
struct value_piece {
    struct bytes data;
    struct part *part;
};
/* A status other than ST_OK ends the walk and is returned. */
typedef enum status (*value_piece_fn)(void *ctx, struct value_piece piece);

/* Lent forever: "string", "list", "hash" …, as TYPE answers; "none" for VALUE_NONE. */
const char *value_type_name(enum value_type type);
/* What Redis 7.2 would call the value's encoding; lent forever. */
const char *value_encoding(const struct value *value, const struct value_limits *limits);
/* A value of a type that is built, without content, packed. */
struct value value_empty(enum value_type type);
/* Whether the value holds nothing and so goes together with its key. */
bool value_vanishes(const struct value *value);

/* -- Logged changes of the newer types: one code for the live command and for replay -------------
 *
 * An operation and its payload are what the log carries; the header of each type lists its own. The
 * answer is a function of value, operation, payload and limits alone: no clock, no chance. */

/* Numbers are on disk, and are those of the log's records: 16 for each type. */
#define VALUE_OP_FIRST 32
#define VALUE_OP_TYPE(op) ((enum value_type)((op) / 16 + 2)) /* 32 … hash, 48 … set, … */
#define VALUE_OP_LAST 95
static_assert(VALUE_OP_TYPE(32) == VALUE_HASH && VALUE_OP_TYPE(95) == VALUE_STREAM);

struct value_change {
    bool changed;    /* The value is another than before. */
    uint64_t count;  /* What the operation counts: elements that were new, removed, … */
    size_t consumed; /* Payload bytes whose effects stand although the answer is not ST_OK: whole
                        elements from the front. Those not consumed have changed nothing. */
};

/* ST_CORRUPT: no payload that our own code writes (the value is then unfit for further use).
 * ST_WAIT: a part must be read, nothing has changed. ST_NOMEM, ST_LIMIT: see consumed. */
enum status value_apply(struct value *value, unsigned op, struct bytes payload,
                        const struct value_limits *limits, struct buf *scratch,
                        struct value_change *change_out);

/* Appends the whole content, self-contained: for RECORD_PUT and COPY. Starts with u8 type. */
enum status value_encode(const struct value *value, struct buf *out);
/* The other way; a root is given, packed bytes lie in scratch or in `bytes`. ST_CORRUPT: not
 * written by value_encode, or a value that vanishes, which no key holds. */
enum status value_decode(struct bytes bytes, const struct value_limits *limits, struct buf *scratch,
                         struct value *value_out);
/* An upper bound of what value_encode appends, O(1). */
uint64_t value_encoded_max(const struct value *value);

/* A second value with the same content; a clast shares parts until one side changes them, and so
 * needs all of them in memory: ST_WAIT, with many of those that are missing noted. */
enum status value_copy(const struct value *value, struct buf *scratch, struct value *copy_out);

/* Frees a clast's root and parts, whether they are in memory or not; packed: nothing. */
void value_free(struct value *value);
/* Frees at most about `parts` parts of it; true: all is gone. For huge values, in slices. */
bool value_free_some(struct value *value, size_t parts);

/* Heap bytes under the root, of what is in memory, O(1); packed: 0 (the entry counts it). */
uint64_t value_memory(const struct value *value);

#endif
