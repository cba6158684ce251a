/* row: what the index says of one key or part: where its grain lies, and for a key all that needs
 * no data: type, expiry, name.
 *
 * Row, little-endian, no padding:
 *
 *      0 u64 place
 *      8 u32 stratum        id of the file
 *     12 u32 unit           offset of the grain / GRAIN_ALIGNMENT
 *      8 u64 lsn            of tombstones instead: the effect that killed it (S4)
 *     16 u32 size           of the grain, without padding; 0 of a tombstone
 *     20 u8  kind           enum row_kind
 *     21 u8  flags          ROW_…
 *   key and tombstone of a key:
 *     22 u8 type            v namespace   [i64 expiry if ROW_EXPIRES] [u64 clast if ROW_CLAST]
 *                           v key size, then the key, or XXH3-128 of one over ROW_KEY_MAX
 *   part and tombstone of a part:
 *     22 u64 clast          v table       v number
 *   end of a table, end of a clast (before the parts of its partition: place = partition, 1, 0 …):
 *     22 u64 clast          v table (TABLE_ALL: the whole clast)
 *
 * (v = varint of 32 bits, in its shortest form.) A key of 16 bytes takes 41 bytes. The newest row
 * of a name says all: older ones beneath it are void. ROW_UNRESOLVED says that whoever wrote it did
 * not look whether the key was there before: merges find out, and so the number of keys is exact in
 * the end (see settle.h).
 *
 * Thread: any.
 */
#ifndef BASIN_ENGINE_INDEX_ROW_H
#define BASIN_ENGINE_INDEX_ROW_H

#include "engine/base/bytes.h"
#include "engine/index/place.h"

enum row_kind {
    ROW_KEY = 1,
    ROW_KEY_GONE = 2, /* Tombstones: deleted, and perhaps still there in older rows. */
    ROW_PART = 3,
    ROW_PART_GONE = 4,
    ROW_CLAST_GONE = 5, /* All parts of a clast, or of one of its tables, in older rows are dead. */
};

/* Of keys and their tombstones; other rows have none. */
#define ROW_EXPIRES 1u
#define ROW_CLAST 2u
#define ROW_WAKES 4u
#define ROW_LONG 8u        /* The key is over ROW_KEY_MAX: the row has its hash. */
#define ROW_UNRESOLVED 16u /* Perhaps in place of an older row, perhaps not. */
#define ROW_FLAGS 31u

#define ROW_KEY_MAX 256
#define ROW_KEY_HASH_SIZE HASH_NAME_SIZE
#define ROW_SIZE_MAX (22 + 1 + 5 + 8 + 8 + 2 + ROW_KEY_MAX)
#define ROW_TABLE_ALL UINT32_MAX

struct location {
    uint32_t stratum; /* 0: nowhere. */
    uint32_t unit;
    uint32_t size;
};

struct row {
    uint64_t place;
    struct location at;
    uint64_t lsn; /* Of ROW_…_GONE, which lie nowhere. */
    enum row_kind kind;
    unsigned flags, type;
    uint32_t namespace_id;
    int64_t expiry_ms;     /* With ROW_EXPIRES. */
    uint64_t clast;        /* With ROW_CLAST. */
    struct bytes key;      /* The key, or with ROW_LONG its hash (ROW_KEY_HASH_SIZE bytes). */
    struct part_name part; /* Of parts; of ROW_CLAST_GONE clast and table. */
};

/* Tombstones say nowhere, all others somewhere; what a row's kind and flags do not have is 0, also
 * in what row_take gives.
 *
 * The key as rows have it: itself, or its hash written to room (ROW_KEY_HASH_SIZE bytes), and then
 * *flags gets ROW_LONG. secret_seed: the store's. */
struct bytes row_key(struct bytes key, uint64_t secret_seed, unsigned char *room, unsigned *flags);

/* Writes at most ROW_SIZE_MAX bytes; gives how many. */
size_t row_store(const struct row *row, unsigned char *p);
/* Takes the next row of *in, lending from it. False: no row that this version writes. */
bool row_take(struct bytes *in, struct row *row_out);
/* Moves past the next row, of which only the size is looked at. False: cut short. */
bool row_skip(struct bytes *in);
/* Whether both speak of the same key, part or clast. Rows of tombstones and of what they killed
 * do. Only place, kind, ROW_LONG and what names the thing are looked at. */
bool row_same(const struct row *a, const struct row *b);
/* The same as an order: first by place, then by what names the thing; 0 exactly when row_same.
 * Runs are in order of place alone; this is for those who group rows. */
int row_compare(const struct row *a, const struct row *b);

#endif
