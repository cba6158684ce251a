#include "check/rebuild.h"

#include "engine/basin.h"

#include <inttypes.h>

void log_cut_plan(const struct report *report, const struct log_facts *facts, uint64_t greatest_lsn)
{
    report_fact(report,
                "plan: the log is cut at LSN %" PRIu64 ": all effects from there on are lost, but "
                "for those in strata",
                facts->end_lsn);
    if (greatest_lsn > facts->end_lsn) {
        report_fact(report,
                    "plan: strata hold effects to LSN %" PRIu64 ": what can be read of the log is "
                    "settled first, and the log goes on behind that",
                    greatest_lsn);
    }
}

/* The generation after all that the files may hold frames of begins at `lsn`; none that was known
 * begins later. */
static enum status generation_begin(struct manifest *manifest, uint64_t lsn)
{
    size_t count = manifest->generation_count;
    uint32_t number = count == 0 ? 1 : manifest->generations[count - 1].number + 1;
    while (count > 0 && manifest->generations[count - 1].start_lsn >= lsn) {
        count--;
    }
    manifest->generation_count = count;
    enum status status = manifest_add_generation(manifest, lsn);
    if (status == ST_OK) {
        manifest->generations[manifest->generation_count - 1].number = number;
        manifest->durable_lsn = lsn;
    }
    return status;
}

/* Opens the store, which replays all that is left of the log, and settles it. */
static enum status replayed_settle(const char *dir, uint32_t shards)
{
    struct basin_options options = basin_options_default();
    options.dir = dir;
    options.shards = shards;
    options.replay_looks = true; /* What strata hold from beyond the cut stays (S4). */
    struct basin *basin = NULL;
    enum status status = basin_open(&options, &basin);
    if (status == ST_OK) {
        status = basin_settle(basin);
    }
    basin_close(basin);
    return status;
}

enum status log_cut_write(struct io *io, const char *dir, const struct log_facts *facts,
                          uint64_t greatest_lsn)
{
    struct manifest manifest;
    enum status status = manifest_load(&manifest, io, dir);
    if (status != ST_OK) {
        return status;
    }
    uint32_t shards = manifest.shard_count;
    status = generation_begin(&manifest, facts->end_lsn);
    if (status == ST_OK) {
        status = manifest_save(&manifest, io, dir);
    }
    manifest_deinit(&manifest);
    if (status != ST_OK || greatest_lsn <= facts->end_lsn) {
        return status;
    }
    status = replayed_settle(dir, shards);
    if (status == ST_OK) {
        status = manifest_load(&manifest, io, dir);
    }
    if (status != ST_OK) {
        return status;
    }
    /* Nothing of the log is needed any more. */
    uint64_t lsn = greatest_lsn + 1;
    status = generation_begin(&manifest, lsn);
    if (status == ST_OK) {
        manifest_trim(&manifest, lsn);
        status = manifest_save(&manifest, io, dir);
    }
    manifest_deinit(&manifest);
    return status;
}
