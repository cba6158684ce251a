/* Lists, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX "-ERR syntax error"

TEST(pushes_go_to_their_end_one_after_the_other)
{
    dialog_begin();
    EXPECT_TEXT(ask("LPUSH l a b c"), "(3)");
    EXPECT_TEXT(ask("RPUSH l d e"), "(5)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[c b a d e]");
    EXPECT_TEXT(ask("LLEN l"), "(5)");
    EXPECT_TEXT(ask("LLEN none"), "(0)");
    EXPECT_TEXT(ask("LPUSHX l f"), "(6)");
    EXPECT_TEXT(ask("RPUSHX l g h"), "(8)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[f c b a d e g h]");
    EXPECT_TEXT(ask("LPUSHX none a"), "(0)");
    EXPECT_TEXT(ask("RPUSHX none a"), "(0)");
    EXPECT_TEXT(ask("EXISTS none"), "(0)");
}

TEST(pops_take_from_their_end_and_an_emptied_list_is_gone)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b c d e f"), "(6)");
    EXPECT_TEXT(ask("LPOP l"), "a");
    EXPECT_TEXT(ask("RPOP l"), "f");
    EXPECT_TEXT(ask("LPOP l 2"), "[b c]");
    EXPECT_TEXT(ask("LPOP l 0"), "[]");
    EXPECT_TEXT(ask("RPOP l 10"), "[e d]");
    EXPECT_TEXT(ask("EXISTS l"), "(0)");
    EXPECT_TEXT(ask("LPOP l"), "(nil)");
    EXPECT_TEXT(ask("RPOP l 3"), "(nil)");
    EXPECT_TEXT(ask("LPOP l 0"), "(nil)");
    EXPECT_TEXT(ask("LPOP l -1"), "-ERR value is out of range, must be positive");
    EXPECT_TEXT(ask("LPOP l x"), "-ERR value is out of range, must be positive");
    EXPECT_TEXT(ask("LPOP l 1 2"), "-ERR wrong number of arguments for 'lpop' command");
}

TEST(lindex_and_lrange_count_from_both_ends)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b c d"), "(4)");
    EXPECT_TEXT(ask("LINDEX l 0"), "a");
    EXPECT_TEXT(ask("LINDEX l -1"), "d");
    EXPECT_TEXT(ask("LINDEX l 4"), "(nil)");
    EXPECT_TEXT(ask("LINDEX l -5"), "(nil)");
    EXPECT_TEXT(ask("LINDEX none x"), "(nil)");
    EXPECT_TEXT(ask("LINDEX l x"), NOT_INTEGER);
    EXPECT_TEXT(ask("LRANGE l 1 2"), "[b c]");
    EXPECT_TEXT(ask("LRANGE l -2 -1"), "[c d]");
    EXPECT_TEXT(ask("LRANGE l -100 100"), "[a b c d]");
    EXPECT_TEXT(ask("LRANGE l 3 1"), "[]");
    EXPECT_TEXT(ask("LRANGE l 4 9"), "[]");
    EXPECT_TEXT(ask("LRANGE none 0 -1"), "[]");
    EXPECT_TEXT(ask("LRANGE l a b"), NOT_INTEGER);
    EXPECT_TEXT(ask("LRANGE l -9223372036854775808 9223372036854775807"), "[a b c d]");
}

TEST(lset_replaces_one_element)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b c"), "(3)");
    EXPECT_TEXT(ask("LSET l 1 B"), "OK");
    EXPECT_TEXT(ask("LSET l -1 C"), "OK");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a B C]");
    EXPECT_TEXT(ask("LSET l 3 x"), "-ERR index out of range");
    EXPECT_TEXT(ask("LSET l -4 x"), "-ERR index out of range");
    EXPECT_TEXT(ask("LSET none 0 x"), "-ERR no such key");
    EXPECT_TEXT(ask("LSET l x x"), NOT_INTEGER);
    EXPECT_TEXT(ask("LSET l 0 %s", dialog_filler(30000, 1)), "OK");
    EXPECT_TEXT(ask("LINDEX l 0"), dialog_filler(30000, 1));
}

TEST(linsert_finds_the_first_pivot)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b a"), "(3)");
    EXPECT_TEXT(ask("LINSERT l BEFORE b x"), "(4)");
    EXPECT_TEXT(ask("LINSERT l after a y"), "(5)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a y x b a]");
    EXPECT_TEXT(ask("LINSERT l BEFORE none x"), "(-1)");
    EXPECT_TEXT(ask("LINSERT none BEFORE a x"), "(0)");
    EXPECT_TEXT(ask("LINSERT l FOO a x"), SYNTAX);
}

TEST(lrem_removes_from_either_end_or_all)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l x a x b x c x"), "(7)");
    EXPECT_TEXT(ask("LREM l 1 x"), "(1)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a x b x c x]");
    EXPECT_TEXT(ask("LREM l -2 x"), "(2)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a x b c]");
    EXPECT_TEXT(ask("RPUSH l x"), "(5)");
    EXPECT_TEXT(ask("LREM l 0 x"), "(2)");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a b c]");
    EXPECT_TEXT(ask("LREM l 0 none"), "(0)");
    EXPECT_TEXT(ask("LREM none 0 x"), "(0)");
    EXPECT_TEXT(ask("LREM l x x"), NOT_INTEGER);
    EXPECT_TEXT(ask("DEL l"), "(1)");
    EXPECT_TEXT(ask("RPUSH l x x"), "(2)");
    EXPECT_TEXT(ask("LREM l -9223372036854775808 x"), "(2)");
    EXPECT_TEXT(ask("EXISTS l"), "(0)");
}

TEST(ltrim_keeps_a_range_and_an_empty_one_deletes)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b c d e"), "(5)");
    EXPECT_TEXT(ask("LTRIM l 1 -2"), "OK");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[b c d]");
    EXPECT_TEXT(ask("LTRIM l -100 100"), "OK");
    EXPECT_TEXT(ask("LLEN l"), "(3)");
    EXPECT_TEXT(ask("LTRIM l 5 9"), "OK");
    EXPECT_TEXT(ask("EXISTS l"), "(0)");
    EXPECT_TEXT(ask("LTRIM none 0 1"), "OK");
    EXPECT_TEXT(ask("LTRIM none a 1"), NOT_INTEGER);
}

TEST(lpos_looks_from_both_ends_with_rank_count_and_maxlen)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b c 1 2 3 c c"), "(8)");
    EXPECT_TEXT(ask("LPOS l c"), "(2)");
    EXPECT_TEXT(ask("LPOS l c RANK 2"), "(6)");
    EXPECT_TEXT(ask("LPOS l c RANK -1"), "(7)");
    EXPECT_TEXT(ask("LPOS l c RANK -2 COUNT 2"), "[(6) (2)]");
    EXPECT_TEXT(ask("LPOS l c COUNT 2"), "[(2) (6)]");
    EXPECT_TEXT(ask("LPOS l c COUNT 0"), "[(2) (6) (7)]");
    EXPECT_TEXT(ask("LPOS l c COUNT 0 MAXLEN 7"), "[(2) (6)]");
    EXPECT_TEXT(ask("LPOS l c COUNT 0 MAXLEN 1 RANK -1"), "[(7)]");
    EXPECT_TEXT(ask("LPOS l c MAXLEN 2"), "(nil)");
    EXPECT_TEXT(ask("LPOS l none"), "(nil)");
    EXPECT_TEXT(ask("LPOS l none COUNT 0"), "[]");
    EXPECT_TEXT(ask("LPOS none c COUNT 0"), "[]");
    EXPECT_TEXT(ask("LPOS none c"), "(nil)");
    EXPECT_TEXT(ask("LPOS l c RANK 0"),
                "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second "
                "... or use negative to start from the end of the list");
    EXPECT_TEXT(ask("LPOS l c COUNT -1"), "-ERR COUNT can't be negative");
    EXPECT_TEXT(ask("LPOS l c MAXLEN -1"), "-ERR MAXLEN can't be negative");
    EXPECT_TEXT(ask("LPOS l c RANK"), SYNTAX);
    EXPECT_TEXT(ask("LPOS l c FOO 1"), SYNTAX);
}

TEST(lmove_takes_from_any_end_to_any_end)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH a 1 2 3 4"), "(4)");
    EXPECT_TEXT(ask("LMOVE a b LEFT RIGHT"), "1");
    EXPECT_TEXT(ask("LMOVE a b RIGHT RIGHT"), "4");
    EXPECT_TEXT(ask("LMOVE a b left left"), "2");
    EXPECT_TEXT(ask("LRANGE b 0 -1"), "[2 1 4]");
    EXPECT_TEXT(ask("RPOPLPUSH a b"), "3");
    EXPECT_TEXT(ask("EXISTS a"), "(0)");
    EXPECT_TEXT(ask("LRANGE b 0 -1"), "[3 2 1 4]");
    EXPECT_TEXT(ask("RPOPLPUSH a b"), "(nil)");
    EXPECT_TEXT(ask("LMOVE a b UP RIGHT"), SYNTAX);
    EXPECT_TEXT(ask("SET s v"), "OK");
    EXPECT_TEXT(ask("LMOVE b s LEFT LEFT"), WRONGTYPE);
    EXPECT_TEXT(ask("LMOVE s b LEFT LEFT"), WRONGTYPE);
    EXPECT_TEXT(ask("LMOVE none s LEFT LEFT"), "(nil)");
    EXPECT_TEXT(ask("LRANGE b 0 -1"), "[3 2 1 4]");
}

TEST(lmove_within_one_list_rotates_it)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH l a b c"), "(3)");
    EXPECT_TEXT(ask("LMOVE l l LEFT RIGHT"), "a");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[b c a]");
    EXPECT_TEXT(ask("RPOPLPUSH l l"), "a");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a b c]");
    EXPECT_TEXT(ask("LMOVE l l LEFT LEFT"), "a");
    EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a b c]");
    EXPECT_TEXT(ask("RPUSH one x"), "(1)");
    EXPECT_TEXT(ask("LMOVE one one LEFT RIGHT"), "x");
    EXPECT_TEXT(ask("LRANGE one 0 -1"), "[x]");
}

TEST(large_elements_move_whole_and_survive_kill_9)
{
    dialog_begin();
    static const size_t sizes[] = {100, 3000, 5000, 20000, 200000};
    const int count = sizeof(sizes) / sizeof(sizes[0]);
    for (int i = 0; i < count; i++) {
        EXPECT_INT(ask_integer("RPUSH a %s", dialog_filler(sizes[i], (uint64_t)i)), i + 1);
    }
    for (int i = 0; i < count; i++) {
        EXPECT_TEXT(ask("LMOVE a a LEFT RIGHT"), dialog_filler(sizes[i], (uint64_t)i));
    }
    for (int i = 0; i < count; i++) {
        EXPECT_TEXT(ask("LMOVE a b LEFT RIGHT"), dialog_filler(sizes[i], (uint64_t)i));
    }
    dialog_crash();
    EXPECT_TEXT(ask("EXISTS a"), "(0)");
    for (int i = 0; i < count; i++) {
        EXPECT_TEXT(ask("LINDEX b %d", i), dialog_filler(sizes[i], (uint64_t)i));
    }
}

TEST(lmpop_pops_from_the_first_list_that_is_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("LMPOP 2 a b LEFT"), "(nil)");
    EXPECT_TEXT(ask("RPUSH b 1 2 3 4"), "(4)");
    EXPECT_TEXT(ask("LMPOP 2 a b LEFT"), "[b [1]]");
    EXPECT_TEXT(ask("LMPOP 2 a b RIGHT COUNT 2"), "[b [4 3]]");
    EXPECT_TEXT(ask("LMPOP 1 b LEFT COUNT 10"), "[b [2]]");
    EXPECT_TEXT(ask("EXISTS b"), "(0)");
    EXPECT_TEXT(ask("LMPOP 0 b LEFT"), "-ERR numkeys should be greater than 0");
    EXPECT_TEXT(ask("LMPOP x b LEFT"), "-ERR numkeys should be greater than 0");
    EXPECT_TEXT(ask("LMPOP 5 b LEFT"), SYNTAX);
    EXPECT_TEXT(ask("LMPOP 9223372036854775807 b LEFT"), SYNTAX);
    EXPECT_TEXT(ask("LMPOP 1 b UP"), SYNTAX);
    EXPECT_TEXT(ask("LMPOP 1 b LEFT COUNT 0"), "-ERR count should be greater than 0");
    EXPECT_TEXT(ask("LMPOP 1 b LEFT COUNT"), SYNTAX);
    EXPECT_TEXT(ask("SET s v"), "OK");
    EXPECT_TEXT(ask("LMPOP 2 a s LEFT"), WRONGTYPE);
}

TEST(a_list_of_ten_thousand_behaves_like_a_short_one)
{
    dialog_begin();
    const int total = 10000;
    for (int i = 0; i < total; i += 10) {
        EXPECT_INT(ask_integer("RPUSH l %d %d %d %d %d %d %d %d %d %d", i, i + 1, i + 2, i + 3,
                               i + 4, i + 5, i + 6, i + 7, i + 8, i + 9),
                   i + 10);
    }
    EXPECT_TEXT(ask("OBJECT ENCODING l"), "quicklist");
    EXPECT_TEXT(ask("LINDEX l 5000"), "5000");
    EXPECT_TEXT(ask("LINDEX l -1"), "9999");
    EXPECT_TEXT(ask("LPOS l 7777"), "(7777)");
    EXPECT_TEXT(ask("LRANGE l 4998 5001"), "[4998 4999 5000 5001]");
    EXPECT_TEXT(ask("LINSERT l BEFORE 5000 new"), "(10001)");
    EXPECT_TEXT(ask("LINDEX l 5001"), "5000");
    EXPECT_TEXT(ask("LREM l 1 new"), "(1)");
    EXPECT_TEXT(ask("LTRIM l 100 9899"), "OK");
    EXPECT_TEXT(ask("LLEN l"), "(9800)");
    dialog_crash();
    EXPECT_TEXT(ask("LLEN l"), "(9800)");
    EXPECT_TEXT(ask("LINDEX l 0"), "100");
    EXPECT_TEXT(ask("LINDEX l -1"), "9899");
    for (int i = 100; i < 9900; i += 100) {
        char first[16];
        char last[16];
        snprintf(first, sizeof(first), "[%d ", i);
        snprintf(last, sizeof(last), " %d]", i + 99);
        const char *popped = ask("LPOP l 100");
        EXPECT(strncmp(popped, first, strlen(first)) == 0);
        EXPECT(strlen(popped) > 200 && strcmp(popped + strlen(popped) - strlen(last), last) == 0);
    }
    EXPECT_TEXT(ask("EXISTS l"), "(0)");
}

TEST(no_list_command_touches_a_string)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET s v"), "OK");
    static const char *const commands[] = {
        "LPUSH s a",    "RPUSH s a",  "LPUSHX s a",     "RPUSHX s a",
        "LPOP s",       "RPOP s 1",   "LLEN s",         "LINDEX s 0",
        "LRANGE s 0 1", "LSET s 0 a", "LREM s 0 a",     "LINSERT s AFTER a b",
        "LTRIM s 0 1",  "LPOS s a",   "LMPOP 1 s LEFT", "RPOPLPUSH s l",
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        EXPECT_TEXT(ask(commands[i]), WRONGTYPE);
    }
    EXPECT_TEXT(ask("GET s"), "v");
}
