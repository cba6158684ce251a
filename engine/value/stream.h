/* stream: entries by ascending ID, and groups of consumers that read them together.
 *
 *     root: last ID, entries ever added, greatest deleted ID, count
 *       ├ entries   clast of nodes (stream_node.h), each with up to some hundred entries
 *       └ groups by name: last delivered ID, entries read
 *            ├ consumers by name: number, seen, active, count of pending entries
 *            ├ pending   clast, sorted: ID → consumer's number, delivery time, delivery count
 *            └ owned     clast, sorted: consumer's number and ID, for one consumer's in order
 *
 * A stream does not vanish when it is empty, so it has only one shape with content: the root. The
 * packed shape is the value of a key that is not there yet.
 *
 * Nodes end where Redis 7.2 would end a listpack (stream-node-max-entries, -bytes), so approximate
 * trimming, which takes whole nodes only, takes the same entries.
 *
 * The pending tree says what is pending; `owned` may hold more (after lack of memory), never less:
 * whoever reads it looks the ID up in the pending tree.
 *
 * Times are Unix ms; -1 in `active` and in entries_read stands for never and for unknown.
 *
 * The encoded form (after the type byte), little-endian; v = varint, ID = u64 ms, u64 seq:
 *
 *   v count of entries, ID last, ID greatest deleted (0-0: none), u64 entries ever added
 *   for each entry, IDs ascending, none above the last:
 *       ID, v count of fields (≥ 1), and for each field: v size, name, v size, value
 *   v count of groups, and for each, names ascending in memcmp's order (the shorter first where one
 *   is the other's beginning):
 *       v size, name, ID last delivered, i64 entries read (-1: unknown)
 *       v count of consumers, and for each, names ascending likewise:
 *           v size, name, i64 seen, i64 active (-1: never)
 *       v count of pending entries, and for each, IDs ascending (the entry itself may be gone):
 *           ID, v index of the consumer in the list above, i64 delivery time, u64 delivery count
 *
 * Where nodes begin and end is not in it: it follows from the limits when it is decoded.
 */
#ifndef BASIN_ENGINE_VALUE_STREAM_H
#define BASIN_ENGINE_VALUE_STREAM_H

#include "engine/value/value.h"

struct stream_id {
    uint64_t ms, seq;
};
#define STREAM_ID_MIN ((struct stream_id){0, 0})
#define STREAM_ID_MAX ((struct stream_id){UINT64_MAX, UINT64_MAX})

static inline int stream_id_compare(struct stream_id a, struct stream_id b)
{
    return a.ms != b.ms ? (a.ms > b.ms) - (a.ms < b.ms) : (a.seq > b.seq) - (a.seq < b.seq);
}

/* Operations; numbers are on disk. v and ID as above, name = v size, bytes; group and consumer are
 * names. What each counts stands behind it. */
enum stream_op {
    STREAM_ADD = 80,    /* ID, v count, (name, name)…: an entry above the last ID. */
    STREAM_DELETE = 81, /* (ID)…: those that are there go; counts them. */
    STREAM_TRIM = 82,   /* v count: the first ones go; counts them. */
    STREAM_SETID = 83,  /* ID last, u64 entries added, ID greatest deleted. */
    STREAM_GROUP_CREATE = 84,    /* group, ID, i64 entries read; counts 1 if it was not there. */
    STREAM_GROUP_SETID = 85,     /* group, ID, i64 entries read. */
    STREAM_GROUP_DESTROY = 86,   /* group; counts 1 if it was there. */
    STREAM_CONSUMER_CREATE = 87, /* group, consumer, i64 now; counts 1 if it was not there. */
    STREAM_CONSUMER_DELETE = 88, /* group, consumer; counts its pending entries. */
    /* group, consumer (made if absent), i64 now, u8 1: without pending entries; then (ID)… of the
     * entries that follow the group's last delivered one, which moves on. Without IDs the consumer
     * has been seen, no more. */
    STREAM_DELIVER = 89,
    STREAM_REDELIVER = 90, /* group, consumer, i64 now, (ID)…: its pending ones, once more. */
    STREAM_ACK = 91,       /* group, (ID)…: no longer pending; counts them. */
    /* group, consumer (made if absent), i64 now, ID (the group's last delivered is at least this),
     * then (ID, i64 time, u64 count)…: become the consumer's, pending or not before. */
    STREAM_CLAIM = 92,
};

#endif
