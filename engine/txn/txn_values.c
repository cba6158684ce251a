/* Typed changes. Each has the same road:
 *
 *     change_begin   an expired value goes; the value as it is, or empty; room in the log
 *     (record)       unless the result is small, the effect is written down as it was asked for
 *     change         on the value, packed ones in the scratch buffer
 *     change_end     a small result is written down as it is ("blind"); stored; the record closed
 *
 * When the change or the store fails the record is dropped and nothing has happened.
 */
#include "engine/txn/txn_private.h"

#include "engine/base/check.h"

struct change {
    struct txn *txn;
    unsigned number;
    struct txn_key *key;
    struct value value;
    int64_t expiry_ms;
    uint64_t memory_before;
    void *root_before;
    bool blind;  /* Log the result, not the change. */
    bool record; /* A record is open. */
};

/* growth: bytes that the change may add to the packed form; payload: of its record. */
static enum status change_begin(struct txn *txn, unsigned number, struct value empty,
                                uint64_t growth, uint64_t payload, struct change *change)
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

/* Opens the record of the change as it was asked for; false: not wanted, see status. */
static bool change_record(struct change *change, enum record_op op, uint64_t payload,
                          enum status *status)
{
    if (change->blind || !txn_logs(change->txn)) {
        return false;
    }
    *status = txn_effect_open(change->txn, op, change->key->place.namespace_id,
                              change->key->place.name, payload);
    change->record = *status == ST_OK;
    return change->record;
}

static void put_varint(struct change *change, uint64_t value)
{
    struct buf *records = &change->txn->records;
    unsigned char bytes[VARINT_MAX];
    status_ignore(buf_append(records, bytes_of(bytes, varint_store(bytes, value))),
                  "room was made when the record was opened");
}

static void put_bytes(struct change *change, struct bytes bytes)
{
    status_ignore(buf_append(&change->txn->records, bytes),
                  "room was made when the record was opened");
}

static void put_byte(struct change *change, unsigned char byte)
{
    put_bytes(change, bytes_of(&byte, 1));
}

static bool value_is_empty(const struct value *value)
{
    return value->type == VALUE_LIST && list_count(value) == 0;
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

static enum status change_end(struct change *change, enum status status)
{
    struct txn *txn = change->txn;
    struct value *value = &change->value;
    void *root = value->shape == VALUE_CLAST ? value->root : NULL;
    if (status == ST_OK && value_is_empty(value)) {
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

/* -- Text ------------------------------------------------------------------------------------ */

enum status txn_text_write(struct txn *txn, unsigned number, uint64_t offset, struct bytes text)
{
    struct change change;
    struct value empty = {.type = VALUE_STRING, .shape = VALUE_PACKED};
    uint64_t payload = VARINT_MAX + text.size;
    enum status status = change_begin(txn, number, empty, offset + text.size, payload, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_TEXT_WRITE, payload, &status)) {
        put_varint(&change, offset);
        put_bytes(&change, text);
    }
    if (status == ST_OK) {
        status = text_write(&change.value, offset, text, &txn->scratch);
    }
    return change_end(&change, status);
}

/* -- Lists ----------------------------------------------------------------------------------- */

static uint64_t elements_size(const struct bytes *elements, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += elements[i].size + VARINT_MAX;
    }
    return size;
}

enum status txn_list_push(struct txn *txn, unsigned number, unsigned side,
                          const struct bytes *elements, size_t count)
{
    struct change change;
    uint64_t size = elements_size(elements, count);
    enum status status = change_begin(txn, number, list_empty(), size, 1 + size, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_LIST_PUSH, 1 + size, &status)) {
        put_byte(&change, (unsigned char)side);
        for (size_t i = 0; i < count; i++) {
            put_varint(&change, elements[i].size);
            put_bytes(&change, elements[i]);
        }
    }
    if (status == ST_OK) {
        status = list_push(&change.value, (enum list_side)side, elements, count,
                           &txn->basin->limits, &txn->scratch);
    }
    return change_end(&change, status);
}

enum status txn_list_pop(struct txn *txn, unsigned number, unsigned side, uint64_t count)
{
    struct change change;
    enum status status = change_begin(txn, number, list_empty(), 0, 1 + VARINT_MAX, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_LIST_POP, 1 + VARINT_MAX, &status)) {
        put_byte(&change, (unsigned char)side);
        put_varint(&change, count);
    }
    if (status == ST_OK) {
        status = list_pop(&change.value, (enum list_side)side, count, &txn->scratch);
    }
    return change_end(&change, status);
}

