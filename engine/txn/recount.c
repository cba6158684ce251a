#include "engine/txn/recount.h"

#include "engine/base/check.h"
#include "engine/strata/lookup.h"
#include "engine/strata/merge.h"

#include <stdlib.h>

/* Under all locks no more names are copied than this, so that nobody waits for long, */
#define MOMENT_NAMES 1024
/* unless it was tried so often in vain. */
#define MOMENT_TRIES 16
/* Hashes taken in one hold of a shard. */
#define SLICE_HASHES 256
/* A look-up costs as much as reading so many rows one after the other. */
#define LOOK_ROWS 256
/* Of partitions with fewer rows than this several are read in one walk. */
#define WALK_ROWS 1024

/* What rows in doubt add to the keys of a namespace. */
struct sum {
    uint32_t namespace_id;
    uint64_t keys;
};

/* Of one partition's rows, while its stack has this version. */
struct known_rows {
    bool known;
    uint32_t version;
    struct buf sums; /* struct sum */
};

struct recount {
    pthread_mutex_t mutex; /* Of all below but the atomics. */
    _Atomic bool stop;
    _Atomic uint64_t begun;
    uint64_t shown; /* Which of them gave `keys`. */
    _Atomic uint64_t keys[BASIN_DATABASES];
    struct known_rows rows[PARTITION_COUNT];
};

/* An entry in doubt. */
struct doubt {
    uint64_t hash;
    uint32_t namespace_id;
    bool alive; /* There is something beneath. */
    size_t name_offset, name_size;
};

struct portion {
    struct buf doubts; /* struct doubt */
    struct buf names;
    uint32_t taken;    /* Of the partition's list; */
    uint32_t version;  /* of its stack, as of then, and */
    struct stack view; /* as of the moment, if there is something to be looked up. */
};

/* One count. */
struct count {
    struct basin *basin;
    struct portion portions[PARTITION_COUNT];
    uint32_t namespaces[BASIN_DATABASES];
    uint64_t keys[BASIN_DATABASES];
    struct lookup_room read;
};

enum status recount_new(struct recount **recount_out)
{
    struct recount *recount = calloc(1, sizeof(*recount));
    if (recount == NULL) {
        return ST_NOMEM;
    }
    pthread_mutex_init(&recount->mutex, NULL);
    *recount_out = recount;
    return ST_OK;
}

void recount_stop(struct recount *recount)
{
    if (recount != NULL) {
        atomic_store(&recount->stop, true);
    }
}

void recount_free(struct recount *recount)
{
    if (recount == NULL) {
        return;
    }
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        buf_deinit(&recount->rows[p].sums);
    }
    pthread_mutex_destroy(&recount->mutex);
    free(recount);
}

uint64_t recount_keys(const struct recount *recount, unsigned database)
{
    return atomic_load(&recount->keys[database]);
}

/* -- Entries in doubt: under the shard's lock ---------------------------------------------------
 */

static enum status doubt_take(struct portion *portion, uint64_t hash, const struct entry *entry)
{
    struct doubt doubt = {.hash = hash,
                          .namespace_id = entry->namespace_id,
                          .name_offset = portion->names.size,
                          .name_size = entry->key_size};
    enum status status = buf_append(&portion->names, entry_key(entry));
    if (status == ST_OK) {
        status = buf_append(&portion->doubts, bytes_of(&doubt, sizeof(doubt)));
    }
    return status;
}

/* Up to `most` hashes more; portion->taken says how far it has come. */
static enum status portion_take(struct count *count, unsigned p, uint32_t most)
{
    struct basin *basin = count->basin;
    struct portion *portion = &count->portions[p];
    const struct memtable *table = &basin->tables[p];
    if (portion->version != basin->stacks[p].version) {
        portion->version = basin->stacks[p].version;
        portion->taken = 0;
        portion->doubts.size = 0;
        portion->names.size = 0;
    }
    enum status status = ST_OK;
    for (; portion->taken < table->doubts.count && most > 0 && status == ST_OK; most--) {
        uint64_t hash = table->doubts.hashes[portion->taken++];
        const struct slot *slot = memtable_seek(table, hash);
        for (; slot != NULL && slot->hash == hash && status == ST_OK;
             slot = memtable_next(table, slot)) {
            if (entry_in_doubt(slot->entry) && !store_dropped(basin, slot->entry)) {
                status = doubt_take(portion, hash, slot->entry);
            }
        }
    }
    return status;
}

