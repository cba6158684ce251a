#include "engine/value/chunks_filter.h"

#include "tests/lib/test.h"

#include <stdlib.h>

static struct chunk_digest *digests_random(size_t count, uint64_t *state)
{
    struct chunk_digest *digests = malloc(count * sizeof(*digests));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < CHUNK_DIGEST_SIZE; j += 8) {
            store_u64(digests[i].bytes + j, test_random(state));
        }
    }
    return digests;
}

static enum status source(void *ctx, uint64_t index, const struct chunk_digest **digest_out)
{
    *digest_out = (const struct chunk_digest *)ctx + index;
    return ST_OK;
}

static size_t count_perhaps(const struct chunks_filter *filter, const struct chunk_digest *digests,
                            size_t count)
{
    size_t yes = 0;
    for (size_t i = 0; i < count; i++) {
        bool perhaps;
        EXPECT(chunks_filter_ask(filter, &digests[i], &perhaps) == ST_OK);
        yes += perhaps;
    }
    return yes;
}

/* F1, and that the filter is worth its memory at every size. */
TEST(a_filter_knows_all_that_was_added_and_little_else)
{
    enum { COUNT = 40000, STRANGERS = 5000 };
    uint64_t state = test_seed();
    struct chunk_digest *digests = digests_random(COUNT, &state);
    struct chunk_digest *strangers = digests_random(STRANGERS, &state);
    struct chunks_filter filter;
    chunks_filter_init(&filter);
    EXPECT_INT(count_perhaps(&filter, strangers, STRANGERS), 0);
    size_t count = 0, checked = 0;
    while (count < COUNT) {
        size_t added = 1 + test_random_below(&state, 20);
        added = added > COUNT - count ? COUNT - count : added;
        EXPECT(chunks_filter_add(&filter, count, digests + count, added, source, digests) == ST_OK);
        count += added;
        if (count > checked + checked / 8 || count == COUNT) {
            EXPECT_INT(count_perhaps(&filter, digests, count), count);
            EXPECT(count_perhaps(&filter, strangers, STRANGERS) < STRANGERS / 33);
            checked = count;
        }
    }
    EXPECT(chunks_filter_memory(&filter) < COUNT * 5);
    chunks_filter_deinit(&filter);
    free(digests);
    free(strangers);
}

TEST(large_additions_rebuild_at_once)
{
    enum { COUNT = 60000 };
    uint64_t state = test_seed();
    struct chunk_digest *digests = digests_random(COUNT, &state);
    struct chunk_digest *strangers = digests_random(5000, &state);
    size_t steps[] = {400, 500, 501, 20000, 20001, COUNT}, count = 0;
    struct chunks_filter filter;
    chunks_filter_init(&filter);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        EXPECT(chunks_filter_add(&filter, count, digests + count, steps[i] - count, source,
                                 digests) == ST_OK);
        count = steps[i];
        EXPECT_INT(count_perhaps(&filter, digests, count), count);
        EXPECT(count_perhaps(&filter, strangers, 5000) < 150);
    }
    chunks_filter_deinit(&filter);
    free(digests);
    free(strangers);
}

/* F1 */
TEST(an_addition_given_up_for_want_of_memory_loses_nothing_added_before)
{
    enum { COUNT = 6000 };
    uint64_t state = test_seed();
    struct chunk_digest *digests = digests_random(COUNT, &state);
    struct chunks_filter filter, copy;
    chunks_filter_init(&filter);
    for (size_t count = 0; count + 50 <= COUNT; count += 50) {
        EXPECT(chunks_filter_copy(&filter, &copy) == ST_OK);
        for (uint64_t nth = 1;; nth++) {
            part_test_fail_from(nth);
            enum status status =
                chunks_filter_add(&filter, count, digests + count, 50, source, digests);
            part_test_fail_from(0);
            EXPECT_INT(count_perhaps(&filter, digests, count), count);
            if (status == ST_OK) {
                break;
            }
            EXPECT(status == ST_NOMEM);
        }
        EXPECT_INT(count_perhaps(&copy, digests, count), count);
        EXPECT(count_perhaps(&copy, digests + count, 50) < 20);
        chunks_filter_deinit(&copy);
    }
    while (!chunks_filter_free_some(&filter, 1)) {
    }
    chunks_filter_deinit(&filter);
    free(digests);
}
