#include "engine/index/row.h"

#include "engine/base/check.h"

#define FIXED_SIZE 22 /* What all kinds of rows begin with. */
#define VARINT_U32_MAX 5

static_assert(ROW_SIZE_MAX >= FIXED_SIZE + 8 + 2 * VARINT_U32_MAX, "a part's row is shorter");
static_assert(ROW_KEY_MAX > ROW_KEY_HASH_SIZE, "a hash is a short key too");

static bool kind_gone(enum row_kind kind)
{
    return kind == ROW_KEY_GONE || kind == ROW_PART_GONE || kind == ROW_CLAST_GONE;
}

static bool location_fits(const struct location *at, enum row_kind kind)
{
    if (kind_gone(kind)) {
        return at->stratum == 0 && at->unit == 0 && at->size == 0;
    }
    return at->stratum != 0 && at->size != 0;
}

static bool key_fits(size_t size, unsigned flags)
{
    return (flags & ROW_LONG) != 0 ? size == ROW_KEY_HASH_SIZE : size <= ROW_KEY_MAX;
}

struct bytes row_key(struct bytes key, uint64_t secret_seed, unsigned char *room, unsigned *flags)
{
    if (key.size <= ROW_KEY_MAX) {
        return key;
    }
    *flags |= ROW_LONG;
    hash_name(key, secret_seed, room);
    return bytes_of(room, ROW_KEY_HASH_SIZE);
}

/* -- To bytes ---------------------------------------------------------------------------------- */

static inline unsigned char *store_u32_short(unsigned char *p, uint32_t value)
{
    if (value < 0x80) {
        *p = (unsigned char)value;
        return p + 1;
    }
    return p + varint_store(p, value);
}

static unsigned char *store_key(const struct row *row, unsigned char *p)
{
    CHECK(row->type <= UINT8_MAX && key_fits(row->key.size, row->flags));
    *p++ = (unsigned char)row->type;
    p = store_u32_short(p, row->namespace_id);
    if ((row->flags & ROW_EXPIRES) != 0) {
        store_u64(p, (uint64_t)row->expiry_ms);
        p += 8;
    }
    if ((row->flags & ROW_CLAST) != 0) {
        store_u64(p, row->clast);
        p += 8;
    }
    p = store_u32_short(p, (uint32_t)row->key.size);
    if (row->key.size > 0) {
        memcpy(p, row->key.data, row->key.size);
    }
    return p + row->key.size;
}

size_t row_store(const struct row *row, unsigned char *start)
{
    unsigned char *p = start;
    CHECK(location_fits(&row->at, row->kind) && row->flags <= ROW_FLAGS);
    store_u64(p, row->place);
    if (kind_gone(row->kind)) {
        store_u64(p + 8, row->lsn);
    } else {
        store_u32(p + 8, row->at.stratum);
        store_u32(p + 12, row->at.unit);
    }
    store_u32(p + 16, row->at.size);
    p[20] = (unsigned char)row->kind;
    p[21] = (unsigned char)row->flags;
    p += FIXED_SIZE;
    switch (row->kind) {
    case ROW_KEY:
    case ROW_KEY_GONE:
        return (size_t)(store_key(row, p) - start);
    case ROW_PART:
    case ROW_PART_GONE:
    case ROW_CLAST_GONE:
        CHECK(row->flags == 0);
        store_u64(p, row->part.clast);
        p += 8;
        p += varint_store(p, row->part.table);
        if (row->kind != ROW_CLAST_GONE) {
            p += varint_store(p, row->part.number);
        }
        return (size_t)(p - start);
    }
    CHECK(false); /* No kind of row. */
    return 0;
}

/* -- From bytes -------------------------------------------------------------------------------- */

/* Merges take tens of millions of rows: one byte, the usual case, takes no call. */
static inline bool take_u32(struct bytes *in, uint32_t *value_out)
{
    uint64_t value;
    if (in->size > 0 && *(const unsigned char *)in->data < 0x80) {
        *value_out = *(const unsigned char *)in->data;
        *in = bytes_of((const char *)in->data + 1, in->size - 1);
        return true;
    }
    if (!varint_take_shortest(in, &value) || value > UINT32_MAX) {
        return false;
    }
    *value_out = (uint32_t)value;
    return true;
}

static inline bool take_u64(struct bytes *in, uint64_t *value_out)
{
    if (in->size < 8) {
        return false;
    }
    *value_out = load_u64(in->data);
    *in = bytes_of((const char *)in->data + 8, in->size - 8);
    return true;
}

static inline bool take_key(struct bytes *in, struct row *row)
{
    uint64_t expiry = 0;
    uint32_t size;
    row->part = (struct part_name){0, 0, 0};
    row->clast = 0;
    if (in->size == 0) {
        return false;
    }
    row->type = *(const unsigned char *)in->data;
    *in = bytes_of((const char *)in->data + 1, in->size - 1);
    if (!take_u32(in, &row->namespace_id) ||
        ((row->flags & ROW_EXPIRES) != 0 && !take_u64(in, &expiry)) ||
        ((row->flags & ROW_CLAST) != 0 && !take_u64(in, &row->clast)) || !take_u32(in, &size) ||
        size > in->size || !key_fits(size, row->flags)) {
        return false;
    }
    row->expiry_ms = (int64_t)expiry;
    row->key = bytes_of(in->data, size);
    *in = bytes_of((const char *)in->data + size, in->size - size);
    return true;
}

