#include "src/config/config.h"
#include "src/config/directives.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char error[CONFIG_ERROR_MAX];

/* The value that CONFIG GET shows; lent until the next call. */
static char shown[2048];
static unsigned shown_count;

static void note(void *ctx, const char *name, const char *value)
{
    (void)name;
    (void)ctx;
    shown_count++;
    snprintf(shown, sizeof(shown), "%s", value);
}

static const char *get(struct config *config, const char *pattern)
{
    struct bytes patterns = bytes_of_text(pattern);
    shown_count = 0;
    shown[0] = '\0';
    config_match(config, &patterns, 1, note, NULL);
    return shown;
}

static bool read_text(struct config *config, const char *text)
{
    return config_read_text(config, "test.conf", text, error);
}

static bool set(struct config *config, const char *name, const char *value)
{
    struct bytes pair[] = {bytes_of_text(name), bytes_of_text(value)};
    return config_set(config, NULL, pair, 1, error);
}

static const char *write_file(const char *name, const char *text)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    FILE *file = fopen(path, "w");
    EXPECT(file != NULL);
    fputs(text, file);
    fclose(file);
    return path;
}

static const char *file_text(const char *path)
{
    static char text[8192];
    FILE *file = fopen(path, "r");
    EXPECT(file != NULL);
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

TEST(defaults_are_durable_and_as_redis_names_them)
{
    struct config *config = config_new();
    EXPECT_TEXT(get(config, "appendonly"), "yes");
    EXPECT_TEXT(get(config, "appendfsync"), "always");
    EXPECT_TEXT(get(config, "port"), "6379");
    EXPECT_TEXT(get(config, "bind"), "* -::*");
    EXPECT_TEXT(get(config, "save"), "3600 1 300 100 60 10000");
    EXPECT_TEXT(get(config, "proto-max-bulk-len"), "536870912");
    EXPECT_TEXT(get(config, "client-output-buffer-limit"),
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    config_free(config);
}

TEST(a_file_is_read_with_comments_quotes_and_empty_lines)
{
    struct config *config = config_new();
    EXPECT(read_text(config, "# a comment\n"
                             "\n"
                             "   port 7000\r\n"
                             "requirepass \"a b\\x21\\\"c\"\n"
                             "\tlogfile 'it\\'s'\n"
                             "maxmemory 10mb\n"
                             "APPENDFSYNC everysec\n"
                             "timeout 5"));
    EXPECT_TEXT(get(config, "port"), "7000");
    EXPECT_TEXT(get(config, "requirepass"), "a b!\"c");
    EXPECT_TEXT(get(config, "logfile"), "it's");
    EXPECT_TEXT(get(config, "maxmemory"), "10485760");
    EXPECT_TEXT(get(config, "appendfsync"), "everysec");
    EXPECT_TEXT(get(config, "timeout"), "5");
    EXPECT(config_get(&config->password_set) == 1);
    config_free(config);
}

TEST(a_mistake_is_refused_with_file_line_and_reason)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"port 1\nfoo bar\n", "test.conf:2: unknown directive 'foo'"},
        {"\n\nport x\n", "test.conf:3: port: argument couldn't be parsed into an integer"},
        {"port\n", "test.conf:1: port: wrong number of arguments"},
        {"port 1 2\n", "test.conf:1: port: wrong number of arguments"},
        {"port 70000\n", "test.conf:1: port: argument must be between 0 and 65535 inclusive"},
        {"databases 32\n",
         "test.conf:1: databases: there are 16 databases, neither more nor fewer"},
        {"daemonize maybe\n", "test.conf:1: daemonize: argument must be 'yes' or 'no'"},
        {"requirepass \"open\n", "test.conf:1: quotes that do not match, or a NUL byte"},
        {"requirepass \"a\"b\n", "test.conf:1: quotes that do not match, or a NUL byte"},
        {"requirepass \"a\\x00b\"\n", "test.conf:1: quotes that do not match, or a NUL byte"},
        {"maxmemory 1tb\n", "test.conf:1: maxmemory: argument must be a memory value"},
        {"maxmemory -1\n", "test.conf:1: maxmemory: argument must be a memory value"},
        {"maxmemory 99999999999gb\n", "test.conf:1: maxmemory: argument must be a memory value"},
        {"maxmemory-policy lru\n",
         "test.conf:1: maxmemory-policy: argument(s) must be one of the following: volatile-lru, "
         "volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, "
         "noeviction"},
        {"maxmemory-samples 0\n",
         "test.conf:1: maxmemory-samples: argument must be between 1 and 2147483647 inclusive"},
        {"loglevel loud\n", "test.conf:1: loglevel: argument(s) must be one of the following: "
                            "debug, verbose, notice, warning"},
        {"save 60\n", "test.conf:1: save: Invalid save parameters"},
        {"save 0 1\n", "test.conf:1: save: Invalid save parameters"},
        {"cluster-enabled yes\n",
         "test.conf:1: cluster-enabled: only \"no\" is accepted: there is no cluster yet"},
        {"include\n", "test.conf:1: include: wrong number of arguments"},
        {"include /nosuch/file\n",
         "test.conf:1: cannot open '/nosuch/file': No such file or directory"},
        {"unixsocketperm 999\n",
         "test.conf:1: unixsocketperm: argument couldn't be parsed as an octal number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = config_new();
        EXPECT(!read_text(config, cases[i].text));
        EXPECT_TEXT(error, cases[i].error);
        config_free(config);
    }
}

