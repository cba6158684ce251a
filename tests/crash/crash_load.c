/* One loop over all connections: each keeps as many commands outstanding as it drew at the start of
 * the round. The kill comes from a thread of its own, so that it falls at any moment of the loop.
 * After it every socket is read to its end: what the server had sent before it died was said. */
#include "tests/crash/crash_load.h"

#include "tests/crash/loop_disk.h"

#include "engine/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTION_COUNT (LANE_COUNT + READER_COUNT)
#define SILENCE_MS 20000 /* A server that answers nothing for so long hangs. */

enum read_kind { READ_COUNTER, READ_SET, READ_ONCE, READ_GROUP, READ_PUSH, READ_KINDS };

/* A command of a reader, and what was known when it was sent. */
struct reading {
    enum read_kind kind;
    unsigned lane, index;
    struct once once;
    uint64_t seen; /* Of a counter. */
};

struct connection {
    redisContext *context;
    struct lane *lane; /* NULL: a reader. */
    struct reading readings[LANE_DEPTH_MAX];
    unsigned reading_first, outstanding, depth;
    bool mute, ended; /* Its writing end has failed; its reading end too. */
};

struct load {
    struct world *world;
    struct connection connections[CONNECTION_COUNT];
    struct load_counts *counts;
    struct words words;
    char *why;
    bool failed;
};

void world_init(struct world *world, uint64_t seed, bool large)
{
    memset(world, 0, sizeof(*world));
    world->cold = cold_new(seed, large);
    world->random = seed;
    world->tick = 1;
    shared_init(&world->shared);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        lane_init(&world->lanes[i], i, seed, &world->shared);
    }
}

void world_deinit(struct world *world)
{
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        lane_deinit(&world->lanes[i]);
    }
    shared_deinit(&world->shared);
    cold_free(world->cold);
    world->cold = NULL; /* Twice is fine, as with all above. */
}

redisContext *load_connect(int port)
{
    redisContext *context = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){10, 0});
    if (context == NULL || context->err != 0) {
        fprintf(stderr, "cannot connect to port %d: %s\n", port,
                context == NULL ? "no memory" : context->errstr);
        exit(1);
    }
    redisSetTimeout(context, (struct timeval){20, 0});
    return context;
}

bool load_prepare(struct world *world, int port, char *why)
{
    redisContext *context = load_connect(port);
    struct words words = {.bytes = BUF_EMPTY};
    words_add_text(&words, "RPUSH");
    words_add_text(&words, "s:ring:0");
    for (uint64_t i = 1; i <= RING_ELEMENTS; i++) {
        if (words.count == 34) { /* In two commands. */
            words_send(&words, context);
            words_clear(&words);
            words_add_text(&words, "RPUSH");
            words_add_text(&words, "s:ring:0");
        }
        struct buf bytes = BUF_EMPTY;
        element_write(&bytes, ELEMENT(RING_LANE, i));
        words_add(&words, buf_bytes(&bytes));
        buf_deinit(&bytes);
    }
    words_send(&words, context);
    bool fits = true;
    for (int i = 0; i < 2; i++) {
        redisReply *reply = NULL;
        fits = redisGetReply(context, (void **)&reply) == REDIS_OK && fits &&
               reply->type == REDIS_REPLY_INTEGER;
        freeReplyObject(reply);
    }
    snprintf(why, WHY_SIZE, "the ring was not made");
    buf_deinit(&words.bytes);
    redisFree(context);
    return fits && cold_fill(world->cold, port, why);
}

/* -- Readers --------------------------------------------------------------------------------- */

/* Likely a key that is just being deleted: the moment that matters. */
static unsigned once_draw(struct world *world, const struct lane *lane)
{
    unsigned drawn = (unsigned)chance_below(&world->random, ONCE_SLOTS);
    for (unsigned i = 0; i < ONCE_SLOTS; i++) {
        uint64_t number = lane->once[i].deleted_number;
        if (number > lane->once[drawn].deleted_number && lane->pending_count > 0 &&
            number >= lane_pending(lane, 0)->number) {
            drawn = i;
        }
    }
    return drawn;
}

