/* dialog: what sentence tests say to a server and hear from it.
 *
 *     dialog_begin();
 *     EXPECT_TEXT(ask("RPUSH l a b"), "(2)");
 *     EXPECT_TEXT(ask("LRANGE l 0 -1"), "[a b]");
 *
 * One server a program, started at the first dialog_begin and used by all tests; one connection of
 * hiredis. dialog_begin empties the server and selects database 0, so that a test starts with
 * nothing.
 * Replies as text: OK (a status), a bulk string as it is, (3) an integer, (nil) both nulls, -ERR …
 * an error, [a b (1)] an array.
 */
#ifndef BASIN_REDIS_TESTS_DIALOG_H
#define BASIN_REDIS_TESTS_DIALOG_H

#include "redis-tests/process.h"

#include <stddef.h>
#include <stdint.h>

/* Starts the server if it does not run, with BASIN_SERVER_ARGUMENTS (words of the environment),
 * connects, empties it. */
void dialog_begin(void);
struct process *dialog_server(void);
/* kill -9, and starts it again: what was acknowledged must be there. */
void dialog_crash(void);

/* Words separated by spaces; %s, %b (data, size) and %d, %lld stand for a word or a part of one, as
 * hiredis has it. The text is lent until some ten calls later. */
const char *ask(const char *format, ...);
/* Arguments that may hold anything; sizes NULL: they end with NUL. */
const char *ask_argv(int count, const char **arguments, const size_t *sizes);
/* The integer in the reply; anything else fails the test. */
long long ask_integer(const char *format, ...);

/* size bytes that differ by seed; lent until some ten calls later. */
const char *dialog_filler(size_t size, uint64_t seed);

#endif
