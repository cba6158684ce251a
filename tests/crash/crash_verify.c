/* Reads all keys of all databases by SCAN, sorts them by their names to lanes and shared keys, and
 * looks for one m a lane so that all its keys are as after its first m pending commands.
 *
 * What is asked of m and of shared keys, besides: everything acknowledged is below (those commands
 * are applied already), and so is everything that a reader has seen (W1). */
#include "tests/crash/crash_verify.h"

#include "engine/base/check.h"
#include "engine/value/blake3.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE "500"
#define PROBLEMS_SHOWN 12

struct place {
    unsigned lane, table, key; /* lane LANE_COUNT: shared, and key says which kind. */
    unsigned index, index2;
    uint64_t once;
};
enum shared_kind { SHARED_COUNT, SHARED_PUSH, SHARED_GROUP, SHARED_RING };

struct found {
    struct model_value keys[LANE_COUNT][LANE_TABLES][LANE_KEYS];
    uint64_t counters[SHARED_COUNTERS];
    struct model_value pushes[SHARED_PUSHES];
    struct model_value rings[SHARED_RINGS];
    struct model_value groups[SHARED_GROUPS][SHARED_GROUP_SIZE];
    int64_t before_ms, after_ms;
};

struct verify {
    struct world *world;
    redisContext *context;
    struct found found;
    unsigned problems;
};

static void problem(struct verify *verify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void problem(struct verify *verify, const char *format, ...)
{
    if (++verify->problems > PROBLEMS_SHOWN) {
        return;
    }
    printf("    ");
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("\n");
}

/* -- Names ----------------------------------------------------------------------------------- */

static bool place_of_shared(const char *name, struct place *place)
{
    char rest;
    *place = (struct place){.lane = LANE_COUNT};
    if (sscanf(name, "s:count:%u%c", &place->index, &rest) == 1) {
        place->key = SHARED_COUNT;
        return place->index < SHARED_COUNTERS;
    }
    if (sscanf(name, "s:push:%u%c", &place->index, &rest) == 1) {
        place->key = SHARED_PUSH;
        return place->index < SHARED_PUSHES;
    }
    if (sscanf(name, "s:ring:%u%c", &place->index, &rest) == 1) {
        place->key = SHARED_RING;
        return place->index < SHARED_RINGS;
    }
    place->key = SHARED_GROUP;
    return sscanf(name, "s:group:%u:%u%c", &place->index, &place->index2, &rest) == 2 &&
           place->index < SHARED_GROUPS && place->index2 < SHARED_GROUP_SIZE;
}

/* False: nobody ever made a key of that name there. */
static bool place_of(const struct world *world, unsigned database, const char *name,
                     struct place *place)
{
    char rest;
    if (database == 0 && place_of_shared(name, place)) {
        return true;
    }
    *place = (struct place){0};
    if (sscanf(name, "L%u:once:%" SCNu64 "%c", &place->lane, &place->once, &rest) == 2) {
        place->key = KEY_ONCE + (unsigned)(place->once % ONCE_SLOTS);
    } else if (sscanf(name, "L%u:%u%c", &place->lane, &place->key, &rest) != 2 ||
               place->key >= KEY_ONCE) {
        return false;
    }
    if (place->lane >= LANE_COUNT) {
        return false;
    }
    const struct lane *lane = &world->lanes[place->lane];
    while (place->table < lane->table_count && lane->databases[place->table] != database) {
        place->table++;
    }
    return place->table < lane->table_count;
}

static struct model_value *found_at(struct found *found, const struct place *place)
{
    if (place->lane < LANE_COUNT) {
        return &found->keys[place->lane][place->table][place->key];
    }
    switch ((enum shared_kind)place->key) {
    case SHARED_PUSH:
        return &found->pushes[place->index];
    case SHARED_RING:
        return &found->rings[place->index];
    case SHARED_GROUP:
        return &found->groups[place->index][place->index2];
    case SHARED_COUNT:
        break;
    }
    return NULL;
}

static enum shape shape_at(const struct place *place)
{
    if (place->lane < LANE_COUNT) {
        return lane_key_shape(place->key);
    }
    return place->key == SHARED_PUSH || place->key == SHARED_RING ? SHAPE_LIST : SHAPE_TEXT;
}

/* -- Reading --------------------------------------------------------------------------------- */

static redisReply *reply_next(struct verify *verify)
{
    redisReply *reply = NULL;
    if (redisGetReply(verify->context, (void **)&reply) != REDIS_OK) {
        fprintf(stderr, "the restarted server does not answer: %s\n", verify->context->errstr);
        exit(1);
    }
    return reply;
}

static void ask_key(struct verify *verify, const redisReply *name, enum shape shape)
{
    size_t size = (size_t)name->len;
    if (shape == SHAPE_TEXT) {
        redisAppendCommand(verify->context, "GET %b", name->str, size);
    } else {
        redisAppendCommand(verify->context, "LRANGE %b 0 -1", name->str, size);
    }
    if (shape == SHAPE_CHUNKS) {
        redisAppendCommand(verify->context, "CHUNK.DIGESTS %b 0 -1", name->str, size);
    }
    redisAppendCommand(verify->context, "PEXPIRETIME %b", name->str, size);
}

static void take_elements(struct verify *verify, const char *name, const redisReply *reply,
                          struct model_value *value)
{
    value->elements = malloc((reply->elements + 1) * sizeof(*value->elements));
    CHECK(value->elements != NULL);
    value->capacity = reply->elements;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *element = reply->element[i];
        if (!element_read(bytes_of(element->str, (size_t)element->len), &value->elements[i])) {
            problem(verify, "%s: element %zu of %zu was never sent: \"%.40s\" (%d bytes)", name, i,
                    reply->elements, element->str, (int)element->len);
            value->elements[i] = UINT64_MAX;
        }
    }
    value->count = reply->elements;
    value->present = value->count > 0;
}

