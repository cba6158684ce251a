/* judge_stream: whether two replies about streams agree, where they hold times and what 7.2 knows
 * beyond 7.0. Part of judge. Thread: one. */
#ifndef BASIN_REDIS_TESTS_JUDGE_STREAM_H
#define BASIN_REDIS_TESTS_JUDGE_STREAM_H

#include "redis-tests/differential/reply.h"

/* Changes both. nodes: as many blocks of entries too. */
bool judge_stream_agrees(struct reply *theirs, struct reply *ours, bool nodes);

#endif
