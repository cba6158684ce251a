/* One member more or less.
 *
 * A packed set is copied to the scratch buffer before its first change and then changed there, so
 * that a request of many members costs one copy, not one for each. The copy ends the buffer and
 * grows with it.
 */
#include "engine/base/check.h"
#include "engine/value/packed.h"
#include "engine/value/set_ints.h"
#include "engine/value/set_private.h"

/* Of an intset; beyond it Redis does not go either. */
#define INTSET_MAX (1ll << 30)

void set_work_open(struct set_work *work, const struct value *value,
                   const struct value_limits *limits, struct buf *scratch)
{
    *work = (struct set_work){.value = *value, .limits = limits, .scratch = scratch};
}

static uint64_t intset_max(const struct set_work *work)
{
    int64_t max = work->limits->set_max_intset_entries;
    return max < INTSET_MAX ? (uint64_t)max : INTSET_MAX;
}

static uint64_t listpack_max(const struct set_work *work)
{
    return (uint64_t)work->limits->set_max_listpack_entries;
}

/* Makes the block one that may be changed, with room for more bytes behind it. */
static enum status own(struct set_work *work, size_t more)
{
    struct buf *scratch = work->scratch;
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    struct bytes block = work->value.packed;
    enum status status = buf_reserve(scratch, more + (work->own ? 0 : block.size));
    if (status != ST_OK) {
        return status;
    }
    if (!work->own) {
        block = packed_rebase(block, old_data, old_size, scratch);
        work->start = old_size;
        memcpy(scratch->data + old_size, block.data, block.size);
        scratch->size += block.size;
        work->own = true;
    }
    work->value.packed = bytes_of(scratch->data + work->start, block.size);
    return ST_OK;
}

/* The block has got another size, in the room that own made. */
static void resize(struct set_work *work, size_t size)
{
    work->scratch->size = work->start + size;
    work->value.packed = bytes_of(work->scratch->data + work->start, size);
    work->changed = true;
}

/* ------------------------------------------------------------------------------------------
 * From one shape to another.
 */

static enum status root_put(struct set *set, struct set_probe *probe, bool *added_out)
{
    struct clast_path path;
    bool found;
    enum status status = set_root_seek(set, probe, &path, &found);
    if (status == ST_OK && !found) {
        status = clast_insert_at(&set->clast, &path, probe->member);
    }
    *added_out = status == ST_OK && !found;
    return status;
}

static enum status root_put_piece(void *ctx, struct value_piece piece)
{
    struct set_probe probe = set_probe_of(piece.data);
    bool added;
    return root_put(ctx, &probe, &added);
}

/* The set goes on as a clast of this encoding. */
static enum status to_root(struct set_work *work, enum set_encoding encoding)
{
    struct set *set = set_root(&work->value);
    if (set != NULL) {
        work->changed = work->changed || set->encoding != encoding;
        set->encoding = encoding;
        return ST_OK;
    }
    set = set_new(encoding, work->limits->hash_seed);
    if (set == NULL) {
        return ST_NOMEM;
    }
    enum status status = set_walk(&work->value, 0, set_count(&work->value), root_put_piece, set);
    if (status != ST_OK) {
        set_drop(set);
        return status;
    }
    if (work->own) {
        work->scratch->size = work->start;
    }
    work->own = false;
    work->value = set_rooted(set);
    work->changed = true;
    return ST_OK;
}

/* A block of integers becomes one of texts, in the same order, behind it. */
static enum status ints_to_block(struct set_work *work)
{
    struct bytes ints = work->value.packed;
    uint32_t count = set_ints_count(ints);
    /* The longest of all is one of the two ends, but for the sign; this is bound enough. */
    size_t room = PACKED_HEADER_SIZE + (size_t)count * packed_entry_size(INT64_TEXT_MAX);
    uintptr_t old_data = (uintptr_t)work->scratch->data;
    size_t old_size = work->scratch->size;
    enum status status = buf_reserve(work->scratch, room);
    if (status != ST_OK) {
        return status;
    }
    ints = packed_rebase(ints, old_data, old_size, work->scratch);
    unsigned char *start = work->scratch->data + old_size;
    unsigned char *p = start + PACKED_HEADER_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        char text[INT64_TEXT_MAX];
        size_t size = int64_to_text(set_ints_at(ints, i), text);
        p += packed_entry_store(p, bytes_of(text, size));
    }
    store_u32(start, count);
    work->own = true;
    work->start = old_size;
    resize(work, (size_t)(p - start));
    return ST_OK;
}

