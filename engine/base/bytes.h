/* bytes: byte ranges, and the one growing buffer of the engine.
 *
 * `struct bytes` is a borrowed range; it may hold NUL and owns nothing. `struct buf` owns its
 * memory and grows by doubling; its bytes are lent until the next call that may grow it.
 * Thread: none of this is shared.
 */
#ifndef BASIN_ENGINE_BASE_BYTES_H
#define BASIN_ENGINE_BASE_BYTES_H

#include "engine/base/status.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const void *data;
    size_t size;
};

#define BYTES_NONE ((struct bytes){NULL, 0})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

/* The part from offset, at most size bytes; the caller vouches that offset lies within. */
static inline struct bytes bytes_slice(struct bytes whole, size_t offset, size_t size)
{
    size_t rest = whole.size - offset;
    return (struct bytes){(const char *)whole.data + offset, size < rest ? size : rest};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Order of memcmp, the shorter first where one is the other's beginning. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Decimal text, as Redis reads an integer: no spaces, no plus, no leading zeros, whole range of
 * int64. False leaves *value_out alone. */
bool bytes_to_int64(struct bytes text, int64_t *value_out);

#define INT64_TEXT_MAX 21

/* Writes the decimal text without NUL; gives its length. text holds INT64_TEXT_MAX bytes. */
size_t int64_to_text(int64_t value, char *text);

struct buf {
    unsigned char *data;
    size_t size;
    size_t capacity;
};

#define BUF_EMPTY ((struct buf){NULL, 0, 0})

void buf_deinit(struct buf *buf);

/* Makes room for size further bytes, or none, and lends it; the size grows by it. NULL: no memory,
 * nothing changed. */
unsigned char *buf_extend(struct buf *buf, size_t size);

/* Room for size further bytes without changing the size. */
enum status buf_reserve(struct buf *buf, size_t size);
enum status buf_append(struct buf *buf, struct bytes bytes);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){buf->data, buf->size};
}

/* Empties; keeps at most keep_size bytes of memory. */
void buf_clear(struct buf *buf, size_t keep_size);

/* Little-endian loads and stores for formats on disk. */
static inline uint16_t load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint32_t load_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint64_t load_u64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline void store_u16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void store_u32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void store_u64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats on disk are little-endian");

/* LEB128: 7 bits a byte, low first. Gives the count of bytes written (at most VARINT_MAX). */
#define VARINT_MAX 10
size_t varint_store(void *p, uint64_t value);
size_t varint_size(uint64_t value);

/* Reads one from *in and moves *in past it; false: cut short or over 64 bits, *in unmoved. */
bool varint_take(struct bytes *in, uint64_t *value_out);
/* The same, and false too for a longer form than need be: so that content has one encoding only. */
bool varint_take_shortest(struct bytes *in, uint64_t *value_out);
/* Takes a size in its shortest form and so many bytes; false: cut short, *in unmoved. */
bool bytes_take_sized(struct bytes *in, struct bytes *out);

#endif
