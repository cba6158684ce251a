/* ledger: numbered keys that tell how far a store reaches, for tests of single files and disks.
 *
 * Key number i is "k:i" and its value begins with i, so that what a restarted server holds is
 * either the first n of them, each as it was written, or the test fails.
 * Thread: one. Failures end the test (tests/lib/test.h).
 */
#ifndef BASIN_TESTS_CRASH_LEDGER_H
#define BASIN_TESTS_CRASH_LEDGER_H

#include "redis-tests/process.h"

#include <hiredis/hiredis.h>
#include <stdint.h>

/* Connected; a failure ends the test. Free with redisFree. */
redisContext *ledger_connect(const struct process *server);

/* SETs the keys from first on, one after the other, values of this size; gives how many were
 * acknowledged before an error reply, whose text goes to error (128 bytes; NULL: an error ends the
 * test). */
uint64_t ledger_write(redisContext *context, uint64_t first, uint64_t count, unsigned size,
                      char *error);
/* The same in one pipeline; all must be acknowledged. */
void ledger_pipeline(redisContext *context, uint64_t first, uint64_t count, unsigned size);

/* How many of the keys below `most` are there: 0 … n - 1, and none above. A gap or a wrong value
 * ends the test. */
uint64_t ledger_below(redisContext *context, uint64_t most);
/* The same, and that there is no other key at all. */
uint64_t ledger_reach(redisContext *context, uint64_t most);

/* Starts the server on the directory and expects it to refuse: gives its exit code, and what it
 * printed in output. prefix: words before the command ("" for none). 124: it came up instead. */
int ledger_refusal(const char *dir, const char *prefix, const char *const *arguments, char *output,
                   size_t output_size);

/* Runs a shell command; a failure ends the test. */
__attribute__((format(printf, 1, 2))) void shell(const char *format, ...);

#endif
