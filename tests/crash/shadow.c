/* shadow: kill -9 under load of every data type, with redis-server as the one that remembers.
 *
 *     shadow [--rounds N] [--seed S] [--server PATH] [server argument …]
 *
 * Each store has other arguments; most settle so little log at a time that rounds and merges come
 * many times a second, some never settle.
 *
 * A lane is a connection with keys of its own, one or two of each type. What it sends to Basin goes
 * to a redis-server as well, but only once Basin has answered; the two answers must be the same.
 * Basin is killed in the middle and started again. What was sent and not answered is pending: the
 * keys of a lane must be as the shadow's after the first m pending commands, for one m, all of them
 * together. So redis-server is the model, and all commands and types can be in it that give the
 * same in both, without time and chance.
 *
 * crash.c asks more of a few types (readers, groups over lanes, databases); this asks one thing of
 * all of them. Output: a line a round, and "N passed, N failed". */
#include "redis-tests/process.h"

#include "engine/base/bytes.h"
#include "engine/base/check.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LANES 6
#define DEPTH_MAX 24
#define ROUNDS_A_STORE 8
#define TEXT_MAX 8192
#define MEMBERS 700 /* Beyond every threshold of encodings. */

struct command {
    char text[TEXT_MAX]; /* Words, each with its NUL. */
    size_t size;
    size_t words;
};

struct lane {
    unsigned number;
    uint64_t random, id; /* id: of streams, growing. */
    int port, shadow_port;
    redisContext *shadow;
    struct command pending[DEPTH_MAX];
    size_t pending_count;
    uint64_t answered;
    bool wrong;
    pthread_t thread;
};

static const char *const binary_redis = "redis-server";

/* -- Chance ------------------------------------------------------------------------------------ */

