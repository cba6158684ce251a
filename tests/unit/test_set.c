#include "engine/value/set.h"

#include "engine/value/clast.h"
#include "engine/value/set_algebra.h"
#include "engine/value/set_private.h"
#include "tests/lib/evictor.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The model: members are drawn from a fixed pool, so it is one flag a pool entry. A pool entry is
 * an integer below INTEGERS, else a text whose size varies by its number. */
#define POOL 3000
#define INTEGERS 900
#define MEMBER_MAX 5000

static const struct value_limits usual = {.set_max_intset_entries = 512,
                                          .set_max_listpack_entries = 128,
                                          .set_max_listpack_value = 64,
                                          .hash_seed = 7};

static struct bytes member_of(size_t index, char *room)
{
    if (index < INTEGERS) {
        /* Of all widths. */
        int64_t value = (int64_t)index - 300;
        value = index % 10 == 8 ? value * 100000 : index % 10 == 9 ? value * 10000000000ll : value;
        return bytes_of(room, int64_to_text(value, room));
    }
    size_t size = index % 100 == 99   ? MEMBER_MAX - index % 7
                  : index % 20 == 19  ? 60 + index % 10
                  : index == INTEGERS ? 0
                                      : 5 + index % 30;
    memset(room, (int)('a' + index % 20), size);
    if (size >= 5) {
        char text[24];
        snprintf(text, sizeof(text), "%05zu", index);
        memcpy(room, text, 5);
        room[0] = 'm';
    }
    return bytes_of(room, size);
}

struct model {
    bool in[POOL];
    size_t count;
};

struct counting {
    const struct model *model;
    uint64_t count;
    bool fine;
};

static size_t index_of(struct bytes member)
{
    int64_t value;
    if (bytes_to_int64(member, &value)) {
        for (size_t i = 0; i < INTEGERS; i++) {
            char room[INT64_TEXT_MAX];
            if (bytes_equal(member_of(i, room), member)) {
                return i;
            }
        }
        return POOL;
    }
    char text[5] = "00900";
    if (member.size >= 5) {
        memcpy(text, member.data, 5);
        text[0] = '0';
    } else {
        return member.size == 0 ? INTEGERS : POOL;
    }
    size_t index = 0;
    for (size_t i = 0; i < 5; i++) {
        index = index * 10 + (size_t)(text[i] - '0');
    }
    return index;
}

static enum status count_member(void *ctx, struct value_piece piece)
{
    struct counting *counting = ctx;
    size_t index = index_of(piece.data);
    counting->fine = counting->fine && index < POOL && counting->model->in[index];
    counting->count++;
    return ST_OK;
}

/* The set checks out, so its members are different; and all of them, and no others, are the
 * model's. */
static void expect_same(const struct value *set, const struct model *model)
{
    struct counting counting = {model, 0, true};
    EXPECT(set_check(set));
    EXPECT_INT(set_count(set), model->count);
    EXPECT(set_walk(set, 0, model->count, count_member, &counting) == ST_OK);
    EXPECT(counting.fine);
    EXPECT_INT(counting.count, model->count);
}

static void expect_looked_up(const struct value *set, const struct model *model, uint64_t *state)
{
    for (size_t i = 0; i < 20; i++) {
        char room[MEMBER_MAX];
        char at_room[INT64_TEXT_MAX];
        size_t index = (size_t)test_random_below(state, POOL);
        struct set_probe probe = set_probe_of(member_of(index, room));
        bool has;
        uint64_t rank = UINT64_MAX;
        EXPECT(set_has(set, &probe, &has) == ST_OK);
        EXPECT(has == model->in[index]);
        EXPECT(set_rank(set, &probe, &rank, &has) == ST_OK);
        EXPECT(has == model->in[index]);
        if (has) {
            struct value_piece piece;
            EXPECT(set_at(set, rank, at_room, &piece) == ST_OK);
            EXPECT(bytes_equal(piece.data, probe.member));
        }
    }
}

/* A payload of up to `most` members of the pool's part [first, first + span). */
struct request {
    struct buf payload;
    size_t indexes[700];
    size_t count;
};

