#include "tests/lib/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t server_pid;
static int port_number;

/* -- The server -------------------------------------------------------------------------------- */

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void server_path(char *path, size_t size)
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

int connect_to_server(void)
{
    int fd = try_connect(port_number);
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
    snprintf(port, sizeof(port), "%d", port_number);
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
        int fd = try_connect(port_number);
        if (fd >= 0) {
            close(fd);
            return;
        }
        EXPECT(waitpid(server_pid, NULL, WNOHANG) == 0);
        usleep(5000);
    }
    EXPECT(!"the server accepts connections");
}

void server_start(const char *first, ...)
{
    static bool at_exit;
    va_list list;
    if (!at_exit) {
        at_exit = true;
        atexit(server_kill);
        signal(SIGPIPE, SIG_IGN);
    }
    port_number = free_port(AF_INET);
    va_start(list, first);
    server_spawn(test_dir(), list);
    va_end(list);
    server_await();
}

int server_wait_exit(void)
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

void server_signal(int number)
{
    kill(server_pid, number);
}

int server_port(void)
{
    return port_number;
}

int server_stop(void)
{
    server_signal(SIGTERM);
    return server_wait_exit();
}

size_t server_rss(void)
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

void send_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        EXPECT(sent > 0);
        at += sent;
        size -= (size_t)sent;
    }
}

void send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

size_t send_without_end(int fd, const char *data, size_t size, uint64_t time_ms)
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

void expect_text(int fd, const char *text)
{
    static char got[4096];
    size_t size = strlen(text);
    EXPECT(size < sizeof(got));
    receive_all(fd, got, size);
    got[size] = 0;
    EXPECT_TEXT(got, text);
}

void ask(int fd, const char *request, const char *reply)
{
    send_text(fd, request);
    expect_text(fd, reply);
}

void expect_last_text(int fd, const char *beginning)
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

bool is_closed_within(int fd, int patience_ms)
{
    struct pollfd pollfd = {fd, POLLIN, 0};
    char byte;
    return poll(&pollfd, 1, patience_ms) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

uint64_t ping_ms(int fd, unsigned count)
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

void set_large(int fd, const char *key, size_t size)
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

void expect_large(int fd, size_t size)
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
