#include "tests/lib/deed.h"

#include "engine/value/text.h"
#include "tests/lib/fields_payload.h"
#include "tests/lib/test.h"
#include "tests/lib/value_check.h"

#include <stdio.h>

enum list_op { DO_PUSH, DO_POP, DO_TRIM, DO_SET, DO_INSERT, DO_REMOVE };

#define NAMES 1500
#define TEXT_MAX_SIZE (600u * 1024)
#define COUNT_MAX 2500

struct value_limits deed_limits(void)
{
    return (struct value_limits){.list_max_listpack_size = 4,
                                 .hash_max_listpack_entries = 4,
                                 .hash_max_listpack_value = 64,
                                 .set_max_intset_entries = 4,
                                 .set_max_listpack_entries = 4,
                                 .set_max_listpack_value = 64,
                                 .zset_max_listpack_entries = 4,
                                 .zset_max_listpack_value = 64,
                                 .stream_node_max_bytes = 1000,
                                 .stream_node_max_entries = 20,
                                 .hash_seed = 77};
}

static uint64_t below(uint64_t *state, uint64_t bound)
{
    return test_random_below(state, bound);
}

static bool one_in(uint64_t *state, uint64_t odds)
{
    return below(state, odds) == 0;
}

static void put(struct deed *deed, const void *data, size_t size)
{
    EXPECT(buf_append(&deed->bytes, bytes_of(data, size)) == ST_OK);
}

static void put_u64(struct deed *deed, uint64_t number)
{
    put(deed, &number, sizeof(number));
}

static void put_varint(struct deed *deed, uint64_t number)
{
    payload_varint(&deed->bytes, number);
}

static void put_sized(struct deed *deed, struct bytes bytes)
{
    put_varint(deed, bytes.size);
    put(deed, bytes.data, bytes.size);
}

/* Some bytes that few others are equal to; now and then more than a leaf holds. */
static struct bytes text_draw(char *room, size_t room_size, uint64_t *state)
{
    size_t size = one_in(state, 40) ? 1500 + below(state, 3000) : 10 + below(state, 120);
    size = size < room_size ? size : room_size;
    memset(room, 'a' + (int)below(state, 26), size);
    uint64_t unique = test_random(state);
    memcpy(room + size - sizeof(unique), &unique, sizeof(unique));
    return bytes_of(room, size);
}

/* Names that begin alike. */
static struct bytes name_draw(char room[64], uint64_t *state)
{
    uint64_t number = below(state, NAMES);
    int size = number % 10 == 0
                   ? snprintf(room, 64, "%llu", (unsigned long long)number)
                   : snprintf(room, 64, "a name that is long: %llu", (unsigned long long)number);
    return bytes_of(room, (size_t)size);
}

static size_t count_draw(bool single, uint64_t *state)
{
    return single ? 1 : 1 + (size_t)below(state, one_in(state, 4) ? DEED_ELEMENTS : 4);
}

/* -- Texts, lists, chunks ---------------------------------------------------------------------- */

static void draw_text(struct deed *deed, const struct value *value, bool grows, uint64_t *state)
{
    uint64_t size = text_size(value);
    size_t wanted = 1 + (size_t)below(state, grows ? 40000 : 3000);
    bool full = size + wanted > TEXT_MAX_SIZE;
    deed->at = grows && !full && !one_in(state, 4) ? size : below(state, size + 1);
    if (!full && one_in(state, 30)) {
        deed->at = size + below(state, 60000); /* Over a gap. */
    } else if (full) {
        deed->at = below(state, size - wanted);
    }
    unsigned char *p = buf_extend(&deed->bytes, wanted);
    EXPECT(p != NULL);
    memset(p, (int)below(state, 256), wanted);
}

static void elements_draw(struct deed *deed, size_t count, uint64_t *state)
{
    size_t sizes[DEED_ELEMENTS];
    char room[6000];
    for (size_t i = 0; i < count; i++) {
        struct bytes text = text_draw(room, sizeof(room), state);
        sizes[i] = text.size;
        put(deed, text.data, text.size);
    }
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        deed->elements[i] = bytes_slice(buf_bytes(&deed->bytes), offset, sizes[i]);
        offset += sizes[i];
    }
    deed->element_count = count;
}

