/* streams_private: what the files of the stream family share.
 *
 *     streams.c         entries: add, ranges, delete, trim; the rows
 *     streams_ids.c     IDs and intervals in arguments, entries in replies
 *     streams_read.c    XREAD, XREADGROUP
 *     streams_groups.c  XGROUP, XACK, XPENDING
 *     streams_claim.c   XCLAIM, XAUTOCLAIM
 *     streams_info.c    XINFO
 * Thread: the call's worker.
 */
#ifndef BASIN_SRC_COMMANDS_STREAMS_PRIVATE_H
#define BASIN_SRC_COMMANDS_STREAMS_PRIVATE_H

#include "engine/basin.h"
#include "src/dispatch/call.h"

/* False: the key holds another type, and the error is written. */
bool streams_fits(struct call *call, const struct value *value);

/* Reads "ms-seq" or "ms" (then with missing_seq). edges: "-" and "+" too. No reply. */
bool streams_id_read(struct bytes argument, bool edges, uint64_t missing_seq,
                     struct stream_id *id_out);
/* The same; false: the error is written. */
bool streams_id(struct call *call, struct bytes argument, bool edges, uint64_t missing_seq,
                struct stream_id *id_out);
void streams_reply_invalid_id(struct call *call);
/* The next ID up or down; false: there is none. */
bool streams_id_after(struct stream_id *id);
bool streams_id_before(struct stream_id *id);
/* A bound of an interval, "(" in front excludes it. False: the error is written. */
bool streams_start(struct call *call, struct bytes argument, struct stream_id *id_out);
bool streams_end(struct call *call, struct bytes argument, struct stream_id *id_out);

void streams_reply_id(struct call *call, struct stream_id id);
/* A stream_entry_fn; ctx is the call. */
enum status streams_reply_entry(void *ctx, struct stream_entry *entry);
/* Up to count entries with from ≤ ID ≤ to as one array. */
enum status streams_reply_range(struct call *call, const struct value *value, struct stream_id from,
                                struct stream_id to, uint64_t count, bool backwards);

/* Reads key 0 as a stream with this group. NULL: an error is written ("NOGROUP …", in the words of
 * XPENDING, XCLAIM and XAUTOCLAIM), or the status is not ST_OK. */
enum status streams_read_group(struct call *call, struct bytes name, struct value *value_out,
                               const struct stream_group **group_out);

/* Milliseconds since then; 0: it lies ahead, or before 1970. */
int64_t streams_since(const struct call *call, int64_t time_ms);

/* Of a subcommand whose arguments make no sense; repeats its name as it was written. */
void streams_reply_wrong_options(struct call *call);

/* A growing array in the call's arena; data and count belong to the user. */
struct streams_array {
    void *items;
    size_t count, capacity;
};
/* Room for one more item of this size, which is lent; NULL: no memory. */
void *streams_array_add(struct call *call, struct streams_array *array, size_t item_size);

enum status streams_xread(struct call *call);
enum status streams_xreadgroup(struct call *call);
enum status streams_plan_read(struct call *call);
enum status streams_xack(struct call *call);
enum status streams_xpending(struct call *call);
enum status streams_xclaim(struct call *call);
enum status streams_xautoclaim(struct call *call);
extern const struct command streams_xgroup_subcommands[];
extern const struct command streams_xinfo_subcommands[];

/* What Redis says of a command whose reply hangs on more than its arguments. */
extern const char *const streams_tips[];

#define KEYS_STREAM_SUBCOMMAND(key_flags)                                                          \
    {                                                                                              \
        {                                                                                          \
            .flags = (key_flags), .begin = 2, .find = KEY_FIND_RANGE, .last = 0, .step = 1         \
        }                                                                                          \
    }

#endif
