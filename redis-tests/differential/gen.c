/* Templates are read anew for each request: that costs less than the request's way to the servers,
 * and keeps a row a single line of text. */
#include "redis-tests/differential/gen.h"
#include "redis-tests/differential/gen_arguments.h"
#include "redis-tests/differential/link.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

void gen_init(struct gen *gen, uint64_t seed)
{
    gen->state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
    gen->stream_ms = 1000000;
    gen->argc = 0;
    arena_init(&gen->arena);
    for (int i = 0; i < 8; i++) {
        gen_random(gen);
    }
}

void gen_deinit(struct gen *gen)
{
    arena_deinit(&gen->arena);
}

void gen_reset(struct gen *gen)
{
    arena_reset(&gen->arena);
}

uint64_t gen_random(struct gen *gen)
{
    uint64_t x = gen->state == 0 ? 88172645463325252u : gen->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    gen->state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

unsigned gen_below(struct gen *gen, unsigned bound)
{
    return (unsigned)((gen_random(gen) >> 32) * bound >> 32);
}

bool gen_chance(struct gen *gen, unsigned percent)
{
    return gen_below(gen, 100) < percent;
}

/* -- Templates ------------------------------------------------------------------------------- */

/* A word of the template as itself: as written, in the other case, or mixed. */
static void put_literal(struct gen *gen, struct bytes word)
{
    unsigned char *data = gen_room(gen, word.size);
    unsigned style = gen_below(gen, 10);
    for (size_t i = 0; i < word.size; i++) {
        unsigned char c = ((const unsigned char *)word.data)[i];
        bool lower = style < 4 || (style == 9 && gen_chance(gen, 50));
        data[i] = (unsigned char)(lower ? tolower(c) : c);
    }
    gen_put(gen, bytes_of(data, word.size));
}

static void expand_word(struct gen *gen, struct bytes word)
{
    const char *text = word.data;
    if (text[0] == '\'') {
        gen_put(gen, bytes_of(text + 1, word.size - 1));
        return;
    }
    if (!islower((unsigned char)text[0])) {
        put_literal(gen, word);
        return;
    }
    unsigned times = 1;
    if (text[word.size - 1] == '+') {
        word.size--;
        unsigned chance = gen_below(gen, 1000);
        times = chance < 940   ? 1 + gen_below(gen, 4)
                : chance < 990 ? 1 + gen_below(gen, 24)
                               : 1 + gen_below(gen, 300);
    }
    while (times-- > 0) {
        if (!gen_put_kind(gen, word)) {
            differential_die("no such kind of argument: %.*s", (int)word.size, text);
        }
    }
}

static void expand_words(struct gen *gen, struct bytes words)
{
    const char *text = words.data;
    size_t offset = 0;
    while (offset < words.size) {
        size_t start = offset;
        while (offset < words.size && text[offset] != ' ') {
            offset++;
        }
        if (offset > start) {
            expand_word(gen, bytes_of(text + start, offset - start));
        }
        offset++;
    }
}

#define ALTERNATIVES_MAX 24

/* What stands between brackets: alternatives with | between them. */
static void expand_alternatives(struct gen *gen, struct bytes text, bool one)
{
    struct bytes alternatives[ALTERNATIVES_MAX];
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= text.size && count < ALTERNATIVES_MAX; i++) {
        if (i == text.size || ((const char *)text.data)[i] == '|') {
            alternatives[count++] = bytes_of((const char *)text.data + start, i - start);
            start = i + 1;
        }
    }
    unsigned chance = gen_below(gen, 100);
    unsigned times = one ? 1 : chance < 30 ? 0 : chance < 65 ? 1 : chance < 88 ? 2 : 3;
    while (times-- > 0) {
        expand_words(gen, alternatives[gen_below(gen, (unsigned)count)]);
    }
}

static void expand(struct gen *gen, const char *text)
{
    gen->argc = 0;
    while (*text != '\0') {
        if (*text == '<' || *text == '(') {
            size_t size = strcspn(text, *text == '<' ? ">" : ")");
            expand_alternatives(gen, bytes_of(text + 1, size - 1), *text == '(');
            text += size + 1;
        } else {
            size_t size = strcspn(text, "<(");
            expand_words(gen, bytes_of(text, size));
            text += size;
        }
    }
}

