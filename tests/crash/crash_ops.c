/* Commands on texts and counters; what all rows share. */
#include "tests/crash/crash_ops.h"

#include "engine/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 60000 /* A longer one is set anew. */
#define BIG_SIZE 100000
#define BIG_MAX 400000
#define CLOCK_SLACK_MS 1000 /* A server reads its clock once a round of its loop. */
#define HOUR_MS 3600000

/* -- Replies --------------------------------------------------------------------------------- */

bool reply_ok(const struct op_reply *reply)
{
    return reply->reply == NULL ||
           (reply->reply->type == REDIS_REPLY_STATUS && strcmp(reply->reply->str, "OK") == 0);
}

bool reply_error(const struct op_reply *reply)
{
    return reply->reply == NULL || reply->reply->type == REDIS_REPLY_ERROR;
}

bool reply_integer(const struct op_reply *reply, int64_t expected)
{
    return reply->reply == NULL ||
           (reply->reply->type == REDIS_REPLY_INTEGER && reply->reply->integer == expected);
}

bool reply_nil(const struct op_reply *reply)
{
    return reply->reply == NULL || reply->reply->type == REDIS_REPLY_NIL;
}

bool reply_bytes(const struct op_reply *reply, struct bytes expected)
{
    return reply->reply == NULL ||
           (reply->reply->type == REDIS_REPLY_STRING &&
            bytes_equal(bytes_of(reply->reply->str, (size_t)reply->reply->len), expected));
}

bool reply_element(const redisReply *reply, uint64_t expected)
{
    uint64_t element;
    return reply->type == REDIS_REPLY_STRING &&
           element_read(bytes_of(reply->str, (size_t)reply->len), &element) && element == expected;
}

static bool reply_value(const struct op_reply *reply, const struct model_value *value)
{
    return value->present ? reply_bytes(reply, buf_bytes(&value->text)) : reply_nil(reply);
}

/* -- What rows share ------------------------------------------------------------------------- */

void op_draw_keys(struct lane *lane, struct op *op)
{
    const struct op_kind *kind = op->kind;
    op->key = kind->key + (unsigned)chance_below(&lane->random, kind->key_count);
    op->key2 = op->key;
    if (kind->key_count > 1) {
        unsigned step = 1 + (unsigned)chance_below(&lane->random, kind->key_count - 1);
        op->key2 = kind->key + (op->key - kind->key + step) % kind->key_count;
    }
}

void op_word_key(const struct lane *lane, unsigned key, struct words *words)
{
    char name[64];
    lane_key_name(lane, key, 0, name, sizeof(name));
    words_add_text(words, "%s", name);
}

static void word_value(const struct lane *lane, const struct op *op, struct words *words)
{
    struct buf value = BUF_EMPTY;
    value_write(&value, lane->number, op->number, (size_t)op->b);
    words_add(words, buf_bytes(&value));
    buf_deinit(&value);
}

static void append_value(struct lane *lane, const struct op *op, struct model_value *value)
{
    value->present = value->changed = true;
    value_write(&value->text, lane->number, op->number, (size_t)op->b);
}

static void set_value(struct lane *lane, const struct op *op, struct model_value *value)
{
    model_value_clear(value);
    append_value(lane, op, value);
}

/* Most values are packed, some are one segment, some are many. */
static int64_t draw_size(struct lane *lane)
{
    uint64_t kind = chance_below(&lane->random, 100);
    uint64_t bound = kind < 80 ? 300 : kind < 97 ? 5000 : 40000;
    return 32 + (int64_t)chance_below(&lane->random, bound);
}

static void draw_sized(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    op->b = draw_size(lane);
}

/* -- Texts ----------------------------------------------------------------------------------- */

static void word_set(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "SET");
    op_word_key(lane, op->key, words);
    word_value(lane, op, words);
}

static bool apply_set(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    set_value(lane, op, op_value(lane, op));
    return reply_ok(reply);
}

