/* stream_private: what the files of the stream share.
 *
 *     stream.c            root, entries, reads, class
 *     stream_groups.c     groups, pending entries
 *     stream_consumers.c  consumers; going back where a part is absent
 *     stream_apply.c      payloads → changes
 *     stream_code.c       the encoded form
 *     stream_root.c       the root form
 *     stream_node.c       the blocks that entries lie in
 */
#ifndef BASIN_ENGINE_VALUE_STREAM_PRIVATE_H
#define BASIN_ENGINE_VALUE_STREAM_PRIVATE_H

#include "engine/value/clast.h"
#include "engine/value/stream_node.h"
#include "engine/value/value_class.h"

struct stream_consumer {
    uint32_t number;
    int64_t seen_ms, active_ms;
    uint64_t pending;
    size_t name_size;
    char name[];
};

struct stream_group {
    struct stream_id last;
    int64_t entries_read;
    struct clast pending;               /* PENDING_SIZE each */
    struct clast owned;                 /* OWNED_SIZE each; may hold more than pending says */
    struct stream_consumer **consumers; /* By name. */
    struct stream_consumer **numbered;  /* By number. */
    size_t consumer_count, consumer_capacity;
    size_t numbered_capacity;
    uint64_t consumer_memory, consumer_encoded;
    size_t name_size;
    char name[];
};

struct stream {
    struct value_root head;
    struct clast entries; /* Nodes. */
    struct stream_id last, max_deleted;
    uint64_t added, count;
    uint64_t encoded;             /* Of the entries, in the encoded form. */
    struct stream_group **groups; /* By name. */
    size_t group_count, group_capacity;
    uint64_t groups_memory, groups_encoded; /* Sums over the groups. */
    struct parts_numbers *dropped;          /* Tables of groups that were destroyed. */
};

/* Pending: ID, u32 consumer's number, i64 time, u64 deliveries. Owned: u32 number big-endian, ID.
 */
#define PENDING_SIZE 36
#define OWNED_SIZE 20
/* Numbers of consumers are below it. */
#define STREAM_CONSUMERS_MAX UINT32_MAX

/* -- stream.c ---------------------------------------------------------------------------------- */

/* NULL: no memory. */
struct stream *stream_new(void);
void stream_drop(struct stream *stream);
struct stream *stream_root(const struct value *value); /* NULL: packed */
/* A higher ID than the last; scratch holds the node meanwhile. */
enum status stream_add(struct stream *stream, struct stream_id id, uint64_t count,
                       struct bytes fields, const struct value_limits *limits, struct buf *scratch);
enum status stream_delete(struct stream *stream, struct stream_id id, struct buf *scratch,
                          bool *deleted_out);
/* The first `count` ≤ stream->count; all or nothing. */
enum status stream_trim(struct stream *stream, uint64_t count, bool keep, struct buf *scratch);
/* The first entry's ID, or the last one's; 0-0: there is none. */
enum status stream_edge(struct stream *stream, bool last, struct stream_id *id_out);

/* -- stream_groups.c --------------------------------------------------------------------------- */

/* *index_out: where it is, or belongs. */
struct stream_group *group_find(const struct stream *stream, struct bytes name, size_t *index_out);
/* ST_NOMEM; the name is not there yet. */
enum status group_create(struct stream *stream, struct bytes name, struct stream_id last,
                         int64_t entries_read, struct stream_group **group_out);
/* ST_NOMEM. */
enum status group_destroy(struct stream *stream, size_t index);
/* Frees at most about `parts` parts of the groups; true: none are left. */
bool groups_free_some(struct stream *stream, size_t parts);
enum status groups_copy(const struct stream *stream, struct stream *copy);

/* All its pending entries go with it. All or nothing. */
enum status consumer_delete(struct stream_group *group, size_t index);

