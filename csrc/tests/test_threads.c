/* test_threads.c: the pool under every use that must not break it, the scratch, and the count of threads. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "check.h"
#include "fnn.h"

#include <stdatomic.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------- every index exactly once */

enum { MOST = 1000, MOST_THREADS = 16 };

/* Long enough for the workers to come before the caller has done all of a job itself */
static void linger(void)
{
    for (volatile int i = 0; i < 1000; i++)
        ;
}

struct tally {
    atomic_int done[MOST + 1];
    atomic_int by_worker[MOST_THREADS];
    atomic_int bad_worker;
    int threads, slow;
};

static void count_index(void *context, int64_t index, int worker)
{
    struct tally *t = context;
    if (t->slow)
        linger();
    if (worker < 0 || worker >= t->threads)
        atomic_fetch_add(&t->bad_worker, 1);
    else
        atomic_fetch_add(&t->by_worker[worker], 1);
    atomic_fetch_add(&t->done[index >= 0 && index < MOST ? index : MOST], 1);
}

static void run_job(int64_t count, int threads, int slow, const char *where)
{
    static _Thread_local struct tally t;
    memset(&t, 0, sizeof t);
    t.threads = threads;
    t.slow = slow;
    fnn_parallel(count_index, &t, count, threads);
    int64_t wrong = 0;
    for (int64_t i = 0; i <= MOST; i++)
        wrong += t.done[i] != (i < count);
    CHECK(!wrong, "%s: %d of %d indices on %d threads not done once", where, (int)wrong, (int)count, threads);
    CHECK(!t.bad_worker, "%s: %d tasks with a wrong worker number", where, (int)t.bad_worker);
}

static void run_tally(int64_t count, int threads, const char *where) { run_job(count, threads, 0, where); }

static void every_index_once(const char *where)
{
    static const int counts[] = {0, 1, 2, 3, 7, 1000}, threads[] = {1, 2, 3, 7, 2, 1, 16, 3};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (int again = 0; again < 20; again++)
                run_tally(counts[c], threads[t], where);
}

static void no_task(void *context, int64_t index, int worker)
{
    (void)index, (void)worker;
    atomic_fetch_add((atomic_int *)context, 1);
}

static void odd_arguments(void)
{
    atomic_int done = 0;
    fnn_parallel(no_task, &done, -5, 3);
    CHECK(done == 0, "%d tasks of -5", (int)done);
    fnn_parallel(no_task, &done, 6, -2);
    CHECK(done == 6, "%d tasks of 6 on -2 threads", (int)done);
    fnn_parallel(no_task, &done, 10, 0);
    CHECK(done == 16, "%d tasks of 16 on 0 threads", (int)done);
}

/* One job must be over, its memory and all, before the next begins: plain memory, so that a race shows */
static void add_plainly(void *context, int64_t index, int worker)
{
    long *cells = context;
    cells[8 * index]++;
    (void)worker;
}

static void many_tiny_jobs(void)
{
    enum { JOBS = 100000 };
    long cells[8 * 3] = {0};
    for (int job = 0; job < JOBS; job++)
        fnn_parallel(add_plainly, cells, 3, 2 + job % 3);
    CHECK(cells[0] == JOBS && cells[8] == JOBS && cells[16] == JOBS, "%ld %ld %ld of %d", cells[0], cells[8], cells[16],
          JOBS);
}

/* ---------------------------------------------------------------------------------------------------- nested calls */

struct nest {
    atomic_int inner, elsewhere, not_zero;
};

static _Thread_local int thread_mark;

static void inner_task(void *context, int64_t index, int worker)
{
    struct nest *n = context;
    (void)index;
    linger();
    atomic_fetch_add(&n->inner, 1);
    if (!thread_mark) /* it must be the thread that called */
        atomic_fetch_add(&n->elsewhere, 1);
    if (worker)
        atomic_fetch_add(&n->not_zero, 1);
}

static void outer_task(void *context, int64_t index, int worker)
{
    (void)index, (void)worker;
    thread_mark = 1;
    fnn_parallel(inner_task, context, 10, 4);
    thread_mark = 0;
}

