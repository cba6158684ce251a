#include "check/verdict.h"

#include "check/large.h"
#include "engine/value/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_key(const struct row *row)
{
    return row->kind == ROW_KEY || row->kind == ROW_KEY_GONE;
}

static bool has_grain(const struct row *row)
{
    return row->kind == ROW_KEY || row->kind == ROW_PART;
}

/* -1: none has it now. */
static int database_of(const struct holdings *holdings, uint32_t namespace_id)
{
    for (int d = 0; d < MANIFEST_DATABASES; d++) {
        if (holdings->manifest.namespaces[d] == namespace_id) {
            return d;
        }
    }
    return -1;
}

const char *row_label(const struct holdings *holdings, const struct row *row)
{
    static char texts[2][5 * REPORT_QUOTE_MAX + 64];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    if (is_key(row)) {
        snprintf(text, sizeof(texts[0]), "key %s%s of database %d",
                 (row->flags & ROW_LONG) != 0 ? "with hash " : "", report_quote(row->key),
                 database_of(holdings, row->namespace_id));
    } else {
        snprintf(text, sizeof(texts[0]),
                 "part %" PRIu32 " of table %" PRIu32 " of clast %016" PRIx64, row->part.number,
                 row->part.table, row->part.clast);
    }
    return text;
}

/* -- Rows: what each name's newest one says ---------------------------------------------------- */

/* How many rows are of one name, from the newest on. */
static unsigned group_size(const struct holdings *holdings, size_t first)
{
    size_t next = first + 1;
    while (next < holdings->row_count &&
           row_compare(&holdings->rows[first].row, &holdings->rows[next].row) == 0) {
        next++;
    }
    return (unsigned)(next - first);
}

/* NULL: it is sound and what the row says. */
static const char *row_fault(const struct holdings *holdings, const struct row *row,
                             struct held_grain **grain_out)
{
    *grain_out = NULL;
    const struct held_stratum *stratum = holdings_stratum(holdings, row->at.stratum);
    if (stratum == NULL) {
        return "its row points to a stratum that the manifest does not name";
    }
    if (stratum->absent) {
        return "its stratum is missing";
    }
    struct held_grain *grain = holdings_grain(holdings, row->at);
    if (grain == NULL) {
        return "its row points to where no sound grain stands";
    }
    if (grain->digest != row_digest(row)) {
        return "its row points to a grain of another name, type or expiry";
    }
    *grain_out = grain;
    return NULL;
}

static void judge_newest(struct holdings *holdings, struct verdict *verdict,
                         struct verdicts *verdicts)
{
    const struct row *row = &holdings->rows[verdict->newest].row;
    verdict->readable = true;
    verdict->lsn = row->lsn;
    if (!has_grain(row)) {
        return;
    }
    struct held_grain *grain = NULL;
    const char *fault = row_fault(holdings, row, &grain);
    verdict->alive = row->kind == ROW_PART || holdings_knows_namespace(holdings, row->namespace_id);
    verdict->readable = fault == NULL;
    verdict->lsn = fault == NULL ? grain->lsn : UINT64_MAX;
    if (fault == NULL) {
        grain->named = verdict->alive;
    } else if (verdict->alive) {
        verdicts->lost_keys += row->kind == ROW_KEY;
        report_damage(holdings->report, "%s: %s (strata/%08x.stratum at offset %" PRIu64 ")",
                      row_label(holdings, row), fault, row->at.stratum,
                      (uint64_t)row->at.unit * GRAIN_ALIGNMENT);
    }
}

static int verdict_order(const void *a, const void *b)
{
    const struct verdict *x = a;
    const struct verdict *y = b;
    return (x->name > y->name) - (x->name < y->name);
}

static enum status judge_rows(struct holdings *holdings, struct verdicts *verdicts)
{
    verdicts->all = calloc(holdings->row_count + 1, sizeof(*verdicts->all));
    if (verdicts->all == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < holdings->row_count;) {
        struct verdict *verdict = &verdicts->all[verdicts->count++];
        verdict->newest = i;
        verdict->count = group_size(holdings, i);
        verdict->name = row_name(&holdings->rows[i].row);
        holdings->rows[i].newest = true;
        judge_newest(holdings, verdict, verdicts);
        i += verdict->count;
    }
    return ST_OK;
}

/* -- Large values ------------------------------------------------------------------------------ */

/* A clast that a key has, or a mark that (a table of) one is gone for rows of a greater rank. */
struct clast_mark {
    uint64_t clast;
    uint32_t table, rank;
    bool gone;
};