/* Pending for this consumer from now on, whether or not it was for another. */
enum status pending_put(struct stream_group *group, struct stream_id id,
                        struct stream_consumer *consumer, int64_t time_ms, uint64_t deliveries);
enum status pending_remove(struct stream_group *group, struct stream_id id, bool *removed_out);
/* Asks for what a change at this ID will need. consumer: who gets it, or NULL. */
enum status pending_touch(const struct stream_group *group, struct stream_id id,
                          const struct stream_consumer *consumer);
/* Time and deliveries of one that is the consumer's; found_out false: it is not. */
enum status pending_redeliver(struct stream_group *group, struct stream_id id,
                              const struct stream_consumer *consumer, int64_t time_ms,
                              bool *found_out);

/* Tables of the groups; see value_class.h. */
/* Adds up the groups' memory. */
void groups_recount(struct stream *stream);
enum status groups_tables(struct stream *stream, value_table_fn fn, void *ctx);

uint64_t group_memory(const struct stream_group *group);
uint64_t group_encoded_max(const struct stream_group *group);
/* Entries ever read once this ID is the group's last; -1: unknown. first: the stream's. */
int64_t stream_position(const struct stream *stream, struct stream_id id, struct stream_id first);
/* Whether an entry between this ID and the last one may have been deleted. first: the stream's. */
bool stream_holes_after(const struct stream *stream, struct stream_id id, struct stream_id first);
bool groups_check(const struct stream *stream);

/* -- stream_consumers.c ------------------------------------------------------------------------ */

/* Sorted arrays of groups and consumers. Room for one more: ST_NOMEM: it is as it was. */
enum status stream_array_grow(void ***array, size_t count, size_t *capacity);
void stream_array_insert(void **array, size_t count, size_t index, void *item);
void stream_array_remove(void **array, size_t count, size_t index);
uint64_t stream_array_memory(size_t capacity);

struct stream_consumer *consumer_find(const struct stream_group *group, struct bytes name,
                                      size_t *index_out);
enum status consumer_create(struct stream_group *group, struct bytes name, int64_t seen_ms,
                            struct stream_consumer **consumer_out);
/* The same with this number, which nobody has. ST_CORRUPT: somebody has. */
enum status consumer_place(struct stream_group *group, struct bytes name, uint32_t number,
                           struct stream_consumer **consumer_out);
/* NULL: nobody has the number. */
struct stream_consumer *consumer_numbered(const struct stream_group *group, uint32_t number);
/* Another group's gets the same number; both arrays have room. */
enum status consumer_copy(struct stream_group *copy, const struct stream_consumer *consumer);
/* The consumer alone; nothing is said of its pending entries. */
void consumer_drop(struct stream_group *group, size_t index);

/* Consumers' own state and both trees as they are now, to return to where a part turns out to be
 * absent. Made only if parts are absent. */
struct group_fallback {
    bool kept;
    struct clast pending, owned;
    struct stream_id last;
    int64_t entries_read;
    size_t consumer_count;
    struct stream_consumer *consumers; /* By index, without names. */
};
enum status group_keep(const struct stream_group *group, struct group_fallback *fallback);
/* back: the group is what it was; at most one consumer was created meanwhile. */
void group_keep_end(struct stream_group *group, struct group_fallback *fallback, bool back);

/* -- stream_apply.c, stream_code.c ---------------------------------------------------------------
 */

enum status stream_apply(struct value *value, unsigned op, struct bytes payload,
                         const struct value_limits *limits, struct buf *scratch,
                         struct value_change *change_out);
enum status stream_encode(const struct value *value, struct buf *out);
enum status stream_decode(struct bytes body, const struct value_limits *limits, struct buf *scratch,
                          struct value *value_out);
uint64_t stream_encoded_max(const struct value *value);

/* -- stream_root.c: the root form ----------------------------------------------------------------
 */

enum status stream_root_store(const struct value *value, struct buf *out);
enum status stream_root_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                             void **root_out);

#endif
