/* HyperLogLog, the algorithm: through its header only. Bytes that Redis made are compared in the
 * differential runner; those here were noted down from redis-server. */
#include "src/hll/hll.h"
#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SPARSE_MAX 3000
#define ROOM HLL_SPARSE_SIZE_MAX /* For any sketch. */

static struct bytes bytes_of_hll(const struct hll *hll)
{
    return bytes_of(hll->data, hll->size);
}

static bool add(struct hll *hll, struct bytes element)
{
    bool raised;
    EXPECT(hll_raise(hll, hll_point(element), &raised) == ST_OK);
    return raised;
}

static bool add_number(struct hll *hll, uint64_t number)
{
    char text[INT64_TEXT_MAX];
    return add(hll, bytes_of(text, int64_to_text((int64_t)number, text)));
}

static uint64_t count_of(struct bytes sketch)
{
    uint64_t count = 0;
    EXPECT(hll_count(sketch, &count) == ST_OK);
    return count;
}

TEST(an_empty_sketch_is_one_run_of_zeros_and_counts_nothing)
{
    static const unsigned char empty[] = {'H', 'Y', 'L', 'L', 1, 0, 0,    0,    0,
                                          0,   0,   0,   0,   0, 0, 0x80, 0x7f, 0xff};
    unsigned char data[ROOM];
    struct hll hll;
    uint64_t count;
    hll_init(&hll, data, SPARSE_MAX);
    EXPECT(bytes_equal(bytes_of_hll(&hll), bytes_of(empty, sizeof(empty))));
    EXPECT(hll_is_sketch(bytes_of_hll(&hll)));
    EXPECT(hll_encoding(bytes_of_hll(&hll)) == HLL_SPARSE);
    EXPECT(!hll_cached(bytes_of_hll(&hll), &count));
    EXPECT_INT(count_of(bytes_of_hll(&hll)), 0);
}

/* As `PFADD h a b c` leaves them in redis-server 7.0.15. */
TEST(three_elements_make_the_runs_that_redis_makes)
{
    unsigned char data[ROOM];
    struct hll hll;
    hll_init(&hll, data, SPARSE_MAX);
    EXPECT(add(&hll, bytes_of_text("a")));
    EXPECT(add(&hll, bytes_of_text("b")));
    EXPECT(add(&hll, bytes_of_text("c")));
    EXPECT(!add(&hll, bytes_of_text("a")));
    static const struct hll_run runs[] = {{0, 8436, 2}, {1, 1, 1}, {0, 4274, 2}, {2, 1, 1},
                                          {0, 3068, 2}, {1, 1, 1}, {0, 603, 2}};
    size_t offset = HLL_HEADER_SIZE;
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        struct hll_run run;
        EXPECT(hll_run_at(bytes_of_hll(&hll), offset, &run));
        EXPECT_INT(run.value, runs[i].value);
        EXPECT_INT(run.length, runs[i].length);
        EXPECT_INT(run.size, runs[i].size);
        offset += run.size;
    }
    EXPECT_INT(offset, hll.size);
    EXPECT_INT(count_of(bytes_of_hll(&hll)), 3);
}

/* Any order of raises, against an array. */
TEST(registers_hold_the_highest_rank_sparse_and_dense)
{
    unsigned char data[ROOM];
    unsigned char registers[HLL_REGISTERS];
    unsigned char merged[HLL_REGISTERS];
    uint64_t chance = test_seed() + 1;
    for (int round = 0; round < 40; round++) {
        struct hll hll;
        uint64_t sparse_max = round % 4 == 0 ? HLL_SPARSE_SIZE_MAX : 200u * (unsigned)round;
        unsigned width = 1 + (unsigned)test_random_below(&chance, HLL_REGISTERS);
        memset(registers, 0, sizeof(registers));
        hll_init(&hll, data, sparse_max);
        for (int i = 0; i < 3000; i++) {
            struct hll_point point = {
                (uint16_t)test_random_below(&chance, width),
                (uint8_t)(1 + test_random_below(&chance, i % 7 == 0 ? 32 : 3)),
            };
            bool raised;
            unsigned value;
            EXPECT(hll_raise(&hll, point, &raised) == ST_OK);
            EXPECT(raised == (point.rank > registers[point.index]));
            registers[point.index] = raised ? point.rank : registers[point.index];
            EXPECT(hll_register(bytes_of_hll(&hll), point.index, &value) == ST_OK);
            EXPECT_INT(value, registers[point.index]);
            EXPECT(hll_encoding(bytes_of_hll(&hll)) == HLL_DENSE ||
                   hll.size <= (sparse_max > 18 ? sparse_max : 18));
        }
        memset(merged, 0, sizeof(merged));
        EXPECT(hll_merge(bytes_of_hll(&hll), merged) == ST_OK);
        EXPECT(memcmp(merged, registers, sizeof(registers)) == 0);
        uint64_t sparse = count_of(bytes_of_hll(&hll));
        EXPECT_INT(hll_count_registers(registers), sparse);
        EXPECT(hll_make_dense(&hll) == ST_OK);
        EXPECT_INT(count_of(bytes_of_hll(&hll)), sparse);
    }
}

