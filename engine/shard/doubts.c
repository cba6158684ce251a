#include "engine/shard/doubts.h"

#include "engine/base/check.h"

#include <stdlib.h>

#define ROOM_MIN 8

void doubts_deinit(struct doubts *doubts)
{
    free(doubts->hashes);
    *doubts = (struct doubts){.hashes = NULL};
}

enum status doubts_reserve(struct doubts *doubts)
{
    if (doubts->count < doubts->capacity) {
        return ST_OK;
    }
    uint32_t capacity = doubts->capacity + doubts->capacity / 2 + ROOM_MIN;
    uint64_t *hashes = realloc(doubts->hashes, capacity * sizeof(*hashes));
    if (hashes == NULL) {
        return ST_NOMEM;
    }
    doubts->hashes = hashes;
    doubts->capacity = capacity;
    return ST_OK;
}

void doubts_add(struct doubts *doubts, uint64_t hash)
{
    CHECK(doubts->count < doubts->capacity);
    doubts->hashes[doubts->count++] = hash;
}

void doubts_cut(struct doubts *doubts, uint32_t count)
{
    CHECK(count <= doubts->count);
    doubts->count = count;
    if (count == 0) {
        doubts_deinit(doubts);
    } else if (count < doubts->capacity / 4) {
        uint64_t *hashes = realloc(doubts->hashes, count * sizeof(*hashes));
        if (hashes != NULL) {
            doubts->hashes = hashes;
            doubts->capacity = count;
        }
    }
}
