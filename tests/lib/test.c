#include "tests/lib/test.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct test *tests_first;
static struct test **tests_end = &tests_first;
static jmp_buf failure;
static char failure_text[1024];
static uint64_t seed;
static char dir_path[64];

void test_register(struct test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
    int size = snprintf(failure_text, sizeof(failure_text), "%s:%d: ", file, line);
    va_list list;
    va_start(list, format);
    vsnprintf(failure_text + size, sizeof(failure_text) - (size_t)size, format, list);
    va_end(list);
    longjmp(failure, 1);
}

void test_expect_text(const char *file, int line, const char *actual, const char *expected)
{
    if (actual == NULL || strcmp(actual, expected) != 0) {
        test_fail(file, line, "got \"%s\", expected \"%s\"", actual == NULL ? "(null)" : actual,
                  expected);
    }
}

uint64_t test_seed(void)
{
    return seed;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state == 0 ? 0x9E3779B97F4A7C15ull : *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dull;
}

uint64_t test_random_below(uint64_t *state, uint64_t bound)
{
    return bound == 0 ? 0 : (test_random(state) >> 11) % bound;
}

static void dir_remove(void)
{
    if (dir_path[0] != 0) {
        char command[128];
        snprintf(command, sizeof(command), "rm -rf '%s'", dir_path);
        if (system(command) != 0) {
            fprintf(stderr, "cannot remove %s\n", dir_path);
        }
        dir_path[0] = 0;
    }
}

const char *test_dir(void)
{
    if (dir_path[0] == 0) {
        snprintf(dir_path, sizeof(dir_path), "/tmp/basin-test-XXXXXX");
        if (mkdtemp(dir_path) == NULL) {
            dir_path[0] = 0;
            test_fail(__FILE__, __LINE__, "cannot make a directory under /tmp");
        }
    }
    return dir_path;
}

static bool wanted(const char *name, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            continue;
        }
        any = true;
        if (strstr(name, argv[i]) != NULL) {
            return true;
        }
    }
    return !any;
}

bool test_aborts(void (*run)(void *ctx), void *ctx)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        run(ctx);
        _exit(0);
    }
    int how = 0;
    EXPECT(child > 0 && waitpid(child, &how, 0) == child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT;
}

/* Programs of another kind bring their own. */
__attribute__((weak)) int main(int argc, char **argv)
{
    const char *given = getenv("BASIN_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    /* Static, since a failing test comes back by longjmp. */
    static unsigned passed;
    static unsigned failed;
    static struct test *test;
    for (test = tests_first; test != NULL; test = test->next) {
        if (!wanted(test->name, argc, argv)) {
            continue;
        }
        if (verbose) {
            printf("run    %s\n", test->name);
            fflush(stdout);
        }
        if (setjmp(failure) == 0) {
            test->run();
            passed++;
        } else {
            failed++;
            printf("FAILED %s\n       %s\n       BASIN_SEED=%llu\n", test->name, failure_text,
                   (unsigned long long)seed);
        }
        dir_remove();
        fflush(stdout);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
