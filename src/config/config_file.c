/* Reading: lines, files with includes, and the command line. */
#include "src/config/config.h"

#include "engine/base/check.h"
#include "src/config/directives.h"
#include "src/server.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>

#define INCLUDE_DEPTH_MAX 16

/* ------------------------------------------------------------------------------------------
 * Splitting a line. "…" knows \n \r \t \b \a \xHH and \ before anything else; '…' knows \'. A
 * closing quote ends its argument.
 */

static int hex_digit(unsigned char c)
{
    if (isdigit(c)) {
        return c - '0';
    }
    return isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* Takes one byte behind a backslash in double quotes. */
static char escape_take(struct bytes line, size_t *at)
{
    const unsigned char *text = line.data;
    if (text[*at] == 'x' && *at + 2 < line.size && isxdigit(text[*at + 1]) &&
        isxdigit(text[*at + 2])) {
        char c = (char)(hex_digit(text[*at + 1]) * 16 + hex_digit(text[*at + 2]));
        *at += 3;
        return c;
    }
    char c = (char)text[(*at)++];
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

static void byte_append(struct buf *out, char c)
{
    CHECK(buf_append(out, bytes_of(&c, 1)) == ST_OK);
}

/* Takes a quoted piece, *at behind the opening quote. */
static bool quoted_take(struct bytes line, size_t *at, char quote, struct buf *out)
{
    const char *text = line.data;
    while (*at < line.size && text[*at] != quote) {
        if (text[*at] == '\\' && *at + 1 < line.size && (quote == '"' || text[*at + 1] == '\'')) {
            (*at)++;
            byte_append(out, escape_take(line, at));
        } else {
            byte_append(out, text[(*at)++]);
        }
    }
    if (*at == line.size) {
        return false;
    }
    (*at)++;
    return *at == line.size || isspace((unsigned char)text[*at]);
}

static bool argument_take(struct bytes line, size_t *at, struct buf *out)
{
    const char *text = line.data;
    while (*at < line.size && !isspace((unsigned char)text[*at])) {
        char c = text[(*at)++];
        if (c == '"' || c == '\'') {
            return quoted_take(line, at, c, out);
        }
        byte_append(out, c);
    }
    return true;
}

bool arguments_split(struct bytes line, char ***arguments_out, size_t *count_out)
{
    const char *text = line.data;
    char **arguments = NULL;
    size_t count = 0;
    size_t at = 0;
    for (;;) {
        while (at < line.size && isspace((unsigned char)text[at])) {
            at++;
        }
        if (at == line.size) {
            break;
        }
        struct buf argument = BUF_EMPTY;
        bool fine = argument_take(line, &at, &argument);
        byte_append(&argument, '\0');
        if (!fine || strlen((char *)argument.data) + 1 != argument.size) {
            buf_deinit(&argument);
            arguments_free(arguments, count);
            return false;
        }
        arguments = realloc(arguments, (count + 1) * sizeof(*arguments));
        CHECK(arguments != NULL);
        arguments[count++] = (char *)argument.data;
    }
    *arguments_out = arguments;
    *count_out = count;
    return true;
}

void arguments_free(char **arguments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(arguments[i]);
    }
    free(arguments);
}

/* ------------------------------------------------------------------------------------------
 * Files.
 */

/* Where a directive stands, for errors. */
struct place {
    const char *name; /* Of the file. */
    size_t line;
    unsigned depth; /* Of includes. */
};

static bool refuse_at(const struct place *place, const char *format, const char *word,
                      const char *reason, char *error)
{
    char text[CONFIG_ERROR_MAX];
    snprintf(text, sizeof(text), format, word, reason);
    if (place->line == 0) {
        snprintf(error, CONFIG_ERROR_MAX, "%s: %.400s", place->name, text);
    } else {
        snprintf(error, CONFIG_ERROR_MAX, "%s:%zu: %.400s", place->name, place->line, text);
    }
    return false;
}

static bool file_read(struct config *config, const char *path, const struct place *from,
                      unsigned depth, char *error);

static bool include_read(struct config *config, const char *pattern, const struct place *place,
                         char *error)
{
    glob_t found;
    int result = glob(pattern, 0, NULL, &found);
    if (result == GLOB_NOMATCH && strpbrk(pattern, "*?[") == NULL) {
        return file_read(config, pattern, place, place->depth + 1, error); /* Says what is wrong. */
    }
    if (result != 0 && result != GLOB_NOMATCH) {
        return refuse_at(place, "include %s: %s", pattern, "cannot be read", error);
    }
    bool fine = true;
    for (size_t i = 0; result == 0 && fine && i < found.gl_pathc; i++) {
        fine = file_read(config, found.gl_pathv[i], place, place->depth + 1, error);
    }
    if (result == 0) {
        globfree(&found);
    }
    return fine;
}

static bool directive_read(struct config *config, char *const *arguments, size_t count,
                           const struct place *place, char *error)
{
    if (strcasecmp(arguments[0], "include") == 0) {
        return count == 2
                   ? include_read(config, arguments[1], place, error)
                   : refuse_at(place, "%s: %s", "include", "wrong number of arguments", error);
    }
    const struct directive *row = directive_find(bytes_of_text(arguments[0]));
    if (row == NULL) {
        return refuse_at(place, "unknown directive '%s'%s", arguments[0], "", error);
    }
    struct directive_value value;
    char reason[CONFIG_ERROR_MAX];
    if (!directive_parse(row, arguments + 1, count - 1, &value, reason)) {
        return refuse_at(place, "%s: %s", row->name, reason, error);
    }
    directive_apply(config, row, &value, config->save_read);
    directive_value_deinit(&value);
    config->save_read = config->save_read || row->kind == KIND_SAVE;
    return true;
}

static bool line_read(struct config *config, struct bytes line, const struct place *place,
                      char *error)
{
    const char *text = line.data;
    size_t at = 0;
    while (at < line.size && isspace((unsigned char)text[at])) {
        at++;
    }
    if (at == line.size || text[at] == '#') {
        return true;
    }
    char **arguments;
    size_t count;
    if (!arguments_split(line, &arguments, &count)) {
        return refuse_at(place, "%s%s", "quotes that do not match, or a NUL byte", "", error);
    }
    bool fine = count == 0 || directive_read(config, arguments, count, place, error);
    arguments_free(arguments, count);
    return fine;
}

static bool text_read_lines(struct config *config, struct bytes text, struct place *place,
                            char *error)
{
    const char *data = text.data;
    size_t at = 0;
    while (at < text.size) {
        const char *end = memchr(data + at, '\n', text.size - at);
        size_t size = end == NULL ? text.size - at : (size_t)(end - data) - at;
        place->line++;
        if (!line_read(config, bytes_of(data + at, size), place, error)) {
            return false;
        }
        at += size + 1;
    }
    return true;
}

static bool stream_read(FILE *stream, struct buf *out)
{
    char piece[4096];
    size_t size;
    while ((size = fread(piece, 1, sizeof(piece), stream)) > 0) {
        CHECK(buf_append(out, bytes_of(piece, size)) == ST_OK);
    }
    return ferror(stream) == 0;
}

static bool file_read(struct config *config, const char *path, const struct place *from,
                      unsigned depth, char *error)
{
    struct place place = {.name = path, .line = 0, .depth = depth};
    const struct place *blamed = from != NULL ? from : &place;
    if (depth > INCLUDE_DEPTH_MAX) {
        return refuse_at(blamed, "include %s: %s", path, "includes go too deep", error);
    }
    bool standard = strcmp(path, "-") == 0;
    FILE *stream = standard ? stdin : fopen(path, "re");
    if (stream == NULL) {
        return refuse_at(blamed, "cannot open '%s': %s", path, strerror(errno), error);
    }
    struct buf text = BUF_EMPTY;
    bool fine = stream_read(stream, &text);
    if (!standard) {
        fclose(stream);
    }
    if (fine) {
        fine = text_read_lines(config, buf_bytes(&text), &place, error);
    } else {
        refuse_at(blamed, "cannot read '%s': %s", path, strerror(EIO), error);
    }
    buf_deinit(&text);
    return fine;
}

bool config_read_file(struct config *config, const char *path, char *error)
{
    if (!file_read(config, path, NULL, 0, error)) {
        return false;
    }
    char absolute[PATH_MAX];
    if (strcmp(path, "-") != 0 && realpath(path, absolute) != NULL) {
        free(config->file);
        config->file = config_copy_text(absolute);
    }
    return true;
}

bool config_read_text(struct config *config, const char *name, const char *text, char *error)
{
    struct place place = {.name = name};
    return text_read_lines(config, bytes_of_text(text), &place, error);
}

/* ------------------------------------------------------------------------------------------
 * The command line.
 */

static void usage_print(void)
{
    printf("Usage: basin-server [FILE] [--directive value …]\n"
           "       basin-server - [--directive value …]      the file from standard input\n"
           "       basin-server --version | --help\n"
           "\n"
           "Without arguments: 127.0.0.1 and all other addresses, port 6379, data in the\n"
           "working directory, every acknowledged write on disk.\n"
           "\n"
           "Directives, as in the file:\n");
    for (size_t i = 0; i < directive_count(); i++) {
        const struct directive *row = directive_at(i);
        if (row->kind != KIND_ACCEPTED && !row->alias) {
            printf("  --%s %s\n", row->name, row->standard[0] == '\0' ? "\"\"" : row->standard);
        }
    }
}

/* A directive is "--name" and all that follows up to the next "--". */
static bool options_read(struct config *config, int argc, char **argv, int at, char *error)
{
    struct place place = {.name = "command line"};
    while (at < argc) {
        if (strncmp(argv[at], "--", 2) != 0 || argv[at][2] == '\0') {
            return refuse_at(&place, "'%s' is no directive%s", argv[at], "", error);
        }
        int end = at + 1;
        while (end < argc && strncmp(argv[end], "--", 2) != 0) {
            end++;
        }
        char *name = argv[at];
        argv[at] += 2;
        bool fine = directive_read(config, argv + at, (size_t)(end - at), &place, error);
        argv[at] = name;
        if (!fine) {
            return false;
        }
        at = end;
    }
    return true;
}

enum config_outcome config_load(struct config *config, int argc, char **argv)
{
    char error[CONFIG_ERROR_MAX];
    int at = 1;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        usage_print();
        return CONFIG_DONE;
    }
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        printf("Basin server v=%s, answers as Redis %s, %zu bits\n", BASIN_VERSION,
               BASIN_REDIS_VERSION, sizeof(void *) * CHAR_BIT);
        return CONFIG_DONE;
    }
    bool fine = true;
    if (argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        fine = config_read_file(config, argv[1], error);
        at = 2;
    }
    fine = fine && options_read(config, argc, argv, at, error) && config_complete(config, error);
    if (!fine) {
        fprintf(stderr, "basin-server: %s\n", error);
        return CONFIG_ERROR;
    }
    return CONFIG_RUN;
}
