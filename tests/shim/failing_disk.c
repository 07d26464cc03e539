/*
 * A disk that fails or is slow when it is told to. Loaded before libc by LD_PRELOAD, on Linux with 64 bits.
 *
 * The file that FAILING_DISK names holds the faults, one a line: what fails, how, and how the path
 * of the file ends on which it does.
 *
 *     write ENOSPC creditd.db-wal
 *     sync EIO creditd.db
 *     sync 2000us creditd.db-wal
 *
 * It is read anew at each call, so that faults come and go while the program runs. Without it, or
 * with an empty one, everything works. A full disk still takes what fits: of a write that fails by
 * ENOSPC all but the last byte is written. A call that is told a time waits so long, and then works.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8, "offsets are passed in one register");

/* The error with which a call on this file has to fail, or 0. Waits where it has to be slow. */
static int fault(const char *what, int fd)
{
    const char *control = getenv("FAILING_DISK");
    char link[64], path[4096], rules[1024];
    if (control == NULL)
        return 0;
    int before = errno, found = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    int file = length > 0 ? (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        path[length] = 0;
        long size = syscall(SYS_read, file, rules, sizeof rules - 1);
        syscall(SYS_close, file);
        rules[size > 0 ? size : 0] = 0;
        char *rest = rules, *line;
        while (!found && (line = strsep(&rest, "\n")) != NULL) {
            char kind[16], name[16], suffix[256];
            if (sscanf(line, "%15s %15s %255s", kind, name, suffix) != 3 || strcmp(kind, what))
                continue;
            size_t end = strlen(suffix);
            if ((size_t)length < end || strcmp(path + length - end, suffix))
                continue;
            if (strspn(name, "0123456789"))
                usleep((useconds_t)atoi(name));
            else
                found = strcmp(name, "ENOSPC") ? EIO : ENOSPC;
        }
    }
    errno = before;
    return found;
}

/* What is left to write of so many bytes where a call fails; nothing: it fails now. */
static size_t fits(int error, size_t size)
{
    return error == ENOSPC && size > 1 ? size - 1 : 0;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    int error = fault("write", fd);
    if (error && !(size = fits(error, size))) {
        errno = error;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, size);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    int error = fault("write", fd);
    if (error && !(size = fits(error, size))) {
        errno = error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite64(fd, bytes, size, offset);
}

/* Calls that either work or do nothing. */
#define ALL_OR_NOTHING(what, type, ...)                                                            \
    int error = fault(what, fd);                                                                   \
    if (error) {                                                                                   \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }                                                                                              \
    return (type)syscall(__VA_ARGS__)

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ALL_OR_NOTHING("write", ssize_t, SYS_writev, fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    ALL_OR_NOTHING("write", ssize_t, SYS_pwritev, fd, parts, count, offset, 0L);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t size)
{
    ALL_OR_NOTHING("write", int, SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    ALL_OR_NOTHING("write", int, SYS_fallocate, fd, mode, offset, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return fallocate64(fd, mode, offset, size);
}

/* These return the error itself. */
int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
    int before = errno, failed = fallocate64(fd, 0, offset, size) ? errno : 0;
    errno = before;
    return failed;
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    return posix_fallocate64(fd, offset, size);
}

int fsync(int fd)
{
    ALL_OR_NOTHING("sync", int, SYS_fsync, fd);
}

int fdatasync(int fd)
{
    ALL_OR_NOTHING("sync", int, SYS_fdatasync, fd);
}
