#include "resp/resp_memory.h"
#include "resp/resp_parser.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct resp_limits usual = {RESP_ARGUMENTS_MAX, 512ll * 1024 * 1024, false};
static const struct resp_limits before_auth = {10, 16384, true};

/* A growing text that says what the parser gave: "[3:SET|1:k|1:v]" a request, "!text" an error. */
struct story {
    char *text;
    size_t size, capacity;
};

static void story_add(struct story *story, const void *data, size_t size)
{
    if (story->size + size + 1 > story->capacity) {
        story->capacity = (story->size + size + 1) * 2;
        story->text = realloc(story->text, story->capacity);
        EXPECT(story->text != NULL);
    }
    if (size > 0) {
        memcpy(story->text + story->size, data, size);
    }
    story->size += size;
    story->text[story->size] = 0;
}

static void story_argument(struct story *story, bool first, const void *data, size_t size)
{
    char length[32];
    int digits = snprintf(length, sizeof(length), "%s%zu:", first ? "" : "|", size);
    story_add(story, length, (size_t)digits);
    story_add(story, data, size);
}

static void story_request(struct story *story, const struct resp_parser *parser, const char *data)
{
    story_add(story, "[", 1);
    for (size_t i = 0; i < parser->argument_count; i++) {
        struct resp_argument argument = parser->arguments[i];
        EXPECT(argument.offset + argument.size <= parser->consumed);
        story_argument(story, i == 0, data + argument.offset, argument.size);
    }
    story_add(story, "]", 1);
}

/* Where the stream is cut: after every `step` bytes, or at one place only, or at random. */
struct cuts {
    size_t step, once;
    uint64_t *random;
};

static size_t cut_next(const struct cuts *cuts, size_t shown, size_t size)
{
    size_t next = size;
    if (cuts->step != 0) {
        next = shown + cuts->step;
    } else if (cuts->once > shown) {
        next = cuts->once;
    } else if (cuts->random != NULL) {
        next = shown + 1 + test_random_below(cuts->random, 40);
    }
    return next < size ? next : size;
}

/* Shows a stream as a connection would. Each view is a block of exactly its size, elsewhere each
 * time, so that the address sanitizer sees any look beyond it. */
static struct story tell(const struct resp_limits *limits, const char *stream, size_t size,
                         struct cuts cuts)
{
    struct story story = {NULL, 0, 0};
    struct resp_parser parser;
    resp_parser_init(&parser);
    story_add(&story, "", 0);
    size_t start = 0;
    size_t shown = cut_next(&cuts, 0, size);
    size_t needed = 0;
    for (;;) {
        char *view = malloc(shown - start);
        if (shown > start) {
            memcpy(view, stream + start, shown - start);
        }
        enum resp_result result = resp_parse(&parser, limits, view, shown - start);
        if (result == RESP_REQUEST) {
            EXPECT(parser.consumed > 0 && parser.consumed <= shown - start);
            EXPECT(parser.consumed >= needed);
            story_request(&story, &parser, view);
            start += parser.consumed;
            needed = 0;
        } else if (result == RESP_ERROR) {
            EXPECT(resp_parse(&parser, limits, view, shown - start) == RESP_ERROR);
            story_add(&story, "!", 1);
            story_add(&story, parser.error, strlen(parser.error));
        } else {
            EXPECT(parser.needed > shown - start && parser.needed >= needed);
            needed = parser.needed;
        }
        free(view);
        if (result == RESP_ERROR || (result == RESP_MORE && shown == size)) {
            break;
        }
        if (result == RESP_MORE) {
            shown = cut_next(&cuts, shown, size);
        }
    }
    resp_parser_deinit(&parser);
    return story;
}

static void expect_story(int line, const struct resp_limits *limits, const char *stream,
                         size_t size, struct cuts cuts, const char *expected, size_t expected_size)
{
    struct story story = tell(limits, stream, size, cuts);
    if (story.size != expected_size || memcmp(story.text, expected, expected_size) != 0) {
        test_fail(__FILE__, line,
                  "%.60s… (step %zu, once %zu) gives \"%.300s\", expected \"%.300s\"", stream,
                  cuts.step, cuts.once, story.text, expected);
    }
    free(story.text);
}

