#include "tests/crash/crash_cold.h"

#include "tests/crash/crash_load.h"

#include "engine/base/check.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A list's elements are cells behind those of the texts. */
#define ELEMENTS 200
#define TEXTS_LARGE 8000
#define LISTS_LARGE 250
#define TEXTS_SMALL 150
#define LISTS_SMALL 3
#define VALUE_MAX 100000
#define DEPTH 32
#define BATCH 200 /* Keys that are read at once. */

enum deed { DEED_WRITE, DEED_READ };

struct pending {
    enum deed deed;
    unsigned cell;
    uint32_t version; /* That it makes, or must see. */
};

struct cold {
    uint64_t seed, random;
    unsigned texts, lists, cells;
    uint32_t *sent, *acked; /* Versions, by cell; 0: never written. */
    struct pending pending[DEPTH];
    unsigned pending_count;
    char *value; /* VALUE_MAX, of who draws, */
    char *other; /* and of who looks. */
    int port;
    pthread_t writer, keeper;
    struct cold_counts counts;
    char why[WHY_SIZE];
    char keeper_why[WHY_SIZE];
    bool failed, keeper_failed;
};

/* -- Content ----------------------------------------------------------------------------------- */

static uint64_t mix(const struct cold *cold, unsigned cell, uint32_t version)
{
    uint64_t state = cold->seed + cell * 0x10001ull + ((uint64_t)version << 40);
    return chance(&state);
}

static bool is_text(const struct cold *cold, unsigned cell)
{
    return cell < cold->texts;
}

/* Texts of this version are not there. */
static bool is_deleted(const struct cold *cold, unsigned cell, uint32_t version)
{
    return version == 0 ||
           (is_text(cold, cell) && version > 1 && mix(cold, cell, version) % 8 == 0);
}

static size_t size_of(const struct cold *cold, unsigned cell, uint32_t version)
{
    uint64_t drawn = mix(cold, cell, version) >> 8;
    if (!is_text(cold, cell)) {
        return 40 + drawn % 120;
    }
    return drawn % 64 == 0 ? 20000 + (drawn >> 8) % (VALUE_MAX - 20000) : 40 + (drawn >> 8) % 6000;
}

/* The bytes of a version, into text; gives how many. */
static size_t content(const struct cold *cold, unsigned cell, uint32_t version, char *text)
{
    size_t size = size_of(cold, cell, version);
    size_t head = (size_t)snprintf(text, size, "%u/%" PRIu32 ":", cell, version);
    for (size_t i = head; i < size; i++) { /* So that parts differ. */
        text[i] = (char)('a' + (cell + version + i / 700) % 26);
    }
    return size;
}

static void name_of(const struct cold *cold, unsigned cell, char *name, size_t size)
{
    if (is_text(cold, cell)) {
        snprintf(name, size, "cold:%u", cell);
    } else {
        snprintf(name, size, "cold:list:%u", (cell - cold->texts) / ELEMENTS);
    }
}

static unsigned element_of(const struct cold *cold, unsigned cell)
{
    return (cell - cold->texts) % ELEMENTS;
}

/* Whether the reply shows this version. */
static bool shows(struct cold *cold, const redisReply *reply, unsigned cell, uint32_t version)
{
    if (is_deleted(cold, cell, version)) {
        return reply->type == REDIS_REPLY_NIL;
    }
    size_t size = content(cold, cell, version, cold->other);
    return reply->type == REDIS_REPLY_STRING && (size_t)reply->len == size &&
           memcmp(reply->str, cold->other, size) == 0;
}

/* -- Life -------------------------------------------------------------------------------------- */

struct cold *cold_new(uint64_t seed, bool large)
{
    struct cold *cold = calloc(1, sizeof(*cold));
    CHECK(cold != NULL);
    cold->seed = seed;
    cold->random = seed + 1;
    cold->texts = large ? TEXTS_LARGE : TEXTS_SMALL;
    cold->lists = large ? LISTS_LARGE : LISTS_SMALL;
    cold->cells = cold->texts + cold->lists * ELEMENTS;
    cold->sent = calloc(cold->cells, sizeof(*cold->sent));
    cold->acked = calloc(cold->cells, sizeof(*cold->acked));
    cold->value = malloc(VALUE_MAX);
    cold->other = malloc(VALUE_MAX);
    CHECK(cold->sent != NULL && cold->acked != NULL && cold->value != NULL && cold->other != NULL);
    return cold;
}

