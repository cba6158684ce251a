/* loader: the threads that bring what txns missed into memory.
 *
 * A txn that met misses has unlocked and queues here; a thread loads its keys one after the other,
 * waiting for the device, and wakes it. Without threads (a simulated disk) the queue is served by
 * basin_reap.
 */
#include "engine/txn/txn_private.h"

#include <stdlib.h>

#define LOADER_THREADS_MAX 64
/* Before a load, so much time for what must leave memory. */
#define FORGET_US 1000

struct loader {
    struct basin *basin;
    pthread_mutex_t mutex;
    pthread_cond_t work, served;
    struct txn *first, *last; /* Waiting, by waiting_next. */
    bool stop;
    unsigned thread_count;
    pthread_t threads[LOADER_THREADS_MAX];
    struct txn *serving[LOADER_THREADS_MAX + 1]; /* By thread; the last is loader_run's. */
    struct load_room room;                       /* Of loader_run. */
};

static void serve(struct loader *loader, struct txn *txn, struct load_room *room)
{
    if (basin_memory_over(loader->basin)) {
        status_ignore(store_forget(loader->basin, &room->pool, txn->now_ms, FORGET_US),
                      "what could not leave now is tried with the next load");
    }
    for (size_t i = 0; i < txn->key_count; i++) {
        struct txn_key *key = &txn->keys[i];
        if (key->missed) {
            key->missed = false;
            key->loaded = true;
            key->failed = load_key(loader->basin, &key->place, room);
        }
    }
    for (size_t i = 0; i < txn->part_count && txn->load_status == ST_OK; i++) {
        const struct part_miss *miss = &txn->parts[i];
        txn->keys[miss->key].loaded = true;
        txn->load_status = load_part(loader->basin, &txn->keys[miss->key].place, miss->name, room);
    }
    txn->part_count = 0;
    if (txn->window_wanted) {
        txn->window_wanted = false;
        window_free(txn->window);
        txn->window = NULL;
        uint32_t namespace_id = atomic_load(&loader->basin->namespaces[txn->window_database]);
        txn->load_status = window_new(loader->basin, namespace_id, txn->window_first,
                                      txn->window_rows, &txn->window);
    }
    if (txn->resolve_wanted) {
        txn->resolve_wanted = false;
        txn->resolved = true;
        txn->load_status = store_resolve(loader->basin);
    }
}

/* Serves the first that waits as `slot`; false: nobody does. Under the mutex, which is let go
 * meanwhile. */
static bool serve_first(struct loader *loader, unsigned slot, struct load_room *room)
{
    struct txn *txn = loader->first;
    if (txn == NULL) {
        return false;
    }
    loader->first = txn->waiting_next;
    loader->serving[slot] = txn;
    pthread_mutex_unlock(&loader->mutex);
    serve(loader, txn, room);
    pthread_mutex_lock(&loader->mutex);
    loader->serving[slot] = NULL;
    txn->wake(txn->ctx);
    pthread_cond_broadcast(&loader->served);
    return true;
}

struct worker_arg {
    struct loader *loader;
    unsigned slot;
};

static void *run(void *arg)
{
    struct worker_arg worker = *(struct worker_arg *)arg;
    struct loader *loader = worker.loader;
    struct load_room room;
    free(arg);
    if (load_room_init(&room, loader->basin) != ST_OK) {
        return NULL;
    }
    pthread_mutex_lock(&loader->mutex);
    while (!loader->stop) {
        if (!serve_first(loader, worker.slot, &room)) {
            pthread_cond_wait(&loader->work, &loader->mutex);
        }
    }
    pthread_mutex_unlock(&loader->mutex);
    load_room_deinit(&room);
    return NULL;
}

static enum status thread_start(struct loader *loader)
{
    struct worker_arg *arg = malloc(sizeof(*arg));
    if (arg == NULL) {
        return ST_NOMEM;
    }
    *arg = (struct worker_arg){loader, loader->thread_count};
    if (pthread_create(&loader->threads[loader->thread_count], NULL, run, arg) != 0) {
        free(arg);
        return ST_NOMEM;
    }
    loader->thread_count++;
    return ST_OK;
}

enum status loader_new(struct basin *basin, unsigned threads, struct loader **loader_out)
{
    struct loader *loader = calloc(1, sizeof(*loader));
    if (loader == NULL) {
        return ST_NOMEM;
    }
    loader->basin = basin;
    pthread_mutex_init(&loader->mutex, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->served, NULL);
    enum status status = load_room_init(&loader->room, basin);
    while (status == ST_OK && loader->thread_count < threads) {
        status = thread_start(loader);
    }
    if (status != ST_OK) {
        loader_free(loader);
        return status;
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
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    for (unsigned i = 0; i < loader->thread_count; i++) {
        pthread_join(loader->threads[i], NULL);
    }
    load_room_deinit(&loader->room);
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

static bool is_served(const struct loader *loader, const struct txn *txn)
{
    for (unsigned i = 0; i <= LOADER_THREADS_MAX; i++) {
        if (loader->serving[i] == txn) {
            return true;
        }
    }
    return false;
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
    while (is_served(loader, txn)) {
        pthread_cond_wait(&loader->served, &loader->mutex);
    }
    pthread_mutex_unlock(&loader->mutex);
}

void loader_run(struct loader *loader)
{
    pthread_mutex_lock(&loader->mutex);
    while (serve_first(loader, LOADER_THREADS_MAX, &loader->room)) {
    }
    pthread_mutex_unlock(&loader->mutex);
}
