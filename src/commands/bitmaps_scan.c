/* Bits in a row: BITCOUNT and BITPOS, over words of 64 bits within each piece of the string.
 *
 * Where a range begins or ends within a byte, that byte is looked at by itself.
 */
#include "src/commands/bitmaps_private.h"

/* ------------------------------------------------------------------------------------------
 * Ranges.
 */

/* Of bytes or bits; both ends inclusive. */
struct range {
    int64_t start, end;
    bool bits;
};

/* BYTE or BIT; false: the error is written. */
static bool unit_read(struct call *call, struct bytes argument, bool *bits_out)
{
    *bits_out = argument_is(argument, "bit");
    if (*bits_out || argument_is(argument, "byte")) {
        return true;
    }
    reply_syntax_error(call);
    return false;
}

/* Counts negative ends from the end of a string of so many bytes, and cuts to what is there. False:
 * nothing is left. */
static bool range_resolve(struct range *range, uint64_t size)
{
    int64_t total = (int64_t)(range->bits ? size * 8 : size);
    range->start = range->start < 0 ? range->start + total : range->start;
    range->end = range->end < 0 ? range->end + total : range->end;
    range->start = range->start < 0 ? 0 : range->start;
    range->end = range->end < 0 ? 0 : range->end;
    range->end = range->end >= total ? total - 1 : range->end;
    return range->start <= range->end;
}

/* The bytes of a range that was resolved, and the bits of the first and the last one that do not
 * belong to it. */
struct span {
    uint64_t first, last;
    unsigned char before, behind;
};

static struct span span_of(const struct range *range)
{
    struct span span = {(uint64_t)range->start, (uint64_t)range->end, 0, 0};
    if (range->bits) {
        span =
            (struct span){span.first / 8, span.last / 8, (unsigned char)~(0xffu >> span.first % 8),
                          (unsigned char)(0x7fu >> span.last % 8)};
    }
    return span;
}

/* ------------------------------------------------------------------------------------------
 * BITCOUNT.
 */

/* Inlined into the two below, so that each counts with the instructions it may use. Four sums, as
 * one would make each addition wait for the one before. */
static inline __attribute__((always_inline)) uint64_t count_words(const unsigned char *data,
                                                                  size_t size)
{
    uint64_t sums[4] = {0};
    for (; size >= 32; data += 32, size -= 32) {
        sums[0] += (uint64_t)__builtin_popcountll(load_u64(data));
        sums[1] += (uint64_t)__builtin_popcountll(load_u64(data + 8));
        sums[2] += (uint64_t)__builtin_popcountll(load_u64(data + 16));
        sums[3] += (uint64_t)__builtin_popcountll(load_u64(data + 24));
    }
    for (; size > 0; data++, size--) {
        sums[0] += (uint64_t)__builtin_popcount(*data);
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
}

static uint64_t count_portably(const unsigned char *data, size_t size)
{
    return count_words(data, size);
}

#if defined(__x86_64__)
__attribute__((target("popcnt"))) static uint64_t count_by_instruction(const unsigned char *data,
                                                                       size_t size)
{
    return count_words(data, size);
}
#endif

static enum status count_piece(void *ctx, struct value_piece piece)
{
    uint64_t *count = ctx;
#if defined(__x86_64__)
    if (__builtin_expect(__builtin_cpu_supports("popcnt") != 0, 1)) {
        *count += count_by_instruction(piece.data.data, piece.data.size);
        return ST_OK;
    }
#endif
    *count += count_portably(piece.data.data, piece.data.size);
    return ST_OK;
}

static enum status count_span(const struct value *value, struct span span, uint64_t *count_out)
{
    unsigned char first;
    unsigned char last;
    *count_out = 0;
    enum status status = bitmaps_read(value, span.first, 1, &first);
    if (status == ST_OK) {
        status = bitmaps_read(value, span.last, 1, &last);
    }
    if (status == ST_OK) {
        status = text_pieces(value, span.first, span.last - span.first + 1, count_piece, count_out);
    }
    if (status == ST_OK) {
        *count_out -= (uint64_t)__builtin_popcount(first & span.before) +
                      (uint64_t)__builtin_popcount(last & span.behind);
    }
    return status;
}

/* *crossed_out: both ends count from the end, in the wrong order; the unit is not looked at then.
 * False: the error is written. */
static bool count_range_read(struct call *call, struct range *range, bool *crossed_out)
{
    *range = (struct range){0, -1, false};
    *crossed_out = false;
    if (call->argc == 2) {
        return true;
    }
    if (call->argc != 4 && call->argc != 5) {
        reply_syntax_error(call);
        return false;
    }
    if (!argument_int64(call, call->argv[2], &range->start) ||
        !argument_int64(call, call->argv[3], &range->end)) {
        return false;
    }
    *crossed_out = range->start < 0 && range->end < 0 && range->start > range->end;
    return *crossed_out || call->argc == 4 || unit_read(call, call->argv[4], &range->bits);
}

enum status bitmaps_bitcount(struct call *call)
{
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !bitmaps_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) { /* Whatever else the request says. */
        resp_integer(call->out, 0);
        return ST_OK;
    }
    struct range range;
    bool crossed;
    if (!count_range_read(call, &range, &crossed)) {
        return ST_OK;
    }
    uint64_t count = 0;
    if (!crossed && range_resolve(&range, text_size(&value))) {
        status = count_span(&value, span_of(&range), &count);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)count);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * BITPOS.
 */

