/* One part table by itself: numbers, marks, notes, pages that come and go. */
#include "engine/value/parts_disk.h"

#include "tests/lib/test.h"

#include <stdlib.h>

#define CLAST 7
#define TABLE 3

static uint32_t add(struct parts *parts, unsigned char content)
{
    struct part *part = part_new(16);
    EXPECT(part != NULL && parts_reserve(parts, 1) == ST_OK);
    part->size = 1;
    part->data[0] = content;
    return parts_add(parts, part);
}

static void write_to(struct parts *parts, uint32_t number, unsigned char content)
{
    struct part *part;
    EXPECT(parts_own(parts, number, &part) == ST_OK);
    part->data[0] = content;
}

/* Gives the rows' count; the first `max` of them without references. */
static size_t capture(struct parts *parts, struct parts_row *rows_out, size_t max)
{
    size_t bound;
    EXPECT(parts_capture_begin(parts, &bound) == ST_OK);
    struct parts_row *rows = calloc(bound + 1, sizeof(*rows));
    EXPECT(rows != NULL);
    if (!parts->tracked) {
        parts->table = TABLE;
    }
    size_t count = parts_capture(parts, CLAST, rows);
    EXPECT(count <= bound && !parts_dirty(parts) && parts_check(parts));
    for (size_t i = 0; i < count; i++) {
        part_unref(rows[i].part);
        if (i < max) {
            rows_out[i] = rows[i];
        }
    }
    free(rows);
    return count;
}

static void fill(struct parts *parts, uint32_t count)
{
    parts_init(parts);
    for (uint32_t i = 0; i < count; i++) {
        EXPECT_INT(add(parts, (unsigned char)i), i);
    }
}

static struct part *part_of(unsigned char content)
{
    struct part *part = part_new(1);
    EXPECT(part != NULL);
    part->size = 1;
    part->data[0] = content;
    return part;
}

/* P1, in tables that are walked and in those that are noted. */
TEST(parts_capture_gives_what_has_changed)
{
    static const uint32_t sizes[] = {10, 64, 65, 256, 257, 3000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct parts parts;
        struct parts_row rows[8];
        uint32_t size = sizes[i];
        fill(&parts, size);
        EXPECT(parts_dirty(&parts));
        EXPECT_INT(capture(&parts, rows, 8), size);
        EXPECT(rows[3].number == 3 && rows[3].table == TABLE && rows[3].part != NULL);
        EXPECT_INT(capture(&parts, rows, 8), 0);
        write_to(&parts, 5, 'x');
        write_to(&parts, 5, 'y');
        parts_remove(&parts, 2);
        parts_remove(&parts, size - 1); /* The last number stays below end (P3). */
        EXPECT(parts_dirty(&parts) && parts_check(&parts) && parts.end == size);
        EXPECT_INT(capture(&parts, rows, 8), 3);
        uint32_t dead = 0;
        for (int row = 0; row < 3; row++) {
            dead += rows[row].part == NULL;
            EXPECT((rows[row].part == NULL) == (rows[row].number != 5));
        }
        EXPECT_INT(dead, 2);
        /* Unused numbers are given out anew: new, and not to be buried before. */
        uint32_t first = add(&parts, 'a');
        uint32_t second = add(&parts, 'b');
        EXPECT(first + second == 2 + size - 1);
        parts_remove(&parts, first);
        EXPECT_INT(capture(&parts, rows, 8), 1);
        EXPECT(rows[0].number == second && rows[0].part != NULL);
        parts_deinit(&parts);
    }
}

/* Freed and given out again between two captures: the grain is replaced, not buried. */
TEST(parts_number_that_is_used_again_replaces_its_grain)
{
    struct parts parts;
    struct parts_row rows[4];
    fill(&parts, 300);
    (void)capture(&parts, rows, 0);
    parts_remove(&parts, 100);
    EXPECT_INT(add(&parts, 'n'), 100);
    EXPECT_INT(capture(&parts, rows, 4), 1);
    EXPECT(rows[0].number == 100 && rows[0].part != NULL);
    parts_remove(&parts, 100);
    EXPECT_INT(capture(&parts, rows, 4), 1);
    EXPECT(rows[0].number == 100 && rows[0].part == NULL);
    EXPECT_INT(capture(&parts, rows, 4), 0);
    parts_deinit(&parts);
}

