/* load: a load generator for servers that speak RESP: one thread, one epoll, any number of
 * connections in roles that are measured apart.
 *
 *     load --port 6379 --role set:50                 50 connections, one SET after the other
 *     load --port 6379 --role get:45 --role set:5    readers beside writers, a line of figures each
 *     load --port 6379 --role set:16:64 --fill 1e5   writes keys 0 … 99,999 once and ends
 *
 * A role is COMMAND:CONNECTIONS[:PIPELINE]. A connection sends its pipeline's requests in one
 * write, waits for all replies, and starts again (a closed loop, as redis-benchmark's: a server
 * that stalls is asked less often meanwhile, so compare maxima too). Keys are 16 bytes, drawn
 * evenly from
 * --keys; the requests lie ready in memory and only the digits of their keys change.
 *
 * An operation counts if its reply came within the window of --seconds that follows --warmup; a
 * latency counts if its batch began in the window, so that the slow ones at its end are not lost.
 * Latencies lie in a histogram of 128 steps an octave: each figure is true to 0.8 %.
 * With --pid, the processor time of that process (all threads, io_uring's too) is read at both ends
 * of the window. Output: a table, or with --json one object. Exit 1: the server refused or went. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define DRAIN_NS (10 * SECOND_NS)
#define ROLES_MAX 8
#define EVENTS_MAX 512
#define RECEIVE_SIZE ((size_t)256 << 10)
#define STEPS_BITS 7
#define STEPS (1u << STEPS_BITS)
#define BUCKETS ((64 - STEPS_BITS + 1) * STEPS)
#define KEY_PREFIX_SIZE 4
#define KEY_DIGITS 12
#define KEYS_OF_REQUEST_MAX 16
#define LINE_MAX_SIZE 128

/* What a role sends: the words of head, then unit as often as times says. K is a key (or a member)
 * that begins with prefix, S a number of digits, V a value; every other word stands for itself. */
struct command {
    const char *name;
    const char *prefix;
    const char *head;
    const char *unit;
    unsigned times;
};

static const struct command commands[] = {
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

struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t buckets[BUCKETS];
};

struct role {
    const struct command *command;
    unsigned connections;
    unsigned pipeline;
    char *request; /* One request, with zeros for the digits of its keys. */
    size_t request_size;
    size_t digits[KEYS_OF_REQUEST_MAX]; /* Where they lie in the request. */
    unsigned keys;                      /* How many it has. */
    uint64_t ops;
    uint64_t errors;
    uint64_t nils;
    char first_error[LINE_MAX_SIZE];
    struct histogram latency;
};

struct connection {
    int fd;
    struct role *role;
    char *batch;
    size_t batch_size; /* Of what is being sent. */
    size_t sent;
    unsigned waiting; /* Replies still to come. */
    bool wants_write;
    uint64_t start_ns;
    uint64_t skip;  /* Bytes left of a bulk string and its line end. */
    uint64_t items; /* Values left of the reply under way; 0: between replies. */
    size_t line_size;
    char line[LINE_MAX_SIZE]; /* The beginning of a line that came in pieces. */
};

struct load {
    const char *host;
    unsigned port;
    double seconds;
    double warmup;
    uint64_t keys;
    size_t value_size;
    uint64_t fill; /* Requests to send in all, keys in sequence; 0: by time, keys by chance. */
    pid_t pid;
    bool json;
    struct role roles[ROLES_MAX];
    unsigned role_count;
    struct connection *connections;
    unsigned connection_count;
    int epoll_fd;
    char *receive;
    uint64_t random;
    uint64_t filled;
    unsigned busy; /* Connections that wait for a reply. */
    uint64_t window_start_ns;
    uint64_t window_end_ns;
    bool window_open;
    bool ending;
    uint64_t server_cpu_ns;
    uint64_t own_cpu_ns;
    double elapsed;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fail("no memory");
    }
    return memory;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    return pid == 0 || clock_getcpuclockid(pid, &clock) != 0 ? 0 : clock_ns(clock);
}

/* -- Histogram ----------------------------------------------------------------------------------
 * Below STEPS a bucket a nanosecond; above, each octave in STEPS buckets. */

static void histogram_add(struct histogram *histogram, uint64_t ns)
{
    unsigned index = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - STEPS_BITS;
        index = (shift + 1) * STEPS + (unsigned)(ns >> shift) - STEPS;
    }
    histogram->buckets[index]++;
    histogram->count++;
    histogram->sum_ns += ns;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
}