static uint64_t chance(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static unsigned below(struct lane *lane, unsigned bound)
{
    return (unsigned)(chance(&lane->random) >> 33) % bound;
}

/* -- Commands ---------------------------------------------------------------------------------- */

static void word(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void word(struct command *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int size = vsnprintf(command->text + command->size, TEXT_MAX - command->size, format, list);
    va_end(list);
    CHECK(size >= 0 && command->size + (size_t)size < TEXT_MAX);
    command->size += (size_t)size + 1;
    command->words++;
}

/* Kinds of keys, each twice a lane. */
static const char *const kinds[] = {"text", "list", "hash", "set", "zset", "stream", "numbers"};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void key(struct lane *lane, struct command *command, const char *kind)
{
    word(command, "L%u:%s:%u", lane->number, kind, below(lane, 2));
}

static void member(struct lane *lane, struct command *command)
{
    unsigned i = below(lane, MEMBERS);
    if (i % 97 == 0) {
        word(command, "member:%u:%0*u", i, 80 + (int)(i * 37 % 2500), i);
    } else {
        word(command, "m%u", i);
    }
}

static void payload(struct lane *lane, struct command *command)
{
    unsigned kind = below(lane, 60);
    int size = kind == 0 ? 2500 : kind < 4 ? 100 : 1 + (int)below(lane, 30);
    word(command, "%0*u", size, below(lane, 1000));
}

static void many(struct lane *lane, struct command *command, const char *kind)
{
    unsigned count = 1 + below(lane, 3);
    for (unsigned i = 0; i < count; i++) {
        if (kind[0] == 'z') {
            word(command, "%d.%u", (int)below(lane, 400) - 200, below(lane, 4) * 25);
        }
        member(lane, command);
        if (kind[0] == 'h') {
            payload(lane, command);
        }
    }
}

static void draw_text(struct lane *lane, struct command *command)
{
    switch (below(lane, 6)) {
    case 0:
        word(command, "SET");
        key(lane, command, "text");
        payload(lane, command);
        break;
    case 1:
        word(command, "APPEND");
        key(lane, command, "text");
        payload(lane, command);
        break;
    case 2:
        word(command, "SETRANGE");
        key(lane, command, "text");
        word(command, "%u", below(lane, 6000));
        payload(lane, command);
        break;
    case 3:
        word(command, "SETBIT");
        key(lane, command, "text");
        word(command, "%u", below(lane, 40000));
        word(command, "%u", below(lane, 2));
        break;
    case 4:
        word(command, "BITOP");
        word(command, "XOR");
        key(lane, command, "text");
        key(lane, command, "text");
        key(lane, command, "text");
        break;
    default:
        word(command, "PFADD");
        word(command, "L%u:hll", lane->number);
        member(lane, command);
    }
}

static void draw_list(struct lane *lane, struct command *command)
{
    switch (below(lane, 6)) {
    case 0:
    case 1:
    case 2:
        word(command, below(lane, 2) == 0 ? "RPUSH" : "LPUSH");
        key(lane, command, "list");
        many(lane, command, "list");
        break;
    case 3:
        word(command, "LSET");
        key(lane, command, "list");
        word(command, "%u", below(lane, 50));
        payload(lane, command);
        break;
    case 4:
        word(command, "LPOP");
        key(lane, command, "list");
        word(command, "%u", 1 + below(lane, 4));
        break;
    default:
        word(command, "LTRIM");
        key(lane, command, "list");
        word(command, "0");
        word(command, "%u", 600);
    }
}

static void draw_hash(struct lane *lane, struct command *command)
{
    switch (below(lane, 5)) {
    case 0:
        word(command, "HDEL");
        key(lane, command, "hash");
        many(lane, command, "set");
        break;
    case 1:
        word(command, "HINCRBY");
        key(lane, command, "numbers");
        member(lane, command);
        word(command, "%u", below(lane, 100));
        break;
    case 2:
        word(command, "HSETNX");
        key(lane, command, "hash");
        member(lane, command);
        payload(lane, command);
        break;
    default:
        word(command, "HSET");
        key(lane, command, "hash");
        many(lane, command, "hash");
    }
}

static void draw_set(struct lane *lane, struct command *command)
{
    static const char *const stores[] = {"SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"};
    switch (below(lane, 8)) {
    case 0:
    case 1:
        word(command, "SREM");
        key(lane, command, "set");
        many(lane, command, "set");
        break;
    case 2:
        word(command, "SMOVE");
        key(lane, command, "set");
        key(lane, command, "set");
        member(lane, command);
        break;
    case 3:
        word(command, "%s", stores[below(lane, 3)]);
        word(command, "L%u:result", lane->number);
        key(lane, command, "set");
        key(lane, command, "set");
        break;
    case 4:
        word(command, "SADD");
        word(command, "L%u:integers", lane->number);
        word(command, "%d", (int)below(lane, 1200) - 600);
        break;
    default:
        word(command, "SADD");
        key(lane, command, "set");
        many(lane, command, "set");
    }
}

static void draw_zset(struct lane *lane, struct command *command)
{
    switch (below(lane, 10)) {
    case 0:
        word(command, "ZREM");
        key(lane, command, "zset");
        many(lane, command, "set");
        break;
    case 1:
        word(command, "ZINCRBY");
        key(lane, command, "zset");
        word(command, "%d.5", (int)below(lane, 20) - 10);
        member(lane, command);
        break;
    case 2:
        word(command, "ZREMRANGEBYRANK");
        key(lane, command, "zset");
        word(command, "%u", below(lane, 30));
        word(command, "%u", 10 + below(lane, 30));
        break;
    case 3:
        word(command, below(lane, 2) == 0 ? "ZPOPMIN" : "ZPOPMAX");
        key(lane, command, "zset");
        word(command, "%u", below(lane, 4));
        break;
    case 4:
        word(command, "ZUNIONSTORE");
        word(command, "L%u:sums", lane->number);
        word(command, "2");
        key(lane, command, "zset");
        key(lane, command, "zset");
        word(command, "WEIGHTS");
        word(command, "2");
        word(command, "-1");
        break;
    case 5:
        word(command, "GEOADD");
        word(command, "L%u:places", lane->number);
        word(command, "%d.%u", (int)below(lane, 340) - 170, below(lane, 1000));
        word(command, "%d.%u", (int)below(lane, 160) - 80, below(lane, 1000));
        member(lane, command);
        break;
    default:
        word(command, "ZADD");
        key(lane, command, "zset");
        many(lane, command, "zset");
    }
}

static void draw_stream(struct lane *lane, struct command *command)
{
    unsigned kind = below(lane, 12);
    switch (kind) {
    case 0:
        word(command, "XGROUP");
        word(command, "CREATE");
        key(lane, command, "stream");
        word(command, "g%u", below(lane, 2));
        word(command, "0");
        word(command, "MKSTREAM");
        break;
    case 1:
    case 2:
        word(command, "XREADGROUP");
        word(command, "GROUP");
        word(command, "g%u", below(lane, 2));
        word(command, "c%u", below(lane, 3));
        word(command, "COUNT");
        word(command, "%u", 1 + below(lane, 5));
        word(command, "STREAMS");
        key(lane, command, "stream");
        word(command, ">");
        break;
    case 3:
        word(command, "XACK");
        key(lane, command, "stream");
        word(command, "g%u", below(lane, 2));
        word(command, "%" PRIu64 "-1", 1 + lane->id - below(lane, 40) % (lane->id + 1));
        break;
    case 4:
        word(command, "XDEL");
        key(lane, command, "stream");
        word(command, "%" PRIu64 "-1", 1 + lane->id - below(lane, 40) % (lane->id + 1));
        break;
    case 5:
        word(command, "XTRIM");
        key(lane, command, "stream");
        word(command, "MAXLEN");
        word(command, "%u", 200 + below(lane, 200));
        break;
    case 6:
        word(command, "XCLAIM");
        key(lane, command, "stream");
        word(command, "g%u", below(lane, 2));
        word(command, "c%u", below(lane, 3));
        word(command, "0");
        word(command, "%" PRIu64 "-1", 1 + lane->id - below(lane, 40) % (lane->id + 1));
        word(command, "JUSTID");
        break;
    default:
        word(command, "XADD");
        key(lane, command, "stream");
        word(command, "%" PRIu64 "-1", ++lane->id);
        word(command, "field");
        payload(lane, command);
        if (kind == 7) {
            word(command, "other");
            payload(lane, command);
        }
    }
}

static void draw_any(struct lane *lane, struct command *command)
{
    const char *kind = kinds[below(lane, KINDS)];
    switch (below(lane, 4)) {
    case 0:
        word(command, "DEL");
        key(lane, command, kind);
        break;
    case 1:
        word(command, "RENAME");
        key(lane, command, kind);
        key(lane, command, kind);
        break;
    case 2:
        word(command, "PEXPIREAT");
        key(lane, command, kind);
        word(command, "%llu", 4000000000000ull + below(lane, 1000));
        break;
    default:
        word(command, "COPY");
        key(lane, command, kind);
        key(lane, command, kind);
        word(command, "REPLACE");
    }
}

static void draw(struct lane *lane, struct command *command)
{
    static void (*const draws[])(struct lane *, struct command *) = {
        draw_text, draw_list, draw_hash, draw_set, draw_zset, draw_stream};
    command->size = 0;
    command->words = 0;
    if (below(lane, 60) == 0) {
        draw_any(lane, command);
    } else {
        draws[below(lane, 6)](lane, command);
    }
}

static void append(redisContext *context, const struct command *command)
{
    const char *argv[64];
    size_t sizes[64];
    const char *p = command->text;
    CHECK(command->words <= 64);
    for (size_t i = 0; i < command->words; i++) {
        argv[i] = p;
        sizes[i] = strlen(p);
        p += sizes[i] + 1;
    }
    (void)redisAppendCommandArgv(context, (int)command->words, argv, sizes);
}

/* -- Replies ----------------------------------------------------------------------------------- */

static bool reply_same(const redisReply *a, const redisReply *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case REDIS_REPLY_INTEGER:
        return a->integer == b->integer;
    case REDIS_REPLY_ARRAY:
        if (a->elements != b->elements) {
            return false;
        }
        for (size_t i = 0; i < a->elements; i++) {
            if (!reply_same(a->element[i], b->element[i])) {
                return false;
            }
        }
        return true;
    case REDIS_REPLY_NIL:
        return true;
    case REDIS_REPLY_ERROR: /* Words differ where Basin says more. */
        return strncmp(a->str, b->str, 4) == 0;
    default:
        return bytes_equal(bytes_of(a->str, (size_t)a->len), bytes_of(b->str, (size_t)b->len));
    }
}

static redisReply *reply_next(redisContext *context, const char *who)
{
    redisReply *reply = NULL;
    if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
        fprintf(stderr, "%s does not answer: %s\n", who, context->errstr);
        exit(1);
    }
    return reply;
}

