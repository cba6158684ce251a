/* The operations on hashes.
 *
 * A payload is parsed twice: the first pass verifies all of it and asks for the parts that its
 * fields lie in; the second changes field by field.
 *
 * A packed hash is copied to the end of the scratch buffer once, with room for all that may come,
 * and edited there in place (`draft`): a request with hundreds of fields costs one copy. Where it
 * stops to fit, a root is made of the draft and the rest goes there.
 */
#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/fields_private.h"

/* ------------------------------------------------------------------------------------------
 * Payloads.
 */

struct step {
    struct bytes field, data;
    int64_t expiry_ms; /* FIELDS_NO_EXPIRY, FIELDS_KEEP_EXPIRY or a time. */
};

static bool take(struct bytes *in, uint64_t size, struct bytes *out)
{
    if (size > in->size) {
        return false;
    }
    *out = bytes_slice(*in, 0, (size_t)size);
    *in = bytes_slice(*in, (size_t)size, in->size);
    return true;
}

static bool take_time(struct bytes *in, int64_t *expiry_ms)
{
    struct bytes time;
    if (!take(in, FIELDS_TIME_SIZE, &time)) {
        return false;
    }
    *expiry_ms = (int64_t)load_u64(time.data);
    return *expiry_ms > 0 && *expiry_ms < FIELDS_NEVER;
}

/* False: not what our own code writes. */
static bool step_take(struct bytes *in, unsigned op, struct step *step_out)
{
    uint64_t head;
    *step_out = (struct step){.expiry_ms = FIELDS_NO_EXPIRY};
    if (!varint_take(in, &head)) {
        return false;
    }
    if (op == FIELDS_REMOVE) {
        return take(in, head, &step_out->field);
    }
    if (op == FIELDS_EXPIRE) {
        return ((head & 1) == 0 || take_time(in, &step_out->expiry_ms)) &&
               take(in, head >> 1, &step_out->field);
    }
    enum fields_how how = head & 3;
    uint64_t size;
    if (how == FIELDS_KEEPING) {
        step_out->expiry_ms = FIELDS_KEEP_EXPIRY;
    }
    return how <= FIELDS_TIMED && (how != FIELDS_TIMED || take_time(in, &step_out->expiry_ms)) &&
           varint_take(in, &size) && take(in, head >> 2, &step_out->field) &&
           take(in, size, &step_out->data);
}

/* What the first pass has found. */
struct survey {
    uint64_t steps;
    bool timed;
};

static bool all_resident(const struct fields *root)
{
    return root->clast.parts.absent == 0 && root->due.parts.absent == 0;
}

static enum status payload_survey(const struct value *value, unsigned op, struct bytes payload,
                                  struct survey *survey_out)
{
    const struct fields *root = fields_root(value);
    enum status seeking = ST_OK;
    size_t size = payload.size;
    *survey_out = (struct survey){0, false};
    while (payload.size > 0) {
        struct step step;
        if (!step_take(&payload, op, &step)) {
            return ST_CORRUPT;
        }
        survey_out->steps++;
        survey_out->timed |= step.expiry_ms >= 0;
        if (root != NULL && !all_resident(root)) {
            struct clast_path path;
            bool found;
            enum status status = fields_seek(
                root, step.field, hash_element(step.field, root->clast.seed), &path, &found);
            seeking = status == ST_OK ? seeking : status;
        }
    }
    return size > 0 ? seeking : ST_CORRUPT;
}

/* ------------------------------------------------------------------------------------------
 * Drafts.
 */

struct draft {
    struct buf *scratch;
    size_t base; /* The block is scratch from here on, to its end. */
};

static struct bytes draft_block(const struct draft *draft)
{
    return bytes_slice(buf_bytes(draft->scratch), draft->base, SIZE_MAX);
}

/* Turns `removed` bytes at an offset of the block into `added`, for which there is room. */
static unsigned char *draft_gap(const struct draft *draft, size_t offset, size_t removed,
                                size_t added)
{
    struct buf *scratch = draft->scratch;
    unsigned char *p = scratch->data + draft->base + offset;
    size_t behind = scratch->size - draft->base - offset - removed;
    CHECK(scratch->size - removed + added <= scratch->capacity);
    memmove(p + added, p + removed, behind);
    scratch->size = scratch->size - removed + added;
    return p;
}

static size_t pair_size(bool expiring, size_t field_size, size_t data_size)
{
    return packed_entry_size(field_size) +
           packed_entry_size(data_size + (expiring ? FIELDS_TIME_SIZE : 0));
}

