/* A stand-in for NVIDIA's libnvidia-ml.so.1 that keeps a known energy.
 *
 * FAKE_NVML_CONFIG names a text file, read again whenever it changes:
 *
 *   library driver=580.65.06 fault=DriverNotLoaded@nvmlInitWithFlags hang=300@nvmlInitWithFlags
 *   gpu 0 uuid=GPU-1 name="NVIDIA H100" pci=00000000:01:00.0 mode=manual energy_mj=5000
 *         power_mw=350000 limit_mw=700000 mig=0 fault=NotSupported@nvmlDeviceGetPowerUsage
 *
 * (a device is one line). In mode "manual" the counter is energy_mj exactly; in mode "clock" it
 * is energy_mj plus the power over the time since the library was loaded, renewed every 100 ms.
 * `fault` and `hang` (in ms) may be given more than once; the place is the name of a function,
 * "field186" for one field's own return code, or "*". FAKE_NVML_LOG names a file that gets one
 * line a call: the function, the device (or -) and the thread.
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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_GPUS 16
#define MAX_RULES 16
#define PERIOD_S 0.1

typedef int nvmlReturn_t;

typedef struct {
    int value; /* a return code, or milliseconds */
    char place[64];
} Rule;

typedef struct {
    int present;
    char uuid[96], name[96], pci[32];
    unsigned long long base_mj;
    unsigned power_mw, limit_mw, value_type;
    int clock, mig;
    double gathered_mj, since_s; /* energy up to since_s, in mode clock */
    Rule faults[MAX_RULES], hangs[MAX_RULES];
    int n_faults, n_hangs;
} Gpu;

static Gpu gpus[MAX_GPUS], library; /* `library` only has faults and hangs */
static char driver[80] = "580.65.06";
static int count, users;
static double loaded_s;
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
    {9, "DriverNotLoaded", "Driver Not Loaded"},
    {10, "Timeout", "Timeout"},
    {13, "FunctionNotFound", "Function Not Found"},
    {15, "GpuIsLost", "GPU is lost"},
    {16, "ResetRequired", "GPU requires reset"},
    {18, "LibRmVersionMismatch", "Driver/library version mismatch"},
    {999, "Unknown", "Unknown Error"},
};
#define N_CODES (sizeof CODES / sizeof CODES[0])

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

__attribute__((constructor)) static void loaded(void) { loaded_s = now_s(); }

static int code_of(const char *name) {
    for (size_t i = 0; i < N_CODES; i++)
        if (!strcmp(CODES[i].name, name)) return CODES[i].code;
    fprintf(stderr, "fake nvml: no return code is called %s\n", name);
    abort();
}

static void add_rule(Rule *rules, int *n, const char *text, int is_fault) {
    char what[64];
    Rule *rule = &rules[(*n)++];
    if (*n > MAX_RULES || sscanf(text, "%63[^@]@%63s", what, rule->place) != 2) {
        fprintf(stderr, "fake nvml: cannot read the rule %s\n", text);
        abort();
    }
    rule->value = is_fault ? code_of(what) : atoi(what);
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

static void set(Gpu *gpu, const char *key, const char *value) {
    if (!strcmp(key, "uuid")) snprintf(gpu->uuid, sizeof gpu->uuid, "%s", value);
    else if (!strcmp(key, "name")) snprintf(gpu->name, sizeof gpu->name, "%s", value);
    else if (!strcmp(key, "pci")) snprintf(gpu->pci, sizeof gpu->pci, "%s", value);
    else if (!strcmp(key, "energy_mj")) gpu->base_mj = strtoull(value, NULL, 0);
    else if (!strcmp(key, "power_mw")) gpu->power_mw = strtoul(value, NULL, 0);
    else if (!strcmp(key, "limit_mw")) gpu->limit_mw = strtoul(value, NULL, 0);
    else if (!strcmp(key, "value_type")) gpu->value_type = strtoul(value, NULL, 0);
    else if (!strcmp(key, "mig")) gpu->mig = atoi(value);
    else if (!strcmp(key, "mode")) gpu->clock = !strcmp(value, "clock");
    else if (!strcmp(key, "driver")) snprintf(driver, sizeof driver, "%s", value);
    else if (!strcmp(key, "fault")) add_rule(gpu->faults, &gpu->n_faults, value, 1);
    else if (!strcmp(key, "hang")) add_rule(gpu->hangs, &gpu->n_hangs, value, 0);
    else {
        fprintf(stderr, "fake nvml: no setting is called %s\n", key);
        abort();
    }
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
    double now = now_s();
    char line[2048], *key, *value;
    library.n_faults = library.n_hangs = count = 0;
    while (fgets(line, sizeof line, file)) {
        char *at = line;
        Gpu *gpu = &library;
        int index, used;
        if (sscanf(line, "gpu %d%n", &index, &used) == 1 && index >= 0 && index < MAX_GPUS) {
            gpu = &gpus[index];
            at = line + used;
            /* What was drawn at the old power stays drawn. */
            double since = gpu->present ? gpu->since_s : loaded_s;
            double gathered = gpu->gathered_mj + gpu->power_mw * (now - since);
            int old = gpu->present;
            memset(gpu, 0, sizeof *gpu);
            gpu->present = gpu->value_type = 1;
            gpu->gathered_mj = old ? gathered : 0;
            gpu->since_s = old ? now : loaded_s;
            if (index >= count) count = index + 1;
        } else if (!strncmp(line, "library", 7)) {
            at = line + 7;
        } else {
            continue;
        }
        while ((at = next_pair(at, &key, &value))) set(gpu, key, value);
    }
    fclose(file);
}

static unsigned long long energy_mj(const Gpu *gpu) {
    if (!gpu->clock) return gpu->base_mj;
    double tick_s = loaded_s + PERIOD_S * (long long)((now_s() - loaded_s) / PERIOD_S);
    double drawn = tick_s > gpu->since_s ? gpu->power_mw * (tick_s - gpu->since_s) : 0;
    return gpu->base_mj + (unsigned long long)(gpu->gathered_mj + drawn);
}

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

/* What every call does first: log, take the new settings, hang, fail. */
static nvmlReturn_t enter(const char *name, const Gpu *gpu, int needs_init) {
    note(name, gpu);
    pthread_mutex_lock(&lock);
    refresh();
    const Gpu *from = gpu ? gpu : &library;
    int hang_ms = rule_for(from->hangs, from->n_hangs, name, 0);
    int code = rule_for(from->faults, from->n_faults, name, 0);
    if (!code && needs_init && users == 0) code = 1;
    pthread_mutex_unlock(&lock);
    if (hang_ms) {
        struct timespec t = {hang_ms / 1000, hang_ms % 1000 * 1000000L};
        nanosleep(&t, NULL);
    }
    return code;
}

#define ENTER(gpu, needs_init)                                   \
    do {                                                         \
        nvmlReturn_t code_ = enter(__func__, gpu, needs_init);   \
        if (code_) return code_;                                 \
    } while (0)

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    ENTER(NULL, 0);
    users++;
    return 0;
}

