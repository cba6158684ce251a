#include "engine/value/text.h"

#include "tests/lib/test.h"

#include <stdlib.h>

#define MODEL_MAX 300000

struct model {
    unsigned char bytes[MODEL_MAX];
    size_t size;
};

static void expect_same(const struct value *value, const struct model *model, uint64_t *state)
{
    EXPECT_INT(text_size(value), model->size);
    struct buf out = BUF_EMPTY;
    EXPECT(text_read(value, 0, model->size, &out) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&out), bytes_of(model->bytes, model->size)));
    size_t offset = (size_t)test_random_below(state, model->size + 1);
    size_t size = (size_t)test_random_below(state, model->size - offset + 1);
    out.size = 0;
    EXPECT(text_read(value, offset, size, &out) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&out), bytes_of(model->bytes + offset, size)));
    buf_deinit(&out);
}

static enum status write_random(struct value *value, struct model *model, struct buf *scratch,
                                uint64_t *state)
{
    static unsigned char bytes[50000];
    size_t size = 1 + (size_t)test_random_below(
                          state, test_random_below(state, 10) == 0 ? sizeof(bytes) : 200);
    uint64_t kind = test_random_below(state, 10);
    size_t offset = kind < 5   ? model->size
                    : kind < 9 ? (size_t)test_random_below(state, model->size + 1)
                               : model->size + (size_t)test_random_below(state, 60000);
    if (offset + size > MODEL_MAX) {
        return ST_OK;
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)test_random(state);
    }
    enum status status = text_write(value, offset, bytes_of(bytes, size), scratch);
    if (status == ST_OK) {
        if (offset > model->size) {
            memset(model->bytes + model->size, 0, offset - model->size);
        }
        memcpy(model->bytes + offset, bytes, size);
        model->size = offset + size > model->size ? offset + size : model->size;
    }
    return status;
}

static void run_rounds(size_t rounds, bool may_fail)
{
    static struct model model;
    uint64_t state = test_seed();
    for (size_t round = 0; round < rounds; round++) {
        struct buf scratch = BUF_EMPTY;
        struct value value;
        EXPECT(text_make(BYTES_NONE, &value) == ST_OK);
        model.size = 0;
        for (size_t i = 0; i < 120; i++) {
            part_test_fail_from(may_fail ? 1 + test_random_below(&state, 4) : 0);
            enum status status = write_random(&value, &model, &scratch, &state);
            part_test_fail_from(0);
            EXPECT(status == ST_OK || (may_fail && status == ST_NOMEM));
            expect_same(&value, &model, &state);
        }
        EXPECT(may_fail || value.shape == VALUE_CLAST);
        value_free(&value);
        buf_deinit(&scratch);
    }
}

TEST(text_equals_a_plain_buffer_after_every_write)
{
    run_rounds(20, false);
}

TEST(text_changes_nothing_when_memory_is_refused)
{
    run_rounds(20, true);
}

TEST(text_of_any_size_is_made_and_read)
{
    static const size_t sizes[] = {0,     1,     4095,  4096,  4097,  16383,
                                   16384, 16385, 32768, 32769, 300000};
    static unsigned char bytes[300000];
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)test_random(&state);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct value value;
        EXPECT(text_make(bytes_of(bytes, sizes[i]), &value) == ST_OK);
        EXPECT(value.shape == (sizes[i] > TEXT_PACKED_MAX ? VALUE_CLAST : VALUE_PACKED));
        static struct model model;
        memcpy(model.bytes, bytes, sizes[i]);
        model.size = sizes[i];
        expect_same(&value, &model, &state);
        EXPECT(value_memory(&value) <= sizes[i] + sizes[i] / 50 + 600);
        value_free(&value);
    }
}

