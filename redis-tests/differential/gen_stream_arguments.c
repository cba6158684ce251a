/* What hangs on time is kept far from any threshold: min-idle times are none, or a thousand
 * seconds, or more than any; idle times that are set are five thousand seconds. */
#include "redis-tests/differential/gen_stream_arguments.h"

#include "redis-tests/differential/gen_arguments.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void put(struct gen *gen, const char *format, ...)
{
    char text[96];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    unsigned char *data = gen_room(gen, (size_t)size);
    memcpy(data, text, (size_t)size);
    gen_put(gen, bytes_of(data, (size_t)size));
}

static void put_one_of(struct gen *gen, const char *const *texts, size_t count)
{
    gen_put(gen, bytes_of_text(texts[gen_below(gen, (unsigned)count)]));
}

/* Of few streams, so that some grow over many nodes: the first are met most. */
static void put_xkey(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 97) {
        put(gen, "x:%u", gen_below(gen, chance < 60 ? 3 : 12));
    } else if (chance < 99) {
        put(gen, "s:%u", gen_below(gen, 4));
    } else {
        gen_put_hostile(gen);
    }
}

static void put_xgroup(struct gen *gen)
{
    if (gen_chance(gen, 96)) {
        put(gen, "g%u", gen_below(gen, 3));
    } else {
        static const char *const odd[] = {"", "nope", "g 0"};
        put_one_of(gen, odd, COUNT_OF(odd));
    }
}

static void put_xconsumer(struct gen *gen)
{
    put(gen, "%s%u", gen_chance(gen, 97) ? "c" : "other", gen_below(gen, 4));
}

/* An ID that may be there, or lie between others. */
static void put_id_near(struct gen *gen, unsigned back)
{
    uint64_t ms = gen->stream_ms - gen_below(gen, back);
    unsigned chance = gen_below(gen, 100);
    if (chance < 50) {
        put(gen, "%" PRIu64 "-%u", ms, gen_below(gen, 3));
    } else if (chance < 96) {
        put(gen, "%" PRIu64, ms);
    } else {
        put(gen, "%u-%u", gen_below(gen, 3), gen_below(gen, 3));
    }
}

static void put_odd_id(struct gen *gen)
{
    static const char *const odd[] = {"0",
                                      "0-0",
                                      "0-1",
                                      "-",
                                      "+",
                                      "$",
                                      ">",
                                      "*",
                                      "5-*",
                                      "*-1",
                                      "-1",
                                      "1-",
                                      "1--1",
                                      "1-2-3",
                                      "+5",
                                      " 5",
                                      "5 ",
                                      "5-+6",
                                      "5- 6",
                                      "05-06",
                                      "(5",
                                      "5-x",
                                      "x",
                                      "18446744073709551615",
                                      "18446744073709551616",
                                      "(18446744073709551615-18446744073709551615",
                                      "(0-0"};
    put_one_of(gen, odd, COUNT_OF(odd));
}

/* Where a new entry goes. */
static void put_xnew(struct gen *gen)
{
    unsigned chance = gen_below(gen, 1000);
    /* Slowly, so that IDs made for one stream are those of others too. */
    uint64_t ms = gen->stream_ms += gen_chance(gen, 4);
    if (chance < 150) {
        put(gen, "%" PRIu64 "-%u", ms, gen_below(gen, 4));
    } else if (chance < 250) {
        put(gen, "%" PRIu64, ms);
    } else if (chance < 960) {
        put(gen, "%" PRIu64 "-*", ms);
    } else if (chance < 990) {
        put_id_near(gen, 20);
    } else if (gen_chance(gen, 97)) {
        put(gen, "%u-%s", gen_below(gen, 3), gen_chance(gen, 50) ? "x" : "0");
    } else {
        put_odd_id(gen);
    }
}

/* Above all others: 7.0 lets XSETID take the last ID below deleted ones, 7.2 does not. */
static void put_xahead(struct gen *gen)
{
    put(gen, "%" PRIu64 "-%u", ++gen->stream_ms, gen_below(gen, 3));
}

