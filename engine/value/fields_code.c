/* Hashes as a whole: their encoded form, copies, and what value.c asks of every type.
 *
 *     body  u8 flags (1: expiries follow), varint count, then for each field: varint size, field,
 *           varint size, value, and with the flag i64 expiry (-1: none)
 *
 * The flag says that the hash is an expiring one, which it stays without any expiry left.
 */
#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/fields_private.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

#define FLAG_EXPIRIES 1u
/* Up to so many fields are compared each with each, to see that no two are equal. */
#define QUADRATIC_MAX 64

static bool expiring(const struct value *value)
{
    const struct fields *root = fields_root(value);
    return root != NULL ? root->expiring : block_expiring(value->packed);
}

static const char *fields_encoding(const struct value *value, const struct value_limits *limits)
{
    const struct fields *root = fields_root(value);
    if (root != NULL && !root->small) {
        return "hashtable";
    }
    return expiring(value) ? "listpackex" : "listpack";
}

/* ------------------------------------------------------------------------------------------
 * Encode.
 */

struct encoding {
    struct buf *out; /* Room was reserved. */
    bool expiring;
};

static void put_varint(struct buf *out, uint64_t number)
{
    out->size += varint_store(out->data + out->size, number);
}

static void put_sized(struct buf *out, struct bytes bytes)
{
    put_varint(out, bytes.size);
    if (bytes.size > 0) {
        memcpy(out->data + out->size, bytes.data, bytes.size);
        out->size += bytes.size;
    }
}

static enum status encode_item(void *ctx, const struct field_item *item)
{
    const struct encoding *encoding = ctx;
    put_sized(encoding->out, item->field.data);
    put_sized(encoding->out, item->value.data);
    if (encoding->expiring) {
        store_u64(encoding->out->data + encoding->out->size, (uint64_t)item->expiry_ms);
        encoding->out->size += FIELDS_TIME_SIZE;
    }
    CHECK(encoding->out->size <= encoding->out->capacity);
    return ST_OK;
}

static uint64_t fields_encoded_max(const struct value *value)
{
    const struct fields *root = fields_root(value);
    uint64_t frame = 1 + VARINT_MAX;
    if (root == NULL) {
        return frame + value->packed.size;
    }
    return frame + root->clast.bytes + root->clast.count * (5 + 5 + FIELDS_TIME_SIZE);
}

static enum status fields_encode(const struct value *value, struct buf *out)
{
    /* Room first: a packed hash may lie in `out` itself, which then stays put. */
    uintptr_t old_data = (uintptr_t)out->data;
    size_t old_size = out->size;
    enum status status = buf_reserve(out, fields_encoded_max(value));
    if (status != ST_OK) {
        return status;
    }
    struct value now = *value;
    now.packed = packed_rebase(value->packed, old_data, old_size, out);
    struct encoding encoding = {out, expiring(&now)};
    out->data[out->size++] = encoding.expiring ? FLAG_EXPIRIES : 0;
    put_varint(out, fields_count(&now));
    return fields_walk(&now, 0, encode_item, &encoding); /* Nothing is due at 0. */
}

/* ------------------------------------------------------------------------------------------
 * Decode: bytes from disk or from clients.
 */

static bool take_sized(struct bytes *in, struct bytes *out)
{
    return bytes_take_sized(in, out) && out->size <= CLAST_ELEMENT_MAX;
}

static bool take_item(struct bytes *in, bool timed, struct field_item *item_out)
{
    *item_out = (struct field_item){.expiry_ms = FIELDS_NO_EXPIRY};
    if (!take_sized(in, &item_out->field.data) || !take_sized(in, &item_out->value.data)) {
        return false;
    }
    if (!timed) {
        return true;
    }
    if (in->size < FIELDS_TIME_SIZE) {
        return false;
    }
    item_out->expiry_ms = (int64_t)load_u64(in->data);
    *in = bytes_slice(*in, FIELDS_TIME_SIZE, in->size);
    return item_out->expiry_ms == FIELDS_NO_EXPIRY ||
           (item_out->expiry_ms > 0 && item_out->expiry_ms < FIELDS_NEVER);
}

/* What the items would be as a block. */
struct survey {
    bool expiring;
    uint64_t count, longest, packed_size;
    int64_t earliest_ms;
};

/* False: these are not the fields of a hash. */
static bool items_survey(struct bytes items, struct survey *survey)
{
    while (items.size > 0) {
        struct field_item item;
        if (!take_item(&items, survey->expiring, &item)) {
            return false;
        }
        size_t field = item.field.data.size;
        size_t data = item.value.data.size;
        survey->count++;
        survey->longest = field > survey->longest ? field : survey->longest;
        survey->longest = data > survey->longest ? data : survey->longest;
        survey->packed_size += packed_entry_size(field) +
                               packed_entry_size(data + (survey->expiring ? FIELDS_TIME_SIZE : 0));
        if (item.expiry_ms >= 0 && item.expiry_ms < survey->earliest_ms) {
            survey->earliest_ms = item.expiry_ms;
        }
    }
    return true;
}

