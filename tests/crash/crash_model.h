/* crash_model: what the kill -9 test knows of the store: values, and the commands that change them.
 *
 * A lane is one connection with keys of its own. It draws commands, sends them pipelined, and
 * applies each to its copy of the keys when the reply comes, comparing the reply with what the
 * copy says. What was sent and not answered is pending. The server runs the commands of a
 * connection in order and the log keeps a prefix, so after a crash all keys of a lane together
 * must look as after the first m pending commands, for one m: that is what crash_verify looks for.
 *
 * Every value tells its lane and the number of the command that made it, and its bytes follow from
 * those two, so anything that nobody asked for is recognized.
 *
 * Thread: one. Memory: no failure of malloc is survived.
 */
#ifndef BASIN_TESTS_CRASH_CRASH_MODEL_H
#define BASIN_TESTS_CRASH_CRASH_MODEL_H

#include "engine/base/bytes.h"

#include <hiredis/hiredis.h>

#define NO_EXPIRY (-1)

/* -- Values ---------------------------------------------------------------------------------- */

enum shape { SHAPE_TEXT, SHAPE_LIST, SHAPE_CHUNKS };

/* Lists and chunk collections hold elements by {lane, id} in one number. */
struct model_value {
    bool present;
    bool changed; /* Since the verdict looked last. */
    enum shape shape;
    struct buf text;
    uint64_t *elements;
    size_t count, capacity;
    int64_t expiry_low, expiry_high; /* Unix ms: between the two; NO_EXPIRY. */
    uint64_t once;                   /* The number in the name of a key that is made but once. */
};

void model_value_clear(struct model_value *value); /* Absent; keeps no memory. */
void model_value_move(struct model_value *to, struct model_value *from);
void model_value_copy(struct model_value *to, const struct model_value *from);
/* Could `actual` be what the model says, if the store was asked between these times? */
bool model_value_matches(const struct model_value *model, const struct model_value *actual,
                         int64_t before_ms, int64_t after_ms);
/* A few words for a report; lent until the third next call. */
const char *model_value_text(const struct model_value *value);

#define ELEMENT(lane, id) (((uint64_t)(lane) << 48) | (id))
#define ELEMENT_LANE(element) ((unsigned)((element) >> 48))
#define ELEMENT_ID(element) ((element)&0xFFFFFFFFFFFFull)

/* Appends the bytes of an element. */
void element_write(struct buf *out, uint64_t element);
/* False: no bytes of ours. */
bool element_read(struct bytes bytes, uint64_t *element_out);

/* Appends a value of the given size, at least 32, made by a command. */
void value_write(struct buf *out, unsigned lane, uint64_t number, size_t size);
/* Who made it; false: its beginning is not ours. */
bool value_read(struct bytes bytes, unsigned *lane_out, uint64_t *number_out);

int64_t wall_ms(void);
uint64_t chance(uint64_t *state);
uint64_t chance_below(uint64_t *state, uint64_t bound);

/* -- Lanes ----------------------------------------------------------------------------------- */

#define LANE_DEPTH_MAX 64
#define LANE_TABLES 2 /* Databases of a lane that flushes and swaps; the others use the first. */

enum lane_key {
    KEY_TEXT = 0, /* 4 that are set, appended to, written into, renamed, copied. */
    KEY_COUNTER = 4,
    KEY_LIST = 6,
    KEY_CHUNKS = 9,
    KEY_FAR = 11,   /* 2 that expire in an hour or so. */
    KEY_SHORT = 13, /* Expires within the round. */
    KEY_BIG = 14,
    KEY_SET = 15,  /* 4 that only MSET writes, all at once. */
    KEY_ONCE = 19, /* 8 slots of keys that are set once, then deleted for ever. */
    LANE_KEYS = 27,
};
#define SET_SIZE 4
#define ONCE_SLOTS 8
#define ONCE_LIFE 3 /* Deleted so many creations later. */

