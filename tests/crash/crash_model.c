#include "tests/crash/crash_model.h"

#include "engine/base/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* xorshift64*, as everywhere in the tests. */
uint64_t chance(uint64_t *state)
{
    uint64_t x = *state == 0 ? 0x9E3779B97F4A7C15ull : *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dull;
}

uint64_t chance_below(uint64_t *state, uint64_t bound)
{
    return bound == 0 ? 0 : (chance(state) >> 11) % bound;
}

/* -- Bytes that tell who made them ----------------------------------------------------------- */

static unsigned char *extend(struct buf *out, size_t size)
{
    unsigned char *p = buf_extend(out, size);
    CHECK(p != NULL);
    return p;
}

/* A head in words, then any byte there is, up to size. */
static void marked_write(struct buf *out, char mark, unsigned lane, uint64_t number, size_t size)
{
    char head[40];
    size_t head_size =
        (size_t)snprintf(head, sizeof(head), "%c%u:%" PRIu64 ":", mark, lane, number);
    CHECK(head_size <= size);
    unsigned char *p = extend(out, size);
    memcpy(p, head, head_size);
    uint64_t state = (number + 1) * 0x9E3779B97F4A7C15ull ^ lane;
    for (size_t at = head_size; at < size; at += sizeof(uint64_t)) {
        uint64_t noise = chance(&state);
        memcpy(p + at, &noise, size - at < sizeof(noise) ? size - at : sizeof(noise));
    }
}

static bool marked_read(struct bytes bytes, char mark, unsigned *lane_out, uint64_t *number_out)
{
    char head[40] = "";
    memcpy(head, bytes.data, bytes.size < sizeof(head) - 1 ? bytes.size : sizeof(head) - 1);
    char *end;
    if (head[0] != mark) {
        return false;
    }
    unsigned long lane = strtoul(head + 1, &end, 10);
    if (*end != ':') {
        return false;
    }
    *lane_out = (unsigned)lane;
    *number_out = strtoull(end + 1, &end, 10);
    return *end == ':';
}

void value_write(struct buf *out, unsigned lane, uint64_t number, size_t size)
{
    marked_write(out, 'v', lane, number, size);
}

bool value_read(struct bytes bytes, unsigned *lane_out, uint64_t *number_out)
{
    return marked_read(bytes, 'v', lane_out, number_out);
}

/* Mostly small, so that values are packed; at times so large that one is a part of its own. */
static size_t element_size(uint64_t element)
{
    uint64_t state = element * 0xD6E8FEB86659FD93ull + 1;
    uint64_t kind = chance_below(&state, 400);
    if (kind == 0) {
        return 20000;
    }
    return kind < 6 ? 3000 : 28 + (size_t)chance_below(&state, 50);
}

void element_write(struct buf *out, uint64_t element)
{
    marked_write(out, 'e', ELEMENT_LANE(element), ELEMENT_ID(element), element_size(element));
}

bool element_read(struct bytes bytes, uint64_t *element_out)
{
    unsigned lane;
    uint64_t id;
    if (!marked_read(bytes, 'e', &lane, &id)) {
        return false;
    }
    *element_out = ELEMENT(lane, id);
    struct buf expected = BUF_EMPTY;
    element_write(&expected, *element_out);
    bool same = bytes_equal(bytes, buf_bytes(&expected));
    buf_deinit(&expected);
    return same;
}

/* -- Values ---------------------------------------------------------------------------------- */

void model_value_clear(struct model_value *value)
{
    buf_deinit(&value->text);
    free(value->elements);
    enum shape shape = value->shape;
    *value = (struct model_value){.shape = shape,
                                  .changed = true,
                                  .text = BUF_EMPTY,
                                  .expiry_low = NO_EXPIRY,
                                  .expiry_high = NO_EXPIRY};
}

void model_value_move(struct model_value *to, struct model_value *from)
{
    if (to == from) {
        return;
    }
    model_value_clear(to);
    *to = *from;
    to->changed = true;
    from->text = BUF_EMPTY;
    from->elements = NULL;
    model_value_clear(from);
}

void model_value_copy(struct model_value *to, const struct model_value *from)
{
    model_value_clear(to);
    *to = *from;
    to->changed = true;
    to->text = BUF_EMPTY;
    CHECK(buf_append(&to->text, buf_bytes(&from->text)) == ST_OK);
    to->capacity = from->count;
    to->elements = malloc((from->count + 1) * sizeof(*to->elements));
    CHECK(to->elements != NULL);
    if (from->count > 0) {
        memcpy(to->elements, from->elements, from->count * sizeof(*to->elements));
    }
}

