/* Whole sets, made at once: *STORE, RESTORE, replay.
 *
 * The members are sorted once; then `scores` is filled at its right end, and `members` in the order
 * of the hashes, which are sorted for that by their bytes: no search jumps about in memory, and the
 * leaves end up full.
 *
 * Encoded body: varint count, then for each member u64 bits of the score, varint size, member;
 * ascending.
 */
#include "engine/value/zset_private.h"

#include "engine/value/packed.h"

#include <stdlib.h>

/* -- Trees --------------------------------------------------------------------------------------
 */

/* A ticket to come. */
struct row {
    uint32_t hash;
    uint32_t member; /* Index. */
};
#define MEMBERS_MAX UINT32_MAX
#define DIGIT_BITS 11
#define DIGITS 3

/* Sorts rows by hash, digit by digit; room for as many more is lent. */
static void sort_rows(struct row *rows, struct row *room, size_t count)
{
    struct row *from = rows;
    struct row *to = room;
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        size_t starts[1u << DIGIT_BITS] = {0};
        unsigned shift = digit * DIGIT_BITS;
        uint32_t mask = (1u << DIGIT_BITS) - 1;
        for (size_t i = 0; i < count; i++) {
            starts[from[i].hash >> shift & mask]++;
        }
        size_t sum = 0;
        for (size_t i = 0; i <= mask; i++) {
            size_t size = starts[i];
            starts[i] = sum;
            sum += size;
        }
        for (size_t i = 0; i < count; i++) {
            to[starts[from[i].hash >> shift & mask]++] = from[i];
        }
        struct row *swap = from;
        from = to;
        to = swap;
    }
    static_assert(DIGITS % 2 == 1, "the result lies in the room");
    memcpy(rows, room, count * sizeof(*rows));
}

/* Whether some of the rows with one hash are the same member. */
static bool has_twin(const struct row *rows, size_t count, const struct zset_member *members)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && rows[j - 1].hash == rows[i].hash; j--) {
            if (bytes_equal(members[rows[j - 1].member].name, members[rows[i].member].name)) {
                return true;
            }
        }
    }
    return false;
}

static enum status push_score(struct clast *scores, const struct zset_member *member,
                              struct buf *key)
{
    if (member->name.size > ZSET_MEMBER_MAX) {
        return ST_LIMIT;
    }
    key->size = 0;
    unsigned char *p = buf_extend(key, SCORE_SIZE + member->name.size);
    if (p == NULL) {
        return ST_NOMEM;
    }
    score_store(p, score_plain(member->score));
    if (member->name.size > 0) {
        memcpy(p + SCORE_SIZE, member->name.data, member->name.size);
    }
    struct clast_path path;
    enum status status = clast_seek_rank(scores, scores->count, &path);
    return status == ST_OK ? clast_insert_at(scores, &path, buf_bytes(key)) : status;
}

static enum status no_ticket(void *ctx, struct bytes ticket, bool *same_out)
{
    *same_out = false;
    return ST_OK;
}

static enum status push_ticket(struct zset_trees *trees, uint32_t hash, double score)
{
    struct zset_ticket ticket = zset_ticket_of(hash, score);
    struct clast_path path;
    bool found;
    enum status status =
        clast_seek_hash(&trees->members, (uint64_t)hash << 32, no_ticket, NULL, &path, &found);
    if (status == ST_OK) {
        status = clast_insert_at(&trees->members, &path, bytes_of(ticket.bytes, TICKET_SIZE));
        trees->negative_zeros += score_is_negative_zero(score);
    }
    return status;
}

static enum status fill(struct zset_trees *trees, const struct zset_member *members, size_t count,
                        struct row *rows)
{
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct row){zset_hash(members[i].name, trees->members.seed), (uint32_t)i};
    }
    sort_rows(rows, rows + count, count);
    if (has_twin(rows, count, members)) {
        return ST_CORRUPT;
    }
    struct buf key = BUF_EMPTY;
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = push_score(&trees->scores, &members[i], &key);
    }
    buf_deinit(&key);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = push_ticket(trees, rows[i].hash, members[rows[i].member].score);
    }
    return status;
}

enum status zset_trees_build(const struct zset_member *members, size_t count, uint64_t seed,
                             struct zset_trees **trees_out)
{
    if (count > MEMBERS_MAX) {
        return ST_LIMIT;
    }
    struct zset_trees *trees = zset_trees_new(seed);
    struct row *rows = part_alloc((count + 1) * 2 * sizeof(*rows));
    enum status status = trees == NULL || rows == NULL ? ST_NOMEM : ST_OK;
    if (status == ST_OK) {
        status = fill(trees, members, count, rows);
    }
    free(rows);
    if (status != ST_OK) {
        zset_trees_free(trees);
        return status;
    }
    *trees_out = trees;
    return ST_OK;
}

static enum status collect_member(void *ctx, struct value_piece name, double score)
{
    struct zset_member **next = ctx;
    *(*next)++ = (struct zset_member){name.data, score};
    return ST_OK;
}