static void reading_draw(struct load *load, struct connection *connection)
{
    struct world *world = load->world;
    struct reading reading = {.kind = (enum read_kind)chance_below(&world->random, READ_KINDS)};
    do { /* Readers stay in database 0. */
        reading.lane = (unsigned)chance_below(&world->random, LANE_COUNT);
    } while (!world->lanes[reading.lane].shares);
    struct lane *lane = &world->lanes[reading.lane];
    struct words *words = &load->words;
    char name[64];
    words_clear(words);
    switch (reading.kind) {
    case READ_SET:
        words_add_text(words, "MGET");
        for (unsigned i = 0; i < SET_SIZE; i++) {
            op_word_key(lane, KEY_SET + i, words);
        }
        break;
    case READ_ONCE:
        reading.index = once_draw(world, lane);
        reading.once = lane->once[reading.index];
        lane_key_name(lane, KEY_ONCE, reading.once.number, name, sizeof(name));
        words_add_text(words, "GET");
        words_add_text(words, "%s", name);
        break;
    case READ_GROUP:
        reading.index = (unsigned)chance_below(&world->random, SHARED_GROUPS);
        words_add_text(words, "MGET");
        for (unsigned i = 0; i < SHARED_GROUP_SIZE; i++) {
            words_add_text(words, "s:group:%u:%u", reading.index, i);
        }
        break;
    case READ_PUSH:
        reading.index = (unsigned)chance_below(&world->random, SHARED_PUSHES);
        words_add_text(words, "LINDEX");
        words_add_text(words, "s:push:%u", reading.index);
        words_add_text(words, "%d", reading.index == 0 ? -1 : 0);
        break;
    case READ_COUNTER:
    case READ_KINDS:
        reading.kind = READ_COUNTER;
        reading.index = (unsigned)chance_below(&world->random, SHARED_COUNTERS);
        reading.seen = world->shared.counters[reading.index].seen;
        words_add_text(words, "GET");
        words_add_text(words, "s:count:%u", reading.index);
    }
    connection->readings[(connection->reading_first + connection->outstanding) % LANE_DEPTH_MAX] =
        reading;
}

/* All elements alike: whose value; false: they differ, or are none of ours. */
static bool reply_whole(const redisReply *reply, bool *present_out, unsigned *lane_out,
                        uint64_t *number_out)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return false;
    }
    const redisReply *first = reply->element[0];
    *present_out = first->type == REDIS_REPLY_STRING;
    for (size_t i = 1; i < reply->elements; i++) {
        const redisReply *other = reply->element[i];
        if (other->type != first->type || !bytes_equal(bytes_of(first->str, (size_t)first->len),
                                                       bytes_of(other->str, (size_t)other->len))) {
            return false;
        }
    }
    return !*present_out ||
           value_read(bytes_of(first->str, (size_t)first->len), lane_out, number_out);
}

static void lift(uint64_t *value, uint64_t to)
{
    *value = *value < to ? to : *value;
}

/* Never less than what was known when it was asked for. */
static bool see_counter(struct world *world, const struct reading *reading, const redisReply *reply)
{
    unsigned index = reading->index;
    if (reply->type == REDIS_REPLY_NIL) {
        return reading->seen == 0;
    }
    int64_t value;
    if (reply->type != REDIS_REPLY_STRING ||
        !bytes_to_int64(bytes_of(reply->str, (size_t)reply->len), &value)) {
        return false;
    }
    uint64_t most = world->shared.counters[index].base + world->shared.counters[index].sent;
    lift(&world->shared.counters[index].seen, (uint64_t)value);
    return (uint64_t)value <= most && (uint64_t)value >= reading->seen;
}

static bool see_once(struct lane *lane, const struct reading *reading, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STRING) {
        lift(&lane->seen_number, reading->once.set_number); /* 0: made after it was asked for. */
        return true;
    }
    const struct once *now = &lane->once[reading->index];
    if (reply->type != REDIS_REPLY_NIL) {
        return false;
    }
    if (reading->once.set_acked && now->number == reading->once.number) {
        lift(&lane->seen_number, now->deleted_number);
        return now->deleted_number != 0; /* Else it vanished without being asked to. */
    }
    return true;
}

