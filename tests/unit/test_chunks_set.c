#include "engine/value/chunks_set.h"

#include "tests/lib/test.h"

#include <stdlib.h>

/* The model: entry i has bits[i]. */
struct model {
    uint32_t *bits;
    uint64_t count;
};

static enum status is_index(void *ctx, uint64_t index, bool *same_out)
{
    *same_out = index == *(const uint64_t *)ctx;
    return ST_OK;
}

static enum status never(void *ctx, uint64_t index, bool *same_out)
{
    ++*(uint64_t *)ctx;
    *same_out = index == UINT64_MAX;
    return ST_OK;
}

static void expect_model(const struct chunks_set *set, const struct model *model)
{
    EXPECT_INT(set->count, model->count);
    EXPECT(chunks_set_check(set));
    for (uint64_t i = 0; i < model->count; i++) {
        uint64_t index;
        bool found = false;
        EXPECT(chunks_set_find(set, model->bits[i], is_index, &i, &index, &found) == ST_OK);
        EXPECT(found && index == i);
    }
}

/* Adds `count` entries with one reserve; takes all back if one finds no memory. */
static enum status add(struct chunks_set *set, struct model *model, uint64_t count)
{
    enum status status = chunks_set_reserve(set, count);
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = chunks_set_add(set, model->bits[model->count + i], model->count + i);
        for (; status != ST_OK && i > 0; i--) {
            chunks_set_take_back(set, model->bits[model->count + i - 1], model->count + i - 1);
        }
    }
    model->count += status == ST_OK ? count : 0;
    return status;
}

enum kind { RANDOM, LOW, HIGH, HALF_HIGH, FEW_HOMES, KIND_COUNT };

/* Bits as digests have them, and as somebody who grinds chunks might arrange them. */
static struct model model_new(enum kind kind, uint64_t count, uint64_t *state)
{
    struct model model = {malloc(count * sizeof(uint32_t)), 0};
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)(test_random(state) >> 32);
        uint32_t choices[KIND_COUNT] = {bits, bits & 3, UINT32_MAX - (bits & 1),
                                        i % 2 ? bits : UINT32_MAX, (bits & 7) * 0x20000000u};
        model.bits[i] = choices[kind];
    }
    return model;
}

/* C1 */
TEST(every_entry_is_found_while_the_table_grows)
{
    uint64_t state = test_seed();
    struct chunks_set set;
    struct model model = model_new(RANDOM, 40000, &state);
    chunks_set_init(&set);
    while (model.count < 39900) {
        uint64_t count = 1 + test_random_below(&state, 30);
        EXPECT(add(&set, &model, count) == ST_OK);
        if (test_random_below(&state, 100) == 0) {
            expect_model(&set, &model);
        }
    }
    expect_model(&set, &model);
    uint64_t candidates = 0, index;
    bool found;
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t bits = (uint32_t)(test_random(&state) >> 32);
        EXPECT(chunks_set_find(&set, bits, never, &candidates, &index, &found) == ST_OK && !found);
    }
    EXPECT(candidates < 10);
    EXPECT(chunks_set_memory(&set) < model.count * 26);
    chunks_set_deinit(&set);
    free(model.bits);
}

/* C1 */
TEST(bits_that_somebody_has_ground_to_agree_do_no_harm_but_time)
{
    uint64_t state = test_seed();
    for (enum kind kind = LOW; kind < KIND_COUNT; kind++) {
        struct chunks_set set;
        struct model model = model_new(kind, 3000, &state);
        chunks_set_init(&set);
        for (unsigned i = 0; model.count + 40 < 3000; i++) {
            EXPECT(add(&set, &model, i % 2 ? 1 : 40) == ST_OK);
            EXPECT(i % 40 != 0 || chunks_set_check(&set));
        }
        expect_model(&set, &model);
        chunks_set_deinit(&set);
        free(model.bits);
    }
}

/* C1: a run that reaches the end of the old table goes on in the new one. */
TEST(a_run_over_the_end_of_the_table_is_found_while_the_table_grows)
{
    uint64_t state = test_seed();
    struct chunks_set set;
    struct model model = model_new(HALF_HIGH, 12000, &state);
    chunks_set_init(&set);
    while (model.count < 12000) {
        EXPECT(add(&set, &model, 1) == ST_OK);
        EXPECT(model.count % 500 != 0 || chunks_set_check(&set));
    }
    expect_model(&set, &model);
    chunks_set_deinit(&set);
    free(model.bits);
}

TEST(one_large_addition_grows_the_table_at_once)
{
    uint64_t state = test_seed();
    struct chunks_set set;
    struct model model = model_new(RANDOM, 70000, &state);
    chunks_set_init(&set);
    EXPECT(add(&set, &model, 350) == ST_OK);
    EXPECT(add(&set, &model, 3) == ST_OK);
    EXPECT(add(&set, &model, 20000) == ST_OK);
    expect_model(&set, &model);
    EXPECT(add(&set, &model, 1) == ST_OK);
    EXPECT(add(&set, &model, 49000) == ST_OK);
    expect_model(&set, &model);
    chunks_set_deinit(&set);
    free(model.bits);
}

/* C2 */
TEST(an_addition_that_gets_no_memory_leaves_the_entries_as_they_were)
{
    uint64_t state = test_seed();
    for (enum kind kind = RANDOM; kind < KIND_COUNT; kind++) {
        struct chunks_set set;
        struct model model = model_new(kind, 4000, &state);
        chunks_set_init(&set);
        while (model.count < 3000) {
            struct chunks_set copy;
            struct model before = model;
            EXPECT(chunks_set_copy(&set, &copy) == ST_OK);
            for (uint64_t nth = 1;; nth++) {
                part_test_fail_from(nth);
                enum status status = add(&set, &model, 60);
                part_test_fail_from(0);
                if (status == ST_OK) {
                    break;
                }
                EXPECT(status == ST_NOMEM && chunks_set_check(&set));
                EXPECT_INT(set.count, before.count);
            }
            if (test_random_below(&state, 10) == 0) {
                expect_model(&set, &model);
                expect_model(&copy, &before);
            }
            chunks_set_deinit(&copy);
        }
        chunks_set_deinit(&set);
        free(model.bits);
    }
}

TEST(copies_of_a_set_go_their_own_ways_even_in_the_middle_of_growing)
{
    uint64_t state = test_seed();
    struct chunks_set set, copy;
    struct model model = model_new(RANDOM, 9000, &state);
    chunks_set_init(&set);
    while (set.old.homes == 0 || model.count < 3000) {
        EXPECT(add(&set, &model, 1) == ST_OK);
    }
    struct model other = model_new(RANDOM, 9000, &state);
    memcpy(other.bits, model.bits, model.count * sizeof(uint32_t));
    other.count = model.count;
    EXPECT(chunks_set_copy(&set, &copy) == ST_OK);
    while (model.count < 8000) {
        EXPECT(add(&set, &model, 7) == ST_OK && add(&copy, &other, 5) == ST_OK);
    }
    expect_model(&set, &model);
    expect_model(&copy, &other);
    chunks_set_deinit(&set);
    while (!chunks_set_free_some(&copy, 1)) {
    }
    chunks_set_deinit(&copy);
    free(model.bits);
    free(other.bits);
}
