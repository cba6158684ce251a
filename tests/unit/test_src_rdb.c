#include "src/rdb/rdb.h"

#include "src/rdb/crc64.h"
#include "src/rdb/pack.h"
#include "tests/lib/test.h"
#include "tests/unit/rdb_rows.h"

#include <stdlib.h>

static const struct value_limits defaults = {
    .list_max_listpack_size = -2,
    .hash_max_listpack_entries = 128,
    .hash_max_listpack_value = 64,
    .set_max_intset_entries = 512,
    .set_max_listpack_entries = 128,
    .set_max_listpack_value = 64,
    .zset_max_listpack_entries = 128,
    .zset_max_listpack_value = 64,
    .stream_node_max_bytes = 4096,
    .stream_node_max_entries = 100,
};

static void append(struct buf *buf, struct bytes bytes)
{
    EXPECT(buf_append(buf, bytes) == ST_OK);
}

static void append_varint(struct buf *buf, uint64_t value)
{
    unsigned char bytes[VARINT_MAX];
    append(buf, bytes_of(bytes, varint_store(bytes, value)));
}

static void append_sized(struct buf *buf, struct bytes bytes)
{
    append_varint(buf, bytes.size);
    append(buf, bytes);
}

static void append_u64(struct buf *buf, uint64_t value)
{
    unsigned char bytes[8];
    store_u64(bytes, value);
    append(buf, bytes_of(bytes, 8));
}

/* Replaces *payload by the content with a right footer. */
static void seal(struct buf *payload, struct bytes content, unsigned version)
{
    unsigned char footer[2];
    payload->size = 0;
    append(payload, content);
    store_u16(footer, (uint16_t)version);
    append(payload, bytes_of(footer, 2));
    append_u64(payload, crc64(0, buf_bytes(payload)));
}

/* Restores from a copy of just this size, so that the sanitizer sees a step too far. Nothing that
 * a payload says may cost more than the bound. */
static enum status restore_copy(struct bytes payload, struct buf *room, struct bytes *encoded_out)
{
    unsigned char *copy = malloc(payload.size > 0 ? payload.size : 1);
    if (payload.size > 0) {
        memcpy(copy, payload.data, payload.size);
    }
    enum status status = rdb_restore(bytes_of(copy, payload.size), room, encoded_out);
    free(copy);
    EXPECT(room->capacity <= 2 * (payload.size * RDB_GROWTH_MAX + RDB_GROWTH_FREE));
    return status;
}

static enum status restore_sealed(struct bytes content, struct buf *room, struct bytes *encoded_out)
{
    struct buf payload = BUF_EMPTY;
    seal(&payload, content, RDB_VERSION);
    enum status status = restore_copy(buf_bytes(&payload), room, encoded_out);
    buf_deinit(&payload);
    return status;
}

#define CONTENT(literal) bytes_of(literal, sizeof(literal) - 1)

