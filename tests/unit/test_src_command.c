#include "src/dispatch/command.h"
#include "src/dispatch/syntax.h"
#include "tests/lib/test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGUMENTS_MAX 16

/* A request from words between spaces. */
struct request {
    struct bytes argv[ARGUMENTS_MAX];
    size_t argc;
    char text[256];
};

static void request_make(struct request *request, const char *line)
{
    snprintf(request->text, sizeof(request->text), "%s", line);
    request->argc = 0;
    for (char *word = strtok(request->text, " "); word != NULL; word = strtok(NULL, " ")) {
        EXPECT(request->argc < ARGUMENTS_MAX);
        request->argv[request->argc++] = bytes_of_text(word);
    }
}

/* The keys of a request of this command, in order, joined by spaces; "invalid" if it says so. */
static const char *keys_of(const struct command *command, const char *line)
{
    static char found[256];
    struct request request;
    struct command_key keys[ARGUMENTS_MAX];
    size_t count;
    request_make(&request, line);
    if (command_keys(command, request.argv, request.argc, keys, &count) != ST_OK) {
        return "invalid";
    }
    size_t used = 0;
    found[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        struct bytes key = request.argv[keys[i].index];
        used += (size_t)snprintf(found + used, sizeof(found) - used, "%s%.*s", i == 0 ? "" : " ",
                                 (int)key.size, (const char *)key.data);
    }
    return found;
}

static void each_row(void (*fn)(const struct command *row))
{
    command_table_init();
    for (size_t i = 0; i < command_count(); i++) {
        fn(command_at(i));
        for (const struct command *sub = command_at(i)->subcommands;
             sub != NULL && sub->name != NULL; sub++) {
            fn(sub);
        }
    }
}

static void row_is_found(const struct command *row)
{
    char upper[64];
    size_t i = 0;
    for (; row->name[i] != '\0'; i++) {
        upper[i] = (char)toupper((unsigned char)row->name[i]);
    }
    upper[i] = '\0';
    if (row->parent == NULL) {
        EXPECT(command_find(bytes_of_text(row->name)) == row);
        EXPECT(command_find(bytes_of_text(upper)) == row);
    } else {
        EXPECT(command_find_sub(row->parent, bytes_of_text(row->name)) == row);
        EXPECT(command_find_sub(row->parent, bytes_of_text(upper)) == row);
    }
}

TEST(every_row_is_found_by_its_name_in_any_case)
{
    each_row(row_is_found);
}

TEST(what_is_not_in_the_table_is_not_found)
{
    static const char *const names[] = {
        "",       "g",
        "ge",     "gett",
        "get ",   "ping\n",
        "@et",    "client|list",
        "lolwut", "averyveryverylongnamethatnocommandhasbecauseitislongerthanall",
    };
    command_table_init();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        EXPECT(command_find(bytes_of_text(names[i])) == NULL);
    }
    EXPECT(command_find(bytes_of("get\0", 4)) == NULL);
    EXPECT(command_find(BYTES_NONE) == NULL);
    EXPECT(command_find_sub(command_find(bytes_of_text("get")), bytes_of_text("x")) == NULL);
}

TEST(rows_are_ordered_by_name_and_unique)
{
    command_table_init();
    for (size_t i = 1; i < command_count(); i++) {
        EXPECT(strcmp(command_at(i - 1)->name, command_at(i)->name) < 0);
    }
}

