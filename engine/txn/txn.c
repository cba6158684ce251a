#include "engine/txn/txn_private.h"

#include "engine/base/check.h"
#include "engine/value/root.h"

#include <stdlib.h>

#define SCRATCH_KEEP (64 * 1024)
#define RECORDS_KEEP (256 * 1024)
#define ARRAY_KEEP 4096 /* Entries of keys, effects, payloads outside. */

static void woken_by_shard(struct shard_waiter *waiter)
{
    struct txn *txn = (struct txn *)((char *)waiter - offsetof(struct txn, waiter));
    txn->wake(txn->ctx);
}

enum status txn_new(struct basin *basin, void (*wake)(void *ctx), void *ctx, struct txn **txn_out)
{
    struct txn *txn = calloc(1, sizeof(*txn));
    if (txn == NULL) {
        return ST_NOMEM;
    }
    txn->basin = basin;
    txn->wake = wake;
    txn->ctx = ctx;
    txn->keys = txn->inline_keys;
    txn->key_capacity = TXN_KEYS_INLINE;
    txn->waiter.wake = woken_by_shard;
    arena_init(&txn->late_names);
    *txn_out = txn;
    return ST_OK;
}

void txn_set_reader(struct txn *txn, struct reader *reader)
{
    txn->reader = reader;
}

void txn_free(struct txn *txn)
{
    if (txn == NULL) {
        return;
    }
    CHECK(!txn->locked && txn->locked_count == 0);
    CHECK(txn->wait_count == 0 && !txn->errand_sent);
    if (txn->keys != txn->inline_keys) {
        free(txn->keys);
    }
    free(txn->outside);
    free(txn->effects);
    free(txn->waits);
    arena_deinit(&txn->late_names);
    buf_deinit(&txn->records);
    buf_deinit(&txn->scratch);
    buf_deinit(&txn->late_name);
    free(txn->pool);
    free(txn);
}

/* splitmix64: S. Vigna, public domain description. */
#define RANDOM_STEP 0x9E3779B97F4A7C15ull

static uint64_t random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

void txn_begin(struct txn *txn, uint64_t now_ms, uint64_t seed)
{
    CHECK(!txn->locked && txn->locked_count == 0 && txn->reserved == 0);
    txn->now_ms = now_ms;
    /* Seeds that follow each other, maybe at that very step, lead to sequences that do not. */
    txn->seed = random_mix(seed + RANDOM_STEP);
    txn->random_state = txn->seed;
    txn->key_count = 0;
    txn->planned_count = 0;
    txn->whole = false;
    txn->leaves_ages = false;
    txn->peeks_touch = false;
    txn->shard_count = 0;
    txn->base_reserved = 0;
    txn->resolved = false;
    txn->granted = false;
    txn->load_status = ST_OK;
    txn->waiting = TXN_RUNNING;
}

void txn_leave_ages(struct txn *txn)
{
    txn->leaves_ages = true;
}

void txn_mark_peeks(struct txn *txn)
{
    txn->peeks_touch = true;
}

uint64_t txn_now_ms(const struct txn *txn)
{
    return txn->now_ms;
}

const struct value_limits *txn_limits(const struct txn *txn)
{
    return &txn->basin->limits;
}

uint64_t txn_random(struct txn *txn)
{
    return random_mix(txn->random_state += RANDOM_STEP);
}

bool txn_changed(const struct txn *txn)
{
    return txn->changed;
}

/* -- Plan ------------------------------------------------------------------------------------ */

static void key_place(struct txn *txn, struct txn_key *key)
{
    struct basin *basin = txn->basin;
    struct shard_key *place = &key->place;
    place->namespace_id =
        atomic_load_explicit(&basin->namespaces[place->database], memory_order_relaxed);
    place->hash = hash_key(&basin->secret, place->namespace_id, place->name);
    place->table = store_table(basin, place->hash);
    key->shard = store_shard(basin, place->hash);
    key->version = 0;
}

