/* model_damage: bytes of strata change on the disk while the store runs and after it starts again.
 * Every answer is right or ST_CORRUPT; what is not damaged lives on, and can be written. */
#ifndef BASIN_TESTS_MODEL_DAMAGE_H
#define BASIN_TESTS_MODEL_DAMAGE_H

#include "tests/model/model_world.h"

/* The store is open; it is open or not when this returns. The state is of no use any more. */
void damage_live(struct world *world);

#endif
