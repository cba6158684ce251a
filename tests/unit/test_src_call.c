/* A server without network: one client, a store in memory or on disk, requests as lines. */
#include "src/config/config.h"
#include "src/dispatch/call.h"
#include "src/server.h"
#include "src/stats/stats.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16

struct world {
    struct server server;
    struct client client;
    struct call call;
    struct bytes argv[ARGUMENTS_MAX];
    char line[1024];
    char text[65536];
    unsigned stops, kills;
};

static struct world *world; /* Of the running test. */

static void client_kill_note(struct client *client)
{
    (void)client;
    world->kills++;
}

static void client_close_note(struct client *client)
{
    client->close_after_reply = true;
}

static uint64_t client_nothing(const struct client *client)
{
    (void)client;
    return 0;
}

static unsigned client_fd(const struct client *client)
{
    (void)client;
    return 8;
}

static const struct client_ops ops = {client_close_note, client_kill_note, client_nothing,
                                      client_nothing, client_fd};

static void stop_note(struct server *server)
{
    (void)server;
    world->stops++;
}

static void wake_ignore(void *ctx)
{
    (void)ctx;
}

static void world_open(const char *config_text)
{
    char error[CONFIG_ERROR_MAX];
    command_table_init();
    world = calloc(1, sizeof(*world));
    struct server *server = &world->server;
    server->config = config_new();
    EXPECT(config_read_text(server->config, "test.conf", config_text, error));
    EXPECT(config_complete(server->config, error));
    server->stats = stats_new();
    server->workers = 1;
    server->stop = stop_note;
    atomic_store(&server->next_client_id, 1);
    pthread_mutex_init(&server->clients_mutex, NULL);
    struct basin_options options = config_basin_options(server->config);
    options.dir = test_dir();
    EXPECT(basin_open(&options, &server->basin) == ST_OK);
    client_init(&world->client, server, &ops, 0, "127.0.0.1:4711", "127.0.0.1:6379");
    EXPECT(txn_new(server->basin, wake_ignore, NULL, &world->client.txn) == ST_OK);
}

static void world_close(void)
{
    while (atomic_load(&world->server.syncs) > 0) {
        usleep(1000);
    }
    txn_free(world->client.txn);
    client_deinit(&world->client);
    basin_close(world->server.basin);
    pthread_mutex_destroy(&world->server.clients_mutex);
    stats_free(world->server.stats);
    config_free(world->server.config);
    free(world);
    world = NULL;
}

/* The reply so far as text, taken out. */
static const char *replied(void)
{
    struct iovec pieces[64];
    int count = resp_out_peek(&world->client.out, world->client.out.written, pieces, 64);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        EXPECT(used + pieces[i].iov_len < sizeof(world->text));
        memcpy(world->text + used, pieces[i].iov_base, pieces[i].iov_len);
        used += pieces[i].iov_len;
    }
    world->text[used] = '\0';
    resp_out_consume(&world->client.out, used);
    return world->text;
}

static enum call_result start(const char *line)
{
    snprintf(world->line, sizeof(world->line), "%s", line);
    size_t argc = 0;
    for (char *word = strtok(world->line, " "); word != NULL; word = strtok(NULL, " ")) {
        EXPECT(argc < ARGUMENTS_MAX);
        world->argv[argc++] = bytes_of_text(strcmp(word, "''") == 0 ? "" : word);
    }
    stats_clock(&world->server.stats->workers[0]);
    return call_start(&world->call, &world->client, world->argv, argc);
}

static const char *run(const char *line)
{
    EXPECT(start(line) == CALL_DONE);
    return replied();
}

/* What src/net does with a parked call. */
static const char *run_parked(const char *line)
{
    enum call_result result = start(line);
    while (result == CALL_WAIT) {
        EXPECT(world->call.parked);
        struct timespec now;
        basin_flush(world->server.basin);
        basin_reap(world->server.basin);
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        if ((world->call.park_lsn != UINT64_MAX &&
             basin_synced(world->server.basin) >= world->call.park_lsn) ||
            (world->call.park_until_ms != 0 && now_ms >= world->call.park_until_ms)) {
            world->call.park_over = true;
            result = call_resume(&world->call);
        } else {
            usleep(500);
        }
    }
    return replied();
}

static const char memory_only[] = "appendonly no\nenable-debug-command local\n";

