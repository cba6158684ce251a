#include "engine/value/clast.h"

#include "tests/lib/evictor.h"
#include "tests/lib/test.h"

#include <stdlib.h>
#include <time.h>

/* The model: element i has the tag tags[i]; size and bytes of an element follow from its tag. */
struct model {
    uint64_t *tags;
    size_t count;
    size_t capacity;
};

#define ELEMENT_SIZE_MAX 9000
static unsigned char noise[ELEMENT_SIZE_MAX + 256];

static void noise_init(void)
{
    uint64_t state = 7;
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (unsigned char)(1 + test_random_below(&state, 255));
    }
}

/* Tags: the low 16 bits are the size, the bytes repeat the tag's upper bits where they fit. */
static struct bytes element_of(uint64_t tag, unsigned char *room)
{
    size_t size = tag & 0xffff;
    memcpy(room, noise + (tag >> 16) % 256, size);
    uint64_t name = tag >> 16;
    memcpy(room, &name, size < sizeof(name) ? size : sizeof(name));
    return bytes_of(room, size);
}

static uint64_t tag_random(uint64_t *state, bool small)
{
    uint64_t kind = test_random_below(state, 1000);
    size_t size = (size_t)test_random_below(state, 40);
    if (!small && kind < 20) {
        size = (size_t)test_random_below(state, ELEMENT_SIZE_MAX);
    } else if (!small && kind < 120) {
        size = (size_t)test_random_below(state, 700);
    } else if (!small && kind < 125) {
        size = CLAST_INLINE_MAX - 1 + (size_t)test_random_below(state, 3);
    }
    return test_random(state) << 16 | size;
}

static void model_splice(struct model *model, size_t index, size_t removed, const uint64_t *tags,
                         size_t count)
{
    if (model->count + count > model->capacity) {
        model->capacity = (model->count + count) * 2;
        model->tags = realloc(model->tags, model->capacity * sizeof(uint64_t));
        EXPECT(model->tags != NULL);
    }
    size_t rest = model->count - index - removed;
    if (rest > 0) {
        memmove(model->tags + index + count, model->tags + index + removed,
                rest * sizeof(uint64_t));
    }
    if (count > 0) {
        memcpy(model->tags + index, tags, count * sizeof(uint64_t));
    }
    model->count = model->count - removed + count;
}

struct comparing {
    const struct model *model;
    size_t next;
    bool backwards;
};

static enum status compare_piece(void *ctx, struct value_piece piece)
{
    struct comparing *comparing = ctx;
    static unsigned char room[ELEMENT_SIZE_MAX];
    struct bytes expected = element_of(comparing->model->tags[comparing->next], room);
    EXPECT(bytes_equal(piece.data, expected));
    EXPECT(piece.part != NULL);
    comparing->next += comparing->backwards ? SIZE_MAX : 1;
    return ST_OK;
}

static void expect_range(const struct clast *clast, const struct model *model, size_t index,
                         size_t count, bool backwards)
{
    struct comparing comparing = {model, index, backwards};
    EXPECT(clast_walk(clast, index, count, backwards, compare_piece, &comparing) == ST_OK);
    EXPECT(comparing.next == (backwards ? index - count : index + count));
}

static void expect_same(const struct clast *clast, const struct model *model)
{
    EXPECT_INT(clast->count, model->count);
    expect_range(clast, model, 0, model->count, false);
    if (model->count > 0) {
        expect_range(clast, model, model->count - 1, model->count, true);
    }
}

static void expect_at(const struct clast *clast, const struct model *model, size_t index)
{
    static unsigned char room[ELEMENT_SIZE_MAX];
    struct value_piece piece;
    EXPECT(clast_at(clast, index, &piece) == ST_OK);
    EXPECT(bytes_equal(piece.data, element_of(model->tags[index], room)));
}

#define PUSH_MAX 40

struct run {
    uint64_t state;
    bool small_elements;
    size_t count_wanted; /* The size hovers around this. */
    bool may_fail;       /* Allocations fail now and then. */
    bool evicts;         /* Parts leave memory between the steps. */
};

static enum status step_push(struct clast *clast, struct model *model, struct run *run)
{
    static unsigned char room[PUSH_MAX][ELEMENT_SIZE_MAX];
    uint64_t tags[PUSH_MAX];
    uint64_t in_order[PUSH_MAX];
    struct bytes elements[PUSH_MAX];
    bool left = test_random_below(&run->state, 2) == 0;
    size_t count = 1 + (size_t)test_random_below(&run->state, PUSH_MAX);
    for (size_t i = 0; i < count; i++) {
        tags[i] = tag_random(&run->state, run->small_elements);
        in_order[left ? count - 1 - i : i] = tags[i];
        elements[i] = element_of(tags[i], room[i]);
    }
    enum status status = clast_push(clast, left, elements, count);
    if (status == ST_OK) {
        model_splice(model, left ? 0 : model->count, 0, in_order, count);
    }
    return status;
}

