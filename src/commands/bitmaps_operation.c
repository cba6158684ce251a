/* BITOP: strings combined bit by bit.
 *
 * The result is one value, so it is made in one block of memory; the strings it comes from are read
 * in chunks of STEP bytes, all of them for one chunk before the next, so that the chunk of the
 * result stays in the processor's cache while they pass over it.
 */
#include "src/commands/bitmaps_private.h"

#define STEP ((size_t)16 * 1024)

enum operation { OPERATION_AND, OPERATION_OR, OPERATION_XOR, OPERATION_NOT };

static bool operation_read(struct bytes word, enum operation *operation_out)
{
    static const char *const words[] = {"and", "or", "xor", "not"};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (argument_is(word, words[i])) {
            *operation_out = (enum operation)i;
            return true;
        }
    }
    return false;
}

static inline __attribute__((always_inline)) uint64_t combined(enum operation operation, uint64_t a,
                                                               uint64_t b)
{
    switch (operation) {
    case OPERATION_AND:
        return a & b;
    case OPERATION_OR:
        return a | b;
    case OPERATION_XOR:
        return a ^ b;
    case OPERATION_NOT:
        return ~b;
    }
    return 0;
}

/* Inlined with a constant operation, so that the loops have no branches but their own. */
static inline __attribute__((always_inline)) void
combine_as(enum operation operation, unsigned char *to, const unsigned char *from, size_t size)
{
    for (; size >= 16; to += 16, from += 16, size -= 16) {
        store_u64(to, combined(operation, load_u64(to), load_u64(from)));
        store_u64(to + 8, combined(operation, load_u64(to + 8), load_u64(from + 8)));
    }
    for (; size > 0; to++, from++, size--) {
        *to = (unsigned char)combined(operation, *to, *from);
    }
}

static void combine(enum operation operation, unsigned char *to, const unsigned char *from,
                    size_t size)
{
    switch (operation) {
    case OPERATION_AND:
        combine_as(OPERATION_AND, to, from, size);
        break;
    case OPERATION_OR:
        combine_as(OPERATION_OR, to, from, size);
        break;
    case OPERATION_XOR:
        combine_as(OPERATION_XOR, to, from, size);
        break;
    case OPERATION_NOT:
        combine_as(OPERATION_NOT, to, from, size);
        break;
    }
}

struct combination {
    enum operation operation;
    unsigned char *to;
};

static enum status combine_piece(void *ctx, struct value_piece piece)
{
    struct combination *combination = ctx;
    combine(combination->operation, combination->to, piece.data.data, piece.data.size);
    combination->to += piece.data.size;
    return ST_OK;
}

/* What a source has within [offset, offset + size). */
static size_t present_size(const struct value *value, uint64_t offset, size_t size)
{
    uint64_t total = bitmaps_size(value);
    uint64_t present = total > offset ? total - offset : 0;
    return present < size ? (size_t)present : size;
}

/* One chunk of the result. */
static enum status combine_chunk(enum operation operation, const struct value *sources,
                                 size_t count, uint64_t offset, size_t size, unsigned char *to)
{
    enum status status = bitmaps_read(&sources[0], offset, size, to);
    if (operation == OPERATION_NOT) {
        combine(OPERATION_NOT, to, to, size);
    }
    for (size_t i = 1; i < count && status == ST_OK; i++) {
        size_t present = present_size(&sources[i], offset, size);
        struct combination combination = {operation, to};
        if (present > 0) {
            status = text_pieces(&sources[i], offset, present, combine_piece, &combination);
        }
        if (operation == OPERATION_AND) {
            memset(to + present, 0, size - present);
        }
    }
    return status;
}

/* Reads all sources, the keys behind the target; misses are noted at once. *fits_out false: the
 * error is written. */
static enum status sources_read(struct call *call, struct value *sources, size_t count,
                                uint64_t *size_out, bool *fits_out)
{
    enum status wait = ST_OK;
    *size_out = 0;
    *fits_out = false;
    for (size_t i = 0; i < count; i++) {
        enum status status = txn_read(call->txn, (unsigned)(1 + i), &sources[i]);
        if (status == ST_WAIT) {
            wait = ST_WAIT;
        } else if (status != ST_OK) {
            return status;
        }
    }
    if (wait != ST_OK) {
        return wait;
    }
    for (size_t i = 0; i < count; i++) {
        if (!bitmaps_fits(call, &sources[i])) {
            return ST_OK;
        }
        uint64_t size = bitmaps_size(&sources[i]);
        *size_out = size > *size_out ? size : *size_out;
    }
    *fits_out = true;
    return ST_OK;
}

enum status bitmaps_bitop(struct call *call)
{
    enum operation operation;
    if (!operation_read(call->argv[1], &operation)) {
        reply_syntax_error(call);
        return ST_OK;
    }
    if (operation == OPERATION_NOT && call->argc != 4) {
        resp_error(call->out, "ERR BITOP NOT must be called with a single source key.");
        return ST_OK;
    }
    size_t count = call->key_count - 1;
    struct value *sources = arena_alloc(call->arena, count * sizeof(*sources));
    if (sources == NULL) {
        return ST_NOMEM;
    }
    uint64_t size;
    bool fits;
    enum status status = sources_read(call, sources, count, &size, &fits);
    if (status != ST_OK || !fits) {
        return status;
    }
    if (size == 0) {
        resp_integer(call->out, 0);
        return txn_delete(call->txn, 0, NULL);
    }
    unsigned char *result = arena_alloc(call->arena, (size_t)size); /* Lives until txn_end. */
    if (result == NULL) {
        return ST_NOMEM;
    }
    for (uint64_t offset = 0; offset < size && status == ST_OK; offset += STEP) {
        size_t step = size - offset < STEP ? (size_t)(size - offset) : STEP;
        status = combine_chunk(operation, sources, count, offset, step, result + offset);
    }
    if (status == ST_OK) {
        status = txn_text_set(call->txn, 0, bytes_of(result, (size_t)size), BASIN_NO_EXPIRY);
    }
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)size);
    }
    return status;
}