/* The stream as a whole, byte by byte, and cut in two at each place. */
static void expect_all(int line, const struct resp_limits *limits, const char *stream, size_t size,
                       const char *expected, size_t expected_size)
{
    expect_story(line, limits, stream, size, (struct cuts){0, 0, NULL}, expected, expected_size);
    if (size > 2000) {
        expect_story(line, limits, stream, size, (struct cuts){4093, 0, NULL}, expected,
                     expected_size);
        expect_story(line, limits, stream, size, (struct cuts){0, size - 1, NULL}, expected,
                     expected_size);
        expect_story(line, limits, stream, size, (struct cuts){0, size - 2, NULL}, expected,
                     expected_size);
        return;
    }
    expect_story(line, limits, stream, size, (struct cuts){1, 0, NULL}, expected, expected_size);
    for (size_t once = 1; once < size; once++) {
        expect_story(line, limits, stream, size, (struct cuts){0, once, NULL}, expected,
                     expected_size);
    }
}

#define GIVES(stream, expected)                                                                    \
    expect_all(__LINE__, &usual, stream, sizeof(stream) - 1, expected, sizeof(expected) - 1)
#define GIVES_BEFORE_AUTH(stream, expected)                                                        \
    expect_all(__LINE__, &before_auth, stream, sizeof(stream) - 1, expected, sizeof(expected) - 1)
#define ERROR "!-ERR Protocol error: "

TEST(resp_parser_reads_multibulk_requests_at_every_split)
{
    GIVES("*1\r\n$4\r\nPING\r\n", "[4:PING]");
    GIVES("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", "[3:SET|1:k|0:]");
    GIVES("*2\r\n$3\r\nGET\r\n$3\r\n\r\n\0\r\n*1\r\n$4\r\nQUIT\r\n", "[3:GET|3:\r\n\0][4:QUIT]");
    GIVES("*1\r\n$12\r\nhello, world\r\n*1\r\n$1\r\nx\r\n", "[12:hello, world][1:x]");
    GIVES("", "");
    GIVES("*2\r\n$3\r\nGET\r\n$3\r\nab", "");
}

TEST(resp_parser_grows_its_arguments_and_reuses_them)
{
    struct story stream = {NULL, 0, 0};
    struct story expected = {NULL, 0, 0};
    static const int counts[] = {1, 15, 16, 17, 40, 3000, 2, 1025, 5};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char text[64];
        story_add(&stream, text, (size_t)sprintf(text, "*%d\r\n", counts[i]));
        story_add(&expected, "[", 1);
        for (int n = 0; n < counts[i]; n++) {
            char word[16];
            int size = sprintf(word, "%d", n * 7);
            story_add(&stream, text, (size_t)sprintf(text, "$%d\r\n%s\r\n", size, word));
            story_argument(&expected, n == 0, word, (size_t)size);
        }
        story_add(&expected, "]", 1);
    }
    expect_all(__LINE__, &usual, stream.text, stream.size, expected.text, expected.size);
    free(stream.text);
    free(expected.text);
}

TEST(resp_parser_gives_an_empty_request_for_a_count_of_zero_or_less)
{
    GIVES("*0\r\n*1\r\n$4\r\nPING\r\n", "[][4:PING]");
    GIVES("*-1\r\nPING\r\n", "[][4:PING]");
    GIVES("*-9223372036854775808\r\nPING\r\n", "[][4:PING]");
    GIVES("\r\n\n   \r\n*1\r\n$4\r\nPING\r\n\r\r\n", "[][][][4:PING][]");
}

TEST(resp_parser_takes_line_ends_as_loosely_as_redis)
{
    GIVES("*1\rX$4\r\nPING\r\n", "[4:PING]");
    GIVES("*1\r\n$4\rXPINGxx*1\r\n$4\r\nPING\r\n", "[4:PING][4:PING]");
}

