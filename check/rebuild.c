#include "check/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_SIZE 4096

/* A grain of a key that perhaps comes back. */
struct candidate {
    uint64_t name, lsn;
    size_t stratum, grain; /* Indexes in the holdings. */
};

/* -- What stays -------------------------------------------------------------------------------- */

static bool grains_decide(const struct rebuild *rebuild, uint64_t place)
{
    return rebuild->from_grains || holdings_in_gap(rebuild->holdings, place);
}

/* Whether the parts of large values in a partition may be older than their roots. */
static bool parts_stale(const struct rebuild *rebuild, unsigned partition)
{
    const struct manifest *manifest = &rebuild->holdings->manifest;
    uint64_t first = (uint64_t)partition << (64 - PARTITION_BITS) | PLACE_PART;
    uint64_t last = first | PLACE_LOW;
    bool gap = false;
    for (size_t i = 0; i < rebuild->holdings->gap_count && !gap; i++) {
        gap = rebuild->holdings->gaps[i].first <= last && rebuild->holdings->gaps[i].last >= first;
    }
    unsigned runs = 0;
    for (size_t i = 0; i < manifest->run_count; i++) {
        runs += manifest->runs[i].first <= partition && partition <= manifest->runs[i].last;
    }
    return gap && runs > 1;
}

static bool row_stale(const struct rebuild *rebuild, const struct row *row)
{
    return row->kind == ROW_KEY && (row->flags & ROW_CLAST) != 0 &&
           parts_stale(rebuild, place_partition(row->place));
}

static enum status keep(struct rebuild *rebuild, struct row row)
{
    row.flags &= ~ROW_UNRESOLVED;
    return buf_append(&rebuild->rows, bytes_of(&row, sizeof(row)));
}

/* A key that goes leaves a tombstone behind that is newer than the log: effects in there that build
 * on the value that is lost would make half a value of it (S4). */
static enum status lose(struct rebuild *rebuild, const struct row *row, const char *why)
{
    rebuild->lost++;
    report_fact(rebuild->holdings->report, "lost: %s: %s", row_label(rebuild->holdings, row), why);
    if (row->kind != ROW_KEY || rebuild->end_lsn <= rebuild->holdings->manifest.trim_lsn) {
        return ST_OK;
    }
    struct row gone = {
        .place = row->place,
        .kind = ROW_KEY_GONE,
        .flags = row->flags & ROW_LONG,
        .lsn = rebuild->end_lsn,
        .type = row->type,
        .namespace_id = row->namespace_id,
        .key = row->key,
    };
    return keep(rebuild, gone);
}

static int candidate_order(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    int order = (x->name > y->name) - (x->name < y->name);
    return order != 0 ? order : (x->lsn < y->lsn) - (x->lsn > y->lsn);
}

/* All grains that are newer than what the rows say of their keys. */
static enum status candidates_collect(const struct rebuild *rebuild, struct buf *candidates)
{
    const struct holdings *holdings = rebuild->holdings;
    enum status status = ST_OK;
    for (size_t s = 0; s < holdings->manifest.stratum_count; s++) {
        const struct held_stratum *stratum = &holdings->strata[s];
        for (size_t g = 0; g < stratum->grain_count && status == ST_OK; g++) {
            const struct held_grain *grain = &stratum->grains[g];
            if (!grain->key || !grains_decide(rebuild, grain->place)) {
                continue;
            }
            const struct verdict *verdict = verdicts_find(rebuild->verdicts, grain->name);
            if (verdict == NULL || grain->lsn > verdict->lsn) {
                struct candidate candidate = {grain->name, grain->lsn, s, g};
                status = buf_append(candidates, bytes_of(&candidate, sizeof(candidate)));
            }
        }
    }
    if (candidates->size > 0) {
        qsort(candidates->data, candidates->size / sizeof(struct candidate),
              sizeof(struct candidate), candidate_order);
    }
    return status;
}

static const struct candidate *candidate_find(const struct buf *candidates, uint64_t name)
{
    const struct candidate *all = (const struct candidate *)(const void *)candidates->data;
    size_t low = 0;
    size_t count = candidates->size / sizeof(*all);
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (all[middle].name < name) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && all[low].name == name ? &all[low] : NULL;
}

