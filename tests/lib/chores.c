#include "tests/lib/chores.h"

#include "engine/base/check.h"
#include "tests/lib/chores_private.h"
#include "tests/lib/test.h"

#include <stdio.h>

static const struct {
    const char *name;
    enum value_type type;
} kinds[] = {
    {"text", VALUE_STRING}, {"list", VALUE_LIST}, {"chunks", VALUE_CHUNKS}, {"hash", VALUE_HASH},
    {"set", VALUE_SET},     {"zset", VALUE_ZSET}, {"stream", VALUE_STREAM},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
static_assert(KINDS * CHORES_PER_TYPE == CHORES_KEYS, "");

void chores_keys(struct bytes keys[CHORES_KEYS])
{
    static char names[CHORES_KEYS][16];
    for (size_t i = 0; i < CHORES_KEYS; i++) {
        snprintf(names[i], sizeof(names[i]), "%s:%zu", kinds[i / CHORES_PER_TYPE].name,
                 i % CHORES_PER_TYPE);
        keys[i] = bytes_of_text(names[i]);
    }
}

struct value_limits chores_limits(uint64_t *chance, struct value_limits defaults)
{
    struct value_limits limits = defaults;
    if (step_below(chance, 4) == 0) {
        return limits;
    }
    int64_t entries = 1 + step_below(chance, 12);
    int64_t size = 8 + step_below(chance, 60);
    limits.list_max_listpack_size = entries;
    limits.hash_max_listpack_entries = limits.set_max_listpack_entries = entries;
    limits.zset_max_listpack_entries = entries;
    limits.hash_max_listpack_value = limits.set_max_listpack_value = size;
    limits.zset_max_listpack_value = size;
    limits.set_max_intset_entries = 1 + step_below(chance, 8);
    limits.stream_node_max_entries = 1 + step_below(chance, 6);
    limits.stream_node_max_bytes = 64 + step_below(chance, 1000);
    return limits;
}

struct value_limits chores_limits_packed(struct value_limits defaults)
{
    struct value_limits limits = defaults;
    limits.list_max_listpack_size = 1 << 20;
    limits.hash_max_listpack_entries = limits.hash_max_listpack_value = 1 << 20;
    limits.set_max_listpack_entries = limits.set_max_listpack_value = 1 << 20;
    limits.zset_max_listpack_entries = limits.zset_max_listpack_value = 1 << 20;
    return limits;
}

/* -- Words ------------------------------------------------------------------------------------- */

static void add_word(struct step *step, unsigned size)
{
    CHECK(step->word_count < STEP_WORDS && size <= STEP_LARGE_SIZE);
    step->words[step->word_count] = bytes_of(step->texts[step->word_count], size);
    step->word_count++;
}

void step_add_name(struct step *step, uint64_t *chance)
{
    CHECK(step->word_count < STEP_WORDS);
    char *text = step->texts[step->word_count];
    unsigned i = step_below(chance, 60 + 20 * step->growth);
    int size;
    if (step->large) {
        size = snprintf(text, STEP_LARGE_SIZE + 1, "%0*u", STEP_LARGE_SIZE, i);
    } else if (i % 10 == 9) {
        size = snprintf(text, STEP_WORD_MAX, "%0*u", (int)(20 + i % 60 * 11), i);
    } else {
        size = snprintf(text, STEP_WORD_MAX, i % 2 == 0 ? "%u" : "n%u", i);
    }
    add_word(step, (unsigned)size);
}

void step_add_text(struct step *step, uint64_t *chance)
{
    CHECK(step->word_count < STEP_WORDS);
    unsigned size =
        step_below(chance, 12) == 0 ? step_below(chance, STEP_WORD_MAX) : step_below(chance, 14);
    size = step->large ? STEP_LARGE_SIZE : size;
    for (unsigned i = 0; i < size; i++) {
        step->texts[step->word_count][i] = (char)('a' + step_below(chance, 26));
    }
    add_word(step, size);
}

static void add_names(struct step *step, uint64_t *chance, unsigned most)
{
    for (unsigned i = 1 + step_below(chance, most); i > 0; i--) {
        step_add_name(step, chance);
    }
}

static enum status note_text(void *ctx, struct value_piece member)
{
    int64_t number;
    *(bool *)ctx &= bytes_to_int64(member.data, &number);
    return ST_OK;
}

/* Members of a set; of one that has only integers nearly always integers. */
static enum status add_members(struct step *step, uint64_t *chance, const struct value *value)
{
    bool integers = value->type != VALUE_NONE || step_below(chance, 2) == 0;
    enum status status = value->type == VALUE_NONE
                             ? ST_OK
                             : set_walk(value, 0, set_count(value), note_text, &integers);
    unsigned count = 1 + step_below(chance, 5);
    for (unsigned i = 0; i < count; i++) {
        if (integers && step_below(chance, 40) > 0) {
            int64_t number = (int64_t)step_below(chance, 60) - 30;
            number *= step_below(chance, 30) == 0 ? 1ll << 40 : step_below(chance, 3) * 1000 + 1;
            add_word(step, (unsigned)int64_to_text(number, step->texts[step->word_count]));
        } else {
            step_add_name(step, chance);
        }
    }
    return status;
}

/* -- Drawing ----------------------------------------------------------------------------------- */

enum { GROW, CHANGE, SHRINK, CUT };

static void draw_list(const struct value *value, uint64_t *chance, struct step *step)
{
    uint64_t size = value->type == VALUE_NONE ? 0 : list_count(value);
    step->which = step_below(chance, 2);
    for (unsigned i = 1 + step_below(chance, 4); step->op == GROW && i > 0; i--) {
        step_add_text(step, chance);
    }
    if (step->op == CHANGE) {
        step_add_text(step, chance);
    }
    step->at = size == 0 ? 0 : step_below(chance, (unsigned)size);
    uint64_t left = size - step->at;
    step->count = left == 0 ? 0 : 1 + step_below(chance, (unsigned)(left < 6 ? left : 6));
}

static void draw_hash(uint64_t *chance, struct step *step)
{
    int64_t far = FAR_AHEAD_MS + step_below(chance, 100);
    unsigned how = step_below(chance, 4);
    step->expiry_ms = how == 0 ? far : how == 1 ? BASIN_KEEP_EXPIRY : BASIN_NO_EXPIRY;
    if (step->op != GROW) {
        step->expiry_ms = how < 3 ? far : BASIN_NO_EXPIRY;
        add_names(step, chance, 4);
        return;
    }
    for (unsigned i = 1 + step_below(chance, 5); i > 0; i--) {
        step_add_name(step, chance);
        step_add_text(step, chance);
    }
}

static void draw_zset(const struct value *value, uint64_t *chance, struct step *step)
{
    static const unsigned whens[] = {ZSET_ALWAYS,   ZSET_ALWAYS,  ZSET_IF_NEW,
                                     ZSET_IF_THERE, ZSET_IF_LESS, ZSET_IF_GREATER};
    uint64_t size = value->type == VALUE_NONE ? 0 : zset_count(value);
    step->which = whens[size == 0 ? 0 : step_below(chance, 6)];
    add_names(step, chance, 6);
    for (size_t i = 0; i < step->word_count; i++) {
        step->scores[i] = (double)step_below(chance, 40) / 4 - 5;
    }
    step->at = size == 0 ? 0 : step_below(chance, (unsigned)size);
    uint64_t left = size - step->at;
    step->count = left == 0 ? 0 : 1 + step_below(chance, (unsigned)(left < 6 ? left : 6));
}

enum status step_draw(struct txn *txn, unsigned number, enum value_type type, unsigned growth,
                      uint64_t *chance, struct step *step)
{
    struct value value;
    enum status status = txn_read(txn, number, &value);
    if (status != ST_OK) {
        return status;
    }
    step->word_count = step->id_count = 0;
    step->growth = growth;
    step->expiry_ms = BASIN_NO_EXPIRY;
    step->type = value.type == VALUE_NONE ? type : value.type;
    unsigned drawn = step_below(chance, 6 + growth);
    step->op = value.type == VALUE_NONE || drawn > 2 ? GROW : CHANGE + drawn;
    switch (step->type) {
    case VALUE_STRING:
        step->at = value.type == VALUE_NONE ? 0 : text_size(&value);
        step->at = step->at > 3000 + 1000 * growth ? step->at / 2 : step->at;
        step->at += step_below(chance, 1 + 100 * growth); /* Zeros between. */
        step_add_text(step, chance);
        break;
    case VALUE_LIST:
        draw_list(&value, chance, step);
        break;
    case VALUE_CHUNKS:
        add_names(step, chance, 6);
        break;
    case VALUE_HASH:
        draw_hash(chance, step);
        break;
    case VALUE_SET:
        status = add_members(step, chance, &value);
        break;
    case VALUE_ZSET:
        draw_zset(&value, chance, step);
        break;
    default:
        status = step_draw_stream(&value, chance, step);
        break;
    }
    return status;
}

/* -- Doing ------------------------------------------------------------------------------------- */

static enum status do_list(struct txn *txn, unsigned number, struct step *step)
{
    switch (step->op) {
    case GROW:
        return txn_list_push(txn, number, step->which, step->words, step->word_count);
    case CHANGE:
        return step->which == 0 ? txn_list_set(txn, number, step->at, step->words[0])
                                : txn_list_insert(txn, number, step->at, step->words[0]);
    case SHRINK:
        return step->which == 0 ? txn_list_remove(txn, number, &step->at, 1)
                                : txn_list_pop(txn, number, LIST_LEFT, step->count);
    default:
        return txn_list_trim(txn, number, step->at / 4, step->at - step->at / 4 + step->count);
    }
}

static enum status do_hash(struct txn *txn, unsigned number, struct step *step)
{
    switch (step->op) {
    case GROW:
        return txn_hash_set(txn, number, step->words, step->word_count / 2, step->expiry_ms, NULL);
    case CHANGE:
        return txn_hash_expire(txn, number, step->words, step->word_count, step->expiry_ms);
    default:
        return txn_hash_remove(txn, number, step->words, step->word_count, NULL);
    }
}

static enum status do_zset(struct txn *txn, unsigned number, struct step *step)
{
    uint64_t added;
    uint64_t updated;
    struct zset_member members[STEP_WORDS];
    for (size_t i = 0; i < step->word_count; i++) {
        members[i] = (struct zset_member){step->words[i], step->scores[i]};
    }
    switch (step->op) {
    case GROW:
    case CHANGE:
        return txn_zset_add(txn, number, step->which, members, step->word_count, &added, &updated);
    case SHRINK:
        return txn_zset_remove(txn, number, step->words, step->word_count, NULL);
    default:
        return txn_zset_cut(txn, number, step->at, step->count);
    }
}

enum status step_do(struct txn *txn, unsigned number, struct step *step)
{
    uint64_t count;
    switch (step->type) {
    case VALUE_STRING:
        return step->op == CHANGE ? txn_text_set(txn, number, step->words[0], BASIN_KEEP_EXPIRY)
                                  : txn_text_write(txn, number, step->at, step->words[0]);
    case VALUE_LIST:
        return do_list(txn, number, step);
    case VALUE_CHUNKS:
        return txn_chunk_append(txn, number, step->words, step->word_count, &count);
    case VALUE_HASH:
        return do_hash(txn, number, step);
    case VALUE_SET:
        return step->op == SHRINK || step->op == CUT
                   ? txn_set_remove(txn, number, step->words, step->word_count, &count)
                   : txn_set_add(txn, number, step->words, step->word_count, &count);
    case VALUE_ZSET:
        return do_zset(txn, number, step);
    default:
        return step_do_stream(txn, number, step);
    }
}

/* -- Chores ------------------------------------------------------------------------------------ */

enum chore_kind { CHORE_DELETE, CHORE_RENAME, CHORE_COPY, CHORE_EXPIRE, CHORE_PAIR, CHORE_ONE };

struct chore {
    uint64_t seed;
    enum chore_kind kind;
    unsigned growth;
    bool large; /* Long words, so that the group fills more than a frame of the log. */
    enum value_type types[2];
    struct step steps[2];
};

static enum status chore_key(struct txn *txn, struct chore *chore, uint64_t *chance)
{
    int64_t expiry = FAR_AHEAD_MS + step_below(chance, 1000);
    switch (chore->kind) {
    case CHORE_DELETE:
        return txn_delete(txn, 0, NULL);
    case CHORE_RENAME:
        return txn_rename(txn, 0, 1);
    case CHORE_COPY:
        return txn_copy(txn, 0, 1);
    default:
        return txn_expire(txn, 0, step_below(chance, 3) == 0 ? BASIN_NO_EXPIRY : expiry);
    }
}

static enum status chore_run(struct txn *txn, void *ctx)
{
    struct chore *chore = ctx;
    uint64_t chance = chore->seed;
    struct value value;
    bool two =
        chore->kind == CHORE_PAIR || chore->kind == CHORE_RENAME || chore->kind == CHORE_COPY;
    enum status status = txn_read(txn, 0, &value);
    bool absent = value.type == VALUE_NONE;
    if (status == ST_OK && two) {
        status = txn_read(txn, 1, &value);
    }
    if (status != ST_OK) {
        return status;
    }
    if (chore->kind < CHORE_PAIR) {
        return absent ? ST_OK : chore_key(txn, chore, &chance);
    }
    unsigned count = two ? 2 : 1;
    for (unsigned i = 0; i < count && status == ST_OK; i++) {
        chore->steps[i].large = chore->large;
        status = step_draw(txn, i, chore->types[i], chore->growth, &chance, &chore->steps[i]);
    }
    for (unsigned i = 0; i < count && status == ST_OK; i++) {
        status = step_do(txn, i, &chore->steps[i]);
    }
    return status;
}

/* Of a type that can be packed, or of any. */
static unsigned draw_key(uint64_t *chance, bool packed)
{
    unsigned drawn = step_below(chance, CHORES_KEYS);
    enum value_type type = kinds[drawn / CHORES_PER_TYPE].type;
    return packed && (type == VALUE_CHUNKS || type == VALUE_STREAM) ? drawn % CHORES_PER_TYPE
                                                                    : drawn;
}

enum status chore_issue(struct session *session, uint64_t *chance, unsigned growth)
{
    static const enum chore_kind drawn[] = {CHORE_DELETE, CHORE_RENAME, CHORE_COPY, CHORE_EXPIRE};
    struct chore chore;
    chore.seed = test_random(chance);
    bool packed = growth == CHORES_PACKED;
    chore.growth = packed ? 0 : growth;
    unsigned kind = step_below(&chore.seed, 32 + 8 * chore.growth);
    chore.kind = kind < 4 ? drawn[kind] : kind < 14 ? CHORE_PAIR : CHORE_ONE;
    chore.large = chore.kind == CHORE_PAIR && step_below(&chore.seed, 6) == 0 && !packed;
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    unsigned first = draw_key(&chore.seed, packed);
    unsigned second = draw_key(&chore.seed, packed);
    second = second == first ? first ^ 1 : second;
    struct bytes used[2] = {keys[first], keys[second]};
    chore.types[0] = kinds[first / CHORES_PER_TYPE].type;
    chore.types[1] = kinds[second / CHORES_PER_TYPE].type;
    session->now_ms += step_below(&chore.seed, 5);
    return session_run(session, 0, used, 2, false, CHORE_RESERVE, chore_run, &chore);
}
