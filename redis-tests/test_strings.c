/* Strings, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX "-ERR syntax error"

TEST(get_gives_what_set_stored_and_nil_for_an_absent_key)
{
    dialog_begin();
    EXPECT_TEXT(ask("GET k"), "(nil)");
    EXPECT_TEXT(ask("SET k value"), "OK");
    EXPECT_TEXT(ask("GET k"), "value");
    EXPECT_TEXT(ask("SET k %s", ""), "OK");
    EXPECT_TEXT(ask("GET k"), "");
    EXPECT_TEXT(ask("EXISTS k"), "(1)");
}

TEST(keys_and_values_may_hold_any_byte)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET %b %b", "a\0b", (size_t)3, "\r\n\0\xff", (size_t)4), "OK");
    EXPECT_TEXT(ask("STRLEN %b", "a\0b", (size_t)3), "(4)");
    EXPECT_TEXT(ask("GETRANGE %b 3 3", "a\0b", (size_t)3), "\xff");
    EXPECT_TEXT(ask("GET a"), "(nil)");
}

TEST(values_of_every_size_come_back_as_they_were)
{
    dialog_begin();
    static const size_t sizes[] = {1,    44,    45,    4095,  4096,   4097,
                                   5000, 16384, 16385, 49152, 100000, 3000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const char *value = dialog_filler(sizes[i], i);
        EXPECT_TEXT(ask("SET k%d %b", (int)i, value, sizes[i]), "OK");
        EXPECT_TEXT(ask("GET k%d", (int)i), value);
        EXPECT_INT(ask_integer("STRLEN k%d", (int)i), sizes[i]);
    }
    dialog_crash();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        EXPECT_TEXT(ask("GET k%d", (int)i), dialog_filler(sizes[i], i));
    }
}

TEST(set_obeys_nx_xx_and_get_in_any_combination)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k a XX"), "(nil)");
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
    EXPECT_TEXT(ask("SET k a NX"), "OK");
    EXPECT_TEXT(ask("SET k b NX"), "(nil)");
    EXPECT_TEXT(ask("GET k"), "a");
    EXPECT_TEXT(ask("SET k b XX"), "OK");
    EXPECT_TEXT(ask("SET k c GET"), "b");
    EXPECT_TEXT(ask("SET k d NX GET"), "c");
    EXPECT_TEXT(ask("GET k"), "c");
    EXPECT_TEXT(ask("SET fresh d nx get"), "(nil)");
    EXPECT_TEXT(ask("GET fresh"), "d");
    EXPECT_TEXT(ask("SET none d xx get"), "(nil)");
    EXPECT_TEXT(ask("EXISTS none"), "(0)");
    EXPECT_TEXT(ask("SET k e NX XX"), SYNTAX);
    EXPECT_TEXT(ask("SET k e FOO"), SYNTAX);
    EXPECT_TEXT(ask("SET k e EX"), SYNTAX);
}

TEST(set_gives_a_time_to_live_keeps_it_or_takes_it_away)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k v EX 100"), "OK");
    EXPECT_TEXT(ask("TTL k"), "(100)");
    EXPECT_TEXT(ask("SET k v KEEPTTL"), "OK");
    EXPECT_TEXT(ask("TTL k"), "(100)");
    EXPECT_TEXT(ask("SET k v"), "OK");
    EXPECT_TEXT(ask("TTL k"), "(-1)");
    EXPECT_TEXT(ask("SET k v PX 100500"), "OK");
    long long left = ask_integer("PTTL k");
    EXPECT(left > 99000 && left <= 100500);
    EXPECT_TEXT(ask("SET k v EXAT 4000000000"), "OK");
    EXPECT_TEXT(ask("EXPIRETIME k"), "(4000000000)");
    EXPECT_TEXT(ask("SET k v PXAT 4000000000123"), "OK");
    EXPECT_TEXT(ask("PEXPIRETIME k"), "(4000000000123)");
    EXPECT_TEXT(ask("SET k v EXAT 1"), "OK");
    EXPECT_TEXT(ask("GET k"), "(nil)");
    EXPECT_TEXT(ask("SET k v PX 30"), "OK");
    usleep(60000);
    EXPECT_TEXT(ask("GET k"), "(nil)");
    EXPECT_TEXT(ask("SET k v EX 10 PX 10"), SYNTAX);
    EXPECT_TEXT(ask("SET k v KEEPTTL EX 10"), SYNTAX);
    EXPECT_TEXT(ask("SET k v EX abc"), NOT_INTEGER);
}

TEST(times_that_make_no_sense_are_refused_and_nothing_is_stored)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k v EX 0"), "-ERR invalid expire time in 'set' command");
    EXPECT_TEXT(ask("SET k v PX -1"), "-ERR invalid expire time in 'set' command");
    EXPECT_TEXT(ask("SET k v EX 9223372036854775807"), "-ERR invalid expire time in 'set' command");
    EXPECT_TEXT(ask("SET k v PX 9223372036854775807"), "-ERR invalid expire time in 'set' command");
    EXPECT_TEXT(ask("SETEX k 0 v"), "-ERR invalid expire time in 'setex' command");
    EXPECT_TEXT(ask("PSETEX k -5 v"), "-ERR invalid expire time in 'psetex' command");
    EXPECT_TEXT(ask("SETEX k x v"), NOT_INTEGER);
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
}

TEST(the_older_forms_of_set_do_what_their_names_say)
{
    dialog_begin();
    EXPECT_TEXT(ask("SETNX k a"), "(1)");
    EXPECT_TEXT(ask("SETNX k b"), "(0)");
    EXPECT_TEXT(ask("SETEX k 50 c"), "OK");
    EXPECT_TEXT(ask("TTL k"), "(50)");
    EXPECT_TEXT(ask("PSETEX k 70000 d"), "OK");
    EXPECT_TEXT(ask("TTL k"), "(70)");
    EXPECT_TEXT(ask("GETSET k e"), "d");
    EXPECT_TEXT(ask("TTL k"), "(-1)");
    EXPECT_TEXT(ask("GETSET fresh e"), "(nil)");
    EXPECT_TEXT(ask("GET fresh"), "e");
    EXPECT_TEXT(ask("GETDEL k"), "e");
    EXPECT_TEXT(ask("GETDEL k"), "(nil)");
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
}

TEST(getex_gives_a_string_and_changes_only_its_time)
{
    dialog_begin();
    EXPECT_TEXT(ask("GETEX k"), "(nil)");
    EXPECT_TEXT(ask("SET k v"), "OK");
    EXPECT_TEXT(ask("GETEX k"), "v");
    EXPECT_TEXT(ask("TTL k"), "(-1)");
    EXPECT_TEXT(ask("GETEX k EX 100"), "v");
    EXPECT_TEXT(ask("TTL k"), "(100)");
    EXPECT_TEXT(ask("GETEX k PXAT 4000000000123"), "v");
    EXPECT_TEXT(ask("PEXPIRETIME k"), "(4000000000123)");
    EXPECT_TEXT(ask("GETEX k PERSIST"), "v");
    EXPECT_TEXT(ask("TTL k"), "(-1)");
    EXPECT_TEXT(ask("GETEX k EX 10 PERSIST"), SYNTAX);
    EXPECT_TEXT(ask("GETEX k EX 0"), "-ERR invalid expire time in 'getex' command");
    EXPECT_TEXT(ask("GETEX k EXAT 1"), "v");
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
}

TEST(several_keys_are_read_and_set_at_once)
{
    dialog_begin();
    EXPECT_TEXT(ask("MSET a 1 b 2 a 3"), "OK");
    EXPECT_TEXT(ask("MGET a b none a"), "[3 2 (nil) 3]");
    EXPECT_TEXT(ask("RPUSH l x"), "(1)");
    EXPECT_TEXT(ask("MGET l a"), "[(nil) 3]");
    EXPECT_TEXT(ask("MSETNX c 1 a 9"), "(0)");
    EXPECT_TEXT(ask("EXISTS c"), "(0)");
    EXPECT_TEXT(ask("MSETNX c 1 d 2"), "(1)");
    EXPECT_TEXT(ask("MGET c d"), "[1 2]");
    EXPECT_TEXT(ask("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command");
    EXPECT_TEXT(ask("MSETNX a 1 b"), "-ERR wrong number of arguments for 'msetnx' command");
    EXPECT_TEXT(ask("MSET l now"), "OK");
    EXPECT_TEXT(ask("TYPE l"), "string");
}

TEST(append_grows_a_string_across_all_its_shapes)
{
    dialog_begin();
    const size_t total = 60000;
    const char *whole = dialog_filler(total, 7);
    size_t done = 0;
    for (size_t step = 1; done < total; step += 7) {
        size_t size = step < total - done ? step : total - done;
        done += size;
        EXPECT_INT(ask_integer("APPEND k %b", whole + done - size, size), done);
        /* The filler must not be forgotten while we append. */
        whole = dialog_filler(total, 7);
    }
    EXPECT_TEXT(ask("GET k"), whole);
    EXPECT_TEXT(ask("APPEND k %s", ""), "(60000)");
    EXPECT_TEXT(ask("APPEND empty %s", ""), "(0)");
    EXPECT_TEXT(ask("EXISTS empty"), "(1)");
    dialog_crash();
    EXPECT_TEXT(ask("GET k"), dialog_filler(total, 7));
}

