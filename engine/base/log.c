#include "engine/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static _Atomic enum log_level level_min = LOG_NOTICE;
static pthread_mutex_t sink_mutex = PTHREAD_MUTEX_INITIALIZER;
static FILE *sink; /* NULL: standard error. Guarded by sink_mutex. */

void log_set_level(enum log_level level)
{
    atomic_store(&level_min, level);
}

enum log_level log_get_level(void)
{
    return atomic_load(&level_min);
}

bool log_set_file(const char *path)
{
    FILE *file = NULL;
    if (path != NULL && path[0] != 0) {
        file = fopen(path, "ae");
        if (file == NULL) {
            return false;
        }
    }
    pthread_mutex_lock(&sink_mutex);
    if (sink != NULL) {
        fclose(sink);
    }
    sink = file;
    pthread_mutex_unlock(&sink_mutex);
    return true;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level < atomic_load(&level_min)) {
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm local;
    localtime_r(&now.tv_sec, &local);
    char when[64];
    strftime(when, sizeof(when), "%d %b %Y %H:%M:%S", &local);
    char text[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    pthread_mutex_lock(&sink_mutex);
    FILE *out = sink != NULL ? sink : stderr;
    fprintf(out, "%d:%s.%03ld %c %s\n", (int)getpid(), when, now.tv_nsec / 1000000, ".-*#"[level],
            text);
    fflush(out);
    pthread_mutex_unlock(&sink_mutex);
}
