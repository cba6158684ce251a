#include "engine/shard/memtable.h"

#include "tests/lib/test.h"

#include <stdlib.h>
#include <sys/resource.h>

#define LOW_BITS (64 - PARTITION_BITS)
#define LOW_MASK (((uint64_t)1 << LOW_BITS) - 1)

static struct slab *slab;

static uint64_t hash_in(uint32_t partition, uint64_t low)
{
    return ((uint64_t)partition << LOW_BITS) | (low & LOW_MASK);
}

/* Keys are numbers. */
static struct bytes key_of(const uint32_t *number)
{
    return bytes_of(number, sizeof(*number));
}

static struct entry *entry_made(uint32_t namespace_id, uint32_t number)
{
    struct value value = {VALUE_STRING, VALUE_PACKED, BYTES_NONE, NULL};
    struct entry *entry = entry_new(slab, namespace_id, key_of(&number), &value, EXPIRY_NONE);
    EXPECT(entry != NULL);
    return entry;
}

static struct entry *insert(struct memtable *table, uint64_t hash, uint32_t namespace_id,
                            uint32_t number)
{
    struct entry *entry = entry_made(namespace_id, number);
    EXPECT_INT(memtable_reserve(table), ST_OK);
    memtable_insert(table, hash, entry);
    return entry;
}

static struct entry *find(const struct memtable *table, uint64_t hash, uint32_t namespace_id,
                          uint32_t number)
{
    return memtable_find(table, hash, namespace_id, key_of(&number));
}

static void open_table(struct memtable *table, uint32_t partition)
{
    EXPECT_INT(slab_new(&slab), ST_OK);
    memtable_init(table, partition);
}

/* Frees the entries with the slab. */
static void close_table(struct memtable *table)
{
    memtable_deinit(table);
    EXPECT_INT(memtable_memory(table), 0);
    slab_free(slab);
}

TEST(memtable_never_used_holds_nothing)
{
    struct memtable table;
    open_table(&table, 5);
    EXPECT(find(&table, hash_in(5, 1), 0, 1) == NULL);
    EXPECT(memtable_seek(&table, 0) == NULL);
    EXPECT(memtable_check(&table));
    EXPECT_INT(memtable_memory(&table), 0);
    memtable_prefetch(&table, hash_in(5, 1));
    memtable_deinit(NULL);
    close_table(&table);
}

TEST(memtable_tells_keys_and_namespaces_of_one_hash_apart)
{
    struct memtable table;
    open_table(&table, 9);
    uint64_t hash = hash_in(9, 12345);
    struct entry *entries[3][40];
    for (uint32_t space = 0; space < 3; space++) {
        for (uint32_t number = 0; number < 40; number++) {
            entries[space][number] = insert(&table, hash, space, number);
        }
    }
    EXPECT(memtable_check(&table));
    for (uint32_t space = 0; space < 3; space++) {
        for (uint32_t number = 0; number < 40; number++) {
            EXPECT(find(&table, hash, space, number) == entries[space][number]);
            EXPECT(find(&table, hash - 1, space, number) == NULL);
            EXPECT(find(&table, hash + 1, space, number) == NULL);
        }
        EXPECT(find(&table, hash, space, 40) == NULL);
    }
    EXPECT(find(&table, hash, 3, 0) == NULL);
    uint16_t half = 0; /* The beginning of a key is another key. */
    EXPECT(memtable_find(&table, hash, 0, bytes_of(&half, sizeof(half))) == NULL);
    EXPECT(memtable_find(&table, hash, 0, BYTES_NONE) == NULL);
    memtable_remove(&table, hash, entries[1][20]);
    EXPECT(find(&table, hash, 1, 20) == NULL);
    EXPECT(find(&table, hash, 1, 21) == entries[1][21]);
    close_table(&table);
}

