#include "engine/replay/apply.h"

#include "engine/value/parts.h"

#include <stdlib.h>

struct target {
    struct basin *basin;
    struct shard *shard;
    struct shard_key place;
    struct entry *entry; /* NULL: absent */
    struct value value;
    int64_t expiry_ms;
    uint64_t memory_before;
    void *root_before;
    bool changed; /* In place: what was there was built on, not replaced. */
    uint64_t lsn;
    struct buf *scratch;
};

static enum status store(struct target *target)
{
    struct value *value = &target->value;
    void *root = value->shape == VALUE_CLAST ? value->root : NULL;
    if (root != NULL && root == target->root_before) {
        shard_note_memory(target->shard, target->memory_before, value_memory(value));
    } else if (target->root_before != NULL && root == NULL && target->changed) {
        shard_root_gone(target->shard, target->entry, target->memory_before);
    }
    struct entry *entry = NULL;
    enum status status =
        shard_store(target->shard, &target->place, target->entry, value, target->expiry_ms, &entry);
    if (status != ST_OK) {
        if (root != NULL && root != target->root_before) {
            value_free(value);
        }
        return status;
    }
    entry->lsn = target->lsn;
    if (target->entry == NULL) {
        const struct basin *basin = target->basin;
        entry->access = evict_fresh(&basin->rule, basin->opened_ms);
    }
    return ST_OK;
}

static enum status bury(struct target *target)
{
    struct shard_key *place = &target->place;
    if (target->entry != NULL && !entry_absent(target->entry)) {
        shard_remove(target->shard, place->table, place->database, place->hash, target->entry);
        target->entry = memtable_find(place->table, place->hash, place->namespace_id, place->name);
    } else if (target->entry == NULL && place->origin != 0) {
        enum status status = shard_bury(target->shard, place, false, &target->entry);
        if (status != ST_OK) {
            return status;
        }
    }
    if (target->entry != NULL) {
        target->entry->lsn = target->lsn;
    }
    *shard_gone(target->shard, place->hash) = target->lsn;
    return ST_OK;
}

static enum status put(struct target *target, struct bytes payload)
{
    if (payload.size < 8) {
        return ST_CORRUPT;
    }
    target->expiry_ms = (int64_t)load_u64(payload.data);
    enum status status = value_decode(bytes_slice(payload, 8, payload.size), &target->basin->limits,
                                      target->scratch, &target->value);
    return status == ST_OK ? store(target) : status;
}

static enum status expire(struct target *target, struct bytes payload)
{
    if (payload.size != 8 || target->value.type == VALUE_NONE) {
        return ST_CORRUPT;
    }
    target->expiry_ms = (int64_t)load_u64(payload.data);
    if (target->value.shape == VALUE_PACKED) {
        target->scratch->size = 0;
        enum status status = buf_append(target->scratch, target->value.packed);
        if (status != ST_OK) {
            return status;
        }
        target->value.packed = buf_bytes(target->scratch);
    }
    return store(target);
}

/* Takes varint size and bytes; false: cut short. */
static bool take_bytes(struct bytes *payload, struct bytes *out)
{
    uint64_t size = 0;
    if (!varint_take(payload, &size) || size > payload->size) {
        return false;
    }
    *out = bytes_slice(*payload, 0, (size_t)size);
    *payload = bytes_slice(*payload, (size_t)size, payload->size);
    return true;
}

/* Takes all (size, bytes) of the payload into a new array; free(*elements_out). */
static enum status take_elements(struct bytes payload, struct bytes **elements_out,
                                 size_t *count_out)
{
    struct buf rows = BUF_EMPTY;
    while (payload.size > 0) {
        struct bytes element;
        if (!take_bytes(&payload, &element)) {
            buf_deinit(&rows);
            return ST_CORRUPT;
        }
        if (buf_append(&rows, bytes_of(&element, sizeof(element))) != ST_OK) {
            buf_deinit(&rows);
            return ST_NOMEM;
        }
    }
    *elements_out = (struct bytes *)rows.data;
    *count_out = rows.size / sizeof(struct bytes);
    return rows.size == 0 ? ST_CORRUPT : ST_OK;
}

