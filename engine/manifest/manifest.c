/* File MANIFEST, little-endian:
 *     0  8  magic "BASINMAN"      8  u32 version       12 u32 size of the whole file
 *    16  u64 trim LSN            24  u64 durable LSN   32 u32 shards    36 u32 generations
 *    40  u32 next namespace      44  u32 zero          48 192 secret
 *   240  16 × u32 namespaces    304  1024 × u16 shard of each partition
 *  2352  u32 next stratum           2356 u32 strata        2360 u64 next clast
 *  2368  u32 runs                   2372 u32 namespaces counted
 *  2376  generations × {u32 number, u32 zero, u64 start LSN}
 *        strata × {u32 id, u32 1: bare, u64 end of the grains, u64 live bytes}
 *        runs × {u32 stratum, u16 first partition, u16 last}, newer ones first
 *        namespaces counted × {u32 namespace, u32 zero, 1024 × {i64 keys, unresolved, expiring}}
 *   end  u64 XXH3-64 of all before it
 */
#include "engine/manifest/manifest.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "MANIFEST"
#define FILE_NAME_NEW "MANIFEST.new"
#define FIXED_SIZE 2376
#define GENERATION_SIZE 16
#define STRATUM_SIZE 24
#define RUN_SIZE 8
#define COUNTS_SIZE (8 + 24 * PARTITION_COUNT)
#define CHECKSUM_SIZE 8
#define FILE_SIZE_MAX (256u << 20)

static const char magic[8] = "BASINMAN";

static_assert(sizeof(struct manifest_count) == 24, "copied to disk as it is");
static_assert(48 + HASH_SECRET_SIZE == 240, "offsets of the essay");
static_assert(240 + 4 * MANIFEST_DATABASES == 304, "offsets of the essay");
static_assert(304 + 2 * PARTITION_COUNT == 2352, "offsets of the essay");

enum status manifest_init(struct manifest *manifest, struct io *io, uint32_t shard_count)
{
    memset(manifest, 0, sizeof(*manifest));
    manifest->trim_lsn = WLOG_LSN_FIRST;
    for (unsigned i = 0; i < MANIFEST_DATABASES; i++) {
        manifest->namespaces[i] = i;
    }
    manifest->next_namespace = MANIFEST_DATABASES;
    manifest->next_stratum = 1;
    manifest->next_clast = 1;
    manifest_set_shards(manifest, shard_count);
    return io_random(io, manifest->secret.bytes, HASH_SECRET_SIZE);
}

void manifest_deinit(struct manifest *manifest)
{
    free(manifest->generations);
    free(manifest->strata);
    free(manifest->runs);
    for (size_t i = 0; i < manifest->counts_count; i++) {
        free(manifest->counts[i]);
    }
    free(manifest->counts);
    *manifest = (struct manifest){.shard_count = 0};
}

/* NULL: no memory. An empty array is a block too. */
static void *array_copy(const void *array, size_t size)
{
    void *copy = malloc(size == 0 ? 1 : size);
    if (copy != NULL && size > 0) {
        memcpy(copy, array, size);
    }
    return copy;
}

enum status manifest_copy(const struct manifest *manifest, struct manifest *copy_out)
{
    struct manifest copy = *manifest;
    copy.generations = array_copy(manifest->generations,
                                  manifest->generation_count * sizeof(*manifest->generations));
    copy.strata = array_copy(manifest->strata, manifest->stratum_count * sizeof(*copy.strata));
    copy.runs = array_copy(manifest->runs, manifest->run_count * sizeof(*copy.runs));
    copy.counts = malloc((manifest->counts_count + 1) * sizeof(*copy.counts));
    copy.counts_count = 0;
    bool whole =
        copy.generations != NULL && copy.strata != NULL && copy.runs != NULL && copy.counts != NULL;
    for (size_t i = 0; i < manifest->counts_count && whole; i++) {
        copy.counts[i] = array_copy(manifest->counts[i], sizeof(struct manifest_counts));
        whole = copy.counts[i] != NULL;
        copy.counts_count += whole;
    }
    *copy_out = copy;
    if (!whole) {
        manifest_deinit(copy_out);
    }
    return whole ? ST_OK : ST_NOMEM;
}

void manifest_set_shards(struct manifest *manifest, uint32_t shard_count)
{
    CHECK(shard_count > 0 && shard_count <= PARTITION_COUNT);
    manifest->shard_count = shard_count;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        manifest->partition_shard[i] = (uint16_t)((uint64_t)i * shard_count / PARTITION_COUNT);
    }
}

