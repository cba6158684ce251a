/* Typed changes of hashes, and the expiry of their fields.
 *
 * A field whose time has come is absent to every reader at once, but it lies there until it is
 * removed, logged like any deletion: by the next write to the hash (`clear`: those that it names,
 * so that it finds them absent too, and some more) or by the shard's heap of times (basin_tick). */
#include "engine/base/check.h"
#include "engine/txn/txn_change.h"

/* Of the fields that a change does not name it takes out so many, or names of so many bytes. */
#define CLEAR_FIELDS 64
#define CLEAR_BYTES 4096
/* Background expiry, at a time. */
#define EXPIRE_FIELDS 512
#define EXPIRE_BYTES (32 * 1024)

/* As change_open; and the heap of times has room for what the change may tell it, as a tree that
 * has changed in place must be stored. */
static enum status hash_open(struct txn *txn, unsigned number, enum fields_op op, uint64_t size,
                             struct change *change)
{
    enum status status = expiry_reserve(&txn->keys[number].shard->expiry, 1);
    return status == ST_OK ? change_open(txn, number, VALUE_HASH, op, size, change) : status;
}

/* -- Fields whose time has come ---------------------------------------------------------------- */

struct due {
    struct change *change; /* NULL: sizes only. */
    size_t bytes_max;
    size_t count;
    uint64_t size; /* Of the payload. */
};

static void due_add(struct due *due, struct bytes field)
{
    due->count++;
    due->size += VARINT_MAX + field.size;
    if (due->change != NULL) {
        change_put_sized(due->change, field);
    }
}

static enum status due_item(void *ctx, const struct field_item *item)
{
    struct due *due = ctx;
    if (due->count == 0 || due->size < due->bytes_max) {
        due_add(due, item->field.data);
    }
    return ST_OK;
}

/* The named ones are every `stride`-th of `count`. */
struct named {
    const struct bytes *fields;
    size_t count, stride;
};

static enum status due_gather(struct txn *txn, const struct value *value, const struct named *named,
                              size_t max, struct due *due)
{
    due->count = 0;
    due->size = 0;
    enum status status = fields_due(value, txn->now_ms, max, due_item, due);
    for (size_t i = 0; i < named->count && status == ST_OK; i++) {
        struct bytes field = named->fields[i * named->stride];
        struct field_item item;
        bool found;
        status = fields_find(value, field, 0, &item, &found);
        if (status == ST_OK && found && field_is_due(&item, txn->now_ms)) {
            due_add(due, field);
        }
    }
    return status;
}

static enum status due_remove(struct txn *txn, unsigned number, const struct value *value,
                              const struct named *named, size_t max, size_t bytes_max,
                              uint64_t room)
{
    struct due due = {.bytes_max = bytes_max};
    enum status status = due_gather(txn, value, named, max, &due);
    if (status != ST_OK || due.count == 0) {
        return status;
    }
    const struct txn_key *key = &txn->keys[number];
    /* For both changes, as the second may not wait any more: what change_begin asks for. */
    uint64_t frame = 2 * (RECORD_HEADER_SIZE + key->place.name.size) + 8 + 2 * TXN_BLIND_MAX;
    uint64_t size = due.size;
    status = txn_room(txn, 2 * frame + size + room);
    struct change change;
    if (status == ST_OK) {
        status = hash_open(txn, number, FIELDS_REMOVE, size, &change);
    }
    if (status != ST_OK) {
        return status;
    }
    due.change = &change;
    status = due_gather(txn, value, named, max, &due);
    CHECK(status == ST_OK && due.size == size);
    return change_apply(&change, NULL);
}

/* Before a change whose payload takes up to `room` bytes. */
static enum status clear(struct txn *txn, unsigned number, const struct bytes *fields, size_t count,
                         size_t stride, uint64_t room)
{
    struct entry *entry = txn_live_entry(txn, &txn->keys[number]);
    if (entry == NULL || (entry->flags & ENTRY_WAKES) == 0) {
        return ST_OK;
    }
    struct value value = entry_value(entry);
    if (fields_earliest(&value) > (int64_t)txn->now_ms) {
        return ST_OK;
    }
    struct named named = {fields, count, stride};
    return due_remove(txn, number, &value, &named, CLEAR_FIELDS, CLEAR_BYTES, room);
}

