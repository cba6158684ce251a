#include "engine/txn/txn_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* Cursors are the upper 48 bits of a hash: some clients read them as doubles. A step finishes all
 * keys that share them. */
#define CURSOR_SHIFT 16

#define RANDOM_STEPS 32

/* W1: an answer about many keys waits for the last effect on any of their shards. */
static void note_read_all(struct txn *txn, unsigned database)
{
    struct basin *basin = txn->basin;
    CHECK(txn->locked && txn->whole);
    for (unsigned i = 0; i < basin->shard_count; i++) {
        txn_saw(txn, basin->shards[i].last_lsn);
    }
    txn_saw(txn, basin->namespace_lsn[database]);
}

static bool entry_counts(const struct txn *txn, const struct entry *entry, uint32_t namespace_id)
{
    if (entry->namespace_id != namespace_id) {
        return false;
    }
    return !txn_expired(txn, entry);
}

void txn_scan(struct txn *txn, unsigned database, uint64_t cursor, uint64_t count, txn_scan_fn fn,
              void *ctx, uint64_t *cursor_out)
{
    struct basin *basin = txn->basin;
    note_read_all(txn, database);
    uint32_t namespace_id = atomic_load(&basin->namespaces[database]);
    *cursor_out = 0;
    if (cursor >> (64 - CURSOR_SHIFT) != 0) {
        return; /* No cursor of ours: nothing lies beyond the end. */
    }
    uint64_t from = cursor << CURSOR_SHIFT;
    uint64_t seen = 0;
    uint64_t last = 0;
    for (unsigned p = hash_partition(from); p < PARTITION_COUNT; p++) {
        const struct memtable *table = &basin->tables[p];
        for (const struct slot *slot = memtable_seek(table, from); slot != NULL;
             slot = memtable_next(table, slot)) {
            if (seen >= count && slot->hash >> CURSOR_SHIFT != last) {
                *cursor_out = slot->hash >> CURSOR_SHIFT;
                return;
            }
            last = slot->hash >> CURSOR_SHIFT;
            seen++;
            if (!entry_counts(txn, slot->entry, namespace_id)) {
                continue;
            }
            struct txn_scan_key key = {entry_key(slot->entry), slot->entry->type,
                                       entry_expiry(slot->entry)};
            if (!fn(ctx, &key)) {
                return;
            }
        }
        /* The hash after the last of this partition; the loop ends before it can wrap. */
        from = (uint64_t)(p + 1) << (64 - PARTITION_BITS);
    }
}

uint64_t txn_database_size(struct txn *txn, unsigned database)
{
    note_read_all(txn, database);
    uint64_t size = 0;
    for (unsigned i = 0; i < txn->basin->shard_count; i++) {
        size += atomic_load(&txn->basin->shards[i].databases[database].keys);
    }
    return size;
}

/* The key of the database at or after a hash that comes after `skip` others; NULL: none up to the
 * end, and skip says how many are still to be passed over. */
static struct entry *next_from(struct txn *txn, uint32_t namespace_id, uint64_t from,
                               uint64_t *skip)
{
    for (unsigned p = hash_partition(from); p < PARTITION_COUNT; p++) {
        const struct memtable *table = &txn->basin->tables[p];
        for (const struct slot *slot = memtable_seek(table, from); slot != NULL;
             slot = memtable_next(table, slot)) {
            if (entry_counts(txn, slot->entry, namespace_id) && (*skip)-- == 0) {
                return slot->entry;
            }
        }
        from = (uint64_t)(p + 1) << (64 - PARTITION_BITS);
    }
    return NULL;
}

void txn_random_key(struct txn *txn, unsigned database, struct bytes *name_out, bool *found_out)
{
    uint64_t size = txn_database_size(txn, database);
    *found_out = size > 0;
    if (size == 0) {
        return;
    }
    uint32_t namespace_id = atomic_load(&txn->basin->namespaces[database]);
    /* A random hash alone would favour keys behind wide gaps. Some steps on from there, the pick is
     * even among few keys and nearly so among many. */
    uint64_t skip = txn_random(txn) % (size < RANDOM_STEPS ? size : RANDOM_STEPS);
    struct entry *entry = next_from(txn, namespace_id, txn_random(txn), &skip);
    for (int round = 0; entry == NULL && round < 2; round++) {
        entry = next_from(txn, namespace_id, 0, &skip);
        skip = 0; /* Fewer live than counted: the rest has expired. */
    }
    *found_out = entry != NULL; /* NULL: all that is left has expired. */
    if (entry != NULL) {
        *name_out = entry_key(entry);
    }
}

