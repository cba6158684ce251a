/* text_private: what value.c needs of texts. Statuses, ownership and meaning are those of the
 * value_ functions of the same name; free, free_some and memory are for VALUE_CLAST only. */
#ifndef BASIN_ENGINE_VALUE_TEXT_PRIVATE_H
#define BASIN_ENGINE_VALUE_TEXT_PRIVATE_H

#include "engine/value/text.h"

enum status text_copy(const struct value *value, struct buf *scratch, struct value *copy_out);
void text_free(struct value *value);
bool text_free_some(struct value *value, size_t parts);
uint64_t text_memory(const struct value *value);

#endif
