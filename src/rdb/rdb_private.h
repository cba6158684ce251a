/* rdb_private: what the files of src/rdb/ share.
 *
 *     rdb_notation.c         lengths, strings, doubles: both ways
 *     rdb_dump.c             encoded → payload; rdb_dump_stream.c: streams
 *     rdb_restore.c          payload → encoded; rdb_restore_stream.c: streams
 *     pack.c                 listpacks and their elder kin
 */
#ifndef BASIN_SRC_RDB_RDB_PRIVATE_H
#define BASIN_SRC_RDB_RDB_PRIVATE_H

#include "src/rdb/pack.h"
#include "src/rdb/rdb.h"

/* Redis's numbers of types. */
enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3, /* Scores as text. */
    RDB_HASH = 4,
    RDB_ZSET_2 = 5, /* Scores as doubles. */
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14, /* Ziplists. */
    RDB_STREAM_LISTPACKS = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18, /* Listpacks, and elements that stand alone. */
    RDB_STREAM_LISTPACKS_2 = 19,
    RDB_SET_LISTPACK = 20,
    RDB_STREAM_LISTPACKS_3 = 21,
    RDB_HASH_METADATA = 24,    /* With times to live of fields. */
    RDB_HASH_LISTPACK_EX = 25, /* The same in a listpack. */
};

/* Of an entry in a stream. */
struct rdb_id {
    uint64_t ms, seq;
};

static inline int rdb_id_compare(struct rdb_id a, struct rdb_id b)
{
    return a.ms != b.ms ? (a.ms > b.ms) - (a.ms < b.ms) : (a.seq > b.seq) - (a.seq < b.seq);
}

/* Flags of an entry in a stream's listpack. */
#define RDB_ENTRY_DELETED 1
#define RDB_ENTRY_SAME_FIELDS 2

/* A node of a quicklist. */
#define RDB_NODE_PLAIN 1
#define RDB_NODE_PACKED 2

/* -- Writing --------------------------------------------------------------------------------- */

enum status rdb_put_byte(struct buf *out, unsigned byte);
enum status rdb_put_u64(struct buf *out, uint64_t value); /* Eight bytes, little-endian. */
enum status rdb_put_length(struct buf *out, uint64_t length);
/* Text that reads as an integer of 32 bits becomes one. */
enum status rdb_put_string(struct buf *out, struct bytes string);

/* The encoded form comes from our own code: what does not read is our own mistake (CHECK). */
uint64_t encoded_varint(struct bytes *in);
uint64_t encoded_u64(struct bytes *in);
unsigned encoded_byte(struct bytes *in);
struct bytes encoded_sized(struct bytes *in); /* varint size, bytes */
struct bytes encoded_bytes(struct bytes *in, uint64_t size);

enum status rdb_dump_stream(struct bytes body, const struct value_limits *limits, struct buf *out);

/* -- Reading: ST_CORRUPT where the payload ends or says nonsense ------------------------------- */

struct rdb_reader {
    struct bytes rest;
    struct buf text; /* What LZF unpacked. */
    char digits[INT64_TEXT_MAX];
    /* The encoded value grows here, behind room for what is known last: type, counts, IDs. */
    struct buf *out;
    uint64_t size_max; /* Of out and of text. */
};
/* Room that is left at the beginning of reader->out: u8 type, varint, of streams three u64 pairs
 * less one. */
#define RDB_FRONT_MAX (1 + VARINT_MAX + 40)

enum status rdb_take_byte(struct rdb_reader *reader, unsigned *byte_out);
enum status rdb_take_bytes(struct rdb_reader *reader, uint64_t size, struct bytes *bytes_out);
enum status rdb_take_u64(struct rdb_reader *reader, uint64_t *value_out);
enum status rdb_take_length(struct rdb_reader *reader, uint64_t *length_out);
/* Lent until the next string is taken. */
enum status rdb_take_string(struct rdb_reader *reader, struct bytes *string_out);
/* The text of a double, not "nan". */
enum status rdb_read_double(struct bytes text, double *value_out);

/* Appends to reader->out; ST_CORRUPT: the value has grown beyond reason. */
enum status rdb_give_bytes(struct rdb_reader *reader, struct bytes bytes);
enum status rdb_give_varint(struct rdb_reader *reader, uint64_t value);
enum status rdb_give_u64(struct rdb_reader *reader, uint64_t value);
enum status rdb_give_sized(struct rdb_reader *reader, struct bytes bytes);

/* Gives what is known last: `front` lies before all that has been given. */
enum status rdb_restore_stream(struct rdb_reader *reader, enum rdb_type type, struct buf *front);

#endif
