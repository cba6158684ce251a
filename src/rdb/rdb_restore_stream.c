/* Streams: payload → encoded form (engine/value/stream.h).
 *
 *   count of nodes; for each: ID of its first entry (16 bytes, big-endian), a listpack of
 *       count of entries, count of deleted ones, count of master fields, their names, 0
 *       for each entry: flags, ms and seq beyond the node's ID, and unless its fields are the
 *           master's their count; values, or names and values; count of these elements
 *   count of entries, last ID, and since version 2: first ID, greatest deleted ID, entries added
 *   count of groups; for each: name, last delivered ID, since version 2: entries read
 *       count of pending entries; for each: ID (16 bytes), u64 delivery time, delivery count
 *       count of consumers; for each: name, u64 seen, since version 3: u64 active,
 *           count of its pending entries, their IDs
 *
 * IDs are two lengths unless it says bytes. The encoded form repeats field names at each entry,
 * which a hostile payload may use to grow without end; rdb_give_bytes knows the bound.
 */
#include "src/rdb/rdb_private.h"

#include <stdlib.h>

#define NO_OWNER UINT64_MAX

struct stream_facts {
    uint64_t count; /* Entries found. */
    struct rdb_id first, last, deleted;
    uint64_t added;
};

static enum status take_id(struct rdb_reader *reader, struct rdb_id *id_out)
{
    enum status status = rdb_take_length(reader, &id_out->ms);
    return status == ST_OK ? rdb_take_length(reader, &id_out->seq) : status;
}

static enum status take_raw_id(struct rdb_reader *reader, struct rdb_id *id_out)
{
    struct bytes bytes;
    enum status status = rdb_take_bytes(reader, 16, &bytes);
    if (status == ST_OK) {
        const unsigned char *at = bytes.data;
        id_out->ms = __builtin_bswap64(load_u64(at));
        id_out->seq = __builtin_bswap64(load_u64(at + 8));
    }
    return status;
}

static enum status give_id(struct rdb_reader *reader, struct rdb_id id)
{
    enum status status = rdb_give_u64(reader, id.ms);
    return status == ST_OK ? rdb_give_u64(reader, id.seq) : status;
}

/* -- Entries --------------------------------------------------------------------------------- */

/* A walk over one node. The master fields are read again from `master` at each entry that has
 * them. */
struct node {
    struct pack pack;
    struct pack master; /* Stands before the first master field. */
    struct rdb_id id;
    int64_t fields;
    int64_t live, dead; /* Entries still to come. */
};

static enum status node_open(struct rdb_reader *reader, struct node *node)
{
    struct bytes id_bytes;
    struct bytes block;
    int64_t end_mark = 0;
    enum status status = rdb_take_string(reader, &id_bytes);
    if (status == ST_OK && id_bytes.size != 16) {
        status = ST_CORRUPT;
    }
    if (status != ST_OK) {
        return status;
    }
    node->id.ms = __builtin_bswap64(load_u64(id_bytes.data));
    node->id.seq = __builtin_bswap64(load_u64((const char *)id_bytes.data + 8));
    status = rdb_take_string(reader, &block);
    if (status == ST_OK) {
        status = pack_open(&node->pack, PACK_LISTPACK, block);
    }
    int64_t *const heads[] = {&node->live, &node->dead, &node->fields};
    for (size_t i = 0; i < 3 && status == ST_OK; i++) {
        status = pack_take_int64(&node->pack, heads[i]);
        if (status == ST_OK && *heads[i] < 0) {
            status = ST_CORRUPT;
        }
    }
    node->master = node->pack;
    for (int64_t i = 0; status == ST_OK && i < node->fields; i++) {
        struct bytes name;
        status = pack_take(&node->pack, &name);
    }
    if (status == ST_OK) {
        status = pack_take_int64(&node->pack, &end_mark);
    }
    return status == ST_OK && end_mark != 0 ? ST_CORRUPT : status;
}

/* The next element of a pack, given if it is wanted. */
static enum status pass(struct rdb_reader *reader, struct pack *pack, bool gives)
{
    struct bytes element;
    enum status status = pack_take(pack, &element);
    return status == ST_OK && gives ? rdb_give_sized(reader, element) : status;
}

/* Names and values of an entry; nothing is given of one that is deleted. */
static enum status give_fields(struct rdb_reader *reader, struct node *node, bool same,
                               int64_t fields, bool gives)
{
    struct pack master = node->master;
    enum status status = gives ? rdb_give_varint(reader, (uint64_t)fields) : ST_OK;
    for (int64_t i = 0; i < fields && status == ST_OK; i++) {
        status = pass(reader, same ? &master : &node->pack, gives);
        if (status == ST_OK) {
            status = pass(reader, &node->pack, gives);
        }
    }
    return status;
}