void cold_free(struct cold *cold)
{
    if (cold != NULL) {
        free(cold->sent);
        free(cold->acked);
        free(cold->value);
        free(cold->other);
        free(cold);
    }
}

static redisContext *connect_to(int port)
{
    redisContext *context = load_connect(port);
    redisReply *reply = redisCommand(context, "SELECT %d", COLD_DATABASE);
    CHECK(reply != NULL && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    return context;
}

static bool answered(redisContext *context, int type)
{
    redisReply *reply = NULL;
    bool fine = redisGetReply(context, (void **)&reply) == REDIS_OK && reply->type == type;
    freeReplyObject(reply);
    return fine;
}

bool cold_fill(struct cold *cold, int port, char *why)
{
    redisContext *context = connect_to(port);
    char name[64];
    bool fine = true;
    for (unsigned first = 0; first < cold->cells && fine; first += BATCH) {
        unsigned end = first + BATCH < cold->cells ? first + BATCH : cold->cells;
        for (unsigned cell = first; cell < end; cell++) {
            size_t size = content(cold, cell, 1, cold->value);
            name_of(cold, cell, name, sizeof(name));
            redisAppendCommand(context, is_text(cold, cell) ? "SET %s %b" : "RPUSH %s %b", name,
                               cold->value, size);
            cold->sent[cell] = cold->acked[cell] = 1;
        }
        for (unsigned cell = first; cell < end && fine; cell++) {
            fine =
                answered(context, is_text(cold, cell) ? REDIS_REPLY_STATUS : REDIS_REPLY_INTEGER);
        }
    }
    snprintf(why, WHY_SIZE, "the cold data set was not taken: %s", context->errstr);
    redisFree(context);
    return fine;
}

/* -- Writing ----------------------------------------------------------------------------------- */

static void write_append(struct cold *cold, redisContext *context, struct pending *pending)
{
    unsigned cell = pending->cell;
    char name[64];
    name_of(cold, cell, name, sizeof(name));
    pending->version = ++cold->sent[cell];
    if (is_deleted(cold, cell, pending->version)) {
        redisAppendCommand(context, "DEL %s", name);
        return;
    }
    size_t size = content(cold, cell, pending->version, cold->value);
    if (is_text(cold, cell)) {
        redisAppendCommand(context, "SET %s %b", name, cold->value, size);
    } else {
        redisAppendCommand(context, "LSET %s %u %b", name, element_of(cold, cell), cold->value,
                           size);
    }
}

static void read_append(struct cold *cold, redisContext *context, struct pending *pending)
{
    char name[64];
    name_of(cold, pending->cell, name, sizeof(name));
    pending->version = cold->sent[pending->cell];
    if (is_text(cold, pending->cell)) {
        redisAppendCommand(context, "GET %s", name);
    } else {
        redisAppendCommand(context, "LINDEX %s %u", name, element_of(cold, pending->cell));
    }
}

static void draw(struct cold *cold, redisContext *context)
{
    struct pending *pending = &cold->pending[cold->pending_count++];
    bool text = chance_below(&cold->random, 4) != 0;
    pending->cell =
        text ? (unsigned)chance_below(&cold->random, cold->texts)
             : cold->texts + (unsigned)chance_below(&cold->random, cold->cells - cold->texts);
    pending->deed = chance_below(&cold->random, 5) < 3 ? DEED_WRITE : DEED_READ;
    if (pending->deed == DEED_WRITE) {
        write_append(cold, context, pending);
    } else {
        read_append(cold, context, pending);
    }
}

/* Whether the first of the pending can be answered so. Of a deletion: whether there was one. */
static bool fits(struct cold *cold, const struct pending *pending, const redisReply *reply)
{
    if (pending->deed == DEED_READ) {
        return shows(cold, reply, pending->cell, pending->version);
    }
    if (is_deleted(cold, pending->cell, pending->version)) {
        return reply->type == REDIS_REPLY_INTEGER &&
               reply->integer == !is_deleted(cold, pending->cell, pending->version - 1);
    }
    return reply->type == REDIS_REPLY_STATUS;
}

static void *writer_run(void *arg)
{
    struct cold *cold = arg;
    redisContext *context = connect_to(cold->port);
    redisReply *reply = NULL;
    while (!cold->failed) {
        while (cold->pending_count < DEPTH) {
            draw(cold, context);
        }
        if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
            break; /* Killed. */
        }
        struct pending *pending = &cold->pending[0];
        if (!fits(cold, pending, reply)) {
            cold->failed = true;
            snprintf(cold->why, WHY_SIZE,
                     "cold cell %u, %s of version %" PRIu32 ": type %d, %lld, \"%.60s\"",
                     pending->cell, pending->deed == DEED_READ ? "a read" : "the write",
                     pending->version, reply->type, reply->integer,
                     reply->str == NULL ? "" : reply->str);
        } else if (pending->deed == DEED_WRITE) {
            cold->acked[pending->cell] = pending->version;
            cold->counts.written++;
        } else {
            cold->counts.read++;
        }
        freeReplyObject(reply);
        memmove(pending, pending + 1, --cold->pending_count * sizeof(*pending));
    }
    redisFree(context);
    return NULL;
}