static void check_digests(struct verify *verify, const char *name, const redisReply *chunks,
                          const redisReply *digests)
{
    static const char hex[] = "0123456789abcdef";
    bool same = digests->type == REDIS_REPLY_ARRAY && digests->elements == chunks->elements;
    for (size_t i = 0; same && i < chunks->elements; i++) {
        unsigned char digest[BLAKE3_SIZE];
        char text[2 * BLAKE3_SIZE];
        const redisReply *chunk = chunks->element[i];
        blake3(bytes_of(chunk->str, (size_t)chunk->len), digest, sizeof(digest));
        for (size_t k = 0; k < BLAKE3_SIZE; k++) {
            text[2 * k] = hex[digest[k] >> 4];
            text[2 * k + 1] = hex[digest[k] & 15];
        }
        same = bytes_equal(bytes_of(text, sizeof(text)),
                           bytes_of(digests->element[i]->str, (size_t)digests->element[i]->len));
    }
    if (!same) {
        problem(verify, "%s: CHUNK.DIGESTS and LRANGE do not agree (%zu chunks)", name,
                chunks->elements);
    }
}

static void take_key(struct verify *verify, const char *name, const struct place *place)
{
    enum shape shape = shape_at(place);
    redisReply *content = reply_next(verify);
    redisReply *digests = shape == SHAPE_CHUNKS ? reply_next(verify) : NULL;
    redisReply *expiry = reply_next(verify);
    struct model_value *value = found_at(&verify->found, place);
    int wanted = shape == SHAPE_TEXT ? REDIS_REPLY_STRING : REDIS_REPLY_ARRAY;
    if (content->type == REDIS_REPLY_NIL) {
        /* It expired after SCAN gave it. */
    } else if (content->type != wanted) {
        problem(verify, "%s: reading it gave type %d, \"%s\"", name, content->type, content->str);
    } else if (value == NULL) {
        verify->found.counters[place->index] = strtoull(content->str, NULL, 10);
    } else if (value->present && value->once != place->once) {
        problem(verify, "%s is there together with number %" PRIu64, name, value->once);
    } else {
        value->shape = shape;
        model_value_clear(value);
        value->once = place->once;
        if (expiry->integer >= 0) {
            value->expiry_low = value->expiry_high = expiry->integer;
        }
        if (shape == SHAPE_TEXT) {
            value->present = true;
            CHECK(buf_append(&value->text, bytes_of(content->str, (size_t)content->len)) == ST_OK);
        } else {
            take_elements(verify, name, content, value);
        }
        if (shape == SHAPE_CHUNKS) {
            check_digests(verify, name, content, digests);
        }
    }
    freeReplyObject(content);
    freeReplyObject(expiry);
    if (digests != NULL) {
        freeReplyObject(digests);
    }
}

