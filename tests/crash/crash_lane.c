/* Lanes: drawing, pending, applying. The commands themselves are in crash_ops.c. */
#include "tests/crash/crash_ops.h"

#include "engine/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHARING_COUNT 8
#define FLUSHING_COUNT 2 /* The last of them. */

enum shape lane_key_shape(unsigned key)
{
    return key >= KEY_LIST && key < KEY_CHUNKS  ? SHAPE_LIST
           : key >= KEY_CHUNKS && key < KEY_FAR ? SHAPE_CHUNKS
                                                : SHAPE_TEXT;
}

void lane_key_name(const struct lane *lane, unsigned key, uint64_t once, char *name, size_t size)
{
    if (key >= KEY_ONCE) {
        snprintf(name, size, "L%u:once:%" PRIu64, lane->number, once);
    } else {
        snprintf(name, size, "L%u:%u", lane->number, key);
    }
}

void lane_init(struct lane *lane, unsigned number, uint64_t seed, struct shared *shared)
{
    memset(lane, 0, sizeof(*lane));
    lane->number = number;
    lane->random = seed * 0x9E3779B97F4A7C15ull + number + 1;
    lane->shared = shared;
    lane->next_id = 1;
    lane->table_count = 1;
    lane->shares = number < SHARING_COUNT;
    if (!lane->shares) {
        lane->databases[0] = number % 2 == 0 ? 1 : 5;
    }
    if (number >= LANE_COUNT - FLUSHING_COUNT) {
        lane->table_count = 2;
        lane->databases[0] = 8 + 2 * (number % 2);
        lane->databases[1] = lane->databases[0] + 1;
    }
    for (unsigned table = 0; table < LANE_TABLES; table++) {
        for (unsigned key = 0; key < LANE_KEYS; key++) {
            lane->keys[table][key].shape = lane_key_shape(key);
            model_value_clear(&lane->keys[table][key]);
        }
    }
}

void lane_deinit(struct lane *lane)
{
    for (unsigned table = 0; table < LANE_TABLES; table++) {
        for (unsigned key = 0; key < LANE_KEYS; key++) {
            model_value_clear(&lane->keys[table][key]);
        }
    }
}

const struct op *lane_pending(const struct lane *lane, unsigned index)
{
    CHECK(index < lane->pending_count);
    return &lane->pending[(lane->pending_first + index) % LANE_DEPTH_MAX];
}

const char *op_text(const struct lane *lane, const struct op *op)
{
    static char text[160];
    snprintf(text, sizeof(text),
             "%s #%" PRIu64 " of L%u, table %u, keys %u %u, %" PRId64 " %" PRId64 " ×%u",
             op->kind->name, op->number, lane->number, op->table, op->key, op->key2, op->a, op->b,
             op->count);
    return text;
}

void lane_draw(struct lane *lane, uint64_t tick, struct words *words)
{
    CHECK(lane->pending_count < LANE_DEPTH_MAX);
    struct op *op = &lane->pending[(lane->pending_first + lane->pending_count) % LANE_DEPTH_MAX];
    *op = (struct op){.tick = tick, .sent_ms = wall_ms(), .number = ++lane->op_number};
    op->table = lane->table;
    op->kind = op_kind_draw(lane);
    op->kind->draw(lane, op);
    lane->pending_count++;
    words_clear(words);
    op->kind->word(lane, op, words);
}

bool lane_apply(struct lane *lane, const redisReply *reply, uint64_t tick, char *why,
                size_t why_size)
{
    const struct op *op = lane_pending(lane, 0);
    struct op_reply answer = {.reply = reply, .tick = tick, .now_ms = wall_ms()};
    bool fits = op->kind->apply(lane, op, &answer);
    if (!fits) {
        int size = snprintf(why, why_size, "%s was answered with type %d, %lld, \"%.60s\"",
                            op_text(lane, op), reply->type, reply->integer,
                            reply->str == NULL ? "" : reply->str);
        snprintf(why + size, why_size - (size_t)size, "; the key was %s",
                 model_value_text(&lane->keys[op->table][op->key]));
    }
    lane->pending_first = (lane->pending_first + 1) % LANE_DEPTH_MAX;
    lane->pending_count--;
    return fits;
}
