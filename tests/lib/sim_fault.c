#include "tests/lib/sim_private.h"

#include "engine/base/check.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* -- Faults ------------------------------------------------------------------------------------ */

enum status sim_call_begin(struct sim_disk *disk, bool needs_space)
{
    struct sim_fault *fault = &disk->fault;
    if (disk->off) {
        return ST_IO;
    }
    disk->store.stats.calls++;
    if (fault->calls_left == 0 || (fault->status == ST_FULL && !needs_space)) {
        return ST_OK;
    }
    if (fault->calls_left > 1) {
        fault->calls_left--;
        return ST_OK;
    }
    enum status status = fault->status;
    fault->met++;
    if (!fault->stays) {
        fault->calls_left = fault->then;
        fault->stays = fault->then > 0;
        fault->status = ST_IO;
    }
    return status;
}

static void fault_set(struct sim_disk *disk, unsigned n, enum status status, bool stays)
{
    CHECK(status == ST_IO || status == ST_FULL);
    disk->fault.calls_left = n;
    disk->fault.status = status;
    disk->fault.stays = stays;
    disk->fault.then = 0;
}

void sim_disk_fail_after(struct sim_disk *disk, unsigned n, enum status status)
{
    fault_set(disk, n, status, false);
}

void sim_disk_fail_again(struct sim_disk *disk, unsigned n)
{
    disk->fault.then = n;
}

void sim_disk_fail_from(struct sim_disk *disk, unsigned n, enum status status)
{
    fault_set(disk, n, status, true);
}

unsigned sim_disk_faults_met(const struct sim_disk *disk)
{
    return disk->fault.met;
}

/* The round under way. A failed test jumps out of the loop: whoever comes next says where, and
 * frees the disk. */
static struct sim_disk *loop_disk;

static struct sim_disk *loop_round(unsigned pass, unsigned call)
{
    struct sim_disk *disk = sim_disk_new(test_seed() + call * 31ull + pass);
    disk->loop_pass = pass;
    disk->loop_call = call;
    fault_set(disk, call, pass == 1 ? ST_FULL : ST_IO, pass == 2);
    loop_disk = disk;
    return disk;
}

__attribute__((destructor)) static void loop_abandon(void)
{
    if (loop_disk != NULL) {
        printf("       a fault loop ended at: %s\n", sim_fault_describe(loop_disk));
        fflush(stdout);
        sim_disk_free(loop_disk);
    }
}

void sim_fault_forget(const struct sim_disk *disk)
{
    if (loop_disk == disk) {
        loop_disk = NULL;
    }
}

struct sim_disk *sim_fault_first(void)
{
    loop_abandon();
    return loop_round(0, 1);
}

struct sim_disk *sim_fault_next(struct sim_disk *disk)
{
    unsigned pass = disk->loop_pass;
    unsigned call = disk->loop_call;
    bool met = disk->fault.met > 0;
    sim_disk_free(disk);
    if (met) {
        return loop_round(pass, call + 1);
    }
    return pass < 2 ? loop_round(pass + 1, 1) : NULL;
}

const char *sim_fault_describe(const struct sim_disk *disk)
{
    static const char *const ways[] = {"fails once: I/O error", "fails once: disk full",
                                       "and all after it fail: I/O error"};
    static char text[128];
    snprintf(text, sizeof(text), "call %u %s, seed %llu", disk->loop_call, ways[disk->loop_pass],
             (unsigned long long)disk->seed);
    return text;
}
