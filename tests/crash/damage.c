/* damage: files of a real store, torn or damaged in every way that a disk knows.
 *
 * Two answers are right. What a power cut can leave behind at the end of the log is the end of the
 * log: the server starts and has everything below. What only damage can explain (later frames, the
 * manifest or a later generation say that more was durable) is refused, with file, offset and
 * remedy, without changing anything: once the file is restored, all data is there.
 *
 * Offsets come from the frame format in engine/wlog/wlog.c: u32 magic at 8, u32 size of the payload
 * at 20, u32 total at 24, u64 start LSN at 32, u64 durable LSN at 40.
 */
#include "tests/crash/ledger.h"
#include "tests/lib/test.h"

#include "engine/base/bytes.h"
#include "engine/manifest/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER 64
#define MAGIC 0x474C5742u
#define FRAMES_MAX 8192
#define OUTPUT_MAX 8192

static const char *const arguments[] = {"--log-segment-size", "1mb", "--workers", "1", NULL};

/* -- Stores ------------------------------------------------------------------------------------ */

static struct process
    *serving; /* Of the test that runs; ended before the next directory is used. */

static void serve_end(void)
{
    process_free(serving);
    serving = NULL;
}

/* Kills what runs, and starts on the directory. */
static redisContext *serve(const char *dir)
{
    serve_end();
    shell("mkdir -p '%s'", dir); /* Its log lies in there too. */
    struct process_options options = {.dir = dir, .arguments = arguments};
    serving = process_start(&options);
    EXPECT(serving != NULL);
    return ledger_connect(serving);
}

/* A path in the test's directory; lent as long as the directory is. */
static const char *in_dir(const char *name)
{
    static char paths[64][256];
    static size_t count;
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(paths[i], path) == 0) {
            return paths[i];
        }
    }
    if (count == sizeof(paths) / sizeof(paths[0]) ||
        (count > 0 && strncmp(paths[0], test_dir(), strlen(test_dir())) != 0)) {
        count = 0; /* Those of an earlier test. */
    }
    EXPECT(strlen(path) < sizeof(paths[0]));
    strcpy(paths[count], path);
    return paths[count++];
}

/* Makes the store "base": so many keys, a frame each; killed, or stopped in order. */
static void base_make(uint64_t count, unsigned size, bool orderly)
{
    redisContext *context = serve(in_dir("base"));
    ledger_write(context, 0, count, size, NULL);
    redisFree(context);
    if (orderly) {
        EXPECT_INT(process_stop(serving), 0);
    }
    serve_end();
}

/* A fresh copy of it to damage. */
static const char *work_make(void)
{
    serve_end();
    shell("rm -rf '%s' && cp -a '%s' '%s'", in_dir("work"), in_dir("base"), in_dir("work"));
    return in_dir("work");
}

/* Starts it: has exactly `reach` keys, takes one more, and has that after another kill. */
static void expect_starts(const char *dir, uint64_t reach, uint64_t most)
{
    redisContext *context = serve(dir);
    EXPECT_INT(ledger_reach(context, most), reach);
    ledger_write(context, reach, 1, 40, NULL);
    redisFree(context);
    context = serve(dir);
    EXPECT_INT(ledger_reach(context, most + 1), reach + 1);
    redisFree(context);
    serve_end();
}

static void fingerprint(const char *dir, char *text, size_t size)
{
    char command[512];
    snprintf(command, sizeof(command),
             "cd '%s' && find . -type f ! -name server.log | sort | xargs md5sum | md5sum", dir);
    FILE *pipe = popen(command, "r");
    EXPECT(pipe != NULL && fgets(text, (int)size, pipe) != NULL);
    pclose(pipe);
}

