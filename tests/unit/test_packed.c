#include "engine/value/packed.h"

#include "tests/lib/test.h"

#include <stdlib.h>

#define MODEL_MAX 400
#define SIZE_MAX_ 300

struct model {
    unsigned char bytes[MODEL_MAX][SIZE_MAX_];
    size_t sizes[MODEL_MAX];
    size_t count;
};

static struct bytes model_at(const struct model *model, size_t index)
{
    return bytes_of(model->bytes[index], model->sizes[index]);
}

static void model_remove(struct model *model, size_t index, size_t count)
{
    size_t rest = model->count - index - count;
    memmove(model->bytes[index], model->bytes[index + count], rest * SIZE_MAX_);
    memmove(&model->sizes[index], &model->sizes[index + count], rest * sizeof(size_t));
    model->count -= count;
}

static void model_insert(struct model *model, size_t index, struct bytes element)
{
    size_t rest = model->count - index;
    memmove(model->bytes[index + 1], model->bytes[index], rest * SIZE_MAX_);
    memmove(&model->sizes[index + 1], &model->sizes[index], rest * sizeof(size_t));
    memcpy(model->bytes[index], element.data, element.size);
    model->sizes[index] = element.size;
    model->count++;
}

static void expect_same(struct bytes block, const struct model *model)
{
    EXPECT(packed_verify(block));
    EXPECT_INT(packed_count(block), model->count);
    size_t offset = PACKED_HEADER_SIZE;
    for (size_t i = 0; i < model->count; i++) {
        EXPECT_INT(packed_offset(block, (uint32_t)i), offset);
        EXPECT(bytes_equal(packed_at(block, (uint32_t)i), model_at(model, i)));
        EXPECT(bytes_equal(packed_next(block, &offset), model_at(model, i)));
    }
    EXPECT_INT(offset, block.size);
    for (size_t i = model->count; i > 0; i--) {
        EXPECT(bytes_equal(packed_previous(block, &offset), model_at(model, i - 1)));
    }
    EXPECT_INT(offset, PACKED_HEADER_SIZE);
}

static struct bytes element_random(uint64_t *state, unsigned char *room)
{
    static const size_t bounds[] = {0, 1, 63, 64, 126, 127, 128, 129, 200, SIZE_MAX_ - 1};
    size_t size = (size_t)test_random_below(state, 20);
    if (test_random_below(state, 4) == 0) {
        size = bounds[test_random_below(state, sizeof(bounds) / sizeof(bounds[0]))];
    }
    for (size_t i = 0; i < size; i++) {
        room[i] = (unsigned char)test_random(state);
    }
    return bytes_of(room, size);
}

static struct bytes splice_random(struct bytes block, struct model *model, struct buf *scratch,
                                  uint64_t *state)
{
    unsigned char room[3][SIZE_MAX_];
    struct bytes elements[3];
    uint32_t index = (uint32_t)test_random_below(state, model->count + 1);
    uint32_t removed = (uint32_t)test_random_below(state, model->count - index + 1);
    removed = removed > 4 && model->count < MODEL_MAX / 2 ? removed % 4 : removed;
    size_t count = model->count - removed + 3 < MODEL_MAX ? (size_t)test_random_below(state, 4) : 0;
    bool reversed = test_random_below(state, 2) == 0;
    for (size_t i = 0; i < count; i++) {
        elements[i] = element_random(state, room[i]);
    }
    struct bytes result;
    EXPECT(packed_splice(block, index, removed, elements, count, reversed, scratch, &result) ==
           ST_OK);
    model_remove(model, index, removed);
    for (size_t i = 0; i < count; i++) {
        model_insert(model, reversed ? index : index + i, elements[i]);
    }
    return result;
}

TEST(packed_equals_a_plain_array_after_every_splice)
{
    static struct model model;
    model.count = 0;
    uint64_t state = test_seed();
    struct buf scratch = BUF_EMPTY;
    struct bytes block = packed_empty();
    for (size_t i = 0; i < 3000; i++) {
        block = splice_random(block, &model, &scratch, &state);
        expect_same(block, &model);
        if (i % 7 == 0) {
            /* A fresh buffer; at the other times the block lies in the buffer that moves. */
            struct buf other = BUF_EMPTY;
            EXPECT(buf_append(&other, block) == ST_OK);
            buf_deinit(&scratch);
            scratch = other;
            block = buf_bytes(&scratch);
        }
    }
    buf_deinit(&scratch);
}

