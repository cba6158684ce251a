#include "engine/shard/entry.h"

#include "engine/base/check.h"

static size_t fields_size(const struct value *value, int64_t expiry_ms)
{
    return (expiry_ms != EXPIRY_NONE ? sizeof(int64_t) : 0) +
           (value->shape == VALUE_CLAST ? sizeof(void *) : 0);
}

static size_t packed_size(const struct value *value)
{
    return value->shape == VALUE_PACKED ? value->packed.size : 0;
}

/* All that depends on value and expiry, but the key and the packed bytes. */
static void fields_store(struct entry *entry, const struct value *value, int64_t expiry_ms)
{
    unsigned char *p = entry->bytes;
    entry->flags &= (uint8_t)~ENTRY_EXPIRES;
    if (expiry_ms != EXPIRY_NONE) {
        entry->flags |= ENTRY_EXPIRES;
        memcpy(p, &expiry_ms, sizeof(expiry_ms));
        p += sizeof(expiry_ms);
    }
    if (value->shape == VALUE_CLAST) {
        memcpy(p, &value->root, sizeof(value->root));
    }
    entry->type = (unsigned)value->type & 15;
    entry->shape = (unsigned)value->shape & 15;
    entry->packed_size = packed_size(value) & ENTRY_PACKED_MAX;
}

struct entry *entry_new(struct slab *slab, uint32_t namespace_id, struct bytes key,
                        const struct value *value, int64_t expiry_ms)
{
    size_t fields = fields_size(value, expiry_ms);
    size_t packed = packed_size(value);
    CHECK(key.size <= UINT32_MAX && packed <= ENTRY_PACKED_MAX);
    struct entry *entry = slab_take(slab, sizeof(*entry) + fields + key.size + packed);
    if (entry == NULL) {
        return NULL;
    }
    entry->lsn = 0;
    entry->namespace_id = namespace_id;
    entry->key_size = (uint32_t)key.size;
    entry->flags = 0;
    entry->access = 0;
    fields_store(entry, value, expiry_ms);
    unsigned char *p = entry->bytes + fields;
    if (key.size > 0) {
        memcpy(p, key.data, key.size);
    }
    if (packed > 0) {
        memcpy(p + key.size, value->packed.data, packed);
    }
    return entry;
}

void entry_free(struct slab *slab, struct entry *entry)
{
    if (entry != NULL) {
        slab_give(slab, entry, entry_size(entry));
    }
}

static struct entry *store_elsewhere(struct slab *slab, struct entry *entry,
                                     const struct value *value, int64_t expiry_ms)
{
    struct entry *moved = entry_new(slab, entry->namespace_id, entry_key(entry), value, expiry_ms);
    if (moved == NULL) {
        return NULL;
    }
    moved->lsn = entry->lsn;
    moved->access = entry->access;
    moved->flags |= entry->flags & (uint8_t)~ENTRY_EXPIRES;
    entry_free(slab, entry);
    return moved;
}

struct entry *entry_store(struct slab *slab, struct entry *entry, const struct value *value,
                          int64_t expiry_ms)
{
    size_t size_before = entry_size(entry);
    size_t packed = packed_size(value);
    CHECK(packed <= ENTRY_PACKED_MAX);
    const unsigned char *data = value->packed.data;
    bool own = packed > 0 && entry->shape == VALUE_PACKED && packed == entry->packed_size &&
               data == entry_packed(entry);
    CHECK(own || packed == 0 || data + packed <= (const unsigned char *)entry ||
          data >= (const unsigned char *)entry + size_before);
    size_t fields = fields_size(value, expiry_ms);
    size_t size = sizeof(*entry) + fields + entry->key_size + packed;
    if (!slab_same_class(size_before, size)) {
        return store_elsewhere(slab, entry, value, expiry_ms);
    }
    /* The key moves first: what it may run over, packed bytes of its own or a root, is moved with
     * it or already in the caller's hands. */
    size_t fields_before = entry_fields_size(entry);
    if (fields != fields_before) {
        memmove(entry->bytes + fields, entry->bytes + fields_before,
                entry->key_size + (own ? packed : 0));
    }
    fields_store(entry, value, expiry_ms);
    if (packed > 0 && !own) {
        memcpy(entry->bytes + fields + entry->key_size, data, packed);
    }
    return entry;
}

void entry_clear_root(struct entry *entry)
{
    CHECK(entry->shape == VALUE_CLAST);
    void *none = NULL;
    size_t offset = (entry->flags & ENTRY_EXPIRES) != 0 ? sizeof(int64_t) : 0;
    memcpy(entry->bytes + offset, &none, sizeof(none));
}
