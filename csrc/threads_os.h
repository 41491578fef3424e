/* threads_os.h: what threads.c asks of the system and of the processor, in small functions: POSIX, Windows, and what a
   spinning or a newly made thread needs to know of the CPU. Included by threads.c alone. */
#ifndef FNN_THREADS_OS_H
#define FNN_THREADS_OS_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define STACK_BYTES (2u << 20) /* the same everywhere: musl would give 128 KiB, macOS 512 */

/* ------------------------------------------------------------------------------------------ what systems differ in */

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0601
#endif
#include <malloc.h>
#include <windows.h>

typedef struct gate {
    SRWLOCK lock;
    CONDITION_VARIABLE bell;
} gate;

static inline void gate_init(gate *g)
{
    InitializeSRWLock(&g->lock);
    InitializeConditionVariable(&g->bell);
}
static inline void gate_lock(gate *g) { AcquireSRWLockExclusive(&g->lock); }
static inline void gate_unlock(gate *g) { ReleaseSRWLockExclusive(&g->lock); }
static inline void gate_sleep(gate *g) { SleepConditionVariableSRW(&g->bell, &g->lock, INFINITE, 0); }
static inline void gate_wake(gate *g) { WakeConditionVariable(&g->bell); }

static inline uint64_t clock_ns(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (uint64_t)((double)ticks.QuadPart * 1e9 / (double)per_second.QuadPart);
}

static inline void give_way(void) { SwitchToThread(); }

typedef DWORD thread_result;
#define THREAD_CALL WINAPI

static inline bool thread_start(thread_result(THREAD_CALL *entry)(void *), void *argument)
{
    HANDLE thread = CreateThread(NULL, STACK_BYTES, entry, argument, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}

static inline bool at_fork(void (*in_child)(void))
{ /* Windows does not fork */
    (void)in_child;
    return true;
}

typedef DWORD thread_slot; /* a pointer of each thread, freed when the thread ends */
static INIT_ONCE slot_once = INIT_ONCE_STATIC_INIT;
static thread_slot slot;
static bool slot_made;

static inline void *aligned_take(size_t bytes) { return _aligned_malloc(bytes, 64); }
static inline void aligned_free(void *memory) { _aligned_free(memory); }
static void WINAPI slot_end(void *memory) { aligned_free(memory); }
static BOOL CALLBACK slot_make(INIT_ONCE *once, void *unused, void **unused_too)
{
    (void)once, (void)unused, (void)unused_too;
    slot = FlsAlloc(slot_end);
    slot_made = slot != FLS_OUT_OF_INDEXES;
    return TRUE;
}
static inline bool slot_ready(void) { return InitOnceExecuteOnce(&slot_once, slot_make, NULL, NULL) && slot_made; }
static inline void *slot_get(void) { return FlsGetValue(slot); }
static inline bool slot_set(void *memory) { return FlsSetValue(slot, memory); }

#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t bell;
} gate;

/* By assignment, since a forked child makes new gates where a lost thread may have left a locked one. */
static inline void gate_init(gate *g)
{
    *g = (gate){.lock = PTHREAD_MUTEX_INITIALIZER, .bell = PTHREAD_COND_INITIALIZER};
}
static inline void gate_lock(gate *g) { pthread_mutex_lock(&g->lock); }
static inline void gate_unlock(gate *g) { pthread_mutex_unlock(&g->lock); }
static inline void gate_sleep(gate *g) { pthread_cond_wait(&g->bell, &g->lock); }
static inline void gate_wake(gate *g) { pthread_cond_signal(&g->bell); }

static inline uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void give_way(void) { sched_yield(); }

typedef void *thread_result;
#define THREAD_CALL

/* Signals are for threads that know of them: at a worker arrive only those of its own faults, and the profiler's. */
static inline void block_signals(sigset_t *former)
{
    static const int let_through[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof let_through / sizeof *let_through; i++)
        sigdelset(&blocked, let_through[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, former);
}

static inline bool thread_start(thread_result(THREAD_CALL *entry)(void *), void *argument)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes))
        return false;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED); /* they end with the process, unjoined */
    sigset_t former;
    block_signals(&former); /* a new thread inherits its maker's mask */
    pthread_t thread;
    bool started = pthread_create(&thread, &attributes, entry, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static inline bool at_fork(void (*in_child)(void)) { return pthread_atfork(NULL, NULL, in_child) == 0; }

static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static pthread_key_t slot; /* a pointer of each thread, freed when the thread ends */
static bool slot_made;

static inline void *aligned_take(size_t bytes)
{
    void *memory;
    return posix_memalign(&memory, 64, bytes) ? NULL : memory;
}
static inline void aligned_free(void *memory) { free(memory); }
static void slot_make(void) { slot_made = pthread_key_create(&slot, free) == 0; }
static inline bool slot_ready(void) { return pthread_once(&slot_once, slot_make) == 0 && slot_made; }
static inline void *slot_get(void) { return pthread_getspecific(slot); }
static inline bool slot_set(void *memory) { return pthread_setspecific(slot, memory) == 0; }
#endif

/* Which CPU this thread runs on, -1 where that is not told; and a thread that shall run on any other that it may run on:
   it is kept off one, until it has come */
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
static inline int this_cpu(void) { return sched_getcpu(); }

struct elsewhere {
    pid_t thread;
    bool narrowed;
    cpu_set_t allowed;
};
static inline void elsewhere_init(struct elsewhere *e) { e->thread = (pid_t)syscall(SYS_gettid); }
static inline void keep_off(struct elsewhere *e, int cpu)
{
    cpu_set_t others;
    if (!e->thread || cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(e->thread, sizeof e->allowed, &e->allowed))
        return;
    others = e->allowed;
    CPU_CLR(cpu, &others);
    e->narrowed = CPU_COUNT(&others) > 0 && !sched_setaffinity(e->thread, sizeof others, &others);
}
static inline void came_elsewhere(struct elsewhere *e)
{
    if (e->narrowed)
        sched_setaffinity(0, sizeof e->allowed, &e->allowed);
    e->narrowed = false;
}
#else
static inline int this_cpu(void) { return -1; }
struct elsewhere {
    int unused;
};
static inline void elsewhere_init(struct elsewhere *e) { (void)e; }
static inline void keep_off(struct elsewhere *e, int cpu) { (void)e, (void)cpu; }
static inline void came_elsewhere(struct elsewhere *e) { (void)e; }
#endif

/* --------------------------------------------------------------------------------------- what processors differ in */

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#define MXCSR_FLAGS 0x3fu /* sticky exceptions: a history, not a mode */
static inline void relax(void) { _mm_pause(); }
static inline uint64_t float_mode(void) { return _mm_getcsr() & ~MXCSR_FLAGS; }
static inline void set_float_mode(uint64_t mode) { _mm_setcsr((uint32_t)mode); }
#elif defined(__aarch64__)
static inline void relax(void) { __asm__ volatile("isb" ::: "memory"); } /* `yield` does nothing on most cores */
static inline uint64_t float_mode(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void set_float_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode)); }
#else
static inline void relax(void) {}
static inline uint64_t float_mode(void) { return 0; }
static inline void set_float_mode(uint64_t mode) { (void)mode; }
#endif

#endif
