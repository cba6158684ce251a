#include "engine/shard/expiry.h"

#include "tests/lib/test.h"

#include <stdlib.h>

static void add(struct expiry *expiry, int64_t at_ms, uint64_t hash)
{
    EXPECT_INT(expiry_reserve(expiry, 1), ST_OK);
    expiry_add(expiry, at_ms, hash);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct expiry_row *)a)->at_ms;
    int64_t y = ((const struct expiry_row *)b)->at_ms;
    return (x > y) - (x < y);
}

TEST(expiry_gives_nothing_before_its_time)
{
    struct expiry expiry;
    struct expiry_row row = {0};
    expiry_init(&expiry);
    EXPECT(!expiry_take_due(&expiry, INT64_MAX, &row));
    add(&expiry, 1000, 7);
    EXPECT(!expiry_take_due(&expiry, 999, &row));
    EXPECT(expiry_take_due(&expiry, 1000, &row));
    EXPECT_INT(row.at_ms, 1000);
    EXPECT_INT(row.hash, 7);
    EXPECT(!expiry_take_due(&expiry, INT64_MAX, &row));
    expiry_deinit(&expiry);
}

TEST(expiry_orders_the_ends_of_time)
{
    struct expiry expiry;
    struct expiry_row row;
    expiry_init(&expiry);
    add(&expiry, INT64_MAX, 3);
    add(&expiry, INT64_MIN, 1);
    add(&expiry, 0, 2);
    for (uint64_t hash = 1; hash <= 3; hash++) {
        EXPECT(expiry_take_due(&expiry, INT64_MAX, &row));
        EXPECT_INT(row.hash, hash);
    }
    expiry_deinit(&expiry);
}

/* Takes all that is due and holds it against the model, sorted by time; gives what is left. */
static size_t taken_as_model(struct expiry *expiry, struct expiry_row *model, size_t count,
                             int64_t now_ms)
{
    qsort(model, count, sizeof(*model), by_time);
    size_t due = 0;
    while (due < count && model[due].at_ms <= now_ms) {
        due++;
    }
    for (size_t i = 0; i < due; i++) {
        struct expiry_row row;
        EXPECT(expiry_take_due(expiry, now_ms, &row));
        EXPECT_INT(row.at_ms, model[i].at_ms);
        /* Rows of one time come in any order: strike the one that came. */
        size_t j = i;
        while (j < due && model[j].at_ms == row.at_ms && model[j].hash != row.hash) {
            j++;
        }
        EXPECT(j < due && model[j].hash == row.hash);
        model[j] = model[i];
    }
    struct expiry_row none;
    EXPECT(!expiry_take_due(expiry, now_ms, &none));
    memmove(model, model + due, (count - due) * sizeof(*model));
    return count - due;
}

/* Drops some rows by chance, here and in the model. */
static size_t dropped_as_model(struct expiry *expiry, struct expiry_row *model, size_t count,
                               uint64_t *random)
{
    for (uint64_t drops = test_random_below(random, 8); drops > 0 && count > 0; drops--) {
        size_t index = test_random_below(random, expiry->count);
        struct expiry_row row = expiry->rows[index];
        expiry_drop(expiry, index);
        size_t j = 0;
        while (j < count && (model[j].at_ms != row.at_ms || model[j].hash != row.hash)) {
            j++;
        }
        EXPECT(j < count);
        model[j] = model[--count];
    }
    return count;
}

TEST(expiry_takes_rows_in_the_order_of_a_sorted_model)
{
    enum { MAX = 3000, ROUNDS = 400 };
    uint64_t random = test_seed();
    struct expiry expiry;
    expiry_init(&expiry);
    struct expiry_row *model = calloc(MAX, sizeof(*model));
    size_t count = 0;
    int64_t now_ms = -1000;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t adds = test_random_below(&random, 1 + test_random_below(&random, 100));
        /* Sometimes all of few times, so that many are equal. */
        uint64_t span = round % 3 == 0 ? 4 : 2000;
        for (uint64_t i = 0; i < adds && count < MAX; i++) {
            int64_t at_ms = now_ms + (int64_t)test_random_below(&random, span);
            struct expiry_row row = {at_ms, test_random(&random)};
            add(&expiry, row.at_ms, row.hash);
            model[count++] = row;
        }
        count = dropped_as_model(&expiry, model, count, &random);
        now_ms += (int64_t)test_random_below(&random, 40);
        count = taken_as_model(&expiry, model, count, now_ms);
        EXPECT_INT(expiry.count, count);
    }
    count = taken_as_model(&expiry, model, count, INT64_MAX);
    EXPECT_INT(count, 0);
    free(model);
    expiry_deinit(&expiry);
}

TEST(expiry_returns_memory_when_most_rows_are_gone)
{
    struct expiry expiry;
    struct expiry_row row;
    expiry_init(&expiry);
    for (int64_t i = 0; i < 100000; i++) {
        add(&expiry, 100000 - i, (uint64_t)i);
    }
    EXPECT(expiry.capacity < 160000);
    for (int64_t i = 1; i <= 100000; i++) {
        EXPECT(expiry_take_due(&expiry, INT64_MAX, &row));
        EXPECT_INT(row.at_ms, i);
    }
    EXPECT(expiry.capacity < 200);
    for (int64_t i = 0; i < 100000; i++) {
        add(&expiry, i, (uint64_t)i);
    }
    while (expiry.count > 0) {
        expiry_drop(&expiry, expiry.count / 2);
    }
    EXPECT(expiry.capacity < 200);
    expiry_deinit(&expiry);
    EXPECT(expiry.rows == NULL);
}

TEST(expiry_is_stale_when_twice_as_many_rows_as_keys_matter)
{
    struct expiry expiry;
    expiry_init(&expiry);
    for (uint64_t i = 0; i < 500; i++) {
        add(&expiry, 5, i);
    }
    EXPECT(!expiry_stale(&expiry, 0)); /* Too few to matter. */
    for (uint64_t i = 0; i < 1500; i++) {
        add(&expiry, 5, i);
    }
    EXPECT(expiry_stale(&expiry, 0));
    EXPECT(expiry_stale(&expiry, 999));
    EXPECT(!expiry_stale(&expiry, 1000));
    EXPECT(!expiry_stale(&expiry, 2000));
    expiry_deinit(&expiry);
}
