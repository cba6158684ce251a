#include "engine/compact/range.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <stdlib.h>

#define STOP_ROWS 4096 /* How often `stop` is looked at. */

/* A run that is merged, and for which partitions what it says still counts. */
struct input {
    uint32_t id;
    bool counts[PARTITION_COUNT];
};

/* All of a clast, or one of its tables. */
struct dead_clast {
    uint64_t clast;
    uint32_t table; /* Or ROW_TABLE_ALL. */
};

struct range {
    struct basin *basin;
    uint16_t first, last;
    const struct victims *victims;
    struct manifest before; /* A copy, as of the beginning. */
    uint64_t void_epoch;    /* As of then. */
    uint64_t now_ms;        /* As of then; wall clock. */
    struct buf purged; /* u64: hashes of keys that were thrown away because they have expired. */
    uint64_t *dead;    /* Bytes found dead, by index in before.strata. */
    struct input *inputs;
    struct stratum **strata; /* Of the inputs, in the same order. */
    unsigned input_count;
    struct stratum_writer *writer;
    uint32_t id;
    struct manifest counts; /* Only its counts: what is to be added. */
    unsigned partition;     /* Of the rows that come now, */
    struct buf dead_clasts; /* struct dead_clast: what was found dead in it, */
    bool dead_sorted;       /* and whether they are in order. */
    struct buf grain;
    uint64_t moved_bytes;
    bool doubtful; /* Whether the manifest that names the output was saved. */
    struct range_result *result;
};

