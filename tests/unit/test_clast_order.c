/* Clasts in the order of their bytes, or of a hash: against an array that says which keys are
 * there, with parts leaving memory between the steps. */
#include "engine/base/hash.h"
#include "engine/value/clast.h"

#include "tests/lib/evictor.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define KEY_SIZE 20
#define PAYLOAD_MAX 4000
#define ELEMENT_MAX (KEY_SIZE + PAYLOAD_MAX)

#ifdef BASIN_SLOW_CHECKS
#define STEPS(release, checked) (checked)
#else
#define STEPS(release, checked) (release)
#endif

/* Key i is there if payloads[i] != 0; its payload follows from that number. */
struct model {
    uint64_t *payloads;
    size_t keys; /* Possible ones. */
    uint64_t count;
};

/* Half of the keys share their first 16 bytes, and with them their mark. */
static struct bytes key_of(size_t i, size_t keys, unsigned char *room)
{
    memset(room, 'x', KEY_SIZE);
    uint32_t number = __builtin_bswap32((uint32_t)i);
    if (i < keys / 2) {
        memcpy(room, &number, sizeof(number));
    } else {
        memcpy(room + 16, &number, sizeof(number));
    }
    return bytes_of(room, KEY_SIZE);
}

static struct bytes element_of(size_t i, size_t keys, uint64_t payload, unsigned char *room)
{
    (void)key_of(i, keys, room);
    size_t size = payload % 100 < 96 ? payload % 40 : (payload >> 8) % PAYLOAD_MAX;
    memset(room + KEY_SIZE, (int)(payload >> 20 & 0xff), size);
    return bytes_of(room, KEY_SIZE + size);
}

static size_t number_of(struct bytes element, size_t keys)
{
    const unsigned char *p = element.data;
    uint32_t number;
    EXPECT(element.size >= KEY_SIZE);
    memcpy(&number, p[0] == 'x' ? p + 16 : p, sizeof(number));
    EXPECT(__builtin_bswap32(number) < keys);
    return __builtin_bswap32(number);
}

static uint64_t hash_key_of(struct bytes element, uint64_t seed)
{
    return hash_element(bytes_slice(element, 0, KEY_SIZE), seed);
}

/* Only 32 bits, and a few keys share each of them. */
static uint64_t hash_poorly(struct bytes element, uint64_t seed)
{
    unsigned char first[KEY_SIZE];
    memcpy(first, element.data, KEY_SIZE);
    first[first[0] == 'x' ? 19 : 3] &= 0xfc;
    return hash_element(bytes_of(first, KEY_SIZE), seed) >> 32 << 32;
}

static const struct clast_order hashed = {CLAST_HASHED, hash_key_of};
static const struct clast_order hashed_poorly = {CLAST_HASHED, hash_poorly};

struct world {
    struct clast clast;
    struct model model;
    struct evictor evictor;
    uint64_t state;
    size_t wanted; /* The count hovers around this. */
    bool small;    /* No large payloads: those of equal hashes must fit a leaf. */
    bool evicts, may_fail;
};

static void world_init(struct world *world, const struct clast_order *order, size_t keys)
{
    *world = (struct world){.state = test_seed() + keys};
    clast_init(&world->clast, order, 7);
    evictor_init(&world->evictor);
    world->model.keys = keys;
    world->model.payloads = calloc(keys, sizeof(uint64_t));
    EXPECT(world->model.payloads != NULL);
    world->wanted = keys / 2;
    world->small = order == &hashed_poorly;
}

static void world_deinit(struct world *world)
{
    clast_deinit(&world->clast);
    evictor_deinit(&world->evictor);
    free(world->model.payloads);
}

static enum status same_key(void *ctx, struct bytes element, bool *same_out)
{
    *same_out = bytes_equal(bytes_slice(element, 0, KEY_SIZE), *(const struct bytes *)ctx);
    return ST_OK;
}

