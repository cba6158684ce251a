/* Arguments by chance.
 *
 * Values lie around the sizes at which servers change their ways: 44 (the last embedded string),
 * 256 (what is logged as a result), 4096 (a part), 8192 (a list node), 16384 (an input buffer),
 * 70000 (past 16 bits). Large ones are rare, so that a run spends its time on many commands.
 */
#include "redis-tests/differential/gen_arguments.h"

#include "redis-tests/differential/gen_places.h"
#include "redis-tests/differential/gen_stream_arguments.h"
#include "redis-tests/differential/link.h"

#include <stdarg.h>
#include <stdio.h>

unsigned char *gen_room(struct gen *gen, size_t size)
{
    unsigned char *data = arena_alloc(&gen->arena, size);
    if (data == NULL) {
        differential_die("no memory");
    }
    return data;
}

void gen_put(struct gen *gen, struct bytes argument)
{
    if (gen->argc < GEN_ARGUMENTS_MAX) {
        gen->argv[gen->argc++] = argument;
    }
}

void gen_put_text(struct gen *gen, const char *text)
{
    gen_put(gen, bytes_of_text(text));
}

void gen_put_format(struct gen *gen, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    unsigned char *data = gen_room(gen, (size_t)size);
    memcpy(data, text, (size_t)size);
    gen_put(gen, bytes_of(data, (size_t)size));
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Bytes that bring out what a careless parser does. */
static const struct bytes hostile[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("0"),
    TEXT("-1"),
    TEXT("1"),
    TEXT("-0"),
    TEXT("00"),
    TEXT("+1"),
    TEXT("1.0"),
    TEXT("1e3"),
    TEXT(" 1"),
    TEXT("1 "),
    TEXT("nan"),
    TEXT("inf"),
    TEXT("-inf"),
    TEXT("0x10"),
    TEXT("abc"),
    TEXT("\0"),
    TEXT("\xff\xfe"),
    TEXT("a\r\nb"),
    TEXT("NX"),
    TEXT("xx"),
    TEXT("Get"),
    TEXT("EX"),
    TEXT("px"),
    TEXT("KEEPTTL"),
    TEXT("PERSIST"),
    TEXT("COUNT"),
    TEXT("MATCH"),
    TEXT("TYPE"),
    TEXT("LEFT"),
    TEXT("RIGHT"),
    TEXT("BEFORE"),
    TEXT("AFTER"),
    TEXT("RANK"),
    TEXT("MAXLEN"),
    TEXT("REPLACE"),
    TEXT("*"),
    TEXT("["),
    TEXT("ASYNC"),
    TEXT("LEN"),
    TEXT("WITHSCORES"),
    TEXT("WEIGHTS"),
    TEXT("LIMIT"),
    TEXT("("),
    TEXT("(5"),
    TEXT("IDX"),
    TEXT("LT"),
    TEXT("GT"),
    TEXT("12\0"),
    TEXT("1\n2"),
    TEXT("'quoted'"),
    TEXT("\"q"),
    TEXT("2147483647"),
    TEXT("2147483648"),
    TEXT("-2147483648"),
    TEXT("-2147483649"),
    TEXT("4294967295"),
    TEXT("4294967296"),
    TEXT("9223372036854775807"),
    TEXT("9223372036854775808"),
    TEXT("-9223372036854775808"),
    TEXT("-9223372036854775809"),
    TEXT("9223372036854775806"),
    TEXT("18446744073709551615"),
    TEXT("18446744073709551616"),
    TEXT("99999999999999999999999999"),
};

void gen_put_hostile(struct gen *gen)
{
    gen_put(gen, hostile[gen_below(gen, COUNT_OF(hostile))]);
}

static struct bytes random_bytes(struct gen *gen, size_t size)
{
    unsigned char *data = gen_room(gen, size);
    bool text = gen_chance(gen, 60);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t chance = gen_random(gen);
        for (size_t j = i; j < size && j < i + 8; j++, chance >>= 8) {
            data[j] = text ? (unsigned char)('a' + chance % 16) : (unsigned char)chance;
        }
    }
    return bytes_of(data, size);
}