static redisContext *connect_to(int port, const char *who)
{
    redisContext *context = redisConnect("127.0.0.1", port);
    if (context == NULL || context->err != 0) {
        fprintf(stderr, "cannot connect to %s\n", who);
        exit(1);
    }
    return context;
}

static void print_command(const struct command *command)
{
    const char *p = command->text;
    for (size_t i = 0; i < command->words; i++, p += strlen(p) + 1) {
        printf(" %.40s", p);
    }
    printf("\n");
}

/* -- A lane under load --------------------------------------------------------------------------
 */

/* The first pending command was answered: the shadow does it too. */
static void settle(struct lane *lane, const redisReply *reply)
{
    append(lane->shadow, &lane->pending[0]);
    redisReply *expected = reply_next(lane->shadow, binary_redis);
    if (reply != NULL && !reply_same(reply, expected)) {
        printf("    another answer than redis-server's (%d %lld %.60s, %d %lld %.60s) to",
               reply->type, reply->integer, reply->str == NULL ? "" : reply->str, expected->type,
               expected->integer, expected->str == NULL ? "" : expected->str);
        print_command(&lane->pending[0]);
        lane->wrong = true;
    }
    freeReplyObject(expected);
    lane->pending_count--;
    memmove(&lane->pending[0], &lane->pending[1], lane->pending_count * sizeof(lane->pending[0]));
}

