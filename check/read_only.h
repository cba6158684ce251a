/* read_only: a seam to the world through which nothing can be changed: files open for reading
 * whatever is asked for, and what would write, sync, rename or remove answers ST_OK and does
 * nothing. So a store can be looked at with the engine's own reading, which at times writes once
 * more what it has read (wlog_replay).
 * Thread, memory: as the seam behind it.
 */
#ifndef BASIN_CHECK_READ_ONLY_H
#define BASIN_CHECK_READ_ONLY_H

#include "engine/io/io.h"

/* inner is kept until read_only_free. Given; NULL: no memory. */
struct io *read_only_new(struct io *inner);
void read_only_free(struct io *io); /* NULL is fine. */

#endif
