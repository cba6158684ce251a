/* backup_copy: makes the copy of a backup.
 *
 *     under manifest_mutex   the manifest is copied, each stratum in it referenced, the log kept
 *                            from the manifest's trim LSN on; the log's end is the moment   (B1)
 *     UNFINISHED             the directory is marked                                        (B3)
 *     the log                durable up to the moment, then its frames are copied
 *     strata                 linked, where that cannot be copied; then let go, one by one   (B2)
 *     files, directories     synced
 *     MANIFEST               with a generation that begins at the moment
 *     UNFINISHED             removed: the directory is a store
 *
 * Invariants, cited by number in tests:
 *   B1  The copy holds the effects below one LSN, and none beyond. What strata hold was durable
 *       when they came into the manifest (S1), and so lies below the log's end; what they lack
 *       is in the log from the trim LSN on. The end of the log is the end of a group (W2). What
 *       the last frame that was copied holds beyond the moment is void: another generation
 *       begins there.
 *   B2  What the copy needs stays until the copy has it: a reference keeps a stratum's file under
 *       its name and its pages from being given back (stratum.h), wlog_keep the log's segments. A
 *       file that was linked is the store's and the copy's: neither punches holes in it
 *       (io_file_punch), each removes its own name alone.
 *   B3  Whenever it ends (a failure, a kill, a power cut), the directory is not there or empty,
 *       or is refused by manifest_load, or is the whole copy. The mark is durable before anything
 *       else is made and goes after all is durable; what failed is removed before it, and the
 *       mark stays if that fails.
 *
 * The same store: its secret, and so its id, is in the copy. Files of one pass for files of the
 * other.
 */
#ifndef BASIN_ENGINE_BACKUP_BACKUP_COPY_H
#define BASIN_ENGINE_BACKUP_BACKUP_COPY_H

#include "engine/txn/store.h"

/* See struct basin_backup. */
struct backup_progress {
    _Atomic uint64_t lsn, strata, strata_done, linked_bytes, copied_bytes;
};

/* ST_INVALID: the directory cannot serve. *fault_out says what failed; lent forever. Blocks; a true
 * `stop` has it give up. */
enum status backup_copy_run(struct basin *basin, const char *dir, struct backup_progress *progress,
                            const _Atomic bool *stop, const char **fault_out);

#endif