static void nested_calls(void)
{
    static const int threads[] = {1, 3};
    for (int t = 0; t < 2; t++)
        for (int again = 0; again < 50; again++) {
            struct nest n = {0};
            fnn_parallel(outer_task, &n, 20, threads[t]);
            CHECK(n.inner == 200, "%d inner tasks of 200", (int)n.inner);
            CHECK(!n.elsewhere, "%d inner tasks ran on another thread", (int)n.elsewhere);
            CHECK(!n.not_zero, "%d inner tasks had another worker's number", (int)n.not_zero);
        }
}

/* ---- tasks that go on from what lower ones made */

enum { STAGES = 4, WIDTH = 12 };

struct stages {
    int done[STAGES * WIDTH];
    int64_t value[WIDTH]; /* in another order of the stages they are others */
};

static void go_on(void *context, int64_t index, int worker)
{
    struct stages *s = context;
    const int64_t stage = index / WIDTH, place = index % WIDTH;
    (void)worker;
    if (stage)
        fnn_await(&s->done[index - WIDTH]);
    s->value[place] = s->value[place] * 3 + stage;
    fnn_tell(&s->done[index]);
}

static void stages_in_order(void)
{
    static const int threads[] = {1, 2, 3, 4, 7};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
        for (int again = 0; again < 200; again++) {
            struct stages s = {.done = {0}};
            int wrong = 0;
            fnn_parallel(go_on, &s, STAGES * WIDTH, threads[t]);
            for (int i = 0; i < WIDTH; i++)
                wrong += s.value[i] != ((0 * 3 + 1) * 3 + 2) * 3 + 3;
            CHECK(!wrong, "%d of %d went through their stages in another order, %d threads", wrong, WIDTH, threads[t]);
        }
}

/* ------------------------------------------------------------------------------------ what only POSIX can be asked */

