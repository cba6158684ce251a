/* process: a server process for tests: started in a scratch directory on a free port, stopped,
 * killed and started again by its pid. Any server that takes --port and --dir and speaks RESP will
 * do, so also redis-server.
 *
 *     process_start → … → process_kill or process_stop → process_restart → … → process_free
 *
 * A process never outlives the test program: the kernel kills it with its parent. What it prints is
 * in the file server.log of its directory.
 * Thread: one at a time. What cannot be (no port, no fork, a server that does not come up again)
 * ends the program with a message: a test without its server has nothing to say.
 */
#ifndef BASIN_REDIS_TESTS_PROCESS_H
#define BASIN_REDIS_TESTS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct process; /* opaque */

/* What BASIN_SERVER in the environment names; else build/release/basin-server. */
const char *process_binary(void);

struct process_options {
    const char *binary;           /* NULL: process_binary(). */
    const char *dir;              /* NULL: a fresh one, removed by process_free. */
    int port;                     /* 0: a free one. */
    const char *const *arguments; /* Further ones, ends with NULL; NULL: none. Copied. */
    int wait_ms;                  /* How long it may take to answer; 0: 30 seconds. */
};

/* Starts and waits until PING is answered (an error such as -NOAUTH is an answer, -LOADING is not).
 * NULL: it ended or did not answer in time, and its output was copied to standard error. The server
 * is given. */
struct process *process_start(const struct process_options *options);

/* SIGTERM, and waits for the end. The exit code; -1 if a signal ended it or if it had to be killed
 * after wait_ms. */
int process_stop(struct process *server);
/* SIGKILL, and waits for the end. */
void process_kill(struct process *server);
/* Starts a stopped or killed server again on its directory and port; waits until it answers. */
void process_restart(struct process *server);
/* The same with other further arguments from now on. */
void process_restart_with(struct process *server, const char *const *arguments);
/* Kills it if it runs. */
void process_free(struct process *server);

int process_port(const struct process *server);
const char *process_dir(const struct process *server); /* Lent until process_free. */
pid_t process_pid(const struct process *server);       /* 0: not running. */
/* True if it has ended by itself; it then counts as stopped. */
bool process_ended(struct process *server);

/* A port of 127.0.0.1 that nobody listens on at this moment. */
int process_free_port(void);

#endif
