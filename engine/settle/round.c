#include "engine/settle/round.h"

#include "engine/base/log.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define RETRY_MS 200
/* Memory that is kept from one partition to the next. */
#define PARTS_KEEP (1u << 20)

/* -- Writing: without locks --------------------------------------------------------------------
 */

static bool stopped(const struct round *round)
{
    return atomic_load(round->stop);
}

/* A full disk, or a device that fails, is waited for; a failed call is made again. */
static bool try_again(const struct round *round, enum status status)
{
    struct basin *basin = round->basin;
    enum status before = atomic_exchange(&basin->settle_status, status);
    if (status == ST_OK) {
        return false;
    }
    if (before == ST_OK) {
        log_line(LOG_WARNING, "settling waits: %s; writes are refused once the log is too long",
                 status_name(status));
        store_wake_waiting(basin); /* Those that wait for the round are told. */
    }
    if (stopped(round) || !basin->owns_io || (status != ST_FULL && status != ST_NOMEM)) {
        return false;
    }
    struct timespec pause = {0, RETRY_MS * 1000000};
    nanosleep(&pause, NULL);
    return true;
}

static enum status writer_open(struct round *round)
{
    struct basin *basin = round->basin;
    enum status status;
    if (round->writer != NULL) {
        return ST_OK;
    }
    round->id = store_new_stratum(basin);
    do {
        status =
            stratum_writer_new(basin->io, basin->dir, store_id(basin), round->id, &round->writer);
    } while (try_again(round, status));
    return status;
}

static enum status add_row(struct round *round, const struct row *row)
{
    enum status status;
    do {
        status = stratum_add_row(round->writer, row);
    } while (try_again(round, status));
    return status;
}

static enum status write_row(struct round *round, const struct captured *captured, uint64_t base)
{
    unsigned char hash_room[ROW_KEY_HASH_SIZE];
    struct bytes key =
        bytes_slice(buf_bytes(&round->names), captured->key_offset, captured->key_size);
    struct row row = {
        .place = place_of_key(captured->hash),
        .kind = captured->gone ? ROW_KEY_GONE : ROW_KEY,
        .flags = captured->flags,
        .type = captured->type,
        .namespace_id = captured->namespace_id,
        .expiry_ms = captured->expiry_ms,
        .clast = captured->clast,
    };
    if (captured->gone) {
        row.lsn = captured->lsn;
    } else {
        row.at = (struct location){round->id,
                                   (uint32_t)((base + captured->grain_offset) / GRAIN_ALIGNMENT),
                                   captured->grain_size};
    }
    row.key = row_key(key, round->basin->strata.long_key_seed, hash_room, &row.flags);
    return add_row(round, &row);
}

/* Grains and rows of the slice go into the stratum. */
static enum status write_slice(struct round *round)
{
    size_t count = round->captured.size / sizeof(struct captured);
    if (count == 0) {
        return ST_OK;
    }
    enum status status = writer_open(round);
    if (status != ST_OK) {
        return status;
    }
    const struct captured *captured = (const struct captured *)round->captured.data;
    uint64_t base = stratum_writer_offset(round->writer);
    uint64_t grains = 0;
    uint64_t least = UINT64_MAX;
    uint64_t greatest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!captured[i].gone) {
            grains++;
            least = captured[i].lsn < least ? captured[i].lsn : least;
            greatest = captured[i].lsn > greatest ? captured[i].lsn : greatest;
        }
    }
    do {
        status =
            stratum_add_grains(round->writer, buf_bytes(&round->grains), grains, least, greatest);
    } while (try_again(round, status));
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = write_row(round, &captured[i], base);
    }
    round->grain_count += grains;
    round->grain_bytes += round->grains.size;
    round->grains.size = 0;
    round->names.size = 0;
    round->captured.size = 0;
    return status;
}

static int part_order(const void *a, const void *b)
{
    const struct captured_part *x = a;
    const struct captured_part *y = b;
    return (x->place > y->place) - (x->place < y->place);
}