/* How many hashes are not taken yet. */
static uint32_t portion_left(const struct count *count, unsigned p)
{
    const struct portion *portion = &count->portions[p];
    bool stands = portion->version == count->basin->stacks[p].version;
    return count->basin->tables[p].doubts.count - (stands ? portion->taken : 0);
}

static enum status take_all(struct count *count)
{
    struct basin *basin = count->basin;
    enum status status = ST_OK;
    for (unsigned p = 0; p < PARTITION_COUNT && status == ST_OK; p++) {
        struct shard *shard = &basin->shards[basin->partition_shard[p]];
        bool more = true;
        while (more && status == ST_OK) {
            shard_lock_blocking(shard);
            status = portion_take(count, p, SLICE_HASHES);
            more = portion_left(count, p) > 0;
            shard_unlock(shard);
        }
    }
    return status;
}

/* -- The moment: under all locks ----------------------------------------------------------------
 */

static bool rows_known(const struct count *count, unsigned p)
{
    const struct known_rows *rows = &count->basin->recount->rows[p];
    return rows->known && rows->version == count->portions[p].version;
}

static enum status moment_fix(struct count *count)
{
    struct basin *basin = count->basin;
    enum status status = ST_OK;
    for (unsigned p = 0; p < PARTITION_COUNT && status == ST_OK; p++) {
        struct portion *portion = &count->portions[p];
        status = portion_take(count, p, UINT32_MAX);
        if (status == ST_OK && (portion->doubts.size > 0 || !rows_known(count, p))) {
            status = stack_copy(&basin->stacks[p], &portion->view);
        }
    }
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        count->namespaces[i] = atomic_load(&basin->namespaces[i]);
        count->keys[i] = 0;
        for (unsigned s = 0; s < basin->shard_count; s++) {
            count->keys[i] += atomic_load(&basin->shards[s].databases[i].keys);
        }
    }
    return status;
}

/* ST_WAIT: there are too many names to be taken yet. */
static enum status moment(struct count *count, bool whatever)
{
    struct basin *basin = count->basin;
    uint64_t left = 0;
    for (unsigned s = 0; s < basin->shard_count; s++) {
        shard_lock_blocking(&basin->shards[s]);
    }
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        left += portion_left(count, p);
    }
    enum status status = left > MOMENT_NAMES && !whatever ? ST_WAIT : moment_fix(count);
    for (unsigned s = basin->shard_count; s > 0; s--) {
        shard_unlock(&basin->shards[s - 1]);
    }
    return status;
}

/* -- Looking: without locks ---------------------------------------------------------------------
 */

static enum status sum_add(struct buf *sums, uint32_t namespace_id)
{
    struct sum *sum = (struct sum *)(void *)sums->data;
    for (size_t i = sums->size / sizeof(*sum); i > 0; i--, sum++) {
        if (sum->namespace_id == namespace_id) {
            sum->keys++;
            return ST_OK;
        }
    }
    struct sum fresh = {namespace_id, 1};
    return buf_append(sums, bytes_of(&fresh, sizeof(fresh)));
}

static struct doubt *doubts_of(const struct portion *portion, size_t *count_out)
{
    *count_out = portion->doubts.size / sizeof(struct doubt);
    return (struct doubt *)(void *)portion->doubts.data;
}

static struct bytes name_of(const struct portion *portion, const struct doubt *doubt)
{
    return bytes_slice(buf_bytes(&portion->names), doubt->name_offset, doubt->name_size);
}

/* In the order of places. */
static int by_name(const void *a, const void *b, void *ctx)
{
    const struct doubt *x = a;
    const struct doubt *y = b;
    if (x->hash != y->hash) {
        return x->hash > y->hash ? 1 : -1;
    }
    if (x->namespace_id != y->namespace_id) {
        return x->namespace_id > y->namespace_id ? 1 : -1;
    }
    return bytes_compare(name_of(ctx, x), name_of(ctx, y));
}

/* A hash that two entries share was met twice, and both taken twice. */
static void portion_sort(struct portion *portion)
{
    size_t count;
    struct doubt *doubts = doubts_of(portion, &count);
    size_t kept = 0;
    if (count == 0) {
        return;
    }
    qsort_r(doubts, count, sizeof(*doubts), by_name, portion);
    for (size_t i = 1; i < count; i++) {
        if (by_name(&doubts[kept], &doubts[i], portion) != 0) {
            doubts[++kept] = doubts[i];
        }
    }
    portion->doubts.size = (kept + 1) * sizeof(*doubts);
}

