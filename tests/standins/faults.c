/* Faults below Python and SQLite: a library to preload, steered through a page of shared memory.
 *
 * FAULTS_PAGE names the file of that page (faults.py writes it). While a rule is on, calls on files
 * below its path fail with its error number, hang until it is off, give garbage, or end the thread
 * that makes them; the offsets are added to what the two clocks say.
 *
 * Deadlines on the clocks are put back by the same offset: the kernel, which waits, knows nothing
 * of it, and a wait of a second is to stay one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FAIL = 0, HANG = 1, GARBAGE = 2, DIE = 3 };
enum { READ = 1, WRITE = 2, OPEN = 4, OPEN_TO_WRITE = 8, LOOK = 16 };
enum { RULES = 4, LONGEST = 200 };

struct rule {
    volatile int32_t on;
    int32_t act, error, calls;
    char path[LONGEST];
};
static struct page {
    volatile int64_t realtime_ns, monotonic_ns;
    struct rule rules[RULES];
} *page;

static const struct rule *found(const char *path, int call) {
    if (page == NULL || path == NULL) return NULL;
    for (int i = 0; i < RULES; i++) {
        const struct rule *rule = &page->rules[i];
        size_t length = strnlen(rule->path, LONGEST);
        if (rule->on && (rule->calls & call) && strncmp(path, rule->path, length) == 0) return rule;
    }
    return NULL;
}

static int any(void) {
    for (int i = 0; page != NULL && i < RULES; i++)
        if (page->rules[i].on) return 1;
    return 0;
}

static const struct rule *found_by_number(int number, int call) {
    if (!any()) return NULL;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", number);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return found(path, call);
}

/* 1: the call fails, errno is set. 0: it may be made (after a hang, too). */
static int fails(const struct rule *rule) {
    if (rule == NULL || rule->act == GARBAGE) return 0;
    if (rule->act == HANG) {
        struct timespec pause = {0, 1000000};
        while (rule->on) syscall(SYS_nanosleep, &pause, NULL);
        return 0;
    }
    if (rule->act == DIE) {
        if (getpid() == (pid_t)syscall(SYS_gettid)) return 0; /* never the main thread */
        pthread_exit(NULL);
    }
    errno = rule->error;
    return 1;
}

/* FAULTS_MOUNTS names a file that is read in place of the list of mounts. */
static const char *as_mounted(const char *path) {
    const char *other = getenv("FAULTS_MOUNTS");
    int asked = other != NULL && path != NULL && strcmp(path, "/proc/self/mountinfo") == 0;
    return asked ? other : path;
}

static void spoil(const struct rule *rule, void *bytes, ssize_t length) {
    if (rule != NULL && rule->act == GARBAGE)
        for (ssize_t i = 0; i < length; i++) ((unsigned char *)bytes)[i] = (unsigned char)(i * 37 + 128);
}

static void *next(void **known, const char *name) {
    if (*known == NULL) *known = dlsym(RTLD_NEXT, name);
    return *known;
}
#define REAL(name) static void *real_##name
#define NEXT(name) ((__typeof__(&name))next(&real_##name, #name))

#define BY_NUMBER(type, name, call, parameters, arguments)                      \
    REAL(name);                                                                 \
    type name parameters {                                                      \
        if (fails(found_by_number(number, call))) return -1;                    \
        return NEXT(name) arguments;                                            \
    }
#define READING(name, parameters, arguments)                                    \
    REAL(name);                                                                 \
    ssize_t name parameters {                                                   \
        const struct rule *rule = found_by_number(number, READ);                \
        if (fails(rule)) return -1;                                             \
        ssize_t length = NEXT(name) arguments;                                  \
        spoil(rule, bytes, length);                                             \
        return length;                                                          \
    }
#define BY_PATH(name, call, parameters, arguments)                              \
    REAL(name);                                                                 \
    int name parameters {                                                       \
        if (fails(found(path, call))) return -1;                                \
        return NEXT(name) arguments;                                            \
    }
