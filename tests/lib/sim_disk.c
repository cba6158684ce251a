#include "tests/lib/sim_disk.h"

#include "engine/base/check.h"
#include "tests/lib/sim_names.h"
#include "tests/lib/sim_private.h"

#include <stdlib.h>
#include <string.h>

/* -- Files ------------------------------------------------------------------------------------- */

static enum status file_begin(struct sim_file *file, bool needs_space)
{
    enum status status = sim_call_begin(file->disk, needs_space);
    return file->stale ? ST_IO : status;
}

/* Others have their turn. */
static void file_meanwhile(struct sim_file *file)
{
    struct sim_disk *disk = file->disk;
    if (file->watched && disk->meanwhile != NULL && !disk->in_meanwhile && !file->stale) {
        disk->in_meanwhile = true;
        disk->meanwhile(disk->meanwhile_ctx);
        disk->in_meanwhile = false;
    }
}

void sim_disk_set_meanwhile(struct sim_disk *disk, const char *where, sim_meanwhile_fn fn,
                            void *ctx)
{
    disk->where = where;
    disk->meanwhile = fn;
    disk->meanwhile_ctx = ctx;
}

static enum status file_open(struct io *io, const char *path, enum io_open_mode mode,
                             struct io_file **file_out)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path name = sim_path_of(path);
    struct sim_path parent = sim_path_parent(&name);
    struct sim_node *node = sim_names_find(&disk->store, &name);
    bool must_exist = mode == IO_READ || mode == IO_READ_DIRECT;
    enum status status = sim_call_begin(disk, node == NULL && !must_exist);
    if (status != ST_OK) {
        return status;
    }
    if (node == NULL && (must_exist || !sim_names_has_dir(&disk->store, &parent))) {
        return ST_ABSENT;
    }
    if (node == NULL) {
        node = sim_names_create(&disk->store, &name, false);
    }
    if (node->is_dir) {
        return ST_IO;
    }
    struct sim_file *file = sim_allocate(sizeof(*file));
    file->file.io = io;
    file->disk = disk;
    file->node = node;
    file->mode = mode;
    file->watched = disk->where != NULL && strstr(path, disk->where) != NULL;
    file->next = disk->files;
    disk->files = file;
    node->handles++;
    *file_out = &file->file;
    return ST_OK;
}

static void file_close(struct io_file *io_file)
{
    struct sim_file *file = sim_file_of(io_file);
    struct sim_disk *disk = file->disk;
    for (struct sim_flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        CHECK(flight->lost || flight->request->file != io_file);
    }
    for (struct sim_file **at = &disk->files; *at != NULL; at = &(*at)->next) {
        if (*at == file) {
            *at = file->next;
            break;
        }
    }
    if (!file->stale) {
        file->node->handles--;
        if (file->node->lock_owner == file) {
            file->node->lock_owner = NULL;
        }
        sim_store_sweep(&disk->store);
    }
    free(file);
}

static enum status file_size(struct io_file *io_file, uint64_t *size_out)
{
    struct sim_file *file = sim_file_of(io_file);
    enum status status = file_begin(file, false);
    if (status == ST_OK) {
        *size_out = file->node->view.size;
    }
    return status;
}

static size_t content_read(const struct buf *content, void *data, size_t size, uint64_t offset)
{
    if (offset >= content->size) {
        return 0;
    }
    struct bytes part = bytes_slice(buf_bytes(content), offset, size);
    memcpy(data, part.data, part.size);
    return part.size;
}

static bool is_aligned(const struct sim_file *file, const void *data, size_t size, uint64_t offset)
{
    return ((uintptr_t)data | size | offset) % file->disk->alignment == 0;
}

size_t sim_read_settle(struct sim_file *file, void *data, size_t size, uint64_t offset)
{
    return content_read(&file->node->view, data, size, offset);
}

static enum status file_read(struct io_file *io_file, void *data, size_t size, uint64_t offset,
                             size_t *size_out)
{
    struct sim_file *file = sim_file_of(io_file);
    CHECK(file->mode != IO_READ_DIRECT || is_aligned(file, data, size, offset));
    enum status status = file_begin(file, false);
    if (status == ST_OK) {
        *size_out = sim_read_settle(file, data, size, offset);
    }
    return status;
}

static bool is_writable(const struct sim_file *file)
{
    return file->mode == IO_WRITE || file->mode == IO_WRITE_DIRECT;
}

void sim_request_check(const struct io_request *request)
{
    const struct sim_file *file = sim_file_of(request->file);
    bool direct = file->mode == IO_READ_DIRECT || file->mode == IO_WRITE_DIRECT;
    CHECK(request->size > 0 && request->done != NULL);
    CHECK(request->reads || is_writable(file));
    CHECK(!direct || is_aligned(file, request->data, request->size, request->offset));
}

