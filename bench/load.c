/* load: a load generator for servers that speak RESP: one thread, one epoll, any number of
 * connections in roles that are measured apart.
 *
 *     load --port 6379 --role set:50                 50 connections, one SET after the other
 *     load --port 6379 --role get:45 --role set:5    readers beside writers, a line of figures each
 *     load --port 6379 --role set:16:64 --fill 1e5   writes keys 0 … 99,999 once and ends
 *
 * A role is COMMAND:CONNECTIONS[:PIPELINE]. A connection sends its pipeline's requests in one
 * write, waits for all replies, and starts again (a closed loop, as redis-benchmark's: a server
 * that stalls is asked less often meanwhile, so compare maxima too). Keys are 16 bytes, --keys of
 * them from --first-key on (keys beyond those that were filled in are absent), drawn evenly, or
 * with
 * --zipf THETA so that few are asked for most (key_choice.h); the requests lie ready in memory and
 * only the digits of their keys change.
 *
 * An operation counts if its reply came within the window of --seconds that follows --warmup; a
 * latency counts if its batch began in the window, so that the slow ones at its end are not lost.
 * Each figure of a latency is true to 0.8 % (histogram.h).
 * With --pid, the processor time of that process (all threads, io_uring's too) is read at both ends
 * of the window. Output: a table, or with --json one object. Exit 1: the server refused or went. */
#include "bench/histogram.h"
#include "bench/key_choice.h"
#include "bench/request.h"

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
#define LINE_MAX_SIZE 128

struct role {
    const struct request_command *command;
    unsigned connections;
    unsigned pipeline;
    struct request request;
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
    struct key_choice keys;
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

/* -- Requests ---------------------------------------------------------------------------------- */

static uint64_t key_next(struct load *load)
{
    return load->fill > 0 ? key_choice_at(&load->keys, load->filled)
                          : key_choice_random(&load->keys);
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
        char *copy = connection->batch + i * role->request.size;
        for (unsigned key = 0; key < role->request.keys; key++) {
            request_key_write(&role->request, copy, key, key_next(load));
        }
        load->filled += load->fill > 0;
    }
    connection->batch_size = count * role->request.size;
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
    connection->batch = allocate(role->pipeline * role->request.size);
    for (unsigned i = 0; i < role->pipeline; i++) {
        memcpy(connection->batch + i * role->request.size, role->request.data, role->request.size);
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
        if (!request_init(&load->roles[i].request, load->roles[i].command, load->value_size)) {
            fail("no memory");
        }
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
               i == 0 ? "" : ", ", request_name(role->command), role->connections, role->pipeline,
               (unsigned long long)role->ops, (double)role->ops / load->elapsed,
               histogram_mean_us(&role->latency), histogram_us(&role->latency, 0.5),
               histogram_us(&role->latency, 0.99), histogram_us(&role->latency, 0.999),
               (double)role->latency.max_ns / 1e3, (unsigned long long)role->nils,
               (unsigned long long)role->errors);
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
               request_name(role->command), role->connections, role->pipeline,
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
          "    [--host ADDRESS] [--seconds S] [--warmup S] [--keys N] [--first-key N] [--zipf "
          "THETA]\n"
          "    [--value-size N] [--fill REQUESTS] [--seed N] [--pid SERVER] [--json]\n"
          "commands:",
          stderr);
    for (unsigned i = 0; request_command_name(i) != NULL; i++) {
        fprintf(stderr, " %s", request_command_name(i));
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
    role->command = request_command(name);
    if (role->command == NULL) {
        usage();
    }
    load->role_count++;
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
        {"first-key", required_argument, NULL, 'F'},
        {"zipf", required_argument, NULL, 'z'},
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
            load->keys.count = (uint64_t)number;
            break;
        case 'F':
            load->keys.first = (uint64_t)number;
            break;
        case 'z':
            load->keys.theta = number;
            break;
        case 'v':
            load->value_size = (size_t)number;
            break;
        case 'f':
            load->fill = (uint64_t)number;
            break;
        case 'S':
            load->keys.random += (uint64_t)number * 0x9e3779b97f4a7c15ull;
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
                               .keys = {.count = 100000, .random = 0x2545f4914f6cdd1dull},
                               .value_size = 100};
    options_read(&load, argc, argv);
    if (load.port == 0 || load.role_count == 0 || load.keys.count == 0 || load.seconds <= 0 ||
        load.keys.theta < 0 || load.keys.theta >= 1 || optind < argc) {
        usage();
    }
    key_choice_init(&load.keys);
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
