#include "engine/value/set.h"

#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/value/packed.h"
#include "engine/value/set_ints.h"
#include "engine/value/set_private.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

static const struct clast_order set_order = {CLAST_HASHED, hash_element};

/* ------------------------------------------------------------------------------------------
 * Shared by the files of the set.
 */

struct set *set_root(const struct value *value)
{
    CHECK(value->type == VALUE_SET);
    return value->shape == VALUE_CLAST ? value->root : NULL;
}

struct value set_packed(struct bytes block)
{
    return (struct value){VALUE_SET, VALUE_PACKED, block, NULL};
}

struct value set_rooted(struct set *set)
{
    return (struct value){VALUE_SET, VALUE_CLAST, BYTES_NONE, set};
}

struct set *set_new(enum set_encoding encoding, uint64_t seed)
{
    struct set *set = part_alloc(sizeof(*set));
    if (set != NULL) {
        set->head = (struct value_root){.changed = true};
        clast_init(&set->clast, &set_order, seed);
        set->encoding = encoding;
    }
    return set;
}

void set_drop(struct set *set)
{
    clast_deinit(&set->clast);
    free(set);
}

bool set_probe_integer(struct set_probe *probe)
{
    if (!probe->parsed) {
        probe->parsed = true;
        probe->is_integer =
            probe->member.size < INT64_TEXT_MAX && bytes_to_int64(probe->member, &probe->integer);
    }
    return probe->is_integer;
}

uint64_t set_probe_hash(struct set_probe *probe, uint64_t seed)
{
    if (!probe->hashed || probe->seed != seed) {
        probe->hashed = true;
        probe->seed = seed;
        probe->hash = hash_element(probe->member, seed);
    }
    return probe->hash;
}

bool set_block_find(struct bytes block, struct bytes member, uint32_t *index_out,
                    size_t *offset_out)
{
    uint32_t index = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size; index++) {
        size_t next = offset;
        if (bytes_equal(packed_next(block, &next), member)) {
            *index_out = index;
            *offset_out = offset;
            return true;
        }
        offset = next;
    }
    return false;
}

static enum status same_member(void *ctx, struct bytes element, bool *same_out)
{
    const struct bytes *member = ctx;
    *same_out = bytes_equal(*member, element);
    return ST_OK;
}

enum status set_root_seek(const struct set *set, struct set_probe *probe,
                          struct clast_path *path_out, bool *found_out)
{
    uint64_t hash = set_probe_hash(probe, set->clast.seed);
    return clast_seek_hash(&set->clast, hash, same_member, &probe->member, path_out, found_out);
}

/* ------------------------------------------------------------------------------------------
 * Reads.
 */

struct value set_empty(void)
{
    return set_packed(packed_empty());
}

uint64_t set_count(const struct value *value)
{
    const struct set *set = set_root(value);
    return set != NULL                  ? set->clast.count
           : set_ints_is(value->packed) ? set_ints_count(value->packed)
                                        : packed_count(value->packed);
}

enum set_encoding set_encoding(const struct value *value)
{
    const struct set *set = set_root(value);
    return set != NULL ? set->encoding : set_ints_is(value->packed) ? SET_INTSET : SET_LISTPACK;
}

enum status set_has(const struct value *value, struct set_probe *probe, bool *has_out)
{
    const struct set *set = set_root(value);
    if (set != NULL) {
        struct clast_path path;
        return set_root_seek(set, probe, &path, has_out);
    }
    uint32_t index;
    size_t offset;
    *has_out =
        set_ints_is(value->packed)
            ? set_probe_integer(probe) && set_ints_find(value->packed, probe->integer, &index)
            : set_block_find(value->packed, probe->member, &index, &offset);
    return ST_OK;
}

enum status set_rank(const struct value *value, struct set_probe *probe, uint64_t *rank_out,
                     bool *has_out)
{
    const struct set *set = set_root(value);
    if (set != NULL) {
        struct clast_path path;
        enum status status = set_root_seek(set, probe, &path, has_out);
        if (status == ST_OK && *has_out) {
            *rank_out = clast_path_rank(&path);
        }
        return status;
    }
    uint32_t index;
    size_t offset;
    *has_out =
        set_ints_is(value->packed)
            ? set_probe_integer(probe) && set_ints_find(value->packed, probe->integer, &index)
            : set_block_find(value->packed, probe->member, &index, &offset);
    if (*has_out) {
        *rank_out = index;
    }
    return ST_OK;
}

enum status set_at(const struct value *value, uint64_t rank, char *room,
                   struct value_piece *member_out)
{
    const struct set *set = set_root(value);
    if (set != NULL) {
        return clast_at(&set->clast, rank, member_out);
    }
    *member_out = (struct value_piece){BYTES_NONE, NULL};
    if (set_ints_is(value->packed)) {
        size_t size = int64_to_text(set_ints_at(value->packed, (uint32_t)rank), room);
        member_out->data = bytes_of(room, size);
    } else {
        member_out->data = packed_at(value->packed, (uint32_t)rank);
    }
    return ST_OK;
}

