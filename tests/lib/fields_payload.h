/* fields_payload: payloads of the operations on hashes, as tests write them. What cannot be
 * appended fails the test. Thread: none. */
#ifndef BASIN_TESTS_LIB_FIELDS_PAYLOAD_H
#define BASIN_TESTS_LIB_FIELDS_PAYLOAD_H

#include "engine/value/fields.h"

void payload_varint(struct buf *out, uint64_t number);
/* Of FIELDS_PUT; expiry_ms: a time, FIELDS_KEEP_EXPIRY or FIELDS_NO_EXPIRY. */
void payload_field(struct buf *out, struct bytes field, struct bytes value, int64_t expiry_ms);
/* Of FIELDS_EXPIRE. */
void payload_expire(struct buf *out, struct bytes field, int64_t expiry_ms);
/* Of FIELDS_REMOVE. */
void payload_name(struct buf *out, struct bytes field);

#endif
