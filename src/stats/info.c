/* INFO: a function a section; one table says which there are, in which order and on which
 * request. Field names and their order are Redis's, for the tools that read them; what Basin cannot
 * mean (forks, RDB files, replicas) shows the value that says "nothing of that kind". What only
 * Basin has stands under "# Basin" and "# Storage" (docs/STORAGE.md). */
#include "src/stats/stats.h"

#include "src/dispatch/client.h"
#include "src/dispatch/command.h"
#include "src/server.h"
#include "src/stats/stats_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What the sections draw from, taken once. */
struct info {
    struct server *server;
    struct buf *out;
    bool failed; /* No memory. */
    int64_t now_us;
    struct stats_base sum;
    struct basin_stats basin;
};

[[gnu::format(printf, 2, 3)]] static void put(struct info *info, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    if (size < 0 || (size_t)size >= sizeof(text)) {
        size = (int)sizeof(text) - 1;
    }
    if (info->failed || buf_append(info->out, bytes_of(text, (size_t)size)) != ST_OK) {
        info->failed = true;
    }
}

static void put_count(struct info *info, const char *name, uint64_t value)
{
    put(info, "%s:%llu\r\n", name, (unsigned long long)value);
}

static void put_text(struct info *info, const char *name, const char *value)
{
    put(info, "%s:%s\r\n", name, value == NULL ? "" : value);
}

/* The value and, as name_human, in the unit that fits. */
static void put_size(struct info *info, const char *name, uint64_t size)
{
    static const char units[] = "BKMGTPE";
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1024 && unit + 2 < sizeof(units)) {
        value /= 1024;
        unit++;
    }
    put_count(info, name, size);
    if (unit == 0) {
        put(info, "%s_human:%lluB\r\n", name, (unsigned long long)size);
    } else {
        put(info, "%s_human:%.2f%c\r\n", name, value, units[unit]);
    }
}

static void section_server(struct info *info)
{
    const struct server *server = info->server;
    const struct config *config = server->config;
    struct utsname name;
    memset(&name, 0, sizeof(name));
    uname(&name);
    int64_t uptime_s = (info->now_us / 1000 - server->started_ms) / 1000;
    put_text(info, "redis_version", BASIN_REDIS_VERSION);
    put_text(info, "basin_version", BASIN_VERSION);
    put_text(info, "redis_git_sha1", "00000000");
    put_text(info, "redis_git_dirty", "0");
    put_text(info, "redis_build_id", "0");
    put_text(info, "redis_mode", "standalone");
    put(info, "os:%s %s %s\r\n", name.sysname, name.release, name.machine);
    put_count(info, "arch_bits", sizeof(void *) * 8);
    put_text(info, "monotonic_clock", "POSIX clock_gettime");
    put_text(info, "multiplexing_api", "epoll");
    put_text(info, "atomicvar_api", "c11-builtin");
    put_text(info, "gcc_version", __VERSION__);
    put_count(info, "process_id", (uint64_t)getpid());
    put_text(info, "process_supervised", "no");
    put_text(info, "run_id", server->run_id);
    put_count(info, "tcp_port", (uint64_t)config_get(&config->port));
    put_count(info, "server_time_usec", (uint64_t)info->now_us);
    put_count(info, "uptime_in_seconds", (uint64_t)uptime_s);
    put_count(info, "uptime_in_days", (uint64_t)uptime_s / 86400);
    put_count(info, "hz", (uint64_t)config_get(&config->hz));
    put_count(info, "configured_hz", (uint64_t)config_get(&config->hz));
    put_count(info, "lru_clock", (uint64_t)(info->now_us / 1000000) & 0xffffff);
    put_text(info, "executable", config->executable);
    put_text(info, "config_file", config->file);
    put_text(info, "io_threads_active", "0");
}

