/* report: what basin-check says, a line a fact, on standard output. Damage is counted: it decides
 * about the exit code. Thread: one. */
#ifndef BASIN_CHECK_REPORT_H
#define BASIN_CHECK_REPORT_H

#include "engine/base/bytes.h"

struct report {
    bool silent;      /* Nothing is printed, only counted. */
    uint64_t damaged; /* Facts that are wrong. */
    uint64_t notes;   /* Facts that are strange and harmless. */
};

[[gnu::format(printf, 2, 3)]] void report_fact(const struct report *report, const char *format,
                                               ...);
/* "damaged: …" */
[[gnu::format(printf, 2, 3)]] void report_damage(struct report *report, const char *format, ...);
/* "note: …" */
[[gnu::format(printf, 2, 3)]] void report_note(struct report *report, const char *format, ...);

/* The bytes in quotes, with escapes, "…" after at most `most` of them. Lent until the second call
 * after it: a line may have two. */
#define REPORT_QUOTE_MAX 64
const char *report_quote(struct bytes bytes);

#endif
