/* Commands on whole keys and databases, and those on keys that all lanes share. */
#include "tests/crash/crash_ops.h"

#include "engine/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* -- Keys: texts, lists, chunk collections, volatile ones each among themselves -----------------
 */

static void draw_pair(struct lane *lane, struct op *op)
{
    static const struct {
        unsigned key, count;
    } kinds[] = {{KEY_TEXT, 4}, {KEY_LIST, 3}, {KEY_CHUNKS, 2}, {KEY_FAR, 2}};
    unsigned kind = (unsigned)chance_below(&lane->random, sizeof(kinds) / sizeof(kinds[0]));
    unsigned step = 1 + (unsigned)chance_below(&lane->random, kinds[kind].count - 1);
    unsigned first = (unsigned)chance_below(&lane->random, kinds[kind].count);
    op->key = kinds[kind].key + first;
    op->key2 = kinds[kind].key + (first + step) % kinds[kind].count;
}

static void word_rename(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "RENAME");
    op_word_key(lane, op->key, words);
    op_word_key(lane, op->key2, words);
}

static bool apply_rename(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    if (!op_value(lane, op)->present) {
        return reply_error(reply);
    }
    model_value_move(op_value2(lane, op), op_value(lane, op));
    return reply_ok(reply);
}

static void word_copy(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "COPY");
    op_word_key(lane, op->key, words);
    op_word_key(lane, op->key2, words);
    words_add_text(words, "REPLACE");
}

static bool apply_copy(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    bool present = op_value(lane, op)->present;
    if (present) {
        model_value_copy(op_value2(lane, op), op_value(lane, op));
    }
    return reply_integer(reply, present);
}

/* Any key but those that are set together or once. */
static void draw_delete(struct lane *lane, struct op *op)
{
    op->key = (unsigned)chance_below(&lane->random, KEY_SET);
    op->key2 = (unsigned)chance_below(&lane->random, KEY_SET);
    op->key = op->key == KEY_SHORT ? KEY_BIG : op->key;
    op->key2 = op->key2 == KEY_SHORT ? KEY_BIG : op->key2;
}

static void word_delete(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, op->number % 2 ? "DEL" : "UNLINK");
    op_word_key(lane, op->key, words);
    op_word_key(lane, op->key2, words);
}

static bool apply_delete(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    int64_t count = op_value(lane, op)->present;
    model_value_clear(op_value(lane, op));
    count += op_value2(lane, op)->present;
    model_value_clear(op_value2(lane, op));
    return reply_integer(reply, count);
}

/* -- Databases --------------------------------------------------------------------------------- */

static void draw_select(struct lane *lane, struct op *op)
{
    lane->table = 1 - lane->table;
    op->a = lane->databases[lane->table];
}

static void word_select(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "SELECT");
    words_add_text(words, "%" PRId64, op->a);
}

static void draw_nothing(struct lane *lane, struct op *op)
{
}

static void word_flush(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "FLUSHDB");
}

static bool apply_flush(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    for (unsigned key = 0; key < LANE_KEYS; key++) {
        model_value_clear(&lane->keys[op->table][key]);
    }
    return reply_ok(reply);
}

static void word_swap(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "SWAPDB");
    words_add_text(words, "%u", lane->databases[0]);
    words_add_text(words, "%u", lane->databases[1]);
}

static bool apply_swap(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    for (unsigned key = 0; key < LANE_KEYS; key++) {
        struct model_value value = lane->keys[0][key];
        lane->keys[0][key] = lane->keys[1][key];
        lane->keys[1][key] = value;
        lane->keys[0][key].changed = lane->keys[1][key].changed = true;
    }
    return reply_ok(reply);
}

static bool apply_select(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    return reply_ok(reply);
}

/* To the other database, if the name is free there. */
static void draw_move(struct lane *lane, struct op *op)
{
    draw_pair(lane, op);
}

static void word_move(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "MOVE");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%u", lane->databases[1 - op->table]);
}

static bool apply_move(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *from = op_value(lane, op);
    struct model_value *to = &lane->keys[1 - op->table][op->key];
    bool moves = from->present && !to->present;
    if (moves) {
        model_value_move(to, from);
    }
    return reply_integer(reply, moves);
}

/* -- Shared keys ---------------------------------------------------------------------------------
 */

static void draw_count(struct lane *lane, struct op *op)
{
    op->a = (int64_t)chance_below(&lane->random, SHARED_COUNTERS);
    lane->shared->counters[op->a].sent++;
}

static void word_count(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "INCR");
    words_add_text(words, "s:count:%" PRId64, op->a);
}

