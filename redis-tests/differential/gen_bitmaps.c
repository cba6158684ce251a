/* Bitmaps: every command of the family, every option; strings of a few bytes and, by far offsets,
 * across every size at which a string changes its shape. The bytes themselves are read often. */
#include "redis-tests/differential/gen.h"

#define FIELD                                                                                      \
    "('u8|'i8|'u4|'i5|'u1|'i1|'u63|'i64|'u33|'i16|'u64|'i65|'u0|'U8|'x8|'u08|'u) bit_field"

static const struct gen_row rows[] = {
    ROW(40, "SETBIT skey bit (0|1|1|1)"),
    ROW(2, "SETBIT skey bit hostile"),
    ROW(2, "SETBIT skey hostile (0|1)"),
    ROW(20, "GETBIT skey bit"),
    ROW(2, "GETBIT skey hostile"),
    ROW(10, "BITCOUNT skey"),
    ROW(14, "BITCOUNT skey index index"),
    ROW(14, "BITCOUNT skey index index (BIT|BYTE|BIT|junk)"),
    ROW(8, "BITCOUNT skey bit bit BIT"),
    ROW(10, "BITPOS skey (0|1)"),
    ROW(10, "BITPOS skey (0|1) index"),
    ROW(12, "BITPOS skey (0|1) index index"),
    ROW(14, "BITPOS skey (0|1) index index (BIT|BYTE|BIT|junk)"),
    ROW(10, "BITPOS skey (0|1) bit bit BIT"),
    ROW(2, "BITPOS skey hostile"),
    ROW(14, "BITOP (AND|OR|XOR) skey skey+"),
    ROW(10, "BITOP NOT skey skey"),
    ROW(2, "BITOP (NOT|junk) skey skey+"),
    ROW(1, "BITOP (AND|OR|XOR) lkey skey lkey"),
    ROW(10, "BITFIELD skey GET " FIELD),
    ROW(14, "BITFIELD skey SET " FIELD " integer"),
    ROW(14, "BITFIELD skey INCRBY " FIELD " integer"),
    ROW(8, "BITFIELD skey OVERFLOW (WRAP|SAT|FAIL|junk) SET " FIELD " integer INCRBY " FIELD
           " integer"),
    ROW(14,
        "BITFIELD skey <GET 'u8 bit_field|SET 'i8 bit_field integer|INCRBY 'u3 bit_field integer|"
        "OVERFLOW SAT|OVERFLOW FAIL|OVERFLOW WRAP> INCRBY ('i8|'u7|'i64|'u63) bit_field integer "
        "<SET 'u16 bit_field integer|INCRBY 'i11 bit_field integer|GET 'i64 bit_field|"
        "OVERFLOW SAT|OVERFLOW FAIL> SET 'u12 bit_field integer GET 'u20 bit_field"),
    ROW(2, "BITFIELD skey"),
    ROW(2, "BITFIELD lkey <GET 'u8 0|SET 'u8 0 1>"),
    ROW(8, "BITFIELD_RO skey GET " FIELD),
    ROW(4, "BITFIELD_RO skey GET " FIELD " <GET 'u8 bit_field|OVERFLOW SAT|SET 'u8 0 1>"),
    ROW(25, "GET skey"),
    ROW(4, "STRLEN skey"),
    ROW(8, "SET skey value"),
    ROW(3, "SETRANGE skey offset value"),
    ROW(5, "DEL skey"),
    ROW(2, "EXPIRE skey seconds"),
    ROW_AS(3, "PTTL skey", JUDGE_MS),
    ROW(1, "SET lkey short"),
    ROW(1, "RPUSH lkey element"),
    ROWS_END,
};

const struct gen_family gen_bitmaps = {
    .name = "bitmaps", .rows = rows, .scenes = SCENE_SHORT_EXPIRY, .spoilt_percent = 6};
