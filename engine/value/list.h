/* list: list values. Packed (a packed block, see packed.h) up to list-max-listpack-size, then a
 * clast: a counted B+tree of parts of about 4 KiB by position (see clast.h). Every operation at a
 * position costs O(log n), whichever end it is nearer to. Elements longer than half a part lie in
 * overflow parts, so they travel without a copy.
 *
 * Growing changes become a clast where Redis 7.2 would leave the listpack; shrinking ones become
 * packed again at half the limit that the last growing change saw. Functions that change a list
 * answer ST_NOMEM, ST_WAIT, or ST_LIMIT for an element beyond 2 GiB, and have then changed nothing.
 */
#ifndef BASIN_ENGINE_VALUE_LIST_H
#define BASIN_ENGINE_VALUE_LIST_H

#include "engine/value/value.h"

enum list_side { LIST_LEFT = 0, LIST_RIGHT = 1 };

/* An empty list, packed. */
struct value list_empty(void);
uint64_t list_count(const struct value *value);
/* index < count. */
enum status list_at(const struct value *value, uint64_t index, struct value_piece *element_out);
/* Calls fn for count elements from index on, towards the right, or towards the left if backwards.
 * The range lies within the list. */
enum status list_walk(const struct value *value, uint64_t index, uint64_t count, bool backwards,
                      value_piece_fn fn, void *ctx);

/* Calls fn with the index of each element of such a range that equals `wanted`, in the order of the
 * walk. A status other than ST_OK of fn ends the search and is returned. */
typedef enum status (*list_found_fn)(void *ctx, uint64_t index);
enum status list_search(const struct value *value, uint64_t index, uint64_t count, bool backwards,
                        struct bytes wanted, list_found_fn fn, void *ctx);

/* Pushes one after the other: LPUSH a b leaves b leftmost. */
enum status list_push(struct value *value, enum list_side side, const struct bytes *elements,
                      size_t count, const struct value_limits *limits, struct buf *scratch);
/* Removes count ≤ list_count elements from that side. */
enum status list_pop(struct value *value, enum list_side side, uint64_t count, struct buf *scratch);
enum status list_set(struct value *value, uint64_t index, struct bytes element,
                     const struct value_limits *limits, struct buf *scratch);
/* The new element gets this index ≤ list_count. */
enum status list_insert(struct value *value, uint64_t index, struct bytes element,
                        const struct value_limits *limits, struct buf *scratch);
/* Removes these ascending indexes, numbered as before the first removal. */
enum status list_remove(struct value *value, const uint64_t *indexes, size_t count,
                        struct buf *scratch);
/* Keeps [first, first + count). */
enum status list_trim(struct value *value, uint64_t first, uint64_t count, struct buf *scratch);

/* Walks the whole structure and its counts; for tests and CHECK_SLOW. */
bool list_check(const struct value *value);

#endif
