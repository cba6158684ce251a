#include "engine/wlog/wlog_private.h"

#include "engine/base/check.h"
#include "engine/base/hash.h"

#define FRAME_MAGIC 0x474C5742u /* "BWLG" */
#define FRAME_VERSION 1

/* The frame on disk; the essay in wlog.c says why each field is there. */
struct frame_header {
    uint64_t checksum; /* XXH3-64 of all that follows, to the end of the payload. */
    uint32_t magic;
    uint16_t version;
    uint16_t zero;
    uint32_t generation;
    uint32_t size;
    uint32_t total;
    uint32_t store_id;
    uint64_t start_lsn;
    uint64_t durable_lsn;
    uint64_t salt;
    uint64_t offset;
};
static_assert(sizeof(struct frame_header) == FRAME_HEADER_SIZE, "the frame header is a format");
static_assert(offsetof(struct frame_header, start_lsn) == 32, "the frame header is a format");
static_assert(FRAME_HEADER_SIZE <= FRAME_STEP, "a header never crosses a sector");
static_assert(WLOG_BUFFER_SIZE <= FRAME_TOTAL_MAX, "our frames obey the format");

static uint64_t checksum(const unsigned char *data, uint32_t size)
{
    return hash_checksum(
        bytes_of(data + sizeof(uint64_t), FRAME_HEADER_SIZE - sizeof(uint64_t) + (size_t)size));
}

void wlog_frame_seal(unsigned char *data, const struct wlog_frame *frame)
{
    CHECK(frame->size > 0 && FRAME_HEADER_SIZE + (uint64_t)frame->size <= frame->total);
    struct frame_header header = {
        .magic = FRAME_MAGIC,
        .version = FRAME_VERSION,
        .generation = frame->generation,
        .size = frame->size,
        .total = frame->total,
        .store_id = frame->store_id,
        .start_lsn = frame->start_lsn,
        .durable_lsn = frame->durable_lsn,
        .salt = frame->salt,
        .offset = frame->offset,
    };
    memcpy(data, &header, sizeof(header));
    size_t used = FRAME_HEADER_SIZE + frame->size;
    memset(data + used, 0, frame->total - used);
    store_u64(data, checksum(data, frame->size));
}

bool wlog_frame_parse(struct bytes bytes, uint64_t offset, struct wlog_frame *frame_out)
{
    struct frame_header header;
    if (bytes.size < sizeof(header)) {
        return false;
    }
    memcpy(&header, bytes.data, sizeof(header));
    if (header.magic != FRAME_MAGIC || header.version != FRAME_VERSION || header.zero != 0 ||
        header.offset != offset) {
        return false;
    }
    if (header.size == 0 || header.total > FRAME_TOTAL_MAX || header.total % FRAME_STEP != 0 ||
        header.total < FRAME_HEADER_SIZE || header.size > header.total - FRAME_HEADER_SIZE) {
        return false;
    }
    if (header.start_lsn < WLOG_LSN_FIRST || header.start_lsn > UINT64_MAX - header.size ||
        header.durable_lsn > header.start_lsn) {
        return false;
    }
    *frame_out = (struct wlog_frame){
        .generation = header.generation,
        .size = header.size,
        .total = header.total,
        .store_id = header.store_id,
        .start_lsn = header.start_lsn,
        .durable_lsn = header.durable_lsn,
        .salt = header.salt,
        .offset = header.offset,
    };
    return true;
}

bool wlog_frame_proven(struct bytes bytes, const struct wlog_frame *frame)
{
    return bytes.size >= FRAME_HEADER_SIZE + (size_t)frame->size &&
           load_u64(bytes.data) == checksum(bytes.data, frame->size);
}
