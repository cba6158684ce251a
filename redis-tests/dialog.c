#include "redis-tests/dialog.h"

#include "tests/lib/test.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 12

static struct process *server;
static redisContext *connection;
static char *texts[TEXTS];
static size_t next_text;

/* Keeps a text for a while. */
static char *lend(char *text)
{
    char **place = &texts[next_text++ % TEXTS];
    free(*place);
    *place = text;
    return text;
}

static void connect_again(void)
{
    if (connection != NULL) {
        redisFree(connection);
    }
    struct timeval timeout = {60, 0};
    connection = redisConnect("127.0.0.1", process_port(server));
    if (connection == NULL || connection->err != 0) {
        test_fail(__FILE__, __LINE__, "cannot connect to port %d", process_port(server));
    }
    redisSetTimeout(connection, timeout);
}

static void end(void)
{
    if (connection != NULL) {
        redisFree(connection);
    }
    process_free(server);
    for (size_t i = 0; i < TEXTS; i++) {
        free(texts[i]);
    }
}

void dialog_begin(void)
{
    if (server == NULL) {
        /* BASIN_SERVER_ARGUMENTS: further ones, separated by single spaces. */
        const char *arguments[16] = {NULL};
        size_t count = 0;
        char *given = getenv("BASIN_SERVER_ARGUMENTS");
        char *copy = strdup(given != NULL ? given : "");
        char *rest = NULL;
        for (char *word = strtok_r(copy, " ", &rest); word != NULL && count < 15;
             word = strtok_r(NULL, " ", &rest)) {
            arguments[count++] = word;
        }
        server = process_start(&(struct process_options){.arguments = arguments});
        free(copy);
        if (server == NULL) {
            exit(1);
        }
        atexit(end);
    }
    if (process_ended(server)) {
        process_restart(server);
    }
    connect_again();
    EXPECT_TEXT(ask("SELECT 0"), "OK");
    EXPECT_TEXT(ask("FLUSHALL"), "OK");
}

struct process *dialog_server(void)
{
    return server;
}

void dialog_crash(void)
{
    process_kill(server);
    process_restart(server);
    connect_again();
}

static void print_reply(FILE *out, const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_STRING:
        fwrite(reply->str, 1, reply->len, out);
        break;
    case REDIS_REPLY_ERROR:
        fprintf(out, "-%s", reply->str);
        break;
    case REDIS_REPLY_INTEGER:
        fprintf(out, "(%lld)", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        fputs("(nil)", out);
        break;
    case REDIS_REPLY_ARRAY:
        fputc('[', out);
        for (size_t i = 0; i < reply->elements; i++) {
            if (i > 0) {
                fputc(' ', out);
            }
            print_reply(out, reply->element[i]);
        }
        fputc(']', out);
        break;
    default:
        fprintf(out, "(type %d)", reply->type);
    }
}

static const char *take_reply(redisReply *reply)
{
    if (reply == NULL) {
        test_fail(__FILE__, __LINE__, "no reply: %s", connection->errstr);
    }
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    print_reply(out, reply);
    fclose(out);
    freeReplyObject(reply);
    return lend(text);
}

const char *ask(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(connection, format, list);
    va_end(list);
    return take_reply(reply);
}

const char *ask_argv(int count, const char **arguments, const size_t *sizes)
{
    return take_reply(redisCommandArgv(connection, count, arguments, sizes));
}

long long ask_integer(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(connection, format, list);
    va_end(list);
    const char *text = take_reply(reply);
    long long number;
    if (sscanf(text, "(%lld)", &number) != 1) {
        test_fail(__FILE__, __LINE__, "%s gave %.200s", format, text);
    }
    return number;
}

const char *dialog_filler(size_t size, uint64_t seed)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char *text = malloc(size + 1);
    uint64_t state = seed + 1;
    for (size_t i = 0; i < size; i++) {
        text[i] = letters[test_random_below(&state, sizeof(letters) - 1)];
    }
    text[size] = '\0';
    return lend(text);
}