static void put_odd_key(struct gen *gen)
{
    static const struct bytes odd[] = {
        TEXT(""),     TEXT("\0"),       TEXT("a b"), TEXT("\r\n"),  TEXT("{x}"),      TEXT("*"),
        TEXT("k[a]"), TEXT("\xff\x00"), TEXT("\\"),  TEXT("12345"), TEXT("$3\r\nfoo")};
    static const unsigned sizes[] = {100, 200, 255, 256, 257, 1000, 4095, 5000, 20000};
    if (gen_chance(gen, 70)) {
        gen_put(gen, odd[gen_below(gen, COUNT_OF(odd))]);
        return;
    }
    /* The size alone names a long key, so that it is met again. */
    size_t size = sizes[gen_below(gen, gen_chance(gen, 80) ? 6 : COUNT_OF(sizes))];
    unsigned char *data = gen_room(gen, size);
    memset(data, 'K', size);
    gen_put(gen, bytes_of(data, size));
}

static void put_key_of(struct gen *gen, char pool, unsigned percent)
{
    static const char pools[] = "sln";
    unsigned chance = gen_below(gen, 100);
    if (chance >= percent && chance % 3 == 0) {
        put_odd_key(gen);
    } else {
        char type = chance < percent ? pool : pools[gen_below(gen, 3)];
        gen_put_format(gen, "%c:%u", type, gen_below(gen, pool == 'l' ? 24 : 40));
    }
}

static void put_skey(struct gen *gen)
{
    put_key_of(gen, 's', 85);
}
static void put_lkey(struct gen *gen)
{
    put_key_of(gen, 'l', 90);
}
static void put_nkey(struct gen *gen)
{
    put_key_of(gen, 'n', 88);
}
static void put_hkey(struct gen *gen)
{
    put_key_of(gen, 'h', 92);
}
static void put_ckey(struct gen *gen)
{
    gen_put_format(gen, "%c:%u", gen_chance(gen, 94) ? 'c' : 'l', gen_below(gen, 12));
}
static void put_key(struct gen *gen)
{
    static const char pools[] = "sln";
    put_key_of(gen, pools[gen_below(gen, 3)], 90);
}

static void put_integer(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 60) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 2000) - 1000);
    } else if (chance < 80) {
        gen_put_format(gen, "%lld", (long long)gen_random(gen) >> gen_below(gen, 63));
    } else {
        gen_put_hostile(gen);
    }
}

static void put_index(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 75) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 26) - 10);
    } else if (chance < 92) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 20000) - 8000);
    } else {
        gen_put_hostile(gen);
    }
}

static void put_count(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 80) {
        gen_put_format(gen, "%u", gen_below(gen, 8));
    } else if (chance < 90) {
        gen_put_format(gen, "%d", (int)gen_below(gen, 400) - 100);
    } else {
        gen_put_hostile(gen);
    }
}

static void put_offset(struct gen *gen)
{
    static const unsigned edges[] = {43, 44, 45, 255, 256, 4095, 4096, 8192, 16384, 70000};
    unsigned chance = gen_below(gen, 100);
    if (chance < 70) {
        gen_put_format(gen, "%u", gen_below(gen, 60));
    } else if (chance < 85) {
        gen_put_format(gen, "%u", edges[gen_below(gen, COUNT_OF(edges))]);
    } else {
        gen_put_hostile(gen);
    }
}

/* Of a bit: within a few bytes, or near the sizes at which strings change their shape. */
static void put_bit(struct gen *gen)
{
    static const unsigned edges[] = {44, 256, 4096, 8192, 16384, 32768, 70000};
    unsigned chance = gen_below(gen, 100);
    if (chance < 60) {
        gen_put_format(gen, "%u", gen_below(gen, 200));
    } else if (chance < 82) {
        gen_put_format(gen, "%u", gen_below(gen, 8000));
    } else if (chance < 95) {
        unsigned edge = chance < 92 ? edges[gen_below(gen, 3)] : edges[gen_below(gen, 7)];
        gen_put_format(gen, "%u", edge * 8 + gen_below(gen, 40) - 20);
    } else if (chance < 98) {
        gen_put_format(gen, "-%u", gen_below(gen, 200));
    } else {
        gen_put_hostile(gen);
    }
}

/* The same as BITFIELD takes it. */
static void put_bit_field(struct gen *gen)
{
    if (gen_chance(gen, 70)) {
        put_bit(gen);
    } else if (gen_chance(gen, 95)) {
        gen_put_format(gen, "#%u", gen_below(gen, gen_chance(gen, 90) ? 20 : 3000));
    } else {
        gen_put_format(gen, "#%d", (int)gen_below(gen, 20) - 10);
    }
}

