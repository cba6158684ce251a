#include "tests/crash/specimen.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const arguments_eager[] = {
    "--settle-log-size", "16kb", "--log-segment-size", "1mb", "--workers", "1", NULL};
/* What is written last stays in the log. */
static const char *const arguments_lazy[] = {
    "--settle-log-size", "64mb", "--log-segment-size", "1mb", "--workers", "1", NULL};

char output[OUTPUT_MAX];

/* -- Content ----------------------------------------------------------------------------------- */

enum kind kind_of(unsigned i)
{
    static const enum kind kinds[] = {STRING, EXPIRING, HASH, LIST, STRING, DELETED};
    return i % (KEYS / LARGE) == 7 ? LARGE_STRING : kinds[i % 6];
}

struct bytes expected(unsigned i, unsigned pass)
{
    static char text[LARGE_SIZE + 64];
    int head = sprintf(text, "%u/%u:", i, pass);
    unsigned size = kind_of(i) == LARGE_STRING ? LARGE_SIZE : i % 97;
    for (unsigned n = 0; n < size; n++) { /* So that parts of passes differ throughout. */
        text[(unsigned)head + n] = (char)('a' + (i + pass + n / 1000) % 26);
    }
    return bytes_of(text, (size_t)head + size);
}

void append_write(redisContext *context, unsigned i, unsigned pass)
{
    struct bytes value = expected(i, pass);
    switch (kind_of(i)) {
    case STRING:
    case LARGE_STRING:
        redisAppendCommand(context, "SET k:%u %b", i, value.data, value.size);
        break;
    case EXPIRING:
        redisAppendCommand(context, "SET k:%u %b PXAT %lld", i, value.data, value.size,
                           EXPIRY_MS + i);
        break;
    case HASH:
        redisAppendCommand(context, "HSET k:%u f %b", i, value.data, value.size);
        break;
    case LIST:
        redisAppendCommand(context, "LPUSH k:%u %b", i, value.data, value.size);
        break;
    case DELETED:
        redisAppendCommand(context, pass % 2 == 0 ? "SET k:%u gone" : "DEL k:%u", i);
        break;
    }
}

void append_read(redisContext *context, unsigned i)
{
    switch (kind_of(i)) {
    case HASH:
        redisAppendCommand(context, "HGET k:%u f", i);
        break;
    case LIST:
        redisAppendCommand(context, "LINDEX k:%u 0", i);
        break;
    case EXPIRING:
        redisAppendCommand(context, "GETEX k:%u PXAT %lld", i, EXPIRY_MS + i);
        break;
    default:
        redisAppendCommand(context, "GET k:%u", i);
    }
}

redisReply *reply_next(redisContext *context)
{
    redisReply *reply = NULL;
    if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
        test_fail(__FILE__, __LINE__, "no reply: %s", context->errstr);
    }
    return reply;
}

void write_pass(redisContext *context, unsigned pass)
{
    for (unsigned first = 0; first < KEYS; first += 100) {
        for (unsigned i = first; i < first + 100; i++) {
            append_write(context, i, pass);
        }
        for (unsigned i = first; i < first + 100; i++) {
            redisReply *reply = reply_next(context);
            EXPECT(reply->type != REDIS_REPLY_ERROR);
            freeReplyObject(reply);
        }
    }
}

struct reading read_all(redisContext *context, unsigned pass)
{
    struct reading reading = {0, 0, 0};
    for (unsigned i = 0; i < KEYS; i++) {
        append_read(context, i);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        redisReply *reply = reply_next(context);
        struct bytes value = expected(i, pass);
        bool text = reply->type == REDIS_REPLY_STRING;
        if (reply->type == REDIS_REPLY_ERROR) {
            reading.errors++;
        } else if (reply->type == REDIS_REPLY_NIL) {
            reading.absent += kind_of(i) != DELETED;
            reading.right += kind_of(i) == DELETED;
        } else if (text && kind_of(i) != DELETED &&
                   bytes_equal(bytes_of(reply->str, reply->len), value)) {
            reading.right++;
        } else {
            test_fail(__FILE__, __LINE__, "k:%u is \"%.40s\"", i, text ? reply->str : "?");
        }
        freeReplyObject(reply);
    }
    return reading;
}