/* The rows that are believed. */
static enum status rows_keep(struct rebuild *rebuild, const struct buf *candidates)
{
    const struct holdings *holdings = rebuild->holdings;
    enum status status = ST_OK;
    for (size_t i = 0; i < rebuild->verdicts->count && status == ST_OK; i++) {
        const struct verdict *verdict = &rebuild->verdicts->all[i];
        const struct row *row = &holdings->rows[verdict->newest].row;
        bool tombstone = row->kind == ROW_KEY_GONE && row->lsn >= holdings->manifest.trim_lsn &&
                         holdings_knows_namespace(holdings, row->namespace_id);
        if (candidate_find(candidates, verdict->name) != NULL) {
            continue; /* A grain is newer. */
        }
        if (verdict->alive && !verdict->readable) {
            status = lose(rebuild, row, "its grain cannot be read");
        } else if (verdict->broken) {
            status = lose(rebuild, row, "a part of it is missing");
        } else if (verdict->alive && row_stale(rebuild, row)) {
            status = lose(rebuild, row, "rows of its parts cannot be read");
        } else if (tombstone || verdict->alive) {
            status = keep(rebuild, *row);
        }
    }
    return status;
}

/* The row of a grain that comes back; its key is copied. */
static enum status grain_return(struct rebuild *rebuild, const struct candidate *candidate,
                                struct survey *survey)
{
    struct holdings *holdings = rebuild->holdings;
    const struct held_grain *held = &holdings->strata[candidate->stratum].grains[candidate->grain];
    struct bytes bytes = BYTES_NONE;
    struct grain grain = {.kind = GRAIN_KEY};
    unsigned char room[ROW_KEY_HASH_SIZE];
    uint64_t offset = (uint64_t)held->unit * GRAIN_ALIGNMENT;
    enum status status = survey_grain(survey, offset, held->size, &bytes);
    if (status == ST_OK) {
        status = grain_parse(bytes, &grain);
    }
    if (status != ST_OK || !holdings_knows_namespace(holdings, grain.namespace_id)) {
        return status;
    }
    struct location at = {holdings->strata[candidate->stratum].listed.id, held->unit, held->size};
    struct row row = grain_row(holdings, &grain, at, room);
    void *key = arena_alloc(&holdings->keys, row.key.size);
    if (key == NULL) {
        return ST_NOMEM;
    }
    memcpy(key, row.key.data, row.key.size);
    row.key.data = key;
    if ((row.flags & ROW_CLAST) != 0) {
        return lose(rebuild, &row, "a large value of which the row cannot be read");
    }
    rebuild->returned += verdicts_find(rebuild->verdicts, candidate->name) == NULL;
    return keep(rebuild, row);
}

static enum status grains_return(struct rebuild *rebuild, const struct buf *candidates)
{
    const struct holdings *holdings = rebuild->holdings;
    const struct candidate *all = (const struct candidate *)(const void *)candidates->data;
    size_t count = candidates->size / sizeof(*all);
    enum status status = ST_OK;
    for (size_t s = 0; s < holdings->manifest.stratum_count && status == ST_OK; s++) {
        struct survey *survey = NULL;
        if (holdings->strata[s].grain_count > 0) {
            status = holdings_survey(holdings, holdings->strata[s].listed.id, &survey);
        }
        for (size_t i = 0; i < count && status == ST_OK; i++) {
            bool newest = i == 0 || all[i - 1].name != all[i].name;
            if (newest && all[i].stratum == s) {
                status = grain_return(rebuild, &all[i], survey);
            }
        }
        survey_close(survey);
    }
    return status;
}

static int row_order(const void *a, const void *b)
{
    return row_compare(a, b);
}