/* The middle of the bucket that holds the share's value, in microseconds. */
static double histogram_us(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted) {
            unsigned shift = i < STEPS ? 0 : i / STEPS - 1;
            uint64_t low = i < STEPS ? i : (uint64_t)(i % STEPS + STEPS) << shift;
            uint64_t middle = low + ((1ull << shift) >> 1);
            return (double)(middle < histogram->max_ns ? middle : histogram->max_ns) / 1e3;
        }
    }
    return (double)histogram->max_ns / 1e3;
}

/* -- Requests ---------------------------------------------------------------------------------- */

static void request_add(struct role *role, const char *data, size_t size)
{
    char head[32];
    int head_size = snprintf(head, sizeof(head), "$%zu\r\n", size);
    char *grown = realloc(role->request, role->request_size + (size_t)head_size + size + 2);
    if (grown == NULL) {
        fail("no memory");
    }
    role->request = grown;
    char *end = grown + role->request_size;
    memcpy(end, head, (size_t)head_size);
    memcpy(end + head_size, data, size);
    memcpy(end + (size_t)head_size + size, "\r\n", 2);
    role->request_size += (size_t)head_size + size + 2;
}

static void words_add(struct role *role, const char *words, const char *value, size_t value_size)
{
    while (*words != '\0') {
        size_t size = strcspn(words, " ");
        if (size == 1 && *words == 'K') {
            char key[KEY_PREFIX_SIZE + KEY_DIGITS];
            memcpy(key, role->command->prefix, KEY_PREFIX_SIZE);
            memset(key + KEY_PREFIX_SIZE, '0', KEY_DIGITS);
            request_add(role, key, sizeof(key));
            role->digits[role->keys++] = role->request_size - KEY_DIGITS - 2;
        } else if (size == 1 && *words == 'S') {
            request_add(role, "000000000000", KEY_DIGITS);
            role->digits[role->keys++] = role->request_size - KEY_DIGITS - 2;
        } else if (size == 1 && *words == 'V') {
            request_add(role, value, value_size);
        } else {
            request_add(role, words, size);
        }
        words += size + (words[size] == ' ');
    }
}

static unsigned words_count(const char *words)
{
    unsigned count = *words != '\0';
    for (; *words != '\0'; words++) {
        count += *words == ' ';
    }
    return count;
}

static void role_prepare(struct role *role, size_t value_size)
{
    const struct command *command = role->command;
    char *value = allocate(value_size + 1);
    for (size_t i = 0; i < value_size; i++) {
        value[i] = (char)('a' + i * 7 % 26);
    }
    role->request = allocate(32);
    role->request_size =
        (size_t)snprintf(role->request, 32, "*%u\r\n",
                         words_count(command->head) + command->times * words_count(command->unit));
    words_add(role, command->head, value, value_size);
    for (unsigned i = 0; i < command->times; i++) {
        words_add(role, command->unit, value, value_size);
    }
    free(value);
}

static uint64_t key_next(struct load *load)
{
    if (load->fill > 0) {
        return load->filled % load->keys;
    }
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return (uint64_t)(((unsigned __int128)load->random * load->keys) >> 64);
}

static void digits_write(char *digits, uint64_t key)
{
    for (unsigned i = KEY_DIGITS; i > 0; i--) {
        digits[i - 1] = (char)('0' + key % 10);
        key /= 10;
    }
}

/* Makes the next batch ready; false: there is nothing more to send. */
static bool batch_prepare(struct load *load, struct connection *connection)
{
    struct role *role = connection->role;
    unsigned count = role->pipeline;
    if (load->ending) {
        return false;
    }
    if (load->fill > 0 && load->fill - load->filled < count) {
        count = (unsigned)(load->fill - load->filled);
    }
    for (unsigned i = 0; i < count; i++) {
        char *request = connection->batch + i * role->request_size;
        for (unsigned key = 0; key < role->keys; key++) {
            digits_write(request + role->digits[key], key_next(load));
        }
        load->filled += load->fill > 0;
    }
    connection->batch_size = count * role->request_size;
    connection->sent = 0;
    connection->waiting = count;
    return count > 0;
}

/* -- Connections ------------------------------------------------------------------------------- */