static enum status list_change(struct target *target, const struct record *record)
{
    struct bytes payload = record->payload;
    const struct value_limits *limits = &target->basin->limits;
    uint64_t count = list_count(&target->value);
    uint64_t a = 0;
    uint64_t b = 0;
    if (record->op == RECORD_LIST_PUSH || record->op == RECORD_LIST_POP) {
        if (payload.size == 0) {
            return ST_CORRUPT;
        }
        a = *(const unsigned char *)payload.data;
        payload = bytes_slice(payload, 1, payload.size);
        if (a > LIST_RIGHT) {
            return ST_CORRUPT;
        }
    } else if (record->op != RECORD_LIST_REMOVE && !varint_take(&payload, &a)) {
        return ST_CORRUPT;
    }
    switch (record->op) {
    case RECORD_LIST_PUSH: {
        struct bytes *elements = NULL;
        size_t element_count = 0;
        enum status status = take_elements(payload, &elements, &element_count);
        if (status == ST_OK) {
            status = list_push(&target->value, (enum list_side)a, elements, element_count, limits,
                               target->scratch);
            free(elements);
        }
        return status;
    }
    case RECORD_LIST_POP:
        if (!varint_take(&payload, &b) || b > count) {
            return ST_CORRUPT;
        }
        return list_pop(&target->value, (enum list_side)a, b, target->scratch);
    case RECORD_LIST_SET:
        return a >= count ? ST_CORRUPT
                          : list_set(&target->value, a, payload, limits, target->scratch);
    case RECORD_LIST_INSERT:
        return a > count ? ST_CORRUPT
                         : list_insert(&target->value, a, payload, limits, target->scratch);
    case RECORD_LIST_TRIM:
        if (!varint_take(&payload, &b) || a > count || b > count - a) {
            return ST_CORRUPT;
        }
        return list_trim(&target->value, a, b, target->scratch);
    default:
        break;
    }
    struct buf indexes = BUF_EMPTY;
    uint64_t next = 0;
    while (varint_take(&payload, &a)) {
        if (a < next || a >= count || buf_append(&indexes, bytes_of(&a, sizeof(a))) != ST_OK) {
            break;
        }
        next = a + 1;
    }
    enum status status = ST_CORRUPT;
    if (payload.size == 0) {
        status = list_remove(&target->value, (const uint64_t *)indexes.data,
                             indexes.size / sizeof(uint64_t), target->scratch);
    }
    buf_deinit(&indexes);
    return status;
}

static enum status chunk_append(struct target *target, struct bytes payload)
{
    struct bytes *chunks = NULL;
    size_t count = 0;
    enum status status = take_elements(payload, &chunks, &count);
    if (status != ST_OK) {
        return status;
    }
    struct chunk_digest *digests = malloc(count * sizeof(*digests));
    bool *is_new = malloc(count * sizeof(*is_new));
    if (digests == NULL || is_new == NULL) {
        status = ST_NOMEM;
    } else {
        status = chunks_select(&target->value, chunks, count, digests, is_new);
    }
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (!is_new[i]) {
            status = ST_CORRUPT; /* Only new ones are logged. */
        }
    }
    if (status == ST_OK) {
        status = chunks_append(&target->value, chunks, digests, count, target->scratch);
    }
    free(digests);
    free(is_new);
    free(chunks);
    return status;
}

static enum value_type type_of(enum record_op op)
{
    return op >= RECORD_VALUE_FIRST    ? VALUE_OP_TYPE((unsigned)op)
           : op == RECORD_TEXT_WRITE   ? VALUE_STRING
           : op == RECORD_CHUNK_APPEND ? VALUE_CHUNKS
                                       : VALUE_LIST;
}

/* Effects that build on the value that is there, or on an empty one. */
static enum status change(struct target *target, const struct record *record)
{
    enum value_type type = type_of(record->op);
    if (target->value.type == VALUE_NONE) {
        target->value = value_empty(type);
    }
    if (target->value.type != type) {
        return ST_CORRUPT;
    }
    target->scratch->size = 0;
    target->changed = true;
    enum status status = ST_OK;
    if (record->op == RECORD_TEXT_WRITE) {
        struct bytes payload = record->payload;
        uint64_t offset = 0;
        status = !varint_take(&payload, &offset)
                     ? ST_CORRUPT
                     : text_write(&target->value, offset, payload, target->scratch);
        status = status == ST_LIMIT ? ST_CORRUPT : status; /* No writer of ours got that far. */
    } else if (record->op == RECORD_CHUNK_APPEND) {
        status = chunk_append(target, record->payload);
    } else if (record->op >= RECORD_VALUE_FIRST) {
        struct value_change done;
        status = value_apply(&target->value, (unsigned)record->op, record->payload,
                             &target->basin->limits, target->scratch, &done);
    } else {
        status = list_change(target, record);
    }
    if (status == ST_OK && value_vanishes(&target->value)) {
        return ST_CORRUPT; /* What becomes empty is logged as a deletion. */
    }
    return status == ST_OK ? store(target) : status;
}

