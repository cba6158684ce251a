#include "engine/value/chunks_root.h"

#include "engine/base/check.h"
#include "engine/value/parts_disk.h"

#include <stdlib.h>

/* An append does all that can fail first, in an order in which giving up leaves no trace: the
 * filter (which may remember too much), room for digests, the set (whose entries can be taken
 * back), the list (all or nothing); then the digests are written, which cannot fail.
 */

#define DIGESTS_PER_PART 128
#define DIGEST_PART_MIN 8 /* Of digests; the first part grows by doubling from here. */

enum status chunks_root_digest(const struct chunks *chunks, uint64_t index,
                               const struct chunk_digest **digest_out, struct part **part_out)
{
    enum status status =
        parts_get(&chunks->digests, (uint32_t)(index / DIGESTS_PER_PART), part_out);
    if (status == ST_OK) {
        size_t offset = index % DIGESTS_PER_PART * CHUNK_DIGEST_SIZE;
        CHECK(offset + CHUNK_DIGEST_SIZE <= (*part_out)->size);
        *digest_out = (const struct chunk_digest *)((*part_out)->data + offset);
    }
    return status;
}

static size_t digest_capacity(uint64_t digests)
{
    size_t capacity = DIGEST_PART_MIN;
    while (capacity < digests && capacity < DIGESTS_PER_PART) {
        capacity *= 2;
    }
    return capacity * CHUNK_DIGEST_SIZE;
}

static uint32_t digest_part_count(uint64_t digests)
{
    return (uint32_t)((digests + DIGESTS_PER_PART - 1) / DIGESTS_PER_PART);
}

/* Takes back the parts that digests_reserve added and nobody filled. */
static void digests_unreserve(struct chunks *chunks)
{
    while (chunks->digests.end > digest_part_count(chunks->list.count)) {
        parts_remove(&chunks->digests, chunks->digests.end - 1);
    }
}

/* Makes the room for further digests, so that digests_write cannot fail. */
static enum status digests_reserve(struct chunks *chunks, uint64_t count)
{
    uint64_t total = chunks->list.count + count;
    uint32_t wanted = digest_part_count(total), now = chunks->digests.end;
    enum status status = ST_OK;
    struct part *part;
    if (chunks->list.count % DIGESTS_PER_PART != 0) {
        uint64_t before = (uint64_t)(now - 1) * DIGESTS_PER_PART;
        status = parts_own_sized(&chunks->digests, now - 1, digest_capacity(total - before), &part);
    }
    if (status == ST_OK && wanted > now) {
        status = parts_reserve(&chunks->digests, wanted - now);
    }
    for (uint32_t number = now; number < wanted && status == ST_OK; number++) {
        part = part_new(digest_capacity(total - (uint64_t)number * DIGESTS_PER_PART));
        if (part == NULL) {
            status = ST_NOMEM;
        } else {
            uint32_t given = parts_add(&chunks->digests, part);
            CHECK(given == number);
        }
    }
    if (status != ST_OK) {
        digests_unreserve(chunks);
    }
    return status;
}

static void digests_write(struct chunks *chunks, uint64_t index, const struct chunk_digest *digests,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct part *part;
        uint32_t number = (uint32_t)((index + i) / DIGESTS_PER_PART);
        enum status status = parts_own(&chunks->digests, number, &part);
        CHECK(status == ST_OK);
        CHECK(part->size == (index + i) % DIGESTS_PER_PART * CHUNK_DIGEST_SIZE);
        CHECK(part->size + CHUNK_DIGEST_SIZE <= part->capacity);
        memcpy(part->data + part->size, digests[i].bytes, CHUNK_DIGEST_SIZE);
        part->size += CHUNK_DIGEST_SIZE;
    }
}

struct chunks *chunks_root_new(void)
{
    struct chunks *chunks = part_alloc(sizeof(*chunks));
    if (chunks != NULL) {
        chunks->head = (struct value_root){.changed = true};
        clast_init(&chunks->list, &clast_by_position, 0);
        parts_init(&chunks->digests);
        chunks_set_init(&chunks->set);
        chunks_filter_init(&chunks->filter);
    }
    return chunks;
}

