/* bitmaps_private: what the files of the bitmap commands share.
 *
 *     bitmaps.c            SETBIT, GETBIT; the rows of the family
 *     bitmaps_scan.c       BITCOUNT, BITPOS
 *     bitmaps_operation.c  BITOP
 *     bitmaps_fields.c     BITFIELD, BITFIELD_RO
 *
 * Bit 0 is the highest one of byte 0. A bitmap is a string, and an absent key one without bytes;
 * beyond the end all bits are 0. Values are read and written piece by piece, so that the cost of a
 * command never hangs on the size of a string, but for those that count or combine all of it.
 */
#ifndef BASIN_SRC_COMMANDS_BITMAPS_PRIVATE_H
#define BASIN_SRC_COMMANDS_BITMAPS_PRIVATE_H

#include "src/dispatch/call.h"

/* Whether a key that was read is absent or a string; if not, the error is written. */
bool bitmaps_fits(struct call *call, const struct value *value);

/* Bytes of a key that was read and fits; absent: 0. */
uint64_t bitmaps_size(const struct value *value);

/* Copies [offset, offset + size) of a key that was read and fits; zeros beyond its end. */
enum status bitmaps_read(const struct value *value, uint64_t offset, size_t size,
                         unsigned char *out);

/* Takes the offset of a bit, or with `hash` also #N for the N-th field of so many bits. False: it
 * is none, or begins beyond proto-max-bulk-len; the error is written. */
bool bitmaps_offset(struct call *call, struct bytes argument, bool hash, unsigned bits,
                    uint64_t *offset_out);

/* Handlers, as command_handler. */
enum status bitmaps_bitcount(struct call *call);
enum status bitmaps_bitpos(struct call *call);
enum status bitmaps_bitop(struct call *call);
enum status bitmaps_bitfield(struct call *call);
enum status bitmaps_bitfield_ro(struct call *call);

/* As command_key_flags: a BITFIELD of nothing but GET only reads. */
unsigned bitmaps_bitfield_key_flags(const struct bytes *argv, size_t argc);

#endif
