/* sim_store: what the simulated disk holds: contents and names, each seen, pending and durable.
 * Only the parts of the simulated disk include it; the promises D1 to D5 are in sim_disk.h, the
 * calls on names in sim_names.h.
 *
 *     name_view → link → node { view } ← pending changes → { durable } node ← link ← name_durable
 *
 * A change is pending from its call to a sync, a crash, or for ever when a failed sync dropped it.
 * Nothing here fails: the caller has looked at faults and space before. */
#ifndef BASIN_TESTS_LIB_SIM_STORE_H
#define BASIN_TESTS_LIB_SIM_STORE_H

#include "tests/lib/sim_disk.h"

#define SIM_PATH_MAX 512

/* A path without "./", doubled and trailing slashes. */
struct sim_path {
    char text[SIM_PATH_MAX];
};

struct sim_change; /* A write or truncation of a node that is not durable. */
struct sim_rename; /* A change of names that is not durable. */

struct sim_node {
    bool is_dir;
    struct buf view;
    struct buf durable;
    struct sim_change *changes; /* In the order of the calls. */
    unsigned handles;           /* Open files; for the caller to count. */
    const void *lock_owner;
    bool marked; /* Still reachable; for sim_store_sweep. */
    struct sim_node *next;
};

/* One name of a node, wherever renames have taken it. A hard link is a second one. */
struct sim_link {
    struct sim_node *node;
    bool marked;          /* As of a node. */
    uint64_t name_number; /* Of the last change of it that is durable. */
    struct sim_link *next;
};

struct sim_entry {
    struct sim_path path;
    struct sim_link *link;
    struct sim_entry *next;
};

struct sim_store {
    struct sim_node *nodes;
    struct sim_link *links;
    struct sim_entry *name_view;
    struct sim_entry *name_durable;
    struct sim_rename *renames; /* In the order of the calls. */
    uint64_t name_number;       /* Counts changes of names. */
    uint64_t chance;            /* The state of test_random. */
    struct sim_disk_stats stats;
};

void sim_store_init(struct sim_store *store, uint64_t seed);
void sim_store_deinit(struct sim_store *store);

/* Without a name yet. */
struct sim_node *sim_store_node_new(struct sim_store *store, bool is_dir);

void sim_store_write(struct sim_store *store, struct sim_node *node, uint64_t offset,
                     struct bytes bytes);
void sim_store_write_durable(struct sim_store *store, struct sim_node *node, uint64_t offset,
                             struct bytes bytes);
/* Writes each sector or not, by chance (D5). */
void sim_store_write_some(struct sim_store *store, struct sim_node *node, uint64_t offset,
                          struct bytes bytes);
/* Zeros for as much of the range as the file has; free their data. */
struct bytes sim_store_hole(const struct sim_node *node, uint64_t offset, uint64_t size);
void sim_store_truncate(struct sim_store *store, struct sim_node *node, uint64_t size);
void sim_store_sync(struct sim_store *store, struct sim_node *node, bool failed);

/* Changes each byte of the range in the view, in the pending writes and in what is durable. */
void sim_store_corrupt(struct sim_store *store, struct sim_node *node, uint64_t offset,
                       uint64_t size);

/* Settles all that is pending by chance or mode, then the view is what is durable. */
void sim_store_crash(struct sim_store *store, enum sim_crash mode);

uint64_t sim_store_used(const struct sim_store *store);

/* Frees nodes that no name, pending change or handle reaches. */
void sim_store_sweep(struct sim_store *store);

uint64_t sim_store_below(struct sim_store *store, uint64_t bound);
bool sim_store_percent(struct sim_store *store, unsigned percent);
void *sim_allocate(size_t size); /* Zeroed; aborts without memory. */

#endif
