/* crash: kill -9 under load, restart, and see whether everything that was acknowledged is there.
 *
 *     crash [--rounds N] [--seed S] [--server PATH] [--keep] [--orderly] [--power-cut ext4|xfs]
 *           [--life-ms N] [server argument …]
 *
 * Ten rounds share a directory, so that each start replays what the lives before it left behind;
 * then a fresh one is taken. Each life has other arguments: road of the log, workers, shards,
 * segment size, misses, and how much log is let come together until it is settled, mostly so little
 * that rounds, merges and rotations come many times a second. Some stores never settle; every other
 * one holds ten times what its memory may. Some lives end orderly, some starts are killed in the
 * middle of recovery. crash_model.h and crash_cold.h say what is written, crash_verify.h what is
 * asked; now and then basin-check looks at what the kill has left.
 *
 * What it cannot see: the page cache outlives a process, so a write that was submitted but never
 * synced survives kill -9. With --power-cut (root only) the store lies on a file system of its own,
 * which loses all that was not synced right after the kill; only the cache of the device itself is
 * left to tests/fault/ and its simulated disk.
 *
 * The moments of the kills are the machine's, so a seed gives the same commands and arguments, but
 * not always the same failure.
 */
#include "redis-tests/process.h"
#include "tests/crash/crash_verify.h"
#include "tests/crash/loop_disk.h"

#include "engine/base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_A_STORE 10
#define ARGUMENTS_MAX 32
#define STOP_MS 20000
#define DISK_MB 1024
#define FAILURES_MAX 20 /* Enough to look at; each keeps its directory. */

struct crash {
    struct world world;
    struct process *server;
    struct load_counts counts;
    const char *binary;
    char **extra; /* Further arguments for the server; ends with NULL. */
    uint64_t seed, random;
    char dir[64];
    char words[ARGUMENTS_MAX][32];
    const char *arguments[ARGUMENTS_MAX + 1];
    unsigned round, passed, failed, interrupted;
    unsigned life_ms;   /* A life is at most so long. */
    bool never, large;  /* This store does not settle; its data set is larger than memory. */
    bool keep, orderly; /* As the options say. */
    const char *power_cut;
};

/* -- Starting -------------------------------------------------------------------------------- */

static void argument(struct crash *crash, size_t *count, const char *name, const char *value)
{
    snprintf(crash->words[*count], sizeof(crash->words[0]), "%s", name);
    snprintf(crash->words[*count + 1], sizeof(crash->words[0]), "%s", value);
    crash->arguments[*count] = crash->words[*count];
    crash->arguments[*count + 1] = crash->words[*count + 1];
    *count += 2;
}

static void arguments_draw(struct crash *crash)
{
    static const char *const shards[] = {"1", "2", "8", "64"};
    static const char *const segments[] = {"1mb", "1mb", "1mb", "16mb"};
    static const char *const flushes[] = {"4", "4", "1", "16"};
    static const char *const settles[] = {"4kb", "4kb", "64kb", "1mb", "64mb", "0"};
    static const char *const limits[] = {"0", "0", "1mb", "4mb"};
    static const char *const limits_large[] = {"2mb", "3mb", "3mb", "4mb"};
    static const char *const packs[] = {"-2", "8", "128", "-1"};
    uint64_t *random = &crash->random;
    size_t count = 0;
    argument(crash, &count, "--log-road", crash->round % 2 == 0 ? "io_uring" : "plain");
    argument(crash, &count, "--workers", crash->round / 2 % 2 == 0 ? "2" : "1");
    argument(crash, &count, "--shards", shards[chance_below(random, 4)]);
    argument(crash, &count, "--log-segment-size", segments[chance_below(random, 4)]);
    argument(crash, &count, "--log-flushes", flushes[chance_below(random, 4)]);
    argument(crash, &count, "--log-rotate-ms", chance_below(random, 4) == 0 ? "20" : "0");
    const char *settle = crash->never ? "0" : settles[chance_below(random, 6)];
    const char *limit = (crash->large ? limits_large : limits)[chance_below(random, 4)];
    argument(crash, &count, "--settle-log-size", settle);
    argument(crash, &count, "--maxmemory", strcmp(settle, "0") == 0 ? "0" : limit);
    argument(crash, &count, "--list-max-listpack-size", packs[chance_below(random, 4)]);
    argument(crash, &count, "--simulate-misses", chance_below(random, 4) == 0 ? "yes" : "no");
    for (size_t i = 0; crash->extra[i] != NULL && count < ARGUMENTS_MAX; i++) {
        crash->arguments[count++] = crash->extra[i];
    }
    crash->arguments[count] = NULL;
}