static int mark_order(const void *a, const void *b)
{
    const struct clast_mark *x = a;
    const struct clast_mark *y = b;
    return (x->clast > y->clast) - (x->clast < y->clast);
}

static enum status clasts_collect(const struct holdings *holdings, const struct verdicts *verdicts,
                                  struct buf *marks)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < verdicts->count && status == ST_OK; i++) {
        const struct verdict *verdict = &verdicts->all[i];
        for (unsigned n = 0; n < verdict->count && status == ST_OK; n++) {
            const struct held_row *held = &holdings->rows[verdict->newest + n];
            const struct row *row = &held->row;
            struct clast_mark mark = {row->part.clast, row->part.table, held->rank, true};
            bool root = n == 0 && verdict->alive && (row->flags & ROW_CLAST) != 0;
            if (root) {
                mark = (struct clast_mark){.clast = row->clast};
            }
            if (root || row->kind == ROW_CLAST_GONE) {
                status = buf_append(marks, bytes_of(&mark, sizeof(mark)));
            }
        }
    }
    if (marks->size > 0) {
        qsort(marks->data, marks->size / sizeof(struct clast_mark), sizeof(struct clast_mark),
              mark_order);
    }
    return status;
}

static bool part_alive(const struct buf *marks, const struct held_row *held)
{
    const struct clast_mark *all = (const struct clast_mark *)(const void *)marks->data;
    size_t count = marks->size / sizeof(*all);
    size_t low = 0;
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (all[middle].clast < held->row.part.clast) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool rooted = false;
    for (; low < count && all[low].clast == held->row.part.clast; low++) {
        if (!all[low].gone) {
            rooted = true;
        } else if (held->rank > all[low].rank &&
                   (all[low].table == ROW_TABLE_ALL || all[low].table == held->row.part.table)) {
            return false;
        }
    }
    return rooted;
}

/* Parts of clasts that no key has any more are dead; merges find out. */
static enum status judge_parts(struct holdings *holdings, struct verdicts *verdicts)
{
    struct buf marks = BUF_EMPTY;
    enum status status = clasts_collect(holdings, verdicts, &marks);
    for (size_t i = 0; i < verdicts->count && status == ST_OK; i++) {
        struct verdict *verdict = &verdicts->all[i];
        const struct held_row *held = &holdings->rows[verdict->newest];
        if (held->row.kind != ROW_PART || part_alive(&marks, held)) {
            continue;
        }
        struct held_grain *grain = holdings_grain(holdings, held->row.at);
        verdict->alive = false;
        if (grain != NULL) {
            grain->named = false;
        }
    }
    buf_deinit(&marks);
    return status;
}

/* -- Grains: the other way --------------------------------------------------------------------- */

static void judge_grain(struct holdings *holdings, const struct held_stratum *stratum,
                        const struct held_grain *grain, const struct verdicts *verdicts)
{
    const struct verdict *verdict = verdicts_find(verdicts, grain->name);
    if (grain->key && verdict != NULL && grain->lsn > verdict->lsn &&
        !holdings_in_gap(holdings, grain->place)) {
        report_damage(holdings->report,
                      "%s: the grain of LSN %" PRIu64 " in strata/%08x.stratum at offset %" PRIu64
                      " is newer than what the index says (LSN %" PRIu64 ")",
                      row_label(holdings, &holdings->rows[verdict->newest].row), grain->lsn,
                      stratum->listed.id, (uint64_t)grain->unit * GRAIN_ALIGNMENT, verdict->lsn);
    }
}

static void judge_grains(struct holdings *holdings, struct verdicts *verdicts)
{
    for (size_t i = 0; i < holdings->manifest.stratum_count; i++) {
        struct held_stratum *stratum = &holdings->strata[i];
        for (size_t n = 0; n < stratum->grain_count; n++) {
            const struct held_grain *grain = &stratum->grains[n];
            if (grain->named) {
                stratum->live_count++;
                stratum->live_bytes += grain_padded(grain->size);
            } else {
                judge_grain(holdings, stratum, grain, verdicts);
            }
        }
        uint64_t greatest = stratum->greatest_lsn;
        verdicts->greatest_lsn =
            greatest > verdicts->greatest_lsn ? greatest : verdicts->greatest_lsn;
    }
}

/* -- What the manifest promises ---------------------------------------------------------------- */

