/* syntax: a command's arguments, from the one line in its row to what COMMAND DOCS shows.
 *
 *     key          an argument             EX            a token
 *     EX seconds   a token with arguments  [ … ]         optional
 *     A | B        one of them             < … >         one thing
 *     key [key ...]                        key, once or several times
 *
 * A line that breaks this grammar is a mistake of ours and ends in CHECK.
 * Thread: any. Memory: the stack.
 */
#ifndef BASIN_SRC_DISPATCH_SYNTAX_H
#define BASIN_SRC_DISPATCH_SYNTAX_H

#include "resp/resp_writer.h"

/* Writes the array of arguments. */
void syntax_reply(struct resp_out *out, const char *line);

#endif
