#include "src/stats/stats.h"

#include "engine/base/check.h"
#include "src/dispatch/command.h"
#include "src/server.h"
#include "src/stats/stats_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define SECOND_NS 1000000000u

/* More codes than this are counted as one, so that no client fills the memory with codes. */
#define ERROR_CODES_MAX 128
#define ERROR_CODE_OVERFLOW "OTHER"

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

struct stats *stats_new(void)
{
    struct stats *stats = aligned_alloc(alignof(struct stats), sizeof(*stats));
    if (stats == NULL) {
        return NULL;
    }
    memset(stats, 0, sizeof(*stats));
    stats->base = calloc(1, sizeof(*stats->base));
    if (stats->base == NULL) {
        free(stats);
        return NULL;
    }
    pthread_mutex_init(&stats->mutex, NULL);
    for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++) {
        struct stats_worker *worker = &stats->workers[i];
        stats_clock(worker);
        if (getrandom(&worker->seed, sizeof(worker->seed), GRND_NONBLOCK) !=
            (ssize_t)sizeof(worker->seed)) {
            worker->seed = worker->wall_ns + i; /* Chance for clients, not for secrets. */
        }
    }
    return stats;
}

void stats_free(struct stats *stats)
{
    if (stats == NULL) {
        return;
    }
    pthread_mutex_destroy(&stats->mutex);
    free(stats->errors);
    free(stats->base);
    free(stats);
}

void stats_clock(struct stats_worker *worker)
{
    worker->now_ns = read_clock(CLOCK_MONOTONIC);
    uint64_t wall_ns = read_clock(CLOCK_REALTIME);
    worker->wall_ns = wall_ns - worker->now_ns;
    worker->now_ms = wall_ns / 1000000;
}

/* ------------------------------------------------------------------------------------------
 * Calls. Bucket i < STEPS holds i ns; later ones hold 1/STEPS of a doubling each.
 */

static size_t bucket_of(uint64_t ns)
{
    if (ns < STATS_LATENCY_STEPS) {
        return (size_t)ns;
    }
    unsigned shift = (unsigned)(63 - __builtin_clzll(ns)) - 3;
    size_t bucket = (size_t)(shift + 1) * STATS_LATENCY_STEPS +
                    (size_t)((ns >> shift) & (STATS_LATENCY_STEPS - 1));
    return bucket < STATS_LATENCY_BUCKETS ? bucket : STATS_LATENCY_BUCKETS - 1;
}

static_assert(STATS_LATENCY_STEPS == 8, "bucket_of shifts by three");

/* The largest time that the bucket holds. */
static uint64_t bucket_end(size_t bucket)
{
    if (bucket < STATS_LATENCY_STEPS) {
        return bucket;
    }
    size_t shift = bucket / STATS_LATENCY_STEPS - 1;
    uint64_t steps = STATS_LATENCY_STEPS + bucket % STATS_LATENCY_STEPS;
    return ((steps + 1) << shift) - 1;
}

void stats_call(struct command_stats *stats, uint64_t ns, bool failed)
{
    stats_add(&stats->calls, 1);
    stats_add(&stats->ns, ns);
    if (__builtin_expect(failed, 0)) {
        stats_add(&stats->failed, 1);
    }
    _Atomic uint32_t *bucket = &stats->latency[bucket_of(ns)];
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void stats_command_sum(const struct command *command, struct command_sum *sum_out)
{
    *sum_out = (struct command_sum){0};
    const struct command_stats *base = &command->stats[CONFIG_WORKERS_MAX];
    for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++) {
        const struct command_stats *stats = &command->stats[i];
        uint64_t calls = stats_read(&stats->calls);
        sum_out->rejected += stats_read(&stats->rejected);
        if (calls == 0) { /* Leave the pages of idle workers alone. */
            continue;
        }
        sum_out->calls += calls;
        sum_out->ns += stats_read(&stats->ns);
        sum_out->failed += stats_read(&stats->failed);
        for (size_t j = 0; j < STATS_LATENCY_BUCKETS; j++) {
            sum_out->latency[j] += atomic_load_explicit(&stats->latency[j], memory_order_relaxed);
        }
    }
    sum_out->calls -= stats_read(&base->calls);
    sum_out->ns -= stats_read(&base->ns);
    sum_out->failed -= stats_read(&base->failed);
    sum_out->rejected -= stats_read(&base->rejected);
    for (size_t j = 0; j < STATS_LATENCY_BUCKETS; j++) {
        sum_out->latency[j] -= atomic_load_explicit(&base->latency[j], memory_order_relaxed);
    }
}