/* Shared keys, all in database 0. */
#define SHARED_COUNTERS 8
#define SHARED_PUSHES 2 /* s:push:0 is pushed to the right, 1 to the left. */
#define SHARED_GROUPS 2
#define SHARED_GROUP_SIZE 8
#define SHARED_RINGS 4
#define RING_ELEMENTS 64
#define RING_LANE 0xFFFF

struct op_kind;

struct op {
    const struct op_kind *kind;
    uint64_t number; /* Of the command in its lane. */
    uint64_t tick;   /* Of the whole test, when it was sent. */
    int64_t sent_ms;
    unsigned table, key, key2, count;
    int64_t a, b;
};

struct shared;

/* A key that is set once and deleted once, so that a reader knows what it sees. */
struct once {
    bool set, set_acked;
    uint64_t number;                     /* In its name. */
    uint64_t set_number, deleted_number; /* Of the commands; 0: not yet. */
};

struct lane {
    unsigned number;
    unsigned databases[LANE_TABLES];
    unsigned table_count;
    bool shares; /* Works on shared keys too. */
    uint64_t random;
    unsigned table; /* That the connection has selected. */
    uint64_t op_number, next_id, next_once;
    uint64_t seen_number; /* The latest of its commands that a reader saw the effect of. */
    struct model_value keys[LANE_TABLES][LANE_KEYS];
    uint64_t pushed[SHARED_PUSHES]; /* Its elements in the shared lists: ids 1, 2, … */
    uint64_t push_next[SHARED_PUSHES];
    uint64_t push_seen[SHARED_PUSHES]; /* The highest id that a reader saw. */
    struct op pending[LANE_DEPTH_MAX];
    unsigned pending_first, pending_count;
    struct once once[ONCE_SLOTS];
    struct shared *shared;
};

/* A command on the wire. */
struct words {
    struct buf bytes;
    size_t sizes[64];
    size_t count;
};
void words_clear(struct words *words);
void words_add(struct words *words, struct bytes word);
void words_add_text(struct words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void words_send(struct words *words, redisContext *context); /* Appends it to the output. */

void lane_init(struct lane *lane, unsigned number, uint64_t seed, struct shared *shared);
void lane_deinit(struct lane *lane);

/* Draws the next command, notes it as pending, gives its words. */
void lane_draw(struct lane *lane, uint64_t tick, struct words *words);
/* The reply of the first pending command; NULL: as if it had come. False: no reply that it could
 * have; why says more. */
bool lane_apply(struct lane *lane, const redisReply *reply, uint64_t tick, char *why,
                size_t why_size);
const struct op *lane_pending(const struct lane *lane, unsigned index);
const char *op_text(const struct lane *lane,
                    const struct op *op); /* For a report; lent until the next. */

/* Name of a key of the lane. once: of that kind the number. */
void lane_key_name(const struct lane *lane, unsigned key, uint64_t once, char *name, size_t size);
enum shape lane_key_shape(unsigned key);

/* -- Shared keys ----------------------------------------------------------------------------- */

struct group_write {
    unsigned lane;
    uint64_t number, sent_tick, acked_tick; /* UINT64_MAX: not acknowledged. */
};

struct shared {
    struct {
        uint64_t base, sent, acked, seen; /* Since the last verdict; seen: the highest value. */
    } counters[SHARED_COUNTERS];
    struct {
        struct group_write *writes; /* Those of this round; [0] is what the round began with. */
        size_t count, capacity;
        uint64_t settled_tick; /* The latest sent tick of an acknowledged or seen write. */
    } groups[SHARED_GROUPS];
};

void shared_init(struct shared *shared);
void shared_deinit(struct shared *shared);
/* The group holds this write now (lane UINT32_MAX: nothing), and all before it are settled. */
void shared_group_restart(struct shared *shared, unsigned group, unsigned lane, uint64_t number);
/* Somebody sends one. */
void shared_group_sent(struct shared *shared, unsigned group, unsigned lane, uint64_t number,
                       uint64_t tick);
/* A reader saw this write at this tick. False: nobody sent it. */
bool shared_group_seen(struct shared *shared, unsigned group, unsigned lane, uint64_t number,
                       uint64_t tick);

#endif
