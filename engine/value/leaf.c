#include "engine/base/check.h"
#include "engine/value/leaf_private.h"

#define SLOT_OVERFLOW 0x8000u
#define OVERFLOW_ENTRY_SIZE 20

static_assert(LEAF_CAPACITY < SLOT_OVERFLOW, "offsets leave the highest bit free");
static_assert((offsetof(struct part, data) + LEAF_HEADER_SIZE) % 2 == 0, "slots are aligned");

static bool tagged(const struct part *leaf)
{
    return leaf_header_of(leaf)->form == LEAF_TAGGED;
}

static bool dense(const struct part *leaf)
{
    return leaf_header_of(leaf)->form == LEAF_DENSE;
}

static uint8_t *tags(const struct part *leaf)
{
    return (uint8_t *)(uintptr_t)(leaf->data + LEAF_HEADER_SIZE);
}

/* What the tags of so many entries take: slots are aligned. */
static size_t tags_size(const struct part *leaf, size_t count)
{
    return tagged(leaf) ? (count + 1) & ~(size_t)1 : 0;
}

static uint16_t *slots(const struct part *leaf)
{
    return (uint16_t *)(uintptr_t)(leaf->data + LEAF_HEADER_SIZE +
                                   tags_size(leaf, leaf_header_of(leaf)->count));
}

static size_t slots_end(const struct part *leaf, size_t count)
{
    return LEAF_HEADER_SIZE + tags_size(leaf, count) + count * sizeof(uint16_t);
}

static size_t slot_size(const struct part *leaf)
{
    return sizeof(uint16_t) + tagged(leaf);
}

struct part *leaf_new(enum leaf_form form)
{
    struct part *leaf = part_new(LEAF_CAPACITY);
    if (leaf != NULL) {
        leaf->size = LEAF_CAPACITY;
        *leaf_header_of(leaf) = (struct leaf_header){
            .kind = PART_KIND_LEAF, .form = (uint8_t)form, .low = LEAF_CAPACITY};
    }
    return leaf;
}

size_t leaf_count(const struct part *leaf)
{
    return leaf_header_of(leaf)->count;
}

size_t leaf_overflows(const struct part *leaf)
{
    return leaf_header_of(leaf)->overflows;
}

size_t leaf_used(const struct part *leaf)
{
    return leaf_header_of(leaf)->used;
}

size_t leaf_payload(const struct part *leaf)
{
    return leaf_header_of(leaf)->payload;
}

static size_t entry_size(struct leaf_entry entry)
{
    return entry.overflow != LEAF_NO_OVERFLOW
               ? OVERFLOW_ENTRY_SIZE
               : varint_size(entry.element.size) + entry.element.size;
}

size_t leaf_cost(enum leaf_form form, struct leaf_entry entry)
{
    return form == LEAF_DENSE ? leaf_dense_cost(entry)
                              : sizeof(uint16_t) + (form == LEAF_TAGGED) + entry_size(entry);
}

size_t leaf_cost_at(const struct part *leaf, size_t slot)
{
    return dense(leaf) ? leaf_dense_cost_at(leaf, slot)
                       : leaf_cost(leaf_header_of(leaf)->form, leaf_at(leaf, slot));
}

struct leaf_entry leaf_at(const struct part *leaf, size_t slot)
{
    if (dense(leaf)) {
        return leaf_dense_at(leaf, slot);
    }
    CHECK(slot < leaf_header_of(leaf)->count);
    unsigned offset = slots(leaf)[slot];
    struct leaf_entry entry = {.overflow = LEAF_NO_OVERFLOW};
    if (tagged(leaf)) {
        entry.tag = tags(leaf)[slot];
    }
    if ((offset & SLOT_OVERFLOW) != 0) {
        const unsigned char *p = leaf->data + (offset & ~SLOT_OVERFLOW);
        entry.overflow = load_u32(p);
        entry.mark = (struct mark){load_u64(p + 4), load_u64(p + 12)};
        return entry;
    }
    const unsigned char *p = leaf->data + offset;
    size_t size = *p++;
    if (size >= 0x80) {
        size = (size & 0x7f) | (size_t)*p++ << 7; /* Two bytes at most: inline sizes are small. */
    }
    entry.element = bytes_of(p, size);
    return entry;
}

struct leaf_entry leaf_after(const struct part *leaf, size_t slot, struct leaf_entry entry)
{
    return dense(leaf) ? leaf_dense_after(leaf, slot, entry) : leaf_at(leaf, slot + 1);
}

