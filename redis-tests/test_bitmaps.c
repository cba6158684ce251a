/* Bitmaps, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define NOT_OFFSET "-ERR bit offset is not an integer or out of range"
#define NOT_BIT "-ERR bit is not an integer or out of range"
#define NOT_TYPE                                                                                   \
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "   \
    "i64 is."
#define SYNTAX "-ERR syntax error"

TEST(setbit_counts_bits_from_the_highest_of_the_first_byte)
{
    dialog_begin();
    EXPECT_TEXT(ask("SETBIT k 7 1"), "(0)");
    EXPECT_TEXT(ask("GET k"), "\x01");
    EXPECT_TEXT(ask("SETBIT k 1 1"), "(0)");
    EXPECT_TEXT(ask("GET k"), "\x41");
    EXPECT_TEXT(ask("SETBIT k 7 0"), "(1)");
    EXPECT_TEXT(ask("GET k"), "\x40");
    EXPECT_TEXT(ask("GETBIT k 1"), "(1)");
    EXPECT_TEXT(ask("GETBIT k 7"), "(0)");
    EXPECT_TEXT(ask("GETBIT k 1000"), "(0)");
    EXPECT_TEXT(ask("GETBIT none 0"), "(0)");
}

TEST(setbit_grows_a_string_even_by_a_zero_and_keeps_its_time_to_live)
{
    dialog_begin();
    EXPECT_TEXT(ask("SETBIT k 15 0"), "(0)");
    EXPECT_TEXT(ask("STRLEN k"), "(2)");
    EXPECT_TEXT(ask("EXPIRE k 100"), "(1)");
    EXPECT_TEXT(ask("SETBIT k 40 1"), "(0)");
    EXPECT_TEXT(ask("STRLEN k"), "(6)");
    EXPECT_TEXT(ask("TTL k"), "(100)");
}

TEST(offsets_and_bits_that_are_none_are_refused)
{
    dialog_begin();
    EXPECT_TEXT(ask("SETBIT k -1 1"), NOT_OFFSET);
    EXPECT_TEXT(ask("SETBIT k 4294967296 1"), NOT_OFFSET);
    EXPECT_TEXT(ask("SETBIT k x 1"), NOT_OFFSET);
    EXPECT_TEXT(ask("SETBIT k 1 2"), NOT_BIT);
    EXPECT_TEXT(ask("SETBIT k 1 x"), NOT_BIT);
    EXPECT_TEXT(ask("GETBIT k -1"), NOT_OFFSET);
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
    EXPECT_TEXT(ask("RPUSH l a"), "(1)");
    EXPECT_TEXT(ask("SETBIT l 1 1"), WRONGTYPE);
    EXPECT_TEXT(ask("GETBIT l 1"), WRONGTYPE);
}

/* A plain array beside the server's string. */
TEST(bits_of_a_string_of_many_segments_are_those_that_were_set)
{
    enum { BITS = 8 * 100000, COUNT = 3000 };
    static unsigned char set[BITS];
    uint64_t chance = test_seed() + 1;
    long long total = 0;
    long long first = BITS;
    dialog_begin();
    memset(set, 0, sizeof(set));
    for (int i = 0; i < COUNT; i++) {
        long long bit = (long long)test_random_below(&chance, BITS);
        int to = test_random_below(&chance, 4) != 0;
        EXPECT_INT(ask_integer("SETBIT k %lld %d", bit, to), set[bit]);
        total += to - set[bit];
        set[bit] = (unsigned char)to;
    }
    for (long long bit = BITS - 1; bit >= 0; bit--) {
        first = set[bit] ? bit : first;
    }
    EXPECT_INT(ask_integer("BITCOUNT k"), total);
    EXPECT_INT(ask_integer("BITPOS k 1"), first);
    dialog_crash();
    EXPECT_INT(ask_integer("BITCOUNT k"), total);
    for (int i = 0; i < 300; i++) {
        long long start = (long long)test_random_below(&chance, BITS);
        long long end = start + (long long)test_random_below(&chance, 40000);
        long long count = 0;
        long long one = -1;
        for (long long bit = start; bit <= end && bit < BITS; bit++) {
            count += set[bit];
            one = set[bit] && one < 0 ? bit : one;
        }
        EXPECT_INT(ask_integer("BITCOUNT k %lld %lld BIT", start, end), count);
        EXPECT_INT(ask_integer("BITPOS k 1 %lld %lld BIT", start, end), one);
        EXPECT_INT(ask_integer("GETBIT k %lld", start), set[start]);
    }
}

