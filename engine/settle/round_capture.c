#include "engine/settle/round.h"

#include "engine/value/root.h"

#include <sched.h>

/* A slice ends when it has looked at so many slots or captured so many bytes: some 50 to 100 µs. */
#define SLICE_SLOTS 1024
#define SLICE_BYTES (64u << 10)

static enum status counts_reserve(struct round *round, const struct entry *entry)
{
    return manifest_counts(&round->counts, entry->namespace_id) == NULL ? ST_NOMEM : ST_OK;
}

/* What the row of an entry says of the count of keys; see ENTRY_ON_DISK. */
static void count_row(struct round *round, const struct entry *entry, uint64_t hash)
{
    struct manifest_counts *counts = manifest_counts(&round->counts, entry->namespace_id);
    struct manifest_count *count = &counts->partitions[hash_partition(hash)];
    bool alive = !entry_absent(entry);
    bool unresolved = (entry->flags & ENTRY_UNRESOLVED) != 0;
    bool believed = (entry->flags & ENTRY_ORIGIN) != 0; /* To be on disk. */
    count->unresolved += unresolved;
    count->keys += alive ? !believed : -(int64_t)believed;
    count->expiring += alive && entry_expiry(entry) != EXPIRY_NONE;
}

static enum status part_note(struct round *round, struct part_name name, bool ended,
                             struct part *part, uint64_t lsn)
{
    struct captured_part captured = {
        .place = ended ? place_of_end(name.clast) : place_of_part(name),
        .name = name,
        .ended = ended,
        .part = part,
        .lsn = lsn,
    };
    return buf_append(&round->parts, bytes_of(&captured, sizeof(captured)));
}

/* What a capture gave becomes the round's. Room was made. */
static void capture_keep(struct round *round, struct value_capture *capture, uint64_t clast,
                         uint64_t lsn)
{
    for (size_t i = 0; i < capture->row_count; i++) {
        struct parts_row *row = &capture->rows[i];
        struct part_name name = {clast, row->table, row->number};
        status_ignore(part_note(round, name, false, row->part, lsn), "room was made");
        row->part = NULL; /* The reference goes along. */
    }
    for (size_t i = 0; i < capture->dropped_count; i++) {
        struct part_name name = {clast, capture->dropped[i], 0};
        status_ignore(part_note(round, name, true, NULL, lsn), "room was made");
    }
}

/* Of a large value: the root goes into round->root, what has changed of the parts is kept. Once it
 * has answered ST_OK the value takes itself for clean: there is no way back. */
static enum status capture_root(struct round *round, struct shard *shard, struct entry *entry,
                                uint64_t hash, uint64_t *clast_out)
{
    struct value value = entry_value(entry);
    struct value_capture capture;
    uint64_t clast = value_clast(&value);
    if (clast == 0) {
        clast = hash >> (64 - PARTITION_BITS) << (64 - PARTITION_BITS) |
                atomic_fetch_add(&round->basin->next_clast, 1);
    }
    unsigned char id[8];
    store_u64(id, clast);
    round->root.size = 0;
    enum status status = buf_append(&round->root, bytes_of(id, sizeof(id)));
    uint64_t memory = value_memory(&value);
    /* Rows and tables of a capture are at most the parts that it has; their notes are small. */
    if (status == ST_OK) {
        status = value_capture(&value, clast, &round->root, &capture);
    }
    if (status != ST_OK) {
        return status;
    }
    shard_note_memory(shard, memory, value_memory(&value));
    size_t notes = (capture.row_count + capture.dropped_count) * sizeof(struct captured_part);
    while (buf_reserve(&round->parts, notes) != ST_OK) {
        sched_yield(); /* There is no way back: memory comes, or the server ends. */
    }
    capture_keep(round, &capture, clast, entry->lsn);
    value_capture_deinit(&capture);
    *clast_out = clast;
    return ST_OK;
}