static void put_float(struct gen *gen)
{
    static const char *const floats[] = {"0.1",
                                         "-0.1",
                                         "3.0e3",
                                         "5.0e-3",
                                         "1e17",
                                         "1e18",
                                         "1e-17",
                                         "1e4932",
                                         "1e5000",
                                         "-1e4932",
                                         "0.0001",
                                         ".5",
                                         "5.",
                                         "1e",
                                         "infinity",
                                         "-Inf",
                                         "NaN",
                                         "0x1p3",
                                         "1.0 ",
                                         " 1.0",
                                         "123456789.123456789",
                                         "10.5",
                                         "200.25",
                                         "-0",
                                         "-0.0",
                                         "0.30000000000000004"};
    if (gen_chance(gen, 50)) {
        gen_put_format(gen, "%.*f", (int)gen_below(gen, 8),
                       (double)(int)gen_below(gen, 20000) / 7 - 900);
    } else if (gen_chance(gen, 70)) {
        gen_put_text(gen, floats[gen_below(gen, COUNT_OF(floats))]);
    } else {
        put_integer(gen);
    }
}

static size_t value_size(struct gen *gen)
{
    static const unsigned edges[] = {44, 64, 256, 4096, 8192, 16384, 70000};
    unsigned chance = gen_below(gen, 1000);
    if (chance < 600) {
        return gen_below(gen, 24);
    }
    if (chance < 930) {
        return gen_below(gen, 120);
    }
    unsigned which = chance < 965 ? gen_below(gen, 3) : gen_below(gen, COUNT_OF(edges));
    return edges[which] + gen_below(gen, 3) - 1;
}

static void put_value(struct gen *gen)
{
    if (gen_chance(gen, 15)) {
        put_integer(gen);
    } else if (gen_chance(gen, 5)) {
        gen_put_hostile(gen);
    } else {
        gen_put(gen, random_bytes(gen, value_size(gen)));
    }
}

/* Of few different ones, so that searches in lists find something. */
static void put_element(struct gen *gen)
{
    if (gen_chance(gen, 70)) {
        gen_put_format(gen, "%c", (char)('a' + gen_below(gen, 6)));
    } else {
        put_value(gen);
    }
}

static void put_pkey(struct gen *gen)
{
    if (gen_chance(gen, 94)) {
        gen_put_format(gen, "p:%u", gen_below(gen, 24));
    } else {
        put_key(gen);
    }
}

/* What a sketch counts: few, so that they come again, or a crowd, so that it becomes dense. */
static void put_crowd(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    unsigned count = chance < 60   ? gen_below(gen, 4)
                     : chance < 90 ? gen_below(gen, 40)
                                   : gen_below(gen, GEN_ARGUMENTS_MAX - 10);
    for (unsigned i = 0; i < count; i++) {
        gen_put_format(gen, "%u", gen_below(gen, 1u << (4 + gen_below(gen, 20))));
    }
}

/* A sparse HyperLogLog of runs as no server would lay them: equal ones side by side, zeros in long
 * form. Together they make 16384 registers. */
static void put_sketch(struct gen *gen)
{
    static const unsigned char header[16] = {'H', 'Y', 'L', 'L', 1, [15] = 0x80};
    unsigned char *data = gen_room(gen, 3000);
    size_t size = sizeof(header);
    unsigned left = 16384;
    unsigned values = 1 + gen_below(gen, 3);
    memcpy(data, header, sizeof(header));
    while (left > 4096 && size < 2000) {
        unsigned kind = gen_below(gen, 10);
        unsigned length = 1 + gen_below(gen, kind < 7 ? 4 : kind < 9 ? 64 : 300);
        if (kind < 7) {
            data[size++] = (unsigned char)(0x80 | gen_below(gen, values) << 2 | (length - 1));
        } else if (kind < 9) {
            data[size++] = (unsigned char)(length - 1);
        } else {
            data[size++] = (unsigned char)(0x40 | (length - 1) >> 8);
            data[size++] = (unsigned char)(length - 1);
        }
        left -= length;
    }
    data[size++] = (unsigned char)(0x40 | (left - 1) >> 8);
    data[size++] = (unsigned char)(left - 1);
    gen_put(gen, bytes_of(data, size));
}

static void put_short(struct gen *gen)
{
    size_t size = gen_below(gen, 40);
    unsigned char *data = gen_room(gen, size);
    for (size_t i = 0; i < size; i++) {
        data[i] = (unsigned char)('a' + gen_below(gen, 4));
    }
    gen_put(gen, bytes_of(data, size));
}

