/* DUMP and RESTORE: arguments, times, what is there before and after. Payloads of DUMP differ
 * between the servers and may; that they mean the same is test_dump's to show. */
#include "redis-tests/differential/gen.h"

static const struct gen_row rows[] = {
    ROW(20, "RESTORE key 0 payload <REPLACE|IDLETIME count|FREQ count>"),
    ROW(20, "RESTORE key 0 payload REPLACE"),
    ROW(8, "RESTORE key milliseconds payload <REPLACE|ABSTTL>"),
    ROW(8, "RESTORE key at_ms payload ABSTTL <REPLACE>"),
    ROW(6, "RESTORE key (junk|hostile|0) payload <REPLACE|ABSTTL|IDLETIME hostile|FREQ hostile>"),
    ROW(3, "RESTORE key 0 (payload|junk|hostile) <REPLACE|ABSTTL|IDLETIME|FREQ|junk>"),
    ROW(3, "RESTORE-ASKING key 0 payload <REPLACE>"),
    ROW_AS(6, "DUMP key", JUDGE_SHAPE),
    ROW(6, "DEL key+"),
    ROW(6, "TYPE key"),
    ROW(4, "EXISTS key+"),
    ROW_AS(4, "PTTL key", JUDGE_MS),
    ROW_AS(3, "PEXPIRETIME key", JUDGE_MS),
    ROW_AS(2, "OBJECT IDLETIME key", JUDGE_SHAPE),
    ROW(3, "OBJECT FREQ key"),
    ROW(3, "OBJECT ENCODING key"),
    ROW(6, "GET key"),
    ROW(2, "SET key value"),
    ROW(2, "APPEND key short"),
    ROW(6, "LRANGE key 0 -1"),
    ROW(2, "RPUSH key element+"),
    ROW(2, "LPOP key count"),
    ROW(2, "COPY key key <REPLACE>"),
    ROW(6, "ZRANGE key 0 -1 WITHSCORES"),
    ROW(2, "ZADD key 1 element"),
    ROW(2, "ZREM key element"),
    ROW_AS(6, "SMEMBERS key", JUDGE_UNORDERED),
    ROW(2, "SADD key element"),
    ROW(2, "SREM key element"),
    ROW_AS(6, "HGETALL key", JUDGE_PAIRS),
    ROW(2, "HSET key short value"),
    ROW(2, "HDEL key short"),
    ROWS_END,
};

const struct gen_family gen_dump = {.name = "dump", .rows = rows, .spoilt_percent = 7};
