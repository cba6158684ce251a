/* Values that travel between redis-server and Basin, both ways: made there by chance, given by
 * DUMP, taken by RESTORE here, and read on both sides element by element. BASIN_DUMP_VALUES: how
 * many of each type. And the sentences of the two commands. */
#include "engine/base/bytes.h"
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VALUES_DEFAULT 10000
#define BATCH 50
#define WORD_MAX 20000

struct side {
    const char *name;
    redisContext *link;
    size_t unread; /* Replies to requests that have been written. */
};

static struct process *redis;
static struct side theirs = {.name = "redis-server"};
static struct side ours = {.name = "basin-server"};

/* ------------------------------------------------------------------------------------------
 * Talking.
 */

static void links_close(void)
{
    if (theirs.link != NULL) {
        redisFree(theirs.link);
    }
    if (ours.link != NULL) {
        redisFree(ours.link);
    }
    process_free(redis);
}

static redisContext *link_open(int port)
{
    redisContext *link = redisConnect("127.0.0.1", port);
    EXPECT(link != NULL && link->err == 0);
    redisSetTimeout(link, (struct timeval){120, 0});
    return link;
}

static void link_renew(struct side *side, const struct process *server)
{
    if (side->link != NULL) {
        redisFree(side->link);
    }
    side->link = link_open(process_port(server));
    side->unread = 0;
}

/* Both servers, empty, and a new link to each. */
static void begin(void)
{
    dialog_begin();
    if (redis == NULL) {
        redis = process_start(&(struct process_options){.binary = "redis-server"});
        EXPECT(redis != NULL);
        atexit(links_close);
    }
    link_renew(&theirs, redis);
    link_renew(&ours, dialog_server());
}

/* Writes a request; its reply comes in turn. */
static void say_argv(struct side *side, size_t count, const struct bytes *words)
{
    const char *arguments[1024];
    size_t sizes[1024];
    EXPECT(count <= 1024);
    for (size_t i = 0; i < count; i++) {
        arguments[i] = words[i].data;
        sizes[i] = words[i].size;
    }
    EXPECT(redisAppendCommandArgv(side->link, (int)count, arguments, sizes) == REDIS_OK);
    side->unread++;
}

static void say(struct side *side, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    EXPECT(redisvAppendCommand(side->link, format, list) == REDIS_OK);
    va_end(list);
    side->unread++;
}

static redisReply *hear(struct side *side)
{
    void *reply = NULL;
    if (redisGetReply(side->link, &reply) != REDIS_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s", side->name, side->link->errstr);
    }
    side->unread--;
    return reply;
}

/* Takes all replies that are due; none may be an error. */
static void hear_all(struct side *side)
{
    while (side->unread > 0) {
        redisReply *reply = hear(side);
        if (reply->type == REDIS_REPLY_ERROR) {
            test_fail(__FILE__, __LINE__, "%s: %s", side->name, reply->str);
        }
        freeReplyObject(reply);
    }
}

/* ------------------------------------------------------------------------------------------
 * Values by chance.
 */

/* Words of one request, kept until it is said. */
struct request {
    struct bytes words[1024];
    size_t count;
    struct buf memory; /* Reserved at once, so that words do not move. */
};

static struct request request;

static void put(struct bytes word)
{
    unsigned char *room = buf_extend(&request.memory, word.size);
    EXPECT(room != NULL && request.count < 1024);
    if (word.size > 0) {
        memcpy(room, word.data, word.size);
    }
    request.words[request.count++] = bytes_of(room, word.size);
}

static void put_text(const char *text)
{
    put(bytes_of_text(text));
}

static void put_number(int64_t number)
{
    char text[INT64_TEXT_MAX];
    put(bytes_of(text, int64_to_text(number, text)));
}

static void put_id(uint64_t ms, uint64_t seq)
{
    char text[64];
    snprintf(text, sizeof(text), "%llu-%llu", (unsigned long long)ms, (unsigned long long)seq);
    put_text(text);
}

static void start(const char *command, const char *key)
{
    request.count = 0;
    request.memory.size = 0;
    EXPECT(buf_reserve(&request.memory, 64 << 20) == ST_OK);
    put_text(command);
    put_text(key);
}

static void finish(struct side *side)
{
    say_argv(side, request.count, request.words);
}

