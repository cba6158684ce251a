/* show: grains and log records for eyes, a line each. Thread: one. */
#ifndef BASIN_CHECK_SHOW_H
#define BASIN_CHECK_SHOW_H

#include "check/report.h"
#include "engine/manifest/manifest.h"

/* Damage is printed where it is met. ST_PROTO: a newer version wrote a stratum. */
enum status show_strata(struct io *io, const char *dir, const struct manifest *manifest,
                        struct report *report);
enum status show_log(struct io *io, const char *dir, const struct manifest *manifest,
                     struct report *report);

#endif