TEST(getrange_cuts_like_redis_at_every_kind_of_index)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k Hello"), "OK");
    EXPECT_TEXT(ask("GETRANGE k 0 -1"), "Hello");
    EXPECT_TEXT(ask("GETRANGE k 1 3"), "ell");
    EXPECT_TEXT(ask("GETRANGE k -3 -2"), "ll");
    EXPECT_TEXT(ask("GETRANGE k -100 100"), "Hello");
    EXPECT_TEXT(ask("GETRANGE k 3 1"), "");
    EXPECT_TEXT(ask("GETRANGE k -2 -3"), "");
    EXPECT_TEXT(ask("GETRANGE k 5 9"), "");
    EXPECT_TEXT(ask("GETRANGE none 0 -1"), "");
    EXPECT_TEXT(ask("SUBSTR k 0 0"), "H");
    EXPECT_TEXT(ask("GETRANGE k a 1"), NOT_INTEGER);
    EXPECT_TEXT(ask("GETRANGE k -9223372036854775808 9223372036854775807"), "Hello");
}

TEST(getrange_of_a_large_string_gives_the_same_bytes_anywhere)
{
    dialog_begin();
    const size_t total = 100000;
    EXPECT_TEXT(ask("SET k %b", dialog_filler(total, 3), total), "OK");
    uint64_t state = test_seed();
    for (int i = 0; i < 200; i++) {
        size_t start = test_random_below(&state, total);
        size_t size = 1 + test_random_below(&state, total - start);
        char *copy = strndup(dialog_filler(total, 3) + start, size);
        const char *got = ask("GETRANGE k %d %d", (int)start, (int)(start + size - 1));
        bool equal = strcmp(got, copy) == 0;
        free(copy);
        EXPECT(equal);
    }
}

