/* Hashes of which parts have left memory: every operation either waits and has changed nothing, or
 * does what it does to the same hash that is wholly there. The evictor works on a clast, so this
 * test looks into the root. */
#include "engine/value/fields_private.h"

#include "tests/lib/evictor.h"
#include "tests/lib/fields_payload.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define FIELDS 1200

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

static const struct value_limits limits = {.hash_seed = 5}; /* No hash is packed. */
static unsigned char filler[6000];

struct world {
    struct value value, whole; /* The second never loses a part. */
    struct evictor evictor;
    struct buf payload, scratch;
    uint64_t state, waits, held; /* held: waits of payloads of more than one step. */
};

/* A payload for the operation, of some fields by chance. */
static size_t payload_draw(struct world *world, unsigned op)
{
    size_t count = 1 + (size_t)test_random_below(&world->state, 6);
    world->payload.size = 0;
    for (size_t i = 0; i < count; i++) {
        char name[32];
        int name_size = snprintf(name, sizeof(name), "field %llu",
                                 (unsigned long long)test_random_below(&world->state, FIELDS));
        uint64_t size = (uint64_t)name_size;
        int64_t expiry_ms = 1 + (int64_t)test_random_below(&world->state, 500);
        bool timed = test_random_below(&world->state, 2) == 0;
        uint64_t value_size =
            test_random_below(&world->state, test_random_below(&world->state, 40) == 0 ? 6000 : 60);
        payload_varint(&world->payload, op == FIELDS_REMOVE   ? size
                                        : op == FIELDS_EXPIRE ? size << 1 | timed
                                        : timed               ? size << 2 | FIELDS_TIMED
                                                              : size << 2 | FIELDS_KEEPING);
        if (timed && op != FIELDS_REMOVE) {
            EXPECT(buf_append(&world->payload, bytes_of(&expiry_ms, 8)) == ST_OK);
        }
        if (op == FIELDS_PUT) {
            payload_varint(&world->payload, value_size);
        }
        EXPECT(buf_append(&world->payload, bytes_of(name, size)) == ST_OK);
        if (op == FIELDS_PUT) {
            EXPECT(buf_append(&world->payload, bytes_of(filler, value_size)) == ST_OK);
        }
    }
    return count;
}

static void apply_both(struct world *world, struct clast *evicted, unsigned op)
{
    struct value_change expected;
    struct value_change change;
    size_t steps = payload_draw(world, op);
    struct bytes payload = buf_bytes(&world->payload);
    EXPECT(value_apply(&world->whole, op, payload, &limits, &world->scratch, &expected) == ST_OK);
    for (;;) {
        enum status status =
            value_apply(&world->value, op, payload, &limits, &world->scratch, &change);
        if (status != ST_WAIT) {
            EXPECT_INT(status, ST_OK);
            break;
        }
        EXPECT(!change.changed && change.consumed == 0 && change.count == 0);
        world->waits++;
        world->held += steps > 1;
        evictor_load(&world->evictor, evicted);
    }
    EXPECT_INT(change.count, expected.count);
    EXPECT_INT(fields_count(&world->value), fields_count(&world->whole));
    EXPECT_INT(fields_earliest(&world->value), fields_earliest(&world->whole));
    world->scratch.size = 0;
}

static enum status find_in_whole(void *ctx, const struct field_item *item)
{
    struct world *world = ctx;
    struct field_item other;
    bool found;
    EXPECT(fields_find(&world->whole, item->field.data, 0, &other, &found) == ST_OK && found);
    EXPECT(bytes_equal(item->value.data, other.value.data));
    EXPECT_INT(item->expiry_ms, other.expiry_ms);
    return ST_OK;
}

static void run(bool due)
{
    struct world world = {.value = fields_empty(), .whole = fields_empty(), .state = test_seed()};
    evictor_init(&world.evictor);
    memset(filler, 'x', sizeof(filler));
    for (int i = 0; i < 600; i++) {
        apply_both(&world, NULL, FIELDS_PUT);
    }
    struct fields *root = fields_root(&world.value);
    struct clast *evicted = due ? &root->due : &root->clast;
    for (int i = 0; i < STEPS(3000, 1000); i++) {
        evictor_evict(&world.evictor, evicted, due ? 3 : 12, &world.state);
        uint64_t kind = test_random_below(&world.state, 5);
        apply_both(&world, evicted,
                   kind < 2   ? FIELDS_REMOVE
                   : kind < 4 ? FIELDS_PUT
                              : FIELDS_EXPIRE);
        if (i % 100 == 0) {
            evictor_load_all(&world.evictor, evicted);
            EXPECT(fields_check(&world.value) && fields_check(&world.whole));
            EXPECT(fields_walk(&world.value, 0, find_in_whole, &world) == ST_OK);
        }
    }
    EXPECT(world.waits > 300 && world.held > 100);
    evictor_load_all(&world.evictor, evicted);
    EXPECT(fields_check(&world.value));
    value_free(&world.value);
    value_free(&world.whole);
    evictor_deinit(&world.evictor);
    buf_deinit(&world.payload);
    buf_deinit(&world.scratch);
}

TEST(changes_of_fields_that_are_not_in_memory_wait_and_change_nothing)
{
    run(false);
}

TEST(changes_of_times_that_are_not_in_memory_wait_and_change_nothing)
{
    run(true);
}
