#include "engine/basin.h"

#include "engine/backup/backup.h"
#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/compact/compact.h"
#include "engine/replay/replay.h"
#include "engine/settle/settle.h"
#include "engine/txn/recount.h"
#include "engine/txn/txn_private.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static_assert(BASIN_PARTITIONS == PARTITION_COUNT, "what callers are told is what there is");

#define LOCK_NAME "LOCK"
/* Walks over the keyspace and counts are seldom; reads of embedders without readers wait in line.
 */
#define LOADER_THREADS 8

struct basin_options basin_options_default(void)
{
    return (struct basin_options){
        .shards = 8,
        .sync = WLOG_SYNC_ALWAYS,
        .segment_size = 64ull << 20,
        .rotate_ms = 0,
        .unflushed_max = 64ull << 20,
        .flushes_max = 4,
        .settle_log = 64ull << 20,
        .road = IO_ROAD_AUTO,
        .limits = {.list_max_listpack_size = -2,
                   .hash_max_listpack_entries = 512,
                   .hash_max_listpack_value = 64,
                   .set_max_intset_entries = 512,
                   .set_max_listpack_entries = 128,
                   .set_max_listpack_value = 64,
                   .zset_max_listpack_entries = 128,
                   .zset_max_listpack_value = 64,
                   .stream_node_max_bytes = 4096,
                   .stream_node_max_entries = 100},
        .memory = {.samples = 5, .lfu_log_factor = 10, .lfu_decay_minutes = 1},
    };
}

/* -- Open and close -------------------------------------------------------------------------- */

static enum status directory_take(struct basin *basin)
{
    enum status status = io_dir_make(basin->io, basin->dir);
    if (status != ST_OK) {
        return status;
    }
    char path[4096];
    snprintf(path, sizeof(path), "%s/" LOCK_NAME, basin->dir);
    status = io_file_open(basin->io, path, IO_WRITE, &basin->lock_file);
    if (status == ST_OK) {
        status = io_file_lock(basin->lock_file);
    }
    if (status == ST_BUSY) {
        log_line(LOG_WARNING, "%s: another process has this store open", basin->dir);
    }
    return status;
}

static enum status manifest_open(struct basin *basin, unsigned shards)
{
    struct manifest *manifest = &basin->manifest;
    if (basin->memory_only) {
        return manifest_init(manifest, basin->io, shards);
    }
    enum status status = manifest_load(manifest, basin->io, basin->dir);
    if (status == ST_ABSENT) {
        status = manifest_init(manifest, basin->io, shards);
        if (status == ST_OK) {
            /* A new store's own name must survive a power cut too. */
            status = io_parent_sync(basin->io, basin->dir);
        }
    }
    if (status == ST_OK && manifest->shard_count != shards) {
        /* Shards are in memory only; the log does not know them. */
        manifest_set_shards(manifest, shards);
    }
    return status;
}

static enum status shards_open(struct basin *basin)
{
    unsigned count = basin->manifest.shard_count;
    basin->shards = aligned_alloc(64, count * sizeof(struct shard));
    if (basin->shards == NULL) {
        return ST_NOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        enum status status = shard_init(&basin->shards[i], i);
        basin->shards[i].settles = basin->settles;
        if (status != ST_OK) {
            return status;
        }
        basin->shard_count = i + 1;
    }
    memcpy(basin->partition_shard, basin->manifest.partition_shard, sizeof(basin->partition_shard));
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        memtable_init(&basin->tables[i], i);
    }
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        basin->namespaces[i] = basin->manifest.namespaces[i];
    }
    basin->next_namespace = basin->manifest.next_namespace;
    basin->next_clast = basin->manifest.next_clast;
    return ST_OK;
}

static void wake_waiting(void *ctx)
{
    store_wake_waiting(ctx);
}

