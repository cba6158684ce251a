#include "redis-tests/differential/scenes.h"

#include "redis-tests/differential/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EXCHANGE_MS 30000
#define SCAN_STEPS_MAX 100000

static const char *const side_names[] = {"redis-server", "basin-server"};

static struct link *side(struct stage *stage, size_t index)
{
    return index == 0 ? &stage->control.theirs : &stage->control.ours;
}

static void exchange_control(struct stage *stage, const char *what)
{
    struct link *links[] = {side(stage, 0), side(stage, 1)};
    const char *problem = link_exchange(links, 2, EXCHANGE_MS);
    if (problem != NULL) {
        printf("FAILURE in %s, seed %llu, commands %llu: %s: %s (ended: basin-server %d)\n",
               stage->family, (unsigned long long)stage->options.seed,
               (unsigned long long)stage->commands, what, problem, process_ended(stage->ours));
        exit(1);
    }
}

static void begin_control(struct stage *stage)
{
    link_begin(side(stage, 0));
    link_begin(side(stage, 1));
}

static void ask_both(struct stage *stage, const struct bytes *argv, size_t argc)
{
    link_request(side(stage, 0), argv, argc);
    link_request(side(stage, 1), argv, argc);
}

static void words_both(struct stage *stage, const char *words)
{
    link_words(side(stage, 0), words);
    link_words(side(stage, 1), words);
}

static void select_both(struct stage *stage, unsigned database)
{
    char select[32];
    snprintf(select, sizeof(select), "SELECT %u", database);
    begin_control(stage);
    words_both(stage, select);
    exchange_control(stage, select);
    stage->control.database = database;
}

static struct reply parsed(struct stage *stage, size_t index, size_t which)
{
    struct reply reply;
    if (!reply_parse(link_reply(side(stage, index), which), &stage->arena, &reply)) {
        differential_die("a malformed reply of %s", side_names[index]);
    }
    return reply;
}

static char *text_of(const struct reply *reply)
{
    struct buf text = BUF_EMPTY;
    reply_text(reply, 1000, &text);
    if (buf_append(&text, bytes_of("", 1)) != ST_OK) {
        differential_die("no memory");
    }
    return (char *)text.data;
}

/* A difference that the control lane met; the request is given. */
static void differ(struct stage *stage, const struct bytes *argv, size_t argc,
                   const struct reply *theirs, const struct reply *ours)
{
    char *a = text_of(theirs), *b = text_of(ours);
    stage_difference(stage, stage->commands + 1, &stage->control, argv, argc, a, b);
    free(a);
    free(b);
}

/* -- Sets of keys ---------------------------------------------------------------------------- */

struct key_set {
    struct reply *keys; /* Ordered, each once. */
    size_t count, capacity;
};

static void key_set_add(struct key_set *set, const struct reply *key, struct arena *arena)
{
    if (set->count == set->capacity) {
        set->capacity = set->capacity == 0 ? 1024 : 2 * set->capacity;
        set->keys = realloc(set->keys, set->capacity * sizeof(set->keys[0]));
    }
    unsigned char *copy = arena_alloc(arena, key->text.size);
    if (set->keys == NULL || copy == NULL) {
        differential_die("no memory");
    }
    memcpy(copy, key->text.data, key->text.size);
    set->keys[set->count++] = (struct reply){.type = '$', .text = bytes_of(copy, key->text.size)};
}

static void key_set_order(struct key_set *set)
{
    size_t kept = 0;
    if (set->count > 0) {
        qsort(set->keys, set->count, sizeof(set->keys[0]), reply_compare);
    }
    for (size_t i = 0; i < set->count; i++) {
        if (kept == 0 || !reply_equal(&set->keys[kept - 1], &set->keys[i])) {
            set->keys[kept++] = set->keys[i];
        }
    }
    set->count = kept;
}