/* -- Spoiling -------------------------------------------------------------------------------- */

static void spoil(struct gen *gen)
{
    unsigned at = 1 + gen_below(gen, gen->argc > 1 ? (unsigned)gen->argc - 1 : 1);
    switch (gen_below(gen, 6)) {
    case 0: /* Cut short. */
        gen->argc = at < gen->argc ? at : gen->argc;
        break;
    case 1: /* Dropped. */
        if (at < gen->argc) {
            memmove(&gen->argv[at], &gen->argv[at + 1],
                    (gen->argc - at - 1) * sizeof(gen->argv[0]));
            gen->argc--;
        }
        break;
    case 2: /* Doubled. */
        if (at < gen->argc) {
            gen_put(gen, gen->argv[at]);
        }
        break;
    case 3: /* Swapped. */
        if (gen->argc > 2) {
            unsigned other = 1 + gen_below(gen, (unsigned)gen->argc - 1);
            struct bytes argument = gen->argv[at];
            gen->argv[at] = gen->argv[other];
            gen->argv[other] = argument;
        }
        break;
    case 4: /* Replaced. */
        if (at < gen->argc) {
            gen_put_hostile(gen);
            gen->argv[at] = gen->argv[--gen->argc];
        }
        break;
    default: /* Added. */
        gen_put_hostile(gen);
        break;
    }
}

/* -- Requests that nobody should make -------------------------------------------------------- */

static bool is(struct bytes argument, const char *word)
{
    return argument.size == strlen(word) && strncasecmp(argument.data, word, argument.size) == 0;
}

/* A number as generous a reader would see it, so that no doubt remains. */
static bool number_between(struct bytes argument, double low, double high)
{
    char text[64];
    size_t size = argument.size < sizeof(text) - 1 ? argument.size : sizeof(text) - 1;
    memcpy(text, argument.data, size);
    text[size] = '\0';
    double value = strtod(text, NULL);
    return value >= low && value <= high;
}

/* Whether a time to live ends soon, or a Unix time lies near today's. */
static bool soon(struct bytes argument, bool absolute, bool ms)
{
    double unit = ms ? 1000 : 1;
    return absolute ? number_between(argument, 1.6e9 * unit, 2.4e9 * unit)
                    : number_between(argument, 0.001, 1e6 * unit);
}

/* Only what lies far away or in the past is the same on both servers. */
static bool expires_soon(const struct gen *gen)
{
    static const struct {
        const char *name;
        unsigned first, last;
        bool absolute, ms;
    } forms[] = {{"expire", 2, 2, false, false},  {"pexpire", 2, 2, false, true},
                 {"expireat", 2, 2, true, false}, {"pexpireat", 2, 2, true, true},
                 {"setex", 2, 2, false, false},   {"psetex", 2, 2, false, true}};
    static const struct {
        const char *word;
        bool absolute, ms;
    } options[] = {
        {"ex", false, false}, {"px", false, true}, {"exat", true, false}, {"pxat", true, true}};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (gen->argc > 2 && is(gen->argv[0], forms[i].name)) {
            return soon(gen->argv[2], forms[i].absolute, forms[i].ms);
        }
    }
    if (gen->argc > 2 && (is(gen->argv[0], "restore") || is(gen->argv[0], "restore-asking"))) {
        return soon(gen->argv[2], false, true) || soon(gen->argv[2], true, true);
    }
    if (!is(gen->argv[0], "set") && !is(gen->argv[0], "getex")) {
        return false;
    }
    for (size_t i = 2; i + 1 < gen->argc; i++) {
        for (size_t j = 0; j < COUNT_OF(options); j++) {
            if (is(gen->argv[i], options[j].word) &&
                soon(gen->argv[i + 1], options[j].absolute, options[j].ms)) {
                return true;
            }
        }
    }
    return false;
}