/* An ID of an entry, perhaps. */
static void put_xid(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 96) {
        put_id_near(gen, chance < 50 ? 20 : 600);
    } else {
        put_odd_id(gen);
    }
}

/* Old enough that much of a stream lies behind it. */
static void put_xafter(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 40) {
        put(gen, "0");
    } else if (chance < 90) {
        put_id_near(gen, 1500);
    } else {
        put_odd_id(gen);
    }
}

static void put_xmin(struct gen *gen)
{
    put_id_near(gen, 900);
}

static void put_bound(struct gen *gen, const char *edge)
{
    unsigned chance = gen_below(gen, 100);
    uint64_t ms = gen->stream_ms - gen_below(gen, 1500);
    if (chance < 35) {
        put(gen, "%s", edge);
    } else if (chance < 60) {
        put(gen, "(%" PRIu64, ms);
    } else if (chance < 75) {
        put(gen, "(%" PRIu64 "-%u", ms, gen_below(gen, 3));
    } else if (chance < 94) {
        put_id_near(gen, 1500);
    } else {
        put_odd_id(gen);
    }
}

static void put_xstart(struct gen *gen)
{
    put_bound(gen, "-");
}
static void put_xend(struct gen *gen)
{
    put_bound(gen, "+");
}

static void put_xvalue(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 40) {
        gen_put_kind(gen, bytes_of_text("short"));
    } else if (chance < 70) {
        put(gen, "%" PRId64, (int64_t)gen_random(gen) >> gen_below(gen, 63));
    } else {
        gen_put_kind(gen, bytes_of_text("value"));
    }
}

/* Mostly the names that the entry before had. */
static void put_xfields(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    unsigned count = chance < 80 ? 2 : 1 + gen_below(gen, 5);
    for (unsigned i = 0; i < count; i++) {
        if (chance < 90) {
            put(gen, "field%u", i);
        } else {
            gen_put_kind(gen, bytes_of_text("element"));
        }
        put_xvalue(gen);
    }
}

static void put_xidle(struct gen *gen)
{
    static const char *const idle[] = {"0", "0", "0", "1000000", "1000000000", "-1"};
    put_one_of(gen, idle, COUNT_OF(idle));
}

static void put_xlength(struct gen *gen)
{
    if (gen_chance(gen, 96)) {
        put(gen, "%u", gen_below(gen, gen_chance(gen, 30) ? 60 : 900));
    } else {
        gen_put_hostile(gen);
    }
}

static void put_xlimit(struct gen *gen)
{
    put(gen, "%u", gen_below(gen, 4) * 100);
}

/* STREAMS: keys, then as many IDs. */
static void put_streams(struct gen *gen, bool group)
{
    unsigned count = 1 + gen_below(gen, gen_chance(gen, 80) ? 2 : 4);
    put(gen, "STREAMS");
    for (unsigned i = 0; i < count; i++) {
        put_xkey(gen);
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned chance = gen_below(gen, 100);
        if (group && chance < 65) {
            put(gen, ">");
        } else if (!group && chance < 10) {
            put(gen, "$");
        } else {
            put_xafter(gen);
        }
    }
}

static void put_xstreams(struct gen *gen)
{
    put_streams(gen, false);
}
static void put_xgroup_streams(struct gen *gen)
{
    put_streams(gen, true);
}

static const struct {
    const char *name;
    void (*put)(struct gen *gen);
} kinds[] = {
    {"xkey", put_xkey},
    {"xgroup", put_xgroup},
    {"xconsumer", put_xconsumer},
    {"xnew", put_xnew},
    {"xid", put_xid},
    {"xmin", put_xmin},
    {"xafter", put_xafter},
    {"xstart", put_xstart},
    {"xend", put_xend},
    {"xfields", put_xfields},
    {"xidle", put_xidle},
    {"xlength", put_xlength},
    {"xlimit", put_xlimit},
    {"xstreams", put_xstreams},
    {"xahead", put_xahead},
    {"xgroup_streams", put_xgroup_streams},
};

bool gen_put_stream_kind(struct gen *gen, struct bytes kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (bytes_equal(kind, bytes_of_text(kinds[i].name))) {
            kinds[i].put(gen);
            return true;
        }
    }
    return false;
}
