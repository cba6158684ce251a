/* zset_payload: payloads of the operations on sorted sets, as tests write them, and limits for
 * them. What cannot be appended fails the test. Thread: none. */
#ifndef BASIN_TESTS_LIB_ZSET_PAYLOAD_H
#define BASIN_TESTS_LIB_ZSET_PAYLOAD_H

#include "engine/value/zset.h"
#include "tests/lib/fields_payload.h"

void payload_when(struct buf *out, unsigned when);
void payload_member(struct buf *out, double score, struct bytes name);
/* Up to so many members of so many bytes stay packed. */
struct value_limits zset_limits(int64_t entries, int64_t size);

#endif
