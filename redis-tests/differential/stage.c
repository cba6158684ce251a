#include "redis-tests/differential/stage.h"

#include "redis-tests/differential/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define HISTORY_COUNT 40000
#define HISTORY_SHOWN 20
#define EXCHANGE_MS 30000
#define SHOWN_BYTES 200
#define RESTART_NOTE "(kill -9 and restart)"

/* -- History --------------------------------------------------------------------------------- */

struct history_record {
    uint64_t number;
    unsigned database;
    size_t argc;
    struct bytes *argv; /* One block with the bytes behind it. */
};

struct history {
    struct history_record records[HISTORY_COUNT];
    uint64_t next;
};

static void history_add(struct history *history, uint64_t number, unsigned database,
                        const struct gen_request *request)
{
    struct history_record *record = &history->records[history->next++ % HISTORY_COUNT];
    size_t size = request->argc * sizeof(struct bytes);
    for (size_t i = 0; i < request->argc; i++) {
        size += request->argv[i].size;
    }
    free(record->argv);
    *record = (struct history_record){number, database, request->argc, malloc(size)};
    if (record->argv == NULL) {
        differential_die("no memory");
    }
    unsigned char *to = (unsigned char *)(record->argv + request->argc);
    for (size_t i = 0; i < request->argc; i++) {
        record->argv[i] = bytes_of(to, request->argv[i].size);
        memcpy(to, request->argv[i].data, request->argv[i].size);
        to += request->argv[i].size;
    }
}

static void history_free(struct history *history)
{
    for (size_t i = 0; i < HISTORY_COUNT; i++) {
        free(history->records[i].argv);
    }
    free(history);
}

static void print_request(const struct bytes *argv, size_t argc)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < argc && i < 24; i++) {
        reply_bytes_text(argv[i], SHOWN_BYTES, &text);
        status_ignore(buf_append(&text, bytes_of(" ", 1)), "only a space");
    }
    printf("%.*s%s\n", (int)text.size, (char *)text.data, argc > 24 ? "…" : "");
    buf_deinit(&text);
}

