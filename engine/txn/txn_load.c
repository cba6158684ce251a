/* A look-up is made without any lock, on a view of the partition's stack. What it found is put into
 * memory only if the stack is still the one that was viewed and the key still has no entry. The
 * first says that no newer version has gone to disk meanwhile, the second that none is in memory;
 * together: that what was read is the newest. Otherwise the look-up is made again.
 */
#include "engine/txn/txn_load.h"

#include "engine/base/check.h"
#include "engine/txn/txn_private.h"
#include "engine/value/root.h"

#include <stdlib.h>

enum status load_room_init(struct load_room *room, struct basin *basin)
{
    *room = (struct load_room){.read.data = NULL};
    evict_pool_init(&room->pool, atomic_fetch_add(&basin->evict_seed, 1));
    return lookup_room_reserve(&room->read, PAGE_SIZE_BYTES);
}

void load_room_deinit(struct load_room *room)
{
    free(room->read.data);
}

unsigned load_origin(const struct basin *basin, uint64_t hash)
{
    const struct stack *stack = &basin->stacks[hash_partition(hash)];
    if (__builtin_expect(stack->count == 0, 1)) {
        return 0;
    }
    return stack_may_have(stack, place_of_key(hash)) ? ENTRY_UNRESOLVED : 0;
}

/* -- What a look-up has found ------------------------------------------------------------------ */

/* Packed bytes are lent by the grain; a root is given, without any of its parts. */
static enum status value_of(const struct basin *basin, const struct grain *grain,
                            struct value *value_out)
{
    bool rooted = (grain->flags & GRAIN_CLAST) != 0;
    if (grain->type == VALUE_NONE || grain->type >= VALUE_TYPES ||
        (rooted ? grain->data.size < 8 : grain->data.size > ENTRY_PACKED_MAX)) {
        return ST_CORRUPT;
    }
    if (rooted) {
        return value_root_load(bytes_slice(grain->data, 8, grain->data.size), grain->type,
                               load_u64(grain->data.data), &basin->limits, value_out);
    }
    *value_out = (struct value){.type = grain->type, .shape = VALUE_PACKED, .packed = grain->data};
    return ST_OK;
}

enum status load_key_found(const struct basin *basin, const struct lookup *lookup,
                           uint32_t namespace_id, struct bytes name, struct loaded *loaded_out)
{
    const struct row *row = &lookup->row;
    const struct grain *grain = &lookup->grain;
    *loaded_out = (struct loaded){.value = {.type = VALUE_NONE}, .expiry_ms = EXPIRY_NONE};
    if (lookup->status != ST_OK || !lookup->found || row->kind != ROW_KEY) {
        loaded_out->lsn = lookup->found ? row->lsn : 0; /* A tombstone's. */
        return lookup->status;
    }
    loaded_out->found = true;
    if (lookup->row_only) {
        loaded_out->row_only = true;
        loaded_out->type = row->type;
        loaded_out->wakes = (row->flags & ROW_WAKES) != 0;
        loaded_out->expiry_ms = (row->flags & ROW_EXPIRES) != 0 ? row->expiry_ms : EXPIRY_NONE;
        return ST_OK;
    }
    /* Of a long key the row had but a hash. */
    if (grain->kind != GRAIN_KEY || grain->namespace_id != namespace_id ||
        !bytes_equal(grain->key, name)) {
        return ST_CORRUPT;
    }
    loaded_out->lsn = grain->lsn;
    loaded_out->expiry_ms = (grain->flags & GRAIN_EXPIRES) != 0 ? grain->expiry_ms : EXPIRY_NONE;
    return value_of(basin, grain, &loaded_out->value);
}

enum status load_part_found(const struct lookup *lookup, struct part_name name,
                            struct part **part_out)
{
    const struct grain *grain = &lookup->grain;
    if (lookup->status != ST_OK) {
        return lookup->status;
    }
    if (!lookup->found || lookup->row.kind != ROW_PART || grain->kind != GRAIN_PART ||
        grain->part.clast != name.clast || grain->part.table != name.table ||
        grain->part.number != name.number) {
        return ST_CORRUPT; /* S3: a part that no row knows, under a root that stands. */
    }
    struct part *part = part_new(grain->data.size);
    if (part == NULL) {
        return ST_NOMEM;
    }
    if (grain->data.size > 0) {
        memcpy(part->data, grain->data.data, grain->data.size);
    }
    part->size = (uint32_t)grain->data.size;
    *part_out = part;
    return ST_OK;
}

/* -- Into memory: under the shard's lock ------------------------------------------------------- */

bool load_known(const struct basin *basin, const struct shard_key *place)
{
    return memtable_find(place->table, place->hash, place->namespace_id, place->name) != NULL ||
           store_database_of(basin, place->namespace_id) == BASIN_DATABASES;
}

enum status load_install(struct basin *basin, const struct shard_key *place, struct loaded *loaded)
{
    struct shard_key fresh = *place;
    fresh.origin = loaded->value.type != VALUE_NONE ? ENTRY_ON_DISK : 0;
    struct shard *shard = store_shard(basin, place->hash);
    uint32_t access = evict_fresh(&basin->rule, io_wall_ms(basin->io));
    uint64_t lsn = loaded->lsn;
    if (loaded->value.type == VALUE_NONE && *shard_gone(shard, place->hash) > lsn) {
        lsn = *shard_gone(shard, place->hash); /* W1: removed from memory, not durable perhaps. */
    }
    enum status status =
        shard_install(shard, &fresh, &loaded->value, loaded->expiry_ms, lsn, access);
    if (status == ST_OK) {
        loaded->value = (struct value){.type = VALUE_NONE};
        shard_meter(shard, &basin->memory_used, METER_SLACK);
    }
    return status;
}