/* Refuses, says the words, and leaves everything as it was. */
static void expect_refusal(const char *dir, const char *const *words)
{
    char output[OUTPUT_MAX], before[128], after[128];
    fingerprint(dir, before, sizeof(before));
    int code = ledger_refusal(dir, "", arguments, output, sizeof(output));
    if (code != 1) {
        test_fail(__FILE__, __LINE__, "exit code %d, expected 1; it said: %s", code, output);
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strstr(output, words[i]) == NULL) {
            test_fail(__FILE__, __LINE__, "\"%s\" is missing in: %s", words[i], output);
        }
    }
    fingerprint(dir, after, sizeof(after));
    EXPECT_TEXT(after, before);
}

/* -- Files ------------------------------------------------------------------------------------- */

struct frame {
    uint64_t offset, start_lsn, durable_lsn;
    uint32_t size, total;
};

static struct frame frames[FRAMES_MAX];

/* The frames of a file in order; gives their count. */
static size_t frames_read(const char *path)
{
    unsigned char header[HEADER];
    int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0);
    size_t count = 0;
    uint64_t offset = 0;
    while (count < FRAMES_MAX && pread(fd, header, HEADER, (off_t)offset) == HEADER &&
           load_u32(header + 8) == MAGIC &&
           (count == 0 ||
            load_u64(header + 32) == frames[count - 1].start_lsn + frames[count - 1].size)) {
        frames[count++] = (struct frame){.offset = offset,
                                         .start_lsn = load_u64(header + 32),
                                         .durable_lsn = load_u64(header + 40),
                                         .size = load_u32(header + 20),
                                         .total = load_u32(header + 24)};
        offset += load_u32(header + 24);
    }
    close(fd);
    return count;
}

static char active[128]; /* Below the store: the file that the log ends in. */

/* Names follow content late, so it is found by its frames; they are in `frames` then. Gives their
 * count. */
static size_t active_find(void)
{
    char command[512], name[128], path[512];
    snprintf(command, sizeof(command), "cd '%s' && find txlogs -type f", in_dir("base"));
    FILE *pipe = popen(command, "r");
    EXPECT(pipe != NULL);
    uint64_t latest = 0;
    while (fgets(name, sizeof(name), pipe) != NULL) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof(path), "%s/%s", in_dir("base"), name);
        size_t count = frames_read(path);
        if (count > 0 && frames[count - 1].start_lsn >= latest) {
            latest = frames[count - 1].start_lsn + 1;
            strcpy(active, name);
        }
    }
    pclose(pipe);
    EXPECT(latest > 0);
    snprintf(path, sizeof(path), "%s/%s", in_dir("base"), active);
    return frames_read(path);
}

static const char *work_active(void)
{
    char name[160];
    snprintf(name, sizeof(name), "work/%s", active);
    return in_dir(name);
}

/* As it was before the damage. */
static void active_restore(void)
{
    shell("cp -a '%s/%s' '%s'", in_dir("base"), active, work_active());
}

enum filling { ZEROS, GARBAGE, FLIPPED };

static void overwrite(const char *path, uint64_t offset, size_t size, enum filling filling)
{
    unsigned char *bytes = malloc(size);
    int fd = open(path, O_RDWR);
    EXPECT(fd >= 0 && bytes != NULL);
    EXPECT_INT(pread(fd, bytes, size, (off_t)offset), size);
    uint64_t state = offset + 1;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = filling == ZEROS     ? 0
                   : filling == GARBAGE ? (unsigned char)test_random(&state)
                                        : bytes[i] ^ 0x40;
    }
    EXPECT_INT(pwrite(fd, bytes, size, (off_t)offset), size);
    close(fd);
    free(bytes);
}

