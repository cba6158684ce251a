/* parts: the part table of one large value: number → part.
 *
 * Numbers are given out from 0 upwards and reused once free. The table lies in pages of 256, each
 * of them counted, so that a copy of a value costs a reference a page: pages are copied when one
 * side changes an entry, parts when one side changes their bytes.
 *
 * A part is resident or absent: then its slot holds a handle that says where it can be read.
 * parts_get and parts_own are the only ways to a part; for an absent one they answer ST_WAIT, which
 * callers pass on before they change anything, and note it (parts_take_misses), so that whoever
 * answers for reads has it brought and installed. A resident part is dirty if it differs from what
 * its handle named, or never had one; only a clean one may be evicted.
 * Thread: the holder of the key's shard; tables that share pages or parts may be under two locks.
 */
#ifndef BASIN_ENGINE_VALUE_PARTS_H
#define BASIN_ENGINE_VALUE_PARTS_H

#include "engine/value/part.h"

#define PARTS_PAGE_COUNT 256
#define PARTS_NUMBER_MAX (1u << 31)

struct parts_page;

struct parts {
    struct parts_page **pages;
    uint32_t page_capacity; /* Of the array `pages`. */
    uint32_t end;           /* Every number below was given out once. */
    uint32_t free_first;    /* The first free number below end, or PARTS_NONE. */
    uint32_t live;          /* Numbers in use. */
    uint32_t absent;        /* Of these. */
    uint32_t lost;   /* Removed while there was no memory to forget them; freed at the end. */
    uint64_t memory; /* Heap bytes of parts, pages and array. */
};

#define PARTS_NONE UINT32_MAX

void parts_init(struct parts *parts);
void parts_deinit(struct parts *parts);
/* Frees at most about `count` parts; true: none are left. After the first call only this and
 * parts_deinit may follow. */
bool parts_free_some(struct parts *parts, size_t count);
/* Shares everything. ST_NOMEM: copy_out is empty. */
enum status parts_copy(const struct parts *parts, struct parts *copy_out);

/* Afterwards `count` calls of parts_add cannot fail. ST_NOMEM; ST_LIMIT: out of numbers. */
enum status parts_reserve(struct parts *parts, uint32_t count);
/* Takes the part's reference and gives its number; needs parts_reserve before. In a table from
 * which nothing was removed, or only the highest numbers, numbers come in sequence. */
uint32_t parts_add(struct parts *parts, struct part *part);

/* Lent until the table changes. ST_WAIT: not in memory. */
enum status parts_get(const struct parts *parts, uint32_t number, struct part **part_out);
/* The same for writing: neither page nor part is shared afterwards. The content is unchanged, so
 * a caller may stop half way. ST_NOMEM, ST_WAIT: nothing changed. */
enum status parts_own(struct parts *parts, uint32_t number, struct part **part_out);
/* The same, with room for at least `capacity` bytes in the part. */
enum status parts_own_sized(struct parts *parts, uint32_t number, size_t capacity,
                            struct part **part_out);
/* -- Parts that are not in memory -------------------------------------------------------------- */

#define PARTS_HANDLE_MAX (UINT64_MAX >> 2)

/* Whether the number, below `end`, is in use. */
bool parts_used(const struct parts *parts, uint32_t number);
/* Marks a resident part as equal to what a handle names. */
void parts_clean(struct parts *parts, uint32_t number);
/* A clean part leaves memory (but for references to it); the handle stays. False: it is dirty, or
 * free, or absent, or lies in a page shared with another table; nothing was done. */
bool parts_evict(struct parts *parts, uint32_t number, uint64_t handle);
/* Whether the part is absent, and its handle. */
bool parts_absent(const struct parts *parts, uint32_t number, uint64_t *handle_out);
/* Puts an absent part in its place, clean. Takes the reference. ST_NOMEM: it did not. */
enum status parts_install(struct parts *parts, uint32_t number, struct part *part);

struct parts_miss {
    const struct parts *parts;
    uint32_t number;
};
/* The absent parts that this thread has asked for since the last call, at most `max`, the first
 * first; further ones were not noted. Gives their count. */
size_t parts_take_misses(struct parts_miss *misses_out, size_t max);

/* Whether parts_own would succeed without an allocation. */
bool parts_owned(const struct parts *parts, uint32_t number);

/* The number becomes free, the part's reference is dropped. Cannot fail: see `lost`. */
void parts_remove(struct parts *parts, uint32_t number);

/* Counts the table anew and compares. For tests. */
bool parts_check(const struct parts *parts);

#endif
