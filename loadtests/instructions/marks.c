/* The requests that a program under callgrind makes of it: begin to count, and write down what was counted since. */

#include <valgrind/callgrind.h>

void start_counting(void) { CALLGRIND_START_INSTRUMENTATION; }

void dump_count(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
