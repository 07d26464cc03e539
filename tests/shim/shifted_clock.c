/*
 * Clocks that are set when they are told to be. Loaded before libc by LD_PRELOAD, on Linux with 64 bits.
 *
 * The file that SHIFTED_CLOCK names holds two numbers: by how many milliseconds wall time is shifted, and by
 * how many the time since boot. Wall time alone is a clock that was set; both are a machine that was
 * suspended. It is read anew at each call, so that clocks change while the program runs. Without it, or with
 * an empty one, they say what they say.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long NANOS = 1000000000L;

/* How far a clock is shifted now, in milliseconds. */
static long shift(clockid_t clock)
{
    const char *control = getenv("SHIFTED_CLOCK");
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    char text[64];
    long wall = 0, boot = 0;
    if (control == NULL || (!is_wall && clock != CLOCK_BOOTTIME))
        return 0;
    int before = errno, file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        long size = syscall(SYS_read, file, text, sizeof text - 1);
        syscall(SYS_close, file);
        text[size > 0 ? size : 0] = 0;
        sscanf(text, "%ld %ld", &wall, &boot);
    }
    errno = before;
    return is_wall ? wall : boot;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    long millis = failed ? 0 : shift(clock);
    if (millis) {
        long nanos = time->tv_nsec + millis % 1000 * 1000000;
        time->tv_sec += millis / 1000 + (nanos >= NANOS) - (nanos < 0);
        time->tv_nsec = nanos + (nanos < 0 ? NANOS : 0) - (nanos >= NANOS ? NANOS : 0);
    }
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}
