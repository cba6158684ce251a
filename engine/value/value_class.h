/* value_class: what each type of value must be able to do, for value.c and root.c alone.
 *
 * Meaning, statuses and ownership are those of the value_ functions of the same name in value.h;
 * free, free_some and memory are called for VALUE_CLAST only, and so is all that begins with
 * tables.
 */
#ifndef BASIN_ENGINE_VALUE_VALUE_CLASS_H
#define BASIN_ENGINE_VALUE_VALUE_CLASS_H

#include "engine/value/parts.h"
#include "engine/value/value.h"

/* The first member of every root. */
struct value_root {
    uint32_t table_last; /* The last table number that was given out. */
    bool changed;        /* Scalars may differ from those that were captured last. */
};

/* After a change of what the value is. */
static inline void value_touch(const struct value *value)
{
    if (value->shape == VALUE_CLAST) {
        ((struct value_root *)value->root)->changed = true;
    }
}

/* A status other than ST_OK ends the walk and is returned. */
typedef enum status (*value_table_fn)(void *ctx, struct parts *parts);

struct value_class {
    const char *name;
    struct value (*empty)(void);
    bool (*vanishes)(const struct value *value);
    const char *(*encoding)(const struct value *value, const struct value_limits *limits);
    /* Appends the body; value_encode has already appended the type. */
    enum status (*encode)(const struct value *value, struct buf *out);
    /* body: what encode appended; else ST_CORRUPT. It may lie in scratch. */
    enum status (*decode)(struct bytes body, const struct value_limits *limits, struct buf *scratch,
                          struct value *value_out);
    uint64_t (*encoded_max)(const struct value *value); /* Of the body. */
    enum status (*copy)(const struct value *value, struct buf *scratch, struct value *copy_out);
    void (*free)(struct value *value);
    bool (*free_some)(struct value *value, size_t parts);
    uint64_t (*memory)(const struct value *value);
    /* NULL: the type has no operations of this kind. */
    enum status (*apply)(struct value *value, unsigned op, struct bytes payload,
                         const struct value_limits *limits, struct buf *scratch,
                         struct value_change *change_out);
    /* Calls fn for each part table of the root, always in the same order; the first is there as
     * long as the root. */
    enum status (*tables)(void *root, value_table_fn fn, void *ctx);
    /* Appends scalars and tables of the root form. */
    enum status (*store)(const struct value *value, struct buf *out);
    /* Takes them; the head of the root is zero. ST_CORRUPT, ST_NOMEM: no root is given. */
    enum status (*load)(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                        void **root_out);
    /* NULL, or: tables that ended with grains on disk since the last capture. */
    struct parts_numbers **(*dropped)(void *root);
    /* NULL, or: parts came or went without a change of the value; sums of memory follow. */
    void (*recount)(void *root);
};

/* NULL: there is no such type. */
const struct value_class *value_class_of(enum value_type type);

extern const struct value_class text_class;
extern const struct value_class list_class;
extern const struct value_class chunks_class;
extern const struct value_class fields_class;
extern const struct value_class set_class;
extern const struct value_class zset_class;
extern const struct value_class stream_class;

#endif
