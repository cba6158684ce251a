/* judge: whether two replies to one request agree, and which differences have a reason.
 *
 * The reference is redis-server 7.0.15, while Basin follows 7.2. Each difference that follows from
 * that is a row of explained.c: which request, which reply of either, and why. Everything else that
 * differs is a fault.
 * Thread: one.
 */
#ifndef BASIN_REDIS_TESTS_JUDGE_H
#define BASIN_REDIS_TESTS_JUDGE_H

#include "redis-tests/differential/gen.h"
#include "redis-tests/differential/reply.h"

struct judge_case {
    enum judge judge;
    const struct bytes *argv;
    size_t argc;
    struct bytes theirs, ours; /* Replies as received. */
};

/* The arena is scratch. */
bool judge_agrees(const struct judge_case *replies, struct arena *arena);

struct explained {
    const char *request; /* Pattern over the arguments with spaces between; case does not count. */
    const char *theirs;  /* Pattern over the text of the reply, see reply_text. */
    const char *ours;
    const char *reason;
    uint64_t met; /* How often. */
};

/* In patterns * stands for anything, \\* for a star, everything else for itself. */
bool explained_finds(const struct judge_case *replies, struct arena *arena);
/* A line for each row that was met. */
void explained_print(void);

#endif
