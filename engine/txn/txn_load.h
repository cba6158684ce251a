/* txn_load: brings what is on disk into memory.
 *
 * Finding is one thing, and needs no lock: a look-up on a view of the partition's stack. Installing
 * is another, under the shard's lock: what was found counts only if the stack is the one that was
 * viewed and memory knows nothing of the key. Txns do the second in their own runs (see fetch.h);
 * here are also those who wait for the device: replay, and who cannot go back.
 */
#ifndef BASIN_ENGINE_TXN_TXN_LOAD_H
#define BASIN_ENGINE_TXN_TXN_LOAD_H

#include "engine/strata/lookup.h"
#include "engine/txn/store.h"

/* What reads need beside the store; one for each thread that waits for the device. */
struct load_room {
    struct lookup_room read;
    struct evict_pool pool; /* What is loaded takes the place of something. */
};
enum status load_room_init(struct load_room *room, struct basin *basin);
void load_room_deinit(struct load_room *room);

/* What is on disk under a key that has no entry (bits of ENTRY_ORIGIN), as far as memory knows: 0
 * or ENTRY_UNRESOLVED. Under the shard's lock. */
unsigned load_origin(const struct basin *basin, uint64_t hash);

/* -- What a look-up has found: without locks ----------------------------------------------------
 */

struct loaded {
    bool found;        /* Expired or not. */
    bool row_only;     /* Only its row was read: */
    unsigned type;     /* of that, */
    bool wakes;        /* and some of its fields expire, perhaps all of them have. */
    int64_t expiry_ms; /* EXPIRY_NONE: none. */
    uint64_t lsn;
    struct value value; /* Packed bytes are lent by what was read; free it. VALUE_NONE: none. */
};
/* ST_ABSENT: look again. ST_IO, ST_CORRUPT (S3), ST_NOMEM. */
enum status load_key_found(const struct basin *basin, const struct lookup *lookup,
                           uint32_t namespace_id, struct bytes name, struct loaded *loaded_out);
/* The part is given. As load_key_found. */
enum status load_part_found(const struct lookup *lookup, struct part_name name,
                            struct part **part_out);
/* Counts it, for INFO. */
void load_tally(struct basin *basin, bool of_part, enum status status);

/* -- Into memory: under the shard's lock --------------------------------------------------------
 */

/* True if memory knows of the key, or it has no place there any more. */
bool load_known(const struct basin *basin, const struct shard_key *place);
/* A key that is not known: its value, clean, or a clean tombstone. Takes the value unless it fails.
 */
enum status load_install(struct basin *basin, const struct shard_key *place, struct loaded *loaded);
/* The value whose parts these are, while it is in memory, has not got another root, and its
 * database was not dropped. */
bool load_owner(const struct basin *basin, const struct shard_key *place, uint64_t clast,
                struct value *value_out);
/* Takes the reference; fine when it is there already or not wanted any more. */
enum status load_install_part(struct basin *basin, const struct shard_key *place,
                              struct part_name name, struct part *part);

/* -- Waiting for the device ---------------------------------------------------------------------
 */

/* Brings the key into memory. Locks the shard for moments. Fine when it is in memory already.
 * ST_IO, ST_CORRUPT (S3), ST_NOMEM. */
enum status load_key(struct basin *basin, const struct shard_key *place, struct load_room *room);

/* For those who have changed something already and cannot go back: the same under the shard's lock,
 * waiting for the device all the same. Few commands need it, and seldom. A key that has no entry;
 * the parts of that key's value that this thread was just told to wait for. */
#define LOAD_MISSES_MAX 64
enum status load_key_now(struct basin *basin, const struct shard_key *place);
enum status load_parts_now(struct basin *basin, const struct shard_key *place);

#endif
