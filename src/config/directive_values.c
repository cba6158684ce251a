/* What the kinds of directives.h do with arguments. */
#include "src/config/directives.h"

#include "engine/base/check.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define BIND_MAX 16

char *config_copy_text(const char *text)
{
    char *copy = strdup(text);
    CHECK(copy != NULL);
    return copy;
}

void config_append(struct buf *out, const char *text)
{
    CHECK(buf_append(out, bytes_of_text(text)) == ST_OK);
}

void directive_value_deinit(struct directive_value *value)
{
    free(value->text);
    value->text = NULL;
}

/* ------------------------------------------------------------------------------------------
 * Parsing.
 */

static bool refuse(char *error, const char *reason)
{
    snprintf(error, CONFIG_ERROR_MAX, "%s", reason);
    return false;
}

static bool within_bounds(const struct directive *row, int64_t value, char *error)
{
    if (value >= row->min && value <= row->max) {
        return true;
    }
    if (row->refusal != NULL) {
        return refuse(error, row->refusal);
    }
    snprintf(error, CONFIG_ERROR_MAX, "argument must be between %lld and %lld inclusive",
             (long long)row->min, (long long)row->max);
    return false;
}

/* "100", "100kb": decimal thousands are k, m, g; binary ones kb, mb, gb. */
static bool memory_parse(const char *text, int64_t *value_out)
{
    static const struct directive_word units[] = {
        {"", 1},         {"b", 1},          {"k", 1000},        {"kb", 1024}, {"m", 1000000},
        {"mb", 1048576}, {"g", 1000000000}, {"gb", 1073741824}, {NULL, 0},
    };
    size_t digits = strspn(text, "0123456789");
    int64_t number;
    if (!bytes_to_int64(bytes_of(text, digits), &number)) {
        return false;
    }
    for (const struct directive_word *unit = units; unit->word != NULL; unit++) {
        if (strcasecmp(text + digits, unit->word) == 0) {
            return !__builtin_mul_overflow(number, unit->value, value_out);
        }
    }
    return false;
}

static bool octal_parse(const char *text, int64_t *value_out)
{
    if (text[0] == '\0' || strlen(text) > 8 || strspn(text, "01234567") != strlen(text)) {
        return false;
    }
    *value_out = strtol(text, NULL, 8);
    return true;
}

static bool word_parse(const struct directive *row, const char *text, int64_t *value_out,
                       char *error)
{
    for (const struct directive_word *word = row->words; word->word != NULL; word++) {
        if (strcasecmp(text, word->word) == 0) {
            *value_out = word->value;
            return true;
        }
    }
    if (row->refusal != NULL) {
        return refuse(error, row->refusal);
    }
    int used = snprintf(error, CONFIG_ERROR_MAX, "argument(s) must be one of the following: ");
    for (const struct directive_word *word = row->words; word->word != NULL; word++) {
        used += snprintf(error + used, CONFIG_ERROR_MAX - (size_t)used, "%s%s",
                         word == row->words ? "" : ", ", word->word);
    }
    return false;
}

static bool single_parse(const struct directive *row, const char *text,
                         struct directive_value *value, char *error)
{
    switch (row->kind) {
    case KIND_INTEGER:
        return (bytes_to_int64(bytes_of_text(text), &value->number) ||
                refuse(error, "argument couldn't be parsed into an integer")) &&
               within_bounds(row, value->number, error);
    case KIND_MEMORY:
        return (memory_parse(text, &value->number) ||
                refuse(error, "argument must be a memory value")) &&
               within_bounds(row, value->number, error);
    case KIND_OCTAL:
        return (octal_parse(text, &value->number) ||
                refuse(error, "argument couldn't be parsed as an octal number")) &&
               within_bounds(row, value->number, error);
    case KIND_BOOLEAN:
        value->number = strcasecmp(text, "yes") == 0;
        return value->number != 0 || strcasecmp(text, "no") == 0 ||
               refuse(error, "argument must be 'yes' or 'no'");
    case KIND_WORD:
        return word_parse(row, text, &value->number, error);
    default:
        value->text = config_copy_text(text);
        return true;
    }
}