static void *lane_run(void *arg)
{
    struct lane *lane = arg;
    redisContext *context = connect_to(lane->port, "Basin");
    for (;;) {
        size_t depth = 1 + below(lane, DEPTH_MAX);
        while (lane->pending_count < depth) {
            draw(lane, &lane->pending[lane->pending_count]);
            append(context, &lane->pending[lane->pending_count++]);
        }
        while (lane->pending_count > 0) {
            redisReply *reply = NULL;
            if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
                redisFree(context); /* Killed. */
                return NULL;
            }
            settle(lane, reply);
            freeReplyObject(reply);
            lane->answered++;
        }
    }
}

/* -- The verdict ------------------------------------------------------------------------------- */

static int text_order(const void *a, const void *b)
{
    const redisReply *x = *(redisReply *const *)a;
    const redisReply *y = *(redisReply *const *)b;
    return bytes_compare(bytes_of(x->str, (size_t)x->len), bytes_of(y->str, (size_t)y->len));
}

static void add(struct buf *out, const char *data, size_t size)
{
    char head[24];
    int head_size = snprintf(head, sizeof(head), "%zu:", size);
    CHECK(buf_append(out, bytes_of(head, (size_t)head_size)) == ST_OK);
    CHECK(buf_append(out, bytes_of(data, size)) == ST_OK);
}

static void flatten(const redisReply *reply, struct buf *out)
{
    char number[32];
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++) {
            flatten(reply->element[i], out);
        }
        CHECK(buf_append(out, bytes_of(";", 1)) == ST_OK);
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        int size = snprintf(number, sizeof(number), "%lld", reply->integer);
        add(out, number, (size_t)size);
    } else {
        add(out, reply->str == NULL ? "nil" : reply->str, (size_t)reply->len);
    }
}