static unsigned char *pair_store(unsigned char *p, bool expiring, struct bytes field,
                                 struct bytes data, int64_t expiry_ms)
{
    p += packed_entry_store(p, field);
    if (!expiring) {
        return p + packed_entry_store(p, data);
    }
    unsigned char time[FIELDS_TIME_SIZE];
    store_u64(time, (uint64_t)expiry_ms);
    return p + packed_entry_store_two(p, bytes_of(time, sizeof(time)), data);
}

/* Copies the block behind what lies in scratch, as an expiring one if asked for, with room for
 * `growth` more bytes. */
static enum status draft_begin(struct draft *draft, struct bytes block, bool expiring,
                               size_t growth, struct buf *scratch)
{
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    bool convert = expiring && !block_expiring(block);
    size_t bound = block.size + FIELDS_STAMP_SIZE +
                   (convert ? block_fields(block) * (FIELDS_TIME_SIZE + 2) : 0);
    enum status status = buf_reserve(scratch, bound + growth);
    if (status != ST_OK) {
        return status;
    }
    block = packed_rebase(block, old_data, old_size, scratch);
    *draft = (struct draft){scratch, scratch->size};
    unsigned char *start = scratch->data + scratch->size;
    if (!convert) {
        memcpy(start, block.data, block.size);
        scratch->size += block.size;
        return ST_OK;
    }
    unsigned char *p = start + PACKED_HEADER_SIZE;
    unsigned char never[FIELDS_TIME_SIZE];
    store_u64(never, (uint64_t)FIELDS_NEVER);
    p += packed_entry_store(p, bytes_of(never, sizeof(never)));
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size;) {
        struct field_item item = block_next(block, &offset);
        p = pair_store(p, true, item.field.data, item.value.data, FIELDS_NO_EXPIRY);
    }
    store_u32(start, packed_count(block) + 1);
    scratch->size += (size_t)(p - start);
    CHECK((size_t)(p - start) <= bound);
    return ST_OK;
}

/* H2, after the last change. */
static void draft_settle(const struct draft *draft)
{
    struct bytes block = draft_block(draft);
    if (!block_expiring(block)) {
        return;
    }
    int64_t earliest_ms = FIELDS_NEVER;
    for (size_t offset = block_begin(block); offset < block.size;) {
        struct field_item item = block_next(block, &offset);
        if (item.expiry_ms != FIELDS_NO_EXPIRY && item.expiry_ms < earliest_ms) {
            earliest_ms = item.expiry_ms;
        }
    }
    /* The entry is its size in one byte, then the time. */
    store_u64(draft->scratch->data + draft->base + PACKED_HEADER_SIZE + 1, (uint64_t)earliest_ms);
}

/* Finds the pair; *offset_out is where it begins (or the block ends), *size_out how large it is. */
static bool draft_find(const struct draft *draft, struct bytes field, size_t *offset_out,
                       size_t *size_out, struct field_item *item_out)
{
    struct bytes block = draft_block(draft);
    size_t offset = block_begin(block);
    while (offset < block.size) {
        size_t start = offset;
        *item_out = block_next(block, &offset);
        if (bytes_equal(item_out->field.data, field)) {
            *offset_out = start;
            *size_out = offset - start;
            return true;
        }
    }
    *offset_out = block.size;
    *size_out = 0;
    return false;
}

static void draft_count(const struct draft *draft, int change)
{
    unsigned char *block = draft->scratch->data + draft->base;
    store_u32(block, load_u32(block) + (uint32_t)change);
}

bool fields_fit(uint64_t count, uint64_t longest, const struct value_limits *limits)
{
    return (int64_t)count <= limits->hash_max_listpack_entries &&
           (longest > INT64_MAX ? false : (int64_t)longest <= limits->hash_max_listpack_value);
}

enum fit { FIT_PACKED, FIT_SMALL, FIT_LARGE };

/* What the hash must be to take the field: packed, or a root that Redis would have packed, or not.
 */