static void take_page(struct verify *verify, unsigned database, const redisReply *names)
{
    struct place place;
    for (size_t i = 0; i < names->elements; i++) {
        if (place_of(verify->world, database, names->element[i]->str, &place)) {
            ask_key(verify, names->element[i], shape_at(&place));
        } else {
            problem(verify, "database %u holds %s, which nobody put there", database,
                    names->element[i]->str);
        }
    }
    for (size_t i = 0; i < names->elements; i++) {
        if (place_of(verify->world, database, names->element[i]->str, &place)) {
            take_key(verify, names->element[i]->str, &place);
        }
    }
}

static void read_database(struct verify *verify, unsigned database)
{
    char cursor[32] = "0";
    uint64_t scanned = 0;
    redisAppendCommand(verify->context, "SELECT %u", database);
    freeReplyObject(reply_next(verify));
    do {
        redisAppendCommand(verify->context, "SCAN %s COUNT " PAGE, cursor);
        redisReply *page = reply_next(verify);
        if (page->type != REDIS_REPLY_ARRAY || page->elements != 2) {
            problem(verify, "SCAN of database %u gave type %d", database, page->type);
            freeReplyObject(page);
            return;
        }
        snprintf(cursor, sizeof(cursor), "%s", page->element[0]->str);
        scanned += page->element[1]->elements;
        take_page(verify, database, page->element[1]);
        freeReplyObject(page);
    } while (strcmp(cursor, "0") != 0);
    redisAppendCommand(verify->context, "DBSIZE");
    redisReply *size = reply_next(verify);
    /* Short-lived keys may go while we look; each lane has one a table. */
    if ((uint64_t)size->integer > scanned + LANE_COUNT ||
        (uint64_t)size->integer + LANE_COUNT < scanned) {
        problem(verify, "database %u: DBSIZE is %lld, SCAN gave %" PRIu64, database, size->integer,
                scanned);
    }
    freeReplyObject(size);
}

/* -- Shared keys ------------------------------------------------------------------------------- */

static void judge_counters(struct verify *verify)
{
    struct shared *shared = &verify->world->shared;
    for (unsigned i = 0; i < SHARED_COUNTERS; i++) {
        uint64_t value = verify->found.counters[i];
        uint64_t least = shared->counters[i].base + shared->counters[i].acked;
        if (value < least || value > shared->counters[i].base + shared->counters[i].sent) {
            problem(verify,
                    "s:count:%u is %" PRIu64 ", but %" PRIu64 " + %" PRIu64
                    " were acknowledged and %" PRIu64 " sent",
                    i, value, shared->counters[i].base, shared->counters[i].acked,
                    shared->counters[i].sent);
        }
        if (value < shared->counters[i].seen) {
            problem(verify, "W1: s:count:%u is %" PRIu64 ", but somebody was told %" PRIu64, i,
                    value, shared->counters[i].seen);
        }
        shared->counters[i].base = value;
        shared->counters[i].seen = value;
        shared->counters[i].acked = shared->counters[i].sent = 0;
    }
}

/* Counts each lane's elements, which must come as 1, 2, … without a gap. */
static void judge_push(struct verify *verify, unsigned index, uint64_t pushed[LANE_COUNT])
{
    const struct model_value *list = &verify->found.pushes[index];
    for (size_t i = 0; i < list->count; i++) {
        uint64_t element = list->elements[index == 0 ? i : list->count - 1 - i];
        unsigned lane = ELEMENT_LANE(element);
        if (lane >= LANE_COUNT) {
            problem(verify, "s:push:%u holds what nobody pushed", index);
        } else if (ELEMENT_ID(element) != ++pushed[lane]) {
            problem(verify, "s:push:%u: of L%u, %" PRIu64 " follows %" PRIu64, index, lane,
                    (uint64_t)ELEMENT_ID(element), pushed[lane] - 1);
            pushed[lane] = ELEMENT_ID(element);
        }
    }
}