struct leaf_entry leaf_before(const struct part *leaf, size_t slot, struct leaf_entry entry)
{
    return dense(leaf) ? leaf_dense_before(leaf, slot, entry) : leaf_at(leaf, slot - 1);
}

void leaf_prefetch(const struct part *leaf, size_t slot)
{
    __builtin_prefetch(leaf->data + (slots(leaf)[slot] & ~SLOT_OVERFLOW));
}

size_t leaf_find_tag(const struct part *leaf, size_t slot, uint8_t tag)
{
    size_t count = leaf_header_of(leaf)->count;
    CHECK(tagged(leaf) && slot <= count);
    const uint8_t *found = memchr(tags(leaf) + slot, tag, count - slot);
    return found == NULL ? count : (size_t)(found - tags(leaf));
}

/* Closes the holes: the entries again, in the order of their slots from the end downwards, so that
 * a leaf that is popped from the right gives its room back at once. */
static void compact(struct part *leaf)
{
    unsigned char old[LEAF_CAPACITY];
    memcpy(old, leaf->data, LEAF_CAPACITY);
    struct leaf_header *head = leaf_header_of(leaf);
    size_t low = LEAF_CAPACITY;
    for (size_t i = 0; i < head->count; i++) {
        unsigned flag = slots(leaf)[i] & SLOT_OVERFLOW;
        const unsigned char *p = old + (slots(leaf)[i] & ~SLOT_OVERFLOW);
        size_t size = OVERFLOW_ENTRY_SIZE;
        if (flag == 0) {
            size = p[0] < 0x80 ? 1u + p[0] : 2u + ((p[0] & 0x7fu) | (unsigned)p[1] << 7);
        }
        low -= size;
        memcpy(leaf->data + low, p, size);
        slots(leaf)[i] = (uint16_t)(low | flag);
    }
    head->low = (uint16_t)low;
}

/* Makes room for `count` slots at `slot` and `size` bytes of entries, without a hole between. */
static void open_slots(struct part *leaf, size_t slot, size_t count, size_t size)
{
    struct leaf_header *head = leaf_header_of(leaf);
    size_t old = head->count;
    CHECK(slot <= old);
    CHECK(head->used + count * slot_size(leaf) + size <= LEAF_ROOM);
    if (slots_end(leaf, old + count) + size > head->low) {
        compact(leaf);
    }
    const uint16_t *from = slots(leaf);
    head->count = (uint16_t)(old + count);
    uint16_t *to = slots(leaf);
    memmove(to + slot + count, from + slot, (old - slot) * sizeof(uint16_t));
    if (tagged(leaf)) {
        memmove(to, from, slot * sizeof(uint16_t));
        memmove(tags(leaf) + slot + count, tags(leaf) + slot, old - slot);
    }
    head->used = (uint16_t)(head->used + count * slot_size(leaf) + size);
}

static void fill_slot(struct part *leaf, size_t slot, struct leaf_entry entry)
{
    struct leaf_header *head = leaf_header_of(leaf);
    head->low = (uint16_t)(head->low - entry_size(entry));
    unsigned char *p = leaf->data + head->low;
    if (tagged(leaf)) {
        tags(leaf)[slot] = entry.tag;
    }
    if (entry.overflow != LEAF_NO_OVERFLOW) {
        store_u32(p, entry.overflow);
        store_u64(p + 4, entry.mark.high);
        store_u64(p + 12, entry.mark.low);
        slots(leaf)[slot] = (uint16_t)(head->low | SLOT_OVERFLOW);
        head->overflows++;
        return;
    }
    slots(leaf)[slot] = head->low;
    p += varint_store(p, entry.element.size);
    if (entry.element.size > 0) {
        memcpy(p, entry.element.data, entry.element.size);
    }
    head->payload = (uint16_t)(head->payload + entry.element.size);
}

void leaf_insert(struct part *leaf, size_t slot, struct leaf_entry entry)
{
    if (dense(leaf)) {
        leaf_dense_insert(leaf, slot, entry);
        return;
    }
    open_slots(leaf, slot, 1, entry_size(entry));
    fill_slot(leaf, slot, entry);
}

void leaf_open(struct part *leaf, size_t count)
{
    CHECK(leaf_count(leaf) == 0);
    if (!dense(leaf)) {
        open_slots(leaf, 0, count, 0);
    }
}

void leaf_fill(struct part *leaf, size_t slot, struct leaf_entry entry)
{
    if (dense(leaf)) {
        leaf_dense_insert(leaf, slot, entry);
        return;
    }
    struct leaf_header *head = leaf_header_of(leaf);
    size_t size = entry_size(entry);
    CHECK(slot < head->count && head->used + size <= LEAF_ROOM);
    head->used = (uint16_t)(head->used + size);
    fill_slot(leaf, slot, entry);
}

