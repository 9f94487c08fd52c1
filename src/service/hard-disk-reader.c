/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An image lies where a file system may hang, so workers read, a few at a time, and each machine is
 * read once at a time: what changes meanwhile is read afterwards.
 *
 *     ask ── waiting ── a worker: definition, headers, watches ── apply ── idle
 *      ↑                                                            │
 *      └─────────────── a file was written, moved or removed ───────┘
 *
 * The watches (inotify) are on directories, because an image is often replaced by another file. The
 * kernel tells when a file that was open for writing is closed, not of each write: while a guest
 * runs, its image is looked at when something happens to the machine. */

#include "service/hard-disk-reader.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "backend/layout.h"
#include "disk/machine-images.h"
#include "image/image-facts.h"
#include "service/hard-disk.h"
#include "util/log.h"

#define READERS_MAX 4U
#define EVENTS      (IN_CLOSE_WRITE | IN_DELETE | IN_MOVE | IN_ONLYDIR)
#define BUFFER_SIZE 4096U

struct HardDiskReader {
        Manager *manager;
        void (*on_idle)(Manager *manager);
        GHashTable *waiting; /* uuid, owned */
        GHashTable *reading; /* uuid -> Read, not owned */
        int inotify;
        sd_event_source *source;
        GHashTable *directories; /* watch descriptor -> Directory, owned */
};

/* Where images lie. */
typedef struct Directory {
        GHashTable *names; /* name of a file -> set of uuids */
} Directory;

/* A file to be watched. */
typedef struct Watched {
        int directory; /* watch descriptor */
        char *name;
} Watched;

typedef struct Read {
        PoolWork work;
        HardDiskReader *reader;
        char uuid[UUID_STRING_SIZE];
        GPtrArray *chains; /* NULL: it could not be asked */
        GArray *watched;   /* of Watched */
} Read;

static void start_next(HardDiskReader *reader);

/* Worker */

static void watched_clear(void *data) {
        Watched *watched = data;

        g_free(watched->name);
}

static void watch(Read *read, const char *path) {
        g_autofree char *directory = g_path_get_dirname(path);
        Watched watched = {
                        .directory = inotify_add_watch(read->reader->inotify, directory, EVENTS)};

        if (watched.directory < 0)
                return;
        watched.name = g_path_get_basename(path);
        g_array_append_val(read->watched, watched);
}

static void read_run(void *data) {
        Read *read = data;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) error = NULL;

        if (backend_open_domain(read->reader->manager->backend, BACKEND_QUERY, read->uuid, &loan,
                            &error))
                read->chains = machine_images_read(loan.domain, &error);
        if (error)
                log_debug("The disks of %s can not be read: %s", read->uuid, error->message);
        for (unsigned i = 0; read->chains && i < read->chains->len; i++) {
                const GPtrArray *chain = read->chains->pdata[i];

                for (unsigned n = 0; n < chain->len; n++)
                        watch(read, ((const ImageFacts *) chain->pdata[n])->path);
        }
}

/* Watches */

static void directory_free(void *data) {
        Directory *directory = data;

        g_hash_table_unref(directory->names);
        g_free(directory);
}

static void free_set(void *set) {
        g_hash_table_unref(set);
}

/* Also one without files, so that its watch does not stay for ever. */
static Directory *take_directory(HardDiskReader *reader, int watch) {
        void *key = GINT_TO_POINTER(watch);
        Directory *directory = g_hash_table_lookup(reader->directories, key);

        if (directory)
                return directory;
        directory = g_new0(Directory, 1);
        directory->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_set);
        g_hash_table_insert(reader->directories, key, directory);
        return directory;
}

static void add_watched(HardDiskReader *reader, const Watched *watched, const char *uuid) {
        Directory *directory = take_directory(reader, watched->directory);
        GHashTable *uuids = g_hash_table_lookup(directory->names, watched->name);

        if (!uuids) {
                uuids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
                g_hash_table_insert(directory->names, g_strdup(watched->name), uuids);
        }
        g_hash_table_add(uuids, g_strdup(uuid));
}

void hard_disk_reader_forget(HardDiskReader *reader, const char *uuid) {
        GHashTableIter directories, names;
        void *directory, *uuids;

        if (!reader)
                return;
        g_hash_table_iter_init(&directories, reader->directories);
        while (g_hash_table_iter_next(&directories, NULL, &directory)) {
                g_hash_table_iter_init(&names, ((Directory *) directory)->names);
                while (g_hash_table_iter_next(&names, NULL, &uuids))
                        if (g_hash_table_remove(uuids, uuid) && g_hash_table_size(uuids) == 0)
                                g_hash_table_iter_remove(&names);
        }
}

/* Only while no worker may be adding a watch: it would get one that is about to go. */
static void drop_empty_directories(HardDiskReader *reader) {
        GHashTableIter iter;
        void *key, *directory;

        g_hash_table_iter_init(&iter, reader->directories);
        while (g_hash_table_iter_next(&iter, &key, &directory)) {
                if (g_hash_table_size(((Directory *) directory)->names) > 0)
                        continue;
                (void) inotify_rm_watch(reader->inotify, GPOINTER_TO_INT(key));
                g_hash_table_iter_remove(&iter);
        }
}

static void ask_all_of(HardDiskReader *reader, GHashTable *uuids) {
        GHashTableIter iter;
        void *uuid;

        g_hash_table_iter_init(&iter, uuids);
        while (g_hash_table_iter_next(&iter, &uuid, NULL))
                g_hash_table_add(reader->waiting, g_strdup(uuid));
}