/* Reports each key that only one of them has, and forgets it on both servers. */
static void key_sets_compare(struct stage *stage, const char *command, const struct key_set *sets)
{
    size_t at[2] = {0, 0};
    while (at[0] < sets[0].count || at[1] < sets[1].count) {
        int order = at[0] == sets[0].count ? 1
                    : at[1] == sets[1].count
                        ? -1
                        : reply_compare(&sets[0].keys[at[0]], &sets[1].keys[at[1]]);
        if (order != 0) {
            size_t owner = order < 0 ? 0 : 1;
            struct bytes argv[] = {bytes_of_text(command), sets[owner].keys[at[owner]].text};
            stage_difference(stage, stage->commands + 1, &stage->control, argv, 2,
                             owner == 0 ? "has this key" : "has it not",
                             owner == 1 ? "has this key" : "has it not");
            stage_forget(stage, stage->control.database, argv + 1, 1);
        }
        at[0] += order <= 0;
        at[1] += order >= 0;
    }
}

/* -- The whole keyspaces --------------------------------------------------------------------- */

/* What is asked of every key; wrong types answer the same error. */
static const struct {
    const char *name;
    const char *before;       /* The key; NULL: nothing. */
    const char *arguments[3]; /* Behind the key. */
    enum judge judge;
} questions[] = {
    {"TYPE", NULL, {NULL}, JUDGE_EXACT},
    {"PTTL", NULL, {NULL}, JUDGE_MS},
    {"GET", NULL, {NULL}, JUDGE_EXACT},
    {"LRANGE", NULL, {"0", "-1"}, JUDGE_EXACT},
    {"HGETALL", NULL, {NULL}, JUDGE_PAIRS},
    {"SMEMBERS", NULL, {NULL}, JUDGE_UNORDERED},
    {"ZRANGE", NULL, {"0", "-1", "WITHSCORES"}, JUDGE_EXACT},
    {"XINFO", "STREAM", {"FULL", "COUNT", "0"}, JUDGE_ENTRIES},
};
#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))
#define QUESTION_ARGC_MAX 6

static size_t question(size_t which, struct bytes key, struct bytes *argv)
{
    size_t argc = 0;
    argv[argc++] = bytes_of_text(questions[which].name);
    if (questions[which].before != NULL) {
        argv[argc++] = bytes_of_text(questions[which].before);
    }
    argv[argc++] = key;
    for (size_t i = 0; i < 3 && questions[which].arguments[i] != NULL; i++) {
        argv[argc++] = bytes_of_text(questions[which].arguments[i]);
    }
    return argc;
}

static void compare_values(struct stage *stage, const struct reply *keys, size_t count)
{
    struct bytes argv[QUESTION_ARGC_MAX];
    begin_control(stage);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < QUESTIONS; j++) {
            ask_both(stage, argv, question(j, keys[i].text, argv));
        }
    }
    exchange_control(stage, "comparing values");
    size_t wrong_count = 0;
    struct bytes wrong[16];
    for (size_t i = 0; i < QUESTIONS * count; i++) {
        struct bytes key = keys[i / QUESTIONS].text;
        size_t argc = question(i % QUESTIONS, key, argv);
        struct judge_case replies = {.judge = questions[i % QUESTIONS].judge,
                                     .argv = argv,
                                     .argc = argc,
                                     .theirs = link_reply(side(stage, 0), i),
                                     .ours = link_reply(side(stage, 1), i)};
        if (!judge_agrees(&replies, &stage->arena)) {
            struct reply theirs = parsed(stage, 0, i), ours = parsed(stage, 1, i);
            differ(stage, argv, argc, &theirs, &ours);
            if (wrong_count < 16) {
                wrong[wrong_count++] = key;
            }
        }
    }
    stage_forget(stage, stage->control.database, wrong, wrong_count);
}

#define KEYS_AT_ONCE 200

static void compare_database(struct stage *stage, unsigned database)
{
    struct key_set sets[2] = {{0}};
    select_both(stage, database);
    begin_control(stage);
    words_both(stage, "KEYS *");
    exchange_control(stage, "KEYS *");
    for (size_t i = 0; i < 2; i++) {
        struct reply keys = parsed(stage, i, 0);
        for (size_t j = 0; j < keys.count; j++) {
            key_set_add(&sets[i], &keys.items[j], &stage->arena);
        }
        key_set_order(&sets[i]);
    }
    key_sets_compare(stage, "KEYS", sets);
    for (size_t i = 0; i < sets[0].count; i += KEYS_AT_ONCE) {
        size_t rest = sets[0].count - i;
        compare_values(stage, sets[0].keys + i, rest < KEYS_AT_ONCE ? rest : KEYS_AT_ONCE);
    }
    free(sets[0].keys);
    free(sets[1].keys);
    arena_reset(&stage->arena);
}