enum status txn_list_set(struct txn *txn, unsigned number, uint64_t index, struct bytes element)
{
    struct change change;
    uint64_t payload = VARINT_MAX + element.size;
    enum status status = change_begin(txn, number, list_empty(), payload, payload, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_LIST_SET, payload, &status)) {
        put_varint(&change, index);
        put_bytes(&change, element);
    }
    if (status == ST_OK) {
        status = list_set(&change.value, index, element, &txn->basin->limits, &txn->scratch);
    }
    return change_end(&change, status);
}

enum status txn_list_insert(struct txn *txn, unsigned number, uint64_t index, struct bytes element)
{
    struct change change;
    uint64_t payload = VARINT_MAX + element.size;
    enum status status = change_begin(txn, number, list_empty(), payload, payload, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_LIST_INSERT, payload, &status)) {
        put_varint(&change, index);
        put_bytes(&change, element);
    }
    if (status == ST_OK) {
        status = list_insert(&change.value, index, element, &txn->basin->limits, &txn->scratch);
    }
    return change_end(&change, status);
}

enum status txn_list_remove(struct txn *txn, unsigned number, const uint64_t *indexes, size_t count)
{
    struct change change;
    uint64_t payload = (uint64_t)count * VARINT_MAX;
    enum status status = change_begin(txn, number, list_empty(), 0, payload, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_LIST_REMOVE, payload, &status)) {
        for (size_t i = 0; i < count; i++) {
            put_varint(&change, indexes[i]);
        }
    }
    if (status == ST_OK) {
        status = list_remove(&change.value, indexes, count, &txn->scratch);
    }
    return change_end(&change, status);
}

enum status txn_list_trim(struct txn *txn, unsigned number, uint64_t first, uint64_t count)
{
    struct change change;
    enum status status = change_begin(txn, number, list_empty(), 0, 2 * VARINT_MAX, &change);
    if (status != ST_OK) {
        return status;
    }
    if (change_record(&change, RECORD_LIST_TRIM, 2 * VARINT_MAX, &status)) {
        put_varint(&change, first);
        put_varint(&change, count);
    }
    if (status == ST_OK) {
        status = list_trim(&change.value, first, count, &txn->scratch);
    }
    return change_end(&change, status);
}

/* -- Chunks ---------------------------------------------------------------------------------- */

enum status txn_chunk_append(struct txn *txn, unsigned number, const struct bytes *chunks,
                             size_t count, uint64_t *new_out)
{
    struct txn_key *key = &txn->keys[number];
    struct entry *entry = txn_live_entry(txn, key);
    struct value value = entry != NULL ? entry_value(entry) : chunks_empty();
    size_t row = sizeof(struct chunk_digest) + sizeof(struct bytes) + sizeof(bool);
    struct buf work = BUF_EMPTY;
    unsigned char *memory = buf_extend(&work, count * row);
    if (memory == NULL) {
        return ST_NOMEM;
    }
    struct bytes *fresh = (struct bytes *)memory;
    struct chunk_digest *digests = (struct chunk_digest *)(memory + count * sizeof(struct bytes));
    bool *is_new = (bool *)(digests + count);
    enum status status = chunks_select(&value, chunks, count, digests, is_new);
    if (status != ST_OK) {
        goto done;
    }
    size_t fresh_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_new[i]) {
            fresh[fresh_count] = chunks[i];
            digests[fresh_count++] = digests[i];
        }
    }
    *new_out = fresh_count;
    if (fresh_count == 0 && entry != NULL) {
        goto done;
    }
    uint64_t payload = elements_size(fresh, fresh_count);
    struct change change;
    status = change_begin(txn, number, chunks_empty(), payload, payload, &change);
    if (status != ST_OK) {
        goto done;
    }
    change.blind = false; /* The record carries content only; digests are computed again. */
    if (change_record(&change, RECORD_CHUNK_APPEND, payload, &status)) {
        for (size_t i = 0; i < fresh_count; i++) {
            put_varint(&change, fresh[i].size);
            put_bytes(&change, fresh[i]);
        }
    }
    if (status == ST_OK) {
        status = chunks_append(&change.value, fresh, digests, fresh_count, &txn->scratch);
    }
    status = change_end(&change, status);
done:
    buf_deinit(&work);
    return status;
}