/* -- Keeping house ----------------------------------------------------------------------------- */

static uint64_t figure(const redisReply *reply, const char *name)
{
    char pattern[64];
    snprintf(pattern, sizeof(pattern), "\n%s:", name);
    const char *at = strstr(reply->str, pattern);
    CHECK(at != NULL);
    return strtoull(at + strlen(pattern), NULL, 10);
}

/* False: it does not answer any more, or with an error that it may not give. */
static bool keep(struct cold *cold, redisContext *context, struct cold_counts *life)
{
    static const char *const commands[] = {"BASIN.SETTLE", "BASIN.COMPACT", "INFO everything"};
    for (unsigned i = 0; i < 3; i++) {
        redisReply *reply = redisCommand(context, commands[i]);
        if (reply == NULL) {
            return false;
        }
        if (reply->type == REDIS_REPLY_ERROR) {
            cold->keeper_failed = true;
            snprintf(cold->keeper_why, WHY_SIZE, "%s: %.300s", commands[i], reply->str);
        } else if (i == 2) {
            life->rounds = figure(reply, "storage_settle_rounds");
            life->passes = figure(reply, "storage_merge_passes");
            life->moved_bytes = figure(reply, "storage_moved_bytes");
            life->loads =
                figure(reply, "storage_loaded_keys") + figure(reply, "storage_loaded_parts");
            life->rotations = figure(reply, "log_rotations");
        }
        freeReplyObject(reply);
    }
    return !cold->keeper_failed;
}

static void *keeper_run(void *arg)
{
    struct cold *cold = arg;
    struct cold_counts life = {.lives = 0};
    uint64_t random = cold->seed + cold->counts.lives;
    redisContext *context = connect_to(cold->port);
    while (keep(cold, context, &life)) {
        usleep((useconds_t)chance_below(&random, 20000));
    }
    redisFree(context);
    cold->counts.lives++;
    cold->counts.rounds += life.rounds;
    cold->counts.passes += life.passes;
    cold->counts.moved_bytes += life.moved_bytes;
    cold->counts.loads += life.loads;
    cold->counts.rotations += life.rotations;
    return NULL;
}

void cold_begin(struct cold *cold, int port)
{
    cold->port = port;
    cold->counts = (struct cold_counts){.lives = 0};
    CHECK(cold->pending_count == 0);
    CHECK(pthread_create(&cold->writer, NULL, writer_run, cold) == 0);
    CHECK(pthread_create(&cold->keeper, NULL, keeper_run, cold) == 0);
}

bool cold_end(struct cold *cold, struct cold_counts *counts, char *why)
{
    pthread_join(cold->writer, NULL);
    pthread_join(cold->keeper, NULL);
    counts->lives += cold->counts.lives;
    counts->rounds += cold->counts.rounds;
    counts->passes += cold->counts.passes;
    counts->moved_bytes += cold->counts.moved_bytes;
    counts->loads += cold->counts.loads;
    counts->rotations += cold->counts.rotations;
    counts->written += cold->counts.written;
    counts->read += cold->counts.read;
    if (cold->failed || cold->keeper_failed) {
        memcpy(why, cold->failed ? cold->why : cold->keeper_why, WHY_SIZE);
    }
    return !cold->failed && !cold->keeper_failed;
}

/* -- The verdict ------------------------------------------------------------------------------- */

/* The version that the reply shows, the latest that it may; false: none. */
static bool version_of(struct cold *cold, const redisReply *reply, unsigned cell,
                       uint32_t *version_out)
{
    for (uint32_t version = cold->sent[cell]; version + 1 > cold->acked[cell]; version--) {
        if (shows(cold, reply, cell, version)) {
            *version_out = version;
            return true;
        }
        if (version == 0) {
            break;
        }
    }
    return false;
}