static void connection_watch(struct load *load, struct connection *connection, bool wants_write)
{
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = connection};
    if (wants_write != connection->wants_write) {
        connection->wants_write = wants_write;
        epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    }
}

static void connection_send(struct load *load, struct connection *connection)
{
    while (connection->sent < connection->batch_size) {
        ssize_t size = send(connection->fd, connection->batch + connection->sent,
                            connection->batch_size - connection->sent, MSG_NOSIGNAL);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (size < 0) {
            fail("cannot send: %s", strerror(errno));
        }
        connection->sent += (size_t)size;
    }
    connection_watch(load, connection, connection->sent < connection->batch_size);
}

static void connection_start(struct load *load, struct connection *connection, uint64_t now)
{
    if (!batch_prepare(load, connection)) {
        return;
    }
    load->busy++;
    connection->start_ns = now;
    connection_send(load, connection);
}

static void reply_done(struct load *load, struct connection *connection, uint64_t now)
{
    struct role *role = connection->role;
    if (connection->waiting == 0) {
        fail("the server sent more replies than there were requests");
    }
    connection->waiting--;
    if (load->fill > 0 || (load->window_open && now < load->window_end_ns)) {
        role->ops++;
    }
    if (load->fill > 0 || (load->window_open && connection->start_ns >= load->window_start_ns &&
                           connection->start_ns < load->window_end_ns)) {
        histogram_add(&role->latency, now - connection->start_ns);
    }
}

/* One line of a reply: a whole value, or the head of one. */
static void line_take(struct load *load, struct connection *connection, const char *line,
                      size_t size, uint64_t now)
{
    struct role *role = connection->role;
    long long number = size > 1 ? strtoll(line + 1, NULL, 10) : 0;
    if (connection->items == 0) {
        connection->items = 1;
    }
    switch (line[0]) {
    case '$':
        if (number >= 0) {
            connection->skip = (uint64_t)number + 2;
            return;
        }
        role->nils++;
        break;
    case '*':
        connection->items += number > 0 ? (uint64_t)number : 0;
        break;
    case '-':
        if (role->errors++ == 0) {
            snprintf(role->first_error, sizeof(role->first_error), "%.*s",
                     (int)strcspn(line, "\r\n"), line);
        }
        break;
    case '+':
    case ':':
        break;
    default:
        fail("a reply begins with byte %d", line[0]);
    }
    if (--connection->items == 0) {
        reply_done(load, connection, now);
    }
}

/* Takes the bytes that came apart, wherever they were cut. */
static void replies_take(struct load *load, struct connection *connection, const char *data,
                         size_t size, uint64_t now)
{
    const char *end = data + size;
    while (data < end) {
        size_t left = (size_t)(end - data);
        if (connection->skip > 0) {
            size_t step = connection->skip < left ? (size_t)connection->skip : left;
            data += step;
            connection->skip -= step;
            if (connection->skip == 0 && --connection->items == 0) {
                reply_done(load, connection, now);
            }
            continue;
        }
        const char *newline = memchr(data, '\n', left);
        size_t piece = newline == NULL ? left : (size_t)(newline - data) + 1;
        if (newline != NULL && connection->line_size == 0) {
            line_take(load, connection, data, piece - 1 - (piece > 1), now);
        } else {
            size_t room = sizeof(connection->line) - 1 - connection->line_size;
            size_t kept = piece < room ? piece : room;
            memcpy(connection->line + connection->line_size, data, kept);
            connection->line_size += kept;
            if (newline != NULL) {
                connection->line[connection->line_size] = '\0';
                line_take(load, connection, connection->line, connection->line_size, now);
                connection->line_size = 0;
            }
        }
        data += piece;
    }
}

static void connection_receive(struct load *load, struct connection *connection)
{
    ssize_t size = recv(connection->fd, load->receive, RECEIVE_SIZE, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        fail("the server closed a connection: %s", size == 0 ? "end of stream" : strerror(errno));
    }
    load->receive[size] = '\0'; /* So that the number of a line at the end stops there. */
    uint64_t now = now_ns();
    unsigned waiting = connection->waiting;
    replies_take(load, connection, load->receive, (size_t)size, now);
    if (waiting > 0 && connection->waiting == 0) {
        load->busy--;
        connection_start(load, connection, now);
    }
}

