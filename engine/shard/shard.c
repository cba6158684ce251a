#include "engine/shard/shard.h"

#include "engine/base/check.h"
#include "engine/value/fields.h"

#include <sched.h>
#include <stdlib.h>

#define SHARD_LOCKED 1u
#define SHARD_WAITED 2u /* Somebody is in the queue: the next unlock wakes one. */

/* About 5 µs: longer than any usual hold, shorter than parking and being woken. */
#define SPIN_COUNT 200

/* Roots smaller than this are freed where they fall. */
#define DEAD_SLICE_MIN (64 * 1024)

enum status shard_init(struct shard *shard, unsigned index)
{
    memset(shard, 0, sizeof(*shard));
    shard->index = index;
    shard->chance = index;
    expiry_init(&shard->expiry);
    pthread_mutex_init(&shard->queue_mutex, NULL);
    return slab_new(&shard->slab);
}

void shard_deinit(struct shard *shard)
{
    for (size_t i = 0; i < shard->dead_count; i++) {
        value_free(&shard->dead[i]);
    }
    free(shard->dead);
    expiry_deinit(&shard->expiry);
    slab_free(shard->slab);
    shard->slab = NULL;
    pthread_mutex_destroy(&shard->queue_mutex);
}

static bool lock_once(struct shard *shard)
{
    uint32_t state = atomic_load_explicit(&shard->state, memory_order_relaxed);
    return (state & SHARD_LOCKED) == 0 &&
           atomic_compare_exchange_strong_explicit(&shard->state, &state, state | SHARD_LOCKED,
                                                   memory_order_acquire, memory_order_relaxed);
}