static bool apply_count(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    if (reply->reply == NULL) {
        return true;
    }
    uint64_t value = (uint64_t)reply->reply->integer;
    bool fits = reply->reply->type == REDIS_REPLY_INTEGER &&
                value > lane->shared->counters[op->a].base &&
                value <= lane->shared->counters[op->a].base + lane->shared->counters[op->a].sent;
    lane->shared->counters[op->a].acked++;
    if (fits && value > lane->shared->counters[op->a].seen) {
        lane->shared->counters[op->a].seen = value;
    }
    return fits;
}

/* op->a is the list, op->b the id in it: 1, 2, … */
static void draw_shared_push(struct lane *lane, struct op *op)
{
    op->a = (int64_t)chance_below(&lane->random, SHARED_PUSHES);
    op->b = (int64_t)++lane->push_next[op->a];
}

static void word_shared_push(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, op->a == 0 ? "RPUSH" : "LPUSH");
    words_add_text(words, "s:push:%" PRId64, op->a);
    struct buf bytes = BUF_EMPTY;
    element_write(&bytes, ELEMENT(lane->number, op->b));
    words_add(words, buf_bytes(&bytes));
    buf_deinit(&bytes);
}

static bool apply_shared_push(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    lane->pushed[op->a]++;
    return reply->reply == NULL || (reply->reply->type == REDIS_REPLY_INTEGER &&
                                    reply->reply->integer >= (int64_t)lane->pushed[op->a]);
}

static void draw_group(struct lane *lane, struct op *op)
{
    op->a = (int64_t)chance_below(&lane->random, SHARED_GROUPS);
    shared_group_sent(lane->shared, (unsigned)op->a, lane->number, op->number, op->tick);
}

static void word_group(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "MSET");
    for (unsigned i = 0; i < SHARED_GROUP_SIZE; i++) {
        struct buf value = BUF_EMPTY;
        value_write(&value, lane->number, op->number, 48);
        words_add_text(words, "s:group:%" PRId64 ":%u", op->a, i);
        words_add(words, buf_bytes(&value));
        buf_deinit(&value);
    }
}

static bool apply_group(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    if (reply->reply != NULL) {
        CHECK(shared_group_seen(lane->shared, (unsigned)op->a, lane->number, op->number,
                                reply->tick));
    }
    return reply_ok(reply);
}

static void draw_ring(struct lane *lane, struct op *op)
{
    op->key = (unsigned)chance_below(&lane->random, SHARED_RINGS);
    op->key2 = (unsigned)chance_below(&lane->random, SHARED_RINGS);
    op->count = (unsigned)chance_below(&lane->random, 4);
}

static void word_ring(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LMOVE");
    words_add_text(words, "s:ring:%u", op->key);
    words_add_text(words, "s:ring:%u", op->key2);
    words_add_text(words, op->count & 1 ? "RIGHT" : "LEFT");
    words_add_text(words, op->count & 2 ? "RIGHT" : "LEFT");
}

static bool apply_ring(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    uint64_t element;
    return reply_nil(reply) ||
           (reply->reply->type == REDIS_REPLY_STRING &&
            element_read(bytes_of(reply->reply->str, (size_t)reply->reply->len), &element) &&
            ELEMENT_LANE(element) == RING_LANE);
}

/* -- Rows ------------------------------------------------------------------------------------ */

static const struct op_kind rows[] = {
    {"RENAME", LANES_ALL, 6, 0, 1, draw_pair, word_rename, apply_rename},
    {"COPY", LANES_ALL, 4, 0, 1, draw_pair, word_copy, apply_copy},
    {"DEL", LANES_ALL, 3, 0, 1, draw_delete, word_delete, apply_delete},
    {"SELECT", LANES_FLUSHING, 10, 0, 1, draw_select, word_select, apply_select},
    {"FLUSHDB", LANES_FLUSHING, 2, 0, 1, draw_nothing, word_flush, apply_flush},
    {"SWAPDB", LANES_FLUSHING, 2, 0, 1, draw_nothing, word_swap, apply_swap},
    {"MOVE", LANES_FLUSHING, 10, 0, 1, draw_move, word_move, apply_move},
    {"INCR shared", LANES_SHARING, 16, 0, 1, draw_count, word_count, apply_count},
    {"push shared", LANES_SHARING, 8, 0, 1, draw_shared_push, word_shared_push, apply_shared_push},
    {"MSET shared", LANES_SHARING, 8, 0, 1, draw_group, word_group, apply_group},
    {"LMOVE shared", LANES_SHARING, 12, 0, 1, draw_ring, word_ring, apply_ring},
};

struct op_rows op_space_rows(void)
{
    return (struct op_rows){rows, sizeof(rows) / sizeof(rows[0])};
}
