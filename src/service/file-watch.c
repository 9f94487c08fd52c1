/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* "virsh managedsave-remove" beside us turns a saved machine into one that is off, and "virsh
 * snapshot-create" gives a machine a snapshot, and libvirt sends no event. But it keeps files of
 * both, and the kernel tells:
 *
 *     save/NAME.save               the saved state
 *     snapshot/NAME/SNAPSHOT.xml   what libvirt knows of a snapshot, also which is the current one
 *
 * Like libvirt's events this is a hint: the facts of the machine are read anew. Where a directory
 * can't be watched, the next event of the machine shows what has changed. */

#include "service/file-watch.h"

#include <string.h>
#include <sys/inotify.h>

#include "backend/layout.h"
#include "util/log.h"

#define IMAGE_SUFFIX    ".save"
#define SNAPSHOT_SUFFIX ".xml"

#define IMAGE_EVENTS     (IN_DELETE | IN_MOVE | IN_ONLYDIR)
#define DIRECTORY_EVENTS (IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR)
#define SNAPSHOT_EVENTS  (IN_CLOSE_WRITE | IN_DELETE | IN_MOVE | IN_ONLYDIR)

struct FileWatch {
        sd_event *event;
        sd_event_source *images, *directories;
        GHashTable *machines; /* name -> MachineDirectory, owned */
        char *snapshots;      /* where the directories are */
        FileWatchChanged changed;
        void *userdata;
};

/* The directory with the snapshots of one machine. */
typedef struct MachineDirectory {
        FileWatch *watch;
        char *name;
        sd_event_source *source;
} MachineDirectory;

static void directory_free(void *data) {
        MachineDirectory *directory = data;

        sd_event_source_disable_unref(directory->source);
        g_free(directory->name);
        g_free(directory);
}

static void tell(const FileWatch *watch, const char *name) {
        watch->changed(name, watch->userdata);
}

static int on_image(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        g_autofree char *name = NULL;

        if (event->len == 0 || !g_str_has_suffix(event->name, IMAGE_SUFFIX))
                return 0;
        name = g_strndup(event->name, strlen(event->name) - strlen(IMAGE_SUFFIX));
        tell(userdata, name);
        return 0;
}

/* libvirt writes beside the file and renames. After a flood of events the kernel names none. */
static int on_snapshot(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        const MachineDirectory *directory = userdata;

        if (event->mask & IN_Q_OVERFLOW ||
                        (event->len > 0 && g_str_has_suffix(event->name, SNAPSHOT_SUFFIX)))
                tell(directory->watch, directory->name);
        return 0;
}

static int watch_path(sd_event *event,
                sd_event_source **ret,
                const char *path,
                uint32_t mask,
                sd_event_inotify_handler_t handler,
                void *userdata) {
        int r = sd_event_add_inotify(event, ret, path, mask, handler, userdata);

        if (r < 0)
                log_debug("Changes in %s will be noticed late: %s", path, g_strerror(-r));
        return r;
}

static void add_directory(FileWatch *watch, const char *name) {
        g_autofree char *path = g_build_filename(watch->snapshots, name, NULL);
        MachineDirectory *directory = g_new0(MachineDirectory, 1);

        directory->watch = watch;
        directory->name = g_strdup(name);
        (void) watch_path(watch->event, &directory->source, path, SNAPSHOT_EVENTS, on_snapshot,
                        directory);
        g_hash_table_replace(watch->machines, directory->name, directory);
}

/* A file may be in a new directory before we watch it: therefore the directory itself is told of.
 */
static int on_directory(
                sd_event_source *source, const struct inotify_event *event, void *userdata) {
        FileWatch *watch = userdata;

        if (event->len == 0 || !(event->mask & IN_ISDIR))
                return 0;
        if (event->mask & (IN_CREATE | IN_MOVED_TO))
                add_directory(watch, event->name);
        else
                g_hash_table_remove(watch->machines, event->name);
        tell(watch, event->name);
        return 0;
}

static void add_directories(FileWatch *watch) {
        g_autoptr(GDir) entries = g_dir_open(watch->snapshots, 0, NULL);
        const char *name;

        while (entries && (name = g_dir_read_name(entries))) {
                add_directory(watch, name);
                tell(watch, name);
        }
}

FileWatch *file_watch_new(
                sd_event *event, const char *uri, FileWatchChanged changed, void *userdata) {
        g_auto(Layout) layout = {NULL, NULL, NULL, NULL, NULL};
        FileWatch *watch;

        layout_of_uri(uri, &layout);
        if (!layout.save)
                return NULL;
        watch = g_new0(FileWatch, 1);
        watch->event = sd_event_ref(event);
        watch->machines = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, directory_free);
        watch->snapshots = g_strdup(layout.snapshots);
        watch->changed = changed;
        watch->userdata = userdata;
        (void) watch_path(event, &watch->images, layout.save, IMAGE_EVENTS, on_image, watch);
        (void) watch_path(event, &watch->directories, layout.snapshots, DIRECTORY_EVENTS,
                        on_directory, watch);
        if (!watch->images && !watch->directories)
                return file_watch_free(watch);
        add_directories(watch);
        return watch;
}

FileWatch *file_watch_free(FileWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->images);
        sd_event_source_disable_unref(watch->directories);
        g_hash_table_destroy(watch->machines);
        sd_event_unref(watch->event);
        g_free(watch->snapshots);
        g_free(watch);
        return NULL;
}