static void row_is_sane(const struct command *row)
{
    bool container = row->handler == NULL;
    unsigned speed = row->categories & (CAT_FAST | CAT_SLOW);
    bool keys = row->keys[0].find != KEY_FIND_NONE;
    EXPECT(speed == CAT_FAST || speed == CAT_SLOW);
    EXPECT(((row->flags & CMD_FAST) != 0) == (speed == CAT_FAST));
    EXPECT((row->flags & CMD_DENYOOM) == 0 || (row->flags & CMD_WRITE) != 0);
    EXPECT(((row->categories & CAT_WRITE) != 0) == ((row->flags & CMD_WRITE) != 0));
    EXPECT(((row->categories & CAT_READ) != 0) == ((row->flags & CMD_READONLY) != 0));
    EXPECT(((row->categories & CAT_ADMIN) != 0) == ((row->flags & CMD_ADMIN) != 0) ||
           (row->flags & CMD_ADMIN) == 0);
    EXPECT(((row->flags & CMD_BLOCKING) != 0) == ((row->categories & CAT_BLOCKING) != 0));
    EXPECT(!keys || (row->flags & (CMD_WRITE | CMD_READONLY)) != 0);
    EXPECT(!container || row->arity == -2);
    EXPECT(row->stats != NULL && row->full_name != NULL);
    EXPECT(row->summary[strlen(row->summary) - 1] == '.');
    if (row->arguments != NULL) { /* The line can be read: it would end in CHECK otherwise. */
        struct resp_out out;
        resp_out_init(&out);
        syntax_reply(&out, row->arguments);
        EXPECT(out.written > 4);
        resp_out_deinit(&out);
    }
}

TEST(every_row_is_consistent_with_itself)
{
    each_row(row_is_sane);
}

TEST(arity_counts_the_name_and_a_negative_one_is_a_minimum)
{
    struct command exact = {.arity = 2};
    struct command least = {.arity = -2};
    EXPECT(command_arity_fits(&exact, 2));
    EXPECT(!command_arity_fits(&exact, 1));
    EXPECT(!command_arity_fits(&exact, 3));
    EXPECT(!command_arity_fits(&least, 1));
    EXPECT(command_arity_fits(&least, 2));
    EXPECT(command_arity_fits(&least, 1000));
}

TEST(a_range_of_keys_ends_relative_to_its_begin_or_to_the_end)
{
    struct command one = {.keys = KEYS_ONE(KEY_RO)};
    struct command rest = {.keys = KEYS_REST(KEY_RO)};
    struct command but_last = {
        .keys = {{.begin = 1, .find = KEY_FIND_RANGE, .last = -2, .step = 1}}};
    struct command pairs = {.keys = {{.begin = 1, .find = KEY_FIND_RANGE, .last = -1, .step = 2}}};
    EXPECT_TEXT(keys_of(&one, "get a b"), "a");
    EXPECT_TEXT(keys_of(&rest, "del a b c"), "a b c");
    EXPECT_TEXT(keys_of(&but_last, "blpop a b 0"), "a b");
    EXPECT_TEXT(keys_of(&pairs, "mset a 1 b 2"), "a b");
    EXPECT_TEXT(keys_of(&pairs, "mset a 1 b"), "a b");
    EXPECT_TEXT(keys_of(&one, "get"), "invalid");
    EXPECT_TEXT(keys_of(&rest, "del"), "invalid");
    EXPECT_TEXT(keys_of(&but_last, "blpop"), "invalid");
}

TEST(a_limit_takes_a_share_of_what_is_left)
{
    struct command xread = {.keys = {{.keyword = "STREAMS",
                                      .start_from = 1,
                                      .find = KEY_FIND_RANGE,
                                      .last = -1,
                                      .step = 1,
                                      .limit = 2}}};
    EXPECT_TEXT(keys_of(&xread, "xread count 2 streams a b 0 0"), "a b");
    EXPECT_TEXT(keys_of(&xread, "xread STREAMS a 0"), "a");
    EXPECT_TEXT(keys_of(&xread, "xread a 0"), "");
}

TEST(a_keyword_may_be_searched_from_the_end)
{
    struct command migrate = {
        .keys = {
            {.keyword = "keys", .start_from = -2, .find = KEY_FIND_RANGE, .last = -1, .step = 1}}};
    EXPECT_TEXT(keys_of(&migrate, "migrate h p x 0 1 KEYS a b"), "a b");
    EXPECT_TEXT(keys_of(&migrate, "migrate h p x 0 1"), "");
    EXPECT_TEXT(keys_of(&migrate, "m keys"), "");
}

