/* Parts of strings: APPEND, GETRANGE, SETRANGE. */
#include "src/commands/strings_private.h"

#include "src/config/config.h"
#include "src/server.h"

/* Whether a string of offset + size bytes is allowed; if not, the error is written. */
static bool size_fits(struct call *call, uint64_t offset, uint64_t size)
{
    uint64_t max = (uint64_t)config_get(&call->server->config->bulk_max);
    uint64_t total;
    if (__builtin_add_overflow(offset, size, &total) || total > max) {
        resp_error(call->out, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return false;
    }
    return true;
}

enum status strings_append(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (!strings_fits(call, &value)) {
        return ST_OK;
    }
    struct bytes text = call->argv[2];
    if (value.type == VALUE_NONE) {
        status = txn_text_set(call->txn, 0, text, BASIN_NO_EXPIRY);
        if (status == ST_OK) {
            resp_integer(call->out, (int64_t)text.size);
        }
        return status;
    }
    uint64_t size = text_size(&value);
    if (!size_fits(call, size, text.size)) {
        return ST_OK;
    }
    if (text.size > 0) {
        status = txn_text_write(call->txn, 0, size, text);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)(size + text.size));
    }
    return status;
}

enum status strings_setrange(struct call *call)
{
    int64_t offset;
    if (!argument_int64_range(call, call->argv[2], 0, INT64_MAX, "ERR offset is out of range",
                              &offset)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (!strings_fits(call, &value)) {
        return ST_OK;
    }
    struct bytes text = call->argv[3];
    uint64_t size = value.type == VALUE_NONE ? 0 : text_size(&value);
    if (text.size == 0) {
        resp_integer(call->out, (int64_t)size);
        return ST_OK;
    }
    if (!size_fits(call, (uint64_t)offset, text.size)) {
        return ST_OK;
    }
    status = txn_text_write(call->txn, 0, (uint64_t)offset, text);
    if (status == ST_OK) {
        uint64_t end = (uint64_t)offset + text.size;
        resp_integer(call->out, (int64_t)(end > size ? end : size));
    }
    return status;
}

static void part_release(void *ctx)
{
    part_unref(ctx);
}

static enum status reply_range_piece(void *ctx, struct value_piece piece)
{
    struct resp_out *out = ctx;
    if (piece.part != NULL && piece.data.size >= RESP_REFERENCE_MIN) {
        part_ref(piece.part);
        resp_reference(out, piece.data.data, piece.data.size, part_release, piece.part);
    } else {
        resp_raw(out, piece.data.data, piece.data.size);
    }
    return ST_OK;
}

/* Index from the start of a string of that size: negative ones count from its end. */
static int64_t index_from_start(int64_t index, int64_t size)
{
    if (index >= 0) {
        return index;
    }
    return index < -size ? 0 : index + size;
}

enum status strings_getrange(struct call *call)
{
    int64_t start;
    int64_t stop;
    if (!argument_int64(call, call->argv[2], &start) ||
        !argument_int64(call, call->argv[3], &stop)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (!strings_fits(call, &value)) {
        return ST_OK;
    }
    int64_t size = value.type == VALUE_NONE ? 0 : (int64_t)text_size(&value);
    bool crossed = start < 0 && stop < 0 && start > stop;
    start = index_from_start(start, size);
    stop = index_from_start(stop, size);
    if (stop >= size) {
        stop = size - 1;
    }
    if (crossed || size == 0 || start > stop) {
        resp_bulk(call->out, "", 0);
        return ST_OK;
    }
    uint64_t count = (uint64_t)(stop - start) + 1;
    resp_bulk_header(call->out, count);
    status = text_pieces(&value, (uint64_t)start, count, reply_range_piece, call->out);
    resp_bulk_end(call->out);
    return status;
}
