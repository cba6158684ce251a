#include "check/holdings.h"

#include "engine/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What the listener of one stratum's survey knows. */
struct listening {
    struct holdings *holdings;
    struct held_stratum *stratum;
};

/* -- Digests ----------------------------------------------------------------------------------- */

static uint64_t digest_of(struct row row)
{
    unsigned char bytes[ROW_SIZE_MAX];
    row.at = (struct location){1, 0, 1};
    row.lsn = 0;
    row.flags &= ~ROW_UNRESOLVED;
    return hash_checksum(bytes_of(bytes, row_store(&row, bytes)));
}

uint64_t row_digest(const struct row *row)
{
    return digest_of(*row);
}

uint64_t row_name(const struct row *row)
{
    struct row name = *row;
    name.type = 0;
    name.expiry_ms = 0;
    name.flags &= ROW_LONG;
    if (name.kind == ROW_KEY_GONE) {
        name.kind = ROW_KEY;
    } else if (name.kind == ROW_PART_GONE) {
        name.kind = ROW_PART;
    } else if (name.kind == ROW_CLAST_GONE) { /* Beside the numbers that parts have. */
        name.kind = ROW_PART;
        name.part.number = UINT32_MAX;
    }
    return digest_of(name);
}

struct row grain_row(const struct holdings *holdings, const struct grain *grain, struct location at,
                     unsigned char *room)
{
    struct row row = {.at = at};
    if (grain->kind == GRAIN_PART) {
        row.kind = ROW_PART;
        row.part = grain->part;
        row.place = place_of_part(grain->part);
        return row;
    }
    row.kind = ROW_KEY;
    row.type = grain->type;
    row.namespace_id = grain->namespace_id;
    row.place = place_of_key(hash_key(&holdings->manifest.secret, grain->namespace_id, grain->key));
    row.flags = ((grain->flags & GRAIN_EXPIRES) != 0 ? ROW_EXPIRES : 0) |
                ((grain->flags & GRAIN_CLAST) != 0 ? ROW_CLAST : 0) |
                ((grain->flags & GRAIN_WAKES) != 0 ? ROW_WAKES : 0);
    row.expiry_ms = (grain->flags & GRAIN_EXPIRES) != 0 ? grain->expiry_ms : 0;
    if ((grain->flags & GRAIN_CLAST) != 0 && grain->data.size >= sizeof(row.clast)) {
        row.clast = load_u64(grain->data.data);
    }
    row.key = row_key(grain->key, holdings->long_key_seed, room, &row.flags);
    return row;
}

/* -- What a survey tells ----------------------------------------------------------------------- */

/* Room for one more; false: no memory. */
static bool grow(void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *larger = realloc(*array, wanted * size);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    *capacity = wanted;
    return true;
}

static void take_fault(void *ctx, uint64_t offset, uint64_t size, const char *what)
{
    struct listening *listening = ctx;
    struct held_stratum *stratum = listening->stratum;
    stratum->faults++;
    stratum->lost_bytes += size;
    char lost[64] = "";
    if (size > 0) {
        snprintf(lost, sizeof(lost), " (%" PRIu64 " bytes)", size);
    }
    report_damage(listening->holdings->report, "strata/%08x.stratum at offset %" PRIu64 ": %s%s",
                  stratum->listed.id, offset, what, lost);
}

static enum status take_grain(void *ctx, uint64_t offset, const struct grain *grain, uint32_t size)
{
    struct listening *listening = ctx;
    struct held_stratum *stratum = listening->stratum;
    if (!grow((void **)&stratum->grains, stratum->grain_count, &stratum->grain_capacity,
              sizeof(*stratum->grains))) {
        return ST_NOMEM;
    }
    unsigned char room[ROW_KEY_HASH_SIZE];
    struct location at = {stratum->listed.id, (uint32_t)(offset / GRAIN_ALIGNMENT), size};
    struct row row = grain_row(listening->holdings, grain, at, room);
    stratum->grains[stratum->grain_count++] = (struct held_grain){
        .lsn = grain->lsn,
        .name = row_name(&row),
        .digest = row_digest(&row),
        .place = row.place,
        .unit = at.unit,
        .size = size,
        .key = grain->kind == GRAIN_KEY,
    };
    stratum->greatest_lsn = grain->lsn > stratum->greatest_lsn ? grain->lsn : stratum->greatest_lsn;
    return ST_OK;
}