double stats_percentile_us(const struct command_sum *sum, double percent)
{
    uint64_t total = 0;
    for (size_t j = 0; j < STATS_LATENCY_BUCKETS; j++) {
        total += sum->latency[j];
    }
    uint64_t wanted = (uint64_t)((double)total * percent / 100 + 0.5);
    uint64_t seen = 0;
    for (size_t j = 0; j < STATS_LATENCY_BUCKETS; j++) {
        seen += sum->latency[j];
        if (seen > 0 && seen >= wanted) {
            return (double)bucket_end(j) / 1000;
        }
    }
    return 0;
}

static void command_reset(const struct command *command)
{
    struct command_stats *base = &command->stats[CONFIG_WORKERS_MAX];
    struct command_sum sum;
    stats_command_sum(command, &sum);
    stats_add(&base->calls, sum.calls);
    stats_add(&base->ns, sum.ns);
    stats_add(&base->failed, sum.failed);
    stats_add(&base->rejected, sum.rejected);
    for (size_t j = 0; j < STATS_LATENCY_BUCKETS; j++) {
        atomic_fetch_add(&base->latency[j], (uint32_t)sum.latency[j]);
    }
}

/* ------------------------------------------------------------------------------------------
 * Workers.
 */

#define SUM(field)                                                                                 \
    do {                                                                                           \
        sum_out->field += stats_read(&worker->field);                                              \
    } while (0)

/* Without the base: since the start. */
static void workers_sum(const struct stats *stats, struct stats_base *sum_out)
{
    *sum_out = (struct stats_base){0};
    for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++) {
        const struct stats_worker *worker = &stats->workers[i];
        SUM(commands);
        SUM(errors);
        SUM(waits);
        SUM(calls_waiting);
        SUM(connections_received);
        SUM(connections_rejected);
        SUM(bytes_in);
        SUM(bytes_out);
        SUM(reads);
        SUM(writes);
        SUM(query_limit_closed);
        SUM(output_limit_closed);
        SUM(timeout_closed);
        SUM(loops);
        SUM(loop_us);
        SUM(replies_gated);
        SUM(pending_output);
        SUM(pending_queries);
    }
}

void stats_sum(struct stats *stats, struct stats_base *sum_out)
{
    workers_sum(stats, sum_out);
    pthread_mutex_lock(&stats->mutex);
    const struct stats_base *base = stats->base;
    sum_out->commands -= base->commands;
    sum_out->errors -= base->errors;
    sum_out->waits -= base->waits;
    sum_out->connections_received -= base->connections_received;
    sum_out->connections_rejected -= base->connections_rejected;
    sum_out->bytes_in -= base->bytes_in;
    sum_out->bytes_out -= base->bytes_out;
    sum_out->reads -= base->reads;
    sum_out->writes -= base->writes;
    sum_out->query_limit_closed -= base->query_limit_closed;
    sum_out->output_limit_closed -= base->output_limit_closed;
    sum_out->timeout_closed -= base->timeout_closed;
    sum_out->loops -= base->loops;
    sum_out->loop_us -= base->loop_us;
    sum_out->replies_gated -= base->replies_gated;
    pthread_mutex_unlock(&stats->mutex);
}

/* Gives the value of each rate's counter: requests, bytes in, bytes out. */
static void rate_values(const struct stats_base *sum, uint64_t *values)
{
    values[STATS_RATE_COMMANDS] = sum->commands;
    values[STATS_RATE_IN] = sum->bytes_in;
    values[STATS_RATE_OUT] = sum->bytes_out;
}

