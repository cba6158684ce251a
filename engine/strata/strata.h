/* strata: the strata of a store by id, and what each partition's look-ups go through.
 *
 *     stack of a partition, newest first:   [ settled just now ][ settled before ][ merged ]
 *                                             whole store         whole store       these
 * partitions
 *
 * Thread: the table of strata by any (it locks); a stack belongs to who holds its partition's
 * shard. Who wants to look something up without the lock takes a copy of the stack (a view), which
 * references the runs. Its version says later whether the stack has changed meanwhile: then what
 * was found may be stale, and the look-up is made again (see lookup.h).
 */
#ifndef BASIN_ENGINE_STRATA_STRATA_H
#define BASIN_ENGINE_STRATA_STRATA_H

#include "engine/index/page.h"
#include "engine/strata/stratum.h"

#include <pthread.h>

struct strata {
    pthread_mutex_t mutex;
    struct stratum **table; /* Ascending by id; one reference each. */
    size_t count, capacity;
    uint64_t long_key_seed;                                /* Of row_key; the store's. */
    _Atomic uint64_t memory;                               /* Directories and filters. */
    _Atomic uint64_t page_reads, grain_reads, grain_bytes; /* By look-ups. */
};

void strata_init(struct strata *strata, uint64_t long_key_seed);
void strata_deinit(struct strata *strata);
/* Takes the reference. ST_NOMEM: it did not. */
enum status strata_add(struct strata *strata, struct stratum *stratum);
/* Drops the store's reference; unknown ids are fine. doom: the file goes with the last reference.
 */
void strata_remove(struct strata *strata, uint32_t id, bool doom);
/* The run of this one is not needed any more: the table names the file without it from now on, and
 * its space goes with the last reference of those who still read it. What fails is logged, and
 * costs memory and space until the next start. */
void strata_bare(struct strata *strata, struct io *io, const char *dir, uint32_t store,
                 uint32_t id);
/* A reference of the caller's; NULL: it is gone, who has its id from a row looks again. */
struct stratum *strata_get(struct strata *strata, uint32_t id);

/* -- Stacks ------------------------------------------------------------------------------------ */

struct stack {
    struct stratum **runs; /* Newest first; one reference each. */
    uint32_t count;
    uint32_t version; /* Moves with every change. */
};

void stack_init(struct stack *stack);
void stack_deinit(struct stack *stack);
/* Gives the stack these runs in place of what it has; takes a reference of each. Old ones are
 * dropped. ST_NOMEM: nothing changed. */
enum status stack_set(struct stack *stack, struct stratum *const *runs, uint32_t count);
enum status stack_push(struct stack *stack, struct stratum *run);
/* A view: copy_out has references of its own and the same version. */
enum status stack_copy(const struct stack *stack, struct stack *copy_out);
/* False: no run has a row with this place, certainly. Memory alone. */
bool stack_may_have(const struct stack *stack, uint64_t place);

/* -- Rows and grains --------------------------------------------------------------------------- */

/* What is sought: place, and namespace and row_key of a key, or the name of a part. */
struct row strata_wanted_key(const struct strata *strata, uint64_t hash, uint32_t namespace_id,
                             struct bytes key, unsigned char room[ROW_KEY_HASH_SIZE]);
struct row strata_wanted_part(struct part_name name);

/* Verifies a grain that was read from there. ST_CORRUPT is logged (S3). */
enum status strata_grain_parse(struct location at, struct bytes data, struct grain *grain_out);
/* Reads and verifies a grain, waiting for the device; lends from room, which is emptied first.
 * ST_ABSENT: the stratum is gone, look again. */
enum status strata_read(struct strata *strata, struct location at, struct buf *room,
                        struct grain *grain_out);

#endif