void scenes_compare_keyspaces(struct stage *stage)
{
    for (unsigned database = 0; database < STAGE_DATABASES; database++) {
        compare_database(stage, database);
    }
}

/* -- SCAN, DBSIZE, RANDOMKEY ----------------------------------------------------------------- */

/* A full walk on one server. */
static void scan(struct stage *stage, size_t index, const struct bytes *options,
                 size_t option_count, struct key_set *set)
{
    struct bytes argv[16] = {bytes_of_text("SCAN"), bytes_of_text("0")};
    struct link *link = side(stage, index);
    for (size_t i = 0; i < option_count; i++) {
        argv[2 + i] = options[i];
    }
    for (size_t i = 0; i < SCAN_STEPS_MAX; i++) {
        struct reply reply;
        link_begin(link);
        link_request(link, argv, 2 + option_count);
        const char *problem = link_exchange(&link, 1, EXCHANGE_MS);
        if (problem != NULL) {
            differential_die("SCAN of %s: %s", side_names[index], problem);
        }
        if (!reply_parse(link_reply(link, 0), &stage->arena, &reply) || reply.count != 2) {
            differential_die("SCAN of %s answers something odd", side_names[index]);
        }
        for (size_t j = 0; j < reply.items[1].count; j++) {
            key_set_add(set, &reply.items[1].items[j], &stage->arena);
        }
        if (bytes_equal(reply.items[0].text, bytes_of_text("0"))) {
            key_set_order(set);
            return;
        }
        unsigned char *cursor = arena_alloc(&stage->arena, reply.items[0].text.size);
        memcpy(cursor, reply.items[0].text.data, reply.items[0].text.size);
        argv[1] = bytes_of(cursor, reply.items[0].text.size);
    }
    differential_die("a SCAN of %s does not end", side_names[index]);
}

static void compare_scans(struct stage *stage, const struct bytes *options, size_t option_count)
{
    struct key_set sets[2] = {{0}};
    scan(stage, 0, options, option_count, &sets[0]);
    scan(stage, 1, options, option_count, &sets[1]);
    key_sets_compare(stage, "SCAN", sets);
    free(sets[0].keys);
    free(sets[1].keys);
}

/* After a walk neither server holds a key whose time has passed, so the sizes must be the same. */
static void play_scan(struct stage *stage, struct gen *gen)
{
    static const char *const templates[] = {"MATCH pattern",
                                            "COUNT 3",
                                            "COUNT 1000",
                                            "MATCH pattern COUNT 7",
                                            "TYPE 'string",
                                            "TYPE 'list COUNT 5",
                                            "COUNT 20 MATCH pattern TYPE 'LiSt",
                                            "TYPE 'zset"};
    select_both(stage, gen_below(gen, STAGE_LANES + 1));
    compare_scans(stage, NULL, 0);
    begin_control(stage);
    words_both(stage, "DBSIZE");
    exchange_control(stage, "DBSIZE");
    struct reply theirs = parsed(stage, 0, 0), ours = parsed(stage, 1, 0);
    if (!reply_equal(&theirs, &ours)) {
        struct bytes argv[] = {bytes_of_text("DBSIZE")};
        differ(stage, argv, 1, &theirs, &ours);
    }
    for (int i = 0; i < 2; i++) {
        struct gen_request request =
            gen_template(gen, templates[gen_below(gen, sizeof(templates) / sizeof(templates[0]))]);
        compare_scans(stage, request.argv, request.argc);
    }
}

/* What one server draws must exist on both. */
static void play_randomkey(struct stage *stage, struct gen *gen)
{
    struct bytes argv[] = {bytes_of_text("RANDOMKEY"), BYTES_NONE};
    select_both(stage, gen_below(gen, STAGE_LANES));
    for (int i = 0; i < 10; i++) {
        begin_control(stage);
        words_both(stage, "RANDOMKEY");
        exchange_control(stage, "RANDOMKEY");
        struct reply theirs = parsed(stage, 0, 0), ours = parsed(stage, 1, 0);
        if (theirs.null || ours.null || ours.type != '$') {
            if (!reply_equal(&theirs, &ours)) {
                differ(stage, argv, 1, &theirs, &ours);
            }
            continue;
        }
        struct bytes key = {
            memcpy(arena_alloc(&stage->arena, ours.text.size), ours.text.data, ours.text.size),
            ours.text.size};
        struct bytes exists[] = {bytes_of_text("EXISTS"), key};
        begin_control(stage);
        ask_both(stage, exists, 2);
        exchange_control(stage, "EXISTS");
        theirs = parsed(stage, 0, 0);
        ours = parsed(stage, 1, 0);
        if (!reply_equal(&theirs, &ours)) {
            argv[1] = key;
            differ(stage, argv, 2, &theirs, &ours);
        }
    }
}

