#include "engine/txn/txn_private.h"

#include "engine/base/check.h"
#include "engine/txn/recount.h"

/* Cursors are the upper 48 bits of a hash: some clients read them as doubles. A step finishes all
 * keys that share them. */
#define CURSOR_SHIFT 16

#define RANDOM_STEPS 32
/* A window smaller than this is not worth the reading. */
#define WINDOW_ROWS_MIN 64
#define SWEEP_SLOTS 512

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

/* -- A walk over memory and disk in the order of places ------------------------------------------
 */

struct walk {
    struct txn *txn;
    uint32_t namespace_id;
    uint64_t first; /* The place at which it began. */
    uint64_t rows;  /* About how many keys it will want. */
    uint64_t place; /* Where it is: everything below has been given. */
    unsigned partition;
    const struct slot *slot; /* The next in memory, of this partition. */
    size_t row;              /* The next in the window. */
};

struct walk_key {
    uint64_t place;
    struct txn_scan_key key;
};

static void walk_enter(struct walk *walk, unsigned partition, uint64_t place)
{
    struct basin *basin = walk->txn->basin;
    walk->partition = partition;
    walk->place = place;
    walk->slot = partition < PARTITION_COUNT
                     ? memtable_seek(&basin->tables[partition], place_hash(place))
                     : NULL;
}

static void walk_begin(struct walk *walk, struct txn *txn, unsigned database, uint64_t hash,
                       uint64_t rows)
{
    *walk = (struct walk){.txn = txn, .first = place_of_key(hash), .rows = rows};
    walk->namespace_id = atomic_load(&txn->basin->namespaces[database]);
    txn->window_database = database;
    if (txn->window != NULL) {
        walk->row = window_seek(txn->window, walk->first);
    }
    walk_enter(walk, place_partition(walk->first), walk->first);
}

/* Asks for a window from the walk's start on, each time four times larger. */
static enum status window_want(struct walk *walk)
{
    struct txn *txn = walk->txn;
    if (txn->load_status != ST_OK) {
        return txn->load_status;
    }
    bool larger = txn->window != NULL && txn->window->first == walk->first &&
                  txn->window->namespace_id == walk->namespace_id;
    uint64_t rows = larger ? window_count(txn->window) * 4 : walk->rows;
    CHECK(!txn->changed);
    txn->window_first = walk->first;
    txn->window_rows = rows < WINDOW_ROWS_MIN ? WINDOW_ROWS_MIN : rows;
    txn->window_wanted = true;
    txn->misses = true;
    return ST_WAIT;
}

/* The next key on disk in this partition, or NULL. ST_WAIT: not known yet. */
static enum status disk_peek(struct walk *walk, const struct window_row **row_out)
{
    struct txn *txn = walk->txn;
    const struct window *window = txn->window;
    uint64_t end = ((uint64_t)walk->partition << (64 - PARTITION_BITS)) | PLACE_LOW;
    *row_out = NULL;
    if (txn->basin->stacks[walk->partition].count == 0) {
        return ST_OK;
    }
    bool ours = window != NULL && window->namespace_id == walk->namespace_id &&
                window->first <= walk->first;
    if (!ours || window->last < walk->place) {
        return window_want(walk);
    }
    while (walk->row < window_count(window) && window_at(window, walk->row)->place < walk->place) {
        walk->row++;
    }
    if (walk->row < window_count(window) && window_at(window, walk->row)->place <= end) {
        *row_out = window_at(window, walk->row);
        return ST_OK;
    }
    return window->last < end ? window_want(walk) : ST_OK;
}

static bool entry_counts(const struct walk *walk, const struct entry *entry)
{
    return entry->namespace_id == walk->namespace_id && !entry_absent(entry) &&
           !txn_expired(walk->txn, entry);
}

/* False: memory knows better, or its time has come. */
static bool row_counts(const struct walk *walk, const struct window_row *row, struct bytes name)
{
    struct basin *basin = walk->txn->basin;
    if (row->expiry_ms != EXPIRY_NONE && row->expiry_ms <= (int64_t)walk->txn->now_ms) {
        return false;
    }
    uint64_t hash = hash_key(&basin->secret, walk->namespace_id, name);
    return memtable_find(store_table(basin, hash), hash, walk->namespace_id, name) == NULL;
}

