/* expiry: which keys are due next: a 4-ary min-heap of {time, hash}, 16 bytes a volatile key. A
 * hash with fields that expire has a row for the earliest of them, beside the one of its key.
 *
 * Rows are not removed when a key's expiry changes or the key goes: who takes a due row looks the
 * key up and sees whether it is still due. Who meets a stale row may drop it; when stale rows
 * outnumber the live ones the owner builds the heap anew (expiry_stale). Thread: the holder of the
 * shard.
 */
#ifndef BASIN_ENGINE_SHARD_EXPIRY_H
#define BASIN_ENGINE_SHARD_EXPIRY_H

#include "engine/base/bytes.h"

struct expiry_row {
    int64_t at_ms;
    uint64_t hash;
};

struct expiry {
    struct expiry_row *rows;
    size_t count, capacity;
};

void expiry_init(struct expiry *expiry);
void expiry_deinit(struct expiry *expiry);
enum status expiry_reserve(struct expiry *expiry, size_t count); /* Room for so many rows more. */
void expiry_add(struct expiry *expiry, int64_t at_ms, uint64_t hash);
/* Takes the first row if it is due at now_ms. */
bool expiry_take_due(struct expiry *expiry, int64_t now_ms, struct expiry_row *row_out);
/* Drops a row, by its index in rows. */
void expiry_drop(struct expiry *expiry, size_t index);
/* True when there are more than twice as many rows as are needed, and enough to matter. */
bool expiry_stale(const struct expiry *expiry, uint64_t needed_count);

#endif
