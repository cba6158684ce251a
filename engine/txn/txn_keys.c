#include "engine/txn/txn_private.h"

#include "engine/base/check.h"

/* -- Finding --------------------------------------------------------------------------------- */

struct entry *txn_entry(struct txn *txn, struct txn_key *key)
{
    struct memtable *table = key->place.table;
    /* Versions start at 1, so that 0 means: never looked. */
    if (key->version != table->version + 1) {
        key->entry =
            memtable_find(table, key->place.hash, key->place.namespace_id, key->place.name);
        key->version = table->version + 1;
    }
    return key->entry;
}

bool txn_expired(const struct txn *txn, const struct entry *entry)
{
    int64_t expiry = entry_expiry(entry);
    if (expiry != EXPIRY_NONE && expiry <= (int64_t)txn->now_ms) {
        return true;
    }
    if (__builtin_expect((entry->flags & ENTRY_WAKES) == 0, 1)) {
        return false;
    }
    struct value value = entry_value(entry);
    return fields_gone(&value, txn->now_ms);
}

struct entry *txn_live_entry(struct txn *txn, struct txn_key *key)
{
    struct entry *entry = txn_entry(txn, key);
    return entry != NULL && !entry_absent(entry) && !txn_expired(txn, entry) ? entry : NULL;
}

/* W1: who reads this must wait for the log to cover it, and that the key is in this database
 * (FLUSHDB, SWAPDB). */
static void note_read(struct txn *txn, const struct txn_key *key, const struct entry *entry)
{
    txn_saw(txn, entry != NULL ? entry->lsn : *shard_gone(key->shard, key->place.hash));
    txn_saw(txn, txn->basin->namespace_lsn[key->place.database]);
}

static struct txn_key *key_at(struct txn *txn, unsigned number)
{
    CHECK(txn->locked && number < txn->key_count);
    return &txn->keys[number];
}

/* One use a command, however often it looks. */
static inline void touch(struct txn *txn, struct txn_key *key, struct entry *entry)
{
    if (!key->touched) {
        key->touched = true;
        evict_touch(&txn->basin->rule, key->shard, entry, txn->now_ms);
    }
}

/* "Execute until miss": nothing may have changed yet. */
static enum status miss(struct txn *txn, struct txn_key *key, bool value_wanted)
{
    key->missed = true;
    key->value_wanted |= value_wanted;
    txn->misses = true;
    return ST_WAIT;
}

/* ST_WAIT: the entry must be loaded first. */
static enum status find(struct txn *txn, unsigned number, struct entry **entry_out)
{
    struct txn_key *key = key_at(txn, number);
    struct entry *entry = txn_entry(txn, key);
    if (entry == NULL && load_origin(txn->basin, key->place.hash) != 0) {
        if (key->failed != ST_OK) {
            return key->failed;
        }
        if (!txn->changed) {
            return miss(txn, key, true);
        }
        enum status status = load_key_now(txn->basin, &key->place);
        if (status != ST_OK) {
            return status;
        }
        entry = txn_entry(txn, key);
    }
    note_read(txn, key, entry);
    *entry_out = txn_live_entry(txn, key);
    return ST_OK;
}

