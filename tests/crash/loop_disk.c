#include "tests/crash/loop_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* linux/ext4.h is not among the installed headers of older systems. xfs knows the same. */
#define SHUTDOWN_REQUEST _IOR('X', 125, uint32_t)
#define SHUTDOWN_WITHOUT_FLUSH 2u
#define UNMOUNT_MS 10000

static char root[64]; /* Directory of the image and the mount point; empty: none. */
static char mount_dir[80];
static char mount_words[128];
static bool mounted;

static bool run(const char *format, const char *a, const char *b, const char *c)
{
    char command[1024];
    snprintf(command, sizeof(command), format, a, b, c);
    int state = system(command);
    if (state != 0) {
        fprintf(stderr, "%s: status %d\n", command, state);
    }
    return state == 0;
}

bool loop_disk_possible(void)
{
    if (geteuid() != 0) {
        printf("skipped: needs root\n");
        return false;
    }
    if (system("losetup -f > /dev/null 2>&1") != 0 ||
        system("command -v mkfs.ext4 > /dev/null 2>&1") != 0 ||
        system("command -v mkfs.xfs > /dev/null 2>&1") != 0) {
        printf("skipped: no loop device, no mkfs.ext4 or no mkfs.xfs here\n");
        return false;
    }
    return true;
}

static bool begin(void)
{
    static bool registered;
    loop_disk_end();
    if (!registered) {
        registered = atexit(loop_disk_end) == 0;
    }
    strcpy(root, "/tmp/basin-disk-XXXXXX");
    if (mkdtemp(root) == NULL) {
        root[0] = 0;
        return false;
    }
    snprintf(mount_dir, sizeof(mount_dir), "%s/mnt", root);
    return run("mkdir '%s'%s%s", mount_dir, "", "");
}

static bool mount_it(void)
{
    mounted = run("mount %s '%s/image' '%s'", mount_words, root, mount_dir);
    return mounted;
}

static const char *make(const char *mkfs, unsigned megabytes, const char *mount_options)
{
    char size[32];
    snprintf(size, sizeof(size), "%uM", megabytes);
    snprintf(mount_words, sizeof(mount_words), "-o loop%s%s", mount_options[0] == 0 ? "" : ",",
             mount_options);
    bool made = begin() && run("truncate -s %s '%s/image'%s", size, root, "") &&
                run("%s '%s/image'%s", mkfs, root, "") && mount_it();
    return made ? mount_dir : NULL;
}

const char *loop_disk_make(unsigned megabytes, const char *mount_options)
{
    return make("mkfs.ext4 -q -m 0", megabytes, mount_options);
}

const char *loop_disk_make_xfs(unsigned megabytes)
{
    return make("mkfs.xfs -q", megabytes, "");
}

const char *loop_disk_make_tmpfs(unsigned megabytes)
{
    char size[32];
    snprintf(size, sizeof(size), "size=%um", megabytes);
    mounted = begin() && run("mount -t tmpfs -o %s none '%s'%s", size, mount_dir, "");
    return mounted ? mount_dir : NULL;
}

bool loop_disk_cut(void)
{
    uint32_t flags = SHUTDOWN_WITHOUT_FLUSH;
    int fd = open(mount_dir, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && ioctl(fd, SHUTDOWN_REQUEST, &flags) == 0;
    if (!done) {
        fprintf(stderr, "cannot shut %s down: %s\n", mount_dir, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

bool loop_disk_break(void)
{
    return run("echo 1 > /sys/fs/ext4/$(basename $(findmnt -n -o SOURCE '%s'))/trigger_fs_error"
               "%s%s",
               mount_dir, "", "");
}

/* The kernel closes the files of a killed process a little after the process is gone. */
static bool unmount(void)
{
    char command[256];
    snprintf(command, sizeof(command), "umount '%s' 2> /dev/null", mount_dir);
    for (unsigned ms = 0; mounted && ms < UNMOUNT_MS; ms += 20) {
        mounted = system(command) != 0;
        if (mounted) {
            usleep(20000);
        }
    }
    if (mounted) {
        fprintf(stderr, "%s stays busy\n", mount_dir);
    }
    return !mounted;
}

bool loop_disk_remount(void)
{
    return unmount() && mount_it();
}

void loop_disk_end(void)
{
    if (mounted && !unmount()) {
        mounted = !run("umount -l '%s'%s%s", mount_dir, "", "");
    }
    if (root[0] != 0 && !mounted) {
        run("rm -rf '%s'%s%s", root, "", "");
        root[0] = 0;
    }
}
