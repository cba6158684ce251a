#include "engine/wlog/wlog_hold.h"

#include "engine/wlog/wlog_mean.h"

/* What is left of a crowd may be late or gone: seven of eight are enough. */
#define ENOUGH(count) ((count) - (count) / 8)
#define SKIP 15

void wlog_hold_begin(struct wlog_hold *hold, uint64_t appends, uint64_t carried, uint64_t took_us,
                     uint64_t now_us)
{
    wlog_mean_add(&hold->flush_us, took_us);
    if (hold->skip > 0) {
        hold->skip--;
        return;
    }
    hold->begun = appends;
    atomic_store_explicit(&hold->target, appends + ENOUGH(carried), memory_order_relaxed);
    atomic_store_explicit(&hold->until_us, now_us + hold->flush_us * 3 / 64, memory_order_relaxed);
}

uint64_t wlog_hold_left(const struct wlog_hold *hold, uint64_t appends, uint64_t now_us)
{
    uint64_t until_us = atomic_load_explicit(&hold->until_us, memory_order_relaxed);
    if (until_us <= now_us ||
        appends >= atomic_load_explicit(&hold->target, memory_order_relaxed)) {
        return 0;
    }
    return until_us - now_us;
}

void wlog_hold_end(struct wlog_hold *hold, uint64_t appends)
{
    if (atomic_load_explicit(&hold->until_us, memory_order_relaxed) == 0) {
        return;
    }
    uint64_t hoped = atomic_load_explicit(&hold->target, memory_order_relaxed) - hold->begun;
    if ((appends - hold->begun) * 2 < hoped) {
        hold->skip = SKIP;
    }
    atomic_store_explicit(&hold->until_us, 0, memory_order_relaxed);
}
