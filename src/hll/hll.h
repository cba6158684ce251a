/* hll: HyperLogLog, how many different elements a multitude has, told from a few kilobytes.
 *
 *     element → hash, 64 bits ─┬→ lower 14: which of the 16,384 registers
 *                              └→ upper 50: rank, 1 + zeros from the low end, at most 51
 *     register = highest rank it has seen;  estimate = of the histogram of all registers
 *
 * A sketch is a string of bytes, the same as Redis has, so that clients may carry it from one
 * server to the other:
 *
 *     0 "HYLL", 4 u8 encoding (0 dense, 1 sparse), 5 three zeros, 8 u64 cached estimate, whose
 *     highest bit says that it is stale, 16 registers
 *     dense   16,384 numbers of 6 bits, the low bits of a byte first
 *     sparse  runs of equal registers that together make 16,384:
 *             00nnnnnn            n + 1 registers of 0
 *             01nnnnnn nnnnnnnn   the same, the higher bits first
 *             1vvvvvnn            n + 1 registers of v + 1
 *
 * A sparse sketch becomes dense when it would grow beyond a size, or when a rank is above 32. How
 * runs are split and joined is Redis's way too, since it shows in the bytes.
 *
 * Hash: MurmurHash64A of Austin Appleby. Estimator: Otmar Ertl, "New cardinality estimation
 * algorithms for HyperLogLog sketches", 2017, the improved raw estimator (algorithm 6).
 *
 * Bytes come from clients, so nothing in them is believed: ST_CORRUPT where runs do not make 16,384
 * registers, as far as a function looks at them. Only the functions that take a struct hll change
 * anything, and on ST_CORRUPT its bytes hold no sketch any more.
 * Memory: the caller's. Thread: any, as bytes are.
 */
#ifndef BASIN_SRC_HLL_HLL_H
#define BASIN_SRC_HLL_HLL_H

#include "engine/base/bytes.h"

#define HLL_REGISTERS 16384
#define HLL_HEADER_SIZE 16
#define HLL_DENSE_SIZE (HLL_HEADER_SIZE + HLL_REGISTERS * 6 / 8)
/* No run is longer than two bytes, none has no register. */
#define HLL_SPARSE_SIZE_MAX (HLL_HEADER_SIZE + 2 * HLL_REGISTERS)
#define HLL_RANK_MAX 51  /* Of an element. */
#define HLL_VALUE_MAX 63 /* Of a register that strangers have written. */

enum hll_encoding { HLL_DENSE = 0, HLL_SPARSE = 1 };

/* Whether these bytes have the header of a sketch, and if dense its size. */
bool hll_is_sketch(struct bytes bytes);
enum hll_encoding hll_encoding(struct bytes sketch);

struct hll_point {
    uint16_t index; /* Of a register. */
    uint8_t rank;
};
struct hll_point hll_point(struct bytes element);

/* One register. */
enum status hll_register(struct bytes sketch, unsigned index, unsigned *value_out);

/* Raises each of the HLL_REGISTERS bytes to what the sketch has. */
enum status hll_merge(struct bytes sketch, unsigned char *registers);

/* The estimate of a sketch, and of registers as hll_merge makes them. */
enum status hll_count(struct bytes sketch, uint64_t *count_out);
uint64_t hll_count_registers(const unsigned char *registers);

/* The estimate in the header. False: it is stale. */
bool hll_cached(struct bytes sketch, uint64_t *count_out);
/* An estimate as it lies in the header, HLL_CACHE_SIZE bytes from HLL_CACHE_OFFSET on. */
#define HLL_CACHE_OFFSET 8
#define HLL_CACHE_SIZE 8
void hll_cache_encode(uint64_t count, unsigned char *cache_out);

/* A sketch that may change, in the caller's memory of hll_room() bytes: for a copy of so many. */
struct hll {
    unsigned char *data;
    size_t size;
    uint64_t sparse_max;
};
size_t hll_room(size_t size, uint64_t sparse_max);

/* An empty sparse one, its estimate stale. sparse_max: bytes, with the header, that it may grow to
 * before it becomes dense. */
void hll_init(struct hll *hll, unsigned char *data, uint64_t sparse_max);
/* A copy; the sketch has at most HLL_SPARSE_SIZE_MAX bytes, else ST_CORRUPT. */
enum status hll_init_copy(struct hll *hll, unsigned char *data, struct bytes sketch,
                          uint64_t sparse_max);

/* Raises a register to a rank of 1 … HLL_VALUE_MAX; where that changes it the estimate is stale. */
enum status hll_raise(struct hll *hll, struct hll_point point, bool *raised_out);
/* Says that the estimate is stale. */
void hll_invalidate(struct hll *hll);
/* Makes it dense; one that is stays as it is. */
enum status hll_make_dense(struct hll *hll);

/* The runs of a sparse sketch, one after the other. */
struct hll_run {
    unsigned value, length;
    unsigned size; /* In bytes: 1 or 2. */
};
/* The one at an offset of at least HLL_HEADER_SIZE; false: none is whole there. */
bool hll_run_at(struct bytes sketch, size_t offset, struct hll_run *run_out);

#endif
