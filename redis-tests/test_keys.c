/* Keys and the keyspace, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX "-ERR syntax error"
#define DB_RANGE "-ERR DB index is out of range"

TEST(del_unlink_exists_and_touch_count_the_keys_that_are_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("MSET a 1 b 2 c 3 d 4"), "OK");
    EXPECT_TEXT(ask("EXISTS a b a none"), "(3)");
    EXPECT_TEXT(ask("TOUCH a none c"), "(2)");
    EXPECT_TEXT(ask("DEL a none a"), "(1)");
    EXPECT_TEXT(ask("UNLINK b c"), "(2)");
    EXPECT_TEXT(ask("DBSIZE"), "(1)");
    EXPECT_TEXT(ask("GET d"), "4");
}

TEST(type_names_what_a_key_holds)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET s v"), "OK");
    EXPECT_TEXT(ask("RPUSH l v"), "(1)");
    EXPECT_TEXT(ask("CHUNK.APPEND c v"), "(1)");
    EXPECT_TEXT(ask("TYPE s"), "string");
    EXPECT_TEXT(ask("TYPE l"), "list");
    EXPECT_TEXT(ask("TYPE c"), "chunks");
    EXPECT_TEXT(ask("TYPE none"), "none");
}

TEST(object_tells_of_a_value_without_touching_it)
{
    dialog_begin();
    EXPECT_TEXT(ask("MSET int 123 embstr abc minus -5 zero 007"), "OK");
    EXPECT_TEXT(ask("SET at44 %s", dialog_filler(44, 1)), "OK");
    EXPECT_TEXT(ask("SET at45 %s", dialog_filler(45, 1)), "OK");
    EXPECT_TEXT(ask("OBJECT ENCODING int"), "int");
    EXPECT_TEXT(ask("OBJECT ENCODING minus"), "int");
    EXPECT_TEXT(ask("OBJECT ENCODING zero"), "embstr");
    EXPECT_TEXT(ask("OBJECT ENCODING embstr"), "embstr");
    EXPECT_TEXT(ask("OBJECT ENCODING at44"), "embstr");
    EXPECT_TEXT(ask("OBJECT ENCODING at45"), "raw");
    EXPECT_TEXT(ask("RPUSH l v"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING l"), "listpack");
    EXPECT_TEXT(ask("CHUNK.APPEND c v"), "(1)");
    EXPECT_TEXT(ask("OBJECT ENCODING c"), "chunks");
    EXPECT_TEXT(ask("OBJECT ENCODING none"), "(nil)");
    EXPECT_TEXT(ask("OBJECT REFCOUNT l"), "(1)");
    EXPECT_TEXT(ask("OBJECT FREQ none"), "(nil)");
    EXPECT(strncmp(ask("OBJECT FREQ l"), "-ERR An LFU maxmemory policy is not selected", 40) == 0);
    EXPECT(strncmp(ask("OBJECT HELP"), "[OBJECT <subcommand>", 20) == 0);
    EXPECT_TEXT(ask("OBJECT FOO l"), "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
    EXPECT_TEXT(ask("OBJECT ENCODING"),
                "-ERR wrong number of arguments for 'object|encoding' command");
    sleep(2);
    EXPECT(ask_integer("OBJECT IDLETIME l") >= 1);
    EXPECT_TEXT(ask("TOUCH l"), "(1)");
    EXPECT_TEXT(ask("OBJECT IDLETIME l"), "(0)");
}

TEST(expire_and_its_kin_set_a_time_and_persist_takes_it_away)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k v"), "OK");
    EXPECT_TEXT(ask("TTL k"), "(-1)");
    EXPECT_TEXT(ask("TTL none"), "(-2)");
    EXPECT_TEXT(ask("PTTL none"), "(-2)");
    EXPECT_TEXT(ask("EXPIRE k 100"), "(1)");
    EXPECT_TEXT(ask("TTL k"), "(100)");
    EXPECT_TEXT(ask("PEXPIRE k 50000"), "(1)");
    EXPECT_TEXT(ask("TTL k"), "(50)");
    EXPECT_TEXT(ask("EXPIREAT k 4000000000"), "(1)");
    EXPECT_TEXT(ask("EXPIRETIME k"), "(4000000000)");
    EXPECT_TEXT(ask("PEXPIREAT k 4000000000500"), "(1)");
    EXPECT_TEXT(ask("PEXPIRETIME k"), "(4000000000500)");
    EXPECT_TEXT(ask("EXPIRETIME k"), "(4000000001)");
    EXPECT_TEXT(ask("PERSIST k"), "(1)");
    EXPECT_TEXT(ask("PERSIST k"), "(0)");
    EXPECT_TEXT(ask("EXPIRETIME k"), "(-1)");
    EXPECT_TEXT(ask("EXPIRE none 100"), "(0)");
    EXPECT_TEXT(ask("PERSIST none"), "(0)");
    EXPECT_TEXT(ask("GET k"), "v");
}

TEST(a_time_that_has_passed_deletes_at_once)
{
    dialog_begin();
    static const char *const commands[] = {"EXPIRE k -1",  "EXPIRE k 0",     "PEXPIRE k -1000",
                                           "EXPIREAT k 1", "PEXPIREAT k -1", "PEXPIREAT k -2"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        EXPECT_TEXT(ask("RPUSH k v"), "(1)");
        EXPECT_TEXT(ask(commands[i]), "(1)");
        EXPECT_TEXT(ask("EXISTS k"), "(0)");
    }
}

TEST(keys_expire_by_themselves_whatever_they_hold)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET s v PX 40"), "OK");
    EXPECT_TEXT(ask("RPUSH l v"), "(1)");
    EXPECT_TEXT(ask("PEXPIRE l 40"), "(1)");
    EXPECT_TEXT(ask("EXISTS s l"), "(2)");
    usleep(80000);
    EXPECT_TEXT(ask("EXISTS s l"), "(0)");
    EXPECT_TEXT(ask("KEYS *"), "[]");
    EXPECT_TEXT(ask("RPUSH l w"), "(1)");
    EXPECT_TEXT(ask("TTL l"), "(-1)");
    EXPECT_TEXT(ask("APPEND s w"), "(1)");
    EXPECT_TEXT(ask("TTL s"), "(-1)");
}

TEST(expire_obeys_nx_xx_gt_and_lt)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET k v"), "OK");
    EXPECT_TEXT(ask("EXPIRE k 100 XX"), "(0)");
    EXPECT_TEXT(ask("EXPIRE k 100 GT"), "(0)");
    EXPECT_TEXT(ask("EXPIRE k 100 NX"), "(1)");
    EXPECT_TEXT(ask("EXPIRE k 200 NX"), "(0)");
    EXPECT_TEXT(ask("EXPIRE k 50 GT"), "(0)");
    EXPECT_TEXT(ask("EXPIRE k 200 GT"), "(1)");
    EXPECT_TEXT(ask("EXPIRE k 300 LT"), "(0)");
    EXPECT_TEXT(ask("EXPIRE k 100 xx lt"), "(1)");
    EXPECT_TEXT(ask("TTL k"), "(100)");
    EXPECT_TEXT(ask("PERSIST k"), "(1)");
    EXPECT_TEXT(ask("EXPIRE k 300 LT"), "(1)");
    EXPECT_TEXT(ask("EXPIRE k 9 NX XX"),
                "-ERR NX and XX, GT or LT options at the same time are not compatible");
    EXPECT_TEXT(ask("EXPIRE k 9 GT LT"),
                "-ERR GT and LT options at the same time are not compatible");
    EXPECT_TEXT(ask("EXPIRE k 9 FOO"), "-ERR Unsupported option FOO");
    EXPECT_TEXT(ask("EXPIRE k x"), NOT_INTEGER);
    EXPECT_TEXT(ask("EXPIRE k 9223372036854775807"),
                "-ERR invalid expire time in 'expire' command");
    EXPECT_TEXT(ask("PEXPIRE k 9223372036854775807"),
                "-ERR invalid expire time in 'pexpire' command");
    EXPECT_TEXT(ask("EXPIREAT k 9223372036854775807"),
                "-ERR invalid expire time in 'expireat' command");
}

TEST(rename_carries_value_and_time_over_what_was_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET a v EX 100"), "OK");
    EXPECT_TEXT(ask("RPUSH b x"), "(1)");
    EXPECT_TEXT(ask("RENAME a b"), "OK");
    EXPECT_TEXT(ask("GET b"), "v");
    EXPECT_TEXT(ask("TTL b"), "(100)");
    EXPECT_TEXT(ask("EXISTS a"), "(0)");
    EXPECT_TEXT(ask("RENAME a b"), "-ERR no such key");
    EXPECT_TEXT(ask("RENAME b b"), "OK");
    EXPECT_TEXT(ask("RENAMENX b b"), "(0)");
    EXPECT_TEXT(ask("SET c w"), "OK");
    EXPECT_TEXT(ask("RENAMENX b c"), "(0)");
    EXPECT_TEXT(ask("RENAMENX b d"), "(1)");
    EXPECT_TEXT(ask("RENAMENX b d"), "-ERR no such key");
    EXPECT_TEXT(ask("MGET c d"), "[w v]");
}

TEST(large_values_are_renamed_copied_and_moved_whole_and_survive_kill_9)
{
    dialog_begin();
    const size_t size = 300000;
    EXPECT_TEXT(ask("SET a %s", dialog_filler(size, 1)), "OK");
    for (int i = 0; i < 100; i++) {
        EXPECT_INT(ask_integer("RPUSH l %s", dialog_filler(500, (uint64_t)i)), i + 1);
    }
    EXPECT_TEXT(ask("RENAME a b"), "OK");
    EXPECT_TEXT(ask("COPY b c"), "(1)");
    EXPECT_TEXT(ask("COPY l l2"), "(1)");
    EXPECT_TEXT(ask("APPEND c tail"), "(300004)");
    EXPECT_TEXT(ask("LSET l2 7 changed"), "OK");
    EXPECT_TEXT(ask("MOVE b 3"), "(1)");
    EXPECT_TEXT(ask("COPY l l DB 4"), "(1)");
    dialog_crash();
    EXPECT_TEXT(ask("EXISTS a b"), "(0)");
    EXPECT_TEXT(ask("GETRANGE c 299990 -1"), ask("GETRANGE c -14 -1"));
    EXPECT_TEXT(ask("GETRANGE c 0 299999"), dialog_filler(size, 1));
    EXPECT_TEXT(ask("LINDEX l2 7"), "changed");
    EXPECT_TEXT(ask("LINDEX l 7"), dialog_filler(500, 7));
    EXPECT_TEXT(ask("SELECT 3"), "OK");
    EXPECT_TEXT(ask("GET b"), dialog_filler(size, 1));
    EXPECT_TEXT(ask("SELECT 4"), "OK");
    EXPECT_TEXT(ask("LINDEX l 99"), dialog_filler(500, 99));
}

TEST(copy_makes_a_second_value_of_its_own)
{
    dialog_begin();
    EXPECT_TEXT(ask("RPUSH a 1 2"), "(2)");
    EXPECT_TEXT(ask("EXPIRE a 100"), "(1)");
    EXPECT_TEXT(ask("COPY a b"), "(1)");
    EXPECT_TEXT(ask("TTL b"), "(100)");
    EXPECT_TEXT(ask("RPUSH b 3"), "(3)");
    EXPECT_TEXT(ask("LRANGE a 0 -1"), "[1 2]");
    EXPECT_TEXT(ask("LRANGE b 0 -1"), "[1 2 3]");
    EXPECT_TEXT(ask("COPY a b"), "(0)");
    EXPECT_TEXT(ask("COPY a b REPLACE"), "(1)");
    EXPECT_TEXT(ask("LRANGE b 0 -1"), "[1 2]");
    EXPECT_TEXT(ask("COPY none b"), "(0)");
    EXPECT_TEXT(ask("COPY a a"), "-ERR source and destination objects are the same");
    EXPECT_TEXT(ask("COPY a a DB 0"), "-ERR source and destination objects are the same");
    EXPECT_TEXT(ask("COPY a b FOO"), SYNTAX);
    EXPECT_TEXT(ask("COPY a b DB"), SYNTAX);
    EXPECT_TEXT(ask("COPY a b DB x"), NOT_INTEGER);
    EXPECT_TEXT(ask("COPY a b DB 16"), DB_RANGE);
    EXPECT_TEXT(ask("COPY a b DB -1"), DB_RANGE);
}

TEST(copy_and_move_reach_other_databases)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET a v"), "OK");
    EXPECT_TEXT(ask("COPY a a DB 1"), "(1)");
    EXPECT_TEXT(ask("COPY a a DB 1"), "(0)");
    EXPECT_TEXT(ask("COPY a a DB 1 REPLACE"), "(1)");
    EXPECT_TEXT(ask("MOVE a 1"), "(0)");
    EXPECT_TEXT(ask("MOVE a 2"), "(1)");
    EXPECT_TEXT(ask("EXISTS a"), "(0)");
    EXPECT_TEXT(ask("MOVE a 2"), "(0)");
    EXPECT_TEXT(ask("SELECT 2"), "OK");
    EXPECT_TEXT(ask("GET a"), "v");
    EXPECT_TEXT(ask("MOVE a 2"), "-ERR source and destination objects are the same");
    EXPECT_TEXT(ask("MOVE a 16"), DB_RANGE);
    EXPECT_TEXT(ask("MOVE a -1"), DB_RANGE);
    EXPECT_TEXT(ask("MOVE a x"), NOT_INTEGER);
    dialog_crash();
    EXPECT_TEXT(ask("DBSIZE"), "(0)");
    EXPECT_TEXT(ask("SELECT 1"), "OK");
    EXPECT_TEXT(ask("GET a"), "v");
    EXPECT_TEXT(ask("SELECT 2"), "OK");
    EXPECT_TEXT(ask("GET a"), "v");
}

TEST(keys_matches_glob_patterns)
{
    dialog_begin();
    EXPECT_TEXT(ask("MSET one 1 two 2 three 3 four 4"), "OK");
    EXPECT_TEXT(ask("KEYS t?o"), "[two]");
    EXPECT_TEXT(ask("KEYS [f]*"), "[four]");
    EXPECT_TEXT(ask("KEYS o\\ne"), "[one]");
    EXPECT_TEXT(ask("KEYS none*"), "[]");
    EXPECT_INT(strlen(ask("KEYS *")), strlen("[one two three four]"));
}

/* Walks with SCAN to the end; gives the keys met, each followed by a space. A step may give fewer
 * than COUNT, or none. Lent until the next call. */