static enum status seek(const struct clast *clast, struct bytes key, struct clast_path *path,
                        bool *found)
{
    if (clast->order->kind == CLAST_HASHED) {
        return clast_seek_hash(clast, clast->order->hash(key, clast->seed), same_key, &key, path,
                               found);
    }
    enum status status = clast_seek_key(clast, key, path);
    struct value_piece piece;
    *found = false;
    if (status == ST_OK && !clast_path_end(path)) {
        status = clast_path_element(clast, path, &piece);
        if (status == ST_OK) {
            status = same_key(&key, piece.data, found);
        }
    }
    return status;
}

/* One change of key i, or a range of ranks; ST_WAIT and ST_NOMEM have changed nothing. */
static enum status change(struct world *world, size_t i, uint64_t payload)
{
    unsigned char room[ELEMENT_MAX];
    unsigned char key_room[KEY_SIZE];
    struct clast *clast = &world->clast;
    struct clast_path path;
    bool found;
    enum status status = seek(clast, key_of(i, world->model.keys, key_room), &path, &found);
    if (status != ST_OK) {
        return status;
    }
    EXPECT(found == (world->model.payloads[i] != 0));
    if (!found) {
        status = clast_insert_at(clast, &path, element_of(i, world->model.keys, payload, room));
    } else if (payload == 0) {
        status = clast_remove_at(clast, &path);
    } else {
        status = clast_replace_at(clast, &path, element_of(i, world->model.keys, payload, room));
    }
    return status;
}

static enum status forget(void *ctx, struct value_piece piece)
{
    struct model *model = ctx;
    size_t i = number_of(piece.data, model->keys);
    EXPECT(model->payloads[i] != 0);
    model->payloads[i] = 0;
    model->count--;
    return ST_OK;
}

static enum status nothing(void *ctx, struct value_piece piece)
{
    return ST_OK;
}

static enum status remove_range(struct world *world)
{
    struct clast *clast = &world->clast;
    uint64_t from = test_random_below(&world->state, clast->count);
    uint64_t count = 1 + test_random_below(&world->state, 1 + clast->count / 20);
    count = count > clast->count - from ? clast->count - from : count;
    enum status status;
    struct model before = world->model;
    before.payloads = malloc(before.keys * sizeof(uint64_t));
    EXPECT(before.payloads != NULL);
    memcpy(before.payloads, world->model.payloads, before.keys * sizeof(uint64_t));
    while ((status = clast_walk(clast, from, count, false, nothing, NULL)) == ST_WAIT) {
        evictor_load(&world->evictor, clast);
    }
    EXPECT(clast_walk(clast, from, count, false, forget, &world->model) == ST_OK);
    if (world->evicts) { /* What was read may have left again. */
        evictor_evict(&world->evictor, clast, 2, &world->state);
    }
    while ((status = clast_remove(clast, from, count)) == ST_WAIT) {
        evictor_load(&world->evictor, clast);
    }
    if (status != ST_OK) {
        memcpy(world->model.payloads, before.payloads, before.keys * sizeof(uint64_t));
        world->model.count = before.count;
    }
    free(before.payloads);
    return status;
}

static void world_step(struct world *world)
{
    struct model *model = &world->model;
    size_t i = (size_t)test_random_below(&world->state, model->keys);
    uint64_t chance = test_random_below(&world->state, 1000);
    uint64_t payload = test_random(&world->state) | 1;
    payload -= world->small ? payload % 100 - 1 : 0;
    bool grow = model->count < world->wanted;
    if (model->payloads[i] != 0 && chance < (grow ? 300u : 800u)) {
        payload = 0;
    }
    if (world->may_fail) {
        part_test_fail_from(1 + test_random_below(&world->state, 6));
    }
    enum status status;
    if (chance >= (world->evicts ? 980u : 999u) && model->count > 0) {
        status = remove_range(world);
    } else if (model->payloads[i] == 0 && payload == 0) {
        status = ST_OK;
    } else {
        while ((status = change(world, i, payload)) == ST_WAIT) {
            evictor_load(&world->evictor, &world->clast);
        }
        if (status == ST_OK) {
            model->count += (payload != 0) - (model->payloads[i] != 0);
            model->payloads[i] = payload;
        }
    }
    part_test_fail_from(0);
    EXPECT(status == ST_OK || (world->may_fail && status == ST_NOMEM));
    EXPECT_INT(world->clast.count, model->count);
    if (world->evicts && chance % 4 == 0) {
        evictor_evict(&world->evictor, &world->clast, 1 + test_random_below(&world->state, 8),
                      &world->state);
    }
}