enum status manifest_add_generation(struct manifest *manifest, uint64_t start_lsn)
{
    size_t count = manifest->generation_count;
    /* A generation that nothing was written in needs no row of its own any more. */
    if (count > 0 && manifest->generations[count - 1].start_lsn == start_lsn) {
        manifest->generations[count - 1].number++;
        return ST_OK;
    }
    struct wlog_generation *generations =
        realloc(manifest->generations, (count + 1) * sizeof(*generations));
    if (generations == NULL) {
        return ST_NOMEM;
    }
    uint32_t number = count == 0 ? 1 : generations[count - 1].number + 1;
    generations[count] = (struct wlog_generation){number, start_lsn};
    manifest->generations = generations;
    manifest->generation_count = count + 1;
    return ST_OK;
}

void manifest_trim(struct manifest *manifest, uint64_t trim_lsn)
{
    CHECK(trim_lsn >= manifest->trim_lsn);
    manifest->trim_lsn = trim_lsn;
    size_t gone = 0;
    while (gone + 1 < manifest->generation_count &&
           manifest->generations[gone + 1].start_lsn <= trim_lsn) {
        gone++;
    }
    manifest->generation_count -= gone;
    memmove(manifest->generations, manifest->generations + gone,
            manifest->generation_count * sizeof(*manifest->generations));
}

/* -- Strata ---------------------------------------------------------------------------------- */