static void section_clients(struct info *info)
{
    put_count(info, "connected_clients", client_count(info->server));
    put_text(info, "cluster_connections", "0");
    put_count(info, "maxclients", (uint64_t)config_get(&info->server->config->maxclients));
    put_text(info, "client_recent_max_input_buffer", "0");
    put_text(info, "client_recent_max_output_buffer", "0");
    put_count(info, "blocked_clients", info->sum.calls_waiting);
    put_text(info, "tracking_clients", "0");
    put_text(info, "clients_in_timeout_table", "0");
}

static void section_memory(struct info *info)
{
    struct stats *stats = info->server->stats;
    const struct basin_stats *basin = &info->basin;
    uint64_t used = basin->memory_used;
    uint64_t overhead = basin->memory_fixed + basin->memory_beside;
    uint64_t dataset = used > overhead ? used - overhead : 0;
    uint64_t grown = used > basin->memory_fixed ? used - basin->memory_fixed : 0;
    uint64_t resident = memory_resident();
    pthread_mutex_lock(&stats->mutex);
    stats->memory_peak = used > stats->memory_peak ? used : stats->memory_peak;
    uint64_t peak = stats->memory_peak;
    pthread_mutex_unlock(&stats->mutex);
    put_size(info, "used_memory", used);
    put_size(info, "used_memory_rss", resident);
    put_size(info, "used_memory_peak", peak);
    put(info, "used_memory_peak_perc:%.2f%%\r\n", (double)used * 100 / (double)peak);
    put_count(info, "used_memory_overhead", overhead);
    put_count(info, "used_memory_startup", basin->memory_fixed);
    put_count(info, "used_memory_dataset", dataset);
    put(info, "used_memory_dataset_perc:%.2f%%\r\n",
        grown == 0 ? 0.0 : (double)dataset * 100 / (double)grown);
    put_count(info, "allocator_allocated", used);
    put_count(info, "allocator_active", basin->memory_held);
    put_count(info, "allocator_resident", resident);
    put_size(info, "total_system_memory",
             (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
    put_size(info, "maxmemory", (uint64_t)config_get(&info->server->config->maxmemory));
    put_text(info, "maxmemory_policy", config_policy_name(info->server->config));
    put(info, "allocator_frag_ratio:%.2f\r\n",
        used == 0 ? 1.0 : (double)basin->memory_held / (double)used);
    put(info, "mem_fragmentation_ratio:%.2f\r\n",
        used == 0 ? 1.0 : (double)resident / (double)used);
    put(info, "mem_fragmentation_bytes:%lld\r\n", (long long)(resident - used));
    put_text(info, "mem_not_counted_for_evict", "0");
    put_text(info, "mem_replication_backlog", "0");
    put_text(info, "mem_total_replication_buffers", "0");
    put_text(info, "mem_clients_slaves", "0");
    put_count(info, "mem_clients_normal", info->sum.pending_output + info->sum.pending_queries);
    put_text(info, "mem_cluster_links", "0");
    put_count(info, "mem_aof_buffer", basin->log.unflushed);
    put_text(info, "mem_allocator", "libc");
    put_text(info, "active_defrag_running", "0");
    put_text(info, "lazyfree_pending_objects", "0");
    put_text(info, "lazyfreed_objects", "0");
}

static void section_persistence(struct info *info)
{
    const struct basin_stats *basin = &info->basin;
    int64_t save_s = atomic_load(&info->server->last_save_ms) / 1000;
    put_text(info, "loading", "0");
    put_text(info, "async_loading", "0");
    put_text(info, "current_cow_peak", "0");
    put_text(info, "current_cow_size", "0");
    put_text(info, "current_cow_size_age", "0");
    put_text(info, "current_fork_perc", "0.00");
    put_text(info, "current_save_keys_processed", "0");
    put_text(info, "current_save_keys_total", "0");
    put_text(info, "rdb_changes_since_last_save", "0");
    put_text(info, "rdb_bgsave_in_progress", "0");
    put_count(info, "rdb_last_save_time", (uint64_t)save_s);
    put_text(info, "rdb_last_bgsave_status", basin->dead ? "err" : "ok");
    put_text(info, "rdb_last_bgsave_time_sec", "-1");
    put_text(info, "rdb_current_bgsave_time_sec", "-1");
    put_text(info, "rdb_saves", "0");
    put_text(info, "rdb_last_cow_size", "0");
    put_text(info, "rdb_last_load_keys_expired", "0");
    put_text(info, "rdb_last_load_keys_loaded", "0");
    put_text(info, "aof_enabled", basin->memory_only ? "0" : "1");
    put_text(info, "aof_rewrite_in_progress", "0");
    put_text(info, "aof_rewrite_scheduled", "0");
    put_text(info, "aof_last_rewrite_time_sec", "-1");
    put_text(info, "aof_current_rewrite_time_sec", "-1");
    put_text(info, "aof_last_bgrewrite_status", "ok");
    put_text(info, "aof_rewrites", "0");
    put_text(info, "aof_rewrites_consecutive_failures", "0");
    put_text(info, "aof_last_write_status", basin->dead ? "err" : "ok");
    put_text(info, "aof_last_cow_size", "0");
    put_text(info, "module_fork_in_progress", "0");
    put_text(info, "module_fork_last_cow_size", "0");
    if (!basin->memory_only) {
        put_count(info, "aof_current_size", basin->log.disk_bytes);
        put_count(info, "aof_base_size", basin->log.disk_bytes);
        put_text(info, "aof_pending_rewrite", "0");
        put_count(info, "aof_buffer_length", basin->log.unflushed);
        put_count(info, "aof_pending_bio_fsync", basin->log.in_flight);
        put_text(info, "aof_delayed_fsync", "0");
    }
}

/* How long more memory has been in use than maxmemory allows: now, and in all times before. */
static void over_times(struct stats *stats, uint64_t *now_ms_out, uint64_t *before_ms_out)
{
    struct timespec now;
    pthread_mutex_lock(&stats->mutex);
    clock_gettime(CLOCK_MONOTONIC, &now); /* Not before the sample that set since_ms. */
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t since_ms = stats->memory.over_since_ms;
    *now_ms_out = since_ms == 0 ? 0 : now_ms - since_ms;
    *before_ms_out = stats->memory.over_ms;
    pthread_mutex_unlock(&stats->mutex);
}

static void section_stats(struct info *info)
{
    struct stats *stats = info->server->stats;
    const struct stats_base *sum = &info->sum;
    uint64_t over_ms;
    uint64_t over_now_ms;
    over_times(stats, &over_now_ms, &over_ms);
    put_count(info, "total_connections_received", sum->connections_received);
    put_count(info, "total_commands_processed", sum->commands);
    put_count(info, "instantaneous_ops_per_sec", stats_rate(stats, STATS_RATE_COMMANDS));
    put_count(info, "total_net_input_bytes", sum->bytes_in);
    put_count(info, "total_net_output_bytes", sum->bytes_out);
    put_text(info, "total_net_repl_input_bytes", "0");
    put_text(info, "total_net_repl_output_bytes", "0");
    put(info, "instantaneous_input_kbps:%.2f\r\n", (double)stats_rate(stats, STATS_RATE_IN) / 1024);
    put(info, "instantaneous_output_kbps:%.2f\r\n",
        (double)stats_rate(stats, STATS_RATE_OUT) / 1024);
    put_text(info, "instantaneous_input_repl_kbps", "0.00");
    put_text(info, "instantaneous_output_repl_kbps", "0.00");
    put_count(info, "rejected_connections", sum->connections_rejected);
    put_text(info, "sync_full", "0");
    put_text(info, "sync_partial_ok", "0");
    put_text(info, "sync_partial_err", "0");
    put_count(info, "expired_keys", info->basin.expired_keys);
    put_text(info, "expired_stale_perc", "0.00");
    put_text(info, "expired_time_cap_reached_count", "0");
    put_text(info, "expire_cycle_cpu_milliseconds", "0");
    put_count(info, "evicted_keys", info->basin.evicted_keys);
    put_text(info, "evicted_clients", "0");
    put_count(info, "total_eviction_exceeded_time", over_ms + over_now_ms);
    put_count(info, "current_eviction_exceeded_time", over_now_ms);
    put_count(info, "keyspace_hits", info->basin.hits);
    put_count(info, "keyspace_misses", info->basin.misses);
    put_text(info, "pubsub_channels", "0");
    put_text(info, "pubsub_patterns", "0");
    put_text(info, "pubsubshard_channels", "0");
    put_text(info, "latest_fork_usec", "0");
    put_text(info, "total_forks", "0");
    put_text(info, "migrate_cached_sockets", "0");
    put_text(info, "slave_expires_tracked_keys", "0");
    put_text(info, "tracking_total_keys", "0");
    put_text(info, "tracking_total_items", "0");
    put_text(info, "tracking_total_prefixes", "0");
    put_text(info, "unexpected_error_replies", "0");
    put_count(info, "total_error_replies", sum->errors);
    put_text(info, "dump_payload_sanitizations", "0");
    put_count(info, "total_reads_processed", sum->reads);
    put_count(info, "total_writes_processed", sum->writes);
    put_text(info, "io_threaded_reads_processed", "0");
    put_text(info, "io_threaded_writes_processed", "0");
    put_count(info, "client_query_buffer_limit_disconnections", sum->query_limit_closed);
    put_count(info, "client_output_buffer_limit_disconnections", sum->output_limit_closed);
    put_count(info, "eventloop_cycles", sum->loops);
    put_count(info, "eventloop_duration_sum", sum->loop_us);
}

static void section_replication(struct info *info)
{
    put_text(info, "role", "master");
    put_text(info, "connected_slaves", "0");
    put_text(info, "master_failover_state", "no-failover");
    put_text(info, "master_replid", info->server->run_id);
    put_text(info, "master_replid2", "0000000000000000000000000000000000000000");
    put_text(info, "master_repl_offset", "0");
    put_text(info, "second_repl_offset", "-1");
    put_text(info, "repl_backlog_active", "0");
    put_text(info, "repl_backlog_size", "0");
    put_text(info, "repl_backlog_first_byte_offset", "0");
    put_text(info, "repl_backlog_histlen", "0");
}

static void put_time(struct info *info, const char *name, struct timeval time)
{
    put(info, "%s:%lld.%06lld\r\n", name, (long long)time.tv_sec, (long long)time.tv_usec);
}

static void section_cpu(struct info *info)
{
    struct rusage self;
    struct rusage children;
    struct rusage thread;
    memset(&self, 0, sizeof(self));
    memset(&children, 0, sizeof(children));
    memset(&thread, 0, sizeof(thread));
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_THREAD, &thread);
    put_time(info, "used_cpu_sys", self.ru_stime);
    put_time(info, "used_cpu_user", self.ru_utime);
    put_time(info, "used_cpu_sys_children", children.ru_stime);
    put_time(info, "used_cpu_user_children", children.ru_utime);
    put_time(info, "used_cpu_sys_main_thread", thread.ru_stime);
    put_time(info, "used_cpu_user_main_thread", thread.ru_utime);
}

static void section_modules(struct info *info)
{
    (void)info; /* There are none; Redis shows the header alone. */
}

static void each_command(struct info *info,
                         void (*fn)(struct info *info, const struct command *command,
                                    const struct command_sum *sum))
{
    struct command_sum sum;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        stats_command_sum(command, &sum);
        fn(info, command, &sum);
        for (const struct command *sub = command->subcommands; sub != NULL && sub->name != NULL;
             sub++) {
            stats_command_sum(sub, &sum);
            fn(info, sub, &sum);
        }
    }
}

