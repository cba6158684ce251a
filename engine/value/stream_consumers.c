/* The consumers of a group, by name and by number, and what a group goes back to where a change
 * finds that a part is absent. */
#include "engine/value/stream_private.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* -- Sorted arrays of names -------------------------------------------------------------------- */

/* Room for one more in the array. ST_NOMEM: it is as it was. */
enum status stream_array_grow(void ***array, size_t count, size_t *capacity)
{
    if (count < *capacity) {
        return ST_OK;
    }
    size_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void **larger = part_alloc(wanted * sizeof(void *));
    if (larger == NULL) {
        return ST_NOMEM;
    }
    if (count > 0) {
        memcpy(larger, *array, count * sizeof(void *));
    }
    free(*array);
    *array = larger;
    *capacity = wanted;
    return ST_OK;
}

void stream_array_insert(void **array, size_t count, size_t index, void *item)
{
    memmove(array + index + 1, array + index, (count - index) * sizeof(void *));
    array[index] = item;
}

void stream_array_remove(void **array, size_t count, size_t index)
{
    memmove(array + index, array + index + 1, (count - index - 1) * sizeof(void *));
}

uint64_t stream_array_memory(size_t capacity)
{
    return capacity == 0 ? 0 : part_heap_size(capacity * sizeof(void *));
}

/* -- Consumers --------------------------------------------------------------------------------- */