static void count(_Atomic uint64_t *counter)
{
    /* Only the shard's holder writes. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Once a command, however often it runs. */
static void count_read(struct txn_key *key, bool hit)
{
    if (key->counted) {
        return;
    }
    key->counted = true;
    count(hit ? &key->shard->hits : &key->shard->misses);
    if (__builtin_expect(hit && key->loaded, 0)) {
        count(&key->shard->hits_loaded);
    }
}

enum status txn_peek(struct txn *txn, unsigned number, struct value *value_out)
{
    struct entry *entry = NULL;
    enum status status = find(txn, number, &entry);
    if (status != ST_OK) {
        return status;
    }
    if (entry != NULL && txn->peeks_touch && !txn->leaves_ages) {
        touch(txn, &txn->keys[number], entry);
    }
    *value_out = entry != NULL ? entry_value(entry) : (struct value){.type = VALUE_NONE};
    return ST_OK;
}

enum status txn_read(struct txn *txn, unsigned number, struct value *value_out)
{
    struct entry *entry = NULL;
    enum status status = find(txn, number, &entry);
    if (status != ST_OK) {
        return status;
    }
    struct txn_key *key = &txn->keys[number];
    count_read(key, entry != NULL);
    if (entry == NULL) {
        *value_out = (struct value){.type = VALUE_NONE};
        return ST_OK;
    }
    if (__builtin_expect(!txn->leaves_ages, 1)) {
        touch(txn, key, entry);
    }
    *value_out = entry_value(entry);
    return ST_OK;
}

/* No entry: the row, if it was fetched, is the newest that there is. */
static bool row_stands(const struct txn *txn, const struct txn_key *key)
{
    return key->row_known &&
           key->row_version == txn->basin->stacks[hash_partition(key->place.hash)].version;
}

/* What the index says of a key that memory does not know. *said_out false: its value must be read,
 * as its fields expire too. ST_WAIT: nobody has looked there yet. */
static enum status row_look(struct txn *txn, struct txn_key *key, struct key_facts *facts_out,
                            bool *said_out)
{
    const struct txn_row *row = &key->row;
    *facts_out = (struct key_facts){VALUE_NONE, EXPIRY_NONE};
    *said_out = true;
    if (load_origin(txn->basin, key->place.hash) == 0) {
        return ST_OK;
    }
    if (key->failed != ST_OK) {
        return key->failed;
    }
    bool known = row_stands(txn, key);
    if (!known && !txn->changed) {
        return miss(txn, key, false);
    }
    *said_out = known && !(row->found && row->wakes);
    if (*said_out && row->found &&
        (row->expiry_ms == EXPIRY_NONE || row->expiry_ms > (int64_t)txn->now_ms)) {
        *facts_out = (struct key_facts){row->type, row->expiry_ms};
    }
    return ST_OK;
}

enum status txn_look(struct txn *txn, unsigned number, struct key_facts *facts_out)
{
    struct txn_key *key = key_at(txn, number);
    struct entry *entry = NULL;
    bool said = false;
    enum status status = ST_OK;
    if (txn_entry(txn, key) == NULL) {
        status = row_look(txn, key, facts_out, &said);
    }
    if (status != ST_OK) {
        return status;
    }
    if (said) {
        note_read(txn, key, NULL);
        return ST_OK;
    }
    status = find(txn, number, &entry);
    if (status != ST_OK) {
        return status;
    }
    if (entry != NULL && txn->peeks_touch && !txn->leaves_ages) {
        touch(txn, key, entry);
    }
    *facts_out = entry == NULL ? (struct key_facts){VALUE_NONE, EXPIRY_NONE}
                               : (struct key_facts){entry->type, entry_expiry(entry)};
    return ST_OK;
}

int64_t txn_expiry(struct txn *txn, unsigned number)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, number));
    return entry != NULL ? entry_expiry(entry) : BASIN_NO_EXPIRY;
}

void txn_touch(struct txn *txn, unsigned number)
{
    struct txn_key *key = key_at(txn, number);
    struct entry *entry = txn_live_entry(txn, key);
    if (entry != NULL) {
        touch(txn, key, entry);
    }
}

bool txn_counts_uses(const struct txn *txn)
{
    return evict_counts_uses(&txn->basin->rule);
}

void txn_age(struct txn *txn, unsigned number, uint64_t seconds)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, number));
    if (entry != NULL && !txn_counts_uses(txn)) {
        uint32_t age = seconds < ENTRY_ACCESS_MASK ? (uint32_t)seconds : ENTRY_ACCESS_MASK;
        entry->access = (evict_clock(txn->now_ms) - age) & ENTRY_ACCESS_MASK;
    }
}

uint64_t txn_idle_ms(struct txn *txn, unsigned number)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, number));
    return entry == NULL ? 0 : evict_idle_s(entry, txn->now_ms) * 1000;
}

void txn_set_frequency(struct txn *txn, unsigned number, unsigned frequency)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, number));
    if (entry != NULL && txn_counts_uses(txn)) {
        entry->access = evict_counter(frequency, txn->now_ms);
    }
}

unsigned txn_frequency(struct txn *txn, unsigned number)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, number));
    return entry == NULL ? 0 : evict_frequency(&txn->basin->rule, entry->access, txn->now_ms);
}

uint64_t txn_memory(struct txn *txn, unsigned number)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, number));
    if (entry == NULL) {
        return 0;
    }
    struct value value = entry_value(entry);
    return entry_size(entry) + sizeof(struct slot) + value_memory(&value);
}