static void request_draw(struct request *request, size_t first, size_t span, size_t count,
                         uint64_t *state)
{
    request->payload.size = 0;
    request->count = count;
    for (size_t i = 0; i < count; i++) {
        char room[MEMBER_MAX];
        unsigned char size[VARINT_MAX];
        request->indexes[i] = first + (size_t)test_random_below(state, span);
        struct bytes member = member_of(request->indexes[i], room);
        EXPECT(buf_append(&request->payload, bytes_of(size, varint_store(size, member.size))) ==
               ST_OK);
        EXPECT(buf_append(&request->payload, member) == ST_OK);
    }
}

/* Applies to the model what the first `consumed` bytes of the payload ask for; gives the count. */
static uint64_t model_apply(struct model *model, const struct request *request, size_t consumed,
                            bool adds)
{
    uint64_t count = 0;
    size_t offset = 0;
    for (size_t i = 0; i < request->count && offset < consumed; i++) {
        char room[MEMBER_MAX];
        size_t size = member_of(request->indexes[i], room).size;
        offset += varint_size(size) + size;
        bool *in = &model->in[request->indexes[i]];
        count += *in != adds;
        model->count += *in == adds ? 0 : adds ? 1 : (size_t)-1;
        *in = adds;
    }
    EXPECT_INT(offset, consumed);
    return count;
}

/* As a command does: a packed view is stored elsewhere, and the scratch buffer is used anew. */
static void store(struct value *set, struct buf *stored, struct buf *scratch)
{
    if (set->shape == VALUE_PACKED) {
        struct buf fresh = BUF_EMPTY;
        EXPECT(buf_append(&fresh, set->packed) == ST_OK);
        buf_deinit(stored);
        *stored = fresh;
        set->packed = buf_bytes(stored);
    }
    buf_clear(scratch, 1000);
}

struct run {
    uint64_t state;
    struct value_limits limits;
    bool may_fail, evicts;
    struct value set;
    struct buf stored, scratch;
    struct model model;
    struct request request;
    size_t encodings[SET_HASHTABLE + 1];
};

/* Only for the evictor. */
static struct clast *clast_of(const struct value *set)
{
    return set->shape == VALUE_CLAST ? &((struct set *)set->root)->clast : NULL;
}

static void step(struct run *run, struct evictor *evictor, bool adds, size_t first, size_t span,
                 size_t count)
{
    struct value_change change;
    enum status status;
    request_draw(&run->request, first, span, count, &run->state);
    struct bytes payload = buf_bytes(&run->request.payload);
    unsigned op = adds ? SET_OP_ADD : SET_OP_REMOVE;
    if (run->evicts && clast_of(&run->set) != NULL) {
        evictor_evict(evictor, clast_of(&run->set), 4, &run->state);
    }
    part_test_fail_from(run->may_fail ? 1 + test_random_below(&run->state, 12) : 0);
    while ((status = value_apply(&run->set, op, payload, &run->limits, &run->scratch, &change)) ==
           ST_WAIT) {
        EXPECT(!change.changed && change.consumed == 0 && run->evicts);
        part_test_fail_from(0);
        evictor_load(evictor, clast_of(&run->set));
    }
    part_test_fail_from(0);
    EXPECT(status == ST_OK || (status == ST_NOMEM && run->may_fail));
    EXPECT(status != ST_OK || change.consumed == payload.size);
    uint64_t done = model_apply(&run->model, &run->request, change.consumed, adds);
    EXPECT_INT(change.count, done);
    EXPECT(change.changed || done == 0);
    if (run->evicts && clast_of(&run->set) != NULL) {
        evictor_load_all(evictor, clast_of(&run->set));
    }
    if (change.changed && test_random_below(&run->state, 3) != 0) {
        store(&run->set, &run->stored, &run->scratch);
    }
}