static enum fit draft_put(const struct draft *draft, const struct step *step,
                          const struct value_limits *limits, bool *new_out)
{
    struct bytes block = draft_block(draft);
    bool expiring = block_expiring(block);
    size_t offset;
    size_t size;
    struct field_item item;
    bool found = draft_find(draft, step->field, &offset, &size, &item);
    size_t longest = step->field.size > step->data.size ? step->field.size : step->data.size;
    if (!fields_fit(block_fields(block) + !found, longest, limits)) {
        return FIT_LARGE;
    }
    if (step->field.size + step->data.size > FIELDS_PACKED_MAX) {
        return FIT_SMALL;
    }
    size_t added = pair_size(expiring, step->field.size, step->data.size);
    if (block.size - size + added > FIELDS_PACKED_MAX) {
        return FIT_SMALL;
    }
    int64_t kept_ms = found ? item.expiry_ms : FIELDS_NO_EXPIRY;
    int64_t expiry_ms = step->expiry_ms == FIELDS_KEEP_EXPIRY ? kept_ms : step->expiry_ms;
    unsigned char *p = draft_gap(draft, offset, size, added);
    pair_store(p, expiring, step->field, step->data, expiry_ms);
    draft_count(draft, found ? 0 : 2);
    *new_out = !found;
    return FIT_PACKED;
}

static bool draft_remove(const struct draft *draft, struct bytes field)
{
    size_t offset;
    size_t size;
    struct field_item item;
    bool found = draft_find(draft, field, &offset, &size, &item);
    if (found) {
        draft_gap(draft, offset, size, 0);
        draft_count(draft, -2);
    }
    return found;
}

static bool draft_expire(const struct draft *draft, struct bytes field, int64_t expiry_ms)
{
    size_t offset;
    size_t size;
    struct field_item item;
    bool changed = draft_find(draft, field, &offset, &size, &item) && item.expiry_ms != expiry_ms;
    if (changed) {
        unsigned char *base = draft->scratch->data + draft->base;
        size_t at = (size_t)((const unsigned char *)item.value.data.data - base);
        store_u64(base + at - FIELDS_TIME_SIZE, (uint64_t)expiry_ms);
    }
    return changed;
}

