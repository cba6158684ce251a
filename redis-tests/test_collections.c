/* Chunk collections, as clients see them. */
#include "redis-tests/dialog.h"
#include "tests/lib/test.h"

#include "engine/value/chunks.h"

#include <stdio.h>
#include <string.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define COLLECTION                                                                                 \
    "-WRONGTYPE Operation against a key holding a chunk collection: it is append-only "            \
    "(CHUNK.APPEND), read with LRANGE, LINDEX and LLEN"
#define BAD_DIGEST "-ERR digest must be 64 hexadecimal digits or 32 bytes"

static const char *hex_of(const char *chunk, size_t size)
{
    static char hex[2 * CHUNK_DIGEST_SIZE + 1];
    struct chunk_digest digest = chunk_digest_of(bytes_of(chunk, size));
    for (size_t i = 0; i < CHUNK_DIGEST_SIZE; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest.bytes[i]);
    }
    return hex;
}

TEST(a_collection_keeps_order_and_throws_duplicates_away)
{
    dialog_begin();
    EXPECT_TEXT(ask("CHUNK.APPEND c one two one three"), "(3)");
    EXPECT_TEXT(ask("CHUNK.APPEND c two four"), "(1)");
    EXPECT_TEXT(ask("CHUNK.APPEND c one two three four"), "(0)");
    EXPECT_TEXT(ask("LLEN c"), "(4)");
    EXPECT_TEXT(ask("LRANGE c 0 -1"), "[one two three four]");
    EXPECT_TEXT(ask("LRANGE c -2 9"), "[three four]");
    EXPECT_TEXT(ask("LINDEX c 1"), "two");
    EXPECT_TEXT(ask("LINDEX c -1"), "four");
    EXPECT_TEXT(ask("LINDEX c 4"), "(nil)");
    EXPECT_TEXT(ask("CHUNK.APPEND c %s", ""), "(1)");
    EXPECT_TEXT(ask("CHUNK.APPEND c %s", ""), "(0)");
    EXPECT_TEXT(ask("LLEN c"), "(5)");
    EXPECT_TEXT(ask("CHUNK.APPEND c"), "-ERR wrong number of arguments for 'chunk.append' command");
}

