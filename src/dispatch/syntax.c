/* A recursive descent into a small tree. Groups of one thing are that thing; a repetition of what
 * stands right before it ("key [key ...]") becomes a mark on that. */
#include "src/dispatch/syntax.h"

#include "engine/base/bytes.h"
#include "engine/base/check.h"

#include <ctype.h>
#include <stdio.h>

#define NODES_MAX 96
#define TEXT_MAX 128

enum node_kind { NODE_ARGUMENT, NODE_TOKEN, NODE_BLOCK, NODE_ONE_OF };

struct node {
    enum node_kind kind;
    struct bytes word;  /* Of an argument its name, of a token itself. */
    struct bytes token; /* Before the argument or block; size 0: none. */
    bool optional, multiple;
    bool repeats; /* Ended in "...". */
    struct node *children, *next;
};

struct syntax {
    const char *at;
    struct node nodes[NODES_MAX];
    size_t used;
};

static struct node *node_new(struct syntax *syntax, enum node_kind kind)
{
    CHECK(syntax->used < NODES_MAX);
    struct node *node = &syntax->nodes[syntax->used++];
    *node = (struct node){.kind = kind};
    return node;
}

static void skip_spaces(struct syntax *syntax)
{
    while (*syntax->at == ' ') {
        syntax->at++;
    }
}

static bool take(struct syntax *syntax, const char *text)
{
    skip_spaces(syntax);
    size_t size = strlen(text);
    if (strncmp(syntax->at, text, size) != 0) {
        return false;
    }
    syntax->at += size;
    return true;
}

static bool is_end(struct syntax *syntax)
{
    skip_spaces(syntax);
    return strchr("]>|", *syntax->at) != NULL; /* The NUL too. */
}

static size_t sequence_count(const struct node *first)
{
    size_t count = 0;
    for (; first != NULL; first = first->next) {
        count++;
    }
    return count;
}

static bool same(const struct node *a, const struct node *b)
{
    return a->kind == b->kind && bytes_equal(a->word, b->word) && bytes_equal(a->token, b->token);
}

/* One node for a sequence. */
static struct node *wrap(struct syntax *syntax, struct node *first)
{
    CHECK(first != NULL);
    if (first->next == NULL) {
        return first;
    }
    struct node *block = node_new(syntax, NODE_BLOCK);
    block->children = first;
    return block;
}

/* Where `group` repeats the last things of the sequence, those become multiple and it is dropped.
 */
static bool fold_repetition(struct syntax *syntax, struct node **sequence, const struct node *group)
{
    if (!group->repeats) {
        return false;
    }
    const struct node *wanted = group->kind == NODE_BLOCK ? group->children : group;
    size_t size = group->kind == NODE_BLOCK ? sequence_count(group->children) : 1;
    size_t count = sequence_count(*sequence);
    if (size > count) {
        return false;
    }
    struct node **from = sequence;
    for (size_t i = 0; i < count - size; i++) {
        from = &(*from)->next;
    }
    const struct node *have = *from;
    for (size_t i = 0; i < size; i++) {
        if (!same(have, wanted)) {
            return false;
        }
        have = have->next;
        wanted = wanted->next;
    }
    *from = wrap(syntax, *from);
    (*from)->multiple = true;
    return true;
}

static struct node *parse_alternatives(struct syntax *syntax);

static bool is_token(struct bytes word)
{
    bool upper = false;
    for (size_t i = 0; i < word.size; i++) {
        unsigned char c = ((const unsigned char *)word.data)[i];
        if (islower(c)) {
            return false;
        }
        upper = upper || isupper(c) || !isalnum(c);
    }
    return upper;
}

static struct bytes word_take(struct syntax *syntax)
{
    skip_spaces(syntax);
    size_t size = strcspn(syntax->at, " []<>|");
    CHECK(size > 0);
    struct bytes word = bytes_of(syntax->at, size);
    syntax->at += size;
    return word;
}

static bool is_argument_next(struct syntax *syntax)
{
    skip_spaces(syntax);
    size_t size = strcspn(syntax->at, " []<>|");
    return size > 0 && strncmp(syntax->at, "...", 3) != 0 && !is_token(bytes_of(syntax->at, size));
}

static struct node *argument_take(struct syntax *syntax)
{
    struct node *node = node_new(syntax, NODE_ARGUMENT);
    node->word = word_take(syntax);
    return node;
}

/* A word; a token takes the arguments behind it, unless a "|" stands before it outside a group. */
static struct node *parse_word(struct syntax *syntax, bool alone)
{
    if (is_argument_next(syntax)) {
        return argument_take(syntax);
    }
    struct bytes token = word_take(syntax);
    if (alone || !is_argument_next(syntax)) {
        struct node *node = node_new(syntax, NODE_TOKEN);
        node->word = token;
        return node;
    }
    struct node *first = argument_take(syntax);
    struct node *last = first;
    while (is_argument_next(syntax)) {
        last->next = argument_take(syntax);
        last = last->next;
    }
    struct node *node = wrap(syntax, first);
    node->token = token;
    return node;
}

static struct node *parse_group(struct syntax *syntax, bool optional, const char *end)
{
    struct node *node = parse_alternatives(syntax);
    CHECK(take(syntax, end));
    node->optional = node->optional || optional;
    return node;
}

