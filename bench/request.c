#include "bench/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_PREFIX_SIZE 4
#define KEY_DIGITS 12

/* What a role sends: the words of head, then unit as often as times says. K is a key (or a member)
 * that begins with prefix, S a number of digits, V a value; every other word stands for itself. */
struct request_command {
    const char *name;
    const char *prefix;
    const char *head;
    const char *unit;
    unsigned times;
};

static const struct request_command commands[] = {
    {"ping", "", "PING", "", 0},
    {"set", "key:", "SET", "K V", 1},
    {"get", "key:", "GET", "K", 1},
    {"mset", "key:", "MSET", "K V", 10},
    {"incr", "cnt:", "INCR", "K", 1},
    {"rpush", "lst:", "RPUSH K", "V", 1},
    {"lpush", "lst:", "LPUSH K", "V", 1},
    {"lrange", "rng:", "LRANGE K 0 99", "", 0},
    {"fill-lists", "rng:", "RPUSH K", "V", 100}, /* What lrange reads. */
    /* One large value of each type, and what is done to it in the middle. */
    {"hset", "fld:", "HSET hash", "K V", 1},
    {"hget", "fld:", "HGET hash K", "", 0},
    {"hrandfield", "", "HRANDFIELD hash", "", 0},
    {"sadd", "mbr:", "SADD set", "K", 1},
    {"sismember", "mbr:", "SISMEMBER set K", "", 0},
    {"srandmember", "", "SRANDMEMBER set", "", 0},
    {"spop", "", "SPOP set", "", 0},
    {"zadd", "mbr:", "ZADD zset", "S K", 1},
    {"zscore", "mbr:", "ZSCORE zset K", "", 0},
    {"zrank", "mbr:", "ZRANK zset K", "", 0},
    {"zrange", "", "ZRANGE zset 500000 500099", "", 0},
    {"zrandmember", "", "ZRANDMEMBER zset", "", 0},
    {"list-push", "", "RPUSH list", "V", 1},
    {"lindex", "", "LINDEX list 500000", "", 0},
    {"linsert", "", "LINSERT list BEFORE middle", "V", 1},
    {"lset", "", "LSET list 500000", "V", 1},
    {"xadd", "", "XADD stream * field V", "", 0},
    {"xrange", "", "XRANGE stream 500000-1 + COUNT 100", "", 0},
    {"small-hash", "hsh:", "HSET K f1 v1 f2 v2 f3 v3 f4 v4 f5 v5 f6 v6 f7 v7 f8 v8", "", 0},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

const struct request_command *request_command(const char *name)
{
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

const char *request_command_name(unsigned index)
{
    return index < COMMAND_COUNT ? commands[index].name : NULL;
}

const char *request_name(const struct request_command *command)
{
    return command->name;
}

static bool word_add(struct request *request, const char *data, size_t size)
{
    char head[32];
    int head_size = snprintf(head, sizeof(head), "$%zu\r\n", size);
    char *grown = realloc(request->data, request->size + (size_t)head_size + size + 2);
    if (grown == NULL) {
        return false;
    }
    request->data = grown;
    char *end = grown + request->size;
    memcpy(end, head, (size_t)head_size);
    memcpy(end + head_size, data, size);
    memcpy(end + (size_t)head_size + size, "\r\n", 2);
    request->size += (size_t)head_size + size + 2;
    return true;
}

/* A word whose last digits are written anew for each request. */
static bool number_add(struct request *request, const char *prefix, size_t prefix_size)
{
    char word[KEY_PREFIX_SIZE + KEY_DIGITS];
    memcpy(word, prefix, prefix_size);
    memset(word + prefix_size, '0', KEY_DIGITS);
    if (request->keys == REQUEST_KEYS_MAX || !word_add(request, word, prefix_size + KEY_DIGITS)) {
        return false;
    }
    request->digits[request->keys++] = request->size - KEY_DIGITS - 2;
    return true;
}

static bool words_add(struct request *request, const char *words, const char *prefix,
                      const char *value, size_t value_size)
{
    bool added = true;
    while (added && *words != '\0') {
        size_t size = strcspn(words, " ");
        if (size == 1 && *words == 'K') {
            added = number_add(request, prefix, KEY_PREFIX_SIZE);
        } else if (size == 1 && *words == 'S') {
            added = number_add(request, "", 0);
        } else if (size == 1 && *words == 'V') {
            added = word_add(request, value, value_size);
        } else {
            added = word_add(request, words, size);
        }
        words += size + (words[size] == ' ');
    }
    return added;
}

static unsigned words_count(const char *words)
{
    unsigned count = *words != '\0';
    for (; *words != '\0'; words++) {
        count += *words == ' ';
    }
    return count;
}

bool request_init(struct request *request, const struct request_command *command, size_t value_size)
{
    unsigned words = words_count(command->head) + command->times * words_count(command->unit);
    char *value = malloc(value_size + 1);
    *request = (struct request){.data = malloc(32)};
    bool done = value != NULL && request->data != NULL;
    if (done) {
        for (size_t i = 0; i < value_size; i++) {
            value[i] = (char)('a' + i * 7 % 26);
        }
        request->size = (size_t)snprintf(request->data, 32, "*%u\r\n", words);
        done = words_add(request, command->head, command->prefix, value, value_size);
    }
    for (unsigned i = 0; done && i < command->times; i++) {
        done = words_add(request, command->unit, command->prefix, value, value_size);
    }
    free(value);
    return done;
}

void request_key_write(const struct request *request, char *copy, unsigned index, uint64_t key)
{
    char *digits = copy + request->digits[index];
    for (unsigned i = KEY_DIGITS; i > 0; i--) {
        digits[i - 1] = (char)('0' + key % 10);
        key /= 10;
    }
}
