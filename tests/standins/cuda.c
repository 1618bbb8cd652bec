/* A stand-in for CUDA's driver library libcuda.so.1 whose work takes a known time.
 *
 * FAKE_CUDA_LOG names a file that gets one line a call: function and thread. A test that has
 * loaded the library sets the scene with the fake_* functions at the end. Codes follow cuda.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEVICES 8
#define DEPTH 16

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, INVALID_CONTEXT = 201 };
enum { CAPTURE_UNSUPPORTED = 900, CAPTURE_IMPLICIT = 906 };

typedef struct {
    int active, retained;
    double busy_until_s;
    int capture; /* 0 none, 1 on a stream that the legacy stream sees, 2 on one that hides */
    int broken;  /* a synchronisation has ended the capture */
} Context;

static Context primary[MAX_DEVICES], other; /* `other` is made by cuCtxCreate, as PyCUDA does */
static unsigned char uuids[MAX_DEVICES][16];
static int initialized, devices, failure;
static __thread Context *stack[DEPTH];
static __thread int depth, mode;

static void note(const char *name) {
    const char *path = getenv("FAKE_CUDA_LOG");
    if (!path) return;
    char line[96];
    int n = snprintf(line, sizeof line, "%s %ld\n", name, syscall(SYS_gettid));
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0) return;
    if (write(fd, line, n) != n) abort();
    close(fd);
}

#define ENTER()                                  \
    do {                                         \
        note(__func__);                          \
        if (!initialized) return NOT_INITIALIZED; \
    } while (0)

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int cuInit(unsigned flags) {
    note(__func__);
    if (flags) return INVALID_VALUE;
    initialized = 1;
    return SUCCESS;
}

int cuDeviceGetCount(int *count) {
    ENTER();
    *count = devices;
    return SUCCESS;
}

int cuDeviceGet(int *device, int ordinal) {
    ENTER();
    *device = ordinal;
    return SUCCESS;
}

int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    ENTER();
    memcpy(uuid, uuids[device], 16);
    return SUCCESS;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    ENTER();
    *flags = 0;
    *active = primary[device].active;
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(Context **context, int device) {
    ENTER();
    primary[device].active = 1;
    primary[device].retained++;
    *context = &primary[device];
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    ENTER();
    primary[device].retained--;
    return SUCCESS;
}

int cuCtxGetCurrent(Context **context) {
    ENTER();
    *context = depth ? stack[depth - 1] : NULL;
    return SUCCESS;
}

int cuCtxPushCurrent_v2(Context *context) {
    ENTER();
    if (!context || depth == DEPTH) return INVALID_VALUE;
    stack[depth++] = context;
    return SUCCESS;
}

int cuCtxPopCurrent_v2(Context **context) {
    ENTER();
    if (!depth) return INVALID_CONTEXT;
    *context = stack[--depth];
    return SUCCESS;
}

int cuThreadExchangeStreamCaptureMode(int *new_mode) {
    ENTER();
    int old = mode;
    mode = *new_mode;
    *new_mode = old;
    return SUCCESS;
}

int cuStreamIsCapturing(void *stream, int *status) {
    ENTER();
    if (!depth || stream != (void *)1) return INVALID_CONTEXT;
    if (stack[depth - 1]->capture == 1) return CAPTURE_IMPLICIT;
    *status = 0;
    return SUCCESS;
}

int cuCtxSynchronize(void) {
    ENTER();
    if (!depth) return INVALID_CONTEXT;
    Context *context = stack[depth - 1];
    if (context->capture) {
        context->broken = 1;
        return CAPTURE_UNSUPPORTED;
    }
    if (failure) return failure;
    double left_s = context->busy_until_s - now_s();
    if (left_s > 0) {
        struct timespec t = {(time_t)left_s, (long)((left_s - (time_t)left_s) * 1e9)};
        while (nanosleep(&t, &t)) continue;
    }
    return SUCCESS;
}

/* --- for the tests ------------------------------------------------------------------------- */

void fake_devices(int n) { devices = n; }

/* The UUID of a device, as 32 hexadecimal digits. */
void fake_uuid(int device, const char *digits) {
    for (int i = 0; i < 16; i++) sscanf(digits + 2 * i, "%2hhx", &uuids[device][i]);
}

/* Queue work of so many ms on a device, which makes its primary context. */
void fake_queue(int device, int ms) {
    primary[device].active = 1;
    primary[device].busy_until_s = now_s() + ms / 1e3;
}

/* Make a context that is no primary one, current on this thread, with work of so many ms. */
void fake_other_context(int ms) {
    other.active = 1;
    other.busy_until_s = now_s() + ms / 1e3;
    stack[depth++] = &other;
}

void fake_capture(int device, int kind) { primary[device].capture = kind; }

void fake_failure(int code) { failure = code; }

int fake_is_busy(int device) { return primary[device].busy_until_s > now_s(); }

int fake_other_is_busy(void) { return other.busy_until_s > now_s(); }

int fake_is_broken(int device) { return primary[device].broken; }

int fake_is_active(int device) { return primary[device].active; }

int fake_retained(int device) { return primary[device].retained; }

int fake_depth(void) { return depth; }