static struct row wanted_of(const struct basin *basin, const struct portion *portion,
                            const struct doubt *doubt, unsigned char room[ROW_KEY_HASH_SIZE])
{
    return strata_wanted_key(&basin->strata, doubt->hash, doubt->namespace_id,
                             name_of(portion, doubt), room);
}

static enum status look_up(struct count *count, struct portion *portion)
{
    size_t doubt_count;
    struct doubt *doubts = doubts_of(portion, &doubt_count);
    enum status status = ST_OK;
    for (size_t i = 0; i < doubt_count && status == ST_OK; i++) {
        unsigned char room[ROW_KEY_HASH_SIZE];
        struct row wanted = wanted_of(count->basin, portion, &doubts[i], room);
        struct lookup lookup;
        lookup_begin(&lookup, &count->basin->strata, &portion->view, &wanted, true);
        lookup_run(&lookup, &count->read);
        status = lookup.status;
        doubts[i].alive = status == ST_OK && lookup.found && lookup.row.kind == ROW_KEY;
        lookup_end(&lookup);
    }
    return status;
}

/* What the rows of one key say of each other, and of the entries in doubt from *next on. */
static enum status take_rows(struct count *count, struct portion *portion,
                             const struct merged *merged, struct buf *sums, size_t *next)
{
    const struct row *newest = &merged->rows[0].row;
    enum status status = ST_OK;
    for (unsigned i = 0; i < merged->count && status == ST_OK; i++) {
        bool alive = i + 1 < merged->count && merged->rows[i + 1].row.kind == ROW_KEY;
        if ((merged->rows[i].row.flags & ROW_UNRESOLVED) != 0 && !alive) {
            status = sum_add(sums, newest->namespace_id);
        }
    }
    size_t doubt_count;
    struct doubt *doubts = doubts_of(portion, &doubt_count);
    while (*next < doubt_count && place_of_key(doubts[*next].hash) < newest->place) {
        (*next)++;
    }
    for (size_t i = *next; i < doubt_count && place_of_key(doubts[i].hash) == newest->place; i++) {
        unsigned char room[ROW_KEY_HASH_SIZE];
        struct row wanted = wanted_of(count->basin, portion, &doubts[i], room);
        if (row_same(&wanted, newest)) {
            doubts[i].alive = newest->kind == ROW_KEY;
        }
    }
    return status;
}

/* About how many rows a partition has. */
static uint64_t rows_about(const struct stack *view)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct stratum_facts *facts = stratum_facts(view->runs[i]);
        unsigned partitions = facts->row_count == 0 ? 0
                                                    : place_partition(facts->last_place) -
                                                          place_partition(facts->first_place);
        rows += facts->row_count / (partitions + 1);
    }
    return rows;
}

/* Whether its rows have to be read one after the other. */
static bool reads_through(const struct count *count, unsigned p)
{
    const struct portion *portion = &count->portions[p];
    size_t doubts = portion->doubts.size / sizeof(struct doubt);
    return portion->view.count > 0 &&
           (!rows_known(count, p) || doubts * LOOK_ROWS >= rows_about(&portion->view));
}

/* Up to which partition rows are read in one walk: where they are few, neighbours share pages. */
static unsigned walk_end(const struct count *count, unsigned first)
{
    const struct stack *view = &count->portions[first].view;
    unsigned last = first;
    while (last + 1 < PARTITION_COUNT && rows_about(view) < WALK_ROWS &&
           reads_through(count, last + 1)) {
        const struct stack *next = &count->portions[last + 1].view;
        if (next->count != view->count ||
            memcmp(next->runs, view->runs, view->count * sizeof(struct stratum *)) != 0) {
            break;
        }
        last++;
    }
    return last;
}