static enum status node_entry(struct rdb_reader *reader, struct node *node,
                              struct stream_facts *facts)
{
    int64_t heads[3]; /* Flags, ms, seq. */
    enum status status = ST_OK;
    for (size_t i = 0; i < 3 && status == ST_OK; i++) {
        status = pack_take_int64(&node->pack, &heads[i]);
    }
    if (status != ST_OK) {
        return status;
    }
    bool deleted = (heads[0] & RDB_ENTRY_DELETED) != 0;
    bool same = (heads[0] & RDB_ENTRY_SAME_FIELDS) != 0;
    struct rdb_id id = {node->id.ms + (uint64_t)heads[1], node->id.seq + (uint64_t)heads[2]};
    int64_t fields = node->fields;
    if (!same) {
        status = pack_take_int64(&node->pack, &fields);
    }
    /* Counts of elements end at what a block can hold, so nothing below overflows. */
    if (status != ST_OK || heads[0] < 0 || heads[0] > 3 || fields < 1 || fields > UINT32_MAX) {
        return status != ST_OK ? status : ST_CORRUPT;
    }
    if (!deleted) {
        facts->first = facts->count == 0 ? id : facts->first;
        facts->count++;
        status = give_id(reader, id);
    }
    int64_t elements = 0;
    if (status == ST_OK) {
        status = give_fields(reader, node, same, fields, !deleted);
    }
    if (status == ST_OK) {
        status = pack_take_int64(&node->pack, &elements);
    }
    if (status == ST_OK && elements != (same ? 3 + fields : 4 + 2 * fields)) {
        status = ST_CORRUPT;
    }
    int64_t *left = deleted ? &node->dead : &node->live;
    *left -= 1;
    return status == ST_OK && *left < 0 ? ST_CORRUPT : status;
}

static enum status give_node(struct rdb_reader *reader, struct stream_facts *facts)
{
    struct node node;
    enum status status = node_open(reader, &node);
    while (status == ST_OK && (node.live > 0 || node.dead > 0)) {
        status = node_entry(reader, &node, facts);
    }
    struct bytes element;
    bool more = false;
    if (status == ST_OK) {
        status = pack_next(&node.pack, &element, &more);
    }
    return more ? ST_CORRUPT : status;
}

/* -- Groups ---------------------------------------------------------------------------------- */

/* Version 1 did not say how many entries a group has read. Where nothing was ever deleted, which is
 * what such a stream is taken for, the ends tell it. */
static uint64_t entries_read_guess(const struct stream_facts *facts, struct rdb_id delivered)
{
    if (facts->count == 0 || rdb_id_compare(delivered, facts->last) == 0) {
        return facts->added;
    }
    if (rdb_id_compare(delivered, facts->last) > 0) {
        return UINT64_MAX;
    }
    int order = rdb_id_compare(delivered, facts->first);
    return order < 0 ? 0 : order == 0 ? 1 : UINT64_MAX;
}

struct pending {
    struct rdb_id id;
    uint64_t owner, time_ms, deliveries;
};

/* Gathers the rows of a group's pending entries; IDs ascend. */
static enum status take_pending(struct rdb_reader *reader, struct buf *rows)
{
    uint64_t count = 0;
    enum status status = rdb_take_length(reader, &count);
    struct rdb_id last = {0, 0};
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        struct pending row = {.owner = NO_OWNER};
        status = take_raw_id(reader, &row.id);
        if (status == ST_OK) {
            status = rdb_take_u64(reader, &row.time_ms);
        }
        if (status == ST_OK) {
            status = rdb_take_length(reader, &row.deliveries);
        }
        if (status == ST_OK && i > 0 && rdb_id_compare(last, row.id) >= 0) {
            status = ST_CORRUPT;
        }
        last = row.id;
        if (status == ST_OK) {
            status = buf_append(rows, bytes_of(&row, sizeof(row)));
        }
    }
    return status;
}

static int pending_compare(const void *a, const void *b)
{
    return rdb_id_compare(((const struct pending *)a)->id, ((const struct pending *)b)->id);
}

/* Reads a consumer's IDs: each one pending, and nobody else's. */
static enum status take_owned(struct rdb_reader *reader, uint64_t owner, struct buf *rows)
{
    uint64_t count = 0;
    enum status status = rdb_take_length(reader, &count);
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        struct pending sought = {.owner = NO_OWNER};
        status = take_raw_id(reader, &sought.id);
        if (status != ST_OK) {
            break;
        }
        struct pending *row = rows->size == 0
                                  ? NULL
                                  : bsearch(&sought, rows->data, rows->size / sizeof(*row),
                                            sizeof(*row), pending_compare);
        if (row == NULL || row->owner != NO_OWNER) {
            status = ST_CORRUPT;
        } else {
            row->owner = owner;
        }
    }
    return status;
}

static enum status give_consumer(struct rdb_reader *reader, enum rdb_type type, uint64_t index,
                                 struct buf *rows)
{
    struct bytes name;
    uint64_t seen_ms = 0;
    enum status status = rdb_take_string(reader, &name);
    if (status == ST_OK) {
        status = rdb_give_sized(reader, name);
    }
    if (status == ST_OK) {
        status = rdb_take_u64(reader, &seen_ms);
    }
    uint64_t active_ms = seen_ms; /* The best that is known of elder versions. */
    if (status == ST_OK && type == RDB_STREAM_LISTPACKS_3) {
        status = rdb_take_u64(reader, &active_ms);
    }
    if (status == ST_OK) {
        status = rdb_give_u64(reader, seen_ms);
    }
    if (status == ST_OK) {
        status = rdb_give_u64(reader, active_ms);
    }
    return status == ST_OK ? take_owned(reader, index, rows) : status;
}