/* One text of all arguments, as CONFIG GET shows lists. */
static char *join(char *const *arguments, size_t count)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < count; i++) {
        config_append(&text, i == 0 ? "" : " ");
        config_append(&text, arguments[i]);
    }
    CHECK(buf_append(&text, bytes_of("", 1)) == ST_OK);
    return (char *)text.data;
}

static bool save_parse(char *const *arguments, size_t count, struct directive_value *value,
                       char *error)
{
    bool none = count == 1 && arguments[0][0] == '\0';
    if (!none && count % 2 != 0) {
        return refuse(error, "Invalid save parameters");
    }
    for (size_t i = 0; !none && i < count; i++) {
        int64_t number;
        if (!bytes_to_int64(bytes_of_text(arguments[i]), &number) || number < (i % 2 == 0)) {
            return refuse(error, "Invalid save parameters");
        }
    }
    value->text = join(arguments, count);
    return true;
}

static int client_class(const char *name)
{
    static const char *const names[] = {"normal", "slave", "pubsub", "replica"};
    for (int i = 0; i < 4; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return i == 3 ? CLIENT_CLASS_REPLICA : i;
        }
    }
    return -1;
}

static bool limits_parse_words(char *const *arguments, size_t count, struct directive_value *value,
                               char *error)
{
    if (count == 0 || count % 4 != 0) {
        return refuse(error, "Wrong number of arguments in buffer limit configuration.");
    }
    for (size_t i = 0; i < count; i += 4) {
        int class = client_class(arguments[i]);
        if (class < 0) {
            return refuse(error, "Invalid client class specified in buffer limit configuration.");
        }
        int64_t *limits = value->limits[class];
        if (!memory_parse(arguments[i + 1], &limits[0]) ||
            !memory_parse(arguments[i + 2], &limits[1]) ||
            !bytes_to_int64(bytes_of_text(arguments[i + 3]), &limits[2]) || limits[2] < 0) {
            return refuse(error, "Error in hard, soft or soft_seconds setting in buffer limit "
                                 "configuration.");
        }
        value->limits_given[class] = true;
    }
    return true;
}

/* All classes may also come in one word, as CONFIG SET gives them. */
static bool limits_parse(char *const *arguments, size_t count, struct directive_value *value,
                         char *error)
{
    if (count != 1) {
        return limits_parse_words(arguments, count, value, error);
    }
    char **words;
    size_t word_count;
    if (!arguments_split(bytes_of_text(arguments[0]), &words, &word_count)) {
        return refuse(error, "quotes do not match");
    }
    bool fine = limits_parse_words(words, word_count, value, error);
    arguments_free(words, word_count);
    return fine;
}

bool directive_parse(const struct directive *row, char *const *arguments, size_t count,
                     struct directive_value *value_out, char *error)
{
    *value_out = (struct directive_value){0};
    switch (row->kind) {
    case KIND_BIND:
        if (count > BIND_MAX) {
            return refuse(error, "Too many bind addresses specified.");
        }
        value_out->text = join(arguments, count);
        return true;
    case KIND_SAVE:
        return (count > 0 || refuse(error, "wrong number of arguments")) &&
               save_parse(arguments, count, value_out, error);
    case KIND_LIMITS:
        return limits_parse(arguments, count, value_out, error);
    case KIND_ACCEPTED:
        if (count == 0) {
            return refuse(error, "wrong number of arguments");
        }
        value_out->text = join(arguments, count);
        if (row->only == NULL || strcasecmp(row->only, value_out->text) == 0) {
            return true;
        }
        directive_value_deinit(value_out);
        snprintf(error, CONFIG_ERROR_MAX, "only \"%s\" is accepted: %s", row->only, row->reason);
        return false;
    default:
        return (count == 1 || refuse(error, "wrong number of arguments")) &&
               single_parse(row, arguments[0], value_out, error);
    }
}

