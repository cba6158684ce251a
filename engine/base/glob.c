/* Only the last star matters: if what follows it fails, it takes one byte more and what follows is
 * tried again. So the time is at most the product of both lengths, whatever the pattern, where a
 * recursion over stars is exponential.
 */
#include "engine/base/glob.h"

#include <ctype.h>

static unsigned char fold(unsigned char c, bool ignore_case)
{
    return ignore_case ? (unsigned char)tolower(c) : c;
}

/* Matches c against the class that begins at pattern[*at], just behind "[", and moves *at behind
 * its end. A class that does not close ends with the pattern. */
static bool class_matches(struct bytes pattern, size_t *at, unsigned char c, bool ignore_case)
{
    const unsigned char *p = pattern.data;
    size_t i = *at;
    bool negated = i < pattern.size && p[i] == '^';
    i += negated;
    bool found = false;
    c = fold(c, ignore_case);
    for (; i < pattern.size && p[i] != ']'; i++) {
        if (p[i] == '\\' && i + 1 < pattern.size) {
            i++;
            found = found || fold(p[i], ignore_case) == c;
        } else if (i + 2 < pattern.size && p[i + 1] == '-') {
            unsigned char low = fold(p[i], ignore_case);
            unsigned char high = fold(p[i + 2], ignore_case);
            if (low > high) {
                unsigned char swap = low;
                low = high;
                high = swap;
            }
            found = found || (c >= low && c <= high);
            i += 2;
        } else {
            found = found || fold(p[i], ignore_case) == c;
        }
    }
    *at = i < pattern.size ? i + 1 : i;
    return found != negated;
}

/* Matches one byte against the element at pattern[*at], not a star, and moves *at behind it. */
static bool element_matches(struct bytes pattern, size_t *at, unsigned char c, bool ignore_case)
{
    const unsigned char *p = pattern.data;
    size_t i = *at;
    switch (p[i]) {
    case '?':
        *at = i + 1;
        return true;
    case '[':
        *at = i + 1;
        return class_matches(pattern, at, c, ignore_case);
    case '\\':
        if (i + 1 < pattern.size) {
            i++;
        }
        break;
    default:
        break;
    }
    *at = i + 1;
    return fold(p[i], ignore_case) == fold(c, ignore_case);
}

bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case)
{
    const unsigned char *p = pattern.data;
    const unsigned char *t = text.data;
    size_t at = 0;
    size_t index = 0;
    size_t star = SIZE_MAX; /* Behind the last star of the pattern; SIZE_MAX: none yet. */
    size_t star_index = 0;  /* What follows the star is being tried from here on. */
    while (index < text.size) {
        if (at < pattern.size && p[at] == '*') {
            star = ++at;
            star_index = index;
            if (star == pattern.size) {
                return true;
            }
            continue;
        }
        if (at < pattern.size && element_matches(pattern, &at, t[index], ignore_case)) {
            index++;
            continue;
        }
        if (star == SIZE_MAX) {
            return false;
        }
        at = star;
        index = ++star_index;
    }
    while (at < pattern.size && p[at] == '*') {
        at++;
    }
    return at == pattern.size;
}
