/* Reading is one walk over runs or over groups of four dense registers in three bytes. Changing a
 * sparse sketch goes in three steps:
 *
 *     find    the run that covers the register, by a walk from the first
 *     split   it into up to three: what lies before the register, the register, what lies behind
 *     join    neighbours of equal value among the few runs from the one before on
 */
#include "src/hll/hll.h"

#include "engine/base/check.h"

#include <math.h>

#define INDEX_BITS 14
#define HASH_SEED 0xadc83b19u
#define STALE 0x80u
#define ENCODING_OFFSET 4
#define STALE_OFFSET 15

/* What the three kinds of runs can say. */
#define SHORT_ZEROS_MAX 64
#define VALUES_MAX 4
#define SPARSE_VALUE_MAX 32
/* Runs that are looked at for joining, from the one before the change on. */
#define JOIN_STEPS 5

static_assert(HLL_REGISTERS == 1 << INDEX_BITS, "the index is that many bits of the hash");
static_assert(HLL_RANK_MAX == 64 - INDEX_BITS + 1, "the rank is of the others");

static const unsigned char magic[4] = {'H', 'Y', 'L', 'L'};

/* ------------------------------------------------------------------------------------------
 * Header.
 */

bool hll_is_sketch(struct bytes bytes)
{
    const unsigned char *data = bytes.data;
    return bytes.size >= HLL_HEADER_SIZE && memcmp(data, magic, sizeof(magic)) == 0 &&
           (data[ENCODING_OFFSET] == HLL_SPARSE ||
            (data[ENCODING_OFFSET] == HLL_DENSE && bytes.size == HLL_DENSE_SIZE));
}

enum hll_encoding hll_encoding(struct bytes sketch)
{
    CHECK(hll_is_sketch(sketch));
    return ((const unsigned char *)sketch.data)[ENCODING_OFFSET] == HLL_DENSE ? HLL_DENSE
                                                                              : HLL_SPARSE;
}

bool hll_cached(struct bytes sketch, uint64_t *count_out)
{
    CHECK(hll_is_sketch(sketch));
    const unsigned char *data = sketch.data;
    *count_out = load_u64(data + HLL_CACHE_OFFSET);
    return (data[STALE_OFFSET] & STALE) == 0;
}

void hll_cache_encode(uint64_t count, unsigned char *cache_out)
{
    store_u64(cache_out, count);
}

void hll_invalidate(struct hll *hll)
{
    hll->data[STALE_OFFSET] |= STALE;
}

/* ------------------------------------------------------------------------------------------
 * Points.
 */

static uint64_t hash_mix(uint64_t word)
{
    const uint64_t factor = UINT64_C(0xc6a4a7935bd1e995);
    word *= factor;
    word ^= word >> 47;
    return word * factor;
}

static uint64_t hash_of(struct bytes element)
{
    const uint64_t factor = UINT64_C(0xc6a4a7935bd1e995);
    const unsigned char *data = element.data;
    size_t size = element.size;
    uint64_t hash = HASH_SEED ^ ((uint64_t)size * factor);
    for (; size >= 8; data += 8, size -= 8) {
        hash = (hash ^ hash_mix(load_u64(data))) * factor;
    }
    if (size > 0) {
        uint64_t rest = 0;
        memcpy(&rest, data, size);
        hash = (hash ^ rest) * factor;
    }
    hash = (hash ^ hash >> 47) * factor;
    return hash ^ hash >> 47;
}

struct hll_point hll_point(struct bytes element)
{
    uint64_t hash = hash_of(element);
    uint64_t rest = hash >> INDEX_BITS | UINT64_C(1) << (64 - INDEX_BITS); /* So that it ends. */
    return (struct hll_point){
        .index = (uint16_t)(hash % HLL_REGISTERS),
        .rank = (uint8_t)(1 + __builtin_ctzll(rest)),
    };
}

/* ------------------------------------------------------------------------------------------
 * Dense registers.
 */

static unsigned dense_get(const unsigned char *registers, unsigned index)
{
    const unsigned char *group = registers + (size_t)index / 4 * 3;
    unsigned bits = group[0] | (unsigned)group[1] << 8 | (unsigned)group[2] << 16;
    return bits >> 6 * (index % 4) & HLL_VALUE_MAX;
}

