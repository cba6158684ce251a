/* A look-up is made without any lock, on a view of the partition's stack. What it found is put into
 * memory only if the stack is still the one that was viewed and the key still has no entry. The
 * first says that no newer version has gone to disk meanwhile, the second that none is in memory;
 * together: that what was read is the newest. Otherwise the look-up is made again.
 */
#include "engine/txn/txn_private.h"

#include "engine/base/check.h"
#include "engine/value/root.h"

#include <stdlib.h>

enum status load_room_init(struct load_room *room, struct basin *basin)
{
    *room = (struct load_room){.page = aligned_alloc(IO_ALIGNMENT_MAX, PAGE_SIZE_BYTES)};
    evict_pool_init(&room->pool, atomic_fetch_add(&basin->evict_seed, 1));
    return room->page == NULL ? ST_NOMEM : ST_OK;
}

void load_room_deinit(struct load_room *room)
{
    free(room->page);
    buf_deinit(&room->grain);
}

unsigned load_origin(const struct basin *basin, uint64_t hash)
{
    const struct stack *stack = &basin->stacks[hash_partition(hash)];
    if (__builtin_expect(stack->count == 0, 1)) {
        return 0;
    }
    return stack_may_have(stack, place_of_key(hash)) ? ENTRY_UNRESOLVED : 0;
}

/* What was found on disk, as a value; packed bytes are lent by the grain. */
struct loaded {
    struct value value; /* VALUE_NONE: nothing alive. */
    int64_t expiry_ms;
    uint64_t lsn;
};

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

/* ST_ABSENT: what the row points to has moved; look again. */
static enum status look(struct basin *basin, const struct stack *view,
                        const struct shard_key *place, struct load_room *room,
                        struct loaded *loaded)
{
    unsigned char key_hash[ROW_KEY_HASH_SIZE];
    struct row wanted =
        strata_wanted_key(&basin->strata, place->hash, place->namespace_id, place->name, key_hash);
    struct row row;
    bool found = false;
    *loaded = (struct loaded){.value = {.type = VALUE_NONE}, .expiry_ms = EXPIRY_NONE};
    enum status status = strata_look(&basin->strata, view, &wanted, room->page, &row, &found);
    if (status != ST_OK || !found || row.kind != ROW_KEY) {
        loaded->lsn = status == ST_OK && found ? row.lsn : 0; /* A tombstone's. */
        return status;
    }
    struct grain grain;
    status = strata_read(&basin->strata, row.at, &room->grain, &grain);
    if (status != ST_OK) {
        return status;
    }
    bool same = grain.kind == GRAIN_KEY && grain.namespace_id == place->namespace_id &&
                bytes_equal(grain.key, place->name);
    if (!same) { /* Of a long key the row had but a hash. */
        return ST_CORRUPT;
    }
    loaded->lsn = grain.lsn;
    loaded->expiry_ms = (grain.flags & GRAIN_EXPIRES) != 0 ? grain.expiry_ms : EXPIRY_NONE;
    return value_of(basin, &grain, &loaded->value);
}

/* Under the shard's lock: true if memory knows of the key, or it has no place there any more. */
static bool known(const struct basin *basin, const struct shard_key *place)
{
    return memtable_find(place->table, place->hash, place->namespace_id, place->name) != NULL ||
           store_database_of(basin, place->namespace_id) == BASIN_DATABASES;
}

/* Takes the value unless it fails. */
static enum status install(struct basin *basin, const struct shard_key *place,
                           struct loaded *loaded)
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
    }
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
    bool there = known(basin, place);
    enum status status = there ? ST_OK : stack_copy(stack, &view);
    shard_unlock(shard);
    if (there || status != ST_OK) {
        return status;
    }
    struct loaded loaded;
    status = look(basin, &view, place, room, &loaded);
    if (status == ST_OK) {
        shard_lock_blocking(shard);
        if (!known(basin, place)) {
            status = stack->version == view.version ? install(basin, place, &loaded) : ST_WAIT;
            shard_meter(shard, &basin->memory_used, METER_SLACK);
        }
        shard_unlock(shard);
        value_free(&loaded.value);
    }
    stack_deinit(&view);
    return status == ST_ABSENT ? ST_WAIT : status;
}

static void tally(struct basin *basin, _Atomic uint64_t *loads, enum status status)
{
    atomic_fetch_add_explicit(loads, 1, memory_order_relaxed);
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
    tally(basin, &basin->loads, status);
    return status;
}

/* -- Parts of large values --------------------------------------------------------------------- */