static enum status walk_ints(struct bytes block, uint32_t first, uint32_t count, value_piece_fn fn,
                             void *ctx)
{
    enum status status = ST_OK;
    for (uint32_t i = 0; i < count && status == ST_OK; i++) {
        char text[INT64_TEXT_MAX];
        size_t size = int64_to_text(set_ints_at(block, first + i), text);
        status = fn(ctx, (struct value_piece){bytes_of(text, size), NULL});
    }
    return status;
}

enum status set_walk(const struct value *value, uint64_t rank, uint64_t count, value_piece_fn fn,
                     void *ctx)
{
    const struct set *set = set_root(value);
    uint64_t all = set_count(value);
    CHECK(rank <= all && count <= all - rank);
    if (count == 0) {
        return ST_OK;
    }
    if (set != NULL) {
        return clast_walk(&set->clast, rank, count, false, fn, ctx);
    }
    struct bytes block = value->packed;
    if (set_ints_is(block)) {
        return walk_ints(block, (uint32_t)rank, (uint32_t)count, fn, ctx);
    }
    size_t offset = packed_offset(block, (uint32_t)rank);
    enum status status = ST_OK;
    for (; count > 0 && status == ST_OK; count--) {
        status = fn(ctx, (struct value_piece){packed_next(block, &offset), NULL});
    }
    return status;
}

enum status set_scan(const struct value *value, uint64_t cursor, uint64_t count, value_piece_fn fn,
                     void *ctx, uint64_t *cursor_out)
{
    const struct set *set = set_root(value);
    if (set != NULL) {
        return clast_scan(&set->clast, cursor, count, fn, ctx, cursor_out);
    }
    *cursor_out = 0;
    return set_walk(value, 0, set_count(value), fn, ctx);
}

static bool block_check(struct bytes block)
{
    if (block.size >= SET_INTS_HEADER_SIZE && set_ints_is(block)) {
        return set_ints_check(block);
    }
    if (!packed_verify(block)) {
        return false;
    }
    uint32_t index = 0;
    for (size_t offset = PACKED_HEADER_SIZE; offset < block.size; index++) {
        uint32_t first;
        size_t at;
        if (!set_block_find(block, packed_next(block, &offset), &first, &at) || first != index) {
            return false;
        }
    }
    return true;
}

bool set_check(const struct value *value)
{
    const struct set *set = set_root(value);
    return set != NULL ? clast_check(&set->clast) && set->encoding <= SET_HASHTABLE
                       : value->packed.size <= SET_PACKED_MAX && block_check(value->packed);
}

/* ------------------------------------------------------------------------------------------
 * The class.
 */

static bool set_vanishes(const struct value *value)
{
    return set_count(value) == 0;
}

static const char *set_encoding_name(const struct value *value, const struct value_limits *limits)
{
    static const char *const names[] = {
        [SET_INTSET] = "intset", [SET_LISTPACK] = "listpack", [SET_HASHTABLE] = "hashtable"};
    return names[set_encoding(value)];
}

static uint64_t set_encoded_max(const struct value *value)
{
    const struct set *set = set_root(value);
    uint64_t size = set != NULL ? set->clast.bytes + set->clast.count * 5
                    : set_ints_is(value->packed)
                        ? (uint64_t)set_ints_count(value->packed) * INT64_TEXT_MAX
                        : value->packed.size;
    return VARINT_MAX + size;
}

static enum status encode_member(void *ctx, struct value_piece piece)
{
    unsigned char size[VARINT_MAX];
    enum status status = buf_append(ctx, bytes_of(size, varint_store(size, piece.data.size)));
    return status == ST_OK ? buf_append(ctx, piece.data) : status;
}

static enum status set_encode(const struct value *value, struct buf *out)
{
    /* Room first: a packed set may lie in `out` itself, which then stays put. */
    uintptr_t old_data = (uintptr_t)out->data;
    size_t old_size = out->size;
    enum status status = buf_reserve(out, set_encoded_max(value));
    if (status != ST_OK) {
        return status;
    }
    struct value now = *value;
    now.packed = packed_rebase(value->packed, old_data, old_size, out);
    out->size += varint_store(out->data + out->size, set_count(&now));
    return set_walk(&now, 0, set_count(&now), encode_member, out);
}

/* What an encoded set says of itself before any of it is kept. */
struct survey {
    uint64_t count, bytes, longest;
    bool integers;
};

static bool survey(struct bytes members, struct survey *survey_out)
{
    *survey_out = (struct survey){.integers = true};
    while (members.size > 0) {
        struct bytes member;
        if (!bytes_take_sized(&members, &member) || member.size > CLAST_ELEMENT_MAX) {
            return false;
        }
        struct set_probe probe = set_probe_of(member);
        survey_out->integers = survey_out->integers && set_probe_integer(&probe);
        survey_out->longest = member.size > survey_out->longest ? member.size : survey_out->longest;
        survey_out->bytes += packed_entry_size(member.size);
        survey_out->count++;
    }
    return true;
}

