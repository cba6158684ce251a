/* Reading hashes. */
#include "engine/value/fields.h"

#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/fields_private.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------------
 * Elements and blocks.
 */

bool field_element_parse(struct value_piece element, struct field_item *item_out)
{
    struct bytes rest = element.data;
    uint64_t head;
    if (!varint_take(&rest, &head)) {
        return false;
    }
    int64_t expiry_ms = FIELDS_NO_EXPIRY;
    if ((head & 1) != 0) {
        if (rest.size < FIELDS_TIME_SIZE) {
            return false;
        }
        expiry_ms = (int64_t)load_u64(rest.data);
        rest = bytes_slice(rest, FIELDS_TIME_SIZE, rest.size);
    }
    uint64_t field_size = head >> 1;
    if (field_size > rest.size) {
        return false;
    }
    *item_out = (struct field_item){
        .field = {bytes_slice(rest, 0, (size_t)field_size), element.part},
        .value = {bytes_slice(rest, (size_t)field_size, rest.size), element.part},
        .expiry_ms = expiry_ms,
    };
    return true;
}

static uint64_t element_hash(struct bytes element, uint64_t seed)
{
    struct field_item item;
    return field_element_parse((struct value_piece){element, NULL}, &item)
               ? hash_element(item.field.data, seed)
               : 0;
}

const struct clast_order fields_order = {.kind = CLAST_HASHED, .hash = element_hash};

/* An element that we stored. */
static struct field_item item_of(struct value_piece element)
{
    struct field_item item;
    bool parsed = field_element_parse(element, &item);
    CHECK(parsed);
    return item;
}

int64_t block_earliest(struct bytes block)
{
    if (!block_expiring(block)) {
        return FIELDS_NEVER;
    }
    size_t offset = PACKED_HEADER_SIZE;
    return (int64_t)load_u64(packed_next(block, &offset).data);
}

struct field_item block_next(struct bytes block, size_t *offset)
{
    struct field_item item = {.expiry_ms = FIELDS_NO_EXPIRY};
    item.field.data = packed_next(block, offset);
    item.value.data = packed_next(block, offset);
    if (block_expiring(block)) {
        item.expiry_ms = (int64_t)load_u64(item.value.data.data);
        item.value.data = bytes_slice(item.value.data, FIELDS_TIME_SIZE, item.value.data.size);
    }
    return item;
}

/* ------------------------------------------------------------------------------------------
 * Roots.
 */

struct fields *fields_new(uint64_t seed)
{
    struct fields *root = part_alloc(sizeof(*root));
    if (root != NULL) {
        *root = (struct fields){.head.changed = true,
                                .earliest_ms = FIELDS_NEVER,
                                .gone_ms = FIELDS_NEVER,
                                .noted_ms = FIELDS_NEVER};
        clast_init(&root->clast, &fields_order, seed);
        clast_init(&root->due, &clast_sorted, 0);
    }
    return root;
}

void fields_drop(struct fields *root)
{
    if (root != NULL) {
        clast_deinit(&root->clast);
        clast_deinit(&root->due);
        free(root);
    }
}

static enum status same_field(void *ctx, struct bytes element, bool *same_out)
{
    const struct bytes *field = ctx;
    *same_out = bytes_equal(item_of((struct value_piece){element, NULL}).field.data, *field);
    return ST_OK;
}

enum status fields_seek(const struct fields *root, struct bytes field, uint64_t hash,
                        struct clast_path *path_out, bool *found_out)
{
    return clast_seek_hash(&root->clast, hash, same_field, &field, path_out, found_out);
}

struct moment {
    uint64_t seed, hash;
    int64_t expiry_ms;
};

/* The clast asks about all whose tags are equal: a byte of the hash. */
static enum status same_time(void *ctx, struct bytes element, bool *same_out)
{
    const struct moment *moment = ctx;
    struct field_item item = item_of((struct value_piece){element, NULL});
    *same_out = item.expiry_ms == moment->expiry_ms &&
                hash_element(item.field.data, moment->seed) == moment->hash;
    return ST_OK;
}

enum status fields_seek_time(const struct fields *root, uint64_t hash, int64_t expiry_ms,
                             struct clast_path *path_out, bool *found_out)
{
    struct moment moment = {root->clast.seed, hash, expiry_ms};
    return clast_seek_hash(&root->clast, hash, same_time, &moment, path_out, found_out);
}

/* Times are never negative, so their bytes from the highest on sort as they do. */
void field_due_store(unsigned char *p, int64_t expiry_ms, uint64_t hash)
{
    store_u64(p, __builtin_bswap64((uint64_t)expiry_ms));
    store_u64(p + FIELDS_TIME_SIZE, __builtin_bswap64(hash));
}

/* ------------------------------------------------------------------------------------------
 * Counts and times.
 */

struct value fields_empty(void)
{
    return fields_packed(packed_empty());
}

uint64_t fields_count(const struct value *value)
{
    CHECK(value->type == VALUE_HASH);
    const struct fields *root = fields_root(value);
    return root != NULL ? root->clast.count : block_fields(value->packed);
}