static void judge_rings(struct verify *verify)
{
    unsigned seen[RING_ELEMENTS + 1] = {0};
    for (unsigned i = 0; i < SHARED_RINGS; i++) {
        const struct model_value *ring = &verify->found.rings[i];
        for (size_t k = 0; k < ring->count; k++) {
            if (ELEMENT_LANE(ring->elements[k]) != RING_LANE ||
                ELEMENT_ID(ring->elements[k]) > RING_ELEMENTS) {
                problem(verify, "s:ring:%u holds what nobody put there", i);
            } else {
                seen[ELEMENT_ID(ring->elements[k])]++;
            }
        }
    }
    for (unsigned id = 1; id <= RING_ELEMENTS; id++) {
        if (seen[id] != 1) {
            problem(verify, "element %u of the rings is there %u times: LMOVE is not atomic", id,
                    seen[id]);
        }
    }
}

/* All keys of a group from one MSET, and no older one than somebody was told of. */
static void judge_group(struct verify *verify, unsigned index)
{
    struct shared *shared = &verify->world->shared;
    struct model_value *values = verify->found.groups[index];
    unsigned lane = UINT32_MAX;
    uint64_t number = 0;
    for (unsigned i = 1; i < SHARED_GROUP_SIZE; i++) {
        if (!model_value_matches(&values[0], &values[i], 0, 0)) {
            problem(verify, "W2: s:group:%u:%u is %s, but :0 is %s: half an MSET", index, i,
                    model_value_text(&values[i]), model_value_text(&values[0]));
            break;
        }
    }
    if (values[0].present && !value_read(buf_bytes(&values[0].text), &lane, &number)) {
        problem(verify, "s:group:%u:0 is %s", index, model_value_text(&values[0]));
    }
    const struct group_write *write = NULL;
    for (size_t i = 0; i < shared->groups[index].count && write == NULL; i++) {
        const struct group_write *candidate = &shared->groups[index].writes[i];
        write = candidate->lane == lane && candidate->number == number ? candidate : NULL;
    }
    if (write == NULL) {
        problem(verify, "s:group:%u is %s, which nobody sent in this round or left there", index,
                model_value_text(&values[0]));
    } else if (write->acked_tick < shared->groups[index].settled_tick) {
        problem(verify, "s:group:%u is %s, older than a write that somebody was told of", index,
                model_value_text(&values[0]));
    }
    shared_group_restart(shared, index, lane, number);
}

/* -- Lanes ------------------------------------------------------------------------------------- */

struct match {
    bool key[LANE_TABLES][LANE_KEYS];
    unsigned differing;
};

static void compare(struct verify *verify, struct lane *lane, struct match *match, bool all)
{
    for (unsigned table = 0; table < LANE_TABLES; table++) {
        for (unsigned key = 0; key < LANE_KEYS; key++) {
            struct model_value *value = &lane->keys[table][key];
            if (!all && !value->changed) {
                continue;
            }
            bool *known = &match->key[table][key];
            match->differing -= !all && !*known;
            *known = model_value_matches(value, &verify->found.keys[lane->number][table][key],
                                         verify->found.before_ms, verify->found.after_ms);
            match->differing += !*known;
            value->changed = false;
        }
    }
}

static bool pushes_match(const struct lane *lane, uint64_t pushed[SHARED_PUSHES][LANE_COUNT])
{
    for (unsigned i = 0; i < SHARED_PUSHES; i++) {
        if (lane->pushed[i] != pushed[i][lane->number]) {
            return false;
        }
    }
    return true;
}

/* Nothing fits: the state that comes nearest is the best explanation there is. */
static void report_lane(struct verify *verify, struct lane *lane, const struct match *match,
                        unsigned applied, uint64_t pushed[SHARED_PUSHES][LANE_COUNT])
{
    problem(verify,
            "L%u is in no state between acknowledged and sent; %u keys differ after %u "
            "more commands than were acknowledged",
            lane->number, match->differing, applied);
    if (lane->seen_number > 0) {
        problem(verify, "  a reader saw what its command #%" PRIu64 " did", lane->seen_number);
    }
    for (unsigned table = 0; table < LANE_TABLES; table++) {
        for (unsigned key = 0; key < LANE_KEYS; key++) {
            if (!match->key[table][key]) {
                char name[64];
                lane_key_name(lane, key, lane->keys[table][key].once, name, sizeof(name));
                problem(verify, "  %s (database %u): expected %s", name, lane->databases[table],
                        model_value_text(&lane->keys[table][key]));
                problem(verify, "    found %s",
                        model_value_text(&verify->found.keys[lane->number][table][key]));
            }
        }
    }
    for (unsigned i = 0; i < SHARED_PUSHES; i++) {
        if (lane->pushed[i] != pushed[i][lane->number]) {
            problem(verify, "  s:push:%u: expected %" PRIu64 " elements of L%u, found %" PRIu64, i,
                    lane->pushed[i], lane->number, pushed[i][lane->number]);
        }
    }
}

