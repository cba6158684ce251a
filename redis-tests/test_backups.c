/* BASIN.BACKUP of a real server that is busy: writers, rounds and merges go on, the copy is
 * checked, served, and held against what had been acknowledged before the command. And what is
 * refused, what fails, and kill -9 meanwhile. */
#include "redis-tests/process.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 3
#define GROUP 16 /* Keys that one MSET sets. */
#define FILLER 64

static struct process *server;
static redisContext *link_;
static char mounted[512]; /* Where; empty: nowhere. */

static const char *const busy[] = {
    "--settle-log-size", "16kb", "--log-segment-size", "1mb", "--workers", "2", NULL};
static const char *const one_worker[] = {
    "--settle-log-size", "16kb", "--log-segment-size", "1mb", "--workers", "1", NULL};

/* ------------------------------------------------------------------------------------------
 * Talking.
 */

static void unmount(void)
{
    if (mounted[0] != '\0') {
        umount2(mounted, MNT_DETACH);
        mounted[0] = '\0';
    }
}

static void end(void)
{
    if (link_ != NULL) {
        redisFree(link_);
        link_ = NULL;
    }
    process_free(server);
    server = NULL;
    unmount();
}

static redisContext *connect_to(const struct process *to)
{
    redisContext *context = redisConnect("127.0.0.1", process_port(to));
    EXPECT(context != NULL && context->err == 0);
    redisSetTimeout(context, (struct timeval){60, 0});
    return context;
}

static void begin(const char *const *arguments)
{
    static bool registered;
    end();
    if (!registered) {
        atexit(end);
        registered = true;
    }
    server = process_start(&(struct process_options){.arguments = arguments});
    EXPECT(server != NULL);
    link_ = connect_to(server);
}

static void ask_again(redisContext *context, const char *expected, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(context, format, list);
    va_end(list);
    EXPECT(reply != NULL && reply->str != NULL);
    EXPECT_TEXT(reply->str, expected);
    freeReplyObject(reply);
}

static long long integer(redisContext *context, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(context, format, list);
    va_end(list);
    EXPECT(reply != NULL);
    EXPECT_INT(reply->type, REDIS_REPLY_INTEGER);
    long long value = reply->integer;
    freeReplyObject(reply);
    return value;
}

/* The field's number in INFO storage. */
static long long figure(const char *field)
{
    char pattern[128];
    redisReply *reply = redisCommand(link_, "INFO storage");
    EXPECT(reply != NULL && reply->str != NULL);
    snprintf(pattern, sizeof(pattern), "\nstorage_%s:", field);
    const char *at = strstr(reply->str, pattern);
    EXPECT(at != NULL);
    long long value = atoll(at + strlen(pattern));
    freeReplyObject(reply);
    return value;
}

/* Room for copies, removed with the test. */
static const char *copy_path(const char *root, unsigned number)
{
    static char path[1024];
    snprintf(path, sizeof(path), "%s/copy%u", root, number);
    return path;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ------------------------------------------------------------------------------------------
 * Writers. Step n of a writer: an MSET of its group to n, n to the end of its list, n into its set,
 * the key of n made and that of n - 1 deleted. Whoever stops between two of these has them in this
 * order.
 */

struct writer {
    pthread_t thread;
    unsigned number;
    redisContext *context;
    _Atomic long long issued, acknowledged; /* Steps. */
    _Atomic bool stop;
};

static struct writer writers[WRITERS];

static bool acknowledged(redisContext *context, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = redisvCommand(context, format, list);
    va_end(list);
    bool fine = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    return fine;
}

static bool group_set(struct writer *writer, long long step)
{
    char words[1 + 2 * GROUP][128];
    const char *argv[1 + 2 * GROUP];
    for (int i = 0; i < 1 + 2 * GROUP; i++) {
        argv[i] = words[i];
    }
    snprintf(words[0], sizeof(words[0]), "MSET");
    for (unsigned i = 0; i < GROUP; i++) {
        snprintf(words[1 + 2 * i], sizeof(words[0]), "w%u:%u", writer->number, i);
        snprintf(words[2 + 2 * i], sizeof(words[0]), "%0*lld", FILLER, step);
    }
    redisReply *reply = redisCommandArgv(writer->context, 1 + 2 * GROUP, argv, NULL);
    bool fine = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return fine;
}

static bool step_made(struct writer *writer, long long step)
{
    redisContext *context = writer->context;
    unsigned w = writer->number;
    return group_set(writer, step) && acknowledged(context, "RPUSH list%u %lld", w, step) &&
           acknowledged(context, "SADD set%u member:%lld", w, step) &&
           acknowledged(context, "SET now%u:%lld x", w, step) &&
           acknowledged(context, "DEL now%u:%lld", w, step - 1);
}

static void *write_steps(void *arg)
{
    struct writer *writer = arg;
    bool fine = true;
    for (long long step = 1; fine && !atomic_load(&writer->stop); step++) {
        atomic_store(&writer->issued, step);
        fine = step_made(writer, step);
        if (fine) {
            atomic_store(&writer->acknowledged, step);
        }
    }
    return NULL;
}

/* On an empty store. */
static void writers_start(void)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *writer = &writers[i];
        *writer = (struct writer){.number = i, .context = connect_to(server)};
        EXPECT_INT(pthread_create(&writer->thread, NULL, write_steps, writer), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        while (atomic_load(&writers[i].acknowledged) < 3) {
            usleep(1000);
        }
    }
}

