#include "tests/lib/zset_payload.h"

#include "tests/lib/test.h"

void payload_when(struct buf *out, unsigned when)
{
    unsigned char byte = (unsigned char)when;
    EXPECT(buf_append(out, bytes_of(&byte, 1)) == ST_OK);
}

void payload_member(struct buf *out, double score, struct bytes name)
{
    EXPECT(buf_append(out, bytes_of(&score, sizeof(score))) == ST_OK);
    payload_name(out, name);
}

struct value_limits zset_limits(int64_t entries, int64_t size)
{
    return (struct value_limits){.zset_max_listpack_entries = entries,
                                 .zset_max_listpack_value = size,
                                 .hash_seed = 0x1234567890abcdefull};
}
