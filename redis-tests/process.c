#include "redis-tests/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64
#define WAIT_MS_DEFAULT 30000
/* Another process may take the free port before the server does. */
#define PORT_TRIES 5
#define PORT_FIRST 12000
#define PORT_COUNT 20000u

struct process {
    char *binary, *dir;
    char *arguments[ARGUMENTS_MAX + 1];
    bool own_dir;
    int port, wait_ms;
    pid_t pid; /* 0: not running */
};

static _Noreturn void die(const struct process *server, const char *what)
{
    fprintf(stderr, "%s: %s (directory %s): %s\n", server->binary, what, server->dir,
            strerror(errno));
    exit(1);
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

const char *process_binary(void)
{
    const char *named = getenv("BASIN_SERVER");
    return named != NULL && named[0] != '\0' ? named : "build/release/basin-server";
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

/* From below the range that the kernel gives to outgoing connections: one of those could take the
 * port while the server is down, a client that tries to reconnect to it for one. */
int process_free_port(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    unsigned start = (unsigned)getpid() * 7919u + (unsigned)now.tv_nsec / 1000u;
    for (unsigned i = 0; i < PORT_COUNT; i++) {
        int port = PORT_FIRST + (int)((start + i) % PORT_COUNT);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = loopback(port);
        bool free_port = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        if (fd >= 0) {
            close(fd);
        }
        if (free_port) {
            return port;
        }
    }
    perror("no free port");
    exit(1);
}

/* ------------------------------------------------------------------------------------------
 * Starting.
 */

static void run_child(const struct process *server, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127); /* The parent went before prctl. */
    }
    char path[4096];
    snprintf(path, sizeof(path), "%s/server.log", server->dir);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(127);
    }
    char port[16];
    snprintf(port, sizeof(port), "%d", server->port);
    char port_word[] = "--port";
    char dir_word[] = "--dir";
    char *argv[ARGUMENTS_MAX + 8] = {server->binary, port_word, port, dir_word, server->dir};
    size_t count = 5;
    for (size_t i = 0; server->arguments[i] != NULL; i++) {
        argv[count++] = server->arguments[i];
    }
    execvp(server->binary, argv);
    dprintf(2, "cannot run %s: %s\n", server->binary, strerror(errno));
    _exit(127);
}

/* Whether PING is answered now, other than by -LOADING. */
static bool answers(const struct process *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(server->port);
    bool fine = false;
    char reply[64] = "";
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        write(fd, "PING\r\n", 6) == 6) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t size = poll(&ready, 1, 2000) == 1 ? read(fd, reply, sizeof(reply) - 1) : 0;
        fine =
            size > 0 && (reply[0] == '+' || reply[0] == '-') && strncmp(reply, "-LOADING", 8) != 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return fine;
}

bool process_ended(struct process *server)
{
    if (server->pid != 0 && waitpid(server->pid, NULL, WNOHANG) == server->pid) {
        server->pid = 0;
    }
    return server->pid == 0;
}

/* False: it ended, or did not answer in time and was killed. */
static bool launch(struct process *server)
{
    pid_t parent = getpid();
    fflush(NULL);
    server->pid = fork();
    if (server->pid < 0) {
        die(server, "cannot fork");
    }
    if (server->pid == 0) {
        run_child(server, parent);
    }
    long long end = now_ms() + server->wait_ms;
    for (long pause = 2; !answers(server); pause = pause < 50 ? pause * 2 : 50) {
        if (process_ended(server)) {
            return false;
        }
        if (now_ms() > end) {
            process_kill(server);
            return false;
        }
        sleep_ms(pause);
    }
    return !process_ended(server); /* Else somebody else answered on that port. */
}

static void show_log(const struct process *server)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/server.log", server->dir);
    FILE *log = fopen(path, "r");
    char line[1024];
    while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
        fputs(line, stderr);
    }
    if (log != NULL) {
        fclose(log);
    }
}

static void arguments_set(struct process *server, const char *const *arguments)
{
    for (size_t i = 0; server->arguments[i] != NULL; i++) {
        free(server->arguments[i]);
        server->arguments[i] = NULL;
    }
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL; i++) {
        if (i == ARGUMENTS_MAX) {
            errno = E2BIG;
            die(server, "too many arguments");
        }
        server->arguments[i] = strdup(arguments[i]);
    }
}

struct process *process_start(const struct process_options *options)
{
    struct process *server = calloc(1, sizeof(*server));
    char dir[] = "/tmp/basin-server-XXXXXX";
    server->binary = strdup(options->binary != NULL ? options->binary : process_binary());
    server->own_dir = options->dir == NULL;
    server->dir = strdup(options->dir != NULL ? options->dir : dir);
    if (server->own_dir && mkdtemp(server->dir) == NULL) {
        die(server, "cannot make a directory");
    }
    server->wait_ms = options->wait_ms != 0 ? options->wait_ms : WAIT_MS_DEFAULT;
    arguments_set(server, options->arguments);
    for (int i = 0; i < PORT_TRIES; i++) {
        server->port = options->port != 0 ? options->port : process_free_port();
        if (launch(server)) {
            return server;
        }
        if (options->port != 0) {
            break;
        }
    }
    show_log(server);
    process_free(server);
    return NULL;
}

void process_restart(struct process *server)
{
    if (!process_ended(server)) {
        errno = EBUSY;
        die(server, "still running");
    }
    if (!launch(server)) {
        show_log(server);
        errno = ECHILD;
        die(server, "does not come up again");
    }
}

void process_restart_with(struct process *server, const char *const *arguments)
{
    arguments_set(server, arguments);
    process_restart(server);
}

/* ------------------------------------------------------------------------------------------
 * Ending.
 */

int process_stop(struct process *server)
{
    if (process_ended(server)) {
        return -1;
    }
    kill(server->pid, SIGTERM);
    long long end = now_ms() + server->wait_ms;
    int state;
    for (;;) {
        pid_t pid = waitpid(server->pid, &state, WNOHANG);
        if (pid == server->pid) {
            server->pid = 0;
            return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
        }
        if (pid < 0 && errno != EINTR) {
            die(server, "cannot wait for it");
        }
        if (now_ms() > end) {
            process_kill(server);
            return -1;
        }
        sleep_ms(1);
    }
}

void process_kill(struct process *server)
{
    if (server->pid == 0) {
        return;
    }
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    server->pid = 0;
}

void process_free(struct process *server)
{
    if (server == NULL) {
        return;
    }
    process_kill(server);
    if (server->own_dir) {
        char command[128];
        snprintf(command, sizeof(command), "rm -rf '%s'", server->dir);
        if (system(command) != 0) {
            fprintf(stderr, "cannot remove %s\n", server->dir);
        }
    }
    arguments_set(server, NULL);
    free(server->binary);
    free(server->dir);
    free(server);
}

int process_port(const struct process *server)
{
    return server->port;
}

const char *process_dir(const struct process *server)
{
    return server->dir;
}

pid_t process_pid(const struct process *server)
{
    return server->pid;
}