static enum status capture_grain(struct round *round, struct shard *shard, struct entry *entry,
                                 struct captured *captured)
{
    struct value value = entry_value(entry);
    struct grain grain = {
        .kind = GRAIN_KEY,
        .type = entry->type,
        .lsn = entry->lsn,
        .namespace_id = entry->namespace_id,
        .key = entry_key(entry),
        .expiry_ms = entry_expiry(entry),
        .data = value.packed,
    };
    if (entry->shape == VALUE_CLAST) {
        enum status status = capture_root(round, shard, entry, captured->hash, &captured->clast);
        if (status != ST_OK) {
            return status;
        }
        grain.data = buf_bytes(&round->root);
        grain.flags |= GRAIN_CLAST;
        captured->flags |= ROW_CLAST;
    }
    if (grain.expiry_ms != EXPIRY_NONE) {
        grain.flags |= GRAIN_EXPIRES;
        captured->flags |= ROW_EXPIRES;
        captured->expiry_ms = grain.expiry_ms;
    }
    if ((entry->flags & ENTRY_WAKES) != 0) {
        grain.flags |= GRAIN_WAKES;
        captured->flags |= ROW_WAKES;
    }
    captured->grain_offset = round->grains.size;
    captured->grain_size = (uint32_t)grain_size(&grain);
    while (grain_store(&grain, &round->grains) != ST_OK) {
        sched_yield(); /* A root that was captured must be written. */
    }
    return ST_OK;
}

/* Marks the entry as settling; nothing has changed unless ST_OK. */
static enum status capture(struct round *round, struct shard *shard, struct entry *entry,
                           uint64_t hash)
{
    struct captured captured = {
        .hash = hash,
        .lsn = entry->lsn,
        .namespace_id = entry->namespace_id,
        .type = entry->type,
        .gone = entry_absent(entry),
        .flags = (entry->flags & ENTRY_UNRESOLVED) != 0 ? ROW_UNRESOLVED : 0,
        .key_offset = round->names.size,
        .key_size = entry->key_size,
    };
    size_t grains_before = round->grains.size;
    enum status status = buf_reserve(&round->captured, sizeof(captured));
    if (status == ST_OK) {
        status = buf_reserve(&round->hashes, sizeof(hash));
    }
    if (status == ST_OK) {
        status = buf_append(&round->names, entry_key(entry));
    }
    if (status == ST_OK) {
        status = counts_reserve(round, entry);
    }
    if (status == ST_OK && !captured.gone) {
        status = capture_grain(round, shard, entry, &captured);
    }
    if (status != ST_OK) {
        round->grains.size = grains_before;
        round->names.size = captured.key_offset;
        return status;
    }
    count_row(round, entry, hash);
    status_ignore(buf_append(&round->captured, bytes_of(&captured, sizeof(captured))), "reserved");
    status_ignore(buf_append(&round->hashes, bytes_of(&hash, sizeof(hash))), "reserved");
    round->greatest_lsn = entry->lsn > round->greatest_lsn ? entry->lsn : round->greatest_lsn;
    entry->flags &= (uint8_t) ~(ENTRY_DIRTY | ENTRY_ORIGIN);
    entry->flags |= ENTRY_SETTLING | (captured.gone ? 0 : ENTRY_ON_DISK) |
                    ((captured.flags & ROW_UNRESOLVED) != 0 ? ENTRY_DOUBTED : 0);
    return ST_OK;
}

enum status round_capture(struct round *round, struct shard *shard, struct memtable *table,
                          uint64_t *from, bool *done_out)
{
    enum status status = ST_OK;
    unsigned slots = 0;
    const struct slot *slot = memtable_seek(table, *from);
    uint64_t hash = 0;
    *done_out = false;
    for (; slot != NULL && status == ST_OK; slot = memtable_next(table, slot)) {
        if (slot->hash != hash && (slots >= SLICE_SLOTS || round->grains.size >= SLICE_BYTES)) {
            *from = slot->hash;
            return ST_OK;
        }
        hash = slot->hash;
        slots++;
        struct entry *entry = slot->entry;
        if ((entry->flags & ENTRY_DIRTY) != 0 &&
            store_database_of(round->basin, entry->namespace_id) != BASIN_DATABASES) {
            status = capture(round, shard, entry, hash);
        }
    }
    *done_out = status == ST_OK;
    return status;
}
