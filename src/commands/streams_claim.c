/* XCLAIM and XAUTOCLAIM. Both read all they need, then write: entries that were deleted from the
 * stream are taken from what is pending, the others become the consumer's. */
#include "src/commands/streams_private.h"

#include <stdlib.h>

/* Log for names and times besides the entries. */
#define CLAIM_RESERVE 256
#define CLAIM_ENTRY_SIZE 32

struct plan {
    struct streams_array claims; /* struct stream_claim, in the order of the reply */
    struct streams_array gone;   /* struct stream_id: pending, but no longer in the stream */
};

/* Changes as planned. */
static enum status plan_do(struct call *call, const struct plan *plan, struct stream_id last)
{
    struct stream_member member = {call->argv[2], call->argv[3]};
    uint64_t reserve = CLAIM_RESERVE + 2 * (call->argv[1].size + member.group.size) +
                       member.consumer.size + plan->gone.count * sizeof(struct stream_id) +
                       plan->claims.count * CLAIM_ENTRY_SIZE;
    enum status status = txn_reserve(call->txn, reserve);
    if (status == ST_OK && plan->gone.count > 0) {
        status =
            txn_stream_ack(call->txn, 0, member.group, plan->gone.items, plan->gone.count, NULL);
    }
    return status == ST_OK ? txn_stream_claim(call->txn, 0, member, last, plan->claims.items,
                                              plan->claims.count)
                           : status;
}

/* Replies the claimed entries, or their IDs. */
static enum status plan_reply(struct call *call, const struct plan *plan, const struct value *value,
                              bool only_ids)
{
    const struct stream_claim *claims = plan->claims.items;
    enum status status = ST_OK;
    resp_array(call->out, plan->claims.count);
    for (size_t i = 0; i < plan->claims.count && status == ST_OK; i++) {
        if (only_ids) {
            streams_reply_id(call, claims[i].id);
        } else {
            status =
                stream_walk(value, claims[i].id, claims[i].id, 1, false, streams_reply_entry, call);
        }
    }
    return status;
}

static enum status plan_add(struct call *call, struct plan *plan, struct stream_claim claim)
{
    struct stream_claim *place = streams_array_add(call, &plan->claims, sizeof(*place));
    if (place == NULL) {
        return ST_NOMEM;
    }
    *place = claim;
    return ST_OK;
}

static enum status plan_drop(struct call *call, struct plan *plan, struct stream_id id)
{
    struct stream_id *place = streams_array_add(call, &plan->gone, sizeof(*place));
    if (place == NULL) {
        return ST_NOMEM;
    }
    *place = id;
    return ST_OK;
}

static bool min_idle_read(struct call *call, const char *command, int64_t *value_out)
{
    if (!bytes_to_int64(call->argv[4], value_out)) {
        resp_error_format(call->out, "ERR Invalid min-idle-time argument for %s", command);
        return false;
    }
    *value_out = *value_out < 0 ? 0 : *value_out;
    return true;
}

static bool idle_enough(const struct call *call, int64_t time_ms, int64_t min_idle_ms)
{
    return min_idle_ms == 0 || streams_since(call, time_ms) >= min_idle_ms;
}

/* ------------------------------------------------------------------------------------------
 * XCLAIM.
 */

struct claiming {
    int64_t min_idle_ms;
    int64_t time_ms;     /* Of delivery, from now on. */
    int64_t retry_count; /* -1: one more than before. */
    bool force, only_ids;
    struct stream_id last; /* Of the group, at least. */
    struct stream_id *ids;
    size_t id_count;
};

/* A number after the option at argv[*index]. */
static bool number_option(struct call *call, size_t *index, const char *name, int64_t *value_out)
{
    if (!bytes_to_int64(call->argv[++*index], value_out)) {
        resp_error_format(call->out, "ERR Invalid %s option argument for XCLAIM", name);
        return false;
    }
    return true;
}

