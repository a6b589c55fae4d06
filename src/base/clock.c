#include "autogaze/base.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int64_t ag_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void ag_sleep_ns(int64_t ns)
{
    if (ns <= 0) {
        return;
    }
    struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

void ag_yield_to_others(void)
{
    setpriority(PRIO_PROCESS, (id_t)gettid(), 10); // Linux: a thread's own
}