/* P1: without memory for notes a capture walks. */
TEST(parts_capture_misses_nothing_without_memory_for_notes)
{
    struct parts parts;
    struct parts_row rows[4];
    fill(&parts, 1000);
    (void)capture(&parts, rows, 0);
    part_test_fail_from(1);
    write_to(&parts, 900, 'x'); /* Its own: nothing else is allocated. */
    parts_remove(&parts, 10);
    EXPECT(part_test_failed());
    part_test_fail_from(0);
    EXPECT(parts_dirty(&parts) && parts_check(&parts));
    EXPECT_INT(capture(&parts, rows, 4), 2);
    parts_deinit(&parts);
}

/* Notes cost no more than a part of a walk, however often the same numbers come and go. */
TEST(parts_notes_are_bounded)
{
    struct parts parts;
    struct parts_row rows[4];
    fill(&parts, 1000);
    (void)capture(&parts, rows, 0);
    uint64_t before = parts_memory(&parts);
    for (int i = 0; i < 100000; i++) {
        uint32_t number = add(&parts, 'n');
        EXPECT(number == 1000);
        parts_remove(&parts, number);
    }
    EXPECT(parts_memory(&parts) < before + 4096);
    EXPECT_INT(capture(&parts, rows, 4), 0);
    parts_deinit(&parts);
}

/* P2, P4. */
TEST(parts_pages_go_with_their_parts_and_come_back)
{
    struct parts parts;
    struct parts_row rows[1];
    struct parts_miss misses[4];
    struct part *part;
    fill(&parts, 600);
    EXPECT(!parts_evict(&parts, 0)); /* Not on disk. */
    (void)capture(&parts, rows, 0);
    write_to(&parts, 300, 'x');
    for (uint32_t i = 0; i < 600; i++) {
        EXPECT(parts_evict(&parts, i) == (i != 300));
        EXPECT(!parts_evict(&parts, i));
    }
    EXPECT(parts_check(&parts) && parts.absent == 599);
    EXPECT(parts.pages[0] == NULL && parts.pages[1] != NULL && parts.pages[2] == NULL);
    (void)parts_take_misses(NULL, 0);
    EXPECT(parts_get(&parts, 599, &part) == ST_WAIT && parts_own(&parts, 3, &part) == ST_WAIT);
    EXPECT_INT(parts_take_misses(misses, 4), 2);
    EXPECT(misses[0].clast == CLAST && misses[0].table == TABLE && misses[0].number == 599);
    EXPECT(misses[1].number == 3 && misses[1].parts == &parts);
    EXPECT(parts_present(&parts, 299, 302) == ST_WAIT && parts_take_misses(misses, 4) == 2);
    EXPECT(parts_present(&parts, 300, 301) == ST_OK);
    EXPECT(parts_install(&parts, 599, part_of('i')) == ST_OK);
    EXPECT(parts_check(&parts) && !parts_absent(&parts, 599) && parts_absent(&parts, 598));
    EXPECT(parts_get(&parts, 599, &part) == ST_OK && part->data[0] == 'i');
    EXPECT_INT(add(&parts, 'n'), 600); /* Its page is that of absent ones. */
    EXPECT(parts_check(&parts));
    part = part_of('k');
    part_test_fail_from(1); /* Of the page. */
    EXPECT(parts_install(&parts, 7, part) == ST_NOMEM && parts_absent(&parts, 7));
    part_test_fail_from(0);
    part_unref(part);
    EXPECT(parts_check(&parts));
    parts_deinit(&parts);
}

/* Marks are a table's own. */
TEST(parts_copy_has_nothing_on_disk)
{
    struct parts parts;
    struct parts copy;
    struct parts_row rows[1];
    fill(&parts, 700);
    (void)capture(&parts, rows, 0);
    parts_remove(&parts, 600);
    EXPECT(parts_copy(&parts, &copy) == ST_OK);
    EXPECT(!copy.tracked && copy.clast == 0 && !parts_evict(&copy, 5) && !parts_evict(&parts, 5));
    parts_remove(&copy, 5);
    EXPECT_INT(capture(&copy, rows, 0), 698);
    EXPECT_INT(capture(&parts, rows, 1), 1);
    EXPECT(rows[0].number == 600 && rows[0].part == NULL);
    EXPECT(parts_evict(&copy, 6) && parts_evict(&parts, 6)); /* No page is shared any more. */
    EXPECT(parts_check(&copy) && parts_check(&parts));
    parts_deinit(&parts);
    EXPECT(parts_check(&copy));
    parts_deinit(&copy);
}