nvmlReturn_t nvmlInit_v2(void) {
    ENTER(NULL, 0);
    users++;
    return 0;
}

nvmlReturn_t nvmlShutdown(void) {
    ENTER(NULL, 1);
    users--;
    return 0;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    for (size_t i = 0; i < N_CODES; i++)
        if (CODES[i].code == code) return CODES[i].text;
    return "Unknown Error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    ENTER(NULL, 1);
    snprintf(version, length, "%s", driver);
    return 0;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length) {
    ENTER(NULL, 1);
    snprintf(version, length, "13.%s", driver);
    return 0;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *n) {
    ENTER(NULL, 1);
    *n = count;
    return 0;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
    if (index >= MAX_GPUS) return 2;
    ENTER(&gpus[index], 1);
    if (!gpus[index].present) return 2;
    *gpu = &gpus[index];
    return 0;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) {
    ENTER(NULL, 1);
    for (int i = 0; i < count; i++)
        if (gpus[i].present && !strcmp(gpus[i].uuid, uuid)) {
            *gpu = &gpus[i];
            return 0;
        }
    return 6; /* not found */
}

nvmlReturn_t nvmlDeviceGetIndex(Gpu *gpu, unsigned *index) {
    ENTER(gpu, 1);
    *index = gpu - gpus;
    return 0;
}

nvmlReturn_t nvmlDeviceGetName(Gpu *gpu, char *name, unsigned length) {
    ENTER(gpu, 1);
    snprintf(name, length, "%s", gpu->name);
    return 0;
}

nvmlReturn_t nvmlDeviceGetUUID(Gpu *gpu, char *uuid, unsigned length) {
    ENTER(gpu, 1);
    snprintf(uuid, length, "%s", gpu->uuid);
    return 0;
}

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} PciInfo;

nvmlReturn_t nvmlDeviceGetPciInfo_v3(Gpu *gpu, PciInfo *pci) {
    ENTER(gpu, 1);
    memset(pci, 0, sizeof *pci);
    sscanf(gpu->pci, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    snprintf(pci->bus_id, sizeof pci->bus_id, "%s", gpu->pci);
    return 0;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *mj) {
    ENTER(gpu, 1);
    *mj = energy_mj(gpu);
    return 0;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned *mw) {
    ENTER(gpu, 1);
    *mw = gpu->power_mw;
    return 0;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, unsigned *mw) {
    ENTER(gpu, 1);
    if (!gpu->limit_mw) return 3;
    *mw = gpu->limit_mw;
    return 0;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(Gpu *gpu, unsigned *min, unsigned *max) {
    ENTER(gpu, 1);
    if (!gpu->limit_mw) return 3;
    *min = gpu->limit_mw / 4;
    *max = gpu->limit_mw;
    return 0;
}

nvmlReturn_t nvmlDeviceGetMigMode(Gpu *gpu, unsigned *current, unsigned *pending) {
    ENTER(gpu, 1);
    *current = *pending = gpu->mig;
    return 0;
}

typedef struct {
    uint32_t field, scope;
    int64_t timestamp_us, latency_us;
    unsigned value_type;
    nvmlReturn_t code;
    union {
        double d;
        unsigned ui;
        unsigned long ul;
        unsigned long long ull;
        long long sll;
        int si;
        unsigned short us;
    } value;
} FieldValue;

nvmlReturn_t nvmlDeviceGetFieldValues(Gpu *gpu, int n, FieldValue *values) {
    ENTER(gpu, 1);
    for (int i = 0; i < n; i++) {
        char place[32];
        snprintf(place, sizeof place, "field%u", values[i].field);
        values[i].code = rule_for(gpu->faults, gpu->n_faults, place, 0);
        values[i].value.ull = 0;
        values[i].value_type = gpu->value_type;
        if (values[i].code) continue;
        if (values[i].field == 83) {
            values[i].value_type = 3;
            values[i].value.ull = energy_mj(gpu);
        } else if (values[i].field == 185 || values[i].field == 186) {
            if (gpu->value_type == 0) values[i].value.d = gpu->power_mw;
            else values[i].value.ui = gpu->power_mw;
        } else {
            values[i].code = 3;
        }
    }
    return 0;
}
#endif
