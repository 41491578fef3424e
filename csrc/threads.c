/* threads.c: the pool of threads, and each thread's scratch. See fnn.h.

   One word, the door, holds everything that the caller of fnn_parallel and the workers must agree on: whether the job
   is open, how many workers are inside, and which job it is. A worker enters by a compare-and-swap that succeeds only
   while the door is open; the caller claims indices like everyone else, and when none is left closes the door and waits
   for those who are inside. A worker that the system has not scheduled never entered, so it is never waited for: a busy
   neighbour costs the core that it took and no more.

   Each thread has a share of the indices, one piece of them, in order: it goes along memory, and finds in its own caches
   what it wrote in the job before. Who has finished helps the next one with what is left of his.

   The pool serves one caller at a time. Another who comes meanwhile computes alone, and for as long as there is such a one
   the pool leaves him a core: two callers on two cores then have one each, rather than a worker between them for whom
   either waits.

   While the workers are awake a job takes no lock and no system call. A worker that has found nothing to do for a while
   goes to sleep at its own gate (a mutex and a condition, threads_os.h), and so does a caller whose last worker is
   late. */

#include "threads_os.h" /* first: it chooses what the system's headers show */

#include "fnn.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 128                      /* two lines of x86, which fetches them in pairs; one of Apple's */
#define MOST_WORKERS (FNN_MOST_THREADS - 1) /* and the caller */
#define LOOKS_PER_CLOCK 16 /* looks at the door between two looks at the clock, which costs as much as several */
#define DEFAULT_SPIN_US 100

/* -------------------------------------------------------------------------------------------------------- the pool */

/* The door, from the low bits: workers inside (16), seats (16: thread k may enter if k < seats), open (1),
   the caller sleeps (1), turn (30: the number of the job, so that no worker enters the same job twice). */
#define ONE_INSIDE UINT64_C(1)
#define OPEN (UINT64_C(1) << 32)
#define CALLER_SLEEPS (UINT64_C(1) << 33)
#define INSIDE(door) ((door) & 0xffff)
#define SEATS(door) ((door) >> 16 & 0xffff)
#define TURN(door) ((door) >> 34)
#define NEW_DOOR(turn, seats) ((uint64_t)(turn) << 34 | OPEN | (uint64_t)(seats) << 16)
#define NO_TURN UINT64_MAX
#define TURNS (UINT64_C(1) << 30) /* then they begin anew */
#define INDEX_BITS 34
#define MOST_INDICES ((UINT64_C(1) << INDEX_BITS) - 1)

struct worker {
    struct elsewhere place; /* under the gate's lock */
    alignas(CACHE_LINE) atomic_bool asleep;
    int number; /* 1, 2, ...; the caller is 0 */
    gate gate;
};

struct share { /* of the indices of a job: the turn that it was last claimed in (30 bits), the first index left (34) */
    alignas(CACHE_LINE) _Atomic uint64_t claimed;
};

static struct {
    /* One line goes to each worker that takes part: the door and, behind it, the job. */
    alignas(CACHE_LINE) _Atomic uint64_t door;
    fnn_task task;
    void *context;
    int64_t count;
    int threads, caller_cpu;
    uint64_t float_mode;

    struct share shares[MOST_WORKERS + 1];

    alignas(CACHE_LINE) atomic_bool held; /* by the one thread whose job this is; what follows is its own */
    bool forkable;                        /* the child's reset is registered */
    bool full;                            /* the system would not give another thread */
    int started;
    uint64_t turn;
    uint64_t spin_ns; /* changes only while there are no workers */
    gate caller;

    struct worker workers[MOST_WORKERS];
} pool;

static _Thread_local bool inside_task;

/* Callers who compute alone, since the pool was another's or left them a core */
static struct {
    alignas(CACHE_LINE) atomic_int count; /* now */
    atomic_uintptr_t last;                /* who did so last, and until when he is taken to come back */
    _Atomic uint64_t until;
} alone;

/* The first index of a thread's share; thread `threads` has none, and its first is the count. */
static uint64_t first_of(uint64_t thread, uint64_t count, uint64_t threads)
{
    uint64_t rest = count % threads;
    return count / threads * thread + (thread < rest ? thread : rest);
}