#ifndef _WIN32
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void sleep_us(long us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

/* Do several threads work at once? Each of as many tasks waits until all others have begun. */
struct meeting {
    atomic_int arrived, met;
    int threads;
};

static void meet(void *context, int64_t index, int worker)
{
    struct meeting *m = context;
    (void)index, (void)worker;
    atomic_fetch_add(&m->arrived, 1);
    for (int i = 0; i < 100000 && atomic_load(&m->arrived) < m->threads; i++)
        sleep_us(100);
    atomic_fetch_add(&m->met, atomic_load(&m->arrived) >= m->threads);
}

static void threads_meet(int threads, const char *where)
{
    struct meeting m = {.threads = threads};
    fnn_parallel(meet, &m, threads, threads);
    CHECK(m.met == threads, "%s: %d tasks on as many threads did not run at once", where, threads);
}

/* Workers that have fallen asleep come again, and so does a caller whose worker was late */
static void pause_task(void *context, int64_t index, int worker)
{
    (void)index;
    if (worker)
        sleep_us(2000);
    atomic_fetch_add((atomic_int *)context, 1);
}

static void sleepers_wake(void)
{
    for (int again = 0; again < 20; again++) {
        atomic_int done = 0;
        sleep_us(1000);
        threads_meet(2, "after a sleep");
        fnn_parallel(pause_task, &done, 8, 4);
        CHECK(done == 8, "%d of 8 tasks", (int)done);
    }
}

static void *call_many(void *argument)
{
    for (int again = 0; again < 300; again++)
        run_job(100 + again % 3, 2 + again % 4, 1, argument);
    return NULL;
}

static void two_callers(void)
{
    pthread_t other[3];
    for (int i = 0; i < 3; i++)
        CHECK(!pthread_create(&other[i], NULL, call_many, "another caller"), "no thread");
    call_many("the first caller");
    for (int i = 0; i < 3; i++)
        pthread_join(other[i], NULL);
}

/* While a caller computes alone, since the pool was another's, the pool leaves him a core. */
struct scene {
    atomic_int pool_taken, other_began, go_on;
};

static void wait_for(atomic_int *flag)
{
    for (int i = 0; i < 100000 && !atomic_load(flag); i++)
        sleep_us(100);
}

static void hold_the_pool(void *context, int64_t index, int worker)
{
    struct scene *s = context;
    (void)index, (void)worker;
    atomic_store(&s->pool_taken, 1);
    wait_for(&s->other_began);
}

static void stay_alone(void *context, int64_t index, int worker)
{
    struct scene *s = context;
    (void)index;
    CHECK(worker == 0, "who computes alone is worker %d", worker);
    atomic_store(&s->other_began, 1);
    wait_for(&s->go_on);
}

static void *call_beside(void *context)
{
    struct scene *s = context;
    wait_for(&s->pool_taken);
    fnn_parallel(stay_alone, s, 2, 2);
    return NULL;
}

static int tasks_of_worker(int worker, int threads)
{
    static struct tally t;
    memset(&t, 0, sizeof t);
    t.threads = threads;
    t.slow = 1;
    fnn_parallel(count_index, &t, MOST, threads);
    return t.by_worker[worker];
}

static void a_core_for_who_is_alone(void)
{
    struct scene s = {0};
    pthread_t other;
    CHECK(!pthread_create(&other, NULL, call_beside, &s), "no thread");
    fnn_parallel(hold_the_pool, &s, 2, 2);
    for (int again = 0; again < 5; again++) {
        CHECK(tasks_of_worker(1, 2) == 0, "the second of two cores was another caller's");
        CHECK(tasks_of_worker(2, 3) == 0, "the third of three cores was another caller's");
    }
    atomic_store(&s.go_on, 1);
    pthread_join(other, NULL);
    int came = 0;
    for (int again = 0; again < 1000 && !came; again++) {
        sleep_us(1000);
        came = tasks_of_worker(1, 2) > 0;
    }
    CHECK(came, "nobody came, though the other caller has gone");
}

/* ---- fork */

/* What a child finds; its checks are told by its status, and a child that hangs is ended by its alarm. */
static int child_status(void (*test)(const char *), const char *where)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        alarm(60);
        test(where);
        fflush(NULL);
        _exit(atomic_load(&check_failures) ? 1 : 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

/* All threads have met when it ends: AddressSanitizer allocates while a thread starts, under a lock that a child of a fork
   at that moment would find taken for ever. */
static void compute(const char *where)
{
    run_tally(1000, 3, where);
    run_tally(1000, 5, where);
    threads_meet(2, where);
    threads_meet(5, where);
}

static void compute_and_fork(const char *where)
{
    compute(where);
    int status = child_status(compute, "a grandchild");
    CHECK(status == 0, "a grandchild ended with %d", status);
}

static void fork_after_use(void)
{
    compute("the parent");
    int status = child_status(compute_and_fork, "a child");
    CHECK(status == 0, "a child ended with %d", status);
    compute("the parent after the fork");
}

static atomic_int stop_calling;

static void *call_until_told(void *unused)
{
    while (!atomic_load(&stop_calling))
        run_job(50, 4, 1, "beside a fork");
    return unused;
}

static void fork_beside_a_caller(void)
{
    enum { FORKS = 25 };
    pthread_t other;
    atomic_store(&stop_calling, 0);
    CHECK(!pthread_create(&other, NULL, call_until_told, NULL), "no thread");
    for (int i = 0; i < FORKS; i++) {
        sleep_us(100 + 37 * i);
        int status = child_status(compute, "a child of a busy process");
        CHECK(status == 0, "child %d of a busy process ended with %d", i, status);
    }
    atomic_store(&stop_calling, 1);
    pthread_join(other, NULL);
    compute("the parent after its forks");
}

/* ---- the end of the process, while workers spin, sleep or work */

static void end_at_once(const char *where)
{
    run_tally(100, 4, where);
    exit(atomic_load(&check_failures) ? 1 : 0);
}

static void end_with_sleepers(const char *where)
{
    run_tally(100, 4, where);
    sleep_us(20000);
    exit(atomic_load(&check_failures) ? 1 : 0);
}

static void end_with_a_job(const char *where)
{
    pthread_t other;
    (void)where;
    atomic_store(&stop_calling, 0);
    if (pthread_create(&other, NULL, call_until_told, NULL))
        exit(1);
    sleep_us(5000);
    exit(0);
}

static void ends_cleanly(void)
{
    for (int again = 0; again < 10; again++) {
        CHECK(child_status(end_at_once, "before the end") == 0, "exit with spinning workers");
        CHECK(child_status(end_with_sleepers, "before the end") == 0, "exit with sleeping workers");
        CHECK(child_status(end_with_a_job, "before the end") == 0, "exit with a job under way");
    }
}

/* ---- the workers' floating-point mode and signals */

#if defined(__x86_64__)
#include <xmmintrin.h>
static void flush_to_zero(int on) { _mm_setcsr(on ? _mm_getcsr() | 0x8040 : _mm_getcsr() & ~0x8040u); }
#elif defined(__aarch64__)
static void flush_to_zero(int on) { __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)on << 24)); }
#else
#define NO_FLUSHING
#endif