TEST(a_sketch_becomes_dense_when_it_grows_too_long_or_a_rank_is_too_high)
{
    unsigned char data[ROOM];
    struct hll hll;
    bool raised;
    hll_init(&hll, data, 100);
    for (uint64_t i = 0; hll_encoding(bytes_of_hll(&hll)) == HLL_SPARSE; i++) {
        EXPECT(hll.size <= 100);
        EXPECT(i < 100);
        add_number(&hll, i);
    }
    EXPECT_INT(hll.size, HLL_DENSE_SIZE);
    hll_init(&hll, data, SPARSE_MAX);
    EXPECT(hll_raise(&hll, (struct hll_point){77, 32}, &raised) == ST_OK && raised);
    EXPECT(hll_encoding(bytes_of_hll(&hll)) == HLL_SPARSE);
    EXPECT(hll_raise(&hll, (struct hll_point){77, 33}, &raised) == ST_OK && raised);
    EXPECT(hll_encoding(bytes_of_hll(&hll)) == HLL_DENSE);
    unsigned value;
    EXPECT(hll_register(bytes_of_hll(&hll), 77, &value) == ST_OK);
    EXPECT_INT(value, 33);
}

/* The standard error of 16,384 registers is 1.04 / 128, 0.8 %. */
TEST(estimates_are_within_four_percent_over_five_magnitudes)
{
    unsigned char data[ROOM];
    struct hll hll;
    uint64_t next = 10;
    hll_init(&hll, data, SPARSE_MAX);
    for (uint64_t i = 0; i <= 1000000; i++) {
        if (i == next) {
            double count = (double)count_of(bytes_of_hll(&hll));
            EXPECT(fabs(count / (double)i - 1) < 0.04);
            next = next * 3;
        }
        add_number(&hll, i);
    }
}

TEST(the_estimate_in_the_header_is_stale_once_a_register_rises)
{
    unsigned char data[ROOM];
    struct hll hll;
    uint64_t count;
    hll_init(&hll, data, SPARSE_MAX);
    add_number(&hll, 1);
    hll_cache_encode(12345, hll.data + HLL_CACHE_OFFSET);
    EXPECT(hll_cached(bytes_of_hll(&hll), &count));
    EXPECT_INT(count, 12345);
    EXPECT(!add_number(&hll, 1));
    EXPECT(hll_cached(bytes_of_hll(&hll), &count));
    EXPECT(add_number(&hll, 2));
    EXPECT(!hll_cached(bytes_of_hll(&hll), &count));
}

TEST(what_has_no_header_of_a_sketch_is_none)
{
    unsigned char data[ROOM];
    struct hll hll;
    hll_init(&hll, data, SPARSE_MAX);
    for (size_t size = 0; size < HLL_HEADER_SIZE; size++) {
        EXPECT(!hll_is_sketch(bytes_of(data, size)));
    }
    EXPECT(hll_is_sketch(bytes_of(data, HLL_HEADER_SIZE)));
    data[4] = HLL_DENSE;
    EXPECT(!hll_is_sketch(bytes_of(data, HLL_DENSE_SIZE - 1)));
    EXPECT(hll_is_sketch(bytes_of(data, HLL_DENSE_SIZE)));
    data[4] = 2;
    EXPECT(!hll_is_sketch(bytes_of(data, HLL_DENSE_SIZE)));
    data[4] = HLL_SPARSE;
    data[0] = 'h';
    EXPECT(!hll_is_sketch(bytes_of(data, HLL_HEADER_SIZE)));
}

