/* thread: what the store's own threads tell the system of themselves. */
#ifndef BASIN_ENGINE_BASE_THREAD_H
#define BASIN_ENGINE_BASE_THREAD_H

#include <sys/resource.h>
#include <unistd.h>

/* Of ten shares of a core that both want, this thread takes one and a worker nine: who waits for a
 * reply goes first. Without the right to say so nothing happens. */
#define THREAD_BACKGROUND_NICE 10
static inline void thread_background(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), THREAD_BACKGROUND_NICE);
}

#endif
