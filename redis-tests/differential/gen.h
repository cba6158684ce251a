/* gen: requests by chance, right ones and wrong ones, from templates; one seed gives one stream.
 *
 *     "SET skey value <NX|XX|GET|EX seconds>"  →  set s:17 "\x00…" GET EX 86400 nx
 *
 * In a template a lower-case word stands for an argument of that kind (the list is in
 * gen_arguments.c), with a + behind it for several of them; other words stand for themselves, in
 * any case, and 'word for exactly word; <a|b> for none or some of the alternatives in any order,
 * doubles included; (a|b) for exactly one. A share of the requests is then spoilt: arguments
 * dropped, doubled, swapped, replaced, added.
 *
 * Nothing depends on the time or on replies, so that a seed replays. Expiry times lie far away or
 * in the past; requests whose outcome would hang on a moment's timing are never made.
 * Thread: one. Memory: an arena, emptied by gen_reset.
 */
#ifndef BASIN_REDIS_TESTS_GEN_H
#define BASIN_REDIS_TESTS_GEN_H

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

/* How two replies to the same request are compared; errors always byte for byte. */
enum judge {
    JUDGE_EXACT,
    JUDGE_SECONDS,   /* Integers may differ by 1. */
    JUDGE_MS,        /* … by 1500. */
    JUDGE_UNORDERED, /* The same elements in any order. */
    JUDGE_SHAPE,     /* The same type. */
    JUDGE_HELLO,     /* All of HELLO's map but version and id. */
    JUDGE_COMMAND,   /* COMMAND INFO: flags, categories and subcommands in any order. */
    JUDGE_PAIRS,     /* A map, its pairs in any order. */
    JUDGE_COUNT,     /* The same type and count of elements. */
    JUDGE_SCAN,      /* A cursor and pairs: if both have ended, the same pairs in any order. */
    JUDGE_SCAN_ONES, /* A cursor and elements: likewise. */
    JUDGE_STREAM,    /* All but times and what 7.2 added: see judge_stream.c … */
    JUDGE_ENTRIES,   /* … and but the blocks that the entries lie in. */
};

enum gen_flag {
    GEN_ALONE = 1 << 0, /* It reaches beyond its connection's database: no batch beside it. */
    GEN_RIGHT = 1 << 1, /* Never spoilt. */
};

struct gen_row {
    unsigned weight;
    const char *text;
    enum judge judge;
    unsigned flags;
};

#define ROW_ONLY(often, template, how, limits)                                                     \
    {                                                                                              \
        .weight = (often), .text = (template), .judge = (how), .flags = (limits)                   \
    }
#define ROW_AS(often, template, how) ROW_ONLY(often, template, how, 0)
#define ROW(often, template) ROW_AS(often, template, JUDGE_EXACT)
#define ROWS_END                                                                                   \
    {                                                                                              \
        .text = NULL                                                                               \
    }

/* What else a family does between batches, as bits; see scenes.h. */
enum gen_scene {
    SCENE_SCAN = 1 << 0,
    SCENE_RANDOMKEY = 1 << 1,
    SCENE_SHORT_EXPIRY = 1 << 2,
    SCENE_RAW_SESSION = 1 << 3,
    SCENE_SETS = 1 << 4,
};

struct gen_family {
    const char *name;
    const struct gen_row *rows; /* Ends with a NULL text. */
    unsigned scenes;
    unsigned spoilt_percent;
    bool fresh_start; /* After Basin's restart both begin with nothing. */
};

extern const struct gen_family gen_strings, gen_lists, gen_hashes, gen_sets, gen_sorted_sets,
    gen_geo, gen_sort, gen_bitmaps, gen_hyperloglog, gen_keys, gen_connection, gen_streams,
    gen_dump;

#define GEN_ARGUMENTS_MAX 1200

struct gen {
    uint64_t state;
    uint64_t stream_ms; /* Of new IDs of streams. */
    struct arena arena;
    struct bytes argv[GEN_ARGUMENTS_MAX];
    size_t argc;
};

struct gen_request {
    const struct bytes *argv; /* Lent until gen_reset. */
    size_t argc;
    enum judge judge;
};

void gen_init(struct gen *gen, uint64_t seed);
void gen_deinit(struct gen *gen);
void gen_reset(struct gen *gen);

uint64_t gen_random(struct gen *gen);
unsigned gen_below(struct gen *gen, unsigned bound);
bool gen_chance(struct gen *gen, unsigned percent);

/* A request of the family; alone: those that need to be alone may come too. */
struct gen_request gen_request(struct gen *gen, const struct gen_family *family, bool alone);
/* A request of just this template. */
struct gen_request gen_template(struct gen *gen, const char *text);

#endif
