/* packed: a sequence of entries in one block of bytes, the small shape of lists and their like.
 *
 *   block   0 u32 count of entries, then the entries one after the other
 *   entry   varint size, the bytes, back-size
 *
 * The back-size is the length of (varint size, bytes), written so that it is read from its last
 * byte towards the left: 7 bits a byte, low first, the high bit says that another byte lies to the
 * left. So a block is walked from both ends and an index is sought from the nearer one.
 *
 * An edit appends the new block to a scratch buffer, behind what lies there, and gives it as
 * block_out: lent until the scratch buffer changes. A block elsewhere stays as it is; one that is
 * the last thing in scratch, made by an edit before, is changed where it is by packed_splice, so
 * that many edits in a row cost no more room than one. The elements given may lie in that same
 * scratch buffer: they are found again if it moves. Other views into it are not, so two values that
 * change at the same time need two scratch buffers.
 *
 * Bytes from disk or from clients pass packed_verify before anything else here sees them.
 * Thread: none of this is shared.
 */
#ifndef BASIN_ENGINE_VALUE_PACKED_H
#define BASIN_ENGINE_VALUE_PACKED_H

#include "engine/base/bytes.h"

#define PACKED_HEADER_SIZE 4
/* No block is larger; who needs more uses a clast. */
#define PACKED_SIZE_MAX (1u << 30)

/* The block without entries; lent forever. */
struct bytes packed_empty(void);
uint32_t packed_count(struct bytes block);

/* Whether the block is well formed from end to end, and within PACKED_SIZE_MAX. O(size). */
bool packed_verify(struct bytes block);

/* What an element of this size occupies in a block. */
size_t packed_entry_size(size_t element_size);

/* Writes one entry of that size at p, for those who build a block themselves; gives its size. */
size_t packed_entry_store(unsigned char *p, struct bytes element);
/* The same for an element that is a head of at least one byte and a tail. */
size_t packed_entry_store_two(unsigned char *p, struct bytes head, struct bytes tail);

/* The element at index < count; lent as the block is. */
struct bytes packed_at(struct bytes block, uint32_t index);

/* Where the entry at index ≤ count begins; count gives the end of the block. */
size_t packed_offset(struct bytes block, uint32_t index);
/* The element whose entry begins at *offset, which moves to the next; *offset < block.size. */
struct bytes packed_next(struct bytes block, size_t *offset);
/* The element whose entry ends at *offset, which moves to its start; *offset is over the header. */
struct bytes packed_previous(struct bytes block, size_t *offset);

/* The one edit all others are made of: at index, `removed` entries go and `count` elements come,
 * in the order given, or last to first if reversed. index + removed ≤ count of the block.
 * ST_NOMEM; ST_LIMIT: over PACKED_SIZE_MAX. On failure scratch keeps its bytes. */
enum status packed_splice(struct bytes block, uint32_t index, uint32_t removed,
                          const struct bytes *elements, size_t count, bool reversed,
                          struct buf *scratch, struct bytes *block_out);

/* Removes these ascending indexes, numbered as before the first removal. */
enum status packed_remove_each(struct bytes block, const uint64_t *indexes, size_t count,
                               struct buf *scratch, struct bytes *block_out);

/* Keeps only [first, first + count). */
enum status packed_slice(struct bytes block, uint32_t first, uint32_t count, struct buf *scratch,
                         struct bytes *block_out);

/* Where `bytes` is now, if it lay in a scratch buffer of old_size bytes at old_data before the
 * buffer grew; else `bytes` itself. (The old memory is gone: only its address is looked at.) */
struct bytes packed_rebase(struct bytes bytes, uintptr_t old_data, size_t old_size,
                           const struct buf *scratch);

#endif
