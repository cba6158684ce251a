/* One field of a root at a time.
 *
 * In a root a field that expires has a row in `due`, and the two must change together or not at
 * all. So what can fail comes first: the old row is made private (its removal can then no longer
 * fail), the new row is inserted, then the element changes. If that fails the new row goes again;
 * if it succeeds the old one goes. A row is shared by fields with equal hashes and times, so one
 * goes only when no other such field is left.
 */
#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/fields_private.h"

static enum status due_seek(const struct fields *root, int64_t expiry_ms, uint64_t hash,
                            struct clast_path *path_out, bool *found_out)
{
    unsigned char key[FIELDS_DUE_SIZE];
    struct value_piece row;
    field_due_store(key, expiry_ms, hash);
    enum status status = clast_seek_key(&root->due, bytes_of(key, sizeof(key)), path_out);
    *found_out = false;
    if (status == ST_OK && !clast_path_end(path_out)) {
        status = clast_path_element(&root->due, path_out, &row);
        *found_out = status == ST_OK && bytes_equal(row.data, bytes_of(key, sizeof(key)));
    }
    return status;
}

/* Removes the row unless another field needs it. The parts on its way are private, so that only
 * ST_WAIT can hold it up. */
static enum status due_drop(struct fields *root, int64_t expiry_ms, uint64_t hash)
{
    struct clast_path path;
    bool found = false;
    enum status status = fields_seek_time(root, hash, expiry_ms, &path, &found);
    if (status == ST_OK && !found) {
        status = due_seek(root, expiry_ms, hash, &path, &found);
        CHECK(status != ST_OK || found); /* H1 */
        if (status == ST_OK) {
            status = clast_remove_at(&root->due, &path);
        }
    }
    CHECK(status == ST_OK || status == ST_WAIT);
    return status;
}

/* All of a change of times that can fail; due_drop of the old time, or, to take it back, of the new
 * one is left to do. */
static enum status due_begin(struct fields *root, int64_t old_ms, int64_t new_ms, uint64_t hash)
{
    struct clast_path path;
    bool found;
    if (old_ms == new_ms) {
        return ST_OK;
    }
    enum status status = ST_OK;
    if (old_ms != FIELDS_NO_EXPIRY) {
        status = due_seek(root, old_ms, hash, &path, &found);
        if (status == ST_OK) {
            CHECK(found); /* H1 */
            status = clast_own_at(&root->due, &path);
        }
    }
    if (status == ST_OK && new_ms != FIELDS_NO_EXPIRY) {
        status = due_seek(root, new_ms, hash, &path, &found);
        if (status == ST_OK && !found) {
            unsigned char key[FIELDS_DUE_SIZE];
            field_due_store(key, new_ms, hash);
            status = clast_insert_at(&root->due, &path, bytes_of(key, sizeof(key)));
        }
    }
    return status;
}

/* The element has changed, or status says why not; gives that, or ST_WAIT. */
static enum status due_end(struct fields *root, int64_t old_ms, int64_t new_ms, uint64_t hash,
                           enum status status)
{
    int64_t gone_ms = status == ST_OK ? old_ms : new_ms;
    enum status dropped = ST_OK;
    if (old_ms != new_ms && gone_ms != FIELDS_NO_EXPIRY) {
        dropped = due_drop(root, gone_ms, hash);
    }
    root->expiring |= status == ST_OK && new_ms != FIELDS_NO_EXPIRY;
    return dropped == ST_OK ? status : dropped;
}

/* Appends the element to scratch. field and data may lie in there. */
static enum status element_build(struct bytes field, struct bytes data, int64_t expiry_ms,
                                 struct buf *scratch, struct bytes *element_out)
{
    bool timed = expiry_ms != FIELDS_NO_EXPIRY;
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    enum status status =
        buf_reserve(scratch, VARINT_MAX + FIELDS_TIME_SIZE + field.size + data.size);
    if (status != ST_OK) {
        return status;
    }
    field = packed_rebase(field, old_data, old_size, scratch);
    data = packed_rebase(data, old_data, old_size, scratch);
    unsigned char *p = scratch->data + scratch->size;
    unsigned char *start = p;
    p += varint_store(p, (uint64_t)field.size << 1 | timed);
    if (timed) {
        store_u64(p, (uint64_t)expiry_ms);
        p += FIELDS_TIME_SIZE;
    }
    if (field.size > 0) {
        memcpy(p, field.data, field.size);
        p += field.size;
    }
    if (data.size > 0) {
        memcpy(p, data.data, data.size);
        p += data.size;
    }
    scratch->size += (size_t)(p - start);
    *element_out = bytes_of(start, (size_t)(p - start));
    return ST_OK;
}