static enum status decode_block(struct bytes items, const struct survey *found, struct buf *scratch,
                                struct value *value_out)
{
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    unsigned char *start = buf_extend(scratch, found->packed_size);
    if (start == NULL) {
        return ST_NOMEM;
    }
    items = packed_rebase(items, old_data, old_size, scratch);
    unsigned char *p = start + PACKED_HEADER_SIZE;
    unsigned char time[FIELDS_TIME_SIZE];
    store_u32(start, (uint32_t)found->count * 2 + found->expiring);
    if (found->expiring) {
        store_u64(time, (uint64_t)found->earliest_ms);
        p += packed_entry_store(p, bytes_of(time, sizeof(time)));
    }
    struct field_item item;
    while (items.size > 0 && take_item(&items, found->expiring, &item)) {
        p += packed_entry_store(p, item.field.data);
        if (found->expiring) {
            store_u64(time, (uint64_t)item.expiry_ms);
            p += packed_entry_store_two(p, bytes_of(time, sizeof(time)), item.value.data);
        } else {
            p += packed_entry_store(p, item.value.data);
        }
    }
    CHECK(p == start + found->packed_size);
    *value_out = fields_packed(bytes_of(start, found->packed_size));
    return ST_OK;
}

static enum status decode_root(struct bytes items, const struct survey *found, bool small,
                               const struct value_limits *limits, struct buf *scratch,
                               struct fields **root_out)
{
    struct fields *root = fields_new(limits->hash_seed);
    enum status status = root == NULL ? ST_NOMEM : ST_OK;
    while (items.size > 0 && status == ST_OK) {
        struct field_item item;
        bool taken = take_item(&items, found->expiring, &item);
        CHECK(taken);
        uintptr_t old_data = (uintptr_t)scratch->data;
        size_t old_size = scratch->size;
        bool is_new;
        status = fields_root_put(root, item.field.data, item.value.data, item.expiry_ms, scratch,
                                 &is_new);
        items = packed_rebase(items, old_data, old_size, scratch);
        if (status == ST_OK && !is_new) {
            status = ST_CORRUPT;
        }
    }
    if (status == ST_OK) {
        status = fields_settle(root);
    }
    if (status != ST_OK) {
        fields_drop(root);
        return status;
    }
    root->small = small;
    root->expiring = found->expiring;
    *root_out = root;
    return ST_OK;
}

/* H3 among a few fields. */
static bool items_differ(struct bytes items, bool timed)
{
    struct field_item item;
    while (items.size > 0 && take_item(&items, timed, &item)) {
        struct bytes rest = items;
        struct field_item other;
        while (rest.size > 0 && take_item(&rest, timed, &other)) {
            if (bytes_equal(item.field.data, other.field.data)) {
                return false;
            }
        }
    }
    return true;
}

