/* The order is the whole trick: a slot's place is at or after its home, slots ascend by hash, and
 * between a home and its slot there is no gap. So
 *
 *     find    goes from the home to the first hash that is not smaller: one comparison a step
 *     insert  moves the slots from there to the next gap up by one
 *     remove  moves those after it that are not at home down by one
 *
 * An empty slot carries the largest hash, so that it ends a walk without a second comparison, and
 * the last slot of all is always empty. A real key may have that hash too: entry decides.
 *
 * Sizes: the slots of partition p number 8 · (1 + p / 4096) · 1.25^k, in whole pages once they fill
 * one, when they come from mmap and go back to the system at once. After a growth a table is full
 * to 72 %, and the partitions stand at all phases between that and 90 %, so the store pays about
 * 20 bytes a key whatever its size.
 *
 * Growth fills the new slots from the old, which stay whole until it is done. If the last slots of
 * the new table overflow (hashes that crowd at the end of the range), it is tried again with
 * twice the spare.
 */
#include "engine/shard/memtable.h"

#include "engine/base/check.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SLOTS_MIN 8
#define SPARE_MIN 3
#define SPARE_MAX 32
#define SLOTS_MAX ((uint32_t)1 << 31)
#define EMPTY_HASH UINT64_MAX

/* Slots from here on are mapped, in whole pages. */
#define PAGE_SLOTS 256
#define MAPPED_MIN PAGE_SLOTS

static uint32_t slot_count(const struct memtable *table)
{
    return table->capacity + table->spare;
}

static inline uint32_t home_of(uint32_t capacity, uint64_t hash)
{
    unsigned __int128 place = (unsigned __int128)(hash << PARTITION_BITS) * capacity;
    return (uint32_t)(place >> 64);
}

/* A table with this capacity takes no more keys than that. */
static uint32_t count_max(uint32_t capacity)
{
    return capacity - capacity / 10;
}

