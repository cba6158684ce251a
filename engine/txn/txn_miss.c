/* What a run has missed is noted in the txn, by find and by the values of its keys. Before it lets
 * go of its locks it joins the fetches of all that, and waits until the last of them has finished;
 * when it has its locks again it puts what they have brought into memory, and runs from its start.
 *
 * A count or a walk over the keyspace is an errand of a loader's thread. Errand and txn know each
 * other under waiting_mutex; who gives up leaves it alone. */
#include "engine/txn/fetch.h"
#include "engine/txn/reader.h"
#include "engine/txn/txn_private.h"

#include "engine/base/check.h"
#include "engine/value/root.h"

#include <stdlib.h>

/* Those beyond are bulk (see reader.h). */
#define MISSES_FEW 16
#define WAITS_KEEP 4096

struct txn_errand {
    struct errand errand;
    struct basin *basin;
    struct txn *txn; /* Under waiting_mutex. NULL: it has given up. */
    bool walks;      /* Wants a window, or the number of keys. */
    unsigned database;
    uint64_t first, rows;
};

void txn_fetched(struct txn *txn)
{
    if (atomic_fetch_sub(&txn->fetching, 1) == 1) {
        txn->wake(txn->ctx);
    }
}

/* -- Errands ----------------------------------------------------------------------------------- */

static struct txn_errand *errand_of(struct errand *errand)
{
    return (struct txn_errand *)errand;
}

static void errand_run(struct errand *base, struct load_room *room)
{
    (void)room;
    struct txn_errand *errand = errand_of(base);
    struct basin *basin = errand->basin;
    struct window *window = NULL;
    enum status status;
    if (errand->walks) {
        uint32_t namespace_id = atomic_load(&basin->namespaces[errand->database]);
        status = window_new(basin, namespace_id, errand->first, errand->rows, &window);
    } else {
        status = store_resolve(basin);
    }
    pthread_mutex_lock(&basin->waiting_mutex);
    struct txn *txn = errand->txn;
    if (txn != NULL) {
        txn->errand = NULL;
        txn->load_status = status;
        txn->window = window;
        txn->resolved |= !errand->walks;
        txn_fetched(txn);
    }
    pthread_mutex_unlock(&basin->waiting_mutex);
    if (txn == NULL) {
        window_free(window);
    }
    free(errand);
}

static void errand_drop(struct errand *base)
{
    struct txn_errand *errand = errand_of(base);
    CHECK(errand->txn == NULL);
    free(errand);
}

static enum status errand_new(struct txn *txn)
{
    struct txn_errand *errand = malloc(sizeof(*errand));
    if (errand == NULL) {
        return ST_NOMEM;
    }
    *errand = (struct txn_errand){.errand = {.run = errand_run, .drop = errand_drop},
                                  .basin = txn->basin,
                                  .txn = txn,
                                  .walks = txn->window_wanted,
                                  .database = txn->window_database,
                                  .first = txn->window_first,
                                  .rows = txn->window_rows};
    window_free(txn->window);
    txn->window = NULL;
    txn->errand = errand;
    txn->errand_sent = true;
    atomic_fetch_add(&txn->fetching, 1);
    return ST_OK;
}

/* -- Joining, under the shards' locks ---------------------------------------------------------- */

/* Which of the txn's keys has a value with this clast; TXN_NO_KEY: none. */
static uint32_t key_of_clast(struct txn *txn, uint64_t clast)
{
    for (size_t i = 0; i < txn->key_count; i++) {
        struct entry *entry = txn_entry(txn, &txn->keys[i]);
        if (entry == NULL || entry->shape != VALUE_CLAST || entry_absent(entry)) {
            continue;
        }
        struct value value = entry_value(entry);
        if (value_clast(&value) == clast) {
            return (uint32_t)i;
        }
    }
    return TXN_NO_KEY;
}

/* No wait may move once it has joined. */
static enum status waits_reserve(struct txn *txn)
{
    size_t count = LOAD_MISSES_MAX;
    for (size_t i = 0; i < txn->key_count; i++) {
        count += txn->keys[i].missed;
    }
    if (count <= txn->wait_capacity) {
        return ST_OK;
    }
    struct fetch_wait *waits = malloc(count * sizeof(*waits));
    if (waits == NULL) {
        return ST_NOMEM;
    }
    free(txn->waits);
    txn->waits = waits;
    txn->wait_capacity = count;
    return ST_OK;
}

static enum status join(struct txn *txn, uint32_t number, const struct part_name *part_name,
                        struct fetch **fresh)
{
    struct txn_key *key = &txn->keys[number];
    struct fetch_wait *wait = &txn->waits[txn->wait_count];
    *wait = (struct fetch_wait){.txn = txn, .key = number};
    enum status status = fetch_join(wait, txn->basin, &key->place, part_name,
                                    part_name == NULL && !key->value_wanted, fresh);
    txn->wait_count += status == ST_OK;
    return status;
}

static enum status keys_join(struct txn *txn, struct fetch **fresh)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < txn->key_count && status == ST_OK; i++) {
        if (txn->keys[i].missed) {
            txn->keys[i].missed = false;
            status = join(txn, (uint32_t)i, NULL, fresh);
        }
    }
    return status;
}

