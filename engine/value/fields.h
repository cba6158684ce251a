/* fields: hash values: fields, each with a value and maybe with a time at which it expires.
 *
 *   packed  a packed block (packed.h) in the order in which the fields came:
 *             plain     field, value, field, value …
 *             expiring  i64 earliest expiry, then field, {i64 expiry, value} …
 *           An expiring block has an odd count of entries, so the two are told apart. A block
 *           becomes expiring with the first expiry of a field and stays so.
 *   clast   a root with two counted B+trees (clast.h), fields by hash and times in order:
 *             element   varint (field size << 1 | has expiry), i64 expiry if so, field, value
 *             due       big-endian expiry, hash of the field: 16 bytes a field that expires
 *
 * A hash leaves packed where Redis would (hash-max-listpack-entries, -value) or where its block
 * would pass 64 KiB, and never comes back; it is named as Redis would name it either way.
 *
 * Times are Unix milliseconds, INT64_MAX never comes. A field whose time has come is still stored
 * until FIELDS_REMOVE takes it out, but who asks with a now_ms does not see it. Nothing here reads
 * a clock.
 *
 * Invariants, cited by number in checks and tests:
 *   H1  `due` holds exactly the {time, hash} of the fields that expire, once each.
 *   H2  The earliest expiry, in a block or a root, is that of its fields.
 *   H3  No two fields are equal.
 * Functions that read answer ST_WAIT for parts that are not in memory.
 */
#ifndef BASIN_ENGINE_VALUE_FIELDS_H
#define BASIN_ENGINE_VALUE_FIELDS_H

#include "engine/value/value.h"

#define FIELDS_NO_EXPIRY (-1)
#define FIELDS_KEEP_EXPIRY (-2)
#define FIELDS_NEVER INT64_MAX

/* Operations: numbers and payloads are on disk; v = varint. */
enum fields_op {
    /* (v (field size << 2 | how), i64 expiry if how is FIELDS_TIMED, v value size, field, value) …
     * Counts the fields that are new. */
    FIELDS_PUT = 32,
    /* (v size, field) … Counts those that were there. */
    FIELDS_REMOVE = 33,
    /* (v (field size << 1 | timed), i64 expiry if timed, field) … Fields that are not there are
     * passed over. Counts those whose expiry is another than before. */
    FIELDS_EXPIRE = 34,
};
enum fields_how { FIELDS_FOREVER = 0, FIELDS_KEEPING = 1, FIELDS_TIMED = 2 };

/* Pieces are lent as value_piece says. */
struct field_item {
    struct value_piece field, value;
    int64_t expiry_ms; /* FIELDS_NO_EXPIRY: none. */
};
typedef enum status (*field_item_fn)(void *ctx, const struct field_item *item);

/* An empty hash, packed. */
struct value fields_empty(void);
/* All that are stored, those whose time has come included. O(1). */
uint64_t fields_count(const struct value *value);
/* Those whose time has not come. O(log n); a packed one is walked if some may be due. */
enum status fields_live_count(const struct value *value, uint64_t now_ms, uint64_t *count_out);
/* FIELDS_NEVER: no field expires. O(1). */
int64_t fields_earliest(const struct value *value);
/* Whether the time of every field has come. */
bool fields_gone(const struct value *value, uint64_t now_ms);
/* Whether an item's time has come. */
static inline bool field_is_due(const struct field_item *item, uint64_t now_ms)
{
    return item->expiry_ms != FIELDS_NO_EXPIRY && item->expiry_ms <= (int64_t)now_ms;
}

/* *found_out false: not there, or its time has come. */
enum status fields_find(const struct value *value, struct bytes field, uint64_t now_ms,
                        struct field_item *item_out, bool *found_out);
/* The item with this index < fields_count, due or not; the order stays as long as nothing changes.
 */
enum status fields_at(const struct value *value, uint64_t index, struct field_item *item_out);
/* Calls fn for all whose time has not come. */
enum status fields_walk(const struct value *value, uint64_t now_ms, field_item_fn fn, void *ctx);
/* The same for at least `count` of those stored, from the cursor on; 0 begins and ends. A packed
 * hash is given whole. Cursors stay below 2^48 and promise what clast_scan promises. */
enum status fields_scan(const struct value *value, uint64_t now_ms, uint64_t cursor, uint64_t count,
                        field_item_fn fn, void *ctx, uint64_t *cursor_out);
/* Calls fn for at most `max` fields whose time has come, in a clast the earliest first. */
enum status fields_due(const struct value *value, uint64_t now_ms, size_t max, field_item_fn fn,
                       void *ctx);

/* For the shard, which keeps a heap of times: the time that it was last told of for this value. Of
 * a packed hash it is the earliest; a root remembers. */
int64_t fields_noted(const struct value *value);
void fields_note(struct value *value);

/* Walks everything: H1 … H3 and the shape; for tests and CHECK_SLOW. */
bool fields_check(const struct value *value);

#endif
