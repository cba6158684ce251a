/* The race that matters: the owner finds no letter and goes to sleep while a sender posts one.
 * Both sides write first and look second, in one total order (seq_cst):
 *
 *     owner:  asleep = true;  newest empty? → sleep      sender: push;  asleep? → eventfd
 *
 * so at least one of them sees the other. Only the sender that finds asleep set clears it and
 * writes, so a sleeping owner is signalled once, however many post; an owner at work never is. */
#include "src/net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

enum status mailbox_init(struct mailbox *mailbox)
{
    atomic_init(&mailbox->newest, NULL);
    atomic_init(&mailbox->asleep, false);
    mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return mailbox->fd < 0 ? ST_LIMIT : ST_OK;
}

void mailbox_deinit(struct mailbox *mailbox)
{
    if (mailbox->fd >= 0) {
        close(mailbox->fd);
        mailbox->fd = -1;
    }
}

void mailbox_signal(struct mailbox *mailbox)
{
    if (atomic_load(&mailbox->asleep) && atomic_exchange(&mailbox->asleep, false)) {
        /* It can only fail when the counter is full, and then the eventfd is readable anyway. */
        (void)!eventfd_write(mailbox->fd, 1);
    }
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    struct letter *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        letter->next = newest;
    } while (!atomic_compare_exchange_weak(&mailbox->newest, &newest, letter));
    mailbox_signal(mailbox);
}

bool mailbox_may_sleep(struct mailbox *mailbox)
{
    atomic_store(&mailbox->asleep, true);
    if (atomic_load(&mailbox->newest) != NULL) {
        atomic_store_explicit(&mailbox->asleep, false, memory_order_relaxed);
        return false;
    }
    return true;
}

void mailbox_awake(struct mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->asleep, false, memory_order_relaxed);
}

struct letter *mailbox_take(struct mailbox *mailbox)
{
    if (atomic_load_explicit(&mailbox->newest, memory_order_relaxed) == NULL) {
        return NULL;
    }
    struct letter *letter = atomic_exchange(&mailbox->newest, NULL);
    struct letter *oldest = NULL;
    while (letter != NULL) {
        struct letter *next = letter->next;
        letter->next = oldest;
        oldest = letter;
        letter = next;
    }
    return oldest;
}
