#include "check/report.h"

#include <stdarg.h>
#include <stdio.h>

static void print(const struct report *report, const char *prefix, const char *format, va_list list)
{
    if (!report->silent) {
        fputs(prefix, stdout);
        vprintf(format, list);
        putchar('\n');
    }
}

void report_fact(const struct report *report, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print(report, "", format, list);
    va_end(list);
}

void report_damage(struct report *report, const char *format, ...)
{
    va_list list;
    report->damaged++;
    va_start(list, format);
    print(report, "damaged: ", format, list);
    va_end(list);
}

void report_note(struct report *report, const char *format, ...)
{
    va_list list;
    report->notes++;
    va_start(list, format);
    print(report, "note: ", format, list);
    va_end(list);
}

const char *report_quote(struct bytes bytes)
{
    static char texts[2][4 * REPORT_QUOTE_MAX + 8];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    char *p = text;
    const unsigned char *data = bytes.data;
    *p++ = '"';
    for (size_t i = 0; i < bytes.size && i < REPORT_QUOTE_MAX; i++) {
        if (data[i] == '"' || data[i] == '\\') {
            *p++ = '\\';
            *p++ = (char)data[i];
        } else if (data[i] >= 0x20 && data[i] < 0x7f) {
            *p++ = (char)data[i];
        } else {
            p += sprintf(p, "\\x%02x", data[i]);
        }
    }
    *p++ = '"';
    sprintf(p, "%s", bytes.size > REPORT_QUOTE_MAX ? "..." : "");
    return text;
}
