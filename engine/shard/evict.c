#include "engine/shard/evict.h"

/* Slots that are passed over for each that is wanted, where few may be picked. */
#define VISITS_EACH 8
/* Rows at the head of an expiry heap that a look for the nearest takes in, and those without a key
 * that it may drop on its way. */
#define HEAD_ROWS 16
#define STALE_ROWS 64
/* Rows that are drawn at least, where most are stale. */
#define ROWS_MIN 64

#define LFU_COUNTER_BITS 8
#define LFU_MINUTES_MASK 0xffffu

uint64_t evict_chance(uint64_t *state)
{
    /* splitmix64: S. Vigna, public domain description. */
    uint64_t z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* -- Marks of use ------------------------------------------------------------------------------ */

static uint32_t minutes_of(uint64_t now_ms)
{
    return (uint32_t)(now_ms / 60000) & LFU_MINUTES_MASK;
}

uint32_t evict_counter(unsigned frequency, uint64_t now_ms)
{
    return minutes_of(now_ms) << LFU_COUNTER_BITS | (frequency & EVICT_LFU_MAX);
}

unsigned evict_frequency(const struct evict_rule *rule, uint32_t access, uint64_t now_ms)
{
    uint32_t decay = atomic_load_explicit(&rule->lfu_decay_minutes, memory_order_relaxed);
    uint32_t counter = access & EVICT_LFU_MAX;
    uint32_t passed = (minutes_of(now_ms) - (access >> LFU_COUNTER_BITS)) & LFU_MINUTES_MASK;
    uint32_t lost = decay == 0 ? 0 : passed / decay;
    return lost < counter ? counter - lost : 0;
}

uint32_t evict_counted(const struct evict_rule *rule, uint32_t access, uint64_t now_ms,
                       uint64_t *chance)
{
    uint64_t factor = atomic_load_explicit(&rule->lfu_log_factor, memory_order_relaxed);
    unsigned counter = evict_frequency(rule, access, now_ms);
    uint64_t above = counter > EVICT_LFU_NEW ? counter - EVICT_LFU_NEW : 0;
    if (counter < EVICT_LFU_MAX && evict_chance(chance) % (above * factor + 1) == 0) {
        counter++;
    }
    return evict_counter(counter, now_ms);
}

/* -- The pool ---------------------------------------------------------------------------------- */

void evict_pool_init(struct evict_pool *pool, uint64_t seed)
{
    *pool = (struct evict_pool){.chance = seed};
}

/* Scores do not age: idle time counts as the time of the last use. */
static uint64_t score_of(const struct evict_rule *rule, uint32_t policy, const struct entry *entry,
                         uint64_t now_ms)
{
    switch (policy & EVICT_ORDER_MASK) {
    case EVICT_LRU:
        return UINT64_MAX / 2 - now_ms / 1000 + evict_idle_s(entry, now_ms);
    case EVICT_LFU:
        return EVICT_LFU_MAX - evict_frequency(rule, entry->access, now_ms);
    case EVICT_TTL:
        return (uint64_t)(INT64_MAX - entry_expiry(entry));
    default:
        return 0;
    }
}

static bool allowed(const struct evict_keys *keys, uint32_t policy, const struct entry *entry)
{
    return ((policy & EVICT_VOLATILE) == 0 || (entry->flags & ENTRY_EXPIRES) != 0) &&
           (keys->may == NULL || keys->may(keys->ctx, entry));
}

/* One that is there already has its new score. */
static void pool_forget(struct evict_pool *pool, uint64_t hash, uint32_t namespace_id)
{
    for (unsigned i = 0; i < pool->count; i++) {
        if (pool->picks[i].hash == hash && pool->picks[i].namespace_id == namespace_id) {
            pool->count--;
            memmove(&pool->picks[i], &pool->picks[i + 1],
                    (pool->count - i) * sizeof(pool->picks[0]));
            return;
        }
    }
}

static void pool_offer(struct evict_pool *pool, struct evict_pick pick)
{
    pool_forget(pool, pick.hash, pick.namespace_id);
    unsigned at = 0;
    while (at < pool->count && pool->picks[at].score < pick.score) {
        at++;
    }
    if (pool->count < EVICT_POOL) {
        memmove(&pool->picks[at + 1], &pool->picks[at],
                (pool->count - at) * sizeof(pool->picks[0]));
        pool->count++;
    } else if (at == 0) {
        return;
    } else {
        at--; /* The worst goes. */
        memmove(&pool->picks[0], &pool->picks[1], at * sizeof(pool->picks[0]));
    }
    pool->picks[at] = pick;
}

bool evict_take(struct evict_pool *pool, struct evict_pick *pick_out)
{
    if (pool->count == 0) {
        return false;
    }
    *pick_out = pool->picks[--pool->count];
    return true;
}

/* -- Sampling ---------------------------------------------------------------------------------- */

struct look {
    const struct evict_rule *rule;
    const struct evict_keys *keys;
    struct evict_pool *pool;
    uint64_t now_ms;
    uint32_t policy;
    unsigned wanted, seen;
};

static void look_at(struct look *look, uint64_t hash, const struct entry *entry)
{
    if (!allowed(look->keys, look->policy, entry)) {
        return;
    }
    look->seen++;
    pool_offer(look->pool,
               (struct evict_pick){score_of(look->rule, look->policy, entry, look->now_ms), hash,
                                   entry->namespace_id});
}

/* A run of slots, on through the shard's partitions and around. */
static void look_along(struct look *look, uint64_t from)
{
    const struct evict_keys *keys = look->keys;
    unsigned visits = look->wanted * VISITS_EACH;
    unsigned first = hash_partition(from);
    for (unsigned i = 0; i <= PARTITION_COUNT; i++) {
        unsigned p = (first + i) % PARTITION_COUNT;
        if (keys->partition_shard[p] != keys->shard->index) {
            continue;
        }
        const struct memtable *table = &keys->tables[p];
        for (const struct slot *slot = memtable_seek(table, i == 0 ? from : 0); slot != NULL;
             slot = memtable_next(table, slot)) {
            if (look->seen == look->wanted || visits-- == 0) {
                return;
            }
            look_at(look, slot->hash, slot->entry);
        }
    }
}

/* The entry that the row of the heap speaks of as a key that expires. */
static struct entry *row_entry(const struct evict_keys *keys, struct expiry_row row)
{
    const struct memtable *table = &keys->tables[hash_partition(row.hash)];
    for (const struct slot *slot = memtable_seek(table, row.hash);
         slot != NULL && slot->hash == row.hash; slot = memtable_next(table, slot)) {
        if (entry_expiry(slot->entry) == row.at_ms) {
            return slot->entry;
        }
    }
    return NULL;
}

static void look_at_row(struct look *look, struct expiry_row row)
{
    const struct entry *entry = row_entry(look->keys, row);
    if (entry != NULL && row.at_ms != EXPIRY_NONE) {
        look_at(look, row.hash, entry);
    }
}

/* Whether nobody needs the row: no key of that hash goes then, and no field of it. */
static bool row_stale(const struct evict_keys *keys, struct expiry_row row)
{
    const struct memtable *table = &keys->tables[hash_partition(row.hash)];
    for (const struct slot *slot = memtable_seek(table, row.hash);
         slot != NULL && slot->hash == row.hash; slot = memtable_next(table, slot)) {
        if (entry_expiry(slot->entry) == row.at_ms || (slot->entry->flags & ENTRY_WAKES) != 0) {
            return false;
        }
    }
    return true;
}

/* The heap knows the nearest expiry; rows of keys that went or changed may hide it. */
static void look_at_head(struct look *look)
{
    struct expiry *expiry = &look->keys->shard->expiry;
    for (unsigned i = 0; i < STALE_ROWS && expiry->count > 0; i++) {
        if (!row_stale(look->keys, expiry->rows[0])) {
            break;
        }
        expiry_drop(expiry, 0);
    }
    for (size_t i = 0; i < HEAD_ROWS && i < expiry->count; i++) {
        look_at_row(look, expiry->rows[i]);
    }
}

/* Every key that expires has a row, so rows by chance are such keys by chance. Keys that were
 * evicted leave theirs behind: they are dropped here, or soon nothing else would be drawn. */
static void look_at_rows(struct look *look)
{
    struct expiry *expiry = &look->keys->shard->expiry;
    unsigned visits = look->wanted * VISITS_EACH;
    visits = visits < ROWS_MIN ? ROWS_MIN : visits;
    for (; look->seen < look->wanted && visits > 0 && expiry->count > 0; visits--) {
        size_t index = evict_chance(&look->pool->chance) % expiry->count;
        struct expiry_row row = expiry->rows[index];
        if (row_stale(look->keys, row)) {
            expiry_drop(expiry, index);
        } else {
            look_at_row(look, row);
        }
    }
}

unsigned evict_sample(const struct evict_rule *rule, const struct evict_keys *keys, uint64_t from,
                      unsigned wanted, uint64_t now_ms, struct evict_pool *pool)
{
    struct look look = {.rule = rule,
                        .keys = keys,
                        .pool = pool,
                        .now_ms = now_ms,
                        .policy = evict_policy_of(rule),
                        .wanted = wanted};
    if (pool->policy != look.policy) {
        pool->count = 0;
        pool->policy = look.policy;
    }
    if ((look.policy & EVICT_ORDER_MASK) == EVICT_NOTHING) {
        return 0;
    }
    if ((look.policy & EVICT_VOLATILE) == 0) {
        look_along(&look, from);
        return look.seen;
    }
    if ((look.policy & EVICT_ORDER_MASK) == EVICT_TTL) {
        look_at_head(&look);
    }
    if (look.seen == 0) { /* Rows of hashes whose fields expire may fill the head too. */
        look_at_rows(&look);
    }
    return look.seen;
}

struct entry *evict_find(const struct evict_rule *rule, const struct evict_keys *keys,
                         const struct evict_pick *pick, uint64_t now_ms)
{
    uint32_t policy = evict_policy_of(rule);
    const struct memtable *table = &keys->tables[hash_partition(pick->hash)];
    for (const struct slot *slot = memtable_seek(table, pick->hash);
         slot != NULL && slot->hash == pick->hash; slot = memtable_next(table, slot)) {
        struct entry *entry = slot->entry;
        if (entry->namespace_id == pick->namespace_id && allowed(keys, policy, entry) &&
            score_of(rule, policy, entry, now_ms) >= pick->score) {
            return entry;
        }
    }
    return NULL;
}
