/* Sorted sets at their edges: thresholds, odd scores, foreign bytes, a million members, scans under
 * change. */
#include "tests/lib/test.h"
#include "tests/lib/zset_payload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Adds one member; for tests that are not about the adding. */
static void add(struct value *value, double score, const char *name,
                const struct value_limits *limits, struct buf *scratch)
{
    struct buf payload = BUF_EMPTY;
    struct value_change done;
    payload_when(&payload, ZSET_ALWAYS);
    payload_member(&payload, score, bytes_of_text(name));
    EXPECT(value_apply(value, ZSET_ADD, buf_bytes(&payload), limits, scratch, &done) == ST_OK);
    buf_deinit(&payload);
}

/* -- Shapes -------------------------------------------------------------------------------------
 */

TEST(the_thresholds_are_those_of_redis_and_are_crossed_one_way_only)
{
    struct value_limits limits = zset_limits(128, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    char name[80];
    for (int i = 0; i < 128; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        add(&value, i, name, &limits, &scratch);
    }
    EXPECT_TEXT(value_encoding(&value, &limits), "listpack");
    add(&value, 500, "m5", &limits, &scratch); /* Not a new one. */
    EXPECT(value.shape == VALUE_PACKED);
    add(&value, 1, "one more", &limits, &scratch);
    EXPECT_TEXT(value_encoding(&value, &limits), "skiplist");
    struct buf cut = BUF_EMPTY;
    struct value_change done;
    payload_varint(&cut, 0);
    payload_varint(&cut, 128);
    EXPECT(value_apply(&value, ZSET_CUT, buf_bytes(&cut), &limits, &scratch, &done) == ST_OK);
    EXPECT(value.shape == VALUE_CLAST && zset_count(&value) == 1);
    value_free(&value);

    value = zset_empty();
    memset(name, 'x', sizeof(name));
    name[64] = '\0';
    add(&value, 1, name, &limits, &scratch);
    EXPECT(value.shape == VALUE_PACKED);
    name[64] = 'x';
    name[65] = '\0';
    add(&value, 1, name, &limits, &scratch);
    EXPECT(value.shape == VALUE_CLAST && zset_count(&value) == 2);
    value_free(&value);

    limits = zset_limits(0, 64);
    value = zset_empty();
    add(&value, 1, "a", &limits, &scratch);
    EXPECT(value.shape == VALUE_CLAST);
    value_free(&value);
    buf_deinit(&cut);
    buf_deinit(&scratch);
}

TEST(no_block_grows_beyond_64_kib_whatever_the_limits)
{
    struct value_limits limits = zset_limits(INT64_MAX, INT64_MAX);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    char name[1001];
    memset(name, 'n', 1000);
    name[1000] = '\0';
    for (int i = 0; i < 100; i++) {
        name[0] = (char)('0' + i % 10);
        name[1] = (char)('0' + i / 10);
        add(&value, i, name, &limits, &scratch);
        EXPECT(value.shape == VALUE_CLAST || value.packed.size <= 65536);
        EXPECT((value.shape == VALUE_CLAST) == (i >= 64));
    }
    value_free(&value);
    buf_deinit(&scratch);
}

/* -- Scores -------------------------------------------------------------------------------------
 */

TEST(scores_keep_their_order_whatever_their_sign_and_size)
{
    static const double scores[] = {-INFINITY, -1e308, -3, -1.5, -1, -5e-324, 0,     5e-324,
                                    1e-300,    0.25,   1,  1.5,  2,  1e17,    1e308, INFINITY};
    struct buf scratch = BUF_EMPTY;
    for (int packed = 0; packed < 2; packed++) {
        struct value_limits limits = zset_limits(packed == 1 ? 128 : 0, 64);
        struct value value = zset_empty();
        for (int i = 15; i >= 0; i--) {
            char name[8];
            snprintf(name, sizeof(name), "%c", 'z' - i);
            add(&value, scores[i], name, &limits, &scratch);
        }
        for (uint64_t i = 0; i < 16; i++) {
            struct value_piece member;
            double score;
            EXPECT(zset_at(&value, i, &member, &score) == ST_OK);
            EXPECT(score == scores[i]);
        }
        value_free(&value);
    }
    buf_deinit(&scratch);
}

static bool is_negative_zero(const struct value *value, const char *name)
{
    bool found;
    double score = 1;
    EXPECT(zset_score(value, bytes_of_text(name), &found, &score) == ST_OK);
    EXPECT(found && score == 0);
    return signbit(score);
}

TEST(a_negative_zero_is_kept_by_trees_and_orders_as_zero)
{
    struct value_limits limits = zset_limits(0, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    add(&value, 0, "b", &limits, &scratch);
    add(&value, -0.0, "a", &limits, &scratch);
    add(&value, -0.0, "c", &limits, &scratch);
    add(&value, -0.0, "b", &limits, &scratch); /* Equal: no change. */
    EXPECT(is_negative_zero(&value, "a") && is_negative_zero(&value, "c"));
    EXPECT(!is_negative_zero(&value, "b"));
    static const char *const names[] = {"a", "b", "c"};
    for (uint64_t i = 0; i < 3; i++) {
        struct value_piece member;
        double score;
        EXPECT(zset_at(&value, i, &member, &score) == ST_OK);
        EXPECT(bytes_equal(member.data, bytes_of_text(names[i])));
        EXPECT(!!signbit(score) == (i != 1));
    }
    EXPECT(zset_check(&value));
    add(&value, 5, "a", &limits, &scratch);
    EXPECT(zset_check(&value)); /* It counts them. */
    value_free(&value);

    limits = zset_limits(128, 64);
    value = zset_empty();
    add(&value, -0.0, "a", &limits, &scratch);
    EXPECT(!is_negative_zero(&value, "a")); /* A listpack knows none. */
    buf_deinit(&scratch);
}

/* -- Ranges by bytes ----------------------------------------------------------------------------
 */

TEST(members_of_one_score_are_found_by_their_bytes)
{
    struct buf scratch = BUF_EMPTY;
    for (int packed = 0; packed < 2; packed++) {
        struct value_limits limits = zset_limits(packed == 1 ? 1000 : 0, 1000);
        struct value value = zset_empty();
        char name[300];
        for (int i = 0; i < 300; i++) {
            memset(name, 'c', 200);
            snprintf(name + 200, 100, "%03d", i * 2);
            add(&value, 7, name, &limits, &scratch);
        }
        for (int i = 0; i < 600; i++) {
            uint64_t rank;
            snprintf(name + 200, 100, "%03d", i);
            EXPECT(zset_rank_of_member(&value, bytes_of_text(name), false, &rank) == ST_OK);
            EXPECT_INT(rank, (i + 1) / 2);
            EXPECT(zset_rank_of_member(&value, bytes_of_text(name), true, &rank) == ST_OK);
            EXPECT_INT(rank, i / 2 + 1);
        }
        uint64_t rank;
        EXPECT(zset_rank_of_member(&value, BYTES_NONE, false, &rank) == ST_OK);
        EXPECT_INT(rank, 0);
        EXPECT(zset_rank_of_member(&value, bytes_of_text("d"), false, &rank) == ST_OK);
        EXPECT_INT(rank, 300);
        value_free(&value);
    }
    buf_deinit(&scratch);
}

/* -- What others send ---------------------------------------------------------------------------
 */

static enum status apply_bytes(unsigned op, const void *data, size_t size)
{
    struct value_limits limits = zset_limits(128, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    struct value_change done;
    add(&value, 1, "a", &limits, &scratch);
    enum status status = value_apply(&value, op, bytes_of(data, size), &limits, &scratch, &done);
    value_free(&value);
    buf_deinit(&scratch);
    return status;
}

TEST(payloads_that_nobody_wrote_are_refused)
{
    double nan_score = NAN;
    struct buf payload = BUF_EMPTY;
    EXPECT(apply_bytes(ZSET_ADD, "", 0) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_ADD, "\x10", 1) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_ADD, "\0", 1) == ST_OK);
    EXPECT(apply_bytes(ZSET_ADD, "\0\1\2\3", 4) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_ADD,
                       "\0"
                       "12345678"
                       "\5abc",
                       13) == ST_CORRUPT);
    payload_when(&payload, 0);
    payload_member(&payload, nan_score, bytes_of_text("b"));
    EXPECT(apply_bytes(ZSET_ADD, payload.data, payload.size) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_REMOVE, "\2a", 2) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_REMOVE, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_REMOVE, "\1a", 2) == ST_OK);
    EXPECT(apply_bytes(ZSET_CUT, "\0", 1) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_CUT, "\0\2", 2) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_CUT, "\2\0", 2) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_CUT, "\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11) == ST_CORRUPT);
    EXPECT(apply_bytes(ZSET_CUT, "\0\1\0", 3) == ST_CORRUPT);
    EXPECT(apply_bytes(67, "\0", 1) == ST_CORRUPT);
    buf_deinit(&payload);
}

