/* keys_private: what the files of the key commands share.
 *
 *     keys.c         DEL … OBJECT; the rows of the family
 *     keys_expire.c  EXPIRE, TTL and their kin
 *     keys_move.c    RENAME, COPY, MOVE
 *     keys_space.c   the whole keyspace: KEYS, SCAN, RANDOMKEY, DBSIZE, SWAPDB, FLUSHDB, FLUSHALL
 */
#ifndef BASIN_SRC_COMMANDS_KEYS_PRIVATE_H
#define BASIN_SRC_COMMANDS_KEYS_PRIVATE_H

#include "src/dispatch/call.h"

/* Handlers, as command_handler. */
enum status keys_ttl(struct call *call);
enum status keys_pttl(struct call *call);
enum status keys_expiretime(struct call *call);
enum status keys_pexpiretime(struct call *call);
enum status keys_expire(struct call *call);
enum status keys_pexpire(struct call *call);
enum status keys_expireat(struct call *call);
enum status keys_pexpireat(struct call *call);
enum status keys_persist(struct call *call);
enum status keys_rename(struct call *call);
enum status keys_renamenx(struct call *call);
enum status keys_copy(struct call *call);
enum status keys_move(struct call *call);
enum status keys_keys(struct call *call);
enum status keys_scan(struct call *call);
enum status keys_randomkey(struct call *call);
enum status keys_dbsize(struct call *call);
enum status keys_swapdb(struct call *call);
enum status keys_flushdb(struct call *call);
enum status keys_flushall(struct call *call);

/* Plans, as command_plan. */
enum status keys_copy_plan(struct call *call);
enum status keys_move_plan(struct call *call);

#endif