void chunks_root_free(struct chunks *chunks)
{
    clast_deinit(&chunks->list);
    parts_deinit(&chunks->digests);
    chunks_set_deinit(&chunks->set);
    chunks_filter_deinit(&chunks->filter);
    free(chunks);
}

static enum status filter_source(void *ctx, uint64_t index, const struct chunk_digest **digest_out)
{
    struct part *part;
    return chunks_root_digest(ctx, index, digest_out, &part);
}

struct sought {
    const struct chunks *chunks;
    const struct chunk_digest *digest;
};

static enum status is_sought(void *ctx, uint64_t index, bool *same_out)
{
    const struct sought *sought = ctx;
    const struct chunk_digest *digest;
    struct part *part;
    enum status status = chunks_root_digest(sought->chunks, index, &digest, &part);
    if (status == ST_OK) {
        *same_out = chunk_digest_equal(digest, sought->digest);
    }
    return status;
}

enum status chunks_root_find(const struct chunks *chunks, const struct chunk_digest *digest,
                             uint64_t *index_out, bool *found_out)
{
    bool perhaps;
    *found_out = false;
    enum status status = chunks_filter_ask(&chunks->filter, digest, &perhaps);
    if (status != ST_OK || !perhaps) {
        return status;
    }
    struct sought sought = {chunks, digest};
    return chunks_set_find(&chunks->set, load_u32(digest->bytes), is_sought, &sought, index_out,
                           found_out);
}

static void set_take_back(struct chunks *chunks, const struct chunk_digest *digests, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        chunks_set_take_back(&chunks->set, load_u32(digests[i - 1].bytes),
                             chunks->list.count + i - 1);
    }
}

static enum status set_add(struct chunks *chunks, const struct chunk_digest *digests, size_t count)
{
    enum status status = chunks_set_reserve(&chunks->set, count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = chunks_set_add(&chunks->set, load_u32(digests[i].bytes), chunks->list.count + i);
        if (status != ST_OK) {
            set_take_back(chunks, digests, i);
        }
    }
    return status;
}

/* Most of what an append will read, so that whoever brings parts learns of it at once. */
static enum status append_bring(const struct chunks *chunks, const struct chunk_digest *digests,
                                size_t count)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < count; i++) {
        bool perhaps;
        enum status asked = chunks_filter_ask(&chunks->filter, &digests[i], &perhaps);
        enum status brought = chunks_set_bring(&chunks->set, load_u32(digests[i].bytes));
        status = asked == ST_OK && brought == ST_OK ? status : ST_WAIT;
    }
    return status;
}

enum status chunks_root_append(struct chunks *chunks, const struct bytes *data,
                               const struct chunk_digest *digests, size_t count)
{
    uint64_t before = chunks->list.count;
    if (count > CHUNKS_SET_INDEX_MAX - before) {
        return ST_LIMIT;
    }
    chunks->head.changed = true;
    enum status status = append_bring(chunks, digests, count);
    if (status != ST_OK) {
        return status;
    }
    status = chunks_filter_add(&chunks->filter, before, digests, count, filter_source, chunks);
    if (status != ST_OK) {
        return status;
    }
    status = digests_reserve(chunks, count);
    if (status != ST_OK) {
        return status;
    }
    status = set_add(chunks, digests, count);
    if (status == ST_OK) {
        status = clast_push(&chunks->list, false, data, count);
        if (status != ST_OK) {
            set_take_back(chunks, digests, count);
        }
    }
    if (status != ST_OK) {
        digests_unreserve(chunks);
        return status;
    }
    CHECK(chunks->list.count == before + count && chunks->set.count == before + count);
    digests_write(chunks, before, digests, count);
    return ST_OK;
}