#ifndef NO_FLUSHING
static void halve_least(void *context, int64_t index, int worker)
{
    volatile double least = 0x1p-1022; /* half of it is denormal */
    volatile double half = least * 0.5;
    atomic_fetch_add((atomic_int *)context, half == 0);
    struct meeting *m = (struct meeting *)((char *)context + sizeof(atomic_int));
    meet(m, index, worker); /* so that a worker takes part */
}

static void modes_agree(void)
{
    for (int again = 0; again < 4; again++) {
        struct {
            atomic_int zeros;
            struct meeting meeting;
        } job = {.meeting = {.threads = 2}};
        flush_to_zero(again & 1);
        fnn_parallel(halve_least, &job, 2, 2);
        flush_to_zero(0);
        CHECK(job.zeros == (again & 1 ? 2 : 0), "%d of 2 tasks flushed to zero, mode %d", (int)job.zeros, again & 1);
    }
}
#else
static void modes_agree(void) {}
#endif

struct signals {
    struct meeting meeting;
    atomic_int open;
};

static void look_at_signals(void *context, int64_t index, int worker)
{
    struct signals *s = context;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (worker && !sigismember(&blocked, SIGINT))
        atomic_fetch_add(&s->open, 1);
    meet(&s->meeting, index, worker);
}

static void signals_are_the_callers(void)
{
    struct signals s = {.meeting = {.threads = 2}};
    sigset_t blocked;
    fnn_parallel(look_at_signals, &s, 2, 2);
    CHECK(!s.open, "a worker would take the interrupt");
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    CHECK(!sigismember(&blocked, SIGINT), "the caller no longer takes the interrupt");
}

/* ---- the scratch */

struct scratches {
    struct meeting meeting;
    void *of_worker[2];
    atomic_int moved;
};

static void use_scratch(void *context, int64_t index, int worker)
{
    struct scratches *s = context;
    unsigned char *mine = fnn_scratch();
    if (mine) {
        memset(mine, 1 + worker, FNN_SCRATCH_BYTES);
        meet(&s->meeting, index, worker);
        if (fnn_scratch() != mine || mine[0] != 1 + worker || mine[FNN_SCRATCH_BYTES - 1] != 1 + worker)
            atomic_fetch_add(&s->moved, 1);
    }
    s->of_worker[worker] = mine;
}

static void *use_scratch_and_end(void *unused)
{
    unsigned char *mine = fnn_scratch();
    CHECK(mine != NULL, "no scratch");
    if (mine)
        memset(mine, 3, FNN_SCRATCH_BYTES);
    return unused;
}

static void scratch_of_each(void)
{
    struct scratches s = {.meeting = {.threads = 2}};
    fnn_parallel(use_scratch, &s, 2, 2);
    CHECK(s.of_worker[0] && s.of_worker[1], "%p and %p", s.of_worker[0], s.of_worker[1]);
    CHECK(s.of_worker[0] != s.of_worker[1], "two threads share a scratch");
    CHECK((uintptr_t)s.of_worker[0] % 64 == 0 && (uintptr_t)s.of_worker[1] % 64 == 0, "%p or %p is not aligned",
          s.of_worker[0], s.of_worker[1]);
    CHECK(!s.moved, "a scratch moved or was overwritten");
    CHECK(s.of_worker[0] == fnn_scratch(), "the caller's scratch moved");
    for (int i = 0; i < 200; i++) { /* a gigabyte if they were not freed, which the leak checker tells */
        pthread_t other;
        CHECK(!pthread_create(&other, NULL, use_scratch_and_end, NULL), "no thread");
        pthread_join(other, NULL);
    }
}

