/* stream_node: a block of consecutive entries of a stream, an element of the stream's clast.
 *
 *   0 ID first, 16 ID last (both of the entries ever put in, big-endian: the clast's order)
 *   32 u32 live, 36 u32 deleted entries, 40 u64 size of the live ones in the encoded form
 *   48 u32 size of names, 52 u32 size that Redis's listpack of this node would have
 *   56 names: those of the entry that the node began with, one item each
 *   then the live entries, ascending:
 *       u8 flags: 1 own names, 2 a step in ms follows, 4 a sequence number follows
 *       v ms above the entry before (2); v sequence number (4): above the one before where ms is
 *       the same, else as it is. Without it: one above the one before, or 0 in a new ms.
 *       with own names v count and (name, value)…, else the values alone
 *
 *   item: v head; odd: head / 2 bytes of an integer (zigzag, little-endian) whose decimal text is
 *   meant; even: head / 2 bytes as they are
 *
 * The first live entry counts from the node's first ID. Deleted entries leave no bytes, but count
 * for where the node is full, as they do in Redis 7.2.
 * Nodes come from this module alone (never from disk), so their form is our own promise.
 * Fields are given in the form of payloads: (v size, bytes) for name, value, name, value …
 * Thread: none of this is shared.
 */
#ifndef BASIN_ENGINE_VALUE_STREAM_NODE_H
#define BASIN_ENGINE_VALUE_STREAM_NODE_H

#include "engine/value/stream.h"

#define NODE_HEADER_SIZE 56
/* A node with more is full, whatever the limits say. */
#define NODE_ENTRIES_MAX 1024
#define NODE_SIZE_MAX (64u * 1024)

#define STREAM_ID_SIZE 16
/* Big-endian, as clasts order it. */
void stream_id_store(unsigned char *p, struct stream_id id);
struct stream_id stream_id_load(const unsigned char *p);

struct stream_id node_first(struct bytes node);
struct stream_id node_last(struct bytes node);
uint32_t node_live(struct bytes node);
uint64_t node_encoded(struct bytes node);
/* Whether an entry with these fields belongs into a new node. */
bool node_full(struct bytes node, struct bytes fields, const struct value_limits *limits);

/* What an entry takes in the encoded form. */
uint64_t entry_encoded_size(uint64_t count, struct bytes fields);

/* Appends a node with this one entry of `count` fields to out. */
enum status node_begin(struct buf *out, struct stream_id id, uint64_t count, struct bytes fields);
/* Adds an entry with a higher ID to the node that fills out from `start` on. On failure (ST_NOMEM)
 * out holds what it did. fields do not lie in out. */
enum status node_add(struct buf *out, size_t start, struct stream_id id, uint64_t count,
                     struct bytes fields);
/* Appends to out the node without `count` of its live entries from `index` on. node does not lie in
 * out. */
enum status node_cut(struct bytes node, uint32_t index, uint32_t count, struct buf *out);

struct node_reader {
    struct bytes node, names;
    uint64_t names_count;
    struct stream_id id; /* Of the entry before. */
    size_t offset;
    struct part *part; /* Where the node lies; NULL: nowhere to be referenced. */
};
void node_read(struct node_reader *reader, struct bytes node, struct part *part);
/* False: that was the last. */
bool node_next(struct node_reader *reader, struct stream_entry *entry_out);

#endif
