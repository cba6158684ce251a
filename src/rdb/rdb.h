/* rdb: a value in Redis's serialized form, as DUMP gives and RESTORE takes it.
 *
 *     value_encode → encoded form → rdb_dump → payload → Redis, Basin
 *     Redis, Basin → payload → rdb_restore → encoded form → value_decode
 *
 * The encoded form is that of engine/value/ (value.c, stream.h and their like). A payload is
 *
 *     u8 type, content, u16 version, u64 CRC64 of all before (crc64.h), little-endian
 *
 * with the content in the notation of RDB files: lengths of 1, 2, 5 or 9 bytes; strings as bytes,
 * as integers of 8, 16 or 32 bits, or compressed by LZF; small values as one of the blocks of
 * pack.h.
 *
 * Written is version 10, which Redis 7.0 and all later ones read, with the forms that 7.0 itself
 * writes, uncompressed. Only a hash with times to live of its fields is written as Redis 7.4 does
 * it, in version 12; so when a consumer of a stream was last active is not kept. Chunk collections
 * have no form in Redis.
 * Read are the types of Redis's RDB versions 1 to 12 but modules.
 *
 * Whatever a payload says, nothing is made that is larger than RDB_GROWTH_MAX times the payload
 * and RDB_GROWTH_FREE, so a small one cannot claim much memory. What is given is well-formed, but
 * not proven: order and doubles are for value_decode to judge, which judges them anyway.
 * Thread: none of this is shared. Memory: the caller's buffers.
 */
#ifndef BASIN_SRC_RDB_RDB_H
#define BASIN_SRC_RDB_RDB_H

#include "engine/basin.h"

#define RDB_VERSION 10
#define RDB_VERSION_FIELD_TIMES 12
#define RDB_VERSION_MAX 12
#define RDB_FOOTER_SIZE 10
#define RDB_GROWTH_MAX 256
#define RDB_GROWTH_FREE (1u << 20)

/* Appends the payload of an encoded value. Small values take the compact forms up to these limits.
 * ST_TYPE: a chunk collection; ST_LIMIT: an element is too large for Redis; ST_NOMEM. */
enum status rdb_dump(struct bytes encoded, const struct value_limits *limits, struct buf *out);

/* The encoded value, lent by room, which is overwritten. ST_PROTO: not the checksum, or a newer
 * version. ST_CORRUPT: the content is broken or of a type that Basin does not have. ST_NOMEM. */
enum status rdb_restore(struct bytes payload, struct buf *room, struct bytes *encoded_out);

#endif
