/* Typed changes of sorted sets; see txn_change.h for the road. */
#include "engine/txn/txn_change.h"

#include "engine/base/check.h"

enum status txn_zset_add(struct txn *txn, unsigned number, unsigned when,
                         const struct zset_member *members, size_t count, uint64_t *added_out,
                         uint64_t *updated_out)
{
    uint64_t size = 1;
    for (size_t i = 0; i < count; i++) {
        size += 8 + VARINT_MAX + members[i].name.size;
    }
    struct change change;
    enum status status = change_open(txn, number, VALUE_ZSET, ZSET_ADD, size, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_byte(&change, (unsigned char)when);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &members[i].score, sizeof(bits));
        change_put_u64(&change, bits);
        change_put_sized(&change, members[i].name);
    }
    uint64_t done = 0;
    status = change_apply(&change, &done);
    *added_out = done % ZSET_UPDATED;
    *updated_out = done / ZSET_UPDATED;
    return status;
}

enum status txn_zset_remove(struct txn *txn, unsigned number, const struct bytes *members,
                            size_t count, uint64_t *removed_out)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += VARINT_MAX + members[i].size;
    }
    struct change change;
    enum status status = change_open(txn, number, VALUE_ZSET, ZSET_REMOVE, size, &change);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        change_put_sized(&change, members[i]);
    }
    return change_apply(&change, removed_out);
}

enum status txn_zset_cut(struct txn *txn, unsigned number, uint64_t rank, uint64_t count)
{
    struct change change;
    enum status status = change_open(txn, number, VALUE_ZSET, ZSET_CUT, 2 * VARINT_MAX, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_varint(&change, rank);
    change_put_varint(&change, count);
    return change_apply(&change, NULL);
}

enum status txn_zset_put(struct txn *txn, unsigned number, struct zset_member *members,
                         size_t count)
{
    if (count == 0) {
        return txn_delete(txn, number, NULL);
    }
    struct buf scratch = BUF_EMPTY; /* The txn's own may hold what the names lie in. */
    struct value value;
    enum status status = zset_build(members, count, &txn->basin->limits, &scratch, &value);
    CHECK(status != ST_CORRUPT);
    if (status == ST_OK) {
        status = txn_put(txn, number, &value, BASIN_NO_EXPIRY);
    }
    buf_deinit(&scratch);
    return status;
}
