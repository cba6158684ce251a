/* Lists: every command of the family, every option; short lists and some of thousands. */
#include "redis-tests/differential/gen.h"

static const struct gen_row rows[] = {
    ROW(18, "RPUSH lkey element+"),
    ROW(18, "LPUSH lkey element+"),
    ROW(8, "RPUSHX lkey element+"),
    ROW(8, "LPUSHX lkey element+"),
    ROW(10, "LPOP lkey"),
    ROW(10, "RPOP lkey"),
    ROW(10, "LPOP lkey count"),
    ROW(10, "RPOP lkey count"),
    ROW(12, "LLEN lkey"),
    ROW(16, "LRANGE lkey index index"),
    ROW(2, "LRANGE lkey 0 -1"),
    ROW(12, "LINDEX lkey index"),
    ROW(12, "LSET lkey index element"),
    ROW(12, "LINSERT lkey (BEFORE|AFTER|BEFORE|AFTER|junk) element element"),
    ROW(12, "LREM lkey index element"),
    ROW(6, "LTRIM lkey index index"),
    ROW(3, "LTRIM lkey 0 40"),
    ROW(10, "LPOS lkey element"),
    ROW(14, "LPOS lkey element <RANK index|COUNT count|MAXLEN count>"),
    ROW(4, "LPOS lkey element RANK integer <COUNT count|MAXLEN count>"),
    ROW(12, "LMOVE lkey lkey (LEFT|RIGHT) (LEFT|RIGHT)"),
    ROW(8, "RPOPLPUSH lkey lkey"),
    ROW(14, "LMPOP counted_lkeys (LEFT|RIGHT) <COUNT count>"),
    ROW(3, "LMPOP counted_lkeys (LEFT|RIGHT|junk) <COUNT count|hostile>"),
    ROW(4, "OBJECT ENCODING lkey"),
    ROW(4, "DEL lkey"),
    ROW(2, "EXPIRE lkey seconds"),
    ROW_AS(2, "PTTL lkey", JUDGE_MS),
    ROW(2, "TYPE lkey"),
    ROW(2, "EXISTS lkey+"),
    ROW(2, "SET skey short"),
    ROW(1, "SET lkey short"),
    ROWS_END,
};

const struct gen_family gen_lists = {
    .name = "lists", .rows = rows, .scenes = SCENE_SHORT_EXPIRY, .spoilt_percent = 7};