TEST(a_count_of_keys_is_believed_only_within_the_request)
{
    struct command lmpop = {
        .keys = {{.begin = 1, .find = KEY_FIND_KEYNUM, .keynum = 0, .first = 1, .step = 1}}};
    EXPECT_TEXT(keys_of(&lmpop, "lmpop 2 a b left"), "a b");
    EXPECT_TEXT(keys_of(&lmpop, "lmpop 0 a left"), "invalid");
    EXPECT_TEXT(keys_of(&lmpop, "lmpop -1 a left"), "invalid");
    EXPECT_TEXT(keys_of(&lmpop, "lmpop x a left"), "invalid");
    EXPECT_TEXT(keys_of(&lmpop, "lmpop 9 a left"), "invalid");
    EXPECT_TEXT(keys_of(&lmpop, "lmpop 3 a left"), "invalid");
    EXPECT_TEXT(keys_of(&lmpop, "lmpop 9223372036854775807 a left"), "invalid");
}

TEST(several_specs_give_their_keys_in_order_and_what_is_no_key_is_left_out)
{
    struct command rename = {
        .keys = {{.begin = 1, .find = KEY_FIND_RANGE, .step = 1},
                 {.flags = KEY_NOT_KEY, .begin = 2, .find = KEY_FIND_RANGE, .step = 1},
                 {.begin = 3, .find = KEY_FIND_RANGE, .step = 1}}};
    EXPECT_TEXT(keys_of(&rename, "x a b c"), "a c");
}

TEST(keys_of_the_real_rows_are_where_redis_finds_them)
{
    static const char *const cases[][2] = {
        {"set a b get", "a"},        {"mget a b c", "a b c"},         {"mset a 1 b 2", "a b"},
        {"lmpop 2 a b left", "a b"}, {"lmove a b left right", "a b"}, {"memory usage a", "a"},
        {"lcs a b", "a b"},          {"chunk.append a b c", "a"},
    };
    command_table_init();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request;
        request_make(&request, cases[i][0]);
        const struct command *row = command_find(request.argv[0]);
        EXPECT(row != NULL);
        if (row->subcommands != NULL) {
            row = command_find_sub(row, request.argv[1]);
            EXPECT(row != NULL);
        }
        EXPECT_TEXT(keys_of(row, cases[i][0]), cases[i][1]);
    }
}

/* The reply of syntax_reply as text. */
static const char *syntax_text(const char *line)
{
    static char text[4096];
    struct resp_out out;
    struct iovec piece;
    resp_out_init(&out);
    syntax_reply(&out, line);
    EXPECT_INT(resp_out_peek(&out, out.written, &piece, 1), 1);
    EXPECT(piece.iov_len < sizeof(text));
    memcpy(text, piece.iov_base, piece.iov_len);
    text[piece.iov_len] = '\0';
    resp_out_deinit(&out);
    return text;
}

TEST(a_repeated_argument_is_shown_as_one_that_may_come_several_times)
{
    EXPECT_TEXT(syntax_text("key [key ...]"),
                "*1\r\n*6\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n"
                "$5\r\nflags\r\n*1\r\n+multiple\r\n");
}

TEST(a_token_with_its_argument_is_one_thing)
{
    EXPECT_TEXT(syntax_text("[EX seconds]"),
                "*1\r\n*8\r\n$4\r\nname\r\n$7\r\nseconds\r\n$4\r\ntype\r\n$7\r\ninteger\r\n"
                "$5\r\ntoken\r\n$2\r\nEX\r\n$5\r\nflags\r\n*1\r\n+optional\r\n");
}

TEST(alternatives_are_one_of_several)
{
    EXPECT_TEXT(syntax_text("A | B pivot"),
                "*2\r\n*6\r\n$4\r\nname\r\n$3\r\na_b\r\n$4\r\ntype\r\n$5\r\noneof\r\n"
                "$9\r\narguments\r\n*2\r\n"
                "*6\r\n$4\r\nname\r\n$1\r\na\r\n$4\r\ntype\r\n$10\r\npure-token\r\n"
                "$5\r\ntoken\r\n$1\r\nA\r\n"
                "*6\r\n$4\r\nname\r\n$1\r\nb\r\n$4\r\ntype\r\n$10\r\npure-token\r\n"
                "$5\r\ntoken\r\n$1\r\nB\r\n"
                "*4\r\n$4\r\nname\r\n$5\r\npivot\r\n$4\r\ntype\r\n$6\r\nstring\r\n");
}
