#include "tests/model/model_damage.h"

#include "engine/base/check.h"
#include "tests/model/model_check.h"
#include "tests/model/model_ops.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS 60

/* Some ranges of some strata, each in one sector or over many. */
static void damage(struct world *world)
{
    struct io *io = sim_disk_io(world->disk);
    struct io_name *names = NULL;
    size_t count = 0;
    char dir[WORLD_DIR_MAX + 16];
    snprintf(dir, sizeof(dir), "%s/strata", world->dir);
    CHECK(io_dir_list(io, dir, &names, &count) == ST_OK);
    for (uint64_t i = count == 0 ? 0 : 1 + world_below(world, 4); i > 0; i--) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%.400s", dir, names[world_below(world, count)].text);
        uint64_t size = sim_disk_size_raw(world->disk, path);
        uint64_t at = world_below(world, size);
        uint64_t range = 1 + world_below(world, world_one_in(world, 4) ? 20000 : 16);
        world_tell(world, "damage of %s at %llu, %llu bytes", path, (unsigned long long)at,
                   (unsigned long long)range);
        sim_disk_corrupt(world->disk, path, at, range);
        tally.damaged++;
    }
    free(names);
}

static void live_on(struct world *world)
{
    for (unsigned i = 0; i < STEPS; i++) {
        operation_simple(world);
        if (world_one_in(world, 10)) {
            (void)basin_forget(world->basin, 1 + world_below(world, 3), world->chance);
        }
        if (world_one_in(world, 15)) {
            (void)world_answer(world, "a settle round", basin_settle(world->basin));
        }
        if (world_one_in(world, 20)) {
            (void)world_answer(world, "a merge", basin_compact(world->basin));
        }
    }
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        check_scan(world, d, false);
    }
    check_all(world);
}

void damage_live(struct world *world)
{
    CHECK(world_answer(world, "a settle round", basin_settle(world->basin)));
    (void)basin_forget(world->basin, 1, world->chance);
    damage(world);
    world->damaged = true;
    live_on(world);
    world_close(world);
    enum status status = world_open(world);
    if (world_answer(world, "a start", status)) {
        live_on(world);
    }
}
