/* Changes of all types while memory runs out, now here, now there: what stands afterwards is what
 * the log says, so that a store that is opened again has the same. */
#include "engine/basin.h"
#include "tests/lib/session.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef BASIN_SLOW_CHECKS
#define STEPS 6000
#else
#define STEPS 40000
#endif

#define WORDS_MAX 24
#define KINDS 5
#define KEYS_EACH 2
#define KEYS (KINDS * KEYS_EACH)

enum kind { KIND_HASH, KIND_SET, KIND_ZSET, KIND_STREAM, KIND_LIST };

static struct basin *open_store(const char *dir)
{
    struct basin_options options = basin_options_default();
    options.dir = dir;
    options.segment_size = 1 << 20;
    options.limits.hash_max_listpack_entries = 20;
    options.limits.set_max_listpack_entries = 20;
    options.limits.set_max_intset_entries = 20;
    options.limits.zset_max_listpack_entries = 20;
    options.limits.stream_node_max_entries = 4;
    options.limits.list_max_listpack_size = 20;
    struct basin *basin = NULL;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    return basin;
}

/* -- Chance --------------------------------------------------------------------------------------
 */

struct chance {
    uint64_t state;
    char room[WORDS_MAX][400];
    struct bytes words[WORDS_MAX];
    struct zset_member members[WORDS_MAX];
    struct stream_id ids[WORDS_MAX];
    struct stream_claim claims[WORDS_MAX];
    size_t count;
    uint64_t last_ms; /* Of the stream's IDs. */
};

static uint64_t below(struct chance *chance, uint64_t bound)
{
    return test_random_below(&chance->state, bound);
}

static int compare_ids(const void *a, const void *b)
{
    const struct stream_id *x = a;
    const struct stream_id *y = b;
    return stream_id_compare(*x, *y);
}

/* An even count of words, and as many of the others. */
static void draw_words(struct chance *chance)
{
    chance->count = 2 + 2 * below(chance, WORDS_MAX / 2);
    for (size_t i = 0; i < chance->count; i++) {
        size_t size = (size_t)snprintf(chance->room[i], 32, "%d", (int)below(chance, 150));
        if (below(chance, 8) == 0) {
            memset(chance->room[i] + size, 'x', 300);
            size += 300;
        }
        chance->words[i] = bytes_of(chance->room[i], size);
        chance->members[i] = (struct zset_member){chance->words[i], (double)below(chance, 40)};
        chance->ids[i] = (struct stream_id){chance->last_ms - below(chance, 60), 1};
    }
    qsort(chance->ids, chance->count, sizeof(chance->ids[0]), compare_ids);
    for (size_t i = 0; i < chance->count; i++) {
        chance->claims[i] = (struct stream_claim){chance->ids[i], 500, 1 + below(chance, 5)};
    }
}

/* -- Steps ---------------------------------------------------------------------------------------
 */

struct step {
    struct chance *chance;
    enum kind kind;
    uint64_t choice, fail_from;
};

static enum status change_hash(struct txn *txn, struct step *step, bool present)
{
    struct chance *chance = step->chance;
    int64_t expiry_ms = (int64_t)txn_now_ms(txn) + 1 + (int64_t)below(chance, 400);
    uint64_t count;
    switch (present ? step->choice % 5 : 0) {
    case 1:
        return txn_hash_remove(txn, 0, chance->words, chance->count, &count);
    case 2:
        return txn_hash_expire(txn, 0, chance->words, chance->count, expiry_ms);
    case 3:
        return txn_hash_expire(txn, 0, chance->words, chance->count, BASIN_NO_EXPIRY);
    case 4:
        return txn_hash_set(txn, 0, chance->words, chance->count / 2, expiry_ms, &count);
    default:
        return txn_hash_set(txn, 0, chance->words, chance->count / 2, BASIN_KEEP_EXPIRY, &count);
    }
}

static enum status change_zset(struct txn *txn, struct step *step, const struct value *value)
{
    struct chance *chance = step->chance;
    uint64_t added;
    uint64_t updated;
    uint64_t size = value->type == VALUE_ZSET ? zset_count(value) : 0;
    switch (size > 0 ? step->choice % 4 : 0) {
    case 1:
        return txn_zset_remove(txn, 0, chance->words, chance->count, &added);
    case 2:
        added = below(chance, size);
        return txn_zset_cut(txn, 0, added, below(chance, 10) == 0 ? size - added : 1);
    default:
        return txn_zset_add(txn, 0, below(chance, 2) == 0 ? ZSET_ALWAYS : ZSET_IF_GREATER,
                            chance->members, chance->count, &added, &updated);
    }
}