static void connection_open(struct load *load, struct connection *connection, struct role *role)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load->port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int yes = 1;
    connection->role = role;
    connection->batch = allocate(role->pipeline * role->request_size);
    for (unsigned i = 0; i < role->pipeline; i++) {
        memcpy(connection->batch + i * role->request_size, role->request, role->request_size);
    }
    if (inet_pton(AF_INET, load->host, &address.sin_addr) != 1) {
        fail("%s is not an IPv4 address", load->host);
    }
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
        fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        fail("cannot connect to %s:%u: %s", load->host, load->port, strerror(errno));
    }
}

static void connections_open(struct load *load)
{
    unsigned next = 0;
    for (unsigned i = 0; i < load->role_count; i++) {
        load->connection_count += load->roles[i].connections;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    load->connections = allocate(load->connection_count * sizeof(load->connections[0]));
    for (unsigned i = 0; i < load->role_count; i++) {
        role_prepare(&load->roles[i], load->value_size);
        for (unsigned k = 0; k < load->roles[i].connections; k++) {
            connection_open(load, &load->connections[next++], &load->roles[i]);
        }
    }
}

/* -- The run ----------------------------------------------------------------------------------- */

/* Opens the window after the warm-up, closes it at its end. */
static void window_move(struct load *load, uint64_t now)
{
    if (load->fill > 0) {
        load->ending = load->filled >= load->fill;
        return;
    }
    if (!load->window_open && now >= load->window_start_ns) {
        load->window_open = true;
        load->window_start_ns = now;
        load->window_end_ns = now + (uint64_t)(load->seconds * 1e9);
        load->server_cpu_ns = process_cpu_ns(load->pid);
        load->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    } else if (load->window_open && !load->ending && now >= load->window_end_ns) {
        load->ending = true;
        load->server_cpu_ns = process_cpu_ns(load->pid) - load->server_cpu_ns;
        load->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - load->own_cpu_ns;
        load->elapsed = (double)(load->window_end_ns - load->window_start_ns) / 1e9;
    }
}

static void load_run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t start = now_ns();
    uint64_t cpu = process_cpu_ns(load->pid);
    load->window_start_ns = start + (uint64_t)(load->warmup * 1e9);
    for (unsigned i = 0; i < load->connection_count; i++) {
        connection_start(load, &load->connections[i], now_ns());
    }
    uint64_t now = start;
    do {
        int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, 10);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                connection_send(load, connection);
            }
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
                connection_receive(load, connection);
            }
        }
        now = now_ns();
        window_move(load, now);
        if (load->fill == 0 && load->ending && now > load->window_end_ns + DRAIN_NS) {
            fail("%u connections had no reply for ten seconds", load->busy);
        }
    } while (!load->ending || load->busy > 0);
    if (load->fill > 0) {
        load->elapsed = (double)(now - start) / 1e9;
        load->server_cpu_ns = process_cpu_ns(load->pid) - cpu;
        load->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    }
}

static void print_json(const struct load *load)
{
    printf("{\"seconds\": %.6f, \"server_cpu_us\": %.1f, \"load_cpu_us\": %.1f, \"roles\": [",
           load->elapsed, (double)load->server_cpu_ns / 1e3, (double)load->own_cpu_ns / 1e3);
    for (unsigned i = 0; i < load->role_count; i++) {
        const struct role *role = &load->roles[i];
        printf("%s{\"command\": \"%s\", \"clients\": %u, \"pipeline\": %u, \"ops\": %llu, "
               "\"ops_s\": %.1f, \"mean_us\": %.2f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
               "\"p999_us\": %.2f, \"max_us\": %.2f, \"nils\": %llu, \"errors\": %llu, "
               "\"first_error\": \"",
               i == 0 ? "" : ", ", role->command->name, role->connections, role->pipeline,
               (unsigned long long)role->ops, (double)role->ops / load->elapsed,
               role->latency.count == 0
                   ? 0
                   : (double)role->latency.sum_ns / 1e3 / (double)role->latency.count,
               histogram_us(&role->latency, 0.5), histogram_us(&role->latency, 0.99),
               histogram_us(&role->latency, 0.999), (double)role->latency.max_ns / 1e3,
               (unsigned long long)role->nils, (unsigned long long)role->errors);
        for (const char *c = role->first_error; *c != '\0'; c++) {
            putchar(*c < ' ' || *c == '"' || *c == '\\' ? '?' : *c);
        }
        printf("\"}");
    }
    printf("]}\n");
}

