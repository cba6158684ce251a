#include "engine/base/glob.h"
#include "src/dispatch/call.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

/* A call that has nothing but a place for replies. */
struct bench {
    struct resp_out out;
    struct call call;
    char text[4096];
};

static struct bench *bench_new(void)
{
    static struct bench bench;
    resp_out_deinit(&bench.out);
    resp_out_init(&bench.out);
    bench.call = (struct call){.out = &bench.out, .now_ms = 1000};
    return &bench;
}

/* What was replied, as text; taken out. */
static const char *replied(struct bench *bench)
{
    struct iovec pieces[16];
    int count = resp_out_peek(&bench->out, bench->out.written, pieces, 16);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        EXPECT(used + pieces[i].iov_len < sizeof(bench->text));
        memcpy(bench->text + used, pieces[i].iov_base, pieces[i].iov_len);
        used += pieces[i].iov_len;
    }
    bench->text[used] = '\0';
    resp_out_consume(&bench->out, used);
    return bench->text;
}

static bool matches(const char *pattern, const char *text)
{
    return glob_match(bytes_of_text(pattern), bytes_of_text(text), false);
}

TEST(a_glob_pattern_without_wildcards_matches_itself_only)
{
    EXPECT(matches("", ""));
    EXPECT(matches("abc", "abc"));
    EXPECT(!matches("abc", "ab"));
    EXPECT(!matches("abc", "abcd"));
    EXPECT(!matches("", "a"));
}

TEST(a_star_matches_any_run_of_bytes_and_a_question_mark_one)
{
    EXPECT(matches("*", ""));
    EXPECT(matches("*", "anything"));
    EXPECT(matches("**a**", "a"));
    EXPECT(matches("a*c", "ac"));
    EXPECT(matches("a*c", "abcabc"));
    EXPECT(!matches("a*c", "abcab"));
    EXPECT(matches("*bcd", "abcbcd"));
    EXPECT(matches("h?llo", "hello"));
    EXPECT(!matches("h?llo", "hllo"));
    EXPECT(!matches("?", ""));
}

TEST(a_class_matches_one_byte_of_its_ranges)
{
    EXPECT(matches("h[ae]llo", "hallo"));
    EXPECT(!matches("h[ae]llo", "hillo"));
    EXPECT(matches("h[^e]llo", "hallo"));
    EXPECT(!matches("h[^e]llo", "hello"));
    EXPECT(matches("[a-c]", "b"));
    EXPECT(matches("[c-a]", "b"));
    EXPECT(!matches("[a-c]", "d"));
    EXPECT(matches("[\\]]", "]"));
    EXPECT(!matches("[a-]", "-")); /* A range to "]", as Redis has it. */
    EXPECT(matches("[a-]", "^"));
    EXPECT(matches("[ab", "a"));
    EXPECT(!matches("[", "["));
    EXPECT(!matches("[]", "a"));
}

TEST(a_backslash_takes_the_next_byte_as_it_is)
{
    EXPECT(matches("\\*", "*"));
    EXPECT(!matches("\\*", "a"));
    EXPECT(matches("a\\?b", "a?b"));
    EXPECT(matches("\\", "\\"));
}

TEST(case_counts_in_patterns_unless_it_is_ignored)
{
    EXPECT(!matches("ABC", "abc"));
    EXPECT(glob_match(bytes_of_text("MAX[M-N]*"), bytes_of_text("maxmemory"), true));
}

TEST(a_pattern_of_many_stars_is_matched_in_polynomial_time)
{
    char pattern[2 * 500 + 2];
    char text[5001];
    for (size_t i = 0; i < 500; i++) {
        memcpy(pattern + 2 * i, "*a", 2);
    }
    memcpy(pattern + 1000, "b", 2);
    memset(text, 'a', 5000);
    text[5000] = '\0';
    EXPECT(!matches(pattern, text)); /* A recursion over stars would not end. */
}

TEST(bytes_that_are_nul_match_like_any_other)
{
    EXPECT(glob_match(bytes_of("a\0*", 3), bytes_of("a\0bc", 4), false));
    EXPECT(!glob_match(bytes_of("a\0b", 3), bytes_of("a\0c", 3), false));
}

TEST(a_word_is_recognised_in_any_case)
{
    EXPECT(argument_is(bytes_of_text("KeepTTL"), "keepttl"));
    EXPECT(!argument_is(bytes_of_text("keepttls"), "keepttl"));
    EXPECT(!argument_is(bytes_of_text("keept"), "keepttl"));
    EXPECT(!argument_is(bytes_of_text(""), "ex"));
}

