/* HyperLogLog: sketches of a few elements and of many thousands, sparse, dense and on the way;
 * their bytes are read often, since they are Redis's own. Headers are damaged, but what follows
 * them is not: 7.0 reads beyond the end of runs that are cut short. */
#include "redis-tests/differential/gen.h"

static const struct gen_row rows[] = {
    ROW(40, "PFADD pkey crowd"),
    ROW(10, "PFADD pkey value+"),
    ROW(6, "PFADD pkey element+"),
    ROW(4, "PFADD pkey"),
    ROW(20, "PFCOUNT pkey"),
    ROW(12, "PFCOUNT pkey pkey+"),
    ROW(10, "PFMERGE pkey pkey+"),
    ROW(3, "PFMERGE pkey"),
    ROW(40, "GET pkey"),
    ROW(4, "STRLEN pkey"),
    ROW(4, "PFDEBUG (DECODE|ENCODING|TODENSE|'nope) pkey"),
    ROW(1, "PFDEBUG GETREG pkey"),
    ROW(2, "COPY pkey pkey REPLACE"),
    ROW(6, "DEL pkey"),
    ROW(1, "SET pkey value"),
    ROW_ONLY(6, "SET pkey sketch", JUDGE_EXACT, GEN_RIGHT),
    ROW_ONLY(2, "SETRANGE pkey (0|1|2|3) 'x", JUDGE_EXACT, GEN_RIGHT),
    ROW_ONLY(2, "SETRANGE pkey 4 ('\x02|'\x03|'\xff)", JUDGE_EXACT, GEN_RIGHT),
    ROW_ONLY(2, "SETRANGE pkey (5|6|7|8|9|10|11|12|13|14) ('a|'\x01\x02|'\xff)", JUDGE_EXACT,
             GEN_RIGHT),
    ROW_ONLY(2, "SETRANGE pkey 15 ('\x01|'\x80|'\xff|'\x7f)", JUDGE_EXACT, GEN_RIGHT),
    ROW(1, "RPUSH lkey element"),
    ROW(1, "SET skey short"),
    ROW(2, "EXPIRE pkey seconds"),
    ROW_AS(3, "PTTL pkey", JUDGE_MS),
    ROW(1, "OBJECT ENCODING pkey"),
    /* Until its lane settles. */
    ROW_ONLY(6, "CONFIG SET 'hll-sparse-max-bytes (0|1|18|19|20|40|100|1000|3000|3001|20000)",
             JUDGE_EXACT, GEN_ALONE | GEN_RIGHT),
    ROW_ONLY(1, "CONFIG SET 'hll-sparse-max-bytes (-1|'nope|3kb)", JUDGE_EXACT,
             GEN_ALONE | GEN_RIGHT),
    ROWS_END,
};

const struct gen_family gen_hyperloglog = {
    .name = "hyperloglog", .rows = rows, .scenes = SCENE_SHORT_EXPIRY, .spoilt_percent = 5};