TEST(packed_removes_scattered_indexes_and_cuts_slices)
{
    static struct model model;
    uint64_t state = test_seed();
    for (size_t round = 0; round < 300; round++) {
        struct buf scratch = BUF_EMPTY;
        struct bytes block = packed_empty();
        model.count = 0;
        for (size_t i = 0; i < 30; i++) {
            block = splice_random(block, &model, &scratch, &state);
        }
        uint64_t indexes[MODEL_MAX];
        size_t count = 0;
        for (size_t i = 0; i < model.count; i++) {
            if (test_random_below(&state, 3) == 0) {
                indexes[count++] = i;
            }
        }
        EXPECT(packed_remove_each(block, indexes, count, &scratch, &block) == ST_OK);
        for (size_t i = count; i > 0; i--) {
            model_remove(&model, (size_t)indexes[i - 1], 1);
        }
        expect_same(block, &model);
        size_t first = (size_t)test_random_below(&state, model.count + 1);
        size_t keep = (size_t)test_random_below(&state, model.count - first + 1);
        EXPECT(packed_slice(block, (uint32_t)first, (uint32_t)keep, &scratch, &block) == ST_OK);
        model_remove(&model, first + keep, model.count - first - keep);
        model_remove(&model, 0, first);
        expect_same(block, &model);
        buf_deinit(&scratch);
    }
}

/* Elements may be lent from the very block that is changed, in the very buffer that moves. */
TEST(packed_finds_elements_again_that_lie_in_its_scratch_buffer)
{
    struct buf scratch = BUF_EMPTY;
    struct bytes block = packed_empty();
    struct bytes word = bytes_of_text("sediment");
    EXPECT(packed_splice(block, 0, 0, &word, 1, false, &scratch, &block) == ST_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        struct bytes last = packed_at(block, i);
        EXPECT(packed_splice(block, i + 1, 0, &last, 1, false, &scratch, &block) == ST_OK);
        EXPECT(bytes_equal(packed_at(block, i + 1), word));
        if (scratch.size > 100000) {
            struct buf other = BUF_EMPTY;
            EXPECT(buf_append(&other, block) == ST_OK);
            buf_deinit(&scratch);
            scratch = other;
            block = buf_bytes(&scratch);
        }
    }
    EXPECT(packed_verify(block));
    buf_deinit(&scratch);
}

static size_t walk_both_ways(struct bytes block)
{
    size_t sum = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size;) {
        sum += packed_next(block, &offset).size;
    }
    for (size_t offset = block.size; offset > PACKED_HEADER_SIZE;) {
        sum -= packed_previous(block, &offset).size;
    }
    return sum;
}

/* Whatever bytes come, either they are refused or they can be walked. (asan watches the walk.) */
TEST(packed_refuses_bytes_that_cannot_be_walked)
{
    static struct model model;
    uint64_t state = test_seed();
    size_t refused = 0;
    for (size_t round = 0; round < 20000; round++) {
        struct buf scratch = BUF_EMPTY;
        struct bytes block = packed_empty();
        model.count = 0;
        for (size_t i = 0; i < 5; i++) {
            block = splice_random(block, &model, &scratch, &state);
        }
        size_t size = block.size - (size_t)test_random_below(&state, 3) % block.size;
        unsigned char *copy = malloc(size);
        EXPECT(copy != NULL);
        memcpy(copy, block.data, size);
        for (uint64_t i = test_random_below(&state, 4); i > 0; i--) {
            copy[test_random_below(&state, size)] = (unsigned char)test_random(&state);
        }
        struct bytes hostile = bytes_of(copy, size);
        if (packed_verify(hostile)) {
            EXPECT_INT(walk_both_ways(hostile), 0);
        } else {
            refused++;
        }
        free(copy);
        buf_deinit(&scratch);
    }
    EXPECT(refused > 5000);
    EXPECT(!packed_verify(BYTES_NONE));
    EXPECT(packed_verify(packed_empty()));
    /* A size that is not in its shortest form is refused, or entries would not add up. */
    EXPECT(!packed_verify(bytes_of("\1\0\0\0\x81\0x\3", 8)));
    EXPECT(packed_verify(bytes_of("\1\0\0\0\1x\2", 7)));
}
