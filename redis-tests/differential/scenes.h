/* scenes: what cannot be a request in a stream: walks of several steps, chance, time, broken
 * protocol; and the comparison of the whole keyspaces. All lanes must be quiet.
 * Thread: one.
 */
#ifndef BASIN_REDIS_TESTS_SCENES_H
#define BASIN_REDIS_TESTS_SCENES_H

#include "redis-tests/differential/stage.h"

/* For every key of every database: that both have it, its type, value and expiry. */
void scenes_compare_keyspaces(struct stage *stage);

/* Empties both. */
void scenes_flush(struct stage *stage);

/* One of the family's scenes, by chance. */
void scenes_play(struct stage *stage, struct gen *gen, const struct gen_family *family);

#endif