static void judge_live(struct holdings *holdings)
{
    for (size_t i = 0; i < holdings->row_count; i++) {
        const struct row *row = &holdings->rows[i].row;
        struct held_stratum *stratum = holdings_stratum(holdings, row->at.stratum);
        if (has_grain(row) && stratum != NULL) {
            stratum->named_bytes += grain_padded(row->at.size);
        }
    }
    for (size_t i = 0; i < holdings->manifest.stratum_count; i++) {
        const struct held_stratum *stratum = &holdings->strata[i];
        uint64_t listed = stratum->listed.live;
        if (listed < stratum->live_bytes) {
            report_damage(holdings->report,
                          "strata/%08x.stratum: the manifest has %" PRIu64
                          " live bytes, but the index points to %" PRIu64,
                          stratum->listed.id, listed, stratum->live_bytes);
        } else if (listed != stratum->named_bytes) {
            report_note(holdings->report,
                        "strata/%08x.stratum: the manifest has %" PRIu64
                        " live bytes, all rows together point to %" PRIu64,
                        stratum->listed.id, listed, stratum->named_bytes);
        }
    }
}

static void count_group(const struct holdings *holdings, const struct verdict *verdict,
                        struct manifest_count *count)
{
    const struct held_row *rows = &holdings->rows[verdict->newest];
    count->keys += rows[0].row.kind == ROW_KEY;
    for (unsigned n = 0; n < verdict->count; n++) {
        const struct row *row = &rows[n].row;
        bool beneath = n + 1 < verdict->count && rows[n + 1].row.kind == ROW_KEY;
        bool unresolved = (row->flags & ROW_UNRESOLVED) != 0;
        count->unresolved += unresolved;
        count->keys -= unresolved && !beneath;
        count->expiring += row->kind == ROW_KEY && (row->flags & ROW_EXPIRES) != 0;
    }
}

static void counts_compare(const struct holdings *holdings, const struct manifest_counts *listed,
                           const struct manifest_counts *found)
{
    static const struct manifest_count none;
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        const struct manifest_count *a = listed == NULL ? &none : &listed->partitions[p];
        const struct manifest_count *b = &found->partitions[p];
        if (a->keys != b->keys || a->unresolved != b->unresolved || a->expiring != b->expiring) {
            report_damage(holdings->report,
                          "database %d, partition %u: the manifest counts %" PRId64
                          " keys, %" PRId64 " unresolved and %" PRId64
                          " expiring rows; the rows say %" PRId64 ", %" PRId64 ", %" PRId64,
                          database_of(holdings, found->namespace_id), p, a->keys, a->unresolved,
                          a->expiring, b->keys, b->unresolved, b->expiring);
        }
    }
}

static const struct manifest_counts *counts_find(const struct manifest *manifest, uint32_t id)
{
    for (size_t i = 0; i < manifest->counts_count; i++) {
        if (manifest->counts[i]->namespace_id == id) {
            return manifest->counts[i];
        }
    }
    return NULL;
}

static enum status judge_counts(const struct holdings *holdings, const struct verdicts *verdicts)
{
    struct manifest found = {.counts_count = 0};
    enum status status = ST_OK;
    for (size_t i = 0; i < holdings->manifest.counts_count && status == ST_OK; i++) {
        uint32_t id = holdings->manifest.counts[i]->namespace_id;
        status = manifest_counts(&found, id) == NULL ? ST_NOMEM : ST_OK;
    }
    for (size_t i = 0; i < verdicts->count && status == ST_OK; i++) {
        const struct row *row = &holdings->rows[verdicts->all[i].newest].row;
        if (!is_key(row) || !holdings_knows_namespace(holdings, row->namespace_id)) {
            continue;
        }
        struct manifest_counts *counts = manifest_counts(&found, row->namespace_id);
        if (counts == NULL) {
            status = ST_NOMEM;
        } else {
            count_group(holdings, &verdicts->all[i],
                        &counts->partitions[place_partition(row->place)]);
        }
    }
    for (size_t i = 0; i < found.counts_count && status == ST_OK; i++) {
        uint32_t id = found.counts[i]->namespace_id;
        counts_compare(holdings, counts_find(&holdings->manifest, id), found.counts[i]);
    }
    manifest_deinit(&found);
    return status;
}

/* -- All of it --------------------------------------------------------------------------------- */

enum status verdicts_judge(struct holdings *holdings, struct verdicts *verdicts_out)
{
    *verdicts_out = (struct verdicts){.count = 0};
    enum status status = judge_rows(holdings, verdicts_out);
    if (status == ST_OK) {
        status = judge_parts(holdings, verdicts_out);
    }
    if (status != ST_OK) {
        return status;
    }
    qsort(verdicts_out->all, verdicts_out->count, sizeof(*verdicts_out->all), verdict_order);
    judge_grains(holdings, verdicts_out);
    status = large_judge(holdings, verdicts_out);
    if (status != ST_OK) {
        return status;
    }
    if (holdings->gap_count > 0) {
        report_note(holdings->report, "not all rows can be read: counts of keys, live bytes and "
                                      "dead grains are not judged");
        return ST_OK;
    }
    judge_live(holdings);
    return judge_counts(holdings, verdicts_out);
}

