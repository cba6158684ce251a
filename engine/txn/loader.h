/* loader: threads that wait for the device in the place of txns: windows of the keyspace, counts,
 * and what txns miss that have no reader.
 *
 * Without threads (a simulated disk) loader_run does what waits.
 */
#ifndef BASIN_ENGINE_TXN_LOADER_H
#define BASIN_ENGINE_TXN_LOADER_H

#include "engine/base/bytes.h"

struct basin;
struct loader;
struct load_room;

struct errand {
    /* Without locks; frees what the errand lies in. */
    void (*run)(struct errand *errand, struct load_room *room);
    /* The store is closed instead: frees it as well. */
    void (*drop)(struct errand *errand);
    struct errand *next;
};

enum status loader_new(struct basin *basin, unsigned threads, struct loader **loader_out);
void loader_free(struct loader *loader);
/* Takes it. Never waits; any thread. */
void loader_add(struct loader *loader, struct errand *errand);
void loader_run(struct loader *loader);

#endif