TEST(an_include_is_read_in_its_place_and_blamed_for_its_mistakes)
{
    char text[8192];
    char path[4096];
    snprintf(path, sizeof(path), "%s", write_file("inner.conf", "port 7001\ntimeout 9\n"));
    snprintf(text, sizeof(text), "port 7000\ninclude %s\ntimeout 10\n", path);
    struct config *config = config_new();
    EXPECT(read_text(config, text));
    EXPECT_TEXT(get(config, "port"), "7001");
    EXPECT_TEXT(get(config, "timeout"), "10");
    write_file("inner.conf", "port 7001\nnonsense\n");
    EXPECT(!read_text(config, text));
    snprintf(text, sizeof(text), "%s:2: unknown directive 'nonsense'", path);
    EXPECT_TEXT(error, text);
    snprintf(text, sizeof(text), "include %s/none-*.conf\n", test_dir());
    EXPECT(read_text(config, text)); /* A pattern may match nothing. */
    config_free(config);
}

TEST(an_include_of_itself_ends)
{
    char text[8192];
    snprintf(text, sizeof(text), "include %s/self.conf\n", test_dir());
    struct config *config = config_new();
    const char *path = write_file("self.conf", text);
    EXPECT(!config_read_file(config, path, error));
    EXPECT(strstr(error, "includes go too deep") != NULL);
    config_free(config);
}

TEST(save_lines_add_up_and_an_empty_one_clears)
{
    struct config *config = config_new();
    EXPECT(read_text(config, "save 100 1\nsave 50 2\n"));
    EXPECT_TEXT(get(config, "save"), "100 1 50 2");
    EXPECT(read_text(config, "save \"\"\n"));
    EXPECT_TEXT(get(config, "save"), "");
    EXPECT(read_text(config, "save 7 7\n"));
    EXPECT_TEXT(get(config, "save"), "7 7");
    config_free(config);
}

TEST(the_command_line_overrides_the_file)
{
    struct config *config = config_new();
    char *path = strdup(write_file("a.conf", "port 7000\ntimeout 3\n"));
    char *argv[] = {(char *)"basin-server",
                    path,
                    (char *)"--port",
                    (char *)"7002",
                    (char *)"--save",
                    (char *)"60",
                    (char *)"1",
                    (char *)"--bind",
                    (char *)"127.0.0.1",
                    (char *)"-::1",
                    (char *)"--requirepass",
                    (char *)""};
    EXPECT(config_load(config, sizeof(argv) / sizeof(argv[0]), argv) == CONFIG_RUN);
    EXPECT_TEXT(get(config, "port"), "7002");
    EXPECT_TEXT(get(config, "timeout"), "3");
    EXPECT_TEXT(get(config, "save"), "60 1");
    EXPECT_INT(config->address_count, 2);
    EXPECT_TEXT(config->addresses[0], "127.0.0.1");
    EXPECT_TEXT(config->addresses[1], "-::1");
    EXPECT(config->file != NULL && config->file[0] == '/');
    EXPECT(config->dir[0] == '/');
    config_free(config);
    free(path);
}