TEST(parts_return_to_a_snapshot_with_all_that_is_noted)
{
    struct parts parts;
    struct parts before;
    struct parts_row rows[8];
    fill(&parts, 700);
    (void)capture(&parts, rows, 0);
    write_to(&parts, 1, 'x');
    EXPECT(parts_evict(&parts, 2));
    EXPECT(parts_snapshot(&parts, &before) == ST_OK);
    write_to(&parts, 400, 'y');
    parts_remove(&parts, 500);
    EXPECT_INT(add(&parts, 'n'), 500);
    EXPECT_INT(add(&parts, 'n'), 700);
    parts_restore(&parts, &before);
    EXPECT(parts_check(&parts) && parts.end == 700 && parts.absent == 1);
    EXPECT_INT(capture(&parts, rows, 8), 1);
    EXPECT_INT(rows[0].number, 1);
    /* Emptied meanwhile, and back. */
    write_to(&parts, 9, 'z');
    EXPECT(parts_snapshot(&parts, &before) == ST_OK);
    parts_clear(&parts);
    EXPECT(parts_dirty(&parts) && parts_grave(&parts) == TABLE);
    parts_restore(&parts, &before);
    EXPECT(parts_check(&parts) && parts.tracked && parts.former == 0);
    EXPECT_INT(capture(&parts, rows, 8), 1);
    EXPECT_INT(rows[0].number, 9);
    parts_deinit(&parts);
}

TEST(parts_cleared_leave_a_grave_until_the_next_capture)
{
    struct parts parts;
    struct parts fresh;
    struct parts_row rows[1];
    fill(&parts, 20);
    EXPECT_INT(parts_grave(&parts), 0);
    parts_clear(&parts);
    EXPECT(parts_grave(&parts) == 0 && !parts_dirty(&parts));
    EXPECT_INT(add(&parts, 'n'), 0);
    EXPECT_INT(capture(&parts, rows, 0), 1);
    parts_clear(&parts);
    parts_clear(&parts);
    EXPECT(parts_grave(&parts) == TABLE && parts.former == TABLE && parts_dirty(&parts));
    fill(&fresh, 30);
    parts_take(&parts, &fresh);
    EXPECT(parts.former == TABLE && parts.live == 30 && fresh.end == 0 && parts_check(&parts));
    parts.table = TABLE + 1;
    EXPECT_INT(capture(&parts, rows, 0), 30);
    EXPECT(parts.former == 0 && parts_grave(&parts) == TABLE);
    parts_deinit(&parts);
}

/* The stored form, and what is free in a table that comes back. */
TEST(parts_load_gives_back_what_was_free)
{
    struct parts parts;
    struct parts loaded;
    struct parts_row rows[1];
    struct buf form = BUF_EMPTY;
    fill(&parts, 2000);
    for (uint32_t i = 0; i < 300; i++) {
        parts_remove(&parts, 3 * i);
    }
    (void)capture(&parts, rows, 0);
    EXPECT(parts_store(&parts, &form) == ST_OK);
    struct bytes in = buf_bytes(&form);
    parts_init(&loaded);
    EXPECT(parts_load(&loaded, &in, CLAST) == ST_OK && in.size == 0);
    EXPECT(parts_check(&loaded) && loaded.live == 1700 && loaded.absent == 1700);
    EXPECT(loaded.end == 2000 && loaded.table == TABLE && !parts_dirty(&loaded));
    EXPECT(parts_memory(&loaded) < 2 * PARTS_SPARE_MAX * sizeof(uint32_t));
    for (uint32_t i = 0; i < PARTS_SPARE_MAX; i++) {
        uint32_t number = add(&loaded, 'n');
        EXPECT(number < 900 && number % 3 == 0);
        EXPECT(parts_check(&loaded));
    }
    EXPECT_INT(add(&loaded, 'n'), 2000);
    EXPECT_INT(capture(&loaded, rows, 0), PARTS_SPARE_MAX + 1);
    parts_deinit(&parts);
    parts_deinit(&loaded);
    buf_deinit(&form);
}
