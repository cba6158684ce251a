/* txn_change: the road of every typed change.
 *
 *     change_begin    an expired value goes; the value as it is, or empty; room in the log
 *     change_record   unless the result is small, the effect is written down as it was asked for
 *     (change)        on the value, packed ones in the scratch buffer
 *     change_end      a small result is written down as it is ("blind"); stored; the record closed
 *
 * When the change or the store fails the record is dropped and nothing has happened.
 *
 * The newer types (hashes, sets, sorted sets, streams) have the change itself done by value_apply,
 * from the very bytes that the log will carry, as replay does it:
 *
 *     change_open → change_put_… (the payload) → change_apply
 *
 * Thread: the holder of the key's shard. For the files of txn/ alone.
 */
#ifndef BASIN_ENGINE_TXN_TXN_CHANGE_H
#define BASIN_ENGINE_TXN_TXN_CHANGE_H

#include "engine/txn/txn_private.h"

struct change {
    struct txn *txn;
    unsigned number;
    struct txn_key *key;
    struct value value;
    int64_t expiry_ms;
    uint64_t memory_before;
    void *root_before;
    bool blind;     /* Log the result, not the change. */
    bool record;    /* A record is open. */
    unsigned op;    /* Of change_open. */
    size_t payload; /* Offset in txn->records where its payload begins. */
};

/* growth: bytes that the change may add to the packed form; payload: of its record. */
enum status change_begin(struct txn *txn, unsigned number, struct value empty, uint64_t growth,
                         uint64_t payload, struct change *change);
/* Opens the record of the change as it was asked for; false: not wanted, see status. */
bool change_record(struct change *change, enum record_op op, uint64_t payload, enum status *status);
enum status change_end(struct change *change, enum status status);

/* True: the operation that gave this status is to be tried again. What it lacked has been brought,
 * because the txn has changed something before and cannot wait any more. ST_WAIT becomes what kept
 * it from being brought. */
bool change_brought(struct change *change, enum status *status);

/* An operation of value.h on a key that is absent or of that type; payload_max bounds what is put
 * next. After ST_OK change_apply must follow. */
enum status change_open(struct txn *txn, unsigned number, enum value_type type, unsigned op,
                        uint64_t payload_max, struct change *change);
/* *count_out (may be NULL): what the operation counted. Without a change in the value nothing is
 * logged. ST_NOMEM, ST_LIMIT: the elements of the payload up to some point have been changed and
 * logged (count_out counts them), the others not. */
enum status change_apply(struct change *change, uint64_t *count_out);

/* Appends to the open record; the room was made when it was opened. */
void change_put_varint(struct change *change, uint64_t value);
void change_put_bytes(struct change *change, struct bytes bytes);
void change_put_byte(struct change *change, unsigned char byte);
void change_put_u64(struct change *change, uint64_t value);
/* varint size, then the bytes. */
void change_put_sized(struct change *change, struct bytes bytes);

#endif
