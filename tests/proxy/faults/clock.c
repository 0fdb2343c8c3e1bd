/* The clock of a process, moved: what asks for the time of day gets it with so many seconds added as the file $GATEHOUSE_CLOCK says,
   a number of eight bytes that may change at any time. To be loaded in front of libc (LD_PRELOAD).

   libfaketime does more than that, and Envoy does not start with it: Envoy's allocator asks for the time before it can be asked for
   memory. Nothing here allocates. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *seconds;

static int64_t moved(void)
{
    if (!seconds && environ) {
        static const int64_t none = 0;
        const char *path = getenv("GATEHOUSE_CLOCK");
        int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *page = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
        seconds = page == MAP_FAILED ? &none : page;
        if (file >= 0)
            close(file);
    }
    return seconds ? *seconds : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += moved();
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    int failed = (int)syscall(SYS_gettimeofday, time, zone);
    if (!failed)
        time->tv_sec += moved();
    return failed;
}

time_t time(time_t *into)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