/* The rotated segments in order of their names, which is that of their LSNs. */
static size_t segments_list(const char *dir, char names[][64], size_t most)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/txlogs/reading", dir);
    struct dirent **entries = NULL;
    int found = scandir(path, &entries, NULL, alphasort);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        if (entries[i]->d_name[0] != '.' && count < most) {
            snprintf(names[count++], 64, "%.63s", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

/* -- The end of the log -------------------------------------------------------------------------
 */

#define KEYS 60

/* W3. The last frame is a large one, so that it has many sectors. */
static size_t torn_base(void)
{
    redisContext *context = serve(in_dir("base"));
    ledger_write(context, 0, KEYS - 1, 200, NULL);
    ledger_write(context, KEYS - 1, 1, 20000, NULL);
    redisFree(context);
    serve_end();
    size_t count = active_find();
    EXPECT(frames[count - 1].total >= 20000);
    return count;
}

TEST(a_log_cut_off_anywhere_in_its_last_frame_starts_with_all_keys_before)
{
    size_t count = torn_base();
    struct frame last = frames[count - 1];
    const uint64_t cuts[] = {0, 1, 63, 64, 65, 511, 512, 513, 4096, 10240, HEADER + last.size - 1};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        const char *dir = work_make();
        EXPECT_INT(truncate(work_active(), (off_t)(last.offset + cuts[i])), 0);
        expect_starts(dir, KEYS - 1, KEYS);
    }
    /* The padding behind the payload is nobody's loss. */
    const char *dir = work_make();
    EXPECT_INT(truncate(work_active(), (off_t)(last.offset + HEADER + last.size)), 0);
    expect_starts(dir, KEYS, KEYS);
}

TEST(a_last_frame_torn_at_any_sector_is_the_end_of_the_log)
{
    size_t count = torn_base();
    struct frame last = frames[count - 1];
    size_t sectors = (HEADER + last.size - 1) / 512 + 1;
    for (size_t sector = 0; sector < sectors; sector += sector < 3 ? 1 : 7) {
        for (int filling = ZEROS; filling <= GARBAGE; filling++) {
            const char *dir = work_make();
            overwrite(work_active(), last.offset + sector * 512,
                      last.total - (uint32_t)sector * 512, (enum filling)filling);
            expect_starts(dir, KEYS - 1, KEYS);
        }
    }
}

TEST(a_single_lost_sector_of_the_last_frame_is_the_end_of_the_log)
{
    size_t count = torn_base();
    struct frame last = frames[count - 1];
    for (uint64_t sector = 0; sector < 39; sector += 6) {
        const char *dir = work_make();
        overwrite(work_active(), last.offset + sector * 512, 512, ZEROS);
        expect_starts(dir, KEYS - 1, KEYS);
    }
}

TEST(garbage_behind_the_last_frame_changes_nothing)
{
    size_t count = torn_base();
    struct frame last = frames[count - 1];
    const char *dir = work_make();
    overwrite(work_active(), last.offset + last.total, 8192, GARBAGE);
    expect_starts(dir, KEYS, KEYS);
    /* So does a copy of an earlier frame there: it says where it belongs. */
    dir = work_make();
    shell("dd if='%s' of='%s' bs=512 count=8 seek=%" PRIu64 " conv=notrunc status=none",
          work_active(), work_active(), (last.offset + last.total) / 512);
    expect_starts(dir, KEYS, KEYS);
}

/* Several flushes were in flight: one of them is lost, later ones arrived. None was acknowledged,
 * for their durable LSNs do not reach the lost one's end. */
TEST(a_lost_flush_before_others_in_flight_is_the_end_of_the_log)
{
    redisContext *context = serve(in_dir("base"));
    ledger_pipeline(context, 0, 3000, 100);
    redisFree(context);
    serve_end();
    size_t count = active_find();
    size_t lost = 0;
    for (size_t i = 1; i + 1 < count; i++) {
        lost = frames[i + 1].durable_lsn <= frames[i].start_lsn ? i : lost;
    }
    if (lost == 0) {
        printf("no two flushes were in flight at once: nothing to test\n");
        return;
    }
    const char *dir = work_make();
    uint64_t end = frames[lost + 1].offset + frames[lost + 1].total;
    EXPECT_INT(truncate(work_active(), (off_t)end), 0);
    overwrite(work_active(), frames[lost].offset, 512, ZEROS);
    context = serve(dir);
    uint64_t reach = ledger_reach(context, 3000);
    EXPECT(reach > 0 && reach < 3000);
    redisFree(context);
    serve_end();
}

TEST(a_log_cut_off_after_an_orderly_stop_is_refused)
{
    base_make(KEYS, 200, true);
    size_t count = active_find();
    const char *dir = work_make();
    EXPECT_INT(truncate(work_active(), (off_t)frames[count - 1].offset), 0);
    const char *const words[] = {active, "offset", "the manifest", "Restore", NULL};
    expect_refusal(dir, words);
    active_restore();
    expect_starts(dir, KEYS, KEYS);
}

/* -- Damage in the middle ------------------------------------------------------------------------
 */

/* Each byte of the header counts, and the payload's first and last. */
TEST(a_flipped_byte_in_an_early_frame_is_refused_and_heals_when_restored)
{
    base_make(KEYS, 200, false);
    size_t count = active_find();
    EXPECT_INT(count, KEYS);
    const size_t victims[] = {0, 5, count / 2, count - 2};
    const uint64_t places[] = {0, 9, 13, 17, 21, 26, 33, 41, 49, 57, HEADER, HEADER + 100};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k += i == 0 ? 1 : 5) {
            const char *dir = work_make();
            struct frame victim = frames[victims[i]];
            overwrite(work_active(), victim.offset + places[k], 1, FLIPPED);
            char offset[64];
            snprintf(offset, sizeof(offset), "offset %" PRIu64 " of", victim.offset);
            /* Without its first frame the file is none of the log's: no offset is known then. */
            const char *const words[] = {victims[i] == 0 ? "txlogs" : active,
                                         victims[i] == 0 ? "offset 0" : offset, "Restore", NULL};
            expect_refusal(dir, words);
            overwrite(work_active(), victim.offset + places[k], 1, FLIPPED);
            if (k == 0) {
                expect_starts(dir, KEYS, KEYS);
            }
        }
    }
}

