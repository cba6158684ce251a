#include "engine/compact/compact.h"

#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "engine/compact/range.h"

#include <stdlib.h>
#include <time.h>

/* Rows that one range takes at most, about. */
#define RANGE_ROWS (256u << 10)
#define RUNS_MAX 8
/* In hundredths of what is live: what may be settled until a pass is due, what garbage may be
 * known, and what garbage victims leave behind. */
#define FRESH_MAX 30
#define GARBAGE_MAX 40
#define GARBAGE_LEFT 10
/* A stratum of which more than this is live is not worth moving. */
#define VICTIM_LIVE_MAX 90
/* So little is never worth a pass. */
#define BYTES_MIN (4u << 20)
#define SAMPLE_PARTITIONS 64
#define LOOK_MS 200
/* After a pass that failed: on a full disk each attempt writes a range for nothing. */
#define RETRY_MS 5000
#define PURGE_EACH_MS 600000
#define EXPIRING_MIN 1000

struct compactor {
    struct basin *basin;
    bool background;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool running;
    _Atomic bool stop;
    /* Passes are numbered from 1 in the order in which they begin; one runs at a time. */
    _Atomic uint64_t begun, ended, asked;
    _Atomic enum status status; /* Of the last that ended. */
};

/* -- What there is to do ----------------------------------------------------------------------- */

struct survey {
    uint64_t live, garbage, fresh; /* Bytes; fresh: of strata whose run covers every partition. */
    uint64_t keys, expiring;       /* Of rows. */
    unsigned runs;                 /* Most that one partition can have. */
};

static uint64_t grains_of(const struct manifest_stratum *stratum)
{
    return stratum->grains_end > STRATUM_GRAINS_START ? stratum->grains_end - STRATUM_GRAINS_START
                                                      : 0;
}

/* Settle rounds write runs over all partitions; merged ones of large stores are narrower. The
 * oldest whole one of a small store is a merged one. */
static struct survey survey_take(struct basin *basin)
{
    struct survey survey = {.live = 0};
    pthread_mutex_lock(&basin->manifest_mutex);
    const struct manifest *manifest = &basin->manifest;
    for (size_t i = 0; i < manifest->stratum_count; i++) {
        survey.live += manifest->strata[i].live;
        survey.garbage += grains_of(&manifest->strata[i]) - manifest->strata[i].live;
    }
    for (size_t i = 0; i < manifest->run_count; i++) {
        const struct manifest_run *run = &manifest->runs[i];
        const struct manifest_stratum *stratum = manifest_find(manifest, run->stratum);
        bool whole = run->first == 0 && run->last == PARTITION_COUNT - 1;
        if (whole && i + 1 < manifest->run_count) {
            survey.fresh += stratum->live;
            survey.runs++;
        }
    }
    for (size_t i = 0; i < manifest->counts_count; i++) {
        for (unsigned p = 0; p < PARTITION_COUNT; p++) {
            int64_t keys = manifest->counts[i]->partitions[p].keys;
            int64_t expiring = manifest->counts[i]->partitions[p].expiring;
            survey.keys += keys > 0 ? (uint64_t)keys : 0;
            survey.expiring += expiring > 0 ? (uint64_t)expiring : 0;
        }
    }
    pthread_mutex_unlock(&basin->manifest_mutex);
    return survey;
}

/* Keys expire on disk too; from time to time a pass throws them away. */
static bool purge_due(struct basin *basin, const struct survey *survey)
{
    uint64_t now_ms = io_wall_ms(basin->io);
    return survey->expiring > EXPIRING_MIN && survey->expiring * 10 > survey->keys &&
           now_ms > atomic_load(&basin->merged_ms) + PURGE_EACH_MS;
}

static bool due(struct basin *basin)
{
    struct survey survey = survey_take(basin);
    if (atomic_load(&basin->compact_wanted) || purge_due(basin, &survey)) {
        return true;
    }
    uint64_t settled = survey.live - survey.fresh;
    return survey.runs > RUNS_MAX ||
           (survey.fresh > BYTES_MIN && survey.fresh * 100 > settled * FRESH_MAX) ||
           (survey.garbage > BYTES_MIN && survey.garbage * 100 > survey.live * GARBAGE_MAX);
}

/* -- Victims ----------------------------------------------------------------------------------- */

struct candidate {
    uint32_t id;
    uint64_t size, live;
};

static int deadest_first(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    /* live / size ascending, without a division. */
    unsigned __int128 left = (unsigned __int128)x->live * y->size;
    unsigned __int128 right = (unsigned __int128)y->live * x->size;
    return (left > right) - (left < right);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = load_u32(a);
    uint32_t y = load_u32(b);
    return (x > y) - (x < y);
}

/* What is live once the sample's share of deaths is met everywhere. */
static uint64_t live_expected(const struct manifest_stratum *now, uint64_t live_before,
                              unsigned sampled)
{
    uint64_t died = live_before > now->live ? live_before - now->live : 0;
    uint64_t all = sampled == 0 ? 0 : died * PARTITION_COUNT / sampled;
    return all < live_before ? live_before - all : 0;
}

