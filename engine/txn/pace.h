/* pace: how fast writers may go on while settling is behind.
 *
 * What comes in faster than settle rounds can take it to disk must wait in the end. If all writers
 * ran on until the bound and then stood still until the round ends, they would stand for as long as
 * a round takes. So they are slowed before: the nearer the bound, the slower, such that what comes
 * in and what is settled balance half way.
 *
 *     excess  0                 ½                    1
 *             starts     settling's own speed     the bound (store_reserve)
 *
 * Room for writes is given every millisecond, first to those who wait, in the order in which they
 * came; what is left is for whoever comes.
 *
 * Thread: one of its own; pace_admit by any. A store without threads (a simulated disk) is not
 * paced: there the bound alone holds.
 */
#ifndef BASIN_ENGINE_TXN_PACE_H
#define BASIN_ENGINE_TXN_PACE_H

#include "engine/base/bytes.h"

#include <pthread.h>

struct basin;

struct pace {
    _Atomic bool on;
    _Atomic int64_t room;    /* Bytes that may be written at once. */
    _Atomic uint64_t drain;  /* Bytes of log that rounds settle in a second. */
    _Atomic uint64_t slowed; /* Writes that had to wait, since the start. */
    bool runs, stop;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

void pace_init(struct pace *pace);
/* Starts the thread. ST_NOMEM. */
enum status pace_start(struct basin *basin);
/* Ends it. */
void pace_deinit(struct pace *pace);

/* Whether a write of so many bytes of log may begin now; if not it has to wait in the store's list,
 * and is granted in its turn. */
bool pace_admit(struct basin *basin, uint64_t size);
/* Has the thread look: settling may be behind. Never waits. */
void pace_wake(struct basin *basin);
/* A round has settled so many bytes of log in so many microseconds. */
void pace_learn(struct pace *pace, uint64_t bytes, uint64_t us);

/* Bytes a second for an excess and that drain. */
uint64_t pace_rate(double excess, uint64_t drain);

#endif
