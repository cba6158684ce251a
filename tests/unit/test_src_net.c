/* A real server on a free port, and clients that behave as badly as clients do.
 *
 * The server is BASIN_SERVER, or basin-server beside this program's tests/ folder. Each test starts
 * its own, memory only where durability does not matter; whatever a failed test leaves running is
 * killed before the next starts. Bounds on memory hold for plain builds alone. */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN_BUILD false
#else
#define PLAIN_BUILD true
#endif

#define MIB ((size_t)1 << 20)
#define PATIENCE_MS 20000

static pid_t server_pid;
static int server_port;

/* -- The server -------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void server_path(char *path, size_t size)
{
    const char *given = getenv("BASIN_SERVER");
    if (given != NULL) {
        snprintf(path, size, "%s", given);
        return;
    }
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    EXPECT(length > 0);
    path[length] = 0;
    char *tests = strstr(path, "/tests/");
    EXPECT(tests != NULL);
    snprintf(tests, size - (size_t)(tests - path), "/basin-server");
}

static void server_kill(void)
{
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
        server_pid = 0;
    }
}

static int free_port(int family)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool v6 = family == AF_INET6;
    socklen_t size = v6 ? sizeof(in6) : sizeof(in);
    struct sockaddr *address = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
    EXPECT(fd >= 0 && bind(fd, address, size) == 0);
    EXPECT(getsockname(fd, address, &size) == 0);
    close(fd);
    return ntohs(v6 ? in6.sin6_port : in.sin_port);
}

static int try_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int connect_to_server(void)
{
    int fd = try_connect(server_port);
    EXPECT(fd >= 0);
    return fd;
}

/* Starts the process, without waiting for it. Arguments are words, NULL at the end. */
static void server_spawn(const char *dir, va_list list)
{
    char path[512];
    char port[16];
    char log[600];
    const char *words[40] = {NULL, "--port", port, "--dir", dir, "--logfile", log};
    int count = 7;
    server_kill();
    server_path(path, sizeof(path));
    EXPECT(access(path, X_OK) == 0);
    snprintf(port, sizeof(port), "%d", server_port);
    snprintf(log, sizeof(log), "%s/server.log", dir);
    words[0] = path;
    for (const char *word; (word = va_arg(list, const char *)) != NULL && count < 39;) {
        words[count++] = word;
    }
    words[count] = NULL;
    server_pid = fork();
    EXPECT(server_pid >= 0);
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(path, (char *const *)(uintptr_t)words);
        _exit(127);
    }
}

static void server_await(void)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        int fd = try_connect(server_port);
        if (fd >= 0) {
            close(fd);
            return;
        }
        EXPECT(waitpid(server_pid, NULL, WNOHANG) == 0);
        usleep(5000);
    }
    EXPECT(!"the server accepts connections");
}

/* Memory only, with these further words. */
static void server_start(const char *first, ...)
{
    static bool at_exit;
    va_list list;
    if (!at_exit) {
        at_exit = true;
        atexit(server_kill);
        signal(SIGPIPE, SIG_IGN);
    }
    server_port = free_port(AF_INET);
    va_start(list, first);
    /* first only names the durability, so that the list is never empty. */
    server_spawn(test_dir(), list);
    va_end(list);
    server_await();
}

#define MEMORY "memory", "--appendonly", "no"
#define DURABLE "durable", "--appendonly", "yes", "--appendfsync", "always"

static int server_wait_exit(void)
{
    int status = 0;
    for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end; usleep(2000)) {
        if (waitpid(server_pid, &status, WNOHANG) == server_pid) {
            server_pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
    }
    EXPECT(!"the server ends");
    return -1;
}

static int server_stop(void)
{
    kill(server_pid, SIGTERM);
    return server_wait_exit();
}

static size_t server_rss(void)
{
    char path[64];
    unsigned long pages = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)server_pid);
    FILE *file = fopen(path, "re");
    EXPECT(file != NULL);
    int count = fscanf(file, "%*u %lu", &pages);
    fclose(file);
    EXPECT_INT(count, 1);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* -- Clients ------------------------------------------------------------------------------------
 */

