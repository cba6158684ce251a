/* set: set values. Members are different from each other.
 *
 *   packed, integers  a block of sorted integers (set_ints.h)
 *   packed, any       a packed block (packed.h), in the order in which members came
 *   clast             one hashed tree whose elements are the members themselves
 *
 * A set is told from outside by the encoding that Redis 7.2 would give it, and changes it where
 * Redis does: "intset" as long as all members are canonical integers and there are no more than
 * set-max-intset-entries, "listpack" within set-max-listpack-entries and -value, else "hashtable";
 * never back by shrinking. The shape follows: a hashtable is a clast, the others are packed, unless
 * the limits are set so high that a block would pass SET_PACKED_MAX: such a set is a clast that
 * still answers to its name. A set that is read from its encoded form takes the encoding that its
 * content calls for.
 *
 * Every member has a rank, 0 … count - 1, that stays while nothing changes. All hashed trees of a
 * store have one seed, so the members of two large sets come in one order, nearly: a walk over one
 * that looks each member up in the other goes through memory from left to right in both.
 *
 * Operations (value_apply; numbers on disk), payload: one or more of (varint size, member)
 *   SET_OP_ADD     counts the members that were new
 *   SET_OP_REMOVE  counts those that were there
 * Encoded body: varint count, then for each member varint size, the bytes; in the order of a walk.
 *
 * Thread: the holder of the key's shard.
 */
#ifndef BASIN_ENGINE_VALUE_SET_H
#define BASIN_ENGINE_VALUE_SET_H

#include "engine/value/value.h"

enum set_op { SET_OP_ADD = 48, SET_OP_REMOVE = 49 };

/* In the order in which a set passes through them. */
enum set_encoding { SET_INTSET, SET_LISTPACK, SET_HASHTABLE };

/* No block of a set is larger, whatever the configuration says. */
#define SET_PACKED_MAX (64u * 1024)

/* A member that is sought, perhaps in several sets: what they need of it is found out once. */
struct set_probe {
    struct bytes member;
    bool parsed, is_integer, hashed;
    int64_t integer;
    uint64_t seed, hash;
};

static inline struct set_probe set_probe_of(struct bytes member)
{
    return (struct set_probe){.member = member};
}

struct value set_empty(void);
uint64_t set_count(const struct value *value);
enum set_encoding set_encoding(const struct value *value);

enum status set_has(const struct value *value, struct set_probe *probe, bool *has_out);
/* The same; *rank_out is only written if it is there. */
enum status set_rank(const struct value *value, struct set_probe *probe, uint64_t *rank_out,
                     bool *has_out);

/* The member with this rank < count; that of an integer is written into room, INT64_TEXT_MAX bytes.
 */
enum status set_at(const struct value *value, uint64_t rank, char *room,
                   struct value_piece *member_out);
/* Calls fn for count members from a rank on; the range lies within the set. A piece without a part
 * may be gone when fn returns. */
enum status set_walk(const struct value *value, uint64_t rank, uint64_t count, value_piece_fn fn,
                     void *ctx);
/* Cursors as clast_scan's. A packed set is given whole, whatever the cursor. */
enum status set_scan(const struct value *value, uint64_t cursor, uint64_t count, value_piece_fn fn,
                     void *ctx, uint64_t *cursor_out);

/* -- Whole results: members one after the other, known or not to be different -------------------
 */

#define SET_BATCH_MAX 256

struct set_batch_row {
    uint64_t hash;
    struct bytes member;
};

/* A set while it changes; for the files of the set alone. */
struct set_work {
    struct value value;
    const struct value_limits *limits;
    struct buf *scratch;
    size_t start; /* own: where in scratch the block lies, which ends it. */
    bool own;     /* The block is a copy that may be changed where it is. */
    bool changed;
};

/* Members that lie in parts are gathered and enter a tree in its order, which is quick and leaves
 * its leaves full. */
struct set_builder {
    struct set_work work;
    enum set_encoding encoding; /* To begin with. */
    bool begun;
    struct buf batch; /* struct set_batch_row */
};

/* Begins with no member and this encoding, from which it goes on as a set does that grows. scratch
 * is for this builder alone until set_builder_end. */
void set_builder_begin(struct set_builder *builder, enum set_encoding encoding,
                       const struct value_limits *limits, struct buf *scratch);
/* A piece with a part lends its bytes until set_builder_end. */
enum status set_builder_add(struct set_builder *builder, struct value_piece member);
/* The bytes are lent until set_builder_end, and not in scratch, unless it has room for all. */
enum status set_builder_add_lasting(struct set_builder *builder, struct bytes member);
/* Gives the set, or drops it if status is not ST_OK; returns what became of it. integers_back: if
 * all members are integers and few enough, the set is an intset whatever it began as. */
enum status set_builder_end(struct set_builder *builder, enum status status, bool integers_back,
                            struct value *value_out);

/* Walks the whole structure; for tests and CHECK_SLOW. */
bool set_check(const struct value *value);

#endif
