/* Sorted sets, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define NOT_FLOAT "-ERR value is not a valid float"
#define SYNTAX "-ERR syntax error"

TEST(zadd_counts_new_members_and_with_ch_changed_ones)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 b 3 c"), "(3)");
    EXPECT_TEXT(ask("ZADD z 2 a 5 d"), "(1)");
    EXPECT_TEXT(ask("ZADD z CH 2 a 6 d 7 e"), "(2)");
    EXPECT_TEXT(ask("ZRANGE z 0 -1 WITHSCORES"), "[a 2 b 2 c 3 d 6 e 7]");
    EXPECT_TEXT(ask("ZADD z 1 x 2 x"), "(1)");
    EXPECT_TEXT(ask("ZSCORE z x"), "2");
    EXPECT_TEXT(ask("ZCARD z"), "(6)");
    EXPECT_TEXT(ask("ZCARD none"), "(0)");
    EXPECT_TEXT(ask("TYPE z"), "zset");
}

TEST(zadd_obeys_nx_xx_gt_and_lt)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 5 a"), "(1)");
    EXPECT_TEXT(ask("ZADD z NX 1 a 1 b"), "(1)");
    EXPECT_TEXT(ask("ZADD z XX CH 6 a 6 c"), "(1)");
    EXPECT_TEXT(ask("ZADD z GT CH 5 a 7 b 1 d"), "(2)");
    EXPECT_TEXT(ask("ZADD z LT CH 5 a 8 b"), "(1)");
    EXPECT_TEXT(ask("ZADD z XX GT CH 9 a 9 none"), "(1)");
    EXPECT_TEXT(ask("ZRANGE z 0 -1 WITHSCORES"), "[d 1 b 7 a 9]");
    EXPECT_TEXT(ask("ZADD none XX 1 a"), "(0)");
    EXPECT_TEXT(ask("EXISTS none"), "(0)");
    EXPECT_TEXT(ask("ZADD z NX XX 1 a"),
                "-ERR XX and NX options at the same time are not compatible");
    EXPECT_TEXT(ask("ZADD z NX GT 1 a"),
                "-ERR GT, LT, and/or NX options at the same time are not compatible");
    EXPECT_TEXT(ask("ZADD z LT GT 1 a"),
                "-ERR GT, LT, and/or NX options at the same time are not compatible");
    EXPECT_TEXT(ask("ZADD z NX 1 a 2"), SYNTAX);
    EXPECT_TEXT(ask("ZADD z 1 a x b"), NOT_FLOAT);
    EXPECT_TEXT(ask("ZSCORE z a"), "9");
}

TEST(scores_are_added_to_by_incr_and_zincrby)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZINCRBY z 1.5 a"), "1.5");
    EXPECT_TEXT(ask("ZINCRBY z -3 a"), "-1.5");
    EXPECT_TEXT(ask("ZADD z INCR 2 a"), "0.5");
    EXPECT_TEXT(ask("ZADD z NX INCR 2 a"), "(nil)");
    EXPECT_TEXT(ask("ZADD z XX INCR 2 b"), "(nil)");
    EXPECT_TEXT(ask("ZADD z GT INCR -1 a"), "(nil)");
    EXPECT_TEXT(ask("ZADD z LT INCR -1 a"), "-0.5");
    EXPECT_TEXT(ask("ZADD z INCR 1 a 2 b"),
                "-ERR INCR option supports a single increment-element pair");
    EXPECT_TEXT(ask("ZADD z inf big"), "(1)");
    EXPECT_TEXT(ask("ZINCRBY z -inf big"), "-ERR resulting score is not a number (NaN)");
    EXPECT_TEXT(ask("ZSCORE z big"), "inf");
    EXPECT_TEXT(ask("ZINCRBY z x a"), NOT_FLOAT);
    EXPECT_TEXT(ask("ZINCRBY z nan a"), NOT_FLOAT);
    EXPECT_TEXT(ask("ZINCRBY z nx a"), SYNTAX);
}

TEST(scores_are_printed_as_redis_prints_them)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 3.0 a 1e20 b 0.1 c 12345678901234567 d 1e300 e -inf f +Infinity g"),
                "(7)");
    EXPECT_TEXT(ask("ZMSCORE z a b c d e f g none"),
                "[3 1e+20 0.10000000000000001 12345678901234568 1.0000000000000001e+300 -inf inf "
                "(nil)]");
    EXPECT_TEXT(ask("ZMSCORE none a b"), "[(nil) (nil)]");
    EXPECT_TEXT(ask("ZSCORE none a"), "(nil)");
}

TEST(ranks_count_from_either_end)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 b 2 c 3 d"), "(4)");
    EXPECT_TEXT(ask("ZRANK z c"), "(2)");
    EXPECT_TEXT(ask("ZREVRANK z c"), "(1)");
    EXPECT_TEXT(ask("ZRANK z none"), "(nil)");
    EXPECT_TEXT(ask("ZRANK none a"), "(nil)");
    EXPECT_TEXT(ask("ZRANK z c WITHSCORE"), "[(2) 2]");
    EXPECT_TEXT(ask("ZREVRANK z a withscore"), "[(3) 1]");
    EXPECT_TEXT(ask("ZRANK z none WITHSCORE"), "(nil)");
    EXPECT_TEXT(ask("ZRANK z a WITHSCORES"), SYNTAX);
    EXPECT_TEXT(ask("ZRANK z a WITHSCORE x"), "-ERR wrong number of arguments for 'zrank' command");
}

TEST(zrange_takes_ranks_scores_and_bytes_either_way)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 b 3 c 4 d 5 e"), "(5)");
    EXPECT_TEXT(ask("ZRANGE z 1 2"), "[b c]");
    EXPECT_TEXT(ask("ZRANGE z -2 -1 REV"), "[b a]");
    EXPECT_TEXT(ask("ZRANGE z 3 1"), "[]");
    EXPECT_TEXT(ask("ZRANGE z (1 3 BYSCORE"), "[b c]");
    EXPECT_TEXT(ask("ZRANGE z 3 (1 BYSCORE REV WITHSCORES"), "[c 3 b 2]");
    EXPECT_TEXT(ask("ZRANGE z -inf +inf BYSCORE LIMIT 1 2"), "[b c]");
    EXPECT_TEXT(ask("ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2"), "[d c]");
    EXPECT_TEXT(ask("ZRANGE z -inf +inf BYSCORE LIMIT 1 -1"), "[b c d e]");
    EXPECT_TEXT(ask("ZRANGE z -inf +inf BYSCORE LIMIT -1 2"), "[]");
    EXPECT_TEXT(ask("ZREVRANGE z 0 1 WITHSCORES"), "[e 5 d 4]");
    EXPECT_TEXT(ask("ZRANGEBYSCORE z 2 3"), "[b c]");
    EXPECT_TEXT(ask("ZREVRANGEBYSCORE z 3 2 LIMIT 0 1"), "[c]");
    EXPECT_TEXT(ask("ZCOUNT z (1 (5"), "(3)");
    EXPECT_TEXT(ask("ZCOUNT z 5 1"), "(0)");
    EXPECT_TEXT(ask("ZCOUNT z x 1"), "-ERR min or max is not a float");
    EXPECT_TEXT(ask("ZRANGE z 0 1 LIMIT 0 1"),
                "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
                "BYLEX");
    EXPECT_TEXT(ask("ZRANGE z 0 x"), NOT_INTEGER);
    EXPECT_TEXT(ask("ZRANGE z 0 1 BYSCORE BYLEX"), SYNTAX);
    EXPECT_TEXT(ask("ZRANGE none 0 -1"), "[]");
}

TEST(members_of_one_score_have_ranges_by_their_bytes)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 0 a 0 b 0 bb 0 c 0 d"), "(5)");
    EXPECT_TEXT(ask("ZRANGE z - + BYLEX"), "[a b bb c d]");
    EXPECT_TEXT(ask("ZRANGE z [b (c BYLEX"), "[b bb]");
    EXPECT_TEXT(ask("ZRANGE z + (b BYLEX REV LIMIT 1 9"), "[c bb]");
    EXPECT_TEXT(ask("ZRANGEBYLEX z (a [bb"), "[b bb]");
    EXPECT_TEXT(ask("ZREVRANGEBYLEX z [bb -"), "[bb b a]");
    EXPECT_TEXT(ask("ZLEXCOUNT z [b [c"), "(3)");
    EXPECT_TEXT(ask("ZLEXCOUNT z + -"), "(0)");
    EXPECT_TEXT(ask("ZLEXCOUNT z b [c"), "-ERR min or max not valid string range item");
    EXPECT_TEXT(ask("ZRANGE z - + BYLEX WITHSCORES"),
                "-ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    EXPECT_TEXT(ask("ZREMRANGEBYLEX z [b (c"), "(2)");
    EXPECT_TEXT(ask("ZRANGE z 0 -1"), "[a c d]");
}

TEST(ranges_are_removed_and_stored)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 b 3 c 4 d 5 e"), "(5)");
    EXPECT_TEXT(ask("ZRANGESTORE y z 1 3"), "(3)");
    EXPECT_TEXT(ask("ZRANGE y 0 -1 WITHSCORES"), "[b 2 c 3 d 4]");
    EXPECT_TEXT(ask("ZRANGESTORE y z (5 (2 BYSCORE REV LIMIT 0 1"), "(1)");
    EXPECT_TEXT(ask("ZRANGE y 0 -1"), "[d]");
    EXPECT_TEXT(ask("ZRANGESTORE z z 0 -2"), "(4)");
    EXPECT_TEXT(ask("ZREMRANGEBYRANK z 0 0"), "(1)");
    EXPECT_TEXT(ask("ZREMRANGEBYSCORE z (2 3"), "(1)");
    EXPECT_TEXT(ask("ZRANGE z 0 -1"), "[b d]");
    EXPECT_TEXT(ask("ZREMRANGEBYRANK z 0 -1"), "(2)");
    EXPECT_TEXT(ask("EXISTS z"), "(0)");
    EXPECT_TEXT(ask("ZRANGESTORE y none 0 -1"), "(0)");
    EXPECT_TEXT(ask("EXISTS y"), "(0)");
    EXPECT_TEXT(ask("ZREMRANGEBYSCORE none 0 1"), "(0)");
}

TEST(removed_and_popped_members_are_gone_and_an_emptied_set_too)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f"), "(6)");
    EXPECT_TEXT(ask("ZREM z a none a"), "(1)");
    EXPECT_TEXT(ask("ZPOPMIN z"), "[b 2]");
    EXPECT_TEXT(ask("ZPOPMAX z 2"), "[f 6 e 5]");
    EXPECT_TEXT(ask("ZPOPMIN z 0"), "[]");
    EXPECT_TEXT(ask("ZMPOP 2 none z MAX"), "[z [[d 4]]]");
    EXPECT_TEXT(ask("ZMPOP 1 z MIN COUNT 5"), "[z [[c 3]]]");
    EXPECT_TEXT(ask("EXISTS z"), "(0)");
    EXPECT_TEXT(ask("ZMPOP 1 z MIN"), "(nil)");
    EXPECT_TEXT(ask("ZPOPMIN z"), "[]");
    EXPECT_TEXT(ask("ZPOPMIN z -1"), "-ERR value is out of range, must be positive");
    EXPECT_TEXT(ask("ZMPOP 0 z MIN"), "-ERR numkeys should be greater than 0");
    EXPECT_TEXT(ask("ZMPOP 1 z MIN COUNT 0"), "-ERR count should be greater than 0");
    EXPECT_TEXT(ask("ZMPOP 1 z MIDDLE"), SYNTAX);
}

TEST(sets_are_united_intersected_and_subtracted_with_weights)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD a 1 x 2 y 3 z"), "(3)");
    EXPECT_TEXT(ask("ZADD b 10 y 20 z 30 w"), "(3)");
    EXPECT_TEXT(ask("ZUNION 2 a b WITHSCORES"), "[x 1 y 12 z 23 w 30]");
    EXPECT_TEXT(ask("ZUNION 3 a b none WEIGHTS 2 1 1 AGGREGATE MAX WITHSCORES"),
                "[x 2 y 10 z 20 w 30]");
    EXPECT_TEXT(ask("ZINTER 2 a b AGGREGATE MIN WITHSCORES"), "[y 2 z 3]");
    EXPECT_TEXT(ask("ZINTER 2 a none"), "[]");
    EXPECT_TEXT(ask("ZDIFF 2 a b WITHSCORES"), "[x 1]");
    EXPECT_TEXT(ask("ZINTERCARD 2 a b"), "(2)");
    EXPECT_TEXT(ask("ZINTERCARD 2 a b LIMIT 1"), "(1)");
    EXPECT_TEXT(ask("ZUNIONSTORE a 2 a b"), "(4)");
    EXPECT_TEXT(ask("ZRANGE a 0 -1 WITHSCORES"), "[x 1 y 12 z 23 w 30]");
    EXPECT_TEXT(ask("ZINTERSTORE c 2 a b WEIGHTS 0 1"), "(3)");
    EXPECT_TEXT(ask("ZRANGE c 0 -1 WITHSCORES"), "[y 10 z 20 w 30]");
    EXPECT_TEXT(ask("ZDIFFSTORE c 2 b a"), "(0)");
    EXPECT_TEXT(ask("EXISTS c"), "(0)");
    EXPECT_TEXT(ask("ZUNION 0 a"), "-ERR at least 1 input key is needed for 'zunion' command");
    EXPECT_TEXT(ask("ZUNION 3 a b"), SYNTAX);
    EXPECT_TEXT(ask("ZUNION 1 a WEIGHTS x"), "-ERR weight value is not a float");
    EXPECT_TEXT(ask("ZINTERCARD 1 a LIMIT -1"), "-ERR LIMIT can't be negative");
    EXPECT_TEXT(ask("ZDIFF 1 a WEIGHTS 1"), SYNTAX);
}

TEST(plain_sets_take_part_with_the_score_1)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 5 a 6 12"), "(2)");
    EXPECT_TEXT(ask("SADD ints 12 13 -4"), "(3)");
    EXPECT_TEXT(ask("SADD words a b"), "(2)");
    EXPECT_TEXT(ask("ZUNION 3 z ints words WITHSCORES"), "[-4 1 13 1 b 1 a 6 12 7]");
    EXPECT_TEXT(ask("ZINTER 2 ints z WEIGHTS 10 1 WITHSCORES"), "[12 16]");
    EXPECT_TEXT(ask("ZDIFF 2 ints z WITHSCORES"), "[-4 1 13 1]");
    EXPECT_TEXT(ask("ZINTERCARD 2 words z"), "(1)");
    EXPECT_TEXT(ask("ZUNIONSTORE ints 2 ints words"), "(5)");
    EXPECT_TEXT(ask("TYPE ints"), "zset");
    EXPECT_TEXT(ask("ZCARD words"), WRONGTYPE);
}

TEST(infinities_that_cancel_count_as_zero)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD a inf x"), "(1)");
    EXPECT_TEXT(ask("ZADD b -inf x"), "(1)");
    EXPECT_TEXT(ask("ZUNION 2 a b WITHSCORES"), "[x 0]");
    EXPECT_TEXT(ask("ZUNION 1 a WEIGHTS 0 WITHSCORES"), "[x 0]");
    EXPECT_TEXT(ask("ZINTER 2 a b WITHSCORES"), "[x 0]");
}

TEST(zrandmember_draws_what_is_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 b 3 c"), "(3)");
    EXPECT_TEXT(ask("ZRANDMEMBER none"), "(nil)");
    EXPECT_TEXT(ask("ZRANDMEMBER none 3"), "[]");
    EXPECT_TEXT(ask("ZRANDMEMBER z 5 WITHSCORES"), "[a 1 b 2 c 3]");
    EXPECT_TEXT(ask("ZRANDMEMBER z 1 x"), SYNTAX);
    int seen[3] = {0};
    for (int i = 0; i < 300; i++) {
        const char *one = ask("ZRANDMEMBER z");
        EXPECT(strlen(one) == 1 && one[0] >= 'a' && one[0] <= 'c');
        seen[one[0] - 'a']++;
        const char *two = ask("ZRANDMEMBER z 2");
        EXPECT(strlen(two) == 5 && two[1] != two[3]);
        EXPECT(strlen(ask("ZRANDMEMBER z -4")) == 9);
    }
    EXPECT(seen[0] > 50 && seen[1] > 50 && seen[2] > 50);
}

TEST(zrandmember_refuses_a_reply_that_would_only_fill_memory)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 %b", dialog_filler(1 << 20, 1), (size_t)1 << 20), "(1)");
    EXPECT_TEXT(ask("ZRANDMEMBER z -600"), "-ERR the request passes a limit of this server");
}

TEST(encodings_are_those_of_redis)
{
    dialog_begin();
    for (int i = 0; i < 128; i++) {
        EXPECT_TEXT(ask("ZADD z %d m%d", i, i), "(1)");
    }
    EXPECT_TEXT(ask("OBJECT ENCODING z"), "listpack");
    EXPECT_TEXT(ask("ZADD z 1 more"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING z"), "skiplist");
    EXPECT_TEXT(ask("ZREMRANGEBYRANK z 0 99"), "(100)");
    EXPECT_TEXT(ask("OBJECT ENCODING z"), "skiplist");
    EXPECT_TEXT(ask("ZADD y 1 %s", dialog_filler(65, 1)), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING y"), "skiplist");
    EXPECT_TEXT(ask("ZRANGESTORE y z 0 -1"), "(29)");
    EXPECT_TEXT(ask("OBJECT ENCODING y"), "listpack");
}

/* The cursor, 0 at the end; members found are marked by the number behind the name. */
static unsigned long long scan_step(const char *cursor, const char *name, unsigned char *seen,
                                    size_t size)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", cursor);
    const char *reply = ask("ZSCAN z %s COUNT 20", text);
    unsigned long long next = strtoull(reply + 1, NULL, 10);
    for (const char *at = reply; (at = strstr(at, name)) != NULL; at++) {
        size_t number = strtoull(at + strlen(name), NULL, 10);
        EXPECT(number < size);
        seen[number] = 1;
    }
    return next;
}