/* The grain of a part, if it is there, and its row. */
static enum status write_part(struct round *round, const struct captured_part *captured)
{
    struct row row = {
        .place = captured->place,
        .kind = captured->ended          ? ROW_CLAST_GONE
                : captured->part == NULL ? ROW_PART_GONE
                                         : ROW_PART,
        .part = captured->name,
    };
    enum status status = ST_OK;
    if (captured->part != NULL) {
        struct grain grain = {
            .kind = GRAIN_PART,
            .part = captured->name,
            .data = bytes_of(captured->part->data, captured->part->size),
        };
        row.at = (struct location){
            round->id, (uint32_t)(stratum_writer_offset(round->writer) / GRAIN_ALIGNMENT),
            (uint32_t)grain_size(&grain)};
        round->grains.size = 0;
        do {
            status = grain_store(&grain, &round->grains);
            if (status == ST_OK) {
                status =
                    stratum_add_grains(round->writer, buf_bytes(&round->grains), 1, UINT64_MAX, 0);
            }
            if (status != ST_OK) {
                round->grains.size = 0;
            }
        } while (try_again(round, status));
        round->grain_count++;
        round->grain_bytes += round->grains.size;
        round->grains.size = 0;
    } else {
        row.lsn = captured->lsn;
    }
    return status == ST_OK ? add_row(round, &row) : status;
}

/* After the keys of a partition come the parts of its values. */
static enum status write_parts(struct round *round)
{
    size_t count = round->parts.size / sizeof(struct captured_part);
    struct captured_part *parts = (struct captured_part *)(void *)round->parts.data;
    enum status status = ST_OK;
    if (count > 0) {
        status = writer_open(round);
        qsort(parts, count, sizeof(*parts), part_order);
    }
    for (size_t i = 0; i < count; i++) {
        if (status == ST_OK) {
            status = write_part(round, &parts[i]);
        }
        part_unref(parts[i].part);
    }
    buf_clear(&round->parts, PARTS_KEEP);
    return status;
}

static enum status walk_partition(struct round *round, unsigned p)
{
    struct basin *basin = round->basin;
    uint64_t from = (uint64_t)p << (64 - PARTITION_BITS);
    bool done = false;
    enum status status = ST_OK;
    while (!done && status == ST_OK) {
        struct shard *shard = &basin->shards[basin->partition_shard[p]];
        shard_lock_blocking(shard);
        status = round_capture(round, shard, &basin->tables[p], &from, &done);
        shard_unlock(shard);
        enum status written = write_slice(round);
        if (written == ST_OK && status == ST_NOMEM && try_again(round, status)) {
            status = ST_OK; /* What was captured is written; the rest is met again. */
        }
        status = written != ST_OK ? written : status;
    }
    enum status parts = write_parts(round);
    return status != ST_OK ? status : parts;
}

static enum status walk(struct round *round)
{
    enum status status = ST_OK;
    for (unsigned p = 0; p < PARTITION_COUNT && status == ST_OK; p++) {
        atomic_store_explicit(&round->basin->settle_at, p, memory_order_relaxed);
        status = walk_partition(round, p);
    }
    return status;
}

/* -- Becoming current -------------------------------------------------------------------------- */

static enum status wait_durable(struct round *round)
{
    struct basin *basin = round->basin;
    uint64_t lsn = round->greatest_lsn > round->start_lsn ? round->greatest_lsn : round->start_lsn;
    return wlog_durable(basin->log) >= lsn ? ST_OK : wlog_sync_now(basin->log);
}

/* What the new map of databases makes of the rows on disk: whether some, and whether all are of
 * databases that were dropped. */
static void look_for_dropped(struct round *round, const struct manifest *next)
{
    const struct manifest *now = &round->basin->manifest;
    size_t dropped = 0;
    for (size_t i = 0; i < now->counts_count; i++) {
        dropped += manifest_dropped(next, now->counts[i]->namespace_id);
    }
    round->voids = dropped == now->counts_count && now->stratum_count > 0;
    if (dropped > 0 && !round->voids) {
        atomic_store(&round->basin->compact_wanted, true);
    }
}

