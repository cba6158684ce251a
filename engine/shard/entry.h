/* entry: a key in memory: header, key and small value in one allocation.
 *
 *     struct entry │ i64 expiry if ENTRY_EXPIRES │ void *root if VALUE_CLAST │ key │ packed bytes
 *
 * An entry of type VALUE_NONE is a tombstone: the key is absent, and what is on disk under it is
 * void. Clean entries (without ENTRY_DIRTY and ENTRY_SETTLING) may leave memory at any time.
 *
 * lsn is the last effect on it (W1: whoever reads it waits for that LSN). access says when or how
 * often it was used. Thread: the holder of the shard.
 */
#ifndef BASIN_ENGINE_SHARD_ENTRY_H
#define BASIN_ENGINE_SHARD_ENTRY_H

#include "engine/shard/slab.h"
#include "engine/value/value.h"

#define ENTRY_EXPIRES 1u /* An expiry follows the header. */
#define ENTRY_DOUBTED 2u /* Captured as ENTRY_UNRESOLVED: its row in that round is, too. */
#define ENTRY_WAKES 4u   /* A hash with fields that expire: the heap has a row for the earliest. */
#define ENTRY_DIRTY 8u   /* Differs from what is on disk; it may not leave memory. */
#define ENTRY_SETTLING 16u /* Captured by the settle round that is under way. */
/* What is on disk under this key, once the round that is under way has ended: neither flag: nothing
 * that is alive. Deletions need a tombstone if either is set. */
#define ENTRY_ON_DISK 32u    /* A live version. */
#define ENTRY_UNRESOLVED 64u /* Nobody has looked; taken for a live one. */
#define ENTRY_PINNED 128u /* Was brought, or its parts are, for a command that has not run yet. */
#define ENTRY_ORIGIN (ENTRY_ON_DISK | ENTRY_UNRESOLVED)

#define ENTRY_PACKED_MAX ((1u << 20) - 1) /* Every shape's own bound is far below. */
#define ENTRY_ACCESS_MASK ((1u << 28) - 1)

#define EXPIRY_NONE (-1)

struct entry {
    uint64_t lsn;
    uint32_t namespace_id;
    uint32_t key_size;
    uint64_t packed_size : 20;
    uint64_t access : 28; /* Seconds, or minutes and a counter: see evict.h. */
    uint64_t type : 4;    /* enum value_type */
    uint64_t shape : 4;   /* enum value_shape */
    uint64_t flags : 8;
    unsigned char bytes[];
};
static_assert(sizeof(struct entry) == 24, "the entry header is counted in every key");

/* Given, with lsn 0 and access 0. Copies key and packed bytes, takes a root. expiry_ms: Unix ms or
 * EXPIRY_NONE. NULL: no memory; nothing was taken. */
struct entry *entry_new(struct slab *slab, uint32_t namespace_id, struct bytes key,
                        const struct value *value, int64_t expiry_ms);
/* Gives the entry's memory back; not its root. */
void entry_free(struct slab *slab, struct entry *entry);

/* Stores value and expiry in the entry, in place where the room is the same, else in a new entry
 * (lsn, access and flags carried over) and frees the old. Packed bytes of value must not lie in
 * this entry unless unchanged in place and size. The old root, when replaced, is the caller's.
 * NULL: no memory, nothing changed. */
struct entry *entry_store(struct slab *slab, struct entry *entry, const struct value *value,
                          int64_t expiry_ms);

static inline bool entry_absent(const struct entry *entry)
{
    return entry->type == VALUE_NONE;
}

/* Whether the count of keys may be too low by one for its sake: see struct shard_counters. */
static inline bool entry_in_doubt(const struct entry *entry)
{
    return (entry->flags & (ENTRY_UNRESOLVED | ENTRY_DOUBTED)) != 0;
}

static inline bool entry_clean(const struct entry *entry)
{
    return (entry->flags & (ENTRY_DIRTY | ENTRY_SETTLING)) == 0;
}

/* Bytes between the header and the key. */
static inline size_t entry_fields_size(const struct entry *entry)
{
    return (entry->flags & ENTRY_EXPIRES ? sizeof(int64_t) : 0) +
           (entry->shape == VALUE_CLAST ? sizeof(void *) : 0);
}

/* Lent until the entry changes, as are the next two. */
static inline struct bytes entry_key(const struct entry *entry)
{
    return bytes_of(entry->bytes + entry_fields_size(entry), entry->key_size);
}

static inline const unsigned char *entry_packed(const struct entry *entry)
{
    return entry->bytes + entry_fields_size(entry) + entry->key_size;
}

static inline struct value entry_value(const struct entry *entry)
{
    struct value value = {entry->type, entry->shape, BYTES_NONE, NULL};
    if (entry->shape == VALUE_CLAST) {
        memcpy(&value.root, entry->bytes + entry_fields_size(entry) - sizeof(void *),
               sizeof(void *));
    } else {
        value.packed = bytes_of(entry_packed(entry), entry->packed_size);
    }
    return value;
}

/* EXPIRY_NONE: none. */
static inline int64_t entry_expiry(const struct entry *entry)
{
    int64_t expiry_ms = EXPIRY_NONE;
    if (entry->flags & ENTRY_EXPIRES) {
        memcpy(&expiry_ms, entry->bytes, sizeof(expiry_ms));
    }
    return expiry_ms;
}

/* As asked of the slab. */
static inline size_t entry_size(const struct entry *entry)
{
    return sizeof(*entry) + entry_fields_size(entry) + entry->key_size + entry->packed_size;
}

/* Of a clast: names no root any more, until the next entry_store. */
void entry_clear_root(struct entry *entry);

#endif