long long number_asked(redisContext *context, const char *command)
{
    redisReply *reply = redisCommand(context, command);
    EXPECT(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

unsigned keys_alive(void)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        alive += kind_of(i) != DELETED;
    }
    return alive;
}

/* -- Stores ------------------------------------------------------------------------------------ */

const char *base_dir(void)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/base", test_dir());
    return path;
}

const char *work_dir(void)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/work", test_dir());
    return path;
}

void work_make(void)
{
    shell("rm -rf '%s' && cp -a --sparse=always '%s' '%s' && rm -f '%s/server.log'", work_dir(),
          base_dir(), work_dir(), work_dir());
}

struct process *serve(const char *dir)
{
    shell("mkdir -p '%s'", dir);
    struct process_options options = {.dir = dir, .arguments = arguments_eager};
    return process_start(&options);
}

struct process *serve_lazily(const char *dir)
{
    struct process_options options = {.dir = dir, .arguments = arguments_lazy};
    return process_start(&options);
}

struct process *serve_for(const char *dir, redisContext **context_out)
{
    struct process *server = serve(dir);
    EXPECT(server != NULL);
    *context_out = ledger_connect(server);
    return server;
}

void kill_amid(struct process *server, redisContext *context, uint64_t *state, uint64_t most_us)
{
    int done = 0;
    while (done == 0) {
        EXPECT_INT(redisBufferWrite(context, &done), REDIS_OK);
    }
    usleep((useconds_t)test_random_below(state, most_us));
    process_kill(server);
    redisFree(context);
}

void base_make(bool orderly)
{
    redisContext *context = NULL;
    struct process *server = serve_for(base_dir(), &context);
    for (unsigned pass = 0; pass < PASSES; pass++) {
        write_pass(context, pass);
    }
    redisFree(context);
    if (orderly) {
        EXPECT_INT(process_stop(server), 0);
    }
    process_free(server);
}

/* -- basin-check ------------------------------------------------------------------------------- */

int check_run(const char *dir, const char *words)
{
    char command[1024];
    char *binary = strdup(process_binary());
    EXPECT(binary != NULL && strlen(binary) > strlen("server"));
    binary[strlen(binary) - strlen("server")] = 0;
    snprintf(command, sizeof(command), "timeout 60 %scheck '%s' %s 2>&1", binary, dir, words);
    free(binary);
    FILE *pipe = popen(command, "r");
    EXPECT(pipe != NULL);
    size_t size = fread(output, 1, sizeof(output) - 1, pipe);
    output[size] = 0;
    int state = pclose(pipe);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

void expect_check(const char *dir, const char *words, int code, const char *text)
{
    int got = check_run(dir, words);
    if (got != code || strstr(output, text) == NULL) {
        size_t size = strlen(output);
        test_fail(__FILE__, __LINE__, "basin-check %s: exit code %d, expected %d and \"%s\": …%s",
                  words, got, code, text, output + (size > 1500 ? size - 1500 : 0));
    }
}

/* -- Files ------------------------------------------------------------------------------------- */

size_t strata_list(const char *dir, struct file_facts *facts, size_t most)
{
    char path[512];
    size_t count = 0;
    EXPECT_INT(check_run(dir, ""), 0);
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned id;
        if (sscanf(line, "stratum %x:", &id) != 1) {
            continue;
        }
        EXPECT(count < most);
        struct file_facts *file = &facts[count++];
        struct stat stat_of_file;
        unsigned char word[8];
        snprintf(file->name, sizeof(file->name), "strata/%08x.stratum", id);
        snprintf(path, sizeof(path), "%s/%s", dir, file->name);
        int fd = open(path, O_RDONLY);
        EXPECT(fd >= 0 && fstat(fd, &stat_of_file) == 0);
        file->size = (uint64_t)stat_of_file.st_size;
        EXPECT_INT(pread(fd, word, 8, (off_t)(file->size - BLOCK + 32)), 8);
        file->grains_end = load_u64(word);
        EXPECT_INT(pread(fd, word, 8, (off_t)(file->size - BLOCK + 64)), 8);
        file->directory = load_u64(word);
        close(fd);
        file->run = strstr(line, "no run in use") == NULL;
    }
    return count;
}