TEST(lost_sectors_in_the_middle_are_refused)
{
    base_make(KEYS, 200, false);
    size_t count = active_find();
    const char *const words[] = {active, "offset", "Restore", NULL};
    for (int filling = ZEROS; filling <= GARBAGE; filling++) {
        const char *dir = work_make();
        overwrite(work_active(), frames[count / 3].offset, 4096, (enum filling)filling);
        expect_refusal(dir, words);
    }
}

/* -- Segments ------------------------------------------------------------------------------------
 */

#define MANY 900

/* Several rotated segments; two lives, so that there are two generations. */
static size_t segments_base(char names[][64], size_t most)
{
    base_make(MANY / 2, 3000, false);
    redisContext *context = serve(in_dir("base"));
    ledger_write(context, MANY / 2, MANY / 2, 3000, NULL);
    redisFree(context);
    usleep(200000); /* Names follow in the background. */
    process_kill(serving);
    size_t count = segments_list(in_dir("base"), names, most);
    EXPECT(count >= 3);
    return count;
}

TEST(a_missing_segment_is_refused_and_heals_when_it_is_back)
{
    char names[32][64];
    size_t count = segments_base(names, 32);
    const char *const words[] = {"txlogs", "offset", "Restore", NULL};
    for (size_t i = 0; i < count; i++) {
        const char *dir = work_make();
        shell("mv '%s/txlogs/reading/%s' '%s'", dir, names[i], in_dir("aside"));
        expect_refusal(dir, words);
        shell("mv '%s' '%s/txlogs/reading/%s'", in_dir("aside"), dir, names[i]);
        if (i == count / 2) {
            expect_starts(dir, MANY, MANY);
        }
    }
}

TEST(an_emptied_or_halved_segment_is_refused)
{
    char names[32][64];
    size_t count = segments_base(names, 32);
    const char *const words[] = {"txlogs", "offset", "Restore", NULL};
    for (off_t size = 0; size <= 524288; size += 524288) {
        const char *dir = work_make();
        char path[512];
        snprintf(path, sizeof(path), "%s/txlogs/reading/%s", dir, names[count / 2]);
        EXPECT_INT(truncate(path, size), 0);
        expect_refusal(dir, words);
    }
}

