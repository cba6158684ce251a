#include "src/net/input.h"

#include "engine/base/check.h"

#include <stdlib.h>

static char *pool_take(struct input_pool *pool)
{
    if (pool->count > 0) {
        return pool->spares[--pool->count];
    }
    return malloc(INPUT_SIZE);
}

void input_pool_deinit(struct input_pool *pool)
{
    while (pool->count > 0) {
        free(pool->spares[--pool->count]);
    }
}

void input_clear(struct input *input, struct input_pool *pool)
{
    if (input->data != NULL) {
        if (input->capacity == INPUT_SIZE && pool->count < INPUT_SPARES) {
            pool->spares[pool->count++] = input->data;
        } else {
            free(input->data);
        }
    }
    *input = (struct input){0};
}

/* A buffer of the usual size, with what is pending at its front. */
static enum status input_lend(struct input *input, struct input_pool *pool)
{
    char *data = pool_take(pool);
    if (data == NULL) {
        return ST_NOMEM;
    }
    size_t pending = input_pending(input);
    if (pending > 0) {
        memcpy(data, input->data + input->start, pending);
    }
    input_clear(input, pool);
    *input = (struct input){data, 0, pending, INPUT_SIZE};
    return ST_OK;
}

enum status input_room(struct input *input, struct input_pool *pool, size_t needed)
{
    size_t pending = input_pending(input);
    if (pending < INPUT_KEEP_MAX && input->capacity < INPUT_SIZE) {
        return input_lend(input, pool);
    }
    if (input->start > 0) {
        memmove(input->data, input->data + input->start, pending);
        input->start = 0;
        input->size = pending;
    }
    /* While half of it is empty there is room enough; a full half justifies the double. */
    if (input->capacity >= needed ? pending < input->capacity : pending < input->capacity / 2) {
        return ST_OK;
    }
    size_t capacity = 2 * input->capacity;
    if (capacity > needed && needed > pending) {
        capacity = needed;
    }
    char *data = realloc(input->data, capacity);
    if (data == NULL) {
        return ST_NOMEM;
    }
    input->data = data;
    input->capacity = capacity;
    return ST_OK;
}

void input_settle(struct input *input, struct input_pool *pool)
{
    size_t pending = input_pending(input);
    CHECK(input->start <= input->size && input->size <= input->capacity);
    if (pending == 0) {
        input_clear(input, pool);
        return;
    }
    if (input->capacity <= 4 * pending ||
        (pending >= INPUT_KEEP_MAX && input->capacity == INPUT_SIZE)) {
        return;
    }
    char *data = malloc(pending);
    if (data == NULL) {
        return; /* It stays where it is. */
    }
    memcpy(data, input->data + input->start, pending);
    input_clear(input, pool);
    *input = (struct input){data, 0, pending, pending};
}
