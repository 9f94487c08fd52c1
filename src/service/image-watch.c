/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* "virsh managedsave-remove" beside us turns a saved machine into one that is off, and libvirt
 * sends no event. The file goes, though, and the kernel tells. Like libvirt's events this is a
 * hint: the facts of the machine are read anew. Where the directory can't be watched, the next
 * event of the machine shows it. */

#include "service/image-watch.h"

#include <string.h>
#include <sys/inotify.h>

#include "backend/layout.h"
#include "util/log.h"

#define SUFFIX ".save"

struct ImageWatch {
        sd_event_source *source;
        ImageGone gone;
        void *userdata;
};

static int on_change(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        ImageWatch *watch = userdata;
        g_autofree char *name = NULL;

        if (event->len == 0 || !g_str_has_suffix(event->name, SUFFIX))
                return 0;
        name = g_strndup(event->name, strlen(event->name) - strlen(SUFFIX));
        watch->gone(name, watch->userdata);
        return 0;
}

ImageWatch *image_watch_new(sd_event *event, const char *uri, ImageGone gone, void *userdata) {
        g_auto(Layout) layout = {NULL, NULL, NULL};
        ImageWatch *watch;
        int r;

        layout_of_uri(uri, &layout);
        if (!layout.save)
                return NULL;
        watch = g_new0(ImageWatch, 1);
        watch->gone = gone;
        watch->userdata = userdata;
        r = sd_event_add_inotify(event, &watch->source, layout.save,
                        IN_DELETE | IN_MOVE | IN_ONLYDIR, on_change, watch);
        if (r >= 0)
                return watch;
        log_debug("Saved states that others remove will be noticed late: %s", g_strerror(-r));
        return image_watch_free(watch);
}

ImageWatch *image_watch_free(ImageWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->source);
        g_free(watch);
        return NULL;
}
