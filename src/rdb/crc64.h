/* crc64: the checksum that ends RDB files and DUMP payloads.
 *
 * CRC-64 with the polynomial of David Jones, 0xad93d23594c935a9, bits reflected in and out, no
 * initial and no final inversion: of "123456789" it is 0xe9c6d914c4b8d9ca. Eight bytes a step, by
 * eight tables ("slicing by 8", Kounavis and Berry, 2005) that are made at the first call.
 * Thread: any.
 */
#ifndef BASIN_SRC_RDB_CRC64_H
#define BASIN_SRC_RDB_CRC64_H

#include "engine/base/bytes.h"

/* Goes on from the checksum of what came before; 0 begins. */
uint64_t crc64(uint64_t before, struct bytes bytes);

#endif