enum status txn_add_key(struct txn *txn, unsigned database, struct bytes name)
{
    CHECK(database < BASIN_DATABASES);
    if (txn->key_count == txn->key_capacity) {
        size_t capacity = txn->key_capacity * 4;
        bool moved = txn->keys == txn->inline_keys;
        struct txn_key *keys = realloc(moved ? NULL : txn->keys, capacity * sizeof(*keys));
        if (keys == NULL) {
            return ST_NOMEM;
        }
        if (moved) {
            memcpy(keys, txn->inline_keys, sizeof(txn->inline_keys));
        }
        txn->keys = keys;
        txn->key_capacity = capacity;
    }
    struct txn_key *key = &txn->keys[txn->key_count++];
    key->place.name = name;
    key->place.database = database;
    key->place.origin = 0;
    key->entry = NULL;
    key->missed = false;
    key->value_wanted = false;
    key->row_known = false;
    key->counted = false;
    key->failed = ST_OK;
    key->touched = false;
    key->loaded = false;
    key_place(txn, key);
    return ST_OK;
}

enum status txn_add_shard(struct txn *txn, unsigned index)
{
    /* Almost always the first, or one of a few: insertion keeps them ascending. */
    unsigned at = txn->shard_count;
    while (at > 0 && txn->shards[at - 1] >= index) {
        if (txn->shards[at - 1] == index) {
            return ST_OK;
        }
        at--;
    }
    memmove(&txn->shards[at + 1], &txn->shards[at],
            (txn->shard_count - at) * sizeof(txn->shards[0]));
    txn->shards[at] = (uint16_t)index;
    txn->shard_count++;
    return ST_OK;
}

enum status txn_plan(struct txn *txn, unsigned database, struct bytes key)
{
    CHECK(!txn->locked);
    if (txn->key_count == 0) {
        txn->namespace_epoch =
            atomic_load_explicit(&txn->basin->namespace_epoch, memory_order_acquire);
    }
    enum status status = txn_add_key(txn, database, key);
    if (status != ST_OK) {
        return status;
    }
    txn->planned_count = txn->key_count;
    return txn_add_shard(txn, txn->keys[txn->key_count - 1].shard->index);
}

void txn_plan_all(struct txn *txn)
{
    CHECK(!txn->locked);
    txn->whole = true;
    txn->shard_count = txn->basin->shard_count;
    for (unsigned i = 0; i < txn->shard_count; i++) {
        txn->shards[i] = (uint16_t)i;
    }
    if (txn->key_count == 0) {
        txn->namespace_epoch =
            atomic_load_explicit(&txn->basin->namespace_epoch, memory_order_acquire);
    }
}

enum status txn_plan_late(struct txn *txn, unsigned database, struct bytes key,
                          unsigned *number_out)
{
    CHECK(txn->locked && txn->whole);
    enum status status = txn_add_key(txn, database, key);
    if (status == ST_OK) {
        *number_out = (unsigned)(txn->key_count - 1);
    }
    return status;
}

enum status txn_read_late(struct txn *txn, unsigned database, struct bytes key,
                          struct value *value_out)
{
    unsigned number;
    enum status status = txn_plan_late(txn, database, key, &number);
    if (status != ST_OK) {
        return status;
    }
    status = txn_read(txn, number, value_out);
    if (status == ST_WAIT) {
        /* Whoever brings it reads the name when the caller's memory is another's. */
        char *name = arena_alloc(&txn->late_names, key.size);
        if (name != NULL) {
            memcpy(name, key.data, key.size);
            txn->keys[number].place.name = bytes_of(name, key.size);
            return ST_WAIT;
        }
        status = ST_NOMEM;
    }
    txn->key_count--;
    return status;
}

/* A run begins: late keys are found anew. */
static void late_keys_drop(struct txn *txn)
{
    if (txn->key_count > txn->planned_count) {
        txn->key_count = txn->planned_count;
        arena_reset(&txn->late_names);
    }
}

/* The map of databases has moved since the plan: hashes and shards are other ones. */
static void plan_again(struct txn *txn)
{
    txn->namespace_epoch = atomic_load_explicit(&txn->basin->namespace_epoch, memory_order_acquire);
    if (!txn->whole) {
        txn->shard_count = 0;
    }
    for (size_t i = 0; i < txn->key_count; i++) {
        struct txn_key *key = &txn->keys[i];
        key_place(txn, key);
        key->failed = ST_OK;
        key->row_known = false;
        status_ignore(txn_add_shard(txn, key->shard->index), "it cannot fail");
    }
}

/* -- Lock ------------------------------------------------------------------------------------ */

