/* HyperLogLog, as clients see it. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_SKETCH "-WRONGTYPE Key is not a valid HyperLogLog string value."
#define CORRUPT "-INVALIDOBJ Corrupted HLL object detected"
#define DENSE_SIZE 12304

/* Adds the numbers from first on, a thousand a command. */
static void add_numbers(const char *key, int first, int count)
{
    enum { BATCH = 1000 };
    static char text[BATCH][16];
    const char *words[2 + BATCH] = {"PFADD", key};
    while (count > 0) {
        int batch = count < BATCH ? count : BATCH;
        for (int i = 0; i < batch; i++) {
            snprintf(text[i], sizeof(text[i]), "%d", first + i);
            words[2 + i] = text[i];
        }
        ask_argv(2 + batch, words, NULL);
        first += batch;
        count -= batch;
    }
}

/* Within four percent. */
static void expect_near(long long actual, long long expected)
{
    long long off = actual > expected ? actual - expected : expected - actual;
    EXPECT(off * 25 <= expected);
}

TEST(pfadd_tells_whether_it_has_changed_anything)
{
    dialog_begin();
    EXPECT_TEXT(ask("PFADD h"), "(1)");
    EXPECT_TEXT(ask("PFADD h"), "(0)");
    EXPECT_TEXT(ask("PFADD h a b c"), "(1)");
    EXPECT_TEXT(ask("PFADD h a c"), "(0)");
    EXPECT_TEXT(ask("PFADD h a d"), "(1)");
    EXPECT_TEXT(ask("PFCOUNT h"), "(4)");
    EXPECT_TEXT(ask("PFCOUNT none"), "(0)");
    EXPECT_TEXT(ask("TYPE h"), "string");
}

/* The very bytes, as redis-server 7.0.15 has them. */
TEST(a_sketch_has_the_bytes_that_redis_gives_it)
{
    static const char runs[] = "\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a";
    dialog_begin();
    EXPECT_TEXT(ask("PFADD h a b c"), "(1)");
    EXPECT_TEXT(ask("GETRANGE h 0 3"), "HYLL");
    EXPECT_TEXT(ask("GETRANGE h 16 -1"), runs);
    EXPECT_TEXT(ask("BITFIELD h GET u8 32 GET u8 120"), "[(1) (128)]");
    EXPECT_TEXT(ask("PFCOUNT h"), "(3)");
    EXPECT_TEXT(ask("BITFIELD h GET u8 64 GET u8 120"), "[(3) (0)]");
    EXPECT_TEXT(ask("PFADD h d"), "(1)");
    EXPECT_TEXT(ask("BITFIELD h GET u8 64 GET u8 120"), "[(3) (128)]");
}

TEST(a_sketch_that_is_read_and_stored_elsewhere_is_the_same)
{
    dialog_begin();
    add_numbers("h", 0, 50);
    EXPECT_TEXT(ask("PFCOUNT h"), "(50)");
    EXPECT_TEXT(ask("COPY h k"), "(1)");
    EXPECT_TEXT(ask("PFADD k 0 1 2 3 49"), "(0)");
    EXPECT_TEXT(ask("PFCOUNT h k"), "(50)");
    EXPECT(ask_integer("APPEND h x") > 18);
    EXPECT_TEXT(ask("PFADD h anything"), "(1)");
    EXPECT_TEXT(ask("PFCOUNT h"), CORRUPT);
}

TEST(counts_are_near_over_all_sizes_and_survive_a_crash)
{
    dialog_begin();
    int total = 0;
    for (int count = 10; count <= 50000; count = count * 5 / 2) {
        add_numbers("h", total, count - total);
        total = count;
        expect_near(ask_integer("PFCOUNT h"), total);
    }
    EXPECT_INT(ask_integer("STRLEN h"), DENSE_SIZE);
    long long before = ask_integer("PFCOUNT h");
    add_numbers("small", 0, 400);
    long long small = ask_integer("STRLEN small");
    EXPECT(small > 256 && small < 3000);
    dialog_crash();
    EXPECT_INT(ask_integer("PFCOUNT h"), before);
    EXPECT_INT(ask_integer("STRLEN h"), DENSE_SIZE);
    EXPECT_INT(ask_integer("STRLEN small"), small);
    expect_near(ask_integer("PFCOUNT small"), 400);
}

