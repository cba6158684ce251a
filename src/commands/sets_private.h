/* sets_private: what the files of the set commands share.
 *
 *     sets.c          add, remove, look, move, scan; the rows of the family
 *     sets_random.c   SPOP, SRANDMEMBER
 *     sets_combine.c  SINTER, SUNION, SDIFF and what is made of them
 */
#ifndef BASIN_SRC_COMMANDS_SETS_PRIVATE_H
#define BASIN_SRC_COMMANDS_SETS_PRIVATE_H

#include "src/dispatch/call.h"

/* Whether a key that was read is absent or a set; if not, the error is written. */
bool sets_fits(struct call *call, const struct value *value);

/* A value_piece_fn for the call as its ctx: one bulk string. */
enum status sets_reply_member(void *ctx, struct value_piece piece);

/* Handlers, as command_handler. */
enum status sets_spop(struct call *call);
enum status sets_srandmember(struct call *call);
enum status sets_sinter(struct call *call);
enum status sets_sinterstore(struct call *call);
enum status sets_sintercard(struct call *call);
enum status sets_sunion(struct call *call);
enum status sets_sunionstore(struct call *call);
enum status sets_sdiff(struct call *call);
enum status sets_sdiffstore(struct call *call);

#endif
