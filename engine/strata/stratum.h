/* stratum: one immutable file: grains, and a run of index rows. All of the store but log and
 * manifest lies in strata.
 *
 *     settle   dirty values  → grains of them,       run of rows that point to these grains
 *     merge    several runs  → grains moved out of   run of all rows of some partitions, which
 *                              strata that go          point to grains anywhere
 *
 *     ┌ header ┬ grains … ┬ pages of rows … ┬ directory ┬ filter ┬ footer ┐
 *
 * A file is written from front to back by one writer, synced once, named by its id, and never
 * changed; it becomes part of the store when a manifest that names it is durable. Grains stand in
 * the order in which they were added. Once its run has been merged into others its pages are of no
 * use: stratum_doom_run has their space given back. Once no row points to its grains and its run is
 * gone, it is deleted.
 *
 * Header, 4096 bytes, little-endian, zeros behind:
 *      0 u64 checksum of bytes 8 … 4096    8 u8[8] "BASINSTR"   16 u32 version   20 u32 id
 *     24 u32 store (see wlog_history)
 * Footer, the last 4096 bytes, zeros behind:
 *      0 u64 checksum of bytes 8 … 4096    8 u8[8] "BASINEND"   16 u32 version   20 u32 id
 *     24 u32 store                        28 u32 flags 0
 *     32 u64 grains end (file offset)     40 u64 grain count
 *     48 u64 pages offset                 56 u32 page count     60 u32 filter blocks
 *     64 u64 directory offset             72 u64 row count
 *     80 u64 checksum of the directory    88 u64 checksum of the filter
 *     96 u64 least lsn of its key grains  104 u64 greatest lsn
 *    112 u64 first place                  120 u64 last place
 * Directory: u64 last place of each page: the first page whose last place is not below P is the one
 * page where rows with place P begin, if there are any. (First places would leave two to read where
 * P begins a page.) Filter: see bloom.h. Sections begin at multiples of 4096 and are padded with
 * zeros; nothing lies between them.
 *
 * Invariants, cited by number in checks and tests:
 *   S2 (here)  A file is deleted, and its run's space given back, only when the last reference to
 *              it is gone: reads that began before still have their bytes.
 *   S3         No byte of a grain, page, directory or filter is believed before its checksum held.
 * Thread: a writer is one thread's. A stratum is constant once open; references are counted, and
 * pages and grains read, by any. A cursor is one thread's.
 * Memory: directory and filter, 2.4 bytes a row, as long as the run is in use. A writer: 1 MiB, the
 * filter, and all its rows as pages until it has finished.
 */
#ifndef BASIN_ENGINE_STRATA_STRATUM_H
#define BASIN_ENGINE_STRATA_STRATUM_H

#include "engine/index/row.h"
#include "engine/io/io.h"
#include "engine/strata/grain.h"

#define STRATUM_VERSION 1
#define STRATUM_GRAINS_START 4096
#define STRATUM_GRAINS_END_MAX ((uint64_t)UINT32_MAX * GRAIN_ALIGNMENT) /* So units fit a row. */

struct stratum;        /* opaque */
struct stratum_writer; /* opaque */

/* -- Writing ---------------------------------------------------------------------------------- */

/* Creates DIR/strata/{id in 8 hex digits}.tmp (the directory is there; a file of that name is
 * replaced) and writes its header. rows_max bounds how often stratum_add_row will be called. It
 * sizes the filter, so a bound far too high costs memory and disk, 2 bytes a row. id: not 0, which
 * rows have for nowhere. Given. */
enum status stratum_writer_new(struct io *io, const char *dir, uint32_t store, uint32_t id,
                               struct stratum_writer **writer_out);
/* Removes the file unless stratum_writer_finish answered ST_OK. NULL is fine. */
void stratum_writer_free(struct stratum_writer *writer);
/* Where the next grain will stand. */
uint64_t stratum_writer_offset(const struct stratum_writer *writer);
/* Appends grains as grain_store wrote them, one or many in a row. Copies. count, and the least and
 * greatest lsn of the key grains among them, go into the footer (no key grains: UINT64_MAX and 0).
 * After ST_FULL or ST_IO the same call may be made again: what it was given was not taken.
 * ST_LIMIT: the grains would pass STRATUM_GRAINS_END_MAX. */
enum status stratum_add_grains(struct stratum_writer *writer, struct bytes grains, uint64_t count,
                               uint64_t least_lsn, uint64_t greatest_lsn);
/* Appends a row; places must not descend. Takes memory of 8 bytes a row beside the row itself. All
 * rows come after all grains of the stratum in the file, but the calls may be mixed: rows are kept
 * in memory as sealed pages until the end. ST_NOMEM: nothing changed. */
