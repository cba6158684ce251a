#include "engine/value/chunks.h"

#include "engine/base/check.h"
#include "engine/value/blake3.h"
#include "engine/value/chunks_private.h"
#include "engine/value/chunks_root.h"
#include "engine/value/packed.h"
#include "engine/value/value_class.h"

#include <stdlib.h>

/* Two shapes: up to 8 KiB a packed block (chunk 0, digest 0, chunk 1, digest 1 …), beyond that a
 * root (chunks_root.h). A collection never shrinks, so it never goes back.
 *
 * Encoded, a collection is: varint count, then (varint size, bytes) for each chunk. Digests are not
 * stored, since bytes from a file are not believed: they would have to be computed anyway.
 */

#define PACKED_MAX 8192
/* The smallest pair is an empty chunk (2 bytes) or a chunk of one (3), and a digest (34). */
#define PACKED_CHUNKS_MAX (PACKED_MAX / 36)
#define DECODE_BATCH 128

static struct chunks *root_of(const struct value *value)
{
    CHECK(value->type == VALUE_CHUNKS && value->shape == VALUE_CLAST && value->root != NULL);
    return value->root;
}

static bool is_packed(const struct value *value)
{
    CHECK(value->type == VALUE_CHUNKS);
    return value->shape == VALUE_PACKED;
}

static struct value packed_value(struct bytes block)
{
    return (struct value){.type = VALUE_CHUNKS, .shape = VALUE_PACKED, .packed = block};
}

static struct bytes digest_bytes(const struct chunk_digest *digest)
{
    return bytes_of(digest->bytes, CHUNK_DIGEST_SIZE);
}

struct chunk_digest chunk_digest_of(struct bytes chunk)
{
    struct chunk_digest digest;
    blake3(chunk, digest.bytes, CHUNK_DIGEST_SIZE);
    return digest;
}

struct value chunks_empty(void)
{
    return packed_value(packed_empty());
}

uint64_t chunks_count(const struct value *value)
{
    return is_packed(value) ? packed_count(value->packed) / 2 : root_of(value)->list.count;
}

/* ---- The packed shape. ---- */

/* The first bits of its digests, so that a batch of searches walks the block once. */
struct packed_bits {
    size_t count;
    uint32_t bits[PACKED_CHUNKS_MAX];
};

static void packed_bits_load(struct bytes block, struct packed_bits *out)
{
    size_t offset = PACKED_HEADER_SIZE;
    out->count = packed_count(block) / 2;
    CHECK(out->count <= PACKED_CHUNKS_MAX);
    for (size_t i = 0; i < out->count; i++) {
        (void)packed_next(block, &offset);
        out->bits[i] = load_u32(packed_next(block, &offset).data);
    }
}

static struct bytes packed_digest(struct bytes block, uint64_t index)
{
    return packed_at(block, (uint32_t)(2 * index + 1));
}

static bool packed_find(struct bytes block, const struct packed_bits *bits,
                        const struct chunk_digest *digest, uint64_t *index_out)
{
    uint32_t sought = load_u32(digest->bytes);
    for (size_t i = 0; i < bits->count; i++) {
        if (bits->bits[i] == sought && bytes_equal(packed_digest(block, i), digest_bytes(digest))) {
            *index_out = i;
            return true;
        }
    }
    return false;
}

/* Chunk, digest, chunk, digest … */
static enum status packed_append(struct value *value, const struct bytes *data,
                                 const struct chunk_digest *digests, size_t count,
                                 struct buf *scratch)
{
    struct bytes elements[2 * PACKED_CHUNKS_MAX], block;
    CHECK(count <= PACKED_CHUNKS_MAX);
    for (size_t i = 0; i < count; i++) {
        elements[2 * i] = data[i];
        elements[2 * i + 1] = digest_bytes(&digests[i]);
    }
    enum status status = packed_splice(value->packed, packed_count(value->packed), 0, elements,
                                       2 * count, false, scratch, &block);
    if (status == ST_OK) {
        value->packed = block;
    }
    return status;
}

static bool packed_fits(struct bytes block, const struct bytes *data, size_t count)
{
    size_t size = block.size;
    for (size_t i = 0; i < count && size <= PACKED_MAX; i++) {
        if (data[i].size > PACKED_MAX) {
            return false;
        }
        size += packed_entry_size(data[i].size) + packed_entry_size(CHUNK_DIGEST_SIZE);
    }
    return size <= PACKED_MAX;
}

