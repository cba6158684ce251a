#include "engine/index/page.h"

#include "tests/lib/rows.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 200

struct filled {
    unsigned char page[PAGE_SIZE_BYTES];
    struct row rows[ROWS_MAX]; /* Keys are lent from texts. */
    char texts[ROWS_MAX][16];
    unsigned count;
    size_t size;
};

/* Rows of keys with these places each, as many as fit. */
static struct filled *fill(uint64_t (*place_of)(unsigned index))
{
    struct filled *filled = calloc(1, sizeof(*filled));
    EXPECT(filled != NULL);
    memset(filled->page, 0xaa, PAGE_SIZE_BYTES);
    for (unsigned i = 0; i < ROWS_MAX; i++) {
        snprintf(filled->texts[i], sizeof(filled->texts[i]), "key:%u", i);
        struct row *row = &filled->rows[i];
        *row = (struct row){.place = place_of(i), .at = {1, i, i + 1}, .kind = ROW_KEY};
        row->key = bytes_of_text(filled->texts[i]);
        unsigned char bytes[ROW_SIZE_MAX];
        size_t size = row_store(row, bytes);
        if (size > PAGE_ROOM - filled->size) {
            break;
        }
        memcpy(filled->page + PAGE_HEADER_SIZE + filled->size, bytes, size);
        filled->size += size;
        filled->count++;
    }
    page_seal(filled->page, 7, 3, filled->count, filled->size);
    return filled;
}

static uint64_t every_tenth(unsigned index)
{
    return 1000 + 10ull * index;
}

/* 1000 three times, then 1001 three times, … */
static uint64_t threes(unsigned index)
{
    return 1000 + index / 3;
}

static uint64_t one_for_all(unsigned index)
{
    (void)index;
    return 5;
}

static struct bytes opened(const struct filled *filled)
{
    struct bytes rows;
    EXPECT_INT(page_open(filled->page, 7, 3, &rows), ST_OK);
    EXPECT(rows.data == filled->page + PAGE_HEADER_SIZE && rows.size == filled->size);
    return rows;
}

TEST(page_finds_each_of_its_rows_and_no_other)
{
    uint64_t (*const orders[])(unsigned) = {every_tenth, threes, one_for_all};
    for (unsigned order = 0; order < 3; order++) {
        struct filled *filled = fill(orders[order]);
        struct bytes rows = opened(filled);
        EXPECT(filled->count > 80);
        for (unsigned i = 0; i < filled->count; i++) {
            struct row found;
            bool is_found;
            bool more;
            EXPECT_INT(page_find(rows, &filled->rows[i], &found, &is_found, &more), ST_OK);
            EXPECT(is_found && !more && rows_equal(&found, &filled->rows[i]));
            struct row absent = filled->rows[i];
            absent.namespace_id = 1;
            EXPECT_INT(page_find(rows, &absent, &found, &is_found, &more), ST_OK);
            EXPECT(!is_found);
            EXPECT_INT(more, absent.place == orders[order](filled->count - 1));
        }
        free(filled);
    }
}

TEST(page_says_that_a_place_may_go_on_only_where_it_is_the_last)
{
    struct filled *filled = fill(every_tenth);
    struct bytes rows = opened(filled);
    struct row found;
    bool is_found;
    bool more;
    uint64_t last = every_tenth(filled->count - 1);
    for (uint64_t place = 990; place < last + 20; place++) {
        struct row absent = {.place = place, .kind = ROW_KEY, .key = bytes_of_text("absent")};
        EXPECT_INT(page_find(rows, &absent, &found, &is_found, &more), ST_OK);
        EXPECT(!is_found);
        EXPECT_INT(more, place == last);
    }
    struct row any = {.place = 1};
    EXPECT_INT(page_find(BYTES_NONE, &any, &found, &is_found, &more), ST_OK);
    EXPECT(!is_found && !more);
    free(filled);
}

/* S3 */
TEST(page_with_any_byte_changed_is_corrupt)
{
    struct filled *filled = fill(every_tenth);
    uint64_t chance = test_seed();
    struct bytes rows;
    for (unsigned i = 0; i < PAGE_SIZE_BYTES; i++) {
        unsigned char was = filled->page[i];
        filled->page[i] ^= (unsigned char)(1 + test_random_below(&chance, 255));
        EXPECT_INT(page_open(filled->page, 7, 3, &rows), ST_CORRUPT);
        filled->page[i] = was;
    }
    (void)opened(filled);
    free(filled);
}

TEST(page_of_another_stratum_or_number_is_corrupt)
{
    struct filled *filled = fill(every_tenth);
    struct bytes rows;
    EXPECT_INT(page_open(filled->page, 8, 3, &rows), ST_CORRUPT);
    EXPECT_INT(page_open(filled->page, 7, 4, &rows), ST_CORRUPT);
    EXPECT_INT(page_open(filled->page, 3, 7, &rows), ST_CORRUPT);
    memset(filled->page, 0, PAGE_SIZE_BYTES);
    EXPECT_INT(page_open(filled->page, 0, 0, &rows), ST_CORRUPT);
    free(filled);
}

TEST(page_is_zero_behind_its_rows)
{
    struct filled *filled = fill(every_tenth);
    for (size_t i = PAGE_HEADER_SIZE + filled->size; i < PAGE_SIZE_BYTES; i++) {
        EXPECT_INT(filled->page[i], 0);
    }
    EXPECT_INT(load_u32(filled->page + 8), 3);
    EXPECT_INT(load_u16(filled->page + 12), filled->count);
    EXPECT_INT(load_u16(filled->page + 14), filled->size);
    free(filled);
}

/* A page that claims more than there is was sealed by nobody, but nobody trusts that either. */
TEST(page_with_malformed_rows_is_corrupt_and_read_within_its_bounds)
{
    struct filled *filled = fill(every_tenth);
    struct row wanted = {.place = UINT64_MAX, .kind = ROW_KEY, .key = bytes_of_text("a")};
    struct row found;
    bool is_found;
    bool more;
    struct bytes rows = opened(filled);
    rows.size--;
    EXPECT_INT(page_find(rows, &wanted, &found, &is_found, &more), ST_CORRUPT);
    page_seal(filled->page, 7, 3, filled->count, filled->size);
    store_u16(filled->page + 14, UINT16_MAX);
    uint64_t seed = 7ull << 32 | 3;
    struct bytes rest = bytes_of(filled->page + 8, PAGE_SIZE_BYTES - 8);
    store_u64(filled->page, hash_checksum_seeded(rest, seed));
    EXPECT_INT(page_open(filled->page, 7, 3, &rows), ST_CORRUPT);
    free(filled);
}