bool victims_have(const struct victims *victims, uint32_t id)
{
    size_t low = 0;
    size_t high = victims->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (victims->ids[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < victims->count && victims->ids[low] == id;
}

/* -- What is found out ------------------------------------------------------------------------- */

static void grain_dead(struct range *range, const struct row *row)
{
    if (row->kind != ROW_KEY && row->kind != ROW_PART) {
        return;
    }
    const struct manifest_stratum *stratum = manifest_find(&range->before, row->at.stratum);
    if (stratum != NULL) {
        range->dead[stratum - range->before.strata] += grain_padded(row->at.size);
    }
}

static bool is_key(const struct row *row)
{
    return row->kind == ROW_KEY || row->kind == ROW_KEY_GONE;
}

static bool dropped(const struct range *range, uint32_t namespace_id)
{
    return manifest_dropped(&range->before, namespace_id);
}

static enum status clast_dead(struct range *range, uint64_t clast, uint32_t table)
{
    struct dead_clast dead = {clast, table};
    range->dead_sorted = false;
    return buf_append(&range->dead_clasts, bytes_of(&dead, sizeof(dead)));
}

static int dead_order(const void *a, const void *b)
{
    const struct dead_clast *x = a;
    const struct dead_clast *y = b;
    int order = (x->clast > y->clast) - (x->clast < y->clast);
    return order != 0 ? order : (x->table > y->table) - (x->table < y->table);
}

static bool is_dead(const struct range *range, uint64_t clast, uint32_t table)
{
    struct dead_clast sought = {clast, table};
    size_t count = range->dead_clasts.size / sizeof(sought);
    return bsearch(&sought, range->dead_clasts.data, count, sizeof(sought), dead_order) != NULL;
}

static bool part_is_dead(struct range *range, const struct part_name *name)
{
    size_t count = range->dead_clasts.size / sizeof(struct dead_clast);
    if (count == 0) {
        return false;
    }
    if (!range->dead_sorted) {
        qsort(range->dead_clasts.data, count, sizeof(struct dead_clast), dead_order);
        range->dead_sorted = true;
    }
    return is_dead(range, name->clast, ROW_TABLE_ALL) || is_dead(range, name->clast, name->table);
}

/* The rows of one key, newest first, all that there are. */
static enum status learn_from_key(struct range *range, const struct row *const *rows,
                                  unsigned count)
{
    const struct row *newest = rows[0];
    bool gone = newest->kind == ROW_KEY_GONE || dropped(range, newest->namespace_id);
    uint64_t clast = !gone && (newest->flags & ROW_CLAST) != 0 ? newest->clast : 0;
    struct manifest_counts *counts = manifest_counts(&range->counts, newest->namespace_id);
    if (counts == NULL) {
        return ST_NOMEM;
    }
    struct manifest_count *change = &counts->partitions[range->partition];
    enum status status = ST_OK;
    for (unsigned i = 0; i < count && status == ST_OK; i++) {
        const struct row *older = i + 1 < count ? rows[i + 1] : NULL;
        if ((rows[i]->flags & ROW_UNRESOLVED) != 0) {
            change->unresolved--;
            change->keys += older == NULL || older->kind != ROW_KEY;
        }
        bool stays = i == 0 && !gone;
        change->expiring -=
            rows[i]->kind == ROW_KEY && !stays && (rows[i]->flags & ROW_EXPIRES) != 0;
        if (rows[i]->kind == ROW_KEY && (rows[i]->flags & ROW_CLAST) != 0 &&
            rows[i]->clast != clast) {
            status = clast_dead(range, rows[i]->clast, ROW_TABLE_ALL);
        }
    }
    return status;
}

/* -- Expired keys --------------------------------------------------------------------------------
 *
 * A key whose time has come is absent to everybody, so its row may go without a word in the log,
 * unless memory has an entry of it: an effect that is not settled yet may build on what is on disk.
 * Neither if a run that came since the beginning has a row of it: that was counted as one that
 * takes the place of this. Whoever loads the key while the range is being merged finds it expired,
 * and its entry believes that there is something on disk: install tells it otherwise. Whoever
 * changes it then makes it unresolved, so that the next merge counts (txn_keys.c). */

/* Whether a run of the partition that is no input may have a row with this place. Under the shard's
 * lock. */
static bool newer_runs_may_have(const struct range *range, uint64_t hash)
{
    const struct stack *stack = &range->basin->stacks[hash_partition(hash)];
    for (uint32_t i = 0; i < stack->count; i++) {
        bool input = false;
        uint32_t page;
        for (unsigned n = 0; n < range->input_count && !input; n++) {
            input = stack->runs[i] == range->strata[n];
        }
        if (!input && stratum_page_of(stack->runs[i], place_of_key(hash), &page)) {
            return true;
        }
    }
    return false;
}

static bool purges(struct range *range, const struct row *row)
{
    if (row->kind != ROW_KEY || (row->flags & ROW_EXPIRES) == 0 || (row->flags & ROW_LONG) != 0 ||
        row->expiry_ms > (int64_t)range->now_ms - STORE_PURGE_AFTER_MS) {
        return false;
    }
    struct basin *basin = range->basin;
    uint64_t hash = hash_key(&basin->secret, row->namespace_id, row->key);
    struct shard *shard = store_shard(basin, hash);
    shard_lock_blocking(shard);
    bool known =
        memtable_find(store_table(basin, hash), hash, row->namespace_id, row->key) != NULL ||
        newer_runs_may_have(range, hash);
    shard_unlock(shard);
    return !known && buf_append(&range->purged, bytes_of(&hash, sizeof(hash))) == ST_OK;
}

/* Under the shard's lock: entries that came meanwhile stand for themselves now. */
static void purged_tell(struct range *range, struct shard *shard, unsigned p, size_t *next)
{
    const uint64_t *hashes = (const uint64_t *)(const void *)range->purged.data;
    size_t count = range->purged.size / sizeof(*hashes);
    for (; *next < count && hash_partition(hashes[*next]) == p; (*next)++) {
        uint64_t hash = hashes[*next];
        struct memtable *table = store_table(range->basin, hash);
        for (const struct slot *slot = memtable_seek(table, hash);
             slot != NULL && slot->hash == hash; slot = memtable_next(table, slot)) {
            struct entry *entry = slot->entry;
            unsigned database = store_database_of(range->basin, entry->namespace_id);
            if ((entry->flags & ENTRY_ON_DISK) != 0 && !entry_absent(entry) &&
                entry_expiry(entry) != EXPIRY_NONE &&
                entry_expiry(entry) <= (int64_t)range->now_ms && database < BASIN_DATABASES) {
                entry->flags &= (uint8_t)~ENTRY_ON_DISK;
                entry->flags |= ENTRY_DIRTY;
                atomic_fetch_add(&shard->databases[database].keys, 1);
            }
        }
    }
}

/* -- What stays -------------------------------------------------------------------------------- */

static enum status writer_need(struct range *range)
{
    struct basin *basin = range->basin;
    if (range->writer != NULL) {
        return ST_OK;
    }
    range->id = store_new_stratum(basin);
    return stratum_writer_new(basin->io, basin->dir, store_id(basin), range->id, &range->writer);
}

/* Copies the grain that a row points to, unchanged, and points the row to the copy. */
static enum status move(struct range *range, struct row *row)
{
    struct grain grain;
    enum status status = strata_read(&range->basin->strata, row->at, &range->grain, &grain);
    if (status == ST_CORRUPT) {
        return ST_OK; /* It is logged; it stays where it is, and its stratum too. */
    }
    if (status != ST_OK) {
        return status;
    }
    uint64_t size = grain_padded(row->at.size);
    size_t padding = (size_t)(size - row->at.size);
    unsigned char *end = buf_extend(&range->grain, padding);
    if (end == NULL) {
        return ST_NOMEM;
    }
    memset(end, 0, padding);
    bool key = grain.kind == GRAIN_KEY;
    uint64_t offset = stratum_writer_offset(range->writer);
    status = stratum_add_grains(range->writer, buf_bytes(&range->grain), 1,
                                key ? grain.lsn : UINT64_MAX, key ? grain.lsn : 0);
    if (status == ST_OK) {
        grain_dead(range, row);
        row->at.stratum = range->id;
        row->at.unit = (uint32_t)(offset / GRAIN_ALIGNMENT);
        range->moved_bytes += size;
    }
    return status;
}

static bool stays(struct range *range, const struct row *row)
{
    switch (row->kind) {
    case ROW_KEY:
        return !dropped(range, row->namespace_id);
    case ROW_KEY_GONE:
        return row->lsn > range->before.trim_lsn && !dropped(range, row->namespace_id);
    case ROW_PART:
        return !part_is_dead(range, &row->part);
    case ROW_PART_GONE:
    case ROW_CLAST_GONE:
        break;
    }
    return false;
}

/* The key is not there any more; nor is its clast. */
static enum status purge_counts(struct range *range, const struct row *row)
{
    struct manifest_counts *counts = manifest_counts(&range->counts, row->namespace_id);
    struct manifest_count *change = &counts->partitions[range->partition];
    change->keys--;
    change->expiring--;
    atomic_fetch_add(&range->basin->purged_keys, 1);
    return (row->flags & ROW_CLAST) != 0 ? clast_dead(range, row->clast, ROW_TABLE_ALL) : ST_OK;
}

static enum status take(struct range *range, const struct row *const *rows, unsigned count)
{
    unsigned partition = place_partition(rows[0]->place);
    enum status status = ST_OK;
    if (partition != range->partition) {
        range->partition = partition;
        range->dead_clasts.size = 0;
    }
    if (is_key(rows[0])) {
        status = learn_from_key(range, rows, count);
    } else if (rows[0]->kind == ROW_CLAST_GONE) {
        status = clast_dead(range, rows[0]->part.clast, rows[0]->part.table);
    }
    if (status != ST_OK) {
        return status;
    }
    bool newest_stays = stays(range, rows[0]);
    if (newest_stays && purges(range, rows[0])) {
        newest_stays = false;
        status = purge_counts(range, rows[0]);
    }
    if (status != ST_OK) {
        return status;
    }
    for (unsigned i = newest_stays ? 1 : 0; i < count; i++) {
        grain_dead(range, rows[i]);
    }
    if (!newest_stays) {
        return ST_OK;
    }
    struct row row = *rows[0];
    row.flags &= ~ROW_UNRESOLVED;
    status = writer_need(range);
    if (status == ST_OK && row.at.stratum != 0 && victims_have(range->victims, row.at.stratum)) {
        status = move(range, &row);
    }
    range->result->rows_out++;
    return status == ST_OK ? stratum_add_row(range->writer, &row) : status;
}

/* -- Inputs ------------------------------------------------------------------------------------ */

static struct input *input_of(struct range *range, uint32_t id)
{
    for (unsigned i = 0; i < range->input_count; i++) {
        if (range->inputs[i].id == id) {
            return &range->inputs[i];
        }
    }
    struct input *input = &range->inputs[range->input_count];
    memset(input, 0, sizeof(*input));
    input->id = id;
    range->strata[range->input_count++] = strata_get(&range->basin->strata, id);
    return input;
}

static enum status inputs_open(struct range *range)
{
    struct basin *basin = range->basin;
    pthread_mutex_lock(&basin->manifest_mutex); /* Every run that it names is on its stacks. */
    enum status status = manifest_copy(&basin->manifest, &range->before);
    range->void_epoch = basin->void_epoch;
    range->now_ms = io_wall_ms(basin->io);
    pthread_mutex_unlock(&basin->manifest_mutex);
    if (status != ST_OK) {
        return status;
    }
    const struct manifest *manifest = &range->before;
    range->dead = calloc(manifest->stratum_count + 1, sizeof(*range->dead));
    range->inputs = malloc((manifest->run_count + 1) * sizeof(*range->inputs));
    range->strata = calloc(manifest->run_count + 1, sizeof(*range->strata));
    if (range->dead == NULL || range->inputs == NULL || range->strata == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < manifest->run_count; i++) {
        const struct manifest_run *run = &manifest->runs[i];
        if (run->last < range->first || run->first > range->last) {
            continue;
        }
        struct input *input = input_of(range, run->stratum);
        for (unsigned p = run->first; p <= run->last; p++) {
            input->counts[p] = true;
        }
    }
    for (unsigned i = 0; i < range->input_count; i++) {
        if (range->strata[i] == NULL) {
            return ST_ABSENT; /* All were dropped since the copy was made. */
        }
    }
    return ST_OK;
}

/* The rows of a name that count in its partition. */
static unsigned rows_that_count(const struct range *range, const struct merged *merged,
                                const struct row **rows)
{
    unsigned count = 0;
    for (unsigned i = 0; i < merged->count; i++) {
        const struct merge_row *row = &merged->rows[i];
        if (range->inputs[row->input].counts[place_partition(row->row.place)]) {
            rows[count++] = &row->row;
        }
    }
    return count;
}

static enum status merge_all(struct range *range, const _Atomic bool *stop)
{
    struct merge *merge = NULL;
    uint64_t first = (uint64_t)range->first << (64 - PARTITION_BITS);
    uint64_t last =
        ((uint64_t)range->last << (64 - PARTITION_BITS)) | (UINT64_MAX >> PARTITION_BITS);
    const struct row **rows = malloc((range->input_count + 1) * sizeof(*rows));
    enum status status =
        rows == NULL ? ST_NOMEM : merge_new(range->strata, range->input_count, first, last, &merge);
    bool found = true;
    while (status == ST_OK) {
        struct merged merged;
        status = merge_next(merge, &merged, &found);
        if (status != ST_OK || !found) {
            break;
        }
        range->result->rows_in += merged.count;
        unsigned count = rows_that_count(range, &merged, rows);
        if (count > 0) {
            status = take(range, rows, count);
        }
        if (range->result->rows_in % STOP_ROWS == 0 && atomic_load(stop)) {
            status = ST_WAIT;
        }
    }
    merge_free(merge);
    free(rows);
    return status;
}

/* -- Becoming current -------------------------------------------------------------------------- */

/* Strata without a run and without a live grain go; others without a run are bare. */
static void strata_sort_out(struct manifest *next)
{
    for (size_t i = next->stratum_count; i > 0; i--) {
        struct manifest_stratum *stratum = &next->strata[i - 1];
        if (manifest_uses_run(next, stratum->id)) {
            continue;
        }
        if (stratum->live == 0) {
            manifest_remove_stratum(next, stratum->id);
        } else {
            stratum->bare = true;
        }
    }
}

static enum status manifest_next(struct range *range, const struct stratum *out,
                                 struct manifest *next)
{
    struct basin *basin = range->basin;
    enum status status = manifest_copy(&basin->manifest, next);
    if (status != ST_OK) {
        return status;
    }
    /* Runs that came meanwhile stand before those of the beginning. */
    size_t newer = next->run_count - range->before.run_count;
    status = manifest_cut_runs(next, newer, range->first, range->last);
    if (status == ST_OK && out != NULL) {
        status = manifest_add_stratum(next, range->id, stratum_facts(out)->grains_end,
                                      range->moved_bytes);
        struct manifest_run run = {range->id, range->first, range->last};
        if (status == ST_OK) {
            status = manifest_add_run(next, next->run_count, run);
        }
    }
    for (size_t i = 0; i < range->before.stratum_count; i++) {
        struct manifest_stratum *stratum = manifest_find(next, range->before.strata[i].id);
        uint64_t dead = range->dead[i];
        CHECK(stratum != NULL);
        stratum->live -= dead < stratum->live ? dead : stratum->live;
    }
    if (status == ST_OK) {
        status = manifest_add_counts(next, &range->counts);
    }
    if (status == ST_OK) {
        manifest_drop_counts(next);
        strata_sort_out(next);
        status = manifest_save_or_doubt(next, basin->io, basin->dir, &range->doubtful);
    }
    if (status != ST_OK) {
        manifest_deinit(next);
    }
    return status;
}

/* The partition's stack: what came meanwhile, and the new run. */
static enum status stack_switch(struct range *range, unsigned p, struct stratum *out)
{
    struct stack *stack = &range->basin->stacks[p];
    struct stratum **runs = malloc((stack->count + 1) * sizeof(*runs));
    unsigned count = 0;
    if (runs == NULL) {
        return ST_NOMEM;
    }
    for (uint32_t i = 0; i < stack->count; i++) {
        bool input = false;
        for (unsigned n = 0; n < range->input_count && !input; n++) {
            input = stack->runs[i] == range->strata[n];
        }
        if (!input) {
            runs[count++] = stack->runs[i];
        }
    }
    if (out != NULL) {
        runs[count++] = out;
    }
    enum status status = stack_set(stack, runs, count);
    free(runs);
    return status;
}

static void counters_add(struct range *range, struct shard *shard, unsigned p)
{
    for (size_t i = 0; i < range->counts.counts_count; i++) {
        const struct manifest_counts *counts = range->counts.counts[i];
        unsigned database = store_database_of(range->basin, counts->namespace_id);
        if (database < BASIN_DATABASES) {
            struct shard_counters *counters = &shard->databases[database];
            atomic_fetch_add(&counters->keys, (uint64_t)counts->partitions[p].keys);
            atomic_fetch_add(&counters->unresolved, (uint64_t)counts->partitions[p].unresolved);
            atomic_fetch_add(&counters->volatile_keys, (uint64_t)counts->partitions[p].expiring);
        }
    }
}

/* After the manifest: there is no way back, so what needs memory is tried until there is some. */
static void install(struct range *range, struct stratum *out)
{
    struct basin *basin = range->basin;
    size_t next_purged = 0;
    for (unsigned p = range->first; p <= range->last; p++) {
        struct shard *shard = &basin->shards[basin->partition_shard[p]];
        enum status status;
        do {
            shard_lock_blocking(shard);
            status = stack_switch(range, p, out);
            if (status == ST_OK) {
                counters_add(range, shard, p);
                purged_tell(range, shard, p, &next_purged);
            }
            shard_unlock(shard);
        } while (status != ST_OK);
    }
}

/* Files that the manifest has forgotten go, bare ones give the space of their run back. */
static void strata_release(struct range *range)
{
    struct basin *basin = range->basin;
    for (size_t i = 0; i < range->before.stratum_count; i++) {
        const struct manifest_stratum *old = &range->before.strata[i];
        const struct manifest_stratum *now = manifest_find(&basin->manifest, old->id);
        if (now == NULL) {
            strata_remove(&basin->strata, old->id, true);
        } else if (now->bare && !old->bare) {
            strata_bare(&basin->strata, basin->io, basin->dir, store_id(basin), old->id);
        }
    }
}

static enum status become_current(struct range *range, struct stratum *out)
{
    struct basin *basin = range->basin;
    struct manifest next;
    pthread_mutex_lock(&basin->manifest_mutex);
    /* All that was merged has been dropped meanwhile: it is given up. */
    enum status status =
        range->void_epoch == basin->void_epoch ? manifest_next(range, out, &next) : ST_WAIT;
    if (status == ST_OK) {
        store_take_manifest(basin, &next);
        install(range, out);
        strata_release(range);
    } else if (range->doubtful && out != NULL) {
        store_doubt_stratum(basin, range->id);
    }
    pthread_mutex_unlock(&basin->manifest_mutex);
    return status;
}

/* The output, on disk and in the table; NULL: there is none. What fails leaves no file behind. */
static enum status output_finish(struct range *range, struct stratum **out_out)
{
    struct basin *basin = range->basin;
    bool dead = false;
    *out_out = NULL;
    if (range->writer == NULL) {
        return ST_OK;
    }
    enum status status = stratum_writer_finish(range->writer, &dead);
    if (status != ST_OK) {
        return status;
    }
    struct stratum *out = NULL;
    status = stratum_open(basin->io, basin->dir, store_id(basin), range->id, true, &out);
    if (status != ST_OK) {
        status_ignore(stratum_unlink(basin->io, basin->dir, range->id),
                      "it goes at the next start");
        return status;
    }
    atomic_fetch_add(&basin->merge_written, stratum_facts(out)->file_size);
    stratum_ref(out); /* The table's. */
    status = strata_add(&basin->strata, out);
    if (status == ST_OK) {
        *out_out = out;
        return ST_OK;
    }
    stratum_doom(out);
    stratum_unref(out);
    stratum_unref(out);
    return status;
}

static enum status finish(struct range *range)
{
    struct stratum *out;
    enum status status = output_finish(range, &out);
    if (status != ST_OK) {
        return status;
    }
    status = become_current(range, out);
    if (status != ST_OK && out != NULL) {
        strata_remove(&range->basin->strata, range->id, !range->doubtful);
    }
    stratum_unref(out);
    return status;
}

static void range_deinit(struct range *range)
{
    stratum_writer_free(range->writer);
    for (unsigned i = 0; i < range->input_count; i++) {
        stratum_unref(range->strata[i]);
    }
    free(range->strata);
    free(range->inputs);
    free(range->dead);
    buf_deinit(&range->dead_clasts);
    buf_deinit(&range->grain);
    buf_deinit(&range->purged);
    manifest_deinit(&range->counts);
    manifest_deinit(&range->before);
}

/* All that was merged has been dropped meanwhile: what fails for want of it is given up. */
static bool voided(const struct range *range)
{
    struct basin *basin = range->basin;
    pthread_mutex_lock(&basin->manifest_mutex);
    bool is = range->void_epoch != basin->void_epoch;
    pthread_mutex_unlock(&basin->manifest_mutex);
    return is;
}

enum status range_merge(struct basin *basin, uint16_t first, uint16_t last,
                        const struct victims *victims, const _Atomic bool *stop,
                        struct range_result *result_out)
{
    struct range range = {.basin = basin,
                          .first = first,
                          .last = last,
                          .victims = victims,
                          .partition = PARTITION_COUNT,
                          .result = result_out};
    *result_out = (struct range_result){.rows_in = 0};
    enum status status = inputs_open(&range);
    if (status == ST_OK && range.input_count > 0) {
        status = merge_all(&range, stop);
        if (status == ST_OK) {
            status = finish(&range);
        }
        result_out->moved_bytes = range.moved_bytes;
    }
    if (status != ST_OK && voided(&range)) {
        status = ST_WAIT;
    }
    range_deinit(&range);
    return status;
}