/* Whether the byte belongs to something: not where the space of a run was given back. */
static bool byte_counts(const struct file_facts *file, uint64_t offset)
{
    uint64_t pages = (file->grains_end + BLOCK - 1) / BLOCK * BLOCK;
    return file->run || offset < pages || offset >= file->size - BLOCK;
}

void flip(const char *dir, const char *name, uint64_t offset, unsigned char mask)
{
    char path[512];
    unsigned char byte;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_INT(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= mask;
    EXPECT_INT(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

uint64_t file_size(const char *dir, const char *name)
{
    char path[512];
    struct stat facts;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    EXPECT(stat(path, &facts) == 0);
    return (uint64_t)facts.st_size;
}

struct file_facts strata[STRATA_MAX];

struct file_facts *byte_pick(uint64_t *state, size_t count, unsigned ends, uint64_t *offset_out)
{
    for (;;) {
        struct file_facts *file = &strata[test_random_below(state, count)];
        bool grains = test_random_below(state, 2) == 0;
        uint64_t pages = (file->grains_end + BLOCK - 1) / BLOCK * BLOCK;
        uint64_t offset = BLOCK + test_random_below(state, file->directory - BLOCK);
        if (test_random_below(state, ends) == 0) {
            uint64_t footer = file->size - BLOCK;
            offset =
                test_random_below(state, 2) == 0
                    ? test_random_below(state, 160)
                    : file->directory + test_random_below(state, footer + 160 - file->directory);
        } else if (grains && pages > BLOCK) {
            offset = BLOCK + test_random_below(state, pages - BLOCK);
        }
        if (byte_counts(file, offset)) {
            *offset_out = offset;
            return file;
        }
    }
}

void flip_some(uint64_t *state, size_t count, unsigned flips, unsigned ends, unsigned char mask)
{
    for (unsigned n = 0; n < flips; n++) {
        uint64_t offset;
        const struct file_facts *file = byte_pick(state, count, ends, &offset);
        unsigned char chance = (unsigned char)(1 + test_random_below(state, 255));
        flip(work_dir(), file->name, offset, mask == 0 ? chance : mask);
    }
}

/* -- The log -------------------------------------------------------------------------- */

struct frame frames[FRAMES_MAX];

static size_t file_frames(const char *dir, const char *name, size_t count)
{
    char path[512];
    unsigned char header[64];
    uint64_t offset = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0);
    while (count < FRAMES_MAX && pread(fd, header, 64, (off_t)offset) == 64 &&
           load_u32(header + 8) == 0x474C5742u) {
        struct frame *frame = &frames[count++];
        *frame = (struct frame){.offset = offset,
                                .size = load_u32(header + 20),
                                .total = load_u32(header + 24),
                                .start_lsn = load_u64(header + 32)};
        snprintf(frame->name, sizeof(frame->name), "%s", name);
        offset += frame->total;
    }
    close(fd);
    return count;
}

static int frame_order(const void *a, const void *b)
{
    const struct frame *x = a;
    const struct frame *y = b;
    return (x->start_lsn > y->start_lsn) - (x->start_lsn < y->start_lsn);
}

size_t frames_list(const char *dir)
{
    char command[512], name[64];
    size_t count = 0;
    snprintf(command, sizeof(command), "cd '%s' && find txlogs -type f", dir);
    FILE *pipe = popen(command, "r");
    EXPECT(pipe != NULL);
    while (fgets(name, sizeof(name), pipe) != NULL) {
        name[strcspn(name, "\n")] = 0;
        count = file_frames(dir, name, count);
    }
    pclose(pipe);
    qsort(frames, count, sizeof(*frames), frame_order);
    return count;
}

void logged_make(bool orderly)
{
    base_make(true);
    struct process *server = serve_lazily(base_dir());
    EXPECT(server != NULL);
    redisContext *context = ledger_connect(server);
    write_pass(context, PASSES - 1);
    redisFree(context);
    if (orderly) {
        EXPECT_INT(process_stop(server), 0);
    }
    process_free(server);
}