/* Files that no manifest names: of rounds and merges that a crash ended. */
static enum status leftovers_remove(struct basin *basin, const char *path)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum status status = io_dir_list(basin->io, path, &names, &count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        unsigned id = 0;
        char suffix[16] = "";
        bool ours = sscanf(names[i].text, "%8x.%15s", &id, suffix) == 2 &&
                    (strcmp(suffix, "tmp") == 0 || strcmp(suffix, "stratum") == 0);
        bool named =
            strcmp(suffix, "stratum") == 0 && manifest_find(&basin->manifest, (uint32_t)id) != NULL;
        if (ours && !named) {
            char file[4096];
            snprintf(file, sizeof(file), "%.3900s/%s", path, names[i].text);
            status = io_unlink(basin->io, file);
        }
    }
    free(names);
    return status;
}

/* Opens the files that the manifest names and gives each partition its stack. */
static enum status strata_open(struct basin *basin)
{
    const struct manifest *manifest = &basin->manifest;
    char path[4096];
    snprintf(path, sizeof(path), "%s/strata", basin->dir);
    enum status status = io_dir_make(basin->io, path);
    if (status == ST_OK) {
        status = io_dir_sync(basin->io, basin->dir);
    }
    if (status == ST_OK) {
        status = leftovers_remove(basin, path);
    }
    for (size_t i = 0; i < manifest->stratum_count && status == ST_OK; i++) {
        uint32_t id = manifest->strata[i].id;
        struct stratum *stratum = NULL;
        status = stratum_open(basin->io, basin->dir, store_id(basin), id,
                              manifest_uses_run(manifest, id), &stratum);
        if (status == ST_OK) {
            status = strata_add(&basin->strata, stratum);
        }
        if (status == ST_ABSENT) {
            log_line(LOG_WARNING,
                     "%s/%08x.stratum is missing: restore it (or the whole directory) from a "
                     "backup; basin-check --repair saves the rest",
                     path, id);
            status = ST_CORRUPT;
        }
    }
    for (size_t i = manifest->run_count; i > 0 && status == ST_OK; i--) {
        const struct manifest_run *run = &manifest->runs[i - 1];
        struct stratum *stratum = strata_get(&basin->strata, run->stratum);
        for (unsigned p = run->first; p <= run->last && status == ST_OK; p++) {
            status = stack_push(&basin->stacks[p], stratum);
        }
        stratum_unref(stratum);
    }
    return status;
}

static enum status log_open(struct basin *basin, const struct basin_options *options)
{
    struct manifest *manifest = &basin->manifest;
    struct wlog_options log_options = {
        .io = basin->io,
        .dir = basin->dir,
        .sync = options->sync,
        .segment_size = options->segment_size,
        .rotate_ms = options->rotate_ms,
        .flushes_max = options->flushes_max,
        .unflushed_max = options->unflushed_max,
        .background = options->io == NULL,
    };
    struct wlog_history history = {
        .generations = manifest->generations,
        .generation_count = manifest->generation_count,
        .store_id = store_id(basin),
        .trim_lsn = manifest->trim_lsn,
        .durable_lsn = manifest->durable_lsn,
    };
    enum status status = strata_open(basin);
    if (status == ST_OK) {
        for (unsigned i = 0; i < BASIN_DATABASES; i++) {
            store_count_keys(basin, i);
        }
        status = wlog_open(&log_options, &history, &basin->log);
    }
    atomic_store(&basin->settled_lsn, manifest->trim_lsn);
    uint64_t end_lsn = 0;
    if (status == ST_OK) {
        status = replay_run(basin, options->replay_threads, &end_lsn);
    }
    if (status != ST_OK) {
        return status;
    }
    /* The new generation is on disk before anything is written in its name; so bytes beyond
     * end_lsn, which this replay did not take, will not be taken by a later one either. */
    manifest->durable_lsn = end_lsn;
    status = manifest_add_generation(manifest, end_lsn);
    if (status == ST_OK) {
        status = manifest_save(manifest, basin->io, basin->dir);
    }
    if (status != ST_OK) {
        return status;
    }
    inventory_take(basin);
    wlog_set_waker(basin->log, wake_waiting, basin);
    return wlog_start(basin->log, manifest->generations[manifest->generation_count - 1].number,
                      end_lsn);
}