/* The manifest with what the round has made, on disk and as the store's. Under manifest_mutex. */
static enum status manifest_commit(struct round *round, const struct stratum *stratum)
{
    struct basin *basin = round->basin;
    struct manifest next;
    enum status status = manifest_copy(&basin->manifest, &next);
    if (status != ST_OK) {
        return status;
    }
    if (round->advances) {
        manifest_trim(&next, round->start_lsn);
        memcpy(next.namespaces, round->namespaces, sizeof(next.namespaces));
        next.next_namespace = round->next_namespace;
    }
    look_for_dropped(round, &next);
    next.next_clast = atomic_load(&basin->next_clast);
    if (round->voids) {
        next.run_count = 0;
        next.stratum_count = 0;
    }
    if (stratum != NULL) {
        const struct stratum_facts *facts = stratum_facts(stratum);
        status = manifest_add_stratum(&next, round->id, facts->grains_end, round->grain_bytes);
        if (status == ST_OK) {
            struct manifest_run run = {round->id, 0, PARTITION_COUNT - 1};
            status = manifest_add_run(&next, 0, run);
        }
    }
    if (status == ST_OK) {
        status = manifest_add_counts(&next, &round->counts);
    }
    if (status == ST_OK) {
        manifest_drop_counts(&next);
        status = manifest_save(&next, basin->io, basin->dir);
    }
    if (status == ST_OK) {
        store_take_manifest(basin, &next);
    } else {
        manifest_deinit(&next);
    }
    return status;
}

/* What was captured and has not changed since is clean; a tombstone has done its work. */
static void captured_clean(struct round *round, struct shard *shard, uint64_t hash)
{
    struct memtable *table = store_table(round->basin, hash);
    const struct slot *slot = memtable_seek(table, hash);
    while (slot != NULL && slot->hash == hash) {
        struct entry *entry = slot->entry;
        if ((entry->flags & ENTRY_SETTLING) == 0) {
            slot = memtable_next(table, slot);
            continue;
        }
        entry->flags &= (uint8_t) ~(ENTRY_SETTLING | ENTRY_DOUBTED);
        if (entry_absent(entry) && entry_clean(entry) && atomic_load(&round->basin->windows) == 0) {
            shard_evict(shard, table, hash, entry);
            slot = memtable_seek(table, hash); /* The table has moved. */
        } else {
            slot = memtable_next(table, slot);
        }
    }
}

/* The stratum goes on every stack of the shard, and its entries become clean, in one hold of the
 * lock per partition: before it they must not leave memory. */
static enum status install_partition(struct round *round, unsigned p, struct stratum *stratum,
                                     size_t *next_hash)
{
    struct basin *basin = round->basin;
    struct shard *shard = &basin->shards[basin->partition_shard[p]];
    const uint64_t *hashes = (const uint64_t *)round->hashes.data;
    size_t count = round->hashes.size / sizeof(uint64_t);
    shard_lock_blocking(shard);
    enum status status = ST_OK;
    if (round->voids) {
        status = stack_set(&basin->stacks[p], &stratum, stratum != NULL);
    } else if (stratum != NULL) {
        status = stack_push(&basin->stacks[p], stratum);
    }
    while (status == ST_OK && *next_hash < count && hash_partition(hashes[*next_hash]) == p) {
        captured_clean(round, shard, hashes[(*next_hash)++]);
    }
    if (status == ST_OK && stratum != NULL) {
        shard_sift(shard, &basin->tables[p]); /* The run's rows have the doubts now. */
    }
    shard_unlock(shard);
    return status;
}

/* After the manifest: there is no way back, so what needs memory is tried until there is some. */
static void install(struct round *round, struct stratum *stratum)
{
    size_t next_hash = 0;
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        while (install_partition(round, p, stratum, &next_hash) != ST_OK) {
            sched_yield();
        }
    }
}

static enum status finish(struct round *round, struct stratum **stratum_out)
{
    struct basin *basin = round->basin;
    bool dead = false;
    enum status status;
    do {
        status = stratum_writer_finish(round->writer, &dead);
    } while (!dead && try_again(round, status));
    if (status == ST_OK) {
        do {
            status =
                stratum_open(basin->io, basin->dir, store_id(basin), round->id, true, stratum_out);
        } while (try_again(round, status));
    }
    if (status == ST_OK) {
        atomic_fetch_add(&basin->settle_written, stratum_facts(*stratum_out)->file_size);
    }
    return status;
}

/* What is there before the round becomes current. NULL: no memory. */
static struct manifest_stratum *dropped_copy(const struct manifest *manifest)
{
    size_t size = manifest->stratum_count * sizeof(*manifest->strata);
    struct manifest_stratum *copy = malloc(size + 1);
    if (copy != NULL && size > 0) {
        memcpy(copy, manifest->strata, size);
    }
    return copy;
}

