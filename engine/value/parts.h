/* parts: the part table of one large value: number → part.
 *
 * Numbers are given out from 0 upwards and reused once free. The table lies in pages of 256, each
 * of them counted, so that a copy of a value costs a reference a page: pages are copied when one
 * side changes an entry, parts when one side changes their bytes.
 *
 *     nobody's ──parts_capture──→ clean ←─parts_install── absent
 *         (new, or a copy)        │  ↑  ──parts_evict───→
 *                     parts_own   ↓  │ parts_capture
 *                                dirty
 *
 * A part is resident or absent. parts_get and parts_own are the only ways to a part; for an absent
 * one they answer ST_WAIT, which callers pass on before they change anything, and note it
 * (parts_take_misses), so that whoever answers for reads has it brought and installed.
 *
 * Each part lies on disk (parts_disk.h) as a grain {clast, table, number} once it was captured. Two
 * marks a slot say how table and disk stand: *dirty*, changed or new since the last capture, or
 * freed; and *settled*, there is a grain of this number, which a tombstone must follow when it is
 * freed. Marks are the table's own; a part may be clean in one table and new in another. Numbers
 * that became dirty are noted, so that a capture costs what has changed; where notes would not pay
 * or find no memory, the next capture walks the table.
 *
 * Invariants, cited by number in checks and tests:
 *   P1  A tracked table's dirty numbers are noted, or the next capture walks.
 *   P2  What is absent is settled and clean; only clean parts are evicted.
 *   P3  A settled number is freed below `end`, where its mark stays until the next capture.
 *   P4  Pages without a resident part or a free number are not in memory once they were evicted;
 *       where `pages` names none, below `end`, all is absent.
 * A loaded table knows which numbers are in use no more than its value tells by asking: those that
 * are not, and not among the free ones that were stored, look absent and stay unused.
 * Thread: the holder of the key's shard; tables that share pages or parts may be under two locks.
 */
#ifndef BASIN_ENGINE_VALUE_PARTS_H
#define BASIN_ENGINE_VALUE_PARTS_H

#include "engine/value/part.h"

#define PARTS_PAGE_COUNT 256
#define PARTS_NUMBER_MAX (1u << 31)

struct parts_page;

/* A growing vector; NULL is an empty one. */
struct parts_numbers {
    uint32_t count, capacity;
    uint32_t numbers[];
};

struct parts {
    struct parts_page **pages;
    uint32_t page_capacity; /* Of the array `pages`. */
    uint32_t end;           /* Every number below was given out once. */
    uint32_t free_first;    /* The first free number below end, or PARTS_NONE. */
    uint32_t live;          /* Numbers in use. */
    uint32_t absent;        /* Of these. */
    uint32_t lost; /* Removed without memory to forget them; freed, and dead on disk, at the end. */
    uint64_t memory; /* Heap bytes of parts, pages and array; see parts_memory. */

    uint64_t clast;  /* Whose table it is; 0: nobody's, it was never captured. */
    uint32_t table;  /* Its number, if tracked. */
    uint32_t former; /* That of what the table held when it was captured, and was emptied since. */
    uint32_t hand;   /* The number where evicting goes on. */
    bool tracked;    /* Marks tell what is on disk; else nothing of what it holds is. */
    bool walk;       /* See P1. */
    struct parts_numbers *dirty; /* See P1; some of them may be dirty no more. */
    struct parts_numbers *spare; /* Free numbers of a loaded table, besides the list. */
};

#define PARTS_NONE UINT32_MAX

void parts_init(struct parts *parts);
/* Forgets what it was to a clast, too. */
void parts_deinit(struct parts *parts);
/* Empties a table that goes on: what it held on disk is dead as a whole (`former`). */
void parts_clear(struct parts *parts);
/* The same, and it takes the content of another, which was never captured and is empty after it. */
void parts_take(struct parts *parts, struct parts *fresh);
/* Frees at most about `count` parts; true: none are left. After the first call only this and
 * parts_deinit may follow. */
bool parts_free_some(struct parts *parts, size_t count);
/* A second table with the same content, nobody's. All parts in use are resident. Shares everything.
 * ST_NOMEM: copy_out is empty. */
enum status parts_copy(const struct parts *parts, struct parts *copy_out);
/* What the table is now, to return to after changes that end half way. Then parts_restore, which
 * takes it, or parts_deinit of it. ST_NOMEM: as parts_copy. */
enum status parts_snapshot(const struct parts *parts, struct parts *snapshot_out);
void parts_restore(struct parts *parts, struct parts *snapshot);
/* Heap bytes under the table, shared ones counted in full. O(1). */
uint64_t parts_memory(const struct parts *parts);

/* Afterwards `count` calls of parts_add cannot fail. ST_NOMEM; ST_LIMIT: out of numbers. */
enum status parts_reserve(struct parts *parts, uint32_t count);
/* Takes the part's reference and gives its number; needs parts_reserve before. In a table from
 * which nothing was removed, or only the highest numbers and those before they were captured,
 * numbers come in sequence. */
uint32_t parts_add(struct parts *parts, struct part *part);

/* Lent until the table changes. ST_WAIT: not in memory. */
enum status parts_get(const struct parts *parts, uint32_t number, struct part **part_out);
/* The same for writing: neither page nor part is shared afterwards, and the part is dirty. The
 * content is unchanged, so a caller may stop half way. ST_NOMEM, ST_WAIT: nothing changed. */
enum status parts_own(struct parts *parts, uint32_t number, struct part **part_out);
/* The same, with room for at least `capacity` bytes in the part. */
enum status parts_own_sized(struct parts *parts, uint32_t number, size_t capacity,
                            struct part **part_out);
/* Asks for [first, end): ST_WAIT if one of them is absent; all are noted, as far as notes go. */
enum status parts_present(const struct parts *parts, uint32_t first, uint32_t end);
/* Whether parts_own would succeed without an allocation. */
bool parts_owned(const struct parts *parts, uint32_t number);

/* The number becomes free, the part's reference is dropped. Cannot fail: see `lost`. */
void parts_remove(struct parts *parts, uint32_t number);

/* -- Parts that are not in memory -------------------------------------------------------------- */

struct parts_miss {
    const struct parts *parts; /* Meaningless once its value is gone. */
    uint64_t clast;
    uint32_t table, number;
};
/* The absent parts that this thread has asked for since the last call, at most `max`, the first
 * first; further ones were not noted, or are dropped. Gives their count. Some are noted by calls
 * that did without them and did not answer ST_WAIT: they may be gone by the next change, so who
 * begins something new drops what was noted before. One may be noted twice. */
size_t parts_take_misses(struct parts_miss *misses_out, size_t max);
/* Whether further ones would not be noted. */
bool parts_misses_full(void);
size_t parts_missed(void); /* How many are noted. */

/* The table's number if its content was captured, or the former one; 0: nothing of it is on disk.
 */
uint32_t parts_grave(const struct parts *parts);

/* -- Vectors of numbers ------------------------------------------------------------------------ */

/* Makes room for one more. ST_NOMEM: nothing changed. */
enum status parts_numbers_reserve(struct parts_numbers **numbers);
/* After a reserve. */
void parts_numbers_add(struct parts_numbers *numbers, uint32_t number);
uint64_t parts_numbers_memory(const struct parts_numbers *numbers);

/* Counts the table anew and compares: P1, P2, P3. For tests. */
bool parts_check(const struct parts *parts);

#endif