static void put_command(struct info *info, const struct command *command,
                        const struct command_sum *sum)
{
    if (sum->calls == 0 && sum->rejected == 0) {
        return;
    }
    double us = (double)sum->ns / 1000;
    put(info,
        "cmdstat_%s:calls=%llu,usec=%.0f,usec_per_call=%.2f,rejected_calls=%llu,"
        "failed_calls=%llu\r\n",
        command->full_name, (unsigned long long)sum->calls, us,
        sum->calls == 0 ? 0.0 : us / (double)sum->calls, (unsigned long long)sum->rejected,
        (unsigned long long)sum->failed);
}

static void section_commandstats(struct info *info)
{
    each_command(info, put_command);
}

static void put_latency(struct info *info, const struct command *command,
                        const struct command_sum *sum)
{
    if (sum->calls == 0) {
        return;
    }
    put(info, "latency_percentiles_usec_%s:p50=%.3f,p99=%.3f,p99.9=%.3f\r\n", command->full_name,
        stats_percentile_us(sum, 50), stats_percentile_us(sum, 99), stats_percentile_us(sum, 99.9));
}

static void section_latencystats(struct info *info)
{
    each_command(info, put_latency);
}

static void section_errorstats(struct info *info)
{
    struct stats *stats = info->server->stats;
    pthread_mutex_lock(&stats->mutex);
    for (size_t i = 0; i < stats->error_count; i++) {
        put(info, "errorstat_%s:count=%llu\r\n", stats->errors[i].code,
            (unsigned long long)stats->errors[i].count);
    }
    pthread_mutex_unlock(&stats->mutex);
}