TEST(resp_parser_refuses_bad_counts)
{
    GIVES("*x\r\n", ERROR "invalid multibulk length");
    GIVES("*\r\n", ERROR "invalid multibulk length");
    GIVES("*+1\r\n", ERROR "invalid multibulk length");
    GIVES("*01\r\n$4\r\nPING\r\n", ERROR "invalid multibulk length");
    GIVES("*-0\r\n", ERROR "invalid multibulk length");
    GIVES("*-\r\n", ERROR "invalid multibulk length");
    GIVES("* 1\r\n", ERROR "invalid multibulk length");
    GIVES("*1\n$4\r\nPING\r\n", ERROR "invalid multibulk length");
    GIVES("*1048577\r\n", ERROR "invalid multibulk length");
    GIVES("*1048576\r\n", "");
    GIVES("*2147483648\r\n", ERROR "invalid multibulk length");
    GIVES("*9223372036854775808\r\n", ERROR "invalid multibulk length");
    GIVES("*-9223372036854775809\r\n", ERROR "invalid multibulk length");
    GIVES("*99999999999999999999999\r\n", ERROR "invalid multibulk length");
}

TEST(resp_parser_refuses_bad_bulk_headers)
{
    GIVES("*1\r\nx4\r\n", ERROR "expected '$', got 'x'");
    GIVES("*1\r\n:4\r\nPING\r\n", ERROR "expected '$', got ':'");
    GIVES("*2\r\n$1\r\na\r\n\r\n", ERROR "expected '$', got ' '");
    GIVES("*1\r\n\n4\r\n", ERROR "expected '$', got ' '");
    GIVES("*1\r\n\xff\r\n", ERROR "expected '$', got '\xff'");
    GIVES("*1\r\nx", "");
    GIVES("*1\r\n$x\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$-1\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$-0\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$+4\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$04\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$4x\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$536870912\r\n", "");
    GIVES("*1\r\n$536870913\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$9223372036854775807\r\n", ERROR "invalid bulk length");
    GIVES("*1\r\n$9223372036854775808\r\n", ERROR "invalid bulk length");
    GIVES("*2\r\n$1\r\na\r\n$-5\r\n", ERROR "invalid bulk length");
}

TEST(resp_parser_words_its_limits_differently_before_auth)
{
    GIVES_BEFORE_AUTH("*10\r\n", "");
    GIVES_BEFORE_AUTH("*11\r\n", ERROR "unauthenticated multibulk length");
    GIVES_BEFORE_AUTH("*1048577\r\n", ERROR "unauthenticated multibulk length");
    GIVES_BEFORE_AUTH("*2147483648\r\n", ERROR "invalid multibulk length");
    GIVES_BEFORE_AUTH("*x\r\n", ERROR "invalid multibulk length");
    GIVES_BEFORE_AUTH("*-1\r\nPING\r\n", "[][4:PING]");
    GIVES_BEFORE_AUTH("*1\r\n$16384\r\n", "");
    GIVES_BEFORE_AUTH("*1\r\n$16385\r\n", ERROR "unauthenticated bulk length");
    GIVES_BEFORE_AUTH("*1\r\n$536870913\r\n", ERROR "invalid bulk length");
    GIVES_BEFORE_AUTH("*1\r\n$-1\r\n", ERROR "invalid bulk length");
    GIVES_BEFORE_AUTH("*1\r\n$99999999999999999999\r\n", ERROR "invalid bulk length");
}

TEST(resp_parser_obeys_limits_that_change_between_calls)
{
    struct resp_parser parser;
    resp_parser_init(&parser);
    char data[] = "*2\r\n$4\r\nAUTH\r\n$16385\r\n";
    EXPECT(resp_parse(&parser, &before_auth, data, 14) == RESP_MORE);
    EXPECT(resp_parse(&parser, &usual, data, sizeof(data) - 1) == RESP_MORE);
    EXPECT_INT(parser.needed, sizeof(data) - 1 + 16385 + 2);
    resp_parser_deinit(&parser);
    resp_parser_init(&parser);
    struct resp_limits tight = {2, 3, false};
    EXPECT(resp_parse(&parser, &usual, data, 6) == RESP_MORE);
    EXPECT(resp_parse(&parser, &tight, data, 8) == RESP_ERROR);
    EXPECT_TEXT(parser.error, "-ERR Protocol error: invalid bulk length");
    resp_parser_deinit(&parser);
    resp_parser_deinit(NULL);
}