static void print_table(const struct load *load)
{
    uint64_t ops = 0;
    printf("%-10s %7s %8s %12s %10s %10s %10s %10s %8s %8s\n", "command", "clients", "pipeline",
           "ops/s", "p50 us", "p99 us", "p99.9 us", "max us", "nils", "errors");
    for (unsigned i = 0; i < load->role_count; i++) {
        const struct role *role = &load->roles[i];
        const struct histogram *latency = &role->latency;
        ops += role->ops;
        printf("%-10s %7u %8u %12.0f %10.1f %10.1f %10.1f %10.1f %8llu %8llu\n",
               role->command->name, role->connections, role->pipeline,
               (double)role->ops / load->elapsed, histogram_us(latency, 0.5),
               histogram_us(latency, 0.99), histogram_us(latency, 0.999),
               (double)latency->max_ns / 1e3, (unsigned long long)role->nils,
               (unsigned long long)role->errors);
        if (role->errors > 0) {
            printf("    first error: %s\n", role->first_error);
        }
    }
    if (ops > 0) {
        printf("processor us/op: server %.2f, load %.2f\n",
               (double)load->server_cpu_ns / 1e3 / (double)ops,
               (double)load->own_cpu_ns / 1e3 / (double)ops);
    }
}

/* -- The command line -------------------------------------------------------------------------- */

static _Noreturn void usage(void)
{
    fputs("usage: load --port N --role COMMAND:CONNECTIONS[:PIPELINE] [--role …]\n"
          "    [--host ADDRESS] [--seconds S] [--warmup S] [--keys N] [--value-size N]\n"
          "    [--fill REQUESTS] [--seed N] [--pid SERVER] [--json]\n"
          "commands:",
          stderr);
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(stderr, " %s", commands[i].name);
    }
    fputc('\n', stderr);
    exit(2);
}

static void role_add(struct load *load, const char *text)
{
    char name[32];
    struct role *role = &load->roles[load->role_count];
    role->pipeline = 1;
    if (load->role_count == ROLES_MAX ||
        sscanf(text, "%31[^:]:%u:%u", name, &role->connections, &role->pipeline) < 2 ||
        role->connections == 0 || role->pipeline == 0) {
        usage();
    }
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            role->command = &commands[i];
            load->role_count++;
            return;
        }
    }
    usage();
}

static void options_read(struct load *load, int argc, char **argv)
{
    static const struct option options[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"role", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},
        {"keys", required_argument, NULL, 'k'},
        {"value-size", required_argument, NULL, 'v'},
        {"fill", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 'S'},
        {"pid", required_argument, NULL, 'P'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        double number = optarg == NULL ? 0 : strtod(optarg, NULL);
        switch (option) {
        case 'h':
            load->host = optarg;
            break;
        case 'r':
            role_add(load, optarg);
            break;
        case 'j':
            load->json = true;
            break;
        case 'p':
            load->port = (unsigned)number;
            break;
        case 's':
            load->seconds = number;
            break;
        case 'w':
            load->warmup = number;
            break;
        case 'k':
            load->keys = (uint64_t)number;
            break;
        case 'v':
            load->value_size = (size_t)number;
            break;
        case 'f':
            load->fill = (uint64_t)number;
            break;
        case 'S':
            load->random += (uint64_t)number * 0x9e3779b97f4a7c15ull;
            break;
        case 'P':
            load->pid = (pid_t)number;
            break;
        default:
            usage();
        }
    }
}

int main(int argc, char **argv)
{
    static struct load load = {.host = "127.0.0.1",
                               .seconds = 2,
                               .warmup = 0.3,
                               .keys = 100000,
                               .value_size = 100,
                               .random = 0x2545f4914f6cdd1dull};
    options_read(&load, argc, argv);
    if (load.port == 0 || load.role_count == 0 || load.keys == 0 || load.seconds <= 0 ||
        optind < argc) {
        usage();
    }
    load.random = load.random == 0 ? 1 : load.random;
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load.receive = allocate(RECEIVE_SIZE + 1);
    if (load.epoll_fd < 0) {
        fail("cannot make an epoll: %s", strerror(errno));
    }
    connections_open(&load);
    load_run(&load);
    if (load.json) {
        print_json(&load);
    } else {
        print_table(&load);
    }
    return 0;
}