static void section_cluster(struct info *info)
{
    put_text(info, "cluster_enabled", "0");
}

static void section_keyspace(struct info *info)
{
    for (unsigned i = 0; i < BASIN_DATABASES; i++) {
        struct basin_database_stats stats;
        basin_database_stats(info->server->basin, i, (uint64_t)(info->now_us / 1000), &stats);
        if (stats.keys == 0) {
            continue;
        }
        put(info, "db%u:keys=%llu,expires=%llu,avg_ttl=%.0f\r\n", i, (unsigned long long)stats.keys,
            (unsigned long long)stats.volatile_keys, stats.volatile_ttl_ms);
    }
}

static void section_basin(struct info *info)
{
    const struct basin_stats *basin = &info->basin;
    const struct wlog_stats *log = &basin->log;
    put_count(info, "workers", info->server->workers);
    put_count(info, "shards", basin->shards);
    put_count(info, "shard_keys_min", basin->shard_keys_min);
    put_count(info, "shard_keys_max", basin->shard_keys_max);
    put_count(info, "lock_waits", basin->lock_waits);
    put_count(info, "call_waits", info->sum.waits);
    put_count(info, "calls_waiting", info->sum.calls_waiting);
    put_count(info, "replies_gated", info->sum.replies_gated);
    put_count(info, "timeout_disconnections", info->sum.timeout_closed);
    put_count(info, "loads", basin->loads);
    put_count(info, "part_loads", basin->part_loads);
    put_count(info, "load_failures", basin->load_failures);
    put_count(info, "memory_unexplained", atomic_load(&info->server->stats->memory.unexplained));
    put_text(info, "log_state", basin->memory_only ? "off" : basin->dead ? "dead" : "ok");
    put_text(info, "log_road", basin->memory_only ? "" : basin->road);
    put_count(info, "log_generation", basin->generation);
    put_count(info, "log_start_lsn", basin->start_lsn);
    put_count(info, "log_durable_lsn", basin->durable_lsn);
    put_count(info, "log_end_lsn", basin->end_lsn);
    put_count(info, "log_unflushed", log->unflushed);
    put_count(info, "log_appends", log->appends);
    put_count(info, "log_appended_bytes", log->appended_bytes);
    put_count(info, "log_flushes", log->flushes);
    put_count(info, "log_flushed_bytes", log->flushed_bytes);
    put_count(info, "log_in_flight", log->in_flight);
    put(info, "log_batch_avg:%.2f\r\n",
        log->flushes == 0 ? 0.0 : (double)log->appends / (double)log->flushes);
    put_count(info, "log_batch_max", log->batch_max);
    put(info, "log_flush_us_avg:%.1f\r\n",
        log->flushes == 0 ? 0.0 : (double)log->flush_us_total / (double)log->flushes);
    put_count(info, "log_flush_us_max", log->flush_us_max);
    put_count(info, "log_flush_us_last", log->flush_us_last);
    put_count(info, "log_segments", log->segments);
    put_count(info, "log_disk_bytes", log->disk_bytes);
    put_count(info, "log_rotations", log->rotations);
    put_count(info, "log_segments_prepared", log->segments_prepared);
    put_count(info, "log_segments_recycled", log->segments_recycled);
    put_count(info, "log_prepare_failures", log->prepare_failures);
    put_count(info, "replayed_records", basin->replayed_records);
    put_count(info, "replay_us", basin->replay_us);
}

