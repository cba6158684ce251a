/* request: the bytes of one command, ready to be sent; only the digits of its keys change.
 * Thread: any, once made. Memory: the bytes; they stay until the process ends. */
#ifndef BASIN_BENCH_REQUEST_H
#define BASIN_BENCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_KEYS_MAX 16

/* A row of the table of commands. */
struct request_command;

struct request {
    char *data; /* With zeros for the digits of its keys. */
    size_t size;
    size_t digits[REQUEST_KEYS_MAX]; /* Where they lie in data. */
    unsigned keys;                   /* How many it has. */
};

/* The command of that name, lent; NULL: there is none. */
const struct request_command *request_command(const char *name);

/* The name of the index-th command; NULL: there are no more. */
const char *request_command_name(unsigned index);

const char *request_name(const struct request_command *command);

/* Values are value_size bytes. false: no memory. */
bool request_init(struct request *request, const struct request_command *command,
                  size_t value_size);

/* Writes a key's number into a copy of the request's data. */
void request_key_write(const struct request *request, char *copy, unsigned index, uint64_t key);

#endif
