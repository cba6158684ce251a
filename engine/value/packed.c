#include "engine/value/packed.h"

#include "engine/base/check.h"

static const unsigned char empty_block[PACKED_HEADER_SIZE];

struct bytes packed_empty(void)
{
    return bytes_of(empty_block, sizeof(empty_block));
}

uint32_t packed_count(struct bytes block)
{
    CHECK(block.size >= PACKED_HEADER_SIZE);
    return load_u32(block.data);
}

size_t packed_entry_size(size_t element_size)
{
    size_t front = varint_size(element_size) + element_size;
    return front + varint_size(front);
}

/* Writes the back-size so that it is read from its last byte; gives the count of bytes. */
static size_t back_store(unsigned char *p, size_t front)
{
    size_t size = varint_size(front);
    for (size_t i = size; i > 0; i--) {
        p[i - 1] = (unsigned char)((front & 0x7f) | (i > 1 ? 0x80 : 0));
        front >>= 7;
    }
    return size;
}

/* Reads the back-size that ends before `end`; *size_out are its bytes. False: none fits there. */
static bool back_load(const unsigned char *start, const unsigned char *end, uint64_t *front_out,
                      size_t *size_out)
{
    uint64_t front = 0;
    for (size_t i = 0; i < 5 && end - start > (ptrdiff_t)i; i++) {
        unsigned char byte = end[-1 - (ptrdiff_t)i];
        front |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *front_out = front;
            *size_out = i + 1;
            return true;
        }
    }
    return false;
}

size_t packed_entry_store(unsigned char *p, struct bytes element)
{
    size_t front = varint_store(p, element.size);
    if (element.size > 0) {
        memcpy(p + front, element.data, element.size);
    }
    front += element.size;
    return front + back_store(p + front, front);
}

size_t packed_entry_store_two(unsigned char *p, struct bytes head, struct bytes tail)
{
    size_t front = varint_store(p, head.size + tail.size);
    memcpy(p + front, head.data, head.size);
    front += head.size;
    if (tail.size > 0) {
        memcpy(p + front, tail.data, tail.size);
    }
    front += tail.size;
    return front + back_store(p + front, front);
}

bool packed_verify(struct bytes block)
{
    if (block.size < PACKED_HEADER_SIZE || block.size > PACKED_SIZE_MAX) {
        return false;
    }
    const unsigned char *start = (const unsigned char *)block.data + PACKED_HEADER_SIZE;
    struct bytes rest = bytes_slice(block, PACKED_HEADER_SIZE, block.size);
    uint32_t count = load_u32(block.data);
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *entry = rest.data;
        uint64_t size;
        if (!varint_take(&rest, &size) || size >= rest.size) {
            return false;
        }
        size_t front = (size_t)((const unsigned char *)rest.data - entry) + (size_t)size;
        /* One form only: packed_entry_size and the walk backwards rely on it. */
        size_t whole = packed_entry_size((size_t)size);
        size_t room = (size_t)((const unsigned char *)rest.data - entry) + rest.size;
        uint64_t back;
        size_t back_size;
        if (whole > room || front + varint_size(front) != whole ||
            !back_load(start, entry + whole, &back, &back_size) || back != front ||
            back_size != varint_size(front)) {
            return false;
        }
        rest = bytes_of(entry + whole, room - whole);
    }
    return rest.size == 0;
}

struct bytes packed_next(struct bytes block, size_t *offset)
{
    CHECK(*offset >= PACKED_HEADER_SIZE && *offset < block.size);
    const unsigned char *p = (const unsigned char *)block.data + *offset;
    const unsigned char *start = p;
    uint64_t size = *p++;
    if (size >= 0x80) {
        size &= 0x7f;
        unsigned shift = 7;
        for (;; shift += 7) {
            size |= (uint64_t)(*p & 0x7f) << shift;
            if (*p++ < 0x80) {
                break;
            }
        }
    }
    size_t front = (size_t)(p - start) + (size_t)size;
    *offset += front + varint_size(front);
    return bytes_of(p, (size_t)size);
}

struct bytes packed_previous(struct bytes block, size_t *offset)
{
    CHECK(*offset > PACKED_HEADER_SIZE && *offset <= block.size);
    const unsigned char *data = block.data;
    uint64_t front;
    size_t back_size;
    bool found = back_load(data + PACKED_HEADER_SIZE, data + *offset, &front, &back_size);
    CHECK(found && front + back_size <= *offset - PACKED_HEADER_SIZE);
    *offset -= (size_t)front + back_size;
    size_t next = *offset;
    return packed_next(block, &next);
}

size_t packed_offset(struct bytes block, uint32_t index)
{
    uint32_t count = packed_count(block);
    CHECK(index <= count);
    if (index <= count / 2) {
        size_t offset = PACKED_HEADER_SIZE;
        for (uint32_t i = 0; i < index; i++) {
            (void)packed_next(block, &offset);
        }
        return offset;
    }
    size_t offset = block.size;
    for (uint32_t i = count; i > index; i--) {
        (void)packed_previous(block, &offset);
    }
    return offset;
}

struct bytes packed_at(struct bytes block, uint32_t index)
{
    CHECK(index < packed_count(block));
    size_t offset = packed_offset(block, index);
    return packed_next(block, &offset);
}

