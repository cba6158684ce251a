#include "check/show.h"

#include "check/log_walk.h"
#include "engine/strata/survey.h"
#include "engine/value/value.h"

#include <inttypes.h>
#include <stdio.h>

struct dumping {
    const struct manifest *manifest;
    struct report *report;
    uint32_t stratum;
};

/* "3", or "-" for a namespace that no database has. */
static const char *database_text(const struct dumping *dumping, uint32_t namespace_id, char *text)
{
    for (unsigned d = 0; d < MANIFEST_DATABASES; d++) {
        if (dumping->manifest->namespaces[d] == namespace_id) {
            sprintf(text, "%u", d);
            return text;
        }
    }
    return "-";
}

/* -- Strata ------------------------------------------------------------------------------------ */

static const char *type_text(unsigned type)
{
    return type < VALUE_TYPES ? value_type_name((enum value_type)type) : "unknown";
}

static enum status grain_line(void *ctx, uint64_t offset, const struct grain *grain, uint32_t size)
{
    const struct dumping *dumping = ctx;
    char database[16];
    char expiry[32] = "none";
    if (grain->kind == GRAIN_PART) {
        report_fact(dumping->report,
                    "stratum %08x offset %" PRIu64 " part of clast %016" PRIx64 " table %" PRIu32
                    " number %" PRIu32 " size %" PRIu32 " data %s",
                    dumping->stratum, offset, grain->part.clast, grain->part.table,
                    grain->part.number, size, report_quote(grain->data));
        return ST_OK;
    }
    if ((grain->flags & GRAIN_EXPIRES) != 0) {
        snprintf(expiry, sizeof(expiry), "%" PRId64, grain->expiry_ms);
    }
    report_fact(
        dumping->report,
        "stratum %08x offset %" PRIu64 " lsn %" PRIu64 " db %s namespace %" PRIu32
        " key %s type %s%s expiry %s size %" PRIu32 " value %s",
        dumping->stratum, offset, grain->lsn, database_text(dumping, grain->namespace_id, database),
        grain->namespace_id, report_quote(grain->key), type_text(grain->type),
        (grain->flags & GRAIN_CLAST) != 0 ? " large" : "", expiry, size, report_quote(grain->data));
    return ST_OK;
}

static void fault_line(void *ctx, uint64_t offset, uint64_t size, const char *what)
{
    const struct dumping *dumping = ctx;
    report_damage(dumping->report,
                  "strata/%08x.stratum at offset %" PRIu64 ": %s (%" PRIu64 " bytes)",
                  dumping->stratum, offset, what, size);
}

static enum status show_stratum(struct io *io, const char *dir, struct dumping *dumping,
                                const struct manifest_stratum *stratum)
{
    struct survey_listener listener = {.ctx = dumping, .fault = fault_line, .grain = grain_line};
    const struct manifest *manifest = dumping->manifest;
    uint32_t store =
        (uint32_t)hash_checksum(bytes_of(manifest->secret.bytes, sizeof(manifest->secret.bytes)));
    struct survey *survey = NULL;
    bool newer = false;
    dumping->stratum = stratum->id;
    enum status status =
        survey_open(io, dir, store, stratum->id, stratum->grains_end, &listener, &survey, &newer);
    if (status == ST_ABSENT) {
        report_damage(dumping->report, "strata/%08x.stratum is missing", stratum->id);
        return ST_OK;
    }
    if (status == ST_OK) {
        status = newer ? ST_PROTO : survey_grains(survey);
    }
    survey_close(survey);
    return status;
}

enum status show_strata(struct io *io, const char *dir, const struct manifest *manifest,
                        struct report *report)
{
    struct dumping dumping = {.manifest = manifest, .report = report};
    enum status status = ST_OK;
    for (size_t i = 0; i < manifest->stratum_count && status == ST_OK; i++) {
        status = show_stratum(io, dir, &dumping, &manifest->strata[i]);
    }
    return status;
}

/* -- Log --------------------------------------------------------------------------------------- */

static const char *op_text(enum record_op op, char *text)
{
    static const char *const names[] = {
        [RECORD_PUT] = "put",
        [RECORD_DELETE] = "delete",
        [RECORD_EXPIRE] = "expire",
        [RECORD_NAMESPACES] = "namespaces",
        [RECORD_TEXT_WRITE] = "text write",
        [RECORD_LIST_PUSH] = "list push",
        [RECORD_LIST_POP] = "list pop",
        [RECORD_LIST_SET] = "list set",
        [RECORD_LIST_INSERT] = "list insert",
        [RECORD_LIST_REMOVE] = "list remove",
        [RECORD_LIST_TRIM] = "list trim",
        [RECORD_CHUNK_APPEND] = "chunk append",
    };
    if ((size_t)op < sizeof(names) / sizeof(names[0]) && names[op] != NULL) {
        return names[op];
    }
    sprintf(text, "operation %d", (int)op);
    return text;
}

static void record_line(void *ctx, uint64_t lsn, const struct record *record)
{
    const struct dumping *dumping = ctx;
    char database[16];
    char op[32];
    report_fact(dumping->report,
                "log lsn %" PRIu64 " %s%s db %s namespace %" PRIu32
                " key %s %s size %zu payload %s",
                lsn, (record->flags & RECORD_FIRST) != 0 ? "[" : " ",
                (record->flags & RECORD_LAST) != 0 ? "]" : " ",
                database_text(dumping, record->namespace_id, database), record->namespace_id,
                report_quote(record->key), op_text(record->op, op), record->payload.size,
                report_quote(record->payload));
}

enum status show_log(struct io *io, const char *dir, const struct manifest *manifest,
                     struct report *report)
{
    struct dumping dumping = {.manifest = manifest, .report = report};
    struct log_facts facts;
    return log_walk(io, dir, manifest, report, record_line, &dumping, &facts);
}