struct search {
    unsigned char other; /* A byte of nothing but the bits that are not looked for. */
    uint64_t byte;       /* Where the next piece begins; once found, the byte. */
    unsigned char found; /* That byte, with the bits looked for set. */
};

/* Four words that are all the same one: one branch for 32 bytes. */
static inline bool words_equal(const unsigned char *data, uint64_t word)
{
    return ((load_u64(data) ^ word) | (load_u64(data + 8) ^ word) | (load_u64(data + 16) ^ word) |
            (load_u64(data + 24) ^ word)) == 0;
}

/* The first byte that has a bit of the kind looked for; then ends the walk. */
static enum status search_piece(void *ctx, struct value_piece piece)
{
    struct search *search = ctx;
    const unsigned char *data = piece.data.data;
    size_t size = piece.data.size;
    size_t at = 0;
    uint64_t others = search->other == 0 ? 0 : UINT64_MAX;
    while (at + 32 <= size && words_equal(data + at, others)) {
        at += 32;
    }
    while (at < size && data[at] == search->other) {
        at++;
    }
    search->byte += at;
    if (at == size) {
        return ST_OK;
    }
    search->found = data[at] ^ search->other;
    return ST_BUSY; /* Any failure ends the walk. */
}

/* One byte at an end of the range, without the bits in mask. */
static enum status search_edge(const struct value *value, uint64_t byte, unsigned char mask,
                               struct search *search)
{
    unsigned char data;
    enum status status = bitmaps_read(value, byte, 1, &data);
    if (status == ST_OK) {
        search->byte = byte;
        search->found = (data ^ search->other) & (unsigned char)~mask;
    }
    return status;
}

/* Looks through a span; found stays 0 where there is no such bit. */
static enum status search_span(const struct value *value, struct span span, struct search *search)
{
    if (span.first == span.last) {
        return search_edge(value, span.first, span.before | span.behind, search);
    }
    enum status status = search_edge(value, span.first, span.before, search);
    if (status == ST_OK && search->found == 0) {
        search->byte = span.first + 1;
        status =
            text_pieces(value, span.first + 1, span.last - span.first - 1, search_piece, search);
        status = search->found != 0 ? ST_OK : status;
    }
    if (status == ST_OK && search->found == 0) {
        status = search_edge(value, span.last, span.behind, search);
    }
    return status;
}

/* False: the error is written. */
static bool position_range_read(struct call *call, struct range *range)
{
    *range = (struct range){0, -1, false};
    if (call->argc > 6) {
        reply_syntax_error(call);
        return false;
    }
    return (call->argc < 4 || argument_int64(call, call->argv[3], &range->start)) &&
           (call->argc < 6 || unit_read(call, call->argv[5], &range->bits)) &&
           (call->argc < 5 || argument_int64(call, call->argv[4], &range->end));
}

enum status bitmaps_bitpos(struct call *call)
{
    int64_t bit;
    if (!argument_int64_range(call, call->argv[2], 0, 1, "ERR The bit argument must be 1 or 0.",
                              &bit)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !bitmaps_fits(call, &value)) {
        return status;
    }
    if (value.type == VALUE_NONE) { /* Whatever else the request says. */
        resp_integer(call->out, bit == 1 ? -1 : 0);
        return ST_OK;
    }
    struct range range;
    if (!position_range_read(call, &range)) {
        return ST_OK;
    }
    int64_t position = -1;
    struct search search = {.other = bit == 1 ? 0 : 0xff};
    if (range_resolve(&range, text_size(&value))) {
        status = search_span(&value, span_of(&range), &search);
        if (search.found != 0) {
            position = (int64_t)(search.byte * 8) + __builtin_clz(search.found) - 24;
        } else if (bit == 0 && call->argc < 5) {
            position = (int64_t)text_size(&value) * 8; /* The zeros behind a string without end. */
        }
    }
    if (status == ST_OK) {
        resp_integer(call->out, position);
    }
    return status;
}
