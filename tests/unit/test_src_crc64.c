#include "src/rdb/crc64.h"

#include "tests/lib/test.h"

/* A bit at a time, as the polynomial is defined: the other way round, reflected by hand. */
static uint64_t crc64_slowly(struct bytes bytes)
{
    uint64_t crc = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint64_t in = ((const unsigned char *)bytes.data)[i] >> bit & 1;
            uint64_t out = crc >> 63;
            crc = crc << 1 ^ (in != out ? 0xad93d23594c935a9u : 0);
        }
    }
    uint64_t reflected = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        reflected |= (crc >> bit & 1) << (63 - bit);
    }
    return reflected;
}

TEST(crc64_has_the_check_values_of_its_polynomial)
{
    EXPECT(crc64(0, bytes_of_text("123456789")) == 0xe9c6d914c4b8d9ca);
    EXPECT(crc64(0, BYTES_NONE) == 0);
    EXPECT(crc64(7, BYTES_NONE) == 7);
}

TEST(crc64_in_slices_of_eight_is_crc64_by_bits_at_every_size_and_alignment)
{
    unsigned char bytes[96];
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)test_random(&state);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t size = 0; start + size <= sizeof(bytes); size++) {
            struct bytes range = bytes_of(bytes + start, size);
            EXPECT(crc64(0, range) == crc64_slowly(range));
        }
    }
}

TEST(crc64_of_parts_goes_on_where_the_part_before_ended)
{
    struct bytes whole =
        bytes_of_text("It was a dark and stormy night; the rain fell in torrents.");
    for (size_t cut = 0; cut <= whole.size; cut++) {
        uint64_t first = crc64(0, bytes_slice(whole, 0, cut));
        EXPECT(crc64(first, bytes_slice(whole, cut, whole.size)) == crc64(0, whole));
    }
}