uint64_t sim_size_that_fits(struct sim_disk *disk, struct sim_node *node, uint64_t offset,
                            uint64_t size)
{
    uint64_t end = offset + size;
    if (end <= node->view.size) {
        return size;
    }
    uint64_t used = sim_store_used(&disk->store);
    uint64_t free_space = used < disk->space ? disk->space - used : 0;
    if (end - node->view.size <= free_space) {
        return size;
    }
    uint64_t end_max = node->view.size + free_space;
    return end_max > offset ? end_max - offset : 0;
}

enum status sim_write_settle(struct sim_file *file, struct bytes bytes, uint64_t offset,
                             bool durable, enum status fate)
{
    struct sim_disk *disk = file->disk;
    struct sim_store *store = &disk->store;
    uint64_t fits = sim_size_that_fits(disk, file->node, offset, bytes.size);
    if (fate != ST_OK) {
        sim_store_write_some(store, file->node, offset, bytes_slice(bytes, 0, fits));
        return fate;
    }
    if (fits < bytes.size) {
        fits = sim_store_below(store, fits + 1) / SIM_SECTOR_SIZE * SIM_SECTOR_SIZE;
        sim_store_write(store, file->node, offset, bytes_slice(bytes, 0, fits));
        return ST_FULL;
    }
    if (durable) {
        sim_store_write_durable(store, file->node, offset, bytes);
        store->stats.durable_writes++;
    } else {
        sim_store_write(store, file->node, offset, bytes);
    }
    store->stats.writes++;
    return ST_OK;
}

static enum status file_write(struct io_file *io_file, const void *data, size_t size,
                              uint64_t offset)
{
    struct sim_file *file = sim_file_of(io_file);
    CHECK(is_writable(file));
    CHECK(file->mode != IO_WRITE_DIRECT || is_aligned(file, data, size, offset));
    file_meanwhile(file);
    enum status fate = file_begin(file, true);
    if (file->stale) {
        return ST_IO;
    }
    return sim_write_settle(file, bytes_of(data, size), offset, false, fate);
}

static enum status file_sync(struct io_file *io_file)
{
    struct sim_file *file = sim_file_of(io_file);
    file_meanwhile(file);
    enum status status = file_begin(file, false);
    if (!file->stale) {
        sim_store_sync(&file->disk->store, file->node, status != ST_OK);
        file->disk->store.stats.syncs += status == ST_OK;
    }
    return status;
}

static enum status file_prepare(struct io_file *io_file, uint64_t size)
{
    struct sim_file *file = sim_file_of(io_file);
    CHECK(is_writable(file));
    enum status fate = file_begin(file, true);
    if (file->stale) {
        return ST_IO;
    }
    struct sim_store *store = &file->disk->store;
    uint64_t fits = sim_size_that_fits(file->disk, file->node, 0, size);
    if (fate == ST_OK && fits < size) {
        fate = ST_FULL;
    }
    if (fate != ST_OK) {
        fits = sim_store_below(store, fits + 1);
    }
    void *zeros = sim_allocate(fits);
    sim_store_write(store, file->node, 0, bytes_of(zeros, fits));
    free(zeros);
    if (fate == ST_OK) {
        sim_store_sync(store, file->node, false);
    }
    return fate;
}

static enum status file_truncate(struct io_file *io_file, uint64_t size)
{
    struct sim_file *file = sim_file_of(io_file);
    CHECK(is_writable(file));
    enum status status = file_begin(file, !file->stale && size > file->node->view.size);
    if (status != ST_OK) {
        return status;
    }
    if (sim_size_that_fits(file->disk, file->node, 0, size) < size) {
        return ST_FULL;
    }
    sim_store_truncate(&file->disk->store, file->node, size);
    return ST_OK;
}

static enum status file_punch(struct io_file *io_file, uint64_t offset, uint64_t size)
{
    struct sim_file *file = sim_file_of(io_file);
    CHECK(is_writable(file) && size > 0);
    enum status fate = file_begin(file, false);
    if (file->stale) {
        return ST_IO;
    }
    bool punches = !file->disk->poor && sim_names_count(&file->disk->store, file->node) < 2;
    struct bytes hole = sim_store_hole(file->node, offset, punches ? size : 0);
    if (fate == ST_OK) {
        sim_store_write(&file->disk->store, file->node, offset, hole);
    } else {
        sim_store_write_some(&file->disk->store, file->node, offset, hole);
    }
    free((void *)hole.data);
    return fate;
}

static size_t file_alignment(struct io_file *file)
{
    return sim_file_of(file)->disk->alignment;
}

static enum status file_lock(struct io_file *io_file)
{
    struct sim_file *file = sim_file_of(io_file);
    enum status status = file_begin(file, false);
    if (status != ST_OK) {
        return status;
    }
    if (file->node->lock_owner != NULL && file->node->lock_owner != file) {
        return ST_BUSY;
    }
    file->node->lock_owner = file;
    return ST_OK;
}