static bool starts_with_pool_of_short(struct bytes argument)
{
    return argument.size >= 2 && memchr("cl", *(const char *)argument.data, 2) != NULL &&
           ((const char *)argument.data)[1] == ':';
}

/* Whether any argument could be the offset of a field far behind all others. */
static bool far_field(const struct gen *gen)
{
    for (size_t i = 3; i < gen->argc; i++) {
        struct bytes type = gen->argv[i - 1];
        struct bytes offset = gen->argv[i];
        if (type.size > 1 && type.size < 4 && memchr("ui", *(const char *)type.data, 2) != NULL) {
            bool hash = offset.size > 0 && *(const char *)offset.data == '#';
            offset = bytes_slice(offset, hash, offset.size);
            if (number_between(offset, hash ? 25000 : 1600000, 4294967295)) {
                return true;
            }
        }
    }
    return false;
}

/* Strings of hundreds of megabytes would say little and cost seconds. */
static bool too_costly(const struct gen *gen)
{
    if (is(gen->argv[0], "setrange") && gen->argc > 2) {
        return number_between(gen->argv[2], 200000, 536870911);
    }
    if (is(gen->argv[0], "setbit") && gen->argc > 2) {
        return number_between(gen->argv[2], 1600000, 4294967295);
    }
    if (is(gen->argv[0], "bitfield")) {
        return far_field(gen);
    }
    if (is(gen->argv[0], "lcs") && gen->argc > 2) {
        return !starts_with_pool_of_short(gen->argv[1]) || !starts_with_pool_of_short(gen->argv[2]);
    }
    return false;
}

/* IDs drawn from the clock differ, and a read that waits takes the time of many; BLOCK comes only
 * where it is refused before that. */
static bool waits_or_draws(const struct gen *gen)
{
    bool adds = is(gen->argv[0], "xadd") && gen->argc > 1 && !is(gen->argv[1], "y:1");
    bool reads = is(gen->argv[0], "xread") || is(gen->argv[0], "xreadgroup");
    for (size_t i = 2; adds && i < gen->argc; i++) {
        if (is(gen->argv[i], "*")) {
            return true;
        }
    }
    for (size_t i = 1; reads && i < gen->argc; i++) {
        bool refused =
            i + 1 < gen->argc && (is(gen->argv[i + 1], "x") || is(gen->argv[i + 1], "-1") ||
                                  is(gen->argv[i + 1], "1.5"));
        if (is(gen->argv[i], "block") && !refused) {
            return true;
        }
    }
    return false;
}

/* -- Requests -------------------------------------------------------------------------------- */

static const struct gen_row *choose(struct gen *gen, const struct gen_family *family, bool alone)
{
    unsigned sum = 0;
    for (const struct gen_row *row = family->rows; row->text != NULL; row++) {
        sum += row->weight;
    }
    while (true) {
        unsigned chance = gen_below(gen, sum);
        const struct gen_row *row = family->rows;
        while (chance >= row->weight) {
            chance -= row->weight;
            row++;
        }
        if (alone || (row->flags & GEN_ALONE) == 0) {
            return row;
        }
    }
}

static struct gen_request request_of(struct gen *gen, enum judge judge)
{
    struct bytes *argv = arena_alloc(&gen->arena, gen->argc * sizeof(struct bytes));
    if (argv == NULL) {
        differential_die("no memory");
    }
    memcpy(argv, gen->argv, gen->argc * sizeof(struct bytes));
    return (struct gen_request){.argv = argv, .argc = gen->argc, .judge = judge};
}

struct gen_request gen_request(struct gen *gen, const struct gen_family *family, bool alone)
{
    enum judge judge;
    do {
        const struct gen_row *row = choose(gen, family, alone);
        judge = row->judge;
        expand(gen, row->text);
        if ((row->flags & GEN_RIGHT) == 0) {
            while (gen_chance(gen, family->spoilt_percent)) {
                spoil(gen);
            }
        }
    } while (expires_soon(gen) || too_costly(gen) || waits_or_draws(gen));
    return request_of(gen, judge);
}

struct gen_request gen_template(struct gen *gen, const char *text)
{
    expand(gen, text);
    return request_of(gen, JUDGE_EXACT);
}