void txn_unlock(struct txn *txn)
{
    while (txn->locked_count > 0) {
        shard_unlock(&txn->basin->shards[txn->shards[--txn->locked_count]]);
    }
    txn->locked = false;
}

/* All locks are held: what the run before may have left is dropped. */
static void run_begins(struct txn *txn)
{
    struct parts_miss stale[1];
    (void)parts_take_misses(stale, 0); /* Others asked for those. */
    txn->locked = true;
    txn->read_lsn = 0;
    txn->changed = false;
    txn->misses = false;
    txn->effect_count = 0;
    txn->outside_count = 0;
    txn->outside_size = 0;
    txn->records.size = 0;
    txn->random_state = txn->seed;
    for (size_t i = 0; i < txn->key_count; i++) {
        txn->keys[i].version = 0;
        txn->keys[i].touched = false;
    }
}

bool txn_try_lock(struct txn *txn, unsigned index)
{
    CHECK(!txn->locked && txn->key_count == 0 && txn->shard_count == 0);
    if (!shard_try_lock(&txn->basin->shards[index])) {
        return false;
    }
    txn->shards[0] = (uint16_t)index;
    txn->shard_count = 1;
    txn->locked_count = 1;
    run_begins(txn);
    return true;
}

enum status txn_lock(struct txn *txn)
{
    CHECK(!txn->locked);
    if (txn->load_status != ST_OK) { /* What it asked for cannot be had. */
        return txn->load_status;
    }
    if (txn->waiting == TXN_WAITS_LOAD && atomic_load(&txn->fetching) > 0) {
        return ST_WAIT;
    }
    late_keys_drop(txn);
    if (txn->reserved < txn->base_reserved) { /* A retry: the reservation was given back. */
        uint64_t size = txn->base_reserved;
        txn->base_reserved = 0;
        enum status status = txn_reserve(txn, size);
        txn->base_reserved = size;
        if (status == ST_WAIT) {
            txn_wait_for_log(txn);
        }
        if (status != ST_OK) {
            return status;
        }
    }
    struct basin *basin = txn->basin;
    for (;;) {
        txn->waiting = TXN_RUNNING;
        while (txn->locked_count < txn->shard_count) {
            struct shard *shard = &basin->shards[txn->shards[txn->locked_count]];
            txn->waiting = TXN_WAITS_SHARD; /* Before the waiter can be woken. */
            if (!shard_lock_or_wait(shard, &txn->waiter)) {
                return ST_WAIT;
            }
            txn->waiting = TXN_RUNNING;
            txn->locked_count++;
        }
        if (__builtin_expect(txn->namespace_epoch == atomic_load_explicit(&basin->namespace_epoch,
                                                                          memory_order_acquire),
                             1)) {
            break;
        }
        txn_unlock(txn);
        plan_again(txn);
    }
    run_begins(txn);
    bool waited = txn->wait_count > 0 || txn->errand_sent;
    enum status status = waited ? txn_misses_take(txn) : ST_OK;
    if (status != ST_OK) {
        txn_unlock(txn);
    }
    return status;
}

void txn_arrays_shrink(struct txn *txn)
{
    window_free(txn->window);
    txn->window = NULL;
    txn->window_wanted = false;
    txn->resolve_wanted = false;
    buf_clear(&txn->records, RECORDS_KEEP);
    buf_clear(&txn->scratch, SCRATCH_KEEP);
    buf_clear(&txn->late_name, SCRATCH_KEEP);
    if (txn->key_capacity > ARRAY_KEEP) {
        free(txn->keys);
        txn->keys = txn->inline_keys;
        txn->key_capacity = TXN_KEYS_INLINE;
        txn->key_count = 0;
    }
    if (txn->effect_capacity > ARRAY_KEEP) {
        free(txn->effects);
        txn->effects = NULL;
        txn->effect_capacity = 0;
        txn->effect_count = 0;
    }
    if (txn->outside_capacity > ARRAY_KEEP) {
        free(txn->outside);
        txn->outside = NULL;
        txn->outside_capacity = 0;
        txn->outside_count = 0;
    }
}

/* -- Effects --------------------------------------------------------------------------------- */

static uint64_t group_size(const struct txn *txn)
{
    return txn->records.size + txn->outside_size;
}

