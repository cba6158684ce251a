/* site: a store on a simulated disk, and one who works on it with chores (chores.h).
 *
 * Two stores that are opened on one disk, a store and its copy say, are two sites. What is not
 * ST_OK fails the test, but where a status is given. Thread: one. */
#ifndef BASIN_TESTS_LIB_SITE_H
#define BASIN_TESTS_LIB_SITE_H

#include "tests/lib/session.h"
#include "tests/lib/sim_disk.h"

struct site {
    struct sim_disk *disk;
    struct basin *basin;
    struct session session;
    uint64_t chance;
};

/* Small segments, small values that grow into large ones. dir is kept. */
struct basin_options site_options(struct sim_disk *disk, const char *dir, uint64_t settle_log,
                                  uint64_t seed);
enum status site_open(struct site *site, struct sim_disk *disk, const char *dir,
                      uint64_t settle_log, uint64_t seed);
void site_close(struct site *site);
/* So many chores. */
void site_work(struct site *site, unsigned chores);
/* Grows, and with settle_log is settled a few times and merged; something is in the log behind. */
void site_fill(struct site *site, uint64_t settle_log);
/* All that it holds (census.h), in place of what out held; and that it holds this. */
void site_state(struct site *site, struct buf *out);
void site_expect(struct site *site, const struct buf *expected);
bool site_has_dir(struct sim_disk *disk, const char *path);

#endif
