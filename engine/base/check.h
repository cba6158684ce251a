/* check: assertions about our own promises. They never judge bytes from outside.
 *
 * CHECK is O(1) and on in every build. CHECK_SLOW may walk a structure and is on in builds
 * with BASIN_SLOW_CHECKS (the asan and tsan builds, and so all that the tests run there).
 */
#ifndef BASIN_ENGINE_BASE_CHECK_H
#define BASIN_ENGINE_BASE_CHECK_H

/* Prints the broken promise and aborts, so that a core shows where. */
_Noreturn void check_failed(const char *file, int line, const char *condition);

#define CHECK(condition)                                                                           \
    (__builtin_expect(!(condition), 0) ? check_failed(__FILE__, __LINE__, #condition) : (void)0)

#ifdef BASIN_SLOW_CHECKS
#define CHECK_SLOW(condition) CHECK(condition)
#else
#define CHECK_SLOW(condition) ((void)sizeof(condition))
#endif

#endif
