/* check.h: all the testing that the C self-tests need.

       int main(void) {
           CHECK(1 + 1 == 2, "two, not %d", 1 + 1);
           return check_report("arithmetic");
       }

   A failed CHECK is printed and counted, and the program goes on, so that one run shows every failure. The message is
   a printf format with its values: tell what was expected and what came. CHECK may be called from any thread.
   check_report prints the program's one line and gives its exit status: 0, or 1 if anything failed.
   A program that this machine cannot run says so with `return check_skip("name", "why")`. */
#ifndef FNN_CHECK_H
#define FNN_CHECK_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK_SKIPPED 77 /* the exit status that means neither passed nor failed */
#define CHECK_PRINTED 20 /* failures shown; a loop that goes wrong should not bury the first of them */

#if defined(__GNUC__) || defined(__clang__)
#define CHECK_FORMAT(position) __attribute__((format(printf, position, position + 1), unused))
#else
#define CHECK_FORMAT(position)
#endif

static atomic_long check_count, check_failures;

#define CHECK(condition, ...) check_that((condition) ? 1 : 0, #condition, __FILE__, __LINE__, __VA_ARGS__)

CHECK_FORMAT(5)
static int check_that(int good, const char *condition, const char *file, int line, const char *format, ...)
{
    atomic_fetch_add(&check_count, 1);
    if (good || atomic_fetch_add(&check_failures, 1) >= CHECK_PRINTED)
        return good;
    char message[512];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    fprintf(stderr, "%s:%d: not %s: %s\n", file, line, condition, message);
    return good;
}

static inline int check_report(const char *name)
{
    const char *isa = getenv("FASTNN_ISA");
    long failures = atomic_load(&check_failures), checks = atomic_load(&check_count);
    printf("%-12s %-9s %ld checks, %ld failed\n", name, isa ? isa : "", checks, failures);
    return failures || !checks; /* a test that checked nothing has not passed */
}

static inline int check_skip(const char *name, const char *why)
{
    const char *isa = getenv("FASTNN_ISA");
    printf("%-12s %-9s skipped: %s\n", name, isa ? isa : "", why);
    return CHECK_SKIPPED;
}

#endif
