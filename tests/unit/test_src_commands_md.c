/* COMMANDS.md says what is done; the command table is what is done. Neither may say more than the
 * other. The page is found from the working directory, where make runs the tests. */
#include "src/dispatch/command.h"
#include "tests/lib/test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_MAX (256 * 1024)
#define LINES_MAX 1024

struct line {
    char name[64]; /* "config|get" */
    char state[16];
    bool note;
};

static struct line lines[LINES_MAX];
static size_t line_count;
/* all, done, not yet, never, Basin's own: the numbers in the page's own words. */
static unsigned summary[5];

/* Takes the text of one cell, without the spaces around it. */
static const char *cell_take(const char *at, char *text, size_t room)
{
    at += strspn(at, " ");
    size_t size = 0;
    while (*at != '\0' && *at != '\n' && !(at[0] == '|' && at[-1] != '\\')) {
        if (size + 1 < room) {
            text[size++] = *at;
        }
        at++;
    }
    while (size > 0 && text[size - 1] == ' ') {
        size--;
    }
    text[size] = '\0';
    return *at == '|' ? at + 1 : at;
}

static void row_read(const char *text)
{
    char cell[64];
    char since[16];
    char note[512];
    EXPECT(line_count < LINES_MAX);
    struct line *line = &lines[line_count++];
    text = cell_take(text + 1, cell, sizeof(cell));
    size_t size = strlen(cell);
    EXPECT(size > 2 && cell[0] == '`' && cell[size - 1] == '`');
    for (size_t i = 1; i + 1 < size; i++) {
        line->name[i - 1] = (char)(cell[i] == ' ' ? '|' : tolower((unsigned char)cell[i]));
    }
    line->name[size - 2] = '\0';
    text = cell_take(text, since, sizeof(since));
    text = cell_take(text, line->state, sizeof(line->state));
    cell_take(text, note, sizeof(note));
    line->note = note[0] != '\0';
    EXPECT(since[0] >= '0' && since[0] <= '9');
}

static void page_read(void)
{
    static char page[PAGE_MAX];
    FILE *file = fopen("COMMANDS.md", "r");
    EXPECT(file != NULL);
    size_t size = fread(page, 1, sizeof(page) - 1, file);
    fclose(file);
    EXPECT(size < sizeof(page) - 1);
    page[size] = '\0';
    command_table_init();
    line_count = 0;
    memset(summary, 0, sizeof(summary));
    for (char *at = page; *at != '\0';) {
        char *end = strchr(at, '\n');
        if (strncmp(at, "| `", 3) == 0) {
            row_read(at);
        }
        sscanf(at,
               "Of %u commands and subcommands, %u are done, %u are not yet there, %u will never "
               "be; %u are Basin's own",
               &summary[0], &summary[1], &summary[2], &summary[3], &summary[4]);
        if (end == NULL) {
            break;
        }
        at = end + 1;
    }
}

static const struct command *row_of(const char *name)
{
    const char *bar = strchr(name, '|');
    if (bar == NULL) {
        return command_find(bytes_of_text(name));
    }
    const struct command *container = command_find(bytes_of(name, (size_t)(bar - name)));
    return container == NULL ? NULL : command_find_sub(container, bytes_of_text(bar + 1));
}

static const struct line *line_of(const char *name)
{
    for (size_t i = 0; i < line_count; i++) {
        if (strcmp(lines[i].name, name) == 0) {
            return &lines[i];
        }
    }
    return NULL;
}

TEST(what_the_page_calls_done_is_in_the_command_table_and_nothing_else_is)
{
    page_read();
    EXPECT(line_count > 300);
    for (size_t i = 0; i < line_count; i++) {
        bool done = strcmp(lines[i].state, "done") == 0;
        if (done != (row_of(lines[i].name) != NULL)) {
            test_fail(__FILE__, __LINE__, "%s is '%s' on the page", lines[i].name, lines[i].state);
        }
    }
}

static void row_is_on_the_page(const struct command *row)
{
    const struct line *line = line_of(row->full_name);
    if (line == NULL || strcmp(line->state, "done") != 0) {
        test_fail(__FILE__, __LINE__, "%s is in the table and not on the page", row->full_name);
    }
}

TEST(every_row_of_the_command_table_is_on_the_page)
{
    page_read();
    for (size_t i = 0; i < command_count(); i++) {
        row_is_on_the_page(command_at(i));
        for (const struct command *sub = command_at(i)->subcommands;
             sub != NULL && sub->name != NULL; sub++) {
            row_is_on_the_page(sub);
        }
    }
}

TEST(every_line_of_the_page_is_there_once_with_a_known_state_and_a_note)
{
    page_read();
    for (size_t i = 0; i < line_count; i++) {
        EXPECT(line_of(lines[i].name) == &lines[i]);
        EXPECT(strcmp(lines[i].state, "done") == 0 || strcmp(lines[i].state, "not yet") == 0 ||
               strcmp(lines[i].state, "never") == 0);
        EXPECT(lines[i].note);
    }
}

TEST(the_numbers_at_the_top_of_the_page_are_right)
{
    page_read();
    unsigned counted[5] = {0};
    for (size_t i = 0; i < line_count; i++) {
        if (strchr(lines[i].name, '.') != NULL) {
            counted[4]++;
            continue; /* Basin's own are counted apart. */
        }
        counted[0]++;
        counted[1] += strcmp(lines[i].state, "done") == 0;
        counted[2] += strcmp(lines[i].state, "not yet") == 0;
        counted[3] += strcmp(lines[i].state, "never") == 0;
    }
    for (size_t i = 0; i < 5; i++) {
        EXPECT_INT(summary[i], counted[i]);
    }
}