/* A share that was last claimed in another turn is untouched in this one, so that nobody need reset them all. */
static void claim_share(uint64_t turn, int owner, int threads, int worker)
{
    fnn_task task = pool.task;
    void *context = pool.context;
    _Atomic uint64_t *claimed = &pool.shares[owner].claimed;
    const uint64_t count = (uint64_t)pool.count, first = first_of((uint64_t)owner, count, (uint64_t)threads);
    const uint64_t end = first_of((uint64_t)owner + 1, count, (uint64_t)threads);
    uint64_t seen = atomic_load_explicit(claimed, memory_order_relaxed);
    for (;;) {
        uint64_t index = seen >> INDEX_BITS == turn ? seen & MOST_INDICES : first;
        if (index >= end)
            return;
        if (atomic_compare_exchange_weak_explicit(claimed, &seen, turn << INDEX_BITS | (index + 1),
                                                  memory_order_relaxed, memory_order_relaxed)) {
            task(context, (int64_t)index, worker);
            seen = atomic_load_explicit(claimed, memory_order_relaxed);
        }
    }
}

static void claim_indices(uint64_t turn, int worker, int threads)
{
    for (int owner = worker; owner < threads; owner++)
        claim_share(turn, owner, threads, worker);
    for (int owner = 0; owner < worker; owner++)
        claim_share(turn, owner, threads, worker);
}

/* Look until something is so, for as long as a thread stays awake for it; false where it did not become so. */
static inline bool spin_until(bool (*is_so)(const void *context), const void *context)
{
    uint64_t start = 0, now = 0;
    do {
        for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
            if (is_so(context))
                return true;
            relax();
        }
        now = clock_ns(); /* not before the first looks, which mostly suffice */
        start = start ? start : now;
    } while (now - start < pool.spin_ns);
    return false;
}

/* ---- a worker's side */

static inline bool invited(uint64_t door, uint64_t last_turn, int number)
{
    return (door & OPEN) && TURN(door) != last_turn && (uint64_t)number < SEATS(door);
}

struct waiting {
    uint64_t last_turn;
    int number;
};

static inline bool job_is_there(const void *context)
{
    const struct waiting *w = context;
    return invited(atomic_load_explicit(&pool.door, memory_order_relaxed), w->last_turn, w->number);
}

static bool spin_for_job(struct worker *me, uint64_t last_turn)
{
    const struct waiting waiting = {last_turn, me->number};
    return spin_until(job_is_there, &waiting);
}

/* The worker says that it sleeps and then looks at the door; the caller opens the door and then looks who sleeps.
   Both are sequentially consistent, so that at least one sees the other and no job is slept through. */
static void sleep_for_job(struct worker *me, uint64_t last_turn)
{
    gate_lock(&me->gate);
    atomic_store(&me->asleep, true);
    while (atomic_load(&me->asleep) && !invited(atomic_load(&pool.door), last_turn, me->number))
        gate_sleep(&me->gate);
    atomic_store(&me->asleep, false);
    came_elsewhere(&me->place);
    gate_unlock(&me->gate);
}

/* The turn that was entered, or NO_TURN if the door was shut or the job is an old one */
static uint64_t enter(uint64_t last_turn, int number)
{
    uint64_t door = atomic_load_explicit(&pool.door, memory_order_relaxed);
    while (invited(door, last_turn, number))
        if (atomic_compare_exchange_weak_explicit(&pool.door, &door, door + ONE_INSIDE, memory_order_acquire,
                                                  memory_order_relaxed))
            return TURN(door);
    return NO_TURN;
}

static void leave(void)
{
    uint64_t door = atomic_fetch_sub_explicit(&pool.door, ONE_INSIDE, memory_order_acq_rel);
    if (INSIDE(door) == 1 && (door & CALLER_SLEEPS)) {
        gate_lock(&pool.caller); /* so that the caller is either before its look at the door or asleep */
        gate_unlock(&pool.caller);
        gate_wake(&pool.caller);
    }
}

/* A thread that was woken on the caller's own CPU would stay there, each with half of it, until the system balances its
   load some milliseconds later. */