/* -- The map of databases -----------------------------------------------------------------------
 */

unsigned store_database_of(const struct basin *basin, uint32_t namespace_id)
{
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        if (atomic_load_explicit(&basin->namespaces[i], memory_order_relaxed) == namespace_id) {
            return i;
        }
    }
    return BASIN_DATABASES;
}

static void counter_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

void store_set_namespaces(struct basin *basin, const uint32_t namespaces[BASIN_DATABASES],
                          uint32_t next_namespace, uint64_t lsn)
{
    for (unsigned s = 0; s < basin->shard_count; s++) {
        struct shard *shard = &basin->shards[s];
        uint64_t keys[BASIN_DATABASES] = {0};
        uint64_t volatile_keys[BASIN_DATABASES] = {0};
        uint64_t dead = atomic_load(&shard->dead_entries);
        for (unsigned old = 0; old < BASIN_DATABASES; old++) {
            unsigned now = 0;
            while (now < BASIN_DATABASES &&
                   namespaces[now] != atomic_load(&basin->namespaces[old])) {
                now++;
            }
            uint64_t count = atomic_load(&shard->databases[old].keys);
            if (now < BASIN_DATABASES) {
                keys[now] = count;
                volatile_keys[now] = atomic_load(&shard->databases[old].volatile_keys);
            } else {
                dead += count;
            }
        }
        for (unsigned i = 0; i < BASIN_DATABASES; i++) {
            counter_set(&shard->databases[i].keys, keys[i]);
            counter_set(&shard->databases[i].volatile_keys, volatile_keys[i]);
        }
        counter_set(&shard->dead_entries, dead);
        shard->sweep_partition = 0;
        shard->sweep_hash = 0;
    }
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        if (atomic_load(&basin->namespaces[i]) != namespaces[i]) {
            atomic_store(&basin->namespaces[i], namespaces[i]);
            basin->namespace_lsn[i] = lsn;
        }
    }
    basin->next_namespace = next_namespace;
    atomic_fetch_add(&basin->namespace_epoch, 1);
}

static enum status namespaces_change(struct txn *txn, const uint32_t namespaces[BASIN_DATABASES],
                                     uint32_t next_namespace)
{
    CHECK(txn->locked && txn->whole);
    struct basin *basin = txn->basin;
    uint64_t lsn = 0;
    if (txn_logs(txn)) {
        size_t payload = 4 + 4 * BASIN_DATABASES;
        enum status status = txn_room(txn, RECORD_HEADER_SIZE + payload);
        if (status == ST_OK) {
            status = txn_effect_open(txn, RECORD_NAMESPACES, 0, BYTES_NONE, payload);
        }
        if (status != ST_OK) {
            return status;
        }
        unsigned char *p = buf_extend(&txn->records, payload); /* Room was made by open. */
        store_u32(p, next_namespace);
        for (unsigned i = 0; i < BASIN_DATABASES; i++) {
            store_u32(p + 4 + 4 * i, namespaces[i]);
        }
        txn_effect_close(txn, TXN_NO_KEY, NULL, 0);
        /* Under all shard locks nobody else appends but the flush of what was appended before: the
         * LSN of this effect is known. */
        lsn = wlog_end(basin->log) + txn->effects[txn->effect_count - 1].end;
    }
    txn->changed = true;
    store_set_namespaces(basin, namespaces, next_namespace, lsn);
    return ST_OK;
}

static void namespaces_now(const struct basin *basin, uint32_t namespaces[BASIN_DATABASES])
{
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        namespaces[i] = atomic_load(&basin->namespaces[i]);
    }
}

enum status txn_flush_database(struct txn *txn, unsigned database)
{
    uint32_t namespaces[BASIN_DATABASES];
    namespaces_now(txn->basin, namespaces);
    uint32_t next = txn->basin->next_namespace;
    namespaces[database] = next;
    return namespaces_change(txn, namespaces, next + 1);
}

enum status txn_flush_all(struct txn *txn)
{
    uint32_t namespaces[BASIN_DATABASES];
    uint32_t next = txn->basin->next_namespace;
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        namespaces[i] = next + i;
    }
    return namespaces_change(txn, namespaces, next + BASIN_DATABASES);
}

enum status txn_swap_databases(struct txn *txn, unsigned a, unsigned b)
{
    uint32_t namespaces[BASIN_DATABASES];
    namespaces_now(txn->basin, namespaces);
    uint32_t held = namespaces[a];
    namespaces[a] = namespaces[b];
    namespaces[b] = held;
    return a == b ? ST_OK : namespaces_change(txn, namespaces, txn->basin->next_namespace);
}
