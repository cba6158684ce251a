/* Arguments by chance for sets and for SORT: members, and the keys that SORT's patterns name. */
#include "redis-tests/differential/gen_arguments.h"

/* Longer than most: of these sizes are the limits of listpacks. */
static void put_long(struct gen *gen, size_t size)
{
    unsigned char *data = gen_room(gen, size);
    memset(data, (int)('p' + gen_below(gen, 4)), size);
    data[0] = (unsigned char)gen_random(gen);
    gen_put(gen, bytes_of(data, size));
}

/* Sets of anything, and sets that hold integers for the most part. */
static void put_tkey(struct gen *gen)
{
    gen_put_format(gen, "%c:%u", gen_chance(gen, 96) ? 't' : 'l', gen_below(gen, 24));
}
static void put_ikey(struct gen *gen)
{
    gen_put_format(gen, "%c:%u", gen_chance(gen, 97) ? 'i' : 't', gen_below(gen, 10));
}
/* Of few different ones, so that sets meet; some at the limits of a listpack, some near integers.
 */
static void put_member(struct gen *gen)
{
    unsigned chance = gen_below(gen, 1000);
    if (chance < 500) {
        gen_put_format(gen, "%c%u", (char)('a' + gen_below(gen, 3)), gen_below(gen, 90));
    } else if (chance < 700) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 60) - 10);
    } else if (chance < 960) {
        gen_put_kind(gen, bytes_of_text("element"));
    } else if (chance < 990) {
        put_long(gen, 62 + gen_below(gen, 5));
    } else {
        gen_put_hostile(gen);
    }
}

/* Integers of every width, now and then what only looks like one. */
static void put_imember(struct gen *gen)
{
    unsigned chance = gen_below(gen, 10000);
    if (chance < 7000) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 900) - 200);
    } else if (chance < 8500) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 100) * 1000 - 40000);
    } else if (chance < 9900) {
        gen_put_format(gen, "%lld", (long long)(gen_below(gen, 60) + 1) << gen_below(gen, 58));
    } else if (chance < 9970) {
        gen_put_format(gen, "%lld", (long long)gen_random(gen));
    } else {
        put_member(gen);
    }
}

static void put_many(struct gen *gen, void (*put)(struct gen *gen))
{
    static const unsigned edges[] = {127, 128, 129, 200, 511, 512, 513};
    unsigned count =
        gen_chance(gen, 60) ? 20 + gen_below(gen, 120) : edges[gen_below(gen, COUNT_OF(edges))];
    while (count-- > 0) {
        put(gen);
    }
}
static void put_members(struct gen *gen)
{
    put_many(gen, put_member);
}
static void put_imembers(struct gen *gen)
{
    put_many(gen, put_imember);
}

/* For SRANDMEMBER, which answers as many as it is asked for if they may repeat. */
static void put_draws(struct gen *gen)
{
    static const char *const odd[] = {"", "x", "1.5", " 1", "99999999", "-9223372036854775808"};
    if (gen_chance(gen, 90)) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 120) - 50);
    } else {
        gen_put_text(gen, odd[gen_below(gen, COUNT_OF(odd))]);
    }
}

/* For SORT: lists of numbers for the most part, and the keys that weigh them. */
static void put_okey(struct gen *gen)
{
    gen_put_format(gen, "o:%u", gen_below(gen, 10));
}
static void put_wkey(struct gen *gen)
{
    gen_put_format(gen, "w:%u", gen_below(gen, 40));
}
static void put_sortable(struct gen *gen)
{
    static const char *const odd[] = {"",  " 5",  "5 ",  "0x1f", "inf", "-inf",
                                      "x", "nan", "1e3", "-0",   "abc", "007"};
    unsigned chance = gen_below(gen, 1000);
    if (chance < 600) {
        gen_put_format(gen, "%u", gen_below(gen, 40));
    } else if (chance < 997) {
        gen_put_format(gen, "%d.%u", (int)gen_below(gen, 100) - 30, gen_below(gen, 4) * 25);
    } else {
        gen_put_text(gen, odd[gen_below(gen, COUNT_OF(odd))]);
    }
}
static void put_by(struct gen *gen)
{
    static const char *const patterns[] = {"w:*", "w:*",   "w:*", "none:*", "w:*->f",
                                           "*",   "w:*->", "o:*", "w:3->*"};
    gen_put_text(gen, patterns[gen_below(gen, COUNT_OF(patterns))]);
}
static void put_got(struct gen *gen)
{
    static const char *const patterns[] = {"#", "#", "w:*", "w:*->f", "o:*", "w:3", "##"};
    gen_put_text(gen, patterns[gen_below(gen, COUNT_OF(patterns))]);
}

static void put_member_pattern(struct gen *gen)
{
    static const char *const patterns[] = {"*", "a*", "?1*", "[ab]?", "1*", "-*", "", "\\*"};
    gen_put_text(gen, patterns[gen_below(gen, COUNT_OF(patterns))]);
}

static void put_counted_tkeys(struct gen *gen)
{
    const char *kind = gen_chance(gen, 70) ? "tkey" : "ikey";
    unsigned count = 1 + gen_below(gen, 4);
    if (gen_chance(gen, 92)) {
        gen_put_format(gen, "%u", count);
    } else {
        gen_put_kind(gen, bytes_of_text("count"));
    }
    for (unsigned i = 0; i < count; i++) {
        gen_put_kind(gen, bytes_of_text(kind));
    }
}

static const struct {
    const char *name;
    void (*put)(struct gen *gen);
} kinds[] = {
    {"okey", put_okey},
    {"wkey", put_wkey},
    {"sortable", put_sortable},
    {"by", put_by},
    {"got", put_got},
    {"member", put_member},
    {"members", put_members},
    {"imember", put_imember},
    {"imembers", put_imembers},
    {"draws", put_draws},
    {"member_pattern", put_member_pattern},
    {"tkey", put_tkey},
    {"ikey", put_ikey},
    {"counted_tkeys", put_counted_tkeys},
};

bool gen_put_set_kind(struct gen *gen, struct bytes kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (bytes_equal(kind, bytes_of_text(kinds[i].name))) {
            kinds[i].put(gen);
            return true;
        }
    }
    return false;
}
