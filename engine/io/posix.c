#include "engine/io/posix.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* One write of a preparation; large, so that the device streams. */
#define PREPARE_STEP ((size_t)1 << 20)

enum status posix_failed(const char *what, const char *path, int64_t offset, int error)
{
    if (error == ENOENT) {
        return ST_ABSENT;
    }
    char where[48] = "";
    if (offset >= 0) {
        snprintf(where, sizeof(where), " at offset %lld", (long long)offset);
    }
    log_line(LOG_WARNING, "cannot %s %s%s: %s (errno %d)", what, path, where, strerror(error),
             error);
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* A limit on the size of files (ulimit -f) is a disk that is full early. */
        return ST_FULL;
    case ENOMEM:
        return ST_NOMEM;
    default:
        return ST_IO;
    }
}

/* -- Files ------------------------------------------------------------------------------------- */

static int open_again(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* The sector that the device really writes. One that takes 512 bytes but stores 4096 reads, changes
 * and rewrites its neighbours, which may be durable already and would not survive a power cut in
 * the middle. Where the system does not say: the largest. */
static size_t physical_sector(int fd)
{
    static const char *const places[] = {"queue", "../queue"}; /* A disk; a partition of one. */
    struct stat found;
    unsigned size = 0;
    for (unsigned i = 0; i < 2 && size == 0 && fstat(fd, &found) == 0; i++) {
        char path[96];
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/physical_block_size",
                 major(found.st_dev), minor(found.st_dev), places[i]);
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            size = fscanf(file, "%u", &size) == 1 ? size : 0;
            fclose(file);
        }
    }
    bool usable = size > 0 && size <= IO_ALIGNMENT_MAX && (size & (size - 1)) == 0;
    return usable ? size : IO_ALIGNMENT_MAX;
}

/* What the kernel wants of direct writes. 0: it grants none, or wants more than we allow for. */
static size_t kernel_alignment(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx found;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) == 0 &&
        (found.stx_mask & STATX_DIOALIGN) != 0) {
        size_t alignment = found.stx_dio_offset_align > found.stx_dio_mem_align
                               ? found.stx_dio_offset_align
                               : found.stx_dio_mem_align;
        bool usable = found.stx_dio_offset_align > 0 && (alignment & (alignment - 1)) == 0 &&
                      alignment <= IO_ALIGNMENT_MAX;
        return usable ? alignment : 0;
    }
#endif
    (void)fd;
    return IO_ALIGNMENT_MAX;
}

