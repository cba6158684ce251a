#include "tests/crash/ledger.h"

#include "tests/lib/test.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define VALUE_MAX (1u << 20)
#define PAGE 200 /* Keys asked for at once. */

redisContext *ledger_connect(const struct process *server)
{
    redisContext *context =
        redisConnectWithTimeout("127.0.0.1", process_port(server), (struct timeval){10, 0});
    EXPECT(context != NULL && context->err == 0);
    redisSetTimeout(context, (struct timeval){20, 0});
    return context;
}

static const char *value_of(uint64_t number, unsigned size)
{
    static char value[VALUE_MAX];
    EXPECT(size >= 24 && size <= VALUE_MAX);
    int head = snprintf(value, sizeof(value), "%" PRIu64 ":%u:", number, size);
    memset(value + head, 'a' + (int)(number % 26), size - (unsigned)head);
    return value;
}

static redisReply *reply_next(redisContext *context)
{
    redisReply *reply = NULL;
    if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
        test_fail(__FILE__, __LINE__, "no reply: %s", context->errstr);
    }
    return reply;
}

uint64_t ledger_write(redisContext *context, uint64_t first, uint64_t count, unsigned size,
                      char *error)
{
    for (uint64_t i = first; i < first + count; i++) {
        redisAppendCommand(context, "SET k:%llu %b", (unsigned long long)i, value_of(i, size),
                           (size_t)size);
        redisReply *reply = reply_next(context);
        bool fine = reply->type == REDIS_REPLY_STATUS;
        if (!fine && error != NULL) {
            snprintf(error, 128, "%s", reply->str == NULL ? "" : reply->str);
        } else if (!fine) {
            test_fail(__FILE__, __LINE__, "SET k:%llu: %s", (unsigned long long)i, reply->str);
        }
        freeReplyObject(reply);
        if (!fine) {
            return i - first;
        }
    }
    return count;
}

void ledger_pipeline(redisContext *context, uint64_t first, uint64_t count, unsigned size)
{
    for (uint64_t i = first; i < first + count; i++) {
        redisAppendCommand(context, "SET k:%llu %b", (unsigned long long)i, value_of(i, size),
                           (size_t)size);
    }
    for (uint64_t i = 0; i < count; i++) {
        redisReply *reply = reply_next(context);
        EXPECT_INT(reply->type, REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
}

static bool value_is(const redisReply *reply, uint64_t number)
{
    unsigned long long found;
    unsigned size;
    return reply->type == REDIS_REPLY_STRING &&
           sscanf(reply->str, "%llu:%u:", &found, &size) == 2 && found == number &&
           (unsigned)reply->len == size && memcmp(reply->str, value_of(number, size), size) == 0;
}

uint64_t ledger_below(redisContext *context, uint64_t most)
{
    uint64_t reach = 0;
    for (uint64_t first = 0; first < most; first += PAGE) {
        uint64_t count = most - first < PAGE ? most - first : PAGE;
        for (uint64_t i = first; i < first + count; i++) {
            redisAppendCommand(context, "GET k:%llu", (unsigned long long)i);
        }
        for (uint64_t i = first; i < first + count; i++) {
            redisReply *reply = reply_next(context);
            if (reply->type == REDIS_REPLY_STRING && (reach < i || !value_is(reply, i))) {
                test_fail(__FILE__, __LINE__, "k:%llu is \"%.40s\", the keys below reach to %llu",
                          (unsigned long long)i, reply->str, (unsigned long long)reach);
            }
            reach += reply->type == REDIS_REPLY_STRING;
            freeReplyObject(reply);
        }
    }
    return reach;
}

uint64_t ledger_reach(redisContext *context, uint64_t most)
{
    uint64_t reach = ledger_below(context, most);
    redisReply *size = redisCommand(context, "DBSIZE");
    EXPECT(size != NULL);
    EXPECT_INT(size->integer, reach);
    freeReplyObject(size);
    return reach;
}

int ledger_refusal(const char *dir, const char *prefix, const char *const *arguments, char *output,
                   size_t output_size)
{
    char command[2048];
    int used = snprintf(command, sizeof(command), "timeout 20 %s %s --port %d --dir '%s'", prefix,
                        process_binary(), process_free_port(), dir);
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL; i++) {
        used += snprintf(command + used, sizeof(command) - (size_t)used, " %s", arguments[i]);
    }
    snprintf(command + used, sizeof(command) - (size_t)used, " 2>&1");
    FILE *pipe = popen(command, "r");
    EXPECT(pipe != NULL);
    size_t size = fread(output, 1, output_size - 1, pipe);
    output[size] = 0;
    int state = pclose(pipe);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

void shell(const char *format, ...)
{
    char command[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof(command), format, list);
    va_end(list);
    int state = system(command);
    if (state != 0) {
        test_fail(__FILE__, __LINE__, "%s: status %d", command, state);
    }
}