static void run_steps(struct run *run, size_t steps)
{
    struct evictor evictor;
    evictor_init(&evictor);
    run->set = set_empty();
    for (size_t i = 0; i < steps; i++) {
        bool integers = run->model.count < 700 && test_random_below(&run->state, 50) != 0;
        bool adds = run->model.count < 3 || test_random_below(&run->state, 100) < 55;
        size_t most = test_random_below(&run->state, 40) == 0 ? 600 : 6;
        size_t count = 1 + (size_t)test_random_below(&run->state, most);
        /* From time to time the set goes altogether, to grow anew in another way. */
        if (test_random_below(&run->state, 60) == 0) {
            value_free(&run->set);
            run->set = set_empty();
            memset(&run->model, 0, sizeof(run->model));
        }
        if (test_random_below(&run->state, 2) == 0) {
            step(run, &evictor, adds, 0, integers ? INTEGERS : POOL, count);
        } else {
            step(run, &evictor, adds, INTEGERS - 10, POOL - INTEGERS + 10, count);
        }
        run->encodings[set_encoding(&run->set)]++;
        if (i % 8 == 0) {
            expect_same(&run->set, &run->model);
            expect_looked_up(&run->set, &run->model, &run->state);
        }
    }
    expect_same(&run->set, &run->model);
    evictor_deinit(&evictor);
    value_free(&run->set);
    buf_deinit(&run->stored);
    buf_deinit(&run->scratch);
    buf_deinit(&run->request.payload);
}

TEST(set_equals_a_plain_model_under_every_limit)
{
    static const struct value_limits limits[] = {
        {.set_max_intset_entries = 512,
         .set_max_listpack_entries = 128,
         .set_max_listpack_value = 64},
        {.set_max_intset_entries = 4, .set_max_listpack_entries = 8, .set_max_listpack_value = 10},
        {.set_max_intset_entries = 0, .set_max_listpack_entries = 0, .set_max_listpack_value = 0},
        {.set_max_intset_entries = 100000,
         .set_max_listpack_entries = 100000,
         .set_max_listpack_value = 100000}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        static struct run run;
        run = (struct run){.state = test_seed() + i, .limits = limits[i]};
        run.limits.hash_seed = i;
        run_steps(&run, 1500);
        EXPECT(run.encodings[SET_INTSET] > 0 || limits[i].set_max_intset_entries == 0);
        EXPECT(run.encodings[SET_LISTPACK] > 0);
        EXPECT(run.encodings[SET_HASHTABLE] > 0 || limits[i].set_max_listpack_entries == 100000);
    }
}

/* What stands is what was consumed, and nothing else, whichever allocation fails. */
TEST(set_changes_only_what_it_says_when_memory_is_refused)
{
    static struct run run;
    run = (struct run){.state = test_seed(), .limits = usual, .may_fail = true};
    run_steps(&run, 3000);
}

TEST(set_waits_for_absent_parts_before_it_changes_anything)
{
    static struct run run;
    run = (struct run){.state = test_seed(), .limits = usual, .evicts = true};
    run_steps(&run, 1500);
}

/* ------------------------------------------------------------------------------------------
 * Encodings.
 */

static struct value add(struct value set, const char *text, const struct value_limits *limits,
                        struct buf *scratch)
{
    unsigned char payload[200];
    size_t size = strlen(text);
    struct value_change change;
    size_t start = varint_store(payload, size);
    memcpy(payload + start, text, size);
    EXPECT(value_apply(&set, SET_OP_ADD, bytes_of(payload, start + size), limits, scratch,
                       &change) == ST_OK);
    return set;
}

static size_t adds_until(const char *encoding, const char *format, const char *first)
{
    struct buf scratch = BUF_EMPTY;
    struct value set = set_empty();
    size_t count = 0;
    if (first != NULL) {
        set = add(set, first, &usual, &scratch);
        count = 1;
    }
    while (count == 0 || strcmp(value_encoding(&set, &usual), encoding) != 0) {
        char text[100];
        snprintf(text, sizeof(text), format, (int)count++);
        set = add(set, text, &usual, &scratch);
    }
    value_free(&set);
    buf_deinit(&scratch);
    return count;
}