/* Recovery goes by what files hold. */
TEST(renamed_and_doubled_segments_change_nothing)
{
    char names[32][64];
    size_t count = segments_base(names, 32);
    const char *dir = work_make();
    for (size_t i = 0; i < count; i++) {
        shell("mv '%s/txlogs/reading/%s' '%s/txlogs/prepared/tx-%zu.log'", dir, names[i], dir,
              900 + count - i);
    }
    shell("mv '%s/txlogs/writing/tx.log' '%s/txlogs/reading/tx-00000000000000ff.log'", dir, dir);
    expect_starts(dir, MANY, MANY);
    dir = work_make();
    shell("cp -a '%s/txlogs/reading/%s' '%s/txlogs/reading/tx-0000000000ffffff.log'", dir, names[1],
          dir);
    expect_starts(dir, MANY, MANY);
}

/* -- Manifest ------------------------------------------------------------------------------------
 */

TEST(a_missing_manifest_is_refused_when_there_is_a_log)
{
    base_make(KEYS, 200, true);
    const char *dir = work_make();
    shell("mv '%s/MANIFEST' '%s'", dir, in_dir("aside"));
    const char *const words[] = {"manifest", "txlogs", "Restore", NULL};
    expect_refusal(dir, words);
    shell("mv '%s' '%s/MANIFEST'", in_dir("aside"), dir);
    expect_starts(dir, KEYS, KEYS);
}

TEST(a_damaged_manifest_is_refused_at_every_byte_tried)
{
    base_make(KEYS, 200, false);
    const char *const words[] = {"MANIFEST", "restore", NULL};
    const char *dir = work_make();
    struct stat found;
    EXPECT_INT(stat(in_dir("work/MANIFEST"), &found), 0);
    for (off_t at = 0; at < found.st_size; at += at < 48 ? 5 : 311) {
        overwrite(in_dir("work/MANIFEST"), (uint64_t)at, 1, FLIPPED);
        expect_refusal(dir, words);
        overwrite(in_dir("work/MANIFEST"), (uint64_t)at, 1, FLIPPED);
    }
    for (off_t size = 0; size < found.st_size; size += 1000) {
        shell("cp -a '%s' '%s'", in_dir("base/MANIFEST"), in_dir("work/MANIFEST"));
        EXPECT_INT(truncate(in_dir("work/MANIFEST"), size), 0);
        expect_refusal(dir, words);
    }
    shell("cp -a '%s' '%s'", in_dir("base/MANIFEST"), in_dir("work/MANIFEST"));
    expect_starts(dir, KEYS, KEYS);
}

TEST(a_manifest_of_a_newer_version_is_refused_by_that_name)
{
    base_make(KEYS, 200, false);
    const char *dir = work_make();
    unsigned char version[4];
    store_u32(version, MANIFEST_VERSION + 1);
    int fd = open(in_dir("work/MANIFEST"), O_WRONLY);
    EXPECT(fd >= 0 && pwrite(fd, version, 4, 8) == 4);
    close(fd);
    const char *const words[] = {"MANIFEST", "version", NULL};
    expect_refusal(dir, words);
}

/* An older manifest does not know the last life: starting with it would void what that wrote. */
TEST(a_manifest_older_than_the_log_is_refused)
{
    base_make(KEYS, 200, false);
    shell("cp -a '%s' '%s'", in_dir("base/MANIFEST"), in_dir("older"));
    redisContext *context = serve(in_dir("base"));
    ledger_write(context, KEYS, 10, 200, NULL);
    redisFree(context);
    const char *dir = work_make();
    shell("cp -a '%s' '%s/MANIFEST'", in_dir("older"), dir);
    const char *const words[] = {"manifest", "txlogs", "Restore", NULL};
    expect_refusal(dir, words);
    shell("cp -a '%s' '%s/MANIFEST'", in_dir("base/MANIFEST"), dir);
    expect_starts(dir, KEYS + 10, KEYS + 10);
}

/* -- Other stores, other servers, other files
 * ------------------------------------------------------ */

static void other_make(uint64_t count, unsigned lives)
{
    for (unsigned life = 0; life < lives; life++) {
        redisContext *context = serve(in_dir("other"));
        ledger_write(context, 0, count, 300, NULL);
        redisFree(context);
    }
    serve_end();
}

