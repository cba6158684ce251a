#include "tests/model/model_state.h"

#include "engine/base/check.h"

#include <stdlib.h>

/* A step of an operation, or its end. */
enum undo_kind { UNDO_CELL, UNDO_FLUSH, UNDO_SWAP, UNDO_END };

struct undo {
    enum undo_kind kind;
    unsigned database, other;
    size_t key;
    struct cell cell;   /* UNDO_CELL: as it was; owned. */
    struct cell *cells; /* UNDO_FLUSH: all of them; owned. */
    uint64_t lsn;       /* UNDO_END: of the operation; else the database's before. */
    uint64_t other_lsn;
};

static struct cell *cells_new(size_t keys)
{
    struct cell *cells = calloc(keys, sizeof(*cells));
    CHECK(cells != NULL);
    for (size_t i = 0; i < keys; i++) {
        cells[i].expiry_ms = BASIN_NO_EXPIRY;
    }
    return cells;
}

static void cells_free(struct cell *cells, size_t keys)
{
    for (size_t i = 0; cells != NULL && i < keys; i++) {
        buf_deinit(&cells[i].value);
    }
    free(cells);
}

void state_init(struct state *state, size_t keys)
{
    *state = (struct state){.keys = keys};
    for (unsigned i = 0; i < STATE_DATABASES; i++) {
        state->databases[i] = cells_new(keys);
    }
}

static void undo_deinit(const struct state *state, struct undo *undo)
{
    buf_deinit(&undo->cell.value);
    cells_free(undo->cells, state->keys);
}

void state_deinit(struct state *state)
{
    for (size_t i = 0; i < state->undo_count; i++) {
        undo_deinit(state, &state->undos[i]);
    }
    free(state->undos);
    for (unsigned i = 0; i < STATE_DATABASES; i++) {
        cells_free(state->databases[i], state->keys);
    }
    *state = (struct state){.keys = 0};
}

bool cells_equal(const struct cell *a, const struct cell *b, uint64_t now_ms)
{
    bool there = cell_live(a, now_ms);
    if (there != cell_live(b, now_ms)) {
        return false;
    }
    return !there || (a->type == b->type && a->expiry_ms == b->expiry_ms &&
                      bytes_equal(buf_bytes(&a->value), buf_bytes(&b->value)));
}

/* -- One operation -----------------------------------------------------------------------------
 */

static struct undo *undo_add(struct state *state, enum undo_kind kind, unsigned database)
{
    if (state->undo_count == state->undo_capacity) {
        state->undo_capacity = state->undo_capacity * 2 + 64;
        state->undos = realloc(state->undos, state->undo_capacity * sizeof(*state->undos));
        CHECK(state->undos != NULL);
    }
    struct undo *undo = &state->undos[state->undo_count++];
    *undo = (struct undo){.kind = kind, .database = database};
    undo->lsn = state->database_lsn[database];
    return undo;
}

void state_begin(struct state *state)
{
    CHECK(state->undo_count == 0 || state->undos[state->undo_count - 1].kind == UNDO_END);
}

/* The cell, empty; what it held is the undo's. */
static struct cell *cell_change(struct state *state, unsigned database, size_t key)
{
    struct cell *cell = state_cell(state, database, key);
    struct undo *undo = undo_add(state, UNDO_CELL, database);
    undo->key = key;
    undo->cell = *cell;
    cell->value = BUF_EMPTY;
    cell->unsure = false;
    cell->type = VALUE_NONE;
    cell->expiry_ms = BASIN_NO_EXPIRY;
    return cell;
}

void state_put(struct state *state, unsigned database, size_t key, enum value_type type,
               int64_t expiry_ms, struct bytes value, uint64_t now_ms)
{
    bool there = cell_live(state_cell(state, database, key), now_ms);
    struct buf copy = BUF_EMPTY; /* The value may be the cell's own. */
    CHECK(buf_append(&copy, value) == ST_OK);
    struct cell *cell = cell_change(state, database, key);
    cell->type = type;
    cell->expiry_ms = expiry_ms;
    cell->value = copy;
    cell->born = there ? cell->born : state->operations + 1;
}

void state_remove(struct state *state, unsigned database, size_t key)
{
    (void)cell_change(state, database, key);
}

void state_flush(struct state *state, unsigned database)
{
    struct undo *undo = undo_add(state, UNDO_FLUSH, database);
    undo->cells = state->databases[database];
    state->databases[database] = cells_new(state->keys);
    state->epoch++;
}

static void swap(struct state *state, unsigned a, unsigned b)
{
    struct cell *held = state->databases[a];
    state->databases[a] = state->databases[b];
    state->databases[b] = held;
}