static bool see_push(struct world *world, unsigned index, const redisReply *reply)
{
    uint64_t element;
    if (reply->type == REDIS_REPLY_NIL) {
        return true;
    }
    if (reply->type != REDIS_REPLY_STRING ||
        !element_read(bytes_of(reply->str, (size_t)reply->len), &element) ||
        ELEMENT_LANE(element) >= LANE_COUNT) {
        return false;
    }
    struct lane *lane = &world->lanes[ELEMENT_LANE(element)];
    lift(&lane->push_seen[index], ELEMENT_ID(element));
    return ELEMENT_ID(element) <= lane->push_next[index];
}

/* W1: what a reader was told must still be there after the crash; here it is noted. */
static bool reading_apply(struct load *load, const struct reading *reading, const redisReply *reply)
{
    struct world *world = load->world;
    struct lane *lane = &world->lanes[reading->lane];
    bool present = false;
    unsigned number_lane = UINT32_MAX;
    uint64_t number = 0;
    switch (reading->kind) {
    case READ_SET:
        if (!reply_whole(reply, &present, &number_lane, &number) ||
            (present && (number_lane != lane->number || number > lane->op_number))) {
            return false;
        }
        lift(&lane->seen_number, number);
        return true;
    case READ_ONCE:
        return see_once(lane, reading, reply);
    case READ_GROUP:
        return reply_whole(reply, &present, &number_lane, &number) &&
               shared_group_seen(&world->shared, reading->index, number_lane, number, world->tick);
    case READ_PUSH:
        return see_push(world, reading->index, reply);
    case READ_COUNTER:
    case READ_KINDS:
        break;
    }
    return see_counter(world, reading, reply);
}

/* -- Connections ----------------------------------------------------------------------------- */

