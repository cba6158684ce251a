/* A real server, and clients that behave as badly as clients do: requests in pieces and in heaps,
 * addresses, the end. What clients may cost is in test_src_net_limits.c. */
#include "tests/lib/wire.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

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
        address.sin6_port = htons((uint16_t)server_port());
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
    outside.sin_port = htons((uint16_t)server_port());
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
            server_signal(SIGTERM);
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
    server_signal(SIGINT);
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