static void plan_print(const struct rebuild *rebuild)
{
    const struct holdings *holdings = rebuild->holdings;
    const struct report *report = holdings->report;
    report_fact(report, "plan: one new run of %zu rows takes the place of %zu",
                rebuild->rows.size / sizeof(struct row), holdings->manifest.run_count);
    for (size_t s = 0; s < holdings->manifest.stratum_count; s++) {
        if (holdings->strata[s].absent) {
            report_fact(report, "plan: stratum %08x, which is missing, is forgotten",
                        holdings->strata[s].listed.id);
        } else if (rebuild->aside[s]) {
            report_fact(report,
                        "plan: stratum %08x is moved to damaged/, its sound grains in use copied",
                        holdings->strata[s].listed.id);
        }
    }
    if (rebuild->returned > 0) {
        report_fact(report,
                    "plan: %" PRIu64 " keys come back that no row that can be read names: keys "
                    "that were deleted may be among them",
                    rebuild->returned);
    } else if (holdings->gap_count > 0) {
        report_fact(report, "plan: not all rows can be read: keys that were deleted may come back");
    }
    if (rebuild->lost > 0) {
        report_fact(report, "plan: %" PRIu64 " keys or parts, listed above, go", rebuild->lost);
    }
}

enum status rebuild_plan(struct rebuild *rebuild)
{
    const struct holdings *holdings = rebuild->holdings;
    struct buf candidates = BUF_EMPTY;
    rebuild->aside = calloc(holdings->manifest.stratum_count + 1, sizeof(*rebuild->aside));
    if (rebuild->aside == NULL) {
        return ST_NOMEM;
    }
    for (size_t s = 0; s < holdings->manifest.stratum_count; s++) {
        const struct held_stratum *stratum = &holdings->strata[s];
        rebuild->aside[s] = !stratum->opens || (rebuild->set_aside && stratum->file_faults > 0);
    }
    enum status status = candidates_collect(rebuild, &candidates);
    if (status == ST_OK) {
        status = rows_keep(rebuild, &candidates);
    }
    if (status == ST_OK) {
        status = grains_return(rebuild, &candidates);
    }
    buf_deinit(&candidates);
    if (status == ST_OK && rebuild->rows.size > 0) {
        qsort(rebuild->rows.data, rebuild->rows.size / sizeof(struct row), sizeof(struct row),
              row_order);
    }
    if (status == ST_OK) {
        plan_print(rebuild);
    }
    return status;
}

void rebuild_deinit(struct rebuild *rebuild)
{
    free(rebuild->aside);
    buf_deinit(&rebuild->rows);
}

/* -- The new stratum --------------------------------------------------------------------------- */

struct writing {
    struct rebuild *rebuild;
    struct io *io;
    struct stratum_writer *writer;
    uint32_t id;
    struct survey *survey; /* Of the stratum that was last copied from. */
    size_t surveyed;
    struct manifest next;
    uint64_t copied; /* Bytes. */
};

/* Copies the grain of a row out of a stratum that is set aside. */
static enum status grain_copy(struct writing *writing, size_t s, struct row *row)
{
    const struct holdings *holdings = writing->rebuild->holdings;
    const struct held_grain *held = holdings_grain(holdings, row->at);
    uint64_t size = grain_padded(row->at.size);
    struct bytes bytes = BYTES_NONE;
    enum status status = ST_OK;
    if (writing->survey == NULL || writing->surveyed != s) {
        survey_close(writing->survey);
        writing->survey = NULL;
        writing->surveyed = s;
        status = holdings_survey(holdings, row->at.stratum, &writing->survey);
    }
    if (status == ST_OK) {
        status = survey_grain(writing->survey, (uint64_t)row->at.unit * GRAIN_ALIGNMENT,
                              row->at.size, &bytes);
    }
    struct buf whole = BUF_EMPTY;
    unsigned char *p = status == ST_OK ? buf_extend(&whole, (size_t)size) : NULL;
    if (p == NULL) {
        return status == ST_OK ? ST_NOMEM : status;
    }
    memset(p, 0, (size_t)size); /* Padding may be what was damaged. */
    memcpy(p, bytes.data, row->at.size);
    row->at.stratum = writing->id;
    row->at.unit = (uint32_t)(stratum_writer_offset(writing->writer) / GRAIN_ALIGNMENT);
    writing->copied += size;
    status = stratum_add_grains(writing->writer, buf_bytes(&whole), 1,
                                held->key ? held->lsn : UINT64_MAX, held->key ? held->lsn : 0);
    buf_deinit(&whole);
    return status;
}