static void dense_set(unsigned char *registers, unsigned index, unsigned value)
{
    unsigned char *group = registers + (size_t)index / 4 * 3;
    unsigned bits = group[0] | (unsigned)group[1] << 8 | (unsigned)group[2] << 16;
    unsigned shift = 6 * (index % 4);
    bits = (bits & ~((unsigned)HLL_VALUE_MAX << shift)) | value << shift;
    group[0] = (unsigned char)bits;
    group[1] = (unsigned char)(bits >> 8);
    group[2] = (unsigned char)(bits >> 16);
}

/* ------------------------------------------------------------------------------------------
 * Sparse runs.
 */

bool hll_run_at(struct bytes sketch, size_t offset, struct hll_run *run_out)
{
    const unsigned char *data = sketch.data;
    if (offset >= sketch.size) {
        return false;
    }
    unsigned first = data[offset];
    if ((first & 0x80) != 0) {
        *run_out = (struct hll_run){(first >> 2 & 31) + 1, (first & 3) + 1, 1};
    } else if ((first & 0x40) == 0) {
        *run_out = (struct hll_run){0, first + 1, 1};
    } else if (offset + 1 < sketch.size) {
        *run_out = (struct hll_run){0, ((first & 63) << 8 | data[offset + 1]) + 1, 2};
    } else {
        return false;
    }
    return true;
}

/* Writes one run of a value above 0, or of zeros in the shortest form; gives its size. */
static size_t run_put(unsigned char *to, unsigned value, unsigned length)
{
    if (value > 0) {
        to[0] = (unsigned char)(0x80 | (value - 1) << 2 | (length - 1));
        return 1;
    }
    if (length <= SHORT_ZEROS_MAX) {
        to[0] = (unsigned char)(length - 1);
        return 1;
    }
    to[0] = (unsigned char)(0x40 | (length - 1) >> 8);
    to[1] = (unsigned char)(length - 1);
    return 2;
}

/* Where a register lies among the runs. */
struct place {
    struct hll_run run;
    size_t offset;
    size_t before;  /* Offset of the run before it, or its own where it is the first. */
    unsigned start; /* First register of the run. */
};

static enum status place_find(struct bytes sketch, unsigned index, struct place *place)
{
    *place = (struct place){.offset = HLL_HEADER_SIZE, .before = HLL_HEADER_SIZE};
    while (hll_run_at(sketch, place->offset, &place->run)) {
        if (index < place->start + place->run.length) {
            return ST_OK;
        }
        place->start += place->run.length;
        place->before = place->offset;
        place->offset += place->run.size;
    }
    return ST_CORRUPT;
}

/* ------------------------------------------------------------------------------------------
 * Reading all registers.
 */

enum status hll_register(struct bytes sketch, unsigned index, unsigned *value_out)
{
    CHECK(index < HLL_REGISTERS);
    if (hll_encoding(sketch) == HLL_DENSE) {
        *value_out = dense_get((const unsigned char *)sketch.data + HLL_HEADER_SIZE, index);
        return ST_OK;
    }
    struct place place;
    enum status status = place_find(sketch, index, &place);
    *value_out = place.run.value;
    return status;
}

static enum status sparse_merge(struct bytes sketch, unsigned char *registers)
{
    struct hll_run run;
    unsigned index = 0;
    size_t offset = HLL_HEADER_SIZE;
    for (; hll_run_at(sketch, offset, &run); offset += run.size) {
        if (run.length > HLL_REGISTERS - index) {
            return ST_CORRUPT;
        }
        for (unsigned i = index; i < index + run.length && run.value > 0; i++) {
            registers[i] = registers[i] < run.value ? (unsigned char)run.value : registers[i];
        }
        index += run.length;
    }
    return index == HLL_REGISTERS && offset == sketch.size ? ST_OK : ST_CORRUPT;
}

