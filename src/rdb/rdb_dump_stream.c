/* Streams: encoded form → payload, as rdb_restore_stream.c draws both.
 *
 * A node's listpack begins with its count of entries, which is known last, so the entries go into a
 * buffer of their own: elements of a listpack do not know where they stand. */
#include "src/rdb/rdb_private.h"

#include "engine/base/check.h"

/* Where configuration sets no limit of a node. */
#define NODE_SIZE_MAX (1u << 20)
#define NODE_ENTRIES_MAX 10000

static struct rdb_id encoded_id(struct bytes *in)
{
    struct rdb_id id;
    id.ms = encoded_u64(in);
    id.seq = encoded_u64(in);
    return id;
}

static enum status put_id(struct buf *out, struct rdb_id id)
{
    enum status status = rdb_put_length(out, id.ms);
    return status == ST_OK ? rdb_put_length(out, id.seq) : status;
}

static enum status put_raw_id(struct buf *out, struct rdb_id id)
{
    enum status status = rdb_put_u64(out, __builtin_bswap64(id.ms));
    return status == ST_OK ? rdb_put_u64(out, __builtin_bswap64(id.seq)) : status;
}

/* -- Entries --------------------------------------------------------------------------------- */

struct entry_view {
    struct rdb_id id;
    uint64_t fields;
    struct bytes pairs; /* From the first field on; goes further than the entry. */
};

/* Moves *in past it. */
static struct entry_view entry_take(struct bytes *in)
{
    struct entry_view entry;
    entry.id = encoded_id(in);
    entry.fields = encoded_varint(in);
    entry.pairs = *in;
    for (uint64_t i = 0; i < 2 * entry.fields; i++) {
        encoded_sized(in);
    }
    return entry;
}

static bool same_fields(const struct entry_view *a, const struct entry_view *b)
{
    struct bytes first = a->pairs;
    struct bytes second = b->pairs;
    bool same = a->fields == b->fields;
    for (uint64_t i = 0; i < a->fields && same; i++) {
        same = bytes_equal(encoded_sized(&first), encoded_sized(&second));
        encoded_sized(&first);
        encoded_sized(&second);
    }
    return same;
}

static enum status add_entry(struct listpack *to, const struct entry_view *master,
                             const struct entry_view *entry)
{
    bool same = same_fields(master, entry);
    const uint64_t heads[] = {same ? RDB_ENTRY_SAME_FIELDS : 0, entry->id.ms - master->id.ms,
                              entry->id.seq - master->id.seq, entry->fields};
    size_t head_count = same ? 3 : 4;
    enum status status = ST_OK;
    for (size_t i = 0; i < head_count && status == ST_OK; i++) {
        status = listpack_add_int64(to, (int64_t)heads[i]);
    }
    struct bytes pairs = entry->pairs;
    for (uint64_t i = 0; i < entry->fields && status == ST_OK; i++) {
        struct bytes name = encoded_sized(&pairs);
        status = same ? ST_OK : listpack_add(to, name);
        if (status == ST_OK) {
            status = listpack_add(to, encoded_sized(&pairs));
        }
    }
    uint64_t elements = head_count + (same ? 1 : 2) * entry->fields;
    return status == ST_OK ? listpack_add_int64(to, (int64_t)elements) : status;
}

/* Entries for one node. */
struct node_limits {
    uint64_t size_max, entries_max;
};

/* Makes the node's listpack in `block`, with room for entries in `body`; takes what it holds. */
static enum status make_node(struct bytes *in, uint64_t *left, const struct node_limits *limits,
                             struct buf *block, struct buf *body, struct rdb_id *first_out)
{
    struct listpack entries;
    struct listpack whole;
    struct bytes look = *in;
    struct entry_view master = entry_take(&look);
    uint64_t count = 0;
    block->size = 0;
    body->size = 0;
    enum status status = listpack_begin(&entries, body);
    while (status == ST_OK && *left > 0 && count < limits->entries_max &&
           (count == 0 || listpack_size(&entries) < limits->size_max)) {
        struct entry_view entry = entry_take(in);
        status = add_entry(&entries, &master, &entry);
        *left -= 1;
        count++;
    }
    if (status == ST_OK) {
        status = listpack_begin(&whole, block);
    }
    const uint64_t heads[] = {count, 0, master.fields};
    for (size_t i = 0; i < 3 && status == ST_OK; i++) {
        status = listpack_add_int64(&whole, (int64_t)heads[i]);
    }
    struct bytes pairs = master.pairs;
    for (uint64_t i = 0; i < master.fields && status == ST_OK; i++) {
        status = listpack_add(&whole, encoded_sized(&pairs));
        encoded_sized(&pairs);
    }
    if (status == ST_OK) {
        status = listpack_add_int64(&whole, 0);
    }
    if (status == ST_OK) {
        status = listpack_join(&whole, &entries);
    }
    *first_out = master.id;
    return status == ST_OK ? listpack_end(&whole) : status;
}