struct comparing {
    const struct model *model;
    size_t last; /* Sorted: the number before, + 1. */
    bool sorted;
    uint64_t seen;
};

static enum status compare(void *ctx, struct value_piece piece)
{
    struct comparing *comparing = ctx;
    unsigned char room[ELEMENT_MAX];
    size_t i = number_of(piece.data, comparing->model->keys);
    uint64_t payload = comparing->model->payloads[i];
    EXPECT(payload != 0);
    EXPECT(bytes_equal(piece.data, element_of(i, comparing->model->keys, payload, room)));
    EXPECT(!comparing->sorted || i >= comparing->last);
    comparing->last = i + 1;
    comparing->seen++;
    return ST_OK;
}

static void world_check(struct world *world)
{
    struct clast *clast = &world->clast;
    evictor_load_all(&world->evictor, clast);
    EXPECT(clast_check(clast));
    struct comparing comparing = {&world->model, 0, clast->order->kind == CLAST_SORTED, 0};
    EXPECT(clast_walk(clast, 0, clast->count, false, compare, &comparing) == ST_OK);
    EXPECT_INT(comparing.seen, world->model.count);
}

static void run(const struct clast_order *order, size_t keys, size_t steps, size_t check_each,
                bool evicts, bool may_fail)
{
    struct world world;
    world_init(&world, order, keys);
    world.evicts = evicts;
    world.may_fail = may_fail;
    for (size_t i = 0; i < steps; i++) {
        world_step(&world);
        if (i % check_each == 0) {
            world_check(&world);
        }
        if (i % 5000 == 0) {
            world.wanted = 1 + (size_t)test_random_below(&world.state, keys);
        }
    }
    world_check(&world);
    EXPECT(!evicts || world.evictor.loads > 0);
    world_deinit(&world);
}

static const struct clast_order *const orders[] = {&clast_sorted, &hashed, &hashed_poorly};
#define ORDERS (sizeof(orders) / sizeof(orders[0]))

/* T1, T2, T3, T6 after each of many small steps. */
TEST(clast_keeps_its_order_after_every_step)
{
    for (size_t i = 0; i < ORDERS; i++) {
        for (size_t keys = 10; keys <= 4000; keys *= 20) {
            run(orders[i], keys, STEPS(15000, 1500), 1, false, false);
        }
    }
}

/* The same on trees of three levels, a million steps each. */
TEST(clast_keeps_its_order_over_a_million_steps)
{
    for (size_t i = 0; i < ORDERS; i++) {
        run(orders[i], 100000, STEPS(1000000, 20000), STEPS(100000, 5000), false, false);
    }
}

/* Whatever part is not in memory, a step waits before it changes anything, and then goes on. */
TEST(clast_keeps_its_order_while_parts_come_and_go)
{
    for (size_t i = 0; i < ORDERS; i++) {
        run(orders[i], 3000, STEPS(40000, 2000), STEPS(20, 10), true, false);
        run(orders[i], 300, STEPS(20000, 2000), 1, true, false);
    }
}

/* T5 */
TEST(clast_in_order_changes_nothing_when_memory_is_refused)
{
    for (size_t i = 0; i < ORDERS; i++) {
        run(orders[i], 3000, STEPS(40000, 4000), 20, false, true);
    }
}

