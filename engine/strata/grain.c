#include "engine/strata/grain.h"

#include "engine/base/check.h"
#include "engine/base/hash.h"

#define KEY_FIXED_SIZE (GRAIN_HEADER_SIZE + 8)
#define PART_FIXED_SIZE (GRAIN_HEADER_SIZE + 16)
#define EXPIRY_SIZE 8

uint64_t grain_size(const struct grain *grain)
{
    if (grain->kind == GRAIN_PART) {
        return PART_FIXED_SIZE + (uint64_t)grain->data.size;
    }
    uint64_t expiry = (grain->flags & GRAIN_EXPIRES) != 0 ? EXPIRY_SIZE : 0;
    return KEY_FIXED_SIZE + expiry + grain->key.size + grain->data.size;
}

/* -- To bytes ---------------------------------------------------------------------------------- */

static unsigned char *store_bytes(unsigned char *p, struct bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(p, bytes.data, bytes.size);
    }
    return p + bytes.size;
}

static unsigned char *store_key(unsigned char *p, const struct grain *grain)
{
    store_u32(p, grain->namespace_id);
    store_u32(p + 4, (uint32_t)grain->key.size);
    p += 8;
    if ((grain->flags & GRAIN_EXPIRES) != 0) {
        store_u64(p, (uint64_t)grain->expiry_ms);
        p += EXPIRY_SIZE;
    }
    return store_bytes(p, grain->key);
}

static unsigned char *store_part(unsigned char *p, const struct part_name *part)
{
    store_u64(p, part->clast);
    store_u32(p + 8, part->table);
    store_u32(p + 12, part->number);
    return p + 16;
}

enum status grain_store(const struct grain *grain, struct buf *out)
{
    uint64_t size = grain_size(grain);
    bool is_part = grain->kind == GRAIN_PART;
    CHECK(size <= GRAIN_SIZE_MAX && out->size % GRAIN_ALIGNMENT == 0);
    CHECK(is_part ? grain->type == 0 && grain->flags == 0 && grain->lsn == 0
                  : grain->kind == GRAIN_KEY && grain->type <= UINT8_MAX &&
                        grain->flags <= GRAIN_FLAGS);
    unsigned char *start = buf_extend(out, grain_padded(size));
    if (start == NULL) {
        return ST_NOMEM;
    }
    store_u32(start + 8, (uint32_t)size);
    start[12] = (unsigned char)grain->kind;
    start[13] = (unsigned char)grain->type;
    start[14] = (unsigned char)grain->flags;
    start[15] = 0;
    store_u64(start + 16, grain->lsn);
    unsigned char *p = start + GRAIN_HEADER_SIZE;
    p = is_part ? store_part(p, &grain->part) : store_key(p, grain);
    p = store_bytes(p, grain->data);
    CHECK((uint64_t)(p - start) == size);
    memset(p, 0, grain_padded(size) - size);
    store_u64(start, hash_checksum(bytes_of(start + 8, size - 8)));
    return ST_OK;
}

/* -- From bytes -------------------------------------------------------------------------------- */

uint32_t grain_peek_size(struct bytes bytes)
{
    const unsigned char *p = bytes.data;
    CHECK(bytes.size >= GRAIN_HEADER_SIZE);
    uint32_t size = load_u32(p + 8);
    uint32_t least = p[12] == GRAIN_KEY ? KEY_FIXED_SIZE : PART_FIXED_SIZE;
    bool known = p[12] == GRAIN_KEY || p[12] == GRAIN_PART;
    return known && size >= least && size <= GRAIN_SIZE_MAX ? size : 0;
}

/* rest: what follows the header, to the grain's end. */
static bool parse_key(struct bytes rest, struct grain *grain)
{
    const unsigned char *p = rest.data;
    size_t fixed = (grain->flags & GRAIN_EXPIRES) != 0 ? 8 + EXPIRY_SIZE : 8;
    if (rest.size < fixed || load_u32(p + 4) > rest.size - fixed ||
        (grain->flags & ~GRAIN_FLAGS) != 0) {
        return false;
    }
    grain->namespace_id = load_u32(p);
    grain->expiry_ms = fixed > 8 ? (int64_t)load_u64(p + 8) : 0;
    grain->key = bytes_slice(rest, fixed, load_u32(p + 4));
    grain->data = bytes_slice(rest, fixed + grain->key.size, rest.size);
    return true;
}

static bool parse_part(struct bytes rest, struct grain *grain)
{
    const unsigned char *p = rest.data;
    grain->part = (struct part_name){load_u64(p), load_u32(p + 8), load_u32(p + 12)};
    grain->data = bytes_slice(rest, 16, rest.size);
    return grain->type == 0 && grain->flags == 0 && grain->lsn == 0;
}

enum status grain_parse(struct bytes bytes, struct grain *grain_out)
{
    const unsigned char *p = bytes.data;
    uint32_t size = bytes.size < GRAIN_HEADER_SIZE ? 0 : grain_peek_size(bytes);
    if (size == 0 || size > bytes.size || load_u64(p) != hash_checksum(bytes_of(p + 8, size - 8)) ||
        p[15] != 0) {
        return ST_CORRUPT;
    }
    *grain_out =
        (struct grain){.kind = p[12], .type = p[13], .flags = p[14], .lsn = load_u64(p + 16)};
    struct bytes rest = bytes_of(p + GRAIN_HEADER_SIZE, size - GRAIN_HEADER_SIZE);
    bool sound = p[12] == GRAIN_KEY ? parse_key(rest, grain_out) : parse_part(rest, grain_out);
    return sound ? ST_OK : ST_CORRUPT;
}
