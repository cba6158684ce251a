/* Lengths, strings and doubles in the notation of RDB.
 *
 * Length: by the two high bits of its first byte
 *   00  six bits               01  14 bits, big-endian, with the next byte
 *   10  0x80: u32, 0x81: u64, big-endian, follow
 *   11  no length: a string that is (low six bits) 0, 1, 2: an integer of 8, 16, 32 bits,
 *       little-endian; 3: compressed: length of that, length of the text, bytes of LZF
 */
#include "src/rdb/rdb_private.h"

#include "engine/base/check.h"

#include <ctype.h>
#include <errno.h>
#include <liblzf/lzf.h>
#include <math.h>
#include <stdlib.h>

#define LENGTH_32 0x80
#define LENGTH_64 0x81
#define STRING_INT8 0xc0
#define STRING_INT16 0xc1
#define STRING_INT32 0xc2
#define STRING_LZF 0xc3

/* -- Writing --------------------------------------------------------------------------------- */

enum status rdb_put_byte(struct buf *out, unsigned byte)
{
    unsigned char c = (unsigned char)byte;
    return buf_append(out, bytes_of(&c, 1));
}

enum status rdb_put_u64(struct buf *out, uint64_t value)
{
    unsigned char bytes[8];
    store_u64(bytes, value);
    return buf_append(out, bytes_of(bytes, sizeof(bytes)));
}

enum status rdb_put_length(struct buf *out, uint64_t length)
{
    unsigned char bytes[9];
    size_t size;
    if (length < 1 << 6) {
        bytes[0] = (unsigned char)length;
        size = 1;
    } else if (length < 1 << 14) {
        bytes[0] = (unsigned char)(0x40 | length >> 8);
        bytes[1] = (unsigned char)length;
        size = 2;
    } else {
        size = length <= UINT32_MAX ? 5 : 9;
        bytes[0] = size == 5 ? LENGTH_32 : LENGTH_64;
        for (size_t i = size - 1; i > 0; i--, length >>= 8) {
            bytes[i] = (unsigned char)length;
        }
    }
    return buf_append(out, bytes_of(bytes, size));
}

enum status rdb_put_string(struct buf *out, struct bytes string)
{
    int64_t value;
    if (bytes_to_int64(string, &value) && value >= INT32_MIN && value <= INT32_MAX) {
        unsigned char bytes[9];
        bool one = value >= INT8_MIN && value <= INT8_MAX;
        bool two = value >= INT16_MIN && value <= INT16_MAX;
        bytes[0] = one ? STRING_INT8 : two ? STRING_INT16 : STRING_INT32;
        store_u64(bytes + 1, (uint64_t)value);
        return buf_append(out, bytes_of(bytes, one ? 2 : two ? 3 : 5));
    }
    enum status status = rdb_put_length(out, string.size);
    return status == ST_OK ? buf_append(out, string) : status;
}

/* -- The encoded form ------------------------------------------------------------------------ */

struct bytes encoded_bytes(struct bytes *in, uint64_t size)
{
    CHECK(size <= in->size);
    struct bytes taken = bytes_of(in->data, (size_t)size);
    *in = bytes_slice(*in, (size_t)size, in->size);
    return taken;
}

uint64_t encoded_varint(struct bytes *in)
{
    uint64_t value = 0;
    bool read = varint_take(in, &value);
    CHECK(read);
    return value;
}

uint64_t encoded_u64(struct bytes *in)
{
    return load_u64(encoded_bytes(in, 8).data);
}

unsigned encoded_byte(struct bytes *in)
{
    return *(const unsigned char *)encoded_bytes(in, 1).data;
}

struct bytes encoded_sized(struct bytes *in)
{
    uint64_t size = encoded_varint(in);
    return encoded_bytes(in, size);
}

/* -- Reading --------------------------------------------------------------------------------- */

enum status rdb_take_bytes(struct rdb_reader *reader, uint64_t size, struct bytes *bytes_out)
{
    if (size > reader->rest.size) {
        return ST_CORRUPT;
    }
    *bytes_out = bytes_of(reader->rest.data, (size_t)size);
    reader->rest = bytes_slice(reader->rest, (size_t)size, reader->rest.size);
    return ST_OK;
}

enum status rdb_take_byte(struct rdb_reader *reader, unsigned *byte_out)
{
    struct bytes byte;
    enum status status = rdb_take_bytes(reader, 1, &byte);
    if (status == ST_OK) {
        *byte_out = *(const unsigned char *)byte.data;
    }
    return status;
}

enum status rdb_take_u64(struct rdb_reader *reader, uint64_t *value_out)
{
    struct bytes bytes;
    enum status status = rdb_take_bytes(reader, 8, &bytes);
    if (status == ST_OK) {
        *value_out = load_u64(bytes.data);
    }
    return status;
}