static void send_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        EXPECT(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

static void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

static void receive_all(int fd, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        ssize_t received = recv(fd, at, size, 0);
        EXPECT(received > 0);
        at += received;
        size -= (size_t)received;
    }
}

static void expect_text(int fd, const char *text)
{
    static char got[4096];
    size_t size = strlen(text);
    EXPECT(size < sizeof(got));
    receive_all(fd, got, size);
    got[size] = 0;
    EXPECT_TEXT(got, text);
}

static void ask(int fd, const char *request, const char *reply)
{
    send_text(fd, request);
    expect_text(fd, reply);
}

/* Everything up to the end of the connection. */
static void expect_last_text(int fd, const char *beginning)
{
    static char got[4096];
    size_t size = 0;
    for (;;) {
        ssize_t received = recv(fd, got + size, sizeof(got) - 1 - size, 0);
        if (received <= 0) {
            EXPECT(received == 0 || errno == ECONNRESET);
            break;
        }
        size += (size_t)received;
    }
    got[size] = 0;
    if (strncmp(got, beginning, strlen(beginning)) != 0) {
        EXPECT_TEXT(got, beginning);
    }
}

static bool is_closed_within(int fd, int patience_ms)
{
    struct pollfd pollfd = {fd, POLLIN, 0};
    char byte;
    return poll(&pollfd, 1, patience_ms) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* The longest of some pings, in ms. */
static uint64_t ping_ms(int fd, unsigned count)
{
    uint64_t longest = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t start = now_ms();
        ask(fd, "PING\r\n", "+PONG\r\n");
        uint64_t took = now_ms() - start;
        longest = took > longest ? took : longest;
        usleep(1000);
    }
    return longest;
}

static void set_large(int fd, const char *key, size_t size)
{
    char header[128];
    char *value = malloc(size + 2);
    EXPECT(value != NULL);
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)('a' + i % 23);
    }
    memcpy(value + size, "\r\n", 2);
    snprintf(header, sizeof(header), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key,
             size);
    send_text(fd, header);
    send_all(fd, value, size + 2);
    free(value);
    expect_text(fd, "+OK\r\n");
}

static void expect_large(int fd, size_t size)
{
    char header[32];
    char *value = malloc(size + 2);
    EXPECT(value != NULL);
    snprintf(header, sizeof(header), "$%zu\r\n", size);
    expect_text(fd, header);
    receive_all(fd, value, size + 2);
    bool same = memcmp(value + size, "\r\n", 2) == 0;
    for (size_t i = 0; i < size; i++) {
        same = same && value[i] == (char)('a' + i % 23);
    }
    free(value);
    EXPECT(same);
}

/* -- Requests
 * -------------------------------------------------------------------------------------- */

