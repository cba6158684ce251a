#include "redis-tests/differential/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define KEEP_SIZE (16 * 1024 * 1024)
#define LINKS_MAX 64

void differential_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "differential: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(2);
}

static void must(enum status status)
{
    if (status != ST_OK) {
        differential_die("no memory");
    }
}

bool link_connect(struct link *link, int port)
{
    *link = (struct link){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        link_close(link);
        return false;
    }
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(link->fd, F_SETFL, fcntl(link->fd, F_GETFL) | O_NONBLOCK);
    return true;
}

void link_close(struct link *link)
{
    if (link->fd > 0) {
        close(link->fd);
    }
    buf_deinit(&link->out);
    buf_deinit(&link->in);
    free(link->ends);
    *link = (struct link){.fd = -1};
}

void link_begin(struct link *link)
{
    buf_clear(&link->out, KEEP_SIZE);
    buf_clear(&link->in, KEEP_SIZE);
    link->sent = 0;
    link->count = 0;
    link->wanted = 0;
    link->meter = (struct reply_meter){0};
    link->until_end = false;
    link->ended = false;
}

void link_raw(struct link *link, struct bytes bytes, size_t reply_count)
{
    must(buf_append(&link->out, bytes));
    link->wanted += reply_count;
}

void link_request(struct link *link, const struct bytes *argv, size_t argc)
{
    char line[32];
    int size = snprintf(line, sizeof(line), "*%zu\r\n", argc);
    must(buf_append(&link->out, bytes_of(line, (size_t)size)));
    for (size_t i = 0; i < argc; i++) {
        size = snprintf(line, sizeof(line), "$%zu\r\n", argv[i].size);
        must(buf_append(&link->out, bytes_of(line, (size_t)size)));
        must(buf_append(&link->out, argv[i]));
        must(buf_append(&link->out, bytes_of("\r\n", 2)));
    }
    link->wanted++;
}

void link_words(struct link *link, const char *words)
{
    struct bytes argv[16];
    size_t argc = 0;
    while (*words != '\0' && argc < 16) {
        size_t size = strcspn(words, " ");
        argv[argc++] = bytes_of(words, size);
        words += size + (words[size] == ' ');
    }
    link_request(link, argv, argc);
}

static bool finished(const struct link *link)
{
    return link->until_end ? link->ended : link->count == link->wanted;
}

/* Notes where replies end. False: the bytes are no replies, or more than were asked for. */
static bool measure(struct link *link)
{
    while (true) {
        size_t start = link->count == 0 ? 0 : link->ends[link->count - 1];
        if (start == link->in.size) {
            return true;
        }
        struct bytes received = bytes_of(link->in.data + start, link->in.size - start);
        enum reply_progress progress = reply_meter_run(&link->meter, received);
        if (progress != REPLY_DONE) {
            return progress == REPLY_MORE;
        }
        if (link->count == link->wanted) {
            return false;
        }
        if (link->count == link->capacity) {
            link->capacity = link->capacity == 0 ? 256 : 2 * link->capacity;
            link->ends = realloc(link->ends, link->capacity * sizeof(link->ends[0]));
            if (link->ends == NULL) {
                differential_die("no memory");
            }
        }
        link->ends[link->count++] = start + link->meter.offset;
        link->meter = (struct reply_meter){0};
    }
}

static const char *receive(struct link *link)
{
    must(buf_reserve(&link->in, READ_SIZE));
    ssize_t size = recv(link->fd, link->in.data + link->in.size, READ_SIZE, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return NULL;
    }
    if (size <= 0) {
        link->ended = true;
        return link->until_end ? NULL : "the server closed a connection";
    }
    link->in.size += (size_t)size;
    if (!link->until_end && !measure(link)) {
        return "a malformed reply, or one too many";
    }
    return NULL;
}

static const char *transmit(struct link *link)
{
    ssize_t size =
        send(link->fd, link->out.data + link->sent, link->out.size - link->sent, MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        /* A session that runs to its end may be closed with requests unread. */
        link->sent = link->out.size;
        return link->until_end ? NULL : "the server refused a request's bytes";
    }
    link->sent += size < 0 ? 0 : (size_t)size;
    return NULL;
}

/* One wait for all links. */
static const char *step(struct link *const *links, size_t count, int timeout_ms, bool *done_out)
{
    struct pollfd polls[LINKS_MAX];
    struct link *waiting[LINKS_MAX];
    nfds_t poll_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!finished(links[i])) {
            bool sending = links[i]->sent < links[i]->out.size;
            polls[poll_count] =
                (struct pollfd){.fd = links[i]->fd, .events = POLLIN | (sending ? POLLOUT : 0)};
            waiting[poll_count++] = links[i];
        }
    }
    *done_out = poll_count == 0;
    if (poll_count == 0) {
        return NULL;
    }
    int ready = poll(polls, poll_count, timeout_ms);
    if (ready == 0) {
        return "no reply in time";
    }
    const char *trouble = NULL;
    for (nfds_t i = 0; i < poll_count && trouble == NULL; i++) {
        if ((polls[i].revents & POLLOUT) != 0) {
            trouble = transmit(waiting[i]);
        }
        if (trouble == NULL && (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            trouble = receive(waiting[i]);
        }
    }
    return trouble;
}

const char *link_exchange(struct link *const *links, size_t count, int timeout_ms)
{
    const char *trouble = NULL;
    bool done = false;
    if (count > LINKS_MAX) {
        return "too many links";
    }
    while (trouble == NULL && !done) {
        trouble = step(links, count, timeout_ms, &done);
    }
    return trouble;
}

struct bytes link_reply(const struct link *link, size_t index)
{
    size_t start = index == 0 ? 0 : link->ends[index - 1];
    return bytes_of(link->in.data + start, link->ends[index] - start);
}

struct reply link_ask(struct link *link, struct arena *arena, const char *words)
{
    struct reply reply;
    link_begin(link);
    link_words(link, words);
    const char *trouble = link_exchange(&link, 1, 30000);
    if (trouble != NULL || !reply_parse(link_reply(link, 0), arena, &reply)) {
        differential_die("%s: %s", words, trouble != NULL ? trouble : "malformed reply");
    }
    return reply;
}
