/* link: a connection that sends a batch of requests and collects the replies, many side by side.
 *
 *     link_begin → link_request … → link_exchange(all links) → link_reply(0 … n - 1)
 *
 * Replies are raw bytes; requests are sent while replies arrive, so that no batch is too large.
 * Thread: one. Memory: grows with the largest batch.
 */
#ifndef BASIN_REDIS_TESTS_LINK_H
#define BASIN_REDIS_TESTS_LINK_H

#include "redis-tests/differential/reply.h"

struct link {
    int fd; /* -1: not connected */
    struct buf out, in;
    size_t sent;
    struct reply_meter meter;
    size_t *ends; /* Of each reply in `in`. */
    size_t count, capacity, wanted;
    bool until_end; /* Collects bytes until the peer closes, no replies. */
    bool ended;
};

/* Connects to 127.0.0.1. False: errno says why. */
bool link_connect(struct link *link, int port);
void link_close(struct link *link); /* Takes a link that is zeroed or closed too. */

void link_begin(struct link *link);
void link_request(struct link *link, const struct bytes *argv, size_t argc);
/* Bytes as they are, from which so many replies are expected. */
void link_raw(struct link *link, struct bytes bytes, size_t reply_count);
/* "SET a b", split at spaces. */
void link_words(struct link *link, const char *words);

/* Gives NULL when every link has all its replies; else what went wrong, lent forever. */
const char *link_exchange(struct link *const *links, size_t count, int timeout_ms);

struct bytes link_reply(const struct link *link, size_t index); /* Lent until link_begin. */

/* One request on one link, its reply as a tree in the arena. Ends the program when the peer fails:
 * for set-up, where nothing else makes sense. */
struct reply link_ask(struct link *link, struct arena *arena, const char *words);

/* Ends the program: the test itself cannot go on. */
_Noreturn void differential_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
