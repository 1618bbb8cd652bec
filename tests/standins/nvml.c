/* A stand-in for NVIDIA's libnvidia-ml.so.1 that keeps a known energy.
 *
 * FAKE_NVML_CONFIG names a text file, read again whenever it changes:
 *
 *   library driver=580.65.06 fault=DriverNotLoaded@nvmlInitWithFlags hang=300@nvmlInitWithFlags
 *   gpu 0 uuid=GPU-1 name="NVIDIA H100" pci=00000000:01:00.0 mode=manual energy_mj=5000
 *         power_mw=350000 limit_mw=700000 mig=0 fault=NotSupported@nvmlDeviceGetPowerUsage
 *
 * (a device is one line). In mode "manual" the counter is energy_mj exactly and the power
 * power_mw; in mode "clock" the counter is energy_mj plus power_mw over the time since the library
 * was loaded, renewed every 100 ms. With `profile` the power is what the profile says, in seconds
 * of the clock (nvml_truth.h), and:
 *
 *   profile=0:100,10.25:700,11.25:150  repeats_s=0    W from each moment on
 *   period_ms=100 phase_ms=0 gain=1    the counter: when it is renewed, and by how much it errs
 *   power_period_ms=100 power_phase_ms=0 boxcar_ms=25 power_gain=1
 *                                      field 186: the mean over the boxcar before each renewal
 *                                      (boxcar_ms=0: the power at that moment)
 *   usage=average|instant              nvmlDeviceGetPowerUsage: mean of the last second, or as 186
 *   ring_ms=20 ring_samples=119        the sample ring (0: not supported), each the mean of ring_ms
 *   module_mw=120000                   what the module draws beside its GPU (0: no module scope)
 *
 * More of a device: brand=14 (NVIDIA's data-centre parts), architecture=9, virtualization=0,
 * slices=MIG-a,MIG-b (the MIG devices it is cut into),
 * pids=12,34 (compute) graphics_pids=56 utilization=12:60,34:20 (percent of the SMs).
 *   limit_mw=700000 default_mw=700000 min_mw=200000
 *                                      the power limit: the highest, the default, the lowest
 *   work=75:625:0.02:0.08              what fake_nvml_step does at the limit in force (nvml_truth.h):
 *                                      W idle, W more at full clocks, s of waiting and of computing
 *   busy=0:20,10.25:95 busy_ms=200     percent of utilisation from each moment on, and how far its
 *                                      samples are apart (100 of them; 0: not supported)
 *   memory_mib=20000/81920             taken and whole memory (none: not supported)
 *
 * A limit that was set stays until another one is, whatever the file says; FAKE_NVML_LOG has a
 * line "set 0 - 560000" for each. `library reload=N`: with each new N the driver is loaded again: counters start at 0, and calls
 * fail until the library is initialised again. Handles are good until nvmlShutdown.
 *
 * `library stamps_s=-60`: the stamps of samples are a minute late from then on.
 *
 * `fault` and `hang` (in ms, or until a new file has no such rule) may be given more than once; the place is the name of a function,
 * "field186" for one field's own return code ("field186/1" in scope 1), or "*". FAKE_NVML_LOG names
 * a file that gets one line a call: the function, the device (or -) and the thread.
 *
 * The functions fake_nvml_* at the end are for a test in the same process.
 *
 * Structures and codes follow NVIDIA's nvml.h as far as the calls below need them.
 * With -DEMPTY it is a library without any symbol.
 */
#define _GNU_SOURCE
#include <stdint.h>

#ifdef EMPTY
extern const int nothing_here __attribute__((visibility("hidden")));
const int nothing_here = 0;
#else

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nvml_truth.h"

#define MAX_GPUS 16
#define MAX_RULES 16
#define MAX_SLICES 8
#define MAX_PIDS 64
#define GENERATIONS 64