/* ST_ABSENT: it has moved. A part that no row knows, under a root that stands: S3. */
static enum status part_look(struct basin *basin, const struct stack *view, struct part_name name,
                             struct load_room *room, struct part **part_out)
{
    struct row wanted = strata_wanted_part(name);
    struct row row;
    bool found = false;
    enum status status = strata_look(&basin->strata, view, &wanted, room->page, &row, &found);
    if (status != ST_OK) {
        return status;
    }
    if (!found || row.kind != ROW_PART) {
        return ST_CORRUPT;
    }
    struct grain grain;
    status = strata_read(&basin->strata, row.at, &room->grain, &grain);
    if (status != ST_OK) {
        return status;
    }
    if (grain.kind != GRAIN_PART || grain.part.clast != name.clast ||
        grain.part.table != name.table || grain.part.number != name.number) {
        return ST_CORRUPT;
    }
    struct part *part = part_new(grain.data.size);
    if (part == NULL) {
        return ST_NOMEM;
    }
    if (grain.data.size > 0) {
        memcpy(part->data, grain.data.data, grain.data.size);
    }
    part->size = (uint32_t)grain.data.size;
    *part_out = part;
    return ST_OK;
}

/* The value whose parts these are, while it is in memory and has not got another root. */
static bool owner_of(const struct shard_key *place, uint64_t clast, struct value *value_out)
{
    struct entry *entry =
        memtable_find(place->table, place->hash, place->namespace_id, place->name);
    if (entry == NULL || entry->shape != VALUE_CLAST || entry_absent(entry)) {
        return false;
    }
    *value_out = entry_value(entry);
    return value_out->root != NULL && value_clast(value_out) == clast;
}

/* Under the shard's lock. Takes the reference. */
static enum status part_install(struct shard *shard, const struct shard_key *place,
                                struct part_name name, struct part *part)
{
    struct value value;
    enum status status = ST_ABSENT;
    if (owner_of(place, name.clast, &value)) {
        uint64_t memory = value_memory(&value);
        status = value_install(&value, name.table, name.number, part);
        shard_note_memory(shard, memory, value_memory(&value));
    }
    if (status != ST_OK) {
        part_unref(part);
    }
    return status == ST_ABSENT ? ST_OK : status; /* It is there, or not needed any more. */
}

static enum status part_once(struct basin *basin, const struct shard_key *place,
                             struct part_name name, struct load_room *room)
{
    struct shard *shard = store_shard(basin, place->hash);
    struct stack *stack = &basin->stacks[hash_partition(place->hash)];
    struct stack view;
    struct value value;
    shard_lock_blocking(shard);
    bool wanted = owner_of(place, name.clast, &value);
    enum status status = wanted ? stack_copy(stack, &view) : ST_OK;
    shard_unlock(shard);
    if (!wanted || status != ST_OK) {
        return status;
    }
    struct part *part = NULL;
    status = part_look(basin, &view, name, room, &part);
    shard_lock_blocking(shard);
    if (stack->version != view.version) { /* Whatever was found may be stale. */
        part_unref(part);
        status = status == ST_IO || status == ST_NOMEM ? status : ST_WAIT;
    } else if (status == ST_OK) {
        status = part_install(shard, place, name, part);
        shard_meter(shard, &basin->memory_used, METER_SLACK);
    } else if (status == ST_CORRUPT && !owner_of(place, name.clast, &value)) {
        status = ST_OK; /* Nobody asks any more. */
    }
    shard_unlock(shard);
    stack_deinit(&view);
    return status == ST_ABSENT ? ST_WAIT : status;
}

enum status load_part(struct basin *basin, const struct shard_key *place, struct part_name name,
                      struct load_room *room)
{
    enum status status;
    do {
        status = part_once(basin, place, name, room);
    } while (status == ST_WAIT);
    tally(basin, &basin->part_loads, status);
    return status;
}

/* -- What cannot wait: the caller holds the shard's lock ----------------------------------------
 */

enum status load_key_now(struct basin *basin, const struct shard_key *place)
{
    struct load_room room;
    struct loaded loaded;
    enum status status = load_room_init(&room, basin);
    if (status == ST_OK) {
        status = look(basin, &basin->stacks[hash_partition(place->hash)], place, &room, &loaded);
    }
    if (status == ST_OK) {
        status = install(basin, place, &loaded);
        value_free(&loaded.value);
    }
    load_room_deinit(&room);
    return status == ST_ABSENT ? ST_IO : status;
}

enum status load_parts_now(struct basin *basin, const struct shard_key *place)
{
    struct parts_miss misses[LOAD_MISSES_MAX];
    size_t count = parts_take_misses(misses, LOAD_MISSES_MAX);
    struct load_room room;
    enum status status = load_room_init(&room, basin);
    const struct stack *stack = &basin->stacks[hash_partition(place->hash)];
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        struct part_name name = {misses[i].clast, misses[i].table, misses[i].number};
        struct value value;
        struct part *part = NULL;
        if (owner_of(place, name.clast, &value)) {
            status = part_look(basin, stack, name, &room, &part);
        }
        if (part != NULL) {
            status = part_install(store_shard(basin, place->hash), place, name, part);
        }
    }
    load_room_deinit(&room);
    CHECK(count > 0);
    return status == ST_ABSENT ? ST_IO : status;
}
