/* record: what the log's stream is made of. One record is one effect on one value.
 *
 * Rules of the design, kept from the first day: an effect is deterministic (no clock, no chance);
 * it never reads another value; every effect has its own LSN (the stream position of its end);
 * records from FIRST to LAST are a group, replayed whole or not at all (W2).
 *
 * Record, little-endian: 0 u32 size of the whole record, 4 u8 op, 5 u8 flags, 6 u16 zero,
 * 8 u32 namespace, 12 u32 key size, 16 key, then payload up to size.
 * Frames carry the checksum, so a record has none.
 */
#ifndef BASIN_ENGINE_WLOG_RECORD_H
#define BASIN_ENGINE_WLOG_RECORD_H

#include "engine/base/bytes.h"

#define RECORD_HEADER_SIZE 16
#define RECORD_SIZE_MAX UINT32_MAX

/* Numbers are on disk: never reused, never changed. Payloads in the comments; v = varint. */
enum record_op {
    RECORD_PUT = 1,         /* i64 expiry in Unix ms (-1: none), then value_encode. */
    RECORD_DELETE = 2,      /* Nothing. */
    RECORD_EXPIRE = 3,      /* i64 Unix ms; -1: none. */
    RECORD_NAMESPACES = 4,  /* The whole map: u32 next id, then u32 id for each database. No key. */
    RECORD_TEXT_WRITE = 5,  /* v offset, bytes: SETRANGE, APPEND. */
    RECORD_LIST_PUSH = 6,   /* u8 side (0 left, 1 right), then (v size, bytes) in push order. */
    RECORD_LIST_POP = 7,    /* u8 side, v count. */
    RECORD_LIST_SET = 8,    /* v index, bytes. */
    RECORD_LIST_INSERT = 9, /* v index (the new element's), bytes. */
    RECORD_LIST_REMOVE = 10,  /* (v index) ascending, as they were before the first removal. */
    RECORD_LIST_TRIM = 11,    /* v first, v count: what stays. */
    RECORD_CHUNK_APPEND = 12, /* (v size, bytes) of chunks that were new, in order. */
    /* 32 … 95: operations of hashes, sets, sorted sets and streams, 16 for each type; their numbers
     * and payloads stand in the types' headers (engine/value/). */
    RECORD_VALUE_FIRST = 32,
    RECORD_VALUE_LAST = 95,
};

#define RECORD_FIRST 1u
#define RECORD_LAST 2u

struct record {
    enum record_op op;
    unsigned flags;
    uint32_t namespace_id;
    struct bytes key;
    struct bytes payload;
};

/* Starts a record at the end of buf: header and key, with room meant for payload_size bytes, which
 * the caller appends; record_end then writes the size. Gives the offset that record_end takes. */
enum status record_begin(struct buf *buf, enum record_op op, uint32_t namespace_id,
                         struct bytes key, size_t payload_size, size_t *offset_out);
/* ST_LIMIT: the record would pass RECORD_SIZE_MAX; it is cut off the buffer again. */
enum status record_end(struct buf *buf, size_t offset);

/* Marks the records in buf from offset on as one group. */
void record_mark_group(struct buf *buf, size_t offset);

/* Takes one record from *in. ST_WAIT: cut short, *in unmoved, *size_out is how many bytes it needs
 * in all (or RECORD_HEADER_SIZE while even that is not known). ST_CORRUPT: no record of ours. */
enum status record_take(struct bytes *in, struct record *record_out, size_t *size_out);

#endif