struct bytes packed_rebase(struct bytes bytes, uintptr_t old_data, size_t old_size,
                           const struct buf *scratch)
{
    uintptr_t address = (uintptr_t)bytes.data;
    if (old_data == 0 || address < old_data || address - old_data >= old_size) {
        return bytes;
    }
    return bytes_of(scratch->data + (address - old_data), bytes.size);
}

/* Whether the block is the last thing in scratch and none of the elements lies in it: then it can
 * be changed where it is. */
static bool is_last_in(const struct buf *scratch, struct bytes block, const struct bytes *elements,
                       size_t count)
{
    uintptr_t start = (uintptr_t)block.data;
    uintptr_t end = start + block.size;
    if (scratch->size == 0 || start < (uintptr_t)scratch->data ||
        end != (uintptr_t)scratch->data + scratch->size) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uintptr_t element = (uintptr_t)elements[i].data;
        if (element >= start && element < end) {
            return false;
        }
    }
    return true;
}

enum status packed_splice(struct bytes block, uint32_t index, uint32_t removed,
                          const struct bytes *elements, size_t count, bool reversed,
                          struct buf *scratch, struct bytes *block_out)
{
    uint32_t old_count = packed_count(block);
    CHECK(index <= old_count && removed <= old_count - index);
    size_t first = packed_offset(block, index);
    size_t last = first;
    if (removed < 16) {
        for (uint32_t i = 0; i < removed; i++) {
            (void)packed_next(block, &last);
        }
    } else {
        last = packed_offset(block, index + removed);
    }
    size_t size = block.size - (last - first);
    for (size_t i = 0; i < count; i++) {
        if (elements[i].size > PACKED_SIZE_MAX - size) {
            return ST_LIMIT;
        }
        size += packed_entry_size(elements[i].size);
        if (size > PACKED_SIZE_MAX) {
            return ST_LIMIT;
        }
    }
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    bool in_place = is_last_in(scratch, block, elements, count);
    size_t more = !in_place ? size : size > block.size ? size - block.size : 0;
    if (more > 0 && buf_extend(scratch, more) == NULL) {
        return ST_NOMEM;
    }
    block = packed_rebase(block, old_data, old_size, scratch);
    const unsigned char *old = block.data;
    unsigned char *start =
        in_place ? scratch->data + (old - scratch->data) : scratch->data + old_size;
    unsigned char *p = start;
    if (in_place) {
        memmove(start + size - (block.size - last), old + last, block.size - last);
        scratch->size = (size_t)(start - scratch->data) + size;
    } else {
        memcpy(p + PACKED_HEADER_SIZE, old + PACKED_HEADER_SIZE, first - PACKED_HEADER_SIZE);
        memcpy(p + size - (block.size - last), old + last, block.size - last);
    }
    store_u32(p, old_count - removed + (uint32_t)count);
    p += first;
    for (size_t i = 0; i < count; i++) {
        struct bytes element = elements[reversed ? count - 1 - i : i];
        p += packed_entry_store(p, packed_rebase(element, old_data, old_size, scratch));
    }
    p += block.size - last;
    CHECK((size_t)(p - start) == size);
    *block_out = bytes_of(start, size);
    return ST_OK;
}

enum status packed_remove_each(struct bytes block, const uint64_t *indexes, size_t count,
                               struct buf *scratch, struct bytes *block_out)
{
    uint32_t old_count = packed_count(block);
    CHECK(count <= old_count);
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    unsigned char *start = buf_extend(scratch, block.size);
    if (start == NULL) {
        return ST_NOMEM;
    }
    block = packed_rebase(block, old_data, old_size, scratch);
    const unsigned char *old = block.data;
    unsigned char *p = start + PACKED_HEADER_SIZE;
    size_t offset = PACKED_HEADER_SIZE;
    uint32_t next = 0;
    for (size_t i = 0; i <= count; i++) {
        size_t keep = offset;
        size_t end = block.size;
        size_t resume = end;
        if (i < count) {
            CHECK(indexes[i] >= next && indexes[i] < old_count);
            for (; next < indexes[i]; next++) {
                (void)packed_next(block, &offset);
            }
            end = offset;
            (void)packed_next(block, &offset);
            next++;
            resume = offset;
        }
        memcpy(p, old + keep, end - keep);
        p += end - keep;
        offset = resume;
    }
    store_u32(start, old_count - (uint32_t)count);
    size_t size = (size_t)(p - start);
    scratch->size -= block.size - size;
    *block_out = bytes_of(start, size);
    return ST_OK;
}

enum status packed_slice(struct bytes block, uint32_t first, uint32_t count, struct buf *scratch,
                         struct bytes *block_out)
{
    uint32_t old_count = packed_count(block);
    CHECK(first <= old_count && count <= old_count - first);
    size_t start = packed_offset(block, first);
    size_t size = packed_offset(block, first + count) - start;
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    unsigned char *p = buf_extend(scratch, PACKED_HEADER_SIZE + size);
    if (p == NULL) {
        return ST_NOMEM;
    }
    block = packed_rebase(block, old_data, old_size, scratch);
    store_u32(p, count);
    memcpy(p + PACKED_HEADER_SIZE, (const unsigned char *)block.data + start, size);
    *block_out = bytes_of(p, PACKED_HEADER_SIZE + size);
    return ST_OK;
}