static enum status row_count(struct writing *writing, const struct row *row)
{
    if (row->kind != ROW_KEY) {
        return ST_OK;
    }
    struct manifest_counts *counts = manifest_counts(&writing->next, row->namespace_id);
    if (counts == NULL) {
        return ST_NOMEM;
    }
    struct manifest_count *count = &counts->partitions[place_partition(row->place)];
    count->keys++;
    count->expiring += (row->flags & ROW_EXPIRES) != 0;
    return ST_OK;
}

static enum status row_write(struct writing *writing, struct row row)
{
    const struct holdings *holdings = writing->rebuild->holdings;
    enum status status = row_count(writing, &row);
    if (row.at.stratum != 0 && status == ST_OK) {
        size_t s = (size_t)(holdings_stratum(holdings, row.at.stratum) - holdings->strata);
        if (writing->rebuild->aside[s]) {
            status = grain_copy(writing, s, &row);
        } else {
            manifest_find(&writing->next, row.at.stratum)->live += grain_padded(row.at.size);
        }
    }
    return status == ST_OK ? stratum_add_row(writing->writer, &row) : status;
}

static enum status stratum_write(struct writing *writing)
{
    const struct rebuild *rebuild = writing->rebuild;
    const struct holdings *holdings = rebuild->holdings;
    const struct row *rows = (const struct row *)(const void *)rebuild->rows.data;
    size_t count = rebuild->rows.size / sizeof(*rows);
    if (count == 0) {
        return ST_OK;
    }
    writing->id = writing->next.next_stratum;
    enum status status = stratum_writer_new(writing->io, holdings->dir, holdings->store,
                                            writing->id, &writing->writer);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = row_write(writing, rows[i]);
    }
    bool dead = false;
    struct stratum *stratum = NULL;
    if (status == ST_OK) {
        status = stratum_writer_finish(writing->writer, &dead);
    }
    if (status == ST_OK) {
        status =
            stratum_open(writing->io, holdings->dir, holdings->store, writing->id, true, &stratum);
    }
    if (status == ST_OK) {
        status = manifest_add_stratum(&writing->next, writing->id,
                                      stratum_facts(stratum)->grains_end, writing->copied);
    }
    if (status == ST_OK) {
        struct manifest_run run = {writing->id, 0, PARTITION_COUNT - 1};
        status = manifest_add_run(&writing->next, 0, run);
    }
    stratum_unref(stratum);
    return status;
}

/* -- Files ------------------------------------------------------------------------------------- */

/* A name in the directory that nothing has: name, name.2, name.3, … */
static void name_free(struct io *io, const char *dir, const char *name, char *path)
{
    for (unsigned n = 1;; n++) {
        struct io_file *file = NULL;
        char suffix[16] = "";
        if (n > 1) {
            snprintf(suffix, sizeof(suffix), ".%u", n);
        }
        snprintf(path, PATH_MAX_SIZE, "%.3800s/%.128s%s", dir, name, suffix);
        if (io_file_open(io, path, IO_READ, &file) == ST_ABSENT) {
            return;
        }
        io_file_close(file);
    }
}

static enum status file_copy(struct io *io, const char *from, const char *to)
{
    struct io_file *in = NULL;
    struct io_file *out = NULL;
    uint64_t size = 0;
    size_t got = 0;
    unsigned char *data = NULL;
    enum status status = io_file_open(io, from, IO_READ, &in);
    if (status == ST_OK) {
        status = io_file_size(in, &size);
    }
    if (status == ST_OK) {
        data = malloc(size + 1);
        status = data == NULL ? ST_NOMEM : io_file_read(in, data, size, 0, &got);
    }
    if (status == ST_OK) {
        status = io_file_open(io, to, IO_WRITE, &out);
    }
    if (status == ST_OK) {
        status = io_file_write(out, data, got, 0);
    }
    if (status == ST_OK) {
        status = io_file_sync(out);
    }
    io_file_close(in);
    io_file_close(out);
    free(data);
    return status;
}

