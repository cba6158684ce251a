#include "engine/wlog/wlog_hold.h"
#include "tests/lib/test.h"

/* Flushes of 400 µs that carry `carried`; in the first `return_us` after each, so many appends come
 * back. Gives how long the next one is held, once that is learned. */
static uint64_t held_us(struct wlog_hold *hold, uint64_t carried, uint64_t back, uint64_t return_us)
{
    uint64_t now_us = 1000000;
    uint64_t appends = 0;
    uint64_t held = 0;
    for (unsigned i = 0; i < 10; i++) {
        wlog_hold_begin(hold, appends, carried, 400, now_us);
        uint64_t begun_us = now_us;
        uint64_t left;
        uint64_t returned = 0;
        while ((left = wlog_hold_left(hold, appends, now_us)) > 0) {
            EXPECT(left <= 400);
            now_us++;
            uint64_t due = (now_us - begun_us) * back / return_us;
            due = due < back ? due : back;
            appends += due - returned;
            returned = due;
        }
        held = now_us - begun_us;
        wlog_hold_end(hold, appends);
        appends += back - returned;
        now_us += 400;
    }
    return held;
}

TEST(a_flush_waits_until_the_crowd_of_the_last_one_is_back)
{
    struct wlog_hold hold = {0};
    uint64_t held = held_us(&hold, 50, 50, 200);
    EXPECT(held > 150 && held <= 200);
}

TEST(one_client_is_not_held_once_it_is_back)
{
    struct wlog_hold hold = {0};
    EXPECT_INT(held_us(&hold, 1, 1, 10), 10);
}

TEST(a_hold_ends_after_three_quarters_of_a_flush)
{
    struct wlog_hold hold = {0};
    EXPECT_INT(held_us(&hold, 50, 40, 380), 300);
}

TEST(clients_that_do_not_come_back_are_not_waited_for_again)
{
    struct wlog_hold hold = {0};
    EXPECT_INT(held_us(&hold, 50, 5, 100), 0);
    EXPECT_INT(wlog_hold_left(&hold, 0, 0), 0);
}

TEST(after_fifteen_flushes_a_hold_is_tried_again)
{
    struct wlog_hold hold = {0};
    unsigned tried = 0;
    for (unsigned i = 0; i < 160; i++) {
        wlog_hold_begin(&hold, 0, 50, 400, 1000);
        tried += wlog_hold_left(&hold, 0, 1000) > 0;
        wlog_hold_end(&hold, 0);
    }
    EXPECT_INT(tried, 10);
}

TEST(a_hiccup_of_the_device_does_not_lengthen_the_hold)
{
    struct wlog_hold hold = {0};
    for (unsigned i = 0; i < 50; i++) {
        wlog_hold_begin(&hold, 0, 50, 400, 1000);
    }
    uint64_t before = wlog_hold_left(&hold, 0, 1000);
    wlog_hold_begin(&hold, 0, 50, 1000000, 1000);
    EXPECT(wlog_hold_left(&hold, 0, 1000) < before * 5 / 4);
}