TEST(set_changes_its_encoding_where_redis_does)
{
    EXPECT_INT(adds_until("intset", "%d", NULL), 1);
    EXPECT_INT(adds_until("hashtable", "%d", NULL), 513);
    EXPECT_INT(adds_until("listpack", "m%d", NULL), 1);
    EXPECT_INT(adds_until("hashtable", "m%d", NULL), 129);
    EXPECT_INT(adds_until("hashtable", "%d", "x"), 129);
    EXPECT_INT(adds_until("listpack", "m%d", "7"), 2);
    EXPECT_INT(adds_until("hashtable", "%065d", NULL), 1);
    EXPECT_INT(adds_until("listpack", "%064d", NULL), 1);
    EXPECT_INT(adds_until("listpack", "0%d", "1"), 2); /* 00 and the like are no integers. */
}

/* A request's number of members decides, whether they are new or not. */
TEST(set_foresees_its_encoding_by_the_size_of_a_request)
{
    struct buf scratch = BUF_EMPTY;
    struct buf payload = BUF_EMPTY;
    for (size_t i = 0; i < 513; i++) {
        EXPECT(buf_append(&payload, bytes_of("\1\x37", 2)) == ST_OK);
    }
    struct {
        size_t members;
        const char *before, *after;
    } cases[] = {{512, NULL, "intset"},   {513, NULL, "hashtable"}, {512, "5", "intset"},
                 {513, "5", "hashtable"}, {128, "x", "listpack"},   {129, "x", "hashtable"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct value set = set_empty();
        struct value_change change;
        if (cases[i].before != NULL) {
            set = add(set, cases[i].before, &usual, &scratch);
        }
        EXPECT(value_apply(&set, SET_OP_ADD, bytes_of(payload.data, 2 * cases[i].members), &usual,
                           &scratch, &change) == ST_OK);
        EXPECT_TEXT(value_encoding(&set, &usual), cases[i].after);
        EXPECT_INT(change.count, 1);
        EXPECT_INT(set_count(&set), cases[i].before != NULL ? 2 : 1);
        value_free(&set);
    }
    buf_deinit(&scratch);
    buf_deinit(&payload);
}

/* Redis's orders, as long as it has one. */
TEST(set_keeps_integers_ascending_and_others_as_they_came)
{
    struct buf scratch = BUF_EMPTY;
    struct buf encoded = BUF_EMPTY;
    struct value set = set_empty();
    static const char *const integers[] = {"70000", "-1", "5", "300"};
    for (size_t i = 0; i < 4; i++) {
        set = add(set, integers[i], &usual, &scratch);
    }
    EXPECT(value_encode(&set, &encoded) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&encoded), bytes_of("\5\4\2-1\1"
                                                     "5\3"
                                                     "300\5"
                                                     "70000",
                                                     17)));
    encoded.size = 0;
    set = add(set, "b", &usual, &scratch);
    set = add(set, "a", &usual, &scratch);
    set = add(set, "4", &usual, &scratch);
    EXPECT(value_encode(&set, &encoded) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&encoded), bytes_of("\5\7\2-1\1"
                                                     "5\3"
                                                     "300\5"
                                                     "70000\1b\1a\1"
                                                     "4",
                                                     23)));
    buf_deinit(&scratch);
    buf_deinit(&encoded);
}

/* Limits beyond what a block may hold: the encoding stays, the shape does not. */
TEST(set_is_an_intset_by_name_however_large_it_may_be)
{
    struct value_limits limits = usual;
    limits.set_max_intset_entries = 30000;
    limits.set_max_listpack_entries = 30000;
    struct buf scratch = BUF_EMPTY;
    struct value set = set_empty();
    for (int i = 0; i < 20000; i++) {
        char text[100];
        snprintf(text, sizeof(text), "%d00000", i + 1);
        set = add(set, text, &limits, &scratch);
        scratch.size = set.shape == VALUE_CLAST ? 0 : scratch.size;
    }
    EXPECT(set.shape == VALUE_CLAST);
    EXPECT_TEXT(value_encoding(&set, &limits), "intset");
    set = add(set, "other", &limits, &scratch);
    EXPECT_TEXT(value_encoding(&set, &limits), "listpack");
    set = add(set, "a text of more than 64 bytes that no listpack would take, as it is set",
              &limits, &scratch);
    EXPECT_TEXT(value_encoding(&set, &limits), "hashtable");
    EXPECT_INT(set_count(&set), 20002);
    EXPECT(set_check(&set));
    value_free(&set);
    buf_deinit(&scratch);
}