TEST(runs_that_do_not_make_all_registers_are_corrupt)
{
    static const struct {
        const char *runs;
        size_t size;
    } rows[] = {{"", 0},
                {"\x7f", 1},             /* Cut short. */
                {"\x7f\xfe", 2},         /* One register too few. */
                {"\x7f\xff\x00", 3},     /* One too many. */
                {"\x7f\xff\x7f\xff", 4}, /* Twice too many. */
                {"\x7f\xff\x40", 3},     /* A rest. */
                {"\x80\x7f\xff", 3},     /* Too many, by a value. */
                {"\x7f\xfe\x81", 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char data[ROOM];
        unsigned char registers[HLL_REGISTERS] = {0};
        struct hll hll;
        uint64_t count;
        hll_init(&hll, data, SPARSE_MAX);
        memcpy(data + HLL_HEADER_SIZE, rows[i].runs, rows[i].size);
        hll.size = HLL_HEADER_SIZE + rows[i].size;
        EXPECT(hll_count(bytes_of_hll(&hll), &count) == ST_CORRUPT);
        EXPECT(hll_merge(bytes_of_hll(&hll), registers) == ST_CORRUPT);
        EXPECT(hll_make_dense(&hll) == ST_CORRUPT);
    }
}

/* Everything that takes bytes, on bytes in a block of just their size, for the sanitizer to see. */
static void use_all(const unsigned char *data, size_t size, uint64_t *chance)
{
    unsigned char *block = malloc(size + 1);
    uint64_t sparse_max = test_random_below(chance, 40000);
    unsigned char *room = malloc(hll_room(size, sparse_max));
    unsigned char *registers = calloc(1, HLL_REGISTERS);
    EXPECT(block != NULL && room != NULL && registers != NULL);
    memcpy(block, data, size);
    struct bytes sketch = bytes_of(block, size);
    if (hll_is_sketch(sketch)) {
        unsigned value;
        uint64_t count;
        struct hll hll;
        enum status counted = hll_count(sketch, &count);
        EXPECT(counted == ST_OK || counted == ST_CORRUPT);
        EXPECT(hll_merge(sketch, registers) == counted);
        if (counted == ST_OK) {
            EXPECT_INT(hll_count_registers(registers), count);
        }
        enum status status =
            hll_register(sketch, (unsigned)test_random_below(chance, HLL_REGISTERS), &value);
        EXPECT(status == ST_OK || counted == ST_CORRUPT);
        status = hll_init_copy(&hll, room, sketch, sparse_max);
        for (int i = 0; i < 200 && status == ST_OK; i++) {
            struct hll_point point = {(uint16_t)test_random_below(chance, HLL_REGISTERS),
                                      (uint8_t)(1 + test_random_below(chance, HLL_VALUE_MAX))};
            bool raised;
            status = hll_raise(&hll, point, &raised);
            EXPECT(status == ST_OK || counted == ST_CORRUPT);
            EXPECT(hll.size <= HLL_SPARSE_SIZE_MAX);
        }
    }
    free(block);
    free(room);
    free(registers);
}

/* A sketch of some elements. */
static void random_sketch(struct hll *hll, unsigned char *data, uint64_t *chance)
{
    uint64_t count = test_random_below(chance, test_random_below(chance, 10) == 0 ? 3000 : 60);
    uint64_t sparse_max = test_random_below(chance, 4) == 0 ? 200 : 20000;
    hll_init(hll, data, sparse_max);
    for (uint64_t i = 0; i < count; i++) {
        add_number(hll, test_random(chance) >> 8);
    }
}

TEST(no_bytes_whatever_do_harm)
{
    unsigned char data[ROOM + 8]; /* Longer than any sketch may be. */
    uint64_t chance = test_seed() + 1;
    for (int round = 0; round < 6000; round++) {
        struct hll hll;
        random_sketch(&hll, data, &chance);
        uint64_t changes = test_random_below(&chance, 6);
        for (uint64_t i = 0; i < changes; i++) {
            size_t at = (size_t)test_random_below(&chance, hll.size);
            if (at >= HLL_HEADER_SIZE || test_random_below(&chance, 10) == 0) {
                data[at] = (unsigned char)test_random(&chance);
            }
        }
        if (test_random_below(&chance, 4) == 0) {
            hll.size = (size_t)test_random_below(&chance, hll.size + 1);
        } else if (test_random_below(&chance, 8) == 0) {
            size_t size = (size_t)test_random_below(&chance, HLL_SPARSE_SIZE_MAX + 8);
            for (size_t i = hll.size; i < size; i++) {
                data[i] = (unsigned char)test_random(&chance);
            }
            hll.size = size;
        }
        if (test_random_below(&chance, 8) == 0) {
            data[4] ^= 1; /* The other encoding. */
        }
        use_all(data, hll.size, &chance);
    }
}

/* All 64 values that six bits can hold, in every register: also what no hash can give. */
TEST(full_registers_give_an_answer)
{
    unsigned char registers[HLL_REGISTERS];
    for (unsigned value = 0; value <= HLL_VALUE_MAX; value++) {
        memset(registers, (int)value, sizeof(registers));
        uint64_t count = hll_count_registers(registers);
        EXPECT(value == 0 ? count == 0 : count > 0);
    }
}