static void leave_cpu_of_caller(struct worker *me)
{
    int cpu = this_cpu();
    if (cpu < 0 || cpu != pool.caller_cpu)
        return;
    gate_lock(&me->gate);
    keep_off(&me->place, cpu);
    came_elsewhere(&me->place);
    gate_unlock(&me->gate);
}

static thread_result THREAD_CALL work(void *argument)
{
    struct worker *me = argument;
    uint64_t last_turn = NO_TURN;
    gate_lock(&me->gate);
    elsewhere_init(&me->place);
    gate_unlock(&me->gate);
    inside_task = true;
    for (;;) {
        if (!spin_for_job(me, last_turn))
            sleep_for_job(me, last_turn);
        uint64_t turn = enter(last_turn, me->number);
        if (turn == NO_TURN)
            continue;
        last_turn = turn;
        if (float_mode() != pool.float_mode) /* flush-to-zero must not depend on who computes */
            set_float_mode(pool.float_mode);
        leave_cpu_of_caller(me);
        claim_indices(turn, me->number, pool.threads);
        leave();
    }
    return (thread_result)0;
}

/* ---- the caller's side */

/* In the child of a fork there is one thread. Whatever the others held or were about to change is as it was at that
   moment, so all of it begins anew, but for the turn, which old shares know; workers, gates and jobs are set before they
   are next used. */
static void forget_workers(void)
{
    atomic_store(&pool.door, 0);
    pool.started = 0;
    pool.full = false;
    atomic_store(&pool.held, false);
    atomic_store(&alone.count, 0);
    atomic_store(&alone.until, 0);
}

static uint64_t spin_from_environment(void)
{
    const char *text = getenv("FASTNN_SPIN_US");
    char *end;
    double us = text ? strtod(text, &end) : DEFAULT_SPIN_US;
    if (text && (end == text || !(us >= 0)))
        us = DEFAULT_SPIN_US;
    return (uint64_t)((us < 1e6 ? us : 1e6) * 1000);
}

static void start_workers(int wanted)
{
    if (!pool.forkable && !(pool.forkable = at_fork(forget_workers)))
        return; /* a child would wait for threads that it does not have */
    if (!pool.started) {
        gate_init(&pool.caller);
        pool.spin_ns = spin_from_environment();
    }
    while (pool.started < wanted && !pool.full) {
        struct worker *w = &pool.workers[pool.started];
        w->number = pool.started + 1;
        w->place = (struct elsewhere){0}; /* in a child of a fork it tells of a thread of the parent */
        gate_init(&w->gate);
        atomic_store(&w->asleep, false);
        if (thread_start(work, w))
            pool.started++;
        else
            pool.full = true; /* go on with those there are, and do not ask at every job */
    }
}

static void open_door(fnn_task task, void *context, int64_t count, int threads)
{
    pool.task = task;
    pool.context = context;
    pool.count = count;
    pool.threads = threads;
    pool.caller_cpu = this_cpu();
    pool.float_mode = float_mode();
    if (++pool.turn == TURNS) { /* 0 is what a share shows that has no turn */
        for (int i = 0; i <= MOST_WORKERS; i++)
            atomic_store_explicit(&pool.shares[i].claimed, 0, memory_order_relaxed);
        pool.turn = 1;
    }
    atomic_store(&pool.door, NEW_DOOR(pool.turn, threads));
}

static void wake_sleepers(int threads)
{
    for (struct worker *w = pool.workers; w < pool.workers + threads - 1; w++) {
        if (!atomic_load(&w->asleep))
            continue;
        gate_lock(&w->gate);
        if (atomic_load(&w->asleep)) /* not up and away by itself since */
            keep_off(&w->place, pool.caller_cpu);
        atomic_store(&w->asleep, false); /* told once: the next jobs need not ring again while it comes */
        gate_unlock(&w->gate);
        gate_wake(&w->gate);
    }
}

static inline bool workers_are_out(const void *door)
{
    return !INSIDE(atomic_load_explicit((const _Atomic uint64_t *)door, memory_order_acquire));
}

