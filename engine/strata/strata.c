#include "engine/strata/strata.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <stdatomic.h>
#include <stdlib.h>

/* -- The table --------------------------------------------------------------------------------- */

void strata_init(struct strata *strata, uint64_t long_key_seed)
{
    *strata = (struct strata){.long_key_seed = long_key_seed};
    pthread_mutex_init(&strata->mutex, NULL);
}

void strata_deinit(struct strata *strata)
{
    for (size_t i = 0; i < strata->count; i++) {
        stratum_unref(strata->table[i]);
    }
    free(strata->table);
    pthread_mutex_destroy(&strata->mutex);
}

/* Where the id is, or belongs. */
static size_t index_of(const struct strata *strata, uint32_t id)
{
    size_t low = 0;
    size_t high = strata->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stratum_facts(strata->table[middle])->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has(const struct strata *strata, size_t index, uint32_t id)
{
    return index < strata->count && stratum_facts(strata->table[index])->id == id;
}

enum status strata_add(struct strata *strata, struct stratum *stratum)
{
    enum status status = ST_OK;
    pthread_mutex_lock(&strata->mutex);
    if (strata->count == strata->capacity) {
        size_t capacity = strata->capacity == 0 ? 64 : strata->capacity * 2;
        struct stratum **table = realloc(strata->table, capacity * sizeof(struct stratum *));
        if (table != NULL) {
            strata->table = table;
            strata->capacity = capacity;
        } else {
            status = ST_NOMEM;
        }
    }
    if (status == ST_OK) {
        size_t index = index_of(strata, stratum_facts(stratum)->id);
        CHECK(!has(strata, index, stratum_facts(stratum)->id));
        memmove(strata->table + index + 1, strata->table + index,
                (strata->count - index) * sizeof(struct stratum *));
        strata->table[index] = stratum;
        strata->count++;
        atomic_fetch_add(&strata->memory, stratum_facts(stratum)->memory);
    }
    pthread_mutex_unlock(&strata->mutex);
    return status;
}

void strata_remove(struct strata *strata, uint32_t id, bool doom)
{
    struct stratum *stratum = NULL;
    pthread_mutex_lock(&strata->mutex);
    size_t index = index_of(strata, id);
    if (has(strata, index, id)) {
        stratum = strata->table[index];
        strata->count--;
        atomic_fetch_sub(&strata->memory, stratum_facts(stratum)->memory);
        memmove(strata->table + index, strata->table + index + 1,
                (strata->count - index) * sizeof(struct stratum *));
    }
    pthread_mutex_unlock(&strata->mutex);
    if (stratum != NULL && doom) {
        stratum_doom(stratum);
    }
    stratum_unref(stratum);
}

void strata_bare(struct strata *strata, struct io *io, const char *dir, uint32_t store, uint32_t id)
{
    struct stratum *bare = NULL;
    struct stratum *old = NULL;
    if (stratum_open(io, dir, store, id, false, &bare) != ST_OK) {
        return;
    }
    pthread_mutex_lock(&strata->mutex);
    size_t index = index_of(strata, id);
    if (has(strata, index, id)) {
        old = strata->table[index];
        atomic_fetch_sub(&strata->memory, stratum_facts(old)->memory);
        strata->table[index] = bare;
        stratum_succeed(old, bare);
        bare = NULL;
    }
    pthread_mutex_unlock(&strata->mutex);
    stratum_unref(bare);
    if (old != NULL) {
        stratum_doom_run(old);
        stratum_unref(old);
    }
}

struct stratum *strata_get(struct strata *strata, uint32_t id)
{
    struct stratum *stratum = NULL;
    pthread_mutex_lock(&strata->mutex);
    size_t index = index_of(strata, id);
    if (has(strata, index, id)) {
        stratum = strata->table[index];
        stratum_ref(stratum);
    }
    pthread_mutex_unlock(&strata->mutex);
    return stratum;
}

/* -- Stacks ------------------------------------------------------------------------------------ */

void stack_init(struct stack *stack)
{
    *stack = (struct stack){.runs = NULL};
}

static void runs_drop(struct stratum **runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        stratum_unref(runs[i]);
    }
    free(runs);
}

void stack_deinit(struct stack *stack)
{
    runs_drop(stack->runs, stack->count);
    stack_init(stack);
}

enum status stack_set(struct stack *stack, struct stratum *const *runs, uint32_t count)
{
    struct stratum **fresh = NULL;
    if (count > 0) {
        fresh = malloc(count * sizeof(struct stratum *));
        if (fresh == NULL) {
            return ST_NOMEM;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        fresh[i] = runs[i];
        stratum_ref(runs[i]);
    }
    runs_drop(stack->runs, stack->count);
    stack->runs = fresh;
    stack->count = count;
    stack->version++;
    return ST_OK;
}

enum status stack_push(struct stack *stack, struct stratum *run)
{
    struct stratum **runs = realloc(stack->runs, (stack->count + 1) * sizeof(struct stratum *));
    if (runs == NULL) {
        return ST_NOMEM;
    }
    memmove(runs + 1, runs, stack->count * sizeof(struct stratum *));
    runs[0] = run;
    stratum_ref(run);
    stack->runs = runs;
    stack->count++;
    stack->version++;
    return ST_OK;
}

enum status stack_copy(const struct stack *stack, struct stack *copy_out)
{
    stack_init(copy_out);
    enum status status = stack_set(copy_out, stack->runs, stack->count);
    copy_out->version = stack->version;
    return status;
}

bool stack_may_have(const struct stack *stack, uint64_t place)
{
    uint32_t page;
    for (uint32_t i = 0; i < stack->count; i++) {
        if (stratum_page_of(stack->runs[i], place, &page)) {
            return true;
        }
    }
    return false;
}

/* -- Rows and grains --------------------------------------------------------------------------- */

struct row strata_wanted_key(const struct strata *strata, uint64_t hash, uint32_t namespace_id,
                             struct bytes key, unsigned char room[ROW_KEY_HASH_SIZE])
{
    struct row wanted = {
        .place = place_of_key(hash), .kind = ROW_KEY, .namespace_id = namespace_id};
    wanted.key = row_key(key, strata->long_key_seed, room, &wanted.flags);
    return wanted;
}

struct row strata_wanted_part(struct part_name name)
{
    return (struct row){.place = place_of_part(name), .kind = ROW_PART, .part = name};
}

enum status strata_grain_parse(struct location at, struct bytes data, struct grain *grain_out)
{
    enum status status = grain_parse(data, grain_out);
    if (status != ST_OK) {
        log_line(LOG_WARNING, "stratum %08x: the grain at offset %llu is damaged", at.stratum,
                 (unsigned long long)at.unit * GRAIN_ALIGNMENT);
    }
    return status;
}

enum status strata_read(struct strata *strata, struct location at, struct buf *room,
                        struct grain *grain_out)
{
    struct stratum *stratum = strata_get(strata, at.stratum);
    if (stratum == NULL) {
        return ST_ABSENT;
    }
    room->size = 0;
    unsigned char *data = buf_extend(room, at.size);
    uint64_t offset = (uint64_t)at.unit * GRAIN_ALIGNMENT;
    enum status status = data == NULL ? ST_NOMEM : stratum_read(stratum, offset, data, at.size);
    if (status == ST_OK) {
        status = strata_grain_parse(at, bytes_of(data, at.size), grain_out);
    }
    stratum_unref(stratum);
    return status;
}
