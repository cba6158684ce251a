/* model_world: one store on a simulated disk, the state that it should hold, and what the disk has
 * been made to do to it.
 *
 *     plan     drawn from the seed: how many keys, how large, which sizes of log and segments
 *     store    the engine under test, reopened again and again
 *     shadow   an engine in memory only, which does every chore too: what a chore makes of lists,
 *              hashes, sets … is too much to write a second time, but this one never settles,
 *              evicts, loads, or replays anything. Texts are the model's own.
 *     state    model_state.h
 *
 * What the store may answer depends on the weather:
 *   fair      ST_OK and nothing else, and a wait comes to its end
 *   foul      calls fail, or have failed since the store was opened (the log may be dead, settling
 *             may have ended), or the disk is full: also ST_IO, ST_FULL, or no answer (ST_WAIT)
 *   damaged   bytes of strata were changed: also ST_CORRUPT, but never a wrong answer
 *
 * Whoever meets anything else calls world_fail, which prints the seed and ends the program.
 * Thread: one.
 */
#ifndef BASIN_TESTS_MODEL_WORLD_H
#define BASIN_TESTS_MODEL_WORLD_H

#include "tests/lib/chores.h"
#include "tests/lib/session.h"
#include "tests/lib/sim_disk.h"
#include "tests/model/model_state.h"

#define WORLD_DIR "store"
#define WORLD_DIR_MAX 32
/* The names of a trial are at most this long. */
#define WORLD_NAME_MAX 2048

struct plan {
    size_t texts; /* Keys that hold texts; behind them come those of the chores. */
    bool large;   /* Values that are clasts too. */
    uint64_t settle_log;
    unsigned steps;       /* Of a life, at most. */
    unsigned text_max;    /* Bytes. */
    unsigned settle_odds; /* One step in so many is an explicit settle, merge, eviction. */
    unsigned rest;        /* One step in so many waits for the log, or has it written. */
    bool crashes;         /* Power cuts, rather than clean stops only. */
    bool fouls;           /* Failing calls, full disks. */
    bool flushes;         /* FLUSHDB, SWAPDB, FLUSHALL. */
};

struct world {
    uint64_t seed, chance;
    struct plan plan;
    struct sim_disk *disk;
    char dir[WORLD_DIR_MAX];    /* WORLD_DIR, until the store moves to its backup. */
    struct basin *basin;        /* NULL: not open. */
    struct reader *reader;      /* Of both; NULL: the store reads for them. */
    struct session sessions[2]; /* The second is for what happens in the midst of the first's. */
    struct session *session;    /* Whose turn it is. */
    struct basin *shadow;
    struct session shadow_session;
    struct state state;
    uint64_t now_ms;
    unsigned waits; /* Calls of patience for the txn under way. */
    bool foul, damaged;
    bool torn;         /* A read failed in the midst of a group: half of it was done. */
    unsigned was_full; /* The log may still think so: the first who ask make it look again. */
    unsigned sweep, sweep_call; /* See life_sweep; 0: none. */
    unsigned life;
    bool crowded;          /* While the store writes a stratum, operations go on. */
    struct sizing *sizing; /* A size that is asked for: it notes the moments; NULL: none. */
    bool scanning;         /* There is one mark a key: no other scan may begin. */
    uint64_t scans;        /* So many were begun. */
    bool tells;            /* Prints each step. */
    struct buf *names;     /* Of texts, by key. */
    struct buf text;
};

/* What happened, over all trials: a test that never loads tests nothing. */
struct tally {
    uint64_t steps, lives, cuts, settles, merges, meanwhile, evicted, loads, scans, sizes, refused,
        corrupt, torn, steps_back, backups;
    uint64_t chores, maps;                           /* Of other types; FLUSHALL and its like. */
    uint64_t rounds, passes, moved, purged, expired; /* As the stores counted. */
    uint64_t faults, full_disks, damaged, starts_cut;
    uint64_t sectors_kept, sectors_lost, sectors_torn, reordered, names_kept, names_lost;
};
extern struct tally tally;

void world_init(struct world *world, uint64_t seed, bool tells);
void world_deinit(struct world *world);

uint64_t world_below(struct world *world, uint64_t bound);
bool world_one_in(struct world *world, uint64_t odds);
size_t world_keys(const struct world *world);
/* Name of a key: of most some bytes, of some more than a row holds. Lent until world_deinit. */
struct bytes world_name(struct world *world, size_t key);
/* The key of that name; SIZE_MAX: of none. */
size_t world_key(struct world *world, struct bytes name);

/* Opens with shards, limits and waits of its own for each life. Any status of basin_open. */
enum status world_open(struct world *world);
/* Clean, if the disk lets it. */
void world_close(struct world *world);
/* A power cut: nothing that the store does while it is closed reaches the disk. */
void world_crash(struct world *world);
/* The shadow is given what the store holds, which was checked. */
void world_shadow_renew(struct world *world);
/* Takes note of what is durable. */
void world_acknowledge(struct world *world);

/* False: this is in the midst of something else, which waits for the device. */
bool world_alone(const struct world *world);
/* Before each txn: the clock, and all patience. */
void world_ready(struct world *world);
/* True: it was ST_OK. False: it was refused as the weather allows. */
bool world_answer(struct world *world, const char *what, enum status status);
_Noreturn void world_fail(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_tell(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the store holds under a key, in a txn of its own. ST_OK, or as the weather. */
enum status world_read(struct world *world, unsigned database, size_t key, struct cell *cell_out);

#endif