static const char *scan_all(const char *options)
{
    static char keys[4096];
    keys[0] = '\0';
    char cursor[32] = "0";
    do {
        char command[256];
        snprintf(command, sizeof(command), "SCAN %s %s", cursor, options);
        char *answer = strdup(ask(command));
        char *rest = NULL;
        char *word = strtok_r(answer, "[] ", &rest);
        snprintf(cursor, sizeof(cursor), "%s", word);
        while ((word = strtok_r(NULL, "[] ", &rest)) != NULL) {
            size_t used = strlen(keys);
            snprintf(keys + used, sizeof(keys) - used, "%s ", word);
        }
        free(answer);
    } while (strcmp(cursor, "0") != 0);
    return keys;
}

TEST(scan_gives_every_key_that_stays_however_the_keyspace_changes_meanwhile)
{
    dialog_begin();
    enum { COUNT = 2000 };
    for (int i = 0; i < COUNT; i += 5) {
        EXPECT_TEXT(ask("MSET k%d v k%d v k%d v k%d v k%d v", i, i + 1, i + 2, i + 3, i + 4), "OK");
    }
    char cursor[32] = "0";
    static int seen[COUNT];
    memset(seen, 0, sizeof(seen));
    int step = 0;
    do {
        char *answer = strdup(ask("SCAN %s COUNT 100", cursor));
        char *rest = NULL;
        char *word = strtok_r(answer, "[] ", &rest);
        snprintf(cursor, sizeof(cursor), "%s", word);
        while ((word = strtok_r(NULL, "[] ", &rest)) != NULL) {
            if (word[0] == 'k') {
                seen[atoi(word + 1)]++;
            }
        }
        free(answer);
        /* Others come and go, enough for the tables to grow. */
        for (int i = 0; i < 10; i++) {
            EXPECT_TEXT(ask("MSET o%d:%d:1 v o%d:%d:2 v o%d:%d:3 v o%d:%d:4 v o%d:%d:5 v", step, i,
                            step, i, step, i, step, i, step, i),
                        "OK");
        }
        step++;
    } while (strcmp(cursor, "0") != 0 && step < 1000);
    EXPECT(step >= 10 && step < 1000);
    for (int i = 0; i < COUNT; i++) {
        EXPECT(seen[i] >= 1);
    }
}

