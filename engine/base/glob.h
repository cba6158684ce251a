/* glob: patterns as KEYS, SCAN and CONFIG GET take them: * ? [a-z] [^a-z] and a backslash before
 * any of them. Thread: any. */
#ifndef BASIN_ENGINE_BASE_GLOB_H
#define BASIN_ENGINE_BASE_GLOB_H

#include "engine/base/bytes.h"

bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case);

#endif
