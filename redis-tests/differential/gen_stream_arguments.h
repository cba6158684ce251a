/* gen_stream_arguments: arguments of stream commands by chance. IDs come from a clock that only
 * this program moves, so that most new ones are higher than those before. Part of gen.
 * Thread: one. */
#ifndef BASIN_REDIS_TESTS_GEN_STREAM_ARGUMENTS_H
#define BASIN_REDIS_TESTS_GEN_STREAM_ARGUMENTS_H

#include "redis-tests/differential/gen.h"

/* Adds one of the kind (some kinds: several). False: no such kind. */
bool gen_put_stream_kind(struct gen *gen, struct bytes kind);

#endif
