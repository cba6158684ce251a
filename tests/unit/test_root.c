/* Large values of every type between memory and disk: whatever is changed, captured, evicted,
 * thrown away and read again, the value equals a twin that never leaves memory. */
#include "engine/value/root.h"

#include "tests/lib/deed.h"
#include "tests/lib/shelf.h"
#include "tests/lib/test.h"
#include "tests/lib/value_check.h"

#include <pthread.h>

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

/* -- The world --------------------------------------------------------------------------------- */

struct world {
    struct value one, twin;
    struct buf stored[2];
    struct buf scratch, encoded, other;
    struct value_limits limits;
    struct shelf shelf;
    uint64_t state, waits, captures, reloads, copies;
    bool fails;
};

/* Packed bytes lie in scratch: the entry of a key would keep them. */
static void keep(struct world *world, struct value *value, struct buf *stored)
{
    if (value->shape == VALUE_PACKED) {
        struct buf fresh = BUF_EMPTY;
        EXPECT(buf_append(&fresh, value->packed) == ST_OK);
        buf_deinit(stored);
        *stored = fresh;
        value->packed = buf_bytes(stored);
    }
    world->scratch.size = 0;
}

static bool one_in(struct world *world, uint64_t odds)
{
    return test_random_below(&world->state, odds) == 0;
}

static void world_open(struct world *world, enum value_type type, uint64_t seed)
{
    *world = (struct world){.state = seed, .limits = deed_limits()};
    world->one = value_empty(type);
    world->twin = value_empty(type);
    shelf_init(&world->shelf);
    keep(world, &world->one, &world->stored[0]);
    keep(world, &world->twin, &world->stored[1]);
}

static void world_close(struct world *world)
{
    value_free(&world->one);
    value_free(&world->twin);
    shelf_deinit(&world->shelf);
    buf_deinit(&world->stored[0]);
    buf_deinit(&world->stored[1]);
    buf_deinit(&world->scratch);
    buf_deinit(&world->encoded);
    buf_deinit(&world->other);
}

static void expect_equal(struct world *world)
{
    shelf_encode(&world->shelf, &world->one, &world->encoded);
    shelf_encode(&world->shelf, &world->twin, &world->other);
    EXPECT(bytes_equal(buf_bytes(&world->encoded), buf_bytes(&world->other)));
    struct value copy; /* To bring all that there is. */
    enum status status;
    (void)parts_take_misses(NULL, 0);
    while ((status = value_copy(&world->one, &world->scratch, &copy)) == ST_WAIT) {
        shelf_serve(&world->shelf, &world->one);
    }
    EXPECT(status == ST_OK && value_check(&copy));
    value_free(&copy);
    world->scratch.size = 0;
    EXPECT(value_check(&world->one) && value_check(&world->twin));
}

/* R4: nothing is asked for. */
static void expect_answers(struct world *world)
{
    struct parts_miss miss;
    (void)parts_take_misses(&miss, 1);
    EXPECT(value_vanishes(&world->one) == value_vanishes(&world->twin));
    EXPECT(value_encoding(&world->one, &world->limits) != NULL);
    EXPECT(value_memory(&world->one) > 0 || world->one.shape == VALUE_PACKED);
    if (world->one.shape == world->twin.shape) {
        EXPECT_INT(value_encoded_max(&world->one), value_encoded_max(&world->twin));
    }
    if (world->one.type == VALUE_HASH) {
        EXPECT_INT(fields_count(&world->one), fields_count(&world->twin));
        EXPECT_INT(fields_earliest(&world->one), fields_earliest(&world->twin));
        EXPECT(fields_gone(&world->one, 500) == fields_gone(&world->twin, 500));
        EXPECT(fields_gone(&world->one, 1000) == fields_gone(&world->twin, 1000));
    }
    EXPECT_INT(parts_take_misses(&miss, 1), 0);
}

static void change(struct world *world, bool grows)
{
    struct deed deed;
    enum status status;
    uint64_t expected;
    uint64_t count;
    bool single = world->fails && one_in(world, 2);
    deed_draw(&deed, &world->twin, single, grows, &world->state);
    EXPECT(deed_do(&deed, &world->twin, &world->limits, &world->scratch, &expected) == ST_OK);
    keep(world, &world->twin, &world->stored[1]);
    (void)parts_take_misses(NULL, 0);
    part_test_fail_from(single ? 1 + test_random_below(&world->state, 8) : 0);
    while ((status = deed_do(&deed, &world->one, &world->limits, &world->scratch, &count)) !=
           ST_OK) {
        EXPECT(status == ST_WAIT || (status == ST_NOMEM && single));
        part_test_fail_from(0);
        keep(world, &world->one, &world->stored[0]);
        if (status == ST_WAIT) {
            world->waits++;
            shelf_serve(&world->shelf, &world->one);
        }
    }
    part_test_fail_from(0);
    EXPECT_INT(count, expected); /* No half of it was done before a part was waited for. */
    keep(world, &world->one, &world->stored[0]);
    shelf_follow(&world->shelf, &world->one);
    deed_deinit(&deed);
}

static void capture(struct world *world)
{
    if (world->one.shape == VALUE_PACKED || world->shelf.writing) {
        return;
    }
    uint64_t fail_from = world->fails ? test_random_below(&world->state, 6) : 0;
    world->captures += shelf_capture(&world->shelf, &world->one, fail_from);
}

static void evict(struct world *world)
{
    if (!world->shelf.writing) {
        uint64_t before = value_memory(&world->one);
        uint64_t freed = value_evict_some(&world->one, test_random_below(&world->state, 60));
        EXPECT_INT(value_memory(&world->one), before - freed);
    }
}