TEST(bitcount_counts_within_bytes_or_bits)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k foobar"), "OK");
    EXPECT_TEXT(ask("BITCOUNT k"), "(26)");
    EXPECT_TEXT(ask("BITCOUNT k 0 0"), "(4)");
    EXPECT_TEXT(ask("BITCOUNT k 1 1 byte"), "(6)");
    EXPECT_TEXT(ask("BITCOUNT k 5 30 BIT"), "(17)");
    EXPECT_TEXT(ask("BITCOUNT k -2 -1"), "(7)");
    EXPECT_TEXT(ask("BITCOUNT k 3 1"), "(0)");
    EXPECT_TEXT(ask("BITCOUNT k -1 -2"), "(0)");
    EXPECT_TEXT(ask("BITCOUNT k 100 200"), "(0)");
    EXPECT_TEXT(ask("BITCOUNT k 2 2 BIT"), "(1)");
    EXPECT_TEXT(ask("BITCOUNT none"), "(0)");
}

TEST(bitcount_judges_its_arguments_only_where_there_is_a_string)
{
    dialog_begin();
    EXPECT_TEXT(ask("BITCOUNT none 1"), "(0)");
    EXPECT_TEXT(ask("BITCOUNT none x y foo"), "(0)");
    EXPECT_TEXT(ask("SET k foobar"), "OK");
    EXPECT_TEXT(ask("BITCOUNT k 1"), SYNTAX);
    EXPECT_TEXT(ask("BITCOUNT k x 1"), NOT_INTEGER);
    EXPECT_TEXT(ask("BITCOUNT k 0 1 foo"), SYNTAX);
    EXPECT_TEXT(ask("BITCOUNT k -1 -2 foo"), "(0)");
    EXPECT_TEXT(ask("RPUSH l a"), "(1)");
    EXPECT_TEXT(ask("BITCOUNT l x"), WRONGTYPE);
}

TEST(bitpos_finds_the_first_bit_and_knows_the_zeros_behind_the_end)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k %b", "\xff\xf0\x00", (size_t)3), "OK");
    EXPECT_TEXT(ask("BITPOS k 0"), "(12)");
    EXPECT_TEXT(ask("BITPOS k 1"), "(0)");
    EXPECT_TEXT(ask("BITPOS k 1 2"), "(-1)");
    EXPECT_TEXT(ask("BITPOS k 0 2"), "(16)");
    EXPECT_TEXT(ask("BITPOS k 1 5 20 BIT"), "(5)");
    EXPECT_TEXT(ask("BITPOS k 0 5 11 BIT"), "(-1)");
    EXPECT_TEXT(ask("BITPOS k 0 -12 -1 BIT"), "(12)");
    EXPECT_TEXT(ask("SET ones %b", "\xff\xff", (size_t)2), "OK");
    EXPECT_TEXT(ask("BITPOS ones 0"), "(16)");
    EXPECT_TEXT(ask("BITPOS ones 0 0"), "(16)");
    EXPECT_TEXT(ask("BITPOS ones 0 0 -1"), "(-1)");
    EXPECT_TEXT(ask("BITPOS ones 0 5"), "(-1)");
    EXPECT_TEXT(ask("BITPOS none 0"), "(0)");
    EXPECT_TEXT(ask("BITPOS none 1 x y z"), "(-1)");
    EXPECT_TEXT(ask("SET empty %s", ""), "OK");
    EXPECT_TEXT(ask("BITPOS empty 0"), "(-1)");
    EXPECT_TEXT(ask("BITPOS k 2"), "-ERR The bit argument must be 1 or 0.");
    EXPECT_TEXT(ask("BITPOS k x"), NOT_INTEGER);
    EXPECT_TEXT(ask("BITPOS k 0 x 0 foo"), NOT_INTEGER);
    EXPECT_TEXT(ask("BITPOS k 0 0 x foo"), SYNTAX);
}