bool load_owner(const struct basin *basin, const struct shard_key *place, uint64_t clast,
                struct value *value_out)
{
    struct entry *entry =
        memtable_find(place->table, place->hash, place->namespace_id, place->name);
    if (entry == NULL || entry->shape != VALUE_CLAST || entry_absent(entry) ||
        store_dropped(basin, entry)) {
        return false;
    }
    *value_out = entry_value(entry);
    return value_out->root != NULL && value_clast(value_out) == clast;
}

enum status load_install_part(struct basin *basin, const struct shard_key *place,
                              struct part_name name, struct part *part)
{
    struct value value;
    enum status status = ST_ABSENT;
    if (load_owner(basin, place, name.clast, &value)) {
        struct shard *shard = store_shard(basin, place->hash);
        uint64_t memory = value_memory(&value);
        status = value_install(&value, name.table, name.number, part);
        shard_note_memory(shard, memory, value_memory(&value));
        shard_meter(shard, &basin->memory_used, METER_SLACK);
    }
    if (status != ST_OK) {
        part_unref(part);
    }
    return status == ST_ABSENT ? ST_OK : status; /* It is there, or not needed any more. */
}

/* -- Waiting for the device -------------------------------------------------------------------- */

static enum status look(struct basin *basin, const struct stack *view,
                        const struct shard_key *place, struct load_room *room,
                        struct loaded *loaded_out)
{
    unsigned char key_hash[ROW_KEY_HASH_SIZE];
    struct row wanted =
        strata_wanted_key(&basin->strata, place->hash, place->namespace_id, place->name, key_hash);
    struct lookup lookup;
    lookup_begin(&lookup, &basin->strata, view, &wanted, false);
    lookup_run(&lookup, &room->read);
    enum status status =
        load_key_found(basin, &lookup, place->namespace_id, place->name, loaded_out);
    lookup_end(&lookup);
    return status;
}

/* One attempt. ST_WAIT: the world has moved on, try again. */
static enum status load_once(struct basin *basin, const struct shard_key *place,
                             struct load_room *room)
{
    struct shard *shard = store_shard(basin, place->hash);
    struct stack *stack = &basin->stacks[hash_partition(place->hash)];
    struct stack view;
    shard_lock_blocking(shard);
    bool there = load_known(basin, place);
    enum status status = there ? ST_OK : stack_copy(stack, &view);
    shard_unlock(shard);
    if (there || status != ST_OK) {
        return status;
    }
    struct loaded loaded;
    status = look(basin, &view, place, room, &loaded);
    if (status == ST_OK) {
        shard_lock_blocking(shard);
        if (!load_known(basin, place)) {
            status = stack->version == view.version ? load_install(basin, place, &loaded) : ST_WAIT;
        }
        shard_unlock(shard);
        value_free(&loaded.value);
    }
    stack_deinit(&view);
    return status == ST_ABSENT ? ST_WAIT : status;
}

void load_tally(struct basin *basin, bool of_part, enum status status)
{
    atomic_fetch_add_explicit(of_part ? &basin->part_loads : &basin->loads, 1,
                              memory_order_relaxed);
    if (status != ST_OK) {
        atomic_fetch_add_explicit(&basin->load_failures, 1, memory_order_relaxed);
    }
}

enum status load_key(struct basin *basin, const struct shard_key *place, struct load_room *room)
{
    enum status status;
    do {
        status = load_once(basin, place, room);
    } while (status == ST_WAIT);
    load_tally(basin, false, status);
    return status;
}

enum status load_key_now(struct basin *basin, const struct shard_key *place)
{
    struct load_room room;
    struct loaded loaded;
    enum status status = load_room_init(&room, basin);
    if (status == ST_OK) {
        status = look(basin, &basin->stacks[hash_partition(place->hash)], place, &room, &loaded);
    }
    if (status == ST_OK) {
        status = load_install(basin, place, &loaded);
        value_free(&loaded.value);
    }
    load_room_deinit(&room);
    return status == ST_ABSENT ? ST_IO : status;
}

static enum status part_now(struct basin *basin, const struct shard_key *place,
                            struct part_name name, struct load_room *room)
{
    struct value value;
    if (!load_owner(basin, place, name.clast, &value)) {
        return ST_OK;
    }
    struct row wanted = strata_wanted_part(name);
    struct lookup lookup;
    struct part *part = NULL;
    lookup_begin(&lookup, &basin->strata, &basin->stacks[hash_partition(place->hash)], &wanted,
                 false);
    lookup_run(&lookup, &room->read);
    enum status status = load_part_found(&lookup, name, &part);
    lookup_end(&lookup);
    return status == ST_OK ? load_install_part(basin, place, name, part) : status;
}

enum status load_parts_now(struct basin *basin, const struct shard_key *place)
{
    struct parts_miss misses[LOAD_MISSES_MAX];
    size_t count = parts_take_misses(misses, LOAD_MISSES_MAX);
    struct load_room room;
    enum status status = load_room_init(&room, basin);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        struct part_name name = {misses[i].clast, misses[i].table, misses[i].number};
        status = part_now(basin, place, name, &room);
    }
    load_room_deinit(&room);
    CHECK(count > 0);
    return status == ST_ABSENT ? ST_IO : status;
}