TEST(scan_filters_by_pattern_and_type_and_refuses_nonsense)
{
    dialog_begin();
    for (int i = 0; i < 50; i += 5) {
        EXPECT_TEXT(ask("MSET k%d v k%d v k%d v k%d v k%d v", i, i + 1, i + 2, i + 3, i + 4), "OK");
    }
    EXPECT_TEXT(ask("RPUSH l v"), "(1)");
    EXPECT_TEXT(ask("CHUNK.APPEND c v"), "(1)");
    EXPECT_TEXT(scan_all("COUNT 1000 TYPE list"), "l ");
    EXPECT_TEXT(scan_all("COUNT 1000 TYPE CHUNKS"), "c ");
    EXPECT_TEXT(scan_all("COUNT 1000 TYPE hash"), "");
    EXPECT_TEXT(scan_all("count 7 match k7"), "k7 ");
    EXPECT_INT(strlen(scan_all("")), 10 * 3 + 40 * 4 + 2 * 2);
    EXPECT_TEXT(scan_all("COUNT 1000 MATCH k* TYPE list"), "");
    EXPECT_TEXT(ask("SCAN x"), "-ERR invalid cursor");
    EXPECT_TEXT(ask("SCAN 99999999999999999999999"), "-ERR invalid cursor");
    EXPECT_TEXT(ask("SCAN 0 COUNT 0"), SYNTAX);
    EXPECT_TEXT(ask("SCAN 0 COUNT x"), NOT_INTEGER);
    EXPECT_TEXT(ask("SCAN 0 FOO 1"), SYNTAX);
    EXPECT_TEXT(ask("SCAN 0 MATCH"), SYNTAX);
}

