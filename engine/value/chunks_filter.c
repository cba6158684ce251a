#include "engine/value/chunks_filter.h"

#include "engine/base/check.h"
#include "engine/value/parts_disk.h"

#define BITS_PER_CHUNK 10
#define BLOCK_SIZE 64
#define PAGE_BLOCKS 64
#define PAGE_SIZE ((size_t)BLOCK_SIZE * PAGE_BLOCKS)
#define BLOCKS_MIN 8 /* A first filter: 409 chunks in half a KiB. */
#define PROBES 7
/* A filter of n chunks is rebuilt within n/15 additions, at 9.4 bits a chunk at worst. */
#define REBUILDS_PER_ADDITION 16

void chunks_filter_init(struct chunks_filter *filter)
{
    memset(filter, 0, sizeof(*filter));
    parts_init(&filter->now.pages);
    parts_init(&filter->next.pages);
}

void chunks_filter_deinit(struct chunks_filter *filter)
{
    parts_deinit(&filter->now.pages);
    parts_deinit(&filter->next.pages);
    chunks_filter_init(filter);
}

bool chunks_filter_free_some(struct chunks_filter *filter, size_t parts)
{
    return parts_free_some(&filter->now.pages, parts) &&
           parts_free_some(&filter->next.pages, parts);
}

enum status chunks_filter_copy(const struct chunks_filter *filter, struct chunks_filter *copy_out)
{
    chunks_filter_init(copy_out);
    enum status status = parts_present(&filter->now.pages, 0, filter->now.pages.end);
    enum status next = parts_present(&filter->next.pages, 0, filter->next.pages.end);
    status = next == ST_OK ? status : next;
    if (status == ST_OK) {
        status = parts_copy(&filter->now.pages, &copy_out->now.pages);
    }
    if (status == ST_OK) {
        status = parts_copy(&filter->next.pages, &copy_out->next.pages);
    }
    if (status != ST_OK) {
        chunks_filter_deinit(copy_out);
        return status;
    }
    copy_out->now.blocks = filter->now.blocks;
    copy_out->next.blocks = filter->next.blocks;
    copy_out->next_count = filter->next_count;
    return ST_OK;
}

uint64_t chunks_filter_memory(const struct chunks_filter *filter)
{
    return parts_memory(&filter->now.pages) + parts_memory(&filter->next.pages);
}

/* Digest bytes 0 to 3 order the set; the filter takes others, so that the two do not agree in
 * their mistakes. */
static uint64_t bloom_block(const struct chunks_bloom *bloom, const struct chunk_digest *digest)
{
    return (bloom->blocks * load_u32(digest->bytes + 4)) >> 32;
}

static uint64_t bloom_probes(const struct chunk_digest *digest)
{
    return load_u64(digest->bytes + 8);
}

static uint64_t bloom_capacity(const struct chunks_bloom *bloom)
{
    return bloom->blocks * BLOCK_SIZE * 8 / BITS_PER_CHUNK;
}

static enum status bloom_init(struct chunks_bloom *bloom, uint64_t capacity)
{
    uint64_t blocks = (capacity * BITS_PER_CHUNK + BLOCK_SIZE * 8 - 1) / (BLOCK_SIZE * 8);
    blocks = blocks < BLOCKS_MIN ? BLOCKS_MIN : blocks;
    uint32_t pages = (uint32_t)((blocks + PAGE_BLOCKS - 1) / PAGE_BLOCKS);
    size_t page_size = pages == 1 ? blocks * BLOCK_SIZE : PAGE_SIZE;
    CHECK(bloom->pages.end == 0);
    bloom->blocks = 0;
    struct part *zeros = part_new(page_size);
    if (zeros == NULL) {
        return ST_NOMEM;
    }
    memset(zeros->data, 0, page_size);
    zeros->size = (uint32_t)page_size;
    enum status status = parts_reserve(&bloom->pages, pages);
    if (status != ST_OK) {
        part_unref(zeros);
        return status;
    }
    for (uint32_t i = 0; i < pages; i++) {
        part_ref(zeros);
        (void)parts_add(&bloom->pages, zeros);
    }
    part_unref(zeros);
    bloom->blocks = blocks;
    return ST_OK;
}

static enum status bloom_add(struct chunks_bloom *bloom, const struct chunk_digest *digest)
{
    uint64_t block = bloom_block(bloom, digest);
    struct part *page;
    enum status status = parts_own(&bloom->pages, (uint32_t)(block / PAGE_BLOCKS), &page);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *bits = page->data + block % PAGE_BLOCKS * BLOCK_SIZE;
    uint64_t probes = bloom_probes(digest);
    for (unsigned i = 0; i < PROBES; i++, probes >>= 9) {
        bits[(probes & 511) / 8] |= (unsigned char)(1u << (probes & 7));
    }
    return ST_OK;
}