static unsigned judge(struct cold *cold, const redisReply *reply, unsigned cell, uint32_t *found)
{
    if (version_of(cold, reply, cell, &found[cell])) {
        return 0;
    }
    found[cell] = cold->acked[cell];
    printf("  cold cell %u: versions %" PRIu32 " to %" PRIu32 " may be there, found: type %d, %lld "
           "bytes, \"%.40s\"\n",
           cell, cold->acked[cell], cold->sent[cell], reply->type, (long long)reply->len,
           reply->str == NULL ? "" : reply->str);
    return 1;
}

static redisReply *reply_next(redisContext *context)
{
    redisReply *reply = NULL;
    if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
        fprintf(stderr, "the restarted server does not answer: %s\n", context->errstr);
        exit(1);
    }
    return reply;
}

static unsigned texts_verify(struct cold *cold, redisContext *context, uint32_t *found)
{
    unsigned problems = 0;
    for (unsigned first = 0; first < cold->texts; first += BATCH) {
        unsigned end = first + BATCH < cold->texts ? first + BATCH : cold->texts;
        for (unsigned cell = first; cell < end; cell++) {
            redisAppendCommand(context, "GET cold:%u", cell);
        }
        for (unsigned cell = first; cell < end; cell++) {
            redisReply *reply = reply_next(context);
            problems += judge(cold, reply, cell, found);
            freeReplyObject(reply);
        }
    }
    return problems;
}

static unsigned lists_verify(struct cold *cold, redisContext *context, uint32_t *found)
{
    unsigned problems = 0;
    for (unsigned list = 0; list < cold->lists; list++) {
        redisAppendCommand(context, "LRANGE cold:list:%u 0 -1", list);
        redisReply *reply = reply_next(context);
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != ELEMENTS) {
            printf("  cold list %u: type %d, %zu elements, \"%.60s\"\n", list, reply->type,
                   reply->elements, reply->str == NULL ? "" : reply->str);
            problems++;
        }
        for (unsigned i = 0; i < ELEMENTS; i++) {
            unsigned cell = cold->texts + list * ELEMENTS + i;
            if (i < reply->elements) {
                problems += judge(cold, reply->element[i], cell, found);
            } else {
                found[cell] = cold->acked[cell];
            }
        }
        freeReplyObject(reply);
    }
    return problems;
}

/* The log keeps a prefix: once a pending write is not there, none after it is. */
static unsigned order_verify(const struct cold *cold, const uint32_t *found)
{
    const struct pending *missing = NULL;
    for (unsigned i = 0; i < cold->pending_count; i++) {
        const struct pending *pending = &cold->pending[i];
        if (pending->deed == DEED_READ) {
            continue;
        }
        if (found[pending->cell] < pending->version) {
            missing = missing == NULL ? pending : missing;
        } else if (missing != NULL) {
            printf("  cold cell %u is at version %" PRIu32 ", but cell %u, written before, is not "
                   "at %" PRIu32 "\n",
                   pending->cell, pending->version, missing->cell, missing->version);
            return 1;
        }
    }
    return 0;
}

static unsigned size_verify(const struct cold *cold, redisContext *context, const uint32_t *found)
{
    long long count = cold->lists;
    for (unsigned cell = 0; cell < cold->texts; cell++) {
        count += !is_deleted(cold, cell, found[cell]);
    }
    redisReply *reply = redisCommand(context, "DBSIZE");
    bool right = reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == count;
    if (!right) {
        printf("  cold database: %lld keys, DBSIZE says %lld %s\n", count,
               reply == NULL ? -1 : reply->integer,
               reply == NULL || reply->str == NULL ? "" : reply->str);
    }
    freeReplyObject(reply);
    return !right;
}

unsigned cold_verify(struct cold *cold, int port)
{
    redisContext *context = connect_to(port);
    uint32_t *found = calloc(cold->cells, sizeof(*found));
    CHECK(found != NULL);
    unsigned problems = texts_verify(cold, context, found);
    problems += lists_verify(cold, context, found);
    problems += order_verify(cold, found);
    if (chance_below(&cold->random, 3) == 0) {
        problems += size_verify(cold, context, found);
    }
    memcpy(cold->sent, found, cold->cells * sizeof(*found));
    memcpy(cold->acked, found, cold->cells * sizeof(*found));
    cold->pending_count = 0;
    free(found);
    redisFree(context);
    return problems;
}