TEST(randomkey_gives_a_key_that_is_there)
{
    dialog_begin();
    EXPECT_TEXT(ask("RANDOMKEY"), "(nil)");
    EXPECT_TEXT(ask("MSET a 1 b 1 c 1 d 1"), "OK");
    bool seen[4] = {false};
    for (int i = 0; i < 200; i++) {
        const char *key = ask("RANDOMKEY");
        EXPECT(strlen(key) == 1 && key[0] >= 'a' && key[0] <= 'd');
        seen[key[0] - 'a'] = true;
    }
    EXPECT(seen[0] && seen[1] && seen[2] && seen[3]);
}

TEST(swapdb_swaps_and_flushes_empty_only_what_they_name)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET a 0"), "OK");
    EXPECT_TEXT(ask("SELECT 1"), "OK");
    EXPECT_TEXT(ask("SET a 1"), "OK");
    EXPECT_TEXT(ask("SWAPDB 0 1"), "OK");
    EXPECT_TEXT(ask("GET a"), "0");
    EXPECT_TEXT(ask("FLUSHDB"), "OK");
    EXPECT_TEXT(ask("DBSIZE"), "(0)");
    EXPECT_TEXT(ask("SELECT 0"), "OK");
    EXPECT_TEXT(ask("GET a"), "1");
    dialog_crash();
    EXPECT_TEXT(ask("GET a"), "1");
    EXPECT_TEXT(ask("FLUSHALL ASYNC"), "OK");
    EXPECT_TEXT(ask("EXISTS a"), "(0)");
    EXPECT_TEXT(ask("FLUSHDB FOO"), SYNTAX);
    EXPECT_TEXT(ask("FLUSHALL SYNC ASYNC"), SYNTAX);
    EXPECT_TEXT(ask("FLUSHDB SYNC"), "OK");
    EXPECT_TEXT(ask("SWAPDB x 1"), "-ERR invalid first DB index");
    EXPECT_TEXT(ask("SWAPDB 1 x"), "-ERR invalid second DB index");
    EXPECT_TEXT(ask("SWAPDB 0 16"), DB_RANGE);
    EXPECT_TEXT(ask("SWAPDB 5 5"), "OK");
    dialog_crash();
    EXPECT_TEXT(ask("DBSIZE"), "(0)");
}

TEST(databases_are_apart_from_each_other)
{
    dialog_begin();
    for (int i = 0; i < 16; i++) {
        EXPECT_TEXT(ask("SELECT %d", i), "OK");
        EXPECT_TEXT(ask("SET k %d", i), "OK");
    }
    for (int i = 0; i < 16; i++) {
        EXPECT_TEXT(ask("SELECT %d", i), "OK");
        EXPECT_INT(atoi(ask("GET k")), i);
        EXPECT_TEXT(ask("DBSIZE"), "(1)");
    }
}
