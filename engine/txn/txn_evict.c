/* Memory in use has passed its limit: keys go, one after the other, until it has not.
 *
 * Each turn looks at a few keys, most times of one shard, and deletes the best of all that the
 * txn's pool remembers, which may lie in another. The two locks are taken one after the other,
 * never both, and neither is waited for: a parked command may hold it that only the caller's own
 * worker can wake. A shard that is busy is passed over; its keys stay a little longer.
 *
 * What FLUSHALL has left behind goes before any key that lives. */
#include "engine/txn/txn_private.h"

#include "engine/value/root.h"

#include <stdlib.h>

/* Parts of dead values freed with each key, so that values go as fast as others come. */
#define EVICT_PARTS 64
/* What was brought for a command that never came back stays so long. */
#define PIN_S 30
/* So many turns in which nothing went are enough: all that may go is held by others. */
#define IDLE_TURNS 64

/* Whoever it was brought for has gone away. */
static bool pin_stale(const struct basin *basin, const struct entry *entry)
{
    uint64_t now_ms = io_wall_ms(basin->io);
    if (evict_counts_uses(&basin->disk_rule)) {
        return ((evict_counter(0, now_ms) ^ entry->access) & ENTRY_ACCESS_MASK) >> 8 > 1;
    }
    return evict_idle_s(entry, now_ms) > PIN_S;
}

static bool may_go(void *ctx, const struct entry *entry)
{
    const struct basin *basin = ctx;
    if (basin->log == NULL) {
        return !store_dropped(basin, entry);
    }
    if ((entry->flags & ENTRY_PINNED) != 0 && !pin_stale(basin, entry)) {
        return false;
    }
    /* Parts of a large value are clean one by one. */
    return (entry->flags & ENTRY_SETTLING) == 0 &&
           (entry_clean(entry) || (entry->shape == VALUE_CLAST && !entry_absent(entry)));
}

static struct evict_keys keys_of(struct basin *basin, struct shard *shard)
{
    return (struct evict_keys){.shard = shard,
                               .tables = basin->tables,
                               .partition_shard = basin->partition_shard,
                               .may = may_go,
                               .ctx = basin};
}

/* Whether it has keys that the policy lets go. */
static bool shard_offers(const struct shard *shard, bool only_volatile)
{
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        const struct shard_counters *counters = &shard->databases[i];
        if (atomic_load_explicit(only_volatile ? &counters->volatile_keys : &counters->keys,
                                 memory_order_relaxed) > 0) {
            return true;
        }
    }
    return false;
}

/* How many keys a turn looks at. An empty pool is filled first, so that the first to go is no worse
 * a choice than those after it. */
static unsigned wanted_of(const struct evict_rule *rule, const struct evict_pool *pool)
{
    if ((evict_policy_of(rule) & EVICT_ORDER_MASK) == EVICT_RANDOM) {
        return 1;
    }
    unsigned samples = atomic_load_explicit(&rule->samples, memory_order_relaxed);
    samples = samples < EVICT_SAMPLES_MAX ? samples : EVICT_SAMPLES_MAX;
    return pool->count + samples < EVICT_POOL ? EVICT_POOL - pool->count : samples;
}

/* Looks at keys of as many shards as it takes, from one by chance on. False: none has any. */
static bool gather(struct basin *basin, const struct evict_rule *rule, struct evict_pool *pool,
                   uint64_t now_ms)
{
    bool only_volatile = (evict_policy_of(rule) & EVICT_VOLATILE) != 0;
    uint64_t from = evict_chance(&pool->chance);
    unsigned first = basin->partition_shard[hash_partition(from)];
    unsigned wanted = wanted_of(rule, pool);
    unsigned seen = 0;
    bool offered = false;
    for (unsigned i = 0; i < basin->shard_count && seen < wanted; i++) {
        struct shard *shard = &basin->shards[(first + i) % basin->shard_count];
        if (!shard_offers(shard, only_volatile)) {
            continue;
        }
        offered = true;
        if (shard_try_lock(shard)) {
            struct evict_keys keys = keys_of(basin, shard);
            seen += evict_sample(rule, &keys, from, wanted - seen, now_ms, pool);
            shard_unlock(shard);
        }
    }
    return offered;
}

/* Deletes the key that the pick stands for; false: it is not there any more, or is busy. */
static bool let_go(struct txn *txn, const struct evict_pick *pick, uint64_t now_ms)
{
    struct basin *basin = txn->basin;
    struct shard *shard = store_shard(basin, pick->hash);
    txn_begin(txn, now_ms, 0);
    if (!txn_try_lock(txn, shard->index)) {
        return false;
    }
    struct evict_keys keys = keys_of(basin, shard);
    struct entry *entry = evict_find(&basin->rule, &keys, pick, now_ms);
    bool gone =
        entry != NULL && txn_delete_entry(txn, TXN_NO_KEY, shard, store_table(basin, pick->hash),
                                          pick->hash, entry) == ST_OK;
    if (gone) {
        atomic_fetch_add_explicit(&shard->evicted, 1, memory_order_relaxed);
        shard_free_some(shard, EVICT_PARTS);
        shard_meter(shard, &basin->memory_used, 0);
    }
    uint64_t lsn;
    txn_end(txn, &lsn);
    return gone;
}

static bool best_goes(struct txn *txn, uint64_t now_ms)
{
    struct evict_pick pick;
    while (evict_take(txn->pool, &pick)) {
        if (let_go(txn, &pick, now_ms)) {
            return true;
        }
    }
    return false;
}

