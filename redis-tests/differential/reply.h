/* reply: RESP2 and RESP3 replies as they stand on the wire, without a client library in between.
 *
 * The meter finds where a reply ends while bytes still arrive; the tree is built only where two
 * replies differ; the text is for people and for the table of explained differences.
 * Thread: any. Memory: trees live in the caller's arena and lend the reply's bytes.
 */
#ifndef BASIN_REDIS_TESTS_REPLY_H
#define BASIN_REDIS_TESTS_REPLY_H

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

/* Zeroed at a reply's first byte, fed with the same bytes and more until it ends. */
struct reply_meter {
    size_t offset;  /* Bytes of the reply that are understood. */
    size_t pending; /* Elements still to come; 0 with offset 0: not begun. */
};

enum reply_progress { REPLY_DONE, REPLY_MORE, REPLY_BAD };

enum reply_progress reply_meter_run(struct reply_meter *meter, struct bytes received);

struct reply {
    char type;         /* The first byte on the wire. */
    bool null;         /* $-1, *-1 or _ */
    struct bytes text; /* Line or bulk. */
    struct reply *items;
    size_t count; /* Of items: keys and values of a map both count. */
};

/* The tree of one whole reply. False: it is malformed. */
bool reply_parse(struct bytes whole, struct arena *arena, struct reply *reply_out);

/* ":1", "$\"text\"", "*[:1 :2]", "-ERR …", with odd bytes as \xNN; cut after limit bytes. */
void reply_text(const struct reply *reply, size_t limit, struct buf *out);
void reply_bytes_text(struct bytes bytes, size_t limit, struct buf *out);

bool reply_equal(const struct reply *a, const struct reply *b);
/* An order over all replies, for comparing collections without order. */
int reply_compare(const void *a, const void *b);
bool reply_integer(const struct reply *reply, int64_t *value_out);
bool reply_is_error(const struct reply *reply);

#endif
