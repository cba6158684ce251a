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
    /* v count: the first ones go; counts them. u8 1: the last node of them stays, empty. */
    STREAM_TRIM = 82,
    STREAM_SETID = 83,           /* ID last, u64 entries added, ID greatest deleted. */
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

/* The packed, empty value of a key that is not there. */
struct value stream_empty(void);

struct stream_summary {
    struct stream_id last, max_deleted;
    uint64_t count, added;
    uint64_t nodes;
    size_t groups;
};
struct stream_summary stream_summary(const struct value *value);

/* An entry; lent until the stream changes, or while its part is referenced. */
struct stream_entry {
    struct stream_id id;
    uint64_t field_count;
    struct bytes names, fields; /* For stream_entry_next alone. */
    uint64_t left;
    struct part *part; /* NULL: as packed bytes are. */
    char rooms[2][INT64_TEXT_MAX];
};
/* The fields one after the other, lent as the entry is or until the next call; false: no more. */
bool stream_entry_next(struct stream_entry *entry, struct bytes *name_out, struct bytes *value_out);

/* Calls fn for up to `count` entries with from ≤ ID ≤ to, ascending, or descending if backwards. A
 * status other than ST_OK ends the walk and is returned. */
typedef enum status (*stream_entry_fn)(void *ctx, struct stream_entry *entry);
enum status stream_walk(const struct value *value, struct stream_id from, struct stream_id to,
                        uint64_t count, bool backwards, stream_entry_fn fn, void *ctx);
/* How many entries that walk would give. */
enum status stream_count(const struct value *value, struct stream_id from, struct stream_id to,
                         uint64_t count, uint64_t *count_out);
/* 0-0: there is none. */
enum status stream_first(const struct value *value, struct stream_id *id_out);

/* How many of the first entries a trimming takes, as Redis 7.2 has it. */
struct stream_trim {
    bool by_id;          /* MINID, else MAXLEN. */
    bool whole;          /* "~": whole nodes only. */
    uint64_t length;     /* Entries that stay. */
    struct stream_id id; /* The first that stays. */
    uint64_t limit;      /* Take no more than this; 0: no limit. */
};
/* *keep_out: a node that is emptied stays, since it once had an entry that would have stayed. */
enum status stream_trim_count(const struct value *value, const struct stream_trim *trim,
                              uint64_t *count_out, bool *keep_out);

/* -- Groups: lent until the stream changes ----------------------------------------------------- */

struct stream_group;
struct stream_consumer;

struct stream_group_view {
    struct bytes name;
    struct stream_id last;
    int64_t entries_read;
    uint64_t pending;
    size_t consumers;
};
struct stream_consumer_view {
    struct bytes name;
    int64_t seen_ms, active_ms;
    uint64_t pending;
};
struct stream_pending {
    struct stream_id id;
    const struct stream_consumer *consumer;
    int64_t delivered_ms;
    uint64_t deliveries;
};

/* NULL: no such group, consumer. */
const struct stream_group *stream_group(const struct value *value, struct bytes name);
/* In the order of their names; index < groups. */
const struct stream_group *stream_group_at(const struct value *value, size_t index);
struct stream_group_view stream_group_view(const struct stream_group *group);
const struct stream_consumer *stream_consumer(const struct stream_group *group, struct bytes name);
const struct stream_consumer *stream_consumer_at(const struct stream_group *group, size_t index);
struct stream_consumer_view stream_consumer_view(const struct stream_consumer *consumer);

/* Entries ever added that the group has not read, if that is known; as XINFO GROUPS of 7.2 has it.
 */
enum status stream_group_lag(const struct value *value, const struct stream_group *group,
                             int64_t *lag_out, bool *known_out);

/* Calls fn for pending entries with from ≤ ID ≤ to, ascending, of one consumer or (NULL) all. fn
 * ends the walk by *more = false. */
typedef enum status (*stream_pending_fn)(void *ctx, const struct stream_pending *pending,
                                         bool *more);
enum status stream_pending_walk(const struct stream_group *group,
                                const struct stream_consumer *consumer, struct stream_id from,
                                struct stream_id to, stream_pending_fn fn, void *ctx);
enum status stream_pending_find(const struct stream_group *group, struct stream_id id,
                                struct stream_pending *pending_out, bool *found_out);
/* The greatest pending ID; 0-0: none. */
enum status stream_pending_last(const struct stream_group *group, struct stream_id *id_out);

/* Walks everything; for tests. */
bool stream_check(const struct value *value);

#endif
