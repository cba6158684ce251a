/* grain: one record on disk: a key with its value, or one part of a large value.
 *
 * Grain, little-endian, at a multiple of GRAIN_ALIGNMENT in its stratum:
 *
 *      0 u64 checksum      XXH3-64 of bytes 8 … size
 *      8 u32 size          whole, without the padding to the next grain
 *     12 u8  kind          1 key, 2 part
 *     13 u8  type          enum value_type of the key's value; 0 for a part
 *     14 u8  flags         GRAIN_EXPIRES, GRAIN_CLAST, GRAIN_WAKES
 *     15 u8  codec         0: plain. Room for compression and encryption.
 *     16 u64 lsn           the last effect that it holds (S4); 0 for a part, whose root has it
 *   key:
 *     24 u32 namespace     28 u32 key size    [32 i64 expiry, Unix ms]   key   data
 *   part:
 *     24 u64 clast         32 u32 table       36 u32 number              data
 *
 * data: a packed value's bytes; u64 clast and the root as value_root_store wrote it; a part's
 * bytes.
 * Invariant S3: grain_parse is the only way to a grain's content, and it verifies the checksum.
 * Thread: any.
 */
#ifndef BASIN_ENGINE_STRATA_GRAIN_H
#define BASIN_ENGINE_STRATA_GRAIN_H

#include "engine/base/bytes.h"
#include "engine/index/place.h"

#define GRAIN_ALIGNMENT 8
#define GRAIN_HEADER_SIZE 24
#define GRAIN_SIZE_MAX ((1ull << 32) - 4096)

enum grain_kind { GRAIN_KEY = 1, GRAIN_PART = 2 };

#define GRAIN_EXPIRES 1u
#define GRAIN_CLAST 2u /* data is a root, whose parts are grains of their own. */
#define GRAIN_WAKES 4u /* A hash with fields that expire: its own time is not all of it. */
#define GRAIN_FLAGS 7u

struct grain {
    enum grain_kind kind;
    unsigned type, flags;
    uint64_t lsn;
    uint32_t namespace_id; /* Of a key; the next two too. */
    struct bytes key;
    int64_t expiry_ms;     /* Meaningless without GRAIN_EXPIRES. */
    struct part_name part; /* Of a part. */
    struct bytes data;
};

/* With the padding up to the next grain. */
static inline uint64_t grain_padded(uint64_t size)
{
    return (size + GRAIN_ALIGNMENT - 1) & ~(uint64_t)(GRAIN_ALIGNMENT - 1);
}

/* Without padding. May pass GRAIN_SIZE_MAX: then there is no such grain. */
uint64_t grain_size(const struct grain *grain);
/* Appends header, content and checksum, padded with zeros to GRAIN_ALIGNMENT. */
enum status grain_store(const struct grain *grain, struct buf *out);
/* Reads a grain from its first byte on; bytes may be longer. Lends from bytes. ST_CORRUPT: cut
 * short, a bad checksum, or no grain that this version writes. */
enum status grain_parse(struct bytes bytes, struct grain *grain_out);
/* What the header says, unverified: how much to read. 0: no grain begins here. bytes hold at least
 * GRAIN_HEADER_SIZE. */
uint32_t grain_peek_size(struct bytes bytes);

#endif
