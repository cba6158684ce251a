/* The helpers of call.h that handlers share: reading arguments, wording replies. */
#include "src/dispatch/call.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Texts of doubles are hardly ever longer. */
#define DOUBLE_TEXT_MAX 128
/* Digits behind the point that Redis writes. */
#define LONG_DOUBLE_DIGITS 17

/* ------------------------------------------------------------------------------------------
 * Arguments.
 */

bool argument_is(struct bytes argument, const char *word)
{
    size_t size = strlen(word);
    return argument.size == size && strncasecmp(argument.data, word, size) == 0;
}

bool argument_int64(struct call *call, struct bytes argument, int64_t *value_out)
{
    if (!bytes_to_int64(argument, value_out)) {
        resp_error(call->out, "ERR value is not an integer or out of range");
        return false;
    }
    return true;
}

bool argument_int64_range(struct call *call, struct bytes argument, int64_t min, int64_t max,
                          const char *error, int64_t *value_out)
{
    int64_t value;
    if (!argument_int64(call, argument, &value)) {
        return false;
    }
    if (value < min || value > max) {
        resp_error(call->out, error);
        return false;
    }
    *value_out = value;
    return true;
}

bool argument_is_visible(struct bytes argument)
{
    const unsigned char *data = argument.data;
    for (size_t i = 0; i < argument.size; i++) {
        if (data[i] < '!' || data[i] > '~') {
            return false;
        }
    }
    return true;
}