TEST(net_serves_a_request_however_it_is_split)
{
    server_start(MEMORY, NULL);
    int fd = connect_to_server();
    const char *request =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    size_t size = strlen(request);
    for (size_t i = 0; i < size; i++) {
        send_all(fd, request + i, 1);
        usleep(i % 7 == 0 ? 1000 : 0);
    }
    expect_text(fd, "+OK\r\n$5\r\nvalue\r\n");
    for (size_t cut = 1; cut < size; cut++) {
        send_all(fd, request, cut);
        usleep(200);
        send_all(fd, request + cut, size - cut);
        expect_text(fd, "+OK\r\n$5\r\nvalue\r\n");
    }
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

static void pipeline_of_ten_thousand(void)
{
    enum { COUNT = 10000 };
    static char requests[COUNT * 64];
    size_t size = 0;
    for (int i = 0; i < COUNT; i++) {
        size += (size_t)sprintf(requests + size, "*3\r\n$3\r\nSET\r\n$5\r\nk%04d\r\n$6\r\n%06d\r\n",
                                i % 10000, i);
    }
    int fd = connect_to_server();
    send_all(fd, requests, size);
    for (int i = 0; i < COUNT; i++) {
        expect_text(fd, "+OK\r\n");
    }
    size = 0;
    for (int i = 0; i < COUNT; i++) {
        size += (size_t)sprintf(requests + size, "GET k%04d\r\n", i);
    }
    send_all(fd, requests, size);
    for (int i = 0; i < COUNT; i++) {
        char reply[32];
        snprintf(reply, sizeof(reply), "$6\r\n%06d\r\n", i);
        expect_text(fd, reply);
    }
    close(fd);
}

TEST(net_serves_a_pipeline_of_ten_thousand_in_one_write)
{
    server_start(MEMORY, NULL);
    pipeline_of_ten_thousand();
    EXPECT_INT(server_stop(), 0);
}

TEST(net_serves_a_pipeline_of_ten_thousand_durable_writes)
{
    server_start(DURABLE, NULL);
    pipeline_of_ten_thousand();
    EXPECT_INT(server_stop(), 0);
}

/* Whatever is "cold" makes the call wait, its arguments and the pipeline behind it stay. */
TEST(net_resumes_calls_that_wait_in_the_middle_of_pipelines)
{
    server_start(DURABLE, "--simulate-misses", "yes", "--workers", "2", NULL);
    pipeline_of_ten_thousand();
    int fds[40];
    for (int i = 0; i < 40; i++) {
        fds[i] = connect_to_server();
    }
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++) {
            char text[256];
            snprintf(text, sizeof(text),
                     "SET own%d %d\r\nGET own%d\r\nPING\r\nGET k%04d\r\nGET own%d\r\n", i, round, i,
                     i * 97, i);
            send_text(fds[i], text);
        }
        for (int i = 0; i < 40; i++) {
            char text[256];
            int digits = round < 10 ? 1 : 2;
            snprintf(text, sizeof(text), "+OK\r\n$%d\r\n%d\r\n+PONG\r\n$6\r\n%06d\r\n$%d\r\n%d\r\n",
                     digits, round, i * 97, digits, round);
            expect_text(fds[i], text);
        }
    }
    for (int i = 0; i < 40; i++) { /* Some go while their calls may wait. */
        send_text(fds[i], "GET k0001\r\nGET k0002\r\nSET gone 1\r\n");
        close(fds[i]);
    }
    int fd = connect_to_server();
    ask(fd, "GET k0007\r\n", "$6\r\n000007\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

/* Gives connected_clients once it is wanted, or what it is when patience ends. */
static long connected_clients(int fd, long wanted)
{
    static char text[16384];
    long count = -1;
    for (uint64_t end = now_ms() + 5000; now_ms() < end && count != wanted; usleep(10000)) {
        size_t size = 0;
        char *header_end;
        char *field;
        send_text(fd, "INFO clients\r\n");
        do {
            ssize_t received = recv(fd, text + size, sizeof(text) - 1 - size, 0);
            EXPECT(received > 0);
            size += (size_t)received;
            text[size] = 0;
            header_end = strstr(text, "\r\n");
        } while (header_end == NULL ||
                 size < (size_t)(header_end - text) + strtoul(text + 1, NULL, 10) + 4);
        field = strstr(text, "connected_clients:");
        EXPECT(field != NULL);
        count = strtol(field + strlen("connected_clients:"), NULL, 10);
    }
    return count;
}

/* WAIT for a replica that there is not parks its client; nobody else waits with it. */
TEST(net_parks_a_call_until_its_time_and_goes_on_with_the_pipeline)
{
    server_start(MEMORY, "--workers", "1", NULL);
    int parked = connect_to_server();
    int other = connect_to_server();
    uint64_t start = now_ms();
    send_text(parked, "SET k 1\r\nWAIT 1 300\r\nINCR k\r\nWAIT 1 300\r\nGET k\r\n");
    expect_text(parked, "+OK\r\n");
    EXPECT(ping_ms(other, 50) < 200);
    ask(other, "GET k\r\n", "$1\r\n1\r\n");
    expect_text(parked, ":0\r\n:2\r\n:0\r\n$1\r\n2\r\n");
    EXPECT(now_ms() - start >= 600);
    EXPECT(now_ms() - start < 3000);
    close(parked);
    close(other);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_forgets_parked_clients_that_hang_up)
{
    server_start(MEMORY, "--workers", "2", NULL);
    int fd = connect_to_server();
    EXPECT_INT(connected_clients(fd, 1), 1);
    int parked[20];
    for (int i = 0; i < 20; i++) {
        parked[i] = connect_to_server();
        send_text(parked[i], "WAIT 1 0\r\n");
    }
    EXPECT_INT(connected_clients(fd, 21), 21);
    for (int i = 0; i < 20; i++) {
        if (i % 2 == 0) { /* Behind it lies what will never be run. */
            send_text(parked[i], "PING\r\n");
        }
        usleep(1000);
    }
    for (int i = 0; i < 19; i++) {
        close(parked[i]);
    }
    EXPECT_INT(connected_clients(fd, 2), 2);
    uint64_t start = now_ms(); /* The last one is parked still: no reason not to stop. */
    EXPECT_INT(server_stop(), 0);
    EXPECT(now_ms() - start < 2000);
    close(parked[19]);
    close(fd);
}

TEST(net_answers_a_protocol_error_and_closes)
{
    server_start(MEMORY, NULL);
    int fd = connect_to_server();
    send_text(fd, "PING\r\n*1\r\n:4\r\n");
    expect_text(fd, "+PONG\r\n");
    expect_last_text(fd, "-ERR Protocol error: expected '$', got ':'\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_closes_after_quit_and_runs_nothing_behind_it)
{
    server_start(DURABLE, NULL);
    int fd = connect_to_server();
    send_text(fd, "SET k 1\r\nQUIT\r\nSET k 2\r\n");
    expect_last_text(fd, "+OK\r\n+OK\r\n");
    close(fd);
    fd = connect_to_server();
    ask(fd, "GET k\r\n", "$1\r\n1\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

/* An end of input is not the end of output: the write is flushed and its reply still sent. */
TEST(net_answers_a_client_that_has_ended_its_input)
{
    server_start(DURABLE, NULL);
    for (int i = 0; i < 50; i++) {
        int fd = connect_to_server();
        send_text(fd, "SET k v\r\nINCR n\r\nGET k\r\nGET incompl");
        shutdown(fd, SHUT_WR);
        char text[64];
        snprintf(text, sizeof(text), "+OK\r\n:%d\r\n$1\r\nv\r\n", i + 1);
        expect_text(fd, text);
        expect_last_text(fd, "");
        close(fd);
    }
    EXPECT_INT(server_stop(), 0);
}

/* -- Clients that cost
 * ----------------------------------------------------------------------------- */

TEST(net_bounds_what_a_slow_reader_costs_and_serves_the_others)
{
    enum { COUNT = 100 };
    server_start(MEMORY, NULL);
    int other = connect_to_server();
    int slow = connect_to_server();
    set_large(other, "large", MIB);
    ask(other, "GET none\r\n", "$-1\r\n");
    size_t before = server_rss();
    for (int i = 0; i < COUNT; i++) {
        send_text(slow, "GET large\r\n");
    }
    EXPECT(ping_ms(other, 200) < (PLAIN_BUILD ? 300 : 2000));
    if (PLAIN_BUILD) {
        EXPECT(server_rss() < before + 12 * MIB);
    }
    for (int i = 0; i < COUNT; i++) {
        expect_large(slow, MIB);
    }
    ask(slow, "PING\r\n", "+PONG\r\n");
    close(slow);
    close(other);
    EXPECT_INT(server_stop(), 0);
}

/* Sends as much as goes within the time, reading nothing. Gives how much that was. */
static size_t send_without_end(int fd, const char *data, size_t size, uint64_t time_ms)
{
    size_t sent = 0;
    size_t at = 0;
    for (uint64_t end = now_ms() + time_ms; now_ms() < end;) {
        ssize_t taken = send(fd, data + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken > 0) {
            sent += (size_t)taken;
            at = (at + (size_t)taken) % size;
        } else if (errno == EAGAIN) {
            usleep(1000);
        } else {
            break;
        }
    }
    return sent;
}

TEST(net_bounds_what_a_sender_without_end_costs_and_serves_the_others)
{
    static char pings[6 * 20000 + 1];
    for (int i = 0; i < 20000; i++) {
        memcpy(pings + 6 * i, "PING\r\n", 6);
    }
    server_start(MEMORY, NULL);
    int other = connect_to_server();
    int sender = connect_to_server();
    size_t before = server_rss();
    send_without_end(sender, pings, 6 * 20000, 1000);
    EXPECT(ping_ms(other, 200) < (PLAIN_BUILD ? 300 : 2000));
    if (PLAIN_BUILD) {
        EXPECT(server_rss() < before + 16 * MIB);
    }
    close(sender);
    EXPECT(ping_ms(other, 10) < 2000);
    close(other);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_shares_its_time_among_clients)
{
    static char requests[(size_t)11 * 10000 + 1];
    for (int i = 0; i < 10000; i++) {
        memcpy(requests + (size_t)11 * i, "INCR busy\r\n", 11);
    }
    server_start(MEMORY, "--workers", "1", NULL);
    int other = connect_to_server();
    int busy[4];
    for (int i = 0; i < 4; i++) {
        busy[i] = connect_to_server();
        send_all(busy[i], requests, (size_t)11 * 10000);
    }
    EXPECT(ping_ms(other, 20) < (PLAIN_BUILD ? 300 : 2000));
    for (int i = 0; i < 4; i++) {
        close(busy[i]);
    }
    close(other);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_gives_no_memory_for_what_is_only_announced)
{
    enum { COUNT = 200 };
    server_start(MEMORY, NULL);
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = connect_to_server();
    }
    int other = connect_to_server();
    ask(other, "PING\r\n", "+PONG\r\n");
    size_t before = server_rss();
    for (int i = 0; i < COUNT; i++) {
        send_text(fds[i], i % 2 == 0 ? "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nsome"
                                     : "*1048576\r\n$1\r\nk\r\n");
    }
    ask(other, "PING\r\n", "+PONG\r\n");
    if (PLAIN_BUILD) {
        EXPECT(server_rss() < before + 8 * MIB);
    }
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
    ask(other, "PING\r\n", "+PONG\r\n");
    close(other);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_takes_large_values_whole)
{
    server_start(MEMORY, NULL);
    int fd = connect_to_server();
    static const size_t sizes[] = {32767, 32768, 65536, 70000, 1 << 20, 5000001, 50000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        set_large(fd, "large", sizes[i]);
        send_text(fd, "GET large\r\nPING\r\n");
        expect_large(fd, sizes[i]);
        expect_text(fd, "+PONG\r\n");
    }
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_holds_ten_thousand_idle_connections_in_100_mb)
{
    enum { COUNT = 10000 };
    static int fds[COUNT];
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < COUNT + 200) {
        printf("skipped: only %llu open files are allowed\n", (unsigned long long)limit.rlim_cur);
        return;
    }
    server_start(MEMORY, "--maxclients", "11000", NULL);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = connect_to_server();
        send_text(fds[i], "SET k v\r\nGET k\r\n*1\r\n");
    }
    for (int i = 0; i < COUNT; i++) {
        expect_text(fds[i], "+OK\r\n$1\r\nv\r\n");
    }
    if (PLAIN_BUILD) {
        EXPECT(server_rss() < 100 * 1000 * 1000);
    }
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
    int fd = connect_to_server();
    ask(fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

/* -- Limits
 * ------------------------------------------------------------------------------------------ */

TEST(net_refuses_more_than_maxclients)
{
    server_start(MEMORY, "--maxclients", "3", NULL);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        for (;;) { /* server_await's own connection may not be forgotten yet. */
            fds[i] = connect_to_server();
            send_text(fds[i], "PING\r\n");
            char byte;
            if (recv(fds[i], &byte, 1, 0) == 1 && byte == '+') {
                expect_text(fds[i], "PONG\r\n");
                break;
            }
            close(fds[i]);
        }
    }
    int fd = connect_to_server();
    expect_last_text(fd, "-ERR max number of clients reached\r\n");
    close(fd);
    close(fds[0]);
    usleep(100000);
    fd = connect_to_server();
    ask(fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_closes_idle_clients_after_timeout)
{
    server_start(MEMORY, "--timeout", "1", NULL);
    int idle = connect_to_server();
    int busy = connect_to_server();
    uint64_t start = now_ms();
    for (int i = 0; i < 25; i++) {
        ask(busy, "PING\r\n", "+PONG\r\n");
        usleep(100000);
    }
    EXPECT(is_closed_within(idle, 2000));
    EXPECT(now_ms() - start < 5000);
    ask(busy, "PING\r\n", "+PONG\r\n");
    close(idle);
    close(busy);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_closes_clients_over_their_output_limit)
{
    server_start(MEMORY, "--client-output-buffer-limit", "normal", "200000", "0", "0", NULL);
    int fd = connect_to_server();
    set_large(fd, "large", MIB / 8);
    send_text(fd, "GET large\r\n");
    expect_large(fd, MIB / 8);
    static char requests[11 * 1000];
    for (int i = 0; i < 1000; i++) {
        memcpy(requests + (size_t)11 * i, "GET large\r\n", 11);
    }
    send_without_end(fd, requests, sizeof(requests), 500);
    static char drain[65536];
    ssize_t size;
    size_t total = 0;
    while ((size = recv(fd, drain, sizeof(drain), 0)) > 0) {
        total += (size_t)size;
    }
    EXPECT(size == 0 || errno == ECONNRESET);
    EXPECT(total < 100 * MIB);
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_closes_clients_over_their_query_limit)
{
    server_start(MEMORY, "--client-query-buffer-limit", "1mb", NULL);
    int fd = connect_to_server();
    send_text(fd, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n");
    static char zeros[4 * MIB];
    send_without_end(fd, zeros, sizeof(zeros), 1000);
    EXPECT(is_closed_within(fd, 5000));
    close(fd);
    fd = connect_to_server();
    ask(fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_closes_a_line_without_end)
{
    server_start(MEMORY, NULL);
    int fd = connect_to_server();
    static char line[100000];
    memset(line, 'x', sizeof(line));
    send_without_end(fd, line, sizeof(line), 300);
    expect_last_text(fd, "-ERR Protocol error: too big inline request\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_kills_a_client_on_another_worker)
{
    server_start(MEMORY, "--workers", "2", NULL);
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = connect_to_server();
        ask(fds[i], "PING\r\n", "+PONG\r\n");
    }
    for (int i = 1; i < 4; i++) {
        struct sockaddr_in address;
        socklen_t size = sizeof(address);
        char text[64];
        EXPECT(getsockname(fds[i], (struct sockaddr *)&address, &size) == 0);
        snprintf(text, sizeof(text), "CLIENT KILL 127.0.0.1:%d\r\n", ntohs(address.sin_port));
        ask(fds[0], text, "+OK\r\n");
        EXPECT(is_closed_within(fds[i], 5000));
        close(fds[i]);
    }
    ask(fds[0], "PING\r\n", "+PONG\r\n");
    close(fds[0]);
    EXPECT_INT(server_stop(), 0);
}

/* -- Addresses -----------------------------------------------------------------------------------
 */

TEST(net_listens_on_a_unix_socket)
{
    char path[100];
    snprintf(path, sizeof(path), "%s/basin.sock", test_dir());
    server_start(MEMORY, "--unixsocket", path, "--unixsocketperm", "700", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    ask(fd, "SET k v\r\nGET k\r\n", "+OK\r\n$1\r\nv\r\n");
    close(fd);
    EXPECT_INT(server_stop(), 0);
    EXPECT(access(path, F_OK) != 0);
}

TEST(net_listens_on_several_addresses_of_both_families)
{
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    bool v6 = probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(probe);
    /* 203.0.113.7 is nobody's: optional, so no error. */
    server_start(MEMORY, "--bind", "127.0.0.1", "-::1", "-203.0.113.7", NULL);
    int fd = connect_to_server();
    ask(fd, "PING\r\n", "+PONG\r\n");
    close(fd);
    if (v6) {
        address.sin6_port = htons((uint16_t)server_port);
        fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        ask(fd, "PING\r\n", "+PONG\r\n");
        close(fd);
    }
    EXPECT_INT(server_stop(), 0);
}

TEST(net_refuses_to_start_on_an_address_in_use)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char port[16];
    EXPECT(bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 5) == 0);
    EXPECT(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
    server_port = ntohs(address.sin_port);
    server_start(MEMORY, NULL); /* Another port: only to have the process machinery ready. */
    EXPECT_INT(server_stop(), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        char path[512];
        server_path(path, sizeof(path));
        execl(path, path, "--port", port, "--dir", test_dir(), "--appendonly", "no", "--logfile",
              "/dev/null", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(fd);
}

TEST(net_turns_strangers_away_in_protected_mode)
{
    struct ifaddrs *all = NULL;
    struct sockaddr_in outside = {0};
    EXPECT(getifaddrs(&all) == 0);
    for (struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        if (one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET) {
            struct sockaddr_in in;
            memcpy(&in, one->ifa_addr, sizeof(in));
            if (ntohl(in.sin_addr.s_addr) >> 24 != 127) {
                outside = in;
            }
        }
    }
    freeifaddrs(all);
    if (outside.sin_family == 0) {
        printf("skipped: there is no address but loopback\n");
        return;
    }
    server_start(MEMORY, "--bind", "*", NULL);
    outside.sin_port = htons((uint16_t)server_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(connect(fd, (struct sockaddr *)&outside, sizeof(outside)) == 0);
    expect_last_text(fd, "-DENIED ");
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

/* -- The end -------------------------------------------------------------------------------------
 */

TEST(net_keeps_what_it_acknowledged_over_a_stop_under_load)
{
    server_start(DURABLE, "--workers", "2", NULL);
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = connect_to_server();
    }
    char text[64];
    long acknowledged[8] = {0};
    for (int round = 1; round <= 200; round++) {
        if (round == 200) {
            kill(server_pid, SIGTERM);
        }
        for (int i = 0; i < 8; i++) {
            snprintf(text, sizeof(text), "INCR n%d\r\n", i);
            (void)!send(fds[i], text, strlen(text), MSG_NOSIGNAL);
        }
        for (int i = 0; i < 8; i++) {
            char got[32];
            ssize_t size = recv(fds[i], got, sizeof(got) - 1, 0);
            if (size > 0) {
                got[size] = 0;
                acknowledged[i] = strtol(got + 1, NULL, 10);
            }
        }
    }
    EXPECT_INT(server_wait_exit(), 0);
    server_start(DURABLE, NULL);
    int fd = connect_to_server();
    for (int i = 0; i < 8; i++) {
        char got[64];
        snprintf(text, sizeof(text), "INCR n%d\r\n", i);
        send_text(fd, text);
        ssize_t size = recv(fd, got, sizeof(got) - 1, 0);
        EXPECT(size > 0);
        got[size] = 0;
        EXPECT(strtol(got + 1, NULL, 10) > acknowledged[i]);
        EXPECT(acknowledged[i] >= 199);
        close(fds[i]);
    }
    close(fd);
    EXPECT_INT(server_stop(), 0);
}

TEST(net_ends_by_sigint_and_by_shutdown)
{
    server_start(DURABLE, NULL);
    kill(server_pid, SIGINT);
    EXPECT_INT(server_wait_exit(), 0);
    server_start(DURABLE, "--workers", "2", NULL);
    int idle = connect_to_server();
    int fd = connect_to_server();
    send_text(fd, "SET k v\r\nSHUTDOWN\r\n");
    expect_last_text(fd, "+OK\r\n");
    EXPECT_INT(server_wait_exit(), 0);
    close(fd);
    close(idle);
}
