/* wire: a real server on a free port, and clients that say to it, byte by byte, what they like.
 *
 * The server is BASIN_SERVER, or basin-server beside this program's tests/ folder. Whatever a
 * failed test leaves running is killed before the next server starts, and at exit. All that may
 * fail ends the test (test.h). Replies that do not come within PATIENCE_MS fail too. Thread: one.
 */
#ifndef BASIN_TESTS_LIB_WIRE_H
#define BASIN_TESTS_LIB_WIRE_H

#include "tests/lib/test.h"

/* Bounds on memory and time that hold for plain builds alone. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN_BUILD false
#else
#define PLAIN_BUILD true
#endif

#define MIB ((size_t)1 << 20)
#define PATIENCE_MS 20000

uint64_t now_ms(void);

/* -- The server -------------------------------------------------------------------------------- */

/* In test_dir(), with these further words, the last NULL; ends the one before. The first only names
 * the durability: MEMORY or DURABLE. */
void server_start(const char *first, ...);
#define MEMORY "memory", "--appendonly", "no"
#define DURABLE "durable", "--appendonly", "yes", "--appendfsync", "always"
void server_signal(int number);
/* Gives the exit code, over 1000 that of a signal. */
int server_wait_exit(void);
int server_stop(void); /* By SIGTERM, and waits. */
int server_port(void);
size_t server_rss(void); /* Bytes. */
/* Of the program. */
void server_path(char *path, size_t size);

/* -- Clients ------------------------------------------------------------------------------------
 */

int connect_to_server(void);
void send_all(int fd, const void *data, size_t size);
void send_text(int fd, const char *text);
/* Sends as much as goes within the time, reading nothing. Gives how much that was. */
size_t send_without_end(int fd, const char *data, size_t size, uint64_t time_ms);
void expect_text(int fd, const char *text);
/* The rest up to the end of the connection begins so. */
void expect_last_text(int fd, const char *beginning);
void ask(int fd, const char *request, const char *reply);
bool is_closed_within(int fd, int patience_ms);
/* The longest of some pings, in ms. */
uint64_t ping_ms(int fd, unsigned count);
/* A value that says its own bytes, and the reply that holds it. */
void set_large(int fd, const char *key, size_t size);
void expect_large(int fd, size_t size);

#endif
