/* set_private: what the files of the set share.
 *
 *     set.c         reads, the class with the encoded form
 *     set_change.c  one member more or less, and the operations made of that
 *     set_build.c   whole sets, member by member
 */
#ifndef BASIN_ENGINE_VALUE_SET_PRIVATE_H
#define BASIN_ENGINE_VALUE_SET_PRIVATE_H

#include "engine/value/clast.h"
#include "engine/value/set.h"
#include "engine/value/value_class.h"

struct set {
    struct value_root head;
    struct clast clast;
    enum set_encoding encoding;
};

/* NULL: packed. */
struct set *set_root(const struct value *value);
struct value set_packed(struct bytes block);
struct value set_rooted(struct set *set);
/* An empty one. NULL: no memory. */
struct set *set_new(enum set_encoding encoding, uint64_t seed);
void set_drop(struct set *set);

/* What the probe's member is as an integer, and its hash. */
bool set_probe_integer(struct set_probe *probe);
uint64_t set_probe_hash(struct set_probe *probe, uint64_t seed);

/* Where a member lies in a packed block: its index and the offset of its entry. */
bool set_block_find(struct bytes block, struct bytes member, uint32_t *index_out,
                    size_t *offset_out);
enum status set_root_seek(const struct set *set, struct set_probe *probe,
                          struct clast_path *path_out, bool *found_out);

/* -- set_change.c: members given must not lie in the scratch buffer --------------------------- */

void set_work_open(struct set_work *work, const struct value *value,
                   const struct value_limits *limits, struct buf *scratch);
/* A set without members takes this encoding. */
enum status set_work_begin(struct set_work *work, enum set_encoding encoding);
/* Whatever the status, the set has its members from before, or that one more or less. */
enum status set_work_add(struct set_work *work, struct set_probe *probe, bool *added_out);
enum status set_work_remove(struct set_work *work, struct set_probe *probe, bool *removed_out);

/* value_class.apply */
enum status set_apply(struct value *value, unsigned op, struct bytes payload,
                      const struct value_limits *limits, struct buf *scratch,
                      struct value_change *change_out);

#endif