TEST(zscan_gives_what_is_there_throughout)
{
    static unsigned char seen[500];
    char cursor[64] = "0";
    uint64_t state = 7;
    dialog_begin();
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < 500; i++) {
        ask("ZADD z %d stays:%d", i % 3, i);
    }
    for (int i = 0; i < 2000; i++) {
        ask("ZADD z %d goes:%d", i, i);
    }
    do {
        unsigned long long next = scan_step(cursor, "stays:", seen, sizeof(seen));
        snprintf(cursor, sizeof(cursor), "%llu", next);
        for (int i = 0; i < 200; i++) {
            int other = (int)test_random_below(&state, 5000);
            if (i % 2 == 0) {
                ask("ZREM z goes:%d", other);
            } else {
                ask("ZADD z %d goes:%d", i, other);
            }
        }
        ask("ZINCRBY z 1 stays:%d", (int)test_random_below(&state, 500));
    } while (strcmp(cursor, "0") != 0);
    for (int i = 0; i < 500; i++) {
        EXPECT(seen[i]);
    }
}

TEST(zscan_matches_patterns_and_gives_a_small_set_at_once)
{
    dialog_begin();
    EXPECT_TEXT(ask("ZADD z 1 a 2 ab 3 b"), "(3)");
    EXPECT_TEXT(ask("ZSCAN z 0"), "[0 [a 1 ab 2 b 3]]");
    EXPECT_TEXT(ask("ZSCAN z 0 MATCH a* COUNT 1"), "[0 [a 1 ab 2]]");
    EXPECT_TEXT(ask("ZSCAN none 0 COUNT 0"), "[0 []]");
    EXPECT_TEXT(ask("ZSCAN z 0 COUNT 0"), SYNTAX);
    EXPECT_TEXT(ask("ZSCAN z x"), "-ERR invalid cursor");
}

