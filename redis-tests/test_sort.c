/* SORT and SORT_RO, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define NOT_NUMBERS "-ERR One or more scores can't be converted into double"
#define SYNTAX "-ERR syntax error"

TEST(sort_orders_numbers_and_with_alpha_texts)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l 10 9 -1 2.5 1e1 0x3"), "(6)");
    EXPECT_TEXT(ask("SORT l"), "[-1 2.5 0x3 9 10 1e1]");
    EXPECT_TEXT(ask("SORT l DESC"), "[1e1 10 9 0x3 2.5 -1]");
    EXPECT_TEXT(ask("SORT l DESC ASC ALPHA"), "[-1 0x3 10 1e1 2.5 9]");
    EXPECT_TEXT(ask("SORT_RO l alpha desc"), "[9 2.5 1e1 10 0x3 -1]");
    EXPECT_TEXT(ask("SADD s 3 1 2"), "(3)");
    EXPECT_TEXT(ask("SORT s DESC"), "[3 2 1]");
    EXPECT_TEXT(ask("SORT none"), "[]");
    EXPECT_TEXT(ask("RPUSH l x"), "(7)");
    EXPECT_TEXT(ask("SORT l"), NOT_NUMBERS);
    EXPECT_TEXT(ask("RPUSH n nan"), "(1)");
    EXPECT_TEXT(ask("SORT n"), NOT_NUMBERS);
    EXPECT_TEXT(ask("SORT n ALPHA"), "[nan]");
}

TEST(sort_limits_what_it_gives)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l 5 4 3 2 1"), "(5)");
    EXPECT_TEXT(ask("SORT l LIMIT 1 2"), "[2 3]");
    EXPECT_TEXT(ask("SORT l LIMIT -3 2"), "[1 2]");
    EXPECT_TEXT(ask("SORT l LIMIT 3 -1"), "[4 5]");
    EXPECT_TEXT(ask("SORT l LIMIT 5 2"), "[]");
    EXPECT_TEXT(ask("SORT l LIMIT 0 0"), "[]");
    EXPECT_TEXT(ask("SORT l LIMIT 9223372036854775807 9223372036854775807"), "[]");
    EXPECT_TEXT(ask("SORT l LIMIT 0 1 LIMIT 1 1"), "[2]");
    EXPECT_TEXT(ask("SORT l LIMIT x 1"), NOT_INTEGER);
    EXPECT_TEXT(ask("SORT l LIMIT 1"), SYNTAX);
    EXPECT_TEXT(ask("SORT l BY nosort LIMIT 1 2"), "[4 3]");
    EXPECT_TEXT(ask("SORT l BY nosort DESC LIMIT 1 2"), "[2 3]");
}

TEST(sort_by_orders_by_the_strings_of_other_keys)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l 1 2 3 4"), "(4)");
    EXPECT_TEXT(ask("MSET w1 30 w2 20 w3 10"), "OK");
    EXPECT_TEXT(ask("SORT l BY w*"), "[4 3 2 1]");
    EXPECT_TEXT(ask("SORT l BY w* DESC"), "[1 2 3 4]");
    EXPECT_TEXT(ask("SET w4 25"), "OK");
    EXPECT_TEXT(ask("SORT l BY w*"), "[3 2 4 1]");
    EXPECT_TEXT(ask("SORT l BY w* BY nosort"), "[1 2 3 4]");
    EXPECT_TEXT(ask("SORT l BY none* DESC"), "[4 3 2 1]");
    EXPECT_TEXT(ask("SORT l BY w*->field"), "[1 2 3 4]");
    EXPECT_TEXT(ask("SET w4 abc"), "OK");
    EXPECT_TEXT(ask("SORT l BY w*"), NOT_NUMBERS);
    EXPECT_TEXT(ask("DEL w3"), "(1)");
    EXPECT_TEXT(ask("SORT l BY w* ALPHA"), "[3 2 1 4]");
    EXPECT_TEXT(ask("DEL w4"), "(1)");
    EXPECT_TEXT(ask("RPUSH w4 1"), "(1)");
    EXPECT_TEXT(ask("SORT l BY w*"), "[3 4 2 1]");
    EXPECT_TEXT(ask("SET w1 %s", dialog_filler(100000, 1)), "OK");
    EXPECT_TEXT(ask("SORT l BY w* ALPHA LIMIT 0 2"), "[3 4]");
}

TEST(sort_gets_what_patterns_lead_to)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l 2 1 3"), "(3)");
    EXPECT_TEXT(ask("MSET o1 one o2 two"), "OK");
    EXPECT_TEXT(ask("SORT l GET o*"), "[one two (nil)]");
    EXPECT_TEXT(ask("SORT l GET # GET o* GET #"), "[1 one 1 2 two 2 3 (nil) 3]");
    EXPECT_TEXT(ask("SORT l GET nostar LIMIT 0 1"), "[(nil)]");
    EXPECT_TEXT(ask("SORT l BY nosort GET o* LIMIT 0 2"), "[two one]");
    EXPECT_TEXT(ask("SORT_RO l GET o* DESC"), "[(nil) two one]");
    EXPECT_TEXT(ask("SORT l GET"), SYNTAX);
    EXPECT_TEXT(ask("RPUSH o3 x"), "(1)");
    EXPECT_TEXT(ask("SORT l GET o*"), "[one two (nil)]");
    EXPECT_TEXT(ask("SET o3 %s", dialog_filler(50000, 3)), "OK");
    EXPECT_INT(strlen(ask("SORT l GET o* LIMIT 2 1")), 50000 + 2);
}

TEST(sort_stores_a_list)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l 3 1 2"), "(3)");
    EXPECT_TEXT(ask("SET o1 one EX 100"), "OK");
    EXPECT_TEXT(ask("SORT l GET o* GET # STORE o1"), "(6)");
    EXPECT_TEXT(ask("LRANGE o1 0 -1"), "[one 1  2  3]");
    EXPECT_TEXT(ask("TTL o1"), "(-1)");
    EXPECT_TEXT(ask("SORT l STORE l"), "(3)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[1 2 3]");
    EXPECT_TEXT(ask("SORT none STORE o1"), "(0)");
    EXPECT_TEXT(ask("EXISTS o1"), "(0)");
    EXPECT_TEXT(ask("SADD s b c a 10 9"), "(5)");
    EXPECT_TEXT(ask("SORT s BY nosort STORE d"), "(5)");
    EXPECT_TEXT(ask("LRANGE d 0 -1"), "[10 9 a b c]");
    EXPECT_TEXT(ask("SORT_RO l STORE d"), SYNTAX);
    EXPECT_TEXT(ask("SORT l STORE"), SYNTAX);
    dialog_crash();
    EXPECT_TEXT(ask("LRANGE d 0 -1"), "[10 9 a b c]");
}

TEST(sort_orders_thousands)
{
    dialog_begin();
    enum { COUNT = 5000 };
    for (int i = 0; i < COUNT; i += 5) {
        int n = (i * 7919) % COUNT;
        ask("SADD s %d %d %d %d %d", n, n + 1, n + 2, n + 3, n + 4);
        ask("MSET w%d %d w%d %d w%d %d w%d %d w%d %d", n, -n, n + 1, -n - 1, n + 2, -n - 2, n + 3,
            -n - 3, n + 4, -n - 4);
    }
    EXPECT_TEXT(ask("SCARD s"), "(5000)");
    EXPECT_TEXT(ask("SORT s LIMIT 2500 3"), "[2500 2501 2502]");
    EXPECT_TEXT(ask("SORT s BY w* LIMIT 0 3 GET # GET w*"), "[4999 -4999 4998 -4998 4997 -4997]");
    EXPECT_TEXT(ask("SORT s BY w* STORE d"), "(5000)");
    EXPECT_TEXT(ask("LRANGE d 0 2"), "[4999 4998 4997]");
    EXPECT_TEXT(ask("LRANGE d -2 -1"), "[1 0]");
}

TEST(sort_refuses_other_types_and_bad_arguments)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET str x"), "OK");
    EXPECT_TEXT(ask("SORT str"),
                "-WRONGTYPE Operation against a key holding the wrong kind of value");
    EXPECT_TEXT(ask("SORT str junk"), SYNTAX);
    EXPECT_TEXT(ask("SORT none junk"), SYNTAX);
    EXPECT_TEXT(ask("COMMAND GETKEYS SORT l BY w* GET # STORE d"), "[l d]");
    EXPECT_TEXT(ask("COMMAND GETKEYS SORT l BY store"), "[l]");
    EXPECT_TEXT(ask("COMMAND GETKEYS SORT_RO l"), "[l]");
}
