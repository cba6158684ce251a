#include "src/net/mailbox.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define SENDERS 4
#define LETTERS 20000

static void nothing(struct letter *letter)
{
}

static bool is_readable(int fd)
{
    struct pollfd pollfd = {fd, POLLIN, 0};
    return poll(&pollfd, 1, 0) == 1;
}

TEST(mailbox_gives_letters_in_the_order_of_posting)
{
    struct mailbox mailbox;
    struct letter letters[5];
    EXPECT(mailbox_init(&mailbox) == ST_OK);
    EXPECT(mailbox_take(&mailbox) == NULL);
    for (int i = 0; i < 5; i++) {
        letters[i].deliver = nothing;
        mailbox_post(&mailbox, &letters[i]);
    }
    struct letter *letter = mailbox_take(&mailbox);
    for (int i = 0; i < 5; i++) {
        EXPECT(letter == &letters[i]);
        letter = letter->next;
    }
    EXPECT(letter == NULL);
    EXPECT(mailbox_take(&mailbox) == NULL);
    mailbox_deinit(&mailbox);
}

TEST(mailbox_does_not_signal_an_owner_at_work)
{
    struct mailbox mailbox;
    struct letter letter = {NULL, nothing};
    EXPECT(mailbox_init(&mailbox) == ST_OK);
    mailbox_post(&mailbox, &letter);
    mailbox_signal(&mailbox);
    EXPECT(!is_readable(mailbox.fd));
    mailbox_deinit(&mailbox);
}

/* M1: what was posted before is found, what is posted later wakes. */
TEST(mailbox_lets_nobody_sleep_over_a_letter)
{
    struct mailbox mailbox;
    struct letter letter = {NULL, nothing};
    EXPECT(mailbox_init(&mailbox) == ST_OK);
    mailbox_post(&mailbox, &letter);
    EXPECT(!mailbox_may_sleep(&mailbox));
    EXPECT(mailbox_take(&mailbox) == &letter);
    EXPECT(mailbox_may_sleep(&mailbox));
    EXPECT(!is_readable(mailbox.fd));
    mailbox_post(&mailbox, &letter);
    EXPECT(is_readable(mailbox.fd));
    mailbox_awake(&mailbox);
    EXPECT(mailbox_take(&mailbox) == &letter);
    mailbox_deinit(&mailbox);
}

TEST(mailbox_signals_a_sleeper_once)
{
    struct mailbox mailbox;
    struct letter letters[3] = {{NULL, nothing}, {NULL, nothing}, {NULL, nothing}};
    eventfd_t count = 0;
    EXPECT(mailbox_init(&mailbox) == ST_OK);
    EXPECT(mailbox_may_sleep(&mailbox));
    for (int i = 0; i < 3; i++) {
        mailbox_post(&mailbox, &letters[i]);
    }
    mailbox_signal(&mailbox);
    EXPECT(eventfd_read(mailbox.fd, &count) == 0);
    EXPECT_INT(count, 1);
    mailbox_deinit(&mailbox);
}

struct numbered {
    struct letter letter;
    unsigned sender, number;
};

struct sender {
    pthread_t thread;
    struct mailbox *mailbox;
    struct numbered *letters;
};

static void *send_all(void *ctx)
{
    struct sender *sender = ctx;
    for (unsigned i = 0; i < LETTERS; i++) {
        mailbox_post(sender->mailbox, &sender->letters[i].letter);
    }
    return NULL;
}

/* M1 again, with real threads: a lost wake-up shows as a poll that times out. */
TEST(mailbox_loses_no_letter_and_no_wake_up_among_threads)
{
    static struct numbered letters[SENDERS][LETTERS];
    struct mailbox mailbox;
    struct sender senders[SENDERS];
    unsigned next[SENDERS] = {0};
    unsigned taken = 0;
    EXPECT(mailbox_init(&mailbox) == ST_OK);
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < LETTERS; i++) {
            letters[s][i] = (struct numbered){{NULL, nothing}, s, i};
        }
        senders[s] = (struct sender){.mailbox = &mailbox, .letters = letters[s]};
        EXPECT(pthread_create(&senders[s].thread, NULL, send_all, &senders[s]) == 0);
    }
    while (taken < SENDERS * LETTERS) {
        if (mailbox_may_sleep(&mailbox)) {
            struct pollfd pollfd = {mailbox.fd, POLLIN, 0};
            eventfd_t count;
            EXPECT_INT(poll(&pollfd, 1, 10000), 1);
            EXPECT(eventfd_read(mailbox.fd, &count) == 0);
            mailbox_awake(&mailbox);
        }
        for (struct letter *letter = mailbox_take(&mailbox); letter != NULL;) {
            struct numbered *numbered = (struct numbered *)letter;
            letter = letter->next;
            EXPECT_INT(numbered->number, next[numbered->sender]);
            next[numbered->sender]++;
            taken++;
        }
    }
    for (unsigned s = 0; s < SENDERS; s++) {
        pthread_join(senders[s].thread, NULL);
    }
    mailbox_deinit(&mailbox);
}
