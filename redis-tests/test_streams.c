/* Streams, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX "-ERR syntax error"
#define INVALID_ID "-ERR Invalid stream ID specified as stream command argument"
#define TOO_SMALL                                                                                  \
    "-ERR The ID specified in XADD is equal or smaller than the target stream top item"
#define NO_BLOCK "-ERR BLOCK is not supported yet: blocking reads are not built"

static void add_five(void)
{
    for (int i = 1; i <= 5; i++) {
        ask("XADD s %d-1 n %d", i, i);
    }
}

TEST(xadd_takes_ids_that_grow_and_makes_what_is_left_open)
{
    dialog_begin();
    EXPECT_TEXT(ask("XADD s 5-1 a 1"), "5-1");
    EXPECT_TEXT(ask("XADD s 5-1 a 1"), TOO_SMALL);
    EXPECT_TEXT(ask("XADD s 4 a 1"), TOO_SMALL);
    EXPECT_TEXT(ask("XADD s 5-* a 1"), "5-2");
    EXPECT_TEXT(ask("XADD s 7-* a 1"), "7-0");
    EXPECT_TEXT(ask("XADD s 8 a 1 b 2"), "8-0");
    EXPECT_TEXT(ask("XADD none 0-* a 1"), "0-1");
    EXPECT_TEXT(ask("XADD s 0-0 a 1"), "-ERR The ID specified in XADD must be greater than 0-0");
    EXPECT_TEXT(ask("XADD s x a 1"), INVALID_ID);
    EXPECT_TEXT(ask("XADD s 9 a"), "-ERR wrong number of arguments for 'xadd' command");
    EXPECT_TEXT(ask("XADD s 9 a 1 b"), "-ERR wrong number of arguments for 'xadd' command");
    EXPECT_TEXT(ask("XADD away NOMKSTREAM 9 a 1"), "(nil)");
    EXPECT_TEXT(ask("EXISTS away"), "(0)");
    EXPECT_TEXT(ask("XLEN s"), "(4)");
    EXPECT_TEXT(ask("TYPE s"), "stream");
    EXPECT_TEXT(ask("OBJECT ENCODING s"), "stream");
    EXPECT_TEXT(ask("XRANGE s - +"), "[[5-1 [a 1]] [5-2 [a 1]] [7-0 [a 1]] [8-0 [a 1 b 2]]]");
}

TEST(an_id_made_from_the_clock_is_higher_than_the_last_even_if_that_lies_ahead)
{
    dialog_begin();
    const char *id = ask("XADD s * a 1");
    EXPECT(strlen(id) == 15 && strcmp(id + 13, "-0") == 0);
    EXPECT_TEXT(ask("XADD s 99999999999999-7 a 1"), "99999999999999-7");
    EXPECT_TEXT(ask("XADD s * a 1"), "99999999999999-8");
    EXPECT_TEXT(ask("XADD s 99999999999999-18446744073709551615 a 1"),
                "99999999999999-18446744073709551615");
    EXPECT_TEXT(ask("XADD s 99999999999999-* a 1"), TOO_SMALL);
    EXPECT_TEXT(ask("XADD s * a 1"), "100000000000000-0");
    EXPECT_TEXT(ask("XADD s 18446744073709551615-18446744073709551615 a 1"),
                "18446744073709551615-18446744073709551615");
    EXPECT_TEXT(ask("XADD s * a 1"), "-ERR The stream has exhausted the last possible ID, unable "
                                     "to add more items");
}

TEST(ranges_are_read_in_both_directions_with_open_ends)
{
    dialog_begin();
    add_five();
    EXPECT_TEXT(ask("XRANGE s 2 3"), "[[2-1 [n 2]] [3-1 [n 3]]]");
    EXPECT_TEXT(ask("XRANGE s (2-1 (4-1"), "[[3-1 [n 3]]]");
    EXPECT_TEXT(ask("XRANGE s - + COUNT 1"), "[[1-1 [n 1]]]");
    EXPECT_TEXT(ask("XREVRANGE s + - COUNT 2"), "[[5-1 [n 5]] [4-1 [n 4]]]");
    EXPECT_TEXT(ask("XREVRANGE s (3-1 2"), "[[2-1 [n 2]]]");
    EXPECT_TEXT(ask("XRANGE s 4 2"), "[]");
    EXPECT_TEXT(ask("XRANGE s - + COUNT 0"), "(nil)");
    EXPECT_TEXT(ask("XRANGE none - +"), "[]");
    EXPECT_TEXT(ask("XRANGE s x +"), INVALID_ID);
    EXPECT_TEXT(ask("XRANGE s - (0-0"), "-ERR invalid end ID for the interval");
    EXPECT_TEXT(ask("XRANGE s (18446744073709551615-18446744073709551615 +"),
                "-ERR invalid start ID for the interval");
    EXPECT_TEXT(ask("XRANGE s - + COUNT x"), NOT_INTEGER);
    EXPECT_TEXT(ask("XRANGE s - + nope 1"), SYNTAX);
    EXPECT_TEXT(ask("SET t 1"), "OK");
    EXPECT_TEXT(ask("XRANGE t - +"), WRONGTYPE);
    EXPECT_TEXT(ask("XLEN t"), WRONGTYPE);
    EXPECT_TEXT(ask("XADD t 1 a 1"), WRONGTYPE);
}

TEST(deleted_entries_are_gone_and_an_empty_stream_stays)
{
    dialog_begin();
    add_five();
    EXPECT_TEXT(ask("XDEL s 2-1 2-1 9-9"), "(1)");
    EXPECT_TEXT(ask("XDEL s 1-1 3-1 4-1 5-1"), "(4)");
    EXPECT_TEXT(ask("XLEN s"), "(0)");
    EXPECT_TEXT(ask("EXISTS s"), "(1)");
    EXPECT_TEXT(ask("XADD s 5-1 a 1"), TOO_SMALL);
    EXPECT_TEXT(ask("XINFO STREAM s"),
                "[length (0) radix-tree-keys (0) radix-tree-nodes (1) last-generated-id 5-1 "
                "max-deleted-entry-id 5-1 entries-added (5) recorded-first-entry-id 0-0 groups "
                "(0) first-entry (nil) last-entry (nil)]");
}

TEST(trimming_is_exact_or_takes_whole_nodes)
{
    dialog_begin();
    for (int i = 1; i <= 350; i++) {
        ask("XADD s %d-0 f v", i);
    }
    EXPECT_TEXT(ask("XTRIM s MAXLEN ~ 200"), "(100)");
    EXPECT_TEXT(ask("XTRIM s MAXLEN ~ 200"), "(0)");
    EXPECT_TEXT(ask("XTRIM s MAXLEN = 200"), "(50)");
    EXPECT_TEXT(ask("XTRIM s MINID ~ 250"), "(50)");
    EXPECT_TEXT(ask("XTRIM s MINID 250"), "(49)");
    EXPECT_TEXT(ask("XTRIM s MAXLEN ~ 0 LIMIT 10"), "(0)");
    EXPECT_TEXT(ask("XADD s MAXLEN 3 400-0 f v"), "400-0");
    EXPECT_TEXT(ask("XRANGE s - +"), "[[349-0 [f v]] [350-0 [f v]] [400-0 [f v]]]");
    EXPECT_TEXT(ask("XADD s MINID 400 401-0 f v"), "401-0");
    EXPECT_TEXT(ask("XLEN s"), "(2)");
    EXPECT_TEXT(ask("XTRIM s MAXLEN -1"), "-ERR The MAXLEN argument must be >= 0.");
    EXPECT_TEXT(ask("XTRIM s MAXLEN 1 LIMIT 5"),
                "-ERR syntax error, LIMIT cannot be used without the special ~ option");
    EXPECT_TEXT(ask("XTRIM s MAXLEN 1 MINID 5"),
                "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    EXPECT_TEXT(ask("XTRIM none MAXLEN 1"), "(0)");
}

TEST(xread_gives_what_follows_and_refuses_to_wait)
{
    dialog_begin();
    add_five();
    ask("XADD t 1 a b");
    EXPECT_TEXT(ask("XREAD COUNT 1 STREAMS s t 3-1 0"), "[[s [[4-1 [n 4]]]] [t [[1-0 [a b]]]]]");
    EXPECT_TEXT(ask("XREAD STREAMS s $"), "(nil)");
    EXPECT_TEXT(ask("XREAD STREAMS s +"), "[[s [[5-1 [n 5]]]]]");
    EXPECT_TEXT(ask("XREAD STREAMS none s 0 5-1"), "(nil)");
    EXPECT_TEXT(ask("XREAD BLOCK 0 COUNT 1 STREAMS s 0"), "[[s [[1-1 [n 1]]]]]");
    EXPECT_TEXT(ask("XREAD BLOCK 0 STREAMS s $"), NO_BLOCK);
    EXPECT_TEXT(ask("XREAD BLOCK -1 STREAMS s $"), "-ERR timeout is negative");
    EXPECT_TEXT(ask("XREAD STREAMS s t 0"),
                "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be "
                "specified.");
    EXPECT_TEXT(ask("XREAD STREAMS s >"),
                "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP "
                "<group> <consumer> option.");
}

TEST(a_group_hands_each_entry_to_one_consumer_until_it_is_acknowledged)
{
    dialog_begin();
    add_five();
    EXPECT_TEXT(ask("XGROUP CREATE s g 0"), "OK");
    EXPECT_TEXT(ask("XGROUP CREATE s g 0"), "-BUSYGROUP Consumer Group name already exists");
    EXPECT_TEXT(ask("XREADGROUP GROUP g alice COUNT 2 STREAMS s >"),
                "[[s [[1-1 [n 1]] [2-1 [n 2]]]]]");
    EXPECT_TEXT(ask("XREADGROUP GROUP g bob COUNT 1 STREAMS s >"), "[[s [[3-1 [n 3]]]]]");
    EXPECT_TEXT(ask("XPENDING s g"), "[(3) 1-1 3-1 [[alice 2] [bob 1]]]");
    EXPECT_TEXT(ask("XACK s g 1-1 1-1 9-9"), "(1)");
    EXPECT_TEXT(ask("XREADGROUP GROUP g alice STREAMS s 0"), "[[s [[2-1 [n 2]]]]]");
    EXPECT_TEXT(ask("XREADGROUP GROUP g bob STREAMS s 3-1"), "[[s []]]");
    ask("XDEL s 2-1");
    EXPECT_TEXT(ask("XREADGROUP GROUP g alice STREAMS s 0"), "[[s [[2-1 (nil)]]]]");
    EXPECT_TEXT(ask("XREADGROUP GROUP g alice NOACK STREAMS s >"),
                "[[s [[4-1 [n 4]] [5-1 [n 5]]]]]");
    EXPECT_TEXT(ask("XREADGROUP GROUP g alice STREAMS s >"), "(nil)");
    EXPECT_TEXT(ask("XREADGROUP GROUP g alice BLOCK 5 STREAMS s >"), NO_BLOCK);
    EXPECT(strncmp(ask("XPENDING s g - + 10 bob"), "[[3-1 bob (", 11) == 0);
    EXPECT(strncmp(ask("XPENDING s g (2-1 + 10"), "[[3-1 bob (", 11) == 0);
    EXPECT_TEXT(ask("XPENDING s g (3-1 + 10"), "[]");
    EXPECT_TEXT(ask("XGROUP DELCONSUMER s g alice"), "(1)");
    EXPECT_TEXT(ask("XPENDING s g"), "[(1) 3-1 3-1 [[bob 1]]]");
    EXPECT_TEXT(
        ask("XREADGROUP GROUP none alice STREAMS s >"),
        "-NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option");
    EXPECT_TEXT(ask("XGROUP DESTROY s g"), "(1)");
    EXPECT_TEXT(ask("XGROUP DESTROY s g"), "(0)");
    EXPECT_TEXT(ask("XACK s g 3-1"), "(0)");
}

TEST(a_stream_named_twice_is_read_one_time_after_the_other)
{
    dialog_begin();
    add_five();
    ask("XGROUP CREATE s g 0");
    EXPECT_TEXT(ask("XREADGROUP GROUP g c COUNT 1 STREAMS s s s > 0 >"),
                "[[s [[1-1 [n 1]]]] [s [[1-1 [n 1]]]] [s [[2-1 [n 2]]]]]");
}

TEST(xclaim_and_xautoclaim_move_what_is_pending)
{
    dialog_begin();
    add_five();
    ask("XGROUP CREATE s g 0");
    ask("XREADGROUP GROUP g alice STREAMS s >");
    EXPECT_TEXT(ask("XCLAIM s g bob 1000000 1-1"), "[]");
    EXPECT_TEXT(ask("XCLAIM s g bob 0 1-1 9-9"), "[[1-1 [n 1]]]");
    EXPECT_TEXT(ask("XCLAIM s g bob 0 2-1 IDLE 5000000 RETRYCOUNT 7 JUSTID"), "[2-1]");
    EXPECT_TEXT(ask("XPENDING s g IDLE 4000000 - + 10 alice"), "[]");
    EXPECT_TEXT(ask("XCLAIM s g bob 1000000 2-1 JUSTID"), "[2-1]");
    EXPECT_TEXT(ask("XPENDING s g"), "[(5) 1-1 5-1 [[alice 3] [bob 2]]]");
    ask("XACK s g 1-1");
    EXPECT_TEXT(ask("XCLAIM s g bob 0 1-1"), "[]");
    EXPECT_TEXT(ask("XCLAIM s g bob 0 1-1 FORCE"), "[[1-1 [n 1]]]");
    ask("XDEL s 3-1");
    EXPECT_TEXT(ask("XAUTOCLAIM s g carol 0 0 COUNT 2 JUSTID"), "[3-1 [1-1 2-1] []]");
    EXPECT_TEXT(ask("XAUTOCLAIM s g carol 0 3-1"), "[0-0 [[4-1 [n 4]] [5-1 [n 5]]] [3-1]]");
    EXPECT_TEXT(ask("XPENDING s g"), "[(4) 1-1 5-1 [[carol 4]]]");
    EXPECT_TEXT(ask("XAUTOCLAIM s g carol 0 0 COUNT 0"), "-ERR COUNT must be > 0");
    EXPECT_TEXT(ask("XCLAIM s g bob x 1-1"), "-ERR Invalid min-idle-time argument for XCLAIM");
    EXPECT_TEXT(ask("XCLAIM s none bob 0 1-1"),
                "-NOGROUP No such key 's' or consumer group 'none'");
}

TEST(what_a_group_has_not_read_is_counted_where_it_can_be)
{
    dialog_begin();
    add_five();
    ask("XGROUP CREATE s g 0");
    ask("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    EXPECT_TEXT(ask("XINFO GROUPS s"), "[[name g consumers (1) pending (2) last-delivered-id 2-1 "
                                       "entries-read (2) lag (3)]]");
    ask("XDEL s 4-1");
    EXPECT_TEXT(ask("XINFO GROUPS s"), "[[name g consumers (1) pending (2) last-delivered-id 2-1 "
                                       "entries-read (2) lag (nil)]]");
    ask("XGROUP SETID s g $ ENTRIESREAD 5");
    EXPECT_TEXT(ask("XINFO GROUPS s"), "[[name g consumers (1) pending (2) last-delivered-id 5-1 "
                                       "entries-read (5) lag (0)]]");
}

/* Since 7.2: whoever asks becomes a consumer, and what it got is another matter. */
TEST(a_consumer_is_made_by_asking_and_active_by_getting)
{
    dialog_begin();
    add_five();
    ask("XGROUP CREATE s g $");
    EXPECT_TEXT(ask("XREADGROUP GROUP g reader STREAMS s >"), "(nil)");
    EXPECT_TEXT(ask("XCLAIM s g claimer 0 1-1"), "[]");
    EXPECT_TEXT(ask("XAUTOCLAIM s g scanner 0 0"), "[0-0 [] []]");
    EXPECT_TEXT(ask("XGROUP CREATECONSUMER s g made"), "(1)");
    EXPECT_TEXT(ask("XGROUP CREATECONSUMER s g made"), "(0)");
    const char *text = ask("XINFO CONSUMERS s g");
    EXPECT(strstr(text, "name reader pending (0) idle (") != NULL);
    EXPECT(strstr(text, "name claimer pending (0)") != NULL);
    EXPECT(strstr(text, "name scanner pending (0)") != NULL);
    EXPECT(strstr(text, "name made pending (0)") != NULL);
    size_t never = 0;
    for (const char *at = text; (at = strstr(at, "inactive (-1)")) != NULL; at++) {
        never++;
    }
    EXPECT_INT(never, 4);
    ask("XADD s 6-1 a b");
    ask("XREADGROUP GROUP g reader STREAMS s >");
    EXPECT(strstr(ask("XINFO CONSUMERS s g"), "name reader pending (1) idle (") != NULL);
}