enum status chunks_root_copy(const struct chunks *chunks, struct chunks **copy_out)
{
    struct chunks *copy = chunks_root_new();
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_copy(&chunks->list, &copy->list);
    if (status == ST_OK) {
        status = parts_present(&chunks->digests, 0, chunks->digests.end);
    }
    if (status == ST_OK) {
        status = parts_copy(&chunks->digests, &copy->digests);
    }
    if (status == ST_OK) {
        status = chunks_set_copy(&chunks->set, &copy->set);
    }
    if (status == ST_OK) {
        status = chunks_filter_copy(&chunks->filter, &copy->filter);
    }
    if (status != ST_OK) {
        chunks_root_free(copy);
        return status;
    }
    *copy_out = copy;
    return ST_OK;
}

bool chunks_root_free_some(struct chunks *chunks, size_t parts)
{
    return clast_free_some(&chunks->list, parts) && parts_free_some(&chunks->digests, parts) &&
           chunks_set_free_some(&chunks->set, parts) &&
           chunks_filter_free_some(&chunks->filter, parts);
}

uint64_t chunks_root_memory(const struct chunks *chunks)
{
    return part_heap_size(sizeof(*chunks)) + clast_memory(&chunks->list) +
           parts_memory(&chunks->digests) + chunks_set_memory(&chunks->set) +
           chunks_filter_memory(&chunks->filter);
}

/* -- Of the class ------------------------------------------------------------------------------ */

enum status chunks_root_tables(void *root, value_table_fn fn, void *ctx)
{
    struct chunks *chunks = root;
    enum status status = fn(ctx, &chunks->list.parts);
    if (status == ST_OK) {
        status = fn(ctx, &chunks->digests);
    }
    if (status == ST_OK) {
        status = chunks_set_tables(&chunks->set, fn, ctx);
    }
    return status == ST_OK ? chunks_filter_tables(&chunks->filter, fn, ctx) : status;
}

enum status chunks_root_store(const struct value *value, struct buf *out)
{
    const struct chunks *chunks = value->root;
    enum status status = clast_store(&chunks->list, out);
    if (status == ST_OK) {
        status = parts_store(&chunks->digests, out);
    }
    if (status == ST_OK) {
        status = chunks_set_store(&chunks->set, out);
    }
    return status == ST_OK ? chunks_filter_store(&chunks->filter, out) : status;
}

enum status chunks_root_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out)
{
    struct chunks *chunks = chunks_root_new();
    if (chunks == NULL) {
        return ST_NOMEM;
    }
    uint64_t count = 0;
    enum status status = clast_load(&chunks->list, in, clast);
    if (status == ST_OK) {
        count = chunks->list.count;
        status = parts_load(&chunks->digests, in, clast);
    }
    if (status == ST_OK) {
        status = chunks_set_load(&chunks->set, in, clast);
    }
    if (status == ST_OK) {
        status = chunks_filter_load(&chunks->filter, count, in, clast);
    }
    if (status == ST_OK && (count > CHUNKS_SET_INDEX_MAX || chunks->set.count != count ||
                            chunks->digests.end != digest_part_count(count) ||
                            chunks->digests.live != chunks->digests.end ||
                            (count > 0 && chunks->filter.now.blocks == 0))) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        chunks_root_free(chunks);
        return status;
    }
    chunks->head.changed = false;
    *root_out = chunks;
    return ST_OK;
}

bool chunks_root_check(const struct chunks *chunks)
{
    uint64_t count = chunks->list.count;
    if (!clast_check(&chunks->list) || !parts_check(&chunks->digests) ||
        !chunks_set_check(&chunks->set) || chunks->set.count != count ||
        chunks->digests.end != digest_part_count(count)) {
        return false;
    }
    for (uint32_t number = 0; number < chunks->digests.end; number++) {
        struct part *part;
        uint64_t left = count - (uint64_t)number * DIGESTS_PER_PART;
        uint64_t wanted = left < DIGESTS_PER_PART ? left : DIGESTS_PER_PART;
        if (parts_get(&chunks->digests, number, &part) != ST_OK ||
            part->size != wanted * CHUNK_DIGEST_SIZE) {
            return false;
        }
    }
    return true;
}
