/* large: whether large values are whole: their roots load, every part that they need has a row and
 * a sound grain, and together these make a value.
 * Thread: one. Memory: one value after the other. */
#ifndef BASIN_CHECK_LARGE_H
#define BASIN_CHECK_LARGE_H

#include "check/verdict.h"

/* Judges every large key whose root can be read; prints what is wrong and marks its verdict. */
enum status large_judge(struct holdings *holdings, struct verdicts *verdicts);

#endif