TEST(setrange_overwrites_grows_and_fills_gaps_with_zeros)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k Hello-World"), "OK");
    EXPECT_TEXT(ask("SETRANGE k 6 Redis"), "(11)");
    EXPECT_TEXT(ask("GET k"), "Hello-Redis");
    EXPECT_TEXT(ask("SETRANGE k 0 %s", ""), "(11)");
    EXPECT_TEXT(ask("SETRANGE none 5 %s", ""), "(0)");
    EXPECT_TEXT(ask("EXISTS none"), "(0)");
    EXPECT_TEXT(ask("SETRANGE gap 3 x"), "(4)");
    EXPECT_TEXT(ask("STRLEN gap"), "(4)");
    EXPECT_TEXT(ask("GETRANGE gap 3 3"), "x");
    EXPECT_TEXT(ask("SETRANGE far 50000 end"), "(50003)");
    EXPECT_TEXT(ask("GETRANGE far 50000 -1"), "end");
    EXPECT_TEXT(ask("SETRANGE far 20000 middle"), "(50003)");
    EXPECT_TEXT(ask("GETRANGE far 20000 20005"), "middle");
    EXPECT_TEXT(ask("SETRANGE k -1 x"), "-ERR offset is out of range");
    EXPECT_TEXT(ask("SETRANGE k a x"), NOT_INTEGER);
    dialog_crash();
    EXPECT_TEXT(ask("GETRANGE far 20000 20005"), "middle");
    EXPECT_TEXT(ask("STRLEN far"), "(50003)");
}