static void word_getset(const struct lane *lane, const struct op *op, struct words *words)
{
    word_set(lane, op, words);
    words_add_text(words, "GET");
}

static bool apply_getset(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    bool fits = reply_value(reply, op_value(lane, op));
    set_value(lane, op, op_value(lane, op));
    return fits;
}

static void draw_append(struct lane *lane, struct op *op)
{
    draw_sized(lane, op);
    op->b = op->key == KEY_BIG ? 10000 : op->b;
    op->a = op_value(lane, op)->text.size > (op->key == KEY_BIG ? BIG_MAX : TEXT_MAX);
}

/* One that has grown too long is set anew instead. */
static void word_append(const struct lane *lane, const struct op *op, struct words *words)
{
    if (op->a) {
        word_set(lane, op, words);
        return;
    }
    words_add_text(words, "APPEND");
    op_word_key(lane, op->key, words);
    word_value(lane, op, words);
}

static bool apply_append(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    if (op->a) {
        return apply_set(lane, op, reply);
    }
    append_value(lane, op, op_value(lane, op));
    return reply_integer(reply, (int64_t)op_value(lane, op)->text.size);
}

static void draw_setrange(struct lane *lane, struct op *op)
{
    draw_sized(lane, op);
    op->a = (int64_t)chance_below(&lane->random, op_value(lane, op)->text.size + 100);
}

static void word_setrange(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "SETRANGE");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%" PRId64, op->a);
    word_value(lane, op, words);
}

static bool apply_setrange(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    size_t end = (size_t)(op->a + op->b);
    if (value->text.size < end) {
        size_t more = end - value->text.size;
        unsigned char *p = buf_extend(&value->text, more);
        CHECK(p != NULL);
        memset(p, 0, more);
    }
    struct buf bytes = BUF_EMPTY;
    value_write(&bytes, lane->number, op->number, (size_t)op->b);
    memcpy(value->text.data + op->a, bytes.data, bytes.size);
    buf_deinit(&bytes);
    value->present = value->changed = true;
    return reply_integer(reply, (int64_t)value->text.size);
}

static void word_getdel(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "GETDEL");
    op_word_key(lane, op->key, words);
}

static bool apply_getdel(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    bool fits = reply_value(reply, op_value(lane, op));
    model_value_clear(op_value(lane, op));
    return fits;
}

static void word_get(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "GET");
    op_word_key(lane, op->key, words);
}

static bool apply_get(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    return reply_value(reply, op_value(lane, op));
}

static void draw_big(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    op->b = BIG_SIZE + (int64_t)chance_below(&lane->random, 5000);
}

/* -- Counters -------------------------------------------------------------------------------- */

static void draw_counter(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    op->a = (int64_t)chance_below(&lane->random, 2000) - 1000;
}

static void word_incrby(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "INCRBY");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%" PRId64, op->a);
}

static bool apply_incrby(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    int64_t before = 0;
    CHECK(value->text.size == 0 || bytes_to_int64(buf_bytes(&value->text), &before));
    char text[INT64_TEXT_MAX];
    size_t size = int64_to_text(before + op->a, text);
    value->text.size = 0;
    CHECK(buf_append(&value->text, bytes_of(text, size)) == ST_OK);
    value->present = value->changed = true;
    return reply_integer(reply, before + op->a);
}

/* -- Expiry ---------------------------------------------------------------------------------- */

static void draw_far(struct lane *lane, struct op *op)
{
    draw_sized(lane, op);
    op->a = HOUR_MS + (int64_t)chance_below(&lane->random, 100000);
}

static void word_set_pxat(const struct lane *lane, const struct op *op, struct words *words)
{
    word_set(lane, op, words);
    words_add_text(words, "PXAT");
    words_add_text(words, "%" PRId64, op->sent_ms + op->a);
}

static bool apply_set_pxat(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    set_value(lane, op, op_value(lane, op));
    op_value(lane, op)->expiry_low = op_value(lane, op)->expiry_high = op->sent_ms + op->a;
    return reply_ok(reply);
}