static enum status put_node(struct buf *out, struct rdb_id first, const struct buf *block)
{
    enum status status = rdb_put_length(out, 16);
    if (status == ST_OK) {
        status = put_raw_id(out, first);
    }
    if (status == ST_OK) {
        status = rdb_put_length(out, block->size);
    }
    return status == ST_OK ? buf_append(out, buf_bytes(block)) : status;
}

/* Appends all nodes to `nodes`; moves *in past the entries. */
static enum status make_nodes(struct bytes *in, uint64_t entries, const struct node_limits *limits,
                              struct buf *nodes, uint64_t *count_out)
{
    struct buf block = BUF_EMPTY;
    struct buf body = BUF_EMPTY;
    uint64_t count = 0;
    enum status status = ST_OK;
    while (entries > 0 && status == ST_OK) {
        struct rdb_id first;
        status = make_node(in, &entries, limits, &block, &body, &first);
        if (status == ST_OK) {
            status = put_node(nodes, first, &block);
        }
        count++;
    }
    *count_out = count;
    buf_deinit(&block);
    buf_deinit(&body);
    return status;
}

/* -- Groups ---------------------------------------------------------------------------------- */

struct pending_view {
    struct rdb_id id;
    uint64_t owner, time_ms, deliveries;
};

static struct pending_view pending_take(struct bytes *in)
{
    struct pending_view row;
    row.id = encoded_id(in);
    row.owner = encoded_varint(in);
    row.time_ms = encoded_u64(in);
    row.deliveries = encoded_u64(in);
    return row;
}

/* For each consumer, then once more for the end: where its rows begin in an array of all rows
 * ordered by consumer; and that array. Counted and dealt out, so it is linear. */
struct dealt {
    struct buf starts; /* uint64_t */
    struct buf ids;    /* struct rdb_id */
};

static enum status deal(struct bytes rows, uint64_t row_count, uint64_t consumers,
                        struct dealt *dealt)
{
    size_t starts_size = ((size_t)consumers + 2) * sizeof(uint64_t);
    unsigned char *memory = buf_extend(&dealt->starts, starts_size);
    if (memory == NULL ||
        buf_reserve(&dealt->ids, (size_t)row_count * sizeof(struct rdb_id)) != ST_OK) {
        return ST_NOMEM;
    }
    uint64_t *starts = (uint64_t *)memory;
    struct rdb_id *ids = (struct rdb_id *)dealt->ids.data;
    memset(starts, 0, starts_size);
    struct bytes look = rows;
    for (uint64_t i = 0; i < row_count; i++) {
        struct pending_view row = pending_take(&look);
        CHECK(row.owner < consumers);
        starts[row.owner + 2]++;
    }
    for (uint64_t i = 2; i < consumers + 2; i++) {
        starts[i] += starts[i - 1];
    }
    for (uint64_t i = 0; i < row_count; i++) { /* starts[owner + 1] runs up to the next one's. */
        struct pending_view row = pending_take(&rows);
        ids[starts[row.owner + 1]++] = row.id;
    }
    return ST_OK;
}

static enum status put_pending(struct buf *out, struct bytes rows, uint64_t count)
{
    enum status status = rdb_put_length(out, count);
    for (; count > 0 && status == ST_OK; count--) {
        struct pending_view row = pending_take(&rows);
        status = put_raw_id(out, row.id);
        if (status == ST_OK) {
            status = rdb_put_u64(out, row.time_ms);
        }
        if (status == ST_OK) {
            status = rdb_put_length(out, row.deliveries);
        }
    }
    return status;
}

