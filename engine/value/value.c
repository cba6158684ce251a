/* The encoded form, little-endian:
 *
 *   0 u8 type (enum value_type), then by type
 *   STRING   the bytes, to the end
 *   LIST     varint count of elements, then for each: varint size, the bytes
 *   others   as the file of their class says, beginning with a varint count
 *
 * A varint is LEB128: 7 bits a byte, low first, in the shortest form. Nothing follows the last
 * element. The shape is not encoded: it follows from content and configuration when it is read.
 */
#include "engine/value/value.h"

#include "engine/base/check.h"
#include "engine/value/value_class.h"

static const struct value_class *const classes[VALUE_TYPES] = {
    [VALUE_STRING] = &text_class,   [VALUE_LIST] = &list_class, [VALUE_CHUNKS] = &chunks_class,
    [VALUE_HASH] = &fields_class,   [VALUE_SET] = &set_class,   [VALUE_ZSET] = &zset_class,
    [VALUE_STREAM] = &stream_class,
};

const struct value_class *value_class_of(enum value_type type)
{
    return (unsigned)type < VALUE_TYPES ? classes[type] : NULL;
}

static const struct value_class *class_of(const struct value *value)
{
    CHECK(value->type < VALUE_TYPES && classes[value->type] != NULL);
    return classes[value->type];
}

const char *value_type_name(enum value_type type)
{
    return type < VALUE_TYPES && classes[type] != NULL ? classes[type]->name : "none";
}

const char *value_encoding(const struct value *value, const struct value_limits *limits)
{
    return class_of(value)->encoding(value, limits);
}

struct value value_empty(enum value_type type)
{
    CHECK(type < VALUE_TYPES && classes[type] != NULL);
    return classes[type]->empty();
}

bool value_vanishes(const struct value *value)
{
    return class_of(value)->vanishes(value);
}

enum status value_apply(struct value *value, unsigned op, struct bytes payload,
                        const struct value_limits *limits, struct buf *scratch,
                        struct value_change *change_out)
{
    *change_out = (struct value_change){.count = 0};
    if (op < VALUE_OP_FIRST || op > VALUE_OP_LAST || VALUE_OP_TYPE(op) != value->type) {
        return ST_CORRUPT;
    }
    enum status status = class_of(value)->apply(value, op, payload, limits, scratch, change_out);
    if (change_out->changed) {
        value_touch(value);
    }
    return status;
}

enum status value_encode(const struct value *value, struct buf *out)
{
    unsigned char type = (unsigned char)value->type;
    size_t old_size = out->size;
    enum status status = buf_append(out, bytes_of(&type, 1));
    if (status == ST_OK) {
        status = class_of(value)->encode(value, out);
    }
    if (status != ST_OK) {
        out->size = old_size;
    }
    return status;
}

enum status value_decode(struct bytes bytes, const struct value_limits *limits, struct buf *scratch,
                         struct value *value_out)
{
    if (bytes.size == 0) {
        return ST_CORRUPT;
    }
    unsigned type = *(const unsigned char *)bytes.data;
    if (type >= VALUE_TYPES || classes[type] == NULL) {
        return ST_CORRUPT;
    }
    struct value value;
    enum status status =
        classes[type]->decode(bytes_slice(bytes, 1, bytes.size), limits, scratch, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value_vanishes(&value)) {
        value_free(&value);
        return ST_CORRUPT;
    }
    *value_out = value;
    return ST_OK;
}

uint64_t value_encoded_max(const struct value *value)
{
    return value->type == VALUE_NONE ? 0 : 1 + class_of(value)->encoded_max(value);
}

enum status value_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    if (value->type == VALUE_NONE) {
        *copy_out = *value;
        return ST_OK;
    }
    return class_of(value)->copy(value, scratch, copy_out);
}

void value_free(struct value *value)
{
    if (value == NULL) {
        return;
    }
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        class_of(value)->free(value);
    }
    *value = (struct value){.type = VALUE_NONE};
}

bool value_free_some(struct value *value, size_t parts)
{
    bool gone = true;
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        gone = class_of(value)->free_some(value, parts);
    }
    if (gone) {
        *value = (struct value){.type = VALUE_NONE};
    }
    return gone;
}

uint64_t value_memory(const struct value *value)
{
    if (value->shape == VALUE_PACKED || value->root == NULL) {
        return 0;
    }
    return class_of(value)->memory(value);
}