/* -- Changing -------------------------------------------------------------------------------- */

/* An entry that expired long ago is about to change. A merge that began before it was loaded may be
 * throwing away what lies on disk of it (compact/range.c): nobody knows whether it is there. */
static enum status origin_doubt(struct txn *txn, struct shard *shard, struct memtable *table,
                                uint64_t hash, struct entry *entry)
{
    unsigned database = store_database_of(txn->basin, entry->namespace_id);
    if ((entry->flags & ENTRY_ON_DISK) == 0 || entry_expiry(entry) == EXPIRY_NONE ||
        entry_expiry(entry) > (int64_t)txn->now_ms - STORE_PURGE_AFTER_MS / 2 ||
        database == BASIN_DATABASES) {
        return ST_OK;
    }
    return shard_doubt(shard, table, database, hash, entry);
}

enum status txn_store(struct txn *txn, struct txn_key *key, const struct value *value,
                      int64_t expiry_ms)
{
    struct entry *entry = txn_entry(txn, key);
    bool nowhere = entry != NULL || (row_stands(txn, key) && !key->row.found);
    key->place.origin = nowhere ? 0 : load_origin(txn->basin, key->place.hash);
    enum status status =
        entry == NULL ? ST_OK
                      : origin_doubt(txn, key->shard, key->place.table, key->place.hash, entry);
    if (status == ST_OK) {
        status = shard_store(key->shard, &key->place, entry, value, expiry_ms, &key->entry);
    }
    if (status == ST_OK) {
        key->version = key->place.table->version + 1;
        if (entry == NULL) {
            key->touched = true;
            key->entry->access = evict_fresh(&txn->basin->rule, txn->now_ms);
        } else {
            touch(txn, key, key->entry);
        }
    }
    return status;
}

enum status txn_delete_entry(struct txn *txn, uint32_t number, struct shard *shard,
                             struct memtable *table, uint64_t hash, struct entry *entry)
{
    unsigned database = store_database_of(txn->basin, entry->namespace_id);
    enum status status = origin_doubt(txn, shard, table, hash, entry);
    if (status != ST_OK) {
        return status;
    }
    if (txn_logs(txn)) {
        status = txn_room(txn, RECORD_HEADER_SIZE + entry->key_size);
        if (status == ST_OK) {
            status = txn_effect_open(txn, RECORD_DELETE, entry->namespace_id, entry_key(entry), 0);
        }
        if (status != ST_OK) {
            return status;
        }
        txn_effect_close(txn, number, shard, hash);
    }
    txn->changed = true;
    shard_remove(shard, table, database, hash, entry);
    return ST_OK;
}

enum status txn_prepare(struct txn *txn, unsigned number, struct entry **entry_out)
{
    struct txn_key *key = key_at(txn, number);
    struct entry *entry = txn_entry(txn, key);
    *entry_out = entry == NULL || entry_absent(entry) ? NULL : entry;
    if (*entry_out == NULL || !txn_expired(txn, entry)) {
        return ST_OK;
    }
    *entry_out = NULL;
    count(&key->shard->expired);
    return txn_delete_entry(txn, number, key->shard, key->place.table, key->place.hash, entry);
}

/* Of a key that is not in memory. origin: it is on disk, or nobody knows and nobody asks. */
static enum status delete_unseen(struct txn *txn, unsigned number, unsigned origin,
                                 bool is_volatile)
{
    struct txn_key *key = &txn->keys[number];
    if (txn_logs(txn)) {
        enum status status = txn_room(txn, RECORD_HEADER_SIZE + key->place.name.size);
        if (status == ST_OK) {
            status =
                txn_effect_open(txn, RECORD_DELETE, key->place.namespace_id, key->place.name, 0);
        }
        if (status != ST_OK) {
            return status;
        }
    }
    key->place.origin = origin;
    enum status status = shard_bury(key->shard, &key->place, is_volatile, &key->entry);
    if (status != ST_OK) {
        if (txn_logs(txn)) {
            txn_effect_drop(txn);
        }
        return status;
    }
    key->version = key->place.table->version + 1;
    txn_effect_close(txn, number, key->shard, key->place.hash);
    return ST_OK;
}

