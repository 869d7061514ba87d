// Put before a program (LD_PRELOAD) it shows a clock that runs CLOCK_AHEAD_S seconds ahead; clocks that only measure spans
// stay as they are. It allocates nothing: libfaketime does, and the program's own allocator reads the clock.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    const char *ahead = getenv("CLOCK_AHEAD_S");
    if (!failed && clock == CLOCK_REALTIME && ahead) now->tv_sec += atol(ahead);
    return failed;
}
