#include "engine/base/status.h"

const char *status_name(enum status status)
{
    switch (status) {
    case ST_OK:
        return "ok";
    case ST_WAIT:
        return "wait";
    case ST_NOMEM:
        return "out of memory";
    case ST_LIMIT:
        return "limit reached";
    case ST_FULL:
        return "disk full";
    case ST_IO:
        return "I/O error";
    case ST_CORRUPT:
        return "corrupt";
    case ST_PROTO:
        return "protocol error";
    case ST_INVALID:
        return "invalid";
    case ST_TYPE:
        return "wrong type";
    case ST_ABSENT:
        return "absent";
    case ST_BUSY:
        return "busy";
    }
    return "unknown status";
}