/* ------------------------------------------------------------------------------------------
 * Taking effect, and showing.
 */

static void text_replace(char **field, struct directive_value *value)
{
    free(*field);
    *field = value->text;
    value->text = NULL;
}

static void save_apply(char **field, struct directive_value *value, bool append)
{
    if (!append || value->text[0] == '\0' || (*field)[0] == '\0') {
        text_replace(field, value);
        return;
    }
    char *both[] = {*field, value->text};
    char *joined = join(both, 2);
    directive_value_deinit(value);
    free(*field);
    *field = joined;
}

void directive_apply(struct config *config, const struct directive *row,
                     struct directive_value *value, bool append)
{
    void *field = (char *)config + row->offset;
    switch (row->kind) {
    case KIND_TEXT:
    case KIND_BIND:
        text_replace(field, value);
        break;
    case KIND_SAVE:
        save_apply(field, value, append);
        break;
    case KIND_LIMITS:
        for (size_t i = 0; i < CLIENT_CLASS_COUNT; i++) {
            if (value->limits_given[i]) {
                struct config_output_limit *limit = &config->output_limits[i];
                atomic_store(&limit->hard, value->limits[i][0]);
                atomic_store(&limit->soft, value->limits[i][1]);
                atomic_store(&limit->soft_seconds, value->limits[i][2]);
            }
        }
        break;
    case KIND_ACCEPTED:
        text_replace(&config->accepted[row->offset], value);
        break;
    default:
        atomic_store((config_number *)field, value->number);
        break;
    }
    if (row->effect == EFFECT_PASSWORD) {
        atomic_store(&config->password_set, config->requirepass[0] != '\0');
    }
}

static void limits_show(const struct config *config, struct buf *out)
{
    static const char *const names[] = {"normal", "slave", "pubsub"};
    for (size_t i = 0; i < CLIENT_CLASS_COUNT; i++) {
        const struct config_output_limit *limit = &config->output_limits[i];
        char text[128];
        snprintf(text, sizeof(text), "%s%s %lld %lld %lld", i == 0 ? "" : " ", names[i],
                 (long long)atomic_load(&limit->hard), (long long)atomic_load(&limit->soft),
                 (long long)atomic_load(&limit->soft_seconds));
        config_append(out, text);
    }
}

const char *directive_word(const struct directive *row, int64_t number)
{
    const struct directive_word *word = row->words;
    while (word->word != NULL && word->value != number) {
        word++;
    }
    return word->word == NULL ? "" : word->word;
}

static void number_show(const struct directive *row, int64_t number, struct buf *out)
{
    char text[32];
    switch (row->kind) {
    case KIND_BOOLEAN:
        config_append(out, number != 0 ? "yes" : "no");
        break;
    case KIND_WORD:
        config_append(out, directive_word(row, number));
        break;
    default:
        snprintf(text, sizeof(text), row->kind == KIND_OCTAL ? "%llo" : "%lld", (long long)number);
        config_append(out, text);
        break;
    }
}

void directive_show(const struct config *config, const struct directive *row, struct buf *out)
{
    const void *field = (const char *)config + row->offset;
    const char *text;
    switch (row->kind) {
    case KIND_TEXT:
    case KIND_BIND:
    case KIND_SAVE:
        memcpy(&text, field, sizeof(text));
        config_append(out, text);
        break;
    case KIND_LIMITS:
        limits_show(config, out);
        break;
    case KIND_ACCEPTED:
        text = config->accepted[row->offset];
        config_append(out, text == NULL ? row->standard : text);
        break;
    default:
        number_show(row, config_get(field), out);
        break;
    }
    CHECK(buf_append(out, bytes_of("", 1)) == ST_OK);
    out->size--;
}