static bool has_dead(const struct shard *shard)
{
    return atomic_load_explicit(&shard->sweeping, memory_order_relaxed);
}

/* Whether dropped namespaces have left entries behind. */
static bool any_dead(const struct basin *basin)
{
    unsigned i = 0;
    while (i < basin->shard_count && !has_dead(&basin->shards[i])) {
        i++;
    }
    return i < basin->shard_count;
}

/* Frees some of them in one shard; false: they are all busy. */
static bool dead_go(struct basin *basin)
{
    for (unsigned i = 0; i < basin->shard_count; i++) {
        struct shard *shard = &basin->shards[i];
        if (has_dead(shard) && shard_try_lock(shard)) {
            store_sweep(basin, shard);
            shard_free_some(shard, EVICT_PARTS);
            shard_meter(shard, &basin->memory_used, 0);
            shard_unlock(shard);
            return true;
        }
    }
    return false;
}

static bool pool_make(struct txn *txn)
{
    if (txn->pool == NULL) {
        txn->pool = malloc(sizeof(*txn->pool));
        if (txn->pool != NULL) {
            evict_pool_init(txn->pool, atomic_fetch_add(&txn->basin->evict_seed, 1));
        }
    }
    return txn->pool != NULL;
}

/* -- With a log: what is on disk leaves memory, nothing is deleted --------------------------------
 */

/* Large values go in pieces of so many parts; what is left of them stays. */
#define PIECE_PARTS 64
/* When nothing could leave, nobody looks again for so long. */
#define FORGET_PAUSE_US 10000

/* True: memory has become less. Under the shard's lock. */
static bool forget(struct basin *basin, struct shard *shard, uint64_t hash, struct entry *entry)
{
    struct value value = entry_value(entry);
    if (value.shape == VALUE_CLAST && value.root != NULL) {
        uint64_t memory = value_memory(&value);
        uint64_t freed = value_evict_some(&value, PIECE_PARTS);
        if (freed == 0) {
            freed = value_evict_some(&value, PIECE_PARTS); /* The first only took marks away. */
        }
        shard_note_memory(shard, memory, value_memory(&value));
        if (freed > 0) {
            return true;
        }
    }
    if (!entry_clean(entry)) {
        return false;
    }
    shard_evict(shard, store_table(basin, hash), hash, entry);
    return true;
}

static bool best_forgotten(struct basin *basin, struct evict_pool *pool, uint64_t now_ms)
{
    struct evict_pick pick;
    bool gone = false;
    while (!gone && evict_take(pool, &pick)) {
        struct shard *shard = store_shard(basin, pick.hash);
        if (!shard_try_lock(shard)) {
            continue;
        }
        struct evict_keys keys = keys_of(basin, shard);
        struct entry *entry = evict_find(&basin->disk_rule, &keys, &pick, now_ms);
        if (entry != NULL && atomic_load(&basin->windows) == 0) {
            gone = forget(basin, shard, pick.hash, entry);
            shard_free_some(shard, EVICT_PARTS);
            shard_meter(shard, &basin->memory_used, 0);
        }
        shard_unlock(shard);
    }
    return gone;
}

/* All that is left is dirty, pinned or busy. What is dirty must go to disk first. */
static enum status forget_waits(struct basin *basin, uint64_t now_us)
{
    atomic_store(&basin->forget_again_us, now_us + FORGET_PAUSE_US);
    if (!atomic_exchange(&basin->settle_forced, true)) {
        store_ask_settler(basin);
    }
    return ST_WAIT;
}

enum status store_forget(struct basin *basin, struct evict_pool *pool, uint64_t now_ms,
                         uint64_t budget_us)
{
    uint64_t start_us = io_now_us(basin->io);
    uint64_t now_us = start_us;
    bool any = false;
    if (start_us < atomic_load(&basin->forget_again_us)) {
        return ST_WAIT;
    }
    for (unsigned idle = 0; idle < IDLE_TURNS; idle++) {
        bool gone = any_dead(basin) ? dead_go(basin)
                                    : gather(basin, &basin->disk_rule, pool, now_ms) &&
                                          best_forgotten(basin, pool, now_ms);
        any |= gone;
        idle = gone ? 0 : idle;
        if (!basin_memory_over(basin)) {
            return ST_OK;
        }
        now_us = io_now_us(basin->io);
        if (now_us - start_us >= budget_us) {
            break;
        }
    }
    return any ? ST_BUSY : forget_waits(basin, now_us);
}

enum status basin_evict(struct basin *basin, struct txn *txn, uint64_t now_ms, uint64_t budget_us)
{
    if (!basin_memory_over(basin)) {
        return ST_OK;
    }
    if (basin->log != NULL && !basin->settles) {
        return ST_LIMIT;
    }
    if (basin->log != NULL) {
        return pool_make(txn) ? store_forget(basin, txn->pool, now_ms, budget_us) : ST_BUSY;
    }
    bool keys_go = evict_policy_of(&basin->rule) != EVICT_NOTHING && pool_make(txn);
    uint64_t start_us = io_now_us(basin->io);
    for (unsigned idle = 0; idle < IDLE_TURNS; idle++) {
        bool dead = any_dead(basin);
        if (!dead && (!keys_go || !gather(basin, &basin->rule, txn->pool, now_ms))) {
            return ST_LIMIT;
        }
        if (dead ? dead_go(basin) : best_goes(txn, now_ms)) {
            idle = 0;
        }
        if (!basin_memory_over(basin)) {
            return ST_OK;
        }
        if (io_now_us(basin->io) - start_us >= budget_us) {
            break;
        }
    }
    return ST_BUSY;
}