/* The next key that is there; *found_out false: the end. Names are lent until txn_end. ST_WAIT: a
 * window has been asked for. */
static enum status walk_next(struct walk *walk, struct walk_key *key_out, bool *found_out)
{
    *found_out = false;
    while (walk->partition < PARTITION_COUNT) {
        const struct window_row *row = NULL;
        enum status status = disk_peek(walk, &row);
        if (status != ST_OK) {
            return status;
        }
        const struct slot *slot = walk->slot;
        if (slot == NULL && row == NULL) {
            unsigned next = walk->partition + 1;
            walk_enter(walk, next, (uint64_t)next << (64 - PARTITION_BITS));
        } else if (slot != NULL && (row == NULL || place_of_key(slot->hash) <= row->place)) {
            const struct entry *entry = slot->entry;
            uint64_t place = place_of_key(slot->hash);
            walk->slot = memtable_next(&walk->txn->basin->tables[walk->partition], slot);
            if (entry_counts(walk, entry)) {
                struct txn_scan_key key = {entry_key(entry), entry->type, entry_expiry(entry)};
                *key_out = (struct walk_key){place, key};
                *found_out = true;
                return ST_OK;
            }
        } else {
            struct bytes name = window_name(walk->txn->window, row);
            walk->row++;
            walk->place = row->place;
            if (row_counts(walk, row, name)) {
                struct txn_scan_key key = {name, row->type, row->expiry_ms};
                *key_out = (struct walk_key){row->place, key};
                *found_out = true;
                return ST_OK;
            }
        }
    }
    return ST_OK;
}

enum status txn_scan(struct txn *txn, unsigned database, uint64_t cursor, uint64_t count,
                     txn_scan_fn fn, void *ctx, uint64_t *cursor_out)
{
    note_read_all(txn, database);
    *cursor_out = 0;
    if (cursor >> (64 - CURSOR_SHIFT) != 0) {
        return ST_OK; /* No cursor of ours: nothing lies beyond the end. */
    }
    struct walk walk;
    walk_begin(&walk, txn, database, cursor << CURSOR_SHIFT, count);
    uint64_t last = 0;
    for (uint64_t seen = 0;; seen++) {
        struct walk_key key;
        bool found;
        enum status status = walk_next(&walk, &key, &found);
        if (status != ST_OK || !found) {
            return status;
        }
        uint64_t prefix = place_hash(key.place) >> CURSOR_SHIFT;
        if (seen >= count && prefix != last) {
            *cursor_out = prefix;
            return ST_OK;
        }
        last = prefix;
        if (!fn(ctx, &key.key)) {
            return ST_OK;
        }
    }
}

enum status txn_database_size(struct txn *txn, unsigned database, uint64_t *size_out)
{
    note_read_all(txn, database);
    uint64_t size = 0;
    uint64_t unresolved = 0;
    for (unsigned i = 0; i < txn->basin->shard_count; i++) {
        const struct shard_counters *counters = &txn->basin->shards[i].databases[database];
        size += atomic_load(&counters->keys);
        unresolved += atomic_load(&counters->unresolved);
    }
    *size_out = size;
    if (unresolved == 0) {
        return ST_OK;
    }
    if (txn->resolved) {
        *size_out = recount_keys(txn->basin->recount, database);
        return txn->load_status;
    }
    txn->resolve_wanted = true;
    txn->misses = true;
    return ST_WAIT;
}

