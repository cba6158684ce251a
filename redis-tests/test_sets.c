/* Sets, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX "-ERR syntax error"
#define NOT_POSITIVE "-ERR value is out of range, must be positive"

static int word_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The words of an array reply in order, with single spaces between; lent until the next call. */
static const char *sorted(const char *answer)
{
    static char text[200000];
    char *words[20000];
    char *copy = strdup(answer);
    char *rest = NULL;
    size_t count = 0;
    EXPECT(copy != NULL && copy[0] == '[');
    for (char *word = strtok_r(copy, "[] ", &rest); word != NULL;
         word = strtok_r(NULL, "[] ", &rest)) {
        words[count++] = word;
    }
    if (count > 0) {
        qsort(words, count, sizeof(words[0]), word_order);
    }
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "", words[i]);
    }
    free(copy);
    return text;
}

/* SADD key of prefix0 … prefix(count - 1), in requests of ten. */
static void fill(const char *key, const char *prefix, int first, int count)
{
    for (int i = first; i < first + count; i += 10) {
        char command[2000];
        size_t used = (size_t)snprintf(command, sizeof(command), "SADD %s", key);
        for (int j = i; j < i + 10 && j < first + count; j++) {
            used += (size_t)snprintf(command + used, sizeof(command) - used, " %s%d", prefix, j);
        }
        ask_integer(command);
    }
}

TEST(sadd_and_srem_count_what_was_new_or_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD s a b c a"), "(3)");
    EXPECT_TEXT(ask("SADD s a d"), "(1)");
    EXPECT_TEXT(ask("SCARD s"), "(4)");
    EXPECT_TEXT(ask("SREM s a x a"), "(1)");
    EXPECT_TEXT(sorted(ask("SMEMBERS s")), "b c d");
    EXPECT_TEXT(ask("SREM s b c d"), "(3)");
    EXPECT_TEXT(ask("EXISTS s"), "(0)");
    EXPECT_TEXT(ask("SREM s b"), "(0)");
    EXPECT_TEXT(ask("SCARD s"), "(0)");
    EXPECT_TEXT(ask("SMEMBERS s"), "[]");
    EXPECT_TEXT(ask("TYPE s"), "none");
    EXPECT_TEXT(ask("SADD s 1"), "(1)");
    EXPECT_TEXT(ask("TYPE s"), "set");
}

TEST(sismember_and_smismember_tell_whether_members_are_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD s 1 2 300 -7 99999999999"), "(5)");
    EXPECT_TEXT(ask("SISMEMBER s 300"), "(1)");
    EXPECT_TEXT(ask("SISMEMBER s 0300"), "(0)");
    EXPECT_TEXT(ask("SMISMEMBER s 1 3 -7 99999999999 x"), "[(1) (0) (1) (1) (0)]");
    EXPECT_TEXT(ask("SADD s x"), "(1)");
    EXPECT_TEXT(ask("SMISMEMBER s 1 3 -7 99999999999 x"), "[(1) (0) (1) (1) (1)]");
    EXPECT_TEXT(ask("SISMEMBER none x"), "(0)");
    EXPECT_TEXT(ask("SMISMEMBER none x y"), "[(0) (0)]");
}