struct manifest_stratum *manifest_find(const struct manifest *manifest, uint32_t id)
{
    size_t low = 0;
    size_t high = manifest->stratum_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (manifest->strata[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < manifest->stratum_count && manifest->strata[low].id == id;
    return found ? &manifest->strata[low] : NULL;
}

enum status manifest_add_stratum(struct manifest *manifest, uint32_t id, uint64_t grains_end,
                                 uint64_t live)
{
    size_t count = manifest->stratum_count;
    struct manifest_stratum *strata = realloc(manifest->strata, (count + 1) * sizeof(*strata));
    if (strata == NULL) {
        return ST_NOMEM;
    }
    size_t index = count;
    while (index > 0 && strata[index - 1].id > id) {
        index--;
    }
    CHECK(index == 0 || strata[index - 1].id < id);
    memmove(strata + index + 1, strata + index, (count - index) * sizeof(*strata));
    strata[index] = (struct manifest_stratum){id, grains_end, live, false};
    manifest->strata = strata;
    manifest->stratum_count = count + 1;
    if (manifest->next_stratum <= id) {
        manifest->next_stratum = id + 1;
    }
    return ST_OK;
}

void manifest_remove_stratum(struct manifest *manifest, uint32_t id)
{
    struct manifest_stratum *stratum = manifest_find(manifest, id);
    CHECK(stratum != NULL && !manifest_uses_run(manifest, id));
    size_t index = (size_t)(stratum - manifest->strata);
    manifest->stratum_count--;
    memmove(stratum, stratum + 1, (manifest->stratum_count - index) * sizeof(*stratum));
}

enum status manifest_add_run(struct manifest *manifest, size_t index, struct manifest_run run)
{
    CHECK(index <= manifest->run_count && run.first <= run.last && run.last < PARTITION_COUNT);
    struct manifest_run *runs = realloc(manifest->runs, (manifest->run_count + 1) * sizeof(*runs));
    if (runs == NULL) {
        return ST_NOMEM;
    }
    memmove(runs + index + 1, runs + index, (manifest->run_count - index) * sizeof(*runs));
    runs[index] = run;
    manifest->runs = runs;
    manifest->run_count++;
    return ST_OK;
}

enum status manifest_cut_runs(struct manifest *manifest, size_t index, uint16_t first,
                              uint16_t last)
{
    for (size_t i = index; i < manifest->run_count; i++) {
        struct manifest_run *run = &manifest->runs[i];
        if (run->last < first || run->first > last) {
            continue;
        }
        struct manifest_run right = {run->stratum, (uint16_t)(last + 1), run->last};
        bool keeps_left = run->first < first;
        bool keeps_right = run->last > last;
        if (keeps_left) {
            run->last = (uint16_t)(first - 1);
        }
        if (keeps_left && keeps_right) {
            enum status status = manifest_add_run(manifest, ++i, right);
            if (status != ST_OK) {
                return status;
            }
        } else if (keeps_right) {
            *run = right;
        } else if (!keeps_left) {
            manifest->run_count--;
            memmove(run, run + 1, (manifest->run_count - i) * sizeof(*run));
            i--;
        }
    }
    return ST_OK;
}

bool manifest_uses_run(const struct manifest *manifest, uint32_t stratum)
{
    for (size_t i = 0; i < manifest->run_count; i++) {
        if (manifest->runs[i].stratum == stratum) {
            return true;
        }
    }
    return false;
}

struct manifest_counts *manifest_counts(struct manifest *manifest, uint32_t namespace_id)
{
    size_t index = 0;
    while (index < manifest->counts_count && manifest->counts[index]->namespace_id < namespace_id) {
        index++;
    }
    if (index < manifest->counts_count && manifest->counts[index]->namespace_id == namespace_id) {
        return manifest->counts[index];
    }
    size_t count = manifest->counts_count;
    struct manifest_counts **array = realloc(manifest->counts, (count + 1) * sizeof(*array));
    struct manifest_counts *counts = array == NULL ? NULL : calloc(1, sizeof(*counts));
    manifest->counts = array == NULL ? manifest->counts : array;
    if (counts == NULL) {
        return NULL;
    }
    counts->namespace_id = namespace_id;
    memmove(array + index + 1, array + index, (count - index) * sizeof(*array));
    array[index] = counts;
    manifest->counts_count++;
    return counts;
}

enum status manifest_add_counts(struct manifest *manifest, const struct manifest *added)
{
    for (size_t i = 0; i < added->counts_count; i++) {
        const struct manifest_counts *from = added->counts[i];
        struct manifest_counts *to = manifest_counts(manifest, from->namespace_id);
        if (to == NULL) {
            return ST_NOMEM;
        }
        for (unsigned p = 0; p < PARTITION_COUNT; p++) {
            to->partitions[p].keys += from->partitions[p].keys;
            to->partitions[p].unresolved += from->partitions[p].unresolved;
            to->partitions[p].expiring += from->partitions[p].expiring;
        }
    }
    return ST_OK;
}

bool manifest_dropped(const struct manifest *manifest, uint32_t namespace_id)
{
    if (namespace_id >= manifest->next_namespace) {
        return false;
    }
    for (unsigned i = 0; i < MANIFEST_DATABASES; i++) {
        if (manifest->namespaces[i] == namespace_id) {
            return false;
        }
    }
    return true;
}

void manifest_drop_counts(struct manifest *manifest)
{
    size_t kept = 0;
    for (size_t i = 0; i < manifest->counts_count; i++) {
        struct manifest_counts *counts = manifest->counts[i];
        if (manifest_dropped(manifest, counts->namespace_id)) {
            free(counts);
        } else {
            manifest->counts[kept++] = counts;
        }
    }
    manifest->counts_count = kept;
}

/* -- Bytes ----------------------------------------------------------------------------------- */

static size_t encoded_size(uint64_t generations, uint64_t strata, uint64_t runs, uint64_t counts)
{
    return FIXED_SIZE + generations * GENERATION_SIZE + strata * STRATUM_SIZE + runs * RUN_SIZE +
           counts * COUNTS_SIZE + CHECKSUM_SIZE;
}

static unsigned char *encode_rows(const struct manifest *manifest, unsigned char *p)
{
    for (size_t i = 0; i < manifest->generation_count; i++, p += GENERATION_SIZE) {
        store_u32(p, manifest->generations[i].number);
        store_u32(p + 4, 0);
        store_u64(p + 8, manifest->generations[i].start_lsn);
    }
    for (size_t i = 0; i < manifest->stratum_count; i++, p += STRATUM_SIZE) {
        const struct manifest_stratum *stratum = &manifest->strata[i];
        store_u32(p, stratum->id);
        store_u32(p + 4, stratum->bare);
        store_u64(p + 8, stratum->grains_end);
        store_u64(p + 16, stratum->live);
    }
    for (size_t i = 0; i < manifest->run_count; i++, p += RUN_SIZE) {
        store_u32(p, manifest->runs[i].stratum);
        store_u16(p + 4, manifest->runs[i].first);
        store_u16(p + 6, manifest->runs[i].last);
    }
    for (size_t i = 0; i < manifest->counts_count; i++, p += COUNTS_SIZE) {
        const struct manifest_counts *counts = manifest->counts[i];
        store_u32(p, counts->namespace_id);
        store_u32(p + 4, 0);
        memcpy(p + 8, counts->partitions, sizeof(counts->partitions));
    }
    return p;
}

static void encode(const struct manifest *manifest, unsigned char *p, size_t size)
{
    memcpy(p, magic, sizeof(magic));
    store_u32(p + 8, MANIFEST_VERSION);
    store_u32(p + 12, (uint32_t)size);
    store_u64(p + 16, manifest->trim_lsn);
    store_u64(p + 24, manifest->durable_lsn);
    store_u32(p + 32, manifest->shard_count);
    store_u32(p + 36, (uint32_t)manifest->generation_count);
    store_u32(p + 40, manifest->next_namespace);
    store_u32(p + 44, 0);
    memcpy(p + 48, manifest->secret.bytes, HASH_SECRET_SIZE);
    memcpy(p + 240, manifest->namespaces, sizeof(manifest->namespaces));
    memcpy(p + 304, manifest->partition_shard, sizeof(manifest->partition_shard));
    store_u32(p + 2352, manifest->next_stratum);
    store_u32(p + 2356, (uint32_t)manifest->stratum_count);
    store_u64(p + 2360, manifest->next_clast);
    store_u32(p + 2368, (uint32_t)manifest->run_count);
    store_u32(p + 2372, (uint32_t)manifest->counts_count);
    const unsigned char *end = encode_rows(manifest, p + FIXED_SIZE);
    CHECK(end == p + size - CHECKSUM_SIZE);
    store_u64(p + size - CHECKSUM_SIZE, hash_checksum(bytes_of(p, size - CHECKSUM_SIZE)));
}

static bool decode_strata(struct manifest *manifest, const unsigned char *p)
{
    size_t count = load_u32(p + 2356);
    const unsigned char *row = p + FIXED_SIZE + manifest->generation_count * GENERATION_SIZE;
    for (size_t i = 0; i < count; i++, row += STRATUM_SIZE) {
        uint32_t id = load_u32(row);
        if (id == 0 || id >= load_u32(p + 2352) || (i > 0 && id <= manifest->strata[i - 1].id) ||
            manifest_add_stratum(manifest, id, load_u64(row + 8), load_u64(row + 16)) != ST_OK) {
            return false;
        }
        manifest->strata[i].bare = load_u32(row + 4) != 0;
    }
    count = load_u32(p + 2368);
    for (size_t i = 0; i < count; i++, row += RUN_SIZE) {
        struct manifest_run run = {load_u32(row), load_u16(row + 4), load_u16(row + 6)};
        const struct manifest_stratum *stratum = manifest_find(manifest, run.stratum);
        if (stratum == NULL || stratum->bare || run.first > run.last ||
            run.last >= PARTITION_COUNT || manifest_add_run(manifest, i, run) != ST_OK) {
            return false;
        }
    }
    count = load_u32(p + 2372);
    for (size_t i = 0; i < count; i++, row += COUNTS_SIZE) {
        struct manifest_counts *counts = manifest_counts(manifest, load_u32(row));
        if (counts == NULL || manifest->counts_count != i + 1) {
            return false;
        }
        memcpy(counts->partitions, row + 8, sizeof(counts->partitions));
    }
    return true;
}

static bool decode_rows(struct manifest *manifest, const unsigned char *p, size_t count)
{
    manifest->generations = malloc(count == 0 ? 1 : count * sizeof(*manifest->generations));
    if (manifest->generations == NULL) {
        return false;
    }
    manifest->generation_count = count;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *row = p + FIXED_SIZE + i * GENERATION_SIZE;
        manifest->generations[i] = (struct wlog_generation){load_u32(row), load_u64(row + 8)};
        if (i > 0 &&
            (manifest->generations[i].number <= manifest->generations[i - 1].number ||
             manifest->generations[i].start_lsn <= manifest->generations[i - 1].start_lsn)) {
            return false;
        }
    }
    return true;
}

/* Gives what is wrong with the bytes, or NULL. */
static const char *decode(struct manifest *manifest, const unsigned char *p, size_t size)
{
    if (size < FIXED_SIZE + CHECKSUM_SIZE || memcmp(p, magic, sizeof(magic)) != 0) {
        return "it is no manifest";
    }
    if (load_u32(p + 8) != MANIFEST_VERSION) {
        return "its version is not known to this server; use the one that wrote it";
    }
    uint64_t count = load_u32(p + 36);
    size_t wanted = encoded_size(count, load_u32(p + 2356), load_u32(p + 2368), load_u32(p + 2372));
    if (load_u32(p + 12) != size || wanted != size ||
        load_u64(p + size - CHECKSUM_SIZE) != hash_checksum(bytes_of(p, size - CHECKSUM_SIZE))) {
        return "its checksum does not match";
    }
    manifest->trim_lsn = load_u64(p + 16);
    manifest->durable_lsn = load_u64(p + 24);
    manifest->shard_count = load_u32(p + 32);
    manifest->next_namespace = load_u32(p + 40);
    memcpy(manifest->secret.bytes, p + 48, HASH_SECRET_SIZE);
    memcpy(manifest->namespaces, p + 240, sizeof(manifest->namespaces));
    memcpy(manifest->partition_shard, p + 304, sizeof(manifest->partition_shard));
    if (manifest->shard_count == 0 || manifest->shard_count > PARTITION_COUNT) {
        return "its shard count is out of range";
    }
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (manifest->partition_shard[i] >= manifest->shard_count) {
            return "a partition lies in no shard";
        }
    }
    if (!decode_rows(manifest, p, (size_t)count)) {
        return "its generations are out of order";
    }
    manifest->next_stratum = load_u32(p + 2352);
    manifest->next_clast = load_u64(p + 2360);
    if (!decode_strata(manifest, p)) {
        return "its strata do not fit together";
    }
    return NULL;
}

