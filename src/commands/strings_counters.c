/* Counters: numbers kept as their decimal text. */
#include "src/commands/strings_private.h"

#include <math.h>

/* The number in the key, 0 where there is none. False: the error is written. */
static bool number_read(struct call *call, const struct value *value, int64_t *number_out)
{
    if (!strings_fits(call, value)) {
        return false;
    }
    *number_out = 0;
    if (value->type == VALUE_NONE) {
        return true;
    }
    /* What is too long to be packed is no number. */
    if (value->shape != VALUE_PACKED || !bytes_to_int64(value->packed, number_out)) {
        resp_error(call->out, "ERR value is not an integer or out of range");
        return false;
    }
    return true;
}

static enum status add(struct call *call, int64_t delta)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    int64_t number;
    if (!number_read(call, &value, &number)) {
        return ST_OK;
    }
    if (__builtin_add_overflow(number, delta, &number)) {
        resp_error(call->out, "ERR increment or decrement would overflow");
        return ST_OK;
    }
    char *text = arena_alloc(call->arena, INT64_TEXT_MAX);
    if (text == NULL) {
        return ST_NOMEM;
    }
    size_t size = int64_to_text(number, text);
    status = txn_text_set(call->txn, 0, bytes_of(text, size), BASIN_KEEP_EXPIRY);
    if (status == ST_OK) {
        resp_integer(call->out, number);
    }
    return status;
}

enum status strings_incr(struct call *call)
{
    return add(call, 1);
}

enum status strings_decr(struct call *call)
{
    return add(call, -1);
}

enum status strings_incrby(struct call *call)
{
    int64_t delta;
    return argument_int64(call, call->argv[2], &delta) ? add(call, delta) : ST_OK;
}

enum status strings_decrby(struct call *call)
{
    int64_t delta;
    if (!argument_int64(call, call->argv[2], &delta)) {
        return ST_OK;
    }
    if (delta == INT64_MIN) {
        resp_error(call->out, "ERR decrement would overflow");
        return ST_OK;
    }
    return add(call, -delta);
}

/* The float in the key, 0 where there is none. *read_out false: the error is written. */
static enum status float_read(struct call *call, const struct value *value, long double *number_out,
                              bool *read_out)
{
    *number_out = 0;
    *read_out = strings_fits(call, value);
    if (!*read_out || value->type == VALUE_NONE) {
        return ST_OK;
    }
    if (value->shape == VALUE_PACKED) {
        *read_out = argument_long_double(call, value->packed, number_out);
        return ST_OK;
    }
    uint64_t size = text_size(value);
    if (size > LONG_DOUBLE_TEXT_MAX) {
        resp_error(call->out, "ERR value is not a valid float");
        *read_out = false;
        return ST_OK;
    }
    struct buf text = BUF_EMPTY;
    enum status status = text_read(value, 0, size, &text);
    if (status == ST_OK) {
        *read_out = argument_long_double(call, buf_bytes(&text), number_out);
    }
    buf_deinit(&text);
    return status;
}

enum status strings_incrbyfloat(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    long double number;
    bool read;
    status = float_read(call, &value, &number, &read);
    if (status != ST_OK || !read) {
        return status;
    }
    long double delta;
    if (!argument_long_double(call, call->argv[2], &delta)) {
        return ST_OK;
    }
    number += delta;
    if (isnan(number) || isinf(number)) {
        resp_error(call->out, "ERR increment would produce NaN or Infinity");
        return ST_OK;
    }
    char *text = arena_alloc(call->arena, LONG_DOUBLE_TEXT_MAX);
    if (text == NULL) {
        return ST_NOMEM;
    }
    size_t size = long_double_text(number, text, LONG_DOUBLE_TEXT_MAX);
    if (size == 0) {
        return ST_LIMIT;
    }
    status = txn_text_set(call->txn, 0, bytes_of(text, size), BASIN_KEEP_EXPIRY);
    if (status == ST_OK) {
        resp_bulk(call->out, text, size);
    }
    return status;
}
