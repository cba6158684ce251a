#include "tests/lib/sim_store.h"

#include "engine/base/check.h"
#include "tests/lib/sim_names.h"
#include "tests/lib/test.h"

#include <stdlib.h>

struct sim_change {
    bool truncates;
    uint64_t offset; /* The new size of a truncation. */
    uint64_t size;
    unsigned char *data;
    struct sim_change *next;
};

/* How a crash leans: rolled once, so that some crashes keep nearly all and some nearly nothing. */
struct inclination {
    unsigned keep_percent;
    unsigned torn_percent;
    unsigned name_percent;
    bool in_order;
};

void *sim_allocate(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);
    CHECK(memory != NULL);
    return memory;
}

uint64_t sim_store_below(struct sim_store *store, uint64_t bound)
{
    return test_random_below(&store->chance, bound);
}

bool sim_store_percent(struct sim_store *store, unsigned percent)
{
    return sim_store_below(store, 100) < percent;
}

struct sim_node *sim_store_node_new(struct sim_store *store, bool is_dir)
{
    struct sim_node *node = sim_allocate(sizeof(*node));
    node->is_dir = is_dir;
    node->next = store->nodes;
    store->nodes = node;
    return node;
}

/* -- Contents ---------------------------------------------------------------------------------- */

static void content_resize(struct buf *content, uint64_t size)
{
    if (size > content->size) {
        uint64_t more = size - content->size;
        unsigned char *room = buf_extend(content, more);
        CHECK(room != NULL);
        memset(room, 0, more);
    }
    content->size = size;
}

static void content_put(struct buf *content, uint64_t offset, struct bytes bytes)
{
    if (bytes.size == 0) {
        return;
    }
    if (content->size < offset + bytes.size) {
        content_resize(content, offset + bytes.size);
    }
    memcpy(content->data + offset, bytes.data, bytes.size);
}

static void change_free(struct sim_change *change)
{
    free(change->data);
    free(change);
}

static void changes_free(struct sim_node *node)
{
    while (node->changes != NULL) {
        struct sim_change *change = node->changes;
        node->changes = change->next;
        change_free(change);
    }
}

static void change_add(struct sim_node *node, bool truncates, uint64_t offset, struct bytes bytes)
{
    struct sim_change **at = &node->changes;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = sim_allocate(sizeof(**at));
    (*at)->truncates = truncates;
    (*at)->offset = offset;
    (*at)->size = bytes.size;
    (*at)->data = sim_allocate(bytes.size);
    if (bytes.size > 0) {
        memcpy((*at)->data, bytes.data, bytes.size);
    }
}

static void change_settle(struct sim_node *node, const struct sim_change *change)
{
    if (change->truncates) {
        content_resize(&node->durable, change->offset);
    } else {
        content_put(&node->durable, change->offset, bytes_of(change->data, change->size));
    }
}

void sim_store_write(struct sim_store *store, struct sim_node *node, uint64_t offset,
                     struct bytes bytes)
{
    (void)store;
    if (bytes.size > 0) { /* A crash could grow the file to the end of a write of nothing. */
        content_put(&node->view, offset, bytes);
        change_add(node, false, offset, bytes);
    }
}

/* What is left of a pending write that a truncation to size took effect after. */
static void change_clip(struct sim_change *change, uint64_t size)
{
    if (change->offset >= size) {
        change->size = 0;
    } else if (change->offset + change->size > size) {
        change->size = size - change->offset;
    }
}

/* A durable write makes the file's size durable, and so the truncations before it. */
static void truncations_settle(struct sim_node *node)
{
    struct sim_change **at = &node->changes;
    while (*at != NULL) {
        struct sim_change *change = *at;
        if (!change->truncates) {
            at = &change->next;
            continue;
        }
        for (struct sim_change *before = node->changes; before != change; before = before->next) {
            change_clip(before, change->offset);
        }
        change_settle(node, change);
        *at = change->next;
        change_free(change);
    }
}

/* Pending writes of the same bytes came before: whatever order a crash gives them, it finds the
 * durable bytes there. So they are given those bytes. */
