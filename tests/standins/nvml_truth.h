/* The energy that a pretended GPU truly draws, and what each kind of reading shows of it.
 *
 * Power is piecewise constant, so every figure is closed-form and a test can compute the same.
 * Times are seconds of the stand-in's clock: CLOCK_MONOTONIC, or what fake_nvml_set_clock said.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    int n;
    double *from_s, *power_w, *energy_j; /* energy_j: drawn from the first moment to from_s */
    double repeats_s; /* the profile begins again after so long; 0: never */
} Profile;

static double virtual_s;
static int is_virtual;
static double epoch_s; /* what to add for seconds since 1970 */

static double real_s(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double now_s(void) { return is_virtual ? virtual_s : real_s(CLOCK_MONOTONIC); }

/* Microseconds since 1970 at a moment of the clock; steps of the system's clock show only here. */
static unsigned long long stamp_us(double t_s) {
    return (unsigned long long)llround((t_s + epoch_s) * 1e6);
}

/* The last multiple of period_s (shifted by phase_s) up to a moment; the moment itself for 0. */
static double last_tick_s(double t_s, double period_s, double phase_s) {
    if (period_s <= 0) return t_s;
    /* A billionth of a period late, so that a clock set to a tick is not rounded below it. */
    return phase_s + period_s * floor((t_s - phase_s) / period_s + 1e-9);
}

static void drop_profile(Profile *profile) {
    free(profile->from_s);
    free(profile->power_w);
    free(profile->energy_j);
    memset(profile, 0, sizeof *profile);
}

/* "0:100,10.25:700": 100 W from 0 s on, 700 W from 10.25 s on; nothing before the first moment. */
static int read_profile(Profile *profile, const char *text) {
    int room = 1;
    for (const char *c = text; *c; c++) room += *c == ',';
    drop_profile(profile);
    profile->from_s = calloc(room, sizeof(double));
    profile->power_w = calloc(room, sizeof(double));
    profile->energy_j = calloc(room, sizeof(double));
    for (int i = 0; i < room; i++) {
        char *end;
        profile->from_s[i] = strtod(text, &end);
        if (end == text || *end != ':') return 0;
        text = end + 1;
        profile->power_w[i] = strtod(text, &end);
        if (end == text || (*end && *end != ',')) return 0;
        text = end + 1;
        if (i > 0) {
            double lasted_s = profile->from_s[i] - profile->from_s[i - 1];
            if (lasted_s < 0) return 0;
            profile->energy_j[i] = profile->energy_j[i - 1] + profile->power_w[i - 1] * lasted_s;
        }
    }
    profile->n = room;
    return 1;
}

#define MOST_PARTS 65536 /* of a profile that grows while others read it */

static void let_grow(Profile *profile) {
    drop_profile(profile);
    profile->from_s = calloc(MOST_PARTS, sizeof(double));
    profile->power_w = calloc(MOST_PARTS, sizeof(double));
    profile->energy_j = calloc(MOST_PARTS, sizeof(double));
}

/* From a moment on, which is not before the last part's, the power is another one. */
static void extend_profile(Profile *profile, double from_s, double power_w) {
    const int n = profile->n;
    if (n == MOST_PARTS) abort();
    profile->from_s[n] = from_s;
    profile->power_w[n] = power_w;
    if (n > 0) {
        double lasted_s = from_s - profile->from_s[n - 1];
        profile->energy_j[n] = profile->energy_j[n - 1] + profile->power_w[n - 1] * lasted_s;
    }
    __sync_synchronize(); /* whoever reads meanwhile sees the part when it is whole */
    profile->n = n + 1;
}

/* A step of work on a GPU whose clocks run at a share f of their most: it draws idle_w + full_w f^3
 * and takes waits_s + computes_s / f. Power goes with the cube of the clock, since voltage falls
 * with it; what waits for memory or for the host takes as long as ever. */
typedef struct {
    double idle_w, full_w, waits_s, computes_s;
} Work;

static int read_work(Work *work, const char *text) {
    return sscanf(text, "%lf:%lf:%lf:%lf", &work->idle_w, &work->full_w, &work->waits_s,
                  &work->computes_s) == 4;
}

/* The clocks' share that a power limit leaves, 0.05 to 1. */
static double clocks(const Work *work, double limit_w) {
    double f = cbrt(fmax(0, limit_w - work->idle_w) / work->full_w);
    return fmin(1, fmax(0.05, f));
}

/* The last part that has begun, -1 before the first. */
static int part_at(const Profile *profile, double t_s) {
    int low = -1, high = profile->n - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (profile->from_s[middle] <= t_s) low = middle;
        else high = middle - 1;
    }
    return low;
}

static double once_j(const Profile *profile, double t_s) {
    int i = part_at(profile, t_s);
    return i < 0 ? 0 : profile->energy_j[i] + profile->power_w[i] * (t_s - profile->from_s[i]);
}

/* Energy in J from the profile's first moment to another. */
static double profile_j(const Profile *profile, double t_s) {
    if (!profile->n) return 0;
    double first_s = profile->from_s[0], every_s = profile->repeats_s;
    if (every_s <= 0 || t_s <= first_s) return once_j(profile, t_s);
    double turns = floor((t_s - first_s) / every_s);
    return turns * once_j(profile, first_s + every_s) + once_j(profile, t_s - turns * every_s);
}

/* Power in W at a moment. */
static double profile_w(const Profile *profile, double t_s) {
    if (!profile->n) return 0;
    double first_s = profile->from_s[0], every_s = profile->repeats_s;
    if (every_s > 0 && t_s > first_s) t_s -= every_s * floor((t_s - first_s) / every_s);
    int i = part_at(profile, t_s);
    return i < 0 ? 0 : profile->power_w[i];
}