void leaf_overwrite(struct part *leaf, size_t slot, struct bytes element)
{
    struct leaf_entry entry = leaf_at(leaf, slot);
    CHECK(entry.overflow == LEAF_NO_OVERFLOW && entry.element.size == element.size);
    if (element.size > 0) {
        memmove((void *)(uintptr_t)entry.element.data, element.data, element.size);
    }
}

void leaf_remove(struct part *leaf, size_t slot, size_t count)
{
    if (dense(leaf)) {
        leaf_dense_remove(leaf, slot, count);
        return;
    }
    struct leaf_header *head = leaf_header_of(leaf);
    size_t old = head->count;
    CHECK(slot <= old && count <= old - slot);
    for (size_t i = slot; i < slot + count; i++) {
        struct leaf_entry entry = leaf_at(leaf, i);
        size_t size = entry_size(entry);
        head->used = (uint16_t)(head->used - size - slot_size(leaf));
        head->overflows = (uint16_t)(head->overflows - (entry.overflow != LEAF_NO_OVERFLOW));
        head->payload = (uint16_t)(head->payload - entry.element.size);
        if ((slots(leaf)[i] & ~SLOT_OVERFLOW) == head->low) {
            head->low = (uint16_t)(head->low + size);
        }
    }
    const uint16_t *from = slots(leaf);
    head->count = (uint16_t)(old - count);
    uint16_t *to = slots(leaf);
    if (tagged(leaf)) {
        memmove(tags(leaf) + slot, tags(leaf) + slot + count, old - slot - count);
        memmove(to, from, slot * sizeof(uint16_t));
    }
    memmove(to + slot, from + slot + count, (old - slot - count) * sizeof(uint16_t));
    if (head->count == 0) {
        head->low = LEAF_CAPACITY;
    }
}

void leaf_clear(struct part *leaf)
{
    *leaf_header_of(leaf) = (struct leaf_header){
        .kind = PART_KIND_LEAF, .form = leaf_header_of(leaf)->form, .low = LEAF_CAPACITY};
}

void leaf_move(struct part *from, size_t slot, size_t count, struct part *to, size_t to_slot)
{
    size_t cost = 0;
    CHECK(leaf_header_of(from)->form == leaf_header_of(to)->form);
    if (dense(from)) {
        leaf_dense_move(from, slot, count, to, to_slot);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        cost += leaf_cost_at(from, slot + i);
    }
    open_slots(to, to_slot, count, cost - count * slot_size(to));
    for (size_t i = 0; i < count; i++) {
        fill_slot(to, to_slot + i, leaf_at(from, slot + i));
    }
    leaf_remove(from, slot, count);
}

bool leaf_verify(const struct part *leaf)
{
    if (leaf->size != LEAF_CAPACITY || leaf->capacity < LEAF_CAPACITY) {
        return false;
    }
    const struct leaf_header *head = leaf_header_of(leaf);
    if (head->form == LEAF_DENSE) {
        return head->kind == PART_KIND_LEAF && leaf_dense_verify(leaf);
    }
    if (head->form > LEAF_DENSE) {
        return false;
    }
    if (head->kind != PART_KIND_LEAF || slots_end(leaf, head->count) > head->low ||
        head->low > LEAF_CAPACITY) {
        return false;
    }
    size_t used = 0;
    size_t payload = 0;
    size_t overflows = 0;
    for (size_t i = 0; i < head->count; i++) {
        unsigned offset = slots(leaf)[i] & ~SLOT_OVERFLOW;
        if (offset < head->low || offset >= LEAF_CAPACITY) {
            return false;
        }
        size_t size = OVERFLOW_ENTRY_SIZE;
        if ((slots(leaf)[i] & SLOT_OVERFLOW) == 0) {
            struct bytes rest = bytes_of(leaf->data + offset, LEAF_CAPACITY - offset);
            uint64_t element_size;
            if (!varint_take(&rest, &element_size) || element_size > rest.size) {
                return false;
            }
            size = varint_size(element_size) + (size_t)element_size;
            if ((const unsigned char *)rest.data + element_size != leaf->data + offset + size) {
                return false;
            }
            payload += (size_t)element_size;
        } else if (LEAF_CAPACITY - offset < OVERFLOW_ENTRY_SIZE) {
            return false;
        } else {
            overflows++;
        }
        used += size + slot_size(leaf);
    }
    return used == head->used && used <= LEAF_ROOM && payload == head->payload &&
           overflows == head->overflows;
}