void sim_store_write_durable(struct sim_store *store, struct sim_node *node, uint64_t offset,
                             struct bytes bytes)
{
    (void)store;
    truncations_settle(node);
    content_put(&node->view, offset, bytes);
    content_put(&node->durable, offset, bytes);
    for (struct sim_change *change = node->changes; change != NULL; change = change->next) {
        uint64_t begin = change->offset > offset ? change->offset : offset;
        uint64_t end = change->offset + change->size;
        end = end < offset + bytes.size ? end : offset + bytes.size;
        if (begin < end) {
            memcpy(change->data + (begin - change->offset),
                   (const char *)bytes.data + (begin - offset), end - begin);
        }
    }
}

/* The size of the piece of a write that lies in the sector at offset. */
static uint64_t sector_piece(uint64_t offset, uint64_t size)
{
    uint64_t piece = SIM_SECTOR_SIZE - offset % SIM_SECTOR_SIZE;
    return piece < size ? piece : size;
}

void sim_store_write_some(struct sim_store *store, struct sim_node *node, uint64_t offset,
                          struct bytes bytes)
{
    for (uint64_t done = 0; done < bytes.size;) {
        uint64_t piece = sector_piece(offset + done, bytes.size - done);
        if (sim_store_percent(store, 50)) {
            sim_store_write(store, node, offset + done, bytes_slice(bytes, done, piece));
        }
        done += piece;
    }
}

/* Zeros are what a reader sees of a hole, so to the rest of the disk they are a write of zeros. */
struct bytes sim_store_hole(const struct sim_node *node, uint64_t offset, uint64_t size)
{
    uint64_t rest = offset < node->view.size ? node->view.size - offset : 0;
    uint64_t zeros = size < rest ? size : rest;
    return bytes_of(sim_allocate(zeros), zeros);
}

void sim_store_truncate(struct sim_store *store, struct sim_node *node, uint64_t size)
{
    (void)store;
    content_resize(&node->view, size);
    change_add(node, true, size, BYTES_NONE);
}

/* A failed sync leaves a change pending, settles it, or drops it for good (D3). */
void sim_store_sync(struct sim_store *store, struct sim_node *node, bool failed)
{
    struct sim_change **at = &node->changes;
    while (*at != NULL) {
        struct sim_change *change = *at;
        unsigned fate = !failed ? 0 : change->truncates ? 1 : (unsigned)sim_store_below(store, 3);
        if (fate == 1) {
            at = &change->next;
            continue;
        }
        if (fate == 0) {
            change_settle(node, change);
        }
        *at = change->next;
        change_free(change);
    }
}

void sim_store_corrupt(struct sim_store *store, struct sim_node *node, uint64_t offset,
                       uint64_t size)
{
    for (uint64_t at = offset; at < offset + size; at++) {
        unsigned char flip = (unsigned char)(1 + sim_store_below(store, 255));
        if (at < node->view.size) {
            node->view.data[at] ^= flip;
        }
        if (at < node->durable.size) {
            node->durable.data[at] ^= flip;
        }
        for (struct sim_change *change = node->changes; change != NULL; change = change->next) {
            if (at >= change->offset && at < change->offset + change->size) {
                change->data[at - change->offset] ^= flip;
            }
        }
    }
}

/* -- Power cuts -------------------------------------------------------------------------------- */

/* One write meets a power cut: each sector is kept, lost, or a beginning or an end of it is kept.
 * The file may have grown to its end without the bytes. */
static void change_crash(struct sim_store *store, struct sim_node *node,
                         const struct sim_change *change, const struct inclination *lean)
{
    for (uint64_t done = 0; done < change->size;) {
        uint64_t piece = sector_piece(change->offset + done, change->size - done);
        struct bytes bytes = bytes_of(change->data + done, piece);
        uint64_t offset = change->offset + done;
        done += piece;
        if (piece > 1 && sim_store_percent(store, lean->torn_percent)) {
            uint64_t cut = 1 + sim_store_below(store, piece - 1);
            bool front = sim_store_percent(store, 50);
            bytes = front ? bytes_slice(bytes, 0, cut) : bytes_slice(bytes, cut, piece);
            content_put(&node->durable, front ? offset : offset + cut, bytes);
            store->stats.sectors_torn++;
        } else if (sim_store_percent(store, lean->keep_percent)) {
            content_put(&node->durable, offset, bytes);
            store->stats.sectors_kept++;
        } else {
            store->stats.sectors_lost++;
        }
    }
    uint64_t end = change->offset + change->size;
    if (lean->keep_percent > 0 && node->durable.size < end && sim_store_percent(store, 25)) {
        content_resize(&node->durable, end);
    }
}

