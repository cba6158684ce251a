/* crash_verify: does the store hold what it must, and nothing else? Thread: one. */
#ifndef BASIN_TESTS_CRASH_CRASH_VERIFY_H
#define BASIN_TESTS_CRASH_CRASH_VERIFY_H

#include "tests/crash/crash_load.h"

/* Reads the whole store and judges it; each problem is printed on a line of its own. Afterwards the
 * world is what was found. Gives the count of problems. */
unsigned verify_store(struct world *world, int port);

#endif