TEST(keys_of_other_types_are_refused)
{
    static const char *const commands[] = {
        "ZADD l 1 a",       "ZINCRBY l 1 a",       "ZREM l a",
        "ZCARD l",          "ZCOUNT l 0 1",        "ZLEXCOUNT l - +",
        "ZSCORE l a",       "ZMSCORE l a",         "ZRANK l a",
        "ZRANGE l 0 1",     "ZRANGESTORE z l 0 1", "ZPOPMIN l",
        "ZMPOP 1 l MIN",    "ZRANDMEMBER l",       "ZUNION 1 l",
        "ZDIFFSTORE z 1 l", "ZINTERCARD 1 l",      "ZREMRANGEBYRANK l 0 1",
        "ZSCAN l 0"};
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a"), "(1)");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        EXPECT_TEXT(ask(commands[i]), WRONGTYPE);
    }
    EXPECT_TEXT(ask("ZADD z 1 a"), "(1)");
    EXPECT_TEXT(ask("ZUNIONSTORE l 1 z"), "(1)");
    EXPECT_TEXT(ask("TYPE l"), "zset");
    EXPECT_TEXT(ask("LPUSH l a"), WRONGTYPE);
}

/* The log then holds a deletion and, behind it, a change that came to nothing. */
TEST(a_change_of_an_expired_set_that_changes_nothing_leaves_the_log_whole)
{
    dialog_begin();
    for (int i = 0; i < 30; i++) {
        EXPECT_TEXT(ask("ZADD z 1 a"), "(1)");
        EXPECT_TEXT(ask("PEXPIRE z 2"), "(1)");
        usleep(4000);
        EXPECT_TEXT(ask("ZADD z XX 2 a"), "(0)");
    }
    EXPECT_TEXT(ask("ZADD y 1 a"), "(1)");
    dialog_crash();
    EXPECT_TEXT(ask("ZRANGE y 0 -1"), "[a]");
    EXPECT_TEXT(ask("EXISTS z"), "(0)");
}