#define OPENING(name, parameters, arguments)                                    \
    REAL(name);                                                                 \
    int name parameters {                                                       \
        va_list more;                                                           \
        va_start(more, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                           \
        path = as_mounted(path);                                                \
        int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;        \
        if (fails(found(path, OPEN | (writes ? OPEN_TO_WRITE : 0)))) return -1; \
        return NEXT(name) arguments;                                            \
    }

READING(read, (int number, void *bytes, size_t size), (number, bytes, size))
READING(pread, (int number, void *bytes, size_t size, off_t at), (number, bytes, size, at))
READING(pread64, (int number, void *bytes, size_t size, off64_t at), (number, bytes, size, at))
BY_NUMBER(ssize_t, write, WRITE, (int number, const void *bytes, size_t size), (number, bytes, size))
BY_NUMBER(ssize_t, pwrite, WRITE, (int number, const void *bytes, size_t size, off_t at), (number, bytes, size, at))
BY_NUMBER(ssize_t, pwrite64, WRITE, (int number, const void *bytes, size_t size, off64_t at), (number, bytes, size, at))
BY_NUMBER(int, fsync, WRITE, (int number), (number))
BY_NUMBER(int, fdatasync, WRITE, (int number), (number))
BY_NUMBER(int, ftruncate, WRITE, (int number, off_t size), (number, size))
BY_NUMBER(int, ftruncate64, WRITE, (int number, off64_t size), (number, size))
BY_PATH(unlink, OPEN_TO_WRITE, (const char *path), (path))
BY_PATH(mkdir, OPEN_TO_WRITE, (const char *path, mode_t mode), (path, mode))
BY_PATH(rename, OPEN_TO_WRITE, (const char *path, const char *to), (path, to))
BY_PATH(access, LOOK, (const char *path, int mode), (path, mode))
BY_PATH(stat64, LOOK, (const char *path, struct stat64 *answer), (path, answer))
BY_PATH(lstat64, LOOK, (const char *path, struct stat64 *answer), (path, answer))
OPENING(open, (const char *path, int flags, ...), (path, flags, mode))
OPENING(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENING(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENING(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

/* -- clocks ------------------------------------------------------------------------------------ */

static int64_t offset_ns(clockid_t clock) {
    if (page == NULL) return 0;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) return page->realtime_ns;
    /* The time of a suspend is BOOTTIME less MONOTONIC: this is none. */
    int monotonic = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
                    clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME;
    return monotonic ? page->monotonic_ns : 0;
}

static struct timespec shifted(struct timespec t, int64_t by_ns) {
    int64_t all_ns = t.tv_sec * 1000000000LL + t.tv_nsec + by_ns;
    if (all_ns < 0) all_ns = 0;
    return (struct timespec){all_ns / 1000000000LL, all_ns % 1000000000LL};
}

REAL(clock_gettime);
int clock_gettime(clockid_t clock, struct timespec *t) {
    int answer = NEXT(clock_gettime)(clock, t);
    if (answer == 0) *t = shifted(*t, offset_ns(clock));
    return answer;
}

REAL(gettimeofday);
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    int answer = NEXT(gettimeofday)(t, zone);
    if (answer == 0 && page != NULL) t->tv_sec += page->realtime_ns / 1000000000LL;
    return answer;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t != NULL) *t = now.tv_sec;
    return now.tv_sec;
}

/* The clock of a condition variable is its secret; the two are decades apart. */
static clockid_t clock_of(const struct timespec *until) {
    return until->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
}

REAL(clock_nanosleep);
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left) {
    struct timespec until = flags & TIMER_ABSTIME ? shifted(*t, -offset_ns(clock)) : *t;
    return NEXT(clock_nanosleep)(clock, flags, &until, left);
}

REAL(sem_clockwait);
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *t) {
    struct timespec until = shifted(*t, -offset_ns(clock));
    return NEXT(sem_clockwait)(semaphore, clock, &until);
}

REAL(sem_timedwait);
int sem_timedwait(sem_t *semaphore, const struct timespec *t) {
    struct timespec until = shifted(*t, -offset_ns(CLOCK_REALTIME));
    return NEXT(sem_timedwait)(semaphore, &until);
}

REAL(pthread_cond_clockwait);
int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *lock, clockid_t clock, const struct timespec *t) {
    struct timespec until = shifted(*t, -offset_ns(clock));
    return NEXT(pthread_cond_clockwait)(condition, lock, clock, &until);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *t) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    /* By its version: there is an older one, of another shape, that dlsym may give. */
    if (real == NULL) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec until = shifted(*t, -offset_ns(clock_of(t)));
    return real(condition, lock, &until);
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_PAGE");
    if (name == NULL) return;
    int number = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
    if (number < 0) return;
    void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0);
    syscall(SYS_close, number);
    if (mapped != MAP_FAILED) page = mapped;
}