/* The rank of a stratum's run at a place; false: it does not serve there. */
static bool rank_at(const struct manifest *manifest, uint32_t stratum, uint64_t place,
                    uint32_t *rank_out)
{
    unsigned partition = place_partition(place);
    for (size_t i = 0; i < manifest->run_count; i++) {
        const struct manifest_run *run = &manifest->runs[i];
        if (run->stratum == stratum && run->first <= partition && partition <= run->last) {
            *rank_out = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static enum status take_row(void *ctx, const struct row *row)
{
    struct listening *listening = ctx;
    struct holdings *holdings = listening->holdings;
    struct held_stratum *stratum = listening->stratum;
    uint32_t rank;
    stratum->greatest_lsn = row->lsn > stratum->greatest_lsn ? row->lsn : stratum->greatest_lsn;
    if (!rank_at(&holdings->manifest, stratum->listed.id, row->place, &rank)) {
        return ST_OK; /* Merged elsewhere. */
    }
    void *key = arena_alloc(&holdings->keys, row->key.size);
    if (key == NULL || !grow((void **)&holdings->rows, holdings->row_count, &holdings->row_capacity,
                             sizeof(*holdings->rows))) {
        return ST_NOMEM;
    }
    struct held_row *held = &holdings->rows[holdings->row_count++];
    *held = (struct held_row){.row = *row, .rank = rank, .stratum = stratum->listed.id};
    if (row->key.size > 0) {
        memcpy(key, row->key.data, row->key.size);
    }
    held->row.key = bytes_of(key, row->key.size);
    return ST_OK;
}

static enum status gap_add(struct holdings *holdings, uint64_t first, uint64_t last)
{
    if (!grow((void **)&holdings->gaps, holdings->gap_count, &holdings->gap_capacity,
              sizeof(*holdings->gaps))) {
        return ST_NOMEM;
    }
    holdings->gaps[holdings->gap_count++] = (struct held_gap){first, last};
    return ST_OK;
}

/* Counts where the stratum's run serves. */
static enum status take_gap(void *ctx, uint64_t first, uint64_t last)
{
    struct listening *listening = ctx;
    const struct manifest *manifest = &listening->holdings->manifest;
    enum status status = ST_OK;
    for (size_t i = 0; i < manifest->run_count && status == ST_OK; i++) {
        const struct manifest_run *run = &manifest->runs[i];
        uint64_t from = (uint64_t)run->first << (64 - PARTITION_BITS);
        uint64_t to = ((uint64_t)run->last << (64 - PARTITION_BITS)) | UINT64_MAX >> PARTITION_BITS;
        from = first > from ? first : from;
        to = last < to ? last : to;
        if (run->stratum == listening->stratum->listed.id && from <= to) {
            status = gap_add(listening->holdings, from, to);
        }
    }
    return status;
}

/* -- Reading ----------------------------------------------------------------------------------- */

static enum status stratum_survey(struct holdings *holdings, struct held_stratum *stratum)
{
    struct listening listening = {holdings, stratum};
    struct survey_listener listener = {&listening, take_fault, take_grain, take_row, take_gap};
    struct survey *survey = NULL;
    bool newer = false;
    uint32_t id = stratum->listed.id;
    enum status status = survey_open(holdings->io, holdings->dir, holdings->store, id,
                                     stratum->listed.grains_end, &listener, &survey, &newer);
    if (status == ST_ABSENT) {
        report_damage(holdings->report, "strata/%08x.stratum is missing", id);
        stratum->absent = true;
        stratum->faults = stratum->file_faults = 1;
        return stratum->serves ? take_gap(&listening, 0, UINT64_MAX) : ST_OK;
    }
    if (status == ST_OK && newer) {
        report_damage(holdings->report,
                      "strata/%08x.stratum was written by a newer version: use that one's "
                      "basin-check",
                      id);
        status = ST_PROTO;
    }
    if (status == ST_OK) {
        stratum->facts = *survey_facts(survey);
        stratum->opens = survey_opens(survey);
        status = survey_grains(survey);
    }
    stratum->file_faults = stratum->faults;
    if (status == ST_OK && stratum->serves) {
        status = survey_rows(survey);
    }
    stratum->run_sound = stratum->opens && stratum->file_faults == stratum->faults;
    survey_close(survey);
    return status;
}

static int row_order(const void *a, const void *b)
{
    const struct held_row *x = a;
    const struct held_row *y = b;
    int order = row_compare(&x->row, &y->row);
    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

static int gap_order(const void *a, const void *b)
{
    const struct held_gap *x = a;
    const struct held_gap *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Gaps that touch become one. */
static void gaps_join(struct holdings *holdings)
{
    if (holdings->gap_count == 0) {
        return;
    }
    qsort(holdings->gaps, holdings->gap_count, sizeof(*holdings->gaps), gap_order);
    size_t kept = 0;
    for (size_t i = 1; i < holdings->gap_count; i++) {
        struct held_gap gap = holdings->gaps[i];
        struct held_gap *before = &holdings->gaps[kept];
        if (gap.first > before->last) {
            holdings->gaps[++kept] = gap;
        } else if (gap.last > before->last) {
            before->last = gap.last;
        }
    }
    holdings->gap_count = kept + 1;
}

/* Says so if a newer version wrote the manifest: its checksum holds, but not its version. */
static bool manifest_newer(struct io *io, const char *dir)
{
    char path[4096];
    unsigned char fixed[16];
    size_t got = 0;
    uint64_t size = 0;
    struct io_file *file = NULL;
    snprintf(path, sizeof(path), "%s/MANIFEST", dir);
    if (io_file_open(io, path, IO_READ, &file) != ST_OK) {
        return false;
    }
    bool newer = io_file_size(file, &size) == ST_OK && size > 64 && size < (1u << 30) &&
                 io_file_read(file, fixed, sizeof(fixed), 0, &got) == ST_OK &&
                 got == sizeof(fixed) && memcmp(fixed, "BASINMAN", 8) == 0 &&
                 load_u32(fixed + 8) > MANIFEST_VERSION;
    unsigned char *bytes = newer ? malloc(size) : NULL;
    newer = bytes != NULL && io_file_read(file, bytes, size, 0, &got) == ST_OK && got == size &&
            load_u64(bytes + size - 8) == hash_checksum(bytes_of(bytes, size - 8));
    free(bytes);
    io_file_close(file);
    return newer;
}

static enum status manifest_read(struct holdings *holdings)
{
    if (manifest_newer(holdings->io, holdings->dir)) {
        report_damage(holdings->report, "MANIFEST was written by a newer version: use that one's "
                                        "basin-check");
        return ST_PROTO;
    }
    enum status status = manifest_load(&holdings->manifest, holdings->io, holdings->dir);
    if (status == ST_CORRUPT) {
        report_damage(holdings->report, "MANIFEST is not as it was written; without it nothing "
                                        "can be told of the rest: restore it from a backup");
    }
    return status;
}

enum status holdings_read(struct holdings *holdings, struct io *io, const char *dir,
                          struct report *report)
{
    *holdings = (struct holdings){.io = io, .dir = dir, .report = report};
    arena_init(&holdings->keys);
    enum status status = manifest_read(holdings);
    if (status != ST_OK) {
        return status;
    }
    const struct manifest *manifest = &holdings->manifest;
    holdings->store =
        (uint32_t)hash_checksum(bytes_of(manifest->secret.bytes, sizeof(manifest->secret.bytes)));
    holdings->long_key_seed =
        hash_key(&manifest->secret, UINT32_MAX, bytes_of_text("keys too long for rows"));
    holdings->strata = calloc(manifest->stratum_count + 1, sizeof(*holdings->strata));
    if (holdings->strata == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < manifest->stratum_count && status == ST_OK; i++) {
        holdings->strata[i].listed = manifest->strata[i];
        holdings->strata[i].serves = manifest_uses_run(manifest, manifest->strata[i].id);
        status = stratum_survey(holdings, &holdings->strata[i]);
    }
    if (holdings->row_count > 0) {
        qsort(holdings->rows, holdings->row_count, sizeof(*holdings->rows), row_order);
    }
    gaps_join(holdings);
    return status;
}

void holdings_deinit(struct holdings *holdings)
{
    for (size_t i = 0; holdings->strata != NULL && i < holdings->manifest.stratum_count; i++) {
        free(holdings->strata[i].grains);
    }
    free(holdings->strata);
    free(holdings->rows);
    free(holdings->gaps);
    arena_deinit(&holdings->keys);
    manifest_deinit(&holdings->manifest);
}

/* -- Look-ups ---------------------------------------------------------------------------------- */

struct held_stratum *holdings_stratum(const struct holdings *holdings, uint32_t id)
{
    const struct manifest_stratum *listed = manifest_find(&holdings->manifest, id);
    return listed == NULL ? NULL : &holdings->strata[listed - holdings->manifest.strata];
}

struct held_grain *holdings_grain(const struct holdings *holdings, struct location at)
{
    struct held_stratum *stratum = holdings_stratum(holdings, at.stratum);
    size_t low = 0;
    size_t high = stratum == NULL ? 0 : stratum->grain_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stratum->grains[middle].unit < at.unit) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found =
        stratum != NULL && low < stratum->grain_count && stratum->grains[low].unit == at.unit;
    return found && stratum->grains[low].size == at.size ? &stratum->grains[low] : NULL;
}

bool holdings_in_gap(const struct holdings *holdings, uint64_t place)
{
    size_t low = 0;
    size_t high = holdings->gap_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (holdings->gaps[middle].last < place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < holdings->gap_count && holdings->gaps[low].first <= place;
}

bool holdings_knows_namespace(const struct holdings *holdings, uint32_t namespace_id)
{
    return !manifest_dropped(&holdings->manifest, namespace_id);
}

static void ignore_fault(void *ctx, uint64_t offset, uint64_t size, const char *what)
{
}

enum status holdings_survey(const struct holdings *holdings, uint32_t id,
                            struct survey **survey_out)
{
    struct survey_listener listener = {.fault = ignore_fault};
    bool newer;
    const struct held_stratum *stratum = holdings_stratum(holdings, id);
    return survey_open(holdings->io, holdings->dir, holdings->store, id, stratum->listed.grains_end,
                       &listener, survey_out, &newer);
}
