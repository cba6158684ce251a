/* loader: simulated misses, for tests.
 *
 * With simulate_misses a txn's end makes half of the keys that it used "cold". A read of a cold key
 * answers ST_WAIT, as a read of a key that has left memory will; the txn unlocks, comes here, and a
 * moment later its keys are warm again and pinned to it. So every handler is shown to stand being
 * stopped at a read and run again from its start, long before anything really leaves memory.
 */
#include "engine/txn/txn_private.h"

#include <stdlib.h>
#include <time.h>

struct loader {
    struct basin *basin;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work, served;
    struct txn *first, *last; /* Waiting, by waiting_next. */
    struct txn *current;      /* Being served. */
    bool stop;
    _Atomic uint64_t chance;
};

static uint64_t chance_next(struct loader *loader)
{
    uint64_t z = atomic_fetch_add(&loader->chance, 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    return z ^ (z >> 31);
}

bool loader_coin(struct loader *loader)
{
    return (chance_next(loader) >> 63) != 0;
}

static void serve(struct loader *loader, struct txn *txn)
{
    struct timespec delay = {0, (long)(chance_next(loader) % 100000)};
    nanosleep(&delay, NULL);
    for (size_t i = 0; i < txn->key_count; i++) {
        struct txn_key *key = &txn->keys[i];
        if (!key->missed) {
            continue;
        }
        shard_lock_blocking(key->shard);
        struct entry *entry = memtable_find(key->place.table, key->place.hash,
                                            key->place.namespace_id, key->place.name);
        if (entry != NULL) {
            entry->flags &= (uint8_t)~ENTRY_COLD;
        }
        shard_unlock(key->shard);
        key->missed = false;
        key->pinned = true;
        atomic_fetch_add(&loader->basin->simulated_misses, 1);
    }
}

static void *run(void *arg)
{
    struct loader *loader = arg;
    pthread_mutex_lock(&loader->mutex);
    for (;;) {
        while (loader->first == NULL && !loader->stop) {
            pthread_cond_wait(&loader->work, &loader->mutex);
        }
        if (loader->first == NULL) {
            break;
        }
        struct txn *txn = loader->first;
        loader->first = txn->waiting_next;
        loader->current = txn;
        pthread_mutex_unlock(&loader->mutex);
        serve(loader, txn);
        pthread_mutex_lock(&loader->mutex);
        loader->current = NULL;
        txn->wake(txn->ctx);
        pthread_cond_broadcast(&loader->served);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

enum status loader_new(struct basin *basin, uint64_t seed, struct loader **loader_out)
{
    struct loader *loader = calloc(1, sizeof(*loader));
    if (loader == NULL) {
        return ST_NOMEM;
    }
    loader->basin = basin;
    loader->chance = seed;
    pthread_mutex_init(&loader->mutex, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->served, NULL);
    if (pthread_create(&loader->thread, NULL, run, loader) != 0) {
        free(loader);
        return ST_NOMEM;
    }
    *loader_out = loader;
    return ST_OK;
}

void loader_free(struct loader *loader)
{
    if (loader == NULL) {
        return;
    }
    pthread_mutex_lock(&loader->mutex);
    loader->stop = true;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    pthread_join(loader->thread, NULL);
    pthread_mutex_destroy(&loader->mutex);
    pthread_cond_destroy(&loader->work);
    pthread_cond_destroy(&loader->served);
    free(loader);
}

void loader_submit(struct loader *loader, struct txn *txn)
{
    pthread_mutex_lock(&loader->mutex);
    txn->waiting_next = NULL;
    if (loader->first == NULL) {
        loader->first = txn;
    } else {
        loader->last->waiting_next = txn;
    }
    loader->last = txn;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
}

void loader_cancel(struct loader *loader, struct txn *txn)
{
    pthread_mutex_lock(&loader->mutex);
    struct txn *before = NULL;
    for (struct txn *t = loader->first; t != NULL; before = t, t = t->waiting_next) {
        if (t == txn) {
            if (before == NULL) {
                loader->first = t->waiting_next;
            } else {
                before->waiting_next = t->waiting_next;
            }
            if (loader->last == t) {
                loader->last = before;
            }
            break;
        }
    }
    while (loader->current == txn) {
        pthread_cond_wait(&loader->served, &loader->mutex);
    }
    pthread_mutex_unlock(&loader->mutex);
}