static void ask(redisContext *context, struct buf *out, const char *who, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void ask(redisContext *context, struct buf *out, const char *who, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(context, format, list);
    va_end(list);
    if (reply == NULL) {
        fprintf(stderr, "%s does not answer: %s\n", who, context->errstr);
        exit(1);
    }
    if (reply->type == REDIS_REPLY_ARRAY && strncmp(format, "SMEMBERS", 8) == 0) {
        qsort(reply->element, reply->elements, sizeof(reply->element[0]), text_order);
    } else if (reply->type == REDIS_REPLY_ARRAY && strncmp(format, "HGETALL", 7) == 0) {
        qsort(reply->element, reply->elements / 2, 2 * sizeof(reply->element[0]), text_order);
    } else if (reply->type == REDIS_REPLY_ARRAY && strncmp(format, "XPENDING", 8) == 0) {
        for (size_t i = 0; i < reply->elements; i++) {
            reply->element[i]->element[2]->integer = 0; /* Idle since then. */
        }
    } else if (reply->type == REDIS_REPLY_ARRAY && strncmp(format, "XINFO", 5) == 0) {
        for (size_t i = 0; i < reply->elements; i++) {
            /* Since 7.2 a consumer is made also when there is nothing to read or to claim. */
            reply->element[i]->element[3]->integer = 0;
        }
    }
    flatten(reply, out);
    freeReplyObject(reply);
}

/* All that a client can know of a key. */
static void state_of(redisContext *context, const char *who, const char *name, struct buf *out)
{
    redisReply *type = redisCommand(context, "TYPE %s", name);
    if (type == NULL) {
        fprintf(stderr, "%s does not answer: %s\n", who, context->errstr);
        exit(1);
    }
    out->size = 0;
    add(out, type->str, (size_t)type->len);
    if (strcmp(type->str, "string") == 0) {
        ask(context, out, who, "GET %s", name);
    } else if (strcmp(type->str, "list") == 0) {
        ask(context, out, who, "LRANGE %s 0 -1", name);
    } else if (strcmp(type->str, "hash") == 0) {
        ask(context, out, who, "HGETALL %s", name);
    } else if (strcmp(type->str, "set") == 0) {
        ask(context, out, who, "SMEMBERS %s", name);
    } else if (strcmp(type->str, "zset") == 0) {
        ask(context, out, who, "ZRANGE %s 0 -1 WITHSCORES", name);
    } else if (strcmp(type->str, "stream") == 0) {
        ask(context, out, who, "XRANGE %s - +", name);
        ask(context, out, who, "XINFO GROUPS %s", name);
        for (unsigned i = 0; i < 2; i++) {
            ask(context, out, who, "XPENDING %s g%u - + 10000", name, i);
        }
    }
    ask(context, out, who, "PEXPIRETIME %s", name);
    freeReplyObject(type);
}

/* False: the key differs; which one is told if wanted. */
static bool lane_same(struct lane *lane, redisContext *context, bool tell)
{
    static const char *const others[] = {"hll", "result", "integers", "sums", "places"};
    struct buf actual = BUF_EMPTY;
    struct buf expected = BUF_EMPTY;
    bool same = true;
    for (size_t i = 0; i < KINDS * 2 + 5 && same; i++) {
        char name[64];
        if (i < KINDS * 2) {
            snprintf(name, sizeof(name), "L%u:%s:%zu", lane->number, kinds[i / 2], i % 2);
        } else {
            snprintf(name, sizeof(name), "L%u:%s", lane->number, others[i - KINDS * 2]);
        }
        state_of(context, "Basin", name, &actual);
        state_of(lane->shadow, binary_redis, name, &expected);
        same = bytes_equal(buf_bytes(&actual), buf_bytes(&expected));
        if (!same && tell) {
            size_t at = 0;
            while (at < actual.size && at < expected.size && actual.data[at] == expected.data[at]) {
                at++;
            }
            size_t from = at < 40 ? 0 : at - 40;
            printf("    %zu pending: %s differs at byte %zu of %zu, redis-server has %zu: %.*s | "
                   "%.*s\n",
                   lane->pending_count, name, at, actual.size, expected.size,
                   (int)(actual.size - from < 80 ? actual.size - from : 80), actual.data + from,
                   (int)(expected.size - from < 80 ? expected.size - from : 80),
                   expected.data + from);
        }
    }
    buf_deinit(&actual);
    buf_deinit(&expected);
    return same;
}

static bool lane_judge(struct lane *lane)
{
    redisContext *context = connect_to(lane->port, "Basin");
    bool same = false;
    for (;;) {
        same = lane_same(lane, context, lane->pending_count == 0);
        if (same || lane->pending_count == 0) {
            break;
        }
        settle(lane, NULL);
    }
    lane->pending_count = 0;
    redisFree(context);
    return same && !lane->wrong;
}

/* -- Rounds ------------------------------------------------------------------------------------ */

static const char *const *arguments_draw(uint64_t *random, char **extra)
{
    static const char *words[64];
    static const char *const shards[] = {"1", "4", "64"};
    static const char *const settles[] = {"4kb", "4kb", "64kb", "64mb", "0"};
    static const char *const limits[] = {"0", "1mb", "4mb"};
    size_t count = 0;
    const char *settle = settles[chance(random) % 5];
    const char *limit = limits[chance(random) % 3];
    words[count++] = "--settle-log-size";
    words[count++] = settle;
    words[count++] = "--maxmemory"; /* Past it a store that does not settle refuses. */
    words[count++] = strcmp(settle, "0") == 0 ? "0" : limit;
    words[count++] = "--log-segment-size";
    words[count++] = "1mb";
    words[count++] = "--workers";
    words[count++] = chance(random) % 2 == 0 ? "1" : "2";
    words[count++] = "--shards";
    words[count++] = shards[chance(random) % 3];
    words[count++] = "--simulate-misses";
    words[count++] = chance(random) % 3 == 0 ? "yes" : "no";
    for (size_t i = 0; extra[i] != NULL && count < 63; i++) {
        words[count++] = extra[i];
    }
    words[count] = NULL;
    return words;
}

static bool round_run(struct lane *lanes, struct process *server, uint64_t *random)
{
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i].port = process_port(server);
        CHECK(pthread_create(&lanes[i].thread, NULL, lane_run, &lanes[i]) == 0);
    }
    usleep((useconds_t)(50000 + chance(random) % 400000));
    process_kill(server);
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(lanes[i].thread, NULL);
    }
    process_restart(server);
    bool good = true;
    for (unsigned i = 0; i < LANES; i++) {
        good &= lane_judge(&lanes[i]);
    }
    return good;
}