enum status zset_trees_of_block(struct bytes block, uint64_t seed, struct zset_trees **trees_out)
{
    uint64_t count = zset_packed_count(block);
    struct zset_member *members = part_alloc((count + 1) * sizeof(*members));
    if (members == NULL) {
        return ST_NOMEM;
    }
    struct zset_member *next = members;
    enum status status = zset_packed_walk(block, 0, count, false, collect_member, &next);
    if (status == ST_OK) {
        status = zset_trees_build(members, count, seed, trees_out);
        CHECK(status != ST_CORRUPT);
    }
    free(members);
    return status;
}

/* -- Sets ---------------------------------------------------------------------------------------
 */

static int compare_members(const void *a, const void *b)
{
    return zset_compare(a, b);
}

static bool ascends(const struct zset_member *members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (zset_compare(&members[i - 1], &members[i]) >= 0) {
            return false;
        }
    }
    return true;
}

/* Of members that ascend. */
static enum status make(const struct zset_member *members, size_t count,
                        const struct value_limits *limits, struct buf *scratch,
                        struct value *value_out)
{
    uint64_t size_max = 0;
    uint64_t block_size = PACKED_HEADER_SIZE;
    for (size_t i = 0; i < count; i++) {
        uint64_t size = members[i].name.size;
        size_max = size > size_max ? size : size_max;
        block_size += packed_entry_size(size) + packed_entry_size(SCORE_SIZE);
    }
    if (zset_packs(count, size_max, block_size, limits)) {
        struct bytes block;
        enum status status = zset_packed_build(members, count, scratch, &block);
        if (status == ST_OK) {
            *value_out = zset_packed_value(block);
        }
        return status;
    }
    struct zset_trees *trees;
    enum status status = zset_trees_build(members, count, limits->hash_seed, &trees);
    if (status == ST_OK) {
        *value_out = zset_trees_value(trees);
    }
    return status;
}

enum status zset_build(struct zset_member *members, size_t count, const struct value_limits *limits,
                       struct buf *scratch, struct value *value_out)
{
    if (!ascends(members, count)) {
        qsort(members, count, sizeof(*members), compare_members);
    }
    return make(members, count, limits, scratch, value_out);
}

/* -- Encoded form -------------------------------------------------------------------------------
 */

uint64_t zset_encoded_max(const struct value *value)
{
    const struct zset_trees *trees = zset_root(value);
    return VARINT_MAX +
           (trees != NULL ? trees->scores.bytes + trees->scores.count * 5 : value->packed.size);
}

static enum status encode_member(void *ctx, struct value_piece member, double score)
{
    struct buf *out = ctx;
    unsigned char head[SCORE_SIZE + VARINT_MAX];
    memcpy(head, &score, SCORE_SIZE);
    size_t size = SCORE_SIZE + varint_store(head + SCORE_SIZE, member.data.size);
    enum status status = buf_append(out, bytes_of(head, size));
    return status == ST_OK ? buf_append(out, member.data) : status;
}

enum status zset_encode(const struct value *value, struct buf *out)
{
    /* Room first: members of a packed set may lie in `out` itself, which then stays put. */
    uintptr_t old_data = (uintptr_t)out->data;
    size_t old_size = out->size;
    enum status status = buf_reserve(out, zset_encoded_max(value));
    if (status != ST_OK) {
        return status;
    }
    struct value now = *value;
    now.packed = packed_rebase(value->packed, old_data, old_size, out);
    out->size += varint_store(out->data + out->size, zset_count(&now));
    return zset_walk(&now, 0, zset_count(&now), false, encode_member, out);
}

static bool take_member(struct bytes *in, struct zset_member *member_out)
{
    struct bytes rest = *in;
    if (rest.size < SCORE_SIZE) {
        return false;
    }
    memcpy(&member_out->score, rest.data, SCORE_SIZE);
    rest = bytes_slice(rest, SCORE_SIZE, SIZE_MAX);
    if (score_is_nan(member_out->score) || !bytes_take_sized(&rest, &member_out->name) ||
        member_out->name.size > ZSET_MEMBER_MAX) {
        return false;
    }
    *in = rest;
    return true;
}

enum status zset_decode(struct bytes body, const struct value_limits *limits, struct buf *scratch,
                        struct value *value_out)
{
    uint64_t count;
    struct bytes rest = body;
    /* A member takes at least nine bytes, so a count that lies allocates nothing. */
    if (!varint_take_shortest(&rest, &count) || count > rest.size / (SCORE_SIZE + 1)) {
        return ST_CORRUPT;
    }
    struct zset_member *members = part_alloc((count + 1) * sizeof(*members));
    if (members == NULL) {
        return ST_NOMEM;
    }
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (!take_member(&rest, &members[i])) {
            status = ST_CORRUPT;
        }
    }
    if (status == ST_OK && (rest.size > 0 || !ascends(members, count))) {
        status = ST_CORRUPT;
    }
    struct value value = {.type = VALUE_NONE};
    if (status == ST_OK) {
        status = make(members, count, limits, scratch, &value);
    }
    if (status == ST_OK && value.shape == VALUE_PACKED && !zset_packed_check(value.packed)) {
        status = ST_CORRUPT; /* A member twice; the trees have looked for that by themselves. */
    }
    free(members);
    if (status == ST_OK) {
        *value_out = value;
    }
    return status;
}
