/* gates: which part of a connection's output may leave (W1).
 *
 * A reply that reveals the log up to an LSN is gated by (its end position, that LSN). Replies leave
 * in order, so gates are a queue, and a gate may always be merged into the one before the next by
 * taking the larger LSN: that delays, but never lets anything out early. Replies of one turn of the
 * loop are flushed together and share one gate; when the queue is full the last one is widened.
 *
 *     positions   …sent…|…free to leave…|..gate 0..|..gate 1..|
 *               consumed             free       end 0      end 1 = written
 * Thread: a connection's worker. Memory: GATES_MAX gates, embedded.
 */
#ifndef BASIN_SRC_NET_GATES_H
#define BASIN_SRC_NET_GATES_H

#include "engine/base/bytes.h"

#define GATES_MAX 8

struct gate {
    uint64_t end; /* Output position. */
    uint64_t lsn;
};

struct gates {
    uint64_t free; /* Output up to this position may leave. */
    uint64_t turn; /* Of the last gate's making. */
    unsigned first, count;
    struct gate gates[GATES_MAX];
};

/* A reply that ends at `end` and must wait for nothing but those before it. */
static inline void gates_pass(struct gates *gates, uint64_t end)
{
    if (gates->count == 0) {
        gates->free = end;
    } else {
        gates->gates[(gates->first + gates->count - 1) % GATES_MAX].end = end;
    }
}

/* A reply that ends at `end` and may leave once the log is durable to lsn. */
static inline void gates_hold(struct gates *gates, uint64_t end, uint64_t lsn, uint64_t turn)
{
    if (gates->count > 0) {
        struct gate *last = &gates->gates[(gates->first + gates->count - 1) % GATES_MAX];
        if (lsn <= last->lsn || gates->turn == turn || gates->count == GATES_MAX) {
            last->end = end;
            last->lsn = lsn > last->lsn ? lsn : last->lsn;
            return;
        }
    }
    gates->gates[(gates->first + gates->count) % GATES_MAX] = (struct gate){end, lsn};
    gates->count++;
    gates->turn = turn;
}

/* The LSN that the next part waits for; 0: nothing waits. */
static inline uint64_t gates_lsn(const struct gates *gates)
{
    return gates->count == 0 ? 0 : gates->gates[gates->first].lsn;
}

/* Opens what the durable LSN covers. */
static inline void gates_open(struct gates *gates, uint64_t durable)
{
    while (gates->count > 0 && gates->gates[gates->first].lsn <= durable) {
        gates->free = gates->gates[gates->first].end;
        gates->first = (gates->first + 1) % GATES_MAX;
        gates->count--;
    }
}

/* Forgets all gates: what they held is taken back by the caller. */
static inline void gates_drop(struct gates *gates)
{
    gates->count = 0;
}

#endif