/* -- File ------------------------------------------------------------------------------------ */

static void path_of(char *path, size_t size, const char *dir, const char *name)
{
    snprintf(path, size, "%s/%s", dir, name);
}

/* Before anything else: without it a directory that lacks its manifest would become a new store. */
static enum status finished_check(struct io *io, const char *dir)
{
    char path[4096];
    path_of(path, sizeof(path), dir, MANIFEST_UNFINISHED);
    struct io_file *file = NULL;
    enum status status = io_file_open(io, path, IO_READ, &file);
    if (status == ST_ABSENT) {
        return ST_OK;
    }
    if (status == ST_OK) {
        io_file_close(file);
        log_line(LOG_WARNING,
                 "%s is there: this directory holds a backup that was not finished, and is no "
                 "store. Remove the directory, and make the backup again.",
                 path);
        status = ST_CORRUPT;
    }
    return status;
}

enum status manifest_load(struct manifest *manifest, struct io *io, const char *dir)
{
    memset(manifest, 0, sizeof(*manifest));
    enum status status = finished_check(io, dir);
    if (status != ST_OK) {
        return status;
    }
    char path[4096];
    path_of(path, sizeof(path), dir, FILE_NAME);
    struct io_file *file = NULL;
    status = io_file_open(io, path, IO_READ, &file);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *data = NULL;
    uint64_t size = 0;
    size_t got = 0;
    status = io_file_size(file, &size);
    if (status != ST_OK) {
        goto done;
    }
    if (size > FILE_SIZE_MAX) {
        size = FILE_SIZE_MAX; /* Will not decode; the message is the same. */
    }
    data = malloc(size == 0 ? 1 : (size_t)size);
    if (data == NULL) {
        status = ST_NOMEM;
        goto done;
    }
    status = io_file_read(file, data, (size_t)size, 0, &got);
    if (status != ST_OK) {
        goto done;
    }
    const char *fault = decode(manifest, data, got);
    if (fault != NULL) {
        log_line(LOG_WARNING,
                 "%s: corrupt manifest: %s. Without it the store cannot be read: restore this file "
                 "(or the whole directory) from a backup, or move the directory aside to start "
                 "empty.",
                 path, fault);
        manifest_deinit(manifest);
        status = ST_CORRUPT;
    }
done:
    free(data);
    io_file_close(file);
    return status;
}

