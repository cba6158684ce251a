/* Commands on lists and chunk collections. */
#include "tests/crash/crash_ops.h"

#include "engine/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PUSH_MAX 8
#define LIST_LONG 3000 /* A longer one is trimmed. */
#define CHUNKS_LONG 600

/* -- Elements of the model --------------------------------------------------------------------- */

static void insert_element(struct model_value *value, size_t index, uint64_t element)
{
    if (value->count == value->capacity) {
        value->capacity = value->capacity * 2 + 16;
        value->elements = realloc(value->elements, value->capacity * sizeof(*value->elements));
        CHECK(value->elements != NULL);
    }
    memmove(value->elements + index + 1, value->elements + index,
            (value->count - index) * sizeof(*value->elements));
    value->elements[index] = element;
    value->count++;
    value->present = value->changed = true;
}

/* A list that becomes empty goes. */
static void remove_elements(struct model_value *value, size_t index, size_t count)
{
    memmove(value->elements + index, value->elements + index + count,
            (value->count - index - count) * sizeof(*value->elements));
    value->count -= count;
    value->changed = true;
    if (value->count == 0) {
        model_value_clear(value);
    }
}

static size_t find_element(const struct model_value *value, uint64_t element)
{
    size_t index = 0;
    while (index < value->count && value->elements[index] != element) {
        index++;
    }
    return index;
}

static void word_element(uint64_t element, struct words *words)
{
    struct buf bytes = BUF_EMPTY;
    element_write(&bytes, element);
    words_add(words, buf_bytes(&bytes));
    buf_deinit(&bytes);
}

static bool reply_array(const redisReply *reply, const uint64_t *elements, size_t count)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!reply_element(reply->element[i], elements[i])) {
            return false;
        }
    }
    return true;
}

/* An element that is likely in the list: op->a is its lane, op->b its id, also in 64 bits. */
static uint64_t element_of(const struct op *op)
{
    return (uint64_t)op->a;
}

static void draw_element(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    struct model_value *value = op_value(lane, op);
    op->a = (int64_t)(value->count > 0 ? value->elements[chance_below(&lane->random, value->count)]
                                       : ELEMENT(lane->number, lane->next_id));
    op->count = (unsigned)chance_below(&lane->random, 2); /* Which side. */
}

/* -- Push, pop --------------------------------------------------------------------------------- */

/* op->a is the id of the first element, op->b the side. */
static void draw_push(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    op->count = 1 + (unsigned)chance_below(&lane->random, PUSH_MAX);
    op->a = (int64_t)lane->next_id;
    op->b = (int64_t)chance_below(&lane->random, 2);
    lane->next_id += op->count;
}

static void word_push(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, op->b ? "RPUSH" : "LPUSH");
    op_word_key(lane, op->key, words);
    for (unsigned i = 0; i < op->count; i++) {
        word_element(ELEMENT(lane->number, (uint64_t)op->a + i), words);
    }
}

static bool apply_push(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    for (unsigned i = 0; i < op->count; i++) {
        insert_element(value, op->b ? value->count : 0, ELEMENT(lane->number, (uint64_t)op->a + i));
    }
    return reply_integer(reply, (int64_t)value->count);
}

static void draw_pop(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    op->count = 1 + (unsigned)chance_below(&lane->random, PUSH_MAX);
    op->b = (int64_t)chance_below(&lane->random, 2);
}

static void word_pop(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, op->b ? "RPOP" : "LPOP");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%u", op->count);
}

static bool apply_pop(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    if (!value->present) {
        return reply_nil(reply);
    }
    uint64_t popped[PUSH_MAX];
    size_t count = value->count < op->count ? value->count : op->count;
    for (size_t i = 0; i < count; i++) {
        popped[i] = value->elements[op->b ? value->count - 1 - i : i];
    }
    remove_elements(value, op->b ? value->count - count : 0, count);
    return reply->reply == NULL || reply_array(reply->reply, popped, count);
}

/* From op->key to op->key2; op->a and op->b are the sides, 1 right. */
static void draw_move(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    if (chance_below(&lane->random, 4) == 0) {
        op->key2 = op->key;
    }
    op->a = (int64_t)chance_below(&lane->random, 2);
    op->b = (int64_t)chance_below(&lane->random, 2);
}

static void word_move(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LMOVE");
    op_word_key(lane, op->key, words);
    op_word_key(lane, op->key2, words);
    words_add_text(words, op->a ? "RIGHT" : "LEFT");
    words_add_text(words, op->b ? "RIGHT" : "LEFT");
}

static bool apply_move(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *from = op_value(lane, op);
    struct model_value *to = op_value2(lane, op);
    if (!from->present) {
        return reply_nil(reply);
    }
    size_t index = op->a ? from->count - 1 : 0;
    uint64_t element = from->elements[index];
    if (from != to || from->count > 1) {
        remove_elements(from, index, 1);
        insert_element(to, op->b ? to->count : 0, element);
    }
    return reply->reply == NULL || reply_element(reply->reply, element);
}

/* -- Edits ------------------------------------------------------------------------------------- */

static void draw_set(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    uint64_t count = op_value(lane, op)->count;
    op->a = (int64_t)chance_below(&lane->random, 2 * count + 1) - (int64_t)count;
    op->b = (int64_t)lane->next_id++;
}

static void word_set(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LSET");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%" PRId64, op->a);
    word_element(ELEMENT(lane->number, op->b), words);
}