/* Ranks, bounds and counts of a sorted clast are those of an array. */
TEST(clast_finds_by_key_and_by_rank_what_an_array_has_there)
{
    struct world world;
    world_init(&world, &clast_sorted, 20000);
    world.wanted = 10000;
    for (size_t i = 0; i < 40000; i++) {
        world_step(&world);
    }
    unsigned char room[KEY_SIZE];
    uint64_t below = 0;
    for (size_t i = 0; i < world.model.keys; i++) {
        struct clast_path path;
        EXPECT(clast_seek_key(&world.clast, key_of(i, world.model.keys, room), &path) == ST_OK);
        EXPECT_INT(clast_path_rank(&path), below);
        EXPECT(clast_path_end(&path) == (below == world.model.count));
        if (world.model.payloads[i] == 0) {
            continue;
        }
        struct value_piece piece;
        EXPECT(clast_at(&world.clast, below, &piece) == ST_OK);
        EXPECT_INT(number_of(piece.data, world.model.keys), i);
        bool moved;
        EXPECT(clast_path_previous(&world.clast, &path, &moved) == ST_OK);
        EXPECT(moved == (below > 0));
        if (moved) {
            EXPECT_INT(clast_path_rank(&path), below - 1);
            EXPECT(clast_path_next(&world.clast, &path) == ST_OK);
        }
        EXPECT_INT(clast_path_rank(&path), below);
        EXPECT(clast_path_next(&world.clast, &path) == ST_OK);
        below++;
        EXPECT_INT(clast_path_rank(&path), below);
    }
    EXPECT_INT(below, world.model.count);
    world_deinit(&world);
}

struct scanning {
    struct model *model;
    unsigned *seen;
};

static enum status see(void *ctx, struct value_piece piece)
{
    struct scanning *scanning = ctx;
    scanning->seen[number_of(piece.data, scanning->model->keys)]++;
    return ST_OK;
}

/* An element that is there throughout a scan is given, whatever comes and goes meanwhile. */
TEST(clast_scan_gives_what_stays)
{
    for (size_t i = 1; i < ORDERS; i++) {
        struct world world;
        world_init(&world, orders[i], 20000);
        for (size_t step = 0; step < 20000; step++) {
            world_step(&world);
        }
        for (size_t round = 0; round < 10; round++) {
            uint64_t *before = malloc(world.model.keys * sizeof(uint64_t));
            unsigned *seen = calloc(world.model.keys, sizeof(unsigned));
            EXPECT(before != NULL && seen != NULL);
            memcpy(before, world.model.payloads, world.model.keys * sizeof(uint64_t));
            struct scanning scanning = {&world.model, seen};
            uint64_t cursor = 0;
            size_t calls = 0;
            world.wanted = 1 + (size_t)test_random_below(&world.state, world.model.keys);
            do {
                EXPECT(clast_scan(&world.clast, cursor, 10, see, &scanning, &cursor) == ST_OK);
                EXPECT(cursor < 1ull << 48);
                for (size_t step = 0; step < 100; step++) {
                    world_step(&world);
                }
                for (size_t key = 0; key < world.model.keys; key++) {
                    before[key] = world.model.payloads[key] == 0 ? 0 : before[key];
                }
                EXPECT(++calls < 100000);
            } while (cursor != 0);
            for (size_t key = 0; key < world.model.keys; key++) {
                EXPECT(before[key] == 0 || seen[key] > 0);
            }
            free(before);
            free(seen);
        }
        world_deinit(&world);
    }
}

static void insert_number(struct clast *clast, uint64_t number)
{
    unsigned char bytes[KEY_SIZE] = "abcdefgh";
    uint64_t big = __builtin_bswap64(number);
    memcpy(bytes, &big, sizeof(big));
    struct bytes key = bytes_of(bytes, KEY_SIZE);
    struct clast_path path;
    bool found;
    EXPECT(seek(clast, key, &path, &found) == ST_OK);
    if (!found) {
        EXPECT(clast_insert_at(clast, &path, key) == ST_OK);
    }
}

/* Random insertions leave leaves more than three quarters full, growing ones full. */
TEST(clast_in_order_wastes_little)
{
    for (size_t i = 0; i < 3; i++) {
        bool grows = i == 2;
        struct clast clast;
        clast_init(&clast, i == 1 ? &hashed : &clast_sorted, 1);
        uint64_t state = test_seed();
        for (size_t k = 0; k < STEPS(300000, 30000); k++) {
            insert_number(&clast, grows ? k : test_random(&state));
        }
        size_t cost = KEY_SIZE + 1 + 2 + (i == 1);
        double full = (double)clast.count * (double)cost / (double)clast_memory(&clast);
        if (full < (grows ? 0.95 : 0.75)) {
            test_fail(__FILE__, __LINE__, "order %zu: %.3f full", i, full);
        }
        EXPECT(clast_check(&clast));
        clast_deinit(&clast);
    }
}