TEST(what_the_gate_refuses_is_worded_as_redis_does)
{
    static const char *const cases[][2] = {
        {"nosuch a b", "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' \r\n"},
        {"nosuch", "-ERR unknown command 'nosuch', with args beginning with: \r\n"},
        {"get", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"GET a b", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"client", "-ERR wrong number of arguments for 'client' command\r\n"},
        {"client nosuch", "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP.\r\n"},
        {"client kill", "-ERR wrong number of arguments for 'client|kill' command\r\n"},
    };
    world_open(memory_only);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        EXPECT_TEXT(run(cases[i][0]), cases[i][1]);
    }
    world_close();
}

TEST(the_arguments_of_an_unknown_command_are_cut_short)
{
    world_open(memory_only);
    char longest[600];
    snprintf(longest, sizeof(longest), "nosuch %0500d x", 7);
    const char *reply = run(longest);
    EXPECT(strlen(reply) < 300);
    EXPECT(strstr(reply, "'x'") == NULL);
    world_close();
}

TEST(a_command_runs_in_its_transaction_and_answers)
{
    world_open(memory_only);
    EXPECT_TEXT(run("set a 1"), "+OK\r\n");
    EXPECT_TEXT(run("get a"), "$1\r\n1\r\n");
    EXPECT_TEXT(run("select 3"), "+OK\r\n");
    EXPECT_TEXT(run("get a"), "$-1\r\n");
    EXPECT_TEXT(run("ping"), "+PONG\r\n");
    EXPECT(world->client.call == NULL);
    world_close();
}