static void writers_stop(void)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        atomic_store(&writers[i].stop, true);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        redisFree(writers[i].context);
    }
}

static long long text_number(redisContext *context, const char *format, unsigned a, unsigned b)
{
    redisReply *reply = redisCommand(context, format, a, b);
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_STRING);
    long long value = atoll(reply->str);
    freeReplyObject(reply);
    return value;
}

/* The list is 1, 2, …, count. */
static void expect_list(redisContext *context, unsigned w, long long count)
{
    redisReply *reply = redisCommand(context, "LRANGE list%u 0 -1", w);
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_ARRAY);
    EXPECT_INT(reply->elements, count);
    for (size_t i = 0; i < reply->elements; i++) {
        EXPECT_INT(atoll(reply->element[i]->str), (long long)i + 1);
    }
    freeReplyObject(reply);
}

/* A state that the writer went through, not before step `least` was whole, nor after step `most`
 * began. Gives the last step that it has begun. */
static long long expect_writer(redisContext *context, unsigned w, long long least, long long most)
{
    long long step = text_number(context, "GET w%u:%u", w, 0);
    for (unsigned i = 1; i < GROUP; i++) {
        EXPECT_INT(text_number(context, "GET w%u:%u", w, i), step);
    }
    EXPECT(step >= least && step <= most);
    long long listed = integer(context, "LLEN list%u", w);
    long long members = integer(context, "SCARD set%u", w);
    long long now = integer(context, "EXISTS now%u:%lld", w, step);
    long long before = integer(context, "EXISTS now%u:%lld", w, step - 1);
    expect_list(context, w, listed);
    EXPECT(listed == step || listed == step - 1);
    EXPECT(members == listed || members == listed - 1);
    EXPECT(now == 0 || members == step);
    EXPECT(now + before >= 1 || step == 1);
    EXPECT(step > least || now == 1);
    for (long long member = members > 20 ? members - 20 : 1; member <= members; member++) {
        EXPECT_INT(integer(context, "SISMEMBER set%u member:%lld", w, member), 1);
    }
    return step;
}

/* ------------------------------------------------------------------------------------------
 * Copies.
 */

static char output[64 << 10]; /* Of basin-check, or of a server that refused. */

static int command_run(const char *command)
{
    FILE *pipe = popen(command, "r");
    EXPECT(pipe != NULL);
    size_t size = fread(output, 1, sizeof(output) - 1, pipe);
    output[size] = '\0';
    int state = pclose(pipe);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

/* basin-check beside the server. Gives its exit code. */
static int check_run(const char *dir)
{
    char command[2048];
    const char *binary = process_binary();
    int size = (int)(strlen(binary) - strlen("server"));
    snprintf(command, sizeof(command), "timeout 60 %.*scheck '%s' 2>&1", size, binary, dir);
    return command_run(command);
}

static void expect_sound(const char *dir)
{
    if (check_run(dir) != 0) {
        size_t size = strlen(output);
        test_fail(__FILE__, __LINE__, "basin-check: …%s", output + (size > 1500 ? size - 1500 : 0));
    }
}

/* Neither basin-check nor the server take it for a store. */
static void expect_refused(const char *dir)
{
    char command[2048];
    int code = check_run(dir);
    if (code != 1 || strstr(output, "not finished") == NULL) {
        test_fail(__FILE__, __LINE__, "basin-check: exit code %d: %.1000s", code, output);
    }
    snprintf(command, sizeof(command), "timeout 20 %s --port %d --dir '%s' 2>&1", process_binary(),
             process_free_port(), dir);
    EXPECT_INT(command_run(command), 1);
    EXPECT(strstr(output, "not finished") != NULL);
}

/* A server on the copy finds it as the writers left it at some moment between the two. */
static void expect_copy(const char *dir, const long long *least, const long long *most)
{
    expect_sound(dir);
    struct process *other = process_start(&(struct process_options){.dir = dir, .arguments = busy});
    EXPECT(other != NULL);
    redisContext *context = connect_to(other);
    for (unsigned i = 0; i < WRITERS; i++) {
        (void)expect_writer(context, i, least[i], most[i]);
    }
    /* It is a store like any other: it settles, merges, and stays sound. */
    ask_again(context, "OK", "SET of-the-copy x");
    ask_again(context, "OK", "BASIN.SETTLE");
    ask_again(context, "OK", "BASIN.COMPACT");
    redisFree(context);
    EXPECT_INT(process_stop(other), 0);
    process_free(other);
    expect_sound(dir);
}

struct bounds {
    long long least[WRITERS], most[WRITERS];
};

static void bounds_begin(struct bounds *bounds)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        bounds->least[i] = atomic_load(&writers[i].acknowledged);
    }
}

