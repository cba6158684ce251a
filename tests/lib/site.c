#include "tests/lib/site.h"

#include "engine/base/log.h"
#include "tests/lib/census.h"
#include "tests/lib/chores.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define GROWTH 6 /* See chore_issue. */

struct basin_options site_options(struct sim_disk *disk, const char *dir, uint64_t settle_log,
                                  uint64_t seed)
{
    uint64_t chance = seed * 2 + 1;
    struct basin_options options = basin_options_default();
    options.dir = dir;
    options.io = sim_disk_io(disk);
    options.shards = 4;
    options.segment_size = 64 << 10; /* Rotated, trimmed and recycled all the time. */
    options.settle_log = settle_log;
    options.limits = chores_limits(&chance, options.limits);
    return options;
}

enum status site_open(struct site *site, struct sim_disk *disk, const char *dir,
                      uint64_t settle_log, uint64_t seed)
{
    struct basin_options options = site_options(disk, dir, settle_log, seed);
    *site = (struct site){.disk = disk, .chance = seed * 2 + 1};
    log_set_level(LOG_WARNING); /* Backups that end well say so. */
    enum status status = basin_open(&options, &site->basin);
    if (status == ST_OK) {
        session_open(&site->session, site->basin);
        site->session.pump = true;
        site->session.now_ms = io_wall_ms(sim_disk_io(disk));
    }
    return status;
}

void site_close(struct site *site)
{
    session_close(&site->session);
    basin_close(site->basin);
}

void site_work(struct site *site, unsigned chores)
{
    for (unsigned i = 0; i < chores; i++) {
        EXPECT_INT(chore_issue(&site->session, &site->chance, GROWTH), ST_OK);
    }
}

void site_fill(struct site *site, uint64_t settle_log)
{
    for (unsigned round = 0; round < 4; round++) {
        site_work(site, 20);
        if (settle_log > 0) {
            EXPECT_INT(basin_settle(site->basin), ST_OK);
            basin_forget(site->basin, 2, round + 1);
        }
    }
    if (settle_log > 0) {
        EXPECT_INT(basin_compact(site->basin), ST_OK);
    }
    site_work(site, 10);
}

void site_state(struct site *site, struct buf *out)
{
    struct bytes keys[CHORES_KEYS];
    chores_keys(keys);
    EXPECT_INT(census_take(&site->session, keys, CHORES_KEYS, out), ST_OK);
}

void site_expect(struct site *site, const struct buf *expected)
{
    struct buf now = BUF_EMPTY;
    site_state(site, &now);
    if (!bytes_equal(buf_bytes(&now), buf_bytes(expected))) {
        census_differ(buf_bytes(expected), buf_bytes(&now));
        test_fail(__FILE__, __LINE__, "the store does not hold what it should");
    }
    buf_deinit(&now);
}

bool site_has_dir(struct sim_disk *disk, const char *path)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum status status = io_dir_list(sim_disk_io(disk), path, &names, &count);
    free(names);
    return status == ST_OK;
}
