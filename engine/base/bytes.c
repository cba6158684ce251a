#include "engine/base/bytes.h"

#include "engine/base/check.h"

#include <stdlib.h>

bool bytes_to_int64(struct bytes text, int64_t *value_out)
{
    const char *p = text.data;
    size_t size = text.size;
    if (size == 0 || size >= INT64_TEXT_MAX) {
        return false;
    }
    bool negative = p[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == size) {
        return false;
    }
    if (p[i] == '0') {
        if (size != 1) {
            return false; /* "-0", "01" */
        }
        *value_out = 0;
        return true;
    }
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;
    for (; i < size; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(p[i] - '0');
        if (value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *value_out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

size_t int64_to_text(int64_t value, char *text)
{
    char digits[INT64_TEXT_MAX];
    size_t count = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    size_t size = 0;
    if (value < 0) {
        text[size++] = '-';
    }
    while (count > 0) {
        text[size++] = digits[--count];
    }
    return size;
}

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    *buf = BUF_EMPTY;
}

enum status buf_reserve(struct buf *buf, size_t size)
{
    if (size <= buf->capacity - buf->size) {
        return ST_OK;
    }
    if (size > SIZE_MAX / 2 - buf->size) {
        return ST_NOMEM;
    }
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
    while (capacity < buf->size + size) {
        capacity *= 2;
    }
    unsigned char *data = realloc(buf->data, capacity);
    if (data == NULL) {
        return ST_NOMEM;
    }
    buf->data = data;
    buf->capacity = capacity;
    return ST_OK;
}

unsigned char *buf_extend(struct buf *buf, size_t size)
{
    /* Room for nothing has an address too: NULL says that there is no memory. */
    if (buf_reserve(buf, size == 0 && buf->data == NULL ? 1 : size) != ST_OK) {
        return NULL;
    }
    unsigned char *room = buf->data + buf->size;
    buf->size += size;
    return room;
}

enum status buf_append(struct buf *buf, struct bytes bytes)
{
    if (bytes.size == 0) {
        return ST_OK;
    }
    unsigned char *room = buf_extend(buf, bytes.size);
    if (room == NULL) {
        return ST_NOMEM;
    }
    memcpy(room, bytes.data, bytes.size);
    return ST_OK;
}

void buf_clear(struct buf *buf, size_t keep_size)
{
    if (buf->capacity > keep_size) {
        buf_deinit(buf);
    }
    buf->size = 0;
}

size_t varint_store(void *p, uint64_t value)
{
    unsigned char *bytes = p;
    size_t size = 0;
    while (value >= 0x80) {
        bytes[size++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (unsigned char)value;
    return size;
}

size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

bool varint_take(struct bytes *in, uint64_t *value_out)
{
    const unsigned char *p = in->data;
    uint64_t value = 0;
    for (size_t i = 0; i < in->size && i < VARINT_MAX; i++) {
        uint64_t bits = p[i] & 0x7f;
        if (i == 9 && bits > 1) {
            return false;
        }
        value |= bits << (7 * i);
        if (p[i] < 0x80) {
            *in = bytes_of(p + i + 1, in->size - i - 1);
            *value_out = value;
            return true;
        }
    }
    return false;
}

bool varint_take_shortest(struct bytes *in, uint64_t *value_out)
{
    struct bytes rest = *in;
    uint64_t value;
    if (!varint_take(&rest, &value) || in->size - rest.size != varint_size(value)) {
        return false;
    }
    *value_out = value;
    *in = rest;
    return true;
}

bool bytes_take_sized(struct bytes *in, struct bytes *out)
{
    struct bytes rest = *in;
    uint64_t size;
    if (!varint_take_shortest(&rest, &size) || size > rest.size) {
        return false;
    }
    *out = bytes_slice(rest, 0, (size_t)size);
    *in = bytes_slice(rest, (size_t)size, rest.size);
    return true;
}
