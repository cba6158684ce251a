/* wlog_depth: how many flushes to keep in flight, learned from the device.
 *
 * An append that finds a flush in flight may start one of its own or wait for that one's end and go
 * with all that gathered meanwhile. With a flush time of L alone and M beside others at depth d, a
 * reply takes about 1.5 L the first way round and M (1 + 1/2d) the other. So overlapping pays on a
 * device that truly runs writes beside one another (M near L: NVMe, cloud volumes) and costs
 * latency and CPU on one that runs them one after the other (M near 2 L: many virtual disks, a
 * single spindle). The limit is M < 1.2 L. Both are measured all the time: one window of flushes in
 * sixteen tries the other way. And where L is below half a millisecond there is little to gain: a
 * flush costs 30 to 40 µs of CPU here (two virtio requests, their interrupts and wake-ups), so half
 * as many, twice as large, leave more of it to the commands.
 *
 * Thread: the holder of the log's mutex, but wlog_depth_now, which anybody may read.
 */
#ifndef BASIN_ENGINE_WLOG_WLOG_DEPTH_H
#define BASIN_ENGINE_WLOG_WLOG_DEPTH_H

#include "engine/base/bytes.h"

#include <stdatomic.h>

struct wlog_depth {
    unsigned max;
    _Atomic unsigned now;
    bool deep;              /* What pays, as far as known. */
    unsigned count;         /* Flushes learned from. */
    uint64_t alone, beside; /* See wlog_mean.h. */
};

void wlog_depth_init(struct wlog_depth *depth, unsigned max);

/* A flush took so long; was it submitted while others were in flight? Large ones, whose time is
 * that of their bytes, are not to be given. */
void wlog_depth_learn(struct wlog_depth *depth, bool beside, uint64_t took_us);

static inline unsigned wlog_depth_now(const struct wlog_depth *depth)
{
    return atomic_load_explicit(&depth->now, memory_order_relaxed);
}

#endif