/* Puts the next digests into next; when it has all, it becomes now. */
static enum status rebuild_some(struct chunks_filter *filter, uint64_t count, uint64_t digests,
                                chunks_filter_source_fn fn, void *ctx)
{
    for (; filter->next_count < count && digests > 0; digests--) {
        const struct chunk_digest *digest;
        enum status status = fn(ctx, filter->next_count, &digest);
        if (status == ST_OK) {
            status = bloom_add(&filter->next, digest);
        }
        if (status != ST_OK) {
            return status;
        }
        filter->next_count++;
    }
    if (filter->next_count == count) {
        /* They change places: the emptied one may have what was captured of it to report. */
        struct chunks_bloom full = filter->now;
        parts_clear(&full.pages);
        full.blocks = 0;
        filter->now = filter->next;
        filter->next = full;
        filter->next_count = 0;
    }
    return ST_OK;
}

/* Begins, goes on with or ends a rebuild as `added` more digests call for. */
static enum status filter_grow(struct chunks_filter *filter, uint64_t count, size_t added,
                               chunks_filter_source_fn fn, void *ctx)
{
    enum status status = ST_OK;
    uint64_t total = count + added;
    if (filter->next.blocks != 0 && total > bloom_capacity(&filter->next)) {
        status = rebuild_some(filter, count, UINT64_MAX, fn, ctx);
    }
    if (status == ST_OK && filter->next.blocks == 0 && total > bloom_capacity(&filter->now)) {
        uint64_t capacity = bloom_capacity(&filter->now) * 2;
        uint64_t wanted = total / 4 * 5;
        filter->next_count = 0;
        status = bloom_init(&filter->next, capacity < wanted ? wanted : capacity);
    }
    if (status == ST_OK && filter->next.blocks != 0) {
        uint64_t digests = added < count ? added * REBUILDS_PER_ADDITION : UINT64_MAX;
        status = rebuild_some(filter, count, digests, fn, ctx);
    }
    return status;
}

enum status chunks_filter_add(struct chunks_filter *filter, uint64_t count,
                              const struct chunk_digest *digests, size_t added,
                              chunks_filter_source_fn fn, void *ctx)
{
    enum status status = filter_grow(filter, count, added, fn, ctx);
    for (size_t i = 0; i < added && status == ST_OK; i++) {
        /* Not to next: in its turn the rebuild comes to it. */
        status = bloom_add(&filter->now, &digests[i]);
    }
    return status;
}

enum status chunks_filter_tables(struct chunks_filter *filter, value_table_fn fn, void *ctx)
{
    enum status status = fn(ctx, &filter->now.pages);
    return status == ST_OK ? fn(ctx, &filter->next.pages) : status;
}

enum status chunks_filter_store(const struct chunks_filter *filter, struct buf *out)
{
    unsigned char head[3 * VARINT_MAX];
    unsigned char *p = head;
    p += varint_store(p, filter->now.blocks);
    p += varint_store(p, filter->next.blocks);
    p += varint_store(p, filter->next_count);
    enum status status = buf_append(out, bytes_of(head, (size_t)(p - head)));
    if (status == ST_OK) {
        status = parts_store(&filter->now.pages, out);
    }
    return status == ST_OK ? parts_store(&filter->next.pages, out) : status;
}

static bool bloom_fits(const struct chunks_bloom *bloom)
{
    return bloom->pages.live == bloom->pages.end && bloom->blocks <= UINT32_MAX &&
           bloom->pages.end == (bloom->blocks + PAGE_BLOCKS - 1) / PAGE_BLOCKS;
}

enum status chunks_filter_load(struct chunks_filter *filter, uint64_t count, struct bytes *in,
                               uint64_t clast)
{
    enum status status = ST_OK;
    if (!varint_take_shortest(in, &filter->now.blocks) ||
        !varint_take_shortest(in, &filter->next.blocks) ||
        !varint_take_shortest(in, &filter->next_count)) {
        status = ST_CORRUPT;
    }
    if (status == ST_OK) {
        status = parts_load(&filter->now.pages, in, clast);
    }
    if (status == ST_OK) {
        status = parts_load(&filter->next.pages, in, clast);
    }
    if (status == ST_OK &&
        (!bloom_fits(&filter->now) || !bloom_fits(&filter->next) || filter->next_count > count ||
         (filter->next.blocks == 0 && filter->next_count != 0))) {
        status = ST_CORRUPT;
    }
    return status;
}

enum status chunks_filter_ask(const struct chunks_filter *filter, const struct chunk_digest *digest,
                              bool *perhaps_out)
{
    *perhaps_out = false;
    if (filter->now.blocks == 0) {
        return ST_OK;
    }
    uint64_t block = bloom_block(&filter->now, digest);
    struct part *page;
    enum status status = parts_get(&filter->now.pages, (uint32_t)(block / PAGE_BLOCKS), &page);
    if (status != ST_OK) {
        return status;
    }
    const unsigned char *bits = page->data + block % PAGE_BLOCKS * BLOCK_SIZE;
    uint64_t probes = bloom_probes(digest);
    for (unsigned i = 0; i < PROBES; i++, probes >>= 9) {
        if ((bits[(probes & 511) / 8] & (1u << (probes & 7))) == 0) {
            return ST_OK;
        }
    }
    *perhaps_out = true;
    return ST_OK;
}