TEST(without_the_password_only_a_few_commands_run)
{
    world_open("appendonly no\nrequirepass secret\n");
    EXPECT_TEXT(run("get a"), "-NOAUTH Authentication required.\r\n");
    EXPECT_TEXT(run("get"), "-ERR wrong number of arguments for 'get' command\r\n");
    EXPECT_TEXT(run("auth wrong"),
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    EXPECT(strncmp(run("hello 3"), "-NOAUTH HELLO must be called", 28) == 0);
    EXPECT_TEXT(run("auth nobody secret"),
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    EXPECT_TEXT(run("ping"), "-NOAUTH Authentication required.\r\n");
    EXPECT_TEXT(run("auth secret"), "+OK\r\n");
    EXPECT_TEXT(run("ping"), "+PONG\r\n");
    EXPECT_TEXT(run("reset"), "+RESET\r\n");
    EXPECT_TEXT(run("ping"), "-NOAUTH Authentication required.\r\n");
    EXPECT(strncmp(run("hello 2 auth default secret"), "*14\r\n", 5) == 0);
    EXPECT_TEXT(run("ping"), "+PONG\r\n");
    world_close();
}

TEST(hello_changes_the_protocol_only_when_all_of_it_is_right)
{
    world_open(memory_only);
    EXPECT_TEXT(run("hello 4"), "-NOPROTO unsupported protocol version\r\n");
    EXPECT_TEXT(run("hello x"), "-ERR Protocol version is not an integer or out of range\r\n");
    EXPECT_TEXT(run("hello 3 setname"), "-ERR Syntax error in HELLO option 'setname'\r\n");
    EXPECT_INT(world->client.out.version, 2);
    EXPECT(strncmp(run("hello 3 setname me"), "%7\r\n", 4) == 0);
    EXPECT_TEXT(run("client getname"), "$2\r\nme\r\n");
    EXPECT_TEXT(run("get nokey"), "_\r\n");
    EXPECT_TEXT(run("reset"), "+RESET\r\n");
    EXPECT_TEXT(run("client getname"), "$-1\r\n");
    world_close();
}

TEST(writes_are_refused_past_maxmemory_and_allowed_again_below)
{
    world_open(memory_only);
    EXPECT_TEXT(run("set a 1"), "+OK\r\n");
    EXPECT_TEXT(run("config set maxmemory 1"), "+OK\r\n");
    EXPECT_TEXT(run("set b 1"), "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    EXPECT_TEXT(run("get a"), "$1\r\n1\r\n");
    EXPECT_TEXT(run("getdel a"), "$1\r\n1\r\n");
    EXPECT_TEXT(run("config set maxmemory 100mb"), "+OK\r\n");
    EXPECT_TEXT(run("set b 1"), "+OK\r\n");
    world_close();
}

TEST(client_reply_silences_as_told)
{
    world_open(memory_only);
    EXPECT_TEXT(run("client reply skip"), "");
    EXPECT_TEXT(run("ping"), "");
    EXPECT_TEXT(run("ping"), "+PONG\r\n");
    EXPECT_TEXT(run("client reply off"), "");
    EXPECT_TEXT(run("ping"), "");
    EXPECT_TEXT(run("set a 1"), "");
    EXPECT_TEXT(run("nosuch"), "");
    EXPECT_TEXT(run("client reply skip"), "");
    EXPECT_TEXT(run("ping"), "");
    EXPECT_TEXT(run("client reply on"), "+OK\r\n");
    EXPECT_TEXT(run("get a"), "$1\r\n1\r\n");
    world_close();
}

TEST(a_rolled_back_reply_leaves_what_stood_before_it)
{
    world_open(memory_only);
    EXPECT(start("ping") == CALL_DONE);
    EXPECT(start("client reply off") == CALL_DONE);
    EXPECT(start("ping") == CALL_DONE);
    EXPECT_TEXT(replied(), "+PONG\r\n");
    world_close();
}

TEST(debug_sleep_parks_its_call_until_the_time_is_over)
{
    world_open(memory_only);
    EXPECT(start("debug sleep 1000") == CALL_WAIT);
    EXPECT(world->call.parked);
    EXPECT_INT(world->call.park_until_ms - world->call.now_ms, 1000000);
    EXPECT_INT(world->server.stats->workers[0].calls_waiting, 1);
    EXPECT_TEXT(replied(), "");
    world->call.park_over = true;
    EXPECT(call_resume(&world->call) == CALL_DONE);
    EXPECT_TEXT(replied(), "+OK\r\n");
    EXPECT_INT(world->server.stats->workers[0].calls_waiting, 0);
    world_close();
}

TEST(a_parked_call_can_be_cancelled)
{
    world_open(memory_only);
    EXPECT(start("debug sleep 1000") == CALL_WAIT);
    call_cancel(&world->call);
    EXPECT(world->client.call == NULL);
    EXPECT_INT(world->server.stats->workers[0].calls_waiting, 0);
    EXPECT_TEXT(run("ping"), "+PONG\r\n");
    world_close();
}

TEST(debug_is_refused_unless_switched_on_for_this_client)
{
    world_open("appendonly no\n");
    EXPECT(strncmp(run("debug sleep 0"), "-ERR DEBUG command not allowed.", 31) == 0);
    world_close();
    world_open(memory_only);
    EXPECT_TEXT(run("debug sleep 0"), "+OK\r\n");
    client_set_string(&world->client, &world->client.address, "10.0.0.1:4711");
    EXPECT(strncmp(run("debug sleep 0"), "-ERR DEBUG command not allowed.", 31) == 0);
    world_close();
}

TEST(wait_gives_up_after_its_timeout_because_there_are_no_replicas)
{
    world_open(memory_only);
    EXPECT_TEXT(run("wait 0 0"), ":0\r\n");
    EXPECT_TEXT(run_parked("wait 1 20"), ":0\r\n");
    EXPECT(start("wait 1 0") == CALL_WAIT);
    EXPECT_INT(world->call.park_until_ms, 0);
    call_cancel(&world->call);
    world_close();
}

TEST(waitaof_answers_once_this_clients_writes_are_synced_whatever_the_policy)
{
    static const char *const policies[] = {"always", "everysec", "no"};
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof(text), "appendfsync %s\nlog-segment-size 1mb\n", policies[i]);
        world_open(text);
        EXPECT_TEXT(run_parked("waitaof 1 0 0"), "*2\r\n:1\r\n:0\r\n");
        EXPECT_TEXT(run("set a 1"), "+OK\r\n");
        EXPECT(world->client.last_write_lsn > 0);
        EXPECT_TEXT(run_parked("waitaof 1 0 0"), "*2\r\n:1\r\n:0\r\n");
        EXPECT(basin_synced(world->server.basin) >= world->client.last_write_lsn);
        EXPECT_TEXT(run_parked("waitaof 1 1 20"), "*2\r\n:1\r\n:0\r\n");
        world_close();
    }
}

TEST(waitaof_knows_that_there_is_no_log)
{
    world_open(memory_only);
    EXPECT_TEXT(run("waitaof 1 0 0"), "-ERR WAITAOF cannot be used when numlocal is set but "
                                      "appendonly is disabled.\r\n");
    EXPECT_TEXT(run("waitaof 0 0 0"), "*2\r\n:0\r\n:0\r\n");
    EXPECT_TEXT(run("waitaof 2 0 0"), "-ERR value is out of range, value must between 0 and 1\r\n");
    EXPECT_TEXT(run("waitaof 0 -1 0"), "-ERR value is out of range, must be positive\r\n");
    EXPECT_TEXT(run("save"),
                "-ERR nothing is kept on disk: the server runs with appendonly no\r\n");
    world_close();
}

TEST(save_returns_with_everything_on_disk)
{
    static const char *const policies[] = {"always", "everysec", "no"};
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof(text), "appendfsync %s\nlog-segment-size 1mb\n", policies[i]);
        world_open(text);
        EXPECT_TEXT(run("set a 1"), "+OK\r\n");
        uint64_t end = basin_end(world->server.basin);
        EXPECT_TEXT(run_parked("save"), "+OK\r\n");
        EXPECT(basin_synced(world->server.basin) >= end);
        EXPECT(world->server.last_save_ms > 0);
        EXPECT_TEXT(run("bgsave"), "+Background saving started\r\n");
        world_close();
    }
}