typedef int nvmlReturn_t;
enum { UNINITIALIZED = 1, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct {
    int value; /* a return code, or milliseconds */
    char place[64];
} Rule;

typedef struct {
    int n;
    unsigned pid[MAX_PIDS], percent[MAX_PIDS];
} Processes;

typedef struct {
    int present;
    char uuid[96], name[96], pci[32];
    unsigned long long base_mj;
    unsigned power_mw, limit_mw, module_mw, value_type, brand, virtualization, ring_samples,
        architecture;
    int clock, mig, usage_is_instant, n_slices;
    double gathered_mj, since_s; /* energy up to since_s, in mode clock */
    double period_s, phase_s, gain, power_period_s, power_phase_s, boxcar_s, power_gain, ring_s;
    Profile profile, busy;
    double busy_step_s;
    Work work;
    unsigned default_mw, min_mw;
    unsigned long long memory_used, memory_total;
    char slices[MAX_SLICES][96];
    Processes compute, graphics, utilization;
    Rule faults[MAX_RULES], hangs[MAX_RULES];
    int n_faults, n_hangs;
} Gpu;

/* What a handle points to: a device or one of its slices, until the library is shut down. */
typedef struct {
    Gpu *gpu;
    int slice; /* -1: the whole device */
    int generation;
} Handle;

static Gpu gpus[MAX_GPUS], library; /* `library` only has faults and hangs */
static Handle handles[GENERATIONS][MAX_GPUS][MAX_SLICES + 1];
static char driver[80] = "580.65.06";
static unsigned set_mw[MAX_GPUS]; /* the power limit that was set; 0: none was */
static int count, users, generation, reloads;
static double loaded_s, counters_from_s = -INFINITY;
static struct stat seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const struct {
    int code;
    const char *name, *text;
} CODES[] = {
    {0, "Success", "Success"},
    {1, "Uninitialized", "Uninitialized"},
    {2, "InvalidArgument", "Invalid Argument"},
    {3, "NotSupported", "Not Supported"},
    {4, "NoPermission", "Insufficient Permissions"},
    {6, "NotFound", "Not Found"},
    {7, "InsufficientSize", "Insufficient Size"},
    {9, "DriverNotLoaded", "Driver Not Loaded"},
    {10, "Timeout", "Timeout"},
    {13, "FunctionNotFound", "Function Not Found"},
    {15, "GpuIsLost", "GPU is lost"},
    {16, "ResetRequired", "GPU requires reset"},
    {18, "LibRmVersionMismatch", "Driver/library version mismatch"},
    {999, "Unknown", "Unknown Error"},
};
#define N_CODES (sizeof CODES / sizeof CODES[0])

__attribute__((constructor)) static void loaded(void) {
    loaded_s = now_s();
    epoch_s = real_s(CLOCK_REALTIME) - real_s(CLOCK_MONOTONIC);
}

/* --- the settings -------------------------------------------------------------------------- */

static void refuse(const char *what, const char *text) {
    fprintf(stderr, "fake nvml: %s %s\n", what, text);
    abort();
}

static int code_of(const char *name) {
    for (size_t i = 0; i < N_CODES; i++)
        if (!strcmp(CODES[i].name, name)) return CODES[i].code;
    refuse("no return code is called", name);
    return 0;
}

static void add_rule(Rule *rules, int *n, const char *text, int is_fault) {
    char what[64];
    Rule *rule = &rules[(*n)++];
    if (*n > MAX_RULES || sscanf(text, "%63[^@]@%63s", what, rule->place) != 2)
        refuse("cannot read the rule", text);
    rule->value = is_fault ? code_of(what) : atoi(what);
}

static void read_processes(Processes *into, const char *text) {
    for (into->n = 0; *text && into->n < MAX_PIDS; into->n++) {
        char *end;
        into->pid[into->n] = strtoul(text, &end, 10);
        into->percent[into->n] = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
        text = *end ? end + 1 : end;
    }
}

static void read_slices(Gpu *gpu, const char *text) {
    char all[1024], *rest = all, *one;
    snprintf(all, sizeof all, "%s", text);
    for (gpu->n_slices = 0; gpu->n_slices < MAX_SLICES && (one = strsep(&rest, ","));)
        snprintf(gpu->slices[gpu->n_slices++], sizeof gpu->slices[0], "%s", one);
}

/* The next key=value of a line; a value may stand in double quotes. */
static char *next_pair(char *at, char **key, char **value) {
    while (*at == ' ' || *at == '\t') at++;
    if (!*at || *at == '\n') return NULL;
    *key = at;
    while (*at && *at != '=') at++;
    if (!*at) return NULL;
    *at++ = 0;
    char end = ' ';
    if (*at == '"') end = *at++;
    *value = at;
    while (*at && *at != end && *at != '\n') at++;
    if (*at) *at++ = 0;
    return at;
}

/* The driver is loaded again: counters start at 0, and nobody is a client of it any more. */
static void reload(void) {
    users = 0;
    generation++;
    counters_from_s = now_s();
}

static void set(Gpu *gpu, const char *key, const char *value) {
    const double number = atof(value);
#define IS(name) (!strcmp(key, name))
    if (IS("uuid")) snprintf(gpu->uuid, sizeof gpu->uuid, "%s", value);
    else if (IS("name")) snprintf(gpu->name, sizeof gpu->name, "%s", value);
    else if (IS("pci")) snprintf(gpu->pci, sizeof gpu->pci, "%s", value);
    else if (IS("energy_mj")) gpu->base_mj = strtoull(value, NULL, 0);
    else if (IS("power_mw")) gpu->power_mw = strtoul(value, NULL, 0);
    else if (IS("limit_mw")) gpu->limit_mw = strtoul(value, NULL, 0);
    else if (IS("default_mw")) gpu->default_mw = strtoul(value, NULL, 0);
    else if (IS("min_mw")) gpu->min_mw = strtoul(value, NULL, 0);
    else if (IS("work")) {
        if (!read_work(&gpu->work, value)) refuse("cannot read the work", value);
        let_grow(&gpu->profile);
        extend_profile(&gpu->profile, 0, gpu->work.idle_w);
    } else if (IS("busy")) {
        if (!read_profile(&gpu->busy, value)) refuse("cannot read the profile", value);
    } else if (IS("busy_ms")) gpu->busy_step_s = number / 1e3;
    else if (IS("memory_mib")) {
        if (sscanf(value, "%llu/%llu", &gpu->memory_used, &gpu->memory_total) != 2)
            refuse("cannot read the memory", value);
        gpu->memory_used <<= 20;
        gpu->memory_total <<= 20;
    } else if (IS("module_mw")) gpu->module_mw = strtoul(value, NULL, 0);
    else if (IS("value_type")) gpu->value_type = strtoul(value, NULL, 0);
    else if (IS("brand")) gpu->brand = strtoul(value, NULL, 0);
    else if (IS("architecture")) gpu->architecture = strtoul(value, NULL, 0);
    else if (IS("virtualization")) gpu->virtualization = strtoul(value, NULL, 0);
    else if (IS("mig")) gpu->mig = atoi(value);
    else if (IS("mode")) gpu->clock = !strcmp(value, "clock");
    else if (IS("profile")) {
        if (!read_profile(&gpu->profile, value)) refuse("cannot read the profile", value);
    } else if (IS("repeats_s")) gpu->profile.repeats_s = number;
    else if (IS("period_ms")) gpu->period_s = number / 1e3;
    else if (IS("phase_ms")) gpu->phase_s = number / 1e3;
    else if (IS("gain")) gpu->gain = number;
    else if (IS("power_period_ms")) gpu->power_period_s = number / 1e3;
    else if (IS("power_phase_ms")) gpu->power_phase_s = number / 1e3;
    else if (IS("boxcar_ms")) gpu->boxcar_s = number / 1e3;
    else if (IS("power_gain")) gpu->power_gain = number;
    else if (IS("usage")) gpu->usage_is_instant = !strcmp(value, "instant");
    else if (IS("ring_ms")) gpu->ring_s = number / 1e3;
    else if (IS("ring_samples")) gpu->ring_samples = strtoul(value, NULL, 0);
    else if (IS("slices")) read_slices(gpu, value);
    else if (IS("pids")) read_processes(&gpu->compute, value);
    else if (IS("graphics_pids")) read_processes(&gpu->graphics, value);
    else if (IS("utilization")) read_processes(&gpu->utilization, value);
    else if (IS("driver")) snprintf(driver, sizeof driver, "%s", value);
    else if (IS("stamps_s")) epoch_s = real_s(CLOCK_REALTIME) - real_s(CLOCK_MONOTONIC) + number;
    else if (IS("reload")) {
        if (atoi(value) != reloads) reload();
        reloads = atoi(value);
    } else if (IS("fault")) add_rule(gpu->faults, &gpu->n_faults, value, 1);
    else if (IS("hang")) add_rule(gpu->hangs, &gpu->n_hangs, value, 0);
    else refuse("no setting is called", key);
#undef IS
}

/* A device as it is before its line says otherwise; what it drew at the old power stays drawn. */
static void begin(Gpu *gpu) {
    double since_s = gpu->present ? gpu->since_s : loaded_s, now = now_s();
    double gathered_mj = gpu->present ? gpu->gathered_mj + gpu->power_mw * (now - since_s) : 0;
    int old = gpu->present;
    drop_profile(&gpu->profile);
    drop_profile(&gpu->busy);
    memset(gpu, 0, sizeof *gpu);
    gpu->present = gpu->value_type = 1;
    gpu->gain = gpu->power_gain = 1;
    gpu->period_s = gpu->power_period_s = 0.1;
    gpu->boxcar_s = 0.025;
    gpu->ring_samples = 119;
    gpu->busy_step_s = 0.2;
    gpu->brand = 14;
    gpu->architecture = 9; /* Hopper */
    gpu->gathered_mj = gathered_mj;
    gpu->since_s = old ? now : loaded_s;
}

/* Read the file again if it is another one than the last time. Called with the lock held. */
static void refresh(void) {
    const char *path = getenv("FAKE_NVML_CONFIG");
    struct stat st;
    if (!path || stat(path, &st)) return;
    if (st.st_ino == seen.st_ino && st.st_size == seen.st_size &&
        st.st_mtim.tv_sec == seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
        return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    seen = st;
    char *line = NULL, *key, *value;
    size_t room = 0;
    library.n_faults = library.n_hangs = count = 0;
    while (getline(&line, &room, file) >= 0) {
        char *at = line;
        Gpu *gpu = &library;
        int index, used;
        if (sscanf(line, "gpu %d%n", &index, &used) == 1 && index >= 0 && index < MAX_GPUS) {
            gpu = &gpus[index];
            at = line + used;
            begin(gpu);
            if (index >= count) count = index + 1;
        } else if (!strncmp(line, "library", 7)) {
            at = line + 7;
        } else {
            continue;
        }
        while ((at = next_pair(at, &key, &value))) set(gpu, key, value);
    }
    free(line);
    fclose(file);
}

/* --- what the readings show of the truth ---------------------------------------------------- */

/* Energy in mJ up to a moment. */
static double drawn_mj(const Gpu *gpu, double t_s) {
    if (gpu->profile.n) return profile_j(&gpu->profile, t_s) * 1e3;
    return gpu->gathered_mj + (t_s > gpu->since_s ? gpu->power_mw * (t_s - gpu->since_s) : 0);
}

static unsigned long long energy_mj(const Gpu *gpu) {
    if (!gpu->profile.n && !gpu->clock) return gpu->base_mj;
    double phase_s = gpu->phase_s + (gpu->profile.n ? 0 : loaded_s);
    double tick_s = last_tick_s(now_s(), gpu->period_s, phase_s);
    if (tick_s <= counters_from_s) return 0;
    double before_mj = isinf(counters_from_s) ? 0 : drawn_mj(gpu, counters_from_s);
    /* A hundredth of a mJ of slack, so that 30 J made of tenths are not 29.999 J. */
    double shown_mj = gpu->gain * (drawn_mj(gpu, tick_s) - before_mj) + 0.01;
    return (isinf(counters_from_s) ? gpu->base_mj : 0) + (unsigned long long)shown_mj;
}

/* The mean power in mW over the `over_s` before a moment; the power at it for 0. */
static double mean_mw(const Gpu *gpu, double t_s, double over_s) {
    if (!gpu->profile.n) return gpu->power_mw;
    double w = over_s > 0 ? (profile_j(&gpu->profile, t_s) - profile_j(&gpu->profile, t_s - over_s)) / over_s
                          : profile_w(&gpu->profile, t_s);
    return gpu->power_gain * w * 1e3;
}

static unsigned shown_mw(const Gpu *gpu, double over_s) {
    double tick_s = last_tick_s(now_s(), gpu->power_period_s, gpu->power_phase_s);
    return (unsigned)(mean_mw(gpu, tick_s, over_s) + 0.5);
}

/* --- every call ----------------------------------------------------------------------------- */

static int rule_for(const Rule *rules, int n, const char *place, int otherwise) {
    for (int i = 0; i < n; i++)
        if (!strcmp(rules[i].place, place) || !strcmp(rules[i].place, "*")) return rules[i].value;
    return otherwise;
}

static void note(const char *name, const Gpu *gpu) {
    const char *path = getenv("FAKE_NVML_LOG");
    if (!path) return;
    char line[160];
    int n = gpu ? snprintf(line, sizeof line, "%s %d %ld\n", name, (int)(gpu - gpus),
                           syscall(SYS_gettid))
                : snprintf(line, sizeof line, "%s - %ld\n", name, syscall(SYS_gettid));
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0) return;
    if (write(fd, line, n) != n) abort();
    close(fd);
}

/* Hang for so long, or until the settings say no more that this call hangs. */
static void hang(const char *name, const Gpu *from, int hang_ms) {
    for (double end_s = real_s(CLOCK_MONOTONIC) + hang_ms / 1e3, left_s;
         hang_ms && (left_s = end_s - real_s(CLOCK_MONOTONIC)) > 0;) {
        struct timespec t = {0, (long)(1e9 * (left_s < 0.005 ? left_s : 0.005))};
        nanosleep(&t, NULL);
        pthread_mutex_lock(&lock);
        refresh();
        hang_ms = rule_for(from->hangs, from->n_hangs, name, 0);
        pthread_mutex_unlock(&lock);
    }
}

/* A limit that was set, in the log: "set 0 560000". */
static void note_limit(const Gpu *gpu, unsigned mw) {
    const char *path = getenv("FAKE_NVML_LOG");
    if (!path) return;
    char line[80];
    int n = snprintf(line, sizeof line, "set %d - %u\n", (int)(gpu - gpus), mw);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0) return;
    if (write(fd, line, n) != n) refuse("cannot write", path);
    close(fd);
}

