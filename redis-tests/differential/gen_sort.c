/* SORT and SORT_RO of lists and sets. Equal weights leave the order of texts open, so ALPHA and BY
 * only meet where the whole is sorted, from one order; members of large sets have none. */
#include "redis-tests/differential/gen.h"

static const struct gen_row rows[] = {
    ROW(20, "RPUSH okey sortable+"),
    ROW(4, "LPUSH okey sortable+"),
    ROW(6, "LTRIM okey 0 30"),
    ROW(6, "DEL okey"),
    ROW(10, "SADD ikey imember+"),
    ROW(3, "SREM ikey imember+"),
    ROW(3, "DEL ikey"),
    ROW(16, "SET wkey sortable"),
    ROW(3, "DEL wkey"),
    ROW(1, "RPUSH wkey sortable"),
    ROW(20, "SORT okey <ASC|DESC|LIMIT index count|GET got>"),
    ROW(14, "SORT okey ALPHA <ASC|DESC|LIMIT index count|GET got>"),
    ROW(16, "SORT okey BY by <ASC|DESC|LIMIT index count|GET got>"),
    ROW(8, "SORT okey BY 'nosort <ASC|DESC|LIMIT index count|GET got>"),
    ROW_ONLY(8, "SORT okey BY by ALPHA <ASC|DESC|GET got>", JUDGE_EXACT, GEN_RIGHT),
    ROW(10, "SORT ikey <ASC|DESC|ALPHA|LIMIT index count|GET got>"),
    ROW_ONLY(6, "SORT ikey BY 'w:* <ASC|DESC|LIMIT index count|GET got>", JUDGE_EXACT, GEN_RIGHT),
    ROW_AS(4, "SORT ikey BY 'nosort <DESC|ALPHA>", JUDGE_UNORDERED),
    ROW_ONLY(4, "SORT ikey BY 'nosort STORE okey", JUDGE_EXACT, GEN_RIGHT),
    ROW(8, "SORT okey <DESC|LIMIT index count|GET got> STORE okey"),
    ROW(4, "SORT okey BY by <DESC|LIMIT index count|GET got|GET got> STORE okey"),
    ROW(4, "SORT ikey <DESC|LIMIT index count|GET got> STORE okey"),
    ROW(6, "SORT_RO okey <BY by|DESC|LIMIT index count|GET got>"),
    ROW(1, "SORT_RO okey <DESC|GET got> STORE okey"),
    ROW(3, "SORT okey <junk|LIMIT integer|GET|BY|DESC|STORE>"),
    ROW(1, "SORT skey <junk>"),
    ROW(2, "SORT 'none <junk|STORE okey|DESC>"),
    ROW(3, "LRANGE okey 0 -1"),
    ROW(2, "OBJECT ENCODING okey"),
    ROW(2, "TYPE okey"),
    ROW(1, "SET skey short"),
    ROWS_END,
};

const struct gen_family gen_sort = {.name = "sort", .rows = rows, .spoilt_percent = 5};