/* A root with what the block holds. */
static enum status root_from_packed(struct bytes block, struct chunks **root_out)
{
    struct bytes data[PACKED_CHUNKS_MAX];
    struct chunk_digest digests[PACKED_CHUNKS_MAX];
    size_t offset = PACKED_HEADER_SIZE, count = packed_count(block) / 2;
    CHECK(count <= PACKED_CHUNKS_MAX);
    struct chunks *chunks = chunks_root_new();
    if (chunks == NULL) {
        return ST_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        data[i] = packed_next(block, &offset);
        memcpy(digests[i].bytes, packed_next(block, &offset).data, CHUNK_DIGEST_SIZE);
    }
    enum status status = count == 0 ? ST_OK : chunks_root_append(chunks, data, digests, count);
    if (status != ST_OK) {
        chunks_root_free(chunks);
        return status;
    }
    *root_out = chunks;
    return ST_OK;
}

static enum status outgrow_packed(struct value *value, const struct bytes *data,
                                  const struct chunk_digest *digests, size_t count)
{
    struct chunks *chunks;
    enum status status = root_from_packed(value->packed, &chunks);
    if (status != ST_OK) {
        return status;
    }
    status = chunks_root_append(chunks, data, digests, count);
    if (status != ST_OK) {
        chunks_root_free(chunks);
        return status;
    }
    *value = (struct value){.type = VALUE_CHUNKS, .shape = VALUE_CLAST, .root = chunks};
    return ST_OK;
}

/* ---- Selecting what is new. ---- */

/* Unmarks those that repeat an earlier marked one. */
static enum status unmark_repeats(const struct chunk_digest *digests, size_t count, bool *is_new)
{
    size_t capacity = 16;
    while (capacity < 2 * count) {
        capacity *= 2;
    }
    uint32_t few[64];
    uint32_t *slots = few;
    if (count > UINT32_MAX - 1) {
        return ST_LIMIT;
    }
    if (capacity > sizeof(few) / sizeof(few[0])) {
        slots = part_alloc(capacity * sizeof(uint32_t));
        if (slots == NULL) {
            return ST_NOMEM;
        }
    }
    memset(slots, 0, capacity * sizeof(uint32_t));
    for (size_t i = 0; i < count; i++) {
        if (!is_new[i]) {
            continue;
        }
        size_t slot = load_u64(digests[i].bytes + 16) & (capacity - 1);
        while (slots[slot] != 0 && !chunk_digest_equal(&digests[slots[slot] - 1], &digests[i])) {
            slot = (slot + 1) & (capacity - 1);
        }
        is_new[i] = slots[slot] == 0;
        if (is_new[i]) {
            slots[slot] = (uint32_t)i + 1;
        }
    }
    if (slots != few) {
        free(slots);
    }
    return ST_OK;
}

enum status chunks_select(const struct value *value, const struct bytes *chunks, size_t count,
                          struct chunk_digest *digests_out, bool *is_new_out)
{
    struct packed_bits bits;
    uint64_t index;
    if (is_packed(value)) {
        packed_bits_load(value->packed, &bits);
    }
    enum status wait = ST_OK;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        digests_out[i] = chunk_digest_of(chunks[i]);
        if (is_packed(value)) {
            found = packed_find(value->packed, &bits, &digests_out[i], &index);
        } else {
            enum status status = chunks_root_find(root_of(value), &digests_out[i], &index, &found);
            if (status != ST_OK && status != ST_WAIT) {
                return status;
            }
            /* Goes on, so that whoever brings parts learns of all of them at once. */
            wait = status == ST_OK ? wait : status;
        }
        is_new_out[i] = !found;
    }
    if (wait != ST_OK) {
        return wait;
    }
    return count < 2 ? ST_OK : unmark_repeats(digests_out, count, is_new_out);
}

enum status chunks_append(struct value *value, const struct bytes *chunks,
                          const struct chunk_digest *digests, size_t count, struct buf *scratch)
{
    enum status status;
    if (count == 0) {
        return ST_OK;
    }
    if (!is_packed(value)) {
        status = chunks_root_append(root_of(value), chunks, digests, count);
    } else if (packed_fits(value->packed, chunks, count)) {
        status = packed_append(value, chunks, digests, count, scratch);
    } else {
        status = outgrow_packed(value, chunks, digests, count);
    }
    return status;
}