static void bounds_end(struct bounds *bounds)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        bounds->most[i] = atomic_load(&writers[i].issued);
    }
}

/* Waits for so many rounds, and merging passes. */
static void work_passes(long long rounds, long long passes)
{
    rounds += figure("settle_rounds");
    passes += figure("merge_passes");
    while (figure("settle_rounds") < rounds || figure("merge_passes") < passes) {
        usleep(2000);
    }
}

#define BACKUPS 3

/* What links share is no longer the same afterwards; so the source is checked too. */
static void busy_backups(const char *root, const char *const *arguments, bool settles)
{
    static struct bounds bounds[BACKUPS];
    begin(arguments);
    writers_start();
    for (unsigned b = 0; b < BACKUPS; b++) {
        if (settles) {
            work_passes(4, 1);
        } else {
            usleep(100000);
        }
        bounds_begin(&bounds[b]);
        ask_again(link_, "OK", "BASIN.BACKUP %s", copy_path(root, b));
        bounds_end(&bounds[b]);
    }
    EXPECT_INT(figure("backups_made"), BACKUPS);
    EXPECT_INT(figure("backups_failed"), 0);
    EXPECT_INT(figure("backup_strata_done"), figure("backup_strata"));
    EXPECT((figure("backup_strata") > 0) == settles);
    writers_stop();
    for (unsigned b = 0; b < BACKUPS; b++) {
        expect_copy(copy_path(root, b), bounds[b].least, bounds[b].most);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        long long last = atomic_load(&writers[i].acknowledged);
        EXPECT_INT(expect_writer(link_, i, last, last), last);
    }
    EXPECT_INT(process_stop(server), 0);
    expect_sound(process_dir(server));
}

TEST(backups_of_a_busy_server_have_all_that_was_acknowledged_and_nothing_torn)
{
    busy_backups(test_dir(), busy, true);
}

TEST(a_server_that_never_settles_is_backed_up_too)
{
    static const char *const arguments[] = {"--settle-log-size",  "0",   "--workers", "2",
                                            "--log-segment-size", "1mb", NULL};
    busy_backups(test_dir(), arguments, false);
}

TEST(backups_of_a_server_that_syncs_once_a_second_have_all_that_was_acknowledged)
{
    static const char *const arguments[] = {"--settle-log-size", "16kb",     "--workers", "2",
                                            "--appendfsync",     "everysec", NULL};
    busy_backups(test_dir(), arguments, true);
}

/* ------------------------------------------------------------------------------------------
 * Across file systems.
 */

/* False: only root may. */
static bool tmpfs_mount(const char *size)
{
    char options[64];
    snprintf(options, sizeof(options), "size=%s", size);
    if (mount("none", test_dir(), "tmpfs", 0, options) != 0) {
        printf("       skipped: no tmpfs can be mounted: %s\n", strerror(errno));
        return false;
    }
    snprintf(mounted, sizeof(mounted), "%s", test_dir());
    return true;
}