TEST(memtable_holds_any_number_of_hashes_at_the_ends_of_its_range)
{
    uint32_t partitions[] = {0, 1, 511, PARTITION_COUNT - 1};
    for (unsigned p = 0; p < 4; p++) {
        for (unsigned end = 0; end < 2; end++) {
            struct memtable table;
            open_table(&table, partitions[p]);
            uint64_t hash = hash_in(partitions[p], end == 0 ? 0 : LOW_MASK);
            for (uint32_t number = 0; number < 700; number++) {
                uint64_t beside = end == 0 ? hash + number % 3 : hash - number % 3;
                insert(&table, beside, 0, number);
                EXPECT(memtable_check(&table));
            }
            for (uint32_t number = 0; number < 700; number++) {
                uint64_t beside = end == 0 ? hash + number % 3 : hash - number % 3;
                struct entry *entry = find(&table, beside, 0, number);
                EXPECT(entry != NULL);
                memtable_remove(&table, beside, entry);
                EXPECT(memtable_check(&table));
                EXPECT(find(&table, beside, 0, number) == NULL);
            }
            EXPECT_INT(table.count, 0);
            EXPECT(memtable_seek(&table, 0) == NULL);
            close_table(&table);
        }
    }
}

TEST(memtable_seeks_from_outside_its_partition)
{
    struct memtable table;
    open_table(&table, 7);
    insert(&table, hash_in(7, 10), 0, 1);
    insert(&table, hash_in(7, LOW_MASK), 0, 2);
    EXPECT(memtable_seek(&table, 0)->hash == hash_in(7, 10));
    EXPECT(memtable_seek(&table, hash_in(6, LOW_MASK))->hash == hash_in(7, 10));
    EXPECT(memtable_seek(&table, hash_in(7, 10))->hash == hash_in(7, 10));
    EXPECT(memtable_seek(&table, hash_in(7, 11))->hash == hash_in(7, LOW_MASK));
    EXPECT(memtable_seek(&table, hash_in(7, LOW_MASK))->hash == hash_in(7, LOW_MASK));
    EXPECT(memtable_seek(&table, hash_in(8, 0)) == NULL);
    EXPECT(memtable_seek(&table, UINT64_MAX) == NULL);
    close_table(&table);
}

/* ---- Against a plain model ---- */

enum { MODEL_MAX = 400 };

struct row {
    uint64_t hash;
    uint32_t namespace_id;
    uint32_t number;
    struct entry *entry;
};

struct model {
    struct row rows[MODEL_MAX];
    unsigned count;
};

static struct row *model_find(struct model *model, uint64_t hash, uint32_t space, uint32_t number)
{
    for (unsigned i = 0; i < model->count; i++) {
        struct row *row = &model->rows[i];
        if (row->hash == hash && row->namespace_id == space && row->number == number) {
            return row;
        }
    }
    return NULL;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const struct row *)a)->hash;
    uint64_t y = ((const struct row *)b)->hash;
    return (x > y) - (x < y);
}

/* Seeks `from` and walks to the end: every row from there on, in order of hash. */
static void expect_walk(const struct memtable *table, struct model *model, uint64_t from)
{
    qsort(model->rows, model->count, sizeof(model->rows[0]), by_hash);
    const struct slot *slot = memtable_seek(table, from);
    for (unsigned i = 0; i < model->count; i++) {
        if (model->rows[i].hash < from) {
            continue;
        }
        EXPECT(slot != NULL);
        EXPECT(slot->hash == model->rows[i].hash);
        uint32_t number;
        memcpy(&number, entry_key(slot->entry).data, sizeof(number));
        struct row *row = model_find(model, slot->hash, slot->entry->namespace_id, number);
        EXPECT(row != NULL && row->entry == slot->entry);
        slot = memtable_next(table, slot);
    }
    EXPECT(slot == NULL);
}

/* Hashes evenly spread, crowded at either end, few of them, or in one dense run. */
static uint64_t low_drawn(uint64_t *random, unsigned kind)
{
    uint64_t any = test_random(random);
    switch (kind) {
    case 0:
        return any >> 5;
    case 1:
        return any % 8;
    case 2:
        return LOW_MASK - any % 8;
    case 3:
        return (any % 5) * (LOW_MASK / 4);
    case 4:
        return LOW_MASK / 3 + any % 1000;
    default:
        return low_drawn(random, (unsigned)(any % 5));
    }
}

