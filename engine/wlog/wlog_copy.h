/* wlog_copy: a part of the log in another directory too, while the log goes on.
 *
 *     wlog_keep(from) → all up to `to` is durable → wlog_copy(from, to) → wlog_keep(UINT64_MAX)
 *
 * Segments cannot be linked: they are written over once they are trimmed. So those that hold the
 * part are copied, frame by frame, and only frames whose checksum held: damage is found now, not
 * when the copy is needed. What lies behind the frame that holds the last byte, older frames in a
 * recycled file among it, is left out. That frame is copied whole, with what it may hold beyond
 * `to`; a generation that starts at `to` in the copy's manifest makes those bytes void, and damage
 * before it damage (W3).
 *
 * Thread: one keeps and copies at a time, any but a worker: it waits for the device, and for the
 * log's thread of files. Memory: 2 MiB meanwhile.
 */
#ifndef BASIN_ENGINE_WLOG_WLOG_COPY_H
#define BASIN_ENGINE_WLOG_WLOG_COPY_H

#include "engine/wlog/wlog.h"

/* From now on no segment that holds bytes from lsn on is trimmed; the caller knows that none has
 * been. UINT64_MAX: nothing is kept any more, and what was to be trimmed meanwhile goes. */
void wlog_keep(struct wlog *log, uint64_t lsn);

/* Copies what holds the stream's bytes [from, to), which are durable and kept, into
 * `dir`/txlogs/reading, which is there and empty. The files are synced, the directory is not. fn is
 * called with the bytes of each step; another status than ST_OK ends the copy with it. ST_CORRUPT:
 * the log is damaged, logged with file and offset. What fails leaves files behind. */
typedef enum status (*wlog_copy_fn)(void *ctx, uint64_t size);
enum status wlog_copy(struct wlog *log, uint64_t from, uint64_t to, const char *dir,
                      wlog_copy_fn fn, void *ctx);

#endif
