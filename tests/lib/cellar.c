#include "tests/lib/cellar.h"

#include "tests/lib/test.h"

struct sim_disk *disk;
struct basin *basin;
struct session session;

static void store_open(void)
{
    struct basin_options options = basin_options_default();
    options.dir = CELLAR_DIR;
    options.io = sim_disk_io(disk);
    options.segment_size = 64 << 10;
    options.shards = 4;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    session_open(&session, basin);
    session.pump = true;
    session.wait_durable = true;
    session.now_ms = io_wall_ms(sim_disk_io(disk));
}

static void store_close(void)
{
    session_close(&session);
    basin_close(basin);
}

void cellar_begin(void)
{
    disk = sim_disk_new(test_seed());
    store_open();
}

void cellar_end(void)
{
    store_close();
    sim_disk_free(disk);
}

void cellar_reopen(void)
{
    store_close();
    store_open();
}

void cellar_power_cut(void)
{
    sim_disk_crash(disk);
    cellar_reopen();
}

void cellar_settle(void)
{
    EXPECT_INT(basin_settle(basin), ST_OK);
    basin_forget(basin, 1, 1);
}
