/* Typed changes of sets: see set.h for the operations. */
#include "engine/txn/txn_change.h"

static enum status change_members(struct txn *txn, unsigned number, enum set_op op,
                                  const struct bytes *members, size_t count, uint64_t *count_out)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += members[i].size + VARINT_MAX;
    }
    struct change change;
    enum status status = change_open(txn, number, VALUE_SET, op, size, &change);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        change_put_sized(&change, members[i]);
    }
    return change_apply(&change, count_out);
}

enum status txn_set_add(struct txn *txn, unsigned number, const struct bytes *members, size_t count,
                        uint64_t *added_out)
{
    return change_members(txn, number, SET_OP_ADD, members, count, added_out);
}

enum status txn_set_remove(struct txn *txn, unsigned number, const struct bytes *members,
                           size_t count, uint64_t *removed_out)
{
    return change_members(txn, number, SET_OP_REMOVE, members, count, removed_out);
}