static bool claim_option(struct call *call, struct claiming *claiming, size_t *index)
{
    struct bytes option = call->argv[*index];
    bool more = *index + 1 < call->argc;
    if (argument_is(option, "force")) {
        claiming->force = true;
        return true;
    }
    if (argument_is(option, "justid")) {
        claiming->only_ids = true;
        return true;
    }
    if (argument_is(option, "idle") && more) {
        int64_t idle = 0;
        if (!number_option(call, index, "IDLE", &idle)) {
            return false;
        }
        claiming->time_ms = (int64_t)(call->now_ms - (uint64_t)idle);
        return true;
    }
    if (argument_is(option, "time") && more) {
        return number_option(call, index, "TIME", &claiming->time_ms);
    }
    if (argument_is(option, "retrycount") && more) {
        return number_option(call, index, "RETRYCOUNT", &claiming->retry_count);
    }
    if (argument_is(option, "lastid") && more) {
        return streams_id(call, call->argv[++*index], false, 0, &claiming->last);
    }
    option = bytes_slice(option, 0, ERROR_WORD_MAX);
    resp_error_format(call->out, "ERR Unrecognized XCLAIM option '%.*s'", (int)option.size,
                      (const char *)option.data);
    return false;
}

/* False: an error is written, or (no_memory_out) there is none. */
static bool claiming_read(struct call *call, struct claiming *claiming, bool *no_memory_out)
{
    *claiming = (struct claiming){.time_ms = (int64_t)call->now_ms, .retry_count = -1};
    *no_memory_out = false;
    if (!min_idle_read(call, "XCLAIM", &claiming->min_idle_ms)) {
        return false;
    }
    claiming->ids = arena_alloc(call->arena, (call->argc - 5) * sizeof(*claiming->ids));
    *no_memory_out = claiming->ids == NULL;
    if (*no_memory_out) {
        return false;
    }
    size_t i = 5;
    while (i < call->argc &&
           streams_id_read(call->argv[i], false, 0, &claiming->ids[claiming->id_count])) {
        claiming->id_count++;
        i++;
    }
    for (; i < call->argc; i++) {
        if (!claim_option(call, claiming, &i)) {
            return false;
        }
    }
    if (claiming->time_ms < 0 || claiming->time_ms > (int64_t)call->now_ms) {
        claiming->time_ms = (int64_t)call->now_ms;
    }
    return true;
}

/* The different IDs of the command, ascending, with what has become of each so far. */
struct named {
    struct stream_id id;
    bool dropped, claimed;
    struct stream_claim claim;
};

static int compare_named(const void *a, const void *b)
{
    return stream_id_compare(((const struct named *)a)->id, ((const struct named *)b)->id);
}

static struct named *named_make(struct call *call, const struct claiming *claiming,
                                size_t *count_out)
{
    struct named *named = arena_alloc(call->arena, claiming->id_count * sizeof(*named));
    if (named == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < claiming->id_count; i++) {
        named[i] = (struct named){.id = claiming->ids[i]};
    }
    if (claiming->id_count > 0) {
        qsort(named, claiming->id_count, sizeof(*named), compare_named);
    }
    size_t count = 0;
    for (size_t i = 0; i < claiming->id_count; i++) {
        if (count == 0 || compare_named(&named[count - 1], &named[i]) != 0) {
            named[count++] = named[i];
        }
    }
    *count_out = count;
    return named;
}

/* One ID of XCLAIM, as it is after those before it. */
static enum status claim_one(struct call *call, const struct claiming *claiming,
                             const struct value *value, const struct stream_group *group,
                             struct named *named, struct plan *plan)
{
    struct stream_pending pending;
    bool found;
    uint64_t entries;
    enum status status = stream_pending_find(group, named->id, &pending, &found);
    if (status == ST_OK) {
        status = stream_count(value, named->id, named->id, 1, &entries);
    }
    if (status != ST_OK) {
        return status;
    }
    found = (found && !named->dropped) || named->claimed;
    if (entries == 0) {
        bool drop = found && !named->dropped;
        named->dropped = true;
        return drop ? plan_drop(call, plan, named->id) : ST_OK;
    }
    if (!found && !claiming->force) {
        return ST_OK;
    }
    struct stream_claim claim = {named->id, (int64_t)call->now_ms, 1};
    if (named->claimed) {
        claim = named->claim;
    } else if (found) {
        claim.time_ms = pending.delivered_ms;
        claim.deliveries = pending.deliveries;
    }
    if (found && !idle_enough(call, claim.time_ms, claiming->min_idle_ms)) {
        return ST_OK;
    }
    claim.time_ms = claiming->time_ms;
    if (claiming->retry_count >= 0) {
        claim.deliveries = (uint64_t)claiming->retry_count;
    } else if (!claiming->only_ids) {
        claim.deliveries++;
    }
    named->claimed = true;
    named->claim = claim;
    return plan_add(call, plan, claim);
}

