/* differential: seeded streams of requests to redis-server 7.0.15 and to Basin, reply by reply.
 *
 *     differential FAMILY|all [--commands N] [--seed S] [--misses] [--appendonly no] [--workers N]
 *                  [--server PROGRAM] [--differences N] [-v]
 *
 * A family's run: rounds of batches on all lanes, each lane in its own database; now and then one
 * lane alone with commands that reach across databases; scenes; the whole keyspaces compared; Basin
 * killed with SIGKILL, started again, and the keyspaces compared once more. Differences that have a
 * reason stand in explained.c; any other ends the run with exit code 1 and the way to replay it.
 */
#include "redis-tests/differential/judge.h"
#include "redis-tests/differential/scenes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COMPARE_EVERY 8000
#define RESTART_EVERY 40000
#define SCENE_EVERY 6000
#define MODES_MAX 256

struct arguments {
    const char *family;
    uint64_t commands;
    struct stage_options stage;
    const char *server_arguments[16];
    size_t server_argument_count;
    char modes[MODES_MAX];
    bool restarts, verbose;
};

static const struct gen_family *const families[] = {
    &gen_strings,    &gen_lists,   &gen_hashes,  &gen_sets,        &gen_sorted_sets,
    &gen_geo,        &gen_sort,    &gen_bitmaps, &gen_hyperloglog, &gen_keys,
    &gen_connection, &gen_streams, &gen_dump};
#define FAMILY_COUNT (sizeof(families) / sizeof(families[0]))

static void round_together(struct stage *stage, struct gen *gen, const struct gen_family *family)
{
    for (unsigned i = 0; i < STAGE_LANES; i++) {
        unsigned count = 50 + gen_below(gen, 250);
        while (count-- > 0) {
            stage_add(stage, &stage->lanes[i], gen_request(gen, family, false));
        }
    }
    stage_run(stage);
    gen_reset(gen);
}

static void round_alone(struct stage *stage, struct gen *gen, const struct gen_family *family)
{
    struct lane *lane = &stage->lanes[gen_below(gen, STAGE_LANES)];
    unsigned count = 40 + gen_below(gen, 120);
    while (count-- > 0) {
        stage_add(stage, lane, gen_request(gen, family, true));
    }
    stage_settle(stage, lane, gen);
    stage_run(stage);
    gen_reset(gen);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Whether a multiple of every was passed since *last. */
static bool due(uint64_t commands, uint64_t every, uint64_t *last)
{
    bool passed = commands / every != *last / every;
    *last = commands;
    return passed;
}

static unsigned run_family(const struct arguments *arguments, const struct gen_family *family)
{
    struct stage stage;
    struct gen gen;
    uint64_t compared = 0, restarted = 0, played = 0;
    double start = seconds_now();
    stage_open(&stage, &arguments->stage);
    stage.family = family->name;
    gen_init(&gen, arguments->stage.seed);
    while (stage.commands < arguments->commands) {
        round_together(&stage, &gen, family);
        round_alone(&stage, &gen, family);
        if (due(stage.commands, SCENE_EVERY, &played)) {
            scenes_play(&stage, &gen, family);
        }
        if (due(stage.commands, COMPARE_EVERY, &compared)) {
            scenes_compare_keyspaces(&stage);
        }
        if (due(stage.commands, RESTART_EVERY, &restarted) && arguments->restarts) {
            stage_restart(&stage);
            scenes_compare_keyspaces(&stage);
            if (family->fresh_start) {
                scenes_flush(&stage);
            }
        }
    }
    scenes_compare_keyspaces(&stage);
    printf("%s %s: %" PRIu64 " commands, %u differences, %.1f s, seed %" PRIu64 "%s\n",
           stage.differences == 0 ? "ok" : "FAILED", family->name, stage.commands,
           stage.differences, seconds_now() - start, arguments->stage.seed, arguments->modes);
    fflush(stdout);
    gen_deinit(&gen);
    stage_close(&stage);
    return stage.differences;
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: differential "
                    "strings|lists|hashes|sets|sorted_sets|geo|sort|bitmaps|hyperloglog|keys|"
                    "connection|all [--commands N] [--seed S]\n"
                    "       [--misses] [--appendonly no] [--workers N] [--server PROGRAM]\n"
                    "       [--differences N] [-v]\n");
    exit(2);
}

static void server_argument(struct arguments *arguments, const char *name, const char *value)
{
    arguments->server_arguments[arguments->server_argument_count++] = name;
    arguments->server_arguments[arguments->server_argument_count++] = value;
}

static void mode(struct arguments *arguments, const char *name, const char *value)
{
    size_t size = strlen(arguments->modes);
    snprintf(arguments->modes + size, MODES_MAX - size, " %s%s%s", name, *value ? " " : "", value);
}

/* An option with a value; false: it is not known. */
static bool option(struct arguments *arguments, const char *name, const char *value)
{
    if (strcmp(name, "--commands") == 0) {
        arguments->commands = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--seed") == 0) {
        arguments->stage.seed = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--differences") == 0) {
        arguments->stage.differences_max = (unsigned)strtoul(value, NULL, 10);
    } else if (strcmp(name, "--server") == 0) {
        arguments->stage.binary = value;
    } else if (strcmp(name, "--appendonly") == 0) {
        arguments->restarts = strcmp(value, "no") != 0;
        mode(arguments, name, value);
    } else if (strcmp(name, "--workers") == 0) {
        server_argument(arguments, name, value);
        mode(arguments, name, value);
    } else {
        return false;
    }
    return true;
}

static void read_arguments(struct arguments *arguments, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            arguments->verbose = true;
        } else if (strcmp(argv[i], "--misses") == 0) {
            server_argument(arguments, "--simulate-misses", "yes");
            server_argument(arguments, "--settle-log-size", "4kb");
            mode(arguments, argv[i], "");
        } else if (argv[i][0] != '-' && arguments->family == NULL) {
            arguments->family = argv[i];
        } else if (i + 1 < argc && option(arguments, argv[i], argv[i + 1])) {
            i++;
        } else {
            usage();
        }
    }
    server_argument(arguments, "--bind", "127.0.0.1");
    server_argument(arguments, "--save", "");
    server_argument(arguments, "--appendonly", arguments->restarts ? "yes" : "no");
    server_argument(arguments, "--appendfsync", "always");
    arguments->stage.arguments = arguments->server_arguments;
    arguments->stage.modes = arguments->modes;
}

int main(int argc, char **argv)
{
    static struct arguments arguments = {
        .commands = 200000, .restarts = true, .stage = {.seed = 1, .differences_max = 1}};
    unsigned differences = 0;
    bool known = false;
    read_arguments(&arguments, argc, argv);
    if (arguments.family == NULL) {
        usage();
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        bool chosen = strcmp(arguments.family, "all") == 0 ||
                      strcmp(arguments.family, families[i]->name) == 0;
        known = known || chosen;
        differences += chosen ? run_family(&arguments, families[i]) : 0;
    }
    if (!known) {
        usage();
    }
    if (arguments.verbose) {
        explained_print();
    }
    return differences == 0 ? 0 : 1;
}
