#include "engine/txn/fetch.h"

#include "engine/base/check.h"
#include "engine/txn/txn_private.h"

#include <stdlib.h>

struct fetch_bucket *fetch_buckets_new(void)
{
    struct fetch_bucket *buckets = calloc(FETCH_BUCKETS, sizeof(*buckets));
    for (unsigned i = 0; buckets != NULL && i < FETCH_BUCKETS; i++) {
        pthread_mutex_init(&buckets[i].mutex, NULL);
    }
    return buckets;
}

void fetch_buckets_free(struct fetch_bucket *buckets)
{
    for (unsigned i = 0; buckets != NULL && i < FETCH_BUCKETS; i++) {
        CHECK(buckets[i].first == NULL);
        pthread_mutex_destroy(&buckets[i].mutex);
    }
    free(buckets);
}

static struct fetch_bucket *bucket_of(const struct fetch *fetch)
{
    return &fetch->basin->fetches[fetch->place.hash % FETCH_BUCKETS];
}

static void fetch_free(struct fetch *fetch)
{
    if (fetch != NULL) {
        stack_deinit(&fetch->view);
        value_free(&fetch->loaded.value);
        part_unref(fetch->part);
        free(fetch->packed);
        free(fetch);
    }
}

/* -- Joining ----------------------------------------------------------------------------------- */

static bool serves(const struct fetch *fetch, const struct shard_key *place,
                   const struct part_name *part_name, bool row_only, uint32_t version)
{
    if (fetch->place.hash != place->hash || fetch->version != version ||
        fetch->place.namespace_id != place->namespace_id || fetch->of_part != (part_name != NULL) ||
        (fetch->row_only && !row_only) || !bytes_equal(fetch->place.name, place->name)) {
        return false;
    }
    return part_name == NULL || (fetch->part_name.clast == part_name->clast &&
                                 fetch->part_name.table == part_name->table &&
                                 fetch->part_name.number == part_name->number);
}

static void errand_run(struct errand *errand, struct load_room *room)
{
    struct fetch *fetch = (struct fetch *)errand;
    lookup_run(&fetch->lookup, &room->read);
    fetch_finish(fetch);
}

static void errand_drop(struct errand *errand)
{
    fetch_give_up((struct fetch *)errand);
}

static enum status fetch_new(struct basin *basin, const struct shard_key *place,
                             const struct part_name *part_name, bool row_only,
                             struct fetch **fetch_out)
{
    struct fetch *fetch = malloc(sizeof(*fetch) + place->name.size);
    if (fetch == NULL) {
        return ST_NOMEM;
    }
    *fetch = (struct fetch){.errand = {.run = errand_run, .drop = errand_drop},
                            .basin = basin,
                            .place = *place,
                            .row_only = row_only};
    enum status status = stack_copy(&basin->stacks[hash_partition(place->hash)], &fetch->view);
    if (status != ST_OK) {
        free(fetch);
        return status;
    }
    fetch->version = fetch->view.version;
    fetch->place.name = bytes_of(fetch->name, place->name.size);
    if (place->name.size > 0) {
        memcpy(fetch->name, place->name.data, place->name.size);
    }
    struct row wanted;
    if (part_name != NULL) {
        fetch->of_part = true;
        fetch->part_name = *part_name;
        wanted = strata_wanted_part(*part_name);
    } else {
        wanted = strata_wanted_key(&basin->strata, place->hash, place->namespace_id,
                                   fetch->place.name, fetch->key_hash);
    }
    lookup_begin(&fetch->lookup, &basin->strata, &fetch->view, &wanted, row_only);
    *fetch_out = fetch;
    return ST_OK;
}

enum status fetch_join(struct fetch_wait *wait, struct basin *basin, const struct shard_key *place,
                       const struct part_name *part_name, bool row_only, struct fetch **fresh)
{
    uint32_t version = basin->stacks[hash_partition(place->hash)].version;
    struct fetch_bucket *bucket = &basin->fetches[place->hash % FETCH_BUCKETS];
    enum status status = ST_OK;
    pthread_mutex_lock(&bucket->mutex);
    struct fetch *fetch = bucket->first;
    while (fetch != NULL && !serves(fetch, place, part_name, row_only, version)) {
        fetch = fetch->bucket_next;
    }
    if (fetch == NULL) {
        status = fetch_new(basin, place, part_name, row_only, &fetch);
        if (status == ST_OK) {
            fetch->references = 1; /* Of whoever runs it. */
            fetch->bucket_next = bucket->first;
            bucket->first = fetch;
            fetch->line_next = *fresh;
            *fresh = fetch;
        }
    } else {
        atomic_fetch_add_explicit(&basin->loads_shared, 1, memory_order_relaxed);
    }
    if (status == ST_OK) {
        wait->fetch = fetch;
        wait->next = fetch->waits;
        fetch->waits = wait;
        fetch->references++;
        atomic_fetch_add(&wait->txn->fetching, 1);
    }
    pthread_mutex_unlock(&bucket->mutex);
    return status;
}