/* The writes up to the next truncation, in any order. */
static void batch_crash(struct sim_store *store, struct sim_node *node, struct sim_change **batch,
                        size_t count, const struct inclination *lean)
{
    for (size_t i = count; i > 1 && !lean->in_order; i--) {
        size_t other = sim_store_below(store, i);
        struct sim_change *change = batch[i - 1];
        batch[i - 1] = batch[other];
        batch[other] = change;
        store->stats.writes_reordered += other != i - 1;
    }
    for (size_t i = 0; i < count; i++) {
        change_crash(store, node, batch[i], lean);
    }
}

static void node_crash(struct sim_store *store, struct sim_node *node,
                       const struct inclination *lean)
{
    size_t count = 0;
    for (struct sim_change *change = node->changes; change != NULL; change = change->next) {
        count++;
    }
    struct sim_change **batch = sim_allocate(count * sizeof(*batch));
    count = 0;
    for (struct sim_change *change = node->changes; change != NULL; change = change->next) {
        if (!change->truncates) {
            batch[count++] = change;
            continue;
        }
        batch_crash(store, node, batch, count, lean);
        count = 0;
        if (sim_store_percent(store, lean->keep_percent)) {
            change_settle(node, change);
        }
    }
    batch_crash(store, node, batch, count, lean);
    free(batch);
    changes_free(node);
    node->view.size = 0;
    content_put(&node->view, 0, buf_bytes(&node->durable));
    node->handles = 0;
    node->lock_owner = NULL;
}

void sim_store_crash(struct sim_store *store, enum sim_crash mode)
{
    static const unsigned keeps[] = {0, 10, 50, 50, 90, 100};
    static const unsigned tears[] = {0, 5, 30};
    struct inclination lean = {0, 0, 0, true};
    if (mode == SIM_CRASH_KEEP_ALL) {
        lean = (struct inclination){100, 0, 100, true};
    } else if (mode == SIM_CRASH_CHANCE) {
        lean.keep_percent = keeps[sim_store_below(store, 6)];
        lean.torn_percent = tears[sim_store_below(store, 3)];
        lean.name_percent = keeps[sim_store_below(store, 6)];
        lean.in_order = false;
    }
    for (struct sim_node *node = store->nodes; node != NULL; node = node->next) {
        node_crash(store, node, &lean);
    }
    sim_names_crash(store, lean.name_percent);
    sim_store_sweep(store);
    store->stats.crashes++;
}

/* -- Life -------------------------------------------------------------------------------------- */

void sim_store_init(struct sim_store *store, uint64_t seed)
{
    memset(store, 0, sizeof(*store));
    /* Neighbouring seeds shall not begin alike. */
    store->chance = (seed + 1) * 0x9E3779B97F4A7C15ull;
    for (int i = 0; i < 4; i++) {
        (void)test_random(&store->chance);
    }
}

static void nodes_free(struct sim_store *store, bool all)
{
    for (struct sim_node **at = &store->nodes; *at != NULL;) {
        struct sim_node *node = *at;
        if (!all && node->marked) {
            at = &node->next;
            continue;
        }
        *at = node->next;
        changes_free(node);
        buf_deinit(&node->view);
        buf_deinit(&node->durable);
        free(node);
    }
}

void sim_store_sweep(struct sim_store *store)
{
    for (struct sim_node *node = store->nodes; node != NULL; node = node->next) {
        node->marked = node->handles > 0;
    }
    sim_names_sweep(store);
    nodes_free(store, false);
}

void sim_store_deinit(struct sim_store *store)
{
    sim_names_deinit(store);
    nodes_free(store, true);
}

/* A file without a name takes space while somebody has it open. */
uint64_t sim_store_used(const struct sim_store *store)
{
    uint64_t used = 0;
    for (const struct sim_node *node = store->nodes; node != NULL; node = node->next) {
        bool named = node->handles > 0;
        for (struct sim_entry *entry = store->name_view; entry != NULL && !named;
             entry = entry->next) {
            named = entry->link->node == node;
        }
        used += named ? node->view.size : 0;
    }
    return used;
}
