/* test_cores.c: how many threads cores.c finds worth having, on machines that are only described: folders in the form of
   Linux's /sys and /proc. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "check.h"
#include "fnn.h"

#ifdef __linux__
#include <string.h>
#include <sys/stat.h>

int fnn_linux_threads(const char *root, const unsigned char *allowed, int cpus); /* cores.c's own */

enum { CPUS = 8 };
static char root[] = "/tmp/fastnn-test-XXXXXX";

__attribute__((format(printf, 2, 3))) static void write_file(const char *text, const char *format, ...)
{
    char path[512];
    va_list parts;
    int at = snprintf(path, sizeof path, "%s/", root);
    va_start(parts, format);
    vsnprintf(path + at, sizeof path - (size_t)at, format, parts);
    va_end(parts);
    for (char *slash = path + at; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    CHECK(file != NULL, "cannot write %s", path);
    if (file) {
        fputs(text, file);
        fclose(file);
    }
}

static void new_machine(void)
{
    char command[600];
    strcpy(strrchr(root, '-'), "-XXXXXX");
    CHECK(mkdtemp(root) != NULL, "no temporary folder");
    snprintf(command, sizeof command, "mkdir -p %s/sys", root);
    CHECK(system(command) == 0, "%s", command);
}

static void end_machine(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK(system(command) == 0, "%s", command);
}

static void expect(int threads, const unsigned char allowed[CPUS], const char *machine)
{
    int found = fnn_linux_threads(root, allowed, CPUS);
    CHECK(found == threads, "%s: %d threads, not %d", machine, found, threads);
}

static const unsigned char all[CPUS] = {1, 1, 1, 1, 1, 1, 1, 1}, four[CPUS] = {1, 1, 1, 1, 0, 0, 0, 0},
                           some[CPUS] = {0, 1, 0, 0, 0, 1, 1, 0}, last[CPUS] = {0, 0, 0, 0, 0, 0, 1, 1};

static void machines(void)
{
    char text[64];

    new_machine();
    expect(8, all, "nothing told");
    expect(3, some, "nothing told, three allowed");
    end_machine();

    new_machine(); /* four cores of two threads, core = cpu % 4 */
    for (int cpu = 0; cpu < CPUS; cpu++) {
        snprintf(text, sizeof text, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        write_file(text, "sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    }
    expect(4, all, "two threads a core");
    expect(4, four, "two threads a core, one of each allowed");
    expect(2, some, "two threads a core, 1 and 5 are one core"); /* 1, 5 and 6 */
    write_file("0::/here/within\n", "proc/self/cgroup");
    write_file("max 100000\n", "sys/fs/cgroup/here/within/cpu.max");
    expect(4, all, "a group without a quota");
    write_file("250000 100000\n", "sys/fs/cgroup/here/cpu.max");
    expect(3, all, "two CPUs and a half in the group around");
    write_file("100000 100000\n", "sys/fs/cgroup/cpu.max");
    expect(1, all, "one CPU at the mount");
    write_file("20000 100000\n", "sys/fs/cgroup/here/within/cpu.max");
    expect(1, all, "a fifth of a CPU");
    end_machine();

    new_machine(); /* version 1, whose path the container does not see */
    write_file("11:cpuset:/\n4:cpu,cpuacct:/docker/0123\n1:name=systemd:/\n", "proc/self/cgroup");
    write_file("150000\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us");
    write_file("50000\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us");
    expect(3, all, "version 1");
    write_file("-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us");
    expect(8, all, "version 1 without a quota");
    write_file("40000\n", "sys/fs/cgroup/cpu/docker/0123/cpu.cfs_quota_us");
    write_file("20000\n", "sys/fs/cgroup/cpu/docker/0123/cpu.cfs_period_us");
    expect(2, all, "version 1 under its other name");
    end_machine();

    new_machine(); /* hybrid Intel: 0-3 are two fast cores, 4-7 slow ones */
    for (int cpu = 0; cpu < CPUS; cpu++) {
        snprintf(text, sizeof text, cpu < 4 ? "%d-%d\n" : "%d\n", cpu < 4 ? cpu / 2 * 2 : cpu, cpu / 2 * 2 + 1);
        write_file(text, "sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    }
    write_file("0-1,2-3\n", "sys/devices/cpu_core/cpus");
    expect(2, all, "hybrid Intel");
    expect(2, last, "hybrid Intel, slow cores alone allowed");
    end_machine();

    new_machine(); /* big.LITTLE: 0-3 slow, 4-6 fast, 7 a little faster */
    for (int cpu = 0; cpu < CPUS; cpu++) {
        snprintf(text, sizeof text, "%d\n", cpu < 4 ? 400 : cpu < 7 ? 900 : 1024);
        write_file(text, "sys/devices/system/cpu/cpu%d/cpu_capacity", cpu);
    }
    expect(4, all, "big.LITTLE");
    expect(4, four, "big.LITTLE, the little ones alone allowed");
    expect(2, some, "big.LITTLE, some of both allowed"); /* 1 slow, 5 and 6 fast */
    end_machine();

    new_machine(); /* two kinds by their clocks */
    for (int cpu = 0; cpu < CPUS; cpu++) {
        snprintf(text, sizeof text, "%d\n", cpu < 6 ? 5100000 - 50000 * cpu : 3300000);
        write_file(text, "sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", cpu);
    }
    expect(6, all, "two kinds of clock");
    end_machine();
}

int main(void)
{
    machines();
    CHECK(fnn_core_cache() >= 16 << 10 && fnn_core_cache() == fnn_core_cache(), "a core has %td bytes of cache",
          fnn_core_cache());
    return check_report("cores");
}
#else
int main(void) { return check_skip("cores", "only Linux describes its machine in files"); }
#endif