/* The absent parts that this thread has asked for, of the values of this txn's keys. */
static enum status parts_join(struct txn *txn, struct fetch **fresh)
{
    struct parts_miss misses[LOAD_MISSES_MAX];
    size_t count = parts_take_misses(misses, LOAD_MISSES_MAX);
    uint64_t last_clast = 0;
    uint32_t key = TXN_NO_KEY;
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (misses[i].clast != last_clast) {
            last_clast = misses[i].clast;
            key = key_of_clast(txn, last_clast);
        }
        struct part_name name = {misses[i].clast, misses[i].table, misses[i].number};
        if (key != TXN_NO_KEY) {
            txn_entry(txn, &txn->keys[key])->flags |= ENTRY_PINNED;
            status = join(txn, key, &name, fresh);
        }
    }
    return status;
}

bool txn_misses_join(struct txn *txn, struct fetch **fresh_out)
{
    *fresh_out = NULL;
    CHECK(txn->locked && txn->wait_count == 0 && !txn->errand_sent);
    atomic_store(&txn->fetching, 1); /* Nobody wakes it before all is under way. */
    enum status status = waits_reserve(txn);
    if (status == ST_OK) {
        status = keys_join(txn, fresh_out);
    }
    if (status == ST_OK) {
        status = parts_join(txn, fresh_out);
    }
    if (status == ST_OK && (txn->window_wanted || txn->resolve_wanted)) {
        status = errand_new(txn);
    }
    if (status != ST_OK) {
        txn->load_status = status;
    }
    txn->window_wanted = false;
    txn->resolve_wanted = false;
    bool missed = txn->misses || txn->wait_count > 0 || status != ST_OK;
    txn->misses = false;
    if (missed) {
        txn->waiting = TXN_WAITS_LOAD;
    } else {
        atomic_store(&txn->fetching, 0);
    }
    return missed;
}

void txn_misses_start(struct txn *txn, struct fetch *fresh)
{
    for (size_t i = 0; fresh != NULL; i++) {
        struct fetch *next = fresh->line_next;
        if (txn->reader != NULL) {
            reader_add(txn->reader, fresh, i >= MISSES_FEW);
        } else {
            loader_add(txn->basin->loader, &fresh->errand);
        }
        fresh = next;
    }
    if (txn->errand_sent) {
        loader_add(txn->basin->loader, &txn->errand->errand);
    }
    txn_fetched(txn);
}

enum status txn_bring(struct txn *txn, unsigned number)
{
    CHECK(txn->locked && txn->changed && number < txn->key_count);
    return load_parts_now(txn->basin, &txn->keys[number].place);
}

/* -- Taking, under the shards' locks ----------------------------------------------------------- */

/* The key that the wait was for, if it still lies there. */
static struct txn_key *key_of(struct txn *txn, const struct fetch_wait *wait)
{
    const struct shard_key *place = &wait->fetch->place;
    struct txn_key *key = wait->key < txn->key_count ? &txn->keys[wait->key] : NULL;
    return key != NULL && key->place.hash == place->hash &&
                   key->place.namespace_id == place->namespace_id
               ? key
               : NULL;
}

static void take(struct txn *txn, const struct fetch_wait *wait)
{
    struct fetch *fetch = wait->fetch;
    struct txn_key *key = key_of(txn, wait);
    if (key == NULL && !txn->whole) {
        return; /* Databases have been swapped: its shard may not be ours. */
    }
    enum status status = fetch_install(fetch);
    if (status == ST_WAIT) {
        return;
    }
    if (status != ST_OK && (key == NULL || fetch->of_part)) {
        txn->load_status = status;
    } else if (status != ST_OK) {
        key->failed = status;
    } else if (key != NULL) {
        key->loaded = true;
        key->row_known = fetch->row_only;
        key->row_version = fetch->version;
        key->row = (struct txn_row){fetch->loaded.found, fetch->loaded.wakes, fetch->loaded.type,
                                    fetch->loaded.expiry_ms};
    }
}

enum status txn_misses_take(struct txn *txn)
{
    for (size_t i = 0; i < txn->wait_count; i++) {
        take(txn, &txn->waits[i]);
    }
    txn_misses_leave(txn);
    return txn->load_status;
}

void txn_misses_leave(struct txn *txn)
{
    if (txn->errand_sent) {
        txn->errand_sent = false;
        pthread_mutex_lock(&txn->basin->waiting_mutex);
        if (txn->errand != NULL) { /* It has not ended meanwhile. */
            txn->errand->txn = NULL;
            txn->errand = NULL;
        }
        pthread_mutex_unlock(&txn->basin->waiting_mutex);
    }
    for (size_t i = 0; i < txn->wait_count; i++) {
        fetch_leave(&txn->waits[i]);
    }
    txn->wait_count = 0;
    if (txn->wait_capacity > WAITS_KEEP) {
        free(txn->waits);
        txn->waits = NULL;
        txn->wait_capacity = 0;
    }
}
