/* sim_disk: a disk that loses, tears, reorders and fails, behind the same `struct io`.
 *
 *     code under test → struct io → sim_disk:  view     what reads see now
 *                                              pending  written or renamed, but not synced
 *                                              durable  what a power cut keeps for certain
 *
 * Promises, cited by number in tests/unit/test_sim_disk.c:
 *   D1  What io.h calls durable survives sim_disk_crash: a completed durable queue write, what was
 *       written before an io_file_sync that answered ST_OK, a name after io_dir_sync.
 *   D2  Everything else is at the mercy of a crash: each sector (512 bytes) of each unsynced or
 *       in-flight write is kept, lost or torn, and the writes take effect in any order; a punch
 *       is a write of zeros. Each unsynced creation, link, rename, unlink, new or removed
 *       directory is kept or not, each name of a file by itself. A rename is atomic. A file whose
 *       name was kept may still be empty.
 *   D3  A failed sync may drop dirty data for good: reads still see it, a later ST_OK sync does not
 *       bring it back.
 *   D4  The same seed and the same calls give the same disk.
 *   D5  A failed write may have written any of its sectors, unsynced. A write that answers ST_FULL
 *       may have written a beginning.
 *
 * The directories "/" and "." are always there and durable; the paths "a" and "./a" are the same,
 * "/a" is another. A directory must be made before files in it. A punch gives no space back:
 * sim_disk_used counts sizes, that of a file with several names once.
 *
 * Thread: one. Memory: the contents of all files, twice.
 */
#ifndef BASIN_TESTS_LIB_SIM_DISK_H
#define BASIN_TESTS_LIB_SIM_DISK_H

#include "engine/io/io.h"

struct sim_disk; /* opaque */

#define SIM_SECTOR_SIZE 512

/* Given; aborts without memory. Free it with sim_disk_free after all its files and queues are
 * closed (what was left open is freed with it). NULL is fine. */
struct sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_free(struct sim_disk *disk);

/* Lent until sim_disk_free; the same before and after a crash. io_queue_fd is -1: call
 * io_queue_reap instead, every request completes there. */
struct io *sim_disk_io(struct sim_disk *disk);

/* -- Power cuts -------------------------------------------------------------------------------- */

enum sim_crash {
    SIM_CRASH_CHANCE,   /* D2, with an inclination drawn for each crash (the usual mode). */
    SIM_CRASH_LOSE_ALL, /* Nothing unsynced is kept. */
    SIM_CRASH_KEEP_ALL, /* All of it is, in order, whole. */
};
void sim_disk_set_crash(struct sim_disk *disk, enum sim_crash mode);

/* Cuts the power and gives it back: D1 and D2. Faults and holds are healed, locks are gone; space,
 * alignment, modes and clock stay. Files and queues of before are stale: every call on them
 * answers ST_IO, a reap of a stale queue completes what was in flight with ST_IO, and they must
 * still be closed. */
void sim_disk_crash(struct sim_disk *disk);

/* While it is off every call answers ST_IO, changes nothing, and counts neither as a call nor as a
 * fault. For whoever must be closed after a crash: it would find the disk as the next life does,
 * and may write there what only a process that survived the power cut could. */
void sim_disk_set_off(struct sim_disk *disk, bool off);

/* -- Faults ------------------------------------------------------------------------------------ */

/* The n-th call from now (1 is the next) fails once with status, ST_IO or ST_FULL. Every call on
 * files, names and queues counts but closes, alignment, queue_fd, start and reap; with ST_FULL only
 * those that may need space: creating opens, writes, growth, prepare, rename, link, dir_make. A
 * request of a queue counts when it is submitted and fails when it completes. n = 0 takes the fault
 * back. */
void sim_disk_fail_after(struct sim_disk *disk, unsigned n, enum status status);

/* After sim_disk_fail_after: once that fault has fired, the n-th call behind it and every later one
 * fail with ST_IO, until a crash. So what cleans up after a failure fails too. */
void sim_disk_fail_again(struct sim_disk *disk, unsigned n);

/* As sim_disk_fail_after, but every call from the n-th on fails until a crash or n = 0. */
void sim_disk_fail_from(struct sim_disk *disk, unsigned n, enum status status);

/* How often a fault of these two has fired since the disk was made. */
unsigned sim_disk_faults_met(const struct sim_disk *disk);

/* Runs its body again and again, each round on a fresh disk (`disk` is declared by the macro, made
 * before and freed after the round): in the first round the first I/O call fails, in the next the
 * second, … until a round meets no fault. All of that three times: one call fails with ST_IO, one
 * call fails with ST_FULL, every call from there on fails with ST_IO (the device is gone; a crash
 * brings it back). The body opens, works, closes everything it opened and expects; `continue` ends
 * a round; do not `break` or `return` (the disk would leak). The seed of each round comes from
 * test_seed(). When a test fails, the round is printed by sim_fault_describe (a log line).
 *
 *     FOR_EACH_FAULT(disk) {
 *         uint64_t durable = write_until_fault(sim_disk_io(disk));
 *         sim_disk_crash(disk);
 *         EXPECT(replayed_lsn(sim_disk_io(disk)) >= durable);
 *     }
 */