static void step(struct memtable *table, struct model *model, uint64_t *random, unsigned kind,
                 unsigned grow_percent)
{
    uint64_t version = table->version;
    bool grow = test_random_below(random, 100) < grow_percent;
    if (grow && model->count < MODEL_MAX) {
        struct row row = {hash_in(table->partition, low_drawn(random, kind)),
                          (uint32_t)test_random_below(random, 3),
                          (uint32_t)test_random_below(random, 50), NULL};
        struct row *present = model_find(model, row.hash, row.namespace_id, row.number);
        struct entry *found = find(table, row.hash, row.namespace_id, row.number);
        EXPECT(found == (present == NULL ? NULL : present->entry));
        if (present == NULL) {
            row.entry = insert(table, row.hash, row.namespace_id, row.number);
            model->rows[model->count++] = row;
            EXPECT(table->version > version);
        }
    } else if (model->count > 0) {
        struct row *row = &model->rows[test_random_below(random, model->count)];
        struct entry *entry = find(table, row->hash, row->namespace_id, row->number);
        EXPECT(entry == row->entry);
        if (grow || test_random_below(random, 4) == 0) {
            row->entry = entry_made(row->namespace_id, row->number);
            memtable_replace(table, row->hash, entry, row->entry);
        } else {
            memtable_remove(table, row->hash, entry);
            *row = model->rows[--model->count];
        }
        entry_free(slab, entry);
        EXPECT(table->version > version);
    }
    EXPECT_INT(table->count, model->count);
    EXPECT(memtable_check(table));
}

TEST(memtable_follows_a_model_for_any_spread_of_hashes)
{
    enum { STEPS = 6000 };
    uint64_t random = test_seed();
    struct model *model = malloc(sizeof(*model));
    for (unsigned kind = 0; kind < 6; kind++) {
        uint32_t partition = kind % 3 == 0   ? 0
                             : kind % 3 == 1 ? PARTITION_COUNT - 1
                                             : (uint32_t)test_random_below(&random, 1024);
        struct memtable table;
        open_table(&table, partition);
        model->count = 0;
        for (unsigned i = 0; i < STEPS; i++) {
            step(&table, model, &random, kind, i / 1000 % 2 == 0 ? 75 : 25);
            if (i % 16 == 0) {
                uint64_t from = hash_in(partition, low_drawn(&random, kind));
                expect_walk(&table, model, from);
                expect_walk(&table, model, 0);
            }
        }
        close_table(&table);
    }
    free(model);
}

/* As SCAN goes: a hash is all that it remembers between its steps. */
TEST(memtable_walk_by_hash_meets_each_lasting_key_once_while_others_come_and_go)
{
    enum { LASTING = 500, PASSING = 1000 };
    uint64_t random = test_seed();
    struct memtable table;
    open_table(&table, 100);
    static uint64_t lasting[LASTING];
    static unsigned met[LASTING];
    static struct row passing[PASSING];
    memset(met, 0, sizeof(met));
    memset(passing, 0, sizeof(passing));
    for (uint32_t i = 0; i < LASTING; i++) {
        lasting[i] = hash_in(100, test_random(&random) >> 5);
        insert(&table, lasting[i], 0, i);
    }
    uint64_t from = 0;
    for (const struct slot *slot = memtable_seek(&table, from); slot != NULL;
         slot = memtable_seek(&table, from)) {
        from = slot->hash + 1;
        for (; slot != NULL && slot->hash == from - 1; slot = memtable_next(&table, slot)) {
            if (slot->entry->namespace_id == 0) {
                uint32_t number;
                memcpy(&number, entry_key(slot->entry).data, sizeof(number));
                met[number]++;
            }
        }
        for (unsigned i = 0; i < 8; i++) {
            struct row *row = &passing[test_random_below(&random, PASSING)];
            if (row->entry == NULL) {
                row->hash = hash_in(100, test_random(&random) >> 5);
                row->entry = insert(&table, row->hash, 1, (uint32_t)(row - passing));
            } else {
                memtable_remove(&table, row->hash, row->entry);
                entry_free(slab, row->entry);
                row->entry = NULL;
            }
        }
    }
    for (unsigned i = 0; i < LASTING; i++) {
        EXPECT_INT(met[i], 1);
    }
    EXPECT(memtable_check(&table));
    close_table(&table);
}

/* ---- Size ---- */