static enum status fields_decode(struct bytes body, const struct value_limits *limits,
                                 struct buf *scratch, struct value *value_out)
{
    if (body.size == 0 || *(const unsigned char *)body.data > FLAG_EXPIRIES) {
        return ST_CORRUPT;
    }
    struct survey found = {.expiring = *(const unsigned char *)body.data == FLAG_EXPIRIES,
                           .earliest_ms = FIELDS_NEVER,
                           .packed_size = PACKED_HEADER_SIZE};
    found.packed_size += found.expiring ? FIELDS_STAMP_SIZE : 0;
    struct bytes rest = bytes_slice(body, 1, body.size);
    struct bytes items = rest;
    uint64_t count;
    if (!varint_take_shortest(&items, &count) || !items_survey(items, &found) ||
        found.count != count) {
        return ST_CORRUPT;
    }
    bool fits = fields_fit(count, found.longest, limits);
    bool packed = fits && found.packed_size <= FIELDS_PACKED_MAX;
    if (packed && count <= QUADRATIC_MAX) {
        return items_differ(items, found.expiring) ? decode_block(items, &found, scratch, value_out)
                                                   : ST_CORRUPT;
    }
    struct fields *root;
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    enum status status = decode_root(items, &found, fits, limits, scratch, &root);
    if (status != ST_OK) {
        return status;
    }
    if (packed) { /* The root has shown that no two are equal. */
        fields_drop(root);
        items = packed_rebase(items, old_data, old_size, scratch);
        return decode_block(items, &found, scratch, value_out);
    }
    *value_out = fields_clast(root);
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Copies and the rest.
 */

static enum status fields_copy(const struct value *value, struct buf *scratch,
                               struct value *copy_out)
{
    const struct fields *root = fields_root(value);
    if (root == NULL) {
        *copy_out = *value;
        return packed_slice(value->packed, 0, packed_count(value->packed), scratch,
                            &copy_out->packed);
    }
    struct fields *copy = fields_new(root->clast.seed);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_copy(&root->clast, &copy->clast);
    if (status == ST_OK) {
        status = clast_copy(&root->due, &copy->due);
    }
    if (status != ST_OK) {
        fields_drop(copy);
        return status;
    }
    copy->earliest_ms = root->earliest_ms;
    copy->gone_ms = root->gone_ms;
    copy->expiring = root->expiring;
    copy->small = root->small;
    *copy_out = fields_clast(copy);
    return ST_OK;
}

static void fields_free(struct value *value)
{
    fields_drop(value->root);
    value->root = NULL;
}

static bool fields_free_some(struct value *value, size_t parts)
{
    struct fields *root = value->root;
    if (!clast_free_some(&root->clast, parts) || !clast_free_some(&root->due, parts)) {
        return false;
    }
    fields_free(value);
    return true;
}

static uint64_t fields_memory(const struct value *value)
{
    const struct fields *root = value->root;
    return part_heap_size(sizeof(*root)) + clast_memory(&root->clast) + clast_memory(&root->due);
}

static bool fields_vanishes(const struct value *value)
{
    return fields_count(value) == 0;
}

static enum status fields_tables(void *root, value_table_fn fn, void *ctx)
{
    struct fields *fields = root;
    enum status status = fn(ctx, &fields->clast.parts);
    return status == ST_OK ? fn(ctx, &fields->due.parts) : status;
}

#define ROOT_EXPIRING 1u
#define ROOT_SMALL 2u
#define ROOT_SIZE 17

/* u8 flags, i64 earliest expiry, i64 expiry of all (FIELDS_NEVER: none), both clasts. Of what the
 * heap of times was told a root that comes back remembers nothing. */
static enum status fields_store(const struct value *value, struct buf *out)
{
    const struct fields *root = value->root;
    unsigned char head[ROOT_SIZE];
    head[0] =
        (unsigned char)((root->expiring ? ROOT_EXPIRING : 0) | (root->small ? ROOT_SMALL : 0));
    store_u64(head + 1, (uint64_t)root->earliest_ms);
    store_u64(head + 9, (uint64_t)root->gone_ms);
    enum status status = buf_append(out, bytes_of(head, sizeof(head)));
    if (status == ST_OK) {
        status = clast_store(&root->clast, out);
    }
    return status == ST_OK ? clast_store(&root->due, out) : status;
}

/* Whether what the root says of times can be. */
static bool times_fit(const struct fields *root)
{
    bool some = root->due.count > 0;
    bool all = some && root->due.count == root->clast.count;
    return root->due.count <= root->clast.count && (!some || root->expiring) &&
           some == (root->earliest_ms != FIELDS_NEVER) && all == (root->gone_ms != FIELDS_NEVER) &&
           root->earliest_ms > 0 && root->gone_ms >= root->earliest_ms;
}

static enum status fields_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                               void **root_out)
{
    if (in->size < ROOT_SIZE || *(const unsigned char *)in->data > (ROOT_EXPIRING | ROOT_SMALL)) {
        return ST_CORRUPT;
    }
    struct fields *root = fields_new(limits->hash_seed);
    if (root == NULL) {
        return ST_NOMEM;
    }
    const unsigned char *head = in->data;
    root->expiring = (head[0] & ROOT_EXPIRING) != 0;
    root->small = (head[0] & ROOT_SMALL) != 0;
    root->earliest_ms = (int64_t)load_u64(head + 1);
    root->gone_ms = (int64_t)load_u64(head + 9);
    *in = bytes_slice(*in, ROOT_SIZE, in->size);
    enum status status = clast_load(&root->clast, in, clast);
    if (status == ST_OK) {
        status = clast_load(&root->due, in, clast);
    }
    if (status == ST_OK && !times_fit(root)) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        fields_drop(root);
        return status;
    }
    root->head.changed = false;
    *root_out = root;
    return ST_OK;
}

const struct value_class fields_class = {
    .name = "hash",
    .empty = fields_empty,
    .vanishes = fields_vanishes,
    .encoding = fields_encoding,
    .encode = fields_encode,
    .decode = fields_decode,
    .encoded_max = fields_encoded_max,
    .copy = fields_copy,
    .free = fields_free,
    .free_some = fields_free_some,
    .memory = fields_memory,
    .apply = fields_apply,
    .tables = fields_tables,
    .store = fields_store,
    .load = fields_load,
};