static void put_ratio(struct info *info, const char *name, uint64_t share, uint64_t whole)
{
    put(info, "%s:%.3f\r\n", name, whole == 0 ? 0.0 : (double)share / (double)whole);
}

static const char *storage_state(const struct basin_stats *basin)
{
    if (basin->memory_only) {
        return "off";
    }
    if (basin->storage.settle_status == ST_OK) {
        return "ok";
    }
    return basin->storage.settle_ended ? "ended" : "waits";
}

/* A round or pass under way: which, and the partition it has come to. */
static void put_progress(struct info *info, const char *name, unsigned partition)
{
    bool runs = partition < BASIN_PARTITIONS;
    put(info, "storage_%s_in_progress:%u\r\n", name, runs);
    put(info, "storage_%s_partition:%u\r\n", name, runs ? partition : 0);
}

static void storage_bytes(struct info *info, const struct basin_storage *storage)
{
    put_count(info, "storage_strata", storage->strata);
    put_count(info, "storage_runs", storage->runs);
    put_count(info, "storage_live_bytes", storage->live_bytes);
    put_count(info, "storage_dead_bytes", storage->dead_bytes);
    put_count(info, "storage_index_bytes", storage->index_bytes);
    put_count(info, "storage_disk_bytes", storage->disk_bytes);
    put_count(info, "storage_index_memory", storage->index_memory);
    put_count(info, "storage_unsettled_bytes", storage->unsettled_bytes);
    put_count(info, "storage_slowed_writes", storage->slowed_writes);
    put_count(info, "storage_unresolved_keys", storage->unresolved);
}