struct stream_consumer *consumer_find(const struct stream_group *group, struct bytes name,
                                      size_t *index_out)
{
    size_t low = 0;
    size_t high = group->consumer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct stream_consumer *consumer = group->consumers[middle];
        int order = bytes_compare(bytes_of(consumer->name, consumer->name_size), name);
        if (order == 0) {
            *index_out = middle;
            return consumer;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *index_out = low;
    return NULL;
}

static uint64_t consumer_encoded_max(const struct stream_consumer *consumer)
{
    return VARINT_MAX + consumer->name_size + 16;
}

static uint64_t consumer_memory(const struct stream_consumer *consumer)
{
    return part_heap_size(sizeof(*consumer) + consumer->name_size);
}

/* How many consumers have a lower number. */
static size_t numbered_below(const struct stream_group *group, uint32_t number)
{
    size_t low = 0;
    size_t high = group->consumer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->numbered[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* NULL: nobody has the number. */
struct stream_consumer *consumer_numbered(const struct stream_group *group, uint32_t number)
{
    size_t index = numbered_below(group, number);
    bool there = index < group->consumer_count && group->numbered[index]->number == number;
    return there ? group->numbered[index] : NULL;
}

/* The lowest number that nobody has. */
static size_t number_free(const struct stream_group *group)
{
    size_t low = 0;
    size_t high = group->consumer_count;
    while (low < high) { /* All numbers before `low` are given, from `high` on there was a gap. */
        size_t middle = low + (high - low) / 2;
        if (group->numbered[middle]->number == middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* With this number, which is free; both arrays have room. */
static enum status consumer_insert(struct stream_group *group, struct bytes name, uint32_t number,
                                   struct stream_consumer **consumer_out)
{
    size_t index;
    struct stream_consumer *consumer = part_alloc(sizeof(*consumer) + name.size);
    if (consumer == NULL) {
        return ST_NOMEM;
    }
    *consumer = (struct stream_consumer){.number = number, .active_ms = -1, .name_size = name.size};
    if (name.size > 0) {
        memcpy(consumer->name, name.data, name.size);
    }
    struct stream_consumer *there = consumer_find(group, name, &index);
    CHECK(there == NULL);
    size_t at = numbered_below(group, number);
    stream_array_insert((void **)group->consumers, group->consumer_count, index, consumer);
    stream_array_insert((void **)group->numbered, group->consumer_count++, at, consumer);
    group->consumer_memory += consumer_memory(consumer);
    group->consumer_encoded += consumer_encoded_max(consumer);
    *consumer_out = consumer;
    return ST_OK;
}

enum status consumer_create(struct stream_group *group, struct bytes name, int64_t seen_ms,
                            struct stream_consumer **consumer_out)
{
    size_t number = number_free(group);
    if (number >= STREAM_CONSUMERS_MAX) {
        return ST_LIMIT;
    }
    enum status status = consumer_place(group, name, (uint32_t)number, consumer_out);
    if (status == ST_OK) {
        (*consumer_out)->seen_ms = seen_ms;
    }
    return status;
}

enum status consumer_place(struct stream_group *group, struct bytes name, uint32_t number,
                           struct stream_consumer **consumer_out)
{
    if (consumer_numbered(group, number) != NULL) {
        return ST_CORRUPT;
    }
    enum status status = stream_array_grow((void ***)&group->consumers, group->consumer_count,
                                           &group->consumer_capacity);
    if (status == ST_OK) {
        status = stream_array_grow((void ***)&group->numbered, group->consumer_count,
                                   &group->numbered_capacity);
    }
    return status == ST_OK ? consumer_insert(group, name, number, consumer_out) : status;
}

enum status consumer_copy(struct stream_group *copy, const struct stream_consumer *consumer)
{
    struct stream_consumer *other;
    enum status status = consumer_insert(copy, bytes_of(consumer->name, consumer->name_size),
                                         consumer->number, &other);
    if (status == ST_OK) {
        other->seen_ms = consumer->seen_ms;
        other->active_ms = consumer->active_ms;
        other->pending = consumer->pending;
    }
    return status;
}

/* -- Going back -------------------------------------------------------------------------------- */

enum status group_keep(const struct stream_group *group, struct group_fallback *fallback)
{
    *fallback = (struct group_fallback){.kept = false};
    if (group->pending.parts.absent + group->owned.parts.absent == 0) {
        return ST_OK;
    }
    size_t count = group->consumer_count;
    struct stream_consumer *consumers = part_alloc((count + 1) * sizeof(*consumers));
    enum status status =
        consumers == NULL ? ST_NOMEM : clast_snapshot(&group->pending, &fallback->pending);
    if (status == ST_OK) {
        status = clast_snapshot(&group->owned, &fallback->owned);
        if (status != ST_OK) {
            clast_deinit(&fallback->pending);
        }
    }
    if (status != ST_OK) {
        free(consumers);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        consumers[i] = *group->consumers[i];
    }
    fallback->kept = true;
    fallback->last = group->last;
    fallback->entries_read = group->entries_read;
    fallback->consumer_count = count;
    fallback->consumers = consumers;
    return ST_OK;
}

void consumer_drop(struct stream_group *group, size_t index)
{
    struct stream_consumer *consumer = group->consumers[index];
    size_t at = numbered_below(group, consumer->number);
    stream_array_remove((void **)group->consumers, group->consumer_count, index);
    stream_array_remove((void **)group->numbered, group->consumer_count--, at);
    group->consumer_memory -= consumer_memory(consumer);
    group->consumer_encoded -= consumer_encoded_max(consumer);
    free(consumer);
}

static void group_return(struct stream_group *group, struct group_fallback *fallback)
{
    clast_restore(&group->pending, &fallback->pending);
    clast_restore(&group->owned, &fallback->owned);
    group->last = fallback->last;
    group->entries_read = fallback->entries_read;
    for (size_t i = 0; i < fallback->consumer_count; i++) {
        const struct stream_consumer *before = &fallback->consumers[i];
        if (group->consumers[i]->number != before->number) {
            consumer_drop(group, i); /* The one that is new. */
        }
        group->consumers[i]->seen_ms = before->seen_ms;
        group->consumers[i]->active_ms = before->active_ms;
        group->consumers[i]->pending = before->pending;
    }
    if (group->consumer_count > fallback->consumer_count) {
        consumer_drop(group, group->consumer_count - 1);
    }
    CHECK(group->consumer_count == fallback->consumer_count);
}

void group_keep_end(struct stream_group *group, struct group_fallback *fallback, bool back)
{
    if (!fallback->kept) {
        return;
    }
    if (back) {
        group_return(group, fallback);
    } else {
        clast_deinit(&fallback->pending);
        clast_deinit(&fallback->owned);
    }
    free(fallback->consumers);
}
