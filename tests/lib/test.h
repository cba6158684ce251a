/* test: sentences that register themselves, and what they may expect.
 *
 *     TEST(wlog_replays_what_it_called_durable) { EXPECT(replayed == durable); }
 *
 * A failed EXPECT prints where and why and ends that test; the others still run. The runner prints
 * a line a test and "N passed, N failed" at the end, and its exit code is 0 only without failures.
 * Arguments: [-v] [WORD …] runs the tests whose names hold one of the words.
 * BASIN_SEED=n in the environment sets test_seed(); it is printed when a test fails.
 */
#ifndef BASIN_TESTS_LIB_TEST_H
#define BASIN_TESTS_LIB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

void test_register(struct test *test);
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t test_seed(void);

/* xorshift64*: the one source of chance in tests, so that one number replays a run. */
uint64_t test_random(uint64_t *state);
uint64_t test_random_below(uint64_t *state, uint64_t bound);

/* A fresh directory, removed when the test ends; lent until then. */
const char *test_dir(void);

/* Whether run, in a child, ends by a CHECK that fails. */
bool test_aborts(void (*run)(void *ctx), void *ctx);

#define TEST(sentence)                                                                             \
    static void test_##sentence(void);                                                             \
    static struct test test_row_##sentence = {#sentence, test_##sentence, NULL};                   \
    __attribute__((constructor)) static void test_register_##sentence(void)                        \
    {                                                                                              \
        test_register(&test_row_##sentence);                                                       \
    }                                                                                              \
    static void test_##sentence(void)

#define EXPECT(condition)                                                                          \
    ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "expected: %s", #condition))
#define EXPECT_INT(actual, expected)                                                               \
    do {                                                                                           \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                \
        if (actual_ != expected_) {                                                                \
            test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, actual_,           \
                      expected_);                                                                  \
        }                                                                                          \
    } while (0)
#define EXPECT_TEXT(actual, expected) test_expect_text(__FILE__, __LINE__, actual, expected)
void test_expect_text(const char *file, int line, const char *actual, const char *expected);

#endif
