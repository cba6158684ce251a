#include "check/log_walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct walk {
    struct report *report;
    struct log_facts *facts;
    log_record_fn fn;
    void *ctx;
    struct buf rest; /* The beginning of a record that goes on in the next piece. */
    uint64_t lsn;    /* Of the first byte in rest. */
    bool in_group;
    bool broken; /* A sound frame holds what is no record: nothing behind it can be read. */
};

static void record_broken(struct walk *walk, const char *what)
{
    walk->broken = true;
    walk->facts->damaged = true;
    report_damage(walk->report, "txlogs at LSN %" PRIu64 ", in a sound frame: %s", walk->lsn, what);
}

static void take(struct walk *walk, const struct record *record, size_t size)
{
    bool first = (record->flags & RECORD_FIRST) != 0;
    if (first == walk->in_group) {
        record_broken(walk, "a group of records is broken");
        return;
    }
    walk->lsn += size;
    walk->in_group = (record->flags & RECORD_LAST) == 0;
    walk->facts->records++;
    if (!walk->in_group) {
        walk->facts->groups++;
        walk->facts->end_lsn = walk->lsn;
    }
    if (walk->fn != NULL) {
        walk->fn(walk->ctx, walk->lsn, record);
    }
}

static enum status piece(void *ctx, uint64_t lsn, struct bytes in)
{
    struct walk *walk = ctx;
    walk->facts->known_lsn = lsn + in.size;
    if (walk->broken) {
        return ST_OK;
    }
    if (walk->facts->first_lsn == 0) {
        walk->facts->first_lsn = walk->lsn = walk->facts->end_lsn = lsn;
    }
    enum status status = buf_append(&walk->rest, in);
    struct bytes left = buf_bytes(&walk->rest);
    while (status == ST_OK && !walk->broken) {
        struct record record;
        size_t size = 0;
        enum status taken = record_take(&left, &record, &size);
        if (taken == ST_WAIT) {
            break;
        }
        if (taken != ST_OK) {
            record_broken(walk, "this is no record");
            break;
        }
        take(walk, &record, size);
    }
    memmove(walk->rest.data, walk->rest.data + walk->rest.size - left.size, left.size);
    walk->rest.size = left.size;
    return status;
}

static uint32_t store_of(const struct manifest *manifest)
{
    return (uint32_t)hash_checksum(
        bytes_of(manifest->secret.bytes, sizeof(manifest->secret.bytes)));
}

enum status log_walk(struct io *io, const char *dir, const struct manifest *manifest,
                     struct report *report, log_record_fn fn, void *ctx,
                     struct log_facts *facts_out)
{
    *facts_out = (struct log_facts){.end_lsn = manifest->trim_lsn, .known_lsn = manifest->trim_lsn};
    struct walk walk = {.report = report, .facts = facts_out, .fn = fn, .ctx = ctx};
    struct wlog_options options = {
        .io = io,
        .dir = dir,
        .sync = WLOG_SYNC_ALWAYS,
        .segment_size = 1u << 20,
        .unflushed_max = 1u << 20,
        .flushes_max = 1,
    };
    struct wlog_history history = {
        .generations = manifest->generations,
        .generation_count = manifest->generation_count,
        .store_id = store_of(manifest),
        .trim_lsn = manifest->trim_lsn,
        .durable_lsn = manifest->durable_lsn,
    };
    struct wlog *log = NULL;
    enum status status = wlog_open(&options, &history, &log);
    if (status == ST_OK) {
        status = wlog_replay(log, piece, &walk);
    }
    if (status == ST_CORRUPT) { /* Logged, with file, offset and evidence. */
        facts_out->damaged = true;
        report_damage(report,
                      "txlogs: effects from LSN %" PRIu64 " on cannot be read, and were durable",
                      facts_out->known_lsn);
        status = ST_OK;
    }
    wlog_close(log);
    buf_deinit(&walk.rest);
    return status;
}

static enum status place_facts(struct io *io, const char *dir, const char *place,
                               const struct report *report)
{
    char path[4096];
    struct io_name *names = NULL;
    size_t count = 0;
    snprintf(path, sizeof(path), "%.3800s/txlogs/%s", dir, place);
    enum status status = io_dir_list(io, path, &names, &count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        char file_path[4096];
        struct io_file *file = NULL;
        uint64_t size = 0;
        snprintf(file_path, sizeof(file_path), "%.3900s/%.127s", path, names[i].text);
        status = io_file_open(io, file_path, IO_READ, &file);
        if (status == ST_OK) {
            status = io_file_size(file, &size);
            io_file_close(file);
        }
        report_fact(report, "log file txlogs/%s/%s: %" PRIu64 " bytes", place, names[i].text, size);
    }
    free(names);
    return status;
}

enum status log_facts_print(struct io *io, const char *dir, const struct report *report,
                            const struct log_facts *facts)
{
    enum status status = place_facts(io, dir, "reading", report);
    if (status == ST_OK) {
        status = place_facts(io, dir, "writing", report);
    }
    if (status == ST_OK) {
        status = place_facts(io, dir, "prepared", report);
    }
    report_fact(report,
                "log: %" PRIu64 " records in %" PRIu64 " groups, LSN %" PRIu64 " to %" PRIu64,
                facts->records, facts->groups, facts->first_lsn, facts->end_lsn);
    return status;
}