/* Redis 7.2's encodings, there and not back. */
TEST(sets_change_their_encoding_at_the_configured_limits)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD i 1 2 3"), "(3)");
    EXPECT_TEXT(ask("OBJECT ENCODING i"), "intset");
    EXPECT_TEXT(ask("SADD i x"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING i"), "listpack");
    EXPECT_TEXT(ask("SMEMBERS i"), "[1 2 3 x]");
    EXPECT_TEXT(ask("SREM i x"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING i"), "listpack");
    fill("l", "m", 0, 128);
    EXPECT_TEXT(ask("OBJECT ENCODING l"), "listpack");
    EXPECT_TEXT(ask("SADD l one-more"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING l"), "hashtable");
    fill("n", "", 0, 512);
    EXPECT_TEXT(ask("OBJECT ENCODING n"), "intset");
    EXPECT_TEXT(ask("SADD n 1000"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING n"), "hashtable");
    EXPECT_TEXT(ask("SREM n 1000 1 2 3 4 5"), "(6)");
    EXPECT_TEXT(ask("OBJECT ENCODING n"), "hashtable");
    EXPECT_TEXT(ask("SADD v %s", dialog_filler(64, 1)), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING v"), "listpack");
    EXPECT_TEXT(ask("SADD v %s", dialog_filler(65, 1)), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING v"), "hashtable");
    EXPECT_TEXT(ask("CONFIG SET set-max-intset-entries 4 set-max-listpack-entries 2"), "OK");
    EXPECT_TEXT(ask("SADD j 1 2 3 4"), "(4)");
    EXPECT_TEXT(ask("OBJECT ENCODING j"), "intset");
    EXPECT_TEXT(ask("SADD j 5"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING j"), "hashtable");
    EXPECT_TEXT(ask("SADD k a b"), "(2)");
    EXPECT_TEXT(ask("OBJECT ENCODING k"), "listpack");
    EXPECT_TEXT(ask("SADD m 1 2 3"), "(3)");
    EXPECT_TEXT(ask("SADD m a"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING m"), "hashtable");
    EXPECT_TEXT(ask("CONFIG SET set-max-intset-entries 512 set-max-listpack-entries 128"), "OK");
}

TEST(results_that_are_stored_have_the_encoding_that_redis_gives_them)
{
    dialog_begin();
    fill("big", "m", 0, 300);
    EXPECT_TEXT(ask("SADD big 1 2 3"), "(3)");
    fill("big2", "m", 290, 300);
    EXPECT_TEXT(ask("SADD big2 1 2 3"), "(3)");
    EXPECT_TEXT(ask("SINTERSTORE d big big2"), "(13)");
    EXPECT_TEXT(ask("OBJECT ENCODING d"), "hashtable");
    EXPECT_TEXT(ask("SADD small m1 m2 x"), "(3)");
    EXPECT_TEXT(ask("SINTERSTORE d big small"), "(2)");
    EXPECT_TEXT(ask("OBJECT ENCODING d"), "listpack");
    fill("n", "", 1, 600);
    EXPECT_TEXT(ask("SINTERSTORE d big n"), "(3)");
    EXPECT_TEXT(ask("OBJECT ENCODING d"), "intset");
    EXPECT_TEXT(ask("SMEMBERS d"), "[1 2 3]");
    EXPECT_TEXT(ask("SUNIONSTORE d d small"), "(6)");
    EXPECT_TEXT(ask("OBJECT ENCODING d"), "listpack");
    EXPECT_TEXT(ask("SDIFFSTORE d d small"), "(3)");
    EXPECT_TEXT(ask("OBJECT ENCODING d"), "intset");
}

TEST(smove_moves_a_member_or_says_that_it_is_not_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD a 1 2 x"), "(3)");
    EXPECT_TEXT(ask("SADD b 3"), "(1)");
    EXPECT_TEXT(ask("SMOVE a b x"), "(1)");
    EXPECT_TEXT(sorted(ask("SMEMBERS b")), "3 x");
    EXPECT_TEXT(ask("SMOVE a b x"), "(0)");
    EXPECT_TEXT(ask("SMOVE a a 1"), "(1)");
    EXPECT_TEXT(ask("SMOVE a a 9"), "(0)");
    EXPECT_TEXT(ask("SMOVE a c 1"), "(1)");
    EXPECT_TEXT(ask("SMOVE a c 2"), "(1)");
    EXPECT_TEXT(ask("EXISTS a"), "(0)");
    EXPECT_TEXT(ask("OBJECT ENCODING c"), "intset");
    EXPECT_TEXT(ask("SADD b 1"), "(1)");
    EXPECT_TEXT(ask("SMOVE c b 1"), "(1)");
    EXPECT_TEXT(ask("SCARD b"), "(3)");
    EXPECT_TEXT(ask("SET str x"), "OK");
    EXPECT_TEXT(ask("SMOVE none str x"), "(0)");
    EXPECT_TEXT(ask("SMOVE c str 9"), WRONGTYPE);
    EXPECT_TEXT(ask("SMOVE str c 9"), WRONGTYPE);
}

TEST(algebra_of_small_sets)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD a 1 2 3 x y"), "(5)");
    EXPECT_TEXT(ask("SADD b 2 3 4 y z"), "(5)");
    EXPECT_TEXT(ask("SADD c 3 y"), "(2)");
    EXPECT_TEXT(sorted(ask("SINTER a b c")), "3 y");
    EXPECT_TEXT(sorted(ask("SUNION a b c none")), "1 2 3 4 x y z");
    EXPECT_TEXT(sorted(ask("SDIFF a b c")), "1 x");
    EXPECT_TEXT(sorted(ask("SDIFF a none")), "1 2 3 x y");
    EXPECT_TEXT(ask("SDIFF none a"), "[]");
    EXPECT_TEXT(ask("SDIFF a b a"), "[]");
    EXPECT_TEXT(ask("SINTER a none"), "[]");
    EXPECT_TEXT(ask("SUNION none none"), "[]");
    EXPECT_TEXT(ask("SINTERCARD 2 a b"), "(3)");
    EXPECT_TEXT(ask("SINTERCARD 2 a b LIMIT 2"), "(2)");
    EXPECT_TEXT(ask("SINTERCARD 2 a b limit 0"), "(3)");
    EXPECT_TEXT(ask("SINTERCARD 2 a b LIMIT 1 LIMIT 9"), "(3)");
    EXPECT_TEXT(ask("SINTERCARD 3 a b none"), "(0)");
    EXPECT_TEXT(ask("SINTERSTORE a a b"), "(3)");
    EXPECT_TEXT(sorted(ask("SMEMBERS a")), "2 3 y");
    EXPECT_TEXT(ask("SUNIONSTORE u a b"), "(5)");
    EXPECT_TEXT(ask("SDIFFSTORE u none a"), "(0)");
    EXPECT_TEXT(ask("EXISTS u"), "(0)");
    EXPECT_TEXT(ask("SET str x"), "OK");
    EXPECT_TEXT(ask("SINTERSTORE str a none"), "(0)");
    EXPECT_TEXT(ask("EXISTS str"), "(0)");
    EXPECT_TEXT(ask("SET str x EX 100"), "OK");
    EXPECT_TEXT(ask("SUNIONSTORE str a"), "(3)");
    EXPECT_TEXT(ask("TTL str"), "(-1)");
}

TEST(algebra_of_large_sets)
{
    dialog_begin();
    fill("a", "m", 0, 3000);
    fill("b", "m", 2000, 3000);
    fill("c", "m", 2500, 100);
    EXPECT_TEXT(ask("SINTERCARD 2 a b"), "(1000)");
    EXPECT_TEXT(ask("SINTERCARD 2 a b LIMIT 10"), "(10)");
    EXPECT_TEXT(ask("SINTERSTORE i a b"), "(1000)");
    EXPECT_TEXT(ask("SUNIONSTORE u a b c"), "(5000)");
    EXPECT_TEXT(ask("SDIFFSTORE d a b"), "(2000)");
    EXPECT_TEXT(ask("SDIFFSTORE e a c"), "(2900)");
    EXPECT_TEXT(ask("SISMEMBER e m2550"), "(0)");
    EXPECT_TEXT(ask("SISMEMBER e m2600"), "(1)");
    EXPECT_INT(strlen(sorted(ask("SINTER a b"))), 1000 * 6 - 1);
    EXPECT_INT(strlen(sorted(ask("SDIFF a b c"))), 10 * 3 + 90 * 4 + 900 * 5 + 1000 * 6 - 1);
    EXPECT_TEXT(ask("SUNIONSTORE u u a"), "(5000)");
    dialog_crash();
    EXPECT_TEXT(ask("SCARD u"), "(5000)");
    EXPECT_TEXT(ask("SDIFF u a b"), "[]");
    EXPECT_TEXT(ask("SINTERCARD 3 i a b"), "(1000)");
}

TEST(spop_takes_members_and_the_last_one_takes_the_key)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD s a b c"), "(3)");
    EXPECT_TEXT(ask("SPOP s 0"), "[]");
    EXPECT_INT(strlen(ask("SPOP s")), 1);
    EXPECT_INT(strlen(ask("SPOP s 1")), 3);
    EXPECT_TEXT(ask("SCARD s"), "(1)");
    EXPECT_INT(strlen(ask("SPOP s 5")), 3);
    EXPECT_TEXT(ask("EXISTS s"), "(0)");
    EXPECT_TEXT(ask("SPOP s"), "(nil)");
    EXPECT_TEXT(ask("SPOP s 2"), "[]");
    EXPECT_TEXT(ask("SPOP s -1"), NOT_POSITIVE);
    EXPECT_TEXT(ask("SPOP s x"), NOT_POSITIVE);
    EXPECT_TEXT(ask("SPOP s 1 2"), SYNTAX);
}

/* What was popped and what is left are the set, whatever way the pop went; also after a crash. */
TEST(spop_divides_a_set_of_any_size_and_logs_what_it_took)
{
    static const int sizes[] = {5, 100, 400, 2000};
    static const int percents[] = {1, 10, 50, 80, 84, 90, 99};
    dialog_begin();
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 7; j++) {
            char key[32];
            int count = sizes[i] * percents[j] / 100 + 1;
            snprintf(key, sizeof(key), "s%zu.%zu", i, j);
            fill(key, i % 2 == 0 ? "m" : "", 0, sizes[i]);
            EXPECT_TEXT(ask("EXPIRE %s 1000", key), "(1)");
            char *popped = strdup(sorted(ask("SPOP %s %d", key, count)));
            int left = sizes[i] > count ? sizes[i] - count : 0;
            EXPECT_INT(ask_integer("SCARD %s", key), left);
            EXPECT(left == 0 || ask_integer("TTL %s", key) > 900);
            char *rest = NULL;
            int words = 0;
            for (char *word = strtok_r(popped, " ", &rest); word != NULL;
                 word = strtok_r(NULL, " ", &rest)) {
                EXPECT_TEXT(ask("SADD %s %s", key, word), "(1)");
                words++;
            }
            EXPECT_INT(words, sizes[i] - left);
            EXPECT_INT(ask_integer("SCARD %s", key), sizes[i]);
            free(popped);
        }
    }
}

TEST(spop_is_not_drawn_again_when_the_log_is_replayed)
{
    dialog_begin();
    fill("few", "", 0, 60);
    fill("many", "m", 0, 3000);
    fill("most", "m", 0, 3000);
    ask("SPOP few 20");
    ask("SPOP many 700");
    ask("SPOP most 2800");
    ask("SPOP many");
    char *few = strdup(sorted(ask("SMEMBERS few")));
    char *many = strdup(sorted(ask("SMEMBERS many")));
    char *most = strdup(sorted(ask("SMEMBERS most")));
    dialog_crash();
    EXPECT_TEXT(sorted(ask("SMEMBERS few")), few);
    EXPECT_TEXT(sorted(ask("SMEMBERS many")), many);
    EXPECT_TEXT(sorted(ask("SMEMBERS most")), most);
    EXPECT_INT(ask_integer("SCARD few"), 40);
    EXPECT_INT(ask_integer("SCARD many"), 2299);
    EXPECT_INT(ask_integer("SCARD most"), 200);
    free(few);
    free(many);
    free(most);
}

TEST(srandmember_refuses_a_reply_that_would_only_fill_memory)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD s %b", dialog_filler(1 << 20, 1), (size_t)1 << 20), "(1)");
    EXPECT_TEXT(ask("SRANDMEMBER s -600"), "-ERR the request passes a limit of this server");
}

TEST(srandmember_gives_different_members_or_with_a_negative_count_any)
{
    dialog_begin();
    EXPECT_TEXT(ask("SRANDMEMBER s"), "(nil)");
    EXPECT_TEXT(ask("SRANDMEMBER s 3"), "[]");
    EXPECT_TEXT(ask("SRANDMEMBER s -3"), "[]");
    EXPECT_TEXT(ask("SADD s a b c"), "(3)");
    EXPECT_TEXT(sorted(ask("SRANDMEMBER s 3")), "a b c");
    EXPECT_TEXT(sorted(ask("SRANDMEMBER s 9223372036854775807")), "a b c");
    EXPECT_TEXT(ask("SRANDMEMBER s 0"), "[]");
    EXPECT_INT(strlen(ask("SRANDMEMBER s -10")), 21);
    EXPECT_TEXT(ask("SCARD s"), "(3)");
    EXPECT_TEXT(ask("SRANDMEMBER s x"), NOT_INTEGER);
    EXPECT_TEXT(ask("SRANDMEMBER s 1 2"), SYNTAX);
    EXPECT_TEXT(ask("SRANDMEMBER s -9223372036854775808"),
                "-ERR value is out of range, value must between -9223372036854775807 and "
                "9223372036854775807");
    EXPECT_TEXT(ask("SRANDMEMBER s -9223372036854775807"),
                "-ERR the request passes a limit of this server");
    fill("l", "", 0, 2000);
    for (int count = 1; count < 2000; count = count * 2 + 1) {
        char *words = strdup(sorted(ask("SRANDMEMBER l %d", count)));
        char *rest = NULL;
        const char *before = "";
        int different = 0;
        for (char *word = strtok_r(words, " ", &rest); word != NULL;
             word = strtok_r(NULL, " ", &rest)) {
            EXPECT(strcmp(before, word) != 0);
            before = word;
            different++;
        }
        EXPECT_INT(different, count);
        free(words);
    }
}

/* Chi-square with k - 1 degrees of freedom has mean k - 1 and variance 2 (k - 1); six standard
 * deviations are met once in many million runs. */
static void expect_fair(const int *hits, int count, long draws)
{
    double expected = (double)draws / count;
    double sum = 0;
    for (int i = 0; i < count; i++) {
        double off = hits[i] - expected;
        sum += off * off / expected;
    }
    EXPECT(sum < count - 1 + 6 * sqrt(2.0 * (count - 1)));
    EXPECT(sum > count - 1 - 6 * sqrt(2.0 * (count - 1)));
}

static long count_hits(const char *answer, int *hits)
{
    char *copy = strdup(answer);
    char *rest = NULL;
    long count = 0;
    for (char *word = strtok_r(copy, "[] ", &rest); word != NULL;
         word = strtok_r(NULL, "[] ", &rest)) {
        hits[atoi(word)]++;
        count++;
    }
    free(copy);
    return count;
}

/* Every member is as likely as any other, in each shape, by each way to draw. */
TEST(srandmember_and_spop_are_fair)
{
    static const struct {
        int size;
        const char *other; /* Makes it a listpack, or a hashtable. */
    } sets[] = {{50, NULL}, {100, "x"}, {1200, NULL}};
    dialog_begin();
    for (size_t i = 0; i < 3; i++) {
        static int hits[4][1200];
        long draws[4] = {0};
        memset(hits, 0, sizeof(hits));
        int size = sets[i].size;
        ask("DEL s");
        fill("s", "", 0, size);
        if (sets[i].other != NULL) {
            ask("SADD s %s", sets[i].other);
            ask("SREM s %s", sets[i].other);
        }
        for (int round = 0; round < 150; round++) {
            draws[0] += count_hits(ask("SRANDMEMBER s -%d", size), hits[0]);
            draws[1] += count_hits(ask("SRANDMEMBER s %d", size / 20), hits[1]);
            draws[2] += count_hits(ask("SRANDMEMBER s"), hits[2]);
            ask("COPY s p REPLACE");
            draws[3] += count_hits(ask("SPOP p %d", size / 20), hits[3]);
        }
        EXPECT_INT(draws[0], 150L * size);
        expect_fair(hits[0], size, draws[0]);
        expect_fair(hits[1], size, draws[1]);
        expect_fair(hits[2], size, draws[2]);
        expect_fair(hits[3], size, draws[3]);
    }
}

/* The members of a whole walk, each followed by a space, those met twice twice. */
static const char *scan_all(const char *key, const char *options)
{
    static char members[100000];
    members[0] = '\0';
    size_t used = 0;
    char cursor[32] = "0";
    do {
        char command[256];
        snprintf(command, sizeof(command), "SSCAN %s %s %s", key, cursor, options);
        char *answer = strdup(ask(command));
        char *rest = NULL;
        char *word = strtok_r(answer, "[] ", &rest);
        snprintf(cursor, sizeof(cursor), "%s", word);
        while ((word = strtok_r(NULL, "[] ", &rest)) != NULL) {
            used += (size_t)snprintf(members + used, sizeof(members) - used, "%s ", word);
        }
        free(answer);
    } while (strcmp(cursor, "0") != 0);
    return members;
}

TEST(sscan_gives_a_small_set_at_once_and_filters)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD s 3 1 2"), "(3)");
    EXPECT_TEXT(ask("SSCAN s 0"), "[0 [1 2 3]]");
    EXPECT_TEXT(ask("SSCAN s 0 COUNT 1"), "[0 [1 2 3]]");
    EXPECT_TEXT(ask("SSCAN s 99"), "[0 [1 2 3]]");
    EXPECT_TEXT(ask("SSCAN s 0 MATCH [12] COUNT 10"), "[0 [1 2]]");
    EXPECT_TEXT(ask("SSCAN s 0 MATCH x MATCH 2"), "[0 [2]]");
    EXPECT_TEXT(ask("SSCAN none 0"), "[0 []]");
    EXPECT_TEXT(ask("SSCAN none 0 junk"), "[0 []]");
    EXPECT_TEXT(ask("SSCAN none x junk"), "-ERR invalid cursor");
    EXPECT_TEXT(ask("SSCAN s 0 junk"), SYNTAX);
    EXPECT_TEXT(ask("SSCAN s 0 COUNT"), SYNTAX);
    EXPECT_TEXT(ask("SSCAN s 0 COUNT 0"), SYNTAX);
    EXPECT_TEXT(ask("SSCAN s 0 COUNT x"), NOT_INTEGER);
    EXPECT_TEXT(ask("SSCAN s 0 TYPE set"), SYNTAX);
    fill("l", "m", 0, 1000);
    EXPECT_TEXT(scan_all("l", "COUNT 10 MATCH m999"), "m999 ");
    EXPECT_INT(strlen(scan_all("l", "")), 10 * 3 + 90 * 4 + 900 * 5);
    EXPECT_INT(strlen(scan_all("l", "COUNT 100000")), 10 * 3 + 90 * 4 + 900 * 5);
}

TEST(sscan_gives_every_member_that_stays_while_thousands_come_and_go)
{
    dialog_begin();
    enum { COUNT = 12000 };
    static int seen[COUNT];
    memset(seen, 0, sizeof(seen));
    fill("s", "k", 0, COUNT);
    char cursor[32] = "0";
    int step = 0;
    do {
        char *answer = strdup(ask("SSCAN s %s COUNT 50", cursor));
        char *rest = NULL;
        char *word = strtok_r(answer, "[] ", &rest);
        snprintf(cursor, sizeof(cursor), "%s", word);
        while ((word = strtok_r(NULL, "[] ", &rest)) != NULL) {
            if (word[0] == 'k') {
                seen[atoi(word + 1)]++;
            }
        }
        free(answer);
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "o%d:", step);
        fill("s", prefix, 0, 200);
        if (step >= 2) {
            for (int i = 0; i < 200; i += 4) {
                EXPECT_TEXT(ask("SREM s o%d:%d o%d:%d o%d:%d o%d:%d", step - 2, i, step - 2, i + 1,
                                step - 2, i + 2, step - 2, i + 3),
                            "(4)");
            }
        }
        step++;
    } while (strcmp(cursor, "0") != 0 && step < 1000);
    EXPECT(step >= 10 && step < 1000);
    for (int i = 0; i < COUNT; i++) {
        EXPECT(seen[i] >= 1);
    }
}

TEST(set_commands_refuse_other_types_and_bad_arguments)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET str x"), "OK");
    EXPECT_TEXT(ask("SADD s a"), "(1)");
    static const char *const commands[] = {"SADD str a",
                                           "SREM str a",
                                           "SCARD str",
                                           "SISMEMBER str a",
                                           "SMISMEMBER str a",
                                           "SMEMBERS str",
                                           "SPOP str",
                                           "SPOP str 1",
                                           "SRANDMEMBER str",
                                           "SRANDMEMBER str 2",
                                           "SSCAN str 0",
                                           "SINTER s str",
                                           "SINTER none str",
                                           "SUNION str none",
                                           "SDIFF none str",
                                           "SINTERSTORE d s none str",
                                           "SUNIONSTORE d str",
                                           "SDIFFSTORE d s str",
                                           "SINTERCARD 2 none str"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        EXPECT_TEXT(ask(commands[i]), WRONGTYPE);
    }
    EXPECT_TEXT(ask("LPUSH s a"), WRONGTYPE);
    EXPECT_TEXT(ask("GET s"), WRONGTYPE);
    EXPECT_TEXT(ask("SINTERCARD 0 s"), "-ERR numkeys should be greater than 0");
    EXPECT_TEXT(ask("SINTERCARD x s"), "-ERR numkeys should be greater than 0");
    EXPECT_TEXT(ask("SINTERCARD 3 s s"),
                "-ERR Number of keys can't be greater than number of args");
    EXPECT_TEXT(ask("SINTERCARD 1 s LIMIT"), SYNTAX);
    EXPECT_TEXT(ask("SINTERCARD 1 s LIMIT -1"), "-ERR LIMIT can't be negative");
    EXPECT_TEXT(ask("SINTERCARD 1 s LIMIT x"), "-ERR LIMIT can't be negative");
    EXPECT_TEXT(ask("SINTERCARD 1 s junk 1"), SYNTAX);
    EXPECT_TEXT(ask("SADD s"), "-ERR wrong number of arguments for 'sadd' command");
}

TEST(members_may_hold_any_bytes_and_any_size)
{
    dialog_begin();
    EXPECT_TEXT(ask("SADD s %b %b", "a\0b", (size_t)3, "", (size_t)0), "(2)");
    EXPECT_TEXT(ask("SISMEMBER s %b", "a\0b", (size_t)3), "(1)");
    EXPECT_TEXT(ask("SISMEMBER s %b", "a\0c", (size_t)3), "(0)");
    EXPECT_TEXT(ask("SISMEMBER s %b", "", (size_t)0), "(1)");
    EXPECT_TEXT(ask("SADD s %s", dialog_filler(100000, 1)), "(1)");
    EXPECT_TEXT(ask("SADD s %s", dialog_filler(100000, 1)), "(0)");
    EXPECT_TEXT(ask("SISMEMBER s %s", dialog_filler(100000, 1)), "(1)");
    EXPECT_TEXT(ask("SISMEMBER s %s", dialog_filler(100000, 2)), "(0)");
    dialog_crash();
    EXPECT_TEXT(ask("SISMEMBER s %s", dialog_filler(100000, 1)), "(1)");
    EXPECT_TEXT(ask("SREM s %s", dialog_filler(100000, 1)), "(1)");
    EXPECT_TEXT(ask("SISMEMBER s %b", "a\0b", (size_t)3), "(1)");
    EXPECT_TEXT(ask("SCARD s"), "(2)");
}

TEST(sets_are_copied_renamed_and_come_back_after_a_crash)
{
    dialog_begin();
    fill("i", "", 0, 300);
    fill("l", "m", 0, 100);
    fill("h", "m", 0, 5000);
    EXPECT_TEXT(ask("COPY h h2"), "(1)");
    EXPECT_TEXT(ask("SREM h m1 m2 m3"), "(3)");
    EXPECT_TEXT(ask("SADD h2 more"), "(1)");
    EXPECT_TEXT(ask("RENAME l l2"), "OK");
    dialog_crash();
    EXPECT_TEXT(ask("SCARD i"), "(300)");
    EXPECT_TEXT(ask("OBJECT ENCODING i"), "intset");
    EXPECT_TEXT(ask("SCARD l2"), "(100)");
    EXPECT_TEXT(ask("OBJECT ENCODING l2"), "listpack");
    EXPECT_TEXT(ask("SCARD h"), "(4997)");
    EXPECT_TEXT(ask("SCARD h2"), "(5001)");
    EXPECT_TEXT(ask("OBJECT ENCODING h"), "hashtable");
    EXPECT_TEXT(sorted(ask("SDIFF h2 h")), "m1 m2 m3 more");
}
