#include "engine/wlog/wlog_depth.h"
#include "tests/lib/test.h"

/* Flushes on a device where one takes alone_us, and beside others beside_us. Gives how many of the
 * last thousand were allowed to overlap. */
static unsigned overlapping(struct wlog_depth *depth, uint64_t alone_us, uint64_t beside_us)
{
    unsigned deep = 0;
    for (unsigned i = 0; i < 3000; i++) {
        bool beside = wlog_depth_now(depth) > 1 && i % 2 == 1;
        deep += i >= 2000 && wlog_depth_now(depth) > 1;
        wlog_depth_learn(depth, beside, beside ? beside_us : alone_us);
    }
    return deep;
}

TEST(flushes_overlap_on_a_device_that_runs_them_beside_one_another)
{
    struct wlog_depth depth;
    wlog_depth_init(&depth, 4);
    EXPECT_INT(wlog_depth_now(&depth), 4);
    EXPECT(overlapping(&depth, 1000, 1050) > 900);
}

TEST(flushes_go_one_by_one_on_a_device_that_runs_them_one_after_the_other)
{
    struct wlog_depth depth;
    wlog_depth_init(&depth, 4);
    EXPECT(overlapping(&depth, 1700, 2900) < 100);
}

TEST(a_device_that_changes_its_ways_is_found_out)
{
    struct wlog_depth depth;
    wlog_depth_init(&depth, 4);
    EXPECT(overlapping(&depth, 1700, 2900) < 100);
    EXPECT(overlapping(&depth, 800, 810) > 900);
    EXPECT(overlapping(&depth, 1700, 2900) < 100);
}

TEST(a_fast_device_is_not_worth_the_cpu_of_overlapping)
{
    struct wlog_depth depth;
    wlog_depth_init(&depth, 4);
    EXPECT(overlapping(&depth, 150, 150) < 100);
}

TEST(one_flush_at_a_time_stays_one)
{
    struct wlog_depth depth;
    wlog_depth_init(&depth, 1);
    overlapping(&depth, 100, 100);
    EXPECT_INT(wlog_depth_now(&depth), 1);
}
