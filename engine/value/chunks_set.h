/* chunks_set: digest bits → index, the exact half of a chunk collection's search for duplicates.
 *
 * Open addressing in pages of 4 KiB of slots {u32 bits, u32 index + 1; 0 empty}. Bits are the first
 * 32 of a digest, a slot's home is bits × homes / 2³², so the table lies in the order of the bits;
 * who runs off the end goes on into further pages. Two digests may agree in 32 bits: whoever looks
 * one up verifies each candidate against the digests themselves.
 *
 *     old  [ moved, gone |  still here ···················]
 *     now  [ the first `moved` slots of old, spread out    |  not allocated yet
 *
 * Growth is by half and never stops the world: at four fifths full a larger table begins, and each
 * chunk added moves a few slots into it, from left to right. As both tables have one order, the new
 * one grows at its right end only, and pages of the old one go as soon as they have been moved.
 *
 * Invariants, cited by number in checks and tests:
 *   C1  An entry lies in `old` at or right of its home there and of `moved`, or in `now` at or
 *       right of its home, and no slot in between is empty.
 *   C2  On failure the entries are what they were (though some may have moved).
 * Thread: the holder of the key's shard. Sets may share pages (parts.h); they are copied on write.
 */
#ifndef BASIN_ENGINE_VALUE_CHUNKS_SET_H
#define BASIN_ENGINE_VALUE_CHUNKS_SET_H

#include "engine/value/parts.h"
#include "engine/value/value_class.h"

#define CHUNKS_SET_INDEX_MAX (UINT32_MAX - 1)

struct chunks_table {
    struct parts pages;
    uint64_t homes; /* Slots that are somebody's home; 0: there is no table. */
};

struct chunks_set {
    struct chunks_table now;
    struct chunks_table old; /* Being moved into now, or none. */
    uint64_t moved;          /* Slots of old. */
    uint64_t count;
};

/* An empty set holds no memory. */
void chunks_set_init(struct chunks_set *set);
void chunks_set_deinit(struct chunks_set *set);
/* Frees at most about `parts` pages; true: none are left. Only this and deinit may follow. */
bool chunks_set_free_some(struct chunks_set *set, size_t parts);
/* Shares the pages. ST_NOMEM, ST_WAIT: copy_out is empty. */
enum status chunks_set_copy(const struct chunks_set *set, struct chunks_set *copy_out);
/* ST_WAIT, with those of the bits' home pages noted that are absent. */
enum status chunks_set_bring(const struct chunks_set *set, uint32_t bits);

/* Calls fn for both tables; see value_class.h. */
enum status chunks_set_tables(struct chunks_set *set, value_table_fn fn, void *ctx);
/* Root form: v homes of now, v homes of old, v moved, v count, both tables. */
enum status chunks_set_store(const struct chunks_set *set, struct buf *out);
enum status chunks_set_load(struct chunks_set *set, struct bytes *in, uint64_t clast);
uint64_t chunks_set_memory(const struct chunks_set *set);

/* Does the growing that adding `count` entries calls for. */
enum status chunks_set_reserve(struct chunks_set *set, uint64_t count);
/* Adds an entry after a reserve for it. index ≤ CHUNKS_SET_INDEX_MAX. */
enum status chunks_set_add(struct chunks_set *set, uint32_t bits, uint64_t index);
/* Takes back the latest entry added since the last reserve; cannot fail. */
void chunks_set_take_back(struct chunks_set *set, uint32_t bits, uint64_t index);

/* Says whether the digest at index is the one sought. */
typedef enum status (*chunks_set_same_fn)(void *ctx, uint64_t index, bool *same_out);
/* The first entry with these bits for which fn says yes. */
enum status chunks_set_find(const struct chunks_set *set, uint32_t bits, chunks_set_same_fn fn,
                            void *ctx, uint64_t *index_out, bool *found_out);

/* C1 and the counts; for tests and CHECK_SLOW. */
bool chunks_set_check(const struct chunks_set *set);

#endif