TEST(what_depends_on_the_machine_is_known_once_complete)
{
    struct config *config = config_new();
    EXPECT(read_text(config, "workers 3\n"));
    EXPECT(config_complete(config, error));
    EXPECT_INT(config_get(&config->workers), 3);
    EXPECT_INT(config_get(&config->shards), 16);
    config_free(config);
    config = config_new();
    EXPECT(config_complete(config, error));
    EXPECT(config_get(&config->workers) >= 1);
    config_free(config);
    config = config_new();
    EXPECT(read_text(config, "shards 12\n"));
    EXPECT(!config_complete(config, error));
    EXPECT_TEXT(error, "shards must be a power of two, not 12");
    config_free(config);
}

TEST(config_set_changes_all_pairs_or_none)
{
    struct config *config = config_new();
    struct bytes pairs[] = {bytes_of_text("timeout"), bytes_of_text("7"), bytes_of_text("hz"),
                            bytes_of_text("x")};
    EXPECT(!config_set(config, NULL, pairs, 2, error));
    EXPECT_TEXT(error, "CONFIG SET failed (possibly related to argument 'hz') - argument couldn't "
                       "be parsed into an integer");
    EXPECT_TEXT(get(config, "timeout"), "0");
    pairs[3] = bytes_of_text("20");
    EXPECT(config_set(config, NULL, pairs, 2, error));
    EXPECT_TEXT(get(config, "timeout"), "7");
    EXPECT_TEXT(get(config, "hz"), "20");
    config_free(config);
}

TEST(config_set_refuses_what_is_unknown_fixed_or_twice)
{
    struct config *config = config_new();
    EXPECT(!set(config, "foo", "bar"));
    EXPECT_TEXT(error, "Unknown option or number of arguments for CONFIG SET - 'foo'");
    EXPECT(!set(config, "appendonly", "no"));
    EXPECT_TEXT(error, "CONFIG SET failed (possibly related to argument 'appendonly') - can't set "
                       "immutable config");
    struct bytes pairs[] = {bytes_of_text("hz"), bytes_of_text("1"), bytes_of_text("HZ"),
                            bytes_of_text("2")};
    EXPECT(!config_set(config, NULL, pairs, 2, error));
    EXPECT(strstr(error, "duplicate parameter") != NULL);
    struct bytes nul[] = {bytes_of_text("requirepass"), bytes_of("a\0b", 3)};
    EXPECT(!config_set(config, NULL, nul, 1, error));
    EXPECT(strstr(error, "NUL") != NULL);
    config_free(config);
}

TEST(config_set_of_one_class_of_clients_leaves_the_others)
{
    struct config *config = config_new();
    EXPECT(set(config, "client-output-buffer-limit", "normal 1mb 2kb 3 replica 0 0 0"));
    EXPECT_TEXT(get(config, "client-output-buffer-limit"),
                "normal 1048576 2048 3 slave 0 0 0 pubsub 33554432 8388608 60");
    EXPECT_INT(config_get(&config->output_limits[CLIENT_CLASS_NORMAL].hard), 1048576);
    EXPECT(!set(config, "client-output-buffer-limit", "nobody 1 2 3"));
    EXPECT(!set(config, "client-output-buffer-limit", "normal 1 2"));
    config_free(config);
}

