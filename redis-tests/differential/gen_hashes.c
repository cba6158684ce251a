/* Hashes: every command of the family that redis-server 7.0 has; small ones and some that have left
 * the listpack by their count, by a field or by a value. HRANDFIELD is never spoilt: a huge
 * negative count is a reply that redis-server has no memory for. */
#include "redis-tests/differential/gen.h"

static const struct gen_row rows[] = {
    ROW(20, "HSET hkey field_value+"),
    ROW(4, "HSET hkey many_field_values"),
    ROW(8, "HMSET hkey field_value+"),
    ROW(10, "HSETNX hkey field value"),
    ROW(16, "HGET hkey field"),
    ROW(12, "HMGET hkey field+"),
    ROW_AS(10, "HGETALL hkey", JUDGE_PAIRS),
    ROW_AS(6, "HKEYS hkey", JUDGE_UNORDERED),
    ROW_AS(6, "HVALS hkey", JUDGE_UNORDERED),
    ROW(12, "HLEN hkey"),
    ROW(8, "HSTRLEN hkey field"),
    ROW(8, "HEXISTS hkey field"),
    ROW(16, "HDEL hkey field+"),
    ROW(12, "HINCRBY hkey field integer"),
    ROW(12, "HINCRBYFLOAT hkey field float"),
    ROW(6, "HSET hkey field integer"),
    ROW(4, "HSET hkey field float"),
    ROW_ONLY(4, "HRANDFIELD hkey", JUDGE_COUNT, GEN_RIGHT),
    ROW_ONLY(8, "HRANDFIELD hkey some", JUDGE_COUNT, GEN_RIGHT),
    ROW_ONLY(8, "HRANDFIELD hkey some WITHVALUES", JUDGE_COUNT, GEN_RIGHT),
    ROW_ONLY(3, "HRANDFIELD hkey 100000 WITHVALUES", JUDGE_PAIRS, GEN_RIGHT),
    ROW_ONLY(3, "HRANDFIELD hkey (0|9223372036854775807|-9223372036854775808|'abc) <WITHVALUES|'x>",
             JUDGE_COUNT, GEN_RIGHT),
    ROW_AS(8, "HSCAN hkey 0 <MATCH field_pattern|COUNT count>", JUDGE_SCAN),
    ROW_AS(3, "HSCAN hkey 0 COUNT 100000", JUDGE_SCAN),
    ROW_AS(3, "HSCAN hkey (0|hostile) <MATCH field_pattern|COUNT hostile|junk>", JUDGE_SCAN),
    ROW(12, "OBJECT ENCODING hkey"),
    ROW(3, "COPY hkey hkey <REPLACE>"),
    ROW(2, "RENAME hkey hkey"),
    ROW(1, "DEL hkey"),
    ROW(2, "EXPIRE hkey seconds"),
    ROW_AS(2, "PTTL hkey", JUDGE_MS),
    ROW(2, "TYPE hkey"),
    ROW(2, "EXISTS hkey+"),
    ROW(2, "SET skey short"),
    ROW(1, "SET hkey short"),
    ROW(1, "GET hkey"),
    ROW(1, "RPUSH lkey element"),
    ROWS_END,
};

const struct gen_family gen_hashes = {
    .name = "hashes", .rows = rows, .scenes = SCENE_SHORT_EXPIRY, .spoilt_percent = 7};