static enum status change_group(struct txn *txn, struct step *step, const struct value *value,
                                struct stream_member member)
{
    struct chance *chance = step->chance;
    uint64_t count;
    const struct stream_group *group = stream_group(value, member.group);
    if (group == NULL) {
        return txn_stream_group_set(txn, 0, true, member.group, STREAM_ID_MIN, 0);
    }
    struct stream_id last = stream_group_view(group).last;
    size_t first = 0;
    switch (step->choice % 7) {
    case 0:
        return txn_stream_ack(txn, 0, member.group, chance->ids, chance->count, &count);
    case 1:
        return txn_stream_claim(txn, 0, member, STREAM_ID_MIN, chance->claims, chance->count);
    case 2:
        return below(chance, 8) == 0 ? txn_stream_consumer_delete(txn, 0, member, &count)
                                     : txn_stream_consumer_create(txn, 0, member, &count);
    case 3:
        return txn_stream_redeliver(txn, 0, member, chance->ids, chance->count);
    case 4:
        return below(chance, 16) == 0
                   ? txn_stream_group_destroy(txn, 0, member.group, &count)
                   : txn_stream_group_set(txn, 0, false, member.group, chance->ids[0], -1);
    default:
        break;
    }
    count = 0; /* Ascending, each once, above the last. */
    for (size_t i = 0; i < chance->count; i++) {
        if (stream_id_compare(chance->ids[i], last) > 0) {
            last = chance->ids[i];
            chance->ids[count++] = last;
        }
    }
    return txn_stream_deliver(txn, 0, member, false, chance->ids + first, count);
}

static enum status change_stream(struct txn *txn, struct step *step, const struct value *value)
{
    static const char *const consumers[] = {"one", "two", "three"};
    struct chance *chance = step->chance;
    uint64_t count = value->type == VALUE_STREAM ? stream_summary(value).count : 0;
    if (value->type == VALUE_NONE || step->choice % 3 == 0) {
        struct stream_id id = {++chance->last_ms, 1};
        return txn_stream_add(txn, 0, id, chance->words, chance->count / 2);
    }
    if (step->choice % 3 == 1 && count > 0) {
        step->choice /= 3;
        return step->choice % 2 == 0
                   ? txn_stream_delete(txn, 0, chance->ids, chance->count / 4 + 1, &count)
                   : txn_stream_trim(txn, 0, 1 + below(chance, count), below(chance, 2) == 0);
    }
    step->choice /= 3;
    return change_group(txn, step, value,
                        (struct stream_member){bytes_of_text(consumers[below(chance, 3)]),
                                               bytes_of_text(consumers[below(chance, 3)])});
}

static enum status change_list(struct txn *txn, struct step *step, const struct value *value)
{
    struct chance *chance = step->chance;
    uint64_t size = value->type == VALUE_LIST ? list_count(value) : 0;
    uint64_t at = size > 0 ? below(chance, size) : 0;
    switch (size > 0 ? step->choice % 6 : 0) {
    case 1:
        return txn_list_pop(txn, 0, LIST_LEFT, 1 + at);
    case 2:
        return txn_list_set(txn, 0, at, chance->words[0]);
    case 3:
        return txn_list_insert(txn, 0, at, chance->words[0]);
    case 4:
        return txn_list_remove(txn, 0, &at, 1);
    case 5:
        return txn_list_trim(txn, 0, at / 2, size - at);
    default:
        return txn_list_push(txn, 0, LIST_RIGHT, chance->words, chance->count);
    }
}