enum status manifest_save(const struct manifest *manifest, struct io *io, const char *dir)
{
    bool doubt;
    return manifest_save_or_doubt(manifest, io, dir, &doubt);
}

enum status manifest_save_or_doubt(const struct manifest *manifest, struct io *io, const char *dir,
                                   bool *doubt_out)
{
    *doubt_out = false;
    size_t size = encoded_size(manifest->generation_count, manifest->stratum_count,
                               manifest->run_count, manifest->counts_count);
    unsigned char *data = malloc(size);
    if (data == NULL) {
        return ST_NOMEM;
    }
    encode(manifest, data, size);
    char path[4096];
    char path_new[4096];
    path_of(path, sizeof(path), dir, FILE_NAME);
    path_of(path_new, sizeof(path_new), dir, FILE_NAME_NEW);
    struct io_file *file = NULL;
    enum status status = io_file_open(io, path_new, IO_WRITE, &file);
    if (status == ST_OK) {
        status = io_file_truncate(file, 0);
    }
    if (status == ST_OK) {
        status = io_file_write(file, data, size, 0);
    }
    if (status == ST_OK) {
        status = io_file_sync(file);
    }
    io_file_close(file);
    if (status == ST_OK) {
        status = io_rename(io, path_new, path);
        if (status == ST_OK) {
            status = io_dir_sync(io, dir);
        }
        *doubt_out = status != ST_OK;
    }
    free(data);
    return status;
}
