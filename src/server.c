#include "src/server.h"

#include "engine/base/log.h"
#include "src/config/config.h"
#include "src/stats/stats.h"

#include <sys/random.h>
#include <time.h>

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 40 hex digits that name this run of the process. */
static void run_id_draw(char *run_id)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char chance[20];
    if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance)) {
        uint64_t now = (uint64_t)wall_ms(); /* It only has to differ from other runs. */
        for (size_t i = 0; i < sizeof(chance); i++) {
            now = now * 6364136223846793005u + 1442695040888963407u;
            chance[i] = (unsigned char)(now >> 56);
        }
    }
    for (size_t i = 0; i < sizeof(chance); i++) {
        run_id[2 * i] = digits[chance[i] >> 4];
        run_id[2 * i + 1] = digits[chance[i] & 15];
    }
    run_id[2 * sizeof(chance)] = '\0';
}

enum status server_init(struct server *server, struct config *config)
{
    *server = (struct server){.config = config};
    server->stats = stats_new();
    if (server->stats == NULL) {
        return ST_NOMEM;
    }
    pthread_mutex_init(&server->clients_mutex, NULL);
    run_id_draw(server->run_id);
    server->started_ms = wall_ms();
    server->workers = (unsigned)config_get(&config->workers);
    atomic_store(&server->next_client_id, 1);
    atomic_store(&server->last_save_ms, server->started_ms);
    return ST_OK;
}

void server_deinit(struct server *server)
{
    if (server->stats != NULL) {
        pthread_mutex_destroy(&server->clients_mutex);
        stats_free(server->stats);
        server->stats = NULL;
    }
}

static const char *durability_name(const struct config *config)
{
    static const char *const names[] = {
        [WLOG_SYNC_ALWAYS] = "appendfsync always",
        [WLOG_SYNC_EVERYSEC] = "appendfsync everysec",
        [WLOG_SYNC_NO] = "appendfsync no",
    };
    if (config_get(&config->appendonly) == 0) {
        return "none (memory only)";
    }
    return names[config_get(&config->appendfsync)];
}

enum status server_open_store(struct server *server)
{
    struct config *config = server->config;
    struct basin_options options = config_basin_options(config);
    enum status status = basin_open(&options, &server->basin);
    if (status != ST_OK) {
        const char *why = status == ST_BUSY   ? "another server has it open"
                          : status == ST_FULL ? "the disk is full"
                                              : status_name(status);
        log_line(LOG_WARNING, "Cannot open the store in %s: %s", config->dir, why);
        return status;
    }
    struct basin_stats stats;
    basin_get_stats(server->basin, &stats);
    log_line(LOG_NOTICE,
             "Basin %s, port %d, dir %s, durability %s, road %s, %u workers, %u shards, %llu keys "
             "from %llu records replayed in %llu ms",
             BASIN_VERSION, (int)config_get(&config->port), config->dir, durability_name(config),
             stats.road == NULL ? "none" : stats.road, server->workers, stats.shards,
             (unsigned long long)stats.keys, (unsigned long long)stats.replayed_records,
             (unsigned long long)(stats.replay_us / 1000));
    return ST_OK;
}
