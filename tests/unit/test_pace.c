/* Writers are slowed before settling's bound, never stopped before it, and wait in order. */
#include "engine/txn/store.h"

#include "tests/lib/sim_disk.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TEST(half_way_to_the_bound_the_pace_is_what_settling_takes)
{
    uint64_t drain = 64 << 20;
    EXPECT_INT(pace_rate(0.5, drain), drain);
    EXPECT_INT(pace_rate(0, drain), 2 * drain);
    EXPECT(pace_rate(0.9, drain) < drain / 4);
    for (double excess = -0.5; excess < 1.5; excess += 0.01) {
        EXPECT(pace_rate(excess + 0.01, drain) <= pace_rate(excess, drain));
        EXPECT(pace_rate(excess, drain) > 0); /* Nobody stands still for ever. */
    }
    EXPECT(pace_rate(0.5, 0) > 0); /* Nor if a round took ages. */
}

TEST(what_settling_takes_is_learned_from_its_rounds)
{
    struct pace pace;
    pace_init(&pace);
    for (unsigned i = 0; i < 20; i++) {
        pace_learn(&pace, 5 << 20, 1000000);
    }
    EXPECT(pace.drain > 4.9 * (1 << 20) && pace.drain < 5.1 * (1 << 20));
    pace_deinit(&pace);
}

struct writer {
    struct txn *txn;
    _Atomic unsigned woken;
    unsigned place; /* The how-manieth was woken. */
};

static _Atomic unsigned places;

static void wake(void *ctx)
{
    struct writer *writer = ctx;
    writer->place = atomic_fetch_add(&places, 1);
    atomic_fetch_add(&writer->woken, 1);
}

/* A store without threads of its own but the pace's: time goes on as the test says. */
TEST(who_came_first_goes_first_and_nobody_before_there_is_room)
{
    enum { WRITERS = 20, SIZE = 10000 };
    struct sim_disk *disk = sim_disk_new(test_seed());
    struct basin_options options = basin_options_default();
    options.dir = "/store";
    options.io = sim_disk_io(disk);
    options.segment_size = 64 << 10;
    options.shards = 4;
    options.settle_log = 1 << 20;
    struct basin *basin;
    EXPECT_INT(basin_open(&options, &basin), ST_OK);
    EXPECT_INT(pace_start(basin), ST_OK);
    atomic_store(&basin->settled_lsn, basin_end(basin) - (3 << 20)); /* A third of the way. */
    basin->pace.drain = 1 << 20;
    pace_wake(basin);
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.woken = 0};
        EXPECT_INT(txn_new(basin, wake, &writers[i], &writers[i].txn), ST_OK);
        txn_begin(writers[i].txn, 1000, 1);
        EXPECT_INT(txn_plan(writers[i].txn, 0, bytes_of_text("key")), ST_OK);
        EXPECT_INT(txn_reserve(writers[i].txn, SIZE), ST_WAIT);
        txn_retry(writers[i].txn);
    }
    usleep(20000);
    EXPECT_INT(places, 0); /* No time has passed. */
    txn_cancel(writers[7].txn);
    for (unsigned i = 0; i < 20000 && atomic_load(&places) < WRITERS - 1; i++) {
        sim_disk_advance(disk, 1000);
        usleep(100);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        EXPECT_INT(writers[i].woken, i != 7);
        EXPECT(i == 7 || writers[i].place == i - (i > 7));
        if (i != 7) { /* It was let in: it need not wait again. */
            EXPECT_INT(txn_lock(writers[i].txn), ST_OK);
        }
        txn_cancel(writers[i].txn);
        txn_free(writers[i].txn);
    }
    EXPECT_INT(basin->pace.slowed, WRITERS);
    basin_close(basin);
    sim_disk_free(disk);
}
