/* Times to live. Kept as points in time, Unix milliseconds. */
#include "src/commands/keys_private.h"

/* ------------------------------------------------------------------------------------------
 * Asking.
 */

static enum status reply_time(struct call *call, bool left, bool seconds)
{
    struct key_facts facts;
    enum status status = txn_look(call->txn, 0, &facts);
    if (status != ST_OK) {
        return status;
    }
    if (facts.type == VALUE_NONE) {
        resp_integer(call->out, -2);
        return ST_OK;
    }
    int64_t time_ms = facts.expiry_ms;
    if (time_ms == BASIN_NO_EXPIRY) {
        resp_integer(call->out, -1);
        return ST_OK;
    }
    if (left) {
        time_ms -= (int64_t)call->now_ms;
        time_ms = time_ms < 0 ? 0 : time_ms;
    }
    resp_integer(call->out, seconds ? time_ms / 1000 + (time_ms % 1000 >= 500) : time_ms);
    return ST_OK;
}

enum status keys_ttl(struct call *call)
{
    return reply_time(call, true, true);
}

enum status keys_pttl(struct call *call)
{
    return reply_time(call, true, false);
}

enum status keys_expiretime(struct call *call)
{
    return reply_time(call, false, true);
}

enum status keys_pexpiretime(struct call *call)
{
    return reply_time(call, false, false);
}

/* ------------------------------------------------------------------------------------------
 * Setting.
 */

struct conditions {
    bool only_without, only_with; /* NX, XX */
    bool only_later, only_sooner; /* GT, LT */
};

static bool conditions_read(struct call *call, struct conditions *conditions)
{
    *conditions = (struct conditions){0};
    for (size_t i = 3; i < call->argc; i++) {
        struct bytes word = call->argv[i];
        if (argument_is(word, "nx")) {
            conditions->only_without = true;
        } else if (argument_is(word, "xx")) {
            conditions->only_with = true;
        } else if (argument_is(word, "gt")) {
            conditions->only_later = true;
        } else if (argument_is(word, "lt")) {
            conditions->only_sooner = true;
        } else {
            resp_error_format(call->out, "ERR Unsupported option %.*s",
                              (int)(word.size < ERROR_WORD_MAX ? word.size : ERROR_WORD_MAX),
                              (const char *)word.data);
            return false;
        }
    }
    if (conditions->only_without &&
        (conditions->only_with || conditions->only_later || conditions->only_sooner)) {
        resp_error(call->out,
                   "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (conditions->only_later && conditions->only_sooner) {
        resp_error(call->out, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static bool conditions_met(const struct conditions *conditions, int64_t old_ms, int64_t new_ms)
{
    bool forever = old_ms == BASIN_NO_EXPIRY;
    return !(conditions->only_without && !forever) && !(conditions->only_with && forever) &&
           !(conditions->only_later && (forever || new_ms <= old_ms)) &&
           !(conditions->only_sooner && !forever && new_ms >= old_ms);
}

/* The point in time that argv[2] means; may lie before 1970. False: the error is written. */
static bool time_argument(struct call *call, bool absolute, bool seconds, int64_t *time_ms_out)
{
    int64_t time;
    if (!argument_int64(call, call->argv[2], &time)) {
        return false;
    }
    if ((seconds && __builtin_mul_overflow(time, 1000, &time)) ||
        (!absolute && __builtin_add_overflow(time, (int64_t)call->now_ms, &time))) {
        resp_error_format(call->out, "ERR invalid expire time in '%s' command",
                          call->command->full_name);
        return false;
    }
    *time_ms_out = time;
    return true;
}

static enum status expire(struct call *call, bool absolute, bool seconds)
{
    struct conditions conditions;
    int64_t time_ms;
    if (!conditions_read(call, &conditions) || !time_argument(call, absolute, seconds, &time_ms)) {
        return ST_OK;
    }
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    if (value.type == VALUE_NONE ||
        !conditions_met(&conditions, txn_expiry(call->txn, 0), time_ms)) {
        resp_integer(call->out, 0);
        return ST_OK;
    }
    /* Negative times must not be taken for "none". */
    status = time_ms <= (int64_t)call->now_ms ? txn_delete(call->txn, 0, NULL)
                                              : txn_expire(call->txn, 0, time_ms);
    if (status == ST_OK) {
        resp_integer(call->out, 1);
    }
    return status;
}

enum status keys_expire(struct call *call)
{
    return expire(call, false, true);
}

enum status keys_pexpire(struct call *call)
{
    return expire(call, false, false);
}

enum status keys_expireat(struct call *call)
{
    return expire(call, true, true);
}

enum status keys_pexpireat(struct call *call)
{
    return expire(call, true, false);
}

enum status keys_persist(struct call *call)
{
    struct value value;
    enum status status = txn_peek(call->txn, 0, &value);
    if (status != ST_OK) {
        return status;
    }
    bool expiring = value.type != VALUE_NONE && txn_expiry(call->txn, 0) != BASIN_NO_EXPIRY;
    if (expiring) {
        status = txn_expire(call->txn, 0, BASIN_NO_EXPIRY);
    }
    if (status == ST_OK) {
        resp_integer(call->out, expiring);
    }
    return status;
}
