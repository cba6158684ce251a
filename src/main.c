/* The process: configuration, store, network, in this order; and back. */
#include "engine/base/log.h"
#include "src/config/config.h"
#include "src/dispatch/command.h"
#include "src/net/net.h"
#include "src/server.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PIDFILE_DEFAULT "/var/run/basin.pid"

/* The parent goes, the child has neither terminal nor session. Before any thread is started. */
static bool daemonize(void)
{
    pid_t pid = fork();
    if (pid < 0) {
        log_line(LOG_WARNING, "cannot fork: %s", strerror(errno));
        return false;
    }
    if (pid > 0) {
        _exit(0);
    }
    setsid();
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        if (fd > STDERR_FILENO) {
            close(fd);
        }
    }
    return true;
}

/* As Redis: a failure is worth a line, not the end. NULL: none is written. */
static const char *pidfile_write(const struct config *config)
{
    bool background = config_get(&config->daemonize) != 0;
    const char *path = config->pidfile;
    if (path == NULL || path[0] == 0) {
        path = background ? PIDFILE_DEFAULT : NULL;
    }
    if (path == NULL) {
        return NULL;
    }
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        log_line(LOG_WARNING, "Failed to write PID file %s: %s", path, strerror(errno));
        return NULL;
    }
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    return path;
}

static bool serve(struct server *server)
{
    struct net *net = NULL;
    bool served = net_open(server, &net) == ST_OK && server_open_store(server) == ST_OK &&
                  net_start(net) == ST_OK;
    if (served) {
        log_line(LOG_NOTICE, "Ready to accept connections");
        net_run(net);
        served = !basin_dead(server->basin);
    }
    net_close(net);
    if (server->basin != NULL) {
        while (atomic_load(&server->syncs) > 0) { /* The threads of SAVE and its kin. */
            usleep(1000);
        }
        basin_close(server->basin);
        server->basin = NULL;
    }
    net_free(net);
    server->net = NULL;
    return served;
}

/* Merges and settle rounds take buffers of a few MiB and give them back. Left to itself the
 * allocator learns to keep such blocks, in an arena a thread: with 2 M keys and a limit of 256 MiB,
 * 290 MiB of 520 resident were free memory that it held. */
#define ALLOCATOR_GIVES_BACK (256 << 10)

int main(int argc, char **argv)
{
    (void)mallopt(M_MMAP_THRESHOLD, ALLOCATOR_GIVES_BACK);
    struct config *config = config_new();
    if (config == NULL) {
        fprintf(stderr, "no memory\n");
        return 1;
    }
    setlocale(LC_COLLATE, "");
    tzset();
    enum config_outcome outcome = config_load(config, argc, argv);
    if (outcome != CONFIG_RUN) {
        config_free(config);
        return outcome == CONFIG_DONE ? 0 : 1;
    }
    log_set_level((enum log_level)config_get(&config->loglevel));
    if (!log_set_file(config->logfile)) {
        fprintf(stderr, "Can't open the log file %s: %s\n", config->logfile, strerror(errno));
        config_free(config);
        return 1;
    }
    if (config_get(&config->daemonize) != 0 && !daemonize()) {
        config_free(config);
        return 1;
    }
    command_table_init();
    struct server server;
    bool served = false;
    if (server_init(&server, config) == ST_OK) {
        const char *pidfile = pidfile_write(config);
        served = serve(&server);
        if (pidfile != NULL) {
            unlink(pidfile);
        }
        log_line(LOG_NOTICE, served ? "Basin is now ready to exit, bye bye..."
                                    : "Basin stopped after a failure");
        server_deinit(&server);
    }
    config_free(config);
    return served ? 0 : 1;
}