/* In one hold of the mutex, so that whoever reads the manifest under it finds its runs on the
 * stacks. */
static enum status become_current(struct round *round, struct stratum *stratum)
{
    struct basin *basin = round->basin;
    enum status status = ST_OK;
    if (stratum != NULL) {
        stratum_ref(stratum); /* The table's. */
        status = strata_add(&basin->strata, stratum);
        if (status != ST_OK) {
            stratum_unref(stratum);
            return status;
        }
    }
    pthread_mutex_lock(&basin->manifest_mutex);
    size_t dropped_count = basin->manifest.stratum_count;
    struct manifest_stratum *dropped = dropped_copy(&basin->manifest);
    status = dropped == NULL ? ST_NOMEM : manifest_commit(round, stratum);
    if (status == ST_OK && (stratum != NULL || round->voids)) {
        install(round, stratum);
    }
    if (status == ST_OK && round->voids) {
        basin->void_epoch++;
        for (size_t i = 0; i < dropped_count; i++) {
            strata_remove(&basin->strata, dropped[i].id, true);
        }
    }
    free(dropped);
    pthread_mutex_unlock(&basin->manifest_mutex);
    if (status != ST_OK && stratum != NULL) {
        strata_remove(&basin->strata, round->id, false);
    }
    return status;
}

/* Each shard knows from here on that a round is under way: a key that was dirty at start_lsn and is
 * deleted before the round meets it must leave a tombstone, even if nothing of it is on disk. Its
 * row says how far effects on the key are void; without it replay would begin with those after
 * start_lsn, on a value that was never written. */
static void shards_tell(struct round *round, bool in_round)
{
    struct basin *basin = round->basin;
    for (unsigned i = 0; i < basin->shard_count; i++) {
        shard_lock_blocking(&basin->shards[i]);
        basin->shards[i].in_round = in_round;
        shard_unlock(&basin->shards[i]);
    }
}

static void round_begin(struct round *round)
{
    struct basin *basin = round->basin;
    struct shard *shard = &basin->shards[0];
    shards_tell(round, true);
    shard_lock_blocking(shard);
    round->start_lsn = wlog_end(basin->log);
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        round->namespaces[i] = atomic_load(&basin->namespaces[i]);
    }
    round->next_namespace = basin->next_namespace;
    round->namespace_epoch = atomic_load(&basin->namespace_epoch);
    shard_unlock(shard);
}

/* A database that was dropped or swapped meanwhile: entries of it were passed over that replay from
 * start_lsn would miss. Then what was written stands, but replay begins where it began before. */
static bool map_stands(const struct round *round)
{
    return round->namespace_epoch == atomic_load(&round->basin->namespace_epoch);
}

static enum status round_write(struct round *round)
{
    struct stratum *stratum = NULL;
    enum status status = walk(round);
    round->advances = map_stands(round);
    if (status == ST_OK) {
        status = wait_durable(round); /* S1 */
    }
    if (status == ST_OK && round->writer != NULL) {
        status = finish(round, &stratum);
    }
    if (status == ST_OK) {
        do {
            status = become_current(round, stratum);
        } while (try_again(round, status));
    }
    stratum_unref(stratum);
    return status;
}

enum status round_run(struct round *round, struct basin *basin, const _Atomic bool *stop)
{
    *round = (struct round){.basin = basin, .stop = stop};
    round_begin(round);
    enum status status = round_write(round);
    shards_tell(round, false);
    if (status == ST_OK) {
        atomic_fetch_add(&basin->settle_rounds, 1);
        atomic_fetch_add(&basin->settled_grains, round->grain_count);
        atomic_fetch_add(&basin->settled_bytes, round->grain_bytes);
        if (round->advances) { /* Who waits for it finds the rest. */
            atomic_store(&basin->settled_lsn, round->start_lsn);
            wlog_trim(basin->log, round->start_lsn);
        }
    }
    atomic_store(&basin->settle_status, status);
    stratum_writer_free(round->writer);
    buf_deinit(&round->grains);
    buf_deinit(&round->names);
    buf_deinit(&round->captured);
    buf_deinit(&round->hashes);
    buf_deinit(&round->parts);
    buf_deinit(&round->root);
    manifest_deinit(&round->counts);
    return status;
}