/* ---- Reading. ---- */

enum status chunks_find(const struct value *value, const struct chunk_digest *digest,
                        uint64_t *index_out, bool *found_out)
{
    if (!is_packed(value)) {
        return chunks_root_find(root_of(value), digest, index_out, found_out);
    }
    struct packed_bits bits;
    packed_bits_load(value->packed, &bits);
    *found_out = packed_find(value->packed, &bits, digest, index_out);
    return ST_OK;
}

enum status chunks_at(const struct value *value, uint64_t index, struct value_piece *chunk_out)
{
    CHECK(index < chunks_count(value));
    if (!is_packed(value)) {
        return clast_at(&root_of(value)->list, index, chunk_out);
    }
    *chunk_out = (struct value_piece){packed_at(value->packed, (uint32_t)(2 * index)), NULL};
    return ST_OK;
}

/* Every other entry of the block from the one at `entry` on. */
static enum status packed_walk(struct bytes block, uint64_t entry, uint64_t count,
                               value_piece_fn fn, void *ctx)
{
    size_t offset = packed_offset(block, (uint32_t)entry);
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        status = fn(ctx, (struct value_piece){packed_next(block, &offset), NULL});
        if (offset < block.size) {
            (void)packed_next(block, &offset);
        }
    }
    return status;
}

enum status chunks_walk(const struct value *value, uint64_t index, uint64_t count,
                        value_piece_fn fn, void *ctx)
{
    CHECK(index <= chunks_count(value) && count <= chunks_count(value) - index);
    return is_packed(value) ? packed_walk(value->packed, 2 * index, count, fn, ctx)
                            : clast_walk(&root_of(value)->list, index, count, false, fn, ctx);
}

enum status chunks_walk_digests(const struct value *value, uint64_t index, uint64_t count,
                                value_piece_fn fn, void *ctx)
{
    CHECK(index <= chunks_count(value) && count <= chunks_count(value) - index);
    if (count == 0) {
        return ST_OK;
    }
    if (is_packed(value)) {
        return packed_walk(value->packed, 2 * index + 1, count, fn, ctx);
    }
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++) {
        const struct chunk_digest *digest;
        struct part *part;
        status = chunks_root_digest(root_of(value), index + i, &digest, &part);
        if (status == ST_OK) {
            status = fn(ctx, (struct value_piece){digest_bytes(digest), part});
        }
    }
    return status;
}

/* ---- For value.c. ---- */

static enum status encode_chunk(void *ctx, struct value_piece piece)
{
    struct buf *buf = ctx;
    unsigned char size[VARINT_MAX];
    enum status status = buf_append(buf, bytes_of(size, varint_store(size, piece.data.size)));
    return status == ST_OK ? buf_append(buf, piece.data) : status;
}

enum status chunks_encode(const struct value *value, struct buf *buf)
{
    size_t before = buf->size;
    uint64_t count = chunks_count(value);
    unsigned char head[VARINT_MAX];
    enum status status = buf_append(buf, bytes_of(head, varint_store(head, count)));
    if (status == ST_OK) {
        status = chunks_walk(value, 0, count, encode_chunk, buf);
    }
    if (status != ST_OK) {
        buf->size = before;
    }
    return status;
}

uint64_t chunks_encoded_max(const struct value *value)
{
    uint64_t bytes = is_packed(value) ? value->packed.size : root_of(value)->list.bytes;
    return VARINT_MAX + chunks_count(value) * VARINT_MAX + bytes;
}

/* Takes up to a batch of chunks from the encoded bytes; false: malformed. */
static bool decode_batch(struct bytes *in, size_t count, struct bytes *data)
{
    for (size_t i = 0; i < count; i++) {
        if (!bytes_take_sized(in, &data[i])) {
            return false;
        }
    }
    return true;
}

static enum status decode_append(struct value *value, const struct bytes *data, size_t count,
                                 struct buf *scratch)
{
    struct chunk_digest digests[DECODE_BATCH];
    bool is_new[DECODE_BATCH];
    enum status status = chunks_select(value, data, count, digests, is_new);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (!is_new[i]) {
            status = ST_CORRUPT; /* No collection holds a chunk twice. */
        }
    }
    return status == ST_OK ? chunks_append(value, data, digests, count, scratch) : status;
}