/* prefix, then `filler` up to `size` bytes in all, then suffix. */
static void expect_long(int line, const char *prefix, size_t prefix_size, char filler, size_t size,
                        const char *suffix, const char *expected)
{
    size_t suffix_size = strlen(suffix);
    char *stream = malloc(size + suffix_size + 1);
    EXPECT(stream != NULL);
    memset(stream, filler, size);
    memcpy(stream, prefix, prefix_size);
    memcpy(stream + size, suffix, suffix_size + 1);
    expect_all(line, &usual, stream, size + suffix_size, expected, strlen(expected));
    free(stream);
}

#define LONG(prefix, filler, size, suffix, expected)                                               \
    expect_long(__LINE__, prefix, sizeof(prefix) - 1, filler, size, suffix, expected)

TEST(resp_parser_refuses_lines_that_do_not_end)
{
    LONG("*", '1', 65536, "", "");
    LONG("*", '1', 65537, "", ERROR "too big mbulk count string");
    LONG("*", '1', 65535, "\r\n", ERROR "invalid multibulk length");
    LONG("*", '1', 65536, "\r\n", ERROR "invalid multibulk length");
    LONG("*", '1', 65537, "\r\n", ERROR "too big mbulk count string");
    LONG("*1\r\n$", '1', 4 + 65536, "", "");
    LONG("*1\r\n$", '1', 4 + 65537, "", ERROR "too big bulk count string");
    LONG("*1\r\nx", '1', 4 + 65537, "", ERROR "too big bulk count string");
    LONG("*1\r\n$", '1', 4 + 65536, "\r\n", ERROR "invalid bulk length");
    LONG("a", 'a', 65536, "", "");
    LONG("a", 'a', 65537, "", ERROR "too big inline request");
    LONG("a", 'a', 65537, "\r\n", ERROR "too big inline request");
    LONG("PING", ' ', 65536, "\nPING\n", "[4:PING][4:PING]");
    LONG("PING", ' ', 65535, "\r\nPING\n", "[4:PING][4:PING]");
    /* A request as a whole may be longer. */
    LONG("*2\r\n$1\r\na\r\n$1\r\nb\r\nPING", ' ', 65536, "\nPING\n", "[1:a|1:b][4:PING][4:PING]");
}

TEST(resp_parser_lets_a_nul_hide_the_end_of_a_line_as_redis_does)
{
    GIVES("PI\0NG x\r\nPING\r\n", "");
    GIVES("*1\0\r\nPING\r\n", "");
    GIVES("*1\r\n\0\r\n", "");
    GIVES("*1\r\n$\0", "");
    GIVES("PING\r\n\0\r\nPING\r\n", "[4:PING]");
    LONG("\0A\n", 'A', 65536, "", "");
    LONG("\0A\n", 'A', 65537, "", ERROR "too big inline request");
    LONG("*\0A\r\n", 'A', 65537, "", ERROR "too big mbulk count string");
    LONG("*1\r\n$\0A\r\n", 'A', 4 + 65537, "", ERROR "too big bulk count string");
}

TEST(resp_parser_splits_inline_requests_into_words)
{
    GIVES("PING\r\n", "[4:PING]");
    GIVES("PING\n", "[4:PING]");
    GIVES("  SET   key\tvalue  \r\n", "[3:SET|3:key|5:value]");
    GIVES("PING\rx\n", "[4:PING|1:x]");
    GIVES("PING\vx\r\n", "[6:PING\vx]");
    GIVES("PING\fx \v\fy\r\n", "[6:PING\fx|1:y]");
    GIVES("PING a\xa0\xff\x80z\r\n", "[4:PING|5:a\xa0\xff\x80z]");
    GIVES("ECHO a\\n $4 *1\r\n", "[4:ECHO|3:a\\n|2:$4|2:*1]");
    GIVES("a b c d e f g h i j k l m n o p q r\n",
          "[1:a|1:b|1:c|1:d|1:e|1:f|1:g|1:h|1:i|1:j|1:k|1:l|1:m|1:n|1:o|1:p|1:q|1:r]");
}

