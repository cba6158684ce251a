/* arena: scratch memory that is given back all at once, a command's worth at a time.
 * Thread: one at a time. Memory: blocks grow by need; reset keeps the first block only. */
#ifndef BASIN_ENGINE_BASE_ARENA_H
#define BASIN_ENGINE_BASE_ARENA_H

#include "engine/base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *first;
    struct arena_block *current;
    unsigned char *next;
    size_t left;
};

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena);

/* Lent until the next reset, aligned to 16. NULL: no memory. A size of 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/* Ends the life of everything lent. */
void arena_reset(struct arena *arena);

#endif