/* Far away: 12 days to 30 years, no two alike, so that GT and LT never hang on a moment. */
static void put_seconds(struct gen *gen)
{
    if (gen_chance(gen, 85)) {
        gen_put_format(gen, "%llu", 100000000ull + gen_random(gen) % 900000000ull);
    } else if (gen_chance(gen, 50)) {
        gen_put_format(gen, "%d", -(int)gen_below(gen, 1000000));
    } else {
        gen_put_hostile(gen);
    }
}

static void put_milliseconds(struct gen *gen)
{
    if (gen_chance(gen, 85)) {
        gen_put_format(gen, "%llu", 100000000000ull + gen_random(gen) % 900000000000ull);
    } else if (gen_chance(gen, 50)) {
        gen_put_format(gen, "%d", -(int)gen_below(gen, 1000000));
    } else {
        gen_put_hostile(gen);
    }
}

/* Unix times: of 2128, few of them, so that equal ones are compared too; or long past. */
static void put_at_of(struct gen *gen, const char *rest)
{
    if (gen_chance(gen, 80)) {
        gen_put_format(gen, "%llu%s", 5000000000ull + gen_below(gen, 40), rest);
    } else if (gen_chance(gen, 60)) {
        gen_put_format(gen, "%u%s", 1000000 + gen_below(gen, 1000000000), rest);
    } else {
        gen_put_hostile(gen);
    }
}

static void put_at(struct gen *gen)
{
    put_at_of(gen, "");
}
static void put_at_ms(struct gen *gen)
{
    put_at_of(gen, "007");
}

/* Not "**": Redis's matcher does not let it match the empty key, as "*" does. */
static void put_pattern(struct gen *gen)
{
    static const char *const patterns[] = {
        "*",       "s:*",  "l:?",   "?:1*",    "[sl]:*", "n:[0-5]", "",      "**:*",
        "[^s]:*",  "s:1?", "\\*",   "*[",      "[a-",    "K*",      "*:*:*", "k\\[a]",
        "[z-a]:*", "s:1",  "*1*2*", "[\\s]:*", "**?**",  "nope"};
    gen_put_text(gen, patterns[gen_below(gen, COUNT_OF(patterns))]);
}

static void put_db(struct gen *gen)
{
    if (gen_chance(gen, 80)) {
        gen_put_format(gen, "%u", gen_below(gen, 4));
    } else if (gen_chance(gen, 60)) {
        gen_put_format(gen, "%u", gen_below(gen, 20));
    } else {
        gen_put_hostile(gen);
    }
}

static void put_type(struct gen *gen)
{
    static const char *const types[] = {"string", "list", "LIST", "set",
                                        "hash",   "zset", "nope", ""};
    gen_put_text(gen, types[gen_below(gen, COUNT_OF(types))]);
}

static void put_word(struct gen *gen)
{
    static const char *const words[] = {"name", "a-name", "with space", "", "tab\t", "é", "x"};
    if (gen_chance(gen, 70)) {
        gen_put_text(gen, words[gen_below(gen, COUNT_OF(words))]);
    } else {
        gen_put_hostile(gen);
    }
}

static void put_junk(struct gen *gen)
{
    gen_put(gen, random_bytes(gen, gen_below(gen, gen_chance(gen, 90) ? 40 : 400)));
}

static void put_skey_value(struct gen *gen)
{
    put_skey(gen);
    put_value(gen);
}

/* Few enough to be met again, in small hashes; or of those that put_many_field_values makes. */
static void put_field(struct gen *gen)
{
    unsigned chance = gen_below(gen, 100);
    if (chance < 70) {
        gen_put_format(gen, "f%u", gen_below(gen, 12));
    } else if (chance < 92) {
        gen_put_format(gen, "f%u", gen_below(gen, 1000));
    } else {
        put_value(gen);
    }
}

static void put_field_value(struct gen *gen)
{
    put_field(gen);
    put_value(gen);
}

/* A stretch of fields with short values: two or three of them pass hash-max-listpack-entries. */
static void put_many_field_values(struct gen *gen)
{
    unsigned first = gen_below(gen, 800);
    for (unsigned count = 20 + gen_below(gen, 280); count > 0; count--) {
        gen_put_format(gen, "f%u", first++);
        put_short(gen);
    }
}

static void put_field_pattern(struct gen *gen)
{
    static const char *const patterns[] = {"*", "f*", "f1", "f?", "f[1-3]*", "[^f]*", "nope", ""};
    gen_put_text(gen, patterns[gen_below(gen, COUNT_OF(patterns))]);
}

