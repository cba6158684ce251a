/* Single fields of hashes: set, get, count, delete, add. */
#include "src/commands/hashes_private.h"

#include <math.h>

/* ------------------------------------------------------------------------------------------
 * Set.
 */

/* False: the error is written. */
static bool pairs_complete(struct call *call)
{
    if (call->argc % 2 == 0) {
        return true;
    }
    resp_error_format(call->out, "ERR wrong number of arguments for '%s' command",
                      call->command->full_name);
    return false;
}

static enum status set(struct call *call, bool counts)
{
    struct value value;
    if (!pairs_complete(call)) {
        return ST_OK;
    }
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    uint64_t new_count;
    status = txn_hash_set(call->txn, 0, call->argv + 2, (call->argc - 2) / 2, BASIN_NO_EXPIRY,
                          &new_count);
    if (status == ST_OK && counts) {
        resp_integer(call->out, (int64_t)new_count);
    } else if (status == ST_OK) {
        reply_ok(call);
    }
    return status;
}

enum status hashes_hset(struct call *call)
{
    return set(call, true);
}

enum status hashes_hmset(struct call *call)
{
    return set(call, false);
}

/* Reads the key and one of its fields for a change. *fits_out false: the error is written. */
static enum status peek_field(struct call *call, struct bytes field, struct field_item *item_out,
                              bool *found_out, bool *fits_out)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    *fits_out = status == ST_OK && hashes_fits(call, &value);
    return *fits_out ? hashes_find(call, &value, field, item_out, found_out) : status;
}

enum status hashes_hsetnx(struct call *call)
{
    struct field_item item;
    bool found;
    bool fits;
    enum status status = peek_field(call, call->argv[2], &item, &found, &fits);
    if (status != ST_OK || !fits) {
        return status;
    }
    if (!found) {
        status = txn_hash_set(call->txn, 0, call->argv + 2, 1, BASIN_NO_EXPIRY, NULL);
    }
    if (status == ST_OK) {
        resp_integer(call->out, !found);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Get.
 */

enum status hashes_reply_field(struct call *call, const struct value *value, struct bytes field)
{
    struct field_item item;
    bool found;
    enum status status = hashes_find(call, value, field, &item, &found);
    if (status == ST_OK && found) {
        reply_piece(call, item.value);
    } else if (status == ST_OK) {
        resp_null(call->out);
    }
    return status;
}

enum status hashes_hget(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    return hashes_reply_field(call, &value, call->argv[2]);
}

enum status hashes_hmget(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc && status == ST_OK; i++) {
        status = hashes_reply_field(call, &value, call->argv[i]);
    }
    return status;
}

enum status hashes_hlen(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    uint64_t count = 0;
    if (value.type != VALUE_NONE) {
        status = fields_live_count(&value, call->now_ms, &count);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)count);
    }
    return status;
}

/* Gives a number about a field. */
static enum status measure(struct call *call, bool size)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    struct field_item item;
    bool found;
    status = hashes_find(call, &value, call->argv[2], &item, &found);
    if (status == ST_OK) {
        resp_integer(call->out, !found ? 0 : size ? (int64_t)item.value.data.size : 1);
    }
    return status;
}

enum status hashes_hstrlen(struct call *call)
{
    return measure(call, true);
}

enum status hashes_hexists(struct call *call)
{
    return measure(call, false);
}

/* ------------------------------------------------------------------------------------------
 * Delete.
 */

enum status hashes_hdel(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !hashes_fits(call, &value)) {
        return status;
    }
    uint64_t removed = 0;
    if (value.type != VALUE_NONE) {
        status = txn_hash_remove(call->txn, 0, call->argv + 2, call->argc - 2, &removed);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)removed);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Add. The field keeps its time to live.
 */

static enum status put_number(struct call *call, struct bytes text)
{
    struct bytes pair[2] = {call->argv[2], text};
    return txn_hash_set(call->txn, 0, pair, 1, BASIN_KEEP_EXPIRY, NULL);
}

enum status hashes_hincrby(struct call *call)
{
    int64_t delta;
    struct field_item item;
    bool found;
    bool fits;
    if (!argument_int64(call, call->argv[3], &delta)) {
        return ST_OK;
    }
    enum status status = peek_field(call, call->argv[2], &item, &found, &fits);
    if (status != ST_OK || !fits) {
        return status;
    }
    int64_t number = 0;
    if (found && !bytes_to_int64(item.value.data, &number)) {
        resp_error(call->out, "ERR hash value is not an integer");
        return ST_OK;
    }
    if (__builtin_add_overflow(number, delta, &number)) {
        resp_error(call->out, "ERR increment or decrement would overflow");
        return ST_OK;
    }
    char text[INT64_TEXT_MAX];
    status = put_number(call, bytes_of(text, int64_to_text(number, text)));
    if (status == ST_OK) {
        resp_integer(call->out, number);
    }
    return status;
}

enum status hashes_hincrbyfloat(struct call *call)
{
    long double delta;
    struct field_item item;
    bool found;
    bool fits;
    if (!argument_long_double(call, call->argv[3], &delta)) {
        return ST_OK;
    }
    if (isinf(delta)) {
        resp_error(call->out, "ERR value is NaN or Infinity");
        return ST_OK;
    }
    enum status status = peek_field(call, call->argv[2], &item, &found, &fits);
    if (status != ST_OK || !fits) {
        return status;
    }
    long double number = 0;
    if (found && !long_double_parse(item.value.data, &number)) {
        resp_error(call->out, "ERR hash value is not a float");
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
    status = put_number(call, bytes_of(text, size));
    if (status == ST_OK) {
        resp_bulk(call->out, text, size);
    }
    return status;
}