enum status hll_merge(struct bytes sketch, unsigned char *registers)
{
    if (hll_encoding(sketch) == HLL_SPARSE) {
        return sparse_merge(sketch, registers);
    }
    const unsigned char *group = (const unsigned char *)sketch.data + HLL_HEADER_SIZE;
    for (unsigned i = 0; i < HLL_REGISTERS; i += 4, group += 3) {
        unsigned bits = group[0] | (unsigned)group[1] << 8 | (unsigned)group[2] << 16;
        for (unsigned j = 0; j < 4; j++, bits >>= 6) {
            unsigned char value = bits & 63;
            registers[i + j] = registers[i + j] < value ? value : registers[i + j];
        }
    }
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Estimating. The names are the paper's.
 */

#define HISTOGRAM_SIZE (HLL_VALUE_MAX + 1)

static double sigma(double x)
{
    if (x == 1) {
        return INFINITY;
    }
    double y = 1;
    double z = x;
    double before;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    if (x == 0 || x == 1) {
        return 0;
    }
    double y = 1;
    double z = 1 - x;
    double before;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

static uint64_t estimate(const unsigned *histogram)
{
    const double alpha = 0.721347520444481703680; /* 1 / (2 ln 2) */
    const double m = HLL_REGISTERS;
    double z = m * tau((m - histogram[HLL_RANK_MAX]) / m);
    for (unsigned i = HLL_RANK_MAX - 1; i >= 1; i--) {
        z += histogram[i];
        z *= 0.5;
    }
    z += m * sigma(histogram[0] / m);
    double count = alpha * m * m / z;
    if (count >= 0x1p63) { /* Full registers, from strangers: no number; Redis answers the least. */
        return (uint64_t)INT64_MIN;
    }
    return (uint64_t)llround(count);
}

uint64_t hll_count_registers(const unsigned char *registers)
{
    unsigned histogram[HISTOGRAM_SIZE] = {0};
    for (unsigned i = 0; i < HLL_REGISTERS; i++) {
        CHECK_SLOW(registers[i] < HISTOGRAM_SIZE);
        histogram[registers[i] % HISTOGRAM_SIZE]++;
    }
    return estimate(histogram);
}

static enum status sparse_count(struct bytes sketch, uint64_t *count_out)
{
    unsigned histogram[HISTOGRAM_SIZE] = {0};
    struct hll_run run;
    unsigned index = 0;
    size_t offset = HLL_HEADER_SIZE;
    for (; hll_run_at(sketch, offset, &run); offset += run.size) {
        if (run.length > HLL_REGISTERS - index) {
            return ST_CORRUPT;
        }
        histogram[run.value] += run.length;
        index += run.length;
    }
    if (index != HLL_REGISTERS || offset != sketch.size) {
        return ST_CORRUPT;
    }
    *count_out = estimate(histogram);
    return ST_OK;
}

enum status hll_count(struct bytes sketch, uint64_t *count_out)
{
    if (hll_encoding(sketch) == HLL_SPARSE) {
        return sparse_count(sketch, count_out);
    }
    /* Four histograms: equal neighbours would otherwise wait for each other's sum. */
    unsigned histograms[4][HISTOGRAM_SIZE] = {{0}};
    const unsigned char *group = (const unsigned char *)sketch.data + HLL_HEADER_SIZE;
    for (unsigned i = 0; i < HLL_REGISTERS; i += 4, group += 3) {
        unsigned bits = group[0] | (unsigned)group[1] << 8 | (unsigned)group[2] << 16;
        histograms[0][bits & 63]++;
        histograms[1][bits >> 6 & 63]++;
        histograms[2][bits >> 12 & 63]++;
        histograms[3][bits >> 18]++;
    }
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        histograms[0][i] += histograms[1][i] + histograms[2][i] + histograms[3][i];
    }
    *count_out = estimate(histograms[0]);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Changing.
 */

static struct bytes bytes_of_hll(const struct hll *hll)
{
    return bytes_of(hll->data, hll->size);
}

size_t hll_room(size_t size, uint64_t sparse_max)
{
    uint64_t room = size < HLL_DENSE_SIZE ? HLL_DENSE_SIZE : size;
    room = room < sparse_max ? sparse_max : room;
    return room < HLL_SPARSE_SIZE_MAX ? (size_t)room : HLL_SPARSE_SIZE_MAX;
}

void hll_init(struct hll *hll, unsigned char *data, uint64_t sparse_max)
{
    *hll = (struct hll){data, HLL_HEADER_SIZE, sparse_max};
    memset(data, 0, HLL_HEADER_SIZE);
    memcpy(data, magic, sizeof(magic));
    data[ENCODING_OFFSET] = HLL_SPARSE;
    hll->size += run_put(data + HLL_HEADER_SIZE, 0, HLL_REGISTERS);
    hll_invalidate(hll);
}

enum status hll_init_copy(struct hll *hll, unsigned char *data, struct bytes sketch,
                          uint64_t sparse_max)
{
    CHECK(hll_is_sketch(sketch));
    if (sketch.size > HLL_SPARSE_SIZE_MAX) {
        return ST_CORRUPT;
    }
    memcpy(data, sketch.data, sketch.size);
    *hll = (struct hll){data, sketch.size, sparse_max};
    return ST_OK;
}

enum status hll_make_dense(struct hll *hll)
{
    unsigned char registers[HLL_REGISTERS] = {0};
    if (hll_encoding(bytes_of_hll(hll)) == HLL_DENSE) {
        return ST_OK;
    }
    enum status status = sparse_merge(bytes_of_hll(hll), registers);
    if (status != ST_OK) {
        return status;
    }
    hll->data[ENCODING_OFFSET] = HLL_DENSE;
    hll->size = HLL_DENSE_SIZE;
    for (unsigned i = 0; i < HLL_REGISTERS; i++) {
        dense_set(hll->data + HLL_HEADER_SIZE, i, registers[i]);
    }
    return ST_OK;
}

/* The runs that take the place of one when a register within it gets a rank; gives their size. */
#define SPLIT_SIZE_MAX 5
static size_t run_split(const struct place *place, struct hll_point point, unsigned char *to)
{
    size_t size = 0;
    unsigned before = point.index - place->start;
    unsigned behind = place->run.length - before - 1;
    if (before > 0) {
        size += run_put(to, place->run.value, before);
    }
    size += run_put(to + size, point.rank, 1);
    if (behind > 0) {
        size += run_put(to + size, place->run.value, behind);
    }
    return size;
}

/* Joins neighbours of equal value, from a run on. */
static void runs_join(struct hll *hll, size_t offset)
{
    struct hll_run run;
    struct hll_run next;
    for (unsigned i = 0; i < JOIN_STEPS && hll_run_at(bytes_of_hll(hll), offset, &run); i++) {
        size_t behind = offset + run.size;
        if (run.value > 0 && hll_run_at(bytes_of_hll(hll), behind, &next) &&
            next.value == run.value && run.length + next.length <= VALUES_MAX) {
            run_put(hll->data + offset, run.value, run.length + next.length);
            memmove(hll->data + behind, hll->data + behind + 1, hll->size - behind - 1);
            hll->size--; /* What has become of both may join the next one too. */
        } else {
            offset = behind;
        }
    }
}

/* *fits_out false: this register asks for a dense sketch, and nothing has changed. */
static enum status sparse_raise(struct hll *hll, struct hll_point point, bool *raised_out,
                                bool *fits_out)
{
    struct place place;
    unsigned char runs[SPLIT_SIZE_MAX];
    *fits_out = point.rank <= SPARSE_VALUE_MAX;
    if (!*fits_out) {
        return ST_OK;
    }
    enum status status = place_find(bytes_of_hll(hll), point.index, &place);
    if (status != ST_OK || place.run.value >= point.rank) {
        return status;
    }
    size_t split = run_split(&place, point, runs);
    size_t size = hll->size - place.run.size + split;
    if (size > hll->size && size > hll->sparse_max) {
        *fits_out = false;
        return ST_OK;
    }
    if (size > HLL_SPARSE_SIZE_MAX) {
        return ST_CORRUPT;
    }
    size_t behind = place.offset + place.run.size;
    memmove(hll->data + place.offset + split, hll->data + behind, hll->size - behind);
    memcpy(hll->data + place.offset, runs, split);
    hll->size = size;
    runs_join(hll, place.before);
    *raised_out = true;
    return ST_OK;
}

enum status hll_raise(struct hll *hll, struct hll_point point, bool *raised_out)
{
    CHECK(point.index < HLL_REGISTERS && point.rank >= 1 && point.rank <= HLL_VALUE_MAX);
    *raised_out = false;
    if (hll_encoding(bytes_of_hll(hll)) == HLL_SPARSE) {
        bool fits;
        enum status status = sparse_raise(hll, point, raised_out, &fits);
        if (status == ST_OK && !fits) {
            status = hll_make_dense(hll);
        }
        if (status != ST_OK) {
            return status;
        }
    }
    if (hll->data[ENCODING_OFFSET] == HLL_DENSE) {
        unsigned char *registers = hll->data + HLL_HEADER_SIZE;
        if (dense_get(registers, point.index) < point.rank) {
            dense_set(registers, point.index, point.rank);
            *raised_out = true;
        }
    }
    if (*raised_out) {
        hll_invalidate(hll);
    }
    return ST_OK;
}