/* -- Time ------------------------------------------------------------------------------------ */

#define SHORT_KEYS 12

/* Keys get a few milliseconds to live; nobody looks before that time has surely passed. */
static void play_short_expiry(struct stage *stage, struct gen *gen)
{
    static const char *const deadly[] = {"SET skey value PX 30", "PSETEX skey 25 value",
                                         "PEXPIRE lkey 20",      "PEXPIRE skey 35",
                                         "GETEX skey PX 15",     "PEXPIRE lkey 40 NX"};
    static const struct {
        const char *name;
        enum judge judge;
    } after[] = {{"GET", JUDGE_EXACT},     {"EXISTS", JUDGE_EXACT},       {"TTL", JUDGE_SECONDS},
                 {"PTTL", JUDGE_MS},       {"TYPE", JUDGE_EXACT},         {"LLEN", JUDGE_EXACT},
                 {"PERSIST", JUDGE_EXACT}, {"EXPIRETIME", JUDGE_SECONDS}, {"STRLEN", JUDGE_EXACT},
                 {"GETDEL", JUDGE_EXACT},  {"UNLINK", JUDGE_EXACT},       {"TOUCH", JUDGE_EXACT},
                 {"LPOP", JUDGE_EXACT},    {"INCR", JUDGE_EXACT},         {"DEL", JUDGE_EXACT}};
    struct bytes keys[SHORT_KEYS];
    struct lane *lane = &stage->lanes[gen_below(gen, STAGE_LANES)];
    for (size_t i = 0; i < SHORT_KEYS; i++) {
        struct gen_request request =
            gen_template(gen, deadly[gen_below(gen, sizeof(deadly) / sizeof(deadly[0]))]);
        keys[i] = request.argv[1];
        stage_add(stage, lane, request);
    }
    stage_run(stage);
    struct timespec moment = {.tv_nsec = 120 * 1000 * 1000};
    nanosleep(&moment, NULL);
    for (size_t i = 0; i < 2 * SHORT_KEYS; i++) {
        struct bytes *argv = arena_alloc(&gen->arena, 2 * sizeof(struct bytes));
        unsigned which = gen_below(gen, sizeof(after) / sizeof(after[0]));
        argv[0] = bytes_of_text(after[which].name);
        argv[1] = keys[i / 2];
        stage_add(stage, lane,
                  (struct gen_request){.argv = argv, .argc = 2, .judge = after[which].judge});
    }
    stage_run(stage);
}

/* -- Sets ------------------------------------------------------------------------------------ */

static bool is_flat(const struct reply *reply)
{
    return (reply->type == '*' || reply->type == '~') && !reply->null;
}

static const struct reply *find_item(const struct reply *items, const struct reply *item)
{
    return items->count == 0
               ? NULL
               : bsearch(item, items->items, items->count, sizeof(items->items[0]), reply_compare);
}

/* What was drawn from the members (ordered): so many, all different, all of them members. */
static bool fair_draw(const struct reply *members, struct reply *drawn, size_t wanted)
{
    wanted = wanted < members->count ? wanted : members->count;
    bool fine = is_flat(drawn) && drawn->count == wanted;
    if (fine && wanted > 0) {
        qsort(drawn->items, drawn->count, sizeof(drawn->items[0]), reply_compare);
    }
    for (size_t i = 0; i < drawn->count && fine; i++) {
        fine = find_item(members, &drawn->items[i]) != NULL &&
               (i == 0 || !reply_equal(&drawn->items[i - 1], &drawn->items[i]));
    }
    return fine;
}

