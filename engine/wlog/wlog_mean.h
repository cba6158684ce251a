/* wlog_mean: the moving average of flush times that wlog_depth and wlog_hold learn. In 1/16 µs; 0:
 * none yet. Thread: the holder of the log's mutex. */
#ifndef BASIN_ENGINE_WLOG_WLOG_MEAN_H
#define BASIN_ENGINE_WLOG_WLOG_MEAN_H

#include <stdint.h>

static inline void wlog_mean_add(uint64_t *mean, uint64_t took_us)
{
    uint64_t took = took_us * 16;
    if (*mean == 0) {
        *mean = took;
        return;
    }
    /* A hiccup of the device says little about the way its writes run. */
    took = took < *mean * 4 ? took : *mean * 4;
    *mean = *mean - *mean / 16 + took / 16;
}

#endif