/* What every call does first: log, take the new settings, hang, fail. */
static nvmlReturn_t enter(const char *name, const Gpu *gpu, const Handle *handle, int needs_init) {
    note(name, gpu);
    pthread_mutex_lock(&lock);
    refresh();
    const Gpu *from = gpu ? gpu : &library;
    int hang_ms = rule_for(from->hangs, from->n_hangs, name, 0);
    int code = rule_for(from->faults, from->n_faults, name, 0);
    if (!code && needs_init && users == 0) code = UNINITIALIZED;
    if (!code && handle && handle->generation != generation) code = INVALID_ARGUMENT;
    pthread_mutex_unlock(&lock);
    hang(name, from, hang_ms);
    return code;
}

#define TRY(call)                   \
    do {                            \
        nvmlReturn_t code_ = call;  \
        if (code_) return code_;    \
    } while (0)
#define ENTER_LIBRARY(needs_init) TRY(enter(__func__, NULL, NULL, needs_init))
#define ENTER(handle)                                      \
    if (!handle) return INVALID_ARGUMENT;                  \
    Gpu *const gpu = handle->gpu;                          \
    TRY(enter(__func__, gpu, handle, 1))

static Handle *handle_of(Gpu *gpu, int slice) {
    Handle *handle = &handles[generation % GENERATIONS][gpu - gpus][slice + 1];
    *handle = (Handle){gpu, slice, generation};
    return handle;
}

