/* File MANIFEST, little-endian:
 *     0  8  magic "BASINMAN"      8  u32 version       12 u32 size of the whole file
 *    16  u64 trim LSN            24  u64 durable LSN   32 u32 shards    36 u32 generations
 *    40  u32 next namespace      44  u32 zero          48 192 secret
 *   240  16 × u32 namespaces    304  1024 × u16 shard of each partition
 *  2352  generations × {u32 number, u32 zero, u64 start LSN}
 *   end  u64 XXH3-64 of all before it
 */
#include "engine/manifest/manifest.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "MANIFEST"
#define FILE_NAME_NEW "MANIFEST.new"
#define FIXED_SIZE 2352
#define GENERATION_SIZE 16
#define CHECKSUM_SIZE 8
#define FILE_SIZE_MAX (64u << 20)

static const char magic[8] = "BASINMAN";

static_assert(48 + HASH_SECRET_SIZE == 240, "offsets of the essay");
static_assert(240 + 4 * MANIFEST_DATABASES == 304, "offsets of the essay");
static_assert(304 + 2 * PARTITION_COUNT == FIXED_SIZE, "offsets of the essay");

enum status manifest_init(struct manifest *manifest, struct io *io, uint32_t shard_count)
{
    memset(manifest, 0, sizeof(*manifest));
    manifest->trim_lsn = WLOG_LSN_FIRST;
    for (unsigned i = 0; i < MANIFEST_DATABASES; i++) {
        manifest->namespaces[i] = i;
    }
    manifest->next_namespace = MANIFEST_DATABASES;
    manifest_set_shards(manifest, shard_count);
    return io_random(io, manifest->secret.bytes, HASH_SECRET_SIZE);
}

void manifest_deinit(struct manifest *manifest)
{
    free(manifest->generations);
    manifest->generations = NULL;
    manifest->generation_count = 0;
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

/* -- Bytes ----------------------------------------------------------------------------------- */

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
    for (size_t i = 0; i < manifest->generation_count; i++) {
        unsigned char *row = p + FIXED_SIZE + i * GENERATION_SIZE;
        store_u32(row, manifest->generations[i].number);
        store_u32(row + 4, 0);
        store_u64(row + 8, manifest->generations[i].start_lsn);
    }
    store_u64(p + size - CHECKSUM_SIZE, hash_checksum(bytes_of(p, size - CHECKSUM_SIZE)));
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
    if (load_u32(p + 12) != size || FIXED_SIZE + count * GENERATION_SIZE + CHECKSUM_SIZE != size ||
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
    return NULL;
}

/* -- File ------------------------------------------------------------------------------------ */

static void path_of(char *path, size_t size, const char *dir, const char *name)
{
    snprintf(path, size, "%s/%s", dir, name);
}

enum status manifest_load(struct manifest *manifest, struct io *io, const char *dir)
{
    memset(manifest, 0, sizeof(*manifest));
    char path[4096];
    path_of(path, sizeof(path), dir, FILE_NAME);
    struct io_file *file = NULL;
    enum status status = io_file_open(io, path, IO_READ, &file);
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
    size_t size = FIXED_SIZE + manifest->generation_count * GENERATION_SIZE + CHECKSUM_SIZE;
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
    }
    if (status == ST_OK) {
        status = io_dir_sync(io, dir);
    }
    free(data);
    return status;
}