enum status set_work_begin(struct set_work *work, enum set_encoding encoding)
{
    CHECK(set_count(&work->value) == 0);
    if (encoding == SET_HASHTABLE) {
        return to_root(work, SET_HASHTABLE);
    }
    work->own = false;
    work->value = set_packed(encoding == SET_INTSET ? set_ints_empty() : packed_empty());
    return ST_OK;
}

/* ------------------------------------------------------------------------------------------
 * Adding, by encoding.
 */

static enum status add_to_root(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    enum status status = root_put(set_root(&work->value), probe, added_out);
    work->changed = work->changed || *added_out;
    return status;
}

static enum status add_to_hashtable(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    *added_out = false;
    enum status status = to_root(work, SET_HASHTABLE);
    return status == ST_OK ? add_to_root(work, probe, added_out) : status;
}

/* Into a packed block that it is not in, within the limits of a listpack. */
static enum status append(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    struct bytes block = work->value.packed;
    size_t more = packed_entry_size(probe->member.size);
    if (block.size + more > SET_PACKED_MAX) {
        enum status status = to_root(work, SET_LISTPACK);
        return status == ST_OK ? add_to_root(work, probe, added_out) : status;
    }
    enum status status = own(work, more);
    if (status != ST_OK) {
        return status;
    }
    unsigned char *start = work->scratch->data + work->start;
    store_u32(start, load_u32(start) + 1);
    size_t stored = packed_entry_store(start + block.size, probe->member);
    CHECK(stored == more);
    resize(work, block.size + more);
    *added_out = true;
    return ST_OK;
}

static enum status add_to_listpack(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    bool has;
    enum status status = set_has(&work->value, probe, &has);
    if (status != ST_OK || has) {
        return status;
    }
    if (set_count(&work->value) >= listpack_max(work) ||
        probe->member.size > (uint64_t)work->limits->set_max_listpack_value) {
        return add_to_hashtable(work, probe, added_out);
    }
    return set_root(&work->value) != NULL ? add_to_root(work, probe, added_out)
                                          : append(work, probe, added_out);
}

/* Of the texts of its integers, or a bound. */
static size_t longest_text(const struct set_work *work)
{
    struct bytes block = work->value.packed;
    if (set_root(&work->value) != NULL) {
        return INT64_TEXT_MAX - 1;
    }
    uint32_t count = set_ints_count(block);
    if (count == 0) {
        return 0;
    }
    char text[INT64_TEXT_MAX];
    size_t least = int64_to_text(set_ints_at(block, 0), text);
    size_t most = int64_to_text(set_ints_at(block, count - 1), text);
    return least > most ? least : most;
}

/* An intset gets a member that is no integer. */
static enum status add_other_to_intset(struct set_work *work, struct set_probe *probe,
                                       bool *added_out)
{
    uint64_t value_max = (uint64_t)work->limits->set_max_listpack_value;
    if (set_count(&work->value) >= listpack_max(work) || probe->member.size > value_max ||
        longest_text(work) > value_max) {
        return add_to_hashtable(work, probe, added_out);
    }
    enum status status =
        set_root(&work->value) != NULL ? to_root(work, SET_LISTPACK) : ints_to_block(work);
    return status == ST_OK ? add_to_listpack(work, probe, added_out) : status;
}

static enum status add_to_ints(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    struct bytes block = work->value.packed;
    uint32_t index;
    if (set_ints_find(block, probe->integer, &index)) {
        return ST_OK;
    }
    size_t size = set_ints_size_with(block, probe->integer);
    if (size > SET_PACKED_MAX) {
        enum status status = to_root(work, SET_INTSET);
        return status == ST_OK ? add_to_root(work, probe, added_out) : status;
    }
    enum status status = own(work, size - block.size);
    if (status != ST_OK) {
        return status;
    }
    set_ints_insert(work->scratch->data + work->start, block.size, index, probe->integer);
    resize(work, size);
    *added_out = true;
    return ST_OK;
}