/* -- Clock and chance -------------------------------------------------------------------------- */

static uint64_t now_us(struct io *io)
{
    return sim_disk_of(io)->now_us;
}

static uint64_t wall_ms(struct io *io)
{
    return sim_disk_of(io)->wall_ms + (sim_disk_of(io)->now_us - 1000000) / 1000;
}

static enum status random_bytes(struct io *io, void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((unsigned char *)data)[i] = (unsigned char)sim_store_below(&sim_disk_of(io)->store, 256);
    }
    return ST_OK;
}

void sim_disk_advance(struct sim_disk *disk, uint64_t us)
{
    disk->now_us += us;
}

/* -- The disk ---------------------------------------------------------------------------------- */

static const struct io_ops sim_ops = {
    .file_open = file_open,
    .file_close = file_close,
    .file_size = file_size,
    .file_read = file_read,
    .file_write = file_write,
    .file_sync = file_sync,
    .file_prepare = file_prepare,
    .file_truncate = file_truncate,
    .file_punch = file_punch,
    .file_alignment = file_alignment,
    .file_lock = file_lock,
    .rename = sim_rename,
    .link = sim_link,
    .unlink = sim_unlink,
    .dir_make = sim_dir_make,
    .dir_remove = sim_dir_remove,
    .dir_sync = sim_dir_sync,
    .dir_list = sim_dir_list,
    .queue_open = sim_queue_open,
    .queue_close = sim_queue_close,
    .queue_write = sim_queue_write,
    .queue_read = sim_queue_read,
    .queue_start = sim_queue_start,
    .queue_reap = sim_queue_reap,
    .queue_fd = sim_queue_fd,
    .now_us = now_us,
    .wall_ms = wall_ms,
    .random = random_bytes,
};

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *disk = sim_allocate(sizeof(*disk));
    disk->io.ops = &sim_ops;
    disk->seed = seed;
    disk->space = UINT64_MAX;
    disk->alignment = SIM_SECTOR_SIZE;
    disk->now_us = 1000000;
    disk->wall_ms = 1700000000000ull;
    sim_store_init(&disk->store, seed);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    sim_fault_forget(disk);
    sim_queue_free_all(disk);
    while (disk->files != NULL) {
        struct sim_file *file = disk->files;
        disk->files = file->next;
        free(file);
    }
    sim_store_deinit(&disk->store);
    free(disk);
}

struct io *sim_disk_io(struct sim_disk *disk)
{
    return &disk->io;
}

void sim_disk_set_crash(struct sim_disk *disk, enum sim_crash mode)
{
    disk->crash_mode = mode;
}

void sim_disk_crash(struct sim_disk *disk)
{
    sim_queue_crash(disk);
    for (struct sim_file *file = disk->files; file != NULL; file = file->next) {
        file->stale = true;
        file->node = NULL;
    }
    disk->hold = false;
    disk->fault.calls_left = 0;
    sim_store_crash(&disk->store, disk->crash_mode);
}

void sim_disk_set_off(struct sim_disk *disk, bool off)
{
    disk->off = off;
}

void sim_disk_set_space(struct sim_disk *disk, uint64_t bytes)
{
    disk->space = bytes;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return sim_store_used(&disk->store);
}

void sim_disk_set_alignment(struct sim_disk *disk, size_t alignment)
{
    CHECK(alignment >= 512 && alignment <= IO_ALIGNMENT_MAX);
    disk->alignment = alignment;
}

void sim_disk_set_poor(struct sim_disk *disk, bool poor)
{
    disk->poor = poor;
}

void sim_disk_get_stats(const struct sim_disk *disk, struct sim_disk_stats *stats_out)
{
    *stats_out = disk->store.stats;
}

/* -- Raw access -------------------------------------------------------------------------------- */

static struct sim_node *node_raw(struct sim_disk *disk, const char *path)
{
    struct sim_path name = sim_path_of(path);
    struct sim_node *node = sim_names_find(&disk->store, &name);
    CHECK(node != NULL && !node->is_dir);
    return node;
}

size_t sim_disk_read_raw(struct sim_disk *disk, const char *path, void *data, size_t size,
                         uint64_t offset)
{
    return content_read(&node_raw(disk, path)->durable, data, size, offset);
}

uint64_t sim_disk_size_raw(struct sim_disk *disk, const char *path)
{
    return node_raw(disk, path)->durable.size;
}

void sim_disk_corrupt(struct sim_disk *disk, const char *path, uint64_t offset, uint64_t size)
{
    sim_store_corrupt(&disk->store, node_raw(disk, path), offset, size);
}

void sim_disk_fill(struct sim_disk *disk, const char *path, uint64_t offset, struct bytes bytes)
{
    sim_store_write_durable(&disk->store, node_raw(disk, path), offset, bytes);
}