int64_t fields_earliest(const struct value *value)
{
    const struct fields *root = fields_root(value);
    return root != NULL ? root->earliest_ms : block_earliest(value->packed);
}

int64_t fields_noted(const struct value *value)
{
    const struct fields *root = fields_root(value);
    return root != NULL ? root->noted_ms : block_earliest(value->packed);
}

void fields_note(struct value *value)
{
    struct fields *root = fields_root(value);
    if (root != NULL) {
        root->noted_ms = root->earliest_ms;
    }
}

enum status fields_live_count(const struct value *value, uint64_t now_ms, uint64_t *count_out)
{
    uint64_t count = fields_count(value);
    *count_out = count;
    if (fields_earliest(value) > (int64_t)now_ms) {
        return ST_OK;
    }
    const struct fields *root = fields_root(value);
    if (root == NULL) {
        for (size_t offset = block_begin(value->packed); offset < value->packed.size;) {
            struct field_item item = block_next(value->packed, &offset);
            count -= field_is_due(&item, now_ms);
        }
        *count_out = count;
        return ST_OK;
    }
    unsigned char key[FIELDS_DUE_SIZE];
    struct clast_path path;
    field_due_store(key, (int64_t)now_ms + 1, 0);
    enum status status = clast_seek_key(&root->due, bytes_of(key, sizeof(key)), &path);
    if (status == ST_OK) {
        *count_out = count - clast_path_rank(&path);
    }
    return status;
}

bool fields_gone(const struct value *value, uint64_t now_ms)
{
    const struct fields *root = fields_root(value);
    uint64_t count;
    if (root != NULL) {
        return root->gone_ms <= (int64_t)now_ms;
    }
    return fields_earliest(value) <= (int64_t)now_ms &&
           fields_live_count(value, now_ms, &count) == ST_OK && count == 0;
}

/* ------------------------------------------------------------------------------------------
 * One field.
 */

static bool block_find(struct bytes block, struct bytes field, struct field_item *item_out)
{
    for (size_t offset = block_begin(block); offset < block.size;) {
        *item_out = block_next(block, &offset);
        if (bytes_equal(item_out->field.data, field)) {
            return true;
        }
    }
    return false;
}

enum status fields_find(const struct value *value, struct bytes field, uint64_t now_ms,
                        struct field_item *item_out, bool *found_out)
{
    const struct fields *root = fields_root(value);
    if (root == NULL) {
        *found_out = block_find(value->packed, field, item_out) && !field_is_due(item_out, now_ms);
        return ST_OK;
    }
    struct clast_path path;
    enum status status =
        fields_seek(root, field, hash_element(field, root->clast.seed), &path, found_out);
    if (status == ST_OK && *found_out) {
        struct value_piece element;
        status = clast_path_element(&root->clast, &path, &element);
        if (status == ST_OK) {
            *item_out = item_of(element);
            *found_out = !field_is_due(item_out, now_ms);
        }
    }
    return status;
}