static enum status add_to_intset(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    if (!set_probe_integer(probe)) {
        return add_other_to_intset(work, probe, added_out);
    }
    /* The one too many makes a hashtable of it: before it comes, so that both happen or neither. */
    if (set_count(&work->value) >= intset_max(work)) {
        bool has;
        enum status status = set_has(&work->value, probe, &has);
        return status != ST_OK || has ? status : add_to_hashtable(work, probe, added_out);
    }
    return set_root(&work->value) != NULL ? add_to_root(work, probe, added_out)
                                          : add_to_ints(work, probe, added_out);
}

enum status set_work_add(struct set_work *work, struct set_probe *probe, bool *added_out)
{
    *added_out = false;
    if (probe->member.size > CLAST_ELEMENT_MAX) {
        return ST_LIMIT;
    }
    switch (set_encoding(&work->value)) {
    case SET_INTSET:
        return add_to_intset(work, probe, added_out);
    case SET_LISTPACK:
        return add_to_listpack(work, probe, added_out);
    default:
        return add_to_root(work, probe, added_out);
    }
}

/* ------------------------------------------------------------------------------------------
 * Removing.
 */

static enum status remove_from_root(struct set_work *work, struct set_probe *probe,
                                    bool *removed_out)
{
    struct set *set = set_root(&work->value);
    struct clast_path path;
    bool found;
    enum status status = set_root_seek(set, probe, &path, &found);
    if (status == ST_OK && found) {
        status = clast_remove_at(&set->clast, &path);
    }
    *removed_out = status == ST_OK && found;
    work->changed = work->changed || *removed_out;
    return status;
}

static enum status remove_from_ints(struct set_work *work, struct set_probe *probe,
                                    bool *removed_out)
{
    uint32_t index;
    if (!set_probe_integer(probe) || !set_ints_find(work->value.packed, probe->integer, &index)) {
        return ST_OK;
    }
    enum status status = own(work, 0);
    if (status != ST_OK) {
        return status;
    }
    resize(work,
           set_ints_remove(work->scratch->data + work->start, work->value.packed.size, index));
    *removed_out = true;
    return ST_OK;
}

static enum status remove_from_block(struct set_work *work, struct set_probe *probe,
                                     bool *removed_out)
{
    uint32_t index;
    size_t offset;
    if (!set_block_find(work->value.packed, probe->member, &index, &offset)) {
        return ST_OK;
    }
    enum status status = own(work, 0);
    if (status != ST_OK) {
        return status;
    }
    size_t size = work->value.packed.size;
    size_t less = packed_entry_size(probe->member.size);
    unsigned char *start = work->scratch->data + work->start;
    memmove(start + offset, start + offset + less, size - offset - less);
    store_u32(start, load_u32(start) - 1);
    resize(work, size - less);
    *removed_out = true;
    return ST_OK;
}

enum status set_work_remove(struct set_work *work, struct set_probe *probe, bool *removed_out)
{
    *removed_out = false;
    return set_root(&work->value) != NULL    ? remove_from_root(work, probe, removed_out)
           : set_ints_is(work->value.packed) ? remove_from_ints(work, probe, removed_out)
                                             : remove_from_block(work, probe, removed_out);
}

/* ------------------------------------------------------------------------------------------
 * Operations.
 */

/* Members of a payload; 0: it is none. */
static uint64_t payload_count(struct bytes payload)
{
    uint64_t count = 0;
    struct bytes member;
    for (; payload.size > 0; count++) {
        if (!bytes_take_sized(&payload, &member)) {
            return 0;
        }
    }
    return count;
}

/* Redis chooses the encoding of a set by the number of members that a request brings, whether they
 * are new or not. */
static enum status foresee(struct set_work *work, struct bytes payload, uint64_t count)
{
    if (set_count(&work->value) == 0) {
        struct bytes member;
        bool taken = bytes_take_sized(&payload, &member);
        CHECK(taken);
        struct set_probe probe = set_probe_of(member);
        return set_work_begin(work, set_probe_integer(&probe) && count <= intset_max(work)
                                        ? SET_INTSET
                                    : count <= listpack_max(work) ? SET_LISTPACK
                                                                  : SET_HASHTABLE);
    }
    enum set_encoding encoding = set_encoding(&work->value);
    bool bursts = (encoding == SET_INTSET && count > intset_max(work)) ||
                  (encoding == SET_LISTPACK && count > listpack_max(work));
    return bursts ? to_root(work, SET_HASHTABLE) : ST_OK;
}