enum status txn_delete(struct txn *txn, unsigned number, bool *existed_out)
{
    struct txn_key *key = key_at(txn, number);
    struct entry *entry = txn_entry(txn, key);
    if (entry == NULL && load_origin(txn->basin, key->place.hash) != 0) {
        if (existed_out == NULL) {
            return delete_unseen(txn, number, ENTRY_UNRESOLVED, false);
        }
        struct key_facts facts;
        enum status status = txn_look(txn, number, &facts);
        entry = status == ST_OK ? txn_entry(txn, key) : NULL;
        if (status != ST_OK || entry == NULL) {
            *existed_out = status == ST_OK && facts.type != VALUE_NONE;
            return *existed_out
                       ? delete_unseen(txn, number, ENTRY_ON_DISK, facts.expiry_ms != EXPIRY_NONE)
                       : status;
        }
    }
    bool existed = txn_live_entry(txn, key) != NULL;
    note_read(txn, key, entry);
    if (existed_out != NULL) {
        *existed_out = existed;
    }
    if (entry == NULL || entry_absent(entry)) {
        return ST_OK;
    }
    return txn_delete_entry(txn, number, key->shard, key->place.table, key->place.hash, entry);
}

static enum status put_open(struct txn *txn, const struct txn_key *key, int64_t expiry_ms,
                            uint64_t payload_size)
{
    enum status status = txn_effect_open(txn, RECORD_PUT, key->place.namespace_id, key->place.name,
                                         8 + payload_size);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *expiry = buf_extend(&txn->records, 8);
    if (expiry == NULL) {
        txn_effect_drop(txn);
        return ST_NOMEM;
    }
    store_u64(expiry, (uint64_t)expiry_ms);
    return ST_OK;
}

enum status txn_log_put(struct txn *txn, unsigned number, const struct value *value,
                        int64_t expiry_ms)
{
    struct txn_key *key = &txn->keys[number];
    uint64_t payload = value_encoded_max(value);
    enum status status = txn_room(txn, RECORD_HEADER_SIZE + key->place.name.size + 8 + payload);
    if (status == ST_OK) {
        status = put_open(txn, key, expiry_ms, payload);
    }
    if (status != ST_OK) {
        return status;
    }
    status = value_encode(value, &txn->records);
    if (status != ST_OK) {
        txn_effect_drop(txn);
    }
    return status;
}

/* ST_WAIT: the time is to be kept, and nobody knows whether there is one. */
static enum status expiry_resolve(struct txn *txn, unsigned number, int64_t *expiry_ms)
{
    enum status status = ST_OK;
    if (*expiry_ms == BASIN_KEEP_EXPIRY) {
        struct entry *entry = NULL;
        status = find(txn, number, &entry);
        *expiry_ms = entry != NULL ? entry_expiry(entry) : EXPIRY_NONE;
    }
    return status;
}

/* Stores a value whose PUT record is open, and closes it. */
static enum status put_finish(struct txn *txn, unsigned number, const struct value *value,
                              int64_t expiry_ms)
{
    struct txn_key *key = &txn->keys[number];
    enum status status = txn_store(txn, key, value, expiry_ms);
    if (!txn_logs(txn)) {
        txn->changed |= status == ST_OK;
        return status;
    }
    if (status != ST_OK) {
        txn_effect_drop(txn);
        return status;
    }
    txn_effect_close(txn, number, key->shard, key->place.hash);
    return ST_OK;
}

enum status txn_put(struct txn *txn, unsigned number, struct value *value, int64_t expiry_ms)
{
    enum status status = expiry_resolve(txn, number, &expiry_ms);
    if (status == ST_OK && txn_logs(txn)) {
        status = txn_log_put(txn, number, value, expiry_ms);
    }
    if (status == ST_OK) {
        status = put_finish(txn, number, value, expiry_ms);
    }
    if (status != ST_OK) {
        value_free(value);
    }
    return status;
}

enum status txn_put_encoded(struct txn *txn, unsigned number, struct bytes encoded,
                            int64_t expiry_ms)
{
    struct value value;
    txn->scratch.size = 0;
    enum status status = value_decode(encoded, &txn->basin->limits, &txn->scratch, &value);
    if (status != ST_OK) {
        return status;
    }
    if (expiry_ms >= 0 && expiry_ms <= (int64_t)txn->now_ms) {
        value_free(&value);
        return txn_delete(txn, number, NULL);
    }
    return txn_put(txn, number, &value, expiry_ms);
}