static void storage_work(struct info *info, const struct basin_storage *storage)
{
    put_progress(info, "settle", storage->settle_partition);
    put_count(info, "storage_settle_rounds", storage->settle_rounds);
    put_count(info, "storage_settled_grains", storage->settled_grains);
    put_count(info, "storage_settled_bytes", storage->settled_bytes);
    put_count(info, "storage_settle_written_bytes", storage->settle_written);
    put_progress(info, "merge", storage->merge_partition);
    put_count(info, "storage_merge_passes", storage->merge_passes);
    put_count(info, "storage_merged_rows", storage->merged_rows);
    put_count(info, "storage_moved_bytes", storage->moved_bytes);
    put_count(info, "storage_merge_written_bytes", storage->merge_written);
    put_count(info, "storage_purged_keys", storage->purged_keys);
}

static void storage_backup(struct info *info, const struct basin_backup *backup)
{
    bool none = backup->made + backup->failed == 0;
    put(info, "storage_backup_in_progress:%u\r\n", backup->running);
    put_count(info, "storage_backup_lsn", backup->lsn);
    put_count(info, "storage_backup_strata", backup->strata);
    put_count(info, "storage_backup_strata_done", backup->strata_done);
    put_count(info, "storage_backup_linked_bytes", backup->linked_bytes);
    put_count(info, "storage_backup_copied_bytes", backup->copied_bytes);
    put_count(info, "storage_backups_made", backup->made);
    put_count(info, "storage_backups_failed", backup->failed);
    put_text(info, "storage_backup_last_status", none ? "none" : status_name(backup->status));
}

