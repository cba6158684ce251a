/* resp_memory: where resp takes its memory from, so that a test can refuse it.
 * Thread: set it before the threads start. */
#ifndef BASIN_RESP_MEMORY_H
#define BASIN_RESP_MEMORY_H

#include <stddef.h>

/* As realloc; it is the C library's until a test puts another here. Memory from it goes back by
 * free. */
extern void *(*resp_realloc)(void *memory, size_t size);

#endif
