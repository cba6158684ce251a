/* fetch: a key, or a part of a large value, that is being read from disk for the txns that missed
 * it.
 *
 *     txn runs, misses ─ join, under its locks ─→ fetch ─ read: a reader's ring or a loader's
 * thread │ txn locks again ← take: installs ←── woken ← finish: decodes
 *
 * Two txns that miss the same thing wait for one fetch, whoever's threads they are. What was read
 * is put into memory by the first of them that has its locks again: nobody else must ever lock a
 * shard for it. It counts only if the partition's stack is the one that was viewed when the fetch
 * began (see txn_load.h); otherwise the txn misses again.
 *
 * Thread: join and take by a txn's thread under the shard's lock; finish by whoever reads.
 * Memory: a few hundred bytes each, and what was read.
 */
#ifndef BASIN_ENGINE_TXN_FETCH_H
#define BASIN_ENGINE_TXN_FETCH_H

#include "engine/txn/loader.h"
#include "engine/txn/txn_load.h"

struct txn;

struct fetch {
    struct errand errand;      /* For a loader; first. */
    struct fetch *line_next;   /* With a reader, and before that with the txn that began it. */
    struct fetch *bucket_next; /* Under the bucket's mutex, until it has finished: … */
    struct fetch_wait *waits;
    unsigned references;
    bool done;

    struct basin *basin;
    struct shard_key place; /* The name is its own. */
    bool of_part, row_only;
    struct part_name part_name;
    struct stack view; /* Empty once done; */
    uint32_t version;  /* this was its. */
    unsigned char key_hash[ROW_KEY_HASH_SIZE];
    struct lookup lookup;

    /* Once done; what is taken out of it is taken under the shard's lock. */
    enum status status;
    struct loaded loaded;
    unsigned char *packed; /* Of loaded.value. */
    struct part *part;     /* NULL: taken. */
    char name[];
};

/* A txn's part in a fetch. */
struct fetch_wait {
    struct fetch *fetch;
    struct txn *txn;
    uint32_t key; /* The txn's. */
    struct fetch_wait *next;
};

/* NULL: no memory. Free it when no fetch is under way; NULL is fine. */
struct fetch_bucket *fetch_buckets_new(void);
void fetch_buckets_free(struct fetch_bucket *buckets);

/* Has `wait` (txn and key are set) wait for the key, or with part_name for that part of its value,
 * and counts it in txn->fetching. Under the shard's lock. *fresh: a fetch that must be run is put
 * before those that are there. ST_NOMEM. */
enum status fetch_join(struct fetch_wait *wait, struct basin *basin, const struct shard_key *place,
                       const struct part_name *part_name, bool row_only, struct fetch **fresh);
/* Its lookup is over: decodes, wakes whoever waits for nothing else. The fetch is not the caller's
 * any more. */
void fetch_finish(struct fetch *fetch);
/* It will not be run: who waits for it looks again. */
void fetch_give_up(struct fetch *fetch);
/* Lets go of it, done or not. */
void fetch_leave(struct fetch_wait *wait);
/* Puts what a finished fetch has brought into memory, if it is still the newest, once. Under the
 * shard's lock. Gives what became of reading it; ST_WAIT: it is stale. */
enum status fetch_install(struct fetch *fetch);

#endif
