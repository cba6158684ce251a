/* The connection and the server: sessions, what commands and directives tell about themselves, and
 * requests that nobody understands. Sessions of raw bytes (inline commands, broken protocol, QUIT,
 * CLIENT REPLY) are a scene. */
#include "redis-tests/differential/gen.h"

static const struct gen_row rows[] = {
    ROW(10, "PING"),
    ROW(8, "PING junk"),
    ROW(8, "ECHO junk"),
    ROW(4, "ECHO value"),
    ROW_ONLY(6, "SELECT db", JUDGE_EXACT, GEN_ALONE),
    ROW_ONLY(6, "HELLO <2|3|2|3|1|4|hostile>", JUDGE_HELLO, GEN_ALONE),
    ROW_ONLY(3, "HELLO (2|3) <AUTH 'default junk|AUTH word junk|junk>", JUDGE_HELLO, GEN_ALONE),
    /* Last and alone, since 7.0 sets the name even where what follows is refused. */
    ROW_ONLY(3, "HELLO (2|3) SETNAME word", JUDGE_HELLO, GEN_ALONE | GEN_RIGHT),
    ROW_ONLY(3, "RESET", JUDGE_EXACT, GEN_ALONE),
    ROW(5, "AUTH junk"),
    ROW(5, "AUTH ('default|word) junk"),
    ROW(8, "CLIENT SETNAME word"),
    ROW(8, "CLIENT GETNAME"),
    ROW_AS(3, "CLIENT ID", JUDGE_SHAPE),
    ROW_AS(3, "CLIENT INFO", JUDGE_SHAPE),
    ROW_AS(3, "CLIENT LIST", JUDGE_SHAPE),
    ROW_AS(3, "CLIENT LIST TYPE ('normal|'master|'replica|'pubsub|junk)", JUDGE_SHAPE),
    ROW_AS(3, "CLIENT LIST ID (0|99999999|-1|junk|hostile)", JUDGE_SHAPE),
    ROW(3, "CLIENT NO-EVICT (ON|OFF|junk)"),
    ROW(2, "CLIENT NO-TOUCH (ON|OFF|junk)"),
    ROW(2, "CLIENT SETINFO (LIB-NAME|LIB-VER|junk) (word|'x)"),
    ROW_ONLY(2, "CLIENT KILL (1.2.3.4:5|ID 99999999|ADDR 1.2.3.4:5|LADDR 1.2.3.4:5|USER 'nope)",
             JUDGE_EXACT, GEN_RIGHT),
    ROW_ONLY(2, "CLIENT KILL (ID 'xyz|ID 0|TYPE 'nope|SKIPME 'nope|ADDR|ID 1 SKIPME|'nope 1)",
             JUDGE_EXACT, GEN_RIGHT),
    ROW_ONLY(3, "CLIENT (HELP|'nope|word|junk)", JUDGE_SHAPE, GEN_RIGHT),
    ROW(3, "CLIENT REPLY junk"),
    ROW_AS(8, "COMMAND INFO name", JUDGE_COMMAND),
    ROW_AS(2, "COMMAND COUNT", JUDGE_SHAPE),
    ROW_AS(2, "COMMAND LIST FILTERBY (PATTERN 'get*|ACLCAT 'list|junk junk)", JUDGE_SHAPE),
    ROW_AS(2, "COMMAND DOCS name", JUDGE_SHAPE),
    ROW_ONLY(2, "COMMAND (HELP|'nope|junk)", JUDGE_SHAPE, GEN_RIGHT),
    ROW(10, "COMMAND (GETKEYS|GETKEYSANDFLAGS) (SET key value|GET key|MSET key value key value|"
            "DEL key+|COPY key key|LMPOP counted_lkeys LEFT|LMOVE key key LEFT RIGHT|PING|"
            "OBJECT ENCODING key|CONFIG GET 'x|RENAME key key|LCS key key|SET key value GET|"
            "BITOP AND key key+|PFMERGE key|PFMERGE key key+|BITFIELD key|BITFIELD key GET 'u8|"
            "BITFIELD key GET 'u8 bit|BITFIELD key GET 'u8 bit OVERFLOW SAT|"
            "BITFIELD key GET 'u8 0 SET 'u8 0 1|'nope 'a)"),
    ROW(3, "COMMAND (GETKEYS|GETKEYSANDFLAGS) (XREAD xstreams|XADD xkey xnew xfields|"
           "XREADGROUP GROUP xgroup xconsumer xgroup_streams|XGROUP CREATE xkey xgroup 0|"
           "XINFO STREAM xkey|XCLAIM xkey xgroup xconsumer 0 xid)"),
    ROW_AS(12, "CONFIG GET directive", JUDGE_PAIRS),
    ROW_AS(4, "CONFIG GET directive directive", JUDGE_PAIRS),
    ROW_ONLY(10, "CONFIG SET setting", JUDGE_EXACT, GEN_ALONE | GEN_RIGHT),
    ROW_ONLY(3, "CONFIG SET setting setting", JUDGE_EXACT, GEN_ALONE | GEN_RIGHT),
    ROW_ONLY(2, "CONFIG (HELP|'nope|junk|SET|GET)", JUDGE_SHAPE, GEN_RIGHT),
    ROW(1, "CONFIG RESETSTAT"),
    ROW(1, "CONFIG REWRITE"),
    ROW_AS(2, "TIME", JUDGE_SHAPE),
    ROW_AS(2, "LASTSAVE", JUDGE_SHAPE),
    ROW(2, "ROLE"),
    ROW_AS(2, "INFO <'server|'clients|'keyspace|junk>", JUDGE_SHAPE),
    ROW_ONLY(3, "WAIT 0 (0|1|junk|-1)", JUDGE_EXACT, GEN_RIGHT),
    ROW_AS(3, "MEMORY (USAGE key|USAGE key SAMPLES count|'nope|USAGE)", JUDGE_SHAPE),
    ROW_ONLY(2, "SHUTDOWN ('nope|ABORT|SAVE NOSAVE)", JUDGE_EXACT, GEN_RIGHT),
    ROW_ONLY(2, "OBJECT ('nope|HELP|junk)", JUDGE_SHAPE, GEN_RIGHT),
    ROW_ONLY(2, "DEBUG (junk|'nope|SLEEP 0)", JUDGE_EXACT, GEN_RIGHT),
    ROW(14, "unknown"),
    ROW(10, "unknown junk+"),
    ROW(4, "unknown value+"),
    ROW(4, "SET skey value"),
    ROW(3, "GET skey"),
    ROW(2, "RPUSH lkey element"),
    ROW(2, "MGET skey+"),
    ROWS_END,
};

const struct gen_family gen_connection = {
    .name = "connection", .rows = rows, .scenes = SCENE_RAW_SESSION, .spoilt_percent = 10};