static enum status change(struct txn *txn, void *ctx)
{
    struct step *step = ctx;
    struct value value;
    uint64_t count;
    enum status status = txn_peek(txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    part_test_fail_from(step->fail_from);
    switch (step->kind) {
    case KIND_HASH:
        status = change_hash(txn, step, value.type != VALUE_NONE);
        break;
    case KIND_SET:
        status = value.type != VALUE_NONE && step->choice % 2 == 0
                     ? txn_set_remove(txn, 0, step->chance->words, step->chance->count, &count)
                     : txn_set_add(txn, 0, step->chance->words, step->chance->count, &count);
        break;
    case KIND_ZSET:
        status = change_zset(txn, step, &value);
        break;
    case KIND_STREAM:
        status = change_stream(txn, step, &value);
        break;
    default:
        status = change_list(txn, step, &value);
        break;
    }
    part_test_fail_from(0);
    return status;
}

static enum status copy(struct txn *txn, void *ctx)
{
    struct value value;
    enum status status = txn_peek(txn, 0, &value);
    return status == ST_OK && value.type != VALUE_NONE ? txn_copy(txn, 0, 1) : status;
}

/* -- Comparing -----------------------------------------------------------------------------------
 */

struct lines {
    char *lines[2000];
    size_t count;
};

static void add_line(struct lines *lines, struct bytes a, struct bytes b, int64_t number)
{
    char *line = NULL;
    EXPECT(asprintf(&line, "%.*s=%.*s %lld", (int)a.size, (const char *)a.data, (int)b.size,
                    (const char *)b.data, (long long)number) > 0);
    EXPECT(lines->count < sizeof(lines->lines) / sizeof(lines->lines[0]));
    lines->lines[lines->count++] = line;
}

static enum status see_field(void *ctx, const struct field_item *item)
{
    add_line(ctx, item->field.data, item->value.data, item->expiry_ms);
    return ST_OK;
}

static enum status see_member(void *ctx, struct value_piece piece)
{
    add_line(ctx, piece.data, bytes_of("", 0), 0);
    return ST_OK;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The content, in an order that does not depend on the shape. */
static enum status dump(struct txn *txn, void *ctx)
{
    struct buf *out = ctx;
    struct value value;
    struct lines lines = {.count = 0};
    enum status status = txn_peek(txn, 0, &value);
    if (status != ST_OK || value.type == VALUE_NONE) {
        return status;
    }
    if (value.type != VALUE_HASH && value.type != VALUE_SET) {
        EXPECT(value.type != VALUE_STREAM || stream_check(&value));
        EXPECT(value.type != VALUE_ZSET || zset_check(&value));
        EXPECT(value.type != VALUE_LIST || list_check(&value));
        return value_encode(&value, out);
    }
    if (value.type == VALUE_HASH) {
        EXPECT(fields_check(&value) && fields_walk(&value, 0, see_field, &lines) == ST_OK);
    } else {
        EXPECT(set_check(&value) &&
               set_walk(&value, 0, set_count(&value), see_member, &lines) == ST_OK);
    }
    qsort(lines.lines, lines.count, sizeof(lines.lines[0]), compare_lines);
    for (size_t i = 0; i < lines.count; i++) {
        EXPECT(buf_append(out, bytes_of_text(lines.lines[i])) == ST_OK);
        EXPECT(buf_append(out, bytes_of("\n", 1)) == ST_OK);
        free(lines.lines[i]);
    }
    return ST_OK;
}

static struct bytes key_of(unsigned number, char *room)
{
    return bytes_of(room, (size_t)snprintf(room, 16, "key%u", number));
}

static void dump_all(struct session *session, struct buf *dumps)
{
    for (unsigned i = 0; i < KEYS; i++) {
        char room[16];
        struct bytes key = key_of(i, room);
        dumps[i] = BUF_EMPTY;
        EXPECT_INT(session_run(session, 0, &key, 1, false, 0, dump, &dumps[i]), ST_OK);
    }
}

TEST(what_stands_when_memory_ran_out_is_what_the_log_says)
{
    static struct chance chance;
    const char *dir = test_dir();
    struct session session;
    uint64_t failures[KINDS] = {0};
    uint64_t partly = 0;
    chance.state = test_seed();
    chance.last_ms = 100;
    for (int round = 0; round < 4; round++) {
        struct basin *basin = open_store(dir);
        session_open(&session, basin);
        for (int i = 0; i < STEPS / 4; i++) {
            char room[16];
            char other[16];
            struct step step = {.chance = &chance, .kind = (enum kind)below(&chance, KINDS)};
            unsigned number = step.kind * KEYS_EACH + (unsigned)below(&chance, KEYS_EACH);
            struct bytes keys[2] = {key_of(number, room), key_of(number ^ 1, other)};
            session.now_ms = 1000 + (uint64_t)round * 10000 + (uint64_t)i / 4;
            draw_words(&chance);
            step.choice = below(&chance, 1000);
            step.fail_from = below(&chance, 3) == 0 ? 0 : 1 + below(&chance, 12);
            if (below(&chance, 60) == 0) { /* Parts are shared from here on. */
                EXPECT_INT(session_run(&session, 0, keys, 2, false, 4096, copy, NULL), ST_OK);
                continue;
            }
            enum status status = session_run(&session, 0, keys, 1, false, 65536, change, &step);
            EXPECT(status == ST_OK || status == ST_NOMEM);
            failures[step.kind] += status == ST_NOMEM;
            partly += status == ST_NOMEM && session.wait_lsn > 0;
        }
        struct buf before[KEYS];
        struct buf after[KEYS];
        dump_all(&session, before);
        session_close(&session);
        basin_close(basin);
        basin = open_store(dir);
        uint64_t now_ms = session.now_ms;
        session_open(&session, basin);
        session.now_ms = now_ms;
        dump_all(&session, after);
        for (unsigned i = 0; i < KEYS; i++) {
            EXPECT(bytes_equal(buf_bytes(&before[i]), buf_bytes(&after[i])));
            buf_deinit(&before[i]);
            buf_deinit(&after[i]);
        }
        session_close(&session);
        basin_close(basin);
    }
    for (unsigned i = 0; i < KINDS; i++) {
        EXPECT(failures[i] > STEPS / 6000);
    }
    EXPECT(partly > STEPS / 6000);
}