/* live_before: as of the pass's start, for the strata of `before`. */
static enum status victims_choose(struct basin *basin, const struct manifest *before,
                                  unsigned sampled, struct victims *victims)
{
    struct candidate *candidates = malloc((before->stratum_count + 1) * sizeof(*candidates));
    victims->ids = malloc((before->stratum_count + 1) * sizeof(*victims->ids));
    victims->count = 0;
    if (candidates == NULL || victims->ids == NULL) {
        free(candidates);
        return ST_NOMEM;
    }
    uint64_t live = 0;
    uint64_t garbage = 0;
    size_t count = 0;
    pthread_mutex_lock(&basin->manifest_mutex);
    for (size_t i = 0; i < before->stratum_count; i++) {
        const struct manifest_stratum *now = manifest_find(&basin->manifest, before->strata[i].id);
        uint64_t size = now == NULL ? 0 : grains_of(now);
        if (size > 0) {
            uint64_t expected = live_expected(now, before->strata[i].live, sampled);
            candidates[count++] = (struct candidate){now->id, size, expected};
            live += expected;
            garbage += size - (expected < size ? expected : size);
        }
    }
    pthread_mutex_unlock(&basin->manifest_mutex);
    qsort(candidates, count, sizeof(*candidates), deadest_first);
    for (size_t i = 0; i < count; i++) {
        const struct candidate *candidate = &candidates[i];
        bool enough = garbage * 100 <= live * GARBAGE_LEFT;
        if (enough || candidate->live * 100 > candidate->size * VICTIM_LIVE_MAX) {
            break;
        }
        victims->ids[victims->count++] = candidate->id;
        garbage -= candidate->size - candidate->live;
    }
    qsort(victims->ids, victims->count, sizeof(*victims->ids), by_id);
    free(candidates);
    return ST_OK;
}

/* -- A pass ------------------------------------------------------------------------------------ */

static uint64_t rows_in_all(struct basin *basin)
{
    uint64_t rows = 0;
    pthread_mutex_lock(&basin->manifest_mutex);
    const struct manifest *manifest = &basin->manifest;
    for (size_t i = 0; i < manifest->run_count; i++) {
        struct stratum *stratum = strata_get(&basin->strata, manifest->runs[i].stratum);
        rows += stratum == NULL ? 0 : stratum_facts(stratum)->row_count;
        stratum_unref(stratum);
    }
    pthread_mutex_unlock(&basin->manifest_mutex);
    return rows;
}

/* Merges partitions first … last in ranges of a bearable size. */
static enum status ranges_merge(struct compactor *compactor, unsigned first, unsigned last,
                                const struct victims *victims)
{
    struct basin *basin = compactor->basin;
    uint64_t ranges = rows_in_all(basin) / RANGE_ROWS + 1;
    unsigned width = ranges >= PARTITION_COUNT ? 1 : (unsigned)(PARTITION_COUNT / ranges);
    enum status status = ST_OK;
    while (first <= last && status == ST_OK) {
        unsigned end = first + width - 1 < last ? first + width - 1 : last;
        struct range_result result;
        atomic_store_explicit(&basin->merge_at, first, memory_order_relaxed);
        status =
            range_merge(basin, (uint16_t)first, (uint16_t)end, victims, &compactor->stop, &result);
        atomic_fetch_add(&basin->merged_rows, result.rows_out);
        atomic_fetch_add(&basin->moved_bytes, result.moved_bytes);
        first = end + 1;
    }
    return status;
}

static enum status pass(struct compactor *compactor)
{
    struct basin *basin = compactor->basin;
    static const struct victims none = {NULL, 0};
    struct victims victims = {NULL, 0};
    struct manifest before;
    pthread_mutex_lock(&basin->manifest_mutex);
    enum status status = manifest_copy(&basin->manifest, &before);
    pthread_mutex_unlock(&basin->manifest_mutex);
    if (status != ST_OK) {
        return status;
    }
    atomic_store(&basin->compact_wanted, false);
    unsigned sampled = SAMPLE_PARTITIONS;
    status = ranges_merge(compactor, 0, sampled - 1, &none);
    if (status == ST_OK) {
        status = victims_choose(basin, &before, sampled, &victims);
    }
    if (status == ST_OK) {
        status = ranges_merge(compactor, sampled, PARTITION_COUNT - 1, &victims);
    }
    if (status == ST_OK && victims.count > 0) {
        status = ranges_merge(compactor, 0, sampled - 1, &victims);
    }
    free(victims.ids);
    manifest_deinit(&before);
    atomic_fetch_add(&basin->merge_passes, status == ST_OK);
    atomic_store(&basin->merged_ms, io_wall_ms(basin->io));
    return status;
}

/* -- When -------------------------------------------------------------------------------------- */