/* Errands first: they read what the two others replace. */
static void chores_end(struct basin *basin)
{
    backup_free(basin->backup);
    recount_stop(basin->recount);
    loader_free(basin->loader);
    compactor_free(basin->compactor);
    settler_free(basin->settler);
    basin->backup = NULL;
    basin->loader = NULL;
    basin->compactor = NULL;
    basin->settler = NULL;
}

static void basin_release(struct basin *basin)
{
    chores_end(basin);
    pace_deinit(&basin->pace);
    recount_free(basin->recount);
    wlog_close(basin->log);
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        stack_deinit(&basin->stacks[p]);
    }
    strata_deinit(&basin->strata);
    pthread_mutex_destroy(&basin->manifest_mutex);
    inventory_deinit(&basin->inventory);
    buf_deinit(&basin->doubtful);
    if (basin->shards != NULL) {
        for (unsigned p = 0; p < PARTITION_COUNT; p++) {
            struct memtable *table = &basin->tables[p];
            for (const struct slot *slot = memtable_seek(table, 0); slot != NULL;
                 slot = memtable_next(table, slot)) {
                struct value value = entry_value(slot->entry);
                value_free(&value);
                entry_free(basin->shards[basin->partition_shard[p]].slab, slot->entry);
            }
            memtable_deinit(table);
        }
    }
    for (unsigned i = 0; i < basin->shard_count; i++) {
        shard_deinit(&basin->shards[i]);
    }
    free(basin->shards);
    manifest_deinit(&basin->manifest);
    io_file_close(basin->lock_file);
    if (basin->owns_io) {
        io_free(basin->io);
    }
    fetch_buckets_free(basin->fetches);
    pthread_mutex_destroy(&basin->waiting_mutex);
    free(basin->dir);
    free(basin);
}

enum status basin_open(const struct basin_options *options, struct basin **basin_out)
{
    if (options->shards == 0 || options->shards > BASIN_SHARDS_MAX ||
        (options->shards & (options->shards - 1)) != 0) {
        return ST_INVALID;
    }
    struct basin *basin = calloc(1, sizeof(*basin));
    if (basin == NULL) {
        return ST_NOMEM;
    }
    pthread_mutex_init(&basin->waiting_mutex, NULL);
    pthread_mutex_init(&basin->manifest_mutex, NULL);
    pace_init(&basin->pace);
    inventory_init(&basin->inventory);
    strata_init(&basin->strata, 0);
    basin->settle_log = options->settle_log;
    basin->memory_only = options->memory_only;
    basin->replay_looks = options->replay_looks;
    basin->sync = options->sync;
    basin->limits = options->limits;
    basin->memory_max = UINT64_MAX;
    basin->io = options->io;
    enum status status = ST_OK;
    if (basin->io == NULL) {
        status = io_new(options->road, &basin->io);
        basin->owns_io = status == ST_OK;
    }
    basin->opened_ms = status == ST_OK ? io_wall_ms(basin->io) : 0;
    basin->dir = strdup(options->dir != NULL ? options->dir : ".");
    if (status == ST_OK && basin->dir == NULL) {
        status = ST_NOMEM;
    }
    if (status == ST_OK && !basin->memory_only) {
        status = directory_take(basin);
    }
    if (status == ST_OK) {
        status = manifest_open(basin, options->shards);
    }
    if (status == ST_OK) {
        basin->secret = basin->manifest.secret;
        basin->limits.hash_seed =
            hash_key(&basin->secret, UINT32_MAX, bytes_of_text("elements of values"));
        basin->strata.long_key_seed =
            hash_key(&basin->secret, UINT32_MAX, bytes_of_text("keys too long for rows"));
        /* A store that has strata goes on with them. */
        if (basin->settle_log == 0 && basin->manifest.stratum_count > 0) {
            basin->settle_log = basin_options_default().settle_log;
        }
        basin->settles = !basin->memory_only && basin->settle_log > 0;
        basin->fetches = basin->settles ? fetch_buckets_new() : NULL;
        status = basin->settles && basin->fetches == NULL ? ST_NOMEM : ST_OK;
    }
    if (status == ST_OK) {
        status = shards_open(basin);
    }
    if (status == ST_OK) {
        basin->memory_fixed = sizeof(*basin) + basin->shard_count * sizeof(struct shard) +
                              (basin->settles ? FETCH_BUCKETS * sizeof(*basin->fetches) : 0);
        basin->memory_used = basin->memory_fixed;
        basin_set_memory(basin, &options->memory);
    }
    if (status == ST_OK && !basin->memory_only) {
        status = log_open(basin, options);
    }
    if (status == ST_OK && basin->settles) {
        status = recount_new(&basin->recount);
    }
    if (status == ST_OK && basin->settles) {
        basin->forgets = options->simulate_misses;
        status = loader_new(basin, options->io == NULL ? LOADER_THREADS : 0, &basin->loader);
    }
    if (status == ST_OK && basin->settles && options->io == NULL) {
        status = pace_start(basin);
    }
    if (status == ST_OK && basin->settles) {
        status = settler_new(basin, options->io == NULL, &basin->settler);
    }
    if (status == ST_OK && basin->settles) {
        status = compactor_new(basin, options->io == NULL, &basin->compactor);
    }
    if (status == ST_OK && !basin->memory_only) {
        status = backup_new(basin, options->io == NULL, &basin->backup);
    }
    if (status != ST_OK) {
        basin_release(basin);
        return status;
    }
    *basin_out = basin;
    return ST_OK;
}