/* What was not acknowledged and did not survive is forgotten. */
static void lane_settle(struct verify *verify, struct lane *lane,
                        uint64_t pushed[SHARED_PUSHES][LANE_COUNT])
{
    for (unsigned table = 0; table < LANE_TABLES; table++) {
        for (unsigned key = 0; key < LANE_KEYS; key++) {
            model_value_move(&lane->keys[table][key],
                             &verify->found.keys[lane->number][table][key]);
            lane->keys[table][key].shape = lane_key_shape(key);
        }
    }
    for (unsigned i = 0; i < ONCE_SLOTS; i++) {
        const struct model_value *value = &lane->keys[0][KEY_ONCE + i];
        lane->once[i] = (struct once){
            .set = value->present, .set_acked = value->present, .number = value->once};
    }
    for (unsigned i = 0; i < SHARED_PUSHES; i++) {
        lane->pushed[i] = lane->push_next[i] = pushed[i][lane->number];
        lane->push_seen[i] = 0;
    }
    lane->pending_count = 0;
}

static void judge_lane(struct verify *verify, struct lane *lane,
                       uint64_t pushed[SHARED_PUSHES][LANE_COUNT])
{
    struct match match = {.differing = 0};
    char why[WHY_SIZE];
    unsigned applied = 0;
    compare(verify, lane, &match, true);
    for (;;) {
        if (match.differing == 0 && pushes_match(lane, pushed) &&
            (lane->pending_count == 0 || lane->seen_number < lane_pending(lane, 0)->number)) {
            break;
        }
        if (lane->pending_count == 0) {
            report_lane(verify, lane, &match, applied, pushed);
            break;
        }
        CHECK(lane_apply(lane, NULL, UINT64_MAX, why, sizeof(why)));
        compare(verify, lane, &match, false);
        applied++;
    }
    for (unsigned i = 0; i < SHARED_PUSHES; i++) {
        if (pushed[i][lane->number] < lane->push_seen[i]) {
            problem(verify, "W1: s:push:%u has %" PRIu64 " of L%u, but somebody saw %" PRIu64, i,
                    pushed[i][lane->number], lane->number, lane->push_seen[i]);
        }
    }
    lane_settle(verify, lane, pushed);
}

/* -- All of it ------------------------------------------------------------------------------- */

static void found_clear(struct found *found)
{
    struct model_value *values[] = {&found->keys[0][0][0], found->pushes, found->rings,
                                    &found->groups[0][0]};
    size_t counts[] = {LANE_COUNT * LANE_TABLES * LANE_KEYS, SHARED_PUSHES, SHARED_RINGS,
                       SHARED_GROUPS * SHARED_GROUP_SIZE};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (size_t k = 0; k < counts[i]; k++) {
            model_value_clear(&values[i][k]);
        }
    }
}

unsigned verify_store(struct world *world, int port)
{
    struct verify *verify = calloc(1, sizeof(*verify));
    CHECK(verify != NULL);
    verify->world = world;
    found_clear(&verify->found);
    verify->context = load_connect(port);
    verify->found.before_ms = wall_ms();
    for (unsigned database = 0; database < COLD_DATABASE; database++) {
        read_database(verify, database);
    }
    verify->found.after_ms = wall_ms();
    judge_counters(verify);
    judge_rings(verify);
    for (unsigned i = 0; i < SHARED_GROUPS; i++) {
        judge_group(verify, i);
    }
    uint64_t pushed[SHARED_PUSHES][LANE_COUNT] = {{0}};
    for (unsigned i = 0; i < SHARED_PUSHES; i++) {
        judge_push(verify, i, pushed[i]);
    }
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        judge_lane(verify, &world->lanes[i], pushed);
    }
    found_clear(&verify->found);
    redisFree(verify->context);
    unsigned problems = verify->problems + cold_verify(world->cold, port);
    free(verify);
    return problems;
}
