/* specimen: a real store of known content, to be damaged, checked, served and mended.
 *
 * KEYS keys are written in passes: expected() tells what each has after which, and so any value
 * that is read is right or wrong. The store lies in base_dir(); work_make makes a copy to work on.
 * Where parts of its files lie is learned from basin-check and from the formats.
 * Thread: one. Failures end the test (tests/lib/test.h).
 */
#ifndef BASIN_TESTS_CRASH_SPECIMEN_H
#define BASIN_TESTS_CRASH_SPECIMEN_H

#include "engine/base/bytes.h"
#include "tests/crash/ledger.h"
#include "tests/lib/test.h"

#define KEYS 1200
#define LARGE 10 /* How many of the keys have values of many parts. */
#define LARGE_SIZE 40000
#define OUTPUT_MAX (4u << 20)
#define BLOCK 4096
#define EXPIRY_MS 4102444800000ll /* 2100 */
#define PASSES 4                  /* Of base_make. The last one is odd: what is deleted is gone. */

extern char output[OUTPUT_MAX]; /* Of basin-check, or of a server that refused. */

/* -- Content ----------------------------------------------------------------------------------- */

enum kind { STRING, EXPIRING, HASH, LIST, LARGE_STRING, DELETED };
enum kind kind_of(unsigned i);
/* What key i has after this pass; lent until the next call. */
struct bytes expected(unsigned i, unsigned pass);
unsigned keys_alive(void); /* After an odd pass. */

/* Commands into the pipeline, and what comes back. */
void append_write(redisContext *context, unsigned i, unsigned pass);
void append_read(redisContext *context, unsigned i);
redisReply *reply_next(redisContext *context);
long long number_asked(redisContext *context, const char *command);
void write_pass(redisContext *context, unsigned pass);

/* Every key is right, an error, or (counted; the caller judges) absent; anything else fails. */
struct reading {
    unsigned right, errors, absent;
};
struct reading read_all(redisContext *context, unsigned pass);

/* -- Stores and servers ------------------------------------------------------------------------ */

const char *base_dir(void);
const char *work_dir(void);
void work_make(void);
/* NULL: it refused. It settles every 16 KiB of log; lazily: not for so little as is written here.
 */
struct process *serve(const char *dir);
struct process *serve_lazily(const char *dir);
/* It does not refuse. Both are the caller's. */
struct process *serve_for(const char *dir, redisContext **context_out);
/* Sends what is in the pipeline, and kills the server within most_us. Frees the context. */
void kill_amid(struct process *server, redisContext *context, uint64_t *state, uint64_t most_us);
/* Writes the passes, and stops in order, or by SIGKILL at the very end. */
void base_make(bool orderly);
/* A store of which the last writes are in the log alone. */
void logged_make(bool orderly);

/* -- basin-check: beside the server; what it says is in output. -------------------------------- */

int check_run(const char *dir, const char *words); /* Gives its exit code. */
void expect_check(const char *dir, const char *words, int code, const char *text);

/* -- Files ------------------------------------------------------------------------------------- */

void flip(const char *dir, const char *name, uint64_t offset, unsigned char mask);
uint64_t file_size(const char *dir, const char *name);

/* The strata of a store, by what basin-check says of it. */
struct file_facts {
    char name[64]; /* Below the store. */
    uint64_t size, grains_end, directory;
    bool run; /* In use. */
};
#define STRATA_MAX 64
extern struct file_facts strata[STRATA_MAX];
size_t strata_list(const char *dir, struct file_facts *facts, size_t most);
/* A byte of `strata` that counts, in any section. `ends`: of so many picks one lies in what is
 * judged when a server starts: header, footer, directory or filter. */
struct file_facts *byte_pick(uint64_t *state, size_t count, unsigned ends, uint64_t *offset_out);

/* Flips so many of those in work_dir(), by `mask`, or by chance where it is 0. */
void flip_some(uint64_t *state, size_t count, unsigned flips, unsigned ends, unsigned char mask);

/* A frame of the log; see engine/wlog/wlog.c for the offsets. */
struct frame {
    char name[64]; /* Of its file, below the store. */
    uint64_t offset, start_lsn;
    uint32_t size, total;
};
#define FRAMES_MAX 4096
extern struct frame frames[FRAMES_MAX];
/* Fills `frames`, of all files, in order of LSNs. */
size_t frames_list(const char *dir);

#endif