static bool is_one_of(struct bytes word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (word.size == strlen(*words) && strncasecmp(word.data, *words, word.size) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether two requests share an argument that may be a key, in one database or across. Commands on
 * whole keyspaces concern everybody. */
static bool concerns(const struct history_record *record, unsigned database,
                     const struct bytes *argv, size_t argc)
{
    static const char *const whole[] = {"flushall", "flushdb", "swapdb", RESTART_NOTE, NULL};
    static const char *const across[] = {"move", "copy", "select", NULL};
    static const char *const containers[] = {"object", "client", "config", "command", NULL};
    if (is_one_of(record->argv[0], whole)) {
        return true;
    }
    if (record->database != database && !is_one_of(record->argv[0], across)) {
        return false;
    }
    size_t first = is_one_of(argv[0], containers) ? 2 : 1;
    if (first >= argc) {
        return record->database == database;
    }
    for (size_t i = first; i < argc && i < 8; i++) {
        for (size_t j = 1; j < record->argc; j++) {
            if (argv[i].size > 1 && bytes_equal(argv[i], record->argv[j])) {
                return true;
            }
        }
    }
    return false;
}

static void history_print(const struct history *history, uint64_t number, unsigned database,
                          const struct bytes *argv, size_t argc)
{
    const struct history_record *found[HISTORY_SHOWN];
    size_t count = 0;
    uint64_t oldest = history->next > HISTORY_COUNT ? history->next - HISTORY_COUNT : 0;
    for (uint64_t i = history->next; i > oldest && count < HISTORY_SHOWN; i--) {
        const struct history_record *record = &history->records[(i - 1) % HISTORY_COUNT];
        if (record->number < number && concerns(record, database, argv, argc)) {
            found[count++] = record;
        }
    }
    printf("  the last commands that share an argument:\n");
    while (count-- > 0) {
        printf("    #%" PRIu64 " db%u: ", found[count]->number, found[count]->database);
        print_request(found[count]->argv, found[count]->argc);
    }
}

/* -- Life ------------------------------------------------------------------------------------ */

static void lane_connect(struct lane *lane, struct stage *stage, bool version3)
{
    char select[32];
    struct link *links[] = {&lane->theirs, &lane->ours};
    int ports[] = {process_port(stage->theirs), process_port(stage->ours)};
    snprintf(select, sizeof(select), "SELECT %u", lane->database);
    for (size_t i = 0; i < 2; i++) {
        link_close(links[i]);
        if (!link_connect(links[i], ports[i])) {
            differential_die("cannot connect to port %d", ports[i]);
        }
        link_ask(links[i], &stage->arena, version3 ? "HELLO 3" : "HELLO 2");
        link_ask(links[i], &stage->arena, select);
        link_begin(links[i]);
    }
    lane->count = 0;
}

static bool lane_speaks_3(unsigned index)
{
    return index % 2 == 1;
}

static void connect_all(struct stage *stage)
{
    for (unsigned i = 0; i < STAGE_LANES; i++) {
        stage->lanes[i].database = i;
        lane_connect(&stage->lanes[i], stage, lane_speaks_3(i));
    }
    stage->control.database = 0;
    lane_connect(&stage->control, stage, false);
    arena_reset(&stage->arena);
}

void stage_open(struct stage *stage, const struct stage_options *options)
{
    static const char *const plain[] = {"--save",    "",  "--appendonly", "no", "--bind",
                                        "127.0.0.1", NULL};
    *stage = (struct stage){.options = *options};
    arena_init(&stage->arena);
    stage->history = calloc(1, sizeof(*stage->history));
    struct process_options theirs = {.binary = "redis-server", .arguments = plain};
    struct process_options ours = {.binary = options->binary, .arguments = options->arguments};
    stage->theirs = process_start(&theirs);
    stage->ours = process_start(&ours);
    if (stage->theirs == NULL || stage->ours == NULL || stage->history == NULL) {
        differential_die("the servers do not start");
    }
    connect_all(stage);
}

void stage_close(struct stage *stage)
{
    for (unsigned i = 0; i < STAGE_LANES; i++) {
        link_close(&stage->lanes[i].theirs);
        link_close(&stage->lanes[i].ours);
    }
    link_close(&stage->control.theirs);
    link_close(&stage->control.ours);
    process_free(stage->theirs);
    process_free(stage->ours);
    history_free(stage->history);
    arena_deinit(&stage->arena);
}

void stage_restart(struct stage *stage)
{
    struct bytes note = bytes_of_text(RESTART_NOTE);
    struct gen_request request = {.argv = &note, .argc = 1};
    history_add(stage->history, stage->commands, 0, &request);
    process_kill(stage->ours);
    process_restart(stage->ours);
    connect_all(stage);
    /* What CONFIG SET changed has gone with the process; the other one must forget it too. */
    link_ask(&stage->control.theirs, &stage->arena,
             "CONFIG SET maxmemory 0 maxmemory-samples 5 timeout 0 tcp-keepalive 300 hz 10");
    link_ask(&stage->control.theirs, &stage->arena,
             "CONFIG SET maxmemory-policy noeviction lfu-log-factor 10 lfu-decay-time 1 "
             "maxmemory-eviction-tenacity 10");
    link_ask(&stage->control.theirs, &stage->arena,
             "CONFIG SET loglevel notice lazyfree-lazy-eviction no");
}

/* -- Differences ----------------------------------------------------------------------------- */

static _Noreturn void give_up(struct stage *stage)
{
    fflush(stdout);
    process_free(stage->theirs);
    process_free(stage->ours);
    exit(1);
}

void stage_difference(struct stage *stage, uint64_t number, const struct lane *lane,
                      const struct bytes *argv, size_t argc, const char *theirs, const char *ours)
{
    printf("DIFFERENCE in %s, seed %" PRIu64 ", command %" PRIu64 ", database %u\n  request:      ",
           stage->family, stage->options.seed, number, lane->database);
    print_request(argv, argc);
    printf("  redis-server: %s\n  basin-server: %s\n", theirs, ours);
    history_print(stage->history, number, lane->database, argv, argc);
    printf("  replay: differential %s --seed %" PRIu64 "%s\n\n", stage->family, stage->options.seed,
           stage->options.modes);
    fflush(stdout);
    if (++stage->differences >= stage->options.differences_max) {
        give_up(stage);
    }
}

static _Noreturn void trouble(struct stage *stage, const char *what)
{
    printf("FAILURE in %s, seed %" PRIu64 ", commands %" PRIu64 ": %s\n", stage->family,
           stage->options.seed, stage->commands, what);
    for (unsigned i = 0; i <= STAGE_LANES; i++) {
        struct lane *lane = i < STAGE_LANES ? &stage->lanes[i] : &stage->control;
        for (size_t j = 0; j < 2; j++) {
            struct link *link = j == 0 ? &lane->theirs : &lane->ours;
            if (link->count < link->wanted && link->count < lane->count) {
                printf("  %s owes%s command %" PRIu64 ": ",
                       j == 0 ? "redis-server" : "basin-server",
                       link->ended ? ", having closed the connection," : "",
                       lane->numbers[link->count]);
                print_request(lane->requests[link->count].argv, lane->requests[link->count].argc);
            }
        }
    }
    printf("  replay: differential %s --seed %" PRIu64 "%s\n", stage->family, stage->options.seed,
           stage->options.modes);
    struct timespec moment = {.tv_nsec = 500 * 1000 * 1000};
    nanosleep(&moment, NULL);
    if (process_ended(stage->ours)) {
        char command[300];
        printf("  basin-server has ended; its log says:\n");
        fflush(stdout);
        snprintf(command, sizeof(command), "tail -n 40 '%s/server.log'", process_dir(stage->ours));
        if (system(command) != 0) {
            printf("  (nothing)\n");
        }
    }
    give_up(stage);
}

static char *whole_text(struct bytes raw, struct arena *arena)
{
    struct buf text = BUF_EMPTY;
    struct reply reply;
    if (reply_parse(raw, arena, &reply)) {
        reply_text(&reply, 1500, &text);
    } else {
        reply_bytes_text(raw, 1500, &text);
    }
    if (buf_append(&text, bytes_of("", 1)) != ST_OK) {
        differential_die("no memory");
    }
    return (char *)text.data;
}

void stage_forget(struct stage *stage, unsigned database, const struct bytes *keys, size_t count)
{
    char select[32];
    struct link *links[] = {&stage->control.theirs, &stage->control.ours};
    snprintf(select, sizeof(select), "SELECT %u", database);
    for (size_t i = 0; i < 2; i++) {
        link_begin(links[i]);
        link_words(links[i], select);
        for (size_t j = 0; j < count && j < 20; j++) {
            struct bytes argv[] = {bytes_of_text("DEL"), keys[j]};
            link_request(links[i], argv, 2);
        }
    }
    const char *problem = link_exchange(links, 2, EXCHANGE_MS);
    if (problem != NULL) {
        trouble(stage, problem);
    }
}

static void compare_lane(struct stage *stage, struct lane *lane)
{
    for (size_t i = 0; i < lane->count; i++) {
        const struct gen_request *request = &lane->requests[i];
        struct judge_case replies = {.judge = request->judge,
                                     .argv = request->argv,
                                     .argc = request->argc,
                                     .theirs = link_reply(&lane->theirs, i),
                                     .ours = link_reply(&lane->ours, i)};
        if (judge_agrees(&replies, &stage->arena)) {
            continue;
        }
        char *theirs = whole_text(replies.theirs, &stage->arena);
        char *ours = whole_text(replies.ours, &stage->arena);
        stage_difference(stage, lane->numbers[i], lane, request->argv, request->argc, theirs, ours);
        free(theirs);
        free(ours);
        stage_forget(stage, lane->database, request->argv + 1, request->argc - 1);
    }
}

/* -- Batches --------------------------------------------------------------------------------- */

void stage_add(struct stage *stage, struct lane *lane, struct gen_request request)
{
    if (lane->count == STAGE_BATCH_MAX) {
        differential_die("a batch too large");
    }
    lane->requests[lane->count] = request;
    lane->numbers[lane->count++] = ++stage->commands;
    link_request(&lane->theirs, request.argv, request.argc);
    link_request(&lane->ours, request.argv, request.argc);
    history_add(stage->history, stage->commands, lane->database, &request);
}

void stage_add_words(struct stage *stage, struct lane *lane, struct gen *gen, const char *words)
{
    struct gen_request request = gen_template(gen, words);
    request.judge = JUDGE_HELLO;
    stage_add(stage, lane, request);
}

void stage_settle(struct stage *stage, struct lane *lane, struct gen *gen)
{
    char select[32];
    snprintf(select, sizeof(select), "SELECT %u", lane->database);
    stage_add_words(stage, lane, gen, lane_speaks_3(lane->database) ? "HELLO 3" : "HELLO 2");
    stage_add_words(stage, lane, gen, select);
    stage_add_words(stage, lane, gen, "CONFIG SET 'hll-sparse-max-bytes 3000");
}

void stage_run(struct stage *stage)
{
    struct link *links[2 * STAGE_LANES];
    size_t count = 0;
    for (unsigned i = 0; i < STAGE_LANES; i++) {
        if (stage->lanes[i].count > 0) {
            links[count++] = &stage->lanes[i].theirs;
            links[count++] = &stage->lanes[i].ours;
        }
    }
    const char *problem = link_exchange(links, count, EXCHANGE_MS);
    if (problem != NULL) {
        trouble(stage, problem);
    }
    for (unsigned i = 0; i < STAGE_LANES; i++) {
        compare_lane(stage, &stage->lanes[i]);
    }
    for (unsigned i = 0; i < STAGE_LANES; i++) {
        stage->lanes[i].count = 0;
        link_begin(&stage->lanes[i].theirs);
        link_begin(&stage->lanes[i].ours);
    }
    arena_reset(&stage->arena);
}