/* The reply of one server, in memory that stays until the scene ends. */
static struct reply ask_side(struct stage *stage, size_t index, const struct bytes *argv,
                             size_t argc)
{
    struct link *link = side(stage, index);
    struct reply reply;
    link_begin(link);
    link_request(link, argv, argc);
    const char *problem = link_exchange(&link, 1, EXCHANGE_MS);
    if (problem != NULL) {
        differential_die("%s: %s", side_names[index], problem);
    }
    struct bytes raw = link_reply(link, 0);
    unsigned char *copy = arena_alloc(&stage->arena, raw.size);
    if (copy == NULL ||
        !reply_parse(bytes_of(memcpy(copy, raw.data, raw.size), raw.size), &stage->arena, &reply)) {
        differential_die("a malformed reply of %s", side_names[index]);
    }
    return reply;
}

/* Basin draws by SRANDMEMBER and SPOP, which is judged by what the set holds; what it popped leaves
 * the set of redis-server too, and both must be the same again. */
static void draw_from_set(struct stage *stage, struct gen *gen, struct bytes key)
{
    char text[24];
    struct bytes members[] = {bytes_of_text("SMEMBERS"), key};
    struct reply held = ask_side(stage, 1, members, 2);
    if (!is_flat(&held)) {
        return; /* No set. */
    }
    qsort(held.items, held.count, sizeof(held.items[0]), reply_compare);
    size_t wanted = gen_below(gen, (unsigned)held.count + 3);
    snprintf(text, sizeof(text), "%zu", wanted);
    struct bytes draw[] = {bytes_of_text("SRANDMEMBER"), key, bytes_of_text(text)};
    for (size_t i = 0; i < 2; i++) {
        draw[0] = bytes_of_text(i == 0 ? "SRANDMEMBER" : "SPOP");
        struct reply drawn = ask_side(stage, 1, draw, 3);
        if (!fair_draw(&held, &drawn, wanted)) {
            differ(stage, draw, 3, &held, &drawn);
        }
        struct bytes *removal = arena_alloc(&gen->arena, (drawn.count + 2) * sizeof(*removal));
        removal[0] = bytes_of_text("SREM");
        removal[1] = key;
        for (size_t j = 0; j < drawn.count; j++) {
            removal[2 + j] = drawn.items[j].text;
        }
        if (i == 1 && drawn.count > 0) {
            ask_side(stage, 0, removal, drawn.count + 2);
        }
    }
    struct reply theirs = ask_side(stage, 0, members, 2), ours = ask_side(stage, 1, members, 2);
    if (!is_flat(&theirs) || !is_flat(&ours) || theirs.count != ours.count) {
        differ(stage, draw, 3, &theirs, &ours);
        return;
    }
    qsort(theirs.items, theirs.count, sizeof(theirs.items[0]), reply_compare);
    qsort(ours.items, ours.count, sizeof(ours.items[0]), reply_compare);
    if (!reply_equal(&theirs, &ours)) {
        differ(stage, draw, 3, &theirs, &ours);
    }
}

/* All steps of an SSCAN on one server. */
static void sscan(struct stage *stage, size_t index, struct bytes key, const struct bytes *options,
                  size_t option_count, struct key_set *set)
{
    struct bytes argv[16] = {bytes_of_text("SSCAN"), key, bytes_of_text("0")};
    memcpy(argv + 3, options, option_count * sizeof(*options));
    for (size_t i = 0; i < SCAN_STEPS_MAX; i++) {
        struct reply reply = ask_side(stage, index, argv, 3 + option_count);
        if (reply.count != 2) {
            return; /* No set. */
        }
        for (size_t j = 0; j < reply.items[1].count; j++) {
            key_set_add(set, &reply.items[1].items[j], &stage->arena);
        }
        argv[2] = reply.items[0].text;
        if (bytes_equal(argv[2], bytes_of_text("0"))) {
            key_set_order(set);
            return;
        }
    }
    differential_die("an SSCAN of %s does not end", side_names[index]);
}

static void compare_sscans(struct stage *stage, struct gen *gen, struct bytes key)
{
    static const char *const templates[] = {"COUNT 3", "COUNT 1000", "MATCH member_pattern",
                                            "MATCH member_pattern COUNT 7", "COUNT 100"};
    struct gen_request options =
        gen_template(gen, templates[gen_below(gen, sizeof(templates) / sizeof(templates[0]))]);
    struct key_set sets[2] = {{0}};
    for (size_t i = 0; i < 2; i++) {
        sscan(stage, i, key, options.argv, options.argc, &sets[i]);
    }
    key_sets_compare(stage, "SSCAN", sets);
    free(sets[0].keys);
    free(sets[1].keys);
}