/* The length that begins with this byte. */
static enum status length_rest(struct rdb_reader *reader, unsigned first, uint64_t *length_out)
{
    unsigned follow = first < 0x40         ? 0
                      : first < 0x80       ? 1
                      : first == LENGTH_32 ? 4
                      : first == LENGTH_64 ? 8
                                           : UINT8_MAX;
    struct bytes bytes;
    enum status status = follow == UINT8_MAX ? ST_CORRUPT : rdb_take_bytes(reader, follow, &bytes);
    if (status != ST_OK) {
        return status;
    }
    uint64_t length = first < 0x80 ? first & 0x3f : 0;
    for (unsigned i = 0; i < follow; i++) {
        length = length << 8 | ((const unsigned char *)bytes.data)[i];
    }
    *length_out = length;
    return ST_OK;
}

enum status rdb_take_length(struct rdb_reader *reader, uint64_t *length_out)
{
    unsigned first;
    enum status status = rdb_take_byte(reader, &first);
    return status == ST_OK ? length_rest(reader, first, length_out) : status;
}

static enum status take_integer(struct rdb_reader *reader, unsigned width, struct bytes *string_out)
{
    struct bytes bytes;
    enum status status = rdb_take_bytes(reader, width, &bytes);
    if (status != ST_OK) {
        return status;
    }
    unsigned char padded[4] = {0};
    memcpy(padded, bytes.data, width);
    uint32_t bits = load_u32(padded);
    int64_t value = width == 1 ? (int8_t)bits : width == 2 ? (int16_t)bits : (int32_t)bits;
    *string_out = bytes_of(reader->digits, int64_to_text(value, reader->digits));
    return ST_OK;
}

static enum status take_compressed(struct rdb_reader *reader, struct bytes *string_out)
{
    uint64_t packed_size;
    uint64_t size;
    struct bytes packed;
    enum status status = rdb_take_length(reader, &packed_size);
    if (status == ST_OK) {
        status = rdb_take_length(reader, &size);
    }
    if (status == ST_OK) {
        status = rdb_take_bytes(reader, packed_size, &packed);
    }
    if (status != ST_OK) {
        return status;
    }
    if (packed_size == 0 || packed_size > UINT32_MAX || size == 0 || size > UINT32_MAX ||
        size > reader->size_max) {
        return ST_CORRUPT;
    }
    reader->text.size = 0;
    unsigned char *room = buf_extend(&reader->text, (size_t)size);
    if (room == NULL) {
        return ST_NOMEM;
    }
    unsigned made = lzf_decompress(packed.data, (unsigned)packed_size, room, (unsigned)size);
    *string_out = buf_bytes(&reader->text);
    return made == size ? ST_OK : ST_CORRUPT;
}

enum status rdb_take_string(struct rdb_reader *reader, struct bytes *string_out)
{
    unsigned first;
    enum status status = rdb_take_byte(reader, &first);
    if (status != ST_OK) {
        return status;
    }
    if (first >= STRING_INT8 && first <= STRING_INT32) {
        return take_integer(reader, 1u << (first - STRING_INT8), string_out);
    }
    if (first == STRING_LZF) {
        return take_compressed(reader, string_out);
    }
    uint64_t size;
    status = length_rest(reader, first, &size);
    return status == ST_OK ? rdb_take_bytes(reader, size, string_out) : status;
}

/* Longer text is no score that Redis wrote. */
#define DOUBLE_TEXT_MAX 255

enum status rdb_read_double(struct bytes text, double *value_out)
{
    char copy[DOUBLE_TEXT_MAX + 1];
    if (text.size == 0 || text.size > DOUBLE_TEXT_MAX) {
        return ST_CORRUPT;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end;
    double value = strtod(copy, &end);
    if (isspace((unsigned char)copy[0]) || end != copy + text.size || isnan(value)) {
        return ST_CORRUPT;
    }
    *value_out = value;
    return ST_OK;
}

/* -- Giving ---------------------------------------------------------------------------------- */

enum status rdb_give_bytes(struct rdb_reader *reader, struct bytes bytes)
{
    if (bytes.size > reader->size_max - reader->out->size) {
        return ST_CORRUPT;
    }
    return buf_append(reader->out, bytes);
}

enum status rdb_give_varint(struct rdb_reader *reader, uint64_t value)
{
    unsigned char bytes[VARINT_MAX];
    return rdb_give_bytes(reader, bytes_of(bytes, varint_store(bytes, value)));
}

enum status rdb_give_u64(struct rdb_reader *reader, uint64_t value)
{
    unsigned char bytes[8];
    store_u64(bytes, value);
    return rdb_give_bytes(reader, bytes_of(bytes, sizeof(bytes)));
}

enum status rdb_give_sized(struct rdb_reader *reader, struct bytes bytes)
{
    enum status status = rdb_give_varint(reader, bytes.size);
    return status == ST_OK ? rdb_give_bytes(reader, bytes) : status;
}