enum status chunks_decode(struct bytes body, struct buf *scratch, struct value *value_out)
{
    struct bytes data[DECODE_BATCH];
    uint64_t left;
    if (!varint_take_shortest(&body, &left) || left > body.size) {
        return ST_CORRUPT; /* A chunk takes a byte at least. */
    }
    struct value value = chunks_empty();
    enum status status = ST_OK;
    while (left > 0 && status == ST_OK) {
        size_t count = left < DECODE_BATCH ? (size_t)left : DECODE_BATCH;
        status = decode_batch(&body, count, data) ? ST_OK : ST_CORRUPT;
        if (status == ST_OK) {
            status = decode_append(&value, data, count, scratch);
        }
        left -= count;
    }
    if (status == ST_OK && body.size != 0) {
        status = ST_CORRUPT;
    }
    if (status == ST_OK) {
        *value_out = value;
    } else if (!is_packed(&value)) {
        chunks_free(&value);
    }
    return status;
}

enum status chunks_copy(const struct value *value, struct buf *scratch, struct value *copy_out)
{
    if (is_packed(value)) {
        struct bytes block;
        enum status status =
            packed_slice(value->packed, 0, packed_count(value->packed), scratch, &block);
        if (status == ST_OK) {
            *copy_out = packed_value(block);
        }
        return status;
    }
    struct chunks *copy;
    enum status status = chunks_root_copy(root_of(value), &copy);
    if (status != ST_OK) {
        return status;
    }
    *copy_out = (struct value){.type = VALUE_CHUNKS, .shape = VALUE_CLAST, .root = copy};
    return ST_OK;
}

void chunks_free(struct value *value)
{
    chunks_root_free(root_of(value));
    value->root = NULL;
}

bool chunks_free_some(struct value *value, size_t parts)
{
    if (!chunks_root_free_some(root_of(value), parts)) {
        return false;
    }
    chunks_free(value);
    return true;
}

uint64_t chunks_memory(const struct value *value)
{
    return is_packed(value) ? 0 : chunks_root_memory(root_of(value));
}

/* ---- Checking. ---- */

struct checked {
    const struct value *value;
    uint64_t index;
    bool right;
};

/* The chunk has the digest that the sequence says, and is found under it. */
static enum status check_chunk(void *ctx, struct value_piece piece)
{
    struct checked *checked = ctx;
    struct chunk_digest digest = chunk_digest_of(piece.data);
    uint64_t index = UINT64_MAX;
    bool found = false;
    enum status status = chunks_find(checked->value, &digest, &index, &found);
    checked->right = checked->right && status == ST_OK && found && index == checked->index;
    checked->index++;
    return status;
}

static bool packed_form_check(struct bytes block)
{
    if (!packed_verify(block) || block.size > PACKED_MAX || packed_count(block) % 2 != 0) {
        return false;
    }
    for (uint32_t entry = 1; entry < packed_count(block); entry += 2) {
        if (packed_at(block, entry).size != CHUNK_DIGEST_SIZE) {
            return false;
        }
    }
    return true;
}

bool chunks_check(const struct value *value)
{
    if (is_packed(value) ? !packed_form_check(value->packed) : !chunks_root_check(root_of(value))) {
        return false;
    }
    struct checked checked = {value, 0, true};
    enum status status = chunks_walk(value, 0, chunks_count(value), check_chunk, &checked);
    return status == ST_OK && checked.right && checked.index == chunks_count(value);
}

/* A collection of no chunks stays: CHUNK.APPEND of nothing new has made it known. */
static bool chunks_vanishes(const struct value *value)
{
    return false;
}

static const char *chunks_encoding(const struct value *value, const struct value_limits *limits)
{
    return "chunks";
}

static enum status chunks_decode_body(struct bytes body, const struct value_limits *limits,
                                      struct buf *scratch, struct value *value_out)
{
    return chunks_decode(body, scratch, value_out);
}

const struct value_class chunks_class = {
    .name = "chunks",
    .empty = chunks_empty,
    .vanishes = chunks_vanishes,
    .encoding = chunks_encoding,
    .encode = chunks_encode,
    .decode = chunks_decode_body,
    .encoded_max = chunks_encoded_max,
    .copy = chunks_copy,
    .free = chunks_free,
    .free_some = chunks_free_some,
    .memory = chunks_memory,
    .tables = chunks_root_tables,
    .store = chunks_root_store,
    .load = chunks_root_load,
};