enum status txn_hash_expire_due(struct txn *txn, struct shard *shard, struct memtable *table,
                                uint64_t hash, struct entry *entry, bool *more_out)
{
    CHECK(txn->key_count == 0);
    unsigned database = store_database_of(txn->basin, entry->namespace_id);
    txn->late_name.size = 0;
    enum status status = buf_append(&txn->late_name, entry_key(entry));
    if (status == ST_OK) {
        status = txn_add_key(txn, database, buf_bytes(&txn->late_name));
    }
    if (status != ST_OK) {
        return status;
    }
    struct txn_key *key = &txn->keys[0];
    CHECK(key->shard == shard && key->place.table == table && key->place.hash == hash);
    struct value value = entry_value(entry);
    struct named none = {NULL, 0, 1};
    status = due_remove(txn, 0, &value, &none, EXPIRE_FIELDS, EXPIRE_BYTES, 0);
    if (status == ST_OK) {
        entry = txn_entry(txn, key);
        CHECK(entry != NULL);
        value = entry_value(entry);
        *more_out |= fields_earliest(&value) <= (int64_t)txn->now_ms;
    }
    return status;
}

/* -- Changes ----------------------------------------------------------------------------------- */

static uint64_t payload_size(const struct bytes *words, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += VARINT_MAX + words[i].size;
    }
    return size;
}

static enum status open_cleared(struct txn *txn, unsigned number, enum fields_op op,
                                const struct bytes *words, size_t count, size_t stride,
                                struct change *change)
{
    uint64_t size = payload_size(words, count * stride) + count * 8;
    enum status status = clear(txn, number, words, count, stride, size);
    return status == ST_OK ? hash_open(txn, number, op, size, change) : status;
}

enum status txn_hash_set(struct txn *txn, unsigned number, const struct bytes *pairs, size_t count,
                         int64_t expiry_ms, uint64_t *new_out)
{
    struct change change;
    enum status status = open_cleared(txn, number, FIELDS_PUT, pairs, count, 2, &change);
    if (status != ST_OK) {
        return status;
    }
    enum fields_how how = expiry_ms == BASIN_NO_EXPIRY     ? FIELDS_FOREVER
                          : expiry_ms == BASIN_KEEP_EXPIRY ? FIELDS_KEEPING
                                                           : FIELDS_TIMED;
    for (size_t i = 0; i < count; i++) {
        struct bytes field = pairs[2 * i];
        struct bytes data = pairs[2 * i + 1];
        change_put_varint(&change, (uint64_t)field.size << 2 | how);
        if (how == FIELDS_TIMED) {
            change_put_u64(&change, (uint64_t)expiry_ms);
        }
        change_put_varint(&change, data.size);
        change_put_bytes(&change, field);
        change_put_bytes(&change, data);
    }
    return change_apply(&change, new_out);
}

enum status txn_hash_remove(struct txn *txn, unsigned number, const struct bytes *fields,
                            size_t count, uint64_t *removed_out)
{
    struct change change;
    enum status status = open_cleared(txn, number, FIELDS_REMOVE, fields, count, 1, &change);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        change_put_sized(&change, fields[i]);
    }
    return change_apply(&change, removed_out);
}

enum status txn_hash_expire(struct txn *txn, unsigned number, const struct bytes *fields,
                            size_t count, int64_t expiry_ms)
{
    struct change change;
    bool timed = expiry_ms != BASIN_NO_EXPIRY;
    CHECK(!timed || expiry_ms > (int64_t)txn->now_ms);
    enum status status = open_cleared(txn, number, FIELDS_EXPIRE, fields, count, 1, &change);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        change_put_varint(&change, (uint64_t)fields[i].size << 1 | timed);
        if (timed) {
            change_put_u64(&change, (uint64_t)expiry_ms);
        }
        change_put_bytes(&change, fields[i]);
    }
    return change_apply(&change, NULL);
}