TEST(no_string_grows_beyond_proto_max_bulk_len)
{
    dialog_begin();
    const char *limit = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    EXPECT_TEXT(ask("SETRANGE k 536870912 x"), limit);
    EXPECT_TEXT(ask("SETRANGE k 9223372036854775807 x"), limit);
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
    EXPECT_TEXT(ask("CONFIG SET proto-max-bulk-len 1048576"), "OK");
    EXPECT_TEXT(ask("SETRANGE k 1048575 x"), "(1048576)");
    EXPECT_TEXT(ask("APPEND k y"), limit);
    EXPECT_TEXT(ask("SETRANGE k 1048576 y"), limit);
    EXPECT_TEXT(ask("STRLEN k"), "(1048576)");
    EXPECT_TEXT(ask("CONFIG SET proto-max-bulk-len 536870912"), "OK");
    EXPECT_TEXT(ask("APPEND k y"), "(1048577)");
}

TEST(counters_count_and_refuse_what_is_no_integer)
{
    dialog_begin();
    EXPECT_TEXT(ask("INCR n"), "(1)");
    EXPECT_TEXT(ask("INCRBY n 41"), "(42)");
    EXPECT_TEXT(ask("DECR n"), "(41)");
    EXPECT_TEXT(ask("DECRBY n 50"), "(-9)");
    EXPECT_TEXT(ask("GET n"), "-9");
    EXPECT_TEXT(ask("SET n 5 EX 100"), "OK");
    EXPECT_TEXT(ask("INCR n"), "(6)");
    EXPECT_TEXT(ask("TTL n"), "(100)");
    static const char *const wrong[] = {
        "abc", "", " 1", "1 ", "+1", "01", "1.0", "--1", "9223372036854775808"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        EXPECT_TEXT(ask("SET n %s", wrong[i]), "OK");
        EXPECT_TEXT(ask("INCR n"), NOT_INTEGER);
    }
    EXPECT_TEXT(ask("SET n 1"), "OK");
    EXPECT_TEXT(ask("INCRBY n 1.5"), NOT_INTEGER);
    EXPECT_TEXT(ask("SET n %s", dialog_filler(20000, 1)), "OK");
    EXPECT_TEXT(ask("INCR n"), NOT_INTEGER);
}

TEST(counters_never_overflow)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET n 9223372036854775807"), "OK");
    EXPECT_TEXT(ask("INCR n"), "-ERR increment or decrement would overflow");
    EXPECT_TEXT(ask("DECRBY n -1"), "-ERR increment or decrement would overflow");
    EXPECT_TEXT(ask("SET n -9223372036854775808"), "OK");
    EXPECT_TEXT(ask("DECR n"), "-ERR increment or decrement would overflow");
    EXPECT_TEXT(ask("DECRBY n -9223372036854775808"), "-ERR decrement would overflow");
    EXPECT_TEXT(ask("GET n"), "-9223372036854775808");
    EXPECT_TEXT(ask("INCRBY n 9223372036854775807"), "(-1)");
}

TEST(incrbyfloat_writes_numbers_as_redis_does)
{
    dialog_begin();
    EXPECT_TEXT(ask("INCRBYFLOAT n 10.50"), "10.5");
    EXPECT_TEXT(ask("INCRBYFLOAT n 0.1"), "10.6");
    EXPECT_TEXT(ask("INCRBYFLOAT n -5.6"), "5");
    EXPECT_TEXT(ask("SET n 3.0e3"), "OK");
    EXPECT_TEXT(ask("INCRBYFLOAT n 200"), "3200");
    EXPECT_TEXT(ask("INCRBYFLOAT n 1.23456789012345678"), "3201.23456789012345669");
    EXPECT_TEXT(ask("INCRBYFLOAT n 1e17"), "100000000000003201.234375");
    EXPECT_TEXT(ask("SET n 0"), "OK");
    EXPECT_TEXT(ask("INCRBYFLOAT n -1e-20"), "0");
    EXPECT_TEXT(ask("INCRBYFLOAT n 0x10"), "16");
    EXPECT_TEXT(ask("INCRBYFLOAT n abc"), "-ERR value is not a valid float");
    EXPECT_TEXT(ask("INCRBYFLOAT n nan"), "-ERR value is not a valid float");
    EXPECT_TEXT(ask("INCRBYFLOAT n inf"), "-ERR increment would produce NaN or Infinity");
    EXPECT_TEXT(ask("SET n abc"), "OK");
    EXPECT_TEXT(ask("INCRBYFLOAT n 1"), "-ERR value is not a valid float");
    EXPECT_TEXT(ask("SET n 1 EX 100"), "OK");
    EXPECT_TEXT(ask("INCRBYFLOAT n 1"), "2");
    EXPECT_TEXT(ask("TTL n"), "(100)");
}

