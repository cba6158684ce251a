/* What one client may cost a real server and the others, and where it is closed. */
#include "tests/lib/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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