static enum status step_one(struct clast *clast, struct model *model, struct run *run, bool replace)
{
    static unsigned char room[ELEMENT_SIZE_MAX];
    uint64_t tag = tag_random(&run->state, run->small_elements);
    struct bytes element = element_of(tag, room);
    size_t index = (size_t)test_random_below(&run->state, model->count + !replace);
    enum status status =
        replace ? clast_replace(clast, index, element) : clast_insert(clast, index, element);
    if (status == ST_OK) {
        model_splice(model, index, replace, &tag, 1);
    }
    return status;
}

static enum status step_remove(struct clast *clast, struct model *model, struct run *run,
                               size_t most)
{
    size_t count =
        (size_t)test_random_below(&run->state, (most < model->count ? most : model->count) + 1);
    size_t index = (size_t)test_random_below(&run->state, model->count - count + 1);
    uint64_t where = test_random_below(&run->state, 4);
    index = where == 0 ? 0 : where == 1 ? model->count - count : index;
    enum status status = clast_remove(clast, index, count);
    if (status == ST_OK) {
        model_splice(model, index, count, NULL, 0);
    }
    return status;
}

static enum status step_remove_each(struct clast *clast, struct model *model, struct run *run)
{
    uint64_t indexes[200];
    size_t count = 0;
    uint64_t gap = 1 + test_random_below(&run->state, 1 + model->count / 100);
    for (uint64_t i = test_random_below(&run->state, gap); i < model->count && count < 200;) {
        indexes[count++] = i;
        i += 1 + test_random_below(&run->state, gap);
    }
    enum status status = clast_remove_each(clast, indexes, count);
    for (size_t i = count; status == ST_OK && i > 0; i--) {
        model_splice(model, (size_t)indexes[i - 1], 1, NULL, 0);
    }
    return status;
}

static enum status step_trim(struct clast *clast, struct model *model, struct run *run)
{
    size_t cut = 1 + model->count / 20;
    size_t first = (size_t)test_random_below(&run->state, cut);
    size_t behind = (size_t)test_random_below(&run->state, cut);
    size_t count = first + behind < model->count ? model->count - first - behind : 0;
    first = count == 0 ? 0 : first;
    enum status status = clast_trim(clast, first, count);
    if (status == ST_OK) {
        model_splice(model, first + count, model->count - first - count, NULL, 0);
        model_splice(model, 0, first, NULL, 0);
    }
    return status;
}

static enum status step(struct clast *clast, struct model *model, struct run *run)
{
    uint64_t kind = test_random_below(&run->state, 100);
    bool grow = model->count < test_random_below(&run->state, 2 * run->count_wanted + 1);
    if (model->count == 0 || (grow && kind < 10)) {
        return step_push(clast, model, run);
    }
    if (kind < 30) {
        return step_one(clast, model, run, true);
    }
    if (grow) {
        return step_one(clast, model, run, false);
    }
    if (kind < 34) {
        return step_remove_each(clast, model, run);
    }
    if (kind < 36 && test_random_below(&run->state, 1 + run->count_wanted / 200) == 0) {
        return step_trim(clast, model, run);
    }
    if (kind < 38) {
        return step_remove(clast, model, run, 1 + model->count / 30);
    }
    return step_remove(clast, model, run, kind < 45 ? 60 : 2);
}

static void run_steps(struct run *run, size_t steps, size_t check_each)
{
    noise_init();
    struct clast clast;
    struct model model = {NULL, 0, 0};
    struct evictor evictor;
    clast_init(&clast, &clast_by_position, 0);
    evictor_init(&evictor);
    size_t waits = 0;
    for (size_t i = 0; i < steps; i++) {
        if (run->evicts && i % 4 == 0) {
            evictor_evict(&evictor, &clast, 1 + test_random_below(&run->state, 6), &run->state);
        }
        if (run->may_fail) {
            part_test_fail_from(1 + test_random_below(&run->state, 6));
        }
        enum status status = step(&clast, &model, run);
        part_test_fail_from(0);
        if (run->evicts && status == ST_WAIT) { /* T5: nothing has changed. */
            evictor_load(&evictor, &clast);
            waits++;
            status = ST_OK;
        }
        EXPECT(status == ST_OK || (run->may_fail && status == ST_NOMEM));
        EXPECT_INT(clast.count, model.count);
        if (i % check_each == 0) {
            evictor_load_all(&evictor, &clast);
        }
        if (model.count > 0 && clast.parts.absent == 0) {
            expect_at(&clast, &model, (size_t)test_random_below(&run->state, model.count));
        }
        if (i % check_each == 0) {
            EXPECT(clast_check(&clast));
            expect_same(&clast, &model);
        }
    }
    evictor_load_all(&evictor, &clast);
    EXPECT(clast_check(&clast));
    expect_same(&clast, &model);
    EXPECT(!run->evicts || waits > 0);
    evictor_deinit(&evictor);
    clast_deinit(&clast);
    free(model.tags);
}

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

