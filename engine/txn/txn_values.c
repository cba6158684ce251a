/* Typed changes of texts, lists and chunk collections; those of the newer types are in txn_hash.c
 * and its like. See txn_change.h for the road that each takes. */
#include "engine/txn/txn_change.h"

#include "engine/base/check.h"

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
        change_put_varint(&change, offset);
        change_put_bytes(&change, text);
    }
    if (status == ST_OK) {
        do {
            status = text_write(&change.value, offset, text, &txn->scratch);
        } while (change_brought(&change, &status));
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
        change_put_byte(&change, (unsigned char)side);
        for (size_t i = 0; i < count; i++) {
            change_put_varint(&change, elements[i].size);
            change_put_bytes(&change, elements[i]);
        }
    }
    if (status == ST_OK) {
        do {
            status = list_push(&change.value, (enum list_side)side, elements, count,
                               &txn->basin->limits, &txn->scratch);
        } while (change_brought(&change, &status));
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
        change_put_byte(&change, (unsigned char)side);
        change_put_varint(&change, count);
    }
    if (status == ST_OK) {
        do {
            status = list_pop(&change.value, (enum list_side)side, count, &txn->scratch);
        } while (change_brought(&change, &status));
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
        change_put_varint(&change, index);
        change_put_bytes(&change, element);
    }
    if (status == ST_OK) {
        do {
            status = list_set(&change.value, index, element, &txn->basin->limits, &txn->scratch);
        } while (change_brought(&change, &status));
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
        change_put_varint(&change, index);
        change_put_bytes(&change, element);
    }
    if (status == ST_OK) {
        do {
            status = list_insert(&change.value, index, element, &txn->basin->limits, &txn->scratch);
        } while (change_brought(&change, &status));
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
            change_put_varint(&change, indexes[i]);
        }
    }
    if (status == ST_OK) {
        do {
            status = list_remove(&change.value, indexes, count, &txn->scratch);
        } while (change_brought(&change, &status));
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
        change_put_varint(&change, first);
        change_put_varint(&change, count);
    }
    if (status == ST_OK) {
        do {
            status = list_trim(&change.value, first, count, &txn->scratch);
        } while (change_brought(&change, &status));
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
    struct change looking = {.txn = txn, .key = key};
    enum status status;
    do {
        status = chunks_select(&value, chunks, count, digests, is_new);
    } while (change_brought(&looking, &status));
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
            change_put_varint(&change, fresh[i].size);
            change_put_bytes(&change, fresh[i]);
        }
    }
    if (status == ST_OK) {
        do {
            status = chunks_append(&change.value, fresh, digests, fresh_count, &txn->scratch);
        } while (change_brought(&change, &status));
    }
    status = change_end(&change, status);
done:
    buf_deinit(&work);
    return status;
}
