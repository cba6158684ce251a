/* value_check: the check of any value, by its type. */
#ifndef BASIN_TESTS_LIB_VALUE_CHECK_H
#define BASIN_TESTS_LIB_VALUE_CHECK_H

#include "engine/value/chunks.h"
#include "engine/value/fields.h"
#include "engine/value/list.h"
#include "engine/value/set.h"
#include "engine/value/stream.h"
#include "engine/value/zset.h"

static inline bool value_check(const struct value *value)
{
    switch (value->type) {
    case VALUE_LIST:
        return list_check(value);
    case VALUE_CHUNKS:
        return chunks_check(value);
    case VALUE_HASH:
        return fields_check(value);
    case VALUE_SET:
        return set_check(value);
    case VALUE_ZSET:
        return zset_check(value);
    case VALUE_STREAM:
        return stream_check(value);
    default:
        return value->type < VALUE_TYPES; /* None, and texts, which have no check. */
    }
}

#endif