/* T1, T2, T3 after each of many small steps. */
TEST(clast_equals_a_plain_array_after_every_step)
{
    for (size_t wanted = 1; wanted <= 3000; wanted *= 5) {
        struct run run = {test_seed() + wanted, false, wanted, false, false};
        run_steps(&run, STEPS(6000, 1500), 1);
    }
}

/* A million steps and more, on a tree of three levels. */
TEST(clast_equals_a_plain_array_after_a_million_steps)
{
    struct run small = {test_seed(), true, 200000, false, false};
    run_steps(&small, STEPS(700000, 20000), STEPS(50000, 5000));
    struct run mixed = {test_seed() + 1, false, 30000, false, false};
    run_steps(&mixed, STEPS(700000, 20000), STEPS(50000, 5000));
}

/* T5: a step whose allocation fails has changed nothing. */
TEST(clast_changes_nothing_when_memory_is_refused)
{
    struct run run = {test_seed(), false, 2000, true, false};
    run_steps(&run, STEPS(60000, 5000), STEPS(20, 20));
}

/* A step that meets a part that is not in memory waits before it changes anything. */
TEST(clast_equals_a_plain_array_while_parts_come_and_go)
{
    struct run run = {.state = test_seed(), .count_wanted = 2000, .evicts = true};
    run_steps(&run, STEPS(40000, 4000), 25);
}

static void model_copy(const struct model *from, struct model *copy_out)
{
    *copy_out = (struct model){NULL, 0, 0};
    model_splice(copy_out, 0, 0, from->tags, from->count);
}

/* T4: copies share their parts, and none of them sees what happens to another. */
TEST(clast_copies_live_apart_while_they_share_parts)
{
    enum { COPIES = 4 };
    noise_init();
    struct run run = {test_seed(), false, 4000, true, false};
    struct clast clasts[COPIES];
    struct model models[COPIES];
    for (size_t i = 0; i < COPIES; i++) {
        clast_init(&clasts[i], &clast_by_position, 0);
        models[i] = (struct model){NULL, 0, 0};
    }
    for (size_t i = 0; i < STEPS(40000, 4000); i++) {
        size_t at = (size_t)test_random_below(&run.state, COPIES);
        run.may_fail = test_random_below(&run.state, 4) == 0;
        part_test_fail_from(run.may_fail ? 1 + test_random_below(&run.state, 10) : 0);
        enum status status = step(&clasts[at], &models[at], &run);
        EXPECT(status == ST_OK || run.may_fail);
        if (i % 300 == 0) {
            size_t from = (at + 1) % COPIES;
            clast_deinit(&clasts[at]);
            free(models[at].tags);
            models[at] = (struct model){NULL, 0, 0};
            if (clast_copy(&clasts[from], &clasts[at]) == ST_OK) {
                model_copy(&models[from], &models[at]);
            }
        }
        part_test_fail_from(0);
        if (i % 50 == 0) {
            for (size_t j = 0; j < COPIES; j++) {
                EXPECT(clast_check(&clasts[j]));
                expect_same(&clasts[j], &models[j]);
            }
        }
    }
    for (size_t i = 0; i < COPIES; i++) {
        clast_deinit(&clasts[i]);
        free(models[i].tags);
    }
}

struct kept {
    struct value_piece pieces[5000];
    size_t count;
};

static enum status keep_piece(void *ctx, struct value_piece piece)
{
    struct kept *kept = ctx;
    part_ref(piece.part);
    kept->pieces[kept->count++] = piece;
    return ST_OK;
}