/* ------------------------------------------------------------------------------------------
 * Encode, decode, copy.
 */

/* `count` members of the pool from `first` on, every `step`th. */
static struct value set_of(size_t first, size_t count, size_t stride,
                           const struct value_limits *limits, struct buf *scratch)
{
    struct set_builder builder;
    struct value set;
    enum status status = ST_OK;
    set_builder_begin(&builder, SET_INTSET, limits, scratch);
    for (size_t i = 0; i < count; i++) {
        char room[MEMBER_MAX];
        struct value_piece piece = {member_of((first + i * stride) % POOL, room), NULL};
        EXPECT(set_builder_add(&builder, piece) == ST_OK);
    }
    EXPECT(set_builder_end(&builder, status, false, &set) == ST_OK);
    return set;
}

static void model_of(struct model *model, const struct value *set)
{
    memset(model, 0, sizeof(*model));
    for (size_t i = 0; i < POOL; i++) {
        char room[MEMBER_MAX];
        struct set_probe probe = set_probe_of(member_of(i, room));
        EXPECT(set_has(set, &probe, &model->in[i]) == ST_OK);
        model->count += model->in[i];
    }
}

static const size_t shapes[][2] = {{0, 1}, {0, 500}, {0, 600}, {895, 10}, {1000, 100}, {100, 2500}};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

TEST(set_is_the_same_after_encode_decode_and_copy)
{
    static struct model model;
    for (size_t i = 0; i < SHAPES; i++) {
        struct buf scratch = BUF_EMPTY;
        struct buf copy_scratch = BUF_EMPTY;
        struct buf decode_scratch = BUF_EMPTY;
        struct buf encoded = BUF_EMPTY;
        struct value set = set_of(shapes[i][0], shapes[i][1], 1, &usual, &scratch);
        struct value decoded;
        struct value copy;
        model_of(&model, &set);
        EXPECT(value_encode(&set, &encoded) == ST_OK);
        EXPECT(encoded.size <= value_encoded_max(&set));
        EXPECT(value_decode(buf_bytes(&encoded), &usual, &decode_scratch, &decoded) == ST_OK);
        EXPECT(value_copy(&set, &copy_scratch, &copy) == ST_OK);
        EXPECT_TEXT(value_encoding(&decoded, &usual), value_encoding(&set, &usual));
        EXPECT_TEXT(value_encoding(&copy, &usual), value_encoding(&set, &usual));
        /* Each has its own life. */
        set = add(set, "another", &usual, &scratch);
        expect_same(&decoded, &model);
        value_free(&set);
        expect_same(&copy, &model);
        value_free(&decoded);
        value_free(&copy);
        buf_deinit(&scratch);
        buf_deinit(&copy_scratch);
        buf_deinit(&decode_scratch);
        buf_deinit(&encoded);
    }
}

/* What encode wrote may lie in the very buffer that decode uses. */
TEST(set_decodes_from_within_the_scratch_buffer)
{
    static struct model model;
    for (size_t i = 0; i < SHAPES; i++) {
        struct buf scratch = BUF_EMPTY;
        struct buf one = BUF_EMPTY;
        struct value decoded;
        struct value set = set_of(shapes[i][0], shapes[i][1], 1, &usual, &scratch);
        model_of(&model, &set);
        EXPECT(value_encode(&set, &one) == ST_OK);
        EXPECT(value_decode(buf_bytes(&one), &usual, &one, &decoded) == ST_OK);
        expect_same(&decoded, &model);
        value_free(&set);
        value_free(&decoded);
        buf_deinit(&scratch);
        buf_deinit(&one);
    }
}