TEST(memtable_grows_by_a_quarter_at_nine_tenths_and_shrinks_again)
{
    enum { KEYS = 60000 };
    uint64_t random = test_seed();
    struct memtable table;
    open_table(&table, 333);
    uint64_t *hashes = malloc(KEYS * sizeof(*hashes));
    struct entry **entries = malloc(KEYS * sizeof(*entries));
    for (uint32_t i = 0; i < KEYS; i++) {
        hashes[i] = hash_in(333, test_random(&random) >> 5);
        entries[i] = entry_made(0, i);
        uint64_t before = memtable_memory(&table);
        uint64_t version = table.version;
        EXPECT_INT(memtable_reserve(&table), ST_OK);
        uint64_t after = memtable_memory(&table);
        EXPECT((after != before) == (table.version != version));
        if (after != before) {
            EXPECT(memtable_check(&table));
            if (i > 1000) {
                EXPECT(after > before * 115 / 100 && after < before * 135 / 100);
                EXPECT(i > before / sizeof(struct slot) * 80 / 100);
            }
        }
        /* Reserved is reserved. */
        EXPECT_INT(memtable_reserve(&table), ST_OK);
        EXPECT_INT(memtable_memory(&table), after);
        memtable_insert(&table, hashes[i], entries[i]);
        EXPECT(table.count <= table.capacity - table.capacity / 10);
    }
    EXPECT(memtable_check(&table));
    for (uint32_t i = 0; i < KEYS; i++) {
        EXPECT(find(&table, hashes[i], 0, i) == entries[i]);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        memtable_remove(&table, hashes[i], entries[i]);
        uint32_t left = KEYS - i - 1;
        EXPECT(memtable_memory(&table) <= (uint64_t)left * 16 * 5 + 1024);
        if (i % 5000 == 0) {
            EXPECT(memtable_check(&table));
        }
    }
    EXPECT_INT(table.count, 0);
    free(hashes);
    free(entries);
    close_table(&table);
}

TEST(memtable_tables_of_a_store_pay_about_twenty_bytes_a_key_at_any_fill)
{
    static struct memtable tables[PARTITION_COUNT];
    uint64_t random = test_seed();
    EXPECT_INT(slab_new(&slab), ST_OK);
    struct entry *entry = entry_made(0, 0); /* Stands for all. */
    for (uint32_t i = 0; i < PARTITION_COUNT; i++) {
        memtable_init(&tables[i], i);
    }
    uint64_t memory = 0;
    for (uint64_t count = 1; count <= 2000000; count++) {
        uint64_t hash = test_random(&random);
        struct memtable *table = &tables[hash_partition(hash)];
        memory -= memtable_memory(table);
        EXPECT_INT(memtable_reserve(table), ST_OK);
        memory += memtable_memory(table);
        memtable_insert(table, hash, entry);
        if (count >= 100000) {
            /* Where all tables go from one page of the system to two, it is more. */
            EXPECT(memory < count * (count < 1000000 ? 35 : 22));
        }
    }
    EXPECT(memory < (uint64_t)2000000 * 205 / 10);
    for (uint32_t i = 0; i < PARTITION_COUNT; i++) {
        memtable_deinit(&tables[i]);
    }
    slab_free(slab);
}

TEST(memtable_without_memory_stays_as_it_was)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* (A sanitizer needs terabytes of addresses, so they cannot be limited.) */
    uint64_t random = test_seed();
    struct memtable table;
    open_table(&table, 1);
    struct entry *entry = entry_made(0, 0);
    struct rlimit before;
    EXPECT_INT(getrlimit(RLIMIT_AS, &before), 0);
    enum status status = ST_OK;
    uint64_t version = 0;
    uint64_t memory = 0;
    while (status == ST_OK) {
        version = table.version;
        memory = memtable_memory(&table);
        if (table.count == 5000) {
            EXPECT_INT(setrlimit(RLIMIT_AS, &(struct rlimit){1, before.rlim_max}), 0);
        }
        status = memtable_reserve(&table);
        if (status == ST_OK) {
            memtable_insert(&table, hash_in(1, test_random(&random) >> 5), entry);
        }
    }
    EXPECT_INT(setrlimit(RLIMIT_AS, &before), 0);
    EXPECT_INT(status, ST_NOMEM);
    EXPECT_INT(table.version, version);
    EXPECT_INT(memtable_memory(&table), memory);
    EXPECT(memtable_check(&table));
    EXPECT_INT(memtable_reserve(&table), ST_OK);
    memtable_insert(&table, hash_in(1, 0), entry);
    EXPECT(memtable_check(&table));
    close_table(&table);
#endif
}