void verdicts_deinit(struct verdicts *verdicts)
{
    free(verdicts->all);
}

const struct verdict *verdicts_find(const struct verdicts *verdicts, uint64_t name)
{
    struct verdict wanted = {.name = name};
    return verdicts->count == 0 ? NULL
                                : bsearch(&wanted, verdicts->all, verdicts->count,
                                          sizeof(*verdicts->all), verdict_order);
}

/* -- Facts ------------------------------------------------------------------------------------- */

static void run_facts(const struct holdings *holdings, uint32_t id, char *text, size_t size)
{
    const struct manifest *manifest = &holdings->manifest;
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < manifest->run_count && used + 16 < size; i++) {
        const struct manifest_run *run = &manifest->runs[i];
        if (run->stratum == id) {
            used += (size_t)snprintf(text + used, size - used, "%s%u-%u", used == 0 ? "" : ",",
                                     run->first, run->last);
        }
    }
}

static void stratum_facts_print(const struct holdings *holdings, const struct held_stratum *stratum)
{
    char partitions[512];
    run_facts(holdings, stratum->listed.id, partitions, sizeof(partitions));
    uint64_t grains = 0;
    for (size_t i = 0; i < stratum->grain_count; i++) {
        grains += grain_padded(stratum->grains[i].size);
    }
    report_fact(holdings->report,
                "stratum %08x: %" PRIu64 " bytes, %zu grains of %" PRIu64 " bytes: live %" PRIu64
                " of %" PRIu64 ", dead %" PRIu64 " of %" PRIu64 ", unreadable %" PRIu64
                " bytes; manifest: live %" PRIu64 "; %s%s%s",
                stratum->listed.id, stratum->facts.file_size, stratum->grain_count, grains,
                stratum->live_count, stratum->live_bytes,
                (uint64_t)stratum->grain_count - stratum->live_count, grains - stratum->live_bytes,
                stratum->lost_bytes, stratum->listed.live,
                stratum->serves ? "run for partitions " : "no run in use", partitions,
                stratum->listed.bare ? ", its space given back" : "");
}

static void database_facts(const struct holdings *holdings, const struct verdicts *verdicts,
                           unsigned database)
{
    uint64_t types[VALUE_TYPES] = {0};
    uint64_t keys = 0;
    uint64_t expiring = 0;
    uint64_t large = 0;
    uint32_t id = holdings->manifest.namespaces[database];
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct row *row = &holdings->rows[verdicts->all[i].newest].row;
        if (row->kind == ROW_KEY && row->namespace_id == id && verdicts->all[i].readable) {
            keys++;
            expiring += (row->flags & ROW_EXPIRES) != 0;
            large += (row->flags & ROW_CLAST) != 0;
            types[row->type < VALUE_TYPES ? row->type : 0]++;
        }
    }
    char text[256] = "";
    size_t used = 0;
    for (unsigned t = 0; t < VALUE_TYPES; t++) {
        if (types[t] > 0) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, ", %s %" PRIu64,
                                     value_type_name((enum value_type)t), types[t]);
        }
    }
    if (keys > 0 || id != database) {
        report_fact(holdings->report,
                    "database %u (namespace %" PRIu32 "): %" PRIu64
                    " keys in strata; with expiry %" PRIu64 ", large %" PRIu64 "%s",
                    database, id, keys, expiring, large, text);
    }
}

enum status verdicts_facts(const struct holdings *holdings, const struct verdicts *verdicts)
{
    const struct manifest *manifest = &holdings->manifest;
    report_fact(holdings->report,
                "manifest: version %d, store %08x, %" PRIu32 " shards, %zu strata, %zu runs, next "
                "stratum %08x, log needed from LSN %" PRIu64 ", known durable to LSN %" PRIu64
                ", %zu generations",
                MANIFEST_VERSION, holdings->store, manifest->shard_count, manifest->stratum_count,
                manifest->run_count, manifest->next_stratum, manifest->trim_lsn,
                manifest->durable_lsn, manifest->generation_count);
    for (size_t i = 0; i < manifest->stratum_count; i++) {
        stratum_facts_print(holdings, &holdings->strata[i]);
    }
    for (unsigned d = 0; d < MANIFEST_DATABASES; d++) {
        database_facts(holdings, verdicts, d);
    }
    return ST_OK;
}