TEST(set_decode_trusts_no_byte)
{
    uint64_t state = test_seed();
    size_t refused = 0;
    for (size_t i = 0; i < 6000; i++) {
        struct buf scratch = BUF_EMPTY;
        struct buf encoded = BUF_EMPTY;
        const size_t *shape = shapes[test_random_below(&state, SHAPES - 1)];
        struct value set = set_of(shape[0], shape[1] % 150, 1, &usual, &scratch);
        EXPECT(value_encode(&set, &encoded) == ST_OK);
        value_free(&set);
        size_t size = encoded.size - (size_t)test_random_below(&state, 3) % encoded.size;
        unsigned char *copy = malloc(size);
        EXPECT(copy != NULL);
        memcpy(copy, encoded.data, size);
        copy[0] = VALUE_SET;
        for (uint64_t n = test_random_below(&state, 4); n > 0; n--) {
            uint64_t most = test_random_below(&state, 2) == 0 ? 20 : size;
            size_t at = (size_t)test_random_below(&state, most < size ? most : size);
            copy[at] = at == 0 ? VALUE_SET : (unsigned char)test_random_below(&state, 128);
        }
        scratch.size = 0;
        enum status status = value_decode(bytes_of(copy, size), &usual, &scratch, &set);
        if (status == ST_OK) {
            EXPECT(set_check(&set));
            value_free(&set);
        } else {
            EXPECT(status == ST_CORRUPT);
            refused++;
        }
        free(copy);
        buf_deinit(&scratch);
        buf_deinit(&encoded);
    }
    EXPECT(refused > 100);
}

TEST(set_refuses_what_no_writer_of_ours_wrote)
{
    static const struct bytes bodies[] = {
        {"\5", 1},         /* no count */
        {"\5\1", 2},       /* no member */
        {"\5\2\1x", 4},    /* one short */
        {"\5\1\1x\1y", 6}, /* one too many */
        {"\5\2\1x\1x", 6}, /* twice the same text */
        {"\5\2\1"
         "7\1"
         "7",
         6}, /* twice the same integer */
        {"\5\3\1"
         "7\1x\1"
         "7",
         8},
        {"\5\1\x81\0x", 5}, /* a longer form of 1 */
        {"\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11},
        {"\5\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12},
    };
    struct buf scratch = BUF_EMPTY;
    struct value set;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        EXPECT(value_decode(bodies[i], &usual, &scratch, &set) == ST_CORRUPT);
    }
    /* Twice the same in a hashed one. */
    struct value_limits none = {.hash_seed = 1};
    EXPECT(value_decode(bodies[4], &none, &scratch, &set) == ST_CORRUPT);
    EXPECT(value_decode(bodies[5], &none, &scratch, &set) == ST_CORRUPT);
    static const struct bytes payloads[] = {{"", 0},        {"\1", 1},
                                            {"\2x", 2},     {"\1x\1", 3},
                                            {"\x81\0x", 3}, {"\1x\xff\xff\xff\xff\xff\1", 8}};
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        struct value_change change;
        set = set_empty();
        for (unsigned op = SET_OP_ADD; op <= SET_OP_REMOVE; op++) {
            EXPECT(value_apply(&set, op, payloads[i], &usual, &scratch, &change) == ST_CORRUPT);
        }
        EXPECT(value_apply(&set, SET_OP_REMOVE + 1, bytes_of("\1x", 2), &usual, &scratch,
                           &change) == ST_CORRUPT);
        EXPECT(set_count(&set) == 0 && set.shape == VALUE_PACKED);
    }
    buf_deinit(&scratch);
}