static enum status restore_content(struct bytes content)
{
    struct buf room = BUF_EMPTY;
    struct bytes encoded;
    enum status status = restore_sealed(content, &room, &encoded);
    buf_deinit(&room);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Reading.
 */

TEST(every_form_that_redis_ever_wrote_is_read)
{
    struct buf room = BUF_EMPTY;
    for (size_t i = 0; i < RDB_ROWS; i++) {
        struct bytes encoded;
        if (restore_sealed(rdb_rows[i].content, &room, &encoded) != ST_OK ||
            !bytes_equal(encoded, rdb_rows[i].encoded)) {
            test_fail(__FILE__, __LINE__, "%s", rdb_rows[i].name);
        }
    }
    buf_deinit(&room);
}

TEST(what_each_form_holds_is_a_value)
{
    for (size_t i = 0; i < RDB_ROWS; i++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        enum status status = value_decode(rdb_rows[i].encoded, &defaults, &scratch, &value);
        if (status != ST_OK) {
            test_fail(__FILE__, __LINE__, "%s: %s", rdb_rows[i].name, status_name(status));
        }
        value_free(&value);
        buf_deinit(&scratch);
    }
}

TEST(a_payload_of_redis_server_is_read_with_its_version_and_checksum)
{
    struct buf room = BUF_EMPTY;
    struct bytes encoded;
    /* SET s hello; DUMP s. */
    char payload[] = "\0\005hello\012\0cr\337ve4 \n";
    struct bytes whole = bytes_of(payload, sizeof(payload) - 1);
    EXPECT(restore_copy(whole, &room, &encoded) == ST_OK);
    EXPECT(bytes_equal(encoded, CONTENT("\001hello")));
    for (size_t i = 0; i < whole.size; i++) {
        EXPECT(restore_copy(bytes_slice(whole, 0, i), &room, &encoded) == ST_PROTO);
        payload[i] ^= 4;
        EXPECT(restore_copy(whole, &room, &encoded) == ST_PROTO);
        payload[i] ^= 4;
    }
    buf_deinit(&room);
}

TEST(versions_up_to_the_last_known_are_taken_and_later_ones_refused)
{
    struct buf payload = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct bytes encoded;
    for (unsigned version = 0; version < 20; version++) {
        seal(&payload, CONTENT("\0\001a"), version);
        enum status status = restore_copy(buf_bytes(&payload), &room, &encoded);
        EXPECT(status == (version <= RDB_VERSION_MAX ? ST_OK : ST_PROTO));
    }
    buf_deinit(&payload);
    buf_deinit(&room);
}

/* Version 1 of streams did not keep what a group has read; what redis-server 7.0.15 makes of it. */
TEST(what_a_group_has_read_is_told_where_the_ends_of_an_elder_stream_tell_it)
{
    static const struct {
        unsigned char ms, seq; /* Delivered; entries are 5-9 and 7-4, the last ID is 8-0. */
        int64_t entries_read;
    } rows[] = {{0, 0, 0}, {5, 8, 0}, {5, 9, 1}, {6, 0, -1}, {7, 4, -1}, {8, 0, 2}, {9, 0, -1}};
    const struct rdb_row *row = &rdb_rows[0];
    while (strcmp(row->name, "stream of version 1") != 0) {
        row++;
    }
    struct buf content = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes encoded;
        content.size = 0;
        append(&content, row->content);
        unsigned char *name = memmem(content.data, content.size, "g1", 2);
        EXPECT(name != NULL);
        name[2] = rows[i].ms;
        name[3] = rows[i].seq;
        EXPECT(restore_sealed(buf_bytes(&content), &room, &encoded) == ST_OK);
        const unsigned char *group = memmem(encoded.data, encoded.size, "g1", 2);
        EXPECT(group != NULL);
        EXPECT_INT(load_u64(group + 2), rows[i].ms);
        EXPECT_INT(load_u64(group + 10), rows[i].seq);
        EXPECT_INT((int64_t)load_u64(group + 18), rows[i].entries_read);
    }
    buf_deinit(&content);
    buf_deinit(&room);
}

TEST(content_that_ends_too_early_is_refused_wherever_it_ends)
{
    for (size_t i = 0; i < RDB_ROWS; i++) {
        for (size_t size = 0; size < rdb_rows[i].content.size; size++) {
            if (restore_content(bytes_slice(rdb_rows[i].content, 0, size)) != ST_CORRUPT) {
                test_fail(__FILE__, __LINE__, "%s, %zu bytes", rdb_rows[i].name, size);
            }
        }
    }
}