bool shard_try_lock(struct shard *shard)
{
    for (unsigned i = 0; i < SPIN_COUNT; i++) {
        if (lock_once(shard)) {
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
}

bool shard_lock_or_wait(struct shard *shard, struct shard_waiter *waiter)
{
    if (shard_try_lock(shard)) {
        return true;
    }
    pthread_mutex_lock(&shard->queue_mutex);
    atomic_fetch_or(&shard->state, SHARD_WAITED);
    /* The holder may have left before it could see us: then nobody would wake us. */
    bool locked = lock_once(shard);
    if (!locked) {
        atomic_fetch_add_explicit(&shard->lock_waits, 1, memory_order_relaxed);
        waiter->next = NULL;
        waiter->queued = true;
        if (shard->last_waiter != NULL) {
            shard->last_waiter->next = waiter;
        } else {
            shard->first_waiter = waiter;
        }
        shard->last_waiter = waiter;
    }
    pthread_mutex_unlock(&shard->queue_mutex);
    return locked;
}

/* Under the queue's mutex. */
static void wake_first(struct shard *shard)
{
    struct shard_waiter *waiter = shard->first_waiter;
    if (waiter == NULL) {
        return;
    }
    shard->first_waiter = waiter->next;
    if (shard->first_waiter == NULL) {
        shard->last_waiter = NULL;
    } else {
        atomic_fetch_or(&shard->state, SHARD_WAITED);
    }
    waiter->queued = false;
    waiter->wake(waiter);
}

void shard_forget(struct shard *shard, struct shard_waiter *waiter)
{
    pthread_mutex_lock(&shard->queue_mutex);
    if (!waiter->queued) {
        wake_first(shard); /* The wake-up that was ours. */
    } else {
        struct shard_waiter **link = &shard->first_waiter;
        struct shard_waiter *before = NULL;
        while (*link != waiter) {
            before = *link;
            link = &before->next;
        }
        *link = waiter->next;
        if (shard->last_waiter == waiter) {
            shard->last_waiter = before;
        }
        waiter->queued = false;
    }
    pthread_mutex_unlock(&shard->queue_mutex);
}

void shard_unlock(struct shard *shard)
{
    uint32_t state = atomic_exchange_explicit(&shard->state, 0, memory_order_release);
    CHECK(state & SHARD_LOCKED);
    if (state & SHARD_WAITED) {
        pthread_mutex_lock(&shard->queue_mutex);
        wake_first(shard);
        pthread_mutex_unlock(&shard->queue_mutex);
    }
}

void shard_lock_blocking(struct shard *shard)
{
    while (!shard_try_lock(shard)) {
        sched_yield();
    }
}

/* -- Changes --------------------------------------------------------------------------------- */

static void counter_add(_Atomic uint64_t *counter, int64_t change)
{
    /* One writer, the lock's holder: no need for a locked instruction. */
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + (uint64_t)change, memory_order_relaxed);
}

uint64_t shard_memory(const struct shard *shard)
{
    return slab_used(shard->slab) + shard->tables_memory + shard->values_memory +
           shard->expiry.capacity * sizeof(struct expiry_row);
}

uint64_t shard_memory_held(const struct shard *shard)
{
    return shard_memory(shard) + slab_held(shard->slab) - slab_used(shard->slab);
}

void shard_meter(struct shard *shard, _Atomic uint64_t *total, uint64_t slack)
{
    uint64_t memory = shard_memory(shard);
    uint64_t drift = memory - shard->memory_metered;
    shard->memory_moved = false;
    if (drift + slack > 2 * slack) { /* Either way: it wraps. */
        shard->memory_metered = memory;
        atomic_fetch_add_explicit(total, drift, memory_order_relaxed);
    }
}

void shard_note_memory(struct shard *shard, uint64_t before, uint64_t after)
{
    shard->values_memory += after - before;
    shard->memory_moved = true;
}

void shard_root_gone(struct shard *shard, struct entry *entry, uint64_t memory)
{
    entry_clear_root(entry);
    shard_note_memory(shard, memory, 0);
}

static void root_drop(struct shard *shard, struct value *value)
{
    if (value->shape != VALUE_CLAST || value->root == NULL) {
        return;
    }
    uint64_t memory = value_memory(value);
    shard_note_memory(shard, memory, 0);
    if (memory >= DEAD_SLICE_MIN) {
        if (shard->dead_count == shard->dead_capacity) {
            size_t capacity = shard->dead_capacity == 0 ? 16 : shard->dead_capacity * 2;
            struct value *dead = realloc(shard->dead, capacity * sizeof(*dead));
            if (dead == NULL) {
                value_free(value); /* A stall, but no leak. */
                return;
            }
            shard->dead = dead;
            shard->dead_capacity = capacity;
        }
        shard->dead[shard->dead_count++] = *value;
        return;
    }
    value_free(value);
}

bool shard_free_some(struct shard *shard, size_t parts)
{
    if (shard->dead_count > 0 && value_free_some(&shard->dead[shard->dead_count - 1], parts)) {
        shard->dead_count--;
    }
    return shard->dead_count > 0;
}

/* What the heap must learn of a value that is stored: the time of its earliest field, unless a row
 * for this hash has it already. FIELDS_NEVER: nothing. */
static int64_t wake_of(const struct entry *entry, const struct value *value)
{
    if (value->type != VALUE_HASH) {
        return FIELDS_NEVER;
    }
    int64_t wake_ms = fields_earliest(value);
    if (wake_ms != FIELDS_NEVER && entry != NULL && (entry->flags & ENTRY_WAKES) != 0) {
        struct value old = entry_value(entry);
        bool known =
            (old.shape == VALUE_PACKED || old.root != NULL) && fields_noted(&old) == wake_ms;
        wake_ms = known ? FIELDS_NEVER : wake_ms;
    }
    return wake_ms;
}

/* Marks the entry by what it holds now. */
static void waking_mark(struct shard *shard, struct entry *entry, bool woke)
{
    struct value value = entry_value(entry);
    bool wakes = value.type == VALUE_HASH && fields_earliest(&value) != FIELDS_NEVER;
    entry->flags &= (uint8_t)~ENTRY_WAKES;
    if (value.type == VALUE_HASH) {
        fields_note(&value);
        entry->flags |= wakes ? ENTRY_WAKES : 0;
    }
    shard->waking_count += (uint64_t)wakes - (uint64_t)woke;
}

/* A new entry in its table, with what it says of the disk. NULL: no memory, nothing has changed. */
static struct entry *entry_enter(struct shard *shard, const struct shard_key *key,
                                 const struct value *value, int64_t expiry_ms)
{
    bool unresolved = (key->origin & ENTRY_UNRESOLVED) != 0;
    uint64_t before = memtable_memory(key->table);
    enum status status = memtable_reserve(key->table);
    if (status == ST_OK && unresolved) {
        status = doubts_reserve(&key->table->doubts);
    }
    shard->tables_memory += memtable_memory(key->table) - before;
    shard->memory_moved = true;
    struct entry *entry =
        status == ST_OK ? entry_new(shard->slab, key->namespace_id, key->name, value, expiry_ms)
                        : NULL;
    if (entry == NULL) {
        return NULL;
    }
    entry->flags |= key->origin & ENTRY_ORIGIN;
    memtable_insert(key->table, key->hash, entry);
    if (unresolved) {
        doubts_add(&key->table->doubts, key->hash);
        counter_add(&shard->databases[key->database].unresolved, 1);
    }
    return entry;
}

enum status shard_doubt(struct shard *shard, struct memtable *table, unsigned database,
                        uint64_t hash, struct entry *entry)
{
    uint64_t before = memtable_memory(table);
    enum status status = doubts_reserve(&table->doubts);
    shard->tables_memory += memtable_memory(table) - before;
    shard->memory_moved = true;
    if (status != ST_OK) {
        return status;
    }
    bool known = entry_in_doubt(entry);
    entry->flags &= (uint8_t)~ENTRY_ON_DISK;
    entry->flags |= ENTRY_UNRESOLVED;
    counter_add(&shard->databases[database].unresolved, 1);
    if (!known) {
        doubts_add(&table->doubts, hash);
    }
    return ST_OK;
}

void shard_sift(struct shard *shard, struct memtable *table)
{
    struct doubts *doubts = &table->doubts;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < doubts->count; i++) {
        uint64_t hash = doubts->hashes[i];
        const struct slot *slot = memtable_seek(table, hash);
        while (slot != NULL && slot->hash == hash && !entry_in_doubt(slot->entry)) {
            slot = memtable_next(table, slot);
        }
        if (slot != NULL && slot->hash == hash) {
            doubts->hashes[kept++] = hash;
        }
    }
    uint64_t before = memtable_memory(table);
    doubts_cut(doubts, kept);
    shard->tables_memory += memtable_memory(table) - before;
    shard->memory_moved = true;
}

