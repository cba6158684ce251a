/* crash_cold: a data set of ten times maxmemory under the kill -9 test, and somebody who has the
 * store settled and merged all the time.
 *
 * It lies in a database of its own. One connection sets, deletes and reads texts (some of many
 * parts) and elements of lists in a pipeline; each has a version, told by its bytes. What is read
 * must be the version that the connection wrote last. After the crash each must be at a version
 * between acknowledged and sent, and of the writes that were pending a first part is there and the
 * rest is not. Another connection asks for settle rounds and merging passes, and notes the figures
 * of INFO.
 * Thread: one; between cold_begin and cold_end two of its own. Memory: no failure is survived.
 */
#ifndef BASIN_TESTS_CRASH_CRASH_COLD_H
#define BASIN_TESTS_CRASH_CRASH_COLD_H

#include <stdbool.h>
#include <stdint.h>

#define COLD_DATABASE 15
#define WHY_SIZE 512

struct cold; /* opaque */

/* What the servers said that they did, as far as they were asked before they died. */
struct cold_counts {
    uint64_t lives, rounds, passes, moved_bytes, loads, rotations;
    uint64_t written, read; /* Commands that were answered. */
};

/* large: some 40 MB; else a few hundred KB. Given. */
struct cold *cold_new(uint64_t seed, bool large);
void cold_free(struct cold *cold);
/* Writes all of it. False: it was not taken; why (WHY_SIZE) says more. */
bool cold_fill(struct cold *cold, int port, char *why);

/* Until the server ends. */
void cold_begin(struct cold *cold, int port);
/* False: an answer that cannot be. */
bool cold_end(struct cold *cold, struct cold_counts *counts, char *why);

/* Reads all of it; each problem is printed on a line of its own. Afterwards what was found is what
 * it is. Gives the count of problems. */
unsigned cold_verify(struct cold *cold, int port);

#endif