/* After a flood of events the kernel names none, and after the end of a directory no file. */
static void on_event(HardDiskReader *reader, const struct inotify_event *event) {
        Directory *directory = g_hash_table_lookup(reader->directories, GINT_TO_POINTER(event->wd));
        GHashTable *uuids = NULL;
        GHashTableIter iter;
        void *each;

        if (event->mask & IN_Q_OVERFLOW) {
                ask_all_of(reader, reader->manager->machines);
                return;
        }
        if (directory && event->len > 0)
                uuids = g_hash_table_lookup(directory->names, event->name);
        if (uuids)
                ask_all_of(reader, uuids);
        if (!directory || !(event->mask & IN_IGNORED))
                return;
        g_hash_table_iter_init(&iter, directory->names);
        while (g_hash_table_iter_next(&iter, NULL, &each))
                ask_all_of(reader, each);
        g_hash_table_remove(reader->directories, GINT_TO_POINTER(event->wd));
}

static int on_inotify(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        HardDiskReader *reader = userdata;
        union {
                struct inotify_event event;
                char bytes[BUFFER_SIZE];
        } buffer;
        ssize_t n = read(fd, &buffer, sizeof(buffer));

        for (ssize_t at = 0; at < n;) {
                const struct inotify_event *event =
                                (const struct inotify_event *) (const void *) (buffer.bytes + at);

                on_event(reader, event);
                at += (ssize_t) (sizeof(*event) + event->len);
        }
        start_next(reader);
        return 0;
}

/* The queue */

static void read_done(void *data) {
        g_autofree Read *read = data;
        HardDiskReader *reader = read->reader;
        VirtualMachine *vm = manager_find_machine(reader->manager, read->uuid);

        g_hash_table_remove(reader->reading, read->uuid);
        for (unsigned i = 0; i < read->watched->len; i++)
                (void) take_directory(reader, g_array_index(read->watched, Watched, i).directory);
        if (vm && read->chains) {
                hard_disk_reader_forget(reader, read->uuid);
                for (unsigned i = 0; i < read->watched->len; i++)
                        add_watched(reader, &g_array_index(read->watched, Watched, i), read->uuid);
                hard_disk_apply_machine(vm, g_steal_pointer(&read->chains));
        }
        g_clear_pointer(&read->chains, g_ptr_array_unref);
        g_array_unref(read->watched);
        start_next(reader);
        if (!hard_disk_reader_is_idle(reader))
                return;
        drop_empty_directories(reader);
        reader->on_idle(reader->manager);
}

static void start(HardDiskReader *reader, const char *uuid) {
        Read *read = g_new0(Read, 1);

        read->reader = reader;
        read->watched = g_array_new(FALSE, FALSE, sizeof(Watched));
        g_array_set_clear_func(read->watched, watched_clear);
        g_strlcpy(read->uuid, uuid, sizeof(read->uuid));
        read->work = (PoolWork){.run = read_run, .done = read_done, .data = read};
        g_hash_table_insert(reader->reading, read->uuid, read);
        pool_submit(reader->manager->pool, LANE_QUERY, &read->work);
}

static void start_next(HardDiskReader *reader) {
        GHashTableIter iter;
        void *uuid;

        g_hash_table_iter_init(&iter, reader->waiting);
        while (g_hash_table_size(reader->reading) < READERS_MAX &&
                        g_hash_table_iter_next(&iter, &uuid, NULL)) {
                if (g_hash_table_contains(reader->reading, uuid))
                        continue;
                if (manager_find_machine(reader->manager, uuid))
                        start(reader, uuid);
                g_hash_table_iter_remove(&iter);
        }
}

void hard_disk_reader_ask(HardDiskReader *reader, const char *uuid) {
        if (!reader)
                return;
        g_hash_table_add(reader->waiting, g_strdup(uuid));
        start_next(reader);
}

bool hard_disk_reader_is_idle(const HardDiskReader *reader) {
        return !reader ||
               (g_hash_table_size(reader->waiting) == 0 && g_hash_table_size(reader->reading) == 0);
}

HardDiskReader *hard_disk_reader_new(Manager *manager, void (*on_idle)(Manager *manager)) {
        g_auto(Layout) layout = {0};
        HardDiskReader *reader;

        layout_of_uri(manager->uri, &layout);
        if (!layout.save)
                return NULL;
        reader = g_new0(HardDiskReader, 1);
        reader->manager = manager;
        reader->on_idle = on_idle;
        reader->waiting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        reader->reading = g_hash_table_new(g_str_hash, g_str_equal);
        reader->directories = g_hash_table_new_full(NULL, NULL, NULL, directory_free);
        reader->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (reader->inotify < 0 || sd_event_add_io(manager->event, &reader->source, reader->inotify,
                                                   EPOLLIN, on_inotify, reader) < 0)
                log_warning("Changes of images will be noticed late");
        return reader;
}

HardDiskReader *hard_disk_reader_free(HardDiskReader *reader) {
        if (!reader)
                return NULL;
        sd_event_source_disable_unref(reader->source);
        if (reader->inotify >= 0)
                (void) close(reader->inotify);
        g_hash_table_destroy(reader->directories);
        g_hash_table_destroy(reader->waiting);
        g_hash_table_destroy(reader->reading);
        g_free(reader);
        return NULL;
}