static long long log_end(void)
{
    const char *field = strstr(ask("INFO basin"), "log_end_lsn:");
    EXPECT(field != NULL);
    return strtoll(field + strlen("log_end_lsn:"), NULL, 10);
}

TEST(polling_in_vain_writes_to_the_log_once_a_second_at_most)
{
    dialog_begin();
    EXPECT_TEXT(ask("XGROUP CREATE s g $ MKSTREAM"), "OK");
    EXPECT_TEXT(ask("XREADGROUP GROUP g c STREAMS s >"), "(nil)");
    long long before = log_end();
    for (int i = 0; i < 100; i++) {
        EXPECT_TEXT(ask("XREADGROUP GROUP g c STREAMS s >"), "(nil)");
    }
    EXPECT(log_end() - before < 2000); /* A hundred records would be over 5,000 bytes. */
    ask("XADD s 1-1 a 1");
    EXPECT_TEXT(ask("XREADGROUP GROUP g c STREAMS s >"), "[[s [[1-1 [a 1]]]]]");
}

TEST(xsetid_moves_the_last_id_but_not_below_what_is_there_or_was)
{
    dialog_begin();
    add_five();
    EXPECT_TEXT(ask("XSETID s 9-9 ENTRIESADDED 20 MAXDELETEDID 7-7"), "OK");
    EXPECT_TEXT(ask("XADD s 9-* a b"), "9-10");
    EXPECT_TEXT(ask("XSETID s 9-9"),
                "-ERR The ID specified in XSETID is smaller than the target stream top item");
    EXPECT_TEXT(ask("XSETID s 7-6"),
                "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
    EXPECT_TEXT(ask("XSETID s 9-10 ENTRIESADDED 2"),
                "-ERR The entries_added specified in XSETID is smaller than the target stream "
                "length");
    EXPECT_TEXT(ask("XSETID none 1"), "-ERR no such key");
}

TEST(long_and_many_fields_come_back_as_they_were)
{
    dialog_begin();
    const char *large = dialog_filler(100000, 3);
    EXPECT_TEXT(ask("XADD s 1 a %s b 007 c 7 d -9223372036854775808", large), "1-0");
    char wanted[100200];
    snprintf(wanted, sizeof(wanted), "[[1-0 [a %s b 007 c 7 d -9223372036854775808]]]", large);
    EXPECT_TEXT(ask("XRANGE s - +"), wanted);
}

TEST(streams_with_groups_survive_kill_9_as_they_were)
{
    dialog_begin();
    for (int i = 1; i <= 250; i++) {
        ask("XADD s MAXLEN ~ 180 %d-0 f %d", i, i);
    }
    ask("XGROUP CREATE s g 200-0");
    ask("XGROUP CREATE s h $");
    ask("XREADGROUP GROUP g alice COUNT 5 STREAMS s >");
    ask("XREADGROUP GROUP h bob STREAMS s s > >");
    ask("XCLAIM s g bob 0 202-0 203-0");
    ask("XACK s g 204-0");
    ask("XDEL s 210-0 211-0");
    ask("COPY s copy");
    ask("RENAME copy other");
    ask("XGROUP DELCONSUMER other g alice");
    char before[20000];
    char other[20000];
    snprintf(before, sizeof(before), "%s", ask("XINFO STREAM s FULL COUNT 0"));
    snprintf(other, sizeof(other), "%s", ask("XINFO STREAM other FULL COUNT 0"));
    dialog_crash();
    EXPECT_TEXT(ask("XINFO STREAM s FULL COUNT 0"), before);
    EXPECT_TEXT(ask("XINFO STREAM other FULL COUNT 0"), other);
    EXPECT_TEXT(ask("XPENDING s g"), "[(4) 201-0 205-0 [[alice 2] [bob 2]]]");
    EXPECT_TEXT(ask("XPENDING other g"), "[(2) 202-0 203-0 [[bob 2]]]");
}