/* A modest count of either sign. */
static void put_some(struct gen *gen)
{
    gen_put_format(gen, "%d",
                   (int)gen_below(gen, gen_chance(gen, 80) ? 16 : 900) -
                       (gen_chance(gen, 50) ? 300 : 6));
}

/* A count and that many keys, mostly. */
static void put_counted_lkeys(struct gen *gen)
{
    unsigned count = 1 + gen_below(gen, 4);
    if (gen_chance(gen, 92)) {
        gen_put_format(gen, "%u", count);
    } else {
        put_count(gen);
    }
    for (unsigned i = 0; i < count; i++) {
        put_lkey(gen);
    }
}

static void put_unknown(struct gen *gen)
{
    static const char *const names[] = {"foo",  "GETX",   "get ",    "",
                                        "se t", "cońfig", "G\r\nET", "-ERR"};
    if (gen_chance(gen, 70)) {
        gen_put_text(gen, names[gen_below(gen, COUNT_OF(names))]);
    } else {
        put_junk(gen);
    }
}

/* One of the words, which have single spaces between them. */
static void put_one_word(struct gen *gen, const char *words)
{
    unsigned count = 1;
    for (const char *c = words; *c != '\0'; c++) {
        count += *c == ' ';
    }
    for (unsigned skipped = gen_below(gen, count); skipped > 0; skipped--) {
        words = strchr(words, ' ') + 1;
    }
    gen_put(gen, bytes_of(words, strcspn(words, " ")));
}

/* A command or subcommand that both servers have. */
static void put_name(struct gen *gen)
{
    static const char names[] =
        "append auth bgsave bitcount bitfield bitfield_ro bitop bitpos client client|getname "
        "client|id client|info client|kill "
        "client|list client|no-evict client|reply client|setname command command|count "
        "command|docs command|getkeys command|getkeysandflags command|info command|list "
        "config config|get config|resetstat config|rewrite config|set copy dbsize debug "
        "decr decrby del echo exists expire expireat expiretime flushall flushdb get "
        "getbit getdel getex getrange getset hdel hello hexists hget hgetall "
        "hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals "
        "incr incrby incrbyfloat info keys lastsave "
        "lcs lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset "
        "ltrim memory memory|usage mget move mset msetnx object object|encoding "
        "object|freq object|idletime object|refcount persist pexpire pexpireat "
        "pexpiretime pfadd pfcount pfdebug pfmerge ping psetex pttl quit randomkey rename renamenx "
        "reset "
        "role rpop "
        "rpoplpush rpush rpushx sadd save scan scard sdiff sdiffstore sort sort_ro select set "
        "setbit setex "
        "setnx setrange shutdown sinter sintercard sinterstore sismember smembers "
        "smismember smove spop srandmember srem sscan "
        "strlen substr sunion sunionstore swapdb time touch ttl type unlink wait xack xadd "
        "xautoclaim xclaim "
        "xdel xgroup xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy "
        "xgroup|setid xinfo xinfo|consumers xinfo|groups xinfo|stream xlen xpending xrange xread "
        "xreadgroup xrevrange xsetid xtrim nope get|set config|nope "
        "zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop "
        "zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrem "
        "zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex "
        "zrevrangebyscore zscan zscore zunion zunionstore";
    put_one_word(gen, names);
}

/* Of a directive with one meaning on both servers. */
static void put_directive(struct gen *gen)
{
    static const char directives[] =
        "save maxmemory maxmemory-policy timeout tcp-keepalive tcp-backlog databases "
        "loglevel hz list-max-listpack-size list-max-ziplist-size proto-max-bulk-len "
        "client-query-buffer-limit client-output-buffer-limit requirepass unixsocket "
        "unixsocketperm list-compress-depth hash-max-* set-max-intset* zset-max-* "
        "appendfilename hll-sparse-max-bytes lazyfree-* slowlog* nope lfu-* repl-backlog-size "
        "activerehashing "
        "daemonize dbfilename enable-debug-command MAXMEMORY maxmemor? [s]ave maxclients "
        "protected-mode";
    put_one_word(gen, directives);
}