static nvmlReturn_t init(void) {
    if (users++ == 0) generation++;
    return 0;
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    ENTER_LIBRARY(0);
    return init();
}

nvmlReturn_t nvmlInit_v2(void) {
    ENTER_LIBRARY(0);
    return init();
}

nvmlReturn_t nvmlShutdown(void) {
    ENTER_LIBRARY(1);
    users--;
    return 0;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    for (size_t i = 0; i < N_CODES; i++)
        if (CODES[i].code == code) return CODES[i].text;
    return "Unknown Error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    ENTER_LIBRARY(1);
    snprintf(version, length, "%s", driver);
    return 0;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length) {
    ENTER_LIBRARY(1);
    snprintf(version, length, "13.%s", driver);
    return 0;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *n) {
    ENTER_LIBRARY(1);
    *n = count;
    return 0;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle **found) {
    if (index >= MAX_GPUS) return INVALID_ARGUMENT;
    TRY(enter(__func__, &gpus[index], NULL, 1));
    if (!gpus[index].present) return INVALID_ARGUMENT;
    *found = handle_of(&gpus[index], -1);
    return 0;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, Handle **found) {
    ENTER_LIBRARY(1);
    for (int i = 0; i < count; i++)
        for (int slice = -1; gpus[i].present && slice < gpus[i].n_slices; slice++)
            if (!strcmp(slice < 0 ? gpus[i].uuid : gpus[i].slices[slice], uuid)) {
                *found = handle_of(&gpus[i], slice);
                return 0;
            }
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, Handle **found) {
    for (int i = 0; i < MAX_GPUS; i++)
        if (gpus[i].present && !strcmp(gpus[i].pci, bus_id)) {
            TRY(enter(__func__, &gpus[i], NULL, 1));
            *found = handle_of(&gpus[i], -1);
            return 0;
        }
    ENTER_LIBRARY(1);
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetIndex(Handle *handle, unsigned *index) {
    ENTER(handle);
    *index = gpu - gpus;
    return 0;
}

nvmlReturn_t nvmlDeviceGetName(Handle *handle, char *name, unsigned length) {
    ENTER(handle);
    snprintf(name, length, "%s", gpu->name);
    return 0;
}

nvmlReturn_t nvmlDeviceGetUUID(Handle *handle, char *uuid, unsigned length) {
    ENTER(handle);
    snprintf(uuid, length, "%s", handle->slice < 0 ? gpu->uuid : gpu->slices[handle->slice]);
    return 0;
}

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} PciInfo;