void stats_sample(struct server *server)
{
    struct stats *stats = server->stats;
    struct stats_base sum;
    workers_sum(stats, &sum);
    uint64_t values[STATS_RATE_COUNT];
    rate_values(&sum, values);
    struct basin_stats basin;
    basin_get_stats(server->basin, &basin);
    uint64_t now_ns = read_clock(CLOCK_MONOTONIC);
    memory_sample(server, &basin, now_ns / 1000000);
    pthread_mutex_lock(&stats->mutex);
    uint64_t passed_ns = now_ns - stats->last_sample_ns;
    for (size_t i = 0; i < STATS_RATE_COUNT; i++) {
        struct stats_rate *rate = &stats->rates[i];
        if (stats->last_sample_ns != 0 && passed_ns > 0) {
            double rise = (double)(values[i] - rate->last_value);
            rate->samples[stats->sample_next] = (uint64_t)(rise * SECOND_NS / (double)passed_ns);
        }
        rate->last_value = values[i];
    }
    stats->sample_next = (stats->sample_next + 1) % STATS_SAMPLES;
    stats->last_sample_ns = now_ns;
    if (basin.memory_used > stats->memory_peak) {
        stats->memory_peak = basin.memory_used;
    }
    pthread_mutex_unlock(&stats->mutex);
}

uint64_t stats_rate(struct stats *stats, enum stats_rate_index which)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&stats->mutex);
    for (size_t i = 0; i < STATS_SAMPLES; i++) {
        sum += stats->rates[which].samples[i];
    }
    pthread_mutex_unlock(&stats->mutex);
    return sum / STATS_SAMPLES;
}

/* ------------------------------------------------------------------------------------------
 * Errors.
 */

static void error_count(struct stats *stats, const char *code)
{
    size_t at = 0;
    while (at < stats->error_count && strcmp(stats->errors[at].code, code) < 0) {
        at++;
    }
    if (at < stats->error_count && strcmp(stats->errors[at].code, code) == 0) {
        stats->errors[at].count++;
        return;
    }
    if (stats->error_count >= ERROR_CODES_MAX && strcmp(code, ERROR_CODE_OVERFLOW) != 0) {
        error_count(stats, ERROR_CODE_OVERFLOW);
        return;
    }
    struct stats_error *grown =
        realloc(stats->errors, (stats->error_count + 1) * sizeof(*stats->errors));
    if (grown == NULL) {
        return; /* The total of errors still counts it. */
    }
    stats->errors = grown;
    memmove(grown + at + 1, grown + at, (stats->error_count - at) * sizeof(*grown));
    snprintf(grown[at].code, sizeof(grown[at].code), "%s", code);
    grown[at].count = 1;
    stats->error_count++;
}

void stats_error(struct server *server, struct bytes text)
{
    char code[STATS_CODE_SIZE];
    size_t size = 0;
    const char *data = text.data;
    while (size < text.size && size < sizeof(code) - 1 && data[size] != ' ') {
        code[size] = data[size];
        size++;
    }
    code[size] = '\0';
    pthread_mutex_lock(&server->stats->mutex);
    error_count(server->stats, code);
    pthread_mutex_unlock(&server->stats->mutex);
}

/* ------------------------------------------------------------------------------------------
 * CONFIG RESETSTAT.
 */

void stats_reset(struct server *server)
{
    struct stats *stats = server->stats;
    struct stats_base sum;
    workers_sum(stats, &sum);
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        command_reset(command);
        for (const struct command *sub = command->subcommands; sub != NULL && sub->name != NULL;
             sub++) {
            command_reset(sub);
        }
    }
    pthread_mutex_lock(&stats->mutex);
    *stats->base = sum;
    stats->error_count = 0;
    memset(stats->rates, 0, sizeof(stats->rates));
    stats->last_sample_ns = 0;
    stats->memory_peak = 0;
    stats->memory.over_ms = 0;
    pthread_mutex_unlock(&stats->mutex);
    basin_reset_stats(server->basin);
}
