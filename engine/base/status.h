/* status: how every engine function says what became of a call.
 *
 * ST_OK is zero and comes first. An answer is no failure: "no such key" is an out parameter,
 * never a status. errno becomes a status in one place, the io seam. Detail (path, offset, errno)
 * is logged once, where it is known; above that only the status travels.
 */
#ifndef BASIN_ENGINE_BASE_STATUS_H
#define BASIN_ENGINE_BASE_STATUS_H

#define NODISCARD [[nodiscard]]

enum NODISCARD status {
    ST_OK = 0,
    ST_WAIT,    /* Not now: the caller is woken and calls again; nothing was changed. */
    ST_NOMEM,   /* The system gave no memory. */
    ST_LIMIT,   /* A bound of ours was reached. */
    ST_FULL,    /* The disk is full; nothing was changed. It heals when space returns. */
    ST_IO,      /* The device failed, or the log is dead. */
    ST_CORRUPT, /* Bytes on disk are not what was written. */
    ST_PROTO,   /* Bytes from outside break their protocol. */
    ST_INVALID, /* An argument from outside is out of range or malformed. */
    ST_TYPE,    /* The value is of another type. */
    ST_ABSENT,  /* A file or directory is not there. */
    ST_BUSY,    /* Somebody else holds it (a store already open). */
};

/* A word for logs; lent forever. */
const char *status_name(enum status status);

/* Says that a failure here changes nothing, and why the reader may believe it. */
static inline void status_ignore(enum status status, const char *why)
{
    (void)status;
    (void)why;
}

#endif