TEST(empty_collections_unknown_types_and_modules_are_refused)
{
    static const unsigned char counted[] = {1, 2, 3, 4, 5, 14, 18};
    for (size_t i = 0; i < sizeof(counted); i++) {
        const unsigned char content[] = {counted[i], 0};
        EXPECT(restore_content(bytes_of(content, 2)) == ST_CORRUPT);
    }
    EXPECT(restore_content(CONTENT("\020\007\007\0\0\0\0\0\377")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\013\010\002\0\0\0\0\0\0\0")) == ST_CORRUPT);
    EXPECT(restore_content(BYTES_NONE) == ST_CORRUPT);
    for (unsigned type = 0; type < 256; type++) {
        bool known = type <= 5 || (type >= 9 && type <= 21) || type == 24 || type == 25;
        const unsigned char content[] = {(unsigned char)type, 1, 1, 'a', 1, 'b', 0, 0, 0, 0, 0, 0};
        EXPECT(known || restore_content(bytes_of(content, sizeof(content))) == ST_CORRUPT);
    }
}

TEST(nonsense_within_values_is_refused)
{
    /* Scores: not a number, not numbers. */
    EXPECT(restore_content(CONTENT("\005\001\001a\0\0\0\0\0\0\370\177")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\003\001\001a\375")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\003\001\001a\003nan")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\003\001\001a\0031.x")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\003\001\001a\002 1")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\003\001\001a\0011")) == ST_OK);
    /* A packed sorted set: in order; out of order; a member twice; a member without a score. */
    EXPECT(restore_content(
               CONTENT("\021\021\021\0\0\0\004\0\201a\002\001\001\201b\002\002\001\377")) == ST_OK);
    EXPECT(restore_content(CONTENT(
               "\021\021\021\0\0\0\004\0\201a\002\003\001\201b\002\002\001\377")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT(
               "\021\021\021\0\0\0\004\0\201a\002\002\001\201a\002\002\001\377")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\021\012\012\0\0\0\001\0\201a\002\377")) == ST_CORRUPT);
    /* A field without a value; a node that is neither packed nor plain. */
    EXPECT(restore_content(CONTENT("\020\012\012\0\0\0\001\0\201a\002\377")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\022\001\003\001a")) == ST_CORRUPT);
    /* A length that is none; strings that are longer than everything; LZF that yields less. */
    EXPECT(restore_content(CONTENT("\0\202\0\0\0\001a")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\304\001a")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\201\377\377\377\377\377\377\377\377a")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\303\003\003\001aa")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\303\003\002\001aa")) == ST_OK);
    EXPECT(restore_content(CONTENT("\0\303\0\002")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\303\001\0\001")) == ST_CORRUPT);
}

/* A stream without entries, one group, one pending entry, and what its consumers say of it. */
static enum status restore_pending(struct bytes consumers)
{
    static const unsigned char zeros[16];
    struct buf content = BUF_EMPTY;
    append(&content, CONTENT("\023\0\0\0\0\0\0\0\0\0\001\001g\0\0\0"));
    append(&content, CONTENT("\001"));
    append(&content, bytes_of(zeros, 16)); /* ID. */
    append(&content, bytes_of(zeros, 8));  /* Time. */
    append(&content, CONTENT("\001"));
    append(&content, consumers);
    enum status status = restore_content(buf_bytes(&content));
    buf_deinit(&content);
    return status;
}

#define CONSUMER(name) "\001" name "\0\0\0\0\0\0\0\0"
#define OWNS(last) "\001\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" last

TEST(each_pending_entry_is_one_consumers)
{
    EXPECT(restore_pending(CONTENT("\001" CONSUMER("c") OWNS("\0"))) == ST_OK);
    EXPECT(restore_pending(CONTENT("\0")) == ST_CORRUPT);
    EXPECT(restore_pending(CONTENT("\001" CONSUMER("c") "\0")) == ST_CORRUPT);
    EXPECT(restore_pending(CONTENT("\001" CONSUMER("c") OWNS("\001"))) == ST_CORRUPT);
    EXPECT(restore_pending(CONTENT("\002" CONSUMER("c") OWNS("\0") CONSUMER("d") "\0")) == ST_OK);
    EXPECT(restore_pending(CONTENT("\002" CONSUMER("c") OWNS("\0") CONSUMER("d") OWNS("\0"))) ==
           ST_CORRUPT);
}

/* ------------------------------------------------------------------------------------------
 * Growth: what a few bytes claim.
 */

TEST(counts_beyond_reason_cost_nothing)
{
    EXPECT(restore_content(CONTENT("\001\201\177\377\377\377\377\377\377\377\001a")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\004\201\377\377\377\377\377\377\377\377\001a\001b")) ==
           ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\005\200\377\377\377\377\001a")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\303\002\200\377\377\377\377\001a")) == ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\0\303\002\201\177\377\377\377\377\377\377\377\001a")) ==
           ST_CORRUPT);
    EXPECT(restore_content(CONTENT("\023\0\0\0\0\0\0\0\0\0\200\377\377\377\377\001g")) ==
           ST_CORRUPT);
}

static void append_text(struct listpack *listpack, size_t size)
{
    static unsigned char text[1 << 17];
    EXPECT(listpack_add(listpack, bytes_of(text, size)) == ST_OK);
}

/* A long name of a master field that each of many short entries repeats: quadratic when unfolded.
 */
TEST(a_stream_whose_entries_share_a_huge_field_name_does_not_unfold)
{
    enum { ENTRIES = 20000 };
    struct buf content = BUF_EMPTY;
    struct buf block = BUF_EMPTY;
    struct listpack listpack;
    EXPECT(listpack_begin(&listpack, &block) == ST_OK);
    const int64_t heads[] = {ENTRIES, 0, 1};
    for (size_t i = 0; i < 3; i++) {
        EXPECT(listpack_add_int64(&listpack, heads[i]) == ST_OK);
    }
    append_text(&listpack, 1 << 17);
    EXPECT(listpack_add_int64(&listpack, 0) == ST_OK);
    for (int64_t i = 0; i < ENTRIES; i++) {
        const int64_t entry[] = {2, 0, i, 1, 4};
        for (size_t j = 0; j < 5; j++) {
            EXPECT(listpack_add_int64(&listpack, entry[j]) == ST_OK);
        }
    }
    EXPECT(listpack_end(&listpack) == ST_OK);
    append(&content, CONTENT("\023\001\020\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\200"));
    const unsigned char size[] = {(unsigned char)(block.size >> 24),
                                  (unsigned char)(block.size >> 16),
                                  (unsigned char)(block.size >> 8), (unsigned char)block.size};
    append(&content, bytes_of(size, 4));
    append(&content, buf_bytes(&block));
    EXPECT(restore_content(buf_bytes(&content)) == ST_CORRUPT);
    buf_deinit(&content);
    buf_deinit(&block);
}

/* ------------------------------------------------------------------------------------------
 * Writing.
 */

/* Writes it, reads it back, and gives the payload's type and version. */
static void expect_returns(struct bytes encoded, const struct value_limits *limits,
                           unsigned *type_out, unsigned *version_out)
{
    struct buf payload = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct bytes back;
    append(&payload, CONTENT("before")); /* It appends. */
    EXPECT(rdb_dump(encoded, limits, &payload) == ST_OK);
    struct bytes whole = bytes_slice(buf_bytes(&payload), 6, payload.size);
    EXPECT(restore_copy(whole, &room, &back) == ST_OK);
    EXPECT(bytes_equal(back, encoded));
    *type_out = payload.data[6];
    *version_out = load_u16(payload.data + payload.size - RDB_FOOTER_SIZE);
    buf_deinit(&payload);
    buf_deinit(&room);
}

TEST(every_value_that_was_read_is_written_and_read_again)
{
    unsigned type;
    unsigned version;
    for (size_t i = 0; i < RDB_ROWS; i++) {
        if (*(const unsigned char *)rdb_rows[i].content.data != 21) { /* See below. */
            expect_returns(rdb_rows[i].encoded, &defaults, &type, &version);
            EXPECT_INT(version, type == 24 ? RDB_VERSION_FIELD_TIMES : RDB_VERSION);
        }
    }
}

TEST(when_a_consumer_was_active_becomes_when_it_was_seen)
{
    struct buf payload = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct bytes back;
    struct bytes group = CONTENT("\001\001g\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    unsigned char times[17] = {[0] = 5, [8] = 4}; /* Seen, active; nothing pending. */
    struct buf encoded = BUF_EMPTY;
    append(&encoded, CONTENT("\007\0"));
    for (size_t i = 0; i < 5; i++) {
        append_u64(&encoded, 0);
    }
    append(&encoded, group);
    append(&encoded, CONTENT("\001\001c"));
    append(&encoded, bytes_of(times, sizeof(times)));
    EXPECT(rdb_dump(buf_bytes(&encoded), &defaults, &payload) == ST_OK);
    EXPECT(restore_copy(buf_bytes(&payload), &room, &back) == ST_OK);
    encoded.data[encoded.size - 9] = 5;
    EXPECT(bytes_equal(back, buf_bytes(&encoded)));
    buf_deinit(&payload);
    buf_deinit(&room);
    buf_deinit(&encoded);
}

TEST(limits_decide_which_form_is_written)
{
    static const struct {
        const char *text;
        size_t size;
        unsigned within, beyond; /* Types. */
    } rows[] = {
        {"\001text", 5, 0, 0},
        {"\002\001\001a", 4, 18, 18},
        {"\004\0\001\001f\001v", 7, 16, 4},
        {"\004\001\001\001f\001v\0\0\0\0\0\0\0\001", 15, 24, 24},
        {"\005\002\0011\0012", 6, 11, 2},
        {"\005\002\0011\001a", 6, 2, 2},
        {"\006\001\0\0\0\0\0\0\360\077\001a", 12, 17, 5},
    };
    static const struct value_limits none = {0};
    unsigned type;
    unsigned version;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes encoded = bytes_of(rows[i].text, rows[i].size);
        expect_returns(encoded, &defaults, &type, &version);
        EXPECT_INT(type, rows[i].within);
        expect_returns(encoded, &none, &type, &version);
        EXPECT_INT(type, rows[i].beyond);
    }
}

TEST(a_hash_whose_fields_have_no_times_is_written_without)
{
    struct buf payload = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct bytes back;
    struct bytes encoded = CONTENT("\004\001\001\001f\001v\377\377\377\377\377\377\377\377");
    EXPECT(rdb_dump(encoded, &defaults, &payload) == ST_OK);
    EXPECT(restore_copy(buf_bytes(&payload), &room, &back) == ST_OK);
    EXPECT(bytes_equal(back, CONTENT("\004\0\001\001f\001v")));
    buf_deinit(&payload);
    buf_deinit(&room);
}

TEST(a_chunk_collection_cannot_be_written)
{
    struct buf payload = BUF_EMPTY;
    EXPECT(rdb_dump(CONTENT("\003\001\001a"), &defaults, &payload) == ST_TYPE);
    EXPECT_INT(payload.size, 0);
    buf_deinit(&payload);
}

/* ------------------------------------------------------------------------------------------
 * Chance.
 */

static struct bytes random_string(uint64_t *state)
{
    static unsigned char room[30000];
    static const size_t bounds[] = {0, 63, 64, 127, 128, 255, 4095, 4096, 8170, 8190, 16383, 20000};
    uint64_t chance = test_random_below(state, 100);
    if (chance < 30) {
        int64_t value = (int64_t)test_random(state) >> test_random_below(state, 64);
        return bytes_of(room, int64_to_text(value, (char *)room));
    }
    size_t size = chance < 95
                      ? (size_t)test_random_below(state, 70)
                      : bounds[test_random_below(state, sizeof(bounds) / sizeof(bounds[0]))];
    for (size_t i = 0; i < size; i++) {
        room[i] = (unsigned char)(chance % 2 == 0 ? 'a' : test_random(state));
    }
    return bytes_of(room, size);
}

static void random_zset(uint64_t *state, uint64_t count, struct buf *encoded)
{
    double score = -1e6;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bits;
        score += 0.25 + (double)test_random_below(state, 1000) / 7;
        memcpy(&bits, &score, sizeof(bits));
        append_u64(encoded, bits);
        append_sized(encoded, random_string(state));
    }
}

static void random_group(uint64_t *state, struct buf *encoded)
{
    uint64_t consumers = test_random_below(state, 4);
    uint64_t pending = consumers > 0 ? test_random_below(state, 40) : 0;
    append_sized(encoded, random_string(state));
    for (size_t i = 0; i < 3; i++) {
        append_u64(encoded, test_random(state));
    }
    append_varint(encoded, consumers);
    for (uint64_t i = 0; i < consumers; i++) {
        uint64_t seen_ms = test_random(state) >> 20;
        append_sized(encoded, random_string(state));
        append_u64(encoded, seen_ms);
        append_u64(encoded, seen_ms);
    }
    append_varint(encoded, pending);
    for (uint64_t i = 0; i < pending; i++) {
        append_u64(encoded, i / 3);
        append_u64(encoded, i);
        append_varint(encoded, test_random_below(state, consumers));
        append_u64(encoded, test_random(state));
        append_u64(encoded, test_random_below(state, 100));
    }
}

static void random_stream(uint64_t *state, uint64_t count, struct buf *encoded)
{
    uint64_t ms = test_random(state) >> test_random_below(state, 64);
    for (size_t i = 0; i < 5; i++) {
        append_u64(encoded, test_random(state));
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t fields = 1 + test_random_below(state, 3);
        ms += test_random_below(state, 3);
        append_u64(encoded, ms);
        append_u64(encoded, i);
        append_varint(encoded, fields);
        for (uint64_t j = 0; j < fields; j++) {
            append_sized(encoded, test_random_below(state, 4) > 0 ? bytes_of_text("name")
                                                                  : random_string(state));
            append_sized(encoded, random_string(state));
        }
    }
    uint64_t groups = test_random_below(state, 3);
    append_varint(encoded, groups);
    for (uint64_t i = 0; i < groups; i++) {
        random_group(state, encoded);
    }
}

/* An encoded value as the codec sees it: that members differ is not its business. */
static void random_value(uint64_t *state, struct buf *encoded)
{
    static const unsigned char types[] = {VALUE_STRING, VALUE_LIST, VALUE_HASH,
                                          VALUE_SET,    VALUE_ZSET, VALUE_STREAM};
    unsigned char type = types[test_random_below(state, sizeof(types))];
    uint64_t count = 1 + test_random_below(state, test_random_below(state, 10) == 0 ? 400 : 20);
    bool timed = type == VALUE_HASH && test_random_below(state, 3) == 0;
    encoded->size = 0;
    append(encoded, bytes_of(&type, 1));
    if (type == VALUE_STRING) {
        append(encoded, random_string(state));
        return;
    }
    if (type == VALUE_HASH) {
        append(encoded, bytes_of(&timed, 1));
    }
    append_varint(encoded, count);
    if (type == VALUE_ZSET) {
        random_zset(state, count, encoded);
        return;
    }
    if (type == VALUE_STREAM) {
        random_stream(state, count, encoded);
        return;
    }
    append_sized(encoded, bytes_of_text("not a number")); /* So a set keeps its order. */
    for (uint64_t i = 1; i < count * (type == VALUE_HASH ? 2 : 1); i++) {
        if (timed && i % 2 == 0) {
            append_u64(encoded, i == 2 ? 1700000000000 : UINT64_MAX);
        }
        append_sized(encoded, random_string(state));
    }
    if (timed) {
        append_u64(encoded, count == 1 ? 1700000000000 : 1700000000001);
    }
}

TEST(values_by_chance_come_back_as_they_went)
{
    uint64_t state = test_seed();
    struct buf encoded = BUF_EMPTY;
    unsigned type;
    unsigned version;
    for (size_t i = 0; i < 3000; i++) {
        struct value_limits limits = defaults;
        if (i % 3 == 0) {
            limits = (struct value_limits){.hash_max_listpack_entries = 1000,
                                           .hash_max_listpack_value = 100000,
                                           .zset_max_listpack_entries = 1000,
                                           .zset_max_listpack_value = 100000,
                                           .stream_node_max_entries = 3};
        }
        random_value(&state, &encoded);
        expect_returns(buf_bytes(&encoded), &limits, &type, &version);
    }
    buf_deinit(&encoded);
}

/* A value that value_decode takes is a value: it can be encoded, written, and read once more. */
static void expect_value(struct bytes encoded)
{
    struct buf scratch = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct buf payload = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct value value;
    struct bytes back;
    enum status status = value_decode(encoded, &defaults, &scratch, &value);
    EXPECT(status == ST_OK || status == ST_CORRUPT);
    if (status == ST_OK) {
        EXPECT(value_encode(&value, &again) == ST_OK);
        value_free(&value);
        scratch.size = 0;
        EXPECT(rdb_dump(buf_bytes(&again), &defaults, &payload) == ST_OK);
        EXPECT(restore_copy(buf_bytes(&payload), &room, &back) == ST_OK);
        EXPECT(value_decode(back, &defaults, &scratch, &value) == ST_OK);
        value_free(&value);
    }
    buf_deinit(&scratch);
    buf_deinit(&again);
    buf_deinit(&payload);
    buf_deinit(&room);
}

/* What comes out of whatever comes in can be written again, and read: but a set that names an
 * integer twice, which value_decode is there to refuse, is not an intset. */
TEST(damaged_content_is_refused_or_well_formed)
{
    uint64_t state = test_seed() + 1;
    struct buf content = BUF_EMPTY;
    struct buf room = BUF_EMPTY;
    struct buf payload = BUF_EMPTY;
    size_t taken = 0;
    for (size_t i = 0; i < 60000; i++) {
        const struct rdb_row *row = &rdb_rows[test_random_below(&state, RDB_ROWS)];
        content.size = 0;
        append(&content, row->content);
        for (uint64_t j = 1 + test_random_below(&state, 4); j > 0; j--) {
            size_t at = (size_t)test_random_below(&state, content.size);
            content.data[at] = test_random_below(&state, 2) == 0
                                   ? (unsigned char)test_random(&state)
                                   : (unsigned char)(content.data[at] + 1);
        }
        struct bytes encoded;
        enum status status = restore_sealed(buf_bytes(&content), &room, &encoded);
        EXPECT(status == ST_OK || status == ST_CORRUPT);
        if (status == ST_OK) {
            taken++;
            expect_value(encoded);
            payload.size = 0;
            EXPECT(rdb_dump(encoded, &defaults, &payload) == ST_OK);
            bool set = payload.data[0] == 11;
            EXPECT(restore_copy(buf_bytes(&payload), &room, &encoded) == ST_OK || set);
        }
    }
    EXPECT(taken > 1000 && taken < 50000);
    buf_deinit(&content);
    buf_deinit(&room);
    buf_deinit(&payload);
}
