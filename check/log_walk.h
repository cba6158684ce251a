/* log_walk: the write log of a stopped store, read by the engine's own replay, record by record.
 * Nothing is applied. Thread: one. */
#ifndef BASIN_CHECK_LOG_WALK_H
#define BASIN_CHECK_LOG_WALK_H

#include "check/report.h"
#include "engine/manifest/manifest.h"
#include "engine/wlog/record.h"

/* A record; lsn: of its end. Lent during the call. */
typedef void (*log_record_fn)(void *ctx, uint64_t lsn, const struct record *record);

struct log_facts {
    uint64_t records, groups;
    uint64_t first_lsn, end_lsn; /* Of the whole groups that can be read. */
    bool damaged;                /* More was durable for certain than can be read. */
    uint64_t known_lsn;          /* Where sound frames end; records beyond end_lsn make no group. */
};

/* io may be read_only. fn may be NULL. Damage is printed. ST_OK with damage too. */
enum status log_walk(struct io *io, const char *dir, const struct manifest *manifest,
                     struct report *report, log_record_fn fn, void *ctx,
                     struct log_facts *facts_out);
/* Prints the files of the log and the facts. */
enum status log_facts_print(struct io *io, const char *dir, const struct report *report,
                            const struct log_facts *facts);

#endif
