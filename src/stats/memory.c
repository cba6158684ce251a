#include "src/stats/memory.h"

#include "src/server.h"
#include "src/stats/stats.h"

#include <stdio.h>
#include <unistd.h>

/* Stacks, arenas, the log's buffers: they come and go without any key. */
#define UNEXPLAINED_NOISE (16u << 20)
#define SHARE_MAX 0.25
/* How much of the way to what was measured one sample goes: half of it in five seconds. */
#define SHARE_STEP (1.0 / 64)

uint64_t memory_resident(void)
{
    unsigned long long total = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%llu %llu", &total, &resident) != 2) {
        resident = 0;
    }
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

double memory_share(uint64_t resident, uint64_t program, uint64_t counted)
{
    uint64_t explained = program + counted + UNEXPLAINED_NOISE;
    if (resident <= explained) {
        return 0;
    }
    double rest = (double)(resident - explained);
    return rest < SHARE_MAX * (double)counted ? rest / (double)counted : SHARE_MAX;
}

/* How long more has been in use than may be. */
static void note_over(struct memory_stats *memory, bool over, uint64_t now_ms)
{
    if (over && memory->over_since_ms == 0) {
        memory->over_since_ms = now_ms;
    } else if (!over && memory->over_since_ms != 0) {
        memory->over_ms += now_ms - memory->over_since_ms;
        memory->over_since_ms = 0;
    }
}

/* As each worker's last turn left them. */
static uint64_t clients_sum(const struct server *server)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < server->workers; i++) {
        const struct stats_worker *worker = &server->stats->workers[i];
        sum += stats_read(&worker->pending_output) + stats_read(&worker->pending_queries);
    }
    return sum;
}

void memory_refresh(struct server *server)
{
    basin_set_memory_beside(server->basin,
                            clients_sum(server) + atomic_load(&server->stats->memory.unexplained));
}

void memory_sample(struct server *server, const struct basin_stats *basin, uint64_t now_ms)
{
    uint64_t resident = memory_resident();
    uint64_t clients = clients_sum(server);
    uint64_t counted = basin->memory_held - basin->memory_beside + clients;
    pthread_mutex_lock(&server->stats->mutex);
    struct memory_stats *memory = &server->stats->memory;
    if (!memory->measured) {
        memory->measured = true;
        memory->program = resident > counted ? resident - counted : 0;
    }
    double share = memory_share(resident, memory->program, counted);
    memory->share += (share - memory->share) * SHARE_STEP;
    atomic_store(&memory->unexplained, (uint64_t)(memory->share * (double)counted));
    memory_refresh(server);
    note_over(memory, basin_memory_over(server->basin), now_ms);
    pthread_mutex_unlock(&server->stats->mutex);
}
