/* What captures, loads and evictions of large values cost, what they give, and what they do where
 * memory fails or bytes are damaged. */
#include "engine/value/root.h"

#include "engine/base/check.h"
#include "engine/value/parts.h"
#include "tests/lib/deed.h"
#include "tests/lib/fields_payload.h"
#include "tests/lib/shelf.h"
#include "tests/lib/test.h"
#include "tests/lib/value_check.h"

/* -- What it costs ----------------------------------------------------------------------------- */

#define MANY 100000

static struct value list_of(uint64_t count, const struct value_limits *limits)
{
    struct value list = list_empty();
    struct buf scratch = BUF_EMPTY;
    char text[32] = "an element of some length";
    for (uint64_t i = 0; i < count; i++) {
        memcpy(text, &i, sizeof(i));
        struct bytes element = bytes_of(text, sizeof(text));
        EXPECT(list_push(&list, LIST_RIGHT, &element, 1, limits, &scratch) == ST_OK);
    }
    buf_deinit(&scratch);
    return list;
}

static void push(struct value *list, struct shelf *shelf, const struct value_limits *limits)
{
    struct buf scratch = BUF_EMPTY;
    struct bytes element = bytes_of_text("one more");
    (void)parts_take_misses(NULL, 0);
    while (list_push(list, LIST_RIGHT, &element, 1, limits, &scratch) == ST_WAIT) {
        shelf_serve(shelf, list);
    }
    buf_deinit(&scratch);
}

TEST(root_capture_costs_what_has_changed)
{
    struct value_limits limits = deed_limits();
    struct value list = list_of(MANY, &limits);
    struct shelf shelf;
    shelf_init(&shelf);
    EXPECT(shelf_capture(&shelf, &list, 0));
    size_t all = shelf.capture.row_count;
    shelf_write(&shelf, &list);
    EXPECT(all > MANY * sizeof(char[32]) / 4096);
    for (int i = 0; i < 300; i++) { /* Over the edges of leaves. */
        push(&list, &shelf, &limits);
        EXPECT(value_dirty(&list));
        EXPECT(shelf_capture(&shelf, &list, 0));
        EXPECT(shelf.capture.row_count <= 5 && shelf.capture.dropped_count == 0);
        EXPECT(shelf.root.size < 200);
        shelf_write(&shelf, &list);
    }
    EXPECT(shelf_capture(&shelf, &list, 0));
    EXPECT_INT(shelf.capture.row_count, 0);
    shelf_write(&shelf, &list);
    value_free(&list);
    shelf_deinit(&shelf);
}

TEST(root_that_is_loaded_takes_memory_only_for_what_is_asked_for)
{
    struct value_limits limits = deed_limits();
    struct value list = list_of(MANY, &limits);
    struct shelf shelf;
    shelf_init(&shelf);
    EXPECT(shelf_capture(&shelf, &list, 0));
    shelf_write(&shelf, &list);
    uint64_t whole = value_memory(&list);
    shelf_reload(&shelf, &list, &limits);
    uint64_t bare = value_memory(&list);
    EXPECT(bare < 300 && whole > MANY * sizeof(char[32]));
    push(&list, &shelf, &limits); /* The top, the last leaf; pages; no more. */
    EXPECT(value_memory(&list) < 5 * 4096 + 3 * 2100);
    EXPECT(shelf_capture(&shelf, &list, 0));
    shelf_write(&shelf, &list);
    /* All of it, in turn; then nothing again: pages have gone with their parts (P4). */
    struct value_piece piece;
    for (uint64_t i = 0; i < MANY; i += 50) {
        while (list_at(&list, i, &piece) == ST_WAIT) {
            shelf_serve(&shelf, &list);
        }
        uint64_t number;
        memcpy(&number, piece.data.data, sizeof(number));
        EXPECT_INT(number, i);
        (void)value_evict_some(&list, 4);
        EXPECT(value_memory(&list) < 60 * 4200);
    }
    for (int i = 0; i < 40; i++) {
        (void)value_evict_some(&list, 100);
    }
    EXPECT(value_memory(&list) < bare + 200); /* The array of pages. */
    value_free(&list);
    shelf_deinit(&shelf);
}