TEST(a_file_may_give_the_limits_of_clients_in_one_quoted_word)
{
    struct config *config = config_new();
    EXPECT(config_read_text(config, "test.conf",
                            "client-output-buffer-limit \"normal 1 2 3 pubsub 4 5 6\"\n", error));
    EXPECT_TEXT(get(config, "client-output-buffer-limit"),
                "normal 1 2 3 slave 268435456 67108864 60 pubsub 4 5 6");
    EXPECT(
        !config_read_text(config, "test.conf", "client-output-buffer-limit \"normal 1\"\n", error));
    EXPECT(strstr(error, "test.conf") != NULL);
    config_free(config);
}

TEST(an_alias_is_the_same_directive)
{
    struct config *config = config_new();
    EXPECT(set(config, "list-max-ziplist-size", "128"));
    EXPECT_TEXT(get(config, "list-max-listpack-size"), "128");
    EXPECT_INT(config_get(&config->list_max_listpack_size), 128);
    config_free(config);
}

TEST(a_pattern_shows_every_directive_once_even_if_two_patterns_match)
{
    struct config *config = config_new();
    struct bytes patterns[] = {bytes_of_text("maxmemory*"), bytes_of_text("maxmemory")};
    shown_count = 0;
    config_match(config, patterns, 1, note, NULL);
    unsigned once = shown_count;
    shown_count = 0;
    config_match(config, patterns, 2, note, NULL);
    EXPECT(once > 1);
    EXPECT_INT(shown_count, once);
    config_free(config);
}

TEST(a_directive_without_meaning_here_is_stored_and_shown)
{
    struct config *config = config_new();
    EXPECT(read_text(config, "dbfilename my dump.rdb\n"));
    EXPECT_TEXT(get(config, "dbfilename"), "my dump.rdb");
    EXPECT_TEXT(get(config, "rdbcompression"), "yes");
    EXPECT(set(config, "hash-max-listpack-entries", "7"));
    EXPECT_TEXT(get(config, "hash-max-listpack-entries"), "7");
    config_free(config);
}

TEST(a_password_matches_only_as_a_whole)
{
    struct config *config = config_new();
    EXPECT(set(config, "requirepass", "secret"));
    EXPECT(config_password_matches(config, bytes_of_text("secret")));
    EXPECT(!config_password_matches(config, bytes_of_text("secre")));
    EXPECT(!config_password_matches(config, bytes_of_text("secretsecret")));
    EXPECT(!config_password_matches(config, bytes_of_text("Secret")));
    EXPECT(!config_password_matches(config, bytes_of_text("")));
    EXPECT(!config_password_matches(config, bytes_of("secret\0", 7)));
    config_free(config);
}

static struct config *config_from(const char *path)
{
    struct config *config = config_new();
    EXPECT(config_read_file(config, path, error));
    EXPECT(config_complete(config, error));
    return config;
}

TEST(rewrite_keeps_comments_order_and_lines_that_still_hold)
{
    const char *path = write_file("r.conf", "# first\n"
                                            "timeout   1\n"
                                            "\n"
                                            "maxmemory 1mb   # no comment in Redis's syntax\n");
    struct config *config = config_new();
    EXPECT(!config_read_file(config, path, error)); /* "#" within a line is an argument. */
    config_free(config);
    path = write_file("r.conf", "# first\n"
                                "timeout   1\n"
                                "\n"
                                "  # second\n"
                                "maxmemory 1mb\n"
                                "hz 20\n");
    config = config_from(path);
    EXPECT(set(config, "timeout", "2"));
    EXPECT(config_rewrite(config, error));
    EXPECT_TEXT(file_text(path), "# first\n"
                                 "timeout 2\n"
                                 "\n"
                                 "  # second\n"
                                 "maxmemory 1mb\n"
                                 "hz 20\n");
    config_free(config);
}

