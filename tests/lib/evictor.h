/* evictor: takes parts of a clast out of memory at random and brings back what was asked for, so
 * that tests meet absent parts everywhere.
 *
 *     evictor_init → (evictor_evict → operation → while ST_WAIT: evictor_load → operation) → deinit
 *
 * Thread: none.
 */
#ifndef BASIN_TESTS_LIB_EVICTOR_H
#define BASIN_TESTS_LIB_EVICTOR_H

#include "engine/value/clast.h"

struct evictor {
    struct part **kept; /* By handle: what was evicted. */
    size_t count, capacity;
    uint64_t loads;
};

void evictor_init(struct evictor *evictor);
void evictor_deinit(struct evictor *evictor);
/* Evicts each part that can be with a chance of one in `odds`. */
void evictor_evict(struct evictor *evictor, struct clast *clast, uint64_t odds, uint64_t *state);
/* Brings the parts that were asked for since the last call; fails the test if there were none. */
void evictor_load(struct evictor *evictor, struct clast *clast);
/* Brings everything back. */
void evictor_load_all(struct evictor *evictor, struct clast *clast);

#endif
