/* The encoded form, little-endian:
 *
 *   0 u8 type (enum value_type), then by type
 *   STRING   the bytes, to the end
 *   LIST     varint count of elements, then for each: varint size, the bytes
 *   CHUNKS   as chunks_encode says
 *
 * A varint is LEB128: 7 bits a byte, low first, in the shortest form. Nothing follows the last
 * element. The shape is not encoded: it follows from content and configuration when it is read.
 */
#include "engine/value/value.h"

#include "engine/base/check.h"
#include "engine/value/chunks_private.h"
#include "engine/value/list_private.h"
#include "engine/value/text_private.h"

enum status value_encode(const struct value *value, struct buf *out)
{
    unsigned char type = (unsigned char)value->type;
    size_t old_size = out->size;
    enum status status = buf_append(out, bytes_of(&type, 1));
    if (status != ST_OK) {
        return status;
    }
    switch (value->type) {
    case VALUE_STRING:
        status = text_read(value, 0, text_size(value), out);
        break;
    case VALUE_LIST:
        status = list_encode(value, out);
        break;
    case VALUE_CHUNKS:
        status = chunks_encode(value, out);
        break;
    case VALUE_NONE:
        CHECK(value->type != VALUE_NONE);
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
    struct bytes body = bytes_slice(bytes, 1, bytes.size);
    switch (*(const unsigned char *)bytes.data) {
    case VALUE_STRING:
        return text_make(body, value_out);
    case VALUE_LIST:
        return list_decode(body, limits, scratch, value_out);
    case VALUE_CHUNKS:
        return chunks_decode(body, scratch, value_out);
    default:
        return ST_CORRUPT;
    }
}

uint64_t value_encoded_max(const struct value *value)
{
    switch (value->type) {
    case VALUE_STRING:
        return 1 + text_size(value);
    case VALUE_LIST:
        return 1 + list_encoded_max(value);
    case VALUE_CHUNKS:
        return 1 + chunks_encoded_max(value);
    case VALUE_NONE:
        break;
    }
    return 0;
}

enum status value_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    switch (value->type) {
    case VALUE_STRING:
        return text_copy(value, scratch, copy_out);
    case VALUE_LIST:
        return list_copy(value, scratch, copy_out);
    case VALUE_CHUNKS:
        return chunks_copy(value, scratch, copy_out);
    case VALUE_NONE:
        break;
    }
    *copy_out = *value;
    return ST_OK;
}

void value_free(struct value *value)
{
    if (value == NULL) {
        return;
    }
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        switch (value->type) {
        case VALUE_STRING:
            text_free(value);
            break;
        case VALUE_LIST:
            list_free(value);
            break;
        case VALUE_CHUNKS:
            chunks_free(value);
            break;
        case VALUE_NONE:
            CHECK(value->type != VALUE_NONE);
        }
    }
    *value = (struct value){.type = VALUE_NONE};
}

bool value_free_some(struct value *value, size_t parts)
{
    bool gone = true;
    if (value->shape == VALUE_CLAST && value->root != NULL) {
        switch (value->type) {
        case VALUE_STRING:
            gone = text_free_some(value, parts);
            break;
        case VALUE_LIST:
            gone = list_free_some(value, parts);
            break;
        case VALUE_CHUNKS:
            gone = chunks_free_some(value, parts);
            break;
        case VALUE_NONE:
            CHECK(value->type != VALUE_NONE);
        }
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
    switch (value->type) {
    case VALUE_STRING:
        return text_memory(value);
    case VALUE_LIST:
        return list_memory(value);
    case VALUE_CHUNKS:
        return chunks_memory(value);
    case VALUE_NONE:
        break;
    }
    return 0;
}