enum status streams_xclaim(struct call *call)
{
    struct value value;
    const struct stream_group *group;
    struct claiming claiming;
    bool no_memory;
    enum status status = streams_read_group(call, call->argv[2], &value, &group);
    if (group == NULL) {
        return status;
    }
    if (!claiming_read(call, &claiming, &no_memory)) {
        return no_memory ? ST_NOMEM : ST_OK;
    }
    size_t named_count = 0;
    struct named *named = named_make(call, &claiming, &named_count);
    if (named == NULL) {
        return ST_NOMEM;
    }
    struct plan plan = {.claims = {.count = 0}};
    for (size_t i = 0; i < claiming.id_count && status == ST_OK; i++) {
        struct named key = {.id = claiming.ids[i]};
        struct named *one = bsearch(&key, named, named_count, sizeof(*named), compare_named);
        status = claim_one(call, &claiming, &value, group, one, &plan);
    }
    if (status == ST_OK) {
        status = plan_reply(call, &plan, &value, claiming.only_ids);
    }
    return status == ST_OK ? plan_do(call, &plan, claiming.last) : status;
}

/* ------------------------------------------------------------------------------------------
 * XAUTOCLAIM.
 */

#define COUNT_DEFAULT 100
#define COUNT_MAX (INT64_MAX / 16)
/* So many pending entries are looked at for each that may be claimed. */
#define LOOKS_EACH 10

struct scanning {
    struct call *call;
    const struct value *value;
    struct plan plan;
    int64_t min_idle_ms;
    uint64_t count, looks;
    bool only_ids;
    struct stream_id next; /* Where the next call shall start; 0-0: all were seen. */
};

static enum status scan_one(void *ctx, const struct stream_pending *pending, bool *more)
{
    struct scanning *scanning = ctx;
    struct call *call = scanning->call;
    if (scanning->count == 0 || scanning->looks == 0) {
        scanning->next = pending->id;
        *more = false;
        return ST_OK;
    }
    scanning->looks--;
    uint64_t entries;
    enum status status = stream_count(scanning->value, pending->id, pending->id, 1, &entries);
    if (status != ST_OK) {
        return status;
    }
    if (entries == 0) {
        scanning->count--;
        return plan_drop(call, &scanning->plan, pending->id);
    }
    if (!idle_enough(call, pending->delivered_ms, scanning->min_idle_ms)) {
        return ST_OK;
    }
    scanning->count--;
    struct stream_claim claim = {pending->id, (int64_t)call->now_ms,
                                 pending->deliveries + !scanning->only_ids};
    return plan_add(call, &scanning->plan, claim);
}

static bool scanning_read(struct call *call, struct scanning *scanning, struct stream_id *start)
{
    *scanning = (struct scanning){.call = call, .count = COUNT_DEFAULT};
    if (!min_idle_read(call, "XAUTOCLAIM", &scanning->min_idle_ms) ||
        !streams_start(call, call->argv[5], start)) {
        return false;
    }
    for (size_t i = 6; i < call->argc; i++) {
        if (argument_is(call->argv[i], "count") && i + 1 < call->argc) {
            int64_t count;
            if (!bytes_to_int64(call->argv[++i], &count) || count < 1 || count > COUNT_MAX) {
                resp_error(call->out, "ERR COUNT must be > 0");
                return false;
            }
            scanning->count = (uint64_t)count;
        } else if (argument_is(call->argv[i], "justid")) {
            scanning->only_ids = true;
        } else {
            reply_syntax_error(call);
            return false;
        }
    }
    scanning->looks = scanning->count * LOOKS_EACH;
    return true;
}

enum status streams_xautoclaim(struct call *call)
{
    struct scanning scanning;
    struct stream_id start;
    struct value value;
    const struct stream_group *group;
    if (!scanning_read(call, &scanning, &start)) {
        return ST_OK;
    }
    enum status status = streams_read_group(call, call->argv[2], &value, &group);
    if (group == NULL) {
        return status;
    }
    scanning.value = &value;
    status = stream_pending_walk(group, NULL, start, STREAM_ID_MAX, scan_one, &scanning);
    if (status != ST_OK) {
        return status;
    }
    resp_array(call->out, 3);
    streams_reply_id(call, scanning.next);
    status = plan_reply(call, &scanning.plan, &value, scanning.only_ids);
    if (status != ST_OK) {
        return status;
    }
    const struct stream_id *gone = scanning.plan.gone.items;
    resp_array(call->out, scanning.plan.gone.count);
    for (size_t i = 0; i < scanning.plan.gone.count; i++) {
        streams_reply_id(call, gone[i]);
    }
    return plan_do(call, &scanning.plan, STREAM_ID_MIN);
}