TEST(pfcount_of_several_keys_counts_what_any_has_seen)
{
    dialog_begin();
    add_numbers("a", 0, 200);
    add_numbers("b", 100, 20000);
    expect_near(ask_integer("PFCOUNT a b none"), 20100);
    expect_near(ask_integer("PFCOUNT a none"), 200);
    expect_near(ask_integer("PFCOUNT a a"), 200);
    EXPECT_TEXT(ask("PFCOUNT none none"), "(0)");
}

TEST(pfmerge_makes_one_that_has_seen_all)
{
    dialog_begin();
    EXPECT_TEXT(ask("PFMERGE fresh"), "OK");
    EXPECT_TEXT(ask("PFCOUNT fresh"), "(0)");
    EXPECT_TEXT(ask("PFADD a 1 2 3"), "(1)");
    EXPECT_TEXT(ask("PFADD b 3 4"), "(1)");
    EXPECT_TEXT(ask("PFADD to 5"), "(1)");
    EXPECT_TEXT(ask("EXPIRE to 100"), "(1)");
    EXPECT_TEXT(ask("PFMERGE to a none b a"), "OK");
    EXPECT_TEXT(ask("PFCOUNT to"), "(5)");
    EXPECT_TEXT(ask("TTL to"), "(100)");
    EXPECT_TEXT(ask("PFCOUNT a"), "(3)");
    add_numbers("dense", 0, 20000);
    EXPECT_TEXT(ask("PFMERGE to dense"), "OK");
    EXPECT_INT(ask_integer("STRLEN to"), DENSE_SIZE);
    expect_near(ask_integer("PFCOUNT to"), 20000);
    dialog_crash();
    expect_near(ask_integer("PFCOUNT to"), 20000);
    EXPECT_TEXT(ask("TTL to"), "(100)");
}

TEST(what_is_no_sketch_is_told_from_what_is_no_string)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET s text"), "OK");
    EXPECT_TEXT(ask("SET empty %s", ""), "OK");
    EXPECT_TEXT(ask("RPUSH l a"), "(1)");
    EXPECT_TEXT(ask("PFADD h a"), "(1)");
    EXPECT_TEXT(ask("PFADD s a"), NO_SKETCH);
    EXPECT_TEXT(ask("PFADD empty"), NO_SKETCH);
    EXPECT_TEXT(ask("PFADD l a"), WRONGTYPE);
    EXPECT_TEXT(ask("PFCOUNT s"), NO_SKETCH);
    EXPECT_TEXT(ask("PFCOUNT l"), WRONGTYPE);
    EXPECT_TEXT(ask("PFCOUNT h none s l"), NO_SKETCH);
    EXPECT_TEXT(ask("PFCOUNT h l s"), WRONGTYPE);
    EXPECT_TEXT(ask("PFMERGE s h"), NO_SKETCH);
    EXPECT_TEXT(ask("PFMERGE h s"), NO_SKETCH);
    EXPECT_TEXT(ask("PFMERGE fresh h l"), WRONGTYPE);
    EXPECT_TEXT(ask("EXISTS fresh"), "(0)");
    EXPECT_TEXT(ask("PFADD d a"), "(1)");
    EXPECT_TEXT(ask("SETRANGE d 4 %b", "\0", (size_t)1), "(21)");
    EXPECT_TEXT(ask("PFCOUNT d"), NO_SKETCH); /* Dense, but far too short. */
}

TEST(damaged_sketches_are_refused_and_stay_as_they_are)
{
    static const char header[16] = "HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";
    static const struct {
        const char *runs;
        size_t size;
    } damaged[] = {{"", 0}, {"\x7f", 1}, {"\x7f\xfe", 2}, {"\x7f\xff\x7f\xff", 4}, {"\x40", 1}};
    dialog_begin();
    EXPECT_TEXT(ask("PFADD h a"), "(1)");
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        EXPECT_TEXT(ask("SET d %b%b", header, sizeof(header), damaged[i].runs, damaged[i].size),
                    "OK");
        EXPECT_TEXT(ask("PFCOUNT d"), CORRUPT);
        EXPECT_TEXT(ask("PFCOUNT h d"), CORRUPT);
        EXPECT_TEXT(ask("PFMERGE h d"), CORRUPT);
        EXPECT_TEXT(ask("PFMERGE d h"), CORRUPT);
        EXPECT_INT(ask_integer("STRLEN d"), 16 + (int)damaged[i].size);
        EXPECT_TEXT(ask("PFCOUNT h"), "(1)");
    }
    /* Far longer than any sketch. */
    EXPECT_INT(ask_integer("SETRANGE d 100000 x"), 100001);
    EXPECT_TEXT(ask("PFCOUNT d"), CORRUPT);
    EXPECT_TEXT(ask("PFADD d %s", "a"), CORRUPT);
    EXPECT_INT(ask_integer("STRLEN d"), 100001);
}