static enum set_encoding survey_encoding(const struct survey *found,
                                         const struct value_limits *limits)
{
    if (found->integers && found->count <= (uint64_t)limits->set_max_intset_entries) {
        return SET_INTSET;
    }
    bool fits = found->count <= (uint64_t)limits->set_max_listpack_entries &&
                found->longest <= (uint64_t)limits->set_max_listpack_value;
    return fits ? SET_LISTPACK : SET_HASHTABLE;
}

static enum status set_decode(struct bytes body, const struct value_limits *limits,
                              struct buf *scratch, struct value *value_out)
{
    struct survey found;
    uint64_t count;
    struct bytes members = body;
    if (!varint_take_shortest(&members, &count) || !survey(members, &found) ||
        found.count != count) {
        return ST_CORRUPT;
    }
    if (count == 0) {
        *value_out = set_empty();
        return ST_OK;
    }
    /* Room for a block of either kind, so that the body stays put if it lies in scratch. */
    uint64_t room = found.bytes > 8 * count ? found.bytes : 8 * count;
    room = (room < SET_PACKED_MAX ? room : SET_PACKED_MAX) + 2 * PACKED_HEADER_SIZE;
    uintptr_t old_data = (uintptr_t)scratch->data;
    size_t old_size = scratch->size;
    enum status status = buf_reserve(scratch, room);
    if (status != ST_OK) {
        return status;
    }
    members = packed_rebase(members, old_data, old_size, scratch);
    struct set_builder builder;
    set_builder_begin(&builder, survey_encoding(&found, limits), limits, scratch);
    while (members.size > 0 && status == ST_OK) {
        struct bytes member;
        bool taken = bytes_take_sized(&members, &member);
        CHECK(taken);
        status = set_builder_add_lasting(&builder, member);
    }
    status = set_builder_end(&builder, status, false, value_out);
    if (status == ST_OK && set_count(value_out) != count) { /* One came twice. */
        value_free(value_out);
        return ST_CORRUPT;
    }
    return status;
}

static enum status set_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    const struct set *set = set_root(value);
    if (set == NULL) {
        uintptr_t old_data = (uintptr_t)scratch->data;
        size_t old_size = scratch->size;
        struct bytes block = value->packed;
        unsigned char *to = buf_extend(scratch, block.size);
        if (to == NULL) {
            return ST_NOMEM;
        }
        memcpy(to, packed_rebase(block, old_data, old_size, scratch).data, block.size);
        *copy_out = set_packed(bytes_of(to, block.size));
        return ST_OK;
    }
    struct set *copy = set_new(set->encoding, set->clast.seed);
    if (copy == NULL) {
        return ST_NOMEM;
    }
    enum status status = clast_copy(&set->clast, &copy->clast);
    if (status != ST_OK) {
        set_drop(copy);
        return status;
    }
    *copy_out = set_rooted(copy);
    return ST_OK;
}

static void set_free(struct value *value)
{
    set_drop(value->root);
    value->root = NULL;
}

static bool set_free_some(struct value *value, size_t parts)
{
    struct set *set = value->root;
    if (!clast_free_some(&set->clast, parts)) {
        return false;
    }
    set_free(value);
    return true;
}

static uint64_t set_memory(const struct value *value)
{
    return part_heap_size(sizeof(struct set)) + clast_memory(&set_root(value)->clast);
}

static enum status set_tables(void *root, value_table_fn fn, void *ctx)
{
    return fn(ctx, &((struct set *)root)->clast.parts);
}

/* u8 encoding, the clast. */
static enum status set_store(const struct value *value, struct buf *out)
{
    const struct set *set = value->root;
    unsigned char encoding = (unsigned char)set->encoding;
    enum status status = buf_append(out, bytes_of(&encoding, 1));
    return status == ST_OK ? clast_store(&set->clast, out) : status;
}

static enum status set_load(struct bytes *in, uint64_t clast, const struct value_limits *limits,
                            void **root_out)
{
    if (in->size == 0 || *(const unsigned char *)in->data > SET_HASHTABLE) {
        return ST_CORRUPT;
    }
    struct set *set = set_new(*(const unsigned char *)in->data, limits->hash_seed);
    if (set == NULL) {
        return ST_NOMEM;
    }
    *in = bytes_slice(*in, 1, in->size);
    enum status status = clast_load(&set->clast, in, clast);
    if (status != ST_OK) {
        set_drop(set);
        return status;
    }
    set->head.changed = false;
    *root_out = set;
    return ST_OK;
}

const struct value_class set_class = {
    .name = "set",
    .empty = set_empty,
    .vanishes = set_vanishes,
    .encoding = set_encoding_name,
    .encode = set_encode,
    .decode = set_decode,
    .encoded_max = set_encoded_max,
    .copy = set_copy,
    .free = set_free,
    .free_some = set_free_some,
    .memory = set_memory,
    .apply = set_apply,
    .tables = set_tables,
    .store = set_store,
    .load = set_load,
};
