/* log: one line to the operator, where the detail is known. Not the write log (that is wlog).
 * Thread: any. */
#ifndef BASIN_ENGINE_BASE_LOG_H
#define BASIN_ENGINE_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING };

/* Below this level nothing is printed. Standard error until a sink is set. */
void log_set_level(enum log_level level);
#include <stdbool.h>

enum log_level log_get_level(void);

/* Sends later lines to the file at path, appended; NULL or "" means standard error. False: it
 * cannot be opened, and nothing changed. */
bool log_set_file(const char *path);

[[gnu::format(printf, 2, 3)]] void log_line(enum log_level level, const char *format, ...);

#endif