static bool apply_set(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    int64_t index = op->a < 0 ? op->a + (int64_t)value->count : op->a;
    if (index < 0 || index >= (int64_t)value->count) {
        return reply_error(reply);
    }
    value->elements[index] = ELEMENT(lane->number, op->b);
    value->changed = true;
    return reply_ok(reply);
}

static void draw_insert(struct lane *lane, struct op *op)
{
    draw_element(lane, op);
    op->b = (int64_t)lane->next_id++;
}

static void word_insert(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LINSERT");
    op_word_key(lane, op->key, words);
    words_add_text(words, op->count ? "AFTER" : "BEFORE");
    word_element(element_of(op), words);
    word_element(ELEMENT(lane->number, op->b), words);
}

static bool apply_insert(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    if (!value->present) {
        return reply_integer(reply, 0);
    }
    size_t index = find_element(value, element_of(op));
    if (index == value->count) {
        return reply_integer(reply, -1);
    }
    insert_element(value, index + op->count, ELEMENT(lane->number, op->b));
    return reply_integer(reply, (int64_t)value->count);
}

static void word_remove(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LREM");
    op_word_key(lane, op->key, words);
    words_add_text(words, "0");
    word_element(element_of(op), words);
}

static bool apply_remove(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    int64_t removed = 0;
    size_t index;
    while ((index = find_element(value, element_of(op))) < value->count) {
        remove_elements(value, index, 1);
        removed++;
    }
    return reply_integer(reply, removed);
}

/* Keeps op->count elements from op->a on. */
static void draw_trim(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    size_t count = op_value(lane, op)->count;
    op->a = (int64_t)chance_below(&lane->random, 4);
    uint64_t keep = count > LIST_LONG ? 500 : count + 2;
    op->count = (unsigned)(keep - chance_below(&lane->random, keep / 8 + 1));
}

static void word_trim(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LTRIM");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%" PRId64, op->a);
    words_add_text(words, "%" PRId64, op->a + op->count - 1);
}

static bool apply_trim(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    size_t end = (size_t)op->a + op->count;
    if (value->count > end) {
        remove_elements(value, end, value->count - end);
    }
    if (value->present && op->a > 0) {
        size_t before = (size_t)op->a < value->count ? (size_t)op->a : value->count;
        remove_elements(value, 0, before);
    }
    return reply_ok(reply);
}

static void word_range(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "LRANGE");
    op_word_key(lane, op->key, words);
    words_add_text(words, "0");
    words_add_text(words, "9");
}

static bool apply_range(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    size_t count = value->count < 10 ? value->count : 10;
    return reply->reply == NULL || reply_array(reply->reply, value->elements, count);
}

/* -- Chunk collections ---------------------------------------------------------------------------
 */

/* New chunks from id op->a on, op->count of them, and before them one that is likely there. */
static void draw_chunks(struct lane *lane, struct op *op)
{
    draw_element(lane, op);
    op->b = (int64_t)lane->next_id;
    op->count = 1 + (unsigned)chance_below(&lane->random, 4);
    lane->next_id += op->count;
    if (op_value(lane, op)->count > CHUNKS_LONG) {
        op->count = 0; /* It is deleted instead. */
    }
}

static void word_chunks(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, op->count == 0 ? "DEL" : "CHUNK.APPEND");
    op_word_key(lane, op->key, words);
    if (op->count > 0) {
        word_element(element_of(op), words);
    }
    for (unsigned i = 0; i < op->count; i++) {
        word_element(ELEMENT(lane->number, (uint64_t)op->b + i), words);
    }
}

static bool chunk_add(struct model_value *value, uint64_t element)
{
    bool fresh = find_element(value, element) == value->count;
    if (fresh) {
        insert_element(value, value->count, element);
    }
    return fresh;
}

static bool apply_chunks(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    if (op->count == 0) {
        bool present = value->present;
        model_value_clear(value);
        return reply_integer(reply, present);
    }
    int64_t fresh = chunk_add(value, element_of(op));
    for (unsigned i = 0; i < op->count; i++) {
        fresh += chunk_add(value, ELEMENT(lane->number, (uint64_t)op->b + i));
    }
    return reply_integer(reply, fresh);
}

/* -- Rows ------------------------------------------------------------------------------------ */

static const struct op_kind rows[] = {
    {"push", LANES_ALL, 16, KEY_LIST, 3, draw_push, word_push, apply_push},
    {"pop", LANES_ALL, 10, KEY_LIST, 3, draw_pop, word_pop, apply_pop},
    {"LMOVE", LANES_ALL, 8, KEY_LIST, 3, draw_move, word_move, apply_move},
    {"LSET", LANES_ALL, 4, KEY_LIST, 3, draw_set, word_set, apply_set},
    {"LINSERT", LANES_ALL, 3, KEY_LIST, 3, draw_insert, word_insert, apply_insert},
    {"LREM", LANES_ALL, 3, KEY_LIST, 3, draw_element, word_remove, apply_remove},
    {"LTRIM", LANES_ALL, 1, KEY_LIST, 3, draw_trim, word_trim, apply_trim},
    {"LRANGE", LANES_ALL, 2, KEY_LIST, 3, op_draw_keys, word_range, apply_range},
    {"CHUNK.APPEND", LANES_ALL, 6, KEY_CHUNKS, 2, draw_chunks, word_chunks, apply_chunks},
};

struct op_rows op_list_rows(void)
{
    return (struct op_rows){rows, sizeof(rows) / sizeof(rows[0])};
}