/* Around the sizes and numbers at which a listpack, an RDB string or a node changes its form. */
static void put_word(uint64_t *state, bool large)
{
    static const int64_t edges[] = {0,         127,       128,       -1,       -128,    -129,
                                    4095,      4096,      -4096,     -4097,    32767,   32768,
                                    -32768,    -32769,    65535,     8388607,  8388608, -8388608,
                                    INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    static const char *const odd[] = {"", "-0", "007", "+1", "1.0", "9223372036854775808", " 1"};
    static const size_t sizes[] = {63, 64, 65, 4095, 4096, 8170, 8181, 8192, 16378, WORD_MAX};
    static unsigned char room[WORD_MAX];
    uint64_t chance = test_random_below(state, 100);
    if (chance < 10) {
        put_number(edges[test_random_below(state, sizeof(edges) / sizeof(edges[0]))]);
    } else if (chance < 30) {
        put_number((int64_t)test_random(state) >> test_random_below(state, 64));
    } else if (chance < 34) {
        put_text(odd[test_random_below(state, sizeof(odd) / sizeof(odd[0]))]);
    } else {
        size_t size = (size_t)test_random_below(state, 24);
        if (chance > 97) {
            size = sizes[test_random_below(state, large ? sizeof(sizes) / sizeof(sizes[0]) : 3)];
        }
        for (size_t i = 0; i < size; i++) {
            room[i] = (unsigned char)(chance % 2 == 0 ? 'a' + i % 3 : test_random(state));
        }
        put(bytes_of(room, size));
    }
}

static size_t random_count(uint64_t *state)
{
    uint64_t chance = test_random_below(state, 1000);
    return 1 + (size_t)test_random_below(state, chance < 950 ? 12 : chance < 990 ? 140 : 450);
}

static void make_string(struct side *side, const char *key, uint64_t *state)
{
    start("SET", key);
    put_word(state, true);
    finish(side);
}

static void make_list(struct side *side, const char *key, uint64_t *state)
{
    start("RPUSH", key);
    for (size_t left = random_count(state); left > 0; left--) {
        put_word(state, true);
    }
    finish(side);
}

static void make_set(struct side *side, const char *key, uint64_t *state)
{
    bool integers = test_random_below(state, 2) == 0;
    uint64_t shift = test_random_below(state, 60);
    start("SADD", key);
    for (size_t left = random_count(state); left > 0; left--) {
        if (integers) {
            put_number((int64_t)test_random(state) >> shift);
        } else {
            put_word(state, false);
        }
    }
    finish(side);
}

static void make_hash(struct side *side, const char *key, uint64_t *state)
{
    start("HSET", key);
    for (size_t left = random_count(state); left > 0; left--) {
        put_word(state, false);
        put_word(state, test_random_below(state, 10) == 0);
    }
    finish(side);
}

/* Not -0: as in Redis, what is kept packed has no such score, and thresholds differ here. */
static void put_score(uint64_t *state)
{
    static const char *const scores[] = {"inf",
                                         "-inf",
                                         "0",
                                         "1e300",
                                         "5e-324",
                                         "1e17",
                                         "0.1",
                                         "-2.5",
                                         "3.141",
                                         "1e-10",
                                         "4503599627370497.5",
                                         "100000",
                                         "-70000"};
    uint64_t chance = test_random_below(state, 4);
    char text[40];
    if (chance == 0) {
        put_text(scores[test_random_below(state, sizeof(scores) / sizeof(scores[0]))]);
    } else if (chance == 1) {
        put_number((int64_t)test_random_below(state, 20) - 10);
    } else {
        snprintf(text, sizeof(text), "%.17g", (double)(int64_t)test_random(state) / 3e9);
        put_text(text);
    }
}

static void make_zset(struct side *side, const char *key, uint64_t *state)
{
    start("ZADD", key);
    for (size_t left = random_count(state); left > 0; left--) {
        put_score(state);
        put_word(state, false);
    }
    finish(side);
}

static void make_group(struct side *side, const char *key, unsigned group, uint64_t last,
                       uint64_t *state)
{
    say(side, "XGROUP CREATE %s g%u %llu-1 MKSTREAM", key, group,
        (unsigned long long)test_random_below(state, last + 1));
    for (uint64_t consumers = test_random_below(state, 4); consumers > 0; consumers--) {
        unsigned consumer = (unsigned)consumers;
        say(side, "XREADGROUP GROUP g%u c%u COUNT %u STREAMS %s >", group, consumer,
            (unsigned)test_random_below(state, 12), key);
        say(side, "XACK %s g%u %llu-1 %llu-1", key, group,
            (unsigned long long)test_random_below(state, last + 1),
            (unsigned long long)test_random_below(state, last + 1));
        say(side, "XCLAIM %s g%u other 0 %llu-1 RETRYCOUNT %u", key, group,
            (unsigned long long)test_random_below(state, last + 1),
            (unsigned)test_random_below(state, 300));
    }
}

static void make_stream(struct side *side, const char *key, uint64_t *state)
{
    uint64_t last = 0;
    for (size_t left = random_count(state) / 2; left > 0; left--) {
        bool usual = test_random_below(state, 4) > 0;
        last += 1 + test_random_below(state, test_random_below(state, 20) == 0 ? 1ull << 40 : 3);
        start("XADD", key);
        put_id(last, 1);
        for (uint64_t fields = usual ? 2 : 1 + test_random_below(state, 4); fields > 0; fields--) {
            if (usual) {
                put_text(fields == 2 ? "name" : "other");
            } else {
                put_word(state, false);
            }
            put_word(state, test_random_below(state, 10) == 0);
        }
        finish(side);
    }
    for (unsigned group = 0; group < 3 && (last == 0 || test_random_below(state, 3) == 0);
         group++) {
        make_group(side, key, group, last, state);
    }
    for (uint64_t left = test_random_below(state, 3); left > 0 && last > 0; left--) {
        say(side, "XDEL %s %llu-1", key, (unsigned long long)test_random_below(state, last + 1));
    }
}

/* ------------------------------------------------------------------------------------------
 * Comparing.
 */

enum order { ORDERED, UNORDERED, PAIRS };

static const struct kind {
    const char *name;
    void (*make)(struct side *side, const char *key, uint64_t *state);
    const char *read; /* With the key in place of %s. */
    enum order order;
    const char *settings; /* Thresholds that are varied, with a space between. */
} kinds[] = {
    {"string", make_string, "GET %s", ORDERED, ""},
    {"list", make_list, "LRANGE %s 0 -1", ORDERED, "list-max-listpack-size"},
    {"set", make_set, "SMEMBERS %s", UNORDERED, "set-max-intset-entries"},
    {"hash", make_hash, "HGETALL %s", PAIRS, "hash-max-listpack-entries"},
    {"zset", make_zset, "ZRANGE %s 0 -1 WITHSCORES", ORDERED, "zset-max-listpack-entries"},
    {"stream", make_stream, "XINFO STREAM %s FULL COUNT 0", ORDERED, "stream-node-max-entries"},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* What the servers need not agree on in XINFO STREAM: inner nodes; what 7.0 does not know; and the
 * lag, which is not part of the value but made of it, in 7.0 otherwise than later. */
static bool is_private(const redisReply *word)
{
    static const char *const names[] = {"radix-tree-keys", "radix-tree-nodes", "active-time",
                                        "lag"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (word->type == REDIS_REPLY_STRING && strcmp(word->str, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int element_compare(const void *a, const void *b)
{
    const redisReply *first = *(redisReply *const *)a;
    const redisReply *second = *(redisReply *const *)b;
    return bytes_compare(bytes_of(first->str, first->len), bytes_of(second->str, second->len));
}

static void sort(redisReply *reply, enum order order)
{
    size_t width = order == PAIRS ? 2 : 1;
    if (order != ORDERED && reply->type == REDIS_REPLY_ARRAY) {
        qsort(reply->element, reply->elements / width, width * sizeof(reply->element[0]),
              element_compare);
    }
}

static void print(FILE *out, const redisReply *reply)
{
    fprintf(out, "%d ", reply->type);
    if (reply->type == REDIS_REPLY_ARRAY) {
        fprintf(out, "[");
        for (size_t i = 0; i < reply->elements; i++) {
            if (is_private(reply->element[i])) {
                i++;
            } else {
                print(out, reply->element[i]);
            }
        }
        fprintf(out, "]\n");
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        fprintf(out, "%lld\n", reply->integer);
    } else {
        fprintf(out, "%zu ", reply->len);
        fwrite(reply->str, 1, reply->len, out);
        fputc('\n', out);
    }
}

static char *hear_text(struct side *side, enum order order, size_t *size_out)
{
    char *text = NULL;
    redisReply *reply = hear(side);
    sort(reply, order);
    FILE *out = open_memstream(&text, size_out);
    print(out, reply);
    fclose(out);
    freeReplyObject(reply);
    return text;
}

static void expect_same_reply(struct side *from, struct side *to, const struct kind *kind)
{
    size_t from_size;
    size_t to_size;
    char *from_text = hear_text(from, kind->order, &from_size);
    char *to_text = hear_text(to, kind->order, &to_size);
    size_t same = 0; /* Both texts end with NUL. */
    while (same < from_size && same < to_size && from_text[same] == to_text[same]) {
        same++;
    }
    if (from_size != to_size || same < from_size) {
        size_t start = same < 300 ? 0 : same - 300;
        test_fail(__FILE__, __LINE__, "a %s on its way to %s:\n%.600s\nbecame:\n%.600s", kind->name,
                  to->name, from_text + start, to_text + start);
    }
    free(from_text);
    free(to_text);
}

/* ------------------------------------------------------------------------------------------
 * There and back.
 */

/* Another threshold, so that few elements cross it too; a hash that Redis keeps in one form may be
 * in the other here. */
static void vary(struct side *side, const struct kind *kind, uint64_t *state)
{
    static const int thresholds[] = {1, 4, 10, 128};
    if (kind->settings[0] != '\0') {
        say(side, "CONFIG SET %s %d", kind->settings, thresholds[test_random_below(state, 4)]);
    }
}

/* Keys of the batch that are there after being made (a stream may have no entry and no group). */
static void travel(struct side *from, struct side *to, const struct kind *kind, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        say(from, "DUMP k:%u", i);
    }
    for (unsigned i = 0; i < count; i++) {
        redisReply *payload = hear(from);
        if (payload->type != REDIS_REPLY_STRING) {
            test_fail(__FILE__, __LINE__, "%s: DUMP of a %s: %s", from->name, kind->name,
                      payload->type == REDIS_REPLY_ERROR ? payload->str : "nothing");
        }
        say(to, "RESTORE k:%u 0 %b", i, payload->str, payload->len);
        freeReplyObject(payload);
    }
    hear_all(to);
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k:%u", i);
        say(from, kind->read, key);
        say(to, kind->read, key);
        if (kind->make == make_stream) {
            say(from, "XRANGE %s - +", key);
            say(to, "XRANGE %s - +", key);
        }
    }
    while (from->unread > 0) {
        expect_same_reply(from, to, kind);
    }
}

static void trips(struct side *from, struct side *to, const struct kind *kind)
{
    const char *given = getenv("BASIN_DUMP_VALUES");
    unsigned left = given != NULL ? (unsigned)atoi(given) : VALUES_DEFAULT;
    uint64_t state = test_seed();
    begin();
    say(&theirs, "CONFIG SET sanitize-dump-payload yes");
    while (left > 0) {
        unsigned count = left < BATCH ? left : BATCH;
        say(from, "FLUSHALL");
        say(to, "FLUSHALL");
        vary(from, kind, &state);
        vary(to, kind, &state);
        say(&theirs, "CONFIG SET rdbcompression %s", test_random(&state) % 2 == 0 ? "yes" : "no");
        for (unsigned i = 0; i < count; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k:%u", i);
            kind->make(from, key, &state);
        }
        hear_all(from);
        hear_all(to);
        travel(from, to, kind, count);
        left -= count;
    }
}

#define TRIPS(index, type)                                                                         \
    TEST(type##_values_of_redis_arrive_here_as_they_were)                                          \
    {                                                                                              \
        trips(&theirs, &ours, &kinds[index]);                                                      \
    }                                                                                              \
    TEST(type##_values_arrive_at_redis_as_they_were)                                               \
    {                                                                                              \
        trips(&ours, &theirs, &kinds[index]);                                                      \
    }                                                                                              \
    static_assert(index < KIND_COUNT)

TRIPS(0, string);
TRIPS(1, list);
TRIPS(3, hash);
TRIPS(2, set);
TRIPS(4, sorted_set);
TRIPS(5, stream);

/* ------------------------------------------------------------------------------------------
 * The commands.
 */

/* The payload of a key here; its size. The caller frees it. */
static redisReply *payload_of(const char *key)
{
    say(&ours, "DUMP %s", key);
    redisReply *payload = hear(&ours);
    EXPECT_INT(payload->type, REDIS_REPLY_STRING);
    return payload;
}

#define WRONG "-ERR DUMP payload version or checksum are wrong"

TEST(dump_of_nothing_is_nil_and_of_a_chunk_collection_an_error)
{
    begin();
    EXPECT_TEXT(ask("DUMP none"), "(nil)");
    EXPECT_TEXT(ask("CHUNK.APPEND c one two"), "(2)");
    EXPECT_TEXT(ask("DUMP c"), "-ERR a chunk collection has no form that Redis knows");
}

/* Redis does so since 7.4, in version 12. */
TEST(times_to_live_of_fields_travel_with_their_hash)
{
    begin();
    EXPECT_TEXT(ask("HSET h a 1 b 2 c 3"), "(3)");
    EXPECT_TEXT(ask("HPEXPIREAT h 5000000000007 FIELDS 1 a"), "[(1)]");
    EXPECT_TEXT(ask("HPEXPIREAT h 5000000000107 FIELDS 1 c"), "[(1)]");
    redisReply *payload = payload_of("h");
    EXPECT_INT(load_u16(payload->str + payload->len - 10), 12);
    EXPECT_TEXT(ask("RESTORE g 0 %b", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("HPEXPIRETIME g FIELDS 3 a b c"), "[(5000000000007) (-1) (5000000000107)]");
    EXPECT_TEXT(ask("HMGET g a b c"), "[1 2 3]");
    freeReplyObject(payload);
    EXPECT_TEXT(ask("HPERSIST h FIELDS 2 a c"), "[(1) (1)]");
    payload = payload_of("h");
    EXPECT_INT(load_u16(payload->str + payload->len - 10), 10);
    freeReplyObject(payload);
}

TEST(restore_stores_only_where_nothing_is_unless_told_to)
{
    begin();
    EXPECT_TEXT(ask("SET s hello"), "OK");
    redisReply *payload = payload_of("s");
    EXPECT_TEXT(ask("RESTORE s 0 %b", payload->str, payload->len),
                "-BUSYKEY Target key name already exists.");
    EXPECT_TEXT(ask("RESTORE t 0 %b", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("GET t"), "hello");
    EXPECT_TEXT(ask("TTL t"), "(-1)");
    EXPECT_TEXT(ask("RPUSH l a b"), "(2)");
    EXPECT_TEXT(ask("EXPIRE l 100"), "(1)");
    EXPECT_TEXT(ask("RESTORE l 0 %b replace", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("GET l"), "hello");
    EXPECT_TEXT(ask("TTL l"), "(-1)");
    EXPECT_TEXT(ask("RESTORE-ASKING u 0 %b", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("GET u"), "hello");
    freeReplyObject(payload);
}

TEST(restore_takes_a_time_to_live_from_now_or_from_1970)
{
    begin();
    EXPECT_TEXT(ask("SET s hello"), "OK");
    redisReply *payload = payload_of("s");
    EXPECT_TEXT(ask("RESTORE a 100000 %b", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("TTL a"), "(100)");
    EXPECT_TEXT(ask("RESTORE b 5000000000007 %b ABSTTL", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("PEXPIRETIME b"), "(5000000000007)");
    /* A time that has passed deletes what was there. */
    EXPECT_TEXT(ask("RESTORE b 1000 %b ABSTTL REPLACE", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("EXISTS b"), "(0)");
    EXPECT_TEXT(ask("RESTORE b 1000 %b ABSTTL", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("EXISTS b"), "(0)");
    EXPECT_TEXT(ask("RESTORE b 9223372036854775807 %b", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("EXISTS b"), "(0)");
    EXPECT_TEXT(ask("RESTORE b -1 %b", payload->str, payload->len),
                "-ERR Invalid TTL value, must be >= 0");
    EXPECT_TEXT(ask("RESTORE b x %b", payload->str, payload->len),
                "-ERR value is not an integer or out of range");
    freeReplyObject(payload);
}

TEST(restore_tells_idle_times_and_takes_frequencies_without_an_lfu_policy)
{
    begin();
    EXPECT_TEXT(ask("SET s hello"), "OK");
    redisReply *payload = payload_of("s");
    EXPECT_TEXT(ask("RESTORE a 0 %b IDLETIME 1000", payload->str, payload->len), "OK");
    long long idle_s = ask_integer("OBJECT IDLETIME a");
    EXPECT(idle_s >= 1000 && idle_s < 1030);
    EXPECT_TEXT(ask("RESTORE a 0 %b FREQ 200 REPLACE", payload->str, payload->len), "OK");
    EXPECT(ask_integer("OBJECT IDLETIME a") < 30);
    EXPECT_TEXT(ask("RESTORE b 0 %b IDLETIME -1", payload->str, payload->len),
                "-ERR Invalid IDLETIME value, must be >= 0");
    EXPECT_TEXT(ask("RESTORE b 0 %b FREQ 256", payload->str, payload->len),
                "-ERR Invalid FREQ value, must be >= 0 and <= 255");
    EXPECT_TEXT(ask("RESTORE b 0 %b FREQ 5 IDLETIME 5", payload->str, payload->len),
                "-ERR syntax error");
    EXPECT_TEXT(ask("RESTORE b 0 %b IDLETIME", payload->str, payload->len), "-ERR syntax error");
    EXPECT_TEXT(ask("RESTORE b 0 %b NOPE", payload->str, payload->len), "-ERR syntax error");
    EXPECT_TEXT(ask("EXISTS b"), "(0)");
    freeReplyObject(payload);
}

TEST(restore_refuses_what_is_no_payload_and_leaves_the_key_alone)
{
    begin();
    EXPECT_TEXT(ask("SET s hello"), "OK");
    redisReply *payload = payload_of("s");
    EXPECT_TEXT(ask("RESTORE s 0 junk REPLACE"), WRONG);
    EXPECT_TEXT(ask("RESTORE s 0 %b REPLACE", payload->str, payload->len - 1), WRONG);
    for (size_t i = 0; i < payload->len; i++) {
        payload->str[i] ^= 1;
        EXPECT_TEXT(ask("RESTORE s 0 %b REPLACE", payload->str, payload->len), WRONG);
        payload->str[i] ^= 1;
    }
    /* Right checksums of: nothing; an empty list; a type that there is not. */
    EXPECT_TEXT(ask("RESTORE s 0 %b REPLACE", "\012\0\135\233\\@\017\177\242\332", (size_t)10),
                "-ERR Bad data format");
    EXPECT_TEXT(ask("RESTORE s 0 %b REPLACE", "\001\0\012\0[\370%\314l\027CV", (size_t)12),
                "-ERR Bad data format");
    EXPECT_TEXT(ask("RESTORE s 0 %b REPLACE", "c\005hell\012\0q\312A~\035\237\373\203", (size_t)16),
                "-ERR Bad data format");
    EXPECT_TEXT(ask("GET s"), "hello");
    freeReplyObject(payload);
}

#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Made by a script; the checksums are right. */
static const struct contradiction {
    const char *name;
    struct bytes payload;
} contradictions[] = {
    {"a set with a member twice", BYTES("\002\002\001a\001a\013\000>a\313\134\077I\273\263")},
    {"a set with an integer twice", BYTES("\002\002\300\001\300\001\013\000@=V\215\317\030\373w")},
    {"a packed set with a member twice",
     BYTES("\024@\017\017\000\000\000\003\000\201a\002\003\001\201a\002\377\013\000'"
           "\222\023\271\361\232\360|")},
    {"a hash with a field twice",
     BYTES("\004\002\001f\0011\001f\0012\013\000\345\271\371e\312mD\324")},
    {"a packed hash with a field twice",
     BYTES("\020@\021\021\000\000\000\004\000\201f\002\001\001\201f\002\002\001\377\013\000\363#"
           "5\341M\254t\275")},
    {"a sorted set with a member twice",
     BYTES("\005\002\001a\000\000\000\000\000\000\360\077\001a\000\000\000\000\000\000\000@"
           "\013\000\3579\317\232]\360-b")},
    {"a packed sorted set with a member twice",
     BYTES("\021@"
           "\021\021\000\000\000\004\000\201a\002\001\001\201a\002\002\001\377\013\000\210\262\231"
           "\234\242ig\234")},
    {"a packed sorted set out of order", BYTES("\021@"
                                               "\021\021\000\000\000\004\000\201a\002\002\001\201b"
                                               "\002\001\001\377\013\000\203\275aqV\221g\277")},
    {"a sorted set with a score that is no number",
     BYTES("\005\001\001a\000\000\000\000\000\000\370\177\013\000\231&\224\332\373\313\260\256")},
    {"a stream whose entries descend",
     BYTES("\023\002\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\020\000\000\000\000\000\000\000\004\000\000\000\000\000"
           "\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\002\011\011\000\000\000\000\002\000\013\000\337\177,"
           "\037q\336\365*")},
    {"a stream with an entry twice",
     BYTES("\023\002\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\020\000\000\000\000\000\000\000\005\000\000\000\000\000"
           "\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\002\011\011\000\000\000\000\002\000\013\000!"
           "\204\261\237G}\255d")},
    {"a stream whose last ID lies before an entry",
     BYTES("\023\001\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\001\004\011\000\000\000\000\001\000\013\000\364\237\035E"
           "\227-\355\273")},
    {"a stream with another count than its entries",
     BYTES("\023\001\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\002\011\011\000\000\000\000\002\000\013\000\262M\304at"
           "\205\204\333")},
    {"a stream with a group twice",
     BYTES("\023\001\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\001\011\011\000\000\000\000\001\002\001g\000\000\000\000"
           "\000\001g\000\000\000\000\000\013\000\265 2\200G\333e\013")},
    {"a stream with a pending entry of nobody",
     BYTES("\023\001\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\001\011\011\000\000\000\000\001\001\001g\005\001\001\001"
           "\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001\000\000\000\000\000"
           "\000\000\000\001\000\013\0009\274B,uD\300\341")},
    {"a stream with a consumer of what is not pending",
     BYTES("\023\001\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
           "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001"
           "\000\001\201v\002\004\001\377\001\011\011\000\000\000\000\001\001\001g\005\001\001\000"
           "\001\001c\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\005\000\000"
           "\000\000\000\000\000\001\013\0006k\263\375\366\027\264v")},
    {"a stream with an entry pending twice over",
     BYTES(
         "\023\001\020\000\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001@"
         "\035\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001\000"
         "\001\201v\002\004\001\377\001\011\011\000\000\000\000\001\001\001g\005\001\001\001\000"
         "\000\000\000\000\000\000\005\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000"
         "\000\001\002\001c\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\005\000"
         "\000\000\000\000\000\000\001\001d\000\000\000\000\000\000\000\000\001\000\000\000\000\000"
         "\000\000\005\000\000\000\000\000\000\000\001\013\000.m*\357\244\014\077 ")},
};

TEST(restore_refuses_values_that_contradict_themselves)
{
    begin();
    for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++) {
        const struct contradiction *row = &contradictions[i];
        const char *reply = ask("RESTORE k 0 %b", row->payload.data, row->payload.size);
        if (strcmp(reply, "-ERR Bad data format") != 0) {
            test_fail(__FILE__, __LINE__, "%s: %s", row->name, reply);
        }
    }
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
}

TEST(what_was_restored_is_there_after_a_crash)
{
    begin();
    for (int i = 0; i < 100; i++) {
        EXPECT_INT(ask_integer("RPUSH l %s", dialog_filler(300, (uint64_t)i)), i + 1);
    }
    redisReply *payload = payload_of("l");
    EXPECT_TEXT(ask("RESTORE short 0 %b", "\0\005hello\012\0cr\337ve4 \n", (size_t)17), "OK");
    EXPECT_TEXT(ask("RESTORE long 5000000000007 %b ABSTTL", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("RESTORE short 1000 %b ABSTTL REPLACE", payload->str, payload->len), "OK");
    EXPECT_TEXT(ask("RESTORE s 0 %b", "\0\005hello\012\0cr\337ve4 \n", (size_t)17), "OK");
    freeReplyObject(payload);
    dialog_crash();
    EXPECT_TEXT(ask("GET s"), "hello");
    EXPECT_TEXT(ask("EXISTS short"), "(0)");
    EXPECT_TEXT(ask("PEXPIRETIME long"), "(5000000000007)");
    EXPECT_INT(ask_integer("LLEN long"), 100);
    EXPECT_TEXT(ask("LINDEX long 99"), dialog_filler(300, 99));
}