/* Adds a second, direct descriptor where the system grants one; else the file stays as it is. */
static void open_direct(struct posix_file *file)
{
    int fd = open_again(file->path, O_RDWR | O_DIRECT);
    size_t alignment = fd < 0 ? 0 : kernel_alignment(fd);
    if (alignment == 0) {
        log_line(LOG_VERBOSE, "direct writes are refused for %s: using the page cache", file->path);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    size_t sector = physical_sector(fd);
    file->fd = fd;
    file->direct = true;
    file->alignment = alignment > sector ? alignment : sector;
    file->alignment = file->alignment < 512 ? 512 : file->alignment;
}

enum status posix_file_open(struct io *io, const char *path, enum io_open_mode mode,
                            struct io_file **file_out)
{
    size_t path_size = strlen(path) + 1;
    struct posix_file *file = calloc(1, sizeof(*file) + path_size);
    if (file == NULL) {
        return ST_NOMEM;
    }
    memcpy(file->path, path, path_size);
    file->file.io = io;
    file->writable = mode != IO_READ;
    file->alignment = 512;
    file->fd = open_again(path, mode == IO_READ ? O_RDONLY : O_RDWR | O_CREAT);
    if (file->fd < 0) {
        int error = errno;
        free(file);
        return posix_failed("open", path, -1, error);
    }
    file->cached_fd = file->fd;
    if (mode == IO_WRITE_DIRECT && ((struct posix_io *)io)->grants_direct) {
        open_direct(file);
    }
    *file_out = &file->file;
    return ST_OK;
}

void posix_file_close(struct io_file *io_file)
{
    struct posix_file *file = posix_file_of(io_file);
    if (file->cached_fd != file->fd) {
        close(file->cached_fd);
    }
    close(file->fd);
    free(file);
}

enum status posix_file_size(struct io_file *io_file, uint64_t *size_out)
{
    struct posix_file *file = posix_file_of(io_file);
    struct stat found;
    if (fstat(file->fd, &found) != 0) {
        return posix_failed("stat", file->path, -1, errno);
    }
    *size_out = (uint64_t)found.st_size;
    return ST_OK;
}

enum status posix_file_read(struct io_file *io_file, void *data, size_t size, uint64_t offset,
                            size_t *size_out)
{
    struct posix_file *file = posix_file_of(io_file);
    size_t done = 0;
    while (done < size) {
        ssize_t got =
            pread(file->cached_fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return posix_failed("read", file->path, (int64_t)(offset + done), errno);
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *size_out = done;
    return ST_OK;
}

size_t posix_written(const struct posix_file *file, size_t size)
{
    return file->direct ? size & ~(file->alignment - 1) : size;
}

void posix_write_check(const struct posix_file *file, const void *data, size_t size,
                       uint64_t offset)
{
    CHECK(file->writable);
    if (file->direct) {
        CHECK((((uintptr_t)data | size | offset) & (file->alignment - 1)) == 0);
    }
}

int posix_write_all(const struct posix_file *file, int fd, const void *data, size_t size,
                    uint64_t offset, int rwf_flags)
{
    size_t done = 0;
    while (done < size) {
        struct iovec part = {(char *)data + done, size - done};
        ssize_t got = pwritev2(fd, &part, 1, (off_t)(offset + done), rwf_flags);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno;
        }
        size_t written = fd == file->fd ? posix_written(file, (size_t)got) : (size_t)got;
        if (written == 0) {
            return EIO; /* Nothing moves any more, and no reason is given. */
        }
        done += written;
    }
    return 0;
}

enum status posix_file_write(struct io_file *io_file, const void *data, size_t size,
                             uint64_t offset)
{
    struct posix_file *file = posix_file_of(io_file);
    posix_write_check(file, data, size, offset);
    int error = posix_write_all(file, file->fd, data, size, offset, 0);
    return error == 0 ? ST_OK : posix_failed("write", file->path, (int64_t)offset, error);
}

/* A full disk at this late hour has lost data: it is ST_IO, not an ST_FULL that changed nothing. */
enum status posix_file_sync(struct io_file *io_file)
{
    struct posix_file *file = posix_file_of(io_file);
    if (fdatasync(file->fd) != 0) {
        status_ignore(posix_failed("sync", file->path, -1, errno), "it is ST_IO, whatever it was");
        return ST_IO;
    }
    return ST_OK;
}

/* Blocks at once and in a row where the file system knows how. Gives 0 or an errno. */
static int prepare_blocks(const struct posix_file *file, uint64_t size)
{
    int result;
    do {
        result = fallocate(file->fd, 0, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    bool unknown = result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL);
    return result == 0 || unknown ? 0 : errno;
}

/* fallocate alone leaves blocks that are marked unwritten: the first write to each would change
 * the file's map, and a durable one would wait for that in the journal. So zeros are written. */
enum status posix_file_prepare(struct io_file *io_file, uint64_t size)
{
    struct posix_file *file = posix_file_of(io_file);
    CHECK(file->writable);
    void *zeros = NULL;
    if (size == 0) {
        return posix_file_sync(io_file);
    }
    int error = prepare_blocks(file, size);
    if (error != 0) {
        return posix_failed("allocate", file->path, (int64_t)size, error);
    }
    if (posix_memalign(&zeros, IO_ALIGNMENT_MAX, PREPARE_STEP) != 0) {
        return ST_NOMEM;
    }
    memset(zeros, 0, PREPARE_STEP);
    uint64_t aligned = size & ~(uint64_t)(file->alignment - 1);
    uint64_t done = 0;
    while (done < size && error == 0) {
        uint64_t end = done < aligned ? aligned : size;
        size_t step = end - done < PREPARE_STEP ? (size_t)(end - done) : PREPARE_STEP;
        int fd = done < aligned ? file->fd : file->cached_fd;
        error = posix_write_all(file, fd, zeros, step, done, 0);
        done += step;
    }
    free(zeros);
    if (error != 0) {
        return posix_failed("prepare", file->path, (int64_t)done, error);
    }
    return posix_file_sync(io_file);
}

enum status posix_file_truncate(struct io_file *io_file, uint64_t size)
{
    struct posix_file *file = posix_file_of(io_file);
    int result;
    CHECK(file->writable);
    do {
        result = ftruncate(file->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? ST_OK : posix_failed("truncate", file->path, (int64_t)size, errno);
}

size_t posix_file_alignment(struct io_file *file)
{
    return posix_file_of(file)->alignment;
}

enum status posix_file_lock(struct io_file *io_file)
{
    struct posix_file *file = posix_file_of(io_file);
    int result;
    do {
        result = flock(file->fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) {
        return ST_BUSY;
    }
    return result == 0 ? ST_OK : posix_failed("lock", file->path, -1, errno);
}

/* -- Names ------------------------------------------------------------------------------------- */

enum status posix_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) == 0 ? ST_OK : posix_failed("rename", from, -1, errno);
}

enum status posix_unlink(struct io *io, const char *path)
{
    (void)io;
    return unlink(path) == 0 ? ST_OK : posix_failed("unlink", path, -1, errno);
}

enum status posix_dir_make(struct io *io, const char *path)
{
    (void)io;
    if (mkdir(path, 0700) == 0) {
        return ST_OK;
    }
    int error = errno;
    struct stat found;
    if (error == EEXIST && stat(path, &found) == 0 && S_ISDIR(found.st_mode)) {
        return ST_OK;
    }
    return posix_failed("make directory", path, -1, error);
}

enum status posix_dir_sync(struct io *io, const char *path)
{
    (void)io;
    int fd = open_again(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return posix_failed("open directory", path, -1, errno);
    }
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error == 0 ? ST_OK : posix_failed("sync directory", path, -1, error);
}

/* Doubles the room when it is used up. */
static bool names_grow(struct io_name **names, size_t *room)
{
    size_t larger = *room == 0 ? 16 : *room * 2;
    struct io_name *grown = realloc(*names, larger * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    *names = grown;
    *room = larger;
    return true;
}

enum status posix_dir_list(struct io *io, const char *path, struct io_name **names_out,
                           size_t *count_out)
{
    (void)io;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return posix_failed("list", path, -1, errno);
    }
    struct io_name *names = NULL;
    size_t count = 0;
    size_t room = 0;
    enum status status = ST_OK;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name) + 1;
        bool dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (dots || size > IO_NAME_MAX) {
            continue; /* A name so long is none of ours. */
        }
        if (count == room && !names_grow(&names, &room)) {
            status = ST_NOMEM;
            goto fail;
        }
        memcpy(names[count++].text, entry->d_name, size);
    }
    if (errno != 0) {
        status = posix_failed("list", path, -1, errno);
        goto fail;
    }
    closedir(dir);
    *names_out = names;
    *count_out = count;
    return ST_OK;
fail:
    free(names);
    closedir(dir);
    return status;
}