enum status txn_random_key(struct txn *txn, unsigned database, struct bytes *name_out,
                           bool *found_out)
{
    note_read_all(txn, database);
    /* A random hash alone would favour keys behind wide gaps. Some steps on from there, the pick is
     * even among few keys and nearly so among many. */
    uint64_t hash = txn_random(txn);
    uint64_t skip = txn_random(txn) % RANDOM_STEPS;
    *found_out = false;
    /* A window from the very beginning: the walk from the hash has met the end in an earlier run.
     */
    bool wrapped = txn->window != NULL && txn->window->first == 0;
    for (unsigned round = wrapped ? 1 : 0; round < 3; round++) {
        struct walk walk;
        uint64_t met = 0;
        walk_begin(&walk, txn, database, round == 0 ? hash : 0, skip + 1);
        for (bool found = true; found;) {
            struct walk_key key;
            enum status status = walk_next(&walk, &key, &found);
            if (status != ST_OK) {
                return status;
            }
            if (found && skip-- == 0) {
                *name_out = key.key.name;
                *found_out = true;
                return ST_OK;
            }
            met += found;
        }
        if (round > 0 && met == 0) {
            return ST_OK; /* Nothing is there, or all has expired. */
        }
        /* Few keys: the walk went past all of them, so the rest of the steps is taken among them.
         */
        skip = round == 0 ? skip : skip % met;
    }
    return ST_OK;
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

bool store_dropped(const struct basin *basin, const struct entry *entry)
{
    return store_database_of(basin, entry->namespace_id) == BASIN_DATABASES;
}

/* Frees the dead among the next slots of a table, from sweep_hash on; true: it is done with. */
static bool sweep_table(struct basin *basin, struct shard *shard, struct memtable *table,
                        unsigned *left)
{
    const struct slot *slot = memtable_seek(table, shard->sweep_hash);
    for (; slot != NULL && *left > 0; --*left) {
        uint64_t hash = slot->hash;
        if (!store_dropped(basin, slot->entry)) {
            slot = memtable_next(table, slot);
            continue;
        }
        shard_remove(shard, table, BASIN_DATABASES, hash, slot->entry);
        slot = memtable_seek(table, hash); /* The table has moved. */
    }
    shard->sweep_hash = slot == NULL ? 0 : slot->hash;
    return slot == NULL;
}

bool store_sweep(struct basin *basin, struct shard *shard)
{
    unsigned left = SWEEP_SLOTS;
    while (left > 0 && atomic_load(&shard->sweeping)) {
        unsigned p = shard->sweep_partition;
        if (basin->partition_shard[p] != shard->index ||
            sweep_table(basin, shard, &basin->tables[p], &left)) {
            shard->sweep_partition++;
            atomic_store(&shard->sweeping, shard->sweep_partition < PARTITION_COUNT);
        }
    }
    return atomic_load(&shard->sweeping);
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
        uint64_t unresolved[BASIN_DATABASES] = {0};
        bool dropped = false;
        for (unsigned old = 0; old < BASIN_DATABASES; old++) {
            unsigned now = 0;
            while (now < BASIN_DATABASES &&
                   namespaces[now] != atomic_load(&basin->namespaces[old])) {
                now++;
            }
            if (now < BASIN_DATABASES) {
                keys[now] = atomic_load(&shard->databases[old].keys);
                volatile_keys[now] = atomic_load(&shard->databases[old].volatile_keys);
                unresolved[now] = atomic_load(&shard->databases[old].unresolved);
            } else {
                dropped = true;
            }
        }
        for (unsigned i = 0; i < BASIN_DATABASES; i++) {
            counter_set(&shard->databases[i].keys, keys[i]);
            counter_set(&shard->databases[i].volatile_keys, volatile_keys[i]);
            counter_set(&shard->databases[i].unresolved, unresolved[i]);
        }
        if (dropped) {
            atomic_store(&shard->sweeping, true);
            shard->sweep_partition = 0;
            shard->sweep_hash = 0;
        }
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

void store_count_keys(struct basin *basin, unsigned database)
{
    const struct manifest *manifest = &basin->manifest;
    uint32_t namespace_id = atomic_load(&basin->namespaces[database]);
    for (size_t i = 0; i < manifest->counts_count; i++) {
        if (manifest->counts[i]->namespace_id != namespace_id) {
            continue;
        }
        for (unsigned p = 0; p < PARTITION_COUNT; p++) {
            const struct manifest_count *count = &manifest->counts[i]->partitions[p];
            struct shard *shard = &basin->shards[basin->partition_shard[p]];
            struct shard_counters *counters = &shard->databases[database];
            atomic_fetch_add(&counters->keys, (uint64_t)count->keys);
            atomic_fetch_add(&counters->volatile_keys, (uint64_t)count->expiring);
            atomic_fetch_add(&counters->unresolved, (uint64_t)count->unresolved);
        }
    }
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
    if (basin->settles && !atomic_exchange(&basin->settle_forced, true)) {
        store_ask_settler(basin); /* The space of what was dropped is given back soon. */
    }
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
