/* loop_disk: a small ext4, xfs (or tmpfs) of one's own, that may fill up, fail, or lose its power.
 *
 * Needs root. One at a time; what is left of it goes when the program ends.
 * A cut (EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN, without flushing the journal) ends all I/O at that
 * instant: what lies only in the page cache or in the journal's memory is lost, as in a power cut.
 * What it cannot lose is the device's own cache: completed direct writes stay. It races with a sync
 * under way, which may answer that all is well: whoever judges what was acknowledged kills the
 * writer first.
 * Thread: loop_disk_cut by any, the rest by one. Failures are printed and given back.
 */
#ifndef BASIN_TESTS_CRASH_LOOP_DISK_H
#define BASIN_TESTS_CRASH_LOOP_DISK_H

#include <stdbool.h>

/* False: not root, or no loop device; why was printed as "skipped: …". */
bool loop_disk_possible(void);

/* Makes a fresh one and mounts it; gives where. NULL: it failed. loop_disk_make's is ext4; an xfs
 * has at least 300 MB. */
const char *loop_disk_make(unsigned megabytes, const char *mount_options);
const char *loop_disk_make_xfs(unsigned megabytes);
const char *loop_disk_make_tmpfs(unsigned megabytes);
/* No I/O from now on. False: the file system does not know how. */
bool loop_disk_cut(void);
/* Tells ext4 that it has found an error; with errors=remount-ro it becomes read-only. */
bool loop_disk_break(void);
/* Unmounts and mounts again: the journal is replayed. Nobody may have a file open there. */
bool loop_disk_remount(void);
/* Unmounts and removes it. */
void loop_disk_end(void);

#endif
