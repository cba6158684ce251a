/* A value is brought into memory as a server does it: what is asked for and absent is noted, read
 * and installed, and the asking goes on. value_copy asks for all parts, many at a time. */
#include "check/large.h"

#include "engine/basin.h"
#include "engine/value/root.h"

#include <inttypes.h>
#include <stdlib.h>

#define MISSES_MAX 64

struct large {
    struct holdings *holdings;
    const struct verdicts *verdicts;
    struct survey **surveys; /* By index of the stratum; opened when needed. */
    struct value_limits limits;
    const char *fault; /* Of the value under way; NULL: none. */
};

/* Lends the grain of a row until the next call. */
static enum status grain_read(struct large *large, const struct row *row, struct grain *grain_out)
{
    const struct held_stratum *stratum = holdings_stratum(large->holdings, row->at.stratum);
    struct survey **survey = &large->surveys[stratum - large->holdings->strata];
    struct bytes bytes = BYTES_NONE;
    enum status status = ST_OK;
    if (*survey == NULL) {
        status = holdings_survey(large->holdings, row->at.stratum, survey);
    }
    if (status == ST_OK) {
        status =
            survey_grain(*survey, (uint64_t)row->at.unit * GRAIN_ALIGNMENT, row->at.size, &bytes);
    }
    return status == ST_OK ? grain_parse(bytes, grain_out) : status;
}

static enum status part_bring(struct large *large, struct value *value,
                              const struct parts_miss *miss)
{
    struct row wanted = {.kind = ROW_PART, .at = {1, 0, 1}};
    wanted.part = (struct part_name){miss->clast, miss->table, miss->number};
    wanted.place = place_of_part(wanted.part);
    const struct verdict *verdict = verdicts_find(large->verdicts, row_name(&wanted));
    if (verdict == NULL || !verdict->alive || !verdict->readable) {
        large->fault = verdict == NULL || verdict->readable ? "it needs a part that no row names"
                                                            : "a part of it cannot be read";
        return ST_OK;
    }
    struct grain grain = {.kind = GRAIN_KEY};
    enum status status = grain_read(large, &large->holdings->rows[verdict->newest].row, &grain);
    struct part *part = status == ST_OK ? part_new(grain.data.size) : NULL;
    if (part == NULL) {
        return status == ST_OK ? ST_NOMEM : status;
    }
    if (grain.data.size > 0) {
        memcpy(part->data, grain.data.data, grain.data.size);
    }
    part->size = (uint32_t)grain.data.size;
    status = value_install(value, miss->table, miss->number, part);
    if (status != ST_OK) {
        part_unref(part);
    }
    return status == ST_ABSENT ? ST_OK : status; /* It was noted twice. */
}

/* Brings all parts. */
static enum status parts_bring(struct large *large, struct value *value)
{
    struct parts_miss misses[MISSES_MAX];
    struct buf scratch = BUF_EMPTY;
    struct value copy;
    enum status status;
    (void)parts_take_misses(misses, 0); /* Of the value before. */
    while ((status = value_copy(value, &scratch, &copy)) == ST_WAIT && large->fault == NULL) {
        size_t count = parts_take_misses(misses, MISSES_MAX);
        status = count == 0 ? ST_CORRUPT : ST_OK;
        for (size_t i = 0; i < count && status == ST_OK && large->fault == NULL; i++) {
            status = part_bring(large, value, &misses[i]);
        }
        if (status != ST_OK) {
            break;
        }
    }
    if (status == ST_OK && large->fault == NULL) {
        value_free(&copy);
    }
    buf_deinit(&scratch);
    return status == ST_WAIT ? ST_OK : status;
}

/* NULL in large->fault: it is whole. */
static enum status value_judge(struct large *large, const struct row *row)
{
    struct grain grain = {.kind = GRAIN_KEY};
    struct value value;
    struct buf encoded = BUF_EMPTY;
    enum status status = grain_read(large, row, &grain);
    if (status != ST_OK) {
        return status;
    }
    const size_t id_size = sizeof(row->clast);
    large->fault = NULL;
    status = grain.data.size < id_size
                 ? ST_CORRUPT
                 : value_root_load(bytes_slice(grain.data, id_size, grain.data.size),
                                   (enum value_type)grain.type, row->clast, &large->limits, &value);
    if (status == ST_CORRUPT) {
        large->fault = "its root is none";
    }
    if (status != ST_OK) {
        return status == ST_CORRUPT ? ST_OK : status;
    }
    status = parts_bring(large, &value);
    if (status == ST_OK && large->fault == NULL) {
        status = value_encode(&value, &encoded);
    }
    if (status == ST_CORRUPT || status == ST_WAIT) {
        large->fault = "its parts make no value";
        status = ST_OK;
    }
    buf_deinit(&encoded);
    value_free(&value);
    return status;
}

enum status large_judge(struct holdings *holdings, struct verdicts *verdicts)
{
    struct large large = {.holdings = holdings, .verdicts = verdicts};
    size_t count = holdings->manifest.stratum_count;
    large.limits = basin_options_default().limits;
    large.limits.hash_seed =
        hash_key(&holdings->manifest.secret, UINT32_MAX, bytes_of_text("elements of values"));
    large.surveys = calloc(count + 1, sizeof(struct survey *));
    enum status status = large.surveys == NULL ? ST_NOMEM : ST_OK;
    for (size_t i = 0; i < verdicts->count && status == ST_OK; i++) {
        struct verdict *verdict = &verdicts->all[i];
        const struct row *row = &holdings->rows[verdict->newest].row;
        if (!verdict->alive || !verdict->readable || (row->flags & ROW_CLAST) == 0) {
            continue;
        }
        status = value_judge(&large, row);
        if (status == ST_OK && large.fault != NULL) {
            verdict->broken = true;
            report_damage(holdings->report, "%s: %s", row_label(holdings, row), large.fault);
        }
    }
    for (size_t i = 0; large.surveys != NULL && i < count; i++) {
        survey_close(large.surveys[i]);
    }
    free(large.surveys);
    return status;
}