/* A start that is killed before it is over; how far it comes is chance. */
static void recovery_interrupt(struct crash *crash)
{
    const char *argv[ARGUMENTS_MAX + 8] = {crash->binary, "--port",    "0",        "--dir",
                                           crash->dir,    "--logfile", "/dev/null"};
    size_t count = 7;
    for (size_t i = 0; crash->arguments[i] != NULL; i++) {
        argv[count++] = crash->arguments[i];
    }
    pid_t pid = fork();
    if (pid == 0) {
        execv(crash->binary, (char *const *)argv);
        _exit(127);
    }
    usleep((useconds_t)chance_below(&crash->random, 60000));
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    crash->interrupted++;
}

static bool start(struct crash *crash)
{
    arguments_draw(crash);
    while (crash->round % ROUNDS_A_STORE != 0 && chance_below(&crash->random, 5) == 0) {
        recovery_interrupt(crash);
    }
    struct process_options options = {
        .binary = crash->binary, .dir = crash->dir, .arguments = crash->arguments};
    crash->server = process_start(&options);
    return crash->server != NULL;
}

static void server_end(struct crash *crash)
{
    process_free(crash->server);
    crash->server = NULL;
}

/* -- Rounds ---------------------------------------------------------------------------------- */

static bool store_begin(struct crash *crash, char *why)
{
    crash->never = chance_below(&crash->random, 6) == 0;
    crash->large = !crash->never && crash->round / ROUNDS_A_STORE % 2 == 0;
    if (crash->power_cut != NULL) {
        const char *mount = strcmp(crash->power_cut, "xfs") == 0 ? loop_disk_make_xfs(DISK_MB)
                                                                 : loop_disk_make(DISK_MB, "");
        snprintf(crash->dir, sizeof(crash->dir), "%s", mount == NULL ? "no disk" : mount);
    } else {
        snprintf(crash->dir, sizeof(crash->dir), "/tmp/basin-crash-XXXXXX");
    }
    if (crash->power_cut != NULL ? access(crash->dir, W_OK) != 0 : mkdtemp(crash->dir) == NULL) {
        perror(crash->dir);
        exit(1);
    }
    world_init(&crash->world, chance(&crash->random), crash->large);
    snprintf(why, WHY_SIZE, "the server does not start");
    return start(crash) && load_prepare(&crash->world, process_port(crash->server), why);
}

static void store_end(struct crash *crash, bool keep)
{
    server_end(crash);
    world_deinit(&crash->world);
    if (crash->power_cut != NULL) {
        loop_disk_end();
    } else if (!keep && crash->dir[0] != 0) {
        char command[128];
        snprintf(command, sizeof(command), "rm -rf '%s'", crash->dir);
        if (system(command) != 0) {
            fprintf(stderr, "cannot remove %s\n", crash->dir);
        }
    }
    crash->dir[0] = 0;
}

/* How an orderly stop ended, without taking the process from process_free; -1: it did not. */
static int exit_code(pid_t pid)
{
    for (unsigned ms = 0; ms < STOP_MS; ms += 5) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
            info.si_pid == pid) {
            return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
        }
        usleep(5000);
    }
    return -1;
}

/* basin-check lies beside the server; what it says is kept beside the store. */
static bool check_run(const struct crash *crash)
{
    char command[512];
    size_t size = strlen(crash->binary) - strlen("server");
    snprintf(command, sizeof(command), "timeout 60 %.*scheck '%s' > '%s/check.log' 2>&1", (int)size,
             crash->binary, crash->dir, crash->dir);
    return system(command) == 0;
}

/* Load, kill, restart, verify. */
static bool round_run(struct crash *crash, char *why)
{
    struct load_options options = {
        .port = process_port(crash->server),
        .pid = process_pid(crash->server),
        .signal = chance_below(&crash->random, 8) == 0 || crash->orderly ? SIGTERM : SIGKILL,
        .kill_us = 50000 + (unsigned)chance_below(&crash->random, crash->life_ms * 1000ull),
    };
    options.power_cut = crash->power_cut != NULL && options.signal == SIGKILL;
    bool fine = load_run(&crash->world, &options, &crash->counts, why);
    if (fine && options.signal == SIGTERM) {
        int code = exit_code(options.pid);
        fine = code == 0;
        snprintf(why, WHY_SIZE, "an orderly stop ended with %d", code);
    }
    server_end(crash);
    if (options.power_cut && !loop_disk_remount()) {
        snprintf(why, WHY_SIZE, "the disk cannot be mounted again");
        return false;
    }
    if (!fine) {
        return false;
    }
    if (chance_below(&crash->random, 4) == 0 && !check_run(crash)) {
        snprintf(why, WHY_SIZE, "basin-check finds the store damaged, see check.log");
        return false;
    }
    if (!start(crash)) {
        snprintf(why, WHY_SIZE, "the server does not start again");
        return false;
    }
    unsigned problems = verify_store(&crash->world, process_port(crash->server));
    snprintf(why, WHY_SIZE, "%u problems after the restart", problems);
    return problems == 0;
}

