/* Chores on streams: entries, groups, consumers and what is pending. */
#include "tests/lib/chores_private.h"

static const char *const groups[] = {"g", "readers"};
static const char *const consumers[] = {"ann", "bob", "c"};

static struct stream_member member_of(const struct step *step)
{
    return (struct stream_member){bytes_of_text(groups[step->which % 2]),
                                  bytes_of_text(consumers[step->which / 2])};
}

/* -- Picking IDs: up to `most` in a row, from some place on -------------------------------------
 */

struct pick {
    struct step *step;
    size_t skip, most;
};

static void pick_id(struct pick *pick, struct stream_id id)
{
    if (pick->skip > 0) {
        pick->skip--;
    } else if (pick->step->id_count < pick->most) {
        pick->step->ids[pick->step->id_count++] = id;
    }
}

static enum status pick_entry(void *ctx, struct stream_entry *entry)
{
    pick_id(ctx, entry->id);
    return ST_OK;
}

static enum status pick_pending(void *ctx, const struct stream_pending *pending, bool *more)
{
    pick_id(ctx, pending->id);
    return ST_OK;
}

/* -- Drawing ----------------------------------------------------------------------------------- */

static enum status draw_in_group(const struct value *value, const struct stream_group *group,
                                 unsigned op, uint64_t *chance, struct step *step)
{
    struct stream_summary summary = stream_summary(value);
    struct stream_group_view view = stream_group_view(group);
    struct pick pick = {step, 0, 1 + step_below(chance, STEP_IDS)};
    const struct stream_consumer *own = NULL;
    step->op = op;
    step->at = step_below(chance, 8);
    switch (op) {
    case STREAM_DELIVER: {
        struct stream_id after = view.last;
        if (after.seq++ == UINT64_MAX) {
            after.ms++;
        }
        return stream_walk(value, after, STREAM_ID_MAX, pick.most, false, pick_entry, &pick);
    }
    case STREAM_REDELIVER:
        own = stream_consumer(group, member_of(step).consumer);
        if (own == NULL) {
            return ST_OK;
        }
        pick.most = STEP_IDS;
        break;
    case STREAM_CLAIM:
        if (step->at == 0 && summary.count > 0) { /* By force: what nobody holds. */
            pick.skip = step_below(chance, (unsigned)summary.count);
            return stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, UINT64_MAX, false, pick_entry,
                               &pick);
        }
        break;
    case STREAM_ACK:
        break;
    default:
        return ST_OK;
    }
    pick.skip = view.pending == 0 || own != NULL ? 0 : step_below(chance, (unsigned)view.pending);
    return stream_pending_walk(group, own, STREAM_ID_MIN, STREAM_ID_MAX, pick_pending, &pick);
}

static void draw_add(const struct stream_summary *summary, uint64_t *chance, struct step *step)
{
    step->op = STREAM_ADD;
    step->ids[0] = summary->last;
    step_below(chance, 2) == 0 ? step->ids[0].seq++ : (step->ids[0].ms += 1);
    step->id_count = 1;
    for (unsigned i = 1 + step_below(chance, 4); i > 0; i--) {
        step_add_name(step, chance);
        step_add_text(step, chance);
    }
}

/* Operations that need a group; those that take entries in or out of it come often. */
static const unsigned in_group[] = {STREAM_DELIVER,
                                    STREAM_DELIVER,
                                    STREAM_DELIVER,
                                    STREAM_DELIVER,
                                    STREAM_ACK,
                                    STREAM_ACK,
                                    STREAM_CLAIM,
                                    STREAM_CLAIM,
                                    STREAM_REDELIVER,
                                    STREAM_CONSUMER_CREATE,
                                    STREAM_CONSUMER_DELETE,
                                    STREAM_GROUP_SETID,
                                    STREAM_GROUP_DESTROY};

