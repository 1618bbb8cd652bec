/* A disk that fails below Python and SQLite: a library to preload (storage.py sets its variables).
 *
 * STORAGE_LOCKS: "lying", every lock is granted and keeps nobody out, as on a network file system
 * that knows locks of one machine only; "missing", every lock fails with ENOLCK.
 *
 * STORAGE_DIES_AT, with STORAGE_BELOW: the process kills itself (SIGKILL) in the middle of the call
 * of that number which writes, syncs, cuts or deletes a file whose path begins so. Of a write,
 * STORAGE_DIES_PART per mille of its bytes have been made by then; 1000: the whole call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int lying, missing;
static long dies_at, part;
static const char *below;
static atomic_long calls;

__attribute__((constructor)) static void begin(void) {
    const char *locks = getenv("STORAGE_LOCKS"), *at = getenv("STORAGE_DIES_AT");
    const char *of_a_write = getenv("STORAGE_DIES_PART");
    lying = locks != NULL && strcmp(locks, "lying") == 0;
    missing = locks != NULL && strcmp(locks, "missing") == 0;
    dies_at = at == NULL ? 0 : atol(at);
    part = of_a_write == NULL ? 0 : atol(of_a_write);
    below = getenv("STORAGE_BELOW");
}

static int is_last(const char *path) {
    return below != NULL && strncmp(path, below, strlen(below)) == 0 &&
           atomic_fetch_add(&calls, 1) + 1 == dies_at;
}

static int is_last_of(int number) {
    char link[64], path[4096];
    if (dies_at == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", number);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_last(path);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define NEXT(name) static __typeof__(&name) next; if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A write dies after a part of its bytes; another call before or after it. */
#define WRITES(name, parameters, partly, wholly)                                \
    ssize_t name parameters {                                                   \
        NEXT(name);                                                             \
        if (is_last_of(number)) {                                               \
            size_t some = length * (size_t)part / 1000;                         \
            if (some) partly;                                                   \
            die();                                                              \
        }                                                                       \
        return wholly;                                                          \
    }
#define CHANGES(name, parameters, last, wholly)                                 \
    int name parameters {                                                       \
        NEXT(name);                                                             \
        if (dies_at && last) {                                                  \
            if (part >= 500) wholly;                                            \
            die();                                                              \
        }                                                                       \
        return wholly;                                                          \
    }

#pragma GCC diagnostic ignored "-Wunused-result"
WRITES(write, (int number, const void *bytes, size_t length), next(number, bytes, some), next(number, bytes, length))
WRITES(pwrite, (int number, const void *bytes, size_t length, off_t at), next(number, bytes, some, at), next(number, bytes, length, at))
WRITES(pwrite64, (int number, const void *bytes, size_t length, off64_t at), next(number, bytes, some, at), next(number, bytes, length, at))
CHANGES(ftruncate, (int number, off_t length), is_last_of(number), next(number, length))
CHANGES(ftruncate64, (int number, off64_t length), is_last_of(number), next(number, length))
CHANGES(fsync, (int number), is_last_of(number), next(number))
CHANGES(fdatasync, (int number), is_last_of(number), next(number))
CHANGES(unlink, (const char *path), is_last(path), next(path))

static int locks(int command) {
    return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

static int asks(int command) { return command == F_GETLK || command == F_OFD_GETLK; }

#define FCNTL(name)                                                             \
    int name(int number, int command, ...) {                                    \
        NEXT(name);                                                             \
        va_list more;                                                           \
        va_start(more, command);                                                \
        void *argument = va_arg(more, void *);                                  \
        va_end(more);                                                           \
        if ((lying || missing) && (locks(command) || asks(command))) {          \
            if (missing) { errno = ENOLCK; return -1; }                         \
            if (asks(command)) ((struct flock *)argument)->l_type = F_UNLCK;    \
            return 0;                                                           \
        }                                                                       \
        return next(number, command, argument);                                 \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

int flock(int number, int operation) {
    NEXT(flock);
    if (missing) { errno = ENOLCK; return -1; }
    return lying ? 0 : next(number, operation);
}
