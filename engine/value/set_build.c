/* Whole results.
 *
 * Members of a large result come from trees, leaf after leaf, so they are nearly in the order of
 * their hashes already; within a leaf they are not. A batch of a few leaves is sorted and put in:
 * each member then goes to the right end of the tree or close to it, into memory that is at hand.
 */
#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/set_private.h"

#include <stdlib.h>

void set_builder_begin(struct set_builder *builder, enum set_encoding encoding,
                       const struct value_limits *limits, struct buf *scratch)
{
    struct value empty = set_empty();
    *builder = (struct set_builder){.encoding = encoding, .batch = BUF_EMPTY};
    set_work_open(&builder->work, &empty, limits, scratch);
}

static int row_order(const void *a, const void *b)
{
    uint64_t x = ((const struct set_batch_row *)a)->hash;
    uint64_t y = ((const struct set_batch_row *)b)->hash;
    return (x > y) - (x < y);
}

static enum status flush(struct set_builder *builder)
{
    struct set_batch_row *rows = (struct set_batch_row *)(void *)builder->batch.data;
    size_t count = builder->batch.size / sizeof(*rows);
    uint64_t seed = builder->work.limits->hash_seed;
    enum status status = ST_OK;
    if (count > 0) {
        qsort(rows, count, sizeof(*rows), row_order);
    }
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        bool added;
        struct set_probe probe = {
            .member = rows[i].member, .hashed = true, .seed = seed, .hash = rows[i].hash};
        status = set_work_add(&builder->work, &probe, &added);
    }
    builder->batch.size = 0;
    return status;
}

static enum status add(struct set_builder *builder, struct bytes member, bool lasting)
{
    struct set_work *work = &builder->work;
    if (!builder->begun) {
        enum status status = set_work_begin(work, builder->encoding);
        if (status != ST_OK) {
            return status;
        }
        builder->begun = true;
    }
    if (!lasting || set_encoding(&work->value) != SET_HASHTABLE) {
        bool added;
        struct set_probe probe = set_probe_of(member);
        return set_work_add(work, &probe, &added);
    }
    struct set_batch_row row = {hash_element(member, work->limits->hash_seed), member};
    enum status status = buf_append(&builder->batch, bytes_of(&row, sizeof(row)));
    return status == ST_OK && builder->batch.size == SET_BATCH_MAX * sizeof(row) ? flush(builder)
                                                                                 : status;
}

enum status set_builder_add(struct set_builder *builder, struct value_piece member)
{
    return add(builder, member.data, member.part != NULL);
}

enum status set_builder_add_lasting(struct set_builder *builder, struct bytes member)
{
    return add(builder, member, true);
}

/* ------------------------------------------------------------------------------------------
 * The end.
 */

static void drop(struct set_work *work)
{
    struct set *set = set_root(&work->value);
    if (set != NULL) {
        set_drop(set);
    }
    work->value = set_empty();
}

static enum status add_integer(void *ctx, struct value_piece piece)
{
    bool added;
    struct set_probe probe = set_probe_of(piece.data);
    /* Anything else ends the walk. */
    return set_probe_integer(&probe) ? set_work_add(ctx, &probe, &added) : ST_TYPE;
}

/* A set of integers alone, few enough, becomes an intset; another stays as it is. */
static enum status to_integers(struct set_work *work)
{
    uint64_t count = set_count(&work->value);
    if (set_encoding(&work->value) == SET_INTSET ||
        count > (uint64_t)work->limits->set_max_intset_entries) {
        return ST_OK;
    }
    struct buf scratch = BUF_EMPTY;
    struct value empty = set_empty();
    struct set_work integers;
    set_work_open(&integers, &empty, work->limits, &scratch);
    enum status status = set_work_begin(&integers, SET_INTSET);
    if (status == ST_OK) {
        status = set_walk(&work->value, 0, count, add_integer, &integers);
    }
    if (status == ST_OK && set_root(&integers.value) == NULL) {
        status = buf_append(work->scratch, integers.value.packed);
        size_t size = integers.value.packed.size;
        integers.value.packed = bytes_of(work->scratch->data + work->scratch->size - size, size);
    }
    if (status == ST_OK) {
        drop(work);
        work->value = integers.value;
    } else {
        drop(&integers);
    }
    buf_deinit(&scratch);
    return status == ST_TYPE ? ST_OK : status;
}

enum status set_builder_end(struct set_builder *builder, enum status status, bool integers_back,
                            struct value *value_out)
{
    struct set_work *work = &builder->work;
    status = status == ST_OK ? flush(builder) : status;
    if (status == ST_OK && integers_back) {
        status = to_integers(work);
    }
    if (status != ST_OK || set_count(&work->value) == 0) {
        drop(work);
    }
    *value_out = work->value;
    buf_deinit(&builder->batch);
    return status;
}