void state_swap(struct state *state, unsigned a, unsigned b)
{
    if (a == b) {
        return;
    }
    struct undo *undo = undo_add(state, UNDO_SWAP, a);
    undo->other = b;
    undo->other_lsn = state->database_lsn[b];
    swap(state, a, b);
    state->epoch++;
}

/* Tells what this operation has changed its LSN. */
void state_end(struct state *state, uint64_t lsn)
{
    state->operations++;
    for (size_t i = state->undo_count; i > 0 && state->undos[i - 1].kind != UNDO_END; i--) {
        const struct undo *undo = &state->undos[i - 1];
        if (undo->kind == UNDO_CELL) {
            state_cell(state, undo->database, undo->key)->lsn = lsn;
        } else {
            state->database_lsn[undo->database] = lsn;
        }
        if (undo->kind == UNDO_SWAP) {
            state->database_lsn[undo->other] = lsn;
        }
    }
    undo_add(state, UNDO_END, 0)->lsn = lsn;
}

void state_acknowledge(struct state *state, uint64_t durable)
{
    size_t count = 0;
    for (size_t i = 0; i < state->undo_count; i++) {
        if (state->undos[i].kind == UNDO_END) {
            if (state->undos[i].lsn > durable) {
                break;
            }
            count = i + 1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        undo_deinit(state, &state->undos[i]);
    }
    state->undo_count -= count;
    if (count > 0) {
        memmove(state->undos, state->undos + count, state->undo_count * sizeof(*state->undos));
    }
}

void state_settle(struct state *state)
{
    state_acknowledge(state, UINT64_MAX);
    for (unsigned i = 0; i < STATE_DATABASES; i++) {
        state->database_lsn[i] = 0;
        for (size_t key = 0; key < state->keys; key++) {
            state_cell(state, i, key)->lsn = 0;
        }
    }
}

/* Whether some version of the key that may come back, or any that is, expires. */
static bool expires(const struct state *state, const struct undo *undo)
{
    bool any = undo->cell.expiry_ms != BASIN_NO_EXPIRY;
    for (unsigned d = 0; d < STATE_DATABASES; d++) {
        any |= state_cell(state, d, undo->key)->expiry_ms != BASIN_NO_EXPIRY;
    }
    return any;
}

void state_doubt(struct state *state)
{
    bool *doubt = calloc(state->keys, sizeof(*doubt));
    CHECK(doubt != NULL);
    for (size_t i = 0; i < state->undo_count; i++) {
        const struct undo *undo = &state->undos[i];
        if (undo->kind == UNDO_CELL) {
            doubt[undo->key] |= expires(state, undo);
        }
    }
    for (unsigned d = 0; d < STATE_DATABASES; d++) { /* Swaps may have moved it to any. */
        for (size_t key = 0; key < state->keys; key++) {
            state_cell(state, d, key)->unsure |= doubt[key];
        }
    }
    for (size_t i = 0; i < state->undo_count; i++) {
        struct undo *undo = &state->undos[i];
        undo->cell.unsure |= undo->kind == UNDO_CELL && doubt[undo->key];
        for (size_t key = 0; undo->cells != NULL && key < state->keys; key++) {
            undo->cells[key].unsure |= doubt[key];
        }
    }
    free(doubt);
}

size_t state_open_count(const struct state *state)
{
    size_t count = 0;
    for (size_t i = 0; i < state->undo_count; i++) {
        count += state->undos[i].kind == UNDO_END;
    }
    return count;
}

static void step_back(struct state *state, struct undo *undo)
{
    unsigned database = undo->database;
    switch (undo->kind) {
    case UNDO_CELL:
        buf_deinit(&state_cell(state, database, undo->key)->value);
        *state_cell(state, database, undo->key) = undo->cell;
        return;
    case UNDO_FLUSH:
        cells_free(state->databases[database], state->keys);
        state->databases[database] = undo->cells;
        state->database_lsn[database] = undo->lsn;
        return;
    case UNDO_SWAP:
        swap(state, database, undo->other);
        state->database_lsn[database] = undo->lsn;
        state->database_lsn[undo->other] = undo->other_lsn;
        return;
    case UNDO_END:
        return;
    }
}

bool state_back(struct state *state)
{
    if (state->undo_count == 0) {
        return false;
    }
    CHECK(state->undos[state->undo_count - 1].kind == UNDO_END);
    state->undo_count--;
    while (state->undo_count > 0 && state->undos[state->undo_count - 1].kind != UNDO_END) {
        step_back(state, &state->undos[--state->undo_count]);
    }
    state->operations--;
    state->epoch++;
    return true;
}
