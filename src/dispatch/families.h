/* families: the rows of the command table, one array a file in src/commands/, each ending with a
 * NULL name. Only command.c includes this. Thread: constant. */
#ifndef BASIN_SRC_DISPATCH_FAMILIES_H
#define BASIN_SRC_DISPATCH_FAMILIES_H

#include "src/dispatch/command.h"

extern const struct command connection_commands[];
extern const struct command clients_commands[];
extern const struct command durability_commands[];
extern const struct command administration_commands[];
extern const struct command storage_commands[];
extern const struct command introspection_commands[];
extern const struct command strings_commands[];
extern const struct command lists_commands[];
extern const struct command bitmaps_commands[];
extern const struct command hyperloglog_commands[];
extern const struct command hashes_commands[];
extern const struct command sets_commands[];
extern const struct command sort_commands[];
extern const struct command sorted_sets_commands[];
extern const struct command geo_commands[];
extern const struct command keys_commands[];
extern const struct command streams_commands[];
extern const struct command collections_commands[];
extern const struct command dump_commands[];

#endif