static void reload(struct world *world)
{
    shelf_write(&world->shelf, &world->one);
    world->fails = false;
    if (value_dirty(&world->one)) {
        capture(world);
    }
    shelf_write(&world->shelf, &world->one);
    if (world->one.shape == VALUE_CLAST) {
        shelf_reload(&world->shelf, &world->one, &world->limits);
        world->reloads++;
    }
}

/* The value goes on as a copy of itself: nobody's, with pages that it shared for a while. */
static void copy(struct world *world)
{
    struct value copy;
    enum status status;
    (void)parts_take_misses(NULL, 0);
    while ((status = value_copy(&world->one, &world->scratch, &copy)) == ST_WAIT) {
        shelf_serve(&world->shelf, &world->one);
    }
    EXPECT(status == ST_OK && value_clast(&copy) == 0);
    shelf_encode(&world->shelf, &world->one, &world->encoded);
    if (one_in(world, 2)) { /* The original changes, is captured, evicted and goes. */
        struct value_capture capture;
        uint64_t clast = value_clast(&world->one);
        struct buf root = BUF_EMPTY;
        if (world->one.shape == VALUE_CLAST) {
            EXPECT(value_capture(&world->one, clast == 0 ? 99 : clast, &root, &capture) == ST_OK);
            (void)value_evict_some(&world->one, 1000);
            (void)value_evict_some(&world->one, 1000);
            value_capture_deinit(&capture);
        }
        buf_deinit(&root);
    }
    value_free(&world->one);
    world->one = copy;
    keep(world, &world->one, &world->stored[0]);
    shelf_follow(&world->shelf, &world->one);
    shelf_encode(&world->shelf, &world->one, &world->other);
    EXPECT(bytes_equal(buf_bytes(&world->encoded), buf_bytes(&world->other)));
    world->copies++;
}

static void run(enum value_type type, uint64_t seed, bool fails)
{
    static struct world world;
    world_open(&world, type, seed);
    for (int i = 0; i < STEPS(2500, 800); i++) {
        world.fails = fails;
        change(&world, i / 300 % 2 == 0);
        if (one_in(&world, 10)) {
            capture(&world);
        }
        if (one_in(&world, 10)) {
            shelf_write(&world.shelf, &world.one);
        }
        if (one_in(&world, 3)) {
            evict(&world);
        }
        if (one_in(&world, 60)) {
            reload(&world);
            expect_answers(&world);
        }
        if (one_in(&world, STEPS(200, 50))) {
            shelf_write(&world.shelf, &world.one);
            copy(&world);
        }
        if (one_in(&world, 25)) {
            expect_answers(&world);
        }
        if (one_in(&world, 50)) {
            expect_equal(&world);
        }
    }
    reload(&world);
    expect_equal(&world);
    EXPECT(world.captures > 0 && world.reloads > 0 && world.copies > 0);
    EXPECT(world.waits > 0 && world.shelf.row_count > 0);
    world_close(&world);
}

/* R1, R2, R4, P1 … P4, T4. */
TEST(root_of_a_text_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_STRING, test_seed(), false);
}

TEST(root_of_a_list_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_LIST, test_seed(), false);
}

TEST(root_of_chunks_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_CHUNKS, test_seed(), false);
}

TEST(root_of_a_hash_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_HASH, test_seed(), false);
}

TEST(root_of_a_set_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_SET, test_seed(), false);
}

TEST(root_of_a_sorted_set_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_ZSET, test_seed(), false);
}

TEST(root_of_a_stream_equals_a_twin_that_never_leaves_memory)
{
    run(VALUE_STREAM, test_seed(), false);
}

/* R3 as well. */
TEST(root_of_every_type_stays_right_while_memory_fails)
{
    for (enum value_type type = VALUE_STRING; type <= VALUE_STREAM; type++) {
        run(type, test_seed() + type, true);
    }
}

/* -- Two threads ------------------------------------------------------------------------------- */

static void *run_alone(void *ctx)
{
    struct world *world = ctx;
    for (int i = 0; i < STEPS(400, 150); i++) {
        change(world, true);
        if (i % 7 == 0) {
            capture(world);
            shelf_write(&world->shelf, &world->one);
        }
        evict(world);
    }
    return NULL;
}

/* Pages and parts are shared in the beginning; each side lets go of them as it changes, captures
 * and evicts. */
TEST(root_of_a_value_and_of_its_copy_change_under_two_locks)
{
    static const enum value_type types[] = {VALUE_LIST, VALUE_ZSET, VALUE_STRING};
    static struct world worlds[2];
    for (size_t t = 0; t < 3; t++) {
        pthread_t threads[2];
        world_open(&worlds[0], types[t], test_seed());
        world_open(&worlds[1], types[t], test_seed() + 1);
        for (int i = 0;
             i < 300 || worlds[0].one.shape == VALUE_PACKED || worlds[0].twin.shape == VALUE_PACKED;
             i++) {
            change(&worlds[0], true);
        }
        capture(&worlds[0]);
        shelf_write(&worlds[0].shelf, &worlds[0].one);
        EXPECT(value_copy(&worlds[0].one, &worlds[0].scratch, &worlds[1].one) == ST_OK);
        EXPECT(value_copy(&worlds[0].twin, &worlds[0].scratch, &worlds[1].twin) == ST_OK);
        for (int i = 0; i < 2; i++) {
            EXPECT(pthread_create(&threads[i], NULL, run_alone, &worlds[i]) == 0);
        }
        for (int i = 0; i < 2; i++) {
            EXPECT(pthread_join(threads[i], NULL) == 0);
        }
        expect_equal(&worlds[0]);
        expect_equal(&worlds[1]);
        world_close(&worlds[0]);
        world_close(&worlds[1]);
    }
}