static void draw_list(struct deed *deed, const struct value *value, bool single, bool grows,
                      uint64_t *state)
{
    uint64_t count = list_count(value);
    uint64_t kind = count < 10 ? 0 : below(state, 12);
    deed->left = one_in(state, 2);
    if (kind < (grows && count < COUNT_MAX ? 8u : 3u)) {
        deed->op = DO_PUSH;
        elements_draw(deed, count_draw(single, state), state);
        return;
    }
    deed->at = below(state, count);
    deed->count = 1 + below(state, one_in(state, 10) ? count : 10);
    deed->count = deed->count < count ? deed->count : count;
    deed->op = DO_POP + (unsigned)below(state, 5);
    if (deed->op == DO_TRIM) {
        deed->at = below(state, 20) % count;
        deed->count = count - deed->at;
        deed->count -= below(state, 20) % deed->count;
    } else if (deed->op == DO_REMOVE) {
        uint64_t index = below(state, count);
        for (deed->element_count = 0; deed->element_count < 8 && index < count;) {
            deed->indexes[deed->element_count++] = index;
            index += 1 + below(state, one_in(state, 2) ? 1 : 100);
        }
    } else if (deed->op != DO_POP) {
        elements_draw(deed, 1, state);
    }
}

static enum status do_list(const struct deed *deed, struct value *value,
                           const struct value_limits *limits, struct buf *scratch)
{
    enum list_side side = deed->left ? LIST_LEFT : LIST_RIGHT;
    switch (deed->op) {
    case DO_PUSH:
        return list_push(value, side, deed->elements, deed->element_count, limits, scratch);
    case DO_POP:
        return list_pop(value, side, deed->count, scratch);
    case DO_TRIM:
        return list_trim(value, deed->at, deed->count, scratch);
    case DO_SET:
        return list_set(value, deed->at, deed->elements[0], limits, scratch);
    case DO_INSERT:
        return list_insert(value, deed->at, deed->elements[0], limits, scratch);
    default:
        return list_remove(value, deed->indexes, deed->element_count, scratch);
    }
}

static enum status do_chunks(const struct deed *deed, struct value *value, struct buf *scratch)
{
    struct chunk_digest digests[DEED_ELEMENTS];
    bool is_new[DEED_ELEMENTS];
    size_t count = 0;
    struct bytes fresh[DEED_ELEMENTS];
    enum status status = chunks_select(value, deed->elements, deed->element_count, digests, is_new);
    for (size_t i = 0; i < deed->element_count && status == ST_OK; i++) {
        if (is_new[i]) {
            digests[count] = digests[i];
            fresh[count++] = deed->elements[i];
        }
    }
    return status == ST_OK ? chunks_append(value, fresh, digests, count, scratch) : status;
}

/* -- Hashes, sets, sorted sets ----------------------------------------------------------------- */

static void draw_hash(struct deed *deed, bool single, bool grows, uint64_t *state)
{
    char name_room[64];
    char value_room[5000];
    uint64_t kind = below(state, 10);
    size_t count = count_draw(single, state);
    deed->op = kind < (grows ? 6u : 3u) ? FIELDS_PUT : kind < 8 ? FIELDS_REMOVE : FIELDS_EXPIRE;
    for (size_t i = 0; i < count; i++) {
        struct bytes name = name_draw(name_room, state);
        int64_t expiry_ms = one_in(state, 2) ? FIELDS_NO_EXPIRY : 1 + (int64_t)below(state, 900);
        if (deed->op == FIELDS_PUT) {
            payload_field(&deed->bytes, name, text_draw(value_room, sizeof(value_room), state),
                          expiry_ms);
        } else if (deed->op == FIELDS_EXPIRE) {
            payload_expire(&deed->bytes, name, expiry_ms);
        } else {
            payload_name(&deed->bytes, name);
        }
    }
}

