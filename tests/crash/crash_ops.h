/* crash_ops: the commands that lanes send, a row each: how it is drawn, worded, applied.
 * Part of crash_model. Thread: constant rows. */
#ifndef BASIN_TESTS_CRASH_CRASH_OPS_H
#define BASIN_TESTS_CRASH_CRASH_OPS_H

#include "tests/crash/crash_model.h"

#define LANE_COUNT 12

/* reply NULL: as if it had come, whatever it may be. */
struct op_reply {
    const redisReply *reply;
    uint64_t tick;
    int64_t now_ms;
};

enum op_lanes {
    LANES_ALL,
    LANES_SHARING,  /* Those that work on shared keys too. */
    LANES_FLUSHING, /* Those with two databases of their own. */
    LANES_STAYING,  /* The others. */
};

struct op_kind {
    const char *name;
    enum op_lanes lanes;
    unsigned weight;
    unsigned key, key_count; /* Drawn from these; key2 too. */
    void (*draw)(struct lane *lane, struct op *op);
    void (*word)(const struct lane *lane, const struct op *op, struct words *words);
    /* Changes the model; false: the reply does not fit what the model says. */
    bool (*apply)(struct lane *lane, const struct op *op, const struct op_reply *reply);
};

/* One that suits the lane; its keys are drawn by its draw function. */
const struct op_kind *op_kind_draw(struct lane *lane);

/* -- For the rows ---------------------------------------------------------------------------- */

struct op_rows {
    const struct op_kind *rows;
    size_t count;
};
struct op_rows op_text_rows(void);
struct op_rows op_list_rows(void);
struct op_rows op_space_rows(void);

static inline struct model_value *op_value(struct lane *lane, const struct op *op)
{
    return &lane->keys[op->table][op->key];
}
static inline struct model_value *op_value2(struct lane *lane, const struct op *op)
{
    return &lane->keys[op->table][op->key2];
}

void op_draw_keys(struct lane *lane, struct op *op); /* Key and key2, different ones. */
void op_word_key(const struct lane *lane, unsigned key, struct words *words);

bool reply_ok(const struct op_reply *reply);
bool reply_error(const struct op_reply *reply);
bool reply_integer(const struct op_reply *reply, int64_t expected);
bool reply_nil(const struct op_reply *reply);
bool reply_bytes(const struct op_reply *reply, struct bytes expected);
bool reply_element(const redisReply *reply, uint64_t expected);

#endif