static struct slot *slots_new(uint32_t count)
{
    size_t size = (size_t)count * sizeof(struct slot);
    if (count < MAPPED_MIN) {
        return malloc(size);
    }
    /* Every slot is written at once, so populating saves a fault a page. */
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void slots_free(struct slot *slots, uint32_t count)
{
    if (count < MAPPED_MIN) {
        free(slots);
    } else if (slots != NULL) {
        munmap(slots, (size_t)count * sizeof(struct slot));
    }
}

static uint32_t round_to_page(uint32_t count)
{
    return count < MAPPED_MIN ? count : (count + PAGE_SLOTS / 2) / PAGE_SLOTS * PAGE_SLOTS;
}

static uint32_t spare_for(uint32_t slots)
{
    uint32_t spare = slots / 16 < SPARE_MIN ? SPARE_MIN : slots / 16;
    return spare > SPARE_MAX ? SPARE_MAX : spare;
}

/* The first number of slots in the partition's series that holds count keys and is not `present`
 * or less. 0: beyond what a table can have. */
static uint32_t slots_for(uint32_t partition, uint32_t count, uint32_t present)
{
    double size = SLOTS_MIN * (1 + (double)partition / (4 * PARTITION_COUNT));
    for (; size < SLOTS_MAX; size *= 1.25) {
        uint32_t slots = round_to_page((uint32_t)size);
        if (slots > present && count_max(slots - spare_for(slots)) >= count) {
            return slots;
        }
    }
    return 0;
}

void memtable_init(struct memtable *table, uint32_t partition)
{
    CHECK(partition < PARTITION_COUNT);
    *table = (struct memtable){.partition = (uint16_t)partition};
}

void memtable_deinit(struct memtable *table)
{
    if (table == NULL) {
        return;
    }
    slots_free(table->slots, slot_count(table));
    doubts_deinit(&table->doubts);
    table->slots = NULL;
    table->capacity = table->spare = table->count = 0;
    table->tight = false;
    table->version++;
}

/* Fills count new slots with those of the table; false: they do not fit. The last slot stays empty
 * as the end of all walks, and the one before it for the next insert. */
static bool refill(const struct memtable *table, struct slot *slots, uint32_t capacity,
                   uint32_t count)
{
    uint32_t next = 0;
    uint32_t end = slot_count(table);
    for (uint32_t i = 0; i < end; i++) {
        struct slot slot = table->slots[i];
        if (slot.entry == NULL) {
            continue;
        }
        uint32_t home = home_of(capacity, slot.hash);
        while (next < home) {
            slots[next++] = (struct slot){EMPTY_HASH, NULL};
        }
        if (next >= count - 2) {
            return false;
        }
        slots[next++] = slot;
    }
    while (next < count) {
        slots[next++] = (struct slot){EMPTY_HASH, NULL};
    }
    return true;
}

/* On failure the table is as it was. */
static enum status resize(struct memtable *table, uint32_t capacity, uint32_t spare)
{
    for (;;) {
        if (capacity >= SLOTS_MAX || spare >= SLOTS_MAX) {
            return ST_NOMEM;
        }
        uint32_t count = capacity + spare;
        if (count >= MAPPED_MIN && count % PAGE_SLOTS != 0) {
            spare += PAGE_SLOTS - count % PAGE_SLOTS; /* It is ours anyway. */
            count = capacity + spare;
        }
        struct slot *slots = slots_new(count);
        if (slots == NULL) {
            return ST_NOMEM;
        }
        if (refill(table, slots, capacity, count)) {
            slots_free(table->slots, slot_count(table));
            table->slots = slots;
            table->capacity = capacity;
            table->spare = spare;
            table->tight = false;
            table->version++;
            return ST_OK;
        }
        slots_free(slots, count);
        spare *= 2;
    }
}

/* Room in number, and at the end, where a moved run of slots would run over. (The table says so
 * itself because a look at its end would be a cache miss an insert.) */
static inline bool has_room(const struct memtable *table)
{
    return !table->tight && table->count < count_max(table->capacity);
}

enum status memtable_reserve(struct memtable *table)
{
    if (table->slots != NULL) {
        if (has_room(table)) {
            return ST_OK;
        }
        if (table->count < table->capacity / 2) {
            /* Half empty, and yet the end is full: these hashes are no even spread. */
            return resize(table, table->capacity, 2 * table->spare);
        }
    }
    uint32_t slots = slots_for(table->partition, table->count + 1, slot_count(table));
    if (slots == 0) {
        return ST_NOMEM;
    }
    uint32_t spare = spare_for(slots);
    return resize(table, slots - spare, spare);
}

/* After many removals. A table too large is still a table, so that it may fail. */
static void shrink(struct memtable *table)
{
    uint32_t slots = slots_for(table->partition, table->count + table->count / 4 + 1, 0);
    if (slots != 0 && slots < slot_count(table) / 4 * 3) {
        uint32_t spare = spare_for(slots);
        status_ignore(resize(table, slots - spare, spare), "the larger table serves as well");
    }
}

/* The very last stays empty for ever. */
static inline const struct slot *last_usable(const struct memtable *table)
{
    return table->slots + slot_count(table) - 2;
}

/* The first slot from the home on whose hash is not smaller, perhaps an empty one. */
static inline struct slot *lower_bound(const struct memtable *table, uint64_t hash)
{
    struct slot *slot = table->slots + home_of(table->capacity, hash);
    while (slot->hash < hash) {
        slot++;
    }
    return slot;
}

static inline bool entry_is(const struct entry *entry, uint32_t namespace_id, struct bytes key)
{
    if (entry->namespace_id != namespace_id || entry->key_size != key.size) {
        return false;
    }
    return key.size == 0 || memcmp(entry_key(entry).data, key.data, key.size) == 0;
}

struct entry *memtable_find(const struct memtable *table, uint64_t hash, uint32_t namespace_id,
                            struct bytes key)
{
    if (table->slots == NULL) {
        return NULL;
    }
    const struct slot *slot = lower_bound(table, hash);
    for (; slot->hash == hash && slot->entry != NULL; slot++) {
        if (entry_is(slot->entry, namespace_id, key)) {
            return slot->entry;
        }
    }
    return NULL;
}

void memtable_insert(struct memtable *table, uint64_t hash, struct entry *entry)
{
    CHECK(entry != NULL && hash_partition(hash) == table->partition);
    CHECK(table->slots != NULL && has_room(table));
    struct slot *slot = lower_bound(table, hash);
    struct slot carried = {hash, entry};
    while (slot->entry != NULL) {
        struct slot next = *slot;
        *slot++ = carried;
        carried = next;
    }
    *slot = carried;
    table->tight = slot == last_usable(table);
    table->count++;
    table->version++;
    CHECK_SLOW(slot_count(table) > PAGE_SLOTS || memtable_check(table));
}

static struct slot *slot_of(const struct memtable *table, uint64_t hash, const struct entry *entry)
{
    CHECK(table->slots != NULL && entry != NULL);
    struct slot *slot = lower_bound(table, hash);
    while (slot->entry != entry) {
        CHECK(slot->hash == hash && slot->entry != NULL);
        slot++;
    }
    CHECK(slot->hash == hash);
    return slot;
}

void memtable_replace(struct memtable *table, uint64_t hash, const struct entry *old,
                      struct entry *entry)
{
    CHECK(entry != NULL);
    slot_of(table, hash, old)->entry = entry;
    table->version++;
}

void memtable_remove(struct memtable *table, uint64_t hash, const struct entry *entry)
{
    struct slot *slot = slot_of(table, hash, entry);
    uint32_t next = (uint32_t)(slot - table->slots) + 1;
    while (slot[1].entry != NULL && home_of(table->capacity, slot[1].hash) < next) {
        slot[0] = slot[1];
        slot++;
        next++;
    }
    *slot = (struct slot){EMPTY_HASH, NULL};
    if (slot == last_usable(table)) {
        table->tight = false;
    }
    table->count--;
    table->version++;
    if (table->count < table->capacity / 4 && slot_count(table) > 2 * SLOTS_MIN) {
        shrink(table);
    }
    CHECK_SLOW(slot_count(table) > PAGE_SLOTS || memtable_check(table));
}

static const struct slot *occupied_from(const struct memtable *table, const struct slot *slot)
{
    const struct slot *end = table->slots + slot_count(table);
    while (slot < end && slot->entry == NULL) {
        slot++;
    }
    return slot < end ? slot : NULL;
}

const struct slot *memtable_seek(const struct memtable *table, uint64_t from)
{
    if (table->count == 0 || hash_partition(from) > table->partition) {
        return NULL;
    }
    bool before = hash_partition(from) < table->partition;
    return occupied_from(table, before ? table->slots : lower_bound(table, from));
}

const struct slot *memtable_next(const struct memtable *table, const struct slot *slot)
{
    return occupied_from(table, slot + 1);
}

uint64_t memtable_memory(const struct memtable *table)
{
    return (uint64_t)slot_count(table) * sizeof(struct slot) +
           table->doubts.capacity * sizeof(uint64_t);
}

bool memtable_check(const struct memtable *table)
{
    if (table->slots == NULL) {
        return table->count == 0 && slot_count(table) == 0;
    }
    uint32_t end = slot_count(table);
    uint32_t count = 0;
    uint64_t before = 0;
    if (table->spare < 2 || table->slots[end - 1].entry != NULL ||
        table->tight != (last_usable(table)->entry != NULL)) {
        return false;
    }
    for (uint32_t i = 0; i < end; i++) {
        struct slot slot = table->slots[i];
        if (slot.entry == NULL) {
            if (slot.hash != EMPTY_HASH) {
                return false;
            }
            continue;
        }
        uint32_t home = home_of(table->capacity, slot.hash);
        bool at_home = home == i || (home < i && table->slots[i - 1].entry != NULL);
        if (!at_home || slot.hash < before || hash_partition(slot.hash) != table->partition) {
            return false;
        }
        before = slot.hash;
        count++;
    }
    return count == table->count;
}