TEST(a_write_is_gated_by_the_log_and_a_read_of_quiet_keys_is_not)
{
    world_open("appendfsync always\nlog-segment-size 1mb\n");
    EXPECT_TEXT(run("set a 1"), "+OK\r\n");
    uint64_t lsn = world->call.wait_lsn;
    EXPECT(lsn > 0);
    EXPECT_TEXT(run("get a"), "$1\r\n1\r\n");
    EXPECT(world->call.wait_lsn <= lsn); /* W1: it has seen the write, or that is durable. */
    EXPECT_TEXT(run("get b"), "$-1\r\n");
    EXPECT_TEXT(run("ping"), "+PONG\r\n");
    EXPECT_INT(world->call.wait_lsn, 0);
    EXPECT(basin_wait(world->server.basin, lsn) == ST_OK);
    world_close();
}

TEST(quit_and_a_kill_of_oneself_close_after_the_reply)
{
    world_open(memory_only);
    EXPECT_TEXT(run("client kill id 1 skipme no"), ":1\r\n");
    EXPECT(world->client.close_after_reply);
    world->client.close_after_reply = false;
    EXPECT_TEXT(run("quit"), "+OK\r\n");
    EXPECT(world->client.close_after_reply);
    world_close();
}

TEST(client_kill_finds_others_by_every_filter)
{
    world_open(memory_only);
    struct client other;
    client_init(&other, &world->server, &ops, 0, "10.0.0.2:5", "10.0.0.1:6379");
    EXPECT_TEXT(run("client kill addr 10.0.0.2:6"), ":0\r\n");
    EXPECT_TEXT(run("client kill addr 10.0.0.2:5"), ":1\r\n");
    EXPECT_TEXT(run("client kill laddr 10.0.0.1:6379 type normal user default"), ":1\r\n");
    EXPECT_TEXT(run("client kill id 2 type pubsub"), ":0\r\n");
    EXPECT_TEXT(run("client kill id 2"), ":1\r\n");
    EXPECT_TEXT(run("client kill 10.0.0.2:5"), "+OK\r\n");
    EXPECT_TEXT(run("client kill 10.0.0.2:9"), "-ERR No such client\r\n");
    EXPECT_INT(world->kills, 4);
    EXPECT(!world->client.close_after_reply);
    client_deinit(&other);
    EXPECT_INT(client_count(&world->server), 1);
    world_close();
}

TEST(client_list_tells_who_is_there)
{
    world_open(memory_only);
    struct client other;
    client_init(&other, &world->server, &ops, 0, "10.0.0.2:5", "10.0.0.1:6379");
    run("client setname me");
    run("client setinfo lib-name mylib");
    const char *list = run("client list");
    EXPECT(strstr(list, "id=1 addr=127.0.0.1:4711 laddr=127.0.0.1:6379 fd=8 name=me ") != NULL);
    EXPECT(strstr(list, " cmd=client|list user=default redir=-1 resp=2 lib-name=mylib ") != NULL);
    EXPECT(strstr(list, "\nid=2 addr=10.0.0.2:5 ") != NULL);
    EXPECT(strstr(list, " cmd=NULL ") != NULL);
    list = run("client list id 2 7");
    EXPECT(strstr(list, "id=1 ") == NULL && strstr(list, "id=2 ") != NULL);
    EXPECT_TEXT(run("client list type pubsub"), "$0\r\n\r\n");
    EXPECT_TEXT(run("client list type x"), "-ERR Unknown client type 'x'\r\n");
    EXPECT_TEXT(run("client setname ''"), "+OK\r\n");
    EXPECT_TEXT(run("client getname"), "$-1\r\n");
    client_deinit(&other);
    world_close();
}

TEST(shutdown_stops_the_server_without_a_reply)
{
    world_open(memory_only);
    EXPECT_TEXT(run("shutdown nosave save"), "-ERR syntax error\r\n");
    EXPECT_TEXT(run("shutdown abort"), "-ERR No shutdown in progress.\r\n");
    EXPECT_INT(world->stops, 0);
    EXPECT_TEXT(run("shutdown nosave now force"), "");
    EXPECT_INT(world->stops, 1);
    world_close();
}