static void failure_print(struct crash *crash, const char *why)
{
    server_end(crash);
    if (crash->power_cut != NULL) { /* Out of the disk that is about to go. */
        char copy[] = "/tmp/basin-crash-XXXXXX";
        char command[256];
        snprintf(command, sizeof(command), "cp -a '%s/.' '%s'", crash->dir,
                 mkdtemp(copy) == NULL ? "/dev/null" : copy);
        if (system(command) == 0) {
            snprintf(crash->dir, sizeof(crash->dir), "%s", copy);
        }
    }
    printf("FAILED round %u: %s\n", crash->round, why);
    printf("       directory kept: %s (server.log in it); --seed %" PRIu64 "\n       arguments:",
           crash->dir, crash->seed);
    for (size_t i = 0; crash->arguments[i] != NULL; i++) {
        printf(" %s", crash->arguments[i]);
    }
    printf("\n");
    fflush(stdout);
}

static void rounds_run(struct crash *crash, unsigned rounds)
{
    char why[WHY_SIZE] = "";
    for (crash->round = 0; crash->round < rounds && crash->failed < FAILURES_MAX; crash->round++) {
        bool fine = true;
        if (crash->round % ROUNDS_A_STORE == 0 || crash->dir[0] == 0) {
            store_end(crash, crash->keep);
            fine = store_begin(crash, why);
        }
        fine = fine && round_run(crash, why);
        if (fine) {
            crash->passed++;
        } else {
            crash->failed++;
            failure_print(crash, why);
            store_end(crash, true);
        }
        if ((crash->round + 1) % 10 == 0) {
            printf("%u rounds: %" PRIu64 " commands sent, %" PRIu64 " acknowledged, %" PRIu64
                   " reads, %u recoveries interrupted\n",
                   crash->round + 1, crash->counts.sent, crash->counts.acked, crash->counts.read,
                   crash->interrupted);
            fflush(stdout);
        }
    }
    store_end(crash, crash->keep);
}

static void cold_print(const struct cold_counts *cold)
{
    printf("%" PRIu64 " lives with %" PRIu64 " settle rounds, %" PRIu64 " merging passes, %" PRIu64
           " KB moved, %" PRIu64 " loads, %" PRIu64 " rotations of the log; %" PRIu64
           " cold writes, %" PRIu64 " reads\n",
           cold->lives, cold->rounds, cold->passes, cold->moved_bytes >> 10, cold->loads,
           cold->rotations, cold->written, cold->read);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "crash [--rounds N] [--seed S] [--server PATH] [--keep] [--orderly] "
                    "[--power-cut ext4|xfs] [--life-ms N] [server argument …]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct crash *crash = calloc(1, sizeof(*crash));
    CHECK(crash != NULL);
    crash->seed = (uint64_t)time(NULL);
    crash->binary = process_binary();
    crash->life_ms = 350;
    unsigned rounds = 50;
    int at = 1;
    for (; at < argc; at++) {
        bool valued = at + 1 < argc;
        if (strcmp(argv[at], "--keep") == 0) {
            crash->keep = true;
        } else if (strcmp(argv[at], "--orderly") == 0) {
            crash->orderly = true;
        } else if (valued && strcmp(argv[at], "--life-ms") == 0) {
            crash->life_ms = (unsigned)strtoul(argv[++at], NULL, 10);
        } else if (valued && strcmp(argv[at], "--power-cut") == 0) {
            crash->power_cut = argv[++at];
        } else if (valued && strcmp(argv[at], "--rounds") == 0) {
            rounds = (unsigned)strtoul(argv[++at], NULL, 10);
        } else if (valued && strcmp(argv[at], "--seed") == 0) {
            crash->seed = strtoull(argv[++at], NULL, 10);
        } else if (valued && strcmp(argv[at], "--server") == 0) {
            crash->binary = argv[++at];
        } else if (strcmp(argv[at], "--help") == 0) {
            usage();
        } else {
            break;
        }
    }
    crash->extra = argv + at;
    crash->random = crash->seed * 0x9E3779B97F4A7C15ull + 1;
    signal(SIGPIPE, SIG_IGN);
    if (crash->power_cut != NULL && !loop_disk_possible()) {
        free(crash);
        return 0;
    }
    printf("seed %" PRIu64 "\n", crash->seed);
    rounds_run(crash, rounds);
    cold_print(&crash->counts.cold);
    printf("%u passed, %u failed\n", crash->passed, crash->failed);
    int code = crash->failed == 0 && crash->passed > 0 ? 0 : 1;
    free(crash);
    return code;
}