static void finish(struct set_work *work, struct value *value, struct value_change *change)
{
    change->changed = work->changed;
    if (!work->changed) {
        return;
    }
    *value = work->value;
    struct set *set = set_root(value);
    if (set != NULL && set->clast.count == 0) {
        set_drop(set);
        *value = set_empty();
    }
}

/* A change of many members may find that a part is absent after the first of them. Then the tree is
 * put back, which shared its parts with the one that was changed. */
struct fallback {
    bool kept;
    struct clast clast;
    enum set_encoding encoding;
};

static enum status fallback_keep(struct fallback *fallback, const struct set *set, uint64_t count)
{
    *fallback = (struct fallback){.kept = false};
    if (set == NULL || count == 1 || set->clast.parts.absent == 0) {
        return ST_OK;
    }
    enum status status = clast_snapshot(&set->clast, &fallback->clast);
    fallback->kept = status == ST_OK;
    fallback->encoding = set->encoding;
    return status;
}

static void fallback_end(struct fallback *fallback, struct set *set, bool back)
{
    if (fallback->kept && back) {
        clast_restore(&set->clast, &fallback->clast);
        set->encoding = fallback->encoding;
    } else if (fallback->kept) {
        clast_deinit(&fallback->clast);
    }
}

/* Asks for the parts that all members lie in, so that whoever brings them learns of them at once.
 */
static enum status bring(const struct set *set, struct bytes payload)
{
    enum status status = ST_OK;
    if (set == NULL || set->clast.parts.absent == 0) {
        return ST_OK;
    }
    while (payload.size > 0) {
        struct bytes member;
        struct clast_path path;
        bool found;
        bool taken = bytes_take_sized(&payload, &member);
        CHECK(taken);
        struct set_probe probe = set_probe_of(member);
        enum status one = set_root_seek(set, &probe, &path, &found);
        status = one == ST_OK ? status : one;
    }
    return status;
}

static enum status apply_members(struct set_work *work, enum set_op op, struct bytes payload,
                                 struct value_change *change)
{
    enum status status = ST_OK;
    struct bytes rest = payload;
    while (status == ST_OK && rest.size > 0) {
        struct bytes member;
        bool hit;
        bool taken = bytes_take_sized(&rest, &member);
        CHECK(taken);
        struct set_probe probe = set_probe_of(member);
        status = op == SET_OP_ADD ? set_work_add(work, &probe, &hit)
                                  : set_work_remove(work, &probe, &hit);
        if (status == ST_OK) {
            change->count += hit;
            change->consumed = payload.size - rest.size;
        }
    }
    return status;
}

enum status set_apply(struct value *value, unsigned op, struct bytes payload,
                      const struct value_limits *limits, struct buf *scratch,
                      struct value_change *change_out)
{
    uint64_t count = payload_count(payload);
    if ((op != SET_OP_ADD && op != SET_OP_REMOVE) || count == 0) {
        return ST_CORRUPT;
    }
    struct set_work work;
    struct set *before = set_root(value);
    struct fallback fallback;
    set_work_open(&work, value, limits, scratch);
    enum status status = bring(before, payload);
    if (status != ST_OK) {
        return status;
    }
    status = fallback_keep(&fallback, before, count);
    if (status == ST_OK && op == SET_OP_ADD) {
        status = foresee(&work, payload, count);
    }
    if (status == ST_OK) {
        status = apply_members(&work, op, payload, change_out);
    }
    fallback_end(&fallback, before, status == ST_WAIT);
    if (status == ST_WAIT) {
        *change_out = (struct value_change){.count = 0};
        return status;
    }
    struct set *made = set_root(&work.value);
    if (status != ST_OK && change_out->consumed == 0) {
        if (made != before) {
            set_drop(made);
        }
        return status;
    }
    finish(&work, value, change_out);
    return status;
}