TEST(bitpos_finds_one_clear_bit_in_a_sea_of_ones)
{
    enum { BITS = 8 * 70000 };
    static const long long places[] = {
        0, 1, 4095 * 8, 16384 * 8, 16384 * 8 - 1, 3 * 16384 * 8 + 77};
    dialog_begin();
    EXPECT_INT(ask_integer("SETBIT zeros %d 0", BITS - 1), 0);
    EXPECT_INT(ask_integer("BITOP NOT k zeros"), BITS / 8);
    EXPECT_INT(ask_integer("BITCOUNT k"), BITS);
    EXPECT_INT(ask_integer("BITPOS k 0"), BITS);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        EXPECT_INT(ask_integer("SETBIT k %lld 0", places[i]), 1);
        EXPECT_INT(ask_integer("BITPOS k 0 %lld -1 BIT", places[i]), places[i]);
        EXPECT_INT(ask_integer("BITPOS k 0"), places[i]);
        EXPECT_INT(ask_integer("SETBIT k %lld 1", places[i]), 0);
    }
}

TEST(bitop_combines_strings_of_different_sizes)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET a %b", "\xff\x0f\x33", (size_t)3), "OK");
    EXPECT_TEXT(ask("SET b %b", "\x55\xf1", (size_t)2), "OK");
    EXPECT_TEXT(ask("BITOP AND r a b"), "(3)");
    EXPECT_TEXT(ask("GETRANGE r 0 1"), "\x55\x01");
    EXPECT_TEXT(ask("BITCOUNT r 2 2"), "(0)");
    EXPECT_TEXT(ask("BITOP OR r a b none"), "(3)");
    EXPECT_TEXT(ask("GET r"), "\xff\xff\x33");
    EXPECT_TEXT(ask("BITOP xor r a b"), "(3)");
    EXPECT_TEXT(ask("GET r"), "\xaa\xfe\x33");
    EXPECT_TEXT(ask("BITOP NOT r a"), "(3)");
    EXPECT_TEXT(ask("BITCOUNT r 0 0"), "(0)");
    EXPECT_TEXT(ask("GETRANGE r 1 2"), "\xf0\xcc");
    EXPECT_TEXT(ask("BITOP NOT a a"), "(3)");
    EXPECT_TEXT(ask("BITOP XOR r r a"), "(3)");
    EXPECT_TEXT(ask("BITCOUNT r"), "(0)");
}

TEST(bitop_of_nothing_deletes_its_target_and_of_something_ends_its_time_to_live)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET r old EX 100"), "OK");
    EXPECT_TEXT(ask("SET a x"), "OK");
    EXPECT_TEXT(ask("BITOP OR r a"), "(1)");
    EXPECT_TEXT(ask("TTL r"), "(-1)");
    EXPECT_TEXT(ask("BITOP OR r none"), "(0)");
    EXPECT_TEXT(ask("EXISTS r"), "(0)");
    EXPECT_TEXT(ask("RPUSH r a"), "(1)");
    EXPECT_TEXT(ask("BITOP AND r a r"), WRONGTYPE);
    EXPECT_TEXT(ask("BITOP AND r a a"), "(1)");
    EXPECT_TEXT(ask("GET r"), "x");
    EXPECT_TEXT(ask("BITOP NOT r a a"), "-ERR BITOP NOT must be called with a single source key.");
    EXPECT_TEXT(ask("BITOP NAND r a"), SYNTAX);
}

TEST(bitop_of_many_segments_is_what_the_bytes_say)
{
    enum { LONG = 100001, SHORT = 40007 };
    static char expected[LONG + 1];
    static char longer[LONG + 1];
    static char shorter[SHORT + 1];
    dialog_begin();
    memcpy(longer, dialog_filler(LONG, 1), LONG);
    memcpy(shorter, dialog_filler(SHORT, 2), SHORT);
    EXPECT_TEXT(ask("SET a %b", longer, (size_t)LONG), "OK");
    EXPECT_TEXT(ask("SET b %b", shorter, (size_t)SHORT), "OK");
    memcpy(expected, longer, LONG);
    for (int i = 0; i < SHORT; i++) {
        expected[i] = (char)(longer[i] | shorter[i]);
    }
    EXPECT_INT(ask_integer("BITOP OR r b a"), LONG);
    EXPECT_TEXT(ask("GET r"), expected);
    EXPECT_INT(ask_integer("BITOP AND r a b"), LONG);
    EXPECT_INT(ask_integer("BITCOUNT r %d -1", SHORT), 0);
    EXPECT_INT(ask_integer("BITOP XOR r a a"), LONG);
    EXPECT_INT(ask_integer("BITCOUNT r"), 0);
    EXPECT_INT(ask_integer("BITOP XOR r r a"), LONG);
    dialog_crash();
    EXPECT_TEXT(ask("GET r"), longer);
}