static enum status manifest_keep(struct io *io, const char *dir)
{
    char from[PATH_MAX_SIZE];
    char to[PATH_MAX_SIZE];
    snprintf(from, sizeof(from), "%.3800s/MANIFEST", dir);
    name_free(io, dir, "MANIFEST.before-rebuild", to);
    enum status status = file_copy(io, from, to);
    return status == ST_OK ? io_dir_sync(io, dir) : status;
}

/* Gives the file a name in damaged/ before the manifest forgets it: a server removes what no
 * manifest names. The old name goes after that, so that no crash leaves a store without it. Where
 * files cannot have two names it is moved at once. */
static enum status set_aside(struct io *io, const char *dir, uint32_t id)
{
    char from[PATH_MAX_SIZE];
    char to[PATH_MAX_SIZE];
    char damaged[PATH_MAX_SIZE];
    char name[32];
    bool linked = false;
    snprintf(name, sizeof(name), "%08x.stratum", id);
    snprintf(from, sizeof(from), "%.3800s/strata/%s", dir, name);
    snprintf(damaged, sizeof(damaged), "%.3800s/damaged", dir);
    enum status status = io_dir_make(io, damaged);
    if (status == ST_OK) {
        name_free(io, damaged, name, to);
        status = io_link(io, from, to, &linked);
    }
    if (status == ST_OK && !linked) {
        status = io_rename(io, from, to);
    }
    if (status == ST_OK) {
        status = io_dir_sync(io, damaged);
    }
    return status == ST_OK ? io_dir_sync(io, dir) : status;
}

static enum status old_names_remove(const struct rebuild *rebuild, struct io *io)
{
    const struct holdings *holdings = rebuild->holdings;
    enum status status = ST_OK;
    for (size_t s = 0; s < holdings->manifest.stratum_count && status == ST_OK; s++) {
        char path[PATH_MAX_SIZE];
        snprintf(path, sizeof(path), "%.3800s/strata/%08x.stratum", holdings->dir,
                 holdings->strata[s].listed.id);
        if (rebuild->aside[s] && !holdings->strata[s].absent) {
            status = io_unlink(io, path);
        }
        status = status == ST_ABSENT ? ST_OK : status; /* It was moved. */
    }
    return status;
}

/* -- All of it --------------------------------------------------------------------------------- */

/* The manifest without runs, counts, live bytes, and the strata that go. */
static enum status manifest_begin(const struct rebuild *rebuild, struct manifest *next)
{
    const struct holdings *holdings = rebuild->holdings;
    enum status status = manifest_copy(&holdings->manifest, next);
    if (status != ST_OK) {
        return status;
    }
    next->run_count = 0;
    for (size_t i = 0; i < next->counts_count; i++) {
        memset(next->counts[i]->partitions, 0, sizeof(next->counts[i]->partitions));
    }
    for (size_t s = 0; s < holdings->manifest.stratum_count; s++) {
        uint32_t id = holdings->strata[s].listed.id;
        if (rebuild->aside[s]) {
            manifest_remove_stratum(next, id);
        } else {
            manifest_find(next, id)->live = 0;
        }
    }
    return ST_OK;
}

enum status rebuild_write(struct rebuild *rebuild, struct io *io)
{
    const struct holdings *holdings = rebuild->holdings;
    struct writing writing = {.rebuild = rebuild, .io = io};
    enum status status = manifest_begin(rebuild, &writing.next);
    if (status == ST_OK) {
        status = stratum_write(&writing);
    }
    if (status == ST_OK) {
        status = manifest_keep(io, holdings->dir);
    }
    for (size_t s = 0; s < holdings->manifest.stratum_count && status == ST_OK; s++) {
        if (rebuild->aside[s] && !holdings->strata[s].absent) {
            status = set_aside(io, holdings->dir, holdings->strata[s].listed.id);
        }
    }
    if (status == ST_OK) {
        status = manifest_save(&writing.next, io, holdings->dir);
    }
    if (status == ST_OK) {
        status = old_names_remove(rebuild, io);
    }
    survey_close(writing.survey);
    stratum_writer_free(writing.writer);
    manifest_deinit(&writing.next);
    return status;
}