static void draw_set(struct deed *deed, bool single, bool grows, uint64_t *state)
{
    char room[64];
    size_t count = count_draw(single, state);
    deed->op = below(state, 10) < (grows ? 7u : 3u) ? SET_OP_ADD : SET_OP_REMOVE;
    for (size_t i = 0; i < count; i++) {
        put_sized(deed, name_draw(room, state));
    }
}

static void draw_zset(struct deed *deed, const struct value *value, bool single, bool grows,
                      uint64_t *state)
{
    char room[64];
    size_t count = count_draw(single, state);
    uint64_t all = zset_count(value);
    uint64_t kind = below(state, 20);
    if (kind == 0 && all > 0) {
        deed->op = ZSET_CUT;
        uint64_t rank = below(state, all);
        uint64_t most = one_in(state, 8) ? all - rank : (all - rank + 9) / 10;
        put_varint(deed, rank);
        put_varint(deed, 1 + below(state, most));
        return;
    }
    deed->op = kind < (grows ? 14u : 7u) ? ZSET_ADD : ZSET_REMOVE;
    if (deed->op == ZSET_ADD) {
        unsigned char when = (unsigned char)(one_in(state, 5) ? below(state, 16) : 0);
        put(deed, &when, 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (deed->op == ZSET_ADD) {
            double score = (double)below(state, one_in(state, 4) ? 100000 : 3);
            score = one_in(state, 20) ? -0.0 : score;
            put(deed, &score, sizeof(score));
        }
        put_sized(deed, name_draw(room, state));
    }
}

/* -- Streams ----------------------------------------------------------------------------------- */

#define GROUPS 3
#define CONSUMERS 6
/* Many IDs share the bytes by which inner nodes tell elements apart. */
#define IDS_PER_MS 5000

static struct stream_id id_of(uint64_t index)
{
    return (struct stream_id){1 + index / IDS_PER_MS, index % IDS_PER_MS};
}

static uint64_t index_of(struct stream_id id)
{
    return id.ms == 0 ? 0 : (id.ms - 1) * IDS_PER_MS + id.seq;
}

static void put_id(struct deed *deed, struct stream_id id)
{
    put_u64(deed, id.ms);
    put_u64(deed, id.seq);
}

/* Of what the stream has, or had not long ago. */
static struct stream_id id_draw(const struct stream_summary *summary, uint64_t *state)
{
    uint64_t last = index_of(summary->last) + 1;
    uint64_t span = last < 3000 ? last : 3000;
    return id_of(last - 1 - below(state, span));
}

static void put_name(struct deed *deed, const char *kind, uint64_t number)
{
    char room[64];
    int size = snprintf(room, sizeof(room), "%s %llu", kind, (unsigned long long)number);
    put_sized(deed, bytes_of(room, (size_t)size));
}

static const struct stream_group *group_of(const struct value *value, uint64_t number)
{
    char room[64];
    int size = snprintf(room, sizeof(room), "group %llu", (unsigned long long)number);
    return stream_group(value, bytes_of(room, (size_t)size));
}

static void draw_entries(struct deed *deed, const struct stream_summary *summary, bool single,
                         bool grows, uint64_t *state)
{
    char room[3000];
    uint64_t kind = summary->count < 10 ? 0 : below(state, 10);
    if (kind < (grows ? 8u : 4u)) {
        deed->op = STREAM_ADD;
        put_id(deed, id_of(index_of(summary->last) + 1 + below(state, 3)));
        put_varint(deed, 1);
        put_sized(deed, bytes_of_text("field"));
        put_sized(deed, text_draw(room, sizeof(room), state));
    } else if (kind < 9) {
        deed->op = STREAM_DELETE;
        for (size_t i = count_draw(single, state); i > 0; i--) {
            put_id(deed, id_draw(summary, state));
        }
    } else {
        unsigned char keep = (unsigned char)below(state, 2);
        deed->op = STREAM_TRIM;
        put_varint(deed,
                   1 + below(state, one_in(state, 10) ? summary->count : 20) % summary->count);
        put(deed, &keep, 1);
    }
}

static void draw_pending(struct deed *deed, const struct stream_summary *summary,
                         const struct stream_group *group, bool single, uint64_t *state)
{
    size_t count = count_draw(single, state);
    uint64_t next = index_of(stream_group_view(group).last) + 1;
    uint64_t last = index_of(summary->last);
    unsigned char held = 0;
    bool fresh = next + DEED_ELEMENTS < last && !one_in(state, 3);
    deed->op = fresh ? STREAM_DELIVER : STREAM_REDELIVER + (unsigned)below(state, 3);
    if (deed->op != STREAM_ACK) {
        put_name(deed, "consumer", below(state, CONSUMERS));
        put_u64(deed, 1000 + below(state, 1000));
    }
    if (deed->op == STREAM_DELIVER) {
        put(deed, &held, 1);
    } else if (deed->op == STREAM_CLAIM) {
        put_id(deed, STREAM_ID_MIN);
    }
    for (size_t i = 0; i < count; i++) {
        put_id(deed, deed->op == STREAM_DELIVER ? id_of(next + i) : id_draw(summary, state));
        if (deed->op == STREAM_CLAIM) {
            put_u64(deed, below(state, 5000));
            put_u64(deed, below(state, 5));
        }
    }
}

static void draw_stream(struct deed *deed, const struct value *value, bool single, bool grows,
                        uint64_t *state)
{
    struct stream_summary summary = stream_summary(value);
    uint64_t number = below(state, GROUPS);
    const struct stream_group *group = group_of(value, number);
    if (summary.added == 0 || one_in(state, 2)) {
        draw_entries(deed, &summary, single, grows, state);
        return;
    }
    put_name(deed, "group", number);
    uint64_t kind = below(state, 60);
    if (group == NULL) {
        deed->op = STREAM_GROUP_CREATE;
        put_id(deed, id_draw(&summary, state));
        put_u64(deed, (uint64_t)(int64_t)-1);
    } else if (kind == 0) {
        deed->op = STREAM_GROUP_DESTROY;
    } else if (kind == 1) {
        deed->op = STREAM_CONSUMER_DELETE;
        put_name(deed, "consumer", below(state, CONSUMERS));
    } else if (kind == 2) {
        deed->op = STREAM_CONSUMER_CREATE;
        put_name(deed, "consumer", below(state, CONSUMERS));
        put_u64(deed, below(state, 1000));
    } else {
        draw_pending(deed, &summary, group, single, state);
    }
}

/* -- All together ------------------------------------------------------------------------------ */

void deed_draw(struct deed *deed, const struct value *value, bool single, bool grows,
               uint64_t *state)
{
    *deed = (struct deed){.type = value->type, .bytes = BUF_EMPTY};
    switch (value->type) {
    case VALUE_STRING:
        draw_text(deed, value, grows, state);
        break;
    case VALUE_LIST:
        draw_list(deed, value, single, grows, state);
        break;
    case VALUE_CHUNKS:
        elements_draw(deed, count_draw(single, state), state);
        break;
    case VALUE_HASH:
        draw_hash(deed, single, grows, state);
        break;
    case VALUE_SET:
        draw_set(deed, single, grows, state);
        break;
    case VALUE_ZSET:
        draw_zset(deed, value, single, grows, state);
        break;
    default:
        draw_stream(deed, value, single, grows, state);
        break;
    }
}

enum status deed_do(const struct deed *deed, struct value *value, const struct value_limits *limits,
                    struct buf *scratch, uint64_t *count_out)
{
    struct value_change change;
    *count_out = 0;
    switch (deed->type) {
    case VALUE_STRING:
        return text_write(value, deed->at, buf_bytes(&deed->bytes), scratch);
    case VALUE_LIST:
        return do_list(deed, value, limits, scratch);
    case VALUE_CHUNKS:
        return do_chunks(deed, value, scratch);
    default:
        break;
    }
    enum status status =
        value_apply(value, deed->op, buf_bytes(&deed->bytes), limits, scratch, &change);
    *count_out = change.count;
    EXPECT(status != ST_WAIT || (!change.changed && change.consumed == 0 && change.count == 0));
    return status;
}

void deed_deinit(struct deed *deed)
{
    buf_deinit(&deed->bytes);
}