TEST(info_counts_calls_errors_and_rejections_and_forgets_them_on_demand)
{
    world_open(memory_only);
    run("config resetstat"); /* The command table lives as long as the process. */
    run("set a 1");
    run("get a");
    run("get a");
    run("get");
    run("incr a b");
    run("lpush a b");
    const char *text = run("info commandstats errorstats stats keyspace");
    EXPECT(strstr(text, "cmdstat_get:calls=2,") != NULL);
    EXPECT(strstr(text, ",rejected_calls=1,failed_calls=0\r\n") != NULL);
    EXPECT(strstr(text, "cmdstat_lpush:calls=1,") != NULL);
    EXPECT(strstr(text, ",rejected_calls=0,failed_calls=1\r\n") != NULL);
    EXPECT(strstr(text, "errorstat_ERR:count=2\r\n") != NULL);
    EXPECT(strstr(text, "errorstat_WRONGTYPE:count=1\r\n") != NULL);
    EXPECT(strstr(text, "total_commands_processed:5\r\n") != NULL);
    EXPECT(strstr(text, "db0:keys=1,expires=0,avg_ttl=0\r\n") != NULL);
    EXPECT_TEXT(run("config resetstat"), "+OK\r\n");
    text = run("info everything");
    EXPECT(strstr(text, "cmdstat_get") == NULL);
    EXPECT(strstr(text, "errorstat_") == NULL);
    EXPECT(strstr(text, "total_commands_processed:1\r\n") != NULL);
    world_close();
}

TEST(info_shows_the_sections_asked_for)
{
    world_open(memory_only);
    EXPECT_TEXT(run("info nosuch"), "$0\r\n\r\n");
    EXPECT(strstr(run("info"), "# Commandstats") == NULL);
    EXPECT(strstr(run("info"), "# Basin") != NULL);
    EXPECT(strstr(run("info all"), "# Commandstats") != NULL);
    EXPECT(strstr(run("info all"), "# Modules") == NULL);
    EXPECT(strstr(run("info everything"), "# Modules") != NULL);
    const char *text = run("info CPU server");
    EXPECT(strstr(text, "# Server\r\nredis_version:7.2.0\r\n") != NULL);
    EXPECT(strstr(text, "\r\n\r\n# CPU\r\n") != NULL);
    world_close();
}

TEST(config_get_shows_pairs_and_config_set_tells_the_engine)
{
    world_open(memory_only);
    EXPECT_TEXT(run("config get port timeout"),
                "*4\r\n$4\r\nport\r\n$4\r\n6379\r\n$7\r\ntimeout\r\n$1\r\n0\r\n");
    EXPECT_TEXT(run("config get nosuch"), "*0\r\n");
    EXPECT_TEXT(run("config set timeout 5 hz 50"), "+OK\r\n");
    EXPECT_TEXT(run("config set timeout"),
                "-ERR wrong number of arguments for 'config|set' command\r\n");
    EXPECT_TEXT(run("config set timeout 6 hz"),
                "-ERR wrong number of arguments for 'config|set' command\r\n");
    EXPECT_TEXT(run("config rewrite"), "-ERR The server is running without a config file\r\n");
    world_close();
}

TEST(command_tells_keys_and_rows_from_the_table)
{
    world_open(memory_only);
    EXPECT_TEXT(run("command getkeys mset a 1 b 2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    EXPECT_TEXT(run("command getkeysandflags set a b"),
                "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n");
    EXPECT_TEXT(run("command getkeys ping x"), "-ERR The command has no key arguments\r\n");
    EXPECT_TEXT(run("command getkeys nosuch x"), "-ERR Invalid command specified\r\n");
    EXPECT_TEXT(run("command getkeys lmpop x a left"),
                "-ERR Invalid arguments specified for command\r\n");
    EXPECT_TEXT(run("command info nosuch"), "*1\r\n$-1\r\n");
    EXPECT(strncmp(run("command info get"),
                   "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n",
                   56) == 0);
    EXPECT_TEXT(run("command list filterby pattern client|i*"),
                "*2\r\n$9\r\nclient|id\r\n$11\r\nclient|info\r\n");
    EXPECT_TEXT(run("command list filterby module x"), "*0\r\n");
    EXPECT(strncmp(run("command docs config|get"), "*2\r\n$10\r\nconfig|get\r\n", 20) == 0);
    world_close();
}
