/* What differs between redis-server 7.0.15 and 7.2, which Basin follows, and why. */
#include "redis-tests/differential/judge.h"
#include "redis-tests/differential/link.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

/* An encoding tells how a string came about; Basin's tells what it is, as Redis does after a
 * restart. */
#define BY_CONTENT                                                                                 \
    "Redis remembers how a string was made until it is loaded anew; Basin's encoding follows "     \
    "from "                                                                                        \
    "the content alone"
#define SET_BY_CONTENT                                                                             \
    "a set that was loaded anew, here after a crash, takes the encoding that its content calls "   \
    "for"
#define CURSOR                                                                                     \
    "7.0 reads cursors with strtoul, which takes signs, nothing at all and what follows a NUL; "   \
    "Basin takes the numbers that it gave out"
#define WITHSCORE "since 7.2 ZRANK and ZREVRANK take WITHSCORE"
#define FEWER_COMMANDS "Basin has fewer commands than Redis"
#define FEWER_DIRECTIVES "Basin has fewer directives than Redis"
#define GETKEYS_ARITY "since 7.2 COMMAND GETKEYS takes a command without arguments too"

static struct explained rows[] = {
    {"object encoding *", "$\"quicklist\"", "$\"listpack\"",
     "since 7.2 a list that fits one listpack is one", 0},
    {"object encoding *", "$\"hashtable\"", "$\"listpack\"",
     "a hash that shrank is packed again once it is loaded anew; only Basin is restarted", 0},
    {"object encoding *", "$\"raw\"", "$\"embstr\"", BY_CONTENT, 0},
    {"object encoding *", "$\"raw\"", "$\"int\"", BY_CONTENT, 0},
    {"object encoding *", "$\"embstr\"", "$\"int\"", BY_CONTENT, 0},
    {"object encoding *", "$\"hashtable\"", "$\"listpack\"",
     "since 7.2 a set, like a hash, may be a listpack", 0},
    {"object encoding *", "$\"hashtable\"", "$\"intset\"", SET_BY_CONTENT, 0},
    {"object encoding *", "$\"intset\"", "$\"hashtable\"",
     "since 7.2 a SADD of more members than an intset may have makes a hashtable, new or not", 0},
    {"object refcount *", ":2147483647", ":1", "Redis shares small integers, Basin shares nothing",
     0},
    {"scan +*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"scan -*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"scan 00*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"scan 12.*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"scan .*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"scan ", "*", "-ERR invalid cursor", CURSOR, 0},
    {"scan  *", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan * +*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan * -*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan * 00*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan * 12.*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan * .*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan *  *", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan * ", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan KKKKKKKK*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"hscan *novalues*", "-ERR syntax error", "*[*", "HSCAN NOVALUES came with 7.4", 0},
    {"sscan * +*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"sscan * -*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"sscan * 12.*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"sscan * .*", "*", "-ERR invalid cursor", CURSOR, 0},
    {"sscan * ", "*", "-ERR invalid cursor", CURSOR, 0},
    {"sscan *  *", "*", "-ERR invalid cursor", CURSOR, 0},
    {"zscan *", "*", "-ERR invalid cursor", CURSOR, 0},
    {"lpos *rank -9223372036854775808*", "*",
     "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
     "since 7.2 LPOS refuses the one rank that has no positive counterpart", 0},
    {"zrank *", "-ERR wrong number of arguments for 'zrank' command", "*", WITHSCORE, 0},
    {"zrevrank *", "-ERR wrong number of arguments for 'zrevrank' command", "*", WITHSCORE, 0},
    {"client setinfo*", "-ERR unknown subcommand '*'. Try CLIENT HELP.", "*",
     "CLIENT SETINFO came with 7.2", 0},
    {"client no-touch*", "-ERR unknown subcommand '*'. Try CLIENT HELP.", "*",
     "CLIENT NO-TOUCH came with 7.2", 0},
    {"command", "*[*", "*[*", FEWER_COMMANDS, 0},
    {"command info", "*[*", "*[*", FEWER_COMMANDS, 0},
    {"(raw session) *client reply *", "+<silence>", "+<closed>",
     "Redis forgets to close after QUIT or an error whose reply is switched off", 0},
    {"command getkeys* lmpop *", "*[*", "-ERR Invalid arguments specified for command",
     "Redis's finder of keys reads numkeys with atoi, and 1e3 as 1; LMPOP itself refuses it", 0},
    {"config get* \\*", "*[*", "*[*", FEWER_DIRECTIVES, 0},
    {"config get* \\* *", "*[*", "*[*", FEWER_DIRECTIVES, 0},
    {"command info command|getkeys*", "*[*[$\"command|getkeys*\" :-4 *",
     "*[*[$\"command|getkeys*\" :-3 *", GETKEYS_ARITY, 0},
    {"command getkeys*", "-ERR wrong number of arguments for 'command|getkeys*", "-ERR *",
     GETKEYS_ARITY, 0},
    {"xadd *", "-ERR Elements are too large to be stored",
     "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
     "7.0 words the error of ms-* after the last sequence number by chance", 0},
    {"xsetid *", "*",
     "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
     "since 7.2 XSETID refuses an ID below the greatest deleted one", 0},
    {"xread *+*", "-ERR Invalid stream ID specified as stream command argument", "*",
     "since 7.4 + asks XREAD for the last entry", 0},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define TEXT_LIMIT 2000

static bool matches(const char *pattern, const char *text, bool ignore_case)
{
    const char *star = NULL, *retry = NULL;
    while (*text != '\0') {
        bool itself = *pattern == '\\' && pattern[1] != '\0';
        char a = pattern[itself], b = *text;
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (ignore_case ? tolower((unsigned char)a) == tolower((unsigned char)b) : a == b) {
            pattern += 1 + itself;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static void end_text(struct buf *text)
{
    if (buf_append(text, bytes_of("", 1)) != ST_OK) {
        differential_die("no memory");
    }
}

/* Arguments with spaces between; NUL bytes show as a full stop, so that text does not end there. */
static void request_text(const struct judge_case *replies, struct buf *out)
{
    for (size_t i = 0; i < replies->argc && out->size < TEXT_LIMIT; i++) {
        struct bytes argument = bytes_slice(replies->argv[i], 0, TEXT_LIMIT);
        unsigned char *to = buf_extend(out, argument.size + 1);
        if (to == NULL) {
            differential_die("no memory");
        }
        for (size_t j = 0; j < argument.size; j++) {
            unsigned char c = ((const unsigned char *)argument.data)[j];
            to[j] = c == '\0' ? '.' : c;
        }
        to[argument.size] = ' ';
    }
    if (out->size > 0) {
        out->data[out->size - 1] = '\0';
    } else {
        end_text(out);
    }
}

bool explained_finds(const struct judge_case *replies, struct arena *arena)
{
    struct buf request = BUF_EMPTY, theirs = BUF_EMPTY, ours = BUF_EMPTY;
    struct reply reply;
    bool found = false;
    request_text(replies, &request);
    if (reply_parse(replies->theirs, arena, &reply)) {
        reply_text(&reply, TEXT_LIMIT, &theirs);
    }
    if (reply_parse(replies->ours, arena, &reply)) {
        reply_text(&reply, TEXT_LIMIT, &ours);
    }
    end_text(&theirs);
    end_text(&ours);
    for (size_t i = 0; i < ROW_COUNT && !found; i++) {
        found = matches(rows[i].request, (const char *)request.data, true) &&
                matches(rows[i].theirs, (const char *)theirs.data, false) &&
                matches(rows[i].ours, (const char *)ours.data, false);
        rows[i].met += found;
    }
    buf_deinit(&request);
    buf_deinit(&theirs);
    buf_deinit(&ours);
    return found;
}

void explained_print(void)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].met > 0) {
            printf("  explained %8" PRIu64 " times: %s (%s)\n", rows[i].met, rows[i].reason,
                   rows[i].request);
        }
    }
}
