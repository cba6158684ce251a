#include "src/config/config.h"

#include "engine/base/check.h"
#include "engine/base/glob.h"
#include "engine/base/log.h"
#include "src/config/directives.h"
#include "src/server.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define SHARDS_PER_WORKER 4

/* ------------------------------------------------------------------------------------------
 * Life.
 */

static void default_apply(struct config *config, const struct directive *row)
{
    char **arguments;
    size_t count;
    bool split = row->kind == KIND_BIND || row->kind == KIND_SAVE;
    char *whole[] = {(char *)(uintptr_t)row->standard};
    CHECK(arguments_split(bytes_of_text(split ? row->standard : ""), &arguments, &count));
    char error[CONFIG_ERROR_MAX];
    struct directive_value value;
    CHECK(directive_parse(row, split ? arguments : whole, split ? count : 1, &value, error));
    directive_apply(config, row, &value, false);
    directive_value_deinit(&value);
    arguments_free(arguments, count);
}

struct config *config_new(void)
{
    struct config *config = calloc(1, sizeof(*config));
    char **accepted = calloc(directive_accepted_count(), sizeof(*accepted));
    if (config == NULL || accepted == NULL) {
        free(config);
        free(accepted);
        return NULL;
    }
    config->accepted = accepted;
    pthread_mutex_init(&config->mutex, NULL);
    for (size_t i = 0; i < directive_count(); i++) {
        if (directive_at(i)->kind != KIND_ACCEPTED) {
            default_apply(config, directive_at(i));
        }
    }
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[size > 0 ? size : 0] = '\0';
    config->executable = config_copy_text(path);
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    pthread_mutex_destroy(&config->mutex);
    for (size_t i = 0; i < directive_accepted_count(); i++) {
        free(config->accepted[i]);
    }
    free(config->accepted);
    arguments_free(config->addresses, config->address_count);
    free(config->bind);
    free(config->unixsocket);
    free(config->dir);
    free(config->logfile);
    free(config->pidfile);
    free(config->file);
    free(config->executable);
    free(config->requirepass);
    free(config->save);
    free(config);
}

/* ------------------------------------------------------------------------------------------
 * What follows from the directives.
 */

static unsigned core_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) {
        return (unsigned)CPU_COUNT(&set);
    }
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

static bool shards_complete(struct config *config, char *error)
{
    int64_t shards = config_get(&config->shards);
    if (shards == 0) {
        shards = 1;
        while (shards < config_get(&config->workers) * SHARDS_PER_WORKER &&
               shards < BASIN_SHARDS_MAX) {
            shards *= 2;
        }
        atomic_store(&config->shards, shards);
    }
    if ((shards & (shards - 1)) != 0) {
        snprintf(error, CONFIG_ERROR_MAX, "shards must be a power of two, not %lld",
                 (long long)shards);
        return false;
    }
    return true;
}

/* Relative to the working directory, whether it exists or not. */
static bool path_complete(char **path, char *error)
{
    char here[PATH_MAX];
    if ((*path)[0] == '/') {
        return true;
    }
    if (getcwd(here, sizeof(here)) == NULL) {
        snprintf(error, CONFIG_ERROR_MAX, "the working directory has no path");
        return false;
    }
    const char *rest = *path;
    while (rest[0] == '.' && (rest[1] == '/' || rest[1] == '\0')) {
        rest += rest[1] == '/' ? 2 : 1;
    }
    size_t size = strlen(here) + strlen(rest) + 2;
    char *absolute = malloc(size);
    CHECK(absolute != NULL);
    snprintf(absolute, size, "%s%s%s", here, rest[0] == '\0' ? "" : "/", rest);
    free(*path);
    *path = absolute;
    return true;
}

bool config_complete(struct config *config, char *error)
{
    if (config_get(&config->workers) == 0) {
        /* One core is left to the kernel's network work, the log's threads and local clients: with
         * all of two cores taken, throughput was 0.7 of what one worker reached. */
        unsigned spare = core_count() - 1;
        unsigned workers = spare < CONFIG_WORKERS_MAX ? spare : CONFIG_WORKERS_MAX;
        atomic_store(&config->workers, workers > 0 ? workers : 1);
    }
    arguments_free(config->addresses, config->address_count);
    config->addresses = NULL;
    config->address_count = 0;
    if (!arguments_split(bytes_of_text(config->bind), &config->addresses, &config->address_count)) {
        snprintf(error, CONFIG_ERROR_MAX, "bind: quotes do not match");
        return false;
    }
    return shards_complete(config, error) && path_complete(&config->dir, error);
}