void basin_close(struct basin *basin)
{
    if (basin == NULL) {
        return;
    }
    chores_end(basin);
    if (basin->log != NULL && wlog_sync_now(basin->log) == ST_OK) {
        /* A clean stop says how far the log is sound: damage below is then told from a torn tail.
         */
        basin->manifest.durable_lsn = wlog_durable(basin->log);
        status_ignore(manifest_save(&basin->manifest, basin->io, basin->dir),
                      "without it the next start only knows less about damage at the log's end");
    }
    basin_release(basin);
}

/* -- The log ----------------------------------------------------------------------------------- */

uint64_t basin_durable(const struct basin *basin)
{
    if (basin->log == NULL ||
        atomic_load_explicit(&basin->sync, memory_order_relaxed) != WLOG_SYNC_ALWAYS) {
        return UINT64_MAX;
    }
    return wlog_durable(basin->log);
}

uint64_t basin_synced(const struct basin *basin)
{
    return basin->log == NULL ? UINT64_MAX : wlog_durable(basin->log);
}

uint64_t basin_end(const struct basin *basin)
{
    return basin->log == NULL ? 0 : wlog_end(basin->log);
}

void basin_flush(struct basin *basin)
{
    if (basin->log != NULL) {
        wlog_flush(basin->log);
    }
}

uint64_t basin_held_us(const struct basin *basin)
{
    return basin->log == NULL ? 0 : wlog_held_us(basin->log);
}

void basin_reap(struct basin *basin)
{
    if (basin->log != NULL) {
        wlog_reap(basin->log);
        if (!basin->owns_io) { /* A seam of the caller's has no threads behind it. */
            wlog_tick(basin->log);
            if (basin->settles) {
                settle_tick(basin);
                compact_tick(basin);
                loader_run(basin->loader);
            }
        }
    }
}

void basin_set_watcher(struct basin *basin, void (*moved)(void *ctx, uint64_t durable), void *ctx)
{
    if (basin->log != NULL) {
        wlog_set_watcher(basin->log, moved, ctx);
    }
}

int basin_fd(const struct basin *basin)
{
    return basin->log == NULL ? -1 : wlog_fd(basin->log);
}

bool basin_dead(const struct basin *basin)
{
    return basin->log != NULL && wlog_dead(basin->log);
}

enum status basin_sync(struct basin *basin)
{
    return basin->log == NULL ? ST_OK : wlog_sync_now(basin->log);
}

enum status basin_settle(struct basin *basin)
{
    return basin->settler == NULL ? ST_OK : settle_now(basin);
}

enum status basin_compact(struct basin *basin)
{
    return basin->compactor == NULL ? ST_OK : compact_now(basin);
}

uint64_t basin_settle_ask(struct basin *basin)
{
    return basin->settler == NULL ? 0 : settle_ask(basin);
}

