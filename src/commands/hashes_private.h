/* hashes_private: what the files of the hash commands share.
 *
 *     hashes.c           the rows of the family
 *     hashes_fields.c    single fields: HSET, HGET, HDEL …, counters
 *     hashes_walk.c      many: HGETALL and its kin, HSCAN, HRANDFIELD
 *     hashes_expiry.c    the lives of fields: HEXPIRE, HTTL, HPERSIST …
 *     hashes_together.c  HGETDEL, HGETEX, HSETEX
 */
#ifndef BASIN_SRC_COMMANDS_HASHES_PRIVATE_H
#define BASIN_SRC_COMMANDS_HASHES_PRIVATE_H

#include "src/dispatch/call.h"

/* Redis keeps times of fields in 48 bits. */
#define FIELD_TIME_MAX_MS ((INT64_C(1) << 48) - 2)

/* Whether a key that was read is absent or a hash; if not, the error is written. */
static inline bool hashes_fits(struct call *call, const struct value *value)
{
    if (__builtin_expect(value->type != VALUE_HASH && value->type != VALUE_NONE, 0)) {
        reply_wrong_type(call);
        return false;
    }
    return true;
}

/* fields_find that finds nothing in an absent key. */
static inline enum status hashes_find(const struct call *call, const struct value *value,
                                      struct bytes field, struct field_item *item_out,
                                      bool *found_out)
{
    *found_out = false;
    return value->type == VALUE_NONE ? ST_OK
                                     : fields_find(value, field, call->now_ms, item_out, found_out);
}

/* The field's value, or null. */
enum status hashes_reply_field(struct call *call, const struct value *value, struct bytes field);

/* For each of the fields the place, counted from 1, where it was named before; 0: nowhere. An array
 * of the arena; NULL: no memory. */
const size_t *hashes_repeats(struct call *call, const struct bytes *fields, size_t count);

/* The point in time that a word of the request means. False: the error is written. */
bool hashes_time(struct call *call, struct bytes word, bool absolute, bool seconds,
                 int64_t *time_ms_out);

/* Handlers, as command_handler. */
enum status hashes_hset(struct call *call);
enum status hashes_hmset(struct call *call);
enum status hashes_hsetnx(struct call *call);
enum status hashes_hget(struct call *call);
enum status hashes_hmget(struct call *call);
enum status hashes_hlen(struct call *call);
enum status hashes_hstrlen(struct call *call);
enum status hashes_hexists(struct call *call);
enum status hashes_hdel(struct call *call);
enum status hashes_hincrby(struct call *call);
enum status hashes_hincrbyfloat(struct call *call);
enum status hashes_hgetall(struct call *call);
enum status hashes_hkeys(struct call *call);
enum status hashes_hvals(struct call *call);
enum status hashes_hscan(struct call *call);
enum status hashes_hrandfield(struct call *call);
enum status hashes_hexpire(struct call *call);
enum status hashes_hpexpire(struct call *call);
enum status hashes_hexpireat(struct call *call);
enum status hashes_hpexpireat(struct call *call);
enum status hashes_httl(struct call *call);
enum status hashes_hpttl(struct call *call);
enum status hashes_hexpiretime(struct call *call);
enum status hashes_hpexpiretime(struct call *call);
enum status hashes_hpersist(struct call *call);
enum status hashes_hgetdel(struct call *call);
enum status hashes_hgetex(struct call *call);
enum status hashes_hsetex(struct call *call);

#endif
