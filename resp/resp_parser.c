/* Two roads lead through a multibulk request. Nearly every argument that a client sends has a
 * short header and lies whole in the buffer: bulks_take runs over those with everything in
 * registers and stops at the first thing that is odd or cut short. The careful road then takes one
 * header or one body, and gives every error; its progress is in the parser, so that it can stop at
 * any byte. Both accept exactly the same bytes, hence any split gives the same requests.
 *
 *     line      the first byte of the header or inline line in hand
 *     position  the first byte not looked at yet (line ≤ position)
 *     bulk_size the size of the bulk in hand, -1 while its header is awaited
 */
#include "resp/resp_parser.h"

#include "resp/resp_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_FIRST 16
/* An argument array up to this long is kept for the next request. */
#define ARGUMENTS_KEEP 1024
/* Counts and sizes above these are nonsense to Redis whoever asks; below them a client without
 * AUTH is told that it lacks AUTH. */
#define UNAUTHENTICATED_COUNT_MAX INT32_MAX
#define UNAUTHENTICATED_BULK_MAX (512ll * 1024 * 1024)

enum state {
    STATE_BEGIN,
    STATE_COUNT,
    STATE_BULKS,
    STATE_INLINE,
    STATE_BROKEN,
};

enum line {
    LINE_WHOLE,
    LINE_PART,
    LINE_TOO_LONG,
};

void resp_parser_init(struct resp_parser *parser)
{
    memset(parser, 0, sizeof(*parser));
    parser->bulk_size = -1;
}

void resp_parser_deinit(struct resp_parser *parser)
{
    if (parser == NULL) {
        return;
    }
    free(parser->arguments);
    resp_parser_init(parser);
}

static enum resp_result fail(struct resp_parser *parser, const char *text)
{
    parser->state = STATE_BROKEN;
    parser->argument_count = 0;
    parser->error = text;
    return RESP_ERROR;
}

static enum resp_result more(struct resp_parser *parser, size_t needed)
{
    parser->needed = needed;
    return RESP_MORE;
}

static enum resp_result finish(struct resp_parser *parser, size_t consumed)
{
    parser->state = STATE_BEGIN;
    parser->consumed = consumed;
    return RESP_REQUEST;
}

static void begin(struct resp_parser *parser)
{
    parser->argument_count = 0;
    parser->position = 0;
    parser->line = 0;
    parser->bulk_size = -1;
    if (parser->argument_capacity > ARGUMENTS_KEEP) {
        free(parser->arguments);
        parser->arguments = NULL;
        parser->argument_capacity = 0;
    }
}

/* The array grows by what has arrived, never by what a header announces. */
static bool argument_add(struct resp_parser *parser, size_t offset, size_t size)
{
    if (parser->argument_count == parser->argument_capacity) {
        size_t capacity =
            parser->argument_capacity == 0 ? ARGUMENTS_FIRST : parser->argument_capacity * 2;
        struct resp_argument *arguments =
            resp_realloc(parser->arguments, capacity * sizeof(*arguments));
        if (arguments == NULL) {
            return false;
        }
        parser->arguments = arguments;
        parser->argument_capacity = capacity;
    }
    parser->arguments[parser->argument_count++] = (struct resp_argument){offset, size};
    return true;
}

/* Looks for the terminator of the line in hand, and stops for good at a NUL: Redis searches it as
 * text. */
static enum line line_scan(struct resp_parser *parser, const char *data, size_t size,
                           char terminator, size_t *end_out)
{
    size_t limit = parser->line + RESP_INLINE_MAX + 1;
    size_t end = size < limit ? size : limit;
    if (parser->position < end) {
        const char *from = data + parser->position;
        const char *found = memchr(from, terminator, end - parser->position);
        size_t length = found != NULL ? (size_t)(found - from) : end - parser->position;
        if (memchr(from, 0, length) != NULL) {
            parser->position = limit; /* As if all had been searched, in vain. */
        } else if (found != NULL) {
            parser->position += length;
            *end_out = parser->position;
            return LINE_WHOLE;
        } else {
            parser->position = end;
        }
    }
    return size >= limit ? LINE_TOO_LONG : LINE_PART;
}