TEST(incrbyfloat_reads_back_its_own_longest_numbers)
{
    dialog_begin();
    const char *longest = ask("INCRBYFLOAT n 1e4900");
    EXPECT(strlen(longest) > 4800);
    EXPECT_TEXT(ask("GET n"), longest);
    EXPECT_TEXT(ask("INCRBYFLOAT n -1e4900"), "0");
}

TEST(lcs_finds_the_longest_common_subsequence)
{
    dialog_begin();
    EXPECT_TEXT(ask("MSET a ohmytext b mynewtext"), "OK");
    EXPECT_TEXT(ask("LCS a b"), "mytext");
    EXPECT_TEXT(ask("LCS a b LEN"), "(6)");
    EXPECT_TEXT(ask("LCS a b IDX"),
                "[matches [[[(4) (7)] [(5) (8)]] [[(2) (3)] [(0) (1)]]] len (6)]");
    EXPECT_TEXT(ask("LCS a b IDX MINMATCHLEN 4"), "[matches [[[(4) (7)] [(5) (8)]]] len (6)]");
    EXPECT_TEXT(ask("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"),
                "[matches [[[(4) (7)] [(5) (8)] (4)]] len (6)]");
    EXPECT_TEXT(ask("LCS a none"), "");
    EXPECT_TEXT(ask("LCS a none IDX"), "[matches [] len (0)]");
    EXPECT_TEXT(ask("LCS a b IDX LEN"),
                "-ERR If you want both the length and indexes, please just use IDX.");
    EXPECT_TEXT(ask("LCS a b FOO"), SYNTAX);
    EXPECT_TEXT(ask("LCS a b MINMATCHLEN"), SYNTAX);
    EXPECT_TEXT(ask("RPUSH l x"), "(1)");
    EXPECT_TEXT(ask("LCS a l"), "-ERR The specified keys must contain string values");
}

TEST(lcs_of_two_equal_large_strings_is_the_string)
{
    dialog_begin();
    const char *text = dialog_filler(9000, 5);
    EXPECT_TEXT(ask("MSET a %s b %s", text, text), "OK");
    EXPECT_TEXT(ask("LCS a b"), dialog_filler(9000, 5));
    EXPECT_TEXT(ask("LCS a b IDX"), "[matches [[[(0) (8999)] [(0) (8999)]]] len (9000)]");
}

TEST(no_string_command_touches_a_list_or_a_chunk_collection)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH list x"), "(1)");
    EXPECT_TEXT(ask("CHUNK.APPEND chunks x"), "(1)");
    static const char *const keys[] = {"list", "chunks"};
    static const char *const commands[] = {
        "GET %s",      "GETSET %s v",      "GETDEL %s",       "GETEX %s", "SET %s v GET",
        "APPEND %s v", "STRLEN %s",        "GETRANGE %s 0 1", "INCR %s",  "SETRANGE %s 0 v",
        "INCRBY %s 1", "INCRBYFLOAT %s 1", "SUBSTR %s 0 1",   "DECR %s",  "SETRANGE %s 0 ''",
    };
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
            EXPECT_TEXT(ask(commands[i], keys[k]), WRONGTYPE);
        }
        EXPECT_TEXT(ask("LRANGE %s 0 -1", keys[k]), "[x]");
        EXPECT_TEXT(ask("SET %s v", keys[k]), "OK");
        EXPECT_TEXT(ask("GET %s", keys[k]), "v");
    }
}

TEST(acknowledged_strings_survive_kill_9)
{
    dialog_begin();
    for (int i = 0; i < 200; i++) {
        EXPECT_TEXT(ask("SET k%d v%d", i, i), "OK");
        EXPECT_INT(ask_integer("INCRBY n %d", i), i * (i + 1) / 2);
    }
    EXPECT_TEXT(ask("SETEX later 1000 v"), "OK");
    EXPECT_TEXT(ask("DEL k7"), "(1)");
    dialog_crash();
    for (int i = 0; i < 200; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), i == 7 ? "(nil)" : "v%d", i);
        EXPECT_TEXT(ask("GET k%d", i), expected);
    }
    EXPECT_TEXT(ask("GET n"), "19900");
    long long left = ask_integer("TTL later");
    EXPECT(left > 900 && left <= 1000);
}
