/* sim_names: the names of the simulated disk: paths, entries, and the changes to them that wait for
 * a sync or a crash. Only its parts include it; see sim_store.h. Nothing here fails. */
#ifndef BASIN_TESTS_LIB_SIM_NAMES_H
#define BASIN_TESTS_LIB_SIM_NAMES_H

#include "tests/lib/sim_store.h"

struct sim_path sim_path_of(const char *path);
struct sim_path sim_path_parent(const struct sim_path *path);

/* NULL: no such name. "/" and "." have none; ask sim_names_has_dir. */
struct sim_node *sim_names_find(struct sim_store *store, const struct sim_path *path);
bool sim_names_has_dir(struct sim_store *store, const struct sim_path *path);

/* For the next three `from` is there; for the first two the parent of the new name is, and the name
 * is not. */
struct sim_node *sim_names_create(struct sim_store *store, const struct sim_path *path,
                                  bool is_dir);
void sim_names_link(struct sim_store *store, const struct sim_path *from,
                    const struct sim_path *to);
/* Does nothing when both are names of one node. */
void sim_names_rename(struct sim_store *store, const struct sim_path *from,
                      const struct sim_path *to);
void sim_names_unlink(struct sim_store *store, const struct sim_path *path);
/* How many names a node has now; whether a directory has names in it. */
unsigned sim_names_count(struct sim_store *store, const struct sim_node *node);
bool sim_names_has_any(struct sim_store *store, const struct sim_path *dir);

/* Makes the names of that directory durable; failed: some of them. */
void sim_names_sync(struct sim_store *store, const struct sim_path *path, bool failed);

/* Keeps each pending change with that chance, then the view is what is durable. */
void sim_names_crash(struct sim_store *store, unsigned keep_percent);

/* Frees links that no entry and no pending change reaches, and marks the nodes of the others. */
void sim_names_sweep(struct sim_store *store);
void sim_names_deinit(struct sim_store *store);

#endif
