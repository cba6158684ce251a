/* root: large values between memory and disk, part by part, whatever their type.
 *
 *     root (heap)  head, scalars, part tables ──store→  root grain {scalars, tables without parts}
 *                                 └ parts     ─capture→ part grains {clast, table, number}
 *
 *     value_capture → write all that it gave → value_capture_deinit;   meanwhile changes go on
 *     value_evict_some                          clean parts leave
 *     value_free, later value_root_load         the root comes back, all parts absent
 *     ST_WAIT → parts_take_misses → read → value_install → again
 *
 * A large value on disk is a *clast*; its id is given at its first capture and its own until the
 * root ends. Numbers of tables are given at captures too, and never twice in a clast. A change may
 * end a root: then the value is packed or has a new root, value_clast differs from before, and all
 * grains of the former clast are dead. That is for whoever stores the value to notice.
 *
 * Invariants, cited by number in checks and tests:
 *   R1  After a capture the clast's live grains are those of the parts in use: every number whose
 *       grain died since the capture before was given, alone or with its table.
 *   R2  A root that was loaded, with the parts that were captured, is the value as it was captured.
 *   R3  A capture that does not answer ST_OK has changed nothing that a later one would miss.
 *   R4  Counts, sizes, encoding, earliest expiry and whether a value vanishes need no part.
 *
 * What the root form takes: some 30 bytes, for each table some 10 and up to 128 free numbers (less
 * than 640 bytes; chunk collections have 6 tables, hashes and sorted sets 2, others 1). A stream
 * has two tables more a group, its name and 24 bytes, and its name and some 25 bytes a consumer:
 * 10,000 groups of 10 consumers are some 4 MB, written with each capture in which the stream has
 * changed, and as many in memory as long as the root is.
 *
 * value_memory changes with captures, installing and evicting: who adds up values takes it before
 * and after. Thread: the holder of the key's shard. What a capture gave may be used and freed
 * without it.
 */
#ifndef BASIN_ENGINE_VALUE_ROOT_H
#define BASIN_ENGINE_VALUE_ROOT_H

#include "engine/value/parts_disk.h"
#include "engine/value/value.h"

/* 0: packed, or never captured, as every new root and every copy is. */
uint64_t value_clast(const struct value *value);
/* Whether anything changed since the last capture, or might have. Packed values always say yes. A
 * few instructions a table. */
bool value_dirty(const struct value *value);

struct value_capture {
    struct parts_row *rows; /* What changed; their parts are referenced. */
    size_t row_count;
    uint32_t *dropped; /* Tables of which all grains of earlier captures are dead. */
    size_t dropped_count;
};
/* A consistent picture of all that changed since the last one, of VALUE_CLAST; afterwards the value
 * is clean. Appends the root form. `clast` is the id, and must be its own if the value has one;
 * never 0. Costs what has changed, a few instructions a table, and the root form. ST_NOMEM: R3,
 * root_out is as it was. */
enum status value_capture(struct value *value, uint64_t clast, struct buf *root_out,
                          struct value_capture *capture_out);
/* Drops the references. */
void value_capture_deinit(struct value_capture *capture);

/* Appends the root form of a value of which value_dirty says no. */
enum status value_root_store(const struct value *value, struct buf *out);
/* The other way: all parts are absent, a root is given. limits: hash_seed, that of all values of
 * the store. ST_CORRUPT: not a root form of this type. */
enum status value_root_load(struct bytes bytes, enum value_type type, uint64_t clast,
                            const struct value_limits *limits, struct value *value_out);

/* Puts a part that was read in its place, taking the reference. The part is that of the number's
 * newest grain: a read that began before the number's last capture was written is stale, and so is
 * one that began before the root was loaded. ST_ABSENT: it is there already (misses may be noted
 * twice), or there is no such number any more; ST_NOMEM. Then the reference is the caller's. */
enum status value_install(struct value *value, uint32_t table, uint32_t number, struct part *part);

/* Takes up to about `parts` parts out of memory that are clean and were not asked for since they
 * were last passed, going on in each table where it ended. Only when all that was captured can be
 * read. Gives what value_memory fell by: parts that are referenced live on for a while. 0 may mean
 * that all it passed had been asked for: another call then finds some, if any are clean. */
uint64_t value_evict_some(struct value *value, size_t parts);

#endif