/* T4: what a reply references stays as it was, whatever writers do. */
TEST(clast_leaves_referenced_parts_alone)
{
    noise_init();
    struct run run = {test_seed(), false, 3000, false, false};
    struct clast clast;
    struct model model = {NULL, 0, 0};
    static struct kept kept;
    static unsigned char room[ELEMENT_SIZE_MAX];
    clast_init(&clast, &clast_by_position, 0);
    while (model.count < 3000) {
        EXPECT(step_push(&clast, &model, &run) == ST_OK);
    }
    struct model before;
    model_copy(&model, &before);
    kept.count = 0;
    EXPECT(clast_walk(&clast, 0, clast.count, false, keep_piece, &kept) == ST_OK);
    for (size_t i = 0; i < STEPS(30000, 3000); i++) {
        EXPECT(step(&clast, &model, &run) == ST_OK);
    }
    clast_deinit(&clast);
    for (size_t i = 0; i < kept.count; i++) {
        EXPECT(bytes_equal(kept.pieces[i].data, element_of(before.tags[i], room)));
        part_unref(kept.pieces[i].part);
    }
    free(model.tags);
    free(before.tags);
}

static void push_numbers(struct clast *clast, bool left, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[32] = "0123456789abcdef";
        memcpy(text, &i, sizeof(i));
        struct bytes element = bytes_of(text, 16);
        EXPECT(clast_push(clast, left, &element, 1) == ST_OK);
    }
}

/* 16 bytes of element take 16 + 3 bytes of a leaf: pushes at either end leave leaves full. */
TEST(clast_fills_leaves_when_pushed_from_either_side)
{
    for (int left = 0; left < 2; left++) {
        struct clast clast;
        clast_init(&clast, &clast_by_position, 0);
        push_numbers(&clast, left != 0, STEPS(1000000, 100000));
        double each = (double)clast_memory(&clast) / (double)clast.count;
        EXPECT(each < 19.0 / 0.95);
        EXPECT(clast_check(&clast));
        clast_deinit(&clast);
    }
}

/* A queue: pushed on one side and popped on the other, it stays small. */
TEST(clast_gives_memory_back_when_used_as_a_queue)
{
    for (int left = 0; left < 2; left++) {
        struct clast clast;
        clast_init(&clast, &clast_by_position, 0);
        push_numbers(&clast, left != 0, 5000);
        uint64_t memory = clast_memory(&clast);
        for (size_t i = 0; i < 50000; i++) {
            push_numbers(&clast, left != 0, 1);
            EXPECT(clast_remove(&clast, left != 0 ? clast.count - 1 : 0, 1) == ST_OK);
        }
        EXPECT(clast_check(&clast));
        EXPECT(clast_memory(&clast) <= memory + 4 * 4096);
        clast_deinit(&clast);
    }
}

/* After heavy thinning, the remaining parts are at least a quarter full on average. */
TEST(clast_merges_what_became_small)
{
    struct clast clast;
    clast_init(&clast, &clast_by_position, 0);
    push_numbers(&clast, false, 100000);
    uint64_t state = test_seed();
    while (clast.count > 5000) {
        EXPECT(clast_remove(&clast, test_random_below(&state, clast.count), 1) == ST_OK);
    }
    EXPECT(clast_check(&clast));
    EXPECT((double)clast_memory(&clast) / (double)clast.count < 19 * 4);
    clast_deinit(&clast);
}

/* Frees in slices, and what another copy shares stays. */
TEST(clast_frees_in_slices)
{
    struct clast clast;
    struct clast copy;
    clast_init(&clast, &clast_by_position, 0);
    push_numbers(&clast, false, 300000);
    EXPECT(clast_copy(&clast, &copy) == ST_OK);
    push_numbers(&clast, false, 300000);
    size_t slices = 0;
    while (!clast_free_some(&clast, 10)) {
        slices++;
    }
    clast_deinit(&clast);
    EXPECT(slices > 100);
    EXPECT(clast_check(&copy));
    EXPECT_INT(copy.count, 300000);
    clast_deinit(&copy);
}

TEST(clast_refuses_elements_beyond_its_limit)
{
    struct clast clast;
    clast_init(&clast, &clast_by_position, 0);
    struct bytes element = bytes_of("", (size_t)CLAST_ELEMENT_MAX + 1);
    EXPECT(clast_push(&clast, false, &element, 1) == ST_LIMIT);
    EXPECT_INT(clast.count, 0);
    EXPECT(clast_check(&clast));
}

/* Pages that were reserved and never reached lie behind those that are freed first. */
TEST(room_that_was_reserved_in_a_part_table_goes_with_it)
{
    struct parts parts;
    parts_init(&parts);
    for (uint32_t i = 0; i < PARTS_PAGE_COUNT; i++) {
        EXPECT(parts_reserve(&parts, 1) == ST_OK);
        EXPECT_INT(parts_add(&parts, part_new(16)), i);
    }
    EXPECT(parts_reserve(&parts, 1) == ST_OK); /* A second page. */
    parts_deinit(&parts);                      /* A leak fails the run with the sanitizer. */
    EXPECT(parts.pages == NULL && parts.memory == 0);
}