enum status shard_store(struct shard *shard, const struct shard_key *key, struct entry *entry,
                        const struct value *value, int64_t expiry_ms, struct entry **entry_out)
{
    struct shard_counters *counters = &shard->databases[key->database];
    bool is_volatile = expiry_ms != EXPIRY_NONE;
    int64_t old_expiry = entry == NULL ? EXPIRY_NONE : entry_expiry(entry);
    int64_t wake_ms = wake_of(entry, value);
    bool woke = entry != NULL && (entry->flags & ENTRY_WAKES) != 0;
    size_t rows = (is_volatile && old_expiry != expiry_ms) + (wake_ms != FIELDS_NEVER);
    if (rows > 0) {
        if (expiry_reserve(&shard->expiry, rows) != ST_OK) {
            return ST_NOMEM;
        }
        shard->memory_moved = true;
    }
    if (entry == NULL) {
        entry = entry_enter(shard, key, value, expiry_ms);
        if (entry == NULL) {
            return ST_NOMEM;
        }
        counter_add(&counters->keys, (key->origin & ENTRY_UNRESOLVED) == 0);
        if (value->shape == VALUE_CLAST) {
            shard_note_memory(shard, 0, value_memory(value));
        }
    } else {
        struct value old = entry_value(entry);
        bool was_absent = entry_absent(entry);
        struct entry *stored = entry_store(shard->slab, entry, value, expiry_ms);
        if (stored == NULL) {
            return ST_NOMEM;
        }
        if (stored != entry) {
            memtable_replace(key->table, key->hash, entry, stored);
            entry = stored;
            shard->memory_moved = true;
        }
        counter_add(&counters->keys, was_absent);
        bool same_root =
            old.shape == VALUE_CLAST && value->shape == VALUE_CLAST && old.root == value->root;
        if (!same_root) {
            root_drop(shard, &old);
            if (value->shape == VALUE_CLAST) {
                shard_note_memory(shard, 0, value_memory(value));
            }
        }
    }
    entry->flags |= shard->settles ? ENTRY_DIRTY : 0;
    counter_add(&counters->volatile_keys, is_volatile - (old_expiry != EXPIRY_NONE));
    shard->expiring_count += (uint64_t)is_volatile - (uint64_t)(old_expiry != EXPIRY_NONE);
    if (is_volatile && old_expiry != expiry_ms) {
        expiry_add(&shard->expiry, expiry_ms, key->hash);
    }
    if (wake_ms != FIELDS_NEVER) {
        expiry_add(&shard->expiry, wake_ms, key->hash);
    }
    if (woke || value->type == VALUE_HASH) {
        waking_mark(shard, entry, woke);
    }
    *entry_out = entry;
    return ST_OK;
}