TEST(resp_parser_unquotes_inline_words)
{
    GIVES("ECHO \"a b\"\r\n", "[4:ECHO|3:a b]");
    GIVES("ECHO \"\" '' x\r\n", "[4:ECHO|0:|0:|1:x]");
    GIVES("ECHO \"\\n\\r\\t\\b\\a\\x41\\\"\\\\\\q\"\r\n", "[4:ECHO|9:\n\r\t\b\aA\"\\q]");
    GIVES("ECHO \"\\xAf\\xfA\\x00\"\r\n", "[4:ECHO|3:\xaf\xfa\0]");
    GIVES("ECHO \"\\x4g\\xZZ\\x0\"\r\n", "[4:ECHO|8:x4gxZZx0]");
    GIVES("ECHO 'a\\'b\\n\"\\x41'\r\n", "[4:ECHO|10:a'b\\n\"\\x41]");
    GIVES("ECHO a\"b c\"\r\n", "[4:ECHO|4:ab c]");
    GIVES("ECHO a'b' \"'\"\r\n", "[4:ECHO|2:ab|1:']");
    GIVES("ECHO \"a\"\tb\vc \"d\"\v\r\n", "[4:ECHO|1:a|3:b\vc|1:d]");
    GIVES("\"PING\" x\r\r\n", "[4:PING|1:x]");
}

TEST(resp_parser_refuses_unbalanced_quotes)
{
    static const char unbalanced[] = ERROR "unbalanced quotes in request";
    GIVES("ECHO \"a\r\n", unbalanced);
    GIVES("ECHO 'a\r\n", unbalanced);
    GIVES("ECHO \"a\"b\r\n", unbalanced);
    GIVES("ECHO 'a'b\r\n", unbalanced);
    GIVES("ECHO \"a\"\"b\"\r\n", unbalanced);
    GIVES("ECHO a'b c'd\r\n", unbalanced);
    GIVES("ECHO a\\\"b\r\n", unbalanced);
    GIVES("ECHO \"abc\\\r\n", unbalanced);
    GIVES("ECHO \"\\\"\r\n", unbalanced);
    GIVES("ECHO \"\\x4\r\n", unbalanced);
    GIVES("ECHO '\\'\r\n", unbalanced);
    GIVES("ECHO '\\\\'\r\n", unbalanced);
    GIVES("ECHO '\\\r\n", unbalanced);
    GIVES("PING\r\nECHO \"\r\n", "[4:PING]!-ERR Protocol error: unbalanced quotes in request");
}

static void random_bytes(uint64_t *random, char *to, size_t size)
{
    static const char spice[] = "\r\n$*0123456789\"'\\ ";
    for (size_t i = 0; i < size; i++) {
        uint64_t draw = test_random(random) >> 20;
        to[i] = draw % 3 == 0 ? spice[draw / 3 % (sizeof(spice) - 1)] : (char)(draw / 3);
    }
}

/* One inline word, quoted so that any byte may be in it. */
static void inline_word_add(struct story *stream, uint64_t *random, const char *word, size_t size)
{
    if (size > 0 && test_random_below(random, 3) == 0) {
        bool bare = true;
        for (size_t i = 0; i < size; i++) {
            bare = bare && word[i] > '\'' && word[i] < 127 && word[0] != '*';
        }
        if (bare) {
            story_add(stream, word, size);
            return;
        }
    }
    story_add(stream, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        char text[8];
        bool plain = word[i] > '"' && word[i] < 127 && word[i] != '\\';
        int length = plain ? snprintf(text, sizeof(text), "%c", word[i])
                           : snprintf(text, sizeof(text), "\\x%02x", (unsigned char)word[i]);
        story_add(stream, text, (size_t)length);
    }
    story_add(stream, "\"", 1);
}

static void request_add(struct story *stream, struct story *expected, uint64_t *random)
{
    char text[64];
    char word[2048];
    bool multibulk = test_random_below(random, 3) != 0;
    size_t count = test_random_below(random, test_random_below(random, 8) == 0 ? 60 : 5);
    if (multibulk) {
        story_add(stream, text, (size_t)sprintf(text, "*%zu\r\n", count));
    }
    story_add(expected, "[", 1);
    for (size_t i = 0; i < count; i++) {
        size_t size = test_random_below(random, test_random_below(random, 8) == 0 ? 1500 : 20);
        random_bytes(random, word, size);
        if (multibulk) {
            story_add(stream, text, (size_t)sprintf(text, "$%zu\r\n", size));
            story_add(stream, word, size);
            story_add(stream, "\r\n", 2);
        } else {
            inline_word_add(stream, random, word, size);
            story_add(stream, "  ", 1 + test_random_below(random, 2));
        }
        story_argument(expected, i == 0, word, size);
    }
    if (!multibulk) {
        bool with_return = test_random_below(random, 2) == 0;
        story_add(stream, with_return ? "\r\n" : "\n", with_return ? 2 : 1);
    }
    story_add(expected, "]", 1);
}