bool argument_timeout_ms(struct call *call, struct bytes argument, uint64_t *until_ms_out)
{
    int64_t timeout_ms;
    if (!bytes_to_int64(argument, &timeout_ms)) {
        resp_error(call->out, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (timeout_ms < 0) {
        resp_error(call->out, "ERR timeout is negative");
        return false;
    }
    if (timeout_ms > INT64_MAX - (int64_t)call->now_ms) {
        resp_error(call->out, "ERR timeout is out of range");
        return false;
    }
    *until_ms_out = timeout_ms == 0 ? 0 : call->now_ms + (uint64_t)timeout_ms;
    return true;
}

bool double_parse(struct bytes text, double *value_out)
{
    char room[DOUBLE_TEXT_MAX];
    char *copy = room;
    if (text.size == 0 || isspace(*(const unsigned char *)text.data)) {
        return false;
    }
    if (text.size >= sizeof(room) && (copy = malloc(text.size + 1)) == NULL) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end;
    errno = 0;
    double value = strtod(copy, &end);
    bool whole = end == copy + text.size; /* A NUL within the text ends it early. */
    if (copy != room) {
        free(copy);
    }
    if (!whole || isnan(value) || (errno == ERANGE && (isinf(value) || value == 0))) {
        return false;
    }
    *value_out = value;
    return true;
}

bool long_double_parse(struct bytes text, long double *value_out)
{
    char copy[LONG_DOUBLE_TEXT_MAX];
    if (text.size == 0 || text.size >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (isspace((unsigned char)copy[0])) {
        return false;
    }
    char *end;
    errno = 0;
    long double value = strtold(copy, &end);
    if (end != copy + text.size || isnan(value)) { /* A NUL within the text ends it early. */
        return false;
    }
    if (errno == ERANGE && (isinf(value) || value == 0)) {
        return false;
    }
    *value_out = value;
    return true;
}

size_t long_double_text(long double number, char *text, size_t capacity)
{
    int written = snprintf(text, capacity, "%.*Lf", LONG_DOUBLE_DIGITS, number);
    if (written <= 0 || (size_t)written >= capacity) {
        return 0;
    }
    size_t size = (size_t)written;
    while (text[size - 1] == '0') {
        size--;
    }
    if (text[size - 1] == '.') {
        size--;
    }
    if (size == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        size = 1;
    }
    return size;
}

/* Unsigned decimal; larger ones than ours are taken and lead nowhere. */
bool argument_cursor(struct call *call, struct bytes argument, uint64_t *cursor_out)
{
    const unsigned char *digits = argument.data;
    uint64_t cursor = 0;
    bool sound = argument.size > 0;
    for (size_t i = 0; i < argument.size && sound; i++) {
        sound = digits[i] >= '0' && digits[i] <= '9' &&
                !__builtin_mul_overflow(cursor, 10, &cursor) &&
                !__builtin_add_overflow(cursor, (uint64_t)(digits[i] - '0'), &cursor);
    }
    if (!sound) {
        resp_error(call->out, "ERR invalid cursor");
    }
    *cursor_out = cursor;
    return sound;
}

#define SCAN_COUNT_DEFAULT 10

bool argument_scan_options(struct call *call, size_t first, struct scan_options *options_out)
{
    *options_out = (struct scan_options){.everything = true, .count = SCAN_COUNT_DEFAULT};
    for (size_t i = first; i < call->argc; i += 2) {
        struct bytes word = call->argv[i];
        int64_t count;
        if (i + 1 < call->argc && argument_is(word, "count")) {
            if (!argument_int64_range(call, call->argv[i + 1], 1, INT64_MAX, "ERR syntax error",
                                      &count)) {
                return false;
            }
            options_out->count = (uint64_t)count;
        } else if (i + 1 < call->argc && argument_is(word, "match")) {
            options_out->pattern = call->argv[i + 1];
            options_out->everything = bytes_equal(options_out->pattern, bytes_of("*", 1));
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

bool argument_pop_options(struct call *call, const char *first, const char *second,
                          bool *second_out, int64_t *count_out)
{
    int64_t keys;
    *count_out = 1;
    if (!bytes_to_int64(call->argv[1], &keys) || keys <= 0) {
        resp_error(call->out, "ERR numkeys should be greater than 0");
        return false;
    }
    uint64_t at = (uint64_t)keys + 2;
    *second_out = at < call->argc && argument_is(call->argv[at], second);
    if (at >= call->argc || (!*second_out && !argument_is(call->argv[at], first))) {
        reply_syntax_error(call);
        return false;
    }
    bool counted = false;
    for (at++; at < call->argc; at += 2) {
        if (counted || at + 1 == call->argc || !argument_is(call->argv[at], "count")) {
            reply_syntax_error(call);
            return false;
        }
        if (!bytes_to_int64(call->argv[at + 1], count_out) || *count_out <= 0) {
            resp_error(call->out, "ERR count should be greater than 0");
            return false;
        }
        counted = true;
    }
    return true;
}

bool argument_long_double(struct call *call, struct bytes argument, long double *value_out)
{
    if (!long_double_parse(argument, value_out)) {
        resp_error(call->out, "ERR value is not a valid float");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------
 * Replies.
 */

void reply_ok(struct call *call)
{
    resp_raw(call->out, "+OK\r\n", 5);
}

void reply_syntax_error(struct call *call)
{
    resp_error(call->out, "ERR syntax error");
}

void reply_wrong_type(struct call *call)
{
    resp_error(call->out, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void reply_help(struct call *call, const char *const *lines)
{
    char title[96];
    const struct command *command = call->command;
    const char *name = command->parent != NULL ? command->parent->name : command->name;
    size_t i = 0;
    for (; i < 32 && name[i] != '\0'; i++) {
        title[i] = (char)toupper((unsigned char)name[i]);
    }
    snprintf(title + i, sizeof(title) - i,
             " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    size_t count = 0;
    while (lines[count] != NULL) {
        count++;
    }
    resp_array(call->out, count + 3);
    resp_simple(call->out, title);
    for (size_t j = 0; j < count; j++) {
        resp_simple(call->out, lines[j]);
    }
    resp_simple(call->out, "HELP");
    resp_simple(call->out, "    Prints this help.");
}

static void part_release(void *ctx)
{
    part_unref(ctx);
}

/* The bytes of a piece without header; large ones by reference. */
static void piece_write(struct resp_out *out, struct value_piece piece)
{
    if (piece.part != NULL && piece.data.size >= RESP_REFERENCE_MIN) {
        part_ref(piece.part);
        resp_reference(out, piece.data.data, piece.data.size, part_release, piece.part);
    } else {
        resp_raw(out, piece.data.data, piece.data.size);
    }
}

void reply_piece(struct call *call, struct value_piece piece)
{
    if (piece.part == NULL || piece.data.size < RESP_REFERENCE_MIN) {
        resp_bulk(call->out, piece.data.data, piece.data.size);
        return;
    }
    resp_bulk_header(call->out, piece.data.size);
    piece_write(call->out, piece);
    resp_bulk_end(call->out);
}

static enum status reply_text_piece(void *ctx, struct value_piece piece)
{
    piece_write(ctx, piece);
    return ST_OK;
}

enum status reply_text(struct call *call, const struct value *value)
{
    if (value->shape == VALUE_PACKED) {
        resp_bulk(call->out, value->packed.data, value->packed.size);
        return ST_OK;
    }
    uint64_t size = text_size(value);
    resp_bulk_header(call->out, size);
    enum status status = text_pieces(value, 0, size, reply_text_piece, call->out);
    if (status != ST_OK) {
        return status;
    }
    resp_bulk_end(call->out);
    return ST_OK;
}