TEST(chunks_are_found_by_their_blake3_digest)
{
    dialog_begin();
    EXPECT_TEXT(ask("CHUNK.APPEND c abc def"), "(2)");
    const char *abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    EXPECT_TEXT(hex_of("abc", 3), abc);
    EXPECT_TEXT(ask("CHUNK.HAS c %s", abc), "(1)");
    EXPECT_TEXT(ask("CHUNK.GET c %s", abc), "abc");
    EXPECT_TEXT(ask("CHUNK.HAS c 6437B3AC38465133FFB63B75273A8DB548C558465D79DB03FD359C6CD5BD9D85"),
                "(1)");
    struct chunk_digest digest = chunk_digest_of(bytes_of("def", 3));
    EXPECT_TEXT(ask("CHUNK.GET c %b", (const char *)digest.bytes, (size_t)CHUNK_DIGEST_SIZE),
                "def");
    EXPECT_TEXT(ask("CHUNK.HAS c %s", hex_of("xyz", 3)), "(0)");
    EXPECT_TEXT(ask("CHUNK.GET c %s", hex_of("xyz", 3)), "(nil)");
    EXPECT_TEXT(ask("CHUNK.HAS none %s", abc), "(0)");
    EXPECT_TEXT(ask("CHUNK.GET none %s", abc), "(nil)");
    EXPECT_TEXT(ask("CHUNK.HAS c abc"), BAD_DIGEST);
    EXPECT_TEXT(ask("CHUNK.GET c zz37b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
                BAD_DIGEST);
}

TEST(digests_are_listed_by_position)
{
    dialog_begin();
    EXPECT_TEXT(ask("CHUNK.APPEND c a b c"), "(3)");
    char expected[512];
    int size = snprintf(expected, sizeof(expected), "[%s", hex_of("b", 1));
    snprintf(expected + size, sizeof(expected) - (size_t)size, " %s]", hex_of("c", 1));
    EXPECT_TEXT(ask("CHUNK.DIGESTS c 1 -1"), expected);
    snprintf(expected, sizeof(expected), "[%s]", hex_of("a", 1));
    EXPECT_TEXT(ask("CHUNK.DIGESTS c -100 0"), expected);
    EXPECT_TEXT(ask("CHUNK.DIGESTS c 3 9"), "[]");
    EXPECT_TEXT(ask("CHUNK.DIGESTS none 0 -1"), "[]");
    EXPECT_TEXT(ask("CHUNK.DIGESTS c a 1"), "-ERR value is not an integer or out of range");
}

TEST(list_commands_that_would_change_a_collection_are_refused)
{
    dialog_begin();
    EXPECT_TEXT(ask("CHUNK.APPEND c a b"), "(2)");
    static const char *const commands[] = {
        "LPUSH c x", "RPUSH c x",     "LPUSHX c x",     "LPOP c",
        "RPOP c 1",  "LSET c 0 x",    "LREM c 0 a",     "LTRIM c 0 0",
        "LPOS c a",  "RPOPLPUSH c l", "LMPOP 1 c LEFT", "LINSERT c BEFORE a x",
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        EXPECT_TEXT(ask(commands[i]), COLLECTION);
    }
    EXPECT_TEXT(ask("RPUSH l v"), "(1)");
    EXPECT_TEXT(ask("LMOVE l c LEFT LEFT"), COLLECTION);
    EXPECT_TEXT(ask("LRANGE c 0 -1"), "[a b]");
}

TEST(chunk_commands_refuse_other_types)
{
    dialog_begin();
    EXPECT_TEXT(ask("SET s v"), "OK");
    EXPECT_TEXT(ask("RPUSH l v"), "(1)");
    for (int i = 0; i < 2; i++) {
        const char *key = i == 0 ? "s" : "l";
        EXPECT_TEXT(ask("CHUNK.APPEND %s x", key), WRONGTYPE);
        EXPECT_TEXT(ask("CHUNK.HAS %s %s", key, hex_of("v", 1)), WRONGTYPE);
        EXPECT_TEXT(ask("CHUNK.GET %s %s", key, hex_of("v", 1)), WRONGTYPE);
        EXPECT_TEXT(ask("CHUNK.DIGESTS %s 0 -1", key), WRONGTYPE);
    }
}

TEST(collections_are_keys_like_others)
{
    dialog_begin();
    EXPECT_TEXT(ask("CHUNK.APPEND c a b"), "(2)");
    EXPECT_TEXT(ask("EXPIRE c 100"), "(1)");
    EXPECT_TEXT(ask("COPY c d"), "(1)");
    EXPECT_TEXT(ask("CHUNK.APPEND d b c"), "(1)");
    EXPECT_TEXT(ask("LRANGE c 0 -1"), "[a b]");
    EXPECT_TEXT(ask("LRANGE d 0 -1"), "[a b c]");
    EXPECT_TEXT(ask("TTL d"), "(100)");
    EXPECT_TEXT(ask("RENAME d e"), "OK");
    EXPECT_TEXT(ask("CHUNK.HAS e %s", hex_of("c", 1)), "(1)");
    EXPECT_TEXT(ask("DEL c e"), "(2)");
    EXPECT_TEXT(ask("CHUNK.APPEND c a"), "(1)");
}

/* Size of the i-th chunk of the test below: some packed, some in parts, some larger than a part. */
static size_t chunk_size(int i)
{
    static const size_t sizes[] = {1, 40, 300, 2000, 5000, 30000};
    return 8 + sizes[i % 6];
}

TEST(a_large_collection_survives_kill_9_and_still_knows_its_duplicates)
{
    dialog_begin();
    enum { COUNT = 600 };
    for (int i = 0; i < COUNT; i++) {
        const char *chunk = dialog_filler(chunk_size(i), (uint64_t)i);
        EXPECT_TEXT(ask("CHUNK.APPEND c %s", chunk), "(1)");
    }
    dialog_crash();
    EXPECT_INT(ask_integer("LLEN c"), COUNT);
    for (int i = 0; i < COUNT; i++) {
        const char *chunk = dialog_filler(chunk_size(i), (uint64_t)i);
        EXPECT_TEXT(ask("CHUNK.APPEND c %s", chunk), "(0)");
        EXPECT_TEXT(ask("LINDEX c %d", i), chunk);
        EXPECT_TEXT(ask("CHUNK.GET c %s", hex_of(chunk, strlen(chunk))), chunk);
    }
    EXPECT_INT(ask_integer("LLEN c"), COUNT);
}
