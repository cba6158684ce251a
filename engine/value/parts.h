/* parts: the part table of one large value: number → part.
 *
 * Numbers are given out from 0 upwards and reused once free. The table lies in pages of 256, each
 * of them counted, so that a copy of a value costs a reference a page: pages are copied when one
 * side changes an entry, parts when one side changes their bytes.
 *
 * Every part is resident today. parts_get and parts_own are the only ways to a part, and may
 * answer ST_WAIT once parts can be absent; callers pass it on before they change anything.
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
/* Whether parts_own would succeed without an allocation. */
bool parts_owned(const struct parts *parts, uint32_t number);

/* The number becomes free, the part's reference is dropped. Cannot fail: see `lost`. */
void parts_remove(struct parts *parts, uint32_t number);

/* Counts the table anew and compares. For tests. */
bool parts_check(const struct parts *parts);

#endif
