/* LCS: the longest common subsequence of two strings.
 *
 * The classic table of lengths, row by row, but only two rows of it are kept: LEN needs no more. To
 * find the way back (the subsequence itself, or where it lies) one bit a cell is enough: whether
 * the cell above is longer than the one to the left. Where both bytes are equal the way goes
 * diagonally. So the table is 32 times smaller than one of 32-bit lengths.
 */
#include "src/commands/strings_private.h"

#include "src/config/config.h"
#include "src/server.h"

#include <stdlib.h>

struct options {
    bool length_only, ranges, with_lengths;
    uint64_t range_min; /* Shorter ranges are not told. */
};

struct lcs {
    struct bytes a, b;
    uint64_t length;
    uint64_t row_size;         /* Bytes of a row of `above`. */
    unsigned char *above;      /* Bits, (a.size + 1) rows of b.size + 1; NULL: not wanted. */
    uint32_t *row, *row_above; /* Lengths. */
};

static bool options_read(struct call *call, struct options *options)
{
    *options = (struct options){0};
    for (size_t i = 3; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        if (argument_is(word, "idx")) {
            options->ranges = true;
        } else if (argument_is(word, "len")) {
            options->length_only = true;
        } else if (argument_is(word, "withmatchlen")) {
            options->with_lengths = true;
        } else if (argument_is(word, "minmatchlen") && i + 1 < call->argc) {
            int64_t min;
            if (!argument_int64(call, call->argv[++i], &min)) {
                return false;
            }
            options->range_min = min < 0 ? 0 : (uint64_t)min;
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    if (options->ranges && options->length_only) {
        resp_error(call->out, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

static unsigned char byte_at(struct bytes bytes, uint64_t index)
{
    return ((const unsigned char *)bytes.data)[index];
}

static bool above_is_longer(const struct lcs *lcs, uint64_t i, uint64_t j)
{
    return (lcs->above[i * lcs->row_size + j / 8] >> (j % 8) & 1) != 0;
}

/* Fills rows and bits. Row i and column j stand for the first i and j bytes. */
static void solve(struct lcs *lcs)
{
    for (uint64_t i = 1; i <= lcs->a.size; i++) {
        unsigned char c = byte_at(lcs->a, i - 1);
        uint32_t *swap = lcs->row_above;
        lcs->row_above = lcs->row;
        lcs->row = swap;
        const uint32_t *up = lcs->row_above;
        uint32_t left = 0;
        for (uint64_t j = 1; j <= lcs->b.size; j++) {
            if (byte_at(lcs->b, j - 1) == c) {
                left = up[j - 1] + 1;
            } else if (up[j] > left) {
                left = up[j];
                if (lcs->above != NULL) {
                    lcs->above[i * lcs->row_size + j / 8] |= (unsigned char)(1u << (j % 8));
                }
            }
            lcs->row[j] = left;
        }
    }
    lcs->length = lcs->row[lcs->b.size];
}

/* Memory for the tables; ST_NOMEM, or ST_LIMIT: more than max bytes. */
static enum status lcs_init(struct lcs *lcs, struct bytes a, struct bytes b, bool way_back,
                            uint64_t max)
{
    *lcs = (struct lcs){.a = a, .b = b, .row_size = b.size / 8 + 1};
    /* The limit is on the work: a cell each pair, counted as four bytes, as Redis counts. */
    uint64_t cells;
    if (a.size >= UINT32_MAX || b.size >= UINT32_MAX ||
        __builtin_mul_overflow(a.size + 1, b.size + 1, &cells) || cells > max / 4) {
        return ST_LIMIT;
    }
    uint64_t bits = lcs->row_size * (a.size + 1);
    lcs->row = calloc(b.size + 1, sizeof(*lcs->row));
    lcs->row_above = calloc(b.size + 1, sizeof(*lcs->row_above));
    lcs->above = way_back ? calloc(bits, 1) : NULL;
    if (lcs->row == NULL || lcs->row_above == NULL || (way_back && lcs->above == NULL)) {
        return ST_NOMEM;
    }
    return ST_OK;
}

static void lcs_deinit(struct lcs *lcs)
{
    free(lcs->row);
    free(lcs->row_above);
    free(lcs->above);
}

static enum status reply_subsequence(struct call *call, const struct lcs *lcs)
{
    unsigned char *text = malloc(lcs->length + 1);
    if (text == NULL) {
        return ST_NOMEM;
    }
    uint64_t left = lcs->length;
    for (uint64_t i = lcs->a.size, j = lcs->b.size; left > 0;) {
        if (byte_at(lcs->a, i - 1) == byte_at(lcs->b, j - 1)) {
            text[--left] = byte_at(lcs->a, i - 1);
            i--;
            j--;
        } else if (above_is_longer(lcs, i, j)) {
            i--;
        } else {
            j--;
        }
    }
    resp_bulk(call->out, text, lcs->length);
    free(text);
    return ST_OK;
}

static void reply_match(struct call *call, const struct options *options, uint64_t i, uint64_t j,
                        uint64_t size)
{
    resp_array(call->out, options->with_lengths ? 3 : 2);
    const uint64_t starts[2] = {i, j};
    for (int k = 0; k < 2; k++) {
        resp_array(call->out, 2);
        resp_integer(call->out, (int64_t)starts[k]);
        resp_integer(call->out, (int64_t)(starts[k] + size - 1));
    }
    if (options->with_lengths) {
        resp_integer(call->out, (int64_t)size);
    }
}

/* Walks back over the runs of equal bytes that lie side by side in both strings; gives how many are
 * long enough, and writes them if asked to. */
static uint64_t walk_ranges(struct call *call, const struct lcs *lcs, const struct options *options,
                            bool write)
{
    uint64_t count = 0;
    uint64_t run = 0;
    uint64_t left = lcs->length;
    uint64_t i = lcs->a.size;
    uint64_t j = lcs->b.size;
    while (left > 0 || run > 0) {
        if (left > 0 && byte_at(lcs->a, i - 1) == byte_at(lcs->b, j - 1)) {
            i--;
            j--;
            left--;
            run++;
            continue;
        }
        /* The run begins at i and j. */
        if (run > 0 && run >= options->range_min) {
            count++;
            if (write) {
                reply_match(call, options, i, j, run);
            }
        }
        run = 0;
        if (left == 0) {
            break;
        }
        if (above_is_longer(lcs, i, j)) {
            i--;
        } else {
            j--;
        }
    }
    return count;
}

static enum status reply_lcs(struct call *call, const struct options *options, struct bytes a,
                             struct bytes b)
{
    struct lcs lcs;
    uint64_t max = (uint64_t)config_get(&call->server->config->bulk_max);
    enum status status = lcs_init(&lcs, a, b, !options->length_only, max);
    if (status == ST_OK) {
        solve(&lcs);
        if (options->length_only) {
            resp_integer(call->out, (int64_t)lcs.length);
        } else if (options->ranges) {
            resp_map(call->out, 2);
            resp_bulk_text(call->out, "matches");
            resp_array(call->out, walk_ranges(call, &lcs, options, false));
            walk_ranges(call, &lcs, options, true);
            resp_bulk_text(call->out, "len");
            resp_integer(call->out, (int64_t)lcs.length);
        } else {
            status = reply_subsequence(call, &lcs);
        }
    }
    lcs_deinit(&lcs);
    if (status == ST_LIMIT) {
        resp_error(call->out, "ERR Insufficient memory, transient memory for LCS exceeds "
                              "proto-max-bulk-len");
        return ST_OK;
    }
    if (status == ST_NOMEM) {
        resp_error(call->out,
                   "ERR Insufficient memory, failed allocating transient memory for LCS");
        return ST_OK;
    }
    return status;
}

/* The whole string in one piece; buf is used where it is not. */
static enum status whole(const struct value *value, struct buf *buf, struct bytes *bytes_out)
{
    if (value->type == VALUE_NONE) {
        *bytes_out = BYTES_NONE;
        return ST_OK;
    }
    if (value->shape == VALUE_PACKED) {
        *bytes_out = value->packed;
        return ST_OK;
    }
    enum status status = text_read(value, 0, text_size(value), buf);
    *bytes_out = buf_bytes(buf);
    return status;
}

enum status strings_lcs(struct call *call)
{
    struct value values[2];
    enum status status = txn_read(call->txn, 0, &values[0]);
    enum status second = txn_read(call->txn, 1, &values[1]);
    if (status != ST_OK || second != ST_OK) {
        return status != ST_OK ? status : second;
    }
    for (int i = 0; i < 2; i++) {
        if (values[i].type != VALUE_STRING && values[i].type != VALUE_NONE) {
            resp_error(call->out, "ERR The specified keys must contain string values");
            return ST_OK;
        }
    }
    struct options options;
    if (!options_read(call, &options)) {
        return ST_OK;
    }
    struct buf bufs[2] = {BUF_EMPTY, BUF_EMPTY};
    struct bytes texts[2];
    status = whole(&values[0], &bufs[0], &texts[0]);
    if (status == ST_OK) {
        status = whole(&values[1], &bufs[1], &texts[1]);
    }
    if (status == ST_OK) {
        status = reply_lcs(call, &options, texts[0], texts[1]);
    }
    buf_deinit(&bufs[0]);
    buf_deinit(&bufs[1]);
    return status;
}
