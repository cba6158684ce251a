/* wlog_hold: how long a batch waits for its company before its flush is submitted.
 *
 * A flush that carried n appends frees n clients, and most of them write again as soon as they have
 * their answer. If the first who is back starts the next flush, the crowd splits in two that take
 * turns, and each write waits for the other half's flush before its own: 2 L. If the flush waits
 * for the crowd to be back, a write costs L and the way to the client and back, and there are half
 * as many flushes. So after a completion that leaves nothing in flight, the next flush is held
 * until as many appends have come as the last one carried, but not longer than three quarters of a
 * flush time: what can be gained is less than L, so what is risked is too. A hold that ends by time
 * and has brought less than half of what was hoped for is not tried again for the next fifteen
 * flushes. One client alone is never held: its return is the whole crowd.
 *
 * Measured, SET always on 2 cores, without and with a bound of 3/4, medians of three: where a flush
 * takes 0.13 ms, 73 and 85 k/s at 50 clients, 12.8 and 16.9 at 4; where it takes 1.6 ms, 14.6 and
 * 19.5 at 50 (p50 3.24 and 2.38 ms), 1.23 and 2.34 at 4. Other bounds: docs/MEASUREMENTS.md.
 *
 * Thread: begin and end with the log's mutex; the questions by anybody.
 */
#ifndef BASIN_ENGINE_WLOG_WLOG_HOLD_H
#define BASIN_ENGINE_WLOG_WLOG_HOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wlog_hold {
    _Atomic uint64_t until_us; /* 0: nothing is held. */
    _Atomic uint64_t target;   /* Count of all appends at which it ends. */
    uint64_t begun;            /* Count of all appends when it began. */
    uint64_t flush_us;         /* See wlog_mean.h. */
    unsigned skip;             /* Flushes that are not held. */
};

/* A flush that carried so many appends has ended after took_us, and none is in flight. `appends`
 * counts all since the start. */
void wlog_hold_begin(struct wlog_hold *hold, uint64_t appends, uint64_t carried, uint64_t took_us,
                     uint64_t now_us);

/* How long the next flush still waits, in µs; 0: not at all. */
uint64_t wlog_hold_left(const struct wlog_hold *hold, uint64_t appends, uint64_t now_us);

/* The next flush is submitted: learns what the wait has brought. */
void wlog_hold_end(struct wlog_hold *hold, uint64_t appends);

#endif