TEST(bitfield_gets_sets_and_adds_in_the_order_of_its_words)
{
    dialog_begin();
    EXPECT_TEXT(ask("BITFIELD k SET u8 0 200 GET u8 0 INCRBY u8 0 10 GET i8 0"),
                "[(0) (200) (210) (-46)]");
    EXPECT_TEXT(ask("BITFIELD k SET i5 100 -7 GET i5 100 GET u5 100 GET u3 102"),
                "[(0) (-7) (25) (1)]");
    EXPECT_TEXT(ask("STRLEN k"), "(14)");
    EXPECT_TEXT(ask("BITFIELD k SET u8 #1 65 SET u8 #2 66 GET u16 8"), "[(0) (0) (16706)]");
    EXPECT_TEXT(ask("GETRANGE k 1 2"), "AB");
    EXPECT_TEXT(ask("BITFIELD k SET i64 #0 -9223372036854775808 GET i64 0 GET u63 1"),
                "[(-3296280884491059200) (-9223372036854775808) (0)]");
    EXPECT_TEXT(ask("BITFIELD k"), "[]");
    EXPECT_TEXT(ask("BITFIELD none GET u8 0 GET i64 100000"), "[(0) (0)]");
    EXPECT_TEXT(ask("EXISTS none"), "(0)");
}

TEST(bitfield_wraps_saturates_or_fails_on_overflow)
{
    dialog_begin();
    EXPECT_TEXT(ask("BITFIELD k INCRBY u2 0 5 OVERFLOW SAT INCRBY u2 0 5 INCRBY u2 0 -9"),
                "[(1) (3) (0)]");
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW FAIL INCRBY u2 0 4 INCRBY u2 0 3 INCRBY u2 0 -4"),
                "[(nil) (3) (nil)]");
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW SAT SET i8 8 200 SET i8 8 -200 GET i8 8"),
                "[(0) (127) (-128)]");
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW WRAP INCRBY i8 8 -1 OVERFLOW FAIL SET u8 8 256"),
                "[(127) (nil)]");
    EXPECT_TEXT(ask("BITFIELD k SET u8 8 -1 OVERFLOW SAT SET u4 8 -1 GET u8 8"),
                "[(127) (15) (255)]");
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW SAT SET i5 8 -9223372036854775792 GET i5 8 "
                    "SET i5 8 -9223372036854775793 GET i5 8"),
                "[(-1) (-16) (-16) (15)]");
    EXPECT_TEXT(ask("BITFIELD i SET i64 0 9223372036854775807 INCRBY i64 0 1 OVERFLOW SAT "
                    "INCRBY i64 0 -1 OVERFLOW FAIL INCRBY i64 0 -1"),
                "[(0) (-9223372036854775808) (-9223372036854775808) (nil)]");
}

TEST(bitfield_grows_the_string_for_what_it_would_write_even_if_it_fails)
{
    dialog_begin();
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW FAIL INCRBY u2 100 5"), "[(nil)]");
    EXPECT_TEXT(ask("STRLEN k"), "(13)");
    EXPECT_TEXT(ask("BITFIELD k GET u8 1000 SET u8 200 0"), "[(0) (0)]");
    EXPECT_TEXT(ask("STRLEN k"), "(26)");
}