/* The nth allocation fails, for n from 1 until none is left to fail. */
TEST(set_decode_copy_and_algebra_survive_every_failing_allocation)
{
    struct buf scratch = BUF_EMPTY;
    struct buf other_scratch = BUF_EMPTY;
    struct buf encoded = BUF_EMPTY;
    struct value sets[2] = {set_of(100, 2500, 1, &usual, &scratch),
                            set_of(0, 2000, 1, &usual, &other_scratch)};
    EXPECT(value_encode(&sets[0], &encoded) == ST_OK);
    for (size_t kind = 0; kind < 5; kind++) {
        bool failed = true;
        size_t failures = 0;
        for (uint64_t nth = 1; failed; nth++) {
            struct buf result = BUF_EMPTY;
            struct value made = {.type = VALUE_NONE};
            part_test_fail_from(nth);
            enum status status =
                kind == 0 ? value_decode(buf_bytes(&encoded), &usual, &result, &made)
                : kind == 1
                    ? value_copy(&sets[0], &result, &made)
                    : set_combine((enum set_algebra)(kind - 2), sets, 2, &usual, &result, &made);
            failed = part_test_failed();
            part_test_fail_from(0);
            EXPECT(status == (failed ? ST_NOMEM : ST_OK));
            EXPECT(failed || set_check(&made));
            failures += failed;
            if (!failed) {
                value_free(&made);
            }
            buf_deinit(&result);
        }
        EXPECT(failures > (kind == 1 ? 0 : 2));
    }
    value_free(&sets[0]);
    value_free(&sets[1]);
    buf_deinit(&scratch);
    buf_deinit(&other_scratch);
    buf_deinit(&encoded);
}

/* ------------------------------------------------------------------------------------------
 * Algebra.
 */

static void model_combine(struct model *model, enum set_algebra algebra, const struct value *sets,
                          size_t count)
{
    memset(model, 0, sizeof(*model));
    for (size_t i = 0; i < POOL; i++) {
        char room[MEMBER_MAX];
        struct set_probe probe = set_probe_of(member_of(i, room));
        size_t has_count = 0;
        bool first = false;
        for (size_t j = 0; j < count; j++) {
            bool has = false;
            EXPECT(sets[j].type == VALUE_NONE || set_has(&sets[j], &probe, &has) == ST_OK);
            has_count += has;
            first = first || (j == 0 && has);
        }
        model->in[i] = algebra == SET_INTER   ? has_count == count
                       : algebra == SET_UNION ? has_count > 0
                                              : first && has_count == 1;
        model->count += model->in[i];
    }
}

static struct value operand_draw(uint64_t *state, struct buf *scratch)
{
    static const size_t counts[] = {1, 20, 100, 400, 1500, 2900};
    if (test_random_below(state, 12) == 0) {
        return (struct value){.type = VALUE_NONE};
    }
    size_t count = counts[test_random_below(state, 6)];
    size_t first = test_random_below(state, 2) == 0 ? 0 : (size_t)test_random_below(state, POOL);
    size_t stride = 1 + (size_t)test_random_below(state, 3) * 6; /* 1, 7, 13: coprime to POOL. */
    return set_of(first, count, stride, &usual, scratch);
}

TEST(set_algebra_equals_its_definition_whatever_the_shapes)
{
    static struct model model;
    uint64_t state = test_seed();
    size_t large = 0;
    for (size_t round = 0; round < 400; round++) {
        struct value sets[8];
        struct buf scratches[8] = {BUF_EMPTY};
        struct buf result = BUF_EMPTY;
        size_t count = 1 + (size_t)test_random_below(&state, 8);
        enum set_algebra algebra = (enum set_algebra)test_random_below(&state, 3);
        for (size_t i = 0; i < count; i++) {
            sets[i] = operand_draw(&state, &scratches[i]);
        }
        if (count > 1 && test_random_below(&state, 10) == 0) { /* The same twice. */
            value_free(&sets[count - 1]);
            sets[count - 1] = sets[0];
        }
        bool doubled = count > 1 && sets[count - 1].type != VALUE_NONE &&
                       sets[count - 1].root == sets[0].root &&
                       sets[count - 1].packed.data == sets[0].packed.data;
        model_combine(&model, algebra, sets, count);
        struct value combined;
        EXPECT(set_combine(algebra, sets, count, &usual, &result, &combined) == ST_OK);
        expect_same(&combined, &model);
        struct set_selection selection;
        struct counting counting = {&model, 0, true};
        EXPECT(set_select(algebra, sets, count, &usual, &selection) == ST_OK);
        EXPECT_INT(selection.count, model.count);
        EXPECT(set_selection_walk(&selection, count_member, &counting) == ST_OK);
        EXPECT(counting.fine && counting.count == model.count);
        set_selection_deinit(&selection);
        if (algebra == SET_INTER) {
            uint64_t limit = test_random_below(&state, 50);
            uint64_t found;
            EXPECT(set_inter_count(sets, count, limit, &found) == ST_OK);
            EXPECT_INT(found, limit > 0 && limit < model.count ? limit : model.count);
        }
        large += model.count > 1000;
        value_free(&combined);
        for (size_t i = 0; i < count - doubled; i++) {
            value_free(&sets[i]);
        }
        for (size_t i = 0; i < 8; i++) {
            buf_deinit(&scratches[i]);
        }
        buf_deinit(&result);
    }
    EXPECT(large > 10);
}