/* Name and value for CONFIG SET, such that nothing else in the run changes. */
static void put_setting(struct gen *gen)
{
    static const char *const settings[][2] = {{"maxmemory", "100gb"},
                                              {"maxmemory", "0"},
                                              {"maxmemory", "1x"},
                                              {"maxmemory", "-1"},
                                              {"maxmemory", "200000mb"},
                                              {"maxmemory", "100g"},
                                              {"maxmemory", "100000000k"},
                                              {"maxmemory", "10%"},
                                              {"maxmemory-samples", "7"},
                                              {"maxmemory-samples", "0"},
                                              {"maxmemory-eviction-tenacity", "20"},
                                              {"maxmemory-eviction-tenacity", "101"},
                                              {"lfu-log-factor", "0"},
                                              {"lfu-log-factor", "-1"},
                                              {"lfu-decay-time", "0"},
                                              {"lfu-decay-time", "x"},
                                              {"timeout", "0"},
                                              {"timeout", "10000"},
                                              {"timeout", "-1"},
                                              {"timeout", "abc"},
                                              {"tcp-keepalive", "100"},
                                              {"tcp-keepalive", "300"},
                                              {"hz", "20"},
                                              {"loglevel", "warning"},
                                              {"loglevel", "loud"},
                                              {"databases", "16"},
                                              {"daemonize", "yes"},
                                              {"nope", "1"},
                                              {"", ""},
                                              {"list-compress-depth", "0"},
                                              {"slowlog-max-len", "128"},
                                              {"hash-max-listpack-entries", "512"},
                                              {"proto-max-bulk-len", "512mb"},
                                              {"proto-max-bulk-len", "1"},
                                              {"save", "x"},
                                              {"client-output-buffer-limit", "normal 0 0 0"},
                                              {"client-output-buffer-limit", "nope 0 0 0"},
                                              {"client-output-buffer-limit", "normal 0 0"},
                                              {"maxmemory-policy", "noeviction"},
                                              {"maxmemory-policy", "nope"},
                                              {"maxmemory-policy", "allkeys-lru"},
                                              {"maxmemory-policy", "Volatile-TTL"},
                                              {"lazyfree-lazy-eviction", "yes"},
                                              {"list-max-listpack-size", "-2"},
                                              {"list-max-listpack-size", "99999999999"}};
    const char *const *setting = settings[gen_below(gen, COUNT_OF(settings))];
    gen_put_text(gen, setting[0]);
    gen_put_text(gen, setting[1]);
}

static const struct {
    const char *name;
    void (*put)(struct gen *gen);
} kinds[] = {
    {"key", put_key},
    {"skey", put_skey},
    {"lkey", put_lkey},
    {"nkey", put_nkey},
    {"hkey", put_hkey},
    {"ckey", put_ckey},
    {"field", put_field},
    {"field_value", put_field_value},
    {"many_field_values", put_many_field_values},
    {"field_pattern", put_field_pattern},
    {"some", put_some},
    {"value", put_value},
    {"element", put_element},
    {"pkey", put_pkey},
    {"crowd", put_crowd},
    {"sketch", put_sketch},
    {"short", put_short},
    {"integer", put_integer},
    {"index", put_index},
    {"count", put_count},
    {"offset", put_offset},
    {"bit", put_bit},
    {"bit_field", put_bit_field},
    {"float", put_float},
    {"seconds", put_seconds},
    {"milliseconds", put_milliseconds},
    {"at", put_at},
    {"at_ms", put_at_ms},
    {"pattern", put_pattern},
    {"db", put_db},
    {"type", put_type},
    {"word", put_word},
    {"junk", put_junk},
    {"hostile", gen_put_hostile},
    {"skey_value", put_skey_value},
    {"counted_lkeys", put_counted_lkeys},
    {"unknown", put_unknown},
    {"payload", gen_put_payload},
    {"name", put_name},
    {"directive", put_directive},
    {"setting", put_setting},
    {"gkey", gen_put_gkey},
    {"hgkey", gen_put_hgkey},
    {"rkey", gen_put_rkey},
    {"dkey", gen_put_dkey},
    {"hgmember", gen_put_hgmember},
    {"place_hgmember", gen_put_place_hgmember},
    {"gmember", gen_put_gmember},
    {"place", gen_put_place},
    {"place_member", gen_put_place_member},
    {"unit", gen_put_unit},
    {"radius", gen_put_radius},
    {"circle", gen_put_circle},
    {"box", gen_put_box},
    {"place_center", gen_put_place_center},
    {"center", gen_put_center},
    {"limit", gen_put_limit},
};

bool gen_put_kind(struct gen *gen, struct bytes kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (bytes_equal(kind, bytes_of_text(kinds[i].name))) {
            kinds[i].put(gen);
            return true;
        }
    }
    return gen_put_zset_kind(gen, kind) || gen_put_set_kind(gen, kind) ||
           gen_put_stream_kind(gen, kind);
}
