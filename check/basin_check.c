/* basin-check: looks at a stopped store, says what it holds and whether it is sound, shows its
 * content, and mends what can be mended. The words are in usage(). */
#include "check/log_walk.h"
#include "check/read_only.h"
#include "check/rebuild.h"
#include "check/show.h"
#include "engine/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_SOUND = 0, EXIT_DAMAGED = 1, EXIT_FAILED = 2 };

struct request {
    const char *dir;
    bool dumps, dumps_strata, dumps_log;
    bool rebuilds, from_grains, repairs, yes;
};

struct session {
    struct request request;
    struct io *io;   /* That writes, */
    struct io *view; /* and that does not. */
    struct io_file *lock;
    struct report report;
    struct holdings holdings;
    struct verdicts verdicts;
    struct log_facts log;
    uint64_t index_damage; /* Facts that are wrong beside the log's. */
};

static int usage(void)
{
    fputs("basin-check DIR              verifies the store in DIR, which no server runs on, and\n"
          "                             says what it holds; changes nothing\n"
          "basin-check DIR --dump [strata|log]\n"
          "                             shows grains and log records, a line each\n"
          "basin-check DIR --repair     keeps all that is sound, lists what is not\n"
          "basin-check DIR --rebuild-index [--from-grains]\n"
          "                             writes the index anew; --from-grains: believes no row of\n"
          "                             the old one but those of deleted keys\n"
          "The last two say what they would do; they do it with --yes.\n"
          "Exit code: 0 sound, 1 damaged, 2 it could not be told.\n",
          stderr);
    return EXIT_FAILED;
}

static bool request_take(struct request *request, const char *word)
{
    if (strcmp(word, "--dump") == 0) {
        request->dumps = request->dumps_strata = request->dumps_log = true;
    } else if (request->dumps && strcmp(word, "strata") == 0) {
        request->dumps_log = false;
    } else if (request->dumps && strcmp(word, "log") == 0) {
        request->dumps_strata = false;
    } else if (strcmp(word, "--rebuild-index") == 0) {
        request->rebuilds = true;
    } else if (strcmp(word, "--from-grains") == 0) {
        request->from_grains = true;
    } else if (strcmp(word, "--repair") == 0) {
        request->repairs = true;
    } else if (strcmp(word, "--yes") == 0) {
        request->yes = true;
    } else if (word[0] == '-' || request->dir != NULL) {
        return false;
    } else {
        request->dir = word;
    }
    return true;
}

static bool request_parse(struct request *request, int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (!request_take(request, words[i])) {
            return false;
        }
    }
    int modes = request->dumps + request->rebuilds + request->repairs;
    bool writes = request->rebuilds || request->repairs;
    return request->dir != NULL && modes <= 1 && (!request->yes || writes) &&
           (!request->from_grains || request->rebuilds) &&
           (!request->dumps || request->dumps_strata || request->dumps_log);
}

/* -- Taking the store -------------------------------------------------------------------------- */

/* A store that was copied without its LOCK is nobody's. */
static enum status lock_take(struct session *session)
{
    char path[4096];
    struct io_file *file = NULL;
    snprintf(path, sizeof(path), "%.4000s/LOCK", session->request.dir);
    enum status status = io_file_open(session->io, path, IO_READ, &file);
    if (status == ST_ABSENT) {
        return ST_OK;
    }
    io_file_close(file);
    status = io_file_open(session->io, path, IO_WRITE, &session->lock);
    if (status == ST_OK) {
        status = io_file_lock(session->lock);
    }
    if (status == ST_BUSY) {
        fprintf(stderr, "%s: a server has this store open: stop it first\n", session->request.dir);
    } else if (status != ST_OK) {
        fprintf(stderr, "%s cannot be locked: %s\n", path, status_name(status));
    }
    return status;
}

static void lock_release(struct session *session)
{
    io_file_close(session->lock);
    session->lock = NULL;
}

/* -- Verifying --------------------------------------------------------------------------------- */

/* Reads and judges everything. ST_CORRUPT: the manifest is damaged, the rest cannot be told. */
static enum status verify(struct session *session)
{
    const char *dir = session->request.dir;
    enum status status = holdings_read(&session->holdings, session->view, dir, &session->report);
    if (status == ST_ABSENT) {
        fprintf(stderr, "%s: no store is there (no MANIFEST)\n", dir);
    }
    if (status == ST_OK) {
        status = verdicts_judge(&session->holdings, &session->verdicts);
        session->index_damage = session->report.damaged;
    }
    if (status == ST_OK) {
        status = log_walk(session->view, dir, &session->holdings.manifest, &session->report, NULL,
                          NULL, &session->log);
    }
    return status;
}

