#include "engine/txn/inventory.h"

#include "engine/base/check.h"
#include "engine/txn/store.h"

#include <stdlib.h>

/* Of header and footer, each. */
#define BLOCK STRATUM_GRAINS_START

void inventory_init(struct inventory *inventory)
{
    *inventory = (struct inventory){.strata = NULL};
    pthread_mutex_init(&inventory->mutex, NULL);
}

void inventory_deinit(struct inventory *inventory)
{
    free(inventory->strata);
    pthread_mutex_destroy(&inventory->mutex);
}

/* What the manifest knows of a stratum, without its runs. */
static struct basin_stratum stratum_row(struct basin *basin, const struct manifest_stratum *named)
{
    bool grains = named->grains_end > STRATUM_GRAINS_START;
    struct basin_stratum row = {
        .id = named->id,
        .bare = named->bare,
        .grain_bytes = grains ? named->grains_end - STRATUM_GRAINS_START : 0,
        .live_bytes = named->live,
        .first_partition = PARTITION_COUNT,
    };
    struct stratum *stratum = strata_get(&basin->strata, named->id);
    if (stratum != NULL) {
        const struct stratum_facts *facts = stratum_facts(stratum);
        row.index_bytes = named->bare ? 0 : facts->file_size - facts->grains_end - BLOCK;
        row.file_bytes = facts->file_size;
        row.rows = named->bare ? 0 : facts->row_count;
        row.grains = facts->grain_count;
        row.least_lsn = facts->least_lsn;
        row.greatest_lsn = facts->greatest_lsn;
        stratum_unref(stratum);
    }
    return row;
}

static int by_id(const void *a, const void *b)
{
    const struct basin_stratum *x = a;
    const struct basin_stratum *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static void run_add(struct inventory *inventory, const struct manifest_run *run)
{
    struct basin_stratum wanted = {.id = run->stratum};
    struct basin_stratum *row =
        bsearch(&wanted, inventory->strata, inventory->count, sizeof(wanted), by_id);
    if (row != NULL) {
        row->partitions += (unsigned)(run->last - run->first) + 1;
        row->first_partition =
            run->first < row->first_partition ? run->first : row->first_partition;
        row->last_partition = run->last > row->last_partition ? run->last : row->last_partition;
    }
}

static bool list_reserve(struct inventory *inventory, size_t count)
{
    if (count > inventory->capacity) {
        struct basin_stratum *strata = realloc(inventory->strata, count * 2 * sizeof(*strata));
        if (strata == NULL) {
            return false;
        }
        inventory->strata = strata;
        inventory->capacity = count * 2;
    }
    return true;
}

static void list_fill(struct basin *basin, struct inventory *inventory)
{
    const struct manifest *manifest = &basin->manifest;
    inventory->count = manifest->stratum_count;
    inventory->runs = manifest->run_count;
    inventory->live_bytes = inventory->dead_bytes = inventory->index_bytes = inventory->disk_bytes =
        0;
    for (size_t i = 0; i < inventory->count; i++) {
        struct basin_stratum row = stratum_row(basin, &manifest->strata[i]);
        inventory->strata[i] = row;
        inventory->live_bytes += row.live_bytes;
        inventory->dead_bytes += row.grain_bytes - row.live_bytes;
        inventory->index_bytes += row.index_bytes;
        inventory->disk_bytes += row.grain_bytes + row.index_bytes + 2 * BLOCK;
    }
    for (size_t i = 0; i < manifest->run_count; i++) {
        run_add(inventory, &manifest->runs[i]);
    }
}

void inventory_take(struct basin *basin)
{
    struct inventory *inventory = &basin->inventory;
    const struct manifest *manifest = &basin->manifest;
    pthread_mutex_lock(&inventory->mutex);
    if (list_reserve(inventory, manifest->stratum_count)) {
        list_fill(basin, inventory);
    }
    inventory->start_lsn = manifest->trim_lsn;
    inventory->generation = manifest->generations[manifest->generation_count - 1].number;
    pthread_mutex_unlock(&inventory->mutex);
}

uint32_t store_new_stratum(struct basin *basin)
{
    pthread_mutex_lock(&basin->manifest_mutex);
    uint32_t id = basin->manifest.next_stratum++;
    pthread_mutex_unlock(&basin->manifest_mutex);
    return id;
}

void store_take_manifest(struct basin *basin, const struct manifest *saved)
{
    manifest_deinit(&basin->manifest);
    basin->manifest = *saved;
    inventory_take(basin);
    for (size_t at = 0; at < basin->doubtful.size; at += sizeof(uint32_t)) {
        uint32_t id = load_u32(basin->doubtful.data + at);
        CHECK(manifest_find(&basin->manifest, id) == NULL);
        status_ignore(stratum_unlink(basin->io, basin->dir, id), "it goes at the next start");
    }
    basin->doubtful.size = 0;
}

void store_doubt_stratum(struct basin *basin, uint32_t id)
{
    unsigned char bytes[sizeof(id)];
    store_u32(bytes, id);
    status_ignore(buf_append(&basin->doubtful, bytes_of(bytes, sizeof(bytes))),
                  "without memory its file stays until the next start");
}

void inventory_read(struct basin *basin, struct basin_stats *stats_out)
{
    struct inventory *inventory = &basin->inventory;
    struct basin_storage *storage = &stats_out->storage;
    pthread_mutex_lock(&inventory->mutex);
    storage->strata = inventory->count;
    storage->runs = inventory->runs;
    storage->live_bytes = inventory->live_bytes;
    storage->dead_bytes = inventory->dead_bytes;
    storage->index_bytes = inventory->index_bytes;
    storage->disk_bytes = inventory->disk_bytes;
    stats_out->start_lsn = inventory->start_lsn;
    stats_out->generation = inventory->generation;
    pthread_mutex_unlock(&inventory->mutex);
}

enum status inventory_list(struct basin *basin, struct basin_stratum **strata_out,
                           size_t *count_out)
{
    struct inventory *inventory = &basin->inventory;
    enum status status = ST_OK;
    *strata_out = NULL;
    *count_out = 0;
    pthread_mutex_lock(&inventory->mutex);
    if (inventory->count > 0) {
        size_t size = inventory->count * sizeof(**strata_out);
        *strata_out = malloc(size);
        if (*strata_out != NULL) {
            memcpy(*strata_out, inventory->strata, size);
            *count_out = inventory->count;
        } else {
            status = ST_NOMEM;
        }
    }
    pthread_mutex_unlock(&inventory->mutex);
    return status;
}
