#include "engine/wlog/wlog_depth.h"

#include "engine/wlog/wlog_mean.h"

#define WINDOW 16  /* Flushes between two decisions. */
#define WINDOWS 16 /* The last of so many tries the other way. */
#define DEEP_MIN_US 500
#define PROBE 2 /* In flight while a device that seems to run them one by one is tried. */

void wlog_depth_init(struct wlog_depth *depth, unsigned max)
{
    *depth = (struct wlog_depth){.max = max, .deep = true};
    atomic_store(&depth->now, max);
}

void wlog_depth_learn(struct wlog_depth *depth, bool beside, uint64_t took_us)
{
    wlog_mean_add(beside ? &depth->beside : &depth->alone, took_us);
    if (++depth->count % WINDOW != 0) {
        return;
    }
    if (depth->alone > 0 && depth->beside > 0) {
        depth->deep = depth->beside * 10 < depth->alone * 12;
    }
    if (depth->alone > 0 && depth->alone < DEEP_MIN_US * 16) {
        depth->deep = false;
    }
    bool probe = depth->count / WINDOW % WINDOWS == WINDOWS - 1;
    unsigned deep = probe ? PROBE : depth->max;
    deep = deep < depth->max ? deep : depth->max;
    atomic_store_explicit(&depth->now, depth->deep != probe ? deep : 1, memory_order_relaxed);
}
