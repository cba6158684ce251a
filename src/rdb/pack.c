/* Reading. Each kind has a function that reads one element's head and gives where its bytes are;
 * every step compares with what is left before it reads. */
#include "src/rdb/pack.h"

#define END 0xff

/* A head as it was read: text of `size` bytes follows, or the value is known. */
struct head {
    bool integer;
    int64_t value;
    uint64_t size;
    size_t length; /* Bytes of the head itself. */
};

static const unsigned char *bytes_at(const struct pack *pack, size_t offset)
{
    return (const unsigned char *)pack->block.data + offset;
}

/* Bytes from offset to the end, the closing 0xff included. */
static size_t left_from(const struct pack *pack, size_t offset)
{
    return pack->block.size - offset;
}

/* A little-endian integer of 1 to 8 bytes, with its sign. */
static int64_t load_signed(const unsigned char *at, unsigned width)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    unsigned unused = 64 - 8 * width;
    return (int64_t)(value << unused) >> unused;
}

static uint32_t load_u32_big(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void head_integer(struct head *head, size_t length, int64_t value)
{
    *head = (struct head){.integer = true, .value = value, .length = length};
}

static void head_text(struct head *head, size_t length, uint64_t size)
{
    *head = (struct head){.size = size, .length = length};
}

/* -- Listpack -------------------------------------------------------------------------------- */

static bool listpack_head(const unsigned char *at, size_t left, struct head *head)
{
    static const unsigned char widths[] = {2, 3, 4, 8};
    unsigned first = at[0];
    if (first < 0x80) {
        head_integer(head, 1, first);
    } else if (first < 0xc0) {
        head_text(head, 1, first & 0x3f);
    } else if (first < 0xe0 && left >= 2) {
        int64_t value = (int64_t)((first & 0x1f) << 8 | at[1]);
        head_integer(head, 2, value >= 4096 ? value - 8192 : value);
    } else if (first >= 0xe0 && first < 0xf0 && left >= 2) {
        head_text(head, 2, (first & 0x0f) << 8 | at[1]);
    } else if (first == 0xf0 && left >= 5) {
        head_text(head, 5, load_u32(at + 1));
    } else if (first >= 0xf1 && first <= 0xf4 && left > widths[first - 0xf1]) {
        unsigned width = widths[first - 0xf1];
        head_integer(head, 1 + width, load_signed(at + 1, width));
    } else {
        return false;
    }
    return true;
}

/* How many bytes say the length of an element from behind: groups of seven bits, the lowest last,
 * all but the first with their high bit set. (Redis gives the last length of each size a byte more,
 * except the first; and what reads there must know it.) */
static size_t listpack_back_size(uint64_t length)
{
    static const uint64_t bounds[] = {127, 16382, 2097150, 268435454};
    size_t size = 1;
    while (size < 5 && length > bounds[size - 1]) {
        size++;
    }
    return size;
}

static void listpack_back_store(unsigned char *at, uint64_t length)
{
    size_t size = listpack_back_size(length);
    for (size_t i = size; i > 0; i--) {
        at[i - 1] = (unsigned char)((length & 0x7f) | (i > 1 ? 0x80 : 0));
        length >>= 7;
    }
}

/* Bytes behind an element of this length, 0: they say something else. */
static size_t listpack_back(const unsigned char *at, size_t left, uint64_t length)
{
    unsigned char expected[5];
    size_t size = listpack_back_size(length);
    listpack_back_store(expected, length);
    return size <= left && memcmp(at, expected, size) == 0 ? size : 0;
}

/* -- Ziplist --------------------------------------------------------------------------------- */

static bool ziplist_integer(const unsigned char *at, size_t left, struct head *head)
{
    unsigned first = at[0];
    unsigned width = first == 0xc0   ? 2
                     : first == 0xd0 ? 4
                     : first == 0xe0 ? 8
                     : first == 0xf0 ? 3
                     : first == 0xfe ? 1
                                     : 0;
    if (width > 0 && left > width) {
        head_integer(head, 1 + width, load_signed(at + 1, width));
        return true;
    }
    if (first >= 0xf1 && first <= 0xfd) {
        head_integer(head, 1, (int64_t)(first & 0x0f) - 1);
        return true;
    }
    return false;
}

static bool ziplist_head(const unsigned char *at, size_t left, struct head *head)
{
    unsigned first = at[0];
    if (first < 0x40) {
        head_text(head, 1, first);
    } else if (first < 0x80 && left >= 2) {
        head_text(head, 2, (first & 0x3f) << 8 | at[1]);
    } else if (first == 0x80 && left >= 5) {
        head_text(head, 5, load_u32_big(at + 1));
    } else if (first >= 0xc0) {
        return ziplist_integer(at, left, head);
    } else {
        return false;
    }
    return true;
}

/* The size of the element before, which stands in front of each. Gives its bytes; 0: wrong. */
static size_t ziplist_front(const struct pack *pack, const unsigned char *at, size_t left)
{
    if (at[0] < 0xfe) {
        return at[0] == pack->previous ? 1 : 0;
    }
    return at[0] == 0xfe && left >= 5 && load_u32(at + 1) == pack->previous ? 5 : 0;
}

/* -- Steps: each reads the element at pack->offset, of which at least one byte is there before the
 *    end mark, and moves past it. ------------------------------------------------------------- */

/* Gives the element that the head at offset announces. Its end, and so the closing byte, lies
 * within the block. */
static bool element_give(struct pack *pack, const struct head *head, size_t offset,
                         struct bytes *element_out, size_t *end_out)
{
    if (head->integer) {
        *element_out = bytes_of(pack->text, int64_to_text(head->value, pack->text));
        *end_out = offset + head->length;
        return *end_out < pack->block.size;
    }
    if (head->size >= left_from(pack, offset) - head->length) {
        return false;
    }
    *element_out = bytes_of(bytes_at(pack, offset + head->length), (size_t)head->size);
    *end_out = offset + head->length + (size_t)head->size;
    return true;
}

static bool listpack_step(struct pack *pack, struct bytes *element_out)
{
    struct head head;
    size_t end;
    if (!listpack_head(bytes_at(pack, pack->offset), left_from(pack, pack->offset), &head) ||
        !element_give(pack, &head, pack->offset, element_out, &end)) {
        return false;
    }
    size_t back = listpack_back(bytes_at(pack, end), left_from(pack, end), end - pack->offset);
    pack->offset = end + back;
    return back > 0;
}

static bool ziplist_step(struct pack *pack, struct bytes *element_out)
{
    struct head head;
    size_t end;
    size_t start = pack->offset;
    size_t front = ziplist_front(pack, bytes_at(pack, start), left_from(pack, start));
    if (front == 0 || front >= left_from(pack, start)) {
        return false;
    }
    size_t body = start + front;
    if (!ziplist_head(bytes_at(pack, body), left_from(pack, body), &head) ||
        !element_give(pack, &head, body, element_out, &end)) {
        return false;
    }
    pack->previous = end - start;
    pack->offset = end;
    bool is_last = *bytes_at(pack, end) == END && end + 1 == pack->block.size;
    return !is_last || pack->last == start;
}

static bool zipmap_step(struct pack *pack, struct bytes *element_out)
{
    const unsigned char *at = bytes_at(pack, pack->offset);
    size_t left = left_from(pack, pack->offset);
    size_t unused_size = pack->taken % 2; /* One byte, at values only. */
    struct head head;
    if (at[0] < 0xfe) {
        head_text(&head, 1 + unused_size, at[0]);
    } else if (at[0] == 0xfe && left >= 5) {
        head_text(&head, 5 + unused_size, load_u32(at + 1));
    } else {
        return false;
    }
    size_t end;
    if (left <= head.length || !element_give(pack, &head, pack->offset, element_out, &end)) {
        return false;
    }
    size_t unused = unused_size > 0 ? at[head.length - 1] : 0;
    if (unused >= left_from(pack, end)) {
        return false;
    }
    pack->offset = end + unused;
    return true;
}

static bool intset_step(struct pack *pack, struct bytes *element_out)
{
    int64_t value = load_signed(bytes_at(pack, pack->offset), pack->width);
    if (pack->taken > 0 && value <= pack->last_value) {
        return false;
    }
    pack->last_value = value;
    pack->offset += pack->width;
    *element_out = bytes_of(pack->text, int64_to_text(value, pack->text));
    return true;
}

/* -- All of them ----------------------------------------------------------------------------- */

static bool intset_open(struct pack *pack)
{
    if (pack->block.size < 8) {
        return false;
    }
    pack->width = load_u32(bytes_at(pack, 0));
    pack->count = load_u32(bytes_at(pack, 4));
    pack->offset = 8;
    return (pack->width == 2 || pack->width == 4 || pack->width == 8) &&
           pack->block.size - 8 == pack->count * pack->width;
}

/* Those that end with 0xff. */
static bool marked_open(struct pack *pack)
{
    static const size_t header_sizes[] = {
        [PACK_LISTPACK] = LISTPACK_HEADER_SIZE, [PACK_ZIPLIST] = 10, [PACK_ZIPMAP] = 1};
    size_t size = pack->block.size;
    pack->offset = header_sizes[pack->kind];
    if (size < pack->offset + 1 || *bytes_at(pack, size - 1) != END) {
        return false;
    }
    if (pack->kind == PACK_ZIPMAP) {
        uint64_t pairs = *bytes_at(pack, 0);
        pack->count = pairs < 254 ? 2 * pairs : UINT64_MAX;
        return true;
    }
    uint64_t count = load_u16(bytes_at(pack, pack->offset - 2));
    pack->count = count < UINT16_MAX ? count : UINT64_MAX;
    pack->last = pack->kind == PACK_ZIPLIST ? load_u32(bytes_at(pack, 4)) : 0;
    bool empty = size == pack->offset + 1;
    return load_u32(bytes_at(pack, 0)) == size &&
           (pack->kind == PACK_LISTPACK || !empty || pack->last == pack->offset);
}

enum status pack_open(struct pack *pack, enum pack_kind kind, struct bytes block)
{
    *pack = (struct pack){.kind = kind, .block = block};
    bool sound = kind == PACK_INTSET ? intset_open(pack) : marked_open(pack);
    return sound ? ST_OK : ST_CORRUPT;
}

static bool at_end(const struct pack *pack)
{
    size_t mark = pack->kind == PACK_INTSET ? 0 : 1;
    return pack->offset + mark == pack->block.size;
}

enum status pack_next(struct pack *pack, struct bytes *element_out, bool *found_out)
{
    *found_out = false;
    if (at_end(pack)) {
        return pack->count == UINT64_MAX || pack->taken == pack->count ? ST_OK : ST_CORRUPT;
    }
    bool sound = false;
    switch (pack->kind) {
    case PACK_LISTPACK:
        sound = listpack_step(pack, element_out);
        break;
    case PACK_ZIPLIST:
        sound = ziplist_step(pack, element_out);
        break;
    case PACK_ZIPMAP:
        sound = zipmap_step(pack, element_out);
        break;
    case PACK_INTSET:
        sound = intset_step(pack, element_out);
        break;
    }
    /* The closing byte is never an element's. */
    if (!sound || pack->offset >= pack->block.size + (pack->kind == PACK_INTSET)) {
        return ST_CORRUPT;
    }
    pack->taken++;
    *found_out = true;
    return ST_OK;
}

enum status pack_take(struct pack *pack, struct bytes *element_out)
{
    bool found;
    enum status status = pack_next(pack, element_out, &found);
    return status == ST_OK && !found ? ST_CORRUPT : status;
}

enum status pack_take_int64(struct pack *pack, int64_t *value_out)
{
    struct bytes element;
    enum status status = pack_take(pack, &element);
    if (status == ST_OK && !bytes_to_int64(element, value_out)) {
        status = ST_CORRUPT;
    }
    return status;
}

/* -- Writing --------------------------------------------------------------------------------- */

enum status listpack_begin(struct listpack *listpack, struct buf *out)
{
    *listpack = (struct listpack){.out = out, .start = out->size};
    return buf_extend(out, LISTPACK_HEADER_SIZE) != NULL ? ST_OK : ST_NOMEM;
}

/* Head, bytes and the length behind them. */
static enum status element_append(struct listpack *listpack, const unsigned char *head,
                                  size_t head_size, struct bytes element)
{
    uint64_t length = head_size + element.size;
    size_t back = listpack_back_size(length);
    unsigned char *at = buf_extend(listpack->out, (size_t)length + back);
    if (at == NULL) {
        return ST_NOMEM;
    }
    memcpy(at, head, head_size);
    if (element.size > 0) {
        memcpy(at + head_size, element.data, element.size);
    }
    listpack_back_store(at + length, length);
    listpack->count++;
    return ST_OK;
}

enum status listpack_add_int64(struct listpack *listpack, int64_t value)
{
    unsigned char head[9];
    size_t size;
    if (value >= 0 && value < 128) {
        head[0] = (unsigned char)value;
        size = 1;
    } else if (value >= -4096 && value < 4096) {
        head[0] = (unsigned char)(0xc0 | ((uint64_t)value >> 8 & 0x1f));
        head[1] = (unsigned char)value;
        size = 2;
    } else {
        bool two = value >= INT16_MIN && value <= INT16_MAX;
        bool three = value >= -(1 << 23) && value < 1 << 23;
        bool four = value >= INT32_MIN && value <= INT32_MAX;
        head[0] = two ? 0xf1 : three ? 0xf2 : four ? 0xf3 : 0xf4;
        store_u64(head + 1, (uint64_t)value);
        size = two ? 3 : three ? 4 : four ? 5 : 9;
    }
    return element_append(listpack, head, size, BYTES_NONE);
}

enum status listpack_add(struct listpack *listpack, struct bytes element)
{
    int64_t value;
    unsigned char head[5];
    size_t size;
    if (bytes_to_int64(element, &value)) {
        return listpack_add_int64(listpack, value);
    }
    if (element.size > LISTPACK_ELEMENT_MAX) {
        return ST_LIMIT;
    }
    if (element.size < 64) {
        head[0] = (unsigned char)(0x80 | element.size);
        size = 1;
    } else if (element.size < 4096) {
        head[0] = (unsigned char)(0xe0 | element.size >> 8);
        head[1] = (unsigned char)element.size;
        size = 2;
    } else {
        head[0] = 0xf0;
        store_u32(head + 1, (uint32_t)element.size);
        size = 5;
    }
    return element_append(listpack, head, size, element);
}

enum status listpack_join(struct listpack *listpack, const struct listpack *other)
{
    struct bytes elements = buf_bytes(other->out);
    elements = bytes_slice(elements, other->start + LISTPACK_HEADER_SIZE, elements.size);
    listpack->count += other->count;
    return buf_append(listpack->out, elements);
}

size_t listpack_size(const struct listpack *listpack)
{
    return listpack->out->size - listpack->start + 1;
}

enum status listpack_end(struct listpack *listpack)
{
    unsigned char end = END;
    size_t size = listpack_size(listpack);
    if (size > UINT32_MAX) {
        return ST_LIMIT;
    }
    enum status status = buf_append(listpack->out, bytes_of(&end, 1));
    if (status == ST_OK) {
        unsigned char *header = listpack->out->data + listpack->start;
        store_u32(header, (uint32_t)size);
        store_u16(header + 4,
                  listpack->count < UINT16_MAX ? (uint16_t)listpack->count : UINT16_MAX);
    }
    return status;
}