nvmlReturn_t nvmlDeviceGetPciInfo_v3(Handle *handle, PciInfo *pci) {
    ENTER(handle);
    memset(pci, 0, sizeof *pci);
    sscanf(gpu->pci, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    snprintf(pci->bus_id, sizeof pci->bus_id, "%s", gpu->pci);
    return 0;
}

nvmlReturn_t nvmlDeviceGetBrand(Handle *handle, unsigned *brand) {
    ENTER(handle);
    *brand = gpu->brand;
    return 0;
}

nvmlReturn_t nvmlDeviceGetArchitecture(Handle *handle, unsigned *architecture) {
    ENTER(handle);
    *architecture = gpu->architecture;
    return 0;
}

nvmlReturn_t nvmlDeviceGetVirtualizationMode(Handle *handle, unsigned *mode) {
    ENTER(handle);
    *mode = gpu->virtualization;
    return 0;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(Handle *handle, unsigned long long *mj) {
    ENTER(handle);
    *mj = energy_mj(gpu);
    return 0;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(Handle *handle, unsigned *mw) {
    ENTER(handle);
    *mw = shown_mw(gpu, gpu->usage_is_instant ? gpu->boxcar_s : 1.0);
    return 0;
}

/* The limit in force in mW. */
static unsigned in_force_mw(const Gpu *gpu) {
    unsigned set = set_mw[gpu - gpus];
    return set ? set : gpu->default_mw ? gpu->default_mw : gpu->limit_mw;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(Handle *handle, unsigned *mw) {
    ENTER(handle);
    if (!gpu->limit_mw) return NOT_SUPPORTED;
    *mw = in_force_mw(gpu);
    return 0;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(Handle *handle, unsigned *mw) {
    ENTER(handle);
    if (!gpu->limit_mw) return NOT_SUPPORTED;
    *mw = in_force_mw(gpu);
    return 0;
}

nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(Handle *handle, unsigned *mw) {
    ENTER(handle);
    if (!gpu->limit_mw) return NOT_SUPPORTED;
    *mw = gpu->default_mw ? gpu->default_mw : gpu->limit_mw;
    return 0;
}

nvmlReturn_t nvmlDeviceSetPowerManagementLimit(Handle *handle, unsigned mw) {
    ENTER(handle);
    if (!gpu->limit_mw) return NOT_SUPPORTED;
    if (mw < (gpu->min_mw ? gpu->min_mw : gpu->limit_mw / 4) || mw > gpu->limit_mw)
        return INVALID_ARGUMENT;
    set_mw[gpu - gpus] = mw;
    note_limit(gpu, mw);
    return 0;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(Handle *handle, unsigned *min,
                                                          unsigned *max) {
    ENTER(handle);
    if (!gpu->limit_mw) return NOT_SUPPORTED;
    *min = gpu->min_mw ? gpu->min_mw : gpu->limit_mw / 4;
    *max = gpu->limit_mw;
    return 0;
}

typedef union {
    double d;
    unsigned ui;
    unsigned long ul;
    unsigned long long ull;
    long long sll;
    int si;
    unsigned short us;
} Value;

typedef struct {
    uint32_t field, scope;
    int64_t timestamp_us, latency_us;
    unsigned value_type;
    nvmlReturn_t code;
    Value value;
} FieldValue;

nvmlReturn_t nvmlDeviceGetFieldValues(Handle *handle, int n, FieldValue *values) {
    ENTER(handle);
    for (int i = 0; i < n; i++) {
        FieldValue *v = &values[i];
        char place[32];
        if (v->scope) snprintf(place, sizeof place, "field%u/%u", v->field, v->scope);
        else snprintf(place, sizeof place, "field%u", v->field);
        v->code = rule_for(gpu->faults, gpu->n_faults, place, 0);
        v->value.ull = 0;
        v->value_type = gpu->value_type;
        v->timestamp_us = stamp_us(now_s());
        v->latency_us = 0;
        if (v->code) continue;
        int is_power = v->field == 185 || v->field == 186;
        if (v->field == 83 && v->scope == 0) {
            v->value_type = 3;
            v->value.ull = energy_mj(gpu);
        } else if (is_power && (v->scope == 0 || (v->scope == 1 && gpu->module_mw))) {
            unsigned mw = shown_mw(gpu, v->field == 185 ? 1.0 : gpu->boxcar_s);
            if (v->scope == 1) mw += gpu->module_mw;
            if (gpu->value_type == 0) v->value.d = mw;
            else v->value.ui = mw;
        } else {
            v->code = NOT_SUPPORTED;
        }
    }
    return 0;
}

typedef struct {
    unsigned long long stamp_us;
    Value value;
} Sample;

#define BUSY_SAMPLES 100

/* Utilisation in percent: each sample the mean since the one before it. */
static nvmlReturn_t busy_samples(const Gpu *gpu, unsigned long long last_us, unsigned *value_type,
                                 unsigned *n, Sample *samples) {
    const double step_s = gpu->busy_step_s;
    if (!gpu->busy.n || step_s <= 0) return NOT_SUPPORTED;
    *value_type = 1;
    if (!samples) {
        *n = BUSY_SAMPLES;
        return 0;
    }
    double newest_s = last_tick_s(now_s(), step_s, 0);
    unsigned given = 0;
    for (int back = BUSY_SAMPLES - 1; back >= 0 && given < *n; back--) {
        double t_s = newest_s - back * step_s;
        if (stamp_us(t_s) <= last_us) continue;
        double mean = (profile_j(&gpu->busy, t_s) - profile_j(&gpu->busy, t_s - step_s)) / step_s;
        samples[given].stamp_us = stamp_us(t_s);
        samples[given++].value.ull = (unsigned)(mean + 0.5);
    }
    *n = given;
    return given ? 0 : NOT_FOUND;
}

typedef struct {
    unsigned long long total, free, used;
} Memory;

nvmlReturn_t nvmlDeviceGetMemoryInfo(Handle *handle, Memory *memory) {
    ENTER(handle);
    if (!gpu->memory_total) return NOT_SUPPORTED;
    *memory = (Memory){gpu->memory_total, gpu->memory_total - gpu->memory_used, gpu->memory_used};
    return 0;
}

nvmlReturn_t nvmlDeviceGetSamples(Handle *handle, int kind, unsigned long long last_us,
                                  unsigned *value_type, unsigned *n, Sample *samples) {
    ENTER(handle);
    if (kind == 1) return busy_samples(gpu, last_us, value_type, n, samples);
    if (kind != 0 || gpu->ring_s <= 0) return NOT_SUPPORTED;
    *value_type = gpu->value_type;
    if (!samples) {
        *n = gpu->ring_samples + 1;
        return 0;
    }
    double newest_s = last_tick_s(now_s(), gpu->ring_s, gpu->power_phase_s);
    unsigned given = 0;
    for (int back = gpu->ring_samples - 1; back >= 0 && given < *n; back--) {
        double t_s = newest_s - back * gpu->ring_s;
        if (stamp_us(t_s) <= last_us) continue;
        samples[given].stamp_us = stamp_us(t_s);
        if (gpu->value_type == 0) samples[given].value.d = mean_mw(gpu, t_s, gpu->ring_s);
        else samples[given].value.ull = (unsigned)(mean_mw(gpu, t_s, gpu->ring_s) + 0.5);
        given++;
    }
    *n = given;
    return given ? 0 : NOT_FOUND;
}

/* --- slices --------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetMigMode(Handle *handle, unsigned *current, unsigned *pending) {
    ENTER(handle);
    *current = *pending = gpu->mig;
    return 0;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(Handle *handle, unsigned *n) {
    ENTER(handle);
    *n = gpu->mig ? MAX_SLICES - 1 : 0;
    return 0;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(Handle *handle, unsigned index, Handle **found) {
    ENTER(handle);
    if (index >= (unsigned)gpu->n_slices) return NOT_FOUND;
    *found = handle_of(gpu, index);
    return 0;
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Handle *handle, Handle **found) {
    ENTER(handle);
    if (handle->slice < 0) return INVALID_ARGUMENT;
    *found = handle_of(gpu, -1);
    return 0;
}

/* --- processes ------------------------------------------------------------------------------ */

typedef struct {
    unsigned pid;
    unsigned long long used_memory;
    unsigned gpu_instance, compute_instance;
} Process;

static nvmlReturn_t list(const Processes *from, unsigned *n, Process *processes) {
    unsigned room = *n;
    *n = from->n;
    if (room < *n) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < *n; i++)
        processes[i] = (Process){from->pid[i], 1 << 20, 0xffffffff, 0xffffffff};
    return 0;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(Handle *handle, unsigned *n, Process *into) {
    ENTER(handle);
    return list(&gpu->compute, n, into);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(Handle *handle, unsigned *n, Process *into) {
    ENTER(handle);
    return list(&gpu->graphics, n, into);
}

typedef struct {
    unsigned pid;
    unsigned long long stamp_us;
    unsigned sm, memory, encoder, decoder;
} Utilization;

nvmlReturn_t nvmlDeviceGetProcessUtilization(Handle *handle, Utilization *into, unsigned *n,
                                             unsigned long long last_us) {
    ENTER(handle);
    if (gpu->mig) return NOT_SUPPORTED;
    const Processes *from = &gpu->utilization;
    unsigned long long at_us = stamp_us(now_s());
    unsigned room = *n;
    *n = at_us > last_us ? from->n : 0;
    if (!*n) return NOT_FOUND;
    if (!into || room < *n) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < *n; i++)
        into[i] = (Utilization){from->pid[i], at_us, from->percent[i], 0, 0, 0};
    return 0;
}

/* --- for the tests -------------------------------------------------------------------------- */

/* From now on the clock stands at this many seconds, until it is set again. */
void fake_nvml_set_clock(double s) {
    is_virtual = 1;
    virtual_s = s;
}

/* The clock runs again, as CLOCK_MONOTONIC does. */
void fake_nvml_run_clock(void) { is_virtual = 0; }

double fake_nvml_clock(void) { return now_s(); }

/* What the stamps of samples add to the clock, to be seconds since 1970. */
void fake_nvml_set_epoch(double s) { epoch_s = s; }

double fake_nvml_epoch(void) { return epoch_s; }

/* A step of the device's `work`, at the limit in force: it takes its time on the clock. */
void fake_nvml_step(int index) {
    pthread_mutex_lock(&lock);
    refresh();
    Gpu *gpu = &gpus[index];
    const double f = clocks(&gpu->work, in_force_mw(gpu) / 1e3);
    const double lasts_s = gpu->work.waits_s + gpu->work.computes_s / f;
    const double begin_s = now_s();
    extend_profile(&gpu->profile, begin_s, gpu->work.idle_w + gpu->work.full_w * f * f * f);
    pthread_mutex_unlock(&lock);
    if (is_virtual) virtual_s = begin_s + lasts_s;
    else usleep((useconds_t)(lasts_s * 1e6));
    pthread_mutex_lock(&lock);
    extend_profile(&gpu->profile, now_s(), gpu->work.idle_w);
    pthread_mutex_unlock(&lock);
}

/* The energy in J that a device with a profile truly draws between two moments. */
double fake_nvml_true_j(int index, double from_s, double to_s) {
    pthread_mutex_lock(&lock);
    refresh();
    double j = profile_j(&gpus[index].profile, to_s) - profile_j(&gpus[index].profile, from_s);
    pthread_mutex_unlock(&lock);
    return j;
}
#endif