TEST(rewrite_appends_what_the_file_does_not_say_and_drops_repetitions)
{
    const char *path = write_file("r.conf", "save 1 1\n# between\nsave 2 2\nport 7000");
    struct config *config = config_from(path);
    EXPECT(chmod(path, 0640) == 0);
    EXPECT(set(config, "save", "9 9"));
    EXPECT(set(config, "requirepass", "a \"b\\"));
    EXPECT(set(config, "client-output-buffer-limit", "normal 1 2 3"));
    EXPECT(config_rewrite(config, error));
    EXPECT_TEXT(file_text(path), "save 9 9\n"
                                 "# between\n"
                                 "port 7000\n"
                                 "# Generated by CONFIG REWRITE\n"
                                 "client-output-buffer-limit normal 1 2 3\n"
                                 "client-output-buffer-limit slave 268435456 67108864 60\n"
                                 "client-output-buffer-limit pubsub 33554432 8388608 60\n"
                                 "requirepass \"a \\\"b\\\\\"\n");
    struct stat info;
    EXPECT(stat(path, &info) == 0);
    EXPECT_INT(info.st_mode & 0777, 0640);
    struct config *again = config_from(path);
    EXPECT_TEXT(get(again, "requirepass"), "a \"b\\");
    EXPECT_TEXT(get(again, "save"), "9 9");
    EXPECT(config_rewrite(again, error));
    EXPECT(strstr(file_text(path), "REWRITE\n# Generated") == NULL);
    config_free(again);
    config_free(config);
}

TEST(rewrite_of_an_empty_save_survives_a_restart)
{
    const char *path = write_file("r.conf", "save 1 1\n");
    struct config *config = config_from(path);
    EXPECT(set(config, "save", ""));
    EXPECT(config_rewrite(config, error));
    EXPECT_TEXT(file_text(path), "save \"\"\n");
    config_free(config);
}

TEST(rewrite_without_a_file_is_refused)
{
    struct config *config = config_new();
    EXPECT(!config_rewrite(config, error));
    EXPECT_TEXT(error, "The server is running without a config file");
    config_free(config);
}

TEST(a_failed_rewrite_leaves_the_file_as_it_was)
{
    const char *path = write_file("r.conf", "timeout 1\n");
    struct config *config = config_from(path);
    EXPECT(set(config, "timeout", "2"));
    write_file("r.conf", "timeout 1\nnonsense\n"); /* Somebody broke it meanwhile. */
    EXPECT(!config_rewrite(config, error));
    EXPECT_TEXT(file_text(path), "timeout 1\nnonsense\n");
    config_free(config);
}

TEST(engine_options_follow_the_directives)
{
    struct config *config = config_new();
    EXPECT(read_text(config, "appendonly no\nappendfsync no\nshards 4\nlog-flushes 2\n"
                             "log-segment-size 2mb\nlog-road plain\nlist-max-listpack-size 7\n"));
    EXPECT(config_complete(config, error));
    struct basin_options options = config_basin_options(config);
    EXPECT(options.memory_only);
    EXPECT(options.sync == WLOG_SYNC_NO);
    EXPECT_INT(options.shards, 4);
    EXPECT_INT(options.flushes_max, 2);
    EXPECT_INT(options.segment_size, 2 << 20);
    EXPECT(options.road == IO_ROAD_PLAIN);
    EXPECT_INT(options.limits.list_max_listpack_size, 7);
    config_free(config);
}

/* Whether the page has a line for the directive with this default. */
static bool page_has(const char *page, const char *name, const char *value)
{
    char line[512];
    snprintf(line, sizeof(line), "\n| `%s` | `%s` | ", name, value[0] == '\0' ? "\"\"" : value);
    return strstr(page, line) != NULL;
}

TEST(the_page_about_configuration_has_every_directive_with_its_default)
{
    static char page[65536];
    FILE *file = fopen("docs/CONFIGURATION.md", "r");
    EXPECT(file != NULL);
    size_t size = fread(page, 1, sizeof(page) - 1, file);
    fclose(file);
    page[size] = '\0';
    size_t lines = 0;
    for (const char *at = page; (at = strstr(at, "\n| `")) != NULL; at++) {
        lines++;
    }
    EXPECT_INT(lines, directive_count());
    for (size_t i = 0; i < directive_count(); i++) {
        const struct directive *row = directive_at(i);
        if (!page_has(page, row->name, row->standard)) {
            test_fail(__FILE__, __LINE__, "%s is not on the page, or not with its default",
                      row->name);
        }
    }
}
