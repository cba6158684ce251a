#include "engine/io/posix.h"

#include "engine/base/check.h"
#include "engine/base/log.h"

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

int posix_open(const char *path, int flags)
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
    int fd = posix_open(file->path, (file->writable ? O_RDWR : O_RDONLY) | O_DIRECT);
    size_t alignment = fd < 0 ? 0 : kernel_alignment(fd);
    if (alignment == 0) {
        log_line(LOG_VERBOSE, "direct access is refused for %s: using the page cache", file->path);
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
    file->writable = mode == IO_WRITE || mode == IO_WRITE_DIRECT;
    file->alignment = 512;
    file->fd = posix_open(path, file->writable ? O_RDWR | O_CREAT : O_RDONLY);
    if (file->fd < 0) {
        int error = errno;
        free(file);
        return posix_failed("open", path, -1, error);
    }
    file->cached_fd = file->fd;
    bool wants_direct = mode == IO_READ_DIRECT || mode == IO_WRITE_DIRECT;
    if (wants_direct && ((struct posix_io *)io)->grants_direct) {
        open_direct(file);
    }
    if (mode == IO_READ_DIRECT && file->direct) {
        close(file->cached_fd); /* There may be thousands of such files: one descriptor each. */
        file->cached_fd = file->fd;
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

static bool is_aligned(const struct io_request *request)
{
    size_t mask = posix_file_of(request->file)->alignment - 1;
    return (((uintptr_t)request->data | request->size | request->offset) & mask) == 0;
}

void posix_request_check(const struct io_request *request)
{
    const struct posix_file *file = posix_file_of(request->file);
    CHECK(request->size > 0 && request->done != NULL);
    CHECK(request->reads || file->writable);
    CHECK(!file->direct || is_aligned(request));
}

/* A write that stopped within a sector is taken up again where that begins. */
static int write_advance(struct io_request *write, bool direct, size_t size)
{
    const struct posix_file *file = posix_file_of(write->file);
    size_t written = direct ? size & ~(file->alignment - 1) : size;
    write->size_done += written;
    return written > 0 ? 0 : EIO; /* Nothing moves any more, and no reason is given. */
}

/* A direct read that stopped within a sector is at the end of the file, or is taken up again where
 * the sector begins. */
static int read_advance(struct io_request *read, bool direct, size_t size, bool *over_out)
{
    const struct posix_file *file = posix_file_of(read->file);
    size_t before = read->size_done;
    size_t part = direct ? (before + size) & (file->alignment - 1) : 0;
    struct stat found;
    read->size_done += size;
    *over_out = size == 0;
    if (size == 0 || part == 0) {
        return 0;
    }
    if (fstat(file->fd, &found) != 0) {
        return errno;
    }
    *over_out = read->offset + read->size_done >= (uint64_t)found.st_size;
    if (*over_out) {
        return 0;
    }
    read->size_done -= part;
    return read->size_done > before ? 0 : EIO;
}

int posix_request_advance(struct io_request *request, int fd, size_t size, bool *over_out)
{
    const struct posix_file *file = posix_file_of(request->file);
    bool direct = file->direct && fd == file->fd;
    bool ended = false;
    int error = request->reads ? read_advance(request, direct, size, &ended)
                               : write_advance(request, direct, size);
    *over_out = ended || request->size_done == request->size;
    return error;
}

/* The kernel moves 2 GiB at most in one call, and says so by a short answer. */
int posix_request_run(struct io_request *request, int fd, int rwf_flags)
{
    bool over = request->size == 0;
    int error = 0;
    request->size_done = 0;
    while (!over && error == 0) {
        struct iovec rest = {(char *)request->data + request->size_done,
                             request->size - request->size_done};
        off_t offset = (off_t)(request->offset + request->size_done);
        ssize_t got = request->reads ? pread(fd, rest.iov_base, rest.iov_len, offset)
                                     : pwritev2(fd, &rest, 1, offset, rwf_flags);
        if (got >= 0) {
            error = posix_request_advance(request, fd, (size_t)got, &over);
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    return error;
}

enum status posix_request_failed(const struct io_request *request, int error)
{
    const char *what = request->reads ? "read" : "write";
    const char *path = posix_file_of(request->file)->path;
    int64_t offset = (int64_t)(request->offset + request->size_done);
    enum status status = posix_failed(what, path, offset, error);
    return status == ST_ABSENT ? ST_IO : status; /* ENOENT cannot be meant as an answer here. */
}

enum status posix_file_read(struct io_file *io_file, void *data, size_t size, uint64_t offset,
                            size_t *size_out)
{
    struct posix_file *file = posix_file_of(io_file);
    struct io_request read = {
        .file = io_file, .data = data, .size = size, .offset = offset, .reads = true};
    bool direct = file->direct && file->cached_fd == file->fd;
    CHECK(!direct || is_aligned(&read));
    int error = posix_request_run(&read, file->cached_fd, 0);
    *size_out = read.size_done;
    return error == 0 ? ST_OK : posix_request_failed(&read, error);
}

enum status posix_file_write(struct io_file *io_file, const void *data, size_t size,
                             uint64_t offset)
{
    struct posix_file *file = posix_file_of(io_file);
    struct io_request write = {
        .file = io_file, .data = (void *)data, .size = size, .offset = offset};
    CHECK(file->writable && (!file->direct || is_aligned(&write)));
    int error = posix_request_run(&write, file->fd, 0);
    return error == 0 ? ST_OK : posix_request_failed(&write, error);
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
        struct io_request write = {.file = io_file, .data = zeros, .size = step, .offset = done};
        error = posix_request_run(&write, fd, 0);
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

enum status posix_file_punch(struct io_file *io_file, uint64_t offset, uint64_t size)
{
    struct posix_file *file = posix_file_of(io_file);
    struct stat found;
    int result;
    CHECK(file->writable && size > 0);
    if (fstat(file->fd, &found) != 0) {
        return posix_failed("stat", file->path, -1, errno);
    }
    if (found.st_nlink > 1) {
        return ST_OK;
    }
    do {
        result = fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                           (off_t)size);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        log_line(LOG_VERBOSE, "the file system of %s gives no space back within a file",
                 file->path);
        return ST_OK;
    }
    return result == 0 ? ST_OK : posix_failed("punch", file->path, (int64_t)offset, errno);
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
