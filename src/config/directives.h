/* directives: the table of all directives, and what a directive does by its kind: parse arguments,
 * take effect in a struct config, show its value. Part of config; nobody else includes this.
 * Thread: rows are constant; functions that take a struct config want its mutex held once the
 * workers run. */
#ifndef BASIN_SRC_CONFIG_DIRECTIVES_H
#define BASIN_SRC_CONFIG_DIRECTIVES_H

#include "src/config/config.h"

enum directive_kind {
    KIND_INTEGER,
    KIND_MEMORY, /* With a unit: 100mb */
    KIND_OCTAL,
    KIND_BOOLEAN,  /* yes, no */
    KIND_WORD,     /* One of words */
    KIND_TEXT,     /* One argument */
    KIND_BIND,     /* Addresses */
    KIND_SAVE,     /* Pairs of seconds and changes */
    KIND_LIMITS,   /* client-output-buffer-limit */
    KIND_ACCEPTED, /* Stored and shown, without meaning here */
};

/* Whom a change concerns. */
enum directive_effect {
    EFFECT_NET = 0,
    EFFECT_LOG_SYNC,
    EFFECT_VALUE_LIMITS,
    EFFECT_MEMORY,
    EFFECT_LOG_LEVEL,
    EFFECT_PASSWORD,
};

struct directive_word {
    const char *word;
    int64_t value;
};

struct directive {
    const char *name;
    enum directive_kind kind;
    size_t offset;        /* Of a config_number or a char * in struct config; accepted: the row. */
    const char *standard; /* Default, as in a file. */
    int64_t min, max;
    const struct directive_word *words; /* Ends with a NULL word. */
    bool fixed;                         /* Not by CONFIG SET. */
    bool alias;                         /* Another name of a row before it. */
    enum directive_effect effect;
    const char *refusal; /* Instead of the usual text about bounds or words. */
    const char *only;    /* Accepted: no other value, because it would ask for something. */
    const char *reason;  /* Accepted: why it means nothing here. */
};

size_t directive_count(void);
const struct directive *directive_at(size_t index);        /* Ordered by name. */
const struct directive *directive_find(struct bytes name); /* NULL: unknown. */
size_t directive_accepted_count(void);

/* What arguments say, ready to take effect. */
struct directive_value {
    int64_t number;
    char *text; /* Owned; NULL where the kind has none. */
    int64_t limits[CLIENT_CLASS_COUNT][3];
    bool limits_given[CLIENT_CLASS_COUNT];
};
void directive_value_deinit(struct directive_value *value);

/* Judges arguments. False: error (CONFIG_ERROR_MAX bytes) says why. */
bool directive_parse(const struct directive *row, char *const *arguments, size_t count,
                     struct directive_value *value_out, char *error);
/* Cannot fail; takes value's text. append: SAVE adds to what is there. */
void directive_apply(struct config *config, const struct directive *row,
                     struct directive_value *value, bool append);
/* The word that stands for the value now. */
const char *directive_word(const struct directive *row, int64_t number);
/* Appends the value as CONFIG GET shows it, with a NUL that does not count. */
void directive_show(const struct config *config, const struct directive *row, struct buf *out);

/* Splits a line at spaces, with Redis's quotes. Each argument and the array are given: free with
 * arguments_free. False: quotes that do not match. */
bool arguments_split(struct bytes line, char ***arguments_out, size_t *count_out);
void arguments_free(char **arguments, size_t count);

/* Memory of the configuration never fails: what little it needs is there or nothing is. */
char *config_copy_text(const char *text);
void config_append(struct buf *out, const char *text);

#endif
