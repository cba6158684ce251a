#include "tests/lib/sim_names.h"

#include "engine/base/check.h"

#include <stdlib.h>

struct sim_rename {
    bool has_from; /* A rename or an unlink: the name goes. */
    bool has_to;   /* A rename or a creation: the name comes. */
    bool from_synced;
    bool to_synced;
    struct sim_path from;
    struct sim_path to;
    struct sim_link *link;
    struct sim_rename *next;
    uint64_t number; /* Their order. */
};

/* -- Paths ------------------------------------------------------------------------------------- */

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

/* -- Entries ----------------------------------------------------------------------------------- */

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
                      struct sim_link *link)
{
    struct sim_entry *entry = entry_find(*entries, path);
    if (entry == NULL) {
        entry = sim_allocate(sizeof(*entry));
        entry->path = *path;
        entry->next = *entries;
        *entries = entry;
    }
    entry->link = link;
}

/* Takes that link's name away, wherever it stands; path: only from there. */
static void entry_remove(struct sim_entry **entries, const struct sim_path *path,
                         const struct sim_link *link)
{
    for (struct sim_entry **at = entries; *at != NULL;) {
        struct sim_entry *entry = *at;
        if (entry->link == link && (path == NULL || path_equal(&entry->path, path))) {
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

struct sim_node *sim_names_find(struct sim_store *store, const struct sim_path *path)
{
    struct sim_entry *entry = entry_find(store->name_view, path);
    return entry == NULL ? NULL : entry->link->node;
}

static bool has_dir(struct sim_entry *entries, const struct sim_path *path)
{
    struct sim_entry *entry = entry_find(entries, path);
    return path_is_root(path) || (entry != NULL && entry->link->node->is_dir);
}

bool sim_names_has_dir(struct sim_store *store, const struct sim_path *path)
{
    return has_dir(store->name_view, path);
}

unsigned sim_names_count(struct sim_store *store, const struct sim_node *node)
{
    unsigned count = 0;
    for (struct sim_entry *entry = store->name_view; entry != NULL; entry = entry->next) {
        count += entry->link->node == node;
    }
    return count;
}

bool sim_names_has_any(struct sim_store *store, const struct sim_path *dir)
{
    for (struct sim_entry *entry = store->name_view; entry != NULL; entry = entry->next) {
        struct sim_path parent = sim_path_parent(&entry->path);
        if (path_equal(&parent, dir)) {
            return true;
        }
    }
    return false;
}

/* -- Changes ----------------------------------------------------------------------------------- */

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

static void link_add(struct sim_store *store, struct sim_node *node, const struct sim_path *path)
{
    struct sim_link *link = sim_allocate(sizeof(*link));
    link->node = node;
    link->next = store->links;
    store->links = link;
    entry_set(&store->name_view, path, link);
    rename_add(store, (struct sim_rename){.has_to = true, .to = *path, .link = link});
}

struct sim_node *sim_names_create(struct sim_store *store, const struct sim_path *path, bool is_dir)
{
    struct sim_node *node = sim_store_node_new(store, is_dir);
    link_add(store, node, path);
    return node;
}

void sim_names_link(struct sim_store *store, const struct sim_path *from, const struct sim_path *to)
{
    link_add(store, sim_names_find(store, from), to);
}

void sim_names_rename(struct sim_store *store, const struct sim_path *from,
                      const struct sim_path *to)
{
    struct sim_link *link = entry_find(store->name_view, from)->link;
    if (link->node == sim_names_find(store, to)) {
        return;
    }
    entry_remove(&store->name_view, from, link);
    entry_set(&store->name_view, to, link);
    rename_add(store,
               (struct sim_rename){
                   .has_from = true, .has_to = true, .from = *from, .to = *to, .link = link});
}

void sim_names_unlink(struct sim_store *store, const struct sim_path *path)
{
    struct sim_link *link = entry_find(store->name_view, path)->link;
    entry_remove(&store->name_view, path, link);
    rename_add(store, (struct sim_rename){.has_from = true, .from = *path, .link = link});
}

/* A later change that is durable took the name from who had it: an earlier one that still waits
 * does not bring that back. It may still take a name away. */
static void renames_overtake(struct sim_store *store, const struct sim_rename *durable)
{
    for (struct sim_rename *change = store->renames; change != NULL; change = change->next) {
        bool name_taken = (durable->has_to && path_equal(&change->to, &durable->to)) ||
                          (durable->has_from && path_equal(&change->to, &durable->from));
        if (change->number < durable->number && change->link != durable->link && name_taken) {
            change->has_to = false;
            change->to = (struct sim_path){{0}};
        }
    }
}

/* A link has one name at most, so a kept rename takes it from wherever lost renames left it. */
static void rename_settle(struct sim_store *store, const struct sim_rename *change)
{
    /* What a later change of the same link has overtaken does not come back: no file system undoes
     * a rename that it kept by the creation that came before it. */
    if (change->number < change->link->name_number) {
        return;
    }
    change->link->name_number = change->number;
    renames_overtake(store, change);
    if (!change->has_to) {
        entry_remove(&store->name_durable, &change->from, change->link);
        return;
    }
    entry_remove(&store->name_durable, NULL, change->link);
    entry_set(&store->name_durable, &change->to, change->link);
}

void sim_names_sync(struct sim_store *store, const struct sim_path *path, bool failed)
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
                entry_remove(&store->name_durable, &entry->path, entry->link);
                store->stats.names_lost++;
                again = true;
                break;
            }
        }
    }
}

void sim_names_crash(struct sim_store *store, unsigned keep_percent)
{
    while (store->renames != NULL) {
        struct sim_rename *change = store->renames;
        store->renames = change->next;
        if (sim_store_percent(store, keep_percent)) {
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
        entry_set(&store->name_view, &entry->path, entry->link);
    }
}

/* -- Life -------------------------------------------------------------------------------------- */

static void links_free(struct sim_store *store, bool all)
{
    for (struct sim_link **at = &store->links; *at != NULL;) {
        struct sim_link *link = *at;
        if (!all && link->marked) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        free(link);
    }
}

void sim_names_sweep(struct sim_store *store)
{
    for (struct sim_link *link = store->links; link != NULL; link = link->next) {
        link->marked = false;
    }
    for (struct sim_entry *entry = store->name_view; entry != NULL; entry = entry->next) {
        entry->link->marked = true;
    }
    for (struct sim_entry *entry = store->name_durable; entry != NULL; entry = entry->next) {
        entry->link->marked = true;
    }
    for (struct sim_rename *change = store->renames; change != NULL; change = change->next) {
        change->link->marked = true;
    }
    links_free(store, false);
    for (struct sim_link *link = store->links; link != NULL; link = link->next) {
        link->node->marked = true;
    }
}

void sim_names_deinit(struct sim_store *store)
{
    entries_free(&store->name_view);
    entries_free(&store->name_durable);
    while (store->renames != NULL) {
        struct sim_rename *change = store->renames;
        store->renames = change->next;
        free(change);
    }
    links_free(store, true);
}
