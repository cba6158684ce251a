/* survey: all of a stratum's file, piece by piece, for those who must see what lies behind damage.
 *
 *     stratum   a file is sound or it is refused; what is read is verified when it is read
 *     survey    everything is verified, each fault is told with its offset, and the walk goes on
 *
 * Without a sound footer the sections are looked for where the manifest's end of the grains says;
 * pages say themselves which they are. Behind a damaged grain the next one is where that one's size
 * says, and if nothing sound stands there, at the next offset where something sound does. (Such a
 * search may find what a client stored inside of a value to look like a grain: believe it only
 * where no row can be had.)
 *
 * Invariant S3: nothing is handed out before its checksum held.
 * Thread: one. Memory: the largest grain, and 1 MiB.
 */
#ifndef BASIN_ENGINE_STRATA_SURVEY_H
#define BASIN_ENGINE_STRATA_SURVEY_H

#include "engine/strata/stratum.h"

struct survey; /* opaque */

/* Who listens; all that is lent is lent during the call. */
struct survey_listener {
    void *ctx;
    /* Something at this offset is not as it was written. size: of what is lost by it; 0: not
     * known, or nothing. */
    void (*fault)(void *ctx, uint64_t offset, uint64_t size, const char *what);
    enum status (*grain)(void *ctx, uint64_t offset, const struct grain *grain, uint32_t size);
    enum status (*row)(void *ctx, const struct row *row);
    /* Rows with places first … last may have stood where nothing can be read. */
    enum status (*gap)(void *ctx, uint64_t first, uint64_t last);
};

/* Opens the file and judges header, footer and size. grains_end: the manifest's. *newer_out: a
 * newer version wrote it, as its sound header or footer says; then nothing else is judged. Faults
 * do not keep it from being given. ST_ABSENT, ST_IO, ST_NOMEM. */
enum status survey_open(struct io *io, const char *dir, uint32_t store, uint32_t id,
                        uint64_t grains_end, const struct survey_listener *listener,
                        struct survey **survey_out, bool *newer_out);
void survey_close(struct survey *survey); /* NULL is fine. */

/* Whether stratum_open would give it, without its run: header, footer and size are sound. */
bool survey_opens(const struct survey *survey);
/* Of the footer; without a sound one only id, file_size and grains_end (the manifest's) are set. */
const struct stratum_facts *survey_facts(const struct survey *survey);

/* Every sound grain in order. ST_IO, or what the listener answered. */
enum status survey_grains(struct survey *survey);
/* Every row of every sound page in order; judges pages, directory and filter. */
enum status survey_rows(struct survey *survey);
/* The bytes of a grain that was handed out; lent until the next call. */
enum status survey_grain(struct survey *survey, uint64_t offset, uint32_t size,
                         struct bytes *bytes_out);

#endif
