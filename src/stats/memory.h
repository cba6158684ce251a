/* memory: what counts against maxmemory beside what the store counts of its keys.
 *
 *   - Clients' buffers: requests not yet run, replies not yet sent.
 *   - A share for what is resident and nothing explains: the allocator's own waste in large values,
 *     values that are being freed, freed memory that it keeps. Measured is the resident size less
 *     the program as it started, less what is counted (with the free room in slabs), less
 *     UNEXPLAINED_NOISE, as a share of what is counted; at most a quarter, since otherwise memory
 *     that the allocator keeps would let each key that goes ask for the next. The share follows
 *     what is measured over some seconds, so that what comes and goes moves it little.
 *
 * Both are measured ten times a second: a slow correction of a count that is exact. Clients'
 * buffers are added up once more before anything is evicted or refused, so that a burst that is
 * over costs no keys. Thread: memory_sample by one worker; memory_refresh by any; struct
 * memory_stats under the mutex of struct stats, but what is atomic.
 */
#ifndef BASIN_SRC_STATS_MEMORY_H
#define BASIN_SRC_STATS_MEMORY_H

#include "engine/base/bytes.h"

#include <stdatomic.h>

struct server;
struct basin_stats;

struct memory_stats {
    bool measured;
    uint64_t program; /* Resident when nothing was stored yet. */
    double share;     /* Of what nothing explains in what is counted, smoothed. */
    _Atomic uint64_t unexplained;
    uint64_t over_since_ms; /* Monotonic; 0: no more is in use than may be. */
    uint64_t over_ms;       /* All such times before this one. */
};

/* Of this process; 0 where /proc is not there. */
uint64_t memory_resident(void);
/* One measurement of what nothing explains, as a share of what is counted. */
double memory_share(uint64_t resident, uint64_t program, uint64_t counted);
/* Measures and tells the store. basin: as of now. */
void memory_sample(struct server *server, const struct basin_stats *basin, uint64_t now_ms);
/* Tells the store of the clients' buffers as of now. */
void memory_refresh(struct server *server);

#endif