static enum status give_pending(struct rdb_reader *reader, const struct buf *rows)
{
    const struct pending *row = (const struct pending *)rows->data;
    size_t count = rows->size / sizeof(*row);
    enum status status = rdb_give_varint(reader, count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = row[i].owner == NO_OWNER ? ST_CORRUPT : give_id(reader, row[i].id);
        if (status == ST_OK) {
            status = rdb_give_varint(reader, row[i].owner);
        }
        if (status == ST_OK) {
            status = rdb_give_u64(reader, row[i].time_ms);
        }
        if (status == ST_OK) {
            status = rdb_give_u64(reader, row[i].deliveries);
        }
    }
    return status;
}

/* All of a group behind its name. */
static enum status give_group(struct rdb_reader *reader, enum rdb_type type,
                              const struct stream_facts *facts, struct buf *rows)
{
    struct rdb_id delivered;
    uint64_t entries_read;
    uint64_t consumers = 0;
    enum status status = take_id(reader, &delivered);
    if (status == ST_OK && type == RDB_STREAM_LISTPACKS) {
        entries_read = entries_read_guess(facts, delivered);
    } else if (status == ST_OK) {
        status = rdb_take_length(reader, &entries_read);
    }
    if (status == ST_OK) {
        status = give_id(reader, delivered);
    }
    if (status == ST_OK) {
        status = rdb_give_u64(reader, entries_read);
    }
    if (status == ST_OK) {
        status = take_pending(reader, rows);
    }
    if (status == ST_OK) {
        status = rdb_take_length(reader, &consumers);
    }
    if (status == ST_OK) {
        status = rdb_give_varint(reader, consumers);
    }
    for (uint64_t i = 0; i < consumers && status == ST_OK; i++) {
        status = give_consumer(reader, type, i, rows);
    }
    return status == ST_OK ? give_pending(reader, rows) : status;
}

static enum status give_groups(struct rdb_reader *reader, enum rdb_type type,
                               const struct stream_facts *facts)
{
    struct buf rows = BUF_EMPTY;
    uint64_t groups = 0;
    enum status status = rdb_take_length(reader, &groups);
    if (status == ST_OK) {
        status = rdb_give_varint(reader, groups);
    }
    for (uint64_t i = 0; i < groups && status == ST_OK; i++) {
        struct bytes name;
        rows.size = 0;
        status = rdb_take_string(reader, &name);
        if (status == ST_OK) {
            status = rdb_give_sized(reader, name);
        }
        if (status == ST_OK) {
            status = give_group(reader, type, facts, &rows);
        }
    }
    buf_deinit(&rows);
    return status;
}

/* -- The stream ------------------------------------------------------------------------------ */

/* What stands between the entries and the groups. */
static enum status take_facts(struct rdb_reader *reader, enum rdb_type type,
                              struct stream_facts *facts)
{
    uint64_t count;
    struct rdb_id first; /* The entries tell it. */
    enum status status = rdb_take_length(reader, &count);
    if (status == ST_OK && count != facts->count) {
        status = ST_CORRUPT;
    }
    if (status == ST_OK) {
        status = take_id(reader, &facts->last);
    }
    facts->added = facts->count;
    if (type == RDB_STREAM_LISTPACKS) {
        return status;
    }
    if (status == ST_OK) {
        status = take_id(reader, &first);
    }
    if (status == ST_OK) {
        status = take_id(reader, &facts->deleted);
    }
    return status == ST_OK ? rdb_take_length(reader, &facts->added) : status;
}

static enum status put_front(const struct stream_facts *facts, struct buf *front)
{
    const uint64_t words[] = {facts->last.ms, facts->last.seq, facts->deleted.ms,
                              facts->deleted.seq, facts->added};
    unsigned char bytes[VARINT_MAX];
    enum status status = rdb_put_byte(front, VALUE_STREAM);
    if (status == ST_OK) {
        status = buf_append(front, bytes_of(bytes, varint_store(bytes, facts->count)));
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && status == ST_OK; i++) {
        status = rdb_put_u64(front, words[i]);
    }
    return status;
}

enum status rdb_restore_stream(struct rdb_reader *reader, enum rdb_type type, struct buf *front)
{
    struct stream_facts facts = {.count = 0};
    uint64_t nodes = 0;
    enum status status = rdb_take_length(reader, &nodes);
    for (uint64_t i = 0; i < nodes && status == ST_OK; i++) {
        status = give_node(reader, &facts);
    }
    if (status == ST_OK) {
        status = take_facts(reader, type, &facts);
    }
    if (status == ST_OK) {
        status = put_front(&facts, front);
    }
    return status == ST_OK ? give_groups(reader, type, &facts) : status;
}