/* Up to an end, or outside a group (`outer`) with "A | B" as one thing. */
static struct node *parse_sequence(struct syntax *syntax, bool outer, bool *repeats_out)
{
    struct node *first = NULL;
    *repeats_out = false;
    while (!is_end(syntax) || (outer && *syntax->at == '|')) {
        struct node **last = &first;
        while (*last != NULL && (*last)->next != NULL) {
            last = &(*last)->next;
        }
        if (take(syntax, "...")) {
            *repeats_out = true;
        } else if (take(syntax, "|")) {
            CHECK(*last != NULL);
            struct node *choice = node_new(syntax, NODE_ONE_OF);
            choice->children = *last;
            (*last)->next = parse_word(syntax, true);
            *last = choice;
        } else {
            struct node *node = take(syntax, "[")   ? parse_group(syntax, true, "]")
                                : take(syntax, "<") ? parse_group(syntax, false, ">")
                                                    : parse_word(syntax, false);
            if (!fold_repetition(syntax, &first, node)) {
                node->multiple = node->multiple || node->repeats;
                *(*last == NULL ? last : &(*last)->next) = node;
            }
        }
    }
    return first;
}

/* What stands in a group. */
static struct node *parse_alternatives(struct syntax *syntax)
{
    bool repeats;
    struct node *first = wrap(syntax, parse_sequence(syntax, false, &repeats));
    struct node *last = first;
    bool more = false;
    while (take(syntax, "|")) {
        bool again;
        last->next = wrap(syntax, parse_sequence(syntax, false, &again));
        last = last->next;
        repeats = repeats || again;
        more = true;
    }
    if (more) {
        struct node *choice = node_new(syntax, NODE_ONE_OF);
        choice->children = first;
        first = choice;
    }
    first->repeats = repeats;
    return first;
}

/* ------------------------------------------------------------------------------------------
 * Replying.
 */

static void name_append(const struct node *node, char *text, size_t *used)
{
    if (node->kind == NODE_ARGUMENT || node->kind == NODE_TOKEN) {
        for (size_t i = 0; i < node->word.size && *used + 1 < TEXT_MAX; i++) {
            text[(*used)++] = (char)tolower(((const unsigned char *)node->word.data)[i]);
        }
        return;
    }
    for (const struct node *child = node->children; child != NULL; child = child->next) {
        if (child != node->children && *used + 1 < TEXT_MAX) {
            text[(*used)++] = '_';
        }
        name_append(child, text, used);
    }
}

static bool begins(struct bytes word, const char *text)
{
    return word.size >= strlen(text) && memcmp(word.data, text, strlen(text)) == 0;
}

static const char *type_of(const struct node *node)
{
    static const char *const integers[] = {
        "count",  "seconds",       "milliseconds", "offset",    "index",     "start", "stop",
        "end",    "len",           "increment",    "decrement", "rank",      "num",   "timeout",
        "cursor", "min-match-len", "protover",     "maxlen",    "client-id", "db",
    };
    switch (node->kind) {
    case NODE_TOKEN:
        return "pure-token";
    case NODE_BLOCK:
        return "block";
    case NODE_ONE_OF:
        return "oneof";
    case NODE_ARGUMENT:
        break;
    }
    if (begins(node->word, "unix-time")) {
        return "unix-time";
    }
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        if (begins(node->word, integers[i])) {
            return "integer";
        }
    }
    if (bytes_equal(node->word, bytes_of_text("pattern"))) {
        return "pattern";
    }
    bool key = begins(node->word, "key") || bytes_equal(node->word, bytes_of_text("newkey")) ||
               bytes_equal(node->word, bytes_of_text("source")) ||
               bytes_equal(node->word, bytes_of_text("destination"));
    return key ? "key" : "string";
}

static void reply_nodes(struct resp_out *out, const struct node *first);

static void reply_node(struct resp_out *out, const struct node *node)
{
    struct bytes token = node->kind == NODE_TOKEN ? node->word : node->token;
    bool flags = node->optional || node->multiple;
    resp_map(out, 2 + (token.size > 0) + flags + (node->children != NULL));
    char name[TEXT_MAX];
    size_t used = 0;
    name_append(node, name, &used);
    resp_bulk_text(out, "name");
    resp_bulk(out, name, used);
    resp_bulk_text(out, "type");
    resp_bulk_text(out, type_of(node));
    if (token.size > 0) {
        resp_bulk_text(out, "token");
        resp_bulk(out, token.data, token.size);
    }
    if (flags) {
        resp_bulk_text(out, "flags");
        resp_set(out, (uint64_t)node->optional + (uint64_t)node->multiple);
        if (node->optional) {
            resp_simple(out, "optional");
        }
        if (node->multiple) {
            resp_simple(out, "multiple");
        }
    }
    if (node->children != NULL) {
        resp_bulk_text(out, "arguments");
        reply_nodes(out, node->children);
    }
}

static void reply_nodes(struct resp_out *out, const struct node *first)
{
    resp_array(out, sequence_count(first));
    for (; first != NULL; first = first->next) {
        reply_node(out, first);
    }
}

void syntax_reply(struct resp_out *out, const char *line)
{
    struct syntax syntax = {.at = line};
    bool repeats;
    struct node *first = parse_sequence(&syntax, true, &repeats);
    CHECK(*syntax.at == '\0');
    reply_nodes(out, first);
}
