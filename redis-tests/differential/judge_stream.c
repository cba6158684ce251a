/* Both replies are tidied, then compared:
 *   - "inactive" and "active-time" go: they came with 7.2;
 *   - consumers without pending entries go, and the count of consumers: since 7.2 XREADGROUP,
 * XCLAIM and XAUTOCLAIM make the consumer even if it gets nothing;
 *   - "radix-tree-nodes" goes: it describes the inside of Redis's tree;
 *   - times and idle times may differ by as long as a run of commands takes, and so may IDs that
 *     were drawn from the clock.
 */
#include "redis-tests/differential/judge_stream.h"

#include <stdlib.h>

#define TOLERANCE_MS 60000

static bool is(const struct reply *reply, const char *text)
{
    return reply->type == '$' && bytes_equal(reply->text, bytes_of_text(text));
}

static bool collection(const struct reply *reply)
{
    return reply->type == '*' || reply->type == '%';
}

/* The value of a field, in an array or map of pairs; NULL: no such field. */
static struct reply *field(const struct reply *reply, const char *name)
{
    for (size_t i = 0; collection(reply) && i + 1 < reply->count; i += 2) {
        if (is(&reply->items[i], name)) {
            return &reply->items[i + 1];
        }
    }
    return NULL;
}

static void field_drop(struct reply *reply, const char *name)
{
    struct reply *value = field(reply, name);
    if (value != NULL) {
        size_t index = (size_t)(value - reply->items) - 1;
        memmove(reply->items + index, reply->items + index + 2,
                (reply->count - index - 2) * sizeof(reply->items[0]));
        reply->count -= 2;
    }
}

static bool zero(const struct reply *reply)
{
    int64_t value;
    return reply != NULL && reply_integer(reply, &value) && value == 0;
}

/* Whether it is a consumer of XINFO that has nothing. */
static bool idle_consumer(const struct reply *reply)
{
    if (field(reply, "name") == NULL || field(reply, "last-delivered-id") != NULL) {
        return false;
    }
    return zero(field(reply, "pel-count")) ||
           (field(reply, "pel-count") == NULL && zero(field(reply, "pending")));
}

static void tidy(struct reply *reply)
{
    if (!collection(reply)) {
        return;
    }
    if (field(reply, "name") != NULL) {
        field_drop(reply, "inactive");
        field_drop(reply, "active-time");
        struct reply *consumers = field(reply, "consumers");
        if (consumers != NULL && !collection(consumers)) {
            field_drop(reply, "consumers");
        }
    }
    field_drop(reply, "radix-tree-nodes");
    size_t kept = 0;
    for (size_t i = 0; i < reply->count; i++) {
        tidy(&reply->items[i]);
        if (!idle_consumer(&reply->items[i])) {
            reply->items[kept++] = reply->items[i];
        }
    }
    reply->count = kept;
}

static bool near(const struct reply *theirs, const struct reply *ours)
{
    int64_t a;
    int64_t b;
    return reply_integer(theirs, &a) && reply_integer(ours, &b) && llabs(a - b) <= TOLERANCE_MS;
}

/* Whether item `index` of the collection is a time: after a field's name, or the third or fourth of
 * a pending entry, [ID, consumer, time, deliveries] or [ID, time, deliveries]. */
static bool is_time(const struct reply *reply, size_t index)
{
    if (index > 0 &&
        (is(&reply->items[index - 1], "idle") || is(&reply->items[index - 1], "seen-time"))) {
        return true;
    }
    bool pending = (reply->count == 3 || reply->count == 4) && reply->type == '*' &&
                   reply->items[0].type == '$' &&
                   memchr(reply->items[0].text.data, '-', reply->items[0].text.size) != NULL;
    return pending && index == reply->count - 2 && reply->items[index + 1].type == ':';
}

/* IDs from the clock: Unix milliseconds have 13 digits. */
static bool near_ids(const struct reply *theirs, const struct reply *ours)
{
    const struct reply *both[] = {theirs, ours};
    int64_t ms[2];
    for (size_t i = 0; i < 2; i++) {
        struct bytes text = both[i]->text;
        const char *dash = text.size == 0 ? NULL : memchr(text.data, '-', text.size);
        if (both[i]->type != '$' || dash == NULL || dash - (const char *)text.data != 13 ||
            !bytes_to_int64(bytes_slice(text, 0, 13), &ms[i])) {
            return false;
        }
    }
    return llabs(ms[0] - ms[1]) <= TOLERANCE_MS;
}

static bool same(const struct reply *theirs, const struct reply *ours)
{
    if (theirs->type != ours->type || theirs->null != ours->null || theirs->count != ours->count) {
        return false;
    }
    if (!collection(theirs)) {
        return reply_equal(theirs, ours) || near_ids(theirs, ours);
    }
    for (size_t i = 0; i < theirs->count; i++) {
        if (!(is_time(theirs, i) ? near(&theirs->items[i], &ours->items[i])
                                 : same(&theirs->items[i], &ours->items[i]))) {
            return false;
        }
    }
    return true;
}

bool judge_stream_agrees(struct reply *theirs, struct reply *ours, bool nodes)
{
    if (!nodes) {
        field_drop(theirs, "radix-tree-keys");
        field_drop(ours, "radix-tree-keys");
    }
    tidy(theirs);
    tidy(ours);
    return same(theirs, ours);
}