static void sleep_for_workers(void)
{
    gate_lock(&pool.caller);
    atomic_fetch_or(&pool.door, CALLER_SLEEPS);
    while (INSIDE(atomic_load(&pool.door)))
        gate_sleep(&pool.caller);
    gate_unlock(&pool.caller);
}

static void close_door(void)
{
    uint64_t door = atomic_fetch_and_explicit(&pool.door, ~OPEN, memory_order_acq_rel);
    if (INSIDE(door) && !spin_until(workers_are_out, &pool.door))
        sleep_for_workers();
}

static bool take_pool(void)
{
    return !atomic_load_explicit(&pool.held, memory_order_relaxed) &&
           !atomic_exchange_explicit(&pool.held, true, memory_order_acquire);
}

static void release_pool(void) { atomic_store_explicit(&pool.held, false, memory_order_release); }

/* False when the pool belongs to another, or has no worker to offer */
static bool run_in_pool(fnn_task task, void *context, int64_t count, int threads)
{
    if (!take_pool())
        return false;
    if (threads > pool.started + 1)
        start_workers(threads - 1);
    if (threads > pool.started + 1)
        threads = pool.started + 1;
    if (threads > 1) {
        open_door(task, context, count, threads);
        wake_sleepers(threads);
        claim_indices(pool.turn, 0, threads);
        close_door();
    }
    release_pool();
    return threads > 1;
}

/* A caller is known by the address of what each thread has of its own. */
static uintptr_t this_caller(void) { return (uintptr_t)&inside_task; }

static bool another_is_alone(void)
{
    if (atomic_load_explicit(&alone.count, memory_order_relaxed))
        return true;
    uint64_t until = atomic_load_explicit(&alone.until, memory_order_relaxed);
    if (!until || atomic_load_explicit(&alone.last, memory_order_relaxed) == this_caller())
        return false;
    if (clock_ns() < until)
        return true;
    atomic_store_explicit(&alone.until, 0, memory_order_relaxed);
    return false;
}

static void run_here(fnn_task task, void *context, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        task(context, i, 0);
}

/* Who has computed alone is taken to come back within twice the time that it took him. */
static void run_alone(fnn_task task, void *context, int64_t count)
{
    uint64_t start = clock_ns();
    atomic_fetch_add_explicit(&alone.count, 1, memory_order_relaxed);
    run_here(task, context, count);
    atomic_store_explicit(&alone.last, this_caller(), memory_order_relaxed);
    uint64_t end = clock_ns();
    atomic_store_explicit(&alone.until, end + 2 * (end - start), memory_order_relaxed);
    atomic_fetch_sub_explicit(&alone.count, 1, memory_order_relaxed);
}

void fnn_parallel(fnn_task task, void *context, int64_t count, int threads)
{
    if (threads > count)
        threads = (int)(count < 0 ? 0 : count);
    if (threads > MOST_WORKERS + 1)
        threads = MOST_WORKERS + 1;
    bool nested = inside_task;
    inside_task = true;
    if (nested || threads <= 1 || count > (int64_t)MOST_INDICES) {
        run_here(task, context, count);
    } else {
        threads -= another_is_alone();
        if (threads == 1 || !run_in_pool(task, context, count, threads))
            run_alone(task, context, count);
    }
    inside_task = nested;
}

void fnn_tell(int *done) { __atomic_store_n(done, 1, __ATOMIC_RELEASE); }

static inline bool is_done(const void *done) { return __atomic_load_n((const int *)done, __ATOMIC_ACQUIRE); }

/* It is another thread's turn, and it is at work, unless it has lost its core: then the system may have this one. */
void fnn_await(const int *done)
{
    if (!spin_until(is_done, done))
        while (!is_done(done))
            give_way();
}

uint64_t fnn_clock(void) { return clock_ns(); }

/* ----------------------------------------------------------------------------------------------------- the scratch */

void *fnn_scratch(void)
{
    if (!slot_ready())
        return NULL;
    void *memory = slot_get();
    if (memory)
        return memory;
    memory = aligned_take(FNN_SCRATCH_BYTES);
    if (memory && !slot_set(memory)) {
        aligned_free(memory);
        memory = NULL;
    }
    return memory;
}