TEST(the_log_of_another_store_is_refused)
{
    base_make(KEYS, 200, false);
    const char *const words[] = {"txlogs", "Restore", NULL};
    for (unsigned lives = 1; lives <= 2; lives++) {
        shell("rm -rf '%s'", in_dir("other"));
        other_make(KEYS, lives);
        const char *dir = work_make();
        shell("rm -rf '%s/txlogs' && cp -a '%s/txlogs' '%s/txlogs'", dir, in_dir("other"), dir);
        expect_refusal(dir, words);
        shell("rm -rf '%s/txlogs' && cp -a '%s/txlogs' '%s/txlogs'", dir, in_dir("base"), dir);
        expect_starts(dir, KEYS, KEYS);
    }
}

TEST(a_segment_of_another_store_beside_ours_is_left_out)
{
    base_make(KEYS, 200, false);
    other_make(KEYS / 2, 1);
    const char *dir = work_make();
    shell("cp -a '%s/txlogs/writing/tx.log' '%s/txlogs/reading/stranger'", in_dir("other"), dir);
    expect_starts(dir, KEYS, KEYS);
}

TEST(a_store_that_another_server_has_open_is_refused_and_the_other_goes_on)
{
    redisContext *context = serve(in_dir("base"));
    ledger_write(context, 0, 10, 40, NULL);
    char output[OUTPUT_MAX];
    EXPECT_INT(ledger_refusal(in_dir("base"), "", arguments, output, sizeof(output)), 1);
    EXPECT(strstr(output, "another") != NULL);
    EXPECT(strstr(output, in_dir("base")) != NULL);
    ledger_write(context, 10, 10, 40, NULL);
    EXPECT_INT(ledger_reach(context, 20), 20);
    redisFree(context);
    expect_starts(in_dir("base"), 20, 20);
}

TEST(a_directory_that_cannot_be_used_is_refused)
{
    char output[OUTPUT_MAX];
    const char *file = in_dir("file");
    shell("echo > '%s'", file);
    EXPECT_INT(ledger_refusal(file, "", arguments, output, sizeof(output)), 1);
    EXPECT(strstr(output, file) != NULL);
    EXPECT_INT(ledger_refusal(in_dir("no/such/dir"), "", arguments, output, sizeof(output)), 1);
    EXPECT(strstr(output, "no/such/dir") != NULL);
    base_make(KEYS, 200, false);
    const char *dir = work_make();
    shell("mv '%s/txlogs' '%s' && echo > '%s/txlogs'", dir, in_dir("aside"), dir);
    EXPECT_INT(ledger_refusal(dir, "", arguments, output, sizeof(output)), 1);
    EXPECT(strstr(output, "txlogs") != NULL);
    shell("rm '%s/txlogs' && mv '%s' '%s/txlogs'", dir, in_dir("aside"), dir);
    expect_starts(dir, KEYS, KEYS);
}

TEST(a_store_that_may_not_be_read_is_refused)
{
    if (geteuid() != 0) {
        printf("skipped: needs root to become somebody else\n");
        return;
    }
    base_make(KEYS, 200, false);
    const char *dir = work_make();
    char output[OUTPUT_MAX];
    shell("chmod 755 '%s' '%s' && cp '%s' '%s'", test_dir(), dir, process_binary(),
          in_dir("basin-server"));
    shell("chmod 755 '%s'", in_dir("basin-server"));
    char *before = strdup(process_binary());
    setenv("BASIN_SERVER", in_dir("basin-server"), 1);
    int code = ledger_refusal(dir, "setpriv --reuid=65534 --clear-groups", arguments, output,
                              sizeof(output));
    setenv("BASIN_SERVER", before, 1);
    free(before);
    EXPECT_INT(code, 1);
    EXPECT(strstr(output, dir) != NULL && strstr(output, "ermission denied") != NULL);
    expect_starts(dir, KEYS, KEYS);
}
