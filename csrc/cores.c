/* cores.c: how many threads the machine suggests, how many were asked for, and a core's cache. See fnn.h. */

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "fnn.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0601
#endif
#include <windows.h>
#else
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

static inline int smaller(int a, int b) { return a < b ? a : b; }

#if defined(__linux__)
#define MOST_CPUS 8192
#define LINE_BYTES 4096

__attribute__((format(printf, 3, 4))) static bool read_text(char *text, size_t size, const char *format, ...)
{
    char path[LINE_BYTES];
    va_list parts;
    va_start(parts, format);
    int length = vsnprintf(path, sizeof path, format, parts);
    va_end(parts);
    FILE *file = length < (int)sizeof path ? fopen(path, "r") : NULL;
    if (!file)
        return false;
    size_t bytes = fread(text, 1, size - 1, file);
    fclose(file);
    text[bytes] = 0;
    return bytes > 0;
}

/* Is cpu in a list such as 0-3,8 ? */
static bool in_list(const char *list, int cpu)
{
    for (;;) {
        char *end;
        long first = strtol(list, &end, 10), last = first;
        if (end == list)
            return false;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        if (first <= cpu && cpu <= last)
            return true;
        if (*end != ',')
            return false;
        list = end + 1;
    }
}

/* How fast a CPU is, in units that only serve to compare: hybrid Intel chips list their fast ones, arm64 kernels give
   a capacity, and elsewhere there may be the highest clock. 0 where nothing is told, as in most virtual machines. */
static long speed_of_cpu(const char *root, int cpu)
{
    char text[LINE_BYTES];
    if (read_text(text, sizeof text, "%s/sys/devices/cpu_core/cpus", root))
        return in_list(text, cpu);
    if (read_text(text, sizeof text, "%s/sys/devices/system/cpu/cpu%d/cpu_capacity", root, cpu) ||
        read_text(text, sizeof text, "%s/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", root, cpu))
        return strtol(text, NULL, 10);
    return 0;
}

/* The lowest CPU of the same core. (Not core_id: it begins anew in each cluster of some arm64 boards.) */
static int core_of_cpu(const char *root, int cpu)
{
    char text[LINE_BYTES];
    if (!read_text(text, sizeof text, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, cpu))
        return cpu;
    int core = (int)strtol(text, NULL, 10);
    return core >= 0 && core <= cpu ? core : cpu;
}

/* Physical cores among the allowed CPUs that are of the fastest kind there: within a fifth of the best, since the
   favoured cores of one kind differ by some per cent. */
static int fast_cores(const char *root, const unsigned char *allowed, int cpus)
{
    static const unsigned char fast = 2, counted = 4;
    unsigned char mark[MOST_CPUS] = {0};
    long best = 0;
    for (int cpu = 0; cpu < cpus; cpu++) {
        long speed = allowed[cpu] ? speed_of_cpu(root, cpu) : 0;
        best = speed > best ? speed : best;
    }
    for (int cpu = 0; cpu < cpus; cpu++)
        if (allowed[cpu] && speed_of_cpu(root, cpu) >= best - best / 5)
            mark[cpu] |= fast;
    int cores = 0;
    for (int cpu = 0; cpu < cpus; cpu++) {
        int core = mark[cpu] & fast ? core_of_cpu(root, cpu) : -1;
        if (core < 0 || mark[core] & counted)
            continue;
        mark[core] |= counted;
        cores++;
    }
    return cores;
}

/* The CPUs of a quota, rounded up; none is INT32_MAX */
static int quota_cpus(double quota, double period)
{
    if (!(quota > 0) || !(period > 0) || quota / period > INT32_MAX - 1)
        return INT32_MAX;
    int cpus = (int)(quota / period);
    return cpus + (cpus < quota / period);
}

/* The smallest quota of a group and of those around it. A container often sees its path but not the folders on it,
   which is why the walk begins below and ends at the mount itself. */
static int group_quota(const char *root, const char *mount, const char *group)
{
    char path[LINE_BYTES], text[256], period[256];
    int cpus = INT32_MAX;
    if (strlen(group) >= sizeof path)
        return cpus;
    strcpy(path, group);
    for (;;) {
        double quota = 0, per = 0;
        if (read_text(text, sizeof text, "%s/sys/fs/cgroup/%s%s/cpu.max", root, mount, path)) {
            if (sscanf(text, "%lf %lf", &quota, &per) == 2) /* "max 100000" where there is none */
                cpus = smaller(cpus, quota_cpus(quota, per));
        } else if (read_text(text, sizeof text, "%s/sys/fs/cgroup/%s%s/cpu.cfs_quota_us", root, mount, path) &&
                   read_text(period, sizeof period, "%s/sys/fs/cgroup/%s%s/cpu.cfs_period_us", root, mount, path)) {
            cpus = smaller(cpus, quota_cpus(strtod(text, NULL), strtod(period, NULL)));
        }
        char *slash = strrchr(path, '/');
        if (!slash)
            return cpus;
        *slash = 0;
    }
}