TEST(sorted_sets_outlive_a_crash)
{
    dialog_begin();
    for (int i = 0; i < 400; i++) {
        ask("ZADD big %d m%d", i % 50, i);
        ask("ZADD small %d m%d", i, i % 20);
    }
    EXPECT_TEXT(ask("ZREM big m7 m8"), "(2)");
    EXPECT_TEXT(ask("ZREMRANGEBYRANK big 10 19"), "(10)");
    EXPECT_TEXT(ask("ZINCRBY big 1000 m399"), "1049");
    EXPECT_TEXT(ask("ZUNIONSTORE union 2 big small"), "(391)");
    EXPECT_TEXT(ask("ZADD neg 1 %s -0 zero", dialog_filler(100, 3)), "(2)");
    char before[8192];
    snprintf(before, sizeof(before), "%s", ask("ZRANGE big 0 -1 WITHSCORES"));
    EXPECT(strlen(before) < sizeof(before) - 1);
    dialog_crash();
    EXPECT_TEXT(ask("ZRANGE big 0 -1 WITHSCORES"), before);
    EXPECT_TEXT(ask("ZCARD union"), "(391)");
    EXPECT_TEXT(ask("ZSCORE small m19"), "399");
    EXPECT_TEXT(ask("ZSCORE neg zero"), "-0");
}
