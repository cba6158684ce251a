#include "tests/lib/sim_private.h"

#include "engine/base/check.h"
#include "tests/lib/sim_names.h"

enum status sim_rename(struct io *io, const char *from, const char *to)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path from_path = sim_path_of(from);
    struct sim_path to_path = sim_path_of(to);
    struct sim_path to_parent = sim_path_parent(&to_path);
    enum status status = sim_call_begin(disk, true);
    if (status != ST_OK) {
        return status;
    }
    struct sim_node *node = sim_names_find(&disk->store, &from_path);
    struct sim_node *there = sim_names_find(&disk->store, &to_path);
    if (node == NULL || !sim_names_has_dir(&disk->store, &to_parent)) {
        return ST_ABSENT;
    }
    if (node->is_dir || (there != NULL && there->is_dir)) {
        return ST_IO;
    }
    sim_names_rename(&disk->store, &from_path, &to_path);
    return ST_OK;
}

enum status sim_link(struct io *io, const char *from, const char *to, bool *linked_out)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path from_path = sim_path_of(from);
    struct sim_path to_path = sim_path_of(to);
    struct sim_path to_parent = sim_path_parent(&to_path);
    enum status status = sim_call_begin(disk, true);
    *linked_out = false;
    if (status != ST_OK) {
        return status;
    }
    struct sim_node *node = sim_names_find(&disk->store, &from_path);
    if (node == NULL || !sim_names_has_dir(&disk->store, &to_parent)) {
        return ST_ABSENT;
    }
    if (node->is_dir || sim_names_find(&disk->store, &to_path) != NULL) {
        return ST_IO;
    }
    if (!disk->poor) {
        sim_names_link(&disk->store, &from_path, &to_path);
        *linked_out = true;
    }
    return ST_OK;
}

enum status sim_unlink(struct io *io, const char *path)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path name = sim_path_of(path);
    enum status status = sim_call_begin(disk, false);
    if (status != ST_OK) {
        return status;
    }
    struct sim_node *node = sim_names_find(&disk->store, &name);
    if (node == NULL) {
        return ST_ABSENT;
    }
    if (node->is_dir) {
        return ST_IO;
    }
    sim_names_unlink(&disk->store, &name);
    return ST_OK;
}

enum status sim_dir_make(struct io *io, const char *path)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path name = sim_path_of(path);
    struct sim_path parent = sim_path_parent(&name);
    bool there = sim_names_has_dir(&disk->store, &name);
    enum status status = sim_call_begin(disk, !there);
    if (status != ST_OK || there) {
        return status;
    }
    if (!sim_names_has_dir(&disk->store, &parent)) {
        return ST_ABSENT;
    }
    if (sim_names_find(&disk->store, &name) != NULL) {
        return ST_IO;
    }
    (void)sim_names_create(&disk->store, &name, true);
    return ST_OK;
}

enum status sim_dir_remove(struct io *io, const char *path)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path name = sim_path_of(path);
    enum status status = sim_call_begin(disk, false);
    if (status != ST_OK) {
        return status;
    }
    struct sim_node *node = sim_names_find(&disk->store, &name);
    if (node == NULL) {
        return ST_ABSENT;
    }
    if (!node->is_dir || sim_names_has_any(&disk->store, &name)) {
        return ST_IO;
    }
    sim_names_unlink(&disk->store, &name);
    return ST_OK;
}

enum status sim_dir_sync(struct io *io, const char *path)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path name = sim_path_of(path);
    enum status status = sim_call_begin(disk, false);
    if (!sim_names_has_dir(&disk->store, &name)) {
        return status != ST_OK ? status : ST_ABSENT;
    }
    sim_names_sync(&disk->store, &name, status != ST_OK);
    disk->store.stats.dir_syncs += status == ST_OK;
    return status;
}

enum status sim_dir_list(struct io *io, const char *path, struct io_name **names_out,
                         size_t *count_out)
{
    struct sim_disk *disk = sim_disk_of(io);
    struct sim_path name = sim_path_of(path);
    enum status status = sim_call_begin(disk, false);
    if (status != ST_OK) {
        return status;
    }
    if (!sim_names_has_dir(&disk->store, &name)) {
        return ST_ABSENT;
    }
    size_t count = 0;
    for (struct sim_entry *entry = disk->store.name_view; entry != NULL; entry = entry->next) {
        count++;
    }
    struct io_name *names = sim_allocate(count * sizeof(*names));
    count = 0;
    for (struct sim_entry *entry = disk->store.name_view; entry != NULL; entry = entry->next) {
        struct sim_path parent = sim_path_parent(&entry->path);
        if (strcmp(parent.text, name.text) == 0) {
            const char *slash = strrchr(entry->path.text, '/');
            const char *last = slash == NULL ? entry->path.text : slash + 1;
            CHECK(strlen(last) < IO_NAME_MAX);
            strcpy(names[count++].text, last);
        }
    }
    *names_out = names;
    *count_out = count;
    return ST_OK;
}
