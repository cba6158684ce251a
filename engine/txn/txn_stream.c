/* Typed changes of streams: payloads for the operations of stream.h, done by value_apply. */
#include "engine/txn/txn_change.h"

#define ID_SIZE 16

static void put_id(struct change *change, struct stream_id id)
{
    change_put_u64(change, id.ms);
    change_put_u64(change, id.seq);
}

static enum status open(struct txn *txn, unsigned number, enum stream_op op, uint64_t payload_max,
                        struct change *change)
{
    return change_open(txn, number, VALUE_STREAM, op, payload_max, change);
}

enum status txn_stream_add(struct txn *txn, unsigned number, struct stream_id id,
                           const struct bytes *fields, size_t count)
{
    struct change change;
    uint64_t size = ID_SIZE + VARINT_MAX;
    for (size_t i = 0; i < 2 * count; i++) {
        size += VARINT_MAX + fields[i].size;
    }
    enum status status = open(txn, number, STREAM_ADD, size, &change);
    if (status != ST_OK) {
        return status;
    }
    put_id(&change, id);
    change_put_varint(&change, count);
    for (size_t i = 0; i < 2 * count; i++) {
        change_put_sized(&change, fields[i]);
    }
    return change_apply(&change, NULL);
}

enum status txn_stream_delete(struct txn *txn, unsigned number, const struct stream_id *ids,
                              size_t count, uint64_t *deleted_out)
{
    struct change change;
    enum status status = open(txn, number, STREAM_DELETE, ID_SIZE * (uint64_t)count, &change);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        put_id(&change, ids[i]);
    }
    return change_apply(&change, deleted_out);
}

enum status txn_stream_trim(struct txn *txn, unsigned number, uint64_t count, bool keep)
{
    struct change change;
    enum status status = open(txn, number, STREAM_TRIM, VARINT_MAX + 1, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_varint(&change, count);
    change_put_byte(&change, keep);
    return change_apply(&change, NULL);
}

enum status txn_stream_set_id(struct txn *txn, unsigned number, struct stream_id last,
                              uint64_t added, struct stream_id max_deleted)
{
    struct change change;
    enum status status = open(txn, number, STREAM_SETID, 2 * ID_SIZE + 8, &change);
    if (status != ST_OK) {
        return status;
    }
    put_id(&change, last);
    change_put_u64(&change, added);
    put_id(&change, max_deleted);
    return change_apply(&change, NULL);
}

/* -- Groups ------------------------------------------------------------------------------------ */

enum status txn_stream_group_set(struct txn *txn, unsigned number, bool create, struct bytes group,
                                 struct stream_id last, int64_t entries_read)
{
    struct change change;
    enum status status = open(txn, number, create ? STREAM_GROUP_CREATE : STREAM_GROUP_SETID,
                              VARINT_MAX + group.size + ID_SIZE + 8, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_sized(&change, group);
    put_id(&change, last);
    change_put_u64(&change, (uint64_t)entries_read);
    return change_apply(&change, NULL);
}

enum status txn_stream_group_destroy(struct txn *txn, unsigned number, struct bytes group,
                                     uint64_t *destroyed_out)
{
    struct change change;
    enum status status = open(txn, number, STREAM_GROUP_DESTROY, VARINT_MAX + group.size, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_sized(&change, group);
    return change_apply(&change, destroyed_out);
}

/* Opens an operation that begins with group, consumer and the time. */
static enum status open_consumer(struct txn *txn, unsigned number, enum stream_op op,
                                 struct stream_member member, uint64_t payload_max,
                                 struct change *change)
{
    enum status status =
        open(txn, number, op,
             2 * VARINT_MAX + member.group.size + member.consumer.size + 8 + payload_max, change);
    if (status == ST_OK) {
        change_put_sized(change, member.group);
        change_put_sized(change, member.consumer);
        if (op != STREAM_CONSUMER_DELETE) {
            change_put_u64(change, txn_now_ms(txn));
        }
    }
    return status;
}

enum status txn_stream_consumer_create(struct txn *txn, unsigned number,
                                       struct stream_member member, uint64_t *created_out)
{
    struct change change;
    enum status status = open_consumer(txn, number, STREAM_CONSUMER_CREATE, member, 0, &change);
    return status == ST_OK ? change_apply(&change, created_out) : status;
}

enum status txn_stream_consumer_delete(struct txn *txn, unsigned number,
                                       struct stream_member member, uint64_t *pending_out)
{
    struct change change;
    enum status status = open_consumer(txn, number, STREAM_CONSUMER_DELETE, member, 0, &change);
    return status == ST_OK ? change_apply(&change, pending_out) : status;
}

enum status txn_stream_deliver(struct txn *txn, unsigned number, struct stream_member member,
                               bool unheld, const struct stream_id *ids, size_t count)
{
    struct change change;
    enum status status =
        open_consumer(txn, number, STREAM_DELIVER, member, 1 + ID_SIZE * (uint64_t)count, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_byte(&change, unheld);
    for (size_t i = 0; i < count; i++) {
        put_id(&change, ids[i]);
    }
    return change_apply(&change, NULL);
}

enum status txn_stream_redeliver(struct txn *txn, unsigned number, struct stream_member member,
                                 const struct stream_id *ids, size_t count)
{
    struct change change;
    enum status status =
        open_consumer(txn, number, STREAM_REDELIVER, member, ID_SIZE * (uint64_t)count, &change);
    if (status != ST_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        put_id(&change, ids[i]);
    }
    return change_apply(&change, NULL);
}

enum status txn_stream_ack(struct txn *txn, unsigned number, struct bytes group,
                           const struct stream_id *ids, size_t count, uint64_t *acked_out)
{
    struct change change;
    enum status status =
        open(txn, number, STREAM_ACK, VARINT_MAX + group.size + ID_SIZE * (uint64_t)count, &change);
    if (status != ST_OK) {
        return status;
    }
    change_put_sized(&change, group);
    for (size_t i = 0; i < count; i++) {
        put_id(&change, ids[i]);
    }
    return change_apply(&change, acked_out);
}

enum status txn_stream_claim(struct txn *txn, unsigned number, struct stream_member member,
                             struct stream_id last, const struct stream_claim *claims, size_t count)
{
    struct change change;
    enum status status =
        open_consumer(txn, number, STREAM_CLAIM, member, ID_SIZE + 32 * (uint64_t)count, &change);
    if (status != ST_OK) {
        return status;
    }
    put_id(&change, last);
    for (size_t i = 0; i < count; i++) {
        put_id(&change, claims[i].id);
        change_put_u64(&change, (uint64_t)claims[i].time_ms);
        change_put_u64(&change, claims[i].deliveries);
    }
    return change_apply(&change, NULL);
}