/* Decimal text as Redis reads it: no plus, no leading zeros, no minus zero, the range of int64. */
static bool number_read(const char *text, size_t size, int64_t *value_out)
{
    bool negative = size > 0 && text[0] == '-';
    size_t index = negative ? 1 : 0;
    if (size == index || size - index > 19) {
        return false;
    }
    if (text[index] == '0') {
        *value_out = 0;
        return size == 1;
    }
    uint64_t value = 0;
    for (; index < size; index++) {
        unsigned digit = (unsigned char)text[index] - (unsigned)'0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit; /* 19 digits fit uint64. */
    }
    if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *value_out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* Reads a whole header of few digits at position. Gives the offset behind it, or 0: incomplete, or
 * anything that the careful road has to judge. */
static inline size_t header_take(const char *data, size_t size, size_t position, char kind,
                                 uint64_t *value_out)
{
    if (size - position < 4 || data[position] != kind) {
        return 0;
    }
    const char *next = data + position + 2;
    const char *last = data + size - 1;
    uint64_t value = (unsigned char)next[-1] - (unsigned)'0';
    if (value > 9) {
        return 0;
    }
    while (*next != '\r') {
        unsigned digit = (unsigned char)*next - (unsigned)'0';
        if (digit > 9 || value == 0 || value > 99999999 || next + 1 >= last) {
            return 0;
        }
        value = value * 10 + digit;
        next++;
    }
    *value_out = value;
    return (size_t)(next - data) + 2;
}

/* Takes as many arguments as lie whole and plain in the buffer; position is at a header. */
static void bulks_take(struct resp_parser *parser, int64_t bulk_max, const char *data, size_t size)
{
    struct resp_argument *arguments = parser->arguments;
    size_t count = parser->argument_count;
    size_t capacity = parser->argument_capacity;
    size_t position = parser->position;
    int64_t left = parser->arguments_left;
    while (left > 0 && count < capacity) {
        uint64_t bulk;
        size_t body = header_take(data, size, position, '$', &bulk);
        if (body == 0 || (int64_t)bulk > bulk_max || size - body < bulk + 2) {
            break;
        }
        arguments[count++] = (struct resp_argument){body, bulk};
        position = body + bulk + 2;
        left--;
    }
    parser->argument_count = count;
    parser->position = position;
    parser->line = position;
    parser->arguments_left = left;
}

/* Finds the end of a header. RESP_REQUEST: it is whole, and *end_out is its CR. */
static enum resp_result header_scan(struct resp_parser *parser, const char *data, size_t size,
                                    const char *too_long, size_t *end_out)
{
    switch (line_scan(parser, data, size, '\r', end_out)) {
    case LINE_TOO_LONG:
        return fail(parser, too_long);
    case LINE_PART:
        return more(parser, size + 1);
    case LINE_WHOLE:
        break;
    }
    /* The byte behind CR belongs to the header. */
    return *end_out + 1 < size ? RESP_REQUEST : more(parser, size + 1);
}

/* RESP_REQUEST: bulk_size is known, and position is at the first byte of the bulk. */
static enum resp_result bulk_header_parse(struct resp_parser *parser,
                                          const struct resp_limits *limits, const char *data,
                                          size_t size)
{
    size_t end = 0;
    enum resp_result result =
        header_scan(parser, data, size, "-ERR Protocol error: too big bulk count string", &end);
    if (result != RESP_REQUEST) {
        return result;
    }
    char kind = data[parser->line];
    if (kind != '$') {
        snprintf(parser->error_text, sizeof(parser->error_text),
                 "-ERR Protocol error: expected '$', got '%c'",
                 kind == '\r' || kind == '\n' ? ' ' : kind);
        return fail(parser, parser->error_text);
    }
    int64_t bulk = -1;
    bool valid = number_read(data + parser->line + 1, end - parser->line - 1, &bulk) && bulk >= 0;
    if (valid && bulk > limits->bulk_max && limits->unauthenticated &&
        bulk <= UNAUTHENTICATED_BULK_MAX) {
        return fail(parser, "-ERR Protocol error: unauthenticated bulk length");
    }
    if (!valid || bulk > limits->bulk_max) {
        return fail(parser, "-ERR Protocol error: invalid bulk length");
    }
    parser->bulk_size = bulk;
    parser->position = end + 2;
    return RESP_REQUEST;
}

static enum resp_result bulks_parse(struct resp_parser *parser, const struct resp_limits *limits,
                                    const char *data, size_t size)
{
    while (parser->arguments_left > 0) {
        if (parser->bulk_size < 0) {
            if (parser->position == parser->line) {
                bulks_take(parser, limits->bulk_max, data, size);
                if (parser->arguments_left == 0) {
                    break;
                }
            }
            enum resp_result result = bulk_header_parse(parser, limits, data, size);
            if (result != RESP_REQUEST) {
                return result;
            }
        }
        size_t bulk = (size_t)parser->bulk_size;
        if (size - parser->position < bulk + 2) {
            return more(parser, parser->position + bulk + 2);
        }
        if (!argument_add(parser, parser->position, bulk)) {
            return fail(parser, "-ERR out of memory");
        }
        parser->position += bulk + 2;
        parser->line = parser->position;
        parser->bulk_size = -1;
        parser->arguments_left--;
    }
    return finish(parser, parser->position);
}

static enum resp_result count_check(struct resp_parser *parser, const struct resp_limits *limits,
                                    int64_t count, size_t end)
{
    if (count > limits->arguments_max) {
        if (limits->unauthenticated && count <= UNAUTHENTICATED_COUNT_MAX) {
            return fail(parser, "-ERR Protocol error: unauthenticated multibulk length");
        }
        return fail(parser, "-ERR Protocol error: invalid multibulk length");
    }
    parser->position = end;
    parser->line = end;
    parser->arguments_left = count > 0 ? count : 0;
    parser->state = STATE_BULKS;
    return RESP_REQUEST;
}

/* RESP_REQUEST: the count is known, and position is behind it. */
static enum resp_result count_parse(struct resp_parser *parser, const struct resp_limits *limits,
                                    const char *data, size_t size)
{
    if (parser->position == 0) {
        uint64_t count;
        size_t end = header_take(data, size, 0, '*', &count);
        if (end != 0) {
            return count_check(parser, limits, (int64_t)count, end);
        }
    }
    size_t end = 0;
    enum resp_result result =
        header_scan(parser, data, size, "-ERR Protocol error: too big mbulk count string", &end);
    if (result != RESP_REQUEST) {
        return result;
    }
    int64_t count;
    if (!number_read(data + 1, end - 1, &count)) {
        return fail(parser, "-ERR Protocol error: invalid multibulk length");
    }
    return count_check(parser, limits, count, end + 2);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends a bare word; vertical tab and form feed do not. */
static bool is_word_end(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char escape_value(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* Unquotes one quoted run; *read is behind its opening quote, and afterwards behind the closing
 * one. Bytes go to *write, which never overtakes *read. False: the quote is not closed, or text
 * follows it. */
static bool quoted_take(char *data, size_t end, char quote, size_t *read, size_t *write)
{
    size_t r = *read;
    size_t w = *write;
    while (r < end && data[r] != quote) {
        char c = data[r];
        if (c != '\\' || r + 1 >= end || (quote == '\'' && data[r + 1] != '\'')) {
            data[w++] = c;
            r++;
        } else if (quote == '"' && data[r + 1] == 'x' && r + 3 < end &&
                   hex_value(data[r + 2]) >= 0 && hex_value(data[r + 3]) >= 0) {
            data[w++] = (char)(hex_value(data[r + 2]) * 16 + hex_value(data[r + 3]));
            r += 4;
        } else {
            data[w++] = quote == '"' ? escape_value(data[r + 1]) : '\'';
            r += 2;
        }
    }
    *read = r + 1;
    *write = w;
    return r < end && (r + 1 == end || is_blank(data[r + 1]));
}

/* Takes one word from *read on, unquoted to where it starts; gives its size in *size_out. */
static bool word_take(char *data, size_t end, size_t *read, size_t *size_out)
{
    size_t start = *read;
    size_t write = start;
    while (*read < end && !is_word_end(data[*read])) {
        char c = data[(*read)++];
        if (c == '"' || c == '\'') {
            bool closed = quoted_take(data, end, c, read, &write);
            *size_out = write - start;
            return closed; /* A closed quote ends the word. */
        }
        data[write++] = c;
    }
    *size_out = write - start;
    return true;
}

static enum resp_result inline_parse(struct resp_parser *parser, char *data, size_t size)
{
    size_t newline = 0;
    switch (line_scan(parser, data, size, '\n', &newline)) {
    case LINE_TOO_LONG:
        return fail(parser, "-ERR Protocol error: too big inline request");
    case LINE_PART:
        return more(parser, size + 1);
    case LINE_WHOLE:
        break;
    }
    size_t end = newline > 0 && data[newline - 1] == '\r' ? newline - 1 : newline;
    size_t read = 0;
    for (;;) {
        while (read < end && is_blank(data[read])) {
            read++;
        }
        if (read == end) {
            return finish(parser, newline + 1);
        }
        size_t start = read;
        size_t word = 0;
        if (!word_take(data, end, &read, &word)) {
            return fail(parser, "-ERR Protocol error: unbalanced quotes in request");
        }
        if (!argument_add(parser, start, word)) {
            return fail(parser, "-ERR out of memory");
        }
    }
}

enum resp_result resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
                            char *data, size_t size)
{
    if (parser->state == STATE_BEGIN) {
        begin(parser);
        if (size == 0) {
            return more(parser, 1);
        }
        parser->state = data[0] == '*' ? STATE_COUNT : STATE_INLINE;
    }
    enum resp_result result = RESP_REQUEST;
    switch ((enum state)parser->state) {
    case STATE_COUNT:
        result = count_parse(parser, limits, data, size);
        return result != RESP_REQUEST ? result : bulks_parse(parser, limits, data, size);
    case STATE_BULKS:
        return bulks_parse(parser, limits, data, size);
    case STATE_INLINE:
        return inline_parse(parser, data, size);
    case STATE_BEGIN:
    case STATE_BROKEN:
        break;
    }
    return RESP_ERROR;
}
