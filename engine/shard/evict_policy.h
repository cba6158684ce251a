/* evict_policy: what leaves memory first when there is too much of it, as those set it who know
 * basin.h. An order, and maybe only among the keys that expire. */
#ifndef BASIN_ENGINE_SHARD_EVICT_POLICY_H
#define BASIN_ENGINE_SHARD_EVICT_POLICY_H

enum evict_policy {
    EVICT_NOTHING,
    EVICT_LRU,    /* Longest unused. */
    EVICT_LFU,    /* Least often used. */
    EVICT_RANDOM, /* Any. */
    EVICT_TTL,    /* Nearest expiry; keys without one never. */
    EVICT_ORDER_MASK = 7,
    EVICT_VOLATILE = 8, /* With one of the above: only keys that expire. */
    EVICT_VOLATILE_LRU = EVICT_VOLATILE | EVICT_LRU,
    EVICT_VOLATILE_LFU = EVICT_VOLATILE | EVICT_LFU,
    EVICT_VOLATILE_RANDOM = EVICT_VOLATILE | EVICT_RANDOM,
    EVICT_VOLATILE_TTL = EVICT_VOLATILE | EVICT_TTL,
};

#endif