static void storage_reads(struct info *info, const struct basin_stats *basin)
{
    const struct basin_storage *storage = &basin->storage;
    uint64_t loads = basin->loads + basin->part_loads;
    uint64_t loaded = storage->hits_loaded < basin->hits ? storage->hits_loaded : basin->hits;
    put_count(info, "storage_loaded_keys", basin->loads);
    put_count(info, "storage_loaded_parts", basin->part_loads);
    put_count(info, "storage_loads_shared", basin->loads_shared);
    put_count(info, "storage_load_failures", basin->load_failures);
    put_count(info, "storage_page_reads", storage->page_reads);
    put_count(info, "storage_grain_reads", storage->grain_reads);
    put_count(info, "storage_read_bytes", storage->read_bytes);
    put_ratio(info, "storage_read_amplification", storage->page_reads + storage->grain_reads,
              loads);
    put_ratio(info, "storage_write_amplification",
              basin->log.flushed_bytes + storage->settle_written + storage->merge_written,
              basin->log.appended_bytes);
    put_ratio(info, "storage_cache_hit_rate", basin->hits - loaded, basin->hits);
}

static void section_storage(struct info *info)
{
    const struct basin_storage *storage = &info->basin.storage;
    put_text(info, "storage_state", storage_state(&info->basin));
    if (info->basin.memory_only) {
        return;
    }
    put_text(info, "storage_settle_status", status_name(storage->settle_status));
    storage_bytes(info, storage);
    storage_work(info, storage);
    storage_backup(info, &info->basin.backup);
    storage_reads(info, &info->basin);
}

/* ------------------------------------------------------------------------------------------
 * Which sections.
 */

enum section_in { IN_DEFAULT = 1, IN_ALL = 2, IN_EVERYTHING = 4 };

struct section {
    const char *name, *title;
    unsigned in;
    void (*write)(struct info *info);
};

static const struct section sections_known[] = {
    {"server", "Server", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_server},
    {"clients", "Clients", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_clients},
    {"memory", "Memory", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_memory},
    {"persistence", "Persistence", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_persistence},
    {"stats", "Stats", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_stats},
    {"replication", "Replication", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_replication},
    {"cpu", "CPU", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_cpu},
    {"modules", "Modules", IN_DEFAULT | IN_EVERYTHING, section_modules},
    {"commandstats", "Commandstats", IN_ALL | IN_EVERYTHING, section_commandstats},
    {"errorstats", "Errorstats", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_errorstats},
    {"latencystats", "Latencystats", IN_ALL | IN_EVERYTHING, section_latencystats},
    {"cluster", "Cluster", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_cluster},
    {"basin", "Basin", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_basin},
    {"storage", "Storage", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_storage},
    {"keyspace", "Keyspace", IN_DEFAULT | IN_ALL | IN_EVERYTHING, section_keyspace},
};

static bool is_word(struct bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static bool wanted(const struct section *section, const struct bytes *names, size_t count)
{
    if (count == 0) {
        return (section->in & IN_DEFAULT) != 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_word(names[i], section->name) ||
            (is_word(names[i], "default") && (section->in & IN_DEFAULT) != 0) ||
            (is_word(names[i], "all") && (section->in & IN_ALL) != 0) ||
            (is_word(names[i], "everything") && (section->in & IN_EVERYTHING) != 0)) {
            return true;
        }
    }
    return false;
}

enum status info_write(struct server *server, const struct bytes *sections, size_t count,
                       struct buf *out)
{
    struct info info = {.server = server, .out = out};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    info.now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    stats_sum(server->stats, &info.sum);
    basin_get_stats(server->basin, &info.basin);
    bool first = true;
    for (size_t i = 0; i < sizeof(sections_known) / sizeof(sections_known[0]); i++) {
        const struct section *section = &sections_known[i];
        if (!wanted(section, sections, count)) {
            continue;
        }
        put(&info, "%s# %s\r\n", first ? "" : "\r\n", section->title);
        section->write(&info);
        first = false;
    }
    return info.failed ? ST_NOMEM : ST_OK;
}