/* ------------------------------------------------------------------------------------------
 * Memory and scanning.
 */

TEST(set_of_many_short_members_takes_little_memory)
{
    struct buf scratch = BUF_EMPTY;
    struct set_builder builder;
    struct value set;
    const uint64_t count = 100000;
    set_builder_begin(&builder, SET_INTSET, &usual, &scratch);
    for (uint64_t i = 0; i < count; i++) {
        char text[100];
        snprintf(text, sizeof(text), "member:%09d", (int)i);
        struct value_piece piece = {bytes_of(text, 16), NULL};
        EXPECT(set_builder_add(&builder, piece) == ST_OK);
    }
    EXPECT(set_builder_end(&builder, ST_OK, false, &set) == ST_OK);
    EXPECT(value_memory(&set) < count * 26);
    value_free(&set);
    buf_deinit(&scratch);
}

static enum status see_member(void *ctx, struct value_piece piece)
{
    bool *seen = ctx;
    size_t index = index_of(piece.data);
    EXPECT(index < POOL);
    seen[index] = true;
    return ST_OK;
}

/* Whatever comes and goes between the steps. */
TEST(set_scan_gives_every_member_that_stays)
{
    static bool seen[POOL];
    static struct run run;
    struct evictor evictor;
    uint64_t cursor = 0;
    size_t steps = 0;
    evictor_init(&evictor);
    run = (struct run){.state = test_seed(), .limits = usual};
    run.set = set_of(0, 1200, 1, &usual, &run.scratch);
    model_of(&run.model, &run.set);
    do {
        EXPECT(set_scan(&run.set, cursor, 20, see_member, seen, &cursor) == ST_OK);
        EXPECT(cursor < 1ull << 48);
        step(&run, &evictor, steps % 2 == 0, 1200, POOL - 1200, 100);
        steps++;
    } while (cursor != 0 && steps < 10000);
    EXPECT(steps > 2 && steps < 10000);
    for (size_t i = 0; i < 1200; i++) {
        EXPECT(seen[i]);
    }
    evictor_deinit(&evictor);
    value_free(&run.set);
    buf_deinit(&run.stored);
    buf_deinit(&run.scratch);
    buf_deinit(&run.request.payload);
}

/* Nothing of it is looked at, so it costs no memory. */
static struct bytes enormous_payload(uint64_t size, void **mapping_out)
{
    size_t whole = VARINT_MAX + (size_t)size;
    unsigned char *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT(memory != MAP_FAILED);
    *mapping_out = memory;
    return bytes_of(memory, varint_store(memory, size) + (size_t)size);
}

/* A client may send it where proto-max-bulk-len is that large. */
TEST(a_member_that_is_too_large_is_refused_and_is_not_there)
{
    struct buf scratch = BUF_EMPTY;
    struct value set = set_empty();
    struct value_change change;
    void *mapping;
    uint64_t size = (uint64_t)CLAST_ELEMENT_MAX + 1;
    struct bytes payload = enormous_payload(size, &mapping);
    EXPECT_INT(value_apply(&set, SET_OP_ADD, payload, &usual, &scratch, &change), ST_LIMIT);
    EXPECT_INT(change.consumed, 0);
    EXPECT_INT(set_count(&set), 0);
    EXPECT_INT(value_apply(&set, SET_OP_REMOVE, payload, &usual, &scratch, &change), ST_OK);
    EXPECT(!change.changed);
    EXPECT_INT(munmap(mapping, VARINT_MAX + (size_t)size), 0);
    buf_deinit(&scratch);
}