static void play_sets(struct stage *stage, struct gen *gen)
{
    select_both(stage, gen_below(gen, STAGE_LANES));
    for (int i = 0; i < 12; i++) {
        struct bytes key = gen_template(gen, i % 2 == 0 ? "SCARD tkey" : "SCARD ikey").argv[1];
        compare_sscans(stage, gen, key);
        draw_from_set(stage, gen, key);
    }
}

/* -- Raw sessions ---------------------------------------------------------------------------- */

/* Pieces of a session; some end it. {n} marks a place where nothing has to fit. */
static const struct bytes pieces[] = {
#define PIECE(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    PIECE("PING\r\n"),
    PIECE("PING\n"),
    PIECE("\r\n"),
    PIECE("   \r\n"),
    PIECE("  ping   \"hello world\"  \r\n"),
    PIECE("ECHO 'it\\'s'\r\n"),
    PIECE("ECHO \"\\x41\\x00\\xff\\n\\r\\t\\a\\b\\q\"\r\n"),
    PIECE("ECHO '\\x41\\n'\r\n"),
    PIECE("ECHO \"\"\r\n"),
    PIECE("ECHO a\"b c\"\r\n"),
    PIECE("ECHO \"a\"b\r\n"),
    PIECE("ECHO \"a\r\n"),
    PIECE("ECHO 'a\r\n"),
    PIECE("ECHO a'b'\r\n"),
    PIECE("ECHO \"\\xZZ\\x1\"\r\n"),
    PIECE("SET raw:1 \"a b\"\r\n"),
    PIECE("GET raw:1\r\n"),
    PIECE("set raw:2 'x' ex\r\n"),
    PIECE("RPUSH raw:3 a b c\tl\r\n"),
    PIECE("LRANGE raw:3 0 -1\r\n"),
    PIECE("LTRIM raw:3 0 3\r\n"),
    PIECE("nope \"a b\" c\r\n"),
    PIECE("*1\r\n$4\r\nPING\r\n"),
    PIECE("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"),
    PIECE("*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\0\r\n"),
    PIECE("*0\r\n"),
    PIECE("*-1\r\n"),
    PIECE("*-10\r\n"),
    PIECE("*abc\r\n"),
    PIECE("*\r\n"),
    PIECE("* 1\r\n"),
    PIECE("*99999999999\r\n"),
    PIECE("*2147483648\r\n"),
    PIECE("*1\r\n$-1\r\n"),
    PIECE("*1\r\n$abc\r\n"),
    PIECE("*1\r\n:1\r\n"),
    PIECE("*1\r\nPING\r\n"),
    PIECE("*1\r\n$99999999999999\r\n"),
    PIECE("*2\r\n$3\r\nGET\r\n$536870913\r\n"),
    PIECE("HELLO 3\r\n"),
    PIECE("HELLO 2\r\n"),
    PIECE("CLIENT REPLY OFF\r\n"),
    PIECE("CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n"),
    PIECE("CLIENT REPLY OFF\r\nnope\r\nSET raw:1 y\r\nCLIENT REPLY ON\r\n"),
    PIECE("CLIENT REPLY ON\r\n"),
    /* With a request behind it, since to Redis an empty line is one that may be skipped. */
    PIECE("CLIENT REPLY SKIP\r\nPING\r\n"),
    PIECE("CLIENT REPLY SKIP\r\nRESET\r\n"),
    PIECE("CLIENT REPLY SKIP\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n"),
    PIECE("CLIENT REPLY nope\r\n"),
    PIECE("SELECT 3\r\n"),
    PIECE("RESET\r\n"),
    PIECE("QUIT\r\n"),
    PIECE("quit now please\r\n"),
};
/* Replies on again, since Redis forgets to close after a QUIT that it may not answer. */
#define SESSION_END "\r\nCLIENT REPLY ON\r\nQUIT\r\n"
#define SILENCE_MS 1500
#define PIECE_COUNT (sizeof(pieces) / sizeof(pieces[0]))

