#include "src/dispatch/client.h"

#include "engine/base/check.h"
#include "src/config/config.h"
#include "src/server.h"

#include <stdlib.h>
#include <time.h>

/* src/ may use memory that does not fail: what is missing here is a few dozen bytes a client. */
static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    CHECK(copy != NULL);
    return copy;
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The registry is a list by age: next of the last is NULL, previous of the first is the last. */
static void registry_enter(struct server *server, struct client *client)
{
    pthread_mutex_lock(&server->clients_mutex);
    client->next = NULL;
    if (server->clients == NULL) {
        client->previous = client;
        server->clients = client;
    } else {
        client->previous = server->clients->previous;
        client->previous->next = client;
        server->clients->previous = client;
    }
    server->clients_count++;
    pthread_mutex_unlock(&server->clients_mutex);
}

static void registry_leave(struct server *server, struct client *client)
{
    pthread_mutex_lock(&server->clients_mutex);
    struct client *next = client->next;
    if (server->clients == client) {
        server->clients = next;
    } else {
        client->previous->next = next;
    }
    if (next != NULL) {
        next->previous = client->previous;
    } else if (server->clients != NULL) {
        server->clients->previous = client->previous;
    }
    server->clients_count--;
    pthread_mutex_unlock(&server->clients_mutex);
}

void client_init(struct client *client, struct server *server, const struct client_ops *ops,
                 unsigned worker, const char *address, const char *local_address)
{
    memset(client, 0, sizeof(*client));
    client->server = server;
    client->ops = ops;
    client->worker = worker;
    client->id = atomic_fetch_add(&server->next_client_id, 1);
    client->authenticated = config_get(&server->config->password_set) == 0;
    client->address = copy_text(address);
    client->local_address = copy_text(local_address);
    client->created_ms = wall_ms();
    client->last_ms = client->created_ms;
    resp_out_init(&client->out);
    client->version = client->out.version;
    arena_init(&client->arena);
    registry_enter(server, client);
}

void client_deinit(struct client *client)
{
    if (client == NULL) {
        return;
    }
    CHECK(client->call == NULL);
    registry_leave(client->server, client);
    free(client->name);
    free(client->library_name);
    free(client->library_version);
    free(client->address);
    free(client->local_address);
    resp_out_deinit(&client->out);
    arena_deinit(&client->arena);
}

void client_walk(struct server *server, bool (*fn)(void *ctx, struct client *client), void *ctx)
{
    pthread_mutex_lock(&server->clients_mutex);
    for (struct client *client = server->clients; client != NULL; client = client->next) {
        if (!fn(ctx, client)) {
            break;
        }
    }
    pthread_mutex_unlock(&server->clients_mutex);
}

unsigned client_count(struct server *server)
{
    pthread_mutex_lock(&server->clients_mutex);
    unsigned count = server->clients_count;
    pthread_mutex_unlock(&server->clients_mutex);
    return count;
}

void client_set_string(struct client *client, char **field, const char *text)
{
    char *copy = text == NULL ? NULL : copy_text(text);
    pthread_mutex_lock(&client->server->clients_mutex);
    char *old = *field;
    *field = copy;
    pthread_mutex_unlock(&client->server->clients_mutex);
    free(old);
}

void client_reset(struct client *client)
{
    client->out.version = 2;
    atomic_store(&client->version, 2);
    atomic_store(&client->database, 0);
    client_set_string(client, &client->name, NULL);
    if (atomic_load(&client->reply) !=
        CLIENT_REPLY_SKIP) { /* RESET itself may be what is skipped. */
        atomic_store(&client->reply, CLIENT_REPLY_ON);
    }
    atomic_store(&client->no_evict, false);
    atomic_store(&client->no_touch, false);
    client->authenticated = config_get(&client->server->config->password_set) == 0;
}