bool model_value_matches(const struct model_value *model, const struct model_value *actual,
                         int64_t before_ms, int64_t after_ms)
{
    if (!actual->present) {
        return !model->present || (model->expiry_low != NO_EXPIRY && model->expiry_low <= after_ms);
    }
    if (!model->present || model->shape != actual->shape || model->once != actual->once) {
        return false;
    }
    if (model->expiry_high != NO_EXPIRY && model->expiry_high <= before_ms) {
        return false;
    }
    if (actual->expiry_low < model->expiry_low || actual->expiry_low > model->expiry_high) {
        return false;
    }
    if (model->shape == SHAPE_TEXT) {
        return bytes_equal(buf_bytes(&model->text), buf_bytes(&actual->text));
    }
    return model->count == actual->count &&
           memcmp(model->elements, actual->elements, model->count * sizeof(uint64_t)) == 0;
}

const char *model_value_text(const struct model_value *value)
{
    static char texts[3][160];
    static unsigned turn;
    char *text = texts[turn++ % 3];
    if (!value->present) {
        snprintf(text, sizeof(texts[0]), "absent");
        return text;
    }
    int size;
    if (value->shape == SHAPE_TEXT) {
        size = snprintf(text, sizeof(texts[0]), "%zu bytes \"", value->text.size);
        for (size_t i = 0; i < value->text.size && i < 24; i++) {
            unsigned char c = value->text.data[i];
            text[size++] = c >= ' ' && c < 127 ? (char)c : '.';
        }
        text[size++] = '"';
        text[size] = 0;
    } else {
        size = snprintf(text, sizeof(texts[0]), "%zu elements", value->count);
        if (value->count > 0) {
            uint64_t first = value->elements[0];
            uint64_t last = value->elements[value->count - 1];
            size += snprintf(text + size, sizeof(texts[0]) - (size_t)size,
                             ", %u:%" PRIu64 " … %u:%" PRIu64, ELEMENT_LANE(first),
                             (uint64_t)ELEMENT_ID(first), ELEMENT_LANE(last),
                             (uint64_t)ELEMENT_ID(last));
        }
    }
    if (value->expiry_low != NO_EXPIRY) {
        snprintf(text + size, sizeof(texts[0]) - (size_t)size, ", expires %" PRId64 " … %" PRId64,
                 value->expiry_low, value->expiry_high);
    }
    return text;
}

/* -- Words ----------------------------------------------------------------------------------- */

void words_clear(struct words *words)
{
    words->bytes.size = 0;
    words->count = 0;
}

void words_add(struct words *words, struct bytes word)
{
    CHECK(words->count < sizeof(words->sizes) / sizeof(words->sizes[0]));
    CHECK(buf_append(&words->bytes, word) == ST_OK);
    words->sizes[words->count++] = word.size;
}

void words_add_text(struct words *words, const char *format, ...)
{
    char text[160];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    words_add(words, bytes_of_text(text));
}

void words_send(struct words *words, redisContext *context)
{
    const char *argv[sizeof(words->sizes) / sizeof(words->sizes[0])];
    const char *p = (const char *)words->bytes.data;
    for (size_t i = 0; i < words->count; i++) {
        argv[i] = p;
        p += words->sizes[i];
    }
    int done = redisAppendCommandArgv(context, (int)words->count, argv, words->sizes);
    CHECK(done == REDIS_OK || context->err != 0);
}

/* -- Shared keys ----------------------------------------------------------------------------- */

void shared_init(struct shared *shared)
{
    memset(shared, 0, sizeof(*shared));
    for (unsigned i = 0; i < SHARED_GROUPS; i++) {
        shared_group_restart(shared, i, UINT32_MAX, 0);
    }
}

void shared_group_restart(struct shared *shared, unsigned group, unsigned lane, uint64_t number)
{
    shared->groups[group].count = 0;
    shared_group_sent(shared, group, lane, number, 0);
    shared->groups[group].writes[0].acked_tick = 0;
    shared->groups[group].settled_tick = 0;
}

void shared_group_sent(struct shared *shared, unsigned group, unsigned lane, uint64_t number,
                       uint64_t tick)
{
    if (shared->groups[group].count == shared->groups[group].capacity) {
        size_t capacity = shared->groups[group].capacity * 2 + 64;
        struct group_write *writes =
            realloc(shared->groups[group].writes, capacity * sizeof(*writes));
        CHECK(writes != NULL);
        shared->groups[group].writes = writes;
        shared->groups[group].capacity = capacity;
    }
    shared->groups[group].writes[shared->groups[group].count++] =
        (struct group_write){lane, number, tick, UINT64_MAX};
}

void shared_deinit(struct shared *shared)
{
    for (unsigned i = 0; i < SHARED_GROUPS; i++) {
        free(shared->groups[i].writes);
    }
    memset(shared, 0, sizeof(*shared));
}

bool shared_group_seen(struct shared *shared, unsigned group, unsigned lane, uint64_t number,
                       uint64_t tick)
{
    for (size_t i = shared->groups[group].count; i > 0; i--) {
        struct group_write *write = &shared->groups[group].writes[i - 1];
        if (write->lane == lane && write->number == number) {
            write->acked_tick = write->acked_tick < tick ? write->acked_tick : tick;
            if (write->sent_tick > shared->groups[group].settled_tick) {
                shared->groups[group].settled_tick = write->sent_tick;
            }
            return true;
        }
    }
    return false;
}
