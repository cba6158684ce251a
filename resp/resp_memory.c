#include "resp/resp_memory.h"

#include <stdlib.h>

void *(*resp_realloc)(void *memory, size_t size) = realloc;
