/* Bitmaps: single bits of strings, and the rows of the family. */
#include "src/commands/bitmaps_private.h"

#include "src/config/config.h"
#include "src/server.h"

/* ------------------------------------------------------------------------------------------
 * Shared by the family.
 */

bool bitmaps_fits(struct call *call, const struct value *value)
{
    if (__builtin_expect(value->type != VALUE_STRING && value->type != VALUE_NONE, 0)) {
        reply_wrong_type(call);
        return false;
    }
    return true;
}

uint64_t bitmaps_size(const struct value *value)
{
    return value->type == VALUE_NONE ? 0 : text_size(value);
}

static enum status copy_piece(void *ctx, struct value_piece piece)
{
    unsigned char **to = ctx;
    memcpy(*to, piece.data.data, piece.data.size);
    *to += piece.data.size;
    return ST_OK;
}

enum status bitmaps_read(const struct value *value, uint64_t offset, size_t size,
                         unsigned char *out)
{
    uint64_t present = bitmaps_size(value);
    present = present > offset ? present - offset : 0;
    if (present < size) {
        memset(out + present, 0, size - (size_t)present);
        size = (size_t)present;
    }
    return size == 0 ? ST_OK : text_pieces(value, offset, size, copy_piece, &out);
}

bool bitmaps_offset(struct call *call, struct bytes argument, bool hash, unsigned bits,
                    uint64_t *offset_out)
{
    int64_t offset;
    bool numbered = hash && argument.size > 0 && *(const char *)argument.data == '#';
    struct bytes number = numbered ? bytes_slice(argument, 1, argument.size) : argument;
    if (bytes_to_int64(number, &offset) && offset >= 0 &&
        (!numbered || !__builtin_mul_overflow(offset, (int64_t)bits, &offset)) &&
        offset / 8 < config_get(&call->server->config->bulk_max)) {
        *offset_out = (uint64_t)offset;
        return true;
    }
    resp_error(call->out, "ERR bit offset is not an integer or out of range");
    return false;
}

/* ------------------------------------------------------------------------------------------
 * One bit.
 */

static enum status setbit(struct call *call)
{
    uint64_t offset;
    int64_t bit;
    if (!bitmaps_offset(call, call->argv[2], false, 0, &offset)) {
        return ST_OK;
    }
    if (!bytes_to_int64(call->argv[3], &bit) || (bit != 0 && bit != 1)) {
        resp_error(call->out, "ERR bit is not an integer or out of range");
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK || !bitmaps_fits(call, &value)) {
        return status;
    }
    unsigned char old;
    status = bitmaps_read(&value, offset / 8, 1, &old);
    if (status != ST_OK) {
        return status;
    }
    unsigned char mask = (unsigned char)(0x80u >> offset % 8);
    unsigned char changed = (unsigned char)(bit == 1 ? old | mask : old & ~mask);
    if (changed != old || offset / 8 >= bitmaps_size(&value)) {
        status = txn_text_write(call->txn, 0, offset / 8, bytes_of(&changed, 1));
    }
    if (status == ST_OK) {
        resp_integer(call->out, (old & mask) != 0);
    }
    return status;
}

static enum status getbit(struct call *call)
{
    uint64_t offset;
    if (!bitmaps_offset(call, call->argv[2], false, 0, &offset)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_read(call->txn, 0, &value);
    if (status != ST_OK || !bitmaps_fits(call, &value)) {
        return status;
    }
    unsigned char byte;
    status = bitmaps_read(&value, offset / 8, 1, &byte);
    if (status == ST_OK) {
        resp_integer(call->out, byte >> (7 - offset % 8) & 1);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Rows.
 */

/* The target at 2, what it is made of behind it. */
#define KEYS_BITOP                                                                                 \
    {                                                                                              \
        {.flags = KEY_OW | KEY_UPDATE, .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1},  \
        {                                                                                          \
            .flags = KEY_RO | KEY_ACCESS, .begin = 3, .find = KEY_FIND_RANGE, .last = -1,          \
            .step = 1                                                                              \
        }                                                                                          \
    }

const struct command bitmaps_commands[] = {
    {.name = "bitcount",
     .handler = bitmaps_bitcount,
     .arity = -2,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_BITMAP | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "bitmap",
     .since = "2.6.0",
     .complexity = "O(N) where N is the size of the range in bytes.",
     .summary = "Counts the bits of a string that are set.",
     .arguments = "key [start end [BYTE | BIT]]"},
    {.name = "bitfield",
     .handler = bitmaps_bitfield,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_BITMAP | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE),
     .group = "bitmap",
     .since = "3.2.0",
     .complexity = "O(N*log(N)) where N is the number of fields.",
     .summary = "Reads and changes integers of any width within a string.",
     .arguments = "key [GET encoding offset | OVERFLOW (WRAP | SAT | FAIL) | "
                  "SET encoding offset value | INCRBY encoding offset increment ...]",
     .key_flags = bitmaps_bitfield_key_flags},
    {.name = "bitfield_ro",
     .handler = bitmaps_bitfield_ro,
     .arity = -2,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_BITMAP | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "bitmap",
     .since = "6.0.0",
     .complexity = "O(N*log(N)) where N is the number of fields.",
     .summary = "Reads integers of any width within a string.",
     .arguments = "key [GET encoding offset [GET encoding offset ...]]"},
    {.name = "bitop",
     .handler = bitmaps_bitop,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_BITMAP | CAT_SLOW,
     .keys = KEYS_BITOP,
     .group = "bitmap",
     .since = "2.6.0",
     .complexity = "O(N) where N is the size of all the strings together.",
     .summary = "Combines strings bit by bit and stores the result.",
     .arguments = "AND | OR | XOR | NOT destkey key [key ...]"},
    {.name = "bitpos",
     .handler = bitmaps_bitpos,
     .arity = -3,
     .flags = CMD_READONLY,
     .categories = CAT_READ | CAT_BITMAP | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "bitmap",
     .since = "2.8.7",
     .complexity = "O(N) where N is the distance to the bit, in bytes.",
     .summary = "Finds the first bit of a string that is set, or that is clear.",
     .arguments = "key bit [start [end [BYTE | BIT]]]"},
    {.name = "getbit",
     .handler = getbit,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .categories = CAT_READ | CAT_BITMAP | CAT_FAST,
     .keys = KEYS_ONE(KEY_RO | KEY_ACCESS),
     .group = "bitmap",
     .since = "2.2.0",
     .complexity = "O(1)",
     .summary = "Gives a bit of a string.",
     .arguments = "key offset"},
    {.name = "setbit",
     .handler = setbit,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .categories = CAT_WRITE | CAT_BITMAP | CAT_SLOW,
     .keys = KEYS_ONE(KEY_RW | KEY_ACCESS | KEY_UPDATE),
     .group = "bitmap",
     .since = "2.2.0",
     .complexity = "O(1), and the gap where the string grows.",
     .summary = "Sets or clears a bit of a string; gives what it was before.",
     .arguments = "key offset value"},
    {.name = NULL},
};