/* The one that was asked for last time stays, the others go. */
TEST(root_evicts_what_was_not_asked_for_first)
{
    struct value_limits limits = deed_limits();
    struct value list = list_of(5000, &limits);
    struct shelf shelf;
    struct value_piece first;
    shelf_init(&shelf);
    EXPECT(shelf_capture(&shelf, &list, 0));
    shelf_write(&shelf, &list);
    EXPECT_INT(value_evict_some(&list, 1000), 0); /* All are new, and so were used. */
    uint64_t loads = shelf.loads;
    EXPECT(list_at(&list, 0, &first) == ST_OK);
    EXPECT(value_evict_some(&list, 1000) > 5000ull * 24);
    EXPECT(list_at(&list, 0, &first) == ST_OK);
    EXPECT_INT(shelf.loads, loads);
    EXPECT(list_at(&list, 2500, &first) == ST_WAIT);
    value_free(&list);
    shelf_deinit(&shelf);
}

/* A reply on its way holds its part: it leaves the table, not memory. */
TEST(root_evicts_parts_that_a_reply_still_sends)
{
    struct value_limits limits = deed_limits();
    struct value list = list_of(5000, &limits);
    struct shelf shelf;
    struct value_piece piece;
    shelf_init(&shelf);
    EXPECT(shelf_capture(&shelf, &list, 0));
    shelf_write(&shelf, &list);
    EXPECT(list_at(&list, 2500, &piece) == ST_OK);
    part_ref(piece.part);
    (void)parts_take_misses(NULL, 0);
    (void)value_evict_some(&list, 1000);
    (void)value_evict_some(&list, 1000);
    EXPECT(list_at(&list, 2500, &piece) == ST_WAIT);
    shelf_serve(&shelf, &list);
    uint64_t number;
    memcpy(&number, piece.data.data, sizeof(number));
    EXPECT_INT(number, 2500);
    part_unref(piece.part);
    value_free(&list);
    shelf_deinit(&shelf);
}

/* A queue: numbers that were free when it left memory are used again when it is back. */
TEST(root_that_is_loaded_reuses_numbers_that_were_free)
{
    struct value_limits limits = deed_limits();
    struct value list = list_of(20000, &limits);
    struct shelf shelf;
    struct buf scratch = BUF_EMPTY;
    shelf_init(&shelf);
    for (int round = 0; round < 20; round++) {
        while (list_pop(&list, LIST_LEFT, 2000, &scratch) == ST_WAIT) {
            shelf_serve(&shelf, &list);
        }
        for (int i = 0; i < 2000; i++) {
            push(&list, &shelf, &limits);
        }
        EXPECT(shelf_capture(&shelf, &list, 0));
        shelf_write(&shelf, &list);
        shelf_reload(&shelf, &list, &limits);
    }
    uint32_t most = 0;
    for (size_t i = 0; i < shelf.count; i++) {
        most = shelf.rows[i].number > most ? shelf.rows[i].number : most;
    }
    EXPECT(most < 2 * (20000 * 33 / 4096 + 20));
    value_free(&list);
    shelf_deinit(&shelf);
    buf_deinit(&scratch);
}

/* -- Failures ---------------------------------------------------------------------------------- */

static struct value value_of_many(enum value_type type, uint64_t *state)
{
    struct value value = value_empty(type);
    struct value_limits limits = deed_limits();
    struct buf scratch = BUF_EMPTY;
    struct buf stored = BUF_EMPTY;
    for (int i = 0; i < 400 || value.shape == VALUE_PACKED; i++) {
        struct deed deed;
        deed_draw(&deed, &value, false, true, state);
        uint64_t count;
        EXPECT(deed_do(&deed, &value, &limits, &scratch, &count) == ST_OK);
        if (value.shape == VALUE_PACKED) {
            stored.size = 0;
            EXPECT(buf_append(&stored, value.packed) == ST_OK);
            value.packed = buf_bytes(&stored);
        }
        scratch.size = 0;
        deed_deinit(&deed);
    }
    buf_deinit(&scratch);
    buf_deinit(&stored);
    return value;
}