TEST(backups_to_another_file_system_are_copies)
{
    struct bounds bounds;
    begin(busy);
    if (!tmpfs_mount("400m")) {
        return;
    }
    const char *root = mounted;
    writers_start();
    for (unsigned b = 0; b < 2; b++) {
        work_passes(4, 0);
        bounds_begin(&bounds);
        ask_again(link_, "OK", "BASIN.BACKUP %s", copy_path(root, b));
        bounds_end(&bounds);
        EXPECT(figure("backup_strata_done") > 0);
        EXPECT_INT(figure("backup_linked_bytes"), 0);
        EXPECT(figure("backup_copied_bytes") > 0);
    }
    writers_stop();
    expect_copy(copy_path(root, 1), bounds.least, bounds.most);
    unmount(); /* Before its directory is removed with the test. */
}

TEST(a_backup_to_a_full_disk_says_so_and_leaves_nothing)
{
    begin(busy);
    if (!tmpfs_mount("1m")) {
        return;
    }
    const char *root = mounted;
    for (int i = 0; i < 2000; i++) {
        ask_again(link_, "OK", "SET key:%d %01000d", i, i);
    }
    redisReply *reply = redisCommand(link_, "BASIN.BACKUP %s", copy_path(root, 0));
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_ERROR);
    EXPECT(strstr(reply->str, "ERR no backup was made: ") == reply->str);
    EXPECT(strstr(reply->str, ": disk full") != NULL);
    freeReplyObject(reply);
    EXPECT(!is_there(copy_path(root, 0)));
    EXPECT_INT(figure("backups_failed"), 1);
    ask_again(link_, "OK", "SET after x");
    ask_again(link_, "OK", "BASIN.BACKUP %s/beside", process_dir(server));
    /* A read-only one. */
    EXPECT(mount(NULL, mounted, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    ask_again(link_,
              "ERR no backup was made: the directory cannot be made; the server's log tells more",
              "BASIN.BACKUP %s", copy_path(root, 0));
    unmount();
}

/* ------------------------------------------------------------------------------------------
 * One at a time, and others meanwhile.
 */

static void send_only(redisContext *context, const char *dir)
{
    int done = 0;
    redisAppendCommand(context, "BASIN.BACKUP %s", dir);
    while (done == 0) {
        EXPECT(redisBufferWrite(context, &done) == REDIS_OK);
    }
}

TEST(other_clients_of_the_worker_are_served_while_a_backup_is_made)
{
    const char *root = test_dir();
    begin(one_worker);
    for (int i = 0; i < 2000; i++) {
        ask_again(link_, "OK", "SET key:%d %0500d", i, i);
    }
    redisContext *other = connect_to(server);
    long long served = 0;
    for (unsigned b = 0; b < 10; b++) {
        send_only(other, copy_path(root, b));
        long long ended = figure("backups_made");
        while (figure("backups_made") == ended) {
            ask_again(link_, "OK", "SET served %lld", served);
            served += figure("backup_in_progress");
        }
        redisReply *reply = NULL;
        EXPECT(redisGetReply(other, (void **)&reply) == REDIS_OK);
        EXPECT_TEXT(reply->str, "OK");
        freeReplyObject(reply);
    }
    EXPECT(served > 3);
    redisFree(other);
}

TEST(a_second_backup_at_the_same_time_is_refused)
{
    const char *root = test_dir();
    unsigned refused = 0;
    begin(one_worker);
    for (int i = 0; i < 200; i++) {
        ask_again(link_, "OK", "SET key:%d %0500d", i, i);
    }
    redisContext *a = connect_to(server);
    redisContext *b = connect_to(server);
    for (unsigned i = 0; i < 20 && refused == 0; i++) {
        redisContext *both[] = {a, b};
        send_only(a, copy_path(root, 2 * i));
        send_only(b, copy_path(root, 2 * i + 1));
        for (unsigned c = 0; c < 2; c++) {
            redisReply *reply = NULL;
            EXPECT(redisGetReply(both[c], (void **)&reply) == REDIS_OK);
            if (strcmp(reply->str, "OK") != 0) {
                EXPECT_TEXT(reply->str, "ERR no backup was made: another one is under way");
                EXPECT(!is_there(copy_path(root, 2 * i + c)));
                refused++;
            } else {
                EXPECT(is_there(copy_path(root, 2 * i + c)));
            }
            freeReplyObject(reply);
        }
    }
    EXPECT_INT(refused, 1);
    redisFree(a);
    redisFree(b);
}

TEST(a_client_that_goes_away_leaves_its_backup_to_be_finished)
{
    const char *root = test_dir();
    begin(busy);
    for (int i = 0; i < 200; i++) {
        ask_again(link_, "OK", "SET key:%d %0500d", i, i);
    }
    for (unsigned b = 0; b < 5; b++) {
        redisContext *other = connect_to(server);
        long long made = figure("backups_made");
        send_only(other, copy_path(root, b));
        usleep(b * 500);
        redisFree(other);
        for (int tries = 0; figure("backups_made") == made; tries++) {
            EXPECT(tries < 10000);
            usleep(1000);
        }
        expect_sound(copy_path(root, b));
    }
}

TEST(a_server_that_stops_finishes_its_backup_or_removes_it)
{
    const char *root = test_dir();
    for (unsigned b = 0; b < 6; b++) {
        begin(busy);
        for (int i = 0; i < 300; i++) {
            ask_again(link_, "OK", "SET key:%d %0500d", i, i);
        }
        redisContext *other = connect_to(server);
        send_only(other, copy_path(root, b));
        usleep(b * 2000);
        EXPECT_INT(process_stop(server), 0);
        redisFree(other);
        if (is_there(copy_path(root, b))) {
            expect_sound(copy_path(root, b));
        }
        expect_sound(process_dir(server));
    }
}

/* ------------------------------------------------------------------------------------------
 * What is refused.
 */

TEST(a_directory_that_cannot_serve_is_refused_with_a_reason)
{
    char path[600];
    const char *root = test_dir();
    begin(busy);
    ask_again(link_, "OK", "SET key x");
    ask_again(link_, "OK", "BASIN.BACKUP %s", copy_path(root, 0));
    ask_again(link_, "ERR no backup was made: the directory is not empty", "BASIN.BACKUP %s",
              copy_path(root, 0));
    ask_again(link_, "ERR no backup was made: the directory is not empty", "BASIN.BACKUP %s",
              process_dir(server));
    ask_again(link_, "ERR no backup was made: the directory above it is not there",
              "BASIN.BACKUP %s/not/there", root);
    ask_again(link_, "ERR no backup was made: the directory's path is empty or too long",
              "BASIN.BACKUP %s", "");
    ask_again(link_, "ERR no backup was made: no directory can be called so", "BASIN.BACKUP %b",
              "a\0b", (size_t)3);
    snprintf(path, sizeof(path), "%s/server.log", process_dir(server));
    ask_again(link_,
              "ERR no backup was made: the directory cannot be read; the server's log tells more",
              "BASIN.BACKUP %s", path);
    ask_again(link_, "ERR wrong number of arguments for 'basin.backup' command", "BASIN.BACKUP");
    expect_sound(copy_path(root, 0));
    EXPECT_INT(figure("backups_made"), 1);
}

TEST(a_server_in_memory_has_nothing_to_back_up)
{
    static const char *const arguments[] = {"--appendonly", "no", NULL};
    const char *root = test_dir();
    begin(arguments);
    ask_again(link_, "ERR no backup was made: nothing is kept on disk", "BASIN.BACKUP %s",
              copy_path(root, 0));
    EXPECT(!is_there(copy_path(root, 0)));
}

/* ------------------------------------------------------------------------------------------
 * kill -9.
 */

#define KILLS 10
#define KILLS_MAX 50 /* Until both have been seen. */

TEST(a_server_that_is_killed_meanwhile_leaves_no_copy_or_a_refused_one_or_a_whole_one)
{
    unsigned refused = 0;
    unsigned whole = 0;
    struct bounds bounds;
    char root[512];
    snprintf(root, sizeof(root), "%s", test_dir());
    begin(busy);
    for (unsigned round = 0; round < KILLS || (round < KILLS_MAX && refused * whole == 0);
         round++) {
        ask_again(link_, "OK", "FLUSHALL");
        writers_start();
        work_passes(3, 0);
        bounds_begin(&bounds);
        redisContext *other = connect_to(server);
        send_only(other, copy_path(root, round));
        usleep(round % KILLS * (round % KILLS) * 1000);
        process_kill(server);
        writers_stop();
        bounds_end(&bounds);
        redisFree(other);
        const char *dir = copy_path(root, round);
        (void)rmdir(dir); /* Made and not even marked: as good as none. */
        if (is_there(dir) && check_run(dir) != 0) {
            refused++;
            expect_refused(dir);
        } else if (is_there(dir)) {
            whole++;
            expect_copy(dir, bounds.least, bounds.most);
        }
        process_restart(server);
        redisFree(link_);
        link_ = connect_to(server);
        for (unsigned i = 0; i < WRITERS; i++) {
            long long last = atomic_load(&writers[i].acknowledged);
            (void)expect_writer(link_, i, last, atomic_load(&writers[i].issued));
        }
    }
    EXPECT(refused > 0);
    EXPECT(whole > 0);
}
