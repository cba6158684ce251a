#include "tests/lib/sim_store.h"

#include "engine/base/check.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

struct sim_change {
    bool truncates;
    uint64_t offset; /* The new size of a truncation. */
    uint64_t size;
    unsigned char *data;
    struct sim_change *next;
};

struct sim_rename {
    bool has_from; /* A rename or an unlink: the name goes. */
    bool has_to;   /* A rename or a creation: the name comes. */
    bool from_synced;
    bool to_synced;
    struct sim_path from;
    struct sim_path to;
    struct sim_node *node;
    struct sim_rename *next;
    uint64_t number; /* Their order. */
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

/* -- Paths and names --------------------------------------------------------------------------- */

struct sim_path sim_path_of(const char *path)
{
    struct sim_path out = {{0}};
    size_t size = 0;
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        path += strspn(path, "/");
    }
    for (; *path != 0; path++) {
        if (*path == '/' && size > 0 && out.text[size - 1] == '/') {
            continue;
        }
        CHECK(size + 1 < SIM_PATH_MAX);
        out.text[size++] = *path;
    }
    while (size > 1 && out.text[size - 1] == '/') {
        size--;
    }
    out.text[size] = 0;
    if (size == 0) {
        out.text[0] = '.';
    }
    return out;
}

struct sim_path sim_path_parent(const struct sim_path *path)
{
    struct sim_path out = *path;
    char *slash = strrchr(out.text, '/');
    if (slash == NULL) {
        return sim_path_of(".");
    }
    slash[slash == out.text ? 1 : 0] = 0;
    return out;
}

static bool path_equal(const struct sim_path *a, const struct sim_path *b)
{
    return strcmp(a->text, b->text) == 0;
}

static bool path_is_root(const struct sim_path *path)
{
    return strcmp(path->text, "/") == 0 || strcmp(path->text, ".") == 0;
}

static struct sim_entry *entry_find(struct sim_entry *entries, const struct sim_path *path)
{
    for (; entries != NULL; entries = entries->next) {
        if (path_equal(&entries->path, path)) {
            return entries;
        }
    }
    return NULL;
}

static void entry_set(struct sim_entry **entries, const struct sim_path *path,
                      struct sim_node *node)
{
    struct sim_entry *entry = entry_find(*entries, path);
    if (entry == NULL) {
        entry = sim_allocate(sizeof(*entry));
        entry->path = *path;
        entry->next = *entries;
        *entries = entry;
    }
    entry->node = node;
}

/* Takes away the names of that node; path: only this one. */
static void entry_remove(struct sim_entry **entries, const struct sim_path *path,
                         const struct sim_node *node)
{
    for (struct sim_entry **at = entries; *at != NULL;) {
        struct sim_entry *entry = *at;
        if (entry->node == node && (path == NULL || path_equal(&entry->path, path))) {
            *at = entry->next;
            free(entry);
        } else {
            at = &entry->next;
        }
    }
}

static void entries_free(struct sim_entry **entries)
{
    while (*entries != NULL) {
        struct sim_entry *entry = *entries;
        *entries = entry->next;
        free(entry);
    }
}

struct sim_node *sim_store_find(struct sim_store *store, const struct sim_path *path)
{
    struct sim_entry *entry = entry_find(store->name_view, path);
    return entry == NULL ? NULL : entry->node;
}

static bool has_dir(struct sim_entry *entries, const struct sim_path *path)
{
    struct sim_entry *entry = entry_find(entries, path);
    return path_is_root(path) || (entry != NULL && entry->node->is_dir);
}

bool sim_store_has_dir(struct sim_store *store, const struct sim_path *path)
{
    return has_dir(store->name_view, path);
}

static void rename_add(struct sim_store *store, struct sim_rename made)
{
    struct sim_rename **at = &store->renames;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = sim_allocate(sizeof(**at));
    **at = made;
    (*at)->number = ++store->name_number;
}

struct sim_node *sim_store_create(struct sim_store *store, const struct sim_path *path, bool is_dir)
{
    struct sim_node *node = sim_allocate(sizeof(*node));
    node->is_dir = is_dir;
    node->next = store->nodes;
    store->nodes = node;
    entry_set(&store->name_view, path, node);
    rename_add(store, (struct sim_rename){.has_to = true, .to = *path, .node = node});
    return node;
}

