#include "engine/txn/txn_change.h"

#include "engine/base/check.h"

enum status change_begin(struct txn *txn, unsigned number, struct value empty, uint64_t growth,
                         uint64_t payload, struct change *change)
{
    CHECK(txn->locked && number < txn->key_count);
    struct txn_key *key = &txn->keys[number];
    /* One room for all that may follow, so that nothing changes before it is granted: the deletion
     * of an expired value, and the record in either form. */
    enum status status = txn_room(txn, 2 * (RECORD_HEADER_SIZE + key->place.name.size) + 8 +
                                           payload + 2 * TXN_BLIND_MAX);
    struct entry *entry = NULL;
    if (status == ST_OK) {
        status = txn_prepare(txn, number, &entry);
    }
    if (status != ST_OK) {
        return status;
    }
    *change = (struct change){.txn = txn, .number = number, .key = key};
    change->value = entry != NULL ? entry_value(entry) : empty;
    change->expiry_ms = entry != NULL ? entry_expiry(entry) : EXPIRY_NONE;
    change->memory_before = value_memory(&change->value);
    change->root_before = change->value.shape == VALUE_CLAST ? change->value.root : NULL;
    change->blind =
        change->value.shape == VALUE_PACKED && change->value.packed.size + growth <= TXN_BLIND_MAX;
    txn->scratch.size = 0;
    return ST_OK;
}

bool change_record(struct change *change, enum record_op op, uint64_t payload, enum status *status)
{
    if (change->blind || !txn_logs(change->txn)) {
        return false;
    }
    *status = txn_effect_open(change->txn, op, change->key->place.namespace_id,
                              change->key->place.name, payload);
    change->record = *status == ST_OK;
    return change->record;
}

void change_put_varint(struct change *change, uint64_t value)
{
    struct buf *records = &change->txn->records;
    unsigned char bytes[VARINT_MAX];
    status_ignore(buf_append(records, bytes_of(bytes, varint_store(bytes, value))),
                  "room was made when the record was opened");
}

void change_put_bytes(struct change *change, struct bytes bytes)
{
    status_ignore(buf_append(&change->txn->records, bytes),
                  "room was made when the record was opened");
}

void change_put_byte(struct change *change, unsigned char byte)
{
    change_put_bytes(change, bytes_of(&byte, 1));
}

void change_put_u64(struct change *change, uint64_t value)
{
    unsigned char bytes[8];
    store_u64(bytes, value);
    change_put_bytes(change, bytes_of(bytes, sizeof(bytes)));
}

void change_put_sized(struct change *change, struct bytes bytes)
{
    change_put_varint(change, bytes.size);
    change_put_bytes(change, bytes);
}

bool change_brought(struct change *change, enum status *status)
{
    if (*status != ST_WAIT || !change->txn->changed) {
        return false;
    }
    /* Whoever has changed something must not be told to wait and come back. */
    *status = load_parts_now(change->txn->basin, &change->key->place);
    return *status == ST_OK;
}

/* The change freed the root that the entry still names. */
static void root_left(struct change *change)
{
    if (change->root_before != NULL && change->value.shape == VALUE_PACKED) {
        shard_root_gone(change->key->shard, txn_entry(change->txn, change->key),
                        change->memory_before);
    }
}

static enum status change_delete(struct change *change)
{
    struct txn *txn = change->txn;
    struct entry *entry = txn_entry(txn, change->key);
    if (change->record) {
        txn_effect_drop(txn);
        change->record = false;
    }
    if (change->value.shape == VALUE_CLAST && change->value.root != change->root_before) {
        value_free(&change->value);
    }
    if (entry == NULL) {
        return ST_OK;
    }
    root_left(change);
    return txn_delete_entry(txn, change->number, change->key->shard, change->key->place.table,
                            change->key->place.hash, entry);
}

enum status change_end(struct change *change, enum status status)
{
    struct txn *txn = change->txn;
    struct value *value = &change->value;
    void *root = value->shape == VALUE_CLAST ? value->root : NULL;
    if (status == ST_OK && value_vanishes(value)) {
        return change_delete(change);
    }
    if (status == ST_OK && change->blind && txn_logs(txn)) {
        status = txn_log_put(txn, change->number, value, change->expiry_ms);
        change->record = status == ST_OK;
    }
    if (status == ST_OK) {
        if (root != NULL && root == change->root_before) {
            shard_note_memory(change->key->shard, change->memory_before, value_memory(value));
        }
        root_left(change);
        status = txn_store(txn, change->key, value, change->expiry_ms);
    }
    if (status != ST_OK) {
        if (change->record) {
            txn_effect_drop(txn);
        }
        if (root != NULL && root != change->root_before) {
            value_free(value);
        }
        return status;
    }
    txn->changed = true;
    if (change->record) {
        txn_effect_close(txn, change->number, change->key->shard, change->key->place.hash);
    }
    return ST_OK;
}

enum status change_open(struct txn *txn, unsigned number, enum value_type type, unsigned op,
                        uint64_t payload_max, struct change *change)
{
    enum status status = change_begin(txn, number, value_empty(type), 0, payload_max, change);
    if (status != ST_OK) {
        return status;
    }
    CHECK(change->value.type == type);
    change->op = op;
    /* The payload is needed whether or not it will be logged. */
    status = txn_effect_open(txn, (enum record_op)op, change->key->place.namespace_id,
                             change->key->place.name, payload_max);
    change->payload = txn->records.size;
    change->record = status == ST_OK;
    return status;
}

enum status change_apply(struct change *change, uint64_t *count_out)
{
    struct txn *txn = change->txn;
    struct value *value = &change->value;
    struct bytes payload = bytes_slice(buf_bytes(&txn->records), change->payload, SIZE_MAX);
    struct value_change done;
    enum status applied;
    do {
        applied =
            value_apply(value, change->op, payload, &txn->basin->limits, &txn->scratch, &done);
    } while (change_brought(change, &applied));
    CHECK(applied != ST_CORRUPT);
    if (count_out != NULL) {
        *count_out = done.count;
    }
    bool stands = applied == ST_OK || done.consumed > 0;
    if (!stands || !done.changed) {
        txn_effect_drop(txn);
        return applied;
    }
    if (applied != ST_OK) {
        txn->records.size = change->payload + done.consumed;
    }
    change->blind = value->shape == VALUE_PACKED && value_encoded_max(value) <= TXN_BLIND_MAX;
    if (!txn_logs(txn) || change->blind) {
        txn_effect_drop(txn);
        change->record = false;
    }
    enum status status = change_end(change, ST_OK);
    return status == ST_OK ? applied : status;
}
