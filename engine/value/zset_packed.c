/* The packed shape: a block of member, score, member, score … ascending. A score is 8 bytes of a
 * key; -0 is 0 here, as it is in Redis's listpack. Everything is a walk over the block. */
#include "engine/value/zset_private.h"

#include "engine/value/packed.h"

#include <stdlib.h>

bool zset_packs(uint64_t count, uint64_t size_max, uint64_t block_size,
                const struct value_limits *limits)
{
    return count <= (uint64_t)limits->zset_max_listpack_entries &&
           size_max <= (uint64_t)limits->zset_max_listpack_value && block_size <= ZSET_PACKED_MAX;
}

uint64_t zset_packed_count(struct bytes block)
{
    return packed_count(block) / 2;
}

static double score_next(struct bytes block, size_t *offset)
{
    struct bytes bytes = packed_next(block, offset);
    CHECK(bytes.size == SCORE_SIZE);
    return score_load(bytes.data);
}

bool zset_packed_find(struct bytes block, struct bytes member, uint64_t *rank_out,
                      double *score_out)
{
    uint64_t rank = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size; rank++) {
        struct bytes name = packed_next(block, &offset);
        if (bytes_equal(name, member)) {
            *rank_out = rank;
            *score_out = score_next(block, &offset);
            return true;
        }
        (void)packed_next(block, &offset);
    }
    return false;
}

void zset_packed_at(struct bytes block, uint64_t rank, struct bytes *member_out, double *score_out)
{
    size_t offset = packed_offset(block, (uint32_t)rank * 2);
    *member_out = packed_next(block, &offset);
    *score_out = score_next(block, &offset);
}

enum status zset_packed_walk(struct bytes block, uint64_t rank, uint64_t count, bool backwards,
                             zset_member_fn fn, void *ctx)
{
    if (count == 0) {
        return ST_OK;
    }
    CHECK(rank < zset_packed_count(block));
    CHECK(count <= (backwards ? rank + 1 : zset_packed_count(block) - rank));
    size_t offset = packed_offset(block, (uint32_t)(rank + backwards) * 2);
    enum status status = ST_OK;
    for (; count > 0 && status == ST_OK; count--) {
        struct bytes name, score;
        if (backwards) {
            score = packed_previous(block, &offset);
            name = packed_previous(block, &offset);
        } else {
            name = packed_next(block, &offset);
            score = packed_next(block, &offset);
        }
        status = fn(ctx, (struct value_piece){name, NULL}, score_load(score.data));
    }
    return status;
}

uint64_t zset_packed_rank_of_score(struct bytes block, double score, bool above)
{
    uint64_t rank = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size; rank++) {
        (void)packed_next(block, &offset);
        double there = score_next(block, &offset);
        if (above ? there > score : there >= score) {
            break;
        }
    }
    return rank;
}

uint64_t zset_packed_rank_of_member(struct bytes block, struct bytes member, bool above)
{
    uint64_t rank = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size; rank++) {
        int order = bytes_compare(packed_next(block, &offset), member);
        if (above ? order > 0 : order >= 0) {
            break;
        }
        (void)packed_next(block, &offset);
    }
    return rank;
}

/* How many of the block's members come before the given one. */
static uint64_t rank_for(struct bytes block, const struct zset_member *member)
{
    uint64_t rank = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size; rank++) {
        struct zset_member there;
        there.name = packed_next(block, &offset);
        there.score = score_next(block, &offset);
        if (zset_compare(&there, member) > 0) {
            break;
        }
    }
    return rank;
}

enum status zset_packed_set(struct bytes block, bool there, uint64_t rank,
                            const struct zset_member *member, struct buf *scratch,
                            struct bytes *block_out)
{
    unsigned char score[SCORE_SIZE];
    score_store(score, score_plain(member->score));
    struct bytes elements[2] = {member->name, bytes_of(score, sizeof(score))};
    uint32_t index = (uint32_t)rank_for(block, member) * 2;
    if (!there) {
        return packed_splice(block, index, 0, elements, 2, false, scratch, block_out);
    }
    uint32_t old = (uint32_t)rank * 2;
    if (index == old || index == old + 2) { /* It stays between its neighbours. */
        return packed_splice(block, old + 1, 1, elements + 1, 1, false, scratch, block_out);
    }
    /* Out and in again. A block that was changed where it lies in scratch gets back into the room
     * that it had, so the second step can fail only behind a block that stayed as it was. */
    size_t old_size = scratch->size;
    uintptr_t old_data = (uintptr_t)scratch->data;
    struct bytes without;
    enum status status = packed_splice(block, old, 2, NULL, 0, false, scratch, &without);
    if (status != ST_OK) {
        return status;
    }
    elements[0] = packed_rebase(elements[0], old_data, old_size, scratch);
    index -= index > old ? 2 : 0;
    status = packed_splice(without, index, 0, elements, 2, false, scratch, block_out);
    if (status != ST_OK) {
        scratch->size = old_size;
    }
    return status;
}

enum status zset_packed_cut(struct bytes block, uint64_t rank, uint64_t count, struct buf *scratch,
                            struct bytes *block_out)
{
    return packed_splice(block, (uint32_t)rank * 2, (uint32_t)count * 2, NULL, 0, false, scratch,
                         block_out);
}

enum status zset_packed_build(const struct zset_member *members, size_t count, struct buf *scratch,
                              struct bytes *block_out)
{
    size_t size = PACKED_HEADER_SIZE;
    for (size_t i = 0; i < count; i++) {
        size += packed_entry_size(members[i].name.size) + packed_entry_size(SCORE_SIZE);
    }
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    unsigned char *start = buf_extend(scratch, size);
    if (start == NULL) {
        return ST_NOMEM;
    }
    store_u32(start, (uint32_t)count * 2);
    unsigned char *p = start + PACKED_HEADER_SIZE;
    for (size_t i = 0; i < count; i++) {
        unsigned char score[SCORE_SIZE];
        score_store(score, score_plain(members[i].score));
        p += packed_entry_store(p, packed_rebase(members[i].name, old_data, old_size, scratch));
        p += packed_entry_store(p, bytes_of(score, sizeof(score)));
    }
    CHECK(p == start + size);
    *block_out = bytes_of(start, size);
    return ST_OK;
}

bool zset_packed_check(struct bytes block)
{
    if (!packed_verify(block) || packed_count(block) % 2 != 0) {
        return false;
    }
    struct zset_member before = {BYTES_NONE, 0};
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size;) {
        struct zset_member here = {packed_next(block, &offset), 0};
        struct bytes score = packed_next(block, &offset);
        uint64_t rank;
        double found;
        if (score.size != SCORE_SIZE) {
            return false;
        }
        here.score = score_load(score.data);
        /* The first of that name is this one. */
        if (score_is_nan(here.score) || score_is_negative_zero(here.score) ||
            (before.name.data != NULL && zset_compare(&before, &here) >= 0) ||
            !zset_packed_find(block, here.name, &rank, &found) || found != here.score) {
            return false;
        }
        before = here;
    }
    return true;
}
