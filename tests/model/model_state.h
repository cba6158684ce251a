/* model_state: what the store should hold, as plain arrays, and how it came to that.
 *
 *     databases × cells ── state_begin → state_put, state_remove, state_flush, state_swap →
 *     state_end: one operation, which can be taken back as long as it is not acknowledged
 *
 * A cell is a key, known by a number; who makes names of numbers is model_world.h. A cell whose
 * time has come stays until it is written again: whether the store has removed it too nobody can
 * see but by the count of keys, which may or may not include it.
 *
 * After a power cut the store must be in one of the states between the last acknowledged operation
 * and the last issued one: state_back goes from the newest to the oldest of them.
 *
 * Thread: one. Memory: aborts without.
 */
#ifndef BASIN_TESTS_MODEL_STATE_H
#define BASIN_TESTS_MODEL_STATE_H

#include "engine/basin.h"

#define STATE_DATABASES 4

struct cell {
    enum value_type type; /* VALUE_NONE: absent. */
    int64_t expiry_ms;    /* BASIN_NO_EXPIRY: none. */
    struct buf value;     /* As census_value writes it; a string's own bytes. */
    uint64_t lsn;         /* Of the last operation on it, also of its removal (W1). */
    uint64_t born;        /* Number of the operation since which the key is there. */
    uint64_t met;         /* The last scan that gave it. */
    bool unsure;          /* Perhaps one that expired is there in its place: see state_doubt. */
};

struct undo; /* opaque */

struct state {
    size_t keys;
    struct cell *databases[STATE_DATABASES];
    uint64_t database_lsn[STATE_DATABASES]; /* Of what emptied or swapped it. */
    uint64_t operations;                    /* Ended ones. */
    uint64_t epoch;                         /* Counts flushes, swaps and ways back: scans end. */
    struct undo *undos;                     /* Oldest first: of all that is not acknowledged. */
    size_t undo_count, undo_capacity;
};

void state_init(struct state *state, size_t keys);
void state_deinit(struct state *state);

static inline struct cell *state_cell(const struct state *state, unsigned database, size_t key)
{
    return &state->databases[database][key];
}
/* Whether it is there for a reader at that time. */
static inline bool cell_live(const struct cell *cell, uint64_t now_ms)
{
    return cell->type != VALUE_NONE &&
           (cell->expiry_ms == BASIN_NO_EXPIRY || cell->expiry_ms > (int64_t)now_ms);
}
/* Both absent, or of one type, expiry and value. */
bool cells_equal(const struct cell *a, const struct cell *b, uint64_t now_ms);

/* -- One operation -----------------------------------------------------------------------------
 */

void state_begin(struct state *state);
/* Copies the value. now_ms: tells whether the key is new. */
void state_put(struct state *state, unsigned database, size_t key, enum value_type type,
               int64_t expiry_ms, struct bytes value, uint64_t now_ms);
void state_remove(struct state *state, unsigned database, size_t key);
void state_flush(struct state *state, unsigned database);
void state_swap(struct state *state, unsigned a, unsigned b);
/* lsn: the reply to it may leave once that is durable. */
void state_end(struct state *state, uint64_t lsn);

/* Operations up to this LSN cannot be lost any more. */
void state_acknowledge(struct state *state, uint64_t durable);
/* After a start: nothing can be lost any more. LSNs of before do not count, since operations that
 * changed nothing may have been lost unseen. */
void state_settle(struct state *state);
/* Before state_back. States that look the same may differ in keys that have expired: cells that an
 * operation that may be lost gave an expiry, or took it from, are unsure from then on. */
void state_doubt(struct state *state);
/* How many operations may be lost. */
size_t state_open_count(const struct state *state);
/* Takes the newest operation back; false: there is none that could be lost. */
bool state_back(struct state *state);

#endif
