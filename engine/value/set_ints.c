#include "engine/value/set_ints.h"

#include "engine/base/check.h"

#define WIDTH_SHIFT 29
#define COUNT_MASK SET_INTS_COUNT_MAX

static unsigned width_of(struct bytes block)
{
    return 2u << (load_u32(block.data) >> WIDTH_SHIFT & 3);
}

static unsigned width_for(int64_t value)
{
    return value >= INT16_MIN && value <= INT16_MAX   ? 2
           : value >= INT32_MIN && value <= INT32_MAX ? 4
                                                      : 8;
}

static void header_store(unsigned char *block, unsigned width, uint32_t count)
{
    store_u32(block, SET_INTS_MARK | (width / 4) << WIDTH_SHIFT | count);
}

static int64_t load(const unsigned char *at, unsigned width)
{
    return width == 2   ? (int16_t)load_u16(at)
           : width == 4 ? (int32_t)load_u32(at)
                        : (int64_t)load_u64(at);
}

static void store(unsigned char *at, unsigned width, int64_t value)
{
    if (width == 2) {
        store_u16(at, (uint16_t)value);
    } else if (width == 4) {
        store_u32(at, (uint32_t)value);
    } else {
        store_u64(at, (uint64_t)value);
    }
}

struct bytes set_ints_empty(void)
{
    static const unsigned char empty[SET_INTS_HEADER_SIZE] = {0, 0, 0, SET_INTS_MARK >> 24};
    return bytes_of(empty, sizeof(empty));
}

uint32_t set_ints_count(struct bytes block)
{
    return load_u32(block.data) & COUNT_MASK;
}

int64_t set_ints_at(struct bytes block, uint32_t index)
{
    unsigned width = width_of(block);
    CHECK(index < set_ints_count(block));
    return load((const unsigned char *)block.data + SET_INTS_HEADER_SIZE + (size_t)index * width,
                width);
}

/* The first index whose integer is not below value, among `count`. One for each width, so that the
 * loop has no branch on it. */
#define BISECT(name, type)                                                                         \
    static uint32_t name(const unsigned char *data, uint32_t count, int64_t value)                 \
    {                                                                                              \
        uint32_t first = 0;                                                                        \
        while (count > 0) {                                                                        \
            uint32_t half = count / 2;                                                             \
            type middle;                                                                           \
            memcpy(&middle, data + (size_t)(first + half) * sizeof(type), sizeof(type));           \
            bool below = middle < value;                                                           \
            first = below ? first + half + 1 : first;                                              \
            count = below ? count - half - 1 : half;                                               \
        }                                                                                          \
        return first;                                                                              \
    }
BISECT(bisect_16, int16_t)
BISECT(bisect_32, int32_t)
BISECT(bisect_64, int64_t)

bool set_ints_find(struct bytes block, int64_t value, uint32_t *index_out)
{
    const unsigned char *data = (const unsigned char *)block.data + SET_INTS_HEADER_SIZE;
    uint32_t count = set_ints_count(block);
    unsigned width = width_of(block);
    if (width_for(value) > width) {
        *index_out = value < 0 ? 0 : count;
        return false;
    }
    uint32_t index = width == 2   ? bisect_16(data, count, value)
                     : width == 4 ? bisect_32(data, count, value)
                                  : bisect_64(data, count, value);
    *index_out = index;
    return index < count && load(data + (size_t)index * width, width) == value;
}

size_t set_ints_size_with(struct bytes block, int64_t value)
{
    unsigned width = width_of(block);
    unsigned wanted = width_for(value);
    return SET_INTS_HEADER_SIZE +
           ((size_t)set_ints_count(block) + 1) * (wanted > width ? wanted : width);
}

void set_ints_insert(unsigned char *block, size_t size, uint32_t index, int64_t value)
{
    struct bytes old = bytes_of(block, size);
    uint32_t count = set_ints_count(old);
    unsigned width = width_of(old);
    unsigned wanted = width_for(value);
    unsigned char *data = block + SET_INTS_HEADER_SIZE;
    CHECK(index <= count && count < SET_INTS_COUNT_MAX);
    if (wanted <= width) {
        unsigned char *at = data + (size_t)index * width;
        memmove(at + width, at, (size_t)(count - index) * width);
        wanted = width;
    } else {
        /* From the right, so that nothing is overwritten before it was read. */
        for (uint32_t i = count; i > 0; i--) {
            int64_t moved = load(data + (size_t)(i - 1) * width, width);
            store(data + (size_t)(i - 1 >= index ? i : i - 1) * wanted, wanted, moved);
        }
    }
    store(data + (size_t)index * wanted, wanted, value);
    header_store(block, wanted, count + 1);
}

size_t set_ints_remove(unsigned char *block, size_t size, uint32_t index)
{
    struct bytes old = bytes_of(block, size);
    uint32_t count = set_ints_count(old);
    unsigned width = width_of(old);
    CHECK(index < count);
    unsigned char *at = block + SET_INTS_HEADER_SIZE + (size_t)index * width;
    memmove(at, at + width, (size_t)(count - index - 1) * width);
    header_store(block, width, count - 1);
    return size - width;
}

bool set_ints_check(struct bytes block)
{
    if (block.size < SET_INTS_HEADER_SIZE || !set_ints_is(block) ||
        (load_u32(block.data) >> WIDTH_SHIFT & 3) == 3) {
        return false;
    }
    uint32_t count = set_ints_count(block);
    if (block.size != SET_INTS_HEADER_SIZE + (size_t)count * width_of(block)) {
        return false;
    }
    for (uint32_t i = 1; i < count; i++) {
        if (set_ints_at(block, i - 1) >= set_ints_at(block, i)) {
            return false;
        }
    }
    return true;
}