static void lanes_begin(struct lane *lanes, int shadow_port, uint64_t *random)
{
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.number = i, .random = chance(random), .shadow_port = shadow_port};
        lanes[i].shadow = connect_to(shadow_port, binary_redis);
    }
    redisReply *reply = redisCommand(lanes[0].shadow, "FLUSHALL");
    freeReplyObject(reply);
}

int main(int argc, char **argv)
{
    unsigned rounds = 10;
    uint64_t seed = (uint64_t)time(NULL);
    const char *binary = NULL;
    int at = 1;
    for (; at + 1 < argc; at += 2) {
        if (strcmp(argv[at], "--rounds") == 0) {
            rounds = (unsigned)strtoul(argv[at + 1], NULL, 10);
        } else if (strcmp(argv[at], "--seed") == 0) {
            seed = strtoull(argv[at + 1], NULL, 10);
        } else if (strcmp(argv[at], "--server") == 0) {
            binary = argv[at + 1];
        } else {
            break;
        }
    }
    static const char *const memory_only[] = {"--save", "", "--appendonly", "no", NULL};
    struct process_options shadow_options = {.binary = binary_redis, .arguments = memory_only};
    struct process *shadow = process_start(&shadow_options);
    if (shadow == NULL) {
        return 1;
    }
    uint64_t random = seed;
    struct process *server = NULL;
    struct lane *lanes = calloc(LANES, sizeof(*lanes));
    CHECK(lanes != NULL);
    unsigned passed = 0;
    unsigned failed = 0;
    uint64_t answered = 0;
    printf("seed %" PRIu64 "\n", seed);
    for (unsigned round = 0; round < rounds; round++) {
        if (round % ROUNDS_A_STORE == 0 || server == NULL) {
            process_free(server);
            struct process_options options = {.binary = binary,
                                              .arguments = arguments_draw(&random, argv + at)};
            server = process_start(&options);
            if (server == NULL) {
                return 1;
            }
            lanes_begin(lanes, process_port(shadow), &random);
        }
        bool good = round_run(lanes, server, &random);
        good ? passed++ : failed++;
        for (unsigned i = 0; i < LANES; i++) {
            answered += lanes[i].answered;
            lanes[i].answered = 0;
        }
        printf("round %u: %s, %" PRIu64 " commands so far\n", round, good ? "ok" : "FAILED",
               answered);
        fflush(stdout);
        if (!good) {
            process_free(server); /* What follows would only say the same. */
            server = NULL;
        }
    }
    process_free(server);
    process_free(shadow);
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
