#include "engine/shard/entry.h"

#include "tests/lib/test.h"

#include <stdlib.h>
#include <sys/resource.h>

static struct slab *slab;

static void open_slab(void)
{
    slab = NULL;
    EXPECT_INT(slab_new(&slab), ST_OK);
}

static void close_slab(void)
{
    EXPECT_INT(slab_used(slab), 0);
    slab_free(slab);
}

static struct value packed(enum value_type type, struct bytes bytes)
{
    return (struct value){type, VALUE_PACKED, bytes, NULL};
}

static struct value clast(enum value_type type, void *root)
{
    return (struct value){type, VALUE_CLAST, BYTES_NONE, root};
}

static void expect_value(const struct entry *entry, const struct value *value)
{
    struct value found = entry_value(entry);
    EXPECT_INT(found.type, value->type);
    EXPECT_INT(found.shape, value->shape);
    EXPECT(found.root == value->root);
    EXPECT(bytes_equal(found.packed, value->packed));
}

TEST(entry_holds_key_value_and_expiry)
{
    open_slab();
    int root = 0;
    struct value values[] = {packed(VALUE_STRING, bytes_of("a\0b", 3)),
                             packed(VALUE_LIST, BYTES_NONE), clast(VALUE_CHUNKS, &root)};
    struct bytes keys[] = {BYTES_NONE, bytes_of("k\0y", 3), bytes_of_text("a longer key")};
    int64_t expiries[] = {EXPIRY_NONE, 0, 1, INT64_MAX, INT64_MIN};
    for (unsigned v = 0; v < 3; v++) {
        for (unsigned k = 0; k < 3; k++) {
            for (unsigned x = 0; x < 5; x++) {
                struct entry *entry = entry_new(slab, 77, keys[k], &values[v], expiries[x]);
                EXPECT(entry != NULL);
                EXPECT_INT(entry->namespace_id, 77);
                EXPECT_INT(entry->lsn, 0);
                EXPECT_INT(entry->access, 0);
                EXPECT(bytes_equal(entry_key(entry), keys[k]));
                EXPECT_INT(entry_expiry(entry), expiries[x]);
                expect_value(entry, &values[v]);
                EXPECT_INT(entry_size(entry), 24 + keys[k].size + values[v].packed.size +
                                                  (values[v].shape == VALUE_CLAST ? 8 : 0) +
                                                  (expiries[x] == EXPIRY_NONE ? 0 : 8));
                entry_free(slab, entry);
            }
        }
    }
    entry_free(slab, NULL);
    close_slab();
}

TEST(entry_costs_its_header_and_no_more_than_a_step)
{
    open_slab();
    char text[100];
    memset(text, 'x', sizeof(text));
    struct value value = packed(VALUE_STRING, bytes_of(text, 100));
    struct entry *entry = entry_new(slab, 0, bytes_of(text, 16), &value, EXPIRY_NONE);
    EXPECT_INT(entry_size(entry), 140);
    EXPECT_INT(slab_used(slab), 144);
    entry_free(slab, entry);
    close_slab();
}

TEST(entry_store_keeps_its_place_where_the_room_is_the_same)
{
    open_slab();
    struct value value = packed(VALUE_STRING, bytes_of_text("123456"));
    struct entry *entry = entry_new(slab, 1, bytes_of_text("key"), &value, EXPIRY_NONE);
    value.packed = bytes_of_text("12345678"); /* 24 + 3 + 8 is still at most 40. */
    EXPECT(entry_store(slab, entry, &value, EXPIRY_NONE) == entry);
    expect_value(entry, &value);
    value.packed = bytes_of_text("no");
    struct entry *moved = entry_store(slab, entry, &value, EXPIRY_NONE);
    EXPECT(moved != NULL);
    expect_value(moved, &value);
    EXPECT_INT(slab_used(slab), 32);
    entry_free(slab, moved);
    close_slab();
}

TEST(entry_store_takes_its_own_packed_bytes_with_a_new_expiry)
{
    open_slab();
    for (size_t size = 1; size < 600; size++) {
        char *text = malloc(size);
        memset(text, (int)size, size);
        struct value model = packed(VALUE_STRING, bytes_of(text, size));
        struct entry *entry = entry_new(slab, 1, bytes_of_text("key"), &model, EXPIRY_NONE);
        int64_t expiries[] = {5, 6, EXPIRY_NONE, EXPIRY_NONE, 9};
        for (unsigned i = 0; i < 5; i++) {
            struct value own = entry_value(entry);
            entry = entry_store(slab, entry, &own, expiries[i]);
            EXPECT(entry != NULL);
            EXPECT_INT(entry_expiry(entry), expiries[i]);
            EXPECT(bytes_equal(entry_key(entry), bytes_of_text("key")));
            expect_value(entry, &model);
        }
        entry_free(slab, entry);
        free(text);
    }
    close_slab();
}