enum status txn_room(struct txn *txn, uint64_t size)
{
    if (!txn_logs(txn)) {
        return ST_OK;
    }
    CHECK(txn->locked);
    uint64_t total = group_size(txn) + size;
    if (__builtin_expect(total <= txn->reserved, 1)) {
        return ST_OK;
    }
    enum status status = txn_reservation_grow(txn, total - txn->reserved);
    if (txn->changed && status == ST_WAIT) {
        return ST_LIMIT; /* Too late to wait; what was done so far stands, in memory and in the log.
                          */
    }
    return status;
}

enum status txn_effect_reserve(struct txn *txn)
{
    if (txn->effect_count < txn->effect_capacity) {
        return ST_OK;
    }
    size_t capacity = txn->effect_capacity == 0 ? 8 : txn->effect_capacity * 2;
    struct txn_effect *effects = realloc(txn->effects, capacity * sizeof(*effects));
    if (effects == NULL) {
        return ST_NOMEM;
    }
    txn->effects = effects;
    txn->effect_capacity = capacity;
    return ST_OK;
}

enum status txn_effect_open(struct txn *txn, enum record_op op, uint32_t namespace_id,
                            struct bytes key, uint64_t payload_size)
{
    enum status status = txn_effect_reserve(txn);
    if (status != ST_OK) {
        return status;
    }
    if (payload_size + key.size + RECORD_HEADER_SIZE > RECORD_SIZE_MAX) {
        return ST_LIMIT;
    }
    size_t before = txn->last_record;
    status = record_begin(&txn->records, op, namespace_id, key, payload_size, &txn->last_record);
    if (status == ST_OK) {
        txn->record_before = before;
    }
    return status;
}

enum status txn_effect_outside(struct txn *txn, struct bytes bytes)
{
    if (txn->outside_count == txn->outside_capacity) {
        size_t capacity = txn->outside_capacity == 0 ? 8 : txn->outside_capacity * 2;
        struct txn_outside *outside = realloc(txn->outside, capacity * sizeof(*outside));
        if (outside == NULL) {
            return ST_NOMEM;
        }
        txn->outside = outside;
        txn->outside_capacity = capacity;
    }
    txn->outside[txn->outside_count++] = (struct txn_outside){txn->records.size, bytes};
    txn->outside_size += bytes.size;
    return ST_OK;
}

/* Bytes that lie outside since the record at this offset began. */
static uint64_t outside_since(const struct txn *txn, size_t offset)
{
    uint64_t size = 0;
    for (size_t i = txn->outside_count; i > 0 && txn->outside[i - 1].offset > offset; i--) {
        size += txn->outside[i - 1].bytes.size;
    }
    return size;
}

void txn_effect_drop(struct txn *txn)
{
    while (txn->outside_count > 0 &&
           txn->outside[txn->outside_count - 1].offset > txn->last_record) {
        txn->outside_size -= txn->outside[--txn->outside_count].bytes.size;
    }
    txn->records.size = txn->last_record;
    txn->last_record = txn->record_before; /* W2: it may be the group's last after all. */
}

void txn_effect_close(struct txn *txn, uint32_t key, struct shard *shard, uint64_t hash)
{
    if (txn_logs(txn)) {
        uint64_t size = txn->records.size - txn->last_record + outside_since(txn, txn->last_record);
        CHECK(size <= RECORD_SIZE_MAX);
        store_u32(txn->records.data + txn->last_record, (uint32_t)size);
    }
    CHECK(txn->effect_count < txn->effect_capacity);
    txn->effects[txn->effect_count++] = (struct txn_effect){group_size(txn), hash, shard, key};
    txn->changed = true;
}

/* -- End ------------------------------------------------------------------------------------- */

/* The map of databases has the LSN of the one effect: that of its group from now on. */
static void stamp_databases(struct basin *basin, uint64_t start_lsn, uint64_t lsn)
{
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        if (basin->namespace_lsn[i] > start_lsn) {
            basin->namespace_lsn[i] = lsn;
        }
    }
}

/* Tells entries, shards and removed keys the LSN of the group's end: a frame of the log may end in
 * the midst of a group, and what is durable of it then does not count (W2). So neither a reply (W1)
 * nor a settle round (S1) is content with less. */
