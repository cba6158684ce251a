#include "engine/txn/loader.h"

#include "engine/txn/txn_load.h"

#include <stdlib.h>

#define LOADER_THREADS_MAX 64
/* Before an errand, so much time for what must leave memory. */
#define FORGET_US 1000

struct loader {
    struct basin *basin;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct errand *first, *last;
    bool stop;
    unsigned thread_count;
    pthread_t threads[LOADER_THREADS_MAX];
    struct load_room room; /* Of loader_run. */
};

/* Does the first that waits; false: nothing does. Under the mutex, which is let go meanwhile. */
static bool do_first(struct loader *loader, struct load_room *room)
{
    struct basin *basin = loader->basin;
    struct errand *errand = loader->first;
    if (errand == NULL) {
        return false;
    }
    loader->first = errand->next;
    pthread_mutex_unlock(&loader->mutex);
    if (basin_memory_over(basin)) {
        status_ignore(store_forget(basin, &room->pool, io_wall_ms(basin->io), FORGET_US),
                      "what could not leave now is tried with the next errand");
    }
    errand->run(errand, room);
    pthread_mutex_lock(&loader->mutex);
    return true;
}

static void *run(void *arg)
{
    struct loader *loader = arg;
    struct load_room room;
    if (load_room_init(&room, loader->basin) != ST_OK) {
        return NULL;
    }
    pthread_mutex_lock(&loader->mutex);
    while (!loader->stop) {
        if (!do_first(loader, &room)) {
            pthread_cond_wait(&loader->work, &loader->mutex);
        }
    }
    pthread_mutex_unlock(&loader->mutex);
    load_room_deinit(&room);
    return NULL;
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
    enum status status = load_room_init(&loader->room, basin);
    while (status == ST_OK && loader->thread_count < threads) {
        if (pthread_create(&loader->threads[loader->thread_count], NULL, run, loader) != 0) {
            status = ST_NOMEM;
        } else {
            loader->thread_count++;
        }
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
    while (loader->first != NULL) {
        struct errand *errand = loader->first;
        loader->first = errand->next;
        errand->drop(errand);
    }
    load_room_deinit(&loader->room);
    pthread_mutex_destroy(&loader->mutex);
    pthread_cond_destroy(&loader->work);
    free(loader);
}

void loader_add(struct loader *loader, struct errand *errand)
{
    errand->next = NULL;
    pthread_mutex_lock(&loader->mutex);
    if (loader->first == NULL) {
        loader->first = errand;
    } else {
        loader->last->next = errand;
    }
    loader->last = errand;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
}

void loader_run(struct loader *loader)
{
    pthread_mutex_lock(&loader->mutex);
    while (do_first(loader, &loader->room)) {
    }
    pthread_mutex_unlock(&loader->mutex);
}