static bool take(struct compactor *compactor, bool wait)
{
    pthread_mutex_lock(&compactor->mutex);
    while (wait && compactor->running) {
        pthread_cond_wait(&compactor->changed, &compactor->mutex);
    }
    bool taken = !compactor->running;
    compactor->running = true;
    pthread_mutex_unlock(&compactor->mutex);
    return taken;
}

/* What was asked for is asked for again if all that the pass merged was dropped under it. */
static void pass_ended(struct compactor *compactor, uint64_t number, enum status status)
{
    if (status != ST_WAIT) {
        atomic_store(&compactor->status, status);
        atomic_store(&compactor->ended, number);
    } else if (atomic_load(&compactor->asked) > atomic_load(&compactor->ended)) {
        atomic_store(&compactor->asked, number + 1);
    }
}

static enum status run_pass(struct compactor *compactor)
{
    struct basin *basin = compactor->basin;
    uint64_t number = atomic_fetch_add(&compactor->begun, 1) + 1;
    atomic_store(&basin->merge_at, 0);
    enum status before = atomic_load(&compactor->status);
    enum status status = pass(compactor);
    atomic_store(&basin->merge_at, PARTITION_COUNT);
    pass_ended(compactor, number, status);
    if (status != ST_OK && status != ST_WAIT && status != before) {
        log_line(LOG_WARNING, "merging was given up: %s; it is tried again", status_name(status));
    }
    pthread_mutex_lock(&compactor->mutex);
    compactor->running = false;
    pthread_cond_broadcast(&compactor->changed);
    pthread_mutex_unlock(&compactor->mutex);
    return status;
}

enum status compact_now(struct basin *basin)
{
    struct compactor *compactor = basin->compactor;
    enum status status;
    do {
        /* ST_WAIT: what it was about was dropped meanwhile; what has come since is to be merged. */
        (void)take(compactor, true);
        status = run_pass(compactor);
    } while (status == ST_WAIT && !atomic_load(&compactor->stop));
    return status;
}

uint64_t compact_ask(struct basin *basin)
{
    struct compactor *compactor = basin->compactor;
    pthread_mutex_lock(&compactor->mutex);
    uint64_t number = atomic_load(&compactor->begun) + 1;
    atomic_store(&compactor->asked, number);
    pthread_cond_broadcast(&compactor->changed);
    pthread_mutex_unlock(&compactor->mutex);
    return number;
}

enum status compact_asked(const struct basin *basin, uint64_t number)
{
    const struct compactor *compactor = basin->compactor;
    return atomic_load(&compactor->ended) < number ? ST_WAIT : atomic_load(&compactor->status);
}

static bool is_asked(const struct compactor *compactor)
{
    return atomic_load(&compactor->asked) > atomic_load(&compactor->begun);
}

void compact_tick(struct basin *basin)
{
    if ((is_asked(basin->compactor) || due(basin)) && take(basin->compactor, false)) {
        status_ignore(run_pass(basin->compactor), "it is logged, and tried again");
    }
}

static void *run(void *arg)
{
    struct compactor *compactor = arg;
    thread_background();
    while (!atomic_load(&compactor->stop)) {
        compact_tick(compactor->basin);
        pthread_mutex_lock(&compactor->mutex);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        uint64_t wait_ms = atomic_load(&compactor->status) == ST_OK ? LOOK_MS : RETRY_MS;
        uint64_t end_ns = (uint64_t)until.tv_nsec + wait_ms * 1000000;
        until.tv_sec += (time_t)(end_ns / 1000000000);
        until.tv_nsec = (long)(end_ns % 1000000000);
        if (!atomic_load(&compactor->stop) && !is_asked(compactor)) {
            pthread_cond_timedwait(&compactor->changed, &compactor->mutex, &until);
        }
        pthread_mutex_unlock(&compactor->mutex);
    }
    return NULL;
}

enum status compactor_new(struct basin *basin, bool background, struct compactor **compactor_out)
{
    struct compactor *compactor = calloc(1, sizeof(*compactor));
    if (compactor == NULL) {
        return ST_NOMEM;
    }
    compactor->basin = basin;
    atomic_store(&basin->merge_at, PARTITION_COUNT);
    pthread_mutex_init(&compactor->mutex, NULL);
    pthread_cond_init(&compactor->changed, NULL);
    *compactor_out = compactor;
    if (background) {
        compactor->background = pthread_create(&compactor->thread, NULL, run, compactor) == 0;
        return compactor->background ? ST_OK : ST_NOMEM;
    }
    return ST_OK;
}

void compactor_free(struct compactor *compactor)
{
    if (compactor == NULL) {
        return;
    }
    pthread_mutex_lock(&compactor->mutex);
    atomic_store(&compactor->stop, true);
    pthread_cond_broadcast(&compactor->changed);
    pthread_mutex_unlock(&compactor->mutex);
    if (compactor->background) {
        pthread_join(compactor->thread, NULL);
    }
    pthread_mutex_destroy(&compactor->mutex);
    pthread_cond_destroy(&compactor->changed);
    free(compactor);
}
