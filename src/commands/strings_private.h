/* strings_private: what the files of the string commands share.
 *
 *     strings.c           GET, SET and their kin; the rows of the family
 *     strings_counters.c  INCR … INCRBYFLOAT
 *     strings_ranges.c    APPEND, GETRANGE, SETRANGE
 *     strings_lcs.c       LCS
 */
#ifndef BASIN_SRC_COMMANDS_STRINGS_PRIVATE_H
#define BASIN_SRC_COMMANDS_STRINGS_PRIVATE_H

#include "src/dispatch/call.h"

/* Whether a key that was read is absent or a string; if not, the error is written. */
static inline bool strings_fits(struct call *call, const struct value *value)
{
    if (__builtin_expect(value->type != VALUE_STRING && value->type != VALUE_NONE, 0)) {
        reply_wrong_type(call);
        return false;
    }
    return true;
}

/* Handlers, as command_handler. */
enum status strings_incr(struct call *call);
enum status strings_decr(struct call *call);
enum status strings_incrby(struct call *call);
enum status strings_decrby(struct call *call);
enum status strings_incrbyfloat(struct call *call);
enum status strings_append(struct call *call);
enum status strings_getrange(struct call *call);
enum status strings_setrange(struct call *call);
enum status strings_lcs(struct call *call);

#endif
