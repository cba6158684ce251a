/* value_class: what each type of value must be able to do, for value.c alone.
 *
 * Meaning, statuses and ownership are those of the value_ functions of the same name in value.h;
 * free, free_some and memory are called for VALUE_CLAST only.
 */
#ifndef BASIN_ENGINE_VALUE_VALUE_CLASS_H
#define BASIN_ENGINE_VALUE_VALUE_CLASS_H

#include "engine/value/value.h"

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
};

extern const struct value_class text_class;
extern const struct value_class list_class;
extern const struct value_class chunks_class;
extern const struct value_class fields_class;
extern const struct value_class set_class;
extern const struct value_class zset_class;
extern const struct value_class stream_class;

#endif
