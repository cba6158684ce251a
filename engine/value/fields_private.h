/* fields_private: what the files of hash values share.
 *
 *     fields.c       reading
 *     fields_root.c  one field of a clast at a time
 *     fields_edit.c  the operations
 *     fields_code.c  encoded form, copies, the class
 */
#ifndef BASIN_ENGINE_VALUE_FIELDS_PRIVATE_H
#define BASIN_ENGINE_VALUE_FIELDS_PRIVATE_H

#include "engine/value/clast.h"
#include "engine/value/fields.h"
#include "engine/value/packed.h"
#include "engine/value/value_class.h"

/* Whatever the configuration says, a block is no larger. */
#define FIELDS_PACKED_MAX (64u * 1024)
/* The first entry of an expiring block: its size, the time, its back-size. */
#define FIELDS_STAMP_SIZE 10
#define FIELDS_TIME_SIZE 8
#define FIELDS_DUE_SIZE 16

struct fields {
    struct value_root head;
    struct clast clast;
    struct clast due;
    int64_t earliest_ms; /* FIELDS_NEVER: none. */
    int64_t gone_ms;     /* When the last field expires; FIELDS_NEVER: not all of them do. */
    int64_t noted_ms;    /* fields_noted */
    bool expiring;       /* A field has had an expiry since it was made. */
    bool small;          /* Only its size as a block keeps it from being packed. */
};

extern const struct clast_order fields_order;

static inline struct fields *fields_root(const struct value *value)
{
    return value->shape == VALUE_CLAST ? value->root : NULL;
}

static inline struct value fields_packed(struct bytes block)
{
    return (struct value){VALUE_HASH, VALUE_PACKED, block, NULL};
}

static inline struct value fields_clast(struct fields *root)
{
    return (struct value){VALUE_HASH, VALUE_CLAST, BYTES_NONE, root};
}

/* -- Blocks ------------------------------------------------------------------------------------ */

static inline bool block_expiring(struct bytes block)
{
    return packed_count(block) % 2 == 1;
}
static inline uint64_t block_fields(struct bytes block)
{
    return packed_count(block) / 2;
}
/* Where the first field begins. */
static inline size_t block_begin(struct bytes block)
{
    return PACKED_HEADER_SIZE + (block_expiring(block) ? FIELDS_STAMP_SIZE : 0);
}
int64_t block_earliest(struct bytes block);
/* The item that begins at *offset, which moves to the next; *offset < block.size. */
struct field_item block_next(struct bytes block, size_t *offset);

/* -- Elements of the clast --------------------------------------------------------------------- */

/* False: no element of ours (the hash of arbitrary bytes may be asked for). */
bool field_element_parse(struct value_piece element, struct field_item *item_out);

/* An empty root. NULL: no memory. */
struct fields *fields_new(uint64_t seed);
void fields_drop(struct fields *root); /* NULL is fine. */

/* Where the field is, or belongs. hash: hash_element of the field. */
enum status fields_seek(const struct fields *root, struct bytes field, uint64_t hash,
                        struct clast_path *path_out, bool *found_out);
/* Whether a field with this hash expires at that time; H1's "once each" where hashes collide. */
enum status fields_seek_time(const struct fields *root, uint64_t hash, int64_t expiry_ms,
                             struct clast_path *path_out, bool *found_out);

void field_due_store(unsigned char *p, int64_t expiry_ms, uint64_t hash);

/* -- fields_root.c: ST_NOMEM, ST_LIMIT: nothing has changed; ST_WAIT: maybe something has, as only
 * happens where parts are absent. Scratch is for their own use, and has the size it had afterwards.
 * They do not keep H2: see fields_settle.
 * ---------------------------------------------------------- */

/* expiry_ms may be FIELDS_KEEP_EXPIRY. */
enum status fields_root_put(struct fields *root, struct bytes field, struct bytes data,
                            int64_t expiry_ms, struct buf *scratch, bool *new_out);
enum status fields_root_expire(struct fields *root, struct bytes field, int64_t new_ms,
                               struct buf *scratch, bool *changed_out);
enum status fields_root_remove(struct fields *root, struct bytes field, bool *removed_out);
/* H2. ST_WAIT. */
enum status fields_settle(struct fields *root);

/* -- fields_edit.c ------------------------------------------------------------------------------
 */

/* Whether a hash of so many fields, the longest field or value so long, is packed in Redis. */
bool fields_fit(uint64_t count, uint64_t longest, const struct value_limits *limits);

enum status fields_apply(struct value *value, unsigned op, struct bytes payload,
                         const struct value_limits *limits, struct buf *scratch,
                         struct value_change *change_out);

#endif
