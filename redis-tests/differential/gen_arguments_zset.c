/* Arguments of sorted sets by chance. */
#include "redis-tests/differential/gen_arguments.h"
#include "redis-tests/differential/link.h"

static void put_text(struct gen *gen, const char *text)
{
    gen_put(gen, bytes_of_text(text));
}

static void put_kind(struct gen *gen, const char *kind)
{
    if (!gen_put_kind(gen, bytes_of_text(kind))) {
        differential_die("no such kind of argument: %s", kind);
    }
}

static void put_zkey(struct gen *gen)
{
    if (gen_chance(gen, 92)) {
        gen_put_format(gen, "z:%u", gen_below(gen, 16));
    } else {
        put_kind(gen, "skey");
    }
}
static void put_xkey(struct gen *gen)
{
    gen_put_format(gen, "x:%u", gen_below(gen, 6));
}
static void put_ykey(struct gen *gen)
{
    gen_put_format(gen, "y:%u", gen_below(gen, 6));
}

static void put_ymember(struct gen *gen)
{
    gen_put_format(gen, "%s%u", gen_chance(gen, 50) ? "a" : "", gen_below(gen, 50));
}

static void put_ypattern(struct gen *gen)
{
    static const char *const patterns[] = {"*", "a*", "*1", "[0-4]*", "nope", ""};
    put_text(gen, patterns[gen_below(gen, COUNT_OF(patterns))]);
}

static void put_member(struct gen *gen)
{
    unsigned chance = gen_below(gen, 1000);
    if (chance < 550) {
        gen_put_format(gen, "m%u", gen_below(gen, 40));
    } else if (chance < 880) {
        gen_put_format(gen, "m%u", gen_below(gen, 400));
    } else if (chance < 960) {
        put_ymember(gen);
    } else if (chance < 985) {
        gen_put_hostile(gen);
    } else {
        put_kind(gen, "value");
    }
}

static void put_score(struct gen *gen)
{
    static const char *const scores[] = {
        "0",      "-0",      "inf",      "-inf", "+inf",   "1e300",  "-1e300",
        "1e-310", "1e17",    "1e16",     "3.14", "0.1",    "0.2",    "2.5e-5",
        "1e400",  "-1e-400", "Infinity", "1e18", "4.7e18", "9.3e18", "123456789012345678",
        ".5",     "5.",      "0x1p3",    "1e-7"};
    unsigned chance = gen_below(gen, 100);
    if (chance < 70) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 30) - 5);
    } else if (chance < 80) {
        gen_put_format(gen, "%.*f", (int)gen_below(gen, 5),
                       (double)(int)gen_below(gen, 2000) / 7 - 90);
    } else if (chance < 97) {
        put_text(gen, scores[gen_below(gen, COUNT_OF(scores))]);
    } else {
        gen_put_hostile(gen);
    }
}

static void put_score_end(struct gen *gen)
{
    static const char *const ends[] = {"-inf", "+inf", "(-inf", "(inf", "(0", "-0", "(", "(1.5"};
    unsigned chance = gen_below(gen, 100);
    if (chance < 40) {
        gen_put_format(gen, "%s%d", gen_chance(gen, 40) ? "(" : "", (int)gen_below(gen, 30) - 5);
    } else if (chance < 70) {
        put_text(gen, ends[gen_below(gen, COUNT_OF(ends))]);
    } else {
        put_score(gen);
    }
}

static void put_lex_end(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 30) {
        put_text(gen, chance < 15 ? "-" : "+");
    } else if (chance < 90) {
        gen_put_format(gen, "%s%s%u", chance % 2 == 0 ? "[" : "(", gen_chance(gen, 50) ? "a" : "",
                       gen_below(gen, 300));
    } else if (chance < 94) {
        put_text(gen, chance % 2 == 0 ? "[" : "(");
    } else {
        gen_put_hostile(gen);
    }
}

static void put_zpair(struct gen *gen)
{
    put_score(gen);
    put_member(gen);
}
static void put_xpair(struct gen *gen)
{
    put_text(gen, "7");
    gen_put_format(gen, "%s%u", gen_chance(gen, 50) ? "a" : "", gen_below(gen, 300));
}
static void put_ypair(struct gen *gen)
{
    gen_put_format(gen, "%d", (int)gen_below(gen, 30) - 5);
    put_ymember(gen);
}

/* How many members to draw: Redis really draws what is asked for with repetitions. */
static void put_draws(struct gen *gen)
{
    static const char *const odd[] = {"abc",
                                      "",
                                      "1.5",
                                      "9223372036854775807",
                                      "-0",
                                      "+1",
                                      " 1",
                                      "-9223372036854775808",
                                      "9223372036854775808"};
    if (gen_chance(gen, 85)) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 60) - 30);
    } else {
        put_text(gen, odd[gen_below(gen, COUNT_OF(odd))]);
    }
}

/* Plain sets, which unions and their like read too. */
static void put_plainkey(struct gen *gen)
{
    gen_put_format(gen, "p:%u", gen_below(gen, 6));
}

static unsigned put_zkeys(struct gen *gen)
{
    unsigned count = 1 + gen_below(gen, 4);
    if (gen_chance(gen, 93)) {
        gen_put_format(gen, "%u", count);
    } else {
        put_kind(gen, "count");
    }
    for (unsigned i = 0; i < count; i++) {
        if (gen_chance(gen, 80)) {
            put_zkey(gen);
        } else {
            put_plainkey(gen);
        }
    }
    return count;
}
static void put_counted_zkeys(struct gen *gen)
{
    (void)put_zkeys(gen);
}
static void put_weighted_zkeys(struct gen *gen)
{
    unsigned count = put_zkeys(gen);
    put_text(gen, "WEIGHTS");
    for (unsigned i = 0; i < count; i++) {
        put_score(gen);
    }
}

static const struct {
    const char *name;
    void (*put)(struct gen *gen);
} kinds[] = {
    {"zkey", put_zkey},
    {"xkey", put_xkey},
    {"ykey", put_ykey},
    {"member", put_member},
    {"ymember", put_ymember},
    {"ypattern", put_ypattern},
    {"score", put_score},
    {"score_end", put_score_end},
    {"lex_end", put_lex_end},
    {"zpair", put_zpair},
    {"xpair", put_xpair},
    {"ypair", put_ypair},
    {"draws", put_draws},
    {"plainkey", put_plainkey},
    {"counted_zkeys", put_counted_zkeys},
    {"weighted_zkeys", put_weighted_zkeys},
};

bool gen_put_zset_kind(struct gen *gen, struct bytes kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (bytes_equal(kind, bytes_of_text(kinds[i].name))) {
            kinds[i].put(gen);
            return true;
        }
    }
    return false;
}