void fetch_leave(struct fetch_wait *wait)
{
    struct fetch *fetch = wait->fetch;
    struct fetch_bucket *bucket = bucket_of(fetch);
    pthread_mutex_lock(&bucket->mutex);
    for (struct fetch_wait **link = &fetch->waits; *link != NULL; link = &(*link)->next) {
        if (*link == wait) { /* It is not done. */
            *link = wait->next;
            atomic_fetch_sub(&wait->txn->fetching, 1);
            break;
        }
    }
    bool last = --fetch->references == 0;
    pthread_mutex_unlock(&bucket->mutex);
    wait->fetch = NULL;
    if (last) {
        fetch_free(fetch);
    }
}

/* -- Finishing --------------------------------------------------------------------------------- */

/* What was read lies in a buffer that another look-up needs. */
static enum status keep_packed(struct fetch *fetch)
{
    struct value *value = &fetch->loaded.value;
    if (value->type == VALUE_NONE || value->shape != VALUE_PACKED || value->packed.size == 0) {
        return ST_OK;
    }
    fetch->packed = malloc(value->packed.size);
    if (fetch->packed == NULL) {
        *value = (struct value){.type = VALUE_NONE};
        return ST_NOMEM;
    }
    memcpy(fetch->packed, value->packed.data, value->packed.size);
    value->packed = bytes_of(fetch->packed, value->packed.size);
    return ST_OK;
}

static void end_with(struct fetch *fetch, enum status status)
{
    struct fetch_bucket *bucket = bucket_of(fetch);
    lookup_end(&fetch->lookup);
    stack_deinit(&fetch->view);
    fetch->status = status;
    pthread_mutex_lock(&bucket->mutex);
    for (struct fetch **link = &bucket->first; *link != NULL; link = &(*link)->bucket_next) {
        if (*link == fetch) {
            *link = fetch->bucket_next;
            break;
        }
    }
    fetch->done = true;
    struct fetch_wait *next;
    for (struct fetch_wait *wait = fetch->waits; wait != NULL; wait = next) {
        next = wait->next;
        txn_fetched(wait->txn);
    }
    fetch->waits = NULL;
    bool last = --fetch->references == 0;
    pthread_mutex_unlock(&bucket->mutex);
    if (last) {
        fetch_free(fetch);
    }
}

void fetch_finish(struct fetch *fetch)
{
    CHECK(!lookup_wants(&fetch->lookup));
    enum status status;
    if (fetch->of_part) {
        status = load_part_found(&fetch->lookup, fetch->part_name, &fetch->part);
    } else {
        status = load_key_found(fetch->basin, &fetch->lookup, fetch->place.namespace_id,
                                fetch->place.name, &fetch->loaded);
        status = status == ST_OK ? keep_packed(fetch) : status;
    }
    load_tally(fetch->basin, fetch->of_part, status == ST_ABSENT ? ST_OK : status);
    end_with(fetch, status);
}

void fetch_give_up(struct fetch *fetch)
{
    end_with(fetch, ST_ABSENT);
}

/* -- Taking ------------------------------------------------------------------------------------ */

enum status fetch_install(struct fetch *fetch)
{
    struct basin *basin = fetch->basin;
    const struct shard_key *place = &fetch->place;
    CHECK(fetch->done);
    if (fetch->status == ST_ABSENT ||
        basin->stacks[hash_partition(place->hash)].version != fetch->version) {
        return ST_WAIT;
    }
    if (fetch->of_part) {
        struct value value;
        if (!load_owner(basin, place, fetch->part_name.clast, &value)) {
            return ST_OK; /* Nobody asks any more. */
        }
        struct part *part = fetch->part;
        fetch->part = NULL;
        if (fetch->status != ST_OK || part == NULL) {
            return fetch->status;
        }
        return load_install_part(basin, place, fetch->part_name, part);
    }
    if (fetch->status != ST_OK || load_known(basin, place)) {
        return fetch->status;
    }
    if (fetch->loaded.found && (fetch->row_only || fetch->loaded.value.type == VALUE_NONE)) {
        return ST_OK; /* A row is no value; or it was installed, and has left memory again. */
    }
    return load_install(basin, place, &fetch->loaded);
}