/* Relative: when the command ran is known only from when it was sent and answered. */
static void expire_relative(const struct op *op, const struct op_reply *reply,
                            struct model_value *value)
{
    value->changed = true;
    value->expiry_low = op->sent_ms + op->a - CLOCK_SLACK_MS;
    value->expiry_high = reply->now_ms + op->a;
}

static void word_pexpire(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "PEXPIRE");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%" PRId64, op->a);
}

static bool apply_pexpire(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    bool present = op_value(lane, op)->present;
    if (present) {
        expire_relative(op, reply, op_value(lane, op));
    }
    return reply_integer(reply, present);
}

/* A time that is over deletes. */
static void draw_past(struct lane *lane, struct op *op)
{
    op_draw_keys(lane, op);
    op->a = 1000;
}

static void word_pexpireat(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "PEXPIREAT");
    op_word_key(lane, op->key, words);
    words_add_text(words, "%" PRId64, op->a);
}

static bool apply_past(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    bool present = op_value(lane, op)->present;
    model_value_clear(op_value(lane, op));
    return reply_integer(reply, present);
}

static void word_persist(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "PERSIST");
    op_word_key(lane, op->key, words);
}

static bool apply_persist(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    bool volatile_now = value->present && value->expiry_low != NO_EXPIRY;
    value->expiry_low = value->expiry_high = NO_EXPIRY;
    value->changed = true;
    return reply_integer(reply, volatile_now);
}

static void draw_short(struct lane *lane, struct op *op)
{
    draw_sized(lane, op);
    op->a = 1 + (int64_t)chance_below(&lane->random, 200);
}

static void word_set_px(const struct lane *lane, const struct op *op, struct words *words)
{
    word_set(lane, op, words);
    words_add_text(words, "PX");
    words_add_text(words, "%" PRId64, op->a);
}

static bool apply_set_px(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    set_value(lane, op, op_value(lane, op));
    expire_relative(op, reply, op_value(lane, op));
    return reply_ok(reply);
}

/* -- MSET and keys that are made but once -------------------------------------------------------
 */

static void draw_mset(struct lane *lane, struct op *op)
{
    op->key = KEY_SET;
    op->b = 40;
}

static void word_mset(const struct lane *lane, const struct op *op, struct words *words)
{
    words_add_text(words, "MSET");
    for (unsigned i = 0; i < SET_SIZE; i++) {
        op_word_key(lane, KEY_SET + i, words);
        word_value(lane, op, words);
    }
}

static bool apply_mset(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    for (unsigned i = 0; i < SET_SIZE; i++) {
        set_value(lane, op, &lane->keys[op->table][KEY_SET + i]);
    }
    return reply_ok(reply);
}

/* op->a is the number of the key, op->b the size of its value or 0 for its deletion. */
static void draw_once(struct lane *lane, struct op *op)
{
    struct once *oldest = NULL;
    for (unsigned i = 0; i < ONCE_SLOTS; i++) {
        struct once *once = &lane->once[i];
        if (once->set && once->deleted_number == 0 &&
            (oldest == NULL || once->number < oldest->number)) {
            oldest = once;
        }
    }
    if (oldest != NULL && lane->next_once >= oldest->number + ONCE_LIFE) {
        oldest->deleted_number = op->number;
        op->a = (int64_t)oldest->number;
    } else {
        op->a = (int64_t)lane->next_once++;
        op->b = 40;
        lane->once[op->a % ONCE_SLOTS] =
            (struct once){.set = true, .number = (uint64_t)op->a, .set_number = op->number};
    }
    op->key = KEY_ONCE + (unsigned)(op->a % ONCE_SLOTS);
}

static void word_once(const struct lane *lane, const struct op *op, struct words *words)
{
    char name[64];
    lane_key_name(lane, op->key, (uint64_t)op->a, name, sizeof(name));
    words_add_text(words, op->b == 0 ? "DEL" : "SET");
    words_add_text(words, "%s", name);
    if (op->b > 0) {
        word_value(lane, op, words);
    }
}