/* Below this a copy into the record buffer is cheaper than a row of its own. */
#define OUTSIDE_MIN 4096

enum status txn_text_set(struct txn *txn, unsigned number, struct bytes text, int64_t expiry_ms)
{
    struct txn_key *key = key_at(txn, number);
    enum status resolved = expiry_resolve(txn, number, &expiry_ms);
    if (resolved != ST_OK) {
        return resolved;
    }
    if (txn_logs(txn)) {
        enum status status =
            txn_room(txn, RECORD_HEADER_SIZE + key->place.name.size + 9 + text.size);
        if (status == ST_OK) {
            status = put_open(txn, key, expiry_ms, 1 + (text.size < OUTSIDE_MIN ? text.size : 0));
        }
        if (status != ST_OK) {
            return status;
        }
        /* The encoding of a string value, see value.c: its type, then its bytes. */
        unsigned char type = VALUE_STRING;
        status = buf_append(&txn->records, bytes_of(&type, 1));
        if (status == ST_OK) {
            status = text.size < OUTSIDE_MIN ? buf_append(&txn->records, text)
                                             : txn_effect_outside(txn, text);
        }
        if (status != ST_OK) {
            txn_effect_drop(txn);
            return status;
        }
    }
    struct value value;
    enum status status = text_make(text, &value);
    if (status != ST_OK) {
        if (txn_logs(txn)) {
            txn_effect_drop(txn);
        }
        return status;
    }
    status = put_finish(txn, number, &value, expiry_ms);
    if (status != ST_OK) {
        value_free(&value);
    }
    return status;
}

enum status txn_expire(struct txn *txn, unsigned number, int64_t expiry_ms)
{
    struct txn_key *key = key_at(txn, number);
    struct entry *entry = NULL;
    enum status status = txn_prepare(txn, number, &entry);
    if (status != ST_OK || entry == NULL) {
        return status;
    }
    if (expiry_ms != EXPIRY_NONE && expiry_ms <= (int64_t)txn->now_ms) {
        return txn_delete(txn, number, NULL);
    }
    if (txn_logs(txn)) {
        status = txn_room(txn, RECORD_HEADER_SIZE + key->place.name.size + 8);
        if (status == ST_OK) {
            status =
                txn_effect_open(txn, RECORD_EXPIRE, key->place.namespace_id, key->place.name, 8);
        }
        if (status != ST_OK) {
            return status;
        }
        store_u64(buf_extend(&txn->records, 8), (uint64_t)expiry_ms); /* Room was made by open. */
    }
    /* The packed bytes move with the entry when it grows by the expiry. */
    struct value value = entry_value(entry);
    if (value.shape == VALUE_PACKED) {
        txn->scratch.size = 0;
        status = buf_append(&txn->scratch, value.packed);
        value.packed = buf_bytes(&txn->scratch);
    }
    return status == ST_OK ? put_finish(txn, number, &value, expiry_ms) : status;
}

/* -- Rename and copy --------------------------------------------------------------------------- */

enum status txn_copy(struct txn *txn, unsigned from, unsigned to)
{
    struct entry *entry = txn_live_entry(txn, key_at(txn, from));
    CHECK(entry != NULL);
    int64_t expiry_ms = entry_expiry(entry);
    struct value source = entry_value(entry);
    struct value copy;
    txn->scratch.size = 0;
    enum status status = value_copy(&source, &txn->scratch, &copy);
    if (status != ST_OK) {
        return status;
    }
    return txn_put(txn, to, &copy, expiry_ms);
}

enum status txn_rename(struct txn *txn, unsigned from, unsigned to)
{
    struct txn_key *source = key_at(txn, from);
    struct entry *entry = txn_live_entry(txn, source);
    CHECK(entry != NULL);
    struct value value = entry_value(entry);
    uint64_t room = 2 * RECORD_HEADER_SIZE + source->place.name.size +
                    txn->keys[to].place.name.size + 8 + value_encoded_max(&value);
    enum status status = txn_room(txn, room);
    uint32_t access = entry->access;
    if (status == ST_OK) {
        status = txn_copy(txn, from, to);
    }
    if (status == ST_OK && txn_counts_uses(txn)) {
        txn_entry(txn, &txn->keys[to])->access = access;
    }
    /* The copy shares the parts, so this costs one block of the table a part, not the content. */
    return status == ST_OK ? txn_delete(txn, from, NULL) : status;
}
