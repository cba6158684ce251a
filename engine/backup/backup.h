/* backup: a copy of the store as it is at one moment, made while it works.
 *
 *     BASIN.BACKUP → backup thread: moment fixed → log copied → strata linked → durable → reply
 *     worker: asks, and looks from time to time ────────────────────────────────────────↗
 *
 * This file is about when: one at a time, on a thread of its own, since it waits for the device.
 * The work is in backup_copy.h. It implements basin_backup, basin_backup_ask and basin_backup_asked
 * of basin.h.
 *
 * Thread: each function any. Without threads (a simulated disk) asking does the work.
 */
#ifndef BASIN_ENGINE_BACKUP_BACKUP_H
#define BASIN_ENGINE_BACKUP_BACKUP_H

#include "engine/txn/store.h"

enum status backup_new(struct basin *basin, bool background, struct backup **backup_out);
/* One under way is given up, and what it has made is removed. NULL is fine. */
void backup_free(struct backup *backup);

#endif
