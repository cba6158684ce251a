/* Chunk collections: ordered content of a key, duplicates thrown away. LRANGE, LINDEX and LLEN read
 * them too. */
#include "src/dispatch/call.h"

#define DIGEST_HEX_SIZE (2 * CHUNK_DIGEST_SIZE)

/* Whether a key that was read is absent or a collection; if not, the error is written. */
static bool chunks_fits(struct call *call, const struct value *value)
{
    if (value->type != VALUE_CHUNKS && value->type != VALUE_NONE) {
        reply_wrong_type(call);
        return false;
    }
    return true;
}

static enum status append(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !chunks_fits(call, &value)) {
        return status;
    }
    uint64_t new_count = 0;
    status = txn_chunk_append(call->txn, 0, call->argv + 2, call->argc - 2, &new_count);
    if (status == ST_OK) {
        resp_integer(call->out, (int64_t)new_count);
    }
    return status;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool digest_from_hex(struct bytes text, struct chunk_digest *digest)
{
    const unsigned char *hex = text.data;
    for (size_t i = 0; i < CHUNK_DIGEST_SIZE; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        digest->bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* False: the error is written. */
static bool digest_argument(struct call *call, struct bytes argument, struct chunk_digest *digest)
{
    if (argument.size == CHUNK_DIGEST_SIZE) {
        memcpy(digest->bytes, argument.data, CHUNK_DIGEST_SIZE);
        return true;
    }
    if (argument.size == DIGEST_HEX_SIZE && digest_from_hex(argument, digest)) {
        return true;
    }
    resp_error(call->out, "ERR digest must be 64 hexadecimal digits or 32 bytes");
    return false;
}

/* Finds the chunk that argv[2] names, in key 0. *fits_out false: the error is written. */
static enum status find(struct call *call, struct value *value, uint64_t *index_out,
                        bool *found_out, bool *fits_out)
{
    struct chunk_digest digest;
    *found_out = false;
    *fits_out = false;
    if (!digest_argument(call, call->argv[2], &digest)) {
        return ST_OK;
    }
    enum status status = txn_read(call->txn, 0, value);
    if (status != ST_OK || !chunks_fits(call, value)) {
        return status;
    }
    *fits_out = true;
    return value->type == VALUE_NONE ? ST_OK : chunks_find(value, &digest, index_out, found_out);
}

static enum status has(struct call *call)
{
    struct value value;
    uint64_t index;
    bool found;
    bool fits;
    enum status status = find(call, &value, &index, &found, &fits);
    if (status == ST_OK && fits) {
        resp_integer(call->out, found);
    }
    return status;
}

static enum status get(struct call *call)
{
    struct value value;
    uint64_t index;
    bool found;
    bool fits;
    enum status status = find(call, &value, &index, &found, &fits);
    if (status != ST_OK || !fits) {
        return status;
    }
    if (!found) {
        resp_null(call->out);
        return ST_OK;
    }
    struct value_piece piece;
    status = chunks_at(&value, index, &piece);
    if (status == ST_OK) {
        reply_piece(call, piece);
    }
    return status;
}

static enum status reply_digest(void *ctx, struct value_piece piece)
{
    static const char digits[] = "0123456789abcdef";
    struct call *call = ctx;
    const unsigned char *bytes = piece.data.data;
    char hex[DIGEST_HEX_SIZE];
    for (size_t i = 0; i < CHUNK_DIGEST_SIZE; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    resp_bulk(call->out, hex, sizeof(hex));
    return ST_OK;
}

static enum status digests(struct call *call)
{
    int64_t start;
    int64_t stop;
    if (!argument_int64(call, call->argv[2], &start) ||
        !argument_int64(call, call->argv[3], &stop)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !chunks_fits(call, &value)) {
        return status;
    }
    int64_t size = value.type == VALUE_NONE ? 0 : (int64_t)chunks_count(&value);
    start = start < 0 ? start + size : start;
    stop = stop < 0 ? stop + size : stop;
    start = start < 0 ? 0 : start;
    stop = stop >= size ? size - 1 : stop;
    uint64_t count = start > stop ? 0 : (uint64_t)(stop - start) + 1;
    resp_array(call->out, count);
    return count == 0 ? ST_OK
                      : chunks_walk_digests(&value, (uint64_t)start, count, reply_digest, call);
}

const struct command collections_commands[] = {
    {.name = "chunk.append",
     .handler = append,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_CHUNKS | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_INSERT),
     .group = "chunks",
     .since = "0.1.0",
     .complexity = "O(S + C*log(N)) where S is the size of the chunks, C their number and N that "
                   "of those in the collection.",
     .summary = "Appends chunks that are not in the collection yet; gives how many were new.",
     .arguments = "key chunk [chunk ...]"},
    {.name = "chunk.digests",
     .handler = digests,
     .arity = 4,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_CHUNKS | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "chunks",
     .since = "0.1.0",
     .complexity = "O(log N + M) where N is the number of chunks and M that of digests returned.",
     .summary = "Gives the BLAKE3 digests of the chunks between two positions, in hexadecimal.",
     .arguments = "key start stop"},
    {.name = "chunk.get",
     .handler = get,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_CHUNKS | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "chunks",
     .since = "0.1.0",
     .complexity = "O(log N) where N is the number of chunks.",
     .summary = "Gives the chunk with a digest.",
     .arguments = "key digest"},
    {.name = "chunk.has",
     .handler = has,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_CHUNKS | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO),
     .group = "chunks",
     .since = "0.1.0",
     .complexity = "O(log N) where N is the number of chunks.",
     .summary = "Tells whether the collection holds a chunk with a digest.",
     .arguments = "key digest"},
    {.name = NULL},
};