/* HELLO's answer names version and id, so such sessions ask in a way that fails. */
static void append_piece(struct gen *gen, struct buf *out)
{
    struct bytes piece = pieces[gen_below(gen, PIECE_COUNT)];
    if (bytes_equal(piece, bytes_of_text("CLIENT REPLY OFF\r\n")) && gen_chance(gen, 85)) {
        piece = bytes_of_text("PING\r\n"); /* Sessions that fall silent take their time. */
    }
    if (memcmp(piece.data, "HELLO", 5) == 0) {
        piece = bytes_of_text("HELLO 9\r\n");
    }
    if (buf_append(out, piece) != ST_OK) {
        differential_die("no memory");
    }
}

/* What a server says until it closes, or until it is silent for long. */
struct outcome {
    struct buf said;
    bool closed;
};

static void raw_session(struct stage *stage, struct buf *request, struct outcome *outcomes)
{
    struct link sessions[2] = {{.fd = -1}, {.fd = -1}};
    int ports[2] = {process_port(stage->theirs), process_port(stage->ours)};
    struct link *links[2] = {&sessions[0], &sessions[1]};
    for (size_t i = 0; i < 2; i++) {
        if (!link_connect(&sessions[i], ports[i])) {
            differential_die("cannot connect to %s", side_names[i]);
        }
        sessions[i].until_end = true;
        link_raw(&sessions[i], buf_bytes(request), 0);
    }
    const char *problem = link_exchange(links, 2, SILENCE_MS);
    for (size_t i = 0; i < 2; i++) {
        outcomes[i].closed = sessions[i].ended;
        if (buf_append(&outcomes[i].said, buf_bytes(&sessions[i].in)) != ST_OK) {
            differential_die("no memory: %s", problem);
        }
        link_close(&sessions[i]);
    }
}

/* Differences in words are faults; in how the session ends there are explained ones. */
static void judge_session(struct stage *stage, struct bytes request, struct outcome *outcomes)
{
    static const char *const ends[] = {"+<silence>\r\n", "+<closed>\r\n"};
    struct bytes argv[] = {bytes_of_text("(raw session)"), request};
    struct judge_case replies = {.argv = argv,
                                 .argc = 2,
                                 .theirs = bytes_of_text(ends[outcomes[0].closed]),
                                 .ours = bytes_of_text(ends[outcomes[1].closed])};
    if (bytes_equal(buf_bytes(&outcomes[0].said), buf_bytes(&outcomes[1].said)) &&
        judge_agrees(&replies, &stage->arena)) {
        return;
    }
    struct reply said[2];
    for (size_t i = 0; i < 2; i++) {
        if (buf_append(&outcomes[i].said, bytes_of_text(ends[outcomes[i].closed])) != ST_OK) {
            differential_die("no memory");
        }
        said[i] = (struct reply){.type = '$', .text = buf_bytes(&outcomes[i].said)};
    }
    differ(stage, argv, 2, &said[0], &said[1]);
}

static void play_raw_session(struct stage *stage, struct gen *gen)
{
    for (int session = 0; session < 20; session++) {
        struct buf request = BUF_EMPTY;
        struct outcome outcomes[2] = {{.closed = false}, {.closed = false}};
        for (unsigned count = 1 + gen_below(gen, 12); count > 0; count--) {
            append_piece(gen, &request);
        }
        if (buf_append(&request, bytes_of_text(SESSION_END)) != ST_OK) {
            differential_die("no memory");
        }
        raw_session(stage, &request, outcomes);
        judge_session(stage, buf_bytes(&request), outcomes);
        buf_deinit(&request);
        buf_deinit(&outcomes[0].said);
        buf_deinit(&outcomes[1].said);
    }
}

/* -------------------------------------------------------------------------------------------- */

void scenes_flush(struct stage *stage)
{
    begin_control(stage);
    words_both(stage, "FLUSHALL");
    exchange_control(stage, "FLUSHALL");
}

void scenes_play(struct stage *stage, struct gen *gen, const struct gen_family *family)
{
    static void (*const plays[])(struct stage * stage, struct gen * gen) = {
        play_scan, play_randomkey, play_short_expiry, play_raw_session, play_sets};
    if (family->scenes == 0) {
        return;
    }
    unsigned which;
    do {
        which = gen_below(gen, sizeof(plays) / sizeof(plays[0]));
    } while ((family->scenes & 1u << which) == 0);
    plays[which](stage, gen);
    arena_reset(&stage->arena);
    gen_reset(gen);
}
