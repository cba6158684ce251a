#include "redis-tests/differential/judge.h"

#include "redis-tests/differential/judge_stream.h"
#include "redis-tests/differential/link.h"

#include <stdlib.h>
#include <strings.h>

static bool near(const struct reply *theirs, const struct reply *ours, int64_t tolerance)
{
    int64_t a, b;
    if (!reply_integer(theirs, &a) || !reply_integer(ours, &b) || a < 0 || b < 0) {
        return false;
    }
    return a > b ? a - b <= tolerance : b - a <= tolerance;
}

static void sort(struct reply *reply, size_t unit)
{
    qsort(reply->items, reply->count / unit, unit * sizeof(struct reply), reply_compare);
}

static bool agree_unordered(struct reply *theirs, struct reply *ours, size_t unit)
{
    if (theirs->type != ours->type || theirs->count != ours->count || theirs->count == 0) {
        return false;
    }
    sort(theirs, unit);
    sort(ours, unit);
    return reply_equal(theirs, ours);
}

/* Pairs of RESP2 stand in an array, of RESP3 in a map. */
static bool agree_hello(const struct reply *theirs, const struct reply *ours)
{
    if (theirs->type != ours->type || theirs->count != ours->count) {
        return false;
    }
    for (size_t i = 0; i + 1 < theirs->count; i += 2) {
        bool own = bytes_equal(theirs->items[i].text, bytes_of_text("version")) ||
                   bytes_equal(theirs->items[i].text, bytes_of_text("id"));
        if (!reply_equal(&theirs->items[i], &ours->items[i]) ||
            (!own && !reply_equal(&theirs->items[i + 1], &ours->items[i + 1])) ||
            theirs->items[i + 1].type != ours->items[i + 1].type) {
            return false;
        }
    }
    return true;
}

/* The parts of one command in COMMAND INFO's answer. */
enum {
    INFO_NAME,
    INFO_ARITY,
    INFO_FLAGS,
    INFO_FIRST,
    INFO_LAST,
    INFO_STEP,
    INFO_CATEGORIES,
    INFO_TIPS,
    INFO_KEYS,
    INFO_SUBCOMMANDS,
    INFO_COUNT
};

/* A key spec without its notes, which are prose: each server has its own words. */
static void drop_notes(struct reply *specs)
{
    for (size_t i = 0; i < specs->count; i++) {
        struct reply *spec = &specs->items[i];
        if (spec->count > 2 && bytes_equal(spec->items[0].text, bytes_of_text("notes"))) {
            spec->items += 2;
            spec->count -= 2;
        }
    }
}

/* Tips and subcommands are left out: tips were reworded from version to version, and a subcommand
 * that only one server has makes no difference to the others, which are asked for by name. */
static bool agree_one_command(struct reply *theirs, struct reply *ours)
{
    if (theirs->count != INFO_COUNT || ours->count != INFO_COUNT) {
        return reply_equal(theirs, ours);
    }
    struct reply *a = theirs->items, *b = ours->items;
    for (size_t i = 0; i < INFO_TIPS; i++) {
        if (i == INFO_FLAGS || i == INFO_CATEGORIES) {
            sort(&a[i], 1);
            sort(&b[i], 1);
        }
        if (!reply_equal(&a[i], &b[i])) {
            return false;
        }
    }
    drop_notes(&a[INFO_KEYS]);
    drop_notes(&b[INFO_KEYS]);
    return reply_equal(&a[INFO_KEYS], &b[INFO_KEYS]) && a[INFO_TIPS].type == b[INFO_TIPS].type;
}

static bool agree_commands(struct reply *theirs, struct reply *ours)
{
    bool fine = theirs->type == ours->type && theirs->count == ours->count;
    for (size_t i = 0; fine && i < theirs->count; i++) {
        fine = agree_one_command(&theirs->items[i], &ours->items[i]);
    }
    return fine;
}

static bool agree_scan(struct reply *theirs, struct reply *ours, bool begins, uint32_t each)
{
    struct bytes end = bytes_of_text("0");
    if (theirs->type != ours->type || theirs->count != ours->count || theirs->count != 2) {
        return false;
    }
    if (!begins || !bytes_equal(theirs->items[0].text, end) ||
        !bytes_equal(ours->items[0].text, end)) {
        return theirs->items[1].type == ours->items[1].type;
    }
    return reply_equal(&theirs->items[1], &ours->items[1]) ||
           agree_unordered(&theirs->items[1], &ours->items[1], each);
}

/* Only walks that begin must find the same: other cursors are each server's own. */
static bool scan_begins(const struct judge_case *replies)
{
    return replies->argc > 2 && bytes_equal(replies->argv[2], bytes_of_text("0"));
}

static bool agree(const struct judge_case *replies, struct reply *theirs, struct reply *ours)
{
    if (reply_is_error(theirs) || reply_is_error(ours)) {
        return false;
    }
    switch (replies->judge) {
    case JUDGE_SECONDS:
        return near(theirs, ours, 1);
    case JUDGE_MS:
        return near(theirs, ours, 1500);
    case JUDGE_UNORDERED:
        return agree_unordered(theirs, ours, 1);
    case JUDGE_PAIRS:
        /* Pairs of RESP3 that are no map are arrays of two. */
        return agree_unordered(theirs, ours,
                               theirs->count > 0 && theirs->items[0].type == '*' ? 1 : 2);
    case JUDGE_COUNT:
        return theirs->type == ours->type && theirs->count == ours->count &&
               theirs->null == ours->null;
    case JUDGE_SCAN:
        return agree_scan(theirs, ours, scan_begins(replies), 2);
    case JUDGE_SCAN_ONES:
        return agree_scan(theirs, ours, scan_begins(replies), 1);
    case JUDGE_SHAPE:
        return theirs->type == ours->type;
    case JUDGE_HELLO:
        return agree_hello(theirs, ours);
    case JUDGE_COMMAND:
        return agree_commands(theirs, ours);
    case JUDGE_STREAM:
        return judge_stream_agrees(theirs, ours, true);
    case JUDGE_ENTRIES:
        return judge_stream_agrees(theirs, ours, false);
    default:
        return false;
    }
}

bool judge_agrees(const struct judge_case *replies, struct arena *arena)
{
    if (bytes_equal(replies->theirs, replies->ours)) {
        return true;
    }
    struct reply theirs, ours;
    if (reply_parse(replies->theirs, arena, &theirs) && reply_parse(replies->ours, arena, &ours) &&
        agree(replies, &theirs, &ours)) {
        return true;
    }
    return explained_finds(replies, arena);
}