static void connection_open(struct load *load, struct connection *connection, int port)
{
    redisContext *context = load_connect(port);
    if (connection->lane != NULL) {
        struct lane *lane = connection->lane;
        redisReply *reply = redisCommand(context, "SELECT %u", lane->databases[lane->table]);
        CHECK(reply != NULL && reply->type == REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    context->flags &= ~REDIS_BLOCK;
    fcntl(context->fd, F_SETFL, fcntl(context->fd, F_GETFL) | O_NONBLOCK);
    connection->context = context;
    connection->depth = 1 + (unsigned)chance_below(&load->world->random, LANE_DEPTH_MAX);
}

static void connection_fill(struct load *load, struct connection *connection)
{
    if (connection->mute || connection->outstanding > connection->depth / 2) {
        return;
    }
    while (connection->outstanding < connection->depth) {
        if (connection->lane != NULL) {
            lane_draw(connection->lane, ++load->world->tick, &load->words);
            load->counts->sent++;
        } else {
            reading_draw(load, connection);
        }
        words_send(&load->words, connection->context);
        connection->outstanding++;
    }
}

/* hiredis takes a failed write for the end of all, but replies may still lie in the socket. */
static void connection_write(struct connection *connection)
{
    int done = 0;
    while (!connection->mute && !done && sdslen(connection->context->obuf) > 0) {
        size_t before = sdslen(connection->context->obuf);
        if (redisBufferWrite(connection->context, &done) != REDIS_OK) {
            connection->context->err = 0;
            connection->mute = true;
        } else if (sdslen(connection->context->obuf) == before) {
            return;
        }
    }
}

static void reply_take(struct load *load, struct connection *connection, const redisReply *reply)
{
    char why[WHY_SIZE - 40] = "";
    bool fits;
    load->world->tick++;
    if (connection->outstanding == 0) {
        snprintf(why, sizeof(why), "a reply that nobody asked for");
        fits = false;
    } else if (connection->lane != NULL) {
        fits = lane_apply(connection->lane, reply, load->world->tick, why, sizeof(why));
        load->counts->acked++;
    } else {
        const struct reading *reading = &connection->readings[connection->reading_first];
        fits = reading_apply(load, reading, reply);
        snprintf(why, sizeof(why), "reading of kind %d, lane %u, index %u: type %d, \"%.40s\"",
                 reading->kind, reading->lane, reading->index, reply->type,
                 reply->str == NULL ? "" : reply->str);
        connection->reading_first = (connection->reading_first + 1) % LANE_DEPTH_MAX;
        load->counts->read++;
    }
    connection->outstanding -= connection->outstanding > 0;
    if (!fits && !load->failed) {
        load->failed = true;
        snprintf(load->why, WHY_SIZE, "before the crash: %s", why);
    }
}

static void connection_read(struct load *load, struct connection *connection)
{
    if (redisBufferRead(connection->context) != REDIS_OK) {
        connection->context->err = 0;
        connection->ended = true;
    }
    void *reply = NULL;
    while (redisGetReplyFromReader(connection->context, &reply) == REDIS_OK && reply != NULL) {
        reply_take(load, connection, reply);
        freeReplyObject(reply);
        reply = NULL;
    }
}

/* -- The round ------------------------------------------------------------------------------- */

static void *kill_later(void *arg)
{
    const struct load_options *options = arg;
    usleep(options->kill_us);
    kill(options->pid, options->signal);
    if (options->power_cut) {
        siginfo_t info;
        while (waitid(P_PID, (id_t)options->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
        }
        CHECK(loop_disk_cut());
    }
    return NULL;
}

/* False: everybody is done, or nobody hears anything. */
static bool load_step(struct load *load)
{
    struct pollfd polls[CONNECTION_COUNT];
    struct connection *polled[CONNECTION_COUNT];
    nfds_t count = 0;
    for (unsigned i = 0; i < CONNECTION_COUNT; i++) {
        struct connection *connection = &load->connections[i];
        if (connection->ended) {
            continue;
        }
        connection_fill(load, connection);
        connection_write(connection);
        bool writes = !connection->mute && sdslen(connection->context->obuf) > 0;
        polled[count] = connection;
        polls[count++] = (struct pollfd){.fd = connection->context->fd,
                                         .events = POLLIN | (writes ? POLLOUT : 0)};
    }
    if (count == 0) {
        return false;
    }
    int ready = poll(polls, count, SILENCE_MS);
    if (ready == 0) {
        snprintf(load->why, WHY_SIZE, "no reply for %d s: the server hangs", SILENCE_MS / 1000);
        load->failed = true;
    }
    for (nfds_t i = 0; i < count && ready > 0; i++) {
        if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            connection_read(load, polled[i]);
        }
    }
    return ready != 0;
}

/* What this round may end with begins with what the last one ended with. */
static void expectations_reset(struct world *world)
{
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        CHECK(world->lanes[i].pending_count == 0);
        world->lanes[i].seen_number = 0;
    }
}

bool load_run(struct world *world, const struct load_options *options, struct load_counts *counts,
              char *why)
{
    struct load *load = calloc(1, sizeof(*load));
    CHECK(load != NULL);
    cold_begin(world->cold, options->port);
    load->world = world;
    load->counts = counts;
    load->why = why;
    expectations_reset(world);
    for (unsigned i = 0; i < CONNECTION_COUNT; i++) {
        load->connections[i].lane = i < LANE_COUNT ? &world->lanes[i] : NULL;
        connection_open(load, &load->connections[i], options->port);
    }
    pthread_t killer;
    CHECK(pthread_create(&killer, NULL, kill_later, (void *)options) == 0);
    while (load_step(load)) {
    }
    pthread_join(killer, NULL);
    for (unsigned i = 0; i < CONNECTION_COUNT; i++) {
        redisFree(load->connections[i].context);
    }
    buf_deinit(&load->words.bytes);
    bool fine = !load->failed;
    free(load);
    return cold_end(world->cold, &counts->cold, why) && fine;
}
