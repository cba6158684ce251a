/* model: the whole engine on the simulated disk against a plain model.
 *
 *     model [--seed N] [--rounds N] [--seconds N] [--sweep STRIDE] [--tell]
 *
 * A round is a trial with the seed N, N + 1, …: some lives of a store with random operations on all
 * types and databases, settle rounds, merges and evictions all the time, loads of what was evicted,
 * and, by chance, power cuts, failing calls, full disks and damaged bytes; now and then the next
 * life is that of a backup. After each start the
 * store must be in a state that it was in, not before the last acknowledged operation, with groups
 * whole, and sizes and scans exact. --sweep: power cuts and failures at every call (with a
 * STRIDE of 1) of a short life, or at every so many, later ones more sparsely.
 *
 *     model_world.h   the store, its shadow, what it may answer
 *     model_state.h   what it should hold, and the way back
 *     model_ops.h     operations
 *     model_check.h   comparisons
 *     model_life.h    starts, steps, faults, ends
 *     model_damage.h  changed bytes
 *
 * What it has exercised is counted and printed at the end, down to the sectors that power cuts lost
 * and tore: a zero there is a test that is not made.
 *
 * One number, printed on failure, replays it: everything runs in one thread, the disk, its clock
 * and all chance follow from it. While the store writes a stratum the same thread does operations
 * that another would have done meanwhile (sim_disk_set_meanwhile).
 *
 * It turned red when one of these was broken: entries leave memory while dirty; what a filter says
 * is believed to be there; a grain's checksum is not looked at; a reply waits for its own effect of
 * a group only. Not seen by it: a settle round that does not wait for the log (S1), since what it
 * captures and what is then lost differ only while other threads write.
 */
#include "engine/base/log.h"
#include "tests/model/model_life.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct arguments {
    uint64_t seed, rounds, seconds;
    uint64_t sweep; /* 0: trials. */
    bool tells;
};

/* Of the round under way, for what ends the program from inside: a CHECK, a bad address. */
static char round_name[96];

static void ended_by_signal(int number)
{
    static const char text[] = "FAILED: ended by a signal; again: ";
    if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0 ||
        write(STDOUT_FILENO, round_name, strlen(round_name)) < 0) {
        _exit(2);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static bool arguments_take(int argc, char **argv, struct arguments *arguments)
{
    const char *given = getenv("BASIN_SEED");
    *arguments = (struct arguments){.rounds = UINT64_MAX, .seconds = UINT64_MAX};
    arguments->seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
    for (int i = 1; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0      ? &arguments->seed
                           : strcmp(argv[i], "--rounds") == 0  ? &arguments->rounds
                           : strcmp(argv[i], "--seconds") == 0 ? &arguments->seconds
                           : strcmp(argv[i], "--sweep") == 0   ? &arguments->sweep
                                                               : NULL;
        if (number != NULL && i + 1 < argc) {
            *number = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--tell") == 0) {
            arguments->tells = true;
        } else {
            return false;
        }
    }
    return true;
}

static void count(const char *what, uint64_t number)
{
    printf("%s%" PRIu64 " %s", what[0] == '.' ? "\n" : ", ", number, what + (what[0] == '.'));
}

/* A line each: what was done, what the stores did behind it, what the disk did, what came of it. */
static void tally_print(uint64_t rounds)
{
    printf("%" PRIu64 " rounds", rounds);
    count("steps", tally.steps);
    count("in the midst of others", tally.meanwhile);
    count("on lists, hashes, sets, streams …", tally.chores);
    count("flushes and swaps", tally.maps);
    count("scans", tally.scans);
    count("sizes", tally.sizes);
    count(".settle rounds", tally.rounds);
    count("merging passes", tally.passes);
    count("KB moved", tally.moved >> 10);
    count("keys evicted", tally.evicted);
    count("loads", tally.loads);
    count("expired", tally.expired);
    count("purged on disk", tally.purged);
    count(".starts", tally.lives);
    count("cut off", tally.starts_cut);
    count("power cuts", tally.cuts);
    count("moves to a backup", tally.backups);
    count("failing calls", tally.faults);
    count("full disks", tally.full_disks);
    count("damaged places", tally.damaged);
    count(".unsynced sectors lost", tally.sectors_lost);
    count("torn", tally.sectors_torn);
    count("kept", tally.sectors_kept);
    count("writes reordered", tally.reordered);
    count("names lost", tally.names_lost);
    count("kept", tally.names_kept);
    count(".operations lost unacknowledged", tally.steps_back);
    count("refused", tally.refused);
    count("for damage", tally.corrupt);
    count("in the midst of a group", tally.torn);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!arguments_take(argc, argv, &arguments)) {
        fprintf(stderr, "model [--seed N] [--rounds N] [--seconds N] [--sweep STRIDE] [--tell]\n");
        return 2;
    }
    if (!arguments.tells && !log_set_file("/dev/null")) {
        return 2;
    }
    signal(SIGABRT, ended_by_signal);
    signal(SIGSEGV, ended_by_signal);
    time_t begin = time(NULL);
    uint64_t round = 0;
    while (round < arguments.rounds && (uint64_t)(time(NULL) - begin) < arguments.seconds) {
        uint64_t seed = arguments.seed + round++;
        snprintf(round_name, sizeof(round_name), "--seed %" PRIu64 " --rounds 1 --tell%s\n", seed,
                 arguments.sweep > 0 ? " --sweep 1" : "");
        if (arguments.sweep > 0) {
            life_sweep(seed, (unsigned)arguments.sweep, arguments.tells);
        } else {
            life_trial(seed, arguments.tells);
        }
    }
    tally_print(round);
    return 0;
}
