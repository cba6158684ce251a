/* cellar: a store on a simulated disk that settles when it is told to, and a session on it, for
 * tests of what lies on disk.
 *
 *     cellar_begin(); … session_set(&session, …); cellar_settle(); … cellar_end();
 *
 * Thread: one. Failures end the test (test.h). */
#ifndef BASIN_TESTS_LIB_CELLAR_H
#define BASIN_TESTS_LIB_CELLAR_H

#include "tests/lib/session.h"
#include "tests/lib/sim_disk.h"

#define CELLAR_DIR "/store"

extern struct sim_disk *disk;
extern struct basin *basin;
extern struct session session; /* Waits until what it did is durable. */

/* A new disk with an empty store of four shards. */
void cellar_begin(void);
void cellar_end(void);
void cellar_reopen(void);    /* After a clean stop. */
void cellar_power_cut(void); /* And opens the store again. */
/* A round; then all that can leaves memory. */
void cellar_settle(void);

#endif