/* Far more fields than islands, in any order, over several segments. */
TEST(bitfields_of_one_command_see_those_before_them)
{
    enum { FIELDS = 400, VALUES = 97 };
    static const char *words[2 + 4 * FIELDS];
    static char text[FIELDS][3][24];
    static long long values[VALUES];
    dialog_begin();
    for (int round = 0; round < 4; round++) {
        static char expected[FIELDS * 24];
        size_t size = (size_t)snprintf(expected, sizeof(expected), "[");
        uint64_t chance = test_seed() + (uint64_t)round + 1;
        words[0] = "BITFIELD";
        words[1] = "k";
        for (int i = 0; i < FIELDS; i++) {
            int which = (int)test_random_below(&chance, VALUES);
            long long more = (long long)test_random_below(&chance, 1000);
            values[which] += more;
            snprintf(text[i][0], sizeof(text[i][0]), "%d", which * 4001 + 3);
            snprintf(text[i][1], sizeof(text[i][1]), "%lld", more);
            words[2 + 4 * i] = "INCRBY";
            words[3 + 4 * i] = "u33";
            words[4 + 4 * i] = text[i][0];
            words[5 + 4 * i] = text[i][1];
            size += (size_t)snprintf(expected + size, sizeof(expected) - size, "%s(%lld)",
                                     i == 0 ? "" : " ", values[which]);
        }
        snprintf(expected + size, sizeof(expected) - size, "]");
        EXPECT_TEXT(ask_argv(2 + 4 * FIELDS, words, NULL), expected);
    }
    dialog_crash();
    for (int i = 0; i < VALUES; i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "[(%lld)]", values[i]);
        EXPECT_TEXT(ask("BITFIELD_RO k GET u33 %d", i * 4001 + 3), expected);
    }
}

TEST(bitfield_refuses_types_offsets_and_words_that_are_none)
{
    dialog_begin();
    EXPECT_TEXT(ask("BITFIELD k GET u64 0"), NOT_TYPE);
    EXPECT_TEXT(ask("BITFIELD k GET i65 0"), NOT_TYPE);
    EXPECT_TEXT(ask("BITFIELD k GET u0 0"), NOT_TYPE);
    EXPECT_TEXT(ask("BITFIELD k GET u08 0"), NOT_TYPE);
    EXPECT_TEXT(ask("BITFIELD k GET U8 0"), NOT_TYPE);
    EXPECT_TEXT(ask("BITFIELD k GET u8 -1"), NOT_OFFSET);
    EXPECT_TEXT(ask("BITFIELD k GET u8 #x"), NOT_OFFSET);
    EXPECT_TEXT(ask("BITFIELD k GET u8 #536870912"), NOT_OFFSET);
    EXPECT_TEXT(ask("BITFIELD k GET i64 #9223372036854775807"), NOT_OFFSET);
    EXPECT_TEXT(ask("BITFIELD k SET u8 0 x"), NOT_INTEGER);
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW foo"), "-ERR Invalid OVERFLOW type specified");
    EXPECT_TEXT(ask("BITFIELD k OVERFLOW"), SYNTAX);
    EXPECT_TEXT(ask("BITFIELD k GET u8"), SYNTAX);
    EXPECT_TEXT(ask("BITFIELD k SET u8 0"), SYNTAX);
    EXPECT_TEXT(ask("EXISTS k"), "(0)");
    EXPECT_TEXT(ask("BITFIELD_RO k SET u8 0 1"),
                "-ERR BITFIELD_RO only supports the GET subcommand");
    EXPECT_TEXT(ask("BITFIELD_RO k OVERFLOW SAT GET u8 0"), "[(0)]");
    EXPECT_TEXT(ask("RPUSH l a"), "(1)");
    EXPECT_TEXT(ask("BITFIELD l"), WRONGTYPE);
    EXPECT_TEXT(ask("BITFIELD l GET u8 x"), NOT_OFFSET);
}

TEST(the_last_bit_that_is_allowed_can_be_set_and_found)
{
    dialog_begin();
    EXPECT_TEXT(ask("CONFIG SET proto-max-bulk-len 1048576"), "OK");
    EXPECT_TEXT(ask("SETBIT k 8388608 1"), NOT_OFFSET);
    EXPECT_TEXT(ask("SETBIT k 8388607 1"), "(0)");
    EXPECT_TEXT(ask("BITPOS k 1"), "(8388607)");
    EXPECT_TEXT(ask("BITCOUNT k"), "(1)");
    EXPECT_TEXT(ask("CONFIG SET proto-max-bulk-len 512mb"), "OK");
    EXPECT_TEXT(ask("SETBIT k 4294967295 1"), "(0)");
    EXPECT_TEXT(ask("BITPOS k 1 8388608 -1 BIT"), "(4294967295)");
    EXPECT_TEXT(ask("BITCOUNT k"), "(2)");
    EXPECT_TEXT(ask("DEL k"), "(1)");
}