/* All rows of keys of partitions that have the same stack. */
static enum status read_through(struct count *count, unsigned first, unsigned last)
{
    const struct stack *view = &count->portions[first].view;
    struct known_rows *rows = count->basin->recount->rows;
    uint64_t end = ((uint64_t)last << (64 - PARTITION_BITS)) | PLACE_LOW;
    struct merge *merge = NULL;
    size_t next = 0;
    bool found = true;
    enum status status =
        merge_new(view->runs, view->count, (uint64_t)first << (64 - PARTITION_BITS), end, &merge);
    for (unsigned p = first; p <= last; p++) {
        rows[p].known = false;
        rows[p].sums.size = 0;
    }
    unsigned partition = first;
    while (status == ST_OK && found) {
        struct merged merged;
        status = merge_next(merge, &merged, &found);
        if (status != ST_OK || !found || (merged.rows[0].row.place & PLACE_PART) != 0) {
            continue;
        }
        unsigned p = place_partition(merged.rows[0].row.place);
        next = p == partition ? next : 0;
        partition = p;
        status = take_rows(count, &count->portions[p], &merged, &rows[p].sums, &next);
    }
    merge_free(merge);
    for (unsigned p = first; p <= last && status == ST_OK; p++) {
        rows[p].known = true;
        rows[p].version = count->portions[p].version;
    }
    return status;
}

static enum status look(struct count *count)
{
    enum status status = ST_OK;
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        portion_sort(&count->portions[p]);
    }
    for (unsigned p = 0; p < PARTITION_COUNT && status == ST_OK; p++) {
        if (atomic_load(&count->basin->recount->stop)) {
            status = ST_IO;
        } else if (reads_through(count, p)) {
            unsigned last = walk_end(count, p);
            status = read_through(count, p, last);
            p = last;
        } else {
            status = look_up(count, &count->portions[p]);
        }
    }
    return status;
}

static void keys_add(struct count *count, uint32_t namespace_id, uint64_t keys)
{
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        count->keys[i] += count->namespaces[i] == namespace_id ? keys : 0;
    }
}

static void portion_add(struct count *count, unsigned p)
{
    size_t doubt_count;
    const struct doubt *doubts = doubts_of(&count->portions[p], &doubt_count);
    for (size_t i = 0; i < doubt_count; i++) {
        keys_add(count, doubts[i].namespace_id, !doubts[i].alive);
    }
    const struct buf *sums = &count->basin->recount->rows[p].sums;
    const struct sum *sum = (const struct sum *)(const void *)sums->data;
    for (size_t i = rows_known(count, p) ? sums->size / sizeof(*sum) : 0; i > 0; i--, sum++) {
        keys_add(count, sum->namespace_id, sum->keys);
    }
}

/* -- A count ------------------------------------------------------------------------------------
 */

static void count_free(struct count *count)
{
    for (unsigned p = 0; count != NULL && p < PARTITION_COUNT; p++) {
        buf_deinit(&count->portions[p].doubts);
        buf_deinit(&count->portions[p].names);
        stack_deinit(&count->portions[p].view);
    }
    free(count == NULL ? NULL : count->read.data);
    free(count);
}

static enum status count_run(struct count *count)
{
    enum status status = ST_WAIT;
    for (unsigned tries = 1; status == ST_WAIT; tries++) {
        status = take_all(count);
        if (status == ST_OK) {
            status = moment(count, tries == MOMENT_TRIES);
        }
    }
    if (status == ST_OK) {
        status = look(count);
    }
    for (unsigned p = 0; p < PARTITION_COUNT && status == ST_OK; p++) {
        portion_add(count, p);
    }
    return status;
}

static enum status count_now(struct basin *basin)
{
    struct count *count = calloc(1, sizeof(*count));
    enum status status = ST_NOMEM;
    if (count != NULL) {
        count->basin = basin;
        status = lookup_room_reserve(&count->read, PAGE_SIZE_BYTES);
    }
    if (status == ST_OK) {
        status = count_run(count);
    }
    for (unsigned i = 0; i < BASIN_DATABASES && status == ST_OK; i++) {
        atomic_store(&basin->recount->keys[i], count->keys[i]);
    }
    count_free(count);
    return status;
}

enum status store_resolve(struct basin *basin)
{
    struct recount *recount = basin->recount;
    if (recount == NULL) {
        return ST_OK;
    }
    uint64_t before = atomic_load(&recount->begun);
    enum status status = ST_OK;
    pthread_mutex_lock(&recount->mutex);
    if (recount->shown <= before) { /* Else one has begun, and ended, since this was asked. */
        uint64_t number = atomic_fetch_add(&recount->begun, 1) + 1;
        status = count_now(basin);
        recount->shown = status == ST_OK ? number : recount->shown;
    }
    pthread_mutex_unlock(&recount->mutex);
    return status;
}