TEST(hll_sparse_max_bytes_says_when_a_sketch_becomes_dense)
{
    dialog_begin();
    EXPECT_TEXT(ask("CONFIG GET hll-sparse-max-bytes"), "[hll-sparse-max-bytes 3000]");
    EXPECT_TEXT(ask("CONFIG SET hll-sparse-max-bytes 40"), "OK");
    EXPECT_TEXT(ask("PFADD h a b c"), "(1)");
    EXPECT_TEXT(ask("STRLEN h"), "(27)");
    add_numbers("h", 0, 20);
    EXPECT_INT(ask_integer("STRLEN h"), DENSE_SIZE);
    EXPECT_TEXT(ask("CONFIG SET hll-sparse-max-bytes 0"), "OK");
    EXPECT_TEXT(ask("PFADD empty"), "(1)");
    EXPECT_TEXT(ask("STRLEN empty"), "(18)");
    EXPECT_TEXT(ask("PFADD empty a"), "(1)");
    EXPECT_INT(ask_integer("STRLEN empty"), DENSE_SIZE);
    EXPECT_TEXT(ask("CONFIG SET hll-sparse-max-bytes 3000"), "OK");
}

/* W1: the estimate that PFCOUNT keeps is a write, and is there after a crash. */
TEST(the_estimate_that_pfcount_keeps_is_durable)
{
    dialog_begin();
    add_numbers("h", 0, 5000);
    long long count = ask_integer("PFCOUNT h");
    dialog_crash();
    EXPECT_TEXT(ask("BITFIELD h GET u1 120"), "[(0)]");
    char expected[32];
    snprintf(expected, sizeof(expected), "[(%lld)]", count % 256);
    EXPECT_TEXT(ask("BITFIELD h GET u8 64"), expected);
    EXPECT_INT(ask_integer("PFCOUNT h"), count);
}

TEST(pfdebug_shows_how_a_sketch_is_stored)
{
    dialog_begin();
    EXPECT_TEXT(ask("PFADD h a b c"), "(1)");
    EXPECT_TEXT(ask("PFDEBUG ENCODING h"), "sparse");
    EXPECT_TEXT(ask("PFDEBUG DECODE h"), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    EXPECT_TEXT(ask("PFDEBUG TODENSE h"), "(1)");
    EXPECT_TEXT(ask("PFDEBUG TODENSE h"), "(0)");
    EXPECT_TEXT(ask("PFDEBUG ENCODING h"), "dense");
    EXPECT_TEXT(ask("PFDEBUG DECODE h"), "-ERR HLL encoding is not sparse");
    EXPECT_TEXT(ask("PFCOUNT h"), "(3)");
    EXPECT_TEXT(ask("PFADD k a"), "(1)");
    const char *registers = ask("PFDEBUG GETREG k");
    int raised = 0;
    for (const char *at = registers; *at != '\0'; at++) {
        raised += *at >= '1' && *at <= '9';
    }
    EXPECT_INT(raised, 1);
    EXPECT_INT(ask_integer("STRLEN k"), DENSE_SIZE);
    EXPECT_TEXT(ask("PFDEBUG NOPE h"), "-ERR Unknown PFDEBUG subcommand 'NOPE'");
    EXPECT_TEXT(ask("PFDEBUG NOPE none"), "-ERR The specified key does not exist");
    EXPECT_TEXT(ask("RPUSH l a"), "(1)");
    EXPECT_TEXT(ask("PFDEBUG ENCODING l"), WRONGTYPE);
}