enum status step_draw_stream(const struct value *value, uint64_t *chance, struct step *step)
{
    struct stream_summary summary = {.count = 0};
    const struct stream_group *group = NULL;
    step->which = step_below(chance, 6);
    if (value->type != VALUE_NONE) {
        summary = stream_summary(value);
        group = stream_group(value, member_of(step).group);
    }
    unsigned drawn = step_below(chance, 26);
    if (drawn < 10 + step->growth / 2) {
        draw_add(&summary, chance, step);
    } else if (drawn == 25 && summary.count > 0) {
        step->op = STREAM_TRIM;
        step->count = 1 + step_below(chance, (unsigned)summary.count);
        step->at = step_below(chance, 2);
    } else if (drawn == 24) {
        step->op = value->type == VALUE_NONE ? STREAM_GROUP_CREATE : STREAM_SETID;
        step->ids[0] = (struct stream_id){summary.last.ms + 3, 1};
        step->ids[1] = summary.max_deleted;
        step->count = summary.added + 1;
    } else if (drawn >= 22 && summary.count > 0) {
        struct pick pick = {step, step_below(chance, (unsigned)summary.count), 4};
        step->op = STREAM_DELETE;
        return stream_walk(value, STREAM_ID_MIN, STREAM_ID_MAX, UINT64_MAX, false, pick_entry,
                           &pick);
    } else if (group == NULL) {
        step->op = STREAM_GROUP_CREATE;
        step->ids[0] = STREAM_ID_MIN;
    } else {
        unsigned op = in_group[step_below(chance, sizeof(in_group) / sizeof(in_group[0]))];
        return draw_in_group(value, group, op, chance, step);
    }
    return ST_OK;
}

/* -- Doing ------------------------------------------------------------------------------------- */

static enum status do_claim(struct txn *txn, unsigned number, struct step *step)
{
    struct stream_claim claims[STEP_IDS];
    for (size_t i = 0; i < step->id_count; i++) {
        claims[i] = (struct stream_claim){step->ids[i], (int64_t)txn_now_ms(txn) - 5, step->at + 1};
    }
    return txn_stream_claim(txn, number, member_of(step), STREAM_ID_MIN, claims, step->id_count);
}

static enum status do_in_group(struct txn *txn, unsigned number, struct step *step)
{
    struct stream_member member = member_of(step);
    uint64_t count;
    switch (step->op) {
    case STREAM_GROUP_CREATE:
        return txn_stream_group_set(txn, number, true, member.group, step->ids[0], 0);
    case STREAM_GROUP_SETID:
        return txn_stream_group_set(txn, number, false, member.group,
                                    (struct stream_id){step->at, 0}, -1);
    case STREAM_GROUP_DESTROY:
        return txn_stream_group_destroy(txn, number, member.group, &count);
    case STREAM_CONSUMER_CREATE:
        return txn_stream_consumer_create(txn, number, member, &count);
    case STREAM_CONSUMER_DELETE:
        return txn_stream_consumer_delete(txn, number, member, &count);
    case STREAM_DELIVER:
        return txn_stream_deliver(txn, number, member, step->at == 1, step->ids, step->id_count);
    case STREAM_REDELIVER:
        return txn_stream_redeliver(txn, number, member, step->ids, step->id_count);
    case STREAM_ACK:
        return txn_stream_ack(txn, number, member.group, step->ids, step->id_count, &count);
    default:
        return do_claim(txn, number, step);
    }
}

enum status step_do_stream(struct txn *txn, unsigned number, struct step *step)
{
    uint64_t count;
    switch (step->op) {
    case STREAM_ADD:
        return txn_stream_add(txn, number, step->ids[0], step->words, step->word_count / 2);
    case STREAM_TRIM:
        return txn_stream_trim(txn, number, step->count, step->at == 1);
    case STREAM_DELETE:
        return txn_stream_delete(txn, number, step->ids, step->id_count, &count);
    case STREAM_SETID:
        return txn_stream_set_id(txn, number, step->ids[0], step->count, step->ids[1]);
    default:
        return do_in_group(txn, number, step);
    }
}