static bool apply_once(struct lane *lane, const struct op *op, const struct op_reply *reply)
{
    struct model_value *value = op_value(lane, op);
    if (op->b == 0) {
        bool present = value->present;
        model_value_clear(value);
        return reply_integer(reply, present);
    }
    set_value(lane, op, value);
    value->once = (uint64_t)op->a;
    struct once *once = &lane->once[op->key - KEY_ONCE];
    once->set_acked = once->set_acked || (reply->reply != NULL && once->number == value->once);
    return reply_ok(reply);
}

/* -- Rows ------------------------------------------------------------------------------------ */

static const struct op_kind rows[] = {
    {"SET", LANES_ALL, 12, KEY_TEXT, 4, draw_sized, word_set, apply_set},
    {"SET GET", LANES_ALL, 3, KEY_TEXT, 4, draw_sized, word_getset, apply_getset},
    {"APPEND", LANES_ALL, 12, KEY_TEXT, 4, draw_append, word_append, apply_append},
    {"SETRANGE", LANES_ALL, 6, KEY_TEXT, 4, draw_setrange, word_setrange, apply_setrange},
    {"GETDEL", LANES_ALL, 2, KEY_TEXT, 4, op_draw_keys, word_getdel, apply_getdel},
    {"GET", LANES_ALL, 3, KEY_TEXT, 4, op_draw_keys, word_get, apply_get},
    {"SET big", LANES_ALL, 1, KEY_BIG, 1, draw_big, word_set, apply_set},
    {"APPEND big", LANES_ALL, 1, KEY_BIG, 1, draw_append, word_append, apply_append},
    {"INCRBY", LANES_ALL, 10, KEY_COUNTER, 2, draw_counter, word_incrby, apply_incrby},
    {"SET PXAT", LANES_ALL, 4, KEY_FAR, 2, draw_far, word_set_pxat, apply_set_pxat},
    {"APPEND far", LANES_ALL, 2, KEY_FAR, 2, draw_append, word_append, apply_append},
    {"PEXPIRE", LANES_ALL, 4, KEY_FAR, 2, draw_far, word_pexpire, apply_pexpire},
    {"PEXPIREAT past", LANES_ALL, 1, KEY_FAR, 2, draw_past, word_pexpireat, apply_past},
    {"PERSIST", LANES_ALL, 2, KEY_FAR, 2, op_draw_keys, word_persist, apply_persist},
    {"SET PX", LANES_ALL, 4, KEY_SHORT, 1, draw_short, word_set_px, apply_set_px},
    {"MSET", LANES_ALL, 8, KEY_SET, 1, draw_mset, word_mset, apply_mset},
    {"once", LANES_STAYING, 8, KEY_ONCE, 1, draw_once, word_once, apply_once},
};

struct op_rows op_text_rows(void)
{
    return (struct op_rows){rows, sizeof(rows) / sizeof(rows[0])};
}

static bool suits(const struct lane *lane, const struct op_kind *kind)
{
    switch (kind->lanes) {
    case LANES_SHARING:
        return lane->shares;
    case LANES_FLUSHING:
        return lane->table_count > 1;
    case LANES_STAYING:
        return lane->table_count == 1;
    case LANES_ALL:
        break;
    }
    return true;
}

const struct op_kind *op_kind_draw(struct lane *lane)
{
    const struct op_rows all[] = {op_text_rows(), op_list_rows(), op_space_rows()};
    const struct op_kind *drawn = NULL;
    unsigned total = 0;
    /* One pass: each row takes the place of those before it in proportion to its weight. */
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (size_t k = 0; k < all[i].count; k++) {
            const struct op_kind *kind = &all[i].rows[k];
            if (suits(lane, kind)) {
                total += kind->weight;
                drawn = chance_below(&lane->random, total) < kind->weight ? kind : drawn;
            }
        }
    }
    return drawn;
}