#define FOR_EACH_FAULT(disk)                                                                       \
    for (struct sim_disk *disk = sim_fault_first(); disk != NULL; disk = sim_fault_next(disk))
struct sim_disk *sim_fault_first(void);
struct sim_disk *sim_fault_next(struct sim_disk *disk);

/* "call 7 fails once: I/O error, seed 123"; lent until the next call. */
const char *sim_fault_describe(const struct sim_disk *disk);

/* The sum of the sizes of all files is at most this; growth beyond answers ST_FULL. Overwrites need
 * none. UINT64_MAX (the start): no bound. */
void sim_disk_set_space(struct sim_disk *disk, uint64_t bytes);
uint64_t sim_disk_used(const struct sim_disk *disk);

/* What io_file_alignment answers and direct reads and writes are CHECKed against; 512 at the start.
 */
void sim_disk_set_alignment(struct sim_disk *disk, size_t alignment);

/* True: a file system that knows little. Punches change nothing, links are not made. */
void sim_disk_set_poor(struct sim_disk *disk, bool poor);

/* -- Requests of queues ------------------------------------------------------------------------ */

/* A read begins with io_queue_start, never before, and sees what there is when it completes. While
 * it is in flight, and after it failed, its buffer holds rubbish. */

enum sim_reap {
    SIM_REAP_IN_ORDER, /* Each reap completes all in flight, oldest first. */
    SIM_REAP_REVERSED,
    SIM_REAP_SHUFFLED,
    SIM_REAP_SOME, /* Each reap completes a part of them by chance, at least one, shuffled. */
};
void sim_disk_set_reap(struct sim_disk *disk, enum sim_reap mode);

/* While true, a reap completes nothing but what sim_disk_release let go. Code that waits for a
 * completion would spin. */
void sim_disk_hold(struct sim_disk *disk, bool hold);

/* While held: lets the index-th request in flight (0 is the oldest of the whole disk that was not
 * released yet) complete with status at the next reap. False: there are not so many. */
bool sim_disk_release(struct sim_disk *disk, unsigned index, enum status status);
unsigned sim_disk_in_flight(const struct sim_disk *disk); /* Not released ones. */

/* -- Others meanwhile ---------------------------------------------------------------------------
 */

/* fn is called at the beginning of each write and sync of a file that was opened under a path that
 * holds `where`, before anything has happened. It may use the disk; such calls do not call it
 * again. So a test with one thread does what another would do while the first waits for the device.
 * NULL: none. where is lent until the next call. */
typedef void (*sim_meanwhile_fn)(void *ctx);
void sim_disk_set_meanwhile(struct sim_disk *disk, const char *where, sim_meanwhile_fn fn,
                            void *ctx);

/* -- Raw access -------------------------------------------------------------------------------- */

/* These stop the program by CHECK when the path is not a file. */

/* Reads what is durable (not what is merely seen); gives the size read. */
size_t sim_disk_read_raw(struct sim_disk *disk, const char *path, void *data, size_t size,
                         uint64_t offset);
uint64_t sim_disk_size_raw(struct sim_disk *disk, const char *path); /* Durable size. */

/* Changes every byte of the range, in the view, in unsynced writes and in what is durable. Bytes
 * past the end stay away. */
void sim_disk_corrupt(struct sim_disk *disk, const char *path, uint64_t offset, uint64_t size);

/* Puts bytes there, durably and in the view, growing the file where needed: old frames beyond the
 * end of a log, a header of another version. */
void sim_disk_fill(struct sim_disk *disk, const char *path, uint64_t offset, struct bytes bytes);

/* -- Clock, and what happened ------------------------------------------------------------------ */

/* Both clocks stand still but for this. now_us starts at 1 s, wall_ms at 1,700,000,000,000. */
void sim_disk_advance(struct sim_disk *disk, uint64_t us);

struct sim_disk_stats {
    uint64_t calls;                  /* That count for faults. */
    uint64_t syncs, dir_syncs;       /* That answered ST_OK. */
    uint64_t writes, durable_writes; /* That completed with ST_OK; the second of the queue. */
    uint64_t crashes;                /* And what they did to what was not durable: */
    uint64_t sectors_kept, sectors_lost, sectors_torn;
    uint64_t writes_reordered; /* Took effect after a later write. */
    uint64_t names_kept, names_lost;
};
void sim_disk_get_stats(const struct sim_disk *disk, struct sim_disk_stats *stats_out);

#endif