/* Lines are number:controllers:group; version 2 has one, 0::group, and version 1 one with cpu among its controllers. */
static int cgroup_cpus(const char *root)
{
    char text[LINE_BYTES];
    int cpus = INT32_MAX;
    if (!read_text(text, sizeof text, "%s/proc/self/cgroup", root))
        return cpus;
    for (char *line = text, *next; line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        controllers++;
        if (!*controllers) {
            cpus = smaller(cpus, group_quota(root, "", group));
        } else if (!strcmp(controllers, "cpu") || !strncmp(controllers, "cpu,", 4) || strstr(controllers, ",cpu,") ||
                   (strlen(controllers) > 4 && !strcmp(controllers + strlen(controllers) - 4, ",cpu"))) {
            cpus = smaller(cpus, group_quota(root, controllers, group));
            cpus = smaller(cpus, group_quota(root, "cpu", group));
        }
    }
    return cpus;
}

/* What a Linux whose /proc and /sys stand under root suggests to a process that may run on CPU i where allowed[i].
   Not static, so that the self-tests can show it machines that they do not run on. */
int fnn_linux_threads(const char *root, const unsigned char *allowed, int cpus)
{
    return smaller(fast_cores(root, allowed, cpus), cgroup_cpus(root));
}

static int machine_threads(void)
{
    static const int bits = 8 * sizeof(unsigned long);
    unsigned long mask[MOST_CPUS / (8 * sizeof(unsigned long))] = {0};
    if (sched_getaffinity(0, sizeof mask, (cpu_set_t *)mask))
        return (int)sysconf(_SC_NPROCESSORS_ONLN);
    unsigned char allowed[MOST_CPUS];
    for (int cpu = 0; cpu < MOST_CPUS; cpu++)
        allowed[cpu] = mask[cpu / bits] >> cpu % bits & 1;
    return fnn_linux_threads("", allowed, MOST_CPUS);
}

#elif defined(__APPLE__)

static int machine_threads(void)
{
    int cores = 0;
    size_t size = sizeof cores;
    if (sysctlbyname("hw.perflevel0.physicalcpu", &cores, &size, NULL, 0) &&
        sysctlbyname("hw.physicalcpu", &cores, &size, NULL, 0))
        return 1;
    return cores;
}

#elif defined(_WIN32)

/* The process's CPUs in a group. A process that lives in several groups has no mask: then all of them count. */
static KAFFINITY allowed_in_group(WORD group)
{
    GROUP_AFFINITY here;
    DWORD_PTR process, machine;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine) || !process)
        return ~(KAFFINITY)0;
    if (!GetThreadGroupAffinity(GetCurrentThread(), &here))
        return ~(KAFFINITY)0;
    return here.Group == group ? (KAFFINITY)process : 0;
}

static int machine_threads(void)
{
    DWORD size = 0;
    GetLogicalProcessorInformationEx(RelationProcessorCore, NULL, &size);
    char *table = malloc(size ? size : 1);
    int cores = 0, best = -1;
    if (table && GetLogicalProcessorInformationEx(RelationProcessorCore, (void *)table, &size)) {
        for (DWORD at = 0; at < size;) {
            SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *core = (void *)(table + at);
            at += core->Size;
            const GROUP_AFFINITY *where = &core->Processor.GroupMask[0];
            int kind = core->Processor.EfficiencyClass; /* higher is faster */
            if (!(where->Mask & allowed_in_group(where->Group)) || kind < best)
                continue;
            cores = kind > best ? 1 : cores + 1;
            best = kind;
        }
    }
    free(table);
    return cores;
}

#else
static int machine_threads(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
#endif

/* A whole number from 1 on, alone or at the head of a comma list (OMP_NUM_THREADS has one entry a level); else 0 */
static int threads_from_environment(const char *name)
{
    const char *text = getenv(name);
    if (!text)
        return 0;
    char *end;
    long threads = strtol(text, &end, 10);
    end += strspn(end, " \t");
    if (end == text || (*end && *end != ',') || threads < 1)
        return 0;
    return threads > FNN_MOST_THREADS ? FNN_MOST_THREADS : (int)threads;
}

int fnn_default_threads(void)
{
    static atomic_int known; /* two threads that both come first find the same */
    int threads = atomic_load_explicit(&known, memory_order_relaxed);
    if (threads)
        return threads;
    threads = threads_from_environment("FASTNN_NUM_THREADS");
    if (!threads)
        threads = threads_from_environment("OMP_NUM_THREADS");
    if (!threads)
        threads = smaller(machine_threads(), FNN_MOST_THREADS);
    if (threads < 1)
        threads = 1;
    atomic_store_explicit(&known, threads, memory_order_relaxed);
    return threads;
}

ptrdiff_t fnn_core_cache(void)
{
    static atomic_long known; /* the system asks the processor, which a virtual machine answers slowly */
    long bytes = atomic_load_explicit(&known, memory_order_relaxed);
    if (bytes)
        return bytes;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (bytes <= 0)
        bytes = 1 << 20;
    atomic_store_explicit(&known, bytes, memory_order_relaxed);
    return bytes;
}

static atomic_int chosen_threads; /* 0: the default */

int fnn_get_threads(void)
{
    int threads = atomic_load_explicit(&chosen_threads, memory_order_relaxed);
    return threads ? threads : fnn_default_threads();
}

int fnn_set_threads(int count)
{
    count = smaller(count > 0 ? count : 0, FNN_MOST_THREADS);
    int former = atomic_exchange_explicit(&chosen_threads, count, memory_order_relaxed);
    return former ? former : fnn_default_threads();
}