static void stamp(struct txn *txn, uint64_t start_lsn, uint64_t lsn)
{
    for (size_t i = 0; i < txn->effect_count; i++) {
        struct txn_effect *effect = &txn->effects[i];
        if (effect->shard == NULL) {
            stamp_databases(txn->basin, start_lsn, lsn);
            continue;
        }
        effect->shard->last_lsn = lsn;
        struct entry *entry =
            effect->key == TXN_NO_KEY ? NULL : txn_entry(txn, &txn->keys[effect->key]);
        if (entry != NULL) {
            entry->lsn = lsn;
        } else {
            *shard_gone(effect->shard, effect->hash) = lsn;
        }
    }
}

static uint64_t append(struct txn *txn)
{
    struct bytes few[8];
    struct bytes *parts = few;
    size_t count = 0;
    size_t most = txn->outside_count * 2 + 1;
    if (most > sizeof(few) / sizeof(few[0])) {
        parts = malloc(most * sizeof(*parts));
        CHECK(parts != NULL); /* Effects are made; there is no way back. */
    }
    size_t offset = 0;
    for (size_t i = 0; i < txn->outside_count; i++) {
        size_t end = txn->outside[i].offset;
        if (end > offset) {
            parts[count++] = bytes_of(txn->records.data + offset, end - offset);
            offset = end;
        }
        parts[count++] = txn->outside[i].bytes;
    }
    if (txn->records.size > offset) {
        parts[count++] = bytes_of(txn->records.data + offset, txn->records.size - offset);
    }
    /* W2: the first and the last record carry the marks of the group. */
    txn->records.data[5] |= RECORD_FIRST;
    txn->records.data[txn->last_record + 5] |= RECORD_LAST;
    uint64_t lsn = wlog_append(txn->basin->log, txn->reserved, parts, count);
    txn->reserved = 0;
    if (parts != few) {
        free(parts);
    }
    return lsn;
}

/* It has run: what was brought for it may leave memory again. */
static void unpin(struct txn *txn)
{
    for (size_t i = 0; i < txn->key_count; i++) {
        struct txn_key *key = &txn->keys[i];
        if (key->entry != NULL && key->version == key->place.table->version + 1) {
            key->entry->flags &= (uint8_t)~ENTRY_PINNED;
        }
    }
}

/* Tests: what was used leaves memory if it can, so that every read is a miss. */
static void forget(struct txn *txn)
{
    if (atomic_load(&txn->basin->windows) > 0) {
        return;
    }
    for (size_t i = 0; i < txn->key_count; i++) {
        struct txn_key *key = &txn->keys[i];
        struct entry *entry = txn_entry(txn, key);
        if (entry != NULL && entry_clean(entry)) {
            shard_evict(key->shard, key->place.table, key->place.hash, entry);
        }
    }
}

/* The total of memory in use learns what the txn has changed. */
static void meter(struct txn *txn)
{
    struct basin *basin = txn->basin;
    for (unsigned i = 0; i < txn->locked_count; i++) {
        struct shard *shard = &basin->shards[txn->shards[i]];
        if (shard->memory_moved) {
            shard_meter(shard, &basin->memory_used, METER_SLACK);
        }
    }
}

void txn_end(struct txn *txn, uint64_t *wait_lsn_out)
{
    *wait_lsn_out = 0;
    if (!txn->locked) { /* It was refused before it began. */
        txn_cancel(txn);
        return;
    }
    struct basin *basin = txn->basin;
    uint64_t wait_lsn = 0;
    if (basin->log != NULL) {
        wait_lsn = txn->read_lsn;
        if (txn->effect_count > 0) {
            uint64_t size = group_size(txn);
            uint64_t start_lsn = append(txn);
            wait_lsn = start_lsn + size; /* Later than anything it can have read. */
            stamp(txn, start_lsn, wait_lsn);
        } else {
            txn_reservation_drop(txn);
        }
        if (wait_lsn <= wlog_durable(basin->log)) {
            wait_lsn = 0;
        }
    }
    if (basin->settles) {
        unpin(txn);
    }
    if (basin->forgets) {
        forget(txn);
    }
    if (txn->changed) {
        meter(txn);
    }
    txn_unlock(txn);
    txn_arrays_shrink(txn);
    txn->changed = false;
    *wait_lsn_out = wait_lsn;
}