enum status basin_settle_asked(const struct basin *basin, uint64_t asked)
{
    if (basin->settler == NULL || atomic_load(&basin->settled_lsn) >= asked) {
        return ST_OK;
    }
    enum status status = atomic_load(&basin->settle_status);
    return status == ST_OK ? ST_WAIT : status;
}

uint64_t basin_compact_ask(struct basin *basin)
{
    return basin->compactor == NULL ? 0 : compact_ask(basin);
}

enum status basin_compact_asked(const struct basin *basin, uint64_t asked)
{
    return basin->compactor == NULL ? ST_OK : compact_asked(basin, asked);
}

enum status basin_wait(struct basin *basin, uint64_t lsn)
{
    while (basin_durable(basin) < lsn) {
        if (basin_dead(basin)) {
            return ST_IO;
        }
        basin_flush(basin);
        /* The pause is a bound only: a completion wakes the poll, unless another thread reaps it.
         */
        struct pollfd poll_fd = {.fd = basin_fd(basin), .events = POLLIN};
        if (poll_fd.fd >= 0) {
            poll(&poll_fd, 1, 1);
        }
        basin_reap(basin);
    }
    return ST_OK;
}

void basin_set_sync(struct basin *basin, enum wlog_sync sync)
{
    atomic_store(&basin->sync, sync);
    if (basin->log != NULL) {
        wlog_set_sync(basin->log, sync);
    }
}

void basin_set_limits(struct basin *basin, const struct value_limits *limits)
{
    /* Words that are read without a lock, each by itself; the seed is the store's and stays. */
    unsigned char *to = (unsigned char *)&basin->limits;
    for (size_t i = 0; i < offsetof(struct value_limits, hash_seed); i += sizeof(int64_t)) {
        int64_t word = (int64_t)load_u64((const unsigned char *)limits + i);
        __atomic_store_n((int64_t *)(void *)(to + i), word, __ATOMIC_RELAXED);
    }
}

/* -- Background work ------------------------------------------------------------------------- */

#define TICK_KEYS_MAX 128
#define TICK_RESERVE (64 * 1024)
#define TICK_PARTS 256

static uint64_t now_us(struct basin *basin)
{
    return io_now_us(basin->io);
}

/* Whether it is a hash that stays when the fields that are due have gone. */
static bool loses_fields(const struct txn *txn, const struct entry *entry)
{
    if ((entry->flags & ENTRY_WAKES) == 0 || txn_expired(txn, entry)) {
        return false;
    }
    struct value value = entry_value(entry);
    return fields_earliest(&value) <= (int64_t)txn->now_ms;
}

/* Fields of one hash, which may have to be brought from disk first. */
static enum status expire_fields(struct txn *txn, struct shard *shard, struct memtable *table,
                                 uint64_t hash, struct entry *entry, bool *more_out)
{
    enum status status;
    do {
        status = txn_hash_expire_due(txn, shard, table, hash, entry, more_out);
        if (status == ST_WAIT) {
            enum status brought = load_parts_now(txn->basin, &txn->keys[0].place);
            status = brought == ST_OK ? ST_WAIT : brought;
            txn->key_count = 0;
        }
    } while (status == ST_WAIT);
    return status;
}

/* Deletes what is due among the keys of one hash; they share a heap row. *fields_out: fields were
 * taken out of a value, which is all that this txn can do; *more_out: the row is needed once more.
 */
static enum status expire_hash(struct txn *txn, struct shard *shard, uint64_t hash,
                               bool *fields_out, bool *more_out)
{
    struct basin *basin = txn->basin;
    struct memtable *table = store_table(basin, hash);
    const struct slot *slot = memtable_seek(table, hash);
    while (slot != NULL && slot->hash == hash) {
        struct entry *entry = slot->entry;
        bool dropped = store_dropped(basin, entry);
        if (!dropped && loses_fields(txn, entry)) {
            const struct slot *next = memtable_next(table, slot);
            *fields_out = true;
            *more_out = next != NULL && next->hash == hash;
            return expire_fields(txn, shard, table, hash, entry, more_out);
        }
        if (dropped || !txn_expired(txn, entry)) {
            slot = memtable_next(table, slot);
            continue;
        }
        enum status status = txn_delete_entry(txn, TXN_NO_KEY, shard, table, hash, entry);
        if (status != ST_OK) {
            return status;
        }
        atomic_fetch_add_explicit(&shard->expired, 1, memory_order_relaxed);
        slot = memtable_seek(table, hash); /* The table has moved. */
    }
    return ST_OK;
}