TEST(an_integer_is_read_over_its_whole_range_and_nothing_else_is)
{
    static const char *const bad[] = {
        "",    " 1",   "1 ", "+1", "01", "1.0", "9223372036854775808", "-9223372036854775809",
        "--1", "0x10", "-"};
    struct bench *bench = bench_new();
    int64_t value = 7;
    EXPECT(argument_int64(&bench->call, bytes_of_text("-9223372036854775808"), &value));
    EXPECT(value == INT64_MIN);
    EXPECT(argument_int64(&bench->call, bytes_of_text("9223372036854775807"), &value));
    EXPECT(value == INT64_MAX);
    EXPECT_TEXT(replied(bench), "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT(!argument_int64(&bench->call, bytes_of_text(bad[i]), &value));
        EXPECT_TEXT(replied(bench), "-ERR value is not an integer or out of range\r\n");
    }
    EXPECT(value == INT64_MAX);
}

TEST(an_integer_out_of_bounds_is_refused_with_the_callers_words)
{
    struct bench *bench = bench_new();
    int64_t value = 7;
    EXPECT(argument_int64_range(&bench->call, bytes_of_text("3"), 0, 3, "ERR no", &value));
    EXPECT_INT(value, 3);
    EXPECT(!argument_int64_range(&bench->call, bytes_of_text("4"), 0, 3, "ERR no", &value));
    EXPECT_TEXT(replied(bench), "-ERR no\r\n");
    EXPECT_INT(value, 3);
}

TEST(a_float_is_read_as_redis_reads_it)
{
    static const char *const bad[] = {"", " 1", "1 ", "nan", "1x", "x", "1e400000"};
    struct bench *bench = bench_new();
    long double value = 0;
    EXPECT(argument_long_double(&bench->call, bytes_of_text("1.5e3"), &value));
    EXPECT(value == 1500.0L);
    EXPECT(argument_long_double(&bench->call, bytes_of_text("-inf"), &value));
    EXPECT(value < 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT(!argument_long_double(&bench->call, bytes_of_text(bad[i]), &value));
        EXPECT_TEXT(replied(bench), "-ERR value is not a valid float\r\n");
    }
    EXPECT(!argument_long_double(&bench->call, bytes_of("1\0", 2), &value));
    replied(bench);
}

TEST(a_float_longer_than_any_number_is_refused)
{
    struct bench *bench = bench_new();
    size_t size = 100000;
    char *digits = malloc(size);
    long double value;
    memset(digits, '1', size);
    EXPECT(!argument_long_double(&bench->call, bytes_of(digits, size), &value));
    EXPECT_TEXT(replied(bench), "-ERR value is not a valid float\r\n");
    free(digits);
}

TEST(a_timeout_counts_from_the_requests_time_and_zero_has_no_end)
{
    struct bench *bench = bench_new();
    uint64_t until = 1;
    EXPECT(argument_timeout_ms(&bench->call, bytes_of_text("0"), &until));
    EXPECT_INT(until, 0);
    EXPECT(argument_timeout_ms(&bench->call, bytes_of_text("25"), &until));
    EXPECT_INT(until, 1025);
    EXPECT(!argument_timeout_ms(&bench->call, bytes_of_text("-1"), &until));
    EXPECT_TEXT(replied(bench), "-ERR timeout is negative\r\n");
    EXPECT(!argument_timeout_ms(&bench->call, bytes_of_text("x"), &until));
    EXPECT_TEXT(replied(bench), "-ERR timeout is not an integer or out of range\r\n");
    EXPECT(!argument_timeout_ms(&bench->call, bytes_of_text("9223372036854775807"), &until));
    EXPECT_TEXT(replied(bench), "-ERR timeout is out of range\r\n");
}

TEST(a_large_piece_is_sent_by_reference_and_a_small_one_is_copied)
{
    struct bench *bench = bench_new();
    struct part *part = part_new(RESP_REFERENCE_MIN);
    EXPECT(part != NULL);
    memset(part->data, 'x', RESP_REFERENCE_MIN);
    part->size = RESP_REFERENCE_MIN;
    reply_piece(&bench->call, (struct value_piece){bytes_of(part->data, 3), part});
    EXPECT_TEXT(replied(bench), "$3\r\nxxx\r\n");
    EXPECT(!part_shared(part));
    reply_piece(&bench->call, (struct value_piece){bytes_of(part->data, part->size), part});
    EXPECT(part_shared(part));
    resp_out_consume(&bench->out, bench->out.written - bench->out.consumed);
    EXPECT(!part_shared(part));
    part_unref(part);
}

TEST(help_begins_with_the_container_and_ends_with_help)
{
    static const char *const lines[] = {"GET", "    Gets.", NULL};
    struct bench *bench = bench_new();
    struct command container = {.name = "config"};
    struct command help = {.name = "help", .parent = &container};
    bench->call.command = &help;
    reply_help(&bench->call, lines);
    EXPECT_TEXT(replied(bench),
                "*5\r\n+CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+GET\r\n"
                "+    Gets.\r\n+HELP\r\n+    Prints this help.\r\n");
}