/* R3: whichever allocation fails, the next capture has all. */
TEST(root_capture_that_fails_changes_nothing)
{
    uint64_t state = test_seed();
    struct value_limits limits = deed_limits();
    for (enum value_type type = VALUE_STRING; type <= VALUE_STREAM; type++) {
        struct value value = value_of_many(type, &state);
        struct value original;
        struct shelf shelf;
        struct buf scratch = BUF_EMPTY;
        struct buf before = BUF_EMPTY;
        struct buf after = BUF_EMPTY;
        shelf_init(&shelf);
        /* A copy that shares its pages, so that a capture must allocate. */
        EXPECT(value_copy(&value, &scratch, &original) == ST_OK);
        uint64_t failed = 0;
        while (!shelf_capture(&shelf, &value, failed + 1)) {
            EXPECT(value_clast(&value) == 0 && value_dirty(&value));
            failed++;
        }
        EXPECT(failed > 0);
        shelf_write(&shelf, &value);
        shelf_reload(&shelf, &value, &limits);
        shelf_encode(&shelf, &value, &after);
        shelf_encode(&shelf, &original, &before);
        EXPECT(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
        value_free(&value);
        value_free(&original);
        shelf_deinit(&shelf);
        buf_deinit(&scratch);
        buf_deinit(&before);
        buf_deinit(&after);
    }
}

TEST(root_load_that_fails_gives_nothing)
{
    uint64_t state = test_seed();
    struct value_limits limits = deed_limits();
    for (enum value_type type = VALUE_STRING; type <= VALUE_STREAM; type++) {
        struct value value = value_of_many(type, &state);
        struct value loaded;
        struct shelf shelf;
        shelf_init(&shelf);
        EXPECT(shelf_capture(&shelf, &value, 0));
        uint64_t failed = 0;
        for (;; failed++) {
            part_test_fail_from(failed + 1);
            enum status status = value_root_load(buf_bytes(&shelf.root), type, 1, &limits, &loaded);
            part_test_fail_from(0);
            if (status == ST_OK) {
                break;
            }
            EXPECT_INT(status, ST_NOMEM);
        }
        EXPECT(failed > 0);
        value_free(&loaded);
        value_free(&value);
        shelf_deinit(&shelf);
    }
}

/* Bytes that are no root form, or are another's, are refused, or give a root that holds together as
 * far as that shows without parts. */
TEST(root_load_of_damaged_bytes_is_refused_or_harmless)
{
    uint64_t state = test_seed();
    struct value_limits limits = deed_limits();
    for (enum value_type type = VALUE_STRING; type <= VALUE_STREAM; type++) {
        struct value value = value_of_many(type, &state);
        struct shelf shelf;
        struct value loaded;
        shelf_init(&shelf);
        EXPECT(shelf_capture(&shelf, &value, 0));
        struct bytes root = buf_bytes(&shelf.root);
        for (size_t size = 0; size < root.size; size++) {
            EXPECT(value_root_load(bytes_slice(root, 0, size), type, 1, &limits, &loaded) ==
                   ST_CORRUPT);
        }
        EXPECT(value_root_load(root, VALUE_NONE, 1, &limits, &loaded) == ST_CORRUPT);
        for (int i = 0; i < 3000; i++) {
            size_t at = test_random_below(&state, root.size);
            unsigned char saved = shelf.root.data[at];
            shelf.root.data[at] = (unsigned char)test_random(&state);
            enum status status = value_root_load(root, type, 1, &limits, &loaded);
            EXPECT(status == ST_OK || status == ST_CORRUPT);
            if (status == ST_OK) {
                (void)value_encoding(&loaded, &limits);
                (void)value_encoded_max(&loaded);
                EXPECT(!value_vanishes(&loaded) && value_memory(&loaded) > 0);
                value_free(&loaded);
            }
            shelf.root.data[at] = saved;
        }
        value_free(&value);
        shelf_deinit(&shelf);
    }
}

/* -- Copies ------------------------------------------------------------------------------------ */

/* A part may be clean for one and new for the other. */
TEST(root_of_a_copy_is_another_clast)
{
    struct value_limits limits = deed_limits();
    struct value list = list_of(3000, &limits);
    struct value copy;
    struct shelf shelf;
    struct shelf other;
    struct buf scratch = BUF_EMPTY;
    shelf_init(&shelf);
    shelf_init(&other);
    EXPECT(shelf_capture(&shelf, &list, 0));
    size_t all = shelf.capture.row_count;
    shelf_write(&shelf, &list);
    EXPECT(value_copy(&list, &scratch, &copy) == ST_OK);
    EXPECT(value_clast(&copy) == 0 && value_dirty(&copy) && !value_dirty(&list));
    EXPECT(value_evict_some(&copy, 1000) == 0 && value_evict_some(&copy, 1000) == 0);
    EXPECT(shelf_capture(&other, &copy, 0));
    EXPECT_INT(other.capture.row_count, all);
    EXPECT(other.clast != shelf.clast);
    push(&list, &shelf, &limits);
    EXPECT(value_dirty(&list) && !value_dirty(&copy));
    shelf_write(&other, &copy);
    (void)value_evict_some(&copy, 1000);
    EXPECT(value_evict_some(&copy, 1000) > 0);
    EXPECT(list_count(&list) == 3001 && list_count(&copy) == 3000);
    value_free(&list);
    (void)parts_take_misses(NULL, 0);
    EXPECT(value_copy(&copy, &scratch, &list) == ST_WAIT);
    shelf_serve(&other, &copy);
    value_free(&copy);
    shelf_deinit(&shelf);
    shelf_deinit(&other);
    buf_deinit(&scratch);
}

/* R1: what ends whole is named, once. */
TEST(root_names_the_tables_that_ended)
{
    struct value_limits limits = deed_limits();
    struct value stream = value_empty(VALUE_STREAM);
    struct buf scratch = BUF_EMPTY;
    struct shelf shelf;
    struct value_change change;
    unsigned char create[1 + 1 + 24] = {1, 'g'};
    shelf_init(&shelf);
    EXPECT(value_apply(&stream, STREAM_GROUP_CREATE, bytes_of(create, sizeof(create)), &limits,
                       &scratch, &change) == ST_OK);
    EXPECT(shelf_capture(&shelf, &stream, 0));
    EXPECT_INT(shelf.capture.dropped_count, 0);
    shelf_write(&shelf, &stream);
    EXPECT(value_apply(&stream, STREAM_GROUP_DESTROY, bytes_of(create, 2), &limits, &scratch,
                       &change) == ST_OK);
    EXPECT(value_dirty(&stream));
    EXPECT(value_apply(&stream, STREAM_GROUP_CREATE, bytes_of(create, sizeof(create)), &limits,
                       &scratch, &change) == ST_OK);
    EXPECT(shelf_capture(&shelf, &stream, 0));
    EXPECT_INT(shelf.capture.dropped_count, 2);
    EXPECT(shelf.capture.dropped[0] == 2 && shelf.capture.dropped[1] == 3);
    shelf_write(&shelf, &stream);
    EXPECT(shelf_capture(&shelf, &stream, 0));
    EXPECT_INT(shelf.capture.dropped_count, 0);
    value_free(&stream);
    shelf_deinit(&shelf);
    buf_deinit(&scratch);
}

static void put_field(struct value *hash, const char *name, int64_t expiry_ms)
{
    struct value_limits limits = deed_limits();
    struct value_change change;
    struct buf payload = BUF_EMPTY;
    static unsigned char kept[4096];
    struct buf scratch = BUF_EMPTY;
    payload_field(&payload, bytes_of_text(name), bytes_of_text("value"), expiry_ms);
    EXPECT(value_apply(hash, FIELDS_PUT, buf_bytes(&payload), &limits, &scratch, &change) == ST_OK);
    buf_deinit(&payload);
    if (hash->shape == VALUE_PACKED) { /* It lies in scratch. */
        memcpy(kept, hash->packed.data, hash->packed.size);
        hash->packed.data = kept;
    }
    buf_deinit(&scratch);
}

/* R4: a key whose fields are all due is gone, and nobody can wait to hear that. */
TEST(root_of_a_hash_tells_when_all_of_it_is_due)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct value_limits limits = deed_limits();
    struct value hash = value_empty(VALUE_HASH);
    struct shelf shelf;
    shelf_init(&shelf);
    for (size_t i = 0; i < 8; i++) {
        put_field(&hash, names[i], (int64_t)(100 + i));
    }
    EXPECT(hash.shape == VALUE_CLAST && shelf_capture(&shelf, &hash, 0));
    shelf_write(&shelf, &hash);
    shelf_reload(&shelf, &hash, &limits);
    (void)parts_take_misses(NULL, 0);
    EXPECT(fields_earliest(&hash) == 100 && !fields_gone(&hash, 106) && fields_gone(&hash, 107));
    struct parts_miss miss;
    EXPECT_INT(parts_take_misses(&miss, 1), 0);
    value_free(&hash);
    shelf_deinit(&shelf);
}