/* ---- the environment, each in a child of its own, since it is read once */

static int expected_threads;
static const char *variable, *value;

static void look_at_environment(const char *where)
{
    setenv(variable, value, 1);
    int found = fnn_default_threads();
    if (expected_threads)
        CHECK(found == expected_threads, "%s=%s: %d threads", variable, value, found);
    else
        CHECK(found >= 1 && found <= 1024 && found != 99, "%s=%s: %d threads", variable, value, found);
    setenv(variable, "55", 1);
    CHECK(fnn_default_threads() == found, "%s: read twice", where);
}

static void environment(void)
{
    static const struct {
        const char *name, *value;
        int threads; /* 0: ignored */
    } cases[] = {
        {"FASTNN_NUM_THREADS", "3", 3},  {"OMP_NUM_THREADS", "5", 5},      {"OMP_NUM_THREADS", "6,2,1", 6},
        {"OMP_NUM_THREADS", " 7 ", 7},   {"OMP_NUM_THREADS", "4 ,99", 4},  {"FASTNN_NUM_THREADS", "0", 0},
        {"FASTNN_NUM_THREADS", "-4", 0}, {"FASTNN_NUM_THREADS", "99x", 0}, {"OMP_NUM_THREADS", "many", 0},
        {"FASTNN_NUM_THREADS", "", 0},   {"OMP_NUM_THREADS", ",99", 0},    {"FASTNN_NUM_THREADS", "9999999999", 1024}};
    unsetenv("FASTNN_NUM_THREADS");
    unsetenv("OMP_NUM_THREADS");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        variable = cases[i].name, value = cases[i].value, expected_threads = cases[i].threads;
        int status = child_status(look_at_environment, value);
        CHECK(status == 0, "%s=%s: child ended with %d", variable, value, status);
    }
    setenv("OMP_NUM_THREADS", "2", 1); /* and fastnn's own name has the last word */
    variable = "FASTNN_NUM_THREADS", value = "3", expected_threads = 3;
    CHECK(child_status(look_at_environment, value) == 0, "both set");
    unsetenv("OMP_NUM_THREADS");
}
#endif

static void thread_count(void)
{
    int usual = fnn_default_threads();
    CHECK(usual >= 1, "%d threads", usual);
    CHECK(fnn_get_threads() == usual, "%d threads at first", fnn_get_threads());
    CHECK(fnn_set_threads(3) == usual, "set did not return the former count");
    CHECK(fnn_get_threads() == 3, "%d threads after 3 were set", fnn_get_threads());
    CHECK(fnn_set_threads(0) == 3, "set did not return the former count");
    CHECK(fnn_get_threads() == usual, "%d threads after 0 was set", fnn_get_threads());
    fnn_set_threads(-3);
    CHECK(fnn_get_threads() == usual, "%d threads after -3 was set", fnn_get_threads());
}

int main(void)
{
#ifndef _WIN32
    alarm(300); /* a pool that hangs must fail */
    ends_cleanly();
    environment();
#endif
    thread_count();
    odd_arguments();
    every_index_once("at first");
    nested_calls();
    many_tiny_jobs();
    stages_in_order();
#ifndef _WIN32
    sleepers_wake();
    modes_agree();
    signals_are_the_callers();
    two_callers();
    a_core_for_who_is_alone();
    scratch_of_each();
    if (!getenv("CHECK_EMULATED")) { /* qemu ends the forked child of a process with threads when it starts one */
        fork_after_use();
        fork_beside_a_caller();
    }
#endif
    every_index_once("at last");
    return check_report("threads");
}