void sim_store_rename(struct sim_store *store, const struct sim_path *from,
                      const struct sim_path *to)
{
    struct sim_node *node = sim_store_find(store, from);
    if (path_equal(from, to)) {
        return;
    }
    entry_remove(&store->name_view, from, node);
    entry_set(&store->name_view, to, node);
    rename_add(store,
               (struct sim_rename){
                   .has_from = true, .has_to = true, .from = *from, .to = *to, .node = node});
}

void sim_store_unlink(struct sim_store *store, const struct sim_path *path)
{
    struct sim_node *node = sim_store_find(store, path);
    entry_remove(&store->name_view, path, node);
    rename_add(store, (struct sim_rename){.has_from = true, .from = *path, .node = node});
}

/* A node has one name at most, so a kept rename takes it from wherever lost renames left it. */
static void rename_settle(struct sim_store *store, const struct sim_rename *change)
{
    /* What a later change of the same node has overtaken does not come back: no file system undoes
     * a rename that it kept by the creation that came before it. */
    if (change->number < change->node->name_number) {
        return;
    }
    change->node->name_number = change->number;
    if (!change->has_to) {
        entry_remove(&store->name_durable, &change->from, change->node);
        return;
    }
    entry_remove(&store->name_durable, NULL, change->node);
    entry_set(&store->name_durable, &change->to, change->node);
}

void sim_store_dir_sync(struct sim_store *store, const struct sim_path *path, bool failed)
{
    struct sim_rename **at = &store->renames;
    while (*at != NULL) {
        struct sim_rename *change = *at;
        struct sim_path from = sim_path_parent(&change->from);
        struct sim_path to = sim_path_parent(&change->to);
        bool luck = !failed || sim_store_percent(store, 50);
        change->from_synced |= luck && (!change->has_from || path_equal(&from, path));
        change->to_synced |= luck && (!change->has_to || path_equal(&to, path));
        if (change->from_synced && change->to_synced) {
            rename_settle(store, change);
            *at = change->next;
            free(change);
        } else {
            at = &change->next;
        }
    }
}

/* A name in a directory that did not survive is lost with it. */
static void names_prune(struct sim_store *store)
{
    bool again = true;
    while (again) {
        again = false;
        for (struct sim_entry *entry = store->name_durable; entry != NULL; entry = entry->next) {
            struct sim_path parent = sim_path_parent(&entry->path);
            if (!has_dir(store->name_durable, &parent)) {
                entry_remove(&store->name_durable, &entry->path, entry->node);
                store->stats.names_lost++;
                again = true;
                break;
            }
        }
    }
}

static void names_crash(struct sim_store *store, const struct inclination *lean)
{
    while (store->renames != NULL) {
        struct sim_rename *change = store->renames;
        store->renames = change->next;
        if (sim_store_percent(store, lean->name_percent)) {
            rename_settle(store, change);
            store->stats.names_kept++;
        } else {
            store->stats.names_lost++;
        }
        free(change);
    }
    names_prune(store);
    entries_free(&store->name_view);
    for (struct sim_entry *entry = store->name_durable; entry != NULL; entry = entry->next) {
        entry_set(&store->name_view, &entry->path, entry->node);
    }
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
    content_put(&node->view, offset, bytes);
    change_add(node, false, offset, bytes);
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
    names_crash(store, &lean);
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
    for (struct sim_entry *entry = store->name_view; entry != NULL; entry = entry->next) {
        entry->node->marked = true;
    }
    for (struct sim_entry *entry = store->name_durable; entry != NULL; entry = entry->next) {
        entry->node->marked = true;
    }
    for (struct sim_rename *change = store->renames; change != NULL; change = change->next) {
        change->node->marked = true;
    }
    nodes_free(store, false);
}

void sim_store_deinit(struct sim_store *store)
{
    entries_free(&store->name_view);
    entries_free(&store->name_durable);
    while (store->renames != NULL) {
        struct sim_rename *change = store->renames;
        store->renames = change->next;
        free(change);
    }
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
            named = entry->node == node;
        }
        used += named ? node->view.size : 0;
    }
    return used;
}