struct value_limits config_value_limits(const struct config *config)
{
    return (struct value_limits){
        .list_max_listpack_size = config_get(&config->list_max_listpack_size),
        .hash_max_listpack_entries = config_get(&config->hash_max_listpack_entries),
        .hash_max_listpack_value = config_get(&config->hash_max_listpack_value),
        .set_max_intset_entries = config_get(&config->set_max_intset_entries),
        .set_max_listpack_entries = config_get(&config->set_max_listpack_entries),
        .set_max_listpack_value = config_get(&config->set_max_listpack_value),
        .zset_max_listpack_entries = config_get(&config->zset_max_listpack_entries),
        .zset_max_listpack_value = config_get(&config->zset_max_listpack_value),
        .stream_node_max_bytes = config_get(&config->stream_node_max_bytes),
        .stream_node_max_entries = config_get(&config->stream_node_max_entries),
    };
}

struct basin_memory config_memory(const struct config *config)
{
    return (struct basin_memory){
        .max = (uint64_t)config_get(&config->maxmemory),
        .policy = (enum evict_policy)config_get(&config->maxmemory_policy),
        .samples = (unsigned)config_get(&config->maxmemory_samples),
        .lfu_log_factor = (unsigned)config_get(&config->lfu_log_factor),
        .lfu_decay_minutes = (unsigned)config_get(&config->lfu_decay_time),
    };
}

const char *config_policy_name(const struct config *config)
{
    const struct directive *row = directive_find(bytes_of_text("maxmemory-policy"));
    return directive_word(row, config_get(&config->maxmemory_policy));
}

struct basin_options config_basin_options(const struct config *config)
{
    struct basin_options options = basin_options_default();
    options.dir = config->dir;
    options.shards = (unsigned)config_get(&config->shards);
    options.memory_only = config_get(&config->appendonly) == 0;
    options.sync = (enum wlog_sync)config_get(&config->appendfsync);
    options.segment_size = (uint64_t)config_get(&config->log_segment_size);
    options.rotate_ms = (uint64_t)config_get(&config->log_rotate_ms);
    options.unflushed_max = (uint64_t)config_get(&config->log_unflushed_max);
    options.settle_log = (uint64_t)config_get(&config->settle_log_size);
    options.flushes_max = (unsigned)config_get(&config->log_flushes);
    options.road = (enum io_road)config_get(&config->log_road);
    options.simulate_misses = config_get(&config->simulate_misses) != 0;
    options.limits = config_value_limits(config);
    options.memory = config_memory(config);
    return options;
}

/* ------------------------------------------------------------------------------------------
 * While running.
 */

/* The first pattern that matches; NULL: none does. */
static const struct bytes *match_first(const struct bytes *patterns, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (glob_match(patterns[i], bytes_of_text(name), true)) {
            return &patterns[i];
        }
    }
    return NULL;
}

/* A name that was asked for as it is comes back as it was written: text holds its size and NUL. */
static const char *name_as_asked(const struct bytes *pattern, const char *name, char *text)
{
    size_t size = strlen(name);
    if (pattern->size != size || strncasecmp(pattern->data, name, size) != 0) {
        return name;
    }
    memcpy(text, pattern->data, size);
    text[size] = '\0';
    return text;
}

void config_match(struct config *config, const struct bytes *patterns, size_t count,
                  config_show_fn fn, void *ctx)
{
    struct buf value = BUF_EMPTY;
    for (size_t i = 0; i < directive_count(); i++) {
        const struct directive *row = directive_at(i);
        const struct bytes *pattern = match_first(patterns, count, row->name);
        char name[CONFIG_ERROR_MAX];
        if (pattern == NULL) {
            continue;
        }
        buf_clear(&value, SIZE_MAX);
        pthread_mutex_lock(&config->mutex);
        directive_show(config, row, &value);
        pthread_mutex_unlock(&config->mutex);
        fn(ctx, name_as_asked(pattern, row->name, name), (const char *)value.data);
    }
    buf_deinit(&value);
}

/* One pair of CONFIG SET on its way. */
struct change {
    const struct directive *row;
    struct directive_value value;
};

