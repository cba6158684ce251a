#include "engine/base/arena.h"

#include <stdlib.h>

#define BLOCK_SIZE 16384

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(16) unsigned char data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

static void blocks_free(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_deinit(struct arena *arena)
{
    blocks_free(arena->first);
    arena_init(arena);
}

void arena_reset(struct arena *arena)
{
    if (arena->first == NULL) {
        return;
    }
    if (arena->first->size > BLOCK_SIZE) { /* An unusual command: do not keep its size. */
        arena_deinit(arena);
        return;
    }
    blocks_free(arena->first->next);
    arena->first->next = NULL;
    arena->current = arena->first;
    arena->next = arena->first->data;
    arena->left = arena->first->size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = (size + 15) & ~(size_t)15;
    if (size > arena->left || arena->next == NULL) {
        size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct arena_block *block = malloc(sizeof(*block) + block_size);
        if (block == NULL) {
            return NULL;
        }
        block->next = NULL;
        block->size = block_size;
        if (arena->current != NULL) {
            arena->current->next = block;
        } else {
            arena->first = block;
        }
        arena->current = block;
        arena->next = block->data;
        arena->left = block_size;
    }
    void *room = arena->next;
    arena->next += size;
    arena->left -= size;
    return room;
}