TEST(entry_store_without_memory_changes_nothing)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* (A sanitizer needs terabytes of addresses, so they cannot be limited.) */
    enum { HUGE = ENTRY_PACKED_MAX }; /* Over M_MMAP_THRESHOLD: malloc must ask the system. */
    open_slab();
    struct value value = packed(VALUE_STRING, bytes_of_text("here"));
    struct entry *entry = entry_new(slab, 1, bytes_of_text("key"), &value, 5);
    char *bytes = calloc(1, HUGE);
    EXPECT(entry != NULL && bytes != NULL);
    entry->lsn = 8;
    uint64_t used = slab_used(slab);
    struct value huge = packed(VALUE_LIST, bytes_of(bytes, HUGE));
    struct rlimit before;
    EXPECT_INT(getrlimit(RLIMIT_AS, &before), 0);
    EXPECT_INT(setrlimit(RLIMIT_AS, &(struct rlimit){1, before.rlim_max}), 0);
    struct entry *stored = entry_store(slab, entry, &huge, EXPIRY_NONE);
    struct entry *made = entry_new(slab, 1, bytes_of_text("key"), &huge, EXPIRY_NONE);
    EXPECT_INT(setrlimit(RLIMIT_AS, &before), 0);
    EXPECT(stored == NULL && made == NULL);
    EXPECT_INT(slab_used(slab), used);
    EXPECT_INT(entry->lsn, 8);
    EXPECT_INT(entry_expiry(entry), 5);
    expect_value(entry, &value);
    free(bytes);
    entry_free(slab, entry);
    close_slab();
#endif
}

/* What an entry should hold. */
struct model {
    unsigned char key[64];
    size_t key_size;
    unsigned char bytes[10000];
    struct value value;
    int64_t expiry_ms;
    uint64_t lsn;
    uint16_t access;
    bool dirty;
};

static void model_change(struct model *model, uint64_t *random)
{
    static char roots[16];
    model->expiry_ms =
        test_random_below(random, 2) == 0 ? EXPIRY_NONE : (int64_t)(test_random(random) >> 1);
    if (test_random_below(random, 4) == 0) {
        model->value = clast(VALUE_LIST, &roots[test_random_below(random, 16)]);
        return;
    }
    /* Often near the size before, so that the room is the same. */
    size_t before = model->value.packed.size;
    uint64_t kind = test_random_below(random, 10);
    size_t size = kind < 6   ? before + test_random_below(random, 9)
                  : kind < 9 ? test_random_below(random, 300)
                             : test_random_below(random, sizeof(model->bytes));
    size = size < sizeof(model->bytes) ? size : test_random_below(random, 20);
    for (size_t i = 0; i < size; i++) {
        model->bytes[i] = (unsigned char)test_random(random);
    }
    model->value = packed(VALUE_STRING, bytes_of(model->bytes, size));
}

static void expect_model(const struct entry *entry, const struct model *model)
{
    EXPECT(entry != NULL);
    EXPECT_INT(entry->namespace_id, 3);
    EXPECT(bytes_equal(entry_key(entry), bytes_of(model->key, model->key_size)));
    expect_value(entry, &model->value);
    EXPECT_INT(entry_expiry(entry), model->expiry_ms);
    EXPECT_INT(entry->lsn, model->lsn);
    EXPECT_INT(entry->access, model->access);
    EXPECT_INT((entry->flags & ENTRY_DIRTY) != 0, model->dirty);
}

TEST(entry_store_follows_a_model_over_sizes_shapes_and_expiries)
{
    uint64_t random = test_seed();
    open_slab();
    struct model *model = calloc(1, sizeof(*model));
    for (unsigned round = 0; round < 200; round++) {
        model->key_size = test_random_below(&random, sizeof(model->key));
        for (size_t i = 0; i < model->key_size; i++) {
            model->key[i] = (unsigned char)test_random(&random);
        }
        model_change(model, &random);
        struct entry *entry = entry_new(slab, 3, bytes_of(model->key, model->key_size),
                                        &model->value, model->expiry_ms);
        EXPECT(entry != NULL);
        for (unsigned step = 0; step < 100; step++) {
            entry->lsn = model->lsn = test_random(&random) >> 1;
            entry->access = model->access = (uint16_t)test_random(&random);
            model->dirty = test_random_below(&random, 2) == 0;
            entry->flags =
                (uint8_t)((entry->flags & ~ENTRY_DIRTY) | (model->dirty ? ENTRY_DIRTY : 0));
            if (test_random_below(&random, 4) == 0) {
                struct value own = entry_value(entry);
                model->expiry_ms = (int64_t)test_random_below(&random, 3) - 1;
                entry = entry_store(slab, entry, &own, model->expiry_ms);
            } else {
                model_change(model, &random);
                entry = entry_store(slab, entry, &model->value, model->expiry_ms);
            }
            expect_model(entry, model);
        }
        entry_free(slab, entry);
    }
    free(model);
    close_slab();
}