struct pair {
    double score;
    const char *name;
};

static enum status decode_pairs(const struct pair *pairs, size_t count, uint64_t claimed,
                                int64_t entries)
{
    struct value_limits limits = zset_limits(entries, 64);
    struct buf encoded = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;
    struct value value;
    payload_when(&encoded, VALUE_ZSET);
    payload_varint(&encoded, claimed);
    for (size_t i = 0; i < count; i++) {
        payload_member(&encoded, pairs[i].score, bytes_of_text(pairs[i].name));
    }
    enum status status = value_decode(buf_bytes(&encoded), &limits, &scratch, &value);
    if (status == ST_OK) {
        EXPECT(zset_check(&value) && zset_count(&value) == count);
        value_free(&value);
        /* Whatever is cut off it is noticed. */
        for (size_t size = 0; size < encoded.size; size++) {
            struct bytes part = bytes_of(encoded.data, size);
            EXPECT(value_decode(part, &limits, &scratch, &value) == ST_CORRUPT);
        }
    }
    buf_deinit(&encoded);
    buf_deinit(&scratch);
    return status;
}

TEST(encodings_that_nobody_wrote_are_refused)
{
    static const struct pair fine[] = {{-1, "b"}, {1, "a"}, {1, "ab"}, {2, ""}};
    static const struct pair falling[] = {{2, "a"}, {1, "b"}};
    static const struct pair unordered[] = {{1, "b"}, {1, "a"}};
    static const struct pair same[] = {{1, "b"}, {1, "b"}};
    static const struct pair twice[] = {{1, "a"}, {2, "b"}, {3, "a"}};
    const struct pair odd[] = {{NAN, "a"}};
    for (int64_t entries = 0; entries <= 128; entries += 128) {
        EXPECT(decode_pairs(fine, 4, 4, entries) == ST_OK);
        EXPECT(decode_pairs(fine, 4, 3, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(fine, 4, 5, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(fine, 4, UINT64_MAX, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(falling, 2, 2, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(unordered, 2, 2, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(same, 2, 2, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(twice, 3, 3, entries) == ST_CORRUPT);
        EXPECT(decode_pairs(odd, 1, 1, entries) == ST_CORRUPT);
    }
}

/* -- A million ----------------------------------------------------------------------------------
 */

#define MANY 1000000

static struct bytes many_name(size_t i, char *room)
{
    return bytes_of(room, (size_t)snprintf(room, 24, "member:%09zu", i));
}

static enum status count_member(void *ctx, struct value_piece member, double score)
{
    (*(uint64_t *)ctx)++;
    return ST_OK;
}

/* Among a million, some hundred pairs of members share the 32 bits of hash that tell them apart. */
TEST(a_million_members_are_all_found_and_take_little_memory)
{
    struct value_limits limits = zset_limits(128, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value;
    struct zset_member *members = malloc(MANY * sizeof(*members));
    char *names = malloc((size_t)MANY * 24);
    EXPECT(members != NULL && names != NULL);
    for (size_t i = 0; i < MANY; i++) {
        members[i].name = many_name(i, names + i * 24);
        members[i].score = (double)(i * 7919 % MANY / 2);
    }
    EXPECT(zset_build(members, MANY, &limits, &scratch, &value) == ST_OK);
    EXPECT(value.shape == VALUE_CLAST && zset_check(&value));
    EXPECT(value_memory(&value) < 56ull * MANY);
    char room[24];
    for (size_t i = 0; i < MANY; i++) {
        bool found;
        double score;
        EXPECT(zset_score(&value, many_name(i, room), &found, &score) == ST_OK);
        EXPECT(found && score == (double)(i * 7919 % MANY / 2));
        EXPECT(zset_score(&value, many_name(i + MANY, room), &found, &score) == ST_OK);
        EXPECT(!found);
    }
    uint64_t cursor = 0;
    uint64_t seen = 0;
    do {
        EXPECT(zset_scan(&value, cursor, 1000, count_member, &seen, &cursor) == ST_OK);
    } while (cursor != 0);
    EXPECT_INT(seen, MANY);
    while (!value_free_some(&value, 100)) {
    }
    free(members);
    free(names);
    buf_deinit(&scratch);
}

/* -- Scans --------------------------------------------------------------------------------------
 */

#define STAYING 300

static enum status see_staying(void *ctx, struct value_piece member, double score)
{
    unsigned char *seen = ctx;
    char text[32] = {0};
    memcpy(text, member.data.data, member.data.size < 31 ? member.data.size : 31);
    unsigned id;
    if (sscanf(text, "stays:%u", &id) == 1) {
        seen[id] = 1;
    }
    return ST_OK;
}

/* Others come and go by thousands, and those that stay change their scores. */
TEST(a_scan_gives_what_is_there_throughout)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct value_limits limits = zset_limits(128, 64);
        struct buf scratch = BUF_EMPTY;
        struct value value = zset_empty();
        uint64_t state = seed;
        unsigned char seen[STAYING] = {0};
        char name[32];
        uint64_t scores = seed % 2 == 0 ? 3 : 100000; /* Long runs of one score, or none. */
        for (int i = 0; i < STAYING; i++) {
            snprintf(name, sizeof(name), "stays:%d", i);
            add(&value, (double)test_random_below(&state, scores), name, &limits, &scratch);
        }
        for (int i = 0; i < 3000; i++) {
            snprintf(name, sizeof(name), "goes:%d", i);
            add(&value, (double)test_random_below(&state, scores), name, &limits, &scratch);
        }
        uint64_t cursor = 0;
        size_t calls = 0;
        do {
            EXPECT(zset_scan(&value, cursor, 5, see_staying, seen, &cursor) == ST_OK);
            for (int i = 0; i < 400; i++) {
                struct value_change done;
                struct buf payload = BUF_EMPTY;
                snprintf(name, sizeof(name), "goes:%d", (int)test_random_below(&state, 4000));
                payload_name(&payload, bytes_of_text(name));
                if (test_random_below(&state, 3) == 0) {
                    EXPECT(value_apply(&value, ZSET_REMOVE, buf_bytes(&payload), &limits, &scratch,
                                       &done) == ST_OK);
                } else {
                    add(&value, (double)test_random_below(&state, scores), name, &limits, &scratch);
                }
                buf_deinit(&payload);
            }
            snprintf(name, sizeof(name), "stays:%d", (int)test_random_below(&state, STAYING));
            add(&value, (double)test_random_below(&state, scores), name, &limits, &scratch);
            scratch.size = 0;
            calls++;
        } while (cursor != 0);
        EXPECT(calls > 3);
        for (int i = 0; i < STAYING; i++) {
            EXPECT(seen[i]);
        }
        value_free(&value);
        buf_deinit(&scratch);
    }
}

/* -- Cuts that leave little ---------------------------------------------------------------------
 */

static void cut(struct value *value, uint64_t rank, uint64_t count,
                const struct value_limits *limits, struct buf *scratch)
{
    struct buf payload = BUF_EMPTY;
    struct value_change done;
    payload_varint(&payload, rank);
    payload_varint(&payload, count);
    EXPECT(value_apply(value, ZSET_CUT, buf_bytes(&payload), limits, scratch, &done) == ST_OK);
    EXPECT(done.changed && done.count == count);
    buf_deinit(&payload);
}

/* Processor time, which others on the machine do not lengthen much. */
static double seconds_used(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* What goes was looked up one by one once: as slow as the building. */
TEST(a_cut_that_leaves_a_few_costs_what_it_leaves)
{
    struct value_limits limits = zset_limits(128, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    char name[32];
    const int count = 100000;
    double begun = seconds_used();
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        add(&value, (double)((uint64_t)i * 0x9E3779B1u % 1000003), name, &limits, &scratch);
    }
    double building = seconds_used() - begun;
    begun = seconds_used();
    cut(&value, 0, (uint64_t)count - 10, &limits, &scratch);
    EXPECT(seconds_used() - begun < building / 20);
    EXPECT_INT(zset_count(&value), 10);
    EXPECT(zset_check(&value));
    value_free(&value);
    buf_deinit(&scratch);
}

TEST(a_cut_leaves_what_lies_on_both_sides_with_its_scores_and_signs)
{
    struct value_limits limits = zset_limits(0, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    struct value twin;
    char name[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "m%04d", i);
        add(&value, i < 3 ? -0.0 : i, name, &limits, &scratch);
    }
    EXPECT(value_copy(&value, &scratch, &twin) == ST_OK);
    cut(&value, 4, 1990, &limits, &scratch);
    EXPECT_INT(zset_count(&value), 10);
    EXPECT(zset_check(&value) && value.shape == VALUE_CLAST);
    for (int i = 0; i < 2000; i++) {
        bool found;
        double score;
        snprintf(name, sizeof(name), "m%04d", i);
        EXPECT(zset_score(&value, bytes_of_text(name), &found, &score) == ST_OK);
        EXPECT(found == (i < 4 || i >= 1994));
        EXPECT(!found || (score == (i < 3 ? 0 : i) && (signbit(score) != 0) == (i < 3)));
    }
    EXPECT(zset_count(&twin) == 2000 && zset_check(&twin));
    value_free(&value);
    value_free(&twin);
    buf_deinit(&scratch);
}

/* -- Every lack of memory -----------------------------------------------------------------------
 */

/* Applies it with the first allocation failing, then the second … until none does; each failure
 * must leave the set as it was. */
static size_t apply_through_failures(struct value *value, unsigned op, const struct buf *payload,
                                     const struct value_limits *limits, struct buf *scratch)
{
    uint64_t before = zset_count(value);
    for (uint64_t nth = 1;; nth++) {
        struct value_change done;
        part_test_fail_from(nth);
        enum status status = value_apply(value, op, buf_bytes(payload), limits, scratch, &done);
        part_test_fail_from(0);
        if (status == ST_OK) {
            return nth - 1;
        }
        EXPECT(status == ST_NOMEM && done.consumed == 0 && !done.changed);
        EXPECT(zset_count(value) == before && zset_check(value));
    }
}

TEST(whichever_allocation_fails_both_trees_still_agree)
{
    struct value_limits limits = zset_limits(8, 64);
    struct buf scratch = BUF_EMPTY;
    struct value value = zset_empty();
    struct value twin = {.type = VALUE_NONE};
    uint64_t state = 5;
    size_t failures[3] = {0};
    for (int i = 0; i < 3000; i++) {
        struct buf payload = BUF_EMPTY;
        char name[24];
        if (i % 100 == 50 && value.shape == VALUE_CLAST) {
            /* Shared parts must be copied before anything changes. */
            value_free(&twin);
            EXPECT(value_copy(&value, &scratch, &twin) == ST_OK);
        }
        int kind = i < 1500 ? i % 8 == 7 : 1 + i % 2;
        snprintf(name, sizeof(name), "m%d", kind == 0 ? i : (int)test_random_below(&state, 1500));
        if (kind < 2) {
            payload_when(&payload, ZSET_ALWAYS);
            payload_member(&payload, (double)test_random_below(&state, 50), bytes_of_text(name));
            failures[kind] += apply_through_failures(&value, ZSET_ADD, &payload, &limits, &scratch);
        } else if (i % 20 == 1) {
            payload_varint(&payload, zset_count(&value) / 3);
            payload_varint(&payload, zset_count(&value) > 10 ? 5 : 0);
            failures[2] += apply_through_failures(&value, ZSET_CUT, &payload, &limits, &scratch);
        } else {
            payload_name(&payload, bytes_of_text(name));
            failures[2] += apply_through_failures(&value, ZSET_REMOVE, &payload, &limits, &scratch);
        }
        buf_deinit(&payload);
    }
    EXPECT(failures[0] > 50 && failures[1] > 50 && failures[2] > 50);
    struct buf most = BUF_EMPTY; /* Nearly all at once. */
    payload_varint(&most, 3);
    payload_varint(&most, zset_count(&value) - 12);
    EXPECT(zset_count(&value) > 100);
    EXPECT(apply_through_failures(&value, ZSET_CUT, &most, &limits, &scratch) > 3);
    EXPECT_INT(zset_count(&value), 12);
    buf_deinit(&most);
    EXPECT(zset_check(&value) && zset_check(&twin));
    value_free(&value);
    value_free(&twin);
    buf_deinit(&scratch);
}
