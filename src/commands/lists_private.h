/* lists_private: what the files of the list commands share.
 *
 *     lists.c       push, pop, look, set; the rows of the family
 *     lists_edit.c  LINSERT, LREM, LTRIM, LPOS
 *     lists_move.c  LMOVE, RPOPLPUSH, LMPOP
 */
#ifndef BASIN_SRC_COMMANDS_LISTS_PRIVATE_H
#define BASIN_SRC_COMMANDS_LISTS_PRIVATE_H

#include "src/dispatch/call.h"

/* Whether a key that was read is absent or a list; if not, the error is written. */
bool lists_fits(struct call *call, const struct value *value);

/* Cuts a range with inclusive ends, negative ones counted from the end, to what lies within count
 * elements; gives the size of the rest, from *first_out on. */
uint64_t lists_range(int64_t start, int64_t stop, uint64_t count, uint64_t *first_out);

/* LEFT or RIGHT; else false, without a reply. */
bool lists_side(struct bytes argument, enum list_side *side_out);

/* Replies an array of count ≥ 1 elements in the order in which popping from that side gives them,
 * and pops them. */
enum status lists_pop_many(struct call *call, unsigned number, const struct value *value,
                           enum list_side side, uint64_t count);

/* Handlers, as command_handler. */
enum status lists_linsert(struct call *call);
enum status lists_lrem(struct call *call);
enum status lists_ltrim(struct call *call);
enum status lists_lpos(struct call *call);
enum status lists_lmove(struct call *call);
enum status lists_rpoplpush(struct call *call);
enum status lists_lmpop(struct call *call);

#endif