static bool take_part(struct bytes *in, struct row *row)
{
    row->type = 0;
    row->namespace_id = 0;
    row->expiry_ms = 0;
    row->clast = 0;
    row->key = BYTES_NONE;
    row->part.number = 0;
    return row->flags == 0 && take_u64(in, &row->part.clast) && take_u32(in, &row->part.table) &&
           (row->kind == ROW_CLAST_GONE || take_u32(in, &row->part.number));
}

bool row_take(struct bytes *in, struct row *row_out)
{
    const unsigned char *p = in->data;
    if (in->size < FIXED_SIZE || p[20] < ROW_KEY || p[20] > ROW_CLAST_GONE || p[21] > ROW_FLAGS) {
        return false;
    }
    struct bytes rest = bytes_of(p + FIXED_SIZE, in->size - FIXED_SIZE);
    row_out->place = load_u64(p);
    row_out->at = (struct location){.size = load_u32(p + 16)};
    row_out->lsn = 0;
    row_out->kind = p[20];
    row_out->flags = p[21];
    if (kind_gone(row_out->kind)) {
        row_out->lsn = load_u64(p + 8);
    } else {
        row_out->at.stratum = load_u32(p + 8);
        row_out->at.unit = load_u32(p + 12);
    }
    if (!location_fits(&row_out->at, row_out->kind)) {
        return false;
    }
    bool is_key = row_out->kind == ROW_KEY || row_out->kind == ROW_KEY_GONE;
    if (!(is_key ? take_key(&rest, row_out) : take_part(&rest, row_out))) {
        return false;
    }
    *in = rest;
    return true;
}

static inline bool skip_varint(struct bytes bytes, size_t *offset)
{
    const unsigned char *p = bytes.data;
    for (unsigned i = 0; i < VARINT_U32_MAX && *offset < bytes.size; i++) {
        if (p[(*offset)++] < 0x80) {
            return true;
        }
    }
    return false;
}

bool row_skip(struct bytes *in)
{
    const unsigned char *p = in->data;
    size_t offset = FIXED_SIZE;
    if (in->size < FIXED_SIZE) {
        return false;
    }
    if (p[20] == ROW_KEY || p[20] == ROW_KEY_GONE) {
        offset++;
        if (!skip_varint(*in, &offset)) {
            return false;
        }
        offset += (p[21] & ROW_EXPIRES) != 0 ? 8 : 0;
        offset += (p[21] & ROW_CLAST) != 0 ? 8 : 0;
        struct bytes rest = offset < in->size ? bytes_slice(*in, offset, in->size) : BYTES_NONE;
        uint32_t size;
        if (!take_u32(&rest, &size)) {
            return false;
        }
        offset = in->size - rest.size + size;
    } else {
        offset += 8;
        if (!skip_varint(*in, &offset) || (p[20] != ROW_CLAST_GONE && !skip_varint(*in, &offset))) {
            return false;
        }
    }
    if (offset > in->size) {
        return false;
    }
    *in = bytes_of(p + offset, in->size - offset);
    return true;
}

/* -- Names ------------------------------------------------------------------------------------- */

/* What a kind speaks of, in the order in which these come at one place. */
static unsigned kind_subject(enum row_kind kind)
{
    switch (kind) {
    case ROW_CLAST_GONE:
        return 0;
    case ROW_KEY:
    case ROW_KEY_GONE:
        return 1;
    case ROW_PART:
    case ROW_PART_GONE:
        break;
    }
    return 2;
}

static int order_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_keys(const struct row *a, const struct row *b)
{
    int order = order_u64(a->namespace_id, b->namespace_id);
    order = order != 0 ? order : order_u64(a->flags & ROW_LONG, b->flags & ROW_LONG);
    return order != 0 ? order : bytes_compare(a->key, b->key);
}

static int compare_parts(const struct part_name *a, const struct part_name *b)
{
    int order = order_u64(a->clast, b->clast);
    order = order != 0 ? order : order_u64(a->table, b->table);
    return order != 0 ? order : order_u64(a->number, b->number);
}

int row_compare(const struct row *a, const struct row *b)
{
    unsigned subject = kind_subject(a->kind);
    int order = order_u64(a->place, b->place);
    order = order != 0 ? order : order_u64(subject, kind_subject(b->kind));
    if (order != 0) {
        return order;
    }
    return subject == 1 ? compare_keys(a, b) : compare_parts(&a->part, &b->part);
}

bool row_same(const struct row *a, const struct row *b)
{
    return a->place == b->place && row_compare(a, b) == 0;
}
