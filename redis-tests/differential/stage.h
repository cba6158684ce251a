/* stage: the two servers side by side, a few lanes of connections to both, and the comparison of
 * what comes back.
 *
 *     stage_open → { stage_add …, stage_run } … → stage_restart → … → stage_close
 *
 * Lane i works on database i, half of the lanes speak RESP3. All lanes of a run are on the wire at
 * the same time, so what they hold at once must not touch another lane's database. A difference is
 * printed with the commands before it on the same keys; when there are enough the program ends.
 * Thread: one.
 */
#ifndef BASIN_REDIS_TESTS_STAGE_H
#define BASIN_REDIS_TESTS_STAGE_H

#include "redis-tests/differential/gen.h"
#include "redis-tests/differential/link.h"
#include "redis-tests/process.h"

#define STAGE_LANES 4
#define STAGE_DATABASES 16
#define STAGE_BATCH_MAX 512

struct stage_options {
    const char *binary;           /* Of the server under test; NULL: process_binary(). */
    const char *const *arguments; /* For it alone; ends with NULL. */
    const char *modes;            /* The same as options of this program, for the replay line. */
    uint64_t seed;
    unsigned differences_max;
};

struct lane {
    struct link theirs, ours;
    struct gen_request requests[STAGE_BATCH_MAX];
    uint64_t numbers[STAGE_BATCH_MAX];
    size_t count;
    unsigned database;
};

struct history; /* opaque: what was sent */

struct stage {
    struct stage_options options;
    const char *family;
    struct process *theirs, *ours;
    struct lane lanes[STAGE_LANES];
    struct lane control; /* RESP2, in no database for long. */
    struct history *history;
    struct arena arena; /* Scratch, emptied by stage_run. */
    uint64_t commands;
    unsigned differences;
};

void stage_open(struct stage *stage, const struct stage_options *options);
void stage_close(struct stage *stage);

/* Adds a request to a lane's batch; counts as a command. Borrows until stage_run. */
void stage_add(struct stage *stage, struct lane *lane, struct gen_request request);
void stage_add_words(struct stage *stage, struct lane *lane, struct gen *gen, const char *words);
/* Sends all batches, collects and compares the replies. The replies stay in the lanes' links. */
void stage_run(struct stage *stage);
/* Back to the lane's protocol and database and to the directives that requests alone may set,
 * whatever they did. */
void stage_settle(struct stage *stage, struct lane *lane, struct gen *gen);

/* Kills the server under test with SIGKILL, starts it again, connects all lanes anew. */
void stage_restart(struct stage *stage);

/* Prints a difference and the last commands on these keys; may end the program. The texts are
 * whole replies or sentences. */
void stage_difference(struct stage *stage, uint64_t number, const struct lane *lane,
                      const struct bytes *argv, size_t argc, const char *theirs, const char *ours);

/* Deletes keys on both servers, so that a run can go on after a difference. */
void stage_forget(struct stage *stage, unsigned database, const struct bytes *keys, size_t count);

#endif