enum status fields_at(const struct value *value, uint64_t index, struct field_item *item_out)
{
    const struct fields *root = fields_root(value);
    if (root == NULL) {
        uint32_t entry = (uint32_t)index * 2 + block_expiring(value->packed);
        size_t offset = packed_offset(value->packed, entry);
        *item_out = block_next(value->packed, &offset);
        return ST_OK;
    }
    struct value_piece element;
    enum status status = clast_at(&root->clast, index, &element);
    if (status == ST_OK) {
        *item_out = item_of(element);
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Many.
 */

struct walking {
    uint64_t now_ms;
    field_item_fn fn;
    void *ctx;
};

static enum status walk_item(const struct walking *walking, const struct field_item *item)
{
    return field_is_due(item, walking->now_ms) ? ST_OK : walking->fn(walking->ctx, item);
}

static enum status walk_element(void *ctx, struct value_piece piece)
{
    struct field_item item = item_of(piece);
    return walk_item(ctx, &item);
}

static enum status block_walk(struct bytes block, const struct walking *walking)
{
    enum status status = ST_OK;
    for (size_t offset = block_begin(block); offset < block.size && status == ST_OK;) {
        struct field_item item = block_next(block, &offset);
        status = walk_item(walking, &item);
    }
    return status;
}

enum status fields_walk(const struct value *value, uint64_t now_ms, field_item_fn fn, void *ctx)
{
    const struct fields *root = fields_root(value);
    struct walking walking = {now_ms, fn, ctx};
    if (root == NULL) {
        return block_walk(value->packed, &walking);
    }
    return clast_walk(&root->clast, 0, root->clast.count, false, walk_element, &walking);
}

enum status fields_scan(const struct value *value, uint64_t now_ms, uint64_t cursor, uint64_t count,
                        field_item_fn fn, void *ctx, uint64_t *cursor_out)
{
    const struct fields *root = fields_root(value);
    struct walking walking = {now_ms, fn, ctx};
    if (root == NULL) {
        *cursor_out = 0;
        return block_walk(value->packed, &walking);
    }
    return clast_scan(&root->clast, cursor, count, walk_element, &walking, cursor_out);
}

static enum status block_due(struct bytes block, uint64_t now_ms, size_t max, field_item_fn fn,
                             void *ctx)
{
    enum status status = ST_OK;
    for (size_t offset = block_begin(block); offset < block.size && max > 0 && status == ST_OK;) {
        struct field_item item = block_next(block, &offset);
        if (field_is_due(&item, now_ms)) {
            status = fn(ctx, &item);
            max--;
        }
    }
    return status;
}

/* The field that a row of `due` stands for. */
static enum status due_item(const struct fields *root, struct bytes row,
                            struct field_item *item_out)
{
    int64_t expiry_ms = (int64_t)__builtin_bswap64(load_u64(row.data));
    uint64_t hash = __builtin_bswap64(load_u64((const unsigned char *)row.data + FIELDS_TIME_SIZE));
    struct clast_path path;
    struct value_piece element = {BYTES_NONE, NULL};
    bool found;
    enum status status = fields_seek_time(root, hash, expiry_ms, &path, &found);
    if (status == ST_OK) {
        CHECK(found); /* H1 */
        status = clast_path_element(&root->clast, &path, &element);
    }
    if (status == ST_OK) {
        *item_out = item_of(element);
    }
    return status;
}

enum status fields_due(const struct value *value, uint64_t now_ms, size_t max, field_item_fn fn,
                       void *ctx)
{
    const struct fields *root = fields_root(value);
    if (fields_earliest(value) > (int64_t)now_ms) {
        return ST_OK;
    }
    if (root == NULL) {
        return block_due(value->packed, now_ms, max, fn, ctx);
    }
    struct clast_path path;
    enum status status = clast_seek_rank(&root->due, 0, &path);
    while (status == ST_OK && !clast_path_end(&path) && max > 0) {
        struct value_piece row;
        struct field_item item = {.expiry_ms = FIELDS_NO_EXPIRY};
        status = clast_path_element(&root->due, &path, &row);
        if (status == ST_OK) {
            status = due_item(root, row.data, &item);
        }
        if (status != ST_OK || !field_is_due(&item, now_ms)) {
            break;
        }
        status = fn(ctx, &item);
        max--;
        if (status == ST_OK) {
            status = clast_path_next(&root->due, &path);
        }
    }
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Checks.
 */

struct checking {
    const struct fields *root;
    uint64_t expiring;
    int64_t earliest_ms;
    bool sound;
};

static enum status check_item(void *ctx, struct value_piece element)
{
    struct checking *checking = ctx;
    struct field_item item = item_of(element);
    unsigned char key[FIELDS_DUE_SIZE];
    struct clast_path path;
    struct value_piece row;
    struct field_item first;
    bool found;
    struct value value = fields_clast((struct fields *)checking->root);
    /* H3: who looks for that name finds this field. */
    checking->sound &= fields_find(&value, item.field.data, 0, &first, &found) == ST_OK && found &&
                       first.field.data.data == item.field.data.data;
    if (item.expiry_ms == FIELDS_NO_EXPIRY) {
        return ST_OK;
    }
    checking->expiring++;
    if (item.expiry_ms < checking->earliest_ms) {
        checking->earliest_ms = item.expiry_ms;
    }
    field_due_store(key, item.expiry_ms, hash_element(item.field.data, checking->root->clast.seed));
    checking->sound &=
        clast_seek_key(&checking->root->due, bytes_of(key, sizeof(key)), &path) == ST_OK &&
        !clast_path_end(&path) && clast_path_element(&checking->root->due, &path, &row) == ST_OK &&
        bytes_equal(row.data, bytes_of(key, sizeof(key)));
    return ST_OK;
}

/* H2, of the time when all are gone. */
static bool gone_check(const struct fields *root)
{
    struct fields again = *root;
    return fields_settle(&again) == ST_OK && again.gone_ms == root->gone_ms;
}

static bool root_check(const struct fields *root)
{
    struct checking checking = {root, 0, FIELDS_NEVER, true};
    return clast_check(&root->clast) && clast_check(&root->due) &&
           clast_walk(&root->clast, 0, root->clast.count, false, check_item, &checking) == ST_OK &&
           checking.sound && gone_check(root) && checking.expiring == root->due.count &&
           checking.earliest_ms == root->earliest_ms && (root->due.count == 0 || root->expiring);
}

bool fields_check(const struct value *value)
{
    if (value->shape == VALUE_CLAST) {
        return root_check(value->root);
    }
    struct bytes block = value->packed;
    if (!packed_verify(block) || block.size > FIELDS_PACKED_MAX) {
        return false;
    }
    int64_t earliest_ms = FIELDS_NEVER;
    for (size_t offset = block_begin(block); offset < block.size;) {
        size_t start = offset;
        struct field_item item = block_next(block, &offset);
        struct field_item first;
        if (item.expiry_ms != FIELDS_NO_EXPIRY && item.expiry_ms < earliest_ms) {
            earliest_ms = item.expiry_ms;
        }
        /* H3: the first field of that name is this one. */
        if (!block_find(block, item.field.data, &first) ||
            first.field.data.data != item.field.data.data || start == offset) {
            return false;
        }
    }
    return earliest_ms == block_earliest(block);
}