static bool refuse_pair(const struct directive *row, const char *reason, char *error)
{
    char copy[CONFIG_ERROR_MAX - 128];
    snprintf(copy, sizeof(copy), "%s", reason); /* It may lie in error. */
    snprintf(error, CONFIG_ERROR_MAX, "CONFIG SET failed (possibly related to argument '%s') - %s",
             row->name, copy);
    return false;
}

static bool change_parse(struct change *change, struct bytes text, char *error)
{
    const struct directive *row = change->row;
    if (memchr(text.data, '\0', text.size) != NULL) {
        return refuse_pair(row, "argument holds a NUL byte", error);
    }
    bool split = row->kind == KIND_SAVE && text.size > 0;
    char *whole = strndup(text.size == 0 ? "" : text.data, text.size);
    CHECK(whole != NULL);
    char **arguments = NULL;
    size_t count = 0;
    bool fine = true;
    if (split) {
        fine = arguments_split(bytes_of_text(whole), &arguments, &count);
        snprintf(error, CONFIG_ERROR_MAX, "quotes do not match");
    }
    fine = fine && directive_parse(row, split ? arguments : &whole, split ? count : 1,
                                   &change->value, error);
    if (split) {
        arguments_free(arguments, count);
    }
    free(whole);
    return fine || refuse_pair(row, error, error);
}

/* Finds the directive of pair `index`; those before it have been found. */
static bool change_find(struct change *changes, size_t index, const struct bytes *pair, char *error)
{
    const struct directive *row = directive_find(pair[0]);
    if (row == NULL) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "Unknown option or number of arguments for CONFIG SET - '%.*s'",
                 (int)(pair[0].size < 128 ? pair[0].size : 128), (const char *)pair[0].data);
        return false;
    }
    if (row->fixed) {
        return refuse_pair(row, "can't set immutable config", error);
    }
    for (size_t i = 0; i < index; i++) {
        if (changes[i].row == row) {
            return refuse_pair(row, "duplicate parameter", error);
        }
    }
    changes[index].row = row;
    return true;
}

static void tell(struct config *config, struct server *server, const struct change *changes,
                 size_t count)
{
    struct value_limits limits = config_value_limits(config);
    struct basin_memory memory = config_memory(config);
    for (size_t i = 0; i < count; i++) {
        switch (changes[i].row->effect) {
        case EFFECT_LOG_SYNC:
            basin_set_sync(server->basin, (enum wlog_sync)config_get(&config->appendfsync));
            break;
        case EFFECT_VALUE_LIMITS:
            basin_set_limits(server->basin, &limits);
            break;
        case EFFECT_MEMORY:
            basin_set_memory(server->basin, &memory);
            break;
        case EFFECT_LOG_LEVEL:
            log_set_level((enum log_level)config_get(&config->loglevel));
            break;
        case EFFECT_PASSWORD:
        case EFFECT_NET:
            break;
        }
    }
    if (server->config_changed != NULL) {
        server->config_changed(server);
    }
}

bool config_set(struct config *config, struct server *server, const struct bytes *pairs,
                size_t pair_count, char *error)
{
    struct change *changes = calloc(pair_count, sizeof(*changes));
    CHECK(changes != NULL);
    pthread_mutex_lock(&config->mutex);
    bool fine = true;
    for (size_t i = 0; fine && i < pair_count; i++) {
        fine = change_find(changes, i, &pairs[2 * i], error);
    }
    for (size_t i = 0; fine && i < pair_count; i++) {
        fine = change_parse(&changes[i], pairs[2 * i + 1], error);
    }
    for (size_t i = 0; i < pair_count; i++) {
        if (fine) {
            directive_apply(config, changes[i].row, &changes[i].value, false);
        }
        directive_value_deinit(&changes[i].value);
    }
    pthread_mutex_unlock(&config->mutex);
    if (fine && server != NULL) {
        tell(config, server, changes, pair_count);
    }
    free(changes);
    return fine;
}

bool config_password_matches(struct config *config, struct bytes password)
{
    pthread_mutex_lock(&config->mutex);
    const unsigned char *wanted = (const unsigned char *)config->requirepass;
    size_t size = strlen(config->requirepass);
    const unsigned char *given = password.data;
    unsigned difference = size != password.size;
    for (size_t i = 0; i < password.size; i++) {
        /* With a wrong size too, every byte given is compared with some byte. */
        difference |= given[i] ^ wanted[size == 0 ? 0 : i % size];
    }
    pthread_mutex_unlock(&config->mutex);
    return difference == 0;
}