/* 600 MiB of which one byte is not zero: the zeros are one segment, named as often as needed. */
TEST(text_grows_over_a_gap_beyond_512_mib)
{
    struct value value;
    struct buf scratch = BUF_EMPTY;
    uint64_t end = 600ull << 20;
    EXPECT(text_make(bytes_of_text("start"), &value) == ST_OK);
    EXPECT(text_write(&value, end - 1, bytes_of_text("!"), &scratch) == ST_OK);
    EXPECT_INT(text_size(&value), end);
    EXPECT(text_write(&value, 300ull << 20, bytes_of_text("middle"), &scratch) == ST_OK);
    EXPECT(text_read(&value, (300ull << 20) - 2, 10, &scratch) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&scratch), bytes_of("\0\0middle\0\0", 10)));
    scratch.size = 0;
    EXPECT(text_read(&value, (100ull << 20) - 2, 4, &scratch) == ST_OK);
    EXPECT(text_read(&value, 0, 7, &scratch) == ST_OK);
    EXPECT(text_read(&value, end - 2, 2, &scratch) == ST_OK);
    EXPECT(bytes_equal(buf_bytes(&scratch), bytes_of("\0\0\0\0start\0\0\0!", 13)));
    value_free(&value);
    buf_deinit(&scratch);
}

TEST(text_refuses_offsets_beyond_its_limit)
{
    struct value value;
    struct buf scratch = BUF_EMPTY;
    EXPECT(text_make(bytes_of_text("start"), &value) == ST_OK);
    EXPECT(text_write(&value, UINT64_MAX - 1, bytes_of_text("!!!"), &scratch) == ST_LIMIT);
    EXPECT_INT(text_size(&value), 5);
    EXPECT(text_write(&value, 1000, BYTES_NONE, &scratch) == ST_OK);
    EXPECT_INT(text_size(&value), 5);
}

/* Appending a little at a time touches the last segment, which doubles: memory stays near the
 * size. */
TEST(text_appends_little_by_little_without_waste)
{
    struct value value;
    struct buf scratch = BUF_EMPTY;
    EXPECT(text_make(BYTES_NONE, &value) == ST_OK);
    for (size_t i = 0; i < 200000; i++) {
        EXPECT(text_write(&value, text_size(&value), bytes_of_text("0123456789"), &scratch) ==
               ST_OK);
        scratch.size = value.shape == VALUE_CLAST ? 0 : scratch.size;
    }
    EXPECT_INT(text_size(&value), 2000000);
    EXPECT(value_memory(&value) < 2000000 * 1.02);
    value_free(&value);
    buf_deinit(&scratch);
}

struct kept {
    struct value_piece pieces[100];
    size_t count;
};

static enum status keep_piece(void *ctx, struct value_piece piece)
{
    struct kept *kept = ctx;
    part_ref(piece.part);
    kept->pieces[kept->count++] = piece;
    return ST_OK;
}

/* A reply on its way holds segments; writes to any of them, in the last one also appends, do not
 * show in it. */
TEST(text_leaves_referenced_segments_alone)
{
    static unsigned char bytes[100000];
    memset(bytes, 'a', sizeof(bytes));
    struct value value;
    struct buf scratch = BUF_EMPTY;
    struct kept kept = {.count = 0};
    EXPECT(text_make(bytes_of(bytes, sizeof(bytes)), &value) == ST_OK);
    EXPECT(text_pieces(&value, 0, sizeof(bytes), keep_piece, &kept) == ST_OK);
    EXPECT_INT(kept.count, 7);
    for (size_t offset = 0; offset < sizeof(bytes) + 500; offset += 500) {
        EXPECT(text_write(&value, offset, bytes_of_text("bbb"), &scratch) == ST_OK);
    }
    size_t total = 0;
    for (size_t i = 0; i < kept.count; i++) {
        EXPECT(memcmp(kept.pieces[i].data.data, bytes, kept.pieces[i].data.size) == 0);
        total += kept.pieces[i].data.size;
        part_unref(kept.pieces[i].part);
    }
    EXPECT_INT(total, sizeof(bytes));
    EXPECT_INT(text_size(&value), sizeof(bytes) + 3);
    value_free(&value);
    buf_deinit(&scratch);
}