enum status stratum_add_row(struct stratum_writer *writer, const struct row *row);
uint64_t stratum_writer_rows(const struct stratum_writer *writer);
/* Writes what is left, syncs the file, renames it to {id}.stratum and syncs the directory. After
 * ST_FULL, ST_IO or ST_NOMEM it may be called again, unless a sync has failed (*dead_out; then the
 * file must be written anew under another id). Nothing may be added after the first call. */
enum status stratum_writer_finish(struct stratum_writer *writer, bool *dead_out);

/* -- Reading ---------------------------------------------------------------------------------- */

/* Opens a finished file; with_run: reads directory and filter too. One reference, given.
 * ST_ABSENT; ST_CORRUPT with a log line that names file, offset and what is wrong; so is a newer
 * version, with a line that says so. */
enum status stratum_open(struct io *io, const char *dir, uint32_t store, uint32_t id, bool with_run,
                         struct stratum **stratum_out);
void stratum_ref(struct stratum *stratum);
/* Closes with the last reference, and then deletes the file if stratum_doom was called, or gives
 * the run's space back if stratum_doom_run was. NULL is fine. */
void stratum_unref(struct stratum *stratum);
void stratum_doom(struct stratum *stratum);
/* Removes the file of one that nobody has open. */
enum status stratum_unlink(struct io *io, const char *dir, uint32_t id);
/* The run is merged elsewhere: with the last reference pages, directory and filter are given back
 * (a hole is punched; header, grains and footer stay, and the file can be opened without its run).
 * Whoever still needs the grains opens the file once more, without its run, before the unref. What
 * fails is logged and costs only space; to try again, after a crash too, open the file without its
 * run and doom that once more. */
void stratum_doom_run(struct stratum *stratum);

/* `bare` is the same file, opened once more without its run, and takes this one's place. It is kept
 * until the last reference to this one has gone: so the file has its name as long as anybody has a
 * reference to either (who copies it finds it there), and a hole is punched in no file that was
 * deleted. Once at most. */
void stratum_succeed(struct stratum *stratum, struct stratum *bare);
/* Puts the file into the directory `dir`/strata, which is there, under its own name: by a second
 * name where the system has links, else by a copy, which is synced. bare: of the run nothing is
 * copied. fn is called with the bytes of each step of a copy; another status than ST_OK ends it.
 * What fails may leave a part of the file behind. */
typedef enum status (*stratum_copy_fn)(void *ctx, uint64_t size);
enum status stratum_copy(struct stratum *stratum, const char *dir, bool bare, stratum_copy_fn fn,
                         void *ctx, bool *linked_out);

/* Constant facts. */
struct stratum_facts {
    uint32_t id;
    uint64_t file_size, grains_end, grain_count, row_count;
    uint32_t page_count;
    uint64_t least_lsn, greatest_lsn; /* Of its key grains; UINT64_MAX and 0 without any. */
    uint64_t first_place, last_place; /* Of its rows; UINT64_MAX and 0 without any. */
    uint64_t memory;                  /* Directory and filter. */
};
const struct stratum_facts *
stratum_facts(const struct stratum *stratum); /* Lent while referenced. */
struct io_file *stratum_file(const struct stratum *stratum);

/* Whether a row with this place may be in the run, and on which page the first one would be. False:
 * certainly not. Where page_find says that the place may go on, it does so on the next page, if
 * there is one. Needs with_run. */
bool stratum_page_of(const struct stratum *stratum, uint64_t place, uint32_t *page_out);
/* Offset of a page in the file. */
uint64_t stratum_page_offset(const struct stratum *stratum, uint32_t page);
/* Reads and verifies a page into data (PAGE_SIZE_BYTES, aligned to IO_ALIGNMENT_MAX), waiting for
 * the device; lends its rows from there. ST_CORRUPT is logged. */
enum status stratum_read_page(struct stratum *stratum, uint32_t page, unsigned char *data,
                              struct bytes *rows_out);
/* Reads `size` bytes of the grains section, waiting; for those who verify and parse grains
 * themselves. ST_CORRUPT: the range lies outside. */
enum status stratum_read(struct stratum *stratum, uint64_t offset, void *data, size_t size);

/* A walk over all rows of the run in order, reading ahead in large pieces, waiting for the device;
 * for merges. */
struct stratum_cursor;
/* Begins at the first row with place ≥ from. Given; references the stratum, which has its run. */
enum status stratum_cursor_new(struct stratum *stratum, uint64_t from,
                               struct stratum_cursor **cursor_out);
void stratum_cursor_free(struct stratum_cursor *cursor);
/* The next row, lent until the call after it; *found_out false: the end. ST_CORRUPT is logged;
 * after ST_IO the same call may be made again. */
enum status stratum_cursor_next(struct stratum_cursor *cursor, struct row *row_out,
                                bool *found_out);

#endif
