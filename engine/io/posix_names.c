#include "engine/io/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum status posix_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) == 0 ? ST_OK : posix_failed("rename", from, -1, errno);
}

/* EPERM: the file system has no links, or the system lets nobody link to files of others. */
enum status posix_link(struct io *io, const char *from, const char *to, bool *linked_out)
{
    (void)io;
    *linked_out = link(from, to) == 0;
    if (*linked_out || errno == EXDEV || errno == EPERM || errno == EMLINK) {
        return ST_OK;
    }
    return posix_failed("link", to, -1, errno);
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

enum status posix_dir_remove(struct io *io, const char *path)
{
    (void)io;
    return rmdir(path) == 0 ? ST_OK : posix_failed("remove directory", path, -1, errno);
}

enum status posix_dir_sync(struct io *io, const char *path)
{
    (void)io;
    int fd = posix_open(path, O_RDONLY | O_DIRECTORY);
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