/* Effects that need not know what was there. */
static bool blind(const struct record *record)
{
    return record->op == RECORD_PUT || record->op == RECORD_DELETE;
}

/* The entry as it stands, from disk if need be; NULL: absent, or of no account. */
static enum status target_find(struct target *target, const struct record *record,
                               struct load_room *room)
{
    struct shard_key *place = &target->place;
    for (;;) {
        target->entry = memtable_find(place->table, place->hash, place->namespace_id, place->name);
        place->origin = target->entry == NULL ? load_origin(target->basin, place->hash) : 0;
        if (place->origin == 0 || (blind(record) && !target->basin->replay_looks)) {
            return ST_OK;
        }
        enum status status = load_key(target->basin, place, room);
        if (status != ST_OK) {
            return status;
        }
    }
}

static enum status apply_once(struct basin *basin, const struct record *record, uint64_t hash,
                              uint64_t lsn, struct buf *scratch, struct load_room *room)
{
    struct target target = {.basin = basin, .lsn = lsn, .scratch = scratch};
    target.shard = store_shard(basin, hash);
    target.place = (struct shard_key){.name = record->key,
                                      .hash = hash,
                                      .namespace_id = record->namespace_id,
                                      .database = store_database_of(basin, record->namespace_id),
                                      .table = store_table(basin, hash)};
    if (target.place.database == BASIN_DATABASES) {
        return ST_CORRUPT; /* Nothing is written to a database that was dropped before. */
    }
    target.shard->last_lsn = lsn;
    enum status status = target_find(&target, record, room);
    if (status != ST_OK) {
        return status;
    }
    if (target.entry != NULL && target.entry->lsn >= lsn) {
        return ST_OK; /* S4 */
    }
    target.expiry_ms = EXPIRY_NONE;
    if (target.entry != NULL && !entry_absent(target.entry)) {
        target.value = entry_value(target.entry);
        target.expiry_ms = entry_expiry(target.entry);
        target.memory_before = value_memory(&target.value);
        target.root_before = target.value.shape == VALUE_CLAST ? target.value.root : NULL;
    }
    switch (record->op) {
    case RECORD_PUT:
        return put(&target, record->payload);
    case RECORD_DELETE:
        return bury(&target);
    case RECORD_EXPIRE:
        return expire(&target, record->payload);
    case RECORD_NAMESPACES:
        return ST_CORRUPT;
    default:
        return change(&target, record);
    }
}

enum status apply_record(struct basin *basin, const struct record *record, uint64_t hash,
                         uint64_t lsn, struct buf *scratch, struct load_room *room)
{
    struct parts_miss stale[1];
    (void)parts_take_misses(stale, 0); /* Others asked for those. */
    enum status status;
    do {
        status = apply_once(basin, record, hash, lsn, scratch, room);
        if (status == ST_WAIT) {
            struct shard_key place = {.name = record->key,
                                      .hash = hash,
                                      .namespace_id = record->namespace_id,
                                      .table = store_table(basin, hash)};
            enum status brought = load_parts_now(basin, &place);
            status = brought == ST_OK ? ST_WAIT : brought;
        }
    } while (status == ST_WAIT);
    return status;
}

void apply_seal(struct basin *basin, uint32_t namespace_id, struct bytes key, uint64_t hash,
                uint64_t lsn)
{
    struct entry *entry = memtable_find(store_table(basin, hash), hash, namespace_id, key);
    if (entry != NULL && entry->lsn < lsn) {
        entry->lsn = lsn;
    }
}

enum status apply_namespaces(struct basin *basin, const struct record *record, uint64_t lsn)
{
    if (record->payload.size != 4 + 4 * BASIN_DATABASES) {
        return ST_CORRUPT;
    }
    uint32_t namespaces[BASIN_DATABASES];
    memcpy(namespaces, (const char *)record->payload.data + 4, sizeof(namespaces));
    uint32_t known = basin->next_namespace;
    store_set_namespaces(basin, namespaces, load_u32(record->payload.data), lsn);
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        if (namespaces[i] >= known) { /* A round that was under way may have met keys of it. */
            store_count_keys(basin, i);
        }
    }
    return ST_OK;
}