/* The element that a path stands on. */
static enum status path_item(const struct fields *root, const struct clast_path *path,
                             struct field_item *item_out)
{
    struct value_piece element;
    enum status status = clast_path_element(&root->clast, path, &element);
    if (status == ST_OK) {
        bool parsed = field_element_parse(element, item_out);
        CHECK(parsed);
    }
    return status;
}

static enum status root_write(struct fields *root, struct clast_path *path, bool found,
                              struct bytes element, int64_t old_ms, int64_t new_ms, uint64_t hash)
{
    enum status status = due_begin(root, old_ms, new_ms, hash);
    if (status != ST_OK) {
        return status;
    }
    status = found ? clast_replace_at(&root->clast, path, element)
                   : clast_insert_at(&root->clast, path, element);
    return due_end(root, old_ms, new_ms, hash, status);
}

enum status fields_root_put(struct fields *root, struct bytes field, struct bytes data,
                            int64_t expiry_ms, struct buf *scratch, bool *new_out)
{
    uint64_t hash = hash_element(field, root->clast.seed);
    struct clast_path path;
    bool found;
    int64_t old_ms = FIELDS_NO_EXPIRY;
    enum status status = fields_seek(root, field, hash, &path, &found);
    if (status == ST_OK && found) {
        struct field_item item;
        status = path_item(root, &path, &item);
        old_ms = status == ST_OK ? item.expiry_ms : old_ms;
    }
    int64_t new_ms = expiry_ms == FIELDS_KEEP_EXPIRY ? old_ms : expiry_ms;
    size_t scratch_size = scratch->size;
    struct bytes element = BYTES_NONE;
    if (status == ST_OK) {
        status = element_build(field, data, new_ms, scratch, &element);
    }
    if (status == ST_OK) {
        status = root_write(root, &path, found, element, old_ms, new_ms, hash);
    }
    scratch->size = scratch_size;
    *new_out = !found;
    return status;
}

enum status fields_root_expire(struct fields *root, struct bytes field, int64_t new_ms,
                               struct buf *scratch, bool *changed_out)
{
    uint64_t hash = hash_element(field, root->clast.seed);
    struct clast_path path;
    struct field_item item = {.expiry_ms = FIELDS_NO_EXPIRY};
    bool found;
    *changed_out = false;
    enum status status = fields_seek(root, field, hash, &path, &found);
    if (status == ST_OK && found) {
        status = path_item(root, &path, &item);
    }
    if (status != ST_OK || !found || item.expiry_ms == new_ms) {
        return status;
    }
    int64_t old_ms = item.expiry_ms;
    size_t scratch_size = scratch->size;
    struct bytes element = BYTES_NONE;
    status = element_build(field, item.value.data, new_ms, scratch, &element);
    if (status == ST_OK) {
        status = root_write(root, &path, true, element, old_ms, new_ms, hash);
    }
    scratch->size = scratch_size;
    *changed_out = status == ST_OK;
    return status;
}

enum status fields_root_remove(struct fields *root, struct bytes field, bool *removed_out)
{
    uint64_t hash = hash_element(field, root->clast.seed);
    struct clast_path path;
    struct field_item item = {.expiry_ms = FIELDS_NO_EXPIRY};
    bool found;
    *removed_out = false;
    enum status status = fields_seek(root, field, hash, &path, &found);
    if (status == ST_OK && found) {
        status = path_item(root, &path, &item);
    }
    if (status != ST_OK || !found) {
        return status;
    }
    int64_t old_ms = item.expiry_ms;
    status = due_begin(root, old_ms, FIELDS_NO_EXPIRY, hash);
    if (status == ST_OK) {
        status = clast_remove_at(&root->clast, &path);
    }
    if (status == ST_OK) {
        status = due_end(root, old_ms, FIELDS_NO_EXPIRY, hash, ST_OK);
    }
    *removed_out = status == ST_OK;
    return status;
}

/* The time of a row of `due`. */
static enum status due_time(const struct fields *root, uint64_t rank, int64_t *expiry_ms)
{
    struct value_piece row;
    enum status status = clast_at(&root->due, rank, &row);
    if (status == ST_OK) {
        *expiry_ms = (int64_t)__builtin_bswap64(load_u64(row.data.data));
    }
    return status;
}

enum status fields_settle(struct fields *root)
{
    int64_t earliest_ms = FIELDS_NEVER;
    int64_t gone_ms = FIELDS_NEVER;
    uint64_t count = root->due.count;
    enum status status = count == 0 ? ST_OK : due_time(root, 0, &earliest_ms);
    if (status == ST_OK && count > 0 && count == root->clast.count) {
        status = due_time(root, count - 1, &gone_ms);
    }
    if (status == ST_OK) {
        root->earliest_ms = earliest_ms;
        root->gone_ms = gone_ms;
    }
    return status;
}