static void table_remove(struct shard *shard, struct memtable *table, uint64_t hash,
                         const struct entry *entry)
{
    uint64_t before = memtable_memory(table);
    memtable_remove(table, hash, entry);
    shard->tables_memory += memtable_memory(table) - before;
    shard->memory_moved = true;
}

/* Without memory to shrink it the entry keeps its room, as a tombstone all the same. */
static void entomb(struct shard *shard, struct memtable *table, uint64_t hash, struct entry *entry)
{
    if (entry->shape == VALUE_CLAST) {
        entry_clear_root(entry);
    }
    entry->type = VALUE_NONE;
    entry->flags &= (uint8_t)~ENTRY_WAKES;
    entry->flags |= ENTRY_DIRTY;
    struct value none = {.type = VALUE_NONE};
    struct entry *stored = entry_store(shard->slab, entry, &none, EXPIRY_NONE);
    if (stored != NULL && stored != entry) {
        memtable_replace(table, hash, entry, stored);
    }
}

void shard_remove(struct shard *shard, struct memtable *table, unsigned database, uint64_t hash,
                  struct entry *entry)
{
    struct value value = entry_value(entry);
    bool is_volatile = entry_expiry(entry) != EXPIRY_NONE;
    bool counts = database < SHARD_DATABASES && !entry_absent(entry);
    bool buried = shard->settles && database < SHARD_DATABASES &&
                  (shard->in_round || (entry->flags & (ENTRY_ORIGIN | ENTRY_SETTLING)) != 0);
    shard->waking_count -= (entry->flags & ENTRY_WAKES) != 0;
    shard->expiring_count -= is_volatile;
    if (buried) {
        entomb(shard, table, hash, entry);
        root_drop(shard, &value);
    } else {
        table_remove(shard, table, hash, entry);
        root_drop(shard, &value);
        entry_free(shard->slab, entry);
    }
    if (counts) {
        counter_add(&shard->databases[database].keys, -1);
        counter_add(&shard->databases[database].volatile_keys, -(int64_t)is_volatile);
    }
}

enum status shard_bury(struct shard *shard, const struct shard_key *key, bool is_volatile,
                       struct entry **entry_out)
{
    struct value none = {.type = VALUE_NONE};
    struct entry *entry = entry_enter(shard, key, &none, EXPIRY_NONE);
    if (entry == NULL) {
        return ST_NOMEM;
    }
    entry->flags |= ENTRY_DIRTY;
    counter_add(&shard->databases[key->database].keys, -1);
    counter_add(&shard->databases[key->database].volatile_keys, -(int64_t)is_volatile);
    *entry_out = entry;
    return ST_OK;
}

enum status shard_install(struct shard *shard, const struct shard_key *key,
                          const struct value *value, int64_t expiry_ms, uint64_t lsn,
                          uint32_t access)
{
    int64_t wake_ms = value->type == VALUE_HASH ? fields_earliest(value) : FIELDS_NEVER;
    size_t rows = (expiry_ms != EXPIRY_NONE) + (wake_ms != FIELDS_NEVER);
    if (rows > 0 && expiry_reserve(&shard->expiry, rows) != ST_OK) {
        return ST_NOMEM;
    }
    struct entry *entry = entry_enter(shard, key, value, expiry_ms);
    if (entry == NULL) {
        return ST_NOMEM;
    }
    entry->lsn = lsn;
    entry->access = access & ENTRY_ACCESS_MASK;
    entry->flags |= ENTRY_PINNED;
    if (value->shape == VALUE_CLAST) {
        shard_note_memory(shard, 0, value_memory(value));
    }
    if (expiry_ms != EXPIRY_NONE) {
        expiry_add(&shard->expiry, expiry_ms, key->hash);
        shard->expiring_count++;
    }
    if (wake_ms != FIELDS_NEVER) {
        expiry_add(&shard->expiry, wake_ms, key->hash);
        waking_mark(shard, entry, false);
    }
    return ST_OK;
}

void shard_evict(struct shard *shard, struct memtable *table, uint64_t hash, struct entry *entry)
{
    CHECK(entry_clean(entry));
    struct value value = entry_value(entry);
    shard->waking_count -= (entry->flags & ENTRY_WAKES) != 0;
    shard->expiring_count -= entry_expiry(entry) != EXPIRY_NONE;
    table_remove(shard, table, hash, entry);
    root_drop(shard, &value);
    entry_free(shard->slab, entry);
}