/* Too many rows are of keys that changed or went: the heap is built from the keys that are there.
 */
static void expiry_rebuild(struct basin *basin, struct shard *shard)
{
    struct expiry fresh;
    expiry_init(&fresh);
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        const struct memtable *table = &basin->tables[p];
        if (basin->partition_shard[p] != shard->index) {
            continue;
        }
        for (const struct slot *slot = memtable_seek(table, 0); slot != NULL;
             slot = memtable_next(table, slot)) {
            int64_t expiry_ms = entry_expiry(slot->entry);
            bool wakes = (slot->entry->flags & ENTRY_WAKES) != 0;
            if ((expiry_ms == EXPIRY_NONE && !wakes) || store_dropped(basin, slot->entry)) {
                continue;
            }
            if (expiry_reserve(&fresh, 2) != ST_OK) {
                expiry_deinit(&fresh); /* The old one still serves. */
                return;
            }
            if (expiry_ms != EXPIRY_NONE) {
                expiry_add(&fresh, expiry_ms, slot->hash);
            }
            if (wakes) {
                struct value value = entry_value(slot->entry);
                expiry_add(&fresh, fields_earliest(&value), slot->hash);
            }
        }
    }
    expiry_deinit(&shard->expiry);
    shard->expiry = fresh;
}

/* One slice of a shard's work, under its lock. */
static bool tick_shard(struct basin *basin, struct txn *txn, struct shard *shard)
{
    bool more = false;
    bool may_log = !txn_logs(txn) || txn_reserve(txn, TICK_RESERVE) == ST_OK;
    if (may_log) {
        struct expiry_row row;
        unsigned count = 0;
        bool fields = false;
        while (count < TICK_KEYS_MAX && !fields &&
               expiry_take_due(&shard->expiry, (int64_t)txn->now_ms, &row)) {
            bool again = false;
            count++;
            enum status status = expire_hash(txn, shard, row.hash, &fields, &again);
            if (status != ST_OK || again) {
                /* Once more: room is what the row left, unless a row took it, and then the heap
                 * has this hash already. */
                if (expiry_reserve(&shard->expiry, 1) == ST_OK) {
                    expiry_add(&shard->expiry, row.at_ms, row.hash);
                }
            }
            if (status != ST_OK) {
                fields = false;
                break;
            }
        }
        more = fields || count == TICK_KEYS_MAX;
    }
    if (expiry_stale(&shard->expiry, shard->waking_count + shard->expiring_count)) {
        expiry_rebuild(basin, shard);
    }
    more |= store_sweep(basin, shard);
    more |= shard_free_some(shard, TICK_PARTS);
    shard_meter(shard, &basin->memory_used, 0);
    return more;
}

bool basin_tick(struct basin *basin, struct txn *txn, unsigned turn, unsigned turns,
                uint64_t now_ms, uint64_t budget_us)
{
    uint64_t end_us = now_us(basin) + budget_us;
    bool more = false;
    for (unsigned i = turn; i < basin->shard_count; i += turns) {
        struct shard *shard = &basin->shards[i];
        bool shard_more = true;
        while (shard_more && now_us(basin) < end_us) {
            txn_begin(txn, now_ms, 0);
            if (!txn_try_lock(txn, i)) {
                break; /* Busy: another time. */
            }
            shard_more = tick_shard(basin, txn, shard);
            uint64_t lsn = 0;
            txn_end(txn, &lsn);
        }
        more |= shard_more;
    }
    if (basin_memory_over(basin)) {
        uint64_t now = now_us(basin);
        more |= basin_evict(basin, txn, now_ms, now < end_us ? end_us - now : 0) == ST_BUSY;
    }
    return more;
}