/* A root with the fields of the draft. */
static enum status draft_root(const struct draft *draft, bool small,
                              const struct value_limits *limits, struct fields **root_out)
{
    struct fields *root = fields_new(limits->hash_seed);
    if (root == NULL) {
        return ST_NOMEM;
    }
    root->small = small;
    root->expiring = block_expiring(draft_block(draft));
    size_t end = draft->scratch->size - draft->base;
    enum status status = ST_OK;
    for (size_t offset = block_begin(draft_block(draft)); offset < end && status == ST_OK;) {
        /* The draft moves when scratch grows. */
        struct field_item item = block_next(draft_block(draft), &offset);
        bool is_new;
        status = fields_root_put(root, item.field.data, item.value.data, item.expiry_ms,
                                 draft->scratch, &is_new);
    }
    if (status != ST_OK) {
        fields_drop(root);
        return status;
    }
    *root_out = root;
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Applying.
 */

struct work {
    unsigned op;
    const struct value_limits *limits;
    struct buf *scratch;
    struct draft draft;
    struct fields *root; /* NULL: the draft. */
    struct value_change *change;
};

static void work_count(struct work *work, bool counts, bool changes)
{
    work->change->count += counts;
    work->change->changed |= changes;
}

static enum status root_step(struct work *work, const struct step *step)
{
    struct fields *root = work->root;
    bool done = false;
    enum status status;
    switch (work->op) {
    case FIELDS_REMOVE:
        status = fields_root_remove(root, step->field, &done);
        break;
    case FIELDS_EXPIRE:
        status = fields_root_expire(root, step->field, step->expiry_ms, work->scratch, &done);
        break;
    default:
        status =
            fields_root_put(root, step->field, step->data, step->expiry_ms, work->scratch, &done);
        if (status == ST_OK) {
            size_t longest =
                step->field.size > step->data.size ? step->field.size : step->data.size;
            root->small &= fields_fit(root->clast.count, longest, work->limits);
            work_count(work, done, true);
        }
        return status;
    }
    work_count(work, done, done);
    return status;
}

static enum status draft_step(struct work *work, const struct step *step)
{
    bool done = false;
    if (work->op == FIELDS_REMOVE) {
        done = draft_remove(&work->draft, step->field);
    } else if (work->op == FIELDS_EXPIRE) {
        /* A plain draft has no times to take away. */
        done = block_expiring(draft_block(&work->draft)) &&
               draft_expire(&work->draft, step->field, step->expiry_ms);
    } else {
        enum fit fit = draft_put(&work->draft, step, work->limits, &done);
        if (fit != FIT_PACKED) {
            struct fields *root;
            enum status status = draft_root(&work->draft, fit == FIT_SMALL, work->limits, &root);
            if (status != ST_OK) {
                return status;
            }
            work->root = root;
            status = root_step(work, step);
            if (status != ST_OK) {
                /* As if it had not begun: the draft has all that came before. */
                work->root = NULL;
                fields_drop(root);
            }
            return status;
        }
        work_count(work, done, true);
        return ST_OK;
    }
    work_count(work, done, done);
    return ST_OK;
}

/* The second pass. Goes on with what stands if memory runs out. */
static enum status steps_apply(struct work *work, struct bytes payload)
{
    size_t whole = payload.size;
    enum status status = ST_OK;
    while (payload.size > 0) {
        struct step step;
        bool taken = step_take(&payload, work->op, &step);
        CHECK(taken);
        status = work->root != NULL ? root_step(work, &step) : draft_step(work, &step);
        if (status != ST_OK) {
            break;
        }
        work->change->consumed = whole - payload.size;
    }
    return status;
}

/* Room that the payload's fields may take in a block. */
static size_t growth_of(unsigned op, struct bytes payload, uint64_t steps)
{
    if (op != FIELDS_PUT) {
        return 0;
    }
    uint64_t growth = payload.size + steps * (4 * 5 + FIELDS_TIME_SIZE);
    return growth < FIELDS_PACKED_MAX ? (size_t)growth : FIELDS_PACKED_MAX;
}

static enum status draft_apply(struct work *work, struct bytes block, struct bytes payload,
                               const struct survey *found)
{
    enum status status = draft_begin(&work->draft, block, found->timed,
                                     growth_of(work->op, payload, found->steps), work->scratch);
    if (status == ST_OK && draft_block(&work->draft).size > FIELDS_PACKED_MAX) {
        /* By its times alone. */
        status = draft_root(&work->draft, true, work->limits, &work->root);
    }
    return status == ST_OK ? steps_apply(work, payload) : status;
}

static enum status block_apply(struct value *value, struct work *work, struct bytes payload,
                               const struct survey *found)
{
    uintptr_t old_data = (uintptr_t)work->scratch->data;
    size_t old_size = work->scratch->size;
    enum status status = draft_apply(work, value->packed, payload, found);
    if (!work->change->changed) {
        fields_drop(work->root);
        work->scratch->size = old_size;
        value->packed = packed_rebase(value->packed, old_data, old_size, work->scratch);
    } else if (work->root != NULL) {
        enum status settled = fields_settle(work->root);
        CHECK(settled == ST_OK); /* A new root is wholly in memory. */
        *value = fields_clast(work->root);
    } else {
        draft_settle(&work->draft);
        *value = fields_packed(draft_block(&work->draft));
    }
    return status;
}

static enum status root_change(struct work *work, struct bytes payload)
{
    enum status status = steps_apply(work, payload);
    if (!work->change->changed) {
        return status;
    }
    enum status settled = fields_settle(work->root);
    return settled == ST_OK ? status : settled;
}

static void root_restore(struct fields *root, struct fields *before)
{
    clast_restore(&root->clast, &before->clast);
    clast_restore(&root->due, &before->due);
    root->earliest_ms = before->earliest_ms;
    root->gone_ms = before->gone_ms;
    root->expiring = before->expiring;
    root->small = before->small;
}

/* Where parts are absent, that may show when something is done already, and ST_WAIT allows no
 * change: then the root gets back what it was. Absent parts keep their numbers, so what was asked
 * for is what the next try needs. */
static enum status root_apply(struct work *work, struct bytes payload)
{
    struct fields *root = work->root;
    if (all_resident(root)) {
        return root_change(work, payload);
    }
    struct fields before = *root;
    enum status status = clast_snapshot(&root->clast, &before.clast);
    if (status != ST_OK) {
        return status;
    }
    status = clast_snapshot(&root->due, &before.due);
    if (status == ST_OK) {
        status = root_change(work, payload);
        if (status == ST_WAIT) {
            root_restore(root, &before);
            *work->change = (struct value_change){.count = 0};
            return status;
        }
    }
    clast_deinit(&before.clast);
    clast_deinit(&before.due);
    return status;
}

enum status fields_apply(struct value *value, unsigned op, struct bytes payload,
                         const struct value_limits *limits, struct buf *scratch,
                         struct value_change *change_out)
{
    struct survey found;
    struct work work = {.op = op, .limits = limits, .scratch = scratch, .change = change_out};
    if (op > FIELDS_EXPIRE) {
        return ST_CORRUPT;
    }
    enum status status = payload_survey(value, op, payload, &found);
    if (status != ST_OK) {
        return status;
    }
    if (value->shape == VALUE_PACKED) {
        return block_apply(value, &work, payload, &found);
    }
    work.root = fields_root(value);
    return root_apply(&work, payload);
}
