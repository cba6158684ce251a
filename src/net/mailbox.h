/* mailbox: how other threads reach a worker. A queue of letters and an eventfd.
 *
 *     any thread: mailbox_post ──→ queue ──→ worker: mailbox_take, once a turn of its loop
 *                     └ eventfd, only if the worker may be asleep
 *
 * A letter is embedded in what it is about and belongs to the mailbox from post to take. Letters
 * of one sender arrive in their order.
 * Invariant M1: a letter posted before mailbox_may_sleep answered true wakes the worker or is
 * found by it; none lies unseen while the worker sleeps.
 * Thread: post and signal by any; the rest by the owner. Memory: none but the letters'.
 */
#ifndef BASIN_SRC_NET_MAILBOX_H
#define BASIN_SRC_NET_MAILBOX_H

#include "engine/base/bytes.h"

#include <stdatomic.h>

struct letter {
    struct letter *next;
    void (*deliver)(struct letter *letter); /* Called by the owner with what mailbox_take gave. */
};

struct mailbox {
    _Atomic(struct letter *) newest; /* A stack, turned round by take. */
    _Atomic bool asleep;
    int fd; /* The eventfd; to be polled edge-triggered, so that nobody needs to read it. */
};

/* ST_LIMIT: no file descriptor left. */
enum status mailbox_init(struct mailbox *mailbox);
void mailbox_deinit(struct mailbox *mailbox);

/* Keeps the letter until it is taken. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

/* Wakes the owner if it may be asleep, without a letter. */
void mailbox_signal(struct mailbox *mailbox);

/* The owner is about to wait for events. False: letters are there, do not wait. */
bool mailbox_may_sleep(struct mailbox *mailbox);

/* The owner is back from waiting. */
void mailbox_awake(struct mailbox *mailbox);

/* All letters, oldest first; NULL: none. A letter is the caller's again before deliver is called.
 */
struct letter *mailbox_take(struct mailbox *mailbox);

#endif