static enum status facts_print(struct session *session)
{
    enum status status = verdicts_facts(&session->holdings, &session->verdicts);
    if (status == ST_OK) {
        status =
            log_facts_print(session->view, session->request.dir, &session->report, &session->log);
    }
    return status;
}

static int check(struct session *session)
{
    enum status status = verify(session);
    if (status == ST_OK) {
        status = facts_print(session);
    }
    if (status == ST_CORRUPT) {
        return EXIT_DAMAGED;
    }
    if (status != ST_OK) {
        fprintf(stderr, "could not be checked: %s\n", status_name(status));
        return EXIT_FAILED;
    }
    if (session->report.damaged > 0) {
        report_fact(&session->report, "damaged: %" PRIu64 " facts are wrong",
                    session->report.damaged);
        return EXIT_DAMAGED;
    }
    report_fact(&session->report, "sound");
    return EXIT_SOUND;
}

static int dump(struct session *session)
{
    struct manifest manifest;
    const char *dir = session->request.dir;
    enum status status = manifest_load(&manifest, session->view, dir);
    if (status == ST_OK && session->request.dumps_strata) {
        status = show_strata(session->view, dir, &manifest, &session->report);
    }
    if (status == ST_OK && session->request.dumps_log) {
        status = show_log(session->view, dir, &manifest, &session->report);
    }
    manifest_deinit(&manifest);
    if (status != ST_OK) {
        fprintf(stderr, "%s: could not be shown: %s\n", dir, status_name(status));
        return EXIT_FAILED;
    }
    return session->report.damaged > 0 ? EXIT_DAMAGED : EXIT_SOUND;
}

/* -- Mending ----------------------------------------------------------------------------------- */

static enum status mend_write(struct session *session, struct rebuild *rebuild, bool index,
                              bool log)
{
    enum status status = ST_OK;
    if (index) {
        status = rebuild_write(rebuild, session->io);
    }
    lock_release(session);
    if (status == ST_OK && log) {
        status = log_cut_write(session->io, session->request.dir, &session->log,
                               session->verdicts.greatest_lsn);
    }
    return status;
}

static int mend(struct session *session)
{
    const struct request *request = &session->request;
    enum status status = verify(session);
    if (status != ST_OK) {
        fprintf(stderr, "nothing was changed: %s\n", status_name(status));
        return EXIT_FAILED;
    }
    bool log = request->repairs && session->log.damaged;
    bool index = request->rebuilds || session->index_damage > 0;
    struct rebuild rebuild = {.holdings = &session->holdings,
                              .verdicts = &session->verdicts,
                              .from_grains = request->from_grains,
                              .end_lsn = session->log.end_lsn,
                              .set_aside = request->repairs};
    if (index) {
        status = rebuild_plan(&rebuild);
    }
    if (log) {
        log_cut_plan(&session->report, &session->log, session->verdicts.greatest_lsn);
    }
    int code = EXIT_SOUND;
    if (status == ST_OK && !index && !log) {
        report_fact(&session->report, "sound: there is nothing to mend");
    } else if (status == ST_OK && !request->yes) {
        report_fact(&session->report, "nothing was changed: say --yes to have it done");
        code = session->report.damaged > 0 ? EXIT_DAMAGED : EXIT_SOUND;
    } else if (status == ST_OK) {
        status = mend_write(session, &rebuild, index, log);
        report_fact(&session->report, "%s",
                    status == ST_OK ? "done: check it once more before a server starts on it"
                                    : "given up");
    }
    rebuild_deinit(&rebuild);
    if (status != ST_OK) {
        fprintf(stderr, "%s: %s\n", request->dir, status_name(status));
        code = EXIT_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    struct session session = {.report = {.silent = false}};
    if (!request_parse(&session.request, argc, argv)) {
        return usage();
    }
    log_set_level(LOG_WARNING);
    if (io_new(IO_ROAD_PLAIN, &session.io) != ST_OK) {
        fprintf(stderr, "basin-check: %s\n", status_name(ST_NOMEM));
        return EXIT_FAILED;
    }
    session.view = read_only_new(session.io);
    int code = EXIT_FAILED;
    if (session.view != NULL && lock_take(&session) == ST_OK) {
        bool mends = session.request.rebuilds || session.request.repairs;
        code = session.request.dumps ? dump(&session) : mends ? mend(&session) : check(&session);
    }
    verdicts_deinit(&session.verdicts);
    holdings_deinit(&session.holdings);
    lock_release(&session);
    read_only_free(session.view);
    io_free(session.io);
    return code;
}