TEST(resp_parser_gives_the_same_requests_for_any_split_of_a_random_stream)
{
    uint64_t random = test_seed();
    for (int round = 0; round < 60; round++) {
        struct story stream = {NULL, 0, 0};
        struct story expected = {NULL, 0, 0};
        for (size_t n = 1 + test_random_below(&random, 12); n > 0; n--) {
            request_add(&stream, &expected, &random);
        }
        for (int split = 0; split < 8; split++) {
            struct cuts cuts = {split == 0 ? 1 : 0, 0, split > 1 ? &random : NULL};
            expect_story(__LINE__, &usual, stream.text, stream.size, cuts, expected.text,
                         expected.size);
        }
        free(stream.text);
        free(expected.text);
    }
}

TEST(resp_parser_tells_the_same_story_of_a_damaged_stream_for_any_split)
{
    uint64_t random = test_seed() + 1;
    for (int round = 0; round < 400; round++) {
        struct story stream = {NULL, 0, 0};
        struct story unused = {NULL, 0, 0};
        for (size_t n = 1 + test_random_below(&random, 4); n > 0; n--) {
            request_add(&stream, &unused, &random);
        }
        for (size_t n = 1 + test_random_below(&random, 4); n > 0; n--) {
            random_bytes(&random, stream.text + test_random_below(&random, stream.size), 1);
        }
        struct story whole = tell(&usual, stream.text, stream.size, (struct cuts){0, 0, NULL});
        for (int split = 0; split < 4; split++) {
            struct cuts cuts = {split == 0 ? 1 : 0, 0, &random};
            expect_story(__LINE__, &usual, stream.text, stream.size, cuts, whole.text, whole.size);
        }
        free(whole.text);
        free(stream.text);
        free(unused.text);
    }
}

static int allocations_left;

static void *realloc_scarce(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

static enum resp_result parse_with_memory_for(int allocations, const char *stream,
                                              struct resp_parser *parser)
{
    char view[512];
    size_t size = strlen(stream);
    memcpy(view, stream, size);
    resp_parser_init(parser);
    allocations_left = allocations;
    resp_realloc = realloc_scarce;
    enum resp_result result = resp_parse(parser, &usual, view, size);
    resp_realloc = realloc;
    return result;
}

TEST(resp_parser_answers_with_an_error_when_there_is_no_memory)
{
    char multibulk[512] = "*20\r\n";
    char line[512] = "";
    for (int i = 0; i < 20; i++) {
        strcat(multibulk, "$1\r\nx\r\n");
        strcat(line, "x ");
    }
    strcat(line, "\r\n");
    for (int allocations = 0; allocations <= 2; allocations++) {
        struct resp_parser parser;
        enum resp_result expected = allocations < 2 ? RESP_ERROR : RESP_REQUEST;
        EXPECT(parse_with_memory_for(allocations, multibulk, &parser) == expected);
        EXPECT(expected == RESP_REQUEST || strcmp(parser.error, "-ERR out of memory") == 0);
        resp_parser_deinit(&parser);
        EXPECT(parse_with_memory_for(allocations, line, &parser) == expected);
        resp_parser_deinit(&parser);
    }
}

TEST(resp_parser_gives_back_a_large_argument_array_with_the_next_request)
{
    struct story stream = {NULL, 0, 0};
    char text[64];
    story_add(&stream, text, (size_t)sprintf(text, "*5000\r\n"));
    for (int i = 0; i < 5000; i++) {
        story_add(&stream, "$0\r\n\r\n", 6);
    }
    struct resp_parser parser;
    resp_parser_init(&parser);
    EXPECT(resp_parse(&parser, &usual, stream.text, stream.size) == RESP_REQUEST);
    EXPECT_INT(parser.argument_count, 5000);
    EXPECT(parser.argument_capacity >= 5000);
    EXPECT(resp_parse(&parser, &usual, stream.text, 0) == RESP_MORE);
    EXPECT_INT(parser.argument_capacity, 0);
    resp_parser_deinit(&parser);
    free(stream.text);
}