static enum status put_consumer(struct buf *out, struct bytes *in, const struct dealt *dealt,
                                uint64_t index)
{
    const uint64_t *starts = (const uint64_t *)dealt->starts.data;
    const struct rdb_id *ids = (const struct rdb_id *)dealt->ids.data;
    enum status status = rdb_put_string(out, encoded_sized(in));
    if (status == ST_OK) {
        status = rdb_put_u64(out, encoded_u64(in)); /* Seen. */
    }
    encoded_u64(in); /* When it was active has no place in this version. */
    if (status == ST_OK) {
        status = rdb_put_length(out, starts[index + 1] - starts[index]);
    }
    for (uint64_t i = starts[index]; i < starts[index + 1] && status == ST_OK; i++) {
        status = put_raw_id(out, ids[i]);
    }
    return status;
}

/* Pending entries come before consumers here and behind them in the encoded form. */
static enum status put_group(struct buf *out, struct bytes *in)
{
    struct dealt dealt = {.starts = BUF_EMPTY, .ids = BUF_EMPTY};
    enum status status = rdb_put_string(out, encoded_sized(in));
    if (status == ST_OK) {
        status = put_id(out, encoded_id(in));
    }
    if (status == ST_OK) {
        status = rdb_put_length(out, encoded_u64(in)); /* Entries read. */
    }
    if (status != ST_OK) {
        return status;
    }
    uint64_t consumers = encoded_varint(in);
    struct bytes consumer_rows = *in;
    for (uint64_t i = 0; i < consumers; i++) {
        encoded_sized(in);
        encoded_bytes(in, 16);
    }
    uint64_t pending = encoded_varint(in);
    struct bytes pending_rows = *in;
    for (uint64_t i = 0; i < pending; i++) {
        pending_take(in);
    }
    status = deal(pending_rows, pending, consumers, &dealt);
    if (status == ST_OK) {
        status = put_pending(out, pending_rows, pending);
    }
    if (status == ST_OK) {
        status = rdb_put_length(out, consumers);
    }
    for (uint64_t i = 0; i < consumers && status == ST_OK; i++) {
        status = put_consumer(out, &consumer_rows, &dealt, i);
    }
    buf_deinit(&dealt.starts);
    buf_deinit(&dealt.ids);
    return status;
}

/* -- The stream ------------------------------------------------------------------------------ */

static struct node_limits node_limits_of(const struct value_limits *limits)
{
    int64_t size = limits->stream_node_max_bytes;
    int64_t entries = limits->stream_node_max_entries;
    bool size_set = size > 0 && size < NODE_SIZE_MAX;
    bool entries_set = entries > 0 && entries < NODE_ENTRIES_MAX;
    return (struct node_limits){.size_max = size_set ? (uint64_t)size : NODE_SIZE_MAX,
                                .entries_max = entries_set ? (uint64_t)entries : NODE_ENTRIES_MAX};
}

static enum status put_nodes(struct buf *out, struct bytes *in, uint64_t entries,
                             const struct node_limits *limits)
{
    struct buf nodes = BUF_EMPTY;
    uint64_t count;
    enum status status = make_nodes(in, entries, limits, &nodes, &count);
    if (status == ST_OK) {
        status = rdb_put_length(out, count);
    }
    if (status == ST_OK) {
        status = buf_append(out, buf_bytes(&nodes));
    }
    buf_deinit(&nodes);
    return status;
}

enum status rdb_dump_stream(struct bytes body, const struct value_limits *limits, struct buf *out)
{
    struct node_limits node_limits = node_limits_of(limits);
    uint64_t entries = encoded_varint(&body);
    struct rdb_id ids[3]; /* Last, first, greatest deleted. */
    ids[0] = encoded_id(&body);
    ids[2] = encoded_id(&body);
    uint64_t added = encoded_u64(&body);
    struct bytes look = body;
    ids[1] = entries > 0 ? encoded_id(&look) : (struct rdb_id){0, 0};
    enum status status = rdb_put_byte(out, RDB_STREAM_LISTPACKS_2);
    if (status == ST_OK) {
        status = put_nodes(out, &body, entries, &node_limits);
    }
    if (status != ST_OK) {
        return status;
    }
    status = rdb_put_length(out, entries);
    for (size_t i = 0; i < 3 && status == ST_OK; i++) {
        status = put_id(out, ids[i]);
    }
    if (status == ST_OK) {
        status = rdb_put_length(out, added);
    }
    uint64_t groups = encoded_varint(&body);
    if (status == ST_OK) {
        status = rdb_put_length(out, groups);
    }
    for (; groups > 0 && status == ST_OK; groups--) {
        status = put_group(out, &body);
    }
    return status;
}
