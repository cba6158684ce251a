/* list_private: what value.c needs of lists. Statuses, ownership and meaning are those of the
 * value_ functions of the same name; free, free_some and memory are for VALUE_CLAST only. */
#ifndef BASIN_ENGINE_VALUE_LIST_PRIVATE_H
#define BASIN_ENGINE_VALUE_LIST_PRIVATE_H

#include "engine/value/list.h"

enum status list_encode(const struct value *value, struct buf *out);
/* body: without the type. */
enum status list_decode(struct bytes body, const struct value_limits *limits, struct buf *scratch,
                        struct value *value_out);
uint64_t list_encoded_max(const struct value *value);
enum status list_copy(const struct value *value, struct buf *scratch, struct value *copy_out);
void list_free(struct value *value);
bool list_free_some(struct value *value, size_t parts);
uint64_t list_memory(const struct value *value);

#endif
